--- Compressed certificates (RFC 8879), where the build has zlib.
local fixtures = require("tls.fixtures")
local messages = require("tls.messages")
local pair = require("tls.pair")
local tls = require("neap.units").tls

local alert, bytes, vector = pair.alert, messages.bytes, messages.vector
local COMPRESSED, COMPRESS_CERTIFICATE = 25, 27
local REQUIRE = 2
-- Who shows a certificate, to whom, and in which message that one says what it takes.
local WAYS = {
  { from = "server", to = "client", offer = messages.CLIENT_HELLO, most = 65536 - 4 },
  { from = "client", to = "server", offer = messages.CERTIFICATE_REQUEST, most = 16384 - 4 },
}

-- The first message of a kind, of one side where that is given.
local function of_kind(p, kind, side)
  for _, entry in ipairs(p.seen) do
    if messages.kind(entry.message) == kind and (side or entry.from) == entry.from then return entry.message end
  end
end

-- Options of a pair in which both sides show certificates, compressed or not.
local function mutual(compression, more)
  local out = { client = { certificate = "client" }, server = { ask = REQUIRE } }
  for _, side in ipairs({ "client", "server" }) do
    out[side].compression = compression
    for name, value in pairs(more and more[side] or {}) do out[side][name] = value end
  end
  return out
end

local function connected(options)
  local p = pair.new(options)
  local ok, failure = p:run()
  assert.is_true(ok, failure and failure.reason)
  return p
end

local function offer(p, kind)
  return messages.extension(messages.read(of_kind(p, kind)), COMPRESS_CERTIFICATE)
end

