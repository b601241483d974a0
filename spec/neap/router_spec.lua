local Router = require "neap.router"

describe("router", function()
  local router

  before_each(function()
    router = Router.new()
    router:add("GET", "/", "root")
    router:add("GET", "/users/:id", "user")
    router:add("PUT", "/users/:id", "put user")
    router:add("GET", "/users/me", "me")
    router:add("GET", "/users/:id/posts/:post", "post")
    router:add("GET", "/files/*path", "files")
    router:add("*", "/any", "any")
  end)

  local function match(method, path)
    local route, params = router:match(method, path)
    return route and route.handler, params
  end

  it("finds fixed, parameter and rest routes", function()
    assert.equal("root", match("GET", "/"))
    assert.same({ "user", { id = "7" } }, { match("GET", "/users/7") })
    assert.same({ "post", { id = "7", post = "x y" } }, { match("GET", "/users/7/posts/x y") })
    assert.same({ "files", { path = "a/b/c.txt" } }, { match("GET", "/files/a/b/c.txt") })
    assert.same({ "files", { path = "" } }, { match("GET", "/files") })
    assert.same({ "files", { path = "" } }, { match("GET", "/files/") })
  end)

  it("takes a path as it was sent and gives parameters decoded", function()
    assert.same({ "user", { id = "a:b c" } }, { match("GET", "/users/a%3Ab%20c") })
    assert.equal("me", match("GET", "/users/m%65"))
  end)

  it("takes nothing for a parameter that could leave a folder", function()
    for _, id in ipairs { "a%2Fb", "b%2F..%2F..%2Fc", "%2F", "%2Fetc%2Fpasswd", "..%5C..%5Cc", "a%5Cb", "a%00" } do
      local route, status = router:match("GET", "/users/" .. id)
      assert.same({ nil, 404 }, { route, status }, id)
      assert.is_nil((router:match("GET", "/users/7/posts/" .. id)), id)
    end
    assert.same({ "user", { id = "..a" } }, { match("GET", "/users/..a") })
    for _, path in ipairs { "..%5C..%5Cc", "a%5C..%5Cb", "x/..%5Cb", "a/x%5C..", "a%2Fb" } do
      assert.is_nil((router:match("GET", "/files/" .. path)), path)
    end
    assert.same({ "files", { path = "a\\b..\\c" } }, { match("GET", "/files/a%5Cb..%5Cc") })
  end)

  it("takes what is no parameter for one of a prefix, encoded, so that it is no way around", function()
    local prefix = Router.prefix("/tenant/:id")
    for sent, id in pairs { ["a b"] = "a b", ["a%2F..%2Fb"] = "a%2F..%2Fb", ["a%5Cb"] = "a%5Cb" } do
      assert.same({ id = id }, (Router.match_prefix(prefix, Router.segments("/tenant/" .. sent))))
    end
  end)

  it("tells by its text alone whether a path is below a prefix, as its segments tell", function()
    for _, pattern in ipairs { "/", "/a", "/a/", "/a/b", "/a b", "/a%2Fb", "/a/:x", "/a/*" } do
      local prefix, known = Router.prefix(pattern), 0
      for _, path in ipairs { "/", "/a", "/a/", "/ab", "/a/b", "/a/bc", "/a/b/c", "/a%20b", "/a%2Fb", "/b", "/a/b/" } do
        local is_below = Router.is_below(prefix, path)
        if is_below ~= nil then
          known = known + 1
          assert.equal(Router.match_prefix(prefix, Router.segments(path)) ~= nil, is_below, pattern .. " " .. path)
        end
      end
      assert.equal((pattern:find(":") or pattern:find("*", 1, true) or pattern:find("2F")) and 0 or 9, known, pattern)
    end
  end)

  it("finds a route without parameters by its path alone, the one that match finds", function()
    router:add("GET", "/a b/%2Fc/", "escaped")
    router:add("*", "/*", "all")
    for _, one in ipairs { { "GET", "/" }, { "HEAD", "/users/me" }, { "PUT", "/any" }, { "GET", "/a%20b/%2Fc/" } } do
      local route = router:match_exact(one[1], one[2])
      assert.is_table(route)
      assert.equal(route, (router:match(one[1], one[2])))
    end
    for _, one in ipairs { { "PUT", "/" }, { "PUT", "/users/me" }, { "GET", "/users/7" }, { "GET", "/any/" } } do
      assert.is_nil((router:match_exact(one[1], one[2])))
      assert.is_table((router:match(one[1], one[2])))
    end
  end)

  it("prefers what is written out, and comes back when that leads nowhere", function()
    assert.equal("me", match("GET", "/users/me"))
    assert.same({ "post", { id = "me", post = "1" } }, { match("GET", "/users/me/posts/1") })
  end)

  it("finds the same for a path without escapes as for one that is gone through with all choices", function()
    router:add("GET", "/a/b/c/d/e/f", "deep")
    router:add("GET", "/a/:x/c/*rest", "mixed")
    router:add("PUT", "/a/b/*", "put below")
    local words, seen = { "a", "b", "c", "users", "me", "files", "posts", "" }, {}
    local function compare(path, depth)
      for _, method in ipairs { "GET", "PUT", "DELETE" } do
        -- An escape that is none but for how it is written: it takes the way of those that have some.
        local same = path:gsub("%w", function(c) return ("%%%02x"):format(c:byte()) end, 1)
        if same ~= path then
          local expected = { router:match(method, same) }
          assert.same(expected, { router:match(method, path) }, method .. " " .. path)
          if expected[1] then seen[expected[1].handler] = true end
        end
      end
      if depth == 0 then return end
      for _, word in ipairs(words) do compare(path .. "/" .. word, depth - 1) end
    end
    compare("", 4)
    compare("/a/b/c/d/e/f", 1)
    for _, handler in ipairs { "deep", "mixed", "put below", "post", "files", "me", "user" } do
      assert.is_true(seen[handler], handler)
    end
  end)

  it("answers HEAD with the GET route and any method with *", function()
    assert.equal("root", match("HEAD", "/"))
    assert.equal("any", match("PATCH", "/any"))
  end)

  it("says 404, and 405 with what is allowed", function()
    assert.same({ nil, 404 }, { router:match("GET", "/nobody") })
    assert.same({ nil, 404 }, { router:match("GET", "/users/") })
    assert.same({ nil, 405, { "GET", "HEAD", "PUT" } }, { router:match("DELETE", "/users/7") })
  end)

  it("refuses bad and doubled routes", function()
    assert.error_matches(function() router:add("GET", "x", "h") end, "begins with /")
    assert.error_matches(function() router:add("GET", "/*a/b", "h") end, "nothing may follow")
    assert.error_matches(function() router:add("GET", "/:/b", "h") end, "without a name")
    assert.error_matches(function() router:add("GET", "/users/:other", "h") end, "there already")
  end)
end)
