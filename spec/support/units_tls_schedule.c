/* Units of the key schedule of TLS. */
#include "tls/schedule.h"

#include <lauxlib.h>
#include <lua.h>

int neap_units_tls_schedule(lua_State *L);

#define SCHEDULE_TYPE "neap.units.tls.schedule"

static struct schedule *check_schedule(lua_State *L)
{
    return luaL_checkudata(L, 1, SCHEDULE_TYPE);
}

static int new_schedule(lua_State *L)
{
    struct schedule *s = lua_newuserdata(L, sizeof *s);

    *s = (struct schedule){0};
    luaL_getmetatable(L, SCHEDULE_TYPE);
    lua_setmetatable(L, -2);
    neap_schedule_start(s, (enum crypto_suite)luaL_checkinteger(L, 1));
    return 1;
}

static int schedule_gc(lua_State *L)
{
    neap_schedule_free(check_schedule(L));
    return 0;
}

static int schedule_add(lua_State *L)
{
    size_t size;
    const char *bytes = luaL_checklstring(L, 2, &size);

    neap_schedule_add(check_schedule(L), span_of(bytes, size));
    return 0;
}

static int schedule_retry(lua_State *L)
{
    neap_schedule_retry(check_schedule(L));
    return 0;
}

/* schedule:handshake(shared [, psk]) */
static int schedule_handshake(lua_State *L)
{
    size_t size, psk_size;
    const char *bytes = luaL_checklstring(L, 2, &size);
    const char *psk = luaL_optlstring(L, 3, "", &psk_size);

    neap_schedule_handshake(check_schedule(L), span_of(psk, psk_size), span_of(bytes, size));
    return 0;
}

/* schedule:binder(psk, hello[, is_external]) -> the binder behind what was added */
static int schedule_binder(lua_State *L)
{
    const struct schedule *s = check_schedule(L);
    size_t psk_size, size;
    const char *psk = luaL_checklstring(L, 2, &psk_size), *hello = luaL_checklstring(L, 3, &size);
    uint8_t binder[CRYPTO_MAX_HASH];

    neap_schedule_binder(s, s->hash, span_of(psk, psk_size), lua_toboolean(L, 4), span_of(hello, size),
                         binder);
    lua_pushlstring(L, (const char *)binder, crypto_hash_size(s->hash));
    return 1;
}

/* schedule:early(psk, hello) -> the secret of early data */
static int schedule_early(lua_State *L)
{
    const struct schedule *s = check_schedule(L);
    size_t psk_size, size;
    const char *psk = luaL_checklstring(L, 2, &psk_size), *hello = luaL_checklstring(L, 3, &size);
    uint8_t secret[CRYPTO_MAX_HASH];

    neap_schedule_early(s->hash, span_of(psk, psk_size), span_of(hello, size), secret);
    lua_pushlstring(L, (const char *)secret, crypto_hash_size(s->hash));
    return 1;
}

/* schedule:resumption(nonce) -> the resumption master secret, the pre-shared key of a ticket with this nonce */
static int schedule_resumption(lua_State *L)
{
    const struct schedule *s = check_schedule(L);
    size_t size;
    const char *nonce = luaL_checklstring(L, 2, &size);
    uint8_t master[CRYPTO_MAX_HASH], psk[CRYPTO_MAX_HASH];

    neap_schedule_resumption(s, (struct span){0}, master);
    neap_resumption_psk(s->hash, master, span_of(nonce, size), psk);
    lua_pushlstring(L, (const char *)master, crypto_hash_size(s->hash));
    lua_pushlstring(L, (const char *)psk, crypto_hash_size(s->hash));
    return 2;
}

static int schedule_application(lua_State *L)
{
    neap_schedule_application(check_schedule(L));
    return 0;
}

/* schedule:finished(traffic_secret) -> verify_data */
static int schedule_finished(lua_State *L)
{
    struct schedule *s = check_schedule(L);
    uint8_t mac[CRYPTO_MAX_HASH];

    neap_schedule_finished(s, (const uint8_t *)luaL_checkstring(L, 2), mac);
    lua_pushlstring(L, (const char *)mac, crypto_hash_size(s->hash));
    return 1;
}

static void set_secret(lua_State *L, const char *name, const uint8_t *secret, size_t size)
{
    lua_pushlstring(L, (const char *)secret, size);
    lua_setfield(L, -2, name);
}

static int schedule_secrets(lua_State *L)
{
    const struct schedule *s = check_schedule(L);
    size_t size = crypto_hash_size(s->hash);
    uint8_t exporter[CRYPTO_MAX_HASH];

    lua_newtable(L);
    set_secret(L, "secret", s->secret, size);
    set_secret(L, "client_handshake", s->client_handshake, size);
    set_secret(L, "server_handshake", s->server_handshake, size);
    set_secret(L, "client_application", s->client_application, size);
    set_secret(L, "server_application", s->server_application, size);
    neap_schedule_exporter(s, exporter);
    set_secret(L, "exporter", exporter, size);
    return 1;
}

/* The constructor: schedule(suite). */
int neap_units_tls_schedule(lua_State *L)
{
    static const luaL_Reg methods[] = {{"__gc", schedule_gc},
                                       {"add", schedule_add},
                                       {"retry", schedule_retry},
                                       {"handshake", schedule_handshake},
                                       {"binder", schedule_binder},
                                       {"early", schedule_early},
                                       {"application", schedule_application},
                                       {"resumption", schedule_resumption},
                                       {"finished", schedule_finished},
                                       {"secrets", schedule_secrets},
                                       {NULL, NULL}};

    luaL_newmetatable(L, SCHEDULE_TYPE);
    lua_pushvalue(L, -1);
    lua_setfield(L, -2, "__index");
    for (const luaL_Reg *method = methods; method->name; method++) {
        lua_pushcfunction(L, method->func);
        lua_setfield(L, -2, method->name);
    }
    lua_pop(L, 1);
    lua_pushcfunction(L, new_schedule);
    return 1;
}
