--- A server that asks its clients for certificates, and clients that have some.
local fixtures = require("tls.fixtures")
local messages = require("tls.messages")
local pair = require("tls.pair")
local units = require("neap.units")

local alert, vector, crypto = pair.alert, messages.vector, units.crypto
local YEAR = 365 * 24 * 3600
local REQUEST, REQUIRE = 1, 2
local SIGNATURE_ALGORITHMS, CERTIFICATE_AUTHORITIES, SIGNATURE_ALGORITHMS_CERT = 13, 47, 50

local certificates = fixtures.certificates()

local function run(client, server, options)
  options = options or {}
  if type(client) == "string" then client = { certificate = client } end
  options.client, options.server = client, server
  local p = pair.new(options)
  local ok, failure = p:run()
  return ok, failure, p
end

local function accepted(client, server, options)
  local ok, failure, p = run(client, server, options)
  assert.is_nil(failure and failure.reason)
  assert.is_true(ok)
  return p
end

-- By whom and why it was refused; a server has no key then that could read what its client sends.
local function refused(code, client, server, options)
  local _, failure, p = run(client, server, options)
  assert(failure, "nobody refused it")
  assert.same({ "server", code }, { failure.side, failure.code })
  assert.is_nil(p.secrets.server["3read"])
  assert.is_false(p.server:info().complete)
  return failure.reason
end

