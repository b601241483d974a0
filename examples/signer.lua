--- A server whose private key lives in another process, which is asked over a Unix socket: who breaks into the server
--- does not get the key. Both are this program:
--    neap run examples/signer.lua keep SOCKET CERT KEY     keeps the key and signs with it
--    neap run examples/signer.lua serve SOCKET CERT        serves, and asks
-- Without CERT and KEY `keep` makes both: a certificate for localhost in the file that CERT names (here.pem), and a key
-- that is in no file at all.
local core = require "neap.core"
local neap = require "neap"

io.stdout:setvbuf "line"
local role, path, cert_file, key_file = (arg or {})[1], (arg or {})[2] or "signer.sock", (arg or {})[3] or "here.pem",
  (arg or {})[4]

-- A request is a line, "SCHEME SIZE", and SIZE bytes; the answer a line, "SIZE", and the signature, or
-- "error TEXT".

-- What may be signed: handshakes of TLS servers, and nothing that could be taken for anything else (RFC 8446 §4.4.3).
local START = (" "):rep(64) .. "TLS 1.3, server CertificateVerify\0"

local function serve_one(client, config, key)
  for line in function() return client:read("*l") end do
    local scheme, size = line:match("^(%S+) (%d+)$")
    local bytes = size and tonumber(size) <= 4096 and client:read(tonumber(size))
    local signature, why = nil, "that is no request"
    if bytes and bytes:sub(1, #START) == START then signature, why = config:sign(key, scheme, bytes) end
    if not client:write(signature and #signature .. "\n" .. signature or "error " .. why .. "\n") then break end
  end
  client:close()
end

local function keep()
  local listener = assert(neap.unix.listen(path)) -- first: nothing changes where another one listens
  local cert, key
  if key_file then
    key = assert(io.open(key_file)):read("*a")
  else
    cert, key = core.make_certificate { names = { "localhost", "127.0.0.1" }, days = 30 }
    assert(core.write_file(cert_file, cert))
  end
  local config = assert(core.config {})
  print("signing at " .. path)
  while true do
    local client, why, code = listener:accept()
    if client then
      neap.go(serve_one, client, config, key)
    elseif code == "closed" then
      return
    else
      print(why)
      neap.sleep(1)
    end
  end
end

local function sign(bytes, scheme)
  local socket, why = neap.unix.connect(path, 5)
  if not socket then return nil, why end
  local answer
  socket:write(("%s %d\n"):format(scheme, #bytes) .. bytes)
  answer, why = socket:read("*l")
  local size = tonumber(answer)
  local signature = size and socket:read(size)
  socket:close()
  return signature, answer or why
end

local function serve()
  local app = neap.app()
  app:get("/", function() return "signed by another process\n" end)
  assert(app:listen { cert = cert_file, sign = sign })
  neap.run()
end

if role == "keep" then
  neap.run(keep)
elseif role == "serve" then
  serve()
else
  print("usage: neap run examples/signer.lua keep|serve SOCKET [CERT [KEY]]")
end
