local helper = require("spec.helper")

local quote, sh, version = helper.quote, helper.sh, helper.version

--- A copy of what luarocks needs of the tree. What was compiled there is kept between runs.
local function copy_tree(name)
  local copy = helper.source_dir .. "/build/" .. name
  local files = "CMakeLists.txt CMakePresets.json neap-scm-1.rockspec LICENSE core lua scripts"
  sh(("mkdir -p %s && cd %s && rm -rf core lua scripts && cd %s && cp -a " .. files .. " %s/"):format(
    quote(copy), quote(copy), quote(helper.source_dir), quote(copy)))
  return copy
end

describe("luarocks make", function()
  local luas = {
    { version = "5.1", program = "luajit", config = [[
lua_interpreter = "luajit"
variables = { LUA_INCDIR = "/usr/include/luajit-2.1", LUA_BINDIR = "/usr/bin", LUA = "/usr/bin/luajit" }
]] },
    { version = "5.4", program = "lua5.4", config = "" },
  }

  for _, lua in ipairs(luas) do
    it("installs for " .. lua.program .. " without network", function()
      local copy = copy_tree("rocks-" .. lua.version)
      local tree = copy .. "/tree"
      helper.write_file(copy .. "/luarocks.lua", lua.config)
      -- A network namespace without an interface is the proof, where this user may make one.
      local offline = select(2, helper.run("unshare -n true")) == 0 and "unshare -n " or ""
      sh(("cd %s && rm -rf tree && LUAROCKS_CONFIG=%s/luarocks.lua %sluarocks --lua-version=%s --tree=%s make")
        :format(quote(copy), quote(copy), offline, lua.version, quote(tree)))

      assert.equal(version(), sh(quote(tree .. "/bin/neap") .. " --version"):match("^neap (%S+)"))
      local code = [[print(type(require("neap").app), require("neap.core").version)]]
      local printed = sh(("cd / && LUA_PATH=%s LUA_CPATH=%s %s -e %s"):format(
        quote(("%s/share/lua/%s/?.lua;%s/share/lua/%s/?/init.lua"):format(tree, lua.version, tree, lua.version)),
        quote(("%s/lib/lua/%s/?.so"):format(tree, lua.version)), lua.program, quote(code)))
      assert.equal("function\t" .. version() .. "\n", printed)
    end)
  end
end)
