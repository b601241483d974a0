-- What a peer of HTTP/2 may try: each has a bound, and a count that says that it was met.
local units = require("neap.units")

if not units.transport.http2 then
  describe("HTTP/2 against a hostile peer", function()
    it("has bounds", function() pending("this build has no libnghttp2 (NEAP_WITH_HTTP2)") end)
  end)
  return
end

local h2 = require("spec.tcp.h2")
local code, GET, POST, OK, frame = h2.code, h2.GET, h2.POST, h2.OK, h2.frame

local ENHANCE_YOUR_CALM, PROTOCOL_ERROR, STREAM_CLOSED, SETTINGS_TIMEOUT = 11, 1, 5, 4
local MEBIBYTE = 1048576

local server

local function open(options, settings)
  server = h2.hostile(options, settings)
  return server
end

after_each(function()
  if server then assert.equal(0, server:free()) end
  server = nil
end)

-- The code of the GOAWAY that leaves, nil when none does.
local function goaway_code()
  local found = h2.of_type(h2.frames(server:send()), "goaway")
  return found[1] and h2.error_of(found[1])
end

-- Give bytes in a thousand turns until the connection is over: how many turns it took, nil when it lives.
local function flood(make, each)
  for turn = 1, 5000 do
    server:receive(make(turn))
    if each then each() end
    if server:is_over() then return turn end
    server:send()
  end
end

describe("a flood of", function()
  local function closes(what, make, least, most, each)
    it(what .. " closes the connection", function()
      open()
      local turns = flood(make, each)
      assert.is_truthy(turns, "it lives")
      assert.is_true(turns >= least and turns <= most, turns)
      assert.equal(ENHANCE_YOUR_CALM, goaway_code())
      assert.equal(1, server:stats().overloads)
      if not each then assert.equal(("closed(0x%x)"):format(code.EXCESSIVE_LOAD), h2.story(server)) end
    end)
  end

  local function let_go()
    for _, event in ipairs((h2.events(server))) do
      local is_left = event.type == "reset" or event.type == "stopped"
      if is_left then server:cancel(event.stream, code.REQUEST_CANCELLED) end
    end
  end

  closes("requests that are reset at once (CVE-2023-44487)", function(turn)
    return h2.headers(2 * turn - 1, GET, true) .. h2.reset(2 * turn - 1, 8)
  end, 1000, 1002, let_go)

  closes("requests that we are made to reset (CVE-2025-8671)", function(turn)
    return h2.headers(2 * turn - 1, GET, true) .. h2.window_update(2 * turn - 1, 2 ^ 31 - 1)
  end, 1000, 1002, let_go)

  closes("malformed requests", function(turn)
    return h2.headers(2 * turn - 1, h2.with(GET, { "connection", "close" }), true)
  end, 1000, 1002, let_go)

  closes("PING", function() return frame("ping", 0, 0, ("p"):rep(8)) end, 1000, 1110)
  closes("SETTINGS", function() return h2.settings() end, 1000, 1110)
  closes("WINDOW_UPDATE", function() return h2.window_update(0, 1) end, 1000, 1110)
  closes("PRIORITY", function(turn) return frame("priority", 0, 2 * turn + 1, "\0\0\0\0\0") end, 1000, 1110)
  closes("PRIORITY_UPDATE", function() return frame("priority_update", 0, 0, "\0\0\0\1u=1") end, 1000, 1110)
  closes("frames that nobody knows", function() return frame(0xbe, 0, 0, "?") end, 1000, 1110)
  closes("RST_STREAM of requests that are over", function(turn)
    return turn == 1 and h2.headers(1, GET, true) .. h2.reset(1, 8) or h2.reset(1, 8)
  end, 1000, 1110, let_go)

  closes("empty DATA", function(turn)
    return (turn == 1 and h2.headers(1, POST, false) or "") .. h2.data(1, "", false)
  end, 1000, 1002)

  closes("DATA that is padding alone", function(turn)
    return (turn == 1 and h2.headers(1, POST, false) or "") .. frame("data", h2.PADDED, 1, "\9" .. ("\0"):rep(9))
  end, 1000, 1002)

  closes("empty CONTINUATION (CVE-2024-27316)", function(turn)
    return turn == 1 and frame("headers", 0, 1, h2.block(GET)) or frame("continuation", 0, 1, "")
  end, 5, 1002)

  closes("CONTINUATION with fields", function(turn)
    return turn == 1 and frame("headers", 0, 1, h2.block(GET))
      or frame("continuation", 0, 1, h2.block({ { "x", ("y"):rep(16000) } }))
  end, 5, 40)

  it("all these says no word where messages excuse them", function()
    open()
    for turn = 1, 3000 do
      server:receive(h2.headers(2 * turn - 1, GET, true) .. h2.window_update(0, 1) .. frame("ping", 0, 0, ("p"):rep(8)))
      h2.events(server)
      server:send_response(2 * turn - 1, OK, true)
      server:send()
    end
    assert.is_false(server:is_over())
    assert.equal(0, server:stats().glitches)
  end)

  it("resets is forgiven in time", function()
    open()
    for turn = 1, 3000 do
      server:receive(h2.headers(2 * turn - 1, GET, true) .. h2.reset(2 * turn - 1, 8))
      let_go()
      server:pass(0.5)
      server:send()
    end
    assert.is_false(server:is_over())
    assert.equal(3000, server:stats().resets_received)
  end)

  it("interim responses closes a client's connection", function()
    local client = h2.client()
    client:send()
    client:receive(h2.settings())
    client:send_request(GET, true)
    client:send()
    local turns = 0
    while not client:is_over() and turns < 3000 do
      turns = turns + 1
      client:receive(h2.headers(1, { { ":status", "103" } }, false))
      h2.events(client)
    end
    assert.is_true(turns >= 1000 and turns <= 1002, turns)
    client:free()
  end)
end)

