local authority = require("crypto.authority")
local fixtures = require("tls.fixtures")
local helper = require("helper")
local messages = require("tls.messages")
local pair = require("tls.pair")
local tls = require("neap.units").tls

local DAY = 86400
local ILLEGAL_PARAMETER, DECODE_ERROR, DECRYPT_ERROR = pair.alert(47), pair.alert(50), pair.alert(51)
local PRE_SHARED_KEY, PSK_MODES = 41, 45
local CLIENT = "basicConstraints=CA:FALSE\nkeyUsage=digitalSignature\nextendedKeyUsage=clientAuth\n"

local function client_config(options)
  options = options or {}
  if options.resumption == nil then options.resumption = true end
  return assert(fixtures.client_config(options))
end

local function server_config(options)
  options = options or {}
  if options.resumption == nil then options.resumption = true end
  return assert(fixtures.server_config(options))
end

-- One handshake between the two: the pair, whole.
local function connect(client, server, options)
  options = options or {}
  options.client, options.server = client, server
  local p = pair.new(options)
  assert.is_true(p:run())
  return p
end

-- A client and a server that have had a handshake.
local function acquainted(client_options, server_options, options)
  local client, server = client_config(client_options), server_config(server_options)
  connect(client, server, options)
  return client, server
end

-- Whether both went on from an earlier session, on which they agree.
local function resumed(p)
  local ours, theirs = p.client:info().resumed, p.server:info().resumed
  assert.equal(ours, theirs)
  return ours
end

