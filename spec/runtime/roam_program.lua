-- What roam_spec.lua runs in a network of its own: a client with two uplinks, veth pairs to the server's namespace. It
-- downloads, and once a tenth came its first uplink goes (`how`: "down", "address", "carrier", "route", or nothing: the
-- client is told to go). Prints what became of it.
package.path = "spec/?.lua;" .. package.path
local neap = require "neap"
local core = require "neap.core"

local role, how = ...
local SIZE = 10e6

if role == "server" then
  local listener = assert(neap.quic.listen{ host = "10.9.0.1", port = 4433, alpn = "t" })
  listener:on_connection(function(conn)
    conn:on_path(function(event) print("server " .. event.kind .. " " .. event.peer) io.stdout:flush() end)
    conn:on_stream(function(stream)
      stream:read_all()
      local piece = ("x"):rep(100000)
      for _ = 1, SIZE / #piece do assert(stream:write(piece)) end
    end)
  end)
  print "listening"
  io.stdout:flush()
  neap.run()
  return
end

local function sh(command) assert(os.execute(command), command) end

local ACTS = {
  down = function() sh "ip link set c0 down" end,
  address = function() sh "ip addr del 10.1.0.2/24 dev c0" end,
  carrier = function() sh "ip -n server link set s0 down" end, -- the client's routes stay
  route = function() sh "ip route replace 10.9.0.0/24 via 10.2.0.1 dev c1" end,
  -- Nothing is left for a second, then the other uplink.
  gap = function()
    sh "ip link set c0 down; ip link set c1 down"
    sh "(sleep 1; ip link set c1 up; ip route replace 10.9.0.0/24 via 10.2.0.1 dev c1) &"
  end,
  flood = function()
    sh "for i in 1 2 3 4 5 6 7 8 9; do ip -batch /run/flood; done"
    sh "ip link set c0 down"
  end,
  interface = function(conn) assert(conn:migrate{ interface = "c1" }) end,
  at = function(conn) assert(conn:migrate{ address = "10.2.0.2" }) end,
}

neap.run(function()
  local conn = assert(neap.quic.connect("10.9.0.1:4433", {
    alpn = "t", verify_peer = false, migrate = (how ~= "interface" and how ~= "at") and "auto" or nil,
  }))
  local first = conn.local_address
  conn:on_path(function(event) print("client " .. event.kind .. " " .. tostring(event.local_address)) end)
  local stream = assert(conn:open_stream())
  stream:write("get")
  stream:finish()
  local got, begin, longest, last = 0, core.now(), 0, core.now()
  while got < SIZE do
    local bytes, message = stream:read()
    if not bytes then error(tostring(message)) end
    got = got + #bytes
    longest, last = math.max(longest, core.now() - last), core.now()
    local act = got > SIZE / 10 and ACTS[how]
    ACTS[how] = not act and ACTS[how] or nil
    if act then act(conn) end
  end
  -- What is over sooner than the path is proved.
  if how == "route" or how == "interface" or how == "at" then neap.sleep(0.7) end
  local stats = require("neap.task").loop():stats()
  print(("got=%d first=%s last=%s longest=%.2f took=%.2f"):format(got, first, conn.local_address, longest,
    core.now() - begin))
  print(("changes=%d migrations=%d paths=%d"):format(stats.network_changes, stats.migrations, #conn:paths()))
  conn:close()
end)
