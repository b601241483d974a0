/* What a handshake asks, and the answers, for the metatable of conn. */
#include "binding.h"

#include <string.h>

static const struct {
    enum neap_question_kind kind;
    const char *name;
} kinds[] = {
    {NEAP_ASK_SIGNATURE, "signature"},
    {NEAP_ASK_PSK, "psk"},
    {NEAP_ASK_CERTIFICATE, "certificate"},
    {NEAP_ASK_PEER, "peer"},
};

static const struct {
    uint16_t scheme;
    const char *name; /* of RFC 8446 §4.2.3 */
} schemes[] = {
    {0x0403, "ecdsa_secp256r1_sha256"}, {0x0503, "ecdsa_secp384r1_sha384"}, {0x0804, "rsa_pss_rsae_sha256"},
    {0x0805, "rsa_pss_rsae_sha384"},    {0x0806, "rsa_pss_rsae_sha512"},    {0x0807, "ed25519"},
};

static void set_bytes(lua_State *L, const char *name, const void *bytes, size_t size)
{
    if (size == 0)
        return;
    lua_pushlstring(L, bytes, size);
    lua_setfield(L, -2, name);
}

static const char *scheme_name(uint16_t scheme)
{
    for (size_t i = 0; i < sizeof schemes / sizeof schemes[0]; i++)
        if (schemes[i].scheme == scheme)
            return schemes[i].name;
    return "unknown";
}

/* The names of the schemes in big-endian pairs, as far as there are names. */
static void set_schemes(lua_State *L, const uint8_t *pairs, size_t size)
{
    int count = 0;

    lua_newtable(L);
    for (size_t i = 0; i + 1 < size; i += 2) {
        const char *name = scheme_name((uint16_t)(pairs[i] << 8 | pairs[i + 1]));

        if (strcmp(name, "unknown") == 0)
            continue;
        lua_pushstring(L, name);
        lua_rawseti(L, -2, ++count);
    }
    lua_setfield(L, -2, "schemes");
}

static void push_question(lua_State *L, const neap_question *q)
{
    lua_createtable(L, 0, 8);
    for (size_t i = 0; i < sizeof kinds / sizeof kinds[0]; i++) {
        if (kinds[i].kind == q->kind) {
            lua_pushstring(L, kinds[i].name);
            lua_setfield(L, -2, "kind");
        }
    }
    neap_lua_set_u64(L, "id", q->id);
    if (q->server_name[0] != '\0') {
        lua_pushstring(L, q->server_name);
        lua_setfield(L, -2, "server_name");
    }
    set_bytes(L, "certificate", q->certificate, q->certificate_size);
    if (q->kind == NEAP_ASK_CERTIFICATE)
        set_schemes(L, q->bytes, q->size);
    else
        set_bytes(L, "bytes", q->bytes, q->size);
    if (q->kind == NEAP_ASK_SIGNATURE) {
        lua_pushstring(L, scheme_name(q->scheme));
        lua_setfield(L, -2, "scheme");
        set_bytes(L, "digest", q->digest, q->digest_size);
    }
    if (q->kind == NEAP_ASK_PEER) {
        lua_pushboolean(L, q->is_verified);
        lua_setfield(L, -2, "is_verified");
        lua_pushboolean(L, q->is_resumed);
        lua_setfield(L, -2, "is_resumed");
    }
}

/* conn:question() -> { kind =, id =, server_name =, … } | nil */
static int conn_question(lua_State *L)
{
    struct conn_core *core = neap_lua_check_conn(L, 1);
    neap_question question;

    if (core->conn == NULL || !neap_conn_question(core->conn, &question, sizeof question))
        lua_pushnil(L);
    else
        push_question(L, &question);
    return 1;
}

bool neap_lua_conn_is_asking_anew(struct conn_core *core)
{
    neap_question question;

    if (!neap_conn_question(core->conn, &question, sizeof question) || question.id == core->question_seen)
        return false;
    core->question_seen = question.id;
    return true;
}

/* conn:answer_signature(id, signature) -> true | nil, message, code */
static int conn_answer_signature(lua_State *L)
{
    struct conn_core *core = neap_lua_check_conn(L, 1);
    uint64_t id = neap_lua_check_u64(L, 2);
    size_t size;
    const char *signature = luaL_checklstring(L, 3, &size);

    if (core->conn == NULL)
        return neap_lua_error(L, NEAP_ERR_CLOSED);
    return neap_lua_result(L, neap_conn_answer_signature(core->conn, id, signature, size));
}

