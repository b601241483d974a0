local wire = require("neap.units").wire

describe("versions", function()
  it("are 1 and 2, the oldest first", function()
    assert.same({ 0x00000001, 0x6b3343cf }, wire.versions())
  end)

  -- covers: rfc9369#3.1
  it("have their types of long headers: those of version 2 are turned by one", function()
    for _, case in ipairs({ { 0x00000001, "initial", 0xc0 }, { 0x00000001, "0rtt", 0xd0 },
      { 0x00000001, "handshake", 0xe0 }, { 0x6b3343cf, "initial", 0xd0 }, { 0x6b3343cf, "0rtt", 0xe0 },
      { 0x6b3343cf, "handshake", 0xf0 } }) do
      local version, type, first = case[1], case[2], case[3]
      local bytes = wire.write_header({ type = type, version = version, dcid = ("d"):rep(8), number = 0,
        number_size = 1, length = 1 })
      assert.equal(first, bytes:byte(1))
      local header = wire.parse_header(bytes, 8)
      assert.equal(type, header.type)
      assert.equal(version, header.version)
    end
    local retry = wire.write_header({ type = "retry", version = 0x6b3343cf, dcid = "d", scid = "s", token = "token",
      random = 15 })
    assert.equal(0xcf, retry:byte(1))
    assert.equal("retry", wire.parse_header(retry .. ("t"):rep(16), 8).type)
  end)

  it("are all found again in a header, and reserved ones are not", function()
    local tail = "\0\0" .. "\0" .. "\4\0\0\0\0"
    local function parse(version)
      local bytes = { version == 0x6b3343cf and "\208" or "\192" }
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
