/* Units of core/tls: handshakes of both roles, and the tail behind them. */
#include "units_tls.h"

#include <stdlib.h>

#include "units_tls_fields.h"
#include "units_tls_hello.h"

int neap_units_tls(lua_State *L);
int neap_units_tls_schedule(lua_State *L);

#define CONFIG_TYPE "neap.units.tls.config"
#define HANDSHAKE_TYPE "neap.units.tls.handshake"
#define TAIL_TYPE "neap.units.tls.tail"

/* ---- a config with its own pool, whose allocations can be made to fail; kept while handshakes use it */

static void *environment_realloc(void *context, void *pointer, size_t size)
{
    struct environment *e = context;

    if (size == 0) {
        free(pointer);
        return NULL;
    }
    if (e->until_failure == 0)
        return NULL;
    if (e->until_failure > 0)
        e->until_failure--;
    if (size > e->largest)
        e->largest = size;
    return realloc(pointer, size);
}

static void release_config(struct unit_config *c)
{
    if (--c->references > 0)
        return;
    neap_identity_set_clear(&c->identities);
    neap_sessions_free(&c->sessions);
    neap_psks_free(&c->psks);
    neap_trust_free(c->tls.trust);
    neap_trust_free(c->tls.client_trust);
    neap_revocations_free(c->revocations);
    neap_crypto_free(c->tls.crypto);
    neap_pool_release(c->pool);
    free(c->log);
    free(c);
}

static struct unit_config *check_config(lua_State *L)
{
    return *(struct unit_config **)luaL_checkudata(L, 1, CONFIG_TYPE);
}

static int config_gc(lua_State *L)
{
    struct unit_config **slot = luaL_checkudata(L, 1, CONFIG_TYPE);

    if (*slot)
        release_config(*slot);
    *slot = NULL;
    return 0;
}

static void append_log(void *context, const char *line)
{
    struct unit_config *c = context;
    size_t size = strlen(line);
    char *log = realloc(c->log, c->log_size + size + 1);

    if (!log)
        return;
    memcpy(log + c->log_size, line, size);
    log[c->log_size + size] = '\n';
    c->log = log;
    c->log_size += size + 1;
}

int unit_tls_push_failure(lua_State *L, int code, const char *reason)
{
    lua_pushnil(L);
    lua_pushinteger(L, code);
    lua_pushstring(L, reason ? reason : "no reason");
    return 3;
}

static int revocation_fields(lua_State *L, struct unit_config *c, struct failure *why)
{
    struct span lists = unit_span_field(L, 1, "crls");

    if (!lists.size || !(c->tls.trust || c->tls.client_trust))
        return 0;
    c->revocations = neap_revocations_new(c->tls.crypto);
    if (!c->revocations)
        return NEAP_ERR_NO_MEMORY;
    lua_getfield(L, 1, "grace");
    neap_revocations_set_grace(c->revocations, (int64_t)lua_tonumber(L, -1));
    lua_pop(L, 1);
    if (c->tls.trust)
        neap_trust_set_revocations(c->tls.trust, c->revocations);
    if (c->tls.client_trust)
        neap_trust_set_revocations(c->tls.client_trust, c->revocations);
    return neap_revocations_add(c->revocations, lists, why);
}

/* resumption: off unless it is told, because messages of its are in no trace of the other specs. */
static void resumption_fields(lua_State *L, struct unit_config *c)
{
    static const uint8_t nothing[32];
    struct span keys = unit_span_field(L, 1, "ticket_keys");

    lua_getfield(L, 1, "resumption");
    c->tls.resumption = lua_toboolean(L, -1);
    lua_getfield(L, 1, "ticket_lifetime");
    c->tls.ticket_lifetime = (uint32_t)luaL_optinteger(L, -1, 86400);
    lua_pop(L, 2);
    neap_ticket_keys_set(&c->tls.tickets, (const uint8_t(*)[32])(keys.size ? keys.data : nothing),
                         keys.size ? keys.size / 32 : 1);
    c->sessions.pool = c->pool;
    c->tls.store = &c->sessions;
}

/* config{ seed=, identities={{chain, key, later = (the key is elsewhere), staple =}, …}, asks=, psks=, roots=, pin=, crls=, grace=, verify=, alpn={…},
 * suites={…}, groups={…}, compression=, ocsp=, grease=, limit=, keylog=, engine=, without_params=, resumption=, ticket_lifetime=, ticket_keys=,
 * early=, no_register=, limits=, session_data=, ask=, client_roots= } */
