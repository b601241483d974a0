-- A server of HTTP/3 for versions_spec.lua: PORT CERTIFICATE KEY VERSIONS [retry]; "-" has the default ones.
local neap = require "neap"

local port, cert, key, names, retry = ...
local versions
for name in names:gmatch("v%d") do
  versions = versions or {}
  versions[#versions + 1] = name
end

local app = neap.app()
app:get("/hello", function(req) return ("hello, early %s\n"):format(tostring(req.is_early)) end)
assert(app:listen { host = "127.0.0.1", port = tonumber(port), cert = cert, key = key,
  early_data = true, versions = versions, retry = retry == "retry" })
neap.run()
