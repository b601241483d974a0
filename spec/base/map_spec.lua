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

  before_each(function() map = base.map_new(KEY) end)

  it("finds what was set, replaces, and forgets what was removed", function()
    assert.is_nil(map:get("tide"))
    map:set("tide", 1)
    map:set("", 2)
    map:set("tide", 3)
    assert.equal(3, map:get("tide"))
    assert.equal(2, map:get(""))
    assert.equal(3, map:remove("tide"))
    assert.is_nil(map:get("tide"))
    assert.is_nil(map:remove("tide"))
    assert.equal(1, (map:count()))
  end)

  it("refuses keys longer than a connection ID", function()
    assert.equal(-3, map:set(("x"):rep(21), 1))
    assert.is_nil(map:get(("x"):rep(21)))
    assert.equal(0, map:set(("x"):rep(20), 1))
  end)

  it("keeps thousands, and stays small when keys come and go", function()
    for i = 1, 5000 do map:set("k" .. i, i) end
    for i = 1, 5000 do assert.equal(i, map:get("k" .. i)) end
    for i = 1, 5000 do assert.equal(i, map:remove("k" .. i)) end
    for i = 1, 50000 do
      map:set("n" .. i, i)
      assert.equal(i, map:remove("n" .. i))
    end
    local count, capacity = map:count()
    assert.equal(0, count)
    assert.is_true(capacity <= 16384)
  end)

  it("walks over every value once", function()
    local seen = {}
    for i = 1, 100 do map:set("k" .. i, i) end
    for _, value in ipairs(map:values()) do
      assert.is_nil(seen[value])
      seen[value] = true
    end
    assert.equal(100, #seen)
  end)
end)
