local base = require("neap.units").base
local helper = require("spec.helper")

describe("reader", function()
  it("reads the variable-length integers of RFC 9000 §A.1", function()
    local values = base.read(helper.unhex("9d7f3e7d 7bbd 25 4025"), "vvvv")
    assert.same({ 494878333, 15293, 37, 37 }, values)
    values = base.read(helper.unhex("c2197c5eff14e88c"), "v")
    assert.equal(151288809941952652, values[1])
  end)

  it("stays bad after the first short read and gives zeros", function()
    local values, bad, left = base.read("\1\2\3", "2211")
    assert.same({ 0x0102, 0, 0, 0 }, values)
    assert.is_true(bad)
    assert.equal(0, left)
  end)

  it("refuses vectors and integers longer than what is there", function()
    for _, bytes in ipairs({ "", "\5abcd", "\255" }) do
      local values, bad = base.read(bytes, "b")
      assert.same({ "" }, values)
      assert.is_true(bad)
    end
    for _, bytes in ipairs({ "", "\64", "\128\0\0", "\192\0\0\0\0\0\0" }) do
      assert.is_true(select(2, base.read(bytes, "v")))
    end
  end)

  it("gives the rest and then nothing", function()
    local values, bad = base.read("\2hitide", "brr")
    assert.same({ "hi", "tide", "" }, values)
    assert.is_false(bad)
  end)
end)

describe("writer", function()
  it("writes varints in their shortest form", function()
    for value, hex in pairs({
      [0] = "00", [63] = "3f", [64] = "4040", [16383] = "7fff", [16384] = "80004000",
      [1073741823] = "bfffffff", [1073741824] = "c000000040000000",
    }) do
      assert.equal(hex, helper.hex((base.write(64, "v", value))))
      assert.equal(value, base.read(helper.unhex(hex), "v")[1])
    end
  end)

  it("writes nothing more once its room is full", function()
    local bytes, full = base.write(5, "24b1", 0x0102, 0x03040506, "", 7)
    assert.equal("\1\2", bytes)
    assert.is_true(full)
    bytes, full = base.write(5, "3b", 0x010203, "ab")
    assert.equal("\1\2\3ab", bytes)
    assert.is_false(full)
  end)
end)
