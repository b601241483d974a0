-- Packets that bring nothing (RFC 9000 §21.9): a flood of them ends the connection, honest peers never come near.
local net = require("support.quic_net")

local MS = net.MS
local bytes = net.bytes
local PROTOCOL_VIOLATION = 0x0a

-- Each as the frames of one packet; `at` counts the packets.
local FLOODS = {
  PING = function() return bytes(0x01) end,
  ["PING with PADDING"] = function() return bytes(0x01) .. ("\0"):rep(300) end,
  PADDING = function() return ("\0"):rep(20) end,
  ["empty STREAM"] = function() return bytes(0x0a, 0, 0) end,
  ["MAX_DATA that says nothing"] = function(at) return bytes(0x10, at % 1000) end,
  ["MAX_STREAM_DATA that says nothing"] = function(at) return bytes(0x11, 0, at % 1000) end,
  ["MAX_STREAMS that says nothing"] = function() return bytes(0x12, 5) end,
  ["*_BLOCKED"] = function(at) return bytes(0x14, at, 0x15, 0, at, 0x16, 7) end,
  PATH_CHALLENGE = function(at) return bytes(0x1a, ("%08d"):format(at)) end,
  PATH_RESPONSE = function(at) return bytes(0x1b, ("%08d"):format(at)) end,
  ["RESET_STREAM again"] = function() return bytes(0x04, 8, 7, 0) end,
  ["STOP_SENDING again"] = function() return bytes(0x05, 8, 7) end,
  ["NEW_CONNECTION_ID again"] = function() return bytes(0x18, 9, 9, "\8abcdefgh", ("t"):rep(16)) end,
  ["ACK of the same"] = function() return bytes(0x02, 0, 0, 0, 0) end,
}

--- How many packets of the flood the server takes before it ends the connection; nil when it takes `most`.
local function taken(flood, most, gap, between)
  local p = net.pair({ server = { initial_max_data = 1e6 } }):handshake()
  local code, reason, count, counted
  for at = 1, most do
    p:inject("client", net.APPLICATION, flood(at))
    if between then between(p, at) end
    if at % 50 == 0 then p.server:send(p.now) end
    p.now = p.now + (gap or 0)
    if p.server:info().by ~= "none" then
      code, reason, count = p.server:info().code, p.server:info().reason, at
      counted = p.server:floods().packets_unproductive
      break
    end
  end
  p:free()
  return count, code, reason, counted
end

describe("a flood of packets that bring nothing", function()
  for name, flood in pairs(FLOODS) do
    -- covers: rfc9000#21.9.1 rfc9000#21.9.2
    it("ends the connection: " .. name, function()
      local count, code, reason, counted = taken(flood, 1100)
      assert.is_true(count ~= nil and count > 990 and count < 1010, tostring(count))
      assert.equal(PROTOCOL_VIOLATION, code)
      assert.equal("too many packets that bring nothing", reason)
      assert.is_true(counted >= 990 and counted <= count, counted) -- as neap_stats tells it
    end)
  end

  it("counts the frames of a packet that is refused, since a frame in it has no room", function()
    local p = net.pair():handshake()
    for at = 1, 512 do -- LIMIT_STREAM_GAPS
      p:inject("client", net.APPLICATION, bytes(0x0e, 0, at * 2, 1, "x"))
      if at % 50 == 0 then p.server:send(p.now) end
    end
    local copy = p.client:inject(net.APPLICATION, bytes(0x0e, 0, 4000, 1, "x") .. ("\1"):rep(1000))
    local received = p.server:stats().packets_received
    for _ = 1, 100 do p:deliver("up", copy) end
    assert.equal("too many packets that bring nothing", p.server:info().reason)
    assert.is_true(p.server:stats().packets_received - received < 20)
    p:free()
  end)

  it("counts the frames of a full packet, whatever useful thing is among them", function()
    local function of(useful)
      return function(at) return useful and bytes(0x0e, 0, at, 1, "x") .. ("\1"):rep(1000) or ("\1"):rep(1000) end
    end
    local alone, mixed = taken(of(false), 100), taken(of(true), 100)
    assert.is_true(alone ~= nil and alone < 20, tostring(alone))
    assert.is_true(mixed ~= nil and mixed < 20, tostring(mixed))
  end)
end)

