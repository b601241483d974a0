local stories = require("spec.tcp.stories")

local head, story, err, OK = stories.head, stories.story, stories.err, stories.OK

local function request(method, path, ...)
  return { { ":method", method }, { ":scheme", "http" }, { ":authority", "a" }, { ":path", path or "/" }, ... }
end
local GET = request("GET")

-- A client whose request is on its way.
local function asked(fields, fin)
  local unit = stories.client()
  local id = assert(unit:send_request(fields or GET, fin ~= false))
  local sent = unit:send()
  return unit, sent, id
end

-- The story of a response to a request, whether the connection is over behind it, and the client.
local function told(response, fields, ended)
  local unit = asked(fields)
  unit:receive(response)
  local words = story(unit)
  if ended then
    unit:end_of_input()
    words = words .. " " .. story(unit)
  end
  return words, unit:is_over(), unit
end

local function expect(words, is_over, ...)
  local told_words, told_over = told(...)
  assert.equal(words, told_words)
  assert.equal(is_over, told_over)
end

describe("a client of HTTP/1.1", function()
  it("sends requests", function()
    assert.equal(head("GET /x?y HTTP/1.1", "host: a", "accept: */*"),
      select(2, asked(request("GET", "/x?y", { "accept", "*/*" }))))
    assert.equal(head("GET / HTTP/1.1", "host: b", "x: 1"),
      select(2, asked({ { ":method", "GET" }, { ":scheme", "http" }, { ":path", "/" }, { "x", "1" },
        { "host", "b" } })))
    assert.equal(head("GET / HTTP/1.1", "host: a"), select(2, asked(request("GET", "/", { "host", "a" }))))
    assert.equal(head("POST / HTTP/1.1", "host: a", "content-length: 0"), select(2, asked(request("POST"))))
    assert.equal(head("DELETE / HTTP/1.1", "host: a"), select(2, asked(request("DELETE"))))
    assert.equal(head("OPTIONS * HTTP/1.1", "host: a", "te: trailers", "connection: te"),
      select(2, asked(request("OPTIONS", "*", { "te", "trailers" }))))
  end)

  it("tells a proxy all of the URI", function()
    for line, fields in pairs({
      ["GET http://a/x?y HTTP/1.1"] = request("GET", "/x?y"), ["OPTIONS http://a HTTP/1.1"] = request("OPTIONS", "*"),
      ["CONNECT a HTTP/1.1"] = { { ":method", "CONNECT" }, { ":authority", "a" } },
    }) do
      if line:find("CONNECT") then line, fields[2][2] = line:gsub("a ", "a:443 "), "a:443" end
      local unit, proxy = stories.client({ to_proxy = true }), stories.server()
      unit:send_request(fields, true)
      local sent = unit:send()
      assert.equal(head(line, "host: " .. fields[line:find("CONNECT") and 2 or 3][2]), sent)
      proxy:receive(sent)
      local event = proxy:poll()
      for i, field in ipairs(fields) do assert.same(field, event.fields[i]) end
    end
  end)

  it("sends an authority as long as any field, twice", function()
    local unit = stories.client()
    local authority = ("a"):rep(60000) .. ":1"
    unit:send_request({ { ":method", "CONNECT" }, { ":authority", authority } }, false)
    assert.equal(head("CONNECT " .. authority .. " HTTP/1.1", "host: " .. authority), unit:send())
  end)

  it("sends bodies with a length or in chunks, and trailers", function()
    local counted, sent = asked(request("PUT", "/", { "content-length", "5" }), false)
    assert.equal(head("PUT / HTTP/1.1", "host: a", "content-length: 5"), sent)
    assert.same({ nil, err.ARGUMENT }, { counted:send_body(0, "hello!", true) })
    assert.equal(5, counted:send_body(0, "hello", true))
    assert.equal("hello", counted:send())
    local chunked
    chunked, sent = asked(request("POST"), false)
    assert.equal(head("POST / HTTP/1.1", "host: a", "transfer-encoding: chunked"), sent)
    chunked:send_body(0, ("x"):rep(300), false)
    assert.equal(0, chunked:send_trailers(0, { { "x-sum", "1" } }))
    assert.equal("12c\r\n" .. ("x"):rep(300) .. "\r\n0\r\nx-sum: 1\r\n\r\n", chunked:send())
  end)

  it("sends nothing that would be read as another request", function()
    for _, fields in ipairs({
      request("GET", "/ HTTP/1.1\r\nHost: b\r\n\r\nGET /"), request("GET", "/a b"), request("GET\r\n"), request("G ET"),
      request("GET", "/\n"), request("GET", "/", { "x", "a\r\nb: c" }), request("GET", "/", { "x\r\ny", "a" }),
      request("GET", "/", { "x", "a\0b" }), request("GET", "/", { "host", "b" }), request("GET", "/", { "X", "a" }),
      request("GET", "/", { "transfer-encoding", "chunked" }), request("GET", "/", { "connection", "close" }),
      request("GET", "/", { "content-length", "1" }, { "content-length", "2" }), request("GET", "/", { "x:y", "a" }),
      request("GET", "/", { "upgrade", "a\r\nb" }), request("GET", "/", { "upgrade", "" }),
      { { ":method", "GET" }, { ":scheme", "http" }, { ":path", "/" } },
      { { ":method", "GET" }, { ":scheme", "http" }, { ":authority", "a\r\nx: y" }, { ":path", "/" } },
      { { ":method", "CONNECT" }, { ":authority", "a" } },
    }) do
      local unit = stories.client()
      assert.same({ nil, err.ARGUMENT }, { unit:send_request(fields, true) })
      assert.equal("", unit:send())
    end
    local unit = stories.client()
    assert.same({ nil, err.ARGUMENT }, { unit:send_request(request("PUT", "/", { "content-length", "1" }), true) })
    assert.same({ nil, err.LIMIT }, { unit:send_request(request("GET", "/", { "x", ("y"):rep(65536) }), true) })
    assert.same({ nil, err.ARGUMENT }, { stories.server():send_request(GET, true) })
  end)

  it("is told of a response as by HTTP/3", function()
    expect("headers:0[:status=200,content-length=5,x=y] data:0(hello) finished:0", false,
      head("HTTP/1.1 200 OK", "Content-Length: 5", "X: y") .. "hello")
    expect("headers:0[:status=200] data:0(hello) trailers:0[x-sum=1]fin finished:0", false,
      head("HTTP/1.1 200 OK", "Transfer-Encoding: chunked") .. "5\r\nhello\r\n0\r\n" .. head("X-Sum: 1"))
    expect("headers:0[:status=404,content-length=0]fin finished:0", false,
      head("HTTP/1.1 404", "Content-Length: 0"))
    expect("headers:0[:status=200,set-cookie=a,set-cookie=b,content-length=0]fin finished:0", false,
      head("HTTP/1.1 200 Some words \128", "Set-Cookie: a", "Set-Cookie: b", "Content-Length: 0", "TE: x",
        "Upgrade: h2c", "Connection: upgrade, keep-alive", "Keep-Alive: timeout=5"))
  end)

  it("takes what has neither length nor chunks to the end of the connection", function()
    for _, line in ipairs({ "HTTP/1.1 200 OK", "HTTP/1.0 200 OK" }) do
      expect("headers:0[:status=200] data:0(hello) finished:0 closed:0(0x100)", true,
        head(line) .. "hello", nil, true)
    end
  end)

  it("knows which responses have no body", function()
    for status, method in pairs({ ["204"] = "GET", ["304"] = "GET", ["200"] = "HEAD" }) do
      expect(("headers:0[:status=%s,content-length=5]fin finished:0"):format(status), false,
        head("HTTP/1.1 " .. status .. " X", "Content-Length: 5"), request(method))
    end
    expect("headers:0[:status=200]fin finished:0", false,
      head("HTTP/1.1 200 OK", "Transfer-Encoding: chunked"), request("HEAD"))
  end)

  it("is told of interim responses, of so many at most", function()
    local early = head("HTTP/1.1 103 Early Hints", "Link: <a>")
    assert.equal("interim:0[:status=100] interim:0[:status=103,link=<a>] headers:0[:status=204]fin finished:0",
      (told(head("HTTP/1.1 100 Continue") .. early .. head("HTTP/1.1 204 No Content"))))
    local words, is_over, unit = told(early:rep(17))
    assert.equal(16, select(2, words:gsub("interim", "")))
    assert.matches(" reset:0%(0x107%) closed:0%(0x100%)$", words)
    assert.is_true(is_over)
    assert.equal(1, unit:stats().too_large)
  end)

  it("has one request at a time, and another behind it", function()
    local unit = asked()
    assert.same({ nil, err.STREAM_LIMIT }, { unit:send_request(GET, true) })
    unit:receive(head("HTTP/1.1 200 OK", "Content-Length: 1") .. "x")
    assert.equal(1, unit:open_requests())
    assert.matches("finished:0$", story(unit))
    assert.equal(0, unit:open_requests())
    assert.equal(4, unit:send_request(GET, true))
    assert.equal(head("GET / HTTP/1.1", "host: a"), unit:send())
    unit:receive(head("HTTP/1.1 204 No Content"))
    assert.equal("headers:4[:status=204]fin finished:4", story(unit))
    assert.equal(0, unit:free())
  end)

  it("asks no more where the server closes", function()
    for _, answer in ipairs({
      head("HTTP/1.1 204 No Content", "Connection: close"), head("HTTP/1.0 204 No Content"),
      head("HTTP/1.1 204 No Content", "Connection: x, Close"),
    }) do
      local words, is_over, unit = told(answer)
      assert.equal("headers:0[:status=204]fin finished:0 closed:0(0x100)", words)
      assert.is_true(is_over)
      assert.same({ nil, err.CLOSED }, { unit:send_request(GET, true) })
    end
    assert.is_false(select(2, told(head("HTTP/1.0 204 No Content", "Connection: keep-alive"))))
    local unit = asked()
    unit:goaway()
    unit:receive(head("HTTP/1.1 204 No Content"))
    story(unit)
    assert.is_true(unit:is_over())
  end)

  it("is told to stop where the server has answered and closes", function()
    local unit = asked(request("POST"), false)
    unit:receive(head("HTTP/1.1 413 Content Too Large", "Content-Length: 0", "Connection: close"))
    assert.equal("headers:0[:status=413,content-length=0]fin stopped:0(0x100) finished:0 closed:0(0x100)", story(unit))
    assert.same({ nil, err.CLOSED }, { unit:send_body(0, "x", true) })
    local goes_on = asked(request("POST"), false)
    goes_on:receive(head("HTTP/1.1 200 OK", "Content-Length: 0"))
    assert.equal("headers:0[:status=200,content-length=0]fin finished:0", story(goes_on))
    assert.same({ nil, err.STREAM_LIMIT }, { goes_on:send_request(GET, true) })
    assert.equal(1, goes_on:send_body(0, "x", true))
    assert.equal(4, goes_on:send_request(GET, true))
  end)

  it("refuses a response that is ambiguous", function()
    for _, bytes in ipairs({
      head("HTTP/1.1 200 OK", "Content-Length: 5", "Transfer-Encoding: chunked") .. "0\r\n\r\n",
      head("HTTP/1.1 200 OK", "Content-Length: 5", "Content-Length: 6") .. "hello!",
      head("HTTP/1.1 200 OK", "Content-Length: 5, 5") .. "hello", head("HTTP/1.1 200 OK", "Content-Length: -1"),
      head("HTTP/1.1 200 OK", "Transfer-Encoding: gzip, chunked"), head("HTTP/1.1 200 OK", "Transfer-Encoding: x"),
      head("HTTP/1.0 200 OK", "Transfer-Encoding: chunked"), head("HTTP/1.1 200 OK", "X : y"),
      head("HTTP/1.1 200 OK", "X: y", " z"), head("HTTP/1.1 200 OK", "X: a\rb"), head("HTTP/1.1 200 OK", "X: \0"),
      head("HTTP/1.1 200 OK", "Connection: content-length", "Content-Length: 5"), "HTTP/1.1 200 OK\n\n",
      "HTTP/1.1 200 OK\r\nX: y\n\r\n", head("HTTP/1.1 200 OK", ":status: 201"), head("HTTP/1.1 200 OK", "x"),
      head("HTTP/1.1  200 OK"), head("HTTP/1.1 20 OK"), head("HTTP/1.1 2000 OK"), head("HTTP/1.1 2x0 OK"),
      head("HTTP/1.1 200OK"), head("HTTP/1.1 099 OK"), head("HTTP/1.1 -20 OK"), head("HTTP/2.0 200 OK"),
      head("HTTP/0.9 200 OK"), head("http/1.1 200 OK"), head("ICY 200 OK"), head("HTTP/1.1\t200 OK"),
      head(" HTTP/1.1 200"), head("HTTP/1.1 200 O\rK"), head("HTTP/1.1 200 \0"), head("HTTP/1.1 200\tOK"),
      "\r\n" .. head("HTTP/1.1 200 OK"),
      head("HTTP/1.1 101 Switching Protocols", "Upgrade: x", "Connection: upgrade"), head("HTTP/1.1 1 OK"),
      head("200 OK"), head("<html>"), head("HTTP/1.1"), head(""),
    }) do
      for _, size in ipairs({ #bytes, 1 }) do
        local unit = asked()
        local words, answer = stories.in_pieces(unit, bytes, size)
        assert.equal("reset:0(0x10e) closed:0(0x100)", words, bytes)
        assert.equal("", answer)
        assert.equal(1, unit:stats().malformed)
        assert.is_true(unit:is_over())
      end
    end
    local words = told(head("HTTP/1.1 200 OK", "Transfer-Encoding: chunked") .. "x\r\n")
    assert.equal("headers:0[:status=200] reset:0(0x10e) closed:0(0x100)", words)
  end)

  it("gives up a connection on which comes what nobody asked for", function()
    local unit = stories.client()
    assert.same({ nil, err.CLOSED }, { unit:receive(head("HTTP/1.1 200 OK", "Content-Length: 0")) })
    assert.equal("closed:0(0x100)", story(unit))
    local behind = asked()
    behind:receive(head("HTTP/1.1 204 No Content") .. head("HTTP/1.1 200 OK", "Content-Length: 0"))
    assert.equal("headers:0[:status=204]fin finished:0 closed:0(0x100)", story(behind))
    assert.equal(1, behind:stats().malformed)
    assert.same({ nil, err.CLOSED }, { behind:send_request(GET, true) })
  end)

  it("is told where a response breaks off", function()
    for bytes, words in pairs({
      [""] = "reset:0(0x10d) closed:0(0x100)", ["HTTP/1.1 200 OK\r\n"] = "reset:0(0x10d) closed:0(0x100)",
      [head("HTTP/1.1 200 OK", "Content-Length: 5") .. "hell"] =
        "headers:0[:status=200,content-length=5] data:0(hell) reset:0(0x10d) closed:0(0x100)",
      [head("HTTP/1.1 200 OK", "Transfer-Encoding: chunked") .. "5\r\nhello\r\n"] =
        "headers:0[:status=200] data:0(hello) reset:0(0x10d) closed:0(0x100)",
    }) do
      assert.equal(words, ((told(bytes, nil, true)):gsub("^ ", "")))
    end
    local unit = stories.client()
    unit:end_of_input()
    assert.equal("closed:0(0x100)", story(unit))
  end)

  it("that gives a request up drops what it has not sent", function()
    local unit = stories.client()
    unit:send_request(request("POST"), false)
    unit:send_body(0, "secret", false)
    assert.equal(0, unit:cancel(0))
    assert.is_true(unit:is_over())
    assert.equal("", unit:send())
  end)

  it("that stops a body reads a short one to its end", function()
    local unit = asked()
    unit:receive(head("HTTP/1.1 200 OK", "Content-Length: 10") .. "hello")
    story(unit, true)
    assert.equal(0, unit:stop_body(0))
    assert.same({ nil, err.STREAM_STATE }, { unit:recv_body(0) })
    unit:receive("world")
    assert.equal("", story(unit))
    assert.equal(4, unit:send_request(GET, true))
    local long = asked()
    long:receive(head("HTTP/1.1 200 OK", "Content-Length: 100000"))
    story(long)
    long:stop_body(0)
    assert.is_true(long:is_over())
  end)

  it("reads what a server of ours sends, in pieces of any size", function()
    for size = 1, 60, 7 do
      local client, server = stories.client(), stories.server()
      local id = client:send_request(request("POST", "/up", { "x", "y" }), false)
      client:send_body(id, ("ab"):rep(20), false)
      client:send_trailers(id, { { "x-t", "1" } })
      local bytes = client:send()
      assert.equal("headers:0[:method=POST,:scheme=http,:authority=a,:path=/up,x=y] data(" .. ("ab"):rep(20)
        .. ") trailers:0[x-t=1]fin finished:0", (stories.in_pieces(server, bytes, size)))
      server:send_response(0, { { ":status", "103" } }, false)
      server:send_response(0, { { ":status", "200" }, { "z", "" } }, false)
      for _ = 1, 5 do server:send_body(0, ("cd"):rep(10), false) end
      server:send_trailers(0, { { "x-u", "2" } })
      assert.equal("interim:0[:status=103] headers:0[:status=200,z=] data(" .. ("cd"):rep(50)
        .. ") trailers:0[x-u=2]fin finished:0", (stories.in_pieces(client, server:send(), size)))
      assert.is_false(client:is_over() or server:is_over())
    end
  end)

  it("leaves nothing behind whatever a server sends", function()
    local parts = {
      "HTTP/1.1 200 OK\r\n", "HTTP/1.0 200\r\n", "HTTP/1.1 101 X\r\n", "HTTP/1.1 100 X\r\n\r\n",
      "Content-Length: 5\r\n",
      "Transfer-Encoding: chunked\r\n", "\r\n", "\r\n", "hello", "5\r\nhello\r\n", "0\r\n\r\n", "X: y\r\n",
      "Connection: close\r\n", "Connection: upgrade\r\nUpgrade: w\r\n", "\0", "\n",
      "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello", "HTTP/1.1 204 X\r\n\r\n",
    }
    math.randomseed(11)
    local finished = 0
    for round = 1, 2000 do
      local unit = stories.client()
      if round % 5 == 0 then unit:fail(math.random(1, 8)) end
      for _ = 1, math.random(1, 8) do
        local kind = math.random(5)
        local fields = kind == 1 and request("GET", "/", { "upgrade", "w" }) or kind == 2 and request("HEAD")
          or kind == 3 and { { ":method", "CONNECT" }, { ":authority", "a:1" } } or request("POST")
        unit:send_request(fields, math.random(2) == 1)
        local bytes = {}
        for i = 1, math.random(1, 3) do bytes[i] = parts[math.random(#parts)] end
        if math.random(2) == 1 then bytes[1] = parts[#parts - math.random(0, 1)] end
        unit:receive(table.concat(bytes))
        for event in unit.poll, unit do
          if event.type == "data" then
            local take = math.random(4) == 1 and unit.stop_body or unit.recv_body
            take(unit, event.stream, math.random(9))
          elseif event.type == "finished" then
            finished = finished + 1
          end
          if math.random(20) == 1 then unit:cancel(event.stream) end
          unit:send_body(event.stream, "zz", math.random(2) == 1)
        end
        unit:send(math.random(0, 200))
      end
      unit:end_of_input()
      while unit:poll() do end
      unit:send()
      assert.equal(0, unit:free())
    end
    assert.is_true(finished > 300, finished .. " responses")
  end)
end)

describe("a tunnel over HTTP/1.1", function()
  local UPGRADE = head("GET /chat HTTP/1.1", "Host: a", "Connection: Upgrade, keep-alive", "Upgrade: websocket", "X: y")
  local SWITCH = { { ":status", "101" }, { "upgrade", "websocket" }, { "sec-x", "z" } }

  it("begins with the 101 that a client has asked for, in both directions", function()
    local server = stories.server()
    server:receive(UPGRADE)
    assert.equal("headers:0[:method=GET,:scheme=http,:authority=a,:path=/chat,x=y,upgrade=websocket]fin finished:0",
      story(server))
    assert.same({ nil, err.STREAM_STATE }, { server:recv_body(0) })
    assert.equal(0, server:send_response(0, SWITCH, false))
    assert.equal(head("HTTP/1.1 101 Switching Protocols", "upgrade: websocket", "sec-x: z", "connection: upgrade"),
      server:send())
    server:receive("raw\r\n\0")
    assert.equal("data:0(raw\r\n\0)", story(server))
    assert.equal(5, server:send_body(0, "bytes", false))
    assert.equal("bytes", server:send())
    assert.same({ nil, err.ARGUMENT }, { server:send_trailers(0, {}) })
    server:pass(1000)
    server:end_of_input()
    assert.equal("finished:0", story(server))
    assert.is_false(server:is_over() or server:sends_no_more())
    server:send_body(0, "end", true)
    assert.equal("end", server:send())
    assert.is_true(server:is_over())
    assert.equal("closed:0(0x100)", story(server))
  end)

  it("ends in one direction while the other goes on", function()
    local server = stories.server()
    server:receive(UPGRADE)
    story(server)
    server:send_response(0, SWITCH, false)
    server:send_body(0, "", true)
    assert.is_true(server:sends_no_more())
    assert.is_false(server:is_over())
    server:receive("still")
    assert.equal("data:0(still)", story(server))
    server:end_of_input()
    assert.equal("finished:0", story(server))
    assert.is_true(server:is_over())
  end)

  it("may be asked for in vain", function()
    local server = stories.server()
    server:receive(UPGRADE .. head("GET / HTTP/1.1", "Host: a"))
    story(server)
    server:send_response(0, OK, true)
    assert.matches("^headers:4", story(server))
    assert.equal(head("HTTP/1.1 200 OK", "content-length: 0"), server:send())
    local client = asked(request("GET", "/", { "upgrade", "websocket" }), false)
    assert.same({ nil, err.AGAIN }, { client:send_body(0, "x", false) })
    assert.equal(0, client:body_capacity(0))
    client:receive(head("HTTP/1.1 200 OK", "Content-Length: 2") .. "no")
    assert.equal("headers:0[:status=200,content-length=2] data:0(no) finished:0", story(client))
    assert.same({ nil, err.STREAM_STATE }, { client:send_body(0, "x", false) })
    assert.equal(4, client:send_request(GET, true))
  end)

  it("is not begun for requests that have bodies, are old or do not ask for it", function()
    for _, bytes in ipairs({
      head("GET / HTTP/1.1", "Host: a", "Upgrade: w"), head("GET / HTTP/1.0", "Connection: upgrade", "Upgrade: w"),
      head("POST / HTTP/1.1", "Host: a", "Connection: upgrade", "Upgrade: w", "Content-Length: 1") .. "x",
      head("GET / HTTP/1.1", "Host: a", "Connection: upgrade"),
    }) do
      local server = stories.server()
      server:receive(bytes)
      assert.is_nil(story(server):find("upgrade=", 1, true))
      assert.same({ nil, err.ARGUMENT }, { server:send_response(0, SWITCH, false) })
    end
  end)

  it("carries bytes from a client of ours to a server of ours and back", function()
    local client, server = stories.client(), stories.server()
    assert.equal(0, client:send_request(request("GET", "/chat", { "upgrade", "w" }), true))
    local sent = client:send()
    assert.equal(head("GET /chat HTTP/1.1", "host: a", "upgrade: w", "connection: upgrade"), sent)
    server:receive(sent)
    story(server)
    server:send_response(0, { { ":status", "101" }, { "upgrade", "w" } }, false)
    server:send_body(0, "first", false)
    client:receive(server:send())
    assert.equal("headers:0[:status=101,upgrade=w] data:0(first) writable:0", story(client))
    assert.equal(4, client:send_body(0, "ping", false))
    server:receive(client:send())
    assert.equal("data:0(ping)", story(server))
    client:send_body(0, "", true)
    assert.is_true(client:sends_no_more())
    server:end_of_input()
    assert.equal("finished:0", story(server))
    server:send_body(0, "bye", true)
    client:receive(server:send())
    client:end_of_input()
    assert.equal("data:0(bye) finished:0 closed:0(0x100)", story(client))
    assert.equal(0, client:free() + server:free())
  end)

  it("is what CONNECT asks for", function()
    local CONNECT = { { ":method", "CONNECT" }, { ":authority", "b:443" } }
    local client, server = stories.client({ secure = true }), stories.server()
    client:send_request(CONNECT, false)
    local sent = client:send()
    assert.equal(head("CONNECT b:443 HTTP/1.1", "host: b:443"), sent)
    server:receive(sent .. "early")
    assert.equal("headers:0[:method=CONNECT,:authority=b:443]", story(server))
    assert.same({ nil, err.AGAIN }, { server:recv_body(0) })
    assert.same({ nil, err.ARGUMENT },
      { server:send_response(0, { { ":status", "200" }, { "content-length", "0" } }, false) })
    server:send_response(0, OK, false)
    assert.equal("data:0(early)", story(server))
    client:receive(server:send())
    assert.equal("headers:0[:status=200] writable:0", story(client))
    assert.equal(3, client:send_body(0, "tls", false))
    assert.equal("tls", client:send())
    assert.equal(0, client:cancel(0))
    assert.is_true(client:is_over())
  end)

  it("that is refused ends the connection, in which the client may have gone on", function()
    local server = stories.server()
    server:receive(head("CONNECT b:443 HTTP/1.1", "Host: b:443") .. head("GET / HTTP/1.1", "Host: a"))
    story(server)
    server:send_response(0, { { ":status", "403" } }, true)
    assert.equal(head("HTTP/1.1 403 Forbidden", "content-length: 0", "connection: close"), server:send())
    assert.equal("finished:0 closed:0(0x100)", story(server))
    assert.equal(1, server:stats().requests)
    local client = asked({ { ":method", "CONNECT" }, { ":authority", "b:443" } }, false)
    client:receive(head("HTTP/1.1 403 Forbidden", "Content-Length: 2") .. "no")
    assert.equal("headers:0[:status=403,content-length=2] data:0(no) finished:0 closed:0(0x100)", story(client))
  end)

  it("may carry more than a buffer, and is held back where nobody reads", function()
    local server = stories.server()
    server:receive(UPGRADE)
    story(server)
    server:send_response(0, SWITCH, false)
    local taken = 0
    for _ = 1, 100 do taken = taken + server:receive(("x"):rep(10000)) end
    assert.is_true(taken >= 65536 and taken < 100000)
    local queued = 0
    for _ = 1, 100 do queued = queued + (server:send_body(0, ("y"):rep(10000), false) or 0) end
    assert.is_true(queued >= 60000 and queued <= 65536)
    server:send()
    assert.equal("data:0 writable:0", story(server, true))
  end)
end)
