local authority = require("spec.crypto.authority")
local certificates = require("neap.units").certificates
local crypto = require("neap.units").crypto
local helper = require("spec.helper")

local SERVER = authority.SERVER
local CERTIFICATE, UNSUPPORTED = -13, -14
local ALL = helper.unhex("0403 0503 0804 0805 0806 0807")

describe("identity", function()
  local ca, context

  setup(function()
    ca = authority.new()
    context = crypto.new(("i"):rep(32))
    ca:issue({ name = "root", extensions = authority.CA })
    ca:issue({ name = "leaf", issuer = "root", extensions = SERVER })
    ca:issue({ name = "rsa", key = "rsa2048", issuer = "root", extensions = SERVER })
    ca:issue({ name = "rsa4096", key = "rsa4096", extensions = SERVER })
    ca:issue({ name = "p384", key = "p384", extensions = SERVER })
    ca:issue({ name = "ed25519", key = "ed25519", extensions = SERVER })
  end)

  teardown(function() ca:remove() end)

  local made_here = {}

  local function new(chain, key)
    local identity, code, reason = certificates.identity_new(context, chain, key)
    if not identity then return nil, code, reason end
    made_here[#made_here + 1] = identity
    return identity
  end

  after_each(function()
    for i = #made_here, 1, -1 do certificates.identity_free(table.remove(made_here, i)) end
  end)

  it("says how many handshakes a second its kind of key signs", function()
    local function rate(name)
      local key = helper.read_file(ca.dir .. "/" .. name .. ".key")
      return certificates.identity_handshake_rate(assert(new(ca.made[name].der, key)))
    end
    assert.is_true(rate("leaf") > rate("p384") and rate("p384") > rate("rsa4096"))
    assert.is_true(rate("rsa") > 4 * rate("rsa4096") and rate("rsa4096") > 20)
    assert.is_true(rate("leaf") >= 300 and rate("leaf") <= 10000)
    if crypto.has_ed25519() then assert.is_true(rate("ed25519") > rate("p384")) end
  end)

  local KINDS = {
    leaf = { [0x0403] = true },
    p384 = { [0x0503] = true },
    rsa = { [0x0804] = true, [0x0805] = true, [0x0806] = true },
    ed25519 = { [0x0807] = true },
  }
  if not crypto.has_ed25519() then
    KINDS.ed25519 = nil
    it("refuses Ed25519 keys", function()
      local _, code, reason = new(ca.made.ed25519.pem, ca.made.ed25519.key)
      assert.same({ UNSUPPORTED, "an Ed25519 key needs a build with libsodium" }, { code, reason })
    end)
  end
  for name, schemes in pairs(KINDS) do
    it("signs with a key of kind " .. name .. " what the other side verifies", function()
      local made = ca.made[name]
      local identity = assert(new(made.pem, made.key))
      for scheme in pairs({ [0x0403] = 1, [0x0503] = 1, [0x0804] = 1, [0x0805] = 1, [0x0806] = 1, [0x0807] = 1 }) do
        local signature, error_code = certificates.identity_sign(identity, scheme, "message")
        if schemes[scheme] then
          assert.is_true(certificates.verify_signature(context, made.der, scheme, "message", signature))
          assert.is_false(certificates.verify_signature(context, made.der, scheme, "massage", signature))
          local changed = signature:sub(1, -2) .. string.char((signature:byte(-1) + 1) % 256)
          assert.is_false(certificates.verify_signature(context, made.der, scheme, "message", changed))
          assert.is_false(certificates.verify_signature(context, made.der, scheme, "message", ""))
        else
          assert.equal(UNSUPPORTED, error_code)
        end
      end
    end)

    it("is verified by openssl with a key of kind " .. name, function()
      local made = ca.made[name]
      local identity = assert(new(made.pem, made.key))
      local file = helper.quote(ca.dir .. "/" .. name)
      helper.write_file(ca.dir .. "/" .. name .. ".message", "from neap")
      for scheme in pairs(schemes) do
        helper.write_file(ca.dir .. "/" .. name .. ".signature",
          (certificates.identity_sign(identity, scheme, "from neap")))
        local options = ({
          [0x0403] = "-rawin -digest sha256", [0x0503] = "-rawin -digest sha384", [0x0807] = "-rawin",
          [0x0804] = "-rawin -digest sha256 -pkeyopt rsa_padding_mode:pss -pkeyopt rsa_pss_saltlen:digest",
          [0x0805] = "-rawin -digest sha384 -pkeyopt rsa_padding_mode:pss -pkeyopt rsa_pss_saltlen:digest",
          [0x0806] = "-rawin -digest sha512 -pkeyopt rsa_padding_mode:pss -pkeyopt rsa_pss_saltlen:digest",
        })[scheme]
        local output, status = helper.run(
          ("openssl pkeyutl -verify -certin -inkey %s.pem %s -in %s.message -sigfile %s.signature")
          :format(file, options, file, file))
        assert.equal(0, status, output)
      end
    end)

    it("takes DER of kind " .. name .. " as well", function()
      local file = helper.quote(ca.dir .. "/" .. name .. ".key")
      local _, status = helper.run(
        ("openssl pkcs8 -topk8 -nocrypt -outform DER -in %s -out %s.der"):format(file, file))
      assert.equal(0, status)
      local identity, _, reason = new(ca.made[name].der, helper.read_file(ca.dir .. "/" .. name .. ".key.der"))
      assert.is_not_nil(identity, reason)
      assert.same({ ca.made[name].der }, certificates.identity_chain(identity))
    end)
  end

  it("takes traditional PEM keys, with parameters before them", function()
    local file = helper.quote(ca.dir .. "/leaf.key")
    local key = helper.run(("openssl ec -param_out -in %s 2>/dev/null; openssl ec -in %s 2>/dev/null")
      :format(file, file))
    assert.is_truthy(key:find("BEGIN EC PARAMETERS", 1, true))
    assert.is_truthy(key:find("BEGIN EC PRIVATE KEY", 1, true))
    assert.is_not_nil(new(ca.made.leaf.pem, key))
    local rsa = helper.run("openssl rsa -traditional -in " .. helper.quote(ca.dir .. "/rsa.key") .. " 2>/dev/null")
    assert.is_truthy(rsa:find("BEGIN RSA PRIVATE KEY", 1, true))
    assert.is_not_nil(new(ca.made.rsa.pem, rsa))
  end)

  it("keeps the chain in order and takes key and certificates from one text", function()
    local text = "comment\n" .. ca.made.leaf.pem .. ca.made.leaf.key .. ca.made.root.pem:gsub("\n", "\r\n")
    local identity = assert(new(text, text))
    assert.same({ ca.made.leaf.der, ca.made.root.der }, certificates.identity_chain(identity))
  end)

  it("picks the first scheme of the peer's that its key can use", function()
    local identity = assert(new(ca.made.rsa.pem, ca.made.rsa.key))
    assert.equal(0x0804, certificates.identity_scheme(identity, ALL))
    assert.equal(0x0806, certificates.identity_scheme(identity, helper.unhex("0401 0403 0806 0804")))
    assert.equal(0, certificates.identity_scheme(identity, helper.unhex("0403 0503")))
    assert.equal(0, certificates.identity_scheme(identity, ""))
    assert.equal(0, certificates.identity_scheme(identity, "\8"))
  end)

  it("matches names by the subject alternative names, by the common name only without them", function()
    local identity = assert(new(ca.made.leaf.pem, ca.made.leaf.key))
    for name, matches in pairs({
      ["tide.example"] = true, ["TIDE.example."] = true, ["a.wild.example"] = true, ["192.0.2.7"] = true,
      ["leaf"] = false, ["wild.example"] = false,
    }) do
      assert.equal(matches, certificates.identity_matches(identity, name), name)
    end
    local bare = ca:issue({ name = "bare", subject = "/O=neap/CN=bare.example",
      extensions = "keyUsage=digitalSignature" })
    assert.is_true(certificates.identity_matches(assert(new(bare.pem, bare.key)), "bare.example"))
  end)

  it("signs the same bytes from the same seed", function()
    local draws_salts = crypto.providers()[1]:find("Mbed TLS$") and crypto.backend():find("^Mbed TLS 4") ~= nil
    for _, name in ipairs({ "leaf", "rsa" }) do
      local made, signatures = ca.made[name], {}
      for i = 1, 2 do
        local own = crypto.new(("q"):rep(32))
        local identity = certificates.identity_new(own, made.pem, made.key)
        signatures[i] = certificates.identity_sign(identity, name == "rsa" and 0x0804 or 0x0403, "message")
        certificates.identity_free(identity)
      end
      -- PSA takes no salt of RSASSA-PSS from anybody.
      assert.equal(not (name == "rsa" and draws_salts), signatures[1] == signatures[2], name)
    end
  end)

  describe("is refused", function()
    local function refused(code, reason, chain, key)
      local identity, got, why = new(chain, key)
      assert.is_nil(identity)
      assert.equal(code, got, why)
      assert.is_truthy(why:find(reason, 1, true), why)
    end

    it("when the key is another certificate's", function()
      refused(CERTIFICATE, "does not fit", ca.made.leaf.pem, ca.made.root.key)
      refused(CERTIFICATE, "does not fit", ca.made.leaf.pem, ca.made.rsa.key)
      if crypto.has_ed25519() then
        refused(CERTIFICATE, "does not fit", ca.made.leaf.pem, ca.made.ed25519.key)
        refused(CERTIFICATE, "does not fit", ca.made.ed25519.pem, ca.made.leaf.key)
      end
    end)

    it("without a certificate or a key", function()
      local leaf = ca.made.leaf
      refused(CERTIFICATE, "no certificate", "", leaf.key)
      refused(CERTIFICATE, "no certificate", leaf.key, leaf.key)
      refused(CERTIFICATE, "no private key", leaf.pem, leaf.pem)
      refused(CERTIFICATE, "cannot be parsed", leaf.pem, "")
      refused(CERTIFICATE, "cannot be parsed", leaf.pem, "hello")
      refused(CERTIFICATE, "cannot be decoded", "hello", leaf.key)
    end)

    it("when text or DER is damaged", function()
      local leaf = ca.made.leaf
      refused(CERTIFICATE, "cannot be", leaf.pem:gsub("\n(%w%w%w)", "\n!%1", 1), leaf.key)
      refused(CERTIFICATE, "cannot be parsed", leaf.der .. "\48\3\2\1\1", leaf.key)
      refused(CERTIFICATE, "cannot be", leaf.pem, leaf.key:gsub("\n(%w%w%w)", "\n!%1", 1))
    end)

    it("when the key is encrypted", function()
      local file = helper.quote(ca.dir .. "/leaf.key")
      local encrypted = helper.run("openssl pkcs8 -topk8 -passout pass:tide -in " .. file)
      refused(UNSUPPORTED, "encrypted", ca.made.leaf.pem, encrypted)
      local traditional = helper.run("openssl ec -aes128 -passout pass:tide -in " .. file .. " 2>/dev/null")
      refused(CERTIFICATE, "encrypted", ca.made.leaf.pem, traditional)
    end)

    it("when TLS has no scheme for its key, or it is too weak", function()
      local p521 = ca:issue({ name = "p521", key = "p521", extensions = SERVER })
      refused(UNSUPPORTED, "P-256", p521.pem, p521.key)
      local weak = ca:issue({ name = "weak", key = "rsa1024", extensions = SERVER })
      refused(UNSUPPORTED, "2048", weak.pem, weak.key)
    end)

    it("when the chain is longer than the bound", function()
      refused(CERTIFICATE, "too long", ca.made.leaf.pem:rep(11), ca.made.leaf.key)
      assert.is_not_nil(new(ca.made.leaf.pem:rep(10), ca.made.leaf.key))
    end)

    it("wherever memory ends, without a leak", function()
      local used, count, identity, code = crypto.used(context), 0
      repeat
        crypto.fail_after(context, count)
        identity, code = certificates.identity_new(context, ca.made.leaf.pem, ca.made.leaf.key)
        crypto.fail_after(context, -1)
        if not identity then
          assert.equal(-2, code)
          assert.equal(used, crypto.used(context))
        end
        count = count + 1
      until identity
      certificates.identity_free(identity)
      assert.equal(used, crypto.used(context))
      assert.is_true(count > 3)
    end)
  end)
end)
