-- What follows a reduction: sending in step with deliveries, and reductions that were a mistake.
local recovery = require("neap.units").recovery

local MS = 1000000
local APP = "application"
local SIZE = 1200

local function fates(r)
  while r:fate(APP) do end
end

local function ack(r, ranges, now)
  assert.equal(0, (r:ack(APP, ranges, now)))
  fates(r)
end

-- A server with a sample of 50 ms, whose window of 40 datagrams is in flight: numbers 100 to 139, sent at 100 ms.
local function full(controller, ecn)
  local r = recovery.new{ server = true, controller = controller or "newreno", pacing = true }
  r:set(0, { handshake_confirmed = true, ecn = ecn })
  for number = 0, 29 do r:send(APP, number, 0) end
  r:ack(APP, { { 0, 29 } }, 50 * MS, 0, ecn and { ect0 = 10 })
  fates(r)
  assert.equal(40 * SIZE, r:state().window)
  for number = 100, 139 do r:send(APP, number, 100 * MS) end
  return r
end

describe("a recovery", function()
  -- covers: rfc9002#7.3.2.3
  it("sends as much less than is delivered as the window became less", function()
    local r = full()
    ack(r, { { 101, 103 } }, 150 * MS) -- 100 is lost
    local state = r:state()
    assert.same({ 20 * SIZE, true, 1 }, { state.window, state.recovering, state.congestion_events })
    assert.is_true(state.in_flight > state.window)
    -- 3 of 40 were delivered: 1.5 may leave; one at least, at once.
    assert.near(1.5 * SIZE, state.window_left, 2)
    local number, sent = 140, 0
    for at = 104, 118 do
      ack(r, { { 101, at } }, 150 * MS)
      while r:state().window_left >= SIZE do
        r:send(APP, number, 150 * MS)
        number, sent = number + 1, sent + 1
      end
    end
    assert.equal(9, sent) -- of 18
    assert.is_true(r:state().recovering)
  end)

  it("lets a datagram leave at once when it begins", function()
    local r = full()
    assert.equal(0, r:state().window_left)
    r:ack(APP, { { 102, 102 } }, 150 * MS)
    r:timeout(r:state().timer)
    fates(r)
    assert.is_true(r:state().recovering)
    assert.is_true(r:state().window_left >= SIZE)
  end)

  it("comes back to the window without a burst where much was lost", function()
    local r = full()
    ack(r, { { 136, 139 } }, 150 * MS) -- 36 of 40 are lost
    local state = r:state()
    assert.same({ 20 * SIZE, 0 }, { state.window, state.in_flight })
    assert.equal(4 * SIZE, state.window_left)
    local number, rounds = 140, 0
    local flight
    repeat
      local first = number
      while r:state().window_left >= SIZE do
        r:send(APP, number, (150 + 50 * rounds) * MS)
        number = number + 1
      end
      assert.is_true(number - first <= 20)
      flight, rounds = number - first, rounds + 1
      ack(r, { { first, number - 1 } }, (150 + 50 * rounds) * MS)
    until not r:state().recovering or rounds > 5
    assert.same({ 6, 2 }, { flight, rounds }) -- what was sent later than it began came: it is over
    assert.is_true(r:state().window_left >= 20 * SIZE)
  end)

  it("goes on until something that was sent in it is acknowledged", function()
    local r = full()
    ack(r, { { 101, 110 } }, 150 * MS)
    r:send(APP, 140, 151 * MS)
    ack(r, { { 101, 139 } }, 190 * MS)
    assert.is_true(r:state().recovering)
    ack(r, { { 101, 140 } }, 201 * MS)
    assert.is_false(r:state().recovering)
    assert.equal(r:state().window - r:state().in_flight, r:state().window_left)
  end)

  it("never allows more than the window", function()
    local r = full("cubic")
    ack(r, { { 101, 139 } }, 150 * MS)
    local state = r:state()
    assert.is_true(state.window_left <= state.window)
    assert.is_true(state.in_flight + state.window_left <= state.window)
  end)

  it("is none in persistent congestion", function()
    local r = full()
    for i = 0, 9 do r:send(APP, 140 + i, (100 + 200 * i) * MS) end
    ack(r, { { 149, 149 } }, 1950 * MS)
    local state = r:state()
    assert.same({ 3 * SIZE, false, 1 }, { state.window, state.recovering, state.congestion_persistent })
  end)
end)

