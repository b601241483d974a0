/* The stream table, and the limits of streams (RFC 9000 §2, §4.6). */
#include "streams/streams_inner.h"

#include "base/limits.h"
#include "base/pool.h"

#define MADE_AT_A_TIME 64u /* unseen streams that one frame has us make at most */

void neap_streams_init(struct streams *s, struct pool *pool, const struct streams_config *config)
{
    const struct transport_params *ours = config->ours;

    *s = (struct streams){
        .pool = pool,
        .is_server = config->is_server,
        .table = neap_map_of(config->map_secret),
        .theirs = {{.limit = ours->max_streams_bidi, .initial = ours->max_streams_bidi},
                   {.limit = ours->max_streams_uni, .initial = ours->max_streams_uni}},
        .recv_limit = ours->max_data,
        .recv_window = ours->max_data,
        .max_recv_window = config->max_connection_window,
        .max_stream_window = config->max_stream_window,
        .our_bidi_local = ours->max_stream_data_bidi_local,
        .our_bidi_remote = ours->max_stream_data_bidi_remote,
        .our_uni = ours->max_stream_data_uni,
        .send_buffer = config->send_buffer,
        .send_buffer_least = config->send_buffer,
        .send_buffer_most = config->send_buffer_most,
        .send_ahead = config->send_ahead,
        .send_most = config->send_most,
        .takes_reset_at = params_has(ours, PARAM_reset_stream_at),
        .budget = config->budget,
    };
    for (size_t kind = 0; kind < 2; kind++)
        s->theirs[kind].unseen = range_set_of(LIMIT_UNSEEN_RANGES);
    list_init(&s->control);
    list_init(&s->readable);
    list_init(&s->writable);
    list_init(&s->blocked);
    list_init(&s->ended);
}

void neap_streams_count_held(struct streams *s, struct stream *stream)
{
    uint32_t memory = (uint32_t)neap_reassembly_memory(&stream->recv->data); /* LIMIT_CHUNK_PAGES bounds it */
    uint64_t more = (uint64_t)memory - stream->recv->counted; /* modulo 2^64 where it is less */

    if (more == 0)
        return;
    stream->recv->counted = memory;
    s->held += more;
    s->budget->receive_held += more;
}

void neap_streams_drop_queued(struct streams *s, const struct stream *stream)
{
    const struct send_buffer *data = &stream->send->data;

    if (!stream_send_is_live(stream->send))
        return;
    streams_uncount_queued(s, data->end - data->base, 0);
    s->unsent -= data->end - data->highest;
}

/* ---- the memory of a stream */

static const struct stream_recv no_recv;
static const struct stream_send no_send;

static bool has_recv(const struct streams *s, uint64_t id)
{
    return neap_stream_is_bidi(id) || !stream_is_ours(s, id);
}

static bool has_send(const struct streams *s, uint64_t id)
{
    return neap_stream_is_bidi(id) || stream_is_ours(s, id);
}

static size_t stream_size(const struct streams *s, uint64_t id)
{
    return sizeof(struct stream) + (has_recv(s, id) ? sizeof(struct stream_recv) : 0) +
           (has_send(s, id) ? sizeof(struct stream_send) : 0);
}

/* Exchanges end; what goes one way is there for the whole connection, as a rule (RFC 9114 §6.2.1). */
static struct stream *allocate_stream(struct streams *s, uint64_t id)
{
    struct stream *stream = neap_stream_is_bidi(id) ? neap_pool_alloc(s->pool, stream_size(s, id))
                                                    : neap_pool_alloc_lasting(s->pool, stream_size(s, id));

    if (!stream)
        return NULL;
    void *side = stream + 1;
    stream->has_recv = has_recv(s, id);
    stream->has_send = has_send(s, id);
    stream->recv = stream->has_recv ? side : (void *)(uintptr_t)&no_recv;
    if (stream->has_recv)
        side = stream->recv + 1;
    stream->send = stream->has_send ? side : (void *)(uintptr_t)&no_send;
    return stream;
}

static void free_stream(struct streams *s, struct stream *stream)
{
    if (stream->has_recv)
        neap_reassembly_free(&stream->recv->data, s->pool);
    neap_streams_count_held(s, stream);
    if (stream->has_send) {
        neap_streams_drop_queued(s, stream);
        neap_send_buffer_free(&stream->send->data, s->pool);
    }
    neap_pool_free(s->pool, stream, stream_size(s, stream_id(stream)));
}

void neap_streams_free(struct streams *s)
{
    struct map_walk walk = {0};
    struct stream *stream;

    if (!s->pool)
        return;
    while ((stream = neap_streams_walk(s, &walk)))
        free_stream(s, stream);
    neap_map_free(&s->table, s->pool);
    for (size_t kind = 0; kind < 2; kind++)
        neap_range_set_free(&s->theirs[kind].unseen, s->pool);
    *s = (struct streams){0};
}

