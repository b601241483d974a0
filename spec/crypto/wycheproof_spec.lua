--- Project Wycheproof's vectors for every primitive that we call: a part of them, which is in spec/vectors, always; all
--- where the shared data is. A case we skip says why and is counted.
local crypto = require("neap.units").crypto
local engines = require("neap.units").engines
local helper = require("spec.helper")

local unhex = helper.unhex
local SEED = ("w"):rep(32)

--- Runs `check(case, group)` over all cases of a suite: it returns whether the case was accepted, or nil and
--- the reason why it is skipped. "acceptable" cases may go either way. Returns counts.
local function run(suite, file, check)
  local passed, skipped = 0, {}
  for _, group in ipairs(suite.testGroups) do
    for _, case in ipairs(group.tests) do
      local accepted, reason = check(case, group)
      local id = ("%s case %s: %s"):format(file, case.tcId, case.comment or "")
      if accepted == nil then
        skipped[assert(reason, id)] = (skipped[reason] or 0) + 1
      else
        if case.result == "valid" then assert.is_true(accepted, id) end
        if case.result == "invalid" then assert.is_false(accepted, id) end
        passed = passed + 1
      end
    end
  end
  local count = passed
  for _, n in pairs(skipped) do count = count + n end
  assert.equal(suite.numberOfTests, count)
  return passed
end

local HKDF = { [256] = 83, [384] = 80 }

local SETS = {
  ["a part of Wycheproof"] = function(file)
    local path = helper.source_dir .. "/spec/vectors/wycheproof/" .. file
    return require("cjson").decode((assert(helper.read_file(path))))
  end,
  ["all of Wycheproof"] = function(file, pending) return helper.shared_json("wycheproof/" .. file, pending) end,
}

--- As many cases as `whole` are checked of the whole file, and some of a part of it.
local function agree_with(name, load)
  return function(file, pending, whole, check)
    local passed = run(load(file, pending), file, check)
    if name:find("^all") then assert.equal(whole, passed) else assert.is_true(passed >= 4) end
  end
end

local function specs(name, load)
  local agree = agree_with(name, load)
  local context

  before_each(function() context = crypto.new(SEED) end)

  local function aead(suite_of)
    return function(case, group)
      local suite = suite_of(group)
      if not suite then return nil, "a key size that TLS has not" end
      if group.ivSize ~= 96 or group.tagSize ~= 128 then return nil, "not a 12-byte nonce with a 16-byte tag" end
      local key, iv, aad = unhex(case.key), unhex(case.iv), unhex(case.aad)
      local sealed = unhex(case.ct) .. unhex(case.tag)
      local opened, code = crypto.aead_open(context, suite, key, iv, aad, sealed)
      local remade = crypto.aead_seal(context, suite, key, iv, aad, unhex(case.msg))
      if case.result == "valid" then
        assert.equal(case.msg, helper.hex(assert(opened)))
        assert.equal(helper.hex(sealed), helper.hex(remade))
      else
        assert.is_nil(opened)
        assert.equal(-12, code)
      end
      return opened ~= nil
    end
  end

  for _, engine in ipairs(engines.names()) do
    it("agrees about AES-GCM, computed by " .. engine, function()
      engines.use(context, engine)
      local suites = { [128] = 0x1301, [256] = 0x1302 }
      agree("aes_gcm_test.json", pending, 133, aead(function(group) return suites[group.keySize] end))
    end)
  end

  it("agrees about ChaCha20-Poly1305", function()
    agree("chacha20_poly1305_test.json", pending, 316, aead(function() return 0x1303 end))
  end)

  for bits, sizes in pairs({ [256] = 32, [384] = 48 }) do
    it("agrees about HMAC-SHA" .. bits, function()
      agree(("hmac_sha%d_test.json"):format(bits), pending, 174, function(case, group)
        local mac = crypto.hmac(bits, unhex(case.key), unhex(case.msg))
        assert.equal(sizes, #mac)
        return helper.hex(mac):sub(1, group.tagSize / 4) == case.tag
      end)
    end)

    it("agrees about HKDF-SHA" .. bits, function()
      agree(("hkdf_sha%d_test.json"):format(bits), pending, HKDF[bits], function(case)
        if case.size > 255 * sizes then return nil, "more output than our callers may ask for" end
        local prk = crypto.hkdf_extract(bits, unhex(case.salt), unhex(case.ikm))
        return helper.hex(crypto.hkdf_expand(bits, prk, unhex(case.info), case.size)) == case.okm
      end)
    end)
  end
end

--- What a provider of public-key cryptography computes.
local function public_key_specs(name, load, provider)
  local agree = agree_with(name, load)
  local context

  before_each(function() context = crypto.new(SEED, nil, provider) end)

  it("agrees about X25519", function()
    agree("x25519_test.json", pending, 518, function(case)
      local secret = crypto.share_decapsulate(context, 0x001d, unhex(case.private), unhex(case.public))
      -- RFC 7748 §6.1, RFC 8446 §7.4.2: an all-zero secret is refused.
      if case.shared == ("00"):rep(32) then
        assert.is_nil(secret)
        return case.result ~= "invalid"
      end
      return secret ~= nil and helper.hex(secret) == case.shared
    end)
  end)

  local function ecdh(group, size)
    return function(case)
      local private = unhex(case.private):gsub("^%z+", "")
      private = ("\0"):rep(size - #private) .. private
      local secret = crypto.share_decapsulate(context, group, private, unhex(case.public))
      if case.result == "acceptable" then -- compressed points, which TLS 1.3 does not have
        assert.is_nil(secret)
      end
      return secret ~= nil and helper.hex(secret) == case.shared
    end
  end

  it("agrees about ECDH over P-256", function()
    agree("ecdh_secp256r1_ecpoint_test.json", pending, 355, ecdh(0x0017, 32))
  end)

  it("agrees about ECDH over P-384", function()
    agree("ecdh_secp384r1_ecpoint_test.json", pending, 790, ecdh(0x0018, 48))
  end)

  local function signature(kind, bits)
    return function(case, group)
      return crypto.signature_verify(context, unhex(group.publicKeyDer), kind, bits, unhex(case.msg), unhex(case.sig))
    end
  end

  for file, row in pairs({
    ["ecdsa_secp256r1_sha256_test.json"] = { "ecdsa", 256, 484 },
    ["ecdsa_secp384r1_sha384_test.json"] = { "ecdsa", 384, 504 },
    ["rsa_pss_2048_sha256_mgf1_32_test.json"] = { "rsa_pss", 256, 108 },
    ["rsa_pss_3072_sha256_mgf1_32_test.json"] = { "rsa_pss", 256, 108 },
    ["rsa_signature_2048_sha256_test.json"] = { "rsa_pkcs1", 256, 259 },
  }) do
    it("agrees about signatures of " .. file, function()
      agree(file, pending, row[3], signature(row[1], row[2]))
    end)
  end

  it("agrees about Ed25519", function()
    if crypto.has_ed25519() then return agree("ed25519_test.json", pending, 151, signature("ed25519", 512)) end
    run(load("ed25519_test.json", pending), "ed25519_test.json", function(case, group)
      assert.is_false(signature("ed25519", 512)(case, group))
      return nil, "this build has no Ed25519"
    end)
  end)
end

for name, load in pairs(SETS) do
  describe(name, function() specs(name, load) end)
  for _, provider in ipairs(crypto.providers()) do
    describe(name .. ", by " .. provider, function() public_key_specs(name, load, provider) end)
  end
end
