/* Units of core/paths: address validation tokens, the register of used ones, stateless reset tokens. */
#include <lauxlib.h>
#include <lua.h>
#include <stdlib.h>

#include "base/limits.h"
#include "base/pool.h"
#include "paths/token.h"

int neap_units_paths_tokens(lua_State *L);

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

/* ---- tokens(secret): seals and opens */

#define TOKENS "neap.units.tokens"

struct unit_tokens {
    struct pool *pool;
    struct crypto *crypto;
    struct token_keys keys;
};

static void *plain_realloc(void *context, void *pointer, size_t size)
{
    (void)context;
    if (size == 0) {
        free(pointer);
        return NULL;
    }
    return realloc(pointer, size);
}

static int tokens_new(lua_State *L)
{
    static const uint8_t seed[32] = {1};
    const uint8_t *secret = check_exactly(L, 1, 32);
    struct unit_tokens *t = new_object(L, TOKENS, sizeof(*t));

    t->pool = neap_pool_new(plain_realloc, NULL, 0);
    t->crypto = neap_crypto_new(t->pool, seed);
    neap_token_keys_derive(&t->keys, secret);
    return 1;
}

static int tokens_gc(lua_State *L)
{
    struct unit_tokens *t = luaL_checkudata(L, 1, TOKENS);

    neap_crypto_free(t->crypto);
    neap_pool_release(t->pool);
    return 0;
}

static neap_address check_address(lua_State *L, int ip, int port)
{
    struct span bytes = check_span(L, ip);
    neap_address address = {.port = (uint16_t)luaL_checknumber(L, port), .family = bytes.size == 4 ? 4 : 6};

    luaL_argcheck(L, bytes.size == 4 || bytes.size == 16, ip, "not an IP address");
    memcpy(address.ip, bytes.data, bytes.size);
    return address;
}

/* t:seal(ip, port, original_dcid, retry_scid, version, issued, room) -> bytes, or a negative error */
static int tokens_seal(lua_State *L)
{
    struct unit_tokens *t = luaL_checkudata(L, 1, TOKENS);
    neap_address peer = check_address(L, 2, 3);
    struct retry_token token = {.original_dcid = check_cid(L, 4),
                                .retry_scid = check_cid(L, 5),
                                .version = (uint32_t)check_u64(L, 6),
                                .issued = (int64_t)check_u64(L, 7)};
    uint8_t out[LIMIT_TOKEN];
    size_t room = (size_t)luaL_optnumber(L, 8, sizeof(out));
    int64_t size = neap_retry_token_seal(t->crypto, &t->keys, &token, &peer, out, room);

    if (size < 0)
        lua_pushnumber(L, (lua_Number)size);
    else
        lua_pushlstring(L, (const char *)out, (size_t)size);
    return 1;
}

/* t:open(bytes, ip, port, now) -> original_dcid, retry_scid, version, issued; or a negative error */
static int tokens_open(lua_State *L)
{
    struct unit_tokens *t = luaL_checkudata(L, 1, TOKENS);
    neap_address peer = check_address(L, 3, 4);
    struct span bytes = check_span(L, 2);
    struct retry_token token;
    /* A copy of exactly this size, so that a byte read past it is seen. */
    uint8_t *copy = malloc(bytes.size ? bytes.size : 1);
    memcpy(copy, bytes.data, bytes.size);
    int code = neap_retry_token_open(t->crypto, &t->keys, span_of(copy, bytes.size), &peer,
                                     (int64_t)check_u64(L, 5), &token);

    free(copy);
    if (code) {
        lua_pushinteger(L, code);
        return 1;
    }
    push_cid(L, &token.original_dcid);
    push_cid(L, &token.retry_scid);
    lua_pushnumber(L, token.version);
    lua_pushnumber(L, (lua_Number)token.issued);
    return 4;
}

/* is_retry_token(bytes) */
static int is_retry_token(lua_State *L)
{
    lua_pushboolean(L, neap_is_retry_token(check_span(L, 1)));
    return 1;
}

/* t:reset_token(cid[, server_id]) */
static int tokens_reset_token(lua_State *L)
{
    struct unit_tokens *t = luaL_checkudata(L, 1, TOKENS);
    neap_cid cid = check_cid(L, 2);
    struct span server_id = lua_isnoneornil(L, 3) ? (struct span){0} : check_span(L, 3);
    uint8_t out[16];

    neap_reset_token(&t->keys, &cid, server_id, out);
    lua_pushlstring(L, (const char *)out, sizeof(out));
    return 1;
}

/* t:key_of(kind, epoch) -> the key that seals those of a kind in an epoch: 0 Retry, 1 NEW_TOKEN */
static int tokens_key_of(lua_State *L)
{
    struct unit_tokens *t = luaL_checkudata(L, 1, TOKENS);
    enum token_kind kind = (enum token_kind)check_u64(L, 2);

    if (t->keys.sealing[kind].epoch != (int64_t)check_u64(L, 3))
        return 0;
    lua_pushlstring(L, (const char *)t->keys.sealing[kind].key, sizeof(t->keys.sealing[kind].key));
    return 1;
}

/* t:set({ secret, … }) */
static int tokens_set(lua_State *L)
{
    struct unit_tokens *t = luaL_checkudata(L, 1, TOKENS);
    uint8_t secrets[TOKEN_KEYS_MOST][32];
    size_t count = 0;

    for (; lua_rawgeti(L, 2, (int)count + 1), !lua_isnil(L, -1); count++) {
        luaL_argcheck(L, count < TOKEN_KEYS_MOST, 2, "too many");
        memcpy(secrets[count], check_exactly(L, -1, 32), 32);
        lua_pop(L, 1);
    }
    neap_token_keys_set(&t->keys, (const uint8_t(*)[32])secrets, count);
    return 0;
}

