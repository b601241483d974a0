--- User and password (RFC 7617), as browsers ask for them. Over HTTP/3 and TLS only: who listens would read them.
local core = require "neap.core"
local options = require "neap.options"

local OWN = {
  users = options.of("table"),                 -- [name] = password
  check = options.of("function"),              -- or a function(name, password, req): who it is, or nothing; it may wait
  realm = options.row('a string without " and control characters', function(value)
    return type(value) == "string" and not value:find('[%c"\\]')
  end, "restricted"),
}

local DIGITS = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"
local VALUE = {}
for i = 1, 64 do VALUE[DIGITS:byte(i)] = i - 1 end

-- The bytes of a base64 text; nil for what is none.
local function decode(text)
  text = text:gsub("=+$", "")
  if #text > 4096 or #text % 4 == 1 then return nil end
  local bytes, bits, count = {}, 0, 0
  for i = 1, #text do
    local value = VALUE[text:byte(i)]
    if not value then return nil end
    bits, count = bits % 0x40 * 64 + value, count + 6
    if count >= 8 then
      count = count - 8
      bytes[#bytes + 1] = string.char(math.floor(bits / 2 ^ count) % 256)
    end
  end
  return table.concat(bytes)
end

-- Compares what a keyed hash makes of both, so that neither a wrong name nor a wrong length is answered sooner.
local function check_users(users)
  local key = core.random_bytes(32)
  local hashes, nobody = {}, core.hmac(key, core.random_bytes(32))
  for name, password in pairs(users) do hashes[name] = core.hmac(key, password) end
  return function(name, password)
    local is_right = core.is_equal(hashes[name] or nobody, core.hmac(key, password))
    return is_right and hashes[name] and name or nil
  end
end

return function(given)
  given = options.fill(given, OWN, "basic_auth", 2)
  if (given.users == nil) == (given.check == nil) then error("basic_auth takes `users` or `check`", 2) end
  local check = given.check or check_users(given.users)
  local challenge = ('Basic realm="%s", charset="UTF-8"'):format(given.realm)
  return function(req, res, next)
    local text = req.headers:get("authorization")
    local word = text and text:match("^[Bb][Aa][Ss][Ii][Cc] +([%w+/]+=*)%s*$")
    local both = word and decode(word)
    local name, password
    if both then name, password = both:match("^([^:]*):(.*)$") end
    local user = name and check(name, password, req)
    if not user then
      res:header("www-authenticate", challenge)
      return 401, "unauthorized\n"
    end
    req.user = user
    next()
  end
end
