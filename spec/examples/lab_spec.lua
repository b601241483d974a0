-- The laboratories of the simulator, and the programs of its page: all in virtual time.
local helper = require "helper"
local support = require "support.program"
local plot = require "neap.sim.plot"

local dir

before_each(function() dir = helper.make_dir() end)
after_each(function() helper.remove_dir(dir) end)

local function run(words)
  local output, status = helper.run(("cd %s && %s run %s"):format(helper.quote(helper.source_dir), support.neap, words))
  assert.equal(0, status, output)
  return output
end

-- What is drawn in an SVG file: how many lines, and all that is written there.
local function look(name)
  local svg = assert(helper.read_file(dir .. "/" .. name))
  assert.match("^<svg .*</svg>\n$", svg)
  local paths = 0
  for d in svg:gmatch("<path d='([^']*)'") do
    assert.match("^M[%d.]+ [%d.]+L", d)
    paths = paths + 1
  end
  local texts = {}
  for text in svg:gmatch("<text[^>]*>([^<]*)</text>") do texts[#texts + 1] = text end
  return paths, table.concat(texts, "\n")
end

describe("examples/cc_lab.lua", function()
  it("compares controllers, each alone on a link that it fills", function()
    local output = run(("examples/cc_lab.lua controllers=newreno,cubic seconds=8 out=%s/alone.svg"):format(dir))
    for _, name in ipairs{ "newreno", "cubic" } do
      local rate = tonumber(output:match("\n" .. name .. " +([%d.]+)"))
      assert.is_true(rate > 8 and rate <= 10, output)
    end
    local paths, text = look("alone.svg")
    assert.equal(8, paths)
    for _, word in ipairs{ "newreno", "cubic", "congestion window, KiB", "round%-trip time, ms", "goodput, Mbit/s",
      "10 Mbit/s, 30 ms, queue of 25 %(tail%)" } do
      assert.match(word, text)
    end
  end)

  it("lets them share a link, the same way each time", function()
    local words = "examples/cc_lab.lua controllers=cubic,cubic together=1 discipline=codel seconds=6 out=%s/%s.svg"
    local output = run(words:format(dir, "first"))
    assert.match("\ncubic 2 ", output)
    run(words:format(dir, "second"))
    assert.equal(helper.read_file(dir .. "/first.svg"), helper.read_file(dir .. "/second.svg"))
    assert.equal(7, (look("first.svg")))
  end)

  it("refuses what it does not know", function()
    for _, word in ipairs{ "speed=9", "rate=nan", "rate=inf", "rate=fast", "seconds=0", "loss=101" } do
      local output, status = helper.run(support.neap .. " run examples/cc_lab.lua " .. word)
      assert.not_equal(0, status)
      assert.match(word, output, 1, true)
    end
  end)
end)

describe("examples/roaming_lab.lua", function()
  it("downloads everything while the phone moves, and shows how", function()
    local output = run(("examples/roaming_lab.lua out=%s/roaming.svg"):format(dir))
    local got, of, silence = output:match("^(%d+) of (%d+) bytes in [%d.]+ s, the longest silence ([%d.]+) s\n")
    assert.equal(of, got)
    assert.is_true(tonumber(silence) < 5, output)
    local paths, text = look("roaming.svg")
    assert.equal(3, paths)
    assert.match("to mobile.*a lift.*to Wi%-Fi", text)
  end)
end)

describe("examples/loss_lab.lua", function()
  it("prints what loss does to a download", function()
    local output = run("examples/loss_lab.lua 1")
    local none, much = output:match("\n 0%.0 %% +([%d.]+).*\n20%.0 %% +([%d.]+)")
    assert.is_true(tonumber(none) > 15 and tonumber(much) < tonumber(none), output)
  end)
end)

describe("docs/simulator.md", function()
  it("has programs that run as they stand there, and end as it says", function()
    local outputs = {}
    for code in helper.read_file("docs/simulator.md"):gmatch("\n```lua\n(.-)\n```") do
      helper.write_file(dir .. "/page.lua", code .. "\n")
      outputs[#outputs + 1] = run(dir .. "/page.lua")
    end
    assert.equal(2, #outputs)
    assert.match("^at last\t61%.%d+\n$", outputs[1])
    assert.match("^laptop.example\tnow\t%d+ ms\ndesktop.example\tnow\t%d+ ms\n$", outputs[2])
  end)

  it("names every option of a link and every counter", function()
    local page = helper.read_file("docs/simulator.md")
    local source = helper.read_file("lua/neap/sim/link.lua")
    local count = 0
    for name in source:match("local link_options = {\n(.-)\n}\n"):gmatch("\n  ([%a_]+) = ") do
      count = count + 1
      assert.is_truthy(page:find("`" .. name .. "`", 1, true), name)
    end
    assert.is_true(count > 15)
    for name in source:match("local COUNTERS = {[^\n]*\n(.-)\n}\n"):gmatch('"([%a_]+)"') do
      assert.is_truthy(page:find("`" .. name .. "`", 1, true), name)
    end
  end)
end)

describe("neap.sim.plot", function()
  it("draws lines, names, marks and axes with round numbers", function()
    local points = {}
    for i = 0, 5000 do points[i + 1] = { i / 500, (i * 7919) % 93 } end
    local svg = plot.svg{ title = "a < b & 'c'", x = "hours", marks = { { at = 5, text = "half" } },
      shades = { { from = 1, to = 2 } }, panels = { { y = "load", lines = { { name = "one", points = points },
      { name = "flat", points = { { 0, 1 }, { 10, 1 } }, is_step = true, is_dashed = true } } } } }
    assert.match("a &lt; b &amp; &#39;c&#39;", svg)
    for _, word in ipairs{ ">hours<", ">half<", ">load<", ">one<", ">flat<", ">100<", ">20<", ">10<" } do
      assert.is_truthy(svg:find(word, 1, true), word)
    end
    assert.is_nil(svg:find("nan", 1, true))
    -- Several thousand points are as many as pixels show, the peaks among them.
    local _, drawn = svg:match("<path d='([^']*)'"):gsub("L", "")
    assert.is_true(drawn > 800 and drawn < 4000, drawn)
  end)

  it("draws what has no lines, or one point", function()
    assert.match("</svg>", plot.svg{ panels = { { y = "nothing", lines = {} } } })
    assert.match("</svg>", plot.svg{ panels = { { y = "one", lines = { { name = "x", points = { { 3, 0 } } } } } } })
  end)
end)

describe("examples/multipath_lab.lua", function()
  it("goes on by the mobile network while the Wi-Fi leads nowhere, and by both before and after", function()
    local output = run(("examples/multipath_lab.lua size=20 cut=3 back=6 out=%s/multi.svg"):format(dir))
    assert.match("path_opened\t1\t10%.4%.7%.2:", output)
    local bytes, seconds = output:match("(%d+) bytes in ([%d.]+) s")
    assert.equal(20e6 - 20e6 % 65536, tonumber(bytes), output)
    -- 30 Mbit/s by both; the mobile network alone has 10.
    assert.is_true(tonumber(seconds) < 12, output)
    local paths, text = look("multi.svg")
    assert.equal(3, paths)
    for _, word in ipairs{ "Wi%-Fi", "mobile", "no Wi%-Fi", "min_rtt" } do assert.match(word, text) end
  end)

  it("refuses what it does not know", function()
    local output, status = helper.run(support.neap .. " run examples/multipath_lab.lua speed=9")
    assert.not_equal(0, status)
    assert.match("speed=9", output, 1, true)
  end)
end)
