/* Units of core/crypto without certificates: hashes, HKDF, ciphers, packet keys, key exchange, signatures. Keys of
 * packets travel as strings of the struct's bytes. */
#include "crypto_unit.h"
#include "neap.h"

#include <stdlib.h>

#include "crypto/provider.h"
#include "crypto/packet_keys.h"

int neap_units_crypto(lua_State *L);

#define ROOM 70000

static void *counting_realloc(void *context, void *pointer, size_t size)
{
    struct crypto_unit *u = context;

    if (size == 0) {
        free(pointer);
        return NULL;
    }
    if (u->until_failure == 0)
        return NULL;
    if (u->until_failure > 0)
        u->until_failure--;
    return realloc(pointer, size);
}

static const struct provider *check_provider(lua_State *L, int index)
{
    const char *name = luaL_checkstring(L, index);

    for (size_t i = 0; neap_providers[i]; i++)
        if (strcmp(neap_providers[i]->name, name) == 0)
            return neap_providers[i];
    luaL_argerror(L, index, "no such provider");
    return NULL;
}

/* providers() → names, the fastest first */
static int providers(lua_State *L)
{
    lua_newtable(L);
    for (int i = 0; neap_providers[i]; i++) {
        lua_pushstring(L, neap_providers[i]->name);
        lua_rawseti(L, -2, i + 1);
    }
    return 1;
}

/* new(seed [, until_failure [, provider]]) → crypto or nil */
static int crypto_new(lua_State *L)
{
    struct span seed = check_bytes(L, 1);
    long until_failure = (long)luaL_optinteger(L, 2, -1);
    const struct provider *provider = lua_isnoneornil(L, 3) ? neap_providers[0] : check_provider(L, 3);
    struct crypto_unit *u = lua_newuserdata(L, sizeof(*u));

    luaL_argcheck(L, seed.size == 32, 1, "32 bytes");
    *u = (struct crypto_unit){.until_failure = -1};
    luaL_getmetatable(L, CRYPTO_UNIT);
    lua_setmetatable(L, -2);
    u->pool = neap_pool_new(counting_realloc, u, 0);
    u->until_failure = until_failure;
    u->crypto = neap_crypto_new_with(provider, u->pool, seed.data);
    if (!u->crypto)
        lua_pushnil(L);
    return 1;
}

static int crypto_gc(lua_State *L)
{
    struct crypto_unit *u = check_crypto(L);

    neap_crypto_free(u->crypto);
    neap_pool_release(u->pool);
    *u = (struct crypto_unit){0};
    return 0;
}

/* fail_after(crypto, count): that many allocations still work; negative: all */
static int fail_after(lua_State *L)
{
    check_crypto(L)->until_failure = (long)luaL_checkinteger(L, 2);
    return 0;
}

/* used(crypto): bytes of its pool */
static int used(lua_State *L)
{
    lua_pushnumber(L, (lua_Number)neap_pool_stats(check_crypto(L)->pool).used);
    return 1;
}

static enum crypto_hash check_hash(lua_State *L, int index)
{
    return luaL_checkinteger(L, index) == 256 ? HASH_SHA256 : HASH_SHA384;
}

/* hash(256 | 384, part, ...) and the hash after each part */
static int hash(lua_State *L)
{
    enum crypto_hash which = check_hash(L, 1);
    struct hash_state state;
    uint8_t out[CRYPTO_MAX_HASH];
    int count = lua_gettop(L) - 1;

    neap_hash_start(&state, which);
    for (int i = 0; i < count; i++) {
        neap_hash_update(&state, check_bytes(L, 2 + i));
        neap_hash_peek(&state, out);
        push_bytes(L, out, crypto_hash_size(which));
    }
    neap_hash_free(&state);
    return count;
}

static int hmac(lua_State *L)
{
    enum crypto_hash which = check_hash(L, 1);
    uint8_t out[CRYPTO_MAX_HASH];

    neap_hmac(which, check_bytes(L, 2), check_bytes(L, 3), out);
    push_bytes(L, out, crypto_hash_size(which));
    return 1;
}

static int hkdf_extract(lua_State *L)
{
    enum crypto_hash which = check_hash(L, 1);
    uint8_t out[CRYPTO_MAX_HASH];

    neap_hkdf_extract(which, check_bytes(L, 2), check_bytes(L, 3), out);
    push_bytes(L, out, crypto_hash_size(which));
    return 1;
}

