/* neap.units.p256: P-256 of our own, beside the libraries'. */
#include "crypto_unit.h"

#include "crypto/issue.h"
#include "crypto/p256/p256.h"

int neap_units_p256(lua_State *L);

#ifdef HAVE_P256

static const uint8_t *check_size(lua_State *L, int index, size_t size)
{
    luaL_argcheck(L, check_bytes(L, index).size == size, index, "size");
    return check_bytes(L, index).data;
}

static const uint8_t *check_key(lua_State *L, int index)
{
    const uint8_t *key = check_size(L, index, NUMBER_SIZE);

    luaL_argcheck(L, neap_p256_is_key(key), index, "no private key");
    return key;
}

/* is_key(bytes) → whether they are a private key */
static int is_key(lua_State *L)
{
    lua_pushboolean(L, neap_p256_is_key(check_size(L, 1, NUMBER_SIZE)));
    return 1;
}

/* public(key) → point */
static int public_of(lua_State *L)
{
    uint8_t point[POINT_SIZE];

    neap_p256_public(check_key(L, 1), point);
    push_bytes(L, point, sizeof(point));
    return 1;
}

/* shared(key, point) → secret, or nil */
static int shared(lua_State *L)
{
    uint8_t secret[NUMBER_SIZE];

    if (!neap_p256_shared(check_key(L, 1), check_size(L, 2, POINT_SIZE), secret))
        return 0;
    push_bytes(L, secret, sizeof(secret));
    return 1;
}

/* sign(key, digest) → r and s */
static int sign(lua_State *L)
{
    uint8_t signature[2 * NUMBER_SIZE];

    neap_p256_sign(check_key(L, 1), check_size(L, 2, 32), signature);
    push_bytes(L, signature, sizeof(signature));
    return 1;
}

/* verify(point, digest, r and s) → whether they sign it */
static int verify(lua_State *L)
{
    lua_pushboolean(L, neap_p256_verify(check_size(L, 1, POINT_SIZE), check_size(L, 2, 32),
                                        check_size(L, 3, 2 * NUMBER_SIZE)));
    return 1;
}

/* public_by_library(crypto, ECPrivateKey without its public key) → point, as Mbed TLS computes it */
static int public_by_library(lua_State *L)
{
    uint8_t spki[SPKI_MAX];
    struct key_info key;
    struct failure why;
    size_t size;

    if (neap_private_key_public(check_crypto(L)->crypto, check_bytes(L, 2), spki, &size, &why) ||
        neap_key_info(span_of(spki, size), &key))
        return luaL_error(L, "no key");
    push_bytes(L, key.key.data, key.key.size);
    return 1;
}

static const luaL_Reg functions[] = {{"is_key", is_key}, {"public", public_of},
                                     {"shared", shared}, {"sign", sign},
                                     {"verify", verify}, {"public_by_library", public_by_library},
                                     {NULL, NULL}};
#else
static const luaL_Reg functions[] = {{NULL, NULL}};
#endif

/* Empty in builds without it. */
int neap_units_p256(lua_State *L)
{
    lua_newtable(L);
    set_unit_functions(L, functions);
    return 1;
}
