-- Revocation lists as an application gives them, over loopback.
local authority = require "spec.crypto.authority"
local neap = require "neap"
local q = require "neap.lowlevel"
local web = require "support.web"

describe("the option crl", function()
  local ca, cert, other, list, empty

  setup(function()
    ca = authority.new()
    local root = ca:issue { name = "root", extensions = authority.CA }
    local names = authority.SERVER:gsub("DNS:tide.example", "IP:127.0.0.1")
    cert = ca:issue { name = "leaf", issuer = "root", extensions = names }
    other = root.pem
    list, empty = ca:crl { issuer = "root", revoked = { "leaf" } }, ca:crl { issuer = "root" }
  end)
  teardown(function() ca:remove() end)

  local function get(options)
    local response, message, code
    options.ca, options.timeout = other, 10
    web.run(function()
      local app = neap.app()
      app:get("/", function() return "fine" end)
      local server = assert(app:listen { host = "127.0.0.1", port = 0, cert = cert.pem, key = cert.key })
      local client = neap.client(options)
      response, message, code = client:get("https://127.0.0.1:" .. server.port .. "/")
      client:close()
      server:close()
    end)
    return response and response.status, message, code
  end

  it("refuses a server whose certificate a list names, and says who was revoked by whom", function()
    local status, message = get { crl = list }
    assert.is_nil(status)
    assert.matches('the certificate of "leaf" has been revoked by its issuer "root"', message, 1, true)
    assert.equal(200, (get { crl = empty }))
  end)

  it("takes files, text, and several of them", function()
    local path = ca.dir .. "/given.crl"
    web.helper.write_file(path, list)
    local _, message = get { crl = { empty, path } }
    assert.matches("revoked", message)
  end)

  it("with a file that is missing, or is no list, is an error that names it", function()
    local _, message = get { crl = ca.dir .. "/missing.crl" }
    assert.matches("missing.crl: No such file", message)
    _, message = get { crl = ca.dir .. "/root.pem" }
    assert.matches("root.pem: there is no revocation list in it", message, 1, true)
  end)

  it("that has ended refuses, unless crl_grace says otherwise", function()
    local old = ca:crl { issuer = "root", from = "20200101000000Z", to = os.date("!%Y%m%d%H%M%SZ", os.time() - 3600) }
    local _, message = get { crl = old }
    assert.matches('the revocation list of "root" is not current: it is for 2020-01-01 00:00 UTC to ', message, 1,
      true)
    assert.equal(200, (get { crl = old, crl_grace = 86400 }))
  end)

  it("is a warning of a server that listens or reads it again while it is not current, and names the file", function()
    local dir = web.helper.make_dir()
    finally(function() web.helper.remove_dir(dir) end)
    local path, good = dir .. "/clients.crl", dir .. "/good.crl"
    local function place(from, to) web.helper.write_file(path, ca:crl { issuer = "root", from = from, to = to }) end
    web.helper.write_file(good, empty)
    for _, listen in ipairs { function(given) return neap.app():listen(given) end, neap.quic.listen } do
      web.run(function()
        local server
        local given = { host = "127.0.0.1", port = 0, alpn = "h3", cert = cert.pem, key = cert.key,
          client_certificate = "request", client_ca = other, crl = { good, path }, crl_grace = 86400 }
        place("20200101000000Z", os.date("!%Y%m%d%H%M%SZ", os.time() - 3600))
        local says = "^%S+ warn " .. path:gsub("%p", "%%%0")
          .. ': the revocation list of "root" is not current: it is for 20%d%d%-[^\n]+$'
        assert.matches(says, web.logged(function() server = assert(listen(given)) end))
        assert.matches(says, web.logged(function() assert.same({ true }, { server:reload_certs() }) end))
        place()
        assert.equal("", web.logged(function() assert(server:reload_certs()) end))
        place("20900101000000Z", "20910101000000Z")
        assert.matches(says, web.logged(function() assert(server:reload_certs()) end))
        server:close()
        given.wall_clock, given.clock_floor = 5, 1700000000 -- nobody knows
        assert.equal("", web.logged(function() listen(given):close() end))
      end)
    end
  end)

  it("is an error where nobody is looked at by it, for want of roots", function()
    local function decide() return true end
    local server = { alpn = "h3", cert = cert.pem, key = cert.key, crl = empty }
    local function config(more)
      local given = {}
      for _, options in ipairs { server, more or {} } do
        for name, value in pairs(options) do given[name] = value end
      end
      return assert(q.config(given))
    end
    local NOBODY = "revocation lists %(crl%) check nobody without roots"
    local function refused(text, made, message)
      assert.is_nil(made)
      assert.matches(text, message)
    end
    local function serve(more) return q.endpoint(config(more), true) end
    refused(NOBODY, serve())
    assert(serve { client_certificate = "none", client_ca = other }) -- nobody is asked
    for _, ask in ipairs { "request", "require" } do
      refused(NOBODY, serve { client_certificate = ask })
      refused(NOBODY, serve { client_certificate = ask, verify_client = decide })
      refused("client_certificate needs roots for clients", -- as a client it has some
        serve { client_certificate = ask, verify_client = decide, ca = other })
      assert(serve { client_certificate = ask, verify_client = decide, client_ca = other })
    end
    assert(serve { ca = other })

    local function connect(more) return q.connect(config(more), "localhost", "127.0.0.1:4433") end
    refused(NOBODY, connect { verify_peer = false, ca = other })
    refused(NOBODY, connect { pins = ("0"):rep(64) })
    refused(NOBODY, connect { psk = { identity = "a", key = ("k"):rep(16) } })
    assert(connect { ca = other })
    assert(connect { ca = other, pins = ("0"):rep(64) })
    assert(connect { verify_peer = false, client_certificate = "request", client_ca = other })
  end)
end)
