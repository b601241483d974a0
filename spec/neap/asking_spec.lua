--- Functions of the application that handshakes ask: they may wait, and fail.
local neap = require "neap"
local web = require "support.web"
local certificates = require("neap.units").certificates
local crypto = require("neap.units").crypto

local function build(app) app:get("/", function() return "here" end) end


local SCHEME = { ecdsa_secp256r1_sha256 = 0x0403 }

local function sign(bytes, scheme)
  local context = crypto.new(("i"):rep(32))
  local id = web.identity()
  local identity = assert(certificates.identity_new(context, id.cert, id.key))
  local signature = certificates.identity_sign(identity, assert(SCHEME[scheme]), bytes)
  certificates.identity_free(identity)
  return signature
end

-- As web.with_app, for a server without a key.
local function with_signer(fn, signer, more)
  local id = web.identity()
  web.run(function()
    local app = neap.app()
    build(app)
    local given = { host = "127.0.0.1", port = 0, cert = id.cert, sign = signer }
    for name, value in pairs(more or {}) do given[name] = value end
    local server = assert(app:listen(given))
    local client = neap.client { ca = id.cert, timeout = 10 }
    local ok, err = xpcall(fn, debug.traceback, client, "https://127.0.0.1:" .. server.port .. "/", server)
    client:close()
    server:close()
    if not ok then error(err, 0) end
  end)
end

local function refused(client, url)
  local r, message, code = client:get(url)
  assert.is_nil(r)
  return message, code
end

