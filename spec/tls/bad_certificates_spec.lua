--- Certificates that a client must refuse, each through a whole handshake: the alert that its server is told, and what
--- a person reads.
local authority = require("spec.crypto.authority")
local fixtures = require("tls.fixtures")
local messages = require("tls.messages")
local pair = require("tls.pair")
local tls = require("neap.units").tls

local CA, SERVER = authority.CA, authority.SERVER
local vector = messages.vector
local DAY = 86400
local NAME = "tide.example"

local function named(names) return (SERVER:gsub("subjectAltName=[^\n]*", "subjectAltName=" .. names)) end

--- A SAN with one DNS name of any bytes.
local function raw_name(bytes)
  local function element(tag, content)
    return tag .. (#content < 128 and "" or "\129") .. string.char(#content) .. content
  end
  local list = element("\48", element("\130", bytes))
  return (SERVER:gsub("subjectAltName=[^\n]*", function()
    return "2.5.29.17=DER:" .. list:gsub(".", function(c) return ("%02x"):format(c:byte()) end)
  end))
end

describe("a client refuses a server", function()
  local ca, good, roots
  local c = {}

  local function issue(spec)
    c[spec.name] = ca:issue(spec)
    return c[spec.name]
  end

  setup(function()
    ca = authority.new()
    issue({ name = "root", extensions = CA, days = 3000 })
    issue({ name = "middle", issuer = "root", extensions = CA })
    issue({ name = "stranger", extensions = CA })
    good = issue({ name = "good", issuer = "middle", extensions = SERVER })
    roots = c.root.pem
  end)

  teardown(function() ca:remove() end)

  local function client(options)
    return assert(tls.config({ seed = ("c"):rep(32), alpn = { "h3" }, roots = options.roots or roots,
      crls = options.crls }))
  end

  local function server()
    return assert(tls.config({ seed = ("s"):rep(32), alpn = { "h3" },
      identities = { { good.pem .. c.middle.pem, good.key } } }))
  end

  --- A handshake in which the server shows these certificates: true, or nil and { side =, code =, reason = }.
  local function shake(ders, options)
    return pair.tampered({ client = client(options), server = server(), name = options.name or NAME,
      now = options.now or fixtures.now }, "server", messages.CERTIFICATE, function(message)
      if not ders then return message end
      local list = {}
      for i, der in ipairs(ders) do list[i] = vector(der, 3) .. "\0\0" end
      return messages.build(messages.CERTIFICATE, "\0" .. vector(table.concat(list), 3))
    end)
  end

  it("only when something is wrong", function()
    local ok, failure = shake(nil, {})
    assert.is_nil(failure and failure.reason)
    assert.is_true(ok)
  end)

  local function flip(der) return der:sub(1, -2) .. string.char((der:byte(-1) + 1) % 256) end

  --- A leaf like the good one, but for what `spec` says; the chain is it and its issuer.
  local function leaf(spec)
    spec.name, spec.issuer = spec.name or "leaf", spec.issuer or "middle"
    spec.extensions = spec.extensions or SERVER
    return { issue(spec).der, c[spec.issuer].der }
  end

  --- A leaf of an issuer that is not as it must be.
  local function below(spec)
    spec.name, spec.issuer = "issuer", spec.issuer or "root"
    issue(spec)
    return { issue({ name = "leaf", issuer = "issuer", extensions = SERVER }).der, c.issuer.der }
  end

  -- What is wrong: { alert, what is read, function → chain, options }.
  local CASES = {
    ["whose certificate is for another name"] = { 42, "for tide.example, *.wild.example, 192.0.2.7, 2001:db8::7, not "
      .. "for other.example", function() return nil end, { name = "other.example" } },
    ["whose certificate is for another address"] = { 42, "not for 192.0.2.8", function() return nil end,
      { name = "192.0.2.8" } },
    ["whose certificate has a common name alone"] = { 42, "no subjectAltName, without which it is for no host",
      function() return leaf { subject = "/CN=" .. NAME, extensions = "basicConstraints=CA:FALSE" } end },
    ["under a wildcard, two labels deep"] = { 42, "*.wild.example, 192.0.2.7, 2001:db8::7, not for a.b.wild.example",
      function() return nil end, { name = "a.b.wild.example" } },
    ["under a wildcard that is a part of a label"] = { 42, "for t*.example, not for tide.example",
      function() return leaf { extensions = named "DNS:t*.example" } end },
    ["under a wildcard over a whole top domain"] = { 42, "for *.example, not for tide.example",
      function() return leaf { extensions = named "DNS:*.example" } end },
    ["under a wildcard that is all"] = { 42, "for *, not for tide.example",
      function() return leaf { extensions = named "DNS:*" } end },
    ["whose name has a byte of zero inside"] = { 42, "for tide.example?.evil.example, not for tide.example",
      function() return leaf { extensions = raw_name("tide.example\0.evil.example") } end },
    ["whose name is written in UTF-8, asked for as it is on the wire"] = { 42,
      "for b??cher.example, not for xn--bcher-kva.example",
      function() return leaf { extensions = raw_name("b\195\188cher.example") } end,
      { name = "xn--bcher-kva.example" } },
    ["whose name is an address as text"] = { 42, "for 192.0.2.9, not for 192.0.2.9",
      function() return leaf { extensions = named "DNS:192.0.2.9" } end, { name = "192.0.2.9" } },
    ["whose certificate has expired"] = { 45, "has expired: it ended on 20%d%d%-%d%d%-%d%d %d%d:%d%d UTC, and the "
      .. "clock here says 20", function() return nil end, { now = os.time() + 2000 * DAY, is_pattern = true } },
    ["whose certificate is not valid yet"] = { 45, "is not valid yet: it begins on ", function() return nil end,
      { now = os.time() - DAY } },
    ["whose issuer has expired"] = { 45, 'an issuer\'s certificate has expired or is not valid yet: "issuer" is for',
      function() return below { extensions = CA, days = 1 } end, { now = os.time() + 20 * DAY } },
    ["whose certificate is for clients"] = { 43, "it may not stand for a server",
      function() return leaf { extensions = (SERVER:gsub("serverAuth", "clientAuth")) } end },
    ["whose key is not for signatures"] = { 43, "keyUsage lacks digitalSignature",
      function() return leaf { extensions = (SERVER:gsub("digitalSignature", "keyEncipherment")) } end },
    ["whose certificate has a critical extension that is unknown"] = { 43, "extension that is not understood",
      function() return leaf { extensions = SERVER .. "\n1.2.3.4=critical,ASN1:NULL" } end },
    ["whose issuer has a critical extension that is unknown"] = { 43, 'not understood: "issuer"',
      function() return below { extensions = CA .. "\n1.2.3.4=critical,ASN1:NULL" } end },
    ["whose issuer may not issue for servers"] = { 43, 'an issuer is not for this use: "issuer"',
      function() return below { extensions = CA .. "\nextendedKeyUsage=clientAuth" } end },
    ["whose issuer is no authority"] = { 48, 'an issuer is not a certificate authority: "good"',
      function() return leaf { issuer = "good" } end },
    ["whose issuer may not sign certificates"] = { 48, 'an issuer is not a certificate authority: "issuer"',
      function() return below { extensions = "basicConstraints=critical,CA:TRUE\nkeyUsage=cRLSign" } end },
    ["whose issuer is of version 1"] = { 48, 'an issuer is not a certificate authority: "issuer"',
      function() return below {} end },
    ["behind more intermediates than an authority allows"] = { 48, 'more intermediates than an issuer allows: "short"',
      function()
        issue({ name = "short", issuer = "root",
          extensions = "basicConstraints=critical,CA:TRUE,pathlen:0\nkeyUsage=keyCertSign" })
        local chain = below { issuer = "short", extensions = CA }
        table.insert(chain, c.short.der)
        return chain
      end },
    ["of an authority that is unknown"] = { 48, 'its issuer "stranger" is not among them',
      function() return leaf { issuer = "stranger" } end },
    ["that leaves its intermediate out"] = { 48, 'its issuer "middle" is not among them, and no other certificate came',
      function() return { good.der } end },
    ["that signed its certificate itself"] = { 48, '"alone" signed it for itself',
      function() return { issue({ name = "alone", extensions = SERVER }).der } end },
    ["whose certificate was changed behind the signature"] = { 48,
      'under "good" is not the signature of the "middle" that is known',
      function() return { flip(good.der), c.middle.der } end },
    ["whose issuer only has the name of a known one"] = { 48, 'under "forged" is not the signature of the "root"',
      function()
        issue({ name = "false", subject = "/CN=root", extensions = CA })
        return { issue({ name = "forged", issuer = "false", extensions = SERVER }).der }
      end },
    ["whose issuer may vouch for other names only"] = { 42, 'a name that an issuer may not vouch for: "issuer"',
      function() return below { extensions = CA .. "\nnameConstraints=critical,permitted;DNS:other.example" } end },
    ["whose certificate is signed with SHA-1"] = { 42, 'an algorithm that is not accepted, such as SHA-1: "leaf"',
      function() return leaf { digest = "sha1" } end },
    ["whose certificate is signed with MD5"] = { 42, 'an algorithm that is not accepted, such as SHA-1: "leaf"',
      function()
        issue({ name = "rsa", key = "rsa2048", issuer = "root", extensions = CA })
        return leaf { issuer = "rsa", digest = "md5" }
      end },
    ["whose RSA key is small"] = { 42, 'that of "leaf" has 1024', function() return leaf { key = "rsa1024" } end },
    ["whose issuer's RSA key is small"] = { 42, 'that of "issuer" has 1024',
      function() return below { key = "rsa1024", extensions = CA } end },
    ["whose key is of a kind that nobody offered"] = { 43, "offered", function() return leaf { key = "p521" } end },
    ["whose certificate has an extension twice"] = { 42, "cannot be parsed", function()
      local chain = leaf { extensions = SERVER .. "\n2.5.29.16=DER:03020780" } -- 2.5.29.15 is the key's usage
      chain[1] = chain[1]:gsub("\85\29\16", "\85\29\15")
      return chain
    end },
    ["whose serial number is longer than 20 bytes"] = { 42, "cannot be parsed", function()
      local der = good.der
      local at = der:find("\2\4", 1, true) -- 4 bytes of number become 24: the lengths of three elements around it grow
      local function grow(bytes, where)
        local size = bytes:byte(where) * 256 + bytes:byte(where + 1) + 20
        return bytes:sub(1, where - 1) .. string.char(math.floor(size / 256), size % 256) .. bytes:sub(where + 2)
      end
      der = grow(grow(der, 3), 7)
      return { der:sub(1, at) .. "\24" .. ("\1"):rep(20) .. der:sub(at + 2), c.middle.der }
    end },
    ["whose certificate is cut off"] = { 42, "cannot be parsed", function() return { good.der:sub(1, -20) } end },
    ["whose certificate has bytes behind it"] = { 42, "cannot be parsed", function() return { good.der .. "\0" } end },
    ["whose certificate is something else"] = { 42, "cannot be parsed", function() return { ("\0"):rep(300) } end },
    ["whose certificate has been revoked"] = { 44, '"good" has been revoked by its issuer "middle"',
      function() return nil end, { crl = { issuer = "middle", revoked = { "good" } } } },
    ["whose issuer has been revoked"] = { 44, '"middle" has been revoked by its issuer "root"',
      function() return nil end, { crl = { issuer = "root", revoked = { "middle" } } } },
    ["whose revocation list is not current"] = { 46, 'the revocation list of "middle" is not current',
      function() return nil end, { crl = { issuer = "middle", hours = 2 }, now = os.time() + DAY } },
  }

  -- covers: rfc8446#4.4.2.2.3 rfc8446#4.4.2.2.9 rfc8446#4.4.2.4.4
  for what, case in pairs(CASES) do
    it(what, function()
      local options = {}
      for name, value in pairs(case[4] or {}) do options[name] = value end
      options.crls = options.crl and ca:crl(options.crl)
      local ok, failure = shake(case[3](), options)
      assert.is_nil(ok)
      assert.same({ "client", pair.alert(case[1]) }, { failure.side, failure.code }, failure.reason)
      assert.is_truthy(failure.reason:find(case[2], 1, not options.is_pattern), failure.reason)
      assert.is_true(#failure.reason <= 255, failure.reason)
    end)
  end

  it("in 25 ways at least", function()
    local count = 0
    for _ in pairs(CASES) do count = count + 1 end
    assert.is_true(count >= 25)
  end)

  it("and shows of the peer's bytes what is printable alone, cut to a length", function()
    local chain = leaf { extensions = raw_name("\27[31m" .. ("x"):rep(200)), subject = "/CN=" .. ("y"):rep(64) }
    local _, failure = shake(chain, {})
    assert.is_truthy(failure.reason:find("for %?%[31mx+%.%.%., not for tide%.example$"), failure.reason)
  end)
end)
