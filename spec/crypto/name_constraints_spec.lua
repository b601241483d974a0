--- Names of certificates against the nameConstraints of the authorities above them (RFC 5280 §4.2.1.10): URIs, mail
--- addresses and directory names. Those of hosts and addresses are in peer_chain_spec.
local authority = require("spec.crypto.authority")
local certificates = require("neap.units").certificates
local crypto = require("neap.units").crypto

local CA = authority.CA
local CLIENT = "keyUsage=digitalSignature\nextendedKeyUsage=clientAuth\n"
local BAD, UNSUPPORTED = 0x100 + 42, 0x100 + 43
local SERVER = "keyUsage=digitalSignature\nextendedKeyUsage=serverAuth\n"

local function der(tag, content)
  local size = #content
  local length = size < 0x80 and string.char(size) or size < 0x100 and string.char(0x81, size)
    or string.char(0x82, math.floor(size / 256), size % 256)
  return string.char(tag) .. length .. content
end

local function hex(bytes) return (bytes:gsub(".", function(c) return ("%02x"):format(c:byte()) end)) end

--- A relative name of pairs { type, value as UTF-8 }; a whole name of relative ones.
local function relative(pairs)
  local set = {}
  for i, pair in ipairs(pairs) do set[i] = der(0x30, der(0x06, pair[1]) .. der(0x0c, pair[2])) end
  return der(0x31, table.concat(set))
end
local function directory(...) return der(0xa4, der(0x30, table.concat({ ... }))) end

local ORGANISATION = "\x55\x04\x0a"