static int hkdf_expand(lua_State *L)
{
    enum crypto_hash which = check_hash(L, 1);
    size_t size = (size_t)luaL_checkinteger(L, 4);
    uint8_t out[255 * CRYPTO_MAX_HASH];

    luaL_argcheck(L, size <= 255 * crypto_hash_size(which), 4, "too much");
    neap_hkdf_expand(which, check_bytes(L, 2), check_bytes(L, 3), out, size);
    push_bytes(L, out, size);
    return 1;
}

/* expand_label(hash, secret, label, context, size) */
static int expand_label(lua_State *L)
{
    uint8_t out[255];
    size_t size = (size_t)luaL_checkinteger(L, 5);

    luaL_argcheck(L, check_bytes(L, 2).size == crypto_hash_size(check_hash(L, 1)), 2, "size");
    luaL_argcheck(L, size <= sizeof(out), 5, "too much");
    neap_hkdf_expand_label(check_hash(L, 1), check_bytes(L, 2).data, luaL_checkstring(L, 3),
                           check_bytes(L, 4), out, size);
    push_bytes(L, out, size);
    return 1;
}

/* aead_seal / aead_open(crypto, suite, key, iv, aad, bytes): in place. bytes or nil, code */
static int aead(lua_State *L, bool is_seal)
{
    enum crypto_suite suite = (enum crypto_suite)luaL_checkinteger(L, 2);
    struct span key = check_bytes(L, 3), iv = check_bytes(L, 4), aad = check_bytes(L, 5),
                in = check_bytes(L, 6);

    luaL_argcheck(L, key.size == neap_suite_key_size(suite), 3, "size");
    luaL_argcheck(L, iv.size == CRYPTO_IV, 4, "size");
    uint8_t *room = malloc(in.size + CRYPTO_TAG);
    memcpy(room, in.data, in.size);
    int error =
        is_seal ? neap_aead_seal(check_crypto(L)->crypto, suite, key.data, iv.data, aad, room, in.size, room)
                : neap_aead_open(check_crypto(L)->crypto, suite, key.data, iv.data, aad, room, in.size, room);
    if (error)
        push_unit_failure(L, error, "");
    else
        push_bytes(L, room, is_seal ? in.size + CRYPTO_TAG : in.size - CRYPTO_TAG);
    free(room);
    return error ? 3 : 1;
}

static int aead_seal(lua_State *L)
{
    return aead(L, true);
}

static int aead_open(lua_State *L)
{
    return aead(L, false);
}

static const struct version_labels *check_labels(lua_State *L, int index)
{
    const struct version_labels *labels = neap_version_labels((uint32_t)luaL_checknumber(L, index));

    luaL_argcheck(L, labels != NULL, index, "unknown version");
    return labels;
}

static struct packet_key check_key(lua_State *L, int index)
{
    struct packet_key key;

    luaL_argcheck(L, check_bytes(L, index).size == sizeof(key), index, "no packet key");
    memcpy(&key, check_bytes(L, index).data, sizeof(key));
    return key;
}

static int key_derive(lua_State *L)
{
    struct packet_key key;
    enum crypto_suite suite = (enum crypto_suite)luaL_checkinteger(L, 2);

    luaL_argcheck(L, check_bytes(L, 3).size == crypto_hash_size(neap_suite_hash(suite)), 3, "size");
    neap_packet_key_derive(&key, check_labels(L, 1), suite, check_bytes(L, 3).data);
    push_bytes(L, &key, sizeof(key));
    return 1;
}

/* key_initial(version, dcid) → client's, server's */
static int key_initial(lua_State *L)
{
    struct packet_key client, server;

    neap_packet_key_initial(&client, &server, check_labels(L, 1), check_bytes(L, 2));
    push_bytes(L, &client, sizeof(client));
    push_bytes(L, &server, sizeof(server));
    return 2;
}

/* key_update(version, key, secret) → key, secret */
static int key_update(lua_State *L)
{
    struct packet_key key = check_key(L, 2), next;
    struct span old = check_bytes(L, 3);
    uint8_t secret[CRYPTO_MAX_HASH];

    luaL_argcheck(L, old.size == crypto_hash_size(neap_suite_hash(key.suite)), 3, "size");
    memcpy(secret, old.data, old.size);
    neap_packet_key_next(&next, &key, check_labels(L, 1), secret);
    push_bytes(L, &next, sizeof(next));
    push_bytes(L, secret, old.size);
    return 2;
}

