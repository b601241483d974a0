--- Servers by turns under one client: luajit scripts/bench.d/requests.lua PROGRAM…; started by scripts/bench requests,
--- which says what the environment may hold.
package.path = "./?.lua;./scripts/bench.d/?.lua;" .. package.path

local cjson = require("cjson")
local helper = require("spec.helper")
helper.source_dir, helper.build_dir = ".", helper.run("pwd"):match("[^\n]+") .. "/build/release"
local harness = require("spec.interop.harness")
local peers = require("peers")

local ROUNDS = tonumber(os.getenv("NEAP_BENCH_ROUNDS") or 15)
local SECONDS = tonumber(os.getenv("NEAP_BENCH_SECONDS") or 0.5)
local LOADS = os.getenv("NEAP_BENCH_LOADS") or "1x100 32x10"

local last_core = tonumber((helper.run("nproc"))) - 1
local dir = helper.make_dir()
local client = helper.build_dir .. "/neap"

local by_name = {}
for _, server in ipairs(peers.servers) do by_name[server.name] = server end

-- Starts one: what is asked of it later.
local function start(kind, title, certs, program)
  local ctx = { dir = dir, www = dir .. "/www", certs = certs, port = harness.free_port(), neap = program,
    peer = peers.command }
  return { title = title, pid = by_name[kind].start(ctx, "requests").pid, port = ctx.port, path = by_name[kind].path }
end

local function start_all(programs)
  local certs = harness.make_certificates(dir)
  local folder = dir .. "/www/hello"
  assert(select(2, helper.run(("mkdir -p %s && printf 'hello tide\n' >%s/tide"):format(folder, folder))) == 0)
  local servers = {}
  for _, program in ipairs(programs) do
    local server = start("neap", program, certs, program)
    servers[#servers + 1] = server
    servers[#servers + 1] = { title = program .. ", a constant response", pid = server.pid, port = server.port,
      path = "/tide" }
    servers[#servers + 1] = start("neap, busy_poll 0", program .. ", busy_poll 0", certs, program)
  end
  if peers.command("gtlsserver") then servers[#servers + 1] = start("gtlsserver", "gtlsserver", certs) end
  return servers
end

-- µs of the server's CPU a request, and requests a second.
local function measure(server, connections, streams)
  local before = peers.cpu_of(server.pid)
  local words = ("timeout 60 %s bench -k --json --connect 127.0.0.1:%d -c %s -m %s -D %g https://localhost:%d%s"
    ):format(client, server.port, connections, streams, SECONDS, server.port, server.path)
  local output = helper.run(peers.on_core(last_core, words))
  local result = cjson.decode((assert(output:match("{.*}"), output)))
  return (peers.cpu_of(server.pid) - before) / result.finished * 1e6, result.requests_per_second
end

local function median(values)
  table.sort(values)
  return values[math.ceil(#values / 2)]
end

local function compare(servers, load)
  local connections, streams = load:match("^(%d+)x(%d+)$")
  assert(streams, "a load is as 1x100: connections, streams")
  local cpu, rates = {}, {}
  for round = 1, ROUNDS do
    for i, server in ipairs(servers) do
      cpu[i], rates[i] = cpu[i] or {}, rates[i] or {}
      cpu[i][round], rates[i][round] = measure(server, connections, streams)
    end
  end
  for i, server in ipairs(servers) do
    local middle = median(cpu[i]) -- sorts them
    print(("| %s | %s × %s | %.2f | %.2f | %.0f |"):format(server.title, connections, streams, middle, cpu[i][1],
      median(rates[i])))
  end
end

harness.main(function()
  local servers = start_all(#arg > 0 and arg or { client })
  print("| server | load | µs of CPU a request, median | least | requests a second |")
  print("|---|---|---|---|---|")
  for load in LOADS:gmatch("%S+") do compare(servers, load) end
end, dir)
