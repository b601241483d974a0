--- Fields that have browsers keep to what a site means. Those that a handler sets stay.
local options = require "neap.options"

local or_false = function(default) return options.of("string", default, true) end

local OWN = {
  strict_transport_security = or_false("max-age=31536000"),
  x_content_type_options = or_false("nosniff"),
  x_frame_options = or_false("SAMEORIGIN"),
  referrer_policy = or_false("strict-origin-when-cross-origin"),
  cross_origin_opener_policy = or_false("same-origin"),
  cross_origin_resource_policy = or_false("same-origin"),
  x_permitted_cross_domain_policies = or_false("none"),
  origin_agent_cluster = or_false("?1"),
  content_security_policy = or_false(false),
  permissions_policy = or_false(false),
  cross_origin_embedder_policy = or_false(false),
}

return function(given)
  given = options.fill(given, OWN, "secure_headers", 2)
  local names = {}
  for name in pairs(OWN) do
    if given[name] then names[#names + 1] = name end
  end
  table.sort(names)
  local fields = {}
  for _, name in ipairs(names) do
    fields[#fields + 1] = (name:gsub("_", "-"))
    fields[#fields + 1] = given[name]
  end
  local first = fields[1] or "x"
  return function(_, res, next)
    -- Before, for what is written in pieces; and after, for what an error page has put in their place.
    res:_fill(fields)
    next()
    if not res:is_started() and (res:status() >= 400 or res:header(first) == nil) then res:_fill(fields) end
  end
end
