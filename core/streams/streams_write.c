/* What the streams owe on the wire: control frames first come first served, data by urgency with lost bytes first, and
 * what becomes of the frames (RFC 9000 §13.3). */
#include "base/limits.h"
#include "streams/streams_inner.h"

/* ---- what is owed */

void neap_streams_owe(struct streams *s, struct stream *stream, enum stream_mark mark)
{
    stream->owes |= (uint8_t)mark;
    if (!list_linked(&stream->control_link))
        list_append(&s->control, &stream->control_link);
}

/* A frame that needs no connection credit: bytes sent before, or only the end. */
static bool owes_again(const struct stream_send *send)
{
    if (!stream_send_is_live(send))
        return false;
    if (stream_send_has_data(send, send->data.highest))
        return true;
    return neap_stream_send_owes_fin(send) && !stream_send_has_data(send, UINT64_MAX);
}

static bool owes_fresh(const struct stream_send *send)
{
    return stream_send_is_live(send) && stream_send_has_data(send, send->limit);
}

/* Nothing can be sent: when bytes wait above the peer's limit it is told, once per limit (RFC 9000 §4.1). */
static void note_stream_blocked(struct streams *s, struct stream *stream)
{
    struct stream_send *send = stream->send;

    if (!stream_send_is_live(send) || send->data.end <= send->limit || send->is_blocked)
        return;
    send->is_blocked = true;
    s->stream_blocked = stream_id(stream);
    neap_streams_owe(s, stream, OWES_STREAM_DATA_BLOCKED);
}

bool neap_streams_repeat_blocked(struct streams *s)
{
    struct stream *stream = neap_streams_find(s, s->stream_blocked);

    if (s->is_data_blocked) {
        s->owes |= OWES_DATA_BLOCKED;
        return true;
    }
    if (!stream || !stream_send_is_live(stream->send) || !stream->send->is_blocked)
        return false;
    neap_streams_owe(s, stream, OWES_STREAM_DATA_BLOCKED);
    return true;
}

static struct list_link **queue_of(struct streams *s, const struct stream *stream)
{
    return stream->send_queue == QUEUE_AGAIN ? &s->again[stream->urgency] : &s->fresh[stream->urgency];
}

static void note_queue(struct streams *s, const struct stream *stream)
{
    uint8_t *queues = stream->send_queue == QUEUE_AGAIN ? &s->again_queues : &s->fresh_queues;
    unsigned bit = 1u << stream->urgency;

    *queues = (uint8_t)(*queue_of(s, stream) ? *queues | bit : *queues & ~bit);
}

void neap_streams_unqueue(struct streams *s, struct stream *stream)
{
    if (stream->send_queue != QUEUE_NONE) {
        ring_remove(queue_of(s, stream), &stream->send_link);
        note_queue(s, stream);
    }
    stream->send_queue = QUEUE_NONE;
    stream->owes &= (uint8_t)~OWES_DATA;
}

static struct stream *in_queue(struct list_link *link)
{
    return LIST_OWNER(link, struct stream, send_link);
}

/* Before the streams behind it that do not take turns either and have a higher ID. They mostly come in the order of their IDs,
 * so that nothing is passed; past the bound nobody looks. */
static void queue_in_order(struct list_link **first, struct stream *stream)
{
    struct list_link *place = NULL, *at = (*first)->prev;

    for (unsigned looks = 0; looks < LIMIT_PRIORITY_LOOKS; looks++) {
        const struct stream *other = in_queue(at);

        if (other->is_first || (!other->incremental && stream_id(other) < stream_id(stream)))
            break;
        place = other->incremental ? place : at;
        if (at == *first)
            break;
        at = at->prev;
    }
    if (place)
        ring_insert(first, place, &stream->send_link);
    else
        ring_append(first, &stream->send_link);
}

/* Into its queue, at its place. */
static void enqueue(struct streams *s, struct stream *stream)
{
    struct list_link **first = queue_of(s, stream);
    const struct stream *head = *first ? in_queue(*first) : NULL;
    bool is_next = stream->is_first || (head && !stream->incremental && !head->is_first &&
                                        !head->incremental && stream_id(stream) < stream_id(head));

    if (stream->incremental || !head)
        ring_append(first, &stream->send_link);
    else if (is_next)
        ring_prepend(first, &stream->send_link);
    else
        queue_in_order(first, stream);
    note_queue(s, stream);
}

/* Behind all others of its queue. */
static void requeue(struct streams *s, struct stream *stream)
{
    ring_remove(queue_of(s, stream), &stream->send_link);
    ring_append(queue_of(s, stream), &stream->send_link);
}

