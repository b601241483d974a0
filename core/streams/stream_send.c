/* The send buffer, and the sending states of a stream (RFC 9000 §3.1, figure 2). */
#include "streams/stream_send.h"

#include "base/limits.h"
#include "base/pool.h"

#include <assert.h>

void neap_send_buffer_init(struct send_buffer *b)
{
    /* Every range stands for at least one packet in flight, and no two are side by side. */
    *b = (struct send_buffer){.acked = range_set_of(LIMIT_SENT_PACKETS),
                              .lost = range_set_of(LIMIT_SENT_PACKETS)};
}

/* Fill a room from the parts, of which *rest is left of the one before. */
static const struct span *fill(uint8_t *room, size_t size, const struct span *parts, struct span *rest)
{
    while (size > 0) {
        if (rest->size == 0) {
            *rest = *parts++;
            continue;
        }
        size_t part = rest->size < size ? rest->size : size;
        memcpy(room, rest->data, part);
        *rest = span_after(*rest, part);
        room += part;
        size -= part;
    }
    return parts;
}

size_t neap_send_buffer_gather(struct send_buffer *b, struct pool *pool, const struct span *parts,
                               size_t count)
{
    struct span rest = {0};
    size_t left = 0, taken = 0;

    for (size_t i = 0; i < count; i++)
        left += parts[i].size;
    while (left > 0) {
        size_t size = left;
        uint8_t *room = neap_chunks_room(&b->chunks, pool, b->end, &size, false);

        if (!room)
            break;
        parts = fill(room, size, parts, &rest);
        b->end += size;
        taken += size;
        left -= size;
    }
    return taken;
}

size_t neap_send_buffer_append(struct send_buffer *b, struct pool *pool, struct span data)
{
    return neap_send_buffer_gather(b, pool, &data, 1);
}

size_t neap_send_buffer_reserve(struct send_buffer *b, struct pool *pool, size_t ahead, size_t size,
                                neap_part *parts, size_t *count)
{
    uint64_t at = b->end, end = b->end + ahead + size;
    size_t max = *count, held = 0;

    *count = 0;
    while (at < end && *count < max) {
        size_t part = (size_t)(end - at);
        uint8_t *room = neap_chunks_room(&b->chunks, pool, at, &part, false);

        if (!room)
            break;
        at += part;
        size_t skipped = ahead < part ? ahead : part;
        ahead -= skipped;
        if (skipped == part)
            continue;
        parts[(*count)++] = (neap_part){.bytes = room + skipped, .size = part - skipped};
        held += part - skipped;
    }
    return held;
}

bool neap_send_buffer_commit(struct send_buffer *b, struct pool *pool, struct span head, size_t size)
{
    uint64_t end = b->end + head.size + size;

    for (uint64_t at = b->end; at < end;) {
        size_t part;
        if (!neap_chunks_at(&b->chunks, at, &part))
            return false;
        at += part;
    }
    neap_send_buffer_append(b, pool, head);
    b->end = end;
    return true;
}

static bool fresh_gap(const struct send_buffer *b, uint64_t limit, struct range *gap)
{
    uint64_t end = b->end < limit ? b->end : limit;

    if (b->next >= end)
        return false;
    if (b->acked.count > 0)
        return neap_range_set_first_gap(&b->acked, b->next, end, gap);
    *gap = (struct range){b->next, end};
    return true;
}

bool neap_send_buffer_next(const struct send_buffer *b, uint64_t limit, size_t max, uint64_t *offset,
                           size_t *size)
{
    struct range range;

    if (max == 0)
        return false;
    if (b->lost.count)
        range = b->lost.ranges[0];
    else if (!fresh_gap(b, limit, &range))
        return false;
    *offset = range.start;
    *size = range.end - range.start < max ? (size_t)(range.end - range.start) : max;
    return true;
}

void neap_send_buffer_copy(const struct send_buffer *b, uint64_t offset, uint8_t *out, size_t size)
{
    while (size) {
        size_t part;
        const uint8_t *bytes = neap_chunks_at(&b->chunks, offset, &part);

        assert(bytes);
        if (part > size)
            part = size;
        memcpy(out, bytes, part);
        offset += part;
        out += part;
        size -= part;
    }
}

