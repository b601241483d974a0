/* An endpoint in Lua: many connections behind one socket of a loop, or behind the script's own. */
#include "binding.h"

#include <stdlib.h>
#include <string.h>

static struct endpoint_core *check_endpoint(lua_State *L, int index)
{
    struct endpoint_core **box = luaL_checkudata(L, index, TYPE_ENDPOINT);

    if (*box == NULL)
        luaL_argerror(L, index, "the endpoint was not made");
    return *box;
}

struct endpoint_core *neap_lua_check_endpoint(lua_State *L, int index)
{
    return check_endpoint(L, index);
}

struct endpoint_core *neap_lua_new_endpoint(lua_State *L, struct config_core *config, bool is_server,
                                            const char **why)
{
    struct endpoint_core **box = lua_newuserdata(L, sizeof *box);

    *box = NULL;
    luaL_getmetatable(L, TYPE_ENDPOINT);
    lua_setmetatable(L, -2);
    struct endpoint_core *core = calloc(1, sizeof *core);
    if (core == NULL)
        return NULL;
    core->endpoint = neap_endpoint_new(config->config, is_server, why);
    if (core->endpoint == NULL) {
        free(core);
        return NULL;
    }
    neap_lua_qlog_accepts(config, core->endpoint);
    core->references = 1;
    core->is_server = is_server;
    core->config = neap_lua_config_retain(config);
    *box = core;
    return core;
}

void neap_lua_endpoint_close(struct endpoint_core *core)
{
    if (core->endpoint == NULL)
        return;
    while (core->conns != NULL)
        neap_lua_conn_die(core->conns);
    if (core->loop != NULL && core->loop->loop != NULL)
        neap_loop_detach(core->loop->loop, core->endpoint);
    neap_endpoint_free(core->endpoint);
    core->endpoint = NULL;
}

void neap_lua_endpoint_release(struct endpoint_core *core)
{
    if (core == NULL || --core->references > 0)
        return;
    neap_lua_endpoint_close(core);
    neap_lua_loop_release(core->loop);
    neap_lua_config_release(core->config);
    while (core->more_configs != NULL) {
        struct config_list *entry = core->more_configs;
        core->more_configs = entry->next;
        neap_lua_config_release(entry->config);
        free(entry);
    }
    free(core);
}

/* The endpoint no longer keeps userdata of its connections alive. */
static void unanchor_all(lua_State *L, struct endpoint_core *core)
{
    for (struct conn_core *conn = core->conns; conn != NULL; conn = conn->next)
        neap_lua_conn_unanchor(L, conn);
}

static int endpoint_gc(lua_State *L)
{
    struct endpoint_core **box = luaL_checkudata(L, 1, TYPE_ENDPOINT);

    if (*box != NULL)
        unanchor_all(L, *box);
    neap_lua_endpoint_release(*box);
    *box = NULL;
    return 0;
}

static int endpoint_close(lua_State *L)
{
    struct endpoint_core *core = check_endpoint(L, 1);

    unanchor_all(L, core);
    neap_lua_endpoint_close(core);
    return 0;
}

/* core.endpoint(config, is_server) -> endpoint */
static int core_endpoint(lua_State *L)
{
    struct config_core *config = neap_lua_check_config(L, 1);

    const char *why = neap_strerror(NEAP_ERR_NO_MEMORY);

    if (neap_lua_new_endpoint(L, config, lua_toboolean(L, 2), &why) == NULL)
        return neap_lua_error_text(L, NEAP_ERR_ARGUMENT, why);
    return 1;
}

