/* The object that a config owns: generator and cipher cache. */
#include "crypto/backend.h"

#include "base/pool.h"

struct crypto *neap_crypto_new(struct pool *pool, const uint8_t seed[32])
{
    uint8_t tag_key[16];

    if (neap_backend_start())
        return NULL;
    struct crypto *crypto = neap_pool_alloc(pool, sizeof(*crypto));
    if (!crypto)
        return NULL;
    crypto->pool = neap_pool_retain(pool);
    neap_random_seed(&crypto->random, seed);
    neap_random_bytes(&crypto->random, tag_key, sizeof(tag_key));
    crypto->ciphers = neap_ciphers_new(pool, tag_key);
    if (!crypto->ciphers) {
        neap_crypto_free(crypto);
        return NULL;
    }
    return crypto;
}

void neap_crypto_free(struct crypto *crypto)
{
    if (!crypto)
        return;
    struct pool *pool = crypto->pool;
    neap_ciphers_free(crypto->ciphers, pool);
    neap_pool_free_secret(pool, crypto, sizeof(*crypto));
    neap_pool_release(pool);
}

struct random *neap_crypto_random(struct crypto *crypto)
{
    return &crypto->random;
}
