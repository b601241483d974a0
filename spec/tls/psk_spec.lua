--- External pre-shared keys: who has the key is known by it.
local fixtures = require("tls.fixtures")
local messages = require("tls.messages")
local pair = require("tls.pair")

local NO_MEMORY = -2
local PSK = 2
local KEY, OTHER = ("key of sixteen b"):rep(2), ("another of these"):rep(2)
local IDENTITY = "sensor 7"
local DECRYPT_ERROR, HANDSHAKE_FAILURE, UNKNOWN_CA = pair.alert(51), pair.alert(40), pair.alert(48)
local ILLEGAL_PARAMETER = pair.alert(47)

local function one(identity, key, hash) return { { identity or IDENTITY, key or KEY, hash or 256 } } end

-- A server without certificates, and a client without roots.
local function keyed(more)
  local options = { server = { certificate = {}, psks = one() }, client = { psks = one(), roots = "" }, name = false }
  for side, given in pairs(more or {}) do
    if type(given) == "table" then
      for name, value in pairs(given) do options[side][name] = value end
    else
      options[side] = given
    end
  end
  return options
end

local function kinds(p, from)
  local list = {}
  for _, seen in ipairs(p.seen) do
    if seen.from == from then table.insert(list, messages.kind(seen.message)) end
  end
  return list
end

local function complete(options)
  local p = pair.new(options)
  local ok, failure = p:run()
  assert(ok, failure and failure.side .. " " .. failure.code .. " " .. failure.reason)
  return p
end

local function fails(options)
  local ok, failure = pair.new(options):run()
  assert.is_nil(ok)
  return failure.side, failure.code, failure.reason
end

