/* GnuTLS as a peer for core/tls: its handshake without records, as QUIC stacks drive it. Where GnuTLS was not found the
 * table says available = false. */
#include <lauxlib.h>
#include <lua.h>

int neap_units_tls_gnutls(lua_State *L);

#ifndef NEAP_HAVE_GNUTLS

int neap_units_tls_gnutls(lua_State *L)
{
    lua_newtable(L);
    lua_pushboolean(L, 0);
    lua_setfield(L, -2, "available");
    return 1;
}

#else

#include <gnutls/gnutls.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#define PEER_TYPE "neap.units.tls_gnutls.peer"
#define QUIC_PARAMETERS 57
#define LEVELS 4
#define SECRETS 8

struct bytes {
    uint8_t *data;
    size_t size;
};

struct secret {
    int level;
    bool is_read;
    uint8_t data[48];
    size_t size;
};

struct peer {
    gnutls_session_t session;
    gnutls_certificate_credentials_t credentials;
    gnutls_psk_client_credentials_t psk_client;
    gnutls_psk_server_credentials_t psk_server;
    struct bytes psk_identity, psk_key;
    bool complete;
    int alert; /* that it would have sent, -1 none */
    struct bytes output[LEVELS];
    struct bytes params, peer_params;
    struct secret secrets[SECRETS];
    int secret_count;
};

static bool append(struct bytes *b, const void *data, size_t size)
{
    uint8_t *grown = realloc(b->data, b->size + size + 1);

    if (!grown)
        return false;
    memcpy(grown + b->size, data, size);
    b->data = grown;
    b->size += size;
    return true;
}

/* ---- what GnuTLS calls */

static int on_output(gnutls_session_t session, gnutls_record_encryption_level_t level,
                     gnutls_handshake_description_t type, const void *data, size_t size)
{
    struct peer *p = gnutls_session_get_ptr(session);

    if (type == GNUTLS_HANDSHAKE_CHANGE_CIPHER_SPEC)
        return 0;
    return append(&p->output[level], data, size) ? 0 : -1;
}

static void keep_secret(struct peer *p, int level, bool is_read, const void *data, size_t size)
{
    if (!data || p->secret_count == SECRETS || size > sizeof p->secrets[0].data)
        return;
    struct secret *s = &p->secrets[p->secret_count++];
    *s = (struct secret){.level = level, .is_read = is_read, .size = size};
    memcpy(s->data, data, size);
}

static int on_secret(gnutls_session_t session, gnutls_record_encryption_level_t level,
                     const void *read_secret, const void *write_secret, size_t size)
{
    struct peer *p = gnutls_session_get_ptr(session);

    keep_secret(p, (int)level, true, read_secret, size);
    keep_secret(p, (int)level, false, write_secret, size);
    return 0;
}

static int on_alert(gnutls_session_t session, gnutls_record_encryption_level_t level,
                    gnutls_alert_level_t severity, gnutls_alert_description_t alert)
{
    struct peer *p = gnutls_session_get_ptr(session);

    (void)level;
    (void)severity;
    p->alert = (int)alert;
    return 0;
}

static int on_params(gnutls_session_t session, const unsigned char *data, size_t size)
{
    struct peer *p = gnutls_session_get_ptr(session);

    p->peer_params.size = 0;
    return append(&p->peer_params, data, size) ? 0 : -1;
}

static int write_params(gnutls_session_t session, gnutls_buffer_t out)
{
    struct peer *p = gnutls_session_get_ptr(session);

    return gnutls_buffer_append_data(out, p->params.data, p->params.size);
}

/* A server's: the key of the one identity that it knows. */
static int find_psk(gnutls_session_t session, const char *name, gnutls_datum_t *key)
{
    struct peer *p = gnutls_session_get_ptr(session);

    if (strlen(name) != p->psk_identity.size || memcmp(name, p->psk_identity.data, p->psk_identity.size) != 0)
        return -1;
    key->data = gnutls_malloc(p->psk_key.size);
    if (!key->data)
        return -1;
    memcpy(key->data, p->psk_key.data, p->psk_key.size);
    key->size = (unsigned)p->psk_key.size;
    return 0;
}

/* ---- life */

static struct peer *check_peer(lua_State *L)
{
    return luaL_checkudata(L, 1, PEER_TYPE);
}

static int peer_gc(lua_State *L)
{
    struct peer *p = check_peer(L);

    if (p->session)
        gnutls_deinit(p->session);
    if (p->credentials)
        gnutls_certificate_free_credentials(p->credentials);
    if (p->psk_client)
        gnutls_psk_free_client_credentials(p->psk_client);
    if (p->psk_server)
        gnutls_psk_free_server_credentials(p->psk_server);
    free(p->psk_identity.data);
    free(p->psk_key.data);
    for (int i = 0; i < LEVELS; i++)
        free(p->output[i].data);
    free(p->params.data);
    free(p->peer_params.data);
    *p = (struct peer){0};
    return 0;
}

