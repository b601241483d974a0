/* The frames that arrive for streams (RFC 9000 §19.4-19.14). */
#include "streams/streams_inner.h"

#include "base/limits.h"

enum frame_side { TO_RECEIVER, TO_SENDER };

struct target {
    enum stream_place place;
    struct stream *stream; /* NULL unless it is live */
};

/* Which stream a frame names, and whether it may: STREAM_STATE_ERROR for a side that does not exist or a stream of ours
 * that was never opened, STREAM_LIMIT_ERROR past what we announced. Nothing is made. */
static int aim(const struct streams *s, uint64_t id, enum frame_side side, struct target *out,
               struct failure *why)
{
    bool is_ours = stream_is_ours(s, id);

    if (side == TO_RECEIVER && is_ours && !neap_stream_is_bidi(id))
        return neap_fail(why, NEAP_STREAM_STATE_ERROR, "frame for the receiving part of a send-only stream");
    if (side == TO_SENDER && !is_ours && !neap_stream_is_bidi(id))
        return neap_fail(why, NEAP_STREAM_STATE_ERROR, "frame for the sending part of a receive-only stream");
    out->place = neap_streams_place(s, id, &out->stream);
    if (out->place == PLACE_FUTURE)
        return neap_fail(why, NEAP_STREAM_STATE_ERROR, "frame for a stream that was not opened");
    if (out->place == PLACE_NEW && id >> 2 >= s->theirs[stream_kind(id)].limit)
        return neap_fail(why, NEAP_STREAM_LIMIT_ERROR, "stream past MAX_STREAMS");
    return 0;
}

/* Make the stream of a frame whose checks have passed. */
static int find_target(struct streams *s, uint64_t id, struct target *target)
{
    if (!target->stream)
        target->stream = neap_streams_create(s, id);
    return target->stream ? 0 : NEAP_ERR_NO_MEMORY;
}

/* The stream of a frame for the sending part; NULL when it is over. */
static int find_sender(struct streams *s, uint64_t id, struct stream **out, struct failure *why)
{
    struct target target;
    int error = aim(s, id, TO_SENDER, &target, why);

    if (error == 0 && target.place != PLACE_CLOSED)
        error = find_target(s, id, &target);
    *out = error ? NULL : target.stream;
    return error;
}

/* Both flow control limits, and the final size, for a frame that reaches up to `end`. */
static int check_end(const struct streams *s, uint64_t id, const struct stream *stream, uint64_t end,
                     bool is_final, struct failure *why)
{
    struct stream_recv first;
    const struct stream_recv *r = stream ? stream->recv : &first;

    if (!stream)
        first = neap_stream_recv_of(neap_streams_initial_recv(s, id));
    int error = neap_stream_recv_check(r, end, is_final, why);
    if (error)
        return error;
    if (end > r->highest && end - r->highest > s->recv_limit - s->recv_used)
        return neap_fail(why, NEAP_FLOW_CONTROL_ERROR, "stream data past MAX_DATA");
    return 0;
}

/* The stream of a frame that reaches up to `end` of the receiving part; NULL when it is over. What was named last most often
 * is named again: that one is live. */
static int find_receiver(struct streams *s, uint64_t id, uint64_t end, bool is_final, struct stream **out,
                         struct failure *why)
{
    struct target target = {.place = PLACE_LIVE, .stream = s->recent};
    bool is_recent = s->recent && stream_id(s->recent) == id && s->recent->has_recv;
    int error = is_recent ? 0 : aim(s, id, TO_RECEIVER, &target, why);

    if (error == 0 && target.place != PLACE_CLOSED)
        error = check_end(s, id, target.stream, end, is_final, why);
    if (error == 0 && target.place != PLACE_CLOSED)
        error = find_target(s, id, &target);
    *out = error ? NULL : target.stream;
    return error;
}

/* Count what a frame added to a stream's highest offset, and what of it was dropped rather than kept for reading. */
static void count_received(struct streams *s, struct stream *stream, uint64_t highest, uint64_t read,
                           neap_time now)
{
    uint64_t added = stream->recv->highest - highest;

    s->recv_used += added;
    neap_streams_count_held(s, stream);
    neap_streams_credit(s, stream->recv->data.read - read, now, 0);
}

