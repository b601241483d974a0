local units = require("neap.units").streams
local codes = require("streams.codes")

--- A server's table unless told otherwise: the peer's streams are 0, 4, 8 … and 2, 6 …; ours 1, 5 … and 3, 7 ….
local function new(config)
  config = config or {}
  if config.is_server == nil then config.is_server = true end
  return units.new(config)
end

--- Every frame that names a stream, as a function of the table and the id.
local to_receiver = {
  STREAM = function(s, id) return s:on_stream(id, 0, "x") end,
  RESET_STREAM = function(s, id) return s:on_reset_stream(id, 7, 1) end,
  STREAM_DATA_BLOCKED = function(s, id) return s:on_stream_data_blocked(id) end,
}
local to_sender = {
  STOP_SENDING = function(s, id) return s:on_stop_sending(id, 7) end,
  MAX_STREAM_DATA = function(s, id) return s:on_max_stream_data(id, 1) end,
}

local function each_frame(callback)
  for name, frame in pairs(to_receiver) do callback(name, frame, "receiver") end
  for name, frame in pairs(to_sender) do callback(name, frame, "sender") end
end

describe("a frame that names a stream", function()
  -- covers: rfc9000#4.6.3
  -- covers: rfc9000#19.11.4
  it("is STREAM_LIMIT_ERROR past the announced limit, and makes nothing", function()
    each_frame(function(name, frame, side)
      for _, limit in ipairs({ 0, 1, 3 }) do
        local s = new({ ours = { streams_bidi = limit, streams_uni = limit } })
        assert.equal(codes.STREAM_LIMIT_ERROR, (frame(s, limit * 4)), name)
        if side == "receiver" then assert.equal(codes.STREAM_LIMIT_ERROR, (frame(s, limit * 4 + 2)), name) end
        assert.equal(codes.STREAM_LIMIT_ERROR, (frame(s, "4611686018427387900")), name)
        assert.equal(0, s:state().live)
        assert.equal(0, (s:memory()))
        if limit > 0 then assert.equal(0, (frame(s, limit * 4 - 4)), name) end
      end
    end)
  end)

  -- covers: rfc9000#19.4.1
  -- covers: rfc9000#19.8.1
  -- covers: rfc9000#19.13.2
  it("is STREAM_STATE_ERROR for the receiving part of a stream that we only send on", function()
    for name, frame in pairs(to_receiver) do
      local s = new()
      assert.equal(3, s:open(false))
      assert.equal(codes.STREAM_STATE_ERROR, (frame(s, 3)), name)
      assert.equal(codes.STREAM_STATE_ERROR, (frame(s, 7)), name)
    end
  end)

  -- covers: rfc9000#19.5.2
  -- covers: rfc9000#19.10.2
  it("is STREAM_STATE_ERROR for the sending part of a stream that we only receive on", function()
    for name, frame in pairs(to_sender) do
      local s = new()
      assert.equal(codes.STREAM_STATE_ERROR, (frame(s, 2)), name)
      s:on_stream(2, 0, "x")
      assert.equal(codes.STREAM_STATE_ERROR, (frame(s, 2)), name)
    end
  end)

  -- covers: rfc9000#19.5.1
  -- covers: rfc9000#19.10.1
  it("is STREAM_STATE_ERROR for a stream of ours that was not opened", function()
    each_frame(function(name, frame)
      local s = new()
      assert.equal(codes.STREAM_STATE_ERROR, (frame(s, 1)), name)
      assert.equal(1, s:open())
      assert.equal(0, (frame(s, 1)), name)
      assert.equal(codes.STREAM_STATE_ERROR, (frame(s, 5)), name)
    end)
  end)

  it("opens a stream of the peer's in either direction", function()
    each_frame(function(name, frame)
      local s = new()
      assert.equal(0, (frame(s, 0)), name)
      assert.equal(1, s:state().live, name)
    end)
  end)

  it("is NO_MEMORY when there is none for the stream, changes nothing and can come again", function()
    each_frame(function(name, frame)
      local refused = 0
      for after = 0, 9 do
        local s = new()
        s:fail(1, after)
        local code = frame(s, 8)
        s:fail(0)
        if code ~= 0 then
          assert.equal(codes.NO_MEMORY, code, name)
          refused = refused + 1
          assert.equal(0, s:state().recv_used)
        end
        assert.equal(0, (frame(s, 8)), name)
        assert.equal(3, s:state().accepted)
        assert.equal(1, s:state().live)
      end
      -- The object and the set of unseen ones; STREAM has its bytes besides.
      assert.is_true(refused >= 2 and refused < 10, name .. " " .. refused)
    end)
  end)

  it("is ignored for a stream that has ended", function()
    local s = new()
    s:on_stream(0, 0, "abc", true)
    s:recv(0)
    s:send(0, "", true)
    s:acked(s:write_data())
    assert.is_nil(s:write_control())
    assert.is_nil(s:stream(0))
    each_frame(function(name, frame) assert.equal(0, (frame(s, 0)), name) end)
    assert.equal(0, (s:on_stream(0, 60000, "late")))
    assert.equal(0, s:state().live)
    assert.equal(3, s:state().recv_used)
    assert.equal(-1, s:readable_next())
    assert.is_true(s:finished(0))
  end)
end)

