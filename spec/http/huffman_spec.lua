-- covers: rfc9204#7.4.1
local helper = require("spec.helper")
local http = require("neap.units").http

local encode, decode = http.huffman_encode, http.huffman_decode

describe("the Huffman code", function()
  -- RFC 7541 Appendix C.4 and C.6.
  local examples = {
    ["www.example.com"] = "f1e3 c2e5 f23a 6ba0 ab90 f4ff",
    ["no-cache"] = "a8eb 1064 9cbf",
    ["custom-key"] = "25a8 49e9 5ba9 7d7f",
    ["custom-value"] = "25a8 49e9 5bb8 e8b4 bf",
    ["302"] = "6402",
    ["private"] = "aec3 771a 4b",
    ["Mon, 21 Oct 2013 20:13:21 GMT"] = "d07a be94 1054 d444 a820 0595 040b 8166 e082 a62d 1bff",
    ["https://www.example.com"] = "9d29 ad17 1863 c78f 0b97 c8e9 ae82 ae43 d3",
  }

  it("is that of the published examples", function()
    for text, hex in pairs(examples) do
      assert.equal(helper.hex(helper.unhex(hex)), helper.hex(encode(text)))
      assert.equal(text, (decode(helper.unhex(hex))))
    end
  end)

  it("brings every byte back, alone and beside every other", function()
    for a = 0, 255 do
      assert.equal(string.char(a), (decode(encode(string.char(a)))))
      for b = 0, 255 do
        local pair = string.char(a, b)
        if decode(encode(pair)) ~= pair then error(("bytes %d %d"):format(a, b)) end
      end
    end
  end)

  it("accepts of all inputs of one and two bytes exactly what some text encodes to", function()
    local text_of = { [""] = "" }
    local short = {} -- bytes whose code has at most 6 bits: three of them may fit two bytes
    local function add(text)
      local bytes = encode(text)
      if #bytes <= 2 then text_of[bytes] = text end
      return bytes
    end
    for a = 0, 255 do
      add(string.char(a))
      for b = 0, 255 do add(string.char(a, b)) end
      if #encode(string.rep(string.char(a), 4)) <= 3 then short[#short + 1] = string.char(a) end
    end
    for _, a in ipairs(short) do
      for _, b in ipairs(short) do
        for _, c in ipairs(short) do add(a .. b .. c) end
      end
    end
    local accepted = 0
    local function check(bytes)
      local text = decode(bytes)
      if text ~= text_of[bytes] then
        error(("%s decodes to %q, not %q"):format(helper.hex(bytes), tostring(text), tostring(text_of[bytes])))
      end
      if text then accepted = accepted + 1 end
    end
    check("")
    for a = 0, 255 do
      check(string.char(a))
      for b = 0, 255 do check(string.char(a, b)) end
    end
    local texts = 0
    for _ in pairs(text_of) do texts = texts + 1 end
    assert.equal(texts, accepted)
    assert.is_true(accepted > 1000)
  end)

  it("refuses EOS, padding of a byte or more, and padding of other bits than ones", function()
    for _, hex in ipairs({ "ffffffff", "ffff fffc", "ff", "3fff", "a8eb 1064 9cbf ff", "6402 00", "6403 ff",
      "00 00" }) do
      assert.same({ nil, "invalid" }, { decode(helper.unhex(hex)) }, hex)
    end
  end)

  it("stops at the end of its room", function()
    local bytes = encode(("0"):rep(100))
    assert.equal(63, #bytes)
    assert.equal(("0"):rep(100), (decode(bytes, 100)))
    for room = 0, 99 do assert.same({ nil, "full" }, { decode(bytes, room) }) end
  end)
end)
