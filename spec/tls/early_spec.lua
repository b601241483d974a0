--- Early data in TLS: who offers it, when a server takes it, and what is kept for it (RFC 8446 §2.3, §4.2.10, §8).
local fixtures = require("tls.fixtures")
local messages = require("tls.messages")
local pair = require("tls.pair")

local EARLY_DATA, PRE_SHARED_KEY = 42, 41
local ILLEGAL_PARAMETER, DECODE_ERROR, DECRYPT_ERROR = pair.alert(47), pair.alert(50), pair.alert(51)
local UNSUPPORTED_EXTENSION = pair.alert(110)
local LIMITS = { 4, 1000, 200, 300, 400, 10, 11, 1200, 1, 30000, 65527, 1 }

local function with(options, more)
  local out = { resumption = true, early = true, limits = LIMITS }
  for name, value in pairs(options or {}) do out[name] = value end
  for name, value in pairs(more or {}) do out[name] = value end
  return out
end

local function client_config(options) return assert(fixtures.client_config(with(options))) end
local function server_config(options) return assert(fixtures.server_config(with(options))) end

-- One handshake between the two: the pair, whole.
local function connect(client, server, options)
  local given = { client = client, server = server }
  for name, value in pairs(options or {}) do given[name] = value end
  local p = pair.new(given)
  assert.is_true(p:run())
  return p
end

-- A client and a server that have had a handshake.
local function acquainted(client_options, server_options, options)
  local client, server = client_config(client_options), server_config(server_options)
  connect(client, server, options)
  return client, server
end

-- What became of early data, on which both agree; the second is whether they resumed.
local function early(p)
  local ours, theirs = p.client:info(), p.server:info()
  assert.equal(ours.early, theirs.early)
  assert.equal(ours.resumed, theirs.resumed)
  return ours.early, ours.resumed
end

local function has_early_data(message)
  return messages.extension(messages.read(message), EARLY_DATA)
end

local function number(bytes)
  local value = 0
  for i = 1, #bytes do value = value * 256 + bytes:byte(i) end
  return value
end

local function first(p, kind)
  for _, seen in ipairs(p.seen) do
    if messages.kind(seen.message) == kind then return seen.message end
  end
end

