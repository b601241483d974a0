-- What core.certificate reads, beside what openssl says.
local core = require "neap.core"
local helper = require "helper"
local Authority = require "crypto.authority"
local certificate = require "neap.certificate"

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
    c = issue("/CN=a\194\1552J\194\133b\226\128\168c\226\128\174d\226\129\166/O=\194\160\226\128\167\226\128\175")
    assert.equal("O=\194\160\226\128\167\226\128\175,CN=a\\c2\\9b2J\\c2\\85b\\e2\\80\\a8c\\e2\\80\\aed\\e2\\81\\a6",
      c.subject)
    assert.equal("a\194\1552J\194\133b\226\128\168c\226\128\174d\226\129\166", c.subject_parts[1].value)
  end)

  local function subject_of(count, last)
    local parts = {}
    for i = 1, count do parts[i] = "/OU=u" .. i end
    return table.concat(parts) .. "/CN=" .. last
  end

  it("has all parts of a name, up to 64 of them, and nothing of one with more: its end says who it is", function()
    local c = issue(subject_of(63, "alice"))
    assert.matches("^CN=alice,OU=u63,", c.subject)
    assert.equal(64, #c.subject_parts)
    c = issue(subject_of(64, "mallory"))
    assert.is_nil(c.subject)
    assert.is_nil(c.subject_parts)
    assert.equal(64, #c.sha256)
    c = issue((subject_of(64, "x"):gsub("/OU", "+OU"):gsub("^%+", "/"))) -- in one relative name
    assert.is_nil(c.subject)
    assert.is_nil(c.subject_parts)
  end)

  -- A certificate whose subject has these bytes in the place of a common name of as many.
  local function with_part(bytes, before)
    local _, _, made = issue((before or "") .. "/CN=" .. ("x"):rep(#bytes - 9 - 2))
    local der = made.der:gsub("\49.\48.\6\3\85\4\3\12." .. ("x"):rep(#bytes - 11), function() return bytes end)
    assert.equal(#made.der, #der)
    return der
  end

  local function part(oid, tag, value)
    local pair = "\6" .. string.char(#oid) .. oid .. string.char(tag, #value) .. value
    pair = "\48" .. string.char(#pair) .. pair
    return "\49" .. string.char(#pair) .. pair
  end
  local COMMON_NAME, UTF8, OCTETS = "\85\4\3", 12, 4

  it("has no common name where that is no text, and no value of the part, whatever stands before it", function()
    for _, made in ipairs { part(COMMON_NAME, OCTETS, "admin"), part(COMMON_NAME, UTF8, "admi\255"),
      part(COMMON_NAME, 30, "admin"), part(COMMON_NAME, 22, "admi\200") } do
      local der = with_part(made, "/CN=root")
      local c = assert(core.certificate(der))
      assert.same({ { type = "CN", value = "root" }, { type = "CN" } }, c.subject_parts)
      assert.matches("^CN=#%x+,CN=root$", c.subject)
      assert.is_nil(certificate.of({ der }).common_name)
    end
    local der = with_part(part(COMMON_NAME, UTF8, "admin"), "/CN=root")
    assert.equal("admin", certificate.of({ der }).common_name)
  end)

  it("has nothing of a name with a part that cannot be read, neither what stands before it nor half a type", function()
    for _, oid in ipairs { "\85\4\3\255\255\255\255\255\255\255\255\255\127", "\85\4\131", "\85\4\128\3",
      "" } do
      local der = with_part(part(oid, UTF8, "admin"), "/CN=root")
      local c = assert(core.certificate(der))
      assert.is_nil(c.subject)
      assert.is_nil(c.subject_parts)
      local read = certificate.of({ der })
      assert.is_nil(read.common_name)
      assert.equal("certificate " .. c.sha256, tostring(read))
    end
    local broken = part(COMMON_NAME, UTF8, "admin")
    broken = broken:sub(1, 3) .. string.char(broken:byte(4) - 1) .. broken:sub(5)
    assert.is_nil(core.certificate(with_part(broken, "/CN=root")).subject_parts)
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
