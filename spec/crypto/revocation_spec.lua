--- Revocation lists (RFC 5280 §5): what they take away, and which of them are taken.
local authority = require("spec.crypto.authority")
local certificates = require("neap.units").certificates
local crypto = require("neap.units").crypto
local helper = require("spec.helper")

local CA, SERVER = authority.CA .. "\nsubjectKeyIdentifier=hash", authority.SERVER
local HOUR = 3600
local REVOKED, UNKNOWN, UNKNOWN_CA = 0x100 + 44, 0x100 + 46, 0x100 + 48

describe("a revocation list", function()
  local ca, context, now
  local c = {}

  setup(function()
    ca = authority.new()
    context = crypto.new(("r"):rep(32))
    now = os.time() + HOUR
    local function issue(spec) c[spec.name] = ca:issue(spec) end
    -- The certificate of "middle" anew: the same name and key.
    local function renew(name, extensions)
      helper.write_file(ca.dir .. "/renewed.ext", extensions .. "\n")
      local dir, file = helper.quote(ca.dir), helper.quote(ca.dir .. "/" .. name .. ".pem")
      local output, status = helper.run(("cd %s && openssl x509 -req -in middle.csr -CA root.pem -CAkey root.key "
        .. "-days 1000 -set_serial 77 -extfile renewed.ext -out %s"):format(dir, file))
      assert(status == 0, output)
      c[name] = { der = certificates.ders(context, helper.read_file(ca.dir .. "/" .. name .. ".pem"))[1] }
    end
    issue({ name = "root", extensions = CA })
    issue({ name = "middle", issuer = "root", extensions = CA })
    issue({ name = "leaf", issuer = "middle", extensions = SERVER })
    issue({ name = "good", issuer = "middle", extensions = SERVER })
    issue({ name = "mute", extensions = "basicConstraints=critical,CA:TRUE\nkeyUsage=critical,keyCertSign" })
    issue({ name = "mute leaf", issuer = "mute", extensions = SERVER })
    issue({ name = "other", extensions = CA })
    issue({ name = "twin", issuer = "root", extensions = CA, subject = "/CN=middle" })
    renew("renewed", CA:gsub("hash$", "01020304"))
    renew("renewed mute", "basicConstraints=critical,CA:TRUE\nkeyUsage=critical,keyCertSign\n"
      .. "subjectKeyIdentifier=01020304")
  end)

  teardown(function() ca:remove() end)

  local function verify(leaf, crls, options)
    options = options or {}
    return certificates.verify(context, {
      chain = { c[leaf].der, c[options.middle or "middle"].der }, roots = { c[options.root or "root"].pem },
      crls = crls, grace = options.grace, name = "tide.example", now = options.now or now })
  end

  local function refused(code, text, ...)
    local ok, got, why = verify(...)
    assert.is_nil(ok)
    assert.equal(code, got, why)
    assert.is_truthy(why:find(text, 1, true), why)
  end

  -- RFC 5280 §6.3.3
  it("refuses the certificate that it names, with certificate_revoked, who it was and whose word that is", function()
    local list = ca:crl { issuer = "middle", revoked = { "leaf" } }
    refused(REVOKED, '"leaf" has been revoked by its issuer "middle"', "leaf", { list })
    assert.is_true(verify("good", { list }))
  end)

  it("refuses a path whose intermediate was revoked", function()
    local list = ca:crl { issuer = "root", revoked = { "middle" } }
    refused(REVOKED, '"middle" has been revoked by its issuer "root"', "good", { list })
  end)

  it("says nothing of certificates of others that have the same number", function()
    assert.is_true(verify("leaf", { ca:crl { issuer = "root", revoked = { "leaf" } } }))
    assert.is_true(verify("leaf", { ca:crl { issuer = "other", revoked = { "leaf" } } }))
  end)

  it("is found among several, in PEM text or in DER, and its numbers among thousands", function()
    local numbers = {}
    for i = 1, 3000 do numbers[i] = ("%06X"):format(i * 4001 % 0xffffff + 0x010000) end
    numbers[1501] = "leaf"
    local long = ca:crl { issuer = "middle", revoked = numbers }
    local other = ca:crl { issuer = "other", revoked = {} }
    refused(REVOKED, "revoked", "leaf", { other .. long })
    assert.is_true(verify("good", { other .. long }))
    local body = long:match("CRL%-%-%-%-%-\n(.-)%-%-%-%-%-END")
    refused(REVOKED, "revoked", "leaf", { certificates.base64_decode(body) })
  end)

  it("with a reason for each entry is read like any other", function()
    local list = ca:crl { issuer = "middle", revoked = { "leaf" }, reason = "keyCompromise" }
    refused(REVOKED, "revoked", "leaf", { list })
  end)

  it("that is over refuses what it does not name, and says so, unless a grace is given", function()
    local list = ca:crl { issuer = "middle", revoked = { "leaf" }, hours = 24 }
    local later = os.time() + 30 * HOUR
    refused(UNKNOWN, 'the revocation list of "middle" is not current: it is for ', "good", { list }, { now = later })
    refused(REVOKED, "revoked", "leaf", { list }, { now = later })
    assert.is_true(verify("good", { list }, { now = later, grace = 12 * HOUR }))
    refused(UNKNOWN, "not current", "good", { list }, { now = later, grace = HOUR })
    local future = ca:crl { issuer = "middle", from = "400101000000Z" }
    refused(UNKNOWN, "it is for 2040-01-01 00:00 UTC to", "good", { future })
  end)

  it("counts whatever its dates are where the time is unknown, and says until when that is right", function()
    local function ends(crls, grace)
      local ok, _, till = verify("good", crls, { now = -1, grace = grace })
      assert.is_true(ok)
      return (till - os.time()) / HOUR
    end
    local function about(hours, got) assert.is_true(got <= hours and got > hours - 0.5, got) end
    local old = ca:crl { issuer = "middle", revoked = { "leaf" }, from = "100101000000Z", to = "100102000000Z" }
    refused(REVOKED, "revoked", "leaf", { old }, { now = -1 })
    assert.is_true(ends({ old }) < 0)
    local new, newer = ca:crl { issuer = "middle", hours = 10 }, ca:crl { issuer = "middle", hours = 100 }
    about(10, ends { new })
    about(14, ends({ new }, 4 * HOUR))
    about(100, ends { old, newer, new })
    about(100, ends { newer, ca:crl { issuer = "root", hours = 300 } })
    about(90, ends { newer, ca:crl { issuer = "root", hours = 90 } })
    local point = "issuingDistributionPoint=critical,@part\n[part]\nfullname=URI:http://tide.example/1.crl"
    local part, more = { issuer = "middle", extensions = point, hours = 20 }, {}
    for name, value in pairs(part) do more[name] = value end
    more.hours = 30
    about(20, ends { newer, ca:crl(part), ca:crl(more) })
    refused(UNKNOWN, "not signed by a key that may do so", "mute leaf", { ca:crl { issuer = "mute" } },
      { root = "mute", now = -1 })
  end)

  it("says since when that is right where the time is unknown, as for its end", function()
    local function since(crls)
      local ok, from, till = verify("good", crls, { now = -1 })
      assert.is_true(ok)
      return os.date("!%Y-%m-%d", from) .. " " .. os.date("!%Y-%m-%d", till)
    end
    local function list(from, to, extensions, issuer)
      return ca:crl { issuer = issuer or "middle", from = from .. "000000Z", to = to .. "000000Z",
        extensions = extensions }
    end
    local today = os.date("!%Y-%m-%d", certificates.parse(c.good.der).not_before)
    local part = "issuingDistributionPoint=critical,onlyuser:TRUE"
    assert.equal(today .. " 2028-02-01", since { list("260101", "280201") })
    assert.equal("2028-01-01 2028-02-01", since { list("280101", "280201") })
    -- Those that are current one after the other, in any order; of those with a gap between them the last.
    assert.equal(today .. " 2028-04-01",
      since { list("260101", "280201"), list("280301", "280401"), list("280201", "280301") })
    assert.equal("2028-03-01 2028-04-01", since { list("260101", "280201"), list("280301", "280401") })
    -- All parts, and the lists of all issuers.
    assert.equal("2028-02-01 2028-03-01",
      since { list("280101", "280401"), list("280115", "280301", part), list("280201", "280315", part) })
    assert.equal("2028-02-01 2028-03-01", since { list("280101", "280301"), list("280201", "280401", nil, "root") })
  end)

  it("that is over is made good by a newer one beside it", function()
    local old = ca:crl { issuer = "middle", hours = 1 }
    local new = ca:crl { issuer = "middle", hours = 100 }
    refused(UNKNOWN, "not current", "good", { old }, { now = os.time() + 10 * HOUR })
    assert.is_true(verify("good", { old, new }, { now = os.time() + 10 * HOUR }))
  end)

  it("is worth nothing with another's signature, and the certificate is refused then", function()
    local list = ca:crl { issuer = "middle", revoked = {}, has_extensions = false }
    -- The same issuer, and a byte of the signature is another.
    local der = certificates.base64_decode(list:match("CRL%-%-%-%-%-\n(.-)%-%-%-%-%-END"))
    assert.is_true(verify("good", { der }))
    local forged = der:sub(1, -6) .. string.char((der:byte(-5) + 1) % 256) .. der:sub(-4)
    refused(UNKNOWN, 'the revocation list of "middle" is not signed by a key that may do so', "good", { forged })
  end)

  -- RFC 5280 §4.2.1.3
  it("is worth nothing of an issuer whose key may not sign lists", function()
    refused(UNKNOWN, "not signed by a key that may do so", "mute leaf", { ca:crl { issuer = "mute" } },
      { root = "mute" })
  end)

  it("with an extension that is critical and not understood is not taken", function()
    refused(-13, "no revocation list that can be used", "good", { ca:crl { issuer = "middle",
      extensions = "1.2.3.4=critical,ASN1:NULL" } })
  end)

  -- RFC 5280 §5.2.4, §5.2.5
  it("that is no list of its issuer's certificates is not taken, critical or not, with what it is", function()
    for extensions, what in pairs {
      ["deltaCRL=%sASN1:INTEGER:1"] = "what has changed since another list (a delta CRL)",
      ["issuingDistributionPoint=%sindirectCRL:TRUE"] = "a list for other issuers (an indirect CRL)",
      ["issuingDistributionPoint=%sonlyAA:TRUE"] = "a list of attribute certificates" } do
      for _, criticality in ipairs { "critical,", "" } do
        refused(-13, "it is " .. what, "good", { ca:crl { issuer = "middle",
          extensions = extensions:format(criticality) } })
      end
    end
  end)

  -- RFC 5280 §7.1
  it("is its issuer's by a name of another type of string, case and spacing", function()
    for i, same in ipairs { { "/CN=middle", "nombstr" }, { "/CN=MIDDLE" }, { "/CN=  Middle " } } do
      ca:issue { name = "same " .. i, subject = same[1], strings = same[2], key_of = "middle", extensions = CA }
      local list = ca:crl { issuer = "same " .. i, revoked = { "leaf" } }
      refused(REVOKED, '"leaf" has been revoked by its issuer "middle"', "leaf", { list })
      assert.is_true(verify("good", { list }))
      refused(UNKNOWN, "not current", "good", { list }, { now = now + 30 * HOUR })
    end
    for i, subject in ipairs { "/CN=mid dle", "/CN=middle/CN=middle", "/O=middle", "/CN=middles" } do
      ca:issue { name = "another " .. i, subject = subject, key_of = "middle", extensions = CA }
      assert.is_true(verify("leaf", { ca:crl { issuer = "another " .. i, revoked = { "leaf" } } }))
    end
  end)

  it("is its issuer's by a name of many words", function()
    local words = ("A B C D E F G H I J "):rep(3):sub(1, -2)
    local NO_ID = CA:gsub("hash$", "none")
    c.words = ca:issue { name = "words", subject = "/O=" .. words, extensions = NO_ID }
    c["words leaf"] = ca:issue { name = "words leaf", issuer = "words", extensions = SERVER }
    ca:issue { name = "words as printable", subject = "/O=" .. words, strings = "nombstr", key_of = "words",
      extensions = NO_ID }
    refused(REVOKED, "has been revoked", "words leaf",
      { ca:crl { issuer = "words as printable", revoked = { "words leaf" }, has_extensions = false } },
      { root = "words" })
    ca:issue { name = "twin of words", subject = "/O=" .. words, strings = "nombstr", extensions = NO_ID }
    refused(UNKNOWN, "not signed by a key that may do so", "words leaf",
      { ca:crl { issuer = "twin of words", has_extensions = false } }, { root = "words" })
  end)

  it("whose name may be its issuer's, as it differs beyond ASCII, is whose key signed it", function()
    ca:issue { name = "mühle", extensions = CA }
    ca:issue { name = "MÜHLE", key_of = "mühle", extensions = CA }
    ca:issue { name = "MÜHLEN", extensions = CA }
    ca:issue { name = "mute mühle", subject = "/CN=mühle", key_of = "mühle",
      extensions = "basicConstraints=critical,CA:TRUE\nkeyUsage=critical,keyCertSign" }
    c["mühle leaf"] = ca:issue { name = "mühle leaf", issuer = "mühle", extensions = SERVER }
    c["mühle"], c["mute mühle"] = ca.made["mühle"], ca.made["mute mühle"]
    for _, has_extensions in ipairs { true, false } do
      local list = { issuer = "MÜHLE", revoked = { "mühle leaf" }, has_extensions = has_extensions }
      refused(REVOKED, "has been revoked", "mühle leaf", { ca:crl(list) }, { root = "mühle" })
      refused(UNKNOWN, "not signed by a key that may do so", "mühle leaf", { ca:crl(list) }, { root = "mute mühle" })
      list.revoked = {}
      assert.is_true(verify("mühle leaf", { ca:crl(list) }, { root = "mühle" }))
      refused(UNKNOWN, "not current", "mühle leaf", { ca:crl(list) }, { root = "mühle", now = now + 30 * HOUR })
      -- Another authority's says nothing, whether it is current or not.
      list = { issuer = "MÜHLEN", revoked = { "mühle leaf" }, has_extensions = has_extensions }
      assert.is_true(verify("mühle leaf", { ca:crl(list) }, { root = "mühle" }))
      assert.is_true(verify("mühle leaf", { ca:crl(list) }, { root = "mühle", now = now + 30 * HOUR }))
    end
  end)

  it("that is a part of one, by its distribution point, is taken; an old part is not made good by another", function()
    local point = "issuingDistributionPoint=critical,@part\n[part]\nfullname=URI:http://tide.example/1.crl"
    local part = ca:crl { issuer = "middle", revoked = { "leaf" }, extensions = point, hours = 2 }
    refused(REVOKED, "revoked", "leaf", { part })
    assert.is_true(verify("good", { part }))
    local another = ca:crl { issuer = "middle", extensions = point, hours = 90 }
    refused(UNKNOWN, "not current", "good", { part, another }, { now = os.time() + 10 * HOUR })
  end)

  -- RFC 5280 §5.2.5
  it("that is over is not made good by a part, whatever the part is about", function()
    local old = ca:crl { issuer = "middle", hours = 1 }
    local later = os.time() + 10 * HOUR
    for _, about in ipairs { "onlyCA=TRUE", "onlyuser=TRUE", "onlysomereasons=keyCompromise" } do
      local part = ca:crl { issuer = "middle", hours = 100,
        extensions = "issuingDistributionPoint=critical,@part\n[part]\n" .. about }
      for _, lists in ipairs { { old, part }, { part, old } } do
        refused(UNKNOWN, "not current", "good", lists, { now = later })
      end
      assert.is_true(verify("good", { part }, { now = later }))
      assert.is_true(verify("good", { old, part, ca:crl { issuer = "middle", hours = 100 } }, { now = later }))
    end
  end)

  it("that is over is the one that a refusal tells the dates of, not a current part beside it", function()
    local old = ca:crl { issuer = "middle", from = "200101000000Z", to = "200102000000Z" }
    local part = ca:crl { issuer = "middle", extensions = "issuingDistributionPoint=critical,onlyuser:TRUE" }
    refused(UNKNOWN, "it is for 2020-01-01 00:00 UTC to 2020-01-02 00:00 UTC", "good", { old, part })
  end)

  it("with another's signature is not made good by a part of the issuer's", function()
    local part = ca:crl { issuer = "middle", extensions = "issuingDistributionPoint=critical,onlyuser:TRUE" }
    local forged = ca:crl { issuer = "middle", signer = "twin", has_extensions = false }
    refused(UNKNOWN, "not signed by a key that may do so", "good", { forged, part })
  end)

  -- RFC 5280 §5.2.1
  it("of the issuer's key counts, in whatever way the issuer's certificate writes the identifier of its key", function()
    local list = ca:crl { issuer = "middle", revoked = { "leaf" } }
    refused(REVOKED, "revoked", "leaf", { list }, { middle = "renewed" })
    assert.is_true(verify("good", { list }, { middle = "renewed" }))
    refused(UNKNOWN, "not current", "good", { list }, { middle = "renewed", now = now + 30 * HOUR })
    refused(UNKNOWN, "not signed by a key that may do so", "good", { list }, { middle = "renewed mute" })
  end)

  it("of another authority of the same name says nothing, with another identifier of its key", function()
    local list = ca:crl { issuer = "twin", revoked = { "leaf" }, hours = 1 }
    assert.is_true(verify("leaf", { list }))
    assert.is_true(verify("leaf", { list }, { now = now + 10 * HOUR }))
  end)

  it("is looked into the first time at no cost to the peer, so that sixty parts do not refuse", function()
    local parts = {}
    for i = 1, 60 do
      parts[i] = ca:crl { issuer = "middle", revoked = { i == 60 and "leaf" or ("%04X"):format(i + 0x1000) },
        extensions = "issuingDistributionPoint=critical,onlyuser:TRUE" }
    end
    assert.is_true(verify("good", { table.concat(parts) }))
    refused(REVOKED, "revoked", "leaf", { table.concat(parts) })
  end)

  it("of a wrong form is not taken: cut off, with bytes behind it, something else", function()
    local der = certificates.base64_decode(ca:crl { issuer = "middle", revoked = { "leaf" } }
      :match("CRL%-%-%-%-%-\n(.-)%-%-%-%-%-END"))
    for size = 1, #der - 1, 7 do
      local ok, code = verify("good", { der:sub(1, size) })
      assert.is_nil(ok)
      assert.equal(-13, code)
    end
    refused(-13, "no revocation list that can be used", "good", { c.good.der })
    refused(-13, "there is no revocation list in it", "good", { c.good.pem })
    refused(-13, "there is no revocation list in it", "good", { "" })
  end)

  it("changed in any one byte revokes nobody else and never lets the revoked one pass", function()
    local der = certificates.base64_decode(ca:crl { issuer = "middle", revoked = { "leaf" } }
      :match("CRL%-%-%-%-%-\n(.-)%-%-%-%-%-END"))
    for at = 1, #der, 3 do
      local changed = der:sub(1, at - 1) .. string.char((der:byte(at) + 1) % 256) .. der:sub(at + 1)
      local ok = verify("leaf", { changed })
      -- Only a list of somebody else's name says nothing.
      if ok then
        local name = der:find("middle", 1, true)
        assert.is_true(at >= name - 20 and at < name + 6 or at > name, "byte " .. at)
      end
    end
  end)

  it("leaks nothing, wherever memory ends", function()
    local list = ca:crl { issuer = "middle", revoked = { "leaf" } } .. ca:crl { issuer = "other" }
      .. ca:crl { issuer = "root" }
    assert.is_true(verify("good", { list })) -- what is remembered of it stays
    local used = crypto.used(context)
    local count, ok = 0
    repeat
      crypto.fail_after(context, count)
      ok = verify("good", { list })
      crypto.fail_after(context, -1)
      assert.equal(used, crypto.used(context))
      count = count + 1
    until ok
    assert.is_true(count > 8)
  end)

  it("does not make an authority known that is not", function()
    refused(UNKNOWN_CA, 'its issuer "root" is not among them', "leaf", { ca:crl { issuer = "middle" } },
      { root = "other" })
  end)
end)
