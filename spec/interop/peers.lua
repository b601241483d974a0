--- The peers: how each is started, and how each of the cases is done with it. Clients meet our server, servers meet
--- our client. A case is a function of a context that returns true, or nil and what went wrong.
---
--- The context: dir (scratch), www, post (a file of 10 MB), certs, neap (the program), inside(command) → command as
--- run where the peer lives, path(file) → the file's name there; clients also get files_port and app_port of ours,
--- servers get the port they have to bind and backend_port of a plain HTTP/1.1 server.
local chromium_peer = require("spec.interop.chromium_peer")
local harness = require("spec.interop.harness")
local helper = require("spec.helper")
local tls_cases = require("spec.interop.tls_cases")

local peers = {}

local quote = helper.quote

--- The cases, in the order of the table.
peers.cases = {
  "handshake", "GET 0 B", "GET 1 B", "GET 1 MB", "GET 100 MB", "POST 10 MB", "HEAD", "404", "100 parallel",
}

--- The handshake is seen by a small page, where a peer can fetch pages. gtlsserver answers a path that is a number with
--- so many bytes of its own, hence the names.
local downloads = {
  handshake = "p/0", ["GET 0 B"] = "zero", ["GET 1 B"] = "one", ["GET 1 MB"] = "1M", ["GET 100 MB"] = "100M",
}

local PARALLEL = 100

local function base_name(path)
  return path:match("[^/]+$")
end

--- An empty folder for what a case downloads.
local function fresh(ctx)
  local dir = ctx.dir .. "/got"
  helper.run("rm -rf " .. quote(dir) .. "; mkdir -p " .. quote(dir) .. "; chmod 777 " .. quote(dir))
  return dir
end

local function same_files(ctx, dir, paths)
  for _, path in ipairs(paths) do
    local ok, why = harness.same(ctx.www .. "/" .. path, dir .. "/" .. base_name(path))
    if not ok then return nil, path .. ": " .. why end
  end
  return true
end

