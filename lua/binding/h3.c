/* HTTP/3 on a connection: events as plain values, so that a request costs one table, its fields. */
#include "binding.h"

#include <string.h>

#define RECV_MAX 65536

struct conn_core *neap_lua_check_h3(lua_State *L, int index)
{
    struct conn_core **box = luaL_checkudata(L, index, TYPE_H3);

    if (*box == NULL)
        luaL_argerror(L, index, "the h3 was not made");
    return *box;
}

static struct conn_core *check_h3(lua_State *L)
{
    return neap_lua_check_h3(L, 1);
}

static int h3_gc(lua_State *L)
{
    struct conn_core **box = luaL_checkudata(L, 1, TYPE_H3);

    neap_lua_conn_release(*box);
    *box = NULL;
    return 0;
}

void neap_lua_check_h3_config(lua_State *L, int index, neap_h3_config *out)
{
    *out = (neap_h3_config){0};
    if (!lua_istable(L, index))
        return;
    lua_pushnil(L);
    while (lua_next(L, index) != 0) {
        const char *name = lua_type(L, -2) == LUA_TSTRING ? lua_tostring(L, -2) : "?";
        if (strcmp(name, "max_field_section_size") == 0)
            out->max_field_section_size = neap_lua_check_u64(L, -1);
        else if (strcmp(name, "header_timeout") == 0)
            out->header_timeout = neap_lua_check_time(L, -1);
        else
            luaL_error(L, "unknown option '%s'", name);
        lua_pop(L, 1);
    }
}

/* core.h3(conn[, { max_field_section_size =, header_timeout = }]) -> h3 | nil, message, code. A second call gives another
 * handle of the same. */
static int core_h3(lua_State *L)
{
    struct conn_core *core = neap_lua_check_conn(L, 1);
    neap_h3_config config;

    neap_lua_check_h3_config(L, 2, &config);
    if (core->conn == NULL)
        return neap_lua_error(L, NEAP_ERR_CLOSED);
    struct conn_core **box = lua_newuserdata(L, sizeof *box);
    *box = NULL;
    luaL_getmetatable(L, TYPE_H3);
    lua_setmetatable(L, -2);
    lua_pushvalue(L, 1);
    neap_lua_keep(L, -2);
    if (core->h3 == NULL)
        core->h3 = neap_h3_new(core->conn, &config);
    if (core->h3 == NULL)
        return neap_lua_error(L, NEAP_ERR_NO_MEMORY);
    core->references++;
    *box = core;
    neap_lua_conn_touch(core);
    return 1;
}

static int push_stream_event(lua_State *L, const char *name, size_t size, const neap_h3_event *event)
{
    lua_pushlstring(L, name, size);
    neap_lua_push_u64(L, event->stream);
    return 2;
}

#define STREAM_EVENT(name) push_stream_event(L, name, sizeof name - 1, &event)

/* h3:poll() -> type, stream, … */
static int h3_poll(lua_State *L)
{
    struct conn_core *core = check_h3(L);
    neap_h3_event event;

    if (core->h3 == NULL)
        return neap_lua_error(L, NEAP_ERR_CLOSED);
    int result = neap_h3_poll(core->h3, &event);
    if (result != NEAP_OK) {
        neap_lua_conn_touch(core); /* parsing may have left answers: credit, resets, a close */
        return neap_lua_error(L, result);
    }
    switch (event.type) {
    case NEAP_H3_HEADERS:
        STREAM_EVENT("headers");
        neap_lua_push_fields(L, event.fields, event.field_count);
        lua_pushboolean(L, event.fin);
        lua_pushboolean(L, event.is_informational);
        return 5;
    case NEAP_H3_TRAILERS:
        STREAM_EVENT("trailers");
        neap_lua_push_fields(L, event.fields, event.field_count);
        return 3;
    case NEAP_H3_RESET:
        STREAM_EVENT("reset");
        neap_lua_push_u64(L, event.code);
        return 3;
    case NEAP_H3_STOPPED:
        STREAM_EVENT("stopped");
        neap_lua_push_u64(L, event.code);
        return 3;
    case NEAP_H3_DATA: return STREAM_EVENT("data");
    case NEAP_H3_FINISHED: return STREAM_EVENT("finished");
    case NEAP_H3_WRITABLE: return STREAM_EVENT("writable");
    case NEAP_H3_GOAWAY: return STREAM_EVENT("goaway");
    case NEAP_H3_SETTINGS: lua_pushliteral(L, "settings"); return 1;
    case NEAP_H3_ESTABLISHED: lua_pushliteral(L, "established"); return 1;
    case NEAP_H3_CLOSED:
        neap_lua_conn_touch(core);
        lua_pushliteral(L, "closed");
        neap_lua_push_u64(L, event.code);
        return 2;
    }
    return luaL_error(L, "unknown event %d", (int)event.type);
}