describe("a name constraint", function()
  local ca, context, count

  setup(function()
    ca = authority.new()
    context = crypto.new(("n"):rep(32))
    count = 0
    ca:issue({ name = "root", extensions = CA })
  end)

  teardown(function() ca:remove() end)

  --- Two authorities of one name and key, with these lines of a nameConstraints section, which is critical in one.
  local function constrain(lines)
    count = count + 1
    local name = "authority " .. count
    local function issue(own_name, criticality, key_of)
      return ca:issue({ name = own_name, issuer = "root", subject = "/CN=" .. name, key_of = key_of, extensions = CA
        .. ("\nnameConstraints=%s@constraints\n[constraints]\n%s"):format(criticality, lines) }).der
    end
    local critical = issue(name, "critical,")
    return { critical, issue("other " .. name, "", name) }
  end

  --- What becomes of a leaf of theirs with the names of a case, lines of a subjectAltName section (nil: none), and its
  -- subject, whose strings are of some types: nil, or the code of the refusal.
  local function verdict(authorities, case)
    local names = case[1] and case[1]:gsub('[\\#"$]', "\\%0")
    local leaf = ca:issue({ name = "leaf", issuer = "authority " .. count, key_of = "root", subject = case.subject,
      strings = case.strings, extensions = CLIENT .. (names and "subjectAltName=@names\n[names]\n" .. names or "") })
    local verdicts = {}
    for i, above in ipairs(authorities) do
      local ok, code, why = certificates.verify(context, { chain = { leaf.der, above },
        roots = { ca.made.root.pem }, is_client = true, now = os.time() + 3600 })
      if not ok then assert.matches(code == BAD and "may not vouch" or "not understood", why) end
      verdicts[i] = not ok and code or "none"
    end
    assert.equal(verdicts[1], verdicts[2])
    return verdicts[1] ~= "none" and verdicts[1] or nil
  end

  --- Cases, each with the code that it is refused with or nil, under the same constraints.
  local function check(lines, cases)
    local authorities = constrain(lines)
    for _, case in ipairs(cases) do
      assert.equal(case[2], verdict(authorities, case), ("%s under %s"):format(case[1] or case.subject, lines))
    end
  end

  describe("on URIs", function()
    it("that is a host permits its URIs alone, whatever their scheme, port, user and case are", function()
      check("permitted;URI=tide.example", {
        { "URI=spiffe://tide.example/pump" }, { "URI=https://me@TIDE.example:443" }, { "URI=a+b-1.c://tide.example?q" },
        { "URI=https://tide.example./#f" }, { "DNS=ebb.example" },
        { "URI=spiffe://a.tide.example/pump", BAD }, { "URI=spiffe://ebb.example/tide.example", BAD },
        { "URI=spiffe://ebb.example/@tide.example", BAD }, { "URI=https://tide.example:443@ebb.example", BAD },
        { "URI.1=https://tide.example\nURI.2=https://ebb.example", BAD },
      })
    end)

    it("that begins with a dot is for what is below, and not for the host", function()
      check("permitted;URI=.tide.example", {
        { "URI=spiffe://a.tide.example/pump" }, { "URI=spiffe://b.A.Tide.Example/pump" },
        { "URI=spiffe://tide.example/pump", BAD }, { "URI=spiffe://atide.example/pump", BAD },
      })
      check("excluded;URI=.tide.example", {
        { "URI=spiffe://tide.example/pump" }, { "URI=spiffe://a.tide.example/pump", BAD },
        { "URI=spiffe://a.tide.example./pump", BAD },
      })
    end)

    it("excludes what it names", function()
      check("excluded;URI=tide.example", {
        { "URI=spiffe://ebb.example/pump" }, { "URI=spiffe://a.tide.example/pump" },
        { "URI=SPIFFE://Tide.Example/pump", BAD },
      })
    end)

    it("refuses URIs without the name of a host", function()
      local cases = {}
      for i, uri in ipairs({ "urn:tide:pump", "https:tide.example", "/tide.example", "https://", "https:///a",
        "https://192.0.2.7/", "https://[2001:db8::7]/", "https://tide%2eexample/", "https://*.tide.example/",
        "https://.tide.example/", "https://tide..example/", "https://tide.example:80:80/", "https://tide.example:x",
        "https://a@tide.example@tide.example", "//ebb.example/://tide.example", "https://tide.example\\ebb.example",
        "https://tide.example..", "https://tide example/" }) do
        cases[i] = { "URI=" .. uri, BAD }
      end
      check("permitted;URI=tide.example", cases)
      check("excluded;URI=ebb.example", cases)
    end)

    it("that names no host is not understood", function()
      for _, base in ipairs({ "https://tide.example", "*.tide.example", "tide.example.", "tide.example:443" }) do
        check("excluded;URI=" .. base, { { "URI=https://ebb.example", UNSUPPORTED }, { "DNS=ebb.example" } })
      end
    end)

    it("that is empty is about all of them", function()
      check("excluded;URI=", { { "URI=https://tide.example", BAD }, { "DNS=tide.example" } })
    end)
  end)

  describe("on mail addresses", function()
    it("that is an address permits it alone: its host in any case, what is before it as it is", function()
      check("permitted;email=root@tide.example", {
        { "email=root@tide.example" }, { "email=root@TIDE.example" },
        { "email=Root@tide.example", BAD }, { "email=boot@tide.example", BAD }, { "email=root@a.tide.example", BAD },
      })
    end)

    it("that is a host permits all addresses there", function()
      check("permitted;email=tide.example", {
        { "email=root@tide.example" }, { "email=a.b+c*{d}@Tide.Example" }, { "DNS=ebb.example" },
        { "email=root@a.tide.example", BAD }, { "email=root@ebb.example", BAD },
        { "email.1=root@tide.example\nemail.2=root@ebb.example", BAD },
      })
    end)

    it("that begins with a dot is for the hosts below", function()
      check("permitted;email=.tide.example", {
        { "email=root@a.tide.example" }, { "email=root@b.a.tide.example" },
        { "email=root@tide.example", BAD }, { "email=root@atide.example", BAD },
      })
    end)

    it("excludes what it names", function()
      check("excluded;email.1=.tide.example\nexcluded;email.2=root@ebb.example", {
        { "email=root@tide.example" }, { "email=boot@ebb.example" },
        { "email=root@a.tide.example", BAD }, { "email=root@EBB.example", BAD },
      })
    end)

    it("refuses what is no address, or has one of its more peculiar forms", function()
      for _, lines in ipairs({ "permitted;email=tide.example", "excluded;email=root@ebb.example" }) do
        local authorities = constrain(lines)
        for _, name in ipairs({ "tide.example", "@tide.example", "root@", "a@b@tide.example", "\"a@b\"@tide.example",
          "root@[192.0.2.7]", "root@.tide.example", "root@tide.example.", "ro ot@tide.example",
          ("r"):rep(65) .. "@tide.example" }) do
          assert.equal(BAD, verdict(authorities, { "email=" .. name }), name)
        end
      end
    end)

    it("that is none of those is not understood", function()
      for _, base in ipairs({ "a@b@tide.example", "@tide.example", "root@.tide.example", "*.tide.example", "root@" }) do
        check("excluded;email=" .. base, { { "email=root@ebb.example", UNSUPPORTED }, { "DNS=ebb.example" } })
      end
    end)

    it("is about the addresses of a subject, where the alternative names have none", function()
      check("permitted;email=tide.example", {
        { subject = "/CN=a/emailAddress=root@tide.example" }, { subject = "/CN=a" },
        { nil, BAD, subject = "/CN=a/emailAddress=root@ebb.example" },
        { "DNS=tide.example", BAD, subject = "/CN=a/emailAddress=root@ebb.example" },
        { "DNS=tide.example", BAD, subject = "/emailAddress=root@tide.example/emailAddress=root@ebb.example" },
        { "DNS=tide.example", BAD, subject = "/CN=a/emailAddress=nobody" },
        { "email=root@tide.example", subject = "/CN=a/emailAddress=root@ebb.example" },
      })
    end)
  end)

  describe("on directory names", function()
    -- RFC 5280 §7.1
    it("permits what begins with it, whatever the type of string, case and spaces are", function()
      local cases = {
        { subject = "/C=DE/O=Tide Pumps/CN=a" }, { subject = "/C=DE/O=Tide Pumps" }, { subject = "/" },
        { subject = "/C=DE/O=TIDE pumps/CN=a" }, { subject = "/C=de/O=  tide   pumps /CN=a" },
        { subject = "/C=DE/O=Tide\t\1Pumps/CN=a" }, { subject = "/C=DE/O=tide pumpS", strings = "MASK:0x800" },
        { subject = "/C=DE/O=Tide Pumps/CN=a", strings = "nombstr" },
        { subject = "/C=DE/O=tide" .. (" "):rep(17) .. "pumps" },
        { "dirName=dir\n[dir]\nC=DE\nO=tide PUMPS", subject = "/" },
        { "dirName=dir\n[dir]\nC=DE\nO=Tide", BAD, subject = "/" },
      }
      for _, subject in ipairs({ "/C=DE/CN=a", "/C=DE", "/O=Tide Pumps/C=DE", "/C=DE/O=Tide Pumps2",
        "/C=DE/O=TidePumps", "/C=DE/OU=Tide Pumps", "/C=DE/O=Tide Pump", "/CN=a/C=DE/O=Tide Pumps",
        "/C=DE/O=Tide Pumps+OU=a",
        "/C=DE/O=Tide Pümps" }) do
        cases[#cases + 1] = { nil, BAD, subject = subject }
      end
      check("permitted;dirName=base\n[base]\nC=DE\nO=Tide Pumps", cases)
    end)

    it("excludes what begins with it by the same rules, and nothing else", function()
      check("excluded;dirName=base\n[base]\nO=Tide Pumps", {
        { subject = "/O=Tide/CN=a" }, { subject = "/CN=a/O=Tide Pumps" }, { subject = "/" },
        { nil, BAD, subject = "/O=Tide Pumps/CN=a" }, { nil, BAD, subject = "/O=TIDE  pumps" },
        { nil, BAD, subject = "/O=tide pumps", strings = "nombstr" },
        { "dirName=dir\n[dir]\nO=tide pumps\nCN=a", BAD, subject = "/" },
      })
    end)

    it("holds several values of a relative name against each other in any order", function()
      check("permitted;dirName=base\n[base]\nO=Tide\n+OU=Pumps", {
        { subject = "/O=Tide+OU=Pumps/CN=a" }, { subject = "/OU=pumps+O=tide          /CN=a" },
        { nil, BAD, subject = "/O=Tide/OU=Pumps" }, { nil, BAD, subject = "/O=Tide+OU=Ebb" },
        { nil, BAD, subject = "/O=Tide+O=Tide" }, { nil, BAD, subject = "/O=Tide+OU=Pumps+CN=a" },
      })
    end)

    it("is of as many words as there are, with one space between them or a few more", function()
      local words = ("tide "):rep(60):sub(1, -2) -- an attribute of openssl's own has 64 bytes at most
      local above = ca:issue({ name = "words", issuer = "root", extensions = CA .. "\n2.5.29.30=critical,DER:"
        .. hex(der(0x30, der(0xa0, der(0x30, directory(relative({ { ORGANISATION, words } })))))) }).der
      local function check_words(name)
        local leaf = ca:issue({ name = "leaf", issuer = "words", subject = "/", extensions = CLIENT
          .. "2.5.29.17=critical,DER:" .. hex(der(0x30, directory(relative({ { ORGANISATION, name } })))) })
        return (certificates.verify(context, { chain = { leaf.der, above }, roots = { ca.made.root.pem },
          is_client = true, now = os.time() + 3600 }))
      end
      assert.is_true(check_words(words:upper()))
      assert.is_true(check_words(" " .. words:gsub(" ", "  ", 15) .. " "))
      assert.is_nil(check_words(words:gsub(" ", "  ", 18)))
      assert.is_nil(check_words(words:gsub(" ", "  \1", 9)))
      assert.is_nil(check_words(words .. " tide"))
    end)

    -- RFC 3629 §3
    it("is no text where a byte begins no character of UTF-8", function()
      for first, verdict_of in pairs({ ["\xf0"] = "none", ["\xf8"] = BAD, ["\xfc"] = BAD, ["\xff"] = BAD }) do
        local name = ("above %02x"):format(first:byte())
        local base = directory(relative({ { ORGANISATION, first .. "\x90\x80\x80" } }))
        local above = ca:issue({ name = name, issuer = "root", extensions = CA .. "\n2.5.29.30=critical,DER:"
          .. hex(der(0x30, der(0xa0, der(0x30, base)))) })
        local leaf = ca:issue({ name = "leaf", issuer = name, subject = "/O=\xf0\x90\x80\x80", extensions = CLIENT })
        local ok, code = certificates.verify(context, { chain = { leaf.der, above.der }, roots = { ca.made.root.pem },
          is_client = true, now = os.time() + 3600 })
        assert.equal(verdict_of, ok and "none" or code, name)
      end
    end)

    it("beyond ASCII takes what is equal letter by letter, and lets nothing pass that could be the same", function()
      check("permitted;dirName=base\n[base]\nO=Tide P\252mps", { -- Latin-1, as openssl has it
        { subject = "/O=Tide Pümps/CN=a" }, { subject = "/O=TIDE  Pümps/CN=a" },
        { subject = "/O=tide pümps/CN=a", strings = "nombstr" },
        { subject = "/O=tide pümps/CN=a", strings = "MASK:0x800" },
        { nil, BAD, subject = "/O=Tide PÜMPS/CN=a" }, { nil, BAD, subject = "/O=Tide Pumps/CN=a" },
      })
      check("excluded;dirName=base\n[base]\nO=Tide P\252mps", { -- Latin-1, as openssl has it
        { nil, BAD, subject = "/O=tide pümps/CN=a" }, { nil, UNSUPPORTED, subject = "/O=Tide PÜMPS/CN=a" },
        { nil, UNSUPPORTED, subject = "/O=Tide Pu\204\136mps/CN=a" }, { subject = "/OU=Tide Pümps" },
      })
      check("excluded;dirName=base\n[base]\nO=Tide", {
        { nil, UNSUPPORTED, subject = "/O=Ｔide" }, { subject = "/O=Ebb" },
      })
    end)
  end)

  -- What is counted bounds what a check takes; `scripts/bench certificates` measures it.
  describe("costs", function()
    --- What it costs to hold the names of a leaf against the constraints of an authority: subtrees that are excluded
    --- (DER of their bases), alternative names (DER) beside a host's, and a subject.
    local function cost(name, bases, names, subject)
      local subtrees = {}
      for i, base in ipairs(bases) do subtrees[i] = der(0x30, base) end
      local above = ca:issue({ name = name, issuer = "root", extensions = CA .. "\n2.5.29.30=critical,DER:"
        .. hex(der(0x30, der(0xa1, table.concat(subtrees)))) })
      local leaf = ca:issue({ name = name .. " leaf", issuer = name, subject = subject or "/", extensions = SERVER
        .. "2.5.29.17=critical,DER:" .. hex(der(0x30, der(0x82, "tide.example") .. names)) })
      local _, paid, reason = certificates.verification_cost(context, { chain = { leaf.der, above.der },
        roots = { ca.made.root.pem }, name = "tide.example", now = os.time() + 3600 })
      return paid, reason
    end
    local function repeated(base, times)
      local bases = {}
      for i = 1, times do bases[i] = base end
      return bases
    end
    local DNS, URI, EMAIL = der(0x82, "ebb.example"), der(0x86, "ebb.example"), der(0x81, "ebb.example")

    it("one for each name of kinds that the authority does not constrain", function()
      local paid, reason = cost("other kinds", repeated(EMAIL, 100), DNS .. URI:rep(10))
      assert.equal("", reason)
      assert.equal(1 + 1 + 10, paid)
    end)

    it("as much as the relative names of a directory name are long, also under ones that cannot be read", function()
      local set = {}
      for i = 1, 8 do set[i] = { "\x2a" .. string.char(i), "" } end
      local name = directory(relative(set):rep(32))
      local base = directory(("\x31\0"):rep(31), relative({ { "\x55\x04\x03", "x" } }))
      local paid, reason = cost("empty sets", repeated(base, 10), name:rep(2))
      assert.equal("", reason)
      assert.is_true(paid >= 10 * #name / 16, paid)
      paid, reason = cost("many empty sets", repeated(base, 200), name:rep(12))
      assert.matches("too many names", reason)
      assert.equal(65536, paid)
    end)

    it("as much as a URI or a mail address is long, once for all constraints on such", function()
      for kind, base in pairs({ ["\x86"] = URI, ["\x81"] = EMAIL }) do
        local name = der(kind:byte(), ("Z"):rep(20000))
        local paid = cost("long " .. kind:byte(), repeated(base, 1), name)
        assert.is_true(paid >= 20000 / 4, paid)
        assert.is_true(cost("under many " .. kind:byte(), repeated(base, 50), name) < paid + 200)
        assert.is_true(cost("under others " .. kind:byte(), repeated(DNS, 50), name) < 200)
      end
    end)

    it("as much as a subject is long that is looked through for mail addresses", function()
      local subject = "/CN=a" .. ("/O=a"):rep(2000)
      local paid, reason = cost("long subject", repeated(EMAIL, 1), "", subject)
      assert.equal("", reason)
      assert.is_true(paid >= 2000 * 12 / 4, paid)
      assert.is_true(cost("long subject under others", repeated(DNS, 50), "", subject) < 200)
    end)
  end)

  it("on names of other kinds is not understood, where there are such names", function()
    check("excluded;otherName=1.2.3.4;UTF8:a", {
      { "otherName=1.2.3.4;UTF8:b", UNSUPPORTED }, { "DNS=tide.example" },
    })
    check("permitted;RID=1.2.3.4", { { "RID=1.2.3.4", UNSUPPORTED }, { "DNS=tide.example" } })
  end)
end)
