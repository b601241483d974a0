/* Units of the part of core/crypto that reads, makes and checks certificates. */
#include "crypto_unit.h"

#include <arpa/inet.h>
#include <stdlib.h>

#include "crypto/certificate.h"
#include "crypto/identity_set.h"
#include "crypto/issue.h"
#include "crypto/verified.h"

int neap_units_certificates(lua_State *L);

#define IDENTITY "neap.units.identity"
#define MAX_DERS 128
#define ROOM 16384

/* ders(crypto, PEM or DER) → list of DER, number of blocks that are no certificates */
static int ders(lua_State *L)
{
    struct pool *pool = check_crypto(L)->pool;
    struct span input = check_bytes(L, 2), der;
    bool is_pem = neap_pem_is(input);
    int got, bad = 0;

    lua_newtable(L);
    for (int i = 1; (got = neap_certificate_take(pool, &input, is_pem, &der)) != 0;) {
        if (got < 0) {
            bad++;
            continue;
        }
        push_bytes(L, der.data, der.size);
        lua_rawseti(L, -2, i++);
        neap_certificate_release(pool, der);
    }
    lua_pushinteger(L, bad);
    return 2;
}

static void set_bytes(lua_State *L, const char *name, struct span bytes)
{
    push_bytes(L, bytes.data, bytes.size);
    lua_setfield(L, -2, name);
}

static void set_number(lua_State *L, const char *name, lua_Number number)
{
    lua_pushnumber(L, number);
    lua_setfield(L, -2, name);
}

static void set_boolean(lua_State *L, const char *name, bool value)
{
    lua_pushboolean(L, value);
    lua_setfield(L, -2, name);
}

/* parse(der) → table or nil */
static int parse(lua_State *L)
{
    struct certificate c;

    if (neap_certificate_parse(check_bytes(L, 1), &c)) {
        lua_pushnil(L);
        return 1;
    }
    lua_newtable(L);
    set_bytes(L, "spki", c.key.spki);
    set_bytes(L, "issuer", c.issuer);
    set_bytes(L, "subject", c.subject);
    set_bytes(L, "common_name", neap_certificate_common_name(&c));
    set_number(L, "not_before", (lua_Number)c.not_before);
    set_number(L, "not_after", (lua_Number)c.not_after);
    set_number(L, "version", c.version);
    set_number(L, "signature_kind", c.algorithm.kind);
    set_number(L, "usage", c.usage);
    set_number(L, "extended_usage", c.extended_usage);
    set_number(L, "path_length", c.path_length);
    set_boolean(L, "has_names", c.has_names);
    set_boolean(L, "is_authority", c.is_authority);
    set_boolean(L, "has_unknown_critical", c.has_unknown_critical);
    set_boolean(L, "must_staple", c.must_staple);
    if (c.key_error == 0) {
        set_number(L, "key_kind", c.key.kind);
        set_number(L, "key_bits", (lua_Number)c.key.bits);
    }
    return 1;
}

/* has_host(der, host) */
static int has_host(lua_State *L)
{
    struct certificate c;

    luaL_argcheck(L, neap_certificate_parse(check_bytes(L, 1), &c) == 0, 1, "no certificate");
    lua_pushboolean(L, neap_certificate_has_host(&c, luaL_checkstring(L, 2)));
    return 1;
}

static int name_covers(lua_State *L)
{
    lua_pushboolean(L, neap_dns_name_covers(check_bytes(L, 1), check_bytes(L, 2)));
    return 1;
}

static int base64_decode(lua_State *L)
{
    struct span text = check_bytes(L, 1);
    uint8_t *out = malloc(text.size / 4 * 3 + 3);
    int64_t size = neap_base64_decode(text, out);

    if (size < 0)
        lua_pushnil(L);
    else
        push_bytes(L, out, (size_t)size);
    free(out);
    return 1;
}

/* ---- identities */

struct unit_identity {
    struct identity *identity;
    struct pool *pool;
};

static struct unit_identity *check_identity(lua_State *L)
{
    return luaL_checkudata(L, 1, IDENTITY);
}

/* identity_new(crypto, chain, key) → identity; or nil, code, reason. Free it before its crypto. */
static int identity_new(lua_State *L)
{
    struct crypto *crypto = check_crypto(L)->crypto;
    struct failure why = {0};
    struct identity *identity = neap_identity_new(crypto, check_bytes(L, 2), check_bytes(L, 3), &why);

    if (!identity)
        return push_unit_failure(L, why.code, why.reason);
    struct unit_identity *u = lua_newuserdata(L, sizeof(*u));
    *u = (struct unit_identity){.identity = identity, .pool = check_crypto(L)->pool};
    luaL_getmetatable(L, IDENTITY);
    lua_setmetatable(L, -2);
    return 1;
}

