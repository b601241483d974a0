--- A response as its handler makes it (docs/handlers.md has the contract). Nothing leaves before the first
-- write, finish, or the end of all middleware, so middleware may change status, headers and body until then.
local Headers = require "neap.headers"
local answers = require "neap.answers"
local cookies = require "neap.cookies"
local core = require "neap.core"
local disposition = require "neap.disposition"
local error_page = require "neap.error_page"
local file = require "neap.file"
local json = require "neap.json"
local mime = require "neap.mime"
local priority = require "neap.priority"
local returned = require "neap.returned"
local Events = require "neap.sse"
local Session = require "neap.session"
local task = require "neap.task"
local url = require "neap.url"

local exchange_methods, why_left = Session.exchange_methods, Session.why_left
local flat = Headers.flat
local lower = string.lower

local Response = {}
Response.__index = Response

local NO_BODY = require("neap.semantics").NO_CONTENT

-- What can happen to a response without its handler's fault.
local CAN_HAPPEN = { closed = true, stopped = true, reset = true, timeout = true, state = true }

local MAX_INFORMATIONAL = 16 -- before a response: they wait for no credit, and are held until they are sent

-- Of a field section, as core/base/limits.h has them; what a line counts beside its text (RFC 9114 §4.2.2).
local MOST_LINES, MOST_BYTES, LINE = 256, 65536, 32

local MAX_NOTED = 64 -- places of the fields of a response that leaves with others

-- What most responses keep as it is.
Response._method = false -- that of a request that changes what its response is: HEAD, CONNECT

local NONE = nil -- as in neap.request

function Response.new(req)
  -- Named here, so that the table is made once as large as it gets.
  local self = { _exchange = req, _status = 200, _started = false, _ended = false, _is_over = false, sent = 0,
    _fields = NONE, _body = NONE }
  local method = req.method
  if method == "HEAD" or method == "CONNECT" then self._method = method end
  return setmetatable(self, Response)
end

-- ---- how it can end badly

-- What ends a handler that goes on with a response after that has ended: no fault that anyone must hear of.
local Over = {}
Over.__index = Over

function Over:__tostring()
  return self.message
end

-- Another try on a response that is over. It lets others run first, so that not even a loop that catches
-- errors stops them.
local function raise_over(self)
  task.sleep(0)
  local failure = self._failure or self._has_no_body and { "this response has no body", "state" }
  if not failure then error("the response has ended", 3) end
  error(setmetatable({ message = failure[1], code = failure[2], is_over = true }, Over), 3)
end

-- A call that has nothing to do any more. It lets others run, so that no loop of these stops them; a second one ends
-- its handler when nobody is there to hear of it.
local function idle(self)
  task.sleep(0)
  local message, code = why_left(self._exchange)
  if not message and self._failure then message, code = self._failure[1], self._failure[2] end
  if self._was_idle and message then
    error(setmetatable({ message = message, code = code, is_over = true }, Over), 3)
  end
  self._was_idle = true
  return self
end

-- A call down that did not work: what the client or the path did is a result, what the handler did is an error of its.
-- Either way nothing more is sent, and what was begun is broken off: a body that ends early must not look whole. For a
-- client that has left, that waits until the handler has ended.
local function fail(self, message, code, number)
  if self._started then
    self._ended = true
    if not why_left(self._exchange) then
      self._exchange._session.transport:cancel(self._exchange._stream, "internal_error")
    end
    self._failure = { message, code, number }
  end
  if CAN_HAPPEN[code] then
    self._started, self._ended = true, true
    self._failure = { message, code, number }
    return nil, message, code, number
  end
  error(message, 0)
end

-- Whether fields that were refused as too many or too long are so by the client's own bound alone
-- (SETTINGS_MAX_FIELD_SECTION_SIZE, RFC 9114 §4.2.2): :status and content-length beside them count too.
local function are_within_ours(fields)
  local size = 2 * (LINE + 20)
  for i = 1, #fields, 2 do size = size + #fields[i] + #fields[i + 1] + LINE end
  return #fields / 2 + 2 <= MOST_LINES and size <= MOST_BYTES
