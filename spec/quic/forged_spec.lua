--- Packets that anybody can make who saw a first one, whose keys everybody knows; small ones; and repeated ones.
local crypto = require("neap.units").crypto
local net = require("support.quic_net")

local quic, MS, bytes = net.quic, net.MS, net.bytes
local INITIAL, HANDSHAKE, APPLICATION = net.INITIAL, net.HANDSHAKE, net.APPLICATION
local VERSIONS = { [net.V1] = "\195\0\0\0\1", [net.V2] = "\211\107\51\67\207" } -- first byte and version of an Initial
local CLOSE = bytes(0x1c, 1, 0, 0)
local AEAD_LIMIT_REACHED = 0x0f

--- An Initial as a client or a server makes it whose connection began with `first_dcid`: 1200 bytes.
local function initial(side, first_dcid, dcid, scid, frames, version)
  local client, server = crypto.key_initial(version or net.V1, first_dcid)
  local start = VERSIONS[version or net.V1] .. string.char(#dcid) .. dcid .. string.char(#scid) .. scid .. "\0"
  local payload = frames .. ("\0"):rep(1200 - #start - 22 - #frames)
  local size = #payload + 20
  local header = start .. string.char(64 + math.floor(size / 256), size % 256) .. "\0\0\3\232" -- number 1000
  return crypto.seal(crypto.new(("f"):rep(32)), side == "client" and client or server, header, 4, 1000, payload)
end

--- A pair whose client has sent its first datagram.
local function begun(options)
  local p = net.pair(options)
  p.first = p.client:send(p.now)
  p.header = quic.header(p.first, 8)
  return p
end

describe("a client", function()
  -- covers: rfc9000#5.2.1.2
  it("takes nothing of another version than it began with, where it offered no other", function()
    for version, by in pairs({ [net.V1] = "peer", [net.V2] = "none" }) do
      local p = begun({ client = { versions = { net.V1 } } })
      local forged = initial("server", p.header.dcid, p.header.scid, "serverid", CLOSE, version)
      p.client:recv(forged, p.now)
      assert.equal(by, p.client:info().by)
      assert.equal(version == net.V1 and 1 or 0, p.client:stats().packets_received)
      p:free()
    end
  end)

  -- covers: rfc9000#7.2.2 rfc9000#8.1.6
  it("names the same destination in all that it sends, in 1200 bytes each, until somebody answers", function()
    local p, count = begun(), 0
    p.drop = function(_, _, datagram)
      count = count + 1
      assert.is_true(#datagram >= 1200)
      local header = quic.header(datagram, 8)
      assert.same({ 0, p.header.dcid }, { header.type, header.dcid })
      return true
    end
    p:run(nil, 8000 * MS)
    assert.is_true(count >= 4, count)
    p:free()
  end)

  -- covers: rfc9000#8.1.6
  it("that has Handshake keys and may be all that the server waits for sends Handshake packets", function()
    -- Of the server's flight its first datagram comes, with ServerHello; nothing of the client's arrives any more.
    local p = net.pair({ drop = function(direction, index) return index > 1 or direction == "none" end })
    p:run(function(x) return not x.client:info().has_initial end, 5000 * MS)
    local before, handshakes = p.sent.up, 0
    p.filter = function(direction, datagram)
      if direction == "up" and quic.header(datagram, 8).type == 2 then handshakes = handshakes + 1 end
      return datagram
    end
    p:run(nil, 4000 * MS)
    assert.is_true(p.sent.up > before and handshakes >= 2, handshakes)
    p:free()
  end)

  -- covers: rfc9000#7.2.4 rfc9000#7.2.6
  it("goes to another destination for the first Initial that comes, and for no later one", function()
    local p = begun()
    local bare = bytes(0x02, 0, 0, 0, 0) -- acknowledges the first packet
    p.client:recv(initial("server", p.header.dcid, p.header.scid, "serverid", bare), p.now)
    assert.equal("serverid", (select(2, p.client:ids())))
    local dropped = p.client:stats().packets_dropped
    p.client:recv(initial("server", p.header.dcid, p.header.scid, "evilevil", CLOSE), p.now)
    assert.equal(dropped + 1, p.client:stats().packets_dropped)
    assert.same({ "none", "serverid" }, { p.client:info().by, (select(2, p.client:ids())) })
    p:free()
  end)
end)

describe("a server", function()
  -- covers: rfc9000#7.2.5 rfc9000#7.2.6
  it("goes to the destination that the first Initial gave, and takes none that gives another", function()
    local p = begun()
    p:deliver("up", p.first)
    assert.equal(p.header.scid, (select(2, p.server:ids())))
    local before = p.server:stats()
    p:deliver("up", initial("client", p.header.dcid, p.header.dcid, "evilevil", CLOSE))
    assert.same({ "none", p.header.scid }, { p.server:info().by, (select(2, p.server:ids())) })
    assert.equal(before.packets_received, p.server:stats().packets_received)
    assert.equal(before.packets_dropped + 1, p.server:stats().packets_dropped)
    -- The control: the same from where it has to come.
    p:deliver("up", initial("client", p.header.dcid, p.header.dcid, p.header.scid, CLOSE))
    assert.equal("peer", p.server:info().by)
    p:free()
  end)

  -- covers: rfc9000#17.2.5.1.1
  it("names no destination in a Retry that the client had itself", function()
    local function retry_for(dcid)
      local config, clients = net.config({ retry = 1 }, 11, true), net.config({}, 12)
      local endpoint = assert(quic.endpoint(config, true))
      local client = assert(quic.client(clients, "localhost", net.CLIENT, net.SERVER, 0))
      local first = client:send(0)
      if dcid then first = first:sub(1, 6) .. dcid .. first:sub(15) end
      endpoint:recv(first, net.CLIENT, net.SERVER, 0)
      local answer = endpoint:send(0)
      client:free()
      endpoint:free()
      config:free()
      clients:free()
      return answer and quic.header(answer, 8).scid
    end
    local chosen = assert(retry_for())
    assert.is_nil(retry_for(chosen))
    assert.equal(chosen, retry_for("whatever"))
  end)
end)

describe("a datagram", function()
  -- covers: rfc9000#10.3.7 rfc9000#14.4
  it("of any few bytes, or with an Initial that is not filled, is dropped and ends nothing", function()
    for _, confirmed in ipairs({ false, true }) do
      local p = net.pair()
      p:run(function(x) return x.client:info().established end)
      local small = p.client:inject(INITIAL, CLOSE)
      if confirmed then p:handshake() end
      local before = { p.client:stats().packets_received, p.server:stats().packets_received }
      local ours, theirs = p.client:source_ids()[1], p.server:source_ids()[1]
      p.server:recv(small, p.now)
      for size = 0, 20 do
        for _, first in ipairs({ "\64", "\192\0\0\0\1", "\224\0\0\0\1\8" }) do
          p.client:recv((first .. ours .. ("x"):rep(20)):sub(1, size), p.now)
          p.server:recv((first .. theirs .. ("x"):rep(20)):sub(1, size), p.now)
        end
      end
      assert.same(before, { p.client:stats().packets_received, p.server:stats().packets_received })
      assert.same({ "none", "none" }, { p.client:info().by, p.server:info().by })
      p:handshake()
      p:free()
    end
  end)
end)

describe("a repeated packet number", function()
  -- covers: rfc9000#12.3.5
  it("is seen only once the packet is opened: what does not open counts as forged, whatever its number", function()
    local p = net.pair():handshake()
    local packet = p.client:inject(APPLICATION, bytes(1))
    p.server:recv(packet, p.now)
    p.server:set_use(0, 2 ^ 52 - 1)
    local dropped = p.server:stats().packets_dropped
    p.server:recv(packet, p.now)
    assert.same({ "none", dropped + 1 }, { p.server:info().by, p.server:stats().packets_dropped })
    p.server:recv(packet:sub(1, -2) .. string.char((packet:byte(-1) + 1) % 256), p.now)
    assert.same({ AEAD_LIMIT_REACHED, 2 ^ 52 }, { p.server:info().code, p.server:floods().packets_forged })
    p:free()
  end)
end)

describe("a Handshake packet of a server that is sealed anew in another version", function()
  it("does not open", function()
    local p = net.pair()
    p:run(function(x) return x.server ~= nil end)
    local packet = p.server:inject(HANDSHAKE, bytes(1))
    local before = p.client:stats().packets_received
    p.client:recv("\228\107\51\67\207" .. packet:sub(6), p.now)
    assert.equal(before, p.client:stats().packets_received)
    p:free()
  end)
end)
