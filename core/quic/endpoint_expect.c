/* Datagrams that come soon. With many busy connections nearly everything of one has left the caches when its next packet
 * comes, some ninety lines, and most of the packet's time is waiting for them one after the other. They are fetched while
 * the packets before it are taken: the chain of its route, the route, the connection, and what that points to, each a
 * datagram later, when the addresses are there. */
#include "quic/endpoint.h"

/* By how many datagrams a step is ahead. */
#define AHEAD_PARTS 1u
#define AHEAD_CONNECTION 2u
#define AHEAD_ROUTE 3u

#define KEY_USED 640u /* bytes of an expanded key that short packets use */

#define LINE 64u

static inline void prefetch(const void *from, size_t size)
{
    for (size_t i = 0; i < size; i += LINE)
        __builtin_prefetch((const uint8_t *)from + i);
}

static void fetch_conn(const neap_conn *c)
{
    prefetch(c, offsetof(neap_conn, peer_cids) + LINE);
}

static void fetch_parts(const neap_conn *c)
{
    const struct sent *sent = &c->application.recovery.sent;
    const struct stream *stream = c->streams.recent;

    prefetch(conn_path(c), sizeof(struct path));
    if (c->application.read.expanded)
        prefetch(c->application.read.expanded, KEY_USED);
    if (c->application.write.expanded)
        prefetch(c->application.write.expanded, KEY_USED);
    if (stream)
        prefetch(stream, sizeof *stream + sizeof *stream->recv + sizeof *stream->send);
    if (c->application.ack.received.ranges)
        __builtin_prefetch(c->application.ack.received.ranges);
    if (sent->packet_capacity > 0)
        __builtin_prefetch(&sent->packets[sent->packet_head & (sent->packet_capacity - 1)]);
    if (sent->frame_capacity > 0)
        __builtin_prefetch(&sent->frames[sent->frame_head & (sent->frame_capacity - 1)]);
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

    if (e->expected_count == LIMIT_EXPECTED)
        forget(e, 1);
    struct expected *x = expected(e, e->expected_count);

    *x = (struct expected){.bytes = bytes};
    if (cid_size > 0 && size > cid_size && !(bytes[0] & 0x80) &&
        !is_fetched(e, span_of(bytes + 1, cid_size))) {
        x->dcid = e->last_expected = cid_of(span_of(bytes + 1, cid_size));
        x->key = neap_siphash(e->route_key, cid_span(&x->dcid));
        neap_map_prefetch(&e->routes, x->key);
    }
    e->expected_count++;
}

static neap_conn *find_conn(const neap_endpoint *e, const struct expected *x)
{
    const struct map_node *node = neap_map_find(&e->routes, x->key);

    return node ? entry_conn(LIST_OWNER(node, struct cid_route, node)->owner) : NULL;
}

static const struct expected *at_distance(neap_endpoint *e, unsigned ahead)
{
    const struct expected *x = ahead <= e->expected_count ? expected(e, ahead - 1) : NULL;

    return x && x->dcid.size > 0 ? x : NULL;
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

void neap_endpoint_approach(neap_endpoint *e, const uint8_t *bytes)
{
    const struct expected *x;
    neap_conn *c;

    take_expected(e, bytes);
    if ((x = at_distance(e, AHEAD_PARTS)) != NULL && (c = find_conn(e, x)) != NULL)
        fetch_parts(c);
    if ((x = at_distance(e, AHEAD_CONNECTION)) != NULL && (c = find_conn(e, x)) != NULL)
        fetch_conn(c);
    if ((x = at_distance(e, AHEAD_ROUTE)) != NULL)
        neap_map_prefetch_node(&e->routes, x->key);
}
