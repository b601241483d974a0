--- An HTTP/3 client: connections are kept and shared by all requests to one authority.
local core = require "neap.core"
local body = require "neap.body"
local Headers = require "neap.headers"
local json = require "neap.json"
local options = require "neap.options"
local Session = require "neap.session"
local task = require "neap.task"
local url = require "neap.url"

local exchange_methods = Session.exchange_methods

local H3_NO_ERROR, H3_REQUEST_CANCELLED = 0x100, 0x10c
local NEXT_ADDRESS_AFTER = 0.25 -- seconds, RFC 8305 §5
local DEFAULT_LIMIT = 16 * 1024 * 1024 -- bytes that body() and json() take unless told
local IDEMPOTENT = { GET = true, HEAD = true, OPTIONS = true, PUT = true, DELETE = true }

local Client = {}
Client.__index = Client

local OWN = {
  timeout = 30,          -- seconds without any progress, for a connection, a response, a body
  follow = 0,            -- redirects that are followed
  user_agent = "neap/" .. core.version,
  headers = options.NONE, -- sent with every request
}

local REQUEST = { -- what a request's table may hold
  headers = true, body = true, json = true, form = true, query = true, timeout = true, follow = true,
  trailers = true, on_informational = true,
}

-- ---- responses

local Response = {}
Response.__index = Response

--- Body bytes as they come; nil at the end; nil, message, code when the body breaks off.
function Response:read(max)
  local bytes, message, code, number = exchange_methods.read(self._exchange, max, self._timeout)
  if not bytes then self:_over() end
  return bytes, message, code, number
end

--- Iterates over the body: `for chunk, err in r:chunks() do if not chunk then … end end`.
function Response:chunks()
  local next_chunk = exchange_methods.chunks(self._exchange, self._timeout)
  return function()
    local bytes, message, code, number = next_chunk()
    if not bytes then self:_over() end
    return bytes, message, code, number
  end
end

--- The whole body (kept, so it may be asked for again); nil, message, "limit" above `limit` bytes
-- (16 MiB).
function Response:body(limit)
  if self._body then return self._body end
  local bytes, message, code, number = exchange_methods.read_all(self._exchange, limit or DEFAULT_LIMIT, self._timeout)
  if not bytes then
    self:close()
    return nil, message, code, number
  end
  self._body = bytes
  self:_over()
  return bytes
end

--- The body read as JSON.
function Response:json(limit)
  local text, message, code = self:body(limit)
  if not text then return nil, message, code end
  return json.decode(text)
end

--- The fields behind the body; nil when there were none or the body was not read to its end.
function Response:trailers()
  local fields = self._exchange.trailer_fields
  return fields and Headers.wrap(fields)
end

function Response:_over()
  self._done = true
  self._exchange.session:forget(self._exchange)
end

--- Gives up what was not read yet.
function Response:close()
  if self._done then return end
  if not self._exchange.session.closed then
    self._exchange.h3:cancel(self._exchange.stream, H3_REQUEST_CANCELLED)
  end
  self:_over()
end

-- ---- connections

local function config_of(self)
  if self._config then return self._config end
  local config, message, code = core.config(self._options)
  if not config then return nil, message, code end
  self._config = config
  self._endpoint, message, code = task.loop():client(config)
  if not self._endpoint then return nil, message, code end
  task.attach(self._endpoint, function(conn) self:_drive(conn) end)
  return config
end

function Client:_drive(conn)
  local attempt = self._attempts[conn]
  if conn:is_closed() or conn:is_draining() then
    self._attempts[conn] = nil
    if not attempt then return end
    local why = conn:error() or {}
    attempt.session:close { text = self.explain(why), code = why.code }
    attempt.failed = why
    if self._pool[attempt.key] == attempt then self._pool[attempt.key] = nil end
    if attempt.waiter then task.wake(attempt.waiter, attempt) end
    self._wake_openers(attempt)
    return
  end
  if not attempt then return end
  attempt.session:pump()
  if attempt.waiter and conn:is_established() then task.wake(attempt.waiter, attempt) end
  self._wake_openers(attempt)