describe("an external pre-shared key", function()
  it("makes a handshake without certificates, with a key exchange of its own, and both know by which", function()
    -- covers: rfc8446#4.2.9.1 rfc8446#4.2.9.2 rfc8446#4.2.9.8 rfc8446#4.2.11.8 rfc8446#4.2.11.15
    local p = complete(keyed())
    assert.same({ messages.SERVER_HELLO, messages.ENCRYPTED_EXTENSIONS, messages.FINISHED }, kinds(p, "server"))
    assert.same({ IDENTITY, IDENTITY }, { p.client:info().psk_identity, p.server:info().psk_identity })
    assert.same({ false, false }, { p.client:info().resumed, p.server:info().resumed })
    for _, level in ipairs({ "2read", "2write", "3read", "3write" }) do
      local back = level:find("read") and level:gsub("read", "write") or level:gsub("write", "read")
      assert.equal(p.secrets.client[level], p.secrets.server[back])
    end
    local again = complete(keyed({ client = { seed = ("d"):rep(32) } }))
    assert.is_true(again.secrets.client["3read"] ~= p.secrets.client["3read"])
  end)

  it("is one of its hash, and leads to a suite of it", function()
    -- covers: rfc8446#2.2.2 rfc8446#4.2.11.2 rfc8446#4.2.11.3 rfc8446#4.2.11.7
    local long = one(nil, nil, 384)
    local p = complete(keyed({ server = { psks = long }, client = { psks = long } }))
    assert.equal(fixtures.SUITES.AES_256_GCM, p.client:info().suite)
    local _, code = fails(keyed({ server = { psks = long } }))
    assert.equal(DECRYPT_ERROR, code)
    -- A client without a suite of that hash cannot have meant it.
    _, code = fails(keyed({ client = { suites = { fixtures.SUITES.AES_256_GCM } } }))
    assert.equal(DECRYPT_ERROR, code)
  end)

  it("outlives a HelloRetryRequest", function()
    for _, hash in ipairs({ 256, 384 }) do
      local psks = one(nil, nil, hash)
      local server = { psks = psks, groups = { fixtures.GROUPS.P384 } }
      local p = complete(keyed({ server = server, client = { psks = psks } }))
      assert.same({ messages.CLIENT_HELLO, messages.CLIENT_HELLO, messages.FINISHED }, kinds(p, "client"))
    end
  end)

  it("is refused when it is another, whatever its identity, in the same words", function()
    -- covers: rfc8446#4.2.11.9
    local expected = { "server", DECRYPT_ERROR, "binder does not fit the pre-shared key" }
    assert.same(expected, { fails(keyed({ client = { psks = one(nil, OTHER) } })) })
    assert.same(expected, { fails(keyed({ client = { psks = one("nobody") } })) })
  end)

  it("is needed where the server has no certificate", function()
    assert.same({ "server", HANDSHAKE_FAILURE, "client offers no pre-shared key, and there is no certificate" },
      { fails(keyed({ client = { psks = false }, name = "example.test" })) })
  end)

  it("gives way to a certificate that roots vouch for, where the server does not know it", function()
    -- covers: rfc8446#4.2.11.5 rfc8446#4.2.11.6
    local p = complete({ server = { psks = one("another") },
      client = { psks = one() }, name = "example.test" })
    assert.same({ "", "" }, { p.client:info().psk_identity, p.server:info().psk_identity })
    assert.is_true(#p.client:info().certificate > 0)
  end)

  it("is not given up for a certificate that nothing vouches for, also without verify_peer", function()
    for _, verify in ipairs({ true, false }) do
      assert.same({ "client", UNKNOWN_CA,
          "the server did not take the pre-shared key, and nothing else vouches for it" },
        { fails({ server = {}, client = { psks = one(), roots = "", verify = verify }, name = "example.test" }) })
    end
  end)

  it("comes before a certificate", function()
    local p = complete({ server = { psks = one() }, client = { psks = one() } })
    assert.equal(IDENTITY, p.server:info().psk_identity)
  end)

  it("is not taken with a wrong index, nor with a suite of another hash", function()
    -- covers: rfc8446#4.2.11.11 rfc8446#4.2.11.12
    local at
    local function change(bytes)
      return function(message)
        at = message:find("\0\41\0\2", 40, true)
        return message:sub(1, at + 3) .. bytes .. message:sub(at + 6)
      end
    end
    for _, bytes in ipairs({ "\0\1", "\0\2", "\255\255" }) do
      local ok, failure = pair.tampered(keyed(), "server", messages.SERVER_HELLO, change(bytes))
      assert.same({ nil, "client", ILLEGAL_PARAMETER, "server chose a key that was not offered" },
        { ok, failure.side, failure.code, failure.reason })
    end
    local ok, failure = pair.tampered(keyed(), "server", messages.SERVER_HELLO, function(message)
      return message:sub(1, 39) .. "\19\2" .. message:sub(42)
    end)
    assert.same({ nil, "client", ILLEGAL_PARAMETER }, { ok, failure.side, failure.code })
  end)

  it("leaks nothing, wherever memory ends", function()
    for _, side in ipairs({ "client", "server" }) do
      local options = keyed({ client = { resumption = true }, server = { resumption = true }, name = "example.test" })
      local config = assert(fixtures[side .. "_config"](options[side]))
      local used, count, ok, failure = config:used(), 0
      repeat
        options[side] = config
        config:fail_after(count)
        local made, p = pcall(pair.new, options)
        if made then
          ok, failure = p:run()
          if not ok then assert.equal(NO_MEMORY, failure.code) end
        end
        config:fail_after(nil)
        if made then
          p.client:free()
          p.server:free()
        end
        if not ok then assert.equal(used, (config:used())) end
        count = count + 1
      until ok
      assert.is_true(count > 3)
    end
  end)
end)

describe("a client that has an external key and nothing else to know its server by", function()
  it("takes no certificate instead, also where the application would look at it", function()
    local PEER = 8
    for _, verify in ipairs({ true, false }) do
      assert.same({ "client", UNKNOWN_CA,
          "the server did not take the pre-shared key, and nothing else vouches for it" },
        { fails({ server = {}, client = { psks = one(), roots = "", verify = verify, asks = PEER },
          name = "example.test" }) })
    end
  end)

  it("takes no session with a server that showed a certificate, which nobody looked at", function()
    local server = assert(fixtures.server_config({ resumption = true, psks = false }))
    local client = assert(fixtures.client_config({ resumption = true, roots = "", verify = false }))
    complete({ client = client, server = server })
    local count, saved = client:sessions()
    assert.equal(2, count)
    client = assert(fixtures.client_config({ resumption = true, roots = "", verify = false, psks = one() }))
    assert.equal(0, client:load_sessions(saved))
    local side, code = fails({ client = client, server = server })
    assert.same({ "client", UNKNOWN_CA }, { side, code })
  end)
end)

describe("a session of a handshake with an external key", function()
  local function options(more)
    return keyed({ server = { resumption = true }, client = { resumption = true }, name = "example.test",
      now = more and more.now })
  end

  local function resume(first, server)
    local p = pair.new({ client = first.client_config, server = server or first.server_config, name = "example.test" })
    local ok, failure = p:run()
    return ok, p, failure
  end

  local function first_of(given)
    local p = complete(given or options())
    local tail = p.client:take_tail()
    for _, seen in ipairs(p.seen) do
      if seen.level == pair.APPLICATION then tail:receive(seen.message, fixtures.now) end
    end
    p.client_tail = tail
    return p
  end

  it("is resumed, and remembers the identity", function()
    local p = first_of()
    assert.is_true((p.client_config:sessions()) > 0)
    local ok, again = resume(p)
    assert.is_true(ok)
    assert.same({ true, IDENTITY, true, IDENTITY }, { again.client:info().resumed, again.client:info().psk_identity,
      again.server:info().resumed, again.server:info().psk_identity })
  end)

  it("is good no longer than the key: it is looked up again", function()
    local p = first_of()
    for _, psks in ipairs({ one(nil, OTHER), one("another identity") }) do
      local server = assert(fixtures.server_config({ certificate = {}, resumption = true, psks = psks }))
      local ok, _, failure = resume(p, server)
      assert.is_nil(ok)
      assert.equal(DECRYPT_ERROR, failure.code)
    end
    -- With a certificate beside it, nothing but the certificate is left.
    local server = assert(fixtures.server_config({ resumption = true, psks = one("another identity") }))
    local ok, _, failure = resume(first_of(), server)
    assert.is_nil(ok)
    assert.equal(UNKNOWN_CA, failure.code)
  end)

  it("is not offered by a client that has another key, or none", function()
    local p = first_of()
    local _, saved = p.client_config:sessions()
    for _, psks in ipairs({ one(nil, OTHER), one("another"), false }) do
      local client = assert(fixtures.client_config({ resumption = true, psks = psks or nil }))
      assert.equal(0, client:load_sessions(saved))
      local again = pair.new({ client = client, server = fixtures.server_config({ resumption = true, psks = one() }),
        name = "example.test" })
      again:run()
      assert.is_false(again.client:info().resumed)
    end
  end)
end)

describe("a server that asks for external keys", function()
  local function asking(more)
    local given = keyed({ server = { psks = false, asks = PSK } })
    for name, value in pairs(more or {}) do given.server[name] = value end
    local p = pair.new(given)
    assert.is_false(p:run())
    return p, assert(p.server:question())
  end

  it("says which identity the client has, and goes on with the key", function()
    local p, question = asking()
    assert.same({ PSK, IDENTITY }, { question.kind, question.bytes })
    assert.is_true(p.server:answer(PSK, question.id, KEY))
    p:take_secrets("server")
    assert.is_true(p:run())
    assert.equal(IDENTITY, p.server:info().psk_identity)
  end)

  it("asks once where the client says hello twice", function()
    local p, question = asking({ groups = { fixtures.GROUPS.P384 } })
    assert.is_true(p.server:answer(PSK, question.id, KEY))
    assert.is_true(p:run())
  end)

  it("refuses an identity that has none as it does a wrong key", function()
    for _, key in ipairs({ OTHER, false }) do
      local p, question = asking()
      local ok, code, reason = p.server:answer(PSK, question.id, key or nil)
      assert.same({ nil, DECRYPT_ERROR, "binder does not fit the pre-shared key" }, { ok, code, reason })
    end
  end)

  it("shows its certificate where it has one, and there is no key", function()
    local given = { server = { asks = PSK }, client = { psks = one() }, name = "example.test" }
    local p = pair.new(given)
    assert.is_false(p:run())
    assert.is_true(p.server:answer(PSK, p.server:question().id))
    p:take_secrets("server")
    assert.is_true(p:run())
    assert.is_true(#p.client:info().certificate > 0)
  end)

  it("asks nothing about those that it knows", function()
    complete(keyed({ server = { asks = PSK } }))
  end)
end)
