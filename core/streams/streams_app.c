/* The application's side of the streams: open, send, shut down, and the marks that tell it what changed. */
#include "base/limits.h"
#include "base/pool.h"
#include "streams/streams_inner.h"

int neap_streams_call(struct streams *s, uint64_t id, struct stream **out)
{
    if (neap_streams_place(s, id, out) == PLACE_UNSEEN) {
        *out = neap_streams_create(s, id);
        return *out ? 0 : NEAP_ERR_NO_MEMORY;
    }
    if (!*out)
        return NEAP_ERR_STREAM_STATE;
    s->recent = *out;
    return 0;
}

int64_t neap_streams_open(struct streams *s, bool bidi)
{
    struct stream_limits *l = &s->ours[bidi ? 0 : 1];

    neap_streams_reap(s);
    if (l->next >= l->limit) {
        if (l->blocked_at != l->limit + 1)
            s->owes |= bidi ? OWES_STREAMS_BLOCKED_BIDI : OWES_STREAMS_BLOCKED_UNI;
        l->blocked_at = l->limit + 1;
        return NEAP_ERR_STREAM_LIMIT;
    }
    uint64_t id = l->next << 2 | (bidi ? 0 : 2) | (s->is_server ? 1 : 0);
    if (neap_streams_is_full(s, true))
        return NEAP_ERR_LIMIT;
    return neap_streams_create(s, id) ? (int64_t)id : NEAP_ERR_NO_MEMORY;
}

/* ---- sending */

/* Whether the application may queue more. */
static int check_sendable(const struct stream *stream)
{
    if (!stream->has_send)
        return NEAP_ERR_STREAM_STATE;
    if (stream->send->stopped)
        return NEAP_ERR_STREAM_STOPPED;
    bool takes_more = stream_send_is_live(stream->send) && !stream->send->fin_queued && !stream->send->resets;
    return takes_more ? 0 : NEAP_ERR_STREAM_STATE;
}

static uint64_t most(uint64_t a, uint64_t b)
{
    return a > b ? a : b;
}

/* 0 where it would be negative. */
static uint64_t less(uint64_t a, uint64_t b)
{
    return a > b ? a - b : 0;
}

/* What the connection's credit leaves. */
static uint64_t credit_unclaimed(const struct streams *s)
{
    return less(less(s->send_limit, s->send_used), s->unsent);
}

/* What the credit of the stream and of the connection leaves, and a little beyond it. */
static uint64_t room_by_credit(const struct streams *s, const struct stream_send *send)
{
    uint64_t unsent = send->data.end - send->data.highest;

    if (s->send_ahead == 0)
        return UINT64_MAX;
    return streams_least(less(send->limit + s->send_ahead, send->data.end),
                         most(credit_unclaimed(s), less(s->send_ahead, unsent)));
}

/* What the budget and the connection's own bound leave: of the budget for the connection as much as for others, of which the
 * streams that hold something have equal parts. Where the peer waits for a stream it gets something, or a connection whose
 * other streams have no credit would stand still. */
static uint64_t room_by_budget(const struct streams *s, const struct stream_send *send)
{
    const struct streams_budget *budget = s->budget;
    uint64_t held = send->data.end - send->data.base;
    bool is_waited_for = held == 0 && send->data.end < send->limit && s->send_used < s->send_limit;

    if (budget->send_most == 0 && s->send_most == 0)
        return UINT64_MAX;
    /* What is queued now is not left any more: half of the difference makes both the same. */
    uint64_t share = less(budget->send_most, budget->send_held + s->send_held) / 2;
    uint64_t room =
        budget->send_most ? most(share, less(LIMIT_SEND_FLOOR, s->send_held)) : UINT64_MAX - s->send_held;
    if (s->send_most)
        room = streams_least(room, less(s->send_most, s->send_held));
    uint64_t part = (s->send_held + room) / (s->send_holders + (held == 0));
    room = streams_least(room, less(part, held));
    return is_waited_for ? most(room, LIMIT_SEND_LEAST) : room;
}

