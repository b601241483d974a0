/* The loop in Lua: it waits and moves datagrams; which coroutine goes on is Lua's business. */
#include "binding.h"

#include <errno.h>
#include <signal.h>
#include <stdlib.h>

struct loop_core *neap_lua_check_loop(lua_State *L, int index)
{
    struct loop_core **box = luaL_checkudata(L, index, TYPE_LOOP);

    if (*box == NULL)
        luaL_argerror(L, index, "the loop was not made");
    return *box;
}

static struct loop_core *check_core(lua_State *L)
{
    return neap_lua_check_loop(L, 1);
}

static neap_loop *check_loop(lua_State *L)
{
    struct loop_core *core = check_core(L);

    if (core->loop == NULL)
        luaL_error(L, "the loop is closed");
    return core->loop;
}

void neap_lua_loop_release(struct loop_core *core)
{
    if (core == NULL || --core->references > 0)
        return;
    neap_loop_free(core->loop);
    free(core);
}

static int loop_gc(lua_State *L)
{
    struct loop_core **box = luaL_checkudata(L, 1, TYPE_LOOP);

    neap_lua_loop_release(*box);
    *box = NULL;
    return 0;
}

static int loop_close(lua_State *L)
{
    struct loop_core *core = check_core(L);

    neap_loop_free(core->loop);
    core->loop = NULL;
    return 0;
}

/* core.loop() -> loop */
static int core_loop(lua_State *L)
{
    struct loop_core **box = lua_newuserdata(L, sizeof *box);

    *box = NULL;
    luaL_getmetatable(L, TYPE_LOOP);
    lua_setmetatable(L, -2);
    struct loop_core *core = calloc(1, sizeof *core);
    if (core == NULL)
        return neap_lua_error(L, NEAP_ERR_NO_MEMORY);
    core->references = 1;
    *box = core;
    core->loop = neap_loop_new();
    if (core->loop == NULL)
        return neap_lua_system_error(L, "loop", errno);
    return 1;
}

int neap_lua_loop_error(lua_State *L, const neap_loop *loop, int64_t error)
{
    if (error == NEAP_ERR_NO_MEMORY)
        return neap_lua_error(L, error);
    int count = neap_lua_error_text(L, error, neap_loop_error(loop));
    if (neap_loop_errno(loop) == 0)
        return count;
    lua_pushinteger(L, neap_loop_errno(loop));
    return count + 1;
}

static struct endpoint_core *new_endpoint(lua_State *L, bool is_server, const char **why)
{
    struct endpoint_core *endpoint = neap_lua_new_endpoint(L, neap_lua_check_config(L, 2), is_server, why);

    if (endpoint != NULL) {
        endpoint->loop = check_core(L);
        endpoint->loop->references++;
    }
    return endpoint;
}

size_t neap_lua_check_fds(lua_State *L, int index, int out[FDS_MAX])
{
    if (lua_type(L, index) == LUA_TNUMBER) {
        out[0] = (int)luaL_checkinteger(L, index);
        return 1;
    }
    luaL_checktype(L, index, LUA_TTABLE);
    size_t count = lua_rawlen(L, index);
    luaL_argcheck(L, count >= 1 && count <= FDS_MAX, index, "1 to 6 descriptors");
    for (size_t i = 0; i < count; i++) {
        lua_rawgeti(L, index, (int)i + 1);
        out[i] = (int)luaL_checkinteger(L, -1);
        lua_pop(L, 1);
    }
    return count;
}

/* loop:listen(config, address or descriptors) -> endpoint */
static int loop_listen(lua_State *L)
{
    neap_loop *loop = check_loop(L);
    bool is_address = lua_type(L, 3) == LUA_TSTRING;
    int fds[FDS_MAX];
    size_t count = is_address ? 0 : neap_lua_check_fds(L, 3, fds);
    const char *why = neap_strerror(NEAP_ERR_NO_MEMORY);
    struct endpoint_core *endpoint = new_endpoint(L, true, &why);

    if (endpoint == NULL)
        return neap_lua_error_text(L, NEAP_ERR_ARGUMENT, why);
    int result = is_address ? neap_loop_listen(loop, endpoint->endpoint, lua_tostring(L, 3))
                            : neap_loop_listen_fd(loop, endpoint->endpoint, fds, count);
    if (result == NEAP_OK)
        return 1;
    neap_lua_endpoint_close(endpoint);
    return neap_lua_loop_error(L, loop, result);
}

/* loop:client(config) -> endpoint */
static int loop_client(lua_State *L)
{
    neap_loop *loop = check_loop(L);
    const char *why = neap_strerror(NEAP_ERR_NO_MEMORY);
    struct endpoint_core *endpoint = new_endpoint(L, false, &why);

    if (endpoint == NULL)
        return neap_lua_error_text(L, NEAP_ERR_ARGUMENT, why);
    int result = neap_loop_open(loop, endpoint->endpoint);
    if (result == NEAP_OK)
        return 1;
    neap_lua_endpoint_close(endpoint);
    return neap_lua_loop_error(L, loop, result);
}

/* loop:wait([timeout]) -> true[, seconds], those of a turn that was long enough to be looked at: then it does not wait */
static int loop_wait(lua_State *L)
{
    neap_loop *loop = check_loop(L);
    neap_time timeout = lua_isnoneornil(L, 2) ? NEAP_NEVER : neap_lua_check_time(L, 2);

    lua_pushboolean(L, 1);
    bool was_long = neap_lua_turn_ends(L);
    int result = neap_loop_wait(loop, was_long ? 0 : timeout);
    neap_lua_turn_begins(L);
    if (result != NEAP_OK)
        return neap_lua_loop_error(L, loop, result);
    return was_long ? 2 : 1;
}

