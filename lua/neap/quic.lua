--- Raw QUIC: connections and streams without HTTP. `listen` for servers, `connect` for clients.
local certificate = require "neap.certificate"
local core = require "neap.core"
local arrivals = require "neap.arrivals"
local asking = require "neap.asking"
local client = require "neap.client"
local configs = require "neap.configs"
local devcert = require "neap.devcert"
local log = require "neap.log"
local options = require "neap.options"
local ordered = require "neap.ordered"
local outgoing = require "neap.quic_outgoing"
local quic_stream = require "neap.quic_stream"
local roaming = require "neap.roaming"
local Session = require "neap.session"
local shared_configs = require "neap.shared_configs"
local task = require "neap.task"
require "neap.dns" -- whom task.resolve asks
local tracing = require "neap.tracing"

local quic = {}

-- The listeners that are not closed, as keys: of the program, or of a host of a simulation.
function quic._servers()
  local place = task.place()
  place.quic_servers = place.quic_servers or {}
  return place.quic_servers
end

local FAILED, new_stream = quic_stream.FAILED, quic_stream.new

local Connection, Listener = {}, {}
roaming.extend(Connection)
Connection.__index, Listener.__index = Connection, Listener

-- ---- connections

local function new_connection(conn, own)
  return setmetatable({
    _conn = conn, _streams = {}, _new = {}, _new_first = 1, _closed = false,
    read_timeout = own.read_timeout, write_timeout = own.write_timeout,
  }, Connection)
end

