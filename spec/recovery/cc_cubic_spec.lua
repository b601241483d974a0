local recovery = require("neap.units").recovery

local MS, SECOND, TICKS = 1000000, 1000000000, 2 ^ 20
local MSS = 1200

-- C * t^3 in bytes.
local function curve(seconds, size) return 0.4 * size * seconds ^ 3 end

describe("the cubic curve", function()
  it("is that of RFC 9438 to a part of a datagram", function()
    for _, size in ipairs({ 1200, 1452, 9000, 65527 }) do
      for _, seconds in ipairs({ 0, 0.001, 0.01, 0.1, 0.5, 1, 2, 3.7, 10, 60, 100, 500, 1000, 1400 }) do
        local ticks = math.floor(seconds * TICKS)
        local is = recovery.cubic_curve(ticks, size)
        assert.near(curve(ticks / TICKS, size), is, 0.6 * size, ("%g s of %d bytes"):format(seconds, size))
        if seconds <= 10 then assert.near(curve(ticks / TICKS, size), is, 0.01 * size) end
      end
    end
  end)

  it("never falls, and its end is above the greatest window", function()
    local before = 0
    for ticks = 0, 1400 * TICKS, 77777 do
      local is = recovery.cubic_curve(ticks, 1200)
      assert.is_true(is >= before)
      before = is
    end
    assert.is_true(recovery.cubic_curve(1400 * TICKS, 1200) > 2 ^ 40)
  end)

  it("has a root in whole numbers", function()
    for _, size in ipairs({ 1200, 1452, 65527 }) do
      for exponent = 0, 40 do
        local bytes = 2 ^ exponent
        local root = recovery.cubic_root(bytes, size)
        assert.is_true(recovery.cubic_curve(root, size) <= bytes)
        assert.is_true(recovery.cubic_curve(root + 1, size) > bytes)
        assert.near(((bytes + 0.5) / 0.4 / size) ^ (1 / 3), root / TICKS, 0.04)
      end
    end
  end)
end)

