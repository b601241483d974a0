--- Libraries that are written for LuaSocket and LuaSec, unchanged, in tasks: redis-lua with a Redis, LuaSocket's own
--- HTTP client, LuaSec's HTTPS.
local neap = require "neap"
local web = require "support.web"
local helper = web.helper
local leash = require "spec.support.leash"
local library = require("spec.support.libraries").find

describe("a library for LuaSocket", function()
  local folder, loaded

  setup(function()
    folder = helper.make_dir()
    loaded = {}
    for _, name in ipairs { "socket", "socket.core", "socket.unix", "ssl", "socket.http", "socket.url", "ltn12", "mime",
      "socket.headers", "socket.smtp", "socket.tp", "ssl.https" } do
      loaded[name] = package.loaded[name] or false
      package.loaded[name] = nil
    end
    neap.socket.install()
  end)

  teardown(function()
    for name, was in pairs(loaded) do package.loaded[name] = was or nil end
    helper.remove_dir(folder)
  end)

  after_each(leash.end_all)

  describe("redis-lua", function()
    local chunk = library "redis"
    if not chunk or not helper.has_program "redis-server" then
      return pending("needs redis-server and lua-redis: scripts/bootstrap --test")
    end
    local redis, port, path, process

    before_each(function()
      redis = chunk()
      port, path = 20000 + math.random(30000), folder .. "/redis.sock"
      process = leash.start(("redis-server --port %d --bind 127.0.0.1 --unixsocket %s --save '' --dir %s"):format(port,
        path, folder), folder .. "/redis.log")
      leash.wait_until(function()
        return (helper.read_file(folder .. "/redis.log") or ""):find("Ready to accept", 1, true)
      end)
    end)
    after_each(function() leash.stop(process) end)

    it("asks a Redis, over TCP and a Unix socket", function()
      web.run(function()
        for _, where in ipairs { { host = "127.0.0.1", port = port }, { scheme = "unix", path = path },
          { host = "localhost", port = port, timeout = 5 } } do
          local client = redis.connect(where)
          assert.is_true(client:ping())
          assert.is_true(client:set("tide", "high"))
          assert.equal("high", client:get("tide"))
          assert.is_nil(client:get("nothing"))
          local large = ("\r\n\0x"):rep(100000)
          client:set("large", large)
          assert.equal(large, client:get("large"))
          client:del("list")
          client:rpush("list", "a", "b")
          assert.same({ "a", "b" }, client:lrange("list", 0, -1))
          if _VERSION == "Lua 5.1" then -- of 2.0.5, which appends in a way that 5.4 refuses
            local replies = client:pipeline(function(p)
              p:incr("count")
              p:incrby("count", 4)
            end)
            assert.equal(4, replies[2] - replies[1])
          end
          assert.error_matches(function() client:lpush("tide", "x") end, "WRONGTYPE")
          client:quit()
        end
      end)
    end)

    it("waits without holding the others", function()
      web.run(function()
        local ticks, came = 0, nil
        neap.go(function()
          local waiting = redis.connect("127.0.0.1", port)
          came = waiting:blpop("later", 5)
          waiting:quit()
        end)
        for _ = 1, 20 do
          neap.sleep(0.005)
          ticks = ticks + 1
        end
        assert.is_nil(came)
        local client = redis.connect("127.0.0.1", port)
        client:rpush("later", "now")
        for _ = 1, 200 do
          if came then break end
          neap.sleep(0.005)
        end
        assert.same({ "later", "now" }, came)
        assert.equal(20, ticks)
        client:quit()
      end)
    end)

    it("answers in handlers", function()
      web.with_app(function(app)
        app:get("/hits/:page", function(req)
          local client = redis.connect("127.0.0.1", port)
          local count = client:incr("hits:" .. req.params.page)
          client:quit()
          return tostring(count)
        end)
      end, function(client, url)
        local done, sum = 0, 0
        for _ = 1, 20 do
          neap.go(function()
            local response = assert(client:get(url .. "/hits/moon"))
            sum, done = sum + tonumber((response:body())), done + 1
          end)
        end
        for _ = 1, 1000 do
          if done == 20 then break end
          neap.sleep(0.01)
        end
        assert.same({ 20, 210 }, { done, sum })
      end)
    end)
  end)

  it("LuaSocket's HTTP client fetches", function()
    if not pcall(require, "socket.http") then return pending("needs lua-socket for this Lua") end
    local http, ltn12 = require "socket.http", require "ltn12"
    helper.write_file(folder .. "/page.txt", ("tide\n"):rep(20000))
    local log = folder .. "/http.log"
    leash.start(("python3 -u -m http.server --bind 127.0.0.1 --directory %s 0"):format(folder), log)
    local port = leash.wait_until(function()
      return (helper.read_file(log) or ""):match("port (%d+)")
    end)
    web.run(function()
      local body, status, headers = http.request("http://127.0.0.1:" .. port .. "/page.txt")
      assert.same({ ("tide\n"):rep(20000), 200 }, { body, status })
      assert.equal("100000", headers["content-length"])
      local pieces = {}
      local ok, missing = http.request { url = "http://127.0.0.1:" .. port .. "/nothing",
        sink = ltn12.sink.table(pieces) }
      assert.same({ 1, 404 }, { ok, missing })
      assert.matches("404", table.concat(pieces))
    end)
    web.run(function()
      local none, why = http.request("http://127.0.0.1:1/")
      assert.same({ nil, "connection refused" }, { none, why })
    end)
  end)

  it("LuaSec's HTTPS client fetches", function()
    if not require("neap.core").has_tls_streams then return pending("this build has no TLS over TCP") end
    if not pcall(require, "ssl.https") then return pending("needs lua-sec for this Lua") end
    local https = require "ssl.https"
    local id = web.identity()
    helper.write_file(folder .. "/id.pem", id.cert .. id.key)
    local port, log = 20000 + math.random(30000), folder .. "/https.log"
    leash.start(("openssl s_server -accept 127.0.0.1:%d -cert %s/id.pem -www"):format(port, folder), log)
    leash.wait_until(function() return (helper.read_file(log) or ""):find("ACCEPT", 1, true) end)
    web.run(function()
      local body, status = https.request { url = "https://localhost:" .. port .. "/", verify = "peer",
        cafile = folder .. "/id.pem" }
      assert.equal(200, status)
      assert.equal(1, body)
      local text
      text, status = https.request("https://127.0.0.1:" .. port .. "/")
      assert.equal(200, status)
      assert.matches("s_server", text)
    end)
  end)
end)
