local fixtures = require("tls.fixtures")
local messages = require("tls.messages")
local pair = require("tls.pair")

local alert, vector = pair.alert, messages.vector
local YEAR = 365 * 24 * 3600

local function run(options)
  local p = pair.new(options)
  local ok, failure = p:run()
  return ok, failure, p
end

local function accepted(options)
  local ok, failure, p = run(options)
  assert.is_nil(failure and failure.reason)
  assert.is_true(ok)
  return p
end

local function refused(code, options)
  local _, failure, p = run(options)
  assert(failure, "nobody refused it")
  assert.same({ "client", code }, { failure.side, failure.code })
  assert.is_nil(p.secrets.client["3write"])
end

describe("a server's chain", function()
  local certificates = fixtures.certificates()

  it("is verified up to a root, by way of an intermediate too", function()
    accepted({})
    accepted({ server = { certificate = "deep" } })
    accepted({ server = { certificate = "byrsa" }, client = { roots = certificates.rsaca[1] } })
  end)

  -- covers: rfc9001#4.4.1
  it("must end at a root that is trusted", function()
    refused(alert(48), { client = { roots = certificates.stranger[1] } })
    refused(alert(48), { client = { roots = "" } })
    refused(alert(48), { server = { certificate = "unknown" } })
  end)

  it("must be for the name", function()
    for _, name in ipairs({ "a.wild.test", "EXAMPLE.test", "192.0.2.1", "2001:db8::1" }) do
      accepted({ name = name })
    end
    for _, name in ipairs({ "wrong.test", "a.example.test", "a.b.wild.test", "wild.test", "192.0.2.2",
      "2001:db8::2", "p256" }) do
      refused(alert(42), { name = name })
    end
  end)

  it("must be valid now", function()
    refused(alert(45), { now = fixtures.now + 2 * YEAR })
    refused(alert(45), { now = fixtures.now - YEAR })
  end)

  it("must be meant for a server", function()
    refused(alert(43), { server = { certificate = "client" } })
  end)

  it("may be held by a pin instead of a root", function()
    accepted({ client = { roots = "", pin = certificates.pin } })
    refused(alert(46), { client = { roots = "", pin = ("x"):rep(32) } })
    refused(alert(46), { client = { pin = ("x"):rep(32) } })
  end)

  it("is held by a pin alone when verification is off, whatever the roots, the name and the date", function()
    local later = fixtures.now + 2 * YEAR
    for _, roots in ipairs({ "", certificates.stranger[1] }) do
      local pinned = { verify = false, roots = roots, pin = certificates.pin }
      accepted({ client = pinned, name = "wrong.test", now = later })
      refused(alert(46), { client = pinned, server = { certificate = "stranger" }, name = "wrong.test" })
      refused(alert(46), { client = { verify = false, roots = roots, pin = ("x"):rep(32) } })
    end
  end)

  it("is not looked at when verification is off and nothing is pinned, but its key must sign", function()
    accepted({ client = { verify = false, roots = "" }, server = { certificate = "stranger" }, name = "wrong.test" })
    local _, failure = pair.tampered({ client = { verify = false } }, "server", messages.CERTIFICATE, function()
      local other = pair.new({ server = { certificate = "other" } })
      other:move("client", "server", 0)
      return messages.split(other.server:output(2))[2]
    end)
    assert.same({ "client", alert(51) }, { failure.side, failure.code })
  end)

  it("is shown to the owner", function()
    local p = accepted({})
    local sent = messages.body(p.seen[4].message)
    local leaf = p.client:info().certificate
    assert.is_true(#leaf > 200)
    assert.equal(leaf, sent:sub(8, 7 + #leaf))
    assert.equal("", p.server:info().certificate)
  end)
end)

describe("a Certificate message", function()
  local function body(text)
    local _, failure = pair.tampered({}, "server", messages.CERTIFICATE, function(message)
      if type(text) == "function" then text = text(messages.body(message)) end
      return messages.build(messages.CERTIFICATE, text)
    end)
    assert.equal("client", failure.side)
    return failure.code
  end
  -- The first entry of a message's body, without its extensions.
  local function entry(m)
    local size = m:byte(5) * 65536 + m:byte(6) * 256 + m:byte(7)
    return m:sub(5, 7 + size)
  end
  local function list(...) return "\0" .. vector(table.concat({ ... }), 3) end

  -- covers: rfc8446#4.4.2.4.1 rfc8446#4.4.2.15
  it("is refused when it is empty", function() assert.equal(alert(50), body("\0\0\0\0")) end)

  it("is refused when it cannot be parsed", function()
    for _, text in ipairs({ "", "\0", "\0\0\0", "\0\0\0\1", "\0\0\0\0\0", "\0\0\0\5\0\0\0\0\0", "\0\0\0\4\0\0\1x",
      "\0\0\0\6\0\0\1x\0\1", "\1\0\0\0" }) do
      assert.equal(alert(50), body(text))
    end
    assert.equal(alert(50), body(function(m) return m .. "\0" end))
    assert.equal(alert(50), body(function(m) return m:sub(1, -2) end))
  end)

  it("is refused with a context", function()
    assert.equal(alert(47), body(function(m) return "\1c" .. m:sub(2) end))
  end)

  -- covers: rfc8446#4.4.2.6
  it("is refused with extensions that were not asked for", function()
    assert.equal(alert(110), body(function(m) return list(entry(m), vector("\0\5\0\0", 2)) end))
    assert.equal(alert(110), body(function(m) return list(entry(m), vector("\0\18\0\0", 2)) end))
    assert.equal(alert(110), body(function(m) return list(entry(m), vector("\250\250\0\0", 2)) end))
    assert.equal(alert(47), body(function(m) return list(entry(m), vector("\0\51\0\0", 2)) end))
    assert.equal(alert(50), body(function(m) return list(entry(m), vector("\0\5\0\1", 2)) end))
  end)

  it("is refused when a certificate is none, or there are more than ten", function()
    assert.equal(alert(42), body(list(vector(("x"):rep(500), 3), "\0\0")))
    assert.equal(alert(42), body(function(m) return list((entry(m) .. "\0\0"):rep(11)) end))
  end)
end)

describe("a CertificateVerify message", function()
  local function body(change, options)
    local _, failure = pair.tampered(options or {}, "server", messages.CERTIFICATE_VERIFY, function(message)
      return messages.build(messages.CERTIFICATE_VERIFY, change(messages.body(message)))
    end)
    assert.equal("client", failure.side)
    return failure.code
  end

  -- covers: rfc8446#4.4.3.9 rfc8446#4.4.3.10
  it("is refused when the signature does not fit", function()
    for _, kind in ipairs(fixtures.KINDS) do
      local options = { server = { certificate = kind } }
      assert.equal(alert(51), body(function(m)
        return m:sub(1, 40) .. string.char((m:byte(41) + 1) % 256) .. m:sub(42)
      end, options))
      assert.equal(alert(51), body(function(m) return m:sub(1, 2) .. "\0\0" end, options))
      assert.equal(alert(51), body(function(m) return m:sub(1, 2) .. vector(("s"):rep(600), 2) end, options))
    end
  end)

  -- covers: rfc8446#4.4.3.7 rfc8446#4.4.3.8
  it("is refused with a scheme that was not offered: PKCS#1, SHA-1, a number of no scheme", function()
    for _, scheme in ipairs({ "\4\1", "\2\3", "\2\1", "\250\250", "\0\0" }) do
      assert.equal(alert(47), body(function(m) return scheme .. m:sub(3) end))
    end
  end)

  -- covers: rfc8446#4.4.3.6
  it("is refused with a scheme that does not fit the certificate's key", function()
    for _, scheme in ipairs({ "\8\4", "\5\3" }) do
      assert.equal(alert(51), body(function(m) return scheme .. m:sub(3) end))
    end
  end)

  it("is refused when it cannot be parsed", function()
    for size = 0, 3 do assert.equal(alert(50), body(function(m) return m:sub(1, size) end)) end
    assert.equal(alert(50), body(function(m) return m .. "\0" end))
    assert.equal(alert(50), body(function(m) return m:sub(1, -2) end))
  end)
end)
