/* neap.units.stack: what derivations of core/crypto leave on their stack. Each runs on one of its own, which is read when
 * it has returned. */
#include "crypto_unit.h"
#include "units.h"

#include <pthread.h>
#include <stdlib.h>

int neap_units_stack(lua_State *L);

#define STACK_SIZE ((size_t)256 * 1024)

struct derivation {
    enum crypto_hash hash;
    struct span secret, data;
    const char *label; /* NULL: HMAC of the data */
    uint8_t out[CRYPTO_MAX_HASH];
};

static void *derive(void *context)
{
    struct derivation *d = context;

    if (d->label)
        neap_hkdf_expand_label(d->hash, d->secret.data, d->label, d->data, d->out, crypto_hash_size(d->hash));
    else
        neap_hmac(d->hash, d->secret, d->data, d->out);
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
    derive(d);
    if (!stack || pthread_attr_init(&attributes) || pthread_attr_setstack(&attributes, stack, STACK_SIZE) ||
        pthread_create(&thread, &attributes, derive, d) || pthread_join(thread, NULL))
        abort();
    pthread_attr_destroy(&attributes);
    push_bytes(L, d->out, crypto_hash_size(d->hash));
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
    return run(L, &(struct derivation){
                      .hash = check_hash(L, 1), .secret = check_bytes(L, 2), .data = check_bytes(L, 3)});
}

/* expand_label(256 | 384, secret, label, context) → a secret, stack */
static int expand_label(lua_State *L)
{
    luaL_argcheck(L, check_bytes(L, 2).size == crypto_hash_size(check_hash(L, 1)), 2, "size");
    return run(L, &(struct derivation){.hash = check_hash(L, 1),
                                       .secret = check_bytes(L, 2),
                                       .label = luaL_checkstring(L, 3),
                                       .data = check_bytes(L, 4)});
}

static const luaL_Reg functions[] = {{"hmac", hmac}, {"expand_label", expand_label}, {NULL, NULL}};

int neap_units_stack(lua_State *L)
{
    lua_newtable(L);
    set_unit_functions(L, functions);
    return 1;
}
