--- The programs that speak TLS 1.3 over TCP, and how our engine meets them, in both roles: behind the record layer of
--- spec/support/records.lua.
local fixtures = require("spec.tls.fixtures")
local helper = require("spec.helper")
local leash = require("spec.support.leash")
local messages = require("spec.tls.messages")
local records = require("spec.support.records")

local programs = {}
local quote = helper.quote
local dir

--- A folder with all certificates of the fixtures, for a setup(); close() is for the teardown().
function programs.open()
  dir = helper.make_dir()
  for name, both in pairs(fixtures.certificates()) do
    if type(both) == "table" then
      helper.write_file(("%s/%s.pem"):format(dir, name), both[1])
      helper.write_file(("%s/%s.key"):format(dir, name), both[2])
    end
  end
  return dir
end

function programs.close() helper.remove_dir(dir) end

--- A peer starts a server: serve(options) → process, port; and a client of a port: ask(port, options) → process.
--- Options: certificate (a name of the fixtures), group, suite (rows of records_spec), wants_client ("optional",
--- "required"), shows (a client the certificate of that name in the fixtures), times, keeps and resumes (a session),
--- early_data (of its tickets), psk ({ identity, key in hexadecimal }), staple (a file with an OCSP response that a
--- server shows; where a client of GnuTLS puts what came), status (a client of openssl asks for one), compresses (a
--- server of openssl's, its certificate). answer(line) is what its server says to a line; ask_twice(port, first,
--- second) has its client come twice, for which first and second are called with the process (and whether the client
--- says nothing) and give it back.
local peers = {}
programs.peers = peers

local function files(name)
  return ("%s/%s.pem"):format(dir, name), ("%s/%s.key"):format(dir, name)
end

local function start(command)
  return leash.start(command, ("%s/%s.log"):format(dir, tostring(math.random(1e9))))
end

--- What a process has printed.
function programs.log_of(process) return helper.read_file(process.log) or "" end

local function wait_for_log(process, pattern)
  local function seen() return programs.log_of(process):match(pattern) end
  leash.wait_until(function() return seen() or leash.status(process) end)
  return (assert(seen(), process.command .. "\n" .. programs.log_of(process)))
end

--- It ends, and has printed `wanted`.
function programs.check_ended(process, wanted)
  leash.wait_until(function() return leash.status(process) end)
  local log = programs.log_of(process)
  assert(log:find(wanted, 1, true), process.command .. "\n" .. log)
end

local function openssl_peer(program)
  local peer = { program = program }

  local function words(options)
    local out = { "-tls1_3 -alpn h3 -CAfile " .. dir .. "/ca.pem" }
    if options.group then table.insert(out, "-groups " .. options.group.openssl) end
    if options.suite then table.insert(out, "-ciphersuites " .. options.suite.openssl) end
    if options.psk then
      table.insert(out, ("-psk_identity %s -psk %s"):format(quote(options.psk[1]), options.psk[2]))
    end
    return table.concat(out, " ")
  end

  function peer.serve(options)
    local certificate, key = files(options.certificate or "p256")
    local asks = { optional = "-verify 3", required = "-Verify 3 -verify_return_error" }
    local early = options.early_data and "-early_data -max_early_data " .. options.early_data
    -- Its input does not end: with that it would end, where it does not reverse lines.
    local more = ("%s %s %s"):format(early or "-rev", asks[options.wants_client] or "", words(options))
    if options.staple then more = more .. " -status_file " .. options.staple end
    if options.compresses then more = more .. " -cert_comp" end
    local identity = options.psk and "-nocert"
      or ("-cert %s -cert_chain %s -key %s"):format(certificate, certificate, key)
    local process = start("sh -c " .. quote(("tail -f /dev/null | %s s_server -accept 127.0.0.1:0 %s %s"):format(
      program, identity, more)))
    return process, tonumber(wait_for_log(process, "ACCEPT [^\n]*:(%d+)\n"))
  end

  function peer.answer(line) return line:reverse() end

  -- A line at first, then what comes, until we close.
  function peer.ask(port, options)
    local session = ("%s/%d.session"):format(dir, port)
    local kept = options.keeps and "-sess_out " .. session or options.resumes and "-sess_in " .. session or ""
    if options.shows then
      local certificate, key = files(options.shows)
      kept = ("%s -cert %s -cert_chain %s -key %s"):format(kept, certificate, certificate, key)
    end
    return start("sh -c " .. quote(("echo ping | %s s_client -connect 127.0.0.1:%d -servername example.test "
      .. "-no_middlebox -verify_return_error -ign_eof %s %s %s"):format(program, port, words(options), kept,
      options.status and "-status" or "")))
  end

  -- A connection that leaves a session behind, and one that goes on from it.
  function peer.ask_twice(port, first, second)
    programs.check_ended(first(peer.ask(port, { keeps = true })), "pong")
    programs.check_ended(second(peer.ask(port, { resumes = true })), "pong")
  end

  peer.is_resumed, peer.gives_early_data, peer.shows_keys_and_takes_certificates = "Reused, TLSv1.3", true, true
  return peer
end

peers.openssl = openssl_peer("openssl")

local gnutls = { program = "gnutls-cli" }
peers.gnutls = gnutls

local function gnutls_words(options)
  local priority = "NORMAL:-VERS-ALL:+VERS-TLS1.3:%DISABLE_TLS13_COMPAT_MODE"
  if options.suite then priority = priority .. ":-CIPHER-ALL:+" .. options.suite.gnutls end
  if options.group then priority = priority .. ":-GROUP-ALL:+GROUP-" .. options.group.gnutls end
  if options.psk then priority = priority .. ":-KX-ALL:+ECDHE-PSK" end
  return ("--priority %s --alpn h3"):format(quote(priority))
