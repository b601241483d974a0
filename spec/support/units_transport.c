/* A transport over a stream of bytes (core/tcp), of which the spec is the peer, byte by byte, and the clock. */
#include "base/pool.h"
#include "tcp/http1.h"
#include "tcp/http2.h"
#include "units_http.h"

#include <lauxlib.h>
#include <lua.h>
#include <stdlib.h>
#include <string.h>

#define TYPE "neap.units.transport"

int neap_units_transport(lua_State *L);

struct unit {
    struct transport *transport;
    struct transport_stats stats;
    struct pool *pool;
    uint64_t until_failure; /* the allocation that fails next, counted from 1; 0 none */
    neap_time now;
};

static void *failing_realloc(void *context, void *pointer, size_t size)
{
    struct unit *unit = context;

    if (size == 0) {
        free(pointer);
        return NULL;
    }
    if (unit->until_failure > 0 && --unit->until_failure == 0)
        return NULL;
    return realloc(pointer, size);
}

static struct unit *check_unit(lua_State *L)
{
    struct unit *unit = luaL_checkudata(L, 1, TYPE);

    luaL_argcheck(L, unit->transport, 1, "the transport is gone");
    return unit;
}

static uint64_t check_id(lua_State *L, int at)
{
    return (uint64_t)luaL_checknumber(L, at);
}

static int push_result(lua_State *L, int64_t result)
{
    if (result >= 0) {
        lua_pushnumber(L, (lua_Number)result);
        return 1;
    }
    lua_pushnil(L);
    lua_pushnumber(L, (lua_Number)result);
    return 2;
}

static uint64_t number_of(lua_State *L, const char *name, uint64_t otherwise)
{
    lua_getfield(L, 1, name);
    uint64_t value = lua_isnil(L, -1) ? otherwise : (uint64_t)lua_tonumber(L, -1);
    lua_pop(L, 1);
    return value;
}

static bool flag_of(lua_State *L, const char *name)
{
    lua_getfield(L, 1, name);
    bool value = lua_toboolean(L, -1);
    lua_pop(L, 1);
    return value;
}

typedef struct transport *new_fn(struct pool *pool, const struct transport_config *config, neap_time now);

static const struct {
    const char *name;
    new_fn *new;
} protocols[] = {
    {"http1", neap_http1_new},
#ifdef NEAP_HAVE_NGHTTP2
    {"http2", neap_http2_new},
#endif
};

/* http1{ server =, secure =, to_proxy =, max_field_section_size =, header_timeout =, idle_timeout =, memory_limit =,
 * fail = }, times in ns; http2 likewise -> unit, nil without memory */
static int new_unit(lua_State *L)
{
    luaL_checktype(L, 1, LUA_TTABLE);
    struct unit *unit = lua_newuserdata(L, sizeof *unit);
    struct transport_config config = {
        .is_server = flag_of(L, "server"),
        .is_secure = flag_of(L, "secure"),
        .to_proxy = flag_of(L, "to_proxy"),
        .max_field_section_size = number_of(L, "max_field_section_size", 0),
        .header_timeout = number_of(L, "header_timeout", 0),
        .idle_timeout = number_of(L, "idle_timeout", 0),
        .stats = &unit->stats,
    };

    *unit = (struct unit){.now = NEAP_SECOND};
    luaL_getmetatable(L, TYPE);
    lua_setmetatable(L, -2);
    unit->pool = neap_pool_new(failing_realloc, unit, (size_t)number_of(L, "memory_limit", 0));
    unit->until_failure = number_of(L, "fail", 0);
    unit->transport =
        unit->pool ? protocols[lua_tointeger(L, lua_upvalueindex(1))].new(unit->pool, &config, unit->now)
                   : NULL;
    return unit->transport ? 1 : 0;
}

/* unit:free() -> bytes that are still in use */
static int unit_free(lua_State *L)
{
    struct unit *unit = luaL_checkudata(L, 1, TYPE);
    size_t used = 0;

    if (unit->transport) {
        unit->transport->ops->free(unit->transport);
        used = neap_pool_stats(unit->pool).used;
    }
    neap_pool_release(unit->pool);
    unit->transport = NULL;
    unit->pool = NULL;
    lua_pushnumber(L, (lua_Number)used);
    return 1;
}

/* unit:receive(bytes) -> taken | nil, error */
static int unit_receive(lua_State *L)
{
    struct unit *unit = check_unit(L);
    size_t size;
    const char *bytes = luaL_checklstring(L, 2, &size);
    uint8_t *copy = malloc(size ? size : 1); /* of their size, so that the sanitizer sees one too many */

    memcpy(copy, bytes, size);
    int64_t taken = unit->transport->ops->receive(unit->transport, copy, size, unit->now);
    free(copy);
    return push_result(L, taken);
}

