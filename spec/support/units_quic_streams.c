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

/* conn:reset_at(id, code[, reliable_size]) -> 0 or an error */
static int conn_reset_at(lua_State *L)
{
    uint64_t size = lua_isnoneornil(L, 4) ? NEAP_RESET_AT_ALL : (uint64_t)luaL_checknumber(L, 4);

    lua_pushnumber(L, neap_conn_stream_reset_at(check_conn(L, 1), (uint64_t)luaL_checknumber(L, 2),
                                                (uint64_t)luaL_checknumber(L, 3), size));
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

/* conn:datagram(bytes[, { deadline =, urgency =, notify = }]) -> its number, or nil and an error */
static int conn_datagram(lua_State *L)
{
    neap_conn *c = check_conn(L, 1);
    size_t size;
    const char *data = luaL_checklstring(L, 2, &size);
    neap_datagram_options options = {0};
    bool has_options = lua_istable(L, 3);

    if (has_options) {
        lua_getfield(L, 3, "deadline");
        options.deadline = (neap_time)luaL_optnumber(L, -1, 0);
        lua_getfield(L, 3, "urgency");
        options.urgency = (uint8_t)luaL_optnumber(L, -1, 3);
        lua_getfield(L, 3, "notify");
        options.notify = lua_toboolean(L, -1);
    }
    int64_t id = neap_conn_datagram_send(c, data, size, has_options ? &options : NULL, sizeof options);
    if (id < 0)
        return push_error(L, id);
    lua_pushnumber(L, (lua_Number)id);
    return 1;
}

/* conn:datagram_max() -> bytes or an error below 0 */
static int conn_datagram_max(lua_State *L)
{
    lua_pushnumber(L, (lua_Number)neap_conn_datagram_max(check_conn(L, 1)));
    return 1;
}

/* conn:read_datagram([room]) -> bytes, or nil and an error */
static int conn_read_datagram(lua_State *L)
{
    static uint8_t out[UDP_PAYLOAD_ROOM];
    neap_conn *c = check_conn(L, 1);
    int64_t next = neap_conn_datagram_size(c);
    int64_t size = neap_conn_datagram_recv(c, out, (size_t)luaL_optnumber(L, 2, sizeof out));

    if (size < 0)
        return push_error(L, size);
    if (size != next)
        return luaL_error(L, "another size than was said");
    lua_pushlstring(L, (const char *)out, (size_t)size);
    return 1;
}

/* conn:fates() -> { number, "acked" | "lost" | "dropped", … } of all that there are */
static int conn_fates(lua_State *L)
{
    static const char *const words[] = {"acked", "lost", "dropped"};
    neap_datagram_fate fate;
    int count = 0;

    lua_newtable(L);
    while (neap_conn_datagram_next_fate(check_conn(L, 1), &fate)) {
        lua_pushnumber(L, (lua_Number)fate.id);
        lua_rawseti(L, -2, ++count);
        lua_pushstring(L, words[fate.end]);
        lua_rawseti(L, -2, ++count);
    }
    return 1;
}

/* conn:datagram_stats() -> numbers */
static int conn_datagram_stats(lua_State *L)
{
    neap_datagram_stats n;

    neap_conn_datagram_stats(check_conn(L, 1), &n, sizeof n);
    lua_newtable(L);
    set_number(L, "sent", n.sent);
    set_number(L, "received", n.received);
    set_number(L, "bytes_sent", n.bytes_sent);
    set_number(L, "bytes_received", n.bytes_received);
    set_number(L, "acked", n.acked);
    set_number(L, "lost", n.lost);
    set_number(L, "dropped", n.dropped);
    set_number(L, "expired", n.expired);
    set_number(L, "too_large", n.too_large);
    set_number(L, "received_dropped", n.received_dropped);
    return 1;
}

/* conn:set_owner(boolean): a layer above speaks on it, or none */
static int conn_set_owner(lua_State *L)
{
    static int something;

    neap_conn_set_owner(check_conn(L, 1), lua_toboolean(L, 2) ? &something : NULL);
    return 0;
}

/* conn:datagram_parts(bytes) -> number: as the layer above sends, in three parts */
static int conn_datagram_parts(lua_State *L)
{
    size_t size;
    const char *data = luaL_checklstring(L, 2, &size);
    const struct span parts[3] = {span_of(data, size / 3), span_of(NULL, 0),
                                  span_of(data + size / 3, size - size / 3)};

    lua_pushnumber(L, (lua_Number)neap_conn_datagrams_queue(check_conn(L, 1), parts, 3, NULL));
    return 1;
}

/* conn:budgets() -> bytes that are received and not read, queued and not acknowledged, of all of the config */
static int conn_budgets(lua_State *L)
{
    const struct streams_budget *budget = &check_conn(L, 1)->config->budget;

    lua_pushnumber(L, (lua_Number)budget->receive_held);
    lua_pushnumber(L, (lua_Number)budget->send_held);
    return 2;
}

const luaL_Reg unit_stream_methods[] = {
    {"datagram", conn_datagram},
    {"datagram_max", conn_datagram_max},
    {"read_datagram", conn_read_datagram},
    {"fates", conn_fates},
    {"datagram_stats", conn_datagram_stats},
    {"set_owner", conn_set_owner},
    {"datagram_parts", conn_datagram_parts},
    {"budgets", conn_budgets},
    {"reset_at", conn_reset_at},
    {"set_priority", conn_set_priority},
    {"set_low_water", conn_set_low_water},
    {"writable", conn_writable},
    {"readable", conn_readable},
    {"stream_counters", conn_stream_counters},
    {NULL, NULL},
};
