/* The paths of a connection in Lua: to look at another way and to go there, and what became of either. */
#include "binding.h"

#include <string.h>

/* What conn:migrate and conn:probe are told. */
struct way {
    neap_address local, peer;
    const char *interface;
    bool has_local, has_peer;
    unsigned flags;
};

static bool flag(lua_State *L, const char *name)
{
    lua_getfield(L, 2, name);
    bool is_set = lua_toboolean(L, -1);

    lua_pop(L, 1);
    return is_set;
}

static void check_fields(lua_State *L)
{
    static const char *const known[] = {"address", "interface", "peer", "at_once", "gone", "backup"};

    for (lua_pushnil(L); lua_next(L, 2) != 0; lua_pop(L, 1)) {
        const char *name = lua_type(L, -2) == LUA_TSTRING ? lua_tostring(L, -2) : "";
        size_t i = 0;

        while (i < sizeof known / sizeof known[0] && strcmp(known[i], name) != 0)
            i++;
        if (i == sizeof known / sizeof known[0])
            luaL_error(L, "unknown option '%s' of a path", name);
    }
}

/* { address =, interface =, peer =, at_once =, gone =, backup = }: the strings live as long as the table. */
static void read_way(lua_State *L, struct way *way)
{
    *way = (struct way){.flags = 0};
    if (lua_isnoneornil(L, 2)) {
        lua_settop(L, 1);
        lua_newtable(L);
    }
    luaL_checktype(L, 2, LUA_TTABLE);
    check_fields(L);
    neap_lua_address_field(L, 2, "address", &way->local);
    neap_lua_address_field(L, 2, "peer", &way->peer);
    way->has_local = way->local.family != 0;
    way->has_peer = way->peer.family != 0;
    lua_getfield(L, 2, "interface");
    if (!lua_isnil(L, -1) && lua_type(L, -1) != LUA_TSTRING)
        luaL_error(L, "'interface' is the name of one, such as \"wlan0\"");
    way->interface = lua_tostring(L, -1);
    if (way->interface != NULL && way->interface[0] == '\0')
        luaL_error(L, "'interface' is the name of one, such as \"wlan0\"");
    lua_pop(L, 1);
    way->flags |= flag(L, "at_once") ? NEAP_MIGRATE_AT_ONCE : 0u;
    way->flags |= flag(L, "gone") ? NEAP_MIGRATE_ADDRESS_GONE : 0u;
    way->flags |= flag(L, "backup") ? NEAP_MIGRATE_BACKUP : 0u;
}

static bool is_known_peer(const neap_conn *conn, const neap_address *peer, const neap_address *in_use)
{
    neap_address preferred;

    return neap_address_equal(peer, in_use) || (neap_conn_preferred_address(conn, peer->family, &preferred) &&
                                                neap_address_equal(peer, &preferred));
}

/* Why nobody can go there, in words, before there is a socket for it; `error` 0: it is to be tried. */
static const char *why_not(const neap_conn *conn, const struct way *way, int *error)
{
    neap_path_info now;

    *error = NEAP_ERR_CLOSED;
    if (neap_conn_is_draining(conn) || neap_conn_is_closed(conn) ||
        neap_conn_paths(conn, 0, &now, sizeof now) == 0)
        return neap_strerror(NEAP_ERR_CLOSED);
    *error = NEAP_ERR_ARGUMENT;
    if (neap_conn_is_server(conn))
        return "a server's connection stays where it is: clients migrate";
    if (way->has_peer && !is_known_peer(conn, &way->peer, &now.peer))
        return "'peer' is neither where the server is nor where it would rather be";
    if (way->has_local && way->local.family != (way->has_peer ? way->peer : now.peer).family)
        return "'address' is not of the family of the server's address: IPv4 and IPv6 do not meet";
    *error = NEAP_ERR_STATE;
    if (!neap_conn_is_confirmed(conn))
        return "the handshake is not confirmed yet, and until then clients stay (RFC 9000 §9)";
    *error = NEAP_OK;
    return NULL;
}

/* The script has the sockets: it says which address it is. */
static int go_by_itself(lua_State *L, struct conn_core *core, const struct way *way)
{
    if (!way->has_local || way->local.port == 0 || way->interface != NULL)
        luaL_error(L,
                   "without a loop 'address' has a port, and 'interface' is for sockets that a loop makes");
    int result = neap_conn_migrate(core->conn, &way->local, way->has_peer ? &way->peer : NULL, way->flags);
    neap_lua_conn_touch(core);
    return neap_lua_result(L, result);
}

