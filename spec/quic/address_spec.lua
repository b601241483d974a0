local quic = require("neap.units").quic

describe("an address", function()
  it("is read as it is written", function()
    for _, text in ipairs({
      "192.0.2.1:443", "0.0.0.0:0", "255.255.255.255:65535", "[2001:db8::1]:443", "[::]:1", "[fe80::1%3]:9",
      "[::ffff:192.0.2.1]:5",
    }) do
      assert.equal(text, (quic.address(text)))
    end
  end)

  it("gets the default port when it has none", function()
    assert.equal("192.0.2.1:443", (quic.address("192.0.2.1", 443)))
    assert.equal("[2001:db8::1]:443", (quic.address("2001:db8::1", 443)))
    assert.equal("[2001:db8::1]:443", (quic.address("[2001:db8::1]", 443)))
  end)

  it("is refused when it is none", function()
    for _, text in ipairs({
      "", ":", ":443", "localhost:443", "192.0.2:1", "192.0.2.1:", "192.0.2.1:65536", "192.0.2.1:-1", "192.0.2.1:1x",
      "[192.0.2.1]:443", "[2001:db8::1", "[2001:db8::1]443", "[]:1", "2001:db8::1%", "192.0.2.1%3:1",
      ("1"):rep(200), "[fe80::1%4294967296]:9", "1.2.3.4:99999999999999999999",
    }) do
      assert.same({ nil, -3 }, { quic.address(text) }, text)
    end
  end)
end)