static int unit_end_of_input(lua_State *L)
{
    struct unit *unit = check_unit(L);

    unit->transport->ops->end_of_input(unit->transport, unit->now);
    return 0;
}

/* unit:send([most]) -> bytes */
static int unit_send(lua_State *L)
{
    struct unit *unit = check_unit(L);
    size_t most = (size_t)luaL_optinteger(L, 2, 1 << 17);
    uint8_t *room = malloc(most ? most : 1);

    lua_pushlstring(L, (char *)room, unit->transport->ops->send(unit->transport, room, most));
    free(room);
    return 1;
}

static int unit_is_over(lua_State *L)
{
    struct unit *unit = check_unit(L);

    lua_pushboolean(L, unit->transport->ops->is_over(unit->transport));
    return 1;
}

static int unit_sends_no_more(lua_State *L)
{
    struct unit *unit = check_unit(L);

    lua_pushboolean(L, unit->transport->ops->sends_no_more(unit->transport));
    return 1;
}

/* unit:pass(seconds): time goes on, and timers that are due run */
static int unit_pass(lua_State *L)
{
    struct unit *unit = check_unit(L);
    const struct transport_ops *ops = unit->transport->ops;
    neap_time until = unit->now + (neap_time)(luaL_checknumber(L, 2) * 1e9);

    for (int turns = 0; ops->deadline(unit->transport) <= until; turns++) {
        if (turns == 100)
            return luaL_error(L, "its timers do not come to rest");
        neap_time at = ops->deadline(unit->transport);
        unit->now = at > unit->now ? at : unit->now;
        ops->on_timeout(unit->transport, unit->now);
    }
    unit->now = until;
    return 0;
}

/* unit:poll() -> event | nil, error */
static int unit_poll(lua_State *L)
{
    struct unit *unit = check_unit(L);
    neap_h3_event event;
    int err = unit->transport->ops->poll(unit->transport, &event);

    if (err)
        return push_result(L, err);
    neap_units_push_event(L, &event);
    return 1;
}

/* unit:send_request(fields, fin) -> stream | nil, error */
static int unit_send_request(lua_State *L)
{
    struct unit *unit = check_unit(L);
    size_t count;
    bool fin = lua_toboolean(L, 3);
    neap_field *fields = neap_units_pair_fields(L, 2, &count);

    return push_result(L, unit->transport->ops->send_request(unit->transport, fields, count, fin));
}

/* unit:send_response(stream, fields, fin) */
static int unit_send_response(lua_State *L)
{
    struct unit *unit = check_unit(L);
    size_t count;
    bool fin = lua_toboolean(L, 4);
    neap_field *fields = neap_units_pair_fields(L, 3, &count);

    return push_result(
        L, unit->transport->ops->send_response(unit->transport, check_id(L, 2), fields, count, fin));
}

/* unit:send_body(stream, bytes, fin) -> taken | nil, error */
static int unit_send_body(lua_State *L)
{
    struct unit *unit = check_unit(L);
    size_t size;
    const char *bytes = luaL_checklstring(L, 3, &size);

    return push_result(L, unit->transport->ops->send_body(unit->transport, check_id(L, 2), bytes, size,
                                                          lua_toboolean(L, 4)));
}

static int unit_body_capacity(lua_State *L)
{
    struct unit *unit = check_unit(L);

    return push_result(L, unit->transport->ops->body_capacity(unit->transport, check_id(L, 2)));
}

/* unit:recv_body(stream [, most]) -> bytes | nil, error */
static int unit_recv_body(lua_State *L)
{
    struct unit *unit = check_unit(L);
    size_t size = (size_t)luaL_optinteger(L, 3, 65536);
    char *room = malloc(size ? size : 1);
    int64_t got = unit->transport->ops->recv_body(unit->transport, check_id(L, 2), room, size);

    if (got >= 0)
        lua_pushlstring(L, room, (size_t)got);
    free(room);
    return got >= 0 ? 1 : push_result(L, got);
}

static int unit_send_trailers(lua_State *L)
{
    struct unit *unit = check_unit(L);
    size_t count;
    neap_field *fields = neap_units_pair_fields(L, 3, &count);

    return push_result(L,
                       unit->transport->ops->send_trailers(unit->transport, check_id(L, 2), fields, count));
}

