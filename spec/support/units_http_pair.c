/* A client and a server connection back to back in virtual time, for specs of http/: either side may speak HTTP/3
 * through neap_h3_*, or be driven stream by stream, which is how a hostile peer is played. */
#include "units_http.h"

#include <lauxlib.h>
#include <lua.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define TYPE "neap.units.http_pair"
#define DELAY_NS (1 * NEAP_MILLISECOND)
#define QUIET_NS (200 * NEAP_MILLISECOND) /* a timer further away than this ends a run */
#define STEPS_MAX 200000
#define QUEUE_MAX 4096

int neap_units_http_pair(lua_State *L);

struct packet {
    uint8_t bytes[1500];
    size_t size;
    neap_time arrives;
};

struct side {
    neap_config *config;
    neap_conn *conn;
    neap_h3 *h3;
    neap_address address;
    struct packet *inbox; /* a ring, in order of arrival */
    size_t first, count;
    uint64_t seed;
    uint64_t until_failure; /* the allocation that fails next, counted from 1; 0 none */
    uint64_t failures;
    bool is_deaf;
};

struct pair {
    struct side sides[2]; /* client, server */
    neap_time now;
};

static int seeded_random(void *context, uint8_t *out, size_t size)
{
    uint64_t *state =
        &((struct side *)context)->seed; /* splitmix64: the library's own generator does the rest */

    for (size_t i = 0; i < size; i++) {
        uint64_t z = *state += UINT64_C(0x9e3779b97f4a7c15);
        z = (z ^ (z >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
        z = (z ^ (z >> 27)) * UINT64_C(0x94d049bb133111eb);
        out[i] = (uint8_t)((z ^ (z >> 31)) >> 16);
    }
    return 0;
}

static void *failing_realloc(void *context, void *pointer, size_t size)
{
    struct side *side = context;

    if (size == 0) {
        free(pointer);
        return NULL;
    }
    if (side->until_failure > 0 && --side->until_failure == 0) {
        side->failures++;
        return NULL;
    }
    return realloc(pointer, size);
}

static struct pair *check_pair(lua_State *L)
{
    return luaL_checkudata(L, 1, TYPE);
}

static struct side *check_side(lua_State *L, int at)
{
    static const char *const names[] = {"client", "server", NULL};
    struct pair *pair = check_pair(L);

    return &pair->sides[luaL_checkoption(L, at, NULL, names)];
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

/* ---- the network */

static void send_all(lua_State *L, struct pair *pair, struct side *from, struct side *to, bool *any)
{
    uint8_t bytes[1500];
    neap_send_info info;
    int64_t size;

    while (from->conn && (size = neap_conn_send(from->conn, bytes, sizeof(bytes), &info, pair->now)) > 0) {
        if (to->is_deaf)
            continue;
        if (to->count == QUEUE_MAX)
            luaL_error(L, "network queue full");
        struct packet *packet = &to->inbox[(to->first + to->count++) % QUEUE_MAX];
        memcpy(packet->bytes, bytes, (size_t)size);
        packet->size = (size_t)size;
        packet->arrives = (info.at > pair->now ? info.at : pair->now) + DELAY_NS;
        *any = true;
    }
}

static void accept_first(lua_State *L, struct pair *pair, struct side *server, const struct packet *packet)
{
    neap_header header;
    neap_cid scid;
    const char *why = NULL;

    if (neap_header_info(packet->bytes, packet->size, 8, &header) != 0)
        luaL_error(L, "first packet is no packet");
    neap_random_cid(server->config, 8, &scid);
    server->conn = neap_accept(server->config, &header, &scid, NULL, &server->address,
                               &pair->sides[0].address, pair->now, &why);
    if (!server->conn)
        luaL_error(L, "neap_accept: %s", why ? why : "no reason");
}

static void receive_due(lua_State *L, struct pair *pair, struct side *to, bool *any)
{
    while (to->count > 0 && to->inbox[to->first].arrives <= pair->now) {
        struct packet *packet = &to->inbox[to->first];
        struct side *from = &pair->sides[to == &pair->sides[0]];
        neap_recv_info info = {.from = from->address, .to = to->address};
        to->first = (to->first + 1) % QUEUE_MAX;
        to->count--;
        if (!to->conn)
            accept_first(L, pair, to, packet);
        neap_conn_recv(to->conn, packet->bytes, packet->size, &info, pair->now);
        *any = true;
    }
}

static neap_time next_wake(const struct pair *pair)
{
    neap_time next = NEAP_NEVER;

    for (int i = 0; i < 2; i++) {
        const struct side *side = &pair->sides[i];
        neap_time at = side->conn ? neap_conn_timeout(side->conn) : NEAP_NEVER;
        if (side->count > 0 && side->inbox[side->first].arrives < at)
            at = side->inbox[side->first].arrives;
        if (at < next)
            next = at;
    }
    return next;
}

/* pair:run([seconds]) delivers and runs timers until nothing happens soon, or until so much time has passed. */
static int pair_run(lua_State *L)
{
    struct pair *pair = check_pair(L);
    bool is_timed = !lua_isnoneornil(L, 2);
    neap_time until = pair->now + (neap_time)(luaL_optnumber(L, 2, 0) * 1e9);

    for (int steps = 0; steps < STEPS_MAX; steps++) {
        bool any = false;
        for (int i = 0; i < 2; i++) {
            struct side *side = &pair->sides[i];
            if (side->conn && neap_conn_timeout(side->conn) <= pair->now)
                neap_conn_on_timeout(side->conn, pair->now);
            receive_due(L, pair, side, &any);
        }
        send_all(L, pair, &pair->sides[0], &pair->sides[1], &any);
        send_all(L, pair, &pair->sides[1], &pair->sides[0], &any);
        if (any)
            continue;
        neap_time next = next_wake(pair);
        if (is_timed && next > until && pair->now < until)
            next = until;
        if (next == NEAP_NEVER || next > (is_timed ? until : pair->now + QUIET_NS) ||
            (is_timed && pair->now == until && next > until))
            return 0;
        if (next > pair->now)
            pair->now = next;
    }
    return luaL_error(L, "the pair does not come to rest");
}

/* ---- creation */

static void get_string(lua_State *L, int at, const char *name, const char **text, size_t *size)
{
    lua_getfield(L, at, name);
    *text = lua_tolstring(L, -1, size);
    lua_pop(L, 1); /* the table keeps it alive */
}

static void set_options(lua_State *L, struct side *side, int at)
{
    lua_getfield(L, at, "options");
    if (lua_istable(L, -1)) {
        for (lua_pushnil(L); lua_next(L, -2); lua_pop(L, 1)) {
            if (neap_config_set(side->config, lua_tostring(L, -2), (uint64_t)lua_tonumber(L, -1)) != 0)
                luaL_error(L, "option %s", lua_tostring(L, -2));
        }
    }
    lua_pop(L, 1);
}

static void make_config(lua_State *L, struct side *side, const char *names, int at)
{
    static const char *const alpn[] = {"h3"};
    neap_env env = {.random = seeded_random, .realloc = failing_realloc, .context = side};

    lua_getfield(L, at, names);
    int own = lua_istable(L, -1) ? lua_gettop(L) : at;
    lua_getfield(L, own, "memory_limit");
    env.memory_limit = (size_t)lua_tonumber(L, -1);
    lua_pop(L, 1);
    side->config = neap_config_new(&env);
    side->inbox = calloc(QUEUE_MAX, sizeof(*side->inbox));
    if (!side->config || !side->inbox || neap_config_set_alpn(side->config, alpn, 1) != 0)
        luaL_error(L, "no config");
    neap_config_set(side->config, "verify_peer", 0);
    set_options(L, side, own);
    lua_pop(L, 1);
}

/* new{ certificate =, key =, seed =, client = { options = {} }, server = { options = {}, memory_limit = } } */
static int pair_new(lua_State *L)
{
    const char *certificate, *key, *why = NULL;
    size_t certificate_size, key_size;

    luaL_checktype(L, 1, LUA_TTABLE);
    struct pair *pair = lua_newuserdata(L, sizeof(*pair));
    *pair = (struct pair){.now = NEAP_SECOND};
    luaL_getmetatable(L, TYPE);
    lua_setmetatable(L, -2);
    lua_getfield(L, 1, "seed");
    pair->sides[0].seed = (uint64_t)lua_tonumber(L, -1);
    pair->sides[1].seed = pair->sides[0].seed + 1000003;
    lua_pop(L, 1);
    for (uint8_t i = 0; i < 2; i++)
        pair->sides[i].address =
            (neap_address){.ip = {192, 0, 2, (uint8_t)(i + 1)}, .port = 4433, .family = 4};
    make_config(L, &pair->sides[0], "client", 1);
    make_config(L, &pair->sides[1], "server", 1);
    get_string(L, 1, "certificate", &certificate, &certificate_size);
    get_string(L, 1, "key", &key, &key_size);
    if (neap_config_add_certificate(pair->sides[1].config, certificate, certificate_size, key, key_size,
                                    &why) != 0)
        luaL_error(L, "certificate: %s", why);
    pair->sides[0].conn = neap_connect(pair->sides[0].config, "localhost", &pair->sides[0].address,
                                       &pair->sides[1].address, pair->now, &why);
    if (!pair->sides[0].conn)
        luaL_error(L, "neap_connect: %s", why);
    return 1;
}

/* certificate() -> certificate, key */
static int make_certificate(lua_State *L)
{
    static const char *const names[] = {"localhost"};
    char certificate[4096], key[4096];
    neap_config *config = neap_config_new(NULL);
    int err = neap_make_certificate(config, names, 1, 30, certificate, sizeof(certificate), key, sizeof(key));

    neap_config_free(config);
    if (err)
        return luaL_error(L, "neap_make_certificate: %d", err);
    lua_pushstring(L, certificate);
    lua_pushstring(L, key);
    return 2;
}

static int pair_free(lua_State *L)
{
    struct pair *pair = check_pair(L);

    for (int i = 0; i < 2; i++) {
        struct side *side = &pair->sides[i];
        neap_h3_free(side->h3);
        neap_conn_free(side->conn);
        neap_config_free(side->config);
        free(side->inbox);
        *side = (struct side){0};
    }
    return 0;
}

/* pair:h3(side [, max_field_section_size]): this side speaks HTTP/3 from now on */
static int pair_h3(lua_State *L)
{
    struct side *side = check_side(L, 2);
    neap_h3_config config = {.max_field_section_size = (uint64_t)luaL_optnumber(L, 3, 0)};

    side->h3 = neap_h3_new(side->conn, &config);
    return side->h3 ? 0 : luaL_error(L, "no memory");
}

static int pair_free_h3(lua_State *L)
{
    struct side *side = check_side(L, 2);

    neap_h3_free(side->h3);
    side->h3 = NULL;
    return 0;
}

/* ---- what became of a side */

/* pair:closed(side) -> nil while alive, else { by =, code =, is_application =, reason = } */
static int pair_closed(lua_State *L)
{
    neap_close_info info;

    neap_conn_close_info(check_side(L, 2)->conn, &info, sizeof info);
    if (info.by == NEAP_CLOSE_NONE)
        return 0;
    lua_createtable(L, 0, 4);
    lua_pushinteger(L, (lua_Integer)info.by);
    lua_setfield(L, -2, "by");
    lua_pushnumber(L, (lua_Number)info.code);
    lua_setfield(L, -2, "code");
    lua_pushboolean(L, info.is_application);
    lua_setfield(L, -2, "is_application");
    lua_pushlstring(L, info.reason ? info.reason : "", info.reason_size);
    lua_setfield(L, -2, "reason");
    return 1;
}

static int pair_established(lua_State *L)
{
    struct side *side = check_side(L, 2);

    lua_pushboolean(L, side->conn && neap_conn_is_established(side->conn));
    return 1;
}

/* pair:memory(side) -> bytes in use of the side's pool */
static int pair_memory(lua_State *L)
{
    neap_memory_stats stats;

    neap_config_memory(check_side(L, 2)->config, &stats, sizeof stats);
    lua_pushnumber(L, (lua_Number)stats.used);
    return 1;
}

/* pair:counts(side) -> the bounds of HTTP/3 that its config counts, neap_h3_stats */
static int pair_counts(lua_State *L)
{
    const struct side *side = check_side(L, 2);

    return neap_units_h3_counts(L, side->config, side->h3);
}

/* pair:fail(side, n): the n-th allocation from now on fails, once. -> how many have failed so far */
static int pair_fail(lua_State *L)
{
    struct side *side = check_side(L, 2);

    side->until_failure = (uint64_t)luaL_checknumber(L, 3);
    lua_pushnumber(L, (lua_Number)side->failures);
    return 1;
}

/* ---- streams */

static int pair_open(lua_State *L)
{
    return push_result(L, neap_conn_stream_open(check_side(L, 2)->conn, lua_toboolean(L, 3)));
}

static int pair_send(lua_State *L)
{
    size_t size;
    const char *bytes = luaL_checklstring(L, 4, &size);

    return push_result(
        L, neap_conn_stream_send(check_side(L, 2)->conn, check_id(L, 3), bytes, size, lua_toboolean(L, 5)));
}

/* pair:recv(side, id) -> bytes, fin | nil, error, code of a reset */
static int pair_recv(lua_State *L)
{
    struct side *side = check_side(L, 2);
    uint64_t id = check_id(L, 3), code = 0;
    bool fin = false;
    char room[65536];
    int64_t got = neap_conn_stream_recv(side->conn, id, room, sizeof(room), &fin);

    if (got < 0) {
        push_result(L, got);
        if (neap_conn_stream_error(side->conn, id, NEAP_SHUTDOWN_READ, &code) != 0)
            return 2;
        lua_pushnumber(L, (lua_Number)code);
        return 3;
    }
    lua_pushlstring(L, room, (size_t)got);
    lua_pushboolean(L, fin);
    return 2;
}

static enum neap_shutdown check_direction(lua_State *L, int at)
{
    static const char *const names[] = {"read", "write", NULL};

    return luaL_checkoption(L, at, NULL, names) == 0 ? NEAP_SHUTDOWN_READ : NEAP_SHUTDOWN_WRITE;
}

static int pair_shutdown(lua_State *L)
{
    return push_result(L, neap_conn_stream_shutdown(check_side(L, 2)->conn, check_id(L, 3),
                                                    check_direction(L, 4), (uint64_t)luaL_checknumber(L, 5)));
}

/* pair:stream_error(side, id, direction) -> code | nil */
static int pair_stream_error(lua_State *L)
{
    uint64_t code;

    if (neap_conn_stream_error(check_side(L, 2)->conn, check_id(L, 3), check_direction(L, 4), &code) != 0)
        return 0;
    lua_pushnumber(L, (lua_Number)code);
    return 1;
}

static int pair_close(lua_State *L)
{
    return push_result(
        L, neap_conn_close(check_side(L, 2)->conn, true, (uint64_t)luaL_checknumber(L, 3), "", 0));
}

/* ---- HTTP/3 */

static neap_h3 *check_h3(lua_State *L, int at)
{
    struct side *side = check_side(L, at);

    if (!side->h3)
        luaL_error(L, "no h3 on this side");
    return side->h3;
}

/* pair:poll(side) -> event | nil, error */
static int pair_poll(lua_State *L)
{
    neap_h3_event event;
    int err = neap_h3_poll(check_h3(L, 2), &event);

    if (err)
        return push_result(L, err);
    neap_units_push_event(L, &event);
    return 1;
}

/* pair:request(fields, fin) -> stream */
static int pair_request(lua_State *L)
{
    size_t count;
    bool fin = lua_toboolean(L, 3);
    neap_h3 *h3 = check_pair(L)->sides[0].h3;
    neap_field *fields = neap_units_pair_fields(L, 2, &count);

    return push_result(L, neap_h3_send_request(h3, fields, count, fin));
}

/* pair:request_whole(fields, body) -> stream, how much of the body was taken */
static int pair_request_whole(lua_State *L)
{
    size_t count, size, taken = 0;
    const char *body = luaL_checklstring(L, 3, &size);
    neap_h3 *h3 = check_pair(L)->sides[0].h3;
    neap_field *fields = neap_units_pair_fields(L, 2, &count);
    int results = push_result(L, neap_h3_request(h3, fields, count, size ? body : NULL, size, &taken));

    if (results > 1)
        return results;
    lua_pushinteger(L, (lua_Integer)taken);
    return 2;
}

/* pair:respond(stream, fields, fin) */
static int pair_respond(lua_State *L)
{
    size_t count;
    bool fin = lua_toboolean(L, 4);
    neap_h3 *h3 = check_pair(L)->sides[1].h3;
    neap_field *fields = neap_units_pair_fields(L, 3, &count);

    return push_result(L, neap_h3_send_response(h3, check_id(L, 2), fields, count, fin));
}

/* pair:respond_whole(stream, fields, body) */
static int pair_respond_whole(lua_State *L)
{
    size_t count, size;
    const char *body = luaL_checklstring(L, 4, &size);
    neap_h3 *h3 = check_pair(L)->sides[1].h3;
    neap_field *fields = neap_units_pair_fields(L, 3, &count);

    return push_result(L, neap_h3_respond(h3, check_id(L, 2), fields, count, size ? body : NULL, size));
}

static int pair_send_body(lua_State *L)
{
    size_t size;
    const char *bytes = luaL_checklstring(L, 4, &size);

    return push_result(L,
                       neap_h3_send_body(check_h3(L, 2), check_id(L, 3), bytes, size, lua_toboolean(L, 5)));
}

static int pair_send_trailers(lua_State *L)
{
    size_t count;
    neap_field *fields = neap_units_pair_fields(L, 4, &count);

    return push_result(L, neap_h3_send_trailers(check_h3(L, 2), check_id(L, 3), fields, count));
}

/* pair:recv_body(side, stream [, max]) -> bytes | nil, error */
static int pair_recv_body(lua_State *L)
{
    size_t size = (size_t)luaL_optinteger(L, 4, 65536);
    char *room = malloc(size ? size : 1);
    int64_t got = neap_h3_recv_body(check_h3(L, 2), check_id(L, 3), room, size);

    if (got >= 0)
        lua_pushlstring(L, room, (size_t)got);
    free(room);
    return got >= 0 ? 1 : push_result(L, got);
}

static int pair_fill_body(lua_State *L)
{
    return neap_units_fill_body(L, check_h3(L, 2), check_id(L, 3));
}

static int pair_peek_body(lua_State *L)
{
    return neap_units_peek_body(L, check_h3(L, 2), check_id(L, 3));
}

static int pair_body_capacity(lua_State *L)
{
    return push_result(L, neap_h3_body_capacity(check_h3(L, 2), check_id(L, 3)));
}

static int pair_cancel(lua_State *L)
{
    return push_result(L, neap_h3_cancel(check_h3(L, 2), check_id(L, 3), (uint64_t)luaL_checknumber(L, 4)));
}

static int pair_stop_body(lua_State *L)
{
    return push_result(L,
                       neap_h3_stop_body(check_h3(L, 2), check_id(L, 3), (uint64_t)luaL_checknumber(L, 4)));
}

/* pair:deafen(side, on): nothing that is sent to it arrives. */
static int pair_deafen(lua_State *L)
{
    check_side(L, 2)->is_deaf = lua_toboolean(L, 3);
    return 0;
}

/* pair:is_alone(side): a second HTTP/3 on its connection is refused. */
static int pair_is_alone(lua_State *L)
{
    check_h3(L, 2);
    lua_pushboolean(L, neap_h3_new(check_side(L, 2)->conn, NULL) == NULL);
    return 1;
}

/* pair:mark(side, stream[, number]) -> the number that was set before; a request's user pointer. */
static int pair_mark(lua_State *L)
{
    neap_h3 *h3 = check_h3(L, 2);
    uint64_t id = check_id(L, 3);
    void *before = neap_h3_user(h3, id);

    if (!lua_isnoneornil(L, 4)) {
        int err = neap_h3_set_user(h3, id, (void *)(intptr_t)luaL_checkinteger(L, 4));
        if (err)
            return push_result(L, err);
    }
    lua_pushinteger(L, (lua_Integer)(intptr_t)before);
    return 1;
}

static int pair_goaway(lua_State *L)
{
    return push_result(L, neap_h3_goaway(check_h3(L, 2)));
}

static int pair_open_requests(lua_State *L)
{
    return push_result(L, (int64_t)neap_h3_open_requests(check_h3(L, 2)));
}

static int pair_peer_setting(lua_State *L)
{
    uint64_t value;
    int err = neap_h3_peer_setting(check_h3(L, 2), check_id(L, 3), &value);

    return push_result(L, err ? err : (int64_t)value);
}

int neap_units_http_pair(lua_State *L)
{
    static const luaL_Reg methods[] = {
        {"run", pair_run},
        {"free", pair_free},
        {"h3", pair_h3},
        {"free_h3", pair_free_h3},
        {"closed", pair_closed},
        {"established", pair_established},
        {"memory", pair_memory},
        {"counts", pair_counts},
        {"fail", pair_fail},
        {"open", pair_open},
        {"send", pair_send},
        {"recv", pair_recv},
        {"shutdown", pair_shutdown},
        {"stream_error", pair_stream_error},
        {"close", pair_close},
        {"poll", pair_poll},
        {"request", pair_request},
        {"request_whole", pair_request_whole},
        {"respond", pair_respond},
        {"respond_whole", pair_respond_whole},
        {"send_body", pair_send_body},
        {"send_trailers", pair_send_trailers},
        {"recv_body", pair_recv_body},
        {"fill_body", pair_fill_body},
        {"peek_body", pair_peek_body},
        {"body_capacity", pair_body_capacity},
        {"cancel", pair_cancel},
        {"stop_body", pair_stop_body},
        {"deafen", pair_deafen},
        {"is_alone", pair_is_alone},
        {"mark", pair_mark},
        {"goaway", pair_goaway},
        {"open_requests", pair_open_requests},
        {"peer_setting", pair_peer_setting},
        {NULL, NULL},
    };

    luaL_newmetatable(L, TYPE);
    lua_pushcfunction(L, pair_free);
    lua_setfield(L, -2, "__gc");
    lua_newtable(L);
    for (const luaL_Reg *m = methods; m->name; m++) {
        lua_pushcfunction(L, m->func);
        lua_setfield(L, -2, m->name);
    }
    lua_setfield(L, -2, "__index");
    lua_pop(L, 1);
    lua_newtable(L);
    lua_pushcfunction(L, pair_new);
    lua_setfield(L, -2, "new");
    lua_pushcfunction(L, make_certificate);
    lua_setfield(L, -2, "certificate");
    return 1;
}