static int go(lua_State *L, unsigned flags)
{
    struct conn_core *core = neap_lua_check_conn(L, 1);
    struct way way;

    read_way(L, &way);
    way.flags |= flags;
    if (core->conn == NULL)
        return neap_lua_error(L, NEAP_ERR_CLOSED);
    int error;
    const char *why = why_not(core->conn, &way, &error);
    if (error != NEAP_OK)
        return neap_lua_error_text(L, error, why);
    struct loop_core *loop = core->endpoint != NULL ? core->endpoint->loop : NULL;
    if (loop == NULL)
        return go_by_itself(L, core, &way);
    if (loop->loop == NULL)
        return neap_lua_error(L, NEAP_ERR_CLOSED);
    int result =
        neap_loop_migrate(loop->loop, core->endpoint->endpoint, core->conn, way.has_local ? &way.local : NULL,
                          way.interface, way.has_peer ? &way.peer : NULL, way.flags);
    if (result == NEAP_OK)
        return neap_lua_result(L, result);
    return neap_lua_error_text(L, result, neap_loop_error(loop->loop));
}

/* conn:migrate{ address =, interface =, peer =, at_once =, gone = } -> true | nil, message, code */
static int conn_migrate(lua_State *L)
{
    return go(L, 0);
}

/* conn:probe{ address =, interface =, peer = } -> true | nil, message, code */
static int conn_probe(lua_State *L)
{
    return go(L, NEAP_MIGRATE_PROBE);
}

/* The path IDs ascend. */
static uint32_t newest_path_id(const neap_conn *conn)
{
    neap_path_info info;
    uint32_t newest = 0;
    size_t count = neap_conn_paths(conn, 0, &info, sizeof info);

    for (size_t i = 0; i < count; i++) {
        neap_conn_paths(conn, i, &info, sizeof info);
        if (info.path_id > newest)
            newest = info.path_id;
    }
    return newest;
}

/* conn:open_path{ address =, interface =, peer =, backup = } -> path ID | nil, message, code */
static int conn_open_path(lua_State *L)
{
    int results = go(L, NEAP_MIGRATE_OPEN);

    if (!lua_toboolean(L, -results))
        return results;
    lua_pushinteger(L, (lua_Integer)newest_path_id(neap_lua_check_conn(L, 1)->conn));
    return 1;
}

static uint32_t check_path_id(lua_State *L, int index)
{
    uint64_t id = neap_lua_check_u64(L, index);

    luaL_argcheck(L, id <= UINT32_MAX, index, "a path ID");
    return (uint32_t)id;
}

static int finish_path_call(lua_State *L, struct conn_core *core, int result)
{
    neap_lua_conn_touch(core);
    return neap_lua_result(L, result);
}

/* conn:close_path(path ID[, code]) -> true | nil, message, code */
static int conn_close_path(lua_State *L)
{
    struct conn_core *core = neap_lua_check_conn(L, 1);
    uint32_t id = check_path_id(L, 2);
    uint64_t code = lua_isnoneornil(L, 3) ? NEAP_APPLICATION_ABANDON_PATH : neap_lua_check_u64(L, 3);

    if (core->conn == NULL)
        return neap_lua_error(L, NEAP_ERR_CLOSED);
    return finish_path_call(L, core, neap_conn_abandon_path(core->conn, id, code));
}

/* conn:set_path_status(path ID, "backup" or "available") -> true | nil, message, code */
static int conn_set_path_status(lua_State *L)
{
    static const char *const words[] = {"available", "backup", NULL};
    struct conn_core *core = neap_lua_check_conn(L, 1);
    uint32_t id = check_path_id(L, 2);
    int is_backup = luaL_checkoption(L, 3, NULL, words);

    if (core->conn == NULL)
        return neap_lua_error(L, NEAP_ERR_CLOSED);
    return finish_path_call(L, core, neap_conn_set_path_backup(core->conn, id, is_backup));
}

/* conn:order_paths{ path ID, … } -> true | nil, message, code */
static int conn_order_paths(lua_State *L)
{
    struct conn_core *core = neap_lua_check_conn(L, 1);
    uint32_t ids[8];
    size_t count;

    luaL_checktype(L, 2, LUA_TTABLE);
    count = lua_rawlen(L, 2);
    luaL_argcheck(L, count <= sizeof ids / sizeof ids[0], 2, "too many path IDs");
    for (size_t i = 0; i < count; i++) {
        lua_rawgeti(L, 2, (int)i + 1);
        ids[i] = check_path_id(L, -1);
        lua_pop(L, 1);
    }
    if (core->conn == NULL)
        return neap_lua_error(L, NEAP_ERR_CLOSED);
    return finish_path_call(L, core, neap_conn_order_paths(core->conn, ids, count));
}

/* conn:is_multipath() -> boolean */
static int conn_is_multipath(lua_State *L)
{
    struct conn_core *core = neap_lua_check_conn(L, 1);

    lua_pushboolean(L, core->conn != NULL && neap_conn_is_multipath(core->conn));
    return 1;
}

