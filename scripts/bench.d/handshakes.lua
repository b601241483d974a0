--- The client of scripts/bench handshakes: opens and closes connections, 16 at a time, and reads what CPU they took of
--- the server, which is another process.
--- neap run scripts/bench.d/handshakes.lua PORT SERVER_PID COUNT [resumed] → µs of CPU a handshake, and those in the
--- kernel; with `resumed` every connection goes on from the session of an earlier one
local core = require("neap.core")

local CONCURRENT, WARM_UP = 16, 200
local port, pid, count, kind = ...
count = tonumber(count)

local config = core.config({ alpn = "h3", verify_peer = false, resumption = kind == "resumed" })
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

local function run(wanted)
  local done, open, begun = 0, 0, 0
  while done < wanted do
    while open < CONCURRENT and begun < wanted do
      assert(endpoint:connect("localhost", "127.0.0.1:" .. port))
      open, begun = open + 1, begun + 1
    end
    loop:flush()
    assert(loop:wait(0.1))
    local conn = endpoint:next()
    while conn do
      if conn:is_confirmed() and not conn:is_draining() then
        done, open = done + 1, open - 1
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
run(count)
local all_after, kernel_after = cpu()
print(("%.0f %.0f"):format((all_after - all) / count * 1e6, (kernel_after - kernel) / count * 1e6))
