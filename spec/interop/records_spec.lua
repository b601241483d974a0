--- Our engine against programs that speak TLS 1.3 over TCP, both roles: its handshake is the one of QUIC without
--- transport parameters, behind the record layer of spec/support/records.lua.
local fixtures = require("spec.tls.fixtures")
local helper = require("spec.helper")
local leash = require("spec.support.leash")
local records = require("spec.support.records")

local quote = helper.quote
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

local dir

-- ------------------------------------------------------------------ the other programs

--- A peer starts a server: serve(options) → process, port; and a client of a port: ask(port, options) → process.
--- Options: certificate (a name of the fixtures), group, suite (rows of the above), wants_client ("optional",
--- "required"), times, keeps and resumes (a session), early_data (of its tickets). answer(line) is what its server says
--- to a line; ask_twice(port, first, second) has its client come twice, for which first and second are called with the
--- process (and whether the client says nothing) and give it back.
local peers = {}

local function files(name)
  return ("%s/%s.pem"):format(dir, name), ("%s/%s.key"):format(dir, name)
end

local function start(command)
  return leash.start(command, ("%s/%s.log"):format(dir, tostring(math.random(1e9))))
end

local function log_of(process) return helper.read_file(process.log) or "" end

local function wait_for_log(process, pattern)
  local function seen() return log_of(process):match(pattern) end
  leash.wait_until(function() return seen() or leash.status(process) end)
  return (assert(seen(), process.command .. "\n" .. log_of(process)))
end

local function check_ended(process, wanted)
  leash.wait_until(function() return leash.status(process) end)
  local log = log_of(process)
  assert.truthy(log:find(wanted, 1, true), process.command .. "\n" .. log)
end

local function openssl_peer(program)
  local peer = { program = program }

  local function words(options)
    local out = { "-tls1_3 -alpn h3 -CAfile " .. dir .. "/ca.pem" }
    if options.group then table.insert(out, "-groups " .. options.group.openssl) end
    if options.suite then table.insert(out, "-ciphersuites " .. options.suite.openssl) end
    return table.concat(out, " ")
  end

  function peer.serve(options)
    local certificate, key = files(options.certificate or "p256")
    local asks = { optional = "-verify 3", required = "-Verify 3 -verify_return_error" }
    local early = options.early_data and "-early_data -max_early_data " .. options.early_data
    -- Its input does not end: with that it would end, where it does not reverse lines.
    local more = ("%s %s %s"):format(early or "-rev", asks[options.wants_client] or "", words(options))
    local process = start("sh -c " .. quote(("tail -f /dev/null | %s s_server -accept 127.0.0.1:0 -cert %s "
      .. "-cert_chain %s -key %s %s"):format(program, certificate, certificate, key, more)))
    return process, tonumber(wait_for_log(process, "ACCEPT [^\n]*:(%d+)\n"))
  end

  function peer.answer(line) return line:reverse() end

  -- A line at first, then what comes, until we close.
  function peer.ask(port, options)
    local session = ("%s/%d.session"):format(dir, port)
    local kept = options.keeps and "-sess_out " .. session or options.resumes and "-sess_in " .. session or ""
    return start("sh -c " .. quote(("echo ping | %s s_client -connect 127.0.0.1:%d -servername example.test "
      .. "-no_middlebox -verify_return_error -ign_eof %s %s %s"):format(program, port, words(options), kept,
      options.words or "")))
  end

  function peer.ask_with_key(port) return peer.ask(port, { words = "-psk 00112233445566778899aabbccddeeff" }) end

  -- A connection that leaves a session behind, and one that goes on from it.
  function peer.ask_twice(port, first, second)
    check_ended(first(peer.ask(port, { keeps = true })), "pong")
    check_ended(second(peer.ask(port, { resumes = true })), "pong")
  end

  peer.is_resumed, peer.gives_early_data = "Reused, TLSv1.3", true
  return peer
end

peers.openssl = openssl_peer("openssl")

local gnutls = { program = "gnutls-cli" }
peers.gnutls = gnutls

local function gnutls_words(options)
  local priority = "NORMAL:-VERS-ALL:+VERS-TLS1.3:%DISABLE_TLS13_COMPAT_MODE"
  if options.suite then priority = priority .. ":-CIPHER-ALL:+" .. options.suite.gnutls end
  if options.group then priority = priority .. ":-GROUP-ALL:+GROUP-" .. options.group.gnutls end
  return ("--priority %s --alpn h3"):format(quote(priority))
end

local function free_port() return require("spec.interop.harness").free_port() end

function gnutls.serve(options)
  local certificate, key = files(options.certificate or "p256")
  local asks = { optional = "", required = "--require-client-cert --verify-client-cert" }
  local port = free_port()
  local words = ("%s %s"):format(asks[options.wants_client] or "--disable-client-cert", gnutls_words(options))
  if options.early_data then words = ("%s --earlydata --maxearlydata %d"):format(words, options.early_data) end
  local process = start(("gnutls-serv --echo --port %d --x509certfile %s --x509keyfile %s --x509cafile %s/ca.pem %s")
    :format(port, certificate, key, dir, words))
  wait_for_log(process, "listening on IPv4[^\n]*done\n")
  return process, port
end

function gnutls.answer(line) return line end