static void set_address(lua_State *L, const char *name, const neap_address *address)
{
    neap_lua_push_address(L, address);
    lua_setfield(L, -2, name);
}

static void set_flag(lua_State *L, const char *name, bool value)
{
    lua_pushboolean(L, value);
    lua_setfield(L, -2, name);
}

static void set_seconds(lua_State *L, const char *name, neap_time time)
{
    if (time == 0)
        return;
    neap_lua_push_time(L, time);
    lua_setfield(L, -2, name);
}

static const struct figure figures[] = {
    FIGURE(neap_path_info, congestion_window),
    FIGURE(neap_path_info, bytes_in_flight),
    FIGURE(neap_path_info, max_udp_payload_size),
    FIGURE(neap_path_info, packets_sent),
    FIGURE(neap_path_info, packets_received),
    FIGURE(neap_path_info, packets_lost),
    FIGURE(neap_path_info, packets_retransmitted),
    FIGURE(neap_path_info, spurious_losses),
    FIGURE(neap_path_info, pto_count),
    FIGURE(neap_path_info, bytes_sent),
    FIGURE(neap_path_info, bytes_received),
    FIGURE(neap_path_info, bytes_lost),
    FIGURE(neap_path_info, bytes_acked),
    FIGURE(neap_path_info, stream_bytes_resent),
    FIGURE(neap_path_info, datagrams_sent),
    FIGURE(neap_path_info, datagrams_received),
    FIGURE(neap_path_info, pacing_rate),
    FIGURE(neap_path_info, delivery_rate),
    FIGURE(neap_path_info, max_bandwidth),
    FIGURE(neap_path_info, startup_exit_window),
    FIGURE(neap_path_info, startup_exit_bandwidth),
    FIGURE_TIME(neap_path_info, in_flight_time),
};

static void push_path(lua_State *L, const neap_path_info *info)
{
    static const char *const states[] = {[NEAP_PATH_UNPROVED] = "unproved",
                                         [NEAP_PATH_VALIDATING] = "validating",
                                         [NEAP_PATH_VALIDATED] = "validated"};
    static const char *const exits[] = {NULL, "loss", "hystart", "ecn", "persistent", "bandwidth"};

    lua_createtable(L, 0, 40);
    set_address(L, "local_address", &info->local);
    set_address(L, "peer", &info->peer);
    lua_pushstring(L, states[info->state]);
    lua_setfield(L, -2, "state");
    set_flag(L, "is_active", info->is_active);
    set_flag(L, "is_preferred", info->is_preferred);
    set_seconds(L, "rtt", info->rtt_smoothed);
    set_seconds(L, "rtt_min", info->rtt_min);
    set_seconds(L, "rtt_latest", info->rtt_latest);
    set_seconds(L, "rtt_max", info->rtt_max);
    set_seconds(L, "rtt_var", info->rtt_var);
    neap_lua_set_figures(L, info, FIGURES(figures));
    lua_pushstring(L, exits[info->startup_exit]);
    lua_setfield(L, -2, "startup_exit");
    lua_pushstring(L, info->congestion_control);
    lua_setfield(L, -2, "congestion_control");
    lua_pushstring(L, info->congestion_state);
    lua_setfield(L, -2, "congestion_state");
    neap_lua_set_u64(L, "path_id", info->path_id);
    set_flag(L, "is_open", info->is_open);
    set_flag(L, "is_backup", info->is_backup);
    set_flag(L, "is_peer_backup", info->is_peer_backup);
}

/* conn:paths() -> list, the active one first */
static int conn_paths(lua_State *L)
{
    struct conn_core *core = neap_lua_check_conn(L, 1);
    neap_path_info info;

    if (core->conn == NULL)
        return neap_lua_error(L, NEAP_ERR_CLOSED);
    size_t count = neap_conn_paths(core->conn, 0, &info, sizeof info);
    lua_createtable(L, (int)count, 0);
    for (size_t i = 0; i < count; i++) {
        neap_conn_paths(core->conn, i, &info, sizeof info);
        push_path(L, &info);
        lua_rawseti(L, -2, (int)i + 1);
    }
    return 1;
}

