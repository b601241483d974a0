/* Queues of DATAGRAM frames (RFC 9221 §5). */
#include "streams/datagrams.h"

#include "base/limits.h"
#include "base/pool.h"

#define FRAME_MOST (1u + 4u + 0x3fffffffu) /* type, a length of 4 bytes, and what that can say */
#define FATES_FIRST 8u                     /* room for so many when the first is asked for */

static struct datagram *datagram_of(struct list_link *link)
{
    return LIST_OWNER(link, struct datagram, link);
}

size_t neap_datagram_memory(size_t size)
{
    return sizeof(struct datagram) + size;
}

int64_t neap_datagram_payload(uint64_t most)
{
    /* A peer that takes any size says so with a large number. */
    if (most > FRAME_MOST)
        most = FRAME_MOST;
    for (uint64_t length = 1; length <= 4; length *= 2)
        if (most >= 1 + length && varint_size(most - 1 - length) <= length)
            return (int64_t)(most - 1 - length);
    return -1;
}

void neap_datagrams_init(struct datagrams *d, struct pool *pool, const struct datagrams_config *config)
{
    *d = (struct datagrams){.pool = pool, .config = *config, .next_deadline = NEAP_NEVER};
}

/* ---- queues */

static void append(struct datagram_queue *q, struct datagram *datagram)
{
    ring_append(&q->first, &datagram->link);
    q->count++;
    q->bytes += neap_datagram_memory(datagram->size);
}

static struct datagram *take(struct datagram_queue *q, struct datagram *datagram)
{
    ring_remove(&q->first, &datagram->link);
    q->count--;
    q->bytes -= neap_datagram_memory(datagram->size);
    return datagram;
}

static void free_datagram(struct datagrams *d, struct datagram *datagram)
{
    neap_pool_free(d->pool, datagram, neap_datagram_memory(datagram->size));
}

/* ---- fates */

static void tell(struct datagrams *d, uint64_t id, enum neap_datagram_end end)
{
    uint32_t at = (d->fate_head + d->fate_count) & (d->fate_capacity - 1);

    if (d->fate_capacity == 0) /* the connection is over */
        return;
    d->fates[at] = (neap_datagram_fate){.id = id, .end = end};
    d->fate_count++;
    d->asked--;
}

/* Room for the fate of one more, so that none is lost for want of memory. */
static int reserve_fate(struct datagrams *d)
{
    uint32_t wanted = d->fate_count + d->asked + 1;

    if (wanted > LIMIT_DATAGRAM_FATES)
        return NEAP_ERR_LIMIT;
    if (wanted <= d->fate_capacity)
        return 0;
    uint32_t capacity = d->fate_capacity ? 2 * d->fate_capacity : FATES_FIRST;
    neap_datagram_fate *fates = neap_pool_alloc(d->pool, capacity * sizeof *fates);
    if (!fates)
        return NEAP_ERR_NO_MEMORY;
    for (uint32_t i = 0; i < d->fate_count; i++)
        fates[i] = d->fates[(d->fate_head + i) & (d->fate_capacity - 1)];
    neap_pool_free(d->pool, d->fates, d->fate_capacity * sizeof *fates);
    d->fates = fates;
    d->fate_capacity = capacity;
    d->fate_head = 0;
    return 0;
}

bool neap_datagrams_next_fate(struct datagrams *d, neap_datagram_fate *out)
{
    if (d->fate_count == 0)
        return false;
    *out = d->fates[d->fate_head];
    d->fate_head = (d->fate_head + 1) & (d->fate_capacity - 1);
    if (--d->fate_count == 0 && d->asked == 0) {
        neap_pool_free(d->pool, d->fates, d->fate_capacity * sizeof *d->fates);
        d->fates = NULL;
        d->fate_capacity = d->fate_head = 0;
    }
    return true;
}

void neap_datagrams_on_acked(struct datagrams *d, uint64_t id)
{
    d->counters.acked++;
    if (id)
        tell(d, id, NEAP_DATAGRAM_ACKED);
}

void neap_datagrams_on_lost(struct datagrams *d, uint64_t id)
{
    d->counters.lost++;
    if (id)
        tell(d, id, NEAP_DATAGRAM_LOST);
}

/* ---- to be sent */

/* Take one out of its queue. */
static struct datagram *unqueue(struct datagrams *d, unsigned urgency, struct datagram *datagram)
{
    struct datagram_queue *q = &d->queued[urgency];
    size_t memory = neap_datagram_memory(datagram->size);

