/* Units of core/quic: configs, packets without a connection, names. */
#include "classed_pool.h"
#include "crypto/backend.h"
#include "quic_unit.h"

int neap_units_quic(lua_State *L);

/* ---- environment */

static void *unit_realloc(void *context, void *pointer, size_t size)
{
    struct unit_config *u = context;

    if (size == 0) {
        u->live -= pointer != NULL;
        free(pointer);
        return NULL;
    }
    if (!pointer) {
        u->allocations++;
        if (u->fail_at >= 0 && (u->fail_at == 0 || --u->fail_at == 0)) {
            u->fail_at = u->fails_on ? 0 : -1;
            return NULL;
        }
        u->live++;
    }
    return realloc(pointer, size);
}

static int unit_random(void *context, uint8_t *out, size_t size)
{
    struct unit_config *u = context;

    for (size_t i = 0; i < size; i++)
        out[i] = (uint8_t)((u->seed + i) * 0x9e3779b97f4a7c15u >> 56);
    return 0;
}

static int64_t unit_clock(void *context)
{
    const struct unit_config *u = context;

    return u->clock;
}

static uint64_t unit_generation(void *context)
{
    return ((const struct unit_config *)context)->generation;
}

/* ---- config */

/* config(seed [, fail_at, fails_on, limit]): with a limit its memory is of size classes, as in builds for use */
static int config_new(lua_State *L)
{
    lua_settop(L, 4);
    struct unit_config *u = new_object(L, CONFIG, sizeof *u);

    u->seed = (uint64_t)luaL_checknumber(L, 1);
    u->clock = 1800000000;
    u->generation = 1;
    u->fail_at = (int64_t)luaL_optnumber(L, 2, -1);
    u->fails_on = lua_toboolean(L, 3);
    neap_env env = {.realloc = unit_realloc,
                    .random = unit_random,
                    .wall_clock = unit_clock,
                    .generation = unit_generation,
                    .context = u};
    if (lua_isnil(L, 4)) {
        u->config = neap_config_new(&env);
    } else {
        env.memory_limit = (size_t)luaL_checknumber(L, 4);
        u->config = neap_config_create_in(classed_pool_new(unit_realloc, u, env.memory_limit), &env);
    }
    if (!u->config)
        return push_error(L, NEAP_ERR_NO_MEMORY);
    /* The order in which suites are wished for is the same on every CPU here. */
    static const uint16_t suites[] = {SUITE_AES_128_GCM_SHA256, SUITE_AES_256_GCM_SHA384,
                                      SUITE_CHACHA20_POLY1305_SHA256};
    memcpy(u->config->tls.suites, suites, sizeof(suites));
    return 1;
}

/* config:clock(seconds since 1970) */
static int config_clock(lua_State *L)
{
    check_config(L, 1)->clock = (int64_t)luaL_checknumber(L, 2);
    return 0;
}

/* config:cipher_suite(name) -> result */
static int config_cipher_suite(lua_State *L)
{
    const char *name = luaL_checkstring(L, 2);

    lua_pushinteger(L, neap_config_set_cipher_suites(check_config(L, 1)->config, &name, 1));
    return 1;
}

/* config:fork(): the process is another from now on */
static int config_fork(lua_State *L)
{
    check_config(L, 1)->generation++;
    return 0;
}

static int config_free(lua_State *L)
{
    struct unit_config *u = luaL_checkudata(L, 1, CONFIG);

    neap_config_free(u->config);
    u->config = NULL;
    return 0;
}

/* Garbage may come in any order; connections keep their config's inside, but this context must outlive them: specs
 * free what they make. */
static int config_gc(lua_State *L)
{
    struct unit_config *u = luaL_checkudata(L, 1, CONFIG);

    if (u->config && u->config->references == 1)
        neap_config_free(u->config);
    u->config = NULL;
    return 0;
}

static int config_set(lua_State *L)
{
    struct unit_config *u = check_config(L, 1);

    lua_pushnumber(L, neap_config_set(u->config, luaL_checkstring(L, 2), (uint64_t)luaL_checknumber(L, 3)));
    return 1;
}

/* The engine of one config, and how many masks of headers it has made. */
static struct {
    struct engine engine;
    const struct engine *real;
    lua_Number masks, calls;
} counted;

