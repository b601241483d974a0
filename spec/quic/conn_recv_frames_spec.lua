local net = require("support.quic_net")

local MS = net.MS
local bytes = net.bytes
local APPLICATION, HANDSHAKE, INITIAL = net.APPLICATION, net.HANDSHAKE, net.INITIAL

local FLOW_CONTROL_ERROR, STREAM_LIMIT_ERROR, STREAM_STATE_ERROR, FINAL_SIZE_ERROR = 3, 4, 5, 6
local FRAME_ENCODING_ERROR, CONNECTION_ID_LIMIT_ERROR, PROTOCOL_VIOLATION = 7, 9, 0x0a
local CRYPTO_BUFFER_EXCEEDED = 0x0d

-- A server that has no CRYPTO of its own behind the handshake.
local SILENT = { resumption = 0 }

--- What a side (the server unless told) closes with after a packet of these frames; nil while it is alive.
local function answer(payload, options)
  options = options or {}
  local p = net.pair({ server = options.server }):handshake()
  if options.before then options.before(p) end
  local from = options.from or "client"
  local victim = from == "client" and p.server or p.client
  p:inject(from, APPLICATION, payload, options.inject)
  local info = victim:info()
  p:settle(100 * MS)
  local seen = (from == "client" and p.client or p.server):info()
  p:free()
  if info.by == "none" then return nil end
  assert.equal("local", info.by)
  -- The peer hears of it in the same words.
  assert.equal("peer", seen.by)
  assert.equal(info.code, seen.code)
  assert.equal(info.frame_type, seen.frame_type)
  assert.equal(info.reason, seen.reason)
  return info.code, info.frame_type
end

--- The same with a Handshake packet from the client while the server still waits for its Finished.
local function answer_in_handshake(payload, options)
  local p = net.pair()
  p:run(function(x) return x.client:info().established end)
  p:inject("client", HANDSHAKE, payload, options)
  local info = p.server:info()
  p:free()
  return info.by ~= "none" and info.code or nil
end

local STREAM, FIN_STREAM = 0x0a, 0x0b -- with length; OFF is 4
local STREAM_AT = 0x0e

