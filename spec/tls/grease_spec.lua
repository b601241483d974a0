--- Values that mean nothing (RFC 8701), which clients send so that servers stay used to passing over what they do not
--- know; and encrypted_client_hello (RFC 9849), which is one of these to a server without its keys.
local fixtures = require("tls.fixtures")
local messages = require("tls.messages")
local pair = require("tls.pair")

local bytes, vector = messages.bytes, messages.vector
local GREASE = {}
for i = 0, 15 do GREASE[(i * 16 + 10) * 257] = true end
local ENCRYPTED_CLIENT_HELLO, COMPRESS = 0xfe0d, 27

local function numbers(list)
  local out = {}
  for i = 1, #list, 2 do out[#out + 1] = list:byte(i) * 256 + list:byte(i + 1) end
  return out
end

local function hellos(p)
  local list = {}
  for _, entry in ipairs(p.seen) do
    if messages.kind(entry.message) == messages.CLIENT_HELLO then list[#list + 1] = messages.read(entry.message) end
  end
  return list
end

local function connected(options)
  local p = pair.new(options)
  local ok, failure = p:run()
  assert.is_true(ok, failure and failure.reason)
  return p
end

-- What is reserved in a hello: by place, the values.
local function reserved(hello)
  local found = {}
  local function look(place, list)
    for _, number in ipairs(list) do
      if GREASE[number] then found[place] = number end
    end
  end
  look("suites", numbers(hello.suites))
  look("groups", numbers(messages.extension(hello, 10):sub(3)))
  look("schemes", numbers(messages.extension(hello, 13):sub(3)))
  look("versions", numbers(messages.extension(hello, 43):sub(2)))
  for _, share in ipairs(messages.read_extensions(messages.extension(hello, 51):sub(3))) do
    look("shares", { share[1] })
  end
  for _, extension in ipairs(hello.extensions) do look("extensions", { extension[1] }) end
  return found
end

local function count(list)
  local n = 0
  for _ in pairs(list) do n = n + 1 end
  return n
end

describe("a client", function()
  it("sends reserved suites, groups, shares, schemes, versions and extensions when it is told to", function()
    assert.equal(0, count(reserved(hellos(connected({}))[1])))
    local seen = {}
    for i = 1, 20 do
      local p = connected({ client = { grease = true, seed = ("%032d"):format(i) } })
      local found = reserved(hellos(p)[1])
      assert.equal(6, count(found))
      assert.equal(found.groups, found.shares)
      seen[found.suites] = true
    end
    assert.is_true(count(seen) > 5)
  end)

  it("sends the same once more after a HelloRetryRequest, but for the share", function()
    local p = connected({ client = { grease = true, groups = { 0x1d, 0x17 } }, server = { groups = { 0x17 } } })
    local list = hellos(p)
    local first, second = reserved(list[1]), reserved(list[2])
    assert.is_nil(second.shares)
    first.shares = nil
    assert.same(first, second)
  end)

  it("offers a session behind them", function()
    local client = assert(fixtures.client_config({ grease = true, resumption = true }))
    local server = assert(fixtures.server_config({ resumption = true }))
    connected({ client = client, server = server })
    assert.is_true(connected({ client = client, server = server }).client:info().resumed)
  end)

  it("refuses a server that takes one of them", function()
    local function code(kind, change)
      local hello
      local _, failure = pair.tampered({ client = { grease = true }, filter = function(side, _, message)
        if side == "client" and messages.kind(message) == messages.CLIENT_HELLO then hello = messages.read(message) end
      end }, "server", kind, function(message) return messages.edit(message, change(reserved(hello))) end)
      assert.equal("client", failure.side)
      return failure.code
    end
    assert.equal(pair.alert(47), code(messages.SERVER_HELLO, function(found)
      return function(m) m.suite = bytes(found.suites, 2) end
    end))
    assert.equal(pair.alert(47), code(messages.SERVER_HELLO, function(found)
      return messages.set_extension(51, bytes(found.groups, 2) .. vector("\0", 2))
    end))
    assert.equal(pair.alert(47), code(messages.SERVER_HELLO, function(found)
      return messages.set_extension(43, bytes(found.versions, 2))
    end))
    assert.equal(pair.alert(110), code(messages.SERVER_HELLO, function(found)
      return messages.set_extension(found.extensions, "")
    end))
    assert.equal(pair.alert(110), code(messages.ENCRYPTED_EXTENSIONS, function(found)
      return messages.set_extension(found.extensions, "")
    end))
  end)

  it("takes no retry configurations of encrypted_client_hello, which it does not offer", function()
    local _, failure = pair.tampered({}, "server", messages.ENCRYPTED_EXTENSIONS, function(message)
      return messages.edit(message, messages.set_extension(ENCRYPTED_CLIENT_HELLO, vector("\254\13\0\0", 2)))
    end)
    assert.same({ "client", pair.alert(110) }, { failure.side, failure.code })
  end)
end)

describe("a server", function()
  -- It answers a hello that was changed as if it had not been: then the transcripts differ, and the client finds out.
  local function passed_over(change)
    local _, failure, p = pair.tampered({}, "client", messages.CLIENT_HELLO, function(message)
      return messages.edit(message, change)
    end)
    assert.same({ "client", pair.alert(51) }, { failure.side, failure.code })
    local info = p.server:info()
    assert.same({ "h3", 0x1d }, { info.alpn, info.group })
    for _, entry in ipairs(p.seen) do
      assert.is_true(entry.from == "client" or messages.kind(entry.message) ~= messages.ENCRYPTED_EXTENSIONS
        or messages.extension(messages.read(entry.message), ENCRYPTED_CLIENT_HELLO) == nil)
    end
  end

  it("passes over every reserved value in every list", function()
    for number in pairs(GREASE) do
      local name = bytes(number, 2)
      passed_over(function(m)
        m.suites = name .. m.suites .. name
        for place, size in pairs({ [10] = 2, [13] = 2, [43] = 1 }) do
          local data = messages.extension(m, place)
          messages.set_extension(place, vector(name .. data:sub(size + 1) .. name, size))(m)
        end
        messages.set_extension(16, vector(vector(name, 1) .. messages.extension(m, 16):sub(3), 2))(m)
        local shares = messages.extension(m, 51):sub(3)
        messages.set_extension(51, vector(name .. vector("x", 2) .. shares, 2))(m)
        messages.set_extension(number, "any bytes")(m)
        messages.set_extension(COMPRESS, vector(name, 1))(m)
        messages.set_extension(45, vector(string.char(1, number % 256), 1))(m)
      end)
    end
  end)

  it("passes over encrypted_client_hello, whatever is in it: it has no keys for it", function()
    local outer = "\0\0\1\0\1\42" .. vector(("k"):rep(32), 2) .. vector(("p"):rep(208), 2)
    for _, data in ipairs({ outer, "\1", "", "\0", ("\255"):rep(1000) }) do
      passed_over(messages.set_extension(ENCRYPTED_CLIENT_HELLO, data))
    end
  end)
end)
