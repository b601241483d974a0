--- The same app over TCP. The clients are Python's http.client and ssl, which know nothing of neap.
local neap = require "neap"
local core = require "neap.core"
local helper = require "helper"
local leash = require "support.leash"
local web = require "support.web"

local PRELUDE = [==[
import http.client, socket, ssl, sys, time
port, http_port = int(sys.argv[1]), int(sys.argv[2])
def trust():
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    return context
def https(**more):
    return http.client.HTTPSConnection("127.0.0.1", port, timeout=10, context=trust(), **more)
def plain():
    return http.client.HTTPConnection("127.0.0.1", http_port, timeout=10)
def raw(text, at=None):
    s = socket.create_connection(("127.0.0.1", at or http_port), timeout=10)
    s.sendall(text.encode())
    return s
def rest(s):
    out = b""
    try:
        while True:
            piece = s.recv(65536)
            if not piece: return out.decode()
            out += piece
    except ConnectionResetError:
        return out.decode() + "(reset)"
def get(c, path, method="GET", body=None, headers={}):
    c.request(method, path, body, headers)
    r = c.getresponse()
    text = r.read()
    return r, text
]==]

-- Runs Python beside the loop: what it printed.
local function python(server, code)
  local script, log = os.tmpname(), os.tmpname()
  helper.write_file(script, PRELUDE .. code)
  local process = leash.start(("python3 %s %d %d"):format(script, server.port, server.http_port or 0), log)
  while not leash.status(process) do neap.sleep(0.01) end
  local output = helper.read_file(log)
  local status = leash.stop(process)
  os.remove(script)
  os.remove(log)
  assert(status == 0, output)
  return output
end

local function serve(build, fn, listen)
  local options = { tcp = true, http_port = 0, plain = "serve" }
  for name, value in pairs(listen or {}) do options[name] = value end
  if options.http_port == false then options.http_port, options.plain = nil, nil end
  return web.with_app(build, fn, options)
end

after_each(leash.end_all)

local function words(app)
  app:get("/", function(req) return req.proto .. " " .. req.scheme .. " " .. (req.query.q or "-") .. "\n" end)
  app:post("/echo", function(req) return req:body(1e8) end)
  app:get("/broken", function() return 503 end)
  app:get("/slowly", function(_, res)
    res:write("begun ")
    neap.sleep(0.2)
    return res:write("and done") and nil
  end)
  app:get("/some", function(_, res)
    for _ = 1, 3 do res:write(("x"):rep(100000)) end
  end)
  app:get("/much", function(_, res)
    for _ = 1, 100 do
      if not res:write(("x"):rep(100000)) then return end
    end
  end)
end

