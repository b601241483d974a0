#include "tls/psk.h"

#include "base/list.h"
#include "base/pool.h"
#include "neap.h"

void neap_psks_start(struct psk_store *store, struct pool *pool, struct random *random)
{
    *store = (struct psk_store){.pool = pool, .map = neap_map_of(neap_random_u64(random))};
    neap_random_bytes(random, (uint8_t *)store->map_key, sizeof store->map_key);
}

void neap_psks_free(struct psk_store *store)
{
    struct map_walk walk = {0};
    struct map_node *node;

    while ((node = neap_map_walk(&store->map, &walk)) != NULL)
        neap_pool_free_secret(store->pool, LIST_OWNER(node, struct psk, node), sizeof(struct psk));
    if (store->pool)
        neap_map_free(&store->map, store->pool);
    store->first = NULL;
}

bool neap_psk_is_valid(struct span identity, struct span key)
{
    return identity.size > 0 && identity.size <= LIMIT_PSK_IDENTITY && key.size >= LIMIT_PSK_KEY_LEAST &&
           key.size <= LIMIT_PSK_KEY;
}

static struct map_node *find_node(const struct psk_store *store, struct span identity, uint64_t *hash)
{
    *hash = neap_siphash(store->map_key, identity);
    return neap_map_find(&store->map, *hash);
}

int neap_psks_add(struct psk_store *store, struct span identity, const struct psk_key *key)
{
    uint64_t hash;
    struct map_node *node = find_node(store, identity, &hash);
    struct psk *psk = node ? LIST_OWNER(node, struct psk, node) : NULL;

    if (psk && span_equal(psk_identity(psk), identity)) {
        psk->key = *key;
        return 0;
    }
    /* Two identities of one hash: nobody can bring that about who does not know map_key. */
    if (psk || store->map.count == LIMIT_PSKS)
        return NEAP_ERR_LIMIT;
    psk = neap_pool_alloc_lasting(store->pool, sizeof *psk);
    if (!psk)
        return NEAP_ERR_NO_MEMORY;
    psk->key = *key;
    psk->identity_size = (uint8_t)identity.size;
    memcpy(psk->identity, identity.data, identity.size);
    neap_map_add(&store->map, store->pool, &psk->node, hash);
    if (!store->first)
        store->first = psk;
    return 0;
}

const struct psk *neap_psks_find(const struct psk_store *store, struct span identity)
{
    uint64_t hash;
    struct map_node *node = find_node(store, identity, &hash);
    const struct psk *psk = node ? LIST_OWNER(node, struct psk, node) : NULL;

    return psk && span_equal(psk_identity(psk), identity) ? psk : NULL;
}

void neap_psk_binding(const struct psk_key *key, struct span identity, uint8_t out[32])
{
    uint8_t secret[CRYPTO_MAX_HASH], name[32];

    neap_hash(HASH_SHA256, identity, name);
    neap_hkdf_extract(HASH_SHA256, span_of(name, sizeof name), span_of(key->bytes, key->size), secret);
    neap_hkdf_expand_label(HASH_SHA256, secret, "neap psk session", (struct span){0}, out, 32);
    neap_wipe(secret, sizeof secret);
}
