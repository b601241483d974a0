local net = require("support.quic_net")

local MS = net.MS

local AGAIN, STREAM_STATE, STREAM_LIMIT, RESET, STOPPED = -1, -8, -9, -10, -11

describe("the verbs on streams", function()
  it("open none before the peer's limits are known, and none above them", function()
    local p = net.pair({ server = { initial_max_streams_bidi = 2 } })
    assert.same({ nil, STREAM_LIMIT }, { p.client:open(true) })
    p:handshake()
    assert.equal(0, p.client:open(true))
    assert.equal(4, p.client:open(true))
    assert.same({ nil, STREAM_LIMIT }, { p.client:open(true) })
    assert.equal(2, p.client:open(false))
    p:free()
  end)

  it("report a stream as readable once, and give its bytes and its end", function()
    local p = net.pair():handshake()
    local id = p.client:open(true)
    p.client:stream_send(id, "hello", true)
    p:settle(100 * MS)
    assert.equal(id, p.server:readable_next())
    assert.is_nil((p.server:readable_next()))
    assert.same({ "hello", true }, { p.server:stream_recv(id) })
    assert.is_nil((p.server:stream_recv(id)))
    p:free()
  end)

  it("tell of a reset and of its code's arrival", function()
    local p = net.pair():handshake()
    local id = p.client:open(true)
    p.client:stream_send(id, "hello", false)
    p:settle(100 * MS)
    assert.equal(0, p.client:shutdown(id, true, 42))
    p:settle(100 * MS)
    while p.server:readable_next() do
    end
    assert.same({ nil, RESET }, { p.server:stream_recv(id) })
    p:free()
  end)

  it("tell a sender that the other side has enough", function()
    local p = net.pair():handshake()
    local id = p.client:open(true)
    p.client:stream_send(id, "hello", false)
    p:settle(100 * MS)
    assert.equal(0, p.server:shutdown(id, false, 7))
    p:settle(100 * MS)
    assert.equal(id, p.client:writable_next())
    assert.same({ nil, STOPPED }, { p.client:stream_send(id, "more", false) })
    p:free()
  end)

  it("take no more than flow control and the send buffer, and say when there is room again", function()
    local p = net.pair({ client = { send_buffer = 10000 } }):handshake()
    local id = p.client:open(false)
    assert.equal(10000, p.client:stream_send(id, ("x"):rep(50000), true))
    assert.same({ nil, AGAIN }, { p.client:stream_send(id, "x", false) })
    assert.is_nil((p.client:writable_next()))
    p:settle(200 * MS)
    assert.equal(id, p.client:writable_next())
    assert.equal(10000, p.client:stream_send(id, ("x"):rep(40000), true))
    p:free()
  end)

  it("may hold twice the congestion window while somebody sends, and what was chosen where it was", function()
    local function most_in_flight(options)
      local p = net.pair({ delay = 50 * MS, server = options }):handshake()
      local data, most, run = ("neap"):rep(1000000), 0, p.run
      function p:run(done, limit)
        return run(self, function(x)
          most = math.max(most, p.server:stats().in_flight)
          return done and done(x)
        end, limit)
      end
      assert.is_true(data == p:transfer("server", data))
      p.run = nil
      p:free()
      return most
    end
    assert.is_true(most_in_flight() > 600000)
    assert.is_true(most_in_flight({ send_buffer = 262144 }) < 300000)
  end)

  it("hold their part of it each, and the least that there is", function()
    local p = net.pair({ delay = 50 * MS }):handshake()
    assert(p:transfer("server", ("neap"):rep(1000000)))
    local window = p.server:stats().window
    assert.is_true(window > 600000, window)
    local ids = {}
    for n = 1, 20 do
      ids[n] = p.server:open(false)
      p.server:stream_send(ids[n], "x", false)
    end
    p:settle(1000 * MS)
    for n = 1, 20 do
      assert.equal(262144, p.server:stream_send(ids[n], ("x"):rep(300000), false))
    end
    p:free()
  end)

  it("refuse streams that are not there and codes that the wire cannot carry", function()
    local p = net.pair():handshake()
    assert.same({ nil, STREAM_STATE }, { p.client:stream_send(400, "x", false) })
    assert.same({ nil, STREAM_STATE }, { p.client:stream_recv(400) })
    local id = p.client:open(true)
    assert.equal(-3, p.client:shutdown(id, true, 2 ^ 62))
    p:free()
  end)

  it("get new ones with the packet that ends the old ones: as many exchanges a round trip as may be open", function()
    local p = net.pair({ delay = 50 * MS, server = { initial_max_streams_bidi = 10 } }):handshake()
    local begun, ended, started = 0, 0, p.now
    local function exchange()
      local id = p.server:readable_next()
      while id do
        if p.server:stream_recv(id) then p.server:stream_send(id, ("y"):rep(30), true) end
        id = p.server:readable_next()
      end
      id = p.client:readable_next()
      while id do
        local _, fin = p.client:stream_recv(id)
        if fin then ended = ended + 1 end
        id = p.client:readable_next()
      end
      id = begun < 200 and p.client:open(true)
      while id do
        begun = begun + 1
        p.client:stream_send(id, ("x"):rep(30), true)
        id = begun < 200 and p.client:open(true)
      end
      return ended == 200
    end
    assert.is_true(p:run(exchange, 60000 * MS))
    assert.is_true(p.now - started <= 21 * 100 * MS, (p.now - started) / MS)
    p:free()
  end)

  it("get limits that grow as streams end", function()
    local p = net.pair({ server = { initial_max_streams_uni = 2 } }):handshake()
    for i = 1, 40 do
      assert.equal("x", (p:transfer("client", "x")), i)
      p:settle(100 * MS)
    end
    p:free()
  end)
end)