static int new_config(lua_State *L)
{
    struct failure why = {0};
    uint8_t seed[32] = {0};

    luaL_checktype(L, 1, LUA_TTABLE);
    lua_settop(L, 1);
    struct unit_config *c = calloc(1, sizeof *c);
    if (!c)
        return luaL_error(L, "no memory");
    c->references = 1;
    c->environment.until_failure = -1;
    *(struct unit_config **)lua_newuserdata(L, sizeof c) = c;
    luaL_getmetatable(L, CONFIG_TYPE);
    lua_setmetatable(L, -2);

    lua_getfield(L, 1, "limit");
    size_t limit = (size_t)lua_tonumber(L, -1);
    lua_pop(L, 1);
    c->pool = neap_pool_new(environment_realloc, &c->environment, limit);
    if (!c->pool)
        return luaL_error(L, "no pool");
    lua_getfield(L, 1, "asks");
    c->tls.asks = (unsigned)lua_tointeger(L, -1);
    lua_pop(L, 1);
    struct span given = unit_span_field(L, 1, "seed");
    memcpy(seed, given.data ? given.data : seed, given.size < 32 ? given.size : 32);
    c->tls.pool = c->pool;
    c->identities.pool = c->pool;
    c->tls.identities = &c->identities;
    c->tls.crypto = neap_crypto_new(c->pool, seed);
    if (!c->tls.crypto)
        return luaL_error(L, "no crypto");
    lua_getfield(L, 1, "engine");
    neap_crypto_choose(c->tls.crypto, lua_tostring(L, -1));
    lua_pop(L, 1);
    lua_getfield(L, 1, "verify");
    c->tls.verify_peer = lua_isnil(L, -1) || lua_toboolean(L, -1);
    lua_getfield(L, 1, "without_params");
    c->tls.without_params = lua_toboolean(L, -1);
    lua_getfield(L, 1, "keylog");
    if (lua_toboolean(L, -1)) {
        c->tls.keylog = append_log;
        c->tls.keylog_context = c;
    }
    lua_pop(L, 3);
    unit_hello_fields(L, &c->tls);
    resumption_fields(L, c);
    unit_psk_fields(L, c);
    unit_early_fields(L, &c->tls, &c->early, unit_span_field(L, 1, "session_data"));
    unit_alpn_field(L, &c->tls);
    int rc = unit_identities_field(L, &c->tls, &why);
    if (rc == 0)
        rc = unit_trust_fields(L, &c->tls, &why);
    if (rc == 0)
        rc = unit_client_fields(L, &c->tls, &why);
    if (rc == 0)
        rc = revocation_fields(L, c, &why);
    return rc ? unit_tls_push_failure(L, rc, why.reason) : 1;
}

/* config:used() -> bytes of the pool that are handed out, bytes of the largest request */
static int config_used(lua_State *L)
{
    struct unit_config *c = check_config(L);

    lua_pushnumber(L, (lua_Number)neap_pool_stats(c->pool).used);
    lua_pushnumber(L, (lua_Number)c->environment.largest);
    c->environment.largest = 0;
    return 2;
}

/* config:sessions() -> how many there are, and all of them as they are saved */
static int config_sessions(lua_State *L)
{
    struct unit_config *c = check_config(L);
    int64_t size = neap_sessions_save(&c->sessions, NULL, 0);
    uint8_t *room = lua_newuserdata(L, (size_t)size);

    lua_pushinteger(L, (lua_Integer)c->sessions.count);
    neap_sessions_save(&c->sessions, room, (size_t)size);
    lua_pushlstring(L, (const char *)room, (size_t)size);
    return 2;
}

/* config:strikes() -> how often the register was asked, when what it was asked for last expires */
static int config_strikes(lua_State *L)
{
    return unit_push_strikes(L, &check_config(L)->early);
}

/* config:add_client_roots(pem) -> nothing, or a reason: whom a server believes from now on */
static int config_add_client_roots(lua_State *L)
{
    size_t size;
    struct unit_config *c = check_config(L);
    const char *pem = luaL_checklstring(L, 2, &size);
    struct failure why = {0};

    if (neap_trust_add(c->tls.client_trust, span_of(pem, size), &why) == 0)
        return 0;
    lua_pushstring(L, why.reason);
    return 1;
}

