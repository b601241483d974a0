local net = require("support.quic_net")

local MS = net.MS
local bytes = net.bytes
local FRAME_ENCODING_ERROR, PROTOCOL_VIOLATION = 0x07, 0x0a
local NEVER_ASKED = 2

--- Packets that the client sent while it received `size` bytes on a path of 20 ms round trip.
local function acks_of(p, size)
  local before = p.client:stats().packets_sent
  assert(p:transfer("server", ("d"):rep(size)))
  return p.client:stats().packets_sent - before
end

-- A pair whose server asks in vain the first time, the third …: a question is in the first datagram of a burst.
local function half_heard()
  local p = net.pair():handshake()
  local asked = 0
  p.filter = function(direction, datagram)
    local before = asked
    asked = p.server:stats().asked
    return not (direction == "down" and asked > before and asked % 2 == 1) and datagram
  end
  return p
end

--- The client keeps what the server asked for last. Returns how often that was.
local function is_heard(p, case)
  local server = p.server:stats()
  assert.equal(0, server.asked % 2, case)
  assert.equal(server.asked_every, p.client:stats().ack_every, case)
  return server.asked
end

-- draft-ietf-quic-ack-frequency-14
describe("acknowledgements of a large transfer", function()
  it("become fewer as the window of their receiver grows, and the transfer takes no longer", function()
    local took, sent = {}, {}
    for on = 0, 1 do
      local p = net.pair({ client = { ack_frequency = on } }):handshake()
      local start = p.now
      sent[on] = acks_of(p, 2000000)
      took[on] = p.now - start
      local every = p.server:stats().asked_every
      assert.equal(on == 1, every > NEVER_ASKED, every)
      assert.equal(every, p.client:stats().ack_every)
      assert.is_true(every <= 64)
      p:free()
    end
    assert.is_true(sent[1] < sent[0] / 2, sent[1] .. " " .. sent[0])
    assert.is_true(took[1] <= took[0] * 1.1, took[1] .. " " .. took[0])
  end)

  it("are asked for by a receiver only of a peer that takes the question, and if it wants to", function()
    local p = net.pair({ server = { ack_frequency = 0 } }):handshake()
    acks_of(p, 1000000)
    assert.equal(NEVER_ASKED, p.server:stats().asked_every)
    assert.equal(NEVER_ASKED, p.client:stats().ack_every)
    p:free()
  end)

  it("wait for a part of the round trip, and the probe timer for that", function()
    local p = net.pair({ delay = 40 * MS }):handshake()
    assert.equal(25 * MS, p.server:stats().peer_ack_delay)
    acks_of(p, 1000000)
    local delay = p.client:stats().ack_delay
    assert.is_true(delay >= 19 * MS and delay <= 25 * MS, delay)
    assert.equal(delay, p.server:stats().peer_ack_delay)
    p:free()
  end)

  -- covers: rfc9000#13.2.1.7
  it("have an end, though both sides ask whether they are heard", function()
    local p = net.pair():handshake()
    assert(p:transfer("server", ("d"):rep(1000000)))
    assert(p:transfer("client", ("d"):rep(1000000)))
    p:settle(1000 * MS)
    assert.is_true(p.client:stats().ack_every > NEVER_ASKED and p.server:stats().ack_every > NEVER_ASKED)
    local sent = { p.client:stats().packets_sent, p.server:stats().packets_sent }
    p:settle(10000 * MS)
    assert.same(sent, { p.client:stats().packets_sent, p.server:stats().packets_sent })
    p:free()
  end)

  it("are asked for again when the question is lost", function()
    local most = 0
    for size = 20000, 600000, 20000 do
      local p = half_heard()
      acks_of(p, size)
      p:settle(1000 * MS)
      most = math.max(most, is_heard(p, size))
      p:free()
    end
    assert.is_true(most >= 4, most)
  end)

  it("are asked for again also when there is nothing else to say", function()
    local p = half_heard()
    local id = p.server:open(false)
    p.server:stream_send(id, ("d"):rep(200000), false)
    assert.is_true(p:run(function() return p.server:stats().asked == 1 end))
    assert.equal(0, p.server:shutdown(id, true, 0))
    p:settle(1000 * MS)
    assert.is_true(is_heard(p) >= 2)
    p:free()
  end)

  it("are asked for each packet while losses keep the window small", function()
    local asked, kept = 0, 0
    for seed = 1, 5 do
      local p = net.pair({ seed = seed, loss = 0.05 }):handshake()
      acks_of(p, 500000)
      p.loss = 0
      p:settle(1000 * MS)
      local server = p.server:stats()
      if server.window < 12 * 1200 then
        assert.equal(1, server.asked_every)
        assert.equal(1, p.client:stats().ack_every)
        asked = asked + 1
      end
      -- Once it has grown they become fewer again.
      acks_of(p, 4000000)
      p:settle(1000 * MS)
      if p.server:stats().window >= 24 * 1452 then
        assert.is_true(p.client:stats().ack_every > 1)
        kept = kept + 1
      end
      p:free()
    end
    assert.is_true(asked >= 2 and kept >= 2, asked .. " " .. kept)
  end)

  it("are not asked for each packet where a round trip takes hardly longer than a delayed one", function()
    local p = net.pair({ seed = 1, loss = 0.05, delay = 1 * MS }):handshake()
    acks_of(p, 500000)
    p.loss = 0
    p:settle(1000 * MS)
    assert.is_true(p.server:stats().window < 24 * 1200)
    assert.is_true(p.client:stats().ack_every >= NEVER_ASKED)
    p:free()
  end)

  it("are what was asked for last, whatever else is lost", function()
    for seed = 1, 20 do
      local p = net.pair({ seed = seed, loss = 0.02 }):handshake()
      acks_of(p, 500000)
      p.loss = 0
      p:settle(1000 * MS)
      assert.equal(p.server:stats().asked_every, p.client:stats().ack_every, seed)
      p:free()
    end
  end)
end)