/* key_parts(key) → key, iv, hp, suite */
static int key_parts(lua_State *L)
{
    struct packet_key key = check_key(L, 1);
    size_t size = neap_suite_key_size(key.suite);

    push_bytes(L, key.key, size);
    push_bytes(L, key.iv, sizeof(key.iv));
    push_bytes(L, key.hp, size);
    lua_pushinteger(L, key.suite);
    return 4;
}

/* busy_key(crypto, key, packets) → bytes of the pool in use before so many packets of "payload" behind a header of
 * "@@1", after them, and when the key was wiped; and the last packet, number 1 */
static int busy_key(lua_State *L)
{
    struct crypto_unit *u = check_crypto(L);
    struct packet_key key = check_key(L, 2);
    uint8_t room[3 + 7 + CRYPTO_TAG];
    struct seal_packet packet = {
        .header = room, .header_size = 3, .number_size = 2, .number = 1, .payload_size = 7};

    key.is_busy = true;
    lua_pushinteger(L, (lua_Integer)neap_pool_stats(u->pool).used);
    for (int i = 0; i < luaL_checkinteger(L, 3); i++) {
        memcpy(room, "@@1payload", 3 + 7);
        if (neap_packets_seal(u->crypto, &key, &packet, 1))
            return luaL_error(L, "seal");
    }
    lua_pushinteger(L, (lua_Integer)neap_pool_stats(u->pool).used);
    neap_packet_key_wipe(u->crypto, &key);
    lua_pushinteger(L, (lua_Integer)neap_pool_stats(u->pool).used);
    push_bytes(L, room, sizeof(room));
    return 4;
}

/* seal(crypto, key, header, number size, number, payload[, path ID]) → packet or nil, code. A list of payloads is a run of
 * packets with one header and rising numbers; they come back joined. */
static int seal(lua_State *L)
{
    struct packet_key key = check_key(L, 2);
    struct span header = check_bytes(L, 3);
    struct seal_packet packets[16];
    int count = lua_istable(L, 6) ? (int)list_size(L, 6) : 1;
    uint8_t *room = malloc(ROOM), *at = room;

    lua_settop(L, 7); /* what is pushed below is no argument */
    uint32_t path_id = (uint32_t)luaL_optnumber(L, 7, 0);
    luaL_argcheck(L, count <= 16, 6, "too many");
    for (int i = 0; i < count; i++) {
        if (lua_istable(L, 6))
            lua_rawgeti(L, 6, i + 1);
        else
            lua_pushvalue(L, 6);
        struct span payload = check_bytes(L, -1);
        packets[i] = (struct seal_packet){.header = at,
                                          .header_size = header.size,
                                          .number_size = (size_t)luaL_checkinteger(L, 4),
                                          .number = (uint64_t)luaL_checknumber(L, 5) + (unsigned)i,
                                          .path_id = path_id,
                                          .payload_size = payload.size};
        memcpy(at, header.data, header.size);
        memcpy(at + header.size, payload.data, payload.size);
        at += header.size + payload.size + CRYPTO_TAG;
        lua_pop(L, 1);
    }
    int error = neap_packets_seal(check_crypto(L)->crypto, &key, packets, (size_t)count);
    if (error)
        push_unit_failure(L, error, "");
    else
        push_bytes(L, room, (size_t)(at - room));
    free(room);
    return error ? 3 : 1;
}

/* unmask(crypto, key, packet, number_at) → number's size, truncated number, packet; or nil, code */
static int unmask(lua_State *L)
{
    struct packet_key key = check_key(L, 2);
    struct span packet = check_bytes(L, 3);
    uint8_t *room = malloc(packet.size + 1);
    uint32_t truncated = 0;

    memcpy(room, packet.data, packet.size);
    int size = neap_packet_unmask(check_crypto(L)->crypto, &key, room, packet.size,
                                  (size_t)luaL_checkinteger(L, 4), &truncated);
    if (size < 0) {
        push_unit_failure(L, size, "");
    } else {
        lua_pushinteger(L, size);
        lua_pushnumber(L, (lua_Number)truncated);
        push_bytes(L, room, packet.size);
    }
    free(room);
    return 3;
}

/* open(crypto, key, packet, header size, number[, path ID]) → plaintext, or nil, code, what is left in the buffer */
static int open_packet(lua_State *L)
{
    struct packet_key key = check_key(L, 2);
    struct span packet = check_bytes(L, 3);
    size_t header_size = (size_t)luaL_checkinteger(L, 4);
    uint8_t *room = malloc(packet.size + 1);

    memcpy(room, packet.data, packet.size);
    int64_t size = neap_packet_open(check_crypto(L)->crypto, &key, room, header_size, packet.size,
                                    (uint32_t)luaL_optnumber(L, 6, 0), (uint64_t)luaL_checknumber(L, 5));
    if (size < 0) {
        lua_pushnil(L);
        lua_pushinteger(L, (lua_Integer)size);
        push_bytes(L, room, packet.size);
    } else {
        push_bytes(L, room + header_size, (size_t)size);
    }
    free(room);
    return size < 0 ? 3 : 1;
}

