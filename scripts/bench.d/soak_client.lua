--- Clients that behave badly, for scripts/bench soak: neap run scripts/bench.d/soak_client.lua PORT SECONDS SEED
local neap = require("neap")

local port, seconds, seed = ...
local url = ("https://127.0.0.1:%d"):format(port)
math.randomseed(tonumber(seed))
local ends_at = neap.now() + tonumber(seconds)
local done, failed = {}, {}

-- One kind of visit each: with a client of its own, which ends with it.
local visits = {}

function visits.leaves_early(client)
  local res = client:get(url .. "/much")
  if not res then return end
  for _ = 1, math.random(1, 5) do res:read(16384) end
  res:close()
end

function visits.reads_slowly(client)
  local res = client:get(url .. "/much")
  for _ = 1, res and math.random(1, 20) or 0 do
    if not res:read(1024) then return end
    neap.sleep(0.02)
  end
end

function visits.waits_too_little(client)
  client:get(url .. "/slow", { timeout = math.random() * 0.3 })
end

function visits.listens(client)
  local res = client:get(url .. "/events", { timeout = 0.5 + math.random() })
  while res and res:read() do end
end

function visits.uploads(client)
  local count = math.random(0, 40)
  local res = client:post(url .. "/upload", { body = ("x"):rep(count * 10000) })
  assert(not res or res.status ~= 200 or tonumber((res:body())) == count * 10000, "an upload lost bytes")
end

function visits.breaks_an_upload_off(client)
  local left = math.random(1, 20)
  client:post(url .. "/upload", { body = function()
    left = left - 1
    if left < 0 then error("enough", 0) end
    neap.sleep(0.005)
    return ("x"):rep(5000)
  end })
end

function visits.sends_a_form(client)
  local text = "--b\r\ncontent-disposition: form-data; name=\"a\"; filename=\"a\"\r\n\r\n"
    .. ("x"):rep(math.random(0, 100000))
  client:post(url .. "/form", { headers = { ["content-type"] = "multipart/form-data; boundary=b" },
    body = math.random() < 0.5 and text .. "\r\n--b--\r\n" or text })
end

function visits.asks_at_once(client)
  local questions = {}
  for i = 1, math.random(1, 20) do
    questions[i] = function()
      local res = assert(client:get(url .. (i % 2 == 0 and "/json" or "/files/1K")))
      return #assert(res:body())
    end
  end
  pcall(neap.all, questions)
end

local names = {}
for name in pairs(visits) do names[#names + 1] = name end
table.sort(names)

local function visit()
  while neap.now() < ends_at do
    local name = names[math.random(#names)]
    local client = neap.client { verify_peer = false }
    local ok, message = pcall(visits[name], client)
    client:close()
    done[name] = (done[name] or 0) + 1
    if not ok and message ~= "enough" then failed[name] = tostring(message) end
    neap.sleep(math.random() * 0.02)
  end
end

neap.run(function()
  local all = {}
  for i = 1, 12 do all[i] = visit end
  neap.all(all)
  for _, name in ipairs(names) do print(("%s %d %s"):format(name, done[name] or 0, failed[name] or "")) end
end)
