local recovery = require("neap.units").recovery

local MS = 1000000
local LIMIT, NO_MEMORY = -15, -2
local APP = "application"
local STREAM, ACK = 2, 0

local function all_fates(r, space)
  local fates = {}
  for fate in function() return r:fate(space or APP) end do
    fates[#fates + 1] = fate.fate .. " " .. fate.number
  end
  return fates
end

describe("sent packets", function()
  local r
  before_each(function() r = recovery.new({ server = true, controller = "newreno" }) end)

  it("take no memory before the first and little for a few", function()
    assert.equal(0, r:state().memory)
    for number = 0, 15 do r:send(APP, number, 0, { frames = { { kind = STREAM }, { kind = STREAM } } }) end
    assert.same({ packets = 16, packet_room = 16, frames = 32, frame_room = 32, eliciting = 16 }, r:sent(APP))
    assert.is_true(r:state().memory < 2048)
  end)

  it("keep their frames in order through growth and wrap-around", function()
    local sent, taken = 0, 0
    local function send(count)
      for _ = 1, count do
        local frames = {}
        for i = 1, sent % 4 do
          frames[i] = { kind = STREAM, id = sent * 10 + i, offset = sent, size = i, fin = i == 2 }
        end
        assert.equal(0, r:send(APP, sent, 0, { frames = frames }))
        sent = sent + 1
      end
    end
    local function take(count)
      r:ack(APP, { { taken, taken + count - 1 } }, MS)
      for fate in function() return r:fate(APP) end do
        assert.equal(taken, fate.number)
        assert.equal("acked", fate.fate)
        assert.equal(taken % 4, #fate.frames)
        for i, frame in ipairs(fate.frames) do
          assert.same({ kind = STREAM, id = taken * 10 + i, offset = taken, size = i, fin = i == 2 }, frame)
        end
        taken = taken + 1
      end
    end
    for round = 1, 60 do
      send(7 + round)
      take(5 + round)
    end
    assert.equal(120, sent - taken)
    assert.equal(120, r:sent(APP).packets)
    take(120)
    local s = r:sent(APP)
    assert.same({ 0, 0, 0 }, { s.packets, s.frames, s.eliciting })
    assert.equal(0, r:state().in_flight)
  end)

  it("are found by their number, also with gaps between", function()
    for i = 0, 40 do r:send(APP, 3 * i + 5, 0) end
    assert.equal(0, r:find(APP, 5))
    assert.equal(40, r:find(APP, 125))
    assert.equal(10, r:find(APP, 35))
    assert.is_nil(r:find(APP, 36))
    assert.is_nil(r:find(APP, 4))
    assert.is_nil(r:find(APP, 126))
  end)

  it("tell each fate once, in the order of sending, and give their room back", function()
    for number = 0, 9 do r:send(APP, number, number * MS) end
    r:ack(APP, { { 8, 9 }, { 3, 3 } }, 50 * MS)
    assert.same({ "lost 0", "lost 1", "lost 2", "acked 3", "lost 4", "lost 5", "lost 6", "acked 8", "acked 9" },
      all_fates(r))
    assert.same({}, all_fates(r))
    assert.equal(3, r:sent(APP).packets) -- 7 still flies and holds what came after it
    r:ack(APP, { { 7, 7 } }, 51 * MS)
    assert.same({ "acked 7" }, all_fates(r))
    assert.equal(0, r:sent(APP).packets)
  end)

  it("may be added while fates are being taken", function()
    for number = 0, 3 do r:send(APP, number, 0, { frames = { { kind = STREAM, id = number } } }) end
    r:ack(APP, { { 0, 3 } }, MS)
    local fate = r:fate(APP)
    assert.equal(0, fate.number)
    for number = 4, 40 do r:send(APP, number, MS, { frames = { { kind = STREAM, id = number } } }) end
    assert.same({ "acked 1", "acked 2", "acked 3" }, all_fates(r))
    r:ack(APP, { { 4, 40 } }, 2 * MS)
    assert.equal(4, r:fate(APP).frames[1].id)
    -- Not all were taken when the next ACK comes.
    r:send(APP, 41, 2 * MS)
    r:ack(APP, { { 41, 41 } }, 3 * MS)
    assert.equal(37, #all_fates(r))
  end)

  it("are refused at the bound, and taken again when there is room", function()
    local code
    local number = 0
    repeat
      code = r:send(APP, number, 0)
      number = number + 1
    until code ~= 0 or number > 70000
    assert.equal(LIMIT, code)
    assert.equal(65537, number)
    r:ack(APP, { { 0, 99 } }, MS)
    assert.equal(100, #all_fates(r))
    assert.equal(0, r:send(APP, number, MS))
  end)

  it("are refused when their frames are too many, and unharmed", function()
    local frames = {}
    for i = 1, 32 do frames[i] = { kind = STREAM, id = i } end
    local number, code = 0
    repeat
      code = r:send(APP, number, 0, { frames = frames })
      number = number + 1
    until code ~= 0 or number > 5000
    assert.equal(LIMIT, code)
    assert.equal(131072 / 32, number - 1)
    r:ack(APP, { { 0, number - 2 } }, MS)
    assert.equal(number - 1, #all_fates(r))
  end)

  it("are refused without memory, and what is there stays", function()
    r = recovery.new({ server = true, memory_limit = 65536 * 2 })
    local number, code = 0
    repeat
      code = r:send(APP, number, 0, { frames = { { kind = STREAM, id = number } } })
      number = number + 1
    until code ~= 0 or number > 70000
    assert.equal(NO_MEMORY, code)
    assert.is_true(number > 100)
    r:ack(APP, { { 0, number - 2 } }, MS)
    assert.equal(number - 1, #all_fates(r))
    assert.equal(0, r:state().in_flight)
  end)

  it("that elicit nothing stay few though nobody acknowledges them", function()
    for number = 0, 2 do r:send(APP, number, 0, { frames = { { kind = STREAM }, { kind = STREAM } } }) end
    for number = 3, 99999 do
      local frames = { { kind = ACK, id = number } }
      assert.equal(0, r:send(APP, number, 0, { eliciting = false, size = 40, frames = frames }))
    end
    assert.same({ 3 + 8, 6 + 8, 3 }, { r:sent(APP).packets, r:sent(APP).frames, r:sent(APP).eliciting })
    assert.equal(3600, r:state().in_flight)
    r:ack(APP, { { 0, 2 } }, MS)
    assert.same({ "acked 0", "acked 1", "acked 2" }, all_fates(r))
    -- The newest is still there: its ACK can be confirmed.
    r:ack(APP, { { 99999, 99999 } }, MS)
    local fate = r:fate(APP)
    assert.same({ 99999, "acked", 99999 }, { fate.number, fate.fate, fate.frames[1].id })
    assert.is_nil(r:fate(APP))
    assert.equal(0, r:sent(APP).packets)
  end)

  it("that elicit nothing go without a word once something newer is acknowledged", function()
    r:send(APP, 0, 0, { eliciting = false })
    r:send(APP, 1, 0)
    r:ack(APP, { { 1, 1 } }, 10 * MS)
    assert.same({ "acked 1" }, all_fates(r))
    assert.equal(0, r:sent(APP).packets)
    assert.equal(0, r:state().packets_lost)
  end)

  it("give their memory back when nothing flies", function()
    for number = 0, 99 do r:send(APP, number, 0) end
    r:trim(APP)
    assert.equal(100, r:sent(APP).packets)
    r:ack(APP, { { 0, 99 } }, MS)
    r:trim(APP) -- fates are not taken yet
    assert.equal(100, #all_fates(r))
    r:send(APP, 100, MS, { eliciting = false })
    r:trim(APP)
    assert.equal(0, r:state().memory)
    assert.equal(0, r:send(APP, 101, 2 * MS))
    r:ack(APP, { { 101, 101 } }, 3 * MS)
    assert.same({ "acked 101" }, all_fates(r))
  end)
end)

describe("sent packets at random", function()
  it("have one fate each, and the bytes in flight add up", function()
    for seed = 1, 40 do
      local state = seed
      local function draw(below)
        state = (state * 16807) % 2147483647
        return state % below
      end
      local r = recovery.new({ server = true })
      r:set(0, { handshake_confirmed = true })
      local now, number, flying, fates = 0, 0, {}, {}
      local function take()
        for fate in function() return r:fate(APP) end do
          assert.is_nil(fates[fate.number])
          fates[fate.number] = fate.fate
          flying[fate.number] = nil
        end
      end
      for _ = 1, 300 do
        now = now + draw(20) * MS
        local action = draw(10)
        if action < 6 then
          for _ = 1, draw(12) do
            number = number + 1 + (draw(20) == 0 and 1 or 0)
            local eliciting = draw(5) > 0
            local in_flight = eliciting or draw(4) == 0
            local size = 100 + draw(1100)
            assert.equal(0, r:send(APP, number, now, { size = size, eliciting = eliciting, in_flight = in_flight,
              frames = { { kind = STREAM, id = number } } }))
            flying[number] = in_flight and size or nil
          end
        elseif action < 9 and number > 0 then
          local ranges, top = {}, number
          for _ = 1, 1 + draw(4) do
            local first = math.max(top - draw(8), 0)
            table.insert(ranges, 1, { first, top })
            top = first - 2 - draw(3)
            if top < 0 then break end
          end
          assert.equal(0, (r:ack(APP, ranges, now)))
          take()
        elseif r:state().timer then
          now = math.max(now, r:state().timer)
          r:timeout(now)
          take()
        end
        local sum = 0
        for _, size in pairs(flying) do sum = sum + size end
        assert.equal(sum, r:state().in_flight)
      end
      r:ack(APP, { { 0, number } }, now + MS)
      take()
      assert.equal(0, r:state().in_flight)
      assert.same({ 0, 0, 0 }, { r:sent(APP).packets, r:sent(APP).frames, r:sent(APP).eliciting })
    end
  end)
end)
