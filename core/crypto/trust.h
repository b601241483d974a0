/* Roots and pins, as the verification of chains sees them. */
#ifndef NEAP_CRYPTO_TRUST_H
#define NEAP_CRYPTO_TRUST_H

#include "crypto/certificate.h"

struct trust {
    struct pool *pool;
    struct certificate *roots; /* each owns its DER */
    size_t count, capacity;
    uint8_t (*pins)[32];
    size_t pin_count, pin_capacity;
    size_t digested; /* so many roots and pins are in this: */
    uint8_t digest[32];
};

#endif