/* t:seal_frame(ip, version, now, lifetime) -> bytes, or a negative error */
static int tokens_seal_frame(lua_State *L)
{
    struct unit_tokens *t = luaL_checkudata(L, 1, TOKENS);
    uint8_t out[LIMIT_TOKEN];

    lua_pushnumber(L, 1);
    neap_address peer = check_address(L, 2, lua_gettop(L));
    int64_t size =
        neap_frame_token_seal(t->crypto, &t->keys, (uint32_t)check_u64(L, 3), &peer,
                              (int64_t)luaL_checknumber(L, 4), (uint32_t)check_u64(L, 5), out, sizeof(out));

    if (size < 0)
        lua_pushnumber(L, (lua_Number)size);
    else
        lua_pushlstring(L, (const char *)out, (size_t)size);
    return 1;
}

/* t:open_frame(bytes, ip, version, now, lifetime) -> until when it is good, or a negative error */
static int tokens_open_frame(lua_State *L)
{
    struct unit_tokens *t = luaL_checkudata(L, 1, TOKENS);
    struct span bytes = check_span(L, 2);
    int64_t expires = 0;
    uint8_t *copy = malloc(bytes.size ? bytes.size : 1);

    memcpy(copy, bytes.data, bytes.size);
    lua_pushnumber(L, 2);
    neap_address peer = check_address(L, 3, lua_gettop(L));
    int rc =
        neap_frame_token_open(t->crypto, &t->keys, span_of(copy, bytes.size), (uint32_t)check_u64(L, 4),
                              &peer, (int64_t)luaL_checknumber(L, 5), (uint32_t)check_u64(L, 6), &expires);
    free(copy);
    lua_pushnumber(L, rc ? rc : (lua_Number)expires);
    return 1;
}

static int is_frame_token(lua_State *L)
{
    lua_pushboolean(L, neap_is_frame_token(check_span(L, 1)));
    return 1;
}

/* ---- used_tokens(most, memory limit) */

#define USED_TOKENS "neap.units.used_tokens"

struct unit_used {
    struct pool *pool;
    struct used_tokens used;
    size_t most;
};

static int used_tokens_new(lua_State *L)
{
    size_t most = (size_t)check_u64(L, 1), limit = (size_t)luaL_optnumber(L, 2, 0);
    struct unit_used *u = new_object(L, USED_TOKENS, sizeof(*u));

    u->most = most;
    u->pool = neap_pool_new(plain_realloc, NULL, limit);
    return 1;
}

static int used_tokens_gc(lua_State *L)
{
    struct unit_used *u = luaL_checkudata(L, 1, USED_TOKENS);

    if (!u->pool)
        return 0;
    neap_used_tokens_free(&u->used, u->pool);
    neap_pool_release(u->pool);
    u->pool = NULL;
    return 0;
}

/* u:note(id, expires, now) -> whether it was new; how many entries there are */
static int used_tokens_note(lua_State *L)
{
    struct unit_used *u = luaL_checkudata(L, 1, USED_TOKENS);

    lua_pushboolean(L, neap_used_tokens_note(&u->used, u->pool, u->most, check_exactly(L, 2, 32),
                                             (int64_t)check_u64(L, 3), (int64_t)check_u64(L, 4)));
    lua_pushnumber(L, (lua_Number)u->used.count);
    return 2;
}

static const luaL_Reg used_tokens_methods[] = {{"note", used_tokens_note}, {NULL, NULL}};

static const luaL_Reg tokens_methods[] = {{"seal", tokens_seal},
                                          {"open", tokens_open},
                                          {"reset_token", tokens_reset_token},
                                          {"key_of", tokens_key_of},
                                          {"set", tokens_set},
                                          {"seal_frame", tokens_seal_frame},
                                          {"open_frame", tokens_open_frame},
                                          {NULL, NULL}};

int neap_units_paths_tokens(lua_State *L)
{
    new_type(L, TOKENS, tokens_methods, tokens_gc);
    new_type(L, USED_TOKENS, used_tokens_methods, used_tokens_gc);
    lua_newtable(L);
    set_functions(L, (const luaL_Reg[]){{"tokens", tokens_new},
                                        {"is_retry_token", is_retry_token},
                                        {"is_frame_token", is_frame_token},
                                        {"used_tokens", used_tokens_new},
                                        {NULL, NULL}});
    lua_pushnumber(L, (lua_Number)TOKEN_RETRY_LIFETIME);
    lua_setfield(L, -2, "RETRY_LIFETIME");
    lua_pushnumber(L, (lua_Number)TOKEN_RETRY_EPOCH);
    lua_setfield(L, -2, "RETRY_EPOCH");
    lua_pushnumber(L, (lua_Number)TOKEN_CLOCK_TOLERANCE);
    lua_setfield(L, -2, "CLOCK_TOLERANCE");
    lua_pushinteger(L, (lua_Integer)TOKEN_OF_FRAME_SIZE);
    lua_setfield(L, -2, "FRAME_SIZE");
    lua_pushinteger(L, LIMIT_USED_TOKENS_ROW);
    lua_setfield(L, -2, "ROW");
    return 1;
}
