--- The servers and clients that scripts/bench compare measures: how each is started, and what it can do.
--- A server: name, can (bulk, upload, requests, idle → true), start(ctx, what) → process; path is its small page. A
--- client: name, get(ctx, url), upload(ctx, url) → command. The context: dir, www, port, certs, neap, peer(program) →
--- words that run it, or nil where it is not installed.
local harness = require("spec.interop.harness")
local helper = require("spec.helper")

local peers = {}

local HANDLER = "scripts/bench.d/handler.lua"

-- ---- programs, of the root of scripts/peers or of this machine

local loader, root = os.getenv("NEAP_BENCH_LOADER") or "", os.getenv("NEAP_BENCH_ROOT") or ""

--- Where a program is, and the words before it that run it; nil where it is not installed.
function peers.path_of(program)
  for _, folder in ipairs(loader ~= "" and { root .. "/usr/bin/", root .. "/usr/sbin/" } or {}) do
    local file = io.open(folder .. program)
    if file then
      file:close()
      return folder .. program, loader .. " "
    end
  end
  local here = helper.run("command -v " .. program):match("%S+")
  return here, ""
end

--- The words that run it.
function peers.command(program)
  local path, words = peers.path_of(program)
  -- A program without libraries needs no loader, and does not run by one.
  if path and words ~= "" and helper.run("file -L " .. path):find("statically linked") then words = "" end
  return path and words .. path
end

--- CPU seconds of a process and all that it started.
function peers.cpu_of(pid)
  local sum = 0
  local lines, status = helper.run(("cat /proc/%d/task/*/schedstat"):format(pid))
  assert(status == 0, lines)
  for line in lines:gmatch("[^\n]+") do sum = sum + tonumber(line:match("^%d+")) / 1e9 end
  for child in helper.run("pgrep -P " .. pid):gmatch("%d+") do sum = sum + peers.cpu_of(tonumber(child)) end
  return sum
end

-- ---- servers and clients

-- Before every command: words that start it, such as "chrt -r 5".
local before = os.getenv("NEAP_BENCH_BEFORE") or ""

local function on_core(core, command) return ("%s taskset -c %d %s"):format(before, core, command) end

-- The server has the first core; the client another, where there is one.
local function start(ctx, name, command, ready)
  return harness.start(on_core(0, command), { dir = ctx.dir, name = name, port = not ready and ctx.port, ready = ready,
    seconds = 60 })
end

-- Fills {names} of a configuration and writes it.
local function configure(ctx, name, text)
  local values = { port = ctx.port, www = ctx.www, dir = ctx.dir, cert = ctx.certs.cert, key = ctx.certs.key,
    both = ctx.certs.both }
  helper.write_file(ctx.dir .. "/" .. name, (text:gsub("<(%w+)>", values)))
  return ctx.dir .. "/" .. name
end

local neap = { name = "neap", path = "/hello/tide", can = { bulk = true, upload = true, requests = true, idle = true } }

function neap.start(ctx, what)
  if what == "bulk" then
    return start(ctx, "neap-serve", ("%s serve %s --quiet --listen 127.0.0.1:%d --cert %s --key %s"):format(ctx.neap,
      ctx.www, ctx.port, ctx.certs.cert, ctx.certs.key))
  end
  return start(ctx, "neap-handler", ("%s run %s %d %s %s"):format(ctx.neap, HANDLER, ctx.port, ctx.certs.cert,
    ctx.certs.key))
end

-- The same with options that are not preset: rows of their own, in no ratio.
local sleeping = { name = "neap, busy_poll 0", path = neap.path, can = { requests = true } }

function sleeping.start(ctx)
  return start(ctx, "neap-sleeping", ("%s run %s %d %s %s 0"):format(ctx.neap, HANDLER, ctx.port, ctx.certs.cert,
    ctx.certs.key))
end

local jumbo = { name = "neap, datagrams of 64 KB", path = neap.path, can = { bulk = true } }

