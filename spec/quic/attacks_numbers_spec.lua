--- Attacks by numbers: as large as they can be written, where somebody adds to them, keeps them, or writes them down.
local crypto = require("neap.units").crypto
local json = require "neap.json"
local net = require("support.quic_net")
local schema = require "qlog.schema"
local traces = require "qlog.traces"

local quic, MS, bytes, varint = net.quic, net.MS, net.bytes, net.varint
local APPLICATION = net.APPLICATION
local FRAME_ENCODING_ERROR, FLOW_CONTROL_ERROR, FINAL_SIZE_ERROR = 0x07, 0x03, 0x06
local MOST = ("\255"):rep(8) -- 2^62-1
local FREE = { [0x01] = true, [0x03] = true, [0x04] = true, [0x05] = true, [0x06] = true, [0x07] = true, [0x20] = true }

--- 2^62-1 less a few, as it is written.
local function below_most(few) return ("\255"):rep(7) .. string.char(255 - few) end

local function read_varint(text, at)
  local first = text:byte(at)
  local size = 2 ^ math.floor(first / 64)
  local value = first % 64
  for i = 1, size - 1 do value = value * 256 + text:byte(at + i) end
  return value, at + size
end

--- Transport parameters with 2^62-1 wherever that may be said, and as many unknown ones as there may be.
local function largest_params(text)
  local out, at = {}, 1
  while at <= #text do
    local id, size
    id, at = read_varint(text, at)
    size, at = read_varint(text, at)
    if not FREE[id] then out[#out + 1] = varint(id) .. varint(size) .. text:sub(at, at + size - 1) end
    at = at + size
  end
  for id in pairs(FREE) do out[#out + 1] = varint(id) .. "\8" .. MOST end
  for i = 1, 31 do out[#out + 1] = varint(2 ^ 40 + i) .. varint(100) .. (("\0\"\\\255"):rep(25)) end
  return table.concat(out)
end

--- A pair whose client is traced, and hears of the largest numbers in the handshake.
local function traced()
  local p = net.pair({ client = { max_datagram_frame_size = 65535 } })
  local trace = p.client:qlog()
  p.on_accept = function(server) server:params(largest_params(server:params())) end
  return p:handshake(), trace
end

--- Every record of a trace is whole, and of the schema: the events by name.
local function check(trace)
  local counts, at = {}, 0
  for record in trace:text():gmatch("\30([^\30]*)") do
    local event = assert(json.decode(record))
    if at > 0 then
      local why = schema.refuse(event)
      assert.is_nil(why, why)
      counts[event.name] = (counts[event.name] or 0) + 1
    end
    at = at + 1
  end
  return counts
end

describe("a trace of a peer whose numbers are as large as they can be", function()
  local it = traces.needed(it, pending)

  it("has them, in transport parameters and frames, each record whole", function()
    local p, trace = traced()
    assert.same({ "none", "none" }, { p.client:info().by, p.server:info().by })
    for _, frame in ipairs({
      bytes(0x10) .. MOST, bytes(0x14) .. MOST, bytes(0x16, 2 ^ 60), bytes(0x17, 2 ^ 60), bytes(0x12, 2 ^ 60),
      bytes(0x07, 512, ("\0\"\\\255"):rep(128)), bytes(0x1a, MOST), bytes(0x1b, MOST),
      bytes(0x02, 0) .. MOST .. bytes(0, 0), bytes(0x31, 4, "\0\"\\\n"),
    }) do
      p:inject("server", APPLICATION, frame)
    end
    p:settle(100 * MS)
    assert.equal("none", p.client:info().by)
    local counts = check(trace)
    assert.is_true(counts["quic:parameters_set"] == 2 and counts["quic:packet_received"] >= 10)
    p:free()
  end)

  it("has what ends the connection, too", function()
    local reason = ("\0\1\"\\\127\128\255\n"):rep(120)
    for name, frame in pairs({
      unknown = MOST, stream = bytes(0x0e, 3) .. MOST .. bytes(1, "x"), reset = bytes(0x04) .. MOST .. MOST .. MOST,
      stop = bytes(0x05) .. MOST .. MOST, blocked = bytes(0x15) .. MOST .. MOST, new_id = bytes(0x18) .. MOST .. MOST,
      ack = bytes(0x03) .. MOST .. MOST .. MOST .. MOST .. MOST .. MOST .. MOST,
      close = bytes(0x1c) .. MOST .. MOST .. varint(#reason) .. reason,
      close_of_application = bytes(0x1d) .. MOST .. varint(#reason) .. reason,
    }) do
      local p, trace = traced()
      p:inject("server", APPLICATION, frame)
      p:settle(100 * MS)
      assert.is_true(p.client:info().by ~= "none", name)
      assert.equal(1, check(trace)["quic:connection_closed"], name)
      p:free()
    end
  end)
end)

describe("windows that are as large as they can be", function()
  local WIDE = {
    initial_max_data = 2 ^ 53, max_connection_window = 2 ^ 53, max_stream_window = 2 ^ 53,
    initial_max_stream_data_bidi_remote = 2 ^ 53,
  }

  --- What one frame, or several, end with at a server whose credit is as large as a Lua number says.
  local function code_of(...)
    local p = net.pair({ server = WIDE }):handshake()
    for _, frame in ipairs({ ... }) do p:inject("client", APPLICATION, frame) end
    local info = p.server:info()
    local held = p.server:stats().receive_held
    p:settle(1000 * MS)
    p:free()
    return info.by == "none" and 0 or info.code, held
  end

  it("hold no more than came, wherever it lies", function()
    for _, offset in ipairs({ 2 ^ 31 - 1, 2 ^ 31, 2 ^ 32 - 1, 2 ^ 32, 2 ^ 48, 2 ^ 53 - 1 }) do
      local code, held = code_of(bytes(0x0e, 0, offset, 1, "x"), bytes(0x0e, 0, 0, 1, "y"))
      assert.equal(0, code, offset)
      assert.is_true(held <= 32768, held)
    end
  end)

  it("are the end of what may be sent, and sums past 2^62-1 are none", function()
    assert.equal(FLOW_CONTROL_ERROR, (code_of(bytes(0x0e, 0, 2 ^ 53, 1, "x"))))
    assert.equal(FLOW_CONTROL_ERROR, (code_of(bytes(0x0e, 0) .. below_most(1) .. bytes(1, "x"))))
    assert.equal(FRAME_ENCODING_ERROR, (code_of(bytes(0x0e, 0) .. MOST .. bytes(1, "x"))))
    assert.equal(FRAME_ENCODING_ERROR, (code_of(bytes(0x0c, 0) .. below_most(1) .. "abc")))
    assert.equal(FLOW_CONTROL_ERROR, (code_of(bytes(0x04, 0, 0) .. MOST)))
    assert.equal(FINAL_SIZE_ERROR, (code_of(bytes(0x0f, 0, 2 ^ 20, 1, "x"), bytes(0x0e, 0, 2 ^ 20, 2, "xy"))))
  end)

  it("are told of a client that may send what it likes, and nothing overflows when it does", function()
    local p = net.pair({ server = WIDE }):handshake()
    p:inject("server", APPLICATION, bytes(0x10) .. MOST)
    p:inject("server", APPLICATION, bytes(0x12, 2 ^ 60, 0x13, 2 ^ 60))
    assert.is_true(p:transfer("client", ("u"):rep(300000)) == ("u"):rep(300000))
    assert.same({ "none", "none" }, { p.client:info().by, p.server:info().by })
    p:free()
  end)
end)

describe("what a server may have a client send to others, by first packets", function()
  local LIMIT_TOKEN = 512
  local context = crypto.new(("h"):rep(32))

  --- A client's answer to a Retry with this token and connection ID, and how many of its packets were dropped by then.
  local function after_retry(token, scid)
    local p = net.pair()
    local first = quic.header(p.client:send(p.now), 8)
    local packet = "\240\0\0\0\1\8" .. first.scid .. string.char(#scid) .. scid .. token
    p.client:recv(packet .. crypto.retry_tag(context, 1, first.dcid, packet), p.now)
    local datagram, dropped = p.client:send(p.now), p.client:stats().packets_dropped
    p:free()
    return datagram, dropped
  end

  it("is a token of 512 bytes and a connection ID of 20, and no more", function()
    local token, scid = ("T"):rep(LIMIT_TOKEN), ("S"):rep(20)
    local datagram, dropped = after_retry(token, scid)
    assert.equal(0, dropped)
    local header = quic.header(datagram, 8)
    assert.same({ token, scid, 1200 }, { header.token, header.dcid, #datagram })
    -- All else is ours: five bytes of type and version, our connection ID, lengths, and what is sealed.
    local theirs = select(2, datagram:gsub("[TS]", ""))
    assert.is_true(theirs <= LIMIT_TOKEN + 20 + 30, theirs)
  end)

  it("is none of a token that is longer, and the Retry is counted as dropped", function()
    local datagram, dropped = after_retry(("T"):rep(LIMIT_TOKEN + 1), "retryscid")
    assert.same({ nil, 1 }, { datagram, dropped })
  end)
end)

describe("what a client may have a server send to others, by Version Negotiation", function()
  it("is its two connection IDs, once, in less than it sent", function()
    local config = net.config({}, 5, true)
    local endpoint = assert(quic.endpoint(config, true))
    local dcid, scid = ("D"):rep(255), ("S"):rep(255)
    local given = "\192\250\250\250\250\255" .. dcid .. "\255" .. scid .. ("x"):rep(1200)
    endpoint:recv(given, net.CLIENT, net.SERVER, 1000 * MS)
    local answer = assert(endpoint:send(1000 * MS))
    assert.equal(510, select(2, answer:gsub("[DS]", "")))
    assert.is_true(#answer <= 510 + 7 + 4 * 4, #answer)
    assert.is_nil((endpoint:send(1000 * MS)))
    assert.equal(1, endpoint:stats().version_negotiations_sent)
    endpoint:free()
    config:free()
  end)
end)