/* Data for which the budget has no room. Repetitions are none: the peer waits for their acknowledgement. */
static bool is_too_much(const struct streams *s, const struct stream *stream, const struct frame_stream *f)
{
    const struct reassembly *data = &stream->recv->data;

    if (s->budget->receive_most == 0 || s->budget->receive_held < s->budget->receive_most ||
        s->held < LIMIT_RECEIVE_FLOOR)
        return false;
    return !stream->recv->stop_sent && neap_reassembly_is_news(data, f->offset, f->data.size) &&
           !neap_reassembly_is_next(data, f->offset, f->data.size);
}

size_t neap_streams_memory(const struct streams *s)
{
    return s->held + s->table.count * STREAM_MEMORY;
}

size_t neap_streams_growth(const struct streams *s, const struct frame_stream *f)
{
    const struct stream *stream = neap_streams_find(s, f->id);
    struct stream_recv first = neap_stream_recv_of(neap_streams_initial_recv(s, f->id));
    const struct stream_recv *r = stream ? stream->recv : &first;
    size_t made = stream ? 0 : STREAM_MEMORY;

    /* Sums do not overflow: the limit is far below 2^64, and nothing of a packet is larger. */
    if (r->stop_sent || f->offset > r->limit || f->offset + f->data.size > r->limit)
        return made;
    return made + neap_reassembly_growth(&r->data, f->offset, f->data.size);
}

int neap_streams_on_stream(struct streams *s, const struct frame_stream *f, neap_time now,
                           struct failure *why)
{
    struct stream *stream;
    bool news;

    if (!list_empty(&s->ended))
        neap_streams_reap(s);
    if (f->offset > VARINT_MAX || f->data.size > VARINT_MAX - f->offset)
        return neap_fail(why, NEAP_FRAME_ENCODING_ERROR, "STREAM past 2^62-1");
    int error = find_receiver(s, f->id, f->offset + f->data.size, f->fin, &stream, why);
    if (!stream)
        return error;
    s->recent = stream;
    if (is_too_much(s, stream, f))
        return NEAP_ERR_LIMIT;
    uint64_t highest = stream->recv->highest, read = stream->recv->data.read;
    enum recv_state state = stream->recv->state;
    error = neap_stream_recv_insert(stream->recv, s->pool, f->offset, f->data, f->fin, &news);
    if (error) {
        /* What was copied before it failed stays in its room, for when it comes again. */
        neap_streams_count_held(s, stream);
        return error;
    }
    /* Bytes that came before count too: the peer repeats them when it takes a packet for lost. */
    s->progress += f->data.size > 0 || state != stream->recv->state;
    if (!stream->recv->window_grown_at)
        stream->recv->window_grown_at = now;
    if (!s->window_grown_at)
        s->window_grown_at = now;
    count_received(s, stream, highest, read, now);
    if (news)
        streams_mark_readable(s, stream);
    /* While its end has not come, neither has the stream's. */
    if (stream->recv->state != RECV_OPEN)
        neap_streams_settle(s, stream);
    return 0;
}

int neap_streams_on_reset_stream(struct streams *s, const struct frame_reset_stream *f, struct failure *why)
{
    struct stream *stream;

    int error = find_receiver(s, f->id, f->final_size, true, &stream, why);
    if (!stream)
        return error;
    uint64_t highest = stream->recv->highest, read = stream->recv->data.read;
    if (stream->recv->resets && f->code != stream->recv->reset_code)
        return neap_fail(why, NEAP_STREAM_STATE_ERROR, "another code of a reset");
    if (!neap_stream_recv_reset(stream->recv, s->pool, f->code, f->final_size))
        return 0;
    s->progress++;
    s->counters.resets_received += !stream->recv->resets;
    count_received(s, stream, highest, read, 0);
    if (!stream->recv->stop_sent)
        streams_mark_readable(s, stream);
    neap_streams_settle(s, stream);
    return 0;
}

int neap_streams_on_reset_stream_at(struct streams *s, const struct frame_reset_stream *f,
                                    struct failure *why)
{
    struct stream *stream;
    bool news;

