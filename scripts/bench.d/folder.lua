--- A server of files with a congestion controller: neap run scripts/bench.d/folder.lua PORT CERT KEY FOLDER CONTROLLER
local neap = require("neap")

local port, cert, key, folder, controller = ...
local app = neap.app()

app:get("/*path", neap.static(folder))
assert(app:listen({ host = "127.0.0.1", port = tonumber(port), cert = cert, key = key,
  congestion_control = controller }))