    take(q, datagram);
    if (q->count == 0)
        d->queues &= (uint8_t) ~(1u << urgency);
    d->queued_count--;
    d->queued_bytes -= memory;
    d->config.budget->send_held -= memory;
    if (d->queues == 0)
        d->next_deadline = NEAP_NEVER;
    return datagram;
}

/* It is never sent. */
static void drop(struct datagrams *d, unsigned urgency, struct datagram *datagram)
{
    unqueue(d, urgency, datagram);
    if (datagram->is_asked)
        tell(d, datagram->id, NEAP_DATAGRAM_DROPPED);
    free_datagram(d, datagram);
}

static void drop_queued(struct datagrams *d)
{
    while (d->queues) {
        unsigned urgency = (unsigned)__builtin_ctz(d->queues);

        d->counters.dropped++;
        drop(d, urgency, datagram_of(d->queued[urgency].first));
    }
}

void neap_datagrams_set_peer_most(struct datagrams *d, uint64_t most)
{
    d->peer_most = most;
    if (most == 0)
        drop_queued(d);
}

/* Whether one more, of `memory` bytes, has room once those that are as urgent or less, the oldest of the least urgent first, have
 * given way. */
static bool can_have_room(const struct datagrams *d, unsigned urgency, size_t memory)
{
    uint64_t bytes = 0;
    uint32_t count = 0;

    for (unsigned u = 0; u < urgency; u++) {
        bytes += d->queued[u].bytes;
        count += d->queued[u].count;
    }
    return count < d->config.send_count && bytes + memory <= d->config.send_bytes;
}

static void make_room(struct datagrams *d, size_t memory)
{
    while (d->queued_count >= d->config.send_count || d->queued_bytes + memory > d->config.send_bytes) {
        unsigned urgency = 31u - (unsigned)__builtin_clz(d->queues);

        d->counters.dropped++;
        drop(d, urgency, datagram_of(d->queued[urgency].first));
    }
}

static bool is_over_budget(const struct datagrams *d, size_t memory)
{
    struct streams_budget *budget = d->config.budget;
    bool is_over = budget->send_most && d->queued_bytes + memory > LIMIT_SEND_FLOOR &&
                   budget->send_held + memory > budget->send_most;

    budget->datagrams_refused += is_over;
    return is_over;
}

static struct datagram *new_datagram(struct datagrams *d, const struct span *parts, size_t count, size_t size)
{
    struct datagram *datagram = neap_pool_alloc_unset(d->pool, neap_datagram_memory(size));
    uint8_t *at = datagram ? datagram->bytes : NULL;

    if (!datagram)
        return NULL;
    *datagram = (struct datagram){.deadline = NEAP_NEVER, .size = (uint16_t)size};
    for (size_t i = 0; i < count; i++) {
        if (parts[i].size)
            memcpy(at, parts[i].data, parts[i].size);
        at += parts[i].size;
    }
    return datagram;
}

int64_t neap_datagrams_queue(struct datagrams *d, const struct span *parts, size_t count,
                             const neap_datagram_options *options, neap_time now)
{
    size_t size = 0;

    for (size_t i = 0; i < count; i++)
        size += parts[i].size;
    size_t memory = neap_datagram_memory(size);
    if (now >= d->next_deadline)
        neap_datagrams_expire(d, now);
    if (!can_have_room(d, options->urgency, memory) || is_over_budget(d, memory))
        return NEAP_ERR_LIMIT;
    int error = options->notify ? reserve_fate(d) : 0;
    if (error)
        return error;
    struct datagram *datagram = new_datagram(d, parts, count, size);
    if (!datagram)
        return NEAP_ERR_NO_MEMORY;
    make_room(d, memory);
    datagram->id = ++d->last_id;
    datagram->is_asked = options->notify;
    datagram->deadline = options->deadline ? options->deadline : NEAP_NEVER;
    if (datagram->deadline < d->next_deadline)
        d->next_deadline = datagram->deadline;
    append(&d->queued[options->urgency], datagram);
    d->queues |= (uint8_t)(1u << options->urgency);
    d->queued_count++;
    d->queued_bytes += memory;
    d->config.budget->send_held += memory;
    d->asked += datagram->is_asked;
    return (int64_t)datagram->id;
}

