local neap = require "neap"
local q = require "neap.lowlevel"
local web = require "support.web"

describe("a server that shuts down", function()
  it("sends what its handlers wrote, to the last byte", function()
    for _, size in ipairs { 1, 60000, 1000000 } do
      local body, message
      web.with_app(function(app)
        app:get("/", function(_, res)
          res:write("x")
          neap.sleep(0.1)
          return res:write(("x"):rep(size - 1)) and nil
        end)
      end, function(client, url, server)
        local r = assert(client:get(url))
        neap.go(function()
          neap.sleep(0.02)
          server:shutdown(5)
        end)
        body, message = r:body()
        neap.sleep(0.05)
        assert.is_true(server.closed)
      end)
      assert.equal(size, body and #body, message)
    end
  end)

  it("sends what is queued though the reader is slow", function()
    web.with_app(function(app)
      app:get("/", function() return ("x"):rep(200000) end)
    end, function(client, url, server)
      local r = assert(client:get(url))
      local started = neap.now()
      neap.go(function() server:shutdown(5) end)
      neap.sleep(0.1)
      local size = 0
      for chunk, err in r:chunks() do
        assert(chunk, err)
        size = size + #chunk
        neap.sleep(0.02)
      end
      assert.equal(200000, size)
      neap.sleep(0.1)
      assert.is_true(server.closed)
      assert.is_true(neap.now() - started < 3)
    end)
  end)

  it("sends answers that wait to leave with others of their turn, though a client takes them slowly", function()
    for _, size in ipairs { 10, 4000 } do
      local id, body, message = web.identity(), nil, nil
      web.with_app(function(app)
        app:get("/:n", function(req) return ("x"):rep(tonumber(req.params.n)) end)
      end, function(_, url, server)
        local client = neap.client { ca = id.cert, timeout = 10, initial_max_stream_data_bidi_local = 500,
          max_stream_window = 500 }
        assert(client:get(url .. "/1")):body()
        -- The shutdown begins right behind the handler, before the answer is given to the core.
        local begin = server.kind.on_request
        server.kind.on_request = function(...)
          local req = begin(...)
          neap.go(function() server:shutdown(10) end)
          return req
        end
        local r
        r, message = client:get(url .. "/" .. size)
        if r then
          -- What the client has no room for keeps the server longer than what clients get to close by themselves.
          if size > 500 then neap.sleep(0.8) end
          body, message = r:body()
        end
        client:close()
      end)
      assert.equal(size, body and #body, message)
    end
  end)

  it("gives up on a client that takes nothing when its time is over", function()
    web.with_app(function(app)
      app:get("/", function() return ("x"):rep(3000000) end)
    end, function(client, url, server)
      local r = assert(client:get(url))
      local started = neap.now()
      web.logged(function() server:shutdown(0.3) end)
      local took = neap.now() - started
      assert.is_true(took >= 0.25 and took < 1, took)
      assert.is_nil((r:body()))
    end)
  end)

  it("serves nothing new, and a second shutdown or close does no harm", function()
    web.with_app(function(app)
      app:get("/", function()
        neap.sleep(0.2)
        return "old"
      end)
    end, function(client, url, server)
      local first
      neap.go(function() first = client:get(url) end)
      neap.sleep(0.05)
      neap.go(function() server:shutdown() end)
      neap.sleep(0.02)
      server:shutdown()
      local other = neap.client { verify_peer = false, timeout = 0.3 }
      assert.is_nil((other:get(url)))
      neap.sleep(0.3)
      assert.equal("old", first and first:body())
      server:close()
      server:close()
      other:close()
    end)
  end)
end)

describe("servers", function()
  it("have no key without its certificate", function()
    local id = web.identity()
    web.run(function()
      for given, message in pairs { cert = "'cert' needs 'key'", key = "'key' needs 'cert'" } do
        assert.error_matches(function()
          neap.app():listen { host = "127.0.0.1", port = 0, [given] = id[given] }
        end, message)
      end
      assert.error_matches(function() neap.app():listen { host = "127.0.0.1", port = 0, certs = {} } end,
        "option 'certs' must be a list of { cert =, key = }, one at least")
    end)
  end)

  it("drain at once, and none accepts meanwhile", function()
    local id = web.identity()
    web.run(function()
      local servers, bodies = {}, {}
      for i = 1, 3 do
        local app = neap.app()
        app:get("/", function()
          neap.sleep(0.3)
          return "app " .. i
        end)
        servers[i] = assert(app:listen { host = "127.0.0.1", port = 0, cert = id.cert, key = id.key })
      end
      local client = neap.client { ca = id.cert }
      for i = 1, 3 do
        neap.go(function() bodies[i] = assert(client:get("https://127.0.0.1:" .. servers[i].port)):body() end)
      end
      neap.sleep(0.1)
      local done
      neap.go(function()
        neap.server.shutdown_all(5)
        done = true
      end)
      neap.sleep(0.05)
      for i = 1, 3 do
        assert.is_true(servers[i].draining)
        local other = neap.client { verify_peer = false, timeout = 0.1 }
        assert.is_nil((other:get("https://127.0.0.1:" .. servers[i].port)))
        other:close()
      end
      for _ = 1, 100 do
        if done then break end
        neap.sleep(0.02)
      end
      assert.same({ "app 1", "app 2", "app 3" }, bodies)
      for i = 1, 3 do assert.is_true(servers[i].closed) end
      client:close()
    end)
  end)

  it("go on when memory is used up, and answer afterwards", function()
    local log = web.logged(function()
      web.with_app(function(app) app:get("/", function() return "here" end) end, function(_, url)
        local id, answered = web.identity(), 0
        for _ = 1, 2 do
          local jobs = {}
          for i = 1, 60 do
            jobs[i] = function()
              local one = neap.client { ca = id.cert, timeout = 1 }
              if one:get(url) then answered = answered + 1 end
              one:close()
            end
          end
          neap.all(jobs)
        end
        assert.is_true(answered < 120)
        local one = neap.client { ca = id.cert, timeout = 5 }
        assert.equal("here", assert(one:get(url)):body())
        one:close()
      end, { memory_limit = 200000 })
    end)
    assert.is_nil(log:find("traceback", 1, true), log)
  end)

  it("take no larger fields than max_field_section_size", function()
    web.with_app(function(app) app:get("/", function() return "" end) end, function(client, url)
      assert.equal(200, assert(client:get(url, { headers = { x = ("y"):rep(500) } })).status)
      -- The settings of the server are known: the client does not even try.
      local r, message, code = client:get(url, { headers = { x = ("y"):rep(3000) } })
      assert.same({ nil, "limit" }, { r, code })
      assert.matches("too long", message)
      -- Before they are known it does.
      local fresh = neap.client { verify_peer = false }
      r = fresh:get(url, { headers = { x = ("y"):rep(3000) } })
      assert.is_true(r == nil or r.status == 431)
      fresh:close()
    end, { max_field_section_size = 1000 })
  end)

  it("may be two in one loop, each with its own app", function()
    local id = web.identity()
    web.run(function()
      local servers = {}
      for i = 1, 2 do
        local app = neap.app()
        app:get("/", function() return "app " .. i end)
        servers[i] = assert(app:listen { host = "127.0.0.1", port = 0, cert = id.cert, key = id.key })
      end
      local client = neap.client { ca = id.cert }
      for i = 1, 2 do
        assert.equal("app " .. i, assert(client:get("https://127.0.0.1:" .. servers[i].port)):body())
      end
      servers[1]:close()
      assert.equal("app 2", assert(client:get("https://127.0.0.1:" .. servers[2].port)):body())
      client:close()
      servers[2]:close()
    end)
  end)

  -- What a client that takes `limit` bytes of fields gets for 20 requests, of each path in turn: the log, what each
  -- began with ("reset" or its status).
  local function ask_with_bound(limit, paths, build)
    local core, count, got = require "neap.core", 20, {}
    local log = web.logged(function()
      web.with_app(build, function(_, _, server)
        local config = assert(core.config { ca = web.identity().cert, alpn = { "h3" } })
        local endpoint = assert(neap.task.loop():client(config))
        local h3 = core.h3(endpoint:connect("localhost", server.address), { max_field_section_size = limit })
        local begun, waiter = 0, neap.task.waiter()
        neap.task.attach(endpoint, function()
          local kind, _, fields = h3:poll()
          while kind do
            if kind == "reset" or kind == "headers" then got[#got + 1] = kind == "headers" and fields[2] or kind end
            kind, _, fields = h3:poll()
          end
          while begun < count and h3:send_request({ ":method", "GET", ":scheme", "https", ":authority", "localhost",
            ":path", paths[begun % #paths + 1] }, true) do begun = begun + 1 end
          if #got == count then neap.task.wake(waiter, true) end
        end)
        assert(neap.task.await(waiter, 10))
        neap.task.detach(endpoint)
        endpoint:close()
      end)
    end)
    return log, got
  end

  it("tell in one line of a client that takes no fields, however often it asks", function()
    local log, got = ask_with_bound(1, { "/whole", "/pieces" }, function(app)
      app:get("/whole", function() return "x" end)
      app:get("/pieces", function(_, res)
        res:write("x")
        return res:write("y")
      end)
    end)
    for i = 1, 20 do assert.equal("reset", got[i]) end
    assert.matches("warn .* the client takes no fields as long as a response's$", log)
    assert.is_nil(log:find("\n", 1, true), log)
  end)

  it("answer 500 where a client's bound is shorter than a response's fields, and not than that", function()
    local log, got = ask_with_bound(500, { "/long" }, function(app)
      app:get("/long", function(_, res)
        res:header("x-long", ("y"):rep(1000))
        return "x"
      end)
    end)
    for i = 1, 20 do assert.equal("500", got[i]) end
    assert.is_nil(log:find("\n", 1, true), log)
  end)

  it("have the loop poll as long as the one that wants it longest, while that is open, and clients likewise", function()
    local id = web.identity()
    web.run(function()
      local loop, asked = neap.task.loop, nil
      neap.task.loop = function()
        return setmetatable({ busy_poll = function(_, seconds) asked = seconds end }, { __index = function(_, name)
          return function(_, ...) return loop()[name](loop(), ...) end
        end })
      end
      finally(function() neap.task.loop = loop end)
      local list, wanted = {}, { 0.00002, 0.0003, 0 }
      for i, seconds in ipairs(wanted) do
        list[i] = assert(neap.app():listen { host = "127.0.0.1", port = 0, cert = id.cert, key = id.key,
          busy_poll = seconds })
      end
      local told = { asked }
      for i, place in ipairs { 2, 1, 3 } do
        list[place]:close()
        told[i + 1] = asked
      end
      assert.same({ 0.0003, 0.00002, 0, 0 }, told)
      local client = neap.client { busy_poll = 0.0004, verify_peer = false }
      told = { asked }
      assert.is_nil(client:get("https://127.0.0.1:1/", { timeout = 0.001 }))
      told[2] = asked
      client:close()
      told[3] = asked
      assert.same({ 0, 0.0004, 0 }, told)
    end)
  end)

  it("listen on ::1 and are reached by the address", function()
    web.with_app(function(app) app:get("/", function(req) return req.peer end) end, function(client, _, server)
      local r = assert(client:get("https://[::1]:" .. server.port))
      assert.matches("^%[::1%]:%d+$", r:body())
    end, { host = "::1" })
  end)

  it("listen on a port that was calculated, which Lua 5.4 has as a float", function()
    web.run(function()
      local id = web.identity()
      for _, listen in ipairs {
        function(given) return neap.app():listen(given) end,
        function(given)
          given.alpn = "x"
          return neap.quic.listen(given)
        end,
      } do
        local first = assert(listen { host = "127.0.0.1", port = 0, cert = id.cert, key = id.key })
        local port = first.port
        first:close()
        local second = assert(listen { host = "127.0.0.1", port = port * 2 / 2, cert = id.cert, key = id.key })
        assert.equal(port, second.port)
        second:close()
      end
    end)
  end)

  it("listen on localhost by name", function()
    web.with_app(function(app) app:get("/", function() return "here" end) end, function(client, _, server)
      local r = assert(client:get("https://localhost:" .. server.port))
      assert.equal("here", r:body())
    end, { host = "localhost" })
  end)

  it("let a request go that never ends its body", function()
    local result
    web.with_app(function(app)
      app:post("/", function(req)
        result = { req:body() }
        return 408, "too slow\n"
      end)
    end, function(client, url)
      local calls = 0
      local r = assert(client:post(url, { body = function()
        calls = calls + 1
        if calls > 1 then neap.sleep(0.5) end
        return calls <= 2 and "x" or nil
      end, timeout = 3 }))
      assert.equal(408, r.status)
      assert.equal("timeout", result[3])
    end, { read_timeout = 0.2 })
  end)
end)

describe("a server whose handler is silent for longer than its connections may be", function()
  -- A client that does not keep its connection alive, in raw QUIC: what came on the request's stream.
  local function ask(read_timeout, wait)
    local answer, message
    local fields = require("neap.units").http.qpack_encode({ { ":method", "GET" }, { ":scheme", "https" },
      { ":authority", "localhost" }, { ":path", "/" } })
    web.with_app(function(app)
      app:get("/", function()
        neap.sleep(wait)
        return "late"
      end)
    end, function(_, url)
      local conn = assert(neap.quic.connect(url:match("//(.*)$"), { alpn = "h3", ca = web.identity().cert }))
      local stream = assert(conn:open_stream())
      assert(stream:write("\1" .. string.char(#fields) .. fields, { fin = true }))
      answer, message = stream:read_all()
      conn:close(0x100)
    end, { max_idle_timeout = 0.4, read_timeout = read_timeout })
    return answer, message
  end

  it("keeps the connection while a request is open", function()
    local answer, message = ask(5, 1.2)
    assert.is_truthy(answer and answer:find("late", 1, true), message)
  end)

  it("and not for longer than read_timeout without a sign of progress", function()
    assert.is_nil((ask(0.5, 3)))
  end)
end)

describe("a connection", function()
  -- A client that leaves each of its requests once the handler runs, as fast as it may make them: how many handlers run
  -- when it may make none any more, and when these have ended and it has gone on.
  local function leave(handler)
    local begun, live, resume, counts = 0, 0, {}, {}
    web.with_app(function(app)
      app:get("/", function(req, res)
        begun, live = begun + 1, live + 1
        handler(req, res)
        local waiter = neap.task.waiter()
        resume[#resume + 1] = waiter
        neap.task.await(waiter, 10)
        live = live - 1
        return "late"
      end)
    end, function(_, _, server)
      local socket = assert(q.udp("127.0.0.1:0"))
      local me, peer = socket:address(), "127.0.0.1:" .. server.port
      local conn = assert(q.connect(assert(q.config { alpn = "h3", verify_peer = false }), "localhost", peer,
        { from = me, at = q.now() }))
      local h3 = assert(q.h3(conn))
      local function turn()
        for bytes, info in function() return conn:send(q.now()) end do socket:sendto(bytes, info.to) end
        neap.sleep(0.001)
        for bytes, from, ecn in function() return socket:recvfrom(0) end do
          conn:recv(bytes, { from = from, to = me, ecn = ecn, at = q.now() })
        end
        if conn:timeout(q.now()) == 0 then conn:on_timeout(q.now()) end
        while h3:poll() do end
      end
      local open, left = {}, 0
      local function leave_all()
        local idle = 0
        while idle < 100 do
          local id = conn:is_established() and h3:send_request({ ":method", "GET", ":scheme", "https", ":authority",
            "localhost", ":path", "/" }, true)
          if id then open[#open + 1] = id end
          turn()
          if begun == left + #open then
            for _, one in ipairs(open) do h3:cancel(one, 0x10c) end
            left, open = begun, {}
          end
          idle = #resume == left and left >= 10 and not id and idle + 1 or 0
          assert(left <= 40, "streams come without end")
        end
        counts[#counts + 1] = live
      end
      leave_all()
      for i = 1, #resume do neap.task.wake(resume[i], true) end
      leave_all()
      assert.is_false(conn:is_closed() or conn:is_draining())
      conn:close(0x100)
      for _, waiter in ipairs(resume) do neap.task.wake(waiter, true) end
      turn()
    end, { initial_max_streams_bidi = 10 })
    return counts
  end

  it("has no more handlers running than streams, though their client leaves them", function()
    assert.same({ 10, 10 }, leave(function() end))
  end)

  it("nor of those that go on when they can write no more", function()
    assert.same({ 10, 10 }, leave(function(_, res)
      while res:write(("x"):rep(100000)) do end
    end))
  end)
end)

describe("a server whose app raises outside of its handlers", function()
  it("answers 500 or breaks the response off, keeps nothing of the exchange, and says so in the log", function()
    local log = web.logged(function()
      web.with_app(function(app)
        app.handle = function(_, req, res)
          if req.path == "/half" then res:write("half") end
          if req.path == "/whole" then res:send("whole"):finish() end
          error("broken app")
        end
      end, function(client, url, server)
        assert.equal(500, assert(client:get(url)).status)
        assert.equal(500, assert(client:post(url, { body = ("x"):rep(3e6) })).status)
        assert.equal("whole", assert(client:get(url .. "/whole")):body())
        local half, _, code = client:get(url .. "/half")
        assert.same({ nil, "reset" }, { half, code })
        for _, session in pairs(server.sessions) do assert.equal(0, session.count) end
      end)
    end)
    assert.equal(4, select(2, log:gsub("broken app\n?", "")))
  end)
end)

describe("a request", function()
  it("is read in pieces of a size, and gives nothing after its end", function()
    local got = {}
    web.with_app(function(app)
      app:post("/", function(req, res)
        for i = 1, 4 do got[i] = req:read(3) end
        got[5] = req:read(3) == nil
        res:finish()
        got[6] = req:read(3) == nil
        got[7] = req:body()
      end)
    end, function(client, url)
      assert(client:post(url, { body = "0123456789" })):close()
      assert.same({ "012", "345", "678", "9", true, true, "" }, got)
    end)
  end)

  it("can be read on when its response has ended", function()
    local size
    web.with_app(function(app)
      app:post("/", function(req, res)
        res:send("thanks")
        local body = req:body()
        size = body and #body
      end)
    end, function(client, url)
      local r = assert(client:post(url, { body = ("x"):rep(500000) }))
      assert.equal("thanks", r:body())
      for _ = 1, 100 do
        if size then break end
        neap.sleep(0.01)
      end
      assert.equal(500000, size)
    end)
  end)

  it("gives its body twice, up to a limit", function()
    local got
    web.with_app(function(app)
      app:post("/", function(req)
        got = { req:body(), req:body(), req:json().a, select(3, req:body(3)), req:read() }
        return 204
      end)
      app:post("/large", function(req)
        got = { select(3, req:body(3)), select(3, req:body(3)) }
        return 204
      end)
    end, function(client, url)
      assert(client:post(url, { body = '{"a":1}' }))
      assert.same({ '{"a":1}', '{"a":1}', 1, "limit" }, got)
      assert(client:post(url .. "/large", { body = '{"a":1}' }))
      assert.same({ "limit", "limit" }, got)
    end)
  end)

  it("whose body breaks off ends a loop over it with an error, and a reader who goes on", function()
    local results = {}
    local log = web.logged(function()
      web.with_app(function(app)
        app:post("/loop", function(req)
          results[1] = { pcall(function() for _ in req:chunks() do results.chunk = true end end) }
          results[2] = { pcall(req.read, req) }
          for _ in req:chunks() do results.went_on = true end
        end)
        app:post("/slow", function(req)
          for _ in req:chunks() do results.slow = true end
        end)
      end, function(client, url)
        local function body()
          local calls = 0
          return function()
            calls = calls + 1
            if calls == 1 then return "x" end
            neap.sleep(0.5)
          end
        end
        client:post(url .. "/loop", { body = body(), timeout = 0.1 })
        neap.sleep(0.1)
        assert.equal(408, assert(client:post(url .. "/slow", { body = body() })).status)
      end, { read_timeout = 0.2 })
    end)
    assert.is_true(results.chunk and results.slow)
    assert.is_nil(results.went_on)
    for i = 1, 2 do
      assert.is_false(results[i][1])
      assert.matches("^body broke off: reset", tostring(results[i][2]))
    end
    assert.equal("", log)
  end)

  it("has cookies, one by one", function()
    local got
    web.with_app(function(app)
      app:get("/", function(req)
        got = { req:cookie("a"), req:cookie("b"), req:cookie("c"), req:cookie("d"), req:cookie("B"), req:cookie("e") }
        return ""
      end)
    end, function(client, url)
      assert(client:get(url, { headers = { cookie = { "a=1; b=x=y ; c=", "bad; d=\"q\"; e=1; e=2" } } })):close()
      assert.same({ "1", "x=y", "", "\"q\"", nil, "1" }, got)
    end)
  end)
end)
