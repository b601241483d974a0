/* Builds without libcrypto: SHA-256 and SHA-384 in operations that live inside of struct hash_state. SHA-256 in the CPU's
 * instructions where it has them. */
#include "crypto/crypto.h"

#ifndef NEAP_HAVE_LIBCRYPTO

#include "crypto/accel/accel.h"
#include "crypto/accel/sha256.h"

#include <assert.h>
#include <psa/crypto.h>

#define CONTEXT_SIZE sizeof(((struct hash_state *)0)->context)

_Static_assert(sizeof(psa_hash_operation_t) <= CONTEXT_SIZE, "room for the operation");

#ifdef ACCEL_SHA256
_Static_assert(sizeof(struct sha256) <= CONTEXT_SIZE, "room for our SHA-256");

static struct sha256 *accelerated_of(struct hash_state *s)
{
    return s->hash == HASH_SHA256 && neap_sha256_is_here() ? (struct sha256 *)(void *)s->context : NULL;
}
#endif

static psa_hash_operation_t *operation_of(struct hash_state *s)
{
    return (psa_hash_operation_t *)(void *)s->context;
}

/* The software hashes cannot fail; one in hardware that does must not give a wrong transcript. */
static void must(psa_status_t status)
{
    assert(status == PSA_SUCCESS);
    (void)status;
}

void neap_hash_start(struct hash_state *s, enum crypto_hash hash)
{
    s->hash = hash;
#ifdef ACCEL_SHA256
    if (accelerated_of(s)) {
        neap_sha256_start(accelerated_of(s));
        return;
    }
#endif
    must(psa_crypto_init());
    *operation_of(s) = psa_hash_operation_init();
    must(psa_hash_setup(operation_of(s), hash == HASH_SHA256 ? PSA_ALG_SHA_256 : PSA_ALG_SHA_384));
}

void neap_hash_update(struct hash_state *s, struct span data)
{
    if (data.size == 0)
        return;
#ifdef ACCEL_SHA256
    if (accelerated_of(s)) {
        neap_sha256_update(accelerated_of(s), data.data, data.size);
        return;
    }
#endif
    must(psa_hash_update(operation_of(s), data.data, data.size));
}

void neap_hash_end(struct hash_state *s, uint8_t *out)
{
    size_t size;

#ifdef ACCEL_SHA256
    if (accelerated_of(s)) {
        neap_sha256_end(accelerated_of(s), out);
        neap_hash_free(s);
        return;
    }
#endif
    must(psa_hash_finish(operation_of(s), out, crypto_hash_size(s->hash), &size));
    neap_hash_free(s);
}

void neap_hash_copy(struct hash_state *to, const struct hash_state *from)
{
    to->hash = from->hash;
#ifdef ACCEL_SHA256
    if (accelerated_of(to)) {
        memcpy(to->context, from->context, sizeof(struct sha256));
        return;
    }
#endif
    *operation_of(to) = psa_hash_operation_init();
    must(psa_hash_clone((const psa_hash_operation_t *)(const void *)from->context, operation_of(to)));
}

void neap_hash_free(struct hash_state *s)
{
#ifdef ACCEL_SHA256
    if (accelerated_of(s)) {
        neap_wipe(s->context, sizeof(struct sha256));
        return;
    }
#endif
    psa_hash_abort(operation_of(s));
    neap_wipe(s->context, sizeof(psa_hash_operation_t));
}

#endif
