--- Bearer tokens (RFC 6750): one that is known, or that a function takes.
local core = require "neap.core"
local options = require "neap.options"

local OWN = {
  tokens = options.of("table"),   -- a list, or [token] = who it is
  check = options.of("function"), -- or a function(token, req): who it is, or nothing; it may wait
  realm = options.row('a string without " and control characters', function(value)
    return type(value) == "string" and not value:find('[%c"\\]')
  end, "restricted"),
}

-- Looks the token up by what a keyed hash makes of it: how long that takes says nothing of the others.
local function check_tokens(tokens)
  local key, owners = core.random_bytes(32), {}
  for token, owner in pairs(tokens) do
    if type(token) == "number" then token, owner = owner, true end
    owners[core.hmac(key, token)] = owner
  end
  return function(token) return owners[core.hmac(key, token)] end
end

return function(given)
  given = options.fill(given, OWN, "bearer_auth", 2)
  if (given.tokens == nil) == (given.check == nil) then error("bearer_auth takes `tokens` or `check`", 2) end
  local check = given.check or check_tokens(given.tokens)
  local challenge = ('Bearer realm="%s"'):format(given.realm)
  return function(req, res, next)
    local text = req.headers:get("authorization")
    local token = text and text:match("^[Bb][Ee][Aa][Rr][Ee][Rr] +([%w._~+/-]+=*)%s*$")
    local user = token and check(token, req)
    if not user then
      res:header("www-authenticate", text and challenge .. ', error="invalid_token"' or challenge)
      return 401, "unauthorized\n"
    end
    req.user = user
    next()
  end
end
