-- Who blocks the loop: a program that says so in its log.
local helper = require "helper"
local leash = require "spec.support.leash"
local support = require "support.program"

-- `work` runs in a task, beside a server.
local SCRIPT = [[
local neap = require "neap"
local function clock() return neap.now() end
local function compute(seconds)
  local till, steps = clock() + seconds, 0
  while clock() < till do steps = steps + 1 end
  return steps
end
local app = neap.app()
assert(app:listen { host = "127.0.0.1", port = 0 })
neap.sleep(0.05)
local function blocks_here() %s end
neap.go(function()
  blocks_here()
  neap.sleep(0.05)
  io.stderr:write("count ", require("neap.safety.turns").blocked, "\n")
  neap.stop()
end)
]]

describe("a turn that takes too long", function()
  local folder

  before_each(function() folder = helper.make_dir() end)
  after_each(function()
    support.end_all()
    helper.remove_dir(folder)
  end)

  -- What such a program says, and how many turns it counted.
  local function log_of(work)
    helper.write_file(folder .. "/app.lua", SCRIPT:format(work))
    local server = support.start("run " .. folder .. "/app.lua")
    local text
    leash.wait_until(function()
      text = helper.read_file(server.log) or ""
      return text:find("count %d+")
    end)
    return text, tonumber(text:match("count (%d+)"))
  end

  it("is told in the log while it goes on, with the traceback of the code that computes", function()
    local text, count = log_of("local n = compute(0.5); io.stderr:write('behind\\n'); return n")
    local told, behind = text:find("the loop is blocked for %d+%.%d+ s by"), text:find("behind\n", 1, true)
    assert.is_truthy(told, text)
    assert.is_true(told < behind, text)
    assert.is_truthy(text:find("blocks_here", told, true), text)
    assert.is_true(count >= 1)
  end)

  it("is told with the call into the system that waits, when that returns", function()
    local text, count = log_of("os.execute('sleep 0.5'); return 1")
    local seconds = text:match("the loop is blocked for (%d+%.%d+) s by\n[^\n]*\n[^\n]*blocks_here")
    assert.is_true(tonumber(seconds) >= 0.5, text)
    assert.is_true(count >= 1)
  end)

  it("is told once a turn, and one line a second, however many there are", function()
    local text, count = log_of("for _ = 1, 4 do compute(0.2); neap.sleep(0) end")
    assert.is_true(count >= 4, text)
    assert.is_true(select(2, text:gsub("the loop is blocked", "")) < count, text)
  end)

  it("is told behind it where compiled code leaves no place to ask", function()
    if not rawget(_G, "jit") then return pending("nothing is compiled here") end
    local text, count = log_of("local x = 0; for i = 1, 1e9 do x = x + i % 7 end; return x")
    assert.is_truthy(text:find("the loop %a+ blocked for %d+%.%d+ s by"), text)
    assert.is_true(count >= 1)
  end)

  it("is told by the handler of the signal where nothing else can be said", function()
    local text, count = log_of("neap.blocked_after(0.02); neap.sleep(0); os.execute('sleep 0.6'); return 1")
    assert.is_truthy(text:find("neap: the loop is blocked by code that cannot be asked where it is", 1, true), text)
    assert.is_true(count >= 1)
  end)

  it("is another one by neap.blocked_after, or none", function()
    local text, count = log_of("neap.blocked_after(5); neap.sleep(0); compute(0.3)")
    assert.equal(0, count, text)
    text, count = log_of("neap.blocked_after(0.5); neap.sleep(0); compute(0.6)")
    assert.is_true(count >= 1, text)
    text, count = log_of("neap.blocked_after(0); neap.sleep(0); compute(0.4)")
    assert.equal(0, count)
    assert.is_nil(text:find("blocked", 1, true), text)
  end)

  it("leaves a hook of somebody else's where it is", function()
    local text, count = log_of("local function hook() end debug.sethook(hook, 'c'); compute(0.4); neap.sleep(0);"
      .. "assert(debug.gethook() == hook or not rawget(_G, 'jit'))")
    assert.is_true(count >= 1, text)
  end)

  it("takes a sensible time", function()
    local neap = require "neap"
    for _, wrong in ipairs { -1, 0.001, 4000, "1", 0 / 0 } do
      assert.has_error(function() neap.blocked_after(wrong) end,
        "neap.blocked_after takes seconds, 0.01 to 3600, or 0")
    end
  end)
end)
