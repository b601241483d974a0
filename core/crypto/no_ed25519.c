/* Builds without libsodium have no Ed25519: Mbed TLS does not. */
#include "crypto/backend.h"

#ifndef NEAP_HAVE_SODIUM

#include "neap.h"

bool neap_ed25519_is_available(void)
{
    return false;
}

int neap_ed25519_expand(const uint8_t seed[32], uint8_t secret[64])
{
    (void)seed;
    (void)secret;
    return NEAP_ERR_UNSUPPORTED;
}

int neap_ed25519_sign(const uint8_t secret[64], struct span message, uint8_t signature[64])
{
    (void)secret;
    (void)message;
    (void)signature;
    return NEAP_ERR_UNSUPPORTED;
}

int neap_ed25519_verify(const uint8_t public_key[32], struct span message, const uint8_t signature[64])
{
    (void)public_key;
    (void)message;
    (void)signature;
    return NEAP_ERR_UNSUPPORTED;
}

#endif
