--- What a handler returns becomes its response (docs/handlers.md): methods of neap.response.
local Headers = require "neap.headers"

local flat = Headers.flat

local returned = {}

-- As responses that have a content-type and nothing else share it (neap.response).
local TEXT = { "content-type", "text/plain; charset=utf-8", is_shared = true }

local NO_BODY = require("neap.semantics").NO_CONTENT

local function set_body(self, body)
  if type(body) == "table" then
    body = self:_set_json(body)
  elseif type(body) ~= "string" then
    error("a handler returns a string, a table, a status first, or its response; not a " .. type(body), 0)
  elseif body ~= "" and not NO_BODY[self._status] then
    self:_set_type(TEXT)
  end
  self._body = body
end

local function set_headers(self, headers)
  if type(headers) ~= "table" then
    error("after status and body a handler returns a table of headers, not a " .. type(headers), 0)
  end
  local lines = Headers.list(Headers.new(headers))
  local seen = {}
  for i = 1, #lines, 2 do
    local name = lines[i]
    -- The first of a name replaces what is there, the others stand beside it.
    if seen[name] then self:headers():append(name, lines[i + 1]) else self:header(name, lines[i + 1]) end
    seen[name] = true
  end
end

--- Gives what neap.constant made: beside what middleware has set its fields are as those that a handler returns, and
-- without a status it has the one that is set.
function returned:_give(status, fields, body)
  status = status or self._status
  if self._fields or self._headers or self._body or self._started then
    return self:_take(nil, status, body, Headers.wrap(flat.copy(fields)))
  end
  self._status, self._fields, self._body = status, fields, body
end

--- Takes what a handler returned (docs/handlers.md). `state.is_called`: it is middleware that has called next,
-- so that nothing keeps what there is, and something replaces it.
function returned:_take(state, a, b, c, ...)
  -- What most handlers do.
  if (type(a) == "string" or type(a) == "table" and a ~= self) and b == nil and c == nil and select("#", ...) == 0
    and not (self._body or self._started) then
    return set_body(self, a)
  end
  if a == nil then
    if self._failure then return end
    if b ~= nil then error(type(b) == "table" and b or tostring(b), 0) end
    if state and state.is_called or self._started or self._body then return end
    error(state and "middleware returned nothing, wrote nothing and did not call next()"
      or "the handler returned nothing and wrote nothing: `return 204` is an answer without a body", 0)
  end
  for i = 1, select("#", ...) do
    if select(i, ...) ~= nil then error("a handler returns status, body and headers, and no more", 0) end
  end
  if type(a) ~= "number" and (b ~= nil or c ~= nil) then
    error("a handler returns one body, or a status first and then body and headers", 0)
  end
  if a == self then
    if not self._started and not self._body then self._body = "" end
    return
  end
  if self._started then error("a handler that wrote its response returned another one", 0) end
  if self._body then
    if not (state and state.is_called) then error("a handler that gave its body returned another one", 0) end
    self._body = nil
    self:header("content-type", nil):header("content-length", nil)
  end
  if type(a) == "number" then
    self:status(a)
    if c ~= nil then set_headers(self, c) end
    a = b == nil and "" or b
  end
  set_body(self, a)
end

return returned
