--- What a server refuses of a client, and what it chooses.
local fixtures = require("tls.fixtures")
local helper = require("helper")
local messages = require("tls.messages")
local pair = require("tls.pair")

local alert, vector = pair.alert, messages.vector
local set = messages.set_extension
local GROUPS = fixtures.GROUPS

-- A ClientHello, changed, given to a server alone: true or nil and the code, and the server.
local function offer(change, options)
  options = options or {}
  local client = assert(assert(fixtures.client_config(options.client)):client(
    options.name or "example.test", "client params", fixtures.now))
  local server = assert(assert(fixtures.server_config(options.server)):server("server params", fixtures.now))
  local hello = client:output(0)
  local ok, code = server:receive(0, change and messages.edit(hello, change) or hello)
  return ok, code, server, client
end

local function refused(code, change, options)
  local ok, got = offer(change, options)
  assert.is_nil(ok)
  assert.equal(code, got)
end

local function taken(change, options)
  local ok, code, server, client = offer(change, options)
  assert.equal("nil", tostring(code))
  assert.is_true(ok)
  return server, client
end

local function chosen_certificate(server)
  for _, m in ipairs(messages.split(server:output(pair.HANDSHAKE))) do
    if messages.kind(m) == messages.CERTIFICATE then return m end
  end
end

-- Which of the named certificates a server shows.
local function shown(server, names)
  local message = chosen_certificate(server)
  for _, name in ipairs(names) do
    local probe = taken(nil, { server = { certificate = name } })
    if chosen_certificate(probe) == message then return name end
  end
end