static int count_masks(void *expanded, const uint8_t *const *samples, size_t count,
                       uint8_t (*masks)[MASK_BLOCK])
{
    counted.masks += (lua_Number)count;
    counted.calls++;
    return counted.real->mask(expanded, samples, count, masks);
}

/* config:masks() -> masks of AES that were made since the first time this was asked of it, in so many calls */
static int config_masks(lua_State *L)
{
    struct crypto *crypto = check_config(L, 1)->config->crypto;

    if (crypto->engine != &counted.engine) {
        counted.real = crypto->engine;
        counted.engine = *crypto->engine;
        counted.engine.mask = count_masks;
        counted.masks = counted.calls = 0;
        crypto->engine = &counted.engine;
    }
    lua_pushnumber(L, counted.masks);
    lua_pushnumber(L, counted.calls);
    return 2;
}

/* config:alpn(name, ...) */
static int config_alpn(lua_State *L)
{
    struct unit_config *u = check_config(L, 1);
    const char *names[8];
    size_t count = (size_t)lua_gettop(L) - 1;

    luaL_argcheck(L, count <= sizeof names / sizeof names[0], 2, "at most 8 names");
    for (size_t i = 0; i < count; i++)
        names[i] = luaL_checkstring(L, (int)i + 2);
    lua_pushnumber(L, neap_config_set_alpn(u->config, names, count));
    return 1;
}

/* config:versions(number, ...) */
static int config_versions(lua_State *L)
{
    struct unit_config *u = check_config(L, 1);
    uint32_t versions[8];
    size_t count = (size_t)lua_gettop(L) - 1;

    luaL_argcheck(L, count <= sizeof versions / sizeof versions[0], 2, "at most 8 versions");
    for (size_t i = 0; i < count; i++)
        versions[i] = (uint32_t)luaL_checknumber(L, (int)i + 2);
    lua_pushnumber(L, neap_config_set_versions(u->config, versions, count));
    return 1;
}

static int config_make_certificate(lua_State *L)
{
    struct unit_config *u = check_config(L, 1);
    const char *names[] = {luaL_checkstring(L, 2)};
    char certificate[4096], key[4096];
    int rc = neap_make_certificate(u->config, names, 1, 30, certificate, sizeof certificate, key, sizeof key);

    if (rc)
        return push_error(L, rc);
    lua_pushstring(L, certificate);
    lua_pushstring(L, key);
    return 2;
}

/* config:client_ca(pem) -> code */
static int config_client_ca(lua_State *L)
{
    struct unit_config *u = check_config(L, 1);
    size_t size;
    const char *pem = luaL_checklstring(L, 2, &size);

    lua_pushnumber(L, neap_config_add_client_ca(u->config, pem, size, NULL));
    return 1;
}

/* config:certificate(chain[, key]): without key it is elsewhere */
static int config_certificate(lua_State *L)
{
    struct unit_config *u = check_config(L, 1);
    size_t chain_size, key_size;
    const char *chain = luaL_checklstring(L, 2, &chain_size), *key = luaL_optlstring(L, 3, NULL, &key_size);
    const char *why = "";
    int rc = key ? neap_config_add_certificate(u->config, chain, chain_size + 1, key, key_size + 1, &why)
                 : neap_config_add_certificate_without_key(u->config, chain, chain_size + 1, &why);

    lua_pushnumber(L, rc);
    lua_pushstring(L, why);
    return 2;
}

/* config:ask(kinds) -> 0 or a code */
static int config_ask(lua_State *L)
{
    lua_pushnumber(L, neap_config_ask(check_config(L, 1)->config, (unsigned)luaL_checknumber(L, 2)));
    return 1;
}

static int config_ca(lua_State *L)
{
    struct unit_config *u = check_config(L, 1);
    size_t size;
    const char *roots = luaL_checklstring(L, 2, &size);

    lua_pushnumber(L, neap_config_add_ca(u->config, roots, size + 1, NULL));
    return 1;
}

/* config:ca_path(path) -> 0 or a code */
static int config_ca_path(lua_State *L)
{
    lua_pushnumber(L, neap_config_add_ca_path(check_config(L, 1)->config, luaL_checkstring(L, 2), NULL));
    return 1;
}

