/* The application's verbs on streams: thin, since streams/ does it all. A closed connection has none. */
#include "quic/conn_trace.h"

#define TINY_RTT (5 * NEAP_MILLISECOND) /* of one house */

static bool is_alive(const neap_conn *c)
{
    return conn_is_alive(c);
}

/* The round trip that windows are measured by. Where it is tiny most of the smoothed one is time that packets wait for us and
 * the peer: a window that grows by that carries no more, and what is in flight leaves the caches. On longer ways the smoothed
 * one tells when the way has become another. */
static neap_time window_rtt(const neap_conn *c)
{
    const struct rtt *rtt = &conn_path(c)->recovery.rtt;

    return rtt->has_sample && rtt->min < TINY_RTT ? rtt->min : rtt->smoothed;
}

static void trace_opened(const neap_conn *c, uint64_t id)
{
    neap_conn_trace_stream(c, id, NEAP_TRACE_STREAM_OPEN, true);
    if (neap_stream_is_bidi(id))
        neap_conn_trace_stream(c, id, NEAP_TRACE_STREAM_OPEN, false);
}

int64_t neap_conn_stream_open(neap_conn *conn, bool bidirectional)
{
    neap_conn_wake(conn);
    if (conn->awaits_again)
        return is_alive(conn) ? NEAP_ERR_STATE : NEAP_ERR_CLOSED;
    if (!is_alive(conn))
        return NEAP_ERR_CLOSED;
    int64_t id = neap_streams_open(&conn->streams, bidirectional);
    if (conn_is_traced(conn) && id >= 0)
        trace_opened(conn, (uint64_t)id);
    return id;
}

/* The layer above keeps its framing on the streams that it holds: those that it marked, and all of the peer's. */
static bool is_held(const neap_conn *c, uint64_t id)
{
    return c->owner && (neap_stream_is_server_initiated(id) != c->is_server || neap_conn_stream_user(c, id));
}

int64_t neap_conn_stream_write(neap_conn *conn, uint64_t id, const void *data, size_t size, bool fin)
{
    if (!is_alive(conn))
        return NEAP_ERR_CLOSED;
    int64_t taken = neap_streams_send(&conn->streams, id, span_of(data, size), fin);
    return conn_moved(conn, id, false, taken, fin && taken == (int64_t)size);
}

int64_t neap_conn_stream_send(neap_conn *conn, uint64_t id, const void *data, size_t size, bool fin)
{
    neap_conn_wake(conn);
    return is_held(conn, id) ? NEAP_ERR_STREAM_STATE : neap_conn_stream_write(conn, id, data, size, fin);
}

int64_t neap_conn_stream_reserve(neap_conn *conn, uint64_t id, size_t ahead, size_t size, neap_part *parts,
                                 size_t *count)
{
    return is_alive(conn) ? neap_streams_reserve(&conn->streams, id, ahead, size, parts, count)
                          : NEAP_ERR_CLOSED;
}

int neap_conn_stream_commit(neap_conn *conn, uint64_t id, struct span head, size_t size, bool fin)
{
    neap_conn_wake(conn);
    if (!is_alive(conn))
        return NEAP_ERR_CLOSED;
    int err = neap_streams_commit(&conn->streams, id, head, size, fin);
    if (!err)
        conn_moved(conn, id, false, (int64_t)(head.size + size), fin);
    return err;
}

int64_t neap_conn_stream_capacity(const neap_conn *conn, uint64_t id)
{
    return is_alive(conn) ? neap_streams_capacity(&conn->streams, id) : NEAP_ERR_CLOSED;
}

int64_t neap_conn_stream_recv(neap_conn *conn, uint64_t id, void *out, size_t size, bool *fin)
{
    neap_conn_wake(conn);
    *fin = false;
    if (!is_alive(conn))
        return NEAP_ERR_CLOSED;
    if (is_held(conn, id))
        return NEAP_ERR_STREAM_STATE;
    int64_t got = neap_streams_recv(&conn->streams, id, out, size, fin, conn->now, window_rtt(conn));
    return conn_moved(conn, id, true, got, *fin);
}