/* loop:busy_poll(seconds): what neap_loop_set_busy_poll does */
static int loop_busy_poll(lua_State *L)
{
    neap_loop_set_busy_poll(check_loop(L), neap_lua_check_time(L, 2));
    return 0;
}

/* loop:flush() -> whether there is more to send at once */
static int loop_flush(lua_State *L)
{
    lua_pushboolean(L, neap_loop_flush(check_loop(L)));
    return 1;
}

static int loop_now(lua_State *L)
{
    check_core(L);
    neap_lua_push_time(L, neap_loop_now());
    return 1;
}

/* loop:resolve(host, port) -> id */
static int loop_resolve(lua_State *L)
{
    neap_loop *loop = check_loop(L);
    const char *host = luaL_checkstring(L, 2);
    uint64_t port = neap_lua_check_u64(L, 3);

    luaL_argcheck(L, port <= UINT16_MAX, 3, "a port is at most 65535");
    int64_t id = neap_loop_resolve(loop, host, (uint16_t)port);
    if (id < 0)
        return neap_lua_loop_error(L, loop, id);
    neap_lua_push_u64(L, (uint64_t)id);
    return 1;
}

/* loop:resolved() -> id, addresses | id, nil, message */
static int loop_resolved(lua_State *L)
{
    neap_loop *loop = check_loop(L);
    neap_resolved resolved;

    if (!neap_loop_resolved(loop, &resolved)) {
        lua_pushnil(L);
        return 1;
    }
    neap_lua_push_u64(L, resolved.id);
    if (resolved.count == 0) {
        lua_pushnil(L);
        lua_pushstring(L, resolved.error);
        return 3;
    }
    lua_createtable(L, (int)resolved.count, 0);
    for (size_t i = 0; i < resolved.count; i++) {
        neap_lua_push_address(L, &resolved.addresses[i]);
        lua_rawseti(L, -2, (int)i + 1);
    }
    return 2;
}

/* loop:next_watch() -> descriptor of the next socket that is ready, nil */
static int loop_next_watch(lua_State *L)
{
    return neap_lua_next_watch(L, check_loop(L));
}

static int loop_catch_signals(lua_State *L)
{
    neap_loop *loop = check_loop(L);
    int result = neap_loop_catch_signals(loop);

    if (result != NEAP_OK)
        return neap_lua_loop_error(L, loop, result);
    lua_pushboolean(L, 1);
    return 1;
}

static int loop_signal(lua_State *L)
{
    int number = neap_loop_next_signal(check_loop(L));

    if (number == SIGTERM)
        lua_pushliteral(L, "TERM");
    else if (number == SIGINT)
        lua_pushliteral(L, "INT");
    else if (number == SIGHUP)
        lua_pushliteral(L, "HUP");
    else
        lua_pushnil(L);
    return 1;
}

static int loop_fd(lua_State *L)
{
    lua_pushinteger(L, neap_loop_fd(check_loop(L)));
    return 1;
}

static int loop_timeout(lua_State *L)
{
    neap_lua_push_timeout(L, neap_loop_timeout(check_loop(L)), neap_loop_now());
    return 1;
}

static int loop_stats(lua_State *L)
{
    static const struct figure figures[] = {
        FIGURE(neap_loop_stats, turns),
        FIGURE(neap_loop_stats, receive_calls),
        FIGURE(neap_loop_stats, send_calls),
        FIGURE(neap_loop_stats, messages_received),
        FIGURE(neap_loop_stats, messages_sent),
        FIGURE(neap_loop_stats, bytes_received),
        FIGURE(neap_loop_stats, bytes_sent),
        FIGURE(neap_loop_stats, send_errors),
        FIGURE(neap_loop_stats, receive_errors),
        FIGURE(neap_loop_stats, polls),
        FIGURE(neap_loop_stats, network_changes),
        FIGURE(neap_loop_stats, migrations),
        FIGURE(neap_loop_stats, migration_errors),
    };
    neap_loop_stats stats;

    neap_loop_get_stats(check_loop(L), &stats, sizeof stats);
    lua_createtable(L, 0, 14);
    neap_lua_set_figures(L, &stats, FIGURES(figures));
    lua_pushboolean(L, stats.segmentation);
    lua_setfield(L, -2, "segmentation");
    return 1;
}

void neap_lua_open_loop(lua_State *L)
{
    static const luaL_Reg methods[] = {
        {"listen", loop_listen},
        {"client", loop_client},
        {"listen_tcp", neap_lua_loop_listen_tcp},
        {"connect_tcp", neap_lua_loop_connect_tcp},
        {"wait", loop_wait},
        {"flush", loop_flush},
        {"now", loop_now},
        {"resolve", loop_resolve},
        {"resolved", loop_resolved},
        {"watch", neap_lua_loop_watch},
        {"next_watch", loop_next_watch},
        {"catch_signals", loop_catch_signals},
        {"signal", loop_signal},
        {"fd", loop_fd},
        {"timeout", loop_timeout},
        {"stats", loop_stats},
        {"busy_poll", loop_busy_poll},
        {"close", loop_close},
        {NULL, NULL},
    };

    neap_lua_new_type(L, TYPE_LOOP, methods, loop_gc, NULL);
    lua_pushcfunction(L, core_loop);
    lua_setfield(L, -2, "loop");
}
