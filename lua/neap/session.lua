--- One connection that carries requests, client or server: takes the events of its transport and gives them to the
-- exchanges (one a request). Also the two halves of an exchange that both roles share: reading a body, writing a body.
-- What the session keeps in an exchange begins with an underscore, for a server's is the request that handlers see.
local plain = require "neap.plain"
local task = require "neap.task"

local PIECE = 65536 -- bytes given to the core at a time

local Session = { closed = false, proto = "h3" }
Session.__index = Session

--- What many sessions have alike, so that an idle one is small; each may have its own instead. `on_request(session,
-- stream, fin, method, target, path, query, host, scheme, fields, protocol)` is called for a new request (servers),
-- with what transport:events gives of it, and returns its exchange; `on_early_request` in its place for one that came
-- by 0-RTT, which sets `is_early` in its exchange; `on_idle(session)` when the last one is over; `patience` is how long
-- a body may make no progress.
function Session.kind(shared)
  shared.__index = shared
  return setmetatable(shared, Session)
end

--- A session of a kind, or of none. `conn` tells of the connection, and ends it; `transport` carries its messages: they
-- have the methods of the binding's conn and h3, whatever version of HTTP it is.
function Session.new(conn, transport, kind)
  -- Four fields and no more while it is idle: a fifth would double its table.
  return setmetatable({ conn = conn, transport = transport, exchanges = {}, count = 0 }, kind or Session)
end

--- A new exchange on a stream.
function Session:exchange(stream)
  return self:adopt { _session = self, _stream = stream }
end

--- From now on the exchange gets the events of its stream.
function Session:adopt(exchange)
  self.exchanges[exchange._stream] = exchange
  self.count = self.count + 1
  return exchange
end

--- The exchange is over: events of its stream are ignored from now on.
function Session:forget(exchange)
  if self.exchanges[exchange._stream] == exchange then
    self.exchanges[exchange._stream] = nil
    self.count = self.count - 1
    if self.count == 0 and self.on_idle then self.on_idle(self) end
  end
end

-- The peer has left an exchange: who waits on it is woken, and `exchange:_on_lost()` called where it is set. The stream
-- is given up where the exchange ends.
local function lose(exchange)
  Session.wake(exchange)
  if exchange.is_early then task.wake_at(exchange, "_handshake") end
  if exchange._on_lost then exchange:_on_lost() end
end

local on = {}

function on.headers(session, stream, fields, fin, is_informational)
  local exchange = session.exchanges[stream]
  if exchange then
    if is_informational then
      exchange._informational = exchange._informational or {}
      table.insert(exchange._informational, fields)
      task.wake_at(exchange, "_reader")
      return
    end
    exchange._fields, exchange._no_body = fields, fin
    task.wake_at(exchange, "_reader")
  end
end

function on.data(session, stream)
  local exchange = session.exchanges[stream]
  if exchange then
    exchange._has_data = true
    task.wake_at(exchange, "_reader")
  end
end

function on.trailers(session, stream, fields)
  local exchange = session.exchanges[stream]
  if exchange then exchange._trailer_fields = fields end
end

function on.finished(session, stream)
  local exchange = session.exchanges[stream]
  if exchange then
    exchange._finished = true
    task.wake_at(exchange, "_reader")
  end
end

function on.reset(session, stream, code)
  local exchange = session.exchanges[stream]
  if not exchange then return session.transport:cancel(stream, "request_cancelled") end
  exchange._reset_code = code
  lose(exchange)
end

function on.stopped(session, stream, code)
  local exchange = session.exchanges[stream]
  if not exchange then return session.transport:cancel(stream, "request_cancelled") end
  exchange._stop_code = code
  lose(exchange)
end

function on.writable(session, stream)
  local exchange = session.exchanges[stream]
  if exchange then task.wake_at(exchange, "_writer") end
end

function on.goaway(session)
  session.going_away = true
  if session.count == 0 and session.on_idle then session:on_idle() end
end

function on.settings() end

