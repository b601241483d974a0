/* External pre-shared keys (RFC 8446 §2.2, RFC 9257): a key that both sides were given beforehand, and the name it has. */
#ifndef NEAP_TLS_PSK_H
#define NEAP_TLS_PSK_H

#include "base/limits.h"
#include "base/map.h"
#include "crypto/crypto.h"

struct psk_key {
    enum crypto_hash hash; /* that it was made for (RFC 8446 §4.2.11) */
    uint8_t size;
    uint8_t bytes[LIMIT_PSK_KEY];
};

struct psk {
    struct map_node node; /* by the hash of the identity */
    struct psk_key key;
    uint8_t identity_size;
    uint8_t identity[LIMIT_PSK_IDENTITY];
};

/* Those of a config: a server takes all of them, a client offers the first. */
struct psk_store {
    struct pool *pool;
    struct map map;
    uint64_t map_key[2];
    const struct psk *first; /* that was added; NULL: there is none */
};

void neap_psks_start(struct psk_store *store, struct pool *pool, struct random *random);
void neap_psks_free(struct psk_store *store);
/** Whether an identity and a key have sizes that are taken. */
bool neap_psk_is_valid(struct span identity, struct span key);
/** Add a valid one; one of the same identity gets the new key. 0, NEAP_ERR_LIMIT, NEAP_ERR_NO_MEMORY. */
int neap_psks_add(struct psk_store *store, struct span identity, const struct psk_key *key);
/** The one of this identity, or NULL. */
const struct psk *neap_psks_find(const struct psk_store *store, struct span identity);
/** The one that a client offers; NULL: there is none. `store` may be NULL. */
static inline const struct psk *neap_psks_first(const struct psk_store *store)
{
    return store ? store->first : NULL;
}
static inline struct span psk_identity(const struct psk *psk)
{
    return span_of(psk->identity, psk->identity_size);
}
/** What sessions that come of a key are bound to: it says nothing of the key, and is another for another key or identity. */
void neap_psk_binding(const struct psk_key *key, struct span identity, uint8_t out[32]);

#endif