static int push_sent(lua_State *L, struct conn_core *core, int64_t count)
{
    neap_lua_conn_touch(core);
    return neap_lua_count(L, count);
}

static int push_done(lua_State *L, struct conn_core *core, int result)
{
    neap_lua_conn_touch(core);
    return neap_lua_result(L, result);
}

/* h3:set_priority(stream, urgency, incremental) -> true */
static int set_priority(lua_State *L)
{
    struct conn_core *core = check_h3(L);
    uint64_t stream = neap_lua_check_u64(L, 2), urgency = neap_lua_check_u64(L, 3);

    if (core->h3 == NULL)
        return neap_lua_error(L, NEAP_ERR_CLOSED);
    return push_done(
        L, core,
        neap_h3_set_priority(core->h3, stream, urgency < 8 ? (unsigned)urgency : 8, lua_toboolean(L, 4)));
}

/* h3:priority(stream) -> urgency, incremental */
static int priority(lua_State *L)
{
    struct conn_core *core = check_h3(L);
    uint64_t stream = neap_lua_check_u64(L, 2);
    unsigned urgency;
    bool incremental;
    int result =
        core->h3 != NULL ? neap_h3_priority(core->h3, stream, &urgency, &incremental) : NEAP_ERR_CLOSED;

    if (result != NEAP_OK)
        return neap_lua_error(L, result);
    lua_pushinteger(L, (lua_Integer)urgency);
    lua_pushboolean(L, incremental);
    return 2;
}

/* h3:send_request(fields[, fin]) -> stream */
static int send_request(lua_State *L)
{
    struct conn_core *core = check_h3(L);
    neap_field fields[FIELDS_MAX];
    bool fin = lua_toboolean(L, 3);
    size_t count = neap_lua_check_fields(L, 2, fields, 0);

    if (core->h3 == NULL)
        return neap_lua_error(L, NEAP_ERR_CLOSED);
    return push_sent(L, core, neap_h3_send_request(core->h3, fields, count, fin));
}

/* h3:send_response(stream, fields[, fin]) -> true */
static int send_response(lua_State *L)
{
    struct conn_core *core = check_h3(L);
    uint64_t stream = neap_lua_check_u64(L, 2);
    neap_field fields[FIELDS_MAX];
    bool fin = lua_toboolean(L, 4);
    size_t count =
        neap_lua_add_date(neap_lua_conn_config(core), fields, neap_lua_check_fields(L, 3, fields, 0));

    if (core->h3 == NULL)
        return neap_lua_error(L, NEAP_ERR_CLOSED);
    return push_done(L, core, neap_h3_send_response(core->h3, stream, fields, count, fin));
}

/* h3:send_body(stream, bytes[, fin]) -> count taken */
static int send_body(lua_State *L)
{
    struct conn_core *core = check_h3(L);
    uint64_t stream = neap_lua_check_u64(L, 2);
    size_t size;
    const char *bytes = luaL_checklstring(L, 3, &size);

    if (core->h3 == NULL)
        return neap_lua_error(L, NEAP_ERR_CLOSED);
    return push_sent(L, core, neap_h3_send_body(core->h3, stream, bytes, size, lua_toboolean(L, 4)));
}

static int body_capacity(lua_State *L)
{
    struct conn_core *core = check_h3(L);
    uint64_t stream = neap_lua_check_u64(L, 2);

    return neap_lua_count(L, core->h3 != NULL ? neap_h3_body_capacity(core->h3, stream) : NEAP_ERR_CLOSED);
}

/* h3:recv_body(stream[, max]) -> bytes */
static int recv_body(lua_State *L)
{
    struct conn_core *core = check_h3(L);
    uint64_t stream = neap_lua_check_u64(L, 2);
    uint64_t max = neap_lua_opt_u64(L, 3, RECV_MAX);
    uint8_t out[RECV_MAX];

    luaL_argcheck(L, max > 0, 3, "at least one byte");
    if (core->h3 == NULL)
        return neap_lua_error(L, NEAP_ERR_CLOSED);
    int64_t got = neap_h3_recv_body(core->h3, stream, out, max < sizeof out ? (size_t)max : sizeof out);
    neap_lua_conn_touch(core);
    if (got < 0)
        return neap_lua_error(L, got);
    lua_pushlstring(L, (const char *)out, (size_t)got);
    return 1;
}

/* h3:send_trailers(stream, fields) -> true */
static int send_trailers(lua_State *L)
{
    struct conn_core *core = check_h3(L);
    uint64_t stream = neap_lua_check_u64(L, 2);
    neap_field fields[FIELDS_MAX];
    size_t count = neap_lua_check_fields(L, 3, fields, 0);

    if (core->h3 == NULL)
        return neap_lua_error(L, NEAP_ERR_CLOSED);
    return push_done(L, core, neap_h3_send_trailers(core->h3, stream, fields, count));
}

