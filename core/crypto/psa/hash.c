/* Builds without libcrypto: SHA-256 and SHA-384 in operations that live inside of struct hash_state. */
#include "crypto/backend.h"

#ifndef NEAP_HAVE_LIBCRYPTO

#include <assert.h>
#include <psa/crypto.h>

#define CONTEXT_SIZE sizeof(((struct hash_state *)0)->context)

_Static_assert(sizeof(psa_hash_operation_t) <= CONTEXT_SIZE, "room for the operation");

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

void neap_library_hash_start(struct hash_state *s)
{
    must(psa_crypto_init());
    *operation_of(s) = psa_hash_operation_init();
    must(psa_hash_setup(operation_of(s), s->hash == HASH_SHA256 ? PSA_ALG_SHA_256 : PSA_ALG_SHA_384));
}

void neap_library_hash_update(struct hash_state *s, struct span data)
{
    must(psa_hash_update(operation_of(s), data.data, data.size));
}

void neap_library_hash_end(struct hash_state *s, uint8_t *out)
{
    size_t size;

    must(psa_hash_finish(operation_of(s), out, crypto_hash_size(s->hash), &size));
}

void neap_library_hash_copy(struct hash_state *to, const struct hash_state *from)
{
    *operation_of(to) = psa_hash_operation_init();
    must(psa_hash_clone((const psa_hash_operation_t *)(const void *)from->context, operation_of(to)));
}

void neap_library_hash_free(struct hash_state *s)
{
    psa_hash_abort(operation_of(s));
    neap_wipe(s->context, sizeof(psa_hash_operation_t));
}

#endif
