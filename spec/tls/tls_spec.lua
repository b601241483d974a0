local helper = require("helper")
local fixtures = require("tls.fixtures")
local messages = require("tls.messages")
local pair = require("tls.pair")

local SUITES = { fixtures.SUITES.AES_128_GCM, fixtures.SUITES.AES_256_GCM, fixtures.SUITES.CHACHA20_POLY1305 }
local GROUPS = { fixtures.GROUPS.X25519, fixtures.GROUPS.P256, fixtures.GROUPS.P384 }
local KINDS = fixtures.KINDS
local ERR_NO_MEMORY, ERR_ARGUMENT, ERR_CERTIFICATE = -2, -3, -13

local function run(options)
  local p = pair.new(options)
  local ok, failure = p:run()
  assert.is_nil(failure and ("%s: %d %s"):format(failure.side, failure.code, failure.reason))
  assert.is_true(ok)
  return p
end

local function check_secrets(p)
  for _, level in ipairs({ 2, 3 }) do
    for mine, theirs in pairs({ read = "write", write = "read" }) do
      local secret = assert(p.secrets.client[level .. mine])
      assert.equal(helper.hex(p.secrets.server[level .. theirs]), helper.hex(secret))
    end
  end
  assert.are_not.equal(p.secrets.client["2read"], p.secrets.client["3read"])
  assert.are_not.equal(p.secrets.client["3write"], p.secrets.client["3read"])
end