static int retry_tag(lua_State *L)
{
    uint8_t tag[16];
    int error = neap_retry_tag(check_crypto(L)->crypto, check_labels(L, 2), check_bytes(L, 3),
                               check_bytes(L, 4), tag);

    if (error)
        return push_unit_failure(L, error, "");
    push_bytes(L, tag, sizeof(tag));
    return 1;
}

/* share_generate(crypto, group) → public, private; or nil, code */
static int share_generate(lua_State *L)
{
    struct key_share share;
    int error = neap_share_generate(check_crypto(L)->crypto, (uint16_t)luaL_checkinteger(L, 2), &share);

    if (error)
        return push_unit_failure(L, error, "");
    push_bytes(L, share.public_key, share.public_size);
    push_bytes(L, share.private_key, share.private_size);
    return 2;
}

/* work(crypto) → µs (neap_crypto_work) */
static int work(lua_State *L)
{
    lua_pushinteger(L, (lua_Integer)neap_crypto_work(check_crypto(L)->crypto));
    return 1;
}

/* share_encapsulate(crypto, group, peer's public) → public, secret; or nil, code */
static int share_encapsulate(lua_State *L)
{
    struct key_share share;
    uint8_t secret[64];
    size_t size = 0;
    int error = neap_share_encapsulate(check_crypto(L)->crypto, (uint16_t)luaL_checkinteger(L, 2),
                                       check_bytes(L, 3), &share, secret, &size);

    if (error)
        return push_unit_failure(L, error, "");
    push_bytes(L, share.public_key, share.public_size);
    push_bytes(L, secret, size);
    return 2;
}

/* share_decapsulate(crypto, group, private, peer's public) → secret; or nil, code */
static int share_decapsulate(lua_State *L)
{
    struct key_share share = {.group = (uint16_t)luaL_checkinteger(L, 2)};
    struct span private_key = check_bytes(L, 3);
    uint8_t secret[64];
    size_t size = 0;

    luaL_argcheck(L, private_key.size <= sizeof(share.private_key), 3, "size");
    memcpy(share.private_key, private_key.data, private_key.size);
    share.private_size = private_key.size;
    int error = neap_share_decapsulate(check_crypto(L)->crypto, &share, check_bytes(L, 4), secret, &size);
    if (error)
        return push_unit_failure(L, error, "");
    push_bytes(L, secret, size);
    return 1;
}

static int push_made(lua_State *L, int error, const uint8_t *bytes, size_t size)
{
    if (error)
        return push_unit_failure(L, error, "");
    push_bytes(L, bytes, size);
    return 1;
}

static struct span check_size(lua_State *L, int index, size_t size)
{
    struct span bytes = check_bytes(L, index);

    luaL_argcheck(L, bytes.size == size, index, "size");
    return bytes;
}

/* has_group(crypto, group) → whether shares of it can be made */
static int has_group(lua_State *L)
{
    lua_pushboolean(L, neap_group_is_supported(check_crypto(L)->crypto, (uint16_t)luaL_checkinteger(L, 2)));
    return 1;
}

/* mlkem_key(crypto, seed) → encapsulation key; or nil, code */
static int mlkem_key(lua_State *L)
{
    struct crypto *crypto = check_crypto(L)->crypto;
    uint8_t key[MLKEM768_KEY];
    struct span seed = check_size(L, 2, MLKEM768_SEED);

    return push_made(L, crypto->mlkem768->public_key(crypto, seed.data, key), key, sizeof(key));
}

/* mlkem_encapsulate(crypto, key, message) → ciphertext, secret; or nil, code */
static int mlkem_encapsulate(lua_State *L)
{
    struct crypto *crypto = check_crypto(L)->crypto;
    uint8_t ciphertext[MLKEM768_CIPHERTEXT], secret[MLKEM768_SECRET];
    struct span key = check_size(L, 2, MLKEM768_KEY), message = check_size(L, 3, MLKEM768_SECRET);
    int error = crypto->mlkem768->encapsulate(crypto, key.data, message.data, ciphertext, secret);

    if (error)
        return push_unit_failure(L, error, "");
    push_bytes(L, ciphertext, sizeof(ciphertext));
    push_bytes(L, secret, sizeof(secret));
    return 2;
}

