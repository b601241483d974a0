--- Serves an app over HTTP/3, and over TCP beside it.
local activation = require "neap.activation"
local answers = require "neap.answers"
local arrivals = require "neap.arrivals"
local asking = require "neap.asking"
local companion = require "neap.companion"
local configs = require "neap.configs"
local core = require "neap.core"
local devcert = require "neap.devcert"
local Events = require "neap.sse"
local garbage = require "neap.garbage"
local log = require "neap.log"
local options = require "neap.options"
local ordered = require "neap.ordered"
local polling = require "neap.polling"
local Request = require "neap.request"
local Response = require "neap.response"
local roaming = require "neap.roaming"
local Session = require "neap.session"
local task = require "neap.task"
local tracing = require "neap.tracing"

local FLUSH_CHECK = 0.01 -- seconds
local LINGER = 0.5       -- seconds that clients get to close by themselves
local PORTS_TRIED = 16   -- a free port of UDP may be taken of TCP

local server = {}

local Server = {}
Server.__index = Server

-- Sockets that are bound already.
local SOCKETS = options.row("a descriptor, a list of them, or a name in $LISTEN_FDNAMES", activation.is_option)

local OWN = {
  host = options.of("string"),       -- address to listen on; all of both families unless told
  port = options.whole(0, 65535),    -- 4433 unless told, 0: any free one
  read_timeout = options.timeout(60), -- how long a body may make no progress, either way
  shutdown_timeout = options.number("seconds", 0, math.huge, 10), -- that open requests get at the end
  busy_poll = options.number("seconds", 0, 1, 0.0001), -- the loop polls for so long before it sleeps, where it pays
  max_field_section_size = options.whole(1), -- bytes of a request's fields; 64 KiB unless told
  date = options.of("boolean", true), -- a response says when it was made (RFC 9110 §6.6.1), where the clock is known
  header_timeout = options.timeout(), -- how long a request's fields may take to arrive; 10 unless told
  fd = SOCKETS, tcp_fd = SOCKETS, http_fd = SOCKETS, -- in place of host and port, of UDP, TCP and plain HTTP
  tcp = options.of("boolean"), -- HTTP/1.1 and HTTP/2 at the same port, over TCP and TLS
  alt_svc = options.whole(0, nil, 86400), -- seconds that clients remember there that HTTP/3 is here; 0: not told
  http_port = options.whole(0, 65535), -- plain HTTP, without TLS, at this port of TCP; 0: any free one
  plain = options.row('"redirect" or "serve"', function(value) -- what is there: the way to https, or the app
    return value == "redirect" or value == "serve"
  end),
  tcp_connections = options.whole(1, 1000000, 1024), -- at a time, of each of the two
  tcp_connections_per_network = options.whole(1, 1000000), -- of one IPv4 address or IPv6 /64; a quarter unless told
  tcp_idle_timeout = options.timeout(60), -- of one without a request
  on_trace = tracing.ROWS.on_trace, trace_events = tracing.ROWS.trace_events, -- events of its connections
}

-- Nothing is done for a request any more. The stream of one that was left has been kept until now: there are no more
-- handlers of such on a connection than it may have streams.
local function let_go(req)
  local session = req._session
  if not session.closed then
    if rawget(req, "_stop_code") or rawget(req, "_reset_code") then
      session.transport:cancel(req._stream, "request_cancelled")
    elseif not req._finished then
      session.transport:stop_body(req._stream, "no_error")
    end
  end
  session:forget(req)
end

-- Answers a request, and ends it whatever happens, an error outside of what app:handle answers included. `handle` in
-- its place, if there is one.
local function serve(req, handle)
  local session = req._session
  local app, res = session.server.app, Response.new(req)
  local ok, trace = xpcall(handle or app.handle, debug.traceback, app, req, res)
  if not ok then
    log.error(tostring(trace))
    local transport, stream = session.transport, req._stream
    if not res:is_ended() and not transport:respond(stream, 500, nil, "") then
      transport:cancel(stream, "internal_error")
    end
  end
  let_go(req)
end

local function go_on(res, taken)
  local req = res._exchange
  local session = req._session
  if not session.closed then session.server.app:_go_on(req, res, taken) end
  let_go(req)
end

-- A response that did not leave with the others: its request is open again until it has left.
function answers.go_on(res, taken)
  local session = res._exchange._session
  if session.closed then return end
  session:adopt(res._exchange)
  task.go(go_on, res, taken)
