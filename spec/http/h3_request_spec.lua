local exchange = require("spec.http.exchange")
local http = require("neap.units").http

local code = exchange.code
local frame, varint, headers, data, with = exchange.frame, exchange.varint, exchange.headers, exchange.data,
  exchange.with
local GET, POST, OK = exchange.GET, exchange.POST, exchange.OK
local UNKNOWN = frame(0x21, "what")

-- One message on a fresh stream: what the receiving application was told, the code its connection closed
-- with, and the code our stream was reset with.
local function server_told(bytes, fin)
  local peer = exchange.peer("client")
  local id = peer:bidi("")
  local words = {}
  local left = bytes
  repeat
    local taken = assert(peer.pair:send("client", id, left, fin ~= false))
    left = left:sub(taken + 1)
    peer.pair:run()
    words[#words + 1] = exchange.story(peer.pair, "server")
    peer.pair:run()
  until left == ""
  local closed = peer:close_code()
  local reset = not closed and select(3, peer:received(id)) or nil
  peer:free()
  return (table.concat(words, " "):gsub("^ +", "")), closed, reset
end

-- The same for a response to `request`.
local function client_told(request, bytes, fin)
  local peer = exchange.peer("server")
  local id = assert(peer.pair:request(request, true))
  peer.pair:run()
  assert(peer:received(id) ~= "")
  assert(peer.pair:send("server", id, bytes, fin ~= false) == #bytes)
  peer.pair:run()
  local story = peer:story()
  peer.pair:run()
  local closed = peer:close_code()
  peer:free()
  return story, closed
end

describe("a request", function()
  it("is told as headers, data, trailers and the end", function()
    local story = server_told(headers(POST) .. data("hello") .. UNKNOWN .. data("") .. data("abc")
      .. headers({ { "x-sum", "1" } }) .. UNKNOWN)
    assert.equal("headers:0 data:0(8) trailers:0 finished:0", story)
  end)

  -- covers: rfc9114#4.2.1.2
  it("has one cookie field, however many lines it came in", function()
    for _, case in ipairs({
      { { "a=b", "c=d" }, "a=b; c=d" }, { { "", "" }, "; " }, { { "", "a=b", "" }, "; a=b; " },
      { { "a=" .. ("x"):rep(3000), "b" }, "a=" .. ("x"):rep(3000) .. "; b" },
    }) do
      local peer = exchange.peer("client")
      local lines = {}
      for i, value in ipairs(case[1]) do
        lines[#lines + 1] = { "cookie", value }
        lines[#lines + 1] = { "x-" .. i, "between" }
      end
      peer:bidi(headers(with(GET, unpack(lines))), true)
      local wanted = with(GET, { "cookie", case[2] })
      for i = 1, #case[1] do wanted[#wanted + 1] = { "x-" .. i, "between" } end
      assert.same(wanted, peer.last[1].fields)
      peer:free()
    end
  end)

  it("gives its fields as they were sent", function()
    local peer = exchange.peer("client")
    local sent = with(GET, { "cookie", "a=b" }, { "x-empty", "" }, { "x-bytes", "\128\255" })
    peer:bidi(headers(sent), true)
    assert.same(sent, peer.last[1].fields)
    assert.is_true(peer.last[1].fin)
    assert.equal("finished", peer.last[2].type)
    peer:free()
  end)

  it("says with its headers whether nothing follows", function()
    local peer = exchange.peer("client")
    peer:bidi(headers(GET), true)
    assert.is_true(peer.last[1].fin)
    peer:bidi(headers(GET) .. data("x"), true)
    assert.is_nil(peer.last[1].fin)
    peer:bidi(headers(GET))
    assert.is_nil(peer.last[1].fin)
    peer:free()
  end)

  it("is told the same when it comes byte by byte", function()
    local peer = exchange.peer("client")
    local bytes = UNKNOWN .. headers(with(POST, { "content-length", "8" })) .. data("hello") .. UNKNOWN .. data("abc")
      .. headers({ { "x-sum", "1" } })
    local id = peer:bidi("")
    local body, types = {}, {}
    for i = 1, #bytes do
      peer:send(id, bytes:sub(i, i), i == #bytes)
      for _, event in ipairs(peer.last) do
        types[event.type] = (types[event.type] or 0) + 1
        body[#body + 1] = event.body
      end
    end
    assert.equal("helloabc", table.concat(body))
    assert.same({ headers = 1, data = 8, trailers = 1, finished = 1 }, types)
    assert.is_nil((peer:close_code()))
    peer:free()
  end)

  it("leaves its body with the stream until it is asked for", function()
    local peer = exchange.peer("client")
    local pair = peer.pair
    local id = peer:bidi(headers(POST))
    local before, sent = pair:memory("server"), 0
    local chunk = data(("x"):rep(100000))
    for _ = 1, 40 do
      local taken = pair:send("client", id, chunk, false)
      sent = sent + (taken or 0)
      pair:run()
      exchange.events(pair, "server", true)
      if not taken or taken < #chunk then break end
    end
    -- The window of a stream is 1 MiB, the sender holds 256 KiB more.
    assert.is_true(pair:memory("server") - before < 1.3 * 2 ^ 20)
    assert.is_true(sent > 2 ^ 20 and sent < 2 ^ 20 + 2 ^ 18 + 2 ^ 17)
    local read = 0
    repeat
      local part = pair:recv_body("server", id, 30000)
      read = read + #(part or "")
    until not part
    assert.is_true(read > 0.99 * 2 ^ 20)
    peer:free()
  end)

  it("tells of data again when more of it comes", function()
    local peer = exchange.peer("client")
    local pair = peer.pair
    local id = peer:bidi(headers(POST) .. data("one"))
    assert.equal("one", pair:recv_body("server", id, 100) or "one")
    pair:send("client", id, data("two"), false)
    pair:run()
    assert.same({ type = "data", stream = id }, (pair:poll("server")))
    assert.is_nil((pair:poll("server")))
    pair:send("client", id, data("three"), false)
    pair:run()
    assert.same({ type = "data", stream = id }, (pair:poll("server")))
    assert.equal("tw", pair:recv_body("server", id, 2))
    assert.equal("othree", pair:recv_body("server", id, 100))
    assert.same({ nil, exchange.err.AGAIN }, { pair:recv_body("server", id, 100) })
    peer:free()
  end)

  it("finishes when the body was read to its last byte and not asked again", function()
    local peer = exchange.peer("client")
    local pair = peer.pair
    local id = assert(pair:open("client", true))
    pair:send("client", id, headers(POST) .. data("12345"), true)
    pair:run()
    assert.equal("headers", pair:poll("server").type)
    assert.equal("data", pair:poll("server").type)
    assert.is_nil((pair:poll("server")))
    assert.equal("12345", pair:recv_body("server", id, 5))
    assert.equal("finished", pair:poll("server").type)
    assert.same({ nil, exchange.err.STREAM_STATE }, { pair:recv_body("server", id, 5) })
    peer:free()
  end)

  it("has no body before its headers were told, and none after its end", function()
    local peer = exchange.peer("client")
    local pair = peer.pair
    local id = assert(pair:open("client", true))
    assert.same({ nil, exchange.err.STREAM_STATE }, { pair:recv_body("server", id, 5) })
    pair:send("client", id, headers(POST):sub(1, 5), false)
    pair:run()
    assert.is_nil((pair:poll("server")))
    assert.is_nil((pair:poll("server")))
    assert.same({ nil, exchange.err.AGAIN }, { pair:recv_body("server", id, 5) })
    peer:free()
  end)

  it("may end with nothing but the end", function()
    local peer = exchange.peer("client")
    for _, case in ipairs({ { headers(GET), "finished" }, { headers(POST) .. data("abc"), "finished" },
      { headers(with(POST, { "content-length", "3" })) .. data("abc"), "finished" },
      { headers(with(POST, { "content-length", "3" })) .. data("ab"), "reset" },
      { headers(with(POST, { "content-length", "3" })), "reset" },
      { headers(POST) .. headers({ { "a", "b" } }), "finished" }, { UNKNOWN, "reset" } }) do
      local id = peer:bidi(case[1])
      peer:send(id, "", true)
      assert.same(1, #peer.last)
      assert.equal(case[2], peer.last[1].type)
    end
    local id = peer:bidi(headers(POST) .. frame(0, "abc", 4))
    peer:send(id, "", true)
    assert.equal(code.FRAME_ERROR, (peer:close_code()))
    peer:free()
  end)

  -- covers: rfc9114#4.1.13
  it("that ends before its headers is incomplete", function()
    for _, bytes in ipairs({ "", UNKNOWN }) do
      local story, closed, reset = server_told(bytes)
      assert.same({ "reset:0(0x10d)", code.REQUEST_INCOMPLETE }, { story, reset })
      assert.is_nil(closed)
    end
  end)

  -- covers: rfc9114#7.1.4
  it("that ends inside a frame is H3_FRAME_ERROR", function()
    local section = headers(POST)
    for _, bytes in ipairs({ "\0", "\64", "\0\64", section:sub(1, -2), section:sub(1, 2), frame(0x21, "abc", 4),
      section .. frame(0, "abc", 4), section .. "\0", section .. frame(0, "", 1), section .. "\1",
      section .. data("x") .. headers({ { "a", "b" } }):sub(1, -2), section .. frame(0x21, "", 2 ^ 61) }) do
      local _, closed = server_told(bytes)
      assert.equal(code.FRAME_ERROR, closed)
    end
  end)

  -- covers: rfc9114#4.1.3 rfc9114#7.2.3.7 rfc9114#7.2.4.4 rfc9114#7.2.7.1 rfc9114#7.2.6.2 rfc9114#7.2.5.11
  -- covers: rfc9114#7.2.8.3
  it("has no frames of the control stream, of pushes or of HTTP/2 (h3spec 46)", function()
    for _, frame_type in ipairs({ 2, 3, 4, 5, 6, 7, 8, 9, 0x0d }) do
      for _, before in ipairs({ "", headers(POST), headers(POST) .. data("x") }) do
        local _, closed = server_told(before .. frame(frame_type, "\0"))
        assert.equal(code.FRAME_UNEXPECTED, closed, frame_type)
      end
    end
  end)

  -- covers: rfc9114#4.1.2.2 rfc9114#4.1.2.1
  it("that is malformed is reset, and the connection goes on (h3spec 36 to 39)", function()
    local malformed = {
      with(GET, { ":path", "/" }), { GET[1], GET[2], GET[3] }, with(GET, { ":status", "200" }),
      { GET[1], GET[2], GET[3], { "accept", "*/*" }, GET[4] }, with(GET, { "Accept", "x" }),
      with(GET, { "connection", "close" }), with(GET, { "te", "gzip" }), with(GET, { "x", "a\r\nb" }), {},
      with({ { ":method", "CONNECT" }, { ":protocol", "websocket" } }, GET[2], GET[3], GET[4]),
    }
    for _, fields in ipairs(malformed) do
      local story, closed, reset = server_told(headers(fields))
      assert.equal("reset:0(0x10e)", story)
      assert.is_nil(closed)
      assert.equal(code.MESSAGE_ERROR, reset)
    end
    for _, trailers in ipairs({ { { ":path", "/" } }, { { "Sum", "x" } }, { { "upgrade", "x" } } }) do
      local story, closed, reset = server_told(headers(POST) .. data("x") .. headers(trailers))
      assert.equal("headers:0 data:0(1) reset:0(0x10e)", story)
      assert.is_nil(closed)
      assert.equal(code.MESSAGE_ERROR, reset)
    end
  end)

  it("does not disturb the requests beside it when it is malformed", function()
    local peer = exchange.peer("client")
    local good = peer:bidi(headers(POST))
    peer:bidi(headers({ { "x", "y" } }), true)
    peer:send(good, data("still here"), true)
    assert.equal("still here", peer.last[1].body)
    assert.equal(0, peer.pair:respond(good, OK, true))
    peer.pair:run()
    assert.equal(headers(OK), (peer:received(good)))
    peer:free()
  end)

  -- covers: rfc9204#2.2.3.1
  it("with a section that cannot be decoded closes the connection (h3spec 47)", function()
    for _, section in ipairs({ "\0\0\xff\xff\x7f", "\0\0\x80", "\1\0", "", "\0", "\0\0\x50" }) do
      local _, closed = server_told(frame(1, section))
      assert.equal(code.DECOMPRESSION_FAILED, closed)
      _, closed = server_told(headers(POST) .. frame(1, section))
      assert.equal(code.DECOMPRESSION_FAILED, closed)
    end
  end)

  it("larger than we take is answered 431", function()
    local peer = exchange.peer("client", { max_field_section_size = 1000 })
    local size = 0
    for _, field in ipairs(GET) do size = size + #field[1] + #field[2] + 32 end
    local fits = with(GET, { "x", ("v"):rep(1000 - size - 33) })
    peer:bidi(headers(fits))
    assert.equal("headers", peer.last[1].type)
    for _, message in ipairs({ headers(with(GET, { "x", ("v"):rep(1000 - size - 32) })), frame(1, "", 1001) }) do
      local id = peer:bidi(message)
      assert.same({}, peer.last)
      assert.same({ headers({ { ":status", "431" } }), true }, { peer:received(id) })
      assert.equal(code.NO_ERROR, peer.pair:stream_error("client", id, "write"))
    end
    -- Trailers have nothing to be answered with.
    local id = peer:bidi(headers(POST) .. headers({ { "x", ("v"):rep(1000) } }))
    assert.equal("reset", peer.last[2].type)
    assert.equal(code.EXCESSIVE_LOAD, select(3, peer:received(id)))
    assert.is_nil((peer:close_code()))
    assert.equal(3, (peer.pair:counts("server")).sections_refused)
    assert.equal(4, select(2, peer.pair:counts("server")).requests)
    peer:free()
  end)

  it("whose header frame only declares a size costs no memory for it", function()
    local peer = exchange.peer("client", { max_field_section_size = 2 ^ 30 })
    local before = peer.pair:memory("server")
    peer:bidi(frame(1, "\0\0", 2 ^ 29))
    assert.is_true(peer.pair:memory("server") - before < 4096)
    peer:free()
  end)

  it("skips a gigantic unknown frame without keeping it", function()
    local peer = exchange.peer("client")
    local id = peer:bidi(headers(POST) .. varint(0x21) .. varint(2 ^ 62 - 2 ^ 10))
    local before, chunk = peer.pair:memory("server"), ("x"):rep(200000)
    for _ = 1, 30 do
      peer:send(id, chunk)
      assert.is_true(peer.pair:memory("server") <= before + 65536)
    end
    assert.is_nil((peer:close_code()))
    peer:free()
  end)

  it("made of empty and unknown frames ends the connection", function()
    for _, noise in ipairs({ data(""), frame(0x21, "") }) do
      local _, closed = server_told(headers(POST) .. noise:rep(1001), false)
      assert.equal(code.EXCESSIVE_LOAD, closed)
      _, closed = server_told(headers(POST) .. noise:rep(900), false)
      assert.is_nil(closed)
    end
  end)

  it("that is reset is told, and may still be answered", function()
    local peer = exchange.peer("client")
    local pair = peer.pair
    local id = peer:bidi(headers(POST) .. data("part"))
    pair:shutdown("client", id, "write", code.REQUEST_CANCELLED)
    pair:run()
    assert.equal("reset:0(0x10c)", exchange.story(pair, "server"))
    assert.equal(1, pair:open_requests("server"))
    assert.equal(0, pair:respond(id, OK, true))
    pair:run()
    assert.equal(headers(OK), (peer:received(id)))
    assert.equal(0, pair:open_requests("server"))
    peer:free()
  end)

  it("whose answer is not wanted even before it is told says so after its headers", function()
    for _, first in ipairs({ 0, 5 }) do
      local peer = exchange.peer("client")
      local pair, bytes = peer.pair, headers(POST)
      local id = assert(pair:open("client", true))
      pair:send("client", id, bytes:sub(1, first), false)
      pair:shutdown("client", id, "read", code.REQUEST_CANCELLED)
      pair:run()
      assert.equal("", exchange.story(pair, "server"))
      pair:send("client", id, bytes:sub(first + 1), true)
      pair:run()
      assert.equal("headers:0 stopped:0(0x10c) finished:0", exchange.story(pair, "server"))
      assert.equal(0, pair:open_requests("server"))
      peer:free()
    end
  end)

  -- covers: rfc9114#4.1.1.4 rfc9114#4.1.1.5 rfc9114#4.1.1.8
  it("that is reset before it was told is rejected", function()
    local peer = exchange.peer("client")
    local pair = peer.pair
    local id = peer:bidi(headers(POST):sub(1, 7))
    pair:shutdown("client", id, "write", code.REQUEST_CANCELLED)
    pair:run()
    assert.equal("reset:0(0x10c)", exchange.story(pair, "server"))
    pair:run()
    assert.equal(code.REQUEST_REJECTED, select(3, peer:received(id)))
    assert.equal(0, pair:open_requests("server"))
    peer:free()
  end)

  it("made and reset without end closes the connection", function()
    local peer = exchange.peer("client")
    local pair = peer.pair
    local made = 0
    for _ = 1, 2000 do
      local id = pair:open("client", true)
      if not id then break end
      made = made + 1
      pair:send("client", id, headers(GET), false)
      pair:shutdown("client", id, "write", code.REQUEST_CANCELLED)
      pair:shutdown("client", id, "read", code.REQUEST_CANCELLED)
      if made % 50 == 0 then
        pair:run()
        for _, event in ipairs((exchange.events(pair, "server"))) do
          if event.type == "reset" then pair:cancel("server", event.stream, code.REQUEST_CANCELLED) end
        end
        pair:run()
      end
    end
    assert.equal(code.EXCESSIVE_LOAD, (peer:close_code()))
    assert.is_true(made >= 500 and made <= 1150, made)
    peer:free()
  end)

  it("keeps its stream's credit while the application may still answer", function()
    local peer = exchange.peer("client", { server = { options = { initial_max_streams_bidi = 10 } } })
    local pair = peer.pair
    local opened = {}
    while true do
      local id = pair:open("client", true)
      if not id then break end
      opened[#opened + 1] = id
      peer:send(id, headers(GET))
      assert.equal("headers", peer.last[1].type)
      pair:shutdown("client", id, "write", code.REQUEST_CANCELLED)
      pair:run()
      assert.equal(("reset:%d(0x10c)"):format(id), exchange.story(pair, "server"))
    end
    assert.equal(10, #opened)
    assert.equal(10, pair:open_requests("server"))
    for _, id in ipairs(opened) do assert.equal(0, pair:cancel("server", id, code.REQUEST_CANCELLED)) end
    pair:run()
    assert.equal(0, pair:open_requests("server"))
    for _, id in ipairs(opened) do peer:received(id) end
    pair:run()
    assert.is_not_nil((pair:open("client", true)))
    peer:free()
  end)

  it("that was told keeps its stream's credit when the client has left, until it is answered or given up", function()
    local peer = exchange.peer("client", { server = { options = { initial_max_streams_bidi = 10 } } })
    local pair = peer.pair
    local opened = {}
    while true do
      local id = pair:open("client", true)
      if not id then break end
      opened[#opened + 1] = id
      peer:send(id, headers(GET), true)
      pair:shutdown("client", id, "read", code.REQUEST_CANCELLED)
      pair:run()
      assert.equal(("stopped:%d(0x10c)"):format(id), exchange.story(pair, "server"))
      pair:run()
      assert.is_true(#opened <= 10)
    end
    assert.equal(10, #opened)
    assert.equal(0, pair:open_requests("server"))
    assert.equal(exchange.err.STOPPED, select(2, pair:respond(opened[1], OK, true)))
    for _, id in ipairs(opened) do assert.equal(0, pair:cancel("server", id, code.REQUEST_CANCELLED)) end
    for _, id in ipairs(opened) do peer:received(id) end
    pair:run()
    assert.is_not_nil((pair:open("client", true)))
    peer:free()
  end)

  it("that is malformed keeps it too, once it was told, and not before", function()
    local peer = exchange.peer("client", { server = { options = { initial_max_streams_bidi = 10 } } })
    local pair = peer.pair
    local function malformed(told)
      local id = assert(pair:open("client", true))
      local told_first = headers(exchange.with(POST, { "content-length", "1" })) .. data("ab")
      peer:send(id, told and told_first or headers({ POST[1] }))
      peer:received(id)
      pair:run()
      return id
    end
    for _ = 1, 20 do malformed(false) end
    local first = malformed(true)
    for _ = 2, 10 do malformed(true) end
    assert.is_nil((pair:open("client", true)))
    assert.equal(0, pair:cancel("server", first, code.REQUEST_CANCELLED))
    pair:run()
    assert.is_not_nil((pair:open("client", true)))
    peer:free()
  end)
end)

describe("a response", function()
  it("is told as interim headers, headers, data, trailers and the end", function()
    assert.equal("headers:0 headers:0 headers:0 data:0(2) trailers:0 finished:0",
      (client_told(GET, headers({ { ":status", "100" } }) .. UNKNOWN .. headers({ { ":status", "103" },
        { "link", "x" } })
        .. headers(OK) .. data("ok") .. headers({ { "a", "b" } }))))
  end)

  it("tells interim ones apart", function()
    local pair = exchange.pair()
    exchange.events(pair, "client")
    local id = pair:request(GET, true)
    pair:run()
    exchange.events(pair, "server")
    assert.equal(0, pair:respond(id, { { ":status", "103" } }))
    assert.equal(0, pair:respond(id, { { ":status", "204" } }, true))
    pair:run()
    local events = exchange.events(pair, "client")
    assert.is_true(events[1].informational)
    assert.is_nil(events[2].informational)
    assert.is_true(events[2].fin)
    pair:free()
  end)

  -- covers: rfc9114#4.1.2.4 rfc9114#4.1.2
  it("that is malformed is reset", function()
    for name, bytes in pairs({
      ["no status"] = headers({ { "server", "x" } }), ["status 101"] = headers({ { ":status", "101" } }),
      ["request"] = headers(GET), ["upper case"] = headers(with(OK, { "Server", "x" })),
      ["no final response"] = headers({ { ":status", "103" } }), ["nothing"] = "", ["only unknown"] = UNKNOWN,
      ["te"] = headers(with(OK, { "te", "trailers" })),
    }) do
      local story, closed = client_told(GET, bytes)
      assert.equal("reset:0(0x10e)", story:match("[^ ]*$"), name)
      assert.is_nil(closed, name)
    end
    local story = client_told(GET, headers(OK) .. headers(OK))
    assert.equal("headers:0 reset:0(0x10e)", story, "a second final response")
  end)

  -- covers: rfc9114#7.2.5.2
  it("never pushes", function()
    for _, before in ipairs({ "", headers(OK) }) do
      assert.equal(code.ID_ERROR, select(2, client_told(GET, before .. frame(5, "\0\0\0"))))
    end
  end)

  it("that is reset ends the request", function()
    local peer = exchange.peer("server")
    local pair = peer.pair
    local id = pair:request(POST, false)
    pair:run()
    peer:send(id, headers(OK) .. data("part"))
    pair:shutdown("server", id, "write", code.INTERNAL_ERROR)
    pair:run()
    assert.equal("reset:0(0x102)", exchange.story(pair, "client"))
    assert.equal(0, pair:open_requests("client"))
    pair:run()
    assert.equal(code.REQUEST_CANCELLED, select(3, peer:received(id)))
    peer:free()
  end)

  -- covers: rfc9114#4.1.16 rfc9114#4.1.17
  it("is whole although the rest of the request was not wanted", function()
    local pair = exchange.pair()
    exchange.events(pair, "client")
    local id = pair:request(POST, false)
    pair:send_body("client", id, ("x"):rep(1000), false)
    pair:run()
    exchange.events(pair, "server", true)
    assert.equal(0, pair:respond(id, OK, false))
    assert.equal(4, pair:send_body("server", id, "done", true))
    assert.equal(0, pair:stop_body("server", id, code.NO_ERROR))
    assert.equal(0, pair:open_requests("server"))
    pair:run()
    local story = exchange.story(pair, "client")
    assert.is_truthy(story:find("headers:0", 1, true) and story:find("data:0(4)", 1, true)
      and story:find("finished:0", 1, true) and story:find("stopped:0(0x100)", 1, true))
    assert.equal(0, pair:open_requests("client"))
    pair:free()
  end)
end)

describe("content-length", function()
  local function sized(fields, length) return headers(with(fields, { "content-length", tostring(length) })) end
  local malformed = "reset:0(0x10e)"

  local function last(story) return story:match("[^ ]*$") end

  it("of a request is the sum of its DATA frames", function()
    for _, bytes in ipairs({ sized(POST, 0), sized(POST, 0) .. data(""), sized(POST, 3) .. data("abc"),
      sized(POST, 3) .. data("a") .. UNKNOWN .. data("bc"), sized(POST, 3) .. data("abc") .. headers({
        { "a", "b" } }),
      sized(GET, 2) .. data("ab") }) do
      local story, closed = server_told(bytes)
      assert.equal("finished:0", last(story))
      assert.is_nil(closed)
    end
    for _, bytes in ipairs({ sized(POST, 1), sized(POST, 0) .. data("a"), sized(POST, 3) .. data("ab"),
      sized(POST, 3) .. data("abcd"), sized(POST, 3) .. data("abc") .. data("d"), sized(POST, 3)
        .. headers({ { "a", "b" } }),
      sized(POST, 4) .. data("abc") .. headers({ { "a", "b" } }), sized(POST, 2 ^ 40) .. data("abc") }) do
      local story, closed, reset = server_told(bytes)
      assert.equal(malformed, last(story))
      assert.is_nil((story:find("trailers", 1, true)))
      assert.is_nil(closed)
      assert.equal(code.MESSAGE_ERROR, reset)
    end
  end)

  it("is held against a DATA frame as soon as its header is there", function()
    local peer = exchange.peer("client")
    local id = peer:bidi(sized(POST, 3) .. frame(0, "", 4))
    assert.equal("reset", peer.last[2].type)
    assert.equal(code.MESSAGE_ERROR, select(3, peer:received(id)))
    peer:free()
  end)

  it("in a form that is no number makes the message malformed", function()
    for _, value in ipairs({ "", "1,1", "0x5", "-1", "+1", "1 ", "9223372036854775808", "1e3" }) do
      assert.equal(malformed, (server_told(headers(with(POST, { "content-length", value })) .. data("a"))))
      assert.equal(malformed, (client_told(GET, headers(with(OK, { "content-length", value })) .. data("a"))))
    end
  end)

  it("of a response is held against it too", function()
    assert.equal("headers:0 data:0(3) finished:0", (client_told(GET, sized(OK, 3) .. data("abc"))))
    for _, bytes in ipairs({ sized(OK, 3), sized(OK, 3) .. data("ab"), sized(OK, 3) .. data("abcd") }) do
      assert.equal(malformed, last((client_told(GET, bytes))))
    end
  end)

  it("of a response that has no body by definition says nothing", function()
    local head = with({ { ":method", "HEAD" } }, GET[2], GET[3], GET[4])
    assert.equal("headers:0 finished:0", (client_told(head, sized(OK, 3))))
    assert.equal("headers:0 finished:0", (client_told(GET, sized({ { ":status", "304" } }, 3))))
    assert.equal("headers:0 finished:0", (client_told(GET, sized({ { ":status", "204" } }, 3))))
    assert.equal("headers:0 headers:0 finished:0", (client_told(GET, sized({ { ":status", "103" } }, 3)
      .. headers(OK))))
    assert.equal(malformed, last((client_told(head, sized(OK, 3) .. data("abc")))))
    assert.equal(malformed, last((client_told(GET, headers({ { ":status", "304" } }) .. data("a")))))
    assert.equal(malformed, last((client_told(GET, headers({ { ":status", "204" } }) .. data("a")))))
  end)
end)

describe("CONNECT", function()
  local connect = { { ":method", "CONNECT" }, { ":authority", "example.com:443" } }

  -- covers: rfc9114#4.4.3
  it("makes the stream a tunnel of DATA frames", function()
    assert.equal("headers:0 data:0(6) finished:0", (server_told(headers(connect) .. data("abc") .. UNKNOWN
      .. data("def"))))
    assert.equal(code.FRAME_UNEXPECTED, select(2, server_told(headers(connect) .. headers({ { "a", "b" } }))))
    assert.equal("headers:0 data:0(3) finished:0", (server_told(headers(with(connect, { "content-length", "1" }))
      .. data("abc"))))
  end)

  it("is no tunnel when it is refused", function()
    local function told(bytes)
      local peer = exchange.peer("server")
      local id = assert(peer.pair:request(connect, false))
      peer.pair:run()
      peer.pair:send("server", id, bytes, true)
      peer.pair:run()
      local story = peer:story()
      local closed = peer:close_code()
      peer:free()
      return story, closed
    end
    assert.equal("headers:0 trailers:0 finished:0", (told(headers({ { ":status", "403" } }) .. headers({
      { "a", "b" } }))))
    assert.equal("headers:0 data:0(2) finished:0", (told(headers(with(OK, { "content-length", "9" })) .. data("ab"))))
    assert.equal(code.FRAME_UNEXPECTED, select(2, told(headers(OK) .. headers({ { "a", "b" } }))))
  end)
end)

describe("hostile streams", function()
  it("of random frames never do more than close the connection", function()
    math.randomseed(9114)
    local section = http.qpack_encode(POST)
    local types = { 0, 1, 1, 1, 3, 4, 5, 7, 0x0d, 0x21, 2, 0x40 }
    for round = 1, 60 do
      local peer = exchange.peer("client", { seed = round })
      for _ = 1, 10 do
        local bytes = math.random(2) == 1 and headers(POST) or ""
        for _ = 1, math.random(1, 6) do
          local payload = math.random(3) == 1 and section or section:sub(1, math.random(0, #section))
          if math.random(4) == 1 then
            local at = math.random(1, #section)
            payload = section:sub(1, at - 1) .. string.char(math.random(0, 255)) .. section:sub(at + 1)
          end
          bytes = bytes .. frame(types[math.random(#types)], payload, math.random(5) == 1 and math.random(0, 300))
        end
        local id = peer.pair:open("client", math.random(5) > 1)
        if not id then break end
        peer:send(id, bytes, math.random(2) == 1)
        if peer.pair:closed("client") then break end
      end
      peer:close_code()
      peer:free()
    end
  end)
end)
