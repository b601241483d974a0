--- OCSP responses through whole connections: what `ocsp_file` shows, `ocsp` and `ocsp_required` ask for.
local core = require "neap.core"
local fixtures = require "tls.fixtures"
local helper = require "helper"
local neap = require "neap"
local sim = require "neap.sim"
local web = require "support.web"

local SCRIPT = [[
set -e
cd %s
printf '%%s\t350101000000Z\t%%s\t%%s\tunknown\t/CN=p256\n' V '' $(openssl x509 -in p256.pem -noout -serial | cut -d= -f2) >index
openssl ocsp -issuer ca.pem -cert p256.pem -no_nonce -reqout request >/dev/null 2>&1
openssl ocsp -index index -CA ca.pem -rsigner ca.pem -rkey ca.key -reqin request -respout p256.der -ndays 7 >/dev/null 2>&1
]]

describe("an OCSP response", function()
  local dir
  local certificates = fixtures.certificates()

  setup(function()
    dir = helper.make_dir()
    for _, name in ipairs { "ca", "p256", "other" } do
      helper.write_file(dir .. "/" .. name .. ".pem", certificates[name][1])
      helper.write_file(dir .. "/" .. name .. ".key", certificates[name][2])
    end
    local output, status = helper.run("( " .. SCRIPT:format(helper.quote(dir)) .. " )")
    assert.equal(0, status, output)
  end)

  teardown(function() helper.remove_dir(dir) end)

  local function connect(server_options, client_options)
    local lab = sim.new { seed = 1 }
    local options = { cert = dir .. "/p256.pem", key = dir .. "/p256.key", wall_clock = fixtures.now }
    for name, value in pairs(server_options) do options[name] = value end
    local server = lab:server(options)
    options = { ca = dir .. "/ca.pem", wall_clock = fixtures.now, name = "example.test", server = server }
    for name, value in pairs(client_options) do options[name] = value end
    local client = lab:client(options)
    local conn = client.conn
    lab:run(function() return conn:is_confirmed() or conn:is_closed() or conn:is_draining() end, 30)
    local is_confirmed, err = conn:is_confirmed(), conn:error()
    lab:close()
    return is_confirmed, err
  end

  it("is shown by a server that has its file, and taken by a client that requires it", function()
    assert.is_true((connect({ ocsp_file = dir .. "/p256.der" }, { ocsp_required = true })))
    assert.is_true((connect({ ocsp_file = dir .. "/p256.der" }, { ocsp = true })))
    assert.is_true((connect({ ocsp_file = dir .. "/p256.der" }, {})))
    assert.is_true((connect({}, { ocsp = true })))
  end)

  it("is missed by a client that requires it", function()
    local is_confirmed, err = connect({}, { ocsp_required = true })
    assert.is_false(is_confirmed)
    assert.equal(0x100 + 113, err.code)
    assert.matches("shows no OCSP response", err.reason)
  end)

  it("belongs to the certificate beside it, of several too", function()
    local several = {
      certs = { { cert = dir .. "/other.pem", key = dir .. "/other.key" },
        { cert = dir .. "/p256.pem", key = dir .. "/p256.key", ocsp_file = dir .. "/p256.der" } },
    }
    assert(core.config(several))
    several.certs[1].ocsp_file = dir .. "/p256.der"
    local config, message, code = core.config(several)
    assert.same({ nil, "certificate" }, { config, code })
    assert.matches("p256.der: .*none for this certificate", message)
  end)

  it("is shown with what the function `certificate` gave, and has to be for that", function()
    -- The reason of a client's end, or nil, with this file, and what the server's log says.
    local function visit(ocsp_file)
      local reason
      return web.logged(function()
        web.run(function()
          local listener = assert(neap.quic.listen { host = "127.0.0.1", port = 0, alpn = "x", certificate_ttl = 0,
            wall_clock = fixtures.now, certificate = function()
              return { cert = dir .. "/p256.pem", key = dir .. "/p256.key", ocsp_file = ocsp_file }
            end })
          local connection, message = neap.quic.connect("127.0.0.1:" .. listener.port, { alpn = "x", timeout = 10,
            server_name = "example.test", ca = dir .. "/ca.pem", wall_clock = fixtures.now, ocsp_required = true,
            resumption = false })
          if connection then connection:close() end
          listener:close()
          reason = message
        end)
      end), reason
    end

    assert.matches("shows no OCSP response", select(2, visit(nil)))
    assert.is_nil(select(2, visit(dir .. "/p256.der")))
    for file, text in pairs { [dir .. "/none.der"] = "none.der: No such file",
      [dir .. "/p256.pem"] = "the OCSP response is none for this certificate" } do
      local log, reason = visit(file)
      assert.matches("shows no OCSP response", reason)
      assert.matches(text, log, 1, true)
    end
    local log, reason = visit(5)
    assert.matches("internal_error", reason)
    assert.matches("'ocsp_file' must be a path", log, 1, true)
  end)

  it("is asked for anew when it is over, with the certificate that the function `certificate` gave", function()
    local x509 = neap.x509
    local ca, ca_key = x509.authority { subject = "root" }
    local key = x509.key()
    local cert = assert(x509.issue { key = key, subject = "p256", names = { "example.test" }, uses = { "server" },
      ca_cert = ca, ca_key = ca_key })
    local own = helper.make_dir()
    finally(function() helper.remove_dir(own) end)
    for name, text in pairs { ["ca.pem"] = ca, ["ca.key"] = ca_key, ["p256.pem"] = cert, ["p256.key"] = key } do
      helper.write_file(own .. "/" .. name, text)
    end
    local function respond()
      local output, status = helper.run("( " .. SCRIPT:format(helper.quote(own)) .. " )")
      assert.equal(0, status, output)
    end
    respond()
    local asked = 0
    finally(function() neap.set_clock() end)
    web.run(function()
      local listener = assert(neap.quic.listen { host = "127.0.0.1", port = 0, alpn = "x", certificate_ttl = 30 * 86400,
        certificate = function()
          asked = asked + 1
          return { cert = cert, key = key, ocsp_file = own .. "/p256.der" }
        end })
      local function visit()
        local conn, message = neap.quic.connect("127.0.0.1:" .. listener.port, { ca = ca, server_name = "example.test",
          alpn = "x", ocsp_required = true, resumption = false })
        if conn then conn:close() end
        return message
      end
      assert.is_nil(visit())
      neap.set_clock(os.time() + 6 * 86400)
      assert.is_nil(visit())
      assert.equal(1, asked)
      neap.set_clock(os.time() + 8 * 86400)
      assert.matches("shows no OCSP response", visit()) -- the file is that of before
      assert.equal(2, asked)
      listener:close()
    end)
  end)

  it("is a file that can be read", function()
    local both = { cert = dir .. "/p256.pem", key = dir .. "/p256.key" }
    both.ocsp_file = dir .. "/none.der"
    assert.equal("system", (select(3, core.config(both))))
    both.ocsp_file = dir .. "/p256.pem"
    assert.equal("certificate", (select(3, core.config(both))))
    both.ocsp_file = 1.5
    assert.equal("system", (select(3, core.config(both))))
    both.ocsp_file = {}
    assert.error_matches(function() core.config(both) end, "'ocsp_file' must be a path")
  end)
end)
