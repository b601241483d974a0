/* Roots, pins and revocation lists, as the verification of chains sees them. */
#ifndef NEAP_CRYPTO_TRUST_H
#define NEAP_CRYPTO_TRUST_H

#include "crypto/bundle.h"
#include "crypto/revocation.h"

struct trust {
    struct pool *pool;
    struct certificate *roots; /* each owns its DER */
    size_t count, capacity;
    struct root_bundle bundle; /* roots that stay in their file */
    uint8_t (*pins)[32];
    size_t pin_count, pin_capacity;
    struct revocations *revocations; /* somebody else's; NULL: none */
    size_t digested;                 /* so many roots, pins and lists are in this: */
    uint8_t digest[32];
};

#endif