-- What came early was no repetition.
function on.established(session)
  for _, exchange in pairs(session.exchanges) do
    if exchange.is_early then
      exchange.is_early = false
      task.wake_at(exchange, "_handshake")
    end
  end
end

function on.closed() end

local WIDTH = 11 -- places that an event takes in the list of transport:events

local spare_list = {}
for i = 1, 32 * WIDTH do spare_list[i] = false end -- as long as it gets, and without a hash part

-- Gives events to their exchanges; whether requests began.
local function give(self, list, used, is_early)
  local has_begun = false
  local on_request = is_early and self.on_early_request or self.on_request
  for i = 1, used, WIDTH do
    local kind, stream = list[i], list[i + 1]
    if kind == "request" then
      self.exchanges[stream] = on_request(self, stream, list[i + 2], list[i + 3], list[i + 4], list[i + 5],
        list[i + 6], list[i + 7], list[i + 8], list[i + 9], list[i + 10])
      self.count = self.count + 1
      has_begun = true
    else
      on[kind](self, stream, list[i + 2], list[i + 3], list[i + 4])
    end
  end
  return has_begun
end

--- Takes every event that waits. Starts tasks, never runs them.
function Session:pump()
  local transport, list, has_begun = self.transport, spare_list or {}, false
  spare_list = nil
  local used, is_more, is_early
  repeat
    used, is_more, is_early = transport:events(list)
    if used > 0 then has_begun = give(self, list, used, is_early) or has_begun end
  until not is_more
  spare_list = list
  -- A handler may be silent for longer than a connection: PINGs keep it, as long as a request may go without progress.
  if has_begun then self.conn:keep_alive(self.patience) end
end

--- Wakes who waits on an exchange.
function Session.wake(exchange)
  task.wake_at(exchange, "_reader")
  task.wake_at(exchange, "_writer")
end

--- The connection is over: everything that waits on it ends. `reason`: { text =, code = the number of the close, kind =
-- a short code in place of "closed" }.
function Session:close(reason)
  if self.closed then return end
  self.closed, self.reason = true, reason
  for _, exchange in pairs(self.exchanges) do lose(exchange) end
end

--- Whether a connection ended by a TLS alert (RFC 9001 §4.8): `why` is its conn:error().
function Session.is_alert(why)
  return not why.is_application and why.code and why.code >= 0x100 and why.code < 0x200 or false
end

--- Why a connection ended, in one line that can be shown: `why` is its conn:error(), `peer` "client" or "server".
function Session.explain(why, peer)
  if not why or not why.by then return "connection closed" end
  local name = why.name
  if not name or name == "unknown" then
    name = (why.is_application and "code %.0f" or "error 0x%x"):format(why.code or 0)
  end
  if why.by == "idle" then return "the connection was idle for too long" end
  if why.by == "handshake_timeout" then return "no answer (handshake timed out)" end
  if why.by == "version" then return ("the %s speaks no version of QUIC that we do"):format(peer) end
  if why.by == "reset" then return ("the %s has forgotten the connection (stateless reset)"):format(peer) end
  local reason = why.reason and why.reason ~= "" and ": " .. plain.line(why.reason) or ""
  return (why.by == "peer" and ("closed by the %s: "):format(peer) or "closed: ") .. name .. reason
end

--- Why nothing more comes on an exchange: message, code, number.
local function why_over(exchange)
  if exchange._failure then return exchange._failure, "cancelled" end
  if exchange._reset_code then return "reset by peer", "reset", exchange._reset_code end
  local reason = exchange._session.reason
  return reason and reason.text or "connection closed", reason and reason.kind or "closed", reason and reason.code
end

--- Why the peer of a server's exchange has left it: message, code, number; nil while it is there.
function Session.why_left(exchange)
  if exchange._stop_code and not exchange._session.closed then
    return "the peer wants no more", "stopped", exchange._stop_code
  end
  if exchange._reset_code or exchange._session.closed then return why_over(exchange) end
end

local exchange_methods = {}
Session.exchange_methods = exchange_methods

