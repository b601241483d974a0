#include "crypto/verified.h"

#include "base/limits.h"
#include "base/pool.h"
#include "base/writer.h"

struct verified {
    size_t count, next;
    struct verified_pair pairs[LIMIT_VERIFIED_SIGNATURES];
};

/* All of the certificate, its algorithm and signature included, behind the size of the key: no two pairs are written the same
 * way. */
struct verified_pair neap_verified_pair(const struct key_info *issuer, const struct certificate *certificate)
{
    struct verified_pair pair;
    struct hash_state state;
    uint8_t size[4];
    struct writer w = writer_of(size, sizeof(size));

    write_u32(&w, (uint32_t)issuer->spki.size);
    neap_hash_start(&state, HASH_SHA256);
    neap_hash_update(&state, span_of(size, sizeof(size)));
    neap_hash_update(&state, issuer->spki);
    neap_hash_update(&state, certificate->der);
    neap_hash_peek(&state, pair.digest);
    neap_hash_free(&state);
    return pair;
}

bool neap_verified_has(const struct crypto *crypto, const struct verified_pair *pair)
{
    const struct verified *verified = crypto->verified;

    for (size_t i = 0; verified && i < verified->count; i++) {
        if (memcmp(verified->pairs[i].digest, pair->digest, sizeof(pair->digest)) == 0)
            return true;
    }
    return false;
}

void neap_verified_add(struct crypto *crypto, const struct verified_pair *pair)
{
    struct verified *verified = crypto->verified;

    if (!verified)
        verified = crypto->verified = neap_pool_alloc_lasting(crypto->pool, sizeof(*verified));
    if (!verified)
        return;
    verified->pairs[verified->next] = *pair;
    verified->next = (verified->next + 1) % LIMIT_VERIFIED_SIGNATURES;
    if (verified->count < LIMIT_VERIFIED_SIGNATURES)
        verified->count++;
}

void neap_verified_free(struct crypto *crypto)
{
    neap_pool_free(crypto->pool, crypto->verified, sizeof(*crypto->verified));
    crypto->verified = NULL;
}