/* conn:path_event() -> { kind =, local_address =, peer =, lost =, path_id =, code = } | nil */
static int conn_path_event(lua_State *L)
{
    static const char *const kinds[] = {
        [NEAP_PATH_EVENT_VALIDATED] = "path_validated", [NEAP_PATH_EVENT_FAILED] = "path_failed",
        [NEAP_PATH_EVENT_MIGRATED] = "migrated",        [NEAP_PATH_EVENT_PEER_MIGRATED] = "peer_migrated",
        [NEAP_PATH_EVENT_OPENED] = "path_opened",       [NEAP_PATH_EVENT_CLOSED] = "path_closed",
        [NEAP_PATH_EVENT_STATUS] = "path_status"};
    struct conn_core *core = neap_lua_check_conn(L, 1);
    neap_path_event event;

    if (core->conn == NULL || !neap_conn_next_path_event(core->conn, &event, sizeof event)) {
        lua_pushnil(L);
        return 1;
    }
    lua_createtable(L, 0, 6);
    lua_pushstring(L, kinds[event.kind]);
    lua_setfield(L, -2, "kind");
    set_address(L, "local_address", &event.local);
    set_address(L, "peer", &event.peer);
    neap_lua_set_u64(L, "lost", event.lost);
    neap_lua_set_u64(L, "path_id", event.path_id);
    if (event.kind == NEAP_PATH_EVENT_CLOSED)
        neap_lua_set_u64(L, "code", event.code);
    return 1;
}

/* conn:preferred_address(4 or 6) -> address | nil */
static int conn_preferred_address(lua_State *L)
{
    struct conn_core *core = neap_lua_check_conn(L, 1);
    uint64_t family = neap_lua_check_u64(L, 2);
    neap_address address = {0};

    luaL_argcheck(L, family == 4 || family == 6, 2, "4 or 6");
    if (core->conn != NULL)
        neap_conn_preferred_address(core->conn, (unsigned)family, &address);
    neap_lua_push_address(L, &address);
    return 1;
}

const luaL_Reg neap_lua_path_methods[] = {
    {"migrate", conn_migrate},
    {"probe", conn_probe},
    {"open_path", conn_open_path},
    {"close_path", conn_close_path},
    {"set_path_status", conn_set_path_status},
    {"order_paths", conn_order_paths},
    {"is_multipath", conn_is_multipath},
    {"paths", conn_paths},
    {"path_event", conn_path_event},
    {"preferred_address", conn_preferred_address},
    {NULL, NULL},
};

/* --- endpoints */

/* endpoint:follow_routes() -> true | nil, message, code */
int neap_lua_endpoint_follow_routes(lua_State *L)
{
    struct endpoint_core *core = neap_lua_check_endpoint(L, 1);

    if (core->endpoint == NULL || core->loop == NULL || core->loop->loop == NULL)
        return neap_lua_error(L, NEAP_ERR_CLOSED);
    int result = neap_loop_follow_routes(core->loop->loop, core->endpoint);
    if (result == NEAP_OK)
        return neap_lua_result(L, result);
    return neap_lua_error_text(L, result, neap_loop_error(core->loop->loop));
}

/* endpoint:listen_also(address) -> true | nil, message, code */
int neap_lua_endpoint_listen_also(lua_State *L)
{
    struct endpoint_core *core = neap_lua_check_endpoint(L, 1);
    neap_address address;

    neap_lua_check_address(L, 2, &address);
    if (core->endpoint == NULL || core->loop == NULL || core->loop->loop == NULL)
        return neap_lua_error(L, NEAP_ERR_CLOSED);
    int result = neap_loop_listen_also(core->loop->loop, core->endpoint, &address);
    if (result == NEAP_OK)
        return neap_lua_result(L, result);
    return neap_lua_error_text(L, result, neap_loop_error(core->loop->loop));
}

/* --- configs */

static void take_preferred(lua_State *L, int index, neap_address *v4, neap_address *v6)
{
    neap_address address;
    const char *text = lua_type(L, index) == LUA_TSTRING ? lua_tostring(L, index) : NULL;

    if (text == NULL || neap_address_parse(text, 0, &address) != NEAP_OK || address.port == 0)
        luaL_error(L, "option 'preferred_address': an address with a port, or one of IPv4 and one of IPv6");
    neap_address *place = address.family == 4 ? v4 : v6;
    if (place->family != 0)
        luaL_error(L, "option 'preferred_address': one of each family");
    *place = address;
}

void neap_lua_set_preferred_address(lua_State *L, struct config_core *core)
{
    neap_address v4 = {0}, v6 = {0};

    lua_getfield(L, 1, "preferred_address");
    int index = lua_gettop(L);
    if (lua_istable(L, index)) {
        for (int i = 1; i <= (int)lua_rawlen(L, index); i++) {
            lua_rawgeti(L, index, i);
            take_preferred(L, index + 1, &v4, &v6);
            lua_pop(L, 1);
        }
    } else if (!lua_isnil(L, index)) {
        take_preferred(L, index, &v4, &v6);
    }
    lua_pop(L, 1);
    if ((v4.family != 0 || v6.family != 0) &&
        neap_config_set_preferred_address(core->config, v4.family != 0 ? &v4 : NULL,
                                          v6.family != 0 ? &v6 : NULL) != NEAP_OK)
        luaL_error(L, "option 'preferred_address': the address of one host");
}