describe("streams that a higher id opened", function()
  -- covers: rfc9000#3.2.1
  it("exist without an object until they are named", function()
    local s = new({ ours = { streams_bidi = 1000 } })
    s:on_stream(3996, 0, "x")
    assert.equal(1, s:state().live)
    assert.equal(1000, s:state().accepted)
    assert.is_true(s:memory() < 2048)
    assert.is_false(s:finished(400))
    assert.equal(codes.AGAIN, (s:error(400, "read")))
    assert.equal(1048576, s:capacity(400))
    assert.equal(0, (s:on_stream(400, 0, "y", true)))
    assert.equal("y", (s:recv(400)))
    assert.equal(codes.AGAIN, (s:recv(800)))
    assert.equal(2, s:send(1200, "zz"))
    assert.equal(4, s:state().live)
    assert.equal(1000, s:state().accepted)
    assert.is_true(s:state().unseen_ranges <= 4)
  end)

  it("are each found once, in any order", function()
    local s = new({ ours = { streams_bidi = 300, bidi_remote = 10, max_data = 100000 } })
    local order = {}
    for i = 0, 299 do order[i + 1] = (i * 7919 % 300) * 4 end
    for _, id in ipairs(order) do assert.equal(0, (s:on_stream(id, 0, "x"))) end
    local seen = {}
    for _ = 1, 300 do
      local id = s:readable_next()
      assert.is_nil(seen[id])
      seen[id] = true
      assert.equal("x", (s:recv(id)))
    end
    assert.equal(-1, s:readable_next())
    assert.equal(300, s:state().live)
    assert.equal(0, s:state().unseen_ranges)
  end)

  it("are few ranges, whichever of them are named", function()
    local many = 8000
    local s = new({ ours = { streams_bidi = many, bidi_remote = 10, max_data = 100000 } })
    -- Every second one, upwards and then those between: a long list would be moved with each.
    for i = 1, many - 1, 2 do
      assert.equal(0, (s:on_stream(i * 4, 0, "x")))
      assert.is_true(s:state().unseen_ranges <= 256)
    end
    assert.equal(many, s:state().accepted)
    for i = many - 2, 0, -2 do assert.equal(0, (s:on_stream(i * 4, 0, "x"))) end
    assert.equal(0, s:state().unseen_ranges)
    assert.equal(many, s:state().live)
    assert.equal(many, s:state().accepted)
    for i = 0, many - 1 do assert.equal("x", (s:recv(i * 4))) end
  end)

  it("are few ranges when the highest is named first, and the frame that has no room comes again", function()
    local many = 8000
    local s = new({ ours = { streams_bidi = many, bidi_remote = 10, max_data = 100000 } })
    local again = 0
    assert.equal(0, (s:on_stream((many - 1) * 4, 0, "x")))
    -- Every tenth one, downwards: the lowest range is long, and made a part at a time.
    for i = many - 11, 1, -10 do
      while s:on_stream(i * 4, 0, "x") ~= 0 do
        again = again + 1
        assert.is_true(again < many)
      end
      assert.is_true(s:state().unseen_ranges <= 256)
      assert.equal("x", (s:recv(i * 4)))
    end
    assert.is_true(again > 0)
    assert.equal(many, s:state().accepted)
    for i = 0, many - 1 do s:on_stream(i * 4, 1, "y", true) end
    assert.equal(many, s:state().live)
    assert.equal(0, s:state().unseen_ranges)
  end)

  it("do not come back after they have ended", function()
    local s = new()
    s:on_stream(8, 0, "x")
    for _, id in ipairs({ 0, 4 }) do
      s:on_stream(id, 0, "", true)
      s:recv(id)
      s:shutdown(id, "write", 0)
      s:acked(s:write_control())
    end
    s:write_control()
    assert.equal(1, s:state().live)
    assert.equal(0, (s:on_stream(0, 0, "again")))
    assert.equal(1, s:state().live)
    assert.equal(codes.STREAM_STATE, (s:recv(0)))
  end)
end)

