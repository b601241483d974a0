--- What neap never sends, whatever is lost: as read by a peer that opens each packet, or has to take it.
local hostile = require("support.hostile_tls")
local messages = require("tls.messages")
local net = require("support.quic_net")
local wire = require("neap.units").wire

local quic, MS, bytes = net.quic, net.MS, net.bytes
local LEVELS = { 0, 2, 3 } -- Initial, Handshake, 1-RTT, as TLS counts them
local APPLICATION = net.APPLICATION

--- A server's connection after a handshake in which each of its packets was sent several times over, and data after it.
local function chatty()
  local peer = hostile.open("client")
  for place, level in ipairs(LEVELS) do peer.numbers[level] = 100 * place end -- so that each space has its own
  peer:run()
  assert.is_true(peer.tls:info().complete)
  for _ = 1, 6 do
    peer:give(peer:packet(3, bytes(1)))
    peer:give(peer:packet(3, bytes(1)))
    peer:take()
    peer.now = assert(peer.conn:timeout())
    peer.conn:on_timeout(peer.now)
    peer:take()
  end
  return peer
end

describe("packet numbers", function()
  -- covers: rfc9000#12.3.1 rfc9000#12.3.2
  it("grow from packet to packet in each space, repetitions of what was in them included", function()
    local peer = chatty()
    for _, level in ipairs(LEVELS) do
      local last = -1
      for _, number in ipairs(peer.seen[level]) do
        assert.is_true(number > last, ("%d behind %d"):format(number, last))
        last = number
      end
      assert.is_true(last >= 0)
    end
    assert.is_true(#peer.seen[3] >= 10, #peer.seen[3])
    peer:close()
  end)
end)

describe("ACK frames", function()
  -- covers: rfc9000#13.2.6.1 rfc9000#13.2.6.2 rfc9000#17.2.3.4
  it("are in packets of the space whose packets they acknowledge", function()
    local peer = chatty()
    local seen = {}
    for _, ack in ipairs(peer.acks) do
      local place = ack.level == 0 and 1 or ack.level
      assert.equal(place, math.floor(ack.largest / 100), ("%d at level %d"):format(ack.largest, ack.level))
      seen[ack.level] = true
    end
    assert.same({ true, true }, { seen[0], seen[3] })
    peer:close()
  end)

  -- covers: rfc9000#13.2.5.2 rfc9000#13.2.5.3
  it("tell the time that a packet waited for its keys as a part of the delay, however long it was", function()
    local peer = hostile.open("client")
    local finished
    peer:run(function(_, kind, message)
      if kind ~= messages.FINISHED then return nil end
      finished = message
      return ""
    end)
    peer:give(peer:packet(3, bytes(1)))
    peer:take()
    peer.now = peer.now + 80 * MS
    peer:give(peer:packet(2, peer:crypto_frame(2, finished)))
    peer:take()
    local last = peer.acks[#peer.acks]
    assert.same({ 3, 0 }, { last.level, last.largest })
    assert.equal(80000 / 8, last.delay)
    peer:close()
  end)

  -- covers: rfc9000#19.3.1
  it("are read with ECN counts and without", function()
    for _, ecn in ipairs({ false, true }) do
      local p = net.pair({ client = { ecn = 0 } }):handshake()
      p:settle(1000 * MS)
      local id = p.client:open(false)
      p.client:stream_send(id, "x", false)
      assert(p.client:send(p.now))
      assert.is_true(p.client:stats().in_flight > 0)
      local last = p.client:stats().next_number - 1
      p:inject("server", APPLICATION, ecn and bytes(0x03, last, 0, 0, 0, 0, 0, 0) or bytes(0x02, last, 0, 0, 0))
      assert.same({ 0, "none" }, { p.client:stats().in_flight, p.client:info().by })
      p:free()
    end
  end)
end)

describe("HANDSHAKE_DONE", function()
  -- covers: rfc9000#19.20.1
  it("is not sent before the client's Finished is there, however long that takes", function()
    local peer = hostile.open("client")
    peer:run(function(_, kind) return kind == messages.FINISHED and "" or nil end)
    for _ = 1, 4 do
      peer:give(peer:packet(0, "\1")) -- which lets it send on: its address is not proved
      peer:take()
      peer.now = assert(peer.conn:timeout())
      peer.conn:on_timeout(peer.now)
      peer:take()
    end
    assert.is_nil(peer.confirmed_at)
    peer:close()
  end)

  -- covers: rfc9000#13.3.3
  it("is sent again until it arrives", function()
    for lost = 1, 6 do
      local p = net.pair()
      local count = 0
      p.drop = function(direction)
        if direction == "up" or not p.server:info().confirmed then return false end
        count = count + 1
        return count <= lost
      end
      assert.is_true(p:run(function(x) return x.client:info().confirmed end, 9000 * MS), lost)
      assert.is_true(count > lost)
      p:free()
    end
  end)
end)

describe("packets in one datagram", function()
  -- covers: rfc9000#12.2.4
  it("have one destination", function()
    local coalesced = 0
    for seed = 1, 20 do
      local p = net.pair({ seed = seed, loss = 0.2, filter = function(_, datagram)
        local rest, first = datagram, nil
        while #rest > 0 and rest:byte(1) ~= 0 do
          local header = wire.parse_header(rest, 8)
          if not header then break end
          coalesced = coalesced + (first and 1 or 0)
          first = first or header.dcid
          assert.equal(first, header.dcid)
          if not header.type or header.type == "short" or header.size == 0 then break end
          rest = rest:sub(header.size + 1)
        end
        return datagram
      end })
      p:handshake()
      p:free()
    end
    assert.is_true(coalesced > 40, coalesced)
  end)
end)

describe("a packet that asks for an answer", function()
  -- covers: rfc9000#10.3.4
  it("is 22 bytes longer than our connection IDs at least, so that a reset in answer looks like a packet", function()
    for _, sizes in ipairs({ { 0, 8 }, { 8, 8 }, { 0, 20 }, { 8, 20 }, { 20, 8 }, { 4, 5 } }) do
      local p = net.pair({ client = { source_connection_id_size = sizes[1] },
        server = { source_connection_id_size = sizes[2] } })
      p.scid = ("S"):rep(sizes[2])
      p:handshake():settle(2000 * MS)
      for i, side in ipairs({ "client", "server" }) do
        for _, ask in ipairs({ "ping", "open" }) do
          if ask == "ping" then p[side]:ping() else p[side]:stream_send(p[side]:open(false), "", true) end
          local datagram = assert(p[side]:send(p.now))
          assert.is_true(#datagram >= 22 + sizes[i], ("%s of %s: %d"):format(ask, side, #datagram))
          p:transmit(side == "client" and "up" or "down", datagram, net.CLIENT)
          p:settle(2000 * MS)
        end
        -- It is acknowledged like others: nothing stays in flight.
        assert.equal(0, p[side]:stats().in_flight)
      end
      p:free()
    end
  end)
end)

describe("a path", function()
  -- covers: rfc9000#14.1
  it("that carries no datagram of 1200 bytes is not used: the handshake ends by its time", function()
    local p = net.pair({ drop = function(_, _, datagram) return #datagram >= 1200 end })
    p:run(function(x) return x.client:info().closed end)
    assert.same({ "handshake timeout", 0 }, { p.client:info().by, p.client:stats().packets_received })
    assert.is_nil(p.server)
    p:free()
  end)
end)

describe("connection IDs", function()
  --- Those of `count` connections, one after the other, at one endpoint: a list for each.
  local function ids_of(count, size)
    local config, clients = net.config({ source_connection_id_size = size }, 31, true), net.config({}, 32)
    local endpoint, now, all = assert(quic.endpoint(config, true)), 1000 * MS, {}
    for i = 1, count do
      local address = "198.51.100.9:" .. 1000 + i
      local conn = assert(quic.client(clients, "localhost", address, net.SERVER, now))
      for _ = 1, 6 do
        for datagram in function() return conn:send(now) end do endpoint:recv(datagram, address, net.SERVER, now) end
        while true do
          local train, segment = endpoint:send(now)
          if not train then break end
          for at = 1, #train, segment do conn:recv(train:sub(at, math.min(at + segment - 1, #train)), now) end
        end
        now = now + 10 * MS
      end
      local server = assert(endpoint:next())
      all[i] = server:source_ids()
      server:close(true, 0)
      endpoint:release(server)
      now = now + 3000 * MS
      endpoint:send(now)
      conn:free()
    end
    endpoint:free()
    config:free()
    clients:free()
    return all
  end

  -- covers: rfc9000#10.3.2.2 rfc9000#10.3.2.3 rfc9000#10.3.2.4
  it("are of one size, and are never given twice, also when the connection that had them is gone", function()
    local seen, count = {}, 0
    for _, ids in ipairs(ids_of(60, 8)) do
      assert.is_true(#ids >= 4)
      for _, id in ipairs(ids) do
        assert.equal(8, #id)
        assert.is_nil(seen[id])
        seen[id], count = true, count + 1
      end
    end
    assert.is_true(count >= 240)
  end)

  -- covers: rfc9000#5.1.1
  it("of one connection have no more bits in common than those of two", function()
    local all = ids_of(60, 8)
    local equal, pairs_seen = 0, 0
    local function compare(a, b)
      for i = 1, #a do
        local x, y = a:byte(i), b:byte(i)
        for _ = 1, 8 do
          equal = equal + (x % 2 == y % 2 and 1 or 0)
          x, y, pairs_seen = math.floor(x / 2), math.floor(y / 2), pairs_seen + 1
        end
      end
    end
    for _, ids in ipairs(all) do
      for i = 1, #ids do
        for j = i + 1, #ids do compare(ids[i], ids[j]) end
      end
    end
    -- Six standard deviations of a fair coin.
    assert.is_true(math.abs(equal - pairs_seen / 2) < 3 * math.sqrt(pairs_seen), equal / pairs_seen)
  end)

  -- covers: rfc9000#19.15.2
  it("are not offered by who has the peer name none: its server would end the connection for that", function()
    local p = net.pair({ client = { source_connection_id_size = 0 } }):handshake()
    assert(p:transfer("server", ("x"):rep(50000)))
    assert(p:transfer("client", ("x"):rep(50000)))
    assert.same({ "none", "none" }, { p.client:info().by, p.server:info().by })
    p:inject("client", APPLICATION, bytes(0x18, 1, 0, "\8abcdefgh", ("t"):rep(16)))
    assert.same({ "local", 0x0a }, { p.server:info().by, p.server:info().code })
    p:free()
  end)
end)

describe("frames that are out of date", function()
  -- covers: rfc9000#13.3.5
  it("change nothing, and take nothing back that was given", function()
    local p = net.pair():handshake()
    local id = p.client:open(true)
    p.client:stream_send(id, "x", false)
    p:settle()
    p:inject("client", APPLICATION, bytes(0x10, 1, 0x11, id, 1, 0x12, 0, 0x13, 0))
    p:inject("server", APPLICATION, bytes(0x10, 1, 0x11, id, 1, 0x12, 0, 0x13, 0))
    for _, side in ipairs({ "client", "server" }) do
      assert.equal("none", p[side]:info().by)
      assert.equal(100000, #p:transfer(side, ("x"):rep(100000)))
      assert.is_truthy(p[side]:open(true))
    end
    p:free()
  end)
end)

describe("a server that knows a connection", function()
  -- covers: rfc9000#11.4
  it("sends no stateless reset for it, whatever comes with its connection ID, also while that is closing", function()
    local config, clients = net.config({}, 41, true), net.config({}, 42)
    local endpoint, now = assert(quic.endpoint(config, true)), 1000 * MS
    local conn = assert(quic.client(clients, "localhost", net.CLIENT, net.SERVER, now))
    local function flush()
      while true do
        local train, segment = endpoint:send(now)
        if not train then return end
        for at = 1, #train, segment do conn:recv(train:sub(at, math.min(at + segment - 1, #train)), now) end
      end
    end
    for _ = 1, 6 do
      for datagram in function() return conn:send(now) end do endpoint:recv(datagram, net.CLIENT, net.SERVER, now) end
      flush()
      now = now + 10 * MS
    end
    local server = assert(endpoint:next())
    for round = 1, 2 do
      for size = 21, 100 do
        for _, id in ipairs(server:source_ids()) do
          endpoint:recv("\64" .. id .. ("x"):rep(size), net.CLIENT, net.SERVER, now)
        end
        flush()
      end
      assert.equal(round == 1 and "none" or "peer", conn:info().by)
      server:close(true, 9)
      endpoint:touch(server)
      flush()
    end
    assert.equal(0, endpoint:stats().resets_sent)
    conn:free()
    endpoint:free()
    config:free()
    clients:free()
  end)
end)

describe("values that a client remembers for 0-RTT", function()
  -- covers: rfc9000#7.4.1.2 rfc9000#7.4.1.3
  it("are not those of acknowledgements: they are the default, and then the server's new ones", function()
    for _, case in ipairs({ { 100, 60 }, { 100, 25 } }) do
      local client = net.config({ early_data = 1 }, 51)
      local server = net.config({ early_data = 1, max_ack_delay = case[1], ack_frequency = 0 }, 52, true)
      server:register()
      local p = net.pair({ client_config = client, server_config = server, seed = 1 }):handshake()
      assert.equal(case[1] * MS, p.client:stats().peer_ack_delay)
      p:settle(100 * MS)
      p:free()
      server:set("max_ack_delay", case[2])
      p = net.pair({ client_config = client, server_config = server, seed = 2 })
      assert.is_true(p.client:info().is_early)
      assert.equal(25 * MS, p.client:stats().peer_ack_delay)
      p:handshake()
      assert.same({ "accepted", case[2] * MS }, { p.client:info().early, p.client:stats().peer_ack_delay })
      p:free()
      client:free()
      server:free()
    end
  end)
end)