describe("an app that listens over TCP as well", function()
  it("answers the same over HTTP/3, HTTP/1.1 with TLS, and without", function()
    serve(words, function(client, url, server)
      assert.equal("h3 https 1\n", client:get(url .. "/?q=1"):body())
      assert.equal("http/1.1 https 2\nhttp/1.1 http 3\n", python(server, [==[
print(get(https(), "/?q=2")[1].decode(), end="")
print(get(plain(), "/?q=3")[1].decode(), end="")]==]))
    end)
  end)

  it("tells of HTTP/3 in what it answers over TLS, and nowhere else", function()
    serve(words, function(client, url, server)
      assert.is_nil(client:get(url .. "/").headers:get("alt-svc"))
      assert.equal(('h3=":%d"; ma=86400\nh3=":%d"; ma=86400\nNone\n'):format(server.port, server.port), python(server, [==[
print(get(https(), "/")[0].getheader("alt-svc"))
print(get(https(), "/much")[0].getheader("alt-svc"))
print(get(plain(), "/")[0].getheader("alt-svc"))]==]))
    end)
    serve(words, function(_, _, server)
      assert.equal("None\n", python(server, 'print(get(https(), "/")[0].getheader("alt-svc"))'))
    end, { alt_svc = 0 })
  end)

  it("carries bodies of any size both ways, on one connection", function()
    serve(words, function(_, _, server)
      assert.equal("True True True 10000000 503 404\n", python(server, [==[
for c in https(), plain():
    small, large = b"x", bytes(range(256)) * 12000
    seen = [get(c, "/echo", "POST", small)[1] == small, get(c, "/echo", "POST", large)[1] == large]
    seen.append(get(c, "/echo", "POST", iter([large[:5], large[5:]]))[1] == large)
    here = c.sock.getsockname()
    seen.append(len(get(c, "/much")[1]))
    seen += [get(c, "/broken")[0].status, get(c, "/nothing")[0].status]
    assert here == c.sock.getsockname()
print(*seen)]==]))
      local stats = server:stats()
      assert.equal(1, stats.tcp.accepted)
      assert.equal(6, stats.tcp.requests)
      assert.equal(6, stats.http.requests)
    end)
  end)

  it("sends files without having them in memory, and nothing but headers for HEAD", function()
    local path = os.tmpname()
    local content = ("0123456789abcdef"):rep(100000)
    helper.write_file(path, content)
    serve(function(app)
      app:get("/file", function(_, res) return res:file(path) end)
    end, function(_, _, server)
      assert.equal("1600000 True 206 b'123' 1600000 b''\n", python(server, ([==[
c = https()
r, text = get(c, "/file")
whole = text == open("%s", "rb").read()
part = get(c, "/file", headers={"range": "bytes=1-3"})
head = get(c, "/file", "HEAD")
print(len(text), whole, part[0].status, part[1], head[0].getheader("content-length"), head[1])]==]):format(path)))
    end)
    os.remove(path)
  end)

  it("answers requests that were sent ahead in their order", function()
    serve(words, function(_, _, server)
      local output = python(server, [==[
s = raw("".join("GET /?q=%d HTTP/1.1\r\nhost: a\r\nconnection: %s\r\n\r\n" % (i, "close" if i == 20 else "a")
    for i in range(1, 21)))
print(rest(s))]==])
      local order = {}
      for q in output:gmatch("http (%d+)\n") do order[#order + 1] = tonumber(q) end
      assert.equal(20, #order)
      for i = 1, 20 do assert.equal(i, order[i]) end
    end)
  end)

  it("refuses what is ambiguous, and counts it", function()
    serve(words, function(_, _, server)
      assert.matches("^HTTP/1.1 400", python(server, [==[
fields = "host: a\r\ncontent-length: 3\r\ntransfer-encoding: chunked\r\n"
print(rest(raw("POST /echo HTTP/1.1\r\n" + fields + "\r\n0\r\n\r\n")))]==]))
      assert.equal(1, server:stats().http.malformed)
    end)
  end)

  it("answers who sends no more, and still reads", function()
    serve(words, function(_, _, server)
      assert.equal("http/1.1 http 1\nhttp/1.1 https 2\nbegun and done\n", python(server, [==[
def last(s, path):
    s.sendall(("GET " + path + " HTTP/1.1\r\nhost: a\r\n\r\n").encode())
    socket.socket.shutdown(s, socket.SHUT_WR)
    return rest(s).split("\r\n\r\n", 1)[1]
print(last(raw(""), "/?q=1"), end="")
incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
tls, s = trust().wrap_bio(incoming, outgoing), raw("", port)
has_ended = False
def turn(fn):
    while True:
        try:
            return fn()
        except ssl.SSLWantReadError:
            piece = outgoing.read()
            if not has_ended: s.sendall(piece)
            piece = s.recv(65536)
            incoming.write(piece) if piece else incoming.write_eof()
turn(tls.do_handshake)
tls.write(b"GET /?q=2 HTTP/1.1\r\nhost: a\r\n\r\n")
try:
    tls.unwrap() # close_notify, and what comes stays readable
except ssl.SSLError:
    pass
s.sendall(outgoing.read())
s.shutdown(socket.SHUT_WR)
has_ended = True
text = b""
while True:
    try:
        piece = turn(lambda: tls.read(65536))
    except ssl.SSLError:
        break
    if not piece: break
    text += piece
print(text.decode().split("\r\n\r\n", 1)[-1], end="")
text = last(raw(""), "/slowly")
print("begun and done" if "begun" in text and "and done" in text else text)]==]))
    end)
  end)

  it("tells a handler whose client has left", function()
    local left
    serve(function(app)
      app:get("/", function(_, res)
        repeat
          local ok, _, code = res:write(("x"):rep(100000))
          left = code
        until not ok
      end)
    end, function(_, _, server)
      python(server, [==[
s = raw("GET / HTTP/1.1\r\nhost: a\r\n\r\n")
s.recv(1000)
s.close()]==])
      for _ = 1, 200 do
        if left then break end
        neap.sleep(0.01)
      end
      assert.is_truthy(left)
      assert.equal(0, server:stats().http.connections)
    end)
  end)

  it("knows a client by its certificate there too", function()
    local dir = helper.make_dir()
    local cert, key = core.make_certificate { names = { "device" }, days = 2 }
    helper.write_file(dir .. "/cert.pem", cert)
    helper.write_file(dir .. "/key.pem", key)
    serve(function(app)
      app:get("/", function(req) return req.client_cert and req.client_cert.names.dns[1] or "nobody" end)
    end, function(_, _, server)
      assert.equal("device nobody\n", python(server, ([==[
def ask(**with_certificate):
    context = trust()
    if with_certificate: context.load_cert_chain(**with_certificate)
    return get(http.client.HTTPSConnection("127.0.0.1", port, context=context), "/")[1].decode()
print(ask(certfile="%s/cert.pem", keyfile="%s/key.pem"), ask())]==]):format(dir, dir)))
    end, { client_ca = cert, client_certificate = "request" })
    helper.remove_dir(dir)
  end)

  it("shows its new certificate once that was read again", function()
    local dir = helper.make_dir()
    local function write()
      local cert, key = core.make_certificate { names = { "localhost" }, days = 2 }
      helper.write_file(dir .. "/cert.pem", cert)
      helper.write_file(dir .. "/key.pem", key)
    end
    write()
    serve(words, function(_, _, server)
      local SHOWN = 'print(ssl.get_server_certificate(("127.0.0.1", port)))'
      local first = python(server, SHOWN)
      assert.equal(first, python(server, SHOWN))
      write()
      assert.is_true(server:reload_certs())
      assert.not_equal(first, python(server, SHOWN))
    end, { cert = dir .. "/cert.pem", key = dir .. "/key.pem" })
    helper.remove_dir(dir)
  end)
end)

describe("plain HTTP beside it", function()
  it("leads to the same place over https", function()
    serve(words, function(_, _, server)
      local at = "https://127.0.0.1:" .. server.port
      assert.equal(("301 %s/a/b?c=d\n308 %s/e\n400 None\n"):format(at, at), python(server, [==[
for r in get(plain(), "/a/b?c=d")[0], get(plain(), "/e", "POST", b"body")[0]:
    print(r.status, r.getheader("location"))
c = plain()
c._http_vsn, c._http_vsn_str = 10, "HTTP/1.0"
c.putrequest("GET", "/", skip_host=True)
c.endheaders()
r = c.getresponse()
print(r.status, r.getheader("location"))]==]))
    end, { plain = "redirect" })
  end)

  it("does so unless it is told to serve", function()
    web.with_app(words, function(_, _, server)
      assert.equal("301\n", python(server, 'print(get(plain(), "/")[0].status)'))
    end, { http_port = 0 })
  end)
end)

describe("what listens over TCP", function()
  it("takes no more connections than it may have, and the next when one has gone", function()
    serve(words, function(_, _, server)
      assert.equal("timed out\nhttp/1.1 http 3\n", python(server, [==[
first, second = raw(""), raw("")
time.sleep(0.2)
third = raw("GET /?q=3 HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n")
third.settimeout(0.3)
try:
    third.recv(1)
except TimeoutError:
    print("timed out")
third.settimeout(10)
first.close()
print(rest(third).split("\r\n\r\n")[1], end="")]==]))
      assert.equal(3, server:stats().http.accepted)
    end, { tcp_connections = 2 })
  end)

  it("gives one network its share of them, again when one has gone", function()
    serve(words, function(_, _, server)
      assert.equal("ended 200 200\n", python(server, [==[
def other(address):
    s = socket.socket()
    s.settimeout(10)
    s.bind((address, 0))
    s.connect(("127.0.0.1", http_port))
    return s
def ask(s):
    s.sendall(b"GET / HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n")
    return rest(s).split()[1]
first, second = raw(""), raw("")
third = raw("")
try:
    print("ended" if third.recv(1) == b"" else "open", end=" ")
except ConnectionResetError:
    print("ended", end=" ")
print(ask(other("127.0.0.2")), end=" ")
first.close()
time.sleep(0.2)
print(ask(raw("")))]==]))
      assert.equal(1, server:stats().http.refused)
      assert.equal(4, server:stats().http.accepted)
    end, { tcp_connections_per_network = 2 })
  end)

  it("ends one that sends no request, half of one, or none more", function()
    serve(words, function(_, _, server)
      assert.equal("True True True True\n", python(server, [==[
begun = time.time()
silent, half, tls = raw("", port), raw("GET / HTTP/1.1\r\nhost:"), raw("GET / HT")
done = raw("GET / HTTP/1.1\r\nhost: a\r\n\r\n")
print("200" in rest(done), *["200" not in rest(s) and time.time() - begun < 5 for s in (silent, half, tls)])]==]))
      assert.equal(2, server:stats().http.timeouts) -- one was only idle
      assert.equal(1, server:stats().tcp.timeouts)
      assert.equal(1, server:stats().tcp.handshakes_failed)
    end, { header_timeout = 0.5, tcp_idle_timeout = 0.5 })
  end)

  it("ends one that takes nothing of what waits for it", function()
    serve(words, function(_, _, server)
      python(server, [==[
s = raw("GET /much HTTP/1.1\r\nhost: a\r\n\r\n")
time.sleep(2)]==])
      assert.equal(0, server:stats().http.connections)
    end, { read_timeout = 0.5 })
  end)

  it("ends well: what is open is answered, who is idle is told, and nobody new gets in", function()
    local ends
    serve(function(app)
      words(app)
      app:get("/slow", function(_, res)
        res:write("begun ")
        neap.go(ends)
        neap.sleep(0.5)
        return res:write("and done") and nil
      end)
    end, function(_, _, server)
      function ends() server:shutdown(5) end
      assert.equal("http/1.1 http -\nrefused\nand done\n", python(server, [==[
idle = plain()
print(get(idle, "/")[1].decode(), end="")
slow = raw("GET /slow HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n")
slow.recv(1)
time.sleep(0.2)
try:
    raw("")
except ConnectionRefusedError:
    print("refused")
text = rest(slow)
print("and done" if "and done" in text else text)
assert rest(idle.sock) == ""]==]))
    end)
  end)

  it("says that its port is taken, and leaves nothing open", function()
    serve(words, function(_, _, server)
      local id = web.identity()
      local other, message, code = neap.app():listen { host = "127.0.0.1", port = 0, tcp = true, cert = id.cert,
        key = id.key, http_port = server.http_port }
      assert.is_nil(other)
      assert.equal("system", code)
      assert.matches(":" .. server.http_port, message, 1, true)
    end)
  end)
end)

describe("HTTP/2", function()
  local function curl(server, arguments)
    local log = os.tmpname()
    local process = leash.start(("curl -ksS --http2 --max-time 10 " .. arguments):gsub("URL", server.url), log)
    while not leash.status(process) do neap.sleep(0.01) end
    local output = helper.read_file(log)
    leash.stop(process)
    os.remove(log)
    return output
  end

  local function it_by_curl(what, fn)
    it(what, function()
      if not helper.run("curl --version"):find("HTTP2", 1, true) then
        return pending("there is no curl with HTTP/2")
      end
      if not core.has_http2 then return pending("this build has no HTTP/2") end
      fn()
    end)
  end

  it_by_curl("is spoken with who knows it", function()
    serve(words, function(_, _, server)
      local output = curl(server, "-i 'URL?q=1'")
      assert.matches("^HTTP/2 200", output)
      assert.matches(('alt-svc: h3=":%d"; ma=86400'):format(server.port), output, 1, true)
      assert.matches("h2 https 1\n$", output)
    end)
  end)

  it_by_curl("carries bodies both ways, and many at a time on one connection", function()
    local path, out = os.tmpname(), helper.make_dir()
    local content = ("0123456789abcdef"):rep(200000)
    helper.write_file(path, content)
    serve(words, function(_, _, server)
      assert.equal(#content, #curl(server, ("--data-binary @%s URLecho"):format(path)))
      assert.equal(10000000, #curl(server, "URLmuch"))
      curl(server, ("--parallel --parallel-max 20 -o %s/#1 'URLsome?[1-20]'"):format(out))
      for i = 1, 20 do assert.equal(300000, #(helper.read_file(out .. "/" .. i) or "")) end
      assert.is_true(server:stats().tcp.accepted < 10)
      assert.equal(22, server:stats().tcp.requests)
    end)
    os.remove(path)
    helper.remove_dir(out)
  end)

  it_by_curl("ends well, too", function()
    local ends
    serve(function(app)
      app:get("/", function(_, res)
        res:write("begun ")
        neap.go(ends)
        neap.sleep(0.3)
        return res:write("and done") and nil
      end)
    end, function(_, _, server)
      function ends() server:shutdown(5) end
      assert.equal("begun and done", curl(server, "URL"))
    end)
  end)
end)
