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

  it("gives a program that needs no file beside it", function()
    sh(("cp %s/bin/neap %s/alone"):format(quote(prefix), quote(dir)))
    assert.equal(version(), sh(("cd / && env -i %s/alone --version"):format(quote(dir))):match("^neap (%S+)"))
    assert.equal("function\n", sh(("cd / && env -i %s/alone -e %s"):format(quote(dir),
      quote("print(type(require('neap').app))"))))
  end)
end)

describe("a build for a Lua", function()
  it("refuses 5.2, in which userdata keep nothing but tables, and says what it is for", function()
    local dir = helper.make_dir()
    finally(function() helper.remove_dir(dir) end)
    helper.write_file(dir .. "/lua.h", "#define LUA_VERSION_NUM\t\t502\n")
    local output, status = helper.run(("cmake -G Ninja -S %s -B %s/build -DLUA_INCLUDE_DIR=%s"):format(
      quote(helper.source_dir), quote(dir), quote(dir)))
    assert.equal(1, status, output)
    assert.matches("for LuaJIT, Lua 5.3 and 5.4, not for lua5.2", output)
    assert.matches("~= 5.2", helper.read_file(helper.source_dir .. "/neap-scm-1.rockspec"), 1, true)
  end)

  it("is no help in Lua 5.1 itself, and neap says so", function()
    if not helper.has_program("lua5.1") then return pending("needs lua5.1") end
    local output, status = helper.run(("LUA_PATH='%s/lua/?/init.lua' lua5.1 -e 'require \"neap\"'"):format(
      helper.source_dir))
    assert.equal(1, status)
    assert.matches("neap runs on LuaJIT, Lua 5.3 and 5.4", output)
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
