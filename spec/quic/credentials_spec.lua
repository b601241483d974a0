--- Certificates, roots and responses of a config where memory ends: each allocation fails in turn, and nothing leaks or
--- is another than before.
local fixtures = require("tls.fixtures")
local helper = require("helper")
local net = require("support.quic_net")

local NO_MEMORY = -2

local SCRIPT = [[
set -e
cd %s
printf '%%s\t350101000000Z\t%%s\t%%s\tunknown\t/CN=p256\n' V '' $(openssl x509 -in p256.pem -noout -serial | cut -d= -f2) >index
openssl ocsp -issuer ca.pem -cert p256.pem -no_nonce -reqout request >/dev/null 2>&1
openssl ocsp -index index -CA ca.pem -rsigner ca.pem -rkey ca.key -reqin request -respout p256.der -ndays 7 >/dev/null 2>&1
]]

describe("where memory ends", function()
  local certificates = fixtures.certificates()
  local dir, response
  local configs

  setup(function()
    dir = helper.make_dir()
    for _, name in ipairs({ "ca", "p256" }) do
      helper.write_file(dir .. "/" .. name .. ".pem", certificates[name][1])
      helper.write_file(dir .. "/" .. name .. ".key", certificates[name][2])
    end
    local output, status = helper.run("( " .. SCRIPT:format(helper.quote(dir)) .. " )")
    assert.equal(0, status, output)
    response = helper.read_file(dir .. "/p256.der")
    -- Enough for a file that is indexed and not kept.
    helper.write_file(dir .. "/roots.pem", certificates.stranger[1]:rep(40) .. certificates.ca[1])
  end)

  teardown(function() helper.remove_dir(dir) end)

  before_each(function()
    configs = { client = net.config({ verify_peer = 1 }, 41), server = net.quic.config(42) }
    configs.server:alpn("t")
    for _, config in pairs(configs) do config:clock(fixtures.now) end
  end)

  after_each(function()
    for _, config in pairs(configs) do
      config:free()
      assert.equal(0, config:memory().live)
    end
  end)

  -- The first allocation of `config` fails, then the second, … until step() gives 0: how many did.
  local function each_fails(config, step, check)
    for at = 1, 1000 do
      config:fail_at(at)
      local code = step()
      config:fail_at(-1)
      if code == 0 then return at - 1 end
      assert.equal(NO_MEMORY, code)
      check()
    end
    error("it never succeeds")
  end

  -- Whether a client that asks for `name` finds it in the server's certificate.
  local function is_shown(name, fail_at)
    local p = net.pair({ client_config = configs.client, server_config = configs.server })
    p.client:free()
    configs.client:fail_at(fail_at or -1)
    p.client = net.quic.client(configs.client, name, net.CLIENT, net.SERVER, p.now)
    local is_up, reason = false, "no memory"
    if p.client then
      p:run(function() return p.client:info().confirmed or p.client:info().draining end, 5000 * net.MS)
      is_up, reason = p.client:info().confirmed and not p.client:info().draining, p.client:info().reason
      p.client:free()
    end
    configs.client:fail_at(-1)
    if p.server then p.server:free() end
    return is_up, reason
  end

  it("a certificate more is none, and those before are as they were", function()
    local server = configs.server
    configs.client:ca(certificates.ca[1])
    -- Enough that lists grow: four certificates have room at first, and eight names.
    local function add(name) return (server:certificate(certificates[name][1], certificates[name][2])) end
    for _, name in ipairs({ "p256", "p384", "rsa" }) do assert.equal(0, add(name)) end
    for _, name in ipairs({ "ed25519", "other" }) do
      local count = each_fails(server, function() return add(name) end, function()
        assert.is_true(is_shown("example.test"))
        assert.is_false(is_shown("other.test"))
      end)
      assert.is_true(count > 3, count)
    end
    assert.is_true(is_shown("example.test"))
    assert.is_true(is_shown("other.test"))
  end)

  it("a reload leaves everything as it was", function()
    local server = configs.server
    configs.client:ca(certificates.ca[1])
    assert.equal(0, server:certificate(certificates.p256[1], certificates.p256[2]))
    assert.equal(0, server:ca(certificates.ca[1]))
    assert.equal(0, server:ocsp_response(response))
    is_shown("example.test") -- what a first handshake keeps
    local used
    local function reload()
      used = server:memory().used
      local code = server:begin_reload()
      if code ~= 0 then return code end
      for _, name in ipairs({ "other", "p256" }) do
        code = code ~= 0 and code or server:certificate(certificates[name][1], certificates[name][2])
      end
      if code == 0 then code = server:ocsp_response(response) end
      if code == 0 then code = server:ca(certificates.ca[1]) end
      if code == 0 then code = server:ca_path(dir .. "/roots.pem") end
      server:end_reload(code == 0)
      return code
    end
    local count = each_fails(server, reload, function()
      assert.equal(used, server:memory().used)
      assert.equal(0, server:begin_reload()) -- none has begun
      server:end_reload(false)
    end)
    assert.is_true(count > 20, count)
    assert.is_true(is_shown("other.test"))
    used = server:memory().used
    assert.equal(0, reload()) -- the same again takes no more
    assert.is_true(server:memory().used <= used)
  end)

  it("a reload of a client leaves it its roots", function()
    local client = configs.client
    assert.equal(0, configs.server:certificate(certificates.p256[1], certificates.p256[2]))
    assert.equal(0, client:ca(certificates.ca[1]))
    local function reload()
      local code = client:begin_reload()
      if code ~= 0 then return code end
      code = client:ca_path(dir .. "/roots.pem")
      if code == 0 then code = client:certificate(certificates.other[1], certificates.other[2]) end
      client:end_reload(code == 0)
      return code
    end
    local count = each_fails(client, reload, function() assert.is_true(is_shown("example.test")) end)
    assert.is_true(count > 5, count)
    assert.is_true(is_shown("example.test"))
    assert.equal(0, client:begin_reload())
    assert.equal(0, client:ca(certificates.stranger[1]))
    client:end_reload(true)
    assert.is_false(is_shown("example.test"))
  end)

  it("a reload that fails shows the certificates before", function()
    local server = configs.server
    configs.client:ca(certificates.ca[1])
    assert.equal(0, server:certificate(certificates.p256[1], certificates.p256[2]))
    assert.equal(0, server:begin_reload())
    assert.equal(0, server:certificate(certificates.other[1], certificates.other[2]))
    server:end_reload(false)
    assert.is_true(is_shown("example.test"))
    assert.is_false(is_shown("other.test"))
  end)

  it("a file of roots is not indexed in part", function()
    local client, server = configs.client, configs.server
    assert.equal(0, server:certificate(certificates.p256[1], certificates.p256[2]))
    local before = client:memory().used
    local count = each_fails(client, function() return client:ca_path(dir .. "/roots.pem") end, function()
      assert.equal(before, client:memory().used)
    end)
    assert.is_true(count > 2, count)
    assert.is_true(is_shown("example.test"))
  end)

  it("a root that is to be read from its file is not there, and the server is refused", function()
    local client, server = configs.client, configs.server
    client:set("resumption", 0)
    client:set("address_tokens", 0)
    assert.equal(0, server:certificate(certificates.p256[1], certificates.p256[2]))
    assert.equal(0, client:ca_path(dir .. "/roots.pem"))
    local unknown = 0
    local before = client:memory().allocations
    assert.is_true(is_shown("example.test"))
    local all = client:memory().allocations - before
    local used = client:memory().used
    for n = 1, all do
      local is_up, reason = is_shown("example.test", n)
      if not is_up and reason:find("was not issued by an authority that is trusted", 1, true) then
        unknown = unknown + 1
      end
      assert.equal(used, client:memory().used, n)
    end
    assert.is_true(unknown >= 2, unknown) -- the text, and what it decodes to
    assert.is_true(is_shown("example.test"))
  end)

  it("an OCSP response that is to take another's place leaves that one", function()
    local client, server = configs.client, configs.server
    client:set("ocsp_required", 1)
    client:ca(certificates.ca[1])
    assert.equal(0, server:certificate(certificates.p256[1], certificates.p256[2]))
    assert.equal(0, server:ocsp_response(response))
    local used = server:memory().used
    local count = each_fails(server, function() return server:ocsp_response(response) end, function()
      assert.equal(used, server:memory().used)
      assert.is_true(is_shown("example.test"))
      used = server:memory().used
    end)
    assert.equal(1, count)
    assert.is_true(is_shown("example.test"))
  end)
end)
