-- What loss does to a download: 2 MB over 20 Mbit/s and 30 ms, in virtual time. Runs in a second or two.
--   neap run examples/loss_lab.lua [SEED]
local sim = require "neap.sim"

local SIZE = 2e6
local body = ("x"):rep(65536)

local function download(loss, seed)
  local lab = sim.new{ seed = seed }
  lab:link{ delay = 0.015, rate = 20e6 / 8, queue = 50, loss = loss }
  local left, got = SIZE, 0

  local function feed(conn, id)
    while left > 0 do
      local piece = left < #body and body:sub(1, left) or body
      local taken = conn:stream_send(id, piece, left <= #body)
      if not taken then return end
      left = left - taken
    end
  end
  local server = lab:server{ max_idle_timeout = 300, on_conn = function(conn)
    for id in conn.readable_next, conn do
      conn:stream_recv(id)
      feed(conn, id)
    end
    for id in conn.writable_next, conn do feed(conn, id) end
  end }

  local client
  client = lab:client{ server = server, max_idle_timeout = 300, on_conn = function(conn)
    if conn:is_established() and not client.stream then
      client.stream = conn:stream_open()
      conn:stream_send(client.stream, "go", true)
    end
    for id in conn.readable_next, conn do
      local bytes, fin = conn:stream_recv(id)
      while bytes do
        got = got + #bytes
        if fin then client.done = lab:time() end
        bytes, fin = conn:stream_recv(id)
      end
    end
  end }

  lab:run(function() return client.done end, 3600)
  local stats = client.link.down
  return got / client.done, client.done, stats.lost + stats.overflowed, stats.sent
end

local seed = tonumber((...)) or 1
print("loss     goodput      time    lost / sent")
for _, percent in ipairs{ 0, 0.1, 0.5, 1, 2, 5, 10, 20 } do
  local rate, time, lost, sent = download(percent / 100, seed)
  print(("%4.1f %%  %5.2f Mbit/s %7.2f s  %5d / %d"):format(percent, rate * 8 / 1e6, time, lost, sent))
end
