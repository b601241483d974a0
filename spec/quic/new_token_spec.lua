-- Tokens of NEW_TOKEN frames: from one connection to the next.
local net = require("support.quic_net")

local quic, MS = net.quic, net.MS
local T = 1800000000

--- A server's endpoint, and clients one after the other.
local function world(options)
  options = options or {}
  local self = { now = 1000 * MS, config = net.config(options.server, 21, true),
    client_config = net.config(options.client, 22) }
  if options.keys then assert(quic.token_keys(self.config, options.keys) == 0) end
  self.endpoint = assert(quic.endpoint(self.config, true))

  function self.client(address)
    self.address = address or net.CLIENT
    self.conn = assert(quic.client(self.client_config, "localhost", self.address, net.SERVER, self.now))
    return self.conn
  end

  --- Exchanges for so many round trips; `up` and `down` (bytes): the datagram in their place, or false.
  function self.run(rounds, up, down)
    for _ = 1, rounds or 8 do
      for _ = 1, 50 do
        local bytes = self.conn:send(self.now)
        if not bytes then break end
        bytes = up and up(bytes)
          or not up and bytes
        if bytes then self.endpoint:recv(bytes, self.address, net.SERVER, self.now) end
      end
      while self.endpoint:next() do end
      for _ = 1, 50 do
        local bytes = self.endpoint:send(self.now)
        if not bytes then break end
        if not down or down(bytes) then self.conn:recv(bytes, self.now) end
      end
      self.now = self.now + 10 * MS
      if (self.conn:timeout() or math.huge) <= self.now then self.conn:on_timeout(self.now) end
    end
  end

  --- A connection and its end; the token of its first Initial ("" none).
  function self.visit(address)
    local conn = self.client(address)
    local token
    self.run(10, function(bytes)
      token = token or quic.header(bytes, 8).token or ""
      return bytes
    end)
    assert.is_true(conn:info().confirmed)
    conn:close(false, 0)
    self.run(1)
    conn:free()
    return token or ""
  end

  function self.free()
    self.endpoint:free()
    self.config:free()
    self.client_config:free()
    assert.equal(0, self.config:memory().live)
    assert.equal(0, self.client_config:memory().live)
  end
  return self
end

local function counted(w)
  local s = w.endpoint:stats()
  return { s.tokens_accepted, s.tokens_refused, s.retries_sent }
end

