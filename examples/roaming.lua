-- A gateway with several uplinks: it reports each second, and its one connection goes where the machine's routes lead.
--
--   neap run examples/roaming.lua https://localhost:4433/ [REPORTS] [CA]
--
-- Take the uplink away (ip link set eth0 down) and bring it back: the lines tell of it, and no report is lost. Where
-- the program knows better than the routes do, client:migrate{ interface = "wlan0" } says so.
local neap = require "neap"

local url, reports, ca = ...
url = url or "https://localhost:4433/"

local client = neap.client { ca = ca, migrate = "auto", timeout = 60 }

client:on_path(function(event, authority)
  print(("%s: %s, from %s to %s"):format(authority, event.kind, event.local_address, event.peer))
end)

neap.run(function()
  for number = 1, tonumber(reports) or math.huge do
    local response, message = client:post(url, { json = { number = number } })
    print(number, response and response.status or message)
    if response then response:body() end
    if number == tonumber(reports) then break end
    neap.sleep(1)
  end
  client:close()
end)
