local net = require("support.quic_net")

local MS, bytes = net.MS, net.bytes
local PREFERRED, PREFERRED_6 = "192.0.2.50:4433", "[2001:db8::50]:443"
local OTHER = "203.0.113.9:4000"

--- A pair whose server prefers another address.
local function pair(options)
  options = options or {}
  options.server = options.server or {}
  options.server.preferred_address = options.preferred or { v4 = PREFERRED, v6 = PREFERRED_6 }
  options.preferred = nil
  return net.pair(options):add_addresses({ OTHER }, { PREFERRED })
end

local function active(conn)
  for _, path in ipairs(conn:paths()) do
    if path.is_active then return path end
  end
end

--- Note what passes at `address` of the server's.
local function listen_in(p, address, is_lost)
  local seen = { up = {}, down = {} }
  p.on_datagram = function(direction, datagram, _, at_server)
    if at_server ~= address then return true end
    table.insert(seen[direction], { bytes = datagram, size = #datagram, dcid = datagram:sub(2, 9), at = p.now })
    return not is_lost
  end
  return seen
end

describe("a server with a preferred address", function()
  -- covers: rfc9000#9.6.1.1 rfc9000#5.1.1.1
  it("tells it for both families, with a connection ID and a token that are good from then on", function()
    local p = pair({ client = { use_preferred_address = 1 } }):handshake()
    assert.equal(PREFERRED, p.client:preferred_address(4))
    assert.equal(PREFERRED_6, p.client:preferred_address(6))
    assert.is_string(active(p.client).reset_token)
    p:free()
  end)

  -- covers: rfc9000#9.6.1.2 rfc9000#9.6.1.3 rfc9000#9.6.2.1 rfc9000#9.6.3.7 rfc9000#9.6.3.6
  it("has its client there within two round trips of the handshake, by that connection ID", function()
    local p = pair()
    local seen = listen_in(p, PREFERRED)
    p:handshake()
    assert.equal(PREFERRED, active(p.client).address)
    assert.equal(PREFERRED, active(p.server).local_address)
    local original = listen_in(p, net.SERVER)
    local data = ("x"):rep(200000)
    assert.equal(data, (p:transfer("server", data)))
    assert.equal(data, (p:transfer("client", data)))
    assert.same({ 0, 0 }, { #original.up, #original.down })
    for _, datagram in ipairs(seen.up) do assert.equal(seen.up[1].dcid, datagram.dcid) end
    p:settle(8000 * MS)
    assert.equal(1, #p.client:paths())
    assert.equal(1, #p.server:paths())
    p:free()
  end)

  it("is known where it was asked for tokens that come when its client has moved", function()
    local without = { resumption = 0 }
    local p = pair({ client = without, server = { resumption = 0 } }):handshake()
    assert.equal(PREFERRED, active(p.client).address)
    p:inject("server", net.APPLICATION, bytes(7, 4) .. "late")
    local saved = p.client_config:save_sessions()
    local _, at_original = saved:gsub("\1\187\9localhost", "")
    assert.is_nil(saved:find("\17\81\9localhost", 1, true))
    assert.equal(2, at_original)
    p:free()
  end)

  it("reads a packet that came before its keys", function()
    local p = pair()
    p:run(function(x) return x.client:info().established end)
    p:deliver("up", p.client:inject(net.APPLICATION, bytes(0x0a, 0, 5) .. "early"))
    assert.equal(1, p.server:stats().kept)
    assert.is_true(p:run(function(x) return x.server:info().confirmed end))
    assert.same({ "early" }, { (p.server:stream_recv(0)) })
    p:settle()
    assert.equal(PREFERRED, active(p.server).local_address)
    p:free()
  end)

  -- covers: rfc9000#9.6.2.2 rfc9000#9.6.2.3 rfc9000#21.5.3.1
  it("sends nothing but probes from there before the client is there, who sends nothing else before that is proved",
    function()
      local p = pair()
      local seen = listen_in(p, PREFERRED)
      local first_data
      p:run(function(x)
        if active(x.client).address == PREFERRED then first_data = x.now end
        return first_data
      end, 10000 * MS)
      -- The client's side is proved now. All it sent there before are challenges of 1200 bytes.
      assert.is_true(#seen.up >= 1)
      for _, datagram in ipairs(seen.up) do
        assert.is_true(datagram.at < first_data)
        assert.equal(1200, datagram.size)
      end
      for _, datagram in ipairs(seen.down) do assert.equal(1200, datagram.size) end
      assert.equal(net.SERVER, active(p.server).local_address)
      p:settle()
      assert.equal(PREFERRED, active(p.server).local_address)
      p:free()
    end)

  -- covers: rfc9000#9.6.1.4
  it("keeps its client where it was when nothing comes through to the preferred address", function()
    local p = pair()
    listen_in(p, PREFERRED, true)
    p:handshake()
    local data = ("x"):rep(100000)
    assert.equal(data, (p:transfer("server", data)))
    p:settle(5000 * MS)
    assert.equal(net.SERVER, active(p.client).address)
    assert.equal(1, #p.client:paths())
    assert.equal("failed", (p.client:path_event()))
    assert.equal(data, (p:transfer("client", data)))
    p:free()
  end)

  -- covers: rfc9000#9.6.2.4
  it("drops what is newer and comes to the address that was left", function()
    local p = pair():handshake()
    assert.equal(PREFERRED, active(p.server).local_address)
    local before = p.server:stats().packets_dropped
    p.server:recv(p.client:inject(net.APPLICATION, bytes(1)), p.now, net.CLIENT, nil, net.SERVER)
    assert.equal(before + 1, p.server:stats().packets_dropped)
    assert.equal(PREFERRED, active(p.server).local_address)
    p:free()
  end)

  -- covers: rfc9000#9.6.2.5
  it("takes what was late there", function()
    local p = pair()
    p:run(function(x) return x.client:info().confirmed end)
    local late = p.client:inject(net.APPLICATION, bytes(1))
    assert.is_true(p:run(function() return active(p.server).local_address == PREFERRED end, 1000 * MS))
    local before = p.server:stats()
    p.server:recv(late, p.now, net.CLIENT, nil, net.SERVER)
    assert.equal(before.packets_received + 1, p.server:stats().packets_received)
    assert.equal(before.packets_dropped, p.server:stats().packets_dropped)
    p:free()
  end)

  -- covers: rfc9000#9.6.3.4
  it("asks and follows a client that comes to it from another address, within what amplification allows", function()
    local p = pair()
    -- A NAT that has another address for what goes there.
    local transmit = p.transmit
    function p:transmit(direction, datagram, to, from)
      if direction == "up" and to == PREFERRED then from = OTHER end
      return transmit(self, direction, datagram, to, from)
    end
    local deliver = p.deliver
    function p:deliver(direction, datagram, address, at_server)
      if direction == "down" and address == OTHER then address = net.CLIENT end
      return deliver(self, direction, datagram, address, at_server)
    end
    p:handshake()
    assert.same({ PREFERRED, OTHER }, { active(p.server).local_address, active(p.server).address })
    local data = ("x"):rep(100000)
    assert.equal(data, (p:transfer("server", data)))
    p:free()
  end)

  it("has its way with clients that may not migrate otherwise", function()
    local p = pair({ server = { disable_active_migration = 1 } }):handshake()
    assert.equal(PREFERRED, active(p.client).address)
    -- Who has gone there may go on (§9).
    assert.equal(0, p.client:migrate(OTHER))
    p:settle()
    assert.equal(OTHER, active(p.server).address)
    p:free()
  end)

  -- covers: rfc9000#9.6.2.6
  it("is asked anew by each connection, also one that is resumed: that begins at the server's own address", function()
    local client_config, server_config = net.config({}, 31, false), net.config({
      preferred_address = { v4 = PREFERRED },
    }, 32, true)
    for i = 1, 2 do
      local p = net.pair({ seed = i, client_config = client_config, server_config = server_config })
        :add_addresses({ OTHER }, { PREFERRED })
      local first
      p.on_datagram = function(direction, _, _, at_server)
        if direction == "up" then first = first or at_server end
        return true
      end
      p:handshake()
      assert.equal(net.SERVER, first)
      assert.equal(PREFERRED, active(p.client).address)
      p:settle(500 * MS)
      assert.equal(i == 2, p.client:info().resumed)
      p:free()
    end
    client_config:free()
    server_config:free()
  end)

  it("is left alone by clients that do not want to", function()
    local p = pair({ client = { use_preferred_address = 0 } }):handshake()
    p:settle(5000 * MS)
    assert.equal(net.SERVER, active(p.client).address)
    assert.is_nil(p.client:preferred_address(4))
    p:free()
  end)

  it("is no reason to go anywhere for a client that is there", function()
    local p = pair({ preferred = { v4 = net.SERVER } }):handshake()
    assert.equal(1, #p.client:paths())
    p:free()
  end)

  -- covers: rfc9000#21.5.6.2
  -- covers: rfc9000#21.5.6.3
  it("cannot have clients send to themselves, to many, or to nobody", function()
    local AT_4, AT_6 = "\192\0\2\50", "\32\1\13\184" .. ("\0"):rep(10) .. "\0\80"
    local function six(first, last) return first .. ("\0"):rep(16 - #first - #last) .. last end
    local function told(v4, v6)
      local p = pair()
      p.on_accept = function(server)
        local params = server:params()
        for from, to in pairs({ [AT_4] = v4, [AT_6] = v6 }) do
          local at = assert(params:find(from, 1, true))
          params = params:sub(1, at - 1) .. to .. params:sub(at + #from)
        end
        server:params(params)
      end
      p:handshake()
      local count, four, other = #p.client:paths(), p.client:preferred_address(4), p.client:preferred_address(6)
      p:free()
      return { count, four or false, other or false }
    end
    for _, v4 in ipairs({
      "\0\0\0\0", "\0\1\2\3", "\127\0\0\1", "\224\0\0\1", "\239\255\255\255", "\240\0\0\1", "\255\255\255\255",
    }) do
      assert.same({ 1, false, PREFERRED_6 }, told(v4, AT_6), v4:byte())
    end
    for _, v6 in ipairs({
      six("", ""), six("", "\1"), six("\255\2", "\1"), six("\255\14", "\1"), six("", "\255\255\127\0\0\1"),
      six("", "\255\255\0\0\0\0"), six("", "\255\255\192\0\2\50"),
    }) do
      assert.same({ 2, PREFERRED, false }, told(AT_4, v6), v6:byte(-1))
    end
    -- Private and link-local networks are for nobody but the network itself to refuse.
    for text, v4 in pairs({
      ["10.0.0.1:4433"] = "\10\0\0\1", ["192.168.1.1:4433"] = "\192\168\1\1", ["169.254.0.9:4433"] = "\169\254\0\9",
      ["100.64.0.1:4433"] = "\100\64\0\1",
    }) do
      assert.same({ 2, text, PREFERRED_6 }, told(v4, AT_6))
    end
  end)

  it("does without the memory for another path", function()
    local p = pair()
    p:run(function(x) return x.client:info().established end)
    p.client_config:fail_at(0, true)
    p:run(function(x) return x.client:info().confirmed end, 1000 * MS)
    p.client_config:fail_at(-1)
    p:settle()
    assert(p:transfer("client", "hello"))
    p:free()
  end)
end)

describe("a client that migrates while its server's preferred address is asked", function()
  --- A pair whose preferred address does not answer yet.
  local function waiting()
    local p = pair()
    local state = { is_lost = true, seen = {} }
    p.on_datagram = function(_, _, address, at_server)
      table.insert(state.seen, address .. " " .. at_server)
      return not (state.is_lost and at_server == PREFERRED)
    end
    p:run(function(x) return #x.client:paths() == 2 end)
    p:settle(50 * MS)
    return p, state
  end

  -- covers: rfc9000#9.6.3.1 rfc9000#9.6.3.2
  it("asks both addresses from the new one, and goes to the preferred one if that answers", function()
    local p, state = waiting()
    state.is_lost = false
    state.seen = {}
    assert.equal(0, p.client:migrate(OTHER))
    p:flush()
    local asked = table.concat(state.seen, " ")
    assert.is_truthy(asked:find(OTHER .. " " .. net.SERVER, 1, true))
    assert.is_truthy(asked:find(OTHER .. " " .. PREFERRED, 1, true))
    p:settle()
    assert.same({ OTHER, PREFERRED }, { active(p.client).local_address, active(p.client).address })
    assert.same({ PREFERRED, OTHER }, { active(p.server).local_address, active(p.server).address })
    p:free()
  end)

  -- covers: rfc9000#9.6.3.3
  it("goes to the new one with the original address where the preferred one does not answer", function()
    local p = waiting()
    assert.equal(0, p.client:migrate(OTHER))
    p:settle(6000 * MS)
    assert.same({ OTHER, net.SERVER }, { active(p.client).local_address, active(p.client).address })
    assert.equal(OTHER, active(p.server).address)
    assert(p:transfer("client", "hello"))
    p:free()
  end)
end)

describe("preferred addresses of a config", function()
  it("are of their family, with a port, and of one host", function()
    local config = net.config({}, 5, true)
    local ARGUMENT = -3
    assert.equal(0, config:preferred_address(PREFERRED, PREFERRED_6))
    assert.equal(0, config:preferred_address(nil, PREFERRED_6))
    assert.equal(0, config:preferred_address())
    assert.equal(ARGUMENT, config:preferred_address(PREFERRED_6))
    assert.equal(ARGUMENT, config:preferred_address("192.0.2.1:0"))
    assert.equal(ARGUMENT, config:preferred_address("0.0.0.0:443"))
    assert.equal(ARGUMENT, config:preferred_address(nil, "[fe80::1%2]:443"))
    config:free()
  end)
end)