/* config:set_h3() -> 0 or a code: what a server's HTTP/3 will tell */
static int config_set_h3(lua_State *L)
{
    lua_pushnumber(L, neap_config_set_h3(check_config(L, 1)->config, NULL));
    return 1;
}

/* config:crl(PEM or DER) -> 0 or a code */
static int config_crl(lua_State *L)
{
    size_t size;
    const char *lists = luaL_checklstring(L, 2, &size);

    lua_pushnumber(L, neap_config_add_crl(check_config(L, 1)->config, lists, size, NULL));
    return 1;
}

/* config:ocsp_response(bytes) -> 0 or a code */
static int config_ocsp_response(lua_State *L)
{
    size_t size;
    const char *bytes = luaL_checklstring(L, 2, &size);

    lua_pushnumber(L, neap_config_set_ocsp_response(check_config(L, 1)->config, bytes, size, NULL));
    return 1;
}

/* config:begin_reload() -> 0 or a code */
static int config_begin_reload(lua_State *L)
{
    lua_pushnumber(L, neap_config_begin_reload(check_config(L, 1)->config));
    return 1;
}

/* config:end_reload(take) */
static int config_end_reload(lua_State *L)
{
    neap_config_end_reload(check_config(L, 1)->config, lua_toboolean(L, 2));
    return 0;
}

static int config_secret(lua_State *L)
{
    struct unit_config *u = check_config(L, 1);
    size_t size;
    const char *secret = luaL_checklstring(L, 2, &size);

    luaL_argcheck(L, size == 32, 2, "32 bytes");
    neap_config_set_static_secret(u->config, (const uint8_t *)secret);
    return 0;
}

static int strike(void *context, const uint8_t id[32], int64_t expires)
{
    struct unit_config *u = context;

    (void)expires;
    for (size_t i = 0; i < u->struck_count; i++)
        if (memcmp(u->struck[i], id, 32) == 0)
            return 0;
    if (u->struck_count == sizeof u->struck / sizeof u->struck[0])
        return 0;
    memcpy(u->struck[u->struck_count++], id, 32);
    return 1;
}

/* config:register(): it has a register of what was read early, which lasts as long as it does */
static int config_register(lua_State *L)
{
    struct unit_config *u = check_config(L, 1);

    neap_config_set_strike(u->config, strike, u);
    return 0;
}

/* config:forget_struck(): the register knows nothing of before */
static int config_forget_struck(lua_State *L)
{
    check_config(L, 1)->struck_count = 0;
    return 0;
}

/* config:group(number): the one group that it takes */
static int config_group(lua_State *L)
{
    uint16_t *groups = check_config(L, 1)->config->tls.groups;

    groups[0] = (uint16_t)luaL_checkinteger(L, 2);
    groups[1] = 0;
    return 0;
}

/* config:work() -> what peers had it do so far, in µs (neap_crypto_work) */
static int config_work(lua_State *L)
{
    lua_pushnumber(L, (lua_Number)neap_crypto_work(check_config(L, 1)->config->crypto));
    return 1;
}

/* config:session_data(bytes) -> 0 or a code */
static int config_session_data(lua_State *L)
{
    size_t size;
    const char *data = luaL_checklstring(L, 2, &size);

    lua_pushinteger(L, neap_config_set_session_data(check_config(L, 1)->config, data, size));
    return 1;
}

/* config:save_sessions() -> bytes */
static int config_save_sessions(lua_State *L)
{
    const struct unit_config *u = check_config(L, 1);
    size_t size = (size_t)neap_config_save_sessions(u->config, NULL, 0);
    char *room = lua_newuserdata(L, size);

    lua_pushlstring(L, room, (size_t)neap_config_save_sessions(u->config, room, size));
    return 1;
}

/* config:load_sessions(bytes) -> 0 or a code */
static int config_load_sessions(lua_State *L)
{
    size_t size;
    const char *saved = luaL_checklstring(L, 2, &size);

    lua_pushinteger(L, neap_config_load_sessions(check_config(L, 1)->config, saved, size));
    return 1;
}

