--- A response as its handler makes it. Nothing leaves before the first write, send or the handler's
-- return, so middleware may still set status and headers until then.
local Headers = require "neap.headers"
local json = require "neap.json"
local exchange_methods = require("neap.session").exchange_methods

local Response = {}
Response.__index = Response

local NO_BODY = { [204] = true, [205] = true, [304] = true }

-- What can happen to a response without its handler's fault.
local CAN_HAPPEN = { closed = true, stopped = true, reset = true, timeout = true, state = true }

local H3_INTERNAL_ERROR = 0x102

function Response.new(exchange, method, timeout)
  return setmetatable({
    _exchange = exchange,
    _is_head = method == "HEAD",
    _is_connect = method == "CONNECT",
    _timeout = timeout,
    _status = 200,
    _started = false,
    _ended = false,
    _headers = nil, -- named here, so that the table is made once as large as it gets
    _result = nil,
    sent = 0,
  }, Response)
end

-- A call down that did not work: what the client or the path did is a result, what the handler did is an error of its.
-- Either way nothing more is sent, and what was begun is broken off: a body that ends early must not look whole.
local function fail(self, message, code, number)
  if self._started then
    self._ended = true
    self._exchange.h3:cancel(self._exchange.stream, H3_INTERNAL_ERROR)
  end
  if CAN_HAPPEN[code] then
    self._started, self._ended = true, true
    self._failure = { message, code, number }
    return nil, message, code, number
  end
  error(message, 0)
end

local function over(self)
  local failure = self._failure
  if failure then return nil, failure[1], failure[2], failure[3] end
  return nil, "the response has ended", "state"
end

-- The text of a refusal of our fields.
local function refusal(fields, message, code)
  if code == "argument" or code == "limit" then return Headers.problem(fields or {}) end
  return message
end

--- Sets the status; without an argument gives it.
function Response:status(status)
  if status == nil then return self._status end
  if type(status) ~= "number" or status < 200 or status > 999 or status % 1 ~= 0 then
    error("a status is a whole number from 200 to 999", 2)
  end
  self._status = status
  return self
end

--- The headers to be sent (see neap.headers).
function Response:headers()
  if not self._headers then self._headers = Headers.new() end
  return self._headers
end

--- Sets a header (nil takes it out); with one argument gives it.
function Response:header(name, ...)
  if select("#", ...) == 0 then return self._headers and self._headers:get(name) end
  if self._started then error("the headers are sent already", 2) end
  self:headers():set(name, (...))
  return self
end

--- Whether headers, or all, were sent.
function Response:is_started()
  return self._started
end

function Response:is_ended()
  return self._ended
end

-- Whether a status may come with a content-length (RFC 9110 §8.6).
local function may_have_length(self)
  return self._status ~= 204 and not (self._is_connect and self._status < 300)
end

--- Sends the headers now; done by itself with the first write.
function Response:start()
  if self._failure then return over(self) end
  if self._started then return true end
  local fields = { ":status", self._status }
  if self._headers and not may_have_length(self) then self._headers:del("content-length") end
  if self._headers then
    for i = 1, #self._headers do fields[i + 2] = self._headers[i] end
  end
  local ends = self._is_head or NO_BODY[self._status] or false
  local ok, message, code, number = self._exchange.h3:send_response(self._exchange.stream, fields, ends)
  if not ok then return fail(self, refusal(self._headers, message, code), code, number) end
  self._started, self._ended = true, ends
  return true
end

--- Sends an interim response, such as 103 with `link` fields.
function Response:informational(status, fields)
  if self._started then error("the headers are sent already", 2) end
  local list = { ":status", status }
  local headers = Headers.new(fields)
  headers:del("content-length") -- RFC 9110 §8.6
  for i = 1, #headers do list[i + 2] = headers[i] end
  local ok, message, code, number = self._exchange.h3:send_response(self._exchange.stream, list, false)
  if not ok then return fail(self, refusal(headers, message, code), code, number) end
  return true
end

--- 103 Early Hints (RFC 8297).
function Response:early_hints(fields)
  return self:informational(103, fields)
end

--- Sends body bytes. Waits while the client is slower; true, or nil, message, code when it has
-- gone.
function Response:write(data)
  local ok, message, code, number = self:start()
  if not ok then return nil, message, code, number end
  if self._ended then
    if self._is_head or NO_BODY[self._status] then return true end
    return over(self)
  end
  if #data == 0 then return true end
  ok, message, code, number = exchange_methods.write(self._exchange, data, false, self._timeout)
  if not ok then
    if code == "argument" then message = "the body is longer than its content-length" end
    return fail(self, message, code, number)
  end
  self.sent = self.sent + #data
  return true
