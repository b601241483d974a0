local helper = require("helper")
local crypto = require("neap.units").crypto
local tls = require("neap.units").tls

--- The value of a field in a section of RFC 8448, at the nth step whose name has these words.
local function trace(section)
  return function(step, field, nth)
    local left = nth or 1
    for _, row in ipairs(require("spec.vectors.rfc8448")) do
      if row[1] == section and row[2]:find(step, 1, true) and row[3] == field then
        left = left - 1
        if left == 0 then return helper.unhex(row[4]) end
      end
    end
    error(("no %s at %s in section %s"):format(field, step, section))
  end
end

local function has(section, step)
  for _, row in ipairs(require("spec.vectors.rfc8448")) do
    if row[1] == section and row[2]:find(step, 1, true) then return true end
  end
  return false
end

-- The keys that records are protected with, which come of a secret.
local function check_keys(value, step, secret)
  for label, size in pairs({ key = 16, iv = 12 }) do
    assert.equal(helper.hex(value(step, label .. " expanded")),
      helper.hex(crypto.expand_label(256, secret, label, "", size)))
  end
end

-- What all traces have: everything from ServerHello on. Which of them asks for the client's certificate has three
-- messages more.
local function check_from_server_hello(schedule, section, server_hello)
  local value = trace(section)
  schedule:add(server_hello)
  schedule:handshake(value('extract secret "handshake"', "IKM"))
  local secrets = schedule:secrets()
  assert.equal(helper.hex(value('extract secret "handshake"', "secret")), helper.hex(secrets.secret))
  assert.equal(helper.hex(value('derive secret "tls13 c hs traffic"', "expanded")),
    helper.hex(secrets.client_handshake))
  assert.equal(helper.hex(value('derive secret "tls13 s hs traffic"', "expanded")),
    helper.hex(secrets.server_handshake))
  schedule:add(value("construct an EncryptedExtensions handshake", "EncryptedExtensions"))
  check_keys(value, "{server} derive write traffic keys for handshake data", secrets.server_handshake)
  check_keys(value, "{server} derive read traffic keys for handshake data", secrets.client_handshake)
  local asks = has(section, "construct a CertificateRequest")
  if asks then schedule:add(value("construct a CertificateRequest handshake", "CertificateRequest")) end
  schedule:add(value("{server} construct a Certificate handshake", "Certificate"))
  schedule:add(value("{server} construct a CertificateVerify handshake", "CertificateVerify"))
  assert.equal(helper.hex(value('{server} calculate finished', "finished")),
    helper.hex(schedule:finished(secrets.server_handshake)))
  schedule:add(value("{server} construct a Finished handshake", "Finished"))
  schedule:application()
  local client_handshake = secrets.client_handshake
  secrets = schedule:secrets()
  assert.equal(helper.hex(value('extract secret "master"', "secret")), helper.hex(secrets.secret))
  assert.equal(helper.hex(value('derive secret "tls13 c ap traffic"', "expanded")),
    helper.hex(secrets.client_application))
  assert.equal(helper.hex(value('derive secret "tls13 s ap traffic"', "expanded")),
    helper.hex(secrets.server_application))
  assert.equal(helper.hex(value('derive secret "tls13 exp master"', "expanded")), helper.hex(secrets.exporter))
  check_keys(value, "{server} derive write traffic keys for application data", secrets.server_application)
  check_keys(value, "{client} derive write traffic keys for application data", secrets.client_application)
  if asks then
    schedule:add(value("{client} construct a Certificate handshake", "Certificate"))
    schedule:add(value("{client} construct a CertificateVerify handshake", "CertificateVerify"))
  end
  assert.equal(helper.hex(value('{client} calculate finished "tls13 finished"', "finished")),
    helper.hex(schedule:finished(client_handshake)))
  schedule:add(value("{client} construct a Finished handshake", "Finished"))
  if has(section, 'derive secret "tls13 res master"') then
    assert.equal(helper.hex(value('derive secret "tls13 res master"', "expanded")),
      helper.hex((schedule:resumption("\0\0"))))
  end
end

