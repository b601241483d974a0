--- Body bytes that are put into a stream's own memory, and looked at where they lie.
local exchange = require("spec.http.exchange")

local err = exchange.err
local data, headers, with = exchange.data, exchange.headers, exchange.with
local GET, POST, OK = exchange.GET, exchange.POST, exchange.OK

local CHUNK = 4096 -- bytes of one part or view

local function refused(expected, ...) assert.same({ nil, expected }, { ... }) end

local function pattern(size)
  local bytes = {}
  for i = 1, size do bytes[i] = string.char(33 + i * 7 % 89) end
  return table.concat(bytes)
end

-- A server with a request whose header section is answered.
local function answered(fields, options)
  local pair = exchange.pair(options)
  exchange.events(pair, "client")
  local id = assert(pair:request(GET, true))
  pair:run()
  exchange.events(pair, "server")
  assert(pair:respond(id, with(OK, unpack(fields or {})), false))
  return pair, id
end

-- All that the client gets of a body; what the server still has to send, `more` says.
local function received(pair, id, more)
  local parts = {}
  for _ = 1, 1000 do
    pair:run()
    for _, event in ipairs((exchange.events(pair, "server"))) do
      if event.type == "writable" then more() end
    end
    local list = exchange.events(pair, "client")
    for _, event in ipairs(list) do
      parts[#parts + 1] = event.stream == id and event.body or ""
      if event.type == "finished" then return table.concat(parts) end
    end
  end
  error("the body does not end")
end

describe("neap_h3_reserve_body and neap_h3_commit_body", function()
  it("send what was put into the stream's memory", function()
    local pair, id = answered({ { "content-length", "5000" } })
    local body = pattern(5000)
    assert.same({ 3000, 0 }, { pair:fill_body("server", id, 3000, body:sub(1, 3000), false) })
    assert.same({ 2000, 0 }, { pair:fill_body("server", id, 2000, body:sub(3001), true) })
    assert.equal(body, received(pair, id))
    pair:free()
  end)

  it("send less than was reserved, and go on behind it", function()
    local pair, id = answered()
    assert.same({ 9000, 0 }, { pair:fill_body("server", id, 9000, "short", false) })
    assert.equal(6, pair:send_body("server", id, " bytes", false))
    assert.same({ 9000, 0 }, { pair:fill_body("server", id, 9000, "", true) })
    assert.equal("short bytes", received(pair, id))
    pair:free()
  end)

  it("change nothing when nothing is committed", function()
    local pair, id = answered()
    assert.same({ 9000 }, { pair:fill_body("server", id, 9000) })
    assert.same({ 100 }, { pair:fill_body("server", id, 100) })
    assert.equal(4, pair:send_body("server", id, "tide", true))
    assert.equal("tide", received(pair, id))
    pair:free()
  end)

  it("give as many parts as there is room for", function()
    local pair, id = answered()
    local held = assert(pair:fill_body("server", id, 9000, nil, false, 2))
    assert.is_true(held > CHUNK and held <= 2 * CHUNK)
    pair:free()
  end)

  it("take a little more than the send buffer holds, and then wait for room", function()
    local pair, id = answered(nil, { server = { options = { send_buffer = 20000 } } })
    local body, at = pattern(60000), 0
    local function more()
      while at < #body do
        local held = pair:fill_body("server", id, #body - at)
        if not held then return held end
        local _, result = pair:fill_body("server", id, #body - at, body:sub(at + 1, at + held), at + held == #body)
        assert.equal(0, result)
        at = at + held
      end
    end
    more()
    assert.is_true(at >= 19000 and at <= 20000 + CHUNK, at)
    refused(err.AGAIN, pair:fill_body("server", id, 1000))
    assert.equal(body, received(pair, id, more))
    pair:free()
  end)

  it("keep to the content-length and to what was reserved", function()
    local pair, id = answered({ { "content-length", "100" } })
    refused(err.ARGUMENT, pair:fill_body("server", id, 101))
    assert.same({ 60, err.ARGUMENT }, { pair:fill_body("server", id, 60, ("x"):rep(60), true) })
    assert.same({ 10, err.ARGUMENT }, { pair:fill_body("server", id, 10, ("x"):rep(101), false) })
    assert.same({ 100, 0 }, { pair:fill_body("server", id, 100, ("x"):rep(100), true) })
    assert.equal(("x"):rep(100), received(pair, id))
    pair:free()
    pair, id = answered()
    -- Far more than any rounding up leaves behind it.
    assert.same({ 10, err.ARGUMENT }, { pair:fill_body("server", id, 10, ("x"):rep(2 * CHUNK), false) })
    assert.equal(4, pair:send_body("server", id, "tide", true))
    assert.equal("tide", received(pair, id))
    pair:free()
  end)

  it("are refused where no body may be sent", function()
    local pair = exchange.pair()
    exchange.events(pair, "client")
    local id = assert(pair:request(with({ { ":method", "HEAD" } }, GET[2], GET[3], GET[4]), true))
    pair:run()
    exchange.events(pair, "server")
    refused(err.STREAM_STATE, pair:fill_body("server", id, 10))
    assert(pair:respond(id, OK, false))
    refused(err.STREAM_STATE, pair:fill_body("server", id, 10))
    refused(err.STREAM_STATE, pair:fill_body("server", 400, 10))
    pair:close("client", 0x100)
    pair:run()
    refused(err.CLOSED, pair:fill_body("server", id, 10))
    pair:free()
  end)

  it("reset the stream when there is no memory at all, and reserve less when there is some", function()
    for nth = 1, 6 do
      local pair, id = answered()
      pair:fail("server", nth)
      local held, problem = pair:fill_body("server", id, 5 * CHUNK)
      if held then
        assert.is_true(held <= 5 * CHUNK)
        assert.equal(4, pair:send_body("server", id, "tide", true))
        assert.equal("tide", received(pair, id))
      else
        assert.equal(err.NO_MEMORY, problem)
        pair:run()
        assert.matches("reset:0%(0x102%)", exchange.story(pair, "client"))
      end
      pair:free()
    end
  end)
end)

describe("neap_h3_peek_body and neap_h3_consume_body", function()
  it("give a body where it lies, over frames and chunks", function()
    local body = pattern(7000)
    local peer = exchange.peer("client")
    local id = peer:bidi(headers(POST))
    peer.pair:run()
    exchange.events(peer.pair, "server", true)
    peer.pair:send("client", id, data(body:sub(1, 3000)) .. data("") .. data(body:sub(3001)), true)
    peer.pair:run()
    local list = exchange.events(peer.pair, "server", true)
    assert.equal("data", list[#list].type)
    local parts = {}
    while true do
      local bytes, result = peer.pair:peek_body("server", id)
      if not bytes then
        assert.equal(err.AGAIN, result)
        break
      end
      assert.equal(0, result)
      parts[#parts + 1] = bytes
    end
    assert.equal(body, table.concat(parts))
    assert.equal(2, #parts) -- one a frame
    assert.equal("finished:0", exchange.story(peer.pair, "server"))
    peer:free()
  end)

  it("show again what was not consumed, also to neap_h3_recv_body", function()
    local peer = exchange.peer("client")
    local id = peer:bidi(headers(POST) .. data("high water"))
    peer.pair:run()
    exchange.events(peer.pair, "server", true)
    peer.pair:send("client", id, data("low water"), false)
    peer.pair:run()
    exchange.events(peer.pair, "server", true)
    assert.same({ "low water", 0 }, { peer.pair:peek_body("server", id, 0) })
    assert.same({ "low water", 0 }, { peer.pair:peek_body("server", id, 4) })
    assert.same({ "water", 0 }, { peer.pair:peek_body("server", id, 0) })
    assert.equal("water", peer.pair:recv_body("server", id))
    refused(err.AGAIN, peer.pair:peek_body("server", id))
    peer.pair:send("client", id, data("again"), true)
    peer.pair:run()
    local list = exchange.events(peer.pair, "server", true)
    assert.equal("data", list[1].type)
    assert.same({ "again", 0 }, { peer.pair:peek_body("server", id) })
    peer:free()
  end)

  it("consume no more than was looked at", function()
    local peer = exchange.peer("client")
    local id = peer:bidi(headers(POST))
    peer.pair:send("client", id, exchange.frame(0, "abc", 100), false)
    peer.pair:run()
    exchange.events(peer.pair, "server", true)
    assert.same({ "abc", err.ARGUMENT }, { peer.pair:peek_body("server", id, 4) })
    assert.same({ "abc", err.ARGUMENT }, { peer.pair:peek_body("server", id, 101) })
    assert.same({ "abc", 0 }, { peer.pair:peek_body("server", id) })
    peer:free()
  end)

  it("give as many views as there is room for", function()
    local peer = exchange.peer("client")
    local id = peer:bidi(headers(POST))
    peer.pair:send("client", id, data(pattern(10000)), true)
    peer.pair:run()
    exchange.events(peer.pair, "server", true)
    local bytes = peer.pair:peek_body("server", id, nil, 2)
    assert.is_true(#bytes > CHUNK and #bytes <= 2 * CHUNK)
    peer:free()
  end)

  it("give the credit back", function()
    local options = { initial_max_stream_data_bidi_remote = 10000, initial_max_data = 20000 }
    -- The client's buffer takes all of it, whatever the credit.
    local roomy = { send_buffer = 200000 }
    local peer = exchange.peer("client", { server = { options = options }, client = { options = roomy } })
    local body, got = pattern(100000), {}
    local id = peer:bidi("")
    peer.pair:send("client", id, headers(POST) .. data(body), true)
    for _ = 1, 100 do
      peer.pair:run()
      local list = exchange.events(peer.pair, "server", true)
      local piece = peer.pair:peek_body("server", id)
      while piece do
        got[#got + 1] = piece
        piece = peer.pair:peek_body("server", id)
      end
      if list[#list] and list[#list].type == "finished" then break end
    end
    assert.equal(body, table.concat(got))
    peer:free()
  end)

  it("say what neap_h3_recv_body says", function()
    local peer = exchange.peer("client")
    local id = peer:bidi(headers(POST))
    refused(err.AGAIN, peer.pair:peek_body("server", id))
    refused(err.STREAM_STATE, peer.pair:peek_body("server", 400))
    peer.pair:stop_body("server", id, 0x100)
    refused(err.STREAM_STATE, peer.pair:peek_body("server", id))
    peer.pair:close("client", 0x100)
    peer.pair:run()
    refused(err.CLOSED, peer.pair:peek_body("server", id))
    peer:free()
  end)
end)