function jumbo.start(ctx)
  return start(ctx, "neap-jumbo", ("%s run scripts/bench.d/jumbo.lua %d %s %s %s"):format(ctx.neap, ctx.port,
    ctx.certs.cert, ctx.certs.key, ctx.www))
end

local gtls = { name = "gtlsserver", path = "/hello/tide",
  can = { bulk = true, upload = true, requests = true, idle = true } }

function gtls.start(ctx)
  return start(ctx, "gtlsserver", ("%s -q -d %s 127.0.0.1 %d %s %s"):format(ctx.peer("gtlsserver"), ctx.www, ctx.port,
    ctx.certs.key, ctx.certs.cert))
end

local nginx = { name = "nginx", path = "/hello/tide", can = { bulk = true, requests = true } }

local NGINX = [[
user root;
daemon off;
worker_processes 1;
pid <dir>/nginx.pid;
error_log stderr warn;
events { worker_connections 20000; }
http {
  access_log off;
  sendfile on;
  keepalive_requests 1000000000;
  quic_gso on;
  client_body_temp_path <dir>/nginx.body;
  proxy_temp_path <dir>/nginx.proxy;
  fastcgi_temp_path <dir>/nginx.fastcgi;
  uwsgi_temp_path <dir>/nginx.uwsgi;
  scgi_temp_path <dir>/nginx.scgi;
  open_file_cache max=100;
  server {
    listen 127.0.0.1:<port> quic reuseport;
    http3_max_concurrent_streams 128;
    ssl_certificate <cert>;
    ssl_certificate_key <key>;
    root <www>;
  }
}
]]

function nginx.start(ctx)
  return start(ctx, "nginx", ("%s -p %s -e stderr -c %s"):format(ctx.peer("nginx"), ctx.dir,
    configure(ctx, "nginx.conf", NGINX)))
end

-- It serves no files: an answer of its configuration's.
local haproxy = { name = "haproxy", path = "/hello/tide", can = { requests = true } }

local HAPROXY = [[
global
  nbthread 1
  limited-quic
defaults
  mode http
  timeout client 60s
frontend h3
  bind quic4@127.0.0.1:<port> ssl crt <both> alpn h3
  http-request return status 200 content-type text/plain string "hello tide"
]]

function haproxy.start(ctx)
  return start(ctx, "haproxy", ("%s -db -f %s"):format(ctx.peer("haproxy"), configure(ctx, "haproxy.cfg", HAPROXY)))
end

local caddy = { name = "caddy", path = "/hello/tide", can = { bulk = true, requests = true } }

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
  tls <cert> <key>
  root * <www>
  file_server
}
]]

function caddy.start(ctx)
  return start(ctx, "caddy", ("env HOME=%s GOMAXPROCS=1 %s run --adapter caddyfile --config %s"):format(ctx.dir,
    ctx.peer("caddy"), configure(ctx, "Caddyfile", CADDY)))
end

peers.servers = { neap, sleeping, jumbo, gtls, nginx, haproxy, caddy }
peers.programs = { gtlsserver = "gtlsserver", nginx = "nginx", haproxy = "haproxy", caddy = "caddy" }

local neap_client, gtls_client = { name = "neap" }, { name = "gtlsclient" }

function neap_client.get(ctx, url) return ("%s get -k -s -o /dev/null %s"):format(ctx.neap, url) end

function neap_client.upload(ctx, url)
  return ("%s get -k -s -o /dev/null -d @%s/www/1G %s"):format(ctx.neap, ctx.dir, url)
end

local function gtls_call(ctx, options, url)
  return ("%s -q --exit-on-all-streams-close %s 127.0.0.1 %d %s"):format(ctx.peer("gtlsclient"), options, ctx.port, url)
end

function gtls_client.get(ctx, url) return gtls_call(ctx, "", url) end

function gtls_client.upload(ctx, url) return gtls_call(ctx, ("-m POST -d %s/www/1G"):format(ctx.dir), url) end

peers.clients = { neap_client, gtls_client }
peers.on_core = on_core

return peers
