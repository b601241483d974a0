--- The client of scripts/bench handshakes: opens and closes connections, 16 at a time, and reads what CPU they took of
--- the server, which is another process.
--- neap run scripts/bench.d/handshakes.lua PORT SERVER_PID COUNT [resumed] → µs of CPU a handshake, and those in the
--- kernel; with `resumed` every connection goes on from the session of an earlier one, with `request` it asks for
--- something as well, with `early` it does so by 0-RTT
local core = require("neap.core")

local CONCURRENT, WARM_UP = 16, 200
local port, pid, count, kind = ...
count = tonumber(count)

local config = core.config({ alpn = "h3", verify_peer = false, early_data = kind == "early",
  resumption = kind == "resumed" or kind == "request" or kind == "early" })
local asks = kind == "request" or kind == "early"
local GET = { ":method", "GET", ":scheme", "https", ":authority", "localhost", ":path", "/" }
local loop = core.loop()
local endpoint = assert(loop:client(config))

--- Seconds of CPU, by the clock of the scheduler; and those in the kernel, in ticks of a hundredth.
local function cpu()
  local function read(name)
    local file = assert(io.open("/proc/" .. pid .. "/" .. name))
    local text = file:read("*a")
    file:close()
    return text
  end
  local ticks = read("stat"):match("%) %S+" .. (" %S+"):rep(11) .. " (%d+)")
  return read("schedstat"):match("^%d+") / 1e9, ticks / 100
end

local early = 0 -- connections whose request was read early

-- Whether a connection has all that it was made for.
local function is_done(conn, asking)
  if not asks then return conn:is_confirmed() end
  repeat
    local event = asking.h3:poll()
    asking.is_answered = asking.is_answered or event == "headers"
  until not event
  if not asking.has_asked then asking.has_asked = asking.h3:send_request(GET, true) end
  return asking.is_answered and conn:is_confirmed()
end

local function run(wanted)
  local done, open, begun = 0, 0, 0
  local asking = {}
  while done < wanted do
    while open < CONCURRENT and begun < wanted do
      local conn = assert(endpoint:connect("localhost", "127.0.0.1:" .. port))
      if asks then
        local h3 = core.h3(conn)
        asking[conn] = { h3 = h3, has_asked = h3:send_request(GET, true) }
      end
      open, begun = open + 1, begun + 1
    end
    loop:flush()
    assert(loop:wait(0.1))
    local conn = endpoint:next()
    while conn do
      if not conn:is_draining() and is_done(conn, asking[conn]) then
        done, open = done + 1, open - 1
        asking[conn] = nil
        if conn:early() == "accepted" then early = early + 1 end
        conn:close(0x100)
        conn:release()
      elseif not conn:is_confirmed() and (conn:is_closed() or conn:is_draining()) then
        error("a handshake failed")
      end
      conn = endpoint:next()
    end
    loop:flush()
  end
end

run(WARM_UP) -- what is made once
local all, kernel = cpu()
early = 0
run(count)
assert(kind ~= "early" or early > 0.99 * count, "the server reads no early data")
local all_after, kernel_after = cpu()
print(("%.0f %.0f"):format((all_after - all) / count * 1e6, (kernel_after - kernel) / count * 1e6))
