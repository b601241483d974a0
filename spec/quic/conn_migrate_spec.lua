local net = require("support.quic_net")

local MS, bytes = net.MS, net.bytes
local SECOND_ADDRESS, THIRD = "203.0.113.9:4000", "203.0.113.77:4001"
local AT_ONCE, GONE = 1, 2
local CLOSED, ARGUMENT, LIMIT, STATE, REFUSED, NO_ID = -4, -3, -15, -19, -20, -21

--- A pair whose client has more addresses than it begins with.
local function pair(options)
  return net.pair(options):handshake():add_addresses({ SECOND_ADDRESS, THIRD })
end

local function active(conn)
  for _, path in ipairs(conn:paths()) do
    if path.is_active then return path end
  end
end

local function find(conn, name, address)
  for _, path in ipairs(conn:paths()) do
    if path[name] == address then return path end
  end
end

--- The events of a connection, "kind local" each.
local function events(conn)
  local list = {}
  local kind, here = conn:path_event()
  while kind do
    list[#list + 1] = kind .. " " .. here
    kind, here = conn:path_event()
  end
  return list
end

--- Note what leaves from `address` of the client's: sizes and destination connection IDs.
local function listen_in(p, address)
  local seen = { up = {}, down = {} }
  p.on_datagram = function(direction, datagram, from)
    if from == address then
      table.insert(seen[direction], { size = #datagram, dcid = datagram:sub(2, 9), at = p.now })
    end
  end
  return seen
end

describe("a client that probes a path", function()
  -- covers: rfc9000#9.1.1 rfc9000#8.2.1.5 rfc9000#8.2.1.4
  it("asks from there in 1200 bytes, with a connection ID that was not used, and stays where it is", function()
    local p = pair()
    local first = active(p.client)
    local seen = listen_in(p, SECOND_ADDRESS)
    assert.equal(0, p.client:probe(SECOND_ADDRESS))
    p:settle()
    assert.is_true(#seen.up >= 1)
    for _, datagram in ipairs(seen.up) do
      assert.equal(1200, datagram.size)
      assert.are_not.equal(first.cid, datagram.dcid)
    end
    assert.equal(net.CLIENT, active(p.client).local_address)
    assert.equal(net.CLIENT, active(p.server).address)
    assert.is_true(find(p.client, "local_address", SECOND_ADDRESS).validated)
    assert.same({ "validated " .. SECOND_ADDRESS }, events(p.client))
    p:free()
  end)

  -- covers: rfc9000#9.6.3.5
  it("is asked back at once, so that the server need not when it comes", function()
    local p = pair()
    p.client:probe(SECOND_ADDRESS)
    p:settle(45 * MS)
    assert.is_true(find(p.server, "address", SECOND_ADDRESS).validated)
    assert.equal(net.CLIENT, active(p.server).address)
    p:free()
  end)

  -- covers: rfc9000#8.2.1.1 rfc9000#8.2.1.3 rfc9000#8.2.4.1 rfc9000#8.2.4.2 rfc9000#9.4.4
  it("asks ever more rarely where nobody answers, and gives up after three timeouts", function()
    local p = pair()
    local seen = listen_in(p, SECOND_ADDRESS)
    p.drop = function() return #seen.up > 0 and seen.up[#seen.up].at == p.now end
    local begin = p.now
    p.client:probe(SECOND_ADDRESS)
    assert.is_true(p:run(function() return #p.client:paths() == 1 end, 10000 * MS))
    local least = 3 * (3 * 333 + 25) * MS
    assert.is_true(p.now - begin >= least and p.now - begin < least + 100 * MS, p.now - begin)
    assert.is_true(#seen.up >= 2 and #seen.up <= 4, #seen.up)
    assert.is_true(seen.up[2].at - seen.up[1].at >= 999 * MS)
    assert.is_true(not seen.up[3] or seen.up[3].at - seen.up[2].at >= 1998 * MS)
    assert.same({ "failed " .. SECOND_ADDRESS }, events(p.client))
    assert.is_true(p.client:info().established)
    p:free()
  end)

  it("counts time from when it asks, however long the connection was silent before", function()
    local p = pair()
    p.now = p.now + 20000 * MS
    p.client:probe(SECOND_ADDRESS)
    p:settle(45 * MS)
    assert.same({ "validated " .. SECOND_ADDRESS }, events(p.client))
    p.now = p.now + 20000 * MS
    p.client:migrate(THIRD, nil, AT_ONCE)
    p:settle(45 * MS)
    assert.same({ "migrated " .. THIRD, "validated " .. THIRD }, events(p.client))
    p:free()
  end)

  it("keeps what it found for a minute", function()
    local idle = { max_idle_timeout = 300000, keep_alive = 5000 }
    local p = pair({ client = idle, server = idle })
    p.client:probe(SECOND_ADDRESS)
    p:settle(50000 * MS)
    assert.equal(2, #p.client:paths())
    p:settle(15000 * MS)
    assert.equal(1, #p.client:paths())
    p:free()
  end)

  it("may ask the one that it is on, and hears each time whether that answers", function()
    local idle = { max_idle_timeout = 600000, keep_alive = 1000 }
    local p = net.pair({ client = idle, server = idle }):handshake()
    for _ = 1, 2 do
      assert.equal(0, p.client:probe(net.CLIENT))
      p:settle()
      assert.same({ "validated " .. net.CLIENT }, events(p.client))
    end
    p.drop = function() return true end
    assert.equal(0, p.client:probe(net.CLIENT))
    p:run(nil, 30000 * MS)
    assert.same({ "failed " .. net.CLIENT }, events(p.client))
    assert.same({ 1, net.CLIENT, "none" }, { #p.client:paths(), active(p.client).local_address, p.client:info().by })
    p.drop = nil
    assert.equal("hello", (p:transfer("client", "hello")))
    assert.same({}, events(p.client))
    p:free()
  end)

  it("hears of one that it has looked at before, each time", function()
    local idle = { max_idle_timeout = 600000, keep_alive = 1000 }
    local p = pair({ client = idle, server = idle })
    for _ = 1, 2 do
      p.client:probe(SECOND_ADDRESS)
      p:settle(1000 * MS)
      assert.same({ "validated " .. SECOND_ADDRESS }, events(p.client))
    end
    p.on_datagram = function(_, _, address) return address ~= SECOND_ADDRESS end
    p.client:probe(SECOND_ADDRESS)
    p:settle(10000 * MS)
    assert.same({ "failed " .. SECOND_ADDRESS }, events(p.client))
    assert.equal(1, #p.client:paths())
    p:free()
  end)

  it("hears of the one that it began on, after it has left it", function()
    local p = pair()
    p.client:migrate(SECOND_ADDRESS, nil, AT_ONCE)
    p:settle(45 * MS)
    assert.same({ "migrated " .. SECOND_ADDRESS, "validated " .. SECOND_ADDRESS }, events(p.client))
    p.client:probe(net.CLIENT)
    p:settle(100 * MS)
    assert.same({ "validated " .. net.CLIENT }, events(p.client))
    assert.equal(SECOND_ADDRESS, active(p.client).local_address)
    p:free()
  end)

  it("lists its paths, the active one first", function()
    local p = pair()
    p.client:probe(SECOND_ADDRESS)
    p:settle()
    local count, first = p.client:path(0)
    local _, second = p.client:path(1)
    assert.same({ 2, net.CLIENT, true, 2 }, { count, first.local_address, first.is_active, first.state })
    assert.same({ SECOND_ADDRESS, false, 2 }, { second.local_address, second.is_active, second.state })
    assert.is_true(first.rtt > 0 and second.rtt > 0)
    assert.equal(2, (p.client:path(2)))
    p:free()
  end)
end)

describe("a client that tries two ways", function()
  -- Whoever forwards datagrams needs no keys for it.
  -- covers: rfc9000#9.7
  it("takes nothing on the one that ended when an answer that came there proved the other", function()
    local p = pair()
    p.client:migrate(SECOND_ADDRESS)
    p.client:migrate(THIRD)
    local carried, answered = 0, 0
    p.on_datagram = function(direction, datagram, address)
      if direction == "up" and address == THIRD then
        answered = answered + carried
        return false
      end
      if direction ~= "down" or address ~= SECOND_ADDRESS then return true end
      carried = 1
      p:deliver("down", datagram, THIRD, net.SERVER)
      return false
    end
    p:settle()
    assert.equal(1, carried)
    assert.equal(0, answered)
    assert.equal(SECOND_ADDRESS, active(p.client).local_address)
    for _, path in ipairs(p.client:paths()) do assert.are_not.equal(THIRD, path.local_address) end
    p:free()
  end)
end)

describe("a client that migrates", function()
  -- covers: rfc9000#9.1.1 rfc9000#9.5.2 rfc9000#9.5.7 rfc9000#5.1.1.11 rfc9000#5.1.2.1
  it("goes on from the new address within a round trip, and its connection ID there is another", function()
    local p = pair()
    local first = active(p.client).cid
    local here = listen_in(p, net.CLIENT)
    assert.equal(0, p.client:migrate(SECOND_ADDRESS))
    p:settle(45 * MS)
    assert.equal(SECOND_ADDRESS, active(p.client).local_address)
    assert.equal(SECOND_ADDRESS, active(p.server).address)
    local other = active(p.client).cid
    assert.are_not.equal(first, other)
    assert.same({ "validated " .. SECOND_ADDRESS, "migrated " .. SECOND_ADDRESS }, events(p.client))
    assert.same({ "peer_migrated " .. net.SERVER }, events(p.server))
    for _, datagram in ipairs(here.up) do assert.equal(first, datagram.dcid) end
    -- The old path goes, and the connection ID with it.
    p:settle(8000 * MS)
    assert.equal(1, #p.client:paths())
    assert.equal(1, #p.server:paths())
    assert.is_true(p:transfer("client", ("x"):rep(100000)) ~= nil)
    p:free()
  end)

  -- covers: rfc9000#9.5.3
  it("is answered with a connection ID of its own that the server used nowhere else", function()
    local p = pair()
    local before = active(p.server).cid
    local seen = listen_in(p, SECOND_ADDRESS)
    p.client:migrate(SECOND_ADDRESS)
    p:settle()
    assert.is_true(#seen.down > 0)
    for _, datagram in ipairs(seen.down) do assert.are_not.equal(before, datagram.dcid) end
    p:free()
  end)

  -- covers: rfc9000#9.4.1 rfc9000#9.4.2
  it("begins with a congestion window and RTT of its own there, on both sides", function()
    local p = pair()
    assert(p:transfer("client", ("x"):rep(300000)))
    assert(p:transfer("server", ("x"):rep(300000)))
    assert.is_true(active(p.client).window > 20000)
    p.client:migrate(SECOND_ADDRESS, nil, AT_ONCE)
    assert.same({ 12000, 333 * MS }, { active(p.client).window, active(p.client).rtt })
    p:run(function() return active(p.server).address == SECOND_ADDRESS end)
    assert.same({ 12000 }, { active(p.server).window })
    p:free()
  end)

  -- covers: rfc9000#9.4.3
  it("keeps both where its port alone is another", function()
    local p = net.pair():handshake():add_addresses({ "198.51.100.7:50001" })
    assert(p:transfer("client", ("x"):rep(300000)))
    local before = active(p.client)
    p.client:migrate("198.51.100.7:50001", nil, AT_ONCE)
    assert.same({ before.window, before.rtt }, { active(p.client).window, active(p.client).rtt })
    p:free()
  end)

  it("gets its download whole, whatever the way", function()
    for seed, flags in ipairs({ 0, AT_ONCE, GONE, 0, AT_ONCE, GONE }) do
      local p = net.pair({ seed = seed, loss = seed > 3 and 0.05 or 0 }):handshake()
        :add_addresses({ SECOND_ADDRESS, THIRD })
      local start, step, run = p.now, 0, p.run
      local targets = { SECOND_ADDRESS, THIRD, SECOND_ADDRESS }
      function p:run(done, most)
        return run(self, function(x)
          local due = math.floor((x.now - start) / (60 * MS))
          if due > step and targets[step + 1] then
            local rc = x.client:migrate(targets[step + 1], nil, flags)
            if rc == 0 then step = step + 1 else assert.equal(NO_ID, rc) end
          end
          return done(x)
        end, most)
      end
      local data = ("neap"):rep(1000000)
      assert.is_true(p:transfer("server", data) == data, "seed " .. seed)
      assert.is_true(step >= 2, step)
      p:free()
    end
  end)

  -- covers: rfc9000#9.2.1
  it("may go at once, and falls back when nobody answers there", function()
    local p = pair()
    local lost = true
    p.on_datagram = function(_, _, address) if lost and address == SECOND_ADDRESS then return false end end
    p.client:migrate(SECOND_ADDRESS, nil, AT_ONCE)
    assert.equal(SECOND_ADDRESS, active(p.client).local_address)
    assert.equal(net.CLIENT, (p.client:addresses()))
    p:run(function() return active(p.client).local_address == net.CLIENT end, 10000 * MS)
    assert.same({ "migrated " .. SECOND_ADDRESS, "failed " .. SECOND_ADDRESS, "migrated " .. net.CLIENT },
      events(p.client))
    p:settle()
    assert.equal(net.CLIENT, active(p.server).address)
    assert(p:transfer("client", "hello"))
    p:free()
  end)

  it("stays where it is when the new path is not proved", function()
    local p = pair()
    p.on_datagram = function(_, _, address) if address == SECOND_ADDRESS then return false end end
    p.client:migrate(SECOND_ADDRESS)
    local data = ("x"):rep(50000)
    assert.equal(data, (p:transfer("server", data)))
    p:settle(5000 * MS)
    assert.same({ "failed " .. SECOND_ADDRESS }, events(p.client))
    assert.equal(net.CLIENT, active(p.client).local_address)
    p:free()
  end)

  it("sends anew at once what was under way from an address that is gone", function()
    local p = pair()
    local id = assert(p.client:open(false))
    p.client:stream_send(id, ("x"):rep(5000), true)
    p.on_datagram = function(_, _, address) if address == net.CLIENT then return false end end
    p:flush()
    p.client:migrate(SECOND_ADDRESS, nil, GONE)
    assert.equal(1, #p.client:paths())
    local got = 0
    assert.is_true(p:run(function()
      p.server:readable_next()
      local data = p.server:stream_recv(id)
      got = got + (data and #data or 0)
      return got == 5000
    end, 60 * MS))
    p:free()
  end)

  -- covers: rfc9000#8.2.4.3 rfc9000#9.6
  it("ends with NO_VIABLE_PATH where it went with no way back and nobody answers for long", function()
    local p = pair()
    p.on_datagram = function() return false end
    local begin = p.now
    p.client:migrate(SECOND_ADDRESS, nil, GONE)
    p:run(function() return p.client:info().closed or p.client:info().draining end, 60000 * MS)
    assert.equal(0x10, p.client:info().code)
    assert.is_true(p.now - begin > 14000 * MS and p.now - begin < 20000 * MS, p.now - begin)
    p:free()
  end)

  it("goes on where it went with no way back, and is answered late", function()
    local p = pair()
    local lost = true
    p.on_datagram = function() if lost then return false end end
    p.client:migrate(SECOND_ADDRESS, nil, GONE)
    p:settle(6000 * MS)
    assert.same({ "migrated " .. SECOND_ADDRESS, "failed " .. SECOND_ADDRESS }, events(p.client))
    lost = false
    assert.is_true(p:run(function() return find(p.client, "local_address", SECOND_ADDRESS).validated end, 10000 * MS))
    assert.same({ "validated " .. SECOND_ADDRESS }, events(p.client))
    assert(p:transfer("client", "hello"))
    p:free()
  end)

  it("stays when it is told to go back before the new path is proved", function()
    local p = pair()
    p.client:migrate(SECOND_ADDRESS)
    p:settle(5 * MS)
    assert.equal(0, p.client:migrate(net.CLIENT))
    p:settle()
    assert.same({ net.CLIENT, 1 }, { active(p.client).local_address, #p.client:paths() })
    assert(p:transfer("client", "hello"))
    p:free()
  end)

  it("goes without another round trip to a path that was proved just now", function()
    local p = pair()
    p.client:probe(SECOND_ADDRESS)
    p:settle()
    p.client:migrate(SECOND_ADDRESS)
    assert.equal(SECOND_ADDRESS, active(p.client).local_address)
    p:settle(11 * MS)
    assert.equal(SECOND_ADDRESS, active(p.server).address)
    p:free()
  end)

  it("counts it as a path change", function()
    local p = pair()
    p.client:migrate(SECOND_ADDRESS)
    p:settle()
    assert.equal(1, p.client:stats().path_changes)
    assert.equal(1, p.server:stats().path_changes)
    p:free()
  end)
end)

describe("a migration is refused", function()
  -- covers: rfc9000#9.1
  it("before the handshake is confirmed", function()
    local p = net.pair()
    assert.equal(STATE, p.client:migrate(SECOND_ADDRESS))
    assert.equal(STATE, p.client:probe(SECOND_ADDRESS))
    p:run(function() return p.client:info().established end)
    if not p.client:info().confirmed then assert.equal(STATE, p.client:migrate(SECOND_ADDRESS)) end
    p:free()
  end)

  -- covers: rfc9000#9.2 rfc9000#18.2.3
  it("where the server sent disable_active_migration", function()
    local p = pair({ server = { disable_active_migration = 1 } })
    assert.equal(REFUSED, p.client:migrate(SECOND_ADDRESS))
    assert.equal(REFUSED, p.client:probe(SECOND_ADDRESS))
    assert.equal(REFUSED, p.client:migrate(SECOND_ADDRESS, nil, GONE))
    p:free()
  end)

  it("where the client said so, to its server, of which nobody is bound to ask it", function()
    local p = pair({ client = { disable_active_migration = 1 } })
    assert.equal(0, p.client:migrate(SECOND_ADDRESS))
    p:settle()
    assert.equal(SECOND_ADDRESS, active(p.server).address)
    p:free()
  end)

  it("to servers, to addresses of another family or another server, and when the connection is over", function()
    local p = pair()
    assert.equal(ARGUMENT, p.server:migrate(SECOND_ADDRESS))
    assert.equal(ARGUMENT, p.client:migrate("[2001:db8::1]:1"))
    assert.equal(ARGUMENT, p.client:migrate(SECOND_ADDRESS, "192.0.2.99:443"))
    p.client:close(false, 0, "")
    assert.equal(CLOSED, p.client:migrate(SECOND_ADDRESS))
    p:free()
  end)

  -- covers: rfc9000#9.5.5
  it("to whom the peer has no connection IDs", function()
    local p = net.pair()
    p.scid = ""
    p:handshake()
    assert.equal(REFUSED, p.client:migrate(SECOND_ADDRESS))
    p:free()
  end)

  it("when each of the peer's connection IDs is used, and not any more when another came", function()
    local p = net.pair({ client = { active_connection_id_limit = 2 } }):handshake()
      :add_addresses({ SECOND_ADDRESS, THIRD })
    assert.equal(0, p.client:probe(SECOND_ADDRESS))
    assert.equal(NO_ID, p.client:probe(THIRD))
    p.on_datagram = function(_, _, address) if address == SECOND_ADDRESS then return false end end
    p:run(function() return #p.client:paths() == 1 end, 10000 * MS)
    p:settle()
    assert.equal(0, p.client:probe(THIRD))
    p:free()
  end)

  it("when there are four paths that are asked or in use", function()
    local p = net.pair({ client = { active_connection_id_limit = 8 } }):handshake()
    for i = 1, 3 do assert.equal(0, p.client:probe(("203.0.113.%d:1"):format(i))) end
    assert.equal(LIMIT, p.client:probe("203.0.113.4:1"))
    p:free()
  end)

  it("by no path that was only looked at: it gives way", function()
    local p = net.pair({ client = { active_connection_id_limit = 8 } }):handshake()
      :add_addresses({ "203.0.113.1:1", "203.0.113.2:1", "203.0.113.3:1", "203.0.113.4:1" })
    for i = 1, 3 do
      p.client:probe(("203.0.113.%d:1"):format(i))
      p:settle()
    end
    assert.equal(4, #p.client:paths())
    assert.equal(NO_ID, p.client:migrate("203.0.113.4:1")) -- until the one of the path that went is replaced
    assert.is_nil(find(p.client, "local_address", "203.0.113.1:1"))
    p:settle()
    assert.equal(0, p.client:migrate("203.0.113.4:1"))
    p:settle(1500 * MS) -- the server's side of it is asked a second time
    assert.equal("203.0.113.4:1", active(p.server).address)
    p:free()
  end)
end)

describe("the paths of a client", function()
  -- covers: rfc9000#9.7 rfc9000#9.6.1
  it("take nothing from an address that is not the server's", function()
    local p = pair()
    p.client:probe(SECOND_ADDRESS)
    p:settle()
    local before = p.client:stats()
    p.client:recv(p.server:inject(net.APPLICATION, bytes(1)), p.now, "192.0.2.66:443", nil, net.CLIENT)
    assert.equal(before.packets_received, p.client:stats().packets_received)
    assert.equal(before.packets_dropped + 1, p.client:stats().packets_dropped)
    p:free()
  end)

  -- covers: rfc9000#8.2.2.2
  it("answer a challenge at once, also while all that may be in flight is", function()
    local p = pair()
    p.client:probe(SECOND_ADDRESS)
    p:settle()
    local id = assert(p.client:open(false))
    p.on_datagram = function() return false end
    p.client:stream_send(id, ("x"):rep(1000000), false)
    p:flush()
    local seen = listen_in(p, SECOND_ADDRESS)
    p.client:recv(p.server:inject(net.APPLICATION, bytes(0x1a) .. "challeng"), p.now, net.SERVER, nil, SECOND_ADDRESS)
    p:flush()
    assert.equal(1, #seen.up)
    assert.equal(p.now, seen.up[1].at)
    p:free()
  end)

  -- covers: rfc9000#8.2.2.3 rfc9000#9.3.3.2
  it("answer a challenge where it came, on the active one with more than a probe", function()
    local p = pair()
    p.client:migrate(SECOND_ADDRESS)
    p:settle()
    local old = listen_in(p, net.CLIENT)
    p.client:recv(p.server:inject(net.APPLICATION, bytes(0x1a) .. "challeng"), p.now, net.SERVER, nil, net.CLIENT)
    p:settle(5 * MS)
    assert.equal(1, #old.up)
    assert.equal(1200, old.up[1].size)
    local new = listen_in(p, SECOND_ADDRESS)
    p.client:recv(p.server:inject(net.APPLICATION, bytes(0x1a) .. "challeng"), p.now, net.SERVER, nil, SECOND_ADDRESS)
    p:settle(15 * MS)
    assert.is_true(#new.up >= 1)
    -- The server's newest packet came from there, and was no probe: nothing leads it elsewhere.
    assert.equal(SECOND_ADDRESS, active(p.server).address)
    p:free()
  end)

  it("are told of eight events at most, and how many nobody took", function()
    local p = pair({ client = { active_connection_id_limit = 8 } })
    for i = 1, 5 do
      for _, address in ipairs({ SECOND_ADDRESS, net.CLIENT }) do
        while p.client:migrate(address, nil, AT_ONCE) ~= 0 do p:settle(100 * MS) end
        p:settle(100 * MS)
      end
      p:settle(i * MS)
    end
    local count, lost = 0, nil
    local kind, _, _, missed = p.client:path_event()
    while kind do
      count, lost = count + 1, missed
      kind, _, _, missed = p.client:path_event()
    end
    assert.equal(8, count)
    assert.is_true(lost > 0)
    p:free()
  end)

  -- covers: rfc9000#5.1.2.4
  it("that have no connection ID any more, because the peer retired all, go", function()
    local p = pair({ client = { active_connection_id_limit = 2 } })
    p.client:probe(SECOND_ADDRESS)
    p:settle(5 * MS)
    p:inject("server", net.APPLICATION, bytes(0x18, 9, 9, "\8" .. "newnewne") .. ("t"):rep(16))
    p:settle(50 * MS)
    assert.is_nil(find(p.client, "local_address", SECOND_ADDRESS))
    assert.equal("newnewne", active(p.client).cid)
    p:free()
  end)
end)
