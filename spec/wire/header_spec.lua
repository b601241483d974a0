local helper = require("spec.helper")
local wire = require("neap.units").wire

local INVALID, UNKNOWN_VERSION = -7, -6
local DCID, SCID = helper.unhex("8394c8f03e515708"), helper.unhex("f067a5502a4262b5")

local function invalid(bytes, short_dcid_size)
  local header, code = wire.parse_header(bytes, short_dcid_size or 8)
  assert.is_nil(header)
  assert.equal(INVALID, code)
end

describe("a long header", function()
  -- RFC 9001 A.2 and A.3 print both headers before protection.
  it("is written as the Initial packets of RFC 9001 A are", function()
    local client = wire.write_header({
      type = "initial", dcid = DCID, number = 2, number_size = 4, length = 1182,
    })
    assert.equal("c300000001088394c8f03e5157080000449e00000002", helper.hex(client))
    local server = wire.write_header({
      type = "initial", scid = SCID, number = 1, number_size = 2, length = 0x75,
    })
    assert.equal("c1000000010008f067a5502a4262b50040750001", helper.hex(server))
  end)

  it("is read back as it was written", function()
    local cases = {
      { type = "initial", token = ("t"):rep(100), first = 0xc0 },
      { type = "initial", token = "", first = 0xc0 },
      { type = "0rtt", first = 0xd0 },
      { type = "handshake", first = 0xe0 },
    }
    for _, case in ipairs(cases) do
      for number_size = 1, 4 do
        case.dcid, case.scid, case.number, case.number_size = DCID, SCID, 0x01020304, number_size
        case.length = number_size + 20
        local bytes = wire.write_header(case)
        -- covers: rfc9000#17.2.8
        assert.equal(case.first + number_size - 1, bytes:byte(1))
        assert.equal(("\1\2\3\4"):sub(-number_size), bytes:sub(-number_size))
        local header, code = wire.parse_header(bytes .. ("p"):rep(20) .. "next packet", 8)
        assert.equal(0, code)
        assert.equal(case.type, header.type)
        assert.equal(1, header.version)
        assert.equal(DCID, header.dcid)
        assert.equal(SCID, header.scid)
        assert.equal(case.token or "", header.token)
        assert.equal(#bytes - number_size, header.number_at)
        assert.equal(#bytes + 20, header.size)
      end
    end
  end)

  it("is refused wherever it is cut", function()
    local bytes = wire.write_header({
      type = "initial", dcid = DCID, scid = SCID, token = "token", number = 0, number_size = 1, length = 21,
    }) .. ("p"):rep(20)
    assert.is_table((wire.parse_header(bytes, 8)))
    for size = 0, #bytes - 1 do
      invalid(bytes:sub(1, size))
    end
  end)

  it("is read whatever its fixed bit says: who may draw that the connection knows", function()
    local bytes = wire.write_header({ type = "handshake", dcid = DCID, number = 0, number_size = 1, length = 1 })
    local header = wire.parse_header(string.char(bytes:byte(1) - 0x40) .. bytes:sub(2), 8)
    assert.equal("handshake", header.type)
    assert.equal(DCID, header.dcid)
  end)

  -- covers: rfc9000#17.2.2 rfc9000#17.2.3 rfc9000#17.2.5 rfc9000#17.2.6
  it("is refused in version 1 with a connection ID above 20 bytes", function()
    local function initial(dcid_size, scid_size)
      return "\192\0\0\0\1" .. string.char(dcid_size) .. ("d"):rep(dcid_size)
        .. string.char(scid_size) .. ("s"):rep(scid_size) .. "\0\1n"
    end
    assert.equal("initial", wire.parse_header(initial(20, 20), 8).type)
    invalid(initial(21, 0))
    invalid(initial(0, 21))
  end)

  it("refuses a Length or a token past the end of the datagram", function()
    invalid("\192\0\0\0\1\0\0" .. "\0" .. "\2n")
    invalid("\192\0\0\0\1\0\0" .. "\255\255\255\255\255\255\255\255" .. "\1n")
    invalid("\192\0\0\0\1\0\0" .. "\0" .. "\255\255\255\255\255\255\255\255" .. "n")
  end)
end)

describe("a long header of an unknown version", function()
  -- covers: rfc9000#17.2.1.6
  it("gives version and connection IDs of up to 255 bytes and nothing else", function()
    local dcid, scid = ("d"):rep(255), ("s"):rep(254)
    local header, code = wire.parse_header("\128\255\0\0\29\255" .. dcid .. "\254" .. scid .. "what ever", 8)
    assert.equal(UNKNOWN_VERSION, code)
    assert.equal(0xff00001d, header.version)
    assert.equal(dcid, header.dcid)
    assert.equal(scid, header.scid)
    assert.equal(0, header.number_at)
  end)

  it("is refused when a connection ID is cut", function()
    invalid("\192\255\0\0\29\4abc")
    invalid("\192\255\0\0\29\3abc\2d")
    invalid("\192\255\0\0\29\3abc")
  end)
end)

describe("a Retry packet", function()
  it("is written and read as that of RFC 9001 A.4", function()
    local tag = helper.unhex("04a265ba2eff4d829058fb3f0f2496ba")
    local bytes = wire.write_header({ type = "retry", scid = SCID, token = "token", random = 0xff })
    assert.equal("ff000000010008f067a5502a4262b5746f6b656e", helper.hex(bytes))
    local header = wire.parse_header(bytes .. tag, 0)
    assert.equal("retry", header.type)
    assert.equal("token", header.token)
    assert.equal(tag, header.retry_tag)
    assert.equal(SCID, header.scid)
    assert.equal("", header.dcid)
  end)

  -- covers: rfc9000#17.2.5.1
  it("may have anything in its unused bits", function()
    for random = 0, 15 do
      local bytes = wire.write_header({ type = "retry", scid = SCID, token = "t", random = random })
      assert.equal(0xf0 + random, bytes:byte(1))
      assert.equal("retry", wire.parse_header(bytes .. ("g"):rep(16), 0).type)
    end
  end)

  -- covers: rfc9000#17.2.5.2.4
  it("is refused without a token", function()
    local bytes = wire.write_header({ type = "retry", scid = SCID, token = "" })
    invalid(bytes .. ("g"):rep(16))
    invalid(bytes .. ("g"):rep(15))
    assert.equal("x", wire.parse_header(bytes .. "x" .. ("g"):rep(16), 8).token)
  end)
end)

describe("a Version Negotiation packet", function()
  -- covers: rfc9000#17.2.1.2 rfc9000#17.2.1.3 rfc8999#6.3 rfc8999#6.4 rfc9000#17.2.1.4 rfc9000#17.2.1.5
  it("lists a reserved version and what we speak behind the two connection IDs", function()
    local dcid, scid = ("d"):rep(255), ("s"):rep(21)
    local bytes = wire.write_header({
      type = "version_negotiation", dcid = dcid, scid = scid, random = 0, reserved = 0x12345678,
    })
    assert.equal(0xc0, bytes:byte(1))
    local header, code = wire.parse_header(bytes, 8)
    assert.equal(0, code)
    assert.equal("version_negotiation", header.type)
    assert.equal(0, header.version)
    assert.equal(dcid, header.dcid)
    assert.equal(scid, header.scid)
    assert.equal("1a3a5a7a000000016b3343cf", helper.hex(header.versions))
  end)

  -- covers: rfc8999#6.1 rfc9000#17.2.1.1
  it("is read whatever its unused bits are", function()
    for first = 0x80, 0xff do
      local header = wire.parse_header(string.char(first) .. "\0\0\0\0\0\0\0\0\0\1", 8)
      assert.equal("version_negotiation", header.type)
    end
  end)

  -- covers: rfc8999#6.2
  it("is refused with no version or a cut one", function()
    invalid("\192\0\0\0\0\0\0")
    invalid("\192\0\0\0\0\0\0\0\0\1")
    invalid("\192\0\0\0\0\0\0\0\0\0\1\2")
  end)
end)

describe("a short header", function()
  it("is written as that of RFC 9001 A.5", function()
    local bytes = wire.write_header({ type = "short", number = 654360564, number_size = 3 })
    assert.equal("4200bff4", helper.hex(bytes))
  end)

  -- covers: rfc9000#17.3.1.2
  it("carries the spin bit, the key phase and nothing in the reserved bits", function()
    local function first(header)
      header.type, header.number, header.number_size = "short", 0, header.number_size or 1
      return wire.write_header(header):byte(1)
    end
    assert.equal(0x40, first({}))
    assert.equal(0x60, first({ spin = true }))
    assert.equal(0x44, first({ key_phase = true }))
    assert.equal(0x67, first({ spin = true, key_phase = true, number_size = 4 }))
  end)

  it("is read with the size of our own connection IDs", function()
    for _, size in ipairs({ 0, 1, 8, 20 }) do
      local header, code = wire.parse_header("\64" .. ("d"):rep(size) .. "payload", size)
      assert.equal(0, code)
      assert.equal("short", header.type)
      assert.equal(("d"):rep(size), header.dcid)
      assert.equal(1 + size, header.number_at)
      assert.equal(1 + size + 7, header.size)
    end
  end)

  it("is refused when it ends inside the connection ID", function()
    invalid("\64" .. ("d"):rep(7))
    invalid("")
  end)
end)

describe("a packet number", function()
  -- covers: rfc9000#17.1.2
  it("is cut as in RFC 9000 A.2", function()
    assert.equal(2, wire.number_size(0xac5c02, 0xabe8b3))
    assert.equal(3, wire.number_size(0xace8fe, 0xabe8b3))
  end)

  -- covers: rfc9000#17.1.1
  it("is whole while nothing is acknowledged", function()
    assert.equal(1, wire.number_size(0))
    assert.equal(1, wire.number_size(127))
    assert.equal(2, wire.number_size(128))
    assert.equal(2, wire.number_size(32767))
    assert.equal(3, wire.number_size(32768))
    assert.equal(4, wire.number_size(8388608))
  end)

  it("is expanded as in RFC 9000 A.3", function()
    assert.equal(0xa82f9b32, wire.number_expand(0x9b32, 2, 0xa82f30ea + 1))
  end)

  it("is expanded to the nearest number, not below 0 and not past 2^62-1", function()
    assert.equal(0, wire.number_expand(0, 1, 0))
    assert.equal(255, wire.number_expand(255, 1, 0))
    assert.equal(0x100, wire.number_expand(0, 1, 0xff))
    assert.equal(0xff, wire.number_expand(0xff, 1, 0x101))
    assert.equal(0x180, wire.number_expand(0x80, 1, 0x100))
    assert.equal(0x81, wire.number_expand(0x81, 1, 0x100))
    assert.equal("4611686018427387903", wire.number_expand(0xff, 1, "4611686018427387903"))
    assert.equal("4611686018427387648", wire.number_expand(0, 1, "4611686018427387903"))
  end)

  -- covers: rfc9000#17.1.3
  it("comes back whole whatever is acknowledged and expected between", function()
    for _, acked in ipairs({ 0, 1, 100, 255, 256, 70000, 16777216, 2 ^ 40 }) do
      for _, ahead in ipairs({ 1, 2, 127, 128, 129, 32767, 32768, 32769, 8388607, 8388608, 8388609, 2 ^ 30 }) do
        local number = acked + ahead
        local size = wire.number_size(number, acked)
        -- The receiver has got anything from what it acknowledged to what came just before.
        for _, expected in ipairs({ acked + 1, number }) do
          assert.equal(number, wire.number_expand(number % 256 ^ size, size, expected))
        end
      end
    end
  end)
end)

describe("parse_header", function()
  it("stands any two bytes and any noise", function()
    local answers = { [0] = 0, [INVALID] = 0, [UNKNOWN_VERSION] = 0 }
    local function note(bytes, size)
      local header, code = wire.parse_header(bytes, size)
      answers[code] = answers[code] + 1
      if header and code == 0 then assert.is_true(header.size <= #bytes) end
    end
    for value = 0, 65535 do
      note(string.char(math.floor(value / 256), value % 256), value % 3)
    end
    local state = 7
    local function draw(below)
      state = (state * 16807) % 2147483647
      return state % below
    end
    for round = 1, 20000 do
      local bytes = {}
      for i = 1, draw(64) do bytes[i] = string.char(draw(draw(2) == 0 and 16 or 256)) end
      local noise = table.concat(bytes)
      -- A part of the noise is of our version, so that it gets further.
      if round % 2 == 0 then noise = string.char(0xc0 + draw(64)) .. "\0\0\0\1" .. noise end
      note(noise, draw(21))
    end
    assert.is_true(answers[0] > 100 and answers[INVALID] > 100 and answers[UNKNOWN_VERSION] > 100)
  end)
end)
