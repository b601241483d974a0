local net = require("support.quic_net")
local wire = require("neap.units").wire

local MS = net.MS
local bytes = net.bytes

--- How many datagrams a closing side sends for `count` packets that come.
local function answers(p, side, count)
  local other = side == "server" and "client" or "server"
  local sent = 0
  for _ = 1, count do
    p[side]:recv(p[other]:inject(net.APPLICATION, bytes(1)), p.now)
    if p[side]:send(p.now) then sent = sent + 1 end
  end
  return sent
end

describe("closing", function()
  it("tells the peer code, kind and reason", function()
    for _, is_application in ipairs({ true, false }) do
      local p = net.pair():handshake()
      assert.equal(0, p.client:close(is_application, 77, "so long"))
      assert.equal(-4, p.client:close(true, 1, "again"))
      p:settle(100 * MS)
      local info = p.server:info()
      assert.equal("peer", info.by)
      assert.equal(77, info.code)
      assert.equal(is_application, info.close_is_application)
      assert.equal("so long", info.reason)
      p:free()
    end
  end)

  it("cuts a long reason", function()
    local p = net.pair():handshake()
    p.client:close(true, 1, ("r"):rep(5000))
    p:settle(100 * MS)
    assert.equal(("r"):rep(256), p.server:info().reason)
    p:free()
  end)

  it("ends all streams", function()
    local p = net.pair():handshake()
    local id = p.client:open(true)
    p.client:stream_send(id, "x", false)
    p.client:close(true, 0)
    assert.same({ nil, -4 }, { p.client:open(true) })
    assert.same({ nil, -4 }, { p.client:stream_send(id, "x", false) })
    assert.same({ nil, -4 }, { p.client:stream_recv(id) })
    assert.is_nil((p.client:readable_next()))
    p:free()
  end)

  it("answers ever fewer of the packets that still come", function()
    local p = net.pair():handshake()
    p.server:close(true, 0)
    assert.is_truthy((p.server:send(p.now)))
    assert.is_nil((p.server:send(p.now)))
    assert.equal(7, answers(p, "server", 100))
    p:free()
  end)

  it("is over after three probe timeouts", function()
    local p = net.pair():handshake()
    p.server:close(true, 0)
    p:settle(100 * MS)
    assert.is_true(p.server:info().draining)
    assert.is_true(p.client:info().draining)
    p:run(function(x) return x.server:info().closed and x.client:info().closed end, 2000 * MS)
    assert.is_true(p.server:info().closed)
    assert.is_true(p.client:info().closed)
    assert.is_nil((p.server:timeout()))
    assert.equal(-4, p.server:recv("x", p.now))
    p:free()
  end)

  -- covers: rfc9000#10.2.2.1 rfc9000#10.2.2.3
  it("by the peer makes a side silent", function()
    local p = net.pair():handshake()
    p:inject("client", net.APPLICATION, bytes(0x1d, 1, 0))
    assert.is_nil((p.server:send(p.now)))
    assert.equal(0, answers(p, "server", 20))
    p:free()
  end)

  -- covers: rfc9000#10.2.3.1 rfc9000#10.2.3.6 rfc9000#10.2.3.7
  it("of an application in a handshake hides its code, and reaches a peer that has Initial keys only", function()
    local p = net.pair()
    p:run(function(x) return x.server ~= nil end)
    p.wire = {}
    p.server:close(true, 1234, "secret")
    p:settle(100 * MS)
    local info = p.client:info()
    assert.equal("peer", info.by)
    assert.is_false(info.close_is_application)
    assert.equal(0x0c, info.code)
    assert.equal("", info.reason)
    p:free()
  end)

  -- covers: rfc9000#10.2.3.3 rfc9000#10.2.3.4 rfc9000#10.2.3.5
  it("before the handshake is confirmed is said at every level, since the peer may lack keys of any", function()
    local p = net.pair()
    p:run(function(x) return x.client:info().established end)
    for _, side in ipairs({ "server", "client" }) do
      p[side]:close(true, 7)
      local datagram, types = assert(p[side]:send(p.now)), {}
      while #datagram > 0 do
        local header = wire.parse_header(datagram, 8)
        types[#types + 1] = header.type
        datagram = datagram:sub(header.size + 1)
      end
      assert.same({ "initial", "handshake", "short" }, types)
    end
    p:free()
  end)

  it("of a client before anything came still says so", function()
    local p = net.pair()
    p.client:close(true, 0)
    local datagram = p.client:send(p.now)
    assert.is_true(#datagram >= 1200)
    p:free()
  end)

  it("at the highest code that the wire can carry works, above it not", function()
    local p = net.pair():handshake()
    assert.equal(-3, p.client:close(true, 2 ^ 62))
    assert.equal(0, p.client:close(true, 2 ^ 53))
    p:settle(100 * MS)
    assert.equal(2 ^ 53, p.server:info().code)
    p:free()
  end)
end)

describe("a connection that is over", function()
  -- covers: rfc9000#10.2.1
  it("is not kept for as long as the peer says that it may wait with acknowledgements", function()
    for _, side in ipairs { "client", "server" } do
      local p = net.pair({ client = { max_ack_delay = 16383 } }):handshake()
      p[side]:close(false, 0, "")
      local last_word = p[side]:send(p.now)
      p:deliver(side == "client" and "up" or "down", last_word)
      local start = p.now
      while not p.server:info().closed do
        p.now = math.max(p.now, p.server:timeout())
        p.server:on_timeout(p.now)
        p.server:burst(p.now)
      end
      assert.is_true(p.now - start > 50 * MS and p.now - start < 4000 * MS, (p.now - start) / MS)
      p:free()
    end
  end)
end)

describe("a connection", function()
  it("is small, and idle costs at most 5 KiB beside its config", function()
    assert.is_true(net.quic.sizes().conn <= 3072)
    local p = net.pair():handshake()
    assert(p:transfer("client", ("x"):rep(300000)))
    assert(p:transfer("server", ("x"):rep(300000)))
    p:settle(5000 * MS)
    local with = p.server_config:memory().used
    p.server:free()
    p.server = nil
    local without = p.server_config:memory().used
    assert.is_true(with - without <= 5120, with - without)
    p:free()
  end)

  it("gives memory back to the last byte, closed or not, at any moment", function()
    for steps = 0, 40 do
      local p = net.pair({ seed = steps })
      local count = 0
      p:run(function()
        count = count + 1
        return count > steps
      end, 1000 * MS)
      p:free() -- says what is left
    end
  end)
end)

describe("a tracer", function()
  it("sees what happens, and nothing once it is taken away", function()
    local p = net.pair({ drop = function(direction, index) return direction == "up" and index == 6 end })
    p.client:trace()
    p:handshake()
    assert(p:transfer("client", ("x"):rep(50000)))
    p:inject("server", net.APPLICATION, "\1")
    p.client:recv("\64nonsense that is long enough to be tried", p.now)
    p:settle(300 * MS)
    assert.is_true(p.client:update_keys())
    assert(p:transfer("client", "x"))
    p.client:close(true, 3, "enough")
    p:settle(100 * MS)
    local seen, stats = p.client:traced(), p.client:stats()
    assert.equal(stats.packets_sent, seen.sent)
    assert.equal(stats.packets_received, seen.received)
    assert.equal(stats.packets_dropped, seen.dropped)
    assert.is_true(seen.dropped > 0)
    assert.equal(1, seen.lost)
    assert.is_true(seen.metrics > 10)
    assert.equal(2, seen.keys_discarded)
    assert.equal(1, seen.keys_updated)
    assert.equal(2, seen.state)
    assert.equal(1, seen.closed)
    assert.equal(3, seen.code)
    assert.equal("enough", seen.why)
    p:free()
  end)
end)
