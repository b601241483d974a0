--- The client over TCP: where HTTP/3 does not answer, and for http://.
local helper = require "helper"
local neap = require "neap"
local web = require "support.web"

-- What one address over TCP gets goes to the server's: there is no HTTP/3 behind it. The port; `swallow`: a UDP socket
-- takes what comes there and says nothing; `delay`: seconds that each connection has to wait. fn() that ends it.
local function relay(server, swallow, delay)
  local listening = assert(neap.socket.bind("127.0.0.1", 0))
  local _, port = listening:getsockname()
  port = tonumber(port)
  local sockets, count = { listening }, 0
  if swallow then
    local udp = neap.socket.udp()
    assert(udp:setsockname("127.0.0.1", port))
    sockets[2] = udp
  end
  local function pump(from, to)
    while true do
      local data, why, part = from:receive(1)
      data = data or part
      if data and data ~= "" then
        from:settimeout(0)
        local more, _, rest = from:receive(65536)
        from:settimeout(nil)
        if not to:send(data .. (more or rest or "")) then break end
      end
      if why == "closed" then break end
    end
    to:close()
  end
  neap.go(function()
    while true do
      local client = listening:accept()
      if not client then return end
      count = count + 1
      if delay then neap.sleep(delay) end
      local other = assert(neap.socket.connect("127.0.0.1", server.port))
      sockets[#sockets + 1], sockets[#sockets + 2] = client, other
      neap.go(function() pcall(pump, client, other) end)
      neap.go(function() pcall(pump, other, client) end)
    end
  end)
  return port, function()
    for _, one in ipairs(sockets) do pcall(one.close, one) end
  end, function() return count end
end

local function app_of(app)
  app:get("/proto", function(req) return req.proto end)
  app:post("/echo", function(req, res)
    for chunk in req:chunks() do res:write(chunk) end
    return res
  end)
  app:get("/wait", function(req)
    neap.sleep(req.query["1"] and 0.5 or 0.05)
    return "waited"
  end)
  app:get("/away", function(_, res) return res:redirect("http://127.0.0.1:1/") end)
  app:get("/here", function(_, res) return res:redirect("/proto") end)
end

local function with(listen, given, fn)
  listen.tcp = true
  web.with_app(app_of, function(_, url, server)
    given.verify_peer = false
    local client = neap.client(given)
    local ok, why = pcall(fn, client, url, server)
    client:close()
    if not ok then error(why, 0) end
  end, listen)
end

describe("a client", function()
  if not require("neap.core").has_tls_streams then return pending("needs TLS over TCP") end

  for _, protocol in ipairs { "h2", "http/1.1" } do
    describe("over " .. protocol, function()
      it("asks, sends bodies of any size, follows, and keeps its connection", function()
        with({}, { protocols = { protocol }, follow = 3 }, function(client, url, server)
          local res = assert(client:get(url .. "/proto"))
          assert.same({ 200, protocol, protocol }, { res.status, res.proto, (res:body()) })
          local text = ("tide"):rep(300000)
          assert.equal(text, assert(client:post(url .. "/echo", { body = text })):body(2 ^ 24))
          local left = 3
          res = assert(client:post(url .. "/echo", { body = function()
            left = left - 1
            return left >= 0 and "piece" or nil
          end }))
          assert.equal("piecepiecepiece", (res:body()))
          assert.equal(protocol, (assert(client:get(url .. "/here")):body()))
          assert.equal(1, server:stats().tcp.accepted)
        end)
      end)

      it("has many requests at once over few connections", function()
        with({}, { protocols = { protocol } }, function(client, url, server)
          local questions = {}
          for i = 1, 30 do
            questions[i] = function() return (assert(client:get(url .. "/wait")):body()) end
          end
          local answers = neap.all(questions)
          for i = 1, 30 do assert.equal("waited", answers[i]) end
          assert.equal(protocol == "h2" and 1 or 6, server:stats().tcp.accepted)
        end)
      end)

      it("goes on when responses are forgotten without being read", function()
        with({}, { protocols = { protocol }, timeout = 10 }, function(client, url)
          for i = 1, 20 do
            local begun = neap.now()
            assert.equal(200, assert(client:get(url .. "/proto")).status)
            assert.is_true(neap.now() - begun < 3, i)
          end
        end)
      end)

      it("has no request wait behind another one where there may be more connections", function()
        with({}, { protocols = { "h3", protocol } }, function(client, _, server)
          local port, stop = relay(server, true)
          local url, order = ("https://localhost:%d"):format(port), {}
          neap.all { function()
            client:get(url .. "/wait?1"):body()
            order[#order + 1] = "slow"
          end, function()
            client:get(url .. "/proto"):body()
            order[#order + 1] = "fast"
          end }
          assert.same({ "fast", "slow" }, order)
          stop()
        end)
      end)

      it("asks again where a kept connection has ended", function()
        with({ tcp_idle_timeout = 0.1 }, { protocols = { protocol } }, function(client, url, server)
          for _ = 1, 2 do
            assert.equal(protocol, (assert(client:get(url .. "/proto")):body()))
            neap.sleep(0.25)
          end
          assert.equal(2, server:stats().tcp.accepted)
        end)
      end)
    end)
  end

  it("goes over TCP where nobody answers over UDP, and to where the answer says that HTTP/3 is", function()
    for _, swallow in ipairs { false, true } do
      with({}, {}, function(client, _, server)
        local port, stop, count = relay(server, swallow)
        local url = ("https://localhost:%d"):format(port)
        local begun = neap.now()
        local res = assert(client:get(url .. "/proto"))
        assert.same({ "h2", "h2" }, { res.proto, (res:body()) })
        assert.is_true(neap.now() - begun < 3)
        -- The server said h3=":its own port".
        res = assert(client:get(url .. "/proto"))
        assert.same({ "h3", "h3" }, { res.proto, (res:body()) })
        assert.equal(1, count())
        stop()
      end)
    end
  end)

  it("goes on over TCP where the other place of HTTP/3 is not who it should be, or speaks something else", function()
    local cert, key = require("neap.core").make_certificate { names = { "elsewhere.test" }, days = 2 }
    for _, alpn in ipairs { "h3", "doq" } do
      web.run(function()
        local id = web.identity()
        local elsewhere = assert(neap.quic.listen { host = "127.0.0.1", port = 0, alpn = { alpn }, cert = cert,
          key = key })
        local app = neap.app()
        app:get("/", function(_, res)
          return res:header("alt-svc", ('h3=":%d"'):format(elsewhere.port)):send("there")
        end)
        local server = assert(app:listen { host = "127.0.0.1", port = 0, tcp = true, alt_svc = 0, cert = id.cert,
          key = id.key })
        local client = neap.client { ca = id.cert, timeout = 8 }
        local port, stop = relay(server)
        local url = ("https://localhost:%d/"):format(port)
        for _ = 1, 3 do
          local res = assert(client:get(url))
          assert.same({ "h2", "there" }, { res.proto, (res:body()) })
        end
        client:close()
        stop()
        server:close()
        elsewhere:close()
      end)
    end
  end)

  it("goes over TCP where something else than HTTP/3 is at the port of UDP", function()
    web.run(function()
      local id = web.identity()
      local app = neap.app()
      app_of(app)
      local server = assert(app:listen { host = "127.0.0.1", port = 0, tcp = true, cert = id.cert, key = id.key })
      local port, stop = relay(server)
      local other = assert(neap.quic.listen { host = "127.0.0.1", port = port, alpn = { "doq" }, cert = id.cert,
        key = id.key })
      local client = neap.client { ca = id.cert, timeout = 8 }
      assert.equal("h2", (assert(client:get(("https://localhost:%d/proto"):format(port))):body()))
      client:close()
      stop()
      other:close()
      server:close()
    end)
  end)

  it("lets nobody have a connection over TCP that another has given up", function()
    with({}, { timeout = 8 }, function(client, _, server)
      local port, stop = relay(server, true, 0.3)
      local url = ("https://localhost:%d/echo"):format(port)
      local one = neap.go(function() return client:post(url, { body = "one" }) end)
      neap.sleep(0.05)
      local other = neap.go(function()
        local res, why = client:post(url, { body = "other" })
        return res and res:body() or why
      end)
      neap.sleep(0.4)
      one:cancel()
      assert.equal("other", other:join(8))
      stop()
    end)
  end)

  it("does not ask HTTP/3 for a while after it was silent, and the server says nothing of it", function()
    with({ alt_svc = 0 }, {}, function(client, _, server)
      local port, stop = relay(server, true)
      local url = ("https://localhost:%d/proto"):format(port)
      assert.equal("h2", assert(client:get(url)).proto)
      local begun = neap.now()
      for _ = 1, 5 do assert.equal("h2", (assert(client:get(url)):body())) end
      assert.is_true(neap.now() - begun < 0.25)
      stop()
    end)
  end)

  it("takes HTTP/3 where it answers, and leaves TCP alone", function()
    with({}, {}, function(client, url, server)
      assert.equal("h3", (assert(client:get(url .. "/proto")):body()))
      neap.sleep(0.4)
      assert.equal(0, server:stats().tcp.accepted)
    end)
  end)

  it("says why neither was to be had, as HTTP/3 has it", function()
    with({}, { timeout = 5 }, function(client)
      local res, message, code = client:get("https://127.0.0.1:9/")
      assert.is_nil(res)
      assert.equal("unreachable", code)
      assert.matches("nobody listens there", message)
    end)
  end)

  it("refuses a certificate over TCP as it does over QUIC", function()
    with({}, {}, function(_, url)
      for _, protocols in ipairs { { "h2" }, { "http/1.1" }, { "h3", "h2" } } do
        local client = neap.client { protocols = protocols }
        local res, message = client:get(url .. "/proto")
        assert.is_nil(res)
        assert.matches("certificate", message)
        client:close()
      end
    end)
  end)

  it("asks in clear where it is told so, and is not led there", function()
    with({ http_port = 0, plain = "serve" }, { follow = 3 }, function(client, url, server)
      local plain = ("http://127.0.0.1:%d"):format(server.http_port)
      local res = assert(client:get(plain .. "/proto"))
      assert.same({ "http/1.1", "http/1.1" }, { res.proto, (res:body()) })
      assert.equal("http/1.1", (assert(client:get(plain .. "/here")):body()))
      res = assert(client:get(url .. "/away"))
      assert.equal(302, res.status)
    end)
  end)

  it("speaks nothing that `protocols` leaves out", function()
    local dir, identity = helper.make_dir(), web.identity()
    finally(function() helper.remove_dir(dir) end)
    helper.write_file(dir .. "/cert.pem", identity.cert)
    helper.write_file(dir .. "/key.pem", identity.key)
    with({}, { protocols = { "h2" } }, function(client)
      local listening = assert(neap.socket.bind("127.0.0.1", 0))
      local _, port = listening:getsockname()
      neap.go(function()
        local tls = neap.socket.ssl.wrap(assert(listening:accept()), { mode = "server", alpn = { "http/1.1" },
          certificate = dir .. "/cert.pem", key = dir .. "/key.pem" })
        assert(tls:dohandshake())
        tls:receive(1)
        tls:close()
      end)
      local res, message, code = client:get(("https://127.0.0.1:%d/"):format(port))
      assert.same({ "unsupported" }, { code, res })
      assert.matches("speaks http/1.1, which `protocols` leaves out", message, 1, true)
      listening:close()
      res, message, code = client:get("http://127.0.0.1:9/")
      assert.same({ "argument" }, { code, res })
      assert.matches("HTTP/1.1", message, 1, true)
    end)
  end)

  it("tells all who wait why there is no connection, at once", function()
    with({}, { protocols = { "http/1.1" } }, function(client)
      local questions, begun = {}, neap.now()
      for i = 1, 300 do
        questions[i] = function() return select(3, client:get("https://127.0.0.1:9/")) end
      end
      for _, code in ipairs((neap.all(questions))) do assert.equal("refused", code) end
      assert.is_true(neap.now() - begun < 2)
    end)
  end)

  it("keeps few connections that rest", function()
    with({ host = "0.0.0.0" }, { protocols = { "http/1.1" } }, function(client, _, server)
      for i = 1, 80 do
        assert.equal("http/1.1", (assert(client:get(("https://127.0.0.%d:%d/proto"):format(i, server.port))):body()))
      end
      neap.sleep(0.1)
      assert.is_true(server:stats().tcp.connections <= 66)
      assert.equal(80, server:stats().tcp.accepted)
    end)
  end)

  it("opens nothing any more when it is closed while HTTP/3 is waited for", function()
    with({}, {}, function(client, _, server)
      local port, stop, count = relay(server, true)
      local asking = neap.go(function()
        return select(3, client:get(("https://localhost:%d/proto"):format(port)))
      end)
      neap.sleep(0.1)
      client:close()
      assert.equal("closed", asking:join(10))
      neap.sleep(0.5)
      assert.equal(0, count())
      stop()
    end)
  end)

  it("ends what waits when it is closed", function()
    with({}, { protocols = { "h2" } }, function(client, url)
      local asking = neap.go(function() return select(3, client:get(url .. "/wait")) end)
      neap.sleep(0.02)
      client:close()
      assert.equal("closed", asking:join(10))
      assert.equal("h2", (assert(client:get(url .. "/proto")):body())) -- it may be used again
    end)
  end)
end)

describe("alt-svc", function()
  local h3 = require("neap.alt_svc").h3

  it("says where HTTP/3 is, for how long, or that it is nowhere", function()
    assert.same({ port = 443, seconds = 86400 }, h3 'h3=":443"')
    assert.same({ host = "alt.example", port = 8443, seconds = 60 },
      h3 'h2="a,b:1", h3="Alt.example:8443"; ma=60; persist=1')
    assert.same({ host = "2001:db8::1", port = 1, seconds = 30 * 86400 }, h3 'h3="[2001:db8::1]:1";ma=99999999')
    assert.is_false(h3 "clear")
    assert.is_false(h3 'h2=":443"')
    for _, bad in ipairs { "", "h3", 'h3=":99999"x', "\"", ',,,=', 'h3=":0' } do assert.is_falsy((h3(bad))) end
  end)
end)
