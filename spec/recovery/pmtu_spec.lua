local recovery = require("neap.units").recovery

local MS, SECOND = 1000000, 1000000000
local APP = "application"

-- Probes until none is due; those of up to `mtu` bytes are acknowledged. Returns how many there were.
local function search(p, mtu, now, window)
  local count = 0
  for size in function() return p:probe(now, window) end do
    count = count + 1
    assert(count < 100, "the search has no end")
    if size <= mtu then p:acked(size) else p:lost(size) end
  end
  return count
end

describe("the search for the datagram size", function()
  -- covers: rfc9000#14.3.1 rfc8899#5.1.2.2 rfc8899#5.3.2.1 rfc9000#14.2.2
  it("begins with 1200 bytes and tries the most first", function()
    local p = recovery.pmtu(1452)
    assert.equal(1200, p:state().size)
    assert.equal(1452, p:probe(0))
    assert.is_nil(p:probe(0)) -- one at a time
    p:acked(1452)
    assert.equal(1452, p:state().size)
    assert.is_nil(p:probe(1000 * SECOND)) -- there is nothing larger to look for
  end)

  it("finds every size to 8 bytes, from below", function()
    for _, most in ipairs({ 1200, 1252, 1432, 1452, 8972, 65507 }) do
      for mtu = 1200, math.min(most, 1600) do
        local p = recovery.pmtu(most)
        search(p, mtu, 0)
        local size = p:state().size
        assert.is_true(size <= mtu and size >= math.min(mtu, most) - 8, ("%d of %d: %d"):format(mtu, most, size))
      end
      for mtu = 1600, most, 997 do
        local p = recovery.pmtu(most)
        assert.is_true(search(p, mtu, 0) <= 16 * 3)
        assert.is_true(p:state().size <= mtu and p:state().size >= mtu - 8, mtu)
      end
    end
  end)

  -- covers: rfc8899#3.10
  it("takes three lost probes in a row for a size that does not pass", function()
    local p = recovery.pmtu(1452)
    for _ = 1, 2 do
      p:lost(p:probe(0))
      p:lost(p:probe(0))
      assert.equal(1452, p:probe(0))
      p:lost(1452)
      local size = p:probe(0)
      assert.is_true(size < 1452)
      p:acked(size)
      p = recovery.pmtu(1452)
    end
    p:lost(p:probe(0))
    p:lost(p:probe(0))
    p:acked(p:probe(0))
    assert.equal(1452, p:state().size)
  end)

  -- covers: rfc8899#3.17
  it("tries none above 1452 bytes whose least window is above the one that there is", function()
    local p = recovery.pmtu(9000)
    assert.equal(1452, p:probe(0, 2400))
    p:acked(1452)
    assert.is_nil(p:probe(0, 2910))
    assert.equal(5000, p:probe(0, 10000))
    p:acked(5000)
    assert.is_nil(p:probe(0, 10000))
    assert.equal(9000, p:probe(0, 20000))
    -- … and comes to an end while the window changes
    p = recovery.pmtu(9000)
    for i = 1, 3 do p:lost(p:probe(0, 14000 + (i % 2) * 1000)) end
    p:acked(p:probe(0, 20000))
    assert.is_true(p:probe(0, 20000) < 7500)
  end)

  it("looks for what ordinary links carry as soon as a jumbo frame did not pass", function()
    for _, most in ipairs({ 9000, 65507 }) do
      local p = recovery.pmtu(most)
      for _ = 1, 3 do
        assert.equal(most, p:probe(0))
        p:lost(most)
      end
      assert.equal(1452, p:probe(0))
    end
  end)

  -- covers: rfc8899#8.1
  it("begins again after ten minutes where it ended below the most", function()
    local p = recovery.pmtu(1452)
    search(p, 1400, 0)
    assert.is_nil(p:probe(599 * SECOND))
    assert.equal(1452, p:probe(600 * SECOND))
    p:acked(1452)
    assert.equal(1452, p:state().size)
  end)

  -- covers: rfc8899#3.27 rfc8899#3.28
  it("is not led by a probe that comes after it was given up, nor by one of before", function()
    local p = recovery.pmtu(1452)
    for _ = 1, 3 do p:lost(p:probe(0)) end
    local size = p:probe(0)
    p:lost(1452)
    assert.is_nil(p:probe(0)) -- the one of `size` is still out
    p:acked(size)
    assert.equal(size, p:state().size)
    p:acked(1300)
    assert.equal(size, p:state().size)
  end)
end)