static uint64_t room_left(const struct streams *s, const struct stream_send *send)
{
    uint64_t room = less(s->send_buffer, send->data.end - send->data.base);

    return streams_least(room, streams_least(room_by_credit(s, send), room_by_budget(s, send)));
}

/* So many bytes were queued. */
static void count_queued(struct streams *s, const struct stream *stream, uint64_t size)
{
    s->send_holders += size > 0 && stream->send->data.end - stream->send->data.base == size;
    s->send_held += size;
    s->budget->send_held += size;
    s->unsent += size;
}

/* How much has to be free. */
static uint64_t mark_of(const struct streams *s, const struct stream_send *send)
{
    return send->low_water ? streams_least(send->low_water, s->send_buffer)
                           : streams_least(LIMIT_SEND_LEAST, s->send_buffer / 4);
}

/* Not for every packet: when a quarter of the buffer is free, and a good deal of what bounds it. Where the application said
 * how much, that has to come; but what holds nothing may never have so much credit. */
static bool has_good_room(const struct streams *s, const struct stream_send *send)
{
    uint64_t held = send->data.end - send->data.base, room = room_left(s, send);

    if (send->low_water == 0)
        return held <= s->send_buffer - s->send_buffer / 4 && room >= mark_of(s, send);
    return room >= mark_of(s, send) || (held == 0 && room > 0);
}

/* A stream that is blocked is looked at when something of its own comes, and in `blocked` when the connection gets
 * credit: it is there only while that is what it lacks. */
static void await_credit(struct streams *s, struct stream *stream)
{
    bool lacks = s->send_ahead && credit_unclaimed(s) < mark_of(s, stream->send);

    if (lacks && !list_linked(&stream->writable_link))
        list_append(&s->blocked, &stream->writable_link);
    else if (!lacks)
        list_remove(&stream->writable_link);
}

void neap_streams_unblock_full(struct streams *s, struct stream *stream)
{
    if (!has_good_room(s, stream->send)) {
        await_credit(s, stream);
        return;
    }
    stream->send->blocked_app = false;
    list_remove(&stream->writable_link);
    neap_streams_mark_writable(s, stream);
}

static void set_blocked(struct streams *s, struct stream *stream, bool is_blocked)
{
    if (is_blocked != stream->send->blocked_app)
        list_remove(&stream->writable_link); /* told, which it is not any more, or waiting for credit */
    if (is_blocked && !stream->send->blocked_app) {
        s->budget->waits_for_budget += room_by_budget(s, stream->send) == 0;
        s->budget->waits_for_credit += room_by_credit(s, stream->send) == 0;
    }
    stream->send->blocked_app = is_blocked;
    if (is_blocked)
        await_credit(s, stream);
}

/* The same; the application learns of a stop by this. */
static int claim_sendable(struct streams *s, struct stream *stream)
{
    int error = check_sendable(stream);

    if (error == NEAP_ERR_STREAM_STOPPED) {
        stream->app_done_send = true;
        neap_streams_settle(s, stream);
    }
    return error;
}

static int find_sendable(struct streams *s, uint64_t id, struct stream **out)
{
    int error = neap_streams_call(s, id, out);

    return error ? error : claim_sendable(s, *out);
}

static void queue_fin(struct stream *stream)
{
    stream->send->fin_queued = true;
    stream->app_done_send = true;
}

int64_t neap_streams_send(struct streams *s, uint64_t id, struct span data, bool fin)
{
    struct stream *stream;

    int error = find_sendable(s, id, &stream);
    if (error)
        return error;
    uint64_t room = room_left(s, stream->send);
    struct span part = span_of(data.data, data.size < room ? data.size : (size_t)room);
    size_t taken = neap_send_buffer_append(&stream->send->data, s->pool, part);
    if (taken == data.size && fin)
        queue_fin(stream);
    count_queued(s, stream, taken);
    if (taken < data.size || stream->send->blocked_app)
        set_blocked(s, stream, taken < data.size);
    neap_streams_schedule(s, stream);
    if (taken > 0 || data.size == 0)
        return (int64_t)taken;
    /* A stream that holds nothing would never become writable by acknowledgements. */
    return stream->send->data.end == stream->send->data.base && room > 0 ? NEAP_ERR_NO_MEMORY
                                                                         : NEAP_ERR_AGAIN;
}

