local helper = require("spec.helper")

local quote, sh, version = helper.quote, helper.sh, helper.version

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
      .. "$(PKG_CONFIG_PATH=%s pkg-config %s) && LD_LIBRARY_PATH=%s/.. ./program"):format(
      quote(dir), quote(libdir), flags, quote(libdir)))
  end

  it("gives C programs a shared library through pkg-config", function()
    assert.equal(version() .. "\n", compile("--cflags --libs neap"))
    assert.matches("libneap%.so%.0 =>", sh("cd " .. quote(dir) .. " && ldd program"))
  end)

  it("gives C programs a static library through pkg-config", function()
    -- Though the shared one stands beside it.
    assert.equal(version() .. "\n", compile("--cflags --libs neap-static"))
    assert.is_nil((sh("cd " .. quote(dir) .. " && ldd program"):find("libneap", 1, true)))
  end)

  it("gives every symbol a version", function()
    local symbols = sh("nm -D --defined-only $(find " .. quote(prefix) .. " -name libneap.so)")
    assert.matches("neap_connect@@NEAP_0", symbols)
    assert.is_nil(symbols:match("[TDBRV] (neap_[%w_]+)\n"))
  end)

  it("gives CMake a package", function()
    local project = dir .. "/package"
    sh("mkdir -p " .. quote(project))
    helper.write_file(project .. "/program.c", PROGRAM)
    helper.write_file(project .. "/CMakeLists.txt", [[
cmake_minimum_required(VERSION 3.25)
project(consumer LANGUAGES C)
find_package(neap 0.1 REQUIRED)
foreach(library neap shared)
  add_executable(with_${library} program.c)
  target_link_libraries(with_${library} PRIVATE neap::${library})
endforeach()
]])
    sh(("cd %s && cmake -S . -B b -G Ninja -DCMAKE_PREFIX_PATH=%s && cmake --build b"):format(quote(project),
      quote(prefix)))
    assert.equal(version() .. "\n", sh(quote(project) .. "/b/with_neap"))
    assert.equal(version() .. "\n", sh(quote(project) .. "/b/with_shared"))
  end)

  it("gives a program that needs no file beside it", function()
    sh(("cp %s/bin/neap %s/alone"):format(quote(prefix), quote(dir)))
    assert.equal(version(), sh(("cd / && env -i %s/alone --version"):format(quote(dir))):match("^neap (%S+)"))
    assert.equal("function\n", sh(("cd / && env -i %s/alone -e %s"):format(quote(dir),
      quote("print(type(require('neap').app))"))))
  end)
end)

describe("add_subdirectory", function()
  it("gives the C library alone: no Lua; warnings and inner headers of ours are not its user's", function()
    local project = helper.source_dir .. "/build/embed"
    sh("mkdir -p " .. quote(project))
    helper.write_file(project .. "/program.c", [[
#include <neap_runtime.h>
#include <stdio.h>
#if __has_include("base/span.h")
#error "headers of the inside are seen"
#endif
int main(int count, char **arguments)
{
    unsigned short narrow = count * 3; /* -Wconversion would tell */
    neap_loop *loop = neap_loop_new();
    (void)arguments, (void)narrow;
    neap_loop_free(loop);
    return loop == NULL || puts(neap_version()) < 0;
}
]])
    helper.write_file(project .. "/CMakeLists.txt", ([[
cmake_minimum_required(VERSION 3.25)
project(consumer LANGUAGES C)
add_subdirectory("%s" neap)
add_executable(program program.c)
target_compile_options(program PRIVATE -Werror)
target_link_libraries(program PRIVATE neap::neap)
]]):format(helper.source_dir))
    -- Without pkg-config's files there is no Lua to be found.
    sh(("cd %s && PKG_CONFIG_LIBDIR=/nowhere cmake -S . -B b -G Ninja && cmake --build b --target program"):format(
      quote(project)))
    assert.equal(version() .. "\n", sh(quote(project) .. "/b/program"))
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