describe("frames that break a rule end the connection: a server", function()
  local function it_answers(what, payload, code, options)
    it(what, function() assert.equal(code, (answer(payload, options))) end)
  end

  -- covers: rfc9000#19.8.2
  it_answers("data past the stream's window", bytes(STREAM_AT, 0, 1048576, 1, "x"), FLOW_CONTROL_ERROR)
  it_answers("data up to the stream's window is fine", bytes(STREAM_AT, 0, 1048575, 1, "x"), nil)
  it_answers("data past the connection's window", bytes(STREAM_AT, 0, 1048575, 1, "x", STREAM_AT, 4, 51425, 1, "x"),
    FLOW_CONTROL_ERROR, { server = { initial_max_data = 1100000 } })
  it_answers("data up to the connection's window is fine",
    bytes(STREAM_AT, 0, 1048575, 1, "x", STREAM_AT, 4, 51423, 1, "x"), nil, { server = { initial_max_data = 1100000 } })
  it_answers("a reset past the connection's window", bytes(0x04, 0, 0, 1048576, 0x04, 4, 0, 60000), FLOW_CONTROL_ERROR,
    { server = { initial_max_data = 1100000 } })

  -- covers: rfc9000#19.11.4
  it_answers("a stream over the limit", bytes(STREAM, 400, 1, "x"), STREAM_LIMIT_ERROR)
  it_answers("the last stream under the limit is fine", bytes(STREAM, 396, 1, "x"), nil)
  it_answers("RESET_STREAM over the limit", bytes(0x04, 400, 0, 0), STREAM_LIMIT_ERROR)
  it_answers("STOP_SENDING over the limit", bytes(0x05, 400, 0), STREAM_LIMIT_ERROR)
  it_answers("MAX_STREAM_DATA over the limit", bytes(0x11, 400, 0), STREAM_LIMIT_ERROR)
  it_answers("STREAM_DATA_BLOCKED over the limit", bytes(0x15, 400, 0), STREAM_LIMIT_ERROR)

  it_answers("RESET_STREAM on a stream that only it sends on", bytes(0x04, 3, 0, 0), STREAM_STATE_ERROR)
  it_answers("STOP_SENDING on a stream that does not exist", bytes(0x05, 1, 0), STREAM_STATE_ERROR)
  it_answers("STREAM for a stream of its own that it did not open", bytes(STREAM, 1, 1, "x"), STREAM_STATE_ERROR)
  it_answers("STREAM on a stream that only it sends on", bytes(STREAM, 3, 1, "x"), STREAM_STATE_ERROR)
  it_answers("MAX_STREAM_DATA for a stream that it did not open", bytes(0x11, 1, 9), STREAM_STATE_ERROR)
  -- covers: rfc9000#19.13.2
  it_answers("MAX_STREAM_DATA on a stream that only the client sends on", bytes(0x11, 2, 9), STREAM_STATE_ERROR)
  it_answers("STREAM_DATA_BLOCKED on a stream that only it sends on", bytes(0x15, 3, 9), STREAM_STATE_ERROR)

  it_answers("a final size below what came", bytes(STREAM_AT, 0, 5, 1, "x", FIN_STREAM, 0, 1, "x"), FINAL_SIZE_ERROR)
  it_answers("a final size that changes", bytes(FIN_STREAM, 0, 1, "x", 0x04, 0, 0, 2), FINAL_SIZE_ERROR)

  it_answers("MAX_STREAMS above 2^60", bytes(0x12, 2 ^ 60 + 256), FRAME_ENCODING_ERROR)
  it_answers("MAX_STREAMS of 2^60 is fine", bytes(0x12, 2 ^ 60), nil)
  it_answers("STREAMS_BLOCKED above 2^60", bytes(0x16, 2 ^ 60 + 256), FRAME_ENCODING_ERROR)

  -- covers: rfc9000#12.4.4
  it_answers("an unknown frame type", bytes(31 * 2 ^ 40 + 27), FRAME_ENCODING_ERROR)
  it_answers("a type of two bytes where one does", "\64\1", PROTOCOL_VIOLATION)
  it_answers("a frame that is cut short", bytes(0x04, 0), FRAME_ENCODING_ERROR)
  -- covers: rfc9000#12.4.2
  it_answers("a packet without frames", "", PROTOCOL_VIOLATION)
  -- covers: rfc9000#17.3.1.3
  it_answers("reserved bits of a short header", bytes(1), PROTOCOL_VIOLATION, { inject = { bits = 0x08 } })
  it_answers("the other reserved bit", bytes(1), PROTOCOL_VIOLATION, { inject = { bits = 0x10 } })

  -- covers: rfc9000#19.20.2
  it_answers("HANDSHAKE_DONE from a client", bytes(0x1e), PROTOCOL_VIOLATION)
  it_answers("NEW_TOKEN from a client", bytes(0x07, 4, "abcd"), PROTOCOL_VIOLATION)

  -- covers: rfc9000#19.15.7
  it_answers("NEW_CONNECTION_ID with retire_prior_to above its sequence",
    bytes(0x18, 1, 2, "\8abcdefgh", ("t"):rep(16)), FRAME_ENCODING_ERROR)
  -- covers: rfc9000#19.15.1
  it_answers("NEW_CONNECTION_ID of no bytes", bytes(0x18, 1, 0, "\0", ("t"):rep(16)), FRAME_ENCODING_ERROR)
  it_answers("NEW_CONNECTION_ID of 21 bytes", bytes(0x18, 1, 0, "\21", ("c"):rep(21), ("t"):rep(16)),
    FRAME_ENCODING_ERROR)
  -- covers: rfc9000#5.1.1.6
  it_answers("more connection IDs than it wants", (function()
    local all = ""
    for i = 10, 14 do
      all = all .. bytes(0x18, i, 0, ("\8abcdefg%c"):format(i), ("%c"):format(i):rep(16))
    end
    return all
  end)(), CONNECTION_ID_LIMIT_ERROR)
  it_answers("a sequence number that stands for another connection ID already",
    bytes(0x18, 1, 0, "\8abcdefgh", ("t"):rep(16)), PROTOCOL_VIOLATION)
  -- covers: rfc9000#19.16.1
  it_answers("RETIRE_CONNECTION_ID of one never issued", bytes(0x19, 99), PROTOCOL_VIOLATION)
  -- covers: rfc9000#19.16.2
  it_answers("RETIRE_CONNECTION_ID of the one that the packet goes to", bytes(0x19, 0), PROTOCOL_VIOLATION)

  it_answers("an ACK of what it never sent", bytes(0x02, 1000, 0, 0, 0), PROTOCOL_VIOLATION)
  it_answers("an ACK with a range below zero", bytes(0x02, 1, 0, 0, 5), FRAME_ENCODING_ERROR)
  it_answers("an ACK that promises 2^60 ranges", bytes(0x02, 1, 0, 2 ^ 60, 0), FRAME_ENCODING_ERROR)

  -- covers: rfc9000#7.5.3
  it_answers("CRYPTO far ahead", bytes(0x06, 70000, 1, "x"), CRYPTO_BUFFER_EXCEEDED)
  it_answers("CRYPTO of a client that is not in order", bytes(0x06, 1, 1, "x"), CRYPTO_BUFFER_EXCEEDED)
  it_answers("CRYPTO without data, which is fine", bytes(0x06, 0, 0), nil)
  it_answers("CRYPTO past 2^62-1", "\6\255\255\255\255\255\255\255\255" .. bytes(1, "x"), FRAME_ENCODING_ERROR)
  -- covers: rfc9001#6.3
  it_answers("a TLS KeyUpdate", bytes(0x06, 0, 5, "\24\0\0\1\0"), 0x10a)
  it_answers("a TLS message of a type that does not exist", bytes(0x06, 0, 4, "\99\0\0\0"), 0x10a)

  it("tells the type of the frame at fault", function()
    local _, frame_type = answer(bytes(1, 0x1e))
    assert.equal(0x1e, frame_type)
  end)
end)

