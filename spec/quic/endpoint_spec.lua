local net = require("support.quic_net")

local quic, MS = net.quic, net.MS
local bytes = net.bytes
local units = require("neap.units")
local certificates, crypto = units.certificates, units.crypto

local SERVER = net.SERVER

--- A server endpoint, and clients that are connections of their own, each at its own address. options.prepare gets both
--- configs first.
local function world(options)
  options = options or {}
  local self = { now = 1000 * MS, clients = {}, out = {} }
  self.config = net.config(options.server, options.seed or 11, true)
  self.client_config = net.config(options.client, 12)
  if options.prepare then options.prepare(self.config, self.client_config) end
  self.endpoint = assert(quic.endpoint(self.config, true))

  function self.client(index)
    local address = ("198.51.100.%d:%d"):format(index % 250 + 1, 1000 + index)
    local conn = assert(quic.client(self.client_config, "localhost", address, SERVER, self.now))
    self.clients[address] = conn
    return conn, address
  end

  --- Give the endpoint a datagram.
  function self.give(datagram, from, segment)
    assert.equal(0, self.endpoint:recv(datagram, from or "203.0.113.1:9", SERVER, self.now, segment))
  end

  --- Everything that the endpoint sends, to its clients; what is for others is kept in self.out.
  function self.flush(room)
    for _ = 1, 100000 do
      local train, segment, to = self.endpoint:send(self.now, room or 65536)
      if not train then return end
      for at = 1, #train, segment do
        local datagram = train:sub(at, math.min(at + segment - 1, #train))
        if self.clients[to] then
          self.clients[to]:recv(datagram, self.now)
        else
          table.insert(self.out, { to = to, bytes = datagram })
        end
      end
    end
    error("the endpoint sends without end")
  end

  function self.round()
    for address, conn in pairs(self.clients) do
      for _ = 1, 100 do
        local datagram = conn:send(self.now)
        if not datagram then break end
        self.give(datagram, address)
      end
    end
    self.flush()
  end

  --- Exchange for `rounds` round trips of 10 ms, timers included.
  function self.run(rounds)
    for _ = 1, rounds or 10 do
      self.round()
      self.now = self.now + 10 * MS
      for _, conn in pairs(self.clients) do
        if (conn:timeout() or math.huge) <= self.now then conn:on_timeout(self.now) end
      end
    end
  end

  function self.free()
    for _, conn in pairs(self.clients) do
      conn:free()
    end
    self.endpoint:free()
    self.config:free()
    self.client_config:free()
    assert.equal(0, self.config:memory().live)
    assert.equal(0, self.client_config:memory().live)
  end
  return self
end

local function first_initial(w, index)
  local conn, address = w.client(index)
  return conn:send(w.now), address, conn
end

describe("an endpoint", function()
  it("accepts many connections and tells of each when something is new", function()
    local w = world()
    for i = 1, 20 do
      w.client(i)
    end
    w.run(10)
    local seen = {}
    while true do
      local conn = w.endpoint:next()
      if not conn then break end
      assert.is_true(conn:info().confirmed)
      table.insert(seen, conn)
    end
    assert.equal(20, #seen)
    assert.equal(20, w.endpoint:stats().accepted)
    assert.equal(0, w.endpoint:stats().half_open)
    w.run(2)
    while w.endpoint:next() do
    end
    assert.is_nil((w.endpoint:next()))
    local conn = next(w.clients) and w.clients[next(w.clients)]
    local id = conn:open(true)
    conn:stream_send(id, "hello", true)
    w.run(1)
    local server = w.endpoint:next()
    assert.is_truthy(server)
    assert.equal(id, server:readable_next())
    assert.equal("hello", (server:stream_recv(id)))
    assert.is_nil((w.endpoint:next()))
    -- What the application says is sent when it is told of.
    server:stream_send(id, "world", true)
    w.endpoint:touch(server)
    w.run(1)
    assert.equal("world", (conn:stream_recv(id)))
    w.free()
  end)

  it("takes trains of datagrams apart", function()
    local w = world()
    local conn, address = w.client(1)
    w.run(10)
    local id = conn:open(false)
    conn:stream_send(id, ("x"):rep(9000), true)
    local train, segment = conn:burst(w.now)
    assert.is_true(#train > 3 * segment)
    w.give(train, address, segment)
    local server = w.endpoint:next()
    local got = ""
    while true do
      local data, fin = server:stream_recv(id)
      if not data then break end
      got = got .. data
      if fin then break end
    end
    assert.equal(("x"):rep(9000), got)
    w.free()
  end)

  it("goes on behind datagrams of a train that are forged, nobody's, or another connection's", function()
    local w = world()
    local conn, address = w.client(1)
    local other = w.client(2)
    w.run(10)
    local id, other_id = conn:open(false), other:open(false)
    conn:stream_send(id, ("x"):rep(9000), true)
    other:stream_send(other_id, ("y"):rep(9000), true)
    local train, segment = conn:burst(w.now)
    local their_train, their_segment = other:burst(w.now)
    assert.equal(segment, their_segment)
    local piece = {}
    for at = 1, #train, segment do piece[#piece + 1] = train:sub(at, at + segment - 1) end
    local forged = piece[2]:sub(1, -2) .. string.char((piece[2]:byte(-1) + 1) % 256)
    local mixed = { piece[1], forged, piece[2], ("@"):rep(segment), their_train:sub(1, segment), piece[3],
      their_train:sub(segment + 1, 2 * segment) }
    for i = 4, #piece do mixed[#mixed + 1] = piece[i] end
    local dropped = 0
    for _ = 1, 2 do dropped = dropped - w.endpoint:next():stats().packets_dropped end
    local before = w.endpoint:stats()
    w.give(table.concat(mixed), address, segment)
    local after = w.endpoint:stats()
    assert.equal(#mixed, after.udp_datagrams_received - before.udp_datagrams_received)
    assert.equal(1, after.udp_datagrams_dropped - before.udp_datagrams_dropped)
    local got = {}
    for _ = 1, 2 do
      local server = w.endpoint:next()
      local data = server:stream_recv(id)
      got[data:sub(1, 1)] = data
      dropped = dropped + server:stats().packets_dropped
      if data:byte() == ("x"):byte() then
        local more = server:stream_recv(id)
        while more and #more > 0 do
          got.x = got.x .. more
          more = server:stream_recv(id)
        end
      end
    end
    assert.equal(("x"):rep(9000), got.x)
    assert.is_true(#got.y > segment)
    assert.equal(1, dropped)
    w.free()
  end)

  it("unmasks the header of each datagram of a train once, and runs of one connection together", function()
    local w = world()
    local trains, segment = {}, nil
    local first, address = w.client(1)
    local conns = { first, (w.client(2)) }
    w.run(10)
    for i, conn in ipairs(conns) do
      conn:stream_send(conn:open(false), ("x"):rep(20000), true)
      local train
      train, segment = conn:burst(w.now)
      trains[i] = {}
      for at = 1, #train - segment + 1, segment do table.insert(trains[i], train:sub(at, at + segment - 1)) end
    end
    local count = math.min(#trains[1], #trains[2])
    assert.is_true(count >= 8)
    --- How many masks, in how many calls, the server makes for the datagrams of the order as one train.
    local function masks(order)
      local pieces = {}
      for i, which in ipairs(order) do pieces[i] = table.remove(trains[which], 1) end
      local made, calls = w.config:masks()
      w.give(table.concat(pieces), address, segment)
      local made_now, calls_now = w.config:masks()
      return made_now - made, calls_now - calls
    end
    assert.same({ 6, 6 }, { masks({ 1, 2, 1, 2, 1, 2 }) })
    assert.same({ 6, 4 }, { masks({ 1, 1, 2, 1, 2, 2 }) })
    assert.same({ 2, 1 }, { masks({ 1, 1 }) })
    w.free()
  end)

  it("gives connections turns while they send", function()
    local w = world()
    local servers = {}
    for i = 1, 4 do
      w.client(i)
    end
    w.run(10)
    for i = 1, 4 do
      servers[i] = w.endpoint:next()
      local id = servers[i]:open(false)
      servers[i]:stream_send(id, ("x"):rep(100000), true)
      w.endpoint:touch(servers[i])
    end
    local order = {}
    for _ = 1, 4 do
      local _, _, to = w.endpoint:send(w.now, 2400)
      order[to] = (order[to] or 0) + 1
    end
    for _, count in pairs(order) do
      assert.equal(1, count)
    end
    w.free()
  end)

  it("holds what goes to one address family, and forgets nothing of it", function()
    local w = world()
    local four, six = w.client(1), "[2001:db8::7]:70"
    w.clients[six] = assert(quic.client(w.client_config, "localhost", six, SERVER, w.now))
    w.run(10)
    local servers, ids = {}, {}
    for i = 1, 2 do
      servers[i] = w.endpoint:next()
      ids[i] = servers[i]:open(false)
    end
    w.endpoint:hold(4, true)
    for i, server in ipairs(servers) do
      server:stream_send(ids[i], "tide", true)
      w.endpoint:touch(server)
    end
    w.give("\192WAIT\0\0" .. ("\0"):rep(1200)) -- an answer to IPv4 is not said at all
    local _, _, to = w.endpoint:send(w.now, 65536)
    assert.equal(six, to)
    assert.is_nil((w.endpoint:send(w.now, 65536)))
    assert.is_true(w.endpoint:timeout() > w.now)
    w.now = w.now + 200 * MS
    w.endpoint:hold(4, false)
    assert.equal(0, w.endpoint:timeout())
    w.flush()
    assert.equal("tide", (four:stream_recv(ids[1])))
    assert.equal(0, #w.out)
    w.free()
  end)

  it("holds a connection no longer whose peer moved to the other family", function()
    local w = world()
    local client, four = w.client(1)
    local six = "[2001:db8::7]:70"
    w.run(10)
    local server = w.endpoint:next()
    local id = server:open(false)
    w.endpoint:hold(4, true)
    server:stream_send(id, "tide", true)
    w.endpoint:touch(server)
    assert.is_nil((w.endpoint:send(w.now, 65536)))
    w.clients[six], w.clients[four] = client, nil
    client:ping()
    w.run(5)
    assert.equal("tide", (client:stream_recv(id)))
    w.free()
  end)

  it("ends a released connection that is held when it may speak again", function()
    local w = world()
    w.client(1)
    w.run(10)
    local server = w.endpoint:next()
    w.endpoint:hold(4, true)
    server:close(true, 5)
    w.endpoint:release(server)
    assert.is_nil((w.endpoint:send(w.now, 65536)))
    w.now = w.now + 3000 * MS
    assert.is_nil((w.endpoint:send(w.now, 65536)))
    assert.equal(1, w.endpoint:stats().connections)
    w.endpoint:hold(4, false)
    w.flush()
    assert.equal(0, w.endpoint:stats().connections)
    w.free()
  end)

  it("tells the peer of an end that is long over when the socket takes it", function()
    for _, late in ipairs({ 0, 3000, 20000 }) do -- ms between the end and the next turn
      local w = world()
      local client = w.client(1)
      w.run(10)
      local server = w.endpoint:next()
      server:close(true, 5)
      w.now = w.now + late * MS
      w.endpoint:hold(4, true)
      for _ = 1, 3 do
        assert.is_nil((w.endpoint:send(w.now, 65536)))
        w.now = w.now + 2000 * MS
      end
      assert.is_false(server:info().closed)
      w.endpoint:hold(4, false)
      w.flush()
      assert.same({ "peer", 5 }, { client:info().by, client:info().code }, late)
      w.now = w.now + 2000 * MS
      w.flush()
      assert.is_true(server:info().closed)
      w.endpoint:release(server)
      w.free()
    end
  end)

  it("looks at so many connections in one call, and says that there are more", function()
    local config = net.config(nil, 3)
    local endpoint, now = assert(quic.endpoint(config, false)), 1000 * MS
    for i = 1, 600 do
      assert(endpoint:connect("localhost", net.CLIENT, ("192.0.2.1:%d"):format(i), now))
    end
    local function calls()
      local sent, empty = 0, 0
      while true do
        local train = endpoint:send(now)
        if not train then return sent, empty end
        if train == "" then empty = empty + 1 else sent = sent + 1 end
      end
    end
    local sent, empty = calls()
    assert.equal(600, sent)
    assert.is_true(empty >= 2, empty)
    assert.equal(600, endpoint:stats().connections)
    now = now + 20000 * MS -- every handshake took too long
    sent, empty = calls()
    assert.equal(0, sent)
    assert.is_true(empty >= 600 / 256 and empty <= 600 / 64, empty)
    endpoint:free()
    config:free()
  end)

  it("has no timer but those of its connections, which rest when idle", function()
    local w = world()
    assert.is_nil((w.endpoint:timeout()))
    w.client(1)
    w.run(400)
    w.flush()
    assert.equal(0, w.endpoint:timeout()) -- the application is to look at the new connection
    while w.endpoint:next() do
    end
    assert.is_true(w.endpoint:timeout() - w.now > 20000 * MS)
    w.free()
  end)

  -- covers: rfc9000#10.2.3 rfc9000#10.2.4
  it("frees a released connection when it has drained, and knows nothing of it then", function()
    local w = world()
    local conn = w.client(1)
    w.run(10)
    local server = w.endpoint:next()
    server:close(true, 5)
    w.endpoint:release(server)
    w.run(1)
    assert.equal(5, conn:info().code)
    assert.equal(1, w.endpoint:stats().connections)
    w.now = w.now + 3000 * MS
    w.flush()
    local stats = w.endpoint:stats()
    assert.equal(0, stats.connections)
    assert.equal(0, stats.routes)
    assert.equal(0, stats.reset_routes)
    assert.is_nil((w.endpoint:next()))
    w.free()
  end)

  it("frees a released connection at once when it is closed already", function()
    local w = world()
    local _, address = w.client(1)
    w.run(10)
    local server = w.endpoint:next()
    w.clients[address]:free()
    w.clients[address] = nil
    w.now = w.now + 40000 * MS
    w.flush()
    assert.is_true(server:info().closed)
    assert.equal(1, w.endpoint:stats().connections)
    w.endpoint:release(server)
    assert.equal(0, w.endpoint:stats().connections)
    w.free()
  end)

  it("finds a connection by each of its connection IDs until it is retired", function()
    local w = world()
    local conn, address = w.client(1)
    w.run(20)
    local server = w.endpoint:next()
    local ids = server:source_ids()
    assert.equal(4, #ids)
    -- And by the one that the client invented: its first packet may come late.
    assert.equal(5, w.endpoint:stats().routes)
    local received = server:stats().packets_received
    w.give(conn:inject(net.APPLICATION, bytes(0x19, 1, 0x19, 2)), address)
    assert.equal(received + 1, server:stats().packets_received)
    w.run(10)
    -- Two went, two came.
    local now = server:source_ids()
    assert.equal(4, #now)
    assert.equal(5, w.endpoint:stats().routes)
    local known = {}
    for _, id in ipairs(now) do
      known[id] = true
    end
    assert.is_true(known[ids[1]])
    w.free()
  end)
end)

describe("a server endpoint", function()
  -- covers: rfc9000#6.1.1 rfc9000#5.2.2.3
  -- covers: rfc9000#17.2.1.7 rfc9000#15.2
  it("answers a version that it does not have once a datagram, whatever is in that, and bounds what waits", function()
    local w = world({ server = { versions = { net.V2 } } })
    local first = w.client(1):send(w.now)
    assert.equal(net.V1, quic.header(first, 8).version)
    w.give(first .. first)
    w.flush()
    assert.equal(1, #w.out)
    assert.equal(1, w.endpoint:stats().version_negotiations_sent)
    assert.equal(0, w.endpoint:stats().accepted)
    w.give("\202\26\42\58\74" .. first:sub(6)) -- a reserved one
    w.give(first:sub(1, 1199))
    w.flush()
    assert.equal(2, #w.out)
    -- covers: rfc9000#6.1.2
    for _ = 1, 1000 do w.give(first) end
    w.flush()
    assert.equal(2 + 64, w.endpoint:stats().version_negotiations_sent)
    assert.equal(1000 - 64, w.endpoint:stats().answers_dropped)
    w.free()
  end)

  it("without grease drops what lacks the fixed bit and belongs to nobody, without an answer", function()
    local w = world({ server = { versions = { net.V2 }, grease = 0 } })
    local first = w.client(1):send(w.now)
    w.give(string.char(first:byte(1) - 0x40) .. first:sub(2))
    w.give("\1" .. ("x"):rep(100))
    w.flush()
    assert.equal(0, #w.out)
    assert.equal(2, w.endpoint:stats().udp_datagrams_dropped)
    w.free()
  end)

  -- covers: rfc9000#5.2.2.1 rfc9000#5.2.2.4 rfc9000#17.2.4 rfc9000#17.2.7
  it("answers unknown versions with version negotiation, when the datagram is large enough", function()
    local w = world()
    local probe = "\192WAIT\0\0" .. ("\0"):rep(1200)
    w.give(probe)
    w.flush()
    assert.equal(1, #w.out)
    local answer = w.out[1].bytes
    assert.equal("\0\0\0\0", answer:sub(2, 5))
    assert.equal("\0\0", answer:sub(6, 7))
    assert.is_truthy(answer:find("\0\0\0\1", 8, true))
    assert.equal("203.0.113.1:9", w.out[1].to)
    w.give(probe:sub(1, 1199))
    w.give("\192\0\0\0\0\8aaaaaaaa\8bbbbbbbb\26\42\58\74" .. ("\0"):rep(1200))
    w.flush()
    assert.equal(1, #w.out)
    -- Connection IDs may be longer in other versions (RFC 8999).
    w.give("\192ABCD\255" .. ("d"):rep(255) .. "\255" .. ("s"):rep(255) .. ("\0"):rep(800))
    w.flush()
    assert.equal("\255" .. ("s"):rep(255) .. "\255" .. ("d"):rep(255), w.out[2].bytes:sub(6, 517))
    w.free()
  end)

  -- covers: rfc9000#5.2.2.8
  it("keeps nothing of a first packet that does not open, or is not one", function()
    local w = world()
    local initial = first_initial(w, 1)
    for at = 30, #initial, 37 do
      w.give(initial:sub(1, at - 1) .. string.char((initial:byte(at) + 1) % 256) .. initial:sub(at + 1))
      w.give(initial:sub(1, at))
    end
    -- Destinations of any length: below 8 bytes and above 20 they are no first packets.
    for size = 0, 255 do
      w.give("\192\0\0\0\1" .. string.char(size) .. ("d"):rep(size) .. "\0\0\68\208" .. ("x"):rep(1232))
    end
    assert.equal(0, w.endpoint:stats().connections)
    assert.equal(0, w.endpoint:stats().routes)
    w.free()
  end)

  -- covers: rfc9000#5.2.2.7
  it("stays without state, and within memory, for junk in ten packets a datagram", function()
    local w = world()
    local before = w.config:memory().used
    local junk = ("\224\0\0\0\1\8aaaaaaaa\8bbbbbbbb\64\30" .. ("x"):rep(30)):rep(10)
    local count = 100000
    for _ = 1, count do w.give(junk) end
    w.flush()
    assert.equal(before, w.config:memory().used)
    assert.equal(count, w.endpoint:stats().udp_datagrams_dropped)
    w.free()
  end)

  it("answers with Retry when told, and accepts who comes back", function()
    local w = world({ server = { retry = 1 } })
    local conn = w.client(1)
    w.run(10)
    assert.equal(1, w.endpoint:stats().retries_sent)
    assert.equal(1, w.endpoint:stats().accepted)
    assert.is_true(conn:info().confirmed)
    local server = w.endpoint:next()
    assert.is_true(server:info().validated)
    w.free()
  end)

  -- covers: rfc9000#17.2.5.1.5
  it("sends one Retry a datagram, and no second one: INVALID_TOKEN instead", function()
    local w = world({ server = { retry = 1 } })
    local initial, address, conn = first_initial(w, 1)
    w.give(initial, address)
    w.flush()
    w.now = w.now + 20000 * MS
    w.config:clock(1800000020) -- past the life of the token
    local second = conn:send(w.now)
    assert.is_true(#quic.header(second, 8).token > 0)
    w.give(second, address)
    w.flush()
    assert.equal(1, w.endpoint:stats().retries_sent)
    assert.equal(0, w.endpoint:stats().connections)
    assert.equal("peer", conn:info().by)
    assert.equal(0x0b, conn:info().code)
    w.free()
  end)

  -- covers: rfc9000#8.1.3.14, rfc9000#8.1.3.15
  it("answers a token of another kind or server with a Retry, as if there were none", function()
    local w = world({ server = { retry = 1 } })
    local function initial(token)
      local packet = "\192\0\0\0\1\8aaaaaaaa\8bbbbbbbb" .. string.char(#token) .. token .. "\64\30" .. ("x"):rep(30)
      return packet .. ("\0"):rep(1200 - #packet)
    end
    w.give(initial(("n"):rep(60)), net.CLIENT)
    w.flush()
    assert.equal(1, w.endpoint:stats().retries_sent)
    w.give(initial("nRet" .. ("n"):rep(59)), net.CLIENT) -- marked as from a Retry of ours
    w.flush()
    assert.equal(1, w.endpoint:stats().retries_sent)
    w.free()
  end)

  -- covers: rfc9000#8.1.2.2
  it("says INVALID_TOKEN to the token of a Retry that it cannot read, also where no Retry is asked for", function()
    local w = world()
    local retrying = world({ server = { retry = 1 }, seed = 99 })
    local initial, address, conn = first_initial(w, 1)
    retrying.give(initial, address)
    retrying.clients[address] = conn
    retrying.flush()
    retrying.clients[address] = nil
    w.run(10)
    assert.equal(0, w.endpoint:stats().accepted)
    assert.equal(1, w.endpoint:stats().refused)
    assert.equal("peer", conn:info().by)
    assert.equal(0x0b, conn:info().code)
    retrying.free()
    w.free()
  end)

  -- covers: rfc9000#8.1.2.2
  it("drops a packet whose Retry token was changed on its way, and takes it as it was sent", function()
    local w = world({ server = { retry = 1 } })
    local initial, address, conn = first_initial(w, 1)
    w.give(initial, address)
    w.flush()
    local second = conn:send(w.now)
    local token = quic.header(second, 8).token
    local at = second:find(token, 1, true) + 20
    local dropped = w.endpoint:stats().udp_datagrams_dropped
    w.give(second:sub(1, at - 1) .. string.char((second:byte(at) + 1) % 256) .. second:sub(at + 1), address)
    w.flush()
    local stats = w.endpoint:stats()
    assert.same({ 0, dropped + 1, 0 }, { stats.refused, stats.udp_datagrams_dropped, stats.accepted })
    w.give(second, address)
    assert.equal(1, w.endpoint:stats().accepted)
    w.free()
  end)

  -- covers: rfc9000#8.1.3.15
  it("takes a token of another kind or server for none where no Retry is asked for", function()
    local w = world()
    local initial, address, conn = first_initial(w, 1)
    local retry = "\240\0\0\0\1\8" .. quic.header(initial, 8).scid .. "\8elsewher" .. ("\1"):rep(63)
    conn:recv(retry .. crypto.retry_tag(crypto.new(("s"):rep(32)), 1, quic.header(initial, 8).dcid, retry), w.now)
    local second = conn:send(w.now)
    assert.equal(("\1"):rep(63), quic.header(second, 8).token)
    w.give(second, address)
    assert.equal(1, w.endpoint:stats().accepted)
    w.free()
  end)

  it("accepts who comes back from a Retry with a connection ID of ours that is shorter than 8 bytes", function()
    for size = 4, 20 do
      local w = world({ server = { retry = 1, source_connection_id_size = size } })
      local conn = w.client(1)
      w.run(10)
      assert.equal(1, w.endpoint:stats().retries_sent, size)
      assert.is_true(conn:info().confirmed, size)
      w.free()
    end
  end)

  -- covers: rfc9000#7.2.1
  it("takes no first Initial to a destination shorter than 8 bytes without such a token", function()
    local w = world({ server = { source_connection_id_size = 4 } })
    local function initial(token)
      local packet = "\192\0\0\0\1\4aaaa\8bbbbbbbb" .. string.char(#token) .. token .. "\64\30" .. ("x"):rep(30)
      return packet .. ("\0"):rep(1200 - #packet)
    end
    w.give(initial(""))
    w.give(initial(("n"):rep(60)))
    w.flush()
    assert.same({}, w.out)
    assert.equal(2, w.endpoint:stats().udp_datagrams_dropped)
    w.free()
  end)

  it("has the connection IDs that it makes for itself: none is another connection's", function()
    --- What a second connection gets, with `taken` leading to the first: the same each time but for that.
    local function second_gets(taken)
      local w = world({ server = { source_connection_id_size = 4 } })
      w.client(1)
      w.run(20)
      local first = w.endpoint:next()
      for _, cid in ipairs(taken) do
        w.endpoint:route(first, cid)
      end
      local conn = w.client(2)
      w.run(20)
      assert.is_true(conn:info().confirmed)
      local known = first:source_ids()[1]
      local second = w.endpoint:next()
      while second:source_ids()[1] == known do
        second = w.endpoint:next()
      end
      local ids = second:source_ids()
      w.free()
      return ids
    end
    local free = second_gets({})
    assert.equal(4, #free)
    local ids = second_gets(free)
    assert.equal(4, #ids)
    for _, id in ipairs(ids) do
      for _, taken in ipairs(free) do
        assert.is_true(id ~= taken)
      end
    end
  end)

  it("gives no connection ID in a Retry that a connection has", function()
    local function retry_gives(taken)
      local w = world({ server = { retry = 1, source_connection_id_size = 4 } })
      w.client(1)
      w.run(20)
      if taken then w.endpoint:route(w.endpoint:next(), taken) end
      w.give((first_initial(w, 2)))
      w.flush()
      local scid = quic.header(w.out[1].bytes, 4).scid
      w.free()
      return scid
    end
    local free = retry_gives()
    assert.is_true(retry_gives(free) ~= free)
  end)

  it("refuses new connections while told to", function()
    local w = world()
    w.endpoint:refuse(true)
    local conn = w.client(1)
    w.run(2)
    assert.equal("peer", conn:info().by)
    assert.equal(2, conn:info().code)
    assert.equal(0, w.endpoint:stats().connections)
    w.endpoint:refuse(false)
    local other = w.client(2)
    w.run(10)
    assert.is_true(other:info().confirmed)
    w.free()
  end)

  it("keeps a bounded number of answers", function()
    local w = world()
    for i = 1, 1000 do
      w.give(("\192%04dxx"):format(i) .. ("\0"):rep(1400))
    end
    assert.equal(64, w.endpoint:stats().answers_waiting)
    assert.equal(64, w.endpoint:stats().answers_most)
    assert.equal(936, w.endpoint:stats().answers_dropped)
    w.flush()
    assert.is_true(#w.out <= 64 and #w.out > 0)
    assert.equal(0, w.endpoint:stats().answers_waiting)
    w.free()
  end)

  it("counts every answer that nobody gets, of whatever kind", function()
    local w = world({ server = { retry = 1 } })
    local initials = {}
    for i = 1, 66 do
      initials[i] = { first_initial(w, i) }
      w.give(initials[i][1], initials[i][2])
    end
    local function dropped() return w.endpoint:stats().answers_dropped end
    assert.equal(64, w.endpoint:stats().retries_sent)
    assert.equal(2, dropped())
    w.endpoint:refuse(true)
    w.give(initials[65][1], initials[65][2])
    assert.equal(3, dropped())
    w.give("\64" .. ("x"):rep(100))
    assert.equal(4, dropped())
    -- No memory for one, and no way for it.
    w.flush()
    w.config:fail_at(0)
    w.give(initials[65][1], initials[65][2])
    w.config:fail_at(-1)
    assert.equal(5, dropped())
    w.give(initials[66][1], initials[66][2])
    w.endpoint:hold(4, true)
    w.flush()
    assert.equal(6, dropped())
    w.free()
  end)

  it("asks for a Retry when too many handshakes hang, and goes on accepting by it", function()
    local w = world({ client = { verify_peer = 0 }, server = { handshake_rate = 0 } })
    -- One ClientHello from many addresses: the endpoint cannot know that it is one.
    local function hang(index)
      local conn, address = w.client(index)
      local initial = conn:send(w.now)
      conn:free()
      w.clients[address] = nil
      w.give(initial, address)
    end
    local index = 0
    while w.endpoint:stats().half_open < 4096 do
      index = index + 1
      hang(index)
      if index % 64 == 0 then
        while w.endpoint:next() do
        end
      end
      assert.is_true(index <= 4096)
    end
    assert.equal(0, w.endpoint:stats().retries_sent)
    hang(index + 1)
    assert.equal(1, w.endpoint:stats().retries_sent)
    assert.equal(4096, w.endpoint:stats().half_open)
    -- Who comes back with the token is let in.
    local conn = w.client(9999)
    w.run(10)
    assert.is_true(conn:info().confirmed)
    assert.equal(4096, w.endpoint:stats().half_open)
    -- And all that hang are gone after their time.
    w.now = w.now + 11000 * MS
    w.flush()
    assert.equal(0, w.endpoint:stats().half_open)
    w.free()
  end)

  it("asks for a Retry when more begin in a second than it can sign, and for no longer", function()
    local w = world({ server = { handshake_rate = 100 } })
    local index, prefix = 0, 0
    --- A first packet from a prefix of its own, and never another.
    local function hang()
      index = index + 1
      local conn, address = w.client(index)
      local initial = conn:send(w.now)
      conn:free()
      w.clients[address] = nil
      prefix = prefix + 1
      w.give(initial, ("10.%d.%d.1:1000"):format(math.floor(prefix / 250), prefix % 250))
    end
    for _ = 1, 200 do
      hang()
    end
    -- Half of a second's, and what is left of the second for those who come back.
    local begun = w.endpoint:stats().accepted
    assert.is_true(begun >= 50 and begun <= 52, begun)
    w.flush()
    local conn = w.client(9999)
    w.run(10)
    assert.is_true(conn:info().confirmed)
    assert.is_true(w.endpoint:stats().retries_sent >= 1)
    -- In the long run one in 10 ms begins without a Retry.
    w.flush()
    local before = w.endpoint:stats().accepted
    for _ = 1, 1000 do
      w.now = w.now + 1 * MS
      hang()
      w.flush()
    end
    local more = w.endpoint:stats().accepted - before
    assert.is_true(more >= 95 and more <= 151, more)
    -- Nobody is asked when it is over.
    w.now = w.now + 1000 * MS
    local retries = w.endpoint:stats().retries_sent
    w.client(10000)
    w.run(10)
    assert.equal(retries, w.endpoint:stats().retries_sent)
    w.free()
  end)

  --- First packets, each from a prefix of its own, until one is asked for its address: how many began.
  local function begin_until_retry(w)
    for i = 1, 10000 do
      local conn, address = w.client(i)
      local initial = conn:send(w.now)
      conn:free()
      w.clients[address] = nil
      w.give(initial, ("10.%d.%d.1:1000"):format(math.floor(i / 250), i % 250))
      if w.endpoint:stats().retries_sent > 0 then return w.endpoint:stats().accepted end
      if i % 64 == 0 then
        while w.endpoint:next() do
        end
      end
    end
  end

  it("takes its keys' word for how many it can sign, until somebody says another number", function()
    local chain, key = net.certificate()
    local identity = assert(certificates.identity_new(crypto.new(("i"):rep(32)), chain, key))
    local rate = certificates.identity_handshake_rate(identity)
    certificates.identity_free(identity)
    local w = world()
    local begun = begin_until_retry(w)
    assert.is_true(begun >= rate / 2 and begun <= rate / 2 + 2, begun)
    w.free()
    -- Before the certificate comes, or after it.
    for _, option in ipairs({ {}, { handshake_rate = 60 } }) do
      w = world({ server = option })
      if not option.handshake_rate then
        w.endpoint:free()
        w.config:free()
        w.config = quic.config(11)
        w.config:alpn("t")
        assert.equal(0, w.config:set("handshake_rate", 60))
        assert.equal(0, w.config:certificate(chain, key))
        w.endpoint = assert(quic.endpoint(w.config, true))
      end
      begun = begin_until_retry(w)
      assert.is_true(begun >= 30 and begun <= 32, begun)
      w.free()
    end
  end)

  it("counts a handshake that resumes a session, and signs nothing, for a tenth", function()
    local w = world({ server = { handshake_rate = 20 } })
    w.client(1)
    w.run(100)
    for i = 2, 41 do
      local conn = w.client(i)
      for _ = 1, 5 do w.round() end -- each has its ticket from the one before
      assert.is_true(conn:info().confirmed and conn:info().resumed, i)
    end
    assert.equal(41, w.endpoint:stats().accepted)
    assert.equal(0, w.endpoint:stats().retries_sent)
    w.free()
  end)

  it("counts what a client has it do besides, by key exchange and by certificates", function()
    local device = net.config(nil, 41)
    local certificate, key = device:make_certificate("device.test")
    device:free()
    local P384, REQUIRE, CERTIFICATE = 0x0018, 1, 2

    -- What is owed behind one handshake, in microseconds, and what of it is not the handshake's own.
    local function owed(prepare)
      local w = world({ server = { handshake_rate = 100 }, prepare = prepare })
      local before = w.config:work() -- certificates were checked
      local conn = w.client(1)
      for _ = 1, 5 do
        w.round()
        local asking = w.endpoint:next()
        local question = asking and asking:question()
        if question then assert.is_true(asking:answer_certificate(question.id, net.certificate())) end
      end
      assert.is_true(conn:info().confirmed)
      local work = w.config:work() - before
      assert.equal(10000 + work, w.endpoint:stats().owed / 1000)
      w.free()
      return work
    end

    assert.equal(0, owed(function() end))
    local share = owed(function(_, client) client:group(P384) end)
    assert.is_true(share > 100, share)
    assert.equal(share, owed(function(server, client)
      client:group(P384)
      assert.equal(0, server:ask(CERTIFICATE))
    end))
    local signature = owed(function(server, client)
      assert.equal(0, server:set("client_certificate", REQUIRE))
      assert.equal(0, server:client_ca(certificate))
      assert.equal(0, client:certificate(certificate, key))
    end)
    assert.is_true(signature > 20, signature)
  end)

  -- covers: rfc9000#5.2.2.5
  it("has no more connections than max_connections, and says so to others", function()
    local w = world({ server = { max_connections = 3 } })
    local conns = {}
    for i = 1, 5 do
      conns[i] = w.client(i)
    end
    w.run(10)
    assert.equal(3, w.endpoint:stats().connections)
    assert.equal(2, w.endpoint:stats().refused)
    local refused = 0
    for i = 1, 5 do
      if conns[i]:info().code == 2 then refused = refused + 1 end
    end
    assert.equal(2, refused)
    -- One that has gone leaves its place.
    local server = w.endpoint:next()
    server:close(true, 0)
    w.endpoint:release(server)
    w.now = w.now + 3000 * MS
    w.flush()
    local late = w.client(6)
    w.run(10)
    assert.is_true(late:info().confirmed)
    w.free()
  end)

  it("needs a certificate", function()
    local config = quic.config(5)
    config:alpn("t")
    assert.is_nil((quic.endpoint(config, true)))
    config:certificate(net.certificate())
    local endpoint = assert(quic.endpoint(config, true))
    endpoint:free()
    config:free()
  end)

  it("needs connection IDs that it can tell apart", function()
    local config = net.config({ source_connection_id_size = 3 }, 5, true)
    assert.is_nil((quic.endpoint(config, true)))
    config:free()
  end)
end)

describe("a stateless reset", function()
  local function short(size, id) return "\64" .. id .. ("x"):rep(size - 1 - #id) end

  it("is withheld from a network that asks for more than a hundred in a second, which is counted", function()
    local w = world()
    for second = 1, 2 do
      for _ = 1, 130 do
        w.give(short(100, "lostlost"))
        w.flush()
      end
      local stats = w.endpoint:stats()
      assert.same({ 100 * second, 30 * second }, { stats.resets_sent, stats.resets_withheld })
      w.now = w.now + 1000 * MS
    end
    w.free()
  end)

  -- covers: rfc9000#10.3.5 rfc9000#10.3.6 rfc9000#10.3.8 rfc9000#10.3.3.1
  it("answers packets of connections that are gone, always smaller than they", function()
    local w = world()
    for _, size in ipairs({ 1200, 100, 44, 43, 30, 23, 22 }) do
      w.out = {}
      w.give(short(size, "lostlost"))
      w.flush()
      assert.equal(1, #w.out, size)
      local answer = w.out[1].bytes
      assert.is_true(#answer < size and #answer >= 21)
      if size <= 43 then assert.equal(size - 1, #answer) end
      assert.equal(64, math.floor(answer:byte(1) / 64) * 64)
      assert.equal(quic.stateless_reset(w.config, "lostlost", 1200):sub(-16), answer:sub(-16))
    end
    w.out = {}
    for size = 9, 21 do
      w.give(short(size, "lostlost"))
    end
    w.give("\224\0\0\0\1\8lostlost\8bbbbbbbb\64\30" .. ("x"):rep(30))
    w.flush()
    assert.same({}, w.out)
    w.free()
  end)

  it("is not sent more often than the bound", function()
    local w = world()
    for _ = 1, 500 do
      w.give(short(60, "lostlost"))
      w.flush()
    end
    assert.equal(100, #w.out)
    w.now = w.now + 1000 * MS
    w.give(short(60, "lostlost"))
    w.flush()
    assert.equal(101, #w.out)
    w.free()
  end)

  it("has a bound for each network, so that one does not use up what others are told", function()
    local w = world()
    for at = 1, 500 do
      w.endpoint:recv(short(60, "lostlost"), ("203.0.113.%d:%d"):format(at % 256, at), net.SERVER, w.now)
      w.flush()
    end
    assert.equal(100, #w.out)
    w.give(short(60, "lostlost"), "192.0.2.77:9")
    w.flush()
    assert.equal(101, #w.out)
    for at = 1, 2000 do
      w.endpoint:recv(short(60, "lostlost"), ("10.%d.%d.1:1"):format(at / 256, at % 256), net.SERVER, w.now)
      w.flush()
    end
    assert.is_true(#w.out > 900 and #w.out <= 1000, #w.out)
    w.free()
  end)

  it("has its bound for itself: what is too small to be answered uses none of it", function()
    local w = world()
    for _ = 1, 500 do
      w.give(short(21, "lostlost"))
    end
    w.flush()
    assert.equal(0, #w.out)
    -- Nor does what finds no room among the answers.
    for _ = 1, 200 do
      w.give(short(60, "lostlost"))
    end
    w.flush()
    assert.equal(64, #w.out)
    w.give(short(60, "lostlost"))
    w.flush()
    assert.equal(65, #w.out)
    for _ = 1, 100 do
      w.give(short(60, "lostlost"))
      w.flush()
    end
    assert.equal(100, #w.out)
    w.free()
  end)

  it("between two servers ends by itself", function()
    local a, b = world(), world({ seed = 33 })
    a.give(short(1200, "lostlost"))
    local count = 0
    local from, to = a, b
    while true do
      from.out = {}
      from.flush()
      if #from.out == 0 then break end
      count = count + 1
      to.give(from.out[1].bytes)
      from, to = to, from
    end
    assert.is_true(count > 0 and count <= 23)
    assert.equal(count, a.endpoint:stats().resets_sent + b.endpoint:stats().resets_sent)
    a.free()
    b.free()
  end)

  it("for a connection that restarted ends the client's at once", function()
    local w = world()
    w.config:secret(("k"):rep(32))
    local conn, address = w.client(1)
    -- Its keys come from the secret that was there when it was accepted.
    w.run(20)
    local again = net.config({}, 55, true)
    again:secret(("k"):rep(32))
    local endpoint = quic.endpoint(again, true)
    local id = conn:open(false)
    conn:stream_send(id, ("x"):rep(500), true)
    endpoint:recv(conn:send(w.now), address, SERVER, w.now)
    local reset = endpoint:send(w.now)
    assert.is_truthy(reset)
    conn:recv(reset, w.now)
    assert.equal("reset", conn:info().by)
    endpoint:free()
    again:free()
    w.free()
  end)
end)

describe("a server endpoint", function()
  it("knows the peer's reset token of every path, also of one that is only probed", function()
    for _, frames in ipairs({ net.bytes(0x1a, "12345678"), net.bytes(1) }) do
      local w = world()
      local conn, address = w.client(1)
      w.run(20)
      local server = w.endpoint:next()
      -- The client moves on purpose, with another connection ID: both paths have one of their own.
      w.give(conn:inject(net.APPLICATION, frames, { dcid = 1 }), "203.0.113.9:4000")
      local paths = server:paths()
      assert.same({ 2, address }, { #paths, paths[1].address })
      assert.not_equal(paths[1].cid, paths[2].cid)
      w.give("\64" .. ("z"):rep(30) .. paths[2].reset_token, "203.0.113.9:4000")
      assert.equal("reset", server:info().by)
      w.free()
    end
  end)
end)

describe("a client endpoint", function()
  it("routes many connections behind one address, and resets of unknown destination too", function()
    local w = world()
    local config = net.config({}, 21)
    local endpoint = quic.endpoint(config, false)
    local conns = {}
    for i = 1, 5 do
      conns[i] = assert(endpoint:connect("localhost", net.CLIENT, SERVER, w.now))
    end
    local function exchange()
      for _ = 1, 200 do
        local out, segment = endpoint:send(w.now)
        if not out then break end
        w.give(out, net.CLIENT, segment)
      end
      for _ = 1, 200 do
        local out, segment = w.endpoint:send(w.now)
        if not out then break end
        endpoint:recv(out, SERVER, net.CLIENT, w.now, segment)
      end
      w.now = w.now + 10 * MS
    end
    for _ = 1, 20 do
      exchange()
    end
    for i = 1, 5 do
      assert.is_true(conns[i]:info().confirmed, i)
    end
    -- A reset looks like a packet to nobody.
    local token, has = conns[3]:active_reset_token()
    assert.is_true(has)
    endpoint:recv("\64" .. ("z"):rep(30) .. token, SERVER, net.CLIENT, w.now)
    assert.equal("reset", conns[3]:info().by)
    assert.equal("none", conns[2]:info().by)
    -- A client endpoint answers nobody.
    endpoint:recv("\64" .. ("z"):rep(50), SERVER, net.CLIENT, w.now)
    endpoint:recv("\192WAIT\0\0" .. ("\0"):rep(1200), SERVER, net.CLIENT, w.now)
    assert.equal(0, endpoint:stats().resets_sent + endpoint:stats().version_negotiations_sent)
    endpoint:free()
    config:free()
    assert.equal(0, config:memory().live)
    w.free()
  end)

  -- covers: rfc9000#5.1.3
  it("has one connection at most without connection IDs", function()
    local config = net.config({ source_connection_id_size = 0 }, 21)
    local endpoint = quic.endpoint(config, false)
    local conn = assert(endpoint:connect("localhost", net.CLIENT, SERVER, 0))
    assert.is_nil((endpoint:connect("localhost", net.CLIENT, SERVER, 0)))
    local w = world()
    w.now = 0
    for _ = 1, 20 do
      for _ = 1, 20 do
        local out, segment = endpoint:send(w.now)
        if not out then break end
        w.give(out, net.CLIENT, segment)
      end
      for _ = 1, 20 do
        local out, segment = w.endpoint:send(w.now)
        if not out then break end
        endpoint:recv(out, SERVER, net.CLIENT, w.now, segment)
      end
      w.now = w.now + 10 * MS
    end
    assert.is_true(conn:info().confirmed)
    endpoint:free()
    config:free()
    w.free()
  end)
end)

describe("memory that runs out", function()
  it("is not missed where connection IDs are issued and routed", function()
    local w = world()
    local clients, servers = {}, {}
    local function turn(has_memory)
      for _, c in ipairs(clients) do
        for datagram in function() return c.conn:send(w.now) end do
          w.endpoint:recv(datagram, c.address, SERVER, w.now)
        end
      end
      for server in function() return w.endpoint:next() end do servers[#clients] = server end
      w.config:fail_at(has_memory and -1 or 1, true)
      w.flush()
      w.config:fail_at(-1)
      w.now = w.now + 10 * MS
    end
    for n = 1, 12 do
      local conn, address = w.client(n)
      clients[n] = { conn = conn, address = address }
      turn(true)
      -- The turn in which the handshake ends and IDs are issued has no memory at all.
      turn(false)
      local server = servers[n]
      assert.is_true(server:info().confirmed)
      assert.equal(4, #server:source_ids())
      w.endpoint:touch(server)
      for _ = 1, 3 do turn(true) end
      assert.equal("none", server:info().by, server:info().reason)
      assert.equal(5 * n, w.endpoint:stats().routes)
    end
    w.free()
  end)

  it("anywhere in an endpoint's life leaves nothing behind", function()
    for at = 1, 260, 3 do
      local w = world()
      local conn, address = w.client(1)
      w.config:fail_at(at)
      for _ = 1, 12 do
        for _ = 1, 10 do
          local datagram = conn:send(w.now)
          if not datagram then break end
          w.endpoint:recv(datagram, address, SERVER, w.now)
        end
        w.flush()
        local server = w.endpoint:next()
        if server and server:info().confirmed then
          local id = server:open(false)
          if id then server:stream_send(id, ("x"):rep(3000), true) end
          w.endpoint:touch(server)
        end
        w.now = w.now + 10 * MS
      end
      w.free()
    end
  end)
end)
