--- The server that peers meet: POST /echo gives the body back while it comes, /tls says how the client is known.
--- neap run spec/interop/app.lua PORT CERT KEY [OPTION=VALUE ...: of app:listen; psk=IDENTITY:HEXADECIMAL is instead of
--- a certificate; next_cert=FILE is what /forget has instead of CERT]
local neap = require("neap")

local port, cert, key = ...
-- A browser has another connection for its next page when this one is over.
local IDLE = 2
local options = { host = "127.0.0.1", port = tonumber(port), cert = cert, key = key, max_idle_timeout = IDLE }
for i = 4, select("#", ...) do
  local name, value = select(i, ...):match("^([%w_]+)=(.*)$")
  options[name] = value == "true" or tonumber(value) or value
end
local next_cert = options.next_cert
options.next_cert = nil
if options.psk then
  local identity, digits = options.psk:match("^(.-):(%x+)$")
  local bytes = digits:gsub("..", function(two) return string.char(tonumber(two, 16)) end)
  options.psk = { identity = identity, key = bytes }
  options.cert, options.key = nil, nil
end

local app = neap.app()
local server

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

-- What became of early data is a question to the connection, which handlers have not.
app:get("/tls", function(req)
  local who = req.client_cert and req.client_cert.subject or req.psk_identity or "nobody"
  local early = req.is_early and "early" or req._session.conn:early()
  print(("/tls %s"):format(early))
  io.stdout:flush()
  return ("%s, %s, %s"):format(req.is_resumed and "resumed" or "full", early, who)
end)

-- With another certificate the tickets that clients have are good no more. Those of this connection were sent with the
-- end of its handshake.
app:get("/forget", function(req)
  assert(req:wait_for_handshake())
  assert(os.rename(next_cert, options.cert))
  assert(server:reload_certs())
  return "forgotten"
end)

server = assert(app:listen(options))
