--- Figures of neap and, in the same run, of others beside it: bulk, requests, handshakes, idle memory.
--- luajit scripts/bench.d/compare.lua [--write]; started by scripts/bench, which says what the environment may hold.
package.path = "./?.lua;./scripts/bench.d/?.lua;" .. package.path

local cjson = require("cjson")
local helper = require("spec.helper")
helper.source_dir, helper.build_dir = ".", helper.run("pwd"):match("[^\n]+") .. "/build/release"
local harness = require("spec.interop.harness")
local peers = require("peers")
local page = require("page")

local function setting(name, default) return tonumber(os.getenv("NEAP_BENCH_" .. name) or default) end

local SECONDS, ROUNDS, IDLE = setting("SECONDS", 5), setting("ROUNDS", 3), setting("IDLE", 10000)
local MEGABYTES = setting("MEGABYTES", 1024)
local BYTES = MEGABYTES * 2 ^ 20
local LOADS = { -- connections, streams
  { 1, 100 }, { 32, 10 }, { 1, 1 },
}

local last_core = tonumber((helper.run("nproc"))) - 1
local dir = helper.make_dir()
local ctx = { dir = dir, www = dir .. "/www", neap = helper.build_dir .. "/neap", peer = peers.command }

local function say(...)
  io.stderr:write("bench: ", ...)
  io.stderr:write("\n")
end

local function shell(command)
  local output, status = helper.run(command)
  assert(status == 0, command .. "\n" .. output)
  return output
end

local function is_there(server)
  return not peers.programs[server.name] or ctx.peer(peers.programs[server.name]) ~= nil
end

-- ---- what is measured

-- name → values of the rounds; false for one that failed.
local figures = {}

local function note(name, value)
  figures[name] = figures[name] or {}
  table.insert(figures[name], value or false)
end

local function with_server(server, what, fn)
  ctx.port = harness.free_port()
  local process = server.start(ctx, what)
  local ok, problem = pcall(fn, process.pid)
  harness.stop(process)
  if not ok then error(problem, 0) end
end

-- Seconds of the wall clock and of CPU that a client takes, or nil.
local function timed(command)
  local output, status = helper.run(("bash -c 'TIMEFORMAT=\"%%R %%U %%S\"; time %s >%s/client.log 2>&1'"):format(
    peers.on_core(last_core, "timeout 600 " .. command), dir))
  local real, user, system = output:match("([%d.]+) ([%d.]+) ([%d.]+)")
  if status == 0 and real then return tonumber(real), user + system end
  say(command, "\n", (helper.read_file(dir .. "/client.log") or ""):sub(-500))
end

local function bulk(server, client, verb)
  local name = ("%s %s %s"):format(verb, server.name, client.name)
  with_server(server, verb == "get" and "bulk" or "upload", function(pid)
    local url = ("https://localhost:%d%s"):format(ctx.port, verb == "get" and "/1G" or
      server.name == "neap" and "/upload" or server.path)
    local before = peers.cpu_of(pid)
    local real, cpu = timed(client[verb](ctx, url))
    note(name .. " rate", real and BYTES / 1e6 / real)
    note(name .. " server", real and (peers.cpu_of(pid) - before) * 2 ^ 30 / BYTES)
    note(name .. " client", real and cpu * 2 ^ 30 / BYTES)
  end)
end

-- What neap bench says, or nil.
local function bench(server, options)
  local words = ("timeout 300 %s bench -k --json --connect 127.0.0.1:%d %s https://localhost:%d%s"):format(ctx.neap,
    ctx.port, options, ctx.port, server.path)
  local command = peers.on_core(last_core, words)
  local output, status = helper.run(command)
  local text = output:match("{.*}")
  if status == 0 and text then return cjson.decode(text) end
  say(server.name, ": ", command, "\n", output:sub(-500))
end

-- One load, warmed up before: the result, and the server's CPU seconds of it.
local function measured(server, pid, options)
  if not bench(server, options .. " -D 1") then return end
  local before = peers.cpu_of(pid)
  local result = bench(server, ("%s -D %g"):format(options, SECONDS))
  return result, peers.cpu_of(pid) - before
end

