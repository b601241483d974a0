/* Builds without libsodium: X25519 and ChaCha20-Poly1305 by PSA. */
#include "crypto/psa/psa.h"

#ifndef NEAP_HAVE_SODIUM

#include "neap.h"

int neap_backend_start(void)
{
    return psa_crypto_init() == PSA_SUCCESS ? 0 : NEAP_ERR_CRYPTO;
}

static psa_status_t import_chacha(const uint8_t bytes[32], psa_key_usage_t usage, psa_key_id_t *key)
{
    return neap_psa_import(PSA_KEY_TYPE_CHACHA20, PSA_ALG_CHACHA20_POLY1305, usage, span_of(bytes, 32), key);
}

int neap_chachapoly_seal(const uint8_t key[32], const uint8_t nonce[12], struct span aad, const uint8_t *in,
                         size_t size, uint8_t *out)
{
    psa_key_id_t imported;
    size_t sealed;
    psa_status_t status = import_chacha(key, PSA_KEY_USAGE_ENCRYPT, &imported);

    if (status == PSA_SUCCESS)
        status = psa_aead_encrypt(imported, PSA_ALG_CHACHA20_POLY1305, nonce, 12, aad.data, aad.size, in,
                                  size, out, size + CRYPTO_TAG, &sealed);
    psa_destroy_key(imported);
    return status == PSA_SUCCESS ? 0 : NEAP_ERR_CRYPTO;
}

int neap_chachapoly_open(const uint8_t key[32], const uint8_t nonce[12], struct span aad, const uint8_t *in,
                         size_t size, uint8_t *out)
{
    psa_key_id_t imported;
    size_t opened;

    if (size < CRYPTO_TAG)
        return NEAP_ERR_CRYPTO;
    psa_status_t status = import_chacha(key, PSA_KEY_USAGE_DECRYPT, &imported);
    if (status == PSA_SUCCESS)
        status = psa_aead_decrypt(imported, PSA_ALG_CHACHA20_POLY1305, nonce, 12, aad.data, aad.size, in,
                                  size, out, size - CRYPTO_TAG, &opened);
    psa_destroy_key(imported);
    return status == PSA_SUCCESS ? 0 : NEAP_ERR_CRYPTO;
}

int neap_x25519_public(struct crypto *crypto, const uint8_t private_key[32], uint8_t out[32])
{
    (void)crypto;
    return neap_psa_public(PSA_PAIR_X25519, span_of(private_key, 32), out, 32);
}

int neap_x25519_shared(struct crypto *crypto, const uint8_t private_key[32], const uint8_t peer[32],
                       uint8_t out[32])
{
    static const uint8_t zero[32];
    int error = neap_psa_agree(PSA_PAIR_X25519, span_of(private_key, 32), span_of(peer, 32), out);

    (void)crypto;
    return error || neap_equal_constant_time(out, zero, 32) ? NEAP_ERR_CRYPTO : 0;
}

#endif