local function kinds(p, side)
  local list = {}
  for _, seen in ipairs(p.seen) do
    if seen.from == side then list[#list + 1] = messages.kind(seen.message) end
  end
  return list
end

describe("resumption", function()
  -- covers: rfc8446#4.2.9.1 rfc8446#4.2.9.2 rfc8446#4.2.9.8 rfc8446#4.2.11.15 rfc8446#4.6.1.4
  -- covers: rfc8446#4.1.1.2 rfc8446#9.2.7 rfc8446#9.2.8
  it("takes up a session without a certificate, under new keys", function()
    for _, suite in pairs(fixtures.SUITES) do
      local client, server = acquainted({ suites = { suite } })
      local first = connect(client_config({ suites = { suite } }), server)
      local p = connect(client, server)
      assert.is_true(resumed(p))
      assert.equal(suite, p.client:info().suite)
      assert.same({ messages.CLIENT_HELLO, messages.FINISHED }, kinds(p, "client"))
      assert.same({ messages.SERVER_HELLO, messages.ENCRYPTED_EXTENSIONS, messages.FINISHED,
        messages.NEW_SESSION_TICKET }, kinds(p, "server"))
      assert.equal("", p.client:info().certificate)
      assert.equal("h3", p.client:info().alpn)
      assert.equal("server params", p.client:info().params)
      assert.equal(p.secrets.client[pair.APPLICATION .. "write"], p.secrets.server[pair.APPLICATION .. "read"])
      assert.are_not.equal(first.secrets.client[pair.APPLICATION .. "write"],
        p.secrets.client[pair.APPLICATION .. "write"])
    end
  end)

  -- covers: rfc8446#4.6.1.3 rfc8446#4.6.1.12
  it("gives two tickets behind a full handshake and one behind a resumed one, each used once", function()
    local client, server = acquainted()
    assert.equal(2, (client:sessions()))
    assert.is_true(resumed(connect(client, server)))
    assert.equal(2, (client:sessions()))
    local offered = {}
    for _ = 1, 5 do
      local p = connect(client, server)
      assert.is_true(resumed(p))
      local psk = messages.extension(messages.read(p.seen[1].message), PRE_SHARED_KEY)
      assert.is_nil(offered[psk])
      offered[psk] = true
    end
  end)

  it("keeps a session to whose offer nobody answered, once", function()
    local client, server = acquainted()
    local left = {}
    for i = 1, 4 do
      local p = pair.new({ client = client, server = server })
      p.client:end_offer(false)
      p.client:free()
      left[i] = (client:sessions())
    end
    assert.same({ 2, 1, 1, 0 }, left)
    connect(client, server)
    assert.is_true(resumed(connect(client, server)))
    local before = (client:sessions())
    pair.new({ client = client, server = server }).client:free()
    assert.equal(before - 1, (client:sessions()))
  end)

  it("has no session left with a server that refused the offer, whatever was wrong with it", function()
    local client, server = acquainted()
    connect(client, server, { port = 444 })
    local p = pair.new({ client = client, server = server })
    p.client:end_offer(true)
    assert.equal(2, (client:sessions()))
    assert.is_false(resumed(connect(client, server)))
    assert.is_true(resumed(connect(client, server, { port = 444 })))
  end)

  it("keeps none that the server answered", function()
    local client, server = acquainted()
    local refused, failure = pair.tampered({ client = client, server = server }, "server", messages.SERVER_HELLO,
      function(message) return messages.edit(message, function(m) m.suite = "\0\1" end) end)
    assert.is_nil(refused)
    assert.equal("client", failure.side)
    collectgarbage()
    collectgarbage()
    assert.equal(1, (client:sessions()))
  end)

  it("works in any fragmentation, and after a HelloRetryRequest", function()
    local client, server = acquainted()
    assert.is_true(resumed(connect(client, server, { fragment = 1 })))
    local picky = server_config({ groups = { fixtures.GROUPS.P384 } })
    connect(client, picky)
    local p = connect(client, picky)
    assert.is_true(resumed(p))
    assert.equal(fixtures.GROUPS.P384, p.client:info().group)
  end)

  -- covers: rfc8446#4.2.11.3
  it("offers no key of another hash behind a HelloRetryRequest", function()
    local suites = { fixtures.SUITES.AES_256_GCM, fixtures.SUITES.AES_128_GCM }
    local client = client_config({ suites = suites })
    connect(client, server_config({ suites = suites }))
    local p = connect(client, server_config({ suites = { suites[2] }, groups = { fixtures.GROUPS.P384 } }))
    assert.is_false(resumed(p))
    local hellos = {}
    for _, seen in ipairs(p.seen) do
      if messages.kind(seen.message) == messages.CLIENT_HELLO then
        hellos[#hellos + 1] = messages.extension(messages.read(seen.message), PRE_SHARED_KEY) ~= nil
      end
    end
    assert.same({ true, false }, hellos)
  end)

  it("is off for a side that does not want it", function()
    local client = client_config({ resumption = false })
    local p = connect(client, server_config())
    assert.is_nil(messages.extension(messages.read(p.seen[1].message), PSK_MODES))
    assert.equal(0, (client:sessions()))
    client = client_config()
    connect(client, server_config({ resumption = false }))
    assert.equal(0, (client:sessions()))
    connect(client, server_config({ ticket_lifetime = 0 }))
    assert.equal(0, (client:sessions()))
  end)

  -- covers: rfc8446#4.6.1.5 rfc8446#4.6.1.7
  it("needs the same server name, port, version and protocol", function()
    local client, server = acquainted()
    assert.is_false(resumed(connect(client, server, { name = "a.wild.test" })))
    assert.is_false(resumed(connect(client, server, { port = 444 })))
    assert.is_false(resumed(connect(client, server, { version = 2 })))
    assert.is_false(resumed(connect(client, server, { name = "192.0.2.1" })))
    assert.is_true(resumed(connect(client, server)))
    assert.is_true(resumed(connect(client, server, { name = "a.wild.test" })))
    assert.is_true(resumed(connect(client, server, { name = "192.0.2.1" })))
    local both = { alpn = { "h3", "other" } }
    client = acquainted(both, both)
    assert.is_false(resumed(connect(client, server_config({ alpn = { "other" } }))))
  end)

  it("needs the same certificate, and takes the new one of the server otherwise", function()
    local client = acquainted()
    local p = connect(client, server_config({ certificate = "p384" }))
    assert.is_false(resumed(p))
    assert.are_not.equal("", p.client:info().certificate)
    assert.is_true(resumed(connect(client, server_config({ certificate = "p384" }))))
  end)

  it("needs the roots and pins that the server was known by, and the verification", function()
    local client, server = client_config({ verify = false }), server_config()
    connect(client, server)
    assert.is_true(resumed(connect(client, server)))
    local _, saved = client:sessions()
    for _, other in ipairs({ {}, { pin = fixtures.certificates().pin },
      { verify = false, pin = fixtures.certificates().pin } }) do
      client = client_config(other)
      assert.equal(0, client:load_sessions(saved))
      assert.is_false(resumed(connect(client, server)))
    end
    client = client_config({ verify = false })
    assert.equal(0, client:load_sessions(saved))
    assert.is_true(resumed(connect(client, server)))
  end)

  -- covers: rfc8446#4.2.11.1.1
  it("ends with the ticket's lifetime, on both sides, and with a clock that goes back", function()
    local now = fixtures.now
    for after, expected in pairs({ [DAY - 1] = true, [DAY] = false, [DAY + 1] = false, [-10] = false }) do
      local client, server = acquainted(nil, nil, { now = now })
      assert.equal(expected, resumed(connect(client, server, { now = now + after })), after)
    end
    -- A client that believes in it longer than the server.
    local client, server = acquainted(nil, { ticket_lifetime = 60 }, { now = now })
    local p = pair.new({ client = client, server = server, now = now })
    local late = assert(server:server("server params", now + 61))
    p.server:free()
    p.server = late
    assert.is_true(p:run())
    assert.is_false(resumed(p))
  end)

  -- covers: rfc8446#4.6.1.10
  it("ends a week after the last certificate was shown, however many resumed since, on both sides", function()
    local client, server = acquainted()
    local now, seen = fixtures.now, {}
    for i = 1, 9 do
      now = now + 80000
      seen[i] = resumed(connect(client, server, { now = now })) and "1" or "0"
    end
    assert.equal("111111101", table.concat(seen)) -- 7 × 80,000 s and no more of 604,800
    client = acquainted()
    local _, saved = client:sessions()
    local at = saved:find("example.test", 1, true) + #"example.test" + 2 + 19
    assert.equal(fixtures.now + 7 * DAY, tonumber(helper.hex(saved:sub(at + 4, at + 7)), 16))
    assert.equal(fixtures.now + 7 * DAY, tonumber(helper.hex(saved:sub(at, at + 7)), 16))
  end)

  it("ends with the certificate that the server was known by, unless none was verified", function()
    local last = os.time() + 365 * DAY
    for verify, expected in pairs({ [true] = false, [false] = true }) do
      local client, server = acquainted({ verify = verify }, nil, { now = last - 2 * DAY })
      assert.is_true(resumed(connect(client, server, { now = last - 2 * DAY + 80000 })))
      assert.is_true(resumed(connect(client, server, { now = last - 2 * DAY + 160000 })))
      local p = pair.new({ client = client, server = server, now = last + 3600 })
      assert.equal(expected, p:run() and p.client:info().resumed or false)
    end
  end)

  it("ends with the revocation list by which the other was looked at, on both sides", function()
    local ca = authority.new()
    finally(function() ca:remove() end)
    local root = ca:issue({ name = "root", extensions = authority.CA, days = 3000 })
    local leaves = {}
    for name, use in pairs({ server = authority.SERVER, client = CLIENT }) do
      leaves[name] = ca:issue({ name = name, issuer = "root", extensions = use, days = 1000 })
    end
    local list = ca:crl({ issuer = "root", revoked = {}, hours = 24 })
    local function identity(name) return { { leaves[name].pem, leaves[name].key } } end
    for _, who in ipairs({ "client", "server", "nobody" }) do
      local client = assert(tls.config({ seed = ("c"):rep(32), alpn = { "h3" }, resumption = true,
        roots = root.pem, crls = who == "client" and list or nil, identities = identity("client") }))
      local server = assert(tls.config({ seed = ("s"):rep(32), alpn = { "h3" }, resumption = true, ask = 2,
        client_roots = root.pem, crls = who == "server" and list or nil, identities = identity("server"),
        ticket_lifetime = 6 * DAY }))
      local function at(days)
        local p = pair.new({ client = client, server = server, name = "tide.example", now = os.time() + days * DAY })
        return p:run() and resumed(p)
      end
      assert.is_false(at(0.1))
      assert.is_true(at(0.9))
      assert.equal(who == "nobody", at(3) == true)
    end
  end)

  it("is bound to the grace of revocation lists, on both sides, so that a full handshake says the same", function()
    local ca = authority.new()
    finally(function() ca:remove() end)
    local root = ca:issue({ name = "root", extensions = authority.CA, days = 3000 })
    local list = ca:crl({ issuer = "root", revoked = {}, hours = 24 })
    local function identity(name, use)
      local leaf = ca:issue({ name = name, issuer = "root", extensions = use, days = 1000 })
      return { { leaf.pem, leaf.key } }
    end
    local ours, theirs = identity("client", CLIENT), identity("server", authority.SERVER)
    local function client_of(grace)
      return assert(tls.config({ seed = ("c"):rep(32), alpn = { "h3" }, resumption = true, roots = root.pem,
        crls = list, grace = grace, identities = ours }))
    end
    local function server_of(grace)
      return assert(tls.config({ seed = ("s"):rep(32), alpn = { "h3" }, resumption = true, ask = 2,
        client_roots = root.pem, crls = list, grace = grace, identities = theirs, ticket_lifetime = 6 * DAY }))
    end
    local function at(days, client, server)
      local p = pair.new({ client = client, server = server, name = "tide.example", now = os.time() + days * DAY })
      return p:run() and resumed(p)
    end
    local client, server = client_of(5 * DAY), server_of(5 * DAY)
    assert.is_false(at(0.1, client, server))
    assert.is_true(at(2, client, server))
    local _, saved = client:sessions()
    local strict = client_of(0)
    assert.equal(0, strict:load_sessions(saved))
    assert.is_nil(at(2, strict, server))
    assert.is_nil(at(2, client, server_of(0)))
  end)

  it("survives a clock that goes back, and comes forward again", function()
    local client, server = acquainted()
    connect(client, server, { port = 444 })
    assert.is_false(resumed(connect(client, server_config({ resumption = false }), { now = fixtures.now - 60,
      port = 445 })))
    assert.is_false(resumed(connect(client, server_config({ resumption = false }), { now = fixtures.now - 60 })))
    assert.is_true(resumed(connect(client, server)))
    assert.is_true(resumed(connect(client, server, { port = 444 })))
  end)

  it("takes tickets of the period before, whose key is another one, and of no older one", function()
    local begin = math.ceil(fixtures.now / 100) * 100
    local function at(issued, used)
      local client, server = acquainted(nil, { ticket_lifetime = 100 }, { now = issued })
      return resumed(connect(client, server, { now = used }))
    end
    assert.is_true(at(begin + 99, begin + 100))
    assert.is_true(at(begin + 99, begin + 198))
    assert.is_false(at(begin + 99, begin + 199))
    assert.is_false(at(begin, begin + 100))
  end)

  it("works between servers with the same keys, of which the first seals and all open", function()
    local a, b = ("a"):rep(32), ("b"):rep(32)
    local client = acquainted(nil, { ticket_keys = a })
    assert.is_true(resumed(connect(client, server_config({ ticket_keys = b .. a }))))
    assert.is_true(resumed(connect(client, server_config({ ticket_keys = b }))))
    client = acquainted(nil, { ticket_keys = a })
    assert.is_false(resumed(connect(client, server_config({ ticket_keys = b }))))
  end)

  it("leaves nothing behind", function()
    local client, server = acquainted()
    local before
    for _ = 1, 5 do
      local p = connect(client, server)
      p.client:free()
      p.server:free()
      collectgarbage()
      collectgarbage()
      local used = { (client:used()), (server:used()) }
      assert.same(before or used, used)
      before = used
    end
  end)

  it("gives no tickets where there is no memory for them, and is complete all the same", function()
    local client, server = client_config(), server_config()
    local p = pair.new({ client = client, server = server })
    p:take_secrets("client")
    for _, step in ipairs({ { "client", "server", pair.INITIAL }, { "server", "client", pair.INITIAL },
      { "server", "client", pair.HANDSHAKE } }) do
      assert(p:move(step[1], step[2], step[3]))
    end
    server:fail_after(0)
    assert(p:move("client", "server", pair.HANDSHAKE))
    server:fail_after(nil)
    assert.is_true(p.server:info().complete)
    assert.equal("", p.server:output(pair.APPLICATION))
  end)

  it("is a full handshake for a client without memory for sessions", function()
    local client, server = client_config(), server_config()
    local p = pair.new({ client = client, server = server })
    p:take_secrets("client")
    for _ = 1, 2 do
      for _, level in ipairs(pair.LEVELS) do
        if level == pair.APPLICATION then client:fail_after(0) end
        assert(p:move("client", "server", level))
        assert(p:move("server", "client", level))
        client:fail_after(nil)
      end
    end
    assert.is_true(p.client:info().complete)
    assert.equal(0, (client:sessions()))
  end)
end)

describe("a ticket", function()
  local function offer_of(message) return messages.extension(messages.read(message), PRE_SHARED_KEY) end

  -- Run a second handshake and change what the client offers: true and whether it resumed, or nil and the failure.
  local function with_offer(change)
    local client, server = acquainted()
    local ok, failure, p = pair.tampered({ client = client, server = server }, "client", messages.CLIENT_HELLO,
      function(message)
        return messages.edit(message, function(m)
          messages.set_extension(PRE_SHARED_KEY, change(messages.extension(m, PRE_SHARED_KEY)))(m)
        end)
      end)
    return ok, failure, p
  end

  -- covers: rfc8446#4.2.11.5 rfc8446#4.2.11.6
  it("with any bit flipped is none, and the handshake a full one", function()
    local client, server = acquainted()
    local p = pair.new({ client = client, server = server })
    local hello = p.client:output(pair.INITIAL)
    local size = offer_of(hello):byte(3) * 256 + offer_of(hello):byte(4)
    local at = #hello - #offer_of(hello) + 4
    for i = at + 1, at + size do
      for _, bit in ipairs({ 1, 128 }) do
        local byte = hello:byte(i)
        local flipped = bit == 1 and byte + (byte % 2 == 0 and 1 or -1) or (byte + 128) % 256
        local fresh = assert(server:server("server params", fixtures.now))
        assert.is_true(fresh:receive(pair.INITIAL, hello:sub(1, i - 1) .. string.char(flipped) .. hello:sub(i + 1)))
        assert.is_false(fresh:info().resumed)
        local kinds_of = messages.split(fresh:output(pair.HANDSHAKE))
        assert.equal(messages.CERTIFICATE, messages.kind(kinds_of[2]))
        fresh:free()
      end
    end
  end)

  -- covers: rfc8446#4.2.11.8 rfc8446#4.2.11.9
  it("with any bit of its binder, or of what is bound, flipped is an alert", function()
    local client, server = acquainted()
    local p = pair.new({ client = client, server = server })
    local hello = p.client:output(pair.INITIAL)
    for i = #hello - 31, #hello do
      local fresh = assert(server:server("server params", fixtures.now))
      local byte = hello:byte(i)
      local ok, code = fresh:receive(pair.INITIAL,
        hello:sub(1, i - 1) .. string.char(byte + (byte % 2 == 0 and 1 or -1)) .. hello:sub(i + 1))
      assert.is_nil(ok)
      assert.equal(DECRYPT_ERROR, code)
      fresh:free()
    end
    local fresh = assert(server:server("server params", fixtures.now))
    local random = hello:byte(10)
    local _, code = fresh:receive(pair.INITIAL, hello:sub(1, 9) .. string.char((random + 1) % 256) .. hello:sub(11))
    assert.equal(DECRYPT_ERROR, code)
  end)

  -- covers: rfc8446#4.2.11.9
  it("that is malformed is refused", function()
    local v, age = messages.vector, "\0\0\0\0"
    local binder = v(("b"):rep(32), 1)
    for _, case in ipairs({
      { DECODE_ERROR, v("", 2) .. v(binder, 2) },
      { DECODE_ERROR, v(v("ticket", 2) .. age, 2) .. v("", 2) },
      { DECODE_ERROR, v(v("", 2) .. age, 2) .. v(binder, 2) },
      { DECODE_ERROR, v(v("ticket", 2) .. "\0\0\0", 2) .. v(binder, 2) },
      { DECODE_ERROR, v(v("ticket", 2) .. age, 2) .. v(v(("b"):rep(31), 1), 2) },
      { DECODE_ERROR, v(v("ticket", 2) .. age, 2) .. v(binder, 2) .. "\0" },
      { DECODE_ERROR, v(v("ticket", 2) .. age, 2) },
      { ILLEGAL_PARAMETER, v(v("ticket", 2) .. age, 2) .. v(binder .. binder, 2) },
      { ILLEGAL_PARAMETER, v(v("one", 2) .. age .. v("two", 2) .. age, 2) .. v(binder, 2) },
    }) do
      local ok, failure = with_offer(function() return case[2] end)
      assert.is_nil(ok)
      assert.same({ "server", case[1] }, { failure.side, failure.code }, helper.hex(case[2]))
    end
  end)

  it("is found behind others that are none, up to the fourth", function()
    for others, expected in pairs({ [0] = true, [1] = true, [3] = true, [4] = false }) do
      local client, server = acquainted()
      local p = pair.new({ client = client, server = server })
      local hello = p.client:output(pair.INITIAL)
      local psk = offer_of(hello)
      local size = psk:byte(1) * 256 + psk:byte(2)
      local identity, binder = psk:sub(3, 2 + size), psk:sub(5 + size)
      local changed = messages.edit(hello, messages.set_extension(PRE_SHARED_KEY,
        messages.vector((messages.vector("x", 2) .. "\0\0\0\0"):rep(others) .. identity, 2)
        .. messages.vector(messages.vector(("b"):rep(32), 1):rep(others) .. binder, 2)))
      local ok, code = p.server:receive(pair.INITIAL, changed)
      if expected and others > 0 then -- the binder is of the hello as it was
        assert.equal(DECRYPT_ERROR, code)
      else
        assert.is_true(ok)
        assert.equal(expected, p.server:info().resumed)
      end
    end
  end)

  -- covers: rfc8446#4.2.9.4 rfc8446#4.2.9.5
  it("of a client that takes no key exchange with it is not used, and it gets none", function()
    local client, server = acquainted()
    local p = pair.new({ client = client, server = server })
    local hello = messages.edit(p.client:output(pair.INITIAL), messages.set_extension(PSK_MODES, "\1\0"))
    assert.is_true(p.server:receive(pair.INITIAL, hello))
    assert.is_false(p.server:info().resumed)
    for data, code in pairs({ ["\0"] = DECODE_ERROR, [""] = DECODE_ERROR, ["\2\1"] = DECODE_ERROR }) do
      local fresh = assert(server:server("server params", fixtures.now))
      local _, got = fresh:receive(pair.INITIAL, messages.edit(hello, messages.set_extension(PSK_MODES, data)))
      assert.equal(code, got)
    end
  end)
end)

describe("a client that offers a session", function()
  -- The answer of a server, changed.
  local function answered(change, client, server)
    local ours, theirs = acquainted()
    local ok, failure = pair.tampered({ client = client or ours, server = server or theirs }, "server",
      messages.SERVER_HELLO, function(message) return messages.edit(message, change) end)
    assert.is_nil(ok)
    assert.equal("client", failure.side)
    return failure.code
  end

  -- covers: rfc8446#4.2.11.11 rfc8446#4.2.11.12
  it("refuses a key that it did not offer", function()
    local set = messages.set_extension
    assert.equal(ILLEGAL_PARAMETER, answered(set(PRE_SHARED_KEY, "\0\1")))
    assert.equal(DECODE_ERROR, answered(set(PRE_SHARED_KEY, "\0")))
    assert.equal(ILLEGAL_PARAMETER, answered(set(51, nil))) -- no key share beside it
    assert.equal(DECODE_ERROR, answered(set(PRE_SHARED_KEY, "\0\0\0")))
    assert.equal(pair.alert(110), answered(set(PRE_SHARED_KEY, "\0\0"), client_config(), server_config()))
    assert.equal(pair.alert(110), answered(set(PRE_SHARED_KEY, "\0\0"), client_config({ resumption = false }),
      server_config()))
  end)

  it("refuses a suite whose hash the key has not", function()
    assert.equal(ILLEGAL_PARAMETER, answered(function(m) m.suite = "\19\2" end))
  end)

  it("fails when the server says it took the session and did not", function()
    local client = acquainted()
    local _, failure = pair.tampered({ client = client, server = server_config({ certificate = "p384" }) }, "server",
      messages.SERVER_HELLO,
      function(message) return messages.edit(message, messages.set_extension(PRE_SHARED_KEY, "\0\0")) end)
    assert.equal("client", failure.side)
  end)

  it("takes a full handshake as well, and then no certificate for granted", function()
    local client = acquainted()
    local p = connect(client, server_config({ ticket_keys = ("z"):rep(32) }))
    assert.is_false(resumed(p))
    assert.are_not.equal("", p.client:info().certificate)
    local stranger = server_config({ certificate = "unknown", ticket_keys = ("z"):rep(32) })
    local _, failure = pair.new({ client = acquainted(), server = stranger }):run()
    assert.same({ "client", pair.alert(48) }, { failure.side, failure.code })
  end)
end)

describe("a client's sessions", function()
  local function ticket(lifetime, text)
    return messages.build(messages.NEW_SESSION_TICKET, messages.bytes(lifetime, 4) .. "\1\2\3\4"
      .. messages.vector("n", 1) .. messages.vector(text or "ticket", 2) .. messages.vector("", 2))
  end

  local function fed(tickets, now)
    local client = client_config()
    local p = connect(client, server_config({ resumption = false }))
    local tail = p.client:take_tail()
    assert.is_true(tail:receive(tickets, now or fixtures.now))
    return client, p
  end

  -- covers: rfc8446#4.6.1.9
  it("are not given for longer than a week", function()
    local quic = require("neap.units").quic.config(5)
    assert.equal(0, quic:set("ticket_lifetime", 7 * DAY * 1000))
    assert.not_equal(0, quic:set("ticket_lifetime", 7 * DAY * 1000 + 1))
    quic:free()
    local p = connect(client_config(), server_config({ ticket_lifetime = 7 * DAY }))
    local count = 0
    for _, seen in ipairs(p.seen) do
      if messages.kind(seen.message) == messages.NEW_SESSION_TICKET then
        assert.equal(messages.bytes(7 * DAY, 4), messages.body(seen.message):sub(1, 4))
        count = count + 1
      end
    end
    assert.equal(2, count)
  end)

  -- covers: rfc8446#4.6.1.2 rfc8446#4.6.1.10
  it("are tickets that live at all, no longer than a week, and not larger than 4096 bytes", function()
    assert.equal(1, (fed(ticket(1)):sessions()))
    assert.equal(0, (fed(ticket(0)):sessions()))
    assert.equal(1, (fed(ticket(60, ("t"):rep(4096))):sessions()))
    assert.equal(0, (fed(ticket(60, ("t"):rep(4097))):sessions()))
    local week = 7 * DAY
    for after, expected in pairs({ [week - 1] = true, [week] = false }) do
      local client = fed(ticket(4294967295))
      local p = pair.new({ client = client, server = server_config(), now = fixtures.now + after })
      assert.equal(expected, messages.extension(messages.read(p.client:output(pair.INITIAL)), PRE_SHARED_KEY) ~= nil)
    end
  end)

  it("are 16 of a server, the newest first", function()
    local list = {}
    for i = 1, 12 do list[i] = ticket(60, ("ticket %02d"):format(i)) end
    local client = fed(table.concat(list))
    for i = 13, 18 do list[i - 12] = ticket(60, ("ticket %02d"):format(i)) end
    local p = pair.new({ client = client, server = server_config({ resumption = false }) })
    assert.is_true(p:run()) -- it offers number 12
    assert.is_true(p.client:take_tail():receive(table.concat(list, "", 1, 6), fixtures.now))
    assert.equal(16, (client:sessions()))
    for _, i in ipairs({ 18, 17, 16, 15, 14, 13, 11, 10, 9, 8, 7, 6, 5, 4, 3, 2 }) do
      p = pair.new({ client = client, server = server_config() })
      local psk = messages.extension(messages.read(p.client:output(pair.INITIAL)), PRE_SHARED_KEY)
      assert.truthy(psk:find(("ticket %02d"):format(i), 1, true))
    end
    assert.equal(0, (client:sessions()))
  end)

  it("are the first 16 tickets of a connection, however many its server gives", function()
    local client = fed((ticket(60)):rep(16))
    local p = connect(client, server_config({ resumption = false }), { port = 444 })
    local tail = p.client:take_tail()
    for i = 1, 40 do assert.is_true(tail:receive(ticket(60, ("ticket %02d"):format(i)), fixtures.now)) end
    assert.equal(32, (client:sessions()))
    p = pair.new({ client = client, server = server_config(), port = 444 })
    local psk = messages.extension(messages.read(p.client:output(pair.INITIAL)), PRE_SHARED_KEY)
    assert.truthy(psk:find("ticket 16", 1, true))
  end)

  it("are 256 in all, of which the oldest go", function()
    local client, server = client_config(), server_config()
    for port = 1, 130 do connect(client, server, { port = port }) end
    assert.equal(256, (client:sessions()))
    assert.is_false(resumed(connect(client, server, { port = 1 })))
    assert.is_true(resumed(connect(client, server, { port = 130 })))
  end)

  it("take a sixteenth of the memory limit at most, the newest", function()
    local client, server = client_config({ limit = 512 * 1024 }), server_config({ resumption = false })
    local big = {}
    for i = 1, 16 do big[i] = ticket(600, ("%04d"):format(i) .. ("t"):rep(4000)) end
    for port = 1, 20 do
      local p = connect(client, server, { port = port })
      local tail = p.client:take_tail()
      assert.is_true(tail:receive(table.concat(big), fixtures.now))
      tail:free()
      p.server:free()
    end
    local count, saved = client:sessions()
    assert.is_true(count >= 4 and #saved <= 512 * 1024 / 16, #saved)
    local p = pair.new({ client = client, server = server, port = 20 })
    local psk = messages.extension(messages.read(p.client:output(pair.INITIAL)), PRE_SHARED_KEY)
    assert.truthy(psk:find("0016t", 1, true))
  end)

  it("can be saved and loaded again, and nothing else can", function()
    local client, server = acquainted()
    local _, saved = client:sessions()
    local other = client_config()
    assert.equal(0, other:load_sessions(saved))
    assert.same({ client:sessions() }, { other:sessions() })
    assert.is_true(resumed(connect(other, server)))
    for size = 0, #saved - 1 do
      local fresh = client_config()
      local code = fresh:load_sessions(saved:sub(1, size))
      if size == 16 or fresh:sessions() == 1 and code == 0 then
        assert.equal(0, code) -- it ends between two
      else
        assert.is_true(code < 0)
      end
    end
    assert.is_true(client_config():load_sessions(saved .. "x") < 0)
    assert.is_true(client_config():load_sessions("neap sessions 2\n") < 0)
  end)

  it("are none of a server without a name", function()
    local client = client_config({ verify = false })
    connect(client, server_config(), { name = false })
    assert.equal(0, (client:sessions()))
  end)
end)