describe("early data", function()
  -- covers: rfc8446#4.2.10.1 rfc8446#4.2.10.2 rfc8446#4.2.10.5
  it("is offered with a session that allows it, and taken: both have its secret", function()
    for _, suite in pairs(fixtures.SUITES) do
      local client, server = acquainted({ suites = { suite } })
      local p = pair.new({ client = client, server = server })
      assert.equal("offered", p.client:info().early)
      assert.equal("h3", p.client:info().alpn)
      assert.is_true(p:run())
      assert.equal("accepted", (early(p)))
      assert.equal("", has_early_data(first(p, messages.CLIENT_HELLO)))
      assert.equal("", has_early_data(first(p, messages.ENCRYPTED_EXTENSIONS)))
      local secret = p.secrets.client[pair.EARLY .. "write"]
      assert.is_string(secret)
      assert.equal(secret, p.secrets.server[pair.EARLY .. "read"])
      assert.is_nil(p.secrets.client[pair.EARLY .. "read"])
      assert.equal(pair.EARLY .. "read", p.secrets.server[1])
      local line = client:log():match("CLIENT_EARLY_TRAFFIC_SECRET[^\n]*")
      assert.is_string(line)
      assert.is_truthy(server:log():find(line, 1, true))
    end
  end)

  -- covers: rfc8446#4.2.11.3.1
  it("has the server's whole flight follow the ClientHello at once", function()
    local client, server = acquainted()
    local p = pair.new({ client = client, server = server })
    assert(p:move("client", "server", pair.INITIAL))
    assert.equal("accepted", p.server:info().early)
    local flight = messages.split(p.server:output(pair.HANDSHAKE))
    assert.equal(messages.FINISHED, messages.kind(flight[#flight]))
  end)

  -- covers: rfc8446#4.6.1.8
  it("has the next ticket come with the server's flight, since the client may be gone with the answer", function()
    for _, suite in pairs(fixtures.SUITES) do
      local client, server = acquainted({ suites = { suite } })
      for _ = 1, 4 do
        local p = pair.new({ client = client, server = server })
        assert.is_true(p.server:receive(pair.INITIAL, p.client:output(pair.INITIAL)))
        for _, level in ipairs({ pair.INITIAL, pair.HANDSHAKE, pair.APPLICATION }) do
          assert.is_true(p.client:receive(level, p.server:output(level)))
        end
        assert.is_false(p.server:info().complete)
        assert.equal("accepted", p.client:info().early)
        assert.equal(2, (client:sessions()))
        p.client:free()
        p.server:free()
      end
    end
  end)

  it("has one ticket come, and none behind the handshake; where it is rejected that is where the ticket is", function()
    for _, wanted in ipairs({ "accepted", "rejected" }) do
      local client = acquainted()
      local p = connect(client, server_config({ early = wanted == "accepted" }))
      assert.equal(wanted, (early(p)))
      local order = {}
      for _, seen in ipairs(p.seen) do
        local kind = messages.kind(seen.message)
        if kind == messages.NEW_SESSION_TICKET or kind == messages.FINISHED then
          order[#order + 1] = seen.from .. " " .. kind
        end
      end
      local ticket, finished = "server " .. messages.NEW_SESSION_TICKET, " " .. messages.FINISHED
      assert.same(wanted == "accepted" and { "server" .. finished, ticket, "client" .. finished }
        or { "server" .. finished, "client" .. finished, ticket }, order)
    end
  end)

  -- covers: rfc9001#4.6.1.1
  it("is allowed by tickets with the one size that QUIC has", function()
    local client, server = client_config(), server_config()
    local p = connect(client, server)
    local ticket = first(p, messages.NEW_SESSION_TICKET)
    assert.equal("\0\8\0\42\0\4\255\255\255\255", ticket:sub(-10))
    p = connect(client_config(), server_config({ early = false }))
    assert.equal("\0\0", first(p, messages.NEW_SESSION_TICKET):sub(-2))
  end)

  it("is there only where both sides want it, and the server has a register", function()
    local function second(client_options, server_options)
      local client, server = acquainted(client_options, server_options)
      return (early(connect(client, server)))
    end
    assert.equal("none", second({ early = false }))
    assert.equal("none", second(nil, { early = false }))
    assert.equal("none", second(nil, { no_register = true }))
    -- A server that has changed its mind, or lost its register.
    for _, options in ipairs({ { early = false }, { no_register = true } }) do
      local client = acquainted()
      local p = connect(client, server_config(options))
      assert.same({ "rejected", true }, { early(p) })
      assert.is_nil(has_early_data(first(p, messages.ENCRYPTED_EXTENSIONS)))
      assert.is_nil(p.secrets.server[pair.EARLY .. "read"])
    end
  end)

  -- covers: rfc8446#8.3 rfc8446#8.2.1
  it("is taken once of each ClientHello, which is resumed all the same when it comes again", function()
    local client, server = acquainted()
    local p = pair.new({ client = client, server = server })
    local hello = p.client:output(pair.INITIAL)
    local taken = {}
    for i = 1, 4 do
      local again = assert(server:server("server params", fixtures.now))
      assert.is_true(again:receive(pair.INITIAL, hello))
      taken[i] = again:info().early
      assert.is_true(again:info().resumed)
      again:free()
    end
    assert.same({ "accepted", "rejected", "rejected", "rejected" }, taken)
    -- Another ClientHello is another.
    assert.equal("accepted", (early(connect(client, server))))
  end)

  -- covers: rfc8446#8.2.2
  it("is looked up when the client has shown that it has the key, and not before", function()
    local client, server = acquainted()
    local strikes = server:strikes()
    local refused, failure = pair.tampered({ client = client, server = server }, "client", messages.CLIENT_HELLO,
      function(message) return message:sub(1, -2) .. string.char((message:byte(-1) + 1) % 256) end)
    assert.is_nil(refused)
    assert.equal(DECRYPT_ERROR, failure.code)
    assert.equal(strikes, (server:strikes()))
  end)

  -- covers: rfc8446#4.2.10.3 rfc8446#4.2.10.4
  it("is taken of a ClientHello that was made just now, and remembered until it would be too old", function()
    -- The client says a second less than its clock, which may be all that the other's differs.
    for off, expected in pairs({ [0] = "accepted", [9] = "accepted", [-11] = "accepted", [10] = "rejected",
      [-12] = "rejected", [1000] = "rejected" }) do
      local client, server = acquainted()
      local now = fixtures.now + 100
      local p = connect(client, server, { now = now, server_now = now + off })
      assert.same({ expected, true }, { early(p) }, off)
      local asked, expires = server:strikes()
      assert.equal(expected == "accepted" and 1 or 0, asked)
      if asked == 1 then assert.equal(now - 1 + 11, expires) end
    end
  end)

  it("comes with an age of the ticket that is not above the truth", function()
    for after, said in pairs({ [0] = 0, [1] = 0, [2] = 1000, [100] = 99000 }) do
      local client, server = client_config(), server_config()
      local first_one = connect(client, server)
      local tickets = {}
      for _, seen in ipairs(first_one.seen) do
        if messages.kind(seen.message) == messages.NEW_SESSION_TICKET then
          tickets[#tickets + 1] = number(seen.message:sub(9, 12))
        end
      end
      local p = pair.new({ client = client, server = server, now = fixtures.now + after })
      local psk = messages.extension(messages.read(p.client:output(pair.INITIAL)), PRE_SHARED_KEY)
      local at = 5 + number(psk:sub(3, 4))
      assert.equal(said, (number(psk:sub(at, at + 3)) - tickets[2]) % 4294967296)
    end
  end)

  -- covers: rfc8446#4.2.10.6 rfc8446#4.2.10.10
  it("is over with a HelloRetryRequest", function()
    local client = acquainted()
    local p = connect(client, server_config({ groups = { fixtures.GROUPS.P384 } }))
    assert.same({ "rejected", true }, { early(p) })
    local offers = {}
    for _, seen in ipairs(p.seen) do
      if messages.kind(seen.message) == messages.CLIENT_HELLO then
        offers[#offers + 1] = has_early_data(seen.message) or "none"
      end
    end
    assert.same({ "", "none" }, offers)
  end)

  it("is refused where the server begins with a full handshake", function()
    local client = acquainted()
    local p = connect(client, server_config({ certificate = "p384" }))
    assert.same({ "rejected", false }, { early(p) })
    client = acquainted()
    p = connect(client, server_config({ ticket_keys = ("x"):rep(32) }))
    assert.same({ "rejected", false }, { early(p) })
  end)

  -- covers: rfc8446#4.2.10.7 rfc8446#4.2.10.8
  it("needs the same cipher suite and protocol", function()
    local S = fixtures.SUITES
    local client = acquainted({ suites = { S.AES_128_GCM, S.CHACHA20_POLY1305 } }, { suites = { S.AES_128_GCM } })
    assert.same({ "rejected", true }, { early(connect(client, server_config({ suites = { S.CHACHA20_POLY1305 } }))) })
    local both = { alpn = { "h3", "other" } }
    client = acquainted(both, both)
    local p = connect(client, server_config({ alpn = { "other" } }))
    assert.same({ "rejected", false }, { early(p) })
    assert.equal("other", p.client:info().alpn)
    -- A client that does not speak the session's protocol any more.
    client = acquainted(both, both)
    local _, saved = client:sessions()
    client = client_config({ alpn = { "other" } })
    client:load_sessions(saved)
    assert.equal("none", pair.new({ client = client, server = server_config(both) }).client:info().early)
  end)

  -- covers: rfc9000#7.4.1.8 rfc9000#7.4.1.9
  it("is refused where one limit is lower than the client remembers, and taken where all are as high", function()
    for i = 0, #LIMITS do
      local lower, higher = { unpack(LIMITS) }, { unpack(LIMITS) }
      if i > 0 then lower[i], higher[i] = lower[i] - 1, higher[i] + 1 end
      local client = acquainted()
      assert.same({ i == 0 and "accepted" or "rejected", true },
        { early(connect(client, server_config({ limits = lower }))) }, i)
      client = acquainted()
      assert.equal("accepted", (early(connect(client, server_config({ limits = higher })))), i)
    end
  end)

  it("is refused where the layer above has changed what it keeps in tickets", function()
    for then_, now in pairs({ a = "b", [""] = "b", b = "" }) do
      local client = acquainted(nil, { session_data = then_ })
      assert.same({ "rejected", true }, { early(connect(client, server_config({ session_data = now }))) })
      client = acquainted(nil, { session_data = then_ })
      assert.equal("accepted", (early(connect(client, server_config({ session_data = then_ })))))
    end
    local most = ("d"):rep(256)
    local client = acquainted(nil, { session_data = most })
    assert.equal("accepted", (early(connect(client, server_config({ session_data = most })))))
  end)

  it("is not offered a second time with a session that nobody answered", function()
    local client, server = acquainted()
    for _, expected in ipairs({ "offered", "none", "offered", "none" }) do
      local p = pair.new({ client = client, server = server })
      assert.equal(expected, p.client:info().early)
      p.client:end_offer(false)
      p.client:free()
    end
  end)

  it("is kept with saved sessions, and with it the limits and what the layer above wants to know", function()
    local client, server = client_config(), server_config()
    local p = connect(client, server)
    assert.is_true(p.client:set_data("remember this"))
    local _, saved = client:sessions()
    client = client_config()
    assert.equal(0, client:load_sessions(saved))
    p = pair.new({ client = client, server = server })
    local limits, data = p.client:offered()
    assert.same(LIMITS, limits)
    assert.equal("remember this", data)
    assert.is_true(p:run())
    assert.equal("accepted", (early(p)))
    assert.is_nil((p.client:offered()))
  end)

  it("knows what the layer above said before the tickets came", function()
    local client, server = client_config(), server_config()
    local p = pair.new({ client = client, server = server })
    p:take_secrets("client")
    for _, step in ipairs({ { "client", "server", pair.INITIAL }, { "server", "client", pair.INITIAL },
      { "server", "client", pair.HANDSHAKE } }) do
      assert(p:move(step[1], step[2], step[3]))
    end
    assert.is_true(p.client:set_data("soon"))
    assert.is_true(p:run())
    for _ = 1, 2 do
      local _, data = pair.new({ client = client, server = server }).client:offered()
      assert.equal("soon", data)
    end
  end)

  it("has no data of the layer above where nothing of it is kept", function()
    local p = connect(client_config({ early = false }), server_config())
    assert.is_false(p.client:set_data("x"))
  end)

  -- covers: rfc9001#8.3.1
  it("ends without a message of its own, and one that comes is out of order", function()
    local client, server = acquainted()
    local p = connect(client, server)
    for _, seen in ipairs(p.seen) do
      assert.are_not.equal(messages.END_OF_EARLY_DATA, messages.kind(seen.message))
    end
    local refused, failure = pair.tampered({ client = client, server = server }, "client", messages.FINISHED,
      function(message) return messages.build(messages.END_OF_EARLY_DATA, "") .. message end)
    assert.is_nil(refused)
    assert.same({ "server", pair.alert(10) }, { failure.side, failure.code })
  end)
end)

describe("early_data of a wrong form", function()
  local function tampered(side, kind, change, server_options)
    local client, server = acquainted(nil, server_options)
    local ok, failure = pair.tampered({ client = client, server = server }, side, kind,
      function(message) return messages.edit(message, change) end)
    assert.is_nil(ok)
    return failure.code
  end

  it("ends the handshake", function()
    assert.equal(DECODE_ERROR, tampered("client", messages.CLIENT_HELLO, messages.set_extension(EARLY_DATA, "\0")))
    assert.equal(DECODE_ERROR,
      tampered("server", messages.ENCRYPTED_EXTENSIONS, messages.set_extension(EARLY_DATA, "\0")))
  end)

  it("or that nobody asked for, too", function()
    local refused, failure = pair.tampered({ client = client_config(), server = server_config() }, "server",
      messages.ENCRYPTED_EXTENSIONS, function(message)
        return messages.edit(message, messages.set_extension(EARLY_DATA, ""))
      end)
    assert.is_nil(refused)
    assert.equal(UNSUPPORTED_EXTENSION, failure.code)
  end)

  it("or with another suite or protocol than the session's, too", function()
    local S = fixtures.SUITES
    local client = acquainted({ suites = { S.AES_128_GCM, S.CHACHA20_POLY1305 } }, { suites = { S.AES_128_GCM } })
    local other = server_config({ suites = { S.CHACHA20_POLY1305 } })
    local refused, failure = pair.tampered({ client = client, server = other }, "server",
      messages.ENCRYPTED_EXTENSIONS, function(message)
        return messages.edit(message, messages.set_extension(EARLY_DATA, ""))
      end)
    assert.is_nil(refused)
    assert.equal(ILLEGAL_PARAMETER, failure.code)
    local both = { alpn = { "h3", "other" } }
    local server
    client, server = acquainted(both, both)
    refused, failure = pair.tampered({ client = client, server = server }, "server", messages.ENCRYPTED_EXTENSIONS,
      function(message)
        return messages.edit(message, messages.set_extension(16, messages.vector(messages.vector("other", 1), 2)))
      end)
    assert.is_nil(refused)
    assert.equal(ILLEGAL_PARAMETER, failure.code)
  end)

  -- covers: rfc8446#4.2.11.13 rfc8446#4.2.11.14
  it("or beside another key than the session's, or beside none, too", function()
    local function answered(client, server)
      local refused, failure = pair.tampered({ client = client, server = server }, "server",
        messages.ENCRYPTED_EXTENSIONS, function(message)
          return messages.edit(message, messages.set_extension(EARLY_DATA, ""))
        end)
      assert.is_nil(refused)
      return { failure.side, failure.code }
    end
    assert.same({ "client", ILLEGAL_PARAMETER }, answered(acquainted(), server_config({ ticket_keys = ("o"):rep(32) })))
    local psks = { { "sensor", ("k"):rep(32), 256 } }
    local client = acquainted({ psks = psks }, { psks = psks })
    local other = server_config({ psks = psks, ticket_keys = ("o"):rep(32) })
    assert.same({ "client", ILLEGAL_PARAMETER }, answered(client, other))
  end)

  it("or without a pre-shared key is passed over by a server", function()
    local p = pair.new({ client = client_config(), server = server_config(), filter = function(from, _, message)
      if from == "client" and messages.kind(message) == messages.CLIENT_HELLO then
        return messages.edit(message, messages.set_extension(EARLY_DATA, ""))
      end
    end })
    p:take_secrets("client")
    assert(p:move("client", "server", pair.INITIAL))
    assert.equal("rejected", p.server:info().early)
    assert.is_nil(has_early_data(messages.split(p.server:output(pair.HANDSHAKE))[1]))
  end)
end)

describe("a handshake with early data", function()
  it("survives a flipped bit anywhere: never complete on both sides", function()
    local client, server = acquainted()
    local _, saved = client:sessions()
    local original = connect(client, server)
    assert.equal("accepted", (early(original)))
    for which, seen in ipairs(original.seen) do
      for i = 0, 31 do
        while client:sessions() > 0 do assert(client:client("example.test", "", fixtures.now)):free() end
        assert.equal(0, client:load_sessions(saved))
        local changed = false
        local p = pair.new({ client = client, server = server, filter = function(_, _, message, count)
          if count ~= which then return nil end
          local at = 1 + math.floor((#message - 1) * i / 31)
          changed = true
          return message:sub(1, at - 1) .. string.char((message:byte(at) + 2 ^ (i % 8)) % 256) .. message:sub(at + 1)
        end })
        assert.equal("offered", p.client:info().early)
        local ok, failure = p:run()
        -- A ticket is behind the handshake, and nobody vouches for its lifetime or nonce but its own opening.
        local is_ticket = messages.kind(seen.message) == messages.NEW_SESSION_TICKET
        assert.is_true(changed)
        assert.is_true(is_ticket or not ok, which .. " " .. i)
        if failure then
          assert.is_true(failure.code == pair.PROTOCOL_VIOLATION or failure.code > 0x100 and failure.code < 0x200)
        end
        p.client:free()
        p.server:free()
      end
    end
  end)
end)

describe("early data without memory", function()
  it("costs nobody more than the connection, and leaves nothing", function()
    for _, side in ipairs({ "client", "server" }) do
      local before
      for at = 0, 60 do
        local configs = {}
        configs.client, configs.server = acquainted()
        configs[side]:fail_after(at)
        local name = "example.test"
        local client = configs.client:client(name, "client params", fixtures.now, 1, 443)
        local server = client and configs.server:server("server params", fixtures.now, 1)
        if client and server then pair.new({ handshakes = { client, server } }):run() end
        if client then client:free() end
        if server then server:free() end
        configs[side]:fail_after(nil)
        local sound = connect(client_config(), configs.server)
        sound.client:free()
        sound.server:free()
        collectgarbage()
        collectgarbage()
        local used = configs.server:used()
        assert.equal(before or used, used, side .. " " .. at)
        before = used
      end
    end
  end)
end)

describe("early data with another key than the first of the hello", function()
  -- covers: rfc8446#4.2.10.2 rfc8446#4.2.10.7
  it("is not taken, though the handshake goes on from it", function()
    local client, server = acquainted()
    local _, saved = client:sessions()
    local hello = pair.new({ client = client, server = server }).client:output(pair.INITIAL)
    -- The newest session, of which the key stands behind a byte of its size (core/tls/session.c).
    local size = (#saved - 16) / 2
    local at = 16 + size + 2 + 1 + #"example.test" + 2 + 67 + 1
    assert.equal(32, saved:byte(at))
    local key = saved:sub(at + 1, at + 32)
    local m = messages.read(hello)
    local psk = messages.extension(m, PRE_SHARED_KEY)
    local identity_size = number(psk:sub(1, 2))
    local identities, binder = psk:sub(3, 2 + identity_size), psk:sub(-32)
    local function offering(list, binders)
      return messages.edit(hello, messages.set_extension(PRE_SHARED_KEY,
        messages.vector(list, 2) .. messages.vector(binders, 2)))
    end
    local schedule = require("neap.units").tls.schedule(0x1301)
    local function binder_of(message, binders) return schedule:binder(key, message:sub(1, -3 - binders)) end
    assert.equal(binder, binder_of(hello, 33))
    -- Somebody else's ticket is in front.
    local two = messages.vector(("o"):rep(100), 2) .. "\0\0\0\0" .. identities
    local message = offering(two, (" " .. ("b"):rep(32)):rep(2))
    message = offering(two, " " .. ("b"):rep(32) .. " " .. binder_of(message, 66))
    local twice = assert(server:server("server params", fixtures.now))
    assert(twice:receive(pair.INITIAL, message))
    assert.same({ true, "rejected" }, { twice:info().resumed, twice:info().early })
    assert.equal(0, (server:strikes()))
    local once = assert(server:server("server params", fixtures.now))
    assert(once:receive(pair.INITIAL, hello))
    assert.same({ true, "accepted" }, { once:info().resumed, once:info().early })
  end)
end)

describe("a session of an older form", function()
  it("resumes, without early data", function()
    local client, server = acquainted({ early = false }, { early = false })
    local _, saved = client:sessions()
    client = client_config()
    assert.equal(0, client:load_sessions(saved))
    local p = pair.new({ client = client, server = server })
    assert.equal("none", p.client:info().early)
    assert.is_truthy(messages.extension(messages.read(p.client:output(pair.INITIAL)), PRE_SHARED_KEY))
  end)
end)
