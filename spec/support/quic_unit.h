/* What the unit files of core/quic share: configs, connections and endpoints as Lua objects, arguments and results. */
#ifndef NEAP_SPEC_QUIC_UNIT_H
#define NEAP_SPEC_QUIC_UNIT_H

#include <lauxlib.h>
#include <lua.h>
#include <stdlib.h>

#include "quic/conn.h"
#include "quic/endpoint.h"

#define CONFIG "neap.units.quic.config"
#define CONN "neap.units.quic.conn"
#define ENDPOINT "neap.units.quic.endpoint"
#define UDP_PAYLOAD_ROOM 65536u

struct unit_config {
    neap_config *config;
    uint64_t seed;          /* of env.random */
    int64_t clock;          /* of env.wall_clock */
    uint64_t generation;    /* of env.generation */
    int64_t fail_at;        /* allocations until one fails; < 0 never */
    bool fails_on;          /* all after it fail too */
    int64_t allocations;    /* made */
    int64_t live;           /* not given back */
    uint8_t struck[64][32]; /* ids that its register has noted */
    size_t struck_count;
};

/* Of a connection: its 0-RTT. */
extern const luaL_Reg unit_early_methods[];
/* What its streams and datagrams are told. */
extern const luaL_Reg unit_stream_methods[];
/* Its paths. */
extern const luaL_Reg unit_path_methods[];
/* Its traces. */
extern const luaL_Reg unit_qlog_methods[];

#define TRACE_KINDS (NEAP_TRACE_GONE + 1)

struct unit_conn {
    neap_conn *conn;
    bool is_owned;
    neap_tracer tracer;
    uint64_t traced[TRACE_KINDS];
    neap_trace_event closed; /* the last of that kind */
};

#define UNIT_ROUTES 8

struct unit_endpoint {
    neap_endpoint *endpoint;
    struct cid_route routes[UNIT_ROUTES]; /* those of endpoint:route */
    size_t route_count;
};

static inline neap_time check_time(lua_State *L, int index)
{
    return (neap_time)luaL_checknumber(L, index);
}

static inline void push_time(lua_State *L, neap_time at)
{
    if (at == NEAP_NEVER)
        lua_pushnil(L);
    else
        lua_pushnumber(L, (lua_Number)at);
}

static inline neap_address check_address(lua_State *L, int index)
{
    neap_address a = {0};

    luaL_argcheck(L, neap_address_parse(luaL_checkstring(L, index), 0, &a) == 0, index, "no address");
    return a;
}

static inline void push_address(lua_State *L, const neap_address *a)
{
    char text[80];

    neap_address_format(a, text, sizeof text);
    lua_pushstring(L, text);
}

static inline neap_cid check_cid(lua_State *L, int index)
{
    size_t size;
    const char *bytes = luaL_checklstring(L, index, &size);

    luaL_argcheck(L, size <= NEAP_MAX_CONNECTION_ID, index, "longer than a connection ID");
    return cid_of(span_of(bytes, size));
}

static inline void push_cid(lua_State *L, const neap_cid *cid)
{
    lua_pushlstring(L, (const char *)cid->bytes, cid->size);
}

static inline int push_error(lua_State *L, int64_t code)
{
    lua_pushnil(L);
    lua_pushnumber(L, (lua_Number)code);
    return 2;
}

static inline void set_number(lua_State *L, const char *name, uint64_t value)
{
    lua_pushnumber(L, (lua_Number)value);
    lua_setfield(L, -2, name);
}

static inline void set_bool(lua_State *L, const char *name, bool value)
{
    lua_pushboolean(L, value);
    lua_setfield(L, -2, name);
}

static inline void *new_object(lua_State *L, const char *name, size_t size)
{
    void *object = memset(lua_newuserdata(L, size), 0, size);

    luaL_getmetatable(L, name);
    lua_setmetatable(L, -2);
    return object;
}

static inline void new_type(lua_State *L, const char *name, const luaL_Reg *methods, lua_CFunction gc)
{
    luaL_newmetatable(L, name);
    lua_pushcfunction(L, gc);
    lua_setfield(L, -2, "__gc");
    lua_newtable(L);
    for (; methods->name; methods++) {
        lua_pushcfunction(L, methods->func);
        lua_setfield(L, -2, methods->name);
    }
    lua_setfield(L, -2, "__index");
    lua_pop(L, 1);
}
static inline struct unit_config *check_config(lua_State *L, int index)
{
    struct unit_config *u = luaL_checkudata(L, index, CONFIG);

    luaL_argcheck(L, u->config != NULL, index, "freed");
    return u;
}

static inline neap_header check_header(lua_State *L, int index)
{
    size_t size;
    const char *bytes = luaL_checklstring(L, index, &size);
    neap_header h = {0};
    int rc = neap_header_info((const uint8_t *)bytes, size, 8, &h);

    luaL_argcheck(L, rc == 0 || rc == NEAP_ERR_UNKNOWN_VERSION, index, "no header");
    return h;
}

static inline int push_packet(lua_State *L, const uint8_t *bytes, int64_t size)
{
    if (size < 0)
        return push_error(L, size);
    lua_pushlstring(L, (const char *)bytes, (size_t)size);
    return 1;
}

static inline neap_conn *check_conn(lua_State *L, int index)
{
    struct unit_conn *u = luaL_checkudata(L, index, CONN);

    luaL_argcheck(L, u->conn != NULL, index, "freed");
    return u->conn;
}

static inline void push_conn(lua_State *L, neap_conn *conn, bool is_owned)
{
    struct unit_conn *u = new_object(L, CONN, sizeof *u);

    u->conn = conn;
    u->is_owned = is_owned;
}

static inline void push_functions(lua_State *L, const luaL_Reg *functions)
{
    lua_newtable(L);
    for (; functions->name; functions++) {
        lua_pushcfunction(L, functions->func);
        lua_setfield(L, -2, functions->name);
    }
}

#endif
