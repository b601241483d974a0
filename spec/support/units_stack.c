/* neap.units.stack: what derivations of core/crypto leave on their stack. Each runs on one of its own, which is read when
 * it has returned. */
#include "crypto_unit.h"
#include "crypto/p256/p256.h"
#include "units.h"

#include <pthread.h>
#include <stdlib.h>

int neap_units_stack(lua_State *L);

#define STACK_SIZE ((size_t)256 * 1024)

struct derivation {
    void (*derive)(struct derivation *d);
    enum crypto_hash hash;
    struct span secret, data;
    const char *label;
    uint8_t out[128];
    size_t size; /* of it */
};

static void by_hmac(struct derivation *d)
{
    d->size = crypto_hash_size(d->hash);
    neap_hmac(d->hash, d->secret, d->data, d->out);
}

static void by_label(struct derivation *d)
{
    d->size = crypto_hash_size(d->hash);
    neap_hkdf_expand_label(d->hash, d->secret.data, d->label, d->data, d->out, d->size);
}

static void *derive(void *context)
{
    struct derivation *d = context;

    d->derive(d);
    return NULL;
}

/* The output and the whole stack. */
static int run(lua_State *L, const struct derivation *asked)
{
    struct derivation *d = lua_newuserdata(L, sizeof *d);
    void *stack = calloc(1, STACK_SIZE);
    pthread_attr_t attributes;
    pthread_t thread;

    /* Once elsewhere: the linker looks symbols up at their first call, and puts registers onto the stack. */
    *d = *asked;
    d->derive(d);
    if (!stack || pthread_attr_init(&attributes) || pthread_attr_setstack(&attributes, stack, STACK_SIZE) ||
        pthread_create(&thread, &attributes, derive, d) || pthread_join(thread, NULL))
        abort();
    pthread_attr_destroy(&attributes);
    push_bytes(L, d->out, d->size);
    push_bytes(L, stack, STACK_SIZE);
    free(stack);
    return 2;
}

static enum crypto_hash check_hash(lua_State *L, int index)
{
    return luaL_checkinteger(L, index) == 256 ? HASH_SHA256 : HASH_SHA384;
}

/* hmac(256 | 384, key, message) → MAC, stack */
static int hmac(lua_State *L)
{
    return run(L, &(struct derivation){.derive = by_hmac,
                                       .hash = check_hash(L, 1),
                                       .secret = check_bytes(L, 2),
                                       .data = check_bytes(L, 3)});
}

/* expand_label(256 | 384, secret, label, context) → a secret, stack */
static int expand_label(lua_State *L)
{
    luaL_argcheck(L, check_bytes(L, 2).size == crypto_hash_size(check_hash(L, 1)), 2, "size");
    return run(L, &(struct derivation){.derive = by_label,
                                       .hash = check_hash(L, 1),
                                       .secret = check_bytes(L, 2),
                                       .label = luaL_checkstring(L, 3),
                                       .data = check_bytes(L, 4)});
}

#ifdef HAVE_P256
static void by_p256_signing(struct derivation *d)
{
    d->size = 2 * NUMBER_SIZE;
    neap_p256_sign(d->secret.data, d->data.data, d->out);
}

/* p256_sign(key, digest) → signature, stack */
static int p256_sign(lua_State *L)
{
    luaL_argcheck(L, check_bytes(L, 1).size == NUMBER_SIZE && check_bytes(L, 2).size == 32, 1, "size");
    return run(L, &(struct derivation){
                      .derive = by_p256_signing, .secret = check_bytes(L, 1), .data = check_bytes(L, 2)});
}

static void by_p256_exchange(struct derivation *d)
{
    d->size = NUMBER_SIZE;
    if (!neap_p256_shared(d->secret.data, d->data.data, d->out))
        abort();
}

/* p256_shared(key, point) → secret, stack */
static int p256_shared(lua_State *L)
{
    luaL_argcheck(L, check_bytes(L, 1).size == NUMBER_SIZE && check_bytes(L, 2).size == POINT_SIZE, 1,
                  "size");
    return run(L, &(struct derivation){
                      .derive = by_p256_exchange, .secret = check_bytes(L, 1), .data = check_bytes(L, 2)});
}

static void by_p256_check(struct derivation *d)
{
    d->out[0] = neap_p256_is_key(d->secret.data);
    d->size = 1;
}

/* p256_is_key(key) → "\0" or "\1", stack */
static int p256_is_key(lua_State *L)
{
    luaL_argcheck(L, check_bytes(L, 1).size == NUMBER_SIZE, 1, "size");
    return run(L, &(struct derivation){.derive = by_p256_check, .secret = check_bytes(L, 1)});
}
#endif

static const luaL_Reg functions[] = {{"hmac", hmac},
                                     {"expand_label", expand_label},
#ifdef HAVE_P256
                                     {"p256_sign", p256_sign},
                                     {"p256_shared", p256_shared},
                                     {"p256_is_key", p256_is_key},
#endif
                                     {NULL, NULL}};

int neap_units_stack(lua_State *L)
{
    lua_newtable(L);
    set_unit_functions(L, functions);
    return 1;
}
