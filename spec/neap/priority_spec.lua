-- How urgent responses are, as programs say and hear it.
local neap = require "neap"
local web = require "support.web"

describe("the priority of a response", function()
  it("is what the client asks for, with the request and later", function()
    local seen, go_on = {}, false
    local function note(req)
      local asked = req:priority()
      seen[#seen + 1] = ("%d %s"):format(asked.urgency, tostring(asked.incremental))
    end
    web.with_app(function(app)
      app:get("/", function(req, res)
        seen[#seen + 1] = tostring(req.headers:get("priority"))
        note(req)
        res:write("first")
        while not go_on do neap.sleep(0.005) end
        note(req)
        return res:finish()
      end)
    end, function(client, url)
      go_on = true
      assert(client:get(url .. "/")):body()
      assert(client:get(url .. "/", { priority = { urgency = 6 }, headers = { priority = "i" } })):body()
      go_on = false
      local res = assert(client:get(url .. "/", { priority = { urgency = 5, incremental = true } }))
      assert.is_true(res:set_priority { urgency = 2 })
      neap.sleep(0.05)
      go_on = true
      assert.equal("first", res:body())
      assert.is_true(res:set_priority {}) -- it is over
    end)
    assert.same({ "nil", "3 false", "3 false", "i", "3 true", "3 true", "u=5, i", "5 true", "2 false" }, seen)
  end)

  it("is the server's word where it has one", function()
    local done
    web.with_app(function(app)
      app:get("/", function(_, res)
        done = { res:set_priority { urgency = 1, incremental = true } }
        return res:header("priority", "u=1, i"):send("x")
      end)
      app:get("/wrong", function(_, res) return res:set_priority { urgency = 8 } end)
    end, function(client, url)
      local res = assert(client:get(url .. "/"))
      assert.equal("u=1, i", res.headers:get("priority"))
      assert.equal("x", res:body())
      assert.same({ true }, done)
      local log = web.logged(function() assert.equal(500, assert(client:get(url .. "/wrong")).status) end)
      assert.matches("urgency is a whole number from 0 to 7", log)
    end)
  end)

  it("is nothing else", function()
    web.run(function()
      local client = neap.client {}
      for _, given in ipairs { { urgency = 8 }, { urgent = 1 }, { incremental = 1 }, "u=1" } do
        local ok, message = pcall(client.get, client, "https://127.0.0.1:9/", { priority = given })
        assert.is_false(ok)
        assert.matches("priority.*{ urgency = 0 to 7, incremental = boolean }", message)
      end
      client:close()
    end)
  end)
end)
