/* The methods of conn that work on streams. */
#include "binding.h"

#include <string.h>

#define RECV_MAX 65536
#define IDS_MAX 1024 /* of one readable() or writable() */

/* nil, "reset" or "stopped", code, and the peer's application code. */
static int stream_error_of(lua_State *L, const struct conn_core *core, uint64_t id, int64_t error)
{
    uint64_t code;
    int count = neap_lua_error(L, error);

    if ((error == NEAP_ERR_STREAM_RESET &&
         neap_conn_stream_error(core->conn, id, NEAP_SHUTDOWN_READ, &code) == NEAP_OK) ||
        (error == NEAP_ERR_STREAM_STOPPED &&
         neap_conn_stream_error(core->conn, id, NEAP_SHUTDOWN_WRITE, &code) == NEAP_OK)) {
        neap_lua_push_u64(L, code);
        return count + 1;
    }
    return count;
}

static bool check_bidirectional(lua_State *L, int index)
{
    static const char *const kinds[] = {"bidi", "uni", NULL};

    return luaL_checkoption(L, index, "bidi", kinds) == 0;
}

static enum neap_shutdown check_direction(lua_State *L, int index)
{
    static const char *const directions[] = {"read", "write", NULL};

    return luaL_checkoption(L, index, NULL, directions) == 0 ? NEAP_SHUTDOWN_READ : NEAP_SHUTDOWN_WRITE;
}

static int stream_open(lua_State *L)
{
    struct conn_core *core = neap_lua_check_conn(L, 1);
    bool bidirectional = check_bidirectional(L, 2);

    return neap_lua_count(L, core->conn != NULL ? neap_conn_stream_open(core->conn, bidirectional)
                                                : NEAP_ERR_CLOSED);
}

/* conn:stream_send(id, bytes[, fin]) -> count taken */
static int stream_send(lua_State *L)
{
    struct conn_core *core = neap_lua_check_conn(L, 1);
    uint64_t id = neap_lua_check_u64(L, 2);
    size_t size;
    const char *bytes = luaL_checklstring(L, 3, &size);

    if (core->conn == NULL)
        return neap_lua_error(L, NEAP_ERR_CLOSED);
    int64_t taken = neap_conn_stream_send(core->conn, id, bytes, size, lua_toboolean(L, 4));
    if (taken < 0)
        return stream_error_of(L, core, id, taken);
    neap_lua_conn_touch(core);
    return neap_lua_count(L, taken);
}

static int stream_capacity(lua_State *L)
{
    struct conn_core *core = neap_lua_check_conn(L, 1);
    uint64_t id = neap_lua_check_u64(L, 2);

    return neap_lua_count(L,
                          core->conn != NULL ? neap_conn_stream_capacity(core->conn, id) : NEAP_ERR_CLOSED);
}

/* conn:stream_recv(id[, max]) -> bytes, fin */
static int stream_recv(lua_State *L)
{
    struct conn_core *core = neap_lua_check_conn(L, 1);
    uint64_t id = neap_lua_check_u64(L, 2);
    uint64_t max = neap_lua_opt_u64(L, 3, RECV_MAX);
    uint8_t out[RECV_MAX];
    bool fin = false;

    luaL_argcheck(L, max > 0, 3, "at least one byte");
    if (core->conn == NULL)
        return neap_lua_error(L, NEAP_ERR_CLOSED);
    int64_t got =
        neap_conn_stream_recv(core->conn, id, out, max < sizeof out ? (size_t)max : sizeof out, &fin);
    if (got < 0)
        return stream_error_of(L, core, id, got);
    neap_lua_conn_touch(core);
    lua_pushlstring(L, (const char *)out, (size_t)got);
    lua_pushboolean(L, fin);
    return 2;
}

/* conn:stream_shutdown(id, "read"|"write"[, code]) -> true */
static int stream_shutdown(lua_State *L)
{
    struct conn_core *core = neap_lua_check_conn(L, 1);
    uint64_t id = neap_lua_check_u64(L, 2);
    enum neap_shutdown direction = check_direction(L, 3);
    uint64_t code = neap_lua_opt_u64(L, 4, 0);

    if (core->conn == NULL)
        return neap_lua_error(L, NEAP_ERR_CLOSED);
    int result = neap_conn_stream_shutdown(core->conn, id, direction, code);
    neap_lua_conn_touch(core);
    return neap_lua_result(L, result);
}

/* conn:stream_reset_at(id, code[, reliable_size = all]) -> true */
static int stream_reset_at(lua_State *L)
{
    struct conn_core *core = neap_lua_check_conn(L, 1);
    uint64_t id = neap_lua_check_u64(L, 2), code = neap_lua_check_u64(L, 3);
    uint64_t size = lua_isnoneornil(L, 4) ? NEAP_RESET_AT_ALL : neap_lua_check_u64(L, 4);

    if (core->conn == NULL)
        return neap_lua_error(L, NEAP_ERR_CLOSED);
    int result = neap_conn_stream_reset_at(core->conn, id, code, size);
    neap_lua_conn_touch(core);
    return neap_lua_result(L, result);
}

