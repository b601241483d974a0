local helper = require("spec.helper")

local quote = helper.quote

--- Runs a command that has to succeed and gives what it printed.
local function sh(command)
  local output, status = helper.run(command)
  assert(status == 0, command .. "\n" .. output)
  return output
end

--- The version as neap.h says it.
local function version()
  return helper.read_file(helper.source_dir .. "/core/include/neap.h"):match('#define NEAP_VERSION "([^"]+)"')
end

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
      if not helper.has_program("luarocks") then return pending("needs luarocks: scripts/bootstrap --ci") end
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

describe("cmake --install", function()
  local dir, prefix

  setup(function()
    sh(quote(helper.source_dir .. "/scripts/build") .. " release")
    dir = helper.make_dir()
    prefix = dir .. "/prefix"
    sh(("cmake --install %s --prefix %s"):format(quote(helper.source_dir .. "/build/release"), quote(prefix)))
  end)

  teardown(function() helper.remove_dir(dir) end)

  local PROGRAM = [[
#include <neap.h>
#include <stdio.h>
#include <string.h>
int main(void)
{
    neap_config *config = neap_config_new(NULL);
    if (config == NULL || strcmp(neap_version(), NEAP_VERSION) != 0)
        return 1;
    neap_config_free(config);
    puts(neap_version());
    return 0;
}
]]

  local function compile(flags)
    helper.write_file(dir .. "/program.c", PROGRAM)
    local libdir = sh("dirname $(find " .. quote(prefix) .. " -name neap.pc)"):gsub("%s+$", "")
    return sh(("cd %s && gcc -std=c99 -Wall -Wextra -Wpedantic -Werror program.c -o program "
      .. "$(PKG_CONFIG_PATH=%s pkg-config --define-prefix %s neap) && LD_LIBRARY_PATH=%s/.. ./program"):format(
      quote(dir), quote(libdir), flags, quote(libdir)))
  end

  it("gives C programs a shared library through pkg-config", function()
    assert.equal(version() .. "\n", compile("--cflags --libs"))
  end)

  it("gives C programs a static library through pkg-config", function()
    sh("rm -f " .. quote(prefix) .. "/lib*/libneap.so* " .. quote(prefix) .. "/lib/*/libneap.so*")
    assert.equal(version() .. "\n", compile("--cflags --static --libs"))
  end)

  it("gives a header that C++ takes", function()
    helper.write_file(dir .. "/program.cc", "#include <neap.h>\n#include <neap_runtime.h>\nint main() { return 0; }\n")
    if not helper.has_program("clang") then return pending("needs clang: scripts/bootstrap --ci") end
    sh(("cd %s && clang -x c++ -std=c++17 -Wall -Wextra -Werror -fsyntax-only -I%s/include program.cc"):format(
      quote(dir), quote(prefix)))
  end)

  it("gives a program that needs no file beside it", function()
    sh(("cp %s/bin/neap %s/alone"):format(quote(prefix), quote(dir)))
    assert.equal(version(), sh(("cd / && env -i %s/alone --version"):format(quote(dir))):match("^neap (%S+)"))
    assert.equal("function\n", sh(("cd / && env -i %s/alone -e %s"):format(quote(dir),
      quote("print(type(require('neap').app))"))))
  end)
end)

describe("scripts/bootstrap", function()
  it("does nothing, silently, when all is there", function()
    assert.equal("", sh(quote(helper.source_dir .. "/scripts/bootstrap") .. " --test"))
  end)

  it("refuses what it does not know", function()
    assert.equal(2, select(2, helper.run(quote(helper.source_dir .. "/scripts/bootstrap") .. " --everything")))
  end)
end)
