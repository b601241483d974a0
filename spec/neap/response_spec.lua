local neap = require "neap"
local web = require "support.web"

-- What a client sees of a handler, and what is logged.
local function outcome(handler, request)
  local status, body, code
  local log = web.logged(function()
    web.with_app(function(app) app:any("/", handler) end, function(client, url)
      local r, _, why = client:request("GET", url .. "/", request or { timeout = 2 })
      if r then
        status = r.status
        body, _, code = r:body()
      else
        code = why
      end
    end)
  end)
  return status, body or code, log
end

describe("a response that cannot be sent", function()
  for name, handler in pairs {
    ["a line break in a value"] = function(_, res)
      res:header("x-a", "b\r\nset-cookie: c")
      return "ok"
    end,
    ["a space in a name"] = function(_, res)
      res:header("x a", "b")
      return "ok"
    end,
    ["a field of HTTP/1.1's connections"] = function(_, res)
      res:header("connection", "close")
      res:write("x")
    end,
    ["a pseudo-header field"] = function(_, res)
      res:header(":status", "200")
      return "ok"
    end,
    ["a line break in a returned header"] = function() return 200, "ok", { ["x-a"] = "b\n" } end,
    ["a line break in a redirect"] = function(_, res) res:redirect("/a\r\nb: c") end,
    ["a line break in an early hint"] = function(_, res)
      res:early_hints { link = "a\nb" }
      return "ok"
    end,
    ["more fields than fit"] = function(_, res)
      for i = 1, 300 do res:header("x-" .. i, "b") end
      return "ok"
    end,
    ["a content-length that is not the body's"] = function(_, res)
      res:header("content-length", 2)
      return "longer"
    end,
  } do
    it("because of " .. name .. " is a 500 and says so in the log", function()
      local status, body, log = outcome(handler)
      assert.same({ 500, "internal server error\n" }, { status, body })
      assert.matches("error GET /: ", log)
    end)
  end

  it("names the field in the log, and not what it holds", function()
    local _, _, log = outcome(function(_, res)
      res:header("x-mine", "secret\n")
      return "ok"
    end)
    assert.matches("x%-mine", log)
    assert.is_nil(log:find("secret", 1, true))
  end)

  it("in the middle is broken off, never cut to look whole", function()
    for _, handler in ipairs {
      function(_, res)
        res:header("content-length", 10):write("short")
      end,
      function(_, res)
        res:header("content-length", 1):write("long")
      end,
      function(_, res)
        res:write("body")
        res:trailers { ["x-t"] = "a\nb" }
      end,
    } do
      local _, code, log = outcome(handler)
      assert.equal("reset", code)
      assert.matches("after the headers were sent", log)
    end
  end)

  it("is left alone when it is whole already", function()
    local body, log
    log = web.logged(function()
      web.with_app(function(app)
        app:use(function(_, res, next)
          next()
          res:header("x-late", "1")
        end)
        app:get("/", function(_, res)
          res:write(("x"):rep(100000))
          res:finish()
        end)
      end, function(client, url)
        body = assert(client:get(url .. "/")):body()
      end)
    end)
    assert.equal(100000, body and #body)
    assert.matches("headers are sent already", log)
  end)

  it("to a client that stands still is broken off after the timeout", function()
    local result
    web.with_app(function(app)
      app:get("/", function(_, res)
        local line = ("x"):rep(65536)
        repeat result = { res:write(line) } until not result[1]
      end)
    end, function(client, url)
      local r = assert(client:get(url .. "/"))
      neap.sleep(0.6)
      assert.same({ nil, "timeout", "timeout" }, { result[1], result[2], result[3] })
      local body, _, code = r:body()
      assert.same({ nil, "reset" }, { body, code })
    end, { read_timeout = 0.2 })
  end)

  it("to a client that has gone says why once, and then ends its handler", function()
    local result, went_on
    local log = web.logged(function()
      web.with_app(function(app)
        app:get("/", function(_, res)
          res:write("first")
          neap.sleep(0.2)
          result = { res:write("more") }
          res:write("more")
          went_on = true
        end)
      end, function(client, url)
        assert(client:get(url .. "/")):close()
        neap.sleep(0.4)
      end)
    end)
    assert.is_true(result[3] == "stopped" or result[3] == "reset")
    assert.is_nil(went_on)
    assert.equal("", log)
  end)
end)

describe("a client that left", function()
  it("does not let a handler that ignores it stop the server", function()
    local turns = 0
    web.with_app(function(app)
      app:get("/careless", function(_, res)
        local block = ("x"):rep(65536)
        while true do res:write(block) end
      end)
      app:get("/stubborn", function(_, res)
        local block = ("x"):rep(65536)
        for _ = 1, 200 do
          turns = turns + 1
          pcall(res.write, res, block)
        end
        return res
      end)
      app:get("/other", function() return "here" end)
    end, function(client, url)
      for _, path in ipairs { "/careless", "/stubborn" } do
        local r = assert(client:get(url .. path))
        assert(r:read())
        r:close()
        neap.sleep(0.05)
        assert.equal("here", assert(client:get(url .. "/other", { timeout = 5 })):body())
      end
      neap.sleep(0.3)
      assert.equal(200, turns)
    end)
  end)

  it("with HEAD does not keep an endless answer running", function()
    local writes = 0
    local log = web.logged(function()
      web.with_app(function(app)
        app:get("/", function(_, res)
          while true do
            res:write("tick")
            writes = writes + 1
          end
        end)
      end, function(client, url)
        assert.equal(200, assert(client:head(url)).status)
        neap.sleep(0.05)
      end)
    end)
    assert.equal(1, writes)
    assert.equal("", log)
  end)

  it("is told to res:on_close while the handler waits, and shows in req:is_open", function()
    local open_before, open_after, reason, ended
    web.with_app(function(app)
      app:get("/left", function(req, res)
        res:on_close(function(message, code) reason = { message, code, req:is_open() } end)
        open_before = req:is_open()
        res:write("x")
        neap.sleep(0.3)
        open_after = req:is_open()
      end)
      app:get("/stays", function(_, res)
        res:on_close(function(...) ended = { n = select("#", ...), ... } end)
        return "fine"
      end)
    end, function(client, url)
      local r = assert(client:get(url .. "/left"))
      assert(r:read())
      r:close()
      neap.sleep(0.1)
      assert.is_string(reason and reason[1])
      assert.is_true(reason[2] == "stopped" or reason[2] == "reset")
      assert.is_false(reason[3])
      neap.sleep(0.3)
      assert.same({ true, false }, { open_before, open_after })
      assert.equal("fine", assert(client:get(url .. "/stays")):body())
      neap.sleep(0.02)
      assert.is_nil(ended[1])
    end)
  end)

  it("says who closed and why, where its server reads", function()
    local seen
    web.with_app(function(app)
      app:post("/", function(req)
        seen = { req:body() }
        return 204
      end)
    end, function(client, url)
      neap.go(function()
        client:post(url, { body = function()
          neap.sleep(5)
        end, headers = { ["content-length"] = "10" } })
      end)
      neap.sleep(0.2)
      client:close()
      neap.sleep(0.2)
      assert.matches("^closed by the client: H3_NO_ERROR", seen[2])
      assert.equal("closed", seen[3])
    end)
  end)
end)

describe("content-length", function()
  -- RFC 9110 §8.6
  for name, handler in pairs {
    ["returned"] = function() return 204, nil, { ["content-length"] = "0" } end,
    ["set by middleware"] = function(_, res)
      res:header("content-length", 0)
      return res:status(204):send("")
    end,
    ["of headers that leave early"] = function(_, res)
      res:header("content-length", 0):status(204)
      res:start()
    end,
  } do
    it("is not sent with 204: " .. name, function()
      web.with_app(function(app) app:any("/", handler) end, function(client, url)
        local response = assert(client:request("GET", url .. "/", { timeout = 2 }))
        assert.equal(204, response.status)
        assert.is_nil(response.headers:get("content-length"))
      end)
    end)
  end

  it("is not sent with interim responses", function()
    web.with_app(function(app)
      app:any("/", function(_, res)
        assert(res:informational(103, { ["content-length"] = "3", link = "</a>" }))
        return "abc"
      end)
    end, function(client, url)
      local response = assert(client:request("GET", url .. "/", { timeout = 2 }))
      assert.equal("abc", response:body())
      assert.equal("3", response.headers:get("content-length"))
    end)
  end)
end)

describe("a handler that never waits", function()
  -- `turn()` before each call: false when the loop is to end.
  for name, handler in pairs {
    ["reads on behind the end of a body"] = function(req, _, turn) while turn() do req:read() end end,
    ["reads on and catches errors"] = function(req, _, turn) while turn() do pcall(req.read, req) end end,
    ["finishes again and again"] = function(_, res, turn)
      res:send("x")
      while turn() do res:finish() end
    end,
    ["finishes and catches errors"] = function(_, res, turn) while turn() do pcall(res.finish, res) end end,
    ["starts again and again"] = function(_, res, turn) while turn() do res:start() end end,
    ["starts and catches errors"] = function(_, res, turn) while turn() do pcall(res.start, res) end end,
    ["breaks off again and again"] = function(_, res, turn) while turn() do res:abort() end end,
    ["breaks off and catches errors"] = function(_, res, turn) while turn() do pcall(res.abort, res) end end,
    ["breaks off what is whole"] = function(_, res, turn)
      res:send("x"):finish()
      while turn() do res:abort() end
    end,
    ["gives hint after hint"] = function(_, res, turn) while turn() do res:early_hints { link = "</a>" } end end,
    ["gives hints and catches errors"] = function(_, res, turn)
      while turn() do pcall(res.early_hints, res, { link = "</a>" }) end
    end,
  } do
    it("and " .. name .. " lets others run", function()
      local is_over, turns, most = false, 0, 0
      web.logged(function()
        web.with_app(function(app)
          app:get("/loop", function(req, res)
            handler(req, res, function()
              turns = turns + 1
              most = math.max(most, turns)
              return turns <= 100 and not is_over
            end)
          end)
          app:get("/other", function() return "here" end)
        end, function(client, url)
          neap.go(function()
            while not is_over do
              turns = 0
              neap.sleep(0)
            end
          end)
          neap.go(function() client:get(url .. "/loop", { timeout = 0.3 }) end)
          neap.sleep(0.05)
          assert.equal("here", assert(client:get(url .. "/other", { timeout = 5 })):body())
          is_over = true
          neap.sleep(0.01)
        end)
      end)
      assert.is_true(most > 0 and most < 30, most .. " turns without another task")
    end)
  end
end)

describe("interim responses", function()
  it("have a status from 102 to 199", function()
    for _, status in ipairs { 99, 100, 101, 200, 204, 103.5, "103" } do
      local got, body, log = outcome(function(_, res)
        res:informational(status, {})
        return "late"
      end)
      assert.same({ 500, "internal server error\n" }, { got, body })
      assert.matches("response_spec.lua:%d+: an informational status is a whole number from 102 to 199", log)
    end
    assert.equal(200, (outcome(function(_, res) return res:informational(199, {}) and "x" end)))
  end)

  it("are sixteen at most", function()
    local count = 0
    local status, _, log = outcome(function(_, res)
      for _ = 1, 50 do
        res:early_hints { link = "</a>" }
        count = count + 1
      end
    end)
    assert.same({ 500, 16 }, { status, count })
    assert.matches("at most 16", log)
  end)
end)

-- The rows of the table in docs/handlers.md.
describe("a handler's answer", function()
  local function answer(handler, request)
    local got = {}
    got.log = web.logged(function()
      web.with_app(function(app) app:any("/", handler) end, function(client, url)
        local r = assert(client:request("GET", url .. "/", request))
        got.status, got.type, got.headers = r.status, r.headers["content-type"], r.headers
        got.body = r:body()
      end)
    end)
    return got
  end

  local function is(handler, status, kind, body)
    local got = answer(handler)
    assert.same({ status, kind, body, "" }, { got.status, got.type, got.body, got.log })
    return got
  end

  local function fails(handler, text)
    local got = answer(handler)
    assert.same({ 500, "internal server error\n" }, { got.status, got.body })
    assert.matches(text, got.log)
  end

  local TEXT, JSON = "text/plain; charset=utf-8", "application/json"

  it("is a string", function()
    is(function() return "tide" end, 200, TEXT, "tide")
    is(function(_, res) res:status(201):header("content-type", "text/html") return "tide" end, 201, "text/html", "tide")
    is(function() return "" end, 200, nil, "")
    is(function() return "tide", nil end, 200, TEXT, "tide")
  end)

  it("is a table, as JSON", function()
    is(function() return { a = 19.99 } end, 200, JSON, '{"a":19.99}')
  end)

  it("is a status, with or without body and headers", function()
    is(function() return 204 end, 204, nil, "")
    is(function() return 404 end, 404, nil, "")
    is(function() return 404, "no tide" end, 404, TEXT, "no tide")
    is(function() return 422, { error = "ebb" } end, 422, JSON, '{"error":"ebb"}')
    local got = is(function() return 302, nil, { location = "/x", ["set-cookie"] = { "a=1", "b=2" } } end, 302, nil, "")
    assert.equal("/x", got.headers.location)
    assert.same({ "a=1", "b=2" }, got.headers:get_all("set-cookie"))
  end)

  it("is the response, and what its functions return", function()
    is(function(_, res) return res:send("x") end, 200, nil, "x")
    is(function(_, res) return res:json { 1 } end, 200, JSON, "[1]")
    is(function(_, res) return res:status(201) end, 201, nil, "")
    is(function(_, res) return res:write("x"):write("y") end, 200, nil, "xy")
    is(function(_, res) res:write("x") return res:finish() end, 200, nil, "x")
    local got = is(function(_, res) return res:redirect("/there", 307) end, 307, nil, "")
    assert.equal("/there", got.headers.location)
  end)

  it("is nothing, when the response has its body or was written", function()
    is(function(_, res) res:send("x") end, 200, nil, "x")
    is(function(_, res) res:write("x") end, 200, nil, "x")
    fails(function() end, "returned nothing and wrote nothing")
    fails(function(_, res) res:status(201) end, "returned nothing and wrote nothing")
  end)

  it("of nil and a message is a 500 with the message in the log", function()
    fails(function() return nil, "the gauge is dry" end, "the gauge is dry")
    fails(function() return nil, "the gauge is dry", "code", 7 end, "the gauge is dry")
  end)

  it("that has no JSON form is a 500 from every way", function()
    fails(function() return { print } end, "a function is no JSON")
    fails(function() return 200, { print } end, "a function is no JSON")
    fails(function(_, res) return res:json { print } end, "a function is no JSON")
    fails(function(_, res) res:json { print } end, "a function is no JSON")
  end)

  it("of more or other than that is a 500 that says so", function()
    fails(function() return "x", 200 end, "one body")
    fails(function() return ("x"):gsub("y", "z") end, "one body")
    fails(function() return 200, "x", {}, 1 end, "no more")
    fails(function() return 200, "x", "y" end, "table of headers")
    fails(function() return true end, "not a boolean")
    fails(function() return 200, 200 end, "not a number")
    fails(function() return 99 end, "status is a whole number")
    fails(function(_, res) res:send("x") return "y" end, "returned another")
    fails(function(_, res) res:send("x") res:send("y") end, "has its body already")
    fails(function(_, res) res:send {} end, "takes a string")
  end)

  it("is an error with a status", function()
    is(function() error { status = 404, message = "no such tide" } end, 404, TEXT, "no such tide")
    is(function() error { status = 409, message = { error = "taken" } } end, 409, JSON, '{"error":"taken"}')
    is(function() error(404) end, 404, TEXT, "not found\n")
    is(function() error(418, 0) end, 418, TEXT, "error 418\n")
    local got = is(function() error { status = 401, headers = { ["www-authenticate"] = "Basic" } } end, 401, TEXT,
      "unauthorized\n")
    assert.equal("Basic", got.headers["www-authenticate"])
  end)

  it("is chosen by a number that is thrown, and by no text", function()
    is(function() return error(404) end, 404, TEXT, "not found\n")
    is(function() error(404, 2) end, 404, TEXT, "not found\n")
    for _, value in ipairs { 404, { status = 404 } } do
      is(function() error(select(2, pcall(error, value, 0)), 0) end, 404, TEXT, "not found\n")
      is(function() coroutine.wrap(error)(value, 0) end, 404, TEXT, "not found\n")
    end
    is(function()
      local function deep() error(403) end
      neap.sleep(0)
      deep()
    end, 403, TEXT, "forbidden\n")
    for _, text in ipairs { "404", "x: 404", "x:1: 404", "a\nx.lua:1: 404" } do
      fails(function() error(text) end, "traceback")
      fails(function() error(text, 0) end, "traceback")
      fails(function() error("no such tide: " .. text) end, "no such tide: ")
      fails(function() error(setmetatable({}, { __tostring = function() return text end })) end, "404")
      fails(function()
        local ok, err = pcall(error, text, 2)
        error(ok or err, 0)
      end, "traceback")
    end
    fails(function() error(42) end, "42")
  end)

  it("with a status that has no body has no type of one", function()
    for _, status in ipairs { 204, 205, 304 } do
      is(function() return status, "tide" end, status, nil, "")
      is(function() return status, { 1 } end, status, nil, "")
      is(function(_, res) return res:status(status):json { 1 } end, status, nil, "")
    end
  end)

  it("may be an error whose message is a number", function()
    is(function() error { status = 404, message = 42 } end, 404, TEXT, "42")
    fails(function() error { status = 404, message = print } end, "not a function")
  end)

  it("of an error of the server's own keeps its message to the log", function()
    local got = answer(function() error { status = 503, message = "database at 10.0.0.1 is down" } end)
    assert.same({ 503, "service unavailable\n" }, { got.status, got.body })
    assert.matches("database at 10%.0%.0%.1 is down", got.log)
    fails(function() error { status = 200, message = "odd" } end, "odd")
  end)

  it("keeps two cookies, and those of headers it returns", function()
    local got = answer(function(_, res)
      res:cookie("a", "1; x"):cookie("b", "2", { http_only = false, secure = false, same_site = false, max_age = 60,
        path = "/p", domain = "tide.example", expires = 0 })
      res:header("set-cookie", "c=3")
      return 200, "", { ["Set-Cookie"] = "d=4" }
    end)
    assert.same({ "a=1%3B%20x; Path=/; Secure; HttpOnly; SameSite=Lax",
      "b=2; Path=/p; Domain=tide.example; Max-Age=60; Expires=Thu, 01 Jan 1970 00:00:00 GMT", "c=3", "d=4" },
      got.headers:get_all("set-cookie"))
    got = answer(function(_, res) return res:cookie("a") end)
    assert.matches("^a=; Path=/; Max%-Age=0; Expires=Thu, 01 Jan 1970", got.headers["set-cookie"])
    for _, bad in ipairs { { "a b", "1" }, { "a", "1", { pfad = "/" } }, { "a", "1", { path = "/;x" } },
      { "__Host-a", "1", { domain = "x" } }, { "a", "1", { same_site = "none", secure = false } },
      { "a", "1", { same_site = "lux" } } } do
      assert.equal(500, answer(function(_, res) return res:cookie(bad[1], bad[2], bad[3]) end).status)
    end
  end)
end)
