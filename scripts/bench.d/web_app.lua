--- The application that scripts/bench web measures: neap run scripts/bench.d/web_app.lua PORT CERT KEY FOLDER UPSTREAM
local neap = require("neap")

local port, cert, key, folder, upstream = ...
local app, mw = neap.app(), neap.mw

app:get("/hello/:name", function(req)
  return "hello " .. req.params.name .. "\n"
end)

local api = app:group("/api")
api:use(mw.request_id(), mw.secure_headers(), mw.cors { origin = "https://app.example" },
  mw.rate_limit { limit = 1e9, per = 1 }, mw.body_limit { bytes = 65536 })
api:get("/items/:id", function(req, res)
  res:json { id = tonumber(req.params.id), name = "gauge", values = { 1, 2, 3, 4, 5, 6, 7, 8 }, ok = true }
end)

app:get("/files/*path", neap.static(folder))
app:any("/up/*", neap.proxy("http://127.0.0.1:" .. upstream, { strip = "/up" }))

assert(app:listen { host = "127.0.0.1", port = tonumber(port), cert = cert, key = key, tcp = true })
