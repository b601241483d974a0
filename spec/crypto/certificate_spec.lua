local authority = require("spec.crypto.authority")
local certificates = require("neap.units").certificates
local crypto = require("neap.units").crypto
local helper = require("spec.helper")

describe("base64_decode", function()
  it("decodes what is padded, with white space anywhere", function()
    for text, bytes in pairs({
      [""] = "", ["bmVhcA=="] = "neap", ["bm Vh\r\ncA\t=="] = "neap", ["dGlkZXM="] = "tides",
      ["////++++"] = "\255\255\255\251\239\190",
    }) do
      assert.equal(bytes, certificates.base64_decode(text))
    end
  end)

  it("refuses what is not base64", function()
    for _, text in ipairs({ "a", "ab", "abc", "ab=c", "a===", "====", "ab==cd==", "ab!d", "ab-_", "abcd=" }) do
      assert.is_nil(certificates.base64_decode(text), text)
    end
  end)
end)

describe("dns name", function()
  it("is covered by itself and by a wildcard for one label", function()
    for _, row in ipairs({
      { "a.example", "a.example", true }, { "A.Example", "a.eXAMPLE", true }, { "a.example", "a.example.", true },
      { "*.b.example", "a.b.example", true }, { "*.b.example", "b.example", false },
      { "*.b.example", ".b.example", false },
      { "*.b.example", "x.a.b.example", false }, { "*.example", "a.example", false }, { "*", "a", false },
      { "*.", "a.", false }, { "a*.b.example", "aa.b.example", false }, { "", "", false }, { "", ".", false },
      { "a.example.", "a.example", false }, { "*.*.example", "a.b.example", false },
      { "**.b.example", "a.b.example", false },
    }) do
      assert.equal(row[3], certificates.name_covers(row[1], row[2]), row[1] .. " / " .. row[2])
    end
  end)
end)

describe("certificate", function()
  local ca, context

  setup(function()
    ca = authority.new()
    context = crypto.new(("x"):rep(32))
    ca:issue({ name = "root", extensions = authority.CA .. "\nsubjectKeyIdentifier=hash" })
    ca:issue({ name = "leaf", issuer = "root", extensions = authority.SERVER,
      subject = "/C=DE/O=neap/CN=first/CN=last" })
  end)

  teardown(function() ca:remove() end)

  it("is read as openssl reads it", function()
    local parsed = assert(certificates.parse(ca.made.leaf.der))
    local root = assert(certificates.parse(ca.made.root.der))
    assert.equal(root.subject, parsed.issuer)
    assert.equal("last", parsed.common_name)
    assert.same({ 3, 1, 1, -1 }, { parsed.version, parsed.usage, parsed.extended_usage, parsed.path_length })
    assert.is_false(parsed.is_authority)
    assert.is_true(root.is_authority)
    assert.is_false(root.has_names)
    assert.equal(96, root.usage)
    local file = helper.quote(ca.dir .. "/leaf.pem")
    local dates = helper.run("openssl x509 -noout -dates -dateopt iso_8601 -in " .. file)
    local function seconds(name)
      local text = dates:match(name .. "=(%S+ %S+)Z"):gsub(" ", "T")
      return tonumber((helper.run("date -u +%s -d " .. helper.quote(text .. "Z"))))
    end
    assert.same({ seconds("notBefore"), seconds("notAfter") }, { parsed.not_before, parsed.not_after })
    local der = helper.run(
      "openssl x509 -noout -pubkey -in " .. file .. " | openssl pkey -pubin -outform DER | od -An -v -tx1")
    assert.equal(der:gsub("%s", ""), helper.hex(parsed.spki))
  end)

  it("knows dates from 1950 to 9999", function()
    for text, seconds in pairs({
      ["19500101000000Z"] = -631152000, ["19700101000000Z"] = 0, ["20000229123456Z"] = 951827696,
      ["20491231235959Z"] = 2524607999, ["20500101000000Z"] = 2524608000, ["99991231235959Z"] = 253402300799,
    }) do
      local pem = certificates.make(context, { "a.example" }, math.max(seconds, 0), 253402300799)
      local der = certificates.ders(context, pem)[1]
      local start = seconds >= 0 and certificates.parse(der).not_before
      if start then assert.equal(seconds, start) end
      -- The same with the text put in by hand, as GeneralizedTime.
      local changed, count = der:gsub("\24\15%d+Z", "\24\15" .. text)
      assert.is_true(count >= 1)
      assert.equal(seconds, certificates.parse(changed).not_after)
    end
  end)

  it("is refused with dates that do not exist", function()
    local pem = certificates.make(context, { "a.example" }, 0, 253402300799)
    local der = certificates.ders(context, pem)[1]
    for _, text in ipairs({
      "20010229000000Z", "20001301000000Z", "20000001000000Z", "20000132000000Z", "20000100000000Z",
      "20000101240000Z", "20000101006000Z", "20000101000060Z", "200001010000 0Z", "20000101000000z", "21000229000000Z",
    }) do
      local changed, count = der:gsub("\24\15%d+Z", "\24\15" .. text)
      assert.is_true(count >= 1)
      assert.is_nil(certificates.parse(changed), text)
    end
  end)

  it("survives any single byte changed, cut or doubled", function()
    for _, name in ipairs({ "leaf", "root" }) do
      local der = ca.made[name].der
      for i = 1, #der do
        for _, byte in ipairs({ 0, 1, 0x7f, 0x80, 0x84, 0xff, (der:byte(i) + 1) % 256 }) do
          certificates.parse(der:sub(1, i - 1) .. string.char(byte) .. der:sub(i + 1))
        end
        assert.is_nil(certificates.parse(der:sub(1, i - 1)))
        assert.is_nil(certificates.parse(der .. der:sub(1, i)))
      end
    end
  end)

  it("is refused with lengths in more bytes than they need", function()
    local der = ca.made.leaf.der
    local header = der:sub(1, 4)
    assert.equal("\48\130", header:sub(1, 2))
    assert.is_nil(certificates.parse("\48\131\0" .. header:sub(3) .. der:sub(5)))
    assert.is_nil(certificates.parse("\48\128" .. der:sub(5) .. "\0\0"))
  end)

  -- RFC 7633 §4.1
  it("is refused with TLS features that are no list of numbers, or twice", function()
    local identifier = "\43\6\1\5\5\7\1\24"
    ca:issue({ name = "featured", issuer = "root", extensions = "tlsfeature=status_request\n"
      .. "1.3.6.1.5.5.7.1.25=DER:30:03:02:01:05" })
    local der = ca.made.featured.der
    assert.is_true(certificates.parse(der).must_staple)
    assert.is_false(certificates.parse(ca.made.leaf.der).must_staple)
    for _, row in ipairs { { "\48\3\2\1\17", true }, { "\48\3\4\1\5" }, { "\49\3\2\1\5" }, { "\48\3\2\2\5" },
      { "\48\2\2\1\5" } } do
      local changed, count = der:gsub(identifier .. "\4\5\48\3\2\1\5", function()
        return identifier .. "\4\5" .. row[1]
      end)
      assert.equal(1, count)
      assert.equal(row[2] and false, (certificates.parse(changed) or {}).must_staple)
    end
    local twice, count = der:gsub("\43\6\1\5\5\7\1\25", identifier)
    assert.equal(1, count)
    assert.is_nil(certificates.parse(twice))
  end)

  it("is refused with an extension twice", function()
    ca:issue({ name = "identifiers", issuer = "root",
      extensions = "subjectKeyIdentifier=hash\nauthorityKeyIdentifier=keyid" })
    local der = ca.made.identifiers.der
    -- 2.5.29.35 becomes 2.5.29.32, which is there once, or 2.5.29.14, which then is there twice.
    local once, count = der:gsub("\85\29\35", "\85\29\32")
    assert.equal(1, count)
    assert.is_not_nil(certificates.parse(once))
    assert.is_nil(certificates.parse((der:gsub("\85\29\35", "\85\29\14"))))
  end)
end)