/* config:drop_sessions() */
static int config_drop_sessions(lua_State *L)
{
    neap_sessions_free(&check_config(L)->sessions);
    return 0;
}

/* config:load_sessions(saved) -> 0 or a code */
static int config_load_sessions(lua_State *L)
{
    size_t size;
    struct unit_config *c = check_config(L);
    const char *saved = luaL_checklstring(L, 2, &size);

    lua_pushinteger(L, neap_sessions_load(&c->sessions, span_of(saved, size)));
    return 1;
}

/* config:fail_after(n): the environment refuses after n more allocations; nil: never. Returns what was left. */
static int config_fail_after(lua_State *L)
{
    struct unit_config *c = check_config(L);

    lua_pushinteger(L, (lua_Integer)c->environment.until_failure);
    c->environment.until_failure = lua_isnoneornil(L, 2) ? -1 : (long)luaL_checkinteger(L, 2);
    return 1;
}

static int config_log(lua_State *L)
{
    struct unit_config *c = check_config(L);

    lua_pushlstring(L, c->log ? c->log : "", c->log_size);
    return 1;
}

/* ---- handshakes */

static int push_handshake(lua_State *L, struct unit_config *c, struct tls *tls, const struct failure *why)
{
    if (!tls)
        return unit_tls_push_failure(L, why->code, why->reason);
    struct unit_handshake *h = lua_newuserdata(L, sizeof *h);
    c->references++;
    *h = (struct unit_handshake){.config = c, .tls = tls};
    luaL_getmetatable(L, HANDSHAKE_TYPE);
    lua_setmetatable(L, -2);
    return 1;
}

/* What a handshake begins with, from the index of its params on: params, wall_clock, version, port. */
static struct tls_start check_start(lua_State *L, int index)
{
    size_t size;
    const char *params = luaL_checklstring(L, index, &size);

    return (struct tls_start){.params = span_of(params, size),
                              .wall_clock = (int64_t)luaL_checknumber(L, index + 1),
                              .version = (uint32_t)luaL_optinteger(L, index + 2, 1),
                              .port = (uint16_t)luaL_optinteger(L, index + 3, 443)};
}

/* config:client(name or nil, params, wall_clock [, version, port]) */
static int config_client(lua_State *L)
{
    struct unit_config *c = check_config(L);
    struct failure why = {0};
    struct tls_start start = check_start(L, 3);

    start.server_name = luaL_optstring(L, 2, NULL);
    struct tls *tls = neap_tls_client(&c->tls, &start, &why);
    return push_handshake(L, c, tls, &why);
}

/* config:server(params, wall_clock [, version]) */
static int config_server(lua_State *L)
{
    struct unit_config *c = check_config(L);
    struct failure why = {0};
    struct tls_start start = check_start(L, 2);

    start.limits = c->early.limits;
    struct tls *tls = neap_tls_server(&c->tls, &start, &why);
    return push_handshake(L, c, tls, &why);
}

struct unit_handshake *unit_tls_check_handshake(lua_State *L)
{
    struct unit_handshake *h = luaL_checkudata(L, 1, HANDSHAKE_TYPE);

    luaL_argcheck(L, h->tls, 1, "the handshake is freed");
    return h;
}

static int handshake_free(lua_State *L)
{
    struct unit_handshake *h = luaL_checkudata(L, 1, HANDSHAKE_TYPE);

    neap_tls_free(h->tls);
    if (h->config)
        release_config(h->config);
    *h = (struct unit_handshake){0};
    return 0;
}

/* handshake:receive(level, bytes) -> true, what is left | nil, code, reason. The bytes are in a room of exactly their size, so that
 * the sanitizer sees a read past them. */
static int handshake_receive(lua_State *L)
{
    struct unit_handshake *h = unit_tls_check_handshake(L);
    struct failure why = {0};
    size_t size;
    enum tls_level level = (enum tls_level)luaL_checkinteger(L, 2);
    const char *bytes = luaL_checklstring(L, 3, &size);
    uint8_t *copy = malloc(size ? size : 1);

    if (!copy)
        return luaL_error(L, "no memory");
    memcpy(copy, bytes, size);
    struct span left = span_of(copy, size);
    int rc = neap_tls_receive(h->tls, level, &left, &why);
    lua_pushboolean(L, 1);
    if (left.size > 0)
        lua_pushlstring(L, (const char *)copy + size - left.size, left.size);
    free(copy);
    if (rc)
        return unit_tls_push_failure(L, rc, why.reason);
    /* What the owner of a client does when it has read the server's parameters. */
    if (h->config->tls.early_data && neap_tls_is_complete(h->tls))
        neap_tls_tail_remember(&h->tls->tail, h->config->pool, h->config->early.limits);
    return left.size > 0 ? 2 : 1;
}

