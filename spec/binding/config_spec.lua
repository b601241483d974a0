local core = require "neap.core"
local helper = require "helper"
local pair = require "binding.pair"

describe("core.config", function()
  it("takes every option of neap_config_set, times in seconds", function()
    local config = assert(core.config{
      max_idle_timeout = 30, max_udp_payload_size = 1500, max_send_udp_payload_size = 1350, initial_max_data = 1e6,
      initial_max_stream_data_bidi_local = 1e5, initial_max_stream_data_bidi_remote = 1e5,
      initial_max_stream_data_uni = 1e5, initial_max_streams_bidi = 10, initial_max_streams_uni = 3,
      ack_delay_exponent = 5, max_ack_delay = 0.025, active_connection_id_limit = 4, disable_active_migration = true,
      max_connection_window = 1e7, max_stream_window = 1e6, send_buffer = 1e5, handshake_timeout = 10,
      initial_rtt = 0.1, retry = true, verify_peer = false, source_connection_id_size = 8, pacing = false,
      grease = true, alpn = { "h3", "test" }, seed = 7, wall_clock = 1767225600, memory_limit = 1e7,
      static_secret = ("ab"):rep(32), pins = { ("x"):rep(32), ("cd"):rep(32) },
    })
    assert.is_table(config:memory())
    assert.equal(1e7, config:memory().limit)
    assert.equal(0, config:memory().receive_held)
    local names = {}
    for name, count in pairs(config:bounds()) do
      names[#names + 1] = name
      assert.equal(0, count, name)
    end
    table.sort(names)
    assert.same({ "closes_withheld", "datagrams_refused", "h3_overloads", "h3_priority_updates", "h3_sections_late",
      "h3_sections_partial", "h3_sections_refused", "send_ahead", "send_budget", "sent_forgotten",
      "size_probes_forgotten" }, names)
    assert.equal(5e6, config:memory().receive_most)
    assert.equal(0, core.config{ alpn = "t", memory_limit = 0 }:memory().receive_most)
  end)

  it("knows each row of the option table in the unit of Lua, with its default and its range", function()
    local names = {}
    for _, option in ipairs(core.options()) do
      names[option.name] = option
      assert.matches(option.unit == "boolean" and "^true or false$"
        or option.unit == "choice" and "^%l+.* or %l+$"
        or option.unit == "seconds" and "^seconds from" or "^a whole number from", option.range)
      for _, bound in ipairs { "default", "least", "greatest" } do
        -- 2^62 - 1 is no number of Lua.
        local value = option[bound]
        if type(value) ~= "number" or value < 2 ^ 62 / 1000 then assert(core.config { [option.name] = value }) end
      end
      assert.error_matches(function() core.config { [option.name] = {} } end,
        "option '" .. option.name .. "' must be " .. option.range, 1, true)
      assert.matches("%a", option.text)
    end
    assert.equal("seconds", names.max_ack_delay.unit)
    assert.equal(0.025, names.max_ack_delay.default)
    assert.equal(16.383, names.max_ack_delay.greatest)
    assert.equal("seconds from 0 to 16.383", names.max_ack_delay.range)
    assert.equal("seconds from 0", names.max_idle_timeout.range)
    assert.equal("bytes", names.send_buffer.unit)
    assert.equal("count", names.ack_delay_exponent.unit)
    assert.equal(true, names.pacing.default)
    assert.same({ "none", "none", "require" }, { names.client_certificate.default, names.client_certificate.least,
      names.client_certificate.greatest })
    assert.error_matches(function() core.config { client_certificate = "maybe" } end, "none, request or require")
  end)

  it("says what computes AES-GCM", function()
    assert.matches("^%w+$", assert(core.config{}):engine())
  end)

  it("says what can compute AES-GCM here, the fastest first", function()
    local names = core.engines()
    assert.equal("mbedtls", names[#names])
    if (os.getenv "NEAP_CRYPTO" or "") == "" then assert.equal(names[1], assert(core.config{}):engine()) end
  end)

  it("does not take a short time for none", function()
    assert.error_matches(function() core.config { initial_rtt = -0.0004 } end, "initial_rtt")
    local config = assert(core.config { max_idle_timeout = 0.0004, handshake_timeout = 0.0004 })
    assert.is_table(config:memory())
  end)

  it("names the option it does not know", function()
    assert.error_matches(function() core.config{ max_idle_time = 1 } end, "unknown option 'max_idle_time'")
    assert.error_matches(function() core.config{ "h3" } end, "options have names")
  end)

  for name, case in pairs{
    ack_delay_exponent = { 21, "0 to 20" },
    max_ack_delay = { 16.384, "0 to 16.383" },
    active_connection_id_limit = { 1, "2 to 8" },
    max_udp_payload_size = { 1199, "1200 to 65527" },
    source_connection_id_size = { 21, "0 to 20" },
    max_idle_timeout = { -1, "seconds from 0" },
    initial_max_data = { "many", "a whole number from 0" },
    initial_max_streams_bidi = { 32769, "0 to 32768" },
    handshake_timeout = { 0 / 0, "seconds" },
    initial_rtt = { math.huge, "seconds" },
    retry = { "sometimes", "auto, always or never" },
    send_buffer = { true, "a whole number from 0 to 4294967295" },
  } do
    it("says the range of " .. name, function()
      assert.error_matches(function() core.config{ [name] = case[1] } end,
        "option '" .. name .. "' must be .*" .. case[2])
    end)
  end

  it("refuses what is no protocol, seed, pin or secret", function()
    assert.error_matches(function() core.config{ alpn = 1 } end, "'alpn'")
    assert.error_matches(function() core.config{ alpn = { "" } } end, "'alpn'")
    assert.error_matches(function() core.config{ alpn = ("x"):rep(256) } end, "'alpn'")
    assert.error_matches(function() core.config{ seed = {} } end, "'seed'")
    assert.error_matches(function() core.config{ pins = "short" } end, "'pins'")
    assert.error_matches(function() core.config{ pins = { ("zz"):rep(32) } } end, "'pins'")
    assert.error_matches(function() core.config{ static_secret = "x" } end, "'static_secret'")
    assert.error_matches(function() core.config{ memory_limit = -1 } end, "'memory_limit'")
    assert.error_matches(function() core.config{ cert = "x" } end, "'cert' needs 'key'")
    assert.error_matches(function() core.config{ certs = "x" } end, "'certs'")
  end)

  it("says a certificate's pin as curl writes it, and takes it as a pin", function()
    local config, cert = core.config{}, pair.certificate()
    local made = assert(config:certificate_pin(cert))
    local dir = helper.make_dir()
    finally(function() helper.remove_dir(dir) end)
    helper.write_file(dir .. "/cert.pem", cert)
    local told = helper.run(("openssl x509 -in %s/cert.pem -noout -pubkey | openssl pkey -pubin -outform DER | "
      .. "openssl dgst -sha256 -binary | base64"):format(dir))
    assert.equal("sha256//" .. told, made .. "\n")
    assert.equal(made, config:certificate_pin(dir .. "/cert.pem"))
    assert(core.config{ pins = { made } })
    assert.same({ nil, "certificate" }, { (config:certificate_pin("-----BEGIN CERTIFICATE-----\nMIIB\n")),
      (select(3, config:certificate_pin("-----BEGIN CERTIFICATE-----\nMIIB\n"))) })
    assert.equal("system", (select(3, config:certificate_pin(dir .. "/none.pem"))))
    -- One byte more or less, another digit, bits behind the last byte.
    for _, bad in ipairs{ made .. "=", made:sub(1, -2), (made:gsub("//.", "//-")), (made:gsub("..=$", "AB=")),
      (made:gsub("sha256", "sha512")), (made:gsub("//.", "//\0")) } do
      assert.error_matches(function() core.config{ pins = bad } end, "'pins' must be sha256//BASE64")
    end
  end)

  it("takes groups by their names, in any case, and says which one a library has not", function()
    assert(core.config{ groups = { "X25519", "secp256r1", "SECP384R1" } })
    assert(core.config{ groups = "secp384r1" })
    for _, bad in ipairs{ "x448", { "x25519", "x25519" }, { 1 }, true, { "x25519", "x", "secp384r1", "x448", "x" } } do
      assert.error_matches(function() core.config{ groups = bad } end, "'groups'")
    end
    local config, message, code = core.config{ groups = { "x25519", "X25519MLKEM768" } }
    if not config then assert.same({ "groups: X25519MLKEM768 needs a build with OpenSSL 3.5 or newer", "unsupported" },
      { message, code }) end
  end)

  it("takes cipher suites by their names, in any case, each once", function()
    assert(core.config{ cipher_suites = "tls_chacha20_poly1305_sha256" })
    assert(core.config{ cipher_suites = { "TLS_AES_256_GCM_SHA384", "TLS_AES_128_GCM_SHA256",
      "TLS_CHACHA20_POLY1305_SHA256" } })
    for _, bad in ipairs{ "TLS_AES_128_CCM_SHA256", { "TLS_AES_128_GCM_SHA256", "TLS_AES_128_GCM_SHA256" }, { 1 }, true,
      { "TLS_AES_128_GCM_SHA256", "a", "b", "c" } } do
      assert.error_matches(function() core.config{ cipher_suites = bad } end, "'cipher_suites'")
    end
  end)

  it("takes versions of QUIC by name or number, each once", function()
    for _, good in ipairs{ "v1", "v2", 1, 0x6b3343cf, { "v2", "v1" }, { 1, "v2" } } do
      assert(core.config{ versions = good, original_version = "preferred" })
    end
    for _, bad in ipairs{ "v3", "", 0, 2, -1, 1.5, 0x0a0a0a0a, true, {}, { "v1", "v1" }, { "v1", 1 },
      { "v1", "v2", "v3" }, { "v1", "v2", "v1", "v2", "v1" } } do
      assert.error_matches(function() core.config{ versions = bad } end, "option 'versions' has v1 or v2")
    end
    assert.error_matches(function() core.config{ original_version = "v2" } end, "oldest or preferred")
  end)

  it("trusts the system's roots beside pins where it is told", function()
    local dir = helper.make_dir()
    finally(function() helper.remove_dir(dir) end)
    assert.error_matches(function() core.config{ ca = false } end, "'ca' must be")
    assert(core.config{ ca = true, pins = ("ab"):rep(32) })
  end)

  it("takes certificates and roots as PEM, as paths and in lists", function()
    local dir = helper.make_dir()
    finally(function() helper.remove_dir(dir) end)
    local cert, key = pair.certificate()
    helper.write_file(dir .. "/cert.pem", cert)
    helper.write_file(dir .. "/key.pem", key)
    assert(core.config{ cert = cert, key = key })
    assert(core.config{ cert = dir .. "/cert.pem", key = dir .. "/key.pem" })
    assert(core.config{ cert = dir .. "/cert.pem", key = key })
    assert(core.config{ certs = { { cert = cert, key = key }, { cert = cert, key = dir .. "/key.pem" } } })
    assert(core.config{ ca = dir .. "/cert.pem" })
    assert(core.config{ ca = { cert, dir .. "/cert.pem" } })
  end)

  it("says which file cannot be used, and why", function()
    local dir = helper.make_dir()
    finally(function() helper.remove_dir(dir) end)
    local cert, key = pair.certificate()
    local config, message, code, number = core.config{ cert = dir .. "/none.pem", key = key }
    assert.is_nil(config)
    assert.matches("none.pem: No such file", message)
    assert.equal("system", code)
    assert.equal(2, number)
    helper.write_file(dir .. "/broken.pem", "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n")
    config, message, code = core.config{ cert = dir .. "/broken.pem", key = key }
    assert.is_nil(config)
    assert.matches("broken.pem: ", message)
    assert.equal("certificate", code)
    local _, other_key = core.make_certificate{ names = { "localhost" } }
    config, message, code = core.config{ cert = cert, key = other_key }
    assert.is_nil(config)
    assert.equal("certificate", code)
    assert.is_string(message)
    assert.is_nil((core.config{ cert = dir, key = key }))
    config, message = core.config{ ca = dir .. "/none.pem" }
    assert.is_nil(config)
    assert.matches("none.pem", message)
    config, message = core.config{ keylog = dir .. "/no/such/folder" }
    assert.is_nil(config)
    assert.matches("No such file", message)
  end)

  it("appends TLS secrets to the keylog file", function()
    local dir = helper.make_dir()
    finally(function() helper.remove_dir(dir) end)
    pair.new{ keylog = dir .. "/keys" }
    local lines = helper.read_file(dir .. "/keys")
    for _, label in ipairs{ "CLIENT_HANDSHAKE_TRAFFIC_SECRET", "SERVER_HANDSHAKE_TRAFFIC_SECRET",
      "CLIENT_TRAFFIC_SECRET_0", "SERVER_TRAFFIC_SECRET_0" } do
      assert.matches(label .. " %x+ %x+\n", lines)
    end
  end)

  it("gives equal bytes for equal seeds", function()
    local function first_udp_datagram(seed)
      local config = pair.config{ seed = seed }
      local conn = core.connect(config, "localhost", "192.0.2.2:443", { from = "192.0.2.1:1", at = 1 })
      return (conn:send(1))
    end
    assert.equal(first_udp_datagram("a"), first_udp_datagram("a"))
    assert.are_not.equal(first_udp_datagram("a"), first_udp_datagram("b"))
  end)
end)

describe("config:set_wall_clock", function()
  it("moves the clock of a config that has one of its own", function()
    local config = core.config{ alpn = "x", wall_clock = 1767225600, seed = 1 }
    config:set_wall_clock(1767225600 + 86400)
    assert.error_matches(function() config:set_wall_clock("noon") end, "number expected")
    assert.error_matches(function() config:set_wall_clock(1e300) end, "seconds since 1970")
    assert.error_matches(function() core.config{ alpn = "x" }:set_wall_clock(5) end, "with the option 'wall_clock'")
    config:_release()
    config:set_wall_clock(0)
  end)
end)

describe("core.make_certificate", function()
  it("makes a certificate that a client accepts for its names", function()
    assert.is_true(pair.new().client:is_confirmed())
  end)

  it("gives the same for the same seed", function()
    local options = { names = { "a.example" }, seed = "x", wall_clock = 1767225600 }
    assert.same({ core.make_certificate(options) }, { core.make_certificate(options) })
  end)

  it("refuses names that are none", function()
    assert.has_error(function() core.make_certificate{ names = {} } end)
    assert.has_error(function() core.make_certificate{ names = { {} } } end)
    assert.has_error(function() core.make_certificate{ days = 0 } end)
  end)
end)
