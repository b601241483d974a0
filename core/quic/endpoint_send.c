/* Timers and turns: connections that may have something to say are asked one after the other. */
#include "quic/endpoint.h"
#include "quic/multipath.h"

#define TRAIN_MOST 65507u /* bytes of one GSO send: what fits into an IPv4 packet */

/* A due timer gives its connection a turn; after that turn the timer is set anew. Not more than so many at once: what
 * is left is due still. */
static void run_timers(neap_endpoint *e)
{
    for (unsigned i = 0; i < LIMIT_ENDPOINT_TIMERS; i++) {
        const struct heap_entry *first = neap_heap_first(&e->timers);

        if (!first || first->at > e->now)
            return;
        struct endpoint_entry *entry = LIST_OWNER(first->node, struct endpoint_entry, timer);
        neap_heap_remove(&e->timers, e->pool, &entry->timer);
        neap_conn_on_timeout(entry_conn(entry), e->now);
        neap_endpoint_touch(e, entry_conn(entry));
    }
}

/* The turn of a connection is over: it has nothing to say before its timer. */
static void end_turn(neap_endpoint *e, struct endpoint_entry *entry)
{
    neap_time at = neap_conn_timeout(entry_conn(entry));

    list_remove(&entry->ready);
    if (at == NEAP_NEVER)
        neap_heap_remove(&e->timers, e->pool, &entry->timer);
    else if (neap_heap_set(&e->timers, e->pool, &entry->timer, at))
        neap_conn_vanish(entry_conn(entry), NEAP_CLOSE_LOCAL, "no memory for a timer");
    neap_endpoint_settle(e, entry);
}

/* It waits with all it has to say until its address family may send again. */
static void hold(neap_endpoint *e, struct endpoint_entry *entry)
{
    list_remove(&entry->ready);
    list_append(&e->held, &entry->ready);
    neap_heap_remove(&e->timers, e->pool, &entry->timer);
    entry->was_held = true;
    entry_conn(entry)->close.is_put_off = false; /* its peer could not be told in this turn */
}

void neap_endpoint_hold(neap_endpoint *endpoint, unsigned family, bool hold)
{
    neap_endpoint *e = endpoint;
    struct list_link *first;

    if (family == 4)
        e->holds_ipv4 = hold;
    else if (family == 6)
        e->holds_ipv6 = hold;
    while (!hold && (first = list_take_first(&e->held)) != NULL)
        list_append(&e->ready, first);
}

static bool is_held(const neap_endpoint *e, const neap_conn *c)
{
    return neap_endpoint_is_held(e, &conn_path(c)->address.peer) && !neap_conn_is_closed(c);
}

static void note_size_probe(neap_endpoint *e, const neap_udp_datagram *d)
{
    struct size_probe *last = &e->probes[(e->probes_at + LIMIT_PROBES_KNOWN - 1) % LIMIT_PROBES_KNOWN];

    /* One connection needs one place, while it searches alone. */
    if (neap_address_equal(&last->to, &d->to) && cid_equal(&last->sender, &d->sender))
        return;
    struct size_probe *next = &e->probes[e->probes_at++ % LIMIT_PROBES_KNOWN];
    e->config->bounds.size_probes_forgotten += next->to.family != 0;
    *next = (struct size_probe){.to = d->to, .sender = d->sender};
}

/* The next connection's turn: what it has to send, NEAP_ERR_AGAIN when it has nothing or may not. */
static int64_t take_turn(neap_endpoint *e, struct endpoint_entry *entry, neap_udp_datagram *out, size_t room)
{
    neap_send_info info;

    if (is_held(e, entry_conn(entry))) {
        hold(e, entry);
        return NEAP_ERR_AGAIN;
    }
    if (entry->was_held) {
        entry->was_held = false;
        neap_conn_on_timeout(entry_conn(entry), e->now);
    }
    neap_endpoint_issue_ids(e, entry);
    int64_t size = neap_conn_send_burst(entry_conn(entry), out->bytes, room < TRAIN_MOST ? room : TRAIN_MOST,
                                        &info, e->now);
    if (size <= 0) {
        end_turn(e, entry);
        return NEAP_ERR_AGAIN;
    }
    const struct path *path = neap_conn_find_path(entry_conn(entry), ANY_SLOT, &info.from, &info.to);
    *out = (neap_udp_datagram){.bytes = out->bytes,
                               .size = (size_t)size,
                               .segment_size = info.segment_size,
                               .from = info.from,
                               .to = info.to,
                               .at = info.at,
                               .ecn = info.ecn,
                               .is_split = path && path->refuses_trains,
                               .sender = *neap_multipath_sender(entry_conn(entry))};
    if (path && info.segment_size > path->recovery.pmtu.size)
        note_size_probe(e, out);
    if (neap_conn_is_spent(entry_conn(entry))) {
        end_turn(e, entry);
        return size;
    }
    /* It goes behind the others until it has no more. */
    list_remove(&entry->ready);
    list_append(&e->ready, &entry->ready);
    return size;
}