end

--- Fields to be sent behind the body, by finish or the handler's return.
function Response:trailers(fields)
  if self._ended then error("the response has ended", 2) end
  self._trailers = Headers.new(fields)
  return self
end

--- Ends the response.
function Response:finish()
  if self._failure then return over(self) end
  if self._ended then return true end
  if not self._started and not self._trailers then return self:send("") end
  local ok, message, code, number = self:start()
  if not ok or self._ended then return ok, message, code, number end
  if self._trailers then
    local list = {}
    for i = 1, #self._trailers do list[i] = self._trailers[i] end
    ok, message, code, number = self._exchange.h3:send_trailers(self._exchange.stream, list)
    if not ok then return fail(self, refusal(list, message, code), code, number) end
  else
    ok, message, code, number = exchange_methods.write(self._exchange, "", true, self._timeout)
    if not ok then
      if code == "argument" then message = "the body is shorter than its content-length" end
      return fail(self, message, code, number)
    end
  end
  self._ended = true
  return true
end

--- Sends a whole body, with its content-length, and ends the response.
function Response:send(body)
  if self._ended then return over(self) end
  if self._started or self._trailers then
    local ok, message, code, number = self:write(body)
    if not ok then return nil, message, code, number end
    return self:finish()
  end
  local exchange = self._exchange
  local bodyless = NO_BODY[self._status]
  local length = not bodyless and may_have_length(self) and #body or nil
  if self._headers and not may_have_length(self) then self._headers:del("content-length") end
  local told = self._headers and self._headers:get("content-length")
  if told then
    length = nil
    if not bodyless and not self._is_head and tonumber(told) ~= #body then
      error(("a body of %d bytes with content-length %s"):format(#body, told:sub(1, 20):gsub("%c", "?")), 2)
    end
  end
  if bodyless or self._is_head then body = "" end
  local taken, message, code, number = exchange.h3:respond(exchange.stream, self._status, self._headers, body, length)
  if not taken then return fail(self, refusal(self._headers, message, code), code, number) end
  self._started, self._ended = true, true
  self.sent = #body
  if taken < #body then
    local ok
    ok, message, code, number = exchange_methods.write(exchange, body:sub(taken + 1), true, self._timeout)
    if not ok then return fail(self, message, code, number) end
  end
  return true
end

--- Sends a value as JSON.
function Response:json(value)
  local text, message, code = json.encode(value)
  if not text then return nil, message, code end
  if not self:header("content-type") then self:header("content-type", "application/json") end
  return self:send(text)
end

--- Sends the client elsewhere.
function Response:redirect(location, status)
  self:status(status or 302):header("location", location)
  return self:send("")
end

--- Breaks the response off with an HTTP/3 error code (H3_INTERNAL_ERROR unless told).
function Response:abort(code)
  self._started, self._ended = true, true
  return self._exchange.h3:cancel(self._exchange.stream, code or H3_INTERNAL_ERROR)
end

--- What a handler returned: nothing; a body; a status, a body and headers. Kept until all
-- middleware has run.
function Response:set_result(a, b, c)
  if type(a) == "number" then
    self:status(a)
    a = b
    if c then
      for name, value in pairs(c) do self:header(name, value) end
    end
  end
  if a == nil then return end
  if self._started then error("a handler that wrote its response returned another one", 0) end
  if type(a) ~= "string" and type(a) ~= "table" then
    error("a handler returns a string, a table, or a status first; not a " .. type(a), 0)
  end
  self._result = a
end

--- Sends what is owed when the handler is through.
function Response:complete()
  if self._ended then return true end
  local result = self._result
  if self._started or result == nil then return self:finish() end
  if type(result) == "table" then
    local text, message = json.encode(result)
    if not text then error(message, 0) end
    if not self:header("content-type") then self:header("content-type", "application/json") end
    return self:send(text)
  end
  if result ~= "" and not self:header("content-type") then
    self:header("content-type", "text/plain; charset=utf-8")
  end
  return self:send(result)
end

--- Forgets what was set, for an error page; false when it is too late.
function Response:reset()
  if self._started then return false end
  self._status, self._headers, self._trailers, self._result = 200, nil, nil, nil
  return true
end

return Response
