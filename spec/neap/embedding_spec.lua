-- neap in loops of others.
local helper = require "helper"
local leash = require "spec.support.leash"
local support = require "support.program"

local PLAIN = ("XDG_CACHE_HOME=%s %s/spec_host"):format(helper.quote(support.cache), helper.quote(helper.build_dir))

describe("a loop of somebody else's", function()
  local folder

  before_each(function() folder = helper.make_dir() end)

  after_each(function()
    support.end_all()
    helper.remove_dir(folder)
  end)

  local function run(script)
    helper.write_file(folder .. "/script.lua", script)
    return helper.run(("timeout 20 env %s %s/script.lua"):format(PLAIN, folder))
  end

  local function need(module)
    local _, status = run(("require %q"):format(module))
    if status ~= 0 then pending(("needs the Lua module %s (Debian: lua-%s)"):format(module, module)) end
    return status == 0
  end

  it("steps without a wait, and says when it wants to", function()
    local output, status = run([[
      local neap = require "neap"
      local loop = neap.loop()
      assert(type(loop:fd()) == "number" and loop:fd() == loop:pollfd() and loop:events() == "r")
      assert(loop:timeout() == nil and loop:step() == false)
      local handle = neap.go(function() neap.sleep(0.05) return "slept" end)
      assert(loop:timeout() == 0)
      local begun = neap.now()
      assert(loop:step() == true)
      local timeout = loop:timeout()
      assert(neap.now() - begun < 0.04 and timeout > 0 and timeout <= 0.05)
      while loop:step() do end -- nothing has to wait
      assert(neap.now() - begun >= 0.05 and handle:join() == "slept")
      neap.go(function()
        print(pcall(loop.step, loop))
        print(neap.run(function() return "as it stands" end))
      end)
      loop:step()
    ]])
    assert.equal(0, status, output)
    assert.matches("^false\t[^\n]*a loop runs already[^\n]*\nas it stands\n$", output)
  end)

  it("is luv's in examples/luv.lua", function()
    if not need "luv" then return end
    local log = folder .. "/log"
    local process = leash.start(("env PORT=0 %s examples/luv.lua"):format(PLAIN), log)
    local port
    leash.wait_until(function()
      port = helper.read_file(log):match("listening on https://localhost:(%d+)/")
      return port
    end)
    local output = helper.run(("%s get --insecure https://localhost:%d/"):format(support.neap, port))
    assert.equal("hello from libuv's loop\n", output)
    assert.equal(0, leash.stop(process), helper.read_file(log))
  end)

  it("is one of cqueues", function()
    if not need "cqueues" then return end
    local output, status = run([[
      local neap, cqueues = require "neap", require "cqueues"
      local order = {}
      local cq = cqueues.new()
      neap.go(function()
        for i = 1, 3 do
          order[#order + 1] = "neap"
          neap.sleep(0.02)
        end
      end)
      cq:wrap(function()
        local loop = neap.loop()
        while loop:step() do cqueues.poll(loop, loop:timeout()) end
      end)
      cq:wrap(function()
        for i = 1, 3 do
          order[#order + 1] = "cqueues"
          cqueues.sleep(0.02)
        end
      end)
      assert(cq:loop())
      print(table.concat(order, " "))
    ]])
    assert.equal(0, status, output)
    assert.equal(6, select(2, output:gsub("%a+", "")), output)
  end)
end)
