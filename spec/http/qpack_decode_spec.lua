local helper = require("spec.helper")
local interop = require("spec.vectors.qpack_interop")
local qif = require("spec.http.qif")
local http = require("neap.units").http

local FAILED, ENCODER_ERROR, LIMIT, NO_MEMORY = 0x200, 0x201, -15, -2
local MAX_FIELDS = 256

local function hex(text) return helper.unhex(text) end

local function plain(fields)
  local list = {}
  for i, field in ipairs(fields) do list[i] = { field[1], field[2] } end
  return list
end

local function code_of(section, max)
  local fields, code = http.qpack_decode(section, max)
  return fields and 0 or code
end

-- A literal line without Huffman; sizes below 127.
local function literal(name, value)
  assert(#name < 7 and #value < 127)
  return string.char(0x20 + #name) .. name .. string.char(#value) .. value
end

describe("neap_qpack_decode", function()
  it("reads RFC 9204 B.1", function()
    assert.same({ { ":path", "/index.html", false } },
      http.qpack_decode(hex("0000 510b 2f69 6e64 6578 2e68 746d 6c")))
  end)

  -- covers: rfc9204#2.2.1
  it("reads every kind of line in order", function()
    local section = hex("0000 d1 c0 ff 23" .. -- static 17, 0, 98
      " 5f 45 01 61 7f 45 01 62" .. -- names 84, never indexed the second time
      " 26 78 2d 61 62 63 64 00 36 78 2d 61 62 63 64 02 79 79") -- literal names
    assert.same({
      { ":method", "GET", false }, { ":authority", "", false }, { "x-frame-options", "sameorigin", false },
      { "authorization", "a", false }, { "authorization", "b", true },
      { "x-abcd", "", false }, { "x-abcd", "yy", true },
    }, http.qpack_decode(section))
  end)

  it("decodes what other encoders made with a table of size 0, and refuses what needs the table", function()
    local decoded, refused = 0, 0
    for _, file in ipairs(interop.encoded) do
      for _, record in ipairs(file.records) do
        local bytes = hex(record[2])
        if record[1] == 0 then
          local _, code = http.encoder_stream(bytes)
          assert.equal(file.table > 0 and ENCODER_ERROR or nil, code, file.encoder)
        elseif bytes:byte(1) == 0 then
          local fields, _, reason = http.qpack_decode(bytes, 2 ^ 20)
          assert.same(interop.lists[record[1]], plain(assert(fields, reason)))
          decoded = decoded + 1
        else
          assert.is_true(file.table > 0)
          assert.equal(FAILED, code_of(bytes, 2 ^ 20))
          refused = refused + 1
        end
      end
    end
    assert.is_true(decoded >= 2 * #interop.lists and refused > #interop.lists)
  end)

  it("decodes the interop files of a table of size 0", function()
    local files = qif.files("%.out%.0%.")
    if #files == 0 then helper.shared("qpack-interop/README.md", pending) end
    assert.equal(17, #files)
    for _, file in ipairs(files) do
      local lists = qif.read(file:match("([%w-]+)%.out"), pending)
      local next_list = 0
      for _, record in ipairs(qif.records(helper.shared(file, pending))) do
        if record.stream == 0 then
          assert.equal(0, http.encoder_stream(record.bytes))
        else
          next_list = next_list + 1
          local fields, _, reason = http.qpack_decode(record.bytes, 2 ^ 20)
          assert.same(lists[record.stream], plain(assert(fields, reason)))
        end
      end
      assert.equal(#lists, next_list)
    end
  end)

  -- covers: rfc9204#2.2.3.1
  it("refuses, of the other interop files, exactly the sections that need the dynamic table", function()
    local files = qif.files("-hq%.out%.[1-9]")
    if #files == 0 then helper.shared("qpack-interop/README.md", pending) end
    local refused, decoded = 0, 0
    for _, file in ipairs(files) do
      local lists = qif.read(file:match("([%w-]+)%.out"), pending)
      for _, record in ipairs(qif.records(helper.shared(file, pending))) do
        if record.stream > 0 and record.bytes:byte(1) == 0 then
          decoded = decoded + 1
          assert.same(lists[record.stream], plain(http.qpack_decode(record.bytes, 2 ^ 20)))
        elseif record.stream > 0 then
          refused = refused + 1
          assert.equal(FAILED, code_of(record.bytes, 2 ^ 20))
        end
      end
    end
    assert.is_true(refused > 1000 and decoded > 100)
  end)

  it("judges the bad inputs of the interop data", function()
    local valid = {
      [9] = { { ":authority", "", false } },
      [10] = { { "x-xss-protection", "1; mode=block", false } },
    }
    assert.equal(12, #interop.bad)
    for i, records in ipairs(interop.bad) do
      for _, record in ipairs(records) do
        local bytes = hex(record[2])
        if record[1] == 0 then
          local _, code = http.encoder_stream(bytes)
          assert.equal(i >= 11 and ENCODER_ERROR or nil, code, i)
        elseif valid[i] then
          assert.same(valid[i], http.qpack_decode(bytes))
        else
          assert.equal(FAILED, code_of(bytes), i)
        end
      end
    end
  end)

  -- covers: rfc9204#3.1.1 rfc9204#4.5.1.1.1 rfc9204#4.5.1.2.1 rfc9204#4.5.1.2.2
  it("refuses what a table of capacity 0 cannot mean", function()
    for name, section in pairs({
      ["no prefix"] = "", ["half a prefix"] = "00", ["required insert count"] = "0100", ["its largest"] = "ff80ff00",
      ["negative base"] = "0080", ["indexed dynamic"] = "0000 80", ["post-base index"] = "0000 10",
      ["dynamic name"] = "0000 40 00", ["post-base name"] = "0000 00 00", ["static 99"] = "0000 ff 24",
      ["static name 99"] = "0000 5f 54 00", ["cut index"] = "0000 ff", ["cut name index"] = "0000 5f",
      ["no value"] = "0000 50", ["cut value"] = "0000 50 02 61", ["cut name"] = "0000 23 61 62",
      ["length in two"] = "0000 50 7f", ["bad Huffman"] = "0000 50 81 ff", ["EOS"] = "0000 50 84 ff ff ff ff",
    }) do
      assert.equal(FAILED, code_of(hex(section)), name)
    end
    -- Delta Base may have any value while no line counts from it.
    assert.same({}, http.qpack_decode(hex("0000")))
    assert.same({}, http.qpack_decode(hex("007f00")))
  end)

  -- covers: rfc9204#4.1.1.1 rfc9204#7.4.2
  it("reads integers of 62 bits and at most ten bytes", function()
    local zeros = ("80"):rep(8)
    -- Delta Base: a prefix of 7 bits and nine more bytes.
    assert.same({}, http.qpack_decode(hex("00 7f" .. zeros .. "00")))
    assert.same({}, http.qpack_decode(hex("00 7f" .. zeros .. "3f")))
    assert.equal(FAILED, code_of(hex("00 7f" .. ("ff"):rep(8) .. "3f")), "one above 2^62-1")
    assert.equal(FAILED, code_of(hex("00 7f" .. zeros .. "40")))
    assert.equal(FAILED, code_of(hex("00 7f" .. zeros .. "8000")), "eleven bytes")
    assert.equal(FAILED, code_of("\0\127" .. ("\128"):rep(1000000)))
    assert.equal(FAILED, code_of(hex("0000 50 7f" .. ("ff"):rep(9) .. "7f")), "a length beyond everything")
  end)

  it("refuses every section that is cut inside a line", function()
    local fields = { { ":method", "PATCH" }, { "x-long-name", ("v"):rep(200) }, { "cookie", "a=b" }, { "zz", "{}" } }
    local section = http.qpack_encode(fields)
    local whole = 0
    for size = 0, #section do
      local decoded, code = http.qpack_decode(section:sub(1, size))
      if decoded then
        whole = whole + 1
        assert.equal(whole, #decoded + 1)
      else
        assert.equal(FAILED, code)
      end
    end
    assert.equal(5, whole)
  end)

  it("stops at the size that a section may have, while decoding", function()
    local cases = {
      { literal("x", "yz"), 35 }, { hex("d1"), 32 + 10 }, { hex("51 81 07"), 32 + 5 + 1 },
      { hex("21 78 81 07"), 34 }, { hex("29 f3 81 07"), 34 },
    }
    for _, case in ipairs(cases) do
      for count = 1, 5 do
        local section = "\0\0" .. case[1]:rep(count)
        local size = case[2] * count
        assert.equal(0, code_of(section, size), helper.hex(section))
        assert.equal(LIMIT, code_of(section, size - 1), helper.hex(section))
      end
    end
    assert.equal(LIMIT, code_of(hex("0000 c0"), 31))
    assert.equal(LIMIT, code_of(hex("0000 c0"), 0))
  end)

  it("refuses a bomb at its limit, whatever else is in it", function()
    -- Behind the line that goes beyond the limit nothing is looked at: a bad index there does not matter.
    assert.equal(LIMIT, code_of("\0\0" .. ("\xd1"):rep(100) .. "\xff\xff\xff\xff", 42 * 100 - 1))
    assert.equal(FAILED, code_of("\0\0" .. ("\xd1"):rep(100) .. "\xff\xff\xff\xff", 42 * 101))
  end)

  it("takes 256 lines and not one more", function()
    assert.equal(MAX_FIELDS, #http.qpack_decode("\0\0" .. ("\xc0"):rep(MAX_FIELDS)))
    assert.equal(LIMIT, code_of("\0\0" .. ("\xc0"):rep(MAX_FIELDS + 1)))
  end)

  it("ends cleanly without memory", function()
    local section = http.qpack_encode({ { "x-a", ("v"):rep(100) }, { "x-b", "w" } })
    local seen = {}
    for memory = 1, 3000, 50 do
      local fields, code = http.qpack_decode(section, 65536, memory)
      seen[fields and "fields" or code] = true
    end
    assert.same({ fields = true, [NO_MEMORY] = true }, seen)
  end)

  it("survives random sections", function()
    math.randomseed(9204)
    local good = http.qpack_encode({ { ":method", "GET" }, { ":path", "/some/where" }, { "x-thing", "Some Value" } })
    for _ = 1, 20000 do
      local bytes = { good:byte(1, -1) }
      for _ = 1, math.random(1, 4) do bytes[math.random(1, #bytes)] = math.random(0, 255) end
      local code = code_of(string.char(unpack(bytes, 1, math.random(0, #bytes))))
      assert(code == 0 or code == FAILED or code == LIMIT, code)
    end
  end)
end)

describe("the peer's encoder stream", function()
  -- covers: rfc9204#4.3.1.1 rfc9204#4.3.1.2 rfc9204#3.2.2.2 rfc9204#3.2.3.1 rfc9204#3.2.3.4 rfc9204#3.1.2
  -- covers: rfc9204#2.2.3.2
  it("may only set the capacity to the 0 that it is", function()
    for byte = 0, 255 do
      local taken, code = http.encoder_stream(string.char(byte))
      if byte == 0x20 then
        assert.equal(0, taken)
      else
        assert.equal(ENCODER_ERROR, code, byte)
      end
    end
    assert.equal(0, http.encoder_stream(("\x20"):rep(100)))
  end)

  it("is refused at the first byte of a literal, whatever length it declares", function()
    -- Insert with literal name of 2^30 bytes.
    local _, code = http.encoder_stream(hex("5f e1 ff ff ff 03"))
    assert.equal(ENCODER_ERROR, code)
  end)
end)
