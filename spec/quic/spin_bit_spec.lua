--- The latency spin bit (RFC 9000 §17.4).
local net = require("support.quic_net")

local MS = net.MS
local SPIN = 0x20
local ON = { spin_bit = 1, grease = 0 }

local function spin_of(bytes)
  return math.floor(bytes:byte(1) / SPIN) % 2
end

-- A pair of which the first path of both spins, or neither's does: of this seed or one after it.
local function pair(options, want, seed)
  while true do
    local given = { seed = seed }
    for name, value in pairs(options) do given[name] = value end
    local p = net.pair(given):handshake()
    if p.client:info().spins == want and p.server:info().spins == want then return p end
    p:free()
    seed = seed + 1
  end
end

-- When the bit of short headers changed, by direction, while data goes to the client.
local function edges(p)
  local times, last = { up = {}, down = {} }, {}
  p.filter = function(direction, bytes)
    if bytes:byte(1) < 0x80 then
      local spin = spin_of(bytes)
      if last[direction] and last[direction] ~= spin then table.insert(times[direction], p.now) end
      last[direction] = spin
    end
    return bytes
  end
  local text = ("text"):rep(150000)
  assert.equal(text, p:transfer("server", text))
  p.filter = nil
  return times
end

describe("the spin bit", function()
  -- covers: rfc9000#17.4.1
  it("turns over once each round trip, as an observer sees it", function()
    local p = pair({ client = ON, server = ON, delay = 25 * MS }, true, 1)
    local times = edges(p)
    for _, direction in ipairs({ "up", "down" }) do
      local list = times[direction]
      assert.is_true(#list >= 4, direction)
      for i = 2, #list do
        local took = (list[i] - list[i - 1]) / MS
        assert.is_true(took >= 50 and took < 90, direction .. " " .. took)
      end
    end
    p:free()
  end)

  -- covers: rfc9000#17.4.2 rfc9000#17.4.3 rfc9000#17.4.6
  it("is off unless told: one value for a connection ID, whatever comes", function()
    for _, options in ipairs({ {}, { server = ON }, { client = ON } }) do
      local p = net.pair({ client = options.client or { grease = 0 }, server = options.server or { grease = 0 } })
      p:handshake()
      local times = edges(p)
      if not options.client then assert.same({}, times.up) end
      if not options.server then assert.same({}, times.down) end
      p:free()
    end
  end)

  -- covers: rfc9000#17.4.5
  it("is not looked at where it is off", function()
    local p = net.pair({ client = { grease = 0 }, server = { grease = 0 } }):handshake()
    local seen = {}
    p.filter = function(direction, bytes)
      if direction == "down" and bytes:byte(1) < 0x80 then seen[spin_of(bytes)] = true end
      return bytes
    end
    for i = 1, 20 do
      p:inject("client", net.APPLICATION, "\1", { bits = i % 2 * SPIN })
      p:settle()
    end
    assert.is_true(seen[0] == nil or seen[1] == nil)
    p:free()
  end)

  it("differs between connections where it is off", function()
    local seen = {}
    for seed = 1, 20 do
      local p = net.pair({ seed = seed, client = { grease = 0 } })
      p.filter = function(direction, bytes)
        if direction == "down" and bytes:byte(1) < 0x80 then seen[spin_of(bytes)] = true end
        return bytes
      end
      p:handshake()
      p:free()
    end
    assert.is_true(seen[0] and seen[1])
  end)

  -- covers: rfc9000#17.4.4
  it("is off for one path in 16 where it is on", function()
    local config = net.config(ON, 5)
    local off, all = 0, 1600
    for _ = 1, all do
      local client = assert(net.quic.client(config, "localhost", net.CLIENT, net.SERVER, 1000 * MS))
      if not client:info().spins then off = off + 1 end
      client:free()
    end
    config:free()
    assert.is_true(off > all / 16 / 2 and off < all / 16 * 2, tostring(off))
  end)

  it("goes by the newest packet, not by one that comes late", function()
    local p = pair({ client = ON, server = ON }, true, 1)
    local sent
    p.filter = function(direction, bytes)
      if direction == "down" and bytes:byte(1) < 0x80 then sent = spin_of(bytes) end
      return bytes
    end
    local function says(number, bits)
      p:inject("client", net.APPLICATION, "\1", { bits = bits, number = number })
      p:settle()
      return sent
    end
    assert.equal(1, says(1010, SPIN))
    assert.equal(1, says(1005, 0))
    assert.equal(0, says(1012, 0))
    assert.equal(0, says(1011, SPIN))
    p:free()
  end)
end)
