--- TLS over a stream of bytes: two of ours in memory, by the configs that QUIC has, and programs of others.
local core = require "neap.core"
local units = require "neap.units"
local Authority = require "crypto.authority"

local CLIENT = "basicConstraints=CA:FALSE\nkeyUsage=digitalSignature\nextendedKeyUsage=clientAuth\n"

describe("TLS over a stream", function()
  if not core.has_tls_streams then return pending("this build has no TLS over TCP") end

  local authority, root, tide, rsa, wild, ed, device, intruder

  setup(function()
    authority = Authority.new()
    root = authority:issue { name = "root", extensions = Authority.CA }
    tide = authority:issue { name = "tide", issuer = "root", extensions = Authority.SERVER }
    rsa = authority:issue { name = "rsa", issuer = "root", key = "rsa2048", extensions = Authority.SERVER }
    wild = authority:issue { name = "moon", issuer = "root",
      extensions = Authority.SERVER:gsub("tide.example,.*$", "moon.example") }
    ed = authority:issue { name = "ed", issuer = "root", key = "ed25519", extensions = Authority.SERVER }
    device = authority:issue { name = "pump", issuer = "root", extensions = CLIENT }
    local other = authority:issue { name = "other", extensions = Authority.CA, subject = "/CN=root" }
    intruder = authority:issue { name = "intruder", issuer = "other", extensions = CLIENT }
    assert(other)
  end)
  teardown(function() authority:remove() end)

  local function config_of(options, more, role)
    for name, value in pairs(more or {}) do options[name] = value or nil end
    return assert(core.config(options, role))
  end

  local function server_config(more) return config_of({ cert = tide.pem, key = tide.key }, more, "server") end

  -- `ca` = false: it has none.
  local function client_config(more) return config_of({ ca = root.pem }, more, "client") end

  -- A client that takes any certificate.
  local function anyone()
    return assert(core.config({ verify_peer = false }, "client"))
  end

  local function side(config, is_server, protocols)
    return assert(core.tls_side(config, is_server, protocols))
  end

  -- Moves bytes, at most `step` at a time, until nobody has any.
  local function pump(a, b, step)
    local moved
    repeat
      moved = false
      for from, to in pairs { [a] = b, [b] = a } do
        local bytes = from:send(step)
        local at = 1
        while at <= #bytes do
          local count = to:receive(bytes, at)
          if count == 0 then error("it takes nothing") end
          at, moved = at + count, true
        end
      end
    until not moved
  end

  local function pair(options)
    options = options or {}
    local server = assert(side(options.server or server_config(), true, options.server_protocols):stream())
    local client = assert(side(options.client or client_config(), false, options.protocols)
      :stream(options.name or "tide.example"))
    pump(client, server, options.step)
    return client, server
  end

  local function accepted(options)
    local client, server = pair(options)
    assert.same({ "open" }, { client:state() })
    assert.same({ "open" }, { server:state() })
    return client, server
  end

  local function carries(from, to, text)
    assert.equal(#text, from:write(text))
    pump(from, to)
    assert.equal(text, to:read())
  end

  it("carries plaintext both ways, and ends with close_notify", function()
    local client, server = accepted()
    carries(client, server, "flood")
    carries(server, client, "ebb")
    client:close()
    pump(client, server)
    assert.equal("ended", (server:state()))
    assert.equal("", server:read())
    carries(server, client, "")
    server:close()
    assert.equal("closed", (server:state()))
    assert.equal(0, server:write("more"))
  end)

  it("reads on when it has said that it sends no more", function()
    local client, server = accepted()
    carries(client, server, "all")
    client:end_output()
    assert.equal(0, client:write("more"))
    pump(client, server)
    assert.equal("ended", (server:state()))
    carries(server, client, "answer")
    assert.equal("open", (client:state()))
    server:close()
    pump(client, server)
    assert.equal("ended", (client:state()))
    client:close()
    assert.equal("", client:send(), "it says so once")
  end)

  it("does with a byte at a time", function()
    local client, server = accepted { step = 1 }
    client:write("slow")
    pump(client, server, 1)
    assert.equal("slow", server:read())
  end)

  it("tells what was agreed upon", function()
    local client, server = accepted { protocols = { "h2", "http/1.1" }, server_protocols = { "http/1.1", "h2" } }
    for _, stream in ipairs { client, server } do
      local protocol, version, suite, name = stream:info()
      assert.equal("http/1.1", protocol)
      assert.matches("^TLSv1%.[23]$", version)
      assert.matches("^TLS_.*_GCM_SHA", suite)
      assert.equal("tide.example", name)
    end
    assert.equal(tide.der, client:peer_certificate())
    assert.is_nil(client:peer_certificate(2))
    assert.is_nil(server:peer_certificate())
  end)

  it("ends where no protocol is common", function()
    local client, server = pair { protocols = { "h2" }, server_protocols = { "http/1.1" } }
    local state, _, code, alert = server:state()
    assert.same({ "failed", "crypto", 120 }, { state, code, alert })
    assert.same({ "failed", 120 }, { client:state(), (select(4, client:state())) })
  end)

  it("shows the certificate of the name that is asked for, and the first one else", function()
    local config = server_config { certs = { { cert = wild.pem, key = wild.key } } }
    for name, wanted in pairs { ["tide.example"] = tide, ["MOON.example"] = wild, ["nobody.test"] = tide,
      ["192.0.2.7"] = tide } do
      local client, server = accepted { server = config, client = anyone(), name = name }
      assert.equal(wanted.der, client:peer_certificate())
      assert.equal(name:find("%a") and name:lower() or "", (select(4, server:info())))
    end
  end)

  it("shows an RSA certificate, and one of ECDSA first where there are both", function()
    local client = accepted { server = server_config { cert = rsa.pem, key = rsa.key } }
    assert.equal(rsa.der, client:peer_certificate())
    client = accepted { server = server_config { cert = rsa.pem, key = rsa.key,
      certs = { { cert = tide.pem, key = tide.key } } } }
    assert.equal(tide.der, client:peer_certificate())
  end)

  it("shows what the config has since it was read again", function()
    local config = server_config()
    local ours = side(config, true)
    local function shown()
      local server = assert(ours:stream())
      local client = assert(side(anyone(), false):stream("tide.example"))
      pump(client, server)
      return client:peer_certificate()
    end
    assert.equal(tide.der, shown())
    assert(config:reload { cert = rsa.pem, key = rsa.key })
    assert.equal(rsa.der, shown())
  end)

  describe("a client", function()
    local function refused(options, alert, reason)
      local client, server = pair(options)
      local state, message, code, number = client:state()
      assert.equal("failed", state)
      assert.equal("crypto", code)
      assert.equal(alert, number)
      assert.matches(reason, message)
      assert.equal("", client:read())
      assert.equal(0, client:write("secret"))
      assert.equal("failed", (server:state()))
      -- A client of Mbed TLS 3.6 sends it before it has the keys of TLS 1.3: its server cannot open that.
      local is_new = select(2, accepted():info()) == "TLSv1.3"
      assert.equal(is_new and 20 or alert, (select(4, server:state())))
    end

    it("refuses a certificate for another name", function()
      refused({ name = "low.example" }, 42, "another name")
      refused({ name = "192.0.2.8" }, 42, "another name")
      accepted { name = "192.0.2.7" }
      accepted { name = "any.wild.example" }
      accepted { name = "tide.example." }
    end)

    it("refuses one that no root of its own stands behind", function()
      refused({ client = client_config { ca = intruder and authority.made.other.pem } }, 48, "authority")
    end)

    it("refuses one that is over", function()
      refused({ client = client_config { wall_clock = 4102444800 } }, 45, "expired")
    end)

    it("holds to its pins", function()
      local pin = client_config():certificate_pin(tide.pem)
      accepted { client = client_config { pins = { pin }, ca = false } }
      accepted { client = assert(core.config({ pins = { pin }, verify_peer = false }, "client")) }
      refused({ client = client_config { pins = { pin }, ca = false },
        server = server_config { cert = rsa.pem, key = rsa.key } }, 46, "pinned")
    end)

    it("needs somebody to trust, and a name", function()
      local ours = side(assert(core.config({}, "client")), false)
      local stream, message, code = ours:stream("tide.example")
      assert.same({ nil, "certificate" }, { stream, code })
      assert.matches("nothing is trusted", message)
      assert.same({ nil, "argument" }, { side(client_config(), false):stream(""), (select(3,
        side(client_config(), false):stream(""))) })
      assert.equal("argument", (select(3, side(client_config(), false):stream(("a"):rep(256)))))
    end)
  end)

  describe("a server that asks for certificates", function()
    local function asking(demand)
      return server_config { client_certificate = demand, client_ca = root.pem }
    end

    it("knows who it talks to", function()
      for _, demand in ipairs { "require", "request" } do
        local _, server = accepted { server = asking(demand),
          client = client_config { cert = device.pem, key = device.key } }
        assert.equal(device.der, server:peer_certificate())
      end
      local _, server = accepted { server = asking "request" }
      assert.is_nil(server:peer_certificate())
    end)

    it("lets nobody in whom it does not know", function()
      for _, demand in ipairs { "require", "request" } do
        local _, server = pair { server = asking(demand),
          client = client_config { cert = intruder.pem, key = intruder.key } }
        local state, message = server:state()
        assert.equal("failed", state)
        assert.matches("authority", message)
        assert.is_nil(server:peer_certificate())
      end
      local _, server = pair { server = asking "require" }
      assert.equal("failed", (server:state()))
    end)

    it("needs roots for them", function()
      side(asking "require", true)
      local made, message, code = core.tls_side(server_config { client_certificate = "request" }, true)
      assert.same({ nil, "certificate" }, { made, code })
      assert.matches("nothing to verify", message)
    end)
  end)

  it("says what it cannot do", function()
    local made, message, code = core.tls_side(server_config { cert = ed.pem, key = ed.key }, true)
    assert.same({ nil, "certificate" }, { made, code })
    assert.matches("ECDSA or RSA", message)
    local function code_of(...) return (select(3, core.tls_side(...))) end
    assert.equal("certificate", code_of(assert(core.config({}, "server")), true))
    assert.equal("argument", code_of(client_config(), false, { ("p"):rep(256) }))
    assert.equal("argument", code_of(client_config(), false, { "1", "2", "3", "4", "5" }))
  end)

  it("holds a record of plaintext at most, and takes the rest when it was read", function()
    local client, server = accepted()
    local text = ("0123456789abcdef"):rep(2048)
    local sent, got, wire = 1, {}, ""
    while sent <= #text or #wire > 0 do
      if sent <= #text then sent = sent + client:write(text, sent) end
      wire = wire .. client:send()
      wire = wire:sub(server:receive(wire) + 1)
      if #wire > 0 then -- more than a record: it waits until this is read
        assert.equal(0, server:receive(wire))
        got[#got + 1] = server:read()
        assert.is_true(#got[#got] > 0 and #got[#got] <= 16384)
      end
    end
    got[#got + 1] = server:read()
    got[#got + 1] = server:read()
    assert.equal(text, table.concat(got))
  end)

  it("takes no more plaintext than has room until it is sent", function()
    local client = accepted()
    local text = ("x"):rep(65536)
    local taken = client:write(text)
    assert.is_true(taken > 16384 and taken < 32768)
    assert.equal(0, client:write("x"))
    repeat until client:send() == ""
    assert.equal(1, client:write("x"))
  end)

  it("ends a handshake that is too long", function()
    local server = assert(side(server_config(), true):stream())
    -- Handshake records of a ClientHello that would be 16 MiB.
    local hello = "\22\3\1\64\0" .. "\1\255\255\255" .. ("\0"):rep(16380)
    for _ = 1, 4 do server:receive(hello) end
    assert.equal("failed", (server:state()))
    local client = assert(side(client_config(), false):stream("tide.example"))
    for _ = 1, 30000 do client:receive("\21\3\3\0\2\1\90") end -- warnings that mean nothing
    local state, message, code = client:state()
    assert.same({ "failed", "limit" }, { state, code })
    assert.matches("too long", message)
  end)

  it("does not take the end of the bytes for the end of what was said", function()
    local client, server = accepted()
    client:write("cut")
    pump(client, server)
    server:end_of_input()
    assert.equal("open", (server:state()))
    assert.equal("cut", server:read())
    local state, message, code = server:state()
    assert.same({ "failed", "closed" }, { state, code })
    assert.matches("close_notify", message)
    client, server = accepted()
    client:close()
    pump(client, server)
    server:end_of_input()
    assert.equal("ended", (server:state()))
  end)

  it("refuses what was changed on the way", function()
    local client, server = accepted()
    client:write("genuine")
    local wire = client:send()
    wire = wire:sub(1, -2) .. string.char((wire:byte(-1) + 1) % 256)
    server:receive(wire)
    local state, _, _, alert = server:state()
    assert.same({ "failed", 20 }, { state, alert })
    assert.equal("", server:read())
  end)

  it("speaks neither TLS 1.1 nor plain HTTP", function()
    local server = assert(side(server_config(), true):stream())
    server:receive("GET / HTTP/1.1\r\nhost: tide.example\r\n\r\n")
    assert.equal("failed", (server:state()))
    assert.equal(0, server:write("no"))
  end)

  it("gives back all memory, whoever goes first", function()
    local config, other = server_config(), client_config()
    local function used()
      collectgarbage()
      collectgarbage()
      return { config:memory().used, other:memory().used }
    end
    local function meet(goes)
      local client, server = accepted { server = config, client = other }
      client:write("left unsent")
      if goes == "free" then
        client:free()
        server:free()
        assert.has_error(function() server:read() end)
      end
    end
    meet() -- signatures that were verified are remembered from here on
    local before = used()
    meet "free"
    meet()
    assert.same(before, used())
  end)

  describe("with openssl's programs", function()
    local helper = require "spec.helper"
    local leash = require "spec.support.leash"
    local tcp = units.tcp
    local files

    setup(function()
      files = helper.make_dir()
      for name, text in pairs { root = root.pem, tide = tide.pem .. tide.key, device = device.pem .. device.key } do
        helper.write_file(files .. "/" .. name, text)
      end
    end)
    teardown(function() helper.remove_dir(files) end)

    -- Moves bytes until done() or the stream is over; the socket has 10 seconds for each answer.
    local function move(stream, socket, done)
      for _ = 1, 100 do
        local bytes = stream:send()
        if #bytes > 0 then assert(socket:send(bytes)) end
        if done() then return end
        local got = assert(socket:receive(10000), "nothing came")
        if got == "" then return stream:end_of_input() end
        local at = 1
        while at <= #got do at = at + stream:receive(got, at) end
      end
      error "it does not get there"
    end

    local function is_open(stream)
      return function() return stream:state() ~= "handshake" end
    end

    local function reads(stream, socket, wanted)
      local got = ""
      move(stream, socket, function()
        got = got .. stream:read()
        return #got >= #wanted
      end)
      assert.equal(wanted, got)
    end

    -- `prints`: what the client is waited for to say, before it is ended.
    local function meet_client(options, more, check, prints)
      local listener, port = tcp.listen()
      local log = files .. "/client.log"
      local process = leash.start(("sh -c %s"):format(helper.quote(("(echo tide; sleep 5) | openssl s_client -quiet "
        .. "-connect 127.0.0.1:%d -CAfile %s/root -verify_return_error -servername tide.example %s"):format(
        port, files, options))), log)
      local socket = assert(listener:accept(10000))
      local server = assert(side(server_config(more), true, { "http/1.1" }):stream())
      move(server, socket, is_open(server))
      check(server, socket)
      server:close()
      socket:send(server:send())
      if prints then
        leash.wait_until(function() return (helper.read_file(log) or ""):find(prints, 1, true) end)
      end
      socket:close()
      leash.stop(process)
    end

    it("serves its client, which verifies us", function()
      meet_client("-alpn http/1.1", nil, function(server, socket)
        assert.same({ "open" }, { server:state() })
        assert.equal("http/1.1", (server:info()))
        reads(server, socket, "tide\n")
        server:write("and ebb\n")
      end, "and ebb")
    end)

    it("knows its client by a certificate", function()
      meet_client(("-cert %s/device"):format(files), { client_certificate = "require", client_ca = root.pem },
        function(server, socket)
          assert.same({ "open" }, { server:state() })
          assert.equal(device.der, server:peer_certificate())
          reads(server, socket, "tide\n")
        end)
    end)

    it("asks its client for another key share, whatever certificates there are", function()
      meet_client("-groups P-521:P-256", { certs = { { cert = rsa.pem, key = rsa.key } } }, function(server, socket)
        assert.same({ "open" }, { server:state() })
        reads(server, socket, "tide\n")
      end)
    end)

    it("does not negotiate again", function()
      local listener, port = tcp.listen()
      local log = files .. "/again.log"
      local process = leash.start(("sh -c %s"):format(helper.quote(("(sleep 0.2; echo R; sleep 5) | openssl s_client "
        .. "-tls1_2 -legacy_renegotiation -connect 127.0.0.1:%d -CAfile %s/root"):format(port, files))), log)
      local socket = assert(listener:accept(10000))
      local server = assert(side(server_config(), true):stream())
      move(server, socket, is_open(server))
      assert.same({ "open" }, { server:state() })
      move(server, socket, function() return server:state() ~= "open" end)
      assert.equal("", server:read())
      leash.wait_until(function()
        return (helper.read_file(log) or ""):find("no renegotiation", 1, true)
      end)
      leash.stop(process)
    end)

    it("refuses what it offers that is too old, or without fresh keys", function()
      for offer, wanted in pairs { ["-tls1_1 -cipher ALL:@SECLEVEL=0"] = 70, ["-tls1_2 -cipher AES128-GCM-SHA256"] = 40,
        ["-tls1_2 -cipher ECDHE-ECDSA-AES128-SHA256"] = 40 } do
        meet_client(offer, nil, function(server)
          local state, message, _, alert = server:state()
          assert.same({ "failed", wanted }, { state, alert })
          assert.is_nil(message:find("nternal", 1, true))
        end)
      end
    end)

    it("asks its server, by every suite", function()
      for suite, name in pairs { ["ECDHE-ECDSA-AES128-GCM-SHA256"] = "TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256",
        ["ECDHE-ECDSA-AES256-GCM-SHA384"] = "TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384",
        ["ECDHE-ECDSA-CHACHA20-POLY1305"] = "TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256" } do
        local port = 20000 + math.random(20000)
        local log = ("%s/server-%s.log"):format(files, suite)
        local process = leash.start(("openssl s_server -accept 127.0.0.1:%d -cert %s/tide -rev -no_tls1_3 -cipher %s")
          :format(port, files, suite), log)
        local socket
        leash.wait_until(function()
          socket = tcp.connect(port)
          return socket
        end)
        local client = assert(side(client_config(), false):stream("tide.example"))
        move(client, socket, is_open(client))
        assert.same({ "open" }, { client:state() })
        assert.equal(name, (select(3, client:info())))
        client:write("ebb\n")
        reads(client, socket, "bbe\n")
        leash.stop(process)
      end
    end)
  end)
end)
