local net = require("support.quic_net")

local MS = net.MS
local bytes = net.bytes

describe("the idle timeout", function()
  it("is the smaller one of both sides", function()
    for _, times in ipairs({ { 5000, 9000 }, { 9000, 5000 }, { 0, 5000 }, { 5000, 0 } }) do
      local p = net.pair({ client = { max_idle_timeout = times[1] }, server = { max_idle_timeout = times[2] } })
      p:handshake()
      local start = p.now
      p:run(function(x) return x.client:info().closed and x.server:info().closed end)
      assert.equal("idle", p.client:info().by)
      assert.equal("idle", p.server:info().by)
      assert.is_true(p.now - start > 4500 * MS and p.now - start <= 5000 * MS)
      p:free()
    end
  end)

  it("does not exist when both say 0", function()
    local p = net.pair({ client = { max_idle_timeout = 0 }, server = { max_idle_timeout = 0 } }):handshake()
    p:settle(3000 * MS)
    assert.is_nil((p.client:timeout()))
    assert.is_nil((p.server:timeout()))
    p:free()
  end)

  it("of 2^62-1 does not overflow", function()
    local longest = { max_idle_timeout = 2 ^ 62 - 2 ^ 10 }
    local p = net.pair({ client = longest, server = longest })
    p:handshake()
    p:settle(100000 * MS)
    assert.equal("none", p.client:info().by)
    p:free()
  end)

  -- covers: rfc9000#10.1.1
  it("is not less than three probe timeouts", function()
    local p = net.pair({ delay = 400 * MS, client = { max_idle_timeout = 100 }, server = { max_idle_timeout = 100 } })
    p:run(function(x) return x.client:info().confirmed and x.server:info().confirmed end)
    assert.is_true(p.client:info().confirmed)
    local start = p.now
    p:run(function(x) return x.client:info().closed end)
    assert.is_true(p.now - start > 2400 * MS)
    p:free()
  end)

  it("begins anew with what comes and with the first thing sent after it", function()
    local p = net.pair({ client = { max_idle_timeout = 5000 } }):handshake()
    for _ = 1, 5 do
      p:settle(4000 * MS)
      assert.equal("none", p.client:info().by)
      assert(p:transfer("client", "x"))
    end
    p:free()
  end)

  -- covers: rfc9000#4.1.5
  it("does not end a connection whose peer gives no credit, and which asks for it again and again", function()
    for _, of in ipairs({ "initial_max_data", "initial_max_stream_data_uni" }) do
      local p = net.pair({ client = { max_idle_timeout = 5000 }, server = { [of] = 1000 } }):handshake()
      local id = p.client:open(false)
      p.client:stream_send(id, ("x"):rep(2000), true)
      p:settle(1000 * MS)
      local name = of == "initial_max_data" and "data_blocked_sent" or "stream_data_blocked_sent"
      assert.equal(1, p.client:stream_counters()[name])
      p:settle(60000 * MS)
      assert.equal("none", p.client:info().by)
      local count = p.client:stream_counters()[name]
      assert.is_true(count > 20 and count < 30, count)
      p.drop = function() return true end -- the peer is gone, and that is noticed
      p:settle(12000 * MS)
      assert.equal("idle", p.client:info().by)
      p:free()
    end
  end)

  it("is not put off by sending into a void", function()
    local p = net.pair({ client = { max_idle_timeout = 5000 } }):handshake()
    p:settle(3000 * MS)
    p.drop = function() return true end
    local start = p.now
    local id = p.client:open(false)
    p.client:stream_send(id, "x", false)
    p:run(function(x) return x.client:info().closed end)
    assert.equal("idle", p.client:info().by)
    assert.is_true(p.now - start <= 5100 * MS)
    p:free()
  end)
end)

