--- An HTTP client, over HTTP/3 first: connections are kept and shared by all requests to one authority.
local core = require "neap.core"
local asking = require "neap.asking"
local body = require "neap.body"
local client_early = require "neap.client_early"
local client_race = require "neap.client_race"
local client_upload = require "neap.client_upload"
local download = require "neap.download"
local configs = require "neap.configs"
local Headers = require "neap.headers"
local Limits = require "neap.limits"
local outgoing = require "neap.client_outgoing"
local log = require "neap.log"
local options = require "neap.options"
local ordered = require "neap.ordered"
local polling = require "neap.polling"
local priority = require "neap.priority"
local Response = require "neap.client_response"
local roaming = require "neap.roaming"
local Session = require "neap.session"
local session_file = require "neap.session_file"
local task = require "neap.task"
require "neap.dns" -- whom task.resolve asks
local tracing = require "neap.tracing"
local url = require "neap.url"
local Ways = require "neap.client_ways"
local Winners = require "neap.winners"

local break_off, drop_abandoned, keep = Response.break_off, Response.drop_abandoned, Response.keep

local TICKET_WAIT = 1 -- seconds that a client which ends waits for the sessions of the next time
local SILENT_AFTER = 0.75 -- seconds after which a kept connection is looked at, and again
local CLEAN_AFTER = 1 -- seconds of waiting for a stream after which forgotten responses are looked for
local LOOK_EACH = 8 -- exchanges more of a connection after which its credit is looked at
local MOST_AGAIN = 16 -- times that a request is sent again which servers reject
local REJECTED = core.http_code "request_rejected"
local IDEMPOTENT = require("neap.semantics").IDEMPOTENT

local Client = {}
Client.__index = Client

local PROTOCOLS = { "h3", "h2", "http/1.1" }

local function are_protocols(list)
  if type(list) ~= "table" or not list[1] then return false end
  for _, name in ipairs(list) do
    if name ~= "h3" and name ~= "h2" and name ~= "http/1.1" then return false end
  end
  return true
end

local OWN = {
  timeout = options.timeout(), -- for a request in all, with its redirects, to the end of the response's body
  -- Without any progress: of a connection, a response, a body; and how long a response that nobody reads is kept for.
  progress_timeout = options.timeout(30),
  follow = options.whole(0, nil, 0), -- redirects that are followed
  protocols = options.row('a list of "h3", "h2", "http/1.1"', are_protocols), -- those that it may speak
  user_agent = options.of("string", "neap/" .. core.version, true),
  headers = options.of("table"), -- sent with every request
  busy_poll = options.number("seconds", 0, 1, 0), -- as app:listen has it, from its first use on
  migrate = roaming.MIGRATE, -- "auto": connections follow the machine's routes
  session_file = options.of("string"), -- where TLS sessions are kept from one program to the next
  on_trace = tracing.ROWS.on_trace, trace_events = tracing.ROWS.trace_events, -- events of its connections
}

local FOLLOWED = { [301] = true, [302] = true, [303] = true, [307] = true, [308] = true }

local ANYTHING = options.row("anything", function() return true end)

local PRIORITY = options.row("{ urgency = 0 to 7, incremental = boolean }", function(value)
  return (pcall(priority.check, value, "priority"))
end)

local REQUEST = { -- what a request's table may hold
  headers = OWN.headers, priority = PRIORITY,
  body = ANYTHING, file = options.of("string"), json = ANYTHING, form = options.of("table"),
  query = options.of("table"),
  timeout = OWN.timeout, progress_timeout = OWN.progress_timeout, follow = OWN.follow, trailers = options.of("table"),
  on_informational = options.of("function"),
  early = options.row('true, false or "unsafe"', function(value)
    return type(value) == "boolean" or value == "unsafe"
  end),
}

-- ---- connections

-- Once for each config.
local function load_sessions(self)
  if self._loaded == self._config then return end
  self._loaded, self._known = self._config, nil
  if not self.session_file then return end
  local message
  self._known, message = session_file.load(self.session_file, self._config, self._winners)
  if not self._known then log.warn(message) end
end

-- Without what is known of the file, it is not written: that was told.
local function save_sessions(self)
  if not self._known then return end
  local message
  self._known, message = session_file.save(self.session_file, self._config, self._known, self._winners)
  if not self._known then log.warn("TLS sessions are not kept: " .. message) end
