local units = require("neap.units").streams
local codes = require("streams.codes")
local new_dice = require("streams.dice")

local GAPS = units.STREAM_GAPS

--- Bytes that differ from their neighbours at every distance that matters here.
local function pattern(size)
  local bytes = {}
  for i = 1, size do bytes[i] = string.char((i * 131 + math.floor(i / 251) * 17) % 256) end
  return table.concat(bytes)
end

describe("reassembly", function()
  -- covers: rfc9000#2.2.1
  it("delivers bytes in order whatever order they came in", function()
    local r = units.reassembly()
    assert.equal(0, r:insert(3, "def"))
    assert.equal("", r:read())
    assert.equal(0, r:insert(0, "abc"))
    assert.equal("abcdef", r:read())
    assert.equal(0, r:insert(6, "g"))
    assert.equal("g", r:read())
  end)

  it("keeps the first copy of a byte", function()
    local r = units.reassembly()
    r:insert(2, "cd")
    r:insert(0, "ABXYEF")
    assert.equal("ABcdEF", r:read())
    assert.equal(0, r:insert(0, "late"))
    assert.equal("", r:read())
  end)

  it("takes a frame whose front was read", function()
    local r = units.reassembly()
    r:insert(0, "abc")
    assert.equal("ab", r:read(2))
    r:insert(0, "ABCdef")
    assert.equal("cdef", r:read())
  end)

  it("holds no memory when all was read", function()
    local r = units.reassembly()
    for at = 0, 100000, 1000 do
      r:insert(at, pattern(1000))
      r:read()
      assert.equal(0, (r:memory()))
    end
  end)

  it("equals a plain byte array under random overlaps and orders", function()
    for seed = 1, 60 do
      local dice = new_dice(seed)
      local size = dice(3) == 1 and dice(200) or dice(30000)
      local bytes = pattern(size)
      local r, got = units.reassembly(1e6), {}
      local covered, read = {}, 0
      local largest = dice(2) == 1 and 40 or 3000
      local left = size
      while left > 0 do
        local from = dice(size) - 1
        local to = math.min(size, from + dice(largest))
        -- Towards the end the holes are aimed at.
        if left < size / 10 then
          from = 0
          while covered[from] do from = from + 1 end
          to = math.min(size, from + dice(largest))
          from = math.max(0, from - dice(20))
        end
        assert.equal(0, r:insert(from, bytes:sub(from + 1, to)))
        for i = from, to - 1 do
          if not covered[i] then covered[i], left = true, left - 1 end
        end
        local ready = read
        while covered[ready] do ready = ready + 1 end
        local _, told = r:state()
        assert.equal(ready - read, told, "seed " .. seed)
        if dice(4) == 1 then
          local part = r:read(dice(5000))
          got[#got + 1] = part
          read = read + #part
        end
      end
      got[#got + 1] = r:read()
      assert.is_true(table.concat(got) == bytes, "seed " .. seed)
      assert.equal(0, (r:memory()), "seed " .. seed)
    end
  end)

  it("bounds the gaps and changes nothing at the bound", function()
    local r = units.reassembly()
    for i = 1, GAPS do assert.equal(0, r:insert(i * 2, "x")) end
    assert.equal(codes.LIMIT, r:insert(GAPS * 2 + 2, "x"))
    local _, _, ranges = r:state()
    assert.equal(GAPS, ranges)
    -- What fills a gap, and what goes on at an end, still comes in.
    assert.equal(0, r:insert(3, "y"))
    assert.equal(0, r:insert(0, "zz"))
    assert.equal("zzxyx", r:read())
  end)

  it("takes what can be read next also at the bound, though it touches nothing", function()
    local r = units.reassembly()
    for i = 1, GAPS do assert.equal(0, r:insert(i * 3, "x")) end
    assert.equal(codes.LIMIT, r:insert(1, "b"))
    assert.equal(0, r:insert(0, "a"))
    assert.equal(codes.LIMIT, r:insert(GAPS * 3 + 3, "x"))
    assert.equal("a", r:read())
    assert.equal(0, r:insert(1, "b"))
    assert.equal(0, r:insert(2, "c"))
    assert.equal("bcx", r:read())
  end)

  it("takes memory for what came, not for where it came", function()
    local r = units.reassembly()
    assert.equal(0, r:insert(16 * 1024 * 1024 - 1, "x"))
    assert.is_true(r:memory() < 16 * 1024)
  end)

  it("takes little memory for little data", function()
    local r = units.reassembly()
    r:insert(0, pattern(100))
    assert.equal(128, (r:memory()))
  end)

  it("takes at most four times the window for every second byte of it", function()
    local r = units.reassembly()
    for i = 0, GAPS - 1 do assert.equal(0, r:insert(i * 2 + 1, "x")) end
    assert.is_true(r:memory() <= 4 * GAPS * 2 + GAPS * 16)
    local far = units.reassembly()
    for i = 1, GAPS do assert.equal(0, far:insert(i * 4096 - 1, "x")) end
    assert.is_true(far:memory() <= 2048 * GAPS / 4)
  end)

  it("does linear work for bytes in reverse order", function()
    local function allocations(count)
      local r = units.reassembly()
      for at = count - 1, 0, -1 do assert.equal(0, r:insert(at, "x")) end
      local _, ready, ranges = r:state()
      assert.equal(count, ready)
      assert.equal(1, ranges)
      return (select(2, r:memory()))
    end
    local once, twice = allocations(20000), allocations(40000)
    assert.is_true(twice <= 2.5 * once, once .. " " .. twice)
  end)

  it("refuses an offset that is beyond any directory", function()
    local r = units.reassembly()
    assert.equal(codes.NO_MEMORY, r:insert("2305843009213693952", "x"))
    assert.equal(0, r:insert(0, "abc"))
    assert.equal("abc", r:read())
  end)

  it("survives every allocation that fails", function()
    local bytes, refused = pattern(5000), 0
    for after = 0, 12 do
      local r = units.reassembly()
      r:fail(1, after)
      local first = r:insert(700, "!")
      local second = r:insert(0, bytes)
      r:fail(0)
      for _, result in ipairs({ first, second }) do
        assert.is_true(result == 0 or result == codes.NO_MEMORY)
        if result ~= 0 then refused = refused + 1 end
      end
      assert.equal(0, r:insert(0, bytes))
      local expected = first == 0 and bytes:sub(1, 700) .. "!" .. bytes:sub(702) or bytes
      assert.is_true(expected == r:read(), "after " .. after)
      assert.equal(0, (r:memory()))
    end
    assert.is_true(refused >= 6)
  end)

  it("goes on at another offset after a discard", function()
    local r = units.reassembly()
    r:insert(10, pattern(9000))
    r:discard(50000)
    assert.equal(0, (r:memory()))
    r:insert(49998, "abcd")
    assert.equal("cd", r:read())
  end)
end)
