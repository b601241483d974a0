-- What is over, and what strangers can make of it (RFC 9000 §10.2, §10.3).
local net = require("support.quic_net")

local MS = net.MS

describe("a connection that we closed", function()
  -- What the server sends, in bytes, for so many datagrams of so many bytes with its connection ID, from an address.
  local function answers(count, size, address)
    local p = net.pair():handshake()
    p.server:close(true, 7, ("r"):rep(200))
    p:flush()
    local before, cid = p.bytes.down, p.server:source_ids()[1]
    for _ = 1, count do
      p.server:recv("\64" .. cid .. ("x"):rep(size - 1 - #cid), p.now, address)
      p:flush()
    end
    local sent = p.bytes.down - before
    p:free()
    return sent
  end

  -- covers: rfc9000#10.2.1.5 rfc9000#11.1.2
  it("answers what is not opened any more with at most three times as much", function()
    for _, size in ipairs({ 21, 40, 100, 1200 }) do
      for _, count in ipairs({ 1, 2, 3, 8, 100 }) do
        local sent = answers(count, size)
        assert.is_true(sent <= 3 * count * size, ("%d of %d: %d"):format(count, size, sent))
      end
    end
    assert.is_true(answers(100, 100) > 0)
  end)

  -- covers: rfc9000#10.2.1.1
  it("answers a flood ever more rarely", function()
    assert.is_true(answers(1000, 1200) <= 10 * 300)
  end)

  -- covers: rfc9000#10.2.1.7
  it("answers nobody at another address", function()
    assert.equal(0, answers(100, 1200, "203.0.113.9:1000"))
  end)
end)

describe("a connection that was closed while nothing was sent for long", function()
  it("says so once before it is gone", function()
    local p = net.pair():handshake()
    p.server:close(true, 42, "enough")
    p.now = p.now + 20000 * MS
    p.server:on_timeout(p.now)
    assert.is_false(p.server:info().closed)
    p:flush()
    p:run(function() return p.client:info().draining end, 1000 * MS)
    assert.same({ "peer", 42 }, { p.client:info().by, p.client:info().code })
    p:free()
  end)

  it("does not wait for ever to say so", function()
    local p = net.pair():handshake()
    p.server:close(true, 42, "enough")
    for _ = 1, 2 do
      p.now = p.now + 20000 * MS
      p.server:on_timeout(p.now)
    end
    assert.is_true(p.server:info().closed)
    p:free()
  end)
end)

describe("a silent peer that said it may wait 16 seconds with acknowledgements", function()
  it("holds an idle connection for three probe timeouts, which RFC 9000 §10.1 asks for, and no longer", function()
    local p = net.pair({ client = { max_ack_delay = 16383 }, server = { max_idle_timeout = 1000 } }):handshake()
    p.drop = function() return true end
    local since = p.now
    assert.is_true(p:run(function() return p.server:info().closed end, 120000 * MS))
    local seconds = (p.now - since) / 1000 / MS
    assert.equal("idle", p.server:info().by)
    assert.is_true(seconds > 45 and seconds < 52, seconds)
    p:free()
  end)
end)

describe("a packet that asks for an acknowledgement", function()
  -- covers: rfc9000#13.2.1.5
  it("gets it beside what is said anyway, in one packet", function()
    local p = net.pair():handshake()
    p:settle(1000 * MS)
    local before = p.sent.down
    local id = p.client:open(true)
    p.client:stream_send(id, "ask", true)
    p:run(function(x) return x.server:readable_next() ~= nil end)
    p.server:stream_send(id, "answer", true)
    p:flush()
    assert.equal(before + 1, p.sent.down)
    p:run(function(x) return x.client:readable_next() ~= nil end)
    assert.equal(0, p.client:stats().in_flight)
    p:free()
  end)

  -- covers: rfc9000#13.2.1.3
  it("gets one packet with nothing but that, and what has CE gets it at once", function()
    local p = net.pair():handshake()
    for _, ecn in ipairs({ 0, 2, 3 }) do
      local before = p.sent.down
      p.server:recv(p.client:inject(net.APPLICATION, net.bytes(1)), p.now, nil, ecn)
      p:flush()
      assert.equal(ecn == 3 and before + 1 or before, p.sent.down, "marked " .. ecn)
      p:settle(1000 * MS)
      assert.equal(before + 1, p.sent.down)
    end
    assert.equal(1, p.server:stats().ecn_ce_received)
    p:free()
  end)
end)
