local helper = require("spec.helper")

describe("spec_host", function()
  local function host(code)
    local dir = helper.make_dir()
    helper.write_file(dir .. "/code.lua", code)
    local output, status = helper.run(helper.build_dir .. "/spec_host " .. dir .. "/code.lua one two")
    helper.remove_dir(dir)
    return output, status
  end

  it("is built with the sanitizers", function()
    assert.is_true(require("neap.units").host.sanitized())
  end)

  it("passes arguments to the script", function()
    assert.same({ "one\ttwo\n", 0 }, { host("print(...)") })
  end)

  it("closes the state when a coroutine calls os.exit", function()
    local output, status = host([[
      local proxy = newproxy and newproxy(true) or setmetatable({}, {})
      getmetatable(proxy).__gc = function() print("closed") end
      if not newproxy then setmetatable(proxy, { __gc = function() print("closed") end }) end
      keep = proxy
      coroutine.wrap(function() os.exit(3) end)()
    ]])
    assert.same({ "closed\n", 3 }, { output, status })
  end)

  it("reports an error with its traceback and fails", function()
    local output, status = host("local function broken() error('no tide') end broken()")
    assert.equal(1, status)
    assert.truthy(output:find("no tide", 1, true))
    assert.truthy(output:find("stack traceback", 1, true))
  end)
end)
