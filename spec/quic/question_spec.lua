--- Connections whose handshake asks the application something, and waits.
local authority = require("crypto.authority")
local net = require("support.quic_net")
local certificates = require("neap.units").certificates
local crypto = require("neap.units").crypto

local MS = net.MS
local SIGNATURE, CERTIFICATE, PEER = 1, 4, 8
local ERR_ARGUMENT, ERR_CRYPTO, ERR_STATE = -3, -12, -19
local INTERNAL_ERROR = 0x100 + 80
local NEWS_QUESTION = 16

local chain, key = net.certificate()

local function sign(question)
  local context = crypto.new(("i"):rep(32))
  local identity = assert(certificates.identity_new(context, chain, key))
  local signature = assert(certificates.identity_sign(identity, question.scheme, question.bytes))
  certificates.identity_free(identity)
  return signature
end

-- A server's config whose key is elsewhere.
local function without_key(asks)
  local config = assert(net.quic.config(77))
  config:alpn("t")
  assert.equal(0, config:certificate(chain))
  if asks then assert.equal(0, config:ask(asks)) end
  return config
end

local function asks(side)
  return function(p) return p[side] and p[side]:question() ~= nil end
end

local function both_confirmed(p)
  return p.client:info().confirmed and p.server:info().confirmed
end

describe("a server that waits for its signature", function()
  local config, p

  before_each(function()
    config = without_key()
    p = net.pair({ server_config = config })
    assert.is_true(p:run(asks("server")))
  end)

  after_each(function()
    p:free()
    config:free()
    assert.equal(0, config:memory().live)
  end)

  it("tells its owner once that there is a question", function()
    assert.equal(NEWS_QUESTION, bit.band(p.server:news(), NEWS_QUESTION))
    p:settle()
    assert.equal(0, bit.band(p.server:news(), NEWS_QUESTION))
    assert.same({ SIGNATURE, 1, "localhost" },
      { p.server:question().kind, p.server:question().id, p.server:question().server_name })
  end)

  it("goes on when it has it, however often the client has asked meanwhile", function()
    p:run(nil, 8000 * MS)
    assert.is_false(p.server:info().established)
    assert.is_true(p.server:info().validated) -- the client has the keys of Handshake packets: it answers in them
    local question = p.server:question()
    assert.equal(0, p.server:answer(SIGNATURE, question.id, sign(question)))
    assert.is_nil(p.server:question())
    assert.is_true(p:run(both_confirmed, 1000 * MS))
    assert.equal("hello", (p:transfer("client", "hello")))
  end)

  it("gives up when its handshake has taken too long, and takes no answer then", function()
    local question = p.server:question()
    assert.is_true(p:run(function() return p.server:info().closed end, 11000 * MS))
    assert.equal("handshake timeout", p.server:info().by)
    assert.is_nil(p.server:question())
    assert.equal(ERR_STATE, p.server:answer(SIGNATURE, question.id, sign(question)))
    assert.equal(ERR_STATE, p.server:refuse(question.id, 80))
  end)

  it("takes no answer to another question, nor one that cannot be one", function()
    local question = p.server:question()
    assert.equal(ERR_STATE, p.server:answer(SIGNATURE, question.id + 1, "signature"))
    assert.equal(ERR_STATE, p.server:answer(PEER, question.id))
    assert.equal(ERR_STATE, p.server:answer(CERTIFICATE, question.id))
    assert.equal(ERR_STATE, p.server:refuse(question.id + 1, 80))
    assert.equal(ERR_ARGUMENT, p.server:answer(SIGNATURE, question.id, ""))
    assert.equal(ERR_ARGUMENT, p.server:answer(SIGNATURE, question.id, ("s"):rep(513)))
    assert.is_not_nil(p.server:question())
  end)

  it("ends with internal_error for a signature of another key", function()
    local question = p.server:question()
    assert.equal(ERR_CRYPTO, p.server:answer(SIGNATURE, question.id, sign({ scheme = 0x403, bytes = "other bytes" })))
    assert.is_true(p:run(function() return p.client:info().draining end, 1000 * MS))
    assert.same({ "peer", INTERNAL_ERROR }, { p.client:info().by, p.client:info().code })
  end)

  it("ends with the alert that it is told, and its reason", function()
    assert.equal(0, p.server:refuse(p.server:question().id, 40, "the device is gone"))
    assert.is_nil(p.server:question())
    assert.is_true(p:run(function() return p.client:info().draining end, 1000 * MS))
    assert.same({ "peer", 0x128, "the device is gone" },
      { p.client:info().by, p.client:info().code, p.client:info().reason })
  end)
end)

