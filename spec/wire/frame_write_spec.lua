local helper = require("spec.helper")
local wire = require("neap.units").wire

local MAX = "4611686018427387903"

local FRAMES = {
  { type = 0x00, size = 17 },
  { type = 0x01 },
  { type = 0x04, id = 4, code = 256, final_size = MAX },
  { type = 0x05, id = 4, code = 256 },
  { type = 0x06, offset = 70000, data = ("c"):rep(200) },
  { type = 0x07, token = ("n"):rep(300) },
  { type = 0x10, limit = MAX },
  { type = 0x11, id = 8, limit = 65536 },
  { type = 0x12, limit = "1152921504606846976" },
  { type = 0x13, limit = 100 },
  { type = 0x14, limit = 5 },
  { type = 0x15, id = 8, limit = 5 },
  { type = 0x16, limit = 100 },
  { type = 0x17, limit = 100 },
  { type = 0x18, sequence = 300, retire_prior_to = 2, cid = "abcd", token = ("t"):rep(16) },
  { type = 0x19, sequence = 3 },
  { type = 0x1a, data = "abcdefgh" },
  { type = 0x1b, data = "abcdefgh" },
  { type = 0x1c, code = 10, frame_type = 6, reason = "why" },
  { type = 0x1d, code = 256, reason = "" },
  { type = 0x1e },
  { type = 0x1f },
  { type = 0x24, id = 4, code = 256, final_size = MAX, reliable_size = 70000 },
  { type = 0x31, data = ("g"):rep(300), size = 303 },
  { type = 0x31, data = "", size = 2 },
  { type = 0x3e75, path_id = 300, code = MAX },
  { type = 0x3e76, path_id = 300, sequence = MAX },
  { type = 0x3e77, path_id = 1, sequence = 3 },
  { type = 0x3e78, path_id = 300, sequence = 300, retire_prior_to = 2, cid = "abcd", token = ("t"):rep(16) },
  { type = 0x3e79, path_id = 1, sequence = 300 },
  { type = 0x3e7a, path_id = 4294967295 },
  { type = 0x3e7b, path_id = 2 },
  { type = 0x3e7c, path_id = 2, sequence = 1 },
  { type = 0xaf, sequence = 300, threshold = MAX, max_delay_us = 25000, reordering = 3 },
}

describe("a frame that is written", function()
  it("is read back, and takes not one byte more than its room", function()
    for _, want in ipairs(FRAMES) do
      local bytes = assert(wire.write_frame(want))
      local frame, taken = wire.parse_frame(bytes)
      assert.same(want, frame)
      assert.equal(#bytes, taken)
      assert.equal(bytes, wire.write_frame(want, #bytes))
      -- CONNECTION_CLOSE cuts its reason instead, see below.
      local least = #bytes - #(want.reason or "")
      for room = 0, least - 1 do
        assert.is_nil(wire.write_frame(want, room))
      end
    end
  end)

  it("as STREAM says the offset only where there is one", function()
    for _, want in ipairs({
      { offset = 0, fin = false, type = 0x0a }, { offset = 0, fin = true, type = 0x0b },
      { offset = 9, fin = false, type = 0x0e }, { offset = 9, fin = true, type = 0x0f },
    }) do
      local frame = wire.parse_frame(wire.write_frame({
        type = 0x08, id = 1000, offset = want.offset, fin = want.fin, data = ("d"):rep(70),
      }))
      assert.same({ type = want.type, id = 1000, offset = want.offset, fin = want.fin, data = ("d"):rep(70) }, frame)
    end
  end)
end)

describe("CONNECTION_CLOSE", function()
  it("has its reason cut to the room", function()
    local reason = ("r"):rep(100)
    local whole = wire.write_frame({ type = 0x1c, code = 1, frame_type = 0, reason = reason })
    for room = 4, #whole do
      local frame, taken = wire.parse_frame(wire.write_frame({ type = 0x1c, code = 1, reason = reason }, room))
      assert.is_true(taken <= room and taken >= room - 1)
      assert.equal(reason:sub(1, #frame.reason), frame.reason)
    end
  end)

  -- covers: rfc9000#19.19.1
  it("has its reason cut to 256 bytes, and never inside a character", function()
    local frame = wire.parse_frame(wire.write_frame({ type = 0x1d, code = 1, reason = ("r"):rep(300) }))
    assert.equal(256, #frame.reason)
    frame = wire.parse_frame(wire.write_frame({ type = 0x1d, code = 1, reason = ("é"):rep(200) }))
    assert.equal(("é"):rep(128), frame.reason)
    frame = wire.parse_frame(wire.write_frame({ type = 0x1d, code = 1, reason = "a" .. ("€"):rep(20) }, 4 + 8))
    assert.equal("a€€", frame.reason)
  end)
end)

describe("an ACK frame that is written", function()
  local function write(ranges, room, ecn)
    local frame = { type = ecn and 3 or 2, ranges = ranges, delay = 77 }
    for name, value in pairs(ecn or {}) do frame[name] = value end
    local bytes = wire.write_frame(frame, room)
    return bytes and wire.parse_frame(bytes), bytes
  end

  it("tells all ranges from the largest down", function()
    local frame, bytes = write({ { 0, 0 }, { 2, 9 }, { 20, 1000 }, { 70000, 70001 } })
    assert.equal("02 80011171 404d 03 01 80010d86 43d4 09 07 00 00", helper.hex(bytes)
      :gsub("^(..)(........)(....)(..)(..)(........)(....)(..)(..)(..)(..)$", "%1 %2 %3 %4 %5 %6 %7 %8 %9 00 00"))
    assert.same({ { 70000, 70001 }, { 20, 1000 }, { 2, 9 }, { 0, 0 } }, frame.ranges)
    assert.equal(77, frame.delay)
    assert.is_nil(frame.ce)
  end)

  it("carries the three ECN counts", function()
    local frame = write({ { 3, 5 } }, nil, { ect0 = 1, ect1 = 2, ce = 300 })
    assert.same({ type = 3, largest = 5, delay = 77, ranges = { { 3, 5 } }, ect0 = 1, ect1 = 2, ce = 300 }, frame)
  end)

  it("may tell 2^62-1", function()
    assert.same({ { "4611686018427387900", MAX } }, write({ { "4611686018427387900", MAX } }).ranges)
  end)

  -- covers: rfc9000#13.2.3.1 rfc9000#13.2.3.6
  it("tells the newest ranges that fit, 32 at most", function()
    local ranges = {}
    for i = 1, 100 do ranges[i] = { 10 * i, 10 * i + 3 } end
    assert.equal(32, #write(ranges).ranges)
    local _, whole = write(ranges)
    local seen = {}
    for room = #whole, 0, -1 do
      local frame, bytes = write(ranges, room)
      if frame then
        assert.is_true(#bytes <= room)
        seen[#frame.ranges] = true
        for i, range in ipairs(frame.ranges) do
          assert.same(ranges[101 - i], range)
        end
      else
        assert.is_true(room < 8)
      end
    end
    for count = 1, 32 do assert.is_true(seen[count]) end
  end)

  it("never leaves out the ECN counts for want of room", function()
    local ranges, ecn = { { 1, 2 }, { 5, 6 }, { 9, 9 } }, { ect0 = 100, ect1 = 0, ce = 70000 }
    local _, whole = write(ranges, nil, ecn)
    for room = 0, #whole do
      local frame = write(ranges, room, ecn)
      if frame then assert.equal(70000, frame.ce) end
    end
  end)
end)
