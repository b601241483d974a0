/* A hash map from short byte strings (connection IDs) or numbers (stream IDs) to pointers. Keyed with SipHash-1-3 so
 * that a peer who chooses the keys cannot choose the buckets. Keys are copied (at most MAP_KEY_MAX bytes). */
#ifndef NEAP_BASE_MAP_H
#define NEAP_BASE_MAP_H

#include "base/span.h"

#define MAP_KEY_MAX 20u

struct pool;
struct map_slot;

struct map {
    struct map_slot *slots; /* open addressing, a power of two; NULL while empty */
    uint32_t count, capacity, used;
    uint64_t key[2];
};

/** An empty map; `key` is 16 random bytes. */
struct map neap_map_of(const uint8_t key[16]);
/** Set key → value (replaces). 0, or NEAP_ERR_NO_MEMORY; value must not be NULL. */
int neap_map_set(struct map *m, struct pool *pool, struct span key, void *value);
void *neap_map_get(const struct map *m, struct span key);
/** Returns the value that was there, or NULL. */
void *neap_map_remove(struct map *m, struct span key);
/** Walk: start with *at = 0; returns the next value or NULL. The map must not change meanwhile except by removing the
 * value just returned. */
void *neap_map_next(const struct map *m, uint32_t *at);
void neap_map_free(struct map *m, struct pool *pool);

/** SipHash-1-3 of `data`. */
uint64_t neap_siphash(const uint64_t key[2], struct span data);

#endif