describe("a reduction", function()
  for _, controller in ipairs{ "newreno", "cubic" } do
    it("is undone where all that was declared lost came, of " .. controller, function()
      local r = full(controller)
      ack(r, { { 104, 110 } }, 150 * MS)
      assert.is_true(r:state().window < 40 * SIZE)
      ack(r, { { 100, 102 }, { 104, 110 } }, 152 * MS)
      assert.equal(0, r:state().congestion_undone)
      ack(r, { { 100, 110 } }, 153 * MS)
      local state = r:state()
      assert.same({ 1, 1, 4 }, { state.congestion_events, state.congestion_undone, state.spurious })
      assert.is_true(state.window >= 40 * SIZE)
      assert.is_nil(state.ssthresh) -- the first slow start goes on
      assert.is_false(state.recovering)
    end)
  end

  it("is not undone where one of them did not come", function()
    local r = full()
    ack(r, { { 104, 110 } }, 150 * MS)
    ack(r, { { 101, 110 } }, 153 * MS)
    ack(r, { { 101, 139 } }, 160 * MS)
    assert.same({ 0, 3 }, { r:state().congestion_undone, r:state().spurious })
    assert.equal(20 * SIZE, r:state().window)
  end)

  it("is not undone for what was lost before it", function()
    local r = full()
    ack(r, { { 104, 110 } }, 150 * MS) -- 100 to 103 are lost
    for number = 140, 149 do r:send(APP, number, 160 * MS) end
    ack(r, { { 104, 139 }, { 144, 144 } }, 210 * MS) -- and 140, 141
    assert.equal(2, r:state().congestion_events)
    local window = r:state().window
    ack(r, { { 100, 139 }, { 144, 144 } }, 211 * MS)
    assert.same({ 0, window }, { r:state().congestion_undone, r:state().window })
    ack(r, { { 100, 144 } }, 212 * MS)
    assert.equal(1, r:state().congestion_undone)
    assert.is_true(r:state().window > window)
  end)

  it("is not undone after CE, which no packet takes back", function()
    local r = full(nil, true)
    r:ack(APP, { { 104, 110 } }, 150 * MS, 0, { ect0 = 16, ce = 1 })
    fates(r)
    ack(r, { { 100, 110 } }, 153 * MS)
    assert.same({ 4, 0 }, { r:state().spurious, r:state().congestion_undone })
    assert.is_true(r:state().window < 40 * SIZE)
  end)

  it("gives the pacer its rate back, where the ACK has nothing that is new", function()
    local r = full("cubic")
    local rate = r:state().pacing_rate
    ack(r, { { 101, 104 } }, 150 * MS)
    assert.is_true(r:state().pacing_rate < rate)
    ack(r, { { 100, 104 } }, 151 * MS)
    assert.equal(1, r:state().congestion_undone)
    assert.is_true(r:state().pacing_rate >= rate)
  end)

  it("lasts where a CE mark was reported, beyond the ACK that tells of it", function()
    for _, controller in ipairs{ "newreno", "cubic" } do
      local r = full(controller, true)
      r:ack(APP, { { 100, 119 } }, 150 * MS, 0, { ect0 = 29, ce = 1 })
      fates(r)
      assert.is_true(r:state().recovering)
      assert.equal(r:state().ssthresh, r:state().window)
    end
  end)

  it("is undone too when it was of persistent congestion", function()
    local r = full()
    for i = 0, 9 do r:send(APP, 140 + i, (100 + 200 * i) * MS) end
    ack(r, { { 149, 149 } }, 1950 * MS)
    ack(r, { { 100, 149 } }, 1951 * MS)
    local state = r:state()
    assert.same({ 1, 1 }, { state.congestion_persistent, state.congestion_undone })
    assert.is_true(state.window >= 40 * SIZE)
  end)
end)

describe("reductions in a row", function()
  -- What it lost last comes late in each round.
  local function undo_rounds(controller, rounds, is_real)
    local r = recovery.new{ server = true, controller = controller, pacing = true, seed = 1 }
    r:set(0, { handshake_confirmed = true })
    local number, undone = 0, {}
    for round = 1, rounds do
      local now = 100 * round * MS
      local first = number
      for _ = 1, 100 do
        r:send(APP, number, now)
        number = number + 1
      end
      ack(r, { { first + 1, first + 99 } }, now + 50 * MS) -- one that is 99 late is lost
      if not (is_real and is_real(round)) then ack(r, { { first, first + 99 } }, now + 51 * MS) end
      undone[round] = r:state().congestion_undone
    end
    return undone, r
  end

  it("are undone sixteen times, whatever a peer acknowledges late", function()
    for _, controller in ipairs{ "newreno", "cubic" } do
      local undone, r = undo_rounds(controller, 30)
      assert.same({ 16, 16, 30 }, { undone[16], undone[30], r:state().congestion_events })
      assert.equal(14, r:state().congestion_undo_refused)
    end
  end)

  it("are undone once more for each that lasts", function()
    local undone = undo_rounds("newreno", 30, function(round) return round > 18 and round % 2 == 0 end)
    assert.equal(16, undone[19])
    assert.equal(16 + 5, undone[30])
  end)

  it("of BBR have the same bound", function()
    local _, r = undo_rounds("bbr", 30)
    assert.equal(16, r:bbr().undone)
  end)
end)

