local exchange = require("spec.http.exchange")

local code, err = exchange.code, exchange.err
local frame, varint, headers, data, with = exchange.frame, exchange.varint, exchange.headers, exchange.data,
  exchange.with
local GET, POST, OK = exchange.GET, exchange.POST, exchange.OK
local HEAD = with({ { ":method", "HEAD" } }, GET[2], GET[3], GET[4])

local function refused(expected, ...) assert.same({ nil, expected }, { ... }) end

-- A pair with one request that the server was told; what `respond` and the rest do to it is up to the spec.
local function asked(fields, options)
  local pair = exchange.pair(options)
  exchange.events(pair, "client")
  local id = assert(pair:request(fields or GET, true))
  pair:run()
  exchange.events(pair, "server")
  return pair, id
end

-- The frames in bytes: { {type, size}, … }.
local function frames_of(bytes)
  local list = {}
  for i, one in ipairs((require("neap.units").http.frames(bytes, 4096))) do list[i] = { one[1], #one[2] } end
  return list
end

describe("neap_h3_send_request", function()
  it("sends the fields in one frame", function()
    local peer = exchange.peer("server")
    local id = assert(peer.pair:request(GET, true))
    peer.pair:run()
    assert.same({ headers(GET), true }, { peer:received(id) })
    id = assert(peer.pair:request(with(POST, { "x-large", ("v"):rep(5000) }), false))
    peer.pair:run()
    assert.same({ headers(with(POST, { "x-large", ("v"):rep(5000) })), false }, { peer:received(id) })
    peer:free()
  end)

  -- covers: rfc9114#4.2.3 rfc9114#4.3.1 rfc9114#4.4.1
  it("refuses fields that a request may not have", function()
    local pair = exchange.pair()
    for _, fields in ipairs({ {}, { GET[1], GET[2], GET[3] }, with(GET, { "Accept", "x" }), with(GET,
      { "connection", "x" }),
      with(GET, { "te", "gzip" }), with(GET, { "x", "a\nb" }), with(GET, { "x", " a" }), with(GET, { ":path", "/" }),
      with(GET, { ":status", "200" }), with(GET, { "content-length", "x" }), OK }) do
      refused(err.ARGUMENT, pair:request(fields, true))
    end
    refused(err.ARGUMENT, pair:request(with(POST, { "content-length", "5" }), true))
    assert.equal(0, pair:open_requests("client"))
    assert.equal(0, pair:request(with(POST, { "content-length", "5" }), false))
    assert.equal(4, pair:request(with(POST, { "content-length", "0" }), true))
    pair:free()
  end)

  -- covers: rfc9114#7.2.4.2.1
  it("keeps to the size and the number of fields that the peer takes", function()
    local peer = exchange.peer("server", { settings = { { 6, 300 } } })
    exchange.events(peer.pair, "client")
    local size = 0
    for _, field in ipairs(GET) do size = size + #field[1] + #field[2] + 32 end
    assert.is_not_nil((peer.pair:request(with(GET, { "x", ("v"):rep(300 - size - 33) }), true)))
    refused(err.LIMIT, peer.pair:request(with(GET, { "x", ("v"):rep(300 - size - 32) }), true))
    peer:free()
    local pair = exchange.pair()
    local many = with(GET)
    for i = 1, 256 - #GET do many[#many + 1] = { "x", tostring(i) } end
    assert.equal(0, pair:request(many, true))
    pair:run()
    assert.equal(256, #exchange.events(pair, "server")[1].fields)
    many[#many + 1] = { "x", "y" }
    refused(err.LIMIT, pair:request(many, true))
    refused(err.LIMIT, pair:request(with(GET, { "x", ("v"):rep(65536) }), true))
    pair:free()
  end)

  it("is bounded by the streams that the peer allows", function()
    local pair = exchange.pair({ server = { options = { initial_max_streams_bidi = 2 } } })
    assert.equal(0, pair:request(GET, true))
    assert.equal(4, pair:request(GET, true))
    refused(err.STREAM_LIMIT, pair:request(GET, true))
    assert.equal(2, pair:open_requests("client"))
    pair:free()
  end)

  it("is not for servers, and not for connections that are over", function()
    local pair = exchange.pair()
    pair:close("client", 0x100)
    refused(err.CLOSED, pair:request(GET, true))
    pair:free()
  end)
end)

describe("neap_h3_send_response", function()
  it("may come after interim ones, once", function()
    local pair, id = asked()
    assert.equal(0, pair:respond(id, { { ":status", "100" } }))
    assert.equal(0, pair:respond(id, { { ":status", "103" }, { "link", "</a>" } }))
    assert.equal(0, pair:respond(id, OK))
    refused(err.STREAM_STATE, pair:respond(id, OK))
    refused(err.STREAM_STATE, pair:respond(id, { { ":status", "103" } }))
    assert.equal(0, pair:send_body("server", id, "", true))
    refused(err.STREAM_STATE, pair:respond(id, OK))
    refused(err.STREAM_STATE, pair:respond(id + 4, OK))
    pair:run()
    assert.equal("headers:0 headers:0 headers:0 finished:0", exchange.story(pair, "client"))
    pair:free()
  end)

  it("refuses fields that a response may not have", function()
    local pair, id = asked()
    for _, fields in ipairs({ {}, GET, { { ":status", "101" } }, { { ":status", "20" } }, with(OK, { "Server", "x" }),
      with(OK, { "transfer-encoding", "chunked" }), with(OK, { "te", "trailers" }), with(OK, { "x", "\0" }) }) do
      refused(err.ARGUMENT, pair:respond(id, fields, true))
    end
    refused(err.ARGUMENT, pair:respond(id, { { ":status", "103" } }, true))
    refused(err.ARGUMENT, pair:respond(id, with(OK, { "content-length", "1" }), true))
    assert.equal(0, pair:respond(id, OK, true))
    pair:free()
  end)

  it("tells that the client does not want it any more", function()
    local peer = exchange.peer("client")
    local id = peer:bidi(headers(POST))
    peer.pair:shutdown("client", id, "read", code.REQUEST_CANCELLED)
    peer.pair:run()
    refused(err.STOPPED, peer.pair:respond(id, OK, false))
    assert.equal("stopped:0(0x10c)", exchange.story(peer.pair, "server"))
    refused(err.STOPPED, peer.pair:respond(id, OK, false))
    peer:free()
  end)

  -- RFC 9110 §8.6
  it("refuses a content-length where there cannot be content", function()
    local pair, id = asked()
    for _, status in ipairs({ "100", "103", "204" }) do
      refused(err.ARGUMENT, pair:respond(id, { { ":status", status }, { "content-length", "0" } }))
    end
    assert.equal(0, pair:respond(id, { { ":status", "204" } }, true))
    pair:free()
    pair = exchange.pair()
    id = pair:request({ { ":method", "CONNECT" }, { ":authority", "a:1" } }, false)
    pair:run()
    exchange.events(pair, "server")
    refused(err.ARGUMENT, pair:respond(id, with(OK, { "content-length", "0" })))
    assert.equal(0, pair:respond(id, { { ":status", "404" }, { "content-length", "0" } }, true))
    pair:free()
  end)

  it("knows which responses have no body", function()
    local length = { "content-length", "100" }
    for _, case in ipairs({ { HEAD, with(OK, length) }, { GET, with({ { ":status", "304" } }, length) },
      { GET, { { ":status", "204" } } } }) do
      local pair, id = asked(case[1])
      assert.equal(0, pair:respond(id, case[2], true))
      pair:run()
      assert.equal("headers:0 finished:0", exchange.story(pair, "client"))
      pair:free()
    end
  end)
end)

describe("neap_h3_send_body", function()
  it("comes before nothing but headers", function()
    local pair, id = asked()
    refused(err.STREAM_STATE, pair:send_body("server", id, "x", false))
    refused(err.STREAM_STATE, pair:body_capacity("server", id))
    refused(err.STREAM_STATE, pair:send_trailers("server", id, { { "a", "b" } }))
    refused(err.STREAM_STATE, pair:send_body("client", id, "x", false))
    refused(err.STREAM_STATE, pair:send_body("server", 4, "x", false))
    pair:free()
  end)

  -- RFC 9110 §9.3.2, §15.3.5, §15.4.5
  it("takes the bytes of a response that has no content, and sends none of them", function()
    local length = { "content-length", "100" }
    for _, case in ipairs({ { HEAD, OK }, { HEAD, with(OK, length) }, { GET, with({ { ":status", "304" } }, length) },
      { GET, { { ":status", "204" } } } }) do
      local pair, id = asked(case[1])
      assert.equal(0, pair:respond(id, case[2], false))
      assert.equal(60, pair:send_body("server", id, ("x"):rep(60), false))
      if case[2][2] then refused(err.ARGUMENT, pair:send_body("server", id, ("x"):rep(41), true)) end
      assert.equal(40, pair:send_body("server", id, ("x"):rep(40), true))
      refused(err.STREAM_STATE, pair:send_body("server", id, "", true))
      pair:run()
      assert.equal("headers:0 finished:0", exchange.story(pair, "client"))
      assert.equal(0, pair:open_requests("server"))
      pair:free()
    end
  end)

  it("ends a response that has no content before its content-length is reached", function()
    local pair, id = asked(HEAD)
    assert.equal(0, pair:respond(id, with(OK, { "content-length", "100" }), false))
    assert.equal(13, pair:send_body("server", id, "hello from C\n", false))
    assert.equal(0, pair:send_body("server", id, "", true))
    pair:run()
    assert.equal("headers:0 finished:0", exchange.story(pair, "client"))
    pair:free()
  end)

  it("keeps to content-length", function()
    local pair, id = asked()
    pair:respond(id, with(OK, { "content-length", "5" }), false)
    refused(err.ARGUMENT, pair:send_body("server", id, "123456", true))
    refused(err.ARGUMENT, pair:send_body("server", id, "1234", true))
    refused(err.ARGUMENT, pair:send_body("server", id, "", true))
    assert.equal(3, pair:send_body("server", id, "123", false))
    refused(err.ARGUMENT, pair:send_trailers("server", id, { { "a", "b" } }))
    refused(err.ARGUMENT, pair:send_body("server", id, "456", true))
    assert.equal(2, pair:send_body("server", id, "45", false))
    refused(err.ARGUMENT, pair:send_body("server", id, "6", false))
    assert.equal(0, pair:send_body("server", id, "", true))
    pair:run()
    assert.equal("headers:0 data:0(5) finished:0", exchange.story(pair, "client"))
    pair:free()
  end)

  it("sends a megabyte through a small buffer in frames of a good size", function()
    for _, buffer in ipairs({ 3000, 16387, 65536, 262144 }) do
      local peer = exchange.peer("client", { server = { options = { send_buffer = buffer } } })
      local pair = peer.pair
      local id = peer:bidi(headers(GET), true)
      assert.equal(0, pair:respond(id, OK, false))
      local body, at, came, writable = ("0123456789abcdef"):rep(65536), 1, {}, 0
      while at <= #body do
        local taken, why = pair:send_body("server", id, body:sub(at, at + 99999), at + 99999 >= #body)
        if taken then
          at = at + taken
        else
          assert.equal(err.AGAIN, why)
          pair:run()
          came[#came + 1] = (peer:received(id))
          pair:run()
          local event = assert(pair:poll("server"))
          assert.same({ type = "writable", stream = id }, event)
          writable = writable + 1
        end
      end
      for _ = 1, 5 do
        pair:run()
        came[#came + 1] = (peer:received(id))
      end
      local frames = frames_of(table.concat(came))
      local sum, tiny = 0, 0
      for i = 2, #frames do
        assert.equal(0, frames[i][1])
        sum = sum + frames[i][2]
        if frames[i][2] < 2048 then tiny = tiny + 1 end
      end
      assert.equal(2 ^ 20, sum)
      assert.is_true(tiny <= 12, tiny .. " tiny frames") -- the ends of the pieces that were offered
      assert.is_true(writable > 0)
      peer:free()
    end
  end)

  it("fills the stream and says when there is room again", function()
    local pair, id = asked()
    pair:respond(id, OK, false)
    local capacity = pair:body_capacity("server", id)
    assert.is_true(capacity > 250000 and capacity < 262144)
    assert.equal(capacity, pair:send_body("server", id, ("x"):rep(capacity), false))
    assert.equal(0, pair:body_capacity("server", id))
    refused(err.AGAIN, pair:send_body("server", id, "more", false))
    assert.is_nil((pair:poll("server")))
    pair:run()
    assert.equal("writable:0", exchange.story(pair, "server"))
    assert.equal(4, pair:send_body("server", id, "more", true))
    local size = 0
    for _ = 1, 3 do
      pair:run()
      for _, event in ipairs((exchange.events(pair, "client"))) do size = size + #(event.body or "") end
    end
    assert.equal(capacity + 4, size)
    pair:free()
  end)

  it("takes a little more than there is room for rather than send a tiny frame", function()
    local pair, id = asked()
    pair:respond(id, OK, false)
    assert.is_not_nil((pair:send_body("server", id, ("x"):rep(pair:body_capacity("server", id) - 100), false)))
    assert.is_true(pair:body_capacity("server", id) < 100)
    assert.equal(2048, pair:send_body("server", id, ("y"):rep(5000), false))
    refused(err.AGAIN, pair:send_body("server", id, ("y"):rep(5000), false))
    pair:run()
    assert.equal("writable:0", exchange.story(pair, "server"))
    pair:free()
  end)

  it("tells why when the peer does not want it", function()
    local peer = exchange.peer("client")
    local pair = peer.pair
    local id = peer:bidi(headers(POST))
    pair:respond(id, OK, false)
    pair:shutdown("client", id, "read", code.REQUEST_CANCELLED)
    pair:run()
    refused(err.STOPPED, pair:send_body("server", id, "x", false))
    assert.equal("stopped:0(0x10c)", exchange.story(pair, "server"))
    refused(err.STOPPED, pair:send_body("server", id, "x", false))
    assert.equal(1, pair:open_requests("server"))
    peer:send(id, "", true)
    assert.equal("finished", peer.last[1].type)
    assert.equal(0, pair:open_requests("server"))
    peer:free()
  end)

  it("sends nothing for no bytes", function()
    local peer = exchange.peer("client")
    local id = peer:bidi(headers(GET), true)
    peer.pair:respond(id, OK, false)
    assert.equal(0, peer.pair:send_body("server", id, "", false))
    assert.equal(2, peer.pair:send_body("server", id, "ab", false))
    assert.equal(0, peer.pair:send_body("server", id, "", true))
    peer.pair:run()
    assert.same({ headers(OK) .. data("ab"), true }, { peer:received(id) })
    peer:free()
  end)
end)

describe("neap_h3_send_trailers", function()
  it("ends the message", function()
    local peer = exchange.peer("client")
    local id = peer:bidi(headers(GET), true)
    peer.pair:respond(id, OK, false)
    peer.pair:send_body("server", id, "ab", false)
    for _, fields in ipairs({ { { ":status", "200" } }, { { "A", "b" } }, { { "connection", "x" } } }) do
      refused(err.ARGUMENT, peer.pair:send_trailers("server", id, fields))
    end
    assert.equal(0, peer.pair:send_trailers("server", id, { { "x-sum", "1" } }))
    refused(err.STREAM_STATE, peer.pair:send_trailers("server", id, { { "x-sum", "1" } }))
    peer.pair:run()
    assert.same({ headers(OK) .. data("ab") .. headers({ { "x-sum", "1" } }), true }, { peer:received(id) })
    assert.equal(0, peer.pair:open_requests("server"))
    peer:free()
  end)

  it("has no place in a tunnel", function()
    local pair = exchange.pair()
    local id = pair:request({ { ":method", "CONNECT" }, { ":authority", "a:1" } }, false)
    refused(err.ARGUMENT, pair:send_trailers("client", id, { { "a", "b" } }))
    pair:run()
    exchange.events(pair, "server")
    assert.equal(0, pair:respond(id, OK, false))
    assert.equal(3, pair:send_body("server", id, "abc", false))
    refused(err.ARGUMENT, pair:send_trailers("server", id, { { "a", "b" } }))
    assert.equal(3, pair:send_body("client", id, "def", true))
    pair:run()
    assert.equal("data:0(3) finished:0", exchange.story(pair, "server"))
    assert.equal("headers:0 data:0(3)", exchange.story(pair, "client"))
    pair:free()
  end)
end)

describe("giving up", function()
  -- covers: rfc9114#4.1.1.1 rfc9114#4.1.1.3 rfc9114#4.1.1.7
  it("a request ends both directions", function()
    local pair = exchange.pair()
    exchange.events(pair, "client")
    local id = pair:request(POST, false)
    pair:send_body("client", id, "part", false)
    pair:run()
    exchange.events(pair, "server")
    assert.equal(0, pair:cancel("client", id, code.REQUEST_CANCELLED))
    refused(err.STREAM_STATE, pair:cancel("client", id, code.REQUEST_CANCELLED))
    refused(err.STREAM_STATE, pair:send_body("client", id, "x", true))
    refused(err.STREAM_STATE, pair:recv_body("client", id))
    assert.equal(0, pair:open_requests("client"))
    pair:run()
    assert.equal("stopped:0(0x10c) reset:0(0x10c)", exchange.story(pair, "server"))
    assert.equal(0, pair:open_requests("server"))
    pair:run()
    assert.equal("", exchange.story(pair, "client"))
    pair:free()
  end)

  it("a response reaches the client as a reset", function()
    local pair, id = asked(POST)
    pair:respond(id, OK, false)
    pair:send_body("server", id, "part", false)
    assert.equal(0, pair:cancel("server", id, code.INTERNAL_ERROR))
    assert.equal(0, pair:open_requests("server"))
    pair:run()
    assert.equal("reset:0(0x102)", exchange.story(pair, "client"))
    assert.equal(0, pair:open_requests("client"))
    pair:free()
  end)

  it("all at once frees everything", function()
    local pair = exchange.pair()
    local ids = {}
    for i = 1, 50 do ids[i] = pair:request(POST, false) end
    pair:run()
    exchange.events(pair, "server")
    for i, id in ipairs(ids) do pair:cancel(i % 2 == 0 and "client" or "server", id, code.REQUEST_CANCELLED) end
    for _ = 1, 3 do
      pair:run()
      exchange.events(pair, "client")
      exchange.events(pair, "server")
    end
    assert.equal(0, pair:open_requests("client"))
    assert.equal(0, pair:open_requests("server"))
    pair:free()
  end)
end)

describe("many exchanges", function()
  it("of all shapes side by side arrive whole", function()
    local pair = exchange.pair({ seed = 7 })
    local sent, got, answers = {}, {}, {}
    math.randomseed(77)
    for i = 1, 60 do
      local body = ("%d,"):format(i):rep(math.random(0, 3000))
      local id = assert(pair:request(with(POST, { "content-length", tostring(#body) }), false))
      sent[id] = body
      assert.equal(#body, pair:send_body("client", id, body, true))
    end
    for _ = 1, 200 do
      pair:run()
      for _, event in ipairs((exchange.events(pair, "server"))) do
        local id = event.stream
        got[id] = (got[id] or "") .. (event.body or "")
        if event.type == "finished" then
          pair:respond(id, OK, false)
          pair:send_body("server", id, got[id]:reverse(), false)
          pair:send_trailers("server", id, { { "x-size", tostring(#got[id]) } })
        end
      end
      pair:run()
      for _, event in ipairs((exchange.events(pair, "client"))) do
        local id = event.stream
        answers[id] = (answers[id] or "") .. (event.body or "")
        if event.type == "trailers" then assert.equal(tostring(#sent[id]), event.fields[1][2]) end
      end
      if pair:open_requests("client") == 0 then break end
    end
    assert.same(sent, got)
    for id, body in pairs(sent) do assert.equal(body:reverse(), answers[id]) end
    assert.equal(0, pair:open_requests("server"))
    pair:free()
  end)

  it("leave nothing behind", function()
    local pair = exchange.pair()
    local function one()
      local id = assert(pair:request(GET, true))
      pair:run()
      exchange.events(pair, "server")
      pair:respond(id, OK, false)
      pair:send_body("server", id, ("x"):rep(3000), true)
      pair:run()
      assert.equal(("headers:%d data:%d(3000) finished:%d"):format(id, id, id), exchange.story(pair, "client"))
      pair:run()
    end
    for _ = 1, 20 do one() end
    local client, server = pair:memory("client"), pair:memory("server")
    for _ = 1, 300 do one() end
    assert.is_true(pair:memory("client") <= client + 4096, pair:memory("client") - client)
    assert.is_true(pair:memory("server") <= server + 4096, pair:memory("server") - server)
    pair:free()
  end)

  it("cost an idle connection next to nothing", function()
    local pair = exchange.pair()
    exchange.events(pair, "client")
    exchange.events(pair, "server")
    local with_h3 = pair:memory("server")
    pair:free_h3("server")
    assert.is_true(with_h3 - pair:memory("server") <= 600, with_h3 - pair:memory("server"))
    pair:free()
  end)
end)

describe("an allocation that fails", function()
  -- A whole exchange in which nothing is taken for granted; whether it came to its end.
  local function exchange_all(pair)
    local id = pair:request(with(POST, { "x", ("v"):rep(2000) }), false)
    if not id then return false end
    local sent = pair:send_body("client", id, ("b"):rep(12000), true)
    local answered, finished
    for _ = 1, 6 do
      pair:run()
      for _, event in ipairs((exchange.events(pair, "server"))) do
        if event.type == "finished" then
          answered = pair:respond(id, with(OK, { "x", ("w"):rep(2000) }), false)
            and pair:send_body("server", id, ("c"):rep(5000), false)
            and pair:send_trailers("server", id, { { "x-sum", "1" } })
        end
      end
      pair:run()
      for _, event in ipairs((exchange.events(pair, "client"))) do
        if event.type == "finished" then finished = true end
      end
    end
    return (sent and answered and finished) or false
  end

  for _, side in ipairs({ "client", "server" }) do
    it("fails one exchange of a " .. side .. " at most, and leaks nothing", function()
      local n, whole, broken, closed = 0, 0, 0, 0
      repeat
        n = n + 1
        local pair = exchange.pair()
        exchange.events(pair, "client")
        exchange.events(pair, "server")
        pair:fail(side, n)
        if exchange_all(pair) then whole = whole + 1 else broken = broken + 1 end
        local failures = pair:fail(side, 0)
        if pair:closed("client") then
          closed = closed + 1
        else
          -- The connection lives: what failed is gone and a new exchange works.
          for id = 0, 8, 4 do pair:cancel("client", id, code.REQUEST_CANCELLED) end
          pair:run()
          for id = 0, 8, 4 do pair:cancel("server", id, code.REQUEST_CANCELLED) end
          pair:run()
          assert.is_true(exchange_all(pair), "after allocation " .. n)
        end
        pair:free()
      until failures == 0
      assert.is_true(n > 20 and broken > 5, n .. " allocations, " .. broken .. " broken")
      assert.is_true(whole > 0 and closed < n)
    end)
  end

  it("before SETTINGS are known closes the connection", function()
    local seen = {}
    for n = 1, 12 do
      local pair = exchange.pair({ speaks = {} })
      pair:h3("client")
      pair:run()
      pair:fail("server", n)
      local ok = pcall(pair.h3, pair, "server")
      if ok then
        pair:run()
        local events, why = exchange.events(pair, "server")
        assert.same({}, events)
        seen[why] = true
      end
      pair:free()
    end
    assert.is_true(seen[err.AGAIN])
    assert.is_true(seen[err.CLOSED])
  end)
end)

describe("frames of ours", function()
  it("have their size in the shortest form", function()
    assert.equal(frame(0, "abc"), varint(0) .. varint(3) .. "abc")
    local peer = exchange.peer("client")
    local id = peer:bidi(headers(GET), true)
    peer.pair:respond(id, OK, false)
    peer.pair:run()
    assert.equal(headers(OK), (peer:received(id)))
    for _, size in ipairs({ 1, 63, 64, 16383, 16384 }) do
      assert.equal(size, peer.pair:send_body("server", id, ("z"):rep(size), false))
      peer.pair:run()
      assert.equal(data(("z"):rep(size)), (peer:received(id)))
      peer.pair:run()
    end
    peer:free()
  end)
end)
