/* AES-GCM and the AES header mask, with a small cache of expanded contexts: connections keep raw keys only, and
 * consecutive packets of one key do not expand it again. ChaCha20 needs no expansion and no cache. */
#include "crypto/backend.h"

#include "base/map.h"
#include "base/pool.h"
#include "neap.h"

#include <mbedtls/aes.h>
#include <mbedtls/gcm.h>

#define CACHE_ENTRIES 32u
#define CACHE_HINTS 16u /* a power of two */

/* An entry is found by a keyed hash, which says nothing about the key to who measures time, and then compared in
 * full. */
struct cipher_entry {
    struct packet_key key; /* iv is not looked at */
    uint64_t tag;
    uint64_t used_at; /* 0: free */
    mbedtls_gcm_context gcm;
    mbedtls_aes_context hp;
};

struct cipher_cache {
    uint64_t tag_key[2];
    uint64_t clock;
    struct cipher_entry entries[CACHE_ENTRIES];
    uint8_t hints[CACHE_HINTS]; /* by a key's address: where it was found last */
};

struct cipher_cache *neap_ciphers_new(struct pool *pool, const uint8_t tag_key[16])
{
    struct cipher_cache *cache = neap_pool_alloc(pool, sizeof(*cache));

    if (cache)
        memcpy(cache->tag_key, tag_key, sizeof(cache->tag_key));
    return cache;
}

static void entry_drop(struct cipher_entry *entry)
{
    if (entry->used_at) {
        mbedtls_gcm_free(&entry->gcm);
        mbedtls_aes_free(&entry->hp);
    }
    neap_wipe(entry, sizeof(*entry));
}

void neap_ciphers_free(struct cipher_cache *cache, struct pool *pool)
{
    if (!cache)
        return;
    for (size_t i = 0; i < CACHE_ENTRIES; i++)
        entry_drop(&cache->entries[i]);
    neap_pool_free_secret(pool, cache, sizeof(*cache));
}

static int gcm_expand(mbedtls_gcm_context *gcm, enum crypto_suite suite, const uint8_t *key)
{
    mbedtls_gcm_init(gcm);
    return mbedtls_gcm_setkey(gcm, MBEDTLS_CIPHER_ID_AES, key,
                              (unsigned int)(8 * neap_suite_key_size(suite)));
}

static uint64_t tag_of(const struct cipher_cache *cache, const struct packet_key *key)
{
    uint8_t bytes[2 * CRYPTO_MAX_KEY];

    memcpy(bytes, key->key, CRYPTO_MAX_KEY);
    memcpy(bytes + CRYPTO_MAX_KEY, key->hp, CRYPTO_MAX_KEY);
    uint64_t tag = neap_siphash(cache->tag_key, span_of(bytes, sizeof(bytes)));
    neap_wipe(bytes, sizeof(bytes));
    return tag;
}

static bool entry_is(const struct cipher_entry *entry, const struct packet_key *key)
{
    return entry->key.suite == key->suite &&
           neap_equal_constant_time(entry->key.key, key->key, CRYPTO_MAX_KEY) &&
           neap_equal_constant_time(entry->key.hp, key->hp, CRYPTO_MAX_KEY);
}

static struct cipher_entry *entry_fill(struct cipher_entry *entry, const struct packet_key *key, uint64_t tag)
{
    unsigned int bits = (unsigned int)(8 * neap_suite_key_size(key->suite));

    entry_drop(entry);
    entry->key = *key;
    entry->tag = tag;
    entry->used_at = 1;
    mbedtls_aes_init(&entry->hp);
    if (gcm_expand(&entry->gcm, key->suite, key->key) || mbedtls_aes_setkey_enc(&entry->hp, key->hp, bits)) {
        entry_drop(entry);
        return NULL;
    }
    return entry;
}

static struct cipher_entry *entry_find(struct cipher_cache *cache, const struct packet_key *key, uint64_t tag)
{
    for (struct cipher_entry *at = cache->entries; at < cache->entries + CACHE_ENTRIES; at++)
        if (at->used_at && at->tag == tag && entry_is(at, key))
            return at;
    return NULL;
}

/* The contexts of an AES key, expanded into the place of the least recently used when they are not there. */
static struct cipher_entry *entry_search(struct cipher_cache *cache, const struct packet_key *key)
{
    uint64_t tag = tag_of(cache, key);
    struct cipher_entry *entry = entry_find(cache, key, tag), *oldest = cache->entries;

    if (entry)
        return entry;
    for (struct cipher_entry *at = cache->entries; at < cache->entries + CACHE_ENTRIES; at++)
        if (at->used_at < oldest->used_at)
            oldest = at;
    return entry_fill(oldest, key, tag);
}

void neap_ciphers_forget(struct cipher_cache *cache, const struct packet_key *key)
{
    struct cipher_entry *entry = entry_find(cache, key, tag_of(cache, key));

    if (entry)
        entry_drop(entry);
}

size_t neap_ciphers_count(const struct cipher_cache *cache)
{
    size_t count = 0;

    for (size_t i = 0; i < CACHE_ENTRIES; i++)
        count += cache->entries[i].used_at != 0;
    return count;
}