void neap_streams_schedule(struct streams *s, struct stream *stream)
{
    enum send_queue queue = owes_again(stream->send)   ? QUEUE_AGAIN
                            : owes_fresh(stream->send) ? QUEUE_FRESH
                                                       : QUEUE_NONE;
    enum send_queue before = (enum send_queue)stream->send_queue;

    if (queue == QUEUE_NONE)
        note_stream_blocked(s, stream);
    if (queue == before)
        return;
    neap_streams_unqueue(s, stream);
    if (queue == QUEUE_NONE)
        return;
    stream->send_queue = (uint8_t)queue;
    stream->owes |= OWES_DATA;
    enqueue(s, stream);
}

/* With another priority than it has. */
static void move(struct streams *s, struct stream *stream, uint8_t urgency, bool incremental)
{
    bool is_queued = stream->send_queue != QUEUE_NONE;

    if (is_queued) {
        ring_remove(queue_of(s, stream), &stream->send_link);
        note_queue(s, stream);
    }
    stream->urgency = urgency;
    stream->incremental = incremental;
    if (is_queued)
        enqueue(s, stream);
}

int neap_streams_set_priority(struct streams *s, uint64_t id, uint8_t urgency, bool incremental)
{
    struct stream *stream = neap_streams_find(s, id);

    if (urgency > 7)
        return NEAP_ERR_ARGUMENT;
    if (!stream)
        return NEAP_ERR_STREAM_STATE;
    if (!stream->is_first && (urgency != stream->urgency || incremental != stream->incremental))
        move(s, stream, urgency, incremental);
    return 0;
}

void neap_streams_put_first(struct streams *s, struct stream *stream)
{
    stream->is_first = true;
    move(s, stream, 0, false);
}

/* ---- control frames */

static uint64_t sum_capped(uint64_t a, uint64_t b)
{
    return a < VARINT_MAX && b < VARINT_MAX - a ? a + b : VARINT_MAX;
}

/* The value that a connection-level frame carries now. */
static uint64_t connection_value(const struct streams *s, enum streams_mark mark)
{
    uint64_t limit;

    switch (mark) {
    case OWES_MAX_DATA:
        limit = sum_capped(s->recv_read, s->recv_window);
        return limit > s->recv_limit ? limit : s->recv_limit;
    case OWES_MAX_STREAMS_BIDI:
    case OWES_MAX_STREAMS_UNI: {
        size_t kind = mark == OWES_MAX_STREAMS_BIDI ? 0 : 1;

        limit = neap_streams_allowed(s, kind);
        return limit > s->theirs[kind].limit ? limit : s->theirs[kind].limit;
    }
    case OWES_DATA_BLOCKED: return s->send_limit;
    case OWES_STREAMS_BLOCKED_BIDI: return s->ours[0].limit;
    case OWES_STREAMS_BLOCKED_UNI: return s->ours[1].limit;
    }
    return 0;
}

static const struct {
    enum frame_type type;
    enum frame_kind kind;
} connection_frames[] = {
    {FRAME_MAX_DATA, KIND_MAX_DATA},
    {FRAME_MAX_STREAMS_BIDI, KIND_MAX_STREAMS_BIDI},
    {FRAME_MAX_STREAMS_UNI, KIND_MAX_STREAMS_UNI},
    {FRAME_DATA_BLOCKED, KIND_DATA_BLOCKED},
    {FRAME_STREAMS_BLOCKED_BIDI, KIND_STREAMS_BLOCKED_BIDI},
    {FRAME_STREAMS_BLOCKED_UNI, KIND_STREAMS_BLOCKED_UNI},
};

/* The frame with the lowest bit of `owes`. */
static bool write_connection_frame(struct streams *s, struct writer *w, struct sent_frame *out)
{
    unsigned bit = (unsigned)__builtin_ctz(s->owes);
    enum streams_mark mark = (enum streams_mark)(1u << bit);
    uint64_t value = connection_value(s, mark);

    neap_write_number(w, connection_frames[bit].type, value);
    if (w->full)
        return false;
    s->owes &= (uint8_t)~mark;
    s->counters.data_blocked_sent += mark == OWES_DATA_BLOCKED;
    s->counters.streams_blocked_sent += mark == OWES_STREAMS_BLOCKED_BIDI || mark == OWES_STREAMS_BLOCKED_UNI;
    /* What is announced is what is held against the peer from now on. */
    if (mark == OWES_MAX_DATA)
        s->recv_limit = value;
    else if (mark == OWES_MAX_STREAMS_BIDI)
        s->theirs[0].limit = value;
    else if (mark == OWES_MAX_STREAMS_UNI)
        s->theirs[1].limit = value;
    *out = (struct sent_frame){.kind = (uint8_t)connection_frames[bit].kind, .offset = value};
    return true;
}