/* endpoint:next() -> conn, whether its handshake asks something new (then conn:question()) */
static int endpoint_next(lua_State *L)
{
    struct endpoint_core *core = check_endpoint(L, 1);
    neap_conn *conn = core->endpoint != NULL ? neap_endpoint_next(core->endpoint) : NULL;

    if (conn == NULL) {
        lua_pushnil(L);
        return 1;
    }
    struct conn_core *seen = neap_conn_user(conn);
    if (seen == NULL) {
        seen = neap_lua_new_conn(L, core->config, core);
        neap_lua_conn_start(seen, conn);
        neap_lua_conn_anchor(L, seen, -1);
    } else {
        lua_rawgeti(L, LUA_REGISTRYINDEX, seen->anchor);
    }
    if (neap_conn_is_closed(conn)) {
        neap_lua_conn_die(seen);
        neap_lua_conn_unanchor(L, seen);
        neap_endpoint_release(core->endpoint, conn);
        return 1;
    }
    lua_pushboolean(L, neap_lua_conn_is_asking_anew(seen));
    return 2;
}

/* Configs that nobody holds any more but the endpoint, and that no connection of it needs. */
static void drop_unused_configs(struct endpoint_core *core)
{
    struct config_list **at = &core->more_configs;

    while (*at != NULL) {
        struct config_list *entry = *at;

        if (entry->config->references > 1 || neap_config_is_in_use(entry->config->config)) {
            at = &entry->next;
            continue;
        }
        *at = entry->next;
        neap_lua_config_release(entry->config);
        free(entry);
    }
}

/* An endpoint's connections may be made with several configs. They live as long as the connections do, also those that Lua has
 * forgotten: what a config calls is its core's. */
static bool keep_config(struct endpoint_core *core, struct config_core *config)
{
    drop_unused_configs(core);
    if (config == core->config)
        return true;
    for (struct config_list *at = core->more_configs; at != NULL; at = at->next) {
        if (at->config == config)
            return true;
    }
    struct config_list *entry = malloc(sizeof *entry);
    if (entry == NULL)
        return false;
    *entry = (struct config_list){.next = core->more_configs, .config = neap_lua_config_retain(config)};
    core->more_configs = entry;
    return true;
}

/* endpoint:connect(server_name, peer[, { config =, from =, at = }]) -> conn */
static int endpoint_connect(lua_State *L)
{
    struct endpoint_core *core = check_endpoint(L, 1);
    const char *name = luaL_checkstring(L, 2);
    struct config_core *config = core->config;
    neap_address local = {0}, peer;
    neap_time now = neap_loop_now();
    const char *why = NULL;

    neap_lua_check_address(L, 3, &peer);
    if (core->endpoint == NULL)
        return neap_lua_error(L, NEAP_ERR_CLOSED);
    local.family = peer.family;
    if (core->loop != NULL && core->loop->loop != NULL) {
        int found = neap_loop_local(core->loop->loop, core->endpoint, &peer, &local);

        if (found == NEAP_ERR_ARGUMENT)
            return neap_lua_error_text(L, NEAP_ERR_UNSUPPORTED, "no socket of this address family");
        if (found != NEAP_OK)
            return neap_lua_error_text(L, found, neap_loop_error(core->loop->loop));
    }
    if (lua_istable(L, 4)) {
        neap_lua_address_field(L, 4, "from", &local);
        lua_getfield(L, 4, "at");
        if (!lua_isnil(L, -1))
            now = neap_lua_check_time(L, -1);
        lua_getfield(L, 4, "config");
        if (!lua_isnil(L, -1))
            config = neap_lua_check_config(L, -1);
    }
    struct conn_core *seen = neap_lua_new_conn(L, config, core);
    if (!keep_config(core, config))
        return neap_lua_error(L, NEAP_ERR_NO_MEMORY);
    neap_conn *conn = neap_endpoint_connect(core->endpoint, config->config, name, &local, &peer, now, &why);
    if (conn == NULL)
        return neap_lua_error_text(L, NEAP_ERR_ARGUMENT,
                                   why != NULL ? why : neap_strerror(NEAP_ERR_NO_MEMORY));
    neap_lua_qlog_conn(config, conn, now);
    neap_lua_conn_start(seen, conn);
    neap_lua_conn_anchor(L, seen, -1);
    return 1;
}

