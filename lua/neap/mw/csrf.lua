--- Refuses what another site's page has a browser send: requests of methods that change something, whose Sec-Fetch-Site
-- or Origin says that they come from elsewhere (Fetch Metadata; RFC 6454). Programs send neither, and pass.
local options = require "neap.options"

local OWN = {
  trusted_origins = options.of("table", {}), -- "https://admin.example" besides the site's own
  message = options.of("string", "this request comes from another site\n"),
}

local SAFE = require("neap.semantics").SAFE
local OURS = { ["same-origin"] = true, none = true }

local function comes_from_here(req, trusted)
  local origin, site = req.headers:get("origin"), req.headers:get("sec-fetch-site")
  if origin and trusted[origin] then return true end
  if site then return OURS[site] or false end
  if not origin then return true end
  return req.host ~= nil and origin == (req.scheme or "https") .. "://" .. req.host
end

return function(given)
  given = options.fill(given, OWN, "csrf", 2)
  local trusted, message = {}, given.message
  for _, origin in ipairs(given.trusted_origins) do
    if type(origin) ~= "string" or not origin:find("^https?://[^/]+$") then
      error("csrf: an origin is like https://admin.example, without a path", 2)
    end
    trusted[origin] = true
  end
  return function(req, _, next)
    if not SAFE[req.method] and not comes_from_here(req, trusted) then return 403, message end
    next()
  end
end
