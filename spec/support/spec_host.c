/* spec_host FILE [args]: a Lua interpreter for specs, linked with the sanitizers, neap.core and neap.units.
 * The state is always closed before the process ends, so that what a spec leaks is seen as a leak. */
#include "units.h"

#include <lauxlib.h>
#include <lua.h>
#include <lualib.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#ifdef NEAP_HAVE_BINDING
int luaopen_neap_core(lua_State *L);
#endif

static int traceback(lua_State *L)
{
    lua_getglobal(L, "debug");
    lua_getfield(L, -1, "traceback");
    lua_pushvalue(L, 1);
    lua_pushinteger(L, 2);
    lua_call(L, 2, 1);
    return 1;
}

/* os.exit(code): the interpreter's own, told to close the state first, which runs every __gc. */
static int exit_closed(lua_State *L)
{
    lua_settop(L, 1);
    lua_pushboolean(L, 1);
    lua_pushvalue(L, lua_upvalueindex(1));
    lua_insert(L, 1);
    lua_call(L, 2, 0);
    return 0;
}

static void preload(lua_State *L, const char *name, lua_CFunction open)
{
    lua_getglobal(L, "package");
    lua_getfield(L, -1, "preload");
    lua_pushcfunction(L, open);
    lua_setfield(L, -2, name);
    lua_pop(L, 2);
}

/* The sources of this tree come before whatever is installed. */
static void set_path(lua_State *L)
{
    static const char ours[] =
        NEAP_SOURCE_DIR "/lua/?.lua;" NEAP_SOURCE_DIR "/lua/?/init.lua;" NEAP_SOURCE_DIR
                        "/?.lua;" NEAP_SOURCE_DIR "/spec/?.lua;";

    lua_getglobal(L, "package");
    lua_pushstring(L, ours);
    lua_getfield(L, -2, "path");
    lua_concat(L, 2);
    lua_setfield(L, -2, "path");
    lua_pop(L, 1);
}

/* What is new in this interpreter: neap.core, neap.units, os.exit and the table `spec_host`. */
static void open_host(lua_State *L)
{
    luaL_openlibs(L);
    preload(L, "neap.units", luaopen_neap_units);
#ifdef NEAP_HAVE_BINDING
    preload(L, "neap.core", luaopen_neap_core);
#endif
    set_path(L);
    lua_getglobal(L, "os");
    lua_getfield(L, -1, "exit");
    lua_pushcclosure(L, exit_closed, 1);
    lua_setfield(L, -2, "exit");
    lua_pop(L, 1);
    lua_newtable(L);
    lua_pushstring(L, NEAP_SOURCE_DIR);
    lua_setfield(L, -2, "source_dir");
    lua_pushstring(L, NEAP_BUILD_DIR);
    lua_setfield(L, -2, "build_dir");
    lua_setglobal(L, "spec_host");
}

static int run_file(lua_State *L, int argc, char **argv)
{
    lua_createtable(L, argc, 1);
    for (int i = 0; i < argc; i++) {
        lua_pushstring(L, argv[i]);
        lua_rawseti(L, -2, i - 1);
    }
    lua_setglobal(L, "arg");

    lua_pushcfunction(L, traceback);
    int failed = luaL_loadfile(L, argv[1]);
    if (failed == 0) {
        for (int i = 2; i < argc; i++)
            lua_pushstring(L, argv[i]);
        failed = lua_pcall(L, argc - 2, 0, 1);
    }
    if (failed == 0)
        return EXIT_SUCCESS;
    /* error() without a value is how busted says that it has reported everything itself. */
    const char *message = lua_tostring(L, -1);
    if (message != NULL)
        fprintf(stderr, "spec_host: %s\n", message);
    return EXIT_FAILURE;
}

int main(int argc, char **argv)
{
    if (argc < 2) {
        fprintf(stderr, "usage: spec_host FILE [args]\n");
        return 2;
    }
    lua_State *L = luaL_newstate();
    if (L == NULL) {
        fprintf(stderr, "spec_host: no memory for a Lua state\n");
        return EXIT_FAILURE;
    }
    open_host(L);
    int status = run_file(L, argc, argv);
    lua_close(L);
    fflush(NULL);
    return status;
}
