/* Units of core/quic: connection IDs by the application, keys and registers of tokens. */
#include "quic_unit.h"

/* next_arrival(endpoint) -> id, from, size; nothing when none is new */
static int next_arrival(lua_State *L)
{
    struct unit_endpoint *u = luaL_checkudata(L, 1, ENDPOINT);
    neap_arrival arrival;
    uint64_t id;

    if (!neap_endpoint_next_arrival(u->endpoint, &id, &arrival, sizeof arrival))
        return 0;
    lua_pushnumber(L, (lua_Number)id);
    push_address(L, &arrival.from);
    lua_pushnumber(L, (lua_Number)arrival.size);
    return 3;
}

/* decide(endpoint, id, 0 by options, 1 accept, 2 retry, 3 refuse, now) -> what neap_endpoint_admit says */
static int decide(lua_State *L)
{
    struct unit_endpoint *u = luaL_checkudata(L, 1, ENDPOINT);

    lua_pushinteger(L, neap_endpoint_admit(u->endpoint, (uint64_t)luaL_checknumber(L, 2),
                                           (enum neap_admit)luaL_checkinteger(L, 3), check_time(L, 4)));
    return 1;
}

int neap_units_quic_ids(lua_State *L);

/* A generator that counts; what it makes instead from time to time is of its kind. */
static struct {
    const char *kind;
    uint64_t calls;
} generator;

static int generate(void *context, neap_cid *id)
{
    uint64_t n = ++generator.calls;

    (void)context;
    memset(id->bytes, 'g', id->size);
    if (strcmp(generator.kind, "constant") != 0 && id->size > 2) {
        id->bytes[1] = (uint8_t)(n >> 8);
        id->bytes[2] = (uint8_t)n;
    }
    if (strcmp(generator.kind, "long") == 0 || (strcmp(generator.kind, "sometimes long") == 0 && n % 2))
        id->size++;
    return strcmp(generator.kind, "failing") == 0 ? -1 : 0;
}

/* generate(config, kind or nil) -> result */
static int set_generator(lua_State *L)
{
    const char *kind = lua_tostring(L, 2);

    if (kind)
        generator.kind = kind; /* the spec keeps it */
    generator.calls = 0;
    lua_pushinteger(L,
                    neap_config_set_cid_generator(check_config(L, 1)->config, kind ? generate : NULL, NULL));
    return 1;
}

static int generator_calls(lua_State *L)
{
    lua_pushnumber(L, (lua_Number)generator.calls);
    return 1;
}

/* prefix(config, bytes) -> result */
static int set_prefix(lua_State *L)
{
    size_t size;
    const char *bytes = luaL_checklstring(L, 2, &size);

    lua_pushinteger(L, neap_config_set_cid_prefix(check_config(L, 1)->config, bytes, size));
    return 1;
}

/* new_cid(config) -> cid or nil, code */
static int new_cid(lua_State *L)
{
    neap_cid cid;
    int rc = neap_new_cid(check_config(L, 1)->config, &cid);

    if (rc)
        return push_error(L, rc);
    push_cid(L, &cid);
    return 1;
}

static int cid_stats(lua_State *L)
{
    neap_cid_stats stats;

    neap_config_cid_stats(check_config(L, 1)->config, &stats, sizeof stats);
    lua_newtable(L);
    set_number(L, "made", stats.made);
    set_number(L, "refused", stats.refused);
    set_number(L, "collisions", stats.collisions);
    if (stats.nonces_left != UINT64_MAX)
        set_number(L, "nonces_left", stats.nonces_left);
    return 1;
}

/* quic_lb(config, server_id, nonce_length, config_id) -> result; under a key of zeros. Without a server_id: off. */
static int set_quic_lb(lua_State *L)
{
    size_t size = 0;
    const char *server_id = luaL_optlstring(L, 2, NULL, &size);
    neap_quic_lb lb = {.config_id = (uint8_t)luaL_optinteger(L, 4, 0),
                       .server_id_length = (uint8_t)size,
                       .nonce_length = (uint8_t)luaL_optinteger(L, 3, 0),
                       .has_key = true};

    luaL_argcheck(L, size <= sizeof lb.server_id, 2, "too long");
    if (server_id)
        memcpy(lb.server_id, server_id, size);
    lua_pushinteger(L,
                    neap_config_set_quic_lb(check_config(L, 1)->config, server_id ? &lb : NULL, sizeof lb));
    return 1;
}

static int rotate(lua_State *L)
{
    lua_pushinteger(L, neap_conn_rotate_ids(check_conn(L, 1)));
    return 1;
}

