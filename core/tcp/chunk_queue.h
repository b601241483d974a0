/* Bytes that wait, first in, first out, in chunks of the pool: for bodies, which need not lie in one piece (queue.h) and are never moved. */
#ifndef NEAP_TCP_CHUNK_QUEUE_H
#define NEAP_TCP_CHUNK_QUEUE_H

#include "base/span.h"

struct pool;
struct byte_chunk;

/* Zeroed is empty, and holds no memory then. */
struct chunk_queue {
    struct byte_chunk *first, *last;
    size_t size;
    uint32_t begin, end; /* of the bytes in the first chunk, in the last */
};

/** Copy bytes behind the others: true, or false and nothing changed when there is no memory. */
bool neap_chunk_queue_put(struct chunk_queue *q, struct pool *pool, struct span bytes);

/** Move the first bytes, `size` of them at most, to `out` (NULL: nowhere): how many. */
size_t neap_chunk_queue_take(struct chunk_queue *q, struct pool *pool, uint8_t *out, size_t size);

/** Forget all. */
void neap_chunk_queue_drop(struct chunk_queue *q, struct pool *pool);

#endif