describe("a server that gets ClientHello", function()
  -- covers: rfc8446#D.5.10 rfc8446#4.2.1.4 rfc8446#4.2.1.5 rfc8446#4.2.1.7 rfc9001#4.2.2
  -- covers: rfc8446#D.2.1 rfc8446#D.2.3 rfc8446#D.2.4 rfc8446#D.5.4 rfc8446#D.5.5
  it("speaks TLS 1.3 only, by supported_versions only", function()
    refused(alert(70), function(m) m.version = "\3\0" end)
    refused(alert(70), function(m) m.version = "\0\2" end)
    taken(function(m) m.version = "\3\1" end)
    refused(alert(70), set(43, nil))
    refused(alert(70), set(43, "\4\3\3\3\2"))
    taken(set(43, "\8\250\250\127\28\3\4\3\3"))
    for _, data in ipairs({ "", "\0", "\1\3", "\3\3\4\3", "\2\3\4\0", "\4\3\4" }) do
      refused(alert(50), set(43, data))
    end
  end)

  -- covers: rfc9001#8.4.2
  it("refuses a session id", function()
    refused(pair.PROTOCOL_VIOLATION, function(m) m.session = ("s"):rep(32) end)
    refused(pair.PROTOCOL_VIOLATION, function(m) m.session = "s" end)
    refused(alert(50), function(m) m.session = ("s"):rep(33) end)
  end)

  -- covers: rfc8446#4.1.2.14
  it("refuses compression", function()
    refused(alert(47), function(m) m.compressions = "\1\0" end)
    refused(alert(47), function(m) m.compressions = "\1" end)
    refused(alert(50), function(m) m.compressions = "" end)
  end)

  -- covers: rfc8446#4.1.2.11 rfc8446#4.1.1.4 rfc9001#5.3.2
  it("chooses a suite by its own preference, and ignores unknown ones", function()
    refused(alert(40), function(m) m.suites = "\19\4\19\5\250\250" end)
    refused(alert(40), nil, { client = { suites = { 0x1301 } }, server = { suites = { 0x1302, 0x1303 } } })
    refused(alert(50), function(m) m.suites = "" end)
    refused(alert(50), function(m) m.suites = "\19\1\19" end)
    local server = taken(function(m) m.suites = "\250\250\19\1\19\2\0\255\19\3" end, {
      server = { suites = { 0x1303, 0x1301 } },
    })
    assert.equal(0x1303, server:info().suite)
  end)

  -- covers: rfc8446#9.2.9 rfc8446#9.2.10 rfc8446#9.2.11 rfc8446#9.2.12 rfc9001#8.2.1 rfc8446#4.2.3.3
  it("refuses one that lacks what it needs", function()
    for _, kind in ipairs({ 10, 13, 51, 57 }) do refused(alert(109), set(kind, nil)) end
  end)

  -- covers: rfc9001#8.1.2 rfc9001#8.1.6
  it("chooses a protocol by its own preference, or refuses", function()
    refused(0x178, set(16, nil))
    refused(0x178, set(16, "\0\3\2h2"))
    refused(0x178, set(16, "\0\5\4h3-2"))
    for _, data in ipairs({ "", "\0", "\0\0", "\0\1\0", "\0\4\2h3\0", "\0\3\3h3", "\0\3\2h3\0", "\0\4\2h3" }) do
      refused(alert(50), set(16, data))
    end
    local server = taken(set(16, "\0\12\2aa\2h3\5other"), { server = { alpn = { "none", "other", "h3" } } })
    assert.equal("other", server:info().alpn)
  end)

  -- covers: rfc8446#4.2.8.6 rfc8446#4.2.8.7
  it("refuses key shares that contradict each other or the groups", function()
    local key = vector(("k"):rep(32), 2)
    refused(alert(47), set(51, vector("\0\29" .. key .. "\0\29" .. key, 2)))
    refused(alert(47), set(10, "\0\2\0\23"))
    taken(function(m)
      local ours = messages.extension(m, 51):sub(3)
      set(51, vector("\250\250\0\1x" .. "\1\0\0\1x" .. ours, 2))(m)
    end)
    for _, data in ipairs({ "", "\0", "\0\1\0", "\0\4\0\29\0\0", "\0\5\0\29\0\2x", "\0\0\0" }) do
      refused(alert(50), set(51, data))
    end
    for _, data in ipairs({ "", "\0\0", "\0\1\0", "\0\3\0\29\0", "\0\2\0\29\0" }) do
      refused(alert(50), set(10, data))
    end
  end)

  -- covers: rfc8446#7.4.2.3 rfc8446#6.7 rfc8446#4.2.8.2.1
  it("refuses key shares that are no public keys", function()
    local function share(group, key) return set(51, vector(messages.bytes(group, 2) .. vector(key, 2), 2)) end
    refused(alert(47), share(GROUPS.X25519, ("\0"):rep(32)))
    refused(alert(47), share(GROUPS.X25519, ("k"):rep(31)))
    refused(alert(47), share(GROUPS.X25519, ("k"):rep(33)))
    for group, size in pairs({ [GROUPS.P256] = 65, [GROUPS.P384] = 97 }) do
      for _, key in ipairs({ "\0", "\4" .. ("k"):rep(size - 1), "\4" .. ("\0"):rep(size - 1),
        "\4" .. ("k"):rep(size - 2), "\2" .. ("k"):rep((size - 1) / 2), ("\255"):rep(2000) }) do
        refused(alert(47), share(group, key))
      end
    end
  end)

  -- covers: rfc8446#4.1.1.1
  it("refuses one without a group or signature scheme in common", function()
    refused(alert(40), nil, { client = { groups = { GROUPS.X25519 } }, server = { groups = { GROUPS.P384 } } })
    refused(alert(40), function(m)
      set(10, "\0\2\1\0")(m)
      set(51, "\0\0")(m)
    end)
    refused(alert(40), set(13, "\0\2\2\1"))
    refused(alert(40), set(13, "\0\2\8\4"), { server = { certificate = "p256" } })
    for _, data in ipairs({ "", "\0\0", "\0\1\4", "\0\3\4\3\4", "\0\2\4\3\0" }) do
      refused(alert(50), set(13, data))
    end
  end)

  -- covers: rfc8446#4.1.2.16 rfc8446#4.2.5 rfc8446#4.2.7 rfc8446#9.3.5 rfc8446#9.3.3 rfc8446#4.4.2.1.3
  it("ignores unknown extensions, but none may come twice or in a wrong place", function()
    taken(function(m)
      for i = 1, 40 do table.insert(m.extensions, i, { 0x1a1a + i * 0x101, ("x"):rep(i) }) end
    end)
    refused(alert(47), function(m) table.insert(m.extensions, { 43, "\2\3\4" }) end)
    refused(alert(47), function(m)
      for _ = 1, 2 do table.insert(m.extensions, { 0xfafa, "" }) end
    end)
    refused(alert(47), set(48, ""))
    refused(alert(47), function(m)
      for i = 1, 64 do table.insert(m.extensions, { 0x4000 + i, "" }) end
    end)
  end)

  -- covers: rfc8446#4.2.6 rfc8446#4.2.9.3 rfc8446#4.2.11.15 rfc8446#4.2.11.16
  it("ignores a PSK and early data, of which it does none yet, but not their form", function()
    local psk = vector(vector("ticket", 2) .. "\0\0\0\0", 2) .. vector(vector(("b"):rep(32), 1), 2)
    local server = taken(function(m)
      set(45, "\1\1")(m)
      set(42, "")(m)
      set(41, psk)(m)
    end)
    local kinds = {}
    for _, message in ipairs(messages.split(server:output(pair.HANDSHAKE))) do
      table.insert(kinds, messages.kind(message))
      if messages.kind(message) == messages.ENCRYPTED_EXTENSIONS then
        assert.is_nil(messages.extension(messages.read(message), 42))
      end
    end
    assert.same({ 8, 11, 15, 20 }, kinds)
    assert.is_nil(messages.extension(messages.read(server:output(0)), 41))
    refused(alert(109), set(41, psk))
    refused(alert(47), function(m)
      set(41, psk)(m)
      set(45, "\1\1")(m)
    end)
  end)

  -- covers: rfc8446#6.6
  it("refuses what cannot be parsed", function()
    local config = assert(fixtures.client_config())
    local hello = config:client("example.test", "p", fixtures.now):output(0)
    local server_config = assert(fixtures.server_config())
    for size = 0, #hello - 5 do
      local server = assert(server_config:server("p", fixtures.now))
      local ok, code = server:receive(0, messages.build(1, hello:sub(5, 4 + size)))
      assert.is_nil(ok)
      -- After the compression methods it is a whole ClientHello of TLS 1.2.
      assert.equal(size == 2 + 32 + 1 + 8 + 2 and alert(70) or alert(50), code)
      server:free()
    end
    local server = assert(server_config:server("p", fixtures.now))
    assert.equal(alert(50), (select(2, server:receive(0, messages.build(1, hello:sub(5) .. "\0")))))
  end)
end)