/* --- datagrams, without a loop */

static struct endpoint_core *check_without_loop(lua_State *L)
{
    struct endpoint_core *core = check_endpoint(L, 1);

    if (core->loop != NULL)
        luaL_error(L, "the loop moves the datagrams of this endpoint");
    return core;
}

/* endpoint:recv(bytes, { from =, to =, ecn =, at = }) -> true */
static int endpoint_recv(lua_State *L)
{
    struct endpoint_core *core = check_without_loop(L);
    size_t size;
    const char *bytes = luaL_checklstring(L, 2, &size);
    uint8_t scratch[UDP_PAYLOAD_ROOM];
    neap_udp_datagram datagram = {.bytes = scratch, .size = size};

    luaL_checktype(L, 3, LUA_TTABLE);
    luaL_argcheck(L, size <= sizeof scratch, 2, "larger than any datagram");
    neap_lua_address_field(L, 3, "from", &datagram.from);
    neap_lua_address_field(L, 3, "to", &datagram.to);
    if (datagram.from.family == 0 || datagram.to.family == 0)
        luaL_error(L, "'from' and 'to' must be addresses");
    lua_getfield(L, 3, "ecn");
    datagram.ecn = (uint8_t)((int)lua_tonumber(L, -1) & 3);
    neap_time now = neap_lua_time_field(L, 3, "at");
    if (core->endpoint == NULL)
        return neap_lua_error(L, NEAP_ERR_CLOSED);
    memcpy(scratch, bytes, size);
    return neap_lua_result(L, neap_endpoint_recv(core->endpoint, &datagram, now));
}

/* endpoint:send(now[, info]) -> bytes, info */
static int endpoint_send(lua_State *L)
{
    struct endpoint_core *core = check_without_loop(L);
    neap_time now = neap_lua_check_time(L, 2);
    uint8_t out[UDP_PAYLOAD_ROOM];
    neap_udp_datagram datagram = {.bytes = out};

    if (core->endpoint == NULL)
        return neap_lua_error(L, NEAP_ERR_CLOSED);
    int64_t size;
    do
        size = neap_endpoint_send(core->endpoint, &datagram, sizeof out, now);
    while (size == 0);
    if (size < 0)
        return neap_lua_error(L, size);
    lua_pushlstring(L, (const char *)datagram.bytes, (size_t)size);
    neap_send_info info = {.from = datagram.from, .to = datagram.to, .at = datagram.at, .ecn = datagram.ecn};
    neap_lua_push_send_info(L, 3, &info);
    neap_lua_set_u64(L, "segment_size", datagram.segment_size > 0 ? datagram.segment_size : (uint64_t)size);
    return 2;
}

/* endpoint:too_big(to, passes, quoted): a PTB message of ICMP */
static int endpoint_too_big(lua_State *L)
{
    struct endpoint_core *core = check_without_loop(L);
    neap_address to;
    lua_Number passes = luaL_checknumber(L, 3);
    size_t size;

    neap_lua_check_address(L, 2, &to);
    const char *quoted = luaL_checklstring(L, 4, &size);

    luaL_argcheck(L, passes >= 0 && passes <= UINT16_MAX, 3, "not the size of a UDP payload");
    if (core->endpoint != NULL)
        neap_endpoint_too_big(core->endpoint, &to, (size_t)passes, (const uint8_t *)quoted, size);
    return 0;
}

/* endpoint:unreachable(to, quoted): ICMP says that nobody takes it there */
static int endpoint_unreachable(lua_State *L)
{
    struct endpoint_core *core = check_without_loop(L);
    neap_address to;
    size_t size;

    neap_lua_check_address(L, 2, &to);
    const char *quoted = luaL_checklstring(L, 3, &size);

    if (core->endpoint != NULL)
        neap_endpoint_unreachable(core->endpoint, &to, (const uint8_t *)quoted, size);
    return 0;
}

