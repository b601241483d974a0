local net = require("support.quic_net")

local MS = net.MS

local AGAIN, STREAM_STATE, STREAM_LIMIT, RESET, STOPPED = -1, -8, -9, -10, -11

local function sorted(ids)
  table.sort(ids)
  return ids
end

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

  it("are sent by urgency, and of one in the order of their IDs unless they take turns", function()
    local p = net.pair({ delay = 50 * MS }):handshake()
    local data, done = ("x"):rep(100000), {}
    local ids = {}
    for n = 1, 5 do ids[n] = p.server:open(false) end
    assert.equal(0, p.server:set_priority(ids[5], 1, false))
    for _, n in ipairs { 4, 3, 2 } do assert.equal(0, p.server:set_priority(ids[n], 3, false)) end
    assert.equal(0, p.server:set_priority(ids[1], 7, true))
    for n = 1, 5 do assert.equal(100000, p.server:stream_send(ids[n], data, true)) end
    p:run(function()
      local id = p.client:readable_next()
      while id do
        local bytes, fin = p.client:stream_recv(id)
        while bytes and not fin do bytes, fin = p.client:stream_recv(id) end
        if bytes then done[#done + 1] = id end
        id = p.client:readable_next()
      end
      return #done == 5
    end)
    assert.same({ ids[5], ids[2], ids[3], ids[4], ids[1] }, done)
    assert.equal(STREAM_STATE, p.client:set_priority(400, 1, true))
    assert.equal(-3, p.client:set_priority(0, 8, true))
    p:free()
  end)

  it("are listed while they can be read or written, and nothing changes by that", function()
    local p = net.pair({ client = { send_buffer = 10000 } }):handshake()
    local a, b = p.client:open(true), p.client:open(true)
    assert.equal(10000, p.client:stream_send(a, ("x"):rep(50000), false))
    p.client:stream_send(b, "x", false)
    assert.same({ b }, p.client:writable())
    p:settle(200 * MS)
    for _ = 1, 2 do assert.same({ a, b }, sorted(p.server:readable())) end
    assert.same({ a, b }, sorted(p.client:writable()))
    assert.equal(a, p.client:writable_next())
    while p.server:stream_recv(a) do
    end
    assert.same({ b }, p.server:readable())
    p:free()
  end)

  it("have a mark of their own for when they are told as writable", function()
    local p = net.pair({ delay = 50 * MS }):handshake()
    local id = p.client:open(true)
    assert.equal(0, p.client:set_low_water(id, 200000))
    local taken = p.client:stream_send(id, ("x"):rep(500000), false)
    p:run(function() return p.client:writable_next() == id end)
    assert.is_true(p.client:stream_send(id, ("x"):rep(500000 - taken), false) >= 200000)
    assert.equal(STREAM_STATE, p.client:set_low_water(400, 1))
    p:free()
  end)

  it("hold no more in all than the connection may", function()
    local p = net.pair({ client = { max_send_buffer = 20000 } }):handshake()
    local a, b = p.client:open(true), p.client:open(true)
    assert.equal(20000, p.client:stream_send(a, ("x"):rep(50000), false))
    assert.equal(2048, p.client:stream_send(b, ("x"):rep(50000), false))
    p:settle(300 * MS)
    assert.same({ a, b }, sorted(p.client:writable()))
    p:free()
  end)

  it("are counted, by both", function()
    local p = net.pair({ server = { initial_max_streams_bidi = 2, initial_max_stream_data_bidi_remote = 1000,
      initial_max_data = 1500 } }):handshake()
    local a, b = p.client:open(true), p.client:open(true)
    p.client:open(true)
    p.client:stream_send(a, ("x"):rep(2000), false)
    p.client:stream_send(b, ("x"):rep(2000), false)
    p:settle(200 * MS)
    p.client:shutdown(a, true, 1)
    p.server:shutdown(b, false, 1)
    p:settle(200 * MS)
    local client, server = p.client:stream_counters(), p.server:stream_counters()
    for _, name in ipairs { "data_blocked", "stream_data_blocked", "streams_blocked" } do
      assert.equal(1, client[name .. "_sent"], name)
      assert.equal(1, server[name .. "_received"], name)
    end
    assert.same({ 2, 2 }, { client.resets_sent, server.resets_received })
    assert.same({ 1, 1 }, { client.stops_received, server.stops_sent })
    p.client:close(true, 0, "")
    assert.equal(2, p.client:stream_counters().resets_sent)
    p:free()
  end)

  it("are reset behind bytes that come nonetheless, whatever is lost", function()
    for seed = 1, 5 do
      local p = net.pair({ seed = seed, loss = 0.2, delay = 20 * MS }):handshake()
      local id = p.client:open(false)
      local data = ("0123456789"):rep(3000)
      assert.equal(30000, p.client:stream_send(id, data, false))
      p:settle(30 * MS)
      assert.equal(0, p.client:reset_at(id, 42, 25000))
      assert.equal(-3, p.client:reset_at(id, 42, 25001))
      local got, code = {}, nil
      assert.is_true(p:run(function()
        local bytes, error = p.server:stream_recv(id)
        if bytes then got[#got + 1] = bytes end
        code = not bytes and error or nil
        return code == RESET
      end, 30000 * MS))
      local text = table.concat(got)
      assert.is_true(#text >= 25000)
      assert.equal(data:sub(1, #text), text)
      p:settle(2000 * MS)
      p:free()
    end
  end)

  it("are reset so only where the peer takes that, who would be told an unknown frame", function()
    local p = net.pair({ server = { reset_stream_at = 0 } }):handshake()
    local id = p.client:open(false)
    p.client:stream_send(id, "x", false)
    assert.equal(-14, p.client:reset_at(id, 1))
    p:inject("client", net.APPLICATION, net.bytes(0x24, id, 1, 1, 1))
    assert.same({ "local", 0x07 }, { p.server:info().by, p.server:info().code })
    p:free()
    p = net.pair({ client = { reset_stream_at = 0 } }):handshake()
    id = p.client:open(false)
    p.client:stream_send(id, "x", false)
    assert.equal(0, p.client:reset_at(id, 1))
    p:settle()
    assert.same({ "x", false }, { p.server:stream_recv(id) })
    assert.same({ nil, RESET }, { p.server:stream_recv(id) })
    p:free()
  end)
end)