void neap_send_buffer_sent(struct send_buffer *b, struct pool *pool, uint64_t offset, size_t size)
{
    uint64_t end = offset + size;

    /* A frame holds the front of a lost range or fresh bytes, so that nothing is split here. */
    if (b->lost.count)
        neap_range_set_remove(&b->lost, pool, offset, end);
    if (end > b->next)
        b->next = end;
    if (end > b->highest)
        b->highest = end;
}

/* Everything up to `base` is acknowledged, and what is known of behind it. Ranges that end below come first. */
static void move_base(struct send_buffer *b, struct pool *pool, uint64_t base)
{
    neap_range_set_drop_below(&b->acked, base);
    if (b->acked.count && b->acked.ranges[0].start == base) {
        base = b->acked.ranges[0].end;
        neap_range_set_drop_below(&b->acked, base);
    }
    b->base = base;
    if (b->next < base)
        b->next = base;
    neap_range_set_drop_below(&b->lost, base);
    if (b->base == b->end)
        neap_send_buffer_free(b, pool);
    else
        neap_chunks_drop(&b->chunks, pool, base);
}

void neap_send_buffer_acked(struct send_buffer *b, struct pool *pool, uint64_t offset, size_t size)
{
    uint64_t end = offset + size < b->highest ? offset + size : b->highest;

    if (offset < b->base)
        offset = b->base;
    if (offset >= end)
        return;
    if (offset == b->base) {
        /* A part of it may be known as lost or acknowledged; both are below the new base then. */
        move_base(b, pool, end);
        return;
    }
    if (neap_range_set_insert(&b->acked, pool, offset, end)) {
        /* Without memory for the knowledge the bytes are sent once more. */
        neap_send_buffer_lose_all(b, pool);
        return;
    }
    neap_range_set_remove(&b->lost, pool, offset, end);
}

void neap_send_buffer_lost(struct send_buffer *b, struct pool *pool, uint64_t offset, size_t size)
{
    uint64_t end = offset + size < b->next ? offset + size : b->next;
    uint64_t at = offset > b->base ? offset : b->base;
    struct range gap;

    while (at < end && neap_range_set_first_gap(&b->acked, at, end, &gap)) {
        if (neap_range_set_insert(&b->lost, pool, gap.start, gap.end)) {
            neap_send_buffer_lose_all(b, pool);
            return;
        }
        at = gap.end;
    }
}

void neap_send_buffer_lose_all(struct send_buffer *b, struct pool *pool)
{
    neap_range_set_free(&b->lost, pool);
    b->next = b->base;
}

bool neap_send_buffer_has_gap(const struct send_buffer *b, uint64_t limit)
{
    struct range gap;

    return fresh_gap(b, limit, &gap);
}

void neap_send_buffer_free(struct send_buffer *b, struct pool *pool)
{
    neap_range_set_free(&b->acked, pool);
    neap_range_set_free(&b->lost, pool);
    neap_chunks_free(&b->chunks, pool, b->end);
}

struct stream_send neap_stream_send_of(uint64_t limit)
{
    struct stream_send s = {.limit = limit};

    neap_send_buffer_init(&s.data);
    return s;
}

bool neap_stream_send_owes_fin(const struct stream_send *s)
{
    return s->fin_queued && !s->fin_acked && (!s->fin_sent || s->fin_lost) && !s->resets;
}

bool neap_stream_send_next(const struct stream_send *s, uint64_t limit, size_t max, uint64_t *offset,
                           size_t *size, bool *fin)
{
    if (!stream_send_is_live(s))
        return false;
    if (!neap_send_buffer_next(&s->data, stream_send_delivered(s, limit), max, offset, size)) {
        /* The end goes alone when no byte is left for it to go with. */
        if (!neap_stream_send_owes_fin(s) || stream_send_has_data(s, UINT64_MAX))
            return false;
        *offset = s->data.end;
        *size = 0;
    }
    *fin = s->fin_queued && *offset + *size == s->data.end;
    return true;
}

