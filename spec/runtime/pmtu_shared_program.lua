-- What pmtu_spec.lua runs in a network of its own: 32 connections of one client that say a little in every turn, over
-- the loopback interface, whose MTU is `before` bytes. Prints the least and the largest size of datagrams that they
-- found, the most probes that one of them lost, and black holes.
package.path = "spec/?.lua;" .. package.path
local core = require "neap.core"
local pair = require "binding.pair"

local address, before = ...
local CONNECTIONS, TURNS = 32, 400

assert(os.execute("ip link set lo up mtu " .. before))
local loop = assert(core.loop())
local options = { max_send_udp_payload_size = 9000 }
local server = assert(loop:listen(pair.config(options), address .. ":0"))
local client = assert(loop:client(pair.config(options)))
local conns, streams = {}, {}
local limit = core.now() + 30

for i = 1, CONNECTIONS do conns[i] = assert(client:connect("localhost", server:address())) end
loop:flush()
local turns = 0
while turns < TURNS do
  assert(core.now() < limit, "it takes too long")
  assert(loop:wait(0.002))
  for conn in server.next, server do
    for stream in conn.readable_next, conn do
      for bytes in function() return (conn:stream_recv(stream)) end do conn:stream_send(stream, bytes) end
    end
  end
  local established = 0
  for i, conn in ipairs(conns) do
    if conn:is_established() then
      established = established + 1
      streams[i] = streams[i] or conn:stream_open()
      conn:stream_send(streams[i], ("x"):rep(100))
      while conn:stream_recv(streams[i]) do end
    end
  end
  for _ in client.next, client do end
  if established == CONNECTIONS then turns = turns + 1 end
  loop:flush()
end
local least, most, lost, holes = math.huge, 0, 0, 0
for _, conn in ipairs(conns) do
  local stats = conn:stats()
  least, most = math.min(least, stats.max_udp_payload_size), math.max(most, stats.max_udp_payload_size)
  lost, holes = math.max(lost, stats.size_probes_lost), holes + stats.black_holes
end
print(("least=%d most=%d lost=%d holes=%d"):format(least, most, lost, holes))
loop:close()