describe("a PTB message", function()
  -- covers: rfc9000#14.2.1.1 rfc9000#14.2.1.6 rfc8899#3.12 rfc8899#4.6.2.1
  it("never raises nor lowers the size, and is nothing below 1200 bytes", function()
    for _, told in ipairs({ 0, 68, 1199, 1200, 1300, 1400, 1452, 9000 }) do
      local p = recovery.pmtu(1452)
      p:too_big(told)
      assert.equal(1200, p:state().size)
      search(p, 1452, 0)
      assert.equal(1452, p:state().size, told)
      p:too_big(told)
      assert.equal(1452, p:state().size)
      p:round(0, 1452, 0) -- what refutes it
      p:round(1452, 0, 0)
      assert.equal(1452, p:state().size)
    end
  end)

  it("makes the search short where it is true", function()
    for mtu = 1210, 1440 do
      local p = recovery.pmtu(1452)
      local size = p:probe(0)
      p:too_big(mtu)
      p:lost(size)
      assert.is_true(search(p, mtu, 0) <= 4) -- it, and three a little larger
      assert.is_true(p:state().size == mtu)
    end
  end)

  it("makes the search little longer where it is false", function()
    for told = 1200, 1452 do
      local p = recovery.pmtu(1452)
      local size = p:probe(0)
      p:too_big(told)
      p:lost(size) -- by chance
      assert.is_true(search(p, 1452, 0) <= 12)
      assert.is_true(p:state().size >= 1444, told)
    end
  end)

  -- covers: rfc8899#3.13
  it("of a size that was never tried is nothing", function()
    local p = recovery.pmtu(1452)
    p:too_big(1300)
    assert.equal(1452, p:probe(0))
    for _ = 1, 2 do
      p:lost(1452)
      assert.equal(1452, p:probe(0))
    end
    p:lost(1452)
    local size = p:probe(0)
    p:too_big(size)
    p:too_big(1440)
    p:lost(size)
    assert.equal(size, p:probe(0))
  end)

  it("that comes after the loss counts as well", function()
    local p = recovery.pmtu(1452)
    p:lost(p:probe(0))
    p:too_big(1400)
    assert.equal(1400, p:probe(0))
  end)
end)

describe("a black hole", function()
  local function found(most)
    local p = recovery.pmtu(most or 1452)
    search(p, 65535, 0)
    return p
  end

  -- covers: rfc8899#4.3.1
  it("is where larger datagrams are lost three times in a row and nothing as large comes", function()
    local p = found()
    p:round(1452, 0, 0)
    p:round(1452, 0, 0)
    p:round(0, 1452, 0)
    p:round(1452, 1452, 0)
    p:round(1452, 0, 0)
    p:round(1452, 1300, 0)
    assert.equal(1452, p:state().size)
    p:round(1452, 0, 0)
    local state = p:state()
    assert.same({ 1200, 1 }, { state.size, state.black_holes })
    for _ = 1, 10 do p:round(1452, 0, 0) end -- what was under way then
    assert.equal(1, p:state().black_holes)
  end)

  it("takes six lost datagrams at least: a path may lose a part of all", function()
    local p = found()
    for _ = 1, 5 do p:round(1452, 0, 0, 1) end
    assert.equal(1452, p:state().size)
    p:round(1452, 0, 0, 1)
    assert.equal(1200, p:state().size)
    p = found()
    p:round(1452, 0, 0, 1000)
    p:round(1452, 0, 0, 1)
    assert.equal(1452, p:state().size)
    p:round(1452, 0, 0, 1)
    assert.equal(1200, p:state().size)
  end)

  -- covers: rfc9000#14.2.1.7
  it("is believed after one such loss with a PTB message, which says what to try", function()
    local p = found()
    p:too_big(1300)
    p:round(1452, 0, 0)
    assert.equal(1200, p:state().size)
    assert.equal(1300, p:probe(10 * SECOND))
  end)

  it("is left from below, later each time", function()
    local p, now = found(), 0
    for _, wait in ipairs({ 10, 20, 40, 80, 160, 320, 640, 640 }) do
      for _ = 1, 3 do p:round(p:state().size, 0, now) end
      assert.equal(1200, p:state().size)
      assert.is_nil(p:probe(now + wait * SECOND - 1))
      now = now + wait * SECOND
      search(p, 1400, now)
      local size = p:state().size
      assert.is_true(size >= 1384 and size <= 1400, size)
      now = now + 600 * SECOND
      search(p, 65535, now)
      assert.equal(1452, p:state().size)
    end
  end)

  it("may begin at any size above 1200 bytes", function()
    local p = found()
    for _ = 1, 3 do p:round(1250, 1210, 0) end
    assert.equal(1200, p:state().size)
    search(p, 65535, 10 * SECOND)
    assert.is_true(p:state().size < 1250)
  end)
end)

describe("EMSGSIZE", function()
  it("ends the try of a probe at once, with what the link takes", function()
    local p = recovery.pmtu(9000)
    local size = p:probe(0)
    p:refused(size, 1472, 0)
    assert.equal(1472, p:probe(0))
    p:lost(9000) -- what loss detection says of it later
    p:acked(1472)
    assert.equal(1472, p:state().size)
  end)

  it("of other datagrams is a loss, and of 1200 bytes nothing", function()
    local p = recovery.pmtu(1452)
    search(p, 1452, 0)
    p:refused(1452, 0, 0)
    assert.equal(1452, p:state().size)
    p:refused(1452, 0, 0)
    p:refused(1452, 0, 0)
    assert.equal(1200, p:state().size)
    for _ = 1, 10 do p:refused(1200, 0, 0) end
    assert.equal(1, p:state().black_holes)
  end)
end)

