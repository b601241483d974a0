/* One end of a connection of HTTP/2, for specs: bytes go in and out as strings, time is told. A peer is another one, or frames
 * that the spec makes. */
#include "tcp/http2.h"

#include "base/pool.h"
#include "units_http.h"

#include <lauxlib.h>
#include <lua.h>
#include <stdlib.h>
#include <string.h>

#define TYPE "neap.units.http2"
#define SENT_MOST (1u << 20)

int neap_units_http2(lua_State *L);

#ifdef NEAP_HAVE_NGHTTP2

struct end {
    struct transport *transport;
    struct pool *pool;
    struct transport_stats stats;
    neap_time now;
    uint64_t until_failure; /* the allocation that fails next, counted from 1; 0 none */
    uint64_t failures;
};

static void *failing_realloc(void *context, void *pointer, size_t size)
{
    struct end *end = context;

    if (size == 0) {
        free(pointer);
        return NULL;
    }
    if (end->until_failure > 0 && --end->until_failure == 0) {
        end->failures++;
        return NULL;
    }
    return realloc(pointer, size);
}

static struct end *check_end(lua_State *L)
{
    struct end *end = luaL_checkudata(L, 1, TYPE);

    luaL_argcheck(L, end->transport, 1, "it is freed");
    return end;
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

static uint64_t get_number(lua_State *L, const char *name)
{
    lua_getfield(L, 1, name);
    uint64_t value = (uint64_t)lua_tonumber(L, -1);
    lua_pop(L, 1);
    return value;
}

static bool get_boolean(lua_State *L, const char *name)
{
    lua_getfield(L, 1, name);
    bool value = lua_toboolean(L, -1);
    lua_pop(L, 1);
    return value;
}

/* new{ server =, secure =, max_field_section_size =, header_timeout =, idle_timeout = (in seconds), memory_limit =, fail = } →
 * end, or nil without memory */
static int end_new(lua_State *L)
{
    luaL_checktype(L, 1, LUA_TTABLE);
    struct transport_config config = {
        .is_server = get_boolean(L, "server"),
        .is_secure = get_boolean(L, "secure"),
        .max_field_section_size = get_number(L, "max_field_section_size"),
        .header_timeout = get_number(L, "header_timeout") * NEAP_SECOND,
        .idle_timeout = get_number(L, "idle_timeout") * NEAP_SECOND,
    };
    struct end *end = lua_newuserdata(L, sizeof(*end));

    *end = (struct end){.now = NEAP_SECOND};
    config.stats = &end->stats;
    luaL_getmetatable(L, TYPE);
    lua_setmetatable(L, -2);
    end->pool = neap_pool_new(failing_realloc, end, get_number(L, "memory_limit"));
    if (!end->pool)
        return luaL_error(L, "no pool");
    end->until_failure = get_number(L, "fail");
    end->transport = neap_http2_new(end->pool, &config, end->now);
    if (!end->transport)
        lua_pushnil(L);
    return 1;
}

static int end_free(lua_State *L)
{
    struct end *end = luaL_checkudata(L, 1, TYPE);

    if (end->transport)
        end->transport->ops->free(end->transport);
    if (end->pool)
        neap_pool_release(end->pool);
    end->transport = NULL;
    end->pool = NULL;
    return 0;
}

/* end:receive(bytes) → how many were taken */
static int end_receive(lua_State *L)
{
    struct end *end = check_end(L);
    size_t size;
    const char *bytes = luaL_checklstring(L, 2, &size);
    uint8_t *copy = malloc(size ? size : 1); /* of this size, so that sanitizers see its end */

    memcpy(copy, bytes, size);
    int64_t taken = end->transport->ops->receive(end->transport, copy, size, end->now);
    free(copy);
    return push_result(L, taken);
}

/* end:send([most]) → bytes */
static int end_send(lua_State *L)
{
    struct end *end = check_end(L);
    size_t most = (size_t)luaL_optnumber(L, 2, SENT_MOST);
    uint8_t *out = malloc(most ? most : 1);
    size_t size = end->transport->ops->send(end->transport, out, most);

    lua_pushlstring(L, (const char *)out, size);
    free(out);
    return 1;
}

static int end_end_of_input(lua_State *L)
{
    struct end *end = check_end(L);

    end->transport->ops->end_of_input(end->transport, end->now);
    return 0;
}

static int end_is_over(lua_State *L)
{
    struct end *end = check_end(L);

    lua_pushboolean(L, end->transport->ops->is_over(end->transport));
    return 1;
}

/* end:deadline() → seconds from now, or nil */
static int end_deadline(lua_State *L)
{
    struct end *end = check_end(L);
    neap_time at = end->transport->ops->deadline(end->transport);

    if (at == NEAP_NEVER)
        return 0;
    lua_pushnumber(L, at > end->now ? (lua_Number)(at - end->now) / 1e9 : 0);
    return 1;
}

/* end:pass(seconds): time goes on; what is due is done */
static int end_pass(lua_State *L)
{
    struct end *end = check_end(L);

    end->now += (neap_time)(luaL_checknumber(L, 2) * 1e9);
    if (end->transport->ops->deadline(end->transport) <= end->now)
        end->transport->ops->on_timeout(end->transport, end->now);
    return 0;
}

static int end_poll(lua_State *L)
{
    struct end *end = check_end(L);
    neap_h3_event event;
    int err = end->transport->ops->poll(end->transport, &event);

    if (err)
        return push_result(L, err);
    neap_units_push_event(L, &event);
    return 1;
}

/* end:send_request(fields, fin) → stream */
static int end_send_request(lua_State *L)
{
    struct end *end = check_end(L);
    size_t count;
    const neap_field *fields = neap_units_pair_fields(L, 2, &count);

    return push_result(L,
                       end->transport->ops->send_request(end->transport, fields, count, lua_toboolean(L, 3)));
}

/* end:send_response(stream, fields, fin) */
static int end_send_response(lua_State *L)
{
    struct end *end = check_end(L);
    size_t count;
    const neap_field *fields = neap_units_pair_fields(L, 3, &count);

    return push_result(L, end->transport->ops->send_response(end->transport, check_id(L, 2), fields, count,
                                                             lua_toboolean(L, 4)));
}

/* end:send_body(stream, bytes, fin) → how many were taken */
static int end_send_body(lua_State *L)
{
    struct end *end = check_end(L);
    size_t size;
    const char *bytes = luaL_checklstring(L, 3, &size);

    return push_result(
        L, end->transport->ops->send_body(end->transport, check_id(L, 2), bytes, size, lua_toboolean(L, 4)));
}

static int end_body_capacity(lua_State *L)
{
    struct end *end = check_end(L);

    return push_result(L, end->transport->ops->body_capacity(end->transport, check_id(L, 2)));
}

/* end:recv_body(stream [, most]) → bytes | nil, error */
static int end_recv_body(lua_State *L)
{
    struct end *end = check_end(L);
    size_t size = (size_t)luaL_optnumber(L, 3, 65536);
    char *room = malloc(size ? size : 1);
    int64_t got = end->transport->ops->recv_body(end->transport, check_id(L, 2), room, size);

    if (got >= 0)
        lua_pushlstring(L, room, (size_t)got);
    free(room);
    return got >= 0 ? 1 : push_result(L, got);
}

static int end_send_trailers(lua_State *L)
{
    struct end *end = check_end(L);
    size_t count;
    const neap_field *fields = neap_units_pair_fields(L, 3, &count);

    return push_result(L, end->transport->ops->send_trailers(end->transport, check_id(L, 2), fields, count));
}

static int end_cancel(lua_State *L)
{
    struct end *end = check_end(L);

    return push_result(
        L, end->transport->ops->cancel(end->transport, check_id(L, 2), (uint64_t)luaL_checknumber(L, 3)));
}

static int end_stop_body(lua_State *L)
{
    struct end *end = check_end(L);

    return push_result(
        L, end->transport->ops->stop_body(end->transport, check_id(L, 2), (uint64_t)luaL_checknumber(L, 3)));
}

static int end_goaway(lua_State *L)
{
    struct end *end = check_end(L);

    return push_result(L, end->transport->ops->goaway(end->transport));
}

static int end_open_requests(lua_State *L)
{
    struct end *end = check_end(L);

    lua_pushnumber(L, (lua_Number)end->transport->ops->open_requests(end->transport));
    return 1;
}

/* end:memory() → bytes of the pool that are used, and the most that were */
static int end_memory(lua_State *L)
{
    struct pool_stats stats = neap_pool_stats(check_end(L)->pool);

    lua_pushnumber(L, (lua_Number)stats.used);
    lua_pushnumber(L, (lua_Number)stats.peak);
    return 2;
}

/* end:fail(n): the n-th allocation from now on fails. → how many failed before */
static int end_fail(lua_State *L)
{
    struct end *end = check_end(L);

    end->until_failure = (uint64_t)luaL_checknumber(L, 2);
    lua_pushnumber(L, (lua_Number)end->failures);
    return 1;
}

static void set_count(lua_State *L, const char *name, uint64_t count)
{
    lua_pushnumber(L, (lua_Number)count);
    lua_setfield(L, -2, name);
}

/* end:stats() → struct transport_stats */
static int end_stats(lua_State *L)
{
    const struct transport_stats *stats = &check_end(L)->stats;

    lua_newtable(L);
    set_count(L, "requests", stats->requests);
    set_count(L, "malformed", stats->malformed);
    set_count(L, "too_large", stats->too_large);
    set_count(L, "timeouts", stats->timeouts);
    set_count(L, "glitches", stats->glitches);
    set_count(L, "resets_received", stats->resets_received);
    set_count(L, "resets_provoked", stats->resets_provoked);
    set_count(L, "streams_refused", stats->streams_refused);
    set_count(L, "overloads", stats->overloads);
    set_count(L, "waits", stats->waits);
    return 1;
}

int neap_units_http2(lua_State *L)
{
    static const luaL_Reg methods[] = {
        {"free", end_free},
        {"receive", end_receive},
        {"send", end_send},
        {"end_of_input", end_end_of_input},
        {"is_over", end_is_over},
        {"deadline", end_deadline},
        {"pass", end_pass},
        {"poll", end_poll},
        {"send_request", end_send_request},
        {"send_response", end_send_response},
        {"send_body", end_send_body},
        {"body_capacity", end_body_capacity},
        {"recv_body", end_recv_body},
        {"send_trailers", end_send_trailers},
        {"cancel", end_cancel},
        {"stop_body", end_stop_body},
        {"goaway", end_goaway},
        {"open_requests", end_open_requests},
        {"memory", end_memory},
        {"fail", end_fail},
        {"stats", end_stats},
        {NULL, NULL},
    };

    luaL_newmetatable(L, TYPE);
    lua_pushcfunction(L, end_free);
    lua_setfield(L, -2, "__gc");
    lua_newtable(L);
    for (const luaL_Reg *m = methods; m->name; m++) {
        lua_pushcfunction(L, m->func);
        lua_setfield(L, -2, m->name);
    }
    lua_setfield(L, -2, "__index");
    lua_pop(L, 1);
    lua_newtable(L);
    lua_pushcfunction(L, end_new);
    lua_setfield(L, -2, "new");
    return 1;
}

#else

int neap_units_http2(lua_State *L)
{
    lua_newtable(L);
    return 1;
}

#endif
