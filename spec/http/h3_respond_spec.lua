local exchange = require("spec.http.exchange")

local code, err = exchange.code, exchange.err
local headers, data, with = exchange.headers, exchange.data, exchange.with
local GET, POST, OK = exchange.GET, exchange.POST, exchange.OK
local HEAD = with({ { ":method", "HEAD" } }, GET[2], GET[3], GET[4])

local function refused(expected, ...) assert.same({ nil, expected }, { ... }) end

--- A client played by the spec, with a request that the server was told.
local function asked(fields, options)
  local peer = exchange.peer("client", options)
  local id = peer:bidi(headers(fields or GET), true)
  peer.pair:run()
  exchange.events(peer.pair, "server")
  return peer, id
end

--- Another request of the same client.
local function ask(peer, fields)
  local id = peer:bidi(headers(fields or GET), true)
  peer.pair:run()
  exchange.events(peer.pair, "server")
  return id
end

describe("neap_h3_respond", function()
  it("sends fields, body and end", function()
    local peer, id = asked()
    local fields = with(OK, { "content-length", "5" }, { "x-large", ("v"):rep(3000) })
    assert.equal(5, peer.pair:respond_whole(id, fields, "hello"))
    peer.pair:run()
    assert.same({ headers(fields) .. data("hello"), true }, { peer:received(id) })
    assert.equal(0, peer.pair:open_requests("server"))
    peer:free()
  end)

  it("sends the same however often it is said", function()
    local peer, id = asked()
    for i = 1, 6 do
      local body = i % 2 == 0 and "hello" or ""
      local fields = with(OK, { "content-type", "text/plain" })
      assert.equal(#body, peer.pair:respond_whole(id, fields, body))
      peer.pair:run()
      assert.same({ headers(fields) .. (body == "" and "" or data(body)), true }, { peer:received(id) })
      id = ask(peer)
    end
    peer:free()
  end)

  it("says how much of a body fits, and goes on behind it", function()
    local peer, id = asked()
    local body = ("x"):rep(300000)
    local taken = peer.pair:respond_whole(id, with(OK, { "content-length", "300000" }), body)
    assert.is_true(taken > 250000 and taken < 262144, taken)
    refused(err.AGAIN, peer.pair:send_body("server", id, body:sub(taken + 1), true))
    local came = ""
    for _ = 1, 20 do
      peer.pair:run()
      local part = peer:received(id)
      came = came .. (part or "")
      for _, event in ipairs((exchange.events(peer.pair, "server"))) do
        if event.type == "writable" then
          local more = assert(peer.pair:send_body("server", id, body:sub(taken + 1), true))
          taken = taken + more
        end
      end
    end
    assert.equal(300000, taken)
    assert.is_true(#came > 300000)
    assert.equal(0, peer.pair:open_requests("server"))
    peer:free()
  end)

  it("refuses a body of another size than content-length, and can be said again", function()
    local peer, id = asked()
    for _, size in ipairs({ 0, 4, 6 }) do
      refused(err.ARGUMENT, peer.pair:respond_whole(id, with(OK, { "content-length", "5" }), ("x"):rep(size)))
    end
    refused(err.ARGUMENT, peer.pair:respond_whole(id, { { ":status", "100" } }, ""))
    refused(err.ARGUMENT, peer.pair:respond_whole(id, with(OK, { "Upper", "case" }), ""))
    refused(err.ARGUMENT, peer.pair:respond_whole(id, { { ":status", "204" }, { "content-length", "0" } }, ""))
    assert.equal(5, peer.pair:respond_whole(id, with(OK, { "content-length", "5" }), "hello"))
    peer.pair:run()
    assert.same({ headers(with(OK, { "content-length", "5" })) .. data("hello"), true }, { peer:received(id) })
    peer:free()
  end)

  it("takes the body of a response without content, and does not send it", function()
    local peer, id = asked(HEAD)
    local fields = with(OK, { "content-length", "5" })
    assert.equal(5, peer.pair:respond_whole(id, fields, "hello"))
    peer.pair:run()
    assert.same({ headers(fields), true }, { peer:received(id) })
    id = ask(peer)
    assert.equal(5, peer.pair:respond_whole(id, { { ":status", "304" } }, "hello"))
    peer.pair:run()
    assert.same({ headers({ { ":status", "304" } }), true }, { peer:received(id) })
    peer:free()
  end)

  it("keeps to the size of fields that the peer takes", function()
    local fields = with(OK, { "x", ("v"):rep(100) })
    local peer, id = asked(nil, { settings = { { 6, 150 } } })
    for _ = 1, 3 do
      refused(err.LIMIT, peer.pair:respond_whole(id, fields, ""))
      id = ask(peer)
    end
    peer:free()
  end)

  it("is refused where there is nothing to answer", function()
    local peer, id = asked()
    refused(err.STREAM_STATE, peer.pair:respond_whole(400, OK, "x"))
    assert.equal(1, peer.pair:respond_whole(id, OK, "x"))
    refused(err.STREAM_STATE, peer.pair:respond_whole(id, OK, "x"))
    local stopped = peer:bidi(headers(POST))
    peer.pair:run()
    exchange.events(peer.pair, "server")
    peer.pair:shutdown("client", stopped, "read", code.REQUEST_CANCELLED)
    peer.pair:run()
    exchange.events(peer.pair, "server")
    refused(err.STOPPED, peer.pair:respond_whole(stopped, OK, "x"))
    peer:free()
  end)
end)

describe("neap_h3_request", function()
  it("sends fields, body and end, the same however often", function()
    local peer = exchange.peer("server")
    for i = 1, 6 do
      local body = i % 2 == 0 and "hello" or ""
      local fields = with(POST, { "content-length", tostring(#body) })
      local id, taken = peer.pair:request_whole(fields, body)
      assert.equal(#body, taken)
      peer.pair:run()
      assert.same({ headers(fields) .. (body == "" and "" or data(body)), true }, { peer:received(id) })
    end
    peer:free()
  end)

  it("says how much of a body fits, and goes on behind it", function()
    local pair = exchange.pair()
    exchange.events(pair, "client")
    local body = ("x"):rep(300000)
    local id, taken = pair:request_whole(with(POST, { "content-length", "300000" }), body)
    assert.is_true(taken > 250000 and taken < 262144, taken)
    local size = 0
    for _ = 1, 20 do
      pair:run()
      for _, event in ipairs((exchange.events(pair, "server"))) do size = size + #(event.body or "") end
      for _, event in ipairs((exchange.events(pair, "client"))) do
        if event.type == "writable" then
          taken = taken + assert(pair:send_body("client", id, body:sub(taken + 1), true))
        end
      end
    end
    assert.equal(300000, taken)
    assert.equal(300000, size)
    pair:free()
  end)

  it("refuses a body of another size than content-length, and what neap_h3_send_request refuses", function()
    local pair = exchange.pair()
    for _, size in ipairs({ 0, 4, 6 }) do
      refused(err.ARGUMENT, pair:request_whole(with(POST, { "content-length", "5" }), ("x"):rep(size)))
    end
    refused(err.ARGUMENT, pair:request_whole(OK, ""))
    assert.equal(0, pair:open_requests("client"))
    pair:free()
  end)
end)
