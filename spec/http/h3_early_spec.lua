--- Requests that are answered before they ended: what still comes is held against the same rules.
local exchange = require("spec.http.exchange")

local code = exchange.code
local frame, headers, data, with = exchange.frame, exchange.headers, exchange.data, exchange.with
local varint = exchange.varint
local POST, OK = exchange.POST, exchange.OK

local function length(value) return with(POST, { "content-length", value }) end

-- The header section, what comes behind it, the code that the connection ends with, or the stream.
local BROKEN = {
  ["DATA cut by the end"] = { POST, frame(0, "half", 9), code.FRAME_ERROR },
  ["a frame header cut by the end"] = { POST, data("x") .. "\0", code.FRAME_ERROR },
  ["DATA after trailers"] = { POST, data("x") .. headers({ { "a", "b" } }) .. data("y"), code.FRAME_UNEXPECTED },
  ["HEADERS after trailers"] = { POST, headers({ { "a", "b" } }) .. headers({ { "a", "b" } }),
    code.FRAME_UNEXPECTED },
  ["SETTINGS behind the body"] = { POST, data("x") .. frame(4, ""), code.FRAME_UNEXPECTED },
  ["pseudo-header fields in trailers"] = { POST, data("x") .. headers({ { ":path", "/" } }), nil,
    code.MESSAGE_ERROR },
  ["bytes behind a content-length that no number holds"] = { length("18446744073709551619"), data("abc"), nil,
    code.MESSAGE_ERROR },
  ["nothing behind content-length"] = { length("5"), "", nil, code.MESSAGE_ERROR },
  ["a body above content-length"] = { length("3"), data("four"), nil, code.MESSAGE_ERROR },
  ["a second frame above content-length"] = { length("3"), data("abc") .. data("d"), nil, code.MESSAGE_ERROR },
  ["a body below content-length"] = { length("5"), data("four"), nil, code.MESSAGE_ERROR },
  ["trailers below content-length"] = { length("5"), data("four") .. headers({ { "a", "b" } }), nil,
    code.MESSAGE_ERROR },
}