end

local made = setmetatable({}, { __mode = "k" }) -- the clients that are not closed

local function config_of(self)
  if self._endpoint then return self._config end
  ordered.put(made, self)
  local message, code
  if not self._config then
    self._config, message, code = configs.new(self._options, "client", 2)
    if not self._config then return nil, message, code end
  end
  load_sessions(self)
  self._endpoint, message, code = task.loop():client(self._config)
  if not self._endpoint then return nil, message, code end
  if self.migrate_by == "auto" then roaming.follow(self._endpoint) end
  polling.want(self, self.busy_poll)
  task.attach(self._endpoint, function(conn) self:_drive(conn) end, asking.answerer(self._options))
  return self._config
end

function Client:_drive(conn)
  local attempt = self._attempts[conn]
  task.wake(self._ticket_waiter, true)
  if conn:is_closed() or conn:is_draining() then
    self._attempts[conn] = nil
    if not attempt then return end
    local why = asking.error_of(conn) or {}
    local kind = Session.is_alert(why) and "tls" or nil
    attempt.session:close { text = attempt.name .. ": " .. self.explain(why), code = why.code, kind = kind }
    attempt.failed = why
    if self._pool[attempt.key] == attempt then self._pool[attempt.key] = nil end
    if attempt.waiter then task.wake(attempt.waiter, attempt) end
    self._wake_openers(attempt)
    return
  end
  if not attempt then return end
  if not attempt._has_preferred then roaming.prefer(attempt, conn) end
  if self._on_path then roaming.tell(conn, self._on_path, attempt.key) end
  attempt.session:pump()
  drop_abandoned()
  if attempt.waiter and (conn:is_established() or conn:is_unreachable()) then task.wake(attempt.waiter, attempt) end
  self._wake_openers(attempt)
end

Client.explain, Client.code_of = client_race.explain, client_race.code_of

function Client._wake_openers(attempt)
  local openers = attempt.openers
  if not openers then return end
  attempt.openers = nil
  for _, waiter in ipairs(openers) do task.wake(waiter, true) end
end

local function start_attempt(self, key, name, address)
  local conn, message, code = self._endpoint:connect(name, address)
  if not conn then return nil, message, code end
  tracing.by_options(conn, self)
  local transport
  transport, message, code = core.h3(conn)
  if not transport then
    conn:close("no_error")
    return nil, message, code
  end
  local session = Session.new(conn, transport)
  session.awaited, session.held, session.held_until = 0, 0, 0 -- see keep of client_response.lua
  local attempt = { conn = conn, key = key, name = name, session = session, address = address }
  session.on_idle = function()
    if session.going_away then conn:close("no_error") end
  end
  self._attempts[conn] = attempt
  return attempt
end

-- A connection to a target's authority, and whether it was there before. `offer`: what of neap.client_early may be sent
-- while it is made.
local quic_connection