describe("a probe timeout", function()
  -- covers: rfc9002#6.2.4.1 rfc9002#6.2.4.2 rfc9002#6.2.4.3 rfc9002#6.2.4.6
  it("sends lost data again, twice as late each time", function()
    local p = net.pair():handshake()
    p:settle(1000 * MS)
    local times = {}
    p.drop = function(direction)
      if direction == "up" then times[#times + 1] = p.now end
      return true
    end
    local id = p.client:open(false)
    p.client:stream_send(id, "hello", true)
    p:run(function() return #times >= 9 end)
    -- One packet, then two a probe.
    local gaps = { times[2] - times[1], times[4] - times[2], times[6] - times[4], times[8] - times[6] }
    assert.equal(times[2], times[3])
    for i = 2, 4 do
      assert.is_true(gaps[i] > 1.9 * gaps[i - 1] and gaps[i] < 2.1 * gaps[i - 1])
    end
    p.drop = nil
    p:run(function(x) return x.server:readable_next() ~= nil end)
    assert.equal("hello", (p.server:stream_recv(id)))
    p:free()
  end)

  it("is a minute at most, so that a way that was gone for long is found when it is there again", function()
    local long = { max_idle_timeout = 7200000 }
    local p = net.pair({ client = long, server = long }):handshake()
    p:settle(1000 * MS)
    local last, longest, count = p.now, 0, 0
    p.drop = function(direction)
      if direction == "up" then
        longest, last, count = math.max(longest, p.now - last), p.now, count + 1
      end
      return true
    end
    local id = p.client:open(false)
    p.client:stream_send(id, "hello", true)
    p:run(nil, 3000000 * MS)
    assert.equal(60000 * MS, longest)
    assert.is_true(count < 140, count) -- two each time
    p.drop = nil
    local there = p.now
    assert.is_true(p:run(function() return p.server:readable_next() ~= nil end, 120000 * MS))
    assert.is_true(p.now - there <= 60020 * MS, p.now - there)
    p:free()
  end)

  -- covers: rfc9002#7.5.1
  it("is not held back by a window that is full", function()
    local p = net.pair():handshake()
    p:settle(1000 * MS)
    local count = 0
    p.drop = function(direction)
      if direction == "up" then count = count + 1 end
      return true
    end
    local id = p.client:open(false)
    p.client:stream_send(id, ("x"):rep(200000), false)
    p:run(nil, 20 * MS)
    local full = count
    assert.is_true(full >= 9)
    p:run(function(x) return x.client:stats().pto_count > 0 end)
    p:flush()
    assert.equal(full + 2, count)
    p:free()
  end)

  it("carries an acknowledgement, since the one before may be lost", function()
    local p = net.pair():handshake()
    p:settle(1000 * MS)
    p.drop = function(direction) return direction == "down" end
    -- The server acknowledges this into the void, and the client may not say it again.
    local id = p.client:open(true)
    p.client:stream_send(id, "x", false)
    p:run(nil, 40 * MS)
    local answer = p.server:open(false)
    p.server:stream_send(answer, "y", true)
    p:flush()
    p.drop = function(direction) return direction == "up" end
    assert.is_true(p:run(function(x) return x.client:readable_next() ~= nil end, 500 * MS))
    -- The client had to probe, and heard now that it need not have.
    assert.is_true(p.client:stats().pto_count > 0)
    assert.equal(0, p.client:stats().backoff)
    p:free()
  end)

  -- covers: rfc9000#8.1.5
  it("of a client goes on without anything in flight, until the server knows its address", function()
    -- The server's first flight is larger than three times what it got, and everything from then on from it is lost.
    local p = net.pair({ drop = function(direction, index) return direction == "down" and index > 1 end })
    p:run(function(x) return x.sent.up >= 6 end)
    assert.is_true(p.sent.up >= 6)
    p:free()
  end)
end)

describe("an acknowledgement", function()
  -- covers: rfc9000#13.2.1.1 rfc9000#13.2.1.2 rfc9000#18.2.2
  it("of one packet waits for max_ack_delay, less what a timer may be late by, of two it does not", function()
    local p = net.pair():handshake()
    p:settle(1000 * MS)
    p:inject("client", net.APPLICATION, bytes(1))
    assert.is_nil((p.server:send(p.now)))
    assert.equal(p.now + 24 * MS, p.server:timeout())
    p:inject("client", net.APPLICATION, bytes(1))
    assert.is_truthy((p.server:send(p.now)))
    p:free()
  end)

  it("does not wait where max_ack_delay is no longer than a timer may be late", function()
    for delay = 0, 1 do
      local p = net.pair({ server = { max_ack_delay = delay } }):handshake()
      p:settle(1000 * MS)
      p:inject("client", net.APPLICATION, bytes(1))
      assert.is_truthy((p.server:send(p.now)))
      p:free()
    end
  end)

  -- covers: rfc9000#13.2.1.4
  it("is not acknowledged", function()
    local p = net.pair():handshake()
    p:settle(1000 * MS)
    local sent = p.sent.up + p.sent.down
    p:inject("client", net.APPLICATION, bytes(0x02, 0, 0, 0, 0))
    p:settle(1000 * MS)
    assert.equal(sent, p.sent.up + p.sent.down)
    p:free()
  end)

  it("is asked for now and then by a side that only acknowledges", function()
    local p = net.pair():handshake()
    assert(p:transfer("server", ("x"):rep(2000000)))
    -- Else the client would remember thousands of packets that only acknowledge.
    assert.is_true(p.server:stats().ack_ranges <= 20, p.server:stats().ack_ranges)
    p:free()
  end)
end)

describe("timers", function()
  it("leave an idle connection alone", function()
    local p = net.pair():handshake()
    assert(p:transfer("client", ("x"):rep(100000)))
    p:settle(3000 * MS)
    assert.is_true(p.client:timeout() - p.now > 20000 * MS)
    assert.is_true(p.server:timeout() - p.now > 20000 * MS)
    p:free()
  end)
end)

describe("keep_alive", function()
  local function idle_pair(client, server)
    return net.pair({ client = client, server = server }):handshake()
  end

  it("asks for a sign of life when nothing came for so long", function()
    local p = idle_pair({ keep_alive = 2000, max_idle_timeout = 5000 })
    p:settle(60000 * MS)
    assert.equal("none", p.client:info().by)
    assert.equal("none", p.server:info().by)
    p:free()
  end)

  it("costs one PING and its acknowledgement each time", function()
    local p = idle_pair({ keep_alive = 2000, max_idle_timeout = 5000 })
    p:settle(3000 * MS)
    local before = p.client:stats().packets_sent
    p:settle(20000 * MS)
    local sent = p.client:stats().packets_sent - before
    assert.is_true(sent >= 9 and sent <= 10, sent)
    p:free()
  end)

  it("is the server's as well", function()
    local p = idle_pair({ max_idle_timeout = 5000 }, { keep_alive = 2000 })
    p:settle(60000 * MS)
    assert.equal("none", p.client:info().by)
    p:free()
  end)

  it("says nothing while packets come by themselves", function()
    local p = idle_pair({ keep_alive = 2000 })
    for _ = 1, 5 do
      assert(p:transfer("client", "x"))
      p:settle(1500 * MS)
    end
    local before = p.client:stats().packets_sent
    p:settle(100 * MS)
    assert.equal(before, p.client:stats().packets_sent)
    p:free()
  end)

  it("does not keep a dead peer's connection", function()
    local p = idle_pair({ keep_alive = 2000, max_idle_timeout = 5000 })
    p.drop = function(direction) return direction == "up" end
    local start = p.now
    p:run(function(x) return x.client:info().closed end)
    assert.equal("idle", p.client:info().by)
    assert.is_true(p.now - start < 12000 * MS)
    p:free()
  end)

  it("can be asked for while something is open, twice an idle timeout, and not beyond", function()
    local p = idle_pair({ max_idle_timeout = 5000 })
    p.client:keep_alive(true)
    p:settle(30000 * MS)
    assert.equal("none", p.client:info().by)
    p.client:keep_alive(false)
    p:run(function(x) return x.client:info().closed end)
    assert.equal("idle", p.client:info().by)
    p:free()
  end)

  it("can be asked for until a time", function()
    local p = idle_pair({ max_idle_timeout = 5000 })
    local start = p.now
    p.client:keep_alive(12000 * MS)
    p:run(function(x) return x.client:info().closed end)
    assert.equal("idle", p.client:info().by)
    assert.is_true(p.now - start > 12000 * MS and p.now - start < 18000 * MS, p.now - start)
    p:free()
  end)
end)

describe("ping", function()
  it("sends a PING at once", function()
    local p = net.pair():handshake()
    p:settle(1000 * MS)
    local before = p.server:stats().packets_received
    assert.equal(0, p.client:ping())
    p:settle(100 * MS)
    assert.equal(before + 1, p.server:stats().packets_received)
    p:free()
  end)

  it("is refused on a connection that is over", function()
    local p = net.pair():handshake()
    p.client:close(true, 0, "")
    assert.equal(-4, p.client:ping()) -- NEAP_ERR_CLOSED
    p:free()
  end)
end)
