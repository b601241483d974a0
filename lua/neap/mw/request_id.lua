--- A name for each request, in req.request_id and in a field of its response: for logs on both sides.
local core = require "neap.core"
local hex = require "neap.hex"
local options = require "neap.options"

local OWN = {
  header = options.of("string", "x-request-id"),
  trust = options.of("boolean", false), -- take the request's own, where it has one that is safe to write
  make = options.of("function"),        -- gives a name; 16 random bytes in hex unless told
}

local SIZE = 32 -- digits of a name

-- Digits for the next names: one call into the core has those of sixteen.
local digits, used = "", 0

local function make_random()
  if used == #digits then digits, used = hex(core.random_bytes(8 * SIZE)), 0 end
  used = used + SIZE
  return digits:sub(used - SIZE + 1, used)
end

return function(given)
  given = options.fill(given, OWN, "request_id", 2)
  local header, trust, make = given.header:lower(), given.trust, given.make or make_random
  return function(req, res, next)
    local id = trust and req.headers:get(header)
    if not id or #id > 128 or id:find("[^%w._~-]") then id = make() end
    req.request_id = id
    res:header(header, id)
    next()
  end
end
