/* Units of core/paths: connection IDs of both sides, one path. */
#include <lauxlib.h>
#include <lua.h>
#include <stdlib.h>

#include "base/limits.h"
#include "base/pool.h"
#include "paths/cid.h"
#include "paths/quic_lb.h"
#include "paths/validation.h"

int neap_units_paths(lua_State *L);

static void set_functions(lua_State *L, const luaL_Reg *functions)
{
    for (; functions->name; functions++) {
        lua_pushcfunction(L, functions->func);
        lua_setfield(L, -2, functions->name);
    }
}

static void new_type(lua_State *L, const char *name, const luaL_Reg *methods, lua_CFunction gc)
{
    luaL_newmetatable(L, name);
    if (gc) {
        lua_pushcfunction(L, gc);
        lua_setfield(L, -2, "__gc");
    }
    lua_newtable(L);
    set_functions(L, methods);
    lua_setfield(L, -2, "__index");
    lua_pop(L, 1);
}

static void *new_object(lua_State *L, const char *name, size_t size)
{
    void *object = memset(lua_newuserdata(L, size), 0, size);

    luaL_getmetatable(L, name);
    lua_setmetatable(L, -2);
    return object;
}

static struct span check_span(lua_State *L, int index)
{
    size_t size;
    const char *bytes = luaL_checklstring(L, index, &size);

    return span_of(bytes, size);
}

static neap_cid check_cid(lua_State *L, int index)
{
    struct span bytes = check_span(L, index);
    neap_cid cid = {.size = (uint8_t)bytes.size};

    luaL_argcheck(L, bytes.size <= NEAP_MAX_CONNECTION_ID, index, "longer than a connection ID");
    memcpy(cid.bytes, bytes.data, bytes.size);
    return cid;
}

static const uint8_t *check_exactly(lua_State *L, int index, size_t size)
{
    struct span bytes = check_span(L, index);

    luaL_argcheck(L, bytes.size == size, index, "of the wrong size");
    return bytes.data;
}

static uint64_t check_u64(lua_State *L, int index)
{
    return (uint64_t)luaL_checknumber(L, index);
}

static void push_cid(lua_State *L, const neap_cid *cid)
{
    lua_pushlstring(L, (const char *)cid->bytes, cid->size);
}

static int push_result(lua_State *L, int code, const struct failure *why)
{
    lua_pushinteger(L, code);
    lua_pushstring(L, why->reason);
    return 2;
}

/* ---- local_cids(first, peer_limit) */

#define LOCAL_CIDS "neap.units.local_cids"

static int local_cids_new(lua_State *L)
{
    neap_cid first = check_cid(L, 1);
    uint64_t limit = (uint64_t)luaL_optnumber(L, 2, 1);
    struct local_cids *l = new_object(L, LOCAL_CIDS, sizeof(*l));

    neap_local_cids_init(l, &first);
    l->peer_limit = (uint8_t)limit;
    return 1;
}

static struct local_cids *check_local(lua_State *L)
{
    return luaL_checkudata(L, 1, LOCAL_CIDS);
}

/* l:issue(cid) -> sequence, or nil when no more is wanted */
static int local_issue(lua_State *L)
{
    struct local_cids *l = check_local(L);
    neap_cid cid = check_cid(L, 2);

    if (!neap_local_cids_wants(l))
        return 0;
    lua_pushnumber(L, (lua_Number)neap_local_cids_issue(l, &cid));
    return 1;
}

/* l:next_owed() -> sequence, cid, retire_prior_to; nothing when none is owed */
static int local_next_owed(lua_State *L)
{
    struct frame_new_connection_id f;

    if (!neap_local_cids_next_owed(check_local(L), &f))
        return 0;
    lua_pushnumber(L, (lua_Number)f.sequence);
    push_cid(L, &f.cid);
    lua_pushnumber(L, (lua_Number)f.retire_prior_to);
    return 3;
}

static int local_lost(lua_State *L)
{
    neap_local_cids_on_lost(check_local(L), check_u64(L, 2));
    return 0;
}

/* l:retire(sequence, dcid) -> code, reason */
static int local_retire(lua_State *L)
{
    neap_cid dcid = check_cid(L, 3);
    struct failure why = {0};
    int code = neap_local_cids_on_retire(check_local(L), check_u64(L, 2), &dcid, &why);

    return push_result(L, code, &why);
}

static int local_has(lua_State *L)
{
    neap_cid cid = check_cid(L, 2);

    lua_pushboolean(L, neap_local_cids_find(check_local(L), span_of(cid.bytes, cid.size)) != NULL);
    return 1;
}