describe("a handshake", function()
  for _, kind in ipairs(KINDS) do
    for _, suite in ipairs(SUITES) do
      for _, group in ipairs(GROUPS) do
        -- covers: rfc8446#9.3.4 rfc8446#9.1.1 rfc8446#9.1.3 rfc8446#4.4.2.2.1
        it(("completes with suite %04x, group %04x and a certificate of kind %s"):format(suite, group, kind), function()
          local p = run({ client = { suites = { suite } }, server = { groups = { group }, certificate = kind } })
          for _, side in ipairs({ "client", "server" }) do
            local info = p[side]:info()
            assert.same({ suite, group, "h3", "example.test" },
              { info.suite, info.group, info.alpn, info.server_name })
          end
          check_secrets(p)
        end)
      end
    end
  end

  -- covers: rfc9001#8.2.1
  it("carries the transport parameters of both sides", function()
    local p = run({ client_params = "from the client", server_params = ("\0\1\255"):rep(300) })
    assert.equal("from the client", p.server:info().params)
    assert.equal(("\0\1\255"):rep(300), p.client:info().params)
    assert.equal("", run({ client_params = "" }).server:info().params)
  end)

  it("has four secrets, five with early data, and refuses to queue one more", function()
    local p = run()
    for _, side in ipairs({ "client", "server" }) do
      assert.equal(4, #p.secrets[side])
      assert.equal(0, p[side]:put_secret())
      assert.equal(1, p[side]:put_secret()) -- INTERNAL_ERROR
    end
  end)

  -- covers: rfc8446#2.2
  it("gives the secrets in the order in which they are needed", function()
    local p = pair.new()
    p:take_secrets("client")
    assert.same({}, { unpack(p.secrets.client) })
    p:move("client", "server", pair.INITIAL)
    assert.same({ "2write", "2read", "3write" }, { unpack(p.secrets.server) })
    p:move("server", "client", pair.INITIAL)
    assert.same({ "2write", "2read" }, { unpack(p.secrets.client) })
    p:move("server", "client", pair.HANDSHAKE)
    assert.same({ "2write", "2read", "3write", "3read" }, { unpack(p.secrets.client) })
    assert.is_true(p.client:info().complete)
    assert.is_false(p.server:info().complete)
    p:move("client", "server", pair.HANDSHAKE)
    assert.same({ "2write", "2read", "3write", "3read" }, { unpack(p.secrets.server) })
    assert.is_true(p.server:info().complete)
  end)

  -- covers: rfc8446#4.3.1.1 rfc8446#4.4.2.1 rfc8446#4.4.3.1 rfc8446#4.4.3.3 rfc8446#4.5.2 rfc8446#4.4.4.3
  it("sends each message at its level", function()
    local seen = {}
    for _, m in ipairs(run().seen) do
      table.insert(seen, ("%s %d %d"):format(m.from, m.level, messages.kind(m.message)))
    end
    assert.same({ "client 0 1", "server 0 2", "server 2 8", "server 2 11", "server 2 15", "server 2 20",
      "client 2 20" }, seen)
  end)

  it("writes the same lines into the key log of both sides", function()
    local p = run()
    local lines = {}
    for label, random, secret in p.client_config:log():gmatch("(%S+) (%x+) (%x+)\n") do
      assert.equal(64, #random)
      lines[label] = secret
    end
    assert.equal(p.client_config:log(), p.server_config:log())
    assert.equal(helper.hex(p.secrets.client["2write"]), lines.CLIENT_HANDSHAKE_TRAFFIC_SECRET)
    assert.equal(helper.hex(p.secrets.client["2read"]), lines.SERVER_HANDSHAKE_TRAFFIC_SECRET)
    assert.equal(helper.hex(p.secrets.client["3write"]), lines.CLIENT_TRAFFIC_SECRET_0)
    assert.equal(helper.hex(p.secrets.client["3read"]), lines.SERVER_TRAFFIC_SECRET_0)
    assert.equal(64, #lines.EXPORTER_SECRET)
  end)

  it("gives the same bytes for the same seed and others for another", function()
    local function bytes(seed)
      local out = {}
      local p = run({ client = { seed = seed }, server = { seed = seed } })
      for i, m in ipairs(p.seen) do out[i] = m.message end
      return helper.hex(table.concat(out))
    end
    assert.equal(bytes(("1"):rep(32)), bytes(("1"):rep(32)))
    assert.are_not.equal(bytes(("1"):rep(32)), bytes(("2"):rep(32)))
  end)

  it("takes what the owner has taken off its output, in any pieces", function()
    local p = pair.new()
    local hello = p.client:output(0, 10)
    while true do
      local piece = p.client:output(0, 33)
      if piece == "" then break end
      hello = hello .. piece
    end
    assert.equal(1, #messages.split(hello))
    assert.is_true(p:deliver("server", 0, hello))
    assert.is_true(p:run())
  end)

  it("keeps at most 6 KiB beside what waits to be sent", function()
    local p = run({ server = { certificate = "rsa" } })
    local client, server = p.client_config:used(), p.server_config:used()
    p.client:free()
    p.server:free()
    -- The client also keeps the chain that it was shown, which is the crypto back end's memory.
    assert.is_true(client - p.client_config:used() <= 6 * 1024)
    assert.is_true(server - p.server_config:used() <= 6 * 1024)
  end)

  it("gives all memory back at whatever message it ends", function()
    for stop = 0, 7 do
      local options = { client = { groups = { 0x1d, 0x17 } }, server = { groups = { 0x17 } } }
      local p = pair.new(options)
      assert.is_true(p:run()) -- what is remembered of the certificates is the config's
      p.client:free()
      p.server:free()
      local client, server = p.client_config:used(), p.server_config:used()
      p = pair.new({ client = p.client_config, server = p.server_config })
      local moves = 0
      repeat
        local moved = 0
        for _, way in ipairs({ { "client", "server" }, { "server", "client" } }) do
          for _, level in ipairs(pair.LEVELS) do
            if moves < stop then
              local size = assert(p:move(way[1], way[2], level))
              if size > 0 then moves, moved = moves + 1, moved + 1 end
            end
          end
        end
      until moved == 0
      p.client:free()
      p.server:free()
      assert.equal(client, (p.client_config:used()))
      assert.equal(server, (p.server_config:used()))
    end
  end)

  it("fails cleanly when any allocation fails", function()
    for _, side in ipairs({ "client", "server" }) do
      local client = assert(fixtures.client_config({ groups = { 0x1d, 0x17 } }))
      local server = assert(fixtures.server_config({ groups = { 0x17 } }))
      local config = side == "client" and client or server
      local whole = pair.new({ client = client, server = server })
      assert.is_true(whole:run()) -- what is remembered of the certificates is the config's
      whole.client:free()
      whole.server:free()
      local before, failures = (config:used()), 0
      for n = 0, 500 do
        config:fail_after(n)
        local c, code = client:client("example.test", "p", fixtures.now)
        local s, other = server:server("p", fixtures.now)
        local ok, failure = nil, { code = code or other }
        if c and s then
          ok, failure = pair.new({ handshakes = { c, s }, fragment = 50 }):run()
        end
        local left = config:fail_after(nil)
        if c then c:free() end
        if s then s:free() end
        assert.equal(before, (config:used()))
        if ok then
          assert.is_true(left >= 0)
          break
        end
        assert.equal(ERR_NO_MEMORY, failure.code)
        failures = failures + 1
      end
      assert.is_true(failures > 5 and failures < 500)
    end
  end)
end)

describe("neap_tls_client", function()
  local function refused(options, name, params)
    local config = assert(fixtures.client_config(options))
    local client, code = config:client(name, params or "p", fixtures.now)
    assert.is_nil(client)
    return code
  end

  -- covers: rfc9001#8.1.1
  it("needs an application protocol", function() assert.equal(ERR_ARGUMENT, refused({ alpn = {} }, "a.test")) end)

  -- covers: rfc8446#C.5.1
  it("needs a name to check the certificate against, unless it does not verify or has a pin alone", function()
    assert.equal(ERR_ARGUMENT, refused({}, ""))
    assert.equal(ERR_ARGUMENT, refused({}, nil))
    assert.equal(ERR_ARGUMENT, refused({ pin = fixtures.certificates().pin }, ""))
    for _, options in ipairs({ { verify = false }, { roots = "", pin = fixtures.certificates().pin } }) do
      assert.is_truthy((assert(fixtures.client_config(options)):client("", "p", fixtures.now)))
    end
  end)

  it("refuses names and parameters that are too long", function()
    assert.equal(ERR_ARGUMENT, refused({}, ("a"):rep(256)))
    assert.equal(ERR_ARGUMENT, refused({}, "a.test", ("p"):rep(4097)))
  end)
end)

describe("neap_tls_server", function()
  it("needs an application protocol and a certificate", function()
    local config = assert(fixtures.server_config({ alpn = {} }))
    assert.equal(ERR_ARGUMENT, (select(2, config:server("p", 0))))
    local none = assert(fixtures.server_config({ certificate = {} }))
    assert.equal(ERR_CERTIFICATE, (select(2, none:server("p", 0))))
  end)
end)

describe("neap_tls_receive", function()
  -- covers: rfc9001#4.1.3.1 rfc9001#4.1.3.2
  it("refuses data at a level that is over or not yet begun", function()
    for _, level in ipairs({ pair.EARLY, pair.HANDSHAKE, pair.APPLICATION }) do
      local p = pair.new()
      local hello = p.client:output(0)
      local ok, code = p.server:receive(level, hello)
      assert.same({ nil, pair.PROTOCOL_VIOLATION }, { ok, code })
    end
    local p = run()
    for _, side in ipairs({ "client", "server" }) do
      local _, code = p[side]:receive(pair.HANDSHAKE, "\20\0\0\0")
      assert.equal(pair.PROTOCOL_VIOLATION, code)
    end
  end)

  -- covers: rfc9001#4.1.3.3 rfc8446#5.1.5 rfc8446#5.1.6
  it("refuses data behind a message that changes the keys", function()
    for side, kind in pairs({ client = messages.CLIENT_HELLO, server = messages.SERVER_HELLO }) do
      local _, failure = pair.tampered({}, side, kind, function(m) return m .. "\0" end)
      assert.equal(pair.PROTOCOL_VIOLATION, failure.code)
    end
    for _, side in ipairs({ "client", "server" }) do
      local _, failure = pair.tampered({}, side, messages.FINISHED, function(m) return m .. "\4" end)
      assert.equal(pair.PROTOCOL_VIOLATION, failure.code)
    end
  end)

  -- covers: rfc8446#6.2 rfc8446#6.3
  it("takes nothing more after a failure and hands out no secret", function()
    local p = pair.new()
    p:move("client", "server", 0)
    local flight = p.server:output(0)
    local ok, code = p.client:receive(0, flight .. "\0")
    assert.same({ nil, pair.PROTOCOL_VIOLATION }, { ok, code })
    assert.same({}, p.client:secrets())
    ok, code = p.client:receive(0, flight)
    assert.same({ nil, pair.PROTOCOL_VIOLATION }, { ok, code })
    assert.is_false(p.client:info().complete)
  end)

  -- covers: rfc8446#4.1 rfc8446#4.2 rfc8446#4.5.3 rfc8446#4.6.3.1 rfc8446#4.3.2.2
  it("refuses messages out of their order", function()
    local order = { messages.ENCRYPTED_EXTENSIONS, messages.CERTIFICATE, messages.CERTIFICATE_VERIFY,
      messages.FINISHED }
    for i, kind in ipairs(order) do
      if i < #order then
        local _, failure = pair.tampered({}, "server", kind, function() return "" end)
        assert.same({ "client", pair.alert(10) }, { failure.side, failure.code })
      end
      for _, other in ipairs({ 0, 1, 2, 3, 4, 5, 12, 14, 16, 24, 254, 255 }) do
        local _, failure = pair.tampered({}, "server", kind, function(m)
          return messages.build(other, "") .. m
        end)
        assert.same({ "client", pair.alert(10) }, { failure.side, failure.code })
      end
    end
    for other = 0, 255 do
      local server = assert(assert(fixtures.server_config()):server("p", fixtures.now))
      local ok, code = server:receive(0, string.char(other))
      if other == messages.CLIENT_HELLO then
        assert.is_true(ok)
      else
        assert.equal(pair.alert(10), code)
      end
      server:free()
    end
  end)
end)