uint64_t neap_stream_send_on_sent(struct stream_send *s, struct pool *pool, uint64_t offset, size_t size,
                                  bool fin)
{
    uint64_t before = s->data.highest;

    neap_send_buffer_sent(&s->data, pool, offset, size);
    if (s->state == SEND_READY)
        s->state = SEND_SEND;
    if (fin) {
        s->fin_sent = true;
        s->fin_lost = false;
        s->state = SEND_DATA_SENT;
    }
    return s->data.highest - before;
}

/* All that is to be delivered was, and the peer knows of the reset: nothing of the rest is waited for. */
static void end_reset_at(struct stream_send *s, struct pool *pool)
{
    if (!s->resets || !s->reset_acked || s->data.base < s->reliable_size)
        return;
    s->state = SEND_DATA_RECVD;
    neap_send_buffer_free(&s->data, pool);
    s->data.base = s->data.next = s->data.end;
}

void neap_stream_send_on_acked(struct stream_send *s, struct pool *pool, uint64_t offset, size_t size,
                               bool fin)
{
    if (!stream_send_is_live(s))
        return;
    neap_send_buffer_acked(&s->data, pool, offset, size);
    if (fin)
        s->fin_acked = true;
    if (s->fin_acked && s->data.base == s->data.end)
        s->state = SEND_DATA_RECVD;
    end_reset_at(s, pool);
}

void neap_stream_send_on_lost(struct stream_send *s, struct pool *pool, uint64_t offset, size_t size,
                              bool fin)
{
    if (!stream_send_is_live(s))
        return;
    uint64_t end = stream_send_delivered(s, offset + size);
    neap_send_buffer_lost(&s->data, pool, offset, end > offset ? (size_t)(end - offset) : 0);
    if (fin)
        s->fin_lost = true;
}

bool neap_stream_send_reset(struct stream_send *s, struct pool *pool, uint64_t code)
{
    if (!stream_send_is_live(s))
        return false;
    neap_send_buffer_free(&s->data, pool);
    s->state = SEND_RESET_SENT;
    /* What was said once does not change. */
    s->reset_code = s->reset_said ? s->reset_code : code;
    s->blocked_app = false;
    return true;
}

bool neap_stream_send_reset_at(struct stream_send *s, struct pool *pool, uint64_t code,
                               uint64_t reliable_size)
{
    struct send_buffer *b = &s->data;

    if (!stream_send_is_live(s))
        return false;
    s->reset_code = s->resets ? s->reset_code : code;
    s->resets = true;
    s->reset_acked &= s->reliable_size == reliable_size;
    s->reliable_size = reliable_size;
    s->blocked_app = false;
    neap_range_set_remove(&b->lost, pool, reliable_size, UINT64_MAX);
    if (!s->fin_sent) {
        s->fin_queued = false;
        b->end = b->highest > reliable_size ? b->highest : reliable_size;
        neap_chunks_cut(&b->chunks, pool, b->end);
    }
    return true;
}

bool neap_stream_send_may_reset_at(const struct stream_send *s)
{
    return s->resets && !s->reset_acked && s->data.highest >= s->reliable_size && stream_send_is_live(s);
}

void neap_stream_send_on_reset_at_sent(struct stream_send *s)
{
    s->reset_said = true;
    s->state = SEND_DATA_SENT;
}

void neap_stream_send_on_reset_at_acked(struct stream_send *s, struct pool *pool, uint64_t reliable_size)
{
    if (!s->resets || reliable_size != s->reliable_size || !stream_send_is_live(s))
        return;
    s->reset_acked = true;
    end_reset_at(s, pool);
}

void neap_stream_send_on_reset_acked(struct stream_send *s)
{
    if (s->state == SEND_RESET_SENT)
        s->state = SEND_RESET_RECVD;
}

bool neap_stream_send_is_said(const struct stream_send *s)
{
    return s->state != SEND_READY && s->state != SEND_SEND;
}

bool neap_stream_send_is_over(const struct stream_send *s)
{
    return s->state == SEND_DATA_RECVD || s->state == SEND_RESET_RECVD;
}
