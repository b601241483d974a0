-- Real sockets on a link whose MTU is small, or becomes so: in a network namespace of their own.
local helper = require "spec.helper"
local program = require "spec.support.program"

local function run(address, before, after)
  local script = helper.source_dir .. "/spec/runtime/pmtu_program.lua"
  local command = ("cd %s && timeout 60 unshare -rn env %s run %s %s %s %s 2>&1"):format(
    helper.quote(helper.source_dir), program.neap, helper.quote(script), helper.quote(address), before, after or "")
  local pipe = assert(io.popen(command))
  local text = pipe:read("*a")
  pipe:close()
  local figures = {}
  for name, value in text:gmatch("(%w+)=(%S+)") do figures[name] = tonumber(value) or value end
  assert(figures.size, text)
  return figures
end

-- A sandbox may allow no namespaces, or no `ip`.
local function is_possible()
  local pipe = io.popen("timeout 10 unshare -rn ip link set lo up 2>&1 && echo yes")
  local text = pipe:read("*a")
  pipe:close()
  return text:match("^yes") ~= nil
end

describe("a link", function()
  for family, link in pairs{ IPv4 = { "127.0.0.1", 28 }, IPv6 = { "[::1]", 48 } } do
    it("of " .. family .. " whose MTU is small tells so by EMSGSIZE: the search is exact", function()
      if not is_possible() then return pending("no network namespaces here") end
      local seen = run(link[1], 1400)
      assert.equal(1400 - link[2], seen.size)
      assert.equal(0, seen.holes)
    end)

    it("of " .. family .. " whose MTU shrinks below what is sent is a black hole, and trains go on", function()
      if not is_possible() then return pending("no network namespaces here") end
      local seen = run(link[1], 8000, 1300)
      assert.same({ 1200, 1 }, { seen.size, seen.holes })
      if seen.trains == "true" then assert.is_true(seen.datagrams > 2, seen.datagrams) end
    end)
  end
end)