local function requests(server)
  with_server(server, "requests", function(pid)
    for _, load in ipairs(LOADS) do
      local name = ("requests %s %dx%d"):format(server.name, load[1], load[2])
      local result, cpu = measured(server, pid, ("-c %d -m %d"):format(load[1], load[2]))
      note(name .. " rate", result and result.requests_per_second)
      note(name .. " server", result and cpu / result.answered * 1e6)
      note(name .. " client", result and result.cpu_per_request * 1e6)
      note(name .. " p50", result and result.latency.p50 * 1e6)
      note(name .. " p99", result and result.latency.p99 * 1e6)
    end
    local name = "handshakes " .. server.name
    local result, cpu = measured(server, pid, "--handshakes -c 16")
    note(name .. " rate", result and result.requests_per_second)
    note(name .. " server", result and cpu / result.connections_opened * 1e6)
  end)
end

local function idle(server)
  with_server(server, "idle", function(pid)
    local output, status = helper.run(peers.on_core(last_core, ("timeout 600 %s run scripts/bench.d/idle.lua %d %d %d"
      ):format(ctx.neap, ctx.port, IDLE, pid)))
    note("idle " .. server.name, status == 0 and tonumber(output:match("%-?%d+\n$")))
    if status ~= 0 then say(server.name, ": ", output:sub(-500)) end
  end)
end

-- Of neap alone: what a handshake needs at once where the server shows two certificates.
local function peak()
  shell(([[cd %s
    openssl req -new -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -keyout middle.key -out middle.csr \
      -subj /CN=middle
    printf 'basicConstraints=critical,CA:TRUE\nkeyUsage=critical,keyCertSign\n' >middle.cnf
    sign() { openssl x509 -req -in $1.csr -CA $2.pem -CAkey $2.key -CAcreateserial -days 14 -extfile $1.cnf -out $3.pem; }
    sign middle ca middle
    sign leaf middle deep
    cat middle.pem >>deep.pem]]):format(dir))
  local output = shell(("%s run scripts/bench.d/peak.lua %s/deep.pem %s/key.pem %s/ca.pem"):format(ctx.neap, dir, dir,
    dir))
  local client, server = output:match("(%d+)%s+(%d+)")
  note("peak client", tonumber(client))
  note("peak server", tonumber(server))
end

-- ---- the run

local function prepare()
  ctx.certs = harness.make_certificates(dir)
  shell(("mkdir -p %s/www/hello && printf 'hello tide\\n' >%s/www/hello/tide"):format(dir, dir))
  -- Written and read: what is measured must not wait for a disk, and the holes of a sparse file cost more than others.
  shell(("cd %s && head -c %d /dev/zero >www/1G && cat www/1G >/dev/null && chmod -R a+rX ."):format(dir, BYTES))
end

local function run()
  prepare()
  for round = 1, ROUNDS do
    for _, verb in ipairs { "get", "upload" } do
      say(("round %d of %d: %s, %d MiB, one connection"):format(round, ROUNDS, verb, MEGABYTES))
      for _, server in ipairs(peers.servers) do
        local can = is_there(server) and server.can[verb == "get" and "bulk" or "upload"]
        for _, client in ipairs(can and peers.clients or {}) do
          -- Others meet our client and, if they are of gtlsclient's family, their own.
          local is_pair = client.name == "neap" or server.name == "neap" or server.name == "gtlsserver"
          if is_pair and (client.name == "neap" or ctx.peer(client.name)) then bulk(server, client, verb) end
        end
      end
    end
    say(("round %d of %d: requests and handshakes"):format(round, ROUNDS))
    for _, server in ipairs(peers.servers) do
      if is_there(server) and server.can.requests then requests(server) end
    end
  end
  say(("memory of %d idle connections"):format(IDLE))
  for _, server in ipairs(IDLE > 0 and peers.servers or {}) do
    if server.can.idle and is_there(server) then idle(server) end
  end
  peak()
end

harness.main(run, dir)
local names = {}
for _, server in ipairs(peers.servers) do
  if is_there(server) then names[#names + 1] = server.name end
end
local text, failed = page.compare {
  figures = figures, servers = names, loads = LOADS, rounds = ROUNDS, seconds = SECONDS, megabytes = MEGABYTES,
  idle = IDLE, path_of = peers.path_of, neap = ctx.neap,
}
io.stdout:write(text)
if arg[1] == "--write" then page.write("compare", text) end
os.exit(failed and 1 or 0)