uint64_t neap_streams_initial_recv(const struct streams *s, uint64_t id)
{
    if (!neap_stream_is_bidi(id))
        return s->our_uni;
    return stream_is_ours(s, id) ? s->our_bidi_local : s->our_bidi_remote;
}

uint64_t neap_streams_initial_send(const struct streams *s, uint64_t id)
{
    if (!neap_stream_is_bidi(id))
        return s->peer_uni;
    return stream_is_ours(s, id) ? s->peer_bidi_remote : s->peer_bidi_local;
}

void neap_streams_set_peer_params(struct streams *s, const struct transport_params *peer)
{
    struct map_walk walk = {0};
    struct stream *stream;

    s->is_data_blocked &= s->send_limit == peer->max_data;
    s->send_limit = peer->max_data;
    s->peer_takes_reset_at = params_has(peer, PARAM_reset_stream_at);
    s->ours[0].limit = peer->max_streams_bidi;
    s->ours[1].limit = peer->max_streams_uni;
    s->peer_bidi_local = peer->max_stream_data_bidi_local;
    s->peer_bidi_remote = peer->max_stream_data_bidi_remote;
    s->peer_uni = peer->max_stream_data_uni;
    s->credit_came = true;
    while ((stream = neap_streams_walk(s, &walk))) {
        uint64_t limit = stream->has_send ? neap_streams_initial_send(s, stream_id(stream)) : 0;

        if (limit > stream->send->limit)
            stream_send_raise(stream->send, limit);
        neap_streams_schedule(s, stream);
        streams_unblock(s, stream);
    }
}

/* ---- the table */

static struct stream *stream_of(struct map_node *node)
{
    return node ? LIST_OWNER(node, struct stream, node) : NULL;
}

struct stream *neap_streams_find(const struct streams *s, uint64_t id)
{
    if (s->recent && stream_id(s->recent) == id)
        return s->recent;
    return stream_of(neap_map_find(&s->table, id));
}

struct stream *neap_streams_walk(const struct streams *s, struct map_walk *walk)
{
    return stream_of(neap_map_walk(&s->table, walk));
}

enum stream_place neap_streams_place(const struct streams *s, uint64_t id, struct stream **out)
{
    const struct stream_limits *l =
        stream_is_ours(s, id) ? &s->ours[stream_kind(id)] : &s->theirs[stream_kind(id)];

    *out = NULL;
    if (id >> 2 >= l->next)
        return stream_is_ours(s, id) ? PLACE_FUTURE : PLACE_NEW;
    *out = neap_streams_find(s, id);
    if (*out)
        return PLACE_LIVE;
    return neap_range_set_contains(&l->unseen, id >> 2) ? PLACE_UNSEEN : PLACE_CLOSED;
}

/* The set of unseen ones changes while the stream of `index` is counted. */
static int change_unseen(struct streams *s, struct stream_limits *l, uint64_t index)
{
    if (index < l->next)
        return neap_range_set_remove(&l->unseen, s->pool, index, index + 1);
    return neap_range_set_insert(&l->unseen, s->pool, l->next, index);
}

/* A peer that names every second stream would have us move a long list with each frame. The list is short instead: when
 * it is full the lowest unseen streams, which are as open as the others, are made without being named. They need no new
 * range, so that this does not come here again. */
static bool make_lowest(struct streams *s, const struct stream_limits *l, uint64_t id)
{
    for (unsigned i = 0; i < MADE_AT_A_TIME; i++) {
        uint64_t lowest = l->unseen.ranges[0].start;

        if (l->unseen.count < l->unseen.limit || lowest == id >> 2)
            return true;
        if (!neap_streams_create(s, lowest << 2 | (id & 3)))
            return false;
    }
    return false;
}

/* Count the stream as opened, and those below it that it opens with it (RFC 9000 §2.1). */
static int count_opened(struct streams *s, uint64_t id)
{
    struct stream_limits *l = stream_is_ours(s, id) ? &s->ours[stream_kind(id)] : &s->theirs[stream_kind(id)];
    uint64_t index = id >> 2;
    int error = change_unseen(s, l, index);

    if (error == NEAP_ERR_LIMIT && make_lowest(s, l, id))
        error = change_unseen(s, l, index);
    if (error || index < l->next)
        return error;
    if (stream_is_ours(s, id))
        s->opened++;
    else
        s->accepted += index + 1 - l->next;
    l->next = index + 1;
    return 0;
}

/* How many the table has of ours, or of the peer's. */
static uint64_t count_kept(const struct streams *s, bool of_ours)
{
    uint64_t ours = s->ours[0].next - s->ours[0].closed + s->ours[1].next - s->ours[1].closed;

    return of_ours ? ours : s->table.count - ours;
}

bool neap_streams_is_full(struct streams *s, bool of_ours)
{
    if (count_kept(s, of_ours) >= LIMIT_STREAMS_KEPT)
        neap_streams_reap(s);
    return count_kept(s, of_ours) >= LIMIT_STREAMS_KEPT;
}

