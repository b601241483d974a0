local recovery = require("neap.units").recovery

describe("the initial window", function()
  -- covers: rfc9002#7.2.1
  it("is ten datagrams, but not above 14720 bytes or two datagrams", function()
    for size, window in pairs({ [1200] = 12000, [1472] = 14720, [1500] = 14720, [7360] = 14720, [8000] = 16000 }) do
      assert.equal(window, recovery.cc(size):state().window)
    end
  end)
end)

describe("NewReno", function()
  local cc
  before_each(function() cc = recovery.cc(1200) end)

  it("has its name", function()
    assert.equal("newreno", cc:state().name)
  end)

  it("grows by what is acknowledged in slow start", function()
    assert.is_nil(cc:state().ssthresh)
    assert.equal(13200, cc:ack(1200))
    assert.equal(26400, cc:ack(13200))
  end)

  -- covers: rfc9002#7.3.1.1 rfc9002#7.3.2.1 rfc9002#7.3.2.2 rfc9002#7.2.4
  it("halves the window at a loss, down to two datagrams", function()
    assert.equal(6000, cc:lose(1, 10))
    assert.equal(6000, cc:state().ssthresh)
    assert.equal(3000, cc:lose(11, 20))
    assert.equal(2400, cc:lose(21, 30))
    assert.equal(1500, cc:state().ssthresh)
    assert.equal(2400, cc:lose(31, 40))
    assert.equal(1200, cc:state().ssthresh)
  end)

  it("reduces once for all that was sent before the reduction", function()
    assert.equal(6000, cc:lose(1, 10))
    assert.equal(6000, cc:lose(5, 11))
    assert.equal(6000, cc:lose(10, 12))
    assert.equal(3000, cc:lose(11, 13))
  end)

  it("reduces also at time 0", function()
    assert.equal(6000, cc:lose(0, 0))
    assert.equal(6000, cc:lose(0, 5))
  end)

  -- covers: rfc9002#7.3.3.1
  it("grows by one datagram a window in congestion avoidance", function()
    cc:lose(1, 10)
    assert.equal(6000, cc:ack(5999))
    assert.equal(7200, cc:ack(1))
    assert.equal(7200, cc:ack(7199))
    assert.equal(8400, cc:ack(1))
    assert.equal(8400 + 1200 + 1200, cc:ack(8400 + 9600))
  end)

  it("goes over from slow start to congestion avoidance at the threshold", function()
    cc:lose(1, 10, { persistent = true })
    assert.equal(2400, cc:state().window)
    assert.equal(6000, cc:state().ssthresh)
    assert.equal(4800, cc:ack(2400))
    assert.equal(6000, cc:ack(1300)) -- 100 of them count toward the next datagram
    assert.equal(6000, cc:ack(5899))
    assert.equal(7200, cc:ack(1))
  end)

  it("counts anew toward the next datagram after a loss", function()
    cc:lose(1, 10)
    cc:ack(5999)
    cc:lose(11, 20)
    assert.equal(3000, cc:ack(2999))
    assert.equal(4200, cc:ack(1))
  end)

  -- covers: rfc9002#7.6.2.5
  it("falls to two datagrams in persistent congestion and is not in recovery then", function()
    assert.equal(2400, cc:lose(1, 10, { persistent = true }))
    assert.equal(0, cc:state().recovery_started)
    assert.equal(6000, cc:state().ssthresh)
  end)

  -- covers: rfc9002#7.8.1
  it("does not grow when the window was not the limit, nor by what was sent before the reduction", function()
    assert.equal(12000, cc:ack(1200, { app_limited = true }))
    assert.equal(12000, cc:ack(1200, { fresh = 0 }))
    assert.equal(12500, cc:ack(1200, { fresh = 500 }))
  end)
end)
