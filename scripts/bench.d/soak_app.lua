--- The application that scripts/bench soak loads: neap run scripts/bench.d/soak_app.lua PORT CERT KEY FOLDER
local neap = require("neap")

local port, cert, key, folder = ...
local app, mw = neap.app(), neap.mw
local piece = ("tide "):rep(3277) -- 16 KiB

app:use(mw.request_id(), mw.secure_headers(), mw.rate_limit { limit = 1e9, per = 1 }, mw.timeout { seconds = 20 },
  mw.session { keys = ("k"):rep(32), store = "memory", entries = 1000 }, mw.compress())

app:get("/hello/:name", function(req) return "hello " .. req.params.name .. "\n" end)

app:get("/json", function(req)
  req.session.count = (req.session.count or 0) + 1
  return { count = req.session.count, values = { 1, 2, 3 } }
end)

app:get("/much", function(_, res)
  for _ = 1, 64 do res:write(piece) end
end)

app:get("/slow", function()
  neap.sleep(0.2)
  return "slow\n"
end)

app:get("/events", function(_, res)
  local events = res:sse { heartbeat = 1 }
  while events:wait(0.05) do events:send { data = { now = neap.now() } } end
end)

app:post("/upload", function(req)
  local size = 0
  for chunk in req:chunks() do size = size + #chunk end
  return ("%d\n"):format(size)
end)

app:post("/form", function(req)
  local count = 0
  for part in req:multipart { bytes = 2 ^ 20 } do count = count + #(part:body(2 ^ 20) or "") end
  return ("%d\n"):format(count)
end)

app:get("/files/*path", neap.static(folder, { precompressed = true }))

-- What the process holds, when it has looked for garbage.
local metrics = neap.metrics()
app:get("/metrics", function()
  collectgarbage()
  collectgarbage()
  return metrics:render()
end)

assert(app:listen { host = "127.0.0.1", port = tonumber(port), cert = cert, key = key, tcp = true,
  handshake_rate = 1000000, tcp_idle_timeout = 5, max_idle_timeout = 5 })
