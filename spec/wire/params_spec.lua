local helper = require("spec.helper")
local wire = require("neap.units").wire

local TRANSPORT_PARAMETER_ERROR = 0x08
local MAX = "4611686018427387903"

local function varint(value)
  if value < 64 then return string.char(value) end
  if value < 16384 then return string.char(64 + math.floor(value / 256), value % 256) end
  if value < 2 ^ 30 then
    return string.char(128 + math.floor(value / 2 ^ 24), math.floor(value / 65536) % 256,
      math.floor(value / 256) % 256, value % 256)
  end
  local bytes = {}
  for i = 8, 1, -1 do
    bytes[i] = string.char(value % 256 + (i == 1 and 192 or 0))
    value = math.floor(value / 256)
  end
  return table.concat(bytes)
end

local function param(id, value)
  return varint(id) .. varint(#value) .. value
end

local function refused(bytes, from_server, reason)
  local params, code, why = wire.parse_params(bytes, from_server)
  assert.is_nil(params)
  assert.equal(TRANSPORT_PARAMETER_ERROR, code)
  assert.is_true(#why > 0)
  if reason then assert.equal(reason, why) end
end

-- Numbers of the form 31 * N + 27 are never given away (RFC 9000 §18.1): what is unknown here stays so.
local function unknown(n) return 31 * n + 27 end

local OF_SERVER = {
  original_destination_connection_id = "original", initial_source_connection_id = "initial",
  retry_source_connection_id = "retry", stateless_reset_token = ("r"):rep(16),
  preferred_address = {
    v4 = { ip = "\192\0\2\1", port = 443 }, v6 = { ip = "\32\1\13\184" .. ("\0"):rep(11) .. "\1", port = 8443 },
    cid = "preferred", token = ("p"):rep(16),
  },
}

-- RFC 9000 §18.2: every parameter that is one integer, its least and its most, and what its absence means.
local NUMBERS = {
  { id = 0x01, name = "max_idle_timeout", absent = 0 },
  { id = 0x03, name = "max_udp_payload_size", absent = 65527, least = 1200 },
  { id = 0x04, name = "initial_max_data", absent = 0 },
  { id = 0x05, name = "initial_max_stream_data_bidi_local", absent = 0 },
  { id = 0x06, name = "initial_max_stream_data_bidi_remote", absent = 0 },
  { id = 0x07, name = "initial_max_stream_data_uni", absent = 0 },
  { id = 0x08, name = "initial_max_streams_bidi", absent = 0, most = 2 ^ 60 },
  { id = 0x09, name = "initial_max_streams_uni", absent = 0, most = 2 ^ 60 },
  { id = 0x0a, name = "ack_delay_exponent", absent = 3, most = 20 },
  { id = 0x0b, name = "max_ack_delay", absent = 25, most = 2 ^ 14 - 1 },
  { id = 0x0e, name = "active_connection_id_limit", absent = 2, least = 2 },
  { id = 0x20, name = "max_datagram_frame_size", absent = 0 }, -- RFC 9221 §3
  -- draft-ietf-quic-multipath: up to 2^32-1; without it there is no extension.
  { id = 0x3e, name = "initial_max_path_id", absent = "18446744073709551615", most = 2 ^ 32 - 1 },
  -- draft-ietf-quic-ack-frequency-14 §3: not above max_ack_delay; without it there is no extension.
  { id = 0xff04de1b, name = "min_ack_delay", absent = "18446744073709551615", most = 25000 },
}

-- The others, each with a good value.
local OTHERS = {
  { id = 0x00, name = "original_destination_connection_id", value = "12345678", server_only = true },
  { id = 0x02, name = "stateless_reset_token", value = ("r"):rep(16), server_only = true },
  { id = 0x0c, name = "disable_active_migration", value = "" },
  { id = 0x1d, name = "reset_stream_at", value = "" },
  { id = 0x0d, name = "preferred_address", value = ("\0"):rep(24) .. "\1c" .. ("t"):rep(16), server_only = true },
  { id = 0x0f, name = "initial_source_connection_id", value = "12345678" },
  { id = 0x0011, name = "version_information", value = "\0\0\0\1\0\0\0\1" },
  { id = 0x2ab2, name = "grease_quic_bit", value = "" },
  { id = 0x10, name = "retry_source_connection_id", value = "12345678", server_only = true },
}

describe("transport parameters", function()
  it("are these, each a row of the table", function()
    local want = {}
    for _, number in ipairs(NUMBERS) do
      want[number.name] = { id = number.id, server_only = false, is_number = true }
    end
    for _, other in ipairs(OTHERS) do
      want[other.name] = { id = other.id, server_only = other.server_only or false, is_number = false }
    end
    local got = {}
    for _, row in ipairs(wire.params()) do
      got[row.name] = { id = row.id, server_only = row.server_only, is_number = row.form == "number" }
    end
    assert.same(want, got)
  end)

  it("have the defaults of RFC 9000 §18.2 where they are absent", function()
    local params = wire.parse_params("", true)
    for _, number in ipairs(NUMBERS) do
      assert.equal(number.absent, params[number.name], number.name)
    end
    for _, other in ipairs(OTHERS) do assert.is_nil(params[other.name]) end
    assert.equal("", wire.write_params({}, true))
  end)

  it("are read back as they were written", function()
    local sent = { disable_active_migration = true, initial_max_data = MAX }
    for name, value in pairs(OF_SERVER) do sent[name] = value end
    for i, number in ipairs(NUMBERS) do
      sent[number.name] = sent[number.name] or (number.least or 0) + i
    end
    local params = wire.parse_params(wire.write_params(sent, true), true)
    assert.same(sent, params)
  end)

  it("say which version was chosen, and of which", function()
    local versions = { chosen = 0x6b3343cf, available = "\0\0\0\1\107\51\67\207" }
    for _, from_server in ipairs({ true, false }) do
      local bytes = wire.write_params({ version_information = versions, grease_quic_bit = true }, from_server)
      local params = wire.parse_params(bytes, from_server)
      assert.same(versions, params.version_information)
      assert.is_true(params.grease_quic_bit)
    end
  end)

  -- covers: rfc9368#4.3 rfc9368#4.4 rfc9368#4.5 rfc9368#4.6 rfc9368#3.4 rfc9368#3.2
  it("are refused with Version Information that is cut, has a version of zero, or does not offer what a client chose",
    function()
      local v1, v2, none = "\0\0\0\1", "\107\51\67\207", "\0\0\0\0"
      local wrong = "version_information of a wrong value"
      for _, from_server in ipairs({ true, false }) do
        for size = 0, 11 do
          if size % 4 ~= 0 or size < 4 then refused(param(0x11, (v1 .. v1 .. v2):sub(1, size)), from_server, wrong) end
        end
        refused(param(0x11, none .. v1), from_server, wrong)
        refused(param(0x11, v1 .. v1 .. none), from_server, wrong)
        refused(param(0x11, v1 .. none .. v1), from_server, wrong)
      end
      refused(param(0x11, v1 .. v2), false, "version_information that does not list the version that the client chose")
      refused(param(0x11, v1), false)
      assert.equal("", wire.parse_params(param(0x11, v1), true).version_information.available)
      assert.equal(v2, wire.parse_params(param(0x11, v1 .. v2), true).version_information.available)
    end)

  -- covers: rfc9287#3.1
  it("are refused with a grease_quic_bit that has a value", function()
    for _, from_server in ipairs({ true, false }) do
      refused(param(0x2ab2, "\0"), from_server, "grease_quic_bit of a wrong value")
      assert.is_true(wire.parse_params(param(0x2ab2, ""), from_server).grease_quic_bit)
    end
  end)

  it("written by a client leave out what only a server may send", function()
    local params = wire.parse_params(wire.write_params(OF_SERVER, false), false)
    assert.equal("initial", params.initial_source_connection_id)
    for _, other in ipairs(OTHERS) do
      if other.server_only then assert.is_nil(params[other.name]) end
    end
  end)

  -- covers: rfc9000#7.4.1 rfc9000#18.2.8 rfc9000#18.2.9
  it("that are integers are taken at the ends of their range and not past them", function()
    for _, number in ipairs(NUMBERS) do
      local function taken(value)
        return wire.parse_params(param(number.id, varint(value)), false)[number.name]
      end
      local least, most = number.least or 0, number.most
      assert.equal(least, taken(least), number.name)
      if least > 0 then refused(param(number.id, varint(least - 1)), true) end
      if most then
        local first = taken(most)
        assert.equal(most, tonumber(first), number.name)
        local over = most == 2 ^ 60 and "\208\0\0\0\0\0\0\1" or varint(most + 1)
        refused(param(number.id, over), true)
      else
        assert.equal(MAX, wire.parse_params(param(number.id, ("\255"):rep(8)), false)[number.name])
      end
    end
  end)

  it("that are integers are refused when the integer is not the whole value", function()
    for _, number in ipairs(NUMBERS) do
      refused(param(number.id, ""), true)
      refused(param(number.id, "\64"), true)
      refused(param(number.id, varint(number.least or 2) .. "\0"), true)
    end
  end)

  it("that are integers may take more bytes than they need", function()
    assert.equal(5, wire.parse_params(param(0x04, "\192\0\0\0\0\0\0\5"), false).initial_max_data)
  end)

  -- covers: rfc9000#7.4.2
  it("are refused when one comes twice", function()
    for _, number in ipairs(NUMBERS) do
      local one = param(number.id, varint(number.least or 2))
      refused(one .. one, true, "transport parameter twice")
      refused(one .. param(unknown(1), "x") .. one, true, "transport parameter twice")
    end
    for _, other in ipairs(OTHERS) do
      local one = param(other.id, other.value)
      refused(one .. one, true, "transport parameter twice")
    end
  end)

  -- covers: rfc9000#18.2.10 rfc9000#18.2.11 rfc9000#18.2.1
  it("that only a server sends are refused from a client", function()
    for _, other in ipairs(OTHERS) do
      local bytes = param(other.id, other.value)
      assert.is_not_nil(wire.parse_params(bytes, true)[other.name])
      if other.server_only then
        refused(bytes, false, "transport parameter that only a server sends")
      else
        assert.is_table((wire.parse_params(bytes, false)))
      end
    end
  end)

  it("are refused wherever one is cut", function()
    local whole = wire.write_params(OF_SERVER, true) .. param(0x0e, varint(8))
    local ends = {} -- where a parameter ends, what is left is whole
    local at = 1
    while at <= #whole do
      at = at + 2 + whole:byte(at + 1)
      ends[at - 1] = true
    end
    assert.is_true(ends[#whole])
    local refusals = 0
    for size = 1, #whole - 1 do
      if not ends[size] then
        refused(whole:sub(1, size), true, "transport parameters cut short")
        refusals = refusals + 1
      end
    end
    assert.is_true(refusals > 80)
  end)

  it("with a value of the wrong size are refused", function()
    for _, id in ipairs({ 0x00, 0x0f, 0x10 }) do
      assert.is_table((wire.parse_params(param(id, ""), true)))
      assert.is_table((wire.parse_params(param(id, ("c"):rep(20)), true)))
      refused(param(id, ("c"):rep(21)), true, ({ [0x00] = "original_destination", [0x0f] = "initial_source",
        [0x10] = "retry_source" })[id] .. "_connection_id of a wrong value")
    end
    for _, size in ipairs({ 0, 15, 17 }) do
      refused(param(0x02, ("r"):rep(size)), true, "stateless_reset_token of a wrong value")
    end
    refused(param(0x0c, "\0"), true, "disable_active_migration of a wrong value")
    refused(param(0x1d, "\0"), true, "reset_stream_at of a wrong value")
  end)

  -- covers: rfc9000#7.4.2
  it("that are unknown are refused when one comes twice, among 32 unknown ones", function()
    local one = param(unknown(0), "any")
    refused(one .. one, false, "transport parameter twice")
    local others = {}
    for n = 1, 31 do others[n] = param(unknown(2 ^ 32 + n), "") end
    refused(one .. table.concat(others) .. one, false, "transport parameter twice")
    refused(table.concat(others) .. one .. one, false, "transport parameter twice")
    -- Further ones are too many to be looked through.
    local last = param(unknown(1), "")
    assert.is_table((wire.parse_params(table.concat(others) .. one .. last .. last, false)))
  end)

  -- covers: rfc9000#7.4.2.1
  it("that are unknown are ignored, with any value", function()
    local params = wire.parse_params(param(unknown(0), "") .. param(unknown(1), "any")
      .. param(unknown(2 ^ 40), ("x"):rep(300)) .. param(0x04, "\9"), false)
    assert.equal(9, params.initial_max_data)
  end)

  it("with grease have one reserved parameter more", function()
    for _, grease in ipairs({ 1, 31, 12345678901, MAX, "18446744073709551615", "9223372036854775808" }) do
      local bytes = wire.write_params({ initial_max_data = 9 }, false, grease)
      local plain = wire.write_params({ initial_max_data = 9 }, false)
      assert.equal(plain, bytes:sub(1, #plain))
      local added = bytes:sub(#plain + 1)
      -- Its number is 31 * N + 27 (RFC 9000 §18.1).
      local size = 2 ^ math.floor(added:byte(1) / 64)
      local number = added:byte(1) % 64
      for i = 2, size do number = number * 256 + added:byte(i) end
      assert.equal(27, number % 31)
      -- nginx 1.26 looks at 16 bits of numbers, and takes larger ones for parameters that it knows.
      assert.is_true(number < 2 ^ 16, number)
      assert.equal(#added, size + 1 + added:byte(size + 1))
      assert.equal(9, wire.parse_params(bytes, false).initial_max_data)
    end
  end)
end)

describe("preferred_address", function()
  local V4, V6 = "\192\0\2\1\1\187", helper.unhex("20010db8000000000000000000000001 20fb")
  local TOKEN = ("t"):rep(16)

  it("may name one family only", function()
    local params = wire.parse_params(param(0x0d, V4 .. ("\0"):rep(18) .. "\4abcd" .. TOKEN), true)
    assert.same({ ip = "\192\0\2\1", port = 443 }, params.preferred_address.v4)
    assert.is_nil(params.preferred_address.v6)
    params = wire.parse_params(param(0x0d, ("\0"):rep(6) .. V6 .. "\4abcd" .. TOKEN), true)
    assert.is_nil(params.preferred_address.v4)
    assert.equal(8443, params.preferred_address.v6.port)
  end)

  -- covers: rfc9000#18.2.5 rfc9000#18.2.6 rfc9000#18.2.7
  it("is refused with a connection ID of no or more than 20 bytes, or from a server that has none", function()
    local function value(size) return V4 .. V6 .. string.char(size) .. ("c"):rep(size) .. TOKEN end
    refused(param(0x0d, value(0)), true)
    refused(param(0x0d, value(21)), true)
    assert.is_table((wire.parse_params(param(0x0d, value(20)), true)))
    refused(param(0x0d, value(4)) .. param(0x0f, ""), true)
    assert.is_table((wire.parse_params(param(0x0d, value(4)) .. param(0x0f, "x"), true)))
  end)

  it("is refused when it is cut or goes on", function()
    local whole = V4 .. V6 .. "\4abcd" .. TOKEN
    for size = 0, #whole - 1 do
      refused(param(0x0d, whole:sub(1, size)), true)
    end
    refused(param(0x0d, whole .. "\0"), true)
  end)
end)

describe("parse_params", function()
  it("stands any two bytes and any noise", function()
    local good, bad = 0, 0
    local function note(bytes, from_server)
      local params, code = wire.parse_params(bytes, from_server)
      if params then
        good = good + 1
      else
        bad = bad + 1
        assert.equal(TRANSPORT_PARAMETER_ERROR, code)
      end
    end
    for value = 0, 65535 do
      note(string.char(math.floor(value / 256), value % 256), value % 2 == 0)
    end
    local state = 11
    local function draw(below)
      state = (state * 16807) % 2147483647
      return state % below
    end
    for _ = 1, 20000 do
      local bytes = {}
      for i = 1, draw(6) do
        local size = draw(20)
        bytes[i] = string.char(draw(18), size + draw(2)) .. string.char(draw(64)):rep(size)
      end
      note(table.concat(bytes), draw(2) == 0)
    end
    assert.is_true(good > 300 and bad > 1000)
  end)
end)