describe("the receiving part", function()
  local function resets(s) return s:on_reset_stream(0, 9, 5) end

  -- The transitions of figure 3, from every state, for every event.
  -- covers: rfc9000#3.2.2
  it("follows figure 3", function()
    local reach = {
      open = function(s) s:on_stream(0, 0, "ab") end,
      size_known = function(s) s:on_stream(0, 3, "de", true) end,
      complete = function(s) s:on_stream(0, 0, "abcde", true) end,
      reset = resets,
      read = function(s) s:on_stream(0, 0, "abcde", true) s:recv(0) end,
      reset_read = function(s) resets(s) s:recv(0) end,
    }
    local events = {
      data = function(s) s:on_stream(0, 1, "bc") end,
      fin = function(s) s:on_stream(0, 5, "", true) end,
      all = function(s) s:on_stream(0, 0, "abcde", true) end,
      reset = resets,
      read = function(s) s:recv(0) end,
    }
    local expected = {
      open = { data = "open", fin = "size_known", all = "complete", reset = "reset", read = "open" },
      size_known = { data = "size_known", fin = "size_known", all = "complete", reset = "reset", read = "size_known" },
      complete = { data = "complete", fin = "complete", all = "complete", reset = "complete", read = "read" },
      reset = { data = "reset", fin = "reset", all = "reset", reset = "reset", read = "reset_read" },
      read = { data = "read", fin = "read", all = "read", reset = "read", read = "read" },
      reset_read = { data = "reset_read", fin = "reset_read", all = "reset_read", reset = "reset_read",
                     read = "reset_read" },
    }
    for state, prepare in pairs(reach) do
      for event, act in pairs(events) do
        local s = new()
        prepare(s)
        assert.equal(state, s:stream(0).recv)
        act(s)
        assert.equal(expected[state][event], s:stream(0).recv, state .. " " .. event)
      end
    end
  end)

  -- covers: rfc9000#4.5.3
  -- covers: rfc9000#4.5.4
  it("is FINAL_SIZE_ERROR for a final size that changes, or data beyond it", function()
    local ways = { fin = function(s, size) return s:on_stream(0, size, "", true) end,
                   reset = function(s, size) return s:on_reset_stream(0, 1, size) end }
    for first, close in pairs(ways) do
      for second, again in pairs(ways) do
        for _, size in ipairs({ 9, 11 }) do
          local s = new()
          assert.equal(0, (close(s, 10)))
          assert.equal(codes.FINAL_SIZE_ERROR, (again(s, size)), first .. " then " .. second)
          assert.equal(0, (again(s, 10)))
        end
      end
      local s = new()
      close(s, 10)
      assert.equal(codes.FINAL_SIZE_ERROR, (s:on_stream(0, 10, "x")))
      assert.equal(codes.FINAL_SIZE_ERROR, (s:on_stream(0, 8, "xyz")))
      assert.equal(0, (s:on_stream(0, 8, "xy")))
      s = new()
      s:on_stream(0, 10, "x")
      assert.equal(codes.FINAL_SIZE_ERROR, (close(s, 10)), first)
      assert.equal(0, (close(s, 11)), first)
    end
  end)

  it("still checks the final size after everything was received", function()
    local s = new()
    s:on_stream(0, 0, "abc", true)
    assert.equal(codes.FINAL_SIZE_ERROR, (s:on_stream(0, 3, "d")))
    assert.equal(codes.FINAL_SIZE_ERROR, (s:on_reset_stream(0, 1, 4)))
    s:recv(0)
    assert.equal(codes.FINAL_SIZE_ERROR, (s:on_stream(0, 3, "d")))
    assert.equal(0, (s:on_reset_stream(0, 1, 3)))
    assert.equal("read", s:stream(0).recv)
  end)

  -- covers: rfc9000#19.8.2
  it("is FRAME_ENCODING_ERROR past 2^62-1", function()
    local s = new()
    assert.equal(codes.FRAME_ENCODING_ERROR, (s:on_stream(0, "4611686018427387903", "x")))
    assert.equal(codes.FLOW_CONTROL_ERROR, (s:on_stream(0, "4611686018427387902", "x")))
    assert.equal(codes.FLOW_CONTROL_ERROR, (s:on_stream(0, "4611686018427387903", "", true)))
  end)

  it("drops what was received when a reset comes", function()
    local s = new()
    s:on_stream(0, 0, ("x"):rep(5000))
    local before = s:memory()
    s:on_reset_stream(0, 77, 6000)
    assert.is_true(s:memory() < before - 5000)
    assert.same({ codes.STREAM_RESET, false }, { s:recv(0) })
    assert.same({ 0, 77 }, { s:error(0, "read") })
    assert.equal(0, (s:on_stream(0, 0, "late")))
    assert.equal(codes.STREAM_RESET, (s:recv(0)))
    assert.equal(6000, s:state().recv_read)
  end)

  it("is not taken when it would make too many gaps", function()
    local s, code = new(), 0
    local count = 0
    while code == 0 do
      count = count + 1
      code = s:on_stream(0, count * 2, "x")
    end
    assert.equal(codes.LIMIT, code)
    assert.equal(units.STREAM_GAPS + 1, count)
  end)
end)

