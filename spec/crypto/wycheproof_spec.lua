--- Project Wycheproof's vectors for every primitive that we call. A case we skip says why and is counted.
local crypto = require("neap.units").crypto
local helper = require("spec.helper")

local unhex = helper.unhex
local SEED = ("w"):rep(32)

--- Runs `check(case, group)` over all cases of a file: it returns whether the case was accepted, or nil and
--- the reason why it is skipped. "acceptable" cases may go either way. Returns counts.
local function run(file, pending, check)
  local suite = helper.shared_json("wycheproof/" .. file, pending)
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
  return passed, skipped, suite.numberOfTests
end

local function sum(skipped)
  local count = 0
  for _, n in pairs(skipped) do count = count + n end
  return count
end

describe("Wycheproof", function()
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

  it("agrees about AES-GCM", function()
    local suites = { [128] = 0x1301, [256] = 0x1302 }
    local passed = run("aes_gcm_test.json", pending, aead(function(group) return suites[group.keySize] end))
    assert.equal(133, passed)
  end)

  it("agrees about ChaCha20-Poly1305", function()
    local passed, skipped, total = run("chacha20_poly1305_test.json", pending, aead(function() return 0x1303 end))
    assert.equal(total, passed + sum(skipped))
    assert.is_true(passed >= 316)
  end)

  for bits, sizes in pairs({ [256] = 32, [384] = 48 }) do
    it("agrees about HMAC-SHA" .. bits, function()
      local passed = run(("hmac_sha%d_test.json"):format(bits), pending, function(case, group)
        local mac = crypto.hmac(bits, unhex(case.key), unhex(case.msg))
        assert.equal(sizes, #mac)
        return helper.hex(mac):sub(1, group.tagSize / 4) == case.tag
      end)
      assert.equal(174, passed)
    end)

    it("agrees about HKDF-SHA" .. bits, function()
      local passed, skipped, total = run(("hkdf_sha%d_test.json"):format(bits), pending, function(case)
        if case.size > 255 * sizes then return nil, "more output than our callers may ask for" end
        local prk = crypto.hkdf_extract(bits, unhex(case.salt), unhex(case.ikm))
        return helper.hex(crypto.hkdf_expand(bits, prk, unhex(case.info), case.size)) == case.okm
      end)
      assert.equal(total, passed + sum(skipped))
      assert.is_true(passed >= 80)
    end)
  end

  it("agrees about X25519", function()
    local passed = run("x25519_test.json", pending, function(case)
      local secret = crypto.share_decapsulate(context, 0x001d, unhex(case.private), unhex(case.public))
      -- RFC 7748 §6.1, RFC 8446 §7.4.2: an all-zero secret is refused.
      if case.shared == ("00"):rep(32) then
        assert.is_nil(secret)
        return case.result ~= "invalid"
      end
      return secret ~= nil and helper.hex(secret) == case.shared
    end)
    assert.equal(518, passed)
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
    assert.equal(355, (run("ecdh_secp256r1_ecpoint_test.json", pending, ecdh(0x0017, 32))))
  end)

  it("agrees about ECDH over P-384", function()
    assert.equal(790, (run("ecdh_secp384r1_ecpoint_test.json", pending, ecdh(0x0018, 48))))
  end)

  local function signature(kind, bits)
    return function(case, group)
      return crypto.signature_verify(unhex(group.publicKeyDer), kind, bits, unhex(case.msg), unhex(case.sig))
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
      assert.equal(row[3], (run(file, pending, signature(row[1], row[2]))))
    end)
  end

  it("agrees about Ed25519", function()
    local passed, _, total = run("ed25519_test.json", pending, function(case, group)
      local accepted = signature("ed25519", 512)(case, group)
      if crypto.has_ed25519() then return accepted end
      assert.is_false(accepted)
      return nil, "this build has no Ed25519"
    end)
    assert.equal(crypto.has_ed25519() and total or 0, passed)
  end)
end)