end

function task.settle(count)
  answers.settle()
  garbage.look(count)
end

local function begin(session, stream, ...)
  local req = Request.new(session, stream, ...)
  task.go(serve, req)
  return req
end

local function begin_early(session, stream, ...)
  local req = Request.new(session, stream, ...)
  local app = session.server.app
  req.is_early = true
  task.go(serve, req, not app:_takes_early(req) and app._refuse_early or nil)
  return req
end

local function rest(session) session.conn:keep_alive(false) end

-- Opens what there is beside HTTP/3, at sockets or at the same host: true; nil, message, code, errno, and then nothing
-- is open.
local function open_companions(self, mine, host, fds)
  local settings = { max_field_section_size = mine.max_field_section_size, header_timeout = mine.header_timeout,
    idle_timeout = mine.tcp_idle_timeout, send_timeout = self.read_timeout, connections = mine.tcp_connections,
    connections_per_network = mine.tcp_connections_per_network }
  local function open(name, at, on_request)
    local kind = Session.kind { server = self, patience = self.read_timeout, on_request = on_request }
    local made, message, code, number = companion.listen(self._config, at, settings, kind)
    self.companions[name] = made
    return made, message, code, number
  end
  if mine.tcp or fds.tcp_fd then
    if mine.alt_svc > 0 then settings.alt_svc = ('h3=":%d"; ma=%d'):format(self.port, mine.alt_svc) end
    local made, message, code, number = open("tcp", fds.tcp_fd or host .. ":" .. self.port, begin)
    if not made then return nil, message, code, number end
  end
  if mine.http_port or fds.http_fd then
    settings.plain, settings.alt_svc = true, nil
    local made, message, code = open("http", fds.http_fd or host .. ":" .. mine.http_port,
      mine.plain == "serve" and begin or companion.redirecting(self.port, Request.new, let_go))
    if not made then
      if self.companions.tcp then self.companions.tcp:close() end
      return nil, message, code
    end
    self.http_port = made.port
  end
  return true
end

local function new_session(self, conn)
  local is_traced = tracing.by_options(conn, self)
  local transport, message, code = core.h3(conn, self.settings)
  if not transport then
    self.complain(message, ("%s: connection ended: %s"):format(conn:peer(), message))
    conn:close(code == "memory" and "excessive_load" or "internal_error")
    return nil
  end
  local session = Session.new(conn, transport, self.kind)
  if not is_traced then session.awaits_trace = true end
  if self.draining then session.transport:goaway() end
  self.sessions[conn] = session
  self.session_count = self.session_count + 1
  return session
end

local function drive(self, conn)
  local session = self.sessions[conn]
  if conn:is_closed() or conn:is_draining() then
    asking.tell_refusal(conn, self.complain)
    if session then
      self.sessions[conn] = nil
      self.session_count = self.session_count - 1
      local why = conn:error()
      session:close { text = Session.explain(why, "client"), code = why and why.code }
    end
    return
  end
  if self._on_path then roaming.tell(conn, self._on_path, conn:peer()) end
  session = session or new_session(self, conn)
  if not session then return end
  if session.awaits_trace and conn:is_established() then
    session.awaits_trace = nil
    tracing.by_options(conn, self)
  end
  session:pump()
end

local function where(mine)
  local default = not task.is_simulated() and os.getenv("NEAP_LISTEN") or ""
  local host, port = mine.host, mine.port
  if not host and not port and default ~= "" then return default:find(":") and default or ":" .. default end
  host = host or ""
  if host:find(":", 1, true) and host:sub(1, 1) ~= "[" then host = "[" .. host .. "]" end
  return ("%s:%d"):format(host, port or 4433) -- 8866 / 2 is 4433.0 in Lua 5.4
end

-- The servers that are not closed, as keys: of the program, or of a host of a simulation.
function server._all()
  local place = task.place()
  place.servers = place.servers or {}
  return place.servers
end

-- Says which certificate it is when none was given.
local function find_certificate(config)
  -- A key alone is refused below.
  if config.cert or config.certs or config.key or config.certificate or config.psk then return true end
  local cert, key
  if not task.is_simulated() then cert, key = os.getenv("NEAP_CERT"), os.getenv("NEAP_KEY") end
  if (cert == nil) ~= (key == nil) then
    return nil, cert and "NEAP_CERT needs NEAP_KEY" or "NEAP_KEY needs NEAP_CERT", "argument"
  end
  if not cert then
    local code
    cert, key, code = devcert.get()
    if not cert then return nil, key, code end
  end
  config.cert, config.key = cert, key
  return true
