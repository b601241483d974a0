local units = require("neap.units").paths

local function data(n) return ("%08d"):format(n) end

describe("an address that is not proved", function()
  -- covers: rfc9000#8.1
  -- covers: rfc9000#8.1.2
  -- covers: rfc9000#8.1.3
  it("gets three times what came from it, to the byte", function()
    local p = units.path(false)
    assert.equal(0, p:budget())
    p:on_udp_datagram(1200)
    assert.equal(3600, p:budget())
    p:on_sent(1200)
    p:on_sent(2399)
    assert.equal(1, p:budget())
    p:on_sent(1)
    assert.equal(0, p:budget())
    p:on_udp_datagram(1)
    assert.equal(3, p:budget())
  end)

  it("gets nothing when more went out than was allowed", function()
    local p = units.path(false)
    p:on_udp_datagram(10)
    p:on_sent(31)
    assert.equal(0, p:budget())
    p:on_udp_datagram(1)
    assert.equal(2, p:budget())
  end)

  it("has no bound once it is proved", function()
    local p = units.path(false)
    p:validate()
    assert.equal(2 ^ 64, p:budget())
    p:on_sent(1e9)
    assert.equal(2 ^ 64, p:budget())
    assert.equal(2 ^ 64, units.path(true):budget())
  end)
end)

describe("PATH_CHALLENGE", function()
  -- covers: rfc9000#19.17.1
  it("is answered once with its data, in order", function()
    local p = units.path(true)
    assert.is_nil(p:next_response())
    p:on_challenge(data(1))
    p:on_challenge(data(2))
    assert.same({ data(1), data(2) }, { p:next_response(), p:next_response() })
    assert.is_nil(p:next_response())
  end)

  it("in a flood leaves the newest, and no more than the bound", function()
    local p = units.path(true)
    local count = 100000
    for n = 1, count do p:on_challenge(data(n)) end
    for n = count - units.PATH_RESPONSES + 1, count do assert.equal(data(n), p:next_response()) end
    assert.is_nil(p:next_response())
  end)
end)

describe("our own validation of a path", function()
  local INTERVAL = 1e9
  local p
  before_each(function() p = units.path(false) end)

  it("asks once, and again after an interval that doubles", function()
    p:begin()
    assert.is_true((p:asks()))
    local at = 0
    for n = 0, 3 do
      p:challenged(data(n), false, INTERVAL, at)
      assert.same({ false, at + INTERVAL * 2 ^ n }, { p:asks() })
      at = at + INTERVAL * 2 ^ n
      p:ask_again()
      assert.is_true((p:asks()))
    end
  end)

  -- covers: rfc9000#8.2.2.4
  it("takes the answer to any of the last challenges, and no other", function()
    p:begin()
    for n = 1, units.PATH_CHALLENGES + 1 do p:challenged(data(n), false, INTERVAL, 0) end
    assert.is_false(p:on_response(data(0)))
    assert.is_false(p:on_response(data(1))) -- too old
    assert.equal(0, p:budget())
    assert.is_true(p:on_response(data(2)))
    assert.equal(2 ^ 64, p:budget())
    assert.is_false(p:on_response(data(3)))
    assert.same({ false }, { p:asks() })
  end)

  it("that was small begins again, for the size", function()
    p:begin()
    p:challenged(data(1), true, INTERVAL, 0)
    assert.is_true(p:on_response(data(1)))
    assert.is_true((p:asks()))
    p:challenged(data(2), false, INTERVAL, 0)
    assert.is_true(p:on_response(data(2)))
    assert.is_false((p:asks()))
  end)

  it("is over when it is abandoned", function()
    p:begin()
    p:challenged(data(1), false, INTERVAL, 0)
    p:abandon()
    assert.same({ false }, { p:asks() })
    assert.is_false(p:on_response(data(1)))
  end)
end)
