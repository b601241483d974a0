--- Handshakes that ask the application something and stand still until it has answered.
local fixtures = require("tls.fixtures")
local messages = require("tls.messages")
local pair = require("tls.pair")
local certificates = require("neap.units").certificates
local crypto = require("neap.units").crypto

local NO_MEMORY = -2
local SIGNATURE, CERTIFICATE, PEER = 1, 4, 8

--- A pair whose side waits for an answer, and its question.
local function waiting(side, options)
  local p = pair.new(options)
  assert.is_false(p:run())
  return p, assert(p[side]:question())
end

local function kinds(p, from)
  local list = {}
  for _, seen in ipairs(p.seen) do
    if seen.from == from then table.insert(list, messages.kind(seen.message)) end
  end
  return list
end

local function signed(certificate, question)
  local chain, key = unpack(fixtures.certificates()[certificate])
  local context = crypto.new(("i"):rep(32))
  local identity = assert(certificates.identity_new(context, chain, key))
  local signature = assert(certificates.identity_sign(identity, question.scheme, question.bytes))
  certificates.identity_free(identity)
  return signature
end

local function answer(p, side, question, ...)
  local ok, code, reason = p[side]:answer(question.kind, question.id, ...)
  if ok then p:take_secrets(side) end
  return ok, code, reason
end