--- Sends a message to a server that answers at HEADERS, before it has read: in one piece, or in two.
--- Gives the code the connection was closed with, what was received, and the code the stream was reset with.
local function answered_early(first, rest)
  local peer = exchange.peer("client")
  local pair = peer.pair
  local id = assert(pair:open("client", true))
  local pieces = { first, rest }
  local told = 0
  for i, piece in ipairs(pieces) do
    -- The next piece leaves before STOP_SENDING arrives.
    assert(pair:send("client", id, piece, i == #pieces) == #piece)
    pair:run()
    for event in function() return (pair:poll("server")) end do
      if event.type == "headers" then
        told = told + 1
        assert.equal(0, pair:respond(id, OK, true))
        assert.equal(0, pair:stop_body("server", id, code.NO_ERROR))
      end
    end
  end
  pair:run()
  exchange.events(pair, "server", true)
  pair:run()
  local closed = peer:close_code()
  local body, _, reset
  if not closed then body, _, reset = peer:received(id) end
  local stopped = not closed and pair:stream_error("client", id, "write") or nil
  local open = pair:open_requests("server")
  peer:free()
  return { closed = closed, body = body, reset = reset, stopped = stopped, told = told, open = open }
end

--- The same for a server that reads to the end, and answers nothing before.
local function read_whole(bytes)
  local peer = exchange.peer("client")
  local id = peer:bidi(bytes, true)
  local closed = peer:close_code()
  local reset = not closed and select(3, peer:received(id)) or nil
  peer:free()
  return { closed, reset }
end

describe("a request that is answered early", function()
  for name, case in pairs(BROKEN) do
    -- covers: rfc9114#4.1.2.1 rfc9114#4.1.2.2
    it("is judged as if it were read: " .. name, function()
      local at_once = answered_early(headers(case[1]) .. case[2])
      assert.same({ case[3], case[4] }, { at_once.closed, at_once.reset })
      assert.same({ case[3], case[4] }, read_whole(headers(case[1]) .. case[2]))
      local later = answered_early(headers(case[1]), case[2])
      assert.equal(case[3], later.closed)
      if case[4] then
        -- An answer that has arrived cannot be taken back.
        assert.equal(later.told > 0 and headers(OK) or "", later.body)
        assert.equal(0, later.open)
      end
    end)
  end

  it("has its answer whole when what comes is as it must be", function()
    for _, rest in ipairs({ "", data("x"), data("x") .. frame(0x21, "grease") .. data(("y"):rep(5000)),
      data("x") .. headers({ { "a", "b" } }) }) do
      local result = answered_early(headers(POST) .. rest)
      result.stopped = nil
      assert.same({ told = 1, open = 0, body = headers(OK) }, result)
    end
  end)

  it("costs no more credit than its window, and gives the connection's back", function()
    local WINDOW = 100000
    local peer = exchange.peer("client", { server = { options = {
      initial_max_stream_data_bidi_remote = WINDOW, max_stream_window = WINDOW, initial_max_data = 4 * WINDOW,
      max_connection_window = 4 * WINDOW } } })
    local pair = peer.pair
    for _ = 1, 20 do
      local id = assert(pair:open("client", true))
      local sent = assert(pair:send("client", id, headers(POST) .. varint(0) .. varint(4000000), false))
      pair:run()
      for event in function() return (pair:poll("server")) end do
        if event.type == "headers" then
          pair:respond(id, OK, true)
          pair:stop_body("server", id, code.NO_ERROR)
        end
      end
      -- Bytes that leave before STOP_SENDING is heard: the server does not get to send.
      for _ = 1, 4 do sent = sent + (pair:send("client", id, ("x"):rep(65536), false) or 0) end
      assert.is_true(sent >= WINDOW)
      pair:run()
      assert.equal("", exchange.story(pair, "server"))
      pair:run()
    end
    assert.is_nil((peer:close_code()))
    assert.equal(0, pair:open_requests("server"))
    -- Twenty windows were sent into a connection that takes four.
    local last = peer:bidi(headers(POST) .. data(("y"):rep(50000)), true)
    assert.equal(50000, #peer.last[2].body)
    assert.equal(0, pair:respond(last, OK, true))
    peer:free()
  end)
end)

describe("a message that is not wanted any more", function()
  it("takes nothing from the one that leaves", function()
    local pair = exchange.pair()
    local id = pair:request(POST, false)
    pair:run()
    exchange.events(pair, "server")
    pair:stop_body("client", id, code.NO_ERROR)
    assert.equal(3, pair:send_body("client", id, "abc", false))
    pair:run()
    exchange.events(pair, "server")
    pair:run()
    exchange.events(pair, "client")
    assert.equal(3, pair:send_body("client", id, "def", true))
    pair:run()
    assert.equal("data:0(3) finished:0", exchange.story(pair, "server"))
    pair:free()
  end)

  it("does not keep from a server, which has not answered, that its answer is not wanted either", function()
    local peer = exchange.peer("client")
    local pair = peer.pair
    local id = peer:bidi(headers(length("3")))
    assert.equal(0, pair:stop_body("server", id, code.NO_ERROR))
    pair:deafen("client", true) -- STOP_SENDING is not heard
    pair:send("client", id, data("fives"), false)
    pair:shutdown("client", id, "read", code.REQUEST_CANCELLED)
    pair:run()
    assert.equal("reset:0(0x10e)", exchange.story(pair, "server"))
    assert.equal(0, pair:open_requests("server"))
    peer:free()
  end)

  it("is not told about once it was answered, whatever becomes of it", function()
    for _, rest in ipairs({ frame(1, "x", 90000):sub(1, 5), headers({ { "a", "b" } }):sub(1, 4),
      data("x") .. "\1\50" }) do
      local peer = exchange.peer("client")
      local pair = peer.pair
      local id = assert(pair:open("client", true))
      pair:send("client", id, headers(POST) .. rest, false)
      pair:run()
      for event in function() return (pair:poll("server")) end do
        if event.type == "headers" then
          assert.equal(0, pair:respond(id, OK, true))
          assert.equal(0, pair:stop_body("server", id, code.NO_ERROR))
        end
      end
      assert.equal(0, pair:open_requests("server"))
      pair:deafen("client", true)
      pair:run(20)
      assert.equal("", exchange.story(pair, "server"))
      peer:free()
    end
  end)

  it("was told before: else nobody knows that it came", function()
    local peer = exchange.peer("client")
    local pair = peer.pair
    local id = peer:bidi(headers(POST):sub(1, 5))
    assert.same({ nil, exchange.err.STREAM_STATE }, { pair:stop_body("server", id, code.NO_ERROR) })
    peer:send(id, headers(POST):sub(6), true)
    assert.equal("headers", peer.last[1].type)
    peer:free()
  end)
end)

describe("a request whose content-length is more than nothing", function()
  -- covers: rfc9114#4.1.2.1
  it("is not told when its stream ended with the header section", function()
    for _, value in ipairs({ "1", "18446744073709551619" }) do
      for _, cut in ipairs({ 0, 3 }) do
        local peer = exchange.peer("client")
        local pair = peer.pair
        local id = assert(pair:open("client", true))
        local bytes = headers(length(value))
        if cut > 0 then
          pair:send("client", id, bytes:sub(1, cut), false)
          pair:run()
          assert.equal("", exchange.story(pair, "server"))
        end
        pair:send("client", id, bytes:sub(cut + 1), true)
        pair:run()
        assert.equal("reset:0(0x10e)", exchange.story(pair, "server"))
        pair:run()
        assert.equal(code.MESSAGE_ERROR, select(3, peer:received(id)))
        peer:free()
      end
    end
  end)

  it("is not told either when the end came alone before anybody looked", function()
    local peer = exchange.peer("client")
    local pair = peer.pair
    local id = assert(pair:open("client", true))
    pair:send("client", id, headers(length("4")), false)
    pair:run()
    pair:send("client", id, "", true)
    pair:run()
    assert.equal("reset:0(0x10e)", exchange.story(pair, "server"))
    peer:free()
  end)
end)

describe("a response that ends with interim headers", function()
  it("is not told as one that is whole", function()
    local peer = exchange.peer("server")
    local pair = peer.pair
    local id = pair:request(exchange.GET, true)
    pair:run()
    pair:send("server", id, headers({ { ":status", "103" } }), true)
    pair:run()
    assert.equal("reset:0(0x10e)", peer:story())
    peer:free()
  end)
end)
