-- A phone that downloads while it walks, in virtual time: from Wi-Fi to the mobile network and back, through a lift,
-- and behind a NAT that forgets it. A plot (SVG) shows what came when, and which way; a line what came in all.
--   neap run examples/roaming_lab.lua [OPTION=VALUE …]
--     keep_alive=1    seconds of silence after which the phone says where it is; 0: never
--     loss=1          percent, of the mobile network
--     seed=1  out=roaming_lab.svg
-- Server and phone run what one would write for sockets: they know nothing of the simulation.
local neap = require "neap"
local plot = require "neap.sim.plot"

local EVERY = 0.1 -- seconds between two looks
local SIZE = 20e6 -- bytes of the download
local LONGEST = 120 -- seconds
local URL = "https://server.example/film"

local given = { keep_alive = "1", loss = "1", seed = "1", out = "roaming_lab.svg" }
for _, word in ipairs{ ... } do
  local name, value = word:match("^([%w_]+)=(.+)$")
  if not given[name] then error("what is " .. word .. "? The first lines of the example say what there is", 0) end
  given[name] = value
end

-- ---- the programs

local function serve()
  local app, piece = neap.app(), ("film"):rep(16384)
  app:get("/film", function(_, res)
    for _ = 1, SIZE / #piece do
      if not res:write(piece) then return end
    end
  end)
  assert(app:listen{ port = 443, read_timeout = 60 })
end

local download = { got = 0 }

local function fetch()
  local keep_alive = tonumber(given.keep_alive)
  local client = neap.client{ keep_alive = keep_alive > 0 and keep_alive or nil, progress_timeout = 60 }
  local res, message = client:get(URL)
  if res then
    for chunk in res:chunks() do download.got = download.got + #chunk end
  end
  download.message = message
  download.is_over = true
end

-- ---- the walk

local lab = neap.sim.new{ seed = tonumber(given.seed) or given.seed }
local wifi = lab:link{ delay = 0.008, jitter = 0.002, rate = 20e6 / 8, queue = 60 }
local mobile = lab:link{ delay = 0.035, jitter = 0.01, rate = 8e6 / 8, queue = 120, loss = tonumber(given.loss) / 100,
  loss_burst = 5 }
local server = lab:host("server.example")
local phone = lab:host("phone.example", { link = wifi })

local marks, shades = {}, {}
local function at(seconds, text, what)
  lab:at(seconds, function()
    if download.is_over then return end
    marks[#marks + 1] = { at = seconds, text = text }
    what()
  end)
end

local function leave_for(link, ip)
  phone:move(link)
  phone:rebind(ip)
end

at(4, "the NAT forgets", function() phone:rebind() end)
at(7, "to mobile", function() leave_for(mobile, "198.51.100.7") end)
at(11, "a lift", function()
  mobile:set{ cut = true }
  shades[#shades + 1] = { from = 11, to = 12.5 }
end)
at(12.5, "out of it", function() mobile:set{ cut = false } end)
at(16, "to Wi-Fi", function() leave_for(wifi, "203.0.113.9") end)

server:go(serve)
phone:go(fetch)

-- ---- what it looks like

local rates, ways, seen = {}, { { link = wifi, name = "Wi-Fi", points = {} },
  { link = mobile, name = "mobile", points = {} } }, 0
while not download.is_over and lab:time() < LONGEST do
  local before = {}
  for i, way in ipairs(ways) do before[i] = way.link.down.delivered_bytes end
  lab:run(EVERY)
  local now = lab:time()
  for i, way in ipairs(ways) do
    local bytes = way.link.down.delivered_bytes - before[i]
    way.points[#way.points + 1] = { now, bytes * 8 / 1e6 / EVERY }
  end
  rates[#rates + 1] = { now, (download.got - seen) * 8 / 1e6 / EVERY }
  seen = download.got
end
local seconds = lab:time()
lab:close()

local function longest_silence()
  local last, longest = 0, 0
  for _, point in ipairs(rates) do
    if point[2] > 0 then
      longest = math.max(longest, point[1] - last)
      last = point[1]
    end
  end
  return longest
end

print(("%d of %d bytes in %.1f s, the longest silence %.1f s%s"):format(download.got, SIZE - SIZE % 65536, seconds,
  longest_silence(), download.message and ": " .. download.message or ""))
assert(plot.write(given.out, {
  title = "a download while the phone moves", x = "seconds", marks = marks, shades = shades, from = 0,
  panels = {
    { y = "what the program reads, Mbit/s", lines = { { name = "read", points = rates, colour = "#000000" } } },
    { y = "what comes by each link, Mbit/s", lines = {
      { name = ways[1].name, points = ways[1].points }, { name = ways[2].name, points = ways[2].points } } },
  },
}))
print("plotted: " .. given.out)