end

-- A call down that refused our fields. What a client has no room for is its own doing: it gets a bare 500 where it
-- takes that, and the log one line for its connection.
local function refuse(self, fields, message, code, number)
  fields = fields or {}
  if code ~= "argument" and code ~= "limit" then return fail(self, message, code, number) end
  if code == "argument" or not are_within_ours(fields) then return fail(self, Headers.problem(fields), code, number) end
  local exchange = self._exchange
  local session = exchange._session
  if not session.takes_little then
    session.takes_little = true
    session.server.complain("fields", session.conn:peer() .. ": the client takes no fields as long as a response's")
  end
  if self._started or not session.transport:respond(exchange._stream, 500, nil, "") then
    session.transport:cancel(exchange._stream, "internal_error")
  else
    self._status = 500
  end
  self._started, self._ended = true, true
  self._failure = { "the client takes no fields as long as these", code }
  return nil, self._failure[1], code
end

-- ---- status and headers

--- Sets the status; without an argument gives it.
function Response:status(status)
  if status == nil then return self._status end
  if type(status) ~= "number" or status < 200 or status > 999 or status % 1 ~= 0 then
    error("a status is a whole number from 200 to 999", 2)
  end
  self._status = status
  return self
end

-- The lines of responses that have a content-type and nothing else: made once, as those of neap.constant, without a
-- length, and copied before one changes them.
local JSON = { "content-type", "application/json", is_shared = true }

-- The lines of our fields, a flat list; nil while there are none.
local function fields_of(self)
  return self._headers and Headers.list(self._headers) or self._fields
end

-- The same, to be changed.
local function own_fields(self)
  local fields = self._fields
  if fields and fields.is_shared then fields = flat.copy(fields) end
  self._fields = fields or { nil, nil, nil, nil, nil, nil, nil, nil } -- made as large as most get
  return self._fields
end

-- Gives the body its type, unless it has one.
local function set_type(self, type_line)
  if not self._fields and not self._headers and not self._started then
    self._fields = type_line
  elseif not self:header("content-type") then
    self:header("content-type", type_line[2])
  end
end

-- Whether the status may come with a content-length (RFC 9110 §8.6).
local function may_have_length(self)
  return self._status ~= 204 and not (self._method == "CONNECT" and self._status < 300)
end

-- The lines as they are sent.
local function fields_to_send(self)
  local fields = self._fields
  if fields and fields.is_shared then return fields end
  if (fields or self._headers) and not may_have_length(self) then self:header("content-length", nil) end
  return fields_of(self)
end

--- The headers to be sent (see neap.headers).
function Response:headers()
  if not self._headers then
    local fields = own_fields(self)
    -- What has been noted to leave with others stays as it was when it was.
    self._headers = Headers.wrap(self._started and flat.copy(fields) or fields)
  end
  return self._headers
end

--- Sets a header (nil takes it out); with one argument gives it. A set-cookie is added to those that are
-- there: each is a cookie of its own.
function Response:header(name, ...)
  if select("#", ...) == 0 then
    local fields = fields_of(self)
    return fields and flat.get(fields, lower(name))
  end
  if self._failure then return self end -- nobody will see it, and nobody is at fault
  if self._started then error("the headers are sent already", 2) end
  local value = ...
  name = lower(name)
  local is_added = name == "set-cookie" and value ~= nil
  if self._headers then
    self._headers[is_added and "append" or "set"](self._headers, name, value)
  else
    flat[is_added and "append" or "set"](own_fields(self), name, value)
  end
  return self
end

-- Sets those of a flat list of fields, names in lower case, that are not set.
function Response:_fill(list)
  if self._failure then return end
  if self._started then error("the headers are sent already", 2) end
  flat.fill(self._headers or own_fields(self), list)
end

-- ---- where it stands

--- Whether headers, or all, were sent: what was sent cannot be read or replaced any more.
function Response:is_started()
  return self._started
end

--- Whether all was sent, or it was broken off.
function Response:is_ended()
  return self._ended
