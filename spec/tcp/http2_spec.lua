-- HTTP/2 (RFC 9113) as a transport: two ends of ours against each other.
local units = require("neap.units")

if not units.transport.http2 then
  describe("HTTP/2", function()
    it("is a transport", function() pending("this build has no libnghttp2 (NEAP_WITH_HTTP2)") end)
  end)
  return
end

local h2 = require("spec.tcp.h2")
local code, GET, POST, OK = h2.code, h2.GET, h2.POST, h2.OK

-- NEAP_ERR_*
local STREAM_STATE, STREAM_LIMIT, STREAM_STOPPED, AGAIN, ARGUMENT, CLOSED, LIMIT

do
  local client, server = h2.pair()
  AGAIN = select(2, client:poll())
  STREAM_STATE = select(2, client:recv_body(1))
  ARGUMENT = select(2, server:send_request(GET, true))
  client:goaway()
  CLOSED = select(2, client:send_request(GET, true))
  client:free()
  server:free()
end

describe("an exchange", function()
  local client, server
  before_each(function() client, server = h2.pair() end)
  after_each(function()
    client:free()
    server:free()
  end)

  local function run() h2.run(client, server) end

  it("is told in the events of HTTP/3, pseudo-header fields first", function()
    assert.equal(1, client:send_request(h2.with(GET, { "accept", "*/*" }), true))
    run()
    local events = h2.events(server)
    assert.same({ { type = "headers", stream = 1, fin = true, fields = h2.with(GET, { "accept", "*/*" }) },
      { type = "finished", stream = 1 } }, events)
    assert.equal(1, server:open_requests())
    server:send_response(1, h2.with(OK, { "content-length", "5" }), false)
    assert.equal(5, server:send_body(1, "hello", true))
    run()
    events = h2.events(client)
    assert.same({ "headers", "data", "finished" }, { events[1].type, events[2].type, events[3].type })
    assert.same(h2.with(OK, { "content-length", "5" }), events[1].fields)
    assert.equal("hello", events[2].body)
    assert.equal(0, server:open_requests())
    assert.equal(0, client:open_requests())
    assert.same({ nil, STREAM_STATE }, { client:recv_body(1) })
  end)

  it("numbers its streams as HTTP/2 does", function()
    for id = 1, 5, 2 do assert.equal(id, client:send_request(GET, true)) end
  end)

  it("has a body both ways, and trailers behind it", function()
    client:send_request(POST, false)
    client:send_body(1, "ping", false)
    client:send_trailers(1, { { "x-sum", "1" } })
    run()
    assert.equal("headers:1 data:1(ping) trailers:1(fin) finished:1", h2.story(server))
    server:send_response(1, OK, false)
    server:send_body(1, "pong", false)
    server:send_trailers(1, { { "x-sum", "2" } })
    run()
    assert.equal("headers:1 data:1(pong) trailers:1(fin) finished:1", h2.story(client))
    assert.equal(0, server:open_requests() + client:open_requests())
  end)

  it("tells trailers only when the body before them was read", function()
    client:send_request(POST, false)
    client:send_body(1, "ping", false)
    client:send_trailers(1, { { "x-sum", "1" } })
    run()
    local events = h2.events(server, true)
    assert.same({ "headers", "data" }, { events[1].type, events[2].type })
    assert.equal(2, #events)
    assert.equal("pi", server:recv_body(1, 2))
    assert.equal("", h2.story(server))
    assert.equal("ng", server:recv_body(1))
    assert.equal("trailers:1(fin) finished:1", h2.story(server))
  end)

  it("may have interim responses before the final one", function()
    client:send_request(GET, true)
    run()
    h2.events(server)
    server:send_response(1, { { ":status", "103" }, { "link", "</a>" } }, false)
    server:send_response(1, { { ":status", "103" } }, false)
    server:send_response(1, OK, true)
    run()
    local events = h2.events(client)
    assert.same({ true, true, nil }, { events[1].informational, events[2].informational, events[3].informational })
    assert.is_true(events[3].fin)
  end)

  it("has the lines of a cookie joined", function()
    client:send_request(h2.with(GET, { "cookie", "a=1" }, { "x", "y" }, { "cookie", "b=2" }), true)
    run()
    assert.same(h2.with(GET, { "cookie", "a=1; b=2" }, { "x", "y" }), server:poll().fields)
  end)

  it("drops the body of an answer to HEAD, and ends it", function()
    client:send_request(h2.with({ { ":method", "HEAD" } }, GET[2], GET[3], GET[4]), true)
    run()
    h2.events(server)
    server:send_response(1, h2.with(OK, { "content-length", "3" }), false)
    assert.equal(3, server:send_body(1, "abc", true))
    run()
    assert.equal("headers:1(fin) finished:1", h2.story(client))
  end)

  it("refuses to send what HTTP forbids", function()
    local function fails(fields, fin) return select(2, client:send_request(fields, fin)) end
    assert.equal(ARGUMENT, fails(h2.with(GET, { "Upper", "x" }), true))
    assert.equal(ARGUMENT, fails(h2.with(GET, { "connection", "close" }), true))
    assert.equal(ARGUMENT, fails(h2.with(GET, { "x", "a\r\nb: c" }), true))
    assert.equal(ARGUMENT, fails(h2.with(POST, { "content-length", "3" }), true))
    LIMIT = fails(h2.with(GET, { "x", ("y"):rep(70000) }), true)
    assert.is_true(LIMIT < 0 and LIMIT ~= ARGUMENT)
    assert.equal(1, client:send_request(h2.with(POST, { "content-length", "3" }), false))
    assert.same({ nil, ARGUMENT }, { client:send_body(1, "abcd", false) })
    assert.same({ nil, ARGUMENT }, { client:send_body(1, "ab", true) })
    assert.equal(3, client:send_body(1, "abc", true))
    assert.same({ nil, STREAM_STATE }, { client:send_body(1, "", true) })
    run()
    assert.equal("headers:1 data:1(abc) finished:1", h2.story(server))
    assert.equal(ARGUMENT, select(2, server:send_response(1, { { ":status", "103" } }, true)))
    assert.same({ nil, STREAM_STATE }, { server:send_response(3, OK, true) })
  end)

  it("does not send a client's field section that the server would not take", function()
    client:free()
    server:free()
    client, server = h2.pair(nil, { max_field_section_size = 1000 })
    assert.equal(LIMIT, select(2, client:send_request(h2.with(GET, { "x", ("y"):rep(1000) }), true)))
  end)

  it("waits for the application to read before it takes more of a body", function()
    client:send_request(POST, false)
    local sent = 0
    for _ = 1, 100 do
      sent = sent + (client:send_body(1, ("x"):rep(100000), false) or 0)
      run()
    end
    assert.is_true(sent >= 131072 and sent <= 2 * 131072, sent)
    assert.same({ nil, AGAIN }, { client:send_body(1, "x", false) })
    local read = 0
    local events = h2.events(server, true)
    assert.equal("data", events[2].type)
    while read < sent do read = read + #assert(server:recv_body(1)) end
    run()
    h2.story(client)
    assert.is_true((client:body_capacity(1)) > 60000)
  end)

  it("tells when a body that came short can go on, and not before", function()
    client:send_request(GET, true)
    run()
    h2.events(server)
    server:send_response(1, OK, false)
    local whole, taken, got = ("0123456789"):rep(50000), 0, {}
    while taken < #whole do
      local share = server:send_body(1, whole:sub(taken + 1), true)
      taken = taken + (share or 0)
      run()
      for _, event in ipairs((h2.events(client))) do got[#got + 1] = event.body end
      if taken < #whole then
        run()
        assert.equal("writable:1", h2.story(server))
      end
    end
    run()
    for _, event in ipairs((h2.events(client))) do got[#got + 1] = event.body end
    assert.is_true(table.concat(got) == whole)
  end)

  it("ends both ways when the client gives it up", function()
    client:send_request(POST, false)
    run()
    h2.events(server)
    client:cancel(1, code.REQUEST_CANCELLED)
    run()
    assert.equal("stopped:1(0x10c) reset:1(0x10c)", h2.story(server))
    STREAM_STOPPED = select(2, server:send_response(1, OK, true))
    assert.is_true(STREAM_STOPPED < 0 and STREAM_STOPPED ~= STREAM_STATE)
    assert.equal(1, server:stats().resets_received)
    assert.equal(0, server:open_requests())
    server:cancel(1, code.REQUEST_CANCELLED)
    assert.same({ nil, STREAM_STATE }, { server:send_response(1, OK, true) })
    assert.same({ nil, STREAM_STATE }, { client:recv_body(1) })
  end)

  it("that was whole before the client left is stopped, and its body can still be read", function()
    client:send_request(POST, false)
    client:send_body(1, "whole", true)
    run()
    assert.equal("headers", server:poll().type)
    client:cancel(1, code.REQUEST_CANCELLED)
    run()
    local events = h2.events(server, true)
    assert.same({ "data", "stopped" }, { events[1].type, events[2].type })
    assert.equal("whole", server:recv_body(1))
    assert.equal("finished:1", h2.story(server))
    server:cancel(1, code.REQUEST_CANCELLED)
    assert.equal(0, server:open_requests())
  end)

  it("that the client left before anybody looked is told as reset alone", function()
    client:send_request(GET, true)
    run()
    client:cancel(1, code.REQUEST_CANCELLED)
    run()
    assert.equal("reset:1(0x10c)", h2.story(server))
    assert.equal(0, server:open_requests())
  end)

  it("translates codes", function()
    for ours, theirs in pairs({ REQUEST_REJECTED = 7, INTERNAL_ERROR = 2, EXCESSIVE_LOAD = 11, MESSAGE_ERROR = 1 }) do
      local id = client:send_request(POST, false)
      run()
      h2.events(server)
      server:cancel(id, code[ours])
      local resets = h2.of_type(h2.frames((function()
        local bytes = server:send()
        client:receive(bytes)
        return bytes
      end)()), "rst_stream")
      assert.equal(theirs, h2.error_of(resets[1]), ours)
    end
    assert.is_truthy(h2.story(client):find("reset:%d%(0x10b%)"))
  end)

  it("may be answered before the request is whole, whose rest is stopped by NO_ERROR", function()
    client:send_request(POST, false)
    client:send_body(1, "some", false)
    run()
    h2.events(server)
    server:send_response(1, OK, false)
    server:stop_body(1, code.NO_ERROR)
    server:send_body(1, "enough", true)
    run()
    local events = h2.events(client)
    local story = {}
    for _, event in ipairs(events) do story[#story + 1] = event.type end
    assert.same({ "headers", "data", "stopped", "finished" }, story)
    assert.equal("enough", events[2].body)
    assert.equal(code.NO_ERROR, events[3].code)
    assert.equal(0, server:open_requests())
    assert.equal(0, client:open_requests())
  end)

  it("is stopped behind the response, in a piece of its own: curl 7.88 drops one that RST_STREAM comes with", function()
    client:send_request(POST, false)
    client:send_body(1, "some", false)
    run()
    h2.events(server)
    server:send_response(1, OK, false)
    server:send_body(1, "enough", true)
    server:stop_body(1, code.NO_ERROR)
    local pieces = { server:send(), server:send(), server:send() }
    assert.equal(0, #h2.of_type(h2.frames(pieces[1]), "rst_stream"))
    assert.equal(1, #h2.of_type(h2.frames(pieces[2]), "rst_stream"))
    assert.equal("", pieces[3] or "")
    for _, piece in ipairs(pieces) do client:receive(piece) end
    assert.equal("enough", h2.events(client)[2].body)
  end)

  it("gives the connection's credit back for bodies that nobody wants", function()
    for _ = 1, 20 do
      local id = client:send_request(POST, false)
      client:send_body(id, ("x"):rep(65000), false)
      run()
      h2.events(server, true)
      server:cancel(id, code.REQUEST_CANCELLED)
      run()
      h2.events(client)
    end
    local id = client:send_request(POST, false)
    assert.equal(65000, client:send_body(id, ("x"):rep(65000), true))
    run()
    local events = h2.events(server)
    assert.equal(65000, #events[2].body)
  end)

  it("is one of a hundred that a client may have open", function()
    for _ = 1, 100 do assert(client:send_request(GET, true)) end
    STREAM_LIMIT = select(2, client:send_request(GET, true))
    assert.is_true(STREAM_LIMIT < 0)
    run()
    assert.equal(200, #h2.events(server))
    for id = 1, 199, 2 do server:send_response(id, OK, true) end
    run()
    assert.equal(200, #h2.events(client))
    assert.equal(201, client:send_request(GET, true))
  end)

  it("is answered in the order of its urgency (RFC 9218)", function()
    for _, priority in ipairs({ "u=5", "u=1", "u=3" }) do
      client:send_request(h2.with(GET, { "priority", priority }), true)
    end
    run()
    h2.events(server)
    for id = 1, 5, 2 do
      server:send_response(id, OK, false)
      server:send_body(id, ("x"):rep(1000), true)
    end
    local order = {}
    for i, one in ipairs(h2.of_type(h2.frames((server:send())), "data")) do order[i] = one.stream end
    assert.same({ 3, 5, 1 }, order)
  end)

  it("has the server's word on its urgency before the client's", function()
    for _ = 1, 2 do client:send_request(GET, true) end
    run()
    h2.events(server)
    for id, priority in pairs({ [1] = "u=6", [3] = "u=0" }) do
      server:send_response(id, h2.with(OK, { "priority", priority }), false)
      server:send_body(id, "x", true)
    end
    local frames = h2.of_type(h2.frames((server:send())), "data")
    assert.same({ 3, 1 }, { frames[1].stream, frames[2].stream })
  end)

  it("costs no memory when it is over", function()
    local function exchange()
      local id = client:send_request(POST, false)
      client:send_body(id, ("x"):rep(5000), false)
      client:send_trailers(id, { { "a", "b" } })
      run()
      h2.events(server)
      server:send_response(id, OK, false)
      server:send_body(id, ("y"):rep(5000), true)
      run()
      h2.events(client)
    end
    for _ = 1, 5 do exchange() end
    local before_client, before_server = client:memory(), server:memory()
    for _ = 1, 200 do exchange() end
    assert.equal(before_server, (server:memory()))
    assert.equal(before_client, (client:memory()))
  end)
end)

describe("a connection", function()
  it("goes away in two steps: what is on its way is served", function()
    local client, server = h2.pair()
    client:send_request(GET, true)
    h2.run(client, server)
    h2.events(server)
    server:goaway()
    client:send_request(GET, true)
    local late = client:send()
    local first = h2.frames((server:send()))
    assert.same({ "goaway", "ping" }, { first[1].type, first[2].type })
    assert.equal(0x7fffffff, h2.error_of({ payload = first[1].payload:sub(1, 4) }))
    server:pass(0)
    server:receive(late)
    assert.equal("headers:3(fin) finished:3", h2.story(server))
    server:receive(h2.frame("ping", h2.ACK, 0, first[2].payload))
    server:pass(0)
    local second = h2.of_type(h2.frames((server:send())), "goaway")
    assert.equal(3, h2.error_of({ payload = second[1].payload:sub(1, 4) }))
    assert.is_false(server:is_over())
    for id = 1, 3, 2 do server:send_response(id, OK, true) end
    server:send()
    assert.is_true(server:is_over())
    assert.equal("closed(0x100)", h2.story(server))
    client:free()
    server:free()
  end)

  it("goes away after a second when the client does not answer", function()
    local client, server = h2.pair()
    server:goaway()
    server:send()
    server:pass(0)
    assert.equal(1, server:deadline())
    server:pass(1)
    assert.equal(1, #h2.of_type(h2.frames((server:send())), "goaway"))
    assert.is_true(server:is_over())
    client:free()
    server:free()
  end)

  it("that goes away is told to the client, which opens nothing more", function()
    local client, server = h2.pair()
    client:send_request(GET, true)
    h2.run(client, server)
    h2.events(server)
    server:goaway()
    h2.run(client, server)
    server:pass(0)
    h2.run(client, server)
    assert.equal("goaway:2", h2.story(client):match("%S+$"))
    assert.same({ nil, CLOSED }, { client:send_request(GET, true) })
    server:send_response(1, OK, true)
    h2.run(client, server)
    assert.equal("headers:1(fin) finished:1 closed(0x100)", h2.story(client))
    client:free()
    server:free()
  end)

  it("is closed when no request is open for idle_timeout", function()
    local client, server = h2.pair(nil, { idle_timeout = 30e9 })
    client:send_request(GET, true)
    h2.run(client, server)
    h2.events(server)
    server:pass(40)
    assert.is_false(server:is_over())
    server:send_response(1, OK, true)
    h2.run(client, server)
    server:receive(h2.frame("ping", 0, 0, ("p"):rep(8)))
    assert.equal(30, server:deadline())
    server:pass(30)
    assert.is_true(server:is_over())
    assert.equal("closed(0x100)", h2.story(server))
    client:free()
    server:free()
  end)

  it("that ends leaves a client what came whole", function()
    local client, server = h2.pair()
    for _ = 1, 2 do client:send_request(GET, true) end
    h2.run(client, server)
    h2.events(server)
    server:send_response(1, OK, false)
    server:send_body(1, "whole", true)
    server:send_response(3, OK, false)
    server:send_body(3, "half", false)
    h2.run(client, server)
    client:end_of_input()
    local events = h2.events(client, true)
    assert.same({ "headers", "reset", "data" }, { events[1].type, events[2].type, events[3].type })
    assert.same({ 1, 3, 1 }, { events[1].stream, events[2].stream, events[3].stream })
    assert.equal("whole", client:recv_body(1))
    assert.equal("finished:1 closed(0x100)", h2.story(client))
    assert.same({ nil, CLOSED }, { client:poll() })
    client:free()
    server:free()
  end)

  it("that ends before a request does has its answer reset, not ended early", function()
    local client, server = h2.pair()
    client:send_request(POST, false)
    h2.run(client, server)
    h2.events(server)
    server:send_response(1, OK, false)
    server:send_body(1, ("x"):rep(50000), true)
    server:end_of_input()
    client:receive(server:send())
    assert.equal("stopped:1(0x102) reset:1(0x102)", h2.story(client))
    client:free()
    server:free()
  end)

  it("says the same whatever the cut of the bytes", function()
    local client, server = h2.pair()
    client:send_request(h2.with(POST, { "cookie", "a=1" }, { "cookie", "b" }), false)
    client:send_body(1, ("x"):rep(300), false)
    client:send_trailers(1, { { "x-sum", "1" } })
    client:send_request(GET, true)
    local bytes = client:send()
    local whole = h2.hostile()
    whole:receive(bytes)
    local expected = h2.events(whole)
    assert.equal(6, #expected)
    for at = 1, #bytes - 1 do
      local other = h2.hostile()
      assert.equal(at, other:receive(bytes:sub(1, at)))
      other:receive(bytes:sub(at + 1))
      assert.same(expected, (h2.events(other)))
      other:free()
    end
    for _, one in ipairs({ client, server, whole }) do one:free() end
  end)

  it("writes no more than there is room for, and loses nothing by that", function()
    local client, server = h2.pair()
    client:send_request(GET, true)
    h2.run(client, server)
    h2.events(server)
    server:send_response(1, OK, false)
    server:send_body(1, ("abc"):rep(1000), true)
    repeat
      local bytes = server:send(7)
      assert.is_true(#bytes <= 7)
      client:receive(bytes)
    until bytes == ""
    assert.equal(("abc"):rep(1000), h2.events(client)[2].body)
    client:free()
    server:free()
  end)

  it("without memory is closed or resets a stream, and never more than that", function()
    for n = 1, 300 do
      local client, server = h2.pair(), h2.server({ fail = n <= 60 and n or 0 })
      if server then
        if n > 60 then server:fail(n - 60) end
        for _ = 1, 3 do
          local id = client:send_request(POST, false)
          if id then
            client:send_body(id, ("x"):rep(10000), false)
            client:send_trailers(id, { { "a", "b" } })
          end
        end
        server:receive(h2.PREFACE .. h2.settings())
        h2.run(client, server)
        for _, event in ipairs((h2.events(server))) do
          if event.type == "headers" then
            server:send_response(event.stream, OK, false)
            server:send_body(event.stream, ("y"):rep(10000), false)
            server:send_trailers(event.stream, { { "a", "b" } })
          end
        end
        h2.run(client, server)
        server:free()
      end
      client:free()
    end
  end)
end)
