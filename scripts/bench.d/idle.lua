--- What a server keeps for connections that see its SETTINGS and are left alone then:
--- neap run scripts/bench.d/idle.lua PORT CONNECTIONS SERVER_PID → resident bytes a connection
--- neap run scripts/bench.d/idle.lua PORT CONNECTIONS hold SECONDS → "open", and they are there for so long
local core = require("neap.core")

local port, connections, pid, seconds = ...
connections = tonumber(connections)

local peer = "127.0.0.1:" .. port
local config = core.config({ alpn = "h3", verify_peer = false, max_idle_timeout = 600, initial_max_data = 2 ^ 24 })
local loop = core.loop()
local endpoint = assert(loop:client(config))

local function connect()
  return assert(endpoint:connect("localhost", peer))
end

--- Fails loudly when a connection is lost: figures of a broken run are worth nothing.
local function check_alive(conn)
  if conn:is_closed() or conn:is_draining() then
    local why = conn:error() or {}
    error(("connection lost: %s %s %s"):format(tostring(why.by), tostring(why.name), tostring(why.reason)))
  end
end

local function resident_bytes()
  local file = assert(io.open("/proc/" .. pid .. "/status"))
  local kilobytes = file:read("*a"):match("VmRSS:%s+(%d+)")
  file:close()
  return tonumber(kilobytes) * 1024
end

local BATCH = 50 -- handshakes at a time
local kept, pending, ready, opened = {}, 0, 0, 0

local function turn(timeout)
  loop:flush()
  assert(loop:wait(timeout))
  local conn = endpoint:next()
  while conn do
    check_alive(conn)
    local h3 = kept[conn]
    local event = h3:poll()
    while event do
      if event == "settings" then
        ready = ready + 1
        pending = pending - 1
      end
      event = h3:poll()
    end
    conn = endpoint:next()
  end
  loop:flush()
end

-- The first connections pay for what the server makes once.
local function open(count)
  local target, deadline = opened + count, core.now() + 120
  while ready < target do
    assert(core.now() < deadline, ("only %d of %d connections in time"):format(ready, target))
    while pending < BATCH and opened < target do
      local conn = connect()
      kept[conn] = core.h3(conn)
      kept[#kept + 1] = conn
      opened = opened + 1
      pending = pending + 1
    end
    turn(0.1)
  end
  local settled = core.now() + 2
  while core.now() < settled do turn(0.1) end
end

if pid == "hold" then
  open(connections)
  io.write("open\n")
  io.stdout:flush()
  local till = core.now() + tonumber(seconds)
  while core.now() < till do turn(0.1) end
  return
end
open(100)
local before = resident_bytes()
open(connections)
local after = resident_bytes()
print(("%.0f"):format((after - before) / connections))
