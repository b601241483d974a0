--- A client with two uplinks and a server, in network namespaces of their own: connections that follow the machine's
--- routes, or go where they are told to.
local helper = require "spec.helper"
local program = require "spec.support.program"

local FIRST, SECOND = "10.1.0.2", "10.2.0.2"

--- What roam_program.lua says; nil without namespaces.
local function run(how)
  local script = helper.source_dir .. "/spec/runtime/roam.sh"
  local environment = program.neap:gsub("^(%S+) ", "%1 NEAP=", 1)
  local pipe = assert(io.popen(("cd %s && timeout 60 unshare -rnm env %s sh %s roam_program.lua %s 2>&1"):format(
    helper.quote(helper.source_dir), environment, helper.quote(script), how)))
  local text = pipe:read("*a")
  pipe:close()
  if text:match("no namespaces") or text:match("unshare") then return nil, text end
  local seen = { text = text }
  for name, value in text:gmatch("(%w+)=(%S+)") do seen[name] = tonumber(value) or value end
  assert(seen.got, text)
  return seen
end

describe("a client that follows the machine's routes", function()
  local LOST = { down = "its link goes down", address = "its address goes", gap = "there is none for a second" }
  for how, what in pairs(LOST) do
    it("goes on by the other uplink when " .. what .. ", and its download is whole", function()
      local seen, why = run(how)
      if not seen then return pending(why) end
      assert.equal(10e6, seen.got)
      assert.equal(FIRST, seen.first:match("^[%d.]+"))
      assert.equal(SECOND, seen.last:match("^[%d.]+"))
      assert.equal(1, seen.migrations, seen.text)
      assert.is_truthy(seen.text:find("server peer_migrated " .. SECOND, 1, true), seen.text)
    end)
  end

  it("goes on by the other uplink when its link has lost carrier, though the route is still there", function()
    local seen, why = run("carrier")
    if not seen then return pending(why) end
    assert.equal(10e6, seen.got)
    assert.equal(FIRST, seen.first:match("^[%d.]+"))
    assert.equal(SECOND, seen.last:match("^[%d.]+"), seen.text)
    assert.equal(1, seen.migrations, seen.text)
    assert.is_true(seen.longest < 3, seen.text)
  end)

  it("looks first where the old uplink is still there, and a better route appears", function()
    local seen, why = run("route")
    if not seen then return pending(why) end
    assert.equal(SECOND, seen.last:match("^[%d.]+"), seen.text)
    local asked = seen.text:find("client path_validated " .. SECOND, 1, true)
    local moved = seen.text:find("client migrated " .. SECOND, 1, true)
    assert.is_true(asked < moved, seen.text)
  end)

  -- covers: rfc9000#9.5.6
  it("asks the kernel once, however many changes there are in a moment", function()
    local seen, why = run("flood")
    if not seen then return pending(why) end
    assert.equal(SECOND, seen.last:match("^[%d.]+"), seen.text)
    assert.is_true(seen.changes <= 3, seen.text)
  end)
end)

describe("a client that is told", function()
  for how, what in pairs { interface = "an interface", at = "an address" } do
    it("goes to " .. what, function()
      local seen, why = run(how)
      if not seen then return pending(why) end
      assert.equal(10e6, seen.got)
      assert.equal(SECOND, seen.last:match("^[%d.]+"))
      assert.is_truthy(seen.text:find("server peer_migrated " .. SECOND, 1, true), seen.text)
    end)
  end
end)
