/* Reassembly, and the receiving states of a stream (RFC 9000 §3.2, figure 3). */
#include "streams/stream_recv.h"

#include "base/limits.h"
#include "base/pool.h"

void neap_reassembly_init(struct reassembly *a, uint32_t max_gaps)
{
    *a = (struct reassembly){.received = range_set_of(max_gaps)};
}

/* What comes in order behind more than a chunk comes in quick succession. */
static bool goes_on_at(const struct reassembly *a, uint64_t offset)
{
    return offset == a->ready && a->ready - a->read >= CHUNK_SIZE;
}

static int fill(struct reassembly *a, struct pool *pool, uint64_t offset, struct span data)
{
    bool goes_on = goes_on_at(a, offset);

    while (data.size) {
        size_t part = data.size;
        uint8_t *room = neap_chunks_room(&a->chunks, pool, offset, &part, goes_on);

        if (!room)
            return NEAP_ERR_NO_MEMORY;
        memcpy(room, data.data, part);
        offset += part;
        data = span_of(data.data + part, data.size - part);
    }
    return 0;
}

/* Everything below `end` is there, and with it what waited behind the gap. */
static void make_ready(struct reassembly *a, uint64_t end)
{
    if (end > a->ready)
        a->ready = end;
    if (a->received.count == 0 || a->received.ranges[0].start > a->ready)
        return;
    neap_range_set_drop_below(&a->received, a->ready);
    if (a->received.count && a->received.ranges[0].start == a->ready) {
        a->ready = a->received.ranges[0].end;
        neap_range_set_drop_below(&a->received, a->ready);
    }
}

int neap_reassembly_insert(struct reassembly *a, struct pool *pool, uint64_t offset, struct span data)
{
    uint64_t start = offset < a->ready ? a->ready : offset, end = offset + data.size, at = start;
    struct range gap;

    if (offset == a->ready && a->received.count == 0) {
        int error = fill(a, pool, offset, data);

        if (error == 0)
            a->ready = end;
        return error;
    }

    /* The first copy of a byte stays: bytes at an offset do not change (RFC 9000 §2.2). Bytes that lie in the chunks
     * without being in `received` are not there yet, so a failure needs no undoing. */
    while (at < end && neap_range_set_first_gap(&a->received, at, end, &gap)) {
        struct span part = span_of(data.data + (gap.start - offset), (size_t)(gap.end - gap.start));
        int error = fill(a, pool, gap.start, part);

        if (error)
            return error;
        at = gap.end;
    }
    if (start != a->ready)
        return neap_range_set_insert(&a->received, pool, start, end);
    make_ready(a, end);
    return 0;
}

size_t neap_reassembly_memory(const struct reassembly *a)
{
    return a->chunks.memory + a->received.capacity * sizeof(struct range);
}

size_t neap_reassembly_growth(const struct reassembly *a, uint64_t offset, size_t size)
{
    uint64_t start = offset < a->ready ? a->ready : offset, end = offset + size;

    return start < end ? neap_chunks_growth(&a->chunks, start, (size_t)(end - start), goes_on_at(a, start))
                       : 0;
}

uint64_t neap_reassembly_ready(const struct reassembly *a)
{
    return a->ready - a->read;
}

bool neap_reassembly_is_next(const struct reassembly *a, uint64_t offset, size_t size)
{
    return offset <= a->read && offset + size > a->read && a->ready == a->read;
}

bool neap_reassembly_is_news(const struct reassembly *a, uint64_t offset, size_t size)
{
    uint64_t start = offset < a->ready ? a->ready : offset, end = offset + size;
    struct range gap;

    return start < end && neap_range_set_first_gap(&a->received, start, end, &gap);
}

struct span neap_reassembly_peek(const struct reassembly *a)
{
    uint64_t ready = neap_reassembly_ready(a);
    size_t size = 0;

    if (ready == 0)
        return (struct span){0};
    const uint8_t *bytes = neap_chunks_at(&a->chunks, a->read, &size);
    return span_of(bytes, size < ready ? size : (size_t)ready);
}

