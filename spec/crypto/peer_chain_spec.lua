--- Verification of peers' chains: what must be accepted, and a matrix of what must be refused, with its alert.
local authority = require("spec.crypto.authority")
local certificates = require("neap.units").certificates
local crypto = require("neap.units").crypto
local helper = require("spec.helper")

local CA, SERVER = authority.CA, authority.SERVER
local DAY = 86400
local ALERT = {
  bad_certificate = 0x100 + 42,
  unsupported_certificate = 0x100 + 43,
  certificate_expired = 0x100 + 45,
  certificate_unknown = 0x100 + 46,
  unknown_ca = 0x100 + 48,
}

describe("peer chain", function()
  local ca, context, now
  local c = {} -- certificates by name

  local function issue(spec)
    c[spec.name] = ca:issue(spec)
    return c[spec.name]
  end

  setup(function()
    ca = authority.new()
    context = crypto.new(("c"):rep(32))
    now = os.time() + DAY / 2 -- some certificates are made later, however slow the machine is
    issue({ name = "root", key = "p384", extensions = CA, days = 3000 })
    issue({ name = "middle", issuer = "root", extensions = CA, days = 100 })
    issue({ name = "leaf", issuer = "middle", extensions = SERVER })
    issue({ name = "direct", issuer = "root", extensions = SERVER, days = 5000 })
    issue({ name = "other root", extensions = CA })
    issue({ name = "alone", extensions = SERVER })
  end)

  teardown(function() ca:remove() end)

  --- verify({names of the chain}, options): roots default to root, the name to tide.example, the time to now.
  local function verify(names, options)
    options = options or {}
    local chain = {}
    for i, name in ipairs(names) do chain[i] = c[name] and c[name].der or name end
    local roots = {}
    for i, name in ipairs(options.roots or { "root" }) do roots[i] = c[name].pem end
    return certificates.verify(context, {
      chain = chain, roots = roots, pins = options.pins, is_client = options.is_client,
      name = options.name == nil and "tide.example" or options.name or nil, now = options.now or now,
    })
  end

  local function accepted(names, options) assert.same({ true }, { verify(names, options) }) end

  local function refused(alert, reason, names, options)
    local ok, code, why = verify(names, options)
    assert.is_nil(ok)
    assert.equal(assert(ALERT[alert]), code, why)
    assert.is_truthy(why:find(reason, 1, true), why)
  end

  --- The same arguments → signatures verified, cost of names, the reason of a refusal.
  local function cost(names, roots)
    local chain, pems = {}, {}
    for i, name in ipairs(names) do chain[i] = c[name].der end
    for i, name in ipairs(roots) do pems[i] = c[name].pem end
    local signatures, names_cost, reason =
      certificates.verification_cost(context, { chain = chain, roots = pems, name = "tide.example", now = now })
    return signatures, names_cost, reason
  end

  describe("accepts", function()
    it("a leaf whose intermediate leads to a root", function() accepted({ "leaf", "middle" }) end)
    it("a leaf that the root issued itself", function() accepted({ "direct" }) end)
    it("a chain that brings its root along", function() accepted({ "leaf", "middle", "root" }) end)

    -- covers: rfc8446#4.4.2.12
    it("certificates in another order, and strangers among them", function()
      accepted({ "leaf", "other root", "alone", "root", "middle" })
    end)

    it("several roots, given as PEM bundles or DER", function()
      accepted({ "direct" }, { roots = { "other root", "root" } })
      assert.is_true(certificates.verify(context, {
        chain = { c.direct.der }, roots = { c["other root"].pem .. c.root.pem }, name = "tide.example", now = now,
      }))
      assert.is_true(certificates.verify(context, {
        chain = { c.direct.der }, roots = { c.root.der }, name = "tide.example", now = now,
      }))
    end)

    it("a self-signed leaf, or an intermediate, that is a root itself", function()
      accepted({ "alone" }, { roots = { "alone" } })
      accepted({ "leaf" }, { roots = { "middle" } })
    end)

    it("names in any case, with a final dot, and under a wildcard", function()
      for _, name in ipairs({ "TIDE.Example", "tide.example.", "a.wild.example", "B.WILD.example" }) do
        accepted({ "direct" }, { name = name })
      end
    end)

    it("addresses, in any spelling", function()
      for _, name in ipairs({ "192.0.2.7", "2001:db8::7", "2001:DB8:0:0::0:7" }) do
        accepted({ "direct" }, { name = name })
      end
    end)

    it("certificates that cannot be parsed, behind a leaf that does not need them", function()
      for _, der in ipairs({ "", "\48", c.middle.der:sub(1, -2), c.middle.der .. "\0", ("\0"):rep(500) }) do
        accepted({ "direct", der })
        accepted({ "leaf", der, "middle", der })
      end
    end)

    it("constraints on kinds of names that no certificate below has", function()
      issue({ name = "constrains others", issuer = "root", extensions = CA
        .. "\nnameConstraints=critical,permitted;email:example,excluded;URI:.example,permitted;DNS:example" })
      issue({ name = "others' leaf", issuer = "constrains others", extensions = SERVER })
      accepted({ "others' leaf", "constrains others" })
    end)

    it("a subject in the directory that an authority is held to", function()
      issue({ name = "directory", issuer = "root", subject = "/O=Tide/CN=directory", extensions = CA
        .. "\nnameConstraints=critical,permitted;dirName:tide\n[tide]\nO=Tide" })
      issue({ name = "of the directory", subject = "/O=Tide/CN=leaf", issuer = "directory", extensions = SERVER })
      issue({ name = "elsewhere", subject = "/O=Ebb/CN=leaf", issuer = "directory", extensions = SERVER })
      issue({ name = "without a subject", subject = "/", issuer = "directory", extensions = SERVER })
      accepted({ "of the directory", "directory" })
      accepted({ "without a subject", "directory" })
      refused("bad_certificate", "may not vouch", { "elsewhere", "directory" })
    end)

    it("any name when none is asked for", function() accepted({ "direct" }, { name = false }) end)

    it("RSA chains, signed with PKCS#1 v1.5 and with PSS", function()
      issue({ name = "rsa root", key = "rsa2048", extensions = CA, digest = "sha384" })
      issue({ name = "rsa leaf", key = "rsa2048", issuer = "rsa root", extensions = SERVER, digest = "sha512" })
      issue({ name = "pss leaf", issuer = "rsa root", extensions = SERVER,
        options = "-sigopt rsa_padding_mode:pss -sigopt rsa_pss_saltlen:32" })
      accepted({ "rsa leaf" }, { roots = { "rsa root" } })
      accepted({ "pss leaf" }, { roots = { "rsa root" } })
    end)

    it("RSA keys with any odd exponent of 32 bits, up to 4096 bits", function()
      issue({ name = "e3 root", key = "rsa_e3", extensions = CA })
      issue({ name = "e32 middle", key = "rsa_e32", issuer = "e3 root", extensions = CA })
      issue({ name = "e32's leaf", issuer = "e32 middle", extensions = SERVER })
      accepted({ "e32's leaf", "e32 middle" }, { roots = { "e3 root" } })
    end)

    it("P-521 authorities", function()
      issue({ name = "p521 root", key = "p521", extensions = CA, digest = "sha512" })
      issue({ name = "p521's leaf", issuer = "p521 root", extensions = SERVER, digest = "sha512" })
      accepted({ "p521's leaf" }, { roots = { "p521 root" } })
    end)

    it("Ed25519 leaves and authorities where the build has it", function()
      issue({ name = "ed leaf", key = "ed25519", issuer = "middle", extensions = SERVER })
      issue({ name = "ed root", key = "ed25519", extensions = CA })
      issue({ name = "ed's leaf", issuer = "ed root", extensions = SERVER })
      issue({ name = "ed alone", key = "ed25519", extensions = SERVER })
      if crypto.has_ed25519() then
        accepted({ "ed leaf", "middle" })
        accepted({ "ed's leaf" }, { roots = { "ed root" } })
        accepted({ "ed alone" }, { roots = { "ed alone" } })
      else
        refused("unsupported_certificate", "unsupported kind", { "ed leaf", "middle" })
        refused("unsupported_certificate", "unsupported kind", { "ed's leaf" }, { roots = { "ed root" } })
      end
    end)

    it("a root of version 1, which cannot say that it is an authority", function()
      issue({ name = "old root", is_version_1 = true })
      assert.equal(1, certificates.parse(c["old root"].der).version)
      issue({ name = "old leaf", issuer = "old root", extensions = SERVER })
      accepted({ "old leaf" }, { roots = { "old root" } })
      refused("unknown_ca", "not a certificate authority", { "old leaf", "old root" })
    end)

    it("one of two authorities with one name, whichever comes first", function()
      issue({ name = "twin a", subject = "/CN=twin", extensions = CA })
      issue({ name = "twin b", subject = "/CN=twin", extensions = CA })
      issue({ name = "leaf a", issuer = "twin a", extensions = SERVER })
      issue({ name = "leaf b", issuer = "twin b", extensions = SERVER })
      for _, leaf in ipairs({ "leaf a", "leaf b" }) do
        accepted({ leaf }, { roots = { "twin a", "twin b" } })
      end
      refused("unknown_ca", "not issued by", { "leaf a" }, { roots = { "twin b" } })
    end)

    it("authorities of one name, however many: the key identifier says whose signature to try first", function()
      local ID = "\nsubjectKeyIdentifier=hash\nauthorityKeyIdentifier=keyid"
      local OTHER = "\nauthorityKeyIdentifier=DER:30:04:80:02:01:02"
      local roots, chain = {}, { "subordinate's" }
      for i = 1, 8 do
        roots[i], chain[1 + i] = "renewed " .. i, "cross " .. i
        issue({ name = roots[i], subject = "/CN=renewed", key = "p384", extensions = CA .. ID })
      end
      issue({ name = "subordinate", issuer = "renewed 8", key = "p384", extensions = CA .. ID })
      for i = 1, 8 do
        issue({ name = chain[1 + i], subject = "/CN=subordinate", issuer = "renewed 8", key = "p384",
          extensions = CA .. (i % 2 == 0 and "\nsubjectKeyIdentifier=none" or ID) })
      end
      issue({ name = "subordinate's", issuer = "subordinate", extensions = SERVER .. ID })
      accepted({ "subordinate's", "subordinate" }, { roots = roots })
      chain[10] = "subordinate"
      accepted(chain, { roots = roots })
      assert.equal(2, (cost(chain, roots)))
      -- An identifier that is not there fits better than one of another key; and none of them forbids anything.
      issue({ name = "bare", subject = "/CN=renewed", key = "p384",
        extensions = CA .. "\nsubjectKeyIdentifier=none" })
      issue({ name = "bare's", issuer = "bare", extensions = SERVER .. OTHER })
      roots[9] = "bare"
      accepted({ "bare's" }, { roots = roots })
      assert.equal(1, (cost({ "bare's" }, roots)))
      issue({ name = "misled", issuer = "root", extensions = SERVER .. OTHER })
      accepted({ "misled" })
    end)

    it("a pinned key, alone without any root or beside the roots", function()
      local pin = crypto.hash(256, c.alone.spki)
      accepted({ "alone" }, { roots = {}, pins = { pin }, name = "anything.example", now = now + 5000 * DAY })
      local direct = crypto.hash(256, c.direct.spki)
      accepted({ "direct" }, { pins = { pin, direct } })
    end)

    it("an intermediate in the place of a root, which says what a pin of it would", function()
      accepted({ "leaf" }, { roots = { "middle" } })
      accepted({ "leaf", "middle" }, { roots = { "middle" } })
    end)

    it("a client's certificate", function()
      issue({ name = "client", issuer = "root",
        extensions = "basicConstraints=CA:FALSE\nkeyUsage=digitalSignature\nextendedKeyUsage=clientAuth" })
      accepted({ "client" }, { is_client = true, name = false })
    end)

    it("a certificate without usage extensions", function()
      issue({ name = "plain", issuer = "root", extensions = "subjectAltName=DNS:tide.example" })
      accepted({ "plain" })
      accepted({ "plain" }, { is_client = true, name = false })
    end)
  end)

  describe("refuses", function()
    local function other(name, extensions, more)
      local spec = { name = name, issuer = "root", extensions = extensions }
      for key, value in pairs(more or {}) do spec[key] = value end
      issue(spec)
    end

    it("another name", function()
      refused("bad_certificate", "another name", { "direct" }, { name = "ebb.example" })
      refused("bad_certificate", "another name", { "direct" }, { name = "tide.example.org" })
      refused("bad_certificate", "another name", { "direct" }, { name = "x.tide.example" })
      refused("bad_certificate", "another name", { "direct" }, { name = "" })
    end)

    it("a wildcard's parent, two labels under it, and an empty label", function()
      for _, name in ipairs({ "wild.example", "a.b.wild.example", ".wild.example" }) do
        refused("bad_certificate", "another name", { "direct" }, { name = name })
      end
    end)

    it("wildcards that are not one whole left-most label above two others", function()
      other("odd wildcards", "subjectAltName=DNS:t*.example,DNS:*.example,DNS:a.*.example,DNS:*")
      for _, name in ipairs({ "tide.example", "a.tide.example", "localhost" }) do
        refused("bad_certificate", "another name", { "odd wildcards" }, { name = name })
      end
    end)

    it("an address that is not in the certificate", function()
      refused("bad_certificate", "another name", { "direct" }, { name = "192.0.2.8" })
      refused("bad_certificate", "another name", { "direct" }, { name = "2001:db8::8" })
      refused("bad_certificate", "another name", { "direct" }, { name = "::ffff:192.0.2.7" })
    end)

    it("an address written as a DNS name, or covered by a wildcard", function()
      other("address as name", "subjectAltName=DNS:192.0.2.7,DNS:*.0.2.7")
      refused("bad_certificate", "another name", { "address as name" }, { name = "192.0.2.7" })
    end)

    it("a common name in place of a subject alternative name", function()
      other("common name", "keyUsage=digitalSignature", { subject = "/CN=tide.example" })
      refused("bad_certificate", "another name", { "common name" })
      other("common name too", "subjectAltName=DNS:ebb.example", { subject = "/CN=tide.example" })
      refused("bad_certificate", "another name", { "common name too" })
    end)

    it("a name that only begins like the one in the certificate before a NUL", function()
      local der = c.direct.der:gsub("tide%.example", "tide\0example")
      assert.are_not.equal(c.direct.der, der)
      assert.is_false(certificates.has_host(der, "tide"))
      assert.is_true(certificates.has_host(c.direct.der, "tide.example"))
    end)

    it("what has expired, or is not valid yet", function()
      refused("certificate_expired", "has expired", { "leaf" }, { roots = { "middle" }, now = now + 99 * DAY * 11 })
      refused("certificate_expired", "not valid yet", { "alone" }, { roots = { "alone" }, now = now - DAY })
    end)

    it("an intermediate or a root that has expired", function()
      refused("certificate_expired", "issuer", { "leaf", "middle" }, { now = now + 200 * DAY })
      refused("certificate_expired", "issuer", { "direct" }, { now = now + 4000 * DAY })
    end)

    it("nothing for its dates where the time is unknown, but says when all of the path is valid", function()
      issue({ name = "early", issuer = "root", extensions = CA, days = 3 })
      issue({ name = "later leaf", issuer = "early", extensions = SERVER, days = 9 })
      local function dates(names, options)
        options = options or {}
        options.now = -1
        local ok, since, till = verify(names, options)
        assert.is_true(ok, till)
        return since, till
      end
      local function parsed(name) return certificates.parse(c[name].der) end
      local since, till = dates({ "later leaf", "early", "middle" })
      assert.same({ parsed("later leaf").not_before, parsed("early").not_after }, { since, till })
      since, till = dates({ "leaf", "middle" })
      assert.same({ parsed("leaf").not_before, parsed("middle").not_after }, { since, till })
      since, till = dates({ "alone" }, { roots = { "alone" } })
      assert.same({ parsed("alone").not_before, parsed("alone").not_after }, { since, till })
      assert.same({ true }, { verify({ "leaf", "middle" }) }) -- with a clock there is nothing left to check
      refused("unknown_ca", "not issued by", { "leaf", "middle" }, { roots = { "other root" }, now = -1 })
      refused("bad_certificate", "another name", { "direct" }, { name = "ebb.example", now = -1 })
    end)

    it("an authority that nobody trusts", function()
      refused("unknown_ca", "not issued by", { "leaf", "middle", "root" }, { roots = { "other root" } })
    end)

    it("a self-signed certificate", function() refused("unknown_ca", "not issued by", { "alone" }) end)
    it("a chain with a gap", function() refused("unknown_ca", "not issued by", { "leaf" }) end)

    it("everything when nothing is trusted", function()
      refused("unknown_ca", "nothing is trusted", { "direct" }, { roots = {} })
    end)

    it("an authority that only has the name of a trusted one", function()
      issue({ name = "impostor", subject = "/CN=root", extensions = CA })
      issue({ name = "impostor's", issuer = "impostor", extensions = SERVER })
      refused("unknown_ca", "not issued by", { "impostor's", "impostor" })
    end)

    it("certificates for another purpose", function()
      other("for clients", "extendedKeyUsage=clientAuth\nsubjectAltName=DNS:tide.example")
      refused("unsupported_certificate", "not for this side", { "for clients" })
      refused("unsupported_certificate", "not for this side", { "direct" }, { is_client = true })
      other("for encryption", "keyUsage=keyEncipherment\nsubjectAltName=DNS:tide.example")
      refused("unsupported_certificate", "not for signatures", { "for encryption" })
    end)

    it("an intermediate that is not for this purpose", function()
      other("middle for clients", CA .. "\nextendedKeyUsage=clientAuth")
      issue({ name = "leaf below", issuer = "middle for clients", extensions = SERVER })
      refused("unsupported_certificate", "not for this use", { "leaf below", "middle for clients" })
    end)

    it("a leaf that issues certificates", function()
      issue({ name = "leaf's leaf", issuer = "direct", extensions = SERVER })
      refused("unknown_ca", "not a certificate authority", { "leaf's leaf", "direct" })
    end)

    it("an authority that may not sign certificates", function()
      other("mute", "basicConstraints=critical,CA:TRUE\nkeyUsage=digitalSignature")
      issue({ name = "mute's leaf", issuer = "mute", extensions = SERVER })
      refused("unknown_ca", "not a certificate authority", { "mute's leaf", "mute" })
    end)

    it("more intermediates than an authority allows", function()
      issue({ name = "short root",
        extensions = "basicConstraints=critical,CA:TRUE,pathlen:0\nkeyUsage=keyCertSign" })
      issue({ name = "too deep", issuer = "short root", extensions = CA })
      issue({ name = "deep leaf", issuer = "too deep", extensions = SERVER })
      issue({ name = "shallow leaf", issuer = "short root", extensions = SERVER })
      refused("unknown_ca", "more intermediates", { "deep leaf", "too deep" }, { roots = { "short root" } })
      accepted({ "shallow leaf" }, { roots = { "short root" } })
    end)

    it("a certificate with any byte of its content or signature changed", function()
      local der = c.direct.der
      for i = 1, #der, 7 do
        local changed = der:sub(1, i - 1) .. string.char((der:byte(i) + 1) % 256) .. der:sub(i + 1)
        assert.is_nil((verify({ changed })), "byte " .. i)
      end
    end)

    it("a certificate that is cut off or longer than it says", function()
      for _, der in ipairs({ "", "\48", c.direct.der:sub(1, -2), c.direct.der .. "\0", ("\0"):rep(500) }) do
        refused("bad_certificate", "cannot be parsed", { der })
        refused("bad_certificate", "cannot be parsed", { der, "middle" })
        refused("bad_certificate", "cannot be parsed", { "leaf", der })
      end
    end)

    it("signatures over SHA-1", function()
      other("sha1", SERVER, { digest = "sha1" })
      refused("bad_certificate", "algorithm that is not accepted", { "sha1" })
    end)

    it("RSA keys of 1024 bits, in leaves and in authorities", function()
      other("weak leaf", SERVER, { key = "rsa1024" })
      refused("bad_certificate", "RSA key", { "weak leaf" })
      other("weak middle", CA, { key = "rsa1024" })
      issue({ name = "weak middle's", issuer = "weak middle", extensions = SERVER })
      refused("bad_certificate", "RSA key", { "weak middle's", "weak middle" })
    end)

    it("RSA keys of more than 4096 bits", function()
      other("huge middle", CA, { key = "rsa4104" })
      issue({ name = "huge middle's", issuer = "huge middle", extensions = SERVER })
      refused("bad_certificate", "more than 4096 bits", { "huge middle's", "huge middle" })
      refused("bad_certificate", "more than 4096 bits", { "huge middle" })
    end)

    it("RSA exponents that are even, 1, negative or above 32 bits", function()
      other("large exponent", CA, { key = "rsa_e33" })
      issue({ name = "large exponent's", issuer = "large exponent", extensions = SERVER })
      refused("bad_certificate", "exponent", { "large exponent's", "large exponent" })
      refused("bad_certificate", "exponent", { "large exponent" })
      other("rsa", SERVER, { key = "rsa2048" })
      local function with(exponent)
        local der, count = c.rsa.der:gsub("\2\3\1%z\1", "\2\3" .. exponent)
        assert.equal(1, count)
        return der
      end
      refused("unknown_ca", "not issued by", { with("\1\0\3") }) -- the signature is broken, the key is not
      refused("bad_certificate", "exponent", { with("\1\0\2") })
      refused("bad_certificate", "key cannot be parsed", { with("\0\0\1") }) -- not the shortest form
      refused("bad_certificate", "key cannot be parsed", { with("\128\0\1") })
      -- An exponent of 1 is two bytes shorter: the modulus takes them.
      local from = assert(c.rsa.der:find("\2\130\1\1\0", 1, true))
      assert.equal("\2\3\1\0\1", c.rsa.der:sub(from + 261, from + 265))
      refused("bad_certificate", "exponent", { c.rsa.der:sub(1, from - 1) .. "\2\130\1\3\1\1\1"
        .. c.rsa.der:sub(from + 5, from + 260) .. "\2\1\1" .. c.rsa.der:sub(from + 266) })
    end)

    it("a serial number of more than 20 bytes", function()
      -- The serial number stands behind the version; the lengths around it grow with it.
      local der = c.direct.der
      local at = assert(der:find("\160\3\2\1\2\2", 1, true)) + 5
      local size = der:byte(at + 1)
      local function serial(bytes)
        local function u16(i) return der:byte(i) * 256 + der:byte(i + 1) end
        local function put(value) return string.char(math.floor(value / 256), value % 256) end
        local more = #bytes - size
        assert.equal("\48\130", der:sub(1, 2))
        assert.equal("\48\130", der:sub(5, 6))
        return "\48\130" .. put(u16(3) + more) .. "\48\130" .. put(u16(7) + more) .. der:sub(9, at)
          .. string.char(#bytes) .. bytes .. der:sub(at + 2 + size)
      end
      refused("unknown_ca", "not issued by", { serial(("\127"):rep(20)) })
      refused("unknown_ca", "not issued by", { serial("\0" .. ("\255"):rep(20)) })
      refused("bad_certificate", "cannot be parsed", { serial(("\127"):rep(21)) })
      refused("bad_certificate", "cannot be parsed", { serial("\0" .. ("\255"):rep(21)) })
      refused("bad_certificate", "cannot be parsed", { serial("") })
      -- Numbers have their shortest form only (X.690 §8.3.2).
      refused("unknown_ca", "not issued by", { serial("\0\128") })
      refused("bad_certificate", "cannot be parsed", { serial("\0\127") })
      refused("bad_certificate", "cannot be parsed", { serial("\255\128") })
    end)

    it("a path length that is not a number in its shortest form", function()
      local function bounded(name, length)
        other(name, ("basicConstraints=critical,DER:30:%02x:01:01:ff:%s\nkeyUsage=keyCertSign"):format(
          3 + (#length + 1) / 3, length), { is_unreadable = true })
        issue({ name = name .. "'s middle", issuer = name, extensions = CA })
        issue({ name = name .. "'s leaf", issuer = name .. "'s middle", extensions = SERVER })
        return { name .. "'s leaf", name .. "'s middle", name }
      end
      accepted(bounded("one", "02:01:01"))
      accepted(bounded("many more", "02:02:00:80"))
      refused("unknown_ca", "more intermediates", bounded("zero", "02:01:00"))
      for i, length in ipairs({ "02:02:00:00", "02:02:00:01", "02:00", "02:01:ff" }) do
        refused("bad_certificate", "cannot be parsed", bounded("odd length " .. i, length))
      end
    end)

    it("key identifiers that cannot be parsed", function()
      for i, line in ipairs({ "subjectKeyIdentifier=DER:04:02:01", "subjectKeyIdentifier=DER:05:01:00",
        "authorityKeyIdentifier=DER:30:03:80:04:01", "authorityKeyIdentifier=DER:04:01:07" }) do
        other("odd identifier " .. i, SERVER .. "\n" .. line, { is_unreadable = true })
        refused("bad_certificate", "cannot be parsed", { "odd identifier " .. i })
      end
      other("issuer and serial", SERVER .. "\nauthorityKeyIdentifier=DER:30:03:82:01:07")
      accepted({ "issuer and serial" })
    end)

    it("keys that no signature scheme of ours fits", function()
      other("p521 leaf", SERVER, { key = "p521" })
      refused("unsupported_certificate", "curve", { "p521 leaf" })
      other("ed448 leaf", SERVER, { key = "ed448" })
      refused("unsupported_certificate", "unsupported kind", { "ed448 leaf" })
    end)

    -- covers: rfc8446#4.2.3.8
    it("RSA keys that say that they are for PSS alone: schemes for those are not offered", function()
      other("pss key", SERVER, { key = "rsa_pss" })
      refused("unsupported_certificate", "unsupported kind", { "pss key" })
    end)

    -- covers: rfc8446#4.2.3.7
    it("PSS signatures with a salt of another size than the digest's", function()
      issue({ name = "pss issuer", key = "rsa2048", extensions = CA })
      local WRONG = { [20] = "sha256", [31] = "sha256", [0] = "sha256", [32] = "sha384", [64] = "sha256" }
      for salt, digest in pairs(WRONG) do
        issue({ name = "salted", issuer = "pss issuer", extensions = SERVER, digest = digest,
          options = "-sigopt rsa_padding_mode:pss -sigopt rsa_pss_saltlen:" .. salt })
        refused("bad_certificate", "algorithm that is not accepted", { "salted" }, { roots = { "pss issuer" } })
      end
      issue({ name = "salted", issuer = "pss issuer", extensions = SERVER, digest = "sha384",
        options = "-sigopt rsa_padding_mode:pss -sigopt rsa_pss_saltlen:48" })
      accepted({ "salted" }, { roots = { "pss issuer" } })
    end)

    it("a critical extension that is not understood", function()
      other("critical", SERVER .. "\n1.2.3.4=critical,ASN1:NULL")
      refused("unsupported_certificate", "not understood", { "critical" })
      other("constrained", CA .. "\nnameConstraints=critical,permitted;otherName:1.2.3.4;UTF8:a")
      issue({ name = "constrained's", issuer = "constrained", extensions = SERVER .. ",otherName:1.2.3.4;UTF8:a" })
      refused("unsupported_certificate", "not understood", { "constrained's", "constrained" })
      other("not critical", SERVER .. "\n1.2.3.4=ASN1:NULL")
      accepted({ "not critical" })
    end)

    it("names outside of an authority's constraints", function()
      local count = 0
      local function constrained(constraints, check)
        count = count + 1
        local middle, leaf = "constrained " .. count, "constrained leaf " .. count
        other(middle, CA .. "\nnameConstraints=critical," .. constraints)
        issue({ name = leaf, issuer = middle, extensions = SERVER }) -- tide.example, *.wild.example, two addresses
        check({ leaf, middle })
      end
      local function forbidden(names) refused("bad_certificate", "may not vouch", names) end

      constrained("permitted;DNS:example", accepted)
      constrained("permitted;DNS:tide.example,permitted;DNS:.wild.example", accepted)
      constrained("permitted;DNS:EXAMPLE,permitted;IP:192.0.2.0/255.255.255.0,permitted;IP:2001:db8::/ffff:ffff::",
        accepted)
      constrained("excluded;DNS:ebb.example,excluded;IP:198.51.100.0/255.255.255.0", accepted)
      constrained("permitted;DNS:tide.example", forbidden) -- the wildcard
      constrained("permitted;DNS:ple", forbidden) -- no label's border
      constrained("permitted;DNS:.tide.example,permitted;DNS:wild.example", forbidden)
      constrained("excluded;DNS:wild.example", forbidden)
      constrained("permitted;IP:192.0.2.0/255.255.255.252,permitted;IP:2001:db8::/ffff:ffff::", forbidden)
      constrained("permitted;IP:192.0.2.0/255.255.255.0", forbidden) -- the IPv6 address
      constrained("excluded;IP:192.0.2.7/255.255.255.255", forbidden)
      -- What the wildcard stands for.
      constrained("excluded;DNS:a.wild.example", forbidden)
      constrained("excluded;DNS:A.Wild.Example", forbidden)
      constrained("excluded;DNS:a.b.wild.example", accepted)
      constrained("excluded;DNS:.a.wild.example", accepted)
      constrained("excluded;DNS:a.mild.example", accepted)
      constrained("excluded;DNS:a_b.example,excluded;DNS:" .. ("x"):rep(63) .. ".example", accepted)
    end)

    it("DNS names under a constraint that is no host name, critical or not", function()
      local count = 0
      local function odd(base, list, critical)
        count = count + 1
        local middle, leaf = "odd base " .. count, "odd base leaf " .. count
        other(middle, CA .. ("\nnameConstraints=%s@constraints\n[constraints]\n%s;DNS=%s"):format(
          critical and "critical," or "", list, base))
        issue({ name = leaf, issuer = middle, extensions = "subjectAltName=DNS:tide.example,DNS:www.tide.example" })
        refused("unsupported_certificate", "not understood", { leaf, middle })
        issue({ name = leaf .. " address", issuer = middle, extensions = "subjectAltName=IP:192.0.2.7" })
        accepted({ leaf .. " address", middle }, { name = "192.0.2.7" })
      end
      for _, base in ipairs({ "www.tide.example.", "*.tide.example", "www*.tide.example", "..tide.example", ".",
        "www..tide.example", "tide.example:443", "https://tide.example", "ebb@tide.example", "tide example",
        ("x"):rep(64) .. ".example", ("x."):rep(127) .. "example" }) do
        odd(base, "excluded", true)
      end
      odd("*.tide.example", "excluded", false)
      odd("www.tide.example.", "permitted", true)
      odd("*.tide.example", "permitted", false)
    end)

    it("IPv4 addresses written as IPv6 ones, where they are outside of the constraints", function()
      local count = 0
      local function address(constraints, name, check)
        count = count + 1
        local middle, leaf = "mapped " .. count, "mapped leaf " .. count
        other(middle, CA .. "\nnameConstraints=critical," .. constraints)
        issue({ name = leaf, issuer = middle, extensions = "subjectAltName=IP:" .. name })
        check({ leaf, middle }, { name = name })
      end
      local function forbidden(names, options) refused("bad_certificate", "may not vouch", names, options) end

      local FOUR = "IP:192.0.2.0/255.255.255.0"
      local MAPPED = "IP:::ffff:192.0.2.0/ffff:ffff:ffff:ffff:ffff:ffff:ffff:ff00"
      address("excluded;" .. FOUR, "::ffff:192.0.2.7", forbidden)
      address("excluded;" .. FOUR, "::ffff:192.0.3.7", accepted)
      address("excluded;" .. FOUR, "::fffe:192.0.2.7", accepted)
      address("permitted;" .. FOUR, "::ffff:192.0.2.7", accepted)
      address("permitted;" .. FOUR, "::ffff:192.0.3.7", forbidden)
      address("excluded;" .. MAPPED, "192.0.2.7", forbidden)
      address("excluded;" .. MAPPED, "::ffff:192.0.2.7", forbidden)
      address("excluded;" .. MAPPED, "192.0.3.7", accepted)
      -- A subtree that is wider than those addresses is of IPv6 alone.
      address("excluded;IP:::/::", "::ffff:192.0.2.7", forbidden)
      address("excluded;IP:::/::,permitted;" .. FOUR, "192.0.2.7", accepted)
    end)

    it("names of intermediates outside of the constraints above, but for what an authority gave itself", function()
      other("above", CA .. "\nnameConstraints=critical,permitted;DNS:example", { subject = "/CN=above" })
      issue({ name = "between", issuer = "above", extensions = CA .. "\nsubjectAltName=DNS:ebb.org" })
      issue({ name = "below", issuer = "between", extensions = SERVER })
      refused("bad_certificate", "may not vouch", { "below", "between", "above" })
      issue({ name = "itself", issuer = "above", subject = "/CN=above",
        extensions = CA .. "\nsubjectAltName=DNS:ebb.org" })
      issue({ name = "below itself", issuer = "itself", extensions = SERVER })
      accepted({ "below itself", "itself", "above" })
    end)

    it("an authority without a name", function()
      issue({ name = "nameless", subject = "/", extensions = CA })
      issue({ name = "nameless's", issuer = "nameless", extensions = SERVER })
      refused("unknown_ca", "has no name", { "nameless's" }, { roots = { "nameless" } })
    end)

    it("more certificates than the bound, and none at all", function()
      local names = {}
      for i = 1, 10 do names[i] = "direct" end
      accepted(names)
      names[11] = "direct"
      refused("bad_certificate", "too long", names)
      refused("bad_certificate", "no certificate", {})
    end)

    it("a chain that does not begin with the leaf", function()
      refused("unsupported_certificate", "not for signatures", { "middle", "leaf" })
    end)

    it("a key that is not the pinned one, though the chain is good", function()
      local pin = crypto.hash(256, c.alone.spki)
      refused("certificate_unknown", "pinned", { "direct" }, { pins = { pin } })
      refused("certificate_unknown", "pinned", { "direct" }, { roots = {}, pins = { pin } })
    end)

    it("to verify signatures without end", function()
      -- Ten authorities with one name and one key identifier, each of which seems to have issued the others.
      local MAZE, LEAF = CA .. "\nsubjectKeyIdentifier=01020304", SERVER .. "\nauthorityKeyIdentifier=keyid"
      local names = { "twin leaf" }
      for i = 1, 9 do
        issue({ name = "loop " .. i, subject = "/CN=loop", extensions = MAZE })
        names[#names + 1] = "loop " .. i
      end
      issue({ name = "twin leaf", issuer = "loop 9", extensions = LEAF })
      refused("bad_certificate", "too many signatures", names)
      assert.equal(10, (cost(names, { "root" })))
      -- Signatures that cost more are fewer: 2 for P-384, 3 for P-521.
      for key, most in pairs({ p384 = 5, p521 = 3 }) do
        names = { key .. " leaf" }
        for i = 1, 9 do
          names[#names + 1] = key .. " " .. i
          issue({ name = names[#names], subject = "/CN=" .. key, key = key, extensions = MAZE })
        end
        issue({ name = names[1], issuer = names[10], extensions = LEAF })
        refused("bad_certificate", "too many signatures", names)
        assert.equal(most, (cost(names, { "root" })))
      end
    end)

    it("to verify twenty signatures of RSA keys with large exponents, which cost half of one of P-256", function()
      -- Each has issued the one before, and looks as if it were any of the others.
      local MAZE = CA .. "\nsubjectKeyIdentifier=01020304\nauthorityKeyIdentifier=keyid"
      local names = {}
      for i = 10, 1, -1 do
        issue({ name = "stairs " .. i, subject = "/CN=stairs", key = "rsa_e32",
          issuer = i < 10 and "stairs " .. i + 1 or nil,
          extensions = i > 1 and MAZE or SERVER .. "\nauthorityKeyIdentifier=keyid" })
        names[i > 1 and 12 - i or 1] = "stairs " .. i
      end
      refused("bad_certificate", "too many signatures", names)
      assert.equal(20, (cost(names, { "root" })))
    end)

    it("nothing for the number of cheap signatures: the budget is one of work", function()
      local MAZE, LEAF = CA .. "\nsubjectKeyIdentifier=01020304", SERVER .. "\nauthorityKeyIdentifier=keyid"
      local names = { "rsa maze leaf" }
      for i = 1, 9 do
        names[#names + 1] = "rsa maze " .. i
        issue({ name = names[#names], subject = "/CN=rsa maze", key = "rsa2048",
          issuer = i == 9 and "root" or nil, extensions = MAZE })
      end
      issue({ name = names[1], issuer = names[10], extensions = LEAF })
      accepted(names)
      -- Nine for the leaf, and one of the root's, which is P-384 and weighs as much as eight of them.
      assert.equal(10, (cost(names, { "root" })))
    end)

    it("the longest chain when it has dearer keys at its end, and not when its root is one of them", function()
      local names = {}
      issue({ name = "link 10", issuer = "root", extensions = CA, key = "p384" })
      for i = 9, 2, -1 do issue({ name = "link " .. i, issuer = "link " .. i + 1, extensions = CA }) end
      issue({ name = "link 1", issuer = "link 2", extensions = SERVER })
      for i = 1, 10 do names[i] = "link " .. i end
      refused("bad_certificate", "too many signatures", names) -- two are of P-384 keys, which count twice
      accepted(names, { roots = { "link 10" } })
      assert.equal(9, (cost(names, { "link 10" })))
    end)

    it("to hold names against constraints without end, or before a signature is verified", function()
      local function list(count, line)
        local lines = {}
        for i = 1, count do lines[i] = (line:gsub("#", i)) end
        return table.concat(lines, "\n")
      end
      local function many(name, constraints, names)
        other(name, CA .. "\nnameConstraints=critical,@constraints\n[constraints]\n"
          .. list(constraints, "excluded;DNS.#=x#.org"))
        issue({ name = name .. "'s", issuer = name, extensions = "subjectAltName=@names\n[names]\nDNS.0=tide.example\n"
          .. list(names, "DNS.#=y#.org") })
      end
      many("some", 100, 200)
      local signatures, names, reason = cost({ "some's", "some" }, { "root" })
      assert.same({ 2, "" }, { signatures, reason })
      assert.is_true(names > 20000 and names <= 65536, names)
      many("many", 1000, 1000)
      refused("bad_certificate", "too many names", { "many's", "many" })
      signatures, names = cost({ "many's", "many" }, { "root" })
      assert.same({ 2, 65536 }, { signatures, names })
      -- Where the path ends nowhere, or its signatures are another's, no name is looked at.
      local untrusted = "the certificate was not issued by an authority that is trusted: "
      assert.same({ 1, 0, untrusted .. 'its issuer "root" is not among them' },
        { cost({ "many's", "many" }, { "other root" }) })
      issue({ name = "false many", subject = "/CN=many", extensions = CA })
      assert.same({ 1, 0, untrusted .. 'under "many\'s" is not the signature of the "many" that is known' },
        { cost({ "many's", "false many" }, { "root" }) })
    end)
  end)

  it("leaks nothing, wherever memory ends", function()
    verify({ "leaf", "middle" }) -- what is remembered of it stays
    local used = crypto.used(context)
    local count, ok = 0
    repeat
      crypto.fail_after(context, count)
      ok = verify({ "leaf", "middle" })
      crypto.fail_after(context, -1)
      assert.equal(used, crypto.used(context))
      count = count + 1
    until ok
    assert.is_true(count > 5)
  end)
end)

describe("trust", function()
  local context = crypto.new(("t"):rep(32))

  it("loads the system's roots", function()
    local bundle = helper.read_file("/etc/ssl/certs/ca-certificates.crt")
    if not bundle then return pending("needs /etc/ssl/certs/ca-certificates.crt: install ca-certificates") end
    local _, blocks = bundle:gsub("%-%-%-%-%-BEGIN CERTIFICATE", "")
    assert.equal(blocks, certificates.trust_count(context, bundle))
  end)

  it("skips what cannot be parsed among what can, and counts a root once", function()
    local pem = certificates.make(context, { "a.example" }, 0, 100)
    local junk = "-----BEGIN CERTIFICATE-----\nMAMCAQE=\n-----END CERTIFICATE-----\n"
    local broken = "-----BEGIN CERTIFICATE-----\n!!!\n-----END CERTIFICATE-----\n"
    assert.equal(1, certificates.trust_count(context, junk .. pem .. broken .. "text\n" .. pem))
    for _, text in ipairs({ junk, broken, "", "text", "-----BEGIN CERTIFICATE-----\nMAMC" }) do
      local count, code = certificates.trust_count(context, text)
      assert.same({ nil, -13 }, { count, code })
    end
  end)
end)
