local neap = require "neap"
local core = require "neap.core"
local web = require "support.web"

local task = neap.task

describe("tasks", function()
  it("sleep by the ten thousand and wake in the order of their times", function()
    web.run(function()
      local order, count = {}, 10000
      local waiter, done = task.waiter(), 0
      -- All begin to sleep at one moment, so that their times are known exactly.
      local now, begun = core.now, core.now()
      finally(function() core.now = now end)
      core.now = function() return begun end
      for i = 1, count do
        neap.go(function()
          local seconds = i * 7919 % 100 * 0.01
          local due = begun + seconds
          neap.sleep(seconds)
          assert(neap.now() >= due)
          order[#order + 1] = due
          done = done + 1
          if done == count then task.wake(waiter, true) end
        end)
      end
      neap.go(function() core.now = now end)
      assert.is_true(task.await(waiter, 10))
      for i = 2, count do assert.is_true(order[i] >= order[i - 1]) end
    end)
  end)

  it("run in the order in which they were started and woken, and leave nothing behind", function()
    local order, left = {}, 300000
    neap.run(function()
      local function again()
        left = left - 1
        if left > 0 then neap.go(again) end
      end
      for _ = 1, 5 do neap.go(again) end -- so that there is always one in the queue
      for i = 1, 20 do
        neap.go(function()
          order[#order + 1] = i
          if i % 3 == 0 then neap.sleep(0) end
          order[#order + 1] = -i
        end)
      end
      collectgarbage()
      local before = collectgarbage("count")
      while left > 0 do neap.sleep(0.01) end
      collectgarbage()
      assert.is_true(collectgarbage("count") - before < 500)
    end)
    local began = {}
    for _, i in ipairs(order) do began[#began + 1] = i > 0 and i or nil end
    for i = 1, 20 do assert.equal(i, began[i]) end
    assert.equal(40, #order)
  end)

  it("take turns, also with one that never waits for long", function()
    web.run(function()
      local busy, other = true, 0
      neap.go(function()
        while busy do neap.sleep(0) end
      end)
      for _ = 1, 20 do
        neap.sleep(0.001)
        other = other + 1
      end
      busy = false
      assert.equal(20, other)
    end)
  end)

  it("keep the values of a wake that came before the wait", function()
    web.run(function()
      local waiter = task.waiter()
      task.wake(waiter, "early", 2)
      task.wake(waiter, "late")
      local a, b = task.await(waiter, 1)
      assert.same({ "early", 2 }, { a, b })
    end)
  end)

  it("hold no memory for waits that ended before their timeout", function()
    web.run(function()
      local function rounds(n)
        for _ = 1, n do
          local waiter = task.waiter()
          neap.go(function() task.wake(waiter, true) end)
          task.await(waiter, 3600)
        end
        collectgarbage()
        collectgarbage()
        return collectgarbage("count")
      end
      rounds(3000)
      local before = rounds(3000)
      assert.is_true(rounds(30000) - before < 300, "kilobytes stay")
    end, 60)
  end)

  it("are begun by whatever can be called, and by nothing else", function()
    local got
    local called = setmetatable({}, { __call = function(_, a) got = a end })
    web.run(function()
      neap.go(called, "here")
      neap.sleep(0)
    end)
    assert.equal("here", got)
    for _, value in ipairs { {}, 1, "text", setmetatable({}, { __metatable = "hidden" }) } do
      assert.has_error(function() neap.go(value) end, "neap.go takes a function")
    end
  end)

  it("that fail say so in the log, and the others go on", function()
    local went_on
    local log = web.logged(function()
      web.run(function()
        neap.go(function() error("the mast broke") end)
        neap.go(function() error({ no = "text" }) end)
        neap.go(function() error() end)
        neap.sleep(0.01)
        went_on = true
      end)
    end)
    assert.is_true(went_on)
    assert.matches("the mast broke", log)
    assert.matches("stack traceback", log)
  end)

  it("say clearly that they cannot wait inside a coroutine of the script's", function()
    web.run(function()
      local inner = coroutine.wrap(function() return pcall(neap.sleep, 0.01) end)
      local ok, message = inner()
      assert.is_false(ok)
      assert.matches("coroutine", message)
      neap.sleep(0.001)
    end)
    assert.has_error(function() neap.sleep(0.01) end)
  end)

  it("may use coroutines that wait for nothing", function()
    web.run(function()
      local sum = 0
      for i in coroutine.wrap(function() for i = 1, 3 do coroutine.yield(i) end end) do
        neap.sleep(0.001)
        sum = sum + i
      end
      assert.equal(6, sum)
    end)
  end)

  it("end the loop when none is left, and start it again", function()
    local ran = 0
    for _ = 1, 2 do
      neap.go(function()
        neap.sleep(0.01)
        ran = ran + 1
      end)
      neap.run()
    end
    assert.equal(2, ran)
    assert.equal("value", (neap.run(function() return "value" end)))
    local ok, err = pcall(neap.run, function() error("out of the loop") end)
    assert.is_false(ok)
    assert.matches("out of the loop", err)
  end)

  it("do not wait for a name longer than they want", function()
    local loop = task.loop
    web.run(function()
      -- A resolver that is asked and never answers.
      task.loop = function() return { resolve = function() return 2 ^ 40 end } end
      local addresses, message, code = task.resolve("slow.example", 443, 0.05)
      task.loop = loop
      assert.is_nil(addresses)
      assert.same({ "slow.example: timeout", "timeout" }, { message, code })
    end)
    task.loop = loop
  end)

  it("find no wait of another's taken down by their own end", function()
    web.run(function()
      local owner, woken = {}, {}
      neap.go(function()
        task.wait_at(owner, "slot")
        woken[1] = true
      end)
      neap.sleep(0)
      -- The first is woken, and before it runs a second begins to wait at the same place.
      task.wake_at(owner, "slot")
      local waiter = task.waiter()
      owner.slot = waiter
      neap.sleep(0)
      assert.is_true(woken[1])
      task.wake_at(owner, "slot")
      assert.is_true((task.await(waiter, 0.5)))
    end)
  end)

  it("that run one more function call it as it stands", function()
    web.run(function()
      local given
      assert.same({ "a", nil, "b" }, { neap.run(function(...)
        given = { ... }
        neap.sleep(0.001)
        return "a", nil, "b"
      end, 1, 2) })
      assert.same({ 1, 2 }, given)
      local ok, err = pcall(neap.run, function() error("inside", 0) end)
      assert.same({ false, "inside" }, { ok, err })
    end)
    assert.same({ "a", nil, "b" }, { neap.run(function() return "a", nil, "b" end) })
  end)

  it("survive a place for the log that fails", function()
    local sink, went_on = neap.log.sink, false
    neap.log.sink = function() error("no space left") end
    local ok, err = pcall(web.run, function()
      neap.go(function() error("the mast broke") end)
      neap.sleep(0.01)
      went_on = true
    end)
    neap.log.sink = sink
    assert.is_true(ok, err)
    assert.is_true(went_on)
  end)

  it("survive an error object that nobody can make a text of", function()
    local ok, went_on
    local lines = web.logged(function()
      ok = pcall(web.run, function()
        neap.go(function() error(setmetatable({}, { __tostring = function() error("no words") end })) end)
        neap.sleep(0.01)
        went_on = true
      end)
    end)
    assert.same({ true, true }, { ok, went_on })
    assert.matches("error an error object %(table%) whose __tostring fails", lines)
  end)

  it("go on when one connection cannot be driven: it ends, the others do not", function()
    local log = web.logged(function()
      web.with_app(function(app) app:get("/", function() return "fine" end) end, function(client, url, server)
        local id = web.identity()
        local other = neap.client { ca = id.cert, timeout = 5 }
        assert.equal("fine", assert(client:get(url)):body())
        -- The next connection's first turn fails.
        local accepted = getmetatable(server.sessions)
        setmetatable(server.sessions, { __newindex = function() error("no room on the quay") end })
        local r, message, code = other:get(url)
        assert.is_nil(r)
        assert.equal("closed", code)
        assert.matches("INTERNAL_ERROR", message)
        setmetatable(server.sessions, accepted)
        assert.equal("fine", assert(client:get(url)):body())
        assert.equal("fine", assert(other:get(url)):body())
        other:close()
      end)
    end)
    assert.matches("connection of 127.0.0.1:%d+", log)
    assert.matches("no room on the quay", log)
    assert.matches("stack traceback", log)
  end)

  it("keep what failed beside the results", function()
    web.run(function()
      local results, failures = neap.all { function() return 1 end, function() return nil, "no wind", "timeout", 7 end,
        function() return nil end }
      assert.same({ 1 }, results)
      assert.same({ [2] = { message = "no wind", code = "timeout", number = 7 } }, failures)
      assert.is_nil(select(2, neap.all { function() return 1 end }))
      assert.equal("first", select(2, pcall(neap.all, { function() error("first", 0) end })):match("first"))
    end)
  end)

  it("wait for a place when many ask for names at once", function()
    web.run(function()
      local jobs = {}
      for i = 1, 200 do
        jobs[i] = function() return assert(task.resolve("127.0.0.1", i, 10))[1] end
      end
      local addresses = neap.all(jobs)
      for i = 1, 200 do assert.equal("127.0.0.1:" .. i, addresses[i]) end
    end)
  end)

  it("gather results side by side, and the first error when all have ended", function()
    web.run(function()
      local ended = 0
      assert.same({ 1, 2 }, neap.all { function()
        neap.sleep(0.01)
        return 1
      end, function() return 2 end })
      local ok, err = pcall(neap.all, { function()
        neap.sleep(0)
        error("one failed")
      end, function()
        neap.sleep(5)
        ended = ended + 1
      end })
      assert.same({ false, 1 }, { ok, ended })
      assert.matches("one failed", err)
      assert.same({}, neap.all {})
    end)
  end)
end)