describe("option sign", function()
  it("signs for a certificate whose key is elsewhere", function()
    local asked
    with_signer(function(client, url)
      assert.equal("here", assert(client:get(url)):body())
      assert.same({ 1, "ecdsa_secp256r1_sha256", 130, "signature" }, asked)
    end, function(bytes, scheme, name, question)
      asked = { question.id, scheme, #bytes, question.kind }
      assert(name == nil and question.server_name == nil) -- an address is no name
      assert(question.digest == (crypto.hash(256, bytes)))
      return sign(bytes, scheme)
    end)
  end)

  it("may wait, while other handshakes go on", function()
    local open, most = 0, 0
    with_signer(function(_, url)
      local clients, answers = {}, 0
      for i = 1, 4 do
        clients[i] = neap.client { ca = web.identity().cert, timeout = 10 }
        neap.go(function()
          local r = clients[i]:get(url)
          answers = answers + (r and r:body() == "here" and 1 or 0)
        end)
      end
      while answers < 4 do neap.sleep(0.01) end
      assert.equal(4, most)
      for _, client in ipairs(clients) do client:close() end
    end, function(bytes, scheme)
      open = open + 1
      most = math.max(most, open)
      while most < 4 do neap.sleep(0.01) end
      open = open - 1
      return sign(bytes, scheme)
    end)
  end)

  it("refuses the handshake when it fails, and tells the log why and the client nothing", function()
    for _, case in ipairs {
      { function() error("the device is on fire") end, "the device is on fire" },
      { function() return nil, "no answer from the device" end, "no answer from the device" },
      { function() return 5 end, "'sign' gave no signature" },
      { function() return "nonsense" end, "the signature of 'sign': it is not one of the certificate's key" },
      { function(_, scheme) return sign("something else", scheme) end, "it is not one of the certificate's key" },
    } do
      local log = web.logged(function()
        with_signer(function(client, url)
          local message = refused(client, url)
          assert.matches("internal_error", message)
          assert.is_nil(message:find("device", 1, true))
          assert.is_nil(message:find("key", 1, true))
        end, case[1])
      end)
      assert.matches("handshake with 127.0.0.1:%d+: ", log)
      assert.is_truthy(log:find(case[2], 1, true), log)
    end
  end)

  it("may answer when nobody waits any more", function()
    local answered
    local log = web.logged(function()
      with_signer(function(client, url)
        assert.matches("no answer", (refused(client, url)))
        while not answered do neap.sleep(0.01) end
        assert.equal("timeout", answered)
      end, function(_, _, _, question)
        neap.sleep(0.4)
        answered = "timeout"
        return question.bytes
      end, { handshake_timeout = 0.2 })
    end)
    assert.matches("handshake with 127.0.0.1:%d+: 'sign' had not answered after 0.%d seconds, when it ended$", log)
    assert.is_nil(log:find("\n"))
  end)

  it("keeps no other handshake from its turn when it hangs, once the one that it was asked for is over", function()
    local gate, asked = nil, 0
    local log = web.logged(function()
      with_signer(function(_, url)
        local waiter, ended = neap.task.waiter(), 0
        for _ = 1, 64 do
          neap.go(function()
            local client = neap.client { ca = web.identity().cert, handshake_timeout = 1 }
            refused(client, url)
            client:close()
            ended = ended + 1
            if ended == 64 then neap.task.wake(waiter, true) end
          end)
        end
        assert(neap.task.await(waiter, 15))
        assert.equal(64, asked)
        local client = neap.client { ca = web.identity().cert, timeout = 10 }
        assert.equal("here", assert(client:get(url)):body())
        client:close()
        for _, one in ipairs(gate) do neap.task.wake(one, true) end
      end, function(bytes, scheme)
        asked = asked + 1
        if asked <= 64 then
          gate = gate or {}
          gate[#gate + 1] = neap.task.waiter()
          neap.task.await(gate[#gate])
        end
        return sign(bytes, scheme)
      end, { handshake_timeout = 0.5 })
    end)
    assert.matches("'sign' had not answered", log)
  end)

  it("needs a certificate, and is a function", function()
    local app = neap.app()
    assert.error_matches(function() app:listen { sign = true, cert = web.identity().cert } end,
      "option 'sign' must be a function")
    assert.error_matches(function() app:listen { cert = web.identity().cert } end, "'cert' needs 'key'")
  end)

  it("is asked in raw QUIC too", function()
    web.run(function()
      local id = web.identity()
      local server = assert(neap.quic.listen { alpn = "x", host = "127.0.0.1", port = 0, cert = id.cert, sign = sign })
      local conn = assert(neap.quic.connect("127.0.0.1:" .. server.port, { alpn = "x", ca = id.cert }))
      conn:close()
      server:close()
    end)
  end)
end)

describe("option verify_server", function()
  it("decides about a server that roots vouch for, and is the only one where there are none", function()
    web.with_app(build, function(_, url)
      for _, case in ipairs { { ca = web.identity().cert, is_verified = true },
        { verify_peer = false, is_verified = false } } do
        local seen
        local function verify(der, question)
          neap.sleep(0.01)
          seen = { der:sub(1, 1), question.is_verified }
          return true
        end
        local client = neap.client { ca = case.ca, verify_peer = case.verify_peer, verify_server = verify }
        assert.equal("here", assert(client:get(url .. "/")):body())
        assert.same({ "\48", case.is_verified }, seen)
        client:close()
      end
    end)
  end)

  it("refuses a server that it does not say true about, with access_denied", function()
    web.with_app(build, function(_, url)
      local log = web.logged(function()
        local client = neap.client { ca = web.identity().cert, verify_server = function() return false, "not ours" end }
        assert.matches("access_denied", (refused(client, url .. "/")))
        client:close()
      end)
      assert.matches("not ours", log)
    end)
  end)

  it("is asked in raw QUIC too, the one of each connection", function()
    web.run(function()
      local id = web.identity()
      local server = assert(neap.quic.listen { alpn = "x", host = "127.0.0.1", port = 0, cert = id.cert, key = id.key })
      local asked = {}
      for i = 1, 2 do
        local conn = assert(neap.quic.connect("127.0.0.1:" .. server.port, { alpn = "x", ca = id.cert,
          resumption = false, verify_server = function() asked[#asked + 1] = i; return true end }))
        conn:close()
      end
      assert.same({ 1, 2 }, asked)
      server:close()
    end)
  end)
end)

describe("a connection that a client has ended", function()
  local asking = require "neap.asking"

  -- What the log is told: its kind and its text.
  local function told(why)
    local conn, lines = {}, {}
    function conn:is_closed() return false end -- luacheck: ignore self
    function conn:peer() return "192.0.2.1:1" end -- luacheck: ignore self
    function conn:error() return why end -- luacheck: ignore self
    asking.tell_refusal(conn, function(kind, text) lines[#lines + 1] = { kind, text } end)
    return lines
  end

  local function alert(number, name, reason)
    return { by = "peer", code = 0x100 + number, name = name, reason = reason or "" }
  end

  it("is in the log where it was our certificate, or our signature", function()
    for number, name in pairs { [42] = "bad_certificate", [43] = "unsupported_certificate",
      [44] = "certificate_revoked", [45] = "certificate_expired",
      [46] = "certificate_unknown", [48] = "unknown_ca", [49] = "access_denied",
      [113] = "bad_certificate_status_response" } do
      assert.same({ { "peer " .. name, ("192.0.2.1:1 refused our certificate: %s (%d)"):format(name, number) } },
        told(alert(number, name)))
    end
    assert.same({ { "peer decrypt_error", "192.0.2.1:1 refused our signature or Finished: decrypt_error (51): no" } },
      told(alert(51, "decrypt_error", "no")))
  end)

  it("is not, where it was another alert, or none", function()
    assert.same({}, told(alert(40, "handshake_failure")))
    assert.same({}, told(alert(90, "user_canceled")))
    assert.same({}, told { by = "peer", code = 0x12d, name = "unknown", is_application = true, reason = "" })
    assert.same({}, told { by = "peer", code = 0, name = "NO_ERROR", reason = "" })
    assert.same({}, told { by = "idle" })
  end)
end)

-- Handshakes that ask for the key of their name, without the connections.
describe("questions that many ask at once", function()
  local asking = require "neap.asking"
  local task = neap.task

  local function asker(peer)
    local conn = { id = 1 }
    function conn:question() return self.id and { id = self.id, kind = "psk", bytes = peer } end
    function conn:peer() return peer end -- luacheck: ignore self
    function conn:error() end -- luacheck: ignore self
    function conn:is_server() return true end -- luacheck: ignore self
    function conn:answer_psk() self.id, self.answered = nil, true; return true end
    function conn:refuse_question()
      if not self.id then return nil end
      self.id, self.refused = nil, true
      return true
    end
    return conn
  end

  -- fn(ask, open, finish, leave): ask(peer, count) asks so often and gives the last who did; open lists the peers that
  -- are looked into, in their order; finish(i) has that one answered, leave(conn) ends a handshake.
  local function with(fn)
    web.run(function()
      local open, waiters = {}, {}
      local answer = asking.answerer { psk = function(bytes)
        open[#open + 1] = bytes
        waiters[#waiters + 1] = task.waiter()
        task.await(waiters[#waiters])
        return ("k"):rep(32)
      end }
      local function settle() for _ = 1, 3 do task.sleep(0) end end
      local function ask(peer, count)
        local conn
        for _ = 1, count or 1 do
          conn = asker(peer)
          answer(conn)
        end
        settle()
        return conn
      end
      fn(ask, open, function(i)
        task.wake(waiters[i], true)
        settle()
      end, function(conn)
        conn.id = nil
        answer(conn) -- as of a connection that has ended
        settle()
      end)
      for i = 1, 100000 do
        if not waiters[i] then break end
        task.wake(waiters[i], true)
        if not waiters[i + 1] then settle() end
      end
    end)
  end

  it("wait for their turn behind 64 of their address, in their order, and are not refused", function()
    with(function(ask, open, finish)
      ask("192.0.2.1:1", 64)
      local second, third = ask("192.0.2.1:2"), ask("192.0.2.1:3")
      assert.equal(64, #open)
      assert.is_true(second.id and third.id and true)
      finish(7)
      assert.same({ 65, "192.0.2.1:2" }, { #open, open[65] })
      finish(65)
      assert.same({ 66, "192.0.2.1:3", true }, { #open, open[66], second.answered })
      finish(66)
      assert.is_true(third.answered)
    end)
  end)

  it("do not wait for those of another address, which is a network of 64 bits where it is IPv6", function()
    for _, case in ipairs {
      { "192.0.2.1:1", "192.0.2.2:1", true }, { "192.0.2.1:1", "192.0.2.1:99" },
      { "[2001:db8:0:1::5]:1", "[2001:db8:0:1:a:b:c:d]:2" }, { "[2001:db8::5]:1", "[2001:db8:0:0:ffff::]:1" },
      { "[2001:db8::5]:1", "[2001:db8:0:1::5]:1", true }, { "[fe80::1%eth0]:1", "[fe80::2%eth0]:1" },
      { "[::ffff:192.0.2.1]:1", "192.0.2.1:5" }, { "[::ffff:192.0.2.1]:1", "[::ffff:192.0.2.2]:1", true },
      { "[1:2:3:4:5:6:7:8]:1", "[1:2:3:4::]:1" }, { "[::1]:1", "[::1:2:3:4]:1" }, { "[::1]:1", "[1::]:1", true },
    } do
      with(function(ask, open)
        ask(case[1], 70)
        ask(case[2])
        assert.equal(case[3] and 65 or 64, #open, case[1] .. " and " .. case[2])
      end)
    end
  end)

  it("are a thousand at once of all, and then an address after the other has its turn", function()
    local log = web.logged(function()
      with(function(ask, open, finish)
        for i = 1, 16 do ask(("192.0.2.%d:1"):format(i), 100) end
        assert.equal(1024, #open)
        ask("198.51.100.1:1", 3)
        ask("198.51.100.2:2", 3)
        assert.equal(1024, #open)
        for i = 1, 4 do finish(i) end -- four of the first address, which has 36 more
        assert.same({ 1028, "198.51.100.1:1", "198.51.100.2:2", "192.0.2.1:1", "198.51.100.1:1" },
          { #open, open[1025], open[1026], open[1027], open[1028] })
      end)
    end)
    assert.matches("1024 questions of handshakes are open, and %d+ wait", log)
  end)

  it("leave their place when their handshake is over, to at most as many again that hang", function()
    with(function(ask, open, finish, leave)
      local first = {}
      for i = 1, 64 do first[i] = ask("192.0.2.1:1") end
      ask("192.0.2.1:2", 70)
      assert.equal(64, #open)
      leave(first[3])
      leave(first[3])
      assert.same({ 65, "192.0.2.1:2" }, { #open, open[65] })
      for i = 1, 64 do leave(first[i]) end
      assert.equal(128, #open)
      ask("192.0.2.2:1", 1) -- another address is nobody's victim
      assert.equal(129, #open)
      local last = ask("192.0.2.2:1")
      leave(last)
      finish(65) -- one that is asked still
      assert.same({ 131, "192.0.2.1:2" }, { #open, open[131] })
      finish(1) -- and one that hung
      assert.same({ 131, "192.0.2.1:2" }, { #open, open[131] })
    end)
  end)

  it("have a line in the log when they hang for a second in all, however soon their handshake is over", function()
    local core, ahead = require "neap.core", 0
    local now = core.now
    finally(function() core.now = now end)
    core.now = function() return now() + ahead end
    local function hang(seconds, returns)
      return web.logged(function()
        with(function(ask, _, finish, leave)
          local conn = ask("192.0.2.1:1")
          ahead = ahead + 0.3
          leave(conn)
          if returns then finish(1) end
          ahead = ahead + seconds
          for _ = 1, 3 do task.sleep(0) end
        end)
      end)
    end
    assert.matches(" warn handshake with 192.0.2.1:1: 'psk' had not answered after 1.0 seconds; it ended after 0.3$",
      hang(0.7))
    assert.equal("", hang(0.5))
    assert.equal("", hang(0.7, true))
  end)

  it("leave their place once, whether their handshake is over first or their function returns", function()
    with(function(ask, open, finish, leave)
      local conns = {}
      for i = 1, 64 do conns[i] = ask("192.0.2.1:1") end
      ask("192.0.2.1:2", 70)
      finish(1)
      leave(conns[1])
      assert.equal(65, #open)
      leave(conns[2])
      finish(2)
      assert.equal(66, #open)
    end)
  end)

  it("are forgotten with their handshake, also while others hold all the turns", function()
    with(function(ask, open, finish)
      ask("192.0.2.1:1", 64)
      local gone = setmetatable({}, { __mode = "k" })
      for _ = 1, 2000 do
        local conn = ask("192.0.2.1:2")
        conn.id = nil
        gone[conn] = true
      end
      local last = ask("192.0.2.1:3")
      collectgarbage()
      collectgarbage()
      local kept = 0
      for _ in pairs(gone) do kept = kept + 1 end
      assert.is_true(kept <= 260, kept .. " are kept")
      finish(1)
      assert.same({ 65, "192.0.2.1:3" }, { #open, open[65] })
      finish(65)
      assert.is_true(last.answered)
    end)
  end)

  it("are all answered, of a hundred clients with one address", function()
    web.run(function()
      local key, now, most = ("k"):rep(32), 0, 0
      local gate = {}
      local listener = assert(neap.quic.listen { host = "127.0.0.1", port = 0, alpn = "x", psk = function()
        now = now + 1
        most = math.max(most, now)
        if now < 64 and not gate.is_open then
          gate[#gate + 1] = task.waiter()
          task.await(gate[#gate])
        else
          gate.is_open = true
          for _, waiter in ipairs(gate) do task.wake(waiter, true) end
        end
        now = now - 1
        return key
      end })
      local waiter, answered = task.waiter(), 0
      for _ = 1, 100 do
        neap.go(function()
          local conn = neap.quic.connect("127.0.0.1:" .. listener.port,
            { alpn = "x", psk = { identity = "one", key = key }, timeout = 15 })
          if conn then conn:close() end
          answered = answered + (conn and 1 or 0)
          if answered == 100 then task.wake(waiter, true) end
        end)
      end
      task.await(waiter, 15)
      listener:close()
      assert.equal(100, answered)
      assert.equal(64, most)
    end)
  end)
end)

-- Handshakes that want a certificate, without the connections.
describe("handshakes that want the same certificate", function()
  local asking = require "neap.asking"
  local task = neap.task
  local PAIR = { cert = "-----BEGIN cert", key = "-----BEGIN key" }

  local function wanting(name, scheme)
    local conn = { id = 1 }
    function conn:question()
      return self.id and { id = self.id, kind = "certificate", server_name = name, schemes = { scheme or "ed25519" } }
    end
    function conn:peer() return "192.0.2.1:1" end -- luacheck: ignore self
    function conn:error() return { reason = "" } end -- luacheck: ignore self
    function conn:answer_certificate(_, cert)
      if not self.id then return nil, "nobody asks", "in use" end
      self.id, self.answered = nil, cert or "none"
      return true
    end
    function conn:refuse_question(_, alert)
      if not self.id then return nil end
      self.id, self.refused = nil, alert
      return true
    end
    return conn
  end

  -- fn(want, finish, names): want(conn, …) has them ask, finish(i, …) has the i-th call of `certificate` return, names
  -- has what that was called for. `options` are more of the server's.
  local function with(fn, options)
    web.run(function()
      local names, waiters, results = {}, {}, {}
      local given = { certificate = function(name)
        local i = #names + 1
        names[i], waiters[i] = name, task.waiter()
        task.await(waiters[i])
        return results[i]()
      end }
      for name, value in pairs(options or {}) do given[name] = value end
      local answer = asking.answerer(given)
      local function settle() for _ = 1, 8 do task.sleep(0) end end
      fn(function(...)
        for _, conn in ipairs { ... } do answer(conn) end
        settle()
      end, function(i, result)
        results[i] = type(result) == "function" and result or function() return result end
        task.wake(waiters[i], true)
        settle()
      end, names)
    end)
  end

  it("have one asked for, which is given to all", function()
    with(function(want, finish, names)
      local all = { wanting "a.example", wanting "A.Example", wanting "a.example", wanting "b.example" }
      want((table.unpack or unpack)(all))
      assert.same({ "a.example", "b.example" }, names)
      finish(1, PAIR)
      for i = 1, 3 do assert.equal(PAIR.cert, all[i].answered) end
      assert.is_nil(all[4].answered)
      finish(2, nil)
      assert.equal("none", all[4].answered)
      local later = wanting "a.example"
      want(later)
      assert.equal(3, #names)
      finish(3, PAIR)
    end)
  end)

  it("are refused alike, or have none alike", function()
    web.logged(function()
      with(function(want, finish)
        for i, case in ipairs { { function() error("the store is down") end, 80 }, { function() return 5 end, 80 },
          { function() return nil, "none of ours" end, 112 }, { function() return nil end, nil, "none" } } do
          local one, other = wanting "a.example", wanting "a.example"
          want(one, other)
          finish(i, case[1])
          assert.same({ case[2], case[2] }, { one.refused, other.refused })
          assert.same({ case[3], case[3] }, { one.answered, other.answered })
        end
      end)
    end)
  end)

  it("have it also when the client has gone whose handshake asked", function()
    with(function(want, finish, names)
      local first, second = wanting "a.example", wanting "a.example"
      want(first, second)
      first.id = nil
      want(first) -- as a connection that has ended
      want(wanting "a.example")
      finish(1, PAIR)
      assert.equal(PAIR.cert, second.answered)
      assert.equal(1, #names)
    end)
  end)

  it("ask each for its own with other signature schemes, behind a reload, after a second, and with certificate_ttl = 0",
    function()
      with(function(want, finish, names)
        want(wanting "a.example", wanting("a.example", "rsa_pss_rsae_sha256"))
        assert.equal(2, #names)
        asking.begin_anew()
        local behind = wanting "a.example"
        want(behind)
        assert.equal(3, #names)
        finish(1, PAIR)
        assert.is_nil(behind.answered)
        task.sleep(1)
        want(wanting "a.example")
        assert.equal(4, #names)
        for i = 2, 4 do finish(i, PAIR) end
        assert.equal(PAIR.cert, behind.answered)
      end)
      with(function(want, finish, names)
        want(wanting "a.example", wanting "a.example")
        assert.equal(2, #names)
        for i = 1, 2 do finish(i, PAIR) end
      end, { certificate_ttl = 0 })
    end)

  it("are a thousand at most that wait for others' answers, and take no place of those who ask", function()
    with(function(want, finish, names)
      local all = {}
      for i = 1, 1026 do all[i] = wanting "a.example" end
      want((table.unpack or unpack)(all))
      assert.equal(2, #names)
      want(wanting "b.example")
      assert.equal("b.example", names[3])
      for i = 1, 3 do finish(i, PAIR) end
      for _ = 1, 1100 do task.sleep(0) end
      for i = 1, 1026 do assert.equal(PAIR.cert, all[i].answered) end
    end)
  end)

  it("are served by one question, of a herd of clients", function()
    local x509 = neap.x509
    local ca, ca_key = x509.authority { subject = "root" }
    local key = x509.key()
    local cert = assert(x509.issue { key = key, subject = "s", names = { "s.example" }, uses = { "server" },
      ca_cert = ca, ca_key = ca_key })
    local asked, served, failures = 0, nil, nil
    web.run(function()
      local listener = assert(neap.quic.listen { host = "127.0.0.1", port = 0, alpn = "x", certificate = function()
        asked = asked + 1
        task.sleep(0.3)
        return { cert = cert, key = key }
      end })
      local all = {}
      for i = 1, 20 do
        all[i] = function()
          local conn, message = neap.quic.connect("127.0.0.1:" .. listener.port, { ca = ca, server_name = "s.example",
            alpn = "x", resumption = false })
          if conn then conn:close() end
          return conn and true, message
        end
      end
      served, failures = neap.all(all)
      listener:close()
    end)
    assert.is_nil(failures)
    assert.same({ 1, 20 }, { asked, #served })
  end)
end)
