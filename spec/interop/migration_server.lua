--- A server for clients that move: neap run spec/interop/migration_server.lua HOST PORT CERT KEY FOLDER [PREFERRED]
--- It prints what becomes of their paths, and where requests come from.
local neap = require("neap")

local host, port, cert, key, folder, preferred = ...
local app = neap.app()
app:use(function(req, _, following)
  print("request " .. req.peer)
  io.stdout:flush()
  return following()
end)
app:any("/*path", neap.static(folder))
local server = assert(app:listen({
  host = host, port = tonumber(port), cert = cert, key = key, preferred_address = preferred,
}))
server:on_path(function(event)
  print(event.kind, event.local_address, event.peer)
  io.stdout:flush()
end)
neap.run()
