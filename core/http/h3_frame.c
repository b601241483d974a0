/* Reading frame headers byte by byte, and payloads that are needed whole. */
#include "http/h3_frame.h"

#include "base/pool.h"
#include "base/reader.h"

#define PAYLOAD_FIRST 256u

/* Bytes of the header that `head` begins, as far as it can be told from `size` of them. */
static size_t head_needed(const uint8_t *head, size_t size)
{
    if (size == 0)
        return 1;
    size_t type_size = (size_t)1 << (head[0] >> 6);
    if (size <= type_size)
        return type_size + 1;
    return type_size + ((size_t)1 << (head[type_size] >> 6));
}

size_t neap_h3_frame_read_head(struct h3_frame_reader *r, struct span bytes)
{
    size_t used = 0;

    while (used < bytes.size) {
        r->head[r->head_size++] = bytes.data[used++];
        if (r->head_size < head_needed(r->head, r->head_size))
            continue;
        struct reader in = reader_of(span_of(r->head, r->head_size));
        uint64_t type = read_varint(&in), left = read_varint(&in);
        r->type = type;
        r->left = left;
        r->head_size = 0;
        r->in_payload = true;
        break;
    }
    return used;
}

static bool reserve(struct h3_payload *p, struct pool *pool, size_t more, uint64_t total)
{
    size_t needed = p->size + more;
    uint64_t capacity = p->capacity ? p->capacity : PAYLOAD_FIRST;

    if (needed <= p->capacity)
        return true;
    while (capacity < needed)
        capacity *= 2;
    if (capacity > total)
        capacity = total;
    uint8_t *moved = neap_pool_resize(pool, p->bytes, p->capacity, (size_t)capacity);
    if (!moved)
        return false;
    p->bytes = moved;
    p->capacity = (size_t)capacity;
    return true;
}

enum h3_collected neap_h3_payload_collect(struct h3_payload *p, struct pool *pool,
                                          struct h3_frame_reader *reader, struct span view, size_t *used,
                                          struct span *whole)
{
    size_t take = reader->left < view.size ? (size_t)reader->left : view.size;

    *used = take;
    if (p->size == 0 && take == reader->left) {
        *whole = span_of(view.data, take);
        reader->left = 0;
        return H3_COLLECTED_ALL;
    }
    if (!reserve(p, pool, take, p->size + reader->left))
        return H3_COLLECTED_NO_MEMORY;
    if (take)
        memcpy(p->bytes + p->size, view.data, take);
    p->size += take;
    reader->left -= take;
    if (reader->left > 0)
        return H3_COLLECTED_PART;
    *whole = span_of(p->bytes, p->size);
    return H3_COLLECTED_ALL;
}

void neap_h3_payload_free(struct h3_payload *p, struct pool *pool)
{
    if (p->bytes)
        neap_pool_free(pool, p->bytes, p->capacity);
    *p = (struct h3_payload){0};
}
