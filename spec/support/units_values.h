/* Values between Lua and the units: numbers of 64 bits (above 2^53 they come and go as decimal strings), fields of the
 * table that is argument 1, spans, failures. */
#ifndef NEAP_SPEC_UNITS_VALUES_H
#define NEAP_SPEC_UNITS_VALUES_H

#include <inttypes.h>
#include <lauxlib.h>
#include <lua.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/failure.h"
#include "base/writer.h"
#include "wire/header.h"

static inline uint64_t to_u64(lua_State *L, int index)
{
    if (lua_type(L, index) == LUA_TSTRING)
        return strtoull(lua_tostring(L, index), NULL, 10);
    return (uint64_t)luaL_checknumber(L, index);
}

static inline void push_u64(lua_State *L, uint64_t value)
{
    char text[24];

    if (value <= UINT64_C(1) << 53) {
        lua_pushnumber(L, (lua_Number)value);
        return;
    }
    snprintf(text, sizeof(text), "%" PRIu64, value);
    lua_pushstring(L, text);
}

static inline void set_u64(lua_State *L, const char *name, uint64_t value)
{
    push_u64(L, value);
    lua_setfield(L, -2, name);
}

static inline void set_flag(lua_State *L, const char *name, bool value)
{
    lua_pushboolean(L, value);
    lua_setfield(L, -2, name);
}

static inline void set_bytes(lua_State *L, const char *name, const void *data, size_t size)
{
    lua_pushlstring(L, size ? data : "", size);
    lua_setfield(L, -2, name);
}

static inline void set_span(lua_State *L, const char *name, struct span s)
{
    set_bytes(L, name, s.data, s.size);
}

static inline uint64_t get_u64(lua_State *L, const char *name)
{
    lua_getfield(L, 1, name);
    uint64_t value = lua_isnil(L, -1) ? 0 : to_u64(L, -1);
    lua_pop(L, 1);
    return value;
}

static inline bool get_flag(lua_State *L, const char *name)
{
    lua_getfield(L, 1, name);
    bool value = lua_toboolean(L, -1);
    lua_pop(L, 1);
    return value;
}

/* The bytes stay valid as long as the table holds them. */
static inline struct span get_span(lua_State *L, const char *name)
{
    size_t size = 0;

    lua_getfield(L, 1, name);
    const char *bytes = lua_isnil(L, -1) ? NULL : luaL_checklstring(L, -1, &size);
    lua_pop(L, 1);
    return span_of(bytes, size);
}

static inline neap_cid get_cid(lua_State *L, const char *name)
{
    struct span s = get_span(L, name);

    luaL_argcheck(L, s.size <= NEAP_MAX_CONNECTION_ID, 1, "connection ID too long");
    return cid_of(s);
}

static inline void get_fixed(lua_State *L, const char *name, uint8_t *out, size_t size)
{
    struct span s = get_span(L, name);

    luaL_argcheck(L, s.size == size, 1, name);
    memcpy(out, s.data, size);
}

/* A copy of the bytes at `index` with nothing behind it. */
static inline struct span copy_bytes(lua_State *L, int index)
{
    size_t size;
    const char *bytes = luaL_checklstring(L, index, &size);
    uint8_t *copy = malloc(size ? size : 1);

    if (!copy)
        luaL_error(L, "no memory");
    memcpy(copy, bytes, size);
    return span_of(copy, size);
}

static inline void free_copy(struct span copy)
{
    free((void *)(uintptr_t)copy.data);
}

/* nil, code, reason */
static inline int push_failure(lua_State *L, int code, const struct failure *why)
{
    lua_pushnil(L);
    lua_pushnumber(L, code);
    lua_pushstring(L, why && why->reason ? why->reason : "");
    return 3;
}

/* The bytes written, or nil when the room was too small. */
static inline int push_written(lua_State *L, const struct writer *w)
{
    if (w->full)
        lua_pushnil(L);
    else
        lua_pushlstring(L, (const char *)w->start, writer_size(w));
    return 1;
}

#endif