describe("certificate compression", function()
  it("is asked about where the build has zlib", function()
    if not tls.has_compression() then pending("this build has no zlib (NEAP_WITH_ZLIB)") end
  end)

  it("is not offered, and not made use of, where it is off or the build has no zlib", function()
    for _, on in ipairs({ { false, true }, { true, false }, { false, false } }) do
      local p = connected(mutual(nil, { client = { compression = on[1] }, server = { compression = on[2] } }))
      assert.equal(on[1] and tls.has_compression() and "\2\0\1" or nil, offer(p, messages.CLIENT_HELLO))
      assert.equal(on[2] and tls.has_compression() and "\2\0\1" or nil, offer(p, messages.CERTIFICATE_REQUEST))
      for _, way in ipairs(WAYS) do assert.is_truthy(of_kind(p, messages.CERTIFICATE, way.from)) end
      assert.is_nil(of_kind(p, COMPRESSED))
    end
  end)

  it("is refused when it was not offered", function()
    for _, way in ipairs(WAYS) do
      local _, failure = pair.tampered(mutual(false), way.from, messages.CERTIFICATE, function(message)
        local packed = tls.compress(messages.body(message)) or "x"
        return messages.build(COMPRESSED, "\0\1" .. bytes(#message - 4, 3) .. vector(packed, 3))
      end)
      assert.same({ way.to, alert(10) }, { failure.side, failure.code })
    end
  end)

  -- It is checked also where nobody could make use of it.
  it("is offered in a list that is whole", function()
    for _, data in ipairs({ "", "\0", "\1\0", "\3\0\1\0", "\2\0\1\0", "\4\0\1" }) do
      for _, way in ipairs(WAYS) do
        local _, failure = pair.tampered(mutual(false), way.to, way.offer, function(message)
          return messages.edit(message, messages.set_extension(COMPRESS_CERTIFICATE, data))
        end)
        assert.same({ way.from, alert(50) }, { failure.side, failure.code })
      end
    end
  end)

  it("is no answer in EncryptedExtensions", function()
    local _, failure = pair.tampered({ client = { compression = true } }, "server", messages.ENCRYPTED_EXTENSIONS,
      function(message) return messages.edit(message, messages.set_extension(COMPRESS_CERTIFICATE, "\2\0\1")) end)
    assert.same({ "client", alert(47) }, { failure.side, failure.code })
  end)
end)

if not tls.has_compression() then return end

describe("a compressed certificate", function()
  it("is sent to who offers zlib, is smaller, and is the same certificate", function()
    local kinds = { server = { "p256", "rsa", "deep" }, client = { "client", "clientrsa", "clientdeep" } }
    for _, way in ipairs(WAYS) do
      for _, kind in ipairs(kinds[way.from]) do
        local shown = { [way.from] = { certificate = kind } }
        local plain, packed = connected(mutual(false, shown)), connected(mutual(true, shown))
        assert.equal("\2\0\1", offer(packed, way.offer))
        local certificate = of_kind(plain, messages.CERTIFICATE, way.from)
        local message = of_kind(packed, COMPRESSED, way.from)
        assert.is_nil(of_kind(packed, messages.CERTIFICATE))
        assert.is_true(#message < #certificate, kind)
        assert.equal("\0\1" .. bytes(#certificate - 4, 3), messages.body(message):sub(1, 5))
        assert.equal(plain[way.to]:info().certificate, packed[way.to]:info().certificate)
        assert.equal(plain[way.to]:info().certificates, packed[way.to]:info().certificates)
      end
    end
  end)

  it("is not sent to who offers other algorithms", function()
    for _, way in ipairs(WAYS) do
      local _, failure, p = pair.tampered(mutual(true), way.to, way.offer, function(message)
        return messages.edit(message, messages.set_extension(COMPRESS_CERTIFICATE, "\4\0\2\0\3"))
      end)
      assert.equal(alert(51), failure.code) -- the message was changed, so the transcripts differ
      assert.is_nil(of_kind(p, COMPRESSED, way.from))
      if way.from == "server" then assert.is_truthy(of_kind(p, messages.CERTIFICATE, "server")) end
    end
  end)

  it("is not sent by a client that has none to show", function()
    local p = connected(mutual(true, { client = { certificate = {} }, server = { ask = 1 } }))
    assert.is_truthy(of_kind(p, messages.CERTIFICATE, "client"))
    assert.is_nil(of_kind(p, COMPRESSED, "client"))
  end)

  it("is made once for all handshakes", function()
    local options = mutual(true)
    local client = assert(fixtures.client_config(options.client))
    local server = assert(fixtures.server_config(options.server))
    local first = connected({ client = client, server = server })
    local shown = {}
    for _, way in ipairs(WAYS) do shown[way.from] = assert(of_kind(first, COMPRESSED, way.from)) end
    first.client:free()
    first.server:free()
    local used, ours = server:used(), (client:used())
    for _ = 1, 3 do
      local p = connected({ client = client, server = server })
      for side, message in pairs(shown) do assert.equal(message, of_kind(p, COMPRESSED, side)) end
      p.client:free()
      p.server:free()
      assert.equal(used, (server:used()))
      assert.equal(ours, (client:used()))
    end
  end)

  it("is left where it would not be smaller", function()
    assert.is_nil(tls.compress("abc"))
    local noise = {}
    for i = 1, 40 do noise[i] = require("neap.units").crypto.hash(256, tostring(i)) end
    assert.is_nil(tls.compress(table.concat(noise)))
    assert.is_truthy(tls.compress(("abc"):rep(20)))
  end)

  it("is not shown again to a client that resumes", function()
    local client = assert(fixtures.client_config({ compression = true, resumption = true }))
    local server = assert(fixtures.server_config({ compression = true, resumption = true }))
    connected({ client = client, server = server })
    assert.is_nil(of_kind(connected({ client = client, server = server }), COMPRESSED))
  end)

  it("costs no handshake when memory is short, and leaks none", function()
    local options, make = mutual(true), { client = fixtures.client_config, server = fixtures.server_config }
    local warm = { client = assert(make.client(options.client)), server = assert(make.server(options.server)) }
    local p = connected({ client = warm.client, server = warm.server })
    p.client:free()
    p.server:free()
    local function count_failures(side, compresses_again)
      local failures = 0
      for n = 0, 500 do
        local configs = { client = warm.client, server = warm.server }
        if compresses_again then configs[side] = assert(make[side](options[side])) end
        local before = (configs[side]:used())
        configs[side]:fail_after(n)
        local c, code = configs.client:client("example.test", "p", fixtures.now)
        local s, other = configs.server:server("p", fixtures.now)
        local ok, failure = nil, { code = code or other }
        if c and s then ok, failure = pair.new({ handshakes = { c, s } }):run() end
        local left = configs[side]:fail_after(nil)
        if c then c:free() end
        if s then s:free() end
        if not compresses_again then assert.equal(before, (configs[side]:used())) end
        if ok and left >= 0 then return failures end
        if not ok then
          failures = n
          assert.equal(-2, failure.code)
        end
      end
    end
    for _, side in ipairs({ "client", "server" }) do
      for _, compresses_again in ipairs({ false, true }) do
        assert.is_true(assert(count_failures(side, compresses_again)) > 3)
      end
    end
  end)
end)

for _, way in ipairs(WAYS) do
  describe("the compressed certificate of a " .. way.from, function()
    -- The verdict over a message made of the one that was sent, and the largest allocation meanwhile.
    local function refusal(change)
      local options = mutual(true)
      local config = assert(fixtures[way.to .. "_config"](options[way.to]))
      options[way.to] = config
      local ok, failure = pair.tampered(options, way.from, COMPRESSED, function(message)
        local body = messages.body(message)
        config:used()
        return messages.build(COMPRESSED, change(body:sub(1, 2), body:sub(3, 5), body:sub(9)))
      end)
      assert.is_nil(ok)
      assert.equal(way.to, failure.side)
      local _, largest = config:used()
      return failure.code, largest
    end

    local function number(three) return three:byte(1) * 65536 + three:byte(2) * 256 + three:byte(3) end

    it("must have the length that it says", function()
      for _, more in ipairs({ -1, 1, 1000, -200 }) do
        assert.equal(alert(42), (refusal(function(algorithm, size, packed)
          return algorithm .. bytes(number(size) + more, 3) .. vector(packed, 3)
        end)))
      end
    end)

    it("must be one whole stream with nothing behind it", function()
      for _, change in ipairs({
        function(packed) return packed:sub(1, -2) end, function(packed) return packed .. "\0" end,
        function(packed) return packed:sub(1, -2) .. string.char((packed:byte(-1) + 1) % 256) end,
        function(packed) return packed:sub(2) end, function() return "x" end,
        function(packed) return packed .. packed end,
      }) do
        assert.equal(alert(42), (refusal(function(algorithm, size, packed)
          return algorithm .. size .. vector(change(packed), 3)
        end)))
      end
    end)

    it("must be compressed as was offered", function()
      for _, algorithm in ipairs({ 0, 2, 3, 0x0100, 0xffff }) do
        assert.equal(alert(47), (refusal(function(_, size, packed)
          return bytes(algorithm, 2) .. size .. vector(packed, 3)
        end)))
      end
    end)

    it("must be a message of its form", function()
      local start = "\0\1\0\0\5"
      for _, body in ipairs({ "", "\0", "\0\1", start, start .. "\0\0\0", start .. "\0\0\2x", start .. "\0\0\1xy" }) do
        assert.equal(alert(50), (refusal(function() return body end)))
      end
    end)

    it("may not say that it is larger than a message, nor be a bomb of any size", function()
      for _, size in ipairs({ 0, way.most + 1, 0xffffff }) do
        local code, largest = refusal(function(algorithm, _, packed)
          return algorithm .. bytes(size, 3) .. vector(packed, 3)
        end)
        assert.equal(alert(42), code)
        assert.is_true(largest <= 4096, largest)
      end
      for _, size in ipairs({ 1000, way.most }) do
        local bomb = tls.compress(("\0"):rep(8 * 1048576))
        assert.is_true(#bomb < 16384)
        local code, largest = refusal(function(algorithm) return algorithm .. bytes(size, 3) .. vector(bomb, 3) end)
        assert.equal(alert(42), code)
        assert.is_true(largest <= 65536, largest)
      end
    end)

    it("holds what a Certificate may hold and no more", function()
      -- The same checks as behind a plain one: an entry that is cut, a chain of none, an unknown extension in an entry.
      local no_chain = way.to == "client" and 50 or 116
      for code, body in pairs({
        [no_chain] = "\0\0\0\0", [110] = "\0" .. vector(vector("der", 3) .. vector("\250\250\0\0", 2), 3),
      }) do
        assert.equal(alert(code), (refusal(function(algorithm)
          local packed = tls.compress(body)
          if not packed then -- too short to get smaller: a stored block of zlib (RFC 1950, RFC 1951 §3.2.4)
            local a, b = 1, 0
            for i = 1, #body do
              a = (a + body:byte(i)) % 65521
              b = (b + a) % 65521
            end
            local function little(n) return string.char(n % 256, math.floor(n / 256)) end
            packed = "\120\1\1" .. little(#body) .. little(65535 - #body) .. body .. bytes(b, 2) .. bytes(a, 2)
          end
          return algorithm .. bytes(#body, 3) .. vector(packed, 3)
        end)))
      end
    end)
  end)
end
