--- Names of certificates against the nameConstraints of the authorities above them (RFC 5280 §4.2.1.10): URIs, mail
--- addresses and directory names. Those of hosts and addresses are in peer_chain_spec.
local authority = require("spec.crypto.authority")
local certificates = require("neap.units").certificates
local crypto = require("neap.units").crypto

local CA = authority.CA
local CLIENT = "keyUsage=digitalSignature\nextendedKeyUsage=clientAuth\n"
local BAD, UNSUPPORTED = 0x100 + 42, 0x100 + 43

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

  it("on names of other kinds is not understood, where there are such names", function()
    check("excluded;otherName=1.2.3.4;UTF8:a", {
      { "otherName=1.2.3.4;UTF8:b", UNSUPPORTED }, { "DNS=tide.example" },
    })
    check("permitted;RID=1.2.3.4", { { "RID=1.2.3.4", UNSUPPORTED }, { "DNS=tide.example" } })
  end)
end)
