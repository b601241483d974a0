-- HyStart++ (RFC 9406): how NewReno's first slow start ends.
local recovery = require("neap.units").recovery

local SIZE = 1200

describe("the first slow start", function()
  local cc, now, round_at

  -- One ACK of one datagram of the round that runs, or of one sent since it began: then the next one begins.
  local function ack(rtt, options)
    local is_last = options and options.last
    now = now + 100000
    local window = cc:ack(SIZE, { rtt = rtt, sent_at = is_last and round_at or round_at - 1, now = now })
    if is_last then round_at = now end
    return window
  end

  -- A round of eight ACKs; what it added to the window, in datagrams.
  local function round(rtt)
    local before = cc:state().window
    for _ = 1, 7 do ack(rtt) end
    return (ack(rtt, { last = true }) - before) / SIZE
  end

  local function ms(n) return n * 1000000 end

  -- The first ACK of all ends a round.
  local function begin(rtt)
    cc, now, round_at = recovery.cc(SIZE), 0, 1
    ack(rtt, { last = true })
  end

  before_each(function() begin(ms(40)) end)

  it("goes on while the round-trip time stays as it is", function()
    for _ = 1, 20 do assert.equal(8, round(ms(40))) end
    assert.is_nil(cc:state().ssthresh)
  end)

  it("slows down to a quarter when a round takes an eighth longer, and ends five rounds later", function()
    assert.equal(8, round(ms(40)))
    assert.equal(8, round(ms(45.1))) -- its eighth ACK tells
    for _ = 1, 3 do assert.equal(2, round(ms(50))) end
    assert.is_nil(cc:state().ssthresh)
    assert.equal(2, round(ms(50)))
    local window = cc:state().window
    assert.equal(window, cc:state().ssthresh)
    assert.equal(window, cc:ack(window - SIZE, { rtt = ms(50), sent_at = now, now = now }))
    assert.equal(window + SIZE, cc:ack(SIZE, { rtt = ms(50), sent_at = now, now = now }))
  end)

  it("takes 4 ms at least for longer, and 16 ms in any case", function()
    for low, high in pairs{ [ms(1)] = ms(4), [ms(400)] = ms(16) } do
      begin(low)
      round(low)
      assert.equal(8, round(low + high - ms(0.1)))
      assert.equal(8, round(low))
      round(low + high + ms(0.1))
      assert.equal(2, round(low + high + ms(0.1)))
    end
  end)

  it("does not slow down for fewer than eight measurements", function()
    round(ms(40))
    for _ = 1, 7 do ack(ms(60)) end
    local before = cc:state().window
    ack(ms(40), { last = true })
    assert.equal(before + SIZE, cc:state().window)
    assert.equal(8, round(ms(40)))
  end)

  it("goes on as before when the round-trip time was longer by chance", function()
    round(ms(40))
    round(ms(60))
    assert.equal(2, round(ms(60)))
    local before = cc:state().window
    for _ = 1, 8 do ack(ms(50)) end
    ack(ms(50), { last = true })
    assert.equal(before + SIZE * 8 / 4 + SIZE, cc:state().window)
    assert.equal(8, round(ms(50)))
    assert.is_nil(cc:state().ssthresh)
  end)

  it("is not the one after persistent congestion", function()
    cc:lose(1, 10, { persistent = true })
    local window = cc:state().window
    round(ms(40))
    for _ = 1, 9 do round(ms(400)) end
    assert.is_true(cc:state().window > window)
    assert.equal(6600, cc:state().ssthresh)
  end)

  it("grows by eight datagrams an ACK at most where packets are not paced", function()
    for pacing, grown in pairs{ [true] = 10, [false] = 8 } do
      local r = recovery.new({ pacing = pacing })
      r:set(0, { handshake_confirmed = true })
      for number = 0, 9 do r:send("application", number, number) end
      local before = r:state().window
      r:ack("application", { { 0, 9 } }, ms(40))
      assert.equal(before + grown * SIZE, r:state().window)
    end
    -- And by a quarter of that when it has slowed down.
    round(ms(40))
    round(ms(60))
    local before = cc:state().window
    cc:ack(20 * SIZE, { rtt = ms(60), sent_at = round_at - 1, now = now, unpaced = true })
    assert.equal(before + 2 * SIZE, cc:state().window)
  end)

  it("leaves what the application had too little for out of account", function()
    round(ms(40))
    for _ = 1, 20 do
      now = now + 1
      cc:ack(SIZE, { rtt = ms(90), sent_at = now, now = now, app_limited = true })
    end
    assert.equal(8, round(ms(40)))
  end)
end)
