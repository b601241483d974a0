-- A download over two links at a time, in virtual time: Wi-Fi and a mobile network. The Wi-Fi fails for a while. A plot
-- (SVG) shows what came by which link; a line what came in all, and how long it took.
--   neap run examples/multipath_lab.lua [OPTION=VALUE …]
--     scheduler=redundant   min_rtt unless told        backup=1   the mobile network is a backup
--     loss=0                percent, of both links     size=30    megabytes
--     cut=5  back=9         seconds: when the Wi-Fi leads nowhere, and when it does again; cut=0: never
--     seed=1  out=multipath_lab.svg
-- Server and client run what one would write for sockets: they know nothing of the simulation.
local neap = require "neap"
local plot = require "neap.sim.plot"

local EVERY = 0.1 -- seconds between two looks
local LONGEST = 300 -- seconds
local PIECE = ("x"):rep(65536)

local given = { scheduler = "min_rtt", backup = "0", loss = "0", size = "30", cut = "5", back = "9", seed = "1",
  out = "multipath_lab.svg" }
for _, word in ipairs{ ... } do
  local name, value = word:match("^(%w+)=(.+)$")
  if not given[name] then error("what is " .. word .. "? The first lines of the example say what there is", 0) end
  given[name] = value
end

local size = (tonumber(given.size) or error("size is a number of megabytes", 0)) * 1e6

-- ---- the programs

local download = { got = 0 }

local function serve()
  assert(neap.quic.listen{ port = 4433, alpn = "film", initial_max_path_id = 1, path_scheduler = given.scheduler })
    :on_connection(function(connection)
      connection:on_stream(function(stream)
        for _ = 1, size / #PIECE do
          if not stream:write(PIECE) then return end
        end
        stream:finish()
      end)
    end)
end

local function fetch(second_address)
  local connection = assert(neap.quic.connect("server.example:4433", { alpn = "film", initial_max_path_id = 1 }))
  connection:on_path(function(event) download.events[#download.events + 1] = event end)
  neap.sleep(0.5) -- the server has given connection IDs for another path by then
  assert(connection:open_path{ address = second_address, backup = given.backup == "1" })
  local stream = connection:open_stream()
  stream:finish()
  for chunk in stream:chunks() do download.got = download.got + #chunk end
  download.is_over = true
end

-- ---- the network

local lab = neap.sim.new{ seed = tonumber(given.seed) or given.seed }
local loss = tonumber(given.loss) / 100
local wifi = lab:link{ delay = 0.01, rate = 20e6 / 8, queue = 80, loss = loss }
local mobile = lab:link{ delay = 0.035, jitter = 0.002, rate = 10e6 / 8, queue = 120, loss = loss }
local server = lab:host("server.example")
local phone = lab:host("phone.example", { link = wifi, address = "10.3.7.2" })
phone:add_address("10.4.7.2", { link = mobile })

download.events = {}
local marks, shades = {}, {}
local cut, back = tonumber(given.cut), tonumber(given.back)
if cut and cut > 0 then
  lab:at(cut, function() wifi:set{ cut = true } end)
  lab:at(back, function() wifi:set{ cut = false } end)
  shades[1] = { from = cut, to = back }
  marks[#marks + 1] = { at = cut, text = "no Wi-Fi" }
end

server:go(serve)
phone:go(fetch, "10.4.7.2")

-- ---- what it looks like

local read, ways, seen = {}, { { link = wifi, name = "Wi-Fi", points = {} },
  { link = mobile, name = "mobile", points = {} } }, 0
while not download.is_over and lab:time() < LONGEST do
  local before = {}
  for i, way in ipairs(ways) do before[i] = way.link.down.delivered_bytes end
  lab:run(EVERY)
  for i, way in ipairs(ways) do
    local bytes = way.link.down.delivered_bytes - before[i]
    way.points[#way.points + 1] = { lab:time(), bytes * 8 / 1e6 / EVERY }
  end
  read[#read + 1] = { lab:time(), (download.got - seen) * 8 / 1e6 / EVERY }
  seen = download.got
end
local seconds = lab:time()
lab:close()

for _, event in ipairs(download.events) do print(event.kind, event.path_id, event.local_address) end
print(("%d bytes in %.1f s, %.1f Mbit/s by both links"):format(download.got, seconds, download.got * 8 / 1e6 / seconds))
assert(plot.write(given.out, {
  title = "a download over two links, " .. given.scheduler, x = "seconds", marks = marks, shades = shades, from = 0,
  panels = {
    { y = "what the program reads, Mbit/s", lines = { { name = "read", points = read, colour = "#000000" } } },
    { y = "what comes by each link, Mbit/s", lines = {
      { name = ways[1].name, points = ways[1].points }, { name = ways[2].name, points = ways[2].points } } },
  },
}))
print("plotted: " .. given.out)