end

--- fn(message, code) is called, in a task of its own, when the response is over: without arguments when it
-- was sent, with the reason as soon as the client has left, or when it was broken off.
function Response:on_close(fn)
  if type(fn) ~= "function" then error("res:on_close takes a function", 2) end
  local message, code = why_left(self._exchange)
  if self._is_over or message then
    task.go(fn, message or self._failure and self._failure[1], code or self._failure and self._failure[2])
    return self
  end
  if not self._on_close then
    self._on_close = {}
    self._exchange._on_lost = function(exchange) self:_tell_close(why_left(exchange)) end
  end
  table.insert(self._on_close, fn)
  return self
end

function Response:_tell_close(message, code)
  local list = self._on_close or {}
  self._on_close = nil
  for _, fn in ipairs(list) do task.go(fn, message, code) end
end

--- The reason why a response was broken off: message, code, number; nothing when it was not.
function Response:failure()
  local failure = self._failure
  if failure then return failure[1], failure[2], failure[3] end
end

-- The app is through with it.
function Response:_over()
  self._is_over = true
  if self._on_close then self:_tell_close(self:failure()) end
end

-- ---- a body in pieces

local finish

--- Sends the headers now; done by itself with the first write. The response, or nil, message, code when the
-- client has gone.
function Response:start()
  if self._failure then raise_over(self) end
  if self._started then return idle(self) end
  if self._choose_encoder then self:_encode() end
  local fields = { ":status", self._status }
  local list = fields_to_send(self) or {}
  for i = 1, #list do fields[i + 2] = list[i] end
  local ends = self._method == "HEAD" or NO_BODY[self._status] or false
  local exchange = self._exchange
  local ok, message, code, number = exchange._session.transport:send_response(exchange._stream, fields, ends)
  if not ok then return refuse(self, list, message, code, number) end
  self._started, self._ended, self._has_no_body = true, ends, ends
  return self
end

--- choose(res) gives an encoder of core.encoder, or nothing, for a body that is written in pieces; asked when its
-- fields are about to leave.
function Response:_encode_by(choose)
  self._choose_encoder = choose
end

function Response:_encode()
  local choose = self._choose_encoder
  self._choose_encoder = nil
  if not (NO_BODY[self._status] or self._method) then self._encoder = choose(self) end
end

--- Sends an interim response, such as 103 with `link` fields: its status is from 102 to 199, and there are 16 at
-- most before a response.
function Response:informational(status, fields)
  if type(status) ~= "number" or status < 102 or status > 199 or status % 1 ~= 0 then
    error("an informational status is a whole number from 102 to 199", 2)
  end
  if self._failure then raise_over(self) end
  if self._started then error("the headers are sent already", 2) end
  local count = (self._informational or 0) + 1
  if count > MAX_INFORMATIONAL then
    task.sleep(0)
    error(("there are at most %d informational responses before a response"):format(MAX_INFORMATIONAL), 2)
  end
  self._informational = count
  local list = Headers.list(Headers.new(fields):del("content-length")) -- RFC 9110 §8.6
  local all = { ":status", status }
  for i = 1, #list do all[i + 2] = list[i] end
  local ok, message, code, number = self._exchange._session.transport:send_response(self._exchange._stream, all, false)
  if not ok then return refuse(self, list, message, code, number) end
  return self
end

--- 103 Early Hints (RFC 8297).
function Response:early_hints(fields)
  return self:informational(103, fields)
end

-- Sends bytes of a body in pieces, as they are.
local function put(self, data)
  if self._unsent then data, self._unsent = self._unsent .. data, nil end
  local ok, message, code, number = exchange_methods.write(self._exchange, data, false)
  self.sent = self._exchange._sent or 0
  if ok then return self end
  if code == "argument" then message = "the body is longer than its content-length" end
  return fail(self, message, code, number)
end