static gnutls_datum_t field(lua_State *L, const char *name)
{
    gnutls_datum_t d = {0};

    lua_getfield(L, 1, name);
    if (lua_isstring(L, -1)) {
        size_t size;
        d.data = (unsigned char *)(uintptr_t)lua_tolstring(L, -1, &size);
        d.size = (unsigned)size;
    }
    lua_pop(L, 1);
    return d;
}

static bool flag(lua_State *L, const char *name)
{
    lua_getfield(L, 1, name);
    bool on = lua_toboolean(L, -1);
    lua_pop(L, 1);
    return on;
}

static int set_up_psk(lua_State *L, struct peer *p, bool is_client)
{
    gnutls_datum_t identity = field(L, "psk_identity"), key = field(L, "psk_key");

    if (!key.data)
        return 0;
    append(&p->psk_identity, identity.data, identity.size);
    append(&p->psk_key, key.data, key.size);
    int rc = is_client ? gnutls_psk_allocate_client_credentials(&p->psk_client)
                       : gnutls_psk_allocate_server_credentials(&p->psk_server);
    if (rc < 0)
        return rc;
    if (is_client) {
        rc = gnutls_psk_set_client_credentials2(p->psk_client, &identity, &key, GNUTLS_PSK_KEY_RAW);
        return rc < 0 ? rc : gnutls_credentials_set(p->session, GNUTLS_CRD_PSK, p->psk_client);
    }
    gnutls_psk_set_server_credentials_function(p->psk_server, find_psk);
    return gnutls_credentials_set(p->session, GNUTLS_CRD_PSK, p->psk_server);
}

static int set_up(lua_State *L, struct peer *p, bool is_client)
{
    gnutls_datum_t chain = field(L, "chain"), key = field(L, "key"), roots = field(L, "roots");
    gnutls_datum_t priority = field(L, "priority"), alpn = field(L, "alpn"), name = field(L, "name");
    gnutls_datum_t params = field(L, "params");

    int rc = gnutls_certificate_allocate_credentials(&p->credentials);
    if (rc >= 0 && chain.data)
        rc = gnutls_certificate_set_x509_key_mem(p->credentials, &chain, &key, GNUTLS_X509_FMT_PEM);
    if (rc >= 0 && roots.data)
        rc = gnutls_certificate_set_x509_trust_mem(p->credentials, &roots, GNUTLS_X509_FMT_PEM);
    unsigned flags = is_client ? GNUTLS_CLIENT : GNUTLS_SERVER;
    if (flag(L, "one_share"))
        flags |= GNUTLS_KEY_SHARE_TOP;
    if (rc >= 0)
        rc = gnutls_init(&p->session, flags);
    if (rc < 0)
        return rc;
    append(&p->params, params.data, params.size);
    gnutls_session_set_ptr(p->session, p);
    rc = gnutls_priority_set_direct(p->session, (const char *)priority.data, NULL);
    if (rc >= 0)
        rc = gnutls_credentials_set(p->session, GNUTLS_CRD_CERTIFICATE, p->credentials);
    if (rc >= 0)
        rc = set_up_psk(L, p, is_client);
    if (rc >= 0 && alpn.data)
        rc = gnutls_alpn_set_protocols(p->session, &alpn, 1, GNUTLS_ALPN_MANDATORY);
    if (rc >= 0)
        rc = gnutls_session_ext_register(
            p->session, "quic_transport_parameters", QUIC_PARAMETERS, GNUTLS_EXT_TLS, on_params, write_params,
            NULL, NULL, NULL, GNUTLS_EXT_FLAG_TLS | GNUTLS_EXT_FLAG_CLIENT_HELLO | GNUTLS_EXT_FLAG_EE);
    if (rc >= 0 && is_client && name.data) {
        rc = gnutls_server_name_set(p->session, GNUTLS_NAME_DNS, name.data, name.size);
        gnutls_session_set_verify_cert(p->session, (const char *)name.data, 0);
    }
    gnutls_compression_method_t zlib = GNUTLS_COMP_ZLIB;
    if (rc >= 0 && flag(L, "compress"))
        rc = gnutls_compress_certificate_set_methods(p->session, &zlib, 1);
    if (flag(L, "request_certificate"))
        gnutls_certificate_server_set_request(p->session, GNUTLS_CERT_REQUEST);
    gnutls_handshake_set_read_function(p->session, on_output);
    gnutls_handshake_set_secret_function(p->session, on_secret);
    gnutls_alert_set_read_function(p->session, on_alert);
    return rc;
}

