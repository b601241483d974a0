local crypto = require("neap.units").crypto
local units = require("neap.units").paths_tokens
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

  it("is made of another key than tokens that prove addresses, neither being the secret", function()
    local secret = ("%032d"):format(1)
    local function seal_of(n)
      local t = new(n)
      t:seal(V4, 1, "original", "scid", VERSION, T)
      t:seal_frame(V4, VERSION, T, 3600)
      local epoch = math.floor(T / 3600)
      return t:key_of(0, epoch), t:key_of(1, epoch)
    end
    local retry, frame = seal_of(1)
    local reset = crypto.expand_label(256, secret, "neap reset", "", 32)
    assert.equal(crypto.hmac(256, reset, "of this"):sub(1, 16), new(1):reset_token("of this"))
    assert.same({ 16, 16 }, { #retry, #frame })
    assert.is_true(retry ~= reset:sub(1, 16) and retry ~= frame and frame ~= reset:sub(1, 16))
    for _, key in ipairs({ retry, frame, reset }) do assert.is_nil(secret:find(key, 1, true)) end
    assert.same({ retry, frame }, { seal_of(1) })
    assert.is_true(retry ~= (seal_of(2)))
  end)

  -- covers: rfc9000#21.11.2
  it("is another one for each server that a connection ID may lead to, and without any", function()
    local t, seen = new(1), {}
    for _, id in ipairs { "", "a", "b", "ab", "a\0", "0123456789abcde" } do
      local token = t:reset_token("an ID", id)
      assert.is_nil(seen[token])
      seen[token] = true
    end
    assert.equal(t:reset_token("an ID"), t:reset_token("an ID", ""))
    assert.are_not.equal(t:reset_token("an ID", "a"), t:reset_token("an IDa"))
  end)
end)

describe("the token of a NEW_TOKEN frame", function()
  local DAY = 86400

  -- covers: rfc9000#8.1.4.4 rfc9000#8.1.1.1
  it("is bound to the IP address and the version, not to the port, and is told from one of a Retry", function()
    local t = new()
    local bytes = t:seal_frame(V4, VERSION, T, DAY)
    assert.equal(units.FRAME_SIZE, #bytes)
    assert.equal(T + DAY + units.CLOCK_TOLERANCE, t:open_frame(bytes, V4, VERSION, T, DAY))
    assert.equal(NO_TOKEN, t:open_frame(bytes, "\192\0\2\2", VERSION, T, DAY))
    assert.equal(NO_TOKEN, t:open_frame(bytes, V6, VERSION, T, DAY))
    assert.equal(NO_TOKEN, t:open_frame(bytes, V4, 0x6b3343cf, T, DAY))
    assert.same({ false, true }, { units.is_retry_token(bytes), units.is_frame_token(bytes) })
    local retry = t:seal(V4, 1, "original", "scid", VERSION, T)
    assert.same({ true, false }, { units.is_retry_token(retry), units.is_frame_token(retry) })
    assert.equal(NO_TOKEN, t:open_frame(retry, V4, VERSION, T, DAY))
    assert.equal(NO_TOKEN, (t:open(bytes, V4, 1, T)))
  end)

  -- covers: rfc9000#8.1.3.5 rfc9000#8.1.4.8
  it("lives for the lifetime, over the change of its keys, and not longer", function()
    local t, apart = new(), units.CLOCK_TOLERANCE
    for _, lifetime in ipairs { 60, 3600, DAY } do
      for _, offset in ipairs { 0, 1, 30, 59 } do
        local at = T + offset
        local bytes = t:seal_frame(V4, VERSION, at, lifetime)
        for _, age in ipairs { 0, 1, lifetime / 2, lifetime - apart - 1 } do
          assert.is_true(t:open_frame(bytes, V4, VERSION, at + age, lifetime) > 0)
        end
        for _, age in ipairs { lifetime + apart + 1, 2 * lifetime, 3 * lifetime } do
          assert.equal(NO_TOKEN, t:open_frame(bytes, V4, VERSION, at + age, lifetime))
        end
        assert.is_true(t:open_frame(bytes, V4, VERSION, at - apart, lifetime) > 0)
        assert.equal(NO_TOKEN, t:open_frame(bytes, V4, VERSION, at - apart - 1, lifetime))
      end
    end
  end)

  it("has another key in each epoch", function()
    local t = new()
    t:seal_frame(V4, VERSION, 10 * DAY, DAY)
    local key = t:key_of(1, 10)
    t:seal_frame(V4, VERSION, 11 * DAY, DAY)
    assert.is_nil(t:key_of(1, 10))
    assert.are_not.equal(key, t:key_of(1, 11))
  end)

  -- covers: rfc9000#8.1.3.6 rfc9000#8.1.3.7
  it("is another one each time, and tells nothing that all others of its time do not", function()
    local t, seen = new(), {}
    local first = t:seal_frame(V4, VERSION, T, DAY)
    for n = 1, 1000 do
      local bytes = t:seal_frame(n % 2 == 0 and V4 or V6, VERSION, T, DAY)
      assert.is_nil(seen[bytes:sub(10)])
      seen[bytes:sub(10)] = true
      assert.equal(first:sub(1, 9), bytes:sub(1, 9)) -- the mark, the secret's name, the epoch
    end
  end)

  it("is neither made nor taken while nobody knows what time it is, or with no lifetime", function()
    local t = new()
    assert.is_true(t:seal_frame(V4, VERSION, -1, DAY) < 0)
    assert.is_true(t:seal_frame(V4, VERSION, T, 0) < 0)
    local bytes = t:seal_frame(V4, VERSION, T, DAY)
    assert.equal(NO_TOKEN, t:open_frame(bytes, V4, VERSION, -1, DAY))
    assert.equal(NO_TOKEN, t:open_frame(bytes, V4, VERSION, T, 0))
  end)

  -- covers: rfc9000#8.1.4.2
  it("is refused when any bit of it differs, and at every other length", function()
    local t = new()
    local bytes = t:seal_frame(V4, VERSION, T, DAY)
    for bit = 0, #bytes * 8 - 1 do
      assert.equal(NO_TOKEN, t:open_frame(flipped(bytes, bit), V4, VERSION, T, DAY))
    end
    for size = 0, 600 do
      if size ~= #bytes then
        local other = size < #bytes and bytes:sub(1, size) or bytes .. ("\0"):rep(size - #bytes)
        assert.equal(NO_TOKEN, t:open_frame(other, V4, VERSION, T, DAY))
      end
    end
  end)

  it("is opened by each of several secrets, and sealed by the first: so they change", function()
    local old, new_one, other = ("o"):rep(32), ("n"):rep(32), ("x"):rep(32)
    local a, b = new(1), new(2)
    a:set { old }
    b:set { new_one, old }
    local of_old, of_new = a:seal_frame(V4, VERSION, T, DAY), b:seal_frame(V4, VERSION, T, DAY)
    assert.is_true(b:open_frame(of_old, V4, VERSION, T, DAY) > 0)
    assert.equal(NO_TOKEN, a:open_frame(of_new, V4, VERSION, T, DAY))
    a:set { old, new_one }
    assert.is_true(a:open_frame(of_new, V4, VERSION, T, DAY) > 0)
    assert.equal("original", (a:open(b:seal(V4, 1, "original", "scid", VERSION, T), V4, 1, T)))
    a:set { other }
    for _, bytes in ipairs { of_old, of_new } do assert.equal(NO_TOKEN, a:open_frame(bytes, V4, VERSION, T, DAY)) end
  end)
end)

describe("the register of used tokens", function()
  local function id(n) return crypto.hmac(256, "k", tostring(n)) end

  -- covers: rfc9000#8.1.4.6 rfc9000#8.1.4.9
  it("takes each once while it counts", function()
    local used = units.used_tokens(4096)
    for n = 1, 1000 do assert.is_true((used:note(id(n), T + 10, T))) end
    for n = 1, 1000 do assert.is_false((used:note(id(n), T + 10, T))) end
    for n = 1, 1000 do assert.is_true((used:note(id(n), T + 30, T + 10))) end
  end)

  it("refuses what finds no room, and overwrites nothing that counts", function()
    local used, taken = units.used_tokens(units.ROW), 0
    for n = 1, 100 do
      if (used:note(id(n), T + 10, T)) then taken = taken + 1 end
    end
    assert.equal(units.ROW, taken)
    for n = 1, units.ROW do assert.is_false((used:note(id(n), T + 10, T))) end
    assert.is_true((used:note(id(200), T + 30, T + 10)))
  end)

  it("never grows, and is refused without memory", function()
    local used = units.used_tokens(5000)
    for n = 1, 20 do assert.equal(4096, select(2, used:note(id(n), T + 10, T))) end
    local poor = units.used_tokens(4096, 4096)
    assert.is_false((poor:note(id(1), T + 10, T)))
  end)
end)
