local net = require("support.quic_net")

local MS = net.MS

--- Transport parameters as bytes: pairs of id and value (a number becomes a varint).
local function params(list)
  local parts = {}
  for _, pair in ipairs(list) do
    local value = type(pair[2]) == "number" and net.varint(pair[2]) or pair[2]
    parts[#parts + 1] = net.bytes(pair[1], #value, value)
  end
  return table.concat(parts)
end

--- How a server ends a connection whose client sends these parameters; `scid` true adds the right
--- initial_source_connection_id, which depends on the connection.
local function answer_to(list, without_scid)
  local p = net.pair()
  local config = p.client_config
  p.client:free()
  -- The same seed gives the same connection ID again only with a new config.
  config:free()
  p.client_config = net.config({ source_connection_id_size = 0 }, 5)
  if not without_scid then table.insert(list, { 0x0f, "" }) end
  p.client = assert(
    net.quic.client(p.client_config, "localhost", net.CLIENT, net.SERVER, p.now, params(list))
  )
  p:run(function(x) return x.server and x.server:info().by ~= "none" end, 2000 * MS)
  local info = p.server:info()
  p:settle(100 * MS)
  local seen = p.client:info()
  p:free()
  return info.code, info.reason, seen
end

local TRANSPORT_PARAMETER_ERROR = 0x08

describe("a handshake", function()
  it("ends confirmed on both sides, and its memory is given back", function()
    local p = net.pair():handshake()
    for _, conn in ipairs({ p.client, p.server }) do
      local info = conn:info()
      assert.is_true(info.established)
      assert.is_true(info.confirmed)
      assert.is_false(info.has_handshake)
      assert.equal("t", info.alpn)
      assert.equal("localhost", info.server_name)
    end
    p:free()
  end)

  it("takes one round trip until the client may send", function()
    local p = net.pair()
    local start = p.now
    p:run(function(x) return x.client:info().established end)
    assert.equal(20 * MS, p.now - start)
    p:free()
  end)

  -- covers: rfc9001#4.9.1.1 rfc9001#4.9.1.2 rfc9001#4.9.2.1
  it("forgets Initial keys with the first Handshake packet, sent by a client, received by a server", function()
    local p = net.pair()
    p:run(function(x) return x.client:info().established end)
    assert.is_true(p.client:info().has_initial)
    assert.is_true(p.server:info().has_initial)
    p:flush()
    assert.is_false(p.client:info().has_initial)
    p:run(function(x) return x.server:info().confirmed end)
    assert.is_false(p.server:info().has_initial)
    p:free()
  end)

  it("gives equal bytes for equal seeds", function()
    local function hash(seed)
      local all = {}
      local p = net.pair({ seed = seed, filter = function(_, bytes)
        all[#all + 1] = bytes
        return bytes
      end })
      p:handshake()
      p:transfer("client", ("x"):rep(20000))
      p:free()
      return table.concat(all)
    end
    assert.is_true(hash(3) == hash(3))
    assert.is_false(hash(3) == hash(4))
  end)

  -- covers: rfc9001#8.1.6
  it("fails with no_application_protocol when there is none in common", function()
    local p = net.pair({ client = { alpn = "other" } })
    p:run(function(x) return x.client:info().by ~= "none" end, 2000 * MS)
    assert.equal(0x178, p.client:info().code)
    assert.equal("peer", p.client:info().by)
    p:free()
  end)

  it("fails when the certificate is not trusted, and says so to the server", function()
    local p = net.pair()
    p.client:free()
    p.client_config:set("verify_peer", 1)
    local other = net.quic.config(99)
    p.client_config:ca((other:make_certificate("other.example")))
    other:free()
    p.client = net.quic.client(p.client_config, "localhost", net.CLIENT, net.SERVER, p.now)
    p:run(function(x) return x.server and x.server:info().by ~= "none" end, 2000 * MS)
    assert.equal("local", p.client:info().by)
    assert.is_true(p.client:info().code >= 0x100)
    assert.equal(p.client:info().code, p.server:info().code)
    assert.equal("peer", p.server:info().by)
    p:free()
  end)

  it("verifies a certificate that is a given root", function()
    local p = net.pair()
    p.client:free()
    p.client_config:set("verify_peer", 1)
    p.client_config:ca((net.certificate()))
    p.client = net.quic.client(p.client_config, "localhost", net.CLIENT, net.SERVER, p.now)
    p:handshake()
    p:free()
  end)

  it("is over after its time, whichever side stalls", function()
    local p = net.pair({ drop = function(direction) return direction == "down" end })
    local start = p.now
    p:run(function(x) return x.client:info().closed and x.server:info().closed end)
    assert.equal("handshake timeout", p.client:info().by)
    assert.equal("handshake timeout", p.server:info().by)
    assert.is_true(p.now - start <= 10100 * MS)
    p:free()
  end)

  it("completes with any of its first datagrams lost, and any two of them", function()
    for _, directions in ipairs({ { "up", "up" }, { "up", "down" }, { "down", "down" } }) do
      for i = 1, 12 do
        for j = 1, 12 do
          local p = net.pair({ seed = i * 13 + j, drop = function(direction, index)
            return (direction == directions[1] and index == i) or (direction == directions[2] and index == j)
          end })
          p:handshake()
          p:free()
        end
      end
    end
  end)

  it("goes on though its last message is lost twice behind a window full of data", function()
    local p = net.pair()
    p:run(function(x) return x.client:info().established end)
    local id = p.client:open(false)
    p.client:stream_send(id, ("x"):rep(100000), true)
    local lost = 0
    p.filter = function(direction, datagram)
      local header = net.quic.header(datagram, 8)
      local has_finished = header and header.type ~= 5 and #datagram > 60
      if direction == "up" and has_finished and lost < 2 then
        lost = lost + 1
        return nil
      end
      return datagram
    end
    assert.is_true(p:run(function(x) return x.client:info().confirmed end, 5000 * MS))
    assert.equal(2, lost)
    p:free()
  end)

  it("needs no more time than a probe for one lost datagram", function()
    for _, direction in ipairs({ "up", "down" }) do
      for index = 1, 4 do
        local p = net.pair({ drop = function(d, i) return d == direction and i == index end })
        local start = p.now
        p:handshake()
        assert.is_true(p.now - start < 1300 * MS, direction .. index)
        p:free()
      end
    end
  end)

  it("leaves nothing behind when memory runs out at any allocation", function()
    for _, side in ipairs({ "server_config", "client_config" }) do
      local reached = true
      for at = 1, 600 do
        local p = net.pair()
        p[side]:fail_at(at)
        p:run(function(x) return x.client:info().confirmed end, 300 * MS)
        -- Where it failed the connection may be closed: then there is nothing to transfer.
        pcall(p.transfer, p, "client", ("x"):rep(5000), 500 * MS)
        reached = p[side]:memory().allocations >= at
        p:free()
        if not reached then break end
      end
      assert.is_false(reached, "there are more allocations than were tried")
    end
  end)
end)

describe("transport parameters of a client", function()
  it("are fine when they are (the control for what follows)", function()
    local code, _, seen = answer_to({ { 0x04, 1000 } })
    assert.equal(0, code)
    assert.equal("none", seen.by)
  end)

  -- covers: rfc9000#7.3.1 rfc9000#7.3.2 rfc9000#7.3.3 rfc9000#7.3.4 rfc9000#7.4.1
  for _, case in ipairs({
    { "without initial_source_connection_id", {}, true },
    { "with another initial_source_connection_id", { { 0x0f, "abc" } }, true },
    { "with original_destination_connection_id", { { 0x00, "12345678" } } },
    { "with preferred_address", { { 0x0d, ("\0"):rep(24) .. "\4abcd" .. ("t"):rep(16) } } },
    { "with retry_source_connection_id", { { 0x10, "12345678" } } },
    { "with stateless_reset_token", { { 0x02, ("t"):rep(16) } } },
    { "with max_udp_payload_size below 1200", { { 0x03, 1199 } } },
    { "with ack_delay_exponent above 20", { { 0x0a, 21 } } },
    { "with max_ack_delay of 2^14", { { 0x0b, 16384 } } },
    { "with active_connection_id_limit of 1", { { 0x0e, 1 } } },
    { "twice the same", { { 0x04, 1 }, { 0x04, 1 } } },
    { "empty", {}, true },
  }) do
    -- covers: rfc9000#7.4.3
    it(case[1] .. " end the connection with TRANSPORT_PARAMETER_ERROR", function()
      local code, _, seen = answer_to(case[2], case[3])
      assert.equal(TRANSPORT_PARAMETER_ERROR, code)
      assert.equal(TRANSPORT_PARAMETER_ERROR, seen.code)
      assert.equal("peer", seen.by)
    end)
  end

  -- covers: rfc9000#7.4.2.1
  it("that are unknown are ignored", function()
    local code = answer_to({ { 31 * 150 + 27, "anything" }, { 27, "" } })
    assert.equal(0, code)
  end)
end)
