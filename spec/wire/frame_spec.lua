local helper = require("spec.helper")
local wire = require("neap.units").wire

local FRAME_ENCODING_ERROR, PROTOCOL_VIOLATION = 0x07, 0x0a
local MAX = "4611686018427387903"
local MAX_BYTES = ("\255"):rep(8) -- the same as a varint
local ABOVE_2_60 = "\208\0\0\0\0\0\0\1"
local TOKEN = ("t"):rep(16)

local function parse(hex)
  return wire.parse_frame(helper.unhex(hex))
end

local function refused(bytes, code)
  local frame, got, reason = wire.parse_frame(bytes)
  assert.is_nil(frame)
  assert.equal(code or FRAME_ENCODING_ERROR, got)
  assert.is_true(#reason > 0)
end

-- One of each type, with the bytes that RFC 9000 §19 lays out for it.
-- Unknown frames have types of the form 31 * N + 27, which RFC 9000 §18.1 reserves among parameters: no extension takes
-- them, as it may take the next free number.
local FRAMES = {
  { "00", { type = 0x00, size = 1 } },
  { "01", { type = 0x01 } },
  { "02 05 4064 00 02", { type = 0x02, largest = 5, delay = 100, ranges = { { 3, 5 } } } },
  { "02 4400 00 02 0f 02 03 4050 00",
    { type = 0x02, largest = 1024, delay = 0, ranges = { { 1009, 1024 }, { 1002, 1005 }, { 920, 920 } } } },
  { "03 05 00 00 05 01 02 03",
    { type = 0x03, largest = 5, delay = 0, ranges = { { 0, 5 } }, ect0 = 1, ect1 = 2, ce = 3 } },
  { "04 04 4100 8000ffff", { type = 0x04, id = 4, code = 256, final_size = 65535 } },
  { "05 04 4100", { type = 0x05, id = 4, code = 256 } },
  { "06 40ff 03 616263", { type = 0x06, offset = 255, data = "abc" } },
  { "07 03 616263", { type = 0x07, token = "abc" } },
  { "0a 04 03 616263", { type = 0x0a, id = 4, offset = 0, data = "abc", fin = false } },
  { "0b 04 00", { type = 0x0b, id = 4, offset = 0, data = "", fin = true } },
  { "0e 04 4400 03 616263", { type = 0x0e, id = 4, offset = 1024, data = "abc", fin = false } },
  { "0f 04 4400 03 616263", { type = 0x0f, id = 4, offset = 1024, data = "abc", fin = true } },
  -- draft-ietf-quic-reliable-stream-reset §4
  { "24 04 4100 8000ffff 05", { type = 0x24, id = 4, code = 256, final_size = 65535, reliable_size = 5 } },
  { "24 04 4100 05 05", { type = 0x24, id = 4, code = 256, final_size = 5, reliable_size = 5 } },
  -- RFC 9221 §4
  { "31 03 616263", { type = 0x31, data = "abc", size = 5 } },
  { "31 80000003 616263", { type = 0x31, data = "abc", size = 8 } },
  { "10 ffffffffffffffff", { type = 0x10, limit = MAX } },
  { "11 08 80010000", { type = 0x11, id = 8, limit = 65536 } },
  { "12 d000000000000000", { type = 0x12, limit = "1152921504606846976" } },
  { "13 4064", { type = 0x13, limit = 100 } },
  { "14 05", { type = 0x14, limit = 5 } },
  { "15 08 05", { type = 0x15, id = 8, limit = 5 } },
  { "16 4064", { type = 0x16, limit = 100 } },
  { "17 4064", { type = 0x17, limit = 100 } },
  { "18 02 01 04 61626364 " .. ("74"):rep(16),
    { type = 0x18, sequence = 2, retire_prior_to = 1, cid = "abcd", token = TOKEN } },
  { "19 03", { type = 0x19, sequence = 3 } },
  { "1a 6162636465666768", { type = 0x1a, data = "abcdefgh" } },
  { "1b 6162636465666768", { type = 0x1b, data = "abcdefgh" } },
  { "1c 0a 06 03 776879", { type = 0x1c, code = 10, frame_type = 6, reason = "why" } },
  { "1d 4100 03 776879", { type = 0x1d, code = 256, reason = "why" } },
  { "1e", { type = 0x1e } },
  -- draft-ietf-quic-ack-frequency-14 §4, §5
  { "1f", { type = 0x1f } },
  -- draft-ietf-quic-multipath
  { "3e 03 05 4064 00 02", { type = 0x3e, path_id = 3, largest = 5, delay = 100, ranges = { { 3, 5 } } } },
  { "3f 4100 05 00 00 05 01 02 03",
    { type = 0x3f, path_id = 256, largest = 5, delay = 0, ranges = { { 0, 5 } }, ect0 = 1, ect1 = 2, ce = 3 } },
  { "7e75 03 3e", { type = 0x3e75, path_id = 3, code = 0x3e } },
  { "7e76 03 05", { type = 0x3e76, path_id = 3, sequence = 5 } },
  { "7e77 03 05", { type = 0x3e77, path_id = 3, sequence = 5 } },
  { "7e78 03 02 01 04 61626364 " .. ("74"):rep(16),
    { type = 0x3e78, path_id = 3, sequence = 2, retire_prior_to = 1, cid = "abcd", token = TOKEN } },
  { "7e79 03 05", { type = 0x3e79, path_id = 3, sequence = 5 } },
  { "7e7a 80010000", { type = 0x3e7a, path_id = 65536 } },
  { "7e7b 03", { type = 0x3e7b, path_id = 3 } },
  { "7e7c 03 05", { type = 0x3e7c, path_id = 3, sequence = 5 } },
  { "40af 02 3f 46d8 03", { type = 0xaf, sequence = 2, threshold = 63, max_delay_us = 1752, reordering = 3 } },
}

describe("a frame", function()
  it("of every type is read and takes its own bytes only", function()
    for _, case in ipairs(FRAMES) do
      local bytes, want = helper.unhex(case[1]), case[2]
      local frame, taken = wire.parse_frame(bytes .. "\1\1\1")
      assert.same(want, frame)
      assert.equal(#bytes, taken)
    end
  end)

  it("of every row of the frame table is among these", function()
    local seen = {}
    for _, case in ipairs(FRAMES) do seen[case[2].type] = true end
    for _, row in ipairs(wire.frames()) do
      assert.is_true(seen[row.first] or seen[row.last] or false, row.name)
    end
  end)

  it("of every type is refused wherever it is cut", function()
    for _, case in ipairs(FRAMES) do
      local bytes = helper.unhex(case[1])
      for size = 0, #bytes - 1 do
        refused(bytes:sub(1, size))
      end
    end
  end)

  -- covers: rfc9000#12.4.4
  it("of an unknown type is refused", function()
    for _, hex in ipairs({ "7ca7", "b76eac9b", "c0001f000000001b", "fffffffffffffff8" }) do
      refused(helper.unhex(hex) .. "\0\0")
    end
  end)

  -- covers: rfc9000#12.4.5
  it("whose type is not in its shortest form is refused", function()
    for _, hex in ipairs({ "4001", "80000001", "c000000000000001", "4000", "401e" }) do
      refused(helper.unhex(hex), PROTOCOL_VIOLATION)
    end
  end)

  it("of RESET_STREAM_AT has no reliable size above the final size", function()
    refused(helper.unhex("24 04 00 05 06"))
  end)

  it("of PATH_ACK or PATH_NEW_CONNECTION_ID is refused for what its likes without a path ID are", function()
    refused(helper.unhex("3e 01 05 00 00 06"))
    refused(helper.unhex("7e78 01 01 02 04 61626364") .. TOKEN)
    refused(helper.unhex("7e78 01 01 00 00") .. TOKEN)
    refused(helper.unhex("7e78 01 01 00 15") .. ("c"):rep(21) .. TOKEN)
  end)

  it("of DATAGRAM without a length takes the rest of the packet", function()
    for _, data in ipairs { "", "abc" } do
      local frame, taken = wire.parse_frame("\48" .. data)
      assert.same({ type = 0x30, data = data, size = #data + 1 }, frame)
      assert.equal(#data + 1, taken)
    end
  end)

  it("of PADDING takes the whole run", function()
    for size = 1, 1200, 109 do
      local frame, taken = wire.parse_frame(("\0"):rep(size) .. "\1")
      assert.same({ type = 0, size = size }, frame)
      assert.equal(size, taken)
      assert.equal(size, wire.parse_frame(("\0"):rep(size)).size)
    end
  end)
end)

describe("an ACK frame", function()
  -- covers: rfc9000#19.3.1.1
  it("is refused when a range goes below zero", function()
    assert.same({ { 0, 5 } }, parse("02 05 00 00 05").ranges)
    refused(helper.unhex("02 05 00 00 06"))
    assert.same({ { 5, 5 }, { 0, 3 } }, parse("02 05 00 01 00 00 03").ranges)
    refused(helper.unhex("02 05 00 01 00 00 04"))
    refused(helper.unhex("02 05 00 01 00 04 00"))
    assert.same({ { 20, 20 }, { 11, 16 }, { 0, 6 } }, parse("02 14 00 02 00 02 05 03 06").ranges)
    refused(helper.unhex("02 14 00 02 00 02 05 03 07"))
    refused("\2" .. MAX_BYTES .. "\0\1\0" .. MAX_BYTES .. "\0")
    refused("\2" .. MAX_BYTES .. "\0\1\0\0" .. MAX_BYTES)
    refused("\2\5\0\0" .. MAX_BYTES)
  end)

  it("may reach from 0 to 2^62-1", function()
    local frame = wire.parse_frame("\2" .. MAX_BYTES .. "\0\0" .. MAX_BYTES)
    assert.same({ { 0, MAX } }, frame.ranges)
  end)

  it("costs no more than its bytes whatever range count it claims", function()
    local started = os.clock()
    for _ = 1, 1000 do
      refused("\2" .. MAX_BYTES .. "\0" .. MAX_BYTES .. "\0" .. ("\0"):rep(1200))
    end
    assert.is_true(os.clock() - started < 2)
    local most = "\2" .. "\127\255" .. "\0" .. "\66\88" .. "\0" .. ("\0\0"):rep(600)
    assert.equal(601, #wire.parse_frame(most).ranges)
  end)
end)

describe("a frame that carries an impossible value", function()
  -- covers: rfc9000#19.6.1
  it("is refused: CRYPTO past 2^62-1", function()
    assert.equal("", wire.parse_frame("\6" .. MAX_BYTES .. "\0").data)
    refused("\6" .. MAX_BYTES .. "\1x")
  end)

  -- covers: rfc9000#19.8.2
  it("is refused: STREAM past 2^62-1, with and without a length", function()
    assert.equal("", wire.parse_frame("\14\0" .. MAX_BYTES .. "\0").data)
    refused("\14\0" .. MAX_BYTES .. "\1x")
    assert.equal("", wire.parse_frame("\12\0" .. MAX_BYTES).data)
    refused("\12\0" .. MAX_BYTES .. "x")
  end)

  it("is not STREAM without a length: it goes to the end", function()
    local frame, taken = wire.parse_frame("\9\4\1\1\1")
    assert.same({ type = 9, id = 4, offset = 0, data = "\1\1\1", fin = true }, frame)
    assert.equal(5, taken)
  end)

  -- covers: rfc9000#19.11.1 rfc9000#19.14.2
  it("is refused: a count of streams above 2^60", function()
    for type = 0x12, 0x17 do
      local bytes = string.char(type) .. ABOVE_2_60
      if type ~= 0x14 and type ~= 0x15 then refused(bytes) end
    end
    assert.is_table((wire.parse_frame("\20" .. ABOVE_2_60)))
  end)

  -- covers: rfc9000#19.7.2
  it("is refused: an empty NEW_TOKEN", function()
    refused("\7\0")
  end)

  -- covers: rfc9000#19.15.1 rfc9000#19.15.7
  it("is refused: NEW_CONNECTION_ID of wrong size or that retires itself", function()
    local function frame(sequence, retire, size)
      return string.char(0x18, sequence, retire, size) .. ("c"):rep(size) .. TOKEN
    end
    assert.equal(("c"):rep(20), wire.parse_frame(frame(1, 1, 20)).cid)
    assert.equal("c", wire.parse_frame(frame(1, 0, 1)).cid)
    refused(frame(1, 0, 0))
    refused(frame(1, 0, 21))
    refused(frame(1, 2, 8))
  end)
end)

describe("the frame table", function()
  -- RFC 9000 §12.4, table 3: I initial, H handshake, 0 and 1 RTT; N elicits no ACK, C not in flight, P probing;
  -- c goes to a
  -- client only, o may be processed once only (§8.2.2).
  local TABLE = {
    [0x00] = "IH01 NP", [0x01] = "IH01", [0x02] = "IH1 NC", [0x03] = "IH1 NC", [0x04] = "01", [0x05] = "01",
    [0x06] = "IH1", [0x07] = "1 c", [0x10] = "01", [0x11] = "01", [0x12] = "01", [0x13] = "01", [0x14] = "01",
    [0x15] = "01", [0x16] = "01", [0x17] = "01", [0x18] = "01 P", [0x19] = "1", [0x1a] = "01 Po", [0x1b] = "1 P",
    [0x1c] = "IH01 NC", [0x1d] = "01 NC", [0x1e] = "1 c", [0x1f] = "1", [0x24] = "01",
    [0xaf] = "1", [0x30] = "01 o", [0x31] = "01 o",
    [0x3e] = "1 NC", [0x3f] = "1 NC", [0x3e78] = "1 P",
  }
  for type = 0x3e75, 0x3e7c do TABLE[type] = TABLE[type] or "1" end
  for type = 0x08, 0x0f do TABLE[type] = "01" end

  -- covers: rfc9000#12.4.3 rfc9000#12.5.3 rfc9000#12.5.5 rfc9000#17.2.4.2
  it("is that of RFC 9000 §12.4", function()
    local types = 0
    for _, row in ipairs(wire.frames()) do types = types + row.last - row.first + 1 end
    assert.equal(0x24 + 10, types)
    for type, row in pairs(TABLE) do
      local function has(mark) return row:find(mark, 1, true) and true or nil end
      local want = {
        initial = has("I"), handshake = has("H"), early = has("0"), one_rtt = has("1"),
        elicits = not has("N") or nil, in_flight = not has("C") or nil, probing = has("P"), to_client = has("c"),
        twice = not has("o") or nil,
      }
      assert.same(want, wire.frame_rules(type), ("type 0x%02x"):format(type))
    end
  end)

  it("has no rule for what is unknown", function()
    for _, type in ipairs({ 31 * 8 + 27, 31 * 2 ^ 10 + 27, 31 * 2 ^ 40 + 27, 2 ^ 32 + 1, MAX }) do
      assert.same({}, wire.frame_rules(type))
    end
  end)
end)

describe("parse_frame", function()
  it("stands any two bytes and any noise", function()
    local good, bad = 0, 0
    local function note(bytes)
      local frame, second = wire.parse_frame(bytes)
      if frame then
        good = good + 1
        assert.is_true(second >= 1 and second <= #bytes)
      else
        bad = bad + 1
        assert.is_true(second == FRAME_ENCODING_ERROR or second == PROTOCOL_VIOLATION)
      end
    end
    for value = 0, 65535 do
      note(string.char(math.floor(value / 256), value % 256))
    end
    local state = 3
    local function draw(below)
      state = (state * 16807) % 2147483647
      return state % below
    end
    for _ = 1, 40000 do
      local bytes = { string.char(draw(0x20)) }
      -- The types of draft-ietf-quic-multipath are long.
      if draw(8) == 0 then bytes[1] = draw(2) == 0 and "\62" or "\126" .. string.char(0x75 + draw(8)) end
      for i = 2, draw(40) + 1 do bytes[i] = string.char(draw(draw(2) == 0 and 16 or 256)) end
      note(table.concat(bytes))
    end
    assert.is_true(good > 10000 and bad > 10000)
  end)
end)