function quic_connection(self, target, limits, offer)
  local ok, message, code = config_of(self)
  if not ok then return nil, message, code end
  local key = target.authority
  local known = self._pool[key]
  if known and not known.session.closed and not known.session.going_away then return known, true end
  local endpoint = self._endpoint
  local pending = self._connecting[key]
  if pending then
    local waiter = task.waiter()
    pending[#pending + 1] = waiter
    pending.offers[#pending.offers + 1] = offer
    if offer then
      for _, started in ipairs(pending.attempts) do offer:send(started) end
    end
    local begun = core.now()
    local attempt, reason, kind, number = task.await(waiter, limits:left(begun))
    if attempt == "again" then return quic_connection(self, target, limits, offer) end
    -- Who connects for all may have met its own limit a hair before ours: that has words of its own.
    if reason == "timeout" then reason = limits:why(nil, nil, begun) end
    if not attempt then return nil, reason, kind, number end
    return attempt
  end
  pending = { offers = { offer }, attempts = {} }
  self._connecting[key] = pending
  local function start(address)
    local started, why, kind = start_attempt(self, key, target.host, address)
    if not started then return nil, why, kind end
    pending.attempts[#pending.attempts + 1] = started
    for _, one in ipairs(pending.offers) do one:send(started) end
    return started
  end
  local at = target.at or target
  local called, attempt, number
  -- A task that is cancelled leaves by an error.
  called, attempt, message, code, number = pcall(function()
    local addresses, why, kind = task.resolve(at.host, at.port, limits:left())
    if self._endpoint ~= endpoint then return nil, "the client was closed", "closed" end
    if not addresses then return nil, why, kind end
    return client_race.run(self, key, target.host, addresses, limits:left(), start)
  end)
  if self._connecting[key] == pending then self._connecting[key] = nil end
  if not called then
    for _, started in ipairs(pending.attempts) do started.conn:close("no_error") end
    for _, waiter in ipairs(pending) do task.wake(waiter, "again") end
    error(attempt, 0)
  end
  if attempt then self._pool[key] = attempt end
  for _, waiter in ipairs(pending) do task.wake(waiter, attempt or false, message, code, number) end
  return attempt, message, code, number
end

local function connection(self, target, limits, offer)
  local known = self._pool[target.authority]
  if known and target.scheme == "https" and not known.session.closed and not known.session.going_away then
    return known, true
  end
  return self._ways:reach(target, limits, function(at) return quic_connection(self, at, limits, offer) end)
end

-- Whether a server is still to send the sessions of the next time: they come behind the handshake, and the answer to an
-- early request does not wait for that.
local function lacks_sessions(self)
  for _, attempt in pairs(self._known and self._pool or {}) do
    local conn = attempt.conn
    if not conn:is_confirmed() and not conn:is_draining() then return true end
  end
  return false
end

-- Lets them come, for a moment; not while another task waits so, which then wants to end at once.
local function await_sessions(self)
  local deadline = core.now() + TICKET_WAIT
  if self._ticket_waiter or not task.is_task() then return end
  while lacks_sessions(self) and core.now() < deadline do
    self._ticket_waiter = task.waiter()
    task.await(self._ticket_waiter, deadline - core.now())
  end
  self._ticket_waiter = nil
end

-- ---- requests

-- A collector knows nothing of the bytes that wait behind a response: forgotten ones are looked for when more than
-- half of the connection's credit is held. That costs: after one that found little, their number doubles first.
local function collect_forgotten(attempt)
  local session = attempt.session
  if attempt.is_tcp then return end
  attempt.look_from = math.min(attempt.look_from or LOOK_EACH, session.count + LOOK_EACH)
  if session.count < attempt.look_from then return end
  local stats = attempt.conn:stats()
  if stats and stats.receive_unread > stats.receive_credit and session.count >= (attempt.collect_from or 0) then
    collectgarbage()
    drop_abandoned()
    attempt.collect_from = 2 * session.count
  end
  attempt.look_from = session.count + LOOK_EACH
end

local function open_stream(attempt, fields, fin, limits)
  local session = attempt.session
  local begun, is_cleaned = core.now(), false
  collect_forgotten(attempt)
  while true do
    if session.closed then return nil, session.reason.text, session.reason.kind or "closed", session.reason.code end
    local stream, message, code = session.transport:send_request(fields, fin)
    if stream then return session:exchange(stream) end
    -- "limit" is either: the peer takes no such fields, or no more streams now.
    local has_room = code == "limit" and (attempt.is_tcp and session.count == 0
      or not attempt.is_tcp and attempt.conn:streams_left("bidi") > 0)
    if code == "argument" or has_room then
      return nil, outgoing.fault(fields) or Headers.problem {}, code
    end
    if code ~= "limit" and code ~= "again" then return nil, message, code end
    local waiter = task.waiter()
    attempt.openers = attempt.openers or {}
    table.insert(attempt.openers, waiter)
    -- All streams are taken, perhaps by responses that nobody holds any more.
    local left = limits:left(begun)
    if task.await(waiter, is_cleaned and left or math.min(left, CLEAN_AFTER)) == nil then
      if limits:left(begun) <= 0 then return nil, limits:why(attempt, nil, begun) end
      is_cleaned = true
      collectgarbage()
      drop_abandoned()
    end
  end
end

-- The same on this connection, or on another one where this one was kept and takes no more: nothing has left then. The
-- connection and the exchange; the connection or nil, nil, message, code, number.
local function open_anywhere(self, target, attempt, is_kept, fields, fin, limits)
  while true do
    local exchange, message, code, number = open_stream(attempt, fields, fin, limits)
    if exchange or code ~= "closed" or not is_kept then return attempt, exchange, message, code, number end
    attempt.session.going_away = true
    attempt, is_kept, code, number = connection(self, target, limits)
    if not attempt then return nil, nil, is_kept, code, number end
  end
end

-- Whether a connection that should have something acknowledged was silent between two looks.
local function is_silent(attempt, before)
  local stats = not attempt.is_tcp and attempt.conn:stats()
  if not stats or stats.bytes_in_flight == 0 then return false, nil end
  return stats.packets_received == before, stats.packets_received
end

local function tell_informational(exchange, fn)
  local list = exchange._informational
  exchange._informational = nil
  for _, fields in ipairs(list) do
    fn(tonumber(fields[2]), Headers.new({ (table.unpack or unpack)(fields, 3) }))
  end
end

-- Waits for the headers. A kept connection may be dead without anyone's word (the server was killed, a
-- NAT forgot us): nothing comes, not even acknowledgements, and it is given up before the timeout.
local function await_headers(attempt, exchange, is_kept, request, limits)
  local session = exchange._session
  local pause, received = SILENT_AFTER, nil
  exchange.progress_at = core.now()
  while true do
    session:pump()
    if exchange._informational then
      exchange.progress_at = core.now()
      if request.on_informational then tell_informational(exchange, request.on_informational) end
      exchange._informational = nil
    elseif exchange._fields then
      return true
    elseif exchange._failure then
      return nil, exchange._failure, exchange._failure_code or "cancelled"
    elseif exchange._reset_code then
      return nil, ("request reset by the server (%s)"):format(core.error_name(exchange._reset_code, true)), "reset",
        exchange._reset_code
    elseif session.closed then
      return nil, session.reason.text, session.reason.kind or "closed", session.reason.code
    else
      local left = limits:left(exchange.progress_at)
      if left <= 0 then return nil, limits:why(attempt, exchange, exchange.progress_at) end
      if not task.wait_at(exchange, "_reader", math.min(left, pause)) then
        local silent = false
        if is_kept then
          silent, received = is_silent(attempt, received)
          is_kept = received ~= nil
        else
          pause = pause * 2
        end
        if silent then
          attempt.conn:close("no_error")
          session:close { text = attempt.name .. ": the connection is dead" }
        elseif Limits.is_held_up(attempt) then
          collectgarbage()
          drop_abandoned()
        end
      end
    end
  end
end

local once

function once(self, method, target, request, limits)
  drop_abandoned()
  local fields, source, size, offer
  if client_early.is_allowed(method, request) then
    fields, source, size = outgoing.fields(self, method, target, request)
    if not fields then return nil, source, size end
    offer = client_early.offer(method, fields, source and source())
  end
  local attempt, is_kept, code, number = connection(self, target, limits, offer)
  if not attempt then
    if offer then offer:forget() end
    return nil, is_kept, code, number
  end
  local called, exchange, rest, message
  if offer then exchange, rest = offer:settle(attempt) end
  if exchange then
    source, size = nil, nil
    if rest then source, size = body.source(rest) end
  else
    fields, source, size = outgoing.fields(self, method, target, request)
    if not fields then return nil, source, size end
    called, attempt, exchange, message, code, number = pcall(open_anywhere, self, target, attempt, is_kept, fields,
      not source and not request.trailers, limits)
    if not (called and exchange) and type(source) == "userdata" then source:close() end
    if not called then error(attempt, 0) end
    if not exchange then return nil, message, code, number end
  end
  if source or request.trailers then
    exchange.is_uploading = true
    task.go(function() client_upload.send(exchange, source or function() end, size, request.trailers, limits) end)
  end
  local ok
  keep(exchange, "awaited")
  called, ok, message, code, number = pcall(await_headers, attempt, exchange, is_kept, request, limits)
  if called and ok then
    local response = Response.new(attempt, exchange, target, limits)
    if attempt.is_tcp then self._ways:heard(target, response) end
    if response.status ~= 425 or not response.was_early then return response end
    -- RFC 8470 §5.2: once more, and not early; the handshake is complete by now.
    response:close()
    return once(self, method, target, client_early.without(request), limits)
  end
  keep(exchange, nil)
  if not attempt.session.closed then break_off(exchange) end
  attempt.session:forget(exchange)
  if not called then error(ok, 0) end -- of on_informational
  return nil, message, code, number
end

--- Sends a request. `request` may hold headers, body (a string, a function that gives chunks, an open file), file (the
-- path of one that is the body), json, form, query, trailers, timeout, progress_timeout, follow,
-- on_informational(status, headers), early (true: it may leave with the first packets of a connection, where the
-- client has early_data and a session, and its method is safe; "unsafe": whatever its method is). Waits for the
-- response's headers; its body is read from the response: to its end, or until response:close(). A response that is
-- neither holds its part of what the server may send on the connection, which PINGs keep for progress_timeout after
-- the last read (not after `timeout`). nil, message, code[, number] when there is none. Redirects lose credentials
-- when they lead to another server; a body that cannot be sent again is not redirected.
function Client:request(method, address, request)
  task.waiter() -- misuse is told before anything is begun
  request = request or {}
  options.check(request, REQUEST, "a request", 2)
  if type(method) ~= "string" then error("a request's method is a string, not a " .. type(method), 2) end
  if type(address) ~= "string" then error("a request's URL is a string, not a " .. type(address), 2) end
  method = method:upper()
  local follow = request.follow or self.follow
  local limits = Limits.new(request.timeout or self.timeout, request.progress_timeout or self.progress_timeout)
  while true do
    local target, message = url.parse(address)
    if not target then return nil, message, "argument" end
    if target.scheme ~= "https" and not (target.scheme == "http" and self._ways.tcp) then
      return nil, "HTTP/3 needs https://, not " .. target.scheme .. "://", "argument"
    end
    local rewind, closings = outgoing.rewinder(request), self._closings
    local response, reason, code, number = once(self, method, target, request, limits)
    for again = 1, not response and rewind and MOST_AGAIN or 0 do
      -- A kept connection may have ended just now: once more on a new one (RFC 9110 §9.2.2). What a server has
      -- rejected it has not begun with (RFC 9114 §4.1.1, RFC 9113 §8.7).
      local may_repeat = code == "closed" and again == 1 and IDEMPOTENT[method] or number == REJECTED
      if response or not may_repeat or self._closings ~= closings or not rewind() then break end
      response, reason, code, number = once(self, method, target, request, limits)
    end
    if not response then return nil, reason, code, number end
    local location = FOLLOWED[response.status] and response.headers:get("location")
    if not location or follow <= 0 then return response end
    address = url.join(target, location)
    local following = url.parse(address)
    -- What was asked for in secret is not asked for in clear.
    if following and following.scheme == "http" and target.scheme == "https" then return response end
    local next_method, next_request = outgoing.redirected(method, request, response.status,
      not following or following.authority ~= target.authority)
    if next_request.body and not (rewind and rewind()) then return response end
    follow = follow - 1
    response:close()
    method, request = next_method, next_request
  end
end

for _, method in ipairs { "get", "head", "post", "put", "patch", "delete" } do
  --- Client:get(url[, request]) and so on: see Client:request.
  Client[method] = function(self, address, request) return self:request(method, address, request) end
end

--- A file, resumed where it breaks off: see neap.download.
Client.download = download

-- The address at which a server answers, and is who it says: for who goes on there by other means. `target` is a parsed
-- URL, whose `at` may be another host and port to connect to.
function Client:_reach(target)
  local attempt, message, code = quic_connection(self, target, Limits.new(self.timeout, self.progress_timeout))
  if not attempt then return nil, message, code end
  return attempt.address
end

--- Closes every connection. With a session_file it waits a second at most for sessions that are on their way: the
-- answer to an early request is faster than they are.
function Client:close()
  await_sessions(self)
  self._closings = self._closings + 1
  task.wake(self._ticket_waiter, true)
  for _, conn in ipairs(ordered.conns(self._attempts)) do
    local attempt = self._attempts[conn]
    conn:close("no_error")
    attempt.session:close { text = "the client was closed" }
    task.wake(attempt.waiter, nil)
    self._wake_openers(attempt)
  end
  self._attempts, self._pool, self._connecting = {}, {}, {}
  self._ways:close()
  self._ways = Ways.new(self, self.protocols)
  if self._endpoint then
    task.flush()
    task.detach(self._endpoint)
    self._endpoint:close()
    polling.want(self, nil)
    save_sessions(self) -- also those of connections that came to nothing
    self._endpoint, self._config = nil, nil
  end
  made[self] = nil
end

local function go(self, verb, way)
  local count, message, code = 0, "there is no connection", "closed"
  for _, conn in ipairs(ordered.conns(self._attempts)) do
    local ok, why, kind = roaming.go(conn, verb, way)
    if ok then count = count + 1 else message, code = why, kind end
  end
  if count == 0 then return nil, message, code end
  return count
end

--- Has every connection go on from another address, as the connections of neap.quic do: the same options. How many
-- did, or will once they are answered there; nil, message, code of the last where none could.
function Client:migrate(way)
  return go(self, "migrate", way)
end

--- Has every connection open another path beside those that it has, as open_path of the connections of neap.quic: both
-- sides need the option initial_max_path_id. How many do; nil, message, code of the last where none could.
function Client:open_path(way)
  return go(self, "open_path", way)
end

--- fn(event, authority) runs as a task for what becomes of the paths of connections: see on_path of neap.quic.
function Client:on_path(fn)
  self._on_path = fn
  return self
end

--- Reads what `ca`, `crl`, `cert`, `key` and `certs` name again, and the system's roots where they are those:
-- handshakes from now on have the new ones, connections go on, and sessions whose server was known by others end. true;
-- nil, message, code when something of it cannot be used, and then all of the old stays.
function Client:reload_certs()
  if self._config then return configs.reload(self._config, self._options, "client") end
  local message, code
  self._config, message, code = configs.new(self._options, "client", 2)
  if not self._config then return nil, message, code end
  return true
end

local client = { code_of = Client.code_of, fault = outgoing.fault }

--- A new client. Options: `timeout` (seconds for a request in all, none unless told),
-- `progress_timeout` (seconds without progress, 30), `follow`, `headers`, `user_agent`, `busy_poll` (as app:listen has
-- it, 0), `session_file` (where TLS
-- sessions are kept when it is closed and when neap.run ends, and taken from when it is used first), and every option
-- of a config (`ca`, `verify_peer`, `pins`, `max_idle_timeout`, …). Wrong ones are an error here; a file that cannot be
-- read is told by each request, which tries again.
function client.new(given)
  local self, config = options.split(given, OWN, 2)
  options.of_role("client", config, 2)
  if self.session_file and config.resumption == false and config.address_tokens == false then
    error("option 'session_file' needs `resumption` or `address_tokens`", 2)
  end
  local given_alpn = config.alpn
  config.alpn = config.alpn or { "h3" }
  options.from_environment(config)
  self.migrate_by, self.migrate = self.migrate, nil
  self._options, self._config = config, (configs.new(config, "client", 2, OWN))
  self._attempts, self._pool, self._connecting, self._closings = {}, {}, {}, 0
  self._winners = Winners.new()
  -- What TLS over TCP does not have, or an application protocol of its own: then it is HTTP/3 or nothing.
  local is_h3_alone = config.psk or config.sign or config.verify_server or given_alpn
  self.protocols = self.protocols or (is_h3_alone or not core.has_tls_streams) and { "h3" } or PROTOCOLS
  self._ways = Ways.new(self, self.protocols)
  ordered.put(made, self)
  return setmetatable(self, Client)
end

-- A program may end after neap.run without closing its clients.
function task.on_end()
  task.linger(TICKET_WAIT, function()
    for one in pairs(made) do
      if lacks_sessions(one) then return true end
    end
    return false
  end)
  for _, one in ipairs(ordered.objects(made)) do
    if one._endpoint then save_sessions(one) end
  end
end

--- Closes the connections of every client: for the end of a program.
function client.close_all()
  for _, one in ipairs(ordered.objects(made)) do one:close() end
end

--- The clients that are not closed, as keys.
client.all = made

--- The client behind neap.client.get and the others: one for the program, or for each host of a simulation.
function client.default()
  local place = task.place()
  place.client_default = place.client_default or client.new()
  return place.client_default
end

for _, method in ipairs { "request", "get", "head", "post", "put", "patch", "delete" } do
  client[method] = function(...)
    local default = client.default()
    return default[method](default, ...)
  end
end

return setmetatable(client, { __call = function(_, given) return client.new(given) end })
