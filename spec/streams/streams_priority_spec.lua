local units = require("neap.units").streams
local codes = require("streams.codes")

local function open(s, count)
  local ids = {}
  for n = 1, count do ids[n] = s:open() end
  return ids
end

-- Which streams have their frames written, in order: their indices.
local function order_of(s, room)
  local order = {}
  while true do
    local f = s:write_data(room or 104)
    if not f then return order end
    order[#order + 1] = f.id / 4 + 1
  end
end

describe("streams of one urgency that are not incremental", function()
  local function new(count)
    local s = units.new({ peer = { streams_bidi = 1000 } })
    local ids = open(s, count)
    for _, id in ipairs(ids) do s:set_priority(id, 3, false) end
    return s, ids
  end

  it("go in the order of their IDs, each to its end, whatever came first", function()
    local s, ids = new(4)
    for _, n in ipairs { 3, 1, 4, 2 } do s:send(ids[n], ("x"):rep(150)) end
    assert.same({ 1, 1, 2, 2, 3, 3, 4, 4 }, order_of(s))
  end)

  it("let one with a lower ID go before them that has something again", function()
    local s, ids = new(3)
    s:send(ids[2], ("x"):rep(300))
    s:write_data(104)
    s:send(ids[1], "x")
    s:send(ids[3], "x")
    assert.same({ 1, 2, 2, 2, 3 }, order_of(s))
  end)

  it("keep their order when what was lost goes again", function()
    local s, ids = new(3)
    for n = 1, 3 do s:send(ids[n], ("x"):rep(150)) end
    local first = s:write_data(104)
    local second = s:write_data(204)
    s:write_data(204)
    s:lost(second)
    s:lost(first)
    assert.same({ 1, 1, 3, 3 }, order_of(s))
  end)

  it("stay where they are beside incremental ones, which take turns", function()
    local s, ids = new(4)
    s:set_priority(ids[1], 3, true)
    s:set_priority(ids[3], 3, true)
    for n = 4, 1, -1 do s:send(ids[n], ("x"):rep(150)) end
    local order = order_of(s)
    local places = {}
    for at, n in ipairs(order) do places[n] = places[n] or at end
    assert.is_true(places[2] < places[4])
    assert.equal(8, #order)
  end)

  it("are held against 64 of them at most, so that no order of the peer's costs more", function()
    local s, ids = new(200)
    for n = 200, 1, -1 do s:send(ids[n], "x") end
    local order = order_of(s) -- each was the lowest when it came
    for n = 1, 200 do assert.equal(n, order[n]) end
    s:send(ids[1], "x")
    for n = 100, 200 do s:send(ids[n], "x") end
    s:send(ids[2], "x")
    order = order_of(s)
    assert.same({ 1, 100 }, { order[1], order[2] })
    for at, n in ipairs(order) do
      if n == 2 then assert.equal(103 - 64, at) end
    end
  end)

  it("become incremental, and the other way round, where they stand", function()
    local s, ids = new(2)
    s:send(ids[1], ("x"):rep(250))
    s:send(ids[2], ("x"):rep(250))
    s:set_priority(ids[1], 3, true)
    s:set_priority(ids[2], 3, true)
    assert.same({ 1, 2, 1 }, { s:write_data(104).id / 4 + 1, s:write_data(104).id / 4 + 1,
      s:write_data(104).id / 4 + 1 })
    s:set_priority(ids[2], 3, false)
    s:set_priority(ids[1], 3, false)
    assert.same({ 1, 2, 2 }, order_of(s))
  end)
end)

describe("a stream that was put first", function()
  it("goes before all others, of whatever urgency, and keeps its place", function()
    local s = units.new()
    local ids = open(s, 3)
    s:set_priority(ids[1], 0, false)
    s:set_priority(ids[2], 0, true)
    s:send(ids[1], ("x"):rep(250))
    s:send(ids[2], ("x"):rep(250))
    s:write_data(104)
    s:put_first(ids[3])
    s:send(ids[3], ("x"):rep(250))
    assert.equal(0, s:set_priority(ids[3], 7, true)) -- says nothing any more
    local order = order_of(s)
    assert.same({ 3, 3, 3 }, { order[1], order[2], order[3] })
  end)

  it("is found while it waits", function()
    local s = units.new()
    local ids = open(s, 2)
    s:send(ids[1], "x")
    s:send(ids[2], "x")
    s:put_first(ids[2])
    assert.same({ 2, 1 }, order_of(s))
  end)
end)

describe("streams with a low-water mark", function()
  it("are told as writable when so much is free, and not before", function()
    local s = units.new({ send_buffer = 10000 })
    local id = s:open()
    assert.equal(0, s:set_low_water(id, 5000))
    assert.equal(10000, s:send(id, ("x"):rep(20000)))
    local frames = {}
    for n = 1, 10 do frames[n] = s:write_data(1000) end
    for n = 1, 5 do
      s:acked(frames[n])
      assert.equal(-1, s:writable_next())
    end
    s:acked(frames[6])
    assert.equal(id, s:writable_next())
    assert.equal(-1, s:writable_next())
  end)

  it("are told without a send that came short", function()
    local s = units.new({ send_buffer = 10000 })
    local id = s:open()
    s:send(id, ("x"):rep(6000))
    assert.equal(0, s:set_low_water(id, 5000))
    assert.equal(-1, s:writable_next())
    while true do
      local f = s:write_data()
      if not f then break end
      s:acked(f)
    end
    assert.equal(id, s:writable_next())
  end)

  it("are told when there is that much already, if they wait", function()
    local s = units.new({ send_buffer = 10000 })
    local id = s:open()
    s:set_low_water(id, 5000)
    s:send(id, ("x"):rep(10001))
    s:acked(s:write_data(3000))
    assert.equal(-1, s:writable_next())
    s:set_low_water(id, 1000)
    assert.equal(id, s:writable_next())
  end)

  it("are told when nothing is held, since more may never be free", function()
    local s = units.new({ send_buffer = 100000, send_ahead = 1000, peer = { bidi_remote = 2000 } })
    local id = s:open()
    s:set_low_water(id, 50000)
    assert.equal(3000, s:send(id, ("x"):rep(50000)))
    s:acked(s:write_data(2100))
    assert.equal(-1, s:writable_next())
    s:on_max_stream_data(id, 4000)
    s:acked(s:write_data(2100))
    assert.equal(id, s:writable_next())
  end)

  it("have one no larger than the send buffer", function()
    local s = units.new({ send_buffer = 10000 })
    local id = s:open()
    s:set_low_water(id, 4000000000)
    s:send(id, ("x"):rep(10001))
    while true do
      local f = s:write_data()
      if not f then break end
      s:acked(f)
    end
    assert.equal(id, s:writable_next())
  end)

  it("must be there, and take something", function()
    local s = units.new()
    assert.equal(codes.STREAM_STATE, s:set_low_water(400, 1))
    local id = s:open()
    s:on_stop_sending(id, 1)
    assert.equal(codes.STREAM_STOPPED, s:set_low_water(id, 1))
  end)
end)

describe("streams that wait for the connection's credit", function()
  local AHEAD = 1000

  local function new(count, peer)
    local s = units.new({ send_ahead = AHEAD, peer = peer })
    return s, open(s, count)
  end

  it("are the ones that are looked at when it comes", function()
    local s, ids = new(100, { bidi_remote = 100, max_data = 1000000 })
    for _, id in ipairs(ids) do s:send(id, ("x"):rep(5000)) end -- all of them lack credit of their own
    assert.same({}, s:blocked())
    s:on_max_data(2000000)
    assert.equal(-1, s:writable_next())

    s, ids = new(3, { bidi_remote = 1000000, max_data = 100 })
    for _, id in ipairs(ids) do s:send(id, ("x"):rep(5000)) end
    assert.same(ids, s:blocked())
    s:on_max_data(1000000)
    for _, id in ipairs(ids) do assert.equal(id, s:writable_next()) end
    assert.same({}, s:blocked())
  end)

  it("leave the list when they lack something else, and come back to it", function()
    local s, ids = new(1, { bidi_remote = 100, max_data = 10 })
    s:send(ids[1], ("x"):rep(5000))
    assert.same(ids, s:blocked())
    s:on_max_data(100000)
    assert.equal(-1, s:writable_next())
    assert.same({}, s:blocked())
    local other = s:open()
    s:on_max_stream_data(other, 1000000)
    s:send(other, ("x"):rep(98000))
    s:on_max_stream_data(ids[1], 1000000)
    assert.same(ids, s:blocked())
    s:on_max_data(1000000)
    assert.equal(ids[1], s:writable_next())
  end)

  it("are told what little there is as long as it does for something", function()
    local s, ids = new(2, { bidi_remote = 1000000, max_data = 10 })
    for _, id in ipairs(ids) do s:send(id, ("x"):rep(5000)) end
    s:on_max_data(AHEAD * 2 + 5000)
    assert.equal(ids[1], s:writable_next())
    s:send(ids[1], ("x"):rep(5000))
    assert.equal(ids[2], s:writable_next()) -- it could have gone first
    assert.equal(codes.AGAIN, s:send(ids[2], "x"))
    assert.equal(-1, s:writable_next())
  end)

  it("cost a look at 64 in vain, however many there are", function()
    local s, ids = new(300, { bidi_remote = 1000000, max_data = 10, streams_bidi = 300 })
    for n, id in ipairs(ids) do
      s:set_low_water(id, n < 300 and 500000 or 0)
      s:send(id, ("x"):rep(5000))
    end
    assert.equal(300, #s:blocked())
    s:on_max_data(310000)
    assert.equal(-1, s:writable_next())
    assert.equal(ids[65], s:blocked()[1])
    for _ = 1, 3 do s:writable_next() end
    assert.equal(ids[300], s:writable_next()) -- at last
  end)

  it("are gone from the list when they are reset, stopped or dropped", function()
    local s, ids = new(3, { bidi_remote = 1000000, max_data = 10 })
    for _, id in ipairs(ids) do s:send(id, ("x"):rep(5000)) end
    s:shutdown(ids[1], "write", 1)
    s:on_stop_sending(ids[2], 1)
    assert.same({ ids[3] }, s:blocked())
    assert.equal(ids[2], s:writable_next())
    s:on_max_data(1000000)
    assert.equal(ids[3], s:writable_next())
    assert.equal(-1, s:writable_next())
  end)
end)

describe("the bound on what a connection's streams hold", function()
  it("is shared by them, and leaves 2 KiB to one that holds nothing", function()
    local s = units.new({ send_most = 10000 })
    local a, b = s:open(), s:open()
    assert.equal(10000, s:send(a, ("x"):rep(20000)))
    assert.equal(2048, s:send(b, ("x"):rep(20000)))
    assert.equal(codes.AGAIN, s:send(b, "x"))
    while true do
      local f = s:write_data()
      if not f then break end
      s:acked(f)
    end
    assert.equal(a + b, s:writable_next() + s:writable_next())
    assert.equal(-1, s:writable_next())
    assert.equal(10000, s:capacity(a))
  end)
end)

describe("what is counted of streams", function()
  it("are resets and stops of both sides, and frames that say that somebody is blocked", function()
    local s = units.new({ peer = { bidi_remote = 100, max_data = 250, streams_bidi = 3 } })
    local ids = open(s, 3)
    assert.equal(codes.STREAM_LIMIT, s:open())
    for _, id in ipairs(ids) do s:send(id, ("x"):rep(101)) end
    while true do
      local f = s:write_data()
      if not f then break end
    end
    while s:write_control() do end
    local n = s:counters()
    assert.same({ 1, 2, 1 }, { n.data_blocked_sent, n.stream_data_blocked_sent, n.streams_blocked_sent })
    s:shutdown(ids[1], "read", 1)
    s:shutdown(ids[1], "write", 1)
    s:on_stop_sending(ids[2], 1)
    s:on_reset_stream(ids[2], 1, 0)
    s:on_reset_stream(ids[2], 1, 0)
    s:on_data_blocked()
    s:on_stream_data_blocked(ids[3])
    s:on_streams_blocked(true, 0)
    n = s:counters()
    assert.same({ 2, 1, 1, 1 }, { n.resets_sent, n.resets_received, n.stops_sent, n.stops_received })
    assert.same({ 1, 1, 1 },
      { n.data_blocked_received, n.stream_data_blocked_received, n.streams_blocked_received })
  end)

  it("are bytes that are sent again", function()
    local s = units.new()
    local id = s:open()
    s:send(id, ("x"):rep(1000))
    s:lost(s:write_data(500))
    while s:write_data() do end
    assert.is_true(s:counters().bytes_resent > 490 and s:counters().bytes_resent < 500)
  end)
end)