/* l:state() -> first cid, whether a frame is owed, changed */
static int local_state(lua_State *L)
{
    struct local_cids *l = check_local(L);

    push_cid(L, neap_local_cids_first(l));
    lua_pushboolean(L, neap_local_cids_has_owed(l));
    lua_pushboolean(L, l->changed);
    l->changed = false;
    return 3;
}

static int local_rotate(lua_State *L)
{
    neap_local_cids_rotate(check_local(L));
    return 0;
}

static const luaL_Reg local_methods[] = {{"issue", local_issue},   {"next_owed", local_next_owed},
                                         {"lost", local_lost},     {"retire", local_retire},
                                         {"has", local_has},       {"state", local_state},
                                         {"rotate", local_rotate}, {NULL, NULL}};

/* ---- QUIC-LB */

/* quic_lb(config_id, server_id, nonce_length, key or nil, encodes_length, seed) → what makes connection IDs */
#define QUIC_LB "neap.units.quic_lb"

struct unit_lb {
    struct quic_lb lb;
    struct random random;
};

static neap_quic_lb check_quic_lb(lua_State *L)
{
    struct span id = check_span(L, 2);
    neap_quic_lb config = {.config_id = (uint8_t)check_u64(L, 1),
                           .server_id_length = (uint8_t)id.size,
                           .nonce_length = (uint8_t)check_u64(L, 3),
                           .has_key = !lua_isnoneornil(L, 4),
                           .length_encoding = lua_toboolean(L, 5)};

    luaL_argcheck(L, id.size <= sizeof config.server_id, 2, "too long");
    memcpy(config.server_id, id.data, id.size);
    if (config.has_key)
        memcpy(config.key, check_exactly(L, 4, 16), 16);
    return config;
}

static int quic_lb_new(lua_State *L)
{
    neap_quic_lb config = check_quic_lb(L);
    uint8_t seed[32] = {(uint8_t)luaL_optnumber(L, 6, 1)};

    if (!neap_quic_lb_is_valid(&config))
        return 0;
    struct unit_lb *u = new_object(L, QUIC_LB, sizeof *u);
    neap_quic_lb_start(&u->lb, &config);
    neap_random_seed(&u->random, seed);
    return 1;
}

/* u:make(size) → cid, nonces left, whether it is unroutable now */
static int quic_lb_make(lua_State *L)
{
    struct unit_lb *u = luaL_checkudata(L, 1, QUIC_LB);
    neap_cid cid;

    if (neap_quic_lb_make(&u->lb, &u->random, (size_t)check_u64(L, 2), &cid))
        return 0;
    push_cid(L, &cid);
    lua_pushnumber(L, (lua_Number)neap_quic_lb_left(&u->lb));
    lua_pushboolean(L, neap_quic_lb_is_unroutable(&u->lb));
    return 3;
}

/* u:use(count): as if so many nonces had been used */
static int quic_lb_use(lua_State *L)
{
    struct unit_lb *u = luaL_checkudata(L, 1, QUIC_LB);

    u->lb.next = (u->lb.next + check_u64(L, 2)) & (UINT64_MAX >> (64 - 8 * u->lb.config.nonce_length));
    return 0;
}

static int quic_lb_restart(lua_State *L)
{
    neap_quic_lb_restart(&((struct unit_lb *)luaL_checkudata(L, 1, QUIC_LB))->lb);
    return 0;
}

/* quic_lb_encode(config_id, server_id, nonce, key or nil) → server ID and nonce as they stand in a connection ID */
static int quic_lb_encode(lua_State *L)
{
    struct span given = check_span(L, 3);
    uint8_t nonce[LIMIT_CONNECTION_ID], out[LIMIT_CONNECTION_ID];

    luaL_argcheck(L, given.size <= sizeof nonce, 3, "too long");
    memcpy(nonce, given.data, given.size);
    lua_pushnumber(L, (lua_Number)given.size);
    lua_replace(L, 3);
    neap_quic_lb config = check_quic_lb(L);
    if (!neap_quic_lb_is_valid(&config) || neap_quic_lb_encode(&config, nonce, out))
        return 0;
    lua_pushlstring(L, (const char *)out, (size_t)config.server_id_length + config.nonce_length);
    return 1;
}

static const luaL_Reg quic_lb_methods[] = {
    {"make", quic_lb_make}, {"use", quic_lb_use}, {"restart", quic_lb_restart}, {NULL, NULL}};

