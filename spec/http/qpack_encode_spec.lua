local helper = require("spec.helper")
local qif = require("spec.http.qif")
local http = require("neap.units").http

local DECODER_ERROR = 0x202

local function encoded(...) return helper.hex(http.qpack_encode({ ... }):sub(3)) end

local function check_lists(name, lists)
  local size, plain = 0, 0
  for _, list in ipairs(lists) do
    local section = http.qpack_encode(list)
    local decoded = http.qpack_decode(section, 2 ^ 20)
    assert.equal(#list, #decoded)
    for i, field in ipairs(list) do
      assert.same({ field[1], field[2], false }, decoded[i])
      plain = plain + #field[1] + #field[2]
    end
    size = size + #section
  end
  assert.is_true(size < 0.75 * plain, name .. " is not compressed")
end

describe("neap_qpack_encode", function()
  -- covers: rfc9204#2.1.2
  it("encodes header lists to what decodes to the same", function()
    check_lists("netbsd", require("spec.vectors.qpack_interop").lists)
  end)

  it("encodes every interop header list to what decodes to the same", function()
    for _, name in ipairs(qif.lists) do check_lists(name, qif.read(name, pending)) end
  end)

  it("begins with an empty prefix: no reference to a dynamic table", function()
    assert.equal("0000", helper.hex(http.qpack_encode({})))
  end)

  it("uses the static table where name and value match", function()
    assert.equal("d1", encoded({ ":method", "GET" }))
    assert.equal("ff23", encoded({ "x-frame-options", "sameorigin" }))
    assert.equal("ff00", encoded({ ":status", "100" }))
    for index = 0, 98 do
      local name, value = http.static_get(index)
      assert.is_true(#http.qpack_encode({ { name, value } }) <= 4)
    end
  end)

  it("refers to a static name, and writes the shorter of plain and Huffman", function()
    assert.equal("51012a", encoded({ ":path", "*" }), "a byte of 8 bits stays plain")
    assert.equal("5183" .. helper.hex(http.huffman_encode("/abc")), encoded({ ":path", "/abc" }))
    assert.equal("5f450178", encoded({ "authorization", "x" }), "no gain, no Huffman")
    assert.equal("ff15", encoded({ "authorization", "" }), "the empty value is in the table")
  end)

  -- covers: rfc9204#4.5.4.1 rfc9204#4.5.4.2 rfc9204#7.1.3.1 rfc9204#7.1.3.2
  it("keeps what is never indexed a literal", function()
    local fields = {
      { ":method", "GET", true }, { "authorization", "secret", true }, { "x-secret", "s", true },
        { ":method", "GET" },
    }
    local section = http.qpack_encode(fields)
    assert.equal("7f00", helper.hex(section:sub(3, 4)))
    local decoded = http.qpack_decode(section)
    for i, field in ipairs(fields) do assert.same({ field[1], field[2], field[3] or false }, decoded[i]) end
  end)

  it("carries any bytes and any length", function()
    local all = {}
    for byte = 0, 255 do all[#all + 1] = string.char(byte) end
    all = table.concat(all)
    for _, size in ipairs({ 0, 1, 6, 7, 8, 126, 127, 128, 254, 255, 256, 16383, 16384, 30000 }) do
      local value = all:rep(math.ceil(size / 256)):sub(1, size)
      local name = "n" .. ("x"):rep(size)
      for _, field in ipairs({ { name, value }, { name, value, true }, { "etag", value },
        { "etag", value, true } }) do
        assert.same({ { field[1], field[2], field[3] or false } }, http.qpack_decode(http.qpack_encode({ field }),
          2 ^ 20))
      end
    end
  end)
end)

describe("the peer's decoder stream", function()
  local function feed(hex, step) return http.decoder_stream(helper.unhex(hex), step) end

  -- covers: rfc9204#4.4.1.1 rfc9204#4.4.3.1
  it("may cancel streams and nothing else: nothing was inserted, no section refers to anything", function()
    for byte = 0, 255 do
      local taken, code = http.decoder_stream(string.char(byte))
      if byte >= 0x40 and byte < 0x80 then
        assert.equal(1, taken)
      else
        assert.equal(DECODER_ERROR, code, byte)
      end
    end
  end)

  it("reads cancellations in any fragmentation", function()
    local bytes = "40 44 7e 7f00 7f8001 7fffffffffffffffff3e 40"
    local size = #helper.unhex(bytes)
    for step = 1, size do assert.equal(size, feed(bytes, step)) end
  end)

  it("refuses integers above 62 bits or ten bytes", function()
    assert.same({ nil, DECODER_ERROR, "integer too large", 9 }, { feed("7f" .. ("ff"):rep(8) .. "40", 1) })
    assert.same({ nil, DECODER_ERROR, "integer too large", 9 }, { feed("7f" .. ("80"):rep(9) .. "00", 1) })
    assert.equal(10, feed("7f" .. ("80"):rep(8) .. "3f", 1))
    assert.same({ nil, DECODER_ERROR, "integer too large", 0 }, { feed("7f" .. ("80"):rep(1000), 1001) })
  end)
end)