/* config:ticket_keys(keys of 32 bytes each) */
static int config_ticket_keys(lua_State *L)
{
    struct unit_config *u = check_config(L, 1);
    size_t size;
    const char *keys = luaL_checklstring(L, 2, &size);

    lua_pushinteger(L, neap_config_set_ticket_keys(u->config, (const uint8_t(*)[32])keys, size / 32));
    return 1;
}

static int config_memory(lua_State *L)
{
    struct unit_config *u = luaL_checkudata(L, 1, CONFIG);
    neap_memory_stats stats = {0};

    if (u->config)
        neap_config_memory(u->config, &stats, sizeof stats);
    lua_newtable(L);
    set_number(L, "used", stats.used);
    set_number(L, "peak", stats.peak);
    set_number(L, "reserved", stats.reserved);
    set_number(L, "refused", stats.refused);
    set_number(L, "receive_held", stats.receive_held);
    set_number(L, "receive_most", stats.receive_most);
    set_number(L, "send_held", stats.send_held);
    set_number(L, "send_most", stats.send_most);
    set_number(L, "allocations", (uint64_t)u->allocations);
    lua_pushnumber(L, (lua_Number)u->live);
    lua_setfield(L, -2, "live");
    return 1;
}

static int config_bounds(lua_State *L)
{
    neap_bound_stats stats;

    neap_config_bounds(check_config(L, 1)->config, &stats, sizeof stats);
    lua_newtable(L);
    set_number(L, "send_budget", stats.send_budget);
    set_number(L, "send_ahead", stats.send_ahead);
    set_number(L, "datagrams_refused", stats.datagrams_refused);
    set_number(L, "sent_forgotten", stats.sent_forgotten);
    set_number(L, "size_probes_forgotten", stats.size_probes_forgotten);
    set_number(L, "closes_withheld", stats.closes_withheld);
    return 1;
}

static int config_fail_at(lua_State *L)
{
    struct unit_config *u = check_config(L, 1);

    u->fail_at = (int64_t)luaL_checknumber(L, 2);
    u->fails_on = lua_toboolean(L, 3);
    return 0;
}
/* ---- packets without a connection */

static int header_info(lua_State *L)
{
    size_t size;
    const char *bytes = luaL_checklstring(L, 1, &size);
    neap_header h = {0};
    int rc = neap_header_info((const uint8_t *)bytes, size, (size_t)luaL_checknumber(L, 2), &h);

    if (rc && rc != NEAP_ERR_UNKNOWN_VERSION)
        return push_error(L, rc);
    lua_newtable(L);
    set_number(L, "type", h.type);
    set_number(L, "version", h.version);
    push_cid(L, &h.dcid);
    lua_setfield(L, -2, "dcid");
    push_cid(L, &h.scid);
    lua_setfield(L, -2, "scid");
    lua_pushlstring(L, h.token ? (const char *)h.token : "", h.token_size);
    lua_setfield(L, -2, "token");
    lua_pushnumber(L, rc);
    return 2;
}

/* retry(config, initial, new_scid, peer) */
static int unit_retry(lua_State *L)
{
    struct unit_config *u = check_config(L, 1);
    neap_header h = check_header(L, 2);
    neap_cid scid = check_cid(L, 3);
    neap_address peer = check_address(L, 4);
    uint8_t out[1500];

    return push_packet(L, out, neap_retry(u->config, &h, &scid, &peer, out, sizeof out));
}

/* validate_token(config, initial, peer) -> original dcid */
static int unit_validate_token(lua_State *L)
{
    struct unit_config *u = check_config(L, 1);
    neap_header h = check_header(L, 2);
    neap_address peer = check_address(L, 3);
    neap_cid original;
    int rc = neap_validate_token(u->config, &h, &peer, &original);

    if (rc)
        return push_error(L, rc);
    push_cid(L, &original);
    return 1;
}

static int unit_negotiate_version(lua_State *L)
{
    struct unit_config *u = check_config(L, 1);
    neap_header h = check_header(L, 2);
    uint8_t out[1500];

    return push_packet(L, out, neap_negotiate_version(u->config, &h, out, sizeof out));
}

static int unit_stateless_reset(lua_State *L)
{
    struct unit_config *u = check_config(L, 1);
    neap_cid cid = check_cid(L, 2);
    uint8_t out[1500];

    return push_packet(
        L, out, neap_stateless_reset(u->config, &cid, (size_t)luaL_checknumber(L, 3), out, sizeof out));
}
/* ---- others */