/* conn:answer_psk(id[, key[, hash = "sha256"]]) -> true | nil, message, code */
static int conn_answer_psk(lua_State *L)
{
    struct conn_core *core = neap_lua_check_conn(L, 1);
    uint64_t id = neap_lua_check_u64(L, 2);
    size_t size = 0;
    const char *key = luaL_optlstring(L, 3, NULL, &size);
    unsigned hash = neap_lua_check_psk_hash(L, 4);

    if (core->conn == NULL)
        return neap_lua_error(L, NEAP_ERR_CLOSED);
    return neap_lua_result(L, neap_conn_answer_psk(core->conn, id, key, size, hash));
}

/* conn:answer_certificate(id[, chain[, key[, ocsp_response]]]) -> true | nil, message, code */
static int conn_answer_certificate(lua_State *L)
{
    struct conn_core *core = neap_lua_check_conn(L, 1);
    uint64_t id = neap_lua_check_u64(L, 2);
    size_t chain_size = 0, key_size = 0, response_size = 0;
    const char *chain = luaL_optlstring(L, 3, NULL, &chain_size);
    const char *key = luaL_optlstring(L, 4, NULL, &key_size);
    const char *response = luaL_optlstring(L, 5, NULL, &response_size);
    const char *why = NULL;

    if (core->conn == NULL)
        return neap_lua_error(L, NEAP_ERR_CLOSED);
    int result = neap_conn_answer_certificate(core->conn, id, chain, chain_size, key, key_size, response,
                                              response_size, &why);
    return result != NEAP_OK && why != NULL ? neap_lua_error_text(L, result, why)
                                            : neap_lua_result(L, result);
}

/* conn:answer_peer(id) -> true | nil, message, code */
static int conn_answer_peer(lua_State *L)
{
    struct conn_core *core = neap_lua_check_conn(L, 1);
    uint64_t id = neap_lua_check_u64(L, 2);

    if (core->conn == NULL)
        return neap_lua_error(L, NEAP_ERR_CLOSED);
    return neap_lua_result(L, neap_conn_answer_peer(core->conn, id));
}

/* conn:refuse_question(id[, alert = 80[, reason]]) -> true | nil, message, code */
static int conn_refuse_question(lua_State *L)
{
    struct conn_core *core = neap_lua_check_conn(L, 1);
    uint64_t id = neap_lua_check_u64(L, 2);
    uint64_t alert = neap_lua_opt_u64(L, 3, 80);
    const char *reason = luaL_optstring(L, 4, NULL);

    luaL_argcheck(L, alert <= UINT8_MAX, 3, "an alert is a number to 255");
    if (core->conn == NULL)
        return neap_lua_error(L, NEAP_ERR_CLOSED);
    return neap_lua_result(L, neap_conn_refuse_question(core->conn, id, (uint8_t)alert, reason));
}

/* config:sign(key, scheme, bytes) -> signature | nil, message, code */
int neap_lua_sign(lua_State *L)
{
    neap_config *config = neap_lua_check_config(L, 1)->config;
    size_t key_size, size;
    const char *key = luaL_checklstring(L, 2, &key_size);
    const char *name = luaL_checkstring(L, 3), *bytes = luaL_checklstring(L, 4, &size), *why = NULL;
    uint8_t signature[512];
    uint16_t scheme = 0;

    for (size_t i = 0; i < sizeof schemes / sizeof schemes[0]; i++)
        if (strcmp(schemes[i].name, name) == 0)
            scheme = schemes[i].scheme;
    int64_t made = neap_sign(config, key, key_size, scheme, bytes, size, signature, sizeof signature, &why);
    if (made < 0)
        return neap_lua_error_text(L, made, why != NULL ? why : neap_strerror(made));
    lua_pushlstring(L, (const char *)signature, (size_t)made);
    return 1;
}

const luaL_Reg neap_lua_question_methods[] = {
    {"question", conn_question},
    {"answer_signature", conn_answer_signature},
    {"answer_psk", conn_answer_psk},
    {"answer_certificate", conn_answer_certificate},
    {"answer_peer", conn_answer_peer},
    {"refuse_question", conn_refuse_question},
    {NULL, NULL},
};
