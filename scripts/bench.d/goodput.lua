--- What scripts/bench goodput runs: flows over the link of spec/interop/impaired.lua, alone with and without losses,
--- and two at once.
package.path = "./?.lua;scripts/bench.d/?.lua;" .. package.path

local harness = require("spec.interop.harness")
local helper = require("spec.helper")
local page = require("page")
local runner = require("spec.interop.runner")

local ROUNDS = tonumber(os.getenv("NEAP_BENCH_ROUNDS")) or 5
local MEGABYTES = tonumber(os.getenv("NEAP_BENCH_MEGABYTES")) or 5
local SECONDS = tonumber(os.getenv("NEAP_BENCH_SECONDS")) or 20
local LINK = "delay=0.015 rate=1250000 queue=25"
local RATE = 10 -- of it, Mbit/s
local LEAD = 2 -- seconds that the first of two flows has, and for which a share is not measured after the second began

-- Before every command: words that start it, such as "chrt -r 5".
local before = (os.getenv("NEAP_BENCH_BEFORE") or "") .. " "
local NEAP = "build/release/neap"
local dir = helper.make_dir()

local function say(text) io.stderr:write(text, "\n") end

-- ---- programs

local function start(command, options)
  options.dir, options.seconds = dir, 60
  return harness.start(before .. command, options)
end

local neap, gtls = {}, {}

function neap.server(port, controller)
  return start(("%s run scripts/bench.d/folder.lua %d %s/cert.pem %s/priv.key %s/www %s"):format(NEAP, port, dir, dir,
    dir, controller), { name = "neap-server", port = port })
end

function neap.client(port, file, folder)
  return ("env TESTCASE=transfer REQUESTS=https://127.0.0.1:%d/%s DOWNLOADS=%s CERTS=%s %s interop-client --h3"):format(
    port, file, folder, dir, NEAP)
end

function gtls.server(port, controller)
  return start(("%s -q --cc=%s -d %s/www 127.0.0.1 %d %s/priv.key %s/cert.pem"):format(
    harness.peer("/usr/sbin/gtlsserver"), controller, dir, port, dir, dir), { name = "gtlsserver", port = port })
end

function gtls.client(port, file, folder)
  return ("%s -q --exit-on-all-streams-close --download=%s 127.0.0.1 %d https://localhost:%d/%s"):format(
    harness.peer("/usr/bin/gtlsclient"), folder, port, port, file)
end

local FLOWS = {
  { "neap, `cubic`", neap, "cubic" }, { "gtlsserver, `cubic`", gtls, "cubic" },
  { "neap, `bbr`", neap, "bbr" }, { "gtlsserver, `bbr`", gtls, "bbr" },
}

-- ---- links

local function start_link(words)
  local port = harness.free_port()
  local process = start(("%s run spec/interop/impaired.lua 127.0.0.1:%d %s"):format(NEAP, port, words),
    { name = "link", ready = "ready" })
  process.port = port
  return process
end

-- What a link told last of a way: bytes, and seconds from the first until then. `at`: what it told by this second.
local function brought(log, way, at)
  local bytes, first, last
  for count, from, to in log:gmatch("brought " .. way .. " (%d+) (%S+) (%S+)") do
    if at and tonumber(to) > at then break end
    bytes, first, last = tonumber(count), tonumber(from), tonumber(to)
  end
  return assert(bytes, "a link brought nothing"), last - first, first
end

local function run_of(client, server, file)
  local folder = helper.make_dir()
  return start(client(server.link.port, file, folder), { name = "client" }), folder
end

-- ---- alone

local function flow_begins(flow, round, loss)
  local port = harness.free_port()
  local server = flow[2].server(port, flow[3])
  server.link = start_link(("127.0.0.1:%d %s loss=%d burst=3 seed=%d"):format(port, LINK, loss, round))
  server.client, server.folder = run_of(flow[2].client, server, "file")
  return server
end

local function wait_for_end(process)
  for _ = 1, 200 * 60 do
    local status = helper.read_file(process.status_file)
    if status and status:find("\n") then return tonumber(status) end
    os.execute("sleep 0.05")
  end
  error("a client has not ended within ten minutes")
end

