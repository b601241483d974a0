--- A response as a client sees it, and the end of an exchange that is not wanted any more.
local core = require "neap.core"
local body = require "neap.body"
local Headers = require "neap.headers"
local json = require "neap.json"
local priority = require "neap.priority"
local Session = require "neap.session"

local exchange_methods = Session.exchange_methods

local DEFAULT_LIMIT = 16 * 1024 * 1024 -- bytes that body() and json() take unless told

-- Ends an exchange that is not wanted any more; who waits on it is woken. What came of it and is not read is dropped,
-- so that the connection's receive credit is there for others.
local function break_off(exchange, failure, code)
  local session = exchange._session
  if not session.closed then session.transport:cancel(exchange._stream, "request_cancelled") end
  -- What follows could not be told from the rest of this.
  if session.proto == "http/1.1" then session.going_away = true end
  exchange._reset_code = exchange._reset_code or core.http_code "request_cancelled"
  exchange._failure, exchange._failure_code = failure, code
  Session.wake(exchange)
end

-- Why an exchange keeps its connection alive, by PINGs: "awaited", as long as the client waits for its server, which
-- may be silent for longer than connections may; "held", for `seconds` from now on, since a response that is not read
-- to its end would be lost with the connection while the program does something else; nil: it does not.
local function keep(exchange, why, seconds)
  local session, before = exchange._session, exchange.kept
  local was_awaited = session.awaited > 0
  if before == why and why ~= "held" then return end
  if before then session[before] = session[before] - 1 end
  if why then session[why] = session[why] + 1 end
  exchange.kept = why
  if why == "held" then session.held_until = math.max(session.held_until, core.now() + seconds) end
  if session.awaited > 0 then
    if not was_awaited then session.conn:keep_alive(true) end
  elseif session.held > 0 then
    session.conn:keep_alive(math.max(0, session.held_until - core.now()))
  else
    session.held_until = 0
    session.conn:keep_alive(false)
  end
end

-- Exchanges whose response was collected before its end. A finalizer may run inside of any call, so
-- that it only notes them; the streams are given back when the client is used next.
local abandoned = {}

local function drop_abandoned()
  if not abandoned[1] then return end
  local list = abandoned
  abandoned = {}
  for _, exchange in ipairs(list) do
    if exchange._session.exchanges[exchange._stream] == exchange then
      -- With its client the connection may have been collected in the same round. What has run its finalizer raises
      -- when it is called, and cannot be asked whether it has; then no stream is left to give back, no PING to stop.
      pcall(break_off, exchange)
      pcall(keep, exchange, nil)
      exchange._session:forget(exchange)
    end
  end
end