describe("flow control of what is received", function()
  -- covers: rfc9000#4.1.2
  -- covers: rfc9000#19.10.4
  it("refuses one byte past MAX_STREAM_DATA, for every kind of stream and both frames", function()
    local ours = { bidi_local = 10, bidi_remote = 20, uni = 30, max_data = 1000 }
    for id, limit in pairs({ [1] = 10, [0] = 20, [2] = 30 }) do
      local s = new({ ours = ours })
      s:open()
      assert.equal(0, (s:on_stream(id, limit - 1, "x")))
      assert.equal(codes.FLOW_CONTROL_ERROR, (s:on_stream(id, limit, "x")))
      assert.equal(codes.FLOW_CONTROL_ERROR, (s:on_stream(id, 0, ("x"):rep(limit + 1))))
      assert.equal(codes.FLOW_CONTROL_ERROR, (s:on_reset_stream(id, 1, limit + 1)))
      assert.equal(0, (s:on_stream(id, limit, "", true)))
    end
  end)

  -- covers: rfc9000#19.9.1
  -- covers: rfc9000#19.9.2
  it("refuses one byte past MAX_DATA over all streams, and counts final sizes", function()
    local function full()
      local s = new({ ours = { max_data = 100, bidi_remote = 80, uni = 80 } })
      s:on_stream(0, 39, "x")
      s:on_reset_stream(4, 1, 30)
      s:on_stream(8, 20, "", true)
      assert.equal(90, s:state().recv_used)
      return s
    end
    local s = full()
    assert.equal(codes.FLOW_CONTROL_ERROR, (s:on_stream(2, 0, ("x"):rep(11))))
    assert.equal(codes.FLOW_CONTROL_ERROR, (s:on_reset_stream(2, 1, 11)))
    assert.equal(codes.FLOW_CONTROL_ERROR, (s:on_stream(0, 50, "x")))
    assert.equal(90, s:state().recv_used)
    assert.equal(3, s:state().live)
    assert.equal(0, (s:on_stream(2, 0, ("x"):rep(10))))
    assert.equal(0, (s:on_stream(0, 0, ("x"):rep(40))))
    assert.equal(codes.FLOW_CONTROL_ERROR, (s:on_stream(0, 40, "x")))
    assert.equal(0, (full():on_reset_stream(0, 1, 50)))
    assert.equal(codes.FLOW_CONTROL_ERROR, (full():on_reset_stream(0, 1, 51)))
  end)

  it("gives nothing for bytes that were not read", function()
    local s = new({ ours = { max_data = 1000, bidi_remote = 1000 } })
    s:on_stream(0, 999, "x")
    assert.is_nil(s:write_control())
    assert.is_false(s:has_to_send())
    assert.is_true(s:memory() < 4096)
  end)

  it("gives connection credit for what a reset drops, at once", function()
    -- covers: rfc9000#4.5.1
    local s = new({ ours = { max_data = 1000, bidi_remote = 1000 } })
    s:on_stream(0, 0, ("x"):rep(300))
    s:recv(0, 100)
    s:on_reset_stream(0, 1, 600)
    assert.same({ 600, 600 }, { s:state().recv_used, s:state().recv_read })
    local f = s:write_control()
    assert.same({ codes.frame.MAX_DATA, 1600 }, { f.type, f.limit })
    assert.is_nil(s:write_control())
  end)

  -- covers: rfc9000#4.4.1
  it("gives connection credit for what comes after STOP_SENDING, but no stream credit", function()
    local s = new({ ours = { max_data = 1000, bidi_remote = 600 } })
    s:on_stream(0, 0, ("x"):rep(100))
    s:shutdown(0, "read", 5)
    assert.equal(100, s:state().recv_read)
    s:on_stream(0, 200, ("x"):rep(300))
    assert.same({ 500, 500 }, { s:state().recv_used, s:state().recv_read })
    local types = {}
    for _ = 1, 3 do
      local f = s:write_control()
      types[#types + 1] = f and f.type
    end
    assert.same({ codes.frame.MAX_DATA, codes.frame.STOP_SENDING }, types)
    assert.equal(-1, s:readable_next())
    assert.equal(codes.FLOW_CONTROL_ERROR, (s:on_stream(0, 600, "x")))
    s:on_stream(0, 600, "", true)
    assert.equal(600, s:state().recv_read)
    assert.equal("read", s:stream(0).recv)
  end)

  it("announces more when half of a window was read, from what was read", function()
    -- covers: rfc9000#4.2.2
    local s = new({ ours = { max_data = 2000, bidi_remote = 1000 } })
    s:on_stream(0, 0, ("x"):rep(1000))
    s:recv(0, 499)
    assert.is_nil(s:write_control())
    s:recv(0, 1)
    local f = s:write_control()
    assert.same({ codes.frame.MAX_STREAM_DATA, 0, 1500 }, { f.type, f.id, f.limit })
    assert.is_nil(s:write_control())
    s:recv(0, 500)
    local types = {}
    for _ = 1, 2 do
      f = s:write_control()
      types[f.type] = f.limit
    end
    assert.same({ [codes.frame.MAX_DATA] = 3000, [codes.frame.MAX_STREAM_DATA] = 2000 }, types)
    assert.equal(0, (s:on_stream(0, 1999, "x")))
    assert.equal(codes.FLOW_CONTROL_ERROR, (s:on_stream(0, 2000, "x")))
  end)

  it("announces nothing more for a stream whose size is known", function()
    local s = new({ ours = { max_data = 100000, bidi_remote = 1000 } })
    s:on_stream(0, 0, ("x"):rep(900))
    s:recv(0, 800)
    s:on_stream(0, 900, "y", true)
    assert.is_nil(s:write_control())
    assert.is_false(s:has_to_send())
  end)

  it("doubles a window that is used up within two round trips, up to its bound", function()
    local ms = 1000000
    local s = new({ ours = { max_data = 1500, bidi_remote = 1000 }, max_stream_window = 3000,
                    max_connection_window = 4000 })
    local now, at = 1000 * ms, 0
    local function read_all(rtt, lasting)
      local size = s:stream(0).recv_limit - at
      s:on_stream(0, at, ("x"):rep(size), false, now)
      at, now = at + size, now + lasting
      s:recv(0, 100000, now, rtt)
      while s:write_control() do end
    end
    s:on_stream(0, 0, "", false, now)
    read_all(10 * ms, 21 * ms)
    assert.equal(1000, s:stream(0).window)
    read_all(10 * ms, 19 * ms)
    assert.equal(2000, s:stream(0).window)
    assert.equal(3000, s:state().recv_window)
    read_all(10 * ms, ms)
    assert.equal(3000, s:stream(0).window)
    for _ = 1, 5 do read_all(10 * ms, ms) end
    assert.equal(3000, s:stream(0).window)
    assert.equal(4000, s:state().recv_window)
    assert.equal(at + 3000, s:stream(0).recv_limit)
  end)
end)

describe("stream limits", function()
  -- covers: rfc9000#4.6.1
  -- covers: rfc9000#19.11.1
  -- covers: rfc9000#19.14.2
  it("above 2^60 are FRAME_ENCODING_ERROR", function()
    local s = new()
    for _, bidi in ipairs({ true, false }) do
      assert.equal(codes.FRAME_ENCODING_ERROR, (s:on_max_streams(bidi, "1152921504606846977")))
      assert.equal(codes.FRAME_ENCODING_ERROR, (s:on_streams_blocked(bidi, "1152921504606846977")))
      assert.equal(0, (s:on_max_streams(bidi, "1152921504606846976")))
      assert.equal(0, (s:on_streams_blocked(bidi, "1152921504606846976")))
    end
  end)

  -- covers: rfc9000#4.6.2
  -- covers: rfc9000#4.6.4
  -- covers: rfc9000#19.11.2
  -- covers: rfc9000#19.11.3
  -- covers: rfc9000#2.1.1
  it("of the peer's are kept, and only grow", function()
    local s = new({ peer = { streams_bidi = 2, streams_uni = 1 } })
    assert.same({ 1, 5, codes.STREAM_LIMIT }, { s:open(), s:open(), s:open() })
    assert.same({ 3, codes.STREAM_LIMIT }, { s:open(false), s:open(false) })
    s:on_max_streams(true, 1)
    assert.equal(codes.STREAM_LIMIT, s:open())
    s:on_max_streams(true, 3)
    assert.same({ 9, codes.STREAM_LIMIT }, { s:open(), s:open() })
  end)

  it("are nothing before the peer's parameters came", function()
    local s = new({ without_peer = true })
    assert.equal(codes.STREAM_LIMIT, s:open())
  end)

  -- covers: rfc9000#4.6.5
  -- covers: rfc9000#19.14.1
  it("are answered with STREAMS_BLOCKED once", function()
    local s = new({ peer = { streams_bidi = 0, streams_uni = 0 } })
    for _, kind in ipairs({ { true, codes.frame.STREAMS_BLOCKED_BIDI }, { false, codes.frame.STREAMS_BLOCKED_UNI } }) do
      for limit = 0, 1 do
        s:open(kind[1])
        s:open(kind[1])
        local f = s:write_control()
        assert.same({ kind[2], limit }, { f.type, f.limit })
        assert.is_nil(s:write_control())
        s:open(kind[1])
        assert.is_nil(s:write_control())
        s:on_max_streams(kind[1], limit + 1)
        s:open(kind[1])
      end
    end
  end)

  it("of ours grow as the peer's streams end, when a quarter of them are used", function()
    -- covers: rfc9000#4.6.6
    local s = new({ ours = { streams_bidi = 8, streams_uni = 8 } })
    local limits = {}
    for i = 0, 11 do
      assert.equal(0, (s:on_stream(i * 4 + 2, 0, "x", true)))
      s:recv(i * 4 + 2)
      local f = s:write_control()
      if f then
        assert.equal(codes.frame.MAX_STREAMS_UNI, f.type)
        limits[#limits + 1] = f.limit
      end
    end
    assert.same({ 10, 12, 14, 16, 18, 20 }, limits)
    assert.equal(codes.STREAM_LIMIT_ERROR, (s:on_stream(20 * 4 + 2, 0, "x")))
    assert.equal(codes.STREAM_LIMIT_ERROR, (s:on_stream(8 * 4, 0, "x")))
    assert.equal(0, s:state().live)
  end)

  it("of ours grow beside streams that stay open", function()
    local s = new({ ours = { streams_uni = 4 } })
    for i = 0, 2 do s:on_stream(i * 4 + 2, 0, "x") end
    for i = 3, 20 do
      assert.equal(0, (s:on_stream(i * 4 + 2, 0, "x", true)))
      s:recv(i * 4 + 2)
      assert.equal(codes.frame.MAX_STREAMS_UNI, s:write_control().type)
    end
  end)

  it("of ours grow with a response that was sent whole, before it is acknowledged, up to twice as many", function()
    local s = new({ ours = { streams_bidi = 2 } })
    local function answer(i)
      assert.equal(0, (s:on_stream(i * 4, 0, "x", true)))
      s:recv(i * 4)
      s:send(i * 4, "yes", true)
      s:acked(s:write_data(5))
      assert.is_nil(s:write_control())
      local f = s:write_data()
      assert.is_true(f.fin)
      return f
    end
    local first = answer(0)
    assert.equal(3, s:write_control().limit)
    answer(1)
    assert.equal(4, s:write_control().limit)
    answer(2)
    assert.is_nil(s:write_control())
    local last = answer(3)
    assert.is_nil(s:write_control())
    assert.equal(codes.STREAM_LIMIT_ERROR, (s:on_stream(4 * 4, 0, "x")))
    s:lost(last)
    assert.is_nil(s:write_control())
    s:acked(first)
    assert.equal(5, s:write_control().limit)
  end)

  it("of ours are never more than are kept, whether answers are acknowledged or not", function()
    local KEPT = 65536
    for _, case in ipairs({ { 100, 200 }, { 40000, KEPT - 100 } }) do
      local s = new({ ours = { streams_bidi = case[1], streams_uni = 100 } })
      for _ = 1, 3 do assert.is_true(s:open() >= 0) end
      local limit, answers, i = case[1], {}, 0
      while i < limit do
        local code = s:on_stream(i * 4, 0, "x", true)
        assert.equal(0, code, ("stream %d of the %d that were announced"):format(i + 1, limit))
        s:recv(i * 4)
        s:send(i * 4, "y", true)
        answers[#answers + 1] = s:write_data()
        local f = s:write_control()
        if f and f.type == codes.frame.MAX_STREAMS_BIDI then limit = f.limit end
        i = i + 1
      end
      assert.equal(case[2], limit)
      for _, f in ipairs(answers) do s:acked(f) end
      assert.equal(limit + case[1], s:write_control().limit)
    end
  end)

  it("of ours grow with a reset that was sent", function()
    local s = new({ ours = { streams_bidi = 1 } })
    s:on_stream(0, 0, "x", true)
    s:recv(0)
    s:shutdown(0, "write", 7)
    assert.equal(codes.frame.RESET_STREAM, s:write_control().type)
    assert.equal(2, s:write_control().limit)
  end)

  it("of ours do not grow while a request is held, is not read, or its response has no end", function()
    local s = new({ ours = { streams_bidi = 3 } })
    for i = 0, 2 do s:on_stream(i * 4, 0, "x", true) end
    s:recv(0)
    s:send(0, "y")
    s:send(4, "y", true)
    assert.is_true(s:hold(8))
    s:recv(8)
    s:send(8, "y", true)
    for _ = 1, 3 do s:write_data() end
    assert.is_nil(s:write_control())
    s:release(8)
    assert.equal(4, s:write_control().limit)
    s:recv(4)
    assert.equal(5, s:write_control().limit)
    s:on_stream(12, 0, "x")
    s:send(0, "z", true)
    assert.is_true(s:write_data().fin)
    assert.equal(6, s:write_control().limit)
  end)

  it("of one stream at a time work", function()
    local s = new({ ours = { streams_bidi = 1 } })
    for i = 0, 5 do
      assert.equal(0, (s:on_stream(i * 4, 0, "x", true)))
      assert.equal(codes.STREAM_LIMIT_ERROR, (s:on_stream(i * 4 + 4, 0, "x", true)))
      s:recv(i * 4)
      s:send(i * 4, "y", true)
      assert.is_nil(s:write_control())
      s:acked(s:write_data())
      assert.equal(i + 2, s:write_control().limit)
    end
  end)
end)

describe("a stream object", function()
  it("is small, and nothing stays of it when it has ended", function()
    assert.is_true(units.stream_size <= 400)
    local s = new()
    for i = 0, 200 do
      s:on_stream(i * 4, 0, "request", true)
      s:recv(i * 4)
      s:send(i * 4, "response", true)
      s:acked(s:write_data())
      while s:write_control() do end
    end
    assert.equal(0, s:state().live)
    -- The table and the list of unseen ones may keep their room.
    assert.is_true(s:memory() <= 2048)
  end)
end)
