--- Versions of QUIC: version 2 (RFC 9369), and how two find the one that they speak (RFC 9368).
local net = require("support.quic_net")
local wire = require("neap.units").wire

local quic, MS, V1, V2 = net.quic, net.MS, net.V1, net.V2
local VERSION_NEGOTIATION_ERROR = 0x11
local NEW_FIRST = { versions = { V2, V1 } } -- of a server, or of a client that begins with version 1
local BEGINS_NEW = { versions = { V2, V1 }, original_version = 1 } -- of a client
local OLD, NEW = "\0\0\0\1", "\107\51\67\207"

-- The long headers of the packets in a datagram.
local function headers(bytes)
  local list = {}
  while #bytes > 0 and bytes:byte(1) >= 0x80 do
    local header = wire.parse_header(bytes, 8)
    if not header or not header.type then break end
    list[#list + 1] = header
    bytes = bytes:sub(header.size + 1)
  end
  return list
end

-- A pair that notes "type version" of each long header that crosses the wire, once, in order, by direction.
local function watched(options)
  local seen, is_seen = { up = {}, down = {} }, { up = {}, down = {} }
  local given = {}
  for name, value in pairs(options or {}) do given[name] = value end
  given.filter = function(direction, bytes, index)
    for _, header in ipairs(headers(bytes)) do
      local text = header.type .. (header.version == V2 and " 2" or " 1")
      if not is_seen[direction][text] then
        is_seen[direction][text] = true
        table.insert(seen[direction], text)
      end
    end
    return not options.filter and bytes or options.filter(direction, bytes, index)
  end
  local p = net.pair(given)
  p.seen, p.is_seen = seen, is_seen
  return p
end

local function versions(p)
  return { p.client:info().version, p.server:info().version }
end

-- A client whose first datagram waits for an answer.
local function waiting(options)
  local p = net.pair(options)
  p.first = p.client:send(p.now)
  p.header = quic.header(p.first, 8)
  return p
end

-- A Version Negotiation packet with these versions, as anybody on the path can make it.
local function negotiation(p, list, first)
  local header = quic.header(first or p.first, 8)
  return "\192\0\0\0\0" .. string.char(#header.scid) .. header.scid .. string.char(#header.dcid) .. header.dcid .. list
end

-- Run until somebody ended it: the codes that both have.
local function ended(p)
  p:run(function(x) return x.client:info().by ~= "none" and x.server:info().by ~= "none" end, 1000 * MS)
  return p.client:info().code, p.server:info().code
end

-- Transport parameters without Version Information, or with this one in its place.
local function with_versions(bytes, list)
  local at, parts = 1, {}
  while at <= #bytes do
    local begin = at
    local function varint()
      local first = bytes:byte(at)
      local size = 2 ^ math.floor(first / 64)
      local value = first % 64
      for i = at + 1, at + size - 1 do value = value * 256 + bytes:byte(i) end
      at = at + size
      return value
    end
    local id = varint()
    local size = varint()
    at = at + size
    if id ~= 0x11 then parts[#parts + 1] = bytes:sub(begin, at - 1) end
  end
  if list then parts[#parts + 1] = net.bytes(0x11, #list, list) end
  return table.concat(parts)
end

-- The server of a pair says these versions, or none.
local function server_says(p, list)
  p.on_accept = function(server) server:params(with_versions(server:params(), list)) end
end

local function client_says(p, list)
  p.client:params(with_versions(p.client:params(), list))
end

describe("two that nobody told about versions", function()
  -- covers: rfc9368#2.5.1 rfc9368#2.5.2 rfc9368#4.11
  it("begin with version 1, which most servers speak, and stay with it", function()
    local p = watched({})
    p:handshake()
    assert.same({ V1, V1 }, versions(p))
    assert.same({ "initial 1", "handshake 1" }, p.seen.down)
    p:free()
  end)

  -- covers: rfc9369#3.1 rfc9369#4.1 rfc9369#4.2
  it("speak version 2 where the client begins with it", function()
    local p = watched({ client = BEGINS_NEW })
    p:handshake()
    assert.same({ V2, V2 }, versions(p))
    assert.same({ "initial 2", "handshake 2" }, p.seen.up)
    assert.same({ "initial 2", "handshake 2" }, p.seen.down)
    local text = ("text"):rep(20000)
    assert.equal(text, p:transfer("client", text))
    for _ = 1, 3 do
      p:settle()
      assert.is_true(p.client:update_keys())
      assert.equal(text, p:transfer("client", text))
    end
    assert.equal(3, p.client:stats().key_updates)
    p:free()
  end)

  it("name both versions and a reserved one in their parameters, without grease no reserved one", function()
    local p = net.pair({ client = { grease = 0 } })
    local info = wire.parse_params(p.client:params(), false).version_information
    assert.equal(V1, info.chosen)
    assert.equal(OLD .. NEW, info.available)
    p:handshake()
    p:free()
    p = net.pair()
    info = wire.parse_params(p.client:params(), false).version_information
    assert.equal(OLD .. NEW, info.available:sub(1, 8))
    -- covers: rfc9368#3.5
    assert.equal(12, #info.available)
    for i = 9, 12 do assert.equal(10, info.available:byte(i) % 16) end
    p:handshake()
    p:free()
  end)
end)

describe("a server that prefers version 2", function()
  -- covers: rfc9368#2.1 rfc9368#2.3.1 rfc9368#2.3.4 rfc9368#3.3 rfc9368#8.2
  -- covers: rfc9369#4.3 rfc9369#4.1.5 rfc9369#4.1.6 rfc9369#4.1.8
  it("goes over to it with a client that begins with version 1 and offers both", function()
    local p = watched({ server = NEW_FIRST })
    p:handshake()
    assert.same({ V2, V2 }, versions(p))
    assert.equal(V1, p.server:info().first_version)
    assert.same({ "initial 1", "initial 2", "handshake 2" }, p.seen.up)
    assert.same({ "initial 2", "handshake 2" }, p.seen.down)
    local text = ("text"):rep(20000)
    assert.equal(text, p:transfer("client", text))
    assert.is_true(p.server:update_keys())
    assert.equal(text, p:transfer("server", text))
    p:free()
  end)

  -- covers: rfc9368#2.2.1
  it("stays with version 1 where the client offers that alone, or says nothing", function()
    local p = watched({ server = NEW_FIRST, client = { versions = { V1 } } })
    p:handshake()
    assert.same({ V1, V1 }, versions(p))
    p:free()
    p = watched({ server = NEW_FIRST })
    client_says(p, nil)
    p:run(function(x) return x.server and x.server:info().confirmed or x.client:info().by ~= "none" end)
    assert.equal("initial 1", p.seen.down[1])
    assert.is_nil(p.is_seen.down["initial 2"])
    p:free()
  end)

  it("chooses none that it does not speak, nor a reserved one", function()
    local p = watched({ server = NEW_FIRST })
    client_says(p, OLD .. "\10\10\10\10\1\2\3\4" .. OLD)
    p:run(function(x) return x.server and #x.seen.down > 0 end)
    assert.same({ "initial 1" }, { p.seen.down[1] })
    p:free()
  end)

  it("goes over from version 2 to 1 where it prefers that", function()
    local p = watched({ server = { versions = { V1, V2 } }, client = BEGINS_NEW })
    p:handshake()
    assert.same({ V1, V1 }, versions(p))
    assert.same({ "initial 2", "initial 1", "handshake 1" }, p.seen.up)
    p:free()
  end)

  it("answers a ClientHello of several datagrams in version 1 until it has all of it", function()
    local p = watched({ server = NEW_FIRST })
    p.client:free()
    p.client_config:alpn(("a"):rep(250), ("b"):rep(250), ("c"):rep(250), ("d"):rep(250), "t")
    p.client = assert(quic.client(p.client_config, "localhost", net.CLIENT, net.SERVER, p.now))
    local lost = 0
    p.drop = function(direction, index)
      if direction == "up" and index == 2 then lost = lost + 1 end
      return direction == "up" and index == 2
    end
    p:handshake()
    assert.equal(1, lost)
    assert.same({ V2, V2 }, versions(p))
    assert.same({ "initial 1", "initial 2", "handshake 2" }, p.seen.down)
    p:free()
  end)

  -- covers: rfc9369#4.1.7
  it("reads Initials of version 1 until a Handshake packet of version 2 came", function()
    local p = waiting({ server = NEW_FIRST })
    local again
    p:deliver("up", p.first)
    local flight = p.server:send(p.now)
    assert.is_true(p.server:info().has_other_key)
    -- An Initial in version 1 that the client sends because it heard nothing.
    p.now = p.client:timeout()
    p.client:on_timeout(p.now)
    again = p.client:send(p.now)
    assert.equal(V1, headers(again)[1].version)
    local before = p.server:stats().packets_received
    p:deliver("up", again)
    assert.equal(before + 1, p.server:stats().packets_received)
    p:deliver("down", flight)
    assert.equal(V2, p.client:info().version)
    p:handshake()
    assert.is_false(p.server:info().has_other_key)
    p:free()
  end)

  -- covers: rfc9368#2.3.5
  it("takes packets of the first flight from the client's address alone", function()
    local p = waiting({ server = NEW_FIRST })
    p:deliver("up", p.first)
    p.server:send(p.now)
    p.now = p.client:timeout()
    p.client:on_timeout(p.now)
    local again = p.client:send(p.now)
    assert.equal(V1, headers(again)[1].version)
    local received = p.server:stats().packets_received
    p:deliver("up", again, "198.51.100.7:50001")
    assert.equal(received, p.server:stats().packets_received)
    p:deliver("up", again)
    assert.equal(received + 1, p.server:stats().packets_received)
    p:free()
  end)

  -- covers: rfc9369#4.1.9
  it("takes no Handshake packet of version 1, nor does the client", function()
    local p = net.pair({ server = NEW_FIRST })
    -- As if headers alone were of version 1, with their type.
    p.filter = function(_, bytes)
      local parts, at = {}, 1
      for _, header in ipairs(headers(bytes)) do
        local packet = bytes:sub(at, at + header.size - 1)
        at = at + header.size
        if header.type == "handshake" then packet = string.char(packet:byte(1) - 0x10) .. OLD .. packet:sub(6) end
        parts[#parts + 1] = packet
      end
      return table.concat(parts) .. bytes:sub(at)
    end
    p:run(nil, 1000 * MS)
    assert.is_false(p.client:info().established)
    assert.equal(V2, p.client:info().version)
    assert.is_true(p.client:stats().packets_dropped > 0)
    p.filter = nil
    p:handshake()
    p:free()
  end)

  -- covers: rfc9369#4.1.1 rfc9369#4.1.2 rfc9369#4.1.3 rfc9369#4.1.4
  it("sends a Retry in version 1, and goes over behind it", function()
    local p = waiting({ server = NEW_FIRST })
    local answer = assert(quic.retry(p.server_config, p.first, "retryscid", net.CLIENT))
    assert.equal(OLD, answer:sub(2, 5))
    p.client:recv(answer, p.now)
    local second = p.client:send(p.now)
    local header = quic.header(second, 8)
    assert.equal(V1, header.version)
    assert.is_true(#header.token > 0)
    local original = assert(quic.validate_token(p.server_config, second, net.CLIENT))
    -- covers: rfc9369#5.2
    local changed = string.char(second:byte(1) + 0x10) .. NEW .. second:sub(6)
    assert.equal(0, quic.header(changed, 8).type)
    assert.is_nil((quic.validate_token(p.server_config, changed, net.CLIENT)))
    p.server = quic.accept(p.server_config, second, "retryscid", original, net.SERVER, net.CLIENT, p.now)
    p:deliver("up", second)
    p:handshake()
    assert.same({ V2, V2 }, versions(p))
    p:free()
  end)

  it("is not followed in another version by a Retry", function()
    local p = waiting({})
    local answer = assert(quic.retry(p.server_config, p.first, "retryscid", net.CLIENT))
    local dropped = p.client:stats().packets_dropped
    p.client:recv(string.char(answer:byte(1) % 16 + 0xc0) .. NEW .. answer:sub(6), p.now)
    assert.equal(dropped + 1, p.client:stats().packets_dropped)
    p.client:recv(answer, p.now)
    assert.equal("retryscid", quic.header(p.client:send(p.now), 8).dcid)
    p:free()
  end)

  it("agrees with its client whatever is lost, doubled or late", function()
    for seed = 1, 25 do
      local p = net.pair({
        seed = seed, loss = 0.15, duplicate = 0.1, reorder = 0.3,
        server = seed % 2 == 0 and NEW_FIRST or { versions = { V1, V2 } },
        client = seed % 3 == 0 and BEGINS_NEW or nil,
      })
      p:handshake()
      local want = seed % 2 == 0 and V2 or V1
      assert.same({ want, want }, versions(p), "seed " .. seed)
      assert.equal("word", (p:transfer("client", "word")))
      p:free()
    end
  end)
end)

describe("a client whose server answers in two versions", function()
  -- Both servers have the first Initial: one stays with version 1, the other goes over.
  local function answers()
    local p = waiting({})
    local other_config = net.config(NEW_FIRST, 77, true)
    local other = quic.accept(other_config, p.first, p.scid, nil, net.SERVER, net.CLIENT, p.now)
    p:deliver("up", p.first)
    other:recv(p.first, p.now)
    return p, p.server:send(p.now), other:send(p.now), function()
      other:free()
      other_config:free()
      p:free()
    end
  end

  it("stays with version 1 where CRYPTO came in that first", function()
    local p, old, new, done = answers()
    assert.equal(V1, headers(old)[1].version)
    assert.equal(V2, headers(new)[1].version)
    p.client:recv(old, p.now)
    p.client:recv(new, p.now)
    assert.equal(V1, p.client:info().version)
    done()
  end)

  it("goes over once, and never back", function()
    local p, old, new, done = answers()
    p.client:recv(new, p.now)
    assert.equal(V2, p.client:info().version)
    local dropped = p.client:stats().packets_dropped
    p.client:recv(old, p.now)
    assert.equal(V2, p.client:info().version)
    assert.is_true(p.client:stats().packets_dropped > dropped)
    done()
  end)

  it("does not go over for a packet that does not open", function()
    local p, old, new, done = answers()
    for at = 30, 60 do
      local forged = new:sub(1, at) .. string.char((new:byte(at + 1) + 1) % 256) .. new:sub(at + 2)
      p.client:recv(forged:sub(1, headers(new)[1].size), p.now)
    end
    assert.equal(V1, p.client:info().version)
    p.client:recv(old, p.now)
    assert.equal(V1, p.client:info().version)
    done()
  end)
end)

describe("Version Information", function()
  -- covers: rfc9368#4.18 rfc9368#4.13
  it("of a server that says another version than it speaks ends in VERSION_NEGOTIATION_ERROR", function()
    for _, list in ipairs({ NEW .. OLD .. NEW, "\1\2\3\4" .. OLD }) do
      local p = net.pair()
      server_says(p, list)
      local of_client, of_server = ended(p)
      assert.equal(VERSION_NEGOTIATION_ERROR, of_client)
      assert.equal(VERSION_NEGOTIATION_ERROR, of_server)
      assert.equal("local", p.client:info().by)
      p:free()
    end
  end)

  it("that is missing is fine, but not where the server went over to another version", function()
    local p = net.pair()
    server_says(p, nil)
    p:handshake()
    p:free()
    p = net.pair({ server = NEW_FIRST })
    server_says(p, nil)
    assert.equal(VERSION_NEGOTIATION_ERROR, (ended(p)))
    p:free()
  end)

  -- covers: rfc9368#4.8 rfc9368#4.9 rfc9368#4.10
  it("of a client that says another version than it speaks ends in VERSION_NEGOTIATION_ERROR", function()
    for _, case in ipairs({ { nil, NEW .. NEW .. OLD }, { BEGINS_NEW, OLD .. NEW .. OLD } }) do
      for _, server in ipairs({ false, NEW_FIRST }) do
        local p = net.pair({ client = case[1], server = server or nil })
        client_says(p, case[2])
        local of_client, of_server = ended(p)
        assert.equal(VERSION_NEGOTIATION_ERROR, of_client)
        assert.equal(VERSION_NEGOTIATION_ERROR, of_server)
        assert.equal("local", p.server:info().by)
        p:free()
      end
    end
  end)

  -- covers: rfc9368#2.3.2
  it("that cannot be parsed ends in TRANSPORT_PARAMETER_ERROR", function()
    for _, list in ipairs({ "", OLD .. "\0", OLD .. "\0\0\0\0" .. OLD, "\0\0\0\0" .. OLD, OLD .. NEW }) do
      local p = net.pair({ server = NEW_FIRST })
      client_says(p, list)
      assert.equal(8, (ended(p)))
      p:free()
    end
    for _, list in ipairs({ "", OLD .. "\0", OLD .. "\0\0\0\0" .. OLD, "\0\0\0\0" .. OLD }) do
      local p = net.pair()
      server_says(p, list)
      assert.equal(8, (ended(p)))
      p:free()
    end
  end)
end)

describe("a Version Negotiation packet", function()
  -- covers: rfc9368#2.1.3 rfc9368#2.1.5 rfc9368#6.2 rfc8999#7.1
  it("has the client begin anew with the first of its versions that the server lists", function()
    local p = waiting({ server = { versions = { V2 } } })
    assert.equal(V1, p.header.version)
    p.client:recv(quic.negotiate_version(p.server_config, p.first), p.now)
    local second = p.client:send(p.now)
    local header = quic.header(second, 8)
    assert.equal(V2, header.version)
    assert.equal(p.header.scid, header.scid)
    assert.not_equal(p.header.dcid, header.dcid)
    -- covers: rfc9000#6.1
    assert.is_true(#second >= 1200)
    p:deliver("up", second)
    p:handshake()
    assert.same({ V2, V2 }, versions(p))
    local text = ("text"):rep(5000)
    assert.equal(text, p:transfer("client", text))
    p:free()
  end)

  it("leads from version 2 to a server of version 1, also one that says nothing of versions", function()
    for _, says in ipairs({ true, false }) do
      local p = waiting({ client = BEGINS_NEW, server = { versions = { V1 } } })
      assert.equal(V2, p.header.version)
      -- covers: rfc9368#8.1
      if not says then server_says(p, nil) end
      p.client:recv(quic.negotiate_version(p.server_config, p.first), p.now)
      p:handshake()
      assert.same({ V1, V1 }, versions(p))
      p:free()
    end
  end)

  it("leads there whatever is lost behind it, with a Retry as well", function()
    for seed = 1, 15 do
      local p = waiting({ seed = seed, loss = 0.2, reorder = 0.2, server = { versions = { V2 } } })
      p.client:recv(quic.negotiate_version(p.server_config, p.first), p.now)
      if seed % 2 == 0 then
        local second = p.client:send(p.now)
        p.client:recv(assert(quic.retry(p.server_config, second, "retryscid", net.CLIENT)), p.now)
        local third = p.client:send(p.now)
        local original = assert(quic.validate_token(p.server_config, third, net.CLIENT))
        p.server = quic.accept(p.server_config, third, "retryscid", original, net.SERVER, net.CLIENT, p.now)
        p:deliver("up", third)
      end
      p:handshake()
      assert.same({ V2, V2 }, versions(p), "seed " .. seed)
      p:free()
    end
  end)

  -- covers: rfc9368#2.1.4 rfc9000#6.2.1
  it("without a version of ours ends the attempt", function()
    local p = waiting({})
    p.client:recv(negotiation(p, "\1\2\3\4\10\10\10\10"), p.now)
    assert.equal("version", p.client:info().by)
    assert.is_true(p.client:info().closed)
    p:free()
  end)

  -- covers: rfc9368#4.1 rfc9000#6.2.3
  it("that lists the version of the first flight is ignored", function()
    local p = waiting({})
    p.client:recv(negotiation(p, NEW .. OLD), p.now)
    assert.equal(V1, p.client:info().version)
    p:deliver("up", p.first)
    p:handshake()
    p:free()
  end)

  -- covers: rfc9368#4.2
  it("is ignored by an attempt that another one led to", function()
    local p = waiting({ server = { versions = { V2 } } })
    p.client:recv(negotiation(p, NEW), p.now)
    local second = p.client:send(p.now)
    local dropped = p.client:stats().packets_dropped
    p.client:recv(negotiation(p, OLD, second), p.now)
    p.client:recv(negotiation(p, "\1\2\3\4", second), p.now)
    assert.equal(dropped + 2, p.client:stats().packets_dropped)
    p:deliver("up", second)
    p:handshake()
    assert.equal(V2, p.client:info().version)
    p:free()
  end)

  -- covers: rfc9368#2.1.6
  it("is ignored by a server", function()
    local p = net.pair():handshake()
    local source = p.server:ids()
    p.server:recv("\192\0\0\0\0" .. string.char(#source) .. source .. "\0" .. NEW, p.now)
    assert.equal("none", p.server:info().by)
    p:free()
  end)

  -- covers: rfc9368#4.15 rfc9368#4.16 rfc9000#21.12.1
  it("of an attacker who wants another version is found out by the server's list", function()
    for _, case in ipairs({ { client = BEGINS_NEW, list = OLD }, { list = NEW } }) do
      local p = waiting({ client = case.client })
      p.client:recv(negotiation(p, case.list), p.now)
      local of_client, of_server = ended(p)
      assert.equal(VERSION_NEGOTIATION_ERROR, of_client)
      assert.equal(VERSION_NEGOTIATION_ERROR, of_server)
      assert.is_false(p.client:info().established)
      p:free()
    end
  end)

  it("that leads to what the client prefers anyway is no attack", function()
    local p = waiting({ client = NEW_FIRST })
    p.client:recv(negotiation(p, NEW), p.now)
    p:handshake()
    assert.same({ V2, V2 }, versions(p))
    p:free()
  end)

  -- covers: rfc9368#4.12 rfc9368#4.14 rfc9368#4.17
  it("is not believed where the server says nothing of its versions, or has none", function()
    for _, list in ipairs({ false, NEW }) do
      local p = waiting({ server = { versions = { V2 } } })
      server_says(p, list or nil)
      p.client:recv(negotiation(p, NEW), p.now)
      assert.equal(VERSION_NEGOTIATION_ERROR, (ended(p)))
      assert.is_false(p.client:info().established)
      p:free()
    end
  end)

  it("for which there is no memory changes nothing, or ends the connection, and leaks nothing", function()
    for after = 0, 40 do
      local p = waiting({ server = { versions = { V2 } } })
      p.client_config:fail_at(after, false)
      p.client:recv(negotiation(p, NEW), p.now)
      p.client_config:fail_at(-1)
      p:run(function(x) return x.client:info().confirmed or x.client:info().by ~= "none" end, 5000 * MS)
      p:free()
    end
  end)
end)

describe("sessions", function()
  local function acquaintance(client, server)
    local a = { client = net.config(client, 11, false), server = net.config(server, 12, true), seed = 0 }
    function a.connect(more)
      a.seed = a.seed + 1
      local given = { client_config = a.client, server_config = a.server, seed = a.seed }
      for name, value in pairs(more or {}) do given[name] = value end
      return watched(given)
    end
    function a.meet(more)
      local p = a.connect(more)
      p:handshake()
      p:settle(100 * MS)
      local info = { first = p.client:info().first_version, version = p.client:info().version,
        resumed = p.client:info().resumed }
      p:free()
      return info
    end
    function a.done()
      a.client:free()
      a.server:free()
    end
    return a
  end

  -- covers: rfc9369#5.1
  it("are of the version that was gone over to, and the client begins with that the next time", function()
    local a = acquaintance(nil, NEW_FIRST)
    assert.same({ first = V1, version = V2, resumed = false }, a.meet())
    assert.same({ first = V2, version = V2, resumed = true }, a.meet())
    a.done()
  end)

  it("of a version that the client does not speak any more are not offered", function()
    local a = acquaintance(nil, NEW_FIRST)
    a.meet()
    local saved = a.client:save_sessions()
    local old = net.config({ versions = { V1 } }, 13, false)
    assert.equal(0, old:load_sessions(saved))
    assert.same({ first = V1, version = V1, resumed = false }, a.meet({ client_config = old }))
    old:free()
    a.done()
  end)

  -- covers: rfc9369#5.2 rfc9368#7.2.1
  it("of version 1 are not taken for version 2", function()
    local a = acquaintance()
    a.meet()
    local saved = a.client:save_sessions()
    -- The client's own note of the version is changed, behind name, size, format and suite; the ticket is the server's.
    local changed, from, count = saved, 1, 0
    while true do
      local _, stop = changed:find("localhost", from, true)
      if not stop then break end
      from = stop + 1
      if changed:sub(stop + 6, stop + 9) == OLD then
        changed = changed:sub(1, stop + 5) .. NEW .. changed:sub(stop + 10)
        count = count + 1
      end
    end
    assert.is_true(count > 0)
    local liar = net.config({}, 13, false)
    assert.equal(0, liar:load_sessions(changed))
    assert.same({ first = V2, version = V2, resumed = false }, a.meet({ client_config = liar }))
    liar:free()
    a.done()
  end)

  describe("with early data", function()
    -- A client has a session of version 1 with a server that has gone over to preferring version 2 since.
    local function prepared(server)
      local a = acquaintance({ early_data = 1 }, { early_data = 1 })
      a.server:register()
      a.server:ticket_keys(("k"):rep(32))
      assert.equal(V1, a.meet().version)
      local given = { early_data = 1 }
      for name, value in pairs(server) do given[name] = value end
      local newer = net.config(given, 14, true)
      newer:register()
      newer:ticket_keys(("k"):rep(32))
      return a, newer
    end

    -- covers: rfc9369#4.1.10
    it("send it in version 1, and it is read by a server that goes over to version 2", function()
      local a, newer = prepared(NEW_FIRST)
      local p = a.connect({ server_config = newer })
      assert.equal("offered", p.client:info().early)
      local id = assert(p.client:open(true))
      assert.equal(5, p.client:stream_send(id, "early", true))
      p:handshake()
      assert.equal("accepted", p.client:info().early)
      assert.same({ V2, V2 }, versions(p))
      assert.is_true(p.is_seen.up["0rtt 1"])
      assert.is_nil(p.is_seen.up["0rtt 2"])
      assert.equal(id, p.server:readable_next())
      assert.equal("early", (p.server:stream_recv(id)))
      p:free()
      newer:free()
      a.done()
    end)

    it("send it late in version 1 as well", function()
      for seed = 1, 8 do
        local a, newer = prepared(NEW_FIRST)
        local p = a.connect({ server_config = newer, loss = 0.3, reorder = 0.4, seed = seed })
        local id = assert(p.client:open(true))
        assert.equal(4000, p.client:stream_send(id, ("e"):rep(4000), true))
        p:handshake()
        assert.same({ V2, V2 }, versions(p))
        assert.is_nil(p.is_seen.up["0rtt 2"])
        local text = ""
        p:run(function()
          while p.server:readable_next() do end
          while true do
            local bytes, fin = p.server:stream_recv(id)
            if not bytes then return false end
            text = text .. bytes
            if fin then return true end
          end
        end)
        assert.equal(4000, #text)
        p:free()
        newer:free()
        a.done()
      end
    end)

    it("lose it to a Version Negotiation packet, and the application sends it again", function()
      local a, newer = prepared({ versions = { V2 } })
      local p = a.connect({ server_config = newer })
      local id = assert(p.client:open(true))
      assert.equal(5, p.client:stream_send(id, "early", true))
      local first = p.client:send(p.now)
      p.client:recv(quic.negotiate_version(newer, first), p.now)
      -- It is told when the limits are known that hold then.
      assert.equal("offered", p.client:info().early)
      local later = assert(p.client:open(true))
      assert.equal(5, p.client:stream_send(later, "later", true))
      p:handshake()
      assert.same({ V2, V2 }, versions(p))
      assert.equal("rejected", p.client:info().early)
      assert.is_nil((p.server:readable_next()))
      assert.equal(0, p.client:begin_again())
      assert.equal("again", (p:transfer("client", "again")))
      p:free()
      newer:free()
      a.done()
    end)

    it("lose it to a Version Negotiation packet, and HTTP/3 asks again, where the new limits are lower too", function()
      local a = acquaintance({ early_data = 1 }, { early_data = 1 })
      a.server:register()
      assert.equal(0, a.server:set_h3())
      local newer = net.config({ versions = { V2 }, initial_max_streams_bidi = 1, initial_max_data = 4000 }, 14, true)
      for round = 1, 2 do
        local p = a.connect({ server_config = round == 2 and newer or nil })
        local client, server, asked, answers = p.client:h3(), nil, -1, 0
        local function turn()
          if p.server and not server then server = p.server:h3() end
          if server then server:poll(true) end
          if asked < 0 then asked = client:get() end
          local sections, resets = client:poll()
          answers = answers + sections
          if resets > 0 then asked = -1 end
          return answers > 0 and p.client:info().confirmed
        end
        turn()
        if round == 2 then
          assert.equal("offered", p.client:info().early)
          assert.is_true(asked >= 0)
          local first = p.client:send(p.now)
          p.client:recv(quic.negotiate_version(newer, first), p.now)
        end
        assert.is_true(p:run(turn, 4000 * MS))
        assert.equal(round == 2 and V2 or V1, p.client:info().version)
        assert.equal(round == 2 and "rejected" or "none", p.client:info().early)
        p:run(turn, 1000 * MS)
        client:free()
        server:free()
        p:free()
      end
      newer:free()
      a.done()
    end)
  end)
end)

describe("the versions of a config", function()
  it("are some that are spoken, each once", function()
    local config = net.config({}, 1)
    assert.equal(-3, config:versions())
    assert.equal(-3, config:versions(3))
    assert.equal(-3, config:versions(V1, V1))
    assert.equal(-3, config:versions(V1, 0x0a0a0a0a))
    assert.equal(0, config:versions(V2, V1))
    config:free()
  end)

  it("are all that a server accepts", function()
    local p = waiting({ server = { versions = { V2 } } })
    local server, why = quic.accept(p.server_config, p.first, p.scid, nil, net.SERVER, net.CLIENT, p.now)
    assert.is_nil(server)
    assert.equal("not an Initial packet of a version that we speak", why)
    p:free()
  end)

  it("stay while connections are made with it", function()
    local p = net.pair()
    assert.equal(-19, p.client_config:versions(V1))
    p:free()
  end)
end)
