--- neap.x509: keys, requests and certificates, held against openssl and against our own search for a path.
local neap = require "neap"
local core = require "neap.core"
local helper = require "helper"
local web = require "support.web"

local x509 = neap.x509
local DAY = 86400

describe("neap.x509", function()
  local folder

  setup(function() folder = helper.make_dir() end)

  teardown(function() helper.remove_dir(folder) end)

  local function put(name, text)
    helper.write_file(folder .. "/" .. name, text)
    return helper.quote(folder .. "/" .. name)
  end

  -- What openssl says of a file; pending without it.
  local function openssl(command, text)
    if not helper.has_program("openssl") then pending("openssl is not here") end
    local output, status = helper.run("openssl " .. command .. " " .. put("subject.pem", text) .. " 2>&1")
    return output, status
  end

  local function seen(certificate) return (openssl("x509 -noout -text -nameopt RFC2253 -in", certificate)) end

  local function der_of(pem)
    local body = pem:gsub("%-%-%-%-%-[^\n]*\n?", "")
    local mime = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"
    local bits, count, out = 0, 0, {}
    for digit in body:gmatch("[%w+/]") do
      bits, count = bits * 64 + mime:find(digit, 1, true) - 1, count + 6
      if count >= 8 then
        local scale = 2 ^ (count - 8)
        local byte = math.floor(bits / scale)
        out[#out + 1] = string.char(byte)
        bits, count = bits - byte * scale, count - 8
      end
    end
    return table.concat(out)
  end

  local function tlv(tag, content)
    local size = #content
    local length = size < 128 and string.char(size) or size < 256 and string.char(0x81, size)
      or string.char(0x82, math.floor(size / 256), size % 256)
    return string.char(tag) .. length .. content
  end

  local function sequence(...) return tlv(0x30, table.concat { ... }) end

  -- Keys that openssl makes: how, the AlgorithmIdentifiers of key and signature, and how it signs.
  local ALGORITHMS = {
    ec = { "EC -pkeyopt ec_paramgen_curve:P-256", "\6\7\42\134\72\206\61\2\1",
      sequence("\6\8\42\134\72\206\61\4\3\2"), "dgst -sha256 -sign %s %s",
      parameters = "\6\8\42\134\72\206\61\3\1\7" },
    rsa = { "RSA -pkeyopt rsa_keygen_bits:2048", "\6\9\42\134\72\134\247\13\1\1\1",
      sequence("\6\9\42\134\72\134\247\13\1\1\11", "\5\0"), "dgst -sha256 -sign %s %s", parameters = "\5\0" },
    ed25519 = { "ED25519", "\6\3\43\101\112", sequence("\6\3\43\101\112"), "pkeyutl -sign -rawin -inkey %s -in %s",
      parameters = "" },
  }

  local key_of = {} -- by kind: a file with a private key, and the BIT STRING of its public one

  -- A request as no program makes it: with these parameters of the key's algorithm, and this value as common name.
  local function odd_request(kind, parameters, common_name)
    if not helper.has_program("openssl") then pending("openssl is not here") end
    local algorithm = ALGORITHMS[kind]
    if not key_of[kind] then
      local file = put(kind .. ".key", "")
      helper.sh(("openssl genpkey -algorithm %s -out %s 2>/dev/null"):format(algorithm[1], file))
      helper.sh(("openssl pkey -in %s -pubout -outform DER -out %s"):format(file, put("public", "")))
      local public = helper.read_file(folder .. "/public")
      local head = sequence(algorithm[2], algorithm.parameters)
      key_of[kind] = { file = file, bits = public:sub(assert(public:find(head, 1, true)) + #head) }
    end
    local name = sequence(tlv(0x31, sequence("\6\3\85\4\3", common_name or tlv(0x0c, "pump"))))
    local info = sequence("\2\1\0", name,
      sequence(sequence(algorithm[2], parameters or algorithm.parameters), key_of[kind].bits), "\160\0")
    helper.sh("openssl " .. algorithm[4]:format(key_of[kind].file, put("info", info)) .. " >" .. put("signature", ""))
    return sequence(info, algorithm[3], tlv(3, "\0" .. helper.read_file(folder .. "/signature")))
  end

  -- A config whose clock says something.
  local function at(seconds) return core.config { wall_clock = seconds } end

  describe("makes keys that", function()
    it("are of P-256 and never the same", function()
      local key = x509.key()
      assert.not_equal(key, x509.key())
      assert.matches("^%-%-%-%-%-BEGIN EC PRIVATE KEY", key)
      local output, status = openssl("ec -noout -text -in", key)
      assert.equal(0, status)
      assert.matches("prime256v1", output)
    end)
  end)

  describe("makes requests that", function()
    it("openssl reads and whose signature it verifies", function()
      local request = assert(x509.request {
        key = x509.key(), subject = { common_name = "pump 7, hall=2", organization = "Tidewörks" },
        names = { "pump7.example", "192.0.2.7", "2001:db8::7" },
      })
      local output, status = openssl("req -noout -verify -text -nameopt RFC2253,-esc_msb -in", request)
      assert.equal(0, status, output)
      assert.matches("verify OK", output)
      assert.matches("CN=pump 7\\, hall=2,O=Tidewörks", output, 1, true)
      assert.matches("DNS:pump7.example, IP Address:192.0.2.7, IP Address:2001:DB8:0:0:0:0:0:7", output, 1, true)
    end)

    it("are made with keys of each kind that openssl makes", function()
      if not helper.has_program("openssl") then pending("openssl is not here") end
      local kinds = { ["EC -pkeyopt ec_paramgen_curve:P-384"] = true, ["RSA -pkeyopt rsa_keygen_bits:2048"] = true }
      if core.backend:find("sodium") then kinds.ED25519 = true end
      for kind in pairs(kinds) do
        local key = helper.sh("openssl genpkey -algorithm " .. kind .. " 2>/dev/null")
        local request = assert(x509.request { key = key, subject = "of " .. kind:match("%w+") })
        local output, status = openssl("req -noout -verify -in", request)
        assert.equal(0, status, output)
        local ca, ca_key = assert(x509.authority { subject = "root", key = key })
        local leaf = assert(x509.issue { request = request, ca_cert = ca, ca_key = ca_key, uses = { "client" } })
        output = openssl("verify -purpose sslclient -CAfile " .. put("ca.pem", ca), leaf)
        assert.matches(": OK", output)
      end
    end)

    it("are refused without a subject, with one that is no text, and with a key that is none", function()
      local key = x509.key()
      for _, subject in ipairs { "", ("x"):rep(65), "a\nb", "\255", "\192\128", "\237\160\128" } do
        local request, message, code = x509.request { key = key, subject = subject }
        assert.is_nil(request)
        assert.matches("subject", message)
        assert.equal("argument", code)
      end
      assert.equal("certificate", select(3, x509.request { key = "no key", subject = "x" }))
      assert.equal("argument", select(3, x509.request { key = key, subject = "x", names = { "a b" } }))
      assert.has_error(function() x509.request { key = key } end)
      assert.has_error(function() x509.request { key = key, subject = "x", sans = {} } end)
    end)
  end)

  describe("reads requests:", function()
    it("says who asks for which names, with which key", function()
      local key = x509.key()
      local request = assert(x509.request { key = key, subject = { common_name = "pump 7", organization = "Tides" },
        names = { "pump7.example", "192.0.2.7", "2001:db8::7" } })
      local read = assert(x509.read_request(request))
      assert.same({ common_name = "pump 7", organization = "Tides",
        names = { "pump7.example", "192.0.2.7", "2001:db8::7" }, pin = read.pin }, read)
      assert.same(read, x509.read_request(der_of(request)))
      local cert = assert(x509.authority { subject = "self", key = key })
      assert.equal(core.config {}:certificate_pin(cert), read.pin)
    end)

    it("takes one that openssl made", function()
      if not helper.has_program("openssl") then pending("openssl is not here") end
      local conf = put("req.conf", "[req]\ndistinguished_name=dn\nreq_extensions=e\n[dn]\n[e]\n"
        .. "subjectAltName=DNS:a.example,email:x@a.example,IP:10.0.0.1\nkeyUsage=digitalSignature\n")
      local request = helper.sh("openssl req -new -newkey rsa:2048 -nodes -keyout /dev/null -config " .. conf
        .. " -subj '/C=DE/O=Tides/CN=first/CN=last' 2>/dev/null")
      local read = assert(x509.read_request(request))
      assert.same({ "last", "Tides", { "a.example", "10.0.0.1" } },
        { read.common_name, read.organization, read.names })
    end)

    it("refuses what is cut off, wherever, and what has another byte, whichever", function()
      local der = der_of(assert(x509.request { key = x509.key(), subject = "pump 7", names = { "a.example" } }))
      assert.is_truthy(x509.read_request(der))
      for size = 0, #der - 1 do
        local read, message, code = x509.read_request(der:sub(1, size))
        assert.is_nil(read)
        assert.is_string(message)
        assert.equal("certificate", code)
      end
      for place = 1, #der do
        local other = der:sub(1, place - 1) .. string.char((der:byte(place) + 1) % 256) .. der:sub(place + 1)
        assert.is_nil((x509.read_request(other)), "byte " .. place)
      end
      assert.is_nil((x509.read_request(der .. "\0")))
    end)

    it("refuses one that another key signed, and says so", function()
      local one = der_of(assert(x509.request { key = x509.key(), subject = "pump 7" }))
      local other = der_of(assert(x509.request { key = x509.key(), subject = "pump 7" }))
      local info = one:sub(5, 4 + 3 + one:byte(7)) -- both lengths have a form of their own
      local start = one:find("\48\10\6\8\42\134\72\206\61\4\3\2", 1, true)
      local other_start = other:find("\48\10\6\8\42\134\72\206\61\4\3\2", 1, true)
      assert.is_truthy(info and start and other_start)
      local mixed = one:sub(one:byte(2) == 0x81 and 4 or 3, start - 1) .. other:sub(other_start)
      mixed = (#mixed < 128 and "\48" or #mixed < 256 and "\48\129" or error("a large request"))
        .. string.char(#mixed) .. mixed
      local read, message, code = x509.read_request(mixed)
      assert.same({ nil, "certificate" }, { read, code })
      assert.matches("signature", message)
    end)

    it("says what it takes, where that is none", function()
      for _, wrong in ipairs { false, 5, {} } do
        local ok, err = pcall(function() x509.read_request(wrong or nil) end)
        assert.is_false(ok)
        assert.matches("x509_spec.lua:%d+: read_request takes the text of a request, PEM or DER, not a %a+$", err)
      end
    end)

    it("refuses what is huge before it looks into it", function()
      local read, message, code = x509.read_request("\48\132\1\0\0\0" .. ("\0"):rep(2 ^ 24))
      assert.same({ nil, "limit" }, { read, code })
      assert.matches("large", message)
      assert.equal("limit", select(3, x509.read_request("-----BEGIN CERTIFICATE REQUEST-----\n" .. ("A"):rep(2 ^ 20)
        .. "\n-----END CERTIFICATE REQUEST-----\n")))
    end)

    it("refuses a key with other parameters than its algorithm has, which would be issued with it", function()
      local NULL, junk = "\5\0", tlv(0x0c, ("what the authority never saw "):rep(60))
      local ec = ALGORITHMS.ec.parameters
      local cases = { ec = { ec .. junk, ec .. NULL }, rsa = { junk, NULL .. junk, "\5\1\0", "" },
        ed25519 = { NULL, junk } }
      if not core.backend:find("sodium") then cases.ed25519 = nil end
      for kind, list in pairs(cases) do
        assert.equal("pump", assert(x509.read_request(odd_request(kind))).common_name, kind)
        for i, parameters in ipairs(list) do
          local read, message, code = x509.read_request(odd_request(kind, parameters))
          assert.same({ kind, i, nil, "certificate" }, { kind, i, read, code })
          assert.matches("key", message)
        end
      end
    end)

    it("says who asks whatever type of string the subject has, and issues for that", function()
      local ca, ca_key = assert(x509.authority { subject = "root" })
      for text, value in pairs {
        ["Tör"] = tlv(0x0c, "Tör"), pump = tlv(0x13, "pump"), pump2 = tlv(0x16, "pump2"),
        ["Tö"] = tlv(0x14, "T\246"), ["牯潴"] = tlv(0x1e, "root"), ["p€"] = tlv(0x1c, "\0\0\0p\0\0\32\172"),
      } do
        local request = odd_request("ec", nil, value)
        assert.equal(text, assert(x509.read_request(request)).common_name)
        local issued = assert(x509.issue { request = request, ca_cert = ca, ca_key = ca_key })
        assert.equal("CN=" .. text, core.certificate(der_of(issued)).subject)
      end
    end)

    it("refuses a subject that is no text in its type of string, or too long as UTF-8", function()
      for _, value in ipairs {
        tlv(0x0c, "\255"), tlv(0x13, "T\246"), tlv(0x16, "\195\182"), tlv(0x1e, "roo"), tlv(0x1e, "\216\0"),
        tlv(0x1e, "\0\0"), tlv(0x1c, "\0\17\0\0"), tlv(0x02, "A"), tlv(0x04, "pump"), tlv(0x14, ("\246"):rep(33)),
      } do
        local read, message, code = x509.read_request(odd_request("ec", nil, value))
        assert.same({ nil, "certificate" }, { read, code })
        assert.matches("subject", message)
      end
    end)

    it("refuses keys that neap takes nowhere", function()
      if not helper.has_program("openssl") then pending("openssl is not here") end
      for _, kind in ipairs { "RSA -pkeyopt rsa_keygen_bits:1024", "EC -pkeyopt ec_paramgen_curve:P-521" } do
        helper.sh("openssl genpkey -algorithm " .. kind .. " -out " .. put("odd.key", "") .. " 2>/dev/null")
        local request = helper.sh("openssl req -new -subj /CN=x -key " .. helper.quote(folder .. "/odd.key"))
        local read, message, code = x509.read_request(request)
        assert.same({ nil, "unsupported" }, { read, code })
        assert.matches("key", message)
      end
    end)
  end)

  describe("makes authorities that", function()
    it("sign themselves, are good for ten years and bound the path below them", function()
      local cert, key = assert(x509.authority { subject = { common_name = "Tides root", organization = "Tides" } })
      assert.matches("PRIVATE KEY", key)
      local text = seen(cert)
      assert.matches("X509v3 Basic Constraints: critical%s+CA:TRUE%s", text)
      assert.matches("X509v3 Key Usage: critical%s+Certificate Sign, CRL Sign%s", text)
      assert.matches("Subject Key Identifier", text)
      assert.matches("Issuer: CN=Tides root,O=Tides", text)
      assert.matches(": OK", (openssl("verify -x509_strict -CAfile " .. put("root.pem", cert), cert)))
      local below = assert(x509.authority { subject = "floor", path_length = 0, ca_cert = cert, ca_key = key })
      assert.matches("CA:TRUE, pathlen:0", seen(below))
      assert.equal("argument", select(3, x509.authority { subject = "x", path_length = 128 }))
    end)

    it("issue no authority where their path may not go on", function()
      local root, root_key = assert(x509.authority { subject = "root", path_length = 1 })
      local one, one_key = assert(x509.authority { subject = "one", ca_cert = root, ca_key = root_key })
      assert.matches("pathlen:0", seen(one))
      local two, message, code = x509.authority { subject = "two", ca_cert = one, ca_key = one_key }
      assert.same({ nil, "certificate" }, { two, code })
      assert.matches("path", message)
      local leaf = assert(x509.issue { key = x509.key(), subject = "leaf", ca_cert = one, ca_key = one_key })
      assert.matches(": OK", (openssl("verify -x509_strict -CAfile " .. put("root.pem", root) .. " -untrusted "
        .. put("one.pem", one), leaf)))
    end)
  end)

  describe("issues certificates that", function()
    local ca, ca_key

    setup(function() ca, ca_key = assert(x509.authority { subject = "Tides root" }) end)

    it("say what was asked for, and nothing of the request but its key and its subject", function()
      local request = assert(x509.request { key = x509.key(), subject = "pump 7", names = { "bank.example" } })
      local text = seen(assert(x509.issue { request = request, ca_cert = ca, ca_key = ca_key, days = 30,
        names = { "pump7.example", "192.0.2.7" } }))
      assert.matches("Subject: CN=pump 7\n", text)
      assert.matches("DNS:pump7.example, IP Address:192.0.2.7", text)
      assert.not_matches("bank", text)
      assert.matches("CA:FALSE", text)
      assert.matches("X509v3 Key Usage: critical%s+Digital Signature\n", text)
      assert.matches("TLS Web Client Authentication\n", text)
      assert.not_matches("Server Authentication", text)
      local key_id = seen(ca):match("Subject Key Identifier:%s+([%x:]+)")
      assert.equal(key_id, text:match("Authority Key Identifier:%s+k?e?y?i?d?:?(%x%x:[%x:]+)"))
    end)

    it("openssl verifies for what they are for, and for nothing else", function()
      local file = put("ca.pem", ca)
      local function verify(certificate, purpose)
        return (select(2, openssl("verify -x509_strict -purpose " .. purpose .. " -CAfile " .. file, certificate)))
      end
      local request = assert(x509.request { key = x509.key(), subject = "pump 7" })
      for uses, results in pairs {
        [{ "client" }] = { 0, 2 }, [{ "server" }] = { 2, 0 }, [{ "client", "server" }] = { 0, 0 },
      } do
        local certificate = assert(x509.issue { request = request, ca_cert = ca, ca_key = ca_key, uses = uses,
          names = { "pump7.example" } })
        assert.same(results, { verify(certificate, "sslclient"), verify(certificate, "sslserver") })
      end
    end)

    it("have positive random serial numbers of 128 bits", function()
      local request, serials = assert(x509.request { key = x509.key(), subject = "pump 7" }), {}
      for i = 1, 3 do
        local certificate = assert(x509.issue { request = request, ca_cert = ca, ca_key = ca_key })
        local serial = openssl("x509 -noout -serial -in", certificate):match("serial=(%x+)")
        assert.equal(32, #serial)
        assert.matches("^[4-7]", serial)
        assert.is_nil(serials[serial])
        serials[serial] = i
      end
    end)

    it("begin an hour ago, and end in time, but not after their authority", function()
      local now = 1900000000
      local cert, key = assert(x509._authority(at(now), { subject = "root", days = 100 }))
      local function dates(days, clock)
        local leaf = assert(x509._issue(at(clock or now), { key = key, subject = "x", days = days,
          ca_cert = cert, ca_key = key }))
        local text = openssl("x509 -noout -dates -dateopt iso_8601 -in", leaf)
        if not text:find("notBefore") then pending("an openssl without -dateopt") end
        return text:match("notBefore=(%S+ %S+)Z"), text:match("notAfter=(%S+ %S+)Z")
      end
      local function iso(seconds) return os.date("!%Y-%m-%d %H:%M:%S", seconds) end
      assert.same({ iso(now - 3600), iso(now + 10 * DAY) }, { dates(10) })
      assert.same({ iso(now - 3600), iso(now + 100 * DAY) }, { dates(1000) })
      local leaf, message, code = x509._issue(at(now + 101 * DAY), { key = key, subject = "x", ca_cert = cert,
        ca_key = key })
      assert.same({ nil, "certificate" }, { leaf, code })
      assert.matches("ended", message)
      -- 2050 is where the form of dates changes (RFC 5280 §4.1.2.5).
      now = 2524607000
      cert, key = assert(x509._authority(at(now), { subject = "root", days = 36500 }))
      assert.same({ iso(now - 3600), iso(now + DAY) }, { dates(1, now) })
    end)

    it("copy their authority's name byte by byte", function()
      if not helper.has_program("openssl") then pending("openssl is not here") end
      local conf = put("ca.conf", "[req]\ndistinguished_name=dn\nx509_extensions=e\nstring_mask=default\n[dn]\n"
        .. "[e]\nbasicConstraints=critical,CA:TRUE\n")
      local root = helper.sh("openssl req -x509 -new -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -keyout "
        .. put("odd.key", "") .. " -config " .. conf
        .. " -multivalue-rdn -subj '/C=DE/O=Tides+OU=a\\/b/CN=root' 2>/dev/null")
      local leaf = assert(x509.issue { key = x509.key(), subject = "leaf", names = { "localhost" },
        uses = { "server" }, ca_cert = root, ca_key = helper.read_file(folder .. "/odd.key") })
      assert.matches(": OK", (openssl("verify -CAfile " .. put("root.pem", root), leaf)))
    end)

    it("neap's own servers show and its clients believe", function()
      local middle, middle_key = assert(x509.authority { subject = "middle", ca_cert = ca, ca_key = ca_key })
      local key = x509.key()
      local leaf = assert(x509.issue { key = key, subject = "server", names = { "localhost", "127.0.0.1" },
        uses = { "server" }, ca_cert = middle, ca_key = middle_key })
      web.run(function()
        local app = neap.app()
        app:get("/", function() return "in" end)
        local server = assert(app:listen { host = "127.0.0.1", port = 0, cert = leaf .. middle, key = key })
        local client = neap.client { ca = ca, timeout = 5 }
        local r = assert(client:get("https://127.0.0.1:" .. server.port .. "/"))
        assert.equal("in", r:body())
        client:close()
        server:close()
      end)
    end)

    it("are not made by what is no authority, nor with another's key", function()
      local key = x509.key()
      local leaf = assert(x509.issue { key = key, subject = "leaf", ca_cert = ca, ca_key = ca_key })
      local function refused(pattern, options)
        options.subject = "x"
        options.key = key
        local made, message, code = x509.issue(options)
        assert.same({ nil, "certificate" }, { made, code })
        assert.matches(pattern, message)
      end
      refused("no authority", { ca_cert = leaf, ca_key = key })
      refused("fit", { ca_cert = ca, ca_key = key })
      refused("authority", { ca_cert = "nonsense", ca_key = ca_key })
      refused("private key", { ca_cert = ca, ca_key = "nonsense" })
    end)

    it("are refused for servers that have no name, as no client believes those", function()
      local asks = assert(x509.request { key = x509.key(), subject = "pump7.example", names = { "pump7.example" } })
      for _, uses in ipairs { { "server" }, { "client", "server" } } do
        for _, given in ipairs { { request = asks }, { key = x509.key(), subject = "pump7.example", names = {} } } do
          given.uses, given.ca_cert, given.ca_key = uses, ca, ca_key
          local leaf, message, code = x509.issue(given)
          assert.same({ nil, "argument" }, { leaf, code })
          assert.matches("no client takes a server's certificate without names", message, 1, true)
        end
      end
    end)

    it("are refused where no host can have such a name", function()
      local key = x509.key()
      local function issue(name)
        return x509.issue { key = key, subject = "s", uses = { "server" }, names = { name }, ca_cert = ca,
          ca_key = ca_key }
      end
      for _, name in ipairs {
        "https://a.example/", "999.1.1.1", "1.2.3", "7", "a..b", ".a", "a.example.", "10.0.0.0/8", "[::1]", "fe80::1%1",
        "user@host", "a.example:443", "*", "*.example", "a.*.example", "*a.example.org", "*.1.1.1", "a b", "",
        ("a"):rep(64) .. ".example", ("a."):rep(126) .. "bc",
      } do
        local leaf, message, code = issue(name)
        assert.same({ nil, "argument" }, { leaf, code }, name)
        assert.matches("1 to 32 DNS names (*.example.org for every host of it) and IP addresses", message, 1, true)
        assert.is_nil((x509.request { key = key, subject = "s", names = { name } }), name)
        assert.is_nil((core.make_certificate { names = { name } }), name)
      end
      for _, name in ipairs {
        "a.example", "localhost", "*.example.org", "A-1_b.xn--p1ai", "7.example", "1.2.3.4a", "10.0.0.1", "::1",
        ("a"):rep(63) .. ".example", ("a."):rep(126) .. "b",
      } do
        assert(issue(name))
      end
    end)

    it("are refused where the request is not good", function()
      local made, message, code = x509.issue { request = "nonsense", ca_cert = ca, ca_key = ca_key }
      assert.same({ nil, "certificate" }, { made, code })
      assert.is_string(message)
      assert.has_error(function() x509.issue { ca_cert = ca, ca_key = ca_key, subject = "x" } end)
      assert.has_error(function() x509.issue { request = "x", ca_cert = ca } end)
      assert.has_error(function() x509.issue { request = "x", ca_cert = ca, ca_key = ca_key, uses = { "email" } } end)
      assert.has_error(function() x509.issue { request = "x", ca_cert = ca, ca_key = ca_key, days = 0 } end)
    end)
  end)

  it("leaks nothing and says so, wherever memory ends", function()
    local certificates, crypto = require("neap.units").certificates, require("neap.units").crypto
    local ca, ca_key = assert(x509._authority(at(1700000000), { subject = "root" }))
    local key = x509.key()
    local request = assert(x509.request { key = key, subject = "pump", names = { "a.example" } })
    local NO_MEMORY = -2
    for name, plan in pairs {
      ["a request"] = { key = key, name = "pump" },
      ["a certificate for a request"] = { request = request, ca_cert = ca, ca_key = ca_key },
      ["a certificate for a key"] = { key = key, name = "pump", ca_cert = ca, ca_key = ca_key },
    } do
      local context = crypto.new(("x"):rep(32))
      assert.is_string((certificates.issue(context, plan)), name)
      local before, count = crypto.used(context), -1
      local made, code
      repeat
        count = count + 1
        crypto.fail_after(context, count)
        made, code = certificates.issue(context, plan)
        crypto.fail_after(context, -1)
        if not made then assert.equal(NO_MEMORY, code, name) end
        assert.equal(before, crypto.used(context), name)
      until made
      assert.is_true(count >= 2, name .. " took " .. count)
    end
  end)
end)
