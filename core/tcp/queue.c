/* A queue of bytes in one piece. */
#include "tcp/queue.h"

#include "base/pool.h"

#define FIRST_ROOM 4096u
#define MOVED_MOST 4u /* bytes that move down for each that was taken */

uint8_t *neap_queue_reserve(struct byte_queue *q, struct pool *pool, size_t size)
{
    size_t held = queue_size(q), capacity = FIRST_ROOM;

    if (size <= q->capacity - q->end)
        return q->room + q->end;
    if (held + size <= q->capacity && held <= MOVED_MOST * q->at) {
        memmove(q->room, q->room + q->at, held);
        q->at = 0;
        q->end = held;
        return q->room + held;
    }
    while (capacity < held + size)
        capacity *= 2;
    if (capacity <= q->capacity)
        capacity = q->capacity * 2;
    uint8_t *room = neap_pool_alloc_unset(pool, capacity);
    if (!room)
        return NULL;
    if (held > 0)
        memcpy(room, q->room + q->at, held);
    neap_pool_free(pool, q->room, q->capacity);
    *q = (struct byte_queue){.room = room, .end = held, .capacity = capacity};
    return room + held;
}

bool neap_queue_put(struct byte_queue *q, struct pool *pool, struct span bytes)
{
    if (bytes.size == 0)
        return true;
    uint8_t *room = neap_queue_reserve(q, pool, bytes.size);
    if (!room)
        return false;
    memcpy(room, bytes.data, bytes.size);
    queue_commit(q, bytes.size);
    return true;
}

void neap_queue_tidy(struct byte_queue *q, struct pool *pool)
{
    if (queue_size(q) == 0)
        neap_queue_free(q, pool);
}

void neap_queue_free(struct byte_queue *q, struct pool *pool)
{
    if (q->room)
        neap_pool_free(pool, q->room, q->capacity);
    *q = (struct byte_queue){0};
}