int64_t neap_conn_stream_peek(neap_conn *conn, uint64_t id, struct span *view, bool *fin)
{
    *view = (struct span){0};
    *fin = false;
    return is_alive(conn) ? neap_streams_peek(&conn->streams, id, view, fin) : NEAP_ERR_CLOSED;
}

int64_t neap_conn_stream_views(neap_conn *conn, uint64_t id, size_t size, neap_view *views, size_t *count)
{
    return is_alive(conn) ? neap_streams_views(&conn->streams, id, size, views, count) : NEAP_ERR_CLOSED;
}

bool neap_conn_stream_consume(neap_conn *conn, uint64_t id, size_t size)
{
    neap_conn_wake(conn);
    return is_alive(conn) && neap_streams_consume(&conn->streams, id, size, conn->now, window_rtt(conn)) &&
           conn_moved(conn, id, true, (int64_t)size, false) >= 0;
}

void neap_conn_stream_end_seen(neap_conn *conn, uint64_t id)
{
    neap_conn_wake(conn);
    if (!is_alive(conn))
        return;
    conn_moved(conn, id, true, 0, true);
    neap_streams_end_seen(&conn->streams, id);
}

int neap_conn_stream_stop(neap_conn *conn, uint64_t id, uint64_t code)
{
    neap_conn_wake(conn);
    return is_alive(conn) ? neap_streams_stop(&conn->streams, id, code) : NEAP_ERR_CLOSED;
}

int neap_conn_stream_end(neap_conn *conn, uint64_t id, enum neap_shutdown direction, uint64_t code)
{
    neap_conn_wake(conn);
    if (!is_alive(conn))
        return NEAP_ERR_CLOSED;
    return code > VARINT_MAX ? NEAP_ERR_ARGUMENT : neap_streams_shutdown(&conn->streams, id, direction, code);
}

int neap_conn_stream_shutdown(neap_conn *conn, uint64_t id, enum neap_shutdown direction, uint64_t code)
{
    return is_held(conn, id) ? NEAP_ERR_STREAM_STATE : neap_conn_stream_end(conn, id, direction, code);
}

int neap_conn_stream_end_at(neap_conn *conn, uint64_t id, uint64_t code, uint64_t reliable_size)
{
    neap_conn_wake(conn);
    return is_alive(conn) ? neap_streams_reset_at(&conn->streams, id, code, reliable_size) : NEAP_ERR_CLOSED;
}

int neap_conn_stream_reset_at(neap_conn *conn, uint64_t id, uint64_t code, uint64_t reliable_size)
{
    return is_held(conn, id) ? NEAP_ERR_STREAM_STATE : neap_conn_stream_end_at(conn, id, code, reliable_size);
}

int neap_conn_stream_set_priority(neap_conn *conn, uint64_t id, unsigned urgency, bool incremental)
{
    if (!is_alive(conn))
        return NEAP_ERR_CLOSED;
    return urgency > 7 ? NEAP_ERR_ARGUMENT
                       : neap_streams_set_priority(&conn->streams, id, (uint8_t)urgency, incremental);
}

int neap_conn_stream_set_low_water(neap_conn *conn, uint64_t id, size_t size)
{
    if (!is_alive(conn))
        return NEAP_ERR_CLOSED;
    if (is_held(conn, id))
        return NEAP_ERR_STREAM_STATE;
    return neap_streams_set_low_water(&conn->streams, id, size < UINT32_MAX ? (uint32_t)size : UINT32_MAX);
}

const struct streams_counters *neap_conn_streams_counters(const neap_conn *conn)
{
    return &conn->streams.counters;
}

int neap_conn_stream_error(const neap_conn *conn, uint64_t id, enum neap_shutdown direction, uint64_t *code)
{
    return is_alive(conn) ? neap_streams_error(&conn->streams, id, direction, code) : NEAP_ERR_CLOSED;
}

bool neap_conn_stream_finished(const neap_conn *conn, uint64_t id)
{
    return !is_alive(conn) || neap_streams_finished(&conn->streams, id);
}

bool neap_conn_is_flushed(const neap_conn *conn)
{
    return !is_alive(conn) || neap_streams_is_flushed(&conn->streams);
}

