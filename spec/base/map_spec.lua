local base = require("neap.units").base
local helper = require("spec.helper")

local KEY = helper.unhex("000102030405060708090a0b0c0d0e0f")

describe("siphash", function()
  -- SipHash-1-3 of the bytes 0, 1, … n-1 under the key 00..0f, as other implementations publish it.
  it("is SipHash-1-3", function()
    assert.equal("abac0158050fc4dc", base.siphash(KEY, ""))
    assert.equal("c9f49bf37d57ca93", base.siphash(KEY, "\0"))
    assert.equal("82cb9b024dc7d44d", base.siphash(KEY, "\0\1"))
  end)
end)

describe("map", function()
  local map

  before_each(function() map = base.map_new(0x1234567) end)

  it("finds what was added, and forgets what was removed", function()
    assert.is_nil(map:get(7))
    map:add(7, 1)
    map:add(0, 2)
    assert.equal(1, map:get(7))
    assert.equal(2, map:get(0))
    assert.equal(1, map:remove(7))
    assert.is_nil(map:get(7))
    assert.is_nil(map:remove(7))
    assert.equal(2, map:get(0))
    assert.equal(1, (map:shape()))
  end)

  it("needs no memory for a few", function()
    for i = 1, 4 do map:add(i, i) end
    assert.equal(0, map:memory())
    map:add(5, 5)
    assert.is_true(map:memory() > 0)
  end)

  it("has as many chains as nodes, one more with each, and short ones", function()
    local before = 0
    for i = 1, 40000 do
      map:add(4 * i, i)
      local count, chains = 0, before
      if i % 1000 == 0 or i < 1000 then count, chains = map:shape() end
      if count > 8 then assert.equal(count, chains) end
    end
    local _, _, longest = map:shape()
    assert.is_true(longest <= 16, longest)
    for i = 1, 40000 do assert.equal(i, map:get(4 * i)) end
  end)

  it("gives its memory back when its nodes have left, and stays small when they come and go", function()
    for i = 1, 20000 do map:add(i, i) end
    local large = map:memory()
    for i = 1, 20000 do assert.equal(i, map:remove(i)) end
    assert.is_true(map:memory() < large / 8)
    local small = map:memory()
    for i = 1, 50000 do
      map:add(i, i)
      assert.equal(i, map:remove(i))
    end
    assert.equal(small, map:memory())
  end)

  it("takes and finds all without memory for chains", function()
    map = base.map_new(0x1234567, 1)
    for i = 1, 100 do map:add(i, i) end
    for i = 1, 100 do assert.equal(i, map:get(i)) end
    for i = 1, 100, 2 do assert.equal(i, map:remove(i)) end
    for i = 1, 100 do assert.equal(i % 2 == 0 and i or nil, map:get(i)) end
  end)

  it("agrees with a table under random use", function()
    local seed = 5
    local function random(bound)
      seed = (seed * 1103515245 + 12345) % 2147483648
      return math.floor(seed / 65536) % bound
    end
    local model, count = {}, 0
    for round = 1, 30000 do
      local key = random(3000)
      -- It grows for a while, and shrinks for a while.
      if model[key] then
        if random(4) < (math.floor(round / 5000) % 2 == 0 and 1 or 3) then
          assert.equal(model[key], map:remove(key))
          model[key], count = nil, count - 1
        end
      elseif random(4) < (math.floor(round / 5000) % 2 == 0 and 3 or 1) then
        map:add(key, round)
        model[key], count = round, count + 1
      end
      assert.equal(model[key], map:get(key))
    end
    assert.equal(count, (map:shape()))
    assert.equal(count, #map:values())
  end)

  it("walks over every value once", function()
    for _, count in ipairs({ 0, 3, 100, 3000 }) do
      map = base.map_new(99)
      for i = 1, count do map:add(i, i) end
      local seen = {}
      for _, value in ipairs(map:values()) do
        assert.is_nil(seen[value])
        seen[value] = true
      end
      assert.equal(count, #seen)
    end
  end)
end)