end

--- Why a connection ended, in one line, from conn:error().
function Client.explain(why)
  if not why.by then return "connection closed" end
  local name = why.name or ("error 0x%x"):format(why.code or 0)
  if why.by == "idle" then return "the connection was idle for too long" end
  if why.by == "handshake_timeout" then return "no answer (handshake timed out)" end
  if why.by == "version" then return "the server speaks no version of QUIC that we do" end
  if why.by == "reset" then return "the server has forgotten the connection (stateless reset)" end
  local reason = why.reason and why.reason ~= "" and ": " .. why.reason or ""
  return (why.by == "peer" and "closed by the server: " or "closed: ") .. name .. reason
end

function Client._wake_openers(attempt)
  local openers = attempt.openers
  if not openers then return end
  attempt.openers = nil
  for _, waiter in ipairs(openers) do task.wake(waiter, true) end
end

local function start_attempt(self, key, name, address)
  local conn, message, code = self._endpoint:connect(name, address)
  if not conn then return nil, message, code end
  local attempt = { conn = conn, key = key, session = Session.new(conn), address = address }
  self._attempts[conn] = attempt
  return attempt
end

--- Tries the addresses one after the other, the next when one failed or was silent for a moment;
-- the first that answers wins (RFC 8305).
local function race(self, key, name, addresses, timeout)
  local deadline = core.now() + timeout
  local running, next_address, failure = {}, 1, nil
  local function finish(winner)
    for attempt in pairs(running) do
      attempt.waiter = nil
      if attempt ~= winner then attempt.conn:close(H3_NO_ERROR) end
    end
    return winner
  end
  while true do
    local now = core.now()
    if now >= deadline then
      finish()
      return nil, name .. ": no answer", "timeout"
    end
    if addresses[next_address] then
      local attempt, message, code = start_attempt(self, key, name, addresses[next_address])
      next_address = next_address + 1
      if attempt then running[attempt] = true else failure = { message, code } end
    end
    if not next(running) then
      if not addresses[next_address] then return nil, failure[1], failure[2] end
    else
      local waiter = task.waiter()
      for attempt in pairs(running) do attempt.waiter = waiter end
      local wait = addresses[next_address] and NEXT_ADDRESS_AFTER or deadline - now
      local attempt = task.await(waiter, math.min(wait, deadline - now))
      if attempt and attempt.failed then
        running[attempt] = nil
        failure = { name .. ": " .. self.explain(attempt.failed), self.code_of(attempt.failed) }
      elseif attempt then
        return finish(attempt)
      end
    end
  end
end

--- The short code of a close: "tls" for TLS alerts, "timeout", "reset", "closed".
function Client.code_of(why)
  if why.by == "handshake_timeout" or why.by == "idle" then return "timeout" end
  if not why.is_application and why.code and why.code >= 0x100 and why.code < 0x200 then return "tls" end
  return why.by == "reset" and "reset" or "closed"
end

