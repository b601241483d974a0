--- A device of examples/enroll.lua: it makes its key, has it certified once, and posts readings; when it comes again,
-- the first reading leaves with the first packets. The key is kept before anybody sees the token: whatever breaks off
-- then, the next start asks with the same key again, for which the token is still good.
--    neap run examples/device.lua URL CA FOLDER TOKEN
-- CA: the server's ca.pem; FOLDER keeps key, certificate and sessions.
local neap = require "neap"
local write_file = require("neap.core").write_file

local url, ca, folder, token = (arg or {})[1], (arg or {})[2], (arg or {})[3], (arg or {})[4]
local cert_file, key_file = tostring(folder) .. "/cert.pem", tostring(folder) .. "/key.pem"

local function read(path)
  local file = io.open(path)
  local text = file and file:read("*a")
  if file then file:close() end
  return text
end

local function enrol()
  local key = read(key_file)
  if not key then
    key = assert(neap.x509.key())
    assert(write_file(key_file, key)) -- for nobody else to read
  end
  local request = assert(neap.x509.request { key = key, subject = "a device" })
  local client = neap.client { ca = ca, timeout = 10 }
  local response = assert(client:post(url .. "enroll", { body = request,
    headers = { authorization = "Bearer " .. tostring(token) } }))
  local answer = response:body()
  client:close()
  if response.status ~= 200 then error("not enrolled: " .. tostring(answer), 0) end
  assert(write_file(cert_file, answer, 420)) -- with it the device is enrolled
  print("enrolled")
end

local function post()
  local client = neap.client { ca = ca, cert = cert_file, key = key_file, early_data = true,
    session_file = folder .. "/sessions", timeout = 10 }
  for i = 1, 2 do
    local response, why = client:post(url .. "readings", { body = ("%.1f"):format(20 + i / 2), early = "unsafe" })
    if not response then error("not taken: " .. why, 0) end
    print(response.status, response.conn:is_resumed() and "resumed" or "full", response.was_early and "early" or "")
  end
  print(assert(client:get(url .. "readings")):body())
  client:close()
end

if folder then
  neap.run(function()
    if not read(cert_file) then enrol() end
    post()
  end)
else
  print("usage: neap run examples/device.lua URL CA FOLDER [TOKEN]")
end