static void write_reset_stream_at(struct stream *stream, struct writer *w, struct sent_frame *out)
{
    const struct frame_reset_stream f = {.id = stream_id(stream),
                                         .code = stream->send->reset_code,
                                         .final_size = stream->send->data.highest,
                                         .reliable_size = stream->send->reliable_size};

    out->kind = KIND_RESET_STREAM_AT;
    out->offset = f.reliable_size;
    neap_write_reset_stream_at(w, &f);
    if (w->full)
        return;
    stream->owes &= (uint8_t)~OWES_RESET_STREAM_AT;
    neap_stream_send_on_reset_at_sent(stream->send);
}

static bool write_stream_frame(struct streams *s, struct stream *stream, struct writer *w,
                               struct sent_frame *out)
{
    *out = (struct sent_frame){.id = stream_id(stream)};
    if (stream->owes & OWES_RESET_STREAM) {
        out->kind = KIND_RESET_STREAM;
        out->offset = stream->send->data.highest;
        neap_write_reset_stream(w, stream_id(stream), stream->send->reset_code, out->offset);
        stream->owes &= (uint8_t)(w->full ? 0xff : ~OWES_RESET_STREAM);
    } else if (stream->owes & OWES_RESET_STREAM_AT) {
        write_reset_stream_at(stream, w, out);
    } else if (stream->owes & OWES_STOP_SENDING) {
        out->kind = KIND_STOP_SENDING;
        neap_write_stop_sending(w, stream_id(stream), stream->recv->stop_code);
        stream->owes &= (uint8_t)(w->full ? 0xff : ~OWES_STOP_SENDING);
    } else if (stream->owes & OWES_MAX_STREAM_DATA) {
        uint64_t limit = sum_capped(stream->recv->data.read, stream->recv->window);

        out->kind = KIND_MAX_STREAM_DATA;
        out->offset = limit > stream->recv->limit ? limit : stream->recv->limit;
        neap_write_stream_number(w, FRAME_MAX_STREAM_DATA, stream_id(stream), out->offset);
        if (!w->full) {
            stream->recv->limit = out->offset;
            stream->owes &= (uint8_t)~OWES_MAX_STREAM_DATA;
        }
    } else {
        out->kind = KIND_STREAM_DATA_BLOCKED;
        out->offset = stream->send->limit;
        neap_write_stream_number(w, FRAME_STREAM_DATA_BLOCKED, stream_id(stream), out->offset);
        stream->owes &= (uint8_t)(w->full ? 0xff : ~OWES_STREAM_DATA_BLOCKED);
        s->counters.stream_data_blocked_sent += !w->full;
    }
    return !w->full;
}

/* Frames that lost their reason before they were written. */
static void drop_stale(struct stream *stream)
{
    if (stream->recv->state != RECV_OPEN || stream->recv->stop_sent)
        stream->owes &= (uint8_t)~OWES_MAX_STREAM_DATA;
    if (!stream_send_is_live(stream->send) || !stream->send->is_blocked)
        stream->owes &= (uint8_t)~OWES_STREAM_DATA_BLOCKED;
    if (!neap_stream_send_may_reset_at(stream->send))
        stream->owes &= (uint8_t)~OWES_RESET_STREAM_AT;
}

bool neap_streams_write_control(struct streams *s, struct writer *w, struct sent_frame *out)
{
    struct writer before = *w;

    neap_streams_reap(s);
    while (s->owes || !list_empty(&s->control)) {
        if (s->owes) {
            if (write_connection_frame(s, w, out))
                return true;
            *w = before;
            return false;
        }
        struct stream *stream = LIST_OWNER(s->control.next, struct stream, control_link);
        drop_stale(stream);
        bool written = false, owed = stream->owes & ~OWES_DATA;
        if (owed)
            written = write_stream_frame(s, stream, w, out);
        if (owed && !written) {
            *w = before;
            return false;
        }
        if (!(stream->owes & ~OWES_DATA))
            list_remove(&stream->control_link);
        neap_streams_settle(s, stream);
        if (written)
            return true;
    }
    return false;
}

/* ---- data */

static uint64_t credit_left(const struct streams *s)
{
    return s->send_limit > s->send_used ? s->send_limit - s->send_used : 0;
}

