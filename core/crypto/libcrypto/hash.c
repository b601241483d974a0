/* SHA-256 and SHA-384 in contexts that live inside of struct hash_state: libcrypto has the CPU's instructions for them. Only
 * its older functions take contexts that are copied like any other memory. */
#define OPENSSL_SUPPRESS_DEPRECATED

#include "crypto/crypto.h"

#include <assert.h>
#include <openssl/sha.h>

_Static_assert(sizeof(SHA256_CTX) <= sizeof(((struct hash_state *)0)->context), "room for SHA-256");
_Static_assert(sizeof(SHA512_CTX) <= sizeof(((struct hash_state *)0)->context), "room for SHA-384");

static SHA256_CTX *sha256_of(struct hash_state *s)
{
    return (SHA256_CTX *)(void *)s->context;
}

static SHA512_CTX *sha512_of(struct hash_state *s)
{
    return (SHA512_CTX *)(void *)s->context;
}

/* They fail only for a context of another hash. */
static void must(int ok)
{
    assert(ok == 1);
    (void)ok;
}

void neap_hash_start(struct hash_state *s, enum crypto_hash hash)
{
    s->hash = hash;
    if (hash == HASH_SHA256)
        must(SHA256_Init(sha256_of(s)));
    else
        must(SHA384_Init(sha512_of(s)));
}

void neap_hash_update(struct hash_state *s, struct span data)
{
    if (data.size == 0)
        return;
    if (s->hash == HASH_SHA256)
        must(SHA256_Update(sha256_of(s), data.data, data.size));
    else
        must(SHA384_Update(sha512_of(s), data.data, data.size));
}

static size_t context_size(enum crypto_hash hash)
{
    return hash == HASH_SHA256 ? sizeof(SHA256_CTX) : sizeof(SHA512_CTX);
}

void neap_hash_end(struct hash_state *s, uint8_t *out)
{
    if (s->hash == HASH_SHA256)
        must(SHA256_Final(out, sha256_of(s)));
    else
        must(SHA384_Final(out, sha512_of(s)));
    neap_hash_free(s);
}

void neap_hash_copy(struct hash_state *to, const struct hash_state *from)
{
    to->hash = from->hash;
    memcpy(to->context, from->context, context_size(from->hash));
}

void neap_hash_free(struct hash_state *s)
{
    neap_wipe(s->context, context_size(s->hash));
}
