--- The server that peers meet: POST /echo gives the body back while it comes.
--- neap run spec/interop/app.lua PORT CERT KEY [CLIENT_CA: it asks for certificates that lead there]
local neap = require("neap")

local port, cert, key, client_ca = ...
local app = neap.app()

app:post("/echo", function(req, res)
  for chunk in req:chunks() do
    local taken, reason = res:write(chunk)
    if not taken then error(reason) end
  end
  return res
end)

app:get("/protocol", function(req, res)
  res:header("content-type", "text/html; charset=utf-8")
  return "<!doctype html><title>neap</title><p>" .. req.method .. " " .. req.path .. "</p>"
end)

app:get("/resumed", function(req) return tostring(req.is_resumed) end)

app:get("/early", function(req) return tostring(req.is_early) end)

app:get("/who", function(req)
  local who = req.client_cert
  return ("%s, %s"):format(who and who.subject or "nobody", req.is_resumed and "resumed" or "full")
end)

assert(app:listen({ host = "127.0.0.1", port = tonumber(port), cert = cert, key = key, early_data = true,
  client_ca = client_ca, client_certificate = client_ca and "require" }))