describe("the application", function()
  it("is given no more than 128 requests, however many were reset", function()
    open()
    local told, sent = 0, {}
    for turn = 1, 400 do
      server:receive(h2.headers(2 * turn - 1, GET, true))
      for _, event in ipairs((h2.events(server))) do
        if event.type == "headers" then told = told + 1 end
      end
      server:receive(h2.reset(2 * turn - 1, 8))
      sent[turn] = server:send()
    end
    assert.equal(128, told)
    assert.equal(400 - 128, server:stats().streams_refused)
    local refused = h2.of_type(h2.frames(table.concat(sent)), "rst_stream")
    assert.equal(400 - 128, #refused)
    assert.equal(7, h2.error_of(refused[1]))
    for id = 1, 255, 2 do server:cancel(id, code.REQUEST_CANCELLED) end
    server:receive(h2.headers(1001, GET, true))
    assert.equal("headers:1001(fin) finished:1001", h2.story(server))
  end)

  it("is given no more than 128 requests that we were made to reset", function()
    open()
    local told = 0
    for turn = 1, 400 do
      server:receive(h2.headers(2 * turn - 1, GET, true))
      for _, event in ipairs((h2.events(server))) do
        if event.type == "headers" then told = told + 1 end
      end
      server:receive(h2.window_update(2 * turn - 1, 2 ^ 31 - 1))
      server:send()
    end
    assert.equal(128, told)
    assert.equal(128, server:stats().resets_provoked)
  end)

  it("that does not poll has the peer wait, and little is held meanwhile", function()
    open()
    local block = h2.with(GET, { "x", ("y"):rep(15000) })
    local bytes = {}
    for id = 1, 199, 2 do bytes[#bytes + 1] = h2.headers(id, block, true) end
    bytes = table.concat(bytes)
    local taken = server:receive(bytes)
    assert.is_true(taken < #bytes / 2, taken)
    assert.is_true((server:memory()) < MEBIBYTE, (server:memory()))
    assert.equal(1, server:stats().waits)
    assert.equal(0, server:receive(bytes:sub(taken + 1)))
    local told = 0
    repeat
      for _, event in ipairs((h2.events(server))) do told = told + (event.type == "headers" and 1 or 0) end
      taken = taken + server:receive(bytes:sub(taken + 1))
    until taken == #bytes
    for _, event in ipairs((h2.events(server))) do told = told + (event.type == "headers" and 1 or 0) end
    assert.equal(100, told)
  end)

  it("that does not poll holds little of sections that grow when they are decoded", function()
    open()
    -- An entry of 4000 bytes, then sections of it fifteen times in 15 bytes.
    server:receive(frame("headers", 5, 1, h2.block(GET) .. "\64\1x\127\161\30" .. ("y"):rep(4000)))
    local bytes = {}
    for id = 3, 199, 2 do bytes[#bytes + 1] = frame("headers", 5, id, h2.block(GET) .. ("\190"):rep(15)) end
    bytes = table.concat(bytes)
    local taken = server:receive(bytes)
    assert.is_true(taken < #bytes / 2, taken)
    assert.is_true((server:memory()) < MEBIBYTE, (server:memory()))
  end)
end)

describe("a peer that does not read", function()
  it("has us take no more than a few hundred of its frames", function()
    open()
    local ping, sent = frame("ping", 0, 0, ("p"):rep(8)):rep(100), 0
    for _ = 1, 20 do
      local taken = server:receive(ping)
      sent = sent + taken / 17
      if taken < #ping then break end
    end
    assert.is_true(sent >= 256 and sent < 300, sent)
    assert.is_false(server:is_over())
    assert.is_true((server:memory()) < 200000, (server:memory()))
    assert.equal(1, server:stats().waits)
    server:send()
    assert.equal(17, server:receive(ping:sub(1, 17)))
  end)

  it("has a bounded share of bodies queued, whatever its window", function()
    open(nil, { { 4, 2 ^ 31 - 1 } })
    server:receive(h2.window_update(0, 2 ^ 31 - 1 - 65535))
    local body = ("x"):rep(500000)
    for id = 1, 199, 2 do server:receive(h2.headers(id, GET, true)) end
    local queued = 0
    for _, event in ipairs((h2.events(server))) do
      if event.type == "headers" then
        server:send_response(event.stream, OK, false)
        local taken = server:send_body(event.stream, body, true) or 0
        assert.is_true(taken <= 131072)
        queued = queued + taken
      end
    end
    assert.equal(MEBIBYTE, queued)
    assert.is_true(select(2, server:memory()) < 2 * MEBIBYTE)
    -- What it reads makes room for all of them in turn.
    local got = #server:send(10 * MEBIBYTE)
    while true do
      local events, any = (h2.events(server)), false
      for _, event in ipairs(events) do
        if event.type == "writable" then any = any or (server:send_body(event.stream, "y", false) or 0) > 0 end
      end
      if not any then break end
      got = got + #server:send(10 * MEBIBYTE)
    end
    assert.is_true(got > MEBIBYTE)
  end)

  it("has nothing queued for streams without a window, so that others are served", function()
    open(nil, { { 4, 0 } })
    for id = 1, 99, 2 do server:receive(h2.headers(id, GET, true)) end
    for _, event in ipairs((h2.events(server))) do
      if event.type == "headers" then
        server:send_response(event.stream, OK, false)
        assert.is_nil((server:send_body(event.stream, ("x"):rep(100000), true)))
      end
    end
    server:receive(h2.window_update(99, 50000))
    assert.equal("writable:99", h2.story(server))
    assert.equal(50000, server:send_body(99, ("x"):rep(100000), true))
  end)

  it("and opens its window byte by byte is not served for ever", function()
    open(nil, { { 4, 0 } })
    server:receive(h2.headers(1, GET, true))
    h2.events(server)
    server:send_response(1, OK, false)
    server:send_body(1, ("x"):rep(100000), false)
    local turns = flood(function() return h2.window_update(1, 1) end, function()
      for _, event in ipairs((h2.events(server))) do
        if event.type == "writable" then server:send_body(1, ("x"):rep(100000), false) end
      end
    end)
    assert.is_true(turns >= 1000 and turns <= 1200, turns)
    assert.equal(ENHANCE_YOUR_CALM, goaway_code())
  end)
end)

describe("a field section", function()
  it("of too many fields is answered with 431, and the connection goes on", function()
    open()
    local fields = h2.with(GET)
    for i = 1, 300 do fields[#fields + 1] = { "x" .. i, "" } end
    server:receive(h2.headers(1, fields, false) .. h2.data(1, "body", false) .. h2.headers(3, GET, true))
    assert.equal("headers:3(fin) finished:3", h2.story(server))
    local frames = h2.frames(server:send())
    assert.equal("headers", frames[1].type)
    assert.equal(h2.END_STREAM, frames[1].flags % 2)
    assert.is_truthy(frames[1].payload:find("431", 1, true) or #frames[1].payload < 10)
    assert.equal(0, h2.error_of(h2.of_type(h2.frames(server:send()), "rst_stream")[1])) -- behind the response
    assert.equal(1, server:stats().too_large)
  end)

  it("that is too large is answered with 431", function()
    open({ max_field_section_size = 2000 })
    server:receive(h2.headers(1, h2.with(GET, { "x", ("y"):rep(2000) }), true) .. h2.headers(3, GET, true))
    assert.equal("headers:3(fin) finished:3", h2.story(server))
    assert.equal(1, server:stats().too_large)
  end)

  it("that grows without end when it is decoded closes the connection", function()
    open()
    server:receive(frame("headers", 5, 1, h2.block(GET) .. "\64\1x\127\161\30" .. ("y"):rep(4000)))
    h2.events(server)
    server:receive(frame("headers", 5, 3, h2.block(GET) .. ("\190"):rep(500)))
    assert.is_true(server:is_over())
    assert.equal(ENHANCE_YOUR_CALM, goaway_code())
    assert.equal(1, server:stats().overloads)
    assert.is_true(select(2, server:memory()) < MEBIBYTE)
  end)

  it("is waited for as long as header_timeout, however small its parts", function()
    open({ header_timeout = 5e9 })
    server:receive(frame("headers", 0, 1, h2.block(GET)))
    for _ = 1, 4 do
      server:pass(1)
      server:receive(frame("continuation", 0, 1, h2.block({ { "x", "y" } })))
    end
    assert.is_false(server:is_over())
    server:pass(1)
    assert.is_true(server:is_over())
    assert.equal(ENHANCE_YOUR_CALM, goaway_code())
    assert.equal(1, server:stats().timeouts)
  end)

  for name, fields in pairs({
    ["an upper case name"] = h2.with(GET, { "Name", "x" }),
    ["a field of HTTP/1.1's connection"] = h2.with(GET, { "connection", "close" }),
    ["transfer-encoding"] = h2.with(GET, { "transfer-encoding", "chunked" }),
    ["te other than trailers"] = h2.with(GET, { "te", "gzip" }),
    ["a line end in a value"] = h2.with(GET, { "x", "a\r\nb: c" }),
    ["NUL in a value"] = h2.with(GET, { "x", "a\0b" }),
    ["space before a value"] = h2.with(GET, { "x", " a" }),
    ["a space in a name"] = h2.with(GET, { "a b", "x" }),
    ["a colon in a name"] = h2.with(GET, { "a:b", "x" }),
    ["no :path"] = { GET[1], GET[2], GET[3] },
    ["an empty :path"] = { GET[1], GET[2], GET[3], { ":path", "" } },
    [":path twice"] = h2.with(GET, { ":path", "/other" }),
    ["a pseudo-header field behind others"] = { GET[1], GET[2], GET[3], { "x", "y" }, GET[4] },
    ["a pseudo-header field that is not known"] = { { ":protocol", "websocket" }, unpack(GET) },
    ["a :status"] = { { ":status", "200" }, unpack(GET) },
    ["an authority that is not the host"] = h2.with(GET, { "host", "elsewhere" }),
    ["two lengths"] = h2.with(GET, { "content-length", "0" }, { "content-length", "1" }),
    ["a length with a sign"] = h2.with(GET, { "content-length", "+1" }),
    ["a length that its end denies"] = h2.with(GET, { "content-length", "5" }),
  }) do
    it("with " .. name .. " is malformed: its stream is reset, the application told of nothing else", function()
      open()
      server:receive(h2.headers(1, fields, true))
      assert.equal(("reset:1(0x%x)"):format(code.MESSAGE_ERROR), h2.story(server))
      local frames = h2.frames(server:send())
      assert.equal(PROTOCOL_ERROR, h2.error_of(h2.of_type(frames, "rst_stream")[1]))
      assert.equal(1, server:stats().malformed)
      server:receive(h2.headers(3, GET, true))
      assert.equal("headers:3(fin) finished:3", h2.story(server))
    end)
  end
end)

describe("a body", function()
  it("longer than its length is cut off", function()
    open()
    server:receive(h2.headers(1, h2.with(POST, { "content-length", "3" }), false))
    h2.events(server)
    server:receive(h2.data(1, "four", false))
    server:send()
    local story = h2.story(server)
    assert.is_truthy(story:find("reset:1", 1, true), story)
    assert.is_nil(story:find("data", 1, true))
    assert.equal(1, server:stats().resets_provoked)
  end)

  it("on a stream that the client has reset is an error of the connection", function()
    open()
    server:receive(h2.headers(1, POST, false) .. h2.reset(1, 8) .. h2.data(1, "late", false))
    assert.equal(STREAM_CLOSED, goaway_code())
  end)

  it("on a stream that we have reset is passed over, and its credit given back", function()
    open()
    server:receive(h2.headers(1, POST, false))
    h2.events(server)
    server:cancel(1, code.REQUEST_CANCELLED)
    server:send()
    for _ = 1, 100 do
      server:receive(h2.data(1, ("x"):rep(16000), false))
      server:send()
    end
    assert.is_false(server:is_over())
    assert.equal("", h2.story(server))
  end)

  it("past the window is an error", function()
    open()
    server:receive(h2.headers(1, POST, false))
    for _ = 1, 10 do server:receive(h2.data(1, ("x"):rep(16384), false)) end
    server:send()
    local story = h2.story(server)
    assert.is_truthy(story:find("reset:1", 1, true) or story:find("closed", 1, true), story)
    assert.is_true(select(2, server:memory()) < MEBIBYTE)
  end)
end)

describe("a connection", function()
  it("with another preface than HTTP/2's is closed", function()
    server = h2.server()
    server:receive("GET / HTTP/1.1\r\nhost: localhost\r\n\r\n")
    assert.equal(PROTOCOL_ERROR, goaway_code())
    assert.is_true(server:is_over())
    assert.is_nil((server:receive("more")))
  end)

  it("whose preface does not come is closed after header_timeout", function()
    server = h2.server({ header_timeout = 3e9 })
    server:receive(h2.PREFACE:sub(1, 10))
    server:pass(2.9)
    assert.is_false(server:is_over())
    server:pass(0.2)
    assert.equal(SETTINGS_TIMEOUT, goaway_code())
  end)

  it("of a client that never acknowledges our settings is closed", function()
    server = h2.server({ header_timeout = 3e9 })
    server:receive(h2.PREFACE .. h2.settings())
    server:pass(3)
    assert.equal(SETTINGS_TIMEOUT, goaway_code())
  end)

  it("has no push: a server's promise is an error", function()
    local client = h2.client()
    client:send()
    client:receive(h2.settings() .. h2.SETTINGS_ACK)
    client:send_request(GET, false)
    client:send()
    client:receive(frame("push_promise", h2.END_HEADERS, 1, h2.number(2, 4) .. h2.block(GET)))
    client:send()
    assert.is_true(client:is_over())
    client:free()
  end)

  it("survives bytes that are wrong anywhere, and gives all memory back", function()
    local client = h2.pair()
    client:send_request(h2.with(POST, { "cookie", "a" }, { "cookie", "b" }, { "content-length", "300" }), false)
    client:send_body(1, ("x"):rep(300), false)
    client:send_trailers(1, { { "x-sum", "1" } })
    client:send_request(GET, true)
    local good = client:send() .. h2.window_update(1, 5) .. frame("ping", 0, 0, ("p"):rep(8)) .. h2.reset(3, 8) ..
      frame("priority", 0, 5, "\0\0\0\3\5") .. h2.settings({ { 4, 10 } }) .. frame("goaway", 0, 0, ("\0"):rep(8))
    client:free()
    local seed = 1
    local function draw(most)
      seed = (seed * 16807) % 2147483647
      return seed % most + 1
    end
    for _ = 1, 2000 do
      local bytes = good
      for _ = 1, draw(4) do
        local at = draw(#bytes)
        local kind = draw(3)
        if kind == 1 then
          bytes = bytes:sub(1, at - 1) .. string.char(draw(256) - 1) .. bytes:sub(at + 1)
        elseif kind == 2 then
          bytes = bytes:sub(1, at - 1) .. bytes:sub(at + draw(20))
        else
          bytes = bytes:sub(1, at) .. bytes:sub(draw(#bytes))
        end
      end
      open()
      local at = 1
      while at <= #bytes and not server:is_over() do
        local part = draw(200)
        server:receive(bytes:sub(at, at + part - 1))
        at = at + part
        for _, event in ipairs((h2.events(server))) do
          if event.type == "headers" then server:send_response(event.stream, OK, false) end
          if event.type == "finished" then server:send_body(event.stream, ("y"):rep(1000), true) end
          if event.type == "reset" or event.type == "stopped" then server:cancel(event.stream, code.NO_ERROR) end
        end
        server:send(draw(500))
      end
      server:end_of_input()
      h2.events(server)
      assert.equal(0, server:free())
      server = nil
    end
  end)
end)
