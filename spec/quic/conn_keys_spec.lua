local net = require("support.quic_net")

local MS = net.MS
local bytes = net.bytes
local KEY_UPDATE_ERROR, AEAD_LIMIT_REACHED = 0x0e, 0x0f

--- A confirmed pair that has exchanged 1-RTT packets both ways.
local function pair(options)
  local p = net.pair(options):handshake()
  assert(p:transfer("client", "hello"))
  assert(p:transfer("server", "hello"))
  return p:settle(300 * MS)
end

describe("a key update", function()
  -- covers: rfc9001#6.2.1 rfc9001#6.2.2 rfc9001#6.3.5 rfc9001#6.4.1
  it("is followed by the other side, and data goes on", function()
    local p = pair()
    local data = ("x"):rep(50000)
    for round = 1, 4 do
      local from = round % 2 == 1 and "client" or "server"
      assert.is_true(p[from]:update_keys())
      assert.equal(data, p:transfer("client", data))
      assert.equal(data, p:transfer("server", data))
      -- Both have to see packets of the new phase acknowledged before the next update.
      assert(p:settle(300 * MS):transfer("client", "x"))
      assert(p:settle(300 * MS):transfer("server", "x"))
      p:settle(300 * MS)
      assert.equal(round, p.client:stats().key_updates)
      assert.equal(round, p.server:stats().key_updates)
    end
    p:free()
  end)

  it("goes through loss, reordering and duplication", function()
    for seed = 1, 20 do
      local p = net.pair({ seed = seed, loss = 0.1, reorder = 0.3, duplicate = 0.1 })
      assert.is_true(p:run(function(x) return x.client:info().confirmed and x.server:info().confirmed end))
      local data = ("x"):rep(30000)
      for _ = 1, 3 do
        p.client:update_keys()
        assert.equal(data, p:transfer("client", data))
        p.server:update_keys()
        assert.equal(data, p:transfer("server", data))
      end
      assert.equal("none", p.client:info().by)
      assert.is_true(p.client:stats().key_updates >= 2)
      p:free()
    end
  end)

  -- covers: rfc9001#6.1.1 rfc9001#6.1.2
  it("is not begun before the handshake is confirmed, nor before the last one is acknowledged", function()
    local p = net.pair()
    p:run(function(x) return x.client:info().established end)
    assert.is_false(p.client:update_keys())
    p:handshake()
    p:transfer("client", "hello")
    p:settle(300 * MS)
    assert.is_true(p.client:update_keys())
    assert.is_false(p.client:update_keys())
    p:free()
  end)

  -- covers: rfc9001#6.5.3
  it("waits for three probe timeouts after the last was acknowledged, so that the peer has its next keys", function()
    local p = pair()
    assert.is_true(p.client:update_keys())
    assert(p:transfer("client", "hello"))
    assert.same({ 1, 1 }, { p.client:stats().key_updates, p.server:stats().key_updates })
    local since = p.now
    while not p.client:update_keys() do p:settle(1 * MS) end
    local waited = (p.now - since) / MS
    assert.is_true(waited > 100 and waited < 400, waited)
    p:free()
  end)

  it("may follow one that was answered with nothing but acknowledgements", function()
    local p = pair()
    for round = 1, 6 do
      -- Nothing that the client sends asks for an ACK, so that it gets none under the new keys.
      assert.is_true(p.server:update_keys(), round)
      assert(p:transfer("server", "x"))
      p:settle(300 * MS)
      assert.equal("none", p.server:info().by)
      assert.equal(round, p.client:stats().key_updates)
    end
    p:free()
  end)

  it("twice without waiting is KEY_UPDATE_ERROR", function()
    local p = pair()
    p.client:force_update()
    p:inject("client", net.APPLICATION, bytes(1))
    p.client:force_update()
    p:inject("client", net.APPLICATION, bytes(1))
    assert.equal(KEY_UPDATE_ERROR, p.server:info().code)
    p:free()
  end)

  it("is one of few: who updates as often as it may, and sends nothing else, is told so", function()
    local p = pair()
    local updates = 0
    while p.server:info().by == "none" and updates < 1000 do
      updates = updates + 1
      p.client:force_update()
      p:inject("client", net.APPLICATION, bytes(1))
      p:settle(40 * MS) -- its acknowledgement comes
    end
    assert.same({ 0x0a, "too many packets that bring nothing" }, { p.server:info().code, p.server:info().reason })
    assert.is_true(updates > 60 and updates < 120, updates)
    p:free()
  end)

  it("that is acknowledged under old keys is KEY_UPDATE_ERROR", function()
    local p = pair()
    assert.is_true(p.server:update_keys())
    local id = p.server:open(false)
    p.server:stream_send(id, "new keys", true)
    assert.is_truthy((p.server:send(p.now)))
    local last = p.server:stats().next_number - 1
    p:inject("client", net.APPLICATION, bytes(0x02, last, 0, 0, 0))
    assert.equal(KEY_UPDATE_ERROR, p.server:info().code)
    p:free()
  end)

  -- covers: rfc9001#6.1.3
  it("leaves the old keys for packets that come late, for a while", function()
    local p = pair()
    local late = p.client:inject(net.APPLICATION, bytes(1))
    local later = p.client:inject(net.APPLICATION, bytes(1))
    p.client:force_update()
    p:inject("client", net.APPLICATION, bytes(1))
    local before = p.server:stats().packets_received
    p.server:recv(late, p.now)
    assert.equal(before + 1, p.server:stats().packets_received)
    p.now = p.now + 1000 * MS
    p.server:on_timeout(p.now)
    p.server:recv(later, p.now)
    assert.equal(before + 1, p.server:stats().packets_received)
    p:free()
  end)

  it("without memory for the old keys drops what comes late, and nothing else", function()
    local lost = 0
    for at = 1, 8 do
      local p = pair()
      local late = p.client:inject(net.APPLICATION, bytes(1))
      p.client:force_update()
      p.server_config:fail_at(at)
      p:inject("client", net.APPLICATION, bytes(1))
      p.server_config:fail_at(-1)
      assert.equal(1, p.server:stats().key_updates, "allocation " .. at)
      local before = p.server:stats().packets_received
      p.server:recv(late, p.now)
      lost = lost + before + 1 - p.server:stats().packets_received
      assert.equal("hello", p:transfer("client", "hello"))
      assert.equal("hello", p:transfer("server", "hello"))
      assert.equal("none", p.server:info().by)
      p:free()
    end
    assert.equal(1, lost)
  end)

  -- covers: rfc9001#6.4.2 rfc9001#5.5.1
  it("is behind us for higher numbers: nothing of the old keys is taken above what came under new ones", function()
    local p = pair()
    local high = p.client:inject(net.APPLICATION, bytes(1), { number = 1000 })
    p.client:force_update()
    p:inject("client", net.APPLICATION, bytes(1), { number = 500 })
    assert.equal(1, p.server:stats().key_updates)
    local before = p.server:stats().packets_received
    p.server:recv(high, p.now)
    assert.equal(before, p.server:stats().packets_received)
    assert.equal(1, p.server:stats().key_updates)
    p:free()
  end)

  it("for a number from before the phase that it ends is KEY_UPDATE_ERROR", function()
    local p = pair()
    p.client:force_update()
    p:inject("client", net.APPLICATION, bytes(1), { number = 500 })
    p:settle(2000 * MS) -- the keys before are gone
    assert.equal("none", p.server:info().by)
    p.client:force_update()
    p:inject("client", net.APPLICATION, bytes(1), { number = 400 })
    assert.equal(KEY_UPDATE_ERROR, p.server:info().code)
    p:free()
  end)

  -- covers: rfc9001#5.5.2
  it("that does not open changes nothing", function()
    local p = pair()
    local packet = p.client:inject(net.APPLICATION, bytes(1), { bits = 0x04 })
    p.server:recv(packet, p.now)
    assert.equal(0, p.server:stats().key_updates)
    assert.equal("hello", p:transfer("client", "hello"))
    p:free()
  end)
end)