describe("a flood of retirements", function()
  local function retire(sequence) return bytes(0x19) .. net.varint(sequence) end

  it("ends the connection, since each has the server make another connection ID", function()
    local p = net.pair():handshake()
    local made, reason = 0
    p.on_datagram = function() return false end -- nothing of ours arrives, so that nothing is acknowledged
    for sequence = 1, 200 do
      p:inject("client", net.APPLICATION, retire(sequence) .. bytes(0x0e, 0, sequence, 1, "x"))
      p.server:burst(p.now)
      reason = p.server:info().reason
      if p.server:info().by ~= "none" then break end
      made = sequence
    end
    assert.equal("too many packets that bring nothing", reason)
    assert.is_true(made > 50 and made < 70, made)
    p:free()
  end)

  it("is none where they were asked for", function()
    local p = net.pair():handshake()
    for _ = 1, 200 do
      net.quic.rotate(p.server)
      p:settle(50 * MS)
    end
    assert.equal("none", p.server:info().by)
    assert.is_true(p.server:stats().unproductive < 16, p.server:stats().unproductive)
    p:free()
  end)
end)

describe("packets that bring nothing, from an honest peer", function()
  it("are forgiven with time: eighty a second for a minute", function()
    assert.is_nil((taken(FLOODS.PING, 4800, 12.5 * MS)))
  end)

  it("are made good by those that bring something", function()
    assert.is_nil((taken(FLOODS["MAX_DATA that says nothing"], 3000, 0, function(p, at)
      p:inject("client", net.APPLICATION, bytes(0x0e, 0, at, 1, "x"))
    end)))
  end)

  it("are not repetitions of data, as after an outage", function()
    assert.is_nil((taken(function() return bytes(0x0e, 0, 0, 3, "abc") end, 3000)))
  end)

  it("are not acknowledgments that came in another order, however long the download is", function()
    local p = net.pair({ delay = 10 * MS }):handshake()
    local transmit, random = p.transmit, net.random(4)
    function p:transmit(direction, datagram, to)
      self.delay = 10 * MS + (direction == "up" and random() * 5 * MS or 0)
      transmit(self, direction, datagram, to)
    end
    local data, worst = ("neap"):rep(6000000), 0
    p.filter = function(_, datagram)
      worst = math.max(worst, p.server:stats().unproductive)
      return datagram
    end
    local got = p:transfer("server", data)
    assert.same({ "none", "" }, { p.server:info().by, p.server:info().reason })
    assert.is_true(got == data)
    assert.is_true(worst < 100, worst)
    p:free()
  end)

  it("may come late, without asking for an answer, as often as packets were sent to the peer", function()
    local p = net.pair():handshake()
    assert(p:transfer("server", ("neap"):rep(120000)))
    p:settle()
    local late = {}
    for at = 1, 2000 do
      late[at] = p.client:inject(net.APPLICATION, bytes(0x02, 0, 0, 0, 0))
    end
    p:inject("client", net.APPLICATION, bytes(1))
    local sent = p.server:stats().packets_sent
    local count
    for at = 1, #late do
      p:deliver("up", late[at])
      if p.server:info().by ~= "none" then
        count = at
        break
      end
    end
    assert.is_true(sent > 300 and sent < 800, sent)
    assert.is_true(count ~= nil and count > 990 + sent and count < 1010 + sent, tostring(count))
    p:free()
  end)

  it("do not add up over loss, duplicates and disorder, in long transfers both ways", function()
    for seed = 1, 3 do
      local p = net.pair({ seed = seed, loss = 0.1, duplicate = 0.1, reorder = 0.3, delay = 5 * MS }):handshake()
      local data = ("neap"):rep(100000)
      assert.equal(#data, #(p:transfer("client", data) or ""))
      assert.equal(#data, #(p:transfer("server", data) or ""))
      for _, side in ipairs({ "client", "server" }) do
        assert.equal("none", p[side]:info().by)
        assert.is_true(p[side]:stats().unproductive < 200, p[side]:stats().unproductive)
      end
      p:free()
    end
  end)
end)