int neap_streams_set_low_water(struct streams *s, uint64_t id, uint32_t size)
{
    struct stream *stream;

    int error = find_sendable(s, id, &stream);
    if (error)
        return error;
    stream->send->low_water = size;
    if (has_good_room(s, stream->send))
        streams_unblock(s, stream);
    else
        set_blocked(s, stream, size > 0 || stream->send->blocked_app);
    return 0;
}

int neap_streams_queue(struct streams *s, uint64_t id, const struct span *parts, size_t count, bool fin)
{
    struct stream *stream;
    int error = neap_streams_call(s, id, &stream);

    return error ? error : neap_stream_queue(s, stream, parts, count, fin);
}

int neap_stream_queue(struct streams *s, struct stream *stream, const struct span *parts, size_t count,
                      bool fin)
{
    uint64_t size = 0;
    int error = claim_sendable(s, stream);

    if (error)
        return error;
    for (size_t i = 0; i < count; i++)
        size += parts[i].size;
    size_t taken = neap_send_buffer_gather(&stream->send->data, s->pool, parts, count);
    bool is_whole = taken == size;
    count_queued(s, stream, taken);
    if (is_whole && fin)
        queue_fin(stream);
    neap_streams_schedule(s, stream);
    return is_whole ? 0 : NEAP_ERR_NO_MEMORY;
}

int64_t neap_streams_reserve(struct streams *s, uint64_t id, size_t ahead, size_t size, neap_part *parts,
                             size_t *count)
{
    struct stream *stream;

    int error = find_sendable(s, id, &stream);
    if (error)
        return error;
    size_t held = neap_send_buffer_reserve(&stream->send->data, s->pool, ahead, size, parts, count);
    return held > 0 || size == 0 ? (int64_t)held : NEAP_ERR_NO_MEMORY;
}

int neap_streams_commit(struct streams *s, uint64_t id, struct span head, size_t size, bool fin)
{
    struct stream *stream;

    int error = find_sendable(s, id, &stream);
    if (error)
        return error;
    if (!neap_send_buffer_commit(&stream->send->data, s->pool, head, size))
        return NEAP_ERR_ARGUMENT;
    count_queued(s, stream, head.size + size);
    if (fin)
        queue_fin(stream);
    neap_streams_schedule(s, stream);
    return 0;
}

int64_t neap_streams_capacity(const struct streams *s, uint64_t id)
{
    struct stream *stream;
    enum stream_place place = neap_streams_place(s, id, &stream);

    if (place == PLACE_UNSEEN && neap_stream_is_bidi(id)) {
        struct stream_send first = neap_stream_send_of(neap_streams_initial_send(s, id));

        return (int64_t)room_left(s, &first);
    }
    return stream ? neap_stream_capacity(s, stream) : NEAP_ERR_STREAM_STATE;
}

int64_t neap_stream_capacity(const struct streams *s, const struct stream *stream)
{
    int error = check_sendable(stream);

    return error ? error : (int64_t)room_left(s, stream->send);
}

/* ---- shutting down */

static int shutdown_read(struct streams *s, struct stream *stream, uint64_t code)
{
    struct stream_recv *r = stream->recv;

    if (!stream->has_recv)
        return NEAP_ERR_STREAM_STATE;
    if (r->stop_sent || neap_stream_recv_is_over(r))
        return 0;
    /* RFC 9000 §3.5: STOP_SENDING has a meaning only while the peer may still send. */
    if (r->state == RECV_OPEN || r->state == RECV_SIZE_KNOWN) {
        s->counters.stops_sent += !r->stop_asked;
        neap_streams_owe(s, stream, OWES_STOP_SENDING);
    }
    stream->owes &= (uint8_t)~OWES_MAX_STREAM_DATA;
    uint64_t read = r->data.read;
    neap_stream_recv_stop(r, s->pool, code);
    neap_streams_count_held(s, stream);
    neap_streams_credit(s, r->data.read - read, 0, 0);
    list_remove(&stream->recv->readable_link);
    stream->app_done_recv = true;
    return 0;
}