--- Sends body bytes. Waits while the client is slower. The response; or nil, message, code when the client
-- has gone, and the next call ends the handler. So does the second write of an answer to HEAD, or of one
-- that has no body.
function Response:write(data)
  if type(data) ~= "string" then error("res:write takes a string, not a " .. type(data), 2) end
  if self._failure or self._ended then raise_over(self) end
  if self._body then error("res:send gave the whole body already", 2) end
  local ok, message, code, number = true, nil, nil, nil
  if not self._started then ok, message, code, number = self:start() end
  if not ok then return nil, message, code, number end
  if self._ended then return self end
  if #data > 0 and self._encoder then data = assert(self._encoder:write(data, "flush")) end
  if #data == 0 then
    task.sleep(0) -- nothing else bounds a loop of these
    return self
  end
  return put(self, data)
end

-- Sends what is short without waiting, all or nothing: where some of it could not leave, that leaves with what is put
-- next. What an encoder has made belongs to what it makes next.
function Response:_write_now(data)
  local exchange, rest = self._exchange, self._unsent
  if self._encoder then rest = rest or assert(self._encoder:write(data, "flush")) end
  data = rest or data
  local taken = exchange._session.transport:send_body(exchange._stream, data, false) or 0
  exchange._sent = (exchange._sent or 0) + taken
  if taken > 0 or rest then self._unsent = taken < #data and data:sub(taken + 1) or nil end
end

-- Sends a file in the response's coding, and ends it.
local function encode_file(self, handle, offset, count)
  while count > 0 do
    local bytes, message, code, number = handle:read(count, offset)
    if bytes == "" then bytes, message, code = nil, "the file has become shorter", "system" end
    if not bytes then return fail(self, message, code, number) end
    offset, count = offset + #bytes, count - #bytes
    local ok
    ok, message, code, number = put(self, assert(self._encoder:write(bytes)))
    task.sleep(0) -- others run, also where nothing leaves for long
    if not ok then return nil, message, code, number end
  end
  return finish(self)
end

-- Sends `count` bytes of a file of neap.core; `goes_on`: more follows, else it ends the response.
function Response:_send_file(handle, offset, count, goes_on)
  local ok, message, code, number = true, nil, nil, nil
  if not self._started then ok, message, code, number = self:start() end
  if not ok then return nil, message, code, number end
  if self._ended then return self end
  if self._encoder then return encode_file(self, handle, offset, count) end
  local exchange, fin = self._exchange, not (self._trailers or goes_on)
  ok, message, code, number = exchange_methods.send_file(exchange, handle, offset, count, fin)
  self.sent = exchange._sent or 0
  if not ok then return fail(self, message, code, number) end
  if goes_on then return self end
  if self._trailers then return finish(self) end
  self._ended = true
  return self
end

--- Sends a file at once, as what the request asks of it: its entity tag, byte ranges, 304 when the client has it
-- already, nothing but headers for HEAD. `path` may be a descriptor or a file of io, which stays open. Options: `root`,
-- a folder that `path` cannot lead out of; without it the handler says which files may be sent. `type`, the media type,
-- by the file's name unless told or set. The response, also when the client leaves; nil, message, "system", errno when
-- there is no such file: nothing was sent then.
function Response:file(path, options)
  if self._failure then raise_over(self) end
  if self._started or self._body then error("the response has its body already", 2) end
  return file.respond(self._exchange, self, path, options)
end

--- Fields to be sent behind the body, by finish or the handler's return.
function Response:trailers(fields)
  if self._ended then error("the response has ended", 2) end
  self._trailers = Headers.list(Headers.new(fields))
  return self
end

-- Ends a body that was sent in pieces.
function finish(self)
  local ok, message, code, number
  self._is_ending = true
  if not self._ended and (self._encoder or self._unsent) then
    local rest = self._encoder and assert(self._encoder:write("", "finish")) or ""
    self._encoder = nil
    ok, message, code, number = put(self, rest)
    if not ok then return nil, message, code, number end
  end
  if self._trailers then
    ok, message, code, number = self._exchange._session.transport:send_trailers(self._exchange._stream, self._trailers)
    if not ok then return refuse(self, self._trailers, message, code, number) end
  else
    ok, message, code, number = exchange_methods.write(self._exchange, "", true)
    if not ok then
      if code == "argument" then message = "the body is shorter than its content-length" end
      return fail(self, message, code, number)
    end
  end
  self._ended = true
  return self
