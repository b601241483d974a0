-- Congestion control of your own: a policy that keeps queues short by delay, beside CUBIC on the same simulated link.
--   neap run examples/cc.lua
local neap = require "neap"
local sim = require "neap.sim"

local TARGET = 0.010 -- seconds that the policy's packets may wait in queues

-- Grows while the queue is shorter than the target and shrinks above it; a loss takes a fifth of the window.
neap.cc.register("short-queue", {
  begin = function(turn)
    return { window = turn.congestion_window, reduced_at = 0, starting = true }
  end,
  on_turn = function(state, turn)
    local waiting = turn.rtt - turn.rtt_min
    if turn.is_persistent then
      state.window, state.reduced_at, state.starting = turn.congestion_window, turn.now, true
    elseif turn.lost_packets > 0 and turn.now - state.reduced_at > turn.rtt_smoothed then
      state.window, state.reduced_at, state.starting = state.window * 0.8, turn.now, false
    elseif waiting > TARGET then
      state.window, state.starting = state.window - turn.acked_bytes * 0.1, false
    elseif state.starting then
      state.window = state.window + turn.acked_bytes
    else
      state.window = state.window + turn.max_udp_payload_size * turn.acked_bytes / state.window
    end
    state.window = math.max(state.window, 2 * turn.max_udp_payload_size)
    return state.window, turn.rtt_smoothed > 0 and 1.1 * state.window / turn.rtt_smoothed or nil
  end,
})

-- Seconds of an upload over 10 Mbit/s, 15 ms one way, a deep queue; what it measured.
local function upload(controller, seconds)
  local lab = sim.new { seed = 1 }
  local got, id = 0, nil
  lab:link { delay = 0.015, rate = 10e6 / 8, queue = 200 }
  local server = lab:server { on_conn = function(conn)
    for stream in conn.readable_next, conn do
      local bytes = conn:stream_recv(stream)
      while bytes and #bytes > 0 do
        got = got + #bytes
        bytes = conn:stream_recv(stream)
      end
    end
  end }
  local client = lab:client { server = server, congestion_control = controller, on_conn = function(conn)
    if conn:is_established() and not id then id = conn:stream_open("uni") end
    while id and conn:stream_send(id, ("x"):rep(16384), false) == 16384 do end
    repeat until not conn:writable_next()
  end }
  lab:run(seconds)
  local stats = client.conn:stats()
  lab:close()
  return got * 8 / seconds / 1e6, stats
end

for _, controller in ipairs { "cubic", "short-queue" } do
  local rate, stats = upload(controller, 20)
  print(("%-12s %5.2f Mbit/s, %3.0f ms of round trip, %d packets lost"):format(controller, rate,
    stats.rtt_smoothed * 1000, stats.packets_lost))
end
