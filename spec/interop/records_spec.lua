--- Our engine against programs that speak TLS 1.3 over TCP, both roles: its handshake is the one of QUIC without
--- transport parameters, behind the record layer of spec/support/records.lua.
local fixtures = require("spec.tls.fixtures")
local helper = require("spec.helper")
local leash = require("spec.support.leash")
local programs = require("spec.interop.records_programs")
local records = require("spec.support.records")

local check_ended, client_config, server_config = programs.check_ended, programs.client_config, programs.server_config
local meet_client, meet_server = programs.meet_client, programs.meet_server
local log_of, must = programs.log_of, programs.must
local REQUEST, REQUIRE = 1, 2
local GROUPS = {
  { number = fixtures.GROUPS.X25519, openssl = "X25519", gnutls = "X25519", python = "X25519" },
  { number = fixtures.GROUPS.P256, openssl = "P-256", gnutls = "SECP256R1", python = "prime256v1" },
  { number = fixtures.GROUPS.P384, openssl = "P-384", gnutls = "SECP384R1", python = "secp384r1" },
}
local SUITES = {
  { number = fixtures.SUITES.AES_128_GCM, openssl = "TLS_AES_128_GCM_SHA256", gnutls = "AES-128-GCM" },
  { number = fixtures.SUITES.AES_256_GCM, openssl = "TLS_AES_256_GCM_SHA384", gnutls = "AES-256-GCM" },
  { number = fixtures.SUITES.CHACHA20_POLY1305, openssl = "TLS_CHACHA20_POLY1305_SHA256",
    gnutls = "CHACHA20-POLY1305" },
}

