/* The histogram of lua/binding: histogram(values) -> at(share), least, most, mean, count */
#include "histogram.h"

#include <lauxlib.h>
#include <lua.h>
#include <string.h>

int neap_units_histogram(lua_State *L);

static int at(lua_State *L)
{
    const struct histogram *h = lua_touserdata(L, lua_upvalueindex(1));

    lua_pushnumber(L, (lua_Number)neap_histogram_at(h, luaL_checknumber(L, 1)));
    return 1;
}

static int histogram_of(lua_State *L)
{
    luaL_checktype(L, 1, LUA_TTABLE);
    struct histogram *h = lua_newuserdata(L, sizeof *h);
    memset(h, 0, sizeof *h);
    for (int i = 1;; i++) {
        lua_rawgeti(L, 1, i);
        if (lua_isnil(L, -1))
            break;
        neap_histogram_add(h, (uint64_t)luaL_checknumber(L, -1));
        lua_pop(L, 1);
    }
    lua_pop(L, 1);
    lua_pushcclosure(L, at, 1);
    lua_pushnumber(L, (lua_Number)h->least);
    lua_pushnumber(L, (lua_Number)h->most);
    lua_pushnumber(L, (lua_Number)neap_histogram_mean(h));
    lua_pushnumber(L, (lua_Number)h->count);
    return 5;
}

int neap_units_histogram(lua_State *L)
{
    lua_pushcfunction(L, histogram_of);
    return 1;
}
