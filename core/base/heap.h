/* A min-heap of wake times, intrusive: each member keeps its place, so that changing a time is O(log n). The keys stand in
 * the heap, four children side by side in one cache line, so that members are touched only where they move. */
#ifndef NEAP_BASE_HEAP_H
#define NEAP_BASE_HEAP_H

#include "base/pieces.h"

struct heap_node {
    uint32_t place; /* 1-based index in the heap, 0 when not in it */
};

struct heap_entry {
    uint64_t at; /* the key */
    struct heap_node *node;
};

struct heap {
    struct pieces entries;
    uint32_t count;
};

/** Put the node in, or move it, so that its key is `at`. 0 or NEAP_ERR_NO_MEMORY (then it is where it was). */
int neap_heap_set(struct heap *h, struct pool *pool, struct heap_node *node, uint64_t at);
void neap_heap_remove(struct heap *h, struct pool *pool, struct heap_node *node);
/** The entry with the least key, or NULL; it stays in. */
const struct heap_entry *neap_heap_first(const struct heap *h);
void neap_heap_free(struct heap *h, struct pool *pool);

#endif
