/* Builds without libcrypto: SHA-256 and SHA-384 in contexts that live inside of struct hash_state. */
#include "crypto/backend.h"

#ifndef NEAP_HAVE_LIBCRYPTO

#include "crypto/mbedtls/compat.h"

#include <assert.h>

_Static_assert(sizeof(mbedtls_sha256_context) <= sizeof(((struct hash_state *)0)->context),
               "room for SHA-256");
_Static_assert(sizeof(mbedtls_sha512_context) <= sizeof(((struct hash_state *)0)->context),
               "room for SHA-384");

static mbedtls_sha256_context *sha256_of(struct hash_state *s)
{
    return (mbedtls_sha256_context *)(void *)s->context;
}

static mbedtls_sha512_context *sha512_of(struct hash_state *s)
{
    return (mbedtls_sha512_context *)(void *)s->context;
}

/* The software hashes cannot fail; one in hardware that does must not give a wrong transcript. */
static void must(int error)
{
    assert(error == 0);
    (void)error;
}

void neap_library_hash_start(struct hash_state *s)
{
    if (s->hash == HASH_SHA256) {
        mbedtls_sha256_init(sha256_of(s));
        must(mbedtls_sha256_starts(sha256_of(s), 0));
    } else {
        mbedtls_sha512_init(sha512_of(s));
        must(mbedtls_sha512_starts(sha512_of(s), 1));
    }
}

void neap_library_hash_update(struct hash_state *s, struct span data)
{
    if (s->hash == HASH_SHA256)
        must(mbedtls_sha256_update(sha256_of(s), data.data, data.size));
    else
        must(mbedtls_sha512_update(sha512_of(s), data.data, data.size));
}

static size_t context_size(enum crypto_hash hash)
{
    return hash == HASH_SHA256 ? sizeof(mbedtls_sha256_context) : sizeof(mbedtls_sha512_context);
}

void neap_library_hash_end(struct hash_state *s, uint8_t *out)
{
    if (s->hash == HASH_SHA256) {
        must(mbedtls_sha256_finish(sha256_of(s), out));
    } else {
        uint8_t digest[64];

        must(mbedtls_sha512_finish(sha512_of(s), digest));
        memcpy(out, digest, crypto_hash_size(HASH_SHA384));
        neap_wipe(digest, sizeof digest); /* of an HMAC it may be a secret */
    }
}

void neap_library_hash_copy(struct hash_state *to, const struct hash_state *from)
{
    memcpy(to->context, from->context, context_size(from->hash));
}

void neap_library_hash_free(struct hash_state *s)
{
    neap_wipe(s->context, context_size(s->hash));
}

#endif
