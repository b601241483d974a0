local crypto = require("neap.units").crypto

local SEED = ("k"):rep(32)
local GROUPS = { [0x0017] = { 65, 32 }, [0x0018] = { 97, 48 }, [0x001d] = { 32, 32 } }

describe("key exchange", function()
  for group, sizes in pairs(GROUPS) do
    it(("gives both sides of group 0x%04x one secret"):format(group), function()
      local client, server = crypto.new(SEED), crypto.new(("s"):rep(32))
      local public, private = crypto.share_generate(client, group)
      assert.equal(sizes[1], #public)
      local answer, secret = crypto.share_encapsulate(server, group, public)
      assert.equal(sizes[1], #answer)
      assert.equal(sizes[2], #secret)
      assert.equal(secret, crypto.share_decapsulate(client, group, private, answer))
    end)

    it(("refuses shares of group 0x%04x of another size"):format(group), function()
      local context = crypto.new(SEED)
      local public, private = crypto.share_generate(context, group)
      for _, bad in ipairs({ "", public:sub(1, -2), public .. "\0", ("\0"):rep(#public) }) do
        assert.same({ nil, -12, "" }, { crypto.share_encapsulate(context, group, bad) })
        assert.is_nil((crypto.share_decapsulate(context, group, private, bad)))
      end
    end)

    it(("gives equal bytes for equal seeds in group 0x%04x"):format(group), function()
      local a, b = crypto.new(SEED), crypto.new(SEED)
      local public = crypto.share_generate(a, group)
      assert.equal(public, (crypto.share_generate(b, group)))
      assert.are_not.equal(public, (crypto.share_generate(a, group)))
    end)
  end

  it("makes the X25519 keys that the base point gives, by whatever way it takes", function()
    local context, base = crypto.new(SEED), "\9" .. ("\0"):rep(31)
    for _ = 1, 1000 do
      local public, private = crypto.share_generate(context, 0x001d)
      assert.equal(public, crypto.share_decapsulate(context, 0x001d, private, base))
    end
  end)

  it("does not know other groups", function()
    local result, code = crypto.share_generate(crypto.new(SEED), 0x0019)
    assert.same({ nil, -14 }, { result, code })
  end)
end)

describe("crypto object", function()
  it("names its libraries", function()
    assert.is_truthy(crypto.backend():match("^Mbed TLS %d+%.%d+%.%d+"))
    assert.equal(crypto.has_ed25519(), crypto.backend():find("libsodium", 1, true) ~= nil)
  end)

  -- libcrypto takes keys for thread-local data, of which a process has 1024.
  it("is one of as many as there is memory for", function()
    local all = {}
    for i = 1, 1100 do all[i] = assert(crypto.new(SEED)) end
    local public, private = crypto.share_generate(all[1], 0x0017)
    local _, secret = crypto.share_encapsulate(all[#all], 0x0017, public)
    assert.is_truthy(secret)
    assert.is_truthy(private)
  end)

  it("is not made without memory, and leaks nothing then", function()
    local count = 0
    while not crypto.new(SEED, count) do count = count + 1 end
    assert.is_true(count > 0)
  end)
end)