/* mlkem_decapsulate(crypto, seed, ciphertext) → secret; or nil, code */
static int mlkem_decapsulate(lua_State *L)
{
    struct crypto *crypto = check_crypto(L)->crypto;
    uint8_t secret[MLKEM768_SECRET];
    struct span seed = check_size(L, 2, MLKEM768_SEED), ciphertext = check_size(L, 3, MLKEM768_CIPHERTEXT);

    return push_made(L, crypto->mlkem768->decapsulate(crypto, seed.data, ciphertext.data, secret), secret,
                     sizeof(secret));
}

/* signature_verify(crypto, spki, kind, digest bits, message, signature) → true or false */
static int signature_verify(lua_State *L)
{
    static const char *const kinds[] = {"rsa_pkcs1", "rsa_pss", "ecdsa", "ed25519", NULL};
    static const enum signature_kind values[] = {SIGNATURE_RSA_PKCS1, SIGNATURE_RSA_PSS, SIGNATURE_ECDSA,
                                                 SIGNATURE_ED25519};
    lua_Integer bits = luaL_checkinteger(L, 4);
    struct signature_algorithm algorithm = {.kind = values[luaL_checkoption(L, 3, NULL, kinds)],
                                            .digest = bits == 256   ? DIGEST_SHA256
                                                      : bits == 384 ? DIGEST_SHA384
                                                                    : DIGEST_SHA512};

    struct key_info key;
    bool has_key = neap_key_info(check_bytes(L, 2), &key) == 0;

    lua_pushboolean(L, has_key && neap_signature_verify(check_crypto(L)->crypto, &key, algorithm,
                                                        check_bytes(L, 5), check_bytes(L, 6)) == 0);
    return 1;
}

static int has_ed25519(lua_State *L)
{
    lua_pushboolean(L, neap_ed25519_is_available());
    return 1;
}

/* random(crypto, size) */
static int random_of(lua_State *L)
{
    uint8_t bytes[256];
    size_t size = (size_t)luaL_checkinteger(L, 2);

    luaL_argcheck(L, size <= sizeof(bytes), 2, "too much");
    neap_random_bytes(neap_crypto_random(check_crypto(L)->crypto), bytes, size);
    push_bytes(L, bytes, size);
    return 1;
}

static int schemes(lua_State *L)
{
    size_t count;
    const uint16_t *list = neap_schemes(&count);

    lua_newtable(L);
    for (size_t i = 0; i < count; i++) {
        lua_pushinteger(L, list[i]);
        lua_rawseti(L, -2, (int)i + 1);
    }
    return 1;
}

static int backend(lua_State *L)
{
    lua_pushstring(L, neap_backend());
    return 1;
}

static const luaL_Reg functions[] = {{"new", crypto_new},
                                     {"providers", providers},
                                     {"fail_after", fail_after},
                                     {"used", used},
                                     {"hash", hash},
                                     {"hmac", hmac},
                                     {"hkdf_extract", hkdf_extract},
                                     {"hkdf_expand", hkdf_expand},
                                     {"expand_label", expand_label},
                                     {"aead_seal", aead_seal},
                                     {"aead_open", aead_open},
                                     {"key_derive", key_derive},
                                     {"key_initial", key_initial},
                                     {"key_update", key_update},
                                     {"key_parts", key_parts},
                                     {"busy_key", busy_key},
                                     {"seal", seal},
                                     {"unmask", unmask},
                                     {"open", open_packet},
                                     {"retry_tag", retry_tag},
                                     {"share_generate", share_generate},
                                     {"share_encapsulate", share_encapsulate},
                                     {"work", work},
                                     {"share_decapsulate", share_decapsulate},
                                     {"has_group", has_group},
                                     {"mlkem_key", mlkem_key},
                                     {"mlkem_encapsulate", mlkem_encapsulate},
                                     {"mlkem_decapsulate", mlkem_decapsulate},
                                     {"signature_verify", signature_verify},
                                     {"has_ed25519", has_ed25519},
                                     {"random", random_of},
                                     {"schemes", schemes},
                                     {"backend", backend},
                                     {NULL, NULL}};

int neap_units_crypto(lua_State *L)
{
    luaL_newmetatable(L, CRYPTO_UNIT);
    lua_pushcfunction(L, crypto_gc);
    lua_setfield(L, -2, "__gc");
    lua_pop(L, 1);
    lua_newtable(L);
    set_unit_functions(L, functions);
    return 1;
}