int neap_streams_stop(struct streams *s, uint64_t id, uint64_t code)
{
    struct stream *stream;

    int error = neap_streams_call(s, id, &stream);
    if (error)
        return error;
    struct stream_recv *r = stream->recv;
    if (!stream->has_recv)
        return NEAP_ERR_STREAM_STATE;
    if (r->stop_sent || r->stop_asked || (r->state != RECV_OPEN && r->state != RECV_SIZE_KNOWN))
        return 0;
    r->stop_asked = true;
    s->counters.stops_sent++;
    r->stop_code = code;
    stream->owes &= (uint8_t)~OWES_MAX_STREAM_DATA;
    neap_streams_owe(s, stream, OWES_STOP_SENDING);
    return 0;
}

static int shutdown_write(struct streams *s, struct stream *stream, uint64_t code)
{
    if (!stream->has_send)
        return NEAP_ERR_STREAM_STATE;
    stream->app_done_send = true;
    list_remove(&stream->writable_link);
    neap_streams_drop_queued(s, stream);
    if (neap_stream_send_reset(stream->send, s->pool, code)) {
        s->counters.resets_sent += !stream->send->resets;
        stream->owes &= (uint8_t)~OWES_RESET_STREAM_AT;
        neap_streams_owe(s, stream, OWES_RESET_STREAM);
        neap_streams_schedule(s, stream);
    }
    return 0;
}

int neap_streams_reset_at(struct streams *s, uint64_t id, uint64_t code, uint64_t reliable_size)
{
    struct stream *stream;

    if (code > VARINT_MAX)
        return NEAP_ERR_ARGUMENT;
    if (!s->peer_takes_reset_at)
        return NEAP_ERR_UNSUPPORTED;
    int error = neap_streams_call(s, id, &stream);
    if (error)
        return error;
    struct stream_send *send = stream->send;
    uint64_t end = send->data.end, most = send->resets ? send->reliable_size : end;
    if (reliable_size == NEAP_RESET_AT_ALL)
        reliable_size = most;
    if (!stream->has_send)
        return NEAP_ERR_STREAM_STATE;
    if (reliable_size > most)
        return NEAP_ERR_ARGUMENT;
    s->counters.resets_sent += !send->resets && stream_send_is_live(send);
    bool is_new = !send->resets || reliable_size < send->reliable_size;
    if (!is_new || !neap_stream_send_reset_at(send, s->pool, code, reliable_size))
        return 0;
    streams_uncount_queued(s, end - send->data.end, send->data.end - send->data.base);
    s->unsent -= end - send->data.end;
    stream->app_done_send = true;
    list_remove(&stream->writable_link);
    if (neap_stream_send_may_reset_at(send))
        neap_streams_owe(s, stream, OWES_RESET_STREAM_AT);
    neap_streams_schedule(s, stream);
    neap_streams_settle(s, stream);
    return 0;
}

int neap_streams_shutdown(struct streams *s, uint64_t id, enum neap_shutdown direction, uint64_t code)
{
    struct stream *stream;

    if (code > VARINT_MAX)
        return NEAP_ERR_ARGUMENT;
    int error = neap_streams_call(s, id, &stream);
    if (error)
        return error;
    error =
        direction == NEAP_SHUTDOWN_READ ? shutdown_read(s, stream, code) : shutdown_write(s, stream, code);
    if (error == 0)
        neap_streams_settle(s, stream);
    return error;
}

