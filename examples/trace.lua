-- What a connection does, while it does it: neap run examples/trace.lua URL [EVENT…]
--
--   neap run examples/trace.lua https://localhost:4433/ quic:packet_lost quic:recovery_metrics_updated
--
-- Events have the names and fields of qlog (docs/observability.md lists them); without names all are shown.
local neap = require "neap"
local json = require "neap.json"

local url = arg[1] or error("usage: neap run examples/trace.lua URL [EVENT...]", 0)
local names = {}
for i = 2, #arg do names[#names + 1] = arg[i] end

neap.run(function()
  local client = neap.client {
    verify_peer = false,
    on_trace = function(event, trace)
      print(("%10.3f ms  %s  %s  %s"):format(event.time, trace.peer, event.name, json.encode(event.data)))
    end,
    trace_events = names[1] and names or nil,
  }
  local res, message = client:get(url)
  print(res and ("status %d, %d bytes"):format(res.status, #res:body()) or message)
  client:close()
  neap.sleep(0.1) -- the last events are told at the end of a turn
end)
