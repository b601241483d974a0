local helper = require "helper"
local leash = require "spec.support.leash"

-- Whether a process runs; one that waits for its parent to ask does not.
local function runs(pid)
  local stat = helper.read_file(("/proc/%d/stat"):format(pid))
  return stat ~= nil and stat:match("%) (%a)") ~= "Z"
end

describe("what a spec starts", function()
  local dir

  setup(function() dir = helper.make_dir() end)
  teardown(function() helper.remove_dir(dir) end)
  after_each(leash.end_all)

  it("tells its output and its status, and what it was ended with", function()
    local process = leash.start("sh -c 'echo out; exit 3'", dir .. "/log")
    leash.wait_until(function() return leash.status(process) end)
    assert.same({ 3, "out\n" }, { leash.stop(process), helper.read_file(dir .. "/log") })
    assert.equal(3, leash.stop(process))
    assert.equal(143, leash.stop(leash.start("sleep 1000", dir .. "/log"))) -- 128 + SIGTERM
  end)

  it("ends with all that it has started, also when it does not want to", function()
    local process = leash.start("sh -c 'trap \"\" TERM; sleep 1000 & echo $!; while :; do wait; done'", dir .. "/log")
    local child = leash.wait_until(function() return tonumber((helper.read_file(dir .. "/log") or ""):match("%d+")) end)
    assert.is_true(runs(process.pid) and runs(child))
    assert.is_nil(leash.stop(process, 0.2))
    leash.wait_until(function() return not runs(process.pid) and not runs(child) end)
  end)

  it("ends when a spec forgets it", function()
    local one, two = leash.start("sleep 1000", dir .. "/one"), leash.start("sleep 1000", dir .. "/two")
    assert.is_true(runs(one.pid) and runs(two.pid))
    leash.end_all()
    assert.is_false(runs(one.pid) or runs(two.pid))
  end)

  it("ends when the process of the spec fails or is killed", function()
    for _, last in ipairs { "error('the mast broke')", "os.execute('kill -s KILL $PPID')" } do
      helper.write_file(dir .. "/spec.lua", ([[
        local process = require("spec.support.leash").start("sleep 1000", "%s/inner")
        io.open("%s/pid", "w"):write(process.pid, "\n"):close()
        %s
      ]]):format(dir, dir, last))
      local _, status = helper.run(("%s/spec_host %s/spec.lua"):format(helper.build_dir, dir))
      assert.is_true(status ~= 0)
      local pid = assert(tonumber(helper.read_file(dir .. "/pid"):match("%d+")))
      leash.wait_until(function() return not runs(pid) end)
    end
  end)
end)
