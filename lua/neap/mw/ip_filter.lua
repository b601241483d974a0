--- Who may come at all, by address: prefixes that are allowed, and prefixes that are denied.
local address = require "neap.ip_address"
local options = require "neap.options"

local OWN = {
  allow = options.of("table"), -- nobody else may, unless it is empty
  deny = options.of("table"),  -- goes first
  ip = options.of("function"), -- function(req): the address as text; that of the connection unless told
}

local function prefixes(list, level)
  local parsed = {}
  for i, text in ipairs(list or {}) do
    parsed[i] = type(text) == "string" and address.prefix(text)
      or error(("ip_filter: %s is no address and no prefix like 10.0.0.0/8"):format(tostring(text)), level + 1)
  end
  return parsed
end

local function is_among(bytes, list)
  for i = 1, #list do
    if address.is_under(bytes, list[i]) then return true end
  end
  return false
end

return function(given)
  given = options.fill(given, OWN, "ip_filter", 2)
  local allow, deny = prefixes(given.allow, 2), prefixes(given.deny, 2)
  if not allow[1] and not deny[1] then error("ip_filter takes `allow` or `deny`", 2) end
  local ip_of = given.ip or function(req) return address.of_peer(req.peer) end
  return function(req, _, next)
    local bytes = address.parse(ip_of(req) or "")
    if not bytes or is_among(bytes, deny) or allow[1] and not is_among(bytes, allow) then return 403, "forbidden\n" end
    next()
  end
end
