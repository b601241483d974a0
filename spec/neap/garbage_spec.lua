local core = require "neap.core"

describe("garbage", function()
  local MIB = 1024 ^ 2
  local garbage, keep

  local function pause()
    local now = collectgarbage("setpause", 200)
    collectgarbage("setpause", now)
    return now
  end

  before_each(function()
    package.loaded["neap.garbage"] = nil
    keep = pause()
    collectgarbage("setpause", 200)
    garbage = require "neap.garbage"
  end)

  after_each(function()
    -- What the module left ends with the next collection: the pause is not its own any more.
    collectgarbage("setpause", 204)
    collectgarbage()
    collectgarbage()
    collectgarbage("setpause", keep)
  end)

  -- Opens files and forgets them, until a number is taken.
  local function open_until(number)
    local held = {}
    while not core.is_open(number) do held[#held + 1] = assert(io.open("/dev/null")) end
    return held
  end

  it("is collected when half of the descriptors are taken, also by files that nobody closed", function()
    local most_open = core.most_open
    finally(function() core.most_open = most_open end)
    assert.is_true(most_open() >= 256)
    core.most_open = function() return 256 end
    collectgarbage()
    collectgarbage("stop")
    open_until(128)
    garbage.look(63)
    local was_early = not core.is_open(128)
    garbage.look(1)
    local is_left = core.is_open(128)
    -- Those that are in use cost one collection, and the next where half of the rest is taken.
    local held, collections = open_until(128), 0
    local collect = collectgarbage
    _G.collectgarbage = function(...)
      if not ... then collections = collections + 1 end
      return collect(...)
    end
    for _ = 1, 10 do garbage.look(64) end
    local first = collections
    local more = open_until(192)
    for _ = 1, 10 do garbage.look(64) end
    local second = collections
    for _, list in ipairs { held, more } do
      for _, file in ipairs(list) do file:close() end
    end
    garbage.look(64)
    open_until(128)
    garbage.look(64)
    _G.collectgarbage = collect
    collectgarbage("restart")
    assert.is_false(was_early)
    assert.is_false(is_left)
    assert.same({ 1, 2, 3 }, { first, second, collections })
    assert.is_false(core.is_open(128))
  end)

  if not newproxy then
    it("is left to PUC Lua", function()
      garbage.allow(0)
      assert.equal(200, pause())
    end)
    return
  end

  -- The growth in bytes that the pause allows now.
  local function growth()
    return (pause() / 100 - 1) * collectgarbage("count") * 1024
  end

  it("may be 4 MiB, or a 16th of the memory limit when that is less", function()
    collectgarbage()
    garbage.allow(0)
    local live = collectgarbage("count") * 1024
    assert.is_true(growth() <= 4.2 * MIB)
    assert.is_true(growth() >= math.min(3.8 * MIB, live * 8))
    package.loaded["neap.garbage"] = nil
    collectgarbage("setpause", 200)
    require("neap.garbage").allow(16 * 1024)
    assert.equal(200, pause())
  end)

  it("is what lives when that is more, and follows it", function()
    garbage.allow(0)
    local small = pause()
    do
      local held = {}
      for i = 1, 200000 do held[i] = { i } end
      collectgarbage()
      collectgarbage()
      assert.equal(200, pause())
      assert.equal(200000, #held)
    end
    collectgarbage()
    collectgarbage()
    collectgarbage()
    assert.is_true(pause() > 200)
    assert.is_true(math.abs(pause() - small) <= 0.1 * small)
  end)

  it("is left alone where somebody has set a pause", function()
    collectgarbage("setpause", 152)
    garbage.allow(0)
    assert.equal(152, pause())
    collectgarbage("setpause", 200)
    garbage.allow(64 * MIB)
    collectgarbage()
    collectgarbage("setpause", 120)
    collectgarbage()
    collectgarbage()
    assert.equal(120, pause())
  end)
end)