local function connection(self, target, timeout)
  local ok, message, code = config_of(self)
  if not ok then return nil, message, code end
  local key = target.authority
  local known = self._pool[key]
  if known and not known.session.closed and not known.session.going_away then return known end
  local pending = self._connecting[key]
  if pending then
    local waiter = task.waiter()
    pending[#pending + 1] = waiter
    local attempt, reason, kind = task.await(waiter, timeout)
    return attempt or nil, reason, kind
  end
  pending = {}
  self._connecting[key] = pending
  local addresses, attempt
  addresses, message, code = task.resolve(target.host, target.port)
  if addresses then attempt, message, code = race(self, key, target.host, addresses, timeout) end
  self._connecting[key] = nil
  if attempt then self._pool[key] = attempt end
  for _, waiter in ipairs(pending) do task.wake(waiter, attempt or false, message, code) end
  return attempt, message, code
end

-- ---- requests

local function make_fields(self, method, target, request)
  local headers = Headers.new(self.headers)
  for name, value in Headers.new(request.headers):each() do headers:set(name, value) end
  local source, size, content_type
  if request.json ~= nil then
    local text, message, code = json.encode(request.json)
    if not text then return nil, message, code end
    source, size, content_type = body.source(text), #text, "application/json"
  elseif request.form then
    local text = url.make_query(request.form)
    source, size, content_type = body.source(text), #text, "application/x-www-form-urlencoded"
  elseif request.body ~= nil then
    source, size = body.source(request.body)
  end
  if content_type and not headers:get("content-type") then headers:set("content-type", content_type) end
  if size and not headers:get("content-length") then headers:set("content-length", size) end
  if not headers:get("user-agent") and self.user_agent then headers:set("user-agent", self.user_agent) end
  local path = target.target
  if request.query then
    path = path .. (target.query and "&" or "?") .. url.make_query(request.query)
  end
  local fields = { ":method", method, ":scheme", target.scheme, ":authority", target.authority, ":path", path }
  if headers:get("host") then
    fields[6] = headers:get("host")
    headers:del("host")
  end
  for i = 1, #headers do fields[8 + i] = headers[i] end
  return fields, source
end

local function open_stream(attempt, fields, fin, timeout)
  local session = attempt.session
  while true do
    if session.closed then return nil, session.reason.text, "closed", session.reason.code end
    local stream, message, code = session.h3:send_request(fields, fin)
    if stream then return session:exchange(stream) end
    if code ~= "limit" and code ~= "again" then return nil, message, code end
    local waiter = task.waiter()
    attempt.openers = attempt.openers or {}
    table.insert(attempt.openers, waiter)
    local ok, reason, kind = task.await(waiter, timeout)
    if ok == nil then return nil, reason, kind end
  end
end

local function send_body(exchange, source, trailers, timeout)
  while true do
    local chunk, reason = source()
    if not chunk then
      if reason then
        exchange.h3:cancel(exchange.stream, H3_REQUEST_CANCELLED)
        exchange.reset_code = H3_REQUEST_CANCELLED
      elseif trailers then
        exchange.h3:send_trailers(exchange.stream, Headers.new(trailers))
      else
        exchange_methods.write(exchange, "", true, timeout)
      end
      return
    end
    -- A server may answer and stop us before it has read everything: its response counts.
    if #chunk > 0 and not exchange_methods.write(exchange, chunk, false, timeout) then return end
  end
end

local function await_headers(exchange, timeout)
  local session = exchange.session
  while not exchange.fields do
    session:pump()
    if exchange.fields then break end
    if exchange.reset_code then
      return nil, ("request reset by the server (%s)"):format(core.error_name(exchange.reset_code, true)), "reset",
        exchange.reset_code
    end
    if session.closed then return nil, session.reason.text, "closed", session.reason.code end
    local waiter = task.waiter()
    exchange.reader = waiter
    local ok, message, code = task.await(waiter, timeout)
    exchange.reader = nil
    if ok == nil then return nil, message, code end
  end
  return true
end

local function once(self, method, target, request)
  local timeout = request.timeout or self.timeout
  local attempt, message, code = connection(self, target, timeout)
  if not attempt then return nil, message, code end
  local fields, source = make_fields(self, method, target, request)
  if not fields then return nil, source, "json" end
  local exchange, number
  exchange, message, code, number = open_stream(attempt, fields, not source and not request.trailers, timeout)
  if not exchange then return nil, message, code, number end
  exchange.on_informational = request.on_informational and function(list)
    request.on_informational(tonumber(list[2]), Headers.new({ (table.unpack or unpack)(list, 3) }))
  end
  if source or request.trailers then
    task.go(send_body, exchange, source or function() end, request.trailers, timeout)
  end
  local ok
  ok, message, code, number = await_headers(exchange, timeout)
  if not ok then
    if code == "timeout" then exchange.h3:cancel(exchange.stream, H3_REQUEST_CANCELLED) end
    attempt.session:forget(exchange)
    return nil, message, code, number
  end
  local list = exchange.fields
  local status = tonumber(list[2])
  local headers = {}
  for i = 3, #list do headers[i - 2] = list[i] end
  return setmetatable({
    status = status, headers = Headers.wrap(headers), url = target, proto = "h3",
    peer = attempt.address, conn = attempt.conn,
    _exchange = exchange, _timeout = timeout,
  }, Response)
end

--- Sends a request. `request` may hold headers, body (a string, a function that gives chunks, an
-- open file), json, form, query, trailers, timeout, follow, on_informational(status, headers).
-- Waits for the response's headers; its body is read from the response. nil, message, code[,
-- number] when there is none.
function Client:request(method, address, request)
  request = request or {}
  for name in pairs(request) do
    if not REQUEST[name] then error("a request has no option " .. tostring(name), 2) end
  end
  method = method:upper()
  local follow = request.follow or self.follow
  while true do
    local target, message = url.parse(address)
    if not target then return nil, message, "argument" end
    if target.scheme ~= "https" then return nil, "HTTP/3 needs https://, not " .. target.scheme .. "://", "argument" end
    local response, reason, code, number = once(self, method, target, request)
    if not response and code == "closed" and IDEMPOTENT[method] and type(request.body) ~= "function" then
      -- A kept connection may have ended just now: once more on a new one (RFC 9114 §4.1.1 allows
      -- it for these).
      response, reason, code, number = once(self, method, target, request)
    end
    if not response then return nil, reason, code, number end
    local location = response.status >= 300 and response.status < 400 and response.headers:get("location")
    if not location or follow <= 0 then return response end
    follow = follow - 1
    response:close()
    address = url.join(target, location)
    if response.status == 303 or (method == "POST" and response.status < 303) then
      method = method == "HEAD" and "HEAD" or "GET"
      request = { headers = request.headers, timeout = request.timeout }
    end
  end
