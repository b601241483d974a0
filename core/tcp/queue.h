/* Bytes in order, put in behind and taken from the front, in one piece of the pool's memory that is given back when it is empty. Moving
 * them costs no more than what was taken since the last time, so that a byte costs the same however it comes and goes. */
#ifndef NEAP_TCP_QUEUE_H
#define NEAP_TCP_QUEUE_H

#include "base/span.h"

struct pool;

struct byte_queue {
    uint8_t *room;
    size_t at, end, capacity;
};

static inline size_t queue_size(const struct byte_queue *q)
{
    return q->end - q->at;
}

/* What is in it, until the next call. */
static inline struct span queue_view(const struct byte_queue *q)
{
    return q->room ? span_of(q->room + q->at, queue_size(q)) : span_of(NULL, 0);
}

/* Take `size` bytes off, at most queue_size. */
static inline void queue_consume(struct byte_queue *q, size_t size)
{
    q->at += size;
}

/** Room for `size` more bytes behind those that are there, which may move; NULL without memory. */
uint8_t *neap_queue_reserve(struct byte_queue *q, struct pool *pool, size_t size);

/** So many bytes of that room were filled. */
static inline void queue_commit(struct byte_queue *q, size_t size)
{
    q->end += size;
}

/** Put bytes in: false without memory, and nothing changed. */
bool neap_queue_put(struct byte_queue *q, struct pool *pool, struct span bytes);

/** Give the memory back if nothing is in it. */
void neap_queue_tidy(struct byte_queue *q, struct pool *pool);

/** Drop all of it. */
void neap_queue_free(struct byte_queue *q, struct pool *pool);

#endif
