/* First packets of clients about which the application decides: kept as they came, few, and for a second at most. What follows a
 * client's first datagram (the rest of a long ClientHello, early data) waits behind it and is not shown. */
#include "quic/endpoint.h"

#include "base/fill.h"

struct kept_arrival {
    struct list_link link;
    uint64_t id; /* the client's */
    neap_time at;
    neap_address from, to;
    neap_cid dcid;
    size_t size;
    uint8_t ecn;
    bool is_first, is_shown;
    uint8_t bytes[];
};

static struct kept_arrival *of(struct list_link *link)
{
    return LIST_OWNER(link, struct kept_arrival, link);
}

/* Freed, and no more among those that wait. */
static void discard(neap_endpoint *e, struct kept_arrival *a)
{
    if (a->is_first && !a->is_shown)
        e->arrivals_new--;
    list_remove(&a->link);
    e->arrival_count--;
    e->arrival_bytes -= a->size;
    neap_pool_free(e->pool, a, sizeof *a + a->size);
}

static neap_udp_datagram datagram_of(struct kept_arrival *a)
{
    return (neap_udp_datagram){
        .bytes = a->bytes, .size = a->size, .from = a->from, .to = a->to, .ecn = a->ecn};
}

static neap_header header_of(const struct kept_arrival *a)
{
    struct packet_header h = {0};

    neap_packet_header_parse(span_of(a->bytes, a->size), 0, &h);
    return public_header(&h);
}

static bool has_room(const neap_endpoint *e, size_t size)
{
    return e->arrival_count < LIMIT_ARRIVALS && e->arrival_bytes + size <= LIMIT_ARRIVAL_BYTES;
}

/* The datagrams of a client, in the order in which they came: each is told to `say`, with what is to become of the first, and freed. */
static void take_out(neap_endpoint *e, uint64_t id,
                     void (*say)(neap_endpoint *e, neap_udp_datagram *d, const enum neap_admit *says),
                     enum neap_admit says)
{
    struct list_link *next;

    for (struct list_link *at = e->arrivals.next; at != &e->arrivals; at = next) {
        struct kept_arrival *a = of(at);
        neap_udp_datagram d = datagram_of(a);

        next = at->next;
        if (a->id != id)
            continue;
        say(e, &d, a->is_first ? &says : NULL);
        discard(e, a);
    }
}

static void ask_by_retry(neap_endpoint *e, neap_udp_datagram *d, const enum neap_admit *says)
{
    struct packet_header h;

    if (!says || neap_packet_header_parse(span_of(d->bytes, d->size), 0, &h))
        return;
    neap_header header = public_header(&h);
    neap_endpoint_answer_retry(e, d, &header);
}

static bool keep(neap_endpoint *e, const neap_udp_datagram *d, const neap_cid *dcid, uint64_t id,
                 bool is_first)
{
    struct kept_arrival *a = neap_pool_alloc(e->pool, sizeof *a + d->size);

    if (!a)
        return false;
    a->id = id;
    a->at = e->now;
    a->from = d->from;
    a->to = d->to;
    a->dcid = *dcid;
    a->size = d->size;
    a->ecn = d->ecn;
    a->is_first = is_first;
    memcpy(a->bytes, d->bytes, d->size);
    list_append(&e->arrivals, &a->link);
    e->arrival_count++;
    e->arrival_bytes += d->size;
    e->arrivals_new += is_first;
    return true;
}

bool neap_endpoint_keep_first(neap_endpoint *e, const neap_udp_datagram *d, const neap_header *h)
{
    if (d->size > LIMIT_ARRIVAL_SIZE)
        return false;
    neap_endpoint_drop_late(e);
    while (!has_room(e, d->size)) {
        e->stats.arrivals_overflowed++;
        take_out(e, of(e->arrivals.next)->id, ask_by_retry, NEAP_ADMIT_RETRY);
    }
    return keep(e, d, &h->dcid, ++e->arrival_id, true);
}

bool neap_endpoint_keep_more(neap_endpoint *e, const neap_udp_datagram *d, struct span dcid)
{
    uint64_t id = 0, count = 0;

    neap_endpoint_drop_late(e);
    for (struct list_link *at = e->arrivals.next; at != &e->arrivals; at = at->next) {
        const struct kept_arrival *a = of(at);

        if (!span_equal(cid_span(&a->dcid), dcid) || !neap_address_equal(&a->from, &d->from))
            continue;
        id = a->id;
        count++;
    }
    if (count == 0)
        return false;
    neap_cid own = cid_of(dcid);
    /* What has no room is as lost on the way: it comes again. */
    if (count >= LIMIT_ARRIVAL_DATAGRAMS || d->size > LIMIT_ARRIVAL_SIZE || !has_room(e, d->size) ||
        !keep(e, d, &own, id, false))
        e->stats.arrivals_dropped++;
    return true;
}

/* The oldest are at the front. A client's later datagrams go with its first. */
void neap_endpoint_drop_late(neap_endpoint *e)
{
    while (!list_empty(&e->arrivals) && e->now - of(e->arrivals.next)->at >= LIMIT_ARRIVAL_NS &&
           e->now > of(e->arrivals.next)->at) {
        uint64_t id = of(e->arrivals.next)->id;
        struct list_link *next;

        for (struct list_link *at = e->arrivals.next; at != &e->arrivals; at = next) {
            next = at->next;
            if (of(at)->id != id)
                continue;
            e->stats.arrivals_dropped++;
            discard(e, of(at));
        }
    }
}

void neap_endpoint_drop_arrivals(neap_endpoint *e)
{
    while (!list_empty(&e->arrivals))
        discard(e, of(e->arrivals.next));
}

neap_time neap_endpoint_arrivals_timeout(const neap_endpoint *e)
{
    if (e->arrival_count == 0)
        return NEAP_NEVER;
    return e->arrivals_new > 0 ? 0 : of(e->arrivals.next)->at + LIMIT_ARRIVAL_NS;
}

bool neap_endpoint_next_arrival(neap_endpoint *endpoint, uint64_t *id, neap_arrival *out, size_t size)
{
    neap_endpoint *e = endpoint;
    struct list_link *at = e->arrivals.next;

    if (e->arrivals_new == 0)
        return false;
    while (of(at)->is_shown || !of(at)->is_first)
        at = at->next;
    struct kept_arrival *a = of(at);
    neap_udp_datagram d = datagram_of(a);
    neap_header h = header_of(a);
    neap_arrival known = neap_endpoint_arrival(e, &d, &h);
    a->is_shown = true;
    e->arrivals_new--;
    *id = a->id;
    fill_sized(out, size, &known, sizeof known);
    return true;
}

int neap_endpoint_admit(neap_endpoint *endpoint, uint64_t id, enum neap_admit says, neap_time now)
{
    neap_endpoint *e = endpoint;

    if (says != NEAP_ADMIT_BY_OPTIONS && says != NEAP_ADMIT_ACCEPT && says != NEAP_ADMIT_RETRY &&
        says != NEAP_ADMIT_REFUSE)
        return NEAP_ERR_ARGUMENT;
    e->now = now;
    neap_endpoint_drop_late(e);
    size_t before = e->arrival_count;
    take_out(e, id, neap_endpoint_retake, says);
    return e->arrival_count < before ? 0 : NEAP_ERR_STATE;
}