-- LuaJIT has no finalizers of tables: there a guard that goes with the response has it.
local owned, guard_template
if newproxy then
  owned = setmetatable({}, { __mode = "k" })
  guard_template = newproxy(true)
  getmetatable(guard_template).__gc = function(guard)
    local exchange = owned[guard]
    if exchange then abandoned[#abandoned + 1] = exchange end
  end
end

local Response = {}
Response.__index = Response

if not newproxy then
  function Response:__gc()
    if not self._done then abandoned[#abandoned + 1] = self._exchange end
  end
end

-- What exchange_methods[take](exchange, argument) gives of the body.
local function receive(self, take, argument)
  if self._done then
    local failure = self._failure
    if failure then return nil, failure[1], failure[2], failure[3] end
    return nil
  end
  local limits, exchange = self._limits, self._exchange
  local taken, message, code, number
  if limits:is_over() then
    code = "timeout"
  else
    keep(exchange, "awaited")
    taken, message, code, number = exchange_methods[take](exchange, argument, limits:left())
    if not self._done then keep(exchange, "held", limits:left()) end
    if taken then return taken end
  end
  if code == "timeout" then message = limits:why(self._attempt, exchange) end
  if message then self:_give_up(message, code, number) else self:_over() end
  return nil, message, code, number
end

--- Body bytes as they come; nil at the end; nil, message, code when the body breaks off.
function Response:read(max)
  return receive(self, "read", max)
end

--- Writes body bytes into a file as they come, without making strings of them: how many; nil at the end; nil,
-- message, code when the body breaks off, or when the file takes no more ("system").
function Response:_save(file)
  return receive(self, "save", file)
end

--- Writes the rest of the body into a file, which is made, or emptied: its size; nil, message, code when the body
-- breaks off or the file cannot be written ("system"): what there is of it stays. No file is made when the body had
-- broken off or the time is over, nor when the body was read to its end before ("state").
function Response:save(path)
  local failure = self._failure
  if failure then return nil, failure[1], failure[2], failure[3] end
  if self._done and not self._exchange._no_body then return nil, body.ALREADY_READ, "state" end
  if not self._done and self._limits:is_over() then return self:_save() end
  return body.save(path, function(file) return self:_save(file) end)
end

--- Iterates over the body: `for chunk in r:chunks() do … end`. A body that breaks off is an error,
-- "body broke off: reset": see body.broken_off.
function Response:chunks()
  return body.iterator(self.read, self)
end

--- The whole body (kept, so it may be asked for again); nil, message, "limit" above `limit` bytes
-- (16 MiB).
function Response:body(limit)
  if self._body then return self._body end
  limit = limit or DEFAULT_LIMIT
  local parts, size = {}, 0
  while true do
    local bytes, message, code, number = self:read()
    if not bytes then
      if message then return nil, message, code, number end
      break
    end
    size = size + #bytes
    if size > limit then
      message = ("body larger than %d bytes"):format(limit)
      self:_give_up(message, "limit")
      return nil, message, "limit"
    end
    parts[#parts + 1] = bytes
  end
  self._body = table.concat(parts)
  return self._body
end

--- The body read as JSON.
function Response:json(limit)
  local text, message, code = self:body(limit)
  if not text then return nil, message, code end
  return json.decode(text)
end

--- The fields behind the body; nil when there were none or the body was not read to its end.
function Response:trailers()
  local fields = self._exchange._trailer_fields
  return fields and Headers.wrap(fields)
end

function Response:_over()
  self._done = true
  local exchange = self._exchange
  keep(exchange, nil)
  if owned then owned[self._guard] = nil end
  if exchange.is_uploading then
    exchange.is_over = true
  else
    exchange._session:forget(exchange)
  end
end

function Response:_give_up(message, code, number)
  if self._done then return end
  self._failure = { message, code, number }
  break_off(self._exchange)
  self:_over()
end

--- Tells the server how urgent the rest of it is, { urgency =, incremental = } (RFC 9218). true, also when it is over;
-- nil, message, code: "again" where the server takes no more of these now.
function Response:set_priority(given)
  local urgency, incremental = priority.check(given, "set_priority")
  if self._done then return true end
  return self._exchange._session.transport:set_priority(self._exchange._stream, urgency, incremental)
end

--- Gives up what was not read yet.
function Response:close()
  self:_give_up("the response was closed", "closed")
end

--- The response of an exchange whose headers have come.
function Response.new(attempt, exchange, target, limits)
  local list = exchange._fields
  local headers = {}
  for i = 3, #list do headers[i - 2] = list[i] end
  local response = {
    status = tonumber(list[2]), headers = Headers.wrap(headers), url = target, proto = attempt.session.proto,
    peer = attempt.address, conn = attempt.conn, was_early = exchange.was_early or false,
    _attempt = attempt, _exchange = exchange, _limits = limits,
  }
  if owned then
    response._guard = newproxy(guard_template)
    owned[response._guard] = exchange
  end
  setmetatable(response, Response)
  keep(exchange, "held", limits:left())
  if exchange._no_body then response:_over() end
  return response
end

Response.break_off, Response.drop_abandoned, Response.keep = break_off, drop_abandoned, keep

return Response
