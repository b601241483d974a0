/* The object that a config owns: generator, engine of AES-GCM and the room for one expanded key, provider. */
#include "crypto/provider.h"

#include "base/pool.h"
#include "crypto/p256/number.h"
#include "crypto/verified.h"

const struct provider *const neap_providers[] = {
#if defined(NEAP_HAVE_LIBCRYPTO) && defined(NEAP_HAVE_SODIUM)
    &neap_provider_libcrypto_and_sodium,
#endif
#ifdef NEAP_HAVE_LIBCRYPTO
    &neap_provider_libcrypto,
#endif
#ifdef HAVE_P256
    &neap_provider_p256,
#endif
    &neap_provider_mbedtls, NULL};

struct crypto *neap_crypto_new(struct pool *pool, const uint8_t seed[32])
{
    return neap_crypto_new_with(neap_providers[0], pool, seed);
}

struct crypto *neap_crypto_new_with(const struct provider *provider, struct pool *pool,
                                    const uint8_t seed[32])
{
    if (neap_backend_start())
        return NULL;
    struct crypto *crypto = neap_pool_alloc_lasting(pool, sizeof(*crypto));
    if (!crypto)
        return NULL;
    crypto->pool = neap_pool_retain(pool);
    neap_random_seed(&crypto->random, seed);
    crypto->engine = neap_engine_choose(NULL);
    crypto->costs = provider->costs;
    if (provider->start && provider->start(crypto)) {
        neap_crypto_free(crypto);
        return NULL;
    }
    crypto->provider = provider;
    return crypto;
}

void neap_crypto_free(struct crypto *crypto)
{
    if (!crypto)
        return;
    struct pool *pool = crypto->pool;
    if (crypto->provider && crypto->provider->stop)
        crypto->provider->stop(crypto);
    neap_verified_free(crypto);
    neap_pool_free_secret(pool, crypto, sizeof(*crypto));
    neap_pool_release(pool);
}

void neap_crypto_choose(struct crypto *crypto, const char *engine)
{
    crypto->engine = neap_engine_choose(engine);
}

const char *neap_crypto_engine(const struct crypto *crypto)
{
    return crypto->engine->name;
}

bool neap_crypto_is_accelerated(const struct crypto *crypto)
{
    return crypto->engine->is_accelerated;
}

struct random *neap_crypto_random(struct crypto *crypto)
{
    return &crypto->random;
}

unsigned neap_crypto_handshake_cost(const struct crypto *crypto)
{
    return crypto->costs.handshake;
}

uint64_t neap_crypto_work(const struct crypto *crypto)
{
    return crypto->work;
}
