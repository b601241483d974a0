local net = require("support.quic_net")

local MS = net.MS
local bytes = net.bytes

describe("coalesced packets", function()
  local function two(p)
    return p.client:inject(net.HANDSHAKE, bytes(1)), p.client:inject(net.APPLICATION, bytes(1))
  end

  -- covers: rfc9000#12.2.1 rfc9000#12.2.6
  it("are read one by one", function()
    local p = net.pair()
    p:run(function(x) return x.client:info().established end)
    local first = p.client:inject(net.INITIAL, bytes(1))
    local second = p.client:inject(net.HANDSHAKE, bytes(1))
    local before = p.server:stats().packets_received
    p.server:recv(first .. second .. ("\0"):rep(1200 - #first - #second), p.now)
    assert.equal(before + 2, p.server:stats().packets_received)
    p:free()
  end)

  -- covers: rfc9000#12.2.7
  it("that do not open do not stop the ones behind them", function()
    local p = net.pair()
    p:run(function(x) return x.client:info().established end)
    local first, second = p.client:inject(net.HANDSHAKE, bytes(1, 0, 0)), p.client:inject(net.HANDSHAKE, bytes(1))
    local broken = first:sub(1, -2) .. string.char((first:byte(-1) + 1) % 256)
    local before = p.server:stats()
    p.server:recv(broken .. second, p.now)
    assert.equal(before.packets_received + 1, p.server:stats().packets_received)
    assert.equal(before.packets_dropped + 1, p.server:stats().packets_dropped)
    p:free()
  end)

  -- covers: rfc9000#12.2.5
  it("to another connection ID than the first are dropped", function()
    local p = net.pair()
    p:run(function(x) return x.client:info().established end)
    local first = p.client:inject(net.HANDSHAKE, bytes(1))
    local other = net.pair({ seed = 9 })
    other:run(function(x) return x.client:info().established end)
    local before = p.server:stats()
    p.server:recv(first .. other.client:inject(net.HANDSHAKE, bytes(1)), p.now)
    assert.equal(before.packets_received + 1, p.server:stats().packets_received)
    assert.equal(before.packets_dropped + 1, p.server:stats().packets_dropped)
    other:free()
    p:free()
  end)

  it("of the same content twice count once", function()
    local p = net.pair()
    p:run(function(x) return x.client:info().established end)
    local first = two(p)
    local before = p.server:stats().packets_received
    p.server:recv(first .. first, p.now)
    assert.equal(before + 1, p.server:stats().packets_received)
    p:free()
  end)
end)

describe("a packet", function()
  -- covers: rfc9000#12.3.4
  it("that comes again is not read again", function()
    local p = net.pair()
    local all = {}
    p.filter = function(direction, datagram)
      if direction == "up" then all[#all + 1] = datagram end
      return datagram
    end
    p:handshake()
    p:transfer("client", ("x"):rep(30000))
    local before = p.server:stats()
    for _, datagram in ipairs(all) do
      p.server:recv(datagram, p.now)
    end
    assert.equal(before.packets_received, p.server:stats().packets_received)
    assert.equal(before.stream_bytes_received, p.server:stats().stream_bytes_received)
    p:free()
  end)

  it("with any byte changed is dropped without a trace", function()
    local p = net.pair():handshake()
    local id = p.client:open(true)
    p.client:stream_send(id, "hello", false)
    local good = p.client:send(p.now)
    local before = p.server:stats().packets_received
    for at = 1, #good do
      local bad = good:sub(1, at - 1) .. string.char((good:byte(at) + 1) % 256) .. good:sub(at + 1)
      p.server:recv(bad, p.now)
      p.server:recv(good:sub(1, at - 1), p.now)
    end
    assert.equal(before, p.server:stats().packets_received)
    assert.equal("none", p.server:info().by)
    p.server:recv(good, p.now)
    assert.equal(before + 1, p.server:stats().packets_received)
    assert.equal(id, p.server:readable_next())
    p:free()
  end)

  it("of random bytes is dropped at every stage", function()
    local random = net.random(3)
    local p = net.pair()
    local function junk()
      local out = {}
      for i = 1, math.floor(random() * 1300) do
        out[i] = string.char(math.floor(random() * 256))
      end
      return table.concat(out)
    end
    for _ = 1, 60 do
      p.client:recv(junk(), p.now)
    end
    p:run(function(x) return x.client:info().established end)
    for _ = 1, 60 do
      p.client:recv(junk(), p.now)
      p.server:recv(junk(), p.now)
    end
    p:handshake()
    for _ = 1, 60 do
      p.client:recv(junk(), p.now)
      p.server:recv(junk(), p.now)
    end
    assert.equal("none", p.client:info().by)
    assert.equal("none", p.server:info().by)
    p:free()
  end)

  -- covers: rfc9000#7.2.3
  it("of the handshake comes from the connection ID that it began with, whatever NEW_CONNECTION_ID said", function()
    local p = net.pair()
    p.drop = function(direction, index) return direction == "up" and index > 1 end
    p:run(function(x) return x.client:info().established end)
    local retired = bytes(0x18, 1, 1, 8, "another1", ("t"):rep(16))
    p:inject("server", net.APPLICATION, retired)
    assert.equal("another1", (select(2, p.client:ids())))
    local before = p.client:stats().packets_received
    p:inject("server", net.HANDSHAKE, bytes(0x01), { pad = 100 })
    assert.equal(before + 1, p.client:stats().packets_received)
    p:free()
  end)

  -- covers: rfc9000#14.1.4
  it("of type Initial in a datagram below 1200 bytes is dropped by a server", function()
    local p = net.pair()
    p:run(function(x) return x.server ~= nil end)
    local before = p.server:stats().packets_received
    p.server:recv(p.client:inject(net.INITIAL, bytes(1), { pad = 1199 }), p.now)
    assert.equal(before, p.server:stats().packets_received)
    p.server:recv(p.client:inject(net.INITIAL, bytes(1), { pad = 1200 }), p.now)
    assert.equal(before + 1, p.server:stats().packets_received)
    p:free()
  end)

  it("of type Initial after Initial keys are gone is dropped, with CONNECTION_CLOSE too", function()
    local late
    local p = net.pair()
    p:run(function(x) return x.server ~= nil end)
    late = p.client:inject(net.INITIAL, bytes(0x1c, 1, 0, 0), { pad = 1200 })
    p:handshake()
    local dropped = p.server:stats().packets_dropped
    p.server:recv(late, p.now)
    assert.same({ "none", dropped + 1 }, { p.server:info().by, p.server:stats().packets_dropped })
    p:free()
  end)
end)

describe("packets before their keys", function()
  -- covers: rfc9001#5.7.2
  it("are kept, in a bounded number, and read when the keys come", function()
    local p = net.pair()
    p:run(function(x) return x.client:info().established end)
    -- The client's 1-RTT packets overtake its Finished.
    local early = {}
    for i = 1, 12 do
      early[i] = p.client:inject(net.APPLICATION, bytes(0x0a, 0, 1, "x"))
    end
    local before = p.server:stats().packets_received
    for _, packet in ipairs(early) do
      p.server:recv(packet, p.now)
    end
    assert.equal(8, p.server:stats().kept)
    assert.equal(before, p.server:stats().packets_received)
    assert.is_nil((p.server:readable_next()))
    p:run(function(x) return x.server:info().confirmed end)
    assert.is_true(p.server:stats().packets_received >= before + 9)
    assert.equal(0, p.server:readable_next())
    p:free()
  end)

  it("are not kept when the handshake is over", function()
    local p = net.pair():handshake()
    local other = net.pair({ seed = 2 })
    other:run(function(x) return x.client:info().established end)
    local packet = other.client:inject(net.HANDSHAKE, bytes(1))
    other:free()
    for _ = 1, 100 do
      p.server:recv(packet, p.now)
      p.client:recv(packet, p.now)
    end
    assert.equal(0, p.server:stats().kept)
    assert.equal(0, p.client:stats().kept)
    p:free()
  end)

  it("do not cross the end of a connection that fails", function()
    local p = net.pair()
    p:run(function(x) return x.client:info().established end)
    p.server:recv(p.client:inject(net.APPLICATION, bytes(0x0a, 0, 1, "x")), p.now)
    p:inject("client", net.HANDSHAKE, bytes(0x1a, "12345678"))
    assert.equal(0x0a, p.server:info().code)
    p:free()
  end)
end)

describe("a datagram from another address", function()
  it("is not taken during the handshake but for Handshake packets, nor by a client ever", function()
    local p = net.pair()
    p:run(function(x) return x.client:info().established end)
    local before, sent = p.server:stats().packets_received, p.sent.down
    for _, space in ipairs({ net.INITIAL, net.APPLICATION }) do
      p.server:recv(p.client:inject(space, bytes(1)), p.now, "203.0.113.9:1")
    end
    assert.equal(before, p.server:stats().packets_received)
    p.server:recv(p.client:inject(net.HANDSHAKE, bytes(1)), p.now, "203.0.113.9:1")
    assert.equal(before + 1, p.server:stats().packets_received)
    assert.equal(1, #p.server:paths())
    p:flush()
    for _, datagram in ipairs(p.wire) do assert.not_equal("203.0.113.9:1", datagram.address) end
    assert.is_true(p.sent.down > sent)
    p:handshake()
    before = p.client:stats().packets_received
    p.client:recv(p.server:inject(net.APPLICATION, bytes(1)), p.now, "203.0.113.9:1")
    assert.equal(before, p.client:stats().packets_received)
    p:free()
  end)

  -- The last flight of the client is lost, and a NAT forgets it before it comes again.
  it("may bring the end of the handshake, and the client is asked there and followed", function()
    for _, says in ipairs({ true, false }) do
      local p = net.pair()
      p.drop = function(direction) return direction == "up" and p.client:info().established end
      p:run(function(x) return x.client:info().established end)
      if says then p.client:stream_send(p.client:open(false), "hello", true) end
      p:flush()
      p.drop = nil
      p:rebind("203.0.113.9:1")
      assert.is_true(p:run(function(x) return x.client:info().confirmed end, 5000 * MS))
      p:settle(1000 * MS)
      local _, peer = p.server:addresses()
      assert.equal("203.0.113.9:1", peer)
      assert.is_true(p.server:paths()[1].validated)
      if says then assert.equal("hello", (p.server:stream_recv(p.server:readable_next()))) end
      p:free()
    end
  end)

  it("is read later, but the peer's address stays the one that is proved", function()
    local p = net.pair():handshake()
    p:deliver("up", p.client:inject(net.APPLICATION, bytes(0x0a, 0, 1, "x", 0x1a, "12345678")), "203.0.113.9:1")
    assert.equal(0, p.server:readable_next())
    local _, peer = p.server:addresses()
    assert.equal(net.CLIENT, peer)
    p:settle(100 * MS)
    assert.equal("none", p.server:info().by)
    p:free()
  end)

end)

describe("a stateless reset", function()
  -- covers: rfc9000#10.3.1.2 rfc9000#10.3.1.5 rfc9000#10.3.9
  it("ends the connection without a word, whatever it looks like", function()
    for _, head in ipairs({ "\64" .. ("x"):rep(26), "\64" .. ("x"):rep(4), "\192\0\0\0\1" .. ("x"):rep(26) }) do
      local p = net.pair():handshake()
      local token, has = p.client:active_reset_token()
      assert.is_true(has)
      p.client:recv(head .. token, p.now)
      assert.equal("reset", p.client:info().by)
      assert.is_true(p.client:info().draining)
      assert.is_nil((p.client:send(p.now)))
      p:run(function(x) return x.client:info().closed end, 5000 * MS)
      assert.is_true(p.client:info().closed)
      p:free()
    end
  end)

  it("is what the server's config makes for its connection ID", function()
    local p = net.pair():handshake()
    local token = p.client:active_reset_token()
    local reset = net.quic.stateless_reset(p.server_config, p.scid, 1200)
    assert.equal(token, reset:sub(-16))
    p.client:recv(reset, p.now)
    assert.equal("reset", p.client:info().by)
    p:free()
  end)

  it("with another token, of zeros, or too short, is none", function()
    local p = net.pair():handshake()
    local token, dropped = p.client:active_reset_token(), p.client:stats().packets_dropped
    p.client:recv("\64" .. ("x"):rep(26) .. ("\0"):rep(16), p.now)
    p.client:recv("\64" .. ("x"):rep(26) .. token:sub(1, 15) .. "\0", p.now)
    p.client:recv("\64xxx" .. token, p.now)
    -- A client gives no token with its first connection ID.
    p.server:recv("\64" .. ("x"):rep(26) .. ("\0"):rep(16), p.now)
    assert.same({ "none", dropped + 3 }, { p.client:info().by, p.client:stats().packets_dropped })
    assert.equal("none", p.server:info().by)
    p:free()
  end)
end)