describe("a server's certificate", function()
  local names = { "p256", "other", "rsa" }

  local function for_name(name, certificates)
    return shown(taken(name and set(0, vector("\0" .. vector(name, 2), 2)) or set(0, nil),
      { server = { certificate = certificates or names } }), names)
  end

  -- covers: rfc8446#9.2.13
  it("is the one for the name that the client sent, else the first", function()
    assert.equal("p256", for_name("example.test"))
    assert.equal("other", for_name("other.test"))
    assert.equal("other", for_name("OTHER.Test"))
    assert.equal("p256", for_name("a.wild.test"))
    assert.equal("other", for_name("a.other-wild.test"))
    assert.equal("p256", for_name("unknown.test"))
    assert.equal("p256", for_name(nil))
    assert.equal("other", for_name("unknown.test", { "other", "p256" }))
    assert.equal("p256", for_name("example.test", { "other", "p256" }))
  end)

  -- covers: rfc8446#4.4.3.4 rfc8446#4.4.2.2.2 rfc8446#4.2.3.1
  it("has a key that can sign as the client wishes", function()
    local function with_schemes(schemes, name)
      return shown(taken(function(m)
        set(13, vector(schemes, 2))(m)
        set(0, vector("\0" .. vector(name, 2), 2))(m)
      end, { server = { certificate = names } }), names)
    end
    assert.equal("rsa", with_schemes("\8\4\8\5\8\6", "example.test"))
    assert.equal("p256", with_schemes("\8\4\4\3", "example.test"))
    assert.equal("rsa", with_schemes("\8\6", "other.test"))
  end)

  -- covers: rfc8446#4.4.2.2.5
  it("is signed, and so are those above it, as the client can verify, where there is such a chain", function()
    local ECDSA, RSA, PSS, ED25519 = "\4\3", "\4\1", "\8\4", "\8\7"
    local function shown_of(order, schemes, schemes_cert)
      return shown(taken(function(m)
        set(13, vector(schemes, 2))(m)
        if schemes_cert then set(50, vector(schemes_cert, 2))(m) end
      end, { name = "example.test", server = { certificate = order } }), order)
    end
    for _, order in ipairs({ { "byrsa", "p256" }, { "p256", "byrsa" } }) do
      assert.equal(order[1], shown_of(order, ECDSA .. RSA))
      assert.equal("p256", shown_of(order, ECDSA))
      assert.equal("p256", shown_of(order, ECDSA .. PSS))
      assert.equal("p256", shown_of(order, ECDSA .. RSA, ECDSA))
      assert.equal("byrsa", shown_of(order, ECDSA, RSA))
      assert.equal(order[1], shown_of(order, ECDSA, ED25519)) -- neither: the client may take it all the same
    end
    for _, data in ipairs({ "", "\0", "\0\0", "\0\1\4", "\0\3\4\3\4", "\0\2\4\3\0" }) do
      refused(alert(50), set(50, data))
    end
  end)

  it("is announced by an empty server_name when the name chose it", function()
    local function answer(name)
      local server = taken(nil, { name = name, server = { certificate = names } })
      return messages.extension(messages.read(messages.split(server:output(2))[1]), 0)
    end
    assert.equal("", answer("other.test"))
    assert.is_nil(answer("unknown.test"))
    assert.is_nil(answer("192.0.2.1"))
  end)

  it("does not come when the name is malformed", function()
    for _, data in ipairs({ "", "\0\0", "\0", "\0\1\0", "\0\3\0\0\0", "\0\4\0\0\2a", "\0\4\0\0\1a\0",
      "\0\3\0\0\1" }) do
      refused(alert(50), set(0, data))
    end
    local function names_list(...) return set(0, vector(table.concat({ ... }), 2)) end
    local function name(text) return "\0" .. vector(text, 2) end
    refused(alert(47), names_list(name("a.test"), name("b.test")))
    refused(alert(47), names_list(name("a\0b.test")))
    refused(alert(47), names_list(name("a b.test")))
    refused(alert(47), names_list(name("b\252cher.test")))
    refused(alert(47), names_list(name(("a"):rep(256))))
    taken(names_list(name(("a"):rep(255))))
    assert.equal("a.test", taken(names_list("\7" .. vector("?", 2), name("a.test"))):info().server_name)
  end)
end)

