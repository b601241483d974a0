local net = require("support.quic_net")

local MS, bytes = net.MS, net.bytes
local OTHER_PORT, OTHER_HOST = "198.51.100.7:50001", "203.0.113.9:4000"
local SPOOFED = "192.0.2.200:9"

local function active(p)
  for _, path in ipairs(p.server:paths()) do
    if path.is_active then return path end
  end
end

local function count(p) return #p.server:paths() end

--- A packet of the client's from `address`; a PING unless told.
local function say(p, address, frames)
  p:deliver("up", p.client:inject(net.APPLICATION, frames or bytes(1)), address)
end

--- Download `size` bytes while `during(p)` runs before each step; whether they came whole.
local function download(p, size, during, most)
  local data = ("neap"):rep(size / 4)
  local run = p.run
  function p:run(done, limit)
    return run(self, function(x)
      during(x)
      return done and done(x)
    end, limit)
  end
  local got = p:transfer("server", data, most)
  p.run = nil
  return got == data
end

--- A pair whose server has followed so many copies in vain that it asks before it follows another.
local function without_following()
  local p = net.pair():handshake()
  local changes, n = -1, 0
  while p.server:stats().path_changes > changes do
    changes, n = p.server:stats().path_changes, n + 1
    say(p, ("192.0.2.200:%d"):format(n))
  end
  p.now = p.now + 2000 * MS
  say(p, net.CLIENT)
  return p:settle()
end

--- Whoever sees the client's packets sends `copies` of each ahead of it, each from another of so many addresses.
local function overtaken(p, copies, addresses)
  local n = 0
  p.filter = function(direction, datagram)
    for _ = 1, direction == "up" and copies or 0 do
      n = n + 1
      p:deliver("up", datagram, ("192.0.2.%d:%d"):format(n % addresses % 250, 1000 + n % addresses))
    end
    return datagram
  end
end

describe("a client whose address changes", function()
  -- covers: rfc9000#9.3.1 rfc9000#9.4
  it("gets its download whole when the port changes, then the address", function()
    local p = net.pair():handshake()
    local start = p.now
    local addresses, at = { OTHER_PORT, OTHER_HOST, "203.0.113.9:4001", "203.0.113.10:4001" }, 0
    assert.is_true(download(p, 4000000, function()
      local number = math.floor((p.now - start) / (100 * MS))
      if number > at and addresses[number] then
        at = number
        p:rebind(addresses[number])
      end
    end))
    p.client:ping()
    p:settle()
    assert.is_true(at >= 3, at)
    assert.equal(p.address, (select(2, p.server:addresses())))
    assert.equal(at, p.server:stats().path_changes)
    p:free()
  end)

  it("gets its upload whole as well", function()
    local p = net.pair():handshake()
    p:rebind(OTHER_HOST)
    local data = ("x"):rep(1000000)
    assert.equal(data, (p:transfer("client", data)))
    assert.equal(OTHER_HOST, (select(2, p.server:addresses())))
    p:free()
  end)

  it("is followed with losses of a fifth in both directions", function()
    for seed = 1, 20 do
      local p = net.pair({ seed = seed, loss = 0.2 }):handshake()
      p:rebind(seed % 2 == 0 and OTHER_HOST or OTHER_PORT)
      local data = ("x"):rep(200000)
      p.client:ping()
      assert.is_true(data == p:transfer("server", data), "seed " .. seed)
      p:free()
    end
  end)

  -- covers: rfc9000#9.4.2
  it("has a controller and an RTT of its own when the host changes", function()
    local p = net.pair():handshake()
    assert(p:transfer("server", ("x"):rep(200000)))
    local before = active(p)
    assert.is_true(before.window > 20000)
    say(p, OTHER_HOST)
    local path = active(p)
    assert.same({ OTHER_HOST, 12000, 333 * MS }, { path.address, path.window, path.rtt })
    p:free()
  end)

  -- covers: rfc9000#9.4.3
  it("keeps both when it is the port alone", function()
    local p = net.pair():handshake()
    assert(p:transfer("server", ("x"):rep(200000)))
    local before = active(p)
    say(p, OTHER_PORT)
    local path = active(p)
    assert.same({ OTHER_PORT, before.window, before.rtt }, { path.address, path.window, path.rtt })
    p:free()
  end)

  -- covers: rfc9000#9.5.4
  it("keeps the peer's connection ID when the client did not change its own", function()
    local p = net.pair():handshake()
    local before = active(p).cid
    say(p, OTHER_HOST)
    assert.equal(before, active(p).cid)
    p:free()
  end)

  it("is followed also where it was told to stay: a NAT asks nobody", function()
    local p = net.pair({ server = { disable_active_migration = 1 } }):handshake()
    p:rebind(OTHER_HOST)
    local data = ("x"):rep(100000)
    p.client:ping()
    assert.equal(data, (p:transfer("server", data)))
    p:free()
  end)

  it("is reported to the application when its address is proved, not before", function()
    local p = net.pair():handshake()
    say(p, OTHER_HOST)
    assert.equal(net.CLIENT, (select(2, p.server:addresses())))
    p:rebind(OTHER_HOST)
    p:settle(300 * MS)
    assert.equal(OTHER_HOST, (select(2, p.server:addresses())))
    p:free()
  end)

  it("leaves one path when all is over", function()
    local p = net.pair():handshake()
    p:rebind(OTHER_HOST)
    p.client:ping()
    p:settle(10000 * MS)
    assert.equal(1, count(p))
    assert.same({ OTHER_HOST, true }, { active(p).address, active(p).validated })
    p:free()
  end)
end)

