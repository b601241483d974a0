/* A connection in Lua: the script's own (core.connect, core.accept) or one of an endpoint's. */
#include "binding.h"

#include <stdlib.h>
#include <string.h>

#define REASON_MAX 256

/* Why a connection ended, kept after it is freed. */
struct close_copy {
    neap_close_info info;
    char reason[REASON_MAX + 1];
};

struct conn_core *neap_lua_check_conn(lua_State *L, int index)
{
    struct conn_core **box = luaL_checkudata(L, index, TYPE_CONN);

    if (*box == NULL)
        luaL_argerror(L, index, "the connection was not made");
    return *box;
}

struct conn_core *neap_lua_new_conn(lua_State *L, struct config_core *config, struct endpoint_core *endpoint)
{
    struct conn_core **box = lua_newuserdata(L, sizeof *box);

    *box = NULL;
    luaL_getmetatable(L, TYPE_CONN);
    lua_setmetatable(L, -2);
    struct conn_core *core = calloc(1, sizeof *core);
    if (core == NULL)
        luaL_error(L, "not enough memory");
    core->references = 1;
    core->config = endpoint == NULL ? neap_lua_config_retain(config) : NULL;
    core->anchor = LUA_NOREF;
    core->endpoint = endpoint;
    if (endpoint != NULL)
        endpoint->references++;
    *box = core;
    return core;
}

void neap_lua_conn_start(struct conn_core *core, neap_conn *conn)
{
    core->conn = conn;
    neap_conn_set_user(conn, core);
    if (core->endpoint == NULL)
        return;
    core->next = core->endpoint->conns;
    core->from = &core->endpoint->conns;
    if (core->next != NULL)
        core->next->from = &core->next;
    core->endpoint->conns = core;
}

static void copy_close_info(struct conn_core *core)
{
    struct close_copy *copy = malloc(sizeof *copy);

    if (copy == NULL) /* then error() knows only that it is closed */
        return;
    neap_conn_close_info(core->conn, &copy->info, sizeof copy->info);
    size_t size = copy->info.reason_size < REASON_MAX ? copy->info.reason_size : REASON_MAX;
    if (size > 0)
        memcpy(copy->reason, copy->info.reason, size);
    copy->reason[size] = '\0';
    copy->info.reason = copy->reason;
    copy->info.reason_size = size;
    core->closed = copy;
}

void neap_lua_conn_die(struct conn_core *core)
{
    if (core->conn == NULL)
        return;
    copy_close_info(core);
    neap_h3_free(core->h3);
    core->h3 = NULL;
    neap_conn_set_user(core->conn, NULL);
    core->conn = NULL;
    if (core->from != NULL) {
        *core->from = core->next;
        if (core->next != NULL)
            core->next->from = core->from;
        core->from = NULL;
    }
}

void neap_lua_conn_anchor(lua_State *L, struct conn_core *core, int index)
{
    lua_pushvalue(L, index);
    core->anchor = luaL_ref(L, LUA_REGISTRYINDEX);
}

void neap_lua_conn_unanchor(lua_State *L, struct conn_core *core)
{
    luaL_unref(L, LUA_REGISTRYINDEX, core->anchor);
    core->anchor = LUA_NOREF;
}

void neap_lua_conn_release(struct conn_core *core)
{
    if (core == NULL || --core->references > 0)
        return;
    neap_conn *conn = core->conn;
    neap_lua_conn_die(core);
    if (core->endpoint != NULL) {
        if (conn != NULL)
            neap_endpoint_release(core->endpoint->endpoint, conn);
        neap_lua_endpoint_release(core->endpoint);
    } else {
        neap_conn_free(conn);
    }
    neap_lua_config_release(core->config);
    neap_lua_trace_release(core->trace);
    free(core->closed);
    free(core);
}

static int conn_gc(lua_State *L)
{
    struct conn_core **box = luaL_checkudata(L, 1, TYPE_CONN);

    neap_lua_conn_release(*box);
    *box = NULL;
    return 0;
}

