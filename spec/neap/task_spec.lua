local neap = require "neap"
local web = require "support.web"

local task = neap.task

describe("tasks", function()
  it("sleep by the ten thousand and wake in the order of their times", function()
    web.run(function()
      local order, count = {}, 10000
      local waiter, done = task.waiter(), 0
      for i = 1, count do
        neap.go(function()
          local seconds = i * 7919 % 100 * 0.01
          local due = neap.now() + seconds
          neap.sleep(seconds)
          assert(neap.now() >= due)
          order[#order + 1] = due
          done = done + 1
          if done == count then task.wake(waiter, true) end
        end)
      end
      assert.is_true(task.await(waiter, 10))
      for i = 2, count do assert.is_true(order[i] >= order[i - 1] - 0.02) end -- due was noted a moment before
    end)
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

  it("gather results side by side, and the first error when all have ended", function()
    web.run(function()
      local ended = 0
      assert.same({ 1, 2 }, neap.all { function()
        neap.sleep(0.01)
        return 1
      end, function() return 2 end })
      local ok, err = pcall(neap.all, { function() error("one failed") end, function()
        neap.sleep(0.02)
        ended = ended + 1
      end })
      assert.same({ false, 1 }, { ok, ended })
      assert.matches("one failed", err)
      assert.same({}, neap.all {})
    end)
  end)
end)
