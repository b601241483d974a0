--- Groups of the key exchange: who offers and takes which. What needs X25519MLKEM768 runs where a library has it
--- (OpenSSL 3.5: scripts/peers test).
local crypto = require("neap.units").crypto
local fixtures = require("tls.fixtures")
local messages = require("tls.messages")
local pair = require("tls.pair")

local HYBRID, X25519, P256 = 0x11ec, fixtures.GROUPS.X25519, fixtures.GROUPS.P256
local BOTH = { HYBRID, X25519 }
local has_hybrid = crypto.has_group(crypto.new(("g"):rep(32)), HYBRID)

local function hellos(p)
  local list = {}
  for _, entry in ipairs(p.seen) do
    if messages.kind(entry.message) == messages.CLIENT_HELLO then list[#list + 1] = messages.read(entry.message) end
  end
  return list
end

-- A list of { group, key }.
local function shares(hello)
  return messages.read_extensions(messages.extension(hello, 51):sub(3))
end

local function connected(options)
  local p = pair.new(options)
  local ok, failure = p:run()
  assert.is_true(ok, failure and failure.reason)
  return p
end

-- The code of the failure, and who fails.
local function tampered(options, side, kind, change)
  local ok, failure = pair.tampered(options, side, kind, change)
  assert.is_nil(ok)
  return failure.code, failure.side
end

describe("the hybrid of ML-KEM and X25519", function()
  it("is there with a library of this build", function()
    if not has_hybrid then pending("no library of this build has ML-KEM: OpenSSL 3.5 does (scripts/peers test)") end
  end)

  it("is not offered by a client that was not told to", function()
    local p = connected({})
    local hello = hellos(p)[1]
    assert.equal("\0\6\0\29\0\23\0\24", messages.extension(hello, 10))
    assert.equal(1, #shares(hello))
  end)

  it("is left out where no library has it, and a share of it is passed over", function()
    if has_hybrid then return end
    local hello = hellos(connected({ client = { groups = BOTH } }))[1]
    assert.equal("\0\2\0\29", messages.extension(hello, 10))
    local _, failure = pair.tampered({}, "client", messages.CLIENT_HELLO, function(message)
      return messages.edit(message, function(m)
        messages.set_extension(10, "\0\4\17\236\0\29")(m)
        local x25519 = messages.extension(m, 51):sub(3)
        messages.set_extension(51, messages.vector("\17\236" .. messages.vector(("k"):rep(1216), 2) .. x25519, 2))(m)
      end)
    end)
    -- The server went on with X25519: only then the transcripts differ.
    assert.same({ "client", pair.alert(51) }, { failure.side, failure.code })
  end)
end)

if not has_hybrid then return end

describe("a client that offers the hybrid of ML-KEM and X25519", function()
  it("shares it and the X25519 of it, and a server of ours takes the hybrid", function()
    local p = connected({ client = { groups = BOTH } })
    local hello = hellos(p)[1]
    assert.equal("\0\4\17\236\0\29", messages.extension(hello, 10))
    local list = shares(hello)
    assert.same({ HYBRID, X25519 }, { list[1][1], list[2][1] })
    assert.same({ 1216, 32 }, { #list[1][2], #list[2][2] })
    assert.equal(list[2][2], list[1][2]:sub(-32))
    assert.same({ HYBRID, HYBRID }, { p.client:info().group, p.server:info().group })
  end)

  it("meets a server without it in one round trip, by X25519", function()
    local p = connected({ client = { groups = BOTH }, server = { groups = { X25519 } } })
    assert.equal(1, #hellos(p))
    assert.same({ X25519, X25519 }, { p.client:info().group, p.server:info().group })
  end)

  it("shares it alone when it offers no X25519, or a HelloRetryRequest asked for it", function()
    local p = connected({ client = { groups = { HYBRID, P256 } } })
    assert.equal(1, #shares(hellos(p)[1]))
    p = connected({ client = { groups = { X25519, HYBRID } }, server = { groups = { HYBRID } } })
    local list = hellos(p)
    assert.equal(2, #list)
    assert.equal(X25519, shares(list[1])[1][1])
    assert.same({ 1, HYBRID }, { #shares(list[2]), shares(list[2])[1][1] })
    assert.same({ HYBRID, HYBRID }, { p.client:info().group, p.server:info().group })
  end)

  it("answers a HelloRetryRequest for another group with one share of that", function()
    local p = connected({ client = { groups = { HYBRID, X25519, P256 } }, server = { groups = { P256 } } })
    local second = hellos(p)[2]
    assert.same({ 1, P256 }, { #shares(second), shares(second)[1][1] })
  end)

  -- covers: rfc8446#4.1.4.10
  it("refuses a HelloRetryRequest for a group that it shared, the X25519 beside as well", function()
    for _, group in ipairs(BOTH) do
      local options = { client = { groups = { HYBRID, X25519, P256 } }, server = { groups = { P256 } } }
      local code, side = tampered(options, "server", messages.SERVER_HELLO, function(message)
        return messages.edit(message, messages.set_extension(51, messages.bytes(group, 2)))
      end)
      assert.same({ pair.alert(47), "client" }, { code, side })
    end
  end)

  it("repeats both shares when a HelloRetryRequest brings nothing but a cookie", function()
    local config = assert(fixtures.client_config({ groups = BOTH }))
    local client = assert(config:client("example.test", "params", fixtures.now, 1, 443))
    local first = messages.read(client:output(0))
    local random = "\207\33\173\116\229\154\97\17\190\29\140\2\30\101\184\145\194\162\17\22\122\187\140\94\7\158"
      .. "\9\226\200\168\51\156"
    local request = messages.build(messages.SERVER_HELLO, "\3\3" .. random .. "\0\19\1\0"
      .. messages.vector(messages.write_extensions({ { 43, "\3\4" }, { 44, "\0\6cookie" } }), 2))
    assert.is_true(client:receive(0, request))
    local second = messages.read(client:output(0))
    assert.equal(messages.extension(first, 51), messages.extension(second, 51))
  end)

  it("refuses a server's share that is none", function()
    for _, key in ipairs({ ("k"):rep(1119), ("k"):rep(32), ("k"):rep(1088) .. ("\0"):rep(32) }) do
      local code, side = tampered({ client = { groups = BOTH } }, "server", messages.SERVER_HELLO, function(message)
        return messages.edit(message, messages.set_extension(51, messages.bytes(HYBRID, 2) .. messages.vector(key, 2)))
      end)
      assert.same({ pair.alert(47), "client" }, { code, side })
    end
  end)

  it("resumes with it", function()
    local client = assert(fixtures.client_config({ groups = BOTH, resumption = true }))
    local server = assert(fixtures.server_config({ resumption = true }))
    connected({ client = client, server = server })
    local p = connected({ client = client, server = server })
    assert.same({ true, HYBRID }, { p.client:info().resumed, p.client:info().group })
  end)
end)

describe("a server that takes the hybrid of ML-KEM and X25519", function()
  it("refuses a share that is no encapsulation key", function()
    for _, key in ipairs({ ("k"):rep(1215), ("k"):rep(32), ("\255"):rep(1184) .. ("k"):rep(32) }) do
      local code, side = tampered({ client = { groups = BOTH } }, "client", messages.CLIENT_HELLO, function(message)
        return messages.edit(message, messages.set_extension(51,
          messages.vector(messages.bytes(HYBRID, 2) .. messages.vector(key, 2), 2)))
      end)
      assert.same({ pair.alert(47), "server" }, { code, side })
    end
  end)
end)