static int conn_to_string(lua_State *L)
{
    struct conn_core *core = neap_lua_check_conn(L, 1);
    neap_address local, peer;

    if (core->conn == NULL) {
        lua_pushfstring(L, "neap.conn: %p closed", (void *)core);
        return 1;
    }
    neap_conn_addresses(core->conn, &local, &peer);
    lua_pushfstring(L, "neap.conn: %p %s ", (void *)core,
                    neap_conn_is_server(core->conn) ? "server" : "client");
    neap_lua_push_address(L, &peer);
    lua_pushstring(L, neap_conn_is_closed(core->conn)        ? " closed"
                      : neap_conn_is_draining(core->conn)    ? " closing"
                      : neap_conn_is_established(core->conn) ? " established"
                                                             : " handshake");
    if (lua_isnil(L, -2)) {
        lua_pushliteral(L, "?");
        lua_replace(L, -3);
    }
    lua_concat(L, 3);
    return 1;
}

/* --- making them */

static neap_time time_or_now(lua_State *L, int index)
{
    neap_time now = neap_loop_now();

    if (lua_istable(L, index)) {
        lua_getfield(L, index, "at");
        if (!lua_isnil(L, -1))
            now = neap_lua_check_time(L, -1);
        lua_pop(L, 1);
    }
    return now;
}

static int start_failed(lua_State *L, const char *why)
{
    return neap_lua_error_text(L, NEAP_ERR_ARGUMENT, why != NULL ? why : neap_strerror(NEAP_ERR_NO_MEMORY));
}

/* core.connect(config, server_name, peer[, { from =, at = }]) -> conn */
static int core_connect(lua_State *L)
{
    struct config_core *config = neap_lua_check_config(L, 1);
    const char *name = luaL_checkstring(L, 2);
    neap_address local = {0}, peer;
    const char *why = NULL;

    neap_lua_check_address(L, 3, &peer);
    local.family = peer.family;
    neap_time now = time_or_now(L, 4);
    if (lua_istable(L, 4))
        neap_lua_address_field(L, 4, "from", &local);
    struct conn_core *core = neap_lua_new_conn(L, config, NULL);
    neap_conn *conn = neap_connect(config->config, name, &local, &peer, now, &why);
    if (conn == NULL)
        return start_failed(L, why);
    neap_lua_qlog_conn(config, conn, now);
    neap_lua_conn_start(core, conn);
    return 1;
}

/* core.accept(config, header, scid, { original_dcid =, from =, to =, at = }) -> conn */
static int core_accept(lua_State *L)
{
    struct config_core *config = neap_lua_check_config(L, 1);
    neap_header header;
    neap_cid scid, original;
    bool after_retry;
    neap_address local = {0}, peer = {0};
    const char *why = NULL;

    neap_lua_check_header(L, 2, &header);
    neap_lua_check_cid(L, 3, &scid);
    luaL_checktype(L, 4, LUA_TTABLE);
    neap_lua_address_field(L, 4, "from", &peer);
    neap_lua_address_field(L, 4, "to", &local);
    if (peer.family == 0)
        luaL_error(L, "'from' must be the address of the peer");
    if (local.family == 0)
        local.family = peer.family;
    neap_time now = time_or_now(L, 4);
    lua_getfield(L, 4, "original_dcid");
    after_retry = !lua_isnil(L, -1);
    if (after_retry)
        neap_lua_check_cid(L, -1, &original);
    struct conn_core *core = neap_lua_new_conn(L, config, NULL);
    neap_conn *conn =
        neap_accept(config->config, &header, &scid, after_retry ? &original : NULL, &local, &peer, now, &why);
    if (conn == NULL)
        return start_failed(L, why);
    neap_lua_qlog_conn(config, conn, now);
    neap_lua_conn_start(core, conn);
    return 1;
}

/* --- datagrams and time: for the script's own connections */

static struct conn_core *check_own(lua_State *L)
{
    struct conn_core *core = neap_lua_check_conn(L, 1);

    if (core->endpoint != NULL)
        luaL_error(L, "the endpoint of this connection moves its datagrams and keeps its timers");
    return core;
}

