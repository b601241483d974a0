local q = require "neap.lowlevel"

describe("neap.lowlevel", function()
  it("has what its users know", function()
    for _, name in ipairs{ "config", "connect", "accept", "header_info", "retry", "negotiate_version", "validate_token",
      "stateless_reset", "random_cid", "version_is_supported", "h3", "endpoint", "now", "udp", "error_name" } do
      assert.is_function(q[name], name)
    end
  end)

  it("is a part of neap", function()
    assert.equal(q, require("neap").lowlevel)
  end)

  it("binds sockets at once when they are given an address", function()
    local socket = assert(q.udp("127.0.0.1:0"))
    assert.matches("^127.0.0.1:%d+$", socket:address())
    local other, message, code = q.udp(socket:address())
    assert.is_nil(other)
    assert.matches("in use", message)
    assert.equal("system", code)
    socket:close()
    assert.has_error(function() q.udp():address() end)
  end)
end)