/* The stream whose turn it is. */
static struct stream *first_to_send(const struct streams *s)
{
    unsigned queues = s->again_queues | (credit_left(s) > 0 ? s->fresh_queues : 0u);

    if (queues == 0)
        return NULL;
    unsigned urgency = (unsigned)__builtin_ctz(queues);
    struct list_link *first = s->again[urgency] ? s->again[urgency] : s->fresh[urgency];
    return LIST_OWNER(first, struct stream, send_link);
}

unsigned neap_streams_urgency(const struct streams *s)
{
    const struct stream *stream = first_to_send(s);

    return stream ? stream->urgency : 7;
}

static void note_blocked(struct streams *s)
{
    if (credit_left(s) > 0 || s->fresh_queues == 0 || s->is_data_blocked)
        return;
    s->is_data_blocked = true;
    s->owes |= OWES_DATA_BLOCKED;
}

/* The next frame of a stream that fits into `left` bytes. */
static bool choose(const struct streams *s, const struct stream *stream, size_t left, struct sent_frame *f)
{
    const struct stream_send *send = stream->send;
    uint64_t allowed = sum_capped(send->data.highest, credit_left(s));
    uint64_t limit = send->limit < allowed ? send->limit : allowed;
    size_t header, size;

    if (!neap_stream_send_next(send, limit, left, &f->offset, &size, &f->fin))
        return false;
    header = neap_stream_header_size(stream_id(stream), f->offset, size);
    if (left < header || (size > 0 && left == header))
        return false;
    if (size > left - header) {
        size = left - header;
        f->fin = false;
    }
    f->size = (uint16_t)size;
    return true;
}

bool neap_streams_write_data(struct streams *s, struct writer *w, struct sent_frame *out)
{
    struct stream *stream = first_to_send(s);

    note_blocked(s);
    if (!stream || !choose(s, stream, writer_left(w), out))
        return false;
    out->kind = KIND_STREAM;
    out->is_copy = false;
    out->id = stream_id(stream);
    neap_write_stream_header(w, out->id, out->offset, out->size, out->fin);
    neap_send_buffer_copy(&stream->send->data, out->offset, write_room(w, out->size), out->size);
    uint64_t added = neap_stream_send_on_sent(stream->send, s->pool, out->offset, out->size, out->fin);
    s->send_used += added;
    s->bytes_sent += added;
    s->counters.bytes_resent += out->size - added;
    s->unsent -= added;
    uint8_t queue = stream->send_queue;
    neap_streams_schedule(s, stream);
    if (stream->send->resets && !stream->send->reset_said && neap_stream_send_may_reset_at(stream->send))
        neap_streams_owe(s, stream, OWES_RESET_STREAM_AT);
    if (stream->incremental && stream->send_queue == queue)
        requeue(s, stream);
    if (out->fin)
        neap_streams_settle(s, stream);
    note_blocked(s);
    return true;
}

enum copy_result neap_streams_copy(const struct streams *s, struct writer *w, const struct sent_frame *f,
                                   size_t from, struct sent_frame *out)
{
    const struct stream *stream = neap_streams_find(s, f->id);
    uint64_t offset = f->offset + from, end = f->offset + f->size;

    if (!stream || !stream_send_is_live(stream->send))
        return COPY_NONE;
    const struct send_buffer *data = &stream->send->data;
    if (end > stream_send_delivered(stream->send, UINT64_MAX))
        return COPY_NONE;
    if (offset < data->base)
        offset = data->base;
    if (offset > end || (offset == end && (!f->fin || stream->send->fin_acked)))
        return COPY_NONE;
    size_t size = (size_t)(end - offset), header = neap_stream_header_size(f->id, offset, size);
    if (writer_left(w) < header + (size > 0))
        return COPY_NO_ROOM;
    if (size > writer_left(w) - header)
        size = writer_left(w) - header;
    *out = (struct sent_frame){.kind = KIND_STREAM,
                               .fin = f->fin && offset + size == end,
                               .size = (uint16_t)size,
                               .is_copy = true,
                               .id = f->id,
                               .offset = offset};
    neap_write_stream_header(w, f->id, offset, size, out->fin);
    neap_send_buffer_copy(data, offset, write_room(w, size), size);
    return COPY_WRITTEN;
}

bool neap_streams_has_to_send(const struct streams *s)
{
    return s->owes || !list_empty(&s->control) || first_to_send(s);
}

/* ---- what became of the frames */

