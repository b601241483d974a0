/* Builds without libcrypto: SHA-256 in the CPU's instructions where it has them, else by the library. Each lives inside of struct
 * hash_state. */
#include "crypto/backend.h"

#ifndef NEAP_HAVE_LIBCRYPTO

#include "crypto/accel/accel.h"
#include "crypto/accel/sha256.h"

#ifdef ACCEL_SHA256
_Static_assert(sizeof(struct sha256) <= sizeof(((struct hash_state *)0)->context), "room for our SHA-256");

static struct sha256 *accelerated_of(struct hash_state *s)
{
    return s->hash == HASH_SHA256 && neap_sha256_is_here() ? (struct sha256 *)(void *)s->context : NULL;
}
#endif

void neap_hash_start(struct hash_state *s, enum crypto_hash hash)
{
    s->hash = hash;
#ifdef ACCEL_SHA256
    if (accelerated_of(s)) {
        neap_sha256_start(accelerated_of(s));
        return;
    }
#endif
    neap_library_hash_start(s);
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
    neap_library_hash_update(s, data);
}

void neap_hash_end(struct hash_state *s, uint8_t *out)
{
#ifdef ACCEL_SHA256
    if (accelerated_of(s)) {
        neap_sha256_end(accelerated_of(s), out);
        neap_hash_free(s);
        return;
    }
#endif
    neap_library_hash_end(s, out);
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
    neap_library_hash_copy(to, from);
}

void neap_hash_free(struct hash_state *s)
{
#ifdef ACCEL_SHA256
    if (accelerated_of(s)) {
        neap_wipe(s->context, sizeof(struct sha256));
        return;
    }
#endif
    neap_library_hash_free(s);
}

#endif
