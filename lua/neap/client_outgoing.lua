--- What a client's request is made of: its fields, its body, and what a redirect makes of it.
local body = require "neap.body"
local core = require "neap.core"
local Headers = require "neap.headers"
local json = require "neap.json"
local priority = require "neap.priority"
local url = require "neap.url"

local outgoing = {}

-- Not for another server than the one they were meant for.
local SECRET = { "authorization", "proxy-authorization", "cookie", "host" }

--- The flat list of fields of a request; its body as neap.body makes it (a function, or a file of neap.core; nil: none)
-- and its size, where that is known. nil, message, code.
function outgoing.fields(self, method, target, request)
  local headers = Headers.new(self.headers)
  if request.is_elsewhere then
    for _, name in ipairs(SECRET) do headers:del(name) end
  end
  local own = Headers.new(request.headers)
  for name in own:each() do headers:del(name) end
  for name, value in own:each() do headers:append(name, value) end
  local path = target.target
  if request.query then
    path = path .. (target.query and "&" or "?") .. url.make_query(request.query)
  end
  local source, size, content_type
  if request.json ~= nil then
    local text, message, code = json.encode(request.json)
    if not text then return nil, message, code end
    source, size, content_type = body.source(text), #text, "application/json"
  elseif request.form then
    local text = url.make_query(request.form)
    source, size, content_type = body.source(text), #text, "application/x-www-form-urlencoded"
  elseif request.file then
    local message, code
    source, message, code = core.open_file(request.file)
    if not source then return nil, message, code end
    size = source:stat().size
  elseif request.body ~= nil then
    source, size = body.source(request.body)
  end
  if content_type and not headers:get("content-type") then headers:set("content-type", content_type) end
  if size and not headers:get("content-length") then headers:set("content-length", size) end
  if request.priority and not headers:get("priority") then
    headers:set("priority", priority.field(priority.check(request.priority, "priority")))
  end
  if not headers:get("user-agent") and self.user_agent then headers:set("user-agent", self.user_agent) end
  local fields = { ":method", method, ":scheme", target.scheme, ":authority", target.authority, ":path", path }
  if headers:get("host") then
    fields[6] = headers:get("host")
    headers:del("host")
  end
  local list = Headers.list(headers)
  for i = 1, #list do fields[8 + i] = list[i] end
  return fields, source, size
end

--- What is wrong with the fields of a request, as far as it shows; nil: nothing.
function outgoing.fault(fields)
  local method, authority, path = fields[2], fields[6], fields[8]
  if not method:match("^[%w!#$%%&'*+.^_`|~-]+$") then return ("there cannot be a method %q"):format(method) end
  if method == "CONNECT" then return "CONNECT asks for a tunnel, and there is none to be had here" end
  if not authority:match("^[%w!$%%&'()*+.:;=_~%[%]-]+$") then
    return ("there cannot be an authority (host and port) %q"):format(authority:sub(1, 60))
  end
  if path:find('[^!"$-~]') then
    return ("a path is of visible ASCII, other bytes are percent-encoded: %q"):format(path:sub(1, 60))
  end
  return Headers.fault({ (table.unpack or unpack)(fields, 9) })
end

--- A function that makes a request's body ready to be sent again; nil when it cannot be.
function outgoing.rewinder(request)
  local value = request.body
  if type(value) == "function" then return nil end
  if io.type(value) ~= "file" then return function() return true end end
  local here = value:seek("cur")
  return here and function() return value:seek("set", here) end
end

--- The request that a redirect asks for: method and request.
function outgoing.redirected(method, request, status, is_elsewhere)
  local headers = Headers.new(request.headers)
  if is_elsewhere then
    for _, name in ipairs(SECRET) do headers:del(name) end
  end
  local following = {}
  for name, value in pairs(request) do following[name] = value end
  following.headers, following.query = headers, nil -- the new address has its own
  following.is_elsewhere = request.is_elsewhere or is_elsewhere
  if status == 303 or (method == "POST" and status < 303) then
    method = method == "HEAD" and "HEAD" or "GET"
    following.body, following.file, following.json, following.form, following.trailers = nil, nil, nil, nil, nil
    headers:del("content-type"):del("content-length")
  end
  return method, following
end

return outgoing
