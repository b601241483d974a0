--- A device that reads a sensor and posts what it has read, and loses nothing while its uplink is gone: samples wait in
-- a ring in a file, which outlives a restart too; the oldest give way when it is full. Each batch leaves with the first
-- packets of a connection where there was one before (0-RTT); the server knows samples by their numbers, so one that
-- comes twice is no other.
--    neap run examples/telemetry_uplink.lua serve
--    neap run examples/telemetry_uplink.lua URL FOLDER [SAMPLES [INTERVAL]]
-- FOLDER keeps the ring and the TLS sessions; with SAMPLES it ends when so many are taken.
local neap = require "neap"
local write_file = require("neap.core").write_file

-- ---- the server

local function serve()
  local app = neap.app()
  local devices = {} -- by name: { last =, count =, repeated = }

  app:post("/samples/:device", { early = true }, function(req)
    local device = devices[req.params.device] or { last = 0, count = 0, repeated = 0 }
    devices[req.params.device] = device
    for line in (req:body(65536) .. "\n"):gmatch("([^\n]+)\n") do
      local number, value = line:match("^(%d+) (%S+)$")
      if not number then return 400, "a sample is a number and a value\n" end
      number = tonumber(number)
      if number > device.last then
        device.last, device.count, device.value = number, device.count + 1, value
      else
        device.repeated = device.repeated + 1
      end
    end
    return { last = device.last }
  end)
  app:get("/devices", function() return devices end)

  assert(app:listen { early_data = true })
  neap.run()
end

-- ---- the ring: records of one size, a sample with number n in place n % PLACES

local PLACES, WIDTH = 1024, 32
local BATCH = 64 -- samples of one request

local Ring = {}
Ring.__index = Ring

local function open_ring(folder)
  local path = folder .. "/ring"
  local file = io.open(path, "r+b") or assert(io.open(path, "w+b"))
  local self = setmetatable({ file = file, acked_path = folder .. "/acked", last = 0, acked = 0 }, Ring)
  local acked = io.open(self.acked_path)
  if acked then
    self.acked = tonumber((acked:read("*a"))) or 0
    acked:close()
  end
  -- The file was cut short by nobody, but power may have gone in the middle of a record: such a one is no sample.
  for record in (file:read("*a") or ""):gmatch(("."):rep(WIDTH)) do
    local number = tonumber(record:match("^(%d+) %S+ *\n$"))
    if number and number > self.last then self.last = number end
  end
  self.last = math.max(self.last, self.acked)
  return self
end

function Ring:add(value)
  self.last = self.last + 1
  self.file:seek("set", self.last % PLACES * WIDTH)
  local record = ("%d %s"):format(self.last, value):sub(1, WIDTH - 1)
  self.file:write(record, (" "):rep(WIDTH - 1 - #record), "\n")
  self.file:flush()
end

-- The oldest that were not acknowledged, as lines; the number of the last of them; how many were lost.
function Ring:oldest()
  local first = math.max(self.acked + 1, self.last - PLACES + 1)
  local lines, last = {}, nil
  for number = first, math.min(self.last, first + BATCH - 1) do
    self.file:seek("set", number % PLACES * WIDTH)
    local line = (self.file:read(WIDTH) or ""):match("^(%d+ %S+) *\n$")
    if line and tonumber(line:match("^%d+")) == number then lines[#lines + 1] = line end
    last = number
  end
  return table.concat(lines, "\n"), last, first - self.acked - 1
end

function Ring:acknowledge(number)
  self.acked = number
  assert(write_file(self.acked_path, ("%d\n"):format(number)))
end

-- ---- the device

local function read_sensor(at)
  return ("%.2f"):format(2 + math.sin(at / 10)) -- metres of water
end

local function run_device(url, folder, samples, interval)
  local ring = open_ring(folder)
  local client = neap.client { early_data = true, session_file = folder .. "/sessions", timeout = 5,
    verify_peer = os.getenv "NEAP_INSECURE" == nil, ca = os.getenv "NEAP_CA" }
  local wanted = samples and ring.last + samples
  local news = neap.channel(1) -- that there is something to send

  local sensor = neap.every(interval, function()
    if not wanted or ring.last < wanted then ring:add(read_sensor(ring.last)) end
    news:send(true, 0)
  end)

  local wait = 0.5
  while not wanted or ring.acked < wanted do
    local text, last, lost = ring:oldest()
    if not last then
      news:receive()
    else
      if lost > 0 then print(("%d samples had no room"):format(lost)) end
      local response, why = client:post(url .. "samples/tide-1", { body = text, early = "unsafe" })
      local answer = response and response.status == 200 and response:json()
      if answer then
        ring:acknowledge(last)
        print(("sent up to %d%s"):format(last, response.was_early and ", early" or ""))
        wait = 0.5
      else
        -- Longer each time, and not all devices of a street at once.
        print(("not taken (%s), again in %.1f s"):format(why or response.status, wait))
        neap.sleep(wait * (0.5 + math.random() / 2))
        wait = math.min(wait * 2, 60)
      end
    end
  end
  sensor:stop()
  client:close()
end

local url, folder, samples, interval = ...
io.stdout:setvbuf("line")
if url == "serve" then
  serve()
elseif folder then
  math.randomseed(os.time())
  neap.run(function() run_device(url, folder, tonumber(samples), tonumber(interval) or 1) end)
else
  print("usage: neap run examples/telemetry_uplink.lua serve | URL FOLDER [SAMPLES [INTERVAL]]")
end
