--- Connections to servers over TCP: our own companion, nginx and Python are at the other end.
local neap = require "neap"
local core = require "neap.core"
local Connector = require "neap.connector"
local Session = require "neap.session"
local web = require "support.web"

local read, write = Session.exchange_methods.read, Session.exchange_methods.write

local function words(app)
  app:get("/", function(req) return req.proto .. " " .. req.scheme .. " " .. req.host .. "\n" end)
  app:post("/echo", function(req, res)
    for chunk in req:chunks() do res:write(chunk) end
    local trailers = req:trailers()
    res:trailers { ["x-last"] = trailers and trailers["x-last"] or "none" }
    return nil
  end)
  app:get("/hints", function(_, res)
    res:early_hints { link = "</a>; rel=preload" }
    return "after\n"
  end)
  app:get("/much", function(_, res)
    for _ = 1, 100 do
      if not res:write(("x"):rep(100000)) then return end
    end
  end)
end

local function serve(fn, listen)
  local options = { tcp = true, http_port = 0, plain = "serve" }
  for name, value in pairs(listen or {}) do options[name] = value end
  return web.with_app(words, function(_, _, server)
    local connectors = {}
    local function connector(...)
      local made = assert(Connector.new(...))
      connectors[#connectors + 1] = made
      return made
    end
    local ok, err = xpcall(fn, debug.traceback, server, connector)
    for _, made in ipairs(connectors) do made:close() end
    if not ok then error(err, 0) end
  end, options)
end

local function fields(method, path, ...)
  return { ":method", method, ":scheme", "http", ":authority", "localhost", ":path", path, ... }
end

local function body_of(exchange)
  local parts = {}
  while true do
    local bytes, message, code = read(exchange, nil, 5)
    if not bytes then return table.concat(parts), message, code end
    parts[#parts + 1] = bytes
  end
end

-- Status and body of one request.
local function get(session, path)
  local exchange = assert(Connector.request(session, fields("GET", path), true))
  local head = assert(Connector.head(exchange, 5))
  local body = body_of(exchange)
  session:forget(exchange)
  return head[2], body
end

local function trusting()
  return core.config { ca = web.identity().cert }
end

describe("a connection that we make", function()
  it("speaks HTTP/1.1 in the clear, request after request", function()
    serve(function(server, connector)
      local made = connector()
      local session = assert(made:connect("127.0.0.1:" .. server.http_port))
      assert.equal("http/1.1", session.proto)
      for _ = 1, 3 do
        local status, body = get(session, "/")
        assert.equal("200", status)
        assert.equal("http/1.1 http localhost\n", body)
      end
      assert.equal(1, made:stats().connections)
    end)
  end)

  it("speaks HTTP/2 over TLS, or HTTP/1.1 where only that is offered", function()
    serve(function(server, connector)
      local address = "127.0.0.1:" .. server.port
      for _, case in ipairs { { nil, core.link_has_http2 == false and "http/1.1" or "h2" }, { true, "http/1.1" } } do
        local session = assert(connector(trusting(), { http1 = case[1] }):connect(address, "localhost"))
        assert.equal(case[2], session.proto)
        local exchange = assert(Connector.request(session,
          { ":method", "GET", ":scheme", "https", ":authority", "localhost", ":path", "/" }, true))
        assert.equal("200", assert(Connector.head(exchange, 5))[2])
        assert.equal(case[2] .. " https localhost\n", (body_of(exchange)))
        session:forget(exchange)
      end
    end)
  end)

  it("shows its certificate to a server that asks, which refuses who has none", function()
    local cert, key = core.make_certificate { names = { "device" }, days = 2 }
    serve(function(server, connector)
      local address = "127.0.0.1:" .. server.port
      local config = core.config { ca = web.identity().cert, cert = cert, key = key }
      local session = assert(connector(config, { http1 = true }):connect(address, "localhost"))
      assert.equal("200", (get(session, "/")))
      -- In TLS 1.3 a server says so when its client takes itself for connected.
      local other, _, code = connector(trusting(), { http1 = true }):connect(address, "localhost")
      if other then
        local exchange = assert(Connector.request(other, fields("GET", "/"), true))
        local head, _
        head, _, code = Connector.head(exchange, 5)
        assert.is_nil(head)
        while not other.closed do neap.sleep(0.01) end
        other:forget(exchange)
      end
      assert.truthy(code)
    end, { client_certificate = "require", client_ca = cert })
  end)

  it("carries bodies both ways, and trailers", function()
    serve(function(server, connector)
      for _, config in ipairs { false, trusting() } do
        local session = assert(connector(config or nil):connect(
          "127.0.0.1:" .. (config and server.port or server.http_port), "localhost"))
        local list = fields("POST", "/echo", "te", "trailers")
        list[4] = config and "https" or "http"
        local exchange = assert(Connector.request(session, list, false))
        local sent = ("0123456789"):rep(50000)
        neap.go(function()
          assert(write(exchange, sent, false, 5))
          assert(session.transport:send_trailers(exchange._stream, { "x-last", "yes" }))
        end)
        assert.equal("200", assert(Connector.head(exchange, 5))[2])
        assert.is_true(body_of(exchange) == sent)
        assert.same({ "x-last", "yes" }, exchange._trailer_fields)
        session:forget(exchange)
      end
    end)
  end)

  it("hands on interim responses before the final one", function()
    serve(function(server, connector)
      local session = assert(connector():connect("127.0.0.1:" .. server.http_port))
      local exchange = assert(Connector.request(session, fields("GET", "/hints"), true))
      local head, is_final = Connector.head(exchange, 5)
      assert.equal("103", head[2])
      assert.is_false(is_final)
      head, is_final = Connector.head(exchange, 5)
      assert.equal("200", head[2])
      assert.is_true(is_final)
      session:forget(exchange)
    end)
  end)

  it("says why it was not made: refused, timed out, a certificate that nobody trusts, another name", function()
    serve(function(server, connector)
      local _, message, code = connector():connect("127.0.0.1:1")
      assert.equal("refused", code)
      assert.truthy(message:find("127.0.0.1:1", 1, true))
      _, _, code = connector():connect("/nowhere/at/all.sock")
      assert.equal("system", code)
      local other = core.make_certificate { names = { "elsewhere" }, days = 2 }
      _, message, code = connector(core.config { ca = other }):connect("127.0.0.1:" .. server.port, "localhost")
      assert.equal("certificate", code, message)
      _, message, code = connector(trusting()):connect("127.0.0.1:" .. server.port, "elsewhere.example")
      assert.equal("certificate", code, message)
      -- A server that takes the connection and says nothing.
      local path = os.tmpname()
      os.remove(path)
      local silent = assert(neap.unix.listen(path))
      _, _, code = connector(trusting()):connect(path, "localhost", 0.2)
      assert.equal("timeout", code)
      _, _, code = connector(trusting(), { header_timeout = 0.2 }):connect(path, "localhost")
      assert.equal("timeout", code)
      silent:close()
    end)
  end)

  it("tells requests that are open when it breaks", function()
    local path = os.tmpname()
    os.remove(path)
    web.run(function()
      local listener = assert(neap.unix.listen(path))
      neap.go(function()
        local peer = listener:accept()
        peer:read()
        peer:write("HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhalf")
        peer:close()
      end)
      local made = assert(Connector.new())
      local session = assert(made:connect(path))
      local exchange = assert(Connector.request(session, fields("GET", "/"), true))
      assert.equal("200", assert(Connector.head(exchange, 5))[2])
      local body, message = body_of(exchange)
      assert.equal("half", body)
      assert.truthy(message)
      session:forget(exchange)
      while not session.closed do neap.sleep(0.01) end
      made:close()
      listener:close()
    end)
  end)

  it("loses nothing of a long response whose server is gone, however late it is read", function()
    local path = os.tmpname()
    os.remove(path)
    web.run(function()
      local listener = assert(neap.unix.listen(path))
      local size = 150000
      neap.go(function()
        local peer = listener:accept()
        peer:read()
        peer:write("HTTP/1.1 200 OK\r\n\r\n" .. ("y"):rep(size))
        peer:close()
      end)
      local made = assert(Connector.new())
      local session = assert(made:connect(path))
      local exchange = assert(Connector.request(session, fields("GET", "/"), true))
      assert.equal("200", assert(Connector.head(exchange, 5))[2])
      neap.sleep(0.1)
      local body, message = body_of(exchange)
      assert.is_nil(message)
      assert.equal(size, #body)
      session:forget(exchange)
      made:close()
      listener:close()
    end)
  end)

  it("takes no more of a response than is read", function()
    serve(function(server, connector)
      local made = connector()
      local session = assert(made:connect("127.0.0.1:" .. server.http_port))
      local exchange = assert(Connector.request(session, fields("GET", "/much"), true))
      assert.equal("200", assert(Connector.head(exchange, 5))[2])
      neap.sleep(0.2)
      assert.is_true(made:stats().bytes_received < 1000000)
      local body = body_of(exchange)
      assert.equal(10000000, #body)
      session:forget(exchange)
    end)
  end)

  it("is one of so many at most", function()
    serve(function(server, connector)
      local made = connector(nil, { connections = 1 })
      local session = assert(made:connect("127.0.0.1:" .. server.http_port))
      local _, _, code = made:connect("127.0.0.1:" .. server.http_port)
      assert.equal("limit", code)
      session.conn:close()
      neap.sleep(0.1)
      assert(made:connect("127.0.0.1:" .. server.http_port))
    end)
  end)
end)
