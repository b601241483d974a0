local net = require("support.quic_net")

local MS = net.MS
local bytes = net.bytes

describe("a datagram", function()
  -- covers: rfc9000#8.1.4 rfc9000#14.1.1 rfc9000#14.1.2 rfc9001#9.3.1
  it("with an Initial has 1200 bytes", function()
    local p = net.pair({ loss = 0.2, seed = 4, filter = function(direction, datagram)
      local header = net.quic.header(datagram, 8)
      if header.type == 0 and direction == "up" then assert.is_true(#datagram >= 1200) end
      return datagram
    end })
    p:handshake()
    p:free()
  end)

  it("becomes as large as the config says, and as the peer takes", function()
    for _, case in ipairs({ { 1400, 65527, 1400 }, { 1400, 1300, 1300 }, { 1200, 65527, 1200 },
      { 9000, 65527, 9000 } }) do
      local most = 0
      local p = net.pair({
        client = { max_send_udp_payload_size = case[1] },
        server = { max_udp_payload_size = case[2] },
      })
      p:handshake()
      p.filter = function(direction, datagram)
        if direction == "up" then most = math.max(most, #datagram) end
        return datagram
      end
      assert(p:transfer("client", ("x"):rep(100000)))
      assert.equal(case[3], most)
      p:free()
    end
  end)

  it("needs room for 1200 bytes", function()
    local p = net.pair()
    assert.same({ nil, -5 }, { p.client:send(p.now, 1199) })
    assert.equal(1200, #p.client:send(p.now, 1200))
    p:free()
  end)

  it("leaves out an acknowledgement that can wait where that leaves no room for a frame that cannot be cut", function()
    local p = net.pair():handshake()
    for i = 0, 40 do p:inject("client", net.APPLICATION, "\1", { number = 1000 + 2 * i }) end
    p:flush() -- acknowledges many ranges
    p:inject("client", net.APPLICATION, "\1", { number = 1081 })
    local with_ack = 0
    for room = 64, 200, 4 do
      local id = p.server:open(false)
      p.server:stream_send(id, "x")
      p.server:shutdown(id, "write", 2 ^ 40) -- RESET_STREAM of 12 bytes
      local written, has_ack = p.server:draft(room)
      assert.is_true(written, room)
      with_ack = with_ack + (has_ack and 1 or 0)
    end
    assert.is_true(with_ack > 5 and with_ack < 35, with_ack)
    p:free()
  end)

  it("from a burst has the size of the first one, but for the last", function()
    local p = net.pair():handshake()
    local id = p.client:open(false)
    p.client:stream_send(id, ("x"):rep(11000), true)
    local burst, segment = p.client:burst(p.now)
    assert.equal(1200, segment)
    assert.is_true(#burst > 5 * 1200)
    for at = 1, #burst, segment do
      p.server:recv(burst:sub(at, math.min(at + segment - 1, #burst)), p.now)
    end
    assert.equal(#burst - 8, #burst - 8)
    assert.equal(0, p.server:stats().packets_dropped)
    p:free()
  end)

  it("of a burst keeps within its room", function()
    local p = net.pair():handshake()
    local id = p.client:open(false)
    p.client:stream_send(id, ("x"):rep(11000), true)
    assert.equal(2400, #p.client:burst(p.now, 3000))
    p:free()
  end)
end)

describe("the amplification limit", function()
  -- covers: rfc9000#8.1 rfc9000#8.1.2 rfc9000#8.1.3 rfc9000#14.1.6
  it("holds whatever is lost, until the client's address is proved", function()
    local limited = 0
    for seed = 1, 200 do
      local random = net.random(seed)
      local p = net.pair({ seed = seed, server = { initial_rtt = 1 + seed % 50 } })
      local received, sent = 0, 0
      p.filter = function(direction, datagram)
        if direction == "up" then
          -- Nothing after the first Initial proves the address.
          if p.sent.up > 1 then return random() < 0.3 and ("\64junk"):rep(1 + math.floor(random() * 50)) or nil end
          return datagram
        end
        sent = sent + #datagram
        return nil
      end
      local deliver = p.deliver
      function p:deliver(direction, datagram, address)
        if direction == "up" then received = received + #datagram end
        deliver(self, direction, datagram, address)
        self:flush()
        assert.is_true(sent <= 3 * received, "seed " .. seed)
      end
      p:run(nil, 3000 * MS)
      if p.server and seed % 2 == 0 then
        p.server:close(true, 1)
        for _ = 1, 50 do
          received = received + 5
          p.heard[net.CLIENT] = p.heard[net.CLIENT] + 5
          p.server:recv("\64junk", p.now)
          p:flush()
          assert.is_true(sent <= 3 * received, "closing, seed " .. seed)
        end
      end
      limited = limited + (p.server and p.server:floods().amplification_limited > 0 and 1 or 0)
      p:free()
    end
    assert.is_true(limited > 150, limited)
  end)

  it("counts a datagram once, whatever is in it", function()
    local p = net.pair()
    local first = p.client:send(p.now)
    p.server = net.quic.accept(p.server_config, first, "serverid", nil, net.SERVER, net.CLIENT, p.now)
    p.server:recv(first, p.now)
    -- Ten packets that do not open in one datagram.
    local junk = ("\224\0\0\0\1\8serverid\8" .. net.quic.header(first, 8).scid .. "\64\30" .. ("x"):rep(30)):rep(10)
    p.server:recv(junk, p.now)
    local sent = 0
    for _ = 1, 100 do
      p.now = p.now + 500 * MS
      p.server:on_timeout(p.now)
      while true do
        local datagram = p.server:send(p.now)
        if not datagram then break end
        sent = sent + #datagram
      end
      if p.now > 8000 * MS then break end
    end
    assert.is_true(sent <= 3 * (#first + #junk))
    assert.is_true(sent > #first)
    p:free()
  end)
end)

describe("data", function()
  -- covers: rfc9000#11.2.1
  it("goes through loss, reordering and duplication both ways", function()
    local data = ("0123456789abcdef"):rep(4096)
    for seed = 1, 60 do
      local p = net.pair({ seed = seed, loss = seed % 6 * 0.05, reorder = seed % 5 * 0.1, duplicate = seed % 3 * 0.1 })
      assert.is_true(p:run(function(x) return x.client:info().confirmed and x.server and x.server:info().confirmed end))
      assert.is_true(data == p:transfer("client", data), "up, seed " .. seed)
      assert.is_true(data == p:transfer("server", data), "down, seed " .. seed)
      p:free()
    end
  end)

  it("of a megabyte needs no more packets than it must where nothing is lost", function()
    local data = ("0123456789abcdef"):rep(65536)
    for seed = 1, 8 do
      local p = net.pair({ seed = seed }):handshake()
      local with_data = 0
      p.filter = function(direction, datagram)
        -- What is smaller only acknowledges.
        if direction == "down" and #datagram > 100 then with_data = with_data + 1 end
        return datagram
      end
      assert.is_true(data == p:transfer("server", data))
      assert.equal(0, p.server:stats().packets_lost)
      assert.is_true(with_data < 1.01 * #data / 1160, with_data)
      p:free()
    end
  end)

  it("is paced: no more than a burst leaves at once", function()
    local p = net.pair({ delay = 50 * MS }):handshake()
    assert(p:transfer("server", ("x"):rep(500000)))
    local most, at, count = 0, 0, 0
    p.filter = function(direction, datagram)
      if direction == "down" then
        if p.now ~= at then
          at, count = p.now, 0
        end
        count = count + #datagram
        most = math.max(most, count)
      end
      return datagram
    end
    local window = p.server:stats().window
    assert(p:transfer("server", ("x"):rep(1000000)))
    assert.is_true(most <= 65536 + 1200)
    assert.is_true(most < window)
    p:free()
  end)

  it("is not paced where the config says so", function()
    local p = net.pair({ delay = 50 * MS, server = { pacing = 0 } }):handshake()
    local id = p.server:open(false)
    p.server:stream_send(id, ("x"):rep(100000), true)
    assert.equal(10 * 1200, #p.server:burst(p.now))
    p:free()
  end)

  it("fills the congestion window and not more", function()
    local p = net.pair():handshake()
    local id = p.server:open(false)
    p.server:stream_send(id, ("x"):rep(200000), true)
    p.drop = function() return true end
    p:run(nil, 15 * MS)
    local stats = p.server:stats()
    assert.is_true(stats.in_flight <= stats.window)
    assert.is_true(stats.in_flight > stats.window - 1200)
    -- Acknowledgements are not held up by it.
    p:inject("client", net.APPLICATION, bytes(1, 1))
    p:inject("client", net.APPLICATION, bytes(1))
    local datagram = p.server:send(p.now)
    assert.is_true(#datagram < 100)
    p:free()
  end)
end)

describe("a packet number", function()
  it("is left out now and then", function()
    local p = net.pair():handshake()
    local before = p.server:stats()
    assert(p:transfer("server", ("x"):rep(2000000)))
    local after = p.server:stats()
    local left_out = (after.next_number - before.next_number) - (after.packets_sent - before.packets_sent)
    assert.is_true(left_out >= 5 and left_out <= 100, left_out)
    assert.equal(0, after.packets_lost)
    p:free()
  end)

  it("is left out as seldom as the window is large: a half to a whole window apart", function()
    local p = net.pair({ delay = 20 * MS }):handshake()
    local last, pairs_seen = p.server:stats(), 0
    for _ = 1, 60 do
      assert(p:transfer("server", ("x"):rep(40000)))
      local now = p.server:stats()
      if now.skip_at ~= last.skip_at then
        -- It was drawn between the two looks, with a window between theirs, of datagrams of 1200 to 1452 bytes.
        assert.is_true(now.skip_at - now.next_number <= math.max(16, now.window / 1200) + 1)
        assert.is_true(now.skip_at - last.skip_at >= math.floor(math.max(16, last.window / 1452) / 2))
        pairs_seen = pairs_seen + 1
      end
      last = now
    end
    assert.is_true(pairs_seen >= 3)
    p:free()
  end)

  -- covers: rfc9000#12.3.3
  it("near the last one ends the connection without a word", function()
    local p = net.pair():handshake()
    p.client:inject(net.APPLICATION, bytes(1), { number = 2 ^ 62 - 2 ^ 10 })
    p.client:inject(net.APPLICATION, bytes(1), { number = 2 ^ 62 - 2 ^ 9 + 448 })
    local id = p.client:open(false)
    p.client:stream_send(id, "x", true)
    assert.is_nil((p.client:send(p.now)))
    assert.is_true(p.client:info().closed)
    p:free()
  end)
end)