end

local function free_port() return require("spec.interop.harness").free_port() end

function gnutls.serve(options)
  local certificate, key = files(options.certificate or "p256")
  local asks = { optional = "", required = "--require-client-cert --verify-client-cert" }
  local port = free_port()
  local words = ("%s %s"):format(asks[options.wants_client] or "--disable-client-cert", gnutls_words(options))
  if options.early_data then words = ("%s --earlydata --maxearlydata %d"):format(words, options.early_data) end
  local identity = ("--x509certfile %s --x509keyfile %s --x509cafile %s/ca.pem"):format(certificate, key, dir)
  if options.psk then
    identity = ("--pskpasswd %s/%d.psk"):format(dir, port)
    helper.write_file(("%s/%d.psk"):format(dir, port), ("%s:%s\n"):format(options.psk[1], options.psk[2]))
  end
  if options.staple then words = words .. " --ocsp-response " .. options.staple end
  local process = start(("gnutls-serv --echo --port %d %s %s"):format(port, identity, words))
  wait_for_log(process, "listening on IPv4[^\n]*done\n")
  return process, port
end

function gnutls.answer(line) return line end

-- It ends with its input, which therefore does not end.
function gnutls.ask(port, options)
  local input = ("%s/%d.input"):format(dir, math.random(1e9))
  local words = gnutls_words(options) .. (options.resumes and " --resume --waitresumption" or "")
  if options.staple then words = words .. " --save-ocsp " .. options.staple end
  if options.shows then words = ("%s --x509certfile %s --x509keyfile %s"):format(words, files(options.shows)) end
  local proof = ("--verify-hostname example.test --x509cafile %s/ca.pem"):format(dir)
  if options.psk then proof = ("--pskusername %s --pskkey %s"):format(quote(options.psk[1]), options.psk[2]) end
  return start("sh -c " .. quote(("mkfifo %s; exec 3<>%s; echo ping >&3; exec gnutls-cli --port %d "
    .. "--sni-hostname example.test %s %s 127.0.0.1 <&3"):format(input, input, port, proof, words)))
end

-- It says nothing before it resumes.
function gnutls.ask_twice(port, first, second)
  programs.check_ended(second(first(gnutls.ask(port, { resumes = true }), true)), "pong")
end

gnutls.is_resumed, gnutls.gives_early_data = "This is a resumed session", true

local python = { program = "python3" }
peers.python = python

local function python_call(role, port, name, options)
  local certificate, key = files(name)
  local words = { "times=" .. (options.times or 1) }
  if options.group then table.insert(words, "group=" .. options.group.python) end
  if options.wants_client then table.insert(words, "client_cert=" .. options.wants_client) end
  if options.shows then table.insert(words, "shows=yes") end
  return start(("python3 %s/spec/interop/records_peer.py %s %d %s %s %s/ca.pem %s"):format(
    helper.source_dir, role, port, certificate, key, dir, table.concat(words, " ")))
end

function python.serve(options)
  local process = python_call("server", 0, options.certificate or "p256", options)
  return process, tonumber(wait_for_log(process, "listening on (%d+)"))
end

function python.answer(line) return line:upper() end
python.is_resumed = "resumed"

function python.ask(port, options) return python_call("client", port, options.shows or "client", options) end

function python.ask_twice(port, first, second)
  programs.check_ended(second(first(python.ask(port, { times = 2 }))), "pong")
end

-- ------------------------------------------------------------------ our side

function programs.client_config(options)
  options.without_params, options.resumption = true, true
  return assert(fixtures.client_config(options))
end

function programs.server_config(options)
  options.without_params, options.resumption = true, true
  return assert(fixtures.server_config(options))
end

-- What was negotiated, and the types of the messages that came (`heard`) and went (`said`).
local function describe(session)
  local info = session.handshake:info()
  for name, bytes in pairs({ heard = session.heard, said = session.said }) do
    info[name] = {}
    for _, message in ipairs(messages.split(bytes)) do info[name][messages.kind(message)] = true end
  end
  return info
end

--- Our client at a server of theirs, with application data both ways: what was negotiated.
function programs.meet_server(peer, config, port)
  local socket = assert(records.connect(port))
  local session = records.new(assert(config:client("example.test", "", fixtures.now)), socket)
  local ok, failure = session:run()
  if not ok then
    session:close()
    return nil, failure
  end
  session:send("hello there\n")
  local heard, why = session:expect(peer.answer("hello there"))
  local info = describe(session)
  session:close()
  if not heard then return nil, why end
  return info
end

--- Our server at a client of theirs, whose line it answers: what was negotiated.
function programs.meet_client(config, listener, process, is_silent)
  local socket = assert(listener:accept(10000), "the other program does not connect\n" .. programs.log_of(process))
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
  local info = describe(session)
  session:close()
  if not heard then return nil, why end
  return info
end

function programs.describe_failure(failure, process)
  return ("%s %s alert %s\n%s"):format(tostring(failure.code), tostring(failure.reason), tostring(failure.alert),
    process and programs.log_of(process) or "")
end

--- What meet_server or meet_client gives, or an error with what the other program printed.
function programs.must(process, info, failure)
  if not info then error(programs.describe_failure(failure, process), 0) end
  return info
end

return programs
