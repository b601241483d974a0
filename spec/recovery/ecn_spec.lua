local recovery = require("neap.units").recovery

local MS = 1000000
local INITIAL, APP = "initial", "application"

describe("ECN on a path", function()
  local r
  before_each(function()
    r = recovery.new({ server = true })
    r:set(0, { handshake_confirmed = true, ecn = true })
  end)

  --- Packets first to last leave at this time, marked where the path is.
  local function send(first, last, at, options)
    for number = first, last do assert.equal(0, r:send(APP, number, at, options)) end
  end

  local function state()
    return r:state().ecn
  end

  it("is off where nobody asked for it", function()
    local other = recovery.new({ server = true })
    assert.same({ "off", false }, { other:state().ecn, other:state().marks })
  end)

  it("is tested with the first ten packets, and those behind leave unmarked until one of them is told of", function()
    send(0, 6, 0)
    assert.same({ "testing", true, 3 }, { state(), r:state().marks, r:state().ecn_burst })
    send(7, 9, 0)
    assert.same({ "unknown", false }, { state(), r:state().marks })
    send(10, 12, 1 * MS)
    r:ack(APP, { { 0, 2 } }, 20 * MS, 0, { ect0 = 3 })
    assert.same({ "capable", true, 64 }, { state(), r:state().marks, r:state().ecn_burst })
  end)

  -- covers: rfc9000#13.4.2.2.1
  it("fails when marked packets are acknowledged without counts", function()
    send(0, 3, 0)
    r:ack(APP, { { 0, 3 } }, 20 * MS)
    assert.same({ "failed", false }, { state(), r:state().marks })
    send(4, 6, 30 * MS)
    r:ack(APP, { { 0, 6 } }, 50 * MS, 0, { ect0 = 4 })
    assert.equal("failed", state())
  end)

  -- covers: rfc9000#13.4.2.2.4
  it("fails when counts stop later", function()
    send(0, 3, 0)
    r:ack(APP, { { 0, 3 } }, 20 * MS, 0, { ect0 = 4 })
    send(4, 5, 30 * MS)
    r:ack(APP, { { 4, 5 } }, 50 * MS, 0, { ect0 = 4 })
    assert.equal("failed", state())
  end)

  -- What the counts say of packets 2 and 3, after two that came marked.
  for name, counts in pairs({
    ["rise by less than was acknowledged"] = { ect0 = 3 },
    ["go down"] = { ect0 = 1, ce = 3 },
    ["of CE go down"] = { ect0 = 6 },
    ["are of ECT(1), which we never sent"] = { ect0 = 4, ect1 = 1 },
    ["are more than we sent"] = { ect0 = 5 },
    ["are more than we sent with those of CE"] = { ect0 = 4, ce = 1 },
    ["are as large as they can be"] = { ect0 = 2 ^ 62 - 1024, ce = 2 ^ 62 - 1024 },
  }) do
    it("fails when counts " .. name, function()
      local before = name:find("CE go down") and { ect0 = 1, ce = 1 } or { ect0 = 2 }
      send(0, 1, 0)
      r:ack(APP, { { 0, 1 } }, 20 * MS, 0, before)
      assert.equal("capable", state())
      local window = r:state().window
      send(2, 3, 30 * MS)
      r:ack(APP, { { 2, 3 } }, 50 * MS, 0, counts)
      assert.equal("failed", state())
      assert.is_true(r:state().window >= window)
    end)
  end

  -- covers: rfc9000#13.4.2.1.1
  it("does not fail by an ACK that was overtaken", function()
    send(0, 5, 0)
    r:ack(APP, { { 3, 5 } }, 20 * MS, 0, { ect0 = 6 })
    assert.equal("capable", state())
    r:ack(APP, { { 0, 3 } }, 21 * MS, 0, { ect0 = 4 })
    r:ack(APP, { { 0, 5 } }, 22 * MS)
    assert.equal("capable", state())
    send(6, 7, 30 * MS)
    r:ack(APP, { { 0, 7 } }, 50 * MS, 0, { ect0 = 8 })
    assert.equal("capable", state())
  end)

  it("does not need counts for packets that left unmarked", function()
    send(0, 9, 0)
    send(10, 10, 0)
    r:ack(APP, { { 10, 10 } }, 20 * MS)
    assert.equal("unknown", state())
  end)

  it("is counted in each packet number space by itself", function()
    r:send(INITIAL, 0, 0)
    send(0, 1, 0)
    r:ack(INITIAL, { { 0, 0 } }, 20 * MS, 0, { ect0 = 1 })
    r:ack(APP, { { 0, 1 } }, 20 * MS, 0, { ect0 = 2 })
    assert.equal("capable", state())
    r:send(INITIAL, 1, 30 * MS)
    r:ack(INITIAL, { { 1, 1 } }, 50 * MS, 0, { ect0 = 1 })
    assert.equal("failed", state())
  end)

  it("fails when all of the test come with CE, and shrinks the window once until then", function()
    send(0, 9, 0)
    r:ack(APP, { { 0, 4 } }, 20 * MS, 0, { ce = 5 })
    assert.equal("unknown", state())
    local window = r:state().window
    r:ack(APP, { { 0, 9 } }, 21 * MS, 0, { ce = 10 })
    assert.same({ "failed", window }, { state(), r:state().window })
  end)

  it("fails when all of the test are lost", function()
    send(0, 9, 0)
    send(10, 13, 1 * MS)
    r:ack(APP, { { 10, 13 } }, 40 * MS)
    assert.equal("failed", state())
  end)

  it("fails when three of the test are lost and an unmarked probe came, not of two", function()
    for lost = 2, 3 do
      r = recovery.new({ server = true })
      r:set(0, { handshake_confirmed = true, ecn = true })
      send(1, lost, 0)
      local at = r:state().timer
      r:timeout(at)
      assert.same({ "testing", false }, { state(), r:state().marks })
      send(4, 5, at)
      r:ack(APP, { { 4, 5 } }, at + 20 * MS)
      assert.same({ lost, lost == 3 and "failed" or "testing" }, { r:state().packets_lost, state() })
    end
  end)

  -- A peer drops what it has no keys for yet, or keeps a few of it, marked or not.
  describe("says nothing of marks, where a peer may have had no keys yet:", function()
    local HANDSHAKE = "handshake"
    before_each(function()
      r = recovery.new({ server = true })
      r:set(0, { ecn = true })
    end)

    -- covers: rfc9000#13.4.2.1
    it("a handshake whose first packet was lost", function()
      r:send(INITIAL, 0, 0)
      for number = 0, 4 do r:send(HANDSHAKE, number, 0) end
      local at = r:state().timer
      r:timeout(at)
      r:send(INITIAL, 1, at)
      r:send(HANDSHAKE, 5, at)
      r:ack(HANDSHAKE, { { 5, 5 } }, at + 20 * MS)
      assert.same({ 5, "testing", true }, { r:state().packets_lost, state(), r:state().marks })
    end)

    it("all data of a server before the handshake's end", function()
      r:send(INITIAL, 0, 0)
      r:ack(INITIAL, { { 0, 0 } }, 20 * MS, 0, { ect0 = 1 })
      send(0, 20, 20 * MS)
      r:set(40 * MS, { handshake_confirmed = true })
      r:timeout(r:state().timer)
      send(21, 22, 2000 * MS)
      r:ack(APP, { { 21, 22 } }, 2020 * MS)
      assert.same({ 21, "capable", true }, { r:state().packets_lost, state(), r:state().marks })
    end)

    it("until it acknowledged one, and then it does", function()
      r:send(HANDSHAKE, 0, 0, { marked = false })
      r:ack(HANDSHAKE, { { 0, 0 } }, 20 * MS)
      for number = 1, 3 do r:send(HANDSHAKE, number, 30 * MS) end
      r:timeout(r:state().timer)
      r:send(HANDSHAKE, 4, 2000 * MS)
      r:ack(HANDSHAKE, { { 4, 4 } }, 2020 * MS)
      assert.equal("failed", state())
    end)
  end)

  it("outlives losses among which marked packets come", function()
    local at = 0
    for round = 0, 20 do
      local first, ect0 = round * 10, round + 1
      send(first, first + 9, at)
      at = at + 20 * MS
      r:ack(APP, { { first + 9, first + 9 } }, at, 0, { ect0 = ect0 })
      at = at + 20 * MS
      assert.equal("capable", state(), round)
    end
  end)

  it("is tested anew when a path that carried marks drops them from a moment on, and then fails", function()
    send(0, 3, 0)
    r:ack(APP, { { 0, 3 } }, 20 * MS, 0, { ect0 = 4 })
    send(4, 14, 30 * MS)
    r:timeout(r:state().timer)
    assert.is_false(r:state().marks)
    send(15, 16, 200 * MS)
    r:ack(APP, { { 0, 3 }, { 15, 16 } }, 220 * MS, 0, { ect0 = 4 })
    assert.same({ "testing", true, 10 }, { state(), r:state().marks, r:state().ecn_burst })
    send(17, 19, 230 * MS)
    r:timeout(r:state().timer)
    send(20, 21, 900 * MS)
    r:ack(APP, { { 0, 3 }, { 15, 16 }, { 20, 21 } }, 920 * MS, 0, { ect0 = 4 })
    assert.equal("failed", state())
  end)

  it("is tested anew by what leaves then, not by what was on its way and is lost", function()
    send(0, 3, 0)
    r:ack(APP, { { 0, 3 } }, 20 * MS, 0, { ect0 = 4 })
    send(4, 13, 30 * MS)
    send(14, 16, 30 * MS, { marked = false })
    send(17, 22, 31 * MS)
    r:ack(APP, { { 0, 3 }, { 14, 16 } }, 50 * MS, 0, { ect0 = 4 })
    assert.same({ "testing", 10 }, { state(), r:state().ecn_burst })
    send(23, 25, 60 * MS, { marked = false })
    r:ack(APP, { { 0, 3 }, { 14, 16 }, { 23, 25 } }, 80 * MS, 0, { ect0 = 4 })
    assert.same({ 16, "testing", 10 }, { r:state().packets_lost, state(), r:state().ecn_burst })
    send(26, 28, 90 * MS)
    r:ack(APP, { { 0, 3 }, { 14, 16 }, { 23, 28 } }, 110 * MS, 0, { ect0 = 7 })
    assert.equal("capable", state())
  end)

  it("is tested anew where packets of the test are forgotten", function()
    for number = 0, 9 do r:send(INITIAL, number, 0) end
    assert.equal("unknown", state())
    r:discard(INITIAL, 10 * MS)
    assert.same({ "testing", true, 10 }, { state(), r:state().marks, r:state().ecn_burst })
  end)

  -- Where nothing but ACKs leaves, all of the test are such: it would begin again and again, and none would come.
  it("ends by packets that elicit nothing as well, when they do not come", function()
    for round = 0, 4 do
      local first, at = round * 3, round * 100 * MS
      send(first, first + 1, at, { eliciting = false })
      send(first + 2, first + 2, at, { marked = false })
      assert.equal(round < 4 and "testing" or "unknown", state())
      r:ack(APP, { { first + 2, first + 2 } }, at + 20 * MS)
    end
    assert.same({ "failed", false }, { state(), r:state().marks })
  end)

  it("outlives packets that elicit nothing, and overtake each other, when another comes marked", function()
    send(0, 8, 0, { eliciting = false })
    send(9, 9, 0)
    r:ack(APP, { { 9, 9 } }, 20 * MS, 0, { ect0 = 1 })
    assert.same({ "capable", true }, { state(), r:state().marks })
  end)

  it("begins anew on another path", function()
    send(0, 3, 0)
    r:ack(APP, { { 0, 3 } }, 20 * MS)
    assert.equal("failed", state())
    r:move(1, 30 * MS)
    r:set(30 * MS, { ecn = true })
    send(4, 5, 30 * MS)
    r:ack(APP, { { 4, 5 } }, 50 * MS, 0, { ect0 = 6 })
    assert.equal("capable", state())
  end)
end)