static int result(lua_State *L, struct peer *p, int rc)
{
    if (rc < 0 && gnutls_error_is_fatal(rc)) {
        gnutls_alert_send_appropriate(p->session, rc);
        lua_pushnil(L);
        lua_pushinteger(L, p->alert);
        lua_pushstring(L, gnutls_strerror(rc));
        return 3;
    }
    lua_pushboolean(L, 1);
    return 1;
}

static int advance(struct peer *p)
{
    if (p->complete)
        return 0;
    int rc = gnutls_handshake(p->session);
    p->complete = rc == GNUTLS_E_SUCCESS;
    return rc;
}

/* new{ client=, chain=, key=, psk_identity=, psk_key=, roots=, priority=, alpn=, name=, params=, one_share=, request_certificate=,
 * compress= } */
static int new_peer(lua_State *L)
{
    luaL_checktype(L, 1, LUA_TTABLE);
    struct peer *p = lua_newuserdata(L, sizeof *p);

    *p = (struct peer){.alert = -1};
    luaL_getmetatable(L, PEER_TYPE);
    lua_setmetatable(L, -2);
    bool is_client = flag(L, "client");
    int rc = set_up(L, p, is_client);
    if (rc >= 0 && is_client)
        rc = advance(p);
    if (rc < 0 && gnutls_error_is_fatal(rc))
        return luaL_error(L, "gnutls: %s", gnutls_strerror(rc));
    return 1;
}

/* peer:receive(level, bytes) -> true | nil, alert, reason */
static int peer_receive(lua_State *L)
{
    struct peer *p = check_peer(L);
    size_t size;
    int level = (int)luaL_checkinteger(L, 2);
    const char *bytes = luaL_checklstring(L, 3, &size);

    int rc = gnutls_handshake_write(p->session, (gnutls_record_encryption_level_t)level, bytes, size);
    if (rc >= 0)
        rc = advance(p);
    return result(L, p, rc);
}

static int peer_output(lua_State *L)
{
    struct peer *p = check_peer(L);
    int level = (int)luaL_checkinteger(L, 2);

    luaL_argcheck(L, level >= 0 && level < LEVELS, 2, "no such level");
    struct bytes *out = &p->output[level];
    lua_pushlstring(L, out->size ? (const char *)out->data : "", out->size);
    out->size = 0;
    return 1;
}

static int peer_secrets(lua_State *L)
{
    struct peer *p = check_peer(L);

    lua_newtable(L);
    for (int i = 0; i < p->secret_count; i++) {
        lua_createtable(L, 0, 3);
        lua_pushinteger(L, p->secrets[i].level);
        lua_setfield(L, -2, "level");
        lua_pushstring(L, p->secrets[i].is_read ? "read" : "write");
        lua_setfield(L, -2, "direction");
        lua_pushlstring(L, (const char *)p->secrets[i].data, p->secrets[i].size);
        lua_setfield(L, -2, "secret");
        lua_rawseti(L, -2, i + 1);
    }
    p->secret_count = 0;
    return 1;
}

static int peer_info(lua_State *L)
{
    struct peer *p = check_peer(L);
    gnutls_datum_t alpn = {0};

    lua_newtable(L);
    lua_pushboolean(L, p->complete);
    lua_setfield(L, -2, "complete");
    lua_pushlstring(L, p->peer_params.size ? (const char *)p->peer_params.data : "", p->peer_params.size);
    lua_setfield(L, -2, "params");
    if (gnutls_alpn_get_selected_protocol(p->session, &alpn) == 0) {
        lua_pushlstring(L, (const char *)alpn.data, alpn.size);
        lua_setfield(L, -2, "alpn");
    }
    lua_pushstring(L, gnutls_cipher_get_name(gnutls_cipher_get(p->session)));
    lua_setfield(L, -2, "cipher");
    if (p->complete) {
        lua_pushstring(L, gnutls_group_get_name(gnutls_group_get(p->session)));
        lua_setfield(L, -2, "group");
    }
    return 1;
}

int neap_units_tls_gnutls(lua_State *L)
{
    static const struct {
        const char *name;
        lua_CFunction call;
    } methods[] = {{"__gc", peer_gc},
                   {"receive", peer_receive},
                   {"output", peer_output},
                   {"secrets", peer_secrets},
                   {"info", peer_info}};

    luaL_newmetatable(L, PEER_TYPE);
    lua_pushvalue(L, -1);
    lua_setfield(L, -2, "__index");
    for (size_t i = 0; i < sizeof methods / sizeof methods[0]; i++) {
        lua_pushcfunction(L, methods[i].call);
        lua_setfield(L, -2, methods[i].name);
    }
    lua_pop(L, 1);
    lua_newtable(L);
    lua_pushboolean(L, 1);
    lua_setfield(L, -2, "available");
    lua_pushcfunction(L, new_peer);
    lua_setfield(L, -2, "new");
    return 1;
}

#endif
