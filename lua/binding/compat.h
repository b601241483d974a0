/* LuaJIT 2.1 (Lua 5.1 and some of 5.2) and PUC Lua 5.3 and 5.4 look alike through this. */
#ifndef NEAP_BINDING_COMPAT_H
#define NEAP_BINDING_COMPAT_H

#include <lauxlib.h>
#include <lua.h>
#include <stdint.h>

#if LUA_VERSION_NUM < 502
#define lua_rawlen lua_objlen

/* One value that a userdata keeps alive: 5.1 has only a table for that, so it is in the table's first place. */
static inline void neap_lua_keep(lua_State *L, int userdata)
{
    userdata = userdata > 0 ? userdata : lua_gettop(L) + 1 + userdata;
    lua_createtable(L, 1, 0);
    lua_insert(L, -2);
    lua_rawseti(L, -2, 1);
    lua_setfenv(L, userdata);
}

static inline void neap_lua_push_kept(lua_State *L, int userdata)
{
    lua_getfenv(L, userdata);
    lua_rawgeti(L, -1, 1);
    lua_remove(L, -2);
}
#else
static inline void neap_lua_keep(lua_State *L, int userdata)
{
    lua_setuservalue(L, userdata);
}

static inline void neap_lua_push_kept(lua_State *L, int userdata)
{
    lua_getuservalue(L, userdata);
}
#endif

#if LUA_VERSION_NUM >= 503
/* Whole numbers stay whole: 5.4 prints 4 and not 4.0. */
static inline void neap_lua_push_u64(lua_State *L, uint64_t value)
{
    if (value <= INT64_MAX)
        lua_pushinteger(L, (lua_Integer)value);
    else
        lua_pushnumber(L, (lua_Number)value);
}
#else
static inline void neap_lua_push_u64(lua_State *L, uint64_t value)
{
    lua_pushnumber(L, (lua_Number)value);
}
#endif

/** The functions of `list` into the table on top. */
static inline void neap_lua_set_functions(lua_State *L, const luaL_Reg *list)
{
    for (; list->name != NULL; list++) {
        lua_pushcfunction(L, list->func);
        lua_setfield(L, -2, list->name);
    }
}

#endif
