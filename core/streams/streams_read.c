/* The application reads from streams, and what it took is credit again. */
#include "base/limits.h"
#include "streams/streams_inner.h"

/* Double a window that lasted less than two round trips for its half: the reader is faster than the window, which holds up to
 * four times what is read in a round trip by that. It stays as it is while much of the memory waits for readers that are not. */
static bool grow_window(const struct streams_budget *budget, uint64_t *window, uint64_t max,
                        neap_time *grown_at, neap_time now, neap_time rtt)
{
    bool has_room =
        budget->receive_most == 0 || budget->receive_held < budget->receive_most / LIMIT_RECEIVE_GROWTH_SHARE;
    bool grows = has_room && rtt && now - *grown_at < 2 * rtt && *window < max;

    if (grows)
        *window = *window < max - *window ? *window * 2 : max;
    *grown_at = now;
    return grows;
}

void neap_streams_credit(struct streams *s, uint64_t size, neap_time now, neap_time rtt)
{
    s->recv_read += size;
    if (size == 0 || s->owes & OWES_MAX_DATA || s->recv_limit - s->recv_read > s->recv_window / 2)
        return;
    if (rtt)
        grow_window(s->budget, &s->recv_window, s->max_recv_window, &s->window_grown_at, now, rtt);
    s->owes |= OWES_MAX_DATA;
}

static void credit_stream(struct streams *s, struct stream *stream, uint64_t size, neap_time now,
                          neap_time rtt)
{
    struct stream_recv *r = stream->recv;

    neap_streams_credit(s, size, now, rtt);
    if (size == 0 || r->state != RECV_OPEN || r->stop_asked || stream->owes & OWES_MAX_STREAM_DATA ||
        r->limit - r->data.read > r->window / 2)
        return;
    /* While a quarter of the window waits to be read it is the reader that is waited for. */
    if (r->highest - r->data.read > r->window / 4)
        rtt = 0;
    /* The connection's window leaves room for a second stream beside a fast one. */
    if (grow_window(s->budget, &r->window, s->max_stream_window, &r->window_grown_at, now, rtt) &&
        s->recv_window < r->window + r->window / 2 && s->recv_window < s->max_recv_window) {
        uint64_t wanted = r->window + r->window / 2;

        s->recv_window = wanted < s->max_recv_window ? wanted : s->max_recv_window;
        s->owes |= OWES_MAX_DATA;
    }
    neap_streams_owe(s, stream, OWES_MAX_STREAM_DATA);
}

/* Whether the application may read. A reset counts as seen by this. */
static int claim_readable(struct streams *s, struct stream *stream)
{
    if (!stream->has_recv || stream->recv->stop_sent || stream->recv->state == RECV_READ)
        return NEAP_ERR_STREAM_STATE;
    if (stream->recv->state != RECV_RESET && stream->recv->state != RECV_RESET_READ)
        return 0;
    neap_stream_recv_reset_read(stream->recv);
    list_remove(&stream->recv->readable_link);
    stream->app_done_recv = true;
    neap_streams_settle(s, stream);
    return NEAP_ERR_STREAM_RESET;
}

static int find_readable(struct streams *s, uint64_t id, struct stream **out)
{
    int error = neap_streams_call(s, id, out);

    return error ? error : claim_readable(s, *out);
}

/* Bytes were taken, from `read` on, and others were dropped where a reset leaves no more: the application has to look again. */
static void after_read(struct streams *s, struct stream *stream, uint64_t read, neap_time now, neap_time rtt)
{
    neap_streams_count_held(s, stream);
    credit_stream(s, stream, stream->recv->data.read - read, now, rtt);
    if (stream->recv->state == RECV_RESET)
        streams_mark_readable(s, stream);
}

int64_t neap_streams_recv(struct streams *s, uint64_t id, uint8_t *out, size_t size, bool *fin, neap_time now,
                          neap_time rtt)
{
    struct stream *stream;

    *fin = false;
    int error = find_readable(s, id, &stream);
    if (error)
        return error;
    uint64_t read = stream->recv->data.read;
    size_t taken = neap_stream_recv_read(stream->recv, s->pool, out, size, fin);
    after_read(s, stream, read, now, rtt);
    bool is_left = neap_stream_recv_is_readable(stream->recv);
    if (!is_left)
        list_remove(&stream->recv->readable_link);
    if (*fin) {
        stream->app_done_recv = true;
        neap_streams_settle(s, stream);
    }
    return taken > 0 || *fin || is_left ? (int64_t)taken : NEAP_ERR_AGAIN;
}

int64_t neap_streams_peek(struct streams *s, uint64_t id, struct span *view, bool *fin)
{
    struct stream *stream;

    *fin = false;
    *view = (struct span){0};
    int error = neap_streams_call(s, id, &stream);
    return error ? error : neap_stream_peek(s, stream, view, fin);
}

int64_t neap_stream_peek(struct streams *s, struct stream *stream, struct span *view, bool *fin)
{
    *fin = false;
    *view = (struct span){0};
    int error = claim_readable(s, stream);
    if (error)
        return error;
    *view = neap_reassembly_peek(&stream->recv->data);
    *fin =
        stream->recv->state == RECV_COMPLETE && stream->recv->data.read + view->size == stream->recv->highest;
    return view->size > 0 || *fin ? (int64_t)view->size : NEAP_ERR_AGAIN;
}

int64_t neap_streams_views(struct streams *s, uint64_t id, size_t size, neap_view *views, size_t *count)
{
    struct stream *stream;

    int error = find_readable(s, id, &stream);
    if (error)
        return error;
    return (int64_t)neap_reassembly_views(&stream->recv->data, size, views, count);
}

bool neap_streams_consume(struct streams *s, uint64_t id, size_t size, neap_time now, neap_time rtt)
{
    struct stream *stream = neap_streams_find(s, id);

    return stream ? neap_stream_consume(s, stream, size, now, rtt) : size == 0;
}

bool neap_stream_consume(struct streams *s, struct stream *stream, size_t size, neap_time now, neap_time rtt)
{
    if (size == 0 || size > neap_reassembly_ready(&stream->recv->data))
        return size == 0;
    uint64_t read = stream->recv->data.read;
    neap_stream_recv_consume(stream->recv, s->pool, size);
    after_read(s, stream, read, now, rtt);
    if (!neap_stream_recv_is_readable(stream->recv))
        list_remove(&stream->recv->readable_link);
    return true;
}

void neap_streams_end_seen(struct streams *s, uint64_t id)
{
    struct stream *stream = neap_streams_find(s, id);

    if (stream && stream->has_recv)
        neap_stream_end_seen(s, stream);
}

void neap_stream_end_seen(struct streams *s, struct stream *stream)
{
    bool end;

    neap_stream_recv_read(stream->recv, s->pool, NULL, 0, &end);
    if (!end)
        return;
    list_remove(&stream->recv->readable_link);
    stream->app_done_recv = true;
    neap_streams_settle(s, stream);
}