describe("a client that comes again with a token", function()
  -- covers: rfc9000#8.1.3.1 rfc9000#8.1.3.9 rfc9000#8.1.3.11 rfc9000#8.1.3.13 rfc9000#8.1.3.16
  it("is not asked for its address by a server that asks everybody, and shows each token once", function()
    local w = world { server = { retry = 1 } }
    assert.equal("", w.visit())
    assert.same({ 0, 0, 1 }, counted(w))
    local seen = {}
    for n = 1, 4 do
      local token = w.visit()
      assert.equal("nTok", token:sub(1, 4))
      assert.is_nil(seen[token])
      seen[token] = true
      assert.same({ n, 0, 1 }, counted(w))
    end
    w.free()
  end)

  it("does so without TLS sessions too, and from any port", function()
    local w = world { server = { retry = 1, resumption = 0 }, client = { resumption = 0 } }
    w.visit()
    w.visit((net.CLIENT:gsub(":%d+$", ":7")))
    assert.same({ 1, 0, 1 }, counted(w))
    w.free()
  end)

  -- covers: rfc9000#8.1.3.2
  it("has it in every Initial, until a Retry brings another", function()
    local w = world()
    w.visit()
    local conn = w.client()
    local tokens, count = {}, 0
    for _ = 1, 4 do
      for _ = 1, 20 do
        local bytes = conn:send(w.now)
        if not bytes then break end
        tokens[quic.header(bytes, 8).token or ""] = true
        count = count + 1
      end
      w.now = w.now + 1500 * MS
      conn:on_timeout(w.now)
    end
    assert.is_true(count >= 4)
    local token = next(tokens)
    assert.equal("nTok", token:sub(1, 4))
    assert.is_nil(next(tokens, token))
    conn:free()
    w.free()
  end)

  -- covers: rfc9000#8.1.3.3 rfc9000#8.1.3.12
  it("never shows that of a Retry again", function()
    local w = world { server = { retry = 1, token_lifetime = 0 } }
    for _ = 1, 3 do assert.equal("", w.visit()) end
    assert.same({ 0, 0, 3 }, counted(w))
    w.free()
  end)

  -- covers: rfc9000#8.1.4.5 rfc9000#8.1.3.14 rfc9000#8.1.3.15
  it("from another address proves nothing, and is no error", function()
    local w = world { server = { retry = 1 } }
    w.visit()
    local saved = w.client_config:save_sessions()
    local other = world { server = { retry = 1 } }
    -- Our own address is not known, so that the token is shown from wherever we are.
    local conn = w.client()
    w.address = "203.0.113.1:1"
    w.run(10)
    assert.is_true(conn:info().confirmed)
    assert.same({ 0, 1, 2 }, counted(w))
    conn:free()
    assert.is_true(#saved > 16)
    other.free()
    w.free()
  end)

  it("does not show it from another address of its own, which would tell that both are one's", function()
    local w = world()
    w.visit()
    assert.equal("", w.visit("203.0.113.1:1"))
    assert.equal("nTok", w.visit():sub(1, 4))
    w.free()
  end)

  -- covers: rfc9000#8.1.3.10
  it("shows it to the server of this name alone", function()
    local w = world()
    w.visit()
    for _, where in ipairs { { "other.example", net.SERVER }, { "localhost", (net.SERVER:gsub("443", "444")) } } do
      local conn = assert(quic.client(w.client_config, where[1], net.CLIENT, where[2], w.now))
      assert.equal("", quic.header(conn:send(w.now), 8).token or "")
      conn:free()
    end
    w.free()
  end)

  it("is sent more than three times what it sent, before it answers", function()
    local w = world()
    w.visit()
    for _, knows in ipairs { true, false } do
      if not knows then w.client_config:set("address_tokens", 0) end
      local conn = w.client(knows and "198.51.100.7:9" or "198.51.100.7:10")
      local bytes = conn:send(w.now)
      w.endpoint:recv(bytes, w.address, net.SERVER, w.now)
      local sent = 0
      for _ = 1, 6 do
        for _ = 1, 20 do
          local down, _, to = w.endpoint:send(w.now)
          if not down then break end
          sent = sent + (to == w.address and #down or 0)
        end
        w.now = w.now + 1500 * MS
      end
      assert.equal(knows, sent > 3 * #bytes, sent)
      conn:free()
    end
    w.free()
  end)

  -- covers: rfc9000#8.1.4.6 rfc9000#8.1.4.8 rfc9000#21.3.1
  it("is asked for its address when somebody has used the token before", function()
    local w = world { server = { retry = 1 } }
    w.visit()
    local saved = w.client_config:save_sessions()
    assert.equal("nTok", w.visit():sub(1, 4))
    local copies = net.config({}, 30)
    assert.equal(0, copies:load_sessions(saved))
    w.client_config:free()
    w.client_config = copies
    assert.equal("nTok", w.visit():sub(1, 4))
    assert.same({ 1, 1, 2 }, counted(w))
    w.free()
  end)

  it("keeps it through a first packet that is put off, and uses it up only where it is let in", function()
    local w = world { server = { handshake_rate = 1, retry = 1 } }
    w.visit()
    -- The debts of a rate of one a second: whoever has proved its address comes later.
    for n = 1, 5 do
      w.conn = assert(quic.client(net.config({}, 40 + n), "localhost", net.CLIENT, net.SERVER, w.now))
      w.run(4)
    end
    local before = w.endpoint:stats()
    local conn = w.client()
    local first = conn:send(w.now)
    w.endpoint:recv(first, w.address, net.SERVER, w.now)
    local after = w.endpoint:stats()
    if after.handshakes_delayed > before.handshakes_delayed then
      assert.equal(before.tokens_refused, after.tokens_refused)
      w.now = w.now + 30000 * MS
      w.endpoint:recv(first, w.address, net.SERVER, w.now)
      assert.equal(before.tokens_accepted + 1, w.endpoint:stats().tokens_accepted)
    end
    conn:free()
    w.endpoint:free()
    w.config:free()
    w.client_config:free()
  end)

  it("is over with its lifetime, and with the clock that says so", function()
    local w = world { server = { retry = 1, token_lifetime = 60000 } }
    w.visit()
    w.config:clock(T + 100)
    assert.equal("nTok", w.visit():sub(1, 4))
    assert.same({ 0, 1, 2 }, counted(w))
    w.config:clock(-1)
    w.visit() -- it has one of T + 100
    assert.same({ 0, 2, 3 }, counted(w))
    w.config:clock(T + 101)
    assert.equal("", w.visit()) -- none was given meanwhile
    w.free()
  end)

  it("finds no room in a register that is full, and then proves nothing", function()
    local w = world { server = { retry = 1, token_entries = 8 } }
    w.visit()
    for _ = 1, 12 do w.visit() end
    assert.same({ 8, 4, 5 }, counted(w))
    w.free()
  end)

  it("is looked up in the application's register, where there is one", function()
    local w = world { server = { retry = 1 } }
    w.visit()
    quic.token_register(w.config, 1)
    w.visit()
    assert.same({ 1, 0, 1 }, counted(w))
    local calls, id, expires = quic.tokens_told()
    assert.same({ 1, 32 }, { calls, #id })
    assert.is_true(expires > T + 86400)
    for _, answer in ipairs { 0, -1, 2 } do
      quic.token_register(w.config, answer)
      w.visit()
    end
    assert.same({ 1, 3, 4 }, counted(w))
    w.free()
  end)

  it("is known by a server with the same keys, and after they change", function()
    local old, new = ("o"):rep(32), ("n"):rep(32)
    local a, b = world { server = { retry = 1 }, keys = { old } }, world { server = { retry = 1 }, keys = { new, old } }
    a.visit()
    b.client_config:free()
    b.client_config = a.client_config
    b.visit()
    assert.same({ 1, 0, 0 }, counted(b))
    a.visit() -- with a token of the new key, which it does not know
    assert.same({ 0, 1, 2 }, counted(a))
    assert.equal(-3, quic.token_keys(a.config, {}))
    assert.equal(-3, quic.token_keys(a.config, { old, old, old, old, new }))
    a.endpoint:free()
    a.config:free()
    b.free()
  end)

  it("has its keys read again with the certificates, or not at all", function()
    local config = net.config({}, 5, true)
    assert.equal(0, config:begin_reload())
    assert.equal(0, quic.token_keys(config, { ("n"):rep(32) }))
    config:end_reload(false)
    config:free()
  end)

  -- covers: rfc9369#5.1
  it("shows none of one version where it begins anew in another, but one of that", function()
    local without = { resumption = 0 }
    local old, new = world { server = without, client = without },
      world { server = { resumption = 0, versions = { net.V2 } } }
    new.client_config:free()
    new.client_config = old.client_config
    old.visit()
    local function shown()
      local tokens = {}
      local conn = new.client()
      new.run(10, function(bytes)
        local header = quic.header(bytes, 8)
        if header and header.type == 0 then tokens[header.version] = (header.token or ""):sub(1, 4) end
        return bytes
      end)
      assert.is_true(conn:info().confirmed)
      conn:close(false, 0)
      new.run(1)
      conn:free()
      return { tokens[net.V1], tokens[net.V2] }
    end
    assert.same({ "nTok", "" }, shown())
    assert.same({ "", "nTok" }, shown()) -- the server's answer used up the first
    new.endpoint:free()
    new.config:free()
    old.free()
  end)

  it("has it back from an attempt that nobody answered, once, and none of one that was answered", function()
    local without = { resumption = 0 }
    local w = world { server = without, client = without }
    local function attempt(is_answered)
      local conn = w.client()
      local bytes = conn:send(w.now)
      if is_answered then
        w.endpoint:recv(bytes, w.address, net.SERVER, w.now)
        conn:recv(w.endpoint:send(w.now), w.now)
      end
      conn:close(false, 0)
      conn:free()
      return (quic.header(bytes, 8).token or "")
    end
    w.visit()
    local first = attempt(false)
    assert.equal("nTok", first:sub(1, 4))
    assert.equal(first, attempt(false))
    assert.equal("", attempt(false))
    w.visit()
    assert.equal("nTok", attempt(true):sub(1, 4))
    assert.equal("", attempt(false))
    -- Of two at once each has one of its own, and both come back.
    w.visit()
    local saved = #w.client_config:save_sessions()
    local a, b = w.client(), w.client()
    local tokens = { quic.header(a:send(w.now), 8).token or "", quic.header(b:send(w.now), 8).token or "" }
    a:free()
    b:free()
    assert.are_not.equal(tokens[1], tokens[2])
    assert.equal(saved, #w.client_config:save_sessions())
    w.free()
  end)

  it("can be let in by a program that accepts by itself", function()
    local w = world()
    w.visit()
    local conn = w.client()
    local first = conn:send(w.now)
    assert.same({ "address", true, true }, { quic.accept_with_token(w.config, first, net.CLIENT, net.SERVER, w.now) })
    assert.same({ "address", false, false }, { quic.accept_with_token(w.config, first, net.CLIENT, net.SERVER, w.now) })
    assert.same({ "none", false, false },
      { quic.accept_with_token(w.config, first, "203.0.113.1:1", net.SERVER, w.now) })
    conn:free()
    w.free()
  end)
end)

describe("NEW_TOKEN frames", function()
  local function new_token(bytes) return net.bytes(7, #bytes) .. bytes end

  it("are sent again when they are lost, as another token", function()
    local function drop(direction, index) return direction == "down" and index >= 3 and index <= 5 end
    local p = net.pair { drop = drop }
    p:handshake()
    p:settle(2000 * MS)
    assert.is_true(#p.client_config:save_sessions() > 16)
    p:free()
  end)

  -- covers: rfc9000#9.3.4
  it("come again when the address of the client is another one", function()
    local p = net.pair { client = { resumption = 0 }, server = { resumption = 0 } }
    p:handshake()
    p:settle()
    local before = #p.client_config:save_sessions()
    p:rebind("203.0.113.5:5")
    assert.equal("x", p:transfer("client", "x"))
    p:settle(3000 * MS)
    assert.is_true(#p.client_config:save_sessions() > before)
    p:free()
  end)

  it("are kept up to 8 of a connection and 4 of a server, each once, and none larger than 512 bytes", function()
    local p = net.pair { client = { resumption = 0 }, server = { token_lifetime = 0, resumption = 0 } }
    p:handshake()
    local function kept() return p.client_config:save_sessions() end
    p:inject("server", net.APPLICATION, net.bytes(7, 513) .. ("l"):rep(513))
    assert.equal(16, #kept())
    for _ = 1, 3 do p:inject("server", net.APPLICATION, new_token("same")) end
    local one = #kept() - 16
    for n = 1, 20 do p:inject("server", net.APPLICATION, new_token(("t%03d"):format(n))) end
    assert.equal(16 + 4 * one, #kept())
    assert.is_truthy(kept():find("t007", 1, true))
    assert.is_nil(kept():find("t008", 1, true))
    assert.is_true(p.client:info().alive ~= false)
    p:free()
  end)

  it("leave a server's sessions their room, also those that come from a file", function()
    local function saved(resumption)
      local p = net.pair { client = { resumption = resumption }, server = { resumption = resumption } }
      p:handshake()
      p:settle()
      local bytes = p.client_config:save_sessions()
      p:free()
      return bytes
    end
    local head, token, all = 16, #saved(0) - 16, saved(1) -- two sessions and a token
    local session = (#all - head - token) / 2
    assert.is_true(session > token)
    local config = net.config({}, 23)
    assert.equal(0, config:load_sessions(all:sub(1, head) .. all:sub(head + 1):rep(9)))
    assert.equal(head + 16 * session + 4 * token, #config:save_sessions())
    config:free()
  end)

  it("without end are unproductive, and end the connection", function()
    local p = net.pair { server = { token_lifetime = 0 } }
    p:handshake()
    for n = 1, 1200 do
      if not p:inject("server", net.APPLICATION, new_token(("t%05d"):format(n))) then break end
      if p.client:info().by ~= "" and p.client:info().by ~= "none" then break end
    end
    assert.equal("local", p.client:info().by)
    p:free()
  end)

  it("are none of a client that keeps no tokens", function()
    local p = net.pair { client = { address_tokens = 0, resumption = 0 } }
    p:handshake()
    assert.equal(16, #p.client_config:save_sessions())
    p:free()
  end)
end)
