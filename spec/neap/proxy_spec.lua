--- A proxy in front of servers: ours, hostile ones that say what they are told, nginx and Python.
local neap = require "neap"
local helper = require "helper"
local leash = require "support.leash"
local web = require "support.web"

after_each(leash.end_all)

-- An upstream that has `answer(peer, head, count)` called for each request that it reads, on a Unix socket.
local function upstream_of(answer)
  local path = os.tmpname()
  os.remove(path)
  local self = { path = path, url = "unix:" .. path, heads = {}, connections = 0 }
  self.listener = assert(neap.unix.listen(path))
  neap.go(function()
    while true do
      local peer = self.listener:accept()
      if not peer then return end
      self.connections = self.connections + 1
      neap.go(function()
        local lines = {}
        while true do
          local line = peer:read("*l")
          if not line then break end
          line = line:gsub("\r$", "")
          if line ~= "" then
            lines[#lines + 1] = line
          else
            self.heads[#self.heads + 1] = table.concat(lines, "\n")
            local head = table.concat(lines, "\n")
            lines = {}
            if answer(peer, head, #self.heads) == false then break end
          end
        end
        self.was_closed = true
        peer:close()
      end)
    end
  end)
  function self.close() self.listener:close() end
  return self
end

local function ok(text)
  return ("HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s"):format(#text, text)
end

-- fn(client, url, proxy, server) with a proxy in front of `upstreams` at every path.
local function with_proxy(upstreams, given, fn, listen)
  local proxy
  return web.with_app(function(app)
    proxy = neap.proxy(upstreams, given)
    app:any("/*", proxy)
  end, function(client, url, server)
    local done, err = xpcall(fn, debug.traceback, client, url, proxy, server)
    proxy:close()
    if not done then error(err, 0) end
  end, listen)
end

-- The same in front of one upstream that answers so.
local function with_upstream(answer, given, fn, listen)
  return web.run(function()
    local upstream = upstream_of(answer)
    with_proxy(upstream.url, given, function(client, url, proxy, server)
      fn(client, url, upstream, proxy, server)
    end, listen)
    upstream.close()
  end)
end

local function says(text)
  return function(peer) peer:write(text) end
end

local function has(head, line)
  return ("\n" .. head .. "\n"):find("\n" .. line .. "\n", 1, true) ~= nil
end

describe("a proxy", function()
  it("has another server answer, over one connection for request after request", function()
    with_upstream(says(ok "from behind\n"), nil, function(client, url, upstream, proxy)
      for _ = 1, 5 do
        local res = assert(client:get(url .. "/a/b?c=d%20e"))
        assert.equal(200, res.status)
        assert.equal("from behind\n", res:body())
        assert.equal("1.1 neap", res.headers.via)
      end
      assert.equal(1, upstream.connections)
      assert.equal("GET /a/b?c=d%20e HTTP/1.1", upstream.heads[1]:match("^[^\n]*"))
      local status = proxy:status()[1]
      assert.equal(5, status.requests)
      assert.equal(1, status.idle)
      assert.equal(0, status.active)
      assert.is_true(status.up)
    end)
  end)

  it("says who asked, and leaves out what the client says of that and of its connection", function()
    with_upstream(says(ok ""), nil, function(client, url, upstream)
      assert(client:get(url .. "/", { headers = { ["x-forwarded-for"] = "6.6.6.6", forwarded = "for=6.6.6.6",
        ["x-real-ip"] = "6.6.6.6", ["proxy-authorization"] = "secret", te = "trailers", via = "2 other",
        ["x-kept"] = "yes" } })):body()
      local head = upstream.heads[1]
      local host = url:match("//(.*)$")
      assert.is_true(has(head, "host: " .. host), head)
      assert.is_true(has(head, "x-forwarded-for: 127.0.0.1"), head)
      assert.is_true(has(head, "x-forwarded-proto: https"), head)
      assert.is_true(has(head, "x-forwarded-host: " .. host), head)
      assert.is_true(has(head, ('forwarded: for=127.0.0.1;host="%s";proto=https'):format(host)), head)
      assert.is_true(has(head, "via: 2 other, 3 neap"), head)
      assert.is_true(has(head, "x-kept: yes"), head)
      assert.is_nil(head:find("6.6.6.6", 1, true))
      assert.is_nil(head:find("secret", 1, true))
    end)
  end)

  it("goes on with what a trusted peer says of the client", function()
    with_upstream(says(ok ""), { trusted = { "127.0.0.0/8" }, host = "upstream" }, function(client, url, upstream)
      assert(client:get(url .. "/", { headers = { ["x-forwarded-for"] = "192.0.2.7", forwarded = "for=192.0.2.7",
        ["x-forwarded-proto"] = "http" } })):body()
      local head = upstream.heads[1]
      assert.is_true(has(head, "x-forwarded-for: 192.0.2.7, 127.0.0.1"), head)
      assert.is_true(has(head, "x-forwarded-proto: http"), head)
      assert.truthy(head:find("forwarded: for=192.0.2.7, for=127.0.0.1;", 1, true))
      assert.is_true(has(head, "host: localhost"), head)
    end)
  end)

  it("takes a part of the path away and puts another before it, and asks for what was routed", function()
    with_upstream(says(ok ""), { strip = "/api", prefix = "/v1" }, function(client, url, upstream)
      for path, sent in pairs { ["/api/x"] = "/v1/x", ["/api"] = "/v1/", ["/apix"] = "/v1/apix",
        ["/api/a/%2e%2e/b?q=../.."] = "/v1/b?q=../.." } do
        assert(client:get(url .. path)):body()
        assert.equal(("GET %s HTTP/1.1"):format(sent), upstream.heads[#upstream.heads]:match("^[^\n]*"))
      end
    end)
  end)

  it("answers HEAD with the length and no body, and hands on 204 and 304", function()
    with_upstream(function(peer, head)
      if head:find("^HEAD") then peer:write("HTTP/1.1 200 OK\r\nContent-Length: 17\r\n\r\n")
      elseif head:find("/204", 1, true) then peer:write("HTTP/1.1 204 No Content\r\n\r\n")
      else peer:write("HTTP/1.1 304 Not Modified\r\nETag: \"a\"\r\n\r\n") end
    end, nil, function(client, url, upstream)
      local res = assert(client:request("HEAD", url .. "/"))
      assert.equal("17", res.headers["content-length"])
      assert.equal("", res:body())
      assert.equal(204, assert(client:get(url .. "/204")).status)
      res = assert(client:get(url .. "/304"))
      assert.equal(304, res.status)
      assert.equal('"a"', res.headers.etag)
      assert.equal(1, upstream.connections)
    end)
  end)

  it("hands on interim responses and trailers", function()
    with_upstream(says("HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n"
      .. "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\nX-Sum: 3\r\n\r\n"), nil,
      function(client, url)
        local early = {}
        local res = assert(client:get(url .. "/", {
          on_informational = function(status) early[#early + 1] = status end,
        }))
        assert.same({ 103 }, early)
        assert.equal("abc", res:body())
        assert.equal("3", res:trailers()["x-sum"])
        assert.is_nil(res.headers["transfer-encoding"])
      end)
  end)

  it("says 502 for interim responses without end, also where it asks again over another connection", function()
    local lines = web.logged(function()
      with_upstream(function(peer, head)
        if head:find("^%u+ /first") then peer:write(ok "1") return end
        peer:write(("HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n"):rep(40) .. ok "late")
      end, nil, function(client, url)
        assert.equal("1", assert(client:get(url .. "/first")):body())
        assert.equal(502, assert(client:get(url .. "/")).status)
      end)
    end)
    assert.is_nil(lines:find(" error ", 1, true))
  end)

  it("says 502 for what is no response, and 504 for none in time, with a line in the log", function()
    local cases = {
      { "nonsense\r\n\r\n", 502 }, { "HTTP/1.1 99 x\r\n\r\n", 502 }, { "HTTP/2.0 200 OK\r\n\r\n", 502 },
      { "HTTP/1.1 200 OK\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", 502 },
      { "HTTP/1.1 200 OK\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\n", 502 },
      { "HTTP/1.1 200 OK\r\nX: " .. ("y"):rep(100000) .. "\r\n\r\n", 502 },
      { ("HTTP/1.1 102 Processing\r\n\r\n"):rep(10000), 502 }, { "", 504 },
    }
    for _, case in ipairs(cases) do
      local lines = web.logged(function()
        with_upstream(says(case[1]), { first_byte_timeout = 0.2 }, function(client, url)
          local res = assert(client:get(url .. "/"))
          assert.equal(case[2], res.status, case[1]:sub(1, 60))
        end)
      end)
      assert.truthy(lines:find("proxy: unix:", 1, true))
    end
  end)

  it("breaks off a response that its upstream breaks off, so that nobody takes it for whole", function()
    web.logged(function()
      with_upstream(function(peer)
        peer:write("HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhalf")
        return false
      end, nil, function(client, url)
        local res = assert(client:get(url .. "/"))
        local whole, message = res:body()
        assert.is_nil(whole)
        assert.truthy(message)
      end)
    end)
  end)

  it("asks again where a connection was closed under a request that may be repeated, and not for one that may not",
    function()
      web.logged(function()
        with_upstream(function(peer, head, count)
          if head:find("^%u+ /first") then peer:write(ok "1") return end
          if count % 2 == 0 then return false end
          peer:write(ok "again")
        end, nil, function(client, url, upstream)
          assert.equal("1", assert(client:get(url .. "/first")):body())
          assert.equal("again", assert(client:get(url .. "/")):body())
          assert.equal(3, #upstream.heads)
          assert.equal(502, assert(client:post(url .. "/", { body = "x" })).status)
          assert.equal(4, #upstream.heads)
        end)
      end)
    end)

  it("is counted by neap.metrics", function()
    with_upstream(says(ok ""), nil, function(client, url, upstream)
      assert(client:get(url .. "/")):body()
      local another = neap.proxy "http://127.0.0.1:1"
      local text = neap.metrics():render()
      another:close()
      assert.truthy(text:find('neap_upstream_requests_total{upstream="http://127.0.0.1:1"} 0', 1, true))
      assert.truthy(text:find(('neap_upstream_requests_total{upstream="%s"} 1'):format(upstream.url), 1, true))
      assert.truthy(text:find(('neap_upstream_up{upstream="%s"} 1'):format(upstream.url), 1, true))
      assert.truthy(text:find(('neap_upstream_idle{upstream="%s"} 1'):format(upstream.url), 1, true))
    end)
  end)

  it("ends connections that rest for too long, and all of them when it is closed", function()
    with_upstream(says(ok "x"), { idle_timeout = 0.1 }, function(client, url, upstream, proxy)
      assert.equal("x", assert(client:get(url .. "/")):body())
      assert.equal(1, proxy:status()[1].idle)
      local deadline = neap.now() + 5
      while not upstream.was_closed and neap.now() < deadline do neap.sleep(0.01) end
      assert.equal(0, proxy:status()[1].open)
    end)
    local begun = neap.now()
    with_upstream(says(ok "x"), { idle_timeout = 60 }, function(client, url)
      assert.equal("x", assert(client:get(url .. "/")):body())
    end)
    neap.run()
    assert.is_true(neap.now() - begun < 30)
  end)

  it("never takes what nobody asked for as an answer", function()
    with_upstream(function(peer, _, count)
      peer:write(ok(tostring(count)) .. (count == 1 and ok "smuggled" or ""))
    end, nil, function(client, url)
      assert.equal("1", assert(client:get(url .. "/")):body())
      neap.sleep(0.05)
      assert.equal("2", assert(client:get(url .. "/")):body())
    end)
  end)

  it("leaves nothing open upstream when the client has gone", function()
    with_upstream(function(peer)
      peer:write("HTTP/1.1 200 OK\r\nContent-Length: 1000000\r\n\r\nbegun")
    end, nil, function(client, url, upstream, proxy)
      local res = assert(client:get(url .. "/"))
      assert.equal("begun", res:read())
      res:close()
      local deadline = neap.now() + 5
      while not upstream.was_closed and neap.now() < deadline do neap.sleep(0.01) end
      assert.is_true(upstream.was_closed)
      assert.equal(0, proxy:status()[1].active)
    end)
  end)

  it("ends what it asked when the client goes before there is a response, or while its body is on its way", function()
    local lines = web.logged(function()
      with_upstream(says "", nil, function(client, url, upstream, proxy)
        for _, given in ipairs { {}, { body = function() neap.sleep(0.01) return "x" end } } do
          upstream.was_closed = false
          neap.go(function() client:request(given.body and "POST" or "GET", url .. "/", given) end)
          while not (upstream.heads[1] and proxy:status()[1].active == 1) do neap.sleep(0.01) end
          client:close()
          local deadline = neap.now() + 5
          while not upstream.was_closed and neap.now() < deadline do neap.sleep(0.01) end
          assert.is_true(upstream.was_closed)
          upstream.heads = {}
          client = neap.client { ca = web.identity().cert }
        end
        client:close()
        while proxy:status()[1].active > 0 do neap.sleep(0.01) end
        assert.equal(0, proxy:status()[1].failures)
      end)
    end)
    assert.equal("", lines)
  end)

  it("hands on what an upstream answers before it has the body, and asks nothing more over that connection", function()
    with_upstream(function(peer, head)
      if head:find("^GET") then peer:write(ok "next") return end
      peer:write("HTTP/1.1 413 Too Much\r\nContent-Length: 4\r\n\r\nstop")
      neap.sleep(1)
      return false
    end, nil, function(client, url, upstream, proxy)
      local res = assert(client:post(url .. "/", { body = ("x"):rep(10000000) }))
      assert.equal(413, res.status)
      assert.equal("stop", res:body())
      assert.equal("next", assert(client:get(url .. "/")):body())
      assert.equal(2, upstream.connections)
      assert.equal(1, proxy:status()[1].open)
    end)
  end)

  it("has no more connections than it may, and lets no more wait", function()
    web.logged(function()
      with_upstream(function(peer, _, count)
        if count == 1 then neap.sleep(0.5) end
        peer:write(ok "x")
      end, { connections = 1, queue = 1 }, function(client, url, upstream)
        local function ask() return assert(client:get(url .. "/")).status end
        local results = neap.all { ask, ask, ask, ask }
        table.sort(results)
        assert.same({ 200, 200, 503, 503 }, results)
        assert.equal(1, upstream.connections)
      end)
    end)
  end)

  it("carries bodies both ways as they come, and holds neither", function()
    web.run(function()
      local back = neap.app()
      back:post("/echo", function(req, res)
        for chunk in req:chunks() do res:write(chunk) end
      end)
      back:get("/much", function(_, res)
        for _ = 1, 300 do
          if not res:write(("x"):rep(100000)) then return end
        end
      end)
      local id = web.identity()
      local server = assert(back:listen { host = "127.0.0.1", port = 0, cert = id.cert, key = id.key, tcp = true })
      with_proxy("https://127.0.0.1:" .. server.port, { tls = { ca = id.cert } }, function(client, url)
        local sent = ("0123456789"):rep(300000)
        local res = assert(client:post(url .. "/echo", { body = sent }))
        assert.is_true(res:body() == sent)
        res = assert(client:get(url .. "/much"))
        neap.sleep(0.3)
        assert.is_true(server:stats().tcp.bytes_sent < 20000000)
        assert.equal(30000000, #res:body(1e8))
      end)
      server:close()
    end)
  end)
end)

describe("a proxy in front of others' servers", function()
  -- Runs a program that says `ready` at a port, and stops it.
  local function beside(words, port, fn)
    local log = os.tmpname()
    local process = leash.start(words, log)
    local made = require("neap.connector").new()
    local deadline = neap.now() + 10
    local session
    repeat
      session = made:connect("127.0.0.1:" .. port)
      if not session then neap.sleep(0.02) end
    until session or neap.now() > deadline
    made:close()
    local done, err = xpcall(fn, debug.traceback)
    leash.stop(process)
    local said = helper.read_file(log)
    os.remove(log)
    assert(session, said)
    if not done then error(err .. "\n" .. said, 0) end
  end

  local free_port = require("spec.interop.harness").free_port

  local function folder()
    local path = os.tmpname()
    os.remove(path)
    assert(os.execute("mkdir -p " .. path .. "/www"))
    return path
  end

  it("has nginx answer: files, ranges, many at a time", function()
    web.run(function()
      local port, path = free_port(), folder()
      helper.write_file(path .. "/www/a.txt", ("0123456789"):rep(20000))
      helper.write_file(path .. "/nginx.conf", ([==[
daemon off; master_process off; pid %s/pid; error_log stderr;
events { worker_connections 100; }
http { access_log off; client_body_temp_path %s/b; proxy_temp_path %s/p; fastcgi_temp_path %s/f;
  uwsgi_temp_path %s/u; scgi_temp_path %s/s;
  server { listen 127.0.0.1:%d; root %s/www; location /who { return 200 "$http_host $http_x_forwarded_for"; } } }
]==]):format(path, path, path, path, path, path, port, path))
      beside(("/usr/sbin/nginx -e stderr -c %s/nginx.conf"):format(path), port, function()
        with_proxy("http://127.0.0.1:" .. port, { connections = 4 }, function(client, url, proxy)
          assert.equal(200000, #assert(client:get(url .. "/a.txt")):body())
          local res = assert(client:get(url .. "/a.txt", { headers = { range = "bytes=3-5" } }))
          assert.equal(206, res.status)
          assert.equal("345", res:body())
          assert.equal(404, assert(client:get(url .. "/nothing")).status)
          assert.equal(url:match("//(.*)$") .. " 127.0.0.1", assert(client:get(url .. "/who")):body())
          local tasks = {}
          for i = 1, 40 do
            tasks[i] = function() return #assert(client:get(url .. "/a.txt")):body() end
          end
          for _, size in ipairs((neap.all(tasks))) do assert.equal(200000, size) end
          assert.is_true(proxy:status()[1].open <= 4)
        end)
      end)
      os.execute("rm -rf " .. path)
    end)
  end)

  it("has Python answer, whose server speaks HTTP/1.0 and closes", function()
    web.run(function()
      local port, path = free_port(), folder()
      helper.write_file(path .. "/app.py", ([==[
from wsgiref.simple_server import make_server
def app(env, start):
    size = int(env.get("CONTENT_LENGTH") or 0)
    body = env["wsgi.input"].read(size)
    start("200 OK", [("Content-Type", "text/plain")])
    return [("%%s %%s %%s " %% (env["REQUEST_METHOD"], env["PATH_INFO"], env["HTTP_X_FORWARDED_PROTO"])).encode() + body]
make_server("127.0.0.1", %d, app).serve_forever()
]==]):format(port))
      beside(("python3 %s/app.py"):format(path), port, function()
        with_proxy("http://127.0.0.1:" .. port, nil, function(client, url)
          for _ = 1, 3 do assert.equal("GET /x https ", assert(client:get(url .. "/x")):body()) end
          assert.equal("POST /y https some", assert(client:post(url .. "/y", { body = "some" })):body())
        end)
      end)
      os.execute("rm -rf " .. path)
    end)
  end)

  it("keeps what a connection names as its own on that connection, in both directions", function()
    with_upstream(says("HTTP/1.1 200 OK\r\nConnection: x-hop\r\nX-Hop: 1\r\nKeep-Alive: timeout=5\r\nX-End: 2\r\n"
      .. "Content-Length: 0\r\n\r\n"), nil, function(_, _, upstream, _, server)
      local socket = assert(neap.socket.connect("127.0.0.1", server.http_port))
      socket:settimeout(5)
      socket:send("GET / HTTP/1.1\r\nHost: a\r\nConnection: close, X-Own\r\nX-Own: 1\r\nX-End: 2\r\n\r\n")
      local answer = socket:receive("*a"):lower()
      socket:close()
      assert.truthy(answer:find("\r\nx-end: 2\r\n", 1, true), answer)
      assert.is_nil(answer:find("x-hop", 1, true))
      assert.is_nil(answer:find("keep-alive", 1, true))
      local head = upstream.heads[1]:lower()
      assert.is_true(has(head, "x-end: 2"), head)
      assert.is_nil(head:find("x-own", 1, true))
      assert.is_nil(head:find("connection: close", 1, true))
    end, { tcp = true, http_port = 0, plain = "serve" })
  end)

  it("answers clients of HTTP/1.1, and lets no request in whose end two could see differently", function()
    with_upstream(says(ok "behind"), nil, function(_, _, upstream, _, server)
      local made = assert(require("neap.connector").new())
      local Connector, read = require "neap.connector", require("neap.session").exchange_methods.read
      local session = assert(made:connect("127.0.0.1:" .. server.http_port))
      local exchange = assert(Connector.request(session,
        { ":method", "GET", ":scheme", "http", ":authority", "a", ":path", "/" }, true))
      assert.equal("200", assert(Connector.head(exchange, 5))[2])
      assert.equal("behind", read(exchange, nil, 5))
      session:forget(exchange)
      made:close()
      assert.is_true(has(upstream.heads[1], "via: 1.1 neap"))
      local before = #upstream.heads
      for _, text in ipairs {
        "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\nhello",
        "GET / HTTP/1.1\r\nHost: a\r\nX: y\n\tz\r\nTransfer-Encoding : chunked\r\n\r\n",
      } do
        local socket = assert(neap.socket.connect("127.0.0.1", server.http_port))
        socket:send(text)
        local line = socket:receive("*l")
        assert.truthy(line:find("^HTTP/1.1 400"), line)
        socket:close()
      end
      assert.equal(before, #upstream.heads)
    end, { tcp = true, http_port = 0, plain = "serve" })
  end)
end)

describe("a WebSocket through a proxy", function()
  local ASKED = "GET /chat HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
    .. "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n"

  local function head_of(socket)
    local lines = {}
    repeat
      local line = assert(socket:receive("*l"))
      lines[#lines + 1] = line
    until line == ""
    return table.concat(lines, "\n")
  end

  local function with_socket(answer, fn)
    with_upstream(answer, nil, function(_, _, upstream, proxy, server)
      local socket = assert(neap.socket.connect("127.0.0.1", server.http_port))
      socket:settimeout(5)
      socket:send(ASKED)
      fn(socket, upstream, proxy)
      socket:close()
    end, { tcp = true, http_port = 0, plain = "serve" })
  end

  local SWITCHES = "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
    .. "Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n"

  it("is bytes both ways once its upstream has agreed, until both have ended", function()
    with_socket(function(peer)
      peer:write(SWITCHES .. "hello ")
      while true do
        local bytes = peer:read()
        if not bytes then break end
        peer:write(bytes:upper())
      end
      peer:write("bye")
      return false
    end, function(socket, upstream, proxy)
      local head = head_of(socket)
      assert.truthy(head:find("^HTTP/1.1 101 "))
      assert.truthy(head:lower():find("\nupgrade: websocket\n", 1, true), head)
      assert.truthy(head:find("sec-websocket-accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=", 1, true))
      assert.is_true(has(upstream.heads[1], "upgrade: websocket"))
      assert.is_true(has(upstream.heads[1], "sec-websocket-key: dGhlIHNhbXBsZSBub25jZQ=="))
      assert.equal("hello ", socket:receive(6))
      for i = 1, 20 do
        local text = ("abc%d"):format(i):rep(1000)
        socket:send(text)
        assert.equal(text:upper(), (socket:receive(#text)))
      end
      socket:shutdown("send")
      assert.equal("bye", (socket:receive("*a")))
      while proxy:status()[1].active > 0 do neap.sleep(0.01) end
      assert.equal(0, proxy:status()[1].open)
    end)
  end)

  it("ends at the upstream when the client is gone", function()
    with_socket(function(peer)
      peer:write(SWITCHES)
      while peer:read() do end
      return false
    end, function(socket, upstream)
      head_of(socket)
      socket:close()
      local deadline = neap.now() + 5
      while not upstream.was_closed and neap.now() < deadline do neap.sleep(0.01) end
      assert.is_true(upstream.was_closed)
    end)
  end)

  it("is an ordinary response where its upstream does not agree", function()
    with_socket(says(ok "no"), function(socket)
      assert.truthy(head_of(socket):find("^HTTP/1.1 200 "))
      assert.equal("no", (socket:receive(2)))
    end)
  end)

  it("is 502 where its upstream goes over to what nobody asked for", function()
    web.logged(function()
      with_socket(says "HTTP/1.1 101 x\r\nConnection: upgrade\r\nUpgrade: h2c\r\n\r\n", function(socket)
        assert.truthy(head_of(socket):find("^HTTP/1.1 502 "))
      end)
      with_upstream(says(SWITCHES), nil, function(client, url)
        assert.equal(502, assert(client:get(url .. "/", { headers = { ["sec-websocket-version"] = "13" } })).status)
      end)
    end)
  end)
end)

describe("a group of upstreams", function()
  local function group(count, fn, given, answer)
    web.run(function()
      local list, urls = {}, {}
      for i = 1, count do
        list[i] = upstream_of(answer and answer(i) or says(ok(tostring(i))))
        urls[i] = list[i].url
      end
      if given and given.weights then
        for i, weight in ipairs(given.weights) do urls[i] = { url = urls[i], weight = weight } end
        given.weights = nil
      end
      with_proxy(urls, given, function(client, url, proxy) fn(client, url, proxy, list) end)
      for _, one in ipairs(list) do one.close() end
    end)
  end

  local function ask(client, url, count, path)
    local seen = {}
    for _ = 1, count do seen[#seen + 1] = assert(client:get(url .. (path or "/"))):body() end
    return table.concat(seen)
  end

  it("takes turns, by weight", function()
    group(3, function(client, url) assert.equal("123123", ask(client, url, 6)) end)
    group(2, function(client, url)
      local _, ones = ask(client, url, 8):gsub("1", "")
      assert.equal(6, ones)
    end, { weights = { 3, 1 } })
  end)

  it("keeps to one by a key, and moves no more than it has to", function()
    group(3, function(client, url)
      local by_key = {}
      for i = 1, 12 do
        local first = ask(client, url, 3, "/" .. i)
        assert.equal(first:sub(1, 1):rep(3), first)
        by_key[#by_key + 1] = first:sub(1, 1)
      end
      assert.truthy(table.concat(by_key):find("2") or table.concat(by_key):find("3"))
    end, { balance = "hash", hash = function(req) return req.path end })
  end)

  it("goes on with the next where one refuses, and leaves it out for a while after some failures", function()
    web.logged(function()
      group(2, function(client, url, proxy, list)
        list[1].close()
        assert.equal("222222", ask(client, url, 6))
        assert.is_false(proxy:status()[1].up)
        assert.equal(2, proxy:status()[1].failures)
      end, { max_fails = 2, fail_timeout = 60 })
    end)
  end)

  it("leaves out one that does not answer as is expected, and takes it back when it does", function()
    local is_ill = true
    local lines = web.logged(function()
      group(2, function(client, url, proxy)
        while proxy:status()[1].up do neap.sleep(0.01) end
        assert.equal("2222", ask(client, url, 4))
        is_ill = false
        while not proxy:status()[1].up do neap.sleep(0.01) end
        assert.truthy(ask(client, url, 4):find("1", 1, true))
      end, { health = { path = "/health", interval = 0.05 } }, function(i)
        return function(peer, head)
          if i == 1 and is_ill and head:find("GET /health", 1, true) then
            peer:write("HTTP/1.1 500 Ill\r\nContent-Length: 0\r\n\r\n")
          else
            peer:write(ok(tostring(i)))
          end
        end
      end)
    end)
    assert.truthy(lines:find("is out: status 500", 1, true))
    assert.truthy(lines:find("answers again", 1, true))
  end)

  it("refuses options that mean nothing", function()
    for text, call in pairs {
      ["an upstream is http://, https:// or unix:/path"] = function() neap.proxy("ftp://a") end,
      ["a proxy has an upstream"] = function() neap.proxy({}) end,
      ["weight of an upstream"] = function() neap.proxy { { url = "http://a", weight = 0 } } end,
      ["`hash` needs"] = function() neap.proxy("http://a", { hash = print }) end,
    } do
      local called, err = pcall(call)
      assert.is_false(called)
      assert.truthy(tostring(err):find(text, 1, true), err)
    end
  end)
end)