describe("a path that is not proved", function()
  -- covers: rfc9000#8.2.1.5
  it("is asked in a datagram of 1200 bytes where the limit allows it", function()
    local p = net.pair():handshake()
    p:deliver("up", p.client:inject(net.APPLICATION, bytes(1), { pad = 500 }), OTHER_HOST)
    local sizes = {}
    for _ = 1, 10 do
      local datagram, segment, to = p.server:burst(p.now)
      if not datagram then break end
      if to == OTHER_HOST then sizes[#sizes + 1] = segment end
    end
    assert.equal(1200, sizes[1])
    p:free()
  end)

  -- covers: rfc9000#8.2.1.7 rfc9000#8.2.2.6 rfc9000#8.2.2.7
  it("is answered whatever the size of the challenge, in no more than what amplification allows", function()
    local p = net.pair():handshake()
    local challenge = p.client:inject(net.APPLICATION, bytes(0x1a) .. "challeng")
    assert.is_true(#challenge < 60)
    p:deliver("up", challenge, OTHER_HOST)
    local sent, count_of = 0, 0
    for _ = 1, 10 do
      local datagram, _, to = p.server:burst(p.now)
      if not datagram then break end
      if to == OTHER_HOST then sent, count_of = sent + #datagram, count_of + 1 end
    end
    assert.is_true(count_of >= 1 and sent <= 3 * #challenge, sent)
    p:free()
  end)

  -- covers: rfc9000#9.3
  it("is followed where the server asked its clients not to migrate: it may be a NAT's doing", function()
    local p = net.pair({ server = { disable_active_migration = 1 } }):handshake()
    p:rebind(OTHER_HOST)
    p.client:ping()
    p:settle(300 * MS)
    assert.same({ OTHER_HOST, true }, { active(p).address, active(p).validated })
    p:free()
  end)

  -- covers: rfc9000#8.2.1.6 rfc9000#8.2.3.1
  it("is asked in a small one first where it does not, and for the size afterwards", function()
    local p = net.pair():handshake()
    local sizes = {}
    p.filter = function(direction, datagram)
      if direction == "down" then sizes[#sizes + 1] = #datagram end
      return datagram
    end
    p:rebind(OTHER_HOST)
    say(p, OTHER_HOST)
    p:settle(25 * MS)
    local small = {}
    for _, size in ipairs(sizes) do
      if size < 1200 then small[#small + 1] = size end
    end
    assert.is_true(#small > 0)
    p:settle(300 * MS)
    assert.is_true(active(p).validated)
    p:settle(5000 * MS)
    assert.same({ OTHER_HOST, 1 }, { active(p).address, count(p) })
    p:free()
  end)

  -- covers: rfc9000#8.2.4.1 rfc9000#9.3.2.1
  it("is given up after three probe timeouts, for the last one that was", function()
    local p = net.pair():handshake()
    say(p, OTHER_HOST)
    assert.equal(OTHER_HOST, active(p).address)
    local start = p.now
    -- Nobody answers there; the client itself says nothing.
    p.filter = function() return false end
    p:run(function() return active(p).address == net.CLIENT end, 20000 * MS)
    assert.equal(net.CLIENT, active(p).address)
    assert.is_true(p.now - start >= 2900 * MS and p.now - start < 3300 * MS, (p.now - start) / MS)
    p.filter = nil
    assert.equal("abc", (p:transfer("server", "abc")))
    p:settle(20000 * MS)
    assert.equal(1, count(p))
    p:free()
  end)

  -- The answers are lost, and a client that only listens says nothing more from its new address.
  it("is asked for a while after it was given up, and followed when the answer comes after all", function()
    local p = net.pair():handshake()
    local id = p.server:open(false)
    p:rebind(OTHER_HOST)
    p:deliver("up", p.client:inject(net.APPLICATION, bytes(1), { pad = 1200 }), OTHER_HOST)
    local until_then = p.now + 5000 * MS
    p.filter = function(_, datagram) return p.now > until_then and datagram end
    p:run(function() return active(p).address == net.CLIENT end, 4000 * MS)
    assert.equal(net.CLIENT, active(p).address)
    p.server:stream_send(id, "abc", true)
    p:run(function() return active(p).address == OTHER_HOST end, 15000 * MS)
    assert.is_true(active(p).validated)
    assert.equal("abc", (p:transfer("server", "abc")))
    p:free()
  end)

  it("is asked again when the answer does not come, ever later", function()
    local p = net.pair():handshake()
    say(p, OTHER_PORT, bytes(1) .. ("\0"):rep(1000))
    local times = {}
    p.filter = function(direction)
      if direction == "down" then times[#times + 1] = p.now end
      return false
    end
    p:run(nil, 2900 * MS)
    local sent = 0
    for n = 2, #times do
      if times[n] > times[n - 1] then sent = sent + 1 end
    end
    assert.is_true(sent >= 3 and sent <= 24, sent)
    p:free()
  end)

  -- Everything that it sent since it moved is in flight for it.
  it("is answered by a client whose congestion window is full", function()
    local p = without_following()
    p:rebind(OTHER_HOST)
    local id = p.client:open(false)
    p.client:stream_send(id, ("x"):rep(50000), true)
    p:run(function() return active(p).address == OTHER_HOST end, 45 * MS)
    assert.same({ OTHER_HOST, true }, { active(p).address, active(p).validated })
    p:free()
  end)

  it("is asked for a while where it was not followed, and followed when the answer comes after all", function()
    local p = without_following()
    p:rebind(OTHER_HOST)
    for _ = 1, 2 do
      p:deliver("up", p.client:inject(net.APPLICATION, bytes(1), { pad = 1200 }), OTHER_HOST)
    end
    local until_then = p.now + 5000 * MS
    p.filter = function(_, datagram) return p.now > until_then and datagram end
    p:run(function() return active(p).address == OTHER_HOST end, 12000 * MS)
    assert.same({ OTHER_HOST, true }, { active(p).address, active(p).validated })
    p:free()
  end)

  it("is not proved by data that was not sent", function()
    local p = net.pair():handshake()
    say(p, OTHER_HOST, bytes(1, 0x1b, "12345678"))
    assert.is_false(active(p).validated)
    assert.equal("none", p.server:info().by)
    p:free()
  end)
end)

describe("packets from another address", function()
  -- covers: rfc9000#9.3.3.1
  it("have the old path asked as well", function()
    local p = net.pair():handshake()
    say(p, OTHER_HOST)
    local to = {}
    for _ = 1, 10 do
      local datagram, segment, address = p.server:burst(p.now)
      if not datagram then break end
      to[address] = segment
    end
    assert.equal(1200, to[net.CLIENT])
    p:free()
  end)

  it("have the last one that was proved asked, also when they lead from a path that is not", function()
    local p = net.pair():handshake()
    say(p, OTHER_HOST)
    local function told_client()
      local largest
      while true do
        local datagram, _, to = p.server:burst(p.now)
        if not datagram then return largest end
        if to == net.CLIENT then largest = datagram end
      end
    end
    -- The client answers, but a copy is faster, from yet another address.
    p.client:recv(told_client(), p.now)
    p:deliver("up", p.client:send(p.now), SPOOFED)
    assert.equal(SPOOFED, active(p).address)
    assert.equal(1200, #told_client())
    p:free()
  end)

  it("that are old do not lead back", function()
    local p = net.pair():handshake()
    local late = p.client:inject(net.APPLICATION, bytes(1))
    p:rebind(OTHER_HOST)
    say(p, OTHER_HOST)
    p:deliver("up", late, net.CLIENT)
    assert.equal(OTHER_HOST, active(p).address)
    p:free()
  end)

  -- covers: rfc9000#8.2.2.3
  it("that only probe are answered there, and do not move the connection", function()
    local p = net.pair():handshake()
    p:deliver("up", p.client:inject(net.APPLICATION, bytes(0x1a, "12345678"), { pad = 1200 }), OTHER_HOST)
    assert.equal(net.CLIENT, active(p).address)
    local datagram, _, to = p.server:burst(p.now)
    assert.same({ OTHER_HOST, 1200 }, { to, #datagram })
    p:settle(10000 * MS)
    assert.same({ 1, net.CLIENT, 0 }, { count(p), active(p).address, p.server:stats().path_changes })
    p:free()
  end)

  it("come in a flood: few are followed, no more than the table has room for", function()
    local p = net.pair():handshake()
    for n = 1, 1000 do
      say(p, ("203.0.113.%d:%d"):format(n % 250 + 1, n))
      p.now = p.now + MS
    end
    assert.is_true(count(p) <= 4)
    assert.is_true(p.server:stats().path_changes <= 10, p.server:stats().path_changes)
    assert.is_true(p.server:floods().paths_refused > 0)
    p:settle(20000 * MS)
    assert.equal("none", p.server:info().by)
    assert.equal("abc", (p:transfer("client", "abc")))
    assert.equal(net.CLIENT, active(p).address)
    p:free()
  end)

  -- covers: rfc9000#9.3.2.1 rfc9000#9.3.2
  it("may be copies that somebody sends in the client's name: the transfer comes whole", function()
    for seed = 1, 5 do
      local p = net.pair({ seed = seed }):handshake()
      local random, copied = net.random(seed), 0
      p.filter = function(direction, datagram)
        -- The copy is first: it comes from an address where nobody is.
        if direction == "up" and random() < 0.2 then
          copied = copied + 1
          p:deliver("up", datagram, SPOOFED)
        end
        return datagram
      end
      local data = ("x"):rep(2500000)
      assert.equal(data, (p:transfer("server", data)), "seed " .. seed)
      assert.is_true(copied > 10)
      assert.is_true((p.told[SPOOFED] or 0) <= 3 * p.heard[SPOOFED])
      p.filter = nil
      p:settle(30000 * MS)
      assert.same({ 1, net.CLIENT }, { count(p), active(p).address })
      p:free()
    end
  end)

  -- covers: rfc9000#9.3.2.1
  it("may be copies of nearly all, from one address or many: the server soon asks before it follows", function()
    for _, addresses in ipairs({ 1, 3, 1000 }) do
      for _, share in ipairs({ 0.5, 0.9 }) do
        local p = net.pair({ seed = 3, delay = 20 * MS }):handshake()
        local random, copied = net.random(5), 0
        p.filter = function(direction, datagram)
          if direction == "up" and random() < share then
            copied = copied + 1
            p:deliver("up", datagram, ("192.0.2.%d:%d"):format(100 + copied % addresses % 100, copied % addresses + 1))
          end
          return datagram
        end
        local data, start = ("neap"):rep(125000), p.now
        local name = ("%d addresses, %g of all"):format(addresses, share)
        assert.is_true(data == p:transfer("server", data), name)
        assert.is_true(data == p:transfer("client", data), name)
        assert.is_true(copied > 100, copied)
        assert.is_true(p.server:stats().path_changes <= 12, name .. ": " .. p.server:stats().path_changes)
        assert.is_true(p.now - start < 8000 * MS, name .. ": " .. (p.now - start) / MS)
        p:free()
      end
    end
  end)

  -- covers: rfc9000#9.3.2.1
  it("may be copies of all, faster than the client's own: where these come from is asked", function()
    local p = net.pair():handshake()
    p.filter = function(direction, datagram)
      if direction == "up" then p:deliver("up", datagram, SPOOFED) end
      return datagram
    end
    p:rebind(OTHER_HOST)
    p.client:ping()
    p:settle(1000 * MS)
    assert.same({ OTHER_HOST, true }, { active(p).address, active(p).validated })
    local data = ("x"):rep(100000)
    assert.equal(data, (p:transfer("server", data)))
    p:free()
  end)

  -- covers: rfc9000#9.3.3.1
  it("may be several copies of each of the client's, all faster: it is found where it moved to", function()
    for _, copies in ipairs({ 1, 2, 3, 5 }) do
      for _, addresses in ipairs({ 7, 50000 }) do
        for seed = 1, 3 do
          local p = net.pair({ seed = seed }):handshake()
          overtaken(p, copies, addresses)
          local start, moved, pinged = p.now, false, p.now
          local whole = download(p, 1000000, function()
            if not moved and p.now - start > 60 * MS then
              moved = true
              p:rebind(OTHER_HOST)
            end
            if p.now - pinged > 1000 * MS then
              pinged = p.now
              p.client:ping()
            end
          end, 60000 * MS)
          local name = ("%d copies, %d addresses, seed %d"):format(copies, addresses, seed)
          assert.same({ true, true }, { moved, whole }, name)
          p:free()
        end
      end
    end
  end)

  it("that were here already are not followed before the address is proved", function()
    local p = net.pair():handshake()
    local ping = p.client:inject(net.APPLICATION, bytes(1))
    p:deliver("up", ping, net.CLIENT)
    p:deliver("up", ping, OTHER_HOST)
    assert.same({ net.CLIENT, 2 }, { active(p).address, count(p) })
    -- At most one new address a second.
    p:deliver("up", ping, SPOOFED)
    assert.equal(2, count(p))
    p.now = p.now + 1000 * MS
    -- Two came since the last was drawn, at most: it is one of as many.
    p:deliver("up", ping, SPOOFED)
    p:deliver("up", ping, SPOOFED)
    assert.equal(3, count(p))
    p:settle(20000 * MS)
    assert.same({ 1, net.CLIENT, 0 }, { count(p), active(p).address, p.server:stats().path_changes })
    p:free()
  end)

  it("that were here already keep their path while copies come from ever new addresses", function()
    local p = without_following()
    p.now = p.now + 10000 * MS
    local ping = p.client:inject(net.APPLICATION, bytes(1))
    p:deliver("up", ping, net.CLIENT)
    p:deliver("up", ping, OTHER_HOST)
    p.now = p.now + 500 * MS
    for n = 1, 20 do say(p, ("192.0.2.%d:9"):format(n)) end
    local is_known = false
    for _, path in ipairs(p.server:paths()) do is_known = is_known or path.address == OTHER_HOST end
    assert.is_true(is_known)
    assert.equal(4, count(p))
    p:free()
  end)

  it("that were here already and only probed, or are not the newest, leave nothing behind", function()
    local p = net.pair():handshake()
    local old = p.client:inject(net.APPLICATION, bytes(1))
    local probe = p.client:inject(net.APPLICATION, bytes(0x1a, "12345678"), { pad = 1200 })
    for _, datagram in ipairs({ old, probe }) do
      p:deliver("up", datagram, net.CLIENT)
    end
    for _, datagram in ipairs({ old, probe }) do
      p:deliver("up", datagram, OTHER_HOST)
    end
    assert.equal(1, count(p))
    p:free()
  end)

  it("get a path when the client moved, however many copies came while it was there", function()
    local p = net.pair():handshake()
    for n = 1, 100 do
      say(p, ("192.0.2.%d:%d"):format(n % 100 + 100, n))
      say(p, net.CLIENT)
    end
    p:run(nil, 300 * MS)
    p:rebind(OTHER_HOST)
    p.client:ping()
    p:settle(300 * MS)
    assert.same({ OTHER_HOST, true }, { active(p).address, active(p).validated })
    p:free()
  end)

  it("are asked when they come again, and followed when they answer", function()
    local p = net.pair():handshake()
    say(p, OTHER_HOST)
    say(p, net.CLIENT)
    say(p, OTHER_HOST)
    assert.equal(net.CLIENT, active(p).address)
    p:rebind(OTHER_HOST)
    p:settle(300 * MS)
    assert.same({ OTHER_HOST, true }, { active(p).address, active(p).validated })
    p:free()
  end)

  it("may be forwarded both ways by somebody on the side, who does not keep the connection", function()
    local p = net.pair():handshake()
    -- A better route: its copies are always first, and it brings what is sent to it to the client.
    p.filter = function(direction, datagram)
      if direction == "up" then p:deliver("up", datagram, SPOOFED) end
      return datagram
    end
    local deliver = p.deliver
    function p:deliver(direction, datagram, address)
      return deliver(self, direction, datagram, direction == "down" and address == SPOOFED and self.address or address)
    end
    assert.equal("abc", (p:transfer("server", "abc")))
    p.filter, p.deliver = nil, nil
    local data = ("x"):rep(100000)
    p.client:ping()
    assert.equal(data, (p:transfer("server", data)))
    assert.equal(net.CLIENT, active(p).address)
    p:free()
  end)

  it("lead nowhere before the handshake is confirmed", function()
    local p = net.pair()
    p:run(function(x) return x.client:info().established end)
    local before = p.server:stats().packets_received
    p.server:recv(p.client:inject(net.HANDSHAKE, bytes(1)), p.now, OTHER_HOST)
    assert.same({ before + 1, 1 }, { p.server:stats().packets_received, count(p) })
    p.server:recv(p.client:inject(net.APPLICATION, bytes(1)), p.now, OTHER_HOST)
    assert.same({ before + 1, 1 }, { p.server:stats().packets_received, count(p) })
    p:free()
  end)

  it("find no path without memory for one, and are read all the same", function()
    local p = net.pair():handshake()
    p.server_config:fail_at(1)
    say(p, OTHER_HOST)
    p.server_config:fail_at(-1)
    assert.equal("none", p.server:info().by)
    assert.equal("abc", (p:transfer("client", "abc")))
    p:free()
  end)

  it("use up no connection ID of the client's while there is no memory for a path", function()
    local p = net.pair():handshake()
    for n = 1, 6 do
      p.server_config:fail_at(1)
      p:deliver("up", p.client:inject(net.APPLICATION, bytes(1), { dcid = 1 }), "203.0.113.9:400" .. n)
      p.server_config:fail_at(-1)
      assert.equal(1, count(p))
    end
    p:deliver("up", p.client:inject(net.APPLICATION, bytes(1), { dcid = 1 }), OTHER_HOST)
    local paths = p.server:paths()
    assert.equal(2, #paths)
    assert.not_equal(paths[1].cid, paths[2].cid)
    p:free()
  end)
end)

describe("a client that moves on purpose", function()
  local function new_connection_id(sequence, retire_prior_to, id)
    return bytes(0x18, sequence, retire_prior_to, 8) .. id:rep(8) .. id:rep(16)
  end

  local function cids(p)
    local of = {}
    for _, path in ipairs(p.server:paths()) do of[path.address] = path.cid end
    return of
  end

  -- covers: rfc9000#9.5.3
  it("is sent no connection ID at two addresses when it retires all that there were", function()
    local p = net.pair():handshake()
    local frames = new_connection_id(20, 20, "a") .. new_connection_id(21, 20, "b")
    p:deliver("up", p.client:inject(net.APPLICATION, bytes(1), { dcid = 1, pad = 1200 }), OTHER_HOST)
    p:deliver("up", p.client:inject(net.APPLICATION, frames, { dcid = 1 }), OTHER_HOST)
    assert.same({ [OTHER_HOST] = ("a"):rep(8), [net.CLIENT] = ("b"):rep(8) }, cids(p))
    p:free()
  end)

  -- covers: rfc9000#9.5.3
  it("is sent another at its old address as soon as there is one", function()
    local p = net.pair():handshake()
    p:deliver("up", p.client:inject(net.APPLICATION, bytes(1), { dcid = 1, pad = 1200 }), OTHER_HOST)
    p:deliver("up", p.client:inject(net.APPLICATION, new_connection_id(20, 20, "a"), { dcid = 1 }), OTHER_HOST)
    p:deliver("up", p.client:inject(net.APPLICATION, new_connection_id(21, 20, "b"), { dcid = 1 }), OTHER_HOST)
    assert.same({ [OTHER_HOST] = ("a"):rep(8), [net.CLIENT] = ("b"):rep(8) }, cids(p))
    p:free()
  end)

  -- covers: rfc9000#9.5.3
  it("is not sent at the address in use what goes to the other one, when the ID in use is retired", function()
    local p = net.pair():handshake()
    for _, frames in ipairs({ new_connection_id(20, 20, "a"), new_connection_id(21, 20, "b") }) do
      p:deliver("up", p.client:inject(net.APPLICATION, frames, { dcid = 0 }), net.CLIENT)
    end
    p:deliver("up", p.client:inject(net.APPLICATION, bytes(1), { dcid = 1, pad = 1200 }), OTHER_HOST)
    assert.same({ [OTHER_HOST] = ("b"):rep(8), [net.CLIENT] = ("a"):rep(8) }, cids(p))
    for _, frames in ipairs({ bytes(1), new_connection_id(22, 21, "c") }) do
      p:deliver("up", p.client:inject(net.APPLICATION, frames, { dcid = 0 }), net.CLIENT)
    end
    assert.same({ [OTHER_HOST] = ("b"):rep(8), [net.CLIENT] = ("c"):rep(8) }, cids(p))
    p:free()
  end)
end)
