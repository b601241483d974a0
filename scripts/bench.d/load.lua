--- The load: one process, one thread, on the connection level of neap.core, so that the client costs little.
--- neap run scripts/bench.d/load.lua requests PORT PATH CONNECTIONS STREAMS SECONDS → requests per second
--- neap run scripts/bench.d/load.lua handshakes PORT - CONCURRENT 0 SECONDS        → handshakes per second
--- neap run scripts/bench.d/load.lua idle PORT - CONNECTIONS 0 SERVER_PID          → resident bytes a connection
local core = require("neap.core")

local verb, port, path, connections, streams, seconds = ...
connections, streams, seconds = tonumber(connections), tonumber(streams), tonumber(seconds)

local peer = "127.0.0.1:" .. port
local config = core.config({ alpn = "h3", verify_peer = false, max_idle_timeout = 600, initial_max_data = 2 ^ 24 })
local loop = core.loop()
local endpoint = assert(loop:client(config))

local request = {
  ":method", "GET", ":scheme", "https", ":authority", "localhost:" .. port, ":path", path, "user-agent", "neap-bench",
}

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

local function resident_bytes(pid)
  local file = assert(io.open("/proc/" .. pid .. "/status"))
  local kilobytes = file:read("*a"):match("VmRSS:%s+(%d+)")
  file:close()
  return tonumber(kilobytes) * 1024
end

local verbs = {}

--- Keeps `streams` requests open on each connection and counts the answers that came in `seconds`.
function verbs.requests()
  local sessions, done, in_flight = {}, 0, 0

  local function fill(session)
    while session.open < streams do
      local id, _, code = session.h3:send_request(request, true)
      if not id then
        if code == "again" or code == "limit" then return end
        error("request refused: " .. tostring(code))
      end
      session.open = session.open + 1
      in_flight = in_flight + 1
    end
  end

  local function advance(session)
    local h3 = session.h3
    while true do
      local event, stream, fields = h3:poll()
      if not event then break end
      if event == "headers" then
        assert(fields[1] == ":status" and tonumber(fields[2]) == 200, "status is not 200")
      elseif event == "data" then
        while h3:recv_body(stream) do session.bytes = session.bytes + 1 end
      elseif event == "finished" then
        session.open = session.open - 1
        in_flight = in_flight - 1
        done = done + 1
      elseif event == "reset" then
        error("request reset")
      end
    end
  end

  for _ = 1, connections do
    local conn = connect()
    local session = { conn = conn, h3 = core.h3(conn), open = 0, bytes = 0 }
    sessions[#sessions + 1] = session
    sessions[conn] = session
  end
  local started, warm
  local deadline = core.now() + seconds + 10
  while core.now() < deadline do
    assert(loop:wait(0.1))
    local conn = endpoint:next()
    while conn do
      check_alive(conn)
      local session = sessions[conn]
      advance(session)
      if conn:is_established() then fill(session) end
      conn = endpoint:next()
    end
    loop:flush()
    -- The first second is for slow start and for the traces of the server's compiler.
    if not warm and done > 0 then
      warm = core.now() + 1
    elseif warm and not started and core.now() >= warm then
      started, done = core.now(), 0
    elseif started and core.now() - started >= seconds then
      break
    end
  end
  assert(started, "no request was answered")
  print(("%.0f"):format(done / (core.now() - started)))
end

--- Opens and closes connections, `connections` at a time.
function verbs.handshakes()
  local done, open = 0, 0
  local started = core.now()
  while core.now() - started < seconds do
    while open < connections do
      connect()
      open = open + 1
    end
    loop:flush()
    assert(loop:wait(0.1))
    local conn = endpoint:next()
    while conn do
      if conn:is_confirmed() and not conn:is_draining() then
        done = done + 1
        open = open - 1
        conn:close(0x100)
        conn:release()
      elseif not conn:is_confirmed() then
        check_alive(conn)
      end
      conn = endpoint:next()
    end
    loop:flush()
  end
  print(("%.0f"):format(done / (core.now() - started)))
end

--- Opens connections, sees their SETTINGS, and leaves them alone: what does the server keep for one?
function verbs.idle()
  local pid, batch = seconds, 50
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
      while pending < batch and opened < target do
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

  open(100)
  local before = resident_bytes(pid)
  open(connections)
  local after = resident_bytes(pid)
  print(("%.0f"):format((after - before) / connections))
end

assert(verbs[verb], "no such verb")()