local function parallel_paths()
  local paths = {}
  for index = 0, PARALLEL - 1 do paths[#paths + 1] = "p/" .. index end
  return paths
end

--- Cases of a client from its functions: fetch(ctx, paths, dir), post(ctx, file, path), head(ctx, path) → its output,
--- status(ctx, path) → the status.
local function client_cases(client)
  local cases = {}
  for name, path in pairs(downloads) do
    cases[name] = function(ctx)
      local dir = fresh(ctx)
      local ok, why = client.fetch(ctx, { path }, dir)
      if not ok then return nil, why end
      return same_files(ctx, dir, { path })
    end
  end
  cases["100 parallel"] = function(ctx)
    local dir = fresh(ctx)
    local ok, why = client.fetch(ctx, parallel_paths(), dir)
    if not ok then return nil, why end
    return same_files(ctx, dir, parallel_paths())
  end
  cases["POST 10 MB"] = function(ctx)
    local dir = fresh(ctx)
    local ok, why = client.post(ctx, ctx.post, dir .. "/echo")
    if not ok then return nil, why end
    return harness.same(ctx.post, dir .. "/echo")
  end
  cases.HEAD = function(ctx)
    local output, why = client.head(ctx, "1M")
    if not output then return nil, why end
    if not output:find("200") then return nil, "no status 200 in\n" .. output end
    return true
  end
  cases["404"] = function(ctx)
    local status, why = client.status(ctx, "no/such/file")
    if status ~= "404" then return nil, "status " .. tostring(status) .. " " .. tostring(why) end
    return true
  end
  return cases
end

local function urls(port, paths)
  local words = {}
  for _, path in ipairs(paths) do words[#words + 1] = ("https://localhost:%d/%s"):format(port, path) end
  return words
end

-- ------------------------------------------------------------------ clients

local gtlsclient = {}

local function gtlsclient_call(ctx, port, options, paths)
  return harness.call(ctx.inside(("gtlsclient %s --exit-on-all-streams-close 127.0.0.1 %d %s"):format(
    options, port, table.concat(urls(port, paths), " "))))
end

function gtlsclient.fetch(ctx, paths, dir)
  return gtlsclient_call(ctx, ctx.files_port, ("-q -n %d --download=%s"):format(#paths, ctx.path(dir)), paths)
end

function gtlsclient.post(ctx, file, out)
  return gtlsclient_call(ctx, ctx.app_port, ("-q -m POST -d %s --download=%s"):format(
    ctx.path(file), ctx.path(out:match("^(.*)/"))), { base_name(out) })
end

function gtlsclient.head(ctx, path)
  return gtlsclient_call(ctx, ctx.files_port, "-m HEAD --no-quic-dump --no-http-dump", { path })
end

function gtlsclient.status(ctx, path)
  local output, why = gtlsclient_call(ctx, ctx.files_port, "--no-quic-dump --no-http-dump", { path })
  return output and output:match("%[:status: (%d+)%]"), why
end

function gtlsclient.visits(ctx, port, paths, how)
  local dir, texts = fresh(ctx), {}
  local words = ("-q --session-file=%s --tp-file=%s --download=%s"):format(ctx.path(dir .. "/session"),
    ctx.path(dir .. "/parameters"), ctx.path(dir))
  if not how.early then words = words .. " --disable-early-data" end
  if how.certificate then
    words = ("%s --cert=%s --key=%s"):format(words, ctx.path(ctx.certs.client_cert), ctx.path(ctx.certs.client_key))
  end
  for i, path in ipairs(paths) do
    os.remove(dir .. "/" .. path) -- it would append
    local ok, why = gtlsclient_call(ctx, port, words, { path })
    texts[i] = helper.read_file(dir .. "/" .. path)
    -- It says that all is well where it was refused.
    if not ok or (texts[i] or "") == "" then return nil, why or ok end
  end
  return texts
end

local curl = {}

local function curl_call(ctx, port, options)
  return harness.call(ctx.inside(("curl -sS --http3-only --cacert %s --resolve localhost:%d:127.0.0.1 %s"):format(
    ctx.path(ctx.certs.ca), port, options)))
end

function curl.fetch(ctx, paths, dir)
  local words = { "--parallel --parallel-max 100 --fail" }
  for index, url in ipairs(urls(ctx.files_port, paths)) do
    words[#words + 1] = ("-o %s %s"):format(ctx.path(dir .. "/" .. base_name(paths[index])), url)
  end
  return curl_call(ctx, ctx.files_port, table.concat(words, " "))
end

function curl.post(ctx, file, out)
  return curl_call(ctx, ctx.app_port, ("--fail --data-binary @%s -o %s https://localhost:%d/echo"):format(
    ctx.path(file), ctx.path(out), ctx.app_port))
end

function curl.head(ctx, path)
  return curl_call(ctx, ctx.files_port, "-I " .. urls(ctx.files_port, { path })[1])
end

function curl.status(ctx, path)
  return curl_call(ctx, ctx.files_port, "-o /dev/null -w %{http_code} " .. urls(ctx.files_port, { path })[1])
end

function curl.visits(ctx, port, paths, how)
  local texts = {}
  local words = how.certificate and ("--cert %s --key %s "):format(ctx.path(ctx.certs.client_cert),
    ctx.path(ctx.certs.client_key)) or ""
  for i, path in ipairs(paths) do
    local text, why = curl_call(ctx, port, words .. urls(port, { path })[1])
    if not text then return nil, why end
    texts[i] = text
  end
  return texts
end

--- What else is built of curl: a library with ngtcp2 and GnuTLS.
local libcurl = {}

function libcurl.visits(ctx, port, paths, how)
  local certs = ctx.certs
  local output, why = harness.call(ctx.inside(("python3 %s libcurl-gnutls.so.4 %s %s %s %s %s"):format(
    ctx.path(helper.source_dir .. "/spec/interop/curl_visits.py"), ctx.path(certs.ca),
    how.certificate and ctx.path(certs.client_cert) or "-", how.certificate and ctx.path(certs.client_key) or "-",
    how.early and "early" or "-", table.concat(urls(port, paths), " "))))
  if not output then return nil, why end
  local texts = {}
  for text in output:gmatch("[^\n]+") do texts[#texts + 1] = text end
  return texts
end

local aioquic = {}

local function aioquic_call(ctx, port, options, paths)
  local words = {}
  for _, path in ipairs(paths) do words[#words + 1] = "/" .. path end
  return harness.call(ctx.inside(("python3 %s --ca %s %s 127.0.0.1 %d %s"):format(
    ctx.path(helper.source_dir .. "/spec/interop/aioquic_client.py"), ctx.path(ctx.certs.ca), options, port,
    table.concat(words, " "))), 300)
end

function aioquic.fetch(ctx, paths, dir)
  return aioquic_call(ctx, ctx.files_port, "--out " .. ctx.path(dir), paths)
end

function aioquic.post(ctx, file, out)
  return aioquic_call(ctx, ctx.app_port, ("--method POST --data %s --out %s"):format(
    ctx.path(file), ctx.path(out:match("^(.*)/"))), { "echo" })
end

--- aioquic 1.2 takes a content-length without a body for an error, in answers to HEAD too: an empty file it is.
function aioquic.head(ctx)
  return aioquic_call(ctx, ctx.files_port, "--method HEAD", { "zero" })
end

function aioquic.status(ctx, path)
  local output, why = aioquic_call(ctx, ctx.files_port, "", { path })
  return output and output:match("^(%d+)"), why
end

function aioquic.visits(ctx, port, paths, how)
  local dir, texts = fresh(ctx), {}
  local words = ("--out %s --session %s"):format(ctx.path(dir), ctx.path(dir .. "/session"))
  if how.early then words = words .. " --early" end
  if how.certificate then
    words = ("%s --cert %s --key %s"):format(words, ctx.path(ctx.certs.client_cert), ctx.path(ctx.certs.client_key))
  end
  for i, path in ipairs(paths) do
    local ok, why = aioquic_call(ctx, port, words, { path })
    if not ok then return nil, why end
    texts[i] = helper.read_file(dir .. "/" .. path)
  end
  return texts
end

--- openssl speaks QUIC and no HTTP/3, and its one stream is the first that comes: our control stream. So it sees the
--- handshake, the certificate, the protocol, and that SETTINGS come first there (RFC 9114 §6.2.1, §7.2.4).
local function openssl_call(ctx, port, words)
  local command = ("(sleep 1) | timeout 4 openssl s_client -quic -alpn h3 -connect 127.0.0.1:%d "
    .. "-servername localhost -CAfile %s -verify_return_error %s"):format(port, ctx.path(ctx.certs.ca), words)
  -- The program may end with an error when its standard input ends; what it printed counts.
  local output, _, all = harness.call(ctx.inside("sh -c " .. quote(command)), 30)
  return output or all
end

local function openssl_trace(ctx, port, words)
  return openssl_call(ctx, port, "-trace " .. words)
end

local function openssl_handshake(ctx)
  local output = openssl_call(ctx, ctx.files_port, "")
  for _, wanted in ipairs({ "Verify return code: 0 (ok)", "ALPN protocol: h3", "Protocol: QUICv1", "\0\4" }) do
    if not output:find(wanted, 1, true) then return nil, ("no %q in\n%s"):format(wanted, output) end
  end
  return true
end

local chromium_cases = {
  ["POST 10 MB"] = chromium_peer.post, HEAD = chromium_peer.head, ["404"] = chromium_peer.missing,
  ["100 parallel"] = chromium_peer.fetches(parallel_paths()),
}
for name, path in pairs(downloads) do chromium_cases[name] = chromium_peer.fetches({ path }) end

peers.clients = {
  { name = "gtlsclient", program = "gtlsclient", cases = client_cases(gtlsclient),
    tls_cases = tls_cases.client(gtlsclient.visits, { "X25519MLKEM768" }) },
  -- curl of OpenSSL's QUIC keeps no sessions: lib/vquic/curl_osslq.c has no function for new ones.
  { name = "curl", program = "curl", cases = client_cases(curl),
    tls_cases = tls_cases.client(curl.visits, { "resumed", "0-RTT", "0-RTT rejected", "0-RTT repeated",
      "resumed with it" }) },
  { name = "libcurl-gnutls", program = "python3", cases = {},
    tls_cases = tls_cases.client(libcurl.visits, { "X25519MLKEM768" }) },
  -- It has shares of all its groups in its first ClientHello, which is of 1024 bytes at most: too few for a ticket with
  -- a certificate.
  { name = "aioquic", program = "python3", cases = client_cases(aioquic),
    tls_cases = tls_cases.client(aioquic.visits, { "resumed with it", "HelloRetryRequest", "X25519MLKEM768" }) },
  { name = "openssl s_client", program = "openssl", cases = { handshake = openssl_handshake },
    tls_cases = tls_cases.openssl_client(openssl_trace) },
  { name = "Chromium", program = "chromium", is_out_here = true, cases = chromium_cases,
    tls_cases = tls_cases.client(chromium_peer.visits, { "client certificate", "resumed with it" }) },
}

-- ------------------------------------------------------------------ servers

--- What our client does with any server. `echo` is where a POST is given back; without it only the status counts.
--- `nothing` is a page of no bytes, where an empty file is none.
local function server_cases(host, echo, nothing)
  local cases = {}
  local function url(ctx, path)
    return ("https://%s:%d/%s"):format(host, ctx.port, path)
  end
  local function client(ctx, words, seconds)
    return harness.call(("%s run %s/spec/interop/client.lua %s %s"):format(
      ctx.neap, helper.source_dir, ctx.certs.ca, words), seconds)
  end
  for name, path in pairs(downloads) do
    cases[name] = function(ctx)
      local dir = fresh(ctx)
      local ok, why = harness.call(("%s get --ca %s -o %s/%s %s"):format(
        ctx.neap, ctx.certs.ca, dir, base_name(path), url(ctx, path == "zero" and nothing or path)), 300)
      if not ok then return nil, why end
      return same_files(ctx, dir, { path })
    end
  end
  cases["100 parallel"] = function(ctx)
    local dir = fresh(ctx)
    local ok, why = client(ctx, ("parallel %s %s %d"):format(url(ctx, "p/"), dir, PARALLEL))
    if not ok then return nil, why end
    return same_files(ctx, dir, parallel_paths())
  end
  cases["POST 10 MB"] = function(ctx)
    local dir = fresh(ctx)
    local output, why = client(ctx, ("post %s %s %s/echo"):format(url(ctx, echo or "one"), ctx.post, dir), 300)
    if not output then return nil, why end
    if not output:find("^200\n") then return nil, "status " .. output end
    if not echo then return true end
    return harness.same(ctx.post, dir .. "/echo")
  end
  cases.HEAD = function(ctx)
    local output, why = client(ctx, "head " .. url(ctx, "1M"))
    if not output then return nil, why end
    if output ~= "200\t1048576\t0\n" then return nil, output end
    return true
  end
  cases["404"] = function(ctx)
    local output, why = client(ctx, "status " .. url(ctx, "no/such/file"))
    if not output then return nil, why end
    if output ~= "404\n" then return nil, output end
    return true
  end
  return cases
end

local function start(ctx, command, options)
  options = options or {}
  return harness.start(ctx.inside(command), {
    dir = ctx.dir, name = options.name or command:match("^%S+"), port = options.port or ctx.port, seconds = 60,
  })
end

-- Groups as each program names them.
local OPENSSL_GROUPS = { secp384r1 = "P-384", X25519MLKEM768 = "X25519MLKEM768" }

--- Functions that start servers take options: asks (for a certificate of the specs' root), group (it has no other).
local function start_gtlsserver(words)
  return function(ctx, options)
    local more = words
    if options.asks then more = more .. " --verify-client" end -- it takes any
    if options.group then more = more .. " --groups=-GROUP-ALL:+GROUP-" .. options.group:upper() end
    return { start(ctx, ("gtlsserver -q %s -d %s 127.0.0.1 %d %s %s"):format(more, ctx.path(ctx.www), ctx.port,
      ctx.path(ctx.certs.key), ctx.path(ctx.certs.cert))) }
  end
end

local function start_aioquic(words)
  return function(ctx)
    return { start(ctx, ("python3 %s %s 127.0.0.1 %d %s %s %s"):format(
      ctx.path(helper.source_dir .. "/spec/interop/aioquic_server.py"), words, ctx.port, ctx.path(ctx.certs.key),
      ctx.path(ctx.certs.cert), ctx.path(ctx.www)), { name = "aioquic" }) }
  end
end

local function start_backend(ctx)
  return start(ctx, ("python3 %s %d %s"):format(ctx.path(helper.source_dir .. "/spec/interop/backend.py"),
    ctx.backend_port, ctx.path(ctx.www)), { name = "backend", port = ctx.backend_port })
end

--- Fills {names} of a configuration; tls: what stands there for TLS.
local function configure(ctx, name, text, tls)
  local values = { port = ctx.port, backend = ctx.backend_port, www = ctx.path(ctx.www), dir = ctx.path(ctx.dir),
    cert = ctx.path(ctx.certs.cert), key = ctx.path(ctx.certs.key), both = ctx.path(ctx.certs.both), tls = tls }
  local file = ctx.dir .. "/" .. name
  helper.write_file(file, (text:gsub("<(%w+)>", function(key) return tostring(assert(values[key], key)) end)))
  return ctx.path(file)
end

local NGINX = [[
user root;
daemon off;
worker_processes 1;
pid <dir>/nginx.pid;
error_log stderr warn;
events {}
http {
  access_log off;
  client_max_body_size 64m;
  client_body_temp_path <dir>/nginx.body;
  proxy_temp_path <dir>/nginx.proxy;
  server {
    listen 127.0.0.1:<port> quic reuseport;
    quic_retry on;
    ssl_certificate <cert>;
    ssl_certificate_key <key>;
    <tls>
    root <www>;
    location /echo { proxy_pass http://127.0.0.1:<backend>; proxy_http_version 1.1; }
  }
}
]]

local function start_nginx(ctx, options)
  local tls = ""
  if options.asks then
    tls = ("ssl_client_certificate %s; ssl_verify_client on;"):format(ctx.path(ctx.certs.ca))
  end
  if options.group then tls = ("%s ssl_ecdh_curve %s;"):format(tls, OPENSSL_GROUPS[options.group]) end
  return { start_backend(ctx), start(ctx, "nginx -c " .. configure(ctx, "nginx.conf", NGINX, tls)) }
end

local HAPROXY = [[
global
  limited-quic
defaults
  mode http
  timeout client 60s
  timeout server 60s
  timeout connect 5s
frontend h3
  bind quic4@127.0.0.1:<port> ssl crt <both> alpn h3 <tls>
  default_backend files
backend files
  server backend 127.0.0.1:<backend>
]]

local function start_haproxy(ctx, options)
  local tls = ""
  if options.asks then tls = ("ca-file %s verify required"):format(ctx.path(ctx.certs.ca)) end
  if options.group then tls = ("%s curves %s"):format(tls, OPENSSL_GROUPS[options.group]) end
  return { start_backend(ctx), start(ctx, "haproxy -db -f " .. configure(ctx, "haproxy.cfg", HAPROXY, tls)) }
end

local CADDY = [[
{
  admin off
  auto_https off
  default_sni localhost
  servers {
    protocols h1 h2 h3
  }
}
https://localhost:<port> {
  bind 127.0.0.1
  tls <cert> <key> {
    <tls>
  }
  root * <www>
  handle /echo {
    reverse_proxy 127.0.0.1:<backend>
  }
  handle {
    file_server
  }
}
]]

local function start_caddy(ctx, options)
  local tls = ""
  if options.asks then
    tls = ("client_auth {\n mode require_and_verify\n trusted_ca_cert_file %s\n }\n"):format(ctx.path(ctx.certs.ca))
  end
  if options.group then tls = tls .. "curves " .. options.group end
  return { start_backend(ctx), start(ctx, "caddy run --adapter caddyfile --config "
    .. configure(ctx, "Caddyfile", CADDY, tls)) }
end

--- A server as the tables have it: `without` are the cases of TLS that it has not.
local function server(name, program, run, host, without, echo, nothing)
  return { name = name, program = program, cases = server_cases(host, echo, nothing),
    start = run, tls_cases = tls_cases.server(host, run, without) }
end

local NO_EARLY = { "0-RTT", "0-RTT rejected" }
local NO_MORE = { "client certificate", "HelloRetryRequest", "X25519MLKEM768" }

peers.servers = {
  -- gtlsserver answers a POST as if it were a GET, after the whole body, and before 1.0 an empty file with 404.
  server("gtlsserver", "gtlsserver", start_gtlsserver(""), "127.0.0.1", { "X25519MLKEM768" }, nil, "0"),
  server("gtlsserver -V (Retry)", "gtlsserver", start_gtlsserver("-V"), "127.0.0.1", { "X25519MLKEM768" }, nil, "0"),
  server("aioquic", "python3", start_aioquic(""), "localhost", NO_MORE, "echo"),
  server("aioquic (Retry)", "python3", start_aioquic("--retry"), "localhost", NO_MORE, "echo"),
  -- 0-RTT over OpenSSL's TLS is in neither nginx 1.26 nor haproxy 3.0; caddy 2.6 does not know the name of the group.
  server("nginx (Retry)", "nginx", start_nginx, "localhost", NO_EARLY, "echo"),
  server("haproxy", "haproxy", start_haproxy, "localhost", NO_EARLY, "echo"),
  server("caddy", "caddy", start_caddy, "localhost", { "X25519MLKEM768" }, "echo"),
}

--- Starts our two servers: files by `neap serve`, /echo by a Lua program. Returns their processes.
function peers.start_neap(ctx)
  ctx.files_port = harness.free_port()
  ctx.app_port = harness.free_port()
  return {
    harness.start(("%s serve %s --listen 127.0.0.1:%d --cert %s --key %s"):format(
      ctx.neap, ctx.www, ctx.files_port, ctx.certs.cert, ctx.certs.key),
      { dir = ctx.dir, name = "neap-serve", port = ctx.files_port }),
    harness.start(("%s run %s/spec/interop/app.lua %d %s %s"):format(
      ctx.neap, helper.source_dir, ctx.app_port, ctx.certs.cert, ctx.certs.key),
      { dir = ctx.dir, name = "neap-app", port = ctx.app_port }),
  }
end

--- A context with certificates and files in `dir`. `in_root` runs peers by scripts/peers, in its Debian 13.
function peers.context(dir, in_root)
  local ctx = { dir = dir, neap = harness.neap(), certs = harness.make_certificates(dir), www = harness.make_files(dir),
    post = dir .. "/10M" }
  if in_root then
    function ctx.inside(command) return helper.source_dir .. "/scripts/peers exec " .. command end
    ctx.neap_ml_kem = os.getenv("NEAP_ML_KEM")
    function ctx.path(file)
      assert(file:sub(1, #helper.source_dir) == helper.source_dir, "not in the tree: " .. file)
      return "/neap" .. file:sub(#helper.source_dir + 1)
    end
  else
    function ctx.inside(command) return command end
    function ctx.path(file) return file end
  end
  return ctx
end

--- Gives a server peer its ports, so that its start() can be called.
function peers.choose_ports(ctx)
  ctx.port = harness.free_port()
  ctx.backend_port = harness.free_port()
end

return peers