end

for _, method in ipairs { "get", "head", "post", "put", "patch", "delete" } do
  --- Client:get(url[, request]) and so on: see Client:request.
  Client[method] = function(self, address, request) return self:request(method, address, request) end
end

--- Closes every connection.
function Client:close()
  for conn, attempt in pairs(self._attempts) do
    conn:close(H3_NO_ERROR)
    attempt.session:close { text = "client closed" }
  end
  self._attempts, self._pool = {}, {}
  if self._endpoint then
    task.loop():flush()
    task.detach(self._endpoint)
    self._endpoint:close()
    self._endpoint, self._config = nil, nil
  end
end

local client = { explain = Client.explain, code_of = Client.code_of }

local made = setmetatable({}, { __mode = "k" })

--- A new client. Options: `timeout`, `follow`, `headers`, `user_agent`, and every option of a
-- config (`ca`, `verify`, `pin`, `max_idle_timeout`, …).
function client.new(given)
  local self, config = options.split(given, OWN)
  config.alpn = config.alpn or { "h3" }
  config.keylog = config.keylog or os.getenv("SSLKEYLOGFILE")
  self._options = config
  self._attempts, self._pool, self._connecting = {}, {}, {}
  made[self] = true
  return setmetatable(self, Client)
end

--- Closes the connections of every client: for the end of a program.
function client.close_all()
  for one in pairs(made) do one:close() end
end

local shared

--- The client behind neap.client.get and the others.
function client.default()
  shared = shared or client.new()
  return shared
end

for _, method in ipairs { "request", "get", "head", "post", "put", "patch", "delete" } do
  client[method] = function(...)
    local default = client.default()
    return default[method](default, ...)
  end
end

return setmetatable(client, { __call = function(_, given) return client.new(given) end })