-- It ends with its input, which therefore does not end.
function gnutls.ask(port, options)
  local input = ("%s/%d.input"):format(dir, math.random(1e9))
  local words = gnutls_words(options) .. (options.resumes and " --resume --waitresumption" or "")
  return start("sh -c " .. quote(("mkfifo %s; exec 3<>%s; echo ping >&3; exec gnutls-cli --port %d "
    .. "--sni-hostname example.test --verify-hostname example.test --x509cafile %s/ca.pem %s 127.0.0.1 <&3"):format(
    input, input, port, dir, words)))
end

-- It says nothing before it resumes.
function gnutls.ask_twice(port, first, second)
  check_ended(second(first(gnutls.ask(port, { resumes = true }), true)), "pong")
end

gnutls.is_resumed, gnutls.gives_early_data = "This is a resumed session", true

local python = { program = "python3" }
peers.python = python

local function python_call(role, port, name, options)
  local certificate, key = files(name)
  local words = { "times=" .. (options.times or 1) }
  if options.group then table.insert(words, "group=" .. options.group.python) end
  if options.wants_client then table.insert(words, "client_cert=" .. options.wants_client) end
  return start(("python3 %s/spec/interop/records_peer.py %s %d %s %s %s/ca.pem %s"):format(
    helper.source_dir, role, port, certificate, key, dir, table.concat(words, " ")))
end

function python.serve(options)
  local process = python_call("server", 0, options.certificate or "p256", options)
  return process, tonumber(wait_for_log(process, "listening on (%d+)"))
end

function python.answer(line) return line:upper() end
python.is_resumed = "resumed"

function python.ask(port, options) return python_call("client", port, "client", options) end

function python.ask_twice(port, first, second)
  check_ended(second(first(python.ask(port, { times = 2 }))), "pong")
end

-- ------------------------------------------------------------------ our side

local function client_config(options)
  options.without_params, options.resumption = true, true
  return assert(fixtures.client_config(options))
end

local function server_config(options)
  options.without_params, options.resumption = true, true
  return assert(fixtures.server_config(options))
end

-- Our client at a server of theirs, with application data both ways: what was negotiated.
local function meet_server(peer, config, port)
  local socket = assert(records.connect(port))
  local session = records.new(assert(config:client("example.test", "", fixtures.now)), socket)
  local ok, failure = session:run()
  if not ok then
    session:close()
    return nil, failure
  end
  session:send("hello there\n")
  local heard, why = session:expect(peer.answer("hello there"))
  local info = session.handshake:info()
  session:close()
  if not heard then return nil, why end
  return info
end

-- Our server at a client of theirs, whose line it answers: what was negotiated.
local function meet_client(config, listener, process, is_silent)
  local socket = assert(listener:accept(10000), "the other program does not connect\n" .. log_of(process))
  local session = records.new(assert(config:server("", fixtures.now)), socket)
  local ok, failure = session:run()
  if not ok then
    session:close()
    return nil, failure
  end
  local heard, why = true, nil
  if is_silent then
    session:drain()
  else
    heard, why = session:expect("ping\n")
    session:send("pong\n")
  end
  local info = session.handshake:info()
  info.seen = session.seen
  session:close()
  if not heard then return nil, why end
  return info
end

local function describe_failure(failure, process)
  return ("%s %s alert %s\n%s"):format(tostring(failure.code), tostring(failure.reason), tostring(failure.alert),
    process and log_of(process) or "")
end

local function must(info, failure, process)
  if not info then error(describe_failure(failure, process), 0) end
  return info
end

for name, peer in pairs(peers) do
  describe("TLS over TCP with " .. name, function()
    local listener, port

    setup(function()
      dir = helper.make_dir()
      for certificate, both in pairs(fixtures.certificates()) do
        if type(both) == "table" then
          helper.write_file(("%s/%s.pem"):format(dir, certificate), both[1])
          helper.write_file(("%s/%s.key"):format(dir, certificate), both[2])
        end
      end
      listener, port = records.listen()
    end)

    teardown(function()
      listener:close()
      helper.remove_dir(dir)
    end)

    after_each(leash.end_all)

    local function they_serve(title, options, ours, check)
      it("as server " .. title, function()
        if not helper.has_program(peer.program) then return pending("needs " .. peer.program) end
        local process, at = peer.serve(options)
        local config = client_config(ours)
        local info = must(meet_server(peer, config, at), process)
        assert.equal("h3", info.alpn)
        check(info, config, at, process)
      end)
    end

    local function they_ask(title, options, ours, check)
      it("as client " .. title, function()
        if not helper.has_program(peer.program) then return pending("needs " .. peer.program) end
        local config = server_config(ours)
        local process = peer.ask(port, options)
        local info, failure = meet_client(config, listener, process)
        info = must(info, failure, process)
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
      local again = must(meet_server(peer, config, at), process)
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

    -- Two connections of theirs, one after the other, to two configs of ours: whether the second was resumed.
    local function ask_twice(one, two)
      local resumed, last
      local function meet(config, process, is_silent)
        local info, failure = meet_client(config, listener, process, is_silent)
        resumed, last = must(info, failure, process).resumed, process
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
        assert.equal(0x0a, failure.code, describe_failure(failure, process)) -- PROTOCOL_VIOLATION
        assert.equal(0, (config:sessions()))
      end)
    end

    if peer.ask_with_key then
      it("as client shows a pre-shared key that we do not know, and gets a whole handshake", function()
        if not helper.has_program(peer.program) then return pending("needs " .. peer.program) end
        local process = peer.ask_with_key(port)
        local info, failure = meet_client(server_config({}), listener, process)
        assert.is_false(must(info, failure, process).resumed)
        check_ended(process, "pong")
      end)
    end
  end)
end
