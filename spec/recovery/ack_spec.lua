local recovery = require("neap.units").recovery

local MS = 1000000
local NO_MEMORY = -2

describe("received packet numbers", function()
  local ack
  before_each(function() ack = recovery.ack() end)

  -- covers: rfc9000#12.3.4
  it("are duplicates the second time", function()
    assert.is_false(ack:is_duplicate(7))
    assert.equal(0, ack:note(7, 0))
    assert.is_true(ack:is_duplicate(7))
    assert.is_false(ack:is_duplicate(6))
    assert.is_false(ack:is_duplicate(8))
  end)

  -- covers: rfc9000#13.2.3.4
  it("are kept in 64 ranges at most, and what is forgotten is a duplicate", function()
    for i = 0, 99999 do
      assert.equal(0, ack:note(2 * i, 0))
    end
    local ranges = ack:ranges()
    assert.equal(64, #ranges)
    assert.same({ 199998, 199998 }, ranges[64])
    assert.same({ 199872, 199872 }, ranges[1])
    assert.equal(64 * 16, ack:state().memory)
    for number = 0, 199870 do
      assert.is_true(ack:is_duplicate(number))
    end
    assert.is_false(ack:is_duplicate(199871))
    assert.is_true(ack:is_duplicate(199872))
    assert.is_false(ack:is_duplicate(199873))
  end)

  it("that come too late for the bound are given up, not kept in place of newer ones", function()
    for i = 100, 163 do ack:note(2 * i, 0) end
    assert.equal(0, ack:note(50, 0))
    local ranges = ack:ranges()
    assert.equal(64, #ranges)
    assert.same({ 200, 200 }, ranges[1])
    assert.is_true(ack:is_duplicate(50))
    assert.is_false(ack:is_duplicate(51))
  end)

  it("are not noted at all without memory", function()
    ack = recovery.ack(1)
    assert.equal(NO_MEMORY, ack:note(0, 0))
    assert.is_false(ack:is_duplicate(0))
    assert.is_nil(ack:state().send_at)
    assert.is_nil(ack:state().largest)
  end)

  -- covers: rfc9000#13.2.3.5 rfc9000#13.2.3.2
  it("below what the peer knows we told need not be told, the largest must be", function()
    for _, number in ipairs({ 1, 2, 5, 6, 9 }) do ack:note(number, 0) end
    ack:sent()
    ack:confirmed(6)
    assert.same({ { 5, 6 }, { 9, 9 } }, ack:ranges())
    assert.is_true(ack:is_duplicate(5))
    assert.is_true(ack:is_duplicate(2))
    assert.is_false(ack:is_duplicate(7))
    ack:confirmed(9)
    assert.same({ { 9, 9 } }, ack:ranges())
    assert.equal(9, ack:state().largest)
    ack:confirmed(4) -- an older ACK is acknowledged late
    assert.same({ { 9, 9 } }, ack:ranges())
  end)

  it("below that are kept for what went a slower way, which is no repetition and is told", function()
    for _, number in ipairs({ 1, 2, 5, 6, 9 }) do ack:note(number, 0) end
    ack:sent()
    ack:confirmed(9)
    assert.is_false(ack:is_duplicate(3))
    assert.equal(0, ack:note(3, 0))
    assert.is_true(ack:is_duplicate(3))
    assert.same({ { 1, 3 }, { 5, 6 }, { 9, 9 } }, ack:ranges())
    ack:sent()
    ack:confirmed(9)
    assert.same({ { 9, 9 } }, ack:ranges())
    ack:trim() -- after a silence nothing is on its way
    assert.is_true(ack:is_duplicate(4))
  end)

  it("that came late below more ranges than an ACK takes are told beside the newest", function()
    for i = 20, 59 do ack:note(2 * i, 0) end
    ack:sent()
    ack:confirmed(118)
    ack:note(3, 0) -- by a slower way
    local told = ack:ranges(32)
    assert.equal(32, #told)
    assert.same({ 3, 3 }, told[1])
    assert.same({ 52, 52 }, told[8])
    assert.same({ { 72, 72 }, { 118, 118 } }, { told[9], told[32] })
    ack:sent()
    assert.equal(32, #ack:ranges(32))
    ack:confirmed(118)
    assert.same({ { 118, 118 } }, ack:ranges(32))
  end)

  it("that are more than an ACK takes are told from the lowest on again when it was lost", function()
    for i = 0, 49 do ack:note(2 * i, 0) end
    assert.same({ { 0, 0 }, { 14, 14 }, { 52, 52 } }, { ack:ranges(32)[1], ack:ranges(32)[8], ack:ranges(32)[9] })
    ack:sent()
    assert.same({ { 0, 0 }, { 14, 14 }, { 52, 52 } }, { ack:ranges(32)[1], ack:ranges(32)[8], ack:ranges(32)[9] })
    ack:note(25, 0) -- 24 to 26 are one
    assert.same({ { 24, 26 }, { 40, 40 }, { 52, 52 } }, { ack:ranges(32)[1], ack:ranges(32)[8], ack:ranges(32)[9] })
    ack:sent()
    ack:note(37, 0) -- near the newest, so that all down to there and more have room
    assert.same({ { 34, 34 }, { 36, 38 }, { 98, 98 } }, { ack:ranges(32)[1], ack:ranges(32)[2], ack:ranges(32)[32] })
    ack:sent()
    assert.same({ { 0, 0 }, { 92, 92 }, { 94, 94 }, { 96, 96 }, { 98, 98 } }, ack:ranges(5))
  end)

  it("that no ACK has told yet stay when a later one is confirmed", function()
    ack:note(2, 0)
    ack:note(9, 0)
    ack:sent()
    ack:note(5, 0)
    ack:confirmed(9)
    assert.same({ { 5, 5 }, { 9, 9 } }, ack:ranges())
    ack:sent()
    ack:confirmed(9)
    assert.same({ { 9, 9 } }, ack:ranges())
  end)

  it("cost little memory once a connection is idle", function()
    for i = 0, 63 do ack:note(2 * i, 0) end
    local busy = ack:state().memory
    ack:sent()
    ack:confirmed(126)
    ack:trim()
    assert.is_true(busy > 0)
    assert.equal(0, ack:state().memory)
    assert.same({}, ack:ranges())
    assert.is_true(ack:is_duplicate(126))
    assert.is_false(ack:is_duplicate(127))
    for i = 64, 99 do assert.equal(0, ack:note(2 * i, 0)) end
    assert.equal(36, #ack:ranges())
  end)

  it("stay while an ACK has to tell them, and while some are missing between them", function()
    ack:note(0, 0)
    ack:trim()
    assert.same({ { 0, 0 } }, ack:ranges())
    ack:note(2, 0)
    ack:sent()
    ack:trim()
    assert.equal(2, #ack:ranges())
    assert.is_false(ack:is_duplicate(1))
  end)
end)

describe("an acknowledgement", function()
  local ack
  before_each(function() ack = recovery.ack() end)

  local function send_at() return ack:state().send_at end

  -- covers: rfc9000#13.2.1.1 rfc9000#13.2.1.2 rfc9000#13.2.2.1
  it("of the first packet is due after max_ack_delay, of the second at once", function()
    ack:note(0, 10 * MS)
    assert.equal(35 * MS, send_at())
    assert.is_false(ack:is_due(35 * MS - 1))
    assert.is_true(ack:is_due(35 * MS))
    ack:note(1, 20 * MS)
    assert.equal(20 * MS, send_at())
    ack:sent()
    assert.is_nil(send_at())
    assert.is_false(ack:is_due(1000 * MS))
    ack:note(2, 30 * MS, { max_ack_delay = 5 * MS })
    assert.equal(35 * MS, send_at())
  end)

  it("is due at once in Initial and Handshake packets", function()
    ack:note(0, 3 * MS, { immediate = true })
    assert.equal(3 * MS, send_at())
  end)

  -- covers: rfc9000#13.2.1.4
  it("is never due for what elicits none, though it can be told", function()
    ack:note(0, 0, { eliciting = false, immediate = true })
    ack:note(5, 0, { eliciting = false, ecn = 3 })
    assert.is_nil(send_at())
    assert.is_true(ack:state().pending)
    ack:sent()
    assert.is_false(ack:state().pending)
  end)

  -- covers: rfc9000#13.2.1.8
  it("is due at once when packets are missing or come late", function()
    ack:note(0, 0)
    ack:sent()
    ack:note(2, 1 * MS) -- 1 is missing
    assert.equal(1 * MS, send_at())
    ack:sent()
    ack:note(1, 2 * MS) -- late
    assert.equal(2 * MS, send_at())
    ack:sent()
    ack:note(3, 3 * MS) -- in order again
    assert.equal(28 * MS, send_at())
  end)

  it("is not hurried by a gap that was there before", function()
    ack:note(0, 0)
    ack:note(5, 1 * MS)
    ack:sent()
    ack:note(6, 2 * MS)
    assert.equal(27 * MS, send_at())
  end)

  it("is not hurried by packets between that elicited none", function()
    ack:note(0, 0)
    ack:sent()
    ack:note(1, 1 * MS, { eliciting = false })
    ack:note(2, 2 * MS)
    assert.equal(27 * MS, send_at())
  end)

  -- covers: rfc9000#13.4.1.1 rfc9000#13.2.1.9
  it("is due at once for a CE mark, and the marks are counted", function()
    ack:note(0, 1 * MS, { ecn = 3 })
    assert.equal(1 * MS, send_at())
    ack:note(1, 1 * MS, { ecn = 2 })
    ack:note(2, 1 * MS, { ecn = 2, eliciting = false })
    ack:note(3, 1 * MS, { ecn = 1 })
    ack:note(4, 1 * MS, { ecn = 0 })
    local state = ack:state()
    assert.same({ 2, 1, 1 }, { state.ect0, state.ect1, state.ce })
  end)

  -- covers: rfc9000#13.2.5.1
  it("tells the delay since the largest number came, in the unit that was announced", function()
    ack:note(5, 10 * MS)
    ack:note(4, 15 * MS)
    assert.equal(8000, ack:delay(0, 18 * MS))
    assert.equal(1000, ack:delay(3, 18 * MS))
    assert.equal(0, ack:delay(20, 18 * MS))
    assert.equal(0, ack:delay(3, 9 * MS))
  end)
end)

-- draft-ietf-quic-ack-frequency-14 §6
describe("an ACK that the peer asked to come more rarely", function()
  --- Which of the numbers make an ACK due at once, each followed by that ACK.
  local function due(ack, numbers, options)
    local found = {}
    for _, number in ipairs(numbers) do
      assert.equal(0, ack:note(number, 0, options))
      if ack:is_due(0) then
        found[#found + 1] = number
        ack:sent()
      end
    end
    return found
  end

  it("is due after so many packets", function()
    local ack = recovery.ack()
    ack:policy({ every = 4 })
    assert.same({ 3, 7 }, due(ack, { 0, 1, 2, 3, 4, 5, 6, 7, 8, 9 }))
    ack:policy({ every = 1 })
    assert.same({ 10, 11 }, due(ack, { 10, 11 }))
  end)

  it("is due after the delay that was asked for", function()
    local ack = recovery.ack()
    ack:policy({ every = 4, max_delay = 3 * MS })
    ack:note(0, 0)
    assert.is_false(ack:is_due(3 * MS - 1))
    assert.is_true(ack:is_due(3 * MS))
  end)

  it("is due when a missing packet is so far behind, and once for each, as the examples of the draft are", function()
    local ack = recovery.ack()
    ack:policy({ every = 100, reordering = 3 })
    assert.same({ 5, 9, 10 }, due(ack, { 0, 1, 3, 4, 5, 8, 9, 10 }))
    ack = recovery.ack()
    ack:policy({ every = 100, reordering = 5 })
    assert.same({ 7, 9 }, due(ack, { 0, 1, 3, 5, 6, 7, 8, 9 }))
  end)

  it("is due when a packet comes that the peer took for lost", function()
    local ack = recovery.ack()
    ack:policy({ every = 100, reordering = 3 })
    assert.same({ 5 }, due(ack, { 0, 1, 3, 4, 5 }))
    assert.same({ 2 }, due(ack, { 2 }))
  end)

  it("is due for no order at all with a threshold of 0", function()
    local ack = recovery.ack()
    ack:policy({ every = 100, reordering = 0 })
    assert.same({}, due(ack, { 5, 1, 0, 20, 3, 40 }))
  end)

  it("tells the first mark of several at once, where it is of more than two packets", function()
    local ack = recovery.ack()
    ack:policy({ every = 100 })
    assert.same({ 0 }, due(ack, { 0, 1, 2 }, { ecn = 3 }))
    assert.same({}, due(ack, { 3 }, { ecn = 2 }))
    assert.same({ 4 }, due(ack, { 4, 5 }, { ecn = 3 }))
    ack:policy({ every = 2 })
    assert.same({ 6, 7 }, due(ack, { 6, 7 }, { ecn = 3 }))
  end)
end)
