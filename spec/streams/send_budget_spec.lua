-- What is queued for the peer: counted exactly, little of it without credit, and bounded for connections together.
local units = require("neap.units").streams
local codes = require("streams.codes")
local dice = require("streams.dice")

local FLOOR, LEAST, AHEAD = 65536, 2048, 16384

--- A server's table, to whose peer all credit is given but what `peer` says.
local function new(config)
  config.is_server = true
  config.peer = config.peer or { max_data = 16777216, bidi_remote = 16777216 }
  return units.new(config)
end

--- Queue as much as is taken: how much.
local function fill(s, id)
  local sum = 0
  while true do
    local taken = s:send(id, ("x"):rep(100000))
    if taken <= 0 then return sum end
    sum = sum + taken
  end
end

--- Everything leaves that may: the frames, in order.
local function flush(s)
  local frames = {}
  while s:write_control() do end
  while true do
    local frame = s:write_data()
    if not frame then return frames end
    frames[#frames + 1] = frame
  end
end

describe("what is queued", function()
  it("is counted from when it is taken until it is acknowledged", function()
    local s = new({})
    local id, other = s:open(), s:open()
    s:send(id, ("a"):rep(3000))
    assert.equal(0, s:queue(other, ("b"):rep(150)))
    assert.same({ 3150, 3150, 3150, 2 }, { s:queued() })
    local frames = flush(s)
    assert.same({ 3150, 3150, 0, 2 }, { s:queued() })
    s:lost(frames[1])
    assert.same({ 3150, 3150, 0, 2 }, { s:queued() })
    for _, frame in ipairs(frames) do s:acked(frame) end
    assert.same({ 0, 0, 0, 0 }, { s:queued() })
  end)

  it("is not counted when it is dropped", function()
    local s = new({})
    local ours, theirs = s:open(), s:open()
    s:send(ours, ("a"):rep(3000))
    s:send(theirs, ("a"):rep(500))
    s:write_data(1000)
    s:shutdown(ours, "write", 7)
    assert.same({ 500, 500, 500, 1 }, { s:queued() })
    s:on_stop_sending(theirs, 7)
    assert.same({ 0, 0, 0, 0 }, { s:queued() })
  end)

  it("is what a model says, whatever happens", function()
    local roll = dice(5)
    for _ = 1, 20 do
      local s, model, flight = new({ send_buffer = 5000 }), {}, {}
      for _ = 1, 200 do
        local what = roll(10)
        local id = roll(4) * 4 + 1 - 4
        if not model[id] then
          id = s:open()
          if id >= 0 then model[id] = { queued = 0, sent = 0, acked = {}, base = 0 } end
        elseif what < 4 then
          s:fail(roll(4) == 0 and 1 or 0, roll(3))
          model[id].queued = model[id].queued + math.max(0, s:send(id, ("z"):rep(roll(3000))))
          s:fail(0)
        elseif what < 7 then
          local frame = s:write_data(roll(1200) + 30)
          if frame then
            flight[#flight + 1] = frame
            local m = model[frame.id]
            if not m.gone then m.sent = math.max(m.sent, frame.offset + #frame.data) end
          end
        elseif what < 9 and #flight > 0 then
          local frame = table.remove(flight, roll(#flight))
          if roll(4) == 0 then s:lost(frame) else
            s:acked(frame)
            local m = model[frame.id]
            for at = frame.offset, frame.offset + #frame.data - 1 do m.acked[at] = true end
            while m.acked[m.base] do m.base = m.base + 1 end
          end
        elseif roll(10) == 0 and not model[id].gone then
          s:shutdown(id, "write", 0)
          model[id].gone = true
        end
        local held, unsent, holders = 0, 0, 0
        for _, m in pairs(model) do
          holders = holders + ((m.gone or m.queued == m.base) and 0 or 1)
          held = held + (m.gone and 0 or m.queued - m.base)
          unsent = unsent + (m.gone and 0 or m.queued - m.sent)
        end
        assert.same({ held, held, unsent, holders }, { s:queued() })
      end
    end
  end)
end)

describe("a stream without credit", function()
  it("holds little, and goes on when it gets some", function()
    local s = new({ send_ahead = AHEAD, peer = { max_data = 1048576, bidi_remote = 5000 } })
    local id = s:open()
    assert.equal(5000 + AHEAD, s:capacity(id))
    assert.equal(5000 + AHEAD, fill(s, id))
    local frames = flush(s)
    for _, frame in ipairs(frames) do s:acked(frame) end
    assert.equal(-1, s:writable_next()) -- that makes no difference
    s:on_max_stream_data(id, 5000 + LEAST - 1)
    assert.equal(-1, s:writable_next())
    s:on_max_stream_data(id, 5000 + LEAST)
    assert.equal(id, s:writable_next())
    assert.equal(LEAST, fill(s, id))
    s:on_max_stream_data(id, 1000000)
    assert.equal(id, s:writable_next())
    assert.equal(-1, s:writable_next())
  end)

  it("has the whole buffer where it has the credit", function()
    local s = new({ send_ahead = AHEAD, send_buffer = 300000 })
    assert.equal(300000, fill(s, s:open()))
  end)

  it("holds what its buffer has when somebody chose that", function()
    local s = new({ send_buffer = 300000, peer = { max_data = 0, bidi_remote = 0 } })
    assert.equal(300000, fill(s, s:open()))
  end)
end)

describe("streams of a connection without credit", function()
  it("hold little each, and what there is of credit once", function()
    local s = new({ send_ahead = AHEAD, peer = { max_data = 100000, bidi_remote = 1048576 } })
    local sum, ids = 0, {}
    for i = 1, 10 do
      ids[i] = s:open()
      sum = sum + fill(s, ids[i])
    end
    assert.equal(100000 + 9 * AHEAD, sum)
    assert.equal(0, s:capacity(ids[1]))
    assert.equal(AHEAD, s:capacity(s:open()))
    for _, frame in ipairs(flush(s)) do s:acked(frame) end
    while s:writable_next() >= 0 do end
    for _, id in ipairs(ids) do fill(s, id) end
    -- More of it is told to all of them.
    s:on_max_data(400000)
    local told = 0
    while s:writable_next() >= 0 do told = told + 1 end
    assert.equal(10, told)
  end)
end)

describe("a used up budget", function()
  local BUDGET = 1048576

  it("leaves as much for others as a connection takes, and 64 KiB in any case", function()
    local s = new({ send_budget = BUDGET })
    local id = s:open()
    assert.equal(BUDGET / 2, fill(s, id))
    local second = s:open()
    assert.equal(LEAST, fill(s, second))
    for others, taken in pairs({ [BUDGET / 2] = BUDGET / 4, [BUDGET] = FLOOR, [2 * BUDGET] = FLOOR }) do
      local t = new({ send_budget = BUDGET })
      t:others_queue(others)
      assert.equal(taken, t:capacity(t:open()))
      assert.equal(taken, fill(t, 1))
    end
  end)

  it("is shared by the streams that hold something", function()
    local s = new({ send_budget = BUDGET })
    s:others_queue(BUDGET)
    local first = s:open()
    assert.equal(40000, s:send(first, ("x"):rep(40000)))
    local second = s:open()
    -- Half of the connection's 64 KiB is more than what is left.
    assert.equal(FLOOR - 40000, fill(s, second))
    for _, frame in ipairs(flush(s)) do
      if frame.id == first then s:acked(frame) end
    end
    assert.equal(FLOOR / 2, fill(s, first))
    assert.equal(FLOOR / 2 - (FLOOR - 40000), fill(s, second))
  end)

  it("leaves a little for each stream that the peer waits for, and nothing for others", function()
    local s = new({ send_budget = BUDGET, peer = { max_data = 200000, bidi_remote = 100000 } })
    s:others_queue(BUDGET)
    local full, poor = s:open(), s:open()
    assert.equal(FLOOR, fill(s, full))
    assert.equal(LEAST, s:capacity(poor))
    assert.equal(LEAST, fill(s, poor))
    assert.equal(codes.AGAIN, s:send(poor, "x"))
    -- What was acknowledged makes room for the next, while the other stream does not move.
    local sent = 0
    for _ = 1, 40 do
      for _, frame in ipairs(flush(s)) do
        if frame.id == poor then s:acked(frame) end
      end
      if s:writable_next() == poor then sent = sent + fill(s, poor) end
    end
    assert.equal(40 * LEAST, sent)
    -- Without credit nobody waits.
    for _, credit in ipairs({ { max_data = 0, bidi_remote = 100000 }, { max_data = 100000, bidi_remote = 0 } }) do
      local t = new({ send_budget = BUDGET, peer = credit })
      t:others_queue(BUDGET)
      assert.equal(FLOOR, fill(t, t:open()))
      assert.equal(codes.AGAIN, t:send(t:open(), "x"))
    end
  end)

  it("is what it was when all is acknowledged", function()
    local s = new({ send_budget = BUDGET })
    s:others_queue(BUDGET)
    local id = s:open()
    fill(s, id)
    for _, frame in ipairs(flush(s)) do s:acked(frame) end
    assert.same({ 0, BUDGET }, { (s:queued()), (select(2, s:queued())) })
    assert.equal(id, s:writable_next())
    assert.equal(FLOOR, s:capacity(id))
  end)
end)
