/* X25519, ChaCha20-Poly1305 and Ed25519 from libsodium. */
#include "crypto/backend.h"

#include "neap.h"

#include <sodium.h>

int neap_backend_start(void)
{
    return sodium_init() < 0 ? NEAP_ERR_CRYPTO : 0;
}

int neap_chachapoly_seal(const uint8_t key[32], const uint8_t nonce[12], struct span aad, const uint8_t *in,
                         size_t size, uint8_t *out)
{
    return crypto_aead_chacha20poly1305_ietf_encrypt(out, NULL, in, size, aad.data, aad.size, NULL, nonce,
                                                     key)
               ? NEAP_ERR_CRYPTO
               : 0;
}

int neap_chachapoly_open(const uint8_t key[32], const uint8_t nonce[12], struct span aad, const uint8_t *in,
                         size_t size, uint8_t *out)
{
    return crypto_aead_chacha20poly1305_ietf_decrypt(out, NULL, NULL, in, size, aad.data, aad.size, nonce,
                                                     key)
               ? NEAP_ERR_CRYPTO
               : 0;
}

int neap_x25519_shared(struct crypto *crypto, const uint8_t private_key[32], const uint8_t peer[32],
                       uint8_t out[32])
{
    (void)crypto;
    /* It refuses an all-zero result itself. */
    return crypto_scalarmult(out, private_key, peer) ? NEAP_ERR_CRYPTO : 0;
}

bool neap_ed25519_is_available(void)
{
    return true;
}

int neap_ed25519_expand(const uint8_t seed[32], uint8_t secret[64])
{
    uint8_t public_key[32];

    return crypto_sign_seed_keypair(public_key, secret, seed) ? NEAP_ERR_CRYPTO : 0;
}

int neap_ed25519_sign(const uint8_t secret[64], struct span message, uint8_t signature[64])
{
    return crypto_sign_detached(signature, NULL, message.data, message.size, secret) ? NEAP_ERR_CRYPTO : 0;
}

int neap_ed25519_verify(const uint8_t public_key[32], struct span message, const uint8_t signature[64])
{
    return crypto_sign_verify_detached(signature, message.data, message.size, public_key) ? NEAP_ERR_CRYPTO
                                                                                          : 0;
}