local function take_stream(self, id)
  local ours = (id % 2 == 1) == self._conn:is_server()
  local stream = self._streams[id]
  if not stream and not ours then
    stream = new_stream(self, id)
    self._new[#self._new + 1] = stream
    task.wake_at(self, "_acceptor")
  end
  return stream
end

-- What a client sent early was not read: its streams are over, and others can be opened.
local function reject_streams(self)
  local ours = {}
  for id, stream in pairs(self._streams) do
    if id % 2 == 0 then ours[id] = stream end
  end
  for id, stream in pairs(ours) do
    self._streams[id] = nil
    stream:_reject()
  end
end

local function wake_openers(self)
  local openers = self._openers
  self._openers = nil
  for _, waiter in ipairs(openers or {}) do task.wake(waiter, true) end
end

-- Nobody was where it began: the server is asked elsewhere.
function Connection:_go_on(conn)
  reject_streams(self)
  self._conn, self._is_early = conn, conn:is_early()
  if self._trace then tracing.begin(conn, self._trace[1], self._trace[2], 1) end
  wake_openers(self)
end

function Connection:_pump()
  local conn = self._conn
  if not self._has_preferred then roaming.prefer(self, conn) end
  if self._on_path then roaming.tell(conn, self._on_path) end
  if self._is_early and conn:early() ~= "offered" then
    if conn:early() == "rejected" then
      reject_streams(self)
      conn:begin_again()
    end
    self._is_early = conn:is_early()
  end
  if conn:is_established() and self._handshakers then
    for _, waiter in ipairs(self._handshakers) do task.wake(waiter, true) end
    self._handshakers = nil
  end
  if self._datagram_reader and conn:datagram_size() then task.wake_at(self, "_datagram_reader") end
  if self._asked then self:_tell_fates() end
  local id = conn:readable_next()
  while id do
    local stream = take_stream(self, id)
    if stream then task.wake_at(stream, "_reader") end
    id = conn:readable_next()
  end
  id = conn:writable_next()
  while id do
    local stream = self._streams[id]
    if stream then task.wake_at(stream, "_writer") end
    id = conn:writable_next()
  end
  wake_openers(self)
end

function Connection:_why()
  local why = asking.error_of(self._conn) or {}
  return Session.explain(why, self._conn:is_server() and "client" or "server"), client.code_of(why), why.code
end

function Connection:_end()
  self._closed = true
  for _, stream in pairs(self._streams) do
    task.wake_at(stream, "_reader")
    task.wake_at(stream, "_writer")
  end
  task.wake_at(self, "_acceptor")
  task.wake_at(self, "_datagram_reader")
  for _, waiters in ipairs { self._openers or {}, self._handshakers or {} } do
    for _, waiter in ipairs(waiters) do task.wake(waiter, true) end
  end
end

local lazy = {
  peer = function(self) return self._conn:peer() end,
  local_address = function(self) return self._conn:local_address() end,
  alpn = function(self) return self._conn:alpn() end,
  server_name = function(self) return self._conn:server_name() end,
}

function Connection:__index(key)
  if lazy[key] then return lazy[key](self) end
  return Connection[key]
end

--- The next stream that the peer opened, waiting for it; nil when the connection is over.
function Connection:accept_stream()
  while true do
    local stream = self._new[self._new_first]
    if stream then
      self._new[self._new_first] = nil
      self._new_first = self._new_first + 1
      if not self._new[self._new_first] then self._new, self._new_first = {}, 1 end
      return stream
    end
    if self._closed then return nil, self:_why() end
    task.wait_at(self, "_acceptor")
  end
end

--- Iterates over the streams that the peer opens.
function Connection:streams()
  return function() return (self:accept_stream()) end
end

-- The task of a stream that has a handler: when it is over, so is the stream.
local function handle(fn, stream)
  local ok, trace = xpcall(fn, debug.traceback, stream)
  local _, writes = stream:_open_halves()
  if ok and writes then stream:finish() end
  stream:_give_up(ok and 0 or FAILED)
  if not ok then task.on_error(trace) end
end

--- fn(stream) runs as a task for each stream that the peer opens. When it returns, our side is finished if it is still
-- open, and the peer is asked to stop if it still sends; when it dies of an error, both are broken off with code 1.
-- A stream that is to outlive its handler is taken from streams() instead.
function Connection:on_stream(fn)
  task.go(function()
    for stream in self:streams() do task.go(handle, fn, stream) end
  end)
  return self
end

local function remove(list, waiter)
  for i = #(list or {}), 1, -1 do
    if list[i] == waiter then table.remove(list, i) end
  end
end

local function open(self, kind)
  local begun = core.now()
  while true do
    if self._closed then return nil, self:_why() end
    local id, message, code = self._conn:stream_open(kind)
    if id then return new_stream(self, id) end
    if code ~= "limit" then return nil, message, code end
    local waiter = task.waiter()
    self._openers = self._openers or {}
    table.insert(self._openers, waiter)
    if not task.await(waiter, self.write_timeout and math.max(0, self.write_timeout - (core.now() - begun))) then
      remove(self._openers, waiter)
      return nil, "timeout: the peer allows no more streams", "timeout"
    end
  end
end

--- A new stream for both sides; waits while the peer allows no more, at most for write_timeout.
function Connection:open_stream()
  return open(self, "bidi")
end

--- A new stream that only we send on.
function Connection:open_uni_stream()
  return open(self, "uni")
end

-- ---- datagrams

local TOO_LARGE = "a datagram of %d bytes is too large: max_datagram() says %d"

local DATAGRAM = {
  deadline = options.timeout(), -- seconds from now: not sent by then it is dropped
  urgency = options.whole(0, 7),
  notify = options.of("function"),
}

--- Sends a datagram (RFC 9221), which may be lost and is never sent again: at most max_datagram() bytes. `given`:
-- deadline (seconds from now, after which it is not sent any more), urgency (0 to 7, 3: before streams of the same),
-- notify (a function that runs as a task with "acked", "lost" or "dropped", unless the connection ends before). It does
-- not wait: where too many wait the oldest is dropped. true; nil, message, code.
function Connection:send_datagram(data, given)
  if type(data) ~= "string" then error("send_datagram takes a string, not a " .. type(data), 2) end
  local plan
  if given then
    options.check(given, DATAGRAM, "send_datagram", 2)
    plan = { urgency = given.urgency, notify = given.notify ~= nil }
    if given.deadline then plan.deadline = core.now() + given.deadline end
  end
  if self._closed then return nil, self:_why() end
  local id, message, code = self._conn:datagram_send(data, plan)
  if code == "short" then message = TOO_LARGE:format(#data, self._conn:datagram_max()) end
  if not id then return nil, message, code end
  if given and given.notify then
    self._asked = self._asked or {}
    self._asked[id] = given.notify
    self:_tell_fates()
  end
  return true
end

-- What became of datagrams whose sender wants to know.
function Connection:_tell_fates()
  local id, fate = self._conn:datagram_fate()
  while id do
    local notify = self._asked[id]
    self._asked[id] = nil
    if notify then task.go(notify, fate) end
    id, fate = self._conn:datagram_fate()
  end
end

--- The next datagram that came, waiting for it; nil, message, code when the connection is over, or after read_timeout.
function Connection:read_datagram()
  while true do
    if self._closed then return nil, self:_why() end
    local bytes, message, code = self._conn:datagram_recv()
    if bytes then return bytes end
    if code ~= "again" then return nil, message, code end
    local ok, reason, kind = task.wait_at(self, "_datagram_reader", self.read_timeout)
    if not ok then return nil, reason, kind end
  end
end

--- Iterates over the datagrams that come, to the end of the connection.
function Connection:datagrams()
  return function() return (self:read_datagram()) end
end

--- How many bytes a datagram may have now; nil, message, code when the peer takes none.
function Connection:max_datagram()
  return self._conn:datagram_max()
end

--- Counters of datagrams: see neap_datagram_stats in neap.h.
function Connection:datagram_stats()
  return self._conn:datagram_stats()
end

--- Counters: see neap_stats in neap.h.
function Connection:stats()
  return self._conn:stats()
end

--- fn(event, trace) for each trace event from now on, as qlog has them: { time = milliseconds, name =, data = }.
-- Options: `events`, a list of names; `bytes` that are kept until fn takes them, the oldest give way: trace.dropped.
-- fn nil: no more. true; nil, message, code.
function Connection:on_trace(fn, given)
  local ok, message, code = tracing.begin(self._conn, fn, given, 2)
  if ok then self._trace = fn and { fn, given } end
  return ok, message, code
end

--- Sends a PING: asks the peer for a sign of life. The option `keep_alive` does so by itself.
function Connection:ping()
  return self._conn:ping()
end

--- Updates the keys of 1-RTT packets. The options `key_update_packets` and `key_update_bytes` do so by themselves.
function Connection:update_keys()
  return self._conn:update_keys()
end

--- The version of QUIC, 1 or 0x6b3343cf (version 2).
function Connection:version()
  return self._conn:version()
end

--- Has the peer use other connection IDs of ours and retire those it has: true; nil, message, code.
function Connection:rotate_ids()
  return self._conn:rotate_ids()
end

--- Whether the handshake went on from an earlier TLS session.
function Connection:is_resumed()
  return self._conn:is_resumed()
end

--- Whether the server's certificates were verified but for dates, since the time is not known yet.
function Connection:has_unchecked_dates()
  return self._conn:has_unchecked_dates()
end

--- What became of its 0-RTT: "none", "offered", "accepted" or "rejected".
function Connection:early()
  return self._conn:early()
end

--- The certificate that the peer showed; nil when it showed none, and of a client's without `keep_certificates`.
function Connection:peer_certificate()
  return certificate.of_peer(self._conn)
end

--- The group of the key exchange.
function Connection:group()
  return self._conn:group()
end

--- The cipher suite of its packets, by the name that the option `cipher_suites` takes.
function Connection:cipher_suite()
  return self._conn:cipher_suite()
end

--- Waits until the handshake is complete, which it is but for early data: a server knows then that what came was no
-- repetition, a client whether its server has read it. true; nil, message, code when the connection is over, or after
-- `timeout` seconds.
function Connection:wait_for_handshake(timeout)
  local begun = core.now()
  while not self._closed and not self._conn:is_established() do
    local waiter = task.waiter()
    self._handshakers = self._handshakers or {}
    table.insert(self._handshakers, waiter)
    if not task.await(waiter, timeout and math.max(0, timeout - (core.now() - begun))) then
      remove(self._handshakers, waiter)
      return nil, "timeout: the handshake is not complete", "timeout"
    end
  end
  if self._closed then return nil, self:_why() end
  return true
end

--- The identity of the external pre-shared key by which the two know each other; nil: by certificates.
function Connection:psk_identity()
  return self._conn:psk_identity()
end

--- Closes with a code of the application's and a reason.
function Connection:close(code, reason)
  if self._closed then return true end
  self._conn:close(code or 0, reason or "")
  self:_end()
  return true
end

--- Whether it is over.
function Connection:is_closed()
  return self._closed
end

--- nil while it is alive, else why it ended: message, code, number.
function Connection:error()
  if self._closed then return self:_why() end
end

-- ---- servers

local COMMON = {
  read_timeout = options.timeout(), write_timeout = options.timeout(), -- without progress; none unless told
}

local LISTEN = {
  host = options.of("string"), port = options.whole(0, 65535),
  read_timeout = COMMON.read_timeout, write_timeout = COMMON.write_timeout,
  on_trace = tracing.ROWS.on_trace, trace_events = tracing.ROWS.trace_events,
}

local CONNECT = {
  server_name = options.of("string"),
  timeout = options.timeout(30), -- until it is established
  migrate = roaming.MIGRATE, -- "auto": it follows the machine's routes
  early = options.of("boolean"), -- do not wait for that where streams may be sent on before
  read_timeout = COMMON.read_timeout, write_timeout = COMMON.write_timeout,
  on_trace = tracing.ROWS.on_trace, trace_events = tracing.ROWS.trace_events,
}

local function prepare(role, given, rows)
  local own, config = options.split(given, rows, 3)
  options.of_role(role, config, 3)
  if config.alpn == nil then error("raw QUIC needs alpn = { \"name\" }", 3) end
  if type(config.alpn) == "string" then config.alpn = { config.alpn } end
  options.from_environment(config)
  return own, config
end

local function listen(own, config)
  local is_given = config.cert or config.certs or config.key or config.certificate or config.psk
  if not is_given then -- a key alone is refused below
    local message, code
    config.cert, message, code = devcert.get()
    if not config.cert then return nil, message, code end
    config.key = message
  end
  local decide = arrivals.take(config)
  local made, message, code = configs.new(config, "server", 3)
  if not made then return nil, message, code end
  local host = own.host or ""
  if host:find(":", 1, true) and host:sub(1, 1) ~= "[" then host = "[" .. host .. "]" end
  local endpoint
  endpoint, message, code = task.loop():listen(made, ("%s:%d"):format(host, own.port or 4433))
  local also
  if endpoint then also, message, code = roaming.listen(endpoint, config.preferred_address) end
  if endpoint and not also then endpoint:close() end
  if not also then return nil, message, code end
  local self = setmetatable({
    endpoint = endpoint, connections = {}, _own = own, _config = made, _given = config, _complain = log.complainer(),
    address = endpoint:address(), port = tonumber(endpoint:address():match(":(%d+)$")),
  }, Listener)
  task.attach(endpoint, function(conn) self:_drive(conn) end, asking.answerer(config),
    arrivals.answerer(endpoint, decide))
  task.hold(1)
  self._among = quic._servers()
  ordered.put(self._among, self)
  return self
end

--- Listens for connections: `host`, `port` (4433; 0: any), `alpn`, and every option of a config.
-- Without a certificate the development one is used. nil, message, code when it cannot.
function quic.listen(given)
  local listener, message, code = listen(prepare("server", given, LISTEN))
  if not listener then task.not_listening(message) end
  return listener, message, code
end

function Listener:_drive(conn)
  local connection = self.connections[conn]
  if conn:is_closed() or conn:is_draining() then
    asking.tell_refusal(conn, self._complain)
    if connection then
      self.connections[conn] = nil
      connection:_end()
    end
    return
  end
  if not connection then
    if not conn:is_established() and conn:early() ~= "accepted" then return end
    connection = new_connection(conn, self._own)
    tracing.by_options(conn, self._own)
    self.connections[conn] = connection
    if self._handler then task.go(self._handler, connection) end
  end
  connection:_pump()
end

--- fn(connection) runs as a task for each connection once its handshake is done, or before that, where early data is
-- read: stream:is_early tells.
function Listener:on_connection(fn)
  self._handler = fn
  return self
end

--- Reads certificates and the like again, as Server:reload_certs does.
function Listener:reload_certs()
  if self._closed then return nil, "the listener is closed", "closed" end
  return configs.reload(self._config, self._given, "server")
end

--- Another configuration of QUIC-LB, as Server:set_quic_lb.
function Listener:set_quic_lb(quic_lb)
  if self._closed then return nil, "the listener is closed", "closed" end
  return configs.set_quic_lb(self._config, self.endpoint, quic_lb)
end

--- How many connection IDs were made, and how many nonces of QUIC-LB are left, as Server:connection_ids.
function Listener:connection_ids()
  return self._config:connection_ids()
end

--- Closes every connection and the socket.
function Listener:close(code, reason)
  if self._closed then return end
  self._closed = true
  for _, conn in ipairs(ordered.conns(self.connections)) do self.connections[conn]:close(code, reason) end
  task.flush()
  task.detach(self.endpoint)
  self.endpoint:close()
  self._among[self] = nil
  task.hold(-1)
end

-- ---- clients

--- Connects to "host:port" and waits until the handshake is done. Options: `alpn`, `timeout`, `server_name`, `early`,
-- and every option of a config; what these name is read once for equal ones, which share TLS sessions (a function is
-- equal to itself alone), and 32 are kept beside those that connections use. With `early`,
-- with early_data and a session, it does not wait: what is sent at once leaves with the first packets, and who sees
-- them can send them again. A server that does not read them ends these streams with "early"; what was sent on them
-- is to be sent anew, on others; so does a name's address that does not answer any more, while the next one is asked.
-- The addresses of a name are tried side by side, that which answered last first. nil, message, code[, number] when it
-- fails.
function quic.connect(address, given)
  if type(address) ~= "string" then error("connect takes \"host:port\", not a " .. type(address), 2) end
  local own, config = prepare("client", given, CONNECT)
  local host, port = address:match("^%[([^%]]+)%]:(%d+)$")
  if not host then host, port = address:match("^([^:]+):(%d+)$") end
  if not host then return nil, "not host:port: " .. address, "argument" end
  if tonumber(port) < 1 or tonumber(port) > 65535 then return nil, "no such port: " .. port, "argument" end
  local here = outgoing.here()
  local made, message, code = shared_configs.take(config, here.connections)
  if not made then return nil, message, code end
  local endpoint
  endpoint, message, code = outgoing.endpoint(here, made.config, own.migrate)
  if not endpoint then return nil, message, code end
  local addresses
  addresses, message, code = task.resolve(host, tonumber(port), own.timeout)
  if not addresses then return nil, message, code end
  local function start(peer)
    made, message, code = shared_configs.take(config, here.connections) -- nobody has held it while this waited
    if not made then return nil, message, code end
    return endpoint:connect(own.server_name or host, peer, { config = made.config })
  end
  local connection, number
  connection, message, code, number = outgoing.race(here, endpoint, address, addresses, own.timeout, own.early, start,
    function(conn)
      local new = new_connection(conn, own)
      new._shared, new._is_early = made, conn:is_early()
      if own.on_trace then new:on_trace(own.on_trace, own.trace_events and { events = own.trace_events }) end
      return new
    end)
  return connection, message, code, number
end

--- Reads what `ca`, `crl`, `cert`, `key` and `certs` of outgoing connections name again, as Client:reload_certs does:
-- of each set of options all or nothing. true; nil, message, code of one for which something cannot be used.
quic.reload_certs = shared_configs.reload

--- Closes everything: servers and outgoing connections.
function quic.close_all()
  for _, server in ipairs(ordered.objects(quic._servers())) do server:close() end
  local connections = outgoing.here().connections
  for _, conn in ipairs(ordered.conns(connections)) do connections[conn]:close(0, "") end
  if next(connections) then task.flush() end
end

return quic
