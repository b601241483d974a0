--- A client that moves: neap run spec/interop/migration_client.lua CA URL OUT [ADDRESS [at_once]]
--- It goes to ADDRESS once a tenth of the download is there, and prints what becomes of its paths.
local neap = require("neap")

local ca, url, out, address, how = ...
local client = neap.client({ ca = ca })
local has_moved = false
client:on_path(function(event)
  print(event.kind, event.local_address, event.peer)
  has_moved = has_moved or event.kind == "migrated"
end)

neap.run(function()
  local response = assert(client:get(url))
  local file, got = assert(io.open(out, "wb")), 0
  local most = tonumber(response.headers["content-length"])
  for chunk in response:chunks() do
    file:write(chunk)
    got = got + #chunk
    if address and got > most / 10 then
      assert(client:migrate({ address = address, at_once = how == "at_once" }))
      address = nil
    end
  end
  file:close()
  -- A download is over soon, and a path is asked a second time after one, when its first challenge overtook the
  -- connection IDs that it is answered with.
  for _ = 1, 300 do
    if not has_moved then neap.sleep(0.01) end
  end
  local second = assert(client:get(url))
  print("second", second.status, second.conn:peer(), second.conn:local_address(), #assert(second:body(2 ^ 26)))
  client:close()
end)