describe("certificate_make", function()
  local context

  before_each(function() context = crypto.new(("m"):rep(32)) end)

  local NAMES = { "localhost", "127.0.0.1", "::1", "*.tide.example",
    ("a"):rep(63) .. "." .. ("b"):rep(63) .. "." .. ("c"):rep(63) }

  it("makes an identity that matches all its names and that its holder can trust", function()
    local pem, key = certificates.make(context, NAMES, 1700000000, 1800000000)
    local identity = assert(certificates.identity_new(context, pem, key))
    finally(function() certificates.identity_free(identity) end)
    for _, name in ipairs({ "localhost", "127.0.0.1", "::1", "x.tide.example", NAMES[5] }) do
      assert.is_true(certificates.identity_matches(identity, name), name)
      assert.is_true(certificates.verify(context, {
        chain = certificates.identity_chain(identity), roots = { pem }, name = name, now = 1750000000,
      }))
    end
    local der = certificates.identity_chain(identity)[1]
    local parsed = certificates.parse(der)
    assert.same({ 1700000000, 1800000000 }, { parsed.not_before, parsed.not_after })
    assert.is_false(parsed.is_authority)
  end)

  it("is read by openssl", function()
    local dir = helper.make_dir()
    finally(function() helper.remove_dir(dir) end)
    helper.write_file(dir .. "/c.pem", (certificates.make(context, NAMES, 1700000000, 1800000000)))
    local text, status = helper.run("openssl x509 -noout -text -in " .. helper.quote(dir .. "/c.pem"))
    assert.equal(0, status)
    for _, part in ipairs({ "IP Address:127.0.0.1", "IP Address:0:0:0:0:0:0:0:1", "DNS:localhost", "ecdsa-with-SHA256",
      "prime256v1", "TLS Web Server Authentication", "Digital Signature" }) do
      assert.is_truthy(text:find(part, 1, true), part)
    end
    local output, verified = helper.run(("openssl verify -attime 1750000000 -CAfile %s %s")
      :format(helper.quote(dir .. "/c.pem"), helper.quote(dir .. "/c.pem")))
    assert.equal(0, verified, output)
  end)

  it("makes the same from the same seed, and another each time", function()
    local first = certificates.make(context, NAMES, 0, 1)
    local again = crypto.new(("m"):rep(32))
    assert.equal(first, (certificates.make(again, NAMES, 0, 1)))
    assert.are_not.equal(first, (certificates.make(context, NAMES, 0, 1)))
  end)

  it("refuses names, dates and rooms that do not fit", function()
    local many = {}
    for i = 1, 33 do many[i] = "n" .. i end
    for _, names in ipairs({ {}, { "" }, { "a b" }, { "a\n" }, { ("x"):rep(254) }, { "\195\164" }, many }) do
      local made, code = certificates.make(context, names, 0, 1)
      assert.same({ nil, -3 }, { made, code })
    end
    assert.equal(-3, select(2, certificates.make(context, { "a" }, 2, 1)))
    assert.equal(-3, select(2, certificates.make(context, { "a" }, -1, 1)))
    assert.equal(-3, select(2, certificates.make(context, { "a" }, 0, 253402300800)))
    assert.equal(-5, select(2, certificates.make(context, { "a" }, 0, 1, 100)))
    assert.equal(-5, select(2, certificates.make(context, { "a" }, 0, 1, 400)))
  end)
end)
