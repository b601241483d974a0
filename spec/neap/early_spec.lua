--- 0-RTT as applications see it: requests that leave with the first packets, and servers that answer them.
local neap = require "neap"
local core = require "neap.core"
local helper = require "helper"
local support = require "support.program"
local web = require "support.web"
local Authority = require "crypto.authority"

local KEY = ("0123456789abcdef"):rep(4)

-- Lets a client be where it has been, with a session and no connection.
local function acquaint(client, url)
  local r = assert(client:get(url .. "/"))
  r:body()
  neap.sleep(0.05) -- the tickets come behind the handshake
  r.conn:close()
  neap.sleep(0.05)
end

local function new_client(options)
  local given = { ca = web.identity().cert, timeout = 5, early_data = true }
  for name, value in pairs(options or {}) do given[name] = value end
  return neap.client(given)
end

-- Serves an app, and has a client that has been there: fn(client, url, server).
local function with_early(build, fn, listen)
  listen = listen or {}
  if listen.early_data == nil then listen.early_data = true end
  web.with_app(function(app)
    app:get("/", function() return "home" end)
    build(app)
  end, function(_, url, server)
    local client = new_client()
    acquaint(client, url)
    fn(client, url, server)
    client:close()
  end, listen)
end

-- Notes of each request what its handler sees, as "METHOD is_early body".
local function noting(seen)
  return function(req)
    local line = ("%s %s %s"):format(req.method, tostring(req.is_early), req:body() or "")
    seen[#seen + 1] = line
    return line
  end
end

-- What a response is, in short: its status, whether it was early, what became of its connection's early data.
local function short(r)
  return ("%d %s %s"):format(r.status, tostring(r.was_early), r.conn:early())
end

-- covers: rfc9114#7.2.4.2.5
describe("a request that may be early", function()
  it("leaves with the first packets, and its handler knows", function()
    local seen = {}
    with_early(function(app)
      app:get("/a", noting(seen))
    end, function(client, url)
      local r = assert(client:get(url .. "/a", { early = true }))
      assert.equal("200 true accepted", short(r))
      assert.equal("GET true ", r:body())
      -- The connection is there now.
      assert.equal("200 false accepted", short(assert(client:get(url .. "/a", { early = true }))))
    end)
    assert.same({ "GET true ", "GET false " }, seen)
  end)

  it("is of a resumed session, as its handler sees", function()
    local seen
    with_early(function(app)
      app:get("/a", function(req)
        seen = { req.is_early, req.is_resumed }
        return ""
      end)
    end, function(client, url)
      assert(client:get(url .. "/a", { early = true })):body()
      assert.same({ true, true }, seen)
    end)
  end)

  it("has others beside it, with those that may not", function()
    local seen = {}
    with_early(function(app)
      app:get("/:name", noting(seen))
    end, function(client, url)
      local answers = neap.all {
        function() return short(client:get(url .. "/a", { early = true })) end,
        function() return short(client:get(url .. "/b", { early = true })) end,
        function() return short(client:get(url .. "/c")) end,
        function() return short(client:head(url .. "/d", { early = true })) end,
      }
      local first = {}
      for i = 1, 4 do first[i] = answers[i][1] or answers[i] end
      assert.same({ "200 true accepted", "200 true accepted", "200 false accepted", "200 true accepted" }, first)
    end)
    table.sort(seen)
    assert.same({ "GET false ", "GET true ", "GET true ", "HEAD true " }, seen)
  end)

  it("waits for the handshake where it may change something, or cannot be sent again", function()
    local seen = {}
    with_early(function(app)
      app:any("/a", { early = true }, noting(seen))
    end, function(client, url)
      local given = 0
      for _, request in ipairs {
        { "POST", { body = "x" } }, { "PUT", { body = "x" } }, { "DELETE", {} }, { "PATCH", { json = {} } },
        { "POST", { early = "unsafe", file = "README.md" } },
        { "GET", { early = "unsafe", body = function()
          given = given + 1
          return given == 1 and "y" or nil
        end } },
        { "GET", { trailers = { a = "b" } } },
      } do
        local options = request[2]
        options.early = options.early or true
        local r = assert(client:request(request[1], url .. "/a", options))
        assert.equal("200 false", short(r):match("^%d+ %a+"))
        r:body()
        acquaint(client, url)
      end
    end)
    for _, line in ipairs(seen) do assert.truthy(line:find("^%u+ false"), line) end
    assert.equal(7, #seen)
  end)

  it("has its body with it when it is told that it does no harm", function()
    local seen = {}
    with_early(function(app)
      app:post("/a", { early = true }, noting(seen))
    end, function(client, url)
      local r = assert(client:post(url .. "/a", { body = "some body", early = "unsafe" }))
      assert.equal("200 true accepted", short(r))
      r:body()
      acquaint(client, url)
      -- More than fits into what may be sent early goes on behind it.
      local long = ("x"):rep(900000)
      r = assert(client:post(url .. "/a", { body = long, early = "unsafe" }))
      assert.equal("200 true accepted", short(r))
      assert.equal(#"POST true " + #long, #r:body())
    end)
    assert.equal("POST true some body", seen[1])
  end)

  it("is sent again when its server does not read it, and nobody but was_early tells", function()
    local folder = helper.make_dir()
    finally(function() helper.remove_dir(folder) end)
    helper.write_file(folder .. "/tickets", KEY .. "\n")
    local id, seen, answers = web.identity(), {}, {}
    web.run(function()
      local client, port = new_client(), 0
      for i, early_data in ipairs { true, false, true } do
        local app = neap.app()
        app:get("/", function() return "home" end)
        app:any("/a", { early = true }, noting(seen))
        local server = assert(app:listen { host = "127.0.0.1", port = port, cert = id.cert, key = id.key,
          ticket_key_file = folder .. "/tickets", early_data = early_data, strike_file = folder .. "/strikes" })
        port = server.port
        local url = "https://127.0.0.1:" .. port
        if i == 1 then acquaint(client, url) end
        local r = assert(client:post(url .. "/a", { body = "body " .. i, early = "unsafe" }))
        answers[#answers + 1] = short(r) .. ": " .. r:body()
        neap.sleep(0.05)
        r.conn:close()
        neap.sleep(0.05)
        server:close()
      end
      client:close()
    end)
    -- The register is new; then early data is off, and the tickets of that server do not allow any.
    assert.same({ "200 false rejected: POST false body 1", "200 false rejected: POST false body 2",
      "200 false none: POST false body 3" }, answers)
    assert.equal(3, #seen)
  end)

  it("is an option that is true, false or \"unsafe\"", function()
    web.run(function()
      local client = new_client()
      assert.has_error(function() client:get("https://localhost/", { early = "yes" }) end,
        "option 'early' must be true, false or \"unsafe\"")
      client:close()
    end)
  end)

  it("is an ordinary one without early_data, and without a session", function()
    local seen = {}
    with_early(function(app)
      app:get("/a", noting(seen))
    end, function(_, url)
      for _, early_data in ipairs { true, false } do
        local client = new_client { early_data = early_data }
        if not early_data then acquaint(client, url) end
        local r = assert(client:get(url .. "/a", { early = true }))
        assert.equal("200 false none", short(r))
        client:close()
      end
    end)
  end)
end)

describe("a server with early data", function()
  it("answers 425 to what is not safe, unless its route allows it, and the client asks again", function()
    local seen, statuses, passed = {}, {}, 0
    with_early(function(app)
      app:use(function(_, _, next)
        passed = passed + 1
        next()
      end)
      app:on_response(function(req, _, info)
        statuses[#statuses + 1] = req.method .. " " .. req.path .. " " .. info.status
      end)
      app:post("/no", noting(seen))
      app:post("/yes", { early = true }, noting(seen))
      app:get("/no", { early = false }, noting(seen))
    end, function(client, url)
      statuses, passed = {}, 0
      local function ask(method, path)
        local r = assert(client:request(method, url .. path, { early = "unsafe" }))
        local text = short(r)
        r:body()
        acquaint(client, url)
        return text
      end
      assert.equal("200 false accepted", ask("POST", "/no"))
      assert.equal("200 true accepted", ask("POST", "/yes"))
      assert.equal("200 false accepted", ask("GET", "/no"))
      assert.equal("404 false accepted", ask("POST", "/nowhere"))
      assert.equal("404 true accepted", ask("GET", "/nowhere"))
      assert.equal("405 false accepted", ask("DELETE", "/yes"))
    end)
    assert.same({ "POST false ", "POST true ", "GET false " }, seen)
    local all = {}
    for _, line in ipairs(statuses) do
      if line ~= "GET / 200" then all[#all + 1] = line end
    end
    assert.same({ "POST /no 425", "POST /no 200", "POST /yes 200", "GET /no 425", "GET /no 200", "POST /nowhere 425",
      "POST /nowhere 404", "GET /nowhere 404", "DELETE /yes 425", "DELETE /yes 405" }, all)
    -- No middleware saw what was refused.
    assert.equal(#statuses - 4, passed)
  end)

  it("has handlers that say 425 themselves, and that is told when the request was not early", function()
    local count = 0
    with_early(function(app)
      app:get("/returned", function(req) return req.is_early and 425 or 200, "text" end)
      app:get("/raised", function(req)
        if req.is_early then error(425) end
        return "fine"
      end)
      app:get("/always", function()
        count = count + 1
        return 425, "never"
      end)
    end, function(client, url)
      for path, status in pairs { ["/returned"] = 200, ["/raised"] = 200, ["/always"] = 425 } do
        local r = assert(client:get(url .. path, { early = true }))
        assert.equal(status .. " false accepted", short(r))
        r:body()
        acquaint(client, url)
      end
    end)
    assert.equal(2, count)
  end)

  it("has handlers that wait for the handshake", function()
    local seen = {}
    with_early(function(app)
      app:get("/a", function(req)
        local before = tostring(req.is_early)
        assert(req:wait_for_handshake())
        seen[#seen + 1] = before .. " " .. tostring(req.is_early) .. " " .. tostring(req:wait_for_handshake())
        return "done"
      end)
    end, function(client, url)
      local r = assert(client:get(url .. "/a", { early = true }))
      assert.equal("200 true accepted", short(r))
      assert.equal("done", r:body())
      r = assert(client:get(url .. "/a", { early = true }))
      assert.equal("done", r:body())
    end)
    assert.same({ "true false true", "false false true" }, seen)
  end)

  it("knows who an early request is from, and that it goes on from an earlier session", function()
    local psk, id = ("k"):rep(32), web.identity()
    local authority = Authority.new()
    finally(function() authority:remove() end)
    local root = authority:issue { name = "works", extensions = Authority.CA }
    local device = authority:issue { name = "pump", issuer = "works", subject = "/CN=pump 7",
      extensions = "basicConstraints=CA:FALSE\nkeyUsage=digitalSignature\nextendedKeyUsage=clientAuth\n" }
    for _, case in ipairs {
      { "sensor 7 nil true", { psk = { identity = "sensor 7", key = psk } } },
      { "false CN=pump 7 true", { cert = device.pem, key = device.key } },
    } do
      local text, given, seen, conn = case[1], case[2], {}, nil
      web.with_app(function(app)
        app:get("/", function() return "home" end)
        app:get("/a", function(req)
          local function note()
            local who = req.client_cert
            seen[#seen + 1] = table.concat({ tostring(req.is_early), tostring(req.psk_identity),
              tostring(who and who.subject), tostring(req.is_resumed) }, " ")
          end
          note()
          conn = req._session.conn
          assert(req:wait_for_handshake())
          note()
          seen[#seen + 1] = tostring(conn:psk_identity()) .. " " .. tostring(conn:is_resumed())
          return 204
        end)
      end, function(_, url)
        local client = new_client(given)
        acquaint(client, url)
        assert.equal("204 true accepted", short(assert(client:get(url .. "/a", { early = true }))))
        client:close()
      end, { early_data = true, cert = id.cert, key = id.key, psk = { ["sensor 7"] = psk },
        client_certificate = "request", client_ca = root.pem })
      assert.same({ "true " .. text, "false " .. text, given.psk and "sensor 7 true" or "nil true" }, seen)
    end
  end)

  it("tells a handler that waits when nobody completes the handshake, as who sends a copy cannot", function()
    local told
    with_early(function(app)
      app:post("/a", { early = true }, function(req)
        assert(req:body() == "pay")
        told = { req.is_early, req:wait_for_handshake() }
        return 204
      end)
    end, function(_, _, server)
      local config = assert(core.config { ca = web.identity().cert, alpn = "h3", early_data = true })
      local loop, udp, peer = neap.task.loop(), core.udp(), "127.0.0.1:" .. server.port
      local endpoint = assert(loop:client(config))
      neap.task.attach(endpoint, function() end)
      local first = assert(endpoint:connect("localhost", peer))
      neap.sleep(0.1)
      assert.is_true(first:is_established())
      first:close(0)
      neap.task.flush()
      local conn = assert(core.connect(config, "localhost", peer, { at = core.now() }))
      local h3 = core.h3(conn)
      local stream = h3:send_request { ":method", "POST", ":scheme", "https", ":authority", "localhost", ":path", "/a" }
      h3:send_body(stream, "pay", true)
      assert(udp:bind("127.0.0.1:0"))
      local bytes = conn:send(core.now())
      while bytes do
        assert(udp:sendto(bytes, peer))
        bytes = conn:send(core.now())
      end
      for _ = 1, 40 do
        if told then break end
        neap.sleep(0.05)
      end
      neap.task.detach(endpoint)
      endpoint:close()
      udp:close()
    end, { handshake_timeout = 0.3 })
    assert.same({ true, nil, "no answer (handshake timed out)", "closed", 0 }, told)
  end)

  it("has options of routes that are checked", function()
    local app = neap.app()
    local function handler() end
    assert.has_error(function() app:get("/a", { late = true }, handler) end, "unknown option 'late' of a route")
    assert.has_error(function() app:get("/a", { early = 1 }, handler) end, "option 'early' must be true or false")
    assert.has_error(function() app:get("/a", {}) end, "a constant response has a status or a body")
    assert.has_error(function() app:route("GET", "/a", {}, "x") end,
      "a handler is a function, or a table with a constant response")
    app:route("get", "/a", { early = true }, handler)
    assert.is_true((app.router:match("GET", "/a")).early)
  end)
end)

describe("neap get --early", function()
  after_each(support.end_all)

  it("sends with the first packets, and says what became of it", function()
    local folder = helper.make_dir()
    finally(function() helper.remove_dir(folder) end)
    local id = web.identity()
    helper.write_file(folder .. "/cert.pem", id.cert)
    helper.write_file(folder .. "/key.pem", id.key)
    os.execute("mkdir " .. folder .. "/www")
    helper.write_file(folder .. "/www/page.txt", "a page")
    local function get(server)
      local output, status = helper.run(("%s get -v --early --sessions %s/sessions --ca %s/cert.pem %spage.txt"):format(
        support.neap, folder, folder, server.url))
      assert.equal(0, status, output)
      assert.truthy(output:find("a page", 1, true))
      return output:match("0%-RTT ([%a ]+)")
    end
    local words = ("serve %s/www --listen 127.0.0.1:%%d --cert %s/cert.pem --key %s/key.pem"):format(folder, folder,
      folder)
    local server = support.start(words:format(0) .. " --early")
    assert.equal("not offered", get(server))
    assert.equal("accepted", get(server))
    assert.equal("accepted", get(server))
    assert.equal(0, server:stop())
    -- It does not know the ticket any more.
    server = support.start(words:format(server.port) .. " --early")
    assert.equal("rejected", get(server))
    assert.equal("accepted", get(server))
    assert.equal(0, server:stop())
  end)
end)

describe("raw QUIC with early data", function()
  -- A server whose streams give back what came, with a word before it; fn(connect, server).
  local function with_listener(listen, fn)
    local id, seen = web.identity(), {}
    web.run(function()
      local options = { host = "127.0.0.1", port = 0, alpn = "test/1", cert = id.cert, key = id.key }
      for name, value in pairs(listen) do options[name] = value end
      local server = assert(neap.quic.listen(options))
      server:on_connection(function(connection)
        for stream in connection:streams() do
          local was_early = stream:is_early()
          local text = stream:read_all()
          if text == "wait" then connection:wait_for_handshake() end
          seen[#seen + 1] = { was_early, stream:is_early(), connection:early() }
          stream:write(tostring(was_early) .. " " .. text, { fin = true })
        end
      end)
      local function connect(given)
        local own = { alpn = "test/1", ca = id.cert, early_data = true, early = true }
        for name, value in pairs(given or {}) do own[name] = value end
        return assert(neap.quic.connect("127.0.0.1:" .. server.port, own))
      end
      fn(connect, server)
      server:close()
    end)
    return seen
  end

  local function ask(connection, text)
    local stream = assert(connection:open_stream())
    local ok, message, code = stream:write(text, { fin = true })
    if not ok then return nil, message, code end
    return stream:read_all()
  end

  local function acquaint_with(connect, given)
    local connection = connect(given)
    assert.is_true(connection:wait_for_handshake())
    assert(ask(connection, "x"))
    neap.sleep(0.05)
    connection:close()
  end

  it("does not wait for the handshake, and its server knows", function()
    local seen = with_listener({ early_data = true }, function(connect)
      acquaint_with(connect)
      local connection = connect()
      assert.equal("offered", connection:early())
      assert.equal("true hello", ask(connection, "hello"))
      assert.equal("accepted", connection:early())
      assert.is_true(connection:wait_for_handshake())
      assert.equal("false again", ask(connection, "again"))
      neap.sleep(0.05)
      connection:close()
      connection = connect()
      assert.equal("true wait", ask(connection, "wait"))
      neap.sleep(0.05)
      connection:close()
      connection = connect { early = false }
      assert.equal("accepted", connection:early())
      assert.equal("false last", ask(connection, "last"))
      connection:close()
    end)
    assert.same({ { false, false, "none" }, { true, true, "accepted" }, { false, false, "accepted" },
      { true, false, "accepted" }, { false, false, "accepted" } }, seen)
  end)

  -- A name with these addresses, in this order.
  local function with_addresses(list)
    local resolve = neap.task.resolve
    finally(function() neap.task.resolve = resolve end)
    function neap.task.resolve() -- luacheck: ignore 122
      return list
    end
  end

  it("goes to the address that answered before, not to the first of a name, which is silent", function()
    local silent = core.udp()
    assert(silent:bind("127.0.0.2:0"))
    with_listener({ early_data = true }, function(connect, server)
      with_addresses { silent:address(), server.address }
      local begun = core.now()
      acquaint_with(connect)
      assert.is_true(core.now() - begun < 5)
      local connection = connect()
      assert.equal("offered", connection:early())
      assert.equal(server.address, connection.peer)
      assert.equal("true hello", ask(connection, "hello"))
      connection:close()
    end)
    silent:close()
  end)

  it("goes on with the next address where nobody listens any more, and its streams are to be opened anew", function()
    local folder = helper.make_dir()
    helper.write_file(folder .. "/tickets", KEY .. "\n")
    local listen = { early_data = true, ticket_key_file = folder .. "/tickets", strike_file = folder .. "/strikes" }
    with_listener(listen, function(connect, server)
      local id = web.identity()
      local gone = assert(neap.quic.listen { host = "127.0.0.2", port = server.port, alpn = "test/1", cert = id.cert,
        key = id.key, early_data = true, ticket_key_file = listen.ticket_key_file, strike_file = listen.strike_file })
      gone:on_connection(function(connection)
        for stream in connection:streams() do stream:write(stream:read_all(), { fin = true }) end
      end)
      local addresses = { gone.address, server.address }
      with_addresses(addresses)
      acquaint_with(connect)
      gone:close()
      local begun = core.now()
      local connection = connect()
      assert.same({ "offered", gone.address }, { connection:early(), connection.peer })
      assert.equal("early", select(3, ask(connection, "hello")))
      assert.equal(server.address, connection.peer)
      assert.is_true(connection:wait_for_handshake(5))
      assert.equal("hello", ask(connection, "hello"):match("hello"))
      neap.sleep(0.05)
      connection:close()
      addresses[1] = "127.0.0.3:" .. server.port
      connection = connect()
      assert.equal(server.address, connection.peer) -- which is known from then on
      local answer = ask(connection, "hello") or ask(connection, "hello")
      assert.equal("hello", answer:match("hello"))
      connection:close()
      assert.is_true(core.now() - begun < 5)
    end)
    helper.remove_dir(folder)
  end)

  it("goes on with the address after one for which there is no socket, and is traced there too", function()
    local lab = neap.sim.new{ seed = 1 }
    local link = lab:link{ delay = 0.01 }
    local server, client = lab:host("server.example", "10.1.0.1"), lab:host("client.example", { link = link })
    server:add_address("10.1.0.2")
    local gone
    server:go(function()
      for _, host in ipairs{ "10.1.0.2", "10.1.0.1" } do
        gone = assert(neap.quic.listen{ host = host, port = 4433, alpn = "x", early_data = true })
        gone:on_connection(function(connection)
          for stream in connection:streams() do stream:write(stream:read_all(), { fin = true }) end
        end)
      end
    end)
    client:run(function()
      with_addresses{ "10.1.0.1:4433", "[fd00::5]:4433", "10.1.0.2:4433" }
      local began = {}
      local function note(event, trace)
        if event.name == "quic:connection_started" then began[#began + 1] = trace.peer end
      end
      local function connect()
        return assert(neap.quic.connect("server.example:4433", { alpn = "x", early_data = true, early = true,
          on_trace = not core.without_qlog and note or nil }))
      end
      acquaint_with(connect)
      gone:close()
      local connection, begun = connect(), neap.now()
      assert.equal("offered", connection:early())
      assert.equal("early", select(3, ask(connection, "hello")))
      assert.is_true(connection:wait_for_handshake(5))
      assert.is_true(neap.now() - begun < 0.1, neap.now() - begun) -- the next one is asked at once
      assert.equal("10.1.0.2:4433", connection.peer)
      assert.equal("hello", ask(connection, "hello"))
      connection:close()
      if core.without_qlog then return end
      assert.same({ "10.1.0.1:4433", "10.1.0.1:4433", "10.1.0.2:4433" }, began)
    end)
    lab:close()
  end)

  it("ends streams that were not read, and others take their place", function()
    local folder = helper.make_dir()
    finally(function() helper.remove_dir(folder) end)
    helper.write_file(folder .. "/tickets", KEY .. "\n")
    -- The register is new, so that nothing is read early.
    local seen = with_listener({ early_data = true, ticket_key_file = folder .. "/tickets",
      strike_file = folder .. "/strikes" }, function(connect)
      acquaint_with(connect)
      local connection = connect()
      local stream, other = assert(connection:open_stream()), assert(connection:open_uni_stream())
      assert.is_true(stream:write("lost", { fin = true }))
      assert.is_true(other:write("lost too"))
      local REJECTED = { nil, "the server did not read early data", "early" }
      assert.same(REJECTED, { stream:read() })
      assert.same(REJECTED, { stream:read_all() })
      assert.same(REJECTED, { stream:write("x") })
      assert.same(REJECTED, { other:write("x") })
      assert.is_true(other:reset(1))
      assert.is_true(stream:stop(1))
      assert.equal("rejected", connection:early())
      assert.is_true(connection:wait_for_handshake())
      local new = assert(connection:open_stream())
      assert.equal(stream.id, new.id)
      assert.is_true(new:write("lost", { fin = true }))
      assert.equal("false lost", new:read_all())
      assert.equal("false more", ask(connection, "more"))
      connection:close()
    end)
    for _, one in ipairs(seen) do assert.is_false(one[1]) end
    assert.equal(3, #seen)
  end)

  it("gives up waiting for a handshake that does not come", function()
    with_listener({ early_data = true }, function(connect, server)
      acquaint_with(connect, { handshake_timeout = 0.3 })
      server:close()
      local connection = connect { handshake_timeout = 0.3 }
      assert.equal("offered", connection:early())
      assert.same({ nil, "timeout: the handshake is not complete", "timeout" }, { connection:wait_for_handshake(0.1) })
      local ok, _, code = connection:wait_for_handshake()
      assert.same({ nil, "timeout" }, { ok, code })
    end)
  end)
end)