/* conn:stream_set_priority(id, urgency[, incremental]) -> true */
static int stream_set_priority(lua_State *L)
{
    struct conn_core *core = neap_lua_check_conn(L, 1);
    uint64_t id = neap_lua_check_u64(L, 2), urgency = neap_lua_check_u64(L, 3);

    luaL_argcheck(L, urgency <= 7, 3, "an urgency is from 0 to 7");
    if (core->conn == NULL)
        return neap_lua_error(L, NEAP_ERR_CLOSED);
    return neap_lua_result(
        L, neap_conn_stream_set_priority(core->conn, id, (unsigned)urgency, lua_toboolean(L, 4)));
}

/* conn:stream_set_low_water(id, bytes) -> true */
static int stream_set_low_water(lua_State *L)
{
    struct conn_core *core = neap_lua_check_conn(L, 1);
    uint64_t id = neap_lua_check_u64(L, 2), size = neap_lua_check_u64(L, 3);

    if (core->conn == NULL)
        return neap_lua_error(L, NEAP_ERR_CLOSED);
    int result = neap_conn_stream_set_low_water(core->conn, id, (size_t)size);
    return result < 0 ? stream_error_of(L, core, id, result) : neap_lua_result(L, result);
}

/* conn:stream_error(id, "read"|"write") -> the peer's code or nil */
static int stream_error(lua_State *L)
{
    struct conn_core *core = neap_lua_check_conn(L, 1);
    uint64_t id = neap_lua_check_u64(L, 2);
    enum neap_shutdown direction = check_direction(L, 3);
    uint64_t code;

    if (core->conn == NULL || neap_conn_stream_error(core->conn, id, direction, &code) != NEAP_OK)
        lua_pushnil(L);
    else
        neap_lua_push_u64(L, code);
    return 1;
}

static int stream_finished(lua_State *L)
{
    struct conn_core *core = neap_lua_check_conn(L, 1);
    uint64_t id = neap_lua_check_u64(L, 2);

    lua_pushboolean(L, core->conn == NULL || neap_conn_stream_finished(core->conn, id));
    return 1;
}

static int stream_is_early(lua_State *L)
{
    struct conn_core *core = neap_lua_check_conn(L, 1);
    uint64_t id = neap_lua_check_u64(L, 2);

    lua_pushboolean(L, core->conn != NULL && neap_conn_stream_is_early(core->conn, id));
    return 1;
}

static int is_flushed(lua_State *L)
{
    struct conn_core *core = neap_lua_check_conn(L, 1);

    lua_pushboolean(L, core->conn == NULL || neap_conn_is_flushed(core->conn));
    return 1;
}

static int push_next(lua_State *L, int64_t (*next)(neap_conn *))
{
    struct conn_core *core = neap_lua_check_conn(L, 1);
    int64_t id = core->conn != NULL ? next(core->conn) : -1;

    if (id < 0)
        lua_pushnil(L);
    else
        neap_lua_push_u64(L, (uint64_t)id);
    return 1;
}

static int readable_next(lua_State *L)
{
    return push_next(L, neap_conn_stream_readable_next);
}

static int writable_next(lua_State *L)
{
    return push_next(L, neap_conn_stream_writable_next);
}

/* The iterator: upvalues are the ids and the place of the last one given. */
static int next_id(lua_State *L)
{
    int at = (int)lua_tointeger(L, lua_upvalueindex(2)) + 1;

    lua_pushinteger(L, at);
    lua_replace(L, lua_upvalueindex(2));
    lua_rawgeti(L, lua_upvalueindex(1), at);
    return 1;
}

static int push_ids(lua_State *L, size_t (*list)(const neap_conn *, uint64_t *, size_t))
{
    struct conn_core *core = neap_lua_check_conn(L, 1);
    uint64_t ids[IDS_MAX];
    size_t count = core->conn != NULL ? list(core->conn, ids, IDS_MAX) : 0;

    lua_createtable(L, (int)count, 0);
    for (size_t i = 0; i < count; i++) {
        neap_lua_push_u64(L, ids[i]);
        lua_rawseti(L, -2, (int)i + 1);
    }
    lua_pushinteger(L, 0);
    lua_pushcclosure(L, next_id, 2);
    return 1;
}

static int readable(lua_State *L)
{
    return push_ids(L, neap_conn_readable);
}

static int writable(lua_State *L)
{
    return push_ids(L, neap_conn_writable);
}

static int streams_left(lua_State *L)
{
    struct conn_core *core = neap_lua_check_conn(L, 1);
    bool bidirectional = check_bidirectional(L, 2);

    neap_lua_push_u64(L, core->conn != NULL ? neap_conn_streams_left(core->conn, bidirectional) : 0);
    return 1;
}

const luaL_Reg neap_lua_stream_methods[] = {
    {"stream_open", stream_open},
    {"stream_send", stream_send},
    {"stream_capacity", stream_capacity},
    {"stream_recv", stream_recv},
    {"stream_shutdown", stream_shutdown},
    {"stream_reset_at", stream_reset_at},
    {"stream_set_priority", stream_set_priority},
    {"stream_set_low_water", stream_set_low_water},
    {"stream_error", stream_error},
    {"stream_finished", stream_finished},
    {"stream_is_early", stream_is_early},
    {"is_flushed", is_flushed},
    {"readable_next", readable_next},
    {"writable_next", writable_next},
    {"readable", readable},
    {"writable", writable},
    {"streams_left", streams_left},
    {NULL, NULL},
};
