/* The methods of conn that work on datagrams (RFC 9221). */
#include "binding.h"

/* conn:datagram_max() -> bytes that a payload may have now */
static int datagram_max(lua_State *L)
{
    struct conn_core *core = neap_lua_check_conn(L, 1);

    return neap_lua_count(L, core->conn != NULL ? neap_conn_datagram_max(core->conn) : NEAP_ERR_CLOSED);
}

/* conn:datagram_send(bytes[, { deadline =, urgency = 3, notify = }]) -> its number */
static int datagram_send(lua_State *L)
{
    struct conn_core *core = neap_lua_check_conn(L, 1);
    size_t size;
    const char *bytes = luaL_checklstring(L, 2, &size);
    neap_datagram_options options = {.urgency = 3};

    if (!lua_isnoneornil(L, 3)) {
        luaL_checktype(L, 3, LUA_TTABLE);
        lua_getfield(L, 3, "deadline");
        if (!lua_isnil(L, -1))
            options.deadline = neap_lua_check_time(L, -1);
        lua_getfield(L, 3, "urgency");
        uint64_t urgency = neap_lua_opt_u64(L, -1, 3);
        luaL_argcheck(L, urgency <= 7, 3, "an urgency is from 0 to 7");
        options.urgency = (uint8_t)urgency;
        lua_getfield(L, 3, "notify");
        options.notify = lua_toboolean(L, -1);
    }
    if (core->conn == NULL)
        return neap_lua_error(L, NEAP_ERR_CLOSED);
    int64_t id = neap_conn_datagram_send(core->conn, bytes, size, &options, sizeof options);
    neap_lua_conn_touch(core);
    return neap_lua_count(L, id);
}

/* conn:datagram_size() -> bytes of the next one that came */
static int datagram_size(lua_State *L)
{
    struct conn_core *core = neap_lua_check_conn(L, 1);

    return neap_lua_count(L, core->conn != NULL ? neap_conn_datagram_size(core->conn) : NEAP_ERR_CLOSED);
}

/* conn:datagram_recv() -> bytes */
static int datagram_recv(lua_State *L)
{
    struct conn_core *core = neap_lua_check_conn(L, 1);
    uint8_t out[UDP_PAYLOAD_ROOM];

    if (core->conn == NULL)
        return neap_lua_error(L, NEAP_ERR_CLOSED);
    int64_t size = neap_conn_datagram_recv(core->conn, out, sizeof out);
    if (size < 0)
        return neap_lua_error(L, size);
    lua_pushlstring(L, (const char *)out, (size_t)size);
    return 1;
}

/* conn:datagram_fate() -> number, "acked" | "lost" | "dropped"; or nothing */
static int datagram_fate(lua_State *L)
{
    static const char *const words[] = {
        [NEAP_DATAGRAM_ACKED] = "acked", [NEAP_DATAGRAM_LOST] = "lost", [NEAP_DATAGRAM_DROPPED] = "dropped"};
    struct conn_core *core = neap_lua_check_conn(L, 1);
    neap_datagram_fate fate;

    if (core->conn == NULL || !neap_conn_datagram_next_fate(core->conn, &fate))
        return 0;
    neap_lua_push_u64(L, fate.id);
    lua_pushstring(L, words[fate.end]);
    return 2;
}

/* conn:datagram_stats() -> the numbers of neap_datagram_stats */
static int datagram_stats(lua_State *L)
{
    static const struct figure figures[] = {
        FIGURE(neap_datagram_stats, sent),       FIGURE(neap_datagram_stats, received),
        FIGURE(neap_datagram_stats, bytes_sent), FIGURE(neap_datagram_stats, bytes_received),
        FIGURE(neap_datagram_stats, acked),      FIGURE(neap_datagram_stats, lost),
        FIGURE(neap_datagram_stats, dropped),    FIGURE(neap_datagram_stats, expired),
        FIGURE(neap_datagram_stats, too_large),  FIGURE(neap_datagram_stats, received_dropped),
    };
    struct conn_core *core = neap_lua_check_conn(L, 1);
    neap_datagram_stats stats;

    if (core->conn == NULL)
        return neap_lua_error(L, NEAP_ERR_CLOSED);
    neap_conn_datagram_stats(core->conn, &stats, sizeof stats);
    lua_createtable(L, 0, 10);
    neap_lua_set_figures(L, &stats, FIGURES(figures));
    return 1;
}

const luaL_Reg neap_lua_datagram_methods[] = {
    {"datagram_max", datagram_max},
    {"datagram_send", datagram_send},
    {"datagram_size", datagram_size},
    {"datagram_recv", datagram_recv},
    {"datagram_fate", datagram_fate},
    {"datagram_stats", datagram_stats},
    {NULL, NULL},
};