/* ---- peer_cids(first, limit, memory) */

#define PEER_CIDS "neap.units.peer_cids"

struct unit_peer_cids {
    struct peer_cids cids;
    struct pool *pool;
};

static void *plain_realloc(void *context, void *pointer, size_t size)
{
    (void)context;
    if (size > 0)
        return realloc(pointer, size);
    free(pointer);
    return NULL;
}

static int peer_cids_new(lua_State *L)
{
    neap_cid first = check_cid(L, 1);
    uint64_t limit = (uint64_t)luaL_optnumber(L, 2, LIMIT_PEER_CONNECTION_IDS);
    size_t memory = (size_t)luaL_optnumber(L, 3, 0);
    struct unit_peer_cids *p = new_object(L, PEER_CIDS, sizeof(*p));

    neap_peer_cids_init(&p->cids, &first, limit);
    p->pool = neap_pool_new(plain_realloc, NULL, memory);
    return 1;
}

static struct unit_peer_cids *check_peer_unit(lua_State *L)
{
    return luaL_checkudata(L, 1, PEER_CIDS);
}

static struct peer_cids *check_peer(lua_State *L)
{
    return &check_peer_unit(L)->cids;
}

static int peer_cids_gc(lua_State *L)
{
    struct unit_peer_cids *u = check_peer_unit(L);

    neap_peer_cids_free(&u->cids, u->pool);
    neap_pool_release(u->pool);
    u->pool = NULL;
    return 0;
}

static int peer_replace_first(lua_State *L)
{
    neap_cid cid = check_cid(L, 2);

    neap_peer_cids_replace_first(check_peer(L), &cid);
    return 0;
}

static int peer_set_token(lua_State *L)
{
    neap_peer_cids_set_token(check_peer(L), check_exactly(L, 2, 16));
    return 0;
}

static int peer_active(lua_State *L)
{
    push_cid(L, neap_peer_cids_active(check_peer(L)));
    return 1;
}

/* p:on_new(sequence, retire_prior_to, cid, token) -> code, reason */
static int peer_on_new(lua_State *L)
{
    struct frame_new_connection_id f = {
        .sequence = check_u64(L, 2), .retire_prior_to = check_u64(L, 3), .cid = check_cid(L, 4)};
    struct failure why = {0};

    memcpy(f.token, check_exactly(L, 5, 16), 16);
    return push_result(L, neap_peer_cids_on_new(check_peer(L), check_peer_unit(L)->pool, &f, &why), &why);
}

static int peer_next_retire(lua_State *L)
{
    uint64_t sequence;

    if (!neap_peer_cids_next_retire(check_peer(L), &sequence))
        return 0;
    lua_pushnumber(L, (lua_Number)sequence);
    return 1;
}

static int peer_retire_lost(lua_State *L)
{
    neap_peer_cids_retire_lost(check_peer(L), check_u64(L, 2));
    return 0;
}

static int peer_retire_acked(lua_State *L)
{
    neap_peer_cids_retire_acked(check_peer(L), check_u64(L, 2));
    return 0;
}

static int peer_is_reset(lua_State *L)
{
    lua_pushboolean(L, neap_peer_cids_is_reset(check_peer(L), check_exactly(L, 2, 16)));
    return 1;
}

static int peer_take_fresh(lua_State *L)
{
    lua_pushinteger(L, neap_peer_cids_take_fresh(check_peer(L)));
    return 1;
}

static int peer_leave(lua_State *L)
{
    if (!neap_peer_cids_need_queue(check_peer(L), check_peer_unit(L)->pool))
        return luaL_error(L, "no memory");
    neap_peer_cids_leave(check_peer(L), (uint32_t)luaL_checkinteger(L, 2));
    return 0;
}

/* p:waiting() -> retirements to be written, written and not acknowledged */
static int peer_waiting(lua_State *L)
{
    struct peer_cids *p = check_peer(L);

    lua_pushinteger(L, (lua_Integer)p->retire_count);
    lua_pushinteger(L, (lua_Integer)p->retire_unacked);
    return 2;
}

static const luaL_Reg peer_methods[] = {{"replace_first", peer_replace_first},
                                        {"set_token", peer_set_token},
                                        {"active", peer_active},
                                        {"on_new", peer_on_new},
                                        {"next_retire", peer_next_retire},
                                        {"retire_lost", peer_retire_lost},
                                        {"retire_acked", peer_retire_acked},
                                        {"is_reset", peer_is_reset},
                                        {"waiting", peer_waiting},
                                        {"take_fresh", peer_take_fresh},
                                        {"leave", peer_leave},
                                        {NULL, NULL}};

