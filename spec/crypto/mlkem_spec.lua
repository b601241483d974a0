--- ML-KEM-768 of a library that has it, and its hybrid with X25519 (draft-ietf-tls-ecdhe-mlkem): OpenSSL 3.5, which is
--- in Debian 13, where scripts/peers test runs this.
local crypto = require("neap.units").crypto
local helper = require("spec.helper")

local unhex = helper.unhex
local SEED = ("m"):rep(32)
local HYBRID, X25519 = 0x11ec, 0x001d
local KEY, CIPHERTEXT = 1184, 1088

local function has_hybrid(provider) return crypto.has_group(crypto.new(SEED, nil, provider), HYBRID) end

describe("X25519MLKEM768", function()
  it("is there with one of the libraries", function()
    for _, provider in ipairs(crypto.providers()) do
      if has_hybrid(provider) then return end
    end
    pending("no library of this build has ML-KEM: OpenSSL 3.5 does (scripts/peers test)")
  end)

  for _, provider in ipairs(crypto.providers()) do
    it("is refused where the library has no ML-KEM, as an unknown group is: " .. provider, function()
      if has_hybrid(provider) then return end
      local context = crypto.new(SEED, nil, provider)
      assert.same({ nil, -14, "" }, { crypto.share_generate(context, HYBRID) })
      assert.same({ nil, -14, "" }, { crypto.share_encapsulate(context, HYBRID, ("x"):rep(KEY + 32)) })
      assert.same({ nil, -14, "" }, { crypto.share_decapsulate(context, HYBRID, ("x"):rep(96), ("x"):rep(1120)) })
    end)
  end
end)

local function specs(provider)
  describe("X25519MLKEM768 by " .. provider, function()
    local context

    before_each(function() context = crypto.new(SEED, nil, provider) end)

    it("gives both sides one secret of 64 bytes, ML-KEM's before X25519's", function()
      local public, private = crypto.share_generate(context, HYBRID)
      assert.same({ KEY + 32, 96 }, { #public, #private })
      local answer, secret = crypto.share_encapsulate(crypto.new(("s"):rep(32), nil, provider), HYBRID, public)
      assert.same({ CIPHERTEXT + 32, 64 }, { #answer, #secret })
      assert.equal(secret, crypto.share_decapsulate(context, HYBRID, private, answer))
      assert.equal(public:sub(1, KEY), crypto.mlkem_key(context, private:sub(1, 64)))
      assert.equal(secret:sub(1, 32), crypto.mlkem_decapsulate(context, private:sub(1, 64), answer:sub(1, CIPHERTEXT)))
      assert.equal(secret:sub(33),
        crypto.share_decapsulate(context, X25519, private:sub(65), answer:sub(CIPHERTEXT + 1)))
    end)

    it("gives equal bytes for equal seeds", function()
      local other = crypto.new(SEED, nil, provider)
      local public = crypto.share_generate(context, HYBRID)
      assert.equal(public, (crypto.share_generate(other, HYBRID)))
      assert.are_not.equal(public, (crypto.share_generate(context, HYBRID)))
      crypto.share_generate(other, HYBRID)
      assert.same({ crypto.share_encapsulate(context, HYBRID, public) },
        { crypto.share_encapsulate(other, HYBRID, public) })
    end)

    it("refuses shares of another size, keys above the modulus and all-zero keys of X25519", function()
      local public, private = crypto.share_generate(context, HYBRID)
      local answer = crypto.share_encapsulate(context, HYBRID, public)
      local high = ("\255"):rep(KEY) .. public:sub(KEY + 1)
      local flat = public:sub(1, KEY) .. ("\0"):rep(32)
      for _, bad in ipairs({ "", public:sub(1, -2), public .. "\0", public:sub(-32), answer, high, flat }) do
        assert.same({ nil, -12, "" }, { crypto.share_encapsulate(context, HYBRID, bad) })
      end
      flat = answer:sub(1, CIPHERTEXT) .. ("\0"):rep(32)
      for _, bad in ipairs({ "", answer:sub(1, -2), answer .. "\0", answer:sub(-32), public, flat }) do
        assert.same({ nil, -12, "" }, { crypto.share_decapsulate(context, HYBRID, private, bad) })
      end
    end)

    it("gives another secret for a ciphertext that was changed, and no error", function()
      local public, private = crypto.share_generate(context, HYBRID)
      local answer, secret = crypto.share_encapsulate(context, HYBRID, public)
      local changed = string.char((answer:byte() + 1) % 256) .. answer:sub(2)
      local other = crypto.share_decapsulate(context, HYBRID, private, changed)
      assert.are_not.equal(secret:sub(1, 32), other:sub(1, 32))
      assert.equal(secret:sub(33), other:sub(33))
    end)

    -- check(case) → whether the case was accepted
    local function agrees(file, whole, check)
      local part = helper.read_file(helper.source_dir .. "/spec/vectors/wycheproof/" .. file)
      local suites = { { assert(part), 4 } }
      local all = helper.shared_dir and helper.read_file(helper.shared_dir .. "/wycheproof/" .. file)
      if all then suites[2] = { all, whole } end
      for _, suite in ipairs(suites) do
        local count = 0
        for _, group in ipairs(require("cjson").decode(suite[1]).testGroups) do
          for _, case in ipairs(group.tests) do
            assert.equal(case.result == "valid", check(case), ("%s case %s"):format(file, case.tcId))
            count = count + 1
          end
        end
        assert.equal(suite[2], count)
      end
    end

    it("agrees with Wycheproof about keys", function()
      agrees("mlkem_768_keygen_seed_test.json", 100, function(case)
        return crypto.mlkem_key(context, unhex(case.seed)) == unhex(case.ek)
      end)
    end)

    it("agrees with Wycheproof about encapsulation", function()
      agrees("mlkem_768_encaps_test.json", 265, function(case)
        if #case.ek ~= 2 * KEY then -- refused by its size before the library is asked
          local curve = ("\9"):rep(32)
          return crypto.share_encapsulate(context, HYBRID, unhex(case.ek) .. curve) ~= nil
        end
        local ciphertext, secret = crypto.mlkem_encapsulate(context, unhex(case.ek), unhex(case.m))
        return ciphertext == unhex(case.c) and secret == unhex(case.K)
      end)
    end)

    it("agrees with Wycheproof about decapsulation", function()
      agrees("mlkem_768_test.json", 193, function(case)
        local seed, ciphertext = unhex(case.seed), unhex(case.c)
        if #seed > 64 then return false end -- there is no room for it
        if #seed ~= 64 or #ciphertext ~= CIPHERTEXT then
          local curve = ("\9"):rep(32)
          return crypto.share_decapsulate(context, HYBRID, seed .. curve, ciphertext .. curve) ~= nil
        end
        return crypto.mlkem_decapsulate(context, seed, ciphertext) == unhex(case.K)
      end)
    end)
  end)
end

for _, provider in ipairs(crypto.providers()) do
  if has_hybrid(provider) then specs(provider) end
end
