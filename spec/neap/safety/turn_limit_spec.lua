-- A handler that computes for too long is ended, and the server goes on.
local helper = require "helper"
local support = require "support.program"

local SCRIPT = [[
local neap = require "neap"
local app = neap.app()
local function forever() while true do end end
local function busy(seconds)
  local till = neap.now() + seconds
  while neap.now() < till do end
end
app:get("/fine", function() return "fine" end)
app:get("/loop", forever)
app:get("/pcall", function() while true do pcall(forever) end end)
app:get("/xpcall", function() while true do xpcall(forever, function(message) return message end) end end)
app:get("/tail-calls", function() local function f() return f() end return f() end)
app:get("/resume", function() while true do coroutine.resume(coroutine.create(forever)) end end)
app:get("/wrap", function() coroutine.wrap(forever)() end)
app:get("/wrap-in-pcall", function()
  while true do
    pcall(coroutine.wrap(function()
      coroutine.yield(pcall(forever))
      forever()
    end))
  end
end)
app:get("/string", function() local s = "" while true do s = #s > 1e5 and "" or s .. "x" end end)
app:get("/index", function()
  return setmetatable({}, { __index = forever }).x
end)
app:get("/sort", function() table.sort({ 3, 2, 1 }, forever) end)
app:get("/gsub", function() return (("x"):rep(100):gsub(".", forever)) end)
app:get("/library", function() while true do neap.json.encode { 1, 2 } end end)
app:use("/middleware", function(_, _, next) next() forever() end)
app:get("/middleware", function() return "in vain" end)
app:get("/deep", function() local function f() return 1 + f() end return f() end)
app:get("/task", function() neap.go(forever) return "begun" end)
app:get("/in-parts", function() for _ = 1, 4 do busy(0.2) neap.sleep(0) end return "done" end)
app:get("/count", function() return tostring(require("neap.safety.turns").ended) end)
assert(app:listen { host = "127.0.0.1", port = 0 })
]]

describe("a limit for turns", function()
  local folder, server

  before_each(function()
    folder = helper.make_dir()
    helper.write_file(folder .. "/app.lua", SCRIPT)
    server = support.start(("run --turn-limit 0.5 %s/app.lua"):format(folder))
  end)

  after_each(function()
    support.end_all()
    helper.remove_dir(folder)
  end)

  local function get(path)
    return (helper.run(("timeout 20 env %s get -k -i %s%s"):format(support.neap, server.url, path)))
  end

  local function ended()
    return tonumber(get("count"):match("\n\n(%d+)"))
  end

  it("ends what computes, wherever it does, and the server goes on", function()
    for i, path in ipairs { "loop", "pcall", "xpcall", "tail-calls", "resume", "wrap", "wrap-in-pcall", "string",
      "index", "sort", "gsub", "library", "middleware" } do
      assert.matches("^HTTP/3 500", get(path), path)
      assert.equal(i, ended(), path)
      assert.matches("fine", get("fine"))
    end
    local _, told = server:output():gsub("this computes for longer than the 0.5 s that a turn may take", "")
    assert.is_true(told >= 13, server:output())
    assert.matches("error GET /loop: [^\n]*app.lua:3: this computes", server:output())
  end)

  it("ends tasks as well", function()
    assert.matches("begun", get("task"))
    assert.matches("fine", get("fine"))
    assert.equal(1, ended())
  end)

  it("leaves alone what waits in between, and other errors", function()
    assert.matches("done", get("in-parts"))
    assert.matches("^HTTP/3 500", get("deep"))
    assert.equal(0, ended())
  end)
end)

describe("neap.turn_limit", function()
  it("takes a sensible time", function()
    local neap = require "neap"
    for _, wrong in ipairs { -1, 0.001, 4000, "1", 0 / 0 } do
      assert.has_error(function() neap.turn_limit(wrong) end, "neap.turn_limit takes seconds, 0.01 to 3600, or 0")
    end
    local output, status = helper.run(support.neap .. " run --turn-limit soon x.lua")
    assert.equal(2, status)
    assert.matches("%-%-turn%-limit takes seconds", output)
  end)

  it("leaves coroutines as they are", function()
    if not require("neap.core").wrap then return pending("they are Lua's own here") end
    local script = [[
      require("neap").turn_limit(1)
      local function values(...) return select("#", ...), ... end
      local co = coroutine.create(function(a, b) local c = coroutine.yield(a + b, nil) error({ c }) end)
      print(values(coroutine.resume(co, 1, 2)))
      local ok, err = coroutine.resume(co, "c")
      print(ok, err[1], coroutine.resume(co))
      print(values(coroutine.resume(coroutine.create(function() end))))
      local wrapped = coroutine.wrap(function(...) coroutine.yield(select("#", ...)) error("bad", 0) end)
      print(wrapped(nil, nil), pcall(wrapped))
      print(pcall(wrapped))
      print(pcall(coroutine.resume, 1))
      local closed = false
      if _VERSION == "Lua 5.4" then
        local fails = coroutine.wrap(load("local at_end <close> = ... error('x', 0)"))
        pcall(fails, setmetatable({}, { __close = function() closed = true end }))
        print(closed)
      end
    ]]
    local output = helper.run(("%s -e %s"):format(support.neap, helper.quote(script)))
    local its = helper.run(("%s -e %s"):format(support.neap, helper.quote((script:gsub("require[^\n]*", "", 1)))))
    assert.equal(its, output)
    assert.matches("^3\ttrue\t3\tnil\n", output)
  end)
end)
