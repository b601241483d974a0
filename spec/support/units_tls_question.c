/* Units of core/tls: what a handshake asks, and the answers. */
#include "units_tls.h"

void unit_tls_set_span(lua_State *L, const char *name, struct span s)
{
    lua_pushlstring(L, s.size ? (const char *)s.data : "", s.size);
    lua_setfield(L, -2, name);
}

/* handshake:question() -> { kind=, id=, server_name=, bytes=, certificate=, scheme=, digest=, is_verified=, is_resumed= }, or
 * nil */
int unit_tls_question(lua_State *L)
{
    neap_question q;

    if (!neap_tls_question(unit_tls_check_handshake(L)->tls, &q))
        return 0;
    lua_newtable(L);
    lua_pushinteger(L, q.kind);
    lua_setfield(L, -2, "kind");
    lua_pushinteger(L, (lua_Integer)q.id);
    lua_setfield(L, -2, "id");
    lua_pushstring(L, q.server_name);
    lua_setfield(L, -2, "server_name");
    unit_tls_set_span(L, "bytes", span_of(q.bytes, q.size));
    unit_tls_set_span(L, "certificate", span_of(q.certificate, q.certificate_size));
    unit_tls_set_span(L, "digest", span_of(q.digest, q.digest_size));
    lua_pushinteger(L, q.scheme);
    lua_setfield(L, -2, "scheme");
    lua_pushboolean(L, q.is_verified);
    lua_setfield(L, -2, "is_verified");
    lua_pushboolean(L, q.is_resumed);
    lua_setfield(L, -2, "is_resumed");
    return 1;
}

/* handshake:answer(kind, id, …) -> true | nil, code, reason; false when nothing of the kind is asked. A signature is a
 * string, a certificate none, or chain and key; a peer takes nothing. */
int unit_tls_answer(lua_State *L)
{
    struct unit_handshake *h = unit_tls_check_handshake(L);
    enum neap_question_kind kind = (enum neap_question_kind)luaL_checkinteger(L, 2);
    struct failure why = {0};
    size_t size = 0, key_size = 0;
    const char *bytes = luaL_optlstring(L, 4, NULL, &size), *key = luaL_optlstring(L, 5, NULL, &key_size);
    struct identity *identity = NULL;
    int rc = 0;

    if (!neap_tls_asks(h->tls, kind, (uint64_t)luaL_checkinteger(L, 3))) {
        lua_pushboolean(L, 0);
        return 1;
    }
    if (kind == NEAP_ASK_CERTIFICATE && bytes) {
        identity =
            neap_identity_new(h->config->tls.crypto, span_of(bytes, size), span_of(key, key_size), &why);
        if (!identity)
            return unit_tls_push_failure(L, why.code, why.reason);
    }
    struct psk_key read = {.hash = HASH_SHA256, .size = (uint8_t)size};
    if (kind == NEAP_ASK_PSK && size <= sizeof read.bytes && bytes)
        memcpy(read.bytes, bytes, size);
    if (kind == NEAP_ASK_PSK)
        rc = neap_tls_answer_psk(h->tls, bytes ? &read : NULL, &why);
    else if (kind == NEAP_ASK_SIGNATURE)
        rc = neap_tls_answer_signature(h->tls, span_of(bytes, size), &why);
    else if (kind == NEAP_ASK_CERTIFICATE)
        rc = neap_tls_answer_certificate(h->tls, identity, &why);
    else
        rc = neap_tls_answer_peer(h->tls, &why);
    if (rc)
        return unit_tls_push_failure(L, rc, why.reason);
    lua_pushboolean(L, 1);
    return 1;
}
