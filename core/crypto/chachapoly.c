/* ChaCha20-Poly1305 as an engine. Its keys need no expansion: they are copied. */
#include "crypto/backend.h"
#include "crypto/engine.h"

#include "neap.h"

static int chachapoly_expand(void *expanded, const struct packet_key *key)
{
    memcpy(expanded, key, sizeof(*key));
    return 0;
}

static int chachapoly_seal_run(void *expanded, const struct aead_item *items, size_t count)
{
    const struct packet_key *key = expanded;
    int error = 0;

    for (const struct aead_item *at = items; at < items + count && !error; at++)
        error = neap_chachapoly_seal(key->key, at->nonce, at->aad, at->in, at->size, at->out);
    return error;
}

static int chachapoly_open(void *expanded, const struct aead_item *item)
{
    const struct packet_key *key = expanded;

    return neap_chachapoly_open(key->key, item->nonce, item->aad, item->in, item->size, item->out);
}

static int chachapoly_mask(void *expanded, const uint8_t *const *samples, size_t count,
                           uint8_t (*masks)[MASK_BLOCK])
{
    const struct packet_key *key = expanded;
    uint8_t block[64];

    for (size_t i = 0; i < count; i++) {
        const uint8_t *s = samples[i];
        uint32_t counter = (uint32_t)s[0] | (uint32_t)s[1] << 8 | (uint32_t)s[2] << 16 | (uint32_t)s[3] << 24;
        neap_chacha20_block(key->hp, counter, s + 4, block);
        memcpy(masks[i], block, MASK_BLOCK);
    }
    return 0;
}

static void chachapoly_clear(void *expanded)
{
    neap_wipe(expanded, sizeof(struct packet_key));
}

const struct engine neap_engine_chachapoly = {
    .name = "chacha20-poly1305",
    .expanded_size = sizeof(struct packet_key),
    .expand = chachapoly_expand,
    .seal_run = chachapoly_seal_run,
    .open = chachapoly_open,
    .mask = chachapoly_mask,
    .clear = chachapoly_clear,
};
