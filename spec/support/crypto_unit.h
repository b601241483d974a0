/* What the unit files of core/crypto share: a struct crypto with its own pool, whose allocations can be made to fail. */
#ifndef NEAP_SPEC_CRYPTO_UNIT_H
#define NEAP_SPEC_CRYPTO_UNIT_H

#include <lauxlib.h>
#include <lua.h>

#include "base/pool.h"
#include "crypto/crypto.h"

#define CRYPTO_UNIT "neap.units.crypto"

struct crypto_unit {
    struct pool *pool;
    struct crypto *crypto;
    long until_failure; /* allocations that still work; negative: all */
};

/* The struct crypto at index 1. */
static inline struct crypto_unit *check_crypto(lua_State *L)
{
    return luaL_checkudata(L, 1, CRYPTO_UNIT);
}

static inline struct span check_bytes(lua_State *L, int index)
{
    size_t size;
    const char *bytes = luaL_checklstring(L, index, &size);

    return span_of(bytes, size);
}

/* The length of a list, by the name of each Lua. */
static inline size_t list_size(lua_State *L, int index)
{
#if LUA_VERSION_NUM >= 502
    return (size_t)lua_rawlen(L, index);
#else
    return lua_objlen(L, index);
#endif
}

static inline void push_bytes(lua_State *L, const void *bytes, size_t size)
{
    lua_pushlstring(L, size ? bytes : "", size);
}

static inline void set_unit_functions(lua_State *L, const luaL_Reg *functions)
{
    for (; functions->name; functions++) {
        lua_pushcfunction(L, functions->func);
        lua_setfield(L, -2, functions->name);
    }
}

/* nil, code, reason */
static inline int push_unit_failure(lua_State *L, int code, const char *reason)
{
    lua_pushnil(L);
    lua_pushinteger(L, code);
    lua_pushstring(L, reason ? reason : "");
    return 3;
}

#endif
