local units = require("neap.units").streams
local codes = require("streams.codes")

local BUFFER = units.CRYPTO_BUFFER

describe("crypto stream", function()
  it("delivers CRYPTO data in order", function()
    local c = units.crypto_stream()
    assert.equal(0, (c:on_crypto(2, "cd")))
    assert.equal("", c:read())
    assert.equal(0, (c:on_crypto(0, "ab")))
    assert.equal("abcd", c:read())
  end)

  -- covers: rfc9000#7.5.1
  -- covers: rfc9000#7.5.3
  it("buffers up to its bound ahead of what was read, and not one byte more", function()
    local c = units.crypto_stream()
    assert.is_true(BUFFER >= 4096)
    assert.equal(0, (c:on_crypto(BUFFER - 1, "x")))
    assert.equal(codes.CRYPTO_BUFFER_EXCEEDED, (c:on_crypto(BUFFER, "x")))
    assert.equal(0, (c:on_crypto(0, "ab")))
    assert.equal("ab", c:read())
    assert.equal(0, (c:on_crypto(BUFFER + 1, "x")))
    assert.equal(codes.CRYPTO_BUFFER_EXCEEDED, (c:on_crypto(BUFFER + 2, "x")))
  end)

  -- covers: rfc9000#19.6.1
  it("refuses data past 2^62-1", function()
    local c = units.crypto_stream()
    assert.equal(codes.CRYPTO_BUFFER_EXCEEDED, (c:on_crypto("4611686018427387902", "x")))
    assert.equal(codes.FRAME_ENCODING_ERROR, (c:on_crypto("4611686018427387903", "x")))
    assert.equal(0, (c:memory()))
  end)

  it("refuses more gaps than its bound, with bounded memory", function()
    local c, result = units.crypto_stream(), 0
    local count = 0
    while result == 0 do
      count = count + 1
      result = c:on_crypto(count * 2, "x")
    end
    assert.equal(codes.CRYPTO_BUFFER_EXCEEDED, result)
    assert.equal(units.CRYPTO_GAPS + 1, count)
    assert.is_true(c:memory() <= BUFFER)
  end)

  it("stays below 64 KiB and a directory for single bytes all over the buffer", function()
    local c = units.crypto_stream()
    for at = 1023, BUFFER - 1, 1024 do assert.equal(0, (c:on_crypto(at, "x"))) end
    assert.is_true(c:memory() <= BUFFER)
  end)

  it("writes frames that fill the room, and again what was lost", function()
    local c = units.crypto_stream()
    local flight = ("0123456789"):rep(300)
    c:append(flight)
    local got, sizes = {}, {}
    for round = 1, 2 do
      got[round] = ""
      while true do
        local f = c:write(1000)
        if not f then break end
        assert.equal(#got[round], f.offset)
        got[round] = got[round] .. f.data
        sizes[#sizes + 1] = f.size
      end
      c:lose_all()
    end
    assert.equal(flight, got[1])
    assert.equal(flight, got[2])
    assert.is_true(sizes[1] >= 998 and sizes[1] <= 1000)
  end)

  it("writes nothing into a room that holds no byte of data", function()
    local c = units.crypto_stream()
    c:append("abc")
    for room = 0, 3 do assert.is_nil(c:write(room)) end
    assert.equal("a", c:write(4).data)
  end)

  it("says NO_MEMORY when there is none, and the frame may come again", function()
    local c = units.crypto_stream()
    c:fail(1)
    assert.equal(codes.NO_MEMORY, (c:on_crypto(0, "x")))
    assert.equal(0, (c:on_crypto(0, "x")))
  end)
end)