/* handshake:set_data(bytes) -> whether there is where it is kept */
static int handshake_set_data(lua_State *L)
{
    return unit_set_data(L, &unit_tls_check_handshake(L)->tls->tail);
}

/* handshake:offered() -> of the session that early data is offered with: { limits }, data; or nothing */
static int handshake_offered(lua_State *L)
{
    return unit_push_offered(L, unit_tls_check_handshake(L)->tls);
}

/* handshake:end_offer(was_answered) */
static int handshake_end_offer(lua_State *L)
{
    neap_tls_end_offer(unit_tls_check_handshake(L)->tls, lua_toboolean(L, 2));
    return 0;
}

/* handshake:output(level [, most]) -> bytes, which count as taken */
static int handshake_output(lua_State *L)
{
    struct unit_handshake *h = unit_tls_check_handshake(L);
    enum tls_level level = (enum tls_level)luaL_checkinteger(L, 2);
    struct span out = neap_tls_output(h->tls, level);
    size_t most = (size_t)luaL_optnumber(L, 3, (lua_Number)out.size);
    size_t size = most < out.size ? most : out.size;

    lua_pushlstring(L, size ? (const char *)out.data : "", size);
    if (size)
        neap_tls_output_taken(h->tls, level, size);
    return 1;
}

/* handshake:secrets() -> list of { level=, direction="read"|"write", suite=, secret= } since the last call */
static int handshake_secrets(lua_State *L)
{
    struct unit_handshake *h = unit_tls_check_handshake(L);
    struct tls_secret s;

    lua_newtable(L);
    for (int i = 1; neap_tls_next_secret(h->tls, &s); i++) {
        lua_createtable(L, 0, 4);
        lua_pushinteger(L, s.level);
        lua_setfield(L, -2, "level");
        lua_pushstring(L, s.direction == TLS_READ ? "read" : "write");
        lua_setfield(L, -2, "direction");
        lua_pushinteger(L, s.suite);
        lua_setfield(L, -2, "suite");
        lua_pushlstring(L, (const char *)s.secret, s.size);
        lua_setfield(L, -2, "secret");
        lua_rawseti(L, -2, i);
    }
    return 1;
}

/* handshake:put_secret() → 0 or a code: queues a secret of the application level once more */
static int handshake_put_secret(lua_State *L)
{
    static const uint8_t secret[CRYPTO_MAX_HASH];
    struct failure why = {0};

    lua_pushinteger(
        L, neap_tls_put_secret(unit_tls_check_handshake(L)->tls, TLS_APPLICATION, TLS_READ, secret, &why));
    return 1;
}

/* unchecked_dates of the table on top: { since, until } */
static void set_unchecked_dates(lua_State *L, const struct tls *tls)
{
    struct validity validity;

    if (!neap_tls_has_unchecked_dates(tls, &validity))
        return;
    lua_newtable(L);
    lua_pushnumber(L, (lua_Number)validity.since);
    lua_rawseti(L, -2, 1);
    lua_pushnumber(L, (lua_Number)validity.until);
    lua_rawseti(L, -2, 2);
    lua_setfield(L, -2, "unchecked_dates");
}

/* handshake:info() -> what was negotiated so far */
static int handshake_info(lua_State *L)
{
    struct unit_handshake *h = unit_tls_check_handshake(L);

    lua_newtable(L);
    lua_pushboolean(L, neap_tls_is_complete(h->tls));
    lua_setfield(L, -2, "complete");
    lua_pushboolean(L, neap_tls_is_resumed(h->tls));
    lua_setfield(L, -2, "resumed");
    set_unchecked_dates(L, h->tls);
    unit_push_early(L, neap_tls_early(h->tls));
    lua_setfield(L, -2, "early");
    unit_tls_set_span(L, "psk_identity", neap_tls_psk_identity(h->tls));
    unit_tls_set_span(L, "params", neap_tls_peer_params(h->tls));
    unit_tls_set_span(L, "alpn", neap_tls_alpn(h->tls));
    unit_tls_set_span(L, "certificate", neap_tls_peer_certificate(h->tls, 0));
    int count = 0;
    while (neap_tls_peer_certificate(h->tls, (size_t)count).size)
        count++;
    lua_pushinteger(L, count);
    lua_setfield(L, -2, "certificates");
    lua_pushstring(L, neap_tls_server_name(h->tls));
    lua_setfield(L, -2, "server_name");
    lua_pushinteger(L, neap_tls_suite(h->tls));
    lua_setfield(L, -2, "suite");
    lua_pushinteger(L, neap_tls_group(h->tls));
    lua_setfield(L, -2, "group");
    return 1;
}