size_t neap_reassembly_views(const struct reassembly *a, size_t size, neap_view *views, size_t *count)
{
    uint64_t ready = neap_reassembly_ready(a);
    size_t max = *count, held = 0;

    if (size > ready)
        size = (size_t)ready;
    *count = 0;
    while (held < size && *count < max) {
        size_t part;
        const uint8_t *bytes = neap_chunks_at(&a->chunks, a->read + held, &part);

        if (part > size - held)
            part = size - held;
        views[(*count)++] = (neap_view){.bytes = bytes, .size = part};
        held += part;
    }
    return held;
}

void neap_reassembly_consume(struct reassembly *a, struct pool *pool, size_t size)
{
    if (size == neap_reassembly_ready(a) && a->received.count == 0) {
        neap_reassembly_discard(a, pool, a->read + size);
        return;
    }
    a->read += size;
    neap_chunks_drop(&a->chunks, pool, a->read);
}

void neap_reassembly_discard(struct reassembly *a, struct pool *pool, uint64_t offset)
{
    neap_range_set_free(&a->received, pool);
    neap_chunks_free(&a->chunks, pool, offset);
    a->read = a->ready = offset;
}

void neap_reassembly_free(struct reassembly *a, struct pool *pool)
{
    neap_reassembly_discard(a, pool, a->read);
}

enum recv_event { GOT_FIN, GOT_ALL, GOT_RESET, APP_READ_END, RECV_EVENTS };

#define RECV_STAY 0 /* RECV_OPEN is never entered again */

/* An event that a state does not list changes nothing: data may arrive again after the end, and a reset after
 * everything was received. */
static const uint8_t recv_next[][RECV_EVENTS] = {
    [RECV_OPEN] = {[GOT_FIN] = RECV_SIZE_KNOWN, [GOT_RESET] = RECV_RESET},
    [RECV_SIZE_KNOWN] = {[GOT_ALL] = RECV_COMPLETE, [GOT_RESET] = RECV_RESET},
    [RECV_COMPLETE] = {[APP_READ_END] = RECV_READ},
    [RECV_RESET] = {[APP_READ_END] = RECV_RESET_READ},
    [RECV_READ] = {0},
    [RECV_RESET_READ] = {0},
};

static void advance(struct stream_recv *r, enum recv_event event)
{
    uint8_t next = recv_next[r->state][event];

    if (next != RECV_STAY)
        r->state = next;
}

struct stream_recv neap_stream_recv_of(uint64_t window)
{
    struct stream_recv r = {.window = window, .limit = window};

    neap_reassembly_init(&r.data, LIMIT_STREAM_GAPS);
    return r;
}

int neap_stream_recv_check(const struct stream_recv *r, uint64_t end, bool is_final, struct failure *why)
{
    bool known = r->state != RECV_OPEN;

    if (known && end > r->highest)
        return neap_fail(why, NEAP_FINAL_SIZE_ERROR, "data past the final size");
    if (is_final && known && end != r->highest)
        return neap_fail(why, NEAP_FINAL_SIZE_ERROR, "final size changed");
    if (is_final && end < r->highest)
        return neap_fail(why, NEAP_FINAL_SIZE_ERROR, "final size below received data");
    if (end > r->limit)
        return neap_fail(why, NEAP_FLOW_CONTROL_ERROR, "stream data past MAX_STREAM_DATA");
    return 0;
}

/* What a stopped side received counts as read at once, and its end ends it. */
static void swallow(struct stream_recv *r, struct pool *pool)
{
    neap_reassembly_discard(&r->data, pool, r->highest);
    advance(r, GOT_ALL);
    advance(r, APP_READ_END);
}