int64_t neap_conn_stream_readable_next(neap_conn *conn)
{
    return is_alive(conn) ? neap_streams_readable_next(&conn->streams) : -1;
}

int64_t neap_conn_stream_writable_next(neap_conn *conn)
{
    return is_alive(conn) ? neap_streams_writable_next(&conn->streams) : -1;
}

size_t neap_conn_readable(const neap_conn *conn, uint64_t *ids, size_t max)
{
    return is_alive(conn) ? neap_streams_list(&conn->streams, true, ids, max) : 0;
}

size_t neap_conn_writable(const neap_conn *conn, uint64_t *ids, size_t max)
{
    return is_alive(conn) ? neap_streams_list(&conn->streams, false, ids, max) : 0;
}

uint64_t neap_conn_streams_left(const neap_conn *conn, bool bidirectional)
{
    const struct stream_limits *ours = &conn->streams.ours[bidirectional ? 0 : 1];

    return is_alive(conn) && ours->limit > ours->next ? ours->limit - ours->next : 0;
}

void *neap_conn_stream_user(const neap_conn *conn, uint64_t id)
{
    const struct stream *stream = is_alive(conn) ? neap_streams_find(&conn->streams, id) : NULL;

    return stream ? stream->user : NULL;
}

struct stream *neap_conn_hold(neap_conn *conn, uint64_t id, void *user)
{
    return is_alive(conn) ? neap_streams_hold(&conn->streams, id, user) : NULL;
}

void neap_conn_release(neap_conn *conn, struct stream *held)
{
    if (is_alive(conn))
        neap_stream_release(&conn->streams, held);
}

int64_t neap_conn_held_peek(neap_conn *conn, struct stream *held, struct span *view, bool *fin)
{
    return is_alive(conn) ? neap_stream_peek(&conn->streams, held, view, fin) : NEAP_ERR_CLOSED;
}

bool neap_conn_held_consume(neap_conn *conn, struct stream *held, size_t size)
{
    neap_conn_wake(conn);
    return is_alive(conn) && neap_stream_consume(&conn->streams, held, size, conn->now, window_rtt(conn)) &&
           conn_moved(conn, stream_id(held), true, (int64_t)size, false) >= 0;
}

void neap_conn_held_end_seen(neap_conn *conn, struct stream *held)
{
    neap_conn_wake(conn);
    if (!is_alive(conn))
        return;
    conn_moved(conn, stream_id(held), true, 0, true);
    neap_stream_end_seen(&conn->streams, held);
}

static uint64_t size_of(const struct span *parts, size_t count)
{
    uint64_t size = 0;

    for (size_t i = 0; i < count; i++)
        size += parts[i].size;
    return size;
}

int neap_conn_held_queue(neap_conn *conn, struct stream *held, const struct span *parts, size_t count,
                         bool fin)
{
    neap_conn_wake(conn);
    if (!is_alive(conn))
        return NEAP_ERR_CLOSED;
    int err = neap_stream_queue(&conn->streams, held, parts, count, fin);
    if (conn_is_traced(conn) && !err)
        neap_conn_trace_data(conn, stream_id(held), false, size_of(parts, count), fin);
    return err;
}

int64_t neap_conn_held_capacity(const neap_conn *conn, const struct stream *held)
{
    return is_alive(conn) ? neap_stream_capacity(&conn->streams, held) : NEAP_ERR_CLOSED;
}

void neap_conn_held_put_first(neap_conn *conn, struct stream *held)
{
    if (is_alive(conn))
        neap_streams_put_first(&conn->streams, held);
}

void neap_conn_held_keep_priority(neap_conn *conn, struct stream *held)
{
    if (is_alive(conn))
        held->keeps_priority = true;
}

void neap_conn_stream_ask_priority(neap_conn *conn, uint64_t id, unsigned urgency, bool incremental)
{
    const struct stream *stream = is_alive(conn) ? neap_streams_find(&conn->streams, id) : NULL;

    if (stream && !stream->keeps_priority)
        neap_conn_stream_set_priority(conn, id, urgency, incremental);
}

bool neap_conn_may_open(const neap_conn *conn, uint64_t id)
{
    return id >> 2 < conn->streams.theirs[neap_stream_is_bidi(id) ? 0 : 1].limit;
}
