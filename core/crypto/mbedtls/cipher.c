/* The engine that is everywhere: AES-GCM and the AES header mask of Mbed TLS. */
#include "crypto/engine.h"

#include "neap.h"

#include <mbedtls/aes.h>
#include <mbedtls/gcm.h>

struct expanded {
    mbedtls_gcm_context gcm;
    mbedtls_aes_context hp;
};
_Static_assert(sizeof(struct expanded) <= EXPANDED_KEY_ROOM, "the room of an expanded key");

static void cipher_clear(void *expanded)
{
    struct expanded *e = expanded;

    mbedtls_gcm_free(&e->gcm);
    mbedtls_aes_free(&e->hp);
    neap_wipe(e, sizeof(*e));
}

static int cipher_expand(void *expanded, const struct packet_key *key)
{
    struct expanded *e = expanded;
    unsigned int bits = (unsigned int)(8 * neap_suite_key_size(key->suite));

    mbedtls_gcm_init(&e->gcm);
    mbedtls_aes_init(&e->hp);
    if (!mbedtls_gcm_setkey(&e->gcm, MBEDTLS_CIPHER_ID_AES, key->key, bits) &&
        !mbedtls_aes_setkey_enc(&e->hp, key->hp, bits))
        return 0;
    cipher_clear(e);
    return NEAP_ERR_CRYPTO;
}

static int cipher_seal_run(void *expanded, const struct aead_item *items, size_t count)
{
    struct expanded *e = expanded;

    for (const struct aead_item *at = items; at < items + count; at++)
        if (mbedtls_gcm_crypt_and_tag(&e->gcm, MBEDTLS_GCM_ENCRYPT, at->size, at->nonce, CRYPTO_IV,
                                      at->aad.data, at->aad.size, at->in, at->out, CRYPTO_TAG,
                                      at->out + at->size))
            return NEAP_ERR_CRYPTO;
    return 0;
}

static int cipher_open(void *expanded, const struct aead_item *item)
{
    struct expanded *e = expanded;
    size_t size = item->size - CRYPTO_TAG;

    return mbedtls_gcm_auth_decrypt(&e->gcm, size, item->nonce, CRYPTO_IV, item->aad.data, item->aad.size,
                                    item->in + size, CRYPTO_TAG, item->in, item->out)
               ? NEAP_ERR_CRYPTO
               : 0;
}

static int cipher_mask(void *expanded, const uint8_t *const *samples, size_t count,
                       uint8_t (*masks)[MASK_BLOCK])
{
    struct expanded *e = expanded;

    for (size_t i = 0; i < count; i++)
        if (mbedtls_aes_crypt_ecb(&e->hp, MBEDTLS_AES_ENCRYPT, samples[i], masks[i]))
            return NEAP_ERR_CRYPTO;
    return 0;
}

const struct engine neap_engine_mbedtls = {
    .name = "mbedtls",
    .expanded_size = sizeof(struct expanded),
    .expand = cipher_expand,
    .seal_run = cipher_seal_run,
    .open = cipher_open,
    .mask = cipher_mask,
    .clear = cipher_clear,
};

int neap_aes128_block(const uint8_t key[16], bool decrypts, const uint8_t in[16], uint8_t out[16])
{
    mbedtls_aes_context aes;

    mbedtls_aes_init(&aes);
    int failed = decrypts ? mbedtls_aes_setkey_dec(&aes, key, 128) : mbedtls_aes_setkey_enc(&aes, key, 128);
    if (!failed)
        failed = mbedtls_aes_crypt_ecb(&aes, decrypts ? MBEDTLS_AES_DECRYPT : MBEDTLS_AES_ENCRYPT, in, out);
    mbedtls_aes_free(&aes);
    return failed ? NEAP_ERR_CRYPTO : 0;
}
