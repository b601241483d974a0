--- A link between a client and a server, whose way back is long: what a client sends by 0-RTT is on its way before the
--- server's answer. Somebody on it gives copies of what the client sends to other servers as well, from addresses of
--- his own, a little later than the server had it.
---   neap run spec/interop/link.lua LISTEN SERVER OTHER...
local core = require("neap.core")

local listen, server = arg[1], arg[2]
local BACK, COPIED = 0.03, 0.1 -- seconds

local front, back = core.udp(), core.udp()
assert(front:bind(listen))
assert(back:bind("127.0.0.1:0"))
local client

-- Datagrams that arrive later: put(bytes) and, for each whose time has come, deliver(bytes).
local function delayed(seconds, deliver)
  local waiting, first, last = {}, 1, 0
  return function(bytes)
    last = last + 1
    waiting[last] = { bytes = bytes, at = core.now() + seconds }
  end, function()
    while first <= last and waiting[first].at <= core.now() do
      deliver(waiting[first].bytes)
      waiting[first] = nil
      first = first + 1
    end
  end
end

local others = {}
for i = 3, #arg do
  local udp = core.udp()
  assert(udp:bind("127.0.0.1:0"))
  others[#others + 1] = function(bytes) udp:sendto(bytes, arg[i]) end
end

local put_back, deliver_back = delayed(BACK, function(bytes) front:sendto(bytes, client) end)
local put_copy, deliver_copies = delayed(COPIED, function(bytes)
  for _, send in ipairs(others) do send(bytes) end
end)

print("ready")
io.stdout:flush()
while true do
  local bytes, address = front:recvfrom(0.001)
  if bytes then
    client = address
    back:sendto(bytes, server)
    put_copy(bytes)
  end
  bytes = back:recvfrom(0)
  while bytes do
    put_back(bytes)
    bytes = back:recvfrom(0)
  end
  deliver_back()
  deliver_copies()
end