void neap_streams_on_data_acked(struct streams *s, uint64_t id, uint64_t offset, size_t size, bool fin)
{
    struct stream *stream = neap_streams_find(s, id);

    if (!stream)
        return;
    const struct send_buffer *data = &stream->send->data;
    uint64_t base = data->base;
    neap_stream_send_on_acked(stream->send, s->pool, offset, size, fin);
    streams_uncount_queued(s, data->base - base, data->end - data->base);
    neap_streams_schedule(s, stream);
    streams_unblock(s, stream);
    neap_streams_settle(s, stream);
}

void neap_streams_on_acked(struct streams *s, const struct sent_frame *f)
{
    bool is_reset = f->kind == KIND_RESET_STREAM || f->kind == KIND_RESET_STREAM_AT;
    struct stream *stream = is_reset ? neap_streams_find(s, f->id) : NULL;

    if (f->kind == KIND_STREAM)
        neap_streams_on_data_acked(s, f->id, f->offset, f->size, f->fin);
    if (!stream)
        return;
    if (f->kind == KIND_RESET_STREAM) {
        neap_stream_send_on_reset_acked(stream->send);
        stream->owes &= (uint8_t)~OWES_RESET_STREAM;
    } else {
        const struct send_buffer *data = &stream->send->data;
        uint64_t base = data->base;

        neap_stream_send_on_reset_at_acked(stream->send, s->pool, f->offset);
        streams_uncount_queued(s, data->base - base, data->end - data->base);
        neap_streams_schedule(s, stream);
    }
    neap_streams_settle(s, stream);
}

void neap_streams_follow_window(struct streams *s, uint64_t window)
{
    uint32_t all = 2 * window < s->send_buffer_most ? (uint32_t)(2 * window) : s->send_buffer_most;
    uint32_t each = all / (s->table.count ? s->table.count : 1);

    s->send_buffer = each > s->send_buffer_least ? each : s->send_buffer_least;
}

static void stream_frame_lost(struct streams *s, struct stream *stream, const struct sent_frame *f)
{
    switch (f->kind) {
    case KIND_STREAM:
        neap_stream_send_on_lost(stream->send, s->pool, f->offset, f->size, f->fin);
        neap_streams_schedule(s, stream);
        break;
    case KIND_RESET_STREAM:
        if (stream->send->state == SEND_RESET_SENT)
            neap_streams_owe(s, stream, OWES_RESET_STREAM);
        break;
    case KIND_RESET_STREAM_AT:
        if (f->offset == stream->send->reliable_size && neap_stream_send_may_reset_at(stream->send))
            neap_streams_owe(s, stream, OWES_RESET_STREAM_AT);
        break;
    case KIND_STOP_SENDING:
        if (!neap_stream_recv_is_over(stream->recv))
            neap_streams_owe(s, stream, OWES_STOP_SENDING);
        break;
    case KIND_MAX_STREAM_DATA:
        if (stream->recv->limit == f->offset && stream->recv->state == RECV_OPEN &&
            !stream->recv->stop_sent && !stream->recv->stop_asked)
            neap_streams_owe(s, stream, OWES_MAX_STREAM_DATA);
        break;
    case KIND_STREAM_DATA_BLOCKED:
        if (stream->send->limit == f->offset && stream->send->is_blocked)
            neap_streams_owe(s, stream, OWES_STREAM_DATA_BLOCKED);
        break;
    }
}

void neap_streams_on_lost(struct streams *s, const struct sent_frame *f)
{
    struct stream *stream;

    switch (f->kind) {
    case KIND_MAX_DATA: s->owes |= f->offset == s->recv_limit ? OWES_MAX_DATA : 0; break;
    case KIND_MAX_STREAMS_BIDI: s->owes |= f->offset == s->theirs[0].limit ? OWES_MAX_STREAMS_BIDI : 0; break;
    case KIND_MAX_STREAMS_UNI: s->owes |= f->offset == s->theirs[1].limit ? OWES_MAX_STREAMS_UNI : 0; break;
    case KIND_DATA_BLOCKED:
        s->owes |= f->offset == s->send_limit && credit_left(s) == 0 ? OWES_DATA_BLOCKED : 0;
        break;
    case KIND_STREAMS_BLOCKED_BIDI:
        s->owes |= f->offset == s->ours[0].limit ? OWES_STREAMS_BLOCKED_BIDI : 0;
        break;
    case KIND_STREAMS_BLOCKED_UNI:
        s->owes |= f->offset == s->ours[1].limit ? OWES_STREAMS_BLOCKED_UNI : 0;
        break;
    default:
        stream = neap_streams_find(s, f->id);
        if (stream)
            stream_frame_lost(s, stream, f);
    }
}