describe("the key schedule", function()
  it("gives the values of RFC 8448 section 3, a simple handshake", function()
    local value = trace("3")
    local schedule = tls.schedule(0x1301)
    schedule:add(value("construct a ClientHello", "ClientHello"))
    check_from_server_hello(schedule, "3", value("construct a ServerHello", "ServerHello"))
  end)

  it("gives the values of RFC 8448 section 5, with a HelloRetryRequest", function()
    local value = trace("5")
    local schedule = tls.schedule(0x1301)
    schedule:add(value("construct a ClientHello", "ClientHello"))
    schedule:retry()
    schedule:add(value("construct a ServerHello", "ServerHello"))
    schedule:add(value("construct a ClientHello", "ClientHello", 2))
    check_from_server_hello(schedule, "5", value("construct a ServerHello", "ServerHello", 2))
  end)

  local others = { ["6"] = "with a certificate of the client", ["7"] = "with session ids for middle boxes" }
  for section, what in pairs(others) do
    it(("gives the values of RFC 8448 section %s, %s"):format(section, what), function()
      local value = trace(section)
      local schedule = tls.schedule(0x1301)
      schedule:add(value("construct a ClientHello", "ClientHello"))
      check_from_server_hello(schedule, section, value("construct a ServerHello", "ServerHello"))
    end)
  end

  it("gives the values of RFC 8448 section 3 and 4, a session and its resumption", function()
    local value, later = trace("3"), trace("4")
    local schedule = tls.schedule(0x1301)
    schedule:add(value("construct a ClientHello", "ClientHello"))
    check_from_server_hello(schedule, "3", value("construct a ServerHello", "ServerHello"))
    local master, psk = schedule:resumption("\0\0")
    assert.equal(helper.hex(value('derive secret "tls13 res master"', "expanded")), helper.hex(master))
    assert.equal(helper.hex(later('extract secret "early"', "IKM")), helper.hex(psk))

    schedule = tls.schedule(0x1301)
    assert.equal(helper.hex(later("calculate PSK binder", "finished")),
      helper.hex(schedule:binder(psk, later("calculate PSK binder", "ClientHello prefix"))))
    -- The trace's ClientHello is the one without its binder, too.
    local hello = later("calculate PSK binder", "ClientHello prefix") .. helper.unhex("002120")
      .. later("calculate PSK binder", "finished")
    assert.equal(helper.hex(later('derive secret "tls13 c e traffic"', "expanded")),
      helper.hex(schedule:early(psk, hello)))
    local early = later("derive write traffic keys for early application data", "PRK")
    assert.equal(helper.hex(later("derive write traffic keys for early application data", "key expanded")),
      helper.hex(crypto.expand_label(256, early, "key", "", 16)))
    assert.equal(helper.hex(later("derive write traffic keys for early application data", "iv expanded")),
      helper.hex(crypto.expand_label(256, early, "iv", "", 12)))
    schedule:add(hello)
    schedule:add(later("construct a ServerHello", "ServerHello"))
    schedule:handshake(later('extract secret "handshake"', "IKM"), psk)
    local secrets = schedule:secrets()
    assert.equal(helper.hex(later('extract secret "handshake"', "secret")), helper.hex(secrets.secret))
    assert.equal(helper.hex(later('derive secret "tls13 c hs traffic"', "expanded")),
      helper.hex(secrets.client_handshake))
    schedule:add(later("construct an EncryptedExtensions handshake", "EncryptedExtensions"))
    assert.equal(helper.hex(later("{server} calculate finished", "finished")),
      helper.hex(schedule:finished(secrets.server_handshake)))
    schedule:add(later("{server} construct a Finished handshake", "Finished"))
    schedule:application()
    assert.equal(helper.hex(later('derive secret "tls13 c ap traffic"', "expanded")),
      helper.hex(schedule:secrets().client_application))
  end)

  it("begins with the constants that no PSK leads to", function()
    for suite, bits in pairs({ [0x1301] = 256, [0x1302] = 384 }) do
      local size = bits / 8
      local zeros, nothing = ("\0"):rep(size), (crypto.hash(bits, ""))
      local early = crypto.hkdf_extract(bits, zeros, zeros)
      local salt = crypto.expand_label(bits, early, "derived", nothing, size)
      local schedule = tls.schedule(suite)
      schedule:handshake("shared")
      local handshake = schedule:secrets().secret
      assert.equal(helper.hex(crypto.hkdf_extract(bits, salt, "shared")), helper.hex(handshake))
      schedule:application()
      salt = crypto.expand_label(bits, handshake, "derived", nothing, size)
      assert.equal(helper.hex(crypto.hkdf_extract(bits, salt, zeros)), helper.hex(schedule:secrets().secret))
    end
  end)

  it("is as wide as the hash of the suite", function()
    for suite, size in pairs({ [0x1301] = 32, [0x1302] = 48, [0x1303] = 32 }) do
      local schedule = tls.schedule(suite)
      schedule:handshake(("k"):rep(32))
      schedule:application()
      for name, secret in pairs(schedule:secrets()) do assert.equal(size, #secret, name) end
      assert.equal(size, #schedule:finished(schedule:secrets().client_handshake))
    end
  end)
end)
