-- What core.certificate reads, beside what openssl says.
local core = require "neap.core"
local helper = require "helper"
local Authority = require "crypto.authority"

describe("a certificate's text", function()
  local authority

  setup(function() authority = Authority.new() end)
  teardown(function() authority:remove() end)

  local function issue(subject, extensions)
    local made = authority:issue { name = "it" .. math.random(1, 2 ^ 30), subject = subject,
      extensions = extensions or "basicConstraints=CA:FALSE" }
    local path = authority.dir .. "/asked.pem"
    helper.write_file(path, made.pem)
    local function openssl(what)
      return (helper.run(("openssl x509 -in %s -noout -nameopt RFC2253,-esc_msb,utf8 %s"):format(
        helper.quote(path), what)):gsub("%s+$", ""))
    end
    return assert(core.certificate(made.der)), openssl, made
  end

  it("is what openssl says of names, serial, dates and digests", function()
    for _, subject in ipairs { "/CN=pump 7", "/C=NO/O=Works, Ltd/OU=a+b/CN=\"x\"<y>;\\\\", "/CN=Ærø 漢字/O= space ",
      "/CN=#hash", "/CN=one/CN=two", "/DC=test/DC=example/UID=joe" } do
      local c, openssl = issue(subject)
      assert.equal(openssl "-subject", "subject=" .. c.subject)
      assert.equal(openssl "-issuer", "issuer=" .. c.issuer)
      local serial = c.serial:upper():gsub("^00", "")
      assert.equal(openssl "-serial", "serial=" .. serial)
      assert.equal(openssl "-fingerprint -sha256":lower(),
        "sha256 fingerprint=" .. c.sha256:gsub("%x%x", "%0:"):sub(1, -2))
      assert.is_true(c.not_before <= os.time() and c.not_after > os.time())
      assert.is_false(c.is_authority)
    end
  end)

  it("has the parts of a name from its front, without escapes", function()
    local c = issue("/O=Works, Ltd/CN=pump 7")
    assert.same({ { type = "O", value = "Works, Ltd" }, { type = "CN", value = "pump 7" } }, c.subject_parts)
    assert.equal("CN=pump 7,O=Works\\, Ltd", c.subject)
  end)

  it("escapes controls, so that a name is one line of a log", function()
    local c = issue("/CN=a\\\nb")
    assert.is_nil(c.subject:find("%c"))
    assert.matches("\\0a", c.subject)
  end)

  it("has alternative names by their kind", function()
    local c = issue("/CN=x", "subjectAltName=DNS:a.test,DNS:*.b.test,IP:192.0.2.1,IP:2001:db8::1,URI:urn:dev:7,"
      .. "email:joe@a.test,otherName:1.2.3.4;UTF8:other")
    assert.same({ dns = { "a.test", "*.b.test" }, ip = { "192.0.2.1", "2001:db8::1" }, uri = { "urn:dev:7" },
      email = { "joe@a.test" } }, c.names)
    assert.same({ dns = {}, ip = {}, uri = {}, email = {} }, issue("/CN=x").names)
  end)

  it("has the digest of the key that pins are made of", function()
    local c, _, made = issue("/CN=x")
    local pin = assert(core.config {}):certificate_pin(made.pem)
    assert.equal(64, #c.public_key_sha256)
    assert(core.config { pins = c.public_key_sha256 })
    assert.matches("^sha256//", pin)
    local digest = helper.run(("printf %%s %s | base64 -d | od -An -tx1 -v"):format(pin:sub(9))):gsub("%s", "")
    assert.equal(digest, c.public_key_sha256)
    assert.equal(pin, c.pin)
  end)

  it("is nothing of what is no certificate, whatever is cut or changed", function()
    local _, _, made = issue("/CN=x/O=y", "subjectAltName=DNS:a.test,IP:192.0.2.1")
    for size = 0, #made.der - 1 do assert.is_nil((core.certificate(made.der:sub(1, size)))) end
    for at = 1, #made.der do
      local byte = made.der:byte(at)
      core.certificate(made.der:sub(1, at - 1) .. string.char((byte + 1) % 256) .. made.der:sub(at + 1))
    end
    assert.same({ nil, "this is no certificate in DER", "certificate" }, { core.certificate("junk") })
  end)
end)