describe("CUBIC", function()
  local cc
  before_each(function() cc = recovery.cc(MSS, "cubic") end)

  local function grow_to(window)
    while cc:state().window < window do
      cc:ack(math.min(cc:state().window, window - cc:state().window), { rtt = 100 * MS, now = 1 })
    end
  end

  it("has its name, and NewReno's initial window and slow start", function()
    local state = cc:state()
    assert.same({ "cubic", 12000 }, { state.name, state.window })
    assert.equal(24000, cc:ack(12000))
  end)

  it("keeps seven tenths at a loss, down to two datagrams, once for all that was sent before", function()
    grow_to(100 * MSS)
    assert.equal(70 * MSS, cc:lose(1, 10))
    assert.equal(70 * MSS, cc:state().ssthresh)
    assert.equal(70 * MSS, cc:lose(9, 12))
    assert.equal(49 * MSS, cc:lose(11, 20))
    for i = 3, 20 do cc:lose(i * 10 + 1, i * 10 + 10) end
    assert.equal(2 * MSS, cc:state().window)
  end)

  it("answers CE as it answers a loss", function()
    grow_to(100 * MSS)
    assert.equal(70 * MSS, cc:lose(1, 10, { ce = 3 }))
    assert.equal(70 * MSS, cc:state().ssthresh)
  end)

  -- Whole windows are acknowledged, a round trip apart.
  local function round(now, rtt, options)
    local window = cc:state().window
    for i = 1, 10 do
      cc:ack(window / 10, { rtt = rtt, now = now + rtt * i / 10, sent_at = now + rtt * i / 10 - rtt,
        app_limited = options and options.app_limited })
    end
    return cc:state().window
  end

  it("is back at the window of before after K, flat there, and grows beyond it", function()
    local rtt = 100 * MS
    grow_to(1000 * MSS)
    cc:lose(1, SECOND)
    local k, now = (300 / 0.4) ^ (1 / 3), SECOND -- 9.09 s
    local before
    while now < SECOND + (k - 0.05) * SECOND do
      before = cc:state().window
      now = now + rtt
      round(now, rtt)
    end
    assert.near(1000, cc:state().window / MSS, 1)
    assert.is_true(cc:state().window - before < MSS)
    local passed = 0
    while passed < 5 do
      now, passed = now + rtt, passed + 0.1
      round(now, rtt)
    end
    assert.near(1000 + 0.4 * 5 ^ 3, cc:state().window / MSS, 10)
  end)

  it("gives way faster where the next loss comes below the window of the last one", function()
    local rtt, now = 100 * MS, SECOND
    grow_to(1000 * MSS)
    cc:lose(1, now)
    cc:lose(now + 1, now + rtt) -- at 700: the curve is flat at 595
    now = now + rtt
    local k = ((595 - 490) / 0.4) ^ (1 / 3)
    for _ = 1, math.floor(k * 10 + 0.5) do
      now = now + rtt
      round(now, rtt)
    end
    assert.near(595, cc:state().window / MSS, 2)
  end)

  it("grows as Reno would where that is more", function()
    local rtt, now = 10 * MS, SECOND
    grow_to(20 * MSS)
    cc:lose(1, now)
    assert.equal(14 * MSS, cc:state().window)
    -- 9/17 of a datagram a window up to 20, which takes 11.3 rounds; after that one
    for _ = 1, 6 do
      now = now + rtt
      round(now, rtt)
    end
    assert.near(14 + 6 * 9 / 17, cc:state().window / MSS, 0.1)
    for _ = 1, 9 do
      now = now + rtt
      round(now, rtt)
    end
    assert.near(20 + 3.7, cc:state().window / MSS, 0.3)
  end)

  it("has a clock that stands still while the window is not used", function()
    local rtt, now = 100 * MS, SECOND
    grow_to(1000 * MSS)
    cc:lose(1, now)
    for _ = 1, 10 do
      now = now + rtt
      round(now, rtt)
    end
    local window = cc:state().window
    for _ = 1, 100 do
      now = now + rtt
      assert.equal(window, round(now, rtt, { app_limited = true }))
    end
    now = now + rtt
    local after = round(now, rtt)
    assert.is_true(after - window < 0.15 * window, ("from %d to %d"):format(window, after))
    -- Silence is no time either.
    now = now + 3600 * SECOND
    cc:ack(MSS, { rtt = rtt, sent_at = now, flight_began_at = now, now = now + rtt })
    assert.is_true(cc:state().window - after < 2 * MSS)
  end)

  it("falls to two datagrams in persistent congestion; the curve begins flat at the threshold after it", function()
    local rtt, now = 100 * MS, SECOND
    grow_to(100 * MSS)
    assert.equal(2 * MSS, cc:lose(1, now, { persistent = true }))
    assert.same({ 70 * MSS, 0 }, { cc:state().ssthresh, cc:state().recovery_started })
    while cc:state().window < 70 * MSS do
      now = now + rtt
      cc:ack(cc:state().window, { rtt = rtt, now = now, sent_at = now - rtt })
    end
    local window = cc:state().window
    for _ = 1, 10 do
      now = now + rtt
      round(now, rtt)
    end
    -- One second on: 0.4 datagrams by the curve, ten times 9/17 as Reno.
    assert.near(10 * 9 / 17, (cc:state().window - window) / MSS, 0.5)
  end)

  it("grows by half a window a round trip at most", function()
    local rtt, now = 100 * MS, SECOND
    grow_to(100 * MSS)
    cc:lose(1, now)
    now = now + rtt
    round(now, rtt)
    local window = cc:state().window
    cc:ack(window, { rtt = rtt, now = now + 3600 * SECOND, sent_at = now + 3600 * SECOND - rtt })
    assert.near(1.5 * window, cc:state().window, 1)
  end)

  it("computes with windows up to 2^40 and times of days, and not beyond", function()
    local now = 86400 * SECOND
    grow_to(2 ^ 39)
    cc:lose(1, now)
    assert.near(0.7 * 2 ^ 39, cc:state().window, 1)
    local last = cc:state().window
    for day = 2, 40 do
      local window = cc:ack(last, { rtt = 60 * SECOND, now = day * now, sent_at = day * now - SECOND })
      assert.is_true(window >= last)
      last = window
    end
    assert.equal(2 ^ 40, last)
  end)
end)