/* Looks at all of one queue: it is called when one of them is over, or went before it was. */
static void expire_queue(struct datagrams *d, unsigned urgency, neap_time now)
{
    struct list_link *at = d->queued[urgency].first;

    for (uint32_t left = d->queued[urgency].count; left > 0; left--) {
        struct datagram *datagram = datagram_of(at);

        at = at->next;
        if (datagram->deadline <= now) {
            d->counters.expired++;
            drop(d, urgency, datagram);
        } else if (datagram->deadline < d->next_deadline) {
            d->next_deadline = datagram->deadline;
        }
    }
}

void neap_datagrams_expire(struct datagrams *d, neap_time now)
{
    d->next_deadline = NEAP_NEVER;
    for (unsigned urgency = 0; urgency < 8; urgency++)
        expire_queue(d, urgency, now);
}

enum datagram_result neap_datagrams_write(struct datagrams *d, struct writer *w, unsigned urgency,
                                          size_t most, neap_time now, struct sent_frame *out)
{
    if (now >= d->next_deadline)
        neap_datagrams_expire(d, now);
    while (datagrams_wait(d, urgency)) {
        unsigned first = (unsigned)__builtin_ctz(d->queues);
        struct datagram *datagram = datagram_of(d->queued[first].first);

        if (datagram->size > most) {
            d->counters.too_large++;
            drop(d, first, datagram);
            continue;
        }
        if (1 + varint_size(datagram->size) + datagram->size > writer_left(w))
            return DATAGRAM_WAITS;
        neap_write_datagram(w, span_of(datagram->bytes, datagram->size));
        *out = (struct sent_frame){.kind = KIND_DATAGRAM, .id = datagram->is_asked ? datagram->id : 0};
        d->counters.sent++;
        d->counters.bytes_sent += datagram->size;
        free_datagram(d, unqueue(d, first, datagram));
        return DATAGRAM_WRITTEN;
    }
    return DATAGRAM_NONE;
}

/* ---- that came */

static void drop_received(struct datagrams *d)
{
    struct datagram *datagram = datagram_of(d->received.first);

    take(&d->received, datagram);
    d->config.budget->receive_held -= neap_datagram_memory(datagram->size);
    free_datagram(d, datagram);
}

void neap_datagrams_refuse(struct datagrams *d)
{
    d->counters.received++;
    d->counters.received_dropped++;
}

/* The memory for what comes, which the oldest that nobody has read gives up. */
static bool has_budget(const struct datagrams *d, size_t memory)
{
    const struct streams_budget *budget = d->config.budget;

    return budget->receive_most == 0 || d->received.bytes + memory <= LIMIT_RECEIVE_FLOOR ||
           budget->receive_held + memory <= budget->receive_most;
}

void neap_datagrams_on_frame(struct datagrams *d, struct span data)
{
    const struct datagrams_config *config = &d->config;
    size_t memory = neap_datagram_memory(data.size);

    d->counters.received++;
    d->counters.bytes_received += data.size;
    while (d->received.count > 0 &&
           (d->received.count >= config->receive_count ||
            d->received.bytes + memory > config->receive_bytes || !has_budget(d, memory))) {
        d->counters.received_dropped++;
        drop_received(d);
    }
    bool fits = config->receive_count > 0 && memory <= config->receive_bytes && has_budget(d, memory);
    struct datagram *datagram = fits ? new_datagram(d, &data, 1, data.size) : NULL;
    if (!datagram) {
        d->counters.received_dropped++;
        return;
    }
    append(&d->received, datagram);
    config->budget->receive_held += memory;
}

bool neap_datagrams_peek(const struct datagrams *d, struct span *out)
{
    if (d->received.count == 0)
        return false;
    const struct datagram *datagram = datagram_of(d->received.first);
    *out = span_of(datagram->bytes, datagram->size);
    return true;
}

void neap_datagrams_consume(struct datagrams *d)
{
    if (d->received.count > 0)
        drop_received(d);
}

/* ---- the end */

void neap_datagrams_clear(struct datagrams *d)
{
    drop_queued(d);
    while (d->received.count > 0)
        drop_received(d);
}

void neap_datagrams_free(struct datagrams *d)
{
    neap_datagrams_clear(d);
    neap_pool_free(d->pool, d->fates, d->fate_capacity * sizeof *d->fates);
    d->fates = NULL;
    d->fate_capacity = d->fate_count = d->fate_head = d->asked = 0;
}
