-- Each engine of AES-GCM that this machine has. NEAP_ENGINE_CASES=1000000 takes so many random messages.
local crypto = require("neap.units").crypto
local engines = require("neap.units").engines
local helper = require("spec.helper")

local MESSAGES = tonumber(os.getenv("NEAP_ENGINE_CASES")) or 5000

describe("the engines", function()
  it("end with the one that is everywhere", function()
    local names = engines.names()
    assert.equal("mbedtls", names[#names])
  end)

  it("are the fastest unless another that is here is asked for", function()
    local names = engines.names()
    for _, name in ipairs(names) do assert.equal(name, engines.choose(name)) end
    assert.equal(names[1], engines.choose())
    assert.equal(names[1], engines.choose("abacus"))
  end)
end)

for index, name in ipairs(engines.names()) do
  describe("the engine " .. name, function()
    it("seals, opens, refuses and masks as Mbed TLS does, in place and at odd addresses, and wipes its keys", function()
      local seed = ("e"):rep(31) .. string.char(index)
      local checked, wrong = engines.random(name, seed, MESSAGES)
      assert.is_nil(wrong, ("message %d: %s"):format(checked, wrong or ""))
      assert.is_true(checked >= MESSAGES)
    end)

    it("seals and opens every length that a packet has", function()
      local context, plain = crypto.new(("e"):rep(32)), crypto.new(("e"):rep(32))
      engines.use(context, name)
      engines.use(plain, "mbedtls")
      local bytes, iv = ("tide\0\1\2"):rep(300), ("n"):rep(12)
      for _, suite in ipairs({ 0x1301, 0x1302 }) do
        local key = ("k"):rep(suite == 0x1301 and 16 or 32)
        for size = 0, 1500 do
          local sealed = crypto.aead_seal(context, suite, key, iv, "header", bytes:sub(1, size))
          assert.equal(crypto.aead_seal(plain, suite, key, iv, "header", bytes:sub(1, size)), sealed)
          assert.equal(bytes:sub(1, size), crypto.aead_open(context, suite, key, iv, "header", sealed))
        end
      end
    end)

    it("seals and opens 64 KiB, as much as anything here has, without its counter coming round", function()
      local context, plain = crypto.new(("e"):rep(32)), crypto.new(("e"):rep(32))
      engines.use(context, name)
      engines.use(plain, "mbedtls")
      local bytes, key, iv = ("tide\0\1\2!"):rep(8192), ("k"):rep(16), ("n"):rep(12)
      local sealed = crypto.aead_seal(context, 0x1301, key, iv, "", bytes)
      assert.equal(helper.hex(crypto.aead_seal(plain, 0x1301, key, iv, "", bytes)), helper.hex(sealed))
      assert.equal(bytes, crypto.aead_open(context, 0x1301, key, iv, "", sealed))
    end)
  end)
end
