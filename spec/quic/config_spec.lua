local net = require("support.quic_net")

local quic = net.quic

describe("a config", function()
  it("takes each option in its range and no other", function()
    local config = quic.config(1)
    local ranges = {
      max_idle_timeout = { 0, 2 ^ 62 - 2 ^ 9 },
      max_udp_payload_size = { 1200, 2 ^ 53 },
      max_send_udp_payload_size = { 1200, 65527 },
      initial_max_streams_bidi = { 0, 2 ^ 60 },
      initial_max_streams_uni = { 0, 2 ^ 60 },
      ack_delay_exponent = { 0, 20 },
      max_ack_delay = { 0, 16383 },
      active_connection_id_limit = { 2, 8 },
      source_connection_id_size = { 0, 20 },
      retry = { 0, 1 },
      pacing = { 0, 1 },
      grease = { 0, 1 },
      verify_peer = { 0, 1 },
      disable_active_migration = { 0, 1 },
    }
    for name, range in pairs(ranges) do
      assert.equal(0, config:set(name, range[1]), name)
      assert.equal(0, config:set(name, range[2]), name)
      if range[1] > 0 then assert.equal(-3, config:set(name, range[1] - 1), name) end
      if range[2] < 2 ^ 52 then assert.equal(-3, config:set(name, range[2] + 1), name) end
    end
    assert.equal(-3, config:set("no_such_option", 1))
    assert.equal(-3, config:set("", 1))
    config:free()
  end)

  it("can be freed before its connections", function()
    local p = net.pair()
    p:run(function(x) return x.server ~= nil end)
    p.client_config:free()
    p.server_config:free()
    p:run(nil, 100 * net.MS)
    p.client:free()
    p.server:free()
    assert.equal(0, p.client_config:memory().live)
  end)

  it("says why a certificate cannot be used", function()
    local config = quic.config(1)
    local certificate, key = net.certificate()
    local other = quic.config(77)
    local _, other_key = other:make_certificate("localhost")
    other:free()
    for _, case in ipairs({ { "", key }, { certificate, "" }, { "junk", key }, { certificate, "junk" },
      { certificate, other_key } }) do
      local rc, why = config:certificate(case[1], case[2])
      assert.is_true(rc < 0)
      assert.is_true(#why > 0)
    end
    assert.equal(0, (config:certificate(certificate, key)))
    config:free()
  end)

  it("has nothing left when memory runs out while it is made", function()
    for at = 1, 30 do
      local config = quic.config(1, at)
      if config then config:free() end
    end
  end)
end)
