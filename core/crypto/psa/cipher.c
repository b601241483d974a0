/* The engine that is everywhere: AES-GCM and the AES header mask by PSA. A key that is held would take a place of the
 * library: its expanded form is the key itself, and each run imports it. */
#include "crypto/psa/psa.h"

#include "neap.h"

struct expanded {
    size_t size; /* of each */
    uint8_t key[CRYPTO_MAX_KEY], hp[CRYPTO_MAX_KEY];
};
_Static_assert(sizeof(struct expanded) <= EXPANDED_KEY_ROOM, "the room of an expanded key");

static void cipher_clear(void *expanded)
{
    neap_wipe(expanded, sizeof(struct expanded));
}

static int cipher_expand(void *expanded, const struct packet_key *key)
{
    struct expanded *e = expanded;

    e->size = neap_suite_key_size(key->suite);
    memcpy(e->key, key->key, e->size);
    memcpy(e->hp, key->hp, e->size);
    return 0;
}

static int cipher_seal_run(void *expanded, const struct aead_item *items, size_t count)
{
    const struct expanded *e = expanded;
    psa_key_id_t key;
    psa_status_t status =
        neap_psa_import(PSA_KEY_TYPE_AES, PSA_ALG_GCM, PSA_KEY_USAGE_ENCRYPT, span_of(e->key, e->size), &key);

    for (const struct aead_item *at = items; status == PSA_SUCCESS && at < items + count; at++) {
        size_t size;

        status = psa_aead_encrypt(key, PSA_ALG_GCM, at->nonce, CRYPTO_IV, at->aad.data, at->aad.size, at->in,
                                  at->size, at->out, at->size + CRYPTO_TAG, &size);
    }
    psa_destroy_key(key);
    return status == PSA_SUCCESS ? 0 : NEAP_ERR_CRYPTO;
}

static int cipher_open(void *expanded, const struct aead_item *item)
{
    const struct expanded *e = expanded;
    psa_key_id_t key;
    size_t size;
    psa_status_t status =
        neap_psa_import(PSA_KEY_TYPE_AES, PSA_ALG_GCM, PSA_KEY_USAGE_DECRYPT, span_of(e->key, e->size), &key);

    if (status == PSA_SUCCESS)
        status = psa_aead_decrypt(key, PSA_ALG_GCM, item->nonce, CRYPTO_IV, item->aad.data, item->aad.size,
                                  item->in, item->size, item->out, item->size - CRYPTO_TAG, &size);
    psa_destroy_key(key);
    return status == PSA_SUCCESS ? 0 : NEAP_ERR_CRYPTO;
}

static int cipher_mask(void *expanded, const uint8_t *const *samples, size_t count,
                       uint8_t (*masks)[MASK_BLOCK])
{
    const struct expanded *e = expanded;
    psa_key_id_t key;
    psa_status_t status = neap_psa_import(PSA_KEY_TYPE_AES, PSA_ALG_ECB_NO_PADDING, PSA_KEY_USAGE_ENCRYPT,
                                          span_of(e->hp, e->size), &key);

    for (size_t i = 0; status == PSA_SUCCESS && i < count; i++) {
        size_t size;

        status = psa_cipher_encrypt(key, PSA_ALG_ECB_NO_PADDING, samples[i], MASK_BLOCK, masks[i], MASK_BLOCK,
                                    &size);
    }
    psa_destroy_key(key);
    return status == PSA_SUCCESS ? 0 : NEAP_ERR_CRYPTO;
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
    psa_key_usage_t usage = decrypts ? PSA_KEY_USAGE_DECRYPT : PSA_KEY_USAGE_ENCRYPT;
    psa_key_id_t id;
    size_t size;
    uint8_t block[MASK_BLOCK];
    psa_status_t status =
        neap_psa_import(PSA_KEY_TYPE_AES, PSA_ALG_ECB_NO_PADDING, usage, span_of(key, 16), &id);

    memcpy(block, in, sizeof block);
    if (status == PSA_SUCCESS)
        status =
            decrypts
                ? psa_cipher_decrypt(id, PSA_ALG_ECB_NO_PADDING, block, sizeof block, out, MASK_BLOCK, &size)
                : psa_cipher_encrypt(id, PSA_ALG_ECB_NO_PADDING, block, sizeof block, out, MASK_BLOCK, &size);
    psa_destroy_key(id);
    return status == PSA_SUCCESS ? 0 : NEAP_ERR_CRYPTO;
}
