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

  describe("with a source", function()
    local function drawn(steps) return base.random_from_source(SEED, steps) end

    it("gives what its seed gives, until it is seeded again", function()
      local parts, asked = drawn({ { size = 40 }, { size = 60, now = 299 } })
      assert.equal((base.random_bytes(SEED, 100)), table.concat(parts))
      assert.equal(0, asked)
    end)

    it("is seeded again when the process is another one, and what was buffered is gone", function()
      local parts, asked = drawn({ { size = 8 }, { size = 8, generation = 1 }, { size = 8, generation = 1 } })
      assert.equal(1, asked)
      assert.are_not.equal(base.random_bytes(SEED, 16):sub(9), parts[2])
      local other = drawn({ { size = 8 }, { size = 8, generation = 2 } })
      assert.equal(parts[1], other[1])
      assert.are_not.equal(parts[2], other[2])
    end)

    it("keeps processes apart though the source fails", function()
      local first = drawn({ { size = 8 }, { size = 8, generation = 1, fails = 1 } })
      local second = drawn({ { size = 8 }, { size = 8, generation = 2, fails = 1 } })
      local parent = drawn({ { size = 8 }, { size = 8 } })
      assert.are_not.equal(first[2], second[2])
      assert.are_not.equal(first[2], parent[2])
    end)

    it("is seeded again after 64 KiB", function()
      local steps = {}
      for i = 1, 65 do steps[i] = { size = 1024 } end
      local parts, asked = drawn(steps)
      assert.equal(1, asked)
      local unseeded = base.random_bytes(SEED, 65 * 1024)
      assert.equal(unseeded:sub(1, 64 * 1024), table.concat(parts, "", 1, 64))
      assert.are_not.equal(unseeded:sub(64 * 1024 + 1), parts[65])
    end)

    it("is seeded again after five minutes, and when the clock was set back", function()
      local function times(...)
        local steps = {}
        for i, now in ipairs({ ... }) do steps[i] = { size = 8, now = now } end
        return (select(2, drawn(steps)))
      end
      assert.equal(0, times(0, 299))
      assert.equal(1, times(299, 300, 599))
      assert.equal(2, times(300, 600))
      assert.equal(2, times(1000, 10, 309))
    end)
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