describe("the reordering that is waited for", function()
  -- covers: rfc9002#6.1.2.6 rfc9002#6.1.1.2
  it("grows to what was seen, by packets up to 64", function()
    local r = full()
    assert.equal(3, r:state().packet_threshold)
    ack(r, { { 110, 110 } }, 150 * MS)
    ack(r, { { 100, 110 } }, 151 * MS)
    assert.equal(11, r:state().packet_threshold)
    ack(r, { { 100, 110 }, { 121, 121 } }, 152 * MS)
    assert.equal(8, r:state().packets_lost) -- 111 was overtaken by ten, and is waited for
    ack(r, { { 100, 110 }, { 122, 122 } }, 152 * MS)
    assert.equal(9, r:state().packets_lost)
    for number = 140, 300 do r:send(APP, number, 160 * MS) end
    ack(r, { { 100, 110 }, { 300, 300 } }, 170 * MS)
    ack(r, { { 100, 300 } }, 171 * MS)
    assert.equal(64, r:state().packet_threshold)
  end)

  it("grows in time by an eighth for each congestion event that time alone made, up to twice the round trip", function()
    local r = full()
    local number = 140
    for i = 1, 12 do
      local at = i * 1000 * MS
      r:send(APP, number, at)
      r:send(APP, number + 1, at)
      ack(r, { { 100, 139 }, { number + 1, number + 1 } }, at + 50 * MS)
      local timer = r:state().timer
      assert.equal("loss", (r:timeout(timer)))
      fates(r)
      ack(r, { { number, number + 1 } }, timer + MS)
      assert.equal(math.min(8, 1 + i), r:state().time_threshold)
      assert.equal(i, r:state().congestion_undone)
      number = number + 2
    end
    assert.equal(3, r:state().packet_threshold)
  end)

  it("is as in the beginning after sixteen congestion events without a mistake", function()
    local r = full()
    ack(r, { { 110, 110 } }, 150 * MS)
    ack(r, { { 100, 139 } }, 151 * MS)
    assert.equal(11, r:state().packet_threshold)
    local number = 140
    for i = 1, 17 do
      assert.equal(11, r:state().packet_threshold)
      for n = number, number + 11 do r:send(APP, n, i * 1000 * MS) end
      ack(r, { { number + 1, number + 11 } }, i * 1000 * MS + 50 * MS)
      number = number + 12
    end
    assert.same({ 3, 1 }, { r:state().packet_threshold, r:state().time_threshold })
  end)

  it("is as in the beginning after persistent congestion", function()
    local r = full()
    ack(r, { { 110, 110 } }, 150 * MS)
    ack(r, { { 100, 139 } }, 151 * MS)
    for i = 0, 9 do r:send(APP, 140 + i, (200 + 200 * i) * MS) end
    ack(r, { { 149, 149 } }, 2050 * MS)
    assert.equal(3, r:state().packet_threshold)
  end)
end)

describe("persistent congestion", function()
  -- covers: rfc9002#7.6.2.3
  it("is none where a packet of another space was acknowledged between the lost ones", function()
    for _, between in ipairs{ true, false } do
      local r = recovery.new{ controller = "newreno" }
      r:set(0, { has_handshake_keys = true })
      r:send("handshake", 0, 0)
      r:ack("handshake", { { 0, 0 } }, 10 * MS)
      while r:fate("handshake") do end
      for i = 1, 5 do r:send("handshake", i, (10 + 20 * i) * MS) end
      if between then
        r:send("initial", 0, 130 * MS)
        r:ack("initial", { { 0, 0 } }, 140 * MS)
      end
      for i = 7, 12 do r:send("handshake", i, (10 + 20 * i) * MS) end
      r:ack("handshake", { { 12, 12 } }, 260 * MS)
      assert.equal(between and 0 or 1, r:state().congestion_persistent)
    end
  end)
end)

describe("Retry", function()
  it("makes no packet late that was sent before it", function()
    local r = recovery.new{ controller = "cubic", pacing = true }
    r:send("initial", 0, 0)
    r:retry(10 * MS)
    while r:fate("initial") do end
    r:send("initial", 1, 10 * MS)
    r:ack("initial", { { 0, 1 } }, 20 * MS)
    assert.same({ 3, 0 }, { r:state().packet_threshold, r:state().spurious })
  end)
end)
