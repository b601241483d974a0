/* Datagrams that come soon. With many busy connections nearly everything of one has left the caches when its next packet
 * comes, some ninety lines, and most of the packet's time is waiting for them one after the other. They are fetched while
 * the packets before it are taken: the chain of its route, the nodes in it, of which most are other connections', the
 * connection, what that points to, and what that points to in turn, each some datagrams later, when the addresses are
 * there. */
#include "quic/endpoint.h"

/* How far a datagram has come: what is fetched with each step is read with the next. */
enum step {
    STEP_TOLD,
    STEP_CHAIN, /* in the map */
    STEP_FIRST, /* node of that */
    STEP_NODE,  /* the second, where the first is not it */
    STEP_NODES,
    STEP_CONNECTION,
    STEP_PARTS,
    STEP_REST,
};

#define APART 2u      /* datagrams between two steps: one does not take as long as memory */
#define KEY_USED 640u /* bytes of an expanded key that short packets use */

#define LINE 64u

static inline void prefetch(const void *from, size_t size)
{
    for (uintptr_t at = (uintptr_t)from / LINE * LINE; at < (uintptr_t)from + size; at += LINE)
        __builtin_prefetch((const void *)at);
}

static void fetch_conn(const neap_conn *c)
{
    prefetch(c, offsetof(neap_conn, peer_cids) + LINE);
    __builtin_prefetch(&c->peer_cids.retire_count);
}

static void fetch_parts(const neap_conn *c)
{
    const struct number_space *s = &c->application;
    const struct sent *sent = &s->recovery.sent;

    prefetch(conn_path(c), sizeof(struct path));
    if (s->read.expanded)
        prefetch(s->read.expanded, KEY_USED);
    if (s->write.expanded)
        prefetch(s->write.expanded, KEY_USED);
    if (c->streams.recent)
        prefetch(c->streams.recent, STREAM_MEMORY);
    if (s->ack.received.count > 0)
        __builtin_prefetch(&s->ack.received.ranges[s->ack.received.count - 1]);
    if (sent->packet_capacity > 0)
        prefetch(&sent->packets[sent->packet_head & (sent->packet_capacity - 1)],
                 2 * sizeof(struct sent_packet));
    if (sent->frame_capacity > 0)
        prefetch(&sent->frames[sent->frame_head & (sent->frame_capacity - 1)], 4 * sizeof(struct sent_frame));
    if (sent->lost)
        prefetch(sent->lost->skipped, sizeof sent->lost->skipped);
}

/* What the path and the stream point to. */
static void fetch_rest(const neap_conn *c)
{
    const struct stream *stream = c->streams.recent;

    prefetch(conn_path(c)->recovery.cc.state, 3 * LINE);
    if (stream && stream->send->data.chunks.capacity == 0)
        __builtin_prefetch(stream->send->data.chunks.bytes);
}

static struct expected *expected(neap_endpoint *e, unsigned ahead)
{
    return &e->expected[(e->expected_first + ahead) % LIMIT_EXPECTED];
}

/* Most often the next is for the same connection: nothing is fetched again then. */
static bool is_fetched(neap_endpoint *e, struct span dcid)
{
    return span_equal(dcid, e->expected_count ? cid_span(&e->last_expected) : cid_span(&e->recent_cid));
}

/* The first so many. */
static void forget(neap_endpoint *e, unsigned count)
{
    e->expected_first = (uint8_t)((e->expected_first + count) % LIMIT_EXPECTED);
    e->expected_count = (uint8_t)(e->expected_count - count);
}

void neap_endpoint_expect(neap_endpoint *endpoint, const uint8_t *bytes, size_t size)
{
    neap_endpoint *e = endpoint;
    size_t cid_size = (size_t)config_option(e->config, OPTION_source_connection_id_size);

    if (e->expected_count == 0)
        e->has_begun = false;
    if (e->expected_count == LIMIT_EXPECTED)
        forget(e, 1);
    struct expected *x = expected(e, e->expected_count);

    *x = (struct expected){.bytes = bytes};
    if (cid_size > 0 && size > cid_size && !(bytes[0] & 0x80) &&
        !is_fetched(e, span_of(bytes + 1, cid_size))) {
        x->dcid = e->last_expected = cid_of(span_of(bytes + 1, cid_size));
        x->key = neap_siphash(e->route_key, cid_span(&x->dcid));
        neap_map_prefetch_piece(&e->routes, x->key);
    }
    e->expected_count++;
}

/* The connection, where the search came to its route. */
static neap_conn *found(const struct expected *x)
{
    return x->node && x->node->key == x->key ? entry_conn(LIST_OWNER(x->node, struct cid_route, node)->owner)
                                             : NULL;
}

static void look_further(struct expected *x)
{
    if (x->node && x->node->key != x->key)
        x->node = x->node->next;
    if (x->node)
        prefetch(x->node, sizeof(struct cid_route));
}

static void go_on(const neap_endpoint *e, struct expected *x)
{
    const neap_conn *c = x->step >= STEP_NODES ? found(x) : NULL;

    switch ((enum step)++ x->step) {
    case STEP_TOLD: break;
    case STEP_CHAIN: neap_map_prefetch(&e->routes, x->key); break;
    case STEP_FIRST:
        x->node = neap_map_first(&e->routes, x->key);
        if (x->node)
            prefetch(x->node, sizeof(struct cid_route));
        break;
    case STEP_NODE:
    case STEP_NODES: look_further(x); break;
    case STEP_CONNECTION:
        if (c)
            fetch_conn(c);
        break;
    case STEP_PARTS:
        if (c)
            fetch_parts(c);
        break;
    case STEP_REST:
        if (c)
            fetch_rest(c);
        break;
    }
}

/* Those before it that never came are forgotten with it. */
static void take_expected(neap_endpoint *e, const uint8_t *bytes)
{
    for (unsigned i = 0; i < e->expected_count; i++)
        if (expected(e, i)->bytes == bytes) {
            e->current = *expected(e, i);
            forget(e, i + 1);
            return;
        }
    e->current = (struct expected){0};
}

static void bring_to(neap_endpoint *e, unsigned ahead, unsigned step)
{
    struct expected *x = expected(e, ahead);

    if (x->dcid.size > 0 && x->step < step)
        go_on(e, x);
}

/* The first of many: those that come next are brought along together, so that they wait for memory together. */
static void begin(neap_endpoint *e)
{
    for (unsigned step = STEP_CHAIN; step <= STEP_REST; step++)
        for (unsigned ahead = 0; ahead < (STEP_REST - step) * APART && ahead < e->expected_count; ahead++)
            bring_to(e, ahead, step);
    e->has_begun = true;
}

void neap_endpoint_approach(neap_endpoint *e, const uint8_t *bytes)
{
    take_expected(e, bytes);
    if (e->expected_count == 0)
        return;
    if (!e->has_begun)
        begin(e);
    for (unsigned step = STEP_CHAIN, ahead; step <= STEP_REST; step++)
        if ((ahead = (STEP_REST - step) * APART) < e->expected_count)
            bring_to(e, ahead, step);
}

void neap_endpoint_forget_nodes(neap_endpoint *e)
{
    for (unsigned i = 0; i < e->expected_count; i++)
        expected(e, i)->node = NULL;
    e->current.node = NULL;
}
