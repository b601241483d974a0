local core = require "neap.core"
local pair = require "binding.pair"

local PEER, ME = "192.0.2.9:5000", "192.0.2.2:443"

local function first_initial(config)
  local conn = assert(core.connect(config, "localhost", ME, { from = PEER, at = 1 }))
  return (assert(conn:send(1))), conn
end

describe("core.address", function()
  it("gives the one spelling, the IP address and the port", function()
    assert.same({ "192.0.2.1:443", "192.0.2.1", 443 }, { core.address("192.0.2.1:443") })
    assert.same({ "[2001:db8::1]:80", "2001:db8::1", 80 }, { core.address("[2001:db8:0::1]:80") })
    assert.same({ "192.0.2.1:4433", "192.0.2.1", 4433 }, { core.address("192.0.2.1", 4433) })
  end)

  it("refuses what is none", function()
    for _, text in ipairs{ "", "example.org:443", "192.0.2.1:99999", "192.0.2.256:1", "[::1" } do
      local address, message, code = core.address(text)
      assert.is_nil(address, text)
      assert.is_string(message)
      assert.equal("argument", code)
    end
  end)
end)

describe("core.header_info", function()
  it("reads an Initial", function()
    local bytes = first_initial(pair.config())
    local header = core.header_info(bytes)
    assert.equal("initial", header.type)
    assert.equal(1, header.version)
    assert.is_true(#header.dcid >= 8)
    assert.equal(8, #header.scid)
    assert.is_nil(header.token)
  end)

  it("calls a packet of another version unknown, and gives what answers it", function()
    local bytes = first_initial(pair.config())
    local header = core.header_info(bytes:sub(1, 1) .. "\26\42\58\74" .. bytes:sub(6))
    assert.equal("unknown", header.type)
    assert.equal(0x1a2a3a4a, header.version)
    local answer = core.header_info(core.negotiate_version(pair.config(), header))
    assert.equal("version_negotiation", answer.type)
    assert.equal(header.scid, answer.dcid)
    assert.equal(header.dcid, answer.scid)
  end)

  it("refuses what cannot be a packet", function()
    for _, bytes in ipairs{ "", "\192", "\192\0\0\0\1\21" } do
      local header, message, code = core.header_info(bytes)
      assert.is_nil(header)
      assert.is_string(message)
      assert.equal("invalid", code)
    end
    assert.has_error(function() core.header_info("x", 21) end)
  end)

  it("knows the versions that are spoken", function()
    assert.is_true(core.version_is_supported(1))
    assert.is_false(core.version_is_supported(0x1a2a3a4a))
    assert.is_false(core.version_is_supported(2 ^ 40))
  end)
end)

describe("core.retry", function()
  it("makes a client come back with a token that only its address may use", function()
    local secret = ("s"):rep(32)
    local config = pair.config({ static_secret = secret })
    local bytes, client = first_initial(config)
    local header = core.header_info(bytes)
    local scid = core.random_cid(config, 8)
    local retry = assert(core.retry(config, header, scid, PEER))
    client:recv(retry, { from = ME, to = PEER, at = 1.1 })
    local again = core.header_info((assert(client:send(1.1))))
    assert.equal(scid, again.dcid)
    assert.is_string(again.token)
    assert.equal(header.dcid, core.validate_token(config, again, PEER))
    local _, _, code = core.validate_token(config, again, "192.0.2.10:5000")
    assert.equal("token", code)
    local late = pair.config({ static_secret = secret, wall_clock = 1767225600 + 60 })
    _, _, code = core.validate_token(late, again, PEER)
    assert.equal("token", code)
    local server = assert(core.accept(config, again, again.dcid,
      { original_dcid = header.dcid, from = PEER, to = ME, at = 1.2 }))
    assert.is_true(server:is_server())
  end)
end)

describe("core.stateless_reset", function()
  it("is shorter than what it answers, and not sent for what is too small", function()
    local config = pair.config()
    local reset = core.stateless_reset(config, core.random_cid(config, 8), 43)
    assert.is_true(#reset < 43 and #reset >= 21)
    assert.is_nil(core.stateless_reset(config, core.random_cid(config, 8), 20))
  end)
end)

describe("the module", function()
  it("knows error names, hashes and its version", function()
    assert.equal("FLOW_CONTROL_ERROR", core.error_name(3))
    assert.equal("H3_NO_ERROR", core.error_name(0x100, true))
    assert.matches("^%d+%.%d+%.%d+$", core.version)
    assert.matches("Mbed TLS", core.backend)
    assert.equal(core.hash("a"), core.hash("a"))
    assert.are_not.equal(core.hash("a"), core.hash("b"))
    assert.are_not.equal(core.hash("a"), core.hash("a", 1))
    assert.is_true(core.hash("a") < 2 ^ 52)
  end)

  it("gives random connection IDs of the size asked for", function()
    local config = pair.config()
    for _, size in ipairs{ 0, 8, 20 } do assert.equal(size, #core.random_cid(config, size)) end
    assert.has_error(function() core.random_cid(config, 21) end)
  end)
end)
