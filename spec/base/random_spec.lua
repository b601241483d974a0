local base = require("neap.units").base
local helper = require("spec.helper")

local SEED = ("s"):rep(32)

describe("chacha20_block", function()
  it("gives the block of RFC 8439 §2.3.2", function()
    local key = helper.unhex("000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f")
    local nonce = helper.unhex("000000090000004a00000000")
    assert.equal(
      "10f1e7e4d13b5915500fdd1fa32071c4c7d1f4c733c068030422aa9ac3d46c4e"
        .. "d2826446079faa0914c2d705d98b02a2b5129cd1de164eb9cbd083e8a2503c4e",
      helper.hex(base.chacha20_block(key, 1, nonce))
    )
  end)
end)

describe("random generator", function()
  it("gives the same bytes for the same seed, however they are asked for", function()
    local whole = base.random_bytes(SEED, 200)
    local parts = { base.random_bytes(SEED, 1, 0, 31, 33, 64, 71) }
    assert.equal(whole, table.concat(parts))
    assert.are_not.equal(whole, (base.random_bytes(("t"):rep(32), 200)))
  end)

  it("does not repeat its blocks or show its keys", function()
    local bytes, seen = base.random_bytes(SEED, 32 * 256), {}
    for i = 1, #bytes, 32 do
      local block = bytes:sub(i, i + 31)
      assert.is_nil(seen[block])
      seen[block] = true
    end
    -- The first half of each cipher block is the next key and never output.
    local first = base.chacha20_block(SEED, 0, ("\0"):rep(12))
    assert.equal(first:sub(33), bytes:sub(1, 32))
    assert.is_nil(bytes:find(first:sub(1, 32), 1, true))
  end)

  it("spreads numbers evenly below a bound", function()
    local counts = {}
    for _, value in ipairs(base.random_below(SEED, 6, 6000)) do
      counts[value] = (counts[value] or 0) + 1
    end
    for value = 0, 5 do assert.is_true(counts[value] > 850 and counts[value] < 1150) end
    assert.same({ 0, 0, 0 }, base.random_below(SEED, 1, 3))
  end)
end)

describe("equal_constant_time", function()
  it("sees every difference", function()
    local bytes = base.random_bytes(SEED, 40)
    assert.is_true(base.equal_constant_time(bytes, bytes))
    assert.is_true(base.equal_constant_time("", ""))
    for i = 1, 40 do
      for bit = 0, 7 do
        local flipped = (bytes:byte(i) + 2 ^ bit) % 256
        local other = bytes:sub(1, i - 1) .. string.char(flipped) .. bytes:sub(i + 1)
        assert.is_false(base.equal_constant_time(bytes, other))
      end
    end
  end)
end)

describe("wipe", function()
  it("overwrites as much as it was told", function()
    assert.equal(("\0"):rep(5) .. ("\170"):rep(11), base.wipe(5))
    assert.equal(("\170"):rep(16), base.wipe(0))
  end)
end)