static int identity_free(lua_State *L)
{
    struct unit_identity *u = check_identity(L);

    neap_identity_free(u->identity);
    u->identity = NULL;
    return 0;
}

/* identity_handshake_rate(identity) → handshakes a second; 0: nobody knows */
static int identity_handshake_rate(lua_State *L)
{
    lua_pushinteger(L, (lua_Integer)neap_identity_handshake_rate(check_identity(L)->identity));
    return 1;
}

static int identity_chain(lua_State *L)
{
    const struct identity *identity = check_identity(L)->identity;

    lua_newtable(L);
    for (size_t i = 0; i < neap_identity_chain_count(identity); i++) {
        struct span der = neap_identity_chain(identity, i);
        push_bytes(L, der.data, der.size);
        lua_rawseti(L, -2, (int)i + 1);
    }
    return 1;
}

/* identity_matches(identity, name or address) → whether servers that have it show it to who asks for that */
static int identity_matches(lua_State *L)
{
    static const uint8_t schemes[] = {4, 3, 5, 3, 8, 4, 8, 7};
    const struct unit_identity *u = check_identity(L);
    const char *name = luaL_checkstring(L, 2);
    struct identity_set set = {.pool = u->pool};
    struct identity_wish wish = {.name = name,
                                 .schemes = span_of(schemes, sizeof schemes),
                                 .certificate_schemes = span_of(schemes, sizeof schemes)};
    uint8_t address[16];
    size_t size = inet_pton(AF_INET, name, address) == 1    ? 4
                  : inet_pton(AF_INET6, name, address) == 1 ? 16
                                                            : 0;

    if (size > 0) {
        wish.name = "";
        wish.address = span_of(address, size);
    }
    if (neap_identity_set_add(&set, u->identity))
        return luaL_error(L, "no memory for an identity");
    neap_identity_retain(u->identity);
    lua_pushboolean(L, neap_identity_set_choose(&set, &wish).is_named);
    neap_identity_set_clear(&set);
    return 1;
}

/* identity_scheme(identity, big-endian pairs) */
static int identity_scheme(lua_State *L)
{
    lua_pushinteger(L, neap_identity_scheme(check_identity(L)->identity, check_bytes(L, 2)));
    return 1;
}

/* identity_sign(identity, scheme, message) → signature; or nil, code */
static int identity_sign(lua_State *L)
{
    struct signature made;
    int error = neap_identity_sign(check_identity(L)->identity, (uint16_t)luaL_checkinteger(L, 2),
                                   check_bytes(L, 3), &made);

    if (error)
        return push_unit_failure(L, error, "");
    push_bytes(L, made.bytes, made.size);
    return 1;
}

/* ---- peers' chains */

static size_t check_ders(lua_State *L, int index, struct span *out)
{
    size_t count = lua_istable(L, index) ? list_size(L, index) : 0;

    luaL_argcheck(L, count <= MAX_DERS, index, "too many");
    for (size_t i = 0; i < count; i++) {
        lua_rawgeti(L, index, (int)i + 1); /* the list keeps the string alive */
        out[i] = check_bytes(L, -1);
        lua_pop(L, 1);
    }
    return count;
}

static int fill_trust(lua_State *L, struct trust *trust, struct failure *why)
{
    struct span list[MAX_DERS];
    int error = 0;

    lua_getfield(L, 2, "roots");
    size_t count = check_ders(L, lua_gettop(L), list);
    for (size_t i = 0; i < count && !error; i++)
        error = neap_trust_add(trust, list[i], why);
    lua_getfield(L, 2, "pins");
    count = check_ders(L, lua_gettop(L), list);
    for (size_t i = 0; i < count && !error; i++)
        error = neap_trust_add_pin(trust, list[i].data);
    lua_pop(L, 2);
    return error;
}

/* `crls` of the table, which the trust is to know; NULL: none, or a failure. */
static struct revocations *fill_revocations(lua_State *L, struct crypto *crypto, struct trust *trust,
                                            struct failure *why)
{
    struct span list[MAX_DERS];

