local wire = require("neap.units").wire

describe("versions", function()
  it("begin with version 1", function()
    assert.equal(1, wire.versions()[1])
  end)

  it("are all found again in a header, and reserved ones are not", function()
    local tail = "\0\0" .. "\0" .. "\4\0\0\0\0"
    local function parse(version)
      local bytes = { "\192" }
      for shift = 24, 0, -8 do
        bytes[#bytes + 1] = string.char(math.floor(version / 2 ^ shift) % 256)
      end
      return wire.parse_header(table.concat(bytes) .. tail, 0)
    end
    for _, version in ipairs(wire.versions()) do
      local header, code = parse(version)
      assert.equal(0, code)
      assert.equal(version, header.version)
    end
    local header, code = parse(0x1a2a3a4a)
    assert.equal(-6, code)
    assert.equal(0x1a2a3a4a, header.version)
  end)
end)
