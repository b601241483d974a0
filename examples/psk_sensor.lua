--- Sensors that post their readings to a server, and no certificate anywhere: each sensor and the server were given a
--- key of their own when the sensor was made. Both are this program:
--    neap run examples/psk_sensor.lua serve KEYS          KEYS: a file of lines "IDENTITY:KEY IN HEX"
--    neap run examples/psk_sensor.lua post URL KEY_FILE   KEY_FILE: the first such line of it is this sensor's
-- Who loses a sensor takes its line out of KEYS: the next handshake looks it up again, also one that resumes a session.
-- A key: openssl rand -hex 32
local neap = require "neap"

local role, where, key_file = (arg or {})[1], (arg or {})[2], (arg or {})[3]

local function unhex(digits)
  return (digits:gsub("%x%x", function(d) return string.char(tonumber(d, 16)) end))
end

-- The key of an identity (nil: of the first line), and the identity; of a key there are 16 to 64 bytes.
local function find_key(path, identity)
  for line in io.lines(path) do
    local name, digits = line:match("^(.+):(%x+)$")
    local is_key = name and #name <= 128 and #digits % 2 == 0 and #digits >= 32 and #digits <= 128
    if is_key and (not identity or name == identity) then return unhex(digits), name end
  end
end

local function serve()
  if not where then error("which file has the keys?", 0) end
  assert(io.open(where)):close()
  local app = neap.app()
  local last = {} -- identity → reading
  app:post("/readings", function(req)
    local reading = tonumber(req:body(64))
    if not reading then return 400, "a number is expected\n" end
    last[req.psk_identity] = reading
    return 204
  end)
  app:get("/readings", function() return last end)
  assert(app:listen { psk = function(identity) return (find_key(where, identity)) end })
  neap.run()
end

local function post()
  if not key_file then error("which file has the key?", 0) end
  local key, identity = find_key(key_file)
  if not key then error('there is no line "IDENTITY:KEY IN HEX" in ' .. key_file, 0) end
  local client = neap.client { psk = { identity = identity, key = key }, timeout = 10 }
  for i = 1, 3 do
    local response, why = client:post(where .. "readings", { body = ("%.1f"):format(20 + i / 2) })
    if not response then error("not taken: " .. why, 0) end
    print(identity, response.status)
  end
  print(assert(client:get(where .. "readings")):body())
  client:close()
end

if role == "serve" then
  serve()
elseif role == "post" then
  neap.run(post)
else
  print("usage: neap run examples/psk_sensor.lua serve KEYS | post URL KEY_FILE")
end