    lua_getfield(L, 2, "crls");
    size_t count = check_ders(L, lua_gettop(L), list);
    lua_getfield(L, 2, "grace");
    struct revocations *revocations = count ? neap_revocations_new(crypto) : NULL;
    if (count && !revocations)
        neap_fail(why, -2, "no memory");
    if (revocations) {
        neap_revocations_set_grace(revocations, (int64_t)lua_tonumber(L, -1));
        neap_trust_set_revocations(trust, revocations);
    }
    for (size_t i = 0; revocations && i < count && !why->code; i++)
        neap_revocations_add(revocations, list[i], why);
    lua_pop(L, 2);
    return revocations;
}

static const char *opt_string(lua_State *L, const char *name)
{
    lua_getfield(L, 2, name);
    const char *text = lua_tostring(L, -1);
    lua_pop(L, 1);
    return text;
}

static int verify_chain(lua_State *L, struct chain_cost *cost, struct validity *unchecked,
                        struct failure *why)
{
    struct crypto *crypto = check_crypto(L)->crypto;
    struct span list[MAX_DERS];

    lua_getfield(L, 2, "now");
    int64_t now = (int64_t)luaL_checknumber(L, -1);
    lua_getfield(L, 2, "is_client");
    bool is_server = !lua_toboolean(L, -1);
    lua_getfield(L, 2, "chain");
    size_t count = check_ders(L, lua_gettop(L), list);
    struct peer_chain *chain = neap_peer_chain_new(crypto, list, count, why);
    struct trust *trust = chain ? neap_trust_new(crypto) : NULL;
    int error = why->code;
    if (chain && !trust)
        error = neap_fail(why, -2, "no memory");
    if (!error)
        error = fill_trust(L, trust, why);
    struct revocations *revocations = error ? NULL : fill_revocations(L, crypto, trust, why);
    error = why->code;
    if (!error)
        error = neap_peer_chain_verify(chain, trust, opt_string(L, "name"), is_server, now, why);
    if (chain)
        *cost = neap_peer_chain_cost(chain);
    if (!chain || !neap_peer_chain_is_unchecked(chain, unchecked))
        *unchecked = (struct validity){0};
    neap_trust_free(trust);
    neap_revocations_free(revocations);
    neap_peer_chain_free(chain);
    return error;
}

/* verify(crypto, {chain = {der, …}, roots = {PEM or DER, …}, pins = {…}, crls = {…}, grace =, name =, is_client =, now =}) → true, and with an
 * unknown time (now = -1) since and until when; or nil, code, reason */
static int verify(lua_State *L)
{
    struct chain_cost cost = {0};
    struct failure why = {0};
    struct validity unchecked;
    int error = verify_chain(L, &cost, &unchecked, &why);

    if (error)
        return push_unit_failure(L, error, why.reason);
    lua_pushboolean(L, 1);
    if (unchecked.until) {
        lua_pushnumber(L, (lua_Number)unchecked.since);
        lua_pushnumber(L, (lua_Number)unchecked.until);
        return 3;
    }
    return 1;
}

/* verification_cost(crypto, as verify) → signatures, names, the reason of a refusal or "", signatures remembered */
static int verification_cost(lua_State *L)
{
    struct chain_cost cost = {0};
    struct failure why = {0};
    struct validity unchecked;
    int error = verify_chain(L, &cost, &unchecked, &why);

    lua_pushinteger(L, cost.signatures);
    lua_pushinteger(L, cost.names);
    lua_pushstring(L, error && why.reason ? why.reason : "");
    lua_pushinteger(L, cost.remembered);
    return 4;
}

/* remember(crypto, count): that many signatures that nobody made are remembered as verified */
static int remember(lua_State *L)
{
    struct crypto *crypto = check_crypto(L)->crypto;

    for (int i = (int)luaL_checkinteger(L, 2); i > 0; i--) {
        struct verified_pair pair = {{0}};
        memcpy(pair.digest, &i, sizeof(i));
        neap_verified_add(crypto, &pair);
    }
    return 0;
}

/* verify_signature(crypto, leaf, scheme, message, signature) → true or false, or nil and a failure of the parser */
static int verify_signature(lua_State *L)
{
    struct span leaf = check_bytes(L, 2);
    struct failure why = {0};
    struct peer_chain *chain = neap_peer_chain_new(check_crypto(L)->crypto, &leaf, 1, &why);

    if (!chain)
        return push_unit_failure(L, why.code, why.reason);
    int error = neap_peer_chain_verify_signature(chain, (uint16_t)luaL_checkinteger(L, 3), check_bytes(L, 4),
                                                 check_bytes(L, 5));
    lua_pushboolean(L, error == 0 && span_equal(neap_peer_chain_at(chain, 0), leaf));
    neap_peer_chain_free(chain);
    return 1;
}

