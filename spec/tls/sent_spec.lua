--- What is in the messages that we send, field by field.
local fixtures = require("tls.fixtures")
local messages = require("tls.messages")
local pair = require("tls.pair")

local COOKIE = 44

-- All messages of a handshake, by side and kind: the first of each.
local function handshake(options)
  local p = pair.new(options)
  assert.is_true(p:run())
  local first = { client = {}, server = {} }
  for _, seen in ipairs(p.seen) do
    local kind = messages.kind(seen.message)
    first[seen.from][kind] = first[seen.from][kind] or seen.message
  end
  return first, p
end

local function types(message)
  local out = {}
  for i, ext in ipairs(messages.read(message).extensions) do out[i] = ext[1] end
  table.sort(out)
  return out
end

local HELLO_RETRY = { server = { groups = { 0x17 } } }

describe("ServerHello", function()
  -- covers: rfc8446#4.1.3.1 rfc8446#4.1.3.6 rfc8446#4.2.1.10 rfc8446#D.5.9
  it("says TLS 1.2 where the version was, null compression, and repeats the session id, which is empty", function()
    for _, options in ipairs({ {}, HELLO_RETRY }) do
      local hello = messages.read(handshake(options).server[messages.SERVER_HELLO])
      assert.equal("\3\3", hello.version)
      assert.equal("", hello.session)
      assert.equal("\0", hello.compression)
    end
  end)

  -- covers: rfc8446#4.1.3.7 rfc8446#4.1.3.8 rfc8446#9.2.3
  it("has supported_versions and key_share, pre_shared_key where there is one, and nothing else", function()
    local client = assert(fixtures.client_config({ resumption = true }))
    local server = assert(fixtures.server_config({ resumption = true }))
    local options = { client = client, server = server }
    assert.same({ 43, 51 }, types(handshake(options).server[messages.SERVER_HELLO]))
    assert.same({ 41, 43, 51 }, types(handshake(options).server[messages.SERVER_HELLO]))
    assert.same({ 43, 51 }, types(handshake(HELLO_RETRY).server[messages.SERVER_HELLO]))
  end)

  -- covers: rfc8446#4.1.3.3 rfc8446#4.2.8.5
  it("has random bytes and a key of its own, whatever the client's are", function()
    local server = assert(fixtures.server_config({}))
    local seen = {}
    for _ = 1, 10 do
      local hello = messages.read(handshake({ client = {}, server = server }).server[messages.SERVER_HELLO])
      for _, value in ipairs({ hello.random, messages.extension(hello, 51) }) do
        assert.is_nil(seen[value])
        seen[value] = true
      end
    end
  end)
end)

describe("EncryptedExtensions", function()
  -- covers: rfc8446#4.2.6.2 rfc8446#4.2.9.6 rfc8446#4.4.2.1.2
  it("answers server_name, the protocol and transport parameters alone, whatever the client has", function()
    local filter = function(from, _, message)
      if from ~= "client" or messages.kind(message) ~= messages.CLIENT_HELLO then return nil end
      return messages.edit(message, function(m)
        for _, ext in ipairs({ { 5, "\1\0\0\0\0" }, { 49, "" }, { 0x0a0a, "" }, { 17, "" }, { 18, "" } }) do
          table.insert(m.extensions, ext)
        end
      end)
    end
    local p = pair.new({ filter = filter })
    p:run()
    for _, seen in ipairs(p.seen) do
      if messages.kind(seen.message) == messages.ENCRYPTED_EXTENSIONS then
        assert.same({ 0, 16, 57 }, types(seen.message))
        return
      end
    end
    error("it never came")
  end)
end)

describe("Certificate of a server", function()
  -- covers: rfc8446#4.4.2.5 rfc8446#4.4.2.9
  it("has no context, and its own certificate before the one that vouches for it", function()
    local first = handshake({ server = { certificate = "deep" } })
    local body = messages.body(first.server[messages.CERTIFICATE])
    assert.equal("\0", body:sub(1, 1))
    local certificates, at = {}, 5
    local function number(place, size)
      local value = 0
      for i = place, place + size - 1 do value = value * 256 + body:byte(i) end
      return value
    end
    while at <= #body do
      local size = number(at, 3)
      table.insert(certificates, body:sub(at + 3, at + 2 + size))
      at = at + 3 + size
      assert.equal(0, number(at, 2)) -- no extensions that nobody asked for
      at = at + 2
    end
    assert.equal(2, #certificates)
    local helper = require("helper")
    local dir = helper.make_dir()
    local subjects = {}
    for i, der in ipairs(certificates) do
      helper.write_file(dir .. "/der", der)
      subjects[i] = helper.sh("openssl x509 -inform DER -noout -subject -in " .. dir .. "/der"):match("CN ?= ?(%w+)")
    end
    helper.remove_dir(dir)
    assert.same({ "deep", "middle" }, subjects)
  end)

  -- covers: rfc8446#4.4.2.2 rfc8446#4.3.2.8
  it("is answered by none of a client that was not asked", function()
    local first = handshake()
    assert.is_nil(first.client[messages.CERTIFICATE])
    assert.is_nil(first.server[messages.CERTIFICATE_REQUEST])
  end)
end)

describe("ClientHello", function()
  -- covers: rfc8446#4.2.2.3
  it("has no cookie of the connection before", function()
    local client = assert(fixtures.client_config({ resumption = true, groups = { 0x1d, 0x17 } }))
    local server = assert(fixtures.server_config({ resumption = true, groups = { 0x17 } }))
    local p = pair.new({ client = client, server = server, filter = function(from, _, message, count)
      if from == "server" and count == 2 then
        return messages.edit(message, messages.set_extension(COOKIE, messages.vector("cookie", 2)))
      end
    end })
    p:run()
    assert.equal(messages.vector("cookie", 2), messages.extension(messages.read(p.seen[3].message), COOKIE))
    assert.is_nil(messages.extension(messages.read(handshake({ client = client, server = server })
      .client[messages.CLIENT_HELLO]), COOKIE))
  end)
end)
