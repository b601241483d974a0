local net = require("support.quic_net")

local quic, MS = net.quic, net.MS

--- A client whose first datagram waits to be answered.
local function client()
  local p = net.pair()
  p.first = p.client:send(p.now)
  p.header = quic.header(p.first, 8)
  return p
end

local function retry(p, scid)
  return assert(quic.retry(p.server_config, p.first, scid or "retryscid", net.CLIENT))
end

describe("a Retry", function()
  -- covers: rfc9000#17.2.5.1.3 rfc9000#8.1.2.1 rfc9000#17.2.5.3.1 rfc9000#17.2.5.3.4 rfc9000#17.2.5.2.5
  it("makes the client begin again with token, new destination and the same numbers and words", function()
    local p = client()
    p.client:recv(retry(p), p.now)
    local second = p.client:send(p.now)
    local header = quic.header(second, 8)
    assert.equal(0, header.type)
    assert.equal("retryscid", header.dcid)
    assert.equal(p.header.scid, header.scid)
    assert.is_true(#header.token > 16)
    assert.is_true(#second >= 1200)
    local original = assert(quic.validate_token(p.server_config, second, net.CLIENT))
    assert.equal(p.header.dcid, original)
    p.server = quic.accept(p.server_config, second, "retryscid", original, net.SERVER, net.CLIENT, p.now)
    assert.is_true(p.server:info().validated)
    p.server:recv(second, p.now)
    p:handshake()
    local _, _, first_dcid = p.server:ids()
    assert.equal(p.header.dcid, first_dcid)
    p:free()
  end)

  it("that the server forgets about ends in TRANSPORT_PARAMETER_ERROR", function()
    local p = client()
    p.client:recv(retry(p), p.now)
    local second = p.client:send(p.now)
    -- Accepted as if there had been no Retry: its parameters do not speak of one.
    p.server = quic.accept(p.server_config, second, "otherscid", nil, net.SERVER, net.CLIENT, p.now)
    p:deliver("up", second)
    p:run(function(x) return x.client:info().by ~= "none" end, 1000 * MS)
    assert.equal(8, p.client:info().code)
    p:free()
  end)

  -- covers: rfc9000#17.2.5.2.1 rfc9000#17.2.5.2.2
  it("is taken once", function()
    local p = client()
    p.client:recv(retry(p), p.now)
    p.client:recv(retry(p, "othername"), p.now)
    assert.equal("retryscid", quic.header(p.client:send(p.now), 8).dcid)
    p:free()
  end)

  it("is ignored after another packet of the server's", function()
    local p = client()
    local answer = retry(p)
    p.server = quic.accept(p.server_config, p.first, "serverid", nil, net.SERVER, net.CLIENT, p.now)
    p.server:recv(p.first, p.now)
    p.client:recv(p.server:send(p.now), p.now)
    p.client:recv(answer, p.now)
    local _, destination = p.client:ids()
    assert.equal("serverid", destination)
    p:free()
  end)

  -- covers: rfc9000#17.2.5.2.3 rfc9000#17.2.5.2.4 rfc9000#17.2.5.1.2
  it("that was changed anywhere is ignored", function()
    local p = client()
    local good = retry(p)
    for at = 1, #good do
      local bad = good:sub(1, at - 1) .. string.char((good:byte(at) + 16) % 256) .. good:sub(at + 1)
      p.client:recv(bad, p.now)
      p.client:recv(good:sub(1, at - 1), p.now)
      local _, destination = p.client:ids()
      assert.equal(p.header.dcid, destination, "byte " .. at)
    end
    assert.equal("none", p.client:info().by)
    assert.is_true(p.client:stats().packets_dropped >= #good)
    p.client:recv(good, p.now)
    local _, destination = p.client:ids()
    assert.equal("retryscid", destination)
    p:free()
  end)

  it("that gives back the client's own choice is ignored", function()
    local p = client()
    p.client:recv(retry(p, p.header.dcid), p.now)
    assert.is_nil((p.client:send(p.now)))
    p:free()
  end)
end)

describe("an address validation token", function()
  it("is good for the address, version, time and connection ID it was made for, and nothing else", function()
    local p = client()
    p.client:recv(retry(p), p.now)
    local second = p.client:send(p.now)
    local function check(config, initial, peer) return quic.validate_token(config, initial, peer) ~= nil end
    assert.is_true(check(p.server_config, second, net.CLIENT))
    assert.is_false(check(p.server_config, second, "198.51.100.8:50000"))
    assert.is_false(check(p.server_config, second, "198.51.100.7:50001"))
    assert.is_false(check(p.client_config, second, net.CLIENT))
    -- Another destination than the Retry gave: bytes 7 to 15 of the header.
    local moved = second:sub(1, 6) .. "RETRYSCID" .. second:sub(16)
    assert.equal("RETRYSCID", quic.header(moved, 8).dcid)
    assert.is_false(check(p.server_config, moved, net.CLIENT))
    p.server_config:clock(1800000009)
    assert.is_true(check(p.server_config, second, net.CLIENT))
    p.server_config:clock(1800000020)
    assert.is_false(check(p.server_config, second, net.CLIENT))
    p:free()
  end)

  it("of any length or content that is not ours is refused", function()
    local p = client()
    local random = net.random(5)
    for length = 0, 1100 do
      local token = {}
      for i = 1, length do
        token[i] = string.char(math.floor(random() * 256))
      end
      local head = p.first:sub(1, 7 + #p.header.dcid + #p.header.scid)
      local initial = net.bytes(head, length, table.concat(token), 20, ("x"):rep(20))
      assert.is_nil((quic.validate_token(p.server_config, initial, net.CLIENT)))
    end
    p:free()
  end)

  it("is shared between processes with the same static secret", function()
    local p = client()
    local other = net.config({}, 77, true)
    other:secret(("s"):rep(32))
    p.server_config:secret(("s"):rep(32))
    p.client:recv(retry(p), p.now)
    local second = p.client:send(p.now)
    -- Their clocks are their own: a little before, and a little behind.
    for _, clock in ipairs({ 1800000000, 1799999996, 1800000014 }) do
      other:clock(clock)
      assert.equal(p.header.dcid, (quic.validate_token(other, second, net.CLIENT)))
    end
    for _, clock in ipairs({ 1799999994, 1800000016 }) do
      other:clock(clock)
      assert.is_nil((quic.validate_token(other, second, net.CLIENT)))
    end
    other:free()
    p:free()
  end)
end)

describe("version negotiation", function()
  local function packet(p, versions, dcid, scid)
    return net.bytes("\192\0\0\0\0", #(dcid or p.header.scid), dcid or p.header.scid, #(scid or p.header.dcid),
      scid or p.header.dcid, versions)
  end

  -- covers: rfc9000#6.2.1
  it("without our version ends the attempt", function()
    local p = client()
    p.client:recv(packet(p, "\26\42\58\74\0\0\0\2"), p.now)
    assert.equal("version", p.client:info().by)
    assert.is_true(p.client:info().closed)
    p:free()
  end)

  -- covers: rfc9000#6.2.2 rfc9000#6.2.3
  it("is ignored when it lists our version, has other connection IDs, is cut or comes late", function()
    local p = client()
    p.client:recv(packet(p, "\0\0\0\1"), p.now)
    p.client:recv(packet(p, "\26\42\58\74\0\0\0\1"), p.now)
    p.client:recv(packet(p, "\26\42\58\74", "12345678"), p.now)
    p.client:recv(packet(p, "\26\42\58\74", nil, "12345678"), p.now)
    p.client:recv(packet(p, "\26\42\58"), p.now)
    p.client:recv(packet(p, ""), p.now)
    assert.same({ "none", 6 }, { p.client:info().by, p.client:stats().packets_dropped })
    p.server = quic.accept(p.server_config, p.first, "serverid", nil, net.SERVER, net.CLIENT, p.now)
    p.server:recv(p.first, p.now)
    p.client:recv(p.server:send(p.now), p.now)
    p.client:recv(packet(p, "\26\42\58\74"), p.now)
    assert.equal("none", p.client:info().by)
    p:handshake()
    p:free()
  end)

  it("sent to a server is ignored", function()
    local p = net.pair():handshake()
    local dropped = p.server:stats().packets_dropped
    p.server:recv(net.bytes("\192\0\0\0\0", 8, p.scid, 8, "12345678", "\26\42\58\74"), p.now)
    assert.same({ "none", dropped + 1 }, { p.server:info().by, p.server:stats().packets_dropped })
    p:free()
  end)
end)

describe("a forged Initial", function()
  -- covers: rfc9000#7.2.3 rfc9000#17.2.2.1
  it("of another source, or with a token to a client, changes nothing", function()
    local p = client()
    p.server = quic.accept(p.server_config, p.first, "serverid", nil, net.SERVER, net.CLIENT, p.now)
    p.server:recv(p.first, p.now)
    p.client:recv(p.server:send(p.now), p.now)
    -- A second server with the same keys, as someone who saw the first Initial can make them.
    local forger = quic.accept(p.server_config, p.first, "evilevil", nil, net.SERVER, net.CLIENT, p.now)
    forger:recv(p.first, p.now)
    p.client:recv(forger:inject(net.INITIAL, net.bytes(0x1c, 1, 0, 0), { number = 50 }), p.now)
    assert.equal("none", p.client:info().by)
    local _, destination = p.client:ids()
    assert.equal("serverid", destination)
    forger:free()
    p:handshake()
    p:free()
  end)
end)
