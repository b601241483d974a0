--- The QUIC Bit, which QUIC fixes at 1 and RFC 9287 lets peers draw that allow it.
local net = require("support.quic_net")
local wire = require("neap.units").wire

local quic, MS = net.quic, net.MS
local BIT = 0x40

local function has_bit(byte)
  return math.floor(byte / BIT) % 2 == 1
end

-- Counts of packets with and without the bit by direction and type; of a datagram all packets with long headers.
local function counting(p)
  local counts = { up = {}, down = {} }
  p.filter = function(direction, bytes)
    local rest = bytes
    while #rest > 0 do
      local first = rest:byte(1)
      local header = first >= 0x80 and wire.parse_header(rest, 8)
      local type = first < 0x80 and "short" or header.type
      local count = counts[direction][type] or { set = 0, clear = 0 }
      counts[direction][type] = count
      local which = has_bit(first) and "set" or "clear"
      count[which] = count[which] + 1
      rest = header and rest:sub(header.size + 1) or ""
      if rest:byte(1) == 0 then break end
    end
    return bytes
  end
  return counts
end

local function is_drawn(count)
  local all = count.set + count.clear
  return all >= 100 and count.clear > all / 3 and count.clear < all * 2 / 3
end

local TEXT = ("text"):rep(100000)

describe("the fixed bit", function()
  -- covers: rfc9287#3.2 rfc9287#3.1.1
  it("is drawn for each 1-RTT packet between two that both said that they take either", function()
    local p = net.pair()
    local counts = counting(p)
    p:handshake()
    assert.equal(TEXT, p:transfer("client", TEXT))
    assert.equal(TEXT, p:transfer("server", TEXT))
    assert.is_true(is_drawn(counts.up.short))
    assert.is_true(is_drawn(counts.down.short))
    assert.equal(0, p.client:stats().packets_dropped + p.server:stats().packets_dropped)
    p:free()
  end)

  -- covers: rfc9287#3.1.4 rfc9287#3.1.6 rfc9287#3.1.5
  it("is set until the peer's parameters are there, in each of many connections of two that know each other", function()
    local client, server = net.config({}, 11, false), net.config({}, 12, true)
    local first = { up = 0, down = 0 }
    for seed = 1, 40 do
      local p = net.pair({ client_config = client, server_config = server, seed = seed })
      p.filter = function(direction, bytes)
        -- A client's until it has the server's flight; a server's before a ClientHello there are none.
        if direction == "up" and not p.client:info().draws_fixed_bit then
          assert.is_true(has_bit(bytes:byte(1)))
          first.up = first.up + 1
        end
        if direction == "down" then
          assert.is_true(p.server:info().draws_fixed_bit)
          first.down = first.down + (has_bit(bytes:byte(1)) and 0 or 1)
        end
        return bytes
      end
      p:handshake()
      p:free()
    end
    assert.is_true(first.up >= 40)
    assert.is_true(first.down > 0)
    client:free()
    server:free()
  end)

  -- covers: rfc9287#3.1.3
  it("is set in Initials and 0-RTT packets of a client that has no token of the server's", function()
    local client, server = net.config({ early_data = 1 }, 11, false), net.config({ early_data = 1 }, 12, true)
    server:register()
    local p = net.pair({ client_config = client, server_config = server }):handshake()
    p:settle(100 * MS)
    p:free()
    for seed = 2, 10 do
      p = net.pair({ client_config = client, server_config = server, seed = seed })
      local counts = counting(p)
      local id = assert(p.client:open(true))
      assert.equal(10000, p.client:stream_send(id, ("x"):rep(10000), true))
      p:flush()
      assert.equal(0, counts.up.initial.clear)
      assert.equal(0, counts.up["0rtt"].clear)
      assert.is_true(counts.up["0rtt"].set > 3)
      p.filter = nil
      p:handshake()
      p:settle(100 * MS)
      p:free()
    end
    client:free()
    server:free()
  end)

  it("is set towards a peer that did not say so, and by who does not grease", function()
    for _, case in ipairs({ { client = { grease = 0 } }, { server = { grease = 0 } } }) do
      local p = net.pair(case)
      local counts = counting(p)
      p:handshake()
      assert.equal(TEXT, p:transfer("client", TEXT))
      assert.equal(TEXT, p:transfer("server", TEXT))
      for _, direction in ipairs({ "up", "down" }) do
        for type, count in pairs(counts[direction]) do assert.equal(0, count.clear, direction .. " " .. type) end
      end
      p:free()
    end
  end)

  -- covers: rfc9000#17.2.1 rfc9000#17.3.1.1
  it("has to be set in packets to one that did not say so: others are dropped before their keys are tried", function()
    local p = net.pair({ server = { grease = 0 } }):handshake()
    local dropped, received = p.server:stats().packets_dropped, p.server:stats().packets_received
    p:inject("client", net.APPLICATION, "\1", { clear = BIT })
    assert.equal(dropped + 1, p.server:stats().packets_dropped)
    assert.equal(received, p.server:stats().packets_received)
    p:inject("client", net.APPLICATION, "\1")
    assert.equal(received + 1, p.server:stats().packets_received)
    p:free()

    p = net.pair({ server = { grease = 0 } })
    local first = p.client:send(p.now)
    p.server = quic.accept(p.server_config, first, p.scid, nil, net.SERVER, net.CLIENT, p.now)
    p.server:recv(string.char(first:byte(1) - BIT) .. first:sub(2), p.now)
    assert.equal(0, p.server:stats().packets_received)
    assert.equal(1, p.server:stats().packets_dropped)
    p:deliver("up", first)
    p:handshake()
    p:free()
  end)
end)