/* conn:recv(bytes, { from =, to =, ecn =, at = }) -> true */
static int conn_recv(lua_State *L)
{
    struct conn_core *core = check_own(L);
    size_t size;
    const char *bytes = luaL_checklstring(L, 2, &size);
    neap_recv_info info = {0};
    uint8_t scratch[UDP_PAYLOAD_ROOM]; /* decrypted in place; a Lua string must not change */

    luaL_checktype(L, 3, LUA_TTABLE);
    luaL_argcheck(L, size <= sizeof scratch, 2, "larger than any datagram");
    if (core->conn == NULL)
        return neap_lua_error(L, NEAP_ERR_CLOSED);
    neap_conn_addresses(core->conn, &info.to, &info.from);
    neap_lua_address_field(L, 3, "from", &info.from);
    neap_lua_address_field(L, 3, "to", &info.to);
    lua_getfield(L, 3, "ecn");
    info.ecn = (uint8_t)((int)lua_tonumber(L, -1) & 3);
    neap_time now = neap_lua_time_field(L, 3, "at");
    memcpy(scratch, bytes, size);
    return neap_lua_result(L, neap_conn_recv(core->conn, scratch, size, &info, now));
}

/* conn:send(now[, info]) -> bytes, info */
static int conn_send(lua_State *L)
{
    struct conn_core *core = check_own(L);
    neap_time now = neap_lua_check_time(L, 2);
    neap_send_info info = {0};
    uint8_t out[UDP_PAYLOAD_ROOM];

    if (core->conn == NULL)
        return neap_lua_error(L, NEAP_ERR_CLOSED);
    int64_t size = neap_conn_send(core->conn, out, sizeof out, &info, now);
    if (size < 0)
        return neap_lua_error(L, size);
    lua_pushlstring(L, (const char *)out, (size_t)size);
    neap_lua_push_send_info(L, 3, &info);
    return 2;
}

static int conn_timeout(lua_State *L)
{
    struct conn_core *core = check_own(L);
    neap_time now = neap_lua_check_time(L, 2);

    neap_lua_push_timeout(L, core->conn != NULL ? neap_conn_timeout(core->conn) : NEAP_NEVER, now);
    return 1;
}

static int conn_deadline(lua_State *L)
{
    struct conn_core *core = check_own(L);
    neap_time at = core->conn != NULL ? neap_conn_timeout(core->conn) : NEAP_NEVER;

    if (at == NEAP_NEVER)
        lua_pushnil(L);
    else
        neap_lua_push_time(L, at);
    return 1;
}

static int conn_on_timeout(lua_State *L)
{
    struct conn_core *core = check_own(L);
    neap_time now = neap_lua_check_time(L, 2);

    if (core->conn != NULL)
        neap_conn_on_timeout(core->conn, now);
    return 0;
}

/* --- what it is */

static int push_state(lua_State *L, bool (*is)(const neap_conn *), bool when_dead)
{
    struct conn_core *core = neap_lua_check_conn(L, 1);

    lua_pushboolean(L, core->conn != NULL ? is(core->conn) : when_dead);
    return 1;
}

static int conn_is_server(lua_State *L)
{
    struct conn_core *core = neap_lua_check_conn(L, 1);

    lua_pushboolean(L, core->conn != NULL ? neap_conn_is_server(core->conn)
                                          : core->endpoint != NULL && core->endpoint->is_server);
    return 1;
}

static int conn_is_established(lua_State *L)
{
    return push_state(L, neap_conn_is_established, false);
}

static int conn_is_resumed(lua_State *L)
{
    return push_state(L, neap_conn_is_resumed, false);
}

static int conn_is_unreachable(lua_State *L)
{
    return push_state(L, neap_conn_is_unreachable, false);
}

static int conn_has_unchecked_dates(lua_State *L)
{
    return push_state(L, neap_conn_has_unchecked_dates, false);
}

