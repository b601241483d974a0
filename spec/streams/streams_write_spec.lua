local units = require("neap.units").streams
local codes = require("streams.codes")
local new_dice = require("streams.dice")

local function new(config) return units.new(config or {}) end

describe("what is owed as data", function()
  it("fills the room and tells the same as it writes", function()
    local s = new()
    local id = s:open()
    s:send(id, ("x"):rep(5000), true)
    local offset = 0
    while true do
      local f = s:write_data(1200)
      if not f then break end
      assert.equal(offset, f.offset)
      assert.is_true(f.size >= 1198 or f.fin)
      offset = offset + #f.data
      assert.equal(offset == 5000, f.fin)
    end
    assert.equal(5000, offset)
    assert.is_false(s:has_to_send())
  end)

  it("writes nothing into too small a room, and changes nothing", function()
    local s = new()
    local id = s:open()
    s:send(id, "abc", true)
    for room = 0, 3 do assert.is_nil(s:write_data(room)) end
    assert.is_true(s:has_to_send())
    assert.equal("a", s:write_data(4).data)
    assert.same({ "bc", true }, { s:write_data(20).data, true })
  end)

  -- covers: rfc9000#4.1.1
  -- covers: rfc9000#19.10.3
  -- covers: rfc9000#2.2.4
  it("keeps to the stream's limit, to the byte, and says STREAM_DATA_BLOCKED once a limit", function()
    local s = new({ peer = { bidi_remote = 100, max_data = 1000 } })
    local id = s:open()
    s:send(id, ("x"):rep(300))
    assert.equal(100, #s:write_data().data)
    assert.is_nil(s:write_data())
    -- covers: rfc9000#4.1.4
    -- covers: rfc9000#19.13.1
    local f = s:write_control()
    assert.same({ codes.frame.STREAM_DATA_BLOCKED, id, 100 }, { f.type, f.id, f.limit })
    assert.is_nil(s:write_control())
    s:send(id, "y")
    assert.is_nil(s:write_control())
    -- covers: rfc9000#4.1.3
    s:on_max_stream_data(id, 99)
    assert.is_nil(s:write_data())
    s:on_max_stream_data(id, 101)
    assert.equal(1, #s:write_data().data)
    assert.equal(101, s:write_control().limit)
  end)

  it("says STREAM_DATA_BLOCKED for a stream whose limit is 0", function()
    local s = new({ peer = { bidi_remote = 0 } })
    local id = s:open()
    s:send(id, "x")
    assert.is_nil(s:write_data())
    assert.same({ codes.frame.STREAM_DATA_BLOCKED, 0 }, { s:write_control().type, 0 })
  end)

  -- covers: rfc9000#19.12.1
  it("keeps to the connection's limit, to the byte, and says DATA_BLOCKED once a limit", function()
    local s = new({ peer = { max_data = 150 } })
    local a, b = s:open(), s:open()
    s:send(a, ("a"):rep(100))
    s:send(b, ("b"):rep(100), true)
    assert.equal(100, #s:write_data().data)
    assert.equal(50, #s:write_data().data)
    assert.is_nil(s:write_data())
    local f = s:write_control()
    assert.same({ codes.frame.DATA_BLOCKED, 150 }, { f.type, f.limit })
    assert.is_nil(s:write_data())
    assert.is_nil(s:write_control())
    assert.is_false(s:has_to_send())
    s:on_max_data(150)
    assert.is_false(s:has_to_send())
    s:on_max_data(151)
    assert.is_true(s:has_to_send())
    assert.equal(1, #s:write_data().data)
    assert.equal(151, s:write_control().limit)
    s:on_max_data(1000)
    f = s:write_data()
    assert.same({ 51, 49, true }, { f.offset, #f.data, f.fin })
    assert.equal(200, s:state().send_used)
  end)

  it("sends the end, and lost bytes, without connection credit", function()
    local s = new({ peer = { max_data = 10 } })
    local id = s:open()
    s:send(id, ("x"):rep(10))
    local f = s:write_data()
    assert.is_false(s:has_to_send())
    s:lost(f)
    assert.is_true(s:has_to_send())
    assert.equal(10, #s:write_data().data)
    s:send(id, "", true)
    assert.same({ 10, true }, { s:write_data().offset, true })
    assert.equal(10, s:state().send_used)
    assert.is_nil(s:write_control())
  end)

  it("does not count bytes twice when they are sent again", function()
    local s = new()
    local id = s:open()
    s:send(id, ("x"):rep(2000))
    for _ = 1, 5 do s:lost(s:write_data(500)) end
    while s:write_data() do end
    assert.equal(2000, s:state().send_used)
  end)

  -- covers: rfc9000#2.3.1
  it("goes round robin inside an urgency, and by urgency first", function()
    local s = new()
    local ids = { s:open(), s:open(), s:open(), s:open() }
    s:set_priority(ids[4], 1, true)
    for _, id in ipairs(ids) do s:send(id, ("x"):rep(250)) end
    local order = {}
    while true do
      local f = s:write_data(104)
      if not f then break end
      order[#order + 1] = f.id / 4 + 1
    end
    assert.same({ 4, 4, 4, 1, 2, 3, 1, 2, 3, 1, 2, 3 }, order)
  end)

  it("stays with a stream that is not incremental, also across a loss", function()
    local s = new()
    local ids = { s:open(), s:open() }
    for _, id in ipairs(ids) do
      s:set_priority(id, 3, false)
      s:send(id, ("x"):rep(250))
    end
    local order, lost = {}, false
    while true do
      local f = s:write_data(104)
      if not f then break end
      order[#order + 1] = f.id / 4 + 1
      if not lost then
        s:lost(f)
        lost = true
      end
    end
    assert.same({ 1, 1, 1, 1, 2, 2, 2 }, order)
  end)

  it("changes the place of a stream whose priority changes", function()
    local s = new()
    local a, b = s:open(), s:open()
    s:send(a, "a")
    s:send(b, "b")
    assert.equal(0, s:set_priority(b, 0, true))
    assert.equal(codes.ARGUMENT, s:set_priority(b, 8, true))
    assert.equal(codes.STREAM_STATE, s:set_priority(400, 0, true))
    assert.same({ "b", "a" }, { s:write_data().data, s:write_data().data })
  end)
end)

describe("a lost frame", function()
  local function has(s, expected)
    local f = s:write_control()
    assert.equal(expected, f and f.type)
    return f
  end

  -- covers: rfc9000#13.3.1
  it("of RESET_STREAM is sent again unchanged until it is acknowledged", function()
    local s = new()
    local id = s:open()
    s:send(id, "abc")
    s:write_data()
    s:shutdown(id, "write", 7)
    for _ = 1, 3 do
      local f = has(s, codes.frame.RESET_STREAM)
      assert.same({ 7, 3 }, { f.code, f.final_size })
      s:lost(f)
      s:on_stop_sending(id, 1000)
    end
    local f = has(s, codes.frame.RESET_STREAM)
    s:acked(f)
    s:lost(f)
    has(s, nil)
  end)

  it("of STOP_SENDING is sent again while the peer may send", function()
    local s = new({ is_server = true })
    s:on_stream(0, 0, "abc")
    s:shutdown(0, "read", 7)
    local f = has(s, codes.frame.STOP_SENDING)
    s:lost(f)
    f = has(s, codes.frame.STOP_SENDING)
    s:on_reset_stream(0, 7, 3)
    s:lost(f)
    has(s, nil)
  end)

  it("of MAX_DATA and MAX_STREAM_DATA is sent again only if it is the newest, with the newest value", function()
    local s = new({ is_server = true, ours = { max_data = 100, bidi_remote = 100 } })
    local function read(at)
      s:on_stream(0, at, ("x"):rep(50))
      s:recv(0)
      return has(s, codes.frame.MAX_DATA), has(s, codes.frame.MAX_STREAM_DATA)
    end
    local data1, stream1 = read(0)
    local data2, stream2 = read(50)
    assert.same({ 150, 150, 200, 200 }, { data1.limit, stream1.limit, data2.limit, stream2.limit })
    s:lost(data1)
    s:lost(stream1)
    has(s, nil)
    s:on_stream(0, 100, ("x"):rep(10))
    s:recv(0)
    s:lost(data2)
    s:lost(stream2)
    assert.equal(210, has(s, codes.frame.MAX_DATA).limit)
    local newest = has(s, codes.frame.MAX_STREAM_DATA)
    assert.equal(210, newest.limit)
    -- covers: rfc9000#13.3.2
    s:on_stream(0, 110, "", true)
    s:lost(newest)
    assert.is_false(s:has_to_send())
  end)

  it("of MAX_STREAMS is sent again only if it is the newest", function()
    local s = new({ is_server = true, ours = { streams_uni = 1 } })
    local frames = {}
    for i = 0, 1 do
      s:on_stream(i * 4 + 2, 0, "", true)
      s:recv(i * 4 + 2)
      frames[#frames + 1] = has(s, codes.frame.MAX_STREAMS_UNI)
    end
    s:lost(frames[1])
    has(s, nil)
    s:lost(frames[2])
    assert.equal(3, has(s, codes.frame.MAX_STREAMS_UNI).limit)
  end)

  it("of a BLOCKED frame is sent again only while that limit blocks", function()
    local s = new({ peer = { max_data = 5, bidi_remote = 5, streams_bidi = 1 } })
    local id = s:open()
    s:open()
    s:send(id, "123456")
    s:write_data()
    local streams = has(s, codes.frame.STREAMS_BLOCKED_BIDI)
    local stream = has(s, codes.frame.STREAM_DATA_BLOCKED)
    for _, f in ipairs({ streams, stream }) do
      s:lost(f)
      has(s, f.type)
    end
    s:on_max_stream_data(id, 6)
    s:on_max_streams(true, 2)
    s:lost(streams)
    s:lost(stream)
    s:write_data()
    local data = has(s, codes.frame.DATA_BLOCKED)
    s:lost(data)
    has(s, codes.frame.DATA_BLOCKED)
    s:on_max_data(100)
    s:lost(data)
    has(s, nil)
  end)

  it("of STREAM carries its end again", function()
    local s = new()
    local id = s:open()
    s:send(id, "abc", true)
    local f = s:write_data()
    s:lost(f)
    f = s:write_data()
    assert.same({ "abc", true }, { f.data, f.fin })
    s:lost(f)
    s:acked(f)
    assert.is_nil(s:write_data())
    assert.equal("data_recvd", s:stream(id).send)
  end)

  it("of a stream that is gone is nothing", function()
    local s = new()
    local id = s:open(false)
    s:send(id, "abc", true)
    local f = s:write_data()
    s:acked(f)
    has(s, nil)
    assert.is_nil(s:stream(id))
    s:lost(f)
    s:acked(f)
    assert.is_false(s:has_to_send())
  end)
end)

describe("the sending part", function()
  -- The transitions of figure 2, from every state, for every event.
  -- covers: rfc9000#3.3.1
  it("follows figure 2", function()
    local function prepared(state)
      local s = new()
      local id = s:open()
      local memory = {}
      if state == "ready" then return s, id, memory end
      s:send(id, "ab", state:match("^data") ~= nil)
      memory.data = s:write_data()
      if state == "data_recvd" then s:acked(memory.data) end
      if state:match("^reset") then
        s:shutdown(id, "write", 1)
        memory.reset = s:write_control()
      end
      if state == "reset_recvd" then s:acked(memory.reset) end
      return s, id, memory
    end
    local events = {
      write = function(s, id) s:send(id, "x") s:write_data() end,
      finish = function(s, id) s:send(id, "x", true) s:write_data() end,
      acked = function(s, _, memory) if memory.data then s:acked(memory.data) end end,
      lost = function(s, _, memory) if memory.data then s:lost(memory.data) end end,
      stop = function(s, id) s:on_stop_sending(id, 1) end,
      reset = function(s, id) s:shutdown(id, "write", 1) end,
      reset_acked = function(s, _, memory) if memory.reset then s:acked(memory.reset) end end,
    }
    local changes = {
      ready = { write = "send", finish = "data_sent", stop = "reset_sent", reset = "reset_sent" },
      send = { finish = "data_sent", stop = "reset_sent", reset = "reset_sent" },
      data_sent = { acked = "data_recvd", stop = "reset_sent", reset = "reset_sent" },
      data_recvd = {},
      reset_sent = { reset_acked = "reset_recvd" },
      reset_recvd = {},
    }
    for state, expected in pairs(changes) do
      for event, act in pairs(events) do
        local s, id, memory = prepared(state)
        assert.equal(state, s:stream(id).send)
        act(s, id, memory)
        assert.equal(expected[event] or state, s:stream(id).send, state .. " " .. event)
      end
    end
  end)
end)

describe("two tables with a lossy link between", function()
  --- Give a frame to the other side.
  local function deliver(to, f, now)
    local type = codes.frame
    if f.type == type.STREAM then return to:on_stream(f.id, f.offset, f.data, f.fin, now) end
    if f.type == type.RESET_STREAM then return to:on_reset_stream(f.id, f.code, f.final_size) end
    if f.type == type.STOP_SENDING then return to:on_stop_sending(f.id, f.code) end
    if f.type == type.MAX_DATA then
      to:on_max_data(f.limit)
      return 0
    end
    if f.type == type.MAX_STREAM_DATA then return to:on_max_stream_data(f.id, f.limit) end
    if f.type == type.MAX_STREAMS_BIDI then return to:on_max_streams(true, f.limit) end
    if f.type == type.MAX_STREAMS_UNI then return to:on_max_streams(false, f.limit) end
    if f.type == type.STREAM_DATA_BLOCKED then return to:on_stream_data_blocked(f.id) end
    if f.type == type.DATA_BLOCKED then return 0 end
    return to:on_streams_blocked(f.type == type.STREAMS_BLOCKED_BIDI, f.limit)
  end

  local function text_of(id, size) return (("stream %d "):format(id)):rep(size):sub(1, size) end

  --- Streams from a client to a server and back, each as long as its number says, until all are gone.
  local function run(seed)
    local dice = new_dice(seed)
    local limits = { max_data = 3000 + dice(9000), bidi_local = 500 + dice(3000), bidi_remote = 500 + dice(3000),
                     uni = 500 + dice(3000), streams_bidi = dice(6), streams_uni = dice(6) }
    local client = units.new({ ours = limits, peer = limits, send_buffer = 4000 })
    local server = units.new({ is_server = true, ours = limits, peer = limits, send_buffer = 4000 })
    local wanted, todo, sending, received = {}, 24, {}, { [client] = {}, [server] = {} }
    local flight, now, stopped = {}, 1, {}
    local function begin(s, id)
      local size = dice(4) == 1 and dice(9000) or dice(300)
      sending[#sending + 1] = { table = s, id = id, bytes = text_of(id, size), at = 0 }
      wanted[#wanted + 1] = { from = s, id = id, size = size }
    end
    local function write_some()
      for _, w in ipairs(sending) do
        if not w.done and dice(3) == 1 then
          local rest = w.bytes:sub(w.at + 1)
          local taken = w.table:send(w.id, rest, true)
          if taken == codes.STREAM_STOPPED then
            w.done = true
          elseif taken ~= codes.AGAIN then
            assert.is_true(taken >= 0, "send " .. taken)
            w.at = w.at + taken
            w.done = taken == #rest
          end
        end
      end
    end
    local function read_some(s)
      while true do
        local id = s:readable_next()
        if id < 0 then return end
        local known = received[s]
        if not known[id] then
          known[id] = ""
          if s == server and id % 4 == 0 then begin(server, id) end
        end
        if id % 4 ~= 0 and dice(12) == 1 then
          s:shutdown(id, "read", 5)
          stopped[id] = true
        else
          while true do
            local bytes, fin = s:recv(id, dice(3000), now, 5)
            if type(bytes) == "number" then
              assert.is_true(bytes == codes.AGAIN or bytes == codes.STREAM_RESET, "recv " .. bytes)
              break
            end
            known[id] = known[id] .. bytes
            if fin then break end
          end
        end
      end
    end
    local function send_frames(from, to)
      for _ = 1, dice(6) do
        local f = dice(2) == 1 and from:write_control(40) or from:write_data(30 + dice(1200))
        if f then flight[#flight + 1] = { from = from, to = to, frame = f } end
      end
    end
    local function network()
      while #flight > 0 and dice(4) ~= 1 do
        local p = table.remove(flight, dice(math.min(#flight, 8)))
        if dice(10) <= 7 then
          local code, reason = deliver(p.to, p.frame, now)
          assert.equal(0, code, ("%s (frame %d)"):format(tostring(reason), p.frame.type))
          if dice(10) == 1 then p.from:lost(p.frame) end -- spurious
          p.from:acked(p.frame)
          if dice(10) == 1 then deliver(p.to, p.frame, now) end -- duplicate
        else
          p.from:lost(p.frame)
        end
      end
    end
    local rounds = 0
    repeat
      rounds, now = rounds + 1, now + dice(10)
      assert.is_true(rounds < 100000, "no progress")
      if todo > 0 then
        local id = client:open(dice(2) == 1)
        if id >= 0 then
          todo = todo - 1
          begin(client, id)
        end
      end
      write_some()
      send_frames(client, server)
      send_frames(server, client)
      network()
      read_some(server)
      read_some(client)
      for _, s in ipairs({ client, server }) do
        local id = s:writable_next()
        while id >= 0 do
          for _, w in ipairs(sending) do
            if w.table == s and w.id == id and s:error(id, "write") == 0 then w.done = true end
          end
          id = s:writable_next()
        end
      end
    until todo == 0 and #flight == 0 and client:state().live == 0 and server:state().live == 0
      and not client:has_to_send() and not server:has_to_send()
    for _, w in ipairs(wanted) do
      local other = w.from == client and server or client
      if not stopped[w.id] then
        assert.equal(text_of(w.id, w.size), received[other][w.id])
      end
    end
    for from, to in pairs({ [client] = server, [server] = client }) do
      assert.equal(from:state().send_used, to:state().recv_used)
      assert.equal(to:state().recv_used, to:state().recv_read)
      assert.is_true(to:memory() <= 2048)
    end
  end

  it("deliver everything, end every stream and keep nothing", function()
    for seed = 1, 80 do
      local ok, reason = pcall(run, seed)
      assert.is_true(ok, ("seed %d: %s"):format(seed, tostring(reason)))
    end
  end)
end)

describe("a stream whose size is final", function()
  -- covers: rfc9000#4.5.2
  it("has nothing sent at or beyond it, by whatever it is final", function()
    local ends = {
      fin = function(s, id) s:send(id, "", true) end,
      reset = function(s, id) s:shutdown(id, "write", 1) end,
      ["reset with a reliable size"] = function(s, id) s:reset_at(id, 1, 500) end,
      stop = function(s, id) s:on_stop_sending(id, 1) end,
    }
    for how, finish in pairs(ends) do
      local s = new()
      local id = s:open()
      s:send(id, ("x"):rep(1000))
      local frames = { s:write_data(600), s:write_data(600) }
      finish(s, id)
      assert.is_true(s:send(id, "more") < 0, how)
      for _, f in ipairs(frames) do s:lost(f) end
      for _ = 1, 10 do
        local f = s:write_data()
        if not f then break end
        assert.is_true(f.offset + #f.data <= 1000, how)
      end
      local f = s:write_control()
      assert.equal(how ~= "fin" and 1000 or nil, f and f.final_size, how)
    end
  end)

  -- covers: rfc9000#3.5.4
  it("has lost data not sent again when the peer asked to stop, also behind its end", function()
    local s = new()
    local id = s:open()
    s:send(id, ("x"):rep(1000), true)
    local f = s:write_data()
    assert.equal("data_sent", s:stream(id).send)
    s:on_stop_sending(id, 3)
    local reset = s:write_control()
    assert.same({ 3, 1000 }, { reset.code, reset.final_size })
    s:lost(f)
    assert.is_nil(s:write_data())
    s:lost(reset)
    assert.same({ 3, 1000 }, { reset.code, s:write_control().final_size })
  end)
end)