/* A connection's keys stay where they are: mostly the entry is the one that this address had last. What the address
 * says is only a guess, the keys are compared in full. */
static struct cipher_entry *entry_of(struct cipher_cache *cache, const struct packet_key *key)
{
    uint8_t *hint = &cache->hints[(uintptr_t)key / sizeof(*key) % CACHE_HINTS];
    struct cipher_entry *entry = &cache->entries[*hint];

    if (!entry->used_at || !entry_is(entry, key))
        entry = entry_search(cache, key);
    if (entry) {
        *hint = (uint8_t)(entry - cache->entries);
        entry->used_at = ++cache->clock;
    }
    return entry;
}

static int gcm_seal(mbedtls_gcm_context *gcm, const uint8_t nonce[12], struct span aad, const uint8_t *in,
                    size_t size, uint8_t *out)
{
    int error = mbedtls_gcm_crypt_and_tag(gcm, MBEDTLS_GCM_ENCRYPT, size, nonce, CRYPTO_IV, aad.data,
                                          aad.size, in, out, CRYPTO_TAG, out + size);
    return error ? NEAP_ERR_CRYPTO : 0;
}

static int gcm_open(mbedtls_gcm_context *gcm, const uint8_t nonce[12], struct span aad, const uint8_t *in,
                    size_t size, uint8_t *out)
{
    size_t plain = size - CRYPTO_TAG;
    int error = mbedtls_gcm_auth_decrypt(gcm, plain, nonce, CRYPTO_IV, aad.data, aad.size, in + plain,
                                         CRYPTO_TAG, in, out);
    return error ? NEAP_ERR_CRYPTO : 0;
}

int neap_cipher_seal(struct cipher_cache *cache, const struct packet_key *key, const uint8_t nonce[12],
                     struct span aad, const uint8_t *in, size_t size, uint8_t *out)
{
    if (key->suite == SUITE_CHACHA20_POLY1305_SHA256)
        return neap_chachapoly_seal(key->key, nonce, aad, in, size, out);
    struct cipher_entry *entry = entry_of(cache, key);
    return entry ? gcm_seal(&entry->gcm, nonce, aad, in, size, out) : NEAP_ERR_CRYPTO;
}

int neap_cipher_open(struct cipher_cache *cache, const struct packet_key *key, const uint8_t nonce[12],
                     struct span aad, const uint8_t *in, size_t size, uint8_t *out)
{
    if (size < CRYPTO_TAG)
        return NEAP_ERR_CRYPTO;
    if (key->suite == SUITE_CHACHA20_POLY1305_SHA256)
        return neap_chachapoly_open(key->key, nonce, aad, in, size, out);
    struct cipher_entry *entry = entry_of(cache, key);
    return entry ? gcm_open(&entry->gcm, nonce, aad, in, size, out) : NEAP_ERR_CRYPTO;
}

int neap_cipher_mask(struct cipher_cache *cache, const struct packet_key *key, const uint8_t sample[16],
                     uint8_t mask[5])
{
    uint8_t block[64];

    if (key->suite == SUITE_CHACHA20_POLY1305_SHA256) {
        uint32_t counter = (uint32_t)sample[0] | (uint32_t)sample[1] << 8 | (uint32_t)sample[2] << 16 |
                           (uint32_t)sample[3] << 24;
        neap_chacha20_block(key->hp, counter, sample + 4, block);
    } else {
        struct cipher_entry *entry = entry_of(cache, key);
        if (!entry || mbedtls_aes_crypt_ecb(&entry->hp, MBEDTLS_AES_ENCRYPT, sample, block))
            return NEAP_ERR_CRYPTO;
    }
    memcpy(mask, block, 5);
    return 0;
}

int neap_aead_seal(struct crypto *crypto, enum crypto_suite suite, const uint8_t *key, const uint8_t iv[12],
                   struct span aad, const uint8_t *in, size_t size, uint8_t *out)
{
    mbedtls_gcm_context gcm;

    (void)crypto;
    if (suite == SUITE_CHACHA20_POLY1305_SHA256)
        return neap_chachapoly_seal(key, iv, aad, in, size, out);
    int error = gcm_expand(&gcm, suite, key) ? NEAP_ERR_CRYPTO : gcm_seal(&gcm, iv, aad, in, size, out);
    mbedtls_gcm_free(&gcm);
    return error;
}

int neap_aead_open(struct crypto *crypto, enum crypto_suite suite, const uint8_t *key, const uint8_t iv[12],
                   struct span aad, const uint8_t *in, size_t size, uint8_t *out)
{
    mbedtls_gcm_context gcm;

    (void)crypto;
    if (size < CRYPTO_TAG)
        return NEAP_ERR_CRYPTO;
    if (suite == SUITE_CHACHA20_POLY1305_SHA256)
        return neap_chachapoly_open(key, iv, aad, in, size, out);
    int error = gcm_expand(&gcm, suite, key) ? NEAP_ERR_CRYPTO : gcm_open(&gcm, iv, aad, in, size, out);
    mbedtls_gcm_free(&gcm);
    return error;
}
