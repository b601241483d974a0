--- The Lua handlers that are measured: neap run scripts/bench.d/handler.lua PORT CERT KEY [BUSY_POLL]
local neap = require("neap")

local port, cert, key, busy_poll = ...
local app = neap.app()

app:get("/hello/:name", function(req)
  return "hello " .. req.params.name .. "\n"
end)

app:get("/tide", { body = "hello tide\n" })

app:post("/upload", function(req)
  local size = 0
  for chunk in req:chunks() do size = size + #chunk end
  return ("%d bytes\n"):format(size)
end)

assert(app:listen({ host = "127.0.0.1", port = tonumber(port), cert = cert, key = key, max_idle_timeout = 600,
  busy_poll = tonumber(busy_poll) }))
