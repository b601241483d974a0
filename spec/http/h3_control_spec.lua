local exchange = require("spec.http.exchange")

local code = exchange.code
local frame, varint, settings = exchange.frame, exchange.varint, exchange.settings
local SETTINGS, PUSH_PROMISE, GOAWAY, MAX_PUSH_ID, CANCEL_PUSH = 4, 5, 7, 0x0d, 3

-- Plays `side` against a fresh connection and gives the code that closed it.
local function play(side, options, act)
  local peer = exchange.peer(side, options)
  act(peer)
  local closed_with, reason = peer:close_code()
  peer:free()
  return closed_with, reason
end

-- What both sides must refuse alike, and what only one of them.
local function both(expected, options, act)
  for _, side in ipairs({ "client", "server" }) do
    assert.equal(expected, (play(side, options, act)), "played by a " .. side)
  end
end

describe("the control stream", function()
  -- covers: rfc9114#3.2.5 rfc9114#6.2.1.1 rfc9114#7.2.4.1 rfc9114#7.2.4.2.3
  it("opens with SETTINGS, which has a reserved setting too", function()
    for _, side in ipairs({ "client", "server" }) do
      local peer = exchange.peer(side)
      local bytes, fin = peer:received(side == "client" and 3 or 2)
      assert.is_false(fin)
      assert.equal("\0\4", bytes:sub(1, 2))
      assert.equal(#bytes - 3, bytes:byte(3))
      assert.equal("\6" .. varint(65536), bytes:sub(4, 8))
      local grease = 0
      for i = 10, 12 do grease = grease * 256 + bytes:byte(i) end
      local first = bytes:byte(9)
      assert.equal(128, first - first % 64)
      grease = grease + (first % 64) * 2 ^ 24
      assert.equal(0x21 % 31, grease % 31)
      peer:free()
    end
  end)

  it("announces the bound that the application chose", function()
    local pair = exchange.pair({ max_field_section_size = 1000 })
    for _, side in ipairs({ "client", "server" }) do
      assert.equal(exchange.err.AGAIN, select(2, pair:peer_setting(side, 6)))
      assert.equal("established", pair:poll(side).type)
      assert.equal("settings", pair:poll(side).type)
      assert.equal(1000, pair:peer_setting(side, 6))
      assert.equal(0, pair:peer_setting(side, 1))
    end
    pair:free()
  end)

  it("is asked for as soon as the connection allows it, before the handshake is done", function()
    local units = require("neap.units")
    local certificate, key = units.http_pair.certificate()
    local pair = units.http_pair.new({ certificate = certificate, key = key, seed = 5 })
    pair:h3("client")
    assert.is_nil((pair:poll("client")))
    pair:run()
    pair:h3("server")
    exchange.events(pair, "client")
    pair:run()
    assert.equal("settings", pair:poll("client").type)
    assert.equal("established", pair:poll("server").type)
    assert.equal("settings", pair:poll("server").type)
    pair:free()
  end)

  it("tells every setting of the peer's, and ignores those it does not know", function()
    -- covers: rfc9114#7.2.4.7 rfc9114#7.2.4.1.2
    local peer = exchange.peer("client", { settings = { { 1, 4096 }, { 7, 100 }, { 0x21, 5 }, { 2 ^ 40, 9 },
      { 8, 1 } } })
    assert.is_nil((peer:close_code()))
    for id, value in pairs({ [1] = 4096, [7] = 100, [0x21] = 5, [2 ^ 40] = 9, [8] = 1, [0x33] = 0 }) do
      assert.equal(value, peer.pair:peer_setting("server", id))
    end
    peer:free()
  end)

  -- covers: rfc9114#6.2.1.2
  it("must begin with SETTINGS", function()
    for _, first in ipairs({ frame(GOAWAY, "\0"), frame(MAX_PUSH_ID, "\0"), frame(0x21, ""), frame(0, "x"),
      frame(1, ""),
      frame(2, "") }) do
      both(code.MISSING_SETTINGS, { silent = true }, function(peer) peer:uni(0, first) end)
    end
  end)

  -- covers: rfc9114#7.2.4.2
  it("has SETTINGS once", function()
    both(code.FRAME_UNEXPECTED, nil, function(peer) peer:send(peer.control, settings()) end)
  end)

  -- covers: rfc9114#7.2.4.5 rfc9114#7.2.4.1.3
  it("refuses settings that come twice or are those of HTTP/2", function()
    for _, list in ipairs({ { { 6, 1 }, { 6, 1 } }, { { 0x21, 1 }, { 7, 0 }, { 0x21, 2 } }, { { 0, 0 } }, {
      { 2, 0 } },
      { { 3, 100 } }, { { 4, 0 } }, { { 6, 5 }, { 5, 16384 } } }) do
      both(code.SETTINGS_ERROR, { settings = list }, function() end)
    end
  end)

  it("refuses more settings than anybody has", function()
    local list = {}
    for i = 1, 64 do list[i] = { 100 + i, 1 } end
    both(nil, { settings = list }, function() end)
    list[65] = { 99, 1 }
    both(code.EXCESSIVE_LOAD, { settings = list }, function() end)
    both(code.EXCESSIVE_LOAD, { silent = true }, function(peer)
      peer:uni(0, frame(SETTINGS, "", 1025))
    end)
  end)

  -- covers: rfc9114#7.1.1 rfc9114#7.1.2
  it("refuses SETTINGS that end inside a setting", function()
    for _, payload in ipairs({ "\6", "\64", "\6\64", "\6\128\0\0" }) do
      both(code.FRAME_ERROR, { silent = true }, function(peer) peer:uni(0, frame(SETTINGS, payload)) end)
    end
  end)

  it("reads SETTINGS byte by byte, and empty ones", function()
    both(nil, { silent = true }, function(peer)
      local control = peer:uni(0)
      for byte in settings({ { 6, 70000 }, { 0x21, 1 } }):gmatch(".") do peer:send(control, byte) end
      assert.equal(70000, peer.pair:peer_setting(peer.other, 6))
    end)
    both(nil, { silent = true }, function(peer)
      peer:uni(0, frame(SETTINGS, ""))
      assert.equal(0, peer.pair:peer_setting(peer.other, 7))
    end)
  end)

  -- covers: rfc9114#7.2.1.2 rfc9114#7.2.2.1 rfc9114#7.2.5.9 rfc9114#7.2.8.3
  it("has no frames of requests and none of HTTP/2", function()
    for _, frame_type in ipairs({ 0, 1, PUSH_PROMISE, 2, 6, 8, 9 }) do
      both(code.FRAME_UNEXPECTED, nil, function(peer) peer:send(peer.control, frame(frame_type, "")) end)
    end
  end)

  -- covers: rfc9114#7.2.8.2
  it("skips unknown frames of any length without keeping them", function()
    both(nil, nil, function(peer)
      peer:send(peer.control, frame(0x21, "") .. frame(0x40, "abc") .. varint(0x1f * 2 ^ 40 + 0x21) .. varint(2 ^ 61))
      local before = peer.pair:memory(peer.other)
      local chunk = ("x"):rep(50000)
      for _ = 1, 40 do peer:send(peer.control, chunk) end
      assert.is_true(peer.pair:memory(peer.other) <= before + 16384)
    end)
  end)

  describe("takes PRIORITY_UPDATE", function()
    local function update(id, value, frame_type)
      return frame(frame_type or 0xf0700, varint(id) .. (value or "u=1, i"))
    end

    local function answer(bytes)
      local peer = exchange.peer("client")
      peer:send(peer.control, bytes)
      local closed = peer:close_code()
      local bounds, stats = peer.pair:counts("server")
      peer:free()
      return closed, { stats.priority_updates, bounds.priority_updates, stats.glitches, bounds.overloads }
    end

    -- covers: rfc9218#7.2.5
    it("of requests that the client may make, also before they come", function()
      assert.is_nil(answer(update(0) .. update(8, "") .. update(396, ("x"):rep(1000))))
    end)

    it("that is no Dictionary in vain", function()
      assert.is_nil(answer(update(0, "u"):rep(100) .. update(4, "u=")))
      assert.equal(code.EXCESSIVE_LOAD, answer(update(0, "u="):rep(1001)))
    end)

    it("for each request a few times, and then in vain", function()
      assert.same({ nil, { 1100, 1000, 1000, 0 } }, { answer(update(0):rep(1100)) })
      assert.same({ code.EXCESSIVE_LOAD, { 1101, 1001, 1001, 1 } }, { answer(update(0):rep(1101)) })
    end)

    -- covers: rfc9218#7.2.4 rfc9218#7.2.6 rfc9218#7.2.8 rfc9218#7.2.10
    it("and nothing else for one", function()
      assert.equal(code.ID_ERROR, answer(update(400)), "beyond the limit")
      assert.equal(code.ID_ERROR, answer(update(2)), "no request")
      assert.equal(code.ID_ERROR, answer(update(1)), "the server's")
      assert.equal(code.ID_ERROR, answer(update(0, "", 0xf0701)), "a push")
      assert.equal(code.FRAME_ERROR, answer(frame(0xf0700, "")))
      assert.equal(code.FRAME_ERROR, answer(frame(0xf0700, "\64")))
      assert.equal(code.EXCESSIVE_LOAD, answer(frame(0xf0700, ("x"):rep(1025))))
      local peer = exchange.peer("server")
      peer:send(peer.control, update(0))
      assert.equal(code.FRAME_UNEXPECTED, (peer:close_code()))
      peer:free()
    end)

    -- covers: rfc9218#7.2.2
    it("on the control stream only", function()
      local peer = exchange.peer("client")
      peer:bidi(exchange.headers(exchange.POST) .. update(0))
      assert.equal(code.FRAME_UNEXPECTED, (peer:close_code()))
      peer:free()
    end)
  end)

  it("closes when frames are sent in vain a thousand times", function()
    both(code.EXCESSIVE_LOAD, nil, function(peer) peer:send(peer.control, frame(0x21, ""):rep(1001)) end)
    both(nil, nil, function(peer) peer:send(peer.control, frame(0x21, ""):rep(1000)) end)
  end)

  it("closes when identifiers come again a thousand times", function()
    both(code.EXCESSIVE_LOAD, nil, function(peer) peer:send(peer.control, frame(GOAWAY, "\0"):rep(1002)) end)
    both(nil, nil, function(peer) peer:send(peer.control, frame(GOAWAY, "\0"):rep(1001)) end)
    local function push_ids(count)
      return (play("client", nil, function(peer) peer:send(peer.control, frame(MAX_PUSH_ID, "\0"):rep(count)) end))
    end
    assert.equal(code.EXCESSIVE_LOAD, push_ids(1002))
    assert.is_nil(push_ids(1001))
  end)

  it("closes when they change as often, for nothing is pushed and one connection goes away", function()
    local function changing(frame_type, from, by)
      local frames = {}
      for i = 0, 1001 do frames[i + 1] = frame(frame_type, varint(from + i * by, 4)) end
      return table.concat(frames)
    end
    both(code.EXCESSIVE_LOAD, nil, function(peer) peer:send(peer.control, changing(GOAWAY, 8000, -4)) end)
    assert.equal(code.EXCESSIVE_LOAD, (play("client", nil, function(peer)
      peer:send(peer.control, changing(MAX_PUSH_ID, 0, 1))
    end)))
  end)
end)

describe("critical streams", function()
  -- covers: rfc9114#6.2.1.4 rfc9114#6.2.1.5 rfc9204#4.2.3 rfc9204#4.2.4
  it("may not end", function()
    for stream_type = 0, 3 do
      if stream_type ~= 1 then
        for _, way in ipairs({ "fin", "fin at once", "reset" }) do
          both(code.CLOSED_CRITICAL_STREAM, { silent = true }, function(peer)
            local first = stream_type == 0 and settings() or ""
            if way == "fin at once" then
              local id = peer.pair:open(peer.side, false)
              peer:send(id, varint(stream_type) .. first, true)
              return
            end
            local id = peer:uni(stream_type, first)
            if way == "fin" then
              peer:send(id, "", true)
            else
              peer.pair:shutdown(peer.side, id, "write", 0x100)
              peer.pair:run()
            end
          end)
        end
      end
    end
  end)

  it("of ours may not be stopped", function()
    both(code.CLOSED_CRITICAL_STREAM, nil, function(peer)
      peer.pair:shutdown(peer.side, peer.side == "client" and 3 or 2, "read", 0x100)
      peer.pair:run()
    end)
  end)

  -- covers: rfc9114#6.2.1.3 rfc9204#4.2.1 rfc9204#4.2.2
  it("are there once", function()
    for _, stream_type in ipairs({ 0, 2, 3 }) do
      both(code.STREAM_CREATION_ERROR, { silent = true }, function(peer)
        local first = stream_type == 0 and settings() or ""
        peer:uni(stream_type, first)
        peer:uni(stream_type, first)
      end)
    end
  end)

  -- covers: rfc9204#4.2.7
  it("of QPACK may be opened although there is nothing to say", function()
    both(nil, nil, function(peer)
      peer:uni(2, "\x20")
      peer:uni(3, "\x44")
    end)
  end)

  it("of QPACK may not use a dynamic table", function()
    -- h3spec 48 and 50
    both(code.ENCODER_STREAM_ERROR, nil, function(peer) peer:uni(2, "\x3f\xe1\x1f") end)
    both(code.ENCODER_STREAM_ERROR, nil, function(peer) peer:uni(2, "\xc0\1x") end)
    both(code.DECODER_STREAM_ERROR, nil, function(peer) peer:uni(3, "\0") end)
    both(code.DECODER_STREAM_ERROR, nil, function(peer) peer:uni(3, "\1") end)
    both(code.DECODER_STREAM_ERROR, nil, function(peer) peer:uni(3, "\x80") end)
  end)

  it("of QPACK close when instructions that say nothing come a thousand times", function()
    local function flood(kind, instruction)
      both(code.EXCESSIVE_LOAD, nil, function(peer) peer:uni(kind, instruction:rep(1001)) end)
      both(nil, nil, function(peer) peer:uni(kind, instruction:rep(1000)) end)
    end
    flood(exchange.ENCODER, "\32") -- Set Dynamic Table Capacity to 0
    flood(exchange.DECODER, "\64") -- Stream Cancellation, in one byte and in three
    flood(exchange.DECODER, "\127\128\1")
  end)
end)

describe("other unidirectional streams", function()
  -- covers: rfc9114#6.2.4 rfc9114#6.2.6 rfc9114#6.2.3.2
  it("of unknown types are stopped and cost nothing", function()
    both(nil, nil, function(peer)
      local before = peer.pair:memory(peer.other)
      for _, stream_type in ipairs({ 0x21, 0x40, 0x54, 2 ^ 50 }) do
        local id = peer:uni(stream_type, ("x"):rep(100))
        assert.equal(code.STREAM_CREATION_ERROR, peer.pair:stream_error(peer.side, id, "write"))
      end
      peer.pair:run()
      assert.is_true(peer.pair:memory(peer.other) <= before + 2048)
    end)
  end)

  it("tell their type in any fragmentation", function()
    both(nil, { silent = true }, function(peer)
      local id = assert(peer.pair:open(peer.side, false))
      for byte in (varint(0, 8) .. settings({ { 6, 77 } })):gmatch(".") do peer:send(id, byte) end
      assert.equal(77, peer.pair:peer_setting(peer.other, 6))
    end)
  end)

  -- covers: rfc9114#6.2.10
  it("may end or be reset before their type is known", function()
    both(nil, nil, function(peer)
      for _, bytes in ipairs({ "", "\64", "\192\0\0\0\0\0\0" }) do
        local id = assert(peer.pair:open(peer.side, false))
        peer:send(id, bytes, true)
        id = assert(peer.pair:open(peer.side, false))
        peer:send(id, bytes)
        peer.pair:shutdown(peer.side, id, "write", 0x10c)
        peer:send(peer.control, "")
      end
    end)
  end)

  it("of unknown types may be complete when they arrive", function()
    both(nil, nil, function(peer)
      local id = assert(peer.pair:open(peer.side, false))
      peer:send(id, varint(0x21), true)
      id = assert(peer.pair:open(peer.side, false))
      peer:send(id, varint(0x21) .. "all of it", true)
    end)
  end)

  -- covers: rfc9114#6.2.2.1 rfc9114#4.6.2
  it("never push", function()
    assert.equal(code.STREAM_CREATION_ERROR, (play("client", nil, function(peer) peer:uni(1, "\0") end)))
    assert.equal(code.ID_ERROR, (play("server", nil, function(peer) peer:uni(1, "\0") end)))
  end)

  it("by the hundred close nothing while they come and go, by the thousand they do", function()
    local function flood(count)
      return play("client", nil, function(peer)
        for _ = 1, count do
          local id = peer.pair:open("client", false)
          if not id then break end
          peer:send(id, varint(0x21) .. "x", true)
        end
      end)
    end
    assert.is_nil((flood(300)))
    assert.equal(code.EXCESSIVE_LOAD, (flood(1100)))
  end)
end)

describe("a bidirectional stream of a server", function()
  -- covers: rfc9114#6.1.3
  it("is H3_STREAM_CREATION_ERROR", function()
    assert.equal(code.STREAM_CREATION_ERROR, (play("server", nil, function(peer) peer:bidi("x") end)))
  end)
end)

describe("push frames", function()
  -- covers: rfc9114#7.2.7.4
  it("MAX_PUSH_ID of a client may grow, not shrink", function()
    assert.is_nil((play("client", nil, function(peer)
      peer:send(peer.control, frame(MAX_PUSH_ID, "\5"):rep(2) .. frame(MAX_PUSH_ID, varint(2 ^ 61)))
    end)))
    assert.equal(code.ID_ERROR, (play("client", nil, function(peer)
      peer:send(peer.control, frame(MAX_PUSH_ID, "\5") .. frame(MAX_PUSH_ID, "\4"))
    end)))
  end)

  -- covers: rfc9114#7.2.7.2 rfc9114#7.2.7.3
  it("MAX_PUSH_ID of a server is unexpected", function()
    assert.equal(code.FRAME_UNEXPECTED, (play("server", nil, function(peer)
      peer:send(peer.control, frame(MAX_PUSH_ID, "\5"))
    end)))
  end)

  -- covers: rfc9114#7.2.3.8 rfc9114#7.2.3.9
  it("CANCEL_PUSH names a push that cannot be", function()
    both(code.ID_ERROR, nil, function(peer) peer:send(peer.control, frame(CANCEL_PUSH, "\0")) end)
    assert.equal(code.ID_ERROR, (play("client", nil, function(peer)
      peer:send(peer.control, frame(MAX_PUSH_ID, "\5") .. frame(CANCEL_PUSH, "\3"))
    end)))
  end)

  it("hold one identifier and nothing else", function()
    for _, frame_type in ipairs({ GOAWAY, CANCEL_PUSH }) do
      for _, payload in ipairs({ "", "\0\0", "\64", "\192\0\0\0", ("\0"):rep(9) }) do
        both(code.FRAME_ERROR, nil, function(peer) peer:send(peer.control, frame(frame_type, payload)) end)
      end
    end
    for _, payload in ipairs({ "", "\0\0", "\64", ("\0"):rep(9) }) do
      assert.equal(code.FRAME_ERROR, (play("client", nil, function(peer)
        peer:send(peer.control, frame(MAX_PUSH_ID, payload))
      end)))
    end
  end)
end)

describe("GOAWAY", function()
  -- covers: rfc9114#5.2.8 rfc9114#5.2.9
  it("may come again with the same identifier or a smaller one", function()
    both(nil, nil, function(peer)
      peer:send(peer.control, frame(GOAWAY, varint(2 ^ 61)) .. frame(GOAWAY, "\8") .. frame(GOAWAY, "\8")
        .. frame(GOAWAY, "\0"))
    end)
    both(code.ID_ERROR, nil, function(peer)
      peer:send(peer.control, frame(GOAWAY, "\8") .. frame(GOAWAY, "\12"))
    end)
  end)

  -- covers: rfc9114#7.2.6.1
  it("of a server names a request stream", function()
    for id = 1, 3 do
      assert.equal(code.ID_ERROR, (play("server", nil, function(peer)
        peer:send(peer.control, frame(GOAWAY, string.char(id)))
      end)))
      assert.is_nil((play("client", nil, function(peer) peer:send(peer.control, frame(GOAWAY, string.char(id))) end)))
    end
  end)

  -- covers: rfc9114#5.2.4
  it("of a server ends new requests, and takes back those it will not answer", function()
    local pair = exchange.pair()
    exchange.events(pair, "client")
    local first = pair:request(exchange.GET, true)
    pair:run()
    assert.equal("headers:0 finished:0", exchange.story(pair, "server"))
    assert.equal(0, pair:goaway("server"))
    local late = pair:request(exchange.GET, true)
    local later = pair:request(exchange.POST, false)
    pair:run()
    assert.equal("", exchange.story(pair, "server"))
    pair:run()
    assert.equal("goaway:4 reset:4(0x10b) reset:8(0x10b)", exchange.story(pair, "client"))
    assert.equal(exchange.err.CLOSED, select(2, pair:request(exchange.GET, true)))
    assert.equal(exchange.err.STREAM_STATE, select(2, pair:send_body("client", later, "x", true)))
    assert.equal(0, pair:respond(first, exchange.OK, true))
    pair:run()
    assert.equal("headers:0 finished:0", exchange.story(pair, "client"))
    assert.equal(0, pair:open_requests("client"))
    assert.equal(0, pair:open_requests("server"))
    assert.equal(4, late)
    pair:free()
  end)

  it("of a server that says nothing new is not told again", function()
    local peer = exchange.peer("server")
    peer:send(peer.control, frame(GOAWAY, "\8"))
    assert.equal("goaway", peer.last[1].type)
    peer:send(peer.control, frame(GOAWAY, "\8"))
    assert.same({}, peer.last)
    peer:send(peer.control, frame(GOAWAY, "\4"))
    assert.equal("goaway", peer.last[1].type)
    peer:free()
  end)

  it("of ours goes out once per change", function()
    local peer = exchange.peer("client")
    local pair = peer.pair
    assert.equal(0, pair:goaway("server"))
    assert.equal(0, pair:goaway("server"))
    pair:run()
    local bytes = peer:received(3)
    assert.equal(frame(GOAWAY, "\0"), bytes:sub(-3))
    assert.not_equal(frame(GOAWAY, "\0"), bytes:sub(-6, -4))
    -- A request above the identifier is refused without being read.
    local id = peer:bidi(exchange.headers(exchange.GET), true)
    assert.equal("", peer:story())
    local _, _, reset = peer:received(id)
    assert.equal(code.REQUEST_REJECTED, reset)
    peer:free()
  end)

  it("waits for a control stream that is not open yet", function()
    local units = require("neap.units")
    local certificate, key = units.http_pair.certificate()
    local pair = units.http_pair.new({ certificate = certificate, key = key, seed = 6 })
    pair:h3("client")
    assert.equal(0, pair:goaway("client"))
    pair:run()
    pair:h3("server")
    exchange.events(pair, "client")
    pair:run()
    assert.equal("goaway:0", exchange.story(pair, "server"))
    pair:free()
  end)

  it("is refused when the connection is over", function()
    local pair = exchange.pair()
    pair:close("client", 0x100)
    pair:run()
    for _, side in ipairs({ "client", "server" }) do
      assert.equal(exchange.err.CLOSED, select(2, pair:goaway(side)))
      assert.equal(exchange.err.CLOSED, select(2, exchange.events(pair, side)))
    end
    pair:free()
  end)
end)