static int endpoint_timeout(lua_State *L)
{
    struct endpoint_core *core = check_endpoint(L, 1);
    neap_time now = neap_lua_check_time(L, 2);

    neap_lua_push_timeout(L, core->endpoint != NULL ? neap_endpoint_timeout(core->endpoint) : NEAP_NEVER,
                          now);
    return 1;
}

static int endpoint_deadline(lua_State *L)
{
    struct endpoint_core *core = check_endpoint(L, 1);
    neap_time at = core->endpoint != NULL ? neap_endpoint_timeout(core->endpoint) : NEAP_NEVER;

    if (at == NEAP_NEVER)
        lua_pushnil(L);
    else
        neap_lua_push_time(L, at);
    return 1;
}

static int endpoint_refuse(lua_State *L)
{
    struct endpoint_core *core = check_endpoint(L, 1);

    if (core->endpoint != NULL)
        neap_endpoint_refuse(core->endpoint, lua_toboolean(L, 2));
    return 0;
}

static enum neap_admit let_wait(void *context, const neap_arrival *arrival)
{
    (void)context;
    (void)arrival;
    return NEAP_ADMIT_WAIT;
}

/* endpoint:ask_arrivals(on): new clients wait for endpoint:admit */
static int endpoint_ask_arrivals(lua_State *L)
{
    struct endpoint_core *core = check_endpoint(L, 1);

    if (core->endpoint != NULL)
        neap_endpoint_set_admit(core->endpoint, lua_toboolean(L, 2) ? let_wait : NULL, NULL);
    return 0;
}

/* endpoint:next_arrival() -> id, { from =, to =, dcid =, scid =, version =, has_token =, size =, half_open =, connections = } */
static int endpoint_next_arrival(lua_State *L)
{
    struct endpoint_core *core = check_endpoint(L, 1);
    neap_arrival arrival;
    uint64_t id;

    if (core->endpoint == NULL || !neap_endpoint_next_arrival(core->endpoint, &id, &arrival, sizeof arrival))
        return 0;
    lua_pushnumber(L, (lua_Number)id);
    lua_createtable(L, 0, 9);
    neap_lua_push_address(L, &arrival.from);
    lua_setfield(L, -2, "from");
    neap_lua_push_address(L, &arrival.to);
    lua_setfield(L, -2, "to");
    neap_lua_push_cid(L, &arrival.dcid);
    lua_setfield(L, -2, "dcid");
    neap_lua_push_cid(L, &arrival.scid);
    lua_setfield(L, -2, "scid");
    lua_pushboolean(L, arrival.has_token);
    lua_setfield(L, -2, "has_token");
    neap_lua_set_u64(L, "version", arrival.version);
    neap_lua_set_u64(L, "size", arrival.size);
    neap_lua_set_u64(L, "half_open", arrival.half_open);
    neap_lua_set_u64(L, "connections", arrival.connections);
    return 2;
}

/* endpoint:admit(id, "options", "accept", "retry" or "refuse"[, now]) -> true */
static int endpoint_admit(lua_State *L)
{
    static const char *const words[] = {"options", "accept", "retry", "refuse",
                                        NULL}; /* of enum neap_admit */
    struct endpoint_core *core = check_endpoint(L, 1);
    lua_Number id = luaL_checknumber(L, 2);
    enum neap_admit says = (enum neap_admit)luaL_checkoption(L, 3, NULL, words);
    neap_time now = lua_isnoneornil(L, 4) ? neap_loop_now() : neap_lua_check_time(L, 4);

    luaL_argcheck(L, id >= 0 && id < 0x1p53, 2, "no id of an arrival");
    if (core->endpoint == NULL)
        return neap_lua_error(L, NEAP_ERR_CLOSED);
    return neap_lua_result(L, neap_endpoint_admit(core->endpoint, (uint64_t)id, says, now));
}

static int endpoint_rotate_ids(lua_State *L)
{
    struct endpoint_core *core = check_endpoint(L, 1);

    if (core->endpoint != NULL)
        neap_endpoint_rotate_ids(core->endpoint);
    return 0;
}