int64_t neap_endpoint_send(neap_endpoint *endpoint, neap_udp_datagram *out, size_t room, neap_time now)
{
    neap_endpoint *e = endpoint;

    e->now = now;
    if (e->arrival_count > 0)
        neap_endpoint_drop_late(e);
    int64_t size = neap_endpoint_take_answer(e, out, room);
    if (size != 0)
        return size;
    if (room < NEAP_MIN_UDP_PAYLOAD)
        return NEAP_ERR_BUFFER_TOO_SHORT;
    run_timers(e);
    for (unsigned i = 0; i < LIMIT_ENDPOINT_TURNS && !list_empty(&e->ready); i++) {
        size = take_turn(e, LIST_OWNER(e->ready.next, struct endpoint_entry, ready), out, room);
        if (size > 0)
            return size;
    }
    const struct heap_entry *first = neap_heap_first(&e->timers);
    bool has_more = !list_empty(&e->ready) || (first && first->at <= now);
    return has_more ? 0 : NEAP_ERR_AGAIN;
}

/* ---- what became of them */

void neap_endpoint_refused(neap_endpoint *endpoint, const neap_udp_datagram *datagram, size_t passes)
{
    struct endpoint_entry *entry = neap_endpoint_find(endpoint, cid_span(&datagram->sender));
    size_t size = datagram->segment_size ? datagram->segment_size : datagram->size;

    if (entry)
        neap_conn_refused(entry_conn(entry), &datagram->from, &datagram->to, size, passes);
}

void neap_endpoint_refused_train(neap_endpoint *endpoint, const neap_udp_datagram *datagram)
{
    struct endpoint_entry *entry = neap_endpoint_find(endpoint, cid_span(&datagram->sender));

    if (entry)
        neap_conn_refuses_trains(entry_conn(entry), &datagram->from, &datagram->to);
}

void neap_endpoint_too_big(neap_endpoint *endpoint, const neap_address *to, size_t passes,
                           const uint8_t *quoted, size_t size)
{
    for (size_t i = 0; i < LIMIT_PROBES_KNOWN; i++) {
        const struct size_probe *probe = &endpoint->probes[i];
        struct endpoint_entry *entry = neap_address_equal(&probe->to, to)
                                           ? neap_endpoint_find(endpoint, cid_span(&probe->sender))
                                           : NULL;

        if (entry)
            neap_conn_too_big(entry_conn(entry), to, passes, span_of(quoted, size));
    }
}

void neap_endpoint_unreachable(neap_endpoint *endpoint, const neap_address *to, const uint8_t *quoted,
                               size_t size)
{
    struct reader r = reader_of(span_of(quoted, size)); /* the packet is cut short: what all versions share */
    bool is_long = (read_u8(&r) & 0x80) != 0;

    read_u32(&r);
    struct span dcid = read_vector(&r, 1), scid = read_vector(&r, 1);
    struct endpoint_entry *entry = r.bad || !is_long ? NULL : neap_endpoint_find(endpoint, scid);
    if (!entry)
        return;
    neap_conn_unreachable(entry_conn(entry), to, dcid);
    neap_endpoint_settle(endpoint, entry);
}

neap_time neap_endpoint_timeout(const neap_endpoint *endpoint)
{
    const struct heap_entry *first = neap_heap_first(&endpoint->timers);

    if (!list_empty(&endpoint->ready) || !list_empty(&endpoint->answers) || !list_empty(&endpoint->news))
        return 0;
    neap_time at = first ? first->at : NEAP_NEVER, arrivals = neap_endpoint_arrivals_timeout(endpoint);
    return arrivals < at ? arrivals : at;
}
