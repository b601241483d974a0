local base = require("neap.units").base

describe("names of errors", function()
  it("are the RFCs'", function()
    assert.equal("NO_ERROR", base.wire_name(0, false))
    assert.equal("FLOW_CONTROL_ERROR", base.wire_name(3, false))
    assert.equal("NO_VIABLE_PATH", base.wire_name(16, false))
    assert.equal("no_application_protocol", base.wire_name(0x178, false))
    assert.equal("H3_NO_ERROR", base.wire_name(0x100, true))
    assert.equal("QPACK_DECODER_STREAM_ERROR", base.wire_name(0x202, true))
    assert.equal("VERSION_NEGOTIATION_ERROR", base.wire_name(0x11, false))
    assert.equal("unknown", base.wire_name(0x12, false))
    assert.equal("unknown", base.wire_name(0, true))
  end)

  it("of ours are one line each, and all different", function()
    local seen = {}
    for code = -19, -1 do
      local text = base.strerror(code)
      assert.is_nil(seen[text])
      assert.is_nil(text:find("\n"))
      seen[text] = true
    end
    assert.equal("unknown error", base.strerror(-99))
  end)
end)