end

--- Makes it a stream of server-sent events: see neap.sse. Options: `heartbeat`, the seconds of silence after which a
-- comment is sent (15, false: none), `retry`, the seconds after which clients ask again. Has last_id, what the client
-- had last (Last-Event-ID), closed, send, comment and wait; the handler's return ends it.
function Response:sse(given)
  if self._failure then raise_over(self) end
  if self._started or self._body then error("the response has its body already", 2) end
  return Events.open(self, given)
end

-- ---- a whole body

-- Sends what is left of a whole body of which `taken` bytes were sent.
local function emit_rest(self, body, taken)
  local exchange = self._exchange
  exchange._sent = taken
  local ok, message, code, number = exchange_methods.write(exchange, body:sub(taken + 1), true)
  self.sent = exchange._sent
  if not ok then return fail(self, message, code, number) end
  self._ended = true
  return self
end

-- Sends a whole body with its content-length.
local function emit(self, body)
  if self._trailers then
    local ok, message, code, number = self:start()
    if not ok or self._ended then return ok, message, code, number end
    ok, message, code, number = exchange_methods.write(self._exchange, body, false)
    self.sent = self._exchange._sent or 0
    if not ok then return fail(self, message, code, number) end
    return finish(self)
  end
  local exchange, fields = self._exchange, fields_to_send(self)
  local has_none = NO_BODY[self._status]
  local length = not has_none and may_have_length(self) and #body or nil
  local told = fields and not fields.is_shared and flat.get(fields, "content-length")
  if told then
    length = nil
    if not has_none and self._method ~= "HEAD" and tonumber(told) ~= #body then
      error(("a body of %d bytes with content-length %s"):format(#body, told:sub(1, 20):gsub("%c", "?")), 0)
    end
  end
  if has_none or self._method == "HEAD" then body = "" end
  local transport = exchange._session.transport
  local taken, message, code, number = transport:respond(exchange._stream, self._status, fields, body, length)
  if not taken then return refuse(self, fields, message, code, number) end
  self._started, self.sent = true, taken
  if taken < #body then return emit_rest(self, body, taken) end
  self._ended = true
  return self
end

-- Whether nothing needs to know at once what becomes of a response.
local function may_be_noted(self)
  if self._headers or self._trailers or self._method or self._on_close or NO_BODY[self._status] then return false end
  local fields = self._fields
  return self._exchange._finished
    and (not fields or fields.is_shared
      or #fields <= MAX_NOTED and not flat.get(fields, "content-length"))
end

--- Sends what is there now, and ends the response. The response, or nil, message, code when the client has gone.
function Response:finish()
  if self._failure then raise_over(self) end
  if self._ended then return idle(self) end
  if not self._started then return emit(self, self._body or "") end
  return finish(self)
end

--- Gives the whole body, which leaves when all middleware has run, or with res:finish(). Returns the response.
function Response:send(body)
  if type(body) ~= "string" then error("res:send takes a string, not a " .. type(body), 2) end
  if self._failure then raise_over(self) end
  if self._ended or self._body then error("the response has its body already", 2) end
  if self._started then
    local ok, message, code, number = self:write(body)
    if not ok then return nil, message, code, number end
    return self:finish()
  end
  self._body = body
  return self
end

local function set_json(self, value)
  local text, message = json.encode(value)
  if not text then error(message, 0) end
  if not NO_BODY[self._status] then set_type(self, JSON) end
  return text
end

--- Gives a value as JSON; an error when it has no JSON form.
function Response:json(value)
  if self._started or self._body then error("the response has its body already", 2) end
  return self:send(set_json(self, value))
end

local REDIRECTS = { [301] = true, [302] = true, [303] = true, [307] = true, [308] = true }

--- Sends the client elsewhere: to a path, or to a URL with its scheme. What a client said should be looked at first, by
-- neap.url.is_local. An error for what browsers take for another host without saying so ("//x", "/\\x").
function Response:redirect(location, status)
  if self._started or self._body then error("the response has its body already", 2) end
  if status ~= nil and not REDIRECTS[status] then error("a redirect is a 301, 302, 303, 307 or 308", 2) end
  local fault = url.redirect_fault(location)
  if fault then error(fault, 2) end
  return self:status(status or 302):header("location", location):send("")
end

--- Has the client keep the body as a file of this name (RFC 6266), with the media type of the name unless one is set.
function Response:attachment(name)
  self:header("content-disposition", disposition.attachment(name))
  if name and not self:header("content-type") then self:header("content-type", mime.of(tostring(name))) end
  return self
end

--- Answers with the error page of a status (see App:on_error_page), and this message or the status' phrase.
function Response:error(status, message)
  if type(status) ~= "number" or status < 400 or status > 599 or status % 1 ~= 0 then
    error("an error has a status from 400 to 599", 2)
  end
  if self._started or self._body then error("the response has its body already", 2) end
  local req = self._exchange
  local app = req._inner or req._session.server.app
  self:_take(nil, error_page.answer(app, req, self, status, message))
  return self
end

--- The whole body that will be sent; nil when there is none yet, or it is sent in pieces. With an argument
-- replaces it, and takes out what told its length.
function Response:body(...)
  if select("#", ...) == 0 then return not self._started and self._body or nil end
  local body = ...
  if type(body) ~= "string" then error("a body is a string, not a " .. type(body), 2) end
  if self._started then error("the body is on its way already", 2) end
  self:header("content-length", nil)
  self._body = body
  return self
end

--- How urgent it is, { urgency =, incremental = }, which goes before what the client asks for (RFC 9218); at any time
-- before its end. A field `priority` says it too, and others see that. true; nil, message, code.
function Response:set_priority(given)
  local exchange = self._exchange
  return exchange._session.transport:set_priority(exchange._stream, priority.check(given, "set_priority"))
end

--- Breaks the response off, with an error code of RFC 9114 §8.1: its number, or its name in small letters
-- ("internal_error" unless told).
function Response:abort(code)
  if self._ended then idle(self) end
  return self:_abort("aborted by the handler", "aborted", code)
end

function Response:_abort(message, code, number)
  if self._ended and not self._failure then return self end
  number = core.http_code(number or "internal_error")
  self._failure = self._failure or { message, code, number }
  self._started, self._ended = true, true
  self._exchange._session.transport:cancel(self._exchange._stream, number)
  return self
end

-- ---- what leaves at the end

--- Sends what is owed when all middleware is through. `may_wait`: a whole response may leave with others, when the
-- tasks that are ready have run.
function Response:_complete(may_wait)
  if self._ended then return end
  if self._started then return finish(self) end
  local body = self._body or ""
  if may_wait and may_be_noted(self) then
    local exchange = self._exchange
    if answers.take(exchange._session.transport, exchange._stream, self._status, self._fields, body, self) then
      self._started, self._ended, self.sent = true, true, #body
      return
    end
  end
  emit(self, body)
end

--- Goes on with a response that was noted and did not leave as a whole: `taken` as answers.go_on has it.
function Response:_go_on(taken)
  if type(taken) == "number" then return emit_rest(self, self._body, taken) end
  self._started, self._ended, self.sent = false, false, 0
  refuse(self, self._fields, taken[1], taken[2], taken[3])
end

--- The headers that are set so far, for _restore.
function Response:_mark()
  return flat.copy(fields_of(self))
end

--- Goes back to the headers of a mark, and forgets status, body and trailers, for an error page; false when
-- it is too late.
function Response:_restore(mark)
  if self._started then return false end
  self._status, self._trailers, self._body = 200, nil, nil
  self._fields, self._headers = flat.copy(mark), nil
  return true
end

-- For neap.returned.
Response._set_type, Response._set_json = set_type, set_json

for _, methods in ipairs { cookies.response, returned } do
  for name, method in pairs(methods) do Response[name] = method end
end

return Response
