local host = require("neap.units").host

--- A folder that looks like the root of a machine: files by path.
local function machine(files)
  local root = os.tmpname()
  os.remove(root)
  finally(function() os.execute("rm -rf " .. root) end)
  for path, text in pairs(files) do
    os.execute(("mkdir -p %s%s"):format(root, path:match("^(.*)/")))
    local file = assert(io.open(root .. path, "w"))
    file:write(text)
    file:close()
  end
  return host.memory(root)
end

describe("the memory of the host", function()
  local MEMINFO = "MemTotal:        4000 kB\nMemFree:         1000 kB\n"

  it("is the machine's where nothing limits it", function()
    assert.equal(4096000, machine({ ["/proc/meminfo"] = MEMINFO }))
    assert.equal(4096000, machine({
      ["/proc/meminfo"] = MEMINFO, ["/proc/self/cgroup"] = "0::/a\n", ["/sys/fs/cgroup/a/memory.max"] = "max\n",
    }))
    assert.equal(0, machine({ ["/proc/other"] = "" }))
  end)

  it("is what a cgroup of version 2 leaves, or one above it", function()
    local files = { ["/proc/meminfo"] = MEMINFO, ["/proc/self/cgroup"] = "0::/a/b\n",
      ["/sys/fs/cgroup/a/b/memory.max"] = "300000\n" }
    assert.equal(300000, machine(files))
    files["/sys/fs/cgroup/a/memory.max"] = "200000\n"
    assert.equal(200000, machine(files))
  end)

  it("is what a cgroup of version 1 leaves, also where its path is another namespace's", function()
    local files = { ["/proc/meminfo"] = MEMINFO,
      ["/proc/self/cgroup"] = "5:cpu:/x\n4:memory:/docker/1\n0::/\n",
      ["/sys/fs/cgroup/memory/docker/1/memory.limit_in_bytes"] = "500000\n" }
    assert.equal(500000, machine(files))
    files["/sys/fs/cgroup/memory/docker/1/memory.limit_in_bytes"] = nil
    files["/sys/fs/cgroup/memory/memory.limit_in_bytes"] = "600000\n"
    assert.equal(600000, machine(files))
    -- "No limit" is a number there that no machine has.
    files["/sys/fs/cgroup/memory/memory.limit_in_bytes"] = "9223372036854771712\n"
    assert.equal(4096000, machine(files))
  end)
end)

describe("a config", function()
  it("takes a quarter of it when it is told nothing, and no more than it is told", function()
    local core = require("neap.core")
    local limit = core.config({ alpn = "t" }):memory().limit
    assert.equal(math.floor(host.memory("") / 4), limit)
    assert.equal(1e7, core.config({ alpn = "t", memory_limit = 1e7 }):memory().limit)
    assert.equal(0, core.config({ alpn = "t", memory_limit = 0 }):memory().limit)
  end)
end)
