/* A hash map from 64-bit numbers to what they are a part of. Intrusive and chained; it grows and shrinks by one chain at a
 * time (linear hashing), so that no call does more than a bounded piece of work, whatever its size, and adding never
 * fails: without memory the chains are longer. Byte strings, as connection IDs, go in under their SipHash; numbers that a
 * peer chooses are spread by a secret multiplier. */
#ifndef NEAP_BASE_MAP_H
#define NEAP_BASE_MAP_H

#include "base/pieces.h"
#include "base/span.h"

struct map_node {
    struct map_node *next; /* in its chain */
    uint64_t key;
};

struct map {
    struct map_node *few; /* the only chain while there are none below */
    struct pieces chains; /* struct map_node * each */
    uint32_t chain_count; /* 0, or 8 and more */
    uint32_t count;
    uint64_t multiplier;
};

/** An empty map; `secret` is random. */
struct map neap_map_of(uint64_t secret);
/** Add a node under a key that is not there yet. */
void neap_map_add(struct map *m, struct pool *pool, struct map_node *node, uint64_t key);
/** The node with this key, or NULL. */
struct map_node *neap_map_find(const struct map *m, uint64_t key);
/** Fetch what neap_map_prefetch(m, key) reads, and with that what neap_map_first(m, key) reads. Nothing changes. */
void neap_map_prefetch_piece(const struct map *m, uint64_t key);
void neap_map_prefetch(const struct map *m, uint64_t key);
/** The first node of the chain that the one with this key is in, if any is: with node->next, for who fetches each before it is
 * read. */
const struct map_node *neap_map_first(const struct map *m, uint64_t key);
/** Take out a node that is in the map. */
void neap_map_remove(struct map *m, struct pool *pool, struct map_node *node);
/** Forget all nodes. */
void neap_map_free(struct map *m, struct pool *pool);

struct map_walk {
    struct map_node *next;
    uint32_t chain;
};
/** A walk over all nodes, in no order: begins zeroed, ends with NULL. The map must not change meanwhile, but the memory of
 * a node that was returned may be given back if that of all is. */
struct map_node *neap_map_walk(const struct map *m, struct map_walk *walk);

/** SipHash-1-3 of `data`: a key for the map that whoever chooses the bytes does not know. */
uint64_t neap_siphash(const uint64_t key[2], struct span data);

#endif
