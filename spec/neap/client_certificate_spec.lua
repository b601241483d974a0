-- Mutual TLS as handlers and clients see it.
local neap = require "neap"
local core = require "neap.core"
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
    with("require", function(_, url)
      for _, who in ipairs { false, stranger } do
        local c = client(who)
        local r, message, code = c:get(url .. "/")
        assert.is_nil(r)
        assert.equal("closed", code)
        assert.matches(who and "unknown_ca" or "certificate_required", message)
        c:close()
      end
    end)
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
      listener:close()
    end)
  end)
end)