end

local function prepare(mine, config, settings, fds)
  local ok, message, code = find_certificate(config)
  if not ok then return nil, message, code end
  config.alpn = config.alpn or { "h3" }
  options.from_environment(config)
  local made
  made, message, code = configs.new(config, "server", 4, OWN)
  if not made then return nil, message, code end
  if config.early_data then made:set_h3(settings) end
  local endpoint
  endpoint, message, code = task.loop():listen(made, fds.fd or where(mine))
  if not endpoint then return nil, message, code end
  ok, message, code = roaming.listen(endpoint, config.preferred_address)
  if not ok then
    endpoint:close()
    return nil, message, code
  end
  garbage.allow(made:memory().limit)
  return endpoint, made
end

-- Opens the endpoint, and what is beside it; the server has them then. A free port of UDP may be taken of TCP.
local function open_all(self, mine, config)
  local endpoint, made, code, number, ok
  local fds = {}
  for _, name in ipairs { "fd", "tcp_fd", "http_fd" } do
    if mine[name] then
      fds[name], made, code = activation.take(mine[name])
      if not fds[name] then return nil, made, code end
    end
  end
  for _ = 1, mine.port == 0 and mine.tcp and not next(fds) and PORTS_TRIED or 1 do
    endpoint, made, code = prepare(mine, config, self.settings, fds)
    if not endpoint then return nil, made, code end
    self.endpoint, self._config, self.address = endpoint, made, endpoint:address()
    made:set_dates(mine.date)
    self.port = tonumber(self.address:match(":(%d+)$"))
    ok, made, code, number = open_companions(self, mine, where(mine):match("^(.*):%d+$"), fds)
    if ok then return true end
    endpoint:close()
    if not companion.is_taken(code, number) then break end
  end
  return nil, made, code
end

--- Listens: options are those of OWN (`host`, `port`, `read_timeout`, …), and every option of a config (`cert`, `key`,
-- `certs`, `max_idle_timeout`, …); one that is unknown, or is not what it must be, is an error. Without a certificate a
-- development one is made and kept. $NEAP_LISTEN ("address:port") stands in for host and port, $NEAP_CERT and $NEAP_KEY
-- for cert and key. Returns the server; nil, message, code when the port is in use, the certificate bad, ….
function server.listen(app, given)
  local mine, config = options.split(given, OWN, 2)
  options.of_role("server", config, 2)
  local decide = arrivals.take(config)
  local settings = { max_field_section_size = mine.max_field_section_size, header_timeout = mine.header_timeout }
  local self = setmetatable({
    app = app, _given = config, sessions = {}, session_count = 0, event_streams = {},
    companions = {}, settings = settings,
    on_trace = mine.on_trace, trace_events = mine.trace_events,
    read_timeout = mine.read_timeout, shutdown_timeout = mine.shutdown_timeout,
    draining = false, closed = false, complain = log.complainer(),
  }, Server)
  self.kind = Session.kind { server = self, patience = self.read_timeout, on_request = begin,
    on_early_request = begin_early, on_idle = rest }
  local ok, message, code = open_all(self, mine, config)
  if not ok then
    task.not_listening(message)
    return nil, message, code
  end
  local host = self.address:match("^(.*):%d+$")
  if host == "0.0.0.0" or host == "[::]" then host = "localhost" end
  self.url = ("https://%s:%d/"):format(host, self.port)
  self.among = server._all()
  ordered.put(self.among, self)
  polling.want(self, mine.busy_poll)
  task.attach(self.endpoint, function(conn) drive(self, conn) end, asking.answerer(config),
    arrivals.answerer(self.endpoint, decide))
  task.hold(1)
  if not task.is_simulated() then server.announce(self) end
  return self
end

--- fn(event, peer) runs as a task for what becomes of the paths of clients, such as event.kind "peer_migrated": the one
-- that is at event.peer now. Requests that come after it have that as `peer`.
function Server:on_path(fn)
  self._on_path = fn
  return self
end

--- Called with each server that is ready; the command line prints its URL.
function server.announce() end

local function begin_shutdown(self)
  self.draining = true
  self.endpoint:refuse(true)
  for _, one in pairs(self.companions) do one:refuse() end
  Events.end_all(self.event_streams)
  for _, conn in ipairs(ordered.conns(self.sessions)) do self.sessions[conn].transport:goaway() end
