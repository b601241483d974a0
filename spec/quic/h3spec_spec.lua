--- The transport checks of h3spec, a client that breaks one rule in each: numbers and names as there. What a server has
--- to answer is compared exactly, and as the client reads it in CONNECTION_CLOSE. Its checks of TLS (28-34) are in
--- tls_errors_spec.lua and early_spec.lua, those of HTTP/3 and QPACK (35-50) in spec/http: h3_sequences_spec.lua,
--- h3_control_spec.lua, fields_spec.lua and qpack_decode_spec.lua.
local net = require("support.quic_net")

local MS, bytes = net.MS, net.bytes
local HANDSHAKE, APPLICATION = net.HANDSHAKE, net.APPLICATION
local FLOW_CONTROL_ERROR, STREAM_LIMIT_ERROR, STREAM_STATE_ERROR = 3, 4, 5
local FRAME_ENCODING_ERROR, TRANSPORT_PARAMETER_ERROR, PROTOCOL_VIOLATION = 7, 8, 0x0a

local RESET_STREAM, STOP_SENDING, NEW_TOKEN, STREAM, STREAM_AT = 0x04, 0x05, 0x07, 0x0a, 0x0e
local MAX_STREAM_DATA, MAX_STREAMS_BIDI, MAX_STREAMS_UNI, BLOCKED_BIDI, BLOCKED_UNI = 0x11, 0x12, 0x13, 0x16, 0x17
local NEW_CONNECTION_ID, PATH_CHALLENGE, HANDSHAKE_DONE = 0x18, 0x1a, 0x1e

--- The server ended it with this code, and the client knows.
local function assert_closed(p, code)
  assert.same({ "local", code }, { p.server:info().by, p.server:info().code })
  p:settle(100 * MS)
  assert.same({ "peer", code }, { p.client:info().by, p.client:info().code })
  p:free()
end

--- After the handshake, in a 1-RTT packet.
local function says(payload, code, options)
  return function()
    local p = net.pair():handshake()
    p:inject("client", APPLICATION, payload, options)
    assert_closed(p, code)
  end
end

--- In a Handshake packet, while the server waits for Finished.
local function says_in_handshake(payload, code, options)
  return function()
    local p = net.pair()
    p:run(function(x) return x.client:info().established end)
    p:inject("client", HANDSHAKE, payload, options)
    assert_closed(p, code)
  end
end

