/* Units of the test host itself: what the sanitizer build is made of, so that a spec can see that it is one. */
#include <lauxlib.h>
#include <lua.h>

#include "neap.h"
#include "host/host.h"
#include "units.h"

#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

int neap_units_host(lua_State *L);

static int sanitized(lua_State *L)
{
#ifdef __SANITIZE_ADDRESS__
    lua_pushboolean(L, 1);
#elif defined(__has_feature)
    lua_pushboolean(L, __has_feature(address_sanitizer));
#else
    lua_pushboolean(L, 0);
#endif
    return 1;
}

#define DRAWN 2048

/* A connection ID and a private key of a config's, as one text. */
static void draw(neap_config *config, char out[DRAWN])
{
    static const char *const names[] = {"a.example"};
    char certificate[DRAWN];
    neap_cid cid;

    memset(out, 0, DRAWN);
    neap_random_cid(config, 20, &cid);
    memcpy(out, cid.bytes, cid.size);
    if (neap_make_certificate(config, names, 1, 1, certificate, sizeof certificate, out + cid.size,
                              DRAWN - 20))
        _exit(1);
}

/* forked() → what a config gives to its process and to two that were forked behind neap_config_new */
static int forked(lua_State *L)
{
    neap_config *config = neap_config_new(NULL);
    char drawn[DRAWN];

    lua_newtable(L);
    for (int i = 1; i <= 3; i++) {
        int ends[2], status = 0;

        if (pipe(ends))
            return luaL_error(L, "no pipe");
        pid_t child = i < 3 ? fork() : -1;
        if (child <= 0)
            draw(config, drawn);
        if (child == 0)
            _exit(write(ends[1], drawn, DRAWN) != DRAWN);
        if (child > 0 &&
            (read(ends[0], drawn, DRAWN) != DRAWN || waitpid(child, &status, 0) != child || status))
            return luaL_error(L, "the child failed");
        close(ends[0]);
        close(ends[1]);
        lua_pushlstring(L, drawn, DRAWN);
        lua_rawseti(L, -2, i);
    }
    neap_config_free(config);
    return 1;
}

/* memory(root) -> bytes */
static int memory(lua_State *L)
{
    lua_pushnumber(L, (lua_Number)neap_host_memory(luaL_checkstring(L, 1)));
    return 1;
}

int neap_units_host(lua_State *L)
{
    lua_newtable(L);
    lua_pushcfunction(L, forked);
    lua_setfield(L, -2, "forked");
    lua_pushcfunction(L, sanitized);
    lua_setfield(L, -2, "sanitized");
    lua_pushcfunction(L, memory);
    lua_setfield(L, -2, "memory");
    return 1;
}