struct stream *neap_streams_create(struct streams *s, uint64_t id)
{
    struct stream *stream = neap_streams_is_full(s, stream_is_ours(s, id)) ? NULL : allocate_stream(s, id);

    if (!stream)
        return NULL;
    neap_map_add(&s->table, s->pool, &stream->node, id);
    if (count_opened(s, id)) {
        neap_map_remove(&s->table, s->pool, &stream->node);
        neap_pool_free(s->pool, stream, stream_size(s, id));
        return NULL;
    }
    if (stream->has_recv)
        *stream->recv = neap_stream_recv_of(neap_streams_initial_recv(s, id));
    if (stream->has_send)
        *stream->send = neap_stream_send_of(neap_streams_initial_send(s, id));
    stream->urgency = 3;
    stream->incremental = true;
    if (!stream_is_ours(s, id))
        neap_streams_grow(s, stream_kind(id));
    s->recent = stream;
    return stream;
}

void neap_streams_mark_writable(struct streams *s, struct stream *stream)
{
    if (!list_linked(&stream->writable_link))
        list_append(&s->writable, &stream->writable_link);
}

uint64_t neap_streams_allowed(const struct streams *s, size_t kind)
{
    const struct stream_limits *l = &s->theirs[kind];
    uint64_t open = s->theirs[0].initial + s->theirs[1].initial;
    uint64_t beside = LIMIT_STREAMS_KEPT - streams_least(open, LIMIT_STREAMS_KEPT);
    uint64_t allowed =
        l->closed + streams_least(l->done - l->closed, streams_least(l->initial, beside)) + l->initial;

    return allowed < MAX_STREAM_COUNT ? allowed : MAX_STREAM_COUNT;
}

void neap_streams_grow(struct streams *s, size_t kind)
{
    const struct stream_limits *l = &s->theirs[kind];

    if (l->limit - l->next <= l->initial - l->initial / 4 && neap_streams_allowed(s, kind) > l->limit)
        s->owes |= kind == 0 ? OWES_MAX_STREAMS_BIDI : OWES_MAX_STREAMS_UNI;
}

/* Whether nobody has anything to do with the stream any more but the peer, who acknowledges. */
static bool is_done(const struct stream *stream)
{
    bool recv_done = !stream->has_recv || (stream->app_done_recv && neap_stream_recv_is_over(stream->recv));
    bool send_done = !stream->has_send || (stream->app_done_send && neap_stream_send_is_said(stream->send));

    return recv_done && send_done && !stream->user &&
           !(stream->owes & (OWES_RESET_STREAM | OWES_RESET_STREAM_AT | OWES_STOP_SENDING));
}

void neap_streams_settle(struct streams *s, struct stream *stream)
{
    bool is_over = !stream->has_send || neap_stream_send_is_over(stream->send);

    if ((stream->is_done && !is_over) || list_linked(&stream->ended_link) || !is_done(stream))
        return;
    if (is_over) {
        list_append(&s->ended, &stream->ended_link);
        list_remove(&stream->recv->readable_link);
        list_remove(&stream->writable_link);
    }
    if (!stream_is_ours(s, stream_id(stream))) {
        size_t kind = stream_kind(stream_id(stream));
        s->theirs[kind].done += !stream->is_done;
        s->theirs[kind].closed += is_over;
        neap_streams_grow(s, kind);
    }
    stream->is_done = true;
}

void neap_streams_reap(struct streams *s)
{
    struct list_link *link;

    while ((link = list_take_first(&s->ended))) {
        struct stream *stream = LIST_OWNER(link, struct stream, ended_link);

        neap_streams_unqueue(s, stream);
        list_remove(&stream->control_link);
        list_remove(&stream->recv->readable_link);
        list_remove(&stream->writable_link);
        neap_map_remove(&s->table, s->pool, &stream->node);
        if (s->recent == stream)
            s->recent = NULL;
        if (stream_is_ours(s, stream_id(stream)))
            s->ours[stream_kind(stream_id(stream))].closed++;
        free_stream(s, stream);
    }
}

void neap_streams_drop_ours(struct streams *s)
{
    struct map_walk walk = {0};
    struct stream *stream;

    while ((stream = neap_streams_walk(s, &walk)))
        if (stream_is_ours(s, stream_id(stream)) && !list_linked(&stream->ended_link))
            list_append(&s->ended, &stream->ended_link);
    neap_streams_reap(s);
    for (size_t kind = 0; kind < 2; kind++)
        s->ours[kind].next = s->ours[kind].closed = s->ours[kind].blocked_at = 0;
    s->send_used = 0;
    s->is_data_blocked = false;
    s->owes &= (uint8_t) ~(OWES_DATA_BLOCKED | OWES_STREAMS_BLOCKED_BIDI | OWES_STREAMS_BLOCKED_UNI);
}