--- A ClientHello with these transport parameters, { id, value } each.
local function offers(...)
  local parts = {}
  for i, pair in ipairs({ ... }) do
    local value = type(pair[2]) == "number" and net.varint(pair[2]) or pair[2]
    parts[i] = bytes(pair[1], #value, value)
  end
  return function()
    local p = net.pair({ client = { source_connection_id_size = 0 }, params = table.concat(parts) })
    p:run(function(x) return x.server and x.server:info().by ~= "none" end, 2000 * MS)
    assert_closed(p, TRANSPORT_PARAMETER_ERROR)
  end
end

local SCID = { 0x0f, "" } -- initial_source_connection_id, as the client's is

describe("h3spec, transport: a server MUST send", function()
  -- covers: rfc9000#10.3.2 rfc9000#11.1.1 rfc9000#11.1 rfc9000#11.2
  it("1 FLOW_CONTROL_ERROR if a STREAM frame with a large offset is received",
    says(bytes(STREAM_AT, 0, 2 ^ 30, 1, "x"), FLOW_CONTROL_ERROR))
  it("2 STREAM_LIMIT_ERROR if a stream ID exceeding the limit", says(bytes(STREAM, 2 ^ 20, 1, "x"), STREAM_LIMIT_ERROR))
  it("3 TRANSPORT_PARAMETER_ERROR if initial_source_connection_id is missing", offers({ 0x04, 1000 }))
  it("4 TRANSPORT_PARAMETER_ERROR if original_destination_connection_id is received",
    offers(SCID, { 0x00, "12345678" }))
  it("5 TRANSPORT_PARAMETER_ERROR if preferred_address is received",
    offers(SCID, { 0x0d, ("\0"):rep(24) .. "\4abcd" .. ("t"):rep(16) }))
  it("6 TRANSPORT_PARAMETER_ERROR if retry_source_connection_id is received", offers(SCID, { 0x10, "12345678" }))
  it("7 TRANSPORT_PARAMETER_ERROR if stateless_reset_token is received", offers(SCID, { 0x02, ("t"):rep(16) }))
  it("8 TRANSPORT_PARAMETER_ERROR if max_udp_payload_size < 1200", offers(SCID, { 0x03, 1199 }))
  it("9 TRANSPORT_PARAMETER_ERROR if ack_delay_exponent > 20", offers(SCID, { 0x0a, 21 }))
  it("10 TRANSPORT_PARAMETER_ERROR if max_ack_delay >= 2^14", offers(SCID, { 0x0b, 2 ^ 14 }))
  it("11 FRAME_ENCODING_ERROR if a frame of unknown type is received",
    says(bytes(31 * 1000 + 27), FRAME_ENCODING_ERROR))
  -- covers: rfc9000#12.4.1
  it("12 PROTOCOL_VIOLATION if a packet without frames is received", function()
    says("", PROTOCOL_VIOLATION)()
    says_in_handshake("", PROTOCOL_VIOLATION)()
  end)
  it("13 PROTOCOL_VIOLATION if reserved bits in Handshake are non-zero", function()
    for _, bits in ipairs({ 0x04, 0x08, 0x0c }) do
      says_in_handshake(bytes(1), PROTOCOL_VIOLATION, { bits = bits })()
    end
  end)
  it("14 PROTOCOL_VIOLATION if PATH_CHALLENGE in Handshake is received",
    says_in_handshake(bytes(PATH_CHALLENGE, "12345678"), PROTOCOL_VIOLATION))
  it("15 PROTOCOL_VIOLATION if reserved bits in Short are non-zero", function()
    for _, bits in ipairs({ 0x08, 0x10, 0x18 }) do says(bytes(1), PROTOCOL_VIOLATION, { bits = bits })() end
  end)
  it("16 STREAM_STATE_ERROR if RESET_STREAM is received for a send-only stream",
    says(bytes(RESET_STREAM, 3, 0, 0), STREAM_STATE_ERROR))
  it("17 STREAM_STATE_ERROR if STOP_SENDING is received for a non-existing stream", function()
    says(bytes(STOP_SENDING, 1, 0), STREAM_STATE_ERROR)()
    says(bytes(STOP_SENDING, 101, 0), STREAM_STATE_ERROR)()
  end)
  -- covers: rfc9000#19.7.3 rfc9000#19.7.4
  it("18 PROTOCOL_VIOLATION if NEW_TOKEN is received",
    says(bytes(NEW_TOKEN, 4, "abcd"), PROTOCOL_VIOLATION))
  it("19 STREAM_STATE_ERROR if it receives a STREAM frame for a locally-initiated stream that has not been created",
    says(bytes(STREAM, 1, 1, "x"), STREAM_STATE_ERROR))
  it("20 STREAM_STATE_ERROR if it receives a STREAM frame for a send-only stream",
    says(bytes(STREAM, 3, 1, "x"), STREAM_STATE_ERROR))
  it("21 STREAM_STATE_ERROR if MAX_STREAM_DATA is received for a stream that has not been created",
    says(bytes(MAX_STREAM_DATA, 1, 100), STREAM_STATE_ERROR))
  it("22 STREAM_STATE_ERROR if MAX_STREAM_DATA is received for a receive-only stream",
    says(bytes(MAX_STREAM_DATA, 2, 100), STREAM_STATE_ERROR))
  it("23 FRAME_ENCODING_ERROR if invalid MAX_STREAMS is received", function()
    for _, kind in ipairs({ MAX_STREAMS_BIDI, MAX_STREAMS_UNI }) do
      says(bytes(kind, 2 ^ 60 + 256), FRAME_ENCODING_ERROR)()
      says(bytes(kind) .. "\208\0\0\0\0\0\0\1", FRAME_ENCODING_ERROR)() -- 2^60 + 1
    end
  end)
  it("24 STREAM_LIMIT_ERROR or FRAME_ENCODING_ERROR if invalid STREAMS_BLOCKED is received", function()
    for _, kind in ipairs({ BLOCKED_BIDI, BLOCKED_UNI }) do
      says(bytes(kind) .. "\208\0\0\0\0\0\0\1", FRAME_ENCODING_ERROR)()
    end
  end)
  it("25 FRAME_ENCODING_ERROR if NEW_CONNECTION_ID with an invalid Retire_Prior_To is received",
    says(bytes(NEW_CONNECTION_ID, 1, 2, "\8abcdefgh", ("t"):rep(16)), FRAME_ENCODING_ERROR))
  it("26 FRAME_ENCODING_ERROR if NEW_CONNECTION_ID with 0-byte CID is received",
    says(bytes(NEW_CONNECTION_ID, 1, 0, "\0", ("t"):rep(16)), FRAME_ENCODING_ERROR))
  it("27 PROTOCOL_VIOLATION if HANDSHAKE_DONE is received", says(bytes(HANDSHAKE_DONE), PROTOCOL_VIOLATION))
end)
