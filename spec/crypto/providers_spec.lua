--- Libraries of public-key cryptography beside one another: what one makes the others take, what one refuses all do.
local authority = require("spec.crypto.authority")
local certificates = require("neap.units").certificates
local crypto = require("neap.units").crypto
local helper = require("spec.helper")
local p256 = require("neap.units").p256

local PROVIDERS = crypto.providers()
local SCHEMES = {
  p256 = { 0x0403 }, p384 = { 0x0503 }, rsa2048 = { 0x0804, 0x0805, 0x0806 }, rsa4096 = { 0x0804 },
  rsa_e3 = { 0x0804 }, rsa_e32 = { 0x0804 },
}
local CERTIFICATE = -13

--- PSA takes no salt of RSASSA-PSS from anybody.
local function draws_salts(provider)
  return provider:find("Mbed TLS$") and crypto.backend():find("^Mbed TLS 4") ~= nil
end

describe("providers", function()
  local ca
  local context = {}

  setup(function()
    ca = authority.new()
    for _, provider in ipairs(PROVIDERS) do context[provider] = crypto.new(("p"):rep(32), nil, provider) end
    for kind in pairs(SCHEMES) do ca:issue({ name = kind, key = kind, extensions = authority.SERVER }) end
  end)

  teardown(function() ca:remove() end)

  --- The key in another form of DER.
  local function convert(name, how)
    local file = helper.quote(ca.dir .. "/" .. name .. ".key")
    local _, status = helper.run(("openssl %s -in %s -outform DER -out %s.other"):format(how, file, file))
    assert.equal(0, status)
    return helper.read_file(ca.dir .. "/" .. name .. ".key.other")
  end

  local function with_identity(provider, chain, key, use)
    local identity, code, reason = certificates.identity_new(context[provider], chain, key)
    if not identity then return nil, code, reason end
    local result = use(identity)
    certificates.identity_free(identity)
    return result
  end

  it("begin with the fastest and end with Mbed TLS", function()
    assert.equal("Mbed TLS", PROVIDERS[#PROVIDERS])
    local with_libcrypto, with_sodium = crypto.backend():find("libcrypto", 1, true), crypto.has_ed25519()
    local without = p256.sign and "P-256 and Mbed TLS" or "Mbed TLS"
    assert.equal(not with_libcrypto and without or with_sodium and "libcrypto and libsodium" or "libcrypto",
      PROVIDERS[1])
    if p256.sign then assert.equal("P-256 and Mbed TLS", PROVIDERS[#PROVIDERS - 1]) end
    assert.equal(not with_libcrypto and p256.sign ~= nil, crypto.backend():find("own P-256", 1, true) ~= nil)
  end)

  for _, ours in ipairs(PROVIDERS) do
    for _, theirs in ipairs(PROVIDERS) do
      it(("exchange keys: %s with %s"):format(ours, theirs), function()
        for _, group in ipairs({ 0x0017, 0x0018, 0x001d }) do
          for _ = 1, 20 do
            local public, private = crypto.share_generate(context[ours], group)
            local answer, secret = crypto.share_encapsulate(context[theirs], group, public)
            assert.equal(secret, crypto.share_decapsulate(context[ours], group, private, answer))
          end
        end
      end)

      it(("verify what is signed: %s by %s"):format(theirs, ours), function()
        for kind, schemes in pairs(SCHEMES) do
          local made = ca.made[kind]
          for _, scheme in ipairs(schemes) do
            local signature = assert(with_identity(ours, made.pem, made.key, function(identity)
              return certificates.identity_sign(identity, scheme, "message")
            end))
            local function verify(message)
              return certificates.verify_signature(context[theirs], made.der, scheme, message, signature)
            end
            assert.is_true(verify("message"), kind)
            assert.is_false(verify("massage"), kind)
          end
        end
      end)
    end
  end

  -- covers: rfc8446#4.2.3.7
  it("refuse PSS signatures with a salt of another size than the digest's", function()
    local made, file = ca.made.rsa2048, helper.quote(ca.dir .. "/rsa2048.key")
    local message = ca.dir .. "/message"
    helper.write_file(message, "message")
    for scheme, bits in pairs({ [0x0804] = 256, [0x0805] = 384, [0x0806] = 512 }) do
      for _, salt in ipairs({ bits / 8, 0, 20, bits / 8 - 1, bits / 8 + 1 }) do
        helper.sh(("openssl dgst -sha%d -sign %s -sigopt rsa_padding_mode:pss -sigopt rsa_pss_saltlen:%d "
          .. "-out %s.sig %s"):format(bits, file, salt, helper.quote(message), helper.quote(message)))
        for _, provider in ipairs(PROVIDERS) do
          assert.equal(salt == bits / 8, certificates.verify_signature(context[provider], made.der, scheme, "message",
            helper.read_file(message .. ".sig")), ("%s, %d bytes with SHA-%d"):format(provider, salt, bits))
        end
      end
    end
  end)

  for _, provider in ipairs(PROVIDERS) do
    it("count what peers make them do, as far as it is not the same in every handshake: " .. provider, function()
      local own = crypto.new(("w"):rep(32), nil, provider)
      local function work(run, ...)
        local before = crypto.work(own)
        run(own, ...)
        return crypto.work(own) - before
      end
      local function exchange(group)
        return work(crypto.share_encapsulate, group, (crypto.share_generate(own, group)))
      end
      assert.equal(0, exchange(0x001d))
      assert.is_true(exchange(0x0018) > exchange(0x0017))
      if crypto.has_group(own, 0x11ec) then assert.is_true(exchange(0x11ec) > 20) end
      local function verify(kind) -- a signature that is none, but looks like one
        local signature = kind:find("rsa") and ("s"):rep(256) or "\48\6\2\1\1\2\1\1"
        return work(certificates.verify_signature, ca.made[kind].der, SCHEMES[kind][1], "message", signature)
      end
      assert.is_true(verify("p384") > verify("p256") and verify("p256") > verify("rsa2048"))
      assert.is_true(verify("rsa4096") == 4 * verify("rsa2048") and verify("rsa2048") > 10)
    end)

    it("sign and make shares with equal bytes from equal seeds: " .. provider, function()
      for _, kind in ipairs({ "p256", "p384", "rsa2048" }) do
        local made, signatures = ca.made[kind], {}
        for i = 1, 2 do
          local own = crypto.new(("q"):rep(32), nil, provider)
          local identity = assert(certificates.identity_new(own, made.pem, made.key))
          signatures[i] = certificates.identity_sign(identity, SCHEMES[kind][1], "message")
          certificates.identity_free(identity)
        end
        assert.equal(not (kind == "rsa2048" and draws_salts(provider)), signatures[1] == signatures[2], kind)
      end
      for _, group in ipairs({ 0x0017, 0x0018, 0x001d }) do
        local a, b = crypto.new(("a"):rep(32), nil, provider), crypto.new(("a"):rep(32), nil, provider)
        assert.same({ crypto.share_generate(a, group) }, { crypto.share_generate(b, group) })
      end
    end)

    it("never sign two messages with one nonce: " .. provider, function()
      local seen = {}
      with_identity(provider, ca.made.p256.pem, ca.made.p256.key, function(identity)
        for i = 1, 200 do
          local signature = certificates.identity_sign(identity, 0x0403, "message " .. i)
          -- SEQUENCE, length, INTEGER, length, r
          local r = signature:sub(5, 4 + signature:byte(4))
          assert.is_nil(seen[r])
          seen[r] = true
        end
        return true
      end)
    end)

    it("take keys as PKCS#8, SEC 1 and PKCS#1: " .. provider, function()
      local function taken(name, der)
        local _, _, reason = with_identity(provider, ca.made[name].der, der, function() return true end)
        assert.is_nil(reason)
      end
      for _, name in ipairs({ "p256", "p384", "rsa2048" }) do taken(name, convert(name, "pkcs8 -topk8 -nocrypt")) end
      taken("p256", convert("p256", "ec"))
      taken("p384", convert("p384", "ec"))
      taken("p256", convert("p256", "ec -no_public"))
      taken("rsa2048", convert("rsa2048", "rsa -traditional"))
    end)

    it("refuse what is no such key: " .. provider, function()
      local function refused(name, der, why)
        local ok, code, reason = with_identity(provider, ca.made[name].der, der, function() return true end)
        assert.same({ nil, CERTIFICATE }, { ok, code })
        assert.is_truthy(reason:find(why, 1, true), reason)
      end
      local key = convert("p256", "pkcs8 -topk8 -nocrypt")
      refused("p256", "", "cannot be parsed")
      refused("p256", key:sub(1, -2), "cannot be parsed")
      refused("p256", convert("p256", "ec -pubout"), "cannot be parsed")
      refused("p256", convert("p256", "pkcs8 -topk8 -passout pass:tide"), "cannot be parsed")
      refused("p256", convert("p384", "ec"), "does not fit")
      refused("p256", convert("rsa2048", "rsa -traditional"), "does not fit")
      refused("rsa2048", key, "does not fit")
      ca:issue({ name = "ed448", key = "ed448", extensions = authority.SERVER })
      refused("p256", convert("ed448", "pkcs8 -topk8 -nocrypt"), "cannot be parsed")
    end)
  end

  --- Deterministic, so that a failure comes again.
  local function random_from(seed)
    return function(most)
      seed = (seed * 1103515245 + 12345) % 2 ^ 31
      return math.floor(seed / 2 ^ 8) % most + 1
    end
  end

  it("agree about signatures, keys and messages with a byte changed, cut or added", function()
    local random = random_from(7)
    local KINDS = { p256 = { 0x0403, "ecdsa" }, p384 = { 0x0503, "ecdsa" }, rsa2048 = { 0x0804, "rsa_pss" } }
    local verdicts = { [true] = 0, [false] = 0 }
    for kind, row in pairs(KINDS) do
      local made = ca.made[kind]
      local signature = assert(with_identity(PROVIDERS[1], made.pem, made.key, function(identity)
        return certificates.identity_sign(identity, row[1], "message")
      end))
      for i = 1, 120 do
        local parts = { made.spki, signature, "message" }
        if i % 20 ~= 0 then
          local which = random(10) > 7 and 1 or random(10) > 1 and 2 or 3
          local part = parts[which]
          local at, how = random(#part), random(6)
          local byte = string.char((part:byte(at) + random(255)) % 256)
          parts[which] = part:sub(1, how == 6 and at or at - 1) .. (how == 5 and "" or byte) .. part:sub(at + 1)
        end
        local bits = kind == "p384" and 384 or 256
        local first
        for _, provider in ipairs(PROVIDERS) do
          local verdict = crypto.signature_verify(context[provider], parts[1], row[2], bits, parts[3], parts[2])
          if first == nil then first = verdict end
          assert.equal(first, verdict, ("%s %d: %s %s"):format(kind, i, helper.hex(parts[1]), helper.hex(parts[2])))
        end
        verdicts[first] = verdicts[first] + 1
      end
    end
    assert.is_true(verdicts[true] >= 18 and verdicts[false] > 200)
  end)

  it("refuse points that are not on the curve, and others than uncompressed ones", function()
    for _, provider in ipairs(PROVIDERS) do
      for group, size in pairs({ [0x0017] = 32, [0x0018] = 48 }) do
        local public, private = crypto.share_generate(context[provider], group)
        local last = string.char((public:byte(-1) + 1) % 256)
        for _, bad in ipairs({ public:sub(1, -2) .. last, "\2" .. public:sub(2), "\6" .. public:sub(2),
          "\2" .. public:sub(2, 1 + size), "\0", "\4" .. ("\255"):rep(2 * size), "\4" .. ("\0"):rep(2 * size) }) do
          assert.is_nil((crypto.share_decapsulate(context[provider], group, private, bad)))
          assert.is_nil((crypto.share_encapsulate(context[provider], group, bad)))
        end
      end
    end
  end)

  it("leave each other's contexts alone: several in one thread, freed in any order", function()
    local made = ca.made.p256
    for _, provider in ipairs(PROVIDERS) do
      local b = crypto.new(("b"):rep(32), nil, provider)
      local of_b
      do
        local a = crypto.new(("a"):rep(32), nil, provider)
        local of_a = assert(certificates.identity_new(a, made.pem, made.key))
        of_b = assert(certificates.identity_new(b, made.pem, made.key))
        certificates.identity_free(of_a)
      end
      collectgarbage()
      assert.is_string((certificates.identity_sign(of_b, 0x0403, "message")))
      certificates.identity_free(of_b)
    end
  end)
end)
