local recovery = require("neap.units").recovery

local MS, SECOND = 1000000, 1000000000
local PROTOCOL_VIOLATION = 0x0a
local APP = "application"

local function fates(r, space)
  local list = {}
  for fate in function() return r:fate(space or APP) end do
    list[#list + 1] = fate.fate .. " " .. fate.number
  end
  return list
end

-- A server whose handshake is confirmed.
local function confirmed(options)
  options = options or {}
  options.server = true
  local r = recovery.new(options)
  r:set(0, { handshake_confirmed = true })
  return r
end

describe("the round-trip time", function()
  -- covers: rfc9002#6.2.2.2
  it("is 333 ms before the first sample", function()
    local r = recovery.new({})
    local state = r:state()
    assert.same({ 333 * MS, 166.5 * MS }, { state.smoothed, state.var })
    assert.equal(999 * MS, r:pto("initial"))
    assert.equal(999 * MS, r:pto("handshake"))
    assert.equal(1024 * MS, r:pto(APP))
  end)

  local function sampled()
    local r = recovery.new({ server = true })
    r:send("initial", 0, 0)
    r:ack("initial", { { 0, 0 } }, 100 * MS)
    return r
  end

  -- covers: rfc9002#5.2.1
  it("is the first sample, half of it the variation", function()
    local state = sampled():state()
    assert.same({ 100 * MS, 100 * MS, 50 * MS, 100 * MS }, { state.latest, state.smoothed, state.var, state.min })
  end)

  -- covers: rfc9002#5.3.1
  it("is smoothed, less the delay that the peer tells", function()
    local r = sampled()
    r:send(APP, 0, 200 * MS)
    r:ack(APP, { { 0, 0 } }, 350 * MS, 30 * MS)
    local state = r:state()
    assert.same({ 150 * MS, 102.5 * MS, 42.5 * MS, 100 * MS }, { state.latest, state.smoothed, state.var, state.min })
  end)

  -- covers: rfc9002#5.3.4 rfc9002#5.3.5
  it("believes no delay above max_ack_delay once the handshake is confirmed", function()
    local r = sampled()
    r:set(200 * MS, { handshake_confirmed = true })
    r:send(APP, 0, 200 * MS)
    r:ack(APP, { { 0, 0 } }, 350 * MS, 30 * MS)
    local state = r:state()
    assert.same({ 103.125 * MS, 43.75 * MS }, { state.smoothed, state.var })
  end)

  -- covers: rfc9002#5.3.6
  it("does not fall below the minimum by a delay", function()
    for _, delay in ipairs({ 20 * MS + 1, "18446744073709551615" }) do
      local r = sampled()
      r:send(APP, 0, 200 * MS)
      r:ack(APP, { { 0, 0 } }, 320 * MS, delay)
      assert.equal(102.5 * MS, r:state().smoothed)
    end
    local r = sampled()
    r:send(APP, 0, 200 * MS)
    r:ack(APP, { { 0, 0 } }, 320 * MS, 20 * MS)
    assert.equal(100 * MS, r:state().smoothed)
  end)

  it("has a minimum without any delay taken off", function()
    local r = sampled()
    r:send(APP, 0, 200 * MS)
    r:ack(APP, { { 0, 0 } }, 280 * MS, 30 * MS)
    assert.equal(80 * MS, r:state().min)
    assert.equal(97.5 * MS, r:state().smoothed)
  end)

  -- covers: rfc9002#5.1.1
  it("takes no sample when the largest was acknowledged before", function()
    local r = sampled()
    for number = 0, 1 do r:send(APP, number, 200 * MS) end
    r:ack(APP, { { 1, 1 } }, 300 * MS)
    local before = r:state()
    r:ack(APP, { { 0, 1 } }, 400 * MS)
    local after = r:state()
    assert.same({ before.latest, before.smoothed }, { after.latest, after.smoothed })
    assert.equal(2400, after.delivered - 1200)
  end)

  -- covers: rfc9002#5.1.2
  it("takes no sample from what elicits no acknowledgement", function()
    local r = sampled()
    r:send(APP, 0, 200 * MS, { eliciting = false })
    r:ack(APP, { { 0, 0 } }, 500 * MS)
    assert.equal(100 * MS, r:state().latest)
    -- But from such a packet when one that does is acknowledged with it.
    r:send(APP, 1, 600 * MS)
    r:send(APP, 2, 610 * MS, { eliciting = false })
    r:ack(APP, { { 1, 2 } }, 700 * MS)
    assert.equal(90 * MS, r:state().latest)
  end)

  it("reads the delay of an ACK frame without overflow", function()
    assert.equal(8000, recovery.ack_delay(1, 3))
    assert.equal(1000, recovery.ack_delay(1, 0))
    assert.equal("18446744073709551615", recovery.ack_delay("4611686018427387903", 20))
    assert.equal("18446744073709551615", recovery.ack_delay("4611686018427387903", 0))
    assert.equal(1000 * 2 ^ 20, recovery.ack_delay(1, 20))
  end)
end)

describe("a packet", function()
  -- covers: rfc9002#6.1.1.1 rfc9002#6.1.1.2 rfc9000#13.3.7
  it("is lost when one sent three later is acknowledged", function()
    local r = confirmed()
    for number = 0, 4 do r:send(APP, number, number * MS) end
    r:ack(APP, { { 2, 2 } }, 100 * MS)
    assert.same({ "acked 2" }, fates(r))
    r:ack(APP, { { 3, 3 } }, 100 * MS)
    assert.same({ "lost 0", "acked 3" }, fates(r))
    local state = r:state()
    assert.same({ 1, 1200, 2400 }, { state.packets_lost, state.bytes_lost, state.in_flight })
    assert.equal((12000 + 1200) / 2, state.window)
  end)

  -- covers: rfc9002#6.1.2.1 rfc9002#6.1.2.3 rfc9002#6.1.2.4
  it("is lost when it is 9/8 of a round trip old", function()
    local r = confirmed()
    for number = 0, 2 do r:send(APP, number, number * MS) end
    r:ack(APP, { { 2, 2 } }, 102 * MS)
    assert.same({ "acked 2" }, fates(r))
    assert.equal(112.5 * MS, r:state().timer)
    assert.same({ "nothing" }, { r:timeout(112.5 * MS - 1) })
    assert.same({ "loss", APP }, { r:timeout(112.5 * MS) })
    assert.same({ "lost 0" }, fates(r))
    assert.equal(113.5 * MS, r:state().timer)
    assert.same({ "loss", APP }, { r:timeout(113.5 * MS) })
    assert.same({ "lost 1" }, fates(r))
    assert.is_nil(r:state().timer)
    assert.equal((12000 + 1200) / 2, r:state().window)
  end)

  -- covers: rfc9002#6.1.2.2 rfc9002#6.1.2.5
  it("is not lost within a millisecond by its age", function()
    local r = confirmed()
    for number = 0, 1 do r:send(APP, number, 0) end
    r:ack(APP, { { 1, 1 } }, 0.1 * MS)
    assert.equal(1 * MS, r:state().timer)
  end)

  it("counts as a spurious loss when it is acknowledged after all", function()
    local r = confirmed()
    for number = 0, 9 do r:send(APP, number, 0) end
    r:ack(APP, { { 9, 9 } }, 50 * MS)
    fates(r)
    assert.equal(7, r:state().packets_lost)
    local in_flight = r:state().in_flight
    r:ack(APP, { { 2, 3 }, { 9, 9 } }, 51 * MS)
    assert.equal(2, r:state().spurious)
    r:ack(APP, { { 2, 3 }, { 9, 9 } }, 52 * MS)
    assert.equal(2, r:state().spurious)
    r:ack(APP, { { 0, 1 }, { 9, 9 } }, 52 * MS)
    assert.equal(4, r:state().spurious)
    assert.equal(in_flight, r:state().in_flight)
    assert.same({}, fates(r))
  end)

  it("counts as a spurious loss also in a long row of them", function()
    local r = confirmed()
    for number = 0, 40 do r:send(APP, number, 0) end
    r:ack(APP, { { 40, 40 } }, 50 * MS)
    fates(r)
    r:ack(APP, { { 0, 40 } }, 51 * MS)
    assert.equal(38, r:state().spurious)
  end)
end)

describe("an ACK", function()
  it("of a packet that was never sent is a protocol violation, in each space", function()
    for _, space in ipairs({ "initial", "handshake", APP }) do
      local r = recovery.new({})
      assert.equal(PROTOCOL_VIOLATION, (r:ack(space, { { 0, 0 } }, MS)))
      r:send(space, 5, 0)
      assert.equal(PROTOCOL_VIOLATION, (r:ack(space, { { 6, 6 } }, MS)))
      assert.equal(PROTOCOL_VIOLATION, (r:ack(space, { { 0, "4611686018427387903" } }, MS)))
      assert.same({}, fates(r, space))
      assert.equal(1200, r:state().in_flight)
      assert.equal(0, (r:ack(space, { { 5, 5 } }, MS)))
      assert.equal(0, r:state().in_flight)
    end
  end)

  it("of a number that was left out is a protocol violation", function()
    local r = confirmed()
    r:send(APP, 0, 0)
    r:skip(APP, 1)
    r:send(APP, 2, 0)
    assert.equal(0, (r:ack(APP, { { 0, 0 }, { 2, 2 } }, MS)))
    assert.equal(PROTOCOL_VIOLATION, (r:ack(APP, { { 0, 2 } }, MS)))
  end)

  -- covers: rfc9000#13.1.2
  it("of a number that was left out is one for as long as lost ones from before it are remembered", function()
    for skips = 1, 40, 13 do
      local r = confirmed()
      local lost
      for i = 0, skips - 1 do
        for n = 10 * i, 10 * i + 8 do r:send(APP, n, i * MS) end
        r:skip(APP, 10 * i + 9)
        local from = 10 * i
        if i == 0 then from, lost = 1, 0 end -- 0 is lost
        assert.equal(0, (r:ack(APP, { { from, 10 * i + 8 } }, i * MS + 1)))
        fates(r)
      end
      r:send(APP, 10 * skips, skips * MS)
      assert.equal(1, r:state().packets_lost)
      for i = math.max(0, skips - 17), skips - 1 do
        assert.equal(PROTOCOL_VIOLATION, (r:ack(APP, { { 10 * i + 9, 10 * i + 9 } }, skips * MS)))
      end
      assert.equal(0, (r:ack(APP, { { lost, lost } }, skips * MS)))
      assert.equal(skips <= 17 and 1 or 0, r:state().spurious)
    end
  end)

  it("in a space that is gone does nothing", function()
    local r = recovery.new({})
    r:send("initial", 0, 0)
    r:discard("initial", MS)
    assert.equal(0, (r:ack("initial", { { 0, 0 } }, 2 * MS)))
  end)
end)

describe("the probe timer", function()
  -- covers: rfc9002#6.2.1.5 rfc9002#6.2.1 rfc9002#6.2.4.8
  it("fires after smoothed RTT, four variations and the peer's delay, and doubles", function()
    local r = confirmed()
    r:send(APP, 0, 0)
    assert.equal(1024 * MS, r:state().timer)
    assert.same({ "nothing" }, { r:timeout(1024 * MS - 1) })
    assert.same({ "probe", APP }, { r:timeout(1024 * MS) })
    assert.equal(1, r:state().pto_count)
    assert.same({}, fates(r))
    assert.equal(2048 * MS, r:state().timer)
    r:send(APP, 1, 1024 * MS)
    assert.equal(3072 * MS, r:state().timer)
    assert.same({ "probe", APP }, { r:timeout(3072 * MS) })
    r:send(APP, 2, 3072 * MS)
    assert.equal((3072 + 4096) * MS, r:state().timer)
    r:ack(APP, { { 2, 2 } }, 3172 * MS)
    assert.equal(0, r:state().pto_count)
  end)

  it("neither overflows nor is due again at once, however often it fires and no probe can leave", function()
    local r = confirmed()
    r:send(APP, 0, 0)
    local last = 0
    for _ = 1, 100 do
      local at = r:state().timer
      assert.is_true(at > last)
      last = at
      assert.equal("probe", (r:timeout(at)))
    end
    assert.equal(60 * SECOND, r:state().timer - last)
  end)

  -- covers: rfc9002#6.2.1.1
  it("is at least a millisecond above the round trip", function()
    local r = confirmed()
    r:set(0, { max_ack_delay = 0 })
    local now = 0
    for number = 0, 60 do
      r:send(APP, number, now)
      now = now + 10000
      r:ack(APP, { { number, number } }, now)
    end
    assert.equal(10000 + 1 * MS, r:pto(APP))
  end)

  -- covers: rfc9002#6.2.1.2
  it("is the earlier one of Initial and Handshake packets", function()
    local r = recovery.new({ server = true })
    r:send("initial", 0, 10 * MS)
    r:send("handshake", 0, 20 * MS)
    assert.equal(1009 * MS, r:state().timer)
    assert.same({ "probe", "initial" }, { r:timeout(1009 * MS) })
    r:send("initial", 1, 1009 * MS)
    assert.equal((20 + 2 * 999) * MS, r:state().timer)
    assert.same({ "probe", "handshake" }, { r:timeout((20 + 2 * 999) * MS) })
  end)

  -- covers: rfc9002#6.2.1.3
  it("does not run for application packets before the handshake is confirmed", function()
    local r = recovery.new({ server = true })
    r:send(APP, 0, 0)
    assert.is_nil(r:state().timer)
    r:set(MS, { handshake_confirmed = true })
    assert.equal(1024 * MS, r:state().timer)
  end)

  -- covers: rfc9002#6.2.1.6
  it("does not run while a packet waits to be lost by its age", function()
    local r = confirmed()
    for number = 0, 2 do r:send(APP, number, 0) end
    r:ack(APP, { { 1, 1 } }, 100 * MS)
    assert.equal(112.5 * MS, r:state().timer)
  end)

  -- covers: rfc9002#6.2.2.1.1
  it("does not run while the amplification limit lets nothing be sent", function()
    local r = recovery.new({ server = true })
    r:send("initial", 0, 0)
    r:set(0, { amplification_limited = true })
    assert.is_nil(r:state().timer)
    assert.same({ "nothing" }, { r:timeout(10 * SECOND) })
    r:set(2 * SECOND, { amplification_limited = false })
    assert.equal(999 * MS, r:state().timer)
    assert.same({ "probe", "initial" }, { r:timeout(2 * SECOND) })
  end)

  -- covers: rfc9002#6.2.2.1.2 rfc9002#6.2.2.1.3
  it("of a client runs with nothing in flight until the server has shown that it may send", function()
    local r = recovery.new({})
    r:send("initial", 0, 0)
    r:ack("initial", { { 0, 0 } }, 100 * MS)
    assert.equal(400 * MS, r:state().timer) -- 100 + 100 + 4 * 50
    assert.same({ "probe", "initial" }, { r:timeout(400 * MS) })
    assert.equal((400 + 600) * MS, r:state().timer)
    r:set(500 * MS, { has_handshake_keys = true })
    assert.same({ "probe", "handshake" }, { r:timeout(r:state().timer) })
    r:send("handshake", 0, 2 * SECOND)
    r:ack("handshake", { { 0, 0 } }, 2.1 * SECOND)
    assert.is_nil(r:state().timer)
    assert.equal(0, r:state().pto_count)
  end)

  it("of a client runs also when only early data is in flight", function()
    local r = recovery.new({})
    r:send(APP, 0, 0)
    assert.equal(999 * MS, r:state().timer)
    assert.same({ "probe", "initial" }, { r:timeout(999 * MS) })
  end)

  it("of a client keeps its backoff until the server has shown that it may send", function()
    local r = recovery.new({})
    r:send("initial", 0, 0)
    r:timeout(999 * MS)
    r:send("initial", 1, 999 * MS)
    r:ack("initial", { { 0, 1 } }, 1100 * MS)
    assert.equal(1, r:state().pto_count)
    local server = recovery.new({ server = true })
    server:send("initial", 0, 0)
    server:timeout(999 * MS)
    server:ack("initial", { { 0, 0 } }, 1100 * MS)
    assert.equal(0, server:state().pto_count)
  end)
end)

describe("a space whose keys are gone", function()
  -- covers: rfc9002#6.4.1 rfc9002#6.2.2.4
  it("takes its packets, its timer and the backoff with it", function()
    local r = recovery.new({ server = true })
    r:send("initial", 0, 0)
    r:send("initial", 1, 0)
    r:send("handshake", 0, 500 * MS, { size = 1000 })
    r:timeout(999 * MS)
    assert.equal(1, r:state().pto_count)
    r:discard("initial", 1000 * MS)
    local state = r:state()
    assert.same({ 1000, 0, 1499 * MS, 0 }, { state.in_flight, state.pto_count, state.timer, state.packets_lost })
    r:discard("handshake", 1001 * MS)
    assert.equal(0, r:state().in_flight)
    assert.is_nil(r:state().timer)
  end)

  it("does not count twice what was decided before", function()
    local r = recovery.new({ server = true })
    for number = 0, 4 do r:send("initial", number, 0) end
    r:ack("initial", { { 3, 3 } }, MS / 10)
    assert.equal(3600, r:state().in_flight)
    r:discard("initial", MS)
    assert.equal(0, r:state().in_flight)
  end)
end)

describe("a Retry", function()
  it("makes all that was sent be sent again, and is not a loss", function()
    local r = recovery.new({})
    r:send("initial", 0, 0)
    r:timeout(999 * MS)
    r:send("initial", 1, 999 * MS)
    r:send(APP, 0, 999 * MS)
    r:retry(1100 * MS)
    assert.same({ "lost 0", "lost 1" }, fates(r, "initial"))
    assert.same({ "lost 0" }, fates(r))
    local state = r:state()
    assert.same({ 0, 0, 12000, 0 }, { state.in_flight, state.packets_lost, state.window, state.pto_count })
    assert.is_nil(state.ssthresh)
    assert.equal((1100 + 999) * MS, state.timer)
  end)
end)

describe("the congestion window", function()
  -- covers: rfc9002#7.3 rfc9002#7.5.2
  it("counts what is in flight, probes above the window too", function()
    local r = confirmed()
    assert.equal(12000, r:state().window_left)
    for number = 0, 9 do r:send(APP, number, 0) end
    assert.equal(0, r:state().window_left)
    r:send(APP, 10, 0)
    assert.equal(13200, r:state().in_flight)
    assert.equal(0, r:state().window_left)
    r:send(APP, 11, 0, { eliciting = false, size = 50 })
    assert.equal(13200, r:state().in_flight)
    r:send(APP, 12, 0, { eliciting = false, in_flight = true, size = 100 })
    assert.equal(13300, r:state().in_flight)
  end)

  it("grows by what is acknowledged in a round and not by what a recovery holds", function()
    local r = confirmed()
    for number = 0, 9 do r:send(APP, number, 0) end
    r:ack(APP, { { 0, 4 } }, 100 * MS)
    assert.equal(18000, r:state().window)
    r:ack(APP, { { 9, 9 } }, 101 * MS) -- loses 5 and 6
    assert.equal(9000, r:state().window)
    assert.equal(9000, r:state().ssthresh)
    r:send(APP, 10, 102 * MS)
    r:ack(APP, { { 7, 8 } }, 103 * MS)
    assert.equal(9000, r:state().window)
    for number = 11, 17 do r:send(APP, number, 103 * MS) end
    r:ack(APP, { { 10, 17 } }, 200 * MS) -- 9600 fresh bytes: one window
    assert.equal(10200, r:state().window)
  end)

  -- covers: rfc9002#7.8.1 rfc9002#7.8.2
  it("does not grow while data, not the window, is the limit", function()
    local r = confirmed()
    r:set(0, { app_limited = true })
    r:send(APP, 0, 10 * MS)
    r:ack(APP, { { 0, 0 } }, 20 * MS)
    assert.equal(12000, r:state().window)
    -- A train that fills the window counts though the data ended with it.
    for number = 1, 10 do r:send(APP, number, 30 * MS) end
    r:ack(APP, { { 1, 5 } }, 40 * MS)
    assert.equal(18000, r:state().window)
    r:ack(APP, { { 6, 10 } }, 40 * MS)
    assert.equal(24000, r:state().window)
    r:send(APP, 11, 50 * MS)
    r:ack(APP, { { 11, 11 } }, 60 * MS)
    assert.equal(24000, r:state().window)
    -- Room for one datagram more is a window that was not filled.
    for number = 12, 30 do r:send(APP, number, 70 * MS) end
    r:ack(APP, { { 12, 30 } }, 80 * MS)
    assert.equal(24000, r:state().window)
  end)

  it("is told what each ACK delivered and at which rate", function()
    local r = confirmed()
    for number = 0, 4 do r:send(APP, number, 0) end
    r:ack(APP, { { 0, 1 } }, 100 * MS)
    assert.same({ bytes = 2400, fresh_bytes = 2400, in_flight = 6000, delivery_rate = 24000 }, r:state().last_ack)
    r:send(APP, 5, 150 * MS)
    -- 3600 + 1200 bytes since 1200 * 2 had been delivered at 100 ms.
    r:ack(APP, { { 2, 5 } }, 250 * MS)
    assert.same({ bytes = 4800, fresh_bytes = 4800, in_flight = 4800, delivery_rate = 32000 }, r:state().last_ack)
  end)

  it("is reduced once for the losses of one round", function()
    local r = confirmed()
    for number = 0, 9 do r:send(APP, number, number * MS) end
    r:ack(APP, { { 3, 3 } }, 50 * MS) -- loses 0
    assert.equal(6000, r:state().window)
    r:ack(APP, { { 3, 3 }, { 7, 7 } }, 51 * MS) -- loses 1, 2 and 4
    assert.equal(4, r:state().packets_lost)
    assert.equal(6000, r:state().window)
  end)

  it("gives the pacer 5/4 of a window a round trip", function()
    local r = confirmed({ pacing = true })
    r:send(APP, 0, 0)
    assert.equal(0, r:state().pacing_rate)
    r:ack(APP, { { 0, 0 } }, 100 * MS)
    assert.equal(13200 / 4 * 5 * 10, r:state().pacing_rate)
  end)
end)

describe("persistent congestion", function()
  -- A sample of 1 s at 1 s, then another at the end: (1 + 4 * 0.375 + 0.025) * 3 = 7.575 s is the duration.
  local function lose_between(first, last, options)
    options = options or {}
    local r = confirmed()
    r:send(APP, 0, 0)
    r:ack(APP, { { 0, 0 } }, 1 * SECOND)
    fates(r)
    r:send(APP, 1, first)
    if options.between then r:send(APP, 2, first + SECOND, options.between) end
    r:send(APP, 3, last, options.last)
    r:send(APP, 10, 12 * SECOND)
    r:ack(APP, options.acked or { { 10, 10 } }, 13 * SECOND)
    return r:state()
  end

  -- covers: rfc9002#7.6.2.1 rfc9002#7.6.2.5 rfc9002#7.6.1.1
  it("is when all within three probe times and the peer's delay was lost", function()
    assert.equal(6600, lose_between(2 * SECOND, 9.575 * SECOND).window) -- a loss like any
    -- The window of two, and what was acknowledged after it.
    assert.equal(2400 + 1200, lose_between(2 * SECOND, 9.575 * SECOND + 1).window)
    assert.equal(3600, lose_between(2 * SECOND, 9.6 * SECOND, { between = {} }).window)
  end)

  -- covers: rfc9002#5.2.2
  it("sets the minimum round trip to the newest sample", function()
    local r = confirmed()
    r:send(APP, 0, 0)
    r:ack(APP, { { 0, 0 } }, 0.5 * SECOND)
    assert.equal(0.5 * SECOND, r:state().min)
    r:send(APP, 1, 1 * SECOND)
    r:send(APP, 2, 11 * SECOND)
    r:send(APP, 6, 12 * SECOND)
    r:ack(APP, { { 6, 6 } }, 13 * SECOND)
    assert.equal(1 * SECOND, r:state().min)
    assert.equal(3600, r:state().window)
  end)

  it("is not when something sent between was acknowledged", function()
    local state = lose_between(2 * SECOND, 9.6 * SECOND, { between = {}, acked = { { 2, 2 }, { 10, 10 } } })
    assert.equal(2, state.packets_lost)
    assert.equal(6600, state.window)
  end)

  it("is not when the last one elicited no acknowledgement", function()
    local state = lose_between(2 * SECOND, 9.6 * SECOND, { last = { eliciting = false, in_flight = true } })
    assert.equal(2, state.packets_lost)
    assert.equal(6600, state.window)
  end)

  it("looks past packets between that elicited none", function()
    assert.equal(3600, lose_between(2 * SECOND, 9.6 * SECOND, { between = { eliciting = false } }).window)
  end)

  -- covers: rfc9002#7.6.2.2
  it("does not count what was sent before the first sample", function()
    assert.equal(6600, lose_between(1 * SECOND, 8.6 * SECOND).window)
    assert.equal(3600, lose_between(1 * SECOND + 1, 8.6 * SECOND).window)
  end)
end)

describe("a path", function()
  local r
  before_each(function()
    r = recovery.new({ server = true })
    r:set(0, { handshake_confirmed = true })
  end)

  -- covers: rfc9000#9.4.1 rfc9000#9.4.2
  it("begins with a controller and an RTT of its own", function()
    r:send(APP, 0, 0)
    r:ack(APP, { { 0, 0 } }, 20 * MS)
    assert.equal(13200, r:state().window)
    r:move(1, 20 * MS)
    local new = r:state()
    assert.same({ 12000, 333 * MS, 0 }, { new.window, new.smoothed, new.in_flight })
    assert.same({ 13200, 20 * MS }, { r:state(0).window, r:state(0).smoothed })
  end)

  it("learns nothing from packets that took another", function()
    r:send(APP, 0, 0)
    r:move(1, 10 * MS)
    r:send(APP, 1, 10 * MS)
    r:ack(APP, { { 0, 0 } }, 40 * MS)
    assert.same({ 12000, 333 * MS, 1200 }, { r:state(1).window, r:state(1).smoothed, r:state(1).in_flight })
    assert.same({ 13200, 40 * MS, 0 }, { r:state(0).window, r:state(0).smoothed, r:state(0).in_flight })
  end)

  it("does not pay for losses on another", function()
    for n = 0, 3 do r:send(APP, n, 0) end
    r:move(1, 10 * MS)
    for n = 4, 7 do r:send(APP, n, 10 * MS) end
    r:ack(APP, { { 7, 7 } }, 40 * MS)
    assert.equal(6000, r:state(0).window)
    assert.equal(0, r:state(0).in_flight)
    -- number 4 was lost on the new one as well
    assert.equal(6000, r:state(1).window)
    assert.equal(2400, r:state(1).in_flight)
    assert.equal(5, r:state().packets_lost)
  end)

  it("that is gone leaves its packets, which are acknowledged or lost for no path", function()
    for n = 0, 3 do r:send(APP, n, 0) end
    r:move(1, 10 * MS)
    r:drop_path(0)
    r:send(APP, 4, 10 * MS)
    r:move(0, 20 * MS) -- another path, in the same place
    r:send(APP, 5, 20 * MS)
    r:ack(APP, { { 3, 3 } }, 30 * MS)
    assert.same({ 12000, 333 * MS, 1200 }, { r:state(0).window, r:state(0).smoothed, r:state(0).in_flight })
    assert.same({ 12000, 333 * MS, 1200 }, { r:state(1).window, r:state(1).smoothed, r:state(1).in_flight })
    local found = {}
    for fate in function() return r:fate(APP) end do found[fate.number] = fate.fate end
    assert.same({ [0] = "lost", [3] = "acked" }, found)
  end)

  it("that is gone leaves what it counted", function()
    for n = 0, 3 do r:send(APP, n, 0) end
    r:ack(APP, { { 3, 3 } }, 30 * MS)
    assert.equal(1, r:state().packets_lost)
    r:move(1, 40 * MS)
    r:drop_path(0)
    assert.equal(1, r:state().packets_lost)
  end)

  it("has a probe backoff of its own", function()
    r:send(APP, 0, 0)
    r:timeout(r:state().timer)
    assert.equal(1, r:state().pto_count)
    r:move(1, 2 * SECOND)
    assert.equal(0, r:state().pto_count)
  end)
end)

describe("a controller", function()
  local r
  before_each(function()
    r = recovery.new({ server = true })
    r:set(0, { handshake_confirmed = true })
  end)

  it("hears of each packet with what was known when it left", function()
    r:send(APP, 0, 10 * MS)
    r:send(APP, 1, 20 * MS, { size = 1000 })
    r:ack(APP, { { 0, 0 } }, 60 * MS)
    assert.same({
      size = 1200, sent_at = 10 * MS, delivered = 0, delivered_at = 10 * MS, first_sent_at = 10 * MS,
      in_flight = 1200, lost = 0, app_limited = false,
    }, r:told().acked)
    r:send(APP, 2, 70 * MS)
    r:ack(APP, { { 1, 2 } }, 120 * MS)
    assert.same({
      size = 1200, sent_at = 70 * MS, delivered = 1200, delivered_at = 60 * MS, first_sent_at = 10 * MS,
      in_flight = 2200, lost = 0, app_limited = false,
    }, r:told().acked)
    assert.same({ 3, 3, 0 }, { r:told().sent, r:told().packets_acked, r:told().packets_lost })
  end)

  it("keeps the records while their ring grows", function()
    for n = 0, 99 do r:send(APP, n, n * MS) end
    r:ack(APP, { { 57, 57 } }, 150 * MS)
    assert.same({ 57 * MS, 58 * 1200 }, { r:told().acked.sent_at, r:told().acked.in_flight })
  end)

  it("hears of losses one by one, and of the event once", function()
    for n = 0, 9 do r:send(APP, n, n * MS / 10) end
    r:ack(APP, { { 9, 9 } }, 20 * MS)
    assert.same({ 7, 1, 6 * MS / 10 }, { r:told().packets_lost, r:told().losses, r:told().lost.sent_at })
  end)

  it("hears of losses that were none", function()
    for n = 0, 9 do r:send(APP, n, 0) end
    r:ack(APP, { { 9, 9 } }, 20 * MS)
    for fate in function() return r:fate(APP) end do assert.is_truthy(fate) end
    r:ack(APP, { { 3, 5 } }, 25 * MS)
    assert.equal(3, r:told().spurious)
  end)

  it("hears what was sent while there was too little to send", function()
    r:send(APP, 0, 0)
    r:set(1 * MS, { app_limited = true })
    r:send(APP, 1, 2 * MS)
    r:ack(APP, { { 0, 1 } }, 50 * MS)
    assert.is_true(r:told().acked.app_limited)
    assert.is_true(r:told().rate_app_limited)
    r:set(51 * MS, { app_limited = false })
    r:send(APP, 2, 60 * MS)
    r:ack(APP, { { 2, 2 } }, 110 * MS)
    assert.is_false(r:told().acked.app_limited)
  end)

  it("measures with the newest packet in flight, where a newer one elicited nothing", function()
    r:send(APP, 0, 0)
    r:send(APP, 1, 5 * MS, { eliciting = false })
    r:ack(APP, { { 0, 1 } }, 50 * MS)
    assert.equal(24000, r:state().last_ack.delivery_rate)
  end)

  it("hears that silence went before, where data had run out with nothing in flight", function()
    r:send(APP, 0, 0)
    r:ack(APP, { { 0, 0 } }, 50 * MS)
    r:set(50 * MS, { app_limited = true })
    r:send(APP, 1, 100 * MS)
    r:set(100 * MS, { app_limited = false })
    r:ack(APP, { { 1, 1 } }, 150 * MS)
    assert.is_true(r:told().rate_app_limited)
    r:send(APP, 2, 160 * MS)
    r:ack(APP, { { 2, 2 } }, 210 * MS)
    assert.is_false(r:told().rate_app_limited)
  end)

  it("takes what the peer's flow control holds back for what the path carries", function()
    for n = 0, 2 do r:send(APP, n, 0) end
    r:set(1 * MS, { app_limited = true, has_unsent = true })
    r:send(APP, 3, 2 * MS)
    r:ack(APP, { { 0, 3 } }, 50 * MS)
    assert.is_false(r:told().rate_app_limited)
    -- A stream that is held up beside others that have little to send says nothing.
    r:send(APP, 4, 60 * MS)
    r:set(61 * MS, { app_limited = true, has_unsent = true })
    r:send(APP, 5, 62 * MS)
    r:ack(APP, { { 4, 5 } }, 110 * MS)
    assert.is_true(r:told().rate_app_limited)
  end)

  it("hears of each loss with what the path delivered, by the same ACK too, and lost so far", function()
    for n = 0, 9 do r:send(APP, n, n * MS / 10) end
    r:ack(APP, { { 5, 5 }, { 9, 9 } }, 20 * MS)
    assert.same({ 6, 2400, 6 * 1200 }, { r:told().lost_number, r:told().delivered_at_loss, r:told().lost_at_loss })
    assert.same({ 12000, 2400, 2400, 7200 },
      { r:state().last_ack.in_flight, r:told().in_flight_left, r:told().delivered, r:told().lost_bytes })
  end)

  it("hears of CE counts where packets leave marked, and once of each", function()
    r:send(APP, 0, 0)
    r:ack(APP, { { 0, 0 } }, 20 * MS, 0, { ce = 1 })
    assert.equal(0, r:told().losses)
    r:set(20 * MS, { ecn = true })
    for n = 1, 3 do r:send(APP, n, 20 * MS) end
    r:ack(APP, { { 1, 3 } }, 40 * MS, 0, { ect0 = 1, ce = 2 })
    assert.same({ 1, 2, 6600 }, { r:told().losses, r:told().ce_count, r:state().ssthresh })
    r:send(APP, 4, 50 * MS)
    r:ack(APP, { { 4, 4 } }, 70 * MS, 0, { ect0 = 2, ce = 2 })
    assert.equal(1, r:told().losses)
  end)

  it("hears of persistent congestion", function()
    r:send(APP, 0, 0)
    r:ack(APP, { { 0, 0 } }, 10 * MS)
    for n = 1, 5 do r:send(APP, n, n * 100 * MS) end
    r:ack(APP, { { 5, 5 } }, 510 * MS)
    assert.is_true(r:told().is_persistent)
  end)

  it("goes on with what it knows when a path is the same under another name, and alone on another", function()
    r:send(APP, 0, 0)
    r:ack(APP, { { 0, 0 } }, 10 * MS)
    r:move(1, 20 * MS)
    assert.equal(0, r:told().sent)
    r:move(0, 30 * MS)
    assert.equal(1, r:told().sent)
  end)

  it("is refused without memory for its state", function()
    assert.error_matches(function() recovery.new({ state_limit = 1 }) end, "no memory")
  end)
end)

describe("a steered controller", function()
  local r
  before_each(function()
    r = recovery.new({ server = true, controller = "steered", pacing = true })
    r:set(0, { handshake_confirmed = true })
  end)

  it("sums up a turn, and begins anew when it is taken", function()
    for n = 0, 9 do r:send(APP, n, n * MS) end
    r:ack(APP, { { 0, 3 } }, 30 * MS)
    r:ack(APP, { { 9, 9 } }, 40 * MS)
    for fate in function() return r:fate(APP) end do assert.is_truthy(fate) end
    r:ack(APP, { { 4, 4 } }, 41 * MS)
    local turn = r:take_turn()
    assert.same({ 5 * 1200, 3 * 1200, 3, 1 },
      { turn.acked_bytes, turn.lost_bytes, turn.lost_packets, turn.spurious_packets })
    assert.same({ r:state().in_flight, 31 * MS }, { turn.in_flight, turn.rtt })
    assert.is_true(turn.delivery_rate > 0)
    local empty = r:take_turn()
    assert.same({ 0, 0, 0, turn.in_flight, turn.rtt },
      { empty.acked_bytes, empty.lost_packets, empty.delivery_rate, empty.in_flight, empty.rtt })
  end)

  it("keeps the window and the rate that it was given, whatever is lost", function()
    r:steer(50000, 1e6)
    for n = 0, 9 do r:send(APP, n, n * MS) end
    r:ack(APP, { { 9, 9 } }, 40 * MS)
    assert.same({ 50000, 1e6 }, { r:state().window, r:state().pacing_rate })
    r:steer(10, 0)
    assert.equal(2400, r:state().window)
  end)

  it("leaves to CUBIC no more than what was in flight of its window, or the initial window", function()
    r:steer(2 ^ 50, 0)
    for n = 0, 29 do r:send(APP, n, n * MS) end
    r:ack(APP, { { 0, 29 } }, 60 * MS)
    r:take_turn()
    r:steer()
    assert.same({ 30 * 1200, 30 * 1200 }, { r:state().window, r:state().ssthresh })
    r:steer(2 ^ 50, 0)
    for _ = 1, 2 do r:take_turn() end
    r:steer()
    assert.equal(12000, r:state().window)
    r:steer(5000, 0)
    r:steer()
    assert.equal(5000, r:state().window)
  end)

  it("falls to the least window by itself in persistent congestion", function()
    r:steer(50000, 0)
    r:send(APP, 0, 0)
    r:ack(APP, { { 0, 0 } }, 10 * MS)
    for n = 1, 5 do r:send(APP, n, n * 100 * MS) end
    r:ack(APP, { { 5, 5 } }, 510 * MS)
    assert.equal(2400, r:state().window)
    assert.is_true(r:take_turn().is_persistent)
  end)
end)
