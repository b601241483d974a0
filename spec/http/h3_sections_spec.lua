--- Field sections that do not arrive whole: bounded in time and in sum.
local exchange = require("spec.http.exchange")

local code = exchange.code
local frame, headers, data, with = exchange.frame, exchange.headers, exchange.data, exchange.with
local GET, POST, OK = exchange.GET, exchange.POST, exchange.OK

describe("a request whose header section does not arrive whole", function()
  it("is given up after ten seconds, others are not", function()
    for _, bytes in ipairs({ "", "\1", headers(GET):sub(1, 9), frame(0x21, "x") }) do
      local peer = exchange.peer("client")
      local pair = peer.pair
      local slow = peer:bidi(bytes == "" and "\64" or bytes)
      pair:run(9)
      assert.equal("", exchange.story(pair, "server"))
      local late = peer:bidi(headers(POST))
      assert.equal("headers", peer.last[1].type)
      pair:run(1.5)
      assert.equal("reset:0(0x10d)", exchange.story(pair, "server"))
      assert.equal(1, (pair:counts("server")).sections_late)
      -- A frame that nobody knows is in vain as well.
      assert.equal(bytes == frame(0x21, "x") and 2 or 1, select(2, pair:counts("server")).glitches)
      pair:run()
      assert.equal(code.REQUEST_INCOMPLETE, select(3, peer:received(slow)))
      pair:run(15)
      assert.equal("", exchange.story(pair, "server"))
      assert.equal(0, pair:respond(late, OK, true))
      assert.is_nil((peer:close_code()))
      peer:free()
    end
  end)

  it("holds memory within one bound for the connection", function()
    local peer = exchange.peer("client")
    local pair = peer.pair
    exchange.events(pair, "server")
    local before = pair:memory("server")
    local rejected = 0
    for _ = 1, 20 do
      local id = pair:open("client", true)
      peer:send(id, frame(1, ("x"):rep(60000), 65000))
      for _, event in ipairs(peer.last or {}) do
        if event.type == "reset" then
          assert.equal(code.REQUEST_REJECTED, event.code)
          rejected = rejected + 1
        end
      end
    end
    assert.is_true(rejected >= 15, rejected)
    assert.equal(rejected, (pair:counts("server")).sections_partial)
    local held = select(2, pair:counts("server")).partial_bytes
    assert.is_true(held > 200000 and held <= 262144, held)
    assert.is_true(pair:memory("server") - before < 600000, pair:memory("server") - before)
    assert.is_nil((peer:close_code()))
    -- The bound is free again when they are given up.
    pair:run(10.1)
    exchange.events(pair, "server")
    assert.equal(20 - rejected, (pair:counts("server")).sections_late)
    assert.equal(0, select(2, pair:counts("server")).partial_bytes)
    local id = pair:open("client", true)
    peer:send(id, headers(with(GET, { "x", ("y"):rep(30000) })), true)
    assert.equal("headers", peer.last[1].type)
    peer:free()
  end)
end)

describe("a response section that does not arrive whole", function()
  it("is its client's to wait for", function()
    local peer = exchange.peer("server")
    local pair = peer.pair
    local id = pair:request(GET, true)
    pair:run()
    peer:send(id, headers(OK):sub(1, 3))
    pair:run(20)
    assert.equal("", exchange.story(pair, "client"))
    peer:free()
  end)
end)

describe("trailers that do not arrive whole", function()
  it("are given up after ten seconds, also when only their frame has begun", function()
    local peer = exchange.peer("client")
    local pair = peer.pair
    peer:bidi(headers(POST) .. data("x") .. "\1\50")
    pair:run(10.1)
    assert.equal("reset:0(0x10d)", exchange.story(pair, "server"))
    peer:free()
  end)

  it("are given up after ten seconds", function()
    local peer = exchange.peer("client")
    local pair = peer.pair
    local id = peer:bidi(headers(POST) .. data("x"))
    pair:run(20)
    assert.equal("", exchange.story(pair, "server"))
    peer:send(id, headers({ { "a", ("b"):rep(30) } }):sub(1, 6))
    pair:run(9.9)
    assert.equal("", exchange.story(pair, "server"))
    pair:run(0.2)
    assert.equal("reset:0(0x10d)", exchange.story(pair, "server"))
    peer:free()
  end)
end)

