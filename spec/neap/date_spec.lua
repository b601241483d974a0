--- `date` of responses (RFC 9110 §6.6.1).
local date = require "neap.date"
local neap = require "neap"
local web = require "support.web"

local PATHS = { "/text", "/constant", "/pieces", "/missing", "/oops", "/none" }

local function routes(app)
  app:get("/text", function() return "x" end)
  app:get("/constant", { body = "x" })
  app:get("/pieces", function(_, res) res:write("x") end)
  app:get("/oops", function() error { status = 500 } end)
  app:get("/none", function() return 204 end)
  app:get("/own", function(_, res) return res:header("date", "Sun, 06 Nov 1994 08:49:37 GMT"):send("x") end)
end

local function date_of(client, url)
  return assert(client:get(url)).headers:get_all("date")
end

describe("the date of a response", function()
  after_each(function() neap.set_clock() end)

  it("is when it was made, however it was made", function()
    web.with_app(routes, function(client, url)
      for _, path in ipairs(PATHS) do
        local dates = date_of(client, url .. path)
        assert.equal(1, #dates, path)
        local seconds = date.parse(dates[1])
        assert.is_true(seconds <= os.time() and seconds > os.time() - 10, dates[1])
        assert.equal(dates[1], date.format(seconds))
      end
    end)
  end)

  it("is what a handler says, where it says one", function()
    web.with_app(routes, function(client, url)
      assert.same({ "Sun, 06 Nov 1994 08:49:37 GMT" }, date_of(client, url .. "/own"))
    end)
  end)

  it("goes with the clock, and is not there while that is not known", function()
    web.with_app(routes, function(client, url)
      date_of(client, url .. "/text") -- so that the certificate was looked at
      neap.set_clock(784111777)
      assert.same({ "Sun, 06 Nov 1994 08:49:37 GMT" }, date_of(client, url .. "/text"))
      neap.set_clock(1767225600)
      assert.same({ "Thu, 01 Jan 2026 00:00:00 GMT" }, date_of(client, url .. "/text"))
      neap.set_clock(false)
      assert.same({}, date_of(client, url .. "/text"))
    end)
  end)

  it("is left out where a server is told so", function()
    web.with_app(routes, function(client, url)
      for _, path in ipairs(PATHS) do assert.same({}, date_of(client, url .. path)) end
    end, { date = false })
  end)

  it("stands once beside more fields than most responses have, and not in an interim response", function()
    local hints
    web.with_app(function(app)
      app:get("/", function(_, res)
        res:early_hints { link = "</a.css>" }
        for i = 1, 100 do res:header("x-" .. i, i) end
        return "x"
      end)
    end, function(client, url)
      local res = assert(client:get(url .. "/", { on_informational = function(_, headers) hints = headers end }))
      assert.equal(1, #res.headers:get_all("date"))
      assert.is_truthy(hints and hints.link and not hints.date)
    end)
  end)
end)
