-- What would let one request be read as two, or as another by somebody else (RFC 9112 §11): each is refused,
-- whatever pieces it comes in, and the connection ends.
local stories = require("spec.tcp.stories")

local head, OK = stories.head, stories.OK

local function get(...) return head("GET / HTTP/1.1", "Host: a", ...) end
local function post(...) return head("POST / HTTP/1.1", "Host: a", ...) end
local CHUNKED = post("Transfer-Encoding: chunked")

-- Whether a server that was sent these bytes refused them so, in one piece and byte by byte.
local function refuses(status, bytes)
  local told
  for _, size in ipairs({ #bytes, 1 }) do
    local unit = stories.server()
    local events, answer = stories.in_pieces(unit, bytes, size)
    assert.equal(status, stories.status(answer), ("%q in pieces of %d"):format(bytes, size))
    assert.matches("\r\nconnection: close\r\n", answer)
    assert.is_true(unit:is_over())
    assert.is_nil(unit:receive("GET / HTTP/1.1\r\nHost: a\r\n\r\n"))
    assert.equal(1, unit:stats().malformed + unit:stats().too_large)
    told = told or events
    if not events:find("data", 1, true) then assert.equal(told, events) end
    assert.equal(0, unit:free())
  end
  return told
end

describe("a request of HTTP/1.1 that is ambiguous", function()
  it("by its length is refused", function()
    for _, lines in ipairs({
      { "Content-Length: 5", "Transfer-Encoding: chunked" }, { "Transfer-Encoding: chunked", "Content-Length: 5" },
      { "Content-Length: 5", "Content-Length: 5" }, { "Content-Length: 5", "Content-Length: 6" },
      { "Content-Length: 5, 5" }, { "Content-Length: +1" }, { "Content-Length: -1" }, { "Content-Length: 1 1" },
      { "Content-Length: 0x1" }, { "Content-Length: 1e1" }, { "Content-Length:" }, { "Content-Length: 1;" },
      { "Content-Length: 99999999999999999999" }, { "Content-Length: \0111" }, { "Content-Length: 1\0" },
      { "Content-Length : 5" }, { "Content-Length\t: 5" }, { " Content-Length: 5" }, { "Content-Length\0: 5" },
      { "Content-Length: 5", "X: y", "content-length: 5" }, { "Connection: content-length", "Content-Length: 5" },
      { "Content_Length: 5", "Content-Length: 5", "Content-Length: 0" },
    }) do
      assert.equal("closed:0(0x100)", refuses(400, post((table.unpack or unpack)(lines)) .. "hello"))
    end
  end)

  it("by its transfer-encoding is refused", function()
    for line, status in pairs({
      ["Transfer-Encoding: xchunked"] = 400, ["Transfer-Encoding: chunked, identity"] = 400,
      ["Transfer-Encoding: identity"] = 400, ["Transfer-Encoding:"] = 400, ["Transfer-Encoding: chunked,"] = 400,
      ["Transfer-Encoding: chunked, chunked"] = 400, ["Transfer-Encoding: chunked;q=1"] = 400,
      ["Transfer-Encoding: \"chunked\""] = 400, ["Transfer-Encoding: \011chunked"] = 400,
      ["Transfer-Encoding: chun\tked"] = 400, ["Transfer-Encoding : chunked"] = 400,
      ["Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked"] = 400,
      ["Transfer-Encoding: gzip\r\nTransfer-Encoding: chunked"] = 400,
      ["Transfer-Encoding: chunked\r\nTransfer-Encoding: identity"] = 400,
      ["Transfer-Encoding:\r\n chunked"] = 400, ["X: y\r\n Transfer-Encoding: chunked"] = 400,
      ["Transfer-Encoding: gzip, chunked"] = 501, ["Transfer-Encoding: ,chunked"] = 501,
      ["Transfer-Encoding: chunked\0"] = 400, ["Transfer\rEncoding: chunked"] = 400,
    }) do
      assert.equal("closed:0(0x100)", refuses(status, post(line) .. "0\r\n\r\n"))
    end
    refuses(400, head("POST / HTTP/1.0", "Host: a", "Transfer-Encoding: chunked") .. "0\r\n\r\n")
  end)

  it("by its lines is refused", function()
    for _, bytes in ipairs({
      "GET / HTTP/1.1\nHost: a\n\n", "GET / HTTP/1.1\r\nHost: a\n\r\n", "GET / HTTP/1.1\r\nHost: a\r\n\n",
      "GET / HTTP/1.1\rHost: a\r\r\n\r\n", "GET / HTTP/1.1\r\r\nHost: a\r\n\r\n", "\n" .. get(),
      get("X: a\rb"), get("X: a\r\r"), get("X: a\0b"), get("X: a\127"), get("X\r: y"), get("X: y\r", "Z: 1"),
      get("X : y"), get("X y: z"), get(": y"), get("X"), get("X\t: y"), get("\tX: y"), get(" X: y"), get("X: y", " z"),
      get("X(: y"), get("X\128: y"), get(":method: PUT"), get("X=y: z"), get("X@: z"),
      get("Connection: clo\rse"), get("Keep-Alive: \0"), get("Upgrade: a\rb"), get("Proxy-Connection: \1"),
      get("Te: \127"), get("Connection: x y", "X y: z"),
    }) do
      refuses(400, bytes)
    end
  end)

  it("by its first line is refused", function()
    for line, status in pairs({
      ["GET  / HTTP/1.1"] = 400, ["GET /  HTTP/1.1"] = 400, ["GET / HTTP/1.1 "] = 400, [" GET / HTTP/1.1"] = 400,
      ["GET /a b HTTP/1.1"] = 400, ["GET\t/ HTTP/1.1"] = 400, ["GET /\tHTTP/1.1"] = 400, ["GET /"] = 400, ["GET"] = 400,
      ["GET / http/1.1"] = 400, ["GET / HTTP/1"] = 400, ["GET / HTTP/11"] = 400, ["GET / HTTP/1.1x"] = 400,
      ["GET / HTTP/1.01"] = 400, ["GET / HTTP/ 1.1"] = 400, ["GET / HTTP/-1.1"] = 400, ["GET / XTTP/1.1"] = 400,
      ["GET / HTTP/2.0"] = 505, ["GET / HTTP/0.9"] = 505, ["GET / HTTP/9.9"] = 505, ["PRI * HTTP/2.0"] = 505,
      ["G(T / HTTP/1.1"] = 400, ["G\128T / HTTP/1.1"] = 400, ["GET /\0 HTTP/1.1"] = 400, ["GET /\127 HTTP/1.1"] = 400,
      ["GET /#a HTTP/1.1"] = 400, ["GET /\r HTTP/1.1"] = 400, ["GET /\128 HTTP/1.1"] = 400, ["GET * HTTP/1.1"] = 400,
      ["GET a HTTP/1.1"] = 400, ["GET a:80 HTTP/1.1"] = 400, ["CONNECT a HTTP/1.1"] = 400,
      ["CONNECT / HTTP/1.1"] = 400, ["CONNECT http://a:1/ HTTP/1.1"] = 400, ["OPTIONS ** HTTP/1.1"] = 400,
      ["GET http://b/ HTTP/1.1"] = 400, ["GET http:///x HTTP/1.1"] = 400, ["GET http:/a/ HTTP/1.1"] = 400,
      ["GET http:a HTTP/1.1"] = 400, ["GET ftp://a/ HTTP/1.1"] = 400, ["GET https://a/ HTTP/1.1"] = 421,
      ["GET http://a@b/ HTTP/1.1"] = 400, ["GET http://u@a/ HTTP/1.1"] = 400, ["GET http://a:80/ HTTP/1.1"] = 400,
      ["GET ://a/ HTTP/1.1"] = 400, ["GET http:// HTTP/1.1"] = 400, ["GET http://?x HTTP/1.1"] = 400,
      ["GET http HTTP/1.1"] = 400, ["GET h HTTP/1.1"] = 400, [":method / HTTP/1.1"] = 400,
    }) do
      assert.equal("closed:0(0x100)", refuses(status, head(line, "Host: a")))
    end
  end)

  it("by its host is refused", function()
    for _, lines in ipairs({
      { "X: y" }, { "Host: a", "Host: a" }, { "Host: a", "Host: b" }, { "Host:" }, { "Host: a b" }, { "Host: u@a" },
      { "Host: a/b" }, { "Host: a, b" }, { "Host: a", "Connection: host" }, { "Host : a" }, { "Host: a#" },
    }) do
      assert.equal("closed:0(0x100)", refuses(400, head("GET / HTTP/1.1", (table.unpack or unpack)(lines))))
    end
    refuses(400, head("GET / HTTP/1.0", "Host: a", "Host: b"))
    refuses(400, head("CONNECT a:1 HTTP/1.1", "Host: b:1"))
    refuses(400, head("CONNECT a:1 HTTP/1.1", "Host: a:1", "Content-Length: 5"))
    refuses(400, head("CONNECT a:1 HTTP/1.1", "Host: a:1", "Transfer-Encoding: chunked"))
  end)

  it("by its chunks is refused, and what is behind them is nobody's", function()
    for _, chunks in ipairs({
      "0x5\r\nhello\r\n0\r\n\r\n", "-5\r\nhello", "+5\r\nhello", " 5\r\nhello", "5 \r\nhello", "5\nhello\r\n0\r\n\r\n",
      "\r\n", "g\r\n", ";x\r\n", "5\rhello", "5\r\nhelloX\r\n", "5\r\nhello\n0\r\n\r\n", "5\r\nhello0\r\n\r\n",
      "5\r\nhello\rX", "12345678901234567\r\n", "fffffffffffffffff\r\n", "1000000000000000\r\n",
      "0000000000000000005\r\nhello\r\n",
      "5;a\nhello", "5;a\0\r\nhello", "5;a\127\r\nhello", "5;a\rb\r\nhello", "5\t5\r\nhello", "5;" .. ("x"):rep(4097),
      "5\r\n\r\nhello", "5,5\r\nhello", "0\r\n\n", "0\r\nX\r\n\r\n", "0\r\n X: y\r\n\r\n", "0\r\nX: y\n\r\n",
      "0\r\nX : y\r\n\r\n", "0\r\nX: \0\r\n\r\n", "0\r\n:path: /\r\n\r\n", "0\r\nContent-Length: 5\r\n\r\n",
      "0\r\nTransfer-Encoding: chunked\r\n\r\n", "0\r\nHost: b\r\n\r\n", "0\r\nConnection: close\r\n\r\n",
      "0\r\nAuthorization: x\r\n\r\n", "0\r\nTrailer: x\r\n\r\n", "0\r\nUpgrade: x\r\n\r\n", "0\r\nCookie: x\r\n\r\n",
      "0\r\nContent-Type: x\r\n\r\n", "0\r\nKeep-Alive: x\r\n\r\n", "0\r\nTE: trailers\r\n\r\n", "0\rX\n\r\n",
    }) do
      local told = refuses(400, CHUNKED .. chunks)
      assert.matches("^headers:0.* reset:0%(0x10e%) closed:0%(0x100%)$", told)
      assert.is_nil(told:find("finished", 1, true))
    end
  end)

  it("is told about in words", function()
    for bytes, reason in pairs({
      [get("X: y", " z: y")] = "folded line", [get("X")] = "line without a name", [get("X : y")] = "invalid field name",
      ["GET / HTTP/1.1\n"] = "line without its end", [get("Host: a")] = "host twice",
      [post("Content-Length: 1", "Content-Length: 1")] = "content-length twice",
      [CHUNKED .. "x"] = "chunk size is no number", [CHUNKED .. "1\r\nab"] = "chunk longer than its size",
    }) do
      local unit = stories.server()
      stories.in_pieces(unit, bytes, #bytes)
      assert.equal(reason, unit:stats().reason)
    end
    assert.is_nil(stories.server():stats().reason)
  end)

  it("in a body whose answer has begun is cut off without another", function()
    local unit = stories.server()
    unit:receive(CHUNKED)
    stories.story(unit)
    unit:send_response(0, OK, false)
    unit:receive("x\r\n")
    assert.equal("reset:0(0x10e)", stories.story(unit))
    assert.equal(head("HTTP/1.1 200 OK", "transfer-encoding: chunked"), unit:send())
    assert.is_true(unit:is_over())
    assert.is_nil(unit:send_body(0, "x", true))
  end)
end)

describe("a request of HTTP/1.1 that is too large", function()
  it("is refused by what is too large of it, as soon as it is", function()
    local unit = stories.server()
    unit:receive("GET /" .. ("x"):rep(20000))
    stories.story(unit)
    assert.equal(414, stories.status(unit:send()))
    refuses(414, head("GET /" .. ("x"):rep(16384) .. " HTTP/1.1", "Host: a"))
    for _, bytes in ipairs({
      "GET / HTTP/1.1\r\nX: " .. ("x"):rep(65536), get("X: " .. ("x"):rep(65536)), get(("X:\r\n"):rep(256) .. "Y:"),
      ("GET / HTTP/1.1\r\nHost: a\r\n" .. ("X: y\r\n"):rep(300)),
    }) do
      local large = stories.server()
      stories.in_pieces(large, bytes, 1000)
      assert.equal(1, large:stats().too_large)
      assert.is_true(large:is_over())
    end
    local names = {}
    for i = 1, 17 do names[i] = "x" .. i end
    refuses(431, get("Connection: " .. table.concat(names, ",")))
    refuses(431, CHUNKED .. "0\r\n" .. ("X: y\r\n"):rep(257) .. "\r\n")
  end)

  it("is measured as in HTTP/3", function()
    local function told(most)
      local small = stories.server({ max_field_section_size = most })
      small:receive(get())
      return stories.story(small), small:send()
    end
    local size = 0
    for _, field in ipairs({ { ":method", "GET" }, { ":scheme", "http" }, { ":authority", "a" }, { ":path", "/" } }) do
      size = size + #field[1] + #field[2] + 32
    end
    assert.matches("^headers", (told(size)))
    assert.equal(431, stories.status(select(2, told(size - 1))))
  end)

  it("costs the same in bytes and in steps however small its pieces", function()
    local unit = stories.server()
    local bytes = get("X: " .. ("x"):rep(60000))
    local began = os.clock()
    for at = 1, #bytes do unit:receive(bytes:sub(at, at)) unit:poll() end
    local byte_by_byte = os.clock() - began
    assert.is_true(byte_by_byte < 5, ("%.1f s"):format(byte_by_byte))
    assert.equal(1, unit:stats().requests)
  end)
end)

describe("a message of HTTP/1.1", function()
  it("is the same in two pieces, wherever it is cut", function()
    local bytes = "\r\n" .. post("X: 1", "Cookie: a", "Cookie: b", "Transfer-Encoding: chunked", "Connection: x-y",
      "X-Y: z") .. "5;a=b\r\nhello\r\n6\r\n world\r\n0;c\r\n" .. head("X-Sum: 1") .. get()
    local told, answer = stories.in_pieces(stories.server(), bytes, #bytes)
    assert.matches("trailers:0%[x%-sum=1%]fin finished:0$", told)
    for cut = 1, #bytes - 1 do
      local unit = stories.server()
      local words = {}
      for _, piece in ipairs({ bytes:sub(1, cut), bytes:sub(cut + 1) }) do
        assert.equal(#piece, unit:receive(piece))
        words[#words + 1] = stories.story(unit)
      end
      local joined = table.concat(words, " "):gsub(" *data:0%((.-)%) data:0%((.-)%)", " data:0(%1%2)")
      assert.equal(told, (joined:gsub("data:0", "data"):gsub("^ +", ""):gsub(" +$", "")), "cut at " .. cut)
      assert.equal(answer, unit:send())
    end
    for size = 1, 40 do assert.equal(told, (stories.in_pieces(stories.server(), bytes, size))) end
  end)

  -- A handler answers, reads, gives up or does nothing, by chance.
  it("that is made of parts at random leaves nothing behind", function()
    local parts = {
      "GET / HTTP/1.1\r\n", "POST /x HTTP/1.1\r\n", "HEAD * HTTP/1.0\r\n", "CONNECT a:1 HTTP/1.1\r\n", "Host: a\r\n",
      "Host: a:1\r\n", "Content-Length: 5\r\n", "Content-Length: 0\r\n", "Transfer-Encoding: chunked\r\n", "\r\n",
      "\r\n", "5\r\nhello\r\n", "0\r\n\r\n", "0\r\n", "hello", "X: y\r\n", "Connection: close\r\n",
      "Connection: upgrade\r\n", "Upgrade: w\r\n", "Expect: 100-continue\r\n", "\r", "\n", "\0", " ", ":",
      "GET http://a/ HTTP/1.1\r\nHost: a\r\n\r\n",
      "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nhello",
      "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n",
      "GET /chat HTTP/1.1\r\nHost: a\r\nConnection: upgrade\r\nUpgrade: w\r\n\r\n",
    }
    math.randomseed(7)
    local requests, refused = 0, 0
    for round = 1, 3000 do
      local bytes = {}
      for i = 1, math.random(1, 12) do
        bytes[i] = parts[i % 2 == 1 and #parts - math.random(0, 3) or math.random(#parts)]
        if math.random(20) == 1 then bytes[i] = bytes[i]:sub(1, math.random(#bytes[i])) end
        if math.random(40) == 1 then bytes[i] = bytes[i]:gsub(".", string.char(math.random(0, 255)), 1) end
      end
      bytes = table.concat(bytes)
      local unit = stories.server({ max_field_section_size = round % 7 == 0 and 200 or nil })
      if round % 5 == 0 then unit:fail(math.random(1, 8)) end
      local at = 1
      while at <= #bytes do
        local taken = unit:receive(bytes:sub(at, at + math.random(0, 30)))
        if not taken then break end
        at = at + taken
        for event in unit.poll, unit do
          local stream = event.stream
          if event.type == "headers" and math.random(4) > 1 then
            local status = ({ "200", "204", "101", "304" })[math.random(4)]
            local fields = { { ":status", status }, status == "101" and { "upgrade", "w" } or nil }
            if unit:send_response(stream, fields, math.random(2) == 1) then
              unit:send_body(stream, ("z"):rep(math.random(0, 9)), true)
            end
          elseif event.type == "data" then
            if math.random(5) == 1 then unit:stop_body(stream) else unit:recv_body(stream, math.random(1, 9)) end
          elseif math.random(30) == 1 then
            unit:cancel(stream)
          end
        end
        if math.random(50) == 1 then unit:goaway() end
        unit:send(math.random(0, 100))
        if math.random(30) == 1 then unit:pass(math.random(0, 20)) end
      end
      unit:end_of_input()
      while unit:poll() do end
      unit:send()
      unit:pass(100)
      requests = requests + unit:stats().requests
      refused = refused + unit:stats().malformed
      assert.is_true(unit:stats().malformed + unit:stats().too_large <= 1)
      assert.equal(0, unit:free(), bytes)
    end
    assert.is_true(requests > 500 and refused > 500, requests .. " requests, " .. refused .. " refused")
  end)
end)
