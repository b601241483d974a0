--- A client with two uplinks and a server, in network namespaces of their own: downloads by two paths at a time.
local helper = require "spec.helper"
local program = require "spec.support.program"

--- What multipath_program.lua says; nil without namespaces.
local function run(how)
  local script = helper.source_dir .. "/spec/runtime/roam.sh"
  local environment = program.neap:gsub("^(%S+) ", "%1 NEAP=", 1)
  local command = "cd %s && RATE=40mbit timeout 60 unshare -rnm env %s sh %s multipath_program.lua %s 2>&1"
  local pipe = assert(io.popen(command:format(helper.quote(helper.source_dir), environment, helper.quote(script), how)))
  local text = pipe:read("*a")
  pipe:close()
  if text:match("no namespaces") or text:match("unshare") then return nil, text end
  local seen = { text = text }
  for name, value in text:gmatch("(%w+)=(%S+)") do seen[name] = tonumber(value) or value end
  assert(seen.got, text)
  return seen
end

describe("a client with two uplinks", function()
  local HOW = { interface = "by the name of its interface", address = "by its address", raw = "of raw QUIC" }
  for how, what in pairs(HOW) do
    it("opens a path by the second, " .. what .. ", and its download comes by both", function()
      local seen, why = run(how)
      if not seen then return pending(why) end
      assert.equal(10e6, seen.got)
      assert.is_truthy(seen.text:find("path_opened 1 10.2.0.2:", 1, true), seen.text)
      assert.equal("10.2.0.2", seen.local1:match("^[%d.]+"))
      assert.is_true(seen.by0 > 2e6 and seen.by1 > 2e6, seen.text)
    end)
  end
end)
