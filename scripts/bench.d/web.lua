--- Requests through an application, by HTTP/3, 2 and 1.1: luajit scripts/bench.d/web.lua [--write]; started by
--- scripts/bench web, which says what the environment may hold.
package.path = "./?.lua;./scripts/bench.d/?.lua;" .. package.path

local cjson = require("cjson")
local helper = require("spec.helper")
helper.source_dir, helper.build_dir = ".", helper.run("pwd"):match("[^\n]+") .. "/build/release"
local harness = require("spec.interop.harness")
local page = require("page")
local peers = require("peers")

local ROUNDS = tonumber(os.getenv("NEAP_BENCH_ROUNDS") or 5)
local SECONDS = tonumber(os.getenv("NEAP_BENCH_SECONDS") or 1)
local PROTOCOLS = { "h3", "h2", "h1" }

local last_core = tonumber((helper.run("nproc"))) - 1
local dir = helper.make_dir()
local client = helper.build_dir .. "/neap"

-- ---- servers

local NGINX = [[
%s
user root;
daemon off;
worker_processes 1;
pid <dir>/<name>.pid;
error_log stderr warn;
events { worker_connections 4096; }
http {
  access_log off;
  sendfile on;
  keepalive_requests 1000000000;
  quic_gso on;
  client_body_temp_path <dir>/<name>.body;
  proxy_temp_path <dir>/<name>.proxy;
  fastcgi_temp_path <dir>/<name>.fastcgi;
  uwsgi_temp_path <dir>/<name>.uwsgi;
  scgi_temp_path <dir>/<name>.scgi;
  open_file_cache max=100;
  default_type text/plain;
  %s
}
]]

local UPSTREAM = [[
  server {
    listen 127.0.0.1:<up>;
    location / { return 200 "hello tide\n"; }
  }
]]