static int endpoint_address(lua_State *L)
{
    struct endpoint_core *core = check_endpoint(L, 1);
    neap_address bound = {0};

    if (core->endpoint != NULL && core->loop != NULL && core->loop->loop != NULL)
        neap_loop_address(core->loop->loop, core->endpoint, 0, &bound);
    neap_lua_push_address(L, &bound);
    return 1;
}

static int endpoint_stats(lua_State *L)
{
    static const struct figure figures[] = {
        FIGURE(neap_endpoint_stats, connections),
        FIGURE(neap_endpoint_stats, half_open),
        FIGURE(neap_endpoint_stats, accepted),
        FIGURE(neap_endpoint_stats, refused),
        FIGURE(neap_endpoint_stats, retries_sent),
        FIGURE(neap_endpoint_stats, version_negotiations_sent),
        FIGURE(neap_endpoint_stats, resets_sent),
        FIGURE(neap_endpoint_stats, udp_datagrams_received),
        FIGURE(neap_endpoint_stats, udp_datagrams_dropped),
        FIGURE(neap_endpoint_stats, handshakes_delayed),
        FIGURE(neap_endpoint_stats, accept_failures),
        FIGURE(neap_endpoint_stats, receive_held),
        FIGURE(neap_endpoint_stats, answers_waiting),
        FIGURE(neap_endpoint_stats, answers_dropped),
        FIGURE(neap_endpoint_stats, answers_most),
        FIGURE(neap_endpoint_stats, tokens_accepted),
        FIGURE(neap_endpoint_stats, tokens_refused),
        FIGURE(neap_endpoint_stats, arrivals_waiting),
        FIGURE(neap_endpoint_stats, arrivals_overflowed),
        FIGURE(neap_endpoint_stats, arrivals_dropped),
        FIGURE(neap_endpoint_stats, resets_withheld),
        FIGURE(neap_endpoint_stats, first_packets_repeated),
    };
    struct endpoint_core *core = check_endpoint(L, 1);
    neap_endpoint_stats stats;

    if (core->endpoint == NULL)
        return neap_lua_error(L, NEAP_ERR_CLOSED);
    neap_endpoint_get_stats(core->endpoint, &stats, sizeof stats);
    lua_createtable(L, 0, 22);
    neap_lua_set_figures(L, &stats, FIGURES(figures));
    return 1;
}

static int endpoint_to_string(lua_State *L)
{
    struct endpoint_core *core = check_endpoint(L, 1);

    lua_pushfstring(L, "neap.endpoint: %p %s%s", (void *)core, core->is_server ? "server" : "client",
                    core->endpoint != NULL ? "" : " closed");
    return 1;
}

void neap_lua_open_endpoint(lua_State *L)
{
    static const luaL_Reg methods[] = {
        {"next", endpoint_next},
        {"connect", endpoint_connect},
        {"recv", endpoint_recv},
        {"send", endpoint_send},
        {"too_big", endpoint_too_big},
        {"unreachable", endpoint_unreachable},
        {"timeout", endpoint_timeout},
        {"deadline", endpoint_deadline},
        {"refuse", endpoint_refuse},
        {"address", endpoint_address},
        {"stats", endpoint_stats},
        {"rotate_ids", endpoint_rotate_ids},
        {"ask_arrivals", endpoint_ask_arrivals},
        {"next_arrival", endpoint_next_arrival},
        {"admit", endpoint_admit},
        {"close", endpoint_close},
        {"follow_routes", neap_lua_endpoint_follow_routes},
        {"listen_also", neap_lua_endpoint_listen_also},
        {NULL, NULL},
    };

    neap_lua_new_type(L, TYPE_ENDPOINT, methods, endpoint_gc, endpoint_to_string);
    lua_pushcfunction(L, core_endpoint);
    lua_setfield(L, -2, "endpoint");
}
