/* The program neap: a Lua interpreter that has neap.core and the Lua library inside and starts with neap.cli. */
#include "compat.h"
#include "embedded.h"

#include <lualib.h>
#ifdef __GLIBC__
#include <malloc.h>
#endif
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>

int luaopen_neap_core(lua_State *L);

/* What the command line gives back when it fails by itself. */
#define EXIT_INTERNAL 1

static int traceback(lua_State *L)
{
    const char *message = lua_tostring(L, 1);

    if (message == NULL && luaL_callmeta(L, 1, "__tostring"))
        message = lua_tostring(L, -1);
    luaL_traceback(L, L, message != NULL ? message : "(an error without a message)", 1);
    return 1;
}

/* The loader of one embedded module: its row is the upvalue. */
static int load_embedded(lua_State *L)
{
    const struct neap_embedded_lua *row = lua_touserdata(L, lua_upvalueindex(1));
    char chunk[128];

    snprintf(chunk, sizeof chunk, "=%s", row->name);
    if (luaL_loadbuffer(L, (const char *)row->data, row->size, chunk) != 0)
        return lua_error(L);
    lua_pushstring(L, row->name);
    lua_call(L, 1, 1);
    return 1;
}

static void preload(lua_State *L)
{
    lua_getglobal(L, "package");
    lua_getfield(L, -1, "preload");
    lua_pushcfunction(L, luaopen_neap_core);
    lua_setfield(L, -2, "neap.core");
    for (const struct neap_embedded_lua *row = neap_embedded_lua; row->name != NULL; row++) {
        lua_pushlightuserdata(L, (void *)(uintptr_t)row);
        lua_pushcclosure(L, load_embedded, 1);
        lua_setfield(L, -2, row->name);
    }
    lua_pop(L, 2);
}

/* Calls require("neap.cli").main(arg), which returns the exit code. */
static int run(lua_State *L)
{
    luaL_openlibs(L);
    preload(L);
    lua_getglobal(L, "require");
    lua_pushliteral(L, "neap.cli");
    lua_call(L, 1, 1);
    lua_getfield(L, -1, "main");
    lua_getglobal(L, "arg");
    lua_call(L, 1, 1);
    return 1;
}

static void push_arguments(lua_State *L, int argc, char **argv)
{
    lua_createtable(L, argc, 1);
    for (int i = 0; i < argc; i++) {
        lua_pushstring(L, argv[i]);
        lua_rawseti(L, -2, i);
    }
    lua_setglobal(L, "arg");
}

/* Blocks of a config's pool are mapped one by one, so that one that is given back is the system's again: between others in
 * the heap of malloc it would stay. There it would be where the heap has room for it at its end, so it gets less. Whoever
 * sets malloc's own variables knows better. */
static void prepare_malloc(void)
{
#ifdef __GLIBC__
    if (getenv("GLIBC_TUNABLES") || getenv("MALLOC_MMAP_THRESHOLD_"))
        return;
    mallopt(M_MMAP_THRESHOLD, 65536 - 1024);
    mallopt(M_TOP_PAD, 32768);
#endif
}

int main(int argc, char **argv)
{
    prepare_malloc();
    lua_State *L = luaL_newstate();
    int status = EXIT_SUCCESS;

    if (L == NULL) {
        fputs("neap: no memory for a Lua state\n", stderr);
        return EXIT_INTERNAL;
    }
    /* A reader that went away is an error of write(), not the end of a server. */
    signal(SIGPIPE, SIG_IGN);
    push_arguments(L, argc, argv);
    lua_pushcfunction(L, traceback);
    lua_pushcfunction(L, run);
    if (lua_pcall(L, 0, 1, 1) != 0) {
        const char *message = lua_tostring(L, -1);
        fprintf(stderr, "neap: %s\n", message != NULL ? message : "an error without a message");
        status = EXIT_INTERNAL;
    } else if (lua_isnumber(L, -1)) {
        status = (int)lua_tointeger(L, -1);
    } else if (lua_isboolean(L, -1) && !lua_toboolean(L, -1)) {
        status = EXIT_INTERNAL;
    }
    lua_close(L);
    return status;
}