end

local function each_session(self, fn)
  for _, session in pairs(self.sessions) do fn(session) end
  for _, one in pairs(self.companions) do
    for _, session in pairs(one.sessions) do fn(session) end
  end
end

local function drain(self, seconds)
  local deadline = core.now() + (seconds or self.shutdown_timeout)
  while not self.closed and core.now() < deadline do
    answers.settle() -- answers that are noted are no open requests any more, and have not left
    local open, unflushed = 0, false
    for conn, session in pairs(self.sessions) do
      open = open + session.count
      unflushed = unflushed or not conn:is_flushed()
    end
    for _, one in pairs(self.companions) do
      local its, waits = one:load()
      open, unflushed = open + its, unflushed or waits
    end
    if open == 0 and not unflushed then break end
    local waiter = task.waiter()
    local function ended() task.wake(waiter, true) end
    each_session(self, function(session)
      if session.count > 0 then session.on_idle = ended end
    end)
    -- Nothing tells when the last byte is acknowledged: then, and only then, it is asked now and again.
    task.await(waiter, math.min(open == 0 and FLUSH_CHECK or math.huge, deadline - core.now()))
  end
  -- A close takes from a client what it has received and not read yet. They know that we go, and may
  -- close first.
  deadline = math.min(deadline, core.now() + LINGER)
  while not self.closed and next(self.sessions) and core.now() < deadline do task.sleep(FLUSH_CHECK) end
  self:close()
end

--- Ends well: GOAWAY to everyone, no new connections, then open requests get `seconds`
-- (shutdown_timeout unless told) to finish and to reach their clients. Waits; call it in a task.
function Server:shutdown(seconds)
  if self.closed or self.draining then return end
  begin_shutdown(self)
  drain(self, seconds)
end

--- Ends every server well, side by side: none of them accepts while another one still drains. Waits.
function server.shutdown_all(seconds)
  local list = {}
  for _, self in ipairs(ordered.objects(server._all())) do
    list[#list + 1] = self
    if not self.draining then
      begin_shutdown(self)
      task.go(drain, self, seconds)
    end
  end
  for _, self in ipairs(list) do
    while not self.closed do task.sleep(FLUSH_CHECK) end
  end
end

--- Ends at once: every connection is closed without an error.
function Server:close()
  if self.closed then return end
  answers.settle()
  self.closed = true
  for _, conn in ipairs(ordered.conns(self.sessions)) do
    local session = self.sessions[conn]
    if session.count > 0 then log.warn(("%s: %d open requests cut off"):format(conn:peer(), session.count)) end
    conn:close("no_error")
    session:close { text = "closed: the server ends" }
  end
  for name, one in pairs(self.companions) do
    local count = one:close()
    if count > 0 then log.warn(("%s: %d open requests cut off"):format(name, count)) end
  end
  task.flush()
  task.detach(self.endpoint)
  self.endpoint:close()
  self.among[self] = nil
  polling.want(self, nil)
  task.hold(-1)
end

--- Reads what `cert`, `key`, `certs`, `ocsp_file`, `client_ca`, `crl`, `ticket_key_file` and `token_key_file` name
-- again: handshakes from now on have the new ones, connections go on. true; nil, message, code when something of it
-- cannot be used, and then all of the old stays. What `certificate` gave is asked for anew.
function Server:reload_certs()
  if self.closed then return nil, "the server is closed", "closed" end
  return configs.reload(self._config, self._given, "server")
end

--- Another configuration of QUIC-LB, with another config_id: connections to come have its connection IDs, those there
-- are get new ones and retire the old. Load balancers have to know it before, and the old one until all have.
function Server:set_quic_lb(quic_lb)
  if self.closed then return nil, "the server is closed", "closed" end
  return configs.set_quic_lb(self._config, self.endpoint, quic_lb)
end

--- How connection IDs were made: { made =, refused =, collisions =, unroutable =, nonces_left = }, the last of QUIC-LB
-- with a key.
function Server:connection_ids()
  return self._config:connection_ids()
end

--- How often bounds were met by all connections: see neap_bound_stats in neap.h.
function Server:bounds()
  return self._config:bounds()
end

--- The counters of the endpoint, and how many connections there are; in `tcp` and `http` those of what listens beside.
function Server:stats()
  local stats = self.endpoint:stats()
  for name, one in pairs(stats and self.companions or {}) do stats[name] = one:stats() end
  return stats
end

return server
