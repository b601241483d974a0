local Headers = require "neap.headers"

describe("headers", function()
  it("keeps order and several values a name", function()
    local h = Headers.new()
    h:append("Set-Cookie", "a=1"):append("x-one", 1):append("set-cookie", "b=2")
    assert.same({ "a=1", "b=2" }, h:get_all("SET-COOKIE"))
    local seen = {}
    for name, value in h:each() do seen[#seen + 1] = name .. "=" .. value end
    assert.same({ "set-cookie=a=1", "x-one=1", "set-cookie=b=2" }, seen)
    assert.equal(3, h:count())
  end)

  it("reads and writes by index in any case", function()
    local h = Headers.new { ["Content-Type"] = "text/plain" }
    assert.equal("text/plain", h["content-type"])
    h["CONTENT-TYPE"] = "text/html"
    assert.equal("text/html", h:get("Content-Type"))
    assert.equal(1, h:count())
    h["content-type"] = nil
    assert.is_nil(h["content-type"])
    assert.equal(0, h:count())
  end)

  it("takes several values from a table and a flat list", function()
    assert.same({ "a", "b" }, Headers.new({ vary = { "a", "b" } }):get_all("vary"))
    assert.equal("2", Headers.new({ "A", "1", "B", 2 }):get("b"))
  end)

  it("does not share its lines with a copy", function()
    local one = Headers.new { a = "1" }
    local two = Headers.new(one)
    two:set("a", "2")
    assert.equal("1", one:get("a"))
  end)

  it("of a request are the same when they are made of its block", function()
    local web = require "support.web"
    local fields = { ["x-b"] = { "1", "2" }, ["x-a"] = "", get = "three", cookie = "k=v" }
    web.with_app(function(app)
      app:get("/", function(req)
        local h, names = req.headers, {}
        for name in pairs(h) do names[name] = true end
        assert.same({ ["x-b"] = true, ["x-a"] = true, cookie = true, ["user-agent"] = names["user-agent"] }, names)
        assert.same({ "1", "", "three" }, { h["X-B"], h["x-a"], h:get("get") })
        assert.same({ "1", "2" }, h:get_all("x-b"))
        h["x-b"] = "4"
        h:append("x-c", "5")
        assert.same({ { "4" }, { "5" } }, { h:get_all("x-b"), h:get_all("x-c") })
        return "fine"
      end)
    end, function(client, url)
      assert.equal("fine", assert(client:get(url .. "/", { headers = fields })):body())
    end)
  end)

  it("gives names and values to pairs, in every Lua", function()
    local h = Headers.new { "Accept", "a", "x-two", "1", "accept", "b" }
    local function all()
      local seen = {}
      for name, value in pairs(h) do seen[name] = value end
      return seen
    end
    assert.same({ accept = "a", ["x-two"] = "1" }, all())
    h["X-Two"] = 2
    h["x-three"] = "3"
    h.accept = nil
    assert.same({ ["x-two"] = "2", ["x-three"] = "3" }, all())
    assert.same({ "x-two", "2", "x-three", "3" }, Headers.list(h))
    h["x-two"] = { "a", "b" }
    assert.same({ "a", "b" }, h:get_all("x-two"))
    h["x-two"] = 7
    assert.equal("7", h:get("x-two"))
    assert.equal(2, h:count())
  end)

  it("keeps its methods when a field has the name of one", function()
    local h = Headers.wrap { "get", "a", "x", "1" }
    assert.same({ "a", "1" }, { h:get("get"), h:get("x") })
    assert.same({ "get", "a", "x", "1" }, Headers.list(h))
  end)
end)
