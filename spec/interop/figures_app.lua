--- A server that gives its figures: GET /SIZE gives so many bytes, and /figures what its connection has counted half
--- a second later.
--- neap run spec/interop/figures_app.lua PORT CERT KEY [KEY_UPDATE_PACKETS]
local neap = require("neap")

local port, cert, key, packets = ...
local app = neap.app()

app:get("/figures", function(req)
  neap.sleep(0.5)
  local stats = req._session.conn:stats() -- handlers have no other business with it
  return ("%s %d %d %d\n"):format(stats.ecn, stats.ecn_sent, stats.ecn_received, stats.key_updates)
end)

app:get("/:size", function(req)
  return ("x"):rep(tonumber(req.params.size))
end)

app:listen({ host = "127.0.0.1", port = tonumber(port), cert = cert, key = key,
  key_update_packets = tonumber(packets) })
