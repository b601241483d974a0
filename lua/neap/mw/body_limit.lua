--- A bound on the bodies of requests: one that says it is longer is refused at once, others where the bound is passed,
-- whichever way they are read.
local options = require "neap.options"

local OWN = { bytes = options.whole(0, nil, 1024 * 1024) }

return function(given)
  local limit = options.fill(given, OWN, "body_limit", 2).bytes
  return function(req, _, next)
    if req.has_body then req:_limit_body(limit) end
    next()
  end
end
