--- Files by datagrams as large as the loopback interface takes: neap run scripts/bench.d/jumbo.lua PORT CERT KEY FOLDER
local neap = require("neap")

local port, cert, key, folder = ...
local app = neap.app()
app:any("/*path", neap.static(folder))
assert(app:listen({ host = "127.0.0.1", port = tonumber(port), cert = cert, key = key,
  max_send_udp_payload_size = 65527 }))