describe("a server's HelloRetryRequest", function()
  local OPTIONS = { client = { groups = { GROUPS.X25519, GROUPS.P256 } }, server = { groups = { GROUPS.P256 } } }

  -- covers: rfc8446#4.1.1.3 rfc8446#4.1.4.1 rfc8446#4.1.4.9 rfc8446#4.2.1.9 rfc8446#4.2.8.13
  it("comes when the shares miss its groups, and only then", function()
    local server = taken(nil, OPTIONS)
    local request = messages.read(server:output(0))
    assert.equal("cf21ad74e59a6111be1d8c021e65b891c2a211167abb8c5e079e09e2c8a8339c", helper.hex(request.random))
    assert.equal("\3\4", messages.extension(request, 43))
    assert.equal("\0\23", messages.extension(request, 51))
    assert.same({}, server:secrets())
    -- A share that is there is better than a better group that is not.
    server = taken(nil, { client = { groups = { GROUPS.P384, GROUPS.X25519 } } })
    assert.equal(GROUPS.P384, server:info().group)
    assert.equal(3, #server:secrets())
    -- No share at all is a way to ask for one.
    server = taken(set(51, "\0\0"))
    assert.equal("\0\29", messages.extension(messages.read(server:output(0)), 51))
  end)

  -- The code for a second ClientHello that was changed; nil when it is taken.
  local function second(change, first_change)
    local ok, _, server, client = offer(first_change, OPTIONS)
    assert.is_true(ok)
    assert.is_true(client:receive(0, server:output(0)))
    return (select(2, server:receive(0, messages.edit(client:output(0), change))))
  end

  -- covers: rfc8446#4.1.2.2
  it("is answered by the same ClientHello, or refused", function()
    local function nothing() end
    assert.is_nil(second(nothing))
    assert.equal(alert(47), second(function(m) m.random = ("r"):rep(32) end))
    assert.equal(alert(47), second(function(m) m.suites = "\19\1\19\2" end))
    assert.equal(alert(47), second(set(0xfafa, "")))
    assert.equal(alert(47), second(set(0, nil)))
    assert.equal(alert(47), second(set(44, "\0\1c")))
    assert.equal(alert(47), second(set(57, "other params")))
    assert.equal(alert(47), second(set(10, "\0\2\0\23")))
  end)

  -- covers: rfc8446#4.2.10.6
  it("does not mind padding, another order, and early data that goes", function()
    assert.is_nil(second(function(m) table.insert(m.extensions, 1, { 21, ("\0"):rep(100) }) end))
    assert.is_nil(second(function(m) table.insert(m.extensions, 1, table.remove(m.extensions)) end))
    assert.is_nil(second(function() end, function(m) table.insert(m.extensions, 1, { 42, "" }) end))
    assert.equal(alert(47), second(set(42, "")))
  end)

  it("is answered by one share of the group asked for, or refused", function()
    local function shares(text) return set(51, vector(text, 2)) end
    local p256 = "\0\23" .. vector("\4" .. ("k"):rep(64), 2)
    local x25519 = "\0\29" .. vector(("k"):rep(32), 2)
    assert.equal(alert(47), second(shares("")))
    assert.equal(alert(47), second(shares(x25519)))
    assert.equal(alert(47), second(function(m) shares(messages.extension(m, 51):sub(3) .. x25519)(m) end))
    assert.equal(alert(47), second(shares(p256)))
    assert.equal(alert(47), second(shares(p256 .. p256)))
  end)

  it("comes once", function()
    local ok, _, server = offer(nil, OPTIONS)
    assert.is_true(ok)
    local client = assert(assert(fixtures.client_config(OPTIONS.client)):client("example.test", "client params",
      fixtures.now))
    assert.equal(alert(47), (select(2, server:receive(0, client:output(0)))))
  end)
end)

describe("a server that waits for the client's Finished", function()
  -- covers: rfc8446#4.4.4.1
  it("refuses one that does not fit, and then gives no key to read with", function()
    local _, failure, p = pair.tampered({}, "client", messages.FINISHED, function(m)
      return m:sub(1, -2) .. string.char((m:byte(-1) + 1) % 256)
    end)
    assert.same({ "server", alert(51) }, { failure.side, failure.code })
    assert.is_nil(p.secrets.server["3read"])
    assert.same({}, p.server:secrets())
    assert.is_false(p.server:info().complete)
  end)

  -- covers: rfc8446#4.1.2.3
  it("refuses every other message", function()
    for kind = 0, 255 do
      if kind ~= messages.FINISHED then
        local server = taken()
        local ok, code = server:receive(pair.HANDSHAKE, string.char(kind))
        assert.same({ nil, alert(10) }, { ok, code })
        server:free()
      end
    end
  end)
end)