describe("a server that waits for its certificate", function()
  local config, p

  before_each(function()
    config = net.config(nil, 78, true)
    assert.equal(0, config:ask(CERTIFICATE))
    p = net.pair({ server_config = config })
    assert.is_true(p:run(asks("server")))
  end)

  after_each(function()
    p:free()
    config:free()
    assert.equal(0, config:memory().live)
  end)

  it("acknowledges the client's hello meanwhile, and goes on with what it is given", function()
    -- covers: rfc9000#13.2.1
    p:run(nil, 5000 * MS)
    assert.equal(0, p.client:stats().packets_lost)
    assert.is_true(p.client:stats().packets_received > 0)
    assert.is_false(p.server:info().validated)
    assert.equal(0, p.server:answer(CERTIFICATE, p.server:question().id, chain, key))
    assert.is_true(p:run(both_confirmed, 2000 * MS))
  end)

  it("remembers what it is given for its name, but for an answer to a question of before a reload", function()
    for _, reloads in ipairs({ true, false }) do
      if reloads then
        assert.equal(0, config:begin_reload())
        config:end_reload(true)
      end
      assert.equal(0, p.server:answer(CERTIFICATE, p.server:question().id, chain, key))
      assert.is_true(p:run(both_confirmed, 2000 * MS))
      p:free()
      p = net.pair({ server_config = config })
      assert.is_true(p:run(function() return p.client:info().confirmed or asks("server")(p) end, 2000 * MS))
      assert.equal(reloads, p.server:question() ~= nil)
    end
  end)

  it("goes on waiting when it is given what is no certificate", function()
    local question = p.server:question()
    assert.is_true(p.server:answer(CERTIFICATE, question.id, "no chain", "no key") < 0)
    assert.equal(question.id, p.server:question().id)
    assert.equal(0, p.server:answer(CERTIFICATE, question.id))
    assert.is_true(p:run(both_confirmed, 2000 * MS))
  end)

  it("asks for a signature next when it is given no key", function()
    assert.equal(0, p.server:answer(CERTIFICATE, p.server:question().id, chain))
    local question = p.server:question()
    assert.equal(SIGNATURE, question.kind)
    assert.equal(NEWS_QUESTION, bit.band(p.server:news(), NEWS_QUESTION))
    assert.equal(0, p.server:answer(SIGNATURE, question.id, sign(question)))
    assert.is_true(p:run(both_confirmed, 2000 * MS))
  end)
end)

describe("a client that asks about its server", function()
  local config, p

  before_each(function()
    config = net.config(nil, 79, false)
    assert.equal(0, config:ask(PEER))
    p = net.pair({ client_config = config })
    assert.is_true(p:run(asks("client")))
  end)

  after_each(function()
    p:free()
    config:free()
    assert.equal(0, config:memory().live)
  end)

  it("keeps the rest of the server's flight until it has the answer", function()
    p:run(nil, 3000 * MS)
    assert.is_false(p.client:info().established)
    local question = p.client:question()
    assert.same({ PEER, false }, { question.kind, question.is_verified })
    assert.equal(0, p.client:answer(PEER, question.id))
    assert.is_true(p.client:info().established)
    assert.is_true(p:run(both_confirmed, 2000 * MS))
  end)

  it("refuses it with the alert that it is told", function()
    assert.equal(0, p.client:refuse(p.client:question().id, 49))
    assert.is_true(p:run(function() return p.server:info().draining end, 1000 * MS))
    assert.equal(0x131, p.server:info().code)
  end)
end)

