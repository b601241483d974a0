local helper = require("spec.helper")
local http = require("neap.units").http

local function varint(value, size)
  size = size or (value < 64 and 1 or value < 16384 and 2 or value < 2 ^ 30 and 4 or 8)
  local bytes = {}
  for i = size, 1, -1 do
    bytes[i] = value % 256
    value = math.floor(value / 256)
  end
  bytes[1] = bytes[1] + ({ 0, 64, 0, 128, 0, 0, 0, 192 })[size]
  return string.char(unpack(bytes))
end

describe("frames", function()
  local frames = { { 0, "body" }, { 1, ("h"):rep(300) }, { 0x21, "" }, { 2 ^ 40 + 5, "x" },
    { 4, ("s"):rep(20000) }, { 0, "" } }
  local bytes = ""
  for _, frame in ipairs(frames) do bytes = bytes .. varint(frame[1]) .. varint(#frame[2]) .. frame[2] end

  it("are read whole and byte by byte", function()
    for _, step in ipairs({ 1, 2, 3, 7, 100, 1000, #bytes }) do
      local got, cut = http.frames(bytes, step)
      assert.same(frames, got)
      assert.is_nil(cut)
    end
  end)

  it("may use longer integers than they need", function()
    for _, type_size in ipairs({ 1, 2, 4, 8 }) do
      for _, length_size in ipairs({ 1, 2, 4, 8 }) do
        assert.same({ { 7, "abc" } }, (http.frames(varint(7, type_size) .. varint(3, length_size) .. "abc", 1)))
      end
    end
  end)

  -- covers: rfc9114#7.1.4
  it("are cut unless they end with the bytes", function()
    local small = varint(0) .. varint(3) .. "abc" .. varint(300) .. varint(70) .. ("x"):rep(70)
    local whole = { [0] = true, [5] = true, [#small] = true }
    for size = 0, #small do
      local _, cut = http.frames(small:sub(1, size), 4)
      assert.equal(not whole[size] and "cut" or nil, cut, size)
    end
  end)

  it("take no memory for a length that is only declared", function()
    local huge = varint(1) .. varint(2 ^ 62 - 2 ^ 10) .. ("x"):rep(1000)
    local got, cut = http.frames(huge, 10)
    assert.same({}, got)
    assert.equal("cut", cut)
    assert.equal("01", helper.hex(huge:sub(1, 1)))
  end)
end)