/* ---- the tail */

struct unit_tail {
    struct unit_config *config;
    struct tls_tail tail;
};

/* handshake:take_tail(): the handshake is freed, the tail stays */
static int handshake_take_tail(lua_State *L)
{
    struct unit_handshake *h = unit_tls_check_handshake(L);
    struct unit_tail *t = lua_newuserdata(L, sizeof *t);

    h->config->references++;
    *t = (struct unit_tail){.config = h->config, .tail = neap_tls_take_tail(h->tls)};
    luaL_getmetatable(L, TAIL_TYPE);
    lua_setmetatable(L, -2);
    handshake_free(L);
    return 1;
}

static int tail_free(lua_State *L)
{
    struct unit_tail *t = luaL_checkudata(L, 1, TAIL_TYPE);

    if (!t->config)
        return 0;
    neap_tls_tail_free(&t->tail, t->config->pool);
    release_config(t->config);
    t->config = NULL;
    return 0;
}

/* tail:receive(bytes [, wall_clock]) */
static int tail_receive(lua_State *L)
{
    struct unit_tail *t = luaL_checkudata(L, 1, TAIL_TYPE);
    struct failure why = {0};
    size_t size;
    const char *bytes = luaL_checklstring(L, 2, &size);

    struct span in = span_of(bytes, size);
    int rc = neap_tls_tail_receive(&t->tail, t->config->pool, &in, (int64_t)luaL_optnumber(L, 3, 0), &why);
    if (rc)
        return unit_tls_push_failure(L, rc, why.reason);
    lua_pushboolean(L, 1);
    return 1;
}

/* ---- the table */

struct method {
    const char *name;
    lua_CFunction call;
};

static void set_methods(lua_State *L, const struct method *methods)
{
    for (; methods->name; methods++) {
        lua_pushcfunction(L, methods->call);
        lua_setfield(L, -2, methods->name);
    }
}

static void new_type(lua_State *L, const char *name, const struct method *methods)
{
    luaL_newmetatable(L, name);
    lua_pushvalue(L, -1);
    lua_setfield(L, -2, "__index");
    set_methods(L, methods);
    lua_pop(L, 1);
}

int neap_units_tls(lua_State *L)
{
    new_type(L, CONFIG_TYPE,
             (const struct method[]){{"__gc", config_gc},
                                     {"client", config_client},
                                     {"server", config_server},
                                     {"used", config_used},
                                     {"sessions", config_sessions},
                                     {"strikes", config_strikes},
                                     {"add_client_roots", config_add_client_roots},
                                     {"drop_sessions", config_drop_sessions},
                                     {"load_sessions", config_load_sessions},
                                     {"fail_after", config_fail_after},
                                     {"log", config_log},
                                     {NULL, NULL}});
    new_type(L, HANDSHAKE_TYPE,
             (const struct method[]){{"__gc", handshake_free},
                                     {"free", handshake_free},
                                     {"receive", handshake_receive},
                                     {"question", unit_tls_question},
                                     {"answer", unit_tls_answer},
                                     {"set_data", handshake_set_data},
                                     {"offered", handshake_offered},
                                     {"end_offer", handshake_end_offer},
                                     {"output", handshake_output},
                                     {"secrets", handshake_secrets},
                                     {"put_secret", handshake_put_secret},
                                     {"info", handshake_info},
                                     {"take_tail", handshake_take_tail},
                                     {NULL, NULL}});
    new_type(L, TAIL_TYPE,
             (const struct method[]){
                 {"__gc", tail_free}, {"free", tail_free}, {"receive", tail_receive}, {NULL, NULL}});
    lua_newtable(L);
    set_methods(L, (const struct method[]){{"config", new_config}, {NULL, NULL}});
    neap_units_tls_compression(L);
    neap_units_tls_schedule(L);
    lua_setfield(L, -2, "schedule");
    return 1;
}
