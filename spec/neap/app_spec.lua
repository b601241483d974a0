local neap = require "neap"
local web = require "support.web"

describe("an app", function()
  it("answers with a string, a table, or status, body and headers", function()
    web.with_app(function(app)
      app:get("/text", function() return "hello" end)
      app:get("/table", function() return { a = 1 } end)
      app:get("/teapot", function() return 418, "short and stout", { ["x-spout"] = "here" } end)
      app:delete("/gone", function() return 204 end)
    end, function(client, url)
      local r = assert(client:get(url .. "/text"))
      assert.same({ 200, "text/plain; charset=utf-8", "5", "hello" },
        { r.status, r.headers["content-type"], r.headers["content-length"], r:body() })
      r = assert(client:get(url .. "/table"))
      assert.equal("application/json", r.headers["content-type"])
      assert.same({ a = 1 }, r:json())
      r = assert(client:get(url .. "/teapot"))
      assert.same({ 418, "here", "short and stout" }, { r.status, r.headers["x-spout"], r:body() })
      r = assert(client:delete(url .. "/gone"))
      assert.same({ 204, nil, "" }, { r.status, r.headers["content-length"], r:body() })
    end)
  end)

  it("gives handlers method, path, query, host, headers, parameters and peer", function()
    local seen
    web.with_app(function(app)
      app:any("/a/:one/*rest", function(req)
        seen = { req.method, req.path, req.query.x, req.host, req.headers["X-Two"], req.params.one, req.params.rest,
          req.scheme, req.proto, req.peer:match("^127%.0%.0%.1:%d+$") and "peer" }
        return ""
      end)
    end, function(client, url)
      local r = assert(client:request("patch", url .. "/a/caf%C3%A9/b/c?x=1%202", { headers = { ["X-Two"] = "2" } }))
      assert.equal(200, r.status)
      local host = url:match("//(.*)$")
      assert.same({ "PATCH", "/a/caf%C3%A9/b/c", "1 2", host, "2", "café", "b/c", "https", "h3", "peer" }, seen)
    end)
  end)

  it("looks at the first thousand pairs of a query", function()
    web.with_app(function(app)
      app:get("/", function(req) return { req.query.last or "none", #req.query_all.a } end)
    end, function(client, url)
      assert.same({ "x", 999 }, assert(client:get(url .. "/?" .. ("a=&"):rep(999) .. "last=x")):json())
      assert.same({ "none", 1000 }, assert(client:get(url .. "/?" .. ("a=&"):rep(1000) .. "last=x")):json())
    end)
  end)

  it("says 404, and 405 with the methods that would do", function()
    web.with_app(function(app)
      app:get("/only", function() return "x" end)
    end, function(client, url)
      assert.equal(404, assert(client:get(url .. "/none")).status)
      local r = assert(client:post(url .. "/only", { body = "x" }))
      assert.same({ 405, "GET, HEAD, OPTIONS" }, { r.status, r.headers.allow })
    end)
  end)

  it("answers HEAD like GET without the body", function()
    web.with_app(function(app)
      app:get("/", function() return ("x"):rep(1000) end)
      app:get("/streamed", function(_, res)
        res:write("some")
        res:finish()
      end)
    end, function(client, url)
      local r = assert(client:head(url .. "/"))
      assert.same({ 200, "1000", "" }, { r.status, r.headers["content-length"], r:body() })
      r = assert(client:head(url .. "/streamed"))
      assert.same({ 200, "" }, { r.status, r:body() })
    end)
  end)

  it("runs middleware as an onion, for its prefix only, and lets it answer", function()
    local order = {}
    web.with_app(function(app)
      app:use(function(_, res, next)
        order[#order + 1] = "in"
        next()
        order[#order + 1] = "out " .. res:status()
        res:header("x-after", "yes")
      end)
      app:use("/admin/*", function(req)
        if req.headers.authorization ~= "let me in" then return 401, "no\n" end
      end)
      app:get("/", function()
        order[#order + 1] = "handler"
        return 201, "made"
      end)
      app:get("/admin/x", function() return "secret" end)
    end, function(client, url)
      local r = assert(client:get(url .. "/"))
      assert.same({ 201, "yes", "made" }, { r.status, r.headers["x-after"], r:body() })
      assert.same({ "in", "handler", "out 201" }, order)
      assert.equal(401, assert(client:get(url .. "/admin/x")).status)
    end)
  end)

  it("lets no spelling of a path past the middleware of its prefix", function()
    web.with_app(function(app)
      app:use("/admin/*", function() return 401, "no\n" end)
      app:use("/inner", function() return 402, "no\n" end)
      app:use("/tenant/:id/", function(req, _, next)
        if req.params.id ~= "mine" then return 403, "no\n" end
        next()
      end)
      app:any("/*rest", function(req) return req.params.rest end)
      app:any("/admin/*rest", function() return "secret" end)
      app:any("/:file", function(req) return "file " .. req.params.file end)
    end, function(client, url)
      for path, status in pairs {
        ["/admin/x"] = 401, ["/admin"] = 401, ["/admin/"] = 401, ["/%61dmin/x"] = 401, ["/%61%64%6d%69%6E"] = 401,
        ["//admin/x"] = 401, ["/admin//x"] = 401, ["///admin"] = 401, ["/./admin/x"] = 401, ["/%2e/admin"] = 401,
        ["/x/../admin/y"] = 401, ["/x/%2e%2e/admin/y"] = 401, ["/x/.%2E/admin"] = 401, ["/admin/."] = 401,
        ["/admin/y/.."] = 401, ["/admin%2Fx"] = 401, ["/admin%2fx"] = 401, ["/%2Fadmin"] = 401,
        ["/x%2F..%2Fadmin%2Fy"] = 401, ["/admin?x"] = 401, ["/admin/x?/../.."] = 401,
        ["/administrator"] = 200, ["/x/admin/"] = 200, ["/admin/../x"] = 200, ["/admin/%2e%2e/x"] = 200,
        ["/inner"] = 402, ["/inner/x"] = 402, ["/innermost"] = 200, ["/Inner"] = 200,
        ["/tenant/mine"] = 200, ["/tenant/mine/x"] = 200, ["/tenant/yours"] = 403, ["/tenant/yours/x/y"] = 403,
        ["/tenant//yours/x"] = 403, ["/tenant/./yours"] = 403, ["/tenant/mine/../yours/x"] = 403,
        ["/tenant/mine%2F..%2Fyours"] = 403, ["/tenant/"] = 200, ["/tenant"] = 200,
        ["/%252e%252e/admin"] = 200, ["/admin%00"] = 404, ["/../admin"] = 404, ["/x/../../admin"] = 404,
        ["/%2e%2e/admin/x"] = 404, ["/..%2Fadmin%2Fx"] = 404, ["/..%2fadmin"] = 404, ["/x%2F..%2F..%2Fadmin%2Fx"] = 404,
        ["/%2F..%2Fadmin"] = 404, ["/x/..%2F..%2Fadmin"] = 404, ["/%2e%2e%2Fadmin"] = 404, ["/..%2F"] = 404,
        ["/..%2F..%2Finner"] = 404, ["/x%2F..%2Fy"] = 404, ["/x%3A..%3Ay"] = 200,
        ["/admin%5Cx"] = 401, ["/x%5C..%5Cadmin%5cy"] = 401, ["/%5C..%5Cadmin"] = 404, ["/x%5C..%2F..%5Cadmin"] = 404,
        ["/tenant/mine%5C..%5Cyours"] = 403, ["/x%5C..%5Cy"] = 404, ["/x%5Cy"] = 200,
      } do
        local r = assert(client:get(url .. path))
        assert.equal(status, r.status, path)
        local body = r:body()
        if status == 200 then assert.is_nil(body:find("secret") or body:find("^admin"), path) end
      end
    end)
  end)

  it("gives handlers and middleware one spelling of a path", function()
    local seen = {}
    web.with_app(function(app)
      app:use(function(req, _, next)
        seen[#seen + 1] = req.path
        next()
      end)
      app:any("/*", function() return "" end)
    end, function(client, url)
      for _, path in ipairs { "/a/%62/c", "/a//b/./c", "/x/../a/b/c", "/a/%62/%63?q", "//a/b/c" } do
        assert(client:get(url .. path))
      end
      for _, path in ipairs(seen) do assert.equal("/a/b/c", path) end
      assert.equal(5, #seen)
      assert(client:get(url .. "/%2f/%c3%a9/%7e;@%3A/"))
      assert.equal("/%2F/%C3%A9/~;@:/", seen[6])
    end)
  end)

  it("gives middleware the parameters of its prefix, before and after next", function()
    local seen = {}
    web.with_app(function(app)
      app:use("/tenant/:id", function(req, _, next)
        seen[1] = req.params.id
        next()
        seen[3] = req.params.id
      end)
      app:get("/tenant/:tenant/notes/:id", function(req)
        seen[2] = req.params.tenant .. "/" .. req.params.id
        return ""
      end)
    end, function(client, url)
      assert.equal(200, assert(client:get(url .. "/tenant/caf%C3%A9/notes/7")).status)
      assert.same({ "café", "café/7", "café" }, seen)
    end)
  end)

  it("finds a route of another pattern when the best one has not the method", function()
    web.with_app(function(app)
      app:get("/users/me", function() return "me" end)
      app:delete("/users/:id", function(req) return "gone " .. req.params.id end)
    end, function(client, url)
      assert.equal("me", assert(client:get(url .. "/users/me")):body())
      assert.equal("gone me", assert(client:delete(url .. "/users/me")):body())
      local r = assert(client:post(url .. "/users/me"))
      assert.same({ 405, "DELETE, GET, HEAD, OPTIONS" }, { r.status, r.headers.allow })
    end)
  end)

  it("refuses middleware without a function and prefixes without a slash", function()
    local app = neap.app()
    assert.has_error(function() app:use("/x") end)
    assert.has_error(function() app:use("x", function() end) end)
    assert.has_error(function() app:use() end)
    local function pass() end
    for pattern, why in pairs {
      ["/a/*/b"] = "nothing may follow", ["/:"] = "without a name", ["/a//b"] = "empty segment",
      ["/a/../b"] = "matches nothing",
      ["/a/%2e"] = "matches nothing", ["/a?b"] = "path alone", ["/:id/:id"] = "two parameters",
    } do
      assert.error_matches(function() app:use(pattern, pass) end, why)
      assert.error_matches(function() app:get(pattern, pass) end, why)
    end
  end)

  it("turns an error in a handler into a 500 and a traceback in the log, and lives on", function()
    web.with_app(function(app)
      app:get("/bad", function() error("the tide is out") end)
      app:get("/odd", function() return true end)
      app:get("/object", function() error { an = "object" } end)
      app:get("/good", function() return "fine" end)
    end, function(client, url)
      local log = web.logged(function()
        assert.equal(500, assert(client:get(url .. "/bad")).status)
        assert.equal(500, assert(client:get(url .. "/odd")).status)
        assert.equal(500, assert(client:get(url .. "/object")).status)
      end)
      assert.equal(3, select(2, log:gsub("stack traceback", "")))
      assert.matches("the tide is out", log)
      assert.matches("app_spec.lua:%d+", log)
      assert.matches("stack traceback", log)
      assert.equal("fine", assert(client:get(url .. "/good")):body())
    end)
  end)

  it("hands errors to its error handler", function()
    web.with_app(function(app)
      app:get("/bad", function() error({ reason = "mine" }) end)
      app:on_error(function(_, req) return 503, { path = req.path } end)
    end, function(client, url)
      local r = assert(client:get(url .. "/bad"))
      assert.same({ 503, "/bad" }, { r.status, r:json().path })
    end)
  end)

  it("gives its error handler what was raised, when it is no text", function()
    web.with_app(function(app)
      app:get("/", function() error { status = 409, text = "taken" } end)
      app:on_error(function(err) return err.status, err.text end)
    end, function(client, url)
      local r = assert(client:get(url))
      assert.same({ 409, "taken" }, { r.status, r:body() })
    end)
  end)

  it("answers when its error handler fails as well", function()
    web.with_app(function(app)
      app:get("/", function(_, res)
        res:header("x-a", "1")
        error("one")
      end)
      app:on_error(function() error("two") end)
    end, function(client, url)
      local log = web.logged(function()
        local r = assert(client:get(url))
        assert.same({ 500, nil }, { r.status, r.headers["x-a"] })
      end)
      assert.matches("two", log)
    end)
  end)

  it("takes errors of middleware, before and after next and across waits", function()
    web.with_app(function(app)
      app:use(function(req, _, next)
        neap.sleep(0.01)
        if req.path == "/before" then error("before") end
        next()
        neap.sleep(0.01)
        if req.path == "/after" then error("after") end
      end)
      app:get("/*", function() return "fine" end)
    end, function(client, url)
      local log = web.logged(function()
        for path, status in pairs { ["/before"] = 500, ["/after"] = 500, ["/x"] = 200 } do
          assert.equal(status, assert(client:get(url .. path)).status)
        end
      end)
      assert.matches("before", log)
      assert.matches("after", log)
    end)
  end)

  it("lets outer middleware see an error inside as the response, with the headers that it set before", function()
    local seen
    web.with_app(function(app)
      app:use(function(_, res, next)
        res:header("access-control-allow-origin", "*")
        local answered = next()
        seen = { answered == res, answered:status(), answered:body() }
        res:header("x-after", "yes")
      end)
      app:get("/bad", function(_, res)
        res:header("x-inner", "1")
        error("the tide is out")
      end)
      app:get("/none", function() error(404) end)
    end, function(client, url)
      local log = web.logged(function()
        local r = assert(client:get(url .. "/bad"))
        assert.same({ 500, "*", "yes", nil }, { r.status, r.headers["access-control-allow-origin"],
          r.headers["x-after"], r.headers["x-inner"] })
      end)
      assert.same({ true, 500, "internal server error\n" }, seen)
      assert.matches("the tide is out", log)
      assert.equal("*", assert(client:get(url .. "/none")).headers["access-control-allow-origin"])
      assert.same({ true, 404, "not found\n" }, seen)
    end)
  end)

  it("lets middleware read and replace a body that is not sent yet, and tells it when it is", function()
    local started
    web.with_app(function(app)
      app:use(function(_, res, next)
        next()
        started = res:is_started()
        local body = res:body()
        if body then res:body(body:upper()):header("etag", ('"%d"'):format(#body)) end
      end)
      app:get("/string", function() return "tide" end)
      app:get("/table", function() return { a = "b" } end)
      app:get("/sent", function(_, res) return res:send("sent") end)
      app:get("/length", function() return 200, "four", { ["content-length"] = 4, etag = '"x"' } end)
      app:get("/streamed", function(_, res) return res:write("as it is") end)
    end, function(client, url)
      for path, expected in pairs { ["/string"] = "TIDE", ["/table"] = '{"A":"B"}', ["/sent"] = "SENT",
        ["/length"] = "FOUR" } do
        local r = assert(client:get(url .. path))
        assert.same({ expected, ('"%d"'):format(#expected), tostring(#expected), false },
          { r:body(), r.headers.etag, r.headers["content-length"], started })
      end
      local r = assert(client:get(url .. "/streamed"))
      assert.same({ "as it is", nil, true }, { r:body(), r.headers.etag, started })
    end)
  end)

  it("takes what middleware returns: the response of next, another answer, nothing of both is an error", function()
    web.with_app(function(app)
      app:use("/same", function(_, _, next) return next() end)
      app:use("/other", function(_, _, next)
        next()
        return 503, "closed at low tide"
      end)
      app:use("/silent", function() end)
      app:use("/twice", function(_, _, next)
        next()
        next()
      end)
      app:any("/*path", function() return { a = 1 } end)
    end, function(client, url)
      assert.same({ a = 1 }, assert(client:get(url .. "/same")):json())
      local r = assert(client:get(url .. "/other"))
      assert.same({ 503, "closed at low tide", "text/plain; charset=utf-8" },
        { r.status, r:body(), r.headers["content-type"] })
      local log = web.logged(function()
        assert.equal(500, assert(client:get(url .. "/silent")).status)
        assert.equal(500, assert(client:get(url .. "/twice")).status)
      end)
      assert.matches("did not call next", log)
      assert.matches("called twice", log)
    end)
  end)

  it("runs nothing by a next() that is called when its middleware has returned, or failed", function()
    local ran, late = {}, {}
    local function later(name, next)
      neap.go(function()
        neap.sleep(0.05)
        late[name] = { pcall(function() next() end) }
      end)
    end
    web.with_app(function(app)
      app:use("/returned", function(_, _, next)
        later("returned", next)
        return "early"
      end)
      app:use("/outer", function(_, _, next)
        next()
        neap.sleep(0.2)
      end)
      app:use("/outer/failed", function(_, _, next)
        later("failed", next)
        error(403)
      end)
      app:use("/slow", function(_, _, next)
        later("slow", next)
        neap.sleep(0.2)
      end)
      app:use("/alone", function(_, _, next)
        later("alone", next)
        error(403)
      end)
      app:get("/*path", function(req)
        ran[#ran + 1] = req.path
        return "ran"
      end)
    end, function(client, url)
      assert.equal("early", assert(client:get(url .. "/returned")):body())
      assert.equal(403, assert(client:get(url .. "/outer/failed")).status)
      assert.equal(403, assert(client:get(url .. "/alone")).status)
      assert.equal("ran", assert(client:get(url .. "/slow")):body())
      neap.sleep(0.1)
    end)
    assert.same({ "/slow" }, ran)
    assert.is_true(late.slow[1])
    for _, name in ipairs { "returned", "failed", "alone" } do
      assert.is_false(late[name][1], name)
      assert.matches("app_spec.lua:%d+: next%(%) was called after its middleware had ended", late[name][2])
    end
  end)

  it("leaves an answer that on_error and on_not_found do not give or change", function()
    local seen
    web.with_app(function(app)
      app:on_error(function(err) seen = err.status or "text" end)
      app:on_not_found(function() return "nothing here" end)
      app:get("/", function() error(403) end)
      app:get("/500", function() error("x") end)
    end, function(client, url)
      local r = assert(client:get(url .. "/"))
      assert.same({ 403, "forbidden\n", 403 }, { r.status, r:body(), seen })
      r = assert(client:get(url .. "/none"))
      assert.same({ 404, "nothing here" }, { r.status, r:body() })
    end)
  end)

  it("tells on_response how each response ended", function()
    local infos = {}
    web.with_app(function(app)
      app:on_response(function(req, _, info) infos[req.path] = info end)
      app:get("/string", function() return "tide" end)
      app:get("/slow", function(_, res)
        for _ = 1, 3 do
          res:write(("x"):rep(1000))
          neap.sleep(0.05)
        end
      end)
      app:get("/error", function() error { status = 404 } end)
      app:get("/broken", function(_, res)
        res:write("abc")
        error("snapped")
      end)
      app:get("/aborted", function(_, res) return res:abort() end)
      app:get("/left", function(_, res)
        while true do
          res:write(("x"):rep(1000))
          neap.sleep(0.01)
        end
      end)
    end, function(client, url)
      web.logged(function()
        for _, path in ipairs { "/string", "/slow", "/error", "/none" } do assert(client:get(url .. path)):body() end
        client:get(url .. "/broken")
        client:get(url .. "/aborted")
        local r = assert(client:get(url .. "/left"))
        assert(r:read())
        r:close()
        neap.sleep(0.2)
      end)
    end)
    local function is(path, status, bytes, reason)
      local info = assert(infos[path], path)
      assert.equal(status, info.status, path)
      assert.equal(bytes or info.bytes, info.bytes, path)
      if reason then assert.matches(reason, info.reason, path) else assert.is_nil(info.reason, path) end
      assert.is_true(info.duration >= 0)
    end
    is("/string", 200, 4)
    is("/slow", 200, 3000)
    is("/error", 404, 10)
    is("/none", 404, 10)
    is("/broken", 200, 3, "snapped")
    is("/aborted", 200, 0, "aborted by the handler")
    is("/left", 200, nil, "peer")
    assert.is_true(infos["/slow"].duration >= 0.14)
    assert.is_true(infos["/left"].bytes >= 1000)
  end)

  it("resets a response whose handler fails in the middle", function()
    web.with_app(function(app)
      app:get("/", function(_, res)
        res:write("half")
        neap.sleep(0.05)
        error("broken off")
      end)
    end, function(client, url)
      web.logged(function()
        local r = assert(client:get(url .. "/"))
        local body, _, code, number = r:body()
        assert.is_nil(body)
        assert.equal("reset", code)
        assert.equal(0x102, number)
      end)
    end)
  end)
end)

describe("bodies", function()
  local big = ("0123456789abcdef"):rep(131072) -- 2 MiB

  it("stream both ways at once, larger than every window", function()
    web.with_app(function(app)
      app:post("/echo", function(req, res)
        for chunk, err in req:chunks() do
          assert(chunk, err)
          assert(res:write(chunk))
        end
        res:finish()
      end)
    end, function(client, url)
      local r = assert(client:post(url .. "/echo", { body = big }))
      assert.is_true(big == r:body())
    end)
  end)

  it("come from functions without a length", function()
    web.with_app(function(app)
      app:post("/", function(req) return { length = req.headers["content-length"], body = req:body() } end)
    end, function(client, url)
      local left = 3
      local r = assert(client:post(url .. "/", { body = function()
        left = left - 1
        return left >= 0 and "piece " .. left .. "\n" or nil
      end }))
      assert.same({ body = "piece 2\npiece 1\npiece 0\n" }, r:json())
    end)
  end)

  it("larger than the limit are an answer, not a failure", function()
    web.with_app(function(app)
      app:post("/", function(req)
        local body, err, code = req:body(1000)
        if not body then return code == "limit" and 413 or 500, err end
        return "small"
      end)
    end, function(client, url)
      assert.equal(413, assert(client:post(url .. "/", { body = big })).status)
      assert.equal("small", assert(client:post(url .. "/", { body = "x" })):body())
    end)
  end)

  it("hold the writer back while the reader sleeps", function()
    local written = 0
    web.with_app(function(app)
      app:get("/", function(_, res)
        local block = ("x"):rep(65536)
        for _ = 1, 512 do
          if not res:write(block) then return end
          written = written + #block
        end
      end)
    end, function(client, url)
      local r = assert(client:get(url .. "/"))
      neap.sleep(0.2)
      assert.is_true(written < 24 * 1024 * 1024, written)
      r:close()
    end)
  end)

  it("carry trailers", function()
    web.with_app(function(app)
      app:post("/", function(req, res)
        assert.equal("body", req:body())
        res:trailers { ["x-sum"] = req:trailers()["x-check"] .. "!" }
        res:write("answer")
        res:finish()
      end)
    end, function(client, url)
      local r = assert(client:post(url .. "/", { body = "body", trailers = { ["x-check"] = "12" } }))
      assert.equal("answer", r:body())
      assert.equal("12!", r:trailers()["x-sum"])
    end)
  end)

  it("follow interim responses", function()
    local hints
    web.with_app(function(app)
      app:get("/", function(_, res)
        res:early_hints { link = "</a.css>; rel=preload" }
        return "page"
      end)
    end, function(client, url)
      local r = assert(client:get(url .. "/", { on_informational = function(status, headers)
        hints = { status, headers.link }
      end }))
      assert.equal("page", r:body())
      assert.same({ 103, "</a.css>; rel=preload" }, hints)
    end)
  end)

  it("that the client breaks off end the handler's read", function()
    local seen
    web.with_app(function(app)
      app:post("/", function(req)
        local _, _, code = req:body()
        seen = code
        return "late"
      end)
    end, function(client, url)
      local r, _, code = client:post(url .. "/", {
        timeout = 0.3,
        headers = { ["content-length"] = "10" },
        body = function() neap.sleep(5) end,
      })
      assert.is_nil(r)
      assert.equal("timeout", code)
      neap.sleep(0.1)
      assert.equal("reset", seen)
    end)
  end)
end)

describe("a server", function()
  it("answers a hundred requests at a time on one connection", function()
    web.with_app(function(app)
      app:get("/:n", function(req)
        neap.sleep(0.01)
        return req.params.n
      end)
    end, function(client, url, server)
      local jobs = {}
      for i = 1, 250 do
        jobs[i] = function() return assert(client:get(url .. "/" .. i)):body() end
      end
      local results = neap.all(jobs)
      for i = 1, 250 do assert.equal(tostring(i), results[i]) end
      assert.equal(1, server:stats().accepted)
    end)
  end)

  it("lets open requests finish when it shuts down, and takes no new ones", function()
    web.with_app(function(app)
      app:get("/slow", function()
        neap.sleep(0.3)
        return "done"
      end)
    end, function(client, url, server)
      local body
      neap.go(function() body = assert(client:get(url .. "/slow")):body() end)
      neap.sleep(0.1)
      server:shutdown(5)
      neap.sleep(0.05)
      assert.equal("done", body)
      local r = client:get(url .. "/slow", { timeout = 0.5 })
      assert.is_nil(r)
    end)
  end)

  it("says clearly that a port is in use or a certificate bad", function()
    web.with_app(function() end, function(_, _, server)
      local again, message, code = neap.app():listen {
        host = "127.0.0.1", port = server.port, cert = web.identity().cert, key = web.identity().key,
      }
      assert.is_nil(again)
      assert.matches("in use", message)
      assert.equal("system", code)
      again, message, code = neap.app():listen { host = "127.0.0.1", port = 0, cert = "/nowhere.pem", key = "/n.pem" }
      assert.is_nil(again)
      assert.matches("%.pem: No such file", message)
      assert.is_string(code)
    end)
  end)
end)

describe("a client", function()
  it("verifies the server and says what is wrong", function()
    web.with_app(function(app)
      app:get("/", function() return "x" end)
    end, function(_, url)
      local stranger = neap.client { ca = (require("neap.core").make_certificate { names = { "other" }, days = 1 }) }
      local r, message, code = stranger:get(url .. "/")
      assert.is_nil(r)
      assert.equal("tls", code)
      assert.matches("unknown_ca", message)
      stranger:close()
      local trusting = neap.client { verify_peer = false }
      assert.equal("x", assert(trusting:get(url .. "/")):body())
      trusting:close()
    end)
  end)

  it("follows redirects when told", function()
    web.with_app(function(app)
      app:get("/from", function(_, res) res:redirect("/to?x") end)
      app:get("/to", function(req) return "there " .. req.query_string end)
      app:get("/loop", function(_, res) res:redirect("/loop") end)
    end, function(client, url)
      assert.equal(302, assert(client:get(url .. "/from")).status)
      assert.equal("there x", assert(client:get(url .. "/from", { follow = 3 })):body())
      assert.equal(302, assert(client:get(url .. "/loop", { follow = 3 })).status)
    end)
  end)

  it("gives up after its timeout when nobody answers", function()
    web.run(function()
      local udp = require("neap.core").udp()
      assert(udp:bind("127.0.0.1:0"))
      local client = neap.client { verify_peer = false, timeout = 0.5 }
      local r, message, code = client:get("https://" .. udp:address() .. "/")
      assert.is_nil(r)
      assert.equal("timeout", code)
      assert.is_string(message)
      client:close()
      udp:close()
    end)
  end)

  it("refuses what is no https URL and unknown options", function()
    web.run(function()
      local client = neap.client { verify_peer = false }
      local alone = neap.client { verify_peer = false, protocols = { "h3" } }
      for url, one in pairs { ["ftp://example.org/"] = client, ["http://example.org/"] = alone } do
        local _, message, code = one:get(url)
        assert.matches("https", message)
        assert.equal("argument", code)
      end
      assert.error_matches(function() client:get("https://x/", { tiemout = 1 }) end, "tiemout")
      assert.error_matches(function() neap.client({ verfy = 1 }):get("https://127.0.0.1:1/") end, "verfy")
    end)
  end)
end)
