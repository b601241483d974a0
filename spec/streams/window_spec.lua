-- How receive windows tune themselves, in a model of the way: a sender that fills what it may, and a reader.
local units = require("neap.units").streams

local MS = 1e6
local MAX = 16777216

-- Virtual milliseconds until `done(sent in this one, window, ms)`, and the window then. `rtt` ns, `rate` bytes a ms of
-- the link, `reads` bytes a ms that the reader takes, `measured` ns: the round trip that windows are measured by.
local function run(way, most)
  local s = units.new({ ours = { bidi_remote = 1048576, max_data = 10485760 }, max_stream_window = MAX,
    max_connection_window = 25165824 })
  local id, piece = 1, ("x"):rep(way.rate)
  local sent, due, limit, connection, credit = 0, {}, 1048576, 10485760, {}
  local delay = math.max(1, math.floor(way.rtt / 2 / MS))
  local cwnd, acked, arrived = 12000, {}, 0
  local in_flight = 0
  for ms = 1, most do
    -- what the peer hears of now
    local c = credit[ms]
    if c then limit, connection = math.max(limit, c[1]), math.max(connection, c[2]) end
    if acked[ms] then -- slow start, up to what the link carries and half as much
      in_flight = in_flight - acked[ms]
      cwnd = math.min(cwnd + acked[ms], math.max(1.5 * way.rate * way.rtt / MS, 12000))
    end
    local size = math.floor(math.min(way.rate, limit - sent, connection - sent, cwnd - in_flight))
    if size > 0 then
      due[ms + delay] = { sent, size }
      sent, in_flight = sent + size, in_flight + size
    end
    local d = due[ms]
    if d then
      assert.equal(0, (s:on_stream(id, d[1], piece:sub(1, d[2]), false, ms * MS)))
      arrived = arrived + d[2]
      acked[ms + delay] = (acked[ms + delay] or 0) + d[2]
    end
    if arrived > 0 then s:recv(id, way.reads or way.rate * 10, ms * MS, way.measured or way.rtt) end
    local told = nil
    while true do
      local f = s:write_control()
      if not f then break end
      told = told or { 0, 0 }
      if f.type == 0x11 then told[1] = f.limit else told[2] = f.limit end
    end
    if told then credit[ms + delay] = told end
    local window = s:stream(id) and s:stream(id).window or 0
    if way.done and way.done(size, window, ms) then return ms, window end
  end
  return most, s:stream(id).window
end

-- The same for who doubles whenever half of the window was used within two round trips, at once and without a bound but
-- MAX: what it takes at least to have a window of `wanted`.
local function doubling(rtt, wanted)
  local window, times = 1048576, 0
  while window < wanted do
    window, times = window * 2, times + 1
  end
  return times * rtt / MS
end

describe("the window of a stream", function()
  it("is what a way of 1 Gbit/s and 100 ms holds as soon as a model that doubles has it", function()
    local rate, rtt = 125000, 100 * MS
    local bdp = rate * rtt / MS
    local slow_start = 1100 -- ms of the sender's own: eleven round trips from ten packets
    local took, window = run({ rate = rate, rtt = rtt, done = function(_, w) return w >= bdp end }, 4000)
    assert.is_true(window >= bdp)
    assert.is_true(took <= slow_start + doubling(rtt, bdp), took .. " ms")
    -- With half of MAX, which credit comes for, half of that link is full.
    local full = 0
    rate = rate / 2
    run({ rate = rate, rtt = rtt, done = function(size, _, ms)
      full = ms > 2500 and full + (size == rate and 1 or 0) or full
      return ms == 3000
    end }, 4000)
    assert.is_true(full >= 495, full .. " of 500 ms")
  end)

  it("does not grow for a reader that is slower than the way, and never above its option", function()
    local _, window = run({ rate = 125000, rtt = 100 * MS, reads = 4000 }, 3000)
    assert.equal(1048576, window)
    _, window = run({ rate = 1000000, rtt = 100 * MS }, 1500)
    assert.equal(MAX, window)
  end)

  it("does not grow where it holds more than enough for the round trip already", function()
    -- 1 GB/s: of a round trip of 60 µs a window of 1 MiB is seventeen times what is needed.
    local _, window = run({ rate = 1000000, rtt = 2 * MS, measured = 0.06 * MS }, 500)
    assert.equal(1048576, window)
  end)
end)
