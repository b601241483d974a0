-- Tasks as values, in virtual time.
local neap = require "neap"
local sim = require "neap.sim"

-- fn as a program of one host: its results.
local function at_host(fn)
  local lab = sim.new{ seed = 1 }
  local host = lab:host("one.example", "10.0.0.1")
  local results = { host:run(fn) }
  lab:close()
  return (table.unpack or unpack)(results)
end

describe("a task", function()
  it("gives what its function returned to who joins it, before and after it has ended", function()
    at_host(function()
      local handle = neap.go(function(a, b)
        neap.sleep(1)
        return a + b, nil, "third"
      end, 2, 3)
      assert.equal("running", handle:status())
      local before, none, third = handle:join()
      assert.same({ 5, "third" }, { before, third })
      assert.is_nil(none)
      assert.equal("done", handle:status())
      assert.equal(5, (handle:join()))
    end)
  end)

  it("is not waited for longer than is asked, and goes on", function()
    at_host(function()
      local handle = neap.go(function()
        neap.sleep(10)
        return "late"
      end)
      local begun = neap.now()
      assert.same({ nil, "timeout", "timeout" }, { handle:join(2) })
      assert.equal(2, neap.now() - begun)
      assert.equal("late", (handle:join()))
    end)
  end)

  it("raises its error at who joins it, and has it in the log when nobody does", function()
    local lines, sink = {}, neap.log.sink
    neap.log.sink = function(line) lines[#lines + 1] = line end
    finally(function() neap.log.sink = sink end)
    neap.run(function()
      local joined = neap.go(function()
        neap.sleep(0)
        error("oops")
      end)
      assert.error_matches(function() joined:join() end, "oops")
      assert.same({}, lines)
      local object = {}
      local raised
      local ok, err = pcall(function()
        raised = neap.go(function()
          neap.sleep(0)
          error(object)
        end)
        raised:join()
      end)
      assert.is_false(ok)
      assert.equal(object, err)
      assert.equal("failed", raised:status())
      neap.go(function() error("alone") end)
      neap.sleep(0)
      neap.sleep(0)
    end)
    assert.equal(1, #lines)
    assert.matches("alone", lines[1])
  end)

  it("that is cancelled has its wait ended, and is ended when it waits again", function()
    at_host(function()
      local seen, was_behind = {}, false
      local handle = neap.go(function()
        seen = { neap.sleep(100) }
        neap.sleep(0)
        was_behind = true
      end)
      neap.sleep(1)
      local begun = neap.now()
      assert.is_true(handle:cancel())
      assert.same({ nil, "cancelled", "cancelled" }, { handle:join() })
      assert.equal(begun, neap.now())
      assert.same({ nil, "cancelled", "cancelled" }, seen)
      assert.is_false(was_behind)
      assert.equal("cancelled", handle:status())
      assert.is_false(handle:cancel())
    end)
  end)

  it("that is cancelled may still say something of its own", function()
    at_host(function()
      local handle = neap.go(function()
        local _, _, code = neap.sleep(100)
        return "ended: " .. code
      end)
      neap.sleep(0)
      handle:cancel()
      assert.equal("ended: cancelled", (handle:join()))
    end)
  end)

  it("that is cancelled before it has begun does not begin", function()
    at_host(function()
      local has_run = false
      local handle = neap.go(function() has_run = true end)
      handle:cancel("not needed")
      assert.same({ nil, "not needed", "cancelled" }, { handle:join() })
      assert.is_false(has_run)
    end)
  end)

  it("that is cancelled and catches every error stops nobody else", function()
    at_host(function()
      local tries = 0
      local handle = neap.go(function()
        while tries < 1000 do
          pcall(neap.sleep, 5)
          tries = tries + 1
        end
      end)
      neap.sleep(0)
      handle:cancel()
      local turns = 0
      while handle:status() == "running" do
        turns = turns + 1
        neap.sleep(0)
      end
      assert.is_true(turns > 900, turns)
    end)
  end)

  it("that cancels itself is told at its next wait", function()
    at_host(function()
      local handle
      handle = neap.go(function()
        handle:cancel()
        return select(3, neap.sleep(1))
      end)
      assert.equal("cancelled", (handle:join()))
    end)
  end)

  it("leaves nothing to the one that has its coroutine after it", function()
    at_host(function()
      local first = neap.go(function() neap.sleep(1) end)
      neap.sleep(0)
      first:cancel()
      first:join()
      for _ = 1, 3 do
        assert.equal("fine", (neap.go(function()
          neap.sleep(1)
          neap.sleep(1)
          return "fine"
        end):join()))
      end
    end)
  end)

  it("has its request of a client ended when it is cancelled", function()
    local lab = sim.new{ seed = 3 }
    lab:link{ delay = 0.02 }
    local server, client = lab:host("server.example", "10.1.0.1"), lab:host("client.example", "10.2.0.1")
    local ended
    server:go(function()
      local app = neap.app()
      app:get("/slow", function(_, res)
        res:write("some")
        repeat
          local ok, _, code = res:write("x")
          ended = not ok and code
          neap.sleep(0.1)
        until not ok
      end)
      app:get("/fast", function() return "fast" end)
      assert(app:listen{ port = 443 })
    end)
    local code, after, took = client:run(function()
      local handle = neap.go(function()
        local res = assert(neap.client.get("https://server.example/slow"))
        local _, _, why = res:body()
        return why
      end)
      neap.sleep(1)
      local begun = neap.now()
      handle:cancel()
      local why = handle:join()
      local took = neap.now() - begun
      local fast = assert(neap.client.get("https://server.example/fast")):body()
      neap.sleep(1)
      return why, fast, took
    end)
    assert.equal("cancelled", code)
    assert.equal("fast", after)
    assert.equal(0, took)
    lab:close()
    assert.is_truthy(ended == "stopped" or ended == "reset" or ended == "closed", ended)
  end)
end)

describe("a deadline", function()
  it("ends what waits longer, and nothing else", function()
    at_host(function()
      local begun = neap.now()
      assert.same({ "quick", 2 }, { neap.with_timeout(1, function(a) return "quick", a end, 2) })
      local seen
      assert.same({ nil, "timeout", "timeout" }, { neap.with_timeout(3, function()
        neap.sleep(2)
        seen = { neap.sleep(2) }
        neap.sleep(2)
        return "never"
      end) })
      assert.same({ nil, "timeout", "timeout" }, seen)
      assert.equal(3, neap.now() - begun)
      assert.is_true(neap.sleep(1))
    end)
  end)

  it("counts when it is the nearest of several", function()
    at_host(function()
      local begun, inner_results, inner_end = neap.now(), nil, nil
      local outer_results = { neap.with_timeout(5, function()
        inner_results = { neap.with_timeout(2, function()
          neap.sleep(10)
          neap.sleep(10)
        end) }
        inner_end = neap.now() - begun
        neap.with_timeout(100, function()
          neap.sleep(10)
          neap.sleep(10)
        end)
        return "never"
      end) }
      assert.same({ nil, "timeout", "timeout" }, inner_results)
      assert.equal(2, inner_end)
      assert.same({ nil, "timeout", "timeout" }, outer_results)
      assert.equal(5, neap.now() - begun)
    end)
  end)

  it("of a wait itself is still its own", function()
    at_host(function()
      local begun = neap.now()
      local got = neap.with_timeout(10, function()
        local channel = neap.channel()
        local value, _, code = channel:receive(1)
        assert.is_nil(value)
        return code .. " after " .. neap.now() - begun
      end)
      assert.equal("timeout after 1", got)
    end)
  end)

  it("hands on an error as it is, and a cancel to who was cancelled", function()
    at_host(function()
      local object = {}
      local ok, err = pcall(neap.with_timeout, 1, function() error(object) end)
      assert.is_false(ok)
      assert.equal(object, err)
      local after = false
      local handle = neap.go(function()
        neap.with_timeout(50, function()
          neap.sleep(100)
          neap.sleep(100)
        end)
        after = true
      end)
      neap.sleep(1)
      handle:cancel()
      assert.same({ nil, "cancelled", "cancelled" }, { handle:join() })
      assert.is_false(after)
    end)
  end)

  it("is refused outside of a task, and without seconds", function()
    assert.error_matches(function() neap.with_timeout(1, function() end) end, "in a task")
    assert.error_matches(function() neap.with_timeout("1", function() end) end, "seconds")
  end)
end)

describe("every", function()
  it("calls at equal distances, without drift, and leaves out what a slow call has missed", function()
    at_host(function()
      local begun, times, nap = neap.now(), {}, 0
      local handle = neap.every(1, function()
        times[#times + 1] = neap.now() - begun
        neap.sleep(#times == 3 and 2.5 or 0.25)
        nap = nap + 1
      end)
      neap.sleep(8.1)
      handle:stop()
      assert.same({ 1, 2, 3, 6, 7, 8 }, times)
      neap.sleep(10)
      assert.same(6, nap) -- the one that ran came to its end
      assert.equal("done", handle:status())
      assert.equal(6, #times)
    end)
  end)

  it("ends at once between two calls, and within one when it is cancelled", function()
    at_host(function()
      local count = 0
      local handle = neap.every(5, function() count = count + 1 end)
      neap.sleep(6)
      handle:stop()
      handle:join()
      assert.equal(1, count)
      local was_through = false
      handle = neap.every(1, function()
        neap.sleep(100)
        neap.sleep(100)
        was_through = true
      end)
      neap.sleep(2)
      local begun = neap.now()
      handle:cancel()
      handle:join()
      assert.equal(begun, neap.now())
      assert.is_false(was_through)
    end)
  end)

  it("goes on after an error, which is in the log", function()
    local lines, sink = {}, neap.log.sink
    neap.log.sink = function(line) lines[#lines + 1] = line end
    finally(function() neap.log.sink = sink end)
    neap.run(function()
      local count = 0
      local handle = neap.every(0.001, function()
        count = count + 1
        if count == 1 then error("first") end
      end)
      while count < 3 do neap.sleep(0.001) end
      handle:stop()
    end)
    assert.equal(1, #lines)
    assert.matches("first", lines[1])
  end)
end)

describe("all", function()
  it("runs side by side, and tells results and failures by their numbers", function()
    at_host(function()
      local begun = neap.now()
      local results, failures = neap.all {
        function()
          neap.sleep(3)
          return "a"
        end,
        function() return nil, "no such", "system", 2 end,
        function()
          neap.sleep(1)
          return false
        end,
      }
      assert.equal(3, neap.now() - begun)
      assert.equal("a", results[1])
      assert.is_false(results[3])
      assert.same({ [2] = { message = "no such", code = "system", number = 2 } }, failures)
      assert.same({}, neap.all {})
    end)
  end)

  it("cancels the others at an error, and raises that when all have ended", function()
    at_host(function()
      local begun, told = neap.now(), nil
      assert.error_matches(function()
        neap.all {
          function()
            told = select(3, neap.sleep(100))
          end,
          function()
            neap.sleep(2)
            error("second")
          end,
        }
      end, "second")
      assert.equal("cancelled", told)
      assert.equal(2, neap.now() - begun)
    end)
  end)

  it("is cancelled with who waits for it", function()
    at_host(function()
      local told = {}
      assert.same({ nil, "timeout", "timeout" }, { neap.with_timeout(2, neap.all, {
        function() told[1] = select(3, neap.sleep(100)) end,
        function() told[2] = select(3, neap.sleep(100)) end,
      }) })
      neap.sleep(0)
      neap.sleep(0)
      assert.same({ "cancelled", "cancelled" }, told)
    end)
  end)
end)

describe("race and any", function()
  local function after(seconds, ...)
    local values, count = { ... }, select("#", ...)
    return function()
      if not neap.sleep(seconds) then return "ended early" end
      return (table.unpack or unpack)(values, 1, count)
    end
  end

  it("give the first to end, and the first that gave something", function()
    at_host(function()
      local begun = neap.now()
      assert.same({ nil, "refused" }, { neap.race { after(2, "two"), after(1, nil, "refused"), after(3, "three") } })
      assert.equal(1, neap.now() - begun)
      assert.same({ "two", 2 }, { neap.any { after(2, "two", 2), after(1, nil, "refused"), after(3, "three") } })
      assert.equal(3, neap.now() - begun)
      assert.same({ nil, "last" }, { neap.any { after(2, nil, "last"), after(1, nil, "first") } })
    end)
  end)

  it("cancel the others, and raise an error of the first", function()
    at_host(function()
      local told
      local begun = neap.now()
      assert.error_matches(function()
        neap.race { function() told = select(3, neap.sleep(50)) end, function() error("early") end }
      end, "early")
      neap.sleep(0)
      neap.sleep(0)
      assert.equal("cancelled", told)
      assert.equal(begun, neap.now())
      assert.error_matches(function() neap.race {} end, "no functions")
    end)
  end)
end)
