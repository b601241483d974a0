local neap = require "neap"
local web = require "support.web"

-- A file with `content`, open for reading.
local function open_file(content)
  local path = os.tmpname()
  web.helper.write_file(path, content)
  local file = assert(io.open(path, "rb"))
  os.remove(path)
  return file
end

describe("a client's body", function()
  local big = ("0123456789abcdef"):rep(40000)

  it("of a file is sent whole again when a kept connection ends", function()
    local calls, got = 0, nil
    web.with_app(function(app)
      app:put("/", function(req)
        calls = calls + 1
        if calls == 1 then
          req:read()
          req._session.conn:close(0x100)
          return
        end
        got = req:body()
        return 204
      end)
    end, function(client, url)
      web.logged(function()
        local r = assert(client:put(url, { body = open_file(big) }))
        assert.equal(204, r.status)
      end)
      assert.is_true(got == big)
    end)
  end)

  it("of a file follows a redirect that keeps the method", function()
    web.with_app(function(app)
      app:put("/a", function(_, res) res:redirect("/b", 307) end)
      app:put("/b", function(req) return tostring(#req:body()) end)
    end, function(client, url)
      local r = assert(client:put(url .. "/a", { body = open_file(big), follow = 3 }))
      assert.equal(tostring(#big), r:body())
    end)
  end)

  it("of a function cannot be sent again: the redirect is the answer", function()
    web.with_app(function(app)
      app:put("/a", function(req, res)
        req:body()
        res:redirect("/b", 307)
      end)
      app:put("/b", function(req) return tostring(#req:body()) end)
    end, function(client, url)
      local left = 3
      local r = assert(client:put(url .. "/a", { follow = 3, body = function()
        left = left - 1
        return left >= 0 and "chunk" or nil
      end }))
      assert.same({ 307, "/b" }, { r.status, r.headers.location })
    end)
  end)

  it("whose function fails breaks the request off and says why", function()
    web.with_app(function(app)
      app:post("/", function(req)
        local _, _, code = req:body()
        return code
      end)
    end, function(client, url)
      web.logged(function()
        local r, message = client:post(url, { body = function() error("the source ran dry") end })
        assert.is_nil(r)
        assert.matches("the source ran dry", message)
        r, message = client:post(url, { body = function() return nil, "no more" end })
        assert.is_nil(r)
        assert.matches("no more", message)
      end)
    end)
  end)
end)

describe("a client that follows redirects", function()
  it("keeps credentials from other servers, and does not repeat the query", function()
    local seen
    web.with_app(function(app)
      app:get("/here", function(_, res) res:redirect("/seen?b=2", 302) end)
      app:get("/there", function(req, res) res:redirect("https://localhost:" .. req.host:match("%d+$") .. "/seen") end)
      app:get("/seen", function(req)
        local headers = req.headers
        seen = { headers.authorization, headers["x-a"], headers["x-b"], req.query_string, req.host:match("%a+") }
        return ""
      end)
    end, function(_, url)
      local client = neap.client { verify_peer = false, follow = 2, headers = { cookie = "c=1", ["x-b"] = "b" } }
      local request = { headers = { Authorization = "secret", ["x-a"] = "1" }, query = { q = 1 } }
      assert(client:get(url .. "/here", request)):close()
      assert.same({ "secret", "1", "b", "b=2" }, seen)
      assert(client:get(url .. "/there", request)):close()
      assert.same({ nil, "1", "b", nil, "localhost" }, seen)
      client:close()
    end)
  end)

  it("leaves answers that are no redirects alone", function()
    web.with_app(function(app)
      app:get("/", function(_, res) return res:status(300):header("location", "/x"):send("choose") end)
    end, function(client, url)
      local r = assert(client:get(url, { follow = 3 }))
      assert.same({ 300, "choose" }, { r.status, r:body() })
    end)
  end)
end)

describe("a client", function()
  it("names the field that cannot be sent", function()
    web.with_app(function(app) app:get("/", function() return "" end) end, function(client, url)
      for field, value in pairs { ["x-a"] = "b\r\nc: d", ["x a"] = "b", [":path"] = "/", ["connection"] = "close" } do
        local r, message, code = client:get(url, { headers = { [field] = value } })
        assert.is_nil(r)
        assert.equal("argument", code)
        assert.is_truthy(message:find(field, 1, true), message)
      end
      local _, message = client:request("G T", url)
      assert.matches("method", message)
      assert.error_matches(function() client:get(nil) end, "a request's URL is a string, not a nil")
      assert.error_matches(function() client:request(nil, url) end, "a request's method is a string, not a nil")
      _, message = client:request("CONNECT", url)
      assert.matches("CONNECT asks for a tunnel", message)
      _, message = client:get(url .. "/\195\164")
      assert.matches("a path is of visible ASCII", message)
      _, message = client:get(url, { headers = { host = "a,b" } })
      assert.matches("authority", message)
    end)
  end)

  it("lets the function for interim responses wait and fail", function()
    web.with_app(function(app)
      app:get("/", function(_, res)
        res:early_hints { link = "</a>" }
        neap.sleep(0.05)
        return "done"
      end)
    end, function(client, url)
      local seen = {}
      local r = assert(client:get(url, { on_informational = function(status, headers)
        neap.sleep(0.001)
        seen = { status, headers.link }
      end }))
      assert.same({ 103, "</a>", "done" }, { seen[1], seen[2], r:body() })
      assert.has_error(function() client:get(url, { on_informational = function() error("mine") end }) end)
      assert.equal("done", assert(client:get(url)):body())
    end)
  end)

  it("asked outside of a task raises, and works in one afterwards", function()
    local id = web.identity()
    local client = neap.client { ca = id.cert, timeout = 2 }
    local app = neap.app()
    app:get("/", function() return "fine" end)
    local server = assert(app:listen { host = "127.0.0.1", port = 0, cert = id.cert, key = id.key })
    local url = "https://127.0.0.1:" .. server.port
    assert.has_error(function() client:get(url) end)
    web.run(function()
      local r, message = client:get(url)
      assert.equal("fine", r and r:body() or message)
      client:close()
      server:close()
    end)
  end)

  it("asks again on a new connection when the kept one is dead and nobody says so", function()
    web.with_app(function(app) app:get("/", function() return "old" end) end, function(client, url, server)
      assert.equal("old", assert(client:get(url)):body())
      -- The server dies without a word; another one takes its port.
      server.endpoint:close()
      neap.task.detach(server.endpoint)
      local id = web.identity()
      local app = neap.app()
      app:get("/", function() return "new" end)
      local second = assert(app:listen { host = "127.0.0.1", port = server.port, cert = id.cert, key = id.key })
      local started = neap.now()
      local r, message = client:get(url)
      assert.equal("new", r and r:body() or message)
      assert.is_true(neap.now() - started < 5)
      second:close()
      server.sessions = {}
    end)
  end)

  it("says of which host a kept connection is dead, where it may not ask again", function()
    web.with_app(function(app) app:get("/", function() return "old" end) end, function(client, url, server)
      assert.equal("old", assert(client:get(url)):body())
      server.endpoint:close()
      neap.task.detach(server.endpoint)
      assert.same({ nil, "127.0.0.1: the connection is dead", "closed" }, { client:post(url, { body = "x" }) })
      server.sessions = {}
    end)
  end)

  it("uses a new connection after the kept one was idle for too long", function()
    web.with_app(function(app) app:get("/", function() return "fine" end) end, function(client, url)
      local one = assert(client:get(url))
      one:body()
      neap.sleep(0.8)
      local two = assert(client:get(url))
      assert.equal("fine", two:body())
      assert.are_not.equal(one.conn, two.conn)
    end, { max_idle_timeout = 0.3 })
  end)

  it("keeps a connection alive while it waits for the headers or the body, and no longer", function()
    web.with_app(function(app)
      app:get("/", function(_, res)
        neap.sleep(0.8)
        res:write("late ")
        neap.sleep(0.8)
        res:write("and later")
      end)
    end, function(_, url)
      local client = neap.client { ca = web.identity().cert, max_idle_timeout = 0.3, progress_timeout = 5 }
      local r, message = client:get(url)
      local conn = r and r.conn
      assert.equal("late and later", r and r:body() or message)
      neap.sleep(0.8)
      assert.is_true(conn:is_closed())
      assert.equal("idle", conn:error().by)
      client:close()
    end)
  end)

  describe("while a response is not read to its end", function()
    local BODY = ("0123456789"):rep(40000)

    -- fn(client, url) with a client whose connections are idle soon.
    local function with_pauses(progress_timeout, fn)
      web.with_app(function(app) app:get("/", function() return BODY end) end, function(_, url)
        local client = neap.client { ca = web.identity().cert, max_idle_timeout = 0.3,
          progress_timeout = progress_timeout }
        fn(client, url)
        client:close()
      end)
    end

    it("keeps the connection alive, so that a pause loses nothing", function()
      with_pauses(5, function(client, url)
        local r = assert(client:get(url))
        neap.sleep(0.8)
        local first = assert(r:read())
        neap.sleep(0.8)
        local rest, message = r:body()
        assert.equal(BODY, first .. (rest or message))
        neap.sleep(0.8)
        assert.equal("idle", r.conn:error().by)
      end)
    end)

    it("and not for longer than progress_timeout", function()
      with_pauses(0.5, function(client, url)
        local r = assert(client:get(url))
        neap.sleep(1.5)
        assert.equal("idle", r.conn:error().by)
      end)
    end)

    it("and not when it was closed, or forgotten", function()
      with_pauses(20, function(client, url)
        local conns = {}
        local r = assert(client:get(url))
        conns[1] = r.conn
        local closed = assert(client:get(url))
        neap.go(function()
          neap.sleep(0.1)
          closed:close()
        end)
        while closed:read() do neap.sleep(0.05) end
        r = nil -- luacheck: ignore
        collectgarbage()
        collectgarbage()
        assert(client:get(url)):body() -- the client looks for forgotten ones when it is used
        neap.sleep(0.8)
        assert.equal("idle", conns[1]:error().by)
      end)
    end)
  end)

  it("names the limit that ended the wait for a connection, for each that waits", function()
    web.run(function()
      local one = neap.client { verify_peer = false, timeout = 0.2 }
      local silent = assert(require("neap.core").udp())
      assert(silent:bind("127.0.0.1:0"))
      local fns, told = {}, {}
      for i = 1, 20 do
        fns[i] = function()
          local _, message, code = one:get("https://" .. silent:address())
          told[code .. ": " .. message] = true
        end
      end
      neap.all(fns)
      told["timeout: 127.0.0.1: no answer"], told["timeout: timeout: not done after 0.2 s"] = nil, nil
      assert.same({}, told)
      one:close()
      silent:close()
    end)
  end)

  it("says at once that a server is not who it should be, though another address of it is silent", function()
    local resolve = neap.task.resolve
    finally(function() neap.task.resolve = resolve end)
    web.with_app(function() end, function(_, url)
      local silent = assert(require("neap.core").udp())
      assert(silent:bind("127.0.0.1:0"))
      local addresses = { silent:address(), url:match("//(.*)") }
      neap.task.resolve = function() return addresses end
      local one = neap.client { verify_peer = false, pins = ("0"):rep(64), timeout = 5 }
      local begun = neap.now()
      local _, message, code = one:get("https://localhost")
      assert.equal("tls", code, message)
      assert.is_true(neap.now() - begun < 4)
      one:close()
      silent:close()
    end)
  end)

  it("goes on to the next address when a server there has no use for it", function()
    local resolve = neap.task.resolve
    finally(function() neap.task.resolve = resolve end)
    local id = web.identity()
    web.with_app(function(app)
      app:get("/", function() return "here" end)
    end, function(client, url)
      local other = assert(neap.app():listen { host = "127.0.0.1", port = 0, cert = id.cert, key = id.key,
        alpn = { "other" } })
      neap.task.resolve = function() return { other.address, url:match("//(.*)") } end
      local r, message = client:get("https://localhost")
      assert.equal("here", r and r:body(), message)
      neap.task.resolve = function() return { other.address } end
      local one = neap.client { ca = id.cert, timeout = 5 }
      local _, _, code = one:get("https://localhost")
      assert.equal("tls", code)
      one:close()
      other:close()
    end)
  end)

  it("names the limit that was nearer when a hair of it is left", function()
    local limits = require("neap.limits").new(5, 30)
    assert.equal("timeout: not done after 5 s", (limits:why(nil, nil, limits.deadline - 5)))
    assert.equal("timeout: no progress for 30 s", (limits:why(nil, nil, limits.deadline - 31)))
  end)

  it("ends everything that waits when it is closed", function()
    web.with_app(function(app)
      app:get("/", function()
        neap.sleep(0.3)
        return "late"
      end)
    end, function(client, url)
      local one = neap.client { verify_peer = false, timeout = 10, handshake_timeout = 10 }
      local results = {}
      local silent = assert(require("neap.core").udp())
      assert(silent:bind("127.0.0.1:0"))
      neap.go(function() results[1] = { one:get("https://" .. silent:address()) } end)
      neap.go(function() results[2] = { one:get("https://" .. silent:address()) } end)
      neap.go(function() results[3] = { one:get(url) } end)
      neap.sleep(0.15)
      one:close()
      neap.sleep(0.05)
      for i = 1, 3 do
        assert.is_table(results[i], i .. " still waits")
        assert.is_nil(results[i][1])
        assert.equal("closed", results[i][3], results[i][2])
      end
      silent:close()
      assert.equal("late", assert(client:get(url)):body())
    end)
  end)

  it("gives back the stream of a response that nobody reads", function()
    web.with_app(function(app)
      app:get("/", function(_, res)
        local line = ("x"):rep(65536)
        for _ = 1, 100 do
          if not res:write(line) then return end
        end
      end)
    end, function(client, url, server)
      for _ = 1, 30 do
        assert.equal(200, assert(client:get(url)).status) -- and forgotten
        collectgarbage()
        collectgarbage()
      end
      collectgarbage()
      assert.equal(200, assert(client:get(url)).status)
      neap.sleep(0.1)
      local open = 0
      for _, session in pairs(server.sessions) do open = open + session.count end
      assert.is_true(open <= 3, open .. " requests are still open")
    end, { initial_max_streams_bidi = 4 })
  end)

  -- Runs fn(ask) where ask() gets 64 KiB of an app, with credit for 1 MiB on the connection.
  local function with_little_credit(options, fn)
    local body = ("x"):rep(65536)
    web.with_app(function(app) app:get("/", function() return body end) end, function(_, url)
      local given = { ca = web.identity().cert, initial_max_data = 2 ^ 20, max_connection_window = 2 ^ 20 }
      for name, value in pairs(options) do given[name] = value end
      local client = neap.client(given)
      fn(function(request) return client:get(url, request) end)
      client:close()
    end)
  end

  it("has its credit back from responses that are closed, cut short or read to the last byte", function()
    with_little_credit({ progress_timeout = 5 }, function(ask)
      local held = {} -- so that no collector helps
      for i = 1, 60 do
        local r = assert(ask())
        held[i] = r
        if i % 3 == 0 then r:close() end
        if i % 3 == 1 then
          assert.equal(10, #r:read(10))
          r:close()
        end
        if i % 3 == 2 then
          local size = 0
          while size < 65536 do size = size + #r:read() end
        end
      end
      assert.equal(60, #held)
    end)
  end)

  it("has its credit back from responses that are forgotten", function()
    with_little_credit({ progress_timeout = 10 }, function(ask)
      collectgarbage("stop") -- as if it had no reason to run: what waits in C is not seen by it
      local ok, err = pcall(function()
        for _ = 1, 60 do assert(ask()) end
      end)
      collectgarbage("restart")
      assert.is_true(ok, err)
    end)
  end)

  it("says what holds its credit when nothing comes any more", function()
    with_little_credit({ progress_timeout = 0.3 }, function(ask)
      local held, r, message, code = {}, nil, nil, nil
      for i = 1, 60 do
        r, message, code = ask()
        if not r then break end
        held[i] = r
      end
      assert.is_nil(r)
      assert.equal("timeout", code)
      local count = tonumber(message:match("(%d+) unread responses hold the connection's receive credit"))
      assert.is_true(count ~= nil and count >= 15 and count <= #held, message)
      for i = 1, #held do held[i]:close() end
      assert.equal(65536, #assert(ask()):body())
    end)
  end)

  it("keeps no exchange of a response without a body", function()
    web.with_app(function(app) app:get("/", function() return 204 end) end, function(client, url)
      local r = assert(client:get(url))
      assert.same({ 204, 0, "" }, { r.status, r._exchange._session.count, r:body() })
    end)
  end)

  it("tells a request that takes too long in all from one without progress", function()
    web.with_app(function(app)
      app:get("/slow", function(_, res)
        for _ = 1, 100 do
          if not res:write("drop ") then return end
          neap.sleep(0.02)
        end
      end)
      app:get("/silent", function() neap.sleep(1) end)
      app:get("/around", function(_, res)
        neap.sleep(0.1)
        res:redirect("/around")
      end)
    end, function(client, url)
      web.logged(function()
        -- Drops come all the time: that is progress, and 0.3 s in all are over nevertheless.
        local r = assert(client:get(url .. "/slow", { timeout = 0.3, progress_timeout = 5 }))
        local body, message, code = r:body()
        assert.same({ nil, "timeout: not done after 0.3 s", "timeout" }, { body, message, code })
        assert.equal(500, #assert(assert(client:get(url .. "/slow", { progress_timeout = 1 })):body()))
        r, message, code = client:get(url .. "/silent", { progress_timeout = 0.2 })
        assert.same({ nil, "timeout: no progress for 0.2 s", "timeout" }, { r, message, code })
        r, message, code = client:get(url .. "/around", { timeout = 0.35, follow = 100 })
        assert.same({ nil, "timeout: not done after 0.35 s", "timeout" }, { r, message, code })
      end)
    end)
  end)

  it("counts a body that goes out as progress while it waits for the answer", function()
    web.with_app(function(app) app:post("/", function(req) return tostring(#req:body()) end) end, function(client, url)
      local left = 12
      local r, message = client:post(url, { progress_timeout = 0.2, body = function()
        left = left - 1
        neap.sleep(0.05)
        return left >= 0 and ("x"):rep(1000) or nil
      end })
      assert.equal("12000", r and r:body() or message)
    end)
  end)

  it("keeps a response alive while its body is read", function()
    web.with_app(function(app)
      app:get("/", function(_, res)
        for _ = 1, 20 do
          res:write(("x"):rep(10000))
          neap.sleep(0.001)
        end
      end)
    end, function(client, url)
      local size = 0
      for chunk in assert(client:get(url)):chunks() do
        collectgarbage()
        assert.is_string(chunk)
        size = size + #chunk
      end
      assert.equal(200000, size)
    end)
  end)

  it("raises in a loop over a body that breaks off", function()
    web.with_app(function(app)
      app:get("/", function(_, res)
        res:write("half ")
        neap.sleep(0.02)
        res:abort()
      end)
    end, function(client, url)
      local got, r = "", assert(client:get(url))
      local ok, err = pcall(function()
        for chunk in r:chunks() do got = got .. chunk end
      end)
      assert.same({ false, "half " }, { ok, got })
      assert.matches("^body broke off: reset", tostring(err))
      assert.equal("reset", err.code)
    end)
  end)

  it("reads small pieces, and nothing after the end", function()
    web.with_app(function(app) app:get("/", function() return "0123456789" end) end, function(client, url)
      local r = assert(client:get(url))
      assert.same({ "012", "345", "678", "9" }, { r:read(3), r:read(3), r:read(3), r:read(3) })
      assert.is_nil(r:read(3))
      assert.same({}, { r:read(3) })
      assert.equal("", r:body())
      r = assert(client:get(url))
      r:close()
      local bytes, _, code = r:read()
      assert.same({ nil, "closed" }, { bytes, code })
    end)
  end)
end)
