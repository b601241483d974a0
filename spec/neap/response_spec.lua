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

  it("to a client that has gone says why on every write", function()
    local results = {}
    web.with_app(function(app)
      app:get("/", function(_, res)
        res:write("first")
        neap.sleep(0.2)
        for i = 1, 2 do results[i] = { res:write("more") } end
      end)
    end, function(client, url)
      local r = assert(client:get(url .. "/"))
      r:close()
      neap.sleep(0.4)
      for i = 1, 2 do assert.is_true(results[i][3] == "stopped" or results[i][3] == "reset") end
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
