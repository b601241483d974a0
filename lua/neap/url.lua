--- URLs as far as HTTP needs them (RFC 3986): parse, percent-decoding, query strings.
local url = {}

local function decode_pair(hex)
  return string.char(tonumber(hex, 16))
end

--- Decodes percent-encoding; with `plus`, "+" is a space (form encoding).
function url.decode(text, plus)
  if plus then text = text:gsub("+", " ") end
  return (text:gsub("%%(%x%x)", decode_pair))
end

--- Percent-encodes everything but unreserved characters (RFC 3986 §2.3).
function url.encode(text)
  return (text:gsub("[^%w%-%._~]", function(c) return ("%%%02X"):format(c:byte()) end))
end

--- Parses a query string into a table; a name that comes again keeps the last value, `all` has
-- every one. What is behind `most` pairs (nil: no bound) is left out.
function url.parse_query(text, most)
  local query, all, left = {}, {}, most or math.huge
  for pair in (text or ""):gmatch("[^&]+") do
    left = left - 1
    if left < 0 then break end
    local name, value = pair:match("^([^=]*)=?(.*)$")
    name, value = url.decode(name, true), url.decode(value, true)
    query[name] = value
    all[name] = all[name] or {}
    table.insert(all[name], value)
  end
  return query, all
end

--- Makes a query string from a table, in the order of its names.
function url.make_query(values)
  local names = {}
  for name in pairs(values) do names[#names + 1] = tostring(name) end
  table.sort(names)
  local parts = {}
  for _, name in ipairs(names) do
    parts[#parts + 1] = url.encode(name) .. "=" .. url.encode(tostring(values[name]))
  end
  return table.concat(parts, "&")
end

--- Splits "https://host:port/path?query#fragment" into {scheme, host, port, path, query, target,
-- authority}; `target` is what goes into :path, `authority` what goes into :authority. nil and a
-- reason for what is none.
function url.parse(text)
  local scheme, rest = text:match("^(%a[%w+.-]*)://(.*)$")
  if not scheme then return nil, "not an absolute URL: " .. text end
  local authority, tail = rest:match("^([^/?#]*)(.*)$")
  if authority:find("@", 1, true) then return nil, "credentials in a URL are not allowed: " .. text end
  local host, port = authority:match("^(%b[]):?(%d*)$")
  -- The colon first: digits that may be of both would be gone over again for each of them.
  if not host then
    local colon = authority:find(":", 1, true)
    host = authority:match("^[^:]+")
    port = not colon and "" or authority:match("^%d*$", colon + 1)
  end
  if not host or not port then return nil, "no host in " .. text end
  if text:find("[%s%c]") then return nil, "a URL has no spaces or control characters: " .. text end
  local number = port ~= "" and tonumber(port) or nil
  if number and (number < 1 or number > 65535) then return nil, "no such port: " .. port end
  local path, query = tail:gsub("#.*$", ""):match("^([^?]*)%??(.*)$")
  if path == "" then path = "/" end
  return {
    scheme = scheme:lower(),
    host = (host:match("^%[(.*)%]$") or host):lower(),
    port = number or 443,
    authority = host:lower() .. (number and number ~= 443 and ":" .. number or ""),
    path = path,
    query = query ~= "" and query or nil,
    target = path .. (query ~= "" and "?" .. query or ""),
  }
end

--- The absolute URL that `reference` means beside `base` (a parsed URL): for redirects (RFC 3986
-- §5.2).
function url.join(base, reference)
  if reference:match("^%a[%w+.-]*://") then return reference end
  local root = base.scheme .. "://" .. base.authority
  if reference:sub(1, 2) == "//" then return base.scheme .. ":" .. reference end
  if reference:sub(1, 1) == "/" then return root .. reference end
  if reference:sub(1, 1) == "?" then return root .. base.path .. reference end
  return root .. url.normalize((base.path:match("^.*/") or "") .. reference)
end

--- What is wrong with a text as the target of a redirect; nil: nothing. Browsers take tabs and line breaks out, and a
-- backslash for a slash, so that a path may become the name of a host.
function url.redirect_fault(text)
  if type(text) ~= "string" or text == "" then return "a redirect leads to a path or a URL" end
  if text:find("[%c%s\127]") then return "a redirect has no spaces, line breaks or control characters" end
  if text:find("^[/\\][/\\]") or text:find("^\\") then
    return "a redirect to another host has its scheme: https://…"
  end
end

--- Whether a text, such as where a client says that it wants to go next, is a path on this server and nothing else.
function url.is_local(text)
  return type(text) == "string" and text:sub(1, 1) == "/" and url.redirect_fault(text) == nil
end

--- Removes "." and ".." segments (RFC 3986 §5.2.4); never climbs above the root.
function url.normalize(path)
  local query = path:match("%?.*$") or ""
  local segments = {}
  local bare = path:gsub("%?.*$", "")
  for segment in bare:gmatch("[^/]+") do
    if segment == ".." then
      table.remove(segments)
    elseif segment ~= "." then
      segments[#segments + 1] = segment
    end
  end
  local slash = bare:match("/%.?%.?$") and #segments > 0 and "/" or ""
  return "/" .. table.concat(segments, "/") .. slash .. query
end

return url