/* token_keys(config, { secret, … }) -> result */
static int token_keys(lua_State *L)
{
    uint8_t keys[8][32];
    size_t count = 0;

    for (; lua_rawgeti(L, 2, (int)count + 1), !lua_isnil(L, -1); count++) {
        size_t size;
        const char *secret = luaL_checklstring(L, -1, &size);
        luaL_argcheck(L, count < 8 && size == 32, 2, "8 secrets of 32 bytes");
        memcpy(keys[count], secret, 32);
        lua_pop(L, 1);
    }
    lua_pushinteger(
        L, neap_config_set_token_keys(check_config(L, 1)->config, (const uint8_t(*)[32])keys, count));
    return 1;
}

static struct {
    int answer;
    int64_t expires;
    uint64_t calls;
    uint8_t last[32];
} tokens_told;

static int use_token(void *context, const uint8_t id[32], int64_t expires)
{
    (void)context;
    tokens_told.calls++;
    tokens_told.expires = expires;
    memcpy(tokens_told.last, id, 32);
    return tokens_told.answer;
}

/* token_register(config, answer or nil) */
static int token_register(lua_State *L)
{
    bool has_answer = !lua_isnoneornil(L, 2);

    if (has_answer)
        tokens_told.answer = (int)luaL_checkinteger(L, 2);
    neap_config_set_token_register(check_config(L, 1)->config, has_answer ? use_token : NULL, NULL);
    return 0;
}

/* tokens_told() -> how often the register was asked, the last hash, and until when it is good */
static int push_tokens_told(lua_State *L)
{
    lua_pushnumber(L, (lua_Number)tokens_told.calls);
    lua_pushlstring(L, (const char *)tokens_told.last, 32);
    lua_pushnumber(L, (lua_Number)tokens_told.expires);
    return 3;
}

/* accept_with_token(config, datagram, from, to, now) -> what the token is, whether it is used now, bytes that may be sent */
static int accept_with_token(lua_State *L)
{
    static const char *const words[] = {"none", "retry", "address", "invalid"};
    neap_config *config = check_config(L, 1)->config;
    neap_header h = check_header(L, 2);
    neap_address from = check_address(L, 3), to = check_address(L, 4);
    neap_cid original = {0}, scid;

    enum neap_token token = neap_check_token(config, &h, &from, &original);
    bool is_used = token == NEAP_TOKEN_ADDRESS && neap_use_token(config, &h);
    neap_random_cid(config, 8, &scid);
    neap_conn *conn = neap_accept(config, &h, &scid, NULL, &to, &from, check_time(L, 5), NULL);
    if (is_used)
        neap_conn_set_validated(conn);
    lua_pushstring(L, words[token]);
    lua_pushboolean(L, is_used);
    lua_pushboolean(L, conn_path(conn)->address.validated);
    neap_conn_free(conn);
    return 3;
}

static struct {
    enum neap_admit says;
    neap_arrival last;
    uint64_t calls;
} admission_told;

static enum neap_admit admit(void *context, const neap_arrival *arrival)
{
    (void)context;
    admission_told.last = *arrival;
    admission_told.calls++;
    return admission_told.says;
}

/* admit(endpoint, nil or 0 by options, 1 accept, 2 retry, 3 refuse, 4 wait) */
static int set_admit(lua_State *L)
{
    struct unit_endpoint *u = luaL_checkudata(L, 1, ENDPOINT);

    admission_told.says = (enum neap_admit)luaL_optinteger(L, 2, 0);
    admission_told.calls = 0;
    neap_endpoint_set_admit(u->endpoint, lua_isnoneornil(L, 2) ? NULL : admit, NULL);
    return 0;
}

/* admitted() -> how often it was asked, and the last address and size */
static int admitted(lua_State *L)
{
    lua_pushnumber(L, (lua_Number)admission_told.calls);
    push_address(L, &admission_told.last.from);
    lua_pushnumber(L, (lua_Number)admission_told.last.size);
    return 3;
}

int neap_units_quic_ids(lua_State *L)
{
    push_functions(L, (const luaL_Reg[]){{"generate", set_generator},
                                         {"generator_calls", generator_calls},
                                         {"prefix", set_prefix},
                                         {"new_cid", new_cid},
                                         {"cid_stats", cid_stats},
                                         {"quic_lb", set_quic_lb},
                                         {"rotate", rotate},
                                         {"admit", set_admit},
                                         {"admitted", admitted},
                                         {"next_arrival", next_arrival},
                                         {"decide", decide},
                                         {"token_keys", token_keys},
                                         {"token_register", token_register},
                                         {"tokens_told", push_tokens_told},
                                         {"accept_with_token", accept_with_token},
                                         {NULL, NULL}});
    return 1;
}
