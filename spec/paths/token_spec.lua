local crypto = require("neap.units").crypto
local units = require("neap.units").paths
local new_dice = require("streams.dice")

local NO_TOKEN, TOO_SHORT = -18, -5
local V4, V6 = "\192\0\2\1", "\32\1\13\184" .. ("\0"):rep(11) .. "\1"
local VERSION, T = 1, 1800000000 -- seconds since 1970

local function new(n) return units.tokens(("%032d"):format(n or 1)) end

local function flipped(bytes, bit)
  local at = math.floor(bit / 8) + 1
  local mask, byte = 2 ^ (bit % 8), bytes:byte(at)
  local changed = math.floor(byte / mask) % 2 == 1 and byte - mask or byte + mask
  return bytes:sub(1, at - 1) .. string.char(changed) .. bytes:sub(at + 1)
end

describe("a Retry token", function()
  it("gives back what was put in, for connection IDs of every size", function()
    local t = new()
    for size = 0, 20 do
      local original, scid = ("o"):rep(size), ("s"):rep(20 - size)
      for _, ip in ipairs({ V4, V6 }) do
        local bytes = t:seal(ip, 4433, original, scid, 0xfaceb00c, T)
        assert.same({ original, scid, 0xfaceb00c, T }, { t:open(bytes, ip, 4433, T) })
      end
    end
  end)

  -- covers: rfc9000#8.1.4.1
  it("differs each time and hides what is in it", function()
    local t = new()
    local a, b = t:seal(V4, 1, "original", "retryscid", VERSION, T), t:seal(V4, 1, "original", "retryscid", VERSION, T)
    assert.is_true(a ~= b)
    assert.is_true(a:sub(1, 12) ~= b:sub(1, 12))
    assert.is_nil(a:find("original", 1, true))
    assert.is_nil(a:find("retryscid", 1, true))
  end)

  -- covers: rfc9000#8.1.4.3
  it("is bound to address and port", function()
    local t = new()
    local bytes = t:seal(V4, 4433, "original", "scid", VERSION, T)
    for _, other in ipairs({ { "\192\0\2\2", 4433 }, { V4, 4434 }, { V6, 4433 },
                             { V4 .. ("\0"):rep(12), 4433 } }) do
      assert.equal(NO_TOKEN, (t:open(bytes, other[1], other[2], T)))
    end
    assert.equal("original", (t:open(bytes, V4, 4433, T)))
  end)

  -- covers: rfc9000#8.1.4.7
  it("lives for its lifetime, by clocks that are not quite one, and not a moment longer", function()
    local t, apart = new(), units.CLOCK_TOLERANCE
    local bytes = t:seal(V4, 1, "original", "scid", VERSION, T)
    assert.equal("original", (t:open(bytes, V4, 1, T + units.RETRY_LIFETIME + apart)))
    assert.equal(NO_TOKEN, (t:open(bytes, V4, 1, T + units.RETRY_LIFETIME + apart + 1)))
    assert.equal("original", (t:open(bytes, V4, 1, T - apart)))
    assert.equal(NO_TOKEN, (t:open(bytes, V4, 1, T - apart - 1)))
    assert.equal(NO_TOKEN, (t:open(bytes, V4, 1, 2 ^ 62)))
  end)

  it("is told from tokens of others by its beginning, whatever its secret", function()
    local bytes = new(1):seal(V4, 1, "original", "scid", VERSION, T)
    assert.is_true(units.is_retry_token(bytes))
    local dice, taken = new_dice(3), 0
    for _ = 1, 20000 do
      local other = {}
      for i = 1, #bytes do other[i] = string.char(dice(256) - 1) end
      if units.is_retry_token(table.concat(other)) then taken = taken + 1 end
    end
    assert.equal(0, taken)
  end)

  -- covers: rfc9000#8.1.4.2
  it("is refused when any bit of it differs", function()
    local t = new()
    local bytes = t:seal(V4, 1, "original", "scid", VERSION, T)
    for bit = 0, #bytes * 8 - 1 do assert.equal(NO_TOKEN, (t:open(flipped(bytes, bit), V4, 1, T))) end
  end)

  it("is refused at every other length, and of another secret", function()
    local t = new()
    local bytes = t:seal(V4, 1, "original", "scid", VERSION, T)
    for size = 0, 1200 do
      if size ~= #bytes then
        local other = size < #bytes and bytes:sub(1, size) or bytes .. ("\0"):rep(size - #bytes)
        assert.equal(NO_TOKEN, (t:open(other, V4, 1, T)))
      end
    end
    assert.equal(NO_TOKEN, (new(2):open(bytes, V4, 1, T)))
    assert.equal("original", (new(1):open(bytes, V4, 1, T)))
  end)

  it("is none in random bytes", function()
    local t, dice = new(), new_dice(1)
    for _ = 1, 5000 do
      local bytes = {}
      for i = 1, dice(120) do bytes[i] = string.char(dice(256) - 1) end
      assert.equal(NO_TOKEN, (t:open(table.concat(bytes), V4, 1, T)))
    end
  end)

  it("says when there is no room for it", function()
    local t = new()
    local size = #t:seal(V4, 1, "original", "scid", VERSION, T)
    assert.equal(TOO_SHORT, (t:seal(V4, 1, "original", "scid", VERSION, T, size - 1)))
    assert.equal(size, #t:seal(V4, 1, "original", "scid", VERSION, T, size))
  end)
end)

describe("the stateless reset token", function()
  -- covers: rfc9000#10.3.2.1
  -- covers: rfc9000#10.3.2.5
  it("is the same for a connection ID under one secret, and differs otherwise", function()
    local t, again, other, seen = new(1), new(1), new(2), {}
    for n = 1, 10000 do
      local cid = ("%08d"):format(n)
      local token = t:reset_token(cid)
      assert.equal(16, #token)
      assert.is_nil(seen[token])
      seen[token] = true
      assert.is_nil(token:find(cid, 1, true))
      if n % 1000 == 0 then
        assert.equal(token, again:reset_token(cid))
        assert.is_true(token ~= other:reset_token(cid))
      end
    end
  end)

  it("is made of another key than Retry tokens, neither being the secret", function()
    local secret = ("%032d"):format(1)
    local seal, reset = new(1):seal_key(), crypto.expand_label(256, secret, "neap reset", "", 32)
    assert.equal(crypto.hmac(256, reset, "of this"):sub(1, 16), new(1):reset_token("of this"))
    assert.equal(16, #seal)
    assert.is_true(seal ~= reset:sub(1, 16))
    for _, key in ipairs({ seal, reset }) do assert.is_nil(secret:find(key, 1, true)) end
    assert.equal(seal, new(1):seal_key())
    assert.is_true(seal ~= new(2):seal_key())
  end)
end)
