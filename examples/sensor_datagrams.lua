--- Readings that are worth nothing when they are late, as datagrams of QUIC (RFC 9221): each has a deadline, none is
-- sent again. The receiver says each second how many came, how many were lost, and how old they were.
--    neap run examples/sensor_datagrams.lua receive [ADDRESS:PORT]
--    neap run examples/sensor_datagrams.lua send ADDRESS:PORT [COUNT [COMMAND WORDS …]]
-- COMMAND prints a reading a line, as `mbpoll` does with a Modbus device; without it there is a sensor that is made up.
-- Both clocks have to be right for the ages to be.
local neap = require "neap"

local DEADLINE = 0.1 -- seconds: what could not leave by then stays here
local PROTOCOL = "readings/1"

-- A reading on its way: its number, when it was taken, in milliseconds, and its text.
local function pack(number, at, text) return ("%d %.0f %s"):format(number, at * 1000, text) end
local function unpack_reading(data) return data:match("^(%d+) (%d+) (.*)$") end

-- Seconds since 1970, with their fraction.
local started = os.time() - neap.now()
local function wall_clock() return started + neap.now() end

local function receive(address)
  local host, port = (address or "127.0.0.1:4434"):match("^(.*):(%d+)$")
  local server = assert(neap.quic.listen { host = host, port = tonumber(port), alpn = { PROTOCOL },
    max_datagram_frame_size = 65535 })
  print(("receiving at %s:%d"):format(host, server.port))
  server:on_connection(function(conn)
    local first, last, came, ages = nil, 0, 0, 0
    local function tell()
      if came == 0 then return end
      local sent = last - first + 1
      print(("%d of %d readings, %.1f %% lost, %.0f ms old"):format(came, sent, 100 * (sent - came) / sent,
        ages / came))
    end
    local reports = neap.every(1, tell)
    for data in conn:datagrams() do
      local number, at = unpack_reading(data)
      if number then
        first, last = first or tonumber(number), math.max(last, tonumber(number))
        came, ages = came + 1, ages + wall_clock() * 1000 - tonumber(at)
      end
    end
    reports:stop()
    tell()
    print("the sender has gone")
  end)
end

-- Calls fn(text) for each reading, until it gives false.
local function each_reading(command, fn)
  if #command == 0 then
    local at = 0
    while fn(("%.3f"):format(2 + math.sin(at / 10))) do
      at = at + 1
      neap.sleep(0.01)
    end
    return
  end
  command.stdout = "pipe"
  local child = assert(neap.process.start(command))
  for line in function() return child.stdout:read("*l") end do
    if not fn(line) then break end
  end
  child:kill()
  child:wait()
end

local function send(address, count, command)
  local conn = assert(neap.quic.connect(address, { alpn = { PROTOCOL }, max_datagram_frame_size = 65535,
    verify_peer = os.getenv "NEAP_INSECURE" == nil, ca = os.getenv "NEAP_CA" }))
  local number, fates = 0, { acked = 0, lost = 0, dropped = 0 }
  each_reading(command, function(text)
    number = number + 1
    local ok, message = conn:send_datagram(pack(number, wall_clock(), text), { deadline = DEADLINE,
      notify = function(fate) fates[fate] = fates[fate] + 1 end })
    if not ok then
      print("not sent: " .. message)
      return false
    end
    return not count or number < count
  end)
  neap.sleep(1) -- for the last fates
  print(("%d readings: %d came, %d were lost, %d too late to leave"):format(number, fates.acked, fates.lost,
    fates.dropped))
  conn:close(0)
end

local role, address, count = ...
local command = { select(4, ...) }
io.stdout:setvbuf("line")
if role == "receive" then
  neap.run(function() receive(address) end)
elseif role == "send" and address then
  neap.run(function() send(address, tonumber(count), command) end)
else
  print("usage: neap run examples/sensor_datagrams.lua receive [ADDRESS:PORT] | send ADDRESS:PORT [COUNT [COMMAND …]]")
end
