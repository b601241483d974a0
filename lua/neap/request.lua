--- A request as its handler sees it. Fields: method, path (without the query, in its one spelling: see
-- Router.normalize), target (as sent), scheme, host, proto, id (the stream), params; made when first asked for:
-- headers, query, query_all, peer, is_resumed, client_cert, psk_identity; is_early: it came by 0-RTT, and the handshake
-- is not complete, so that somebody else may have sent it again. It is the session's exchange as well.
local accept = require "neap.accept"
local body = require "neap.body"
local certificate = require "neap.certificate"
local cookies = require "neap.cookies"
local form = require "neap.form"
local Headers = require "neap.headers"
local json = require "neap.json"
local Router = require "neap.router"
local Session = require "neap.session"
local task = require "neap.task"
local url = require "neap.url"

local exchange_methods = Session.exchange_methods

local MOST_PAIRS = 1000 -- of a query that are looked at: each is a table
local DEFAULT_LIMIT = 1024 * 1024 -- bytes that body() and json() take unless told

-- What a name has that gets its value later. A variable: the room of a name whose value is written out as nil is
-- lost to others or in their way, as the seed of LuaJIT's strings has it, and then each request's table is made
-- anew.
local NONE = nil

local methods, lazy = {}, {}
local Request = {}

function Request:__index(key)
  local method = methods[key]
  if method then return method end
  local make = lazy[key]
  if make then
    local value = make(self)
    rawset(self, key, value)
    return value
  end
end

function lazy:headers()
  return Headers.of_block(self._block)
end

function lazy:query()
  local query, all = url.parse_query(self.query_string, MOST_PAIRS)
  rawset(self, "query_all", all)
  return query
end

function lazy:query_all()
  return select(2, url.parse_query(self.query_string, MOST_PAIRS))
end

--- What the client asks for of the response: { urgency =, incremental = }, as it is now; nil when that is over.
function methods:priority()
  local urgency, incremental = self._session.transport:priority(self._stream)
  return urgency and { urgency = urgency, incremental = incremental } or nil
end

function lazy:peer()
  return self._session.conn:peer()
end

--- Whether the client went on from an earlier TLS session.
function lazy:is_resumed()
  return self._session.conn:is_resumed()
end

-- Server sets it in those that are.
function lazy.is_early()
  return false
end

--- The identity of the external pre-shared key by which the client is known; false: by none.
function lazy:psk_identity()
  return self._session.conn:psk_identity() or false
end

--- The certificate that the client showed, verified; nil when it showed none.
function lazy:client_cert()
  return certificate.of_peer(self._session.conn)
end

function lazy:params()
  return {}
end

function lazy:id()
  return self._stream
end

-- The decoded segments of the path; false when it has no spelling.
function lazy:_segments()
  return Router.segments(self.path)
end

--- "h3"; over TCP "h2" or "http/1.1".
function lazy:proto()
  return self._session.proto
end

-- The spelling of a path that needs one; nil when it has none.
local function spell(path)
  local spelled = Router.normalize(path)
  -- Where its escaped slashes lead out of the root, no prefix of middleware says what it is below.
  if spelled and Router.has_escaped_slash(spelled) and not Router.loosen(spelled) then return nil, spelled end
  return spelled, path
end

