-- Channels and semaphores, in virtual time.
local neap = require "neap"
local sim = require "neap.sim"

local function at_host(fn)
  local lab = sim.new{ seed = 1 }
  lab:host("one.example", "10.0.0.1"):run(fn)
  lab:close()
end

describe("a channel", function()
  it("brings values in order, and holds as many as it was made for", function()
    at_host(function()
      local channel = neap.channel(2)
      local sent, received = 0, {}
      neap.go(function()
        for i = 1, 6 do
          assert(channel:send(i))
          sent = i
        end
        channel:close()
      end)
      neap.sleep(1)
      assert.equal(2, sent)
      assert.equal(2, channel:count())
      for value in channel:each() do received[#received + 1] = value end
      assert.same({ 1, 2, 3, 4, 5, 6 }, received)
      assert.equal(0, channel:count())
    end)
  end)

  it("without room hands over from task to task", function()
    at_host(function()
      local channel = neap.channel()
      local got = {}
      for i = 1, 3 do neap.go(function() got[i] = channel:receive() end) end
      neap.sleep(1)
      for i = 1, 3 do assert(channel:send("v" .. i)) end
      neap.sleep(0)
      assert.same({ "v1", "v2", "v3" }, got)
      local has_sent = false
      neap.go(function() has_sent = channel:send(false) end)
      neap.sleep(1)
      assert.is_false(has_sent)
      assert.is_false(channel:receive())
      neap.sleep(0)
      assert.is_true(has_sent)
    end)
  end)

  it("tells a timeout, and then neither sends nor loses", function()
    at_host(function()
      local channel = neap.channel()
      assert.same({ nil, "timeout", "timeout" }, { channel:send(1, 2) })
      assert.same({ nil, "timeout", "timeout" }, { channel:receive(2) })
      neap.go(function() channel:send(3) end)
      assert.equal(3, channel:receive(1))
      for _ = 1, 1000 do channel:receive(0) end
      assert.is_true(channel._receivers._last < 200)
    end)
  end)

  it("that is closed gives what is in it, and tells those who wait", function()
    at_host(function()
      local channel, told = neap.channel(1), {}
      assert(channel:send("kept"))
      neap.go(function() told[1] = select(3, channel:send("not kept")) end)
      neap.sleep(0)
      channel:close()
      neap.sleep(0)
      assert.equal("closed", told[1])
      assert.same({ nil, "the channel is closed", "closed" }, { channel:send("late") })
      assert.equal("kept", channel:receive())
      assert.same({ nil, "the channel is closed", "closed" }, { channel:receive() })
      local other = neap.channel()
      neap.go(function() told[2] = select(3, other:receive()) end)
      neap.sleep(0)
      other:close()
      other:close()
      neap.sleep(0)
      assert.equal("closed", told[2])
    end)
  end)

  it("passes over a receiver that was cancelled", function()
    at_host(function()
      local channel = neap.channel()
      local first = neap.go(function() return channel:receive() end)
      local second = neap.go(function() return channel:receive() end)
      neap.sleep(0)
      first:cancel()
      assert(channel:send("one"))
      assert.equal("one", (second:join()))
      assert.same({ nil, "cancelled", "cancelled" }, { first:join() })
    end)
  end)

  it("refuses what is no capacity, and nil", function()
    for _, capacity in ipairs { -1, 0.5, "x" } do
      assert.error_matches(function() neap.channel(capacity) end, "capacity")
    end
    assert.error_matches(function() neap.channel(1):send(nil) end, "nil cannot be sent")
  end)
end)

describe("a semaphore", function()
  it("lets so many in at once, in the order in which they came", function()
    at_host(function()
      local semaphore, inside, most, order = neap.semaphore(2), 0, 0, {}
      local jobs = {}
      for i = 1, 7 do
        jobs[i] = function()
          return semaphore:with(function()
            inside = inside + 1
            most = math.max(most, inside)
            order[#order + 1] = i
            neap.sleep(1)
            inside = inside - 1
            return true
          end)
        end
      end
      local begun = neap.now()
      neap.all(jobs)
      assert.equal(2, most)
      assert.equal(4, neap.now() - begun)
      assert.same({ 1, 2, 3, 4, 5, 6, 7 }, order)
    end)
  end)

  it("gives its permit back after an error, and not to one that waits no more", function()
    at_host(function()
      local semaphore = neap.semaphore(1)
      assert.error_matches(function() semaphore:with(function() error("inside") end) end, "inside")
      assert(semaphore:acquire())
      assert.same({ nil, "timeout", "timeout" }, { semaphore:acquire(1) })
      local waits = neap.go(function() return semaphore:acquire() end)
      neap.sleep(0)
      waits:cancel()
      semaphore:release()
      assert.is_true(semaphore:acquire(0))
      semaphore:release()
      assert.error_matches(function() semaphore:release() end, "nobody took")
      assert.error_matches(function() neap.semaphore(0) end, "permits")
    end)
  end)
end)