for name, peer in pairs(programs.peers) do
  describe("TLS over TCP with " .. name, function()
    local listener, port

    setup(function()
      programs.open()
      listener, port = records.listen()
    end)

    teardown(function()
      listener:close()
      programs.close()
    end)

    after_each(leash.end_all)

    local function they_serve(title, options, ours, check)
      it("as server " .. title, function()
        if not helper.has_program(peer.program) then return pending("needs " .. peer.program) end
        local process, at = peer.serve(options)
        local config = client_config(ours)
        local info = must(process, meet_server(peer, config, at))
        assert.equal("h3", info.alpn)
        check(info, config, at, process)
      end)
    end

    local function they_ask(title, options, ours, check)
      it("as client " .. title, function()
        if not helper.has_program(peer.program) then return pending("needs " .. peer.program) end
        local config = server_config(ours)
        local process = peer.ask(port, options)
        local info = must(process, meet_client(config, listener, process))
        assert.equal("h3", info.alpn)
        assert.equal("example.test", info.server_name)
        check_ended(process, "pong")
        check(info, config, process)
      end)
    end

    for i, group in ipairs(GROUPS) do
      local first = GROUPS[i % #GROUPS + 1]

      they_serve("has group " .. group.gnutls .. ", which a HelloRetryRequest asks for", { group = group },
        { groups = { first.number, group.number } },
        function(info) assert.equal(group.number, info.group) end)

      -- covers: rfc9001#8.2.2
      they_serve("takes our share of " .. group.gnutls, {}, { groups = { group.number } },
        function(info) assert.equal(group.number, info.group) end)

      they_ask("is asked for group " .. group.gnutls .. " where it can do no other", { group = group }, {},
        function(info) assert.equal(group.number, info.group) end)

      they_ask("is asked by a HelloRetryRequest for " .. group.gnutls, {}, { groups = { group.number } },
        function(info) assert.equal(group.number, info.group) end)
    end

    for _, suite in ipairs(SUITES) do
      local theirs = { suite = name ~= "python" and suite or nil }

      they_serve("has the suite " .. suite.openssl, theirs, { suites = { suite.number } },
        function(info) assert.equal(suite.number, info.suite) end)

      they_ask("has the suite " .. suite.openssl, theirs, { suites = { suite.number } },
        function(info) assert.equal(suite.number, info.suite) end)
    end

    for _, kind in ipairs({ "deep", unpack(fixtures.KINDS) }) do
      they_serve("shows a certificate of kind " .. kind, { certificate = kind }, {},
        function(info) assert.is_true(#info.certificate > 0) end)

      they_ask("takes our certificate of kind " .. kind, {}, { certificate = kind }, function() end)
    end

    they_serve("resumes our session with a ticket of its", {}, {}, function(info, config, at, process)
      assert.is_false(info.resumed)
      assert.is_true(config:sessions() > 0, "no ticket came before the answer")
      local again = must(process, meet_server(peer, config, at))
      assert.is_true(again.resumed)
      assert.equal("", again.certificate)
    end)

    they_serve("asks for a certificate that we do not have", { wants_client = "optional" }, {},
      function(info) assert.is_false(info.resumed) end)

    it("as server tells us that it wants a certificate, which we do not have", function()
      if not helper.has_program(peer.program) then return pending("needs " .. peer.program) end
      local process, at = peer.serve({ wants_client = "required" })
      local socket = assert(records.connect(at))
      local session = records.new(assert(client_config({}):client("example.test", "", fixtures.now)), socket)
      assert.is_true(session:run())
      local heard, failure = session:expect("no answer")
      session:close()
      assert.is_nil(heard)
      assert.equal(116, failure.alert, log_of(process)) -- certificate_required
    end)

    for _, kind in ipairs({ "client", "clientdeep", "clientrsa", "clientp384" }) do
      they_serve("wants a certificate and gets ours, of kind " .. kind, { wants_client = "required" },
        { certificate = kind }, function() end)

      they_ask("shows us a certificate of kind " .. kind, { shows = kind }, { ask = REQUIRE },
        -- The common name of the leaf; some programs send the root as well.
        function(info) assert.is_not_nil(info.certificate:find("\12" .. string.char(#kind) .. kind, 1, true)) end)
    end

    they_ask("shows us none where we only ask for one", {}, { ask = REQUEST },
      function(info) assert.equal(0, info.certificates) end)

    -- Two connections of theirs, one after the other, to two configs of ours: whether the second was resumed.
    local function ask_twice(one, two)
      local resumed, last
      local function meet(config, process, is_silent)
        resumed, last = must(process, meet_client(config, listener, process, is_silent)).resumed, process
        return process
      end
      peer.ask_twice(port, function(process, is_silent) return meet(one, process, is_silent) end,
        function(process) return meet(two, process) end)
      return resumed, log_of(last)
    end

    it("as client resumes our session with a ticket of ours", function()
      if not helper.has_program(peer.program) then return pending("needs " .. peer.program) end
      local config = server_config({})
      local resumed, log = ask_twice(config, config)
      assert.is_true(resumed)
      assert.truthy(log:find(peer.is_resumed, 1, true), log)
    end)

    it("as client shows a ticket that we cannot open, and gets a whole handshake", function()
      if not helper.has_program(peer.program) then return pending("needs " .. peer.program) end
      local resumed, log = ask_twice(server_config({}), server_config({ ticket_keys = ("o"):rep(32) }))
      assert.is_false(resumed)
      assert.is_nil(log:find(peer.is_resumed, 1, true))
    end)

    if peer.gives_early_data then
      -- covers: rfc9001#4.6.1.2
      it("as server gives tickets for early data, of another size than QUIC has, which are refused", function()
        if not helper.has_program(peer.program) then return pending("needs " .. peer.program) end
        local process, at = peer.serve({ early_data = 16384 })
        local config = client_config({})
        local handshake = assert(config:client("example.test", "", fixtures.now))
        local session = records.new(handshake, assert(records.connect(at)))
        assert.is_true(session:run())
        local _, failure = session:expect("no answer")
        session:close()
        assert.equal(0x0a, failure.code, programs.describe_failure(failure, process)) -- PROTOCOL_VIOLATION
        assert.equal(0, (config:sessions()))
      end)
    end

    if peer.shows_keys_and_takes_certificates then
      it("as client shows a pre-shared key that we do not know, and gets a whole handshake", function()
        if not helper.has_program(peer.program) then return pending("needs " .. peer.program) end
        local process = peer.ask(port, { psk = { "sensor", ("0a"):rep(32) } })
        assert.is_false(must(process, meet_client(server_config({}), listener, process)).resumed)
        check_ended(process, "pong")
      end)
    end
  end)
end
