local runtime = require("neap.units").runtime

describe("addresses of the kernel", function()
  it("are those of neap", function()
    assert.same({ "192.0.2.1:443", 16 }, { runtime.sockaddr("192.0.2.1:443") })
    assert.same({ "[2001:db8::1]:65535", 28 }, { runtime.sockaddr("[2001:db8::1]:65535") })
    assert.same({ "[::]:0", 28 }, { runtime.sockaddr("[::]:0") })
  end)
end)