    if (!s->takes_reset_at)
        return neap_fail(why, NEAP_FRAME_ENCODING_ERROR,
                         "RESET_STREAM_AT to us, who did not offer to take it");
    int error = find_receiver(s, f->id, f->final_size, true, &stream, why);
    if (!stream)
        return error;
    struct stream_recv before = *stream->recv;
    error = neap_stream_recv_reset_at(stream->recv, s->pool, f, &news, why);
    if (error)
        return error;
    bool is_first = stream->recv->resets && !before.resets;
    s->counters.resets_received += is_first;
    s->progress += is_first || stream->recv->state != before.state;
    count_received(s, stream, before.highest, before.data.read, 0);
    if (news)
        streams_mark_readable(s, stream);
    neap_streams_settle(s, stream);
    return 0;
}

int neap_streams_on_stop_sending(struct streams *s, const struct frame_stop_sending *f, struct failure *why)
{
    struct stream *stream;

    int error = find_sender(s, f->id, &stream, why);
    if (!stream)
        return error;
    neap_streams_drop_queued(s, stream);
    /* RFC 9000 §3.5: answered with RESET_STREAM that carries the same code. */
    if (!neap_stream_send_reset(stream->send, s->pool, f->code))
        return 0;
    s->progress++;
    stream->send->stopped = true;
    stream->send->stop_code = f->code;
    s->counters.stops_received++;
    s->counters.resets_sent++;
    neap_streams_owe(s, stream, OWES_RESET_STREAM);
    neap_streams_schedule(s, stream);
    stream->owes &= (uint8_t)~OWES_RESET_STREAM_AT;
    list_remove(&stream->writable_link); /* it may wait for credit there */
    neap_streams_mark_writable(s, stream);
    return 0;
}

void neap_streams_on_max_data(struct streams *s, uint64_t limit)
{
    if (limit > s->send_limit) {
        s->progress++;
        s->send_limit = limit;
        s->is_data_blocked = false;
        s->credit_came = true;
        s->owes &= (uint8_t)~OWES_DATA_BLOCKED;
    }
}

int neap_streams_on_max_stream_data(struct streams *s, uint64_t id, uint64_t limit, struct failure *why)
{
    struct stream *stream;

    int error = find_sender(s, id, &stream, why);
    if (!stream)
        return error;
    if (limit > stream->send->limit) {
        s->progress++;
        stream_send_raise(stream->send, limit);
        neap_streams_schedule(s, stream);
        streams_unblock(s, stream);
    }
    return 0;
}

int neap_streams_on_max_streams(struct streams *s, bool bidi, uint64_t limit, struct failure *why)
{
    struct stream_limits *l = &s->ours[bidi ? 0 : 1];

    if (limit > MAX_STREAM_COUNT)
        return neap_fail(why, NEAP_FRAME_ENCODING_ERROR, "MAX_STREAMS above 2^60");
    if (limit > l->limit) {
        s->progress++;
        l->limit = limit;
        s->owes &= (uint8_t) ~(bidi ? OWES_STREAMS_BLOCKED_BIDI : OWES_STREAMS_BLOCKED_UNI);
    }
    return 0;
}

int neap_streams_on_stream_data_blocked(struct streams *s, uint64_t id, struct failure *why)
{
    struct target target;

    /* Credit is given by what is read, not by who asks; the frame only opens the stream. */
    s->counters.stream_data_blocked_received++;
    int error = aim(s, id, TO_RECEIVER, &target, why);
    if (error || target.place == PLACE_CLOSED)
        return error;
    return find_target(s, id, &target);
}

int neap_streams_on_streams_blocked(struct streams *s, bool bidi, uint64_t limit, struct failure *why)
{
    if (limit > MAX_STREAM_COUNT)
        return neap_fail(why, NEAP_FRAME_ENCODING_ERROR, "STREAMS_BLOCKED above 2^60");
    s->counters.streams_blocked_received++;
    neap_streams_grow(s, bidi ? 0 : 1);
    return 0;
}

void neap_streams_on_data_blocked(struct streams *s)
{
    s->counters.data_blocked_received++;
}