static int address_round_trip(lua_State *L)
{
    neap_address a = {0};
    char text[80];
    int rc = neap_address_parse(luaL_checkstring(L, 1), (uint16_t)luaL_optnumber(L, 2, 0), &a);

    if (rc)
        return push_error(L, rc);
    lua_pushnumber(L, neap_address_format(&a, text, sizeof text));
    lua_pushstring(L, text);
    lua_replace(L, -2);
    return 1;
}

static int sizes(lua_State *L)
{
    lua_newtable(L);
    set_number(L, "conn", sizeof(neap_conn));
    set_number(L, "handshake", sizeof(struct handshake));
    set_number(L, "streams", sizeof(struct streams));
    set_number(L, "recovery", sizeof(struct recovery));
    set_number(L, "path", sizeof(struct path));
    set_number(L, "keys", sizeof(struct key_phases));
    set_number(L, "space", sizeof(struct number_space));
    set_number(L, "sent", sizeof(struct sent));
    set_number(L, "local_cids", sizeof(struct local_cids));
    set_number(L, "peer_cids", sizeof(struct peer_cids));
    set_number(L, "member", sizeof(struct endpoint_entry));
    return 1;
}

/* config:preferred_address([v4, v6]) -> result */
static int config_preferred_address(lua_State *L)
{
    neap_address v4, v6;

    if (!lua_isnoneornil(L, 2))
        v4 = check_address(L, 2);
    if (!lua_isnoneornil(L, 3))
        v6 = check_address(L, 3);
    lua_pushnumber(L, neap_config_set_preferred_address(check_config(L, 1)->config,
                                                        lua_isnoneornil(L, 2) ? NULL : &v4,
                                                        lua_isnoneornil(L, 3) ? NULL : &v6));
    return 1;
}

static const luaL_Reg config_methods[] = {
    {"free", config_free},
    {"set", config_set},
    {"masks", config_masks},
    {"alpn", config_alpn},
    {"preferred_address", config_preferred_address},
    {"versions", config_versions},
    {"make_certificate", config_make_certificate},
    {"certificate", config_certificate},
    {"ask", config_ask},
    {"client_ca", config_client_ca},
    {"ca", config_ca},
    {"ca_path", config_ca_path},
    {"set_h3", config_set_h3},
    {"crl", config_crl},
    {"ocsp_response", config_ocsp_response},
    {"begin_reload", config_begin_reload},
    {"end_reload", config_end_reload},
    {"secret", config_secret},
    {"ticket_keys", config_ticket_keys},
    {"group", config_group},
    {"work", config_work},
    {"register", config_register},
    {"forget_struck", config_forget_struck},
    {"session_data", config_session_data},
    {"save_sessions", config_save_sessions},
    {"load_sessions", config_load_sessions},
    {"memory", config_memory},
    {"bounds", config_bounds},
    {"clock", config_clock},
    {"fork", config_fork},
    {"cipher_suite", config_cipher_suite},
    {"fail_at", config_fail_at},
    {NULL, NULL},
};

/* options() -> list of { name, default, least, greatest } in the units of C */
static int list_options(lua_State *L)
{
    const neap_option *option;

    lua_newtable(L);
    for (size_t i = 0; (option = neap_config_option(i)) != NULL; i++) {
        lua_newtable(L);
        lua_pushstring(L, option->name);
        lua_setfield(L, -2, "name");
        set_number(L, "default", option->default_value);
        set_number(L, "least", option->least);
        set_number(L, "greatest", option->greatest);
        lua_rawseti(L, -2, (int)i + 1);
    }
    return 1;
}

static const luaL_Reg functions[] = {
    {"config", config_new},
    {"options", list_options},
    {"header", header_info},
    {"retry", unit_retry},
    {"validate_token", unit_validate_token},
    {"negotiate_version", unit_negotiate_version},
    {"stateless_reset", unit_stateless_reset},
    {"address", address_round_trip},
    {"sizes", sizes},
    {NULL, NULL},
};

int neap_units_quic(lua_State *L)
{
    new_type(L, CONFIG, config_methods, config_gc);
    push_functions(L, functions);
    return 1;
}