-- What transport[take](transport, stream, argument) gives of a body when some of it is there; nil at the end; nil,
-- message, code[, number] when it breaks off.
local function receive(exchange, take, argument, timeout)
  local session, transport = exchange._session, exchange._session.transport
  while true do
    if session.closed and not exchange._has_data then
      if exchange._finished then return nil end
      return nil, why_over(exchange)
    end
    local taken, message, code, number = transport[take](transport, exchange._stream, argument)
    if taken then return taken end
    exchange._has_data = false
    if code ~= "again" and code ~= "state" then
      if code == "closed" and exchange._finished then return nil end
      return nil, message, code, number
    end
    if not session.closed then session:pump() end
    if exchange._reset_code then return nil, why_over(exchange) end
    if exchange._finished then return nil end
    if not exchange._has_data and not session.closed then
      local ok, reason, kind = task.wait_at(exchange, "_reader", timeout or session.patience)
      if not ok then return nil, reason, kind end
    end
  end
end

--- Body bytes as they come (at most `max`); nil at the end; nil, message, code[, number] when it breaks off. `timeout`,
-- here and below, is what may pass without any; a server's session has one for all, `patience`.
function exchange_methods.read(exchange, max, timeout)
  return receive(exchange, "recv_body", max or PIECE, timeout)
end

--- The same into a file of neap.core: how many bytes went there.
function exchange_methods.save(exchange, file, timeout)
  return receive(exchange, "save_body", file, timeout)
end

-- Whether a body can go on: true, or nil, message, code[, number].
local function may_send(exchange)
  if exchange._session.closed then return nil, why_over(exchange) end
  if exchange._stop_code then return nil, "the peer wants no more", "stopped", exchange._stop_code end
  return true
end

-- `taken` bytes of a body are on their way: the peer gets its time for the rest.
local function has_sent(exchange, taken)
  local session = exchange._session
  exchange._sent = (exchange._sent or 0) + taken
  if session.patience then session.conn:keep_alive(session.patience) end
end

-- Waits until the stream takes bytes again, or it is known why it does not: true, or nil, message, code[, number].
local function await_room(exchange, timeout)
  local session = exchange._session
  session:pump()
  if not (session.closed or exchange._stop_code or exchange._reset_code) then
    return task.wait_at(exchange, "_writer", timeout or session.patience)
  elseif exchange._reset_code and not exchange._stop_code then
    return nil, why_over(exchange)
  end
  return true
end

--- Writes body bytes, waiting while the peer or the path is slower; true, or nil, message, code[,
-- number]. `exchange._sent` counts them.
function exchange_methods.write(exchange, data, fin, timeout)
  local transport, stream = exchange._session.transport, exchange._stream
  local at, size = 1, #data
  while at <= size or (fin and size == 0) do
    local ok, message, code, number = may_send(exchange)
    if not ok then return nil, message, code, number end
    local stop = math.min(at + PIECE - 1, size)
    local piece = at == 1 and stop == size and data or data:sub(at, stop)
    local taken
    taken, message, code, number = transport:send_body(stream, piece, fin and stop == size)
    if taken and (taken > 0 or size == 0) then
      at = at + taken
      has_sent(exchange, taken)
      if size == 0 then return true end
    end
    if not taken and code ~= "again" then return nil, message, code, number end
    if not taken or taken < #piece then
      ok, message, code, number = await_room(exchange, timeout)
      if not ok then return nil, message, code, number end
    end
  end
  return true
end

--- The same with `count` bytes of a file of neap.core, from `offset` on.
function exchange_methods.send_file(exchange, file, offset, count, fin, timeout)
  while true do
    local ok, message, code, number = may_send(exchange)
    if not ok then return nil, message, code, number end
    local taken
    taken, message, code, number = exchange._session.transport:send_file(exchange._stream, file, offset, count, fin)
    if not taken and code ~= "again" then return nil, message, code, number end
    if taken then
      has_sent(exchange, taken)
      offset, count = offset + taken, count - taken
      if count == 0 then return true end
    end
    ok, message, code, number = await_room(exchange, timeout)
    if not ok then return nil, message, code, number end
  end
end

return Session