/* trust_count(crypto, PEM or DER) → roots; or nil, code, reason */
static int trust_count(lua_State *L)
{
    struct trust *trust = neap_trust_new(check_crypto(L)->crypto);
    struct failure why = {0};

    if (!trust)
        return push_unit_failure(L, -2, "no memory");
    int error = neap_trust_add(trust, check_bytes(L, 2), &why);
    lua_pushinteger(L, (lua_Integer)neap_trust_count(trust));
    neap_trust_free(trust);
    return error ? push_unit_failure(L, error, why.reason) : 1;
}

/* make(crypto, {names}, not_before, not_after [, room]) → certificate, key; or nil, code, reason */
static int make(lua_State *L)
{
    struct crypto *crypto = check_crypto(L)->crypto;
    const char *names[64];
    size_t count = list_size(L, 2), room = (size_t)luaL_optinteger(L, 5, ROOM);
    char certificate[ROOM], key[ROOM];
    struct failure why = {0};

    luaL_argcheck(L, count <= 64, 2, "too many");
    luaL_argcheck(L, room <= ROOM, 5, "too much");
    for (size_t i = 0; i < count; i++) {
        lua_rawgeti(L, 2, (int)i + 1);
        names[i] = luaL_checkstring(L, -1);
        lua_pop(L, 1);
    }
    int error = neap_certificate_make(crypto, names, count, (int64_t)luaL_checknumber(L, 3),
                                      (int64_t)luaL_checknumber(L, 4), certificate, room, key, room, &why);
    if (error)
        return push_unit_failure(L, error, why.reason);
    lua_pushstring(L, certificate);
    lua_pushstring(L, key);
    return 2;
}

#ifndef NEAP_NO_ISSUING

static struct span field(lua_State *L, const char *name)
{
    lua_getfield(L, 2, name);
    struct span bytes = lua_isnil(L, -1) ? (struct span){0} : check_bytes(L, -1);
    lua_pop(L, 1); /* the table keeps it */
    return bytes;
}

/* issue(crypto, { request =, key =, ca_cert =, ca_key =, name = }): a certificate, or, with `name` and without the rest but
 * `key`, a request; or nil, code, reason */
static int issue(lua_State *L)
{
    struct crypto *crypto = check_crypto(L)->crypto;
    struct span request = field(L, "request"), key = field(L, "key"), authority = field(L, "ca_cert"),
                authority_key = field(L, "ca_key");
    const char *name = (const char *)field(L, "name").data;
    const neap_certificate_plan plan = {.common_name = name,
                                        .names = &name,
                                        .name_count = name != NULL,
                                        .request = request.data,
                                        .request_size = request.size,
                                        .key = key.data,
                                        .key_size = key.size,
                                        .authority = authority.data,
                                        .authority_size = authority.size,
                                        .authority_key = authority_key.data,
                                        .authority_key_size = authority_key.size,
                                        .uses = NEAP_USE_CLIENT,
                                        .path_length = -1};
    const struct issue_times times = {1700000000, 1700000000, 1800000000};
    struct failure why = {0};
    char out[ROOM];
    int64_t size = authority.size ? neap_certificate_issue(crypto, &plan, &times, out, sizeof(out), &why)
                                  : neap_request_make(crypto, &plan, out, sizeof(out), &why);

    if (size < 0)
        return push_unit_failure(L, (int)size, why.reason);
    lua_pushlstring(L, out, (size_t)size);
    return 1;
}

#endif

static const luaL_Reg functions[] = {{"ders", ders},
                                     {"parse", parse},
                                     {"has_host", has_host},
                                     {"name_covers", name_covers},
                                     {"base64_decode", base64_decode},
                                     {"identity_new", identity_new},
                                     {"identity_free", identity_free},
                                     {"identity_handshake_rate", identity_handshake_rate},
                                     {"identity_chain", identity_chain},
                                     {"identity_matches", identity_matches},
                                     {"identity_scheme", identity_scheme},
                                     {"identity_sign", identity_sign},
                                     {"verify", verify},
                                     {"verification_cost", verification_cost},
                                     {"remember", remember},
                                     {"verify_signature", verify_signature},
                                     {"trust_count", trust_count},
                                     {"make", make},
#ifndef NEAP_NO_ISSUING
                                     {"issue", issue},
#endif
                                     {NULL, NULL}};

int neap_units_certificates(lua_State *L)
{
    luaL_newmetatable(L, IDENTITY);
    lua_pop(L, 1);
    lua_newtable(L);
    set_unit_functions(L, functions);
    return 1;
}
