--- The middleware that neap ships, as neap.mw: each is made by a function that takes options, and loads when it is
-- first used. docs/middleware.md has them all.
local NAMES = { "access_log", "basic_auth", "bearer_auth", "body_limit", "compress", "cors", "csrf", "etag",
  "ip_filter", "rate_limit", "redis_store", "request_id", "secure_headers", "session", "timeout" }

local KNOWN = {}
for _, name in ipairs(NAMES) do KNOWN[name] = true end

return setmetatable({}, {
  __index = function(self, name)
    if not KNOWN[name] then
      error(("neap.mw has no %q: it has %s"):format(tostring(name), table.concat(NAMES, ", ")), 2)
    end
    local make = require("neap.mw." .. name)
    rawset(self, name, make)
    return make
  end,
})