-- Mbit/s of each flow: all at once, each on a link of its own.
local function alone(loss, round, rates)
  local servers = {}
  for i, flow in ipairs(FLOWS) do servers[i] = flow_begins(flow, round, loss) end
  for i, server in ipairs(servers) do
    local status = wait_for_end(server.client)
    os.execute("sleep 0.25") -- the link tells five times a second
    local _, log = harness.stop(server.link)
    harness.stop(server.client)
    harness.stop(server)
    assert(status == 0, FLOWS[i][1] .. ": its client ended with " .. tostring(status))
    local got = helper.run("stat -c %s " .. server.folder .. "/file")
    assert(tonumber(got) == MEGABYTES * 1000000, FLOWS[i][1] .. ": the file is not whole: " .. got)
    helper.remove_dir(server.folder)
    local _, seconds = brought(log, 1)
    rates[i] = rates[i] or {}
    table.insert(rates[i], MEGABYTES * 8 / seconds)
    say(("round %d, %d %% lost: %s: %.2f Mbit/s"):format(round, loss, FLOWS[i][1], rates[i][#rates[i]]))
  end
end

-- ---- two on one link

-- Which part of what both bring is ours, where `first` begins.
local function shared(first, round, shares)
  local kinds = first == "neap" and { neap, gtls } or { gtls, neap }
  local servers, ports = {}, {}
  for i, kind in ipairs(kinds) do
    ports[i] = harness.free_port()
    servers[i] = kind.server(ports[i], "cubic")
  end
  local beside = harness.free_port()
  local link = start_link(("127.0.0.1:%d %s seed=%d beside=127.0.0.1:%d,127.0.0.1:%d"):format(ports[1], LINK, round,
    beside, ports[2]))
  servers[1].link, servers[2].link = link, { port = beside }
  local clients, folders = {}, {}
  for i, server in ipairs(servers) do
    if i == 2 then os.execute("sleep " .. LEAD) end
    clients[i], folders[i] = run_of(kinds[i].client, server, "endless")
  end
  os.execute("sleep " .. LEAD + SECONDS + 0.3)
  local _, log = harness.stop(link)
  for i, server in ipairs(servers) do
    harness.stop(clients[i], 1)
    harness.stop(server, 1)
    helper.remove_dir(folders[i])
  end
  local _, _, second_began = brought(log, 2)
  local from, to = second_began + LEAD, second_began + LEAD + SECONDS
  local bytes = {}
  for i = 1, 2 do bytes[i] = brought(log, i, to) - brought(log, i, from) end
  local ours = bytes[first == "neap" and 1 or 2]
  local rate = (bytes[1] + bytes[2]) * 8 / SECONDS / 1e6
  shares[first] = shares[first] or {}
  table.insert(shares[first], 100 * ours / (bytes[1] + bytes[2]))
  say(("round %d: %s first: neap has %.0f %% of %.2f Mbit/s"):format(round, first, shares[first][#shares[first]], rate))
end

-- ---- the run

local function figures(values)
  local list = { unpack(values) }
  table.sort(list)
  return list[math.ceil(#list / 2)], list[1], list[#list]
end

local function cells(values, format)
  local middle, least, most = figures(values)
  return (format .. " (" .. format .. "–" .. format .. ")"):format(middle, least, most)
end

local function text_of(rates, shares)
  local lines = { ("%d rounds, %d MB each; medians, and from the least to the most.\n"):format(ROUNDS, MEGABYTES),
    "| server, controller | Mbit/s without losses | Mbit/s with 2 % |", "|---|---|---|" }
  for i, flow in ipairs(FLOWS) do
    lines[#lines + 1] = ("| %s | %s | %s |"):format(flow[1], cells(rates[0][i], "%.2f"), cells(rates[2][i], "%.2f"))
  end
  lines[#lines + 1] = ("\n| two flows of `cubic` for %d s | part of neap's |\n|---|---|"):format(SECONDS)
  for _, first in ipairs { "neap", "gtlsserver" } do
    lines[#lines + 1] = ("| %s begins %d s before the other | %s %% |"):format(first, LEAD,
      cells(shares[first], "%.0f"))
  end
  return table.concat(lines, "\n") .. "\n"
end

local function run()
  runner.make_certificates(dir)
  local command = "mkdir %s/www; cd %s/www; head -c %d /dev/urandom >file; head -c %d /dev/zero >endless"
  local quoted = helper.quote(dir)
  helper.run(command:format(quoted, quoted, MEGABYTES * 1000000, (SECONDS + 3 * LEAD) * RATE / 8 * 1000000))
  local rates, shares = { [0] = {}, [2] = {} }, {}
  for round = 1, ROUNDS do
    for _, loss in ipairs { 0, 2 } do alone(loss, round, rates[loss]) end
    for _, first in ipairs { "neap", "gtlsserver" } do shared(first, round, shares) end
  end
  local text = text_of(rates, shares)
  io.stdout:write(text)
  if arg[1] == "--write" then page.write("goodput", text) end
end

harness.main(run, dir)
