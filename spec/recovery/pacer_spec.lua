local recovery = require("neap.units").recovery

local MS, SECOND = 1000000, 1000000000

local function burst_left(r, now) return (select(2, r:pacer_ready_at(1, now))) end

-- covers: rfc9002#7.7.2 rfc9002#7.7.3
describe("no pacer", function()
  it("lets an initial window leave out of silence, and with each ACK that and twice what came", function()
    local r = recovery.new{ server = true, controller = "cubic" }
    r:set(0, { handshake_confirmed = true })
    assert.equal(12000, burst_left(r, 0))
    local now, number = 0, 0
    local function send(count)
      for _ = 1, count do
        r:send("application", number, now)
        number = number + 1
      end
    end
    send(10)
    assert.equal(0, burst_left(r, 0))
    now = 50e6
    r:ack("application", { { 0, 3 } }, now)
    assert.equal(2 * 4 * 1200 + 12000, burst_left(r, now))
    send(5)
    assert.equal(3 * 1200 + 12000, burst_left(r, now))
    r:ack("application", { { 0, 14 } }, now)
    assert.equal(2 * 11 * 1200 + 12000, burst_left(r, now)) -- at once
    assert.equal(12000, burst_left(r, now + 1)) -- after silence
    now = now + 1
    send(1)
    assert.equal(9 * 1200, burst_left(r, now))
    local paced = recovery.new{ server = true, controller = "cubic", pacing = true }
    assert.equal("18446744073709551615", tostring(burst_left(paced, 0)))
  end)
end)

describe("the pacer", function()
  it("has no bound while it is off or the rate is unknown", function()
    local off = recovery.pacer(1200, false)
    off:update(1000, 1200)
    assert.is_nil(off:budget(0))
    assert.equal(5, off:ready_at(100000, 5))
    local unknown = recovery.pacer(1200)
    assert.is_nil(unknown:budget(0))
    assert.equal(5, unknown:ready_at(100000, 5))
  end)

  -- covers: rfc9002#7.7.2 rfc9002#7.7.3
  it("lets ten datagrams leave at once, then as many as the rate earns", function()
    local pacer = recovery.pacer(1200)
    assert.equal(12000, pacer:update(1200000, 1200))
    assert.equal(12000, pacer:budget(0))
    assert.equal(0, pacer:ready_at(1200, 0))
    pacer:sent(12000)
    assert.equal(0, pacer:budget(0))
    assert.equal(MS, pacer:ready_at(1200, 0))
    assert.equal(600, pacer:budget(MS / 2))
    assert.equal(MS, pacer:ready_at(1200, MS / 2))
    assert.equal(1200, pacer:budget(MS))
    assert.equal(12000, pacer:budget(10 * MS))
    assert.equal(12000, pacer:budget(1000 * MS))
    pacer:sent(4800)
    assert.equal(12000, pacer:budget(1005 * MS)) -- 4 ms would do
  end)

  it("loses no part of a byte however often it is asked", function()
    local pacer = recovery.pacer(1200)
    pacer:update(45000, 1200)
    pacer:sent(12000)
    local budget
    for now = 1000, 100 * MS, 1000 do budget = pacer:budget(now) end
    assert.equal(4500, budget)
  end)

  it("takes the quantum of a controller: two of them leave after silence, or what two milliseconds earn", function()
    local pacer = recovery.pacer(1200)
    pacer:update(1200000, 1200)
    assert.same({ 4800, 2400 }, { pacer:set_quantum(2400) })
    assert.equal(4800, pacer:budget(SECOND))
    pacer:sent(4800)
    assert.equal(SECOND + 2 * MS, pacer:ready_at(1200, SECOND)) -- it waits for the quantum
    pacer:update(100000000, 1200)
    assert.same({ 200000, 65536 }, { pacer:set_quantum(65536) })
    pacer:update(1200000, 1200)
    assert.same({ 12000, 12000 }, { pacer:set_quantum("18446744073709551614") })
  end)

  it("lets two milliseconds' worth leave at once on fast paths, 4 MiB at most", function()
    local pacer = recovery.pacer(1200)
    assert.equal(12000, pacer:update(5000000, 1200))
    assert.equal(40000, pacer:update(20000000, 1200))
    assert.equal(200000, pacer:update(100000000, 1200))
    assert.equal(4194304, pacer:update(10000000000, 1200))
    assert.equal(4194304, pacer:update("18446744073709551614", 1200))
    assert.equal(12000, pacer:update(0, 1200))
  end)

  it("takes back what a smaller burst does not allow", function()
    local pacer = recovery.pacer(1200)
    pacer:update(100000000, 1200)
    assert.equal(200000, pacer:budget(SECOND))
    pacer:update(1000000, 1200)
    assert.equal(12000, pacer:budget(SECOND))
  end)

  it("reaches the rate with about a thousand wake-ups a second at most", function()
    for _, rate in ipairs({ 100000, 1250000, 12500000, 125000000, 1250000000 }) do
      local pacer = recovery.pacer(1200)
      pacer:update(rate, 1200)
      local now, sent, wakes, longest = SECOND, 0, 0, 0
      while now < 2 * SECOND do
        local train = math.floor(pacer:budget(now) / 1200) * 1200
        assert.is_true(train > 0)
        pacer:sent(train)
        sent, longest = sent + train, math.max(longest, train)
        local at = pacer:ready_at(1200, now)
        assert.is_true(at > now)
        now, wakes = at, wakes + 1
      end
      assert.is_true(wakes <= 1100, ("%d wake-ups at %d B/s"):format(wakes, rate))
      local first = math.max(12000, rate / 500) -- the burst that is there at the beginning
      assert.is_true(sent <= rate + first + 1200)
      assert.is_true(sent >= rate * 0.97)
      if rate >= 12500000 then assert.is_true(longest >= 10 * 1200) end
    end
  end)

  it("is ready when its whole burst is there for what is larger than that", function()
    local pacer = recovery.pacer(1200)
    pacer:update(1200000, 1200)
    assert.equal(0, pacer:ready_at(50000, 0))
    pacer:sent(12000)
    assert.equal(10 * MS, pacer:ready_at(50000, 0))
  end)
end)
