/* The generator in the form in which Mbed TLS calls it. */
#ifndef NEAP_CRYPTO_MBEDTLS_RANDOM_H
#define NEAP_CRYPTO_MBEDTLS_RANDOM_H

#include "crypto/backend.h"

/* `context` is the struct crypto. */
static inline int mbed_random(void *context, unsigned char *out, size_t size)
{
    neap_random_bytes(neap_crypto_random(context), out, size);
    return 0;
}

#endif