describe("a server whose key is elsewhere", function()
  local elsewhere = { server = { later = true } }

  for _, certificate in ipairs(fixtures.KINDS) do
    it("sends what comes before the signature and goes on when it is there, with a key of " .. certificate, function()
      local p, question = waiting("server", { server = { certificate = certificate, later = true } })
      assert.same({ messages.SERVER_HELLO, messages.ENCRYPTED_EXTENSIONS, messages.CERTIFICATE }, kinds(p, "server"))
      assert.is_true(answer(p, "server", question, signed(certificate, question)))
      assert.is_true(p:run())
      assert.same({ messages.SERVER_HELLO, messages.ENCRYPTED_EXTENSIONS, messages.CERTIFICATE,
        messages.CERTIFICATE_VERIFY, messages.FINISHED }, kinds(p, "server"))
      assert.is_nil(p.server:question())
    end)
  end

  it("asks for a signature over all that is signed, and says how and by whose key", function()
    -- covers: rfc8446#4.4.3.2
    local p, question = waiting("server", elsewhere)
    assert.same({ SIGNATURE, 1, 0x403, "example.test" },
      { question.kind, question.id, question.scheme, question.server_name })
    assert.equal((" "):rep(64) .. "TLS 1.3, server CertificateVerify\0", question.bytes:sub(1, 98))
    assert.equal(98 + 32, #question.bytes)
    assert.equal((crypto.hash(256, question.bytes)), question.digest)
    assert.same(p.client:info().certificate, question.certificate)
  end)

  it("has the secrets to read and write its handshake meanwhile, and no others", function()
    local p = waiting("server", elsewhere)
    assert.is_not_nil(p.secrets.server["2write"])
    assert.is_not_nil(p.secrets.server["2read"])
    assert.equal(2, #p.secrets.server)
  end)

  it("takes nothing of the client meanwhile, and then no answer", function()
    local p, question = waiting("server", elsewhere)
    local ok, code = p.server:receive(pair.INITIAL, "\1\0\0\0")
    assert.same({ nil, pair.alert(10) }, { ok, code })
    assert.is_nil(p.server:question())
    assert.is_false((answer(p, "server", question, "late")))
  end)

  it("takes an answer to the question that is open, once, and none to another", function()
    local p, question = waiting("server", elsewhere)
    local signature = signed("p256", question)
    assert.is_false((p.server:answer(SIGNATURE, question.id + 1, signature)))
    assert.is_false((p.server:answer(PEER, question.id)))
    assert.is_true(answer(p, "server", question, signature))
    assert.is_false((answer(p, "server", question, signature)))
  end)

  it("sends no signature that its certificate's key did not make", function()
    for _, change in ipairs({
      function(s) return s:sub(1, -2) .. string.char((s:byte(-1) + 1) % 256) end,
      function(s) return s:sub(1, -2) end,
      function(_, question) return signed("other", question) end,
    }) do
      local p, question = waiting("server", elsewhere)
      local ok, code, reason = answer(p, "server", question, change(signed("p256", question), question))
      assert.same({ nil, pair.alert(80), "" }, { ok, code, reason })
      assert.equal("", p.server:output(pair.HANDSHAKE))
      assert.equal(0, #p.server:secrets())
    end
  end)

  it("may go while it waits", function()
    waiting("server", elsewhere).server:free()
  end)

  it("leaks nothing, wherever memory ends", function()
    local config = assert(fixtures.server_config({ later = true }))
    local count, ok, code = 0
    local used = config:used()
    repeat
      local client = assert(fixtures.client_config():client("example.test", "client params", fixtures.now))
      local server = assert(config:server("server params", fixtures.now))
      config:fail_after(count)
      ok, code = server:receive(pair.INITIAL, client:output(pair.INITIAL))
      if ok then
        local question = server:question()
        ok, code = server:answer(SIGNATURE, question.id, signed("p256", question))
      end
      config:fail_after(nil)
      if not ok then assert.equal(NO_MEMORY, code) end
      server:free()
      assert.equal(used, (config:used()))
      count = count + 1
    until ok
    assert.is_true(count > 3)
  end)
end)

describe("a server that asks for its certificate", function()
  local function options(more)
    local server = { asks = CERTIFICATE }
    for name, value in pairs(more or {}) do server[name] = value end
    return { server = server }
  end

  it("says nothing before it knows which, and names the server that the client asks for", function()
    local p, question = waiting("server", options())
    assert.same({ CERTIFICATE, "example.test" }, { question.kind, question.server_name })
    assert.same({}, kinds(p, "server"))
    assert.equal(0, #question.bytes % 2)
    assert.equal("\4\3", question.bytes:sub(1, 2))
  end)

  it("shows the one that it is given", function()
    local p, question = waiting("server", options({ certificate = "other" }))
    assert.is_true(answer(p, "server", question, unpack(fixtures.certificates().p256)))
    assert.is_true(p:run())
  end)

  it("shows one of its own when it is given none", function()
    local p, question = waiting("server", options({ certificate = "p384" }))
    assert.is_true(answer(p, "server", question))
    assert.is_true(p:run())
  end)

  it("needs none of its own, and fails for a name that there is none for", function()
    local p, question = waiting("server", { server = { asks = CERTIFICATE, certificate = {} } })
    local ok, code = answer(p, "server", question)
    assert.same({ nil, pair.alert(112) }, { ok, code })
  end)

  it("asks once, also where the client has to say hello twice", function()
    local p, question = waiting("server", { server = { asks = CERTIFICATE, groups = { fixtures.GROUPS.P384 } } })
    assert.is_true(answer(p, "server", question, unpack(fixtures.certificates().p256)))
    assert.is_true(p:run())
  end)

  it("leaks nothing, wherever memory ends", function()
    local config = assert(fixtures.server_config({ asks = CERTIFICATE }))
    local count, ok, code = 0
    local used = config:used()
    repeat
      local client = assert(fixtures.client_config():client("example.test", "client params", fixtures.now))
      local server = assert(config:server("server params", fixtures.now))
      config:fail_after(count)
      ok, code = server:receive(pair.INITIAL, client:output(pair.INITIAL))
      if ok then ok, code = server:answer(CERTIFICATE, 1, unpack(fixtures.certificates().p384)) end
      config:fail_after(nil)
      if not ok then assert.equal(NO_MEMORY, code) end
      server:free()
      assert.equal(used, (config:used()))
      count = count + 1
    until ok
    assert.is_true(count > 3)
  end)
end)

describe("a client that asks about its server", function()
  it("does so when it knows that the certificate is the server's, and keeps what comes behind that", function()
    local p, question = waiting("client", { client = { asks = PEER } })
    assert.same({ PEER, true, p.client:info().certificate },
      { question.kind, question.is_verified, question.certificate })
    assert.is_true(answer(p, "client", question))
    assert.is_true(p:run())
  end)

  it("says of a chain that nothing vouches for that it does not know it", function()
    local p, question = waiting("client", { client = { asks = PEER, roots = "", verify = false } })
    assert.is_false(question.is_verified)
    assert.is_true(answer(p, "client", question))
    assert.is_true(p:run())
  end)

  it("asks nothing when it is to verify and has nothing to do so with", function()
    local p = pair.new({ client = { asks = PEER, roots = "", verify = true } })
    local ok, failure = p:run()
    assert.same({ nil, pair.alert(48) }, { ok, failure.code })
    assert.is_nil(p.client:question())
  end)

  it("asks nothing about one that its roots do not vouch for", function()
    local p = pair.new({ client = { asks = PEER }, server = { certificate = "unknown" } })
    local ok, failure = p:run()
    assert.same({ nil, pair.alert(48) }, { ok, failure.code })
  end)

  it("asks nothing about one whose key did not sign", function()
    local ok, failure = pair.tampered({ client = { asks = PEER } }, "server", messages.CERTIFICATE_VERIFY,
      function(message) return message:sub(1, -2) .. string.char((message:byte(-1) + 1) % 256) end)
    assert.same({ nil, pair.alert(51) }, { ok, failure.code })
  end)
end)

describe("a client that asks about its server, and comes again", function()
  local function client_config(more)
    local options = { resumption = true }
    for name, value in pairs(more or {}) do options[name] = value end
    return assert(fixtures.client_config(options))
  end
  local function server_config(more)
    local options = { resumption = true }
    for name, value in pairs(more or {}) do options[name] = value end
    return assert(fixtures.server_config(options))
  end

  -- A handshake in which the client's question, if there is one, is answered: the pair and the question.
  local function connect(client, server)
    local p = pair.new({ client = client, server = server })
    local done = p:run()
    local question = p.client:question()
    assert.equal(question == nil, done)
    if question then
      assert.is_nil(p.secrets.client["3read"])
      assert.is_nil(p.secrets.client["3write"])
      assert.is_true(answer(p, "client", question))
      assert.is_true(p:run())
    end
    assert.equal(p.client:info().resumed, p.server:info().resumed)
    return p, question
  end

  it("asks again, with the certificate that the session began with, before it sends anything", function()
    local client, server = client_config({ asks = PEER }), server_config()
    local leaf
    for i = 1, 4 do
      local p, question = connect(client, server)
      leaf = leaf or question.certificate
      assert.same({ PEER, true, leaf, i > 1, i > 1 },
        { question.kind, question.is_verified, question.certificate, question.is_resumed, p.client:info().resumed })
      assert.is_true(#leaf > 200)
    end
  end)

  it("takes no session that was begun when nobody was asked, and the other way round", function()
    local server = server_config()
    for _, first in ipairs({ 0, PEER }) do
      local client = client_config({ asks = first })
      connect(client, server)
      local count, saved = client:sessions()
      assert.equal(2, count)
      client = client_config({ asks = PEER - first })
      assert.equal(0, client:load_sessions(saved))
      local p = connect(client, server)
      assert.is_false(p.client:info().resumed)
    end
  end)

  it("sends nothing early: it would be before the answer", function()
    local server = server_config({ early = true })
    for asks, expected in pairs({ [0] = "accepted", [PEER] = "none" }) do
      local client = client_config({ early = true, asks = asks })
      connect(client, server)
      local p = connect(client, server)
      assert.is_true(p.client:info().resumed)
      assert.equal(expected, p.client:info().early)
    end
  end)

  it("keeps no session of a server whose certificate is too large to be kept with it", function()
    local huge = server_config({ certificate = "clienthuge" })
    local client = client_config({ asks = PEER, roots = "", verify = false })
    local _, question = connect(client, huge)
    assert.is_true(#question.certificate > 3072)
    assert.equal(0, (client:sessions()))
    local p
    p, question = connect(client, huge)
    assert.is_false(p.client:info().resumed)
    assert.is_not_nil(question)
  end)

  it("leaks nothing, wherever memory ends", function()
    local server = server_config()
    local client = client_config({ asks = PEER })
    connect(client, server)
    local _, saved = client:sessions()
    local count, is_done = 0, false
    repeat
      client = client_config({ asks = PEER })
      local used = client:used()
      assert.equal(0, client:load_sessions(saved))
      client:fail_after(count)
      local made, p = pcall(pair.new, { client = client, server = server })
      if made then
        p:run()
        local question = p.client:question()
        if question then is_done = answer(p, "client", question) and p:run() end
        p.client:free()
      end
      client:fail_after(nil)
      assert.equal(0, client:load_sessions("neap sessions 1\n"))
      client:drop_sessions()
      assert.equal(used, (client:used()))
      count = count + 1
    until is_done
    assert.is_true(count > 5)
  end)
end)
