-- What pmtu_spec.lua runs in a network of its own: 4 MB from a client to a server over the loopback interface, whose
-- MTU is `before` bytes, and `after` once the first MB came. Prints the client's figures and the loop's.
package.path = "spec/?.lua;" .. package.path
local core = require "neap.core"
local pair = require "binding.pair"

local address, before, after = ...
local SIZE = 4e6

local function set_mtu(bytes)
  assert(os.execute("ip link set lo up mtu " .. bytes))
end

set_mtu(before)
local loop = assert(core.loop())
local options = { max_send_udp_payload_size = 9000 }
local server = assert(loop:listen(pair.config(options), address .. ":0"))
local client = assert(loop:client(pair.config(options)))
local conn = assert(client:connect("localhost", server:address()))
local piece = ("x"):rep(65536)
local sent, got, id = 0, 0, nil
local limit = core.now() + 30

loop:flush()
while got < SIZE do
  assert(core.now() < limit, "it takes too long")
  assert(loop:wait(0.5))
  for _, endpoint in ipairs{ client, server } do
    for each in endpoint.next, endpoint do
      if each == conn then
        if not id and each:is_established() then id = each:stream_open() end
        while id and sent < SIZE do
          local taken = each:stream_send(id, piece:sub(1, SIZE - sent))
          if not taken then break end
          sent = sent + taken
        end
      end
      for stream in each.readable_next, each do
        for bytes in function() return (each:stream_recv(stream)) end do got = got + #bytes end
      end
    end
  end
  if after and got > SIZE / 4 then
    set_mtu(after)
    after = nil
  end
  loop:flush()
end
local stats, turns = conn:stats(), loop:stats()
print(("size=%d probes=%d lost=%d holes=%d errors=%d trains=%s datagrams=%.1f"):format(stats.max_udp_payload_size,
  stats.size_probes_sent, stats.size_probes_lost, stats.black_holes, turns.send_errors, tostring(turns.segmentation),
  stats.packets_sent / turns.messages_sent))
loop:close()