/* ---- path(validated) */

#define PATH "neap.units.path"

static struct address_validation *check_path(lua_State *L)
{
    return luaL_checkudata(L, 1, PATH);
}

static int path_new(lua_State *L)
{
    bool validated = lua_toboolean(L, 1);
    neap_address none = {0};
    struct address_validation *p = new_object(L, PATH, sizeof(*p));

    neap_validation_init(p, &none, &none, validated);
    return 1;
}

static int path_on_udp_datagram(lua_State *L)
{
    neap_validation_on_udp_datagram(check_path(L), (size_t)luaL_checknumber(L, 2));
    return 0;
}

static int path_on_sent(lua_State *L)
{
    neap_validation_on_sent(check_path(L), (size_t)luaL_checknumber(L, 2));
    return 0;
}

static int path_budget(lua_State *L)
{
    lua_pushnumber(L, (lua_Number)neap_validation_budget(check_path(L)));
    return 1;
}

static int path_validated(lua_State *L)
{
    neap_validation_done(check_path(L));
    return 0;
}

static int path_on_challenge(lua_State *L)
{
    neap_validation_on_challenge(check_path(L), check_exactly(L, 2, 8));
    return 0;
}

static int path_next_response(lua_State *L)
{
    uint8_t data[8];

    if (!neap_validation_next_response(check_path(L), data))
        return 0;
    lua_pushlstring(L, (const char *)data, sizeof(data));
    return 1;
}

static int path_begin(lua_State *L)
{
    neap_validation_begin(check_path(L));
    return 0;
}

/* p:asks() -> whether a challenge is to be sent, when the next would be */
static int path_asks(lua_State *L)
{
    const struct address_validation *v = check_path(L);

    lua_pushboolean(L, v->owes_challenge);
    if (v->challenge_at == NEAP_NEVER)
        return 1;
    lua_pushnumber(L, (lua_Number)v->challenge_at);
    return 2;
}

/* p:challenged(data, is_small, interval, now) */
static int path_challenged(lua_State *L)
{
    neap_validation_challenged(check_path(L), check_exactly(L, 2, 8), lua_toboolean(L, 3), check_u64(L, 4),
                               check_u64(L, 5));
    return 0;
}

static int path_ask_again(lua_State *L)
{
    neap_validation_ask_again(check_path(L));
    return 0;
}

static int path_abandon(lua_State *L)
{
    neap_validation_abandon(check_path(L));
    return 0;
}

static int path_on_response(lua_State *L)
{
    lua_pushboolean(L, neap_validation_on_response(check_path(L), check_exactly(L, 2, 8)));
    return 1;
}

static const luaL_Reg path_methods[] = {{"on_udp_datagram", path_on_udp_datagram},
                                        {"on_sent", path_on_sent},
                                        {"budget", path_budget},
                                        {"validate", path_validated},
                                        {"on_challenge", path_on_challenge},
                                        {"next_response", path_next_response},
                                        {"begin", path_begin},
                                        {"asks", path_asks},
                                        {"challenged", path_challenged},
                                        {"ask_again", path_ask_again},
                                        {"abandon", path_abandon},
                                        {"on_response", path_on_response},
                                        {NULL, NULL}};

int neap_units_paths(lua_State *L)
{
    new_type(L, LOCAL_CIDS, local_methods, NULL);
    new_type(L, PEER_CIDS, peer_methods, peer_cids_gc);
    new_type(L, QUIC_LB, quic_lb_methods, NULL);
    new_type(L, PATH, path_methods, NULL);
    lua_newtable(L);
    set_functions(L, (const luaL_Reg[]){{"local_cids", local_cids_new},
                                        {"peer_cids", peer_cids_new},
                                        {"quic_lb", quic_lb_new},
                                        {"quic_lb_encode", quic_lb_encode},
                                        {"path", path_new},
                                        {NULL, NULL}});
    lua_pushinteger(L, LIMIT_PATH_RESPONSES);
    lua_setfield(L, -2, "PATH_RESPONSES");
    lua_pushinteger(L, LIMIT_PATH_CHALLENGES);
    lua_setfield(L, -2, "PATH_CHALLENGES");
    lua_pushinteger(L, LIMIT_RETIRE_QUEUE);
    lua_setfield(L, -2, "RETIRE_QUEUE");
    return 1;
}