/* conn:early() -> "none" | "offered" | "accepted" | "rejected": what became of its 0-RTT */
static int conn_early(lua_State *L)
{
    static const char *const words[] = {[NEAP_EARLY_NONE] = "none",
                                        [NEAP_EARLY_OFFERED] = "offered",
                                        [NEAP_EARLY_ACCEPTED] = "accepted",
                                        [NEAP_EARLY_REJECTED] = "rejected"};
    struct conn_core *core = neap_lua_check_conn(L, 1);

    lua_pushstring(L, words[core->conn != NULL ? neap_conn_early(core->conn) : NEAP_EARLY_NONE]);
    return 1;
}

static int conn_is_early(lua_State *L)
{
    return push_state(L, neap_conn_is_early, false);
}

/* conn:begin_again() -> true | nil, message, code: who opened streams early, in vain, has let go of them */
static int conn_begin_again(lua_State *L)
{
    struct conn_core *core = neap_lua_check_conn(L, 1);

    if (core->conn == NULL)
        return neap_lua_error(L, NEAP_ERR_CLOSED);
    int result = neap_conn_begin_again(core->conn);
    neap_lua_conn_touch(core);
    return neap_lua_result(L, result);
}

static int conn_group(lua_State *L)
{
    struct conn_core *core = neap_lua_check_conn(L, 1);

    lua_pushstring(L, core->conn != NULL ? neap_conn_group(core->conn) : NULL); /* nil for NULL */
    return 1;
}

static int conn_cipher_suite(lua_State *L)
{
    struct conn_core *core = neap_lua_check_conn(L, 1);

    lua_pushstring(L, core->conn != NULL ? neap_conn_cipher_suite(core->conn) : NULL); /* nil for NULL */
    return 1;
}

static int conn_is_confirmed(lua_State *L)
{
    return push_state(L, neap_conn_is_confirmed, false);
}

static int conn_is_draining(lua_State *L)
{
    return push_state(L, neap_conn_is_draining, true);
}

static int conn_is_closed(lua_State *L)
{
    return push_state(L, neap_conn_is_closed, true);
}

/* conn:psk_identity() -> bytes | nil */
static int conn_psk_identity(lua_State *L)
{
    struct conn_core *core = neap_lua_check_conn(L, 1);
    size_t size = 0;
    const uint8_t *identity = core->conn != NULL ? neap_conn_psk_identity(core->conn, &size) : NULL;

    if (identity == NULL)
        lua_pushnil(L);
    else
        lua_pushlstring(L, (const char *)identity, size);
    return 1;
}

/* conn:ping() -> true | nil, message, "closed": asks the peer for a sign of life. */
static int conn_ping(lua_State *L)
{
    struct conn_core *core = neap_lua_check_conn(L, 1);

    if (core->conn == NULL)
        return neap_lua_error(L, NEAP_ERR_CLOSED);
    int result = neap_conn_ping(core->conn);
    neap_lua_conn_touch(core);
    return neap_lua_result(L, result);
}

/* conn:update_keys() -> true */
static int conn_update_keys(lua_State *L)
{
    struct conn_core *core = neap_lua_check_conn(L, 1);

    if (core->conn == NULL)
        return neap_lua_error(L, NEAP_ERR_CLOSED);
    int result = neap_conn_update_keys(core->conn);
    neap_lua_conn_touch(core);
    return neap_lua_result(L, result);
}

/* conn:keep_alive(true | false | seconds): PINGs keep the connection, until told otherwise or for so long. */
static int conn_keep_alive(lua_State *L)
{
    struct conn_core *core = neap_lua_check_conn(L, 1);

    neap_time span = lua_isboolean(L, 2) ? (lua_toboolean(L, 2) ? NEAP_NEVER : 0) : neap_lua_check_time(L, 2);
    if (core->conn == NULL)
        return neap_lua_error(L, NEAP_ERR_CLOSED);
    neap_conn_keep_alive(core->conn, span);
    neap_lua_conn_touch(core);
    return neap_lua_result(L, 0);
}

