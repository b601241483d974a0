--- Cookies (RFC 6265): what requests have to read them and responses to set them, signed ones too.
local core = require "neap.core"
local hex = require "neap.hex"
local date = require "neap.date"
local url = require "neap.url"

local cookies = { request = {}, response = {} }

local SHORTEST_KEY = 16 -- bytes
local MOST_TRIED = 8    -- cookies of one name whose signatures are looked at: others may set them beside ours

local BLANK = { [9] = true, [32] = true } -- OWS, RFC 9110 §5.6.3

-- A text without the spaces and tabs around it. By bytes: a pattern would go back over a long run of spaces.
local function trim(text)
  local first, last = 1, #text
  while BLANK[text:byte(first)] do first = first + 1 end
  while last > first and BLANK[text:byte(last)] do last = last - 1 end
  return text:sub(first, last)
end

-- Calls fn with the value of each cookie of a name until that gives something.
local function each_value(req, name, fn)
  for _, line in ipairs(req.headers:get_all("cookie")) do
    for pair in line:gmatch("[^;]+") do
      local equals = pair:find("=", 1, true)
      if equals and trim(pair:sub(1, equals - 1)) == name then
        local first, second = fn(url.decode(trim(pair:sub(equals + 1))))
        if first then return first, second end
      end
    end
  end
end

local function itself(value)
  return value
end

--- The value of a cookie, its percent-encoding decoded, or nil.
function cookies.request:cookie(name)
  return (each_value(self, name, itself))
end

-- What res:cookie takes, with what is meant without it: a cookie of the whole site, that neither scripts
-- nor other sites can use.
local COOKIE = { path = "/", domain = false, max_age = false, expires = false, secure = true, http_only = true,
  same_site = "lax", partitioned = false }
local SAME_SITE = { lax = "Lax", strict = "Strict", none = "None" }

-- An attribute's text must not end the attribute.
local function attribute(name, value)
  value = tostring(value)
  if value:find("[%c;]") then error(("a cookie's %s holds no ; and no control characters"):format(name), 3) end
  return "; " .. name .. "=" .. value
end

--- Sets a cookie (RFC 6265); a nil value has the client forget it. Options: path ("/"), domain, max_age
-- (seconds), expires (seconds since 1970), secure (true), http_only (true), same_site ("lax", "strict",
-- "none" or false), partitioned. The value is percent-encoded where it has to be; req:cookie decodes.
function cookies.response:cookie(name, value, options)
  if type(name) ~= "string" or not name:find("^[%w!#$%%&'*+.^_`|~-]+$") then error("a cookie's name is a token", 2) end
  local given = {}
  for key, default in pairs(COOKIE) do given[key] = default end
  for key, one in pairs(options or {}) do
    if COOKIE[key] == nil then error("a cookie has no option " .. tostring(key), 2) end
    given[key] = one
  end
  if value == nil then value, given.max_age, given.expires = "", 0, 0 end
  local same_site = given.same_site and (SAME_SITE[given.same_site] or error("same_site is lax, strict or none", 2))
  if not given.secure and (same_site == "None" or given.partitioned or name:find("^__Secure%-")) then
    error("such a cookie has to be secure", 2)
  end
  if name:find("^__Host%-") and (not given.secure or given.domain or given.path ~= "/") then
    error("a __Host- cookie is secure, has the path / and no domain", 2)
  end
  -- RFC 6265 §4.1.1: cookie-octet, and % for the encoding.
  local text = name .. "=" .. tostring(value):gsub("[^%w!#$&'()*+./:<=>?@%[%]^_`{|}~-]", url.encode)
  if given.path then text = text .. attribute("Path", given.path) end
  if given.domain then text = text .. attribute("Domain", given.domain) end
  if given.max_age then text = text .. attribute("Max-Age", ("%d"):format(given.max_age)) end
  if given.expires then text = text .. attribute("Expires", date.format(given.expires)) end
  if given.secure then text = text .. "; Secure" end
  if given.http_only then text = text .. "; HttpOnly" end
  if same_site then text = text .. "; SameSite=" .. same_site end
  if given.partitioned then text = text .. "; Partitioned" end
  return self:header("set-cookie", text)
end

-- ---- signed

-- A key, or a list of them, as a list.
local function list_of_keys(keys)
  local list = type(keys) == "table" and keys or { keys }
  if #list == 0 then error("a signed cookie needs a key", 3) end
  for _, key in ipairs(list) do
    if type(key) ~= "string" or #key < SHORTEST_KEY then
      error(("a key of signed cookies has %d bytes or more"):format(SHORTEST_KEY), 3)
    end
  end
  return list
end

-- The signature of a value for one name until some time, so that it is good for no other.
local function sign(key, name, expires, value)
  local mac = core.hmac(key, "neap cookie\0" .. name .. "\0" .. expires .. "\0" .. value)
  return hex(mac)
end

--- Sets a cookie that req:signed_cookie believes only as it was set here, and until max_age or expires; everybody can
-- read it. `keys`: the first of them signs, a string or a list; 32 random bytes are a good one. The rest is as of
-- res:cookie.
function cookies.response:signed_cookie(name, value, keys, options)
  local key = list_of_keys(keys)[1]
  if value == nil then return self:cookie(name, nil, options) end
  local given = options or {}
  local ends = given.max_age and os.time() + given.max_age or given.expires
  local expires = ends and ("%d"):format(math.floor(ends)) or ""
  value = tostring(value)
  return self:cookie(name, value .. "." .. expires .. "." .. sign(key, name, expires, value), options)
end

--- The value of a cookie that res:signed_cookie has set with one of these keys, and which of them that was: where it
-- is not the first, the cookie is due to be set anew. nil without one; nil, message, "invalid" when none is signed by
-- these, or it is too old.
function cookies.request:signed_cookie(name, keys)
  keys = list_of_keys(keys)
  local tried, why = 0, nil
  local value, index = each_value(self, name, function(text)
    tried = tried + 1
    if tried > MOST_TRIED then return nil end
    local signed, expires, mac = text:match("^(.*)%.(%d*)%.(%x+)$")
    why = why or "a cookie without a signature of ours"
    if not signed then return nil end
    for i, key in ipairs(keys) do
      if core.is_equal(mac, sign(key, name, expires, signed)) then
        if expires == "" or os.time() < tonumber(expires) then return signed, i end
        why = "a cookie that is too old"
      end
    end
  end)
  if value then return value, index end
  if why then return nil, why, "invalid" end
end

return cookies