describe("ACK_FREQUENCY", function()
  local function answer(payload, options)
    local p = net.pair(options):handshake()
    p:inject("client", net.APPLICATION, payload)
    local info, stats = p.server:info(), p.server:stats()
    p:free()
    return info.code ~= 0 and info.code or nil, stats
  end

  it("is followed, the newest", function()
    local code, stats = answer(bytes(0xaf, 5, 9, 4000, 3) .. bytes(0xaf, 4, 1, 9000, 1))
    assert.is_nil(code)
    assert.equal(10, stats.ack_every)
    assert.equal(4 * MS, stats.ack_delay)
  end)

  it("may not ask for a delay below what was told, or one that cannot be", function()
    assert.is_nil((answer(bytes(0xaf, 0, 1, 1000, 1))))
    assert.equal(PROTOCOL_VIOLATION, (answer(bytes(0xaf, 0, 1, 999, 1))))
    assert.is_nil((answer(bytes(0xaf, 0, 1, 16383999, 1))))
    assert.equal(PROTOCOL_VIOLATION, (answer(bytes(0xaf, 0, 1, 16384000, 1))))
  end)

  it("is an unknown frame to who did not offer it, as IMMEDIATE_ACK is", function()
    local off = { server = { ack_frequency = 0 } }
    assert.equal(FRAME_ENCODING_ERROR, (answer(bytes(0xaf, 0, 1, 1000, 1), off)))
    assert.equal(FRAME_ENCODING_ERROR, (answer(bytes(0x1f), off)))
  end)
end)

describe("IMMEDIATE_ACK", function()
  it("is acknowledged at once, whatever was asked for before", function()
    local p = net.pair():handshake()
    p:settle(100 * MS)
    p:inject("client", net.APPLICATION, bytes(0xaf, 0, 99, 20000, 0))
    p:settle(100 * MS)
    for _, case in ipairs({ { 0x01, 20 }, { 0x1f, 0 } }) do
      p:inject("client", net.APPLICATION, bytes(case[1]))
      assert.equal(p.now + case[2] * MS, (p.server:timeout()) or p.now)
      p:settle(100 * MS)
    end
    p:free()
  end)
end)
