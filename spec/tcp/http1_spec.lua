local stories = require("spec.tcp.stories")

local head, story, err = stories.head, stories.story, stories.err
local OK = stories.OK

-- A server that was sent these bytes, its story and what it answers by itself.
local function server_told(bytes, options)
  local unit = stories.server(options)
  local left = bytes
  local words = {}
  repeat
    local taken = unit:receive(left)
    words[#words + 1] = story(unit)
    left = left:sub((taken or #left) + 1)
  until left == "" or not taken or taken == 0
  return table.concat(words, " "), unit:send(), unit
end

describe("a request of HTTP/1.1", function()
  it("is told as one of HTTP/3", function()
    assert.equal("headers:0[:method=GET,:scheme=http,:authority=a.test:81,:path=/x?y=1,accept=*/*,x-empty=]fin "
      .. "finished:0", (server_told(head("GET /x?y=1 HTTP/1.1", "Host: a.test:81", "ACCEPT:*/*", "X-Empty:  "))))
    assert.equal("headers:0[:method=GET,:scheme=https,:authority=a,:path=/]fin finished:0",
      (server_told(head("GET / HTTP/1.1", "host: a"), { secure = true })))
  end)

  it("has a body as long as content-length says, or in chunks, with trailers", function()
    assert.equal("headers:0[:method=POST,:scheme=http,:authority=a,:path=/,content-length=5] data:0(hello) finished:0",
      (server_told(head("POST / HTTP/1.1", "Host: a", "Content-Length: 5") .. "hello")))
    assert.equal("headers:0[:method=POST,:scheme=http,:authority=a,:path=/] data:0(hello world) "
      .. "trailers:0[x-sum=1]fin finished:0",
      (server_told(head("POST / HTTP/1.1", "Host: a", "Transfer-Encoding: chunked")
        .. "5\r\nhello\r\n006;name=\"v\"\r\n world\r\n0\r\n" .. head("X-Sum: 1"))))
    assert.equal("headers:0[:method=POST,:scheme=http,:authority=a,:path=/] data:0(x) finished:0",
      (server_told(head("POST / HTTP/1.1", "Host: a", "Transfer-Encoding: Chunked") .. "1\r\nx\r\n0\r\n\r\n")))
    assert.equal("headers:0[:method=POST,:scheme=http,:authority=a,:path=/,content-length=0]fin finished:0",
      (server_told(head("POST / HTTP/1.1", "Host: a", "Content-Length: 0"))))
  end)

  it("is told without the fields of its connection", function()
    assert.equal("headers:0[:method=GET,:scheme=http,:authority=a,:path=/,te=trailers,z=3]fin finished:0",
      (server_told(head("GET / HTTP/1.1", "Host: a", "Connection: x-hop , keep-alive", "Keep-Alive: timeout=5",
        "X-Hop: 1", "Proxy-Connection: close", "TE: trailers", "Connection: te,,y", "Y: 2", "Z: 3", "Upgrade: h2c"))))
    assert.equal("headers:0[:method=GET,:scheme=http,:authority=a,:path=/]fin finished:0",
      (server_told(head("GET / HTTP/1.1", "Host: a", "TE: gzip, trailers", "Connection: te"))))
  end)

  it("has one cookie field", function()
    assert.equal("headers:0[:method=GET,:scheme=http,:authority=a,:path=/,cookie=a=b; c=d,x=]fin finished:0",
      (server_told(head("GET / HTTP/1.1", "Host: a", "Cookie: a=b", "X:", "Cookie: c=d"))))
  end)

  it("may name its target in each of the four forms", function()
    for line, told in pairs({
      ["GET http://a/x?y"] = ":method=GET,:scheme=http,:authority=a,:path=/x?y",
      ["GET HTTP://A/"] = ":method=GET,:scheme=http,:authority=A,:path=/",
      ["GET http://a"] = ":method=GET,:scheme=http,:authority=a,:path=/",
      ["GET http://a?q=/"] = ":method=GET,:scheme=http,:authority=a,:path=/?q=/",
      ["OPTIONS http://a"] = ":method=OPTIONS,:scheme=http,:authority=a,:path=*",
      ["OPTIONS *"] = ":method=OPTIONS,:scheme=http,:authority=a,:path=*",
      ["GET //b/x"] = ":method=GET,:scheme=http,:authority=a,:path=//b/x",
    }) do
      assert.equal("headers:0[" .. told .. "]fin finished:0", (server_told(head(line .. " HTTP/1.1", "Host: a"))))
    end
    assert.equal("headers:0[:method=CONNECT,:authority=a:443]",
      (server_told(head("CONNECT a:443 HTTP/1.1", "Host: a:443"))))
  end)

  it("may come behind an empty line", function()
    for size = 1, 3 do
      local unit = stories.server()
      assert.equal("headers:0[:method=GET,:scheme=http,:authority=a,:path=/]fin finished:0",
        (stories.in_pieces(unit, "\r\n" .. head("GET / HTTP/1.1", "Host: a"), size)))
    end
    local _, answer = server_told("\r\n\r\n" .. head("GET / HTTP/1.1", "Host: a"))
    assert.equal(400, stories.status(answer))
  end)

  it("of HTTP/1.0 may have no host", function()
    assert.equal("headers:0[:method=GET,:scheme=http,:path=/,x=1]fin finished:0",
      (server_told(head("GET / HTTP/1.0", "X: 1"))))
    assert.equal("headers:0[:method=GET,:scheme=http,:authority=a,:path=/]fin finished:0",
      (server_told(head("GET / HTTP/1.0", "Host: a"))))
  end)

  it("of a later HTTP/1 is one of HTTP/1.1", function()
    assert.equal("headers:0[:method=GET,:scheme=http,:authority=a,:path=/]fin finished:0",
      (server_told(head("GET / HTTP/1.9", "Host: a"))))
  end)

  it("is told when the one before is answered and was read", function()
    local unit = stories.server()
    local get = head("GET / HTTP/1.1", "Host: a")
    unit:receive(get .. head("POST / HTTP/1.1", "Host: a", "Content-Length: 3") .. "abc" .. get)
    assert.equal("headers:0[:method=GET,:scheme=http,:authority=a,:path=/]fin finished:0", story(unit))
    assert.equal(1, unit:open_requests())
    assert.equal(0, unit:send_response(0, OK, true))
    assert.equal("headers:4[:method=POST,:scheme=http,:authority=a,:path=/,content-length=3] data:4(abc) finished:4",
      story(unit))
    assert.equal(0, unit:send_response(4, { { ":status", "204" } }, true))
    assert.equal("headers:8[:method=GET,:scheme=http,:authority=a,:path=/]fin finished:8", story(unit))
    assert.equal("HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\nHTTP/1.1 204 No Content\r\n\r\n", unit:send())
    assert.is_false(unit:is_over())
    assert.equal(3, unit:stats().requests)
  end)

  it("is not told while its answers are not taken", function()
    local unit = stories.server()
    local get = head("GET / HTTP/1.1", "Host: a")
    unit:receive(get .. get .. get)
    story(unit)
    local answer = head("HTTP/1.1 200 OK", "content-length: 65536")
    unit:send_response(0, { { ":status", "200" }, { "content-length", "65536" } }, false)
    assert.equal(65536 - #answer, unit:body_capacity(0))
    assert.equal(65536 - #answer, unit:send_body(0, ("x"):rep(65536), true))
    assert.same({ nil, err.AGAIN }, { unit:send_body(0, ("x"):rep(#answer), true) })
    assert.equal(30000, #unit:send(30000))
    assert.equal("", story(unit))
    assert.equal(3000, #unit:send(3000))
    assert.equal("writable:0", story(unit))
    assert.equal(#answer, unit:send_body(0, ("x"):rep(#answer), true))
    assert.matches("^headers:4", story(unit))
    unit:send_response(4, { { ":status", "200" }, { "content-length", "1000000" } }, false)
    unit:send_body(4, ("x"):rep(65536), false)
    assert.equal(65536, #unit:send())
    while unit:send_body(4, ("x"):rep(100000), false) do end
    unit:cancel(4)
    assert.equal(65536, #unit:send())
  end)

  it("is not told while more than a buffer waits to be sent", function()
    local unit = stories.server()
    local get, told = head("GET / HTTP/1.1", "Host: a"), 0
    local big = { { ":status", "200" }, { "x", ("y"):rep(30000) } }
    unit:receive(get:rep(100))
    for event in unit.poll, unit do
      if event.type == "headers" then
        told = told + 1
        unit:send_response(event.stream, big, true)
      end
    end
    assert.equal(3, told)
    unit:send(60000)
    assert.matches("^headers:12", story(unit))
  end)

  it("takes no more bytes than its bound while its body is not read", function()
    local unit = stories.server()
    unit:receive(head("POST / HTTP/1.1", "Host: a", "Content-Length: 1000000"))
    story(unit, true)
    local sent = 0
    for _ = 1, 100 do sent = sent + unit:receive(("x"):rep(10000)) end
    assert.is_true(sent >= 65536 and sent < 100000)
    assert.is_true(unit:memory() < 300000)
    assert.equal("data:0", story(unit, true))
    assert.equal(10000, #unit:recv_body(0, 10000))
    assert.equal(10000, unit:receive(("x"):rep(20000)))
    local read = 10000
    while read < 1000000 do
      local bytes = unit:recv_body(0)
      if bytes then
        read = read + #bytes
      else
        unit:poll()
        assert.is_true(unit:receive(("x"):rep(math.min(50000, 1000000 - sent - 10000))) > 0)
        sent = sent + math.min(50000, 1000000 - sent - 10000)
      end
    end
    assert.equal("finished:0", story(unit))
  end)
end)

describe("a body", function()
  it("arrives as it was sent, whatever the pieces and the buffers, in both directions", function()
    math.randomseed(3)
    local bytes = {}
    for i = 1, 300000 do bytes[i] = string.char(math.random(0, 255)) end
    bytes = table.concat(bytes)
    for _, length in ipairs({ false, { "content-length", "300000" } }) do
      local client, server = stories.client(), stories.server()
      client:send_request({ { ":method", "POST" }, { ":scheme", "http" }, { ":authority", "a" }, { ":path", "/" },
        length or nil }, false)
      local up, down = {}, {}
      local waiting = { [client] = "", [server] = "" }
      local sent, answered = 0, 0
      -- What one has sent, in pieces of any size; of a body some bytes are read at a time.
      local function pass(from, to, parts)
        waiting[to] = waiting[to] .. from:send(math.random(1, 30000))
        local piece = waiting[to]:sub(1, math.random(1, 20000))
        waiting[to] = waiting[to]:sub(1 + (to:receive(piece) or 0))
        for event in to.poll, to do
          if event.type == "headers" and to == server then
            server:send_response(0, { { ":status", "200" }, length or nil }, false)
          end
        end
        for _ = 1, math.random(3) do parts[#parts + 1] = to:recv_body(0, math.random(1, 9000)) end
      end
      for _ = 1, 3000 do
        if sent < #bytes then
          local piece = bytes:sub(sent + 1, sent + math.random(1, 40000))
          sent = sent + (client:send_body(0, piece, sent + #piece == #bytes) or 0)
        end
        pass(client, server, up)
        if answered < #bytes then
          local piece = bytes:sub(answered + 1, answered + math.random(1, 40000))
          answered = answered + (server:send_body(0, piece, answered + #piece == #bytes) or 0)
        end
        pass(server, client, down)
      end
      assert.is_true(table.concat(up) == bytes)
      assert.is_true(table.concat(down) == bytes)
      assert.equal(0, client:open_requests() + server:open_requests())
      assert.equal(0, client:free() + server:free())
    end
  end)

  it("whose trailers do not come in time is given up", function()
    local _, _, unit = server_told(head("POST / HTTP/1.1", "Host: a", "Transfer-Encoding: chunked") .. "0\r\nX")
    unit:pass(9.9)
    assert.is_false(unit:is_over())
    unit:pass(10.2)
    assert.equal(408, stories.status(unit:send()))
    assert.equal("reset:0(0x107) closed:0(0x100)", story(unit))
  end)
end)

describe("a request for which there is no memory", function()
  it("is answered by 503", function()
    for failing = 1, 3 do
      local unit = stories.server()
      unit:fail(failing)
      unit:receive(head("GET / HTTP/1.1", "Host: a", "Cookie: a", "Cookie: b"))
      story(unit)
      local answer = unit:send()
      if failing > 1 then assert.equal(503, stories.status(answer)) end
      assert.is_true(unit:is_over())
      assert.equal(0, unit:stats().malformed)
      assert.equal(0, unit:free())
    end
  end)
end)

describe("a response of HTTP/1.1", function()
  local function answered(request, fields, body, fin)
    local _, _, unit = server_told(request)
    local sent, why = unit:send_response(0, fields, fin or false)
    if body then assert(unit:send_body(0, body, true)) end
    return unit:send(), unit, sent or why
  end
  local GET = head("GET / HTTP/1.1", "Host: a")

  it("has a length where one is known, and chunks where none is", function()
    assert.equal(head("HTTP/1.1 200 OK", "content-length: 5") .. "hello",
      (answered(GET, { { ":status", "200" }, { "content-length", "5" } }, "hello")))
    assert.equal(head("HTTP/1.1 200 OK", "x: 1", "transfer-encoding: chunked") .. "12\r\n" .. ("x"):rep(18)
      .. "\r\n0\r\n\r\n", (answered(GET, { { ":status", "200" }, { "x", "1" } }, ("x"):rep(18))))
    assert.equal(head("HTTP/1.1 404 Not Found", "content-length: 0"),
      (answered(GET, { { ":status", "404" } }, nil, true)))
    assert.equal(head("HTTP/1.1 299 ", "content-length: 0"), (answered(GET, { { ":status", "299" } }, nil, true)))
  end)

  it("has trailers behind its chunks", function()
    local _, unit = answered(GET, OK)
    unit:send_body(0, "abc", false)
    assert.equal(err.ARGUMENT, select(2, unit:send_trailers(0, { { "content-length", "1" } })))
    assert.equal(0, unit:send_trailers(0, { { "x-sum", "1" } }))
    assert.equal("3\r\nabc\r\n0\r\nx-sum: 1\r\n\r\n", unit:send())
    assert.is_false(unit:is_over())
    local _, counted = answered(GET, { { ":status", "200" }, { "content-length", "1" } })
    counted:send_body(0, "a", false)
    assert.equal(0, counted:send_trailers(0, { { "x-sum", "1" } }))
    assert.equal("a", counted:send())
  end)

  it("to HEAD, of 204 and 304 has no body, whatever the application gives", function()
    local HEAD = head("HEAD / HTTP/1.1", "Host: a")
    assert.equal(head("HTTP/1.1 200 OK", "content-length: 5"),
      (answered(HEAD, { { ":status", "200" }, { "content-length", "5" } }, "hello")))
    assert.equal(head("HTTP/1.1 200 OK", "content-length: 5"),
      (answered(HEAD, { { ":status", "200" }, { "content-length", "5" } }, nil, true)))
    assert.equal(head("HTTP/1.1 200 OK"), (answered(HEAD, OK, "hello")))
    assert.equal(head("HTTP/1.1 304 Not Modified", "etag: 1"),
      (answered(GET, { { ":status", "304" }, { "etag", "1" } }, "hello")))
    assert.equal(head("HTTP/1.1 204 No Content"), (answered(GET, { { ":status", "204" } }, "")))
  end)

  it("says when its connection ends", function()
    for _, case in ipairs({
      { head("GET / HTTP/1.1", "Host: a", "Connection: close"), "connection: close", true },
      { head("GET / HTTP/1.0"), "connection: close", true },
      { head("GET / HTTP/1.0", "Connection: Keep-Alive"), "connection: keep-alive", false },
      { head("GET / HTTP/1.0", "Connection: Keep-Alive, close"), "connection: close", true },
    }) do
      local answer, unit = answered(case[1], OK, nil, true)
      assert.equal(head("HTTP/1.1 200 OK", "content-length: 0", case[2]), answer)
      assert.equal(case[3], unit:is_over())
      assert.equal(case[3] and "closed:0(0x100)" or "", story(unit))
    end
  end)

  it("to HTTP/1.0 without a length ends with its connection", function()
    local answer, unit = answered(head("GET / HTTP/1.0", "Connection: keep-alive"), OK, "hello")
    assert.equal(head("HTTP/1.1 200 OK", "connection: close") .. "hello", answer)
    assert.is_true(unit:is_over())
  end)

  it("may come behind interim ones, which HTTP/1.0 does not get", function()
    local _, _, unit = server_told(GET)
    assert.equal(0, unit:send_response(0, { { ":status", "103" }, { "link", "<a>" } }, false))
    assert.equal(0, unit:send_response(0, OK, true))
    assert.equal(head("HTTP/1.1 103 Early Hints", "link: <a>") .. head("HTTP/1.1 200 OK", "content-length: 0"),
      unit:send())
    local _, _, old = server_told(head("GET / HTTP/1.0"))
    assert.equal(0, old:send_response(0, { { ":status", "103" } }, false))
    assert.equal("", old:send())
  end)

  it("is refused where it would say something else than it means", function()
    local _, _, unit = server_told(GET)
    for _, fields in ipairs({
      { { ":status", "200" }, { "x", "a\r\nb: c" } }, { { ":status", "200" }, { "x", "a\nb" } },
      { { ":status", "200" }, { "x\r\ny", "a" } }, { { ":status", "200" }, { "x y", "a" } },
      { { ":status", "200" }, { "x", "a\0" } }, { { ":status", "20\r" } }, { { ":status", "101" } },
      { { ":status", "200" }, { "transfer-encoding", "chunked" } }, { { ":status", "200" }, { "connection", "x" } },
      { { ":status", "200" }, { "content-length", "1" }, { "content-length", "1" } }, { { "x", "1" } },
      { { ":status", "204" }, { "content-length", "1" } }, { { ":status", "101" }, { "upgrade", "x" } },
      { { ":status", "426" }, { "upgrade", "a\r\nb" } },
      { { ":status", "426" }, { "upgrade", "a" }, { "upgrade", "a\nb" } },
    }) do
      assert.same({ nil, err.ARGUMENT }, { unit:send_response(0, fields, false) })
    end
    assert.same({ nil, err.ARGUMENT },
      { unit:send_response(0, { { ":status", "200" }, { "content-length", "1" } }, true) })
    assert.same({ nil, err.ARGUMENT }, { unit:send_response(0, { { ":status", "103" } }, true) })
    assert.same({ nil, err.STREAM_STATE }, { unit:send_response(4, OK, true) })
    assert.same({ nil, err.STREAM_STATE }, { unit:send_body(0, "x", false) })
    assert.equal("", unit:send())
    assert.equal(0, unit:send_response(0, { { ":status", "200" }, { "content-length", "3" } }, false))
    assert.same({ nil, err.STREAM_STATE }, { unit:send_response(0, OK, true) })
    assert.same({ nil, err.ARGUMENT }, { unit:send_body(0, "long", false) })
    assert.same({ nil, err.ARGUMENT }, { unit:send_body(0, "hi", true) })
    assert.same({ nil, err.ARGUMENT }, { unit:send_trailers(0, {}) })
    assert.equal(3, unit:send_body(0, "yes", true))
    assert.same({ nil, err.STREAM_STATE }, { unit:send_body(0, "x", true) })
  end)

  it("without memory ends its connection", function()
    local _, _, unit = server_told(GET)
    unit:fail(1)
    assert.same({ nil, err.NO_MEMORY }, { unit:send_response(0, OK, true) })
    assert.is_true(unit:is_over())
    assert.equal("reset:0(0x102) closed:0(0x100)", story(unit))
    assert.equal(0, unit:free())
  end)
end)

describe("a client that waits for a 100", function()
  local POST = head("POST / HTTP/1.1", "Host: a", "Content-Length: 2", "Expect: 100-continue")
  local TOLD = "headers:0[:method=POST,:scheme=http,:authority=a,:path=/,content-length=2,expect=100-continue]"

  it("gets it when its body is asked for", function()
    local told, answer, unit = server_told(POST)
    assert.equal(TOLD, told)
    assert.equal("", answer)
    assert.same({ nil, err.AGAIN }, { unit:recv_body(0) })
    assert.same({ nil, err.AGAIN }, { unit:recv_body(0) })
    assert.equal(head("HTTP/1.1 100 Continue"), unit:send())
    unit:receive("ab")
    assert.equal("data:0(ab) finished:0", story(unit))
    unit:send_response(0, OK, true)
    assert.is_false(unit:is_over())
  end)

  it("gets it once where the application says it", function()
    local _, _, unit = server_told(POST)
    assert.equal(0, unit:send_response(0, { { ":status", "100" } }, false))
    unit:recv_body(0)
    assert.equal(head("HTTP/1.1 100 Continue"), unit:send())
  end)

  it("gets none when its body is here", function()
    local told, answer = server_told(POST .. "ab")
    assert.equal(TOLD .. " data:0(ab) finished:0", told)
    assert.equal("", answer)
  end)

  it("gets none of HTTP/1.0", function()
    local _, _, unit = server_told(head("POST / HTTP/1.0", "Content-Length: 2", "Expect: 100-continue"))
    unit:recv_body(0)
    assert.equal("", unit:send())
  end)

  it("is not waited for once it is answered", function()
    local _, _, unit = server_told(POST)
    unit:send_response(0, OK, true)
    assert.equal(head("HTTP/1.1 200 OK", "content-length: 0", "connection: close"), unit:send())
    assert.equal(0, unit:stop_body(0))
    assert.is_true(unit:is_over())
    assert.equal("closed:0(0x100)", story(unit))
  end)
end)

describe("a body that nobody reads", function()
  local function answered(length, sent)
    local _, _, unit = server_told(head("POST / HTTP/1.1", "Host: a", "Content-Length: " .. length))
    unit:receive(("x"):rep(sent or 0))
    unit:send_response(0, OK, true)
    unit:stop_body(0)
    return unit
  end

  it("is read to its end where it is short", function()
    local unit = answered(60000)
    assert.equal(head("HTTP/1.1 200 OK", "content-length: 0"), unit:send())
    local next_one = head("GET / HTTP/1.1", "Host: a")
    assert.equal(60000, unit:receive(("x"):rep(60000)))
    assert.equal("", story(unit))
    unit:receive(next_one)
    assert.matches("^headers:4", story(unit))
  end)

  it("ends its connection where it is long, which the answer says", function()
    local unit = answered(65537)
    assert.equal(head("HTTP/1.1 200 OK", "content-length: 0", "connection: close"), unit:send())
    assert.is_true(unit:is_over())
    assert.same({ nil, err.CLOSED }, { unit:receive("x") })
    assert.equal("closed:0(0x100)", story(unit))
  end)

  it("ends it too where chunks come without an end", function()
    local _, _, unit = server_told(head("POST / HTTP/1.1", "Host: a", "Transfer-Encoding: chunked"))
    unit:send_response(0, OK, true)
    unit:stop_body(0)
    local chunk, taken = "1000\r\n" .. ("x"):rep(4096) .. "\r\n", 0
    while unit:receive(chunk) do
      story(unit)
      taken = taken + 4096
      assert.is_true(taken <= 65536 + 4096)
    end
    assert.is_true(unit:is_over())
  end)

  it("is held back beyond the bound while it is answered", function()
    local _, _, unit = server_told(head("POST / HTTP/1.1", "Host: a", "Content-Length: 1000000"))
    unit:send_response(0, OK, false)
    unit:stop_body(0)
    local taken = 0
    for _ = 1, 100 do
      taken = taken + (unit:receive(("x"):rep(10000)) or 0)
      story(unit)
    end
    assert.is_true(taken < 200000)
    assert.is_false(unit:is_over())
    unit:send_body(0, "", true)
    assert.is_true(unit:is_over())
    assert.equal(head("HTTP/1.1 200 OK", "transfer-encoding: chunked") .. "0\r\n\r\n", unit:send())
  end)

  it("is nobody's concern where the connection ends in it", function()
    local unit = answered(100, 50)
    unit:send()
    unit:end_of_input()
    assert.equal("closed:0(0x100)", story(unit))
    assert.is_true(unit:is_over())
  end)

  it("is waited for as long as a header section", function()
    local unit = answered(100)
    unit:send()
    unit:pass(9.9)
    assert.is_false(unit:is_over())
    unit:pass(10.2)
    assert.is_true(unit:is_over())
  end)
end)

describe("a connection of HTTP/1.1", function()
  local GET = head("GET / HTTP/1.1", "Host: a")

  it("without a request ends after idle_timeout, and says nothing", function()
    local unit = stories.server({ idle_timeout = 5e9 })
    unit:pass(4.9)
    assert.is_false(unit:is_over())
    unit:pass(0.2)
    assert.is_true(unit:is_over())
    assert.equal("", unit:send())
    assert.equal("closed:0(0x100)", story(unit))
    assert.equal(0, unit:stats().timeouts)
  end)

  it("has no timer while a request is answered, and one again behind it", function()
    local unit = stories.server({ idle_timeout = 5e9 })
    unit:receive(GET)
    story(unit)
    unit:pass(1000)
    unit:send_response(0, OK, true)
    unit:send()
    unit:pass(4.9)
    assert.is_false(unit:is_over())
    unit:pass(5.2)
    assert.is_true(unit:is_over())
  end)

  it("waits for a header section for header_timeout in all, and then says 408", function()
    for _, bytes in ipairs({ "G", "\r\n", "GET / HTTP/1.1\r\nHost: a\r\n" }) do
      local unit = stories.server({ header_timeout = 3e9 })
      unit:receive(bytes)
      story(unit)
      unit:pass(2)
      if bytes ~= "\r\n" then unit:receive("X") end
      story(unit)
      unit:pass(0.9)
      assert.is_false(unit:is_over())
      unit:pass(0.2)
      assert.is_true(unit:is_over())
      assert.equal(408, stories.status(unit:send()))
      assert.equal("closed:0(0x100)", story(unit))
      assert.equal(1, unit:stats().timeouts)
    end
  end)

  it("gives its memory back while it waits", function()
    local unit = stories.server()
    local idle = unit:memory()
    unit:receive(head("POST / HTTP/1.1", "Host: a", "Content-Length: 30000") .. ("x"):rep(30000))
    story(unit)
    unit:send_response(0, OK, false)
    unit:send_body(0, ("x"):rep(30000), true)
    assert.is_true(unit:memory() > idle + 30000)
    unit:send()
    story(unit)
    assert.equal(idle, unit:memory())
    assert.is_true(idle <= 640)
  end)

  it("that ends in a request has cut it off", function()
    for bytes, told in pairs({
      [""] = "closed:0(0x100)", ["GET / HT"] = "closed:0(0x100)", ["\r"] = "closed:0(0x100)",
      [head("POST / HTTP/1.1", "Host: a", "Content-Length: 9") .. "x"] = "reset:0(0x10d) closed:0(0x100)",
      [head("POST / HTTP/1.1", "Host: a", "Transfer-Encoding: chunked") .. "5\r\nhello\r\n0\r\n"] =
        "reset:0(0x10d) closed:0(0x100)",
    }) do
      local unit = stories.server()
      unit:receive(bytes)
      story(unit)
      unit:end_of_input()
      assert.equal(told, story(unit))
      assert.is_true(unit:is_over())
      assert.equal("", unit:send())
    end
  end)

  it("that ends behind a request still gets its answer", function()
    local unit = stories.server()
    unit:receive(GET)
    unit:end_of_input()
    assert.matches("^headers:0", story(unit))
    unit:send_response(0, OK, true)
    assert.equal(head("HTTP/1.1 200 OK", "content-length: 0", "connection: close"), unit:send())
    assert.equal("closed:0(0x100)", story(unit))
  end)

  it("that goes away answers what has come, and nothing behind it", function()
    local unit = stories.server()
    unit:receive(GET .. GET)
    assert.matches("^headers:0", story(unit))
    unit:goaway()
    unit:send_response(0, OK, true)
    assert.equal(head("HTTP/1.1 200 OK", "content-length: 0", "connection: close"), unit:send())
    assert.equal("closed:0(0x100)", story(unit))
    local idle = stories.server()
    idle:goaway()
    assert.is_true(idle:is_over())
  end)

  it("whose request is cancelled breaks off", function()
    local unit = stories.server()
    unit:receive(GET)
    story(unit)
    unit:send_response(0, OK, false)
    unit:send_body(0, "abc", false)
    assert.equal(0, unit:cancel(0))
    assert.is_true(unit:is_over())
    assert.equal(head("HTTP/1.1 200 OK", "transfer-encoding: chunked") .. "3\r\nabc\r\n", unit:send())
    assert.same({ nil, err.STREAM_STATE }, { unit:cancel(0) })
    assert.same({ nil, err.CLOSED }, { unit:send_body(0, "x", true) })
    assert.equal("closed:0(0x100)", story(unit))
    assert.same({ nil, err.CLOSED }, { unit:poll() })
  end)

  it("whose peer asks more and takes no answer is dropped, and one that takes some is not", function()
    local unit = stories.server({ header_timeout = 2e9 })
    unit:receive(GET .. GET)
    story(unit)
    unit:send_response(0, OK, false)
    assert(unit:send_body(0, ("y"):rep(unit:body_capacity(0)), true))
    for _ = 1, 5 do
      unit:pass(1.5)
      assert.equal(1, #unit:send(1))
      assert.equal("", story(unit))
    end
    unit:pass(4.1)
    assert.equal("", unit:send())
    assert.equal("closed:0(0x100)", story(unit))
    assert.equal(1, unit:stats().timeouts)
  end)

  it("whose peer takes nothing of its last answer is dropped, and one that takes some is not", function()
    local unit = stories.server({ header_timeout = 2e9 })
    unit:receive(head("GET / HTTP/1.1", "Host: a", "Connection: close"))
    story(unit)
    unit:send_response(0, OK, false)
    unit:send_body(0, ("x"):rep(1000), true)
    for _ = 1, 5 do
      unit:pass(1.5)
      assert.equal(10, #unit:send(10))
    end
    unit:pass(4.1)
    assert.equal("", unit:send())
  end)
end)
