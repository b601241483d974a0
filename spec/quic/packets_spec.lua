local net = require("support.quic_net")

local quic = net.quic

describe("header_info", function()
  it("reads the first packet of a datagram without keys", function()
    local p = net.pair()
    local first = p.client:send(p.now)
    local header, rc = quic.header(first, 8)
    assert.equal(0, rc)
    assert.equal(0, header.type)
    assert.equal(1, header.version)
    assert.equal(8, #header.dcid)
    assert.equal(8, #header.scid)
    assert.equal("", header.token)
    p:free()
  end)

  it("reads a short header with connection IDs of our length", function()
    local header = quic.header("\64abcdefgh" .. ("x"):rep(30), 8)
    assert.equal(5, header.type)
    assert.equal("abcdefgh", header.dcid)
  end)

  it("knows unknown versions by their connection IDs", function()
    local header, rc = quic.header("\192WAIT\2ab\3cde" .. ("x"):rep(1200), 8)
    assert.equal(-6, rc)
    assert.equal("ab", header.dcid)
    assert.equal("cde", header.scid)
    assert.same({ nil, -7 }, { quic.header("\192WAIT\21" .. ("x"):rep(1200), 8) })
  end)

  it("never reads past the end", function()
    local p = net.pair()
    local first = p.client:send(p.now)
    for size = 0, 60 do
      quic.header(first:sub(1, size), 8)
      quic.header(first:sub(1, size), 20)
    end
    assert.same({ nil, -7 }, { quic.header("", 8) })
    p:free()
  end)
end)

describe("negotiate_version", function()
  -- covers: rfc9000#17.2.1.3 rfc9000#17.2.1.4 rfc9000#17.2.1.5
  -- covers: rfc9368#2.1.1 rfc9368#2.1.2 rfc9000#6.3.1 rfc9000#15.1
  it("turns the connection IDs round and lists what we speak beside a reserved version", function()
    local config = net.config({}, 3)
    local answer = quic.negotiate_version(config, "\192WAIT\2ab\3cde" .. ("x"):rep(1200))
    assert.equal("\0\0\0\0\3cde\2ab", answer:sub(2, 12))
    local list = answer:sub(13)
    assert.equal("\0\0\0\1\107\51\67\207", list:sub(5))
    for i = 1, 4 do
      assert.equal(10, list:byte(i) % 16)
    end
    config:free()
  end)

  it("lists those versions alone that the config has", function()
    local config = net.config({}, 3)
    assert.equal(0, config:versions(net.V2))
    local answer = quic.negotiate_version(config, "\192WAIT\2ab\3cde" .. ("x"):rep(1200))
    assert.equal("\107\51\67\207", answer:sub(17))
    config:free()
  end)
end)

describe("stateless_reset", function()
  -- covers: rfc9000#10.3.2.5
  it("has a token of its own for each connection ID, which tells nothing of it", function()
    local config = net.config({}, 3)
    local seen = {}
    for i = 1, 2000 do
      local id = ("%08d"):format(i)
      local token = quic.stateless_reset(config, id, 100):sub(-16)
      assert.is_nil(seen[token])
      seen[token] = true
      assert.is_nil(token:find(id, 1, true))
    end
    config:free()
  end)

  -- covers: rfc9000#10.3.3
  it("is random before its token, but for two bits", function()
    local config = net.config({}, 3)
    local ones, count = {}, 2000
    for _ = 1, count do
      local reset = quic.stateless_reset(config, "12345678", 100)
      for bit = 0, 8 * (#reset - 16) - 1 do
        local byte = reset:byte(math.floor(bit / 8) + 1)
        ones[bit] = (ones[bit] or 0) + math.floor(byte / 2 ^ (7 - bit % 8)) % 2
      end
    end
    assert.same({ 0, count }, { ones[0], ones[1] })
    -- Six standard deviations.
    for bit = 2, #ones do assert.is_true(math.abs(ones[bit] - count / 2) < 3 * math.sqrt(count), bit) end
    config:free()
  end)

  it("is the same for the same secret, and another for another", function()
    local a, b = net.config({}, 3), net.config({}, 4)
    local function token(config) return quic.stateless_reset(config, "12345678", 100):sub(-16) end
    assert.not_equal(token(a), token(b))
    a:secret(("s"):rep(32))
    b:secret(("s"):rep(32))
    assert.equal(token(a), token(b))
    a:free()
    b:free()
  end)
end)
