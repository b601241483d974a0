/* Units of core/quic: what a connection's streams are told, and what is counted of them. */
#include "quic_unit.h"

/* conn:set_priority(id, urgency, incremental) -> 0 or an error */
static int conn_set_priority(lua_State *L)
{
    lua_pushnumber(L, neap_conn_stream_set_priority(check_conn(L, 1), (uint64_t)luaL_checknumber(L, 2),
                                                    (unsigned)luaL_checknumber(L, 3), lua_toboolean(L, 4)));
    return 1;
}

/* conn:set_low_water(id, bytes) -> 0 or an error */
static int conn_set_low_water(lua_State *L)
{
    lua_pushnumber(L, neap_conn_stream_set_low_water(check_conn(L, 1), (uint64_t)luaL_checknumber(L, 2),
                                                     (size_t)luaL_checknumber(L, 3)));
    return 1;
}

/* conn:writable() -> ids; conn:readable() -> ids */
static int push_list(lua_State *L, size_t (*list)(const neap_conn *, uint64_t *, size_t))
{
    uint64_t ids[64];
    size_t count = list(check_conn(L, 1), ids, 64);

    lua_newtable(L);
    for (size_t i = 0; i < count; i++) {
        lua_pushnumber(L, (lua_Number)ids[i]);
        lua_rawseti(L, -2, (int)i + 1);
    }
    return 1;
}

static int conn_writable(lua_State *L)
{
    return push_list(L, neap_conn_writable);
}

static int conn_readable(lua_State *L)
{
    return push_list(L, neap_conn_readable);
}

/* conn:stream_counters() -> numbers */
static int conn_stream_counters(lua_State *L)
{
    const struct streams_counters *n = neap_conn_streams_counters(check_conn(L, 1));

    lua_newtable(L);
    set_number(L, "bytes_resent", n->bytes_resent);
    set_number(L, "resets_sent", n->resets_sent);
    set_number(L, "resets_received", n->resets_received);
    set_number(L, "stops_sent", n->stops_sent);
    set_number(L, "stops_received", n->stops_received);
    set_number(L, "data_blocked_sent", n->data_blocked_sent);
    set_number(L, "data_blocked_received", n->data_blocked_received);
    set_number(L, "stream_data_blocked_sent", n->stream_data_blocked_sent);
    set_number(L, "stream_data_blocked_received", n->stream_data_blocked_received);
    set_number(L, "streams_blocked_sent", n->streams_blocked_sent);
    set_number(L, "streams_blocked_received", n->streams_blocked_received);
    return 1;
}

const luaL_Reg unit_stream_methods[] = {
    {"set_priority", conn_set_priority},
    {"set_low_water", conn_set_low_water},
    {"writable", conn_writable},
    {"readable", conn_readable},
    {"stream_counters", conn_stream_counters},
    {NULL, NULL},
};
