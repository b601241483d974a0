--- A small authority over HTTP/3, and the server that its devices report to.
--    neap run examples/enroll.lua FOLDER
-- ca.pem and ca.key are made there; its file tokens has a line "TOKEN NAME" for each device that may come.
-- POST /enroll takes a certification request with "authorization: Bearer TOKEN" and answers a certificate for NAME. The
-- line is "TOKEN PIN NAME" then: the token is good for that key alone, whose device may ask again, as it does when the
-- answer was lost, for as long as the line is there. POST /readings takes a number of whoever shows such a certificate;
-- GET /readings lists the last.
-- The device: examples/device.lua
local neap = require "neap"
local write_file = require("neap.core").write_file
local x509 = neap.x509

local folder = (arg or {})[1] or "."

local function read(name)
  local file = io.open(folder .. "/" .. name, "rb")
  local text = file and file:read("*a")
  if file then file:close() end
  return text
end

-- The file's text, made when it is not there.
local function authority()
  local ca, ca_key = read("ca.pem"), read("ca.key")
  if ca and ca_key then return ca, ca_key end
  ca, ca_key = x509.authority { subject = "Tides root" }
  assert(ca, ca_key)
  assert(write_file(folder .. "/ca.key", ca_key))
  assert(write_file(folder .. "/ca.pem", ca, 420))
  return ca, ca_key
end

-- Whom a token is for, with the key of this pin, and the text of the file once it is used.
local function find_token(token, pin)
  local name, lines = nil, {}
  for line in (read("tokens") or ""):gmatch("[^\n]+") do
    local one, whose = line:match("^(%S+) (.+)$")
    if one and one == token then
      local used, who = whose:match("^(sha256//%S+) (.+)$")
      if not used or used == pin then
        name = who or whose
        line = one .. " " .. pin .. " " .. name
      end
    end
    lines[#lines + 1] = line .. "\n"
  end
  return name, table.concat(lines)
end

local ca, ca_key = authority()
local app = neap.app()
local last = {} -- name → reading

app:post("/enroll", function(req)
  local request = req:body(8192)
  local asked, message = x509.read_request(request or "")
  if not asked then return 400, message .. "\n" end
  local name, tokens = find_token((req.headers["authorization"] or ""):match("^Bearer (%S+)$"), asked.pin)
  if not name then return 403, "no such token\n" end
  -- The name is the token's, whatever the request says. The token is used when there is a certificate.
  local cert = assert(x509.issue { request = request, subject = name, days = 90, ca_cert = ca, ca_key = ca_key })
  assert(write_file(folder .. "/tokens", tokens))
  neap.log.info("enrolled " .. name .. ", key " .. asked.pin)
  return cert
end)

-- A reading that is taken twice does no harm: it may come by 0-RTT.
app:post("/readings", { early = true }, function(req)
  local who = req.client_cert
  if not who then return 403, "who is that?\n" end
  local reading = tonumber(req:body(64))
  if not reading then return 400, "a number is expected\n" end
  last[who.common_name] = reading
  return 204
end)

app:get("/readings", function(req)
  if not req.client_cert then return 403, "who is that?\n" end
  return last
end)

local key = x509.key()
local cert = assert(x509.issue { key = key, subject = "enrolment", names = { "localhost", "127.0.0.1", "::1" },
  uses = { "server" }, ca_cert = ca, ca_key = ca_key })
assert(app:listen { cert = cert, key = key, client_certificate = "request", client_ca = ca, early_data = true })
neap.run()