describe("roots that are replaced while a handshake is under way", function()
  local configs, p

  before_each(function()
    configs = { client = net.config({ verify_peer = 1 }, 81), server = net.config(nil, 82, true) }
    for _, config in pairs(configs) do assert.equal(0, config:ask(PEER)) end
  end)

  after_each(function()
    if p then p:free() end
    p = nil
    for _, config in pairs(configs) do
      config:free()
      assert.equal(0, config:memory().live)
    end
  end)

  local function connect()
    if p then p:free() end
    p = net.pair({ client_config = configs.client, server_config = configs.server })
  end

  -- What `config` has from now on: what fill() gives it, and nothing of before.
  local function reload(config, fill)
    assert.equal(0, config:begin_reload())
    if fill then fill(config) end
    config:end_reload(true)
  end

  it("leave no server to the application alone that a client is to verify, where none take their place", function()
    assert.equal(0, configs.client:ca(chain))
    connect()
    reload(configs.client)
    assert.is_true(p:run(function() return p.client:info().draining or p.client:question() end, 1000 * MS))
    assert.is_nil(p.client:question())
    assert.same({ "local", 0x100 + 48 }, { p.client:info().by, p.client:info().code })
  end)

  it("leave no client to the application alone where there are revocation lists, which need roots", function()
    local ca = authority.new()
    finally(function() ca:remove() end)
    ca:issue { name = "root", extensions = authority.CA }
    local list = ca:crl { issuer = "root" }
    for _, has_lists in ipairs { false, true } do
      configs.server:set("client_certificate", 2)
      assert.equal(0, configs.server:client_ca(chain))
      assert.equal(0, configs.client:ca(chain))
      assert.equal(0, configs.client:certificate(chain, key))
      connect()
      assert.is_true(p:run(asks("client")))
      reload(configs.server, function(config)
        assert.equal(0, config:certificate(chain, key))
        if has_lists then assert.equal(0, config:crl(list)) end
      end)
      assert.equal(0, p.client:answer(PEER, p.client:question().id))
      assert.is_true(p:run(function() return p.server:info().draining or p.server:question() end, 1000 * MS))
      assert.equal(has_lists, p.server:question() == nil)
      if has_lists then assert.same({ "local", 0x100 + 48 }, { p.server:info().by, p.server:info().code }) end
      p:free()
      p = nil
      reload(configs.server, function(config) assert.equal(0, config:certificate(chain, key)) end)
    end
  end)

  it("do not change what those said of a server that was looked at before", function()
    assert.equal(0, configs.client:ca(chain))
    connect()
    assert.is_true(p:run(asks("client")))
    assert.is_true(p.client:question().is_verified)
    reload(configs.client)
    assert.is_true(p.client:question().is_verified)
  end)

  it("have not vouched for a client that was looked at before", function()
    configs.server:set("client_certificate", 2)
    assert.equal(0, configs.client:ca(chain))
    assert.equal(0, configs.client:certificate(chain, key))
    connect()
    assert.is_true(p:run(asks("client")))
    assert.equal(0, p.client:answer(PEER, p.client:question().id))
    assert.is_true(p:run(asks("server")))
    assert.is_false(p.server:question().is_verified)
    reload(configs.server, function(config)
      assert.equal(0, config:certificate(chain, key))
      assert.equal(0, config:client_ca(chain))
    end)
    assert.is_false(p.server:question().is_verified)
  end)

  it("are not asked about a server whose session is resumed: those of the session have vouched for it", function()
    assert.equal(0, configs.client:ca(chain))
    assert.equal(0, configs.server:ask(0))
    for i = 1, 2 do
      connect()
      if i == 2 then reload(configs.client) end -- its session is offered, and bound to the roots of then
      assert.is_true(p:run(asks("client")))
      assert.is_true(p.client:question().is_verified)
      assert.equal(0, p.client:answer(PEER, p.client:question().id))
      assert.is_true(p:run(both_confirmed, 2000 * MS))
      assert.equal(i == 2, p.client:info().resumed)
      p:settle(100 * MS)
    end
  end)

  -- Handshakes that begin and end with what begin() gives, of which the first meets the server with what meanwhile()
  -- gives: whether a session came of it.
  local function is_resumed(begin, meanwhile)
    reload(configs.client, begin)
    for i = 1, 2 do
      connect()
      if i == 1 then reload(configs.client, meanwhile) end
      assert.is_true(p:run(function() return p.client:info().draining or p.client:question() end, 1000 * MS))
      if p.client:info().draining then return false, p.client:info().code end
      if i == 1 then reload(configs.client, begin) end
      assert.equal(0, p.client:answer(PEER, p.client:question().id))
      assert.is_true(p:run(both_confirmed, 2000 * MS))
      p:settle(100 * MS)
    end
    return p.client:info().resumed
  end

  it("leave no session to those of before, which come back before its end", function()
    local ca = authority.new()
    finally(function() ca:remove() end)
    local stranger = ca:issue { name = "root", extensions = authority.CA }
    assert.equal(0, configs.server:ask(0))
    local function these(config) assert.equal(0, config:ca(chain)) end
    local function others(config) assert.equal(0, config:ca(stranger.pem)) end
    assert.same({ true }, { is_resumed(these, these) })
    assert.same({ false, 0x100 + 48 }, { is_resumed(others, these) })
  end)

  it("leave no session that knows the client by a certificate which it had for a while only", function()
    assert.equal(0, configs.server:ask(0))
    configs.server:set("client_certificate", 1)
    assert.equal(0, configs.server:client_ca(chain))
    local function without(config) assert.equal(0, config:ca(chain)) end
    local function with(config)
      assert.equal(0, config:ca(chain))
      assert.equal(0, config:certificate(chain, key))
    end
    assert.is_true(is_resumed(with, with))
    assert.is_false(is_resumed(without, with))
  end)
end)

describe("what a config asks", function()
  it("is a sum of kinds, before connections are made with it", function()
    local config = without_key(CERTIFICATE + PEER)
    assert.equal(ERR_ARGUMENT, config:ask(SIGNATURE))
    assert.equal(ERR_ARGUMENT, config:ask(64))
    local p = net.pair({ server_config = config })
    p:run(asks("server"))
    assert.equal(ERR_STATE, config:ask(0))
    p:free()
    config:free()
  end)

  it("needs nothing else of a server that is given its certificates", function()
    local config = assert(net.quic.config(80))
    config:alpn("t")
    assert.equal(0, config:ask(CERTIFICATE))
    local p = net.pair({ server_config = config })
    assert.is_true(p:run(asks("server")))
    assert.equal(0, p.server:answer(CERTIFICATE, 1, chain, key))
    assert.is_true(p:run(both_confirmed, 2000 * MS))
    p:free()
    config:free()
  end)
end)

