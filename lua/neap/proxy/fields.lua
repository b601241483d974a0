--- Fields on their way through a proxy (RFC 9110 §7.6).
local address = require "neap.ip_address"
local Headers = require "neap.headers"

local fields = {}

-- Of one connection, not of the message; alt-svc names where the upstream is.
local HOP_BY_HOP = {
  connection = true, ["keep-alive"] = true, ["proxy-connection"] = true, te = true, ["transfer-encoding"] = true,
  upgrade = true, ["proxy-authenticate"] = true, ["proxy-authorization"] = true, ["alt-svc"] = true,
  ["http2-settings"] = true,
}

-- What says where a request came from.
local FORWARDED = { forwarded = true, ["x-forwarded-for"] = true, ["x-forwarded-proto"] = true,
  ["x-forwarded-host"] = true, ["x-forwarded-port"] = true, ["x-real-ip"] = true }

local VERSIONS = { h3 = "3", h2 = "2", ["http/1.1"] = "1.1" }

--- The value of all lines of a name, as one (RFC 9110 §5.3); nil when there are none.
local function joined(list, name)
  local values = {}
  for i = 1, #list, 2 do
    if list[i] == name then values[#values + 1] = list[i + 1] end
  end
  return values[1] and table.concat(values, ", ")
end

local function append(before, value)
  return before and before ~= "" and before .. ", " .. value or value
end

-- A node of Forwarded (RFC 7239 §6), which has to be quoted where it is no token.
local function node(text)
  if text:find(":", 1, true) then return '"[' .. text .. ']"' end
  return text
end

-- A host of the client's is quoted, and is left out where it has what a quoted text ends with.
local function host_parameter(host)
  if not host or host:find('[%c"\\]') then return "" end
  return ';host="' .. host .. '"'
end

local function add_forwarded(out, list, req, is_trusted)
  local peer, scheme, host = address.of_peer(req.peer), req.scheme or "http", req.host
  local function before(name) return is_trusted and joined(list, name) or nil end
  local function add(name, value)
    out[#out + 1], out[#out + 2] = name, value
  end
  add("forwarded", append(before "forwarded", ("for=%s%s;proto=%s"):format(node(peer), host_parameter(host), scheme)))
  add("x-forwarded-for", append(before "x-forwarded-for", peer))
  add("x-forwarded-proto", before "x-forwarded-proto" or scheme)
  if host then add("x-forwarded-host", before "x-forwarded-host" or host) end
end

-- What the proxy asks for: the path of the request in its one spelling, so that what was routed is what is meant.
local function target(req, upstream, given)
  local path = req.path
  local strip = given.strip
  if strip and (path == strip or path:sub(1, #strip + 1) == strip .. "/") then path = path:sub(#strip + 1) end
  if path:sub(1, 1) ~= "/" and path ~= "*" then path = "/" .. path end
  if path ~= "*" then path = upstream.at.base .. (given.prefix or "") .. path end
  return req.query_string and path .. "?" .. req.query_string or path
end

-- Whether a request asks for a WebSocket, in the version of HTTP whose connections can become something else.
local function asks_for_websocket(req)
  if req.proto ~= "http/1.1" or req.method ~= "GET" or req.has_body then return false end
  return (req.headers:get("upgrade") or ""):lower() == "websocket"
end

--- The flat list of fields of a request to an upstream. `given` are the options of the proxy.
function fields.request(req, upstream, given, is_trusted)
  local list = Headers.list(req.headers)
  local out = { ":method", req.method, ":scheme", upstream.at.scheme, ":authority",
    given.host == "upstream" and upstream.at.authority or given.host ~= "client" and given.host or req.host
      or upstream.at.authority, ":path", target(req, upstream, given) }
  local has_trailers = false
  for i = 1, #list, 2 do
    local name = list[i]
    if name == "te" then has_trailers = has_trailers or list[i + 1]:lower():find("trailers", 1, true) ~= nil end
    if not HOP_BY_HOP[name] and not FORWARDED[name] and name ~= "expect" and name ~= "host" and name ~= "via" then
      out[#out + 1], out[#out + 2] = name, list[i + 1]
    end
  end
  if has_trailers then out[#out + 1], out[#out + 2] = "te", "trailers" end
  if asks_for_websocket(req) then out[#out + 1], out[#out + 2] = "upgrade", "websocket" end
  if given.forwarded then add_forwarded(out, list, req, is_trusted) end
  local via = joined(list, "via")
  out[#out + 1], out[#out + 2] = "via", append(via, (VERSIONS[req.proto] or "1.1") .. " " .. given.via)
  return out
end

--- Puts the fields of a response, a flat list with its status first, where the handler's response has them.
function fields.respond(list, res, given)
  local headers, seen = res:headers(), {}
  for i = 3, #list, 2 do
    local name = list[i]
    if not HOP_BY_HOP[name] and name ~= "via" then
      if seen[name] or name == "set-cookie" then
        headers:append(name, list[i + 1])
      else
        headers:set(name, list[i + 1])
      end
      seen[name] = true
    end
  end
  headers:set("via", append(joined(list, "via"), "1.1 " .. given.via))
end

--- The fields of an interim response, or of trailers: a flat list without what is of the connection.
function fields.passed(list, from)
  local out = {}
  for i = from or 1, #list, 2 do
    local name = list[i]
    if not HOP_BY_HOP[name] and name ~= "content-length" and name ~= "host" then
      out[#out + 1], out[#out + 2] = name, list[i + 1]
    end
  end
  return out
end

return fields