describe("a client", function()
  it("takes a NewSessionTicket after the handshake, in pieces too", function()
    local ticket = "\4\0\0\20" .. ("\0"):rep(8) .. "\1n" .. "\0\6ticket" .. "\0\0"
    assert.equal(24, #ticket)
    local p = net.pair({ server = SILENT }):handshake()
    for at = 1, #ticket do
      p:inject("server", APPLICATION, bytes(0x06, at - 1, 1, ticket:sub(at, at)))
    end
    p:inject("server", APPLICATION, bytes(0x06, #ticket, #ticket, ticket))
    assert.equal("none", p.client:info().by)
    p:free()
  end)

  it("refuses a TLS KeyUpdate", function()
    assert.equal(0x10a, (answer(bytes(0x06, 0, 5, "\24\0\0\1\0"), { from = "server", server = SILENT })))
  end)

  -- covers: rfc9001#4.4.5
  it("refuses a TLS CertificateRequest", function()
    assert.equal(PROTOCOL_VIOLATION,
      (answer(bytes(0x06, 0, 7, "\13\0\0\3\0\0\0"), { from = "server", server = SILENT })))
  end)

  it("takes NEW_TOKEN and HANDSHAKE_DONE again", function()
    assert.is_nil((answer(bytes(0x07, 4, "abcd", 0x1e), { from = "server" })))
  end)

  -- covers: rfc9000#19.7.1
  it("refuses an empty NEW_TOKEN", function()
    assert.equal(FRAME_ENCODING_ERROR, (answer(bytes(0x07, 0), { from = "server" })))
  end)
end)

describe("a Handshake packet", function()
  -- covers: rfc9000#12.4.3 rfc9000#17.2.4.2
  for name, payload in pairs({
    PATH_CHALLENGE = bytes(0x1a, "12345678"),
    STREAM = bytes(STREAM, 0, 1, "x"),
    MAX_DATA = bytes(0x10, 1),
    ["CONNECTION_CLOSE of an application"] = bytes(0x1d, 0, 0),
    NEW_CONNECTION_ID = bytes(0x18, 1, 0, "\8abcdefgh", ("t"):rep(16)),
    HANDSHAKE_DONE = bytes(0x1e),
  }) do
    it("may not have " .. name, function() assert.equal(PROTOCOL_VIOLATION, answer_in_handshake(payload)) end)
  end

  -- covers: rfc9000#17.2.9
  it("may not have reserved bits set", function()
    assert.equal(PROTOCOL_VIOLATION, answer_in_handshake(bytes(1), { bits = 0x04 }))
    assert.equal(PROTOCOL_VIOLATION, answer_in_handshake(bytes(1), { bits = 0x08 }))
  end)

  it("may not have a TLS KeyUpdate", function()
    assert.equal(0x10a, answer_in_handshake(bytes(0x06, 0, 5, "\24\0\0\1\0")))
  end)

  it("may have PING, PADDING and CONNECTION_CLOSE", function()
    assert.is_nil(answer_in_handshake(bytes(1, 0, 0)))
    assert.equal(7, answer_in_handshake(bytes(0x1c, 7, 0, 0)))
  end)
end)

describe("an ACK", function()
  it("of a packet number that was left out on purpose ends the connection", function()
    local p = net.pair():handshake()
    local target = p.server:stats().skip_at
    -- An optimistic peer: it acknowledges everything up to a number that is sent later than the one left out.
    local id = p.server:open(false)
    p.drop = function(direction) return direction == "up" end
    for _ = 1, 100 do
      p.server:stream_send(id, ("x"):rep(1000), false)
      p.now = p.now + 30 * MS
      p:flush()
      local last = p.server:stats().next_number - 1
      if last > target then break end
      p:inject("client", APPLICATION, bytes(0x02, last, 0, 0, last))
    end
    assert.is_true(p.server:stats().next_number - 1 > target)
    assert.equal("none", p.server:info().by)
    local last = p.server:stats().next_number - 1
    p:inject("client", APPLICATION, bytes(0x02, last, 0, 0, last))
    assert.equal(PROTOCOL_VIOLATION, p.server:info().code)
    p:free()
  end)

  it("with more ranges than are looked at does no harm", function()
    local p = net.pair():handshake()
    local ranges = ("\0\0"):rep(500)
    p:inject("client", APPLICATION, bytes(0x02, 1, 0, 0, 1))
    p:inject("client", APPLICATION, bytes(0x02, 1, 0, 500, 0, ranges))
    assert.equal(FRAME_ENCODING_ERROR, p.server:info().code)
    p:free()
  end)
end)

describe("an ACK of more ranges than are looked at", function()
  it("counts for its newest ones, and the others are counted as ignored", function()
    local p = net.pair():handshake()
    local left_out = {}
    local function ping()
      local next_left_out = p.server:stats().skip_at
      p.server:ping()
      p:flush()
      left_out[next_left_out] = p.server:stats().next_number > next_left_out
    end
    while p.server:stats().next_number < 1000 do
      ping()
      p:settle()
    end
    -- The client has not acknowledged the last one.
    p.drop = function(direction) return direction == "up" end
    ping()
    assert.equal(1, p.server:stats().eliciting_in_flight)
    local largest = p.server:stats().next_number - 1
    local at, ranges = largest, {}
    for i = 1, 300 do
      local gap = left_out[at - 2] and 1 or 0
      at = at - 2 - gap
      ranges[i] = string.char(gap, 0)
    end
    assert.is_true(at > 0, largest)
    p:inject("client", APPLICATION, bytes(0x02, largest, 0, 300, 0, table.concat(ranges)))
    assert.equal("none", p.server:info().by)
    assert.equal(0, p.server:stats().eliciting_in_flight)
    assert.equal(301 - 256, p.server:stats().ack_ranges_ignored)
    p:free()
  end)
end)

describe("a receiver of many gaps", function()
  it("keeps a bounded number of ranges to acknowledge", function()
    local p = net.pair():handshake()
    local first = p.client:stats().next_number
    for i = 1, 1000 do
      p:inject("client", APPLICATION, bytes(1), { number = first + 2 * i })
    end
    assert.equal("none", p.server:info().by)
    assert.is_true(p.server:stats().ack_ranges <= 64)
    -- What lies below the ranges kept is not taken again.
    local received = p.server:stats().packets_received
    local dropped = p.server:stats().packets_dropped
    p:inject("client", APPLICATION, bytes(1), { number = first + 3 })
    assert.same({ received, dropped + 1 }, { p.server:stats().packets_received, p.server:stats().packets_dropped })
    p:free()
  end)
end)

describe("PATH_CHALLENGE", function()
  -- covers: rfc9000#8.2.2.1 rfc9000#8.2.2.5 rfc9000#8.2.2.7 rfc9000#19.17.1
  it("is answered once, in a datagram of 1200 bytes", function()
    local p = net.pair():handshake()
    p:inject("client", APPLICATION, bytes(0x1a, "12345678"))
    local datagram = p.server:send(p.now)
    assert.equal(1200, #datagram)
    assert.is_nil((p.server:send(p.now)))
    p:free()
  end)

  it("in great number costs a bounded answer", function()
    local p = net.pair():handshake()
    for i = 1, 900 do
      p:inject("client", APPLICATION, bytes(0x1a, ("%08d"):format(i)))
    end
    assert.equal("none", p.server:info().by)
    local sent = 0
    while p.server:send(p.now) do
      sent = sent + 1
    end
    assert.is_true(sent <= 4, sent)
    assert.same({ 900, 896 }, { p.server:floods().path_challenges_received, p.server:floods().path_responses_dropped })
    p:free()
  end)

  it("that nobody sent is not missed: PATH_RESPONSE is ignored", function()
    assert.is_nil((answer(bytes(0x1b, "12345678"))))
  end)
end)

describe("NEW_CONNECTION_ID without end", function()
  it("is ended by the bound of what may be retired", function()
    local p = net.pair():handshake()
    p.drop = function(direction) return direction == "down" end
    for i = 10, 60 do
      if p.server:info().by ~= "none" then break end
      p:inject("client", APPLICATION,
        bytes(0x18, i, i, ("\8abcdefg%c"):format(i), ("%c"):format(i):rep(16)))
      p:flush()
    end
    assert.equal(CONNECTION_ID_LIMIT_ERROR, p.server:info().code)
    p:free()
  end)

  -- covers: rfc9000#19.15.4 rfc9000#5.1.2.4
  it("once is taken, again is ignored, and retires what it says", function()
    local p = net.pair():handshake()
    local frame = bytes(0x18, 10, 10, "\8abcdefgh", ("t"):rep(16))
    p:inject("client", APPLICATION, frame)
    p:inject("client", APPLICATION, frame)
    assert.equal("none", p.server:info().by)
    local _, destination = p.server:ids()
    assert.equal("abcdefgh", destination)
    p:free()
  end)
end)

describe("Initial packets", function()
  it("with CONNECTION_CLOSE under the right keys end a handshake", function()
    local p = net.pair()
    p:flush()
    p:run(function(x) return x.server ~= nil end)
    p:inject("client", INITIAL, bytes(0x1c, 9, 0, 0), { pad = 1200 })
    assert.equal("peer", p.server:info().by)
    assert.equal(9, p.server:info().code)
    p:free()
  end)
end)
