-- Real sockets on a link whose MTU is small, or becomes so, or behind a router: in network namespaces of their own.
local helper = require "spec.helper"
local program = require "spec.support.program"

local function run(address, before, after, program_name)
  local script = helper.source_dir .. "/spec/runtime/" .. (program_name or "pmtu_program.lua")
  local command = ("cd %s && timeout 60 unshare -rn env %s run %s %s %s %s 2>&1"):format(
    helper.quote(helper.source_dir), program.neap, helper.quote(script), helper.quote(address), before, after or "")
  local pipe = assert(io.popen(command))
  local text = pipe:read("*a")
  pipe:close()
  local figures = {}
  for name, value in text:gmatch("(%w+)=(%S+)") do figures[name] = tonumber(value) or value end
  assert(figures.lost, text)
  return figures
end

-- A sandbox may allow no namespaces, or no `ip`.
local function is_possible()
  local pipe = io.popen("timeout 10 unshare -rn ip link set lo up 2>&1 && echo yes")
  local text = pipe:read("*a")
  pipe:close()
  return text:match("^yes") ~= nil
end

describe("a router whose next link is smaller", function()
  for family, case in pairs{ IPv4 = { "10.0.2.1", 28 }, IPv6 = { "[fd02::1]", 48 } } do
    it("tells so by ICMP over " .. family .. ": the search is exact, and short", function()
      local script = helper.source_dir .. "/spec/runtime/pmtu_router.sh"
      local command = ("timeout 60 unshare -rnm env %s"):format(program.neap:gsub("^(%S+) ", "%1 NEAP=", 1))
      local pipe = assert(io.popen(("%s sh %s '%s' 1400 2>&1"):format(command, helper.quote(script), case[1])))
      local text = pipe:read("*a")
      pipe:close()
      if text:match("no namespaces") then return pending("no network namespaces here") end
      local size, tried = text:match("datagrams of up to (%d+) bytes sent: (%d+) tried")
      assert.equal(1400 - case[2], tonumber(size), text)
      assert.is_true(tonumber(tried) <= 5, text)
    end)
  end
end)

describe("a link whose MTU is small", function()
  it("is learned of by each of many connections, though their datagrams leave in one message", function()
    if not is_possible() then return pending("no network namespaces here") end
    local seen = run("127.0.0.1", 1400, nil, "pmtu_shared_program.lua")
    assert.same({ 1400 - 28, 1400 - 28, 0 }, { seen.least, seen.most, seen.holes })
    -- Each is refused a size twice: the largest, and then once more on its way to what passes.
    assert.is_true(seen.lost <= 2, seen.lost)
  end)
end)

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