local function kinds(p, side, first, last)
  local list = {}
  for _, seen in ipairs(p.seen) do
    if seen.from == side then list[#list + 1] = messages.kind(seen.message) end
  end
  return { unpack(list, first, last) }
end

local function find(p, side, kind)
  for _, seen in ipairs(p.seen) do
    if seen.from == side and messages.kind(seen.message) == kind then return seen.message end
  end
end

describe("a server that asks for a certificate", function()
  -- covers: rfc8446#4.3.2.1 rfc8446#4.3.2.2 rfc8446#4.3.2.3 rfc8446#4.3.2.4 rfc8446#4.3.2.6 rfc8446#4.4.2.2
  -- covers: rfc8446#4.4.2.9 rfc8446#4.4.2.3.1
  it("gets the client's, and its signature", function()
    local p = accepted("client", { ask = REQUIRE })
    assert.same({ messages.SERVER_HELLO, messages.ENCRYPTED_EXTENSIONS, messages.CERTIFICATE_REQUEST,
      messages.CERTIFICATE, messages.CERTIFICATE_VERIFY, messages.FINISHED }, kinds(p, "server"))
    assert.same({ messages.CLIENT_HELLO, messages.CERTIFICATE, messages.CERTIFICATE_VERIFY, messages.FINISHED },
      kinds(p, "client"))
    local request = messages.read(find(p, "server", messages.CERTIFICATE_REQUEST))
    assert.equal("", request.context)
    local hello = messages.read(find(p, "client", messages.CLIENT_HELLO))
    assert.equal(messages.extension(hello, SIGNATURE_ALGORITHMS), messages.extension(request, SIGNATURE_ALGORITHMS))
    assert.equal(3, assert(units.certificates.parse(p.server:info().certificate)).version)
    assert.is_not_nil(find(p, "client", messages.CERTIFICATE):find(p.server:info().certificate, 1, true))
    assert.equal(1, p.server:info().certificates)
    assert.equal(p.secrets.client["3write"], p.secrets.server["3read"])
  end)

  it("takes keys of every kind, intermediates, and messages in any fragmentation", function()
    for _, name in ipairs({ "client", "clientrsa", "clientp384" }) do accepted(name, { ask = REQUIRE }) end
    local p = accepted("clientdeep", { ask = REQUIRE }, { fragment = 1 })
    assert.equal(2, p.server:info().certificates)
  end)

  it("asks behind a HelloRetryRequest as well", function()
    accepted("client", { ask = REQUIRE, groups = { fixtures.GROUPS.P384 } })
  end)

  -- covers: rfc8446#4.4.2.3 rfc8446#4.4.2.4 rfc8446#4.4.2.4.2
  it("goes on without one where it only requests it, and does not where it requires it", function()
    local p = accepted({}, { ask = REQUEST })
    assert.same({ messages.CLIENT_HELLO, messages.CERTIFICATE, messages.FINISHED }, kinds(p, "client"))
    assert.equal("", p.server:info().certificate)
    assert.equal("client sent no certificate", refused(alert(116), {}, { ask = REQUIRE }))
  end)

  it("does not ask unless it is told", function()
    local p = accepted("client", {})
    assert.is_nil(find(p, "server", messages.CERTIFICATE_REQUEST))
    assert.equal("", p.server:info().certificate)
  end)

  it("takes none that leads to no root of its own for clients, whatever it trusts of servers", function()
    local shown = find(accepted("clientunknown", { ask = REQUEST, client_roots = certificates.stranger[1] }), "client",
      messages.CERTIFICATE)
    for _, ask in ipairs({ REQUEST, REQUIRE }) do
      local ok, failure = pair.tampered({ client = { certificate = "client" },
        server = { ask = ask, roots = certificates.stranger[1] } }, "client", messages.CERTIFICATE,
        function() return shown end)
      assert.is_nil(ok)
      assert.same({ "server", alert(48) }, { failure.side, failure.code })
    end
  end)

  it("takes none that is for a server, has expired or is not valid yet", function()
    assert.matches("not for this side of TLS", refused(alert(43), "p256", { ask = REQUEST }))
    local lenient = { certificate = "client", verify = false }
    refused(alert(45), lenient, { ask = REQUIRE }, { now = fixtures.now + 2 * YEAR })
    refused(alert(45), lenient, { ask = REQUIRE }, { now = fixtures.now - YEAR })
  end)

  it("does not start without roots for clients", function()
    local config = assert(fixtures.server_config({ ask = REQUIRE, client_roots = "" }))
    local server, code, reason = config:server("server params", fixtures.now)
    assert.is_nil(server)
    assert.equal(-13, code)
    assert.is_not_nil(reason:find("client"))
  end)

  -- covers: rfc8446#4.4.3.6
  it("takes no signature that does not fit, is of another kind or is the server's own", function()
    local function verify(change)
      local ok, failure = pair.tampered({ client = { certificate = "client" }, server = { ask = REQUIRE } }, "client",
        messages.CERTIFICATE_VERIFY, change)
      assert.is_nil(ok)
      assert.equal("server", failure.side)
      return failure.code
    end
    assert.equal(alert(51), verify(function(m) return m:sub(1, -2) .. string.char((m:byte(-1) + 1) % 256) end))
    assert.equal(alert(47), verify(function(m) return m:sub(1, 4) .. "\4\1" .. m:sub(7) end))
    assert.equal(alert(51), verify(function(m) return m:sub(1, 4) .. "\8\4" .. m:sub(7) end))
    assert.equal(alert(50), verify(function(m) return messages.build(15, m:sub(5) .. "\0") end))
    local other = accepted({ certificate = "client", seed = ("o"):rep(32) }, { ask = REQUIRE })
    assert.equal(alert(51), verify(function() return find(other, "client", messages.CERTIFICATE_VERIFY) end))
    assert.equal(alert(51), verify(function() return find(other, "server", messages.CERTIFICATE_VERIFY) end))
  end)

  it("takes nothing in the place of the Certificate or the CertificateVerify", function()
    local function missing(kind)
      local _, failure, p = run("client", { ask = REQUEST }, { filter = function(side, _, message)
        return side == "client" and messages.kind(message) == kind and "" or nil
      end })
      assert.same({ "server", alert(10) }, { failure.side, failure.code })
      assert.is_nil(p.secrets.server["3read"])
    end
    missing(messages.CERTIFICATE)
    missing(messages.CERTIFICATE_VERIFY)
  end)

  -- covers: rfc8446#4.4.2.7
  it("takes no Certificate that is malformed, has a context, or extensions that were not asked for", function()
    local function body(bytes)
      local _, failure = pair.tampered({ client = { certificate = "client" }, server = { ask = REQUEST } }, "client",
        messages.CERTIFICATE, function() return messages.build(messages.CERTIFICATE, bytes) end)
      return failure.code
    end
    local der = accepted("client", { ask = REQUEST }).server:info().certificate
    assert.equal(alert(50), body("\0"))
    assert.equal(alert(50), body("\0" .. vector(vector("", 3) .. "\0\0", 3)))
    assert.equal(alert(47), body("\1c" .. vector(vector(der, 3) .. "\0\0", 3)))
    assert.equal(alert(110), body("\0" .. vector(vector(der, 3) .. vector("\0\5" .. vector("", 2), 2), 3)))
    assert.equal(alert(42), body("\0" .. vector(vector("no certificate", 3) .. "\0\0", 3)))
  end)

  it("takes no chain of more than ten certificates or 16 KiB", function()
    local der = accepted("client", { ask = REQUEST }).server:info().certificate
    local entry = vector(der, 3) .. "\0\0"
    local function chain(bytes)
      local _, failure = pair.tampered({ client = { certificate = "client" }, server = { ask = REQUEST } }, "client",
        messages.CERTIFICATE, function() return messages.build(messages.CERTIFICATE, "\0" .. vector(bytes, 3)) end)
      return failure.side, failure.code, failure.reason
    end
    assert.same({ "server", alert(42), "certificate chain too long" }, { chain(entry:rep(11)) })
    local junk = vector(("j"):rep(2000), 3) .. "\0\0"
    assert.same({ "server", alert(51) }, { (chain(entry .. junk:rep(7))), (select(2, chain(entry .. junk:rep(7)))) })
    assert.same({ "server", alert(47), "handshake message above the limit" }, { chain(entry .. junk:rep(8)) })
  end)

  it("leaks nothing, wherever memory ends", function()
    local client = assert(fixtures.client_config({ certificate = "clientdeep" }))
    for _, resumption in ipairs({ false, true }) do
      local server = assert(fixtures.server_config({ ask = REQUIRE, resumption = resumption }))
      accepted(client, server)
      collectgarbage()
      collectgarbage()
      local used, count = (server:used()), 0
      repeat
        local p = pair.new({ client = client, server = server })
        server:fail_after(count)
        local ok, failure = p:run()
        server:fail_after(nil)
        if not ok then assert.same({ "server", -2 }, { failure.side, failure.code }) end
        p.server:free()
        assert.equal(used, (server:used()))
        count = count + 1
      until ok
      assert.is_true(count > 5)
    end
  end)
end)

describe("a request for a certificate", function()
  local function subject_of(name)
    local der = fixtures.certificates()[name][1]
    return assert(units.certificates.parse(units.certificates.ders(crypto.new(("d"):rep(32)), der)[1])).subject
  end

  it("names the authorities of the server's roots", function()
    local p = accepted("client", { ask = REQUIRE, client_roots = certificates.ca[1] .. certificates.stranger[1] })
    local request = messages.read(find(p, "server", messages.CERTIFICATE_REQUEST))
    assert.equal(vector(vector(subject_of("ca"), 2) .. vector(subject_of("stranger"), 2), 2),
      messages.extension(request, CERTIFICATE_AUTHORITIES))
  end)

  -- covers: rfc8446#4.4.2.3.2
  it("is answered with the first chain of those authorities, and with none where none of several is", function()
    local two = { certificate = { "clientunknown", "client" } }
    local p = accepted(two, { ask = REQUIRE })
    local unknown = accepted(two, { ask = REQUIRE, client_roots = certificates.stranger[1] })
    assert.are_not.equal(p.server:info().certificate, unknown.server:info().certificate)
    p = accepted({ certificate = { "clientunknown", "clientunknown" } }, { ask = REQUEST })
    assert.equal("", p.server:info().certificate)
    assert.equal(2, accepted("clientdeep", { ask = REQUEST }).server:info().certificates)
  end)

  it("is answered with the only chain, whose intermediates the server may have, and which it refuses else", function()
    for _, ask in ipairs({ REQUEST, REQUIRE }) do
      for _, name in ipairs({ "clientbare", "clientunknown" }) do
        assert.matches("was not issued by an authority that is trusted", refused(alert(48), name, { ask = ask }))
      end
    end
  end)

  it("is refused when it is malformed", function()
    local function request(data)
      local _, failure = pair.tampered({ client = { certificate = "client" }, server = { ask = REQUEST } }, "server",
        messages.CERTIFICATE_REQUEST, function(message) return messages.edit(message, data) end)
      return failure.side, failure.code
    end
    local set = messages.set_extension
    local DECODE = { "client", alert(50) }
    assert.same(DECODE, { request(set(SIGNATURE_ALGORITHMS, "\0\0")) })
    assert.same(DECODE, { request(set(SIGNATURE_ALGORITHMS, "\0\3\4\3\4")) })
    assert.same(DECODE, { request(set(SIGNATURE_ALGORITHMS, "\0\2\4\3\0")) })
    for _, data in ipairs({ "", "\0\0", "\0\3\4\3\4", "\0\2\4\3\0" }) do
      assert.same(DECODE, { request(set(SIGNATURE_ALGORITHMS_CERT, data)) })
    end
    assert.same(DECODE, { request(set(CERTIFICATE_AUTHORITIES, "\0\0")) })
    assert.same(DECODE, { request(set(CERTIFICATE_AUTHORITIES, "\0\2\0\0")) })
    assert.same(DECODE, { request(set(CERTIFICATE_AUTHORITIES, "\0\4\0\3ab")) })
    assert.same({ "client", alert(109) }, { request(set(SIGNATURE_ALGORITHMS, nil)) })
    assert.same({ "client", alert(47) }, { request(function(m) m.context = "c" end) })
  end)
end)

describe("a server that has the application look at its clients", function()
  local PEER = 8
  local function asked(p)
    local question = assert(p.server:question())
    assert.equal(PEER, question.kind)
    return question
  end

  it("asks when the certificate is the client's own, and reads nothing of it before the answer", function()
    local p = pair.new({ client = { certificate = "client" }, server = { ask = REQUIRE, asks = PEER } })
    assert.is_false(p:run())
    local question = asked(p)
    assert.is_true(question.is_verified)
    assert.equal(p.server:info().certificate, question.certificate)
    assert.is_nil(p.secrets.server["3read"])
    assert.is_true(p.server:answer(PEER, question.id))
    p:take_secrets("server")
    assert.is_true(p:run())
    assert.equal(p.secrets.client["3write"], p.secrets.server["3read"])
  end)

  it("asks about a chain that nobody has verified where there are no roots", function()
    local p = pair.new({ client = { certificate = "clientunknown" },
      server = { ask = REQUIRE, asks = PEER, client_roots = "" } })
    assert.is_false(p:run())
    assert.is_false(asked(p).is_verified)
  end)

  it("does not ask about a client without a certificate", function()
    accepted({}, { ask = REQUEST, asks = PEER })
  end)

  it("asks again about a client that resumes, before it reads anything of it", function()
    local client = assert(fixtures.client_config({ certificate = "client", resumption = true }))
    local server = assert(fixtures.server_config({ ask = REQUIRE, asks = PEER, resumption = true }))
    for i = 1, 2 do
      local p = pair.new({ client = client, server = server })
      assert.is_false(p:run())
      local question = asked(p)
      assert.equal(i == 2, p.server:info().resumed)
      assert.is_nil(p.secrets.server["3read"])
      assert.is_true(p.server:answer(PEER, question.id))
      p:take_secrets("server")
      assert.is_true(p:run())
      assert.is_not_nil(p.secrets.server["3read"])
    end
  end)
end)

describe("a client whose key is elsewhere", function()
  it("sends what comes before the signature and goes on when it is there", function()
    local p = pair.new({ client = { certificate = "client", later = true }, server = { ask = REQUIRE } })
    assert.is_false(p:run())
    assert.same({ messages.CLIENT_HELLO, messages.CERTIFICATE }, kinds(p, "client"))
    assert.is_nil(p.secrets.client["3write"])
    local question = assert(p.client:question())
    assert.equal("TLS 1.3, client CertificateVerify\0", question.bytes:sub(65, 98))
    local context = crypto.new(("i"):rep(32))
    local identity = assert(units.certificates.identity_new(context, unpack(certificates.client)))
    local signature = assert(units.certificates.identity_sign(identity, question.scheme, question.bytes))
    units.certificates.identity_free(identity)
    assert.is_true(p.client:answer(question.kind, question.id, signature))
    p:take_secrets("client")
    assert.is_true(p:run())
    assert.equal(p.secrets.client["3write"], p.secrets.server["3read"])
  end)
end)

describe("a session of a client with a certificate", function()
  local function configs(client, server)
    client, server = client or {}, server or {}
    client.certificate = client.certificate or "client"
    client.resumption, server.resumption = true, true
    server.ask = server.ask or REQUIRE
    return assert(fixtures.client_config(client)), assert(fixtures.server_config(server))
  end
  local function resumed(p)
    assert.equal(p.client:info().resumed, p.server:info().resumed)
    return p.server:info().resumed
  end

  -- covers: rfc8446#4.3.2.7
  it("is resumed without a request, and the server knows the client by the leaf that it showed", function()
    local client, server = configs({ certificate = "clientdeep" })
    local first = accepted(client, server)
    for _ = 1, 3 do
      local p = accepted(client, server)
      assert.is_true(resumed(p))
      assert.is_nil(find(p, "server", messages.CERTIFICATE_REQUEST))
      assert.equal(first.server:info().certificate, p.server:info().certificate)
      assert.equal(1, p.server:info().certificates)
    end
  end)

  it("without one is resumed without one, where that is enough", function()
    local client = assert(fixtures.client_config({ resumption = true }))
    local server = assert(fixtures.server_config({ resumption = true, ask = REQUEST }))
    accepted(client, server)
    local p = accepted(client, server)
    assert.is_true(resumed(p))
    assert.equal("", p.server:info().certificate)
  end)

  it("is good for no server that asks in another way or trusts others", function()
    local keys = ("k"):rep(32)
    local function server(ask, roots)
      return assert(fixtures.server_config({ resumption = true, ask = ask, client_roots = roots, ticket_keys = keys }))
    end
    local both = certificates.ca[1] .. certificates.stranger[1]
    local servers = { server(nil), server(REQUEST), server(REQUIRE), server(REQUIRE, both) }
    for i, from in ipairs(servers) do
      for k, to in ipairs(servers) do
        local client = assert(fixtures.client_config({ certificate = "client", resumption = true }))
        accepted(client, from)
        assert.equal(i == k, resumed(accepted(client, to)))
      end
    end
  end)

  it("ends with the client's certificate, or with an intermediate behind it", function()
    for name, days in pairs({ client = 365, clientbrief = 10 }) do
      local client, server = configs({ certificate = name, verify = false })
      local finish = fixtures.now + days * 86400
      accepted(client, server, { now = finish - 43200 })
      assert.is_true(resumed(accepted(client, server, { now = finish - 8000 })))
      refused(alert(45), client, server, { now = finish + 60 })
    end
  end)

  it("lets the client send early, known by its leaf; and not where the application is to be asked first", function()
    for asks, expected in pairs({ [0] = "accepted", [8] = "none" }) do
      local client, server = configs({ early = true }, { early = true, asks = asks })
      local p
      for _ = 1, 5 do -- the first leaves two tickets
        p = pair.new({ client = client, server = server })
        p:run()
        local question = p.server:question()
        if question then
          assert.is_true(p.server:answer(question.kind, question.id))
          p:take_secrets("server")
          assert.is_true(p:run())
        end
      end
      assert.is_true(resumed(p))
      assert.equal(expected, p.server:info().early)
      assert.equal(1, p.server:info().certificates)
    end
  end)

  it("is bound to the roots that its certificate was verified by, not to those that came meanwhile", function()
    local PEER = 8
    -- A handshake in which the application thinks about the client while other roots come.
    local function thought_about(client, server, meanwhile)
      local p = pair.new({ client = client, server = server })
      assert.is_false(p:run())
      if meanwhile then assert.is_nil(server:add_client_roots(certificates.stranger[1])) end
      assert.is_true(p.server:answer(PEER, assert(p.server:question()).id))
      p:take_secrets("server")
      assert.is_true(p:run())
      return p
    end
    for _, comes_again in ipairs({ false, true }) do
      local client, server = configs({}, { asks = PEER })
      if comes_again then thought_about(client, server) end
      local p = thought_about(client, server, true)
      assert.equal(comes_again, resumed(p))
      assert.is_nil(find(p, "server", messages.NEW_SESSION_TICKET))
      assert.is_false(resumed(thought_about(client, server)))
      assert.is_true(resumed(thought_about(client, server)))
    end
    -- Its Finished held back is enough.
    local client, server = configs()
    accepted(client, server)
    local p = accepted(client, server, { filter = function(side, _, message)
      if side == "client" and messages.kind(message) == messages.FINISHED then
        assert.is_nil(server:add_client_roots(certificates.stranger[1]))
      end
    end })
    assert.is_true(resumed(p))
    assert.is_nil(find(p, "server", messages.NEW_SESSION_TICKET))
    assert.is_false(resumed(accepted(client, server)))
  end)

  it("is bound to the roots of the certificate, also where they came behind the hello", function()
    local client, server = configs()
    local p = accepted(client, server, { filter = function(side, _, message)
      if side == "client" and messages.kind(message) == messages.CERTIFICATE then
        assert.is_nil(server:add_client_roots(certificates.stranger[1]))
      end
    end })
    assert.is_not_nil(find(p, "server", messages.NEW_SESSION_TICKET))
    assert.is_true(resumed(accepted(client, server)))
  end)

  it("is for none who would show another certificate, or none", function()
    local client, server = configs({}, { ask = REQUEST })
    accepted(client, server)
    local _, saved = client:sessions()
    for _, other in ipairs({ { certificate = "clientrsa" }, {}, { certificate = { "client", "clientrsa" } },
      { certificate = { "clientrsa", "client" } }, { certificate = "client", is_same = true } }) do
      local same = other.is_same
      other.resumption = true
      local again = assert(fixtures.client_config(other))
      assert.equal(0, again:load_sessions(saved))
      assert.equal(same or false, resumed(accepted(again, server)))
    end
    -- Nor the other way round: who showed none is not taken for nobody when it has one.
    client = assert(fixtures.client_config({ resumption = true }))
    accepted(client, server)
    _, saved = client:sessions()
    client = assert(fixtures.client_config({ resumption = true, certificate = "client" }))
    assert.equal(0, client:load_sessions(saved))
    assert.is_false(resumed(accepted(client, server)))
  end)

  it("is given to none whose certificate is too large for a ticket: it shows it every time", function()
    local client, server = configs({ certificate = "clienthuge" })
    local p = accepted(client, server)
    assert.is_true(#p.server:info().certificate > 4096)
    assert.is_nil(find(p, "server", messages.NEW_SESSION_TICKET))
    assert.is_false(resumed(accepted(client, server)))
  end)
end)
