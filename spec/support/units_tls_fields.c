/* Fields of the table that makes a config of units_tls.c. */
#include "units_tls_fields.h"

#include <lauxlib.h>

#include "neap.h"

struct span unit_span_field(lua_State *L, int table, const char *name)
{
    struct span s = {0};

    lua_getfield(L, table, name);
    if (!lua_isnil(L, -1)) {
        size_t size;
        const char *bytes = luaL_checklstring(L, -1, &size);
        s = span_of(bytes, size);
    }
    lua_pop(L, 1); /* the table keeps the string */
    return s;
}

static struct span span_item(lua_State *L, int table, int index)
{
    size_t size;

    lua_rawgeti(L, table, index);
    const char *bytes = luaL_checklstring(L, -1, &size);
    lua_pop(L, 1);
    return span_of(bytes, size);
}

static size_t list_size(lua_State *L, int table)
{
#if LUA_VERSION_NUM >= 502
    return lua_rawlen(L, table);
#else
    return lua_objlen(L, table);
#endif
}

void unit_alpn_field(lua_State *L, struct tls_config *tls)
{
    lua_getfield(L, 1, "alpn");
    for (int i = 1; lua_istable(L, -1) && i <= (int)list_size(L, lua_gettop(L)); i++) {
        struct span name = span_item(L, lua_gettop(L), i);
        luaL_argcheck(L, name.size < 256 && tls->alpn_size + 1 + name.size <= sizeof tls->alpn, 1,
                      "alpn too long");
        tls->alpn[tls->alpn_size++] = (uint8_t)name.size;
        memcpy(tls->alpn + tls->alpn_size, name.data, name.size);
        tls->alpn_size += name.size;
    }
    lua_pop(L, 1);
}

int unit_identities_field(lua_State *L, struct tls_config *tls, struct failure *why)
{
    lua_getfield(L, 1, "identities");
    int table = lua_gettop(L);
    for (int i = 1; lua_istable(L, table) && i <= (int)list_size(L, table); i++) {
        lua_rawgeti(L, table, i);
        struct span chain = span_item(L, table + 1, 1), key = span_item(L, table + 1, 2);
        lua_getfield(L, table + 1, "later");
        struct identity *identity = lua_toboolean(L, -1)
                                        ? neap_identity_new_without_key(tls->crypto, chain, why)
                                        : neap_identity_new(tls->crypto, chain, key, why);
        lua_pop(L, 1);
        struct span staple = unit_span_field(L, table + 1, "staple");
        lua_pop(L, 1);
        if (!identity)
            return why->code ? why->code : NEAP_ERR_NO_MEMORY;
        int rc = staple.size ? neap_identity_set_staple(identity, staple, why) : 0;
        rc = rc ? rc : neap_identity_set_add(tls->identities, identity);
        if (rc) {
            neap_identity_free(identity);
            return rc;
        }
    }
    lua_pop(L, 1);
    return 0;
}

/* psks = {{identity, key, 256 or 384}, …} */
void unit_psk_fields(lua_State *L, struct unit_config *c)
{
    neap_psks_start(&c->psks, c->pool, neap_crypto_random(c->tls.crypto));
    c->tls.psks = &c->psks;
    lua_getfield(L, 1, "psks");
    int table = lua_gettop(L);
    for (int i = 1; lua_istable(L, table) && i <= (int)list_size(L, table); i++) {
        lua_rawgeti(L, table, i);
        struct span identity = span_item(L, table + 1, 1), key = span_item(L, table + 1, 2);
        lua_rawgeti(L, table + 1, 3);
        struct psk_key read = {.hash = lua_tointeger(L, -1) == 384 ? HASH_SHA384 : HASH_SHA256,
                               .size = (uint8_t)key.size};
        lua_pop(L, 2);
        luaL_argcheck(L, neap_psk_is_valid(identity, key), 1, "no PSK");
        memcpy(read.bytes, key.data, key.size);
        luaL_argcheck(L, neap_psks_add(&c->psks, identity, &read) == 0, 1, "PSK");
    }
    lua_settop(L, table - 1);
}

int unit_trust_fields(lua_State *L, struct tls_config *tls, struct failure *why)
{
    struct span roots = unit_span_field(L, 1, "roots"), pin = unit_span_field(L, 1, "pin");

    if (!roots.size && !pin.size)
        return 0;
    tls->trust = neap_trust_new(tls->crypto);
    if (!tls->trust)
        return NEAP_ERR_NO_MEMORY;
    int rc = roots.size ? neap_trust_add(tls->trust, roots, why) : 0;
    if (rc == 0 && pin.size == 32)
        rc = neap_trust_add_pin(tls->trust, pin.data);
    return rc;
}

/* Whether a server asks for certificates, and whom it believes. */
int unit_client_fields(lua_State *L, struct tls_config *tls, struct failure *why)
{
    struct span roots = unit_span_field(L, 1, "client_roots");

    lua_getfield(L, 1, "ask");
    tls->client_certificate = (enum certificate_demand)lua_tointeger(L, -1);
    lua_pop(L, 1);
    if (!roots.size)
        return 0;
    tls->client_trust = neap_trust_new(tls->crypto);
    return tls->client_trust ? neap_trust_add(tls->client_trust, roots, why) : NEAP_ERR_NO_MEMORY;
}