local SITE = [[
  upstream up { server 127.0.0.1:<up>; keepalive 64; keepalive_requests 1000000000; }
  server {
    listen 127.0.0.1:<port> quic reuseport;
    listen 127.0.0.1:<port> ssl;
    http2 on;
    http3_max_concurrent_streams 128;
    ssl_certificate <cert>;
    ssl_certificate_key <key>;
    location /files/ { alias <www>/; }
    location /up/ { proxy_pass http://up/; proxy_http_version 1.1; proxy_set_header Connection ""; }
]]

-- What lua_package_path finds is the root's.
local LUA = [[
  lua_package_path "<root>/usr/share/lua/5.1/?.lua;;";
  lua_package_cpath "<root>/usr/lib/x86_64-linux-gnu/lua/5.1/?.so;;";
  init_by_lua_block { cjson = require "cjson" }
]]

local LUA_PLACES = [[
    location /hello/ {
      content_by_lua_block { ngx.print("hello ", ngx.var.uri:sub(8), "\n") }
    }
    location /api/items/ {
      content_by_lua_block {
        local header = ngx.header
        header["x-request-id"] = ngx.var.request_id
        header["x-content-type-options"] = "nosniff"
        header["x-frame-options"] = "DENY"
        header["referrer-policy"] = "no-referrer"
        header["access-control-allow-origin"] = "https://app.example"
        header["content-type"] = "application/json"
        ngx.print(cjson.encode { id = tonumber(ngx.var.uri:match("%d+")), name = "gauge", ok = true,
          values = { 1, 2, 3, 4, 5, 6, 7, 8 } })
      }
    }
]]

local HAPROXY = [[
global
  nbthread 1
  limited-quic
  maxconn 4096
defaults
  mode http
  timeout client 60s
  timeout server 60s
  timeout connect 5s
frontend web
  bind quic4@127.0.0.1:<port> ssl crt <both> alpn h3
  bind 127.0.0.1:<port> ssl crt <both> alpn h2,http/1.1
  http-request return status 200 content-type text/plain string "hello tide" if { path_beg /hello/ }
  default_backend up
backend up
  http-reuse always
  http-request replace-path /up/(.*) /\1
  server up 127.0.0.1:<up>
]]

local function fill(ctx, text)
  return (text:gsub("<(%w+)>", ctx))
end

local function configured(ctx, name, text)
  local file = ("%s/%s.conf"):format(dir, name)
  ctx.name = name
  helper.write_file(file, fill(ctx, text))
  return file
end

local function start(name, words, port)
  return harness.start(peers.on_core(0, words), { dir = dir, name = name, port = port, seconds = 60 })
end

local function start_nginx(ctx, name, port, text, lua)
  local load = lua and "load_module " .. ctx.root .. "/usr/lib/nginx/modules/ndk_http_module.so;\nload_module "
    .. ctx.root .. "/usr/lib/nginx/modules/ngx_http_lua_module.so;" or ""
  local file = configured(ctx, name, NGINX:gsub("%%s", load, 1):gsub("%%s", function() return text end, 1))
  return start(name, ("%s -p %s -e stderr -c %s"):format(peers.command("nginx"), dir, file), port)
end

local function start_all(certs)
  local common = { dir = dir, www = dir .. "/www", cert = certs.cert, key = certs.key, both = certs.both,
    root = os.getenv("NEAP_BENCH_ROOT"), up = harness.free_port() }
  start_nginx(common, "upstream", common.up, UPSTREAM)
  local servers = {}
  local function add(title, can, begin)
    local ctx = setmetatable({ port = harness.free_port() }, { __index = common })
    servers[#servers + 1] = { title = title, can = can, port = ctx.port, pid = begin(ctx).pid }
  end
  add("neap", { handler = true, json = true, file = true, proxy = true }, function(ctx)
    return start("neap", ("%s run scripts/bench.d/web_app.lua %d %s %s %s %d"):format(client, ctx.port, ctx.cert,
      ctx.key, ctx.www, ctx.up), ctx.port)
  end)
  if peers.command("nginx") then
    local has_lua = io.open(common.root .. "/usr/lib/nginx/modules/ngx_http_lua_module.so")
    local can = { handler = has_lua, json = has_lua, file = true, proxy = true }
    add(has_lua and "nginx, its Lua module" or "nginx", can, function(ctx)
      return start_nginx(ctx, "nginx", ctx.port, (has_lua and LUA or "") .. SITE .. (has_lua and LUA_PLACES or "")
        .. "  }\n", has_lua)
    end)
  end
  if peers.command("haproxy") then
    add("haproxy", { handler = true, proxy = true }, function(ctx)
      return start("haproxy", ("%s -db -f %s"):format(peers.command("haproxy"), configured(ctx, "haproxy", HAPROXY)),
        ctx.port)
    end)
  end
  return servers
end

-- ---- loads

local PATHS = { handler = "/hello/tide", json = "/api/items/7", file = "/files/1K", proxy = "/up/tide" }
local TITLES = { { "handler", "a Lua handler (haproxy: a text of its configuration)" },
  { "json", "JSON behind five middlewares (nginx: the same fields in one handler)" }, { "file", "a file of 1 KiB" },
  { "proxy", "a proxy before nginx" } }

-- How many requests were answered, and in how many seconds.
local function ask(protocol, url, port)
  local words
  if protocol == "h3" then
    words = ("timeout 60 %s bench -k --json --connect 127.0.0.1:%d -c 16 -m 4 -D %g %s"):format(client, port,
      SECONDS, url)
    local output = helper.run(peers.on_core(last_core, words))
    local result = cjson.decode((assert(output:match("{.*}"), output)))
    assert(result.failed == 0 and #result.statuses == 1 and result.statuses[1].status == 200, output)
    return result.finished, result.requests_per_second
  end
  words = ("timeout 60 h2load -c 16 -m %d -D %g %s %s"):format(protocol == "h2" and 4 or 1, SECONDS,
    protocol == "h1" and "--h1" or "", url)
  local output = helper.run(peers.on_core(last_core, words))
  local done, failed = output:match("(%d+) succeeded, (%d+) failed")
  assert(tonumber(done or 0) > 0 and failed == "0" and output:find("status codes: " .. done .. " 2xx", 1, true), output)
  return tonumber(done), done / SECONDS
end

local function measure(server, protocol, what)
  local url = ("https://localhost:%d%s"):format(server.port, PATHS[what])
  local before = peers.cpu_of(server.pid)
  local finished, rate = ask(protocol, url, server.port)
  return (peers.cpu_of(server.pid) - before) / finished * 1e6, rate
end

local function median(values)
  table.sort(values)
  return values[math.ceil(#values / 2)]
end

-- The rows of one kind of request: each server by turns, each protocol.
local function compare(servers, what)
  local cpu, rates = {}, {}
  for round = 1, ROUNDS do
    for _, protocol in ipairs(PROTOCOLS) do
      for i, server in ipairs(servers) do
        local at = protocol .. i
        cpu[at], rates[at] = cpu[at] or {}, rates[at] or {}
        if server.can[what] then cpu[at][round], rates[at][round] = measure(server, protocol, what) end
      end
    end
  end
  local rows = {}
  for i, server in ipairs(servers) do
    if server.can[what] then
      local cells = { server.title }
      for _, protocol in ipairs(PROTOCOLS) do
        cells[#cells + 1] = ("%.1f (%.0f)"):format(median(cpu[protocol .. i]), median(rates[protocol .. i]))
      end
      rows[#rows + 1] = "| " .. table.concat(cells, " | ") .. " |\n"
    end
  end
  return table.concat(rows)
end

harness.main(function()
  local certs = harness.make_certificates(dir)
  assert(select(2, helper.run(("mkdir -p %s/www && head -c 1024 /dev/zero >%s/www/1K && chmod -R a+rX %s"):format(dir,
    dir, dir))) == 0)
  local servers = start_all(certs)
  local out = { ("µs of the server's CPU a request, requests a second in brackets; 16 connections, of which each has\n"
    .. "4 requests at a time over HTTP/3 and 2; medians of %d rounds of %g s by turns; %s.\n"):format(ROUNDS, SECONDS,
      page.machine()) }
  for _, title in ipairs(TITLES) do
    out[#out + 1] = ("\n| %s | HTTP/3 | HTTP/2 | HTTP/1.1 |\n|---|---|---|---|\n"):format(title[2])
      .. compare(servers, title[1])
  end
  local text = table.concat(out)
  io.stdout:write(text)
  if arg[1] == "--write" then page.write("web", text) end
end, dir)