--- Makes the request that came on a stream, which is also its exchange for the session, of what transport:events gives
-- of it.
function Request.new(session, stream, fin, method, target, path, query, host, scheme, block, protocol)
  -- All that most requests get is named here, so that the table is made once as large as it gets.
  local self = { _session = session, _stream = stream, _finished = fin, _block = block, method = method,
    target = target, path = path, query_string = query or nil, host = host or nil, scheme = scheme or nil,
    has_body = not fin, route = NONE, params = NONE, headers = NONE, _segments = NONE,
    _wildcard = NONE }
  if protocol then self.protocol = protocol end
  if not path then
    local spelled, sent = spell(query and target:sub(1, -#query - 2) or target)
    self.path = spelled or sent
    if not spelled then self._segments = false end
  end
  return setmetatable(self, Request)
end

--- Waits until the handshake of a request that came by 0-RTT is complete: it was the client itself that sent it, now
-- and not before. true; nil, message, code[, number] when the client has left, or after `timeout` seconds.
function methods:wait_for_handshake(timeout)
  while self.is_early do
    local message, code, number = self:_why_left()
    if message then return nil, message, code, number end
    local ok
    ok, message, code = task.wait_at(self, "_handshake", timeout)
    if not ok then return nil, message, code end
  end
  return true
end

-- The error of a body that broke off; it says itself how it is answered, when there is someone to answer.
local function broken_off(message, code, number)
  local err = body.broken_off(message, code, number)
  err.status, err.is_broken_body = code == "timeout" and 408 or 400, true
  return err
end

-- Who goes on with a body that broke off gets an error, and lets others run first.
local function refuse_broken(self)
  if not self._broken then return end
  task.sleep(0)
  error(broken_off((table.unpack or unpack)(self._broken)), 2)
end

local function refuse_long(self)
  local message = ("the body has more than %d bytes"):format(self._body_limit)
  self._broken = { message, "limit" }
  error({ status = 413, message = message .. "\n" }, 0)
end

local function count_body(self, size)
  self._body_left = self._body_left - size
  if self._body_left < 0 then refuse_long(self) end
end

--- From now on at most so many bytes of the body are read: more is an error, a 413, and a content-length of more is at
-- once.
function methods:_limit_body(limit)
  self._body_limit, self._body_left = limit, limit
  local length = tonumber(self.headers:get("content-length") or "")
  if length and length > limit then refuse_long(self) end
end

-- What exchange_methods[take](self, argument) gives of the body.
local function receive(self, take, argument)
  refuse_broken(self)
  if self._has_ended then
    if not self._was_behind then
      self._was_behind = true
      return nil
    end
    task.sleep(0)
    local message, code, number = self:_why_left()
    if message then error(broken_off(message, code, number), 2) end
    return nil
  end
  local taken, message, code, number = exchange_methods[take](self, argument)
  if taken and rawget(self, "_body_left") then count_body(self, type(taken) == "string" and #taken or taken) end
  if message and code ~= "timeout" and code ~= "system" then self._broken = { message, code, number } end
  if not taken and not message then self._has_ended = true end
  return taken, message, code, number
end

--- Body bytes as they come, at most `max`; nil at the end; nil, message, code when the body breaks
-- off. Who reads on after that gets an error, so that no loop turns for ever; who reads behind the
-- end more than once lets others run, and gets the error when the client has left.
function methods:read(max)
  return receive(self, "read", max)
end

--- Writes the rest of the body into a file, which is made, or emptied, without making strings of it: its size; nil,
-- message, code when the body breaks off or the file cannot be written ("system"): what there is of it stays. No file
-- is made when the body was read to its end before ("state"), nor when it had broken off: an error, as of read.
function methods:save(path)
  refuse_broken(self)
  if self._has_ended then return nil, body.ALREADY_READ, "state" end
  return body.save(path, function(file) return receive(self, "save", file) end)
end

--- Iterates over the body as it comes: `for chunk in req:chunks() do … end`. A body that breaks off is an
-- error, "body broke off: reset".
function methods:chunks()
  return function()
    local bytes, message, code, number = self:read()
    if message then error(broken_off(message, code, number), 2) end
    return bytes
  end
end

--- The whole body as a string, kept, so that it may be asked for again; nil, message, "limit" when it
-- has more than `limit` bytes (1 MiB unless told). What was taken by read or chunks is not in it.
function methods:body(limit)
  limit = limit or DEFAULT_LIMIT
  -- What came before a timeout stays: asking again goes on from there.
  local parts = self._parts or { size = 0 }
  self._parts = parts
  while not self._body and parts.size <= limit do
    local bytes, message, code, number
    if not self._has_ended then bytes, message, code, number = self:read() end
    if message then return nil, message, code, number end
    if bytes then
      parts[#parts + 1], parts.size = bytes, parts.size + #bytes
    else
      self._body = table.concat(parts)
    end
  end
  if parts.size > limit then return nil, ("body larger than %d bytes"):format(limit), "limit" end
  return self._body
end

--- The body read as JSON; nil, message, code when it is none or too large.
function methods:json(limit)
  local text, message, code = self:body(limit)
  if not text then return nil, message, code end
  return json.decode(text)
end

--- Whether the client is still there and takes an answer.
function methods:is_open()
  return Session.why_left(self) == nil
end

function methods:_why_left()
  return Session.why_left(self)
end

--- The fields behind the body, nil when there were none or the body was not read to its end.
function methods:trailers()
  local fields = self._trailer_fields
  return fields and Headers.wrap(fields)
end

for _, more in ipairs { accept.request, cookies.request, form } do
  for name, method in pairs(more) do methods[name] = method end
end

return Request
