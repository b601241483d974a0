--- A request as its handler sees it. Fields: method, path (as sent, without the query), target,
-- scheme, host, proto, id (the stream), params; made when first asked for: headers, query,
-- query_all, peer.
local Headers = require "neap.headers"
local json = require "neap.json"
local url = require "neap.url"
local exchange_methods = require("neap.session").exchange_methods

local DEFAULT_LIMIT = 1024 * 1024 -- bytes that body() and json() take unless told

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
  return Headers.wrap(self._regular)
end

function lazy:query()
  local query, all = url.parse_query(self.query_string)
  rawset(self, "query_all", all)
  return query
end

function lazy:query_all()
  return select(2, url.parse_query(self.query_string))
end

function lazy:peer()
  return self._exchange.session.conn:peer()
end

function lazy:params()
  return {}
end

local pseudo = { [":method"] = "method", [":scheme"] = "scheme", [":authority"] = "host", [":path"] = "target",
  [":protocol"] = "protocol" }

--- Makes the request of an exchange from its flat field list, which is taken over.
function Request.new(exchange, fields, fin, timeout)
  -- Named here, so that the table is made once as large as it gets.
  local self = { _exchange = exchange, _timeout = timeout, proto = "h3", id = exchange.stream, has_body = not fin,
    method = nil, scheme = nil, host = nil, target = nil, path = nil, query_string = nil, _regular = nil,
    params = nil, route = nil }
  local first = 1
  while fields[first] and pseudo[fields[first]] do
    self[pseudo[fields[first]]] = fields[first + 1]
    first = first + 2
  end
  local n = #fields
  for i = first, n do fields[i - first + 1] = fields[i] end
  for i = n - first + 2, n do fields[i] = nil end
  self._regular = fields
  if not self.host then
    for i = 1, #fields, 2 do
      if fields[i] == "host" then
        self.host = fields[i + 1]
        break
      end
    end
  end
  if fin then exchange.finished = true end
  local target = self.target or ""
  local mark = target:find("?", 1, true)
  self.path = mark and target:sub(1, mark - 1) or target
  self.query_string = mark and target:sub(mark + 1) or nil
  return setmetatable(self, Request)
end

--- Body bytes as they come, at most `max`; nil at the end; nil, message, code when the body breaks
-- off.
function methods:read(max)
  return exchange_methods.read(self._exchange, max, self._timeout)
end

--- Iterates over the body as it comes: `for chunk, err in req:chunks() do if not chunk then … end
-- end`.
function methods:chunks()
  return exchange_methods.chunks(self._exchange, self._timeout)
end

--- The whole body as a string; nil, message, "limit" when it has more than `limit` bytes (1 MiB
-- unless told).
function methods:body(limit)
  return exchange_methods.read_all(self._exchange, limit or DEFAULT_LIMIT, self._timeout)
end

--- The body read as JSON; nil, message, code when it is none or too large.
function methods:json(limit)
  local text, message, code = self:body(limit)
  if not text then return nil, message, code end
  return json.decode(text)
end

--- The body read as an HTML form (application/x-www-form-urlencoded): a table, and one with every
-- value.
function methods:form(limit)
  local text, message, code = self:body(limit)
  if not text then return nil, message, code end
  return url.parse_query(text)
end

--- The fields behind the body, nil when there were none or the body was not read to its end.
function methods:trailers()
  local fields = self._exchange.trailer_fields
  return fields and Headers.wrap(fields)
end

--- The value of a cookie, or nil.
function methods:cookie(name)
  for _, line in ipairs(self.headers:get_all("cookie")) do
    for key, value in line:gmatch("([^=;%s]+)=([^;]*)") do
      if key == name then return (value:gsub("%s+$", "")) end
    end
  end
end

return Request