int neap_streams_error(const struct streams *s, uint64_t id, enum neap_shutdown direction, uint64_t *code)
{
    struct stream *stream;
    enum stream_place place = neap_streams_place(s, id, &stream);

    if (place == PLACE_UNSEEN)
        return NEAP_ERR_AGAIN;
    if (!stream)
        return NEAP_ERR_STREAM_STATE;
    bool is_read = direction == NEAP_SHUTDOWN_READ;
    bool came = is_read ? stream->recv->state == RECV_RESET || stream->recv->state == RECV_RESET_READ
                        : stream->send->stopped;
    if (!came)
        return NEAP_ERR_AGAIN;
    *code = is_read ? stream->recv->reset_code : stream->send->stop_code;
    return 0;
}

bool neap_streams_finished(const struct streams *s, uint64_t id)
{
    struct stream *stream;
    enum stream_place place = neap_streams_place(s, id, &stream);

    if (stream)
        return !stream->has_recv || neap_stream_recv_is_over(stream->recv);
    return place == PLACE_CLOSED;
}

struct stream *neap_streams_hold(struct streams *s, uint64_t id, void *user)
{
    struct stream *stream;

    /* What has ended already has no place for a new object. */
    if (neap_streams_call(s, id, &stream) || list_linked(&stream->ended_link))
        return NULL;
    stream->user = user;
    return stream;
}

void neap_stream_release(struct streams *s, struct stream *stream)
{
    stream->user = NULL;
    neap_streams_settle(s, stream);
}

/* ---- marks */

int64_t neap_streams_readable_next(struct streams *s)
{
    struct list_link *link = list_take_first(&s->readable);

    if (!link)
        return -1;
    s->recent = stream_of_recv(LIST_OWNER(link, struct stream_recv, readable_link));
    return (int64_t)stream_id(s->recent);
}

/* Credit of the connection came: looked at once for all frames that brought some. Each stream in the list is told, or lacks
 * something else and leaves the list, for both of which it had to be sent on; those that lack still more credit go to the
 * end, so many at a time. */
static void unblock_some(struct streams *s)
{
    const struct list_link *last = s->blocked.prev;
    unsigned in_vain = 0;
    bool was_last = list_empty(&s->blocked);

    while (!was_last && in_vain < LIMIT_BLOCKED_LOOKS && credit_unclaimed(s) > 0) {
        struct stream *stream = LIST_OWNER(s->blocked.next, struct stream, writable_link);

        was_last = &stream->writable_link == last;
        list_remove(&stream->writable_link);
        neap_streams_unblock_full(s, stream);
        in_vain += stream->send->blocked_app;
    }
    s->credit_came = !was_last && in_vain == LIMIT_BLOCKED_LOOKS;
}

int64_t neap_streams_writable_next(struct streams *s)
{
    if (s->credit_came)
        unblock_some(s);
    struct list_link *link = list_take_first(&s->writable);

    if (!link)
        return -1;
    struct stream *stream = LIST_OWNER(link, struct stream, writable_link);
    if (stream->send->stopped) {
        stream->app_done_send = true;
        neap_streams_settle(s, stream);
    }
    return (int64_t)stream_id(stream);
}

size_t neap_streams_list(const struct streams *s, bool readable, uint64_t *ids, size_t max)
{
    struct map_walk walk = {0};
    const struct stream *stream;
    size_t count = 0;

    while (count < max && (stream = neap_streams_walk(s, &walk))) {
        bool listed = readable ? stream->has_recv && neap_stream_recv_is_readable(stream->recv)
                               : check_sendable(stream) == 0 && room_left(s, stream->send) > 0;

        if (listed)
            ids[count++] = stream_id(stream);
    }
    return count;
}

bool neap_streams_is_flushed(const struct streams *s)
{
    struct map_walk walk = {0};
    const struct stream *stream;

    while ((stream = neap_streams_walk(s, &walk))) {
        bool is_ending = stream->has_send && (stream->send->fin_queued || stream->send->resets ||
                                              stream->send->state == SEND_RESET_SENT);

        if (is_ending && !neap_stream_send_is_over(stream->send))
            return false;
    }
    return true;
}
