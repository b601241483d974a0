--- A NAT between a QUIC client and a server, in user space: it forwards datagrams, and every so often it forgets its
--- mapping and takes another port, then another address. What the server still sends to the old one is lost; what
--- waits for the slow link to the client arrives.
---   neap run spec/interop/nat.lua LISTEN SERVER SECONDS BYTES_PER_SECOND
local core = require("neap.core")

local listen, server, every, rate = arg[1], arg[2], tonumber(arg[3]), tonumber(arg[4])
local QUEUE = 100 -- datagrams that wait for the client's link

local front = core.udp()
assert(front:bind(listen))

local changes = 0
local function outside()
  changes = changes + 1
  local udp = core.udp()
  -- The port changes each time, the address every second time.
  assert(udp:bind(("127.0.0.%d:0"):format(2 + math.floor(changes / 2) % 3)))
  return udp
end

local back = outside()
local client
local queue, first, last = {}, 1, 0
local change_at, free_at = nil, 0

local function from_client(timeout)
  local bytes, address = front:recvfrom(timeout)
  if not bytes then return false end
  client = address
  back:sendto(bytes, server)
  return true
end

local function from_server()
  local bytes = back:recvfrom(0)
  if not bytes then return false end
  if last - first < QUEUE then
    last = last + 1
    -- No address changes during the handshake (RFC 9000 §9).
    if last == 100 then change_at = core.now() + every end
    queue[last] = bytes
  end
  return true
end

local function to_client(now)
  while first <= last and free_at <= now do
    local bytes = queue[first]
    queue[first] = nil
    first = first + 1
    free_at = math.max(free_at, now - 0.005) + #bytes / rate
    front:sendto(bytes, client)
  end
end

print("ready")
io.stdout:flush()
while true do
  local now = core.now()
  if change_at and now >= change_at then
    back:close()
    back = outside()
    change_at = now + every
    print(("change %d: %s"):format(changes - 1, back:address()))
    io.stdout:flush()
  end
  local busy = from_client(0)
  busy = from_server() or busy
  to_client(now)
  if not busy then from_client(0.001) end
end
