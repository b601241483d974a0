local quic = require("neap.units").quic

describe("names of errors", function()
  it("are the RFCs'", function()
    assert.equal("NO_ERROR", quic.wire_name(0, false))
    assert.equal("FLOW_CONTROL_ERROR", quic.wire_name(3, false))
    assert.equal("NO_VIABLE_PATH", quic.wire_name(16, false))
    assert.equal("no_application_protocol", quic.wire_name(0x178, false))
    assert.equal("H3_NO_ERROR", quic.wire_name(0x100, true))
    assert.equal("QPACK_DECODER_STREAM_ERROR", quic.wire_name(0x202, true))
    assert.equal("unknown", quic.wire_name(0x11, false))
    assert.equal("unknown", quic.wire_name(0, true))
  end)

  it("of ours are one line each, and all different", function()
    local seen = {}
    for code = -18, -1 do
      local text = quic.strerror(code)
      assert.is_nil(seen[text])
      assert.is_nil(text:find("\n"))
      seen[text] = true
    end
    assert.equal("unknown error", quic.strerror(-99))
  end)
end)