int neap_stream_recv_insert(struct stream_recv *r, struct pool *pool, uint64_t offset, struct span data,
                            bool fin, bool *news)
{
    uint64_t before = neap_reassembly_ready(&r->data), end = offset + data.size;

    *news = false;
    if (r->state != RECV_OPEN && r->state != RECV_SIZE_KNOWN)
        return 0;
    if (!r->stop_sent) {
        int error = neap_reassembly_insert(&r->data, pool, offset, data);
        if (error)
            return error;
    }
    if (end > r->highest)
        r->highest = end;
    if (fin)
        advance(r, GOT_FIN);
    if (r->stop_sent) {
        swallow(r, pool);
        return 0;
    }
    uint64_t ready = neap_reassembly_ready(&r->data);
    if (r->state == RECV_SIZE_KNOWN && r->data.read + ready == r->highest && !r->resets)
        advance(r, GOT_ALL);
    *news = ready > before || r->state == RECV_COMPLETE;
    return 0;
}

bool neap_stream_recv_reset(struct stream_recv *r, struct pool *pool, uint64_t code, uint64_t final_size)
{
    if (r->state != RECV_OPEN && r->state != RECV_SIZE_KNOWN)
        return false;
    r->highest = final_size;
    r->reset_code = code;
    advance(r, GOT_RESET);
    neap_reassembly_discard(&r->data, pool, final_size);
    if (r->stop_sent)
        advance(r, APP_READ_END);
    return true;
}

/* Everything that was reliable has been read: the rest goes. */
static void end_reset_at(struct stream_recv *r, struct pool *pool)
{
    neap_reassembly_discard(&r->data, pool, r->highest);
    advance(r, GOT_RESET);
    if (r->stop_sent)
        advance(r, APP_READ_END);
}

int neap_stream_recv_reset_at(struct stream_recv *r, struct pool *pool, const struct frame_reset_stream *f,
                              bool *news, struct failure *why)
{
    *news = false;
    if (r->resets && f->code != r->reset_code)
        return neap_fail(why, NEAP_STREAM_STATE_ERROR, "another code of a reset");
    if ((r->state != RECV_OPEN && r->state != RECV_SIZE_KNOWN) ||
        (r->resets && f->reliable_size >= r->reliable_size))
        return 0;
    r->resets = true;
    r->reset_code = f->code;
    r->reliable_size = f->reliable_size;
    r->highest = f->final_size;
    advance(r, GOT_FIN);
    if (r->stop_sent || r->data.read >= r->reliable_size) {
        end_reset_at(r, pool);
        *news = !r->stop_sent;
    }
    return 0;
}

bool neap_stream_recv_consume(struct stream_recv *r, struct pool *pool, size_t size)
{
    neap_reassembly_consume(&r->data, pool, size);
    if (!r->resets || r->state != RECV_SIZE_KNOWN || r->data.read < r->reliable_size)
        return false;
    end_reset_at(r, pool);
    return true;
}

size_t neap_stream_recv_read(struct stream_recv *r, struct pool *pool, uint8_t *out, size_t size, bool *end)
{
    size_t taken = 0;

    while (taken < size) {
        struct span view = neap_reassembly_peek(&r->data);
        size_t part = view.size < size - taken ? view.size : size - taken;

        if (part == 0)
            break;
        memcpy(out + taken, view.data, part);
        neap_stream_recv_consume(r, pool, part);
        taken += part;
    }
    *end = r->state == RECV_COMPLETE && r->data.read == r->highest;
    if (*end)
        advance(r, APP_READ_END);
    return taken;
}

void neap_stream_recv_reset_read(struct stream_recv *r)
{
    if (r->state == RECV_RESET)
        advance(r, APP_READ_END);
}

void neap_stream_recv_stop(struct stream_recv *r, struct pool *pool, uint64_t code)
{
    r->stop_sent = true;
    r->stop_code = code;
    swallow(r, pool);
}

bool neap_stream_recv_is_readable(const struct stream_recv *r)
{
    return neap_reassembly_ready(&r->data) > 0 || r->state == RECV_COMPLETE || r->state == RECV_RESET;
}

bool neap_stream_recv_is_over(const struct stream_recv *r)
{
    return r->state == RECV_READ || r->state == RECV_RESET_READ;
}