/* conn:close([code[, reason[, is_application = true]]]) -> true */
static int conn_close(lua_State *L)
{
    struct conn_core *core = neap_lua_check_conn(L, 1);
    bool is_application = lua_isnoneornil(L, 4) || lua_toboolean(L, 4);
    uint64_t code = lua_isnoneornil(L, 2) ? 0
                    : is_application      ? neap_lua_check_code(L, 2)
                                          : neap_lua_check_u64(L, 2);
    size_t size;
    const char *reason = luaL_optlstring(L, 3, "", &size);

    if (core->conn == NULL)
        return neap_lua_error(L, NEAP_ERR_CLOSED);
    int result = neap_conn_close(core->conn, is_application, code, reason, size);
    neap_lua_conn_touch(core);
    return neap_lua_result(L, result);
}

static const char *close_by_word(enum neap_close_by by)
{
    switch (by) {
    case NEAP_CLOSE_NONE: return "local"; /* released while it was alive */
    case NEAP_CLOSE_LOCAL: return "local";
    case NEAP_CLOSE_PEER: return "peer";
    case NEAP_CLOSE_IDLE: return "idle";
    case NEAP_CLOSE_RESET: return "reset";
    case NEAP_CLOSE_VERSION: return "version";
    case NEAP_CLOSE_HANDSHAKE_TIMEOUT: return "handshake_timeout";
    }
    return "local";
}

/* conn:error() -> nil | { by =, code =, name =, is_application =, reason =, frame_type = } */
static int conn_error(lua_State *L)
{
    struct conn_core *core = neap_lua_check_conn(L, 1);
    neap_close_info info = {.by = NEAP_CLOSE_LOCAL};

    if (core->conn != NULL)
        neap_conn_close_info(core->conn, &info, sizeof info);
    else if (core->closed != NULL)
        info = core->closed->info;
    if (core->conn != NULL && info.by == NEAP_CLOSE_NONE) {
        lua_pushnil(L);
        return 1;
    }
    lua_createtable(L, 0, 6);
    lua_pushstring(L, close_by_word(info.by));
    lua_setfield(L, -2, "by");
    neap_lua_set_u64(L, "code", info.code);
    lua_pushstring(L, neap_wire_error_name(info.code, info.is_application));
    lua_setfield(L, -2, "name");
    lua_pushboolean(L, info.is_application);
    lua_setfield(L, -2, "is_application");
    lua_pushlstring(L, info.reason != NULL ? info.reason : "", info.reason != NULL ? info.reason_size : 0);
    lua_setfield(L, -2, "reason");
    neap_lua_set_u64(L, "frame_type", info.frame_type);
    return 1;
}

static int conn_alpn(lua_State *L)
{
    struct conn_core *core = neap_lua_check_conn(L, 1);
    size_t size = 0;
    const char *alpn = core->conn != NULL ? neap_conn_alpn(core->conn, &size) : NULL;

    if (alpn == NULL)
        lua_pushnil(L);
    else
        lua_pushlstring(L, alpn, size);
    return 1;
}

static int conn_server_name(lua_State *L)
{
    struct conn_core *core = neap_lua_check_conn(L, 1);

    if (core->conn == NULL)
        return neap_lua_error(L, NEAP_ERR_CLOSED);
    lua_pushstring(L, neap_conn_server_name(core->conn));
    return 1;
}

static int conn_version(lua_State *L)
{
    struct conn_core *core = neap_lua_check_conn(L, 1);

    if (core->conn == NULL)
        return neap_lua_error(L, NEAP_ERR_CLOSED);
    neap_lua_push_u64(L, neap_conn_version(core->conn));
    return 1;
}

static int push_one_address(lua_State *L, bool of_peer)
{
    struct conn_core *core = neap_lua_check_conn(L, 1);
    neap_address local, peer;

    if (core->conn == NULL)
        return neap_lua_error(L, NEAP_ERR_CLOSED);
    neap_conn_addresses(core->conn, &local, &peer);
    neap_lua_push_address(L, of_peer ? &peer : &local);
    return 1;
}

static int conn_peer(lua_State *L)
{
    return push_one_address(L, true);
}

static int conn_local_address(lua_State *L)
{
    return push_one_address(L, false);
}

