--- Child processes of tasks.
local neap = require "neap"
local web = require "support.web"
local helper = web.helper

local process = neap.process

describe("neap.process", function()
  it("runs a command to its end, and gives what it said", function()
    web.run(function()
      local r = assert(process.run { "sh", "-c", "cat; echo said; echo complained >&2; exit 3", input = "given\n" })
      assert.same({ code = 3, stdout = "given\nsaid\n", stderr = "complained\n" }, r)
      assert.same({ code = 0, stdout = "", stderr = "" }, process.run { "true" })
    end)
  end)

  it("does not go through a shell", function()
    web.run(function()
      assert.equal("$HOME; *\n", process.run { "printf", "%s\n", "$HOME; *" }.stdout)
    end)
  end)

  it("carries much both ways at once", function()
    web.run(function()
      local data = ("0123456789"):rep(100000)
      assert.equal(data, process.run { "cat", input = data }.stdout)
    end)
  end)

  it("talks to one that runs, and hears when it has ended", function()
    web.run(function()
      local cat = assert(process.start { "cat", stdin = "pipe" })
      cat.stdout.timeout = 5
      cat.stdin:write("a line\n")
      assert.equal("a line", cat.stdout:read("*l"))
      assert.is_nil(cat.stderr)
      assert.same({ nil, "timeout", "timeout" }, { cat:wait(0.01) })
      cat.stdin:close()
      assert.equal(0, cat:wait(5))
      assert.equal(0, cat:wait())
      assert.is_nil(cat.stdout:read())
      assert.same({ nil, "closed" }, { cat:kill(), (select(3, cat:kill())) })
    end)
  end)

  it("ends one by a signal, as if none of ours were blocked", function()
    web.run(function()
      neap.task.catch_signals()
      neap.sleep(0.001)
      for _, signal in ipairs { "TERM", "INT" } do
        local sleeper = assert(process.start { "sleep", "30" })
        assert.is_true(sleeper:kill(signal))
        local none, message, code, number = sleeper:wait(5)
        assert.same({ nil, "signal" }, { none, code })
        assert.matches("killed by signal " .. number, message)
      end
      local sleeper = assert(process.start { "sleep", "30" })
      assert.error_matches(function() sleeper:kill("NOTHING") end, "no signal")
      assert.is_true(sleeper:kill(9))
      assert.equal(9, (select(4, sleeper:wait(5))))
    end)
  end)

  it("has a folder and an environment of its own", function()
    web.run(function()
      local folder = helper.make_dir()
      local r = process.run { "sh", "-c", "pwd; echo $TIDE-$HOME-$PATH", cwd = folder,
        env = { TIDE = "high", HOME = false } }
      assert.equal(folder .. "\nhigh--" .. os.getenv("PATH") .. "\n", r.stdout)
      helper.remove_dir(folder)
    end)
  end)

  it("kills what says too much or takes too long", function()
    web.run(function()
      assert.same({ nil, "more output than the limit", "limit" }, { process.run { "yes", limit = 100000 } })
      assert.same({ nil, "timeout", "timeout" }, { process.run { "sleep", "30", timeout = 0.05 } })
      assert.same({ nil, "timeout", "timeout" }, { process.run { "sleep", "30", timeout = 0.05, stdout = "null",
        stderr = "null" } })
    end)
  end)

  it("says what cannot be started", function()
    web.run(function()
      assert.same({ nil, "no-such-program: No such file or directory", "system", 2 },
        { process.start { "no-such-program" } })
      assert.same({ nil, "system", 2 }, { process.run { "true", cwd = "/no/such/folder" },
        select(3, process.run { "true", cwd = "/no/such/folder" }) })
      for _, bad in ipairs { {}, { 1 }, { "true", stdin = "file" }, { "true", shell = true } } do
        assert.has_error(function() process.start(bad) end)
      end
      assert.error_matches(function() process.start { "a\0b" } end, "NUL")
    end)
  end)

  it("does not hold the loop, and leaves no zombie", function()
    web.run(function()
      local pids = {}
      for i = 1, 20 do pids[i] = assert(process.start { "true" }).pid end
      for _ = 1, 200 do
        local left = 0
        for _, pid in ipairs(pids) do
          if helper.read_file(("/proc/%d/stat"):format(pid)) then left = left + 1 end
        end
        if left == 0 then return end
        neap.sleep(0.01)
      end
      error "there are zombies"
    end)
    local began = neap.now()
    local sleeper
    web.run(function() sleeper = assert(process.start { "sleep", "30" }) end)
    assert.is_true(neap.now() - began < 10)
    web.run(function()
      sleeper:kill()
      sleeper:wait(5)
    end)
  end)
end)