describe("HTTP/3 on a connection", function()
  it("tells once that it is established, and once that it is over", function()
    local pair = exchange.pair()
    assert.equal("established", pair:poll("server").type)
    exchange.events(pair, "server")
    pair:close("client", 0x107)
    pair:run()
    local event = pair:poll("server")
    assert.same({ "closed", 0x107 }, { event.type, event.code })
    assert.same({ nil, exchange.err.CLOSED }, { pair:poll("server") })
    pair:free()
  end)

  it("is alone on it, and the last", function()
    local pair = exchange.pair()
    assert.is_true(pair:is_alone("client"))
    pair:free_h3("client")
    assert.has_error(function() pair:h3("client") end)
    pair:free()
  end)

  it("has the pointers of requests also when the connection is over", function()
    local pair = exchange.pair()
    local id = pair:request(GET, true)
    pair:mark("client", id, 7)
    pair:close("server", 0x107)
    pair:run()
    exchange.events(pair, "client")
    assert.equal(7, pair:mark("client", id))
    pair:free()
  end)

  it("holds the peer's streams before it has seen them", function()
    local peer = exchange.peer("client")
    local pair = peer.pair
    local id = pair:open("client", true)
    pair:send("client", id, headers(GET), true)
    pair:run()
    assert.same({ nil, exchange.err.STREAM_STATE }, { pair:recv("server", id) })
    assert.same({ nil, exchange.err.STREAM_STATE }, { pair:shutdown("server", peer.control, "read", 1) })
    assert.equal("headers:0 finished:0", exchange.story(pair, "server"))
    peer:free()
  end)

  it("holds its streams: raw bytes are refused there", function()
    local pair = exchange.pair()
    local id = pair:request(POST, false)
    local STATE = exchange.err.STREAM_STATE
    assert.same({ nil, STATE }, { pair:send("client", id, "raw", false) })
    assert.same({ nil, STATE }, { pair:shutdown("client", id, "write", 1) })
    assert.same({ nil, STATE }, { pair:send("client", 2, "on the control stream", false) })
    assert.is_true(pair:send("client", pair:open("client", false), "\33 ours", true) > 0)
    pair:run()
    assert.equal("headers:0", exchange.story(pair, "server"))
    assert.is_nil((pair:closed("server")))
    pair:free()
  end)

  it("keeps a pointer for a request as long as that lives", function()
    local pair = exchange.pair()
    local id = pair:request(GET, true)
    assert.equal(0, pair:mark("client", id, 7))
    assert.equal(7, pair:mark("client", id, 8))
    assert.equal(8, pair:mark("client", id))
    local other = pair:request(GET, true)
    pair:mark("client", other, 9)
    pair:run()
    exchange.events(pair, "server")
    assert.equal(0, pair:respond(other, OK, true))
    pair:run()
    local last
    for event in function() return (pair:poll("client")) end do last = event end
    assert.same({ "finished", 9 }, { last.type, last.user })
    assert.equal(0, pair:mark("client", id + 4))
    assert.same({ nil, exchange.err.STREAM_STATE }, { pair:mark("client", id + 4, 1) })
    pair:cancel("client", id, code.REQUEST_CANCELLED)
    assert.equal(0, pair:mark("client", id))
    pair:free()
  end)

  it("takes no request before the handshake is complete", function()
    local units = require("neap.units")
    local certificate, key = units.http_pair.certificate()
    local pair = units.http_pair.new({ certificate = certificate, key = key, seed = 5 })
    pair:h3("client")
    assert.same({ nil, exchange.err.AGAIN }, { pair:request(GET, true) })
    pair:run()
    assert.is_not_nil((pair:request(GET, true)))
    pair:free()
  end)
end)