describe("the use of one key", function()
  it("for packets that do not open leaves nothing in an idle connection's memory", function()
    local p = pair()
    local forged = p.client:inject(net.APPLICATION, bytes(1), { pad = 100 })
    forged = forged:sub(1, -2) .. string.char((forged:byte(-1) + 1) % 256)
    local function wait()
      p:run(function() return false end, 3000 * MS)
      return p.server_config:memory().live
    end
    local idle = wait()
    for _ = 1, 3 do
      p.server:recv(forged, p.now)
      assert.is_true(p.server_config:memory().live > idle)
      assert.equal(idle, wait())
    end
    p:free()
  end)

  -- covers: rfc9001#6.6.1 rfc9001#6.6.3 rfc9001#5.3.3
  it("ends with an update of our own, far below its limit", function()
    local p = pair()
    p.client:set_use(2 ^ 22 - 3, 0)
    local data = ("x"):rep(100000)
    assert.equal(data, p:transfer("client", data))
    p:settle(300 * MS)
    assert.equal(1, p.client:stats().key_updates)
    assert.equal(1, p.server:stats().key_updates)
    p:free()
  end)

  -- Six rounds of 200,000 bytes from one side, with time for an update after each: how many updates there are.
  local function updates(side, options)
    local p = pair({ [side] = options })
    local data = ("x"):rep(200000)
    for _ = 1, 6 do
      assert.equal(data, p:transfer(side, data))
      p:settle(300 * MS)
    end
    local client, server = p.client:stats().key_updates, p.server:stats().key_updates
    assert.equal("none", p.client:info().by)
    p:free()
    assert.is_true(math.abs(client - server) <= 1) -- who begins one may not have told yet
    return math.min(client, server)
  end

  it("ends after as many packets as the option says, on either side", function()
    for _, side in ipairs({ "client", "server" }) do
      local count = updates(side, { key_update_packets = 100 })
      assert.is_true(count >= 5 and count <= 7, count)
      assert.near(3, updates(side, { key_update_packets = 290 }), 1)
      assert.equal(0, updates(side, { key_update_packets = 2000 }))
    end
  end)

  it("ends after as many bytes as the option says", function()
    assert.near(3, updates("server", { key_update_bytes = 400000 }), 1)
    assert.equal(0, updates("server", { key_update_bytes = 2000000 }))
    assert.equal(0, updates("server", {}))
  end)

  -- covers: rfc9001#6.6.2 rfc9001#6.6.4 rfc9001#6.6.5
  it("is not gone past when there can be no update: the connection closes", function()
    local p = pair()
    assert.is_true(p.client:update_keys())
    p.drop = function(direction) return direction == "down" end
    p.client:set_use(2 ^ 23 - 66, 0)
    local id = p.client:open(false)
    for _ = 1, 200 do
      if p.client:info().by ~= "none" then break end
      p.client:stream_send(id, ("x"):rep(100000), false)
      p.now = p.now + 400 * MS
      p.client:on_timeout(p.now)
      p:flush()
    end
    assert.equal(AEAD_LIMIT_REACHED, p.client:info().code)
    p:free()
  end)

  -- covers: rfc9001#6.6.6 rfc9001#6.6.7
  it("ends when too many packets did not open", function()
    local p = pair()
    p.server:set_use(0, 2 ^ 52 - 1)
    local packet = p.client:inject(net.APPLICATION, bytes(1))
    p.server:recv(packet:sub(1, -2) .. string.char((packet:byte(-1) + 1) % 256), p.now)
    assert.equal(AEAD_LIMIT_REACHED, p.server:info().code)
    p:free()
  end)

  -- covers: rfc9001#6.6.3 rfc9001#6.6.6
  it("has with ChaCha20-Poly1305 no end by what is sent, and one at 2^36 packets that did not open", function()
    local chacha = { cipher_suite = "TLS_CHACHA20_POLY1305_SHA256" }
    local p = pair({ client = chacha, server = chacha })
    local data = ("x"):rep(100000)
    p.client:set_use(2 ^ 40, 0) -- above all that there is for AES-GCM
    assert.equal(data, p:transfer("client", data))
    p:settle(300 * MS)
    assert.same({ 0, "none" }, { p.client:stats().key_updates, p.client:info().by })
    p.server:set_use(0, 2 ^ 36 - 2)
    local packet = p.client:inject(net.APPLICATION, bytes(1))
    local forged = packet:sub(1, -2) .. string.char((packet:byte(-1) + 1) % 256)
    p.server:recv(forged, p.now)
    assert.equal("none", p.server:info().by)
    p.server:recv(forged, p.now)
    assert.equal(AEAD_LIMIT_REACHED, p.server:info().code)
    p:free()
  end)
end)

describe("what is expanded of keys", function()
  local function expanded(conn)
    local info = conn:info()
    return { info.reads_expanded, info.writes_expanded, info.keeps_old_expanded }
  end

  it("is kept while packets come and go, and given back after a second of silence", function()
    local p = pair()
    for _ = 1, 2 do
      assert.same({ true, true, false }, expanded(p.client))
      assert.same({ true, true, false }, expanded(p.server))
      p:settle(2000 * MS)
      assert.same({ false, false, false }, expanded(p.client))
      assert.same({ false, false, false }, expanded(p.server))
      assert(p:transfer("client", "hello"))
      assert(p:transfer("server", "hello"))
    end
    p:free()
  end)

  it("goes with the keys of the phase before, when those go", function()
    local p = pair()
    assert.is_true(p.client:update_keys())
    for _ = 1, 2 do assert(p:transfer("client", "hello")) end
    assert.is_true(p.server:info().keeps_old_expanded)
    p:settle(600 * MS)
    assert.is_true(p.server:info().reads_expanded)
    assert.is_false(p.server:info().keeps_old_expanded)
    p:free()
  end)
end)
