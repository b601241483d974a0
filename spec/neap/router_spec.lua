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