describe("a probe of the datagram size", function()
  local function new(options)
    options = options or {}
    options.server, options.most = true, options.most or 1452
    local r = recovery.new(options)
    r:set(0, { handshake_confirmed = true })
    r:send(APP, 0, 0)
    r:ack(APP, { { 0, 0 } }, 100 * MS)
    return r
  end

  -- covers: rfc9000#14.4.1 rfc8899#3.16
  it("that is lost is no congestion", function()
    for _, controller in ipairs({ "newreno", "telling", "steered" }) do
      local r = new({ controller = controller })
      local window = r:state().window
      r:send(APP, 1, 200 * MS, { size = 1452, size_probe = true })
      assert.equal(1452, r:state().in_flight) -- but it counts against the window
      for number = 2, 5 do r:send(APP, number, 200 * MS) end
      r:ack(APP, { { 2, 5 } }, 300 * MS)
      local state = r:state()
      assert.same({ 0, 0, 0, 1 }, { state.in_flight, state.packets_lost, state.bytes_lost, state.size_probes_lost })
      assert.is_true(state.window >= window)
      if controller == "steered" then
        local turn = r:take_turn()
        assert.same({ 0, 0, 0 }, { turn.lost_packets, turn.lost_bytes, turn.in_flight })
      end
    end
  end)

  it("that is acknowledged makes the datagrams larger", function()
    local r = new()
    assert.equal(1200, r:state().udp_payload_size)
    r:send(APP, 1, 200 * MS, { size = 1452, size_probe = true })
    r:ack(APP, { { 1, 1 } }, 300 * MS)
    assert.equal(1452, r:state().udp_payload_size)
  end)

  it("does not make persistent congestion", function()
    local r = new()
    r:send(APP, 1, 200 * MS, { size = 1452, size_probe = true })
    r:send(APP, 2, 3000 * MS, { size = 1452, size_probe = true })
    for number = 3, 6 do r:send(APP, number, 3000 * MS) end
    local window = r:state().window
    r:ack(APP, { { 3, 6 } }, 3100 * MS)
    assert.is_true(r:state().window >= window)
  end)

  it("is not waited for by the PTO", function()
    local r = new()
    r:send(APP, 1, 200 * MS, { size = 1452, size_probe = true })
    assert.is_nil(r:state().timer)
    r:send(APP, 2, 300 * MS)
    local at = r:state().timer
    r:send(APP, 3, 400 * MS, { size = 1452, size_probe = true })
    assert.equal(at, r:state().timer)
    assert.equal(1, r:sent(APP).eliciting)
  end)

  it("is given up a PTO later where nothing else is sent", function()
    local r = new()
    r:send(APP, 1, 200 * MS, { size = 1452, size_probe = true })
    r:expire(300 * MS)
    assert.equal(1452, r:state().in_flight)
    r:expire(2000 * MS)
    assert.same({ 0, 1 }, { r:state().in_flight, r:state().size_probes_lost })
    assert.equal("acked", r:fate(APP).fate)
    assert.equal("lost", r:fate(APP).fate)
  end)
end)

describe("a probe of the datagram size that never left", function()
  it("takes no room in the window", function()
    local r = recovery.new({ server = true, most = 1452 })
    r:send(APP, 0, 0, { size = 1452, size_probe = true })
    r:send(APP, 1, 0)
    r:expire(0, true)
    assert.same({ 1200, 0 }, { r:state().in_flight, r:state().packets_lost })
  end)
end)

describe("datagrams while probes of the PTO are unanswered", function()
  it("have 1200 bytes", function()
    local r = recovery.new({ server = true, most = 1452 })
    r:set(0, { handshake_confirmed = true })
    r:send(APP, 0, 0, { size = 1452, size_probe = true })
    r:ack(APP, { { 0, 0 } }, 100 * MS)
    assert.equal(1452, r:state().udp_payload_size)
    r:send(APP, 1, 100 * MS, { size = 1452 })
    r:timeout(r:state().timer)
    assert.equal(1200, r:state().udp_payload_size)
    r:send(APP, 2, 1000 * MS)
    r:ack(APP, { { 2, 2 } }, 1100 * MS)
    assert.equal(1452, r:state().udp_payload_size)
  end)

  -- covers: rfc8899#4.3.1
  it("show a black hole: full ones are lost, they come", function()
    local r, now, number = recovery.new({ server = true, most = 1452 }), 100 * MS, 0
    r:set(0, { handshake_confirmed = true })
    r:send(APP, 0, 0, { size = 1452, size_probe = true })
    r:ack(APP, { { 0, 0 } }, now)
    for round = 1, 3 do
      assert.same({ 1452, 0 }, { r:state().udp_payload_size, r:state().black_holes }, round)
      for _ = 1, 4 do
        number = number + 1
        r:send(APP, number, now, { size = 1452 })
      end
      now = r:state().timer
      r:timeout(now)
      number = number + 1
      r:send(APP, number, now, { size = r:state().udp_payload_size })
      now = now + 100 * MS
      r:ack(APP, { { number, number } }, now)
    end
    assert.same({ 1200, 1 }, { r:state().udp_payload_size, r:state().black_holes })
  end)
end)
