/* Chunks in a row: the first is given back when its last byte was taken, so that an empty queue holds none. */
#include "tcp/chunk_queue.h"

#include "base/pool.h"

struct byte_chunk {
    struct byte_chunk *next;
    uint8_t bytes[CHUNK_SIZE - sizeof(struct byte_chunk *)];
};

#define CHUNK_BYTES (sizeof(((struct byte_chunk *)0)->bytes))

static size_t room_in_last(const struct chunk_queue *q)
{
    return q->last ? CHUNK_BYTES - q->end : 0;
}

/* As many chunks as `size` bytes need, in a row: the first, or NULL. */
static struct byte_chunk *new_chunks(struct pool *pool, size_t size)
{
    struct byte_chunk *first = NULL;

    for (size_t held = 0; held < size; held += CHUNK_BYTES) {
        struct byte_chunk *chunk = neap_pool_alloc_unset(pool, sizeof(*chunk));

        if (!chunk) {
            while (first) {
                chunk = first->next;
                neap_pool_free(pool, first, sizeof(*first));
                first = chunk;
            }
            return NULL;
        }
        chunk->next = first;
        first = chunk;
    }
    return first;
}

bool neap_chunk_queue_put(struct chunk_queue *q, struct pool *pool, struct span bytes)
{
    size_t here = room_in_last(q) < bytes.size ? room_in_last(q) : bytes.size;
    struct byte_chunk *more = NULL;

    if (bytes.size > here && !(more = new_chunks(pool, bytes.size - here)))
        return false;
    q->size += bytes.size;
    if (here > 0)
        memcpy(q->last->bytes + q->end, bytes.data, here);
    q->end += (uint32_t)here;
    bytes = span_after(bytes, here);
    if (!more)
        return true;
    if (q->last)
        q->last->next = more;
    else
        q->first = more;
    for (; more; more = more->next) {
        size_t part = bytes.size < CHUNK_BYTES ? bytes.size : CHUNK_BYTES;

        memcpy(more->bytes, bytes.data, part);
        bytes = span_after(bytes, part);
        q->last = more;
        q->end = (uint32_t)part;
    }
    return true;
}

size_t neap_chunk_queue_take(struct chunk_queue *q, struct pool *pool, uint8_t *out, size_t size)
{
    size_t taken = 0;

    while (taken < size && q->first) {
        struct byte_chunk *chunk = q->first;
        size_t here = (chunk == q->last ? q->end : CHUNK_BYTES) - q->begin;
        size_t part = here < size - taken ? here : size - taken;

        if (out)
            memcpy(out + taken, chunk->bytes + q->begin, part);
        taken += part;
        q->begin += (uint32_t)part;
        if (part < here)
            break;
        q->first = chunk->next;
        q->begin = 0;
        if (!q->first)
            q->last = NULL;
        neap_pool_free(pool, chunk, sizeof(*chunk));
    }
    q->size -= taken;
    return taken;
}

void neap_chunk_queue_drop(struct chunk_queue *q, struct pool *pool)
{
    neap_chunk_queue_take(q, pool, NULL, q->size);
}
