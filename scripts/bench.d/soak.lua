--- A server under mixed load for a time: luajit scripts/bench.d/soak.lua [SECONDS]; started by scripts/bench soak.
package.path = "./?.lua;./scripts/bench.d/?.lua;" .. package.path

local helper = require("spec.helper")
helper.source_dir, helper.build_dir = ".", helper.run("pwd"):match("[^\n]+") .. "/build/release"
local harness = require("spec.interop.harness")
local leash = require("spec.support.leash")

local SECONDS = tonumber(arg[1] or 600)
local STEP = 10
local MOST_A_MINUTE = 1e6 -- bytes
local RESTS = 8           -- seconds until connections without requests have ended

local dir = helper.make_dir()
local neap = helper.build_dir .. "/neap"

local function sh(words, ...)
  local output, status = helper.run(words:format(...))
  assert(status == 0, output)
  return output
end

local function look(server, port, begun)
  local text = sh("timeout 20 %s get -s -k https://127.0.0.1:%d/metrics", neap, port)
  local function figure(name) return tonumber(text:match("\n" .. name .. " (%S+)")) or 0 end
  local pid = server.pid
  return { at = os.time() - begun, resident = tonumber(sh("grep VmRSS /proc/%d/status", pid):match("%d+")) * 1024,
    lua = figure("neap_lua_memory_bytes"), fds = tonumber((sh("ls /proc/%d/fd | wc -l", pid))),
    pool = tonumber(text:match("\nneap_memory_used%S* (%S+)")) or 0 }
end

-- Bytes a minute, by least squares, of what was seen after the first minute.
local function slope(samples)
  local n, sx, sy, sxx, sxy = 0, 0, 0, 0, 0
  for _, one in ipairs(samples) do
    if one.at >= 60 then
      local x, y = one.at / 60, one.resident
      n, sx, sy, sxx, sxy = n + 1, sx + x, sy + y, sxx + x * x, sxy + x * y
    end
  end
  return n > 1 and (n * sxy - sx * sy) / (n * sxx - sx * sx) or 0
end

local function tell(one)
  print(("| %d | %.1f | %.1f | %.1f | %d |"):format(one.at, one.resident / 1e6, one.lua / 1e6, one.pool / 1e6, one.fds))
  io.stdout:flush()
end

harness.main(function()
  local certs = harness.make_certificates(dir)
  local port = harness.free_port()
  sh("mkdir -p %s/www && head -c 1024 /dev/urandom >%s/www/1K", dir, dir)
  local server = harness.start(("%s run scripts/bench.d/soak_app.lua %d %s %s %s/www"):format(neap, port, certs.cert,
    certs.key, dir), { dir = dir, name = "server", port = port })
  local url = ("https://localhost:%d"):format(port)
  local before, begun = look(server, port, os.time()), os.time()
  local loads = {}
  local function load(name, words, ...)
    local command = ("timeout %d %s"):format(SECONDS + 60, words:format(...))
    loads[#loads + 1] = { name = name, process = harness.start(command, { dir = dir, name = name }) }
  end
  load("requests", "%s bench -k --connect 127.0.0.1:%d -c 4 -m 4 -r 2000 -D %d %s/hello/tide", neap, port, SECONDS, url)
  load("handshakes", "%s bench -k --handshakes --connect 127.0.0.1:%d -c 2 -r 100 -D %d %s/json", neap, port, SECONDS,
    url)
  load("h2", "h2load -c 4 -m 4 --rps 100 -D %d %s/hello/tide", SECONDS, url)
  load("h1", "h2load --h1 -c 4 --rps 50 -D %d %s/files/1K", SECONDS, url)
  load("quic", "%s run scripts/bench.d/soak_client.lua %d %d 1", neap, port, SECONDS)
  load("tcp", "python3 scripts/bench.d/soak_tcp.py %d %d 1", port, SECONDS)
  print("| second | resident, MB | Lua | pool | descriptors |\n|---|---|---|---|---|")
  local samples = {}
  while os.time() - begun < SECONDS - STEP do
    helper.run("sleep " .. STEP)
    samples[#samples + 1] = look(server, port, begun)
    tell(samples[#samples])
  end
  local bad = {}
  for _, one in ipairs(loads) do
    local deadline = os.time() + STEP + 90
    while not leash.status(one.process) and os.time() < deadline do helper.run("sleep 0.2") end
    local status, log = harness.stop(one.process)
    print(("\n%s: %s\n%s"):format(one.name, tostring(status), log:sub(1, 4000)))
    if status ~= 0 then bad[#bad + 1] = one.name .. " failed" end
  end
  helper.run("sleep " .. RESTS)
  local after = look(server, port, begun)
  tell(after)
  local growth = slope(samples)
  print(("memory: %.3f MB a minute; descriptors: %d before, %d after"):format(growth / 1e6, before.fds, after.fds))
  if growth >= MOST_A_MINUTE then bad[#bad + 1] = "memory grows" end
  if after.fds > before.fds then bad[#bad + 1] = "descriptors stay open" end
  local _, log = harness.stop(server)
  for line in log:gmatch("[^\n]+") do
    if line:find(" error ", 1, true) or line:find("AddressSanitizer", 1, true) then
      bad[#bad + 1] = line
      if #bad > 20 then break end
    end
  end
  assert(#bad == 0, table.concat(bad, "\n"))
  print("nothing grew")
end, dir)
