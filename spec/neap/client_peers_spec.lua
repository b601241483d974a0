--- The client over TCP with servers of others: nginx, and Python's of HTTP/1.0.
local helper = require "helper"
local leash = require "spec.support.leash"
local neap = require "neap"
local web = require "support.web"
local free_port = require("spec.interop.harness").free_port

local NGINX = [==[
daemon off; master_process off; pid <dir>/pid; error_log stderr; events { worker_connections 200; }
http { access_log off; client_body_temp_path <dir>/b; proxy_temp_path <dir>/p; fastcgi_temp_path <dir>/f;
  uwsgi_temp_path <dir>/u; scgi_temp_path <dir>/s; keepalive_requests 7; client_max_body_size 1000;
  ssl_certificate <dir>/cert.pem; ssl_certificate_key <dir>/key.pem; root <dir>/www;
  server { listen 127.0.0.1:<tls> ssl http2; listen 127.0.0.1:<plain>; }
  server { listen 127.0.0.1:<short> ssl; keepalive_timeout 0; } }
]==]

describe("a client over TCP with servers of others", function()
  local dir

  before_each(function()
    dir = helper.make_dir()
    local identity = web.identity()
    helper.write_file(dir .. "/cert.pem", identity.cert)
    helper.write_file(dir .. "/key.pem", identity.key)
    helper.run("mkdir " .. dir .. "/www")
    helper.write_file(dir .. "/www/small", "small")
    helper.write_file(dir .. "/www/large", ("large"):rep(200000))
  end)
  after_each(function()
    leash.end_all()
    helper.remove_dir(dir)
  end)

  local function start(command, port)
    leash.start(command, dir .. "/log")
    leash.wait_until(function()
      return helper.read_file("/proc/net/tcp"):find((":%04X "):format(port), 1, true)
    end)
  end

  -- One after the other, and many at once; none is lost whatever the server does with its connections.
  local function ask(client, url)
    for _ = 1, 20 do assert.equal("small", (assert(client:get(url .. "/small")):body())) end
    local questions = {}
    for i = 1, 30 do
      questions[i] = function() return #assert(assert(client:get(url .. "/large")):body()) end
    end
    local sizes = neap.all(questions)
    for i = 1, 30 do assert.equal(1000000, sizes[i]) end
  end

  it("loses no request of nginx', which takes seven of a connection, or one", function()
    if not helper.has_program "nginx" and not io.open "/usr/sbin/nginx" then return pending("needs nginx") end
    local tls, plain, short = free_port(), free_port(), free_port()
    local values = { dir = dir, tls = tls, plain = plain, short = short }
    helper.write_file(dir .. "/nginx.conf", (NGINX:gsub("<(%w+)>", values)))
    start(("/usr/sbin/nginx -e stderr -c %s/nginx.conf"):format(dir), short)
    web.run(function()
      for _, protocols in ipairs { { "h3", "h2", "http/1.1" }, { "h2" }, { "http/1.1" } } do
        local client = neap.client { verify_peer = false, protocols = protocols, timeout = 15 }
        ask(client, "https://127.0.0.1:" .. tls)
        if protocols[1] ~= "h2" then
          ask(client, "https://127.0.0.1:" .. short)
          ask(client, "http://127.0.0.1:" .. plain)
        end
        local res = assert(client:post("https://127.0.0.1:" .. tls .. "/small", { body = ("x"):rep(3e6) }))
        assert.equal(413, res.status)
        client:close()
      end
    end)
  end)

  it("loses none of Python's, which closes each", function()
    local port = free_port()
    start(("sh -c 'cd %s/www && exec python3 -m http.server %d --bind 127.0.0.1'"):format(dir, port), port)
    web.run(function()
      local client = neap.client { timeout = 15 }
      ask(client, "http://127.0.0.1:" .. port)
      client:close()
    end)
  end)
end)
