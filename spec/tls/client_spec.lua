--- What a client sends, and what it refuses of a server.
local engines = require("neap.units").engines
local fixtures = require("tls.fixtures")
local messages = require("tls.messages")
local pair = require("tls.pair")

local alert, bytes, vector = pair.alert, messages.bytes, messages.vector
local set = messages.set_extension
local GROUPS = fixtures.GROUPS
local HRR = { client = { groups = { GROUPS.X25519, GROUPS.P256 } }, server = { groups = { GROUPS.P256 } } }

local function copy(options)
  local out = {}
  for k, v in pairs(options) do out[k] = v end
  return out
end

-- The code with which a client refuses a server's message that was changed on its way.
local function refusal(kind, change, options)
  local _, failure = pair.tampered(copy(options or {}), "server", kind, change)
  assert(failure, "nobody refused it")
  assert.equal("client", failure.side)
  return failure.code
end

local function edited(kind, change, options)
  return refusal(kind, function(message) return messages.edit(message, change) end, options)
end

-- A message with this body instead.
local function body(kind, text, options)
  return refusal(kind, function(message) return messages.build(messages.kind(message), text) end, options)
end

describe("a ClientHello", function()
  local function hello(options, name)
    local config = assert(fixtures.client_config(options))
    local client = assert(config:client(name, "our params", fixtures.now))
    local list = messages.split(client:output(0))
    assert.equal(1, #list)
    return messages.read(list[1])
  end

  -- covers: rfc8446#4.1.2.1 rfc8446#4.1.2.6 rfc8446#4.1.2.10 rfc8446#4.1.2.13 rfc9001#8.4.1
  it("has the fixed fields of TLS 1.3 and no session id", function()
    local m = hello({}, "example.test")
    assert.equal("\3\3", m.version)
    assert.equal(32, #m.random)
    assert.equal("", m.session)
    assert.equal("\0", m.compressions)
  end)

  -- covers: rfc9001#4.2.1 rfc8446#4.2.1.1
  it("offers TLS 1.3 and nothing older", function()
    assert.equal("\2\3\4", messages.extension(hello({}, "example.test"), 43))
  end)

  -- covers: rfc8446#4.2.8.3 rfc8446#D.5.2 rfc8446#D.5.3 rfc8446#9.2.5 rfc8446#9.2.6 rfc8446#B.3.1.4.1
  it("offers suites and groups in the order of the config, and one share for the first group", function()
    local m = hello({ suites = { 0x1303, 0x1301 }, groups = { GROUPS.P384, GROUPS.X25519 } }, "example.test")
    assert.equal("\19\3\19\1", m.suites)
    assert.equal("\0\4\0\24\0\29", messages.extension(m, 10))
    local share = messages.extension(m, 51)
    assert.equal("\0\101\0\24\0\97\4", share:sub(1, 7))
    assert.equal("\0\6\0\29\0\23\0\24", messages.extension(hello({}, "example.test"), 10))
  end)

  it("offers AES-128-GCM first where the CPU has instructions for it, else ChaCha20-Poly1305", function()
    for _, engine in ipairs(engines.names()) do
      local m = hello({ engine = engine }, "example.test")
      assert.equal(engine == "mbedtls" and "\19\3\19\1\19\2" or "\19\1\19\2\19\3", m.suites)
    end
  end)

  -- covers: rfc8446#9.2.13
  it("names the server, but no address, and without the root's dot", function()
    assert.equal("\0\15\0\0\12example.test", messages.extension(hello({}, "example.test"), 0))
    assert.equal("\0\15\0\0\12example.test", messages.extension(hello({}, "example.test."), 0))
    for _, name in ipairs({ "192.0.2.1", "2001:db8::1" }) do
      assert.is_nil(messages.extension(hello({}, name), 0))
    end
    assert.is_nil(messages.extension(hello({ verify = false }, nil), 0))
  end)

  it("carries protocols and transport parameters, and no PSK nor early data", function()
    local m = hello({ alpn = { "h3", "other" } }, "example.test")
    assert.equal("\0\9\2h3\5other", messages.extension(m, 16))
    assert.equal("our params", messages.extension(m, 57))
    for _, kind in ipairs({ 41, 42, 44, 45, 49 }) do assert.is_nil(messages.extension(m, kind)) end
  end)

  -- covers: rfc8446#9.2.2
  it("has what must be with what it offers: versions, schemes, groups and shares, names, keys and how they are used",
    function()
      local m = hello({ psks = { { "sensor", ("k"):rep(32), 256 } } }, "example.test")
      for _, kind in ipairs({ 43, 13, 10, 51, 0, 41, 45 }) do assert.is_truthy(messages.extension(m, kind), kind) end
      m = hello({ roots = "", psks = { { "sensor", ("k"):rep(32), 256 } } }, "example.test")
      for _, kind in ipairs({ 43, 10, 51, 0, 41, 45 }) do assert.is_truthy(messages.extension(m, kind), kind) end
    end)

  -- covers: rfc8446#4.2.3.2 rfc8446#9.1.2 rfc8446#4.2.3.20 rfc8446#4.2.3.21 rfc8446#9.2.4 rfc8446#9.2.1
  it("lists signature schemes, those for certificates only at the end, none with SHA-1 or MD5", function()
    local list = messages.extension(hello({}, "example.test"), 13):sub(3)
    local seen = {}
    for at = 1, #list, 2 do seen[list:byte(at) * 256 + list:byte(at + 1)] = (at + 1) / 2 end
    assert.truthy(seen[0x0403] and seen[0x0503] and seen[0x0804])
    assert.same({ #list / 2 - 2, #list / 2 - 1, #list / 2 }, { seen[0x0401], seen[0x0501], seen[0x0601] })
    for scheme in pairs(seen) do assert.is_true(scheme >= 0x0400 and scheme % 256 ~= 2) end
  end)
end)

describe("a client that gets ServerHello", function()
  local KIND = messages.SERVER_HELLO

  -- covers: rfc8446#D.5.10 rfc8446#4.2.1.11 rfc8446#4.2.1.13 rfc9001#4.2.2 rfc8446#D.1.3
  it("refuses what is not TLS 1.3", function()
    assert.equal(alert(70), edited(KIND, function(m) m.version = "\3\0" end))
    assert.equal(alert(70), edited(KIND, set(43, nil)))
    assert.equal(alert(47), edited(KIND, set(43, "\3\3")))
    assert.equal(alert(47), edited(KIND, set(43, "\127\28")))
    assert.equal(alert(50), edited(KIND, set(43, "\3\4\0")))
    assert.equal(alert(50), edited(KIND, set(43, "\3")))
  end)

  -- covers: rfc8446#4.2.1.12
  it("does not look at the version of old", function()
    -- What it refuses then is the server's signature over another ServerHello.
    local options = { filter = function(side, _, message)
      if side == "server" and messages.kind(message) == KIND then
        return messages.edit(message, function(m) m.version = "\3\1" end)
      end
    end }
    local _, failure = pair.new(options):run()
    assert.same({ "client", alert(51) }, { failure.side, failure.code })
  end)

  -- covers: rfc8446#4.1.3.4 rfc8446#4.1.3.5 rfc8446#4.1.3.6
  it("refuses a session id, a suite that was not offered and compression", function()
    assert.equal(alert(47), edited(KIND, function(m) m.session = ("s"):rep(32) end))
    assert.equal(alert(50), edited(KIND, function(m) m.session = ("s"):rep(33) end))
    assert.equal(alert(47), edited(KIND, function(m) m.suite = "\19\4" end))
    assert.equal(alert(47), edited(KIND, function(m) m.suite = "\19\2" end, { client = { suites = { 0x1301 } } }))
    assert.equal(alert(47), edited(KIND, function(m) m.compression = "\1" end))
  end)

  -- covers: rfc8446#2.1 rfc8446#4.2.8.12 rfc8446#7.4.2.3
  it("refuses a key share that is missing, of another group or no public key", function()
    assert.equal(alert(109), edited(KIND, set(51, nil)))
    assert.equal(alert(47), edited(KIND, set(51, "\0\23" .. vector("\4" .. ("k"):rep(64), 2))))
    assert.equal(alert(47), edited(KIND, set(51, "\0\29" .. vector(("\0"):rep(32), 2))))
    assert.equal(alert(47), edited(KIND, set(51, "\0\29" .. vector(("k"):rep(31), 2))))
    assert.equal(alert(50), edited(KIND, set(51, "\0\29\0\0")))
    assert.equal(alert(50), edited(KIND, set(51, "\0\29" .. vector(("k"):rep(32), 2) .. "\0")))
    assert.equal(alert(50), edited(KIND, set(51, "\0")))
    for group, size in pairs({ [GROUPS.P256] = 65, [GROUPS.P384] = 97 }) do
      local options = { client = { groups = { group } } }
      local function share(key) return bytes(group, 2) .. vector(key, 2) end
      assert.equal(alert(47), edited(KIND, set(51, share("\4" .. ("k"):rep(size - 1))), options))
      assert.equal(alert(47), edited(KIND, set(51, share("\4" .. ("\0"):rep(size - 1))), options))
      assert.equal(alert(47), edited(KIND, set(51, share("\0")), options))
      assert.equal(alert(47), edited(KIND, set(51, share("\4" .. ("k"):rep(size))), options))
      assert.equal(alert(47), edited(KIND, set(51, share("\2" .. ("k"):rep(size / 2 - 0.5))), options))
    end
  end)

  -- covers: rfc8446#4.2.3 rfc8446#4.2.4 rfc8446#4.2.5 rfc8446#4.2.7
  it("refuses extensions that it did not ask for, in a wrong place, or twice", function()
    assert.equal(alert(110), edited(KIND, set(0xfafa, "")))
    assert.equal(alert(110), edited(KIND, set(41, "\0\0")))
    assert.equal(alert(47), edited(KIND, set(16, "\0\3\2h3")))
    assert.equal(alert(47), edited(KIND, set(44, "\0\1c")))
    assert.equal(alert(47), edited(KIND, function(m) table.insert(m.extensions, { 43, "\3\4" }) end))
  end)

  -- covers: rfc8446#6.6
  it("refuses what cannot be parsed", function()
    assert.equal(alert(50), body(KIND, ""))
    for size = 1, 40 do
      -- 38 bytes are a whole ServerHello of TLS 1.2, which may end before the extensions.
      assert.equal(size == 38 and alert(70) or alert(50),
        refusal(KIND, function(m) return messages.build(KIND, m:sub(5, 4 + size)) end))
    end
    assert.equal(alert(50), refusal(KIND, function(m) return messages.build(KIND, m:sub(5) .. "\0") end))
  end)
end)

describe("a client that gets HelloRetryRequest", function()
  local KIND = messages.SERVER_HELLO
  local P256, X25519, P384 = "\0\23", "\0\29", "\0\24"

  -- covers: rfc8446#4.1.4.7 rfc8446#4.1.2.2 rfc8446#4.2.8.11
  it("sends the same ClientHello with a share of that group", function()
    local p = pair.new(copy(HRR))
    assert.is_true((p:run()))
    local first, second = messages.read(p.seen[1].message), messages.read(p.seen[3].message)
    assert.equal(P256, messages.extension(second, 51):sub(3, 4))
    set(51, "")(first)
    set(51, "")(second)
    assert.same(first, second)
    assert.equal(GROUPS.P256, p.client:info().group)
  end)

  -- covers: rfc8446#4.2.2.2
  it("sends the cookie back", function()
    for _, asked in ipairs({ P256, false }) do
      local p = pair.new(copy(HRR))
      p:move("client", "server", 0)
      local first = messages.read(p.seen[1].message)
      local cookie = ("cookie"):rep(1000)
      local request = messages.edit(messages.split(p.server:output(0))[1], function(m)
        set(44, vector(cookie, 2))(m)
        set(51, asked or nil)(m)
      end)
      assert.is_true(p:deliver("client", 0, request))
      local second = messages.read(p.client:output(0))
      assert.equal(vector(cookie, 2), messages.extension(second, 44))
      assert.equal(asked or X25519, messages.extension(second, 51):sub(3, 4))
      if not asked then assert.equal(messages.extension(first, 51), messages.extension(second, 51)) end
    end
  end)

  -- covers: rfc8446#4.1.4.5 rfc8446#4.2.8.9 rfc8446#4.2.8.10
  it("refuses one that asks for nothing new", function()
    assert.equal(alert(47), edited(KIND, set(51, X25519), HRR))
    assert.equal(alert(47), edited(KIND, set(51, P384), HRR))
    assert.equal(alert(47), edited(KIND, set(51, "\1\0"), HRR))
    assert.equal(alert(47), edited(KIND, set(51, nil), HRR))
  end)

  -- covers: rfc8446#4.1.4.3 rfc8446#4.1.4.4 rfc8446#4.1.4.8
  it("checks it like a ServerHello", function()
    assert.equal(alert(47), edited(KIND, function(m) m.session = "s" end, HRR))
    assert.equal(alert(47), edited(KIND, function(m) m.suite = "\19\5" end, HRR))
    assert.equal(alert(47), edited(KIND, function(m) m.compression = "\1" end, HRR))
    assert.equal(alert(70), edited(KIND, set(43, nil), HRR))
    assert.equal(alert(47), edited(KIND, set(43, "\3\3"), HRR))
    assert.equal(alert(110), edited(KIND, set(0xfafa, ""), HRR))
    assert.equal(alert(47), edited(KIND, set(16, ""), HRR))
    assert.equal(alert(50), edited(KIND, set(51, "\0\23\0"), HRR))
    assert.equal(alert(50), edited(KIND, set(44, ""), HRR))
    assert.equal(alert(50), edited(KIND, set(44, "\0\0"), HRR))
    assert.equal(alert(50), edited(KIND, set(44, "\0\2c"), HRR))
  end)

  -- covers: rfc8446#4.1.4.6 rfc8446#4.1.4.10 rfc8446#4.1.4.12 rfc8446#4.2.8.14 rfc8446#4.2.8.15
  it("refuses a second one, and a ServerHello of another suite or group", function()
    local function after_retry(change)
      local request
      local options = copy(HRR)
      options.server = { groups = HRR.server.groups, suites = { 0x1301 } }
      options.filter = function(side, _, message, count)
        if side ~= "server" or messages.kind(message) ~= KIND then return message end
        if count == 2 then
          request = message
          return message
        end
        return change(message, request)
      end
      local _, failure = pair.new(options):run()
      assert.equal("client", failure.side)
      return failure.code
    end
    assert.equal(alert(10), after_retry(function(_, request) return request end))
    assert.equal(alert(47), after_retry(function(m)
      return messages.edit(m, function(fields) fields.suite = "\19\3" end)
    end))
    assert.equal(alert(47), after_retry(function(m)
      return messages.edit(m, set(51, X25519 .. vector(("k"):rep(32), 2)))
    end))
    assert.equal(alert(47), after_retry(function(m) return messages.edit(m, set(43, "\3\3")) end))
  end)
end)

describe("a client that gets EncryptedExtensions", function()
  local KIND = messages.ENCRYPTED_EXTENSIONS

  -- covers: rfc9001#8.1.2 rfc9001#8.1.3 rfc9001#8.1.7
  it("refuses when no application protocol of its own was chosen", function()
    assert.equal(0x178, edited(KIND, set(16, nil)))
    assert.equal(0x178, edited(KIND, set(16, "\0\3\2h2")))
    assert.equal(0x178, edited(KIND, set(16, "\0\2\1h")))
    for _, data in ipairs({ "", "\0", "\0\0", "\0\1\0", "\0\6\2h3\2h3", "\0\3\2h3\0", "\0\4\2h3", "\0\3\3h3" }) do
      assert.equal(alert(50), edited(KIND, set(16, data)))
    end
  end)

  -- covers: rfc9001#8.2.1
  it("refuses when there are no transport parameters", function()
    assert.equal(0x16d, edited(KIND, set(57, nil)))
  end)

  -- covers: rfc8446#4.3.1.2
  it("refuses extensions that it did not ask for, in a wrong place, or twice", function()
    for _, kind in ipairs({ 1, 14, 15, 19, 20, 42, 0x7777 }) do
      assert.equal(alert(110), edited(KIND, set(kind, "")))
    end
    for _, kind in ipairs({ 5, 13, 18, 21, 41, 43, 44, 45, 47, 48, 49, 50, 51 }) do
      assert.equal(alert(47), edited(KIND, set(kind, "")))
    end
    assert.equal(alert(110), edited(KIND, set(0, ""), { name = false, client = { verify = false } }))
    assert.equal(alert(50), edited(KIND, set(0, "\0")))
    assert.equal(alert(47), edited(KIND, function(m) table.insert(m.extensions, { 57, "" }) end))
  end)

  -- covers: rfc8446#4.2.7.1
  it("does not mind supported_groups", function()
    -- The message is in the transcript, so the server's signature is what does not fit then.
    assert.equal(alert(51), edited(KIND, set(10, "\0\2\0\29")))
  end)

  it("refuses what cannot be parsed", function()
    for _, text in ipairs({ "", "\0", "\0\1", "\0\0\0", "\0\3\0\57\0", "\0\4\0\57\0\1" }) do
      assert.equal(alert(50), body(KIND, text))
    end
  end)
end)

describe("a client that gets CertificateRequest", function()
  local function asked(text)
    return refusal(messages.CERTIFICATE, function(m)
      return messages.build(messages.CERTIFICATE_REQUEST, text) .. m
    end)
  end
  local schemes = "\0\13" .. vector(vector("\4\3", 2), 2)

  -- covers: rfc8446#4.3.2.4 rfc8446#4.3.2.6
  it("refuses one that is malformed, has a context, or no signature algorithms", function()
    for _, text in ipairs({ "", "\0", "\0\0", "\0\0\1", "\0" .. vector(schemes, 2) .. "\0" }) do
      assert.equal(alert(50), asked(text))
    end
    assert.equal(alert(47), asked("\1c" .. vector(schemes, 2)))
    assert.equal(alert(109), asked("\0\0\0"))
    assert.equal(alert(47), asked("\0" .. vector(schemes .. "\0\43\0\0", 2)))
  end)

  -- covers: rfc8446#9.3.6 rfc8446#4.3.2.7
  it("goes on with one that is well-formed, whatever unknown is in it", function()
    -- Our server asks for none, so its signature is over another transcript.
    assert.equal(alert(51), asked("\0" .. vector(schemes .. "\250\250\0\1x", 2)))
  end)

  it("refuses a second one", function()
    local text = "\0" .. vector(schemes, 2)
    assert.equal(alert(10), refusal(messages.CERTIFICATE, function(m)
      return messages.build(13, text):rep(2) .. m
    end))
  end)
end)

describe("a client that gets Finished", function()
  -- covers: rfc8446#4.4.4.1
  it("refuses one that does not fit", function()
    assert.equal(alert(51), refusal(20, function(m) return m:sub(1, -2) .. string.char((m:byte(-1) + 1) % 256) end))
    assert.equal(alert(51), refusal(20, function(m) return messages.build(20, ("\0"):rep(#m - 4)) end))
    assert.equal(alert(50), body(20, ""))
    assert.equal(alert(50), refusal(20, function(m) return messages.build(20, m:sub(5) .. "\0") end))
    assert.equal(alert(50), refusal(20, function(m) return messages.build(20, m:sub(5, -2)) end))
  end)
end)
