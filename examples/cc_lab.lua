-- Congestion controllers on one link, in virtual time: window, round-trip time, goodput and queue over the seconds, as
-- a plot (SVG) and a table. Each has the link for itself, or all share it.
--   neap run examples/cc_lab.lua [OPTION=VALUE …]
--     controllers=newreno,cubic   all that there are unless told; a name may stand twice
--     together=1                  they share the link, the second begins after 2 s, and so on
--     rate=10                     Mbit/s       rtt=30    ms       queue=25    datagrams       loss=0    percent
--     discipline=codel            tail unless told; mark=1: by ECN, where it can
--     seconds=20  seed=1  out=cc_lab.svg
-- The programs at the two hosts are what one would write for sockets: they know nothing of the simulation.
local neap = require "neap"
local core = require "neap.core"
local plot = require "neap.sim.plot"

local EVERY = 0.1 -- seconds between two looks
local PIECE = ("x"):rep(65536)

local function all_controllers()
  for _, option in ipairs(core.options()) do
    if option.name == "congestion_control" then
      return (option.range:gsub(" or ", ","):gsub("[,%s]+", ","):gsub(",steered", "")) -- which nobody does here
    end
  end
end

local given = { controllers = all_controllers(), together = "0", rate = "10", rtt = "30", queue = "25", loss = "0",
  discipline = "tail", mark = "0", seconds = "20", seed = "1", out = "cc_lab.svg" }
for _, word in ipairs{ ... } do
  local name, value = word:match("^(%w+)=(.+)$")
  if not given[name] then error("what is " .. word .. "? The first lines of the example say what there is", 0) end
  given[name] = value
end

local function number(name, least, most)
  local value = tonumber(given[name])
  if not value or not (value >= least and value <= most) then
    error(("%s=%s: a number from %g to %g"):format(name, given[name], least, most), 0)
  end
  return value
end

local seconds, is_together = number("seconds", 1, 3600), given.together == "1"
local rate, rtt = number("rate", 0.01, 10000), number("rtt", 0, 10000)
local loss, queue = number("loss", 0, 100), number("queue", 1, 1e6)

-- ---- the programs

local function serve(flow)
  assert(neap.quic.listen{ port = 4433, alpn = "lab", max_stream_window = 2 ^ 26, max_connection_window = 2 ^ 26 })
    :on_connection(function(connection)
      connection:on_stream(function(stream)
        for bytes in stream:chunks() do flow.got = flow.got + #bytes end
      end)
    end)
end

local function send(flow, server_name)
  neap.sleep(flow.begins)
  local connection = assert(neap.quic.connect(server_name .. ":4433", { alpn = "lab", congestion_control = flow.name }))
  flow.connection = connection
  local stream = assert(connection:open_uni_stream())
  while stream:write(PIECE) do neap.sleep(0) end
end

-- ---- the experiment

local function new_flow(name, label, begins)
  return { name = name, label = label, begins = begins, got = 0, seen = 0, windows = {}, round_trips = {},
    goodputs = {}, queues = {} }
end

local function look(flow, lab, link)
  local now = lab:time()
  local stats = flow.connection and flow.connection:stats()
  if not stats then return end
  local function note(list, value) list[#list + 1] = { now, value } end
  note(flow.windows, stats.congestion_window / 1024)
  note(flow.round_trips, stats.rtt_latest * 1000)
  note(flow.goodputs, (flow.got - flow.seen) * 8 / 1e6 / EVERY)
  note(flow.queues, link.up.waiting:length())
  flow.seen, flow.stats = flow.got, stats
end

local function run(flows)
  local lab = neap.sim.new{ seed = tonumber(given.seed) or given.seed }
  local link = lab:link{ delay = rtt / 2000, loss = loss / 100,
    up = { rate = rate * 1e6 / 8, queue = queue, discipline = given.discipline,
      mark = given.mark == "1" } }
  for i, flow in ipairs(flows) do
    local server, client = lab:host(("server%d.example"):format(i)), lab:host(("client%d.example"):format(i))
    server:go(serve, flow)
    client:go(send, flow, server.name)
  end
  while lab:time() < seconds do
    lab:run(EVERY)
    for _, flow in ipairs(flows) do look(flow, lab, link) end
  end
  for _, flow in ipairs(flows) do flow.link = link:stats("up") end
  lab:close()
end

local flows, count = {}, {}
for name in given.controllers:gmatch("[^,]+") do
  count[name] = (count[name] or 0) + 1
  local label = count[name] > 1 and ("%s %d"):format(name, count[name]) or name
  flows[#flows + 1] = new_flow(name, label, is_together and 2 * #flows or 0)
end
if is_together then
  run(flows)
else
  for _, flow in ipairs(flows) do run{ flow } end
end

-- ---- what came of it

local function mean(points)
  local sum = 0
  for _, point in ipairs(points) do sum = sum + point[2] end
  return sum / math.max(1, #points)
end

print("controller   goodput Mbit/s   mean RTT ms   lost   datagrams lost by the link")
for _, flow in ipairs(flows) do
  print(("%-12s %14.2f %13.1f %6d %28d"):format(flow.label, flow.got * 8 / 1e6 / (seconds - flow.begins),
    mean(flow.round_trips), flow.stats.packets_lost, flow.link.lost + flow.link.overflowed + flow.link.dropped_early))
end

local function lines(of)
  local list = {}
  for i, flow in ipairs(flows) do list[i] = { name = flow.label, points = flow[of] } end
  return list
end

local panels = {
  { y = "congestion window, KiB", lines = lines("windows") },
  { y = "round-trip time, ms", lines = lines("round_trips") },
  { y = "goodput, Mbit/s", lines = lines("goodputs") },
}
if is_together then
  panels[4] = { y = "queue, datagrams", lines = { { name = "queue", points = flows[1].queues, colour = "#666666" } } }
else
  panels[4] = { y = "queue, datagrams", lines = lines("queues") }
end
assert(plot.write(given.out, {
  title = ("%s Mbit/s, %s ms, queue of %s (%s), %s %% loss, %s"):format(given.rate, given.rtt, given.queue,
    given.discipline, given.loss, is_together and "all on one link" or "each alone"),
  x = "seconds", panels = panels, from = 0, to = seconds,
}))
print("plotted: " .. given.out)
