-- Mutual TLS as handlers and clients see it.
local neap = require "neap"
local core = require "neap.core"
local helper = require "spec.helper"
local program = require "support.program"
local web = require "support.web"
local Authority = require "crypto.authority"

local CLIENT = "basicConstraints=CA:FALSE\nkeyUsage=digitalSignature\nextendedKeyUsage=clientAuth\n"

describe("a server that asks for certificates", function()
  local authority, root, device, stranger

  setup(function()
    authority = Authority.new()
    root = authority:issue { name = "works", extensions = Authority.CA }
    authority:issue { name = "line", issuer = "works", extensions = Authority.CA }
    device = authority:issue { name = "pump", issuer = "line", subject = "/O=Works/CN=pump 7",
      extensions = CLIENT .. "subjectAltName=URI:urn:dev:7,DNS:pump.test" }
    device.pem = device.pem .. authority.made.line.pem
    -- Of the same name as the root, so that its certificate is shown.
    stranger = authority:issue { name = "stranger", extensions = Authority.CA, subject = "/CN=works" }
    stranger = authority:issue { name = "intruder", issuer = "stranger", extensions = CLIENT }
  end)
  teardown(function() authority:remove() end)

  local function build(app)
    app:get("/", function(req)
      local c = req.client_cert
      if not c then return "nobody" end
      assert(c == req.client_cert)
      return { subject = c.subject, cn = c.common_name, uri = c.names.uri, issuer = c.issuer,
        serial = c.serial, sha256 = c.sha256, chain = #c.chain, is_resumed = req.is_resumed,
        missing = c.no_such_field == nil }
    end)
  end

  local function with(ask, fn)
    return web.with_app(build, fn, { client_certificate = ask, client_ca = ask ~= "none" and root.pem or nil })
  end

  local function client(who, more)
    local options = { ca = web.identity().cert, timeout = 10, cert = who and who.pem or nil,
      key = who and who.key or nil }
    for name, value in pairs(more or {}) do options[name] = value end
    return neap.client(options)
  end

  it("knows who a request is from, in a resumed session too", function()
    with("require", function(_, url)
      local c = client(device)
      for i = 1, 3 do
        local r = assert(c:get(url .. "/"))
        local said = assert(r:json())
        assert.equal("CN=pump 7,O=Works", said.subject)
        assert.equal("pump 7", said.cn)
        assert.same({ "urn:dev:7" }, said.uri)
        assert.equal("CN=line", said.issuer)
        assert.equal(core.certificate(device.der).sha256, said.sha256)
        assert.is_true(said.missing)
        assert.equal(i > 1, said.is_resumed)
        assert.equal(i > 1 and 0 or 1, said.chain)
        r.conn:close()
        neap.sleep(0.05)
      end
      c:close()
    end)
  end)

  it("refuses who has none, and who is of others, and handles nothing of theirs", function()
    with("require", function(_, url, server)
      for _, who in ipairs { false, stranger } do
        local c = client(who)
        local begun = server:stats().accepted
        local r, message, code, number = c:get(url .. "/")
        assert.is_nil(r)
        assert.same({ "tls", 0x100 + (who and 48 or 116) }, { code, number })
        assert.matches("^127%.0%.0%.1: closed by the server: "
          .. (who and "unknown_ca: " or "certificate_required: client sent no certificate"), message)
        assert.equal(begun + 1, server:stats().accepted) -- another try would end alike
        c:close()
      end
    end)
  end)

  it("says in its log whom it refused, and by which rule, a line a second of each kind", function()
    local function refuses(listen, who, text, more)
      local log = web.logged(function()
        web.with_app(build, function(_, url)
          for _ = 1, 2 do
            local c = client(who, more)
            assert.is_nil((c:get(url .. "/")))
            c:close()
          end
        end, listen)
      end)
      assert.matches("^%S+ warn handshake with 127%.0%.0%.1:%d+ refused: " .. text .. "$", log)
    end
    local require_all = { client_certificate = "require", client_ca = root.pem }
    refuses(require_all, nil, "certificate_required %(116%): client sent no certificate")
    refuses(require_all, stranger, "unknown_ca %(48%): [^\n]*\"works\" that is known")
    refuses(nil, nil, "no_application_protocol %(120%): no application protocol in common", { alpn = "other" })
    -- Here the function's words are in the log, once.
    local log = web.logged(function()
      web.with_app(build, function(_, url)
        local c = client(device)
        assert.is_nil((c:get(url .. "/")))
        c:close()
      end, { client_certificate = "require", verify_client = function() return nil, "locked out" end })
    end)
    assert.matches("^%S+ warn handshake with 127%.0%.0%.1:%d+: locked out$", log)
  end)

  it("takes who has none where it only requests one", function()
    with("request", function(_, url)
      local c = client()
      assert.equal("nobody", assert(c:get(url .. "/")):body())
      c:close()
    end)
    with("none", function(_, url)
      local c = client(device)
      assert.equal("nobody", assert(c:get(url .. "/")):body())
      c:close()
    end)
  end)

  it("may have a function decide, behind the roots and in resumed sessions too, which may wait", function()
    local asked, is_locked = {}, false
    local log = web.logged(function()
      web.with_app(build, function(_, url)
        local c = client(device)
        for _ = 1, 2 do
          local r = assert(c:get(url .. "/"))
          assert.equal("CN=pump 7,O=Works", assert(r:json()).subject)
          r.conn:close()
          neap.sleep(0.05)
        end
        assert.same({ { "pump 7", true, false, 1, true }, { "pump 7", true, true, 0, true } }, asked)
        is_locked = true
        local r, message = c:get(url .. "/")
        assert.is_nil(r)
        assert.matches("access_denied", message)
        c:close()
      end, { client_certificate = "require", client_ca = root.pem, verify_client = function(cert, question, conn)
        neap.sleep(0.01)
        if is_locked then return nil, "locked out" end
        asked[#asked + 1] = { cert.common_name, question.is_verified, question.is_resumed, #cert.chain,
          conn:peer():find("127.0.0.1", 1, true) == 1 }
        return true
      end })
    end)
    assert.matches("locked out", log)
  end)

  it("may have a function decide without roots: nobody has verified the chain then", function()
    local seen
    web.with_app(build, function(_, url)
      local c = client(stranger)
      assert.equal("CN=intruder", assert(assert(c:get(url .. "/")):json()).subject)
      assert.same({ false, "CN=works", 0 }, seen)
      c:close()
    end, { client_certificate = "require", verify_client = function(cert, question)
      seen = { question.is_verified, cert.issuer, #cert.chain }
      return true
    end })
  end)

  it("refuses everybody with a certificate whose function dies, and says why in the log", function()
    local log = web.logged(function()
      web.with_app(build, function(_, url)
        local c = client(device)
        assert.is_nil((c:get(url .. "/")))
        c:close()
      end, { client_certificate = "require", client_ca = root.pem,
        verify_client = function() error("no database") end })
    end)
    assert.matches("no database", log)
  end)

  it("is not made without roots, nor with roots that nobody asks for", function()
    web.run(function()
      local id = web.identity()
      local options = { host = "127.0.0.1", port = 0, cert = id.cert, key = id.key, client_certificate = "require" }
      local server, message = neap.app():listen(options)
      assert.is_nil(server)
      assert.matches("client_certificate", message)
      options.client_certificate, options.client_ca = nil, root.pem
      assert.error_matches(function() neap.app():listen(options) end, "'client_ca' needs 'client_certificate'")
      options.client_ca, options.verify_client = nil, function() return true end
      assert.error_matches(function() neap.app():listen(options) end, "'verify_client' needs 'client_certificate'")
    end)
  end)

  it("refuses clients that a revocation list names", function()
    local lists = { authority:crl { issuer = "works" }, authority:crl { issuer = "line", revoked = { "pump" } } }
    web.with_app(build, function(_, url)
      local c = client(device)
      local r, message = c:get(url .. "/")
      assert.is_nil(r)
      assert.matches("certificate_revoked", message)
      c:close()
    end, { client_certificate = "require", client_ca = root.pem, crl = lists })
    web.with_app(build, function(_, url)
      local c = client(device)
      assert.equal("pump 7", assert(assert(c:get(url .. "/")):json()).cn)
      c:close()
    end, { client_certificate = "require", client_ca = root.pem, crl = lists[1] })
  end)

  it("reads roots and revocation lists again, and then takes no session of before", function()
    local dir = helper.make_dir()
    finally(function() helper.remove_dir(dir) end)
    local ca, crl = dir .. "/ca.pem", dir .. "/list.crl"
    helper.write_file(ca, root.pem)
    helper.write_file(crl, authority:crl { issuer = "line" })
    web.with_app(build, function(_, url, listener)
      local function visit()
        local c = client(device, { session_file = dir .. "/sessions" })
        local r, message = c:get(url .. "/")
        local said = r and r:json().is_resumed
        c:close()
        if r then return said end
        return message
      end
      assert.is_false(visit())
      assert.is_true(visit())
      assert.is_true(listener:reload_certs()) -- all is as it was
      assert.is_true(visit())
      helper.write_file(crl, authority:crl { issuer = "line", revoked = { "pump" } })
      assert.is_true(visit())
      assert.is_true(listener:reload_certs())
      assert.matches("certificate_revoked", visit())
      helper.write_file(crl, authority:crl { issuer = "line" })
      helper.write_file(ca, authority.made.stranger.pem)
      assert.is_true(listener:reload_certs())
      assert.matches("unknown_ca", visit())
      helper.write_file(ca, "no certificate")
      local ok, message = listener:reload_certs()
      assert.is_nil(ok)
      assert.matches("ca.pem", message, 1, true)
      assert.matches("unknown_ca", visit())
      helper.write_file(ca, root.pem)
      assert.is_true(listener:reload_certs())
      assert.is_false(visit())
    end, { client_certificate = "require", client_ca = ca, crl = crl })
  end)

  it("is nobody's who goes on from another's session: a client's sessions are those of its certificates", function()
    local dir = helper.make_dir()
    finally(function() helper.remove_dir(dir) end)
    with("request", function(_, url)
      local function visit(who)
        local c = client(who, { session_file = dir .. "/sessions" })
        local said = assert(assert(c:get(url .. "/")):body())
        c:close()
        return said:match('"cn":"([^"]*)"') or said, said:find('"is_resumed":true', 1, true) ~= nil
      end
      assert.same({ "pump 7", false }, { visit(device) })
      assert.same({ "pump 7", true }, { visit(device) })
      assert.same({ "nobody", false }, { visit(nil) })
      assert.same({ "pump 7", true }, { visit(device) })
    end)
  end)

  it("is shown one by `neap get`, which says what the server shows", function()
    local dir = helper.make_dir()
    helper.write_file(dir .. "/ca.pem", root.pem)
    helper.write_file(dir .. "/pump.pem", device.pem)
    helper.write_file(dir .. "/pump.key", device.key)
    helper.write_file(dir .. "/app.lua", ([[
      local app = require("neap").app()
      app:get("/", function(req) return req.client_cert.subject end)
      assert(app:listen { host = "127.0.0.1", port = 0, client_certificate = "require", client_ca = "%s/ca.pem" })
    ]]):format(dir))
    local server = program.start(("run %s/app.lua"):format(dir))
    finally(function()
      server:stop()
      helper.remove_dir(dir)
    end)
    local function get(words)
      return helper.run(("%s get -s -k %s %s"):format(program.neap, words:gsub("DIR", dir), server.url))
    end
    assert.same({ "CN=pump 7,O=Works", 0 }, { get("--cert DIR/pump.pem --key DIR/pump.key") })
    local told = get("-v --cert DIR/pump.pem --key DIR/pump.key")
    local pin = told:match("\n%* certificate of CN=[^\n]+, until %d%d%d%d%-%d%d%-%d%d, pin (sha256//[%w+/]+=)\n")
    assert.is_string(pin, told)
    assert.same({ "CN=pump 7,O=Works", 0 }, { get("--pin " .. pin .. " --cert DIR/pump.pem --key DIR/pump.key") })
    for words, what in pairs { [""] = "certificate_required", ["--cert DIR/pump.pem"] = "go together",
      ["--cert DIR/ca.pem --key DIR/pump.key"] = "does not fit", ["--cert DIR/none --key DIR/pump.key"] = "none" } do
      local output, status = get(words)
      assert.is_true(status > 0, output)
      assert.matches(what, output, 1, true)
    end
  end)

  it("speaks raw QUIC as well, where a client may keep what the server showed", function()
    web.run(function()
      local id = web.identity()
      local listener = assert(neap.quic.listen { host = "127.0.0.1", port = 0, alpn = "x", cert = id.cert, key = id.key,
        client_certificate = "require", client_ca = root.pem })
      local seen
      listener:on_connection(function(connection)
        seen = connection:peer_certificate().subject
        local stream = connection:accept_stream()
        stream:write(seen)
        stream:finish()
      end)
      local connection = assert(neap.quic.connect("127.0.0.1:" .. listener.port, { alpn = "x", ca = id.cert,
        cert = device.pem, key = device.key, keep_certificates = true }))
      local stream = assert(connection:open_stream())
      stream:write("who")
      assert.equal("CN=pump 7,O=Works", stream:read("*a"))
      assert.matches("CN=neap development certificate", connection:peer_certificate().subject)
      connection:close()
      local log = web.logged(function()
        connection = neap.quic.connect("127.0.0.1:" .. listener.port, { alpn = "x", ca = id.cert })
        if connection then connection:accept_stream() end -- it may hear of it behind its own handshake
      end)
      assert.matches("^%S+ warn handshake with 127%.0%.0%.1:%d+ refused: certificate_required", log)
      listener:close()
    end)
  end)
end)
