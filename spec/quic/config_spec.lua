local net = require("support.quic_net")

local quic = net.quic

describe("a config", function()
  it("takes each option in its range and no other", function()
    local config = quic.config(1)
    local rows = quic.options()
    assert.is_true(#rows > 20)
    for _, row in ipairs(rows) do
      local least, greatest = row.least, row.greatest
      -- 2^62 - 1 is no number of Lua.
      if greatest >= 2 ^ 62 then greatest = 2 ^ 62 - 2 ^ 9 end
      assert.equal(0, config:set(row.name, least), row.name)
      assert.equal(0, config:set(row.name, greatest), row.name)
      assert.is_true(row.default >= least and row.default <= greatest, row.name)
      if least > 0 then assert.equal(-3, config:set(row.name, least - 1), row.name) end
      if greatest < 2 ^ 52 then assert.equal(-3, config:set(row.name, greatest + 1), row.name) end
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