static int unit_cancel(lua_State *L)
{
    struct unit *unit = check_unit(L);

    return push_result(
        L, unit->transport->ops->cancel(unit->transport, check_id(L, 2),
                                        (uint64_t)luaL_optnumber(L, 3, NEAP_H3_REQUEST_CANCELLED)));
}

static int unit_stop_body(lua_State *L)
{
    struct unit *unit = check_unit(L);

    return push_result(L, unit->transport->ops->stop_body(unit->transport, check_id(L, 2),
                                                          (uint64_t)luaL_optnumber(L, 3, NEAP_H3_NO_ERROR)));
}

static int unit_goaway(lua_State *L)
{
    struct unit *unit = check_unit(L);

    return push_result(L, unit->transport->ops->goaway(unit->transport));
}

static int unit_open_requests(lua_State *L)
{
    struct unit *unit = check_unit(L);

    return push_result(L, (int64_t)unit->transport->ops->open_requests(unit->transport));
}

/* unit:deadline() -> seconds from now, or nil */
static int unit_deadline(lua_State *L)
{
    struct unit *unit = check_unit(L);
    neap_time at = unit->transport->ops->deadline(unit->transport);

    if (at == NEAP_NEVER)
        return 0;
    lua_pushnumber(L, at > unit->now ? (lua_Number)(at - unit->now) / 1e9 : 0);
    return 1;
}

static void set_count(lua_State *L, const char *name, uint64_t count)
{
    lua_pushnumber(L, (lua_Number)count);
    lua_setfield(L, -2, name);
}

/* unit:stats() -> struct transport_stats */
static int unit_stats(lua_State *L)
{
    const struct transport_stats *s = &check_unit(L)->stats;

    lua_newtable(L);
    set_count(L, "requests", s->requests);
    set_count(L, "malformed", s->malformed);
    set_count(L, "too_large", s->too_large);
    set_count(L, "timeouts", s->timeouts);
    set_count(L, "glitches", s->glitches);
    set_count(L, "resets_received", s->resets_received);
    set_count(L, "resets_provoked", s->resets_provoked);
    set_count(L, "streams_refused", s->streams_refused);
    set_count(L, "overloads", s->overloads);
    set_count(L, "waits", s->waits);
    lua_pushstring(L, s->reason);
    lua_setfield(L, -2, "reason");
    return 1;
}

/* unit:memory() -> bytes in use of its pool, the most that were */
static int unit_memory(lua_State *L)
{
    struct pool_stats stats = neap_pool_stats(check_unit(L)->pool);

    lua_pushnumber(L, (lua_Number)stats.used);
    lua_pushnumber(L, (lua_Number)stats.peak);
    return 2;
}

/* unit:fail(n): the n-th allocation from now on fails, once */
static int unit_fail(lua_State *L)
{
    check_unit(L)->until_failure = (uint64_t)luaL_checknumber(L, 2);
    return 0;
}

int neap_units_transport(lua_State *L)
{
    static const luaL_Reg methods[] = {
        {"__gc", unit_free},
        {"free", unit_free},
        {"receive", unit_receive},
        {"end_of_input", unit_end_of_input},
        {"send", unit_send},
        {"is_over", unit_is_over},
        {"sends_no_more", unit_sends_no_more},
        {"deadline", unit_deadline},
        {"pass", unit_pass},
        {"poll", unit_poll},
        {"send_request", unit_send_request},
        {"send_response", unit_send_response},
        {"send_body", unit_send_body},
        {"body_capacity", unit_body_capacity},
        {"recv_body", unit_recv_body},
        {"send_trailers", unit_send_trailers},
        {"cancel", unit_cancel},
        {"stop_body", unit_stop_body},
        {"goaway", unit_goaway},
        {"open_requests", unit_open_requests},
        {"stats", unit_stats},
        {"memory", unit_memory},
        {"fail", unit_fail},
    };

    luaL_newmetatable(L, TYPE);
    lua_pushvalue(L, -1);
    lua_setfield(L, -2, "__index");
    for (size_t i = 0; i < sizeof methods / sizeof methods[0]; i++) {
        lua_pushcfunction(L, methods[i].func);
        lua_setfield(L, -2, methods[i].name);
    }
    lua_pop(L, 1);
    lua_newtable(L);
    for (size_t i = 0; i < sizeof protocols / sizeof protocols[0]; i++) {
        lua_pushinteger(L, (lua_Integer)i);
        lua_pushcclosure(L, new_unit, 1);
        lua_setfield(L, -2, protocols[i].name);
    }
    return 1;
}
