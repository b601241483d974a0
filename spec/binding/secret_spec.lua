local core = require "neap.core"
local helper = require "helper"

describe("core.hmac", function()
  it("is that of RFC 4231", function()
    assert.equal("b0344c61d8db38535ca8afceaf0bf12b881dc200c9833da726e9376c2e32cff7",
      helper.hex(core.hmac(("\11"):rep(20), "Hi There")))
    assert.equal("5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843",
      helper.hex(core.hmac("Jefe", "what do ya want for nothing?")))
    assert.equal("60e431591ee0b67f0d8a26aacbf5b77f8e0bc6213728c5140546040f0ee37f54",
      helper.hex(core.hmac(("\170"):rep(131), "Test Using Larger Than Block-Size Key - Hash Key First")))
  end)
end)

describe("core.is_equal", function()
  it("tells whether two strings are", function()
    assert.is_true(core.is_equal("", ""))
    assert.is_true(core.is_equal("a\0b", "a\0b"))
    assert.is_false(core.is_equal("a\0b", "a\0c"))
    assert.is_false(core.is_equal("ab", "a"))
    assert.is_false(core.is_equal("", "a"))
    assert.is_false(core.is_equal("\255", "\127"))
  end)
end)

describe("core.random_bytes", function()
  it("gives as many as it is asked for, others each time", function()
    assert.equal("", core.random_bytes(0))
    assert.equal(256, #core.random_bytes(256))
    assert.are_not.equal(core.random_bytes(32), core.random_bytes(32))
    assert.error_matches(function() core.random_bytes(257) end, "256 bytes at most")
  end)
end)
