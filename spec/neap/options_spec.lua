-- Options that are the library's own: each is refused where it is given, by name, with what it must be.
local neap = require "neap"
local options = require "neap.options"
local sim = require "neap.sim"

local NAN = 0 / 0
local TIMEOUT = { "abc", "5", -1, 0, NAN, false, {} }
local APP = neap.app()

-- What is refused, by whom; `wrong` maps an option to values that it cannot have.
local function refuses(wrong, fn)
  for name, values in pairs(wrong) do
    for _, value in ipairs(values) do
      local ok, message = pcall(function() fn { [name] = value } end)
      local case = ("%s = %s: %s"):format(name, tostring(value), tostring(message))
      assert.is_false(ok, case)
      assert.matches("options_spec.lua:%d+: option '" .. name .. "' must be %a", message, nil, case)
    end
  end
end

describe("an option that is not what it must be", function()
  it("is refused by app:listen", function()
    refuses({
      host = { 5, false }, port = { "4433", "x", -1, 70000, 1.5, NAN },
      read_timeout = TIMEOUT, header_timeout = TIMEOUT,
      shutdown_timeout = { "x", -1, NAN, false }, busy_poll = { "x", -1, 2, NAN, true },
      max_field_section_size = { -1, 0, 1.5, "x" },
    }, function(given) assert(APP:listen(given)) end)
  end)

  it("is refused by neap.client", function()
    refuses({
      timeout = TIMEOUT, progress_timeout = TIMEOUT, follow = { -1, 0.5, "x", true }, user_agent = { 5, true },
      headers = { "x", 5 }, busy_poll = { "x", -1, 2, NAN, true },
    }, function(given) neap.client(given) end)
  end)

  it("is refused by neap.client also where it is a config's", function()
    for message, given in pairs {
      ["unknown option 'timeot'"] = { timeot = 5 },
      ["option 'pins' must be sha256//BASE64, 32 bytes or 64 hex digits"] = { pins = "zz" },
      ["option 'max_idle_timeout' must be"] = { max_idle_timeout = {} },
    } do
      local ok, err = pcall(function() neap.client(given) end)
      assert.is_false(ok, message)
      assert.matches("^[%w_./]*options_spec.lua:%d+: " .. message, err)
    end
  end)

  it("is refused where it was given by who listens or connects, also where it is a config's", function()
    for message, given in pairs {
      ["unknown option 'timeot'"] = { timeot = 5 },
      ["option 'max_idle_timeout' must be"] = { max_idle_timeout = {} },
      ["option 'alpn': names have 1 to 255 bytes"] = { alpn = { "" } },
      ["'cert' needs 'key'"] = { cert = "x" },
      ["option 'certs' must be a list"] = { certs = 5 },
    } do
      given.port, given.alpn = 0, given.alpn or "t"
      for who, fn in pairs { app = function() APP:listen(given) end, quic = function() neap.quic.listen(given) end } do
        local ok, err = pcall(fn)
        assert.is_false(ok, who .. message)
        assert.matches("^[%w_./]*options_spec.lua:%d+: " .. message, err, nil, who)
      end
      given.port = nil
      local ok, err = pcall(function() neap.quic.connect("127.0.0.1:1", given) end)
      assert.is_false(ok, message)
      assert.matches("^[%w_./]*options_spec.lua:%d+: " .. message, err)
    end
  end)

  it("is refused where only the other role looks at it", function()
    local quic = require "neap.quic"
    for name, given in pairs {
      ca = { ca = "x" }, pins = { pins = ("0"):rep(64) }, verify_peer = { verify_peer = true },
      verify_server = { verify_server = function() return false end }, ocsp_required = { ocsp_required = true },
    } do
      for who, listen in pairs {
        app = function(o) assert(APP:listen(o)) end, quic = function(o) assert(quic.listen(o)) end,
      } do
        given.port, given.alpn = 0, "t"
        local ok, err = pcall(listen, given)
        assert.is_false(ok, who .. " " .. name)
        assert.matches("options_spec.lua:%d+: option '" .. name .. "' is a client's", err)
      end
    end
    for name, given in pairs {
      client_ca = { client_ca = "x" }, strike_file = { strike_file = "x" }, ocsp_file = { ocsp_file = "x" },
      certificate = { certificate = function() end }, verify_client = { verify_client = function() return true end },
    } do
      for who, connect in pairs {
        client = function(o) neap.client(o) end, quic = function(o) assert(quic.connect("127.0.0.1:1", o)) end,
      } do
        given.alpn = "t"
        local ok, err = pcall(connect, given)
        assert.is_false(ok, who .. " " .. name)
        assert.matches("options_spec.lua:%d+: option '" .. name .. "' is a server's", err)
      end
    end
  end)

  it("is refused by neap.client where it would check nothing, because there are no roots", function()
    for _, given in ipairs {
      { crl = "x", pins = ("0"):rep(64) }, { crl = "x", verify_peer = false, ca = true },
      { ocsp_required = true, verify_peer = false },
      { crl = "x", psk = { identity = "a", key = ("k"):rep(16) } },
    } do
      local ok, err = pcall(function() neap.client(given) end)
      assert.is_false(ok)
      assert.matches("options_spec.lua:%d+: option '[%a_]+' checks nothing without roots", err)
    end
  end)

  it("is refused by a server where revocation lists would check nothing, without roots for clients", function()
    local function decide() return true end
    for _, given in ipairs {
      { crl = "x", client_certificate = "request" },
      { crl = "x", client_certificate = "require", verify_client = decide },
    } do
      given.port, given.alpn = 0, "t"
      for _, listen in ipairs { function() APP:listen(given) end, function() neap.quic.listen(given) end } do
        local ok, err = pcall(listen)
        assert.is_false(ok)
        assert.matches("options_spec.lua:%d+: option 'crl' checks nothing without roots: give `client_ca`", err)
      end
    end
  end)

  it("is refused where early data would be off and what is told of it would do nothing", function()
    for _, given in ipairs {
      { strike_file = "x" }, { strike_entries = 1024 }, { early_data = true, resumption = false },
      { early_data = true, ticket_lifetime = 0 },
    } do
      given.port, given.alpn = 0, "t"
      for _, listen in ipairs { function() assert(APP:listen(given)) end,
        function() assert(neap.quic.listen(given)) end } do
        local ok, err = pcall(listen)
        assert.is_false(ok)
        assert.matches(given.early_data and "options_spec.lua:%d+: option 'early_data' needs sessions"
          or "options_spec.lua:%d+: option 'strike_[a-z]+' needs `early_data`", err)
      end
    end
    local _, err = pcall(function() neap.client { early_data = true, resumption = false } end)
    assert.matches("options_spec.lua:%d+: option 'early_data' needs sessions", err)
  end)

  it("is refused where nothing would ask for it", function()
    local function sign() return "" end
    local function certificate() end
    for text, cases in pairs {
      ["option 'sign' is never asked"] = { { sign = sign }, { sign = sign, cert = "x", key = "y" },
        { sign = sign, certs = { { cert = "x", key = "y" }, { cert = "z", key = "w" } } } },
      ["option 'crl' needs `client_certificate`"] = { { crl = "x" }, { crl = "x", crl_grace = 5 } },
      ["option 'crl_grace' needs `crl`"] = { { crl_grace = 5 }, { crl_grace = 5, client_certificate = "require" } },
      ["option 'certificate_ttl' needs `certificate`"] = { { certificate_ttl = 5 } },
    } do
      for _, given in ipairs(cases) do
        given.port, given.alpn = 0, "t"
        for _, listen in ipairs { function() APP:listen(given) end, function() neap.quic.listen(given) end } do
          local ok, err = pcall(listen)
          assert.is_false(ok, text)
          assert.matches("^[%w_./]*options_spec.lua:%d+: " .. text, err)
        end
      end
    end
    for text, given in pairs {
      ["option 'sign' is never asked"] = { sign = sign, cert = "x", key = "y" },
      ["option 'crl_grace' needs `crl`"] = { crl_grace = 5 },
      ["option 'ca' checks nothing with verify_peer = false"] = { ca = "x", verify_peer = false },
      ["option 'ocsp' checks nothing without roots"] = { ocsp = true, verify_peer = false },
    } do
      local ok, err = pcall(function() neap.client(given) end)
      assert.is_false(ok, text)
      assert.matches("^[%w_./]*options_spec.lua:%d+: " .. text, err)
    end
    -- What may be asked for is not refused, nor what is turned off.
    for _, given in ipairs {
      { sign = sign, cert = "/none" }, { sign = sign, cert = "/none", key = "/none", certs = { { cert = "/none" } } },
      { sign = sign, certificate = certificate, cert = "/none", key = "/none" },
      { crl = "/none", client_certificate = "none" }, { crl_grace = 0 },
      { certificate_ttl = 5, certificate = certificate, cert = "/none", key = "/none" },
    } do
      given.port = 0
      if not given.cert then given.cert, given.key = "/none", "/none" end
      local server, message = APP:listen(given)
      assert.is_nil(server)
      assert.matches("/none: No such file", message)
    end
  end)

  it("is refused where clients are never asked, because a server has pre-shared keys alone", function()
    local psk = { a = ("k"):rep(16) }
    local function decide() return true end
    for _, given in ipairs {
      { client_certificate = "require", client_ca = "/none" },
      { client_certificate = "request", verify_client = decide },
    } do
      given.psk, given.port, given.alpn = psk, 0, "t"
      for _, listen in ipairs { function() APP:listen(given) end, function() neap.quic.listen(given) end } do
        local ok, err = pcall(listen)
        assert.is_false(ok)
        assert.matches("options_spec.lua:%d+: option 'client_certificate' asks nobody: a server with `psk` alone", err)
      end
      for _, name in ipairs { "cert", "certificate" } do
        given.cert, given.key, given.certificate = "/none", "/none", name == "certificate" and decide or nil
        assert.matches("/none: No such file", select(2, APP:listen(given)))
      end
    end
    assert(APP:listen { psk = psk, port = 0, host = "127.0.0.1", client_certificate = "none" }):close()
  end)

  it("is refused where sessions are off and it is about them", function()
    for _, name in ipairs { "ticket_key_file", "ticket_lifetime" } do
      local given = { cert = "/none", key = "/none", port = 0, alpn = "t", resumption = false,
        [name] = name == "ticket_lifetime" and 60 or "/none" }
      for _, listen in ipairs { function() APP:listen(given) end, function() neap.quic.listen(given) end } do
        local ok, err = pcall(listen)
        assert.is_false(ok)
        assert.matches("options_spec.lua:%d+: option '" .. name .. "' needs `resumption`", err)
      end
    end
    local ok, err = pcall(function() neap.client { session_file = "x", resumption = false, address_tokens = false } end)
    assert.is_false(ok)
    assert.matches("options_spec.lua:%d+: option 'session_file' needs `resumption`", err)
    assert.matches("/none: No such file",
      select(2, APP:listen { cert = "/none", key = "/none", port = 0, resumption = false, ticket_lifetime = 0 }))
  end)

  it("is refused where a client takes no server that would ask for its certificate", function()
    for name, given in pairs {
      cert = { cert = "/none", key = "/none" }, certs = { certs = { { cert = "/none", key = "/none" } } },
    } do
      given.psk, given.alpn = { identity = "a", key = ("k"):rep(16) }, "t"
      for _, connect in ipairs { function() neap.client(given) end,
        function() assert(neap.quic.connect("127.0.0.1:1", given)) end } do
        local ok, err = pcall(connect)
        assert.is_false(ok)
        assert.matches("options_spec.lua:%d+: option '" .. name .. "' is never shown beside `psk` without `ca`", err)
      end
      given.ca = true
      neap.client(given):close()
    end
  end)

  it("is refused where no field of `certs` is so called, or none of that role", function()
    local row = { cert = "/none", key = "/none", ocsp_fiel = "/none" }
    for _, make in ipairs { function() APP:listen { port = 0, certs = { row } } end,
      function() neap.client { certs = { row } } end } do
      local ok, err = pcall(make)
      assert.is_false(ok)
      assert.matches("options_spec.lua:%d+: option 'certs': unknown field 'ocsp_fiel'", err)
    end
    row = { cert = "/none", key = "/none", ocsp_file = "/none" }
    local ok, err = pcall(function() neap.client { certs = { row } } end)
    assert.is_false(ok)
    assert.matches("options_spec.lua:%d+: option 'ocsp_file' is a server's", err)
    assert.matches("/none: No such file", select(2, APP:listen { port = 0, certs = { row } }))
  end)

  it("is told by its own name, and not by a function of C", function()
    for text, given in pairs {
      ["client_certificate needs roots for clients %(client_ca%) or a function %(verify_client%)"] =
        { client_certificate = "require" },
    } do
      given.port = 0
      local server, message = APP:listen(given)
      assert.is_nil(server)
      assert.matches(text, message)
    end
    local lowlevel = require "neap.lowlevel"
    for text, given in pairs {
      ["a server needs a certificate %(cert, certs, certificate%) or pre%-shared keys %(psk%)"] = { alpn = "t" },
      ["a server needs protocols %(alpn%)"] = { psk = { identity = "a", key = ("k"):rep(16) } },
    } do
      local endpoint, message = lowlevel.endpoint(assert(lowlevel.config(given)), true)
      assert.is_nil(endpoint)
      assert.matches(text, message)
    end
    for _, hash in ipairs { "md5", 256, true } do
      local psk = { identity = "a", key = ("k"):rep(16), hash = hash }
      local _, err = pcall(function() neap.client { psk = psk } end)
      assert.matches("^[%w_./]*options_spec.lua:%d+: option 'psk': a key's hash is sha256 or sha384$", err)
    end
  end)

  it("is refused where a list has nothing in it", function()
    for _, name in ipairs { "groups", "alpn", "pins", "ca", "crl" } do
      local _, err = pcall(function() neap.client { [name] = {} } end)
      assert.matches("options_spec.lua:%d+: option '" .. name .. "' is an empty list", err)
    end
    assert.error_matches(function() APP:listen { port = 0, client_certificate = "require", client_ca = {} } end,
      "option 'client_ca' is an empty list")
  end)

  it("is refused by a request", function()
    local client = neap.client()
    neap.run(function()
      refuses({
        timeout = TIMEOUT, progress_timeout = TIMEOUT, follow = { -1, "x" }, headers = { "x" }, form = { "a=b" },
        query = { "a=b" }, trailers = { 1 }, on_informational = { {} },
      }, function(given) client:get("https://localhost:1/", given) end)
    end)
  end)

  it("is refused by neap.quic", function()
    local common = { read_timeout = TIMEOUT, write_timeout = TIMEOUT }
    refuses(common, function(given) neap.quic.listen(given) end)
    refuses({ host = { 5 }, port = { "x", 65536 } }, function(given) neap.quic.listen(given) end)
    neap.run(function()
      refuses(common, function(given) neap.quic.connect("localhost:1", given) end)
      refuses({ server_name = { 5 }, timeout = TIMEOUT }, function(given) neap.quic.connect("localhost:1", given) end)
    end)
  end)

  it("is refused by neap.sim", function()
    local lab = sim.new()
    refuses({ seed = { {}, true }, max_steps = { 0, "x" } }, function(given) sim.new(given) end)
    local link = {
      delay = { -1, "x", NAN, math.huge }, jitter = { -1 }, rate = { 0, "x", NAN, true }, queue = { -1, "x" },
      loss = { 2, -0.1, "x", NAN }, duplicate = { 2 }, reorder = { 2 }, reorder_delay = { -1 }, corrupt = { 2 },
      mtu = { -1 }, drop = { 3 }, filter = { "x" },
    }
    refuses(link, function(given) lab:link(given) end)
    refuses(link, function(given) lab:link { up = given } end)
    refuses(link, function(given) lab:link { down = given } end)
    local address = { "garbage", "10.0.0.1", "10.0.0.256:1", "10.0.0.1:70000", "10.00.0.1:1", "localhost:1", 5 }
    refuses({ address = address, on_conn = { 5 } }, function(given) lab:server(given) end)
    refuses({ address = address, on_conn = { 5 }, server = { 3, {} }, link = { {} }, name = { 5 }, connect = { 1 } },
      function(given) lab:client(given) end)
    local client = lab:client()
    for _, one in ipairs(address) do
      local ok, message = pcall(function() client:rebind(one) end)
      assert.is_false(ok, tostring(one))
      assert.matches("options_spec.lua:%d+: an address must be", message)
    end
    lab:close()
  end)
end)

describe("options", function()
  it("are a table", function()
    for _, fn in ipairs { function() APP:listen(4433) end, function() neap.client("x") end,
      function() neap.quic.listen(1) end, function() sim.new(1) end, function() sim.new():link { up = 1 } end } do
      local ok, message = pcall(fn)
      assert.is_false(ok)
      assert.matches("options_spec.lua:%d+: options .*are a table", message)
    end
  end)

  it("follow something else only where their text ends with what it is", function()
    for _, option in ipairs(require("neap.core").options()) do
      local preset = options.preset(option)
      local follows = option.name == "handshake_rate" and "follows the kind of its keys and the library that signs"
      assert.equal(follows or options.preset { text = "", unit = option.unit, default = option.default }, preset)
    end
  end)

  it("may last for ever where they are timeouts", function()
    local mine, rest = options.split({ a = math.huge, c = 1 }, { a = options.timeout(), b = options.timeout(3) }, 2)
    assert.same({ { a = math.huge, b = 3 }, { c = 1 } }, { mine, rest })
  end)
end)
