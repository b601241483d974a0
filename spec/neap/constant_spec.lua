--- Handlers that are a table: responses that are always the same.
local neap = require "neap"
local web = require "support.web"

describe("a constant response", function()
  it("has its status, its headers and its body, of the right length and type, over and over", function()
    web.with_app(function(app)
      app:get("/health", { body = "ok" })
      app:get("/gone", { status = 410, body = "<p>",
        headers = { ["Content-Type"] = "text/html", link = { "<a>", "<b>" } } })
      app:get("/json", { body = { a = 1 } })
      app:delete("/", { status = 204 })
      app:route("GET", "/early", { early = true }, { body = "early" })
    end, function(client, url)
      for _ = 1, 3 do
        local r = assert(client:get(url .. "/health"))
        assert.same({ 200, "text/plain; charset=utf-8", "2", "ok" },
          { r.status, r.headers["content-type"], r.headers["content-length"], (r:body()) })
        r = assert(client:get(url .. "/gone"))
        assert.same({ 410, "text/html", { "<a>", "<b>" }, "<p>" },
          { r.status, r.headers["content-type"], r.headers:get_all("link"), (r:body()) })
        r = assert(client:get(url .. "/json"))
        assert.same({ "application/json", { a = 1 } }, { r.headers["content-type"], r:json() })
        r = assert(client:request("DELETE", url .. "/"))
        assert.same({ status = 204, body = "" },
          { status = r.status, length = r.headers["content-length"], body = (r:body()) })
        assert.equal("early", (assert(client:get(url .. "/early")):body()))
      end
    end)
  end)

  it("answers HEAD without its body, with its length", function()
    web.with_app(function(app) app:get("/", { body = "tide" }) end, function(client, url)
      local r = assert(client:request("HEAD", url .. "/"))
      assert.same({ 200, "4", "" }, { r.status, r.headers["content-length"], (r:body()) })
    end)
  end)

  it("goes through middleware, which changes one response and no other", function()
    local count = 0
    web.with_app(function(app)
      app:use(function(_, res, next)
        count = count + 1
        if count == 2 then res:header("x-before", "2") end
        next()
        res:header("x-count", count)
        if count == 3 then res:status(503):body("changed") end
      end)
      app:get("/", { headers = { ["x-own"] = "1" }, body = "ok" })
      app:get("/404", function() error(404) end)
    end, function(client, url)
      local function seen()
        local r = assert(client:get(url .. "/"))
        return { r.status, r.headers["x-own"], r.headers["x-before"] or false, r.headers["x-count"], (r:body()) }
      end
      assert.same({ 200, "1", false, "1", "ok" }, seen())
      assert.same({ 200, "1", "2", "2", "ok" }, seen())
      assert.same({ 503, "1", false, "3", "changed" }, seen())
      assert.same({ 200, "1", false, "4", "ok" }, seen())
    end)
  end)

  it("without a status has the one that middleware has set, as a body that a handler returns", function()
    web.with_app(function(app)
      app:use(function(_, res, next)
        res:status(503)
        next()
      end)
      app:get("/table", { body = "closed" })
      app:get("/function", function() return "closed" end)
      app:get("/status", { status = 200, body = "open" })
    end, function(client, url)
      local seen = {}
      for i, path in ipairs{ "/table", "/function", "/status" } do seen[i] = assert(client:get(url .. path)).status end
      assert.same({ 503, 503, 200 }, seen)
    end)
  end)

  it("stays as it was given, whatever becomes of the table", function()
    local given = { headers = { ["x-a"] = "1" }, body = { a = 1 } }
    web.with_app(function(app) app:get("/", given) end, function(client, url)
      given.headers["x-a"], given.body.a = "2", 2
      local r = assert(client:get(url .. "/"))
      assert.same({ "1", { a = 1 } }, { r.headers["x-a"], r:json() })
    end)
  end)

  for why, given in pairs {
    ["a constant response has a status or a body"] = {},
    ["unknown option 'early' of a constant response"] = { early = true },
    ["option 'status' must be a whole number from 200 to 999"] = { status = 103 },
    ["option 'body' must be a string, or a table for JSON"] = { body = 7 },
    ["a constant response's length is its body's"] = { body = "x", headers = { ["content-length"] = "1" } },
    ["a response of 304 has no body"] = { status = 304, body = "x" },
    ['field "x-a" has a line break or another control character in its value'] = {
      status = 200, headers = { ["x-a"] = "\n" } },
    ['field "connection" has no place in HTTP/3'] = { status = 200, headers = { connection = "close" } },
  } do
    it("is refused where it is given: " .. why, function()
      local ok, message = pcall(function() neap.app():get("/", given) end)
      assert.is_false(ok)
      assert.matches("constant_spec.lua:%d+: ", message)
      assert.equal(why, (message:gsub("^.-:%d+: ", "")))
    end)
  end
end)