/* conn:ids() -> source, destination, original */
static int conn_ids(lua_State *L)
{
    struct conn_core *core = neap_lua_check_conn(L, 1);
    neap_cid source, destination, original;

    if (core->conn == NULL)
        return neap_lua_error(L, NEAP_ERR_CLOSED);
    neap_conn_ids(core->conn, &source, &destination, &original);
    neap_lua_push_cid(L, &source);
    neap_lua_push_cid(L, &destination);
    neap_lua_push_cid(L, &original);
    return 3;
}

/* conn:source_ids() -> list of those the peer may use now */
static int conn_source_ids(lua_State *L)
{
    struct conn_core *core = neap_lua_check_conn(L, 1);
    neap_cid ids[16];

    if (core->conn == NULL)
        return neap_lua_error(L, NEAP_ERR_CLOSED);
    size_t count = neap_conn_source_ids(core->conn, ids, sizeof ids / sizeof ids[0]);
    count = count < sizeof ids / sizeof ids[0] ? count : sizeof ids / sizeof ids[0];
    lua_createtable(L, (int)count, 0);
    for (size_t i = 0; i < count; i++) {
        neap_lua_push_cid(L, &ids[i]);
        lua_rawseti(L, -2, (int)i + 1);
    }
    return 1;
}

/* conn:release(): give an endpoint's connection back; the script's own is freed at once. */
static int conn_release(lua_State *L)
{
    struct conn_core *core = neap_lua_check_conn(L, 1);
    neap_conn *conn = core->conn;

    if (conn == NULL)
        return 0;
    neap_lua_conn_die(core);
    neap_lua_conn_unanchor(L, core);
    if (core->endpoint != NULL)
        neap_endpoint_release(core->endpoint->endpoint, conn);
    else
        neap_conn_free(conn);
    return 0;
}

void neap_lua_open_conn(lua_State *L)
{
    static const luaL_Reg functions[] = {
        {"connect", core_connect},
        {"accept", core_accept},
        {NULL, NULL},
    };
    static const luaL_Reg methods[] = {
        {"recv", conn_recv},
        {"send", conn_send},
        {"timeout", conn_timeout},
        {"deadline", conn_deadline},
        {"on_timeout", conn_on_timeout},
        {"is_server", conn_is_server},
        {"is_established", conn_is_established},
        {"is_resumed", conn_is_resumed},
        {"is_unreachable", conn_is_unreachable},
        {"has_unchecked_dates", conn_has_unchecked_dates},
        {"psk_identity", conn_psk_identity},
        {"early", conn_early},
        {"is_early", conn_is_early},
        {"begin_again", conn_begin_again},
        {"group", conn_group},
        {"cipher_suite", conn_cipher_suite},
        {"is_confirmed", conn_is_confirmed},
        {"peer_certificates", neap_lua_conn_peer_certificates},
        {"is_draining", conn_is_draining},
        {"is_closed", conn_is_closed},
        {"close", conn_close},
        {"ping", conn_ping},
        {"update_keys", conn_update_keys},
        {"keep_alive", conn_keep_alive},
        {"error", conn_error},
        {"alpn", conn_alpn},
        {"server_name", conn_server_name},
        {"version", conn_version},
        {"peer", conn_peer},
        {"local_address", conn_local_address},
        {"ids", conn_ids},
        {"source_ids", conn_source_ids},
        {"release", conn_release},
        {NULL, NULL},
    };

    neap_lua_new_type(L, TYPE_CONN, methods, conn_gc, conn_to_string);
    luaL_getmetatable(L, TYPE_CONN);
    lua_getfield(L, -1, "__index");
    neap_lua_set_functions(L, neap_lua_stream_methods);
    neap_lua_set_functions(L, neap_lua_steer_methods);
    neap_lua_set_functions(L, neap_lua_trace_methods);
    neap_lua_set_functions(L, neap_lua_datagram_methods);
    neap_lua_set_functions(L, neap_lua_question_methods);
    neap_lua_set_functions(L, neap_lua_conn_id_methods);
    neap_lua_set_functions(L, neap_lua_path_methods);
    neap_lua_set_functions(L, neap_lua_figure_methods);
    lua_pop(L, 2);
    neap_lua_set_functions(L, functions);
}
