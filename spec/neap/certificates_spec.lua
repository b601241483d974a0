-- Certificates of servers while they serve: several, read again, and given by a function.
local authority = require "spec.crypto.authority"
local neap = require "neap"
local program = require "support.program"
local web = require "support.web"

local helper = web.helper

describe("a server's certificates", function()
  local ca, roots
  local c = {}

  local function issue(name, san, spec)
    spec = spec or {}
    spec.name, spec.issuer = name, "root"
    spec.extensions = authority.SERVER:gsub("subjectAltName=[^\n]*", "subjectAltName=" .. san)
    c[name] = ca:issue(spec)
  end

  setup(function()
    ca = authority.new()
    roots = ca:issue({ name = "root", extensions = authority.CA }).pem
    issue("first", "DNS:first.example,IP:127.0.0.1")
    issue("second", "DNS:second.example,IP:127.0.0.1")
    issue("wild", "DNS:*.wild.example")
    issue("exact", "DNS:a.wild.example")
    issue("rsa", "DNS:a.wild.example", { key = "rsa2048" })
    issue("address", "IP:127.0.0.1")
    issue("old", "IP:127.0.0.1", { days = -1 })
  end)
  teardown(function() ca:remove() end)
  after_each(program.end_all)

  local function pair_of(name) return { cert = c[name].pem, key = c[name].key } end

  --- Runs fn(port, server) beside a server with these options, which says what it is told.
  local function serve(options, fn)
    web.run(function()
      local all = { host = "127.0.0.1", port = 0, alpn = "x" }
      for name, value in pairs(options) do all[name] = value end
      local listener = assert(neap.quic.listen(all))
      listener:on_connection(function(connection)
        for stream in connection:streams() do
          neap.go(function() stream:write(stream:read("*a"), { fin = true }) end)
        end
      end)
      local ok, err = xpcall(fn, debug.traceback, listener.port, listener)
      listener:close()
      if not ok then error(err, 0) end
    end)
  end

  local count = 0
  --- Whether a client that asks for `name` is content; a new config each time, so that nothing is resumed.
  local function connect(port, name, options)
    count = count + 1
    local all = { alpn = "x", ca = roots, server_name = name, timeout = 10, max_idle_timeout = 30 + count / 1000 }
    for option, value in pairs(options or {}) do all[option] = value end
    local connection, message = neap.quic.connect("127.0.0.1:" .. port, all)
    if not connection then return nil, message end
    return connection
  end

  local function says(connection, text)
    local stream = assert(connection:open_stream())
    assert(stream:write(text, { fin = true }))
    return stream:read("*a")
  end

  local function is_content(port, name, options)
    local connection, message = connect(port, name, options)
    if connection then connection:close() end
    return connection ~= nil, message
  end

  it("are chosen by name, exact before wildcard, wherever they stand among many", function()
    local certs = {}
    for _, name in ipairs { "first", "wild", "exact", "second" } do certs[#certs + 1] = pair_of(name) end
    for _ = 1, 30 do certs[#certs + 1] = pair_of("first") end
    serve({ certs = certs }, function(port)
      for _, name in ipairs { "first.example", "second.example", "b.wild.example", "a.wild.example",
        "SECOND.example" } do
        assert.is_true(is_content(port, name), name)
      end
      local ok, message = is_content(port, "a.b.wild.example")
      assert.is_false(ok)
      assert.matches("for first.example, 127.0.0.1, not for a.b.wild.example", message, 1, true)
    end)
  end)

  it("are chosen by the address where no name is asked for", function()
    serve({ certs = { pair_of "wild", pair_of "address" } }, function(port)
      assert.is_true(is_content(port, "127.0.0.1"))
    end)
  end)

  it("of several kinds for one name: ECDSA before RSA", function()
    serve({ certs = { pair_of "rsa", pair_of "exact" } }, function(port)
      local seen
      local connection = assert(connect(port, "a.wild.example", { verify_server = function(der)
        seen = der
        return true
      end }))
      connection:close()
      assert.equal(c.exact.der, seen)
    end)
  end)

  it("that clients refuse are in the log, by which alert and why, a line a second of each", function()
    local log = web.logged(function()
      web.with_app(function() end, function(_, url)
        for _ = 1, 2 do
          local client = neap.client { ca = roots, timeout = 10 }
          assert.is_nil((client:get(url .. "/")))
          client:close()
          neap.sleep(0.05)
        end
      end, pair_of "old")
    end)
    assert.matches("^%S+ warn 127%.0%.0%.1:%d+ refused our certificate: certificate_expired %(45%): the certificate"
      .. " has expired: [^\n]*$", log)
    log = web.logged(function()
      serve(pair_of "first", function(port)
        assert.is_false(is_content(port, "first.example", { ca = c.wild.pem }))
        assert.is_false(is_content(port, "first.example", { verify_server = function() return nil, "not mine" end }))
        assert.is_false(is_content(port, "first.example", { alpn = "other" }))
        neap.sleep(0.05)
      end)
    end)
    local lines = {}
    for line in log:gmatch("[^\n]+") do lines[#lines + 1] = line:match("^%S+ warn (.*)$") end
    assert.equal(4, #lines, log)
    assert.matches("^127%.0%.0%.1:%d+ refused our certificate: unknown_ca %(48%): ", lines[1])
    -- Why a function refused is in the log of its own side alone, which here is the same.
    assert.matches("^handshake with 127%.0%.0%.1:%d+: not mine$", lines[2])
    assert.matches("^127%.0%.0%.1:%d+ refused our certificate: access_denied %(49%)$", lines[3])
    assert.matches("^handshake with 127%.0%.0%.1:%d+ refused: no_application_protocol", lines[4])
  end)

  describe("that are read again", function()
    local dir

    local function place(name)
      helper.write_file(dir .. "/cert.pem", c[name].pem)
      helper.write_file(dir .. "/key.pem", c[name].key)
    end

    before_each(function()
      dir = helper.make_dir()
      place("first")
    end)
    after_each(function() helper.remove_dir(dir) end)

    it("are those of handshakes from now on, and connections go on", function()
      serve({ cert = dir .. "/cert.pem", key = dir .. "/key.pem" }, function(port, listener)
        local before = assert(connect(port, "first.example"))
        place("second")
        assert.is_false(is_content(port, "second.example"))
        assert.is_true(listener:reload_certs())
        assert.is_true(is_content(port, "second.example"))
        assert.is_false(is_content(port, "first.example"))
        assert.equal("still here", says(before, "still here"))
        before:close()
      end)
    end)

    it("leave the old ones where they cannot be used, and say which file it was", function()
      serve({ cert = dir .. "/cert.pem", key = dir .. "/key.pem", client_certificate = "request",
        client_ca = roots, crl = { ca:crl { issuer = "root" } } }, function(port, listener)
          helper.write_file(dir .. "/cert.pem", "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n")
          local ok, message, code = listener:reload_certs()
          assert.same({ nil, "certificate" }, { ok, code })
          assert.matches("cert.pem: a certificate of the chain cannot be", message)
          helper.write_file(dir .. "/cert.pem", c.second.pem) -- the key is the first's still
          ok, message = listener:reload_certs()
          assert.is_nil(ok)
          assert.matches("the private key does not fit the certificate", message)
          os.remove(dir .. "/key.pem")
          ok, message = listener:reload_certs()
          assert.is_nil(ok)
          assert.matches("key.pem: No such file", message)
          assert.is_true(is_content(port, "first.example"))
        end)
    end)

    it("end the sessions of the old certificate: the next handshake is a full one", function()
      serve({ cert = dir .. "/cert.pem", key = dir .. "/key.pem" }, function(port, listener)
        local options = { max_idle_timeout = 29 }
        local function is_resumed()
          local connection = assert(connect(port, "127.0.0.1", options))
          assert.equal("there", says(connection, "there")) -- behind the tickets
          local resumed = connection:is_resumed()
          connection:close()
          return resumed
        end
        assert.is_false(is_resumed())
        assert.is_true(is_resumed())
        assert.is_true(listener:reload_certs()) -- the same certificate again
        assert.is_true(is_resumed())
        place("second")
        assert.is_true(listener:reload_certs())
        assert.is_false(is_resumed())
        assert.is_true(is_resumed())
      end)
    end)

    it("leak nothing, however often", function()
      serve({ cert = dir .. "/cert.pem", key = dir .. "/key.pem", client_ca = roots,
        client_certificate = "request", crl = ca:crl { issuer = "root" } },
        function(_, listener)
          assert(listener:reload_certs())
          local used = listener._config:memory().used
          for _ = 1, 20 do assert(listener:reload_certs()) end
          assert.equal(used, listener._config:memory().used)
        end)
    end)

    it("on SIGHUP, also by neap serve", function()
      local server = program.start(("serve %s --listen 127.0.0.1:0 --cert %s --key %s </dev/null"):format(
        helper.quote(dir), helper.quote(dir .. "/cert.pem"), helper.quote(dir .. "/key.pem")))
      local function get(name)
        local message
        web.run(function() message = select(2, is_content(server.port, name)) end)
        return message
      end
      -- The protocol is another, which is said behind the certificate alone.
      local function shows(name) return not tostring(get(name)):find("for another name", 1, true) end
      assert.is_true(shows("first.example"))
      place("second")
      os.execute("kill -HUP " .. server.pid)
      program.wait_until(function() return server:output():find("certificates were read again", 1, true) end)
      os.remove(dir .. "/key.pem")
      os.execute("kill -HUP " .. server.pid)
      program.wait_until(function() return server:output():find("the certificates of before stay: ", 1, true) end)
      assert.equal(0, server:stop())
    end)
  end)

  describe("from a function", function()
    it("are those for a name, may be waited for, and are asked for once as long as certificate_ttl says", function()
      local asked = {}
      local function certificate(name)
        asked[#asked + 1] = name or "none"
        neap.sleep(0.01)
        if name == "second.example" then return pair_of "second" end
        if name == "never.example" then return nil, "there is none for it" end
      end
      local given = pair_of "first"
      given.certificate = certificate
      serve(given, function(port, listener)
        for _ = 1, 3 do assert.is_true(is_content(port, "second.example")) end
        assert.same({ "second.example" }, asked)
        assert.is_true(is_content(port, "first.example")) -- it gave none: one of the server's
        assert.same({ "second.example", "first.example" }, asked)
        local lines = web.logged(function()
          local ok, message = is_content(port, "never.example")
          assert.is_false(ok)
          assert.matches("unrecognized_name", message)
        end)
        assert.matches("there is none for it", lines)
        assert.is_true(listener:reload_certs()) -- and what was kept is asked for again
        assert.is_true(is_content(port, "second.example"))
        assert.equal("second.example", asked[#asked])
        assert.equal(4, #asked)
      end)
    end)

    it("are asked for anew when they are over, however long certificate_ttl is", function()
      local x509 = neap.x509
      local root, root_key = x509.authority { subject = "root" }
      local asked = 0
      finally(function() neap.set_clock() end)
      web.run(function()
        local listener = assert(neap.quic.listen { host = "127.0.0.1", port = 0, alpn = "x",
          certificate_ttl = 30 * 86400, certificate = function()
            asked = asked + 1
            local key = x509.key()
            return { key = key, cert = assert(x509.issue { key = key, subject = "s", names = { "s.example" },
              uses = { "server" }, days = 2, ca_cert = root, ca_key = root_key }) }
          end })
        for i, day in ipairs { 0, 1, 3, 4 } do
          neap.set_clock(os.time() + day * 86400)
          local conn = assert(neap.quic.connect("127.0.0.1:" .. listener.port, { ca = root, server_name = "s.example",
            alpn = "x", resumption = false }))
          conn:close()
          assert.equal(i <= 2 and 1 or 2, asked)
        end
        listener:close()
      end)
    end)

    it("may be paths, and alone: then a name without one is refused", function()
      local dir = helper.make_dir()
      finally(function() helper.remove_dir(dir) end)
      helper.write_file(dir .. "/c.pem", c.second.pem)
      helper.write_file(dir .. "/k.pem", c.second.key)
      serve({ certificate_ttl = 0, certificate = function(name)
        return name == "second.example" and { cert = dir .. "/c.pem", key = dir .. "/k.pem" } or nil
      end }, function(port)
        for _ = 1, 2 do assert.is_true(is_content(port, "second.example")) end
        local ok, message = is_content(port, "first.example")
        assert.is_false(ok)
        assert.matches("there is no certificate for this name", message)
      end)
    end)

    it("that fail, or give something else, refuse one handshake and are logged", function()
      for text, fn in pairs { ["'certificate' gave no"] = function() return 5 end,
        ["No such file"] = function() return { cert = "/nowhere/c.pem", key = "/nowhere/k.pem" } end,
        ["does not fit"] = function() return { cert = c.first.pem, key = c.second.key } end,
        ["an unknown field 'ocsp'"] = function() return { cert = c.first.pem, key = c.first.key, ocsp = "x" } end,
        ["an error of its own"] = function() error("an error of its own") end } do
        local has_failed = false
        serve({ certificate = function()
          if has_failed then return pair_of "first" end
          has_failed = true
          return fn()
        end }, function(port)
          local lines = web.logged(function() assert.is_false(is_content(port, "first.example")) end)
          assert.matches(text, lines, 1, true)
          assert.is_true(is_content(port, "first.example"))
        end)
      end
    end)
  end)
end)
