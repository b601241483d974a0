--- neap.mw.redis_store with a real Redis, through redis-lua.
local helper = require "helper"
local leash = require "spec.support.leash"
local libraries = require "spec.support.libraries"
local neap = require "neap"
local web = require "support.web"

local mw = neap.mw

describe("neap.mw.redis_store", function()
  local chunk = libraries.find "redis"
  if not chunk or not helper.has_program "redis-server" then
    return pending("needs redis-server and lua-redis: scripts/bootstrap --test")
  end

  local folder, redis, port, process, loaded

  local function start()
    process = leash.start(("redis-server --port %d --bind 127.0.0.1 --save '' --dir %s"):format(port, folder),
      folder .. "/redis.log")
    leash.wait_until(function()
      local _, count = (helper.read_file(folder .. "/redis.log") or ""):gsub("Ready to accept", "")
      return count > 0
    end)
  end

  before_each(function()
    folder, port = helper.make_dir(), 20000 + math.random(30000)
    loaded = {}
    for _, name in ipairs { "socket", "socket.unix", "ssl" } do loaded[name] = package.loaded[name] or false end
    neap.socket.install()
    redis = chunk()
    start()
  end)
  after_each(function()
    leash.end_all()
    for name, was in pairs(loaded) do package.loaded[name] = was or nil end
    helper.remove_dir(folder)
  end)

  local function store(more)
    local given = { connect = function() return redis.connect("127.0.0.1", port) end }
    for name, value in pairs(more or {}) do given[name] = value end
    return mw.redis_store(given)
  end

  it("has several servers count together", function()
    web.run(function()
      local one, other = store(), store { connections = 1 }
      for i = 1, 6 do
        local is_allowed, left, wait = (i % 2 == 0 and one or other):take("a", 1, 0.5, 4, 0)
        assert.equal(i <= 4, is_allowed)
        assert.is_true(math.abs(left - math.max(0, 4 - i)) < 0.5, left)
        assert.is_true(i <= 4 and wait == 0 or wait > 1 and wait <= 2, wait)
      end
      assert.is_true((one:take("b", 1, 0.5, 4, 0)))
    end)
  end)

  it("fills a bucket as time goes, and forgets one that is full", function()
    web.run(function()
      local s = store()
      assert.is_true((s:take("a", 2, 20, 2, 0)))
      assert.is_false((s:take("a", 2, 20, 2, 0)))
      neap.sleep(0.12)
      assert.is_true((s:take("a", 2, 20, 2, 0)))
      neap.sleep(0.15)
      assert.is_false(redis.connect("127.0.0.1", port):exists "neap:rate:a")
    end)
  end)

  it("keeps sessions for other servers, for as long as they last", function()
    web.run(function()
      local one, other = store(), store()
      assert.is_true(one:set("id", '{"name":"tide"}', 100))
      assert.equal('{"name":"tide"}', other:get("id"))
      local seconds = redis.connect("127.0.0.1", port):ttl("neap:session:id")
      assert.is_true(seconds > 90 and seconds <= 100)
      assert.is_true(other:delete("id"))
      local text, message = one:get("id")
      assert.is_nil(text)
      assert.is_nil(message)
    end)
  end)

  it("serves many requests over as many connections as it may have", function()
    web.run(function()
      local opened = 0
      local s = store { connections = 2, connect = function()
        opened = opened + 1
        return redis.connect("127.0.0.1", port)
      end }
      local questions = {}
      for i = 1, 50 do questions[i] = function() return s:take("a", 1, 0.001, 30, 0) and 1 or 0 end end
      local allowed = 0
      for _, one in ipairs((neap.all(questions))) do allowed = allowed + one end
      assert.equal(30, allowed)
      assert.equal(2, opened)
    end)
  end)

  it("says that Redis is away, asks it again later, and lets in whom it may", function()
    web.run(function()
      local s, open = store { retry = 0.05 }, store { fail_open = true }
      assert.is_true((s:take("a", 1, 1, 2, 0)))
      assert.is_true((open:take("b", 1, 1, 2, 0)))
      leash.stop(process)
      local lines = {}
      local sink = neap.log.sink
      neap.log.sink = function(line) lines[#lines + 1] = line end
      local ok, message = s:take("a", 1, 1, 2, 0)
      assert.is_nil(ok)
      assert.truthy(message:find("Redis", 1, true))
      assert.is_nil((s:get("id")))
      assert.same({ true, 2 }, { open:take("b", 1, 1, 2, 0), 2 })
      neap.log.sink = sink
      assert.equal(2, #lines)
      start()
      neap.sleep(0.1)
      assert.is_true((s:take("a", 1, 1, 2, 0)))
    end)
  end)

  -- A client that is as slow as a Redis that says nothing.
  local function slow()
    local function wait()
      if not neap.sleep(5) then error("connection error: timeout", 0) end
    end
    return { get = wait, quit = wait }
  end

  it("gives up on a Redis that says nothing", function()
    web.run(function()
      local s, begun = store { timeout = 0.1, connect = slow }, neap.now()
      local text, message = s:get("id")
      assert.is_nil(text)
      assert.is_truthy(message)
      assert.is_true(neap.now() - begun < 1)
      assert.equal(1, s.permits._free - s.connections + 1)
    end)
  end)

  it("is not away for all because the time of one task is over", function()
    web.run(function()
      local count = 0
      local s = store { connect = function()
        count = count + 1
        return count == 1 and slow() or redis.connect("127.0.0.1", port)
      end }
      neap.with_timeout(0.05, s.get, s, "id")
      local text, message = s:get("id")
      assert.is_nil(text)
      assert.is_nil(message)
      assert.is_true((s:set("id", "{}", 10)))
    end)
  end)

  it("stands behind the middleware", function()
    web.with_app(function(app)
      local s = store()
      app:use(mw.rate_limit { limit = 3, per = 1000, store = s },
        mw.session { keys = ("k"):rep(32), store = s, cookie = "session", secure = false })
      app:get("/", function(req)
        req.session.count = (req.session.count or 0) + 1
        return tostring(req.session.count)
      end)
    end, function(client, url)
      local cookie
      for i = 1, 3 do
        local res = assert(client:get(url .. "/", { headers = { cookie = cookie } }))
        assert.equal(tostring(i), (res:body()))
        cookie = (res.headers["set-cookie"] or cookie):match("^[^;]+")
      end
      assert.equal(429, assert(client:get(url .. "/")).status)
    end)
  end)

  it("refuses what it is not told rightly", function()
    assert.error_matches(function() mw.redis_store {} end, "connect")
    assert.error_matches(function() mw.redis_store { connect = 1 } end, "connect")
  end)
end)