/* From NEAP_H3_NO_ERROR on: RFC 9114 §8.1, without H3_ and in small letters. */
static const char *const code_names[] = {
    "no_error",
    "general_protocol_error",
    "internal_error",
    "stream_creation_error",
    "closed_critical_stream",
    "frame_unexpected",
    "frame_error",
    "excessive_load",
    "id_error",
    "settings_error",
    "missing_settings",
    "request_rejected",
    "request_cancelled",
    "request_incomplete",
    "message_error",
    "connect_error",
    "version_fallback",
};

uint64_t neap_lua_check_code(lua_State *L, int index)
{
    if (lua_type(L, index) != LUA_TSTRING)
        return neap_lua_check_u64(L, index);
    for (size_t i = 0; i < sizeof code_names / sizeof code_names[0]; i++) {
        if (strcmp(lua_tostring(L, index), code_names[i]) == 0)
            return NEAP_H3_NO_ERROR + i;
    }
    luaL_argerror(L, index, "an error code of RFC 9114, as a number or a name like internal_error");
    return 0;
}

/* core.http_code(name or number) -> number */
static int http_code(lua_State *L)
{
    neap_lua_push_u64(L, neap_lua_check_code(L, 1));
    return 1;
}

static int give_up(lua_State *L, int (*how)(neap_h3 *, uint64_t, uint64_t))
{
    struct conn_core *core = check_h3(L);
    uint64_t stream = neap_lua_check_u64(L, 2);
    uint64_t code = neap_lua_check_code(L, 3);

    if (core->h3 == NULL)
        return neap_lua_error(L, NEAP_ERR_CLOSED);
    return push_done(L, core, how(core->h3, stream, code));
}

static int cancel(lua_State *L)
{
    return give_up(L, neap_h3_cancel);
}

static int stop_body(lua_State *L)
{
    return give_up(L, neap_h3_stop_body);
}

static int goaway(lua_State *L)
{
    struct conn_core *core = check_h3(L);

    if (core->h3 == NULL)
        return neap_lua_error(L, NEAP_ERR_CLOSED);
    return push_done(L, core, neap_h3_goaway(core->h3));
}

static int open_requests(lua_State *L)
{
    struct conn_core *core = check_h3(L);

    neap_lua_push_u64(L, core->h3 != NULL ? neap_h3_open_requests(core->h3) : 0);
    return 1;
}

static int h3_stats(lua_State *L)
{
    static const struct figure figures[] = {
        FIGURE(neap_h3_stats, requests),         FIGURE(neap_h3_stats, open_requests),
        FIGURE(neap_h3_stats, glitches),         FIGURE(neap_h3_stats, glitches_held),
        FIGURE(neap_h3_stats, priority_updates), FIGURE(neap_h3_stats, partial_bytes),
    };
    struct conn_core *core = check_h3(L);
    neap_h3_stats stats;

    if (core->h3 == NULL)
        return neap_lua_error(L, NEAP_ERR_CLOSED);
    neap_h3_get_stats(core->h3, &stats, sizeof stats);
    lua_createtable(L, 0, 6);
    neap_lua_set_figures(L, &stats, FIGURES(figures));
    return 1;
}

static int peer_setting(lua_State *L)
{
    struct conn_core *core = check_h3(L);
    uint64_t id = neap_lua_check_u64(L, 2);
    uint64_t value;

    if (core->h3 == NULL || neap_h3_peer_setting(core->h3, id, &value) != NEAP_OK)
        lua_pushnil(L);
    else
        neap_lua_push_u64(L, value);
    return 1;
}

static int h3_conn(lua_State *L)
{
    check_h3(L);
    neap_lua_push_kept(L, 1);
    return 1;
}

void neap_lua_open_h3(lua_State *L)
{
    static const luaL_Reg methods[] = {
        {"poll", h3_poll},
        {"send_request", send_request},
        {"send_response", send_response},
        {"send_body", send_body},
        {"body_capacity", body_capacity},
        {"recv_body", recv_body},
        {"send_trailers", send_trailers},
        {"cancel", cancel},
        {"stop_body", stop_body},
        {"set_priority", set_priority},
        {"priority", priority},
        {"goaway", goaway},
        {"open_requests", open_requests},
        {"stats", h3_stats},
        {"peer_setting", peer_setting},
        {"conn", h3_conn},
        {"respond", neap_lua_respond},
        {NULL, NULL},
    };

    neap_lua_new_type(L, TYPE_H3, methods, h3_gc, NULL);
    luaL_getmetatable(L, TYPE_H3);
    lua_getfield(L, -1, "__index");
    neap_lua_set_functions(L, neap_lua_transfer_methods);
    lua_pop(L, 2);
    lua_pushcfunction(L, core_h3);
    lua_setfield(L, -2, "h3");
    lua_pushcfunction(L, http_code);
    lua_setfield(L, -2, "http_code");
}
