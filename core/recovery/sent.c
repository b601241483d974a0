/* Two rings that grow by doubling: packet records by order of sending, and the frame records behind them. */
#include "recovery/sent.h"

#include "base/pool.h"
#include "recovery/cc.h"

#include <assert.h>
#include <string.h>

#define FIRST_PACKETS 16u
#define FIRST_FRAMES 32u

static struct sent_packet *slot(const struct sent *s, uint32_t running)
{
    return &s->packets[running & (s->packet_capacity - 1)];
}

static bool is_non_eliciting(const struct sent_packet *p)
{
    return !p->ack_eliciting && !p->in_flight;
}

void neap_sent_init(struct sent *s, bool keeps_records)
{
    *s = (struct sent){.keeps_records = keeps_records, .largest_sent = UINT64_MAX, .skipped = UINT64_MAX};
}

static void free_records(struct sent *s, struct pool *pool)
{
    if (s->records)
        neap_pool_free(pool, s->records, s->packet_capacity * sizeof *s->records);
    s->records = NULL;
}

static int grow_packets(struct sent *s, struct pool *pool)
{
    uint32_t capacity = s->packet_capacity ? s->packet_capacity * 2 : FIRST_PACKETS;

    if (capacity > LIMIT_SENT_PACKETS)
        return NEAP_ERR_LIMIT;
    struct sent_packet *ring = neap_pool_alloc(pool, capacity * sizeof *ring);
    struct cc_record *records = NULL;
    if (ring && s->keeps_records && !(records = neap_pool_alloc(pool, capacity * sizeof *records))) {
        neap_pool_free(pool, ring, capacity * sizeof *ring);
        ring = NULL;
    }
    if (!ring)
        return NEAP_ERR_NO_MEMORY;
    for (uint32_t i = s->packet_head; i != s->packet_head + s->packet_count; i++) {
        ring[i & (capacity - 1)] = *slot(s, i);
        if (records)
            records[i & (capacity - 1)] = s->records[i & (s->packet_capacity - 1)];
    }
    free_records(s, pool);
    s->records = records;
    neap_pool_free(pool, s->packets, s->packet_capacity * sizeof *ring);
    s->packets = ring;
    s->packet_capacity = capacity;
    return NEAP_OK;
}

static int grow_frames(struct sent *s, struct pool *pool, size_t needed)
{
    uint32_t capacity = s->frame_capacity ? s->frame_capacity : FIRST_FRAMES;

    while (capacity < needed && capacity <= LIMIT_SENT_FRAMES)
        capacity *= 2;
    if (capacity > LIMIT_SENT_FRAMES)
        return NEAP_ERR_LIMIT;
    struct sent_frame *ring = neap_pool_alloc(pool, capacity * sizeof *ring);
    if (!ring)
        return NEAP_ERR_NO_MEMORY;
    for (uint32_t i = s->frame_head; i != s->frame_head + s->frame_count; i++)
        ring[i & (capacity - 1)] = s->frames[i & (s->frame_capacity - 1)];
    neap_pool_free(pool, s->frames, s->frame_capacity * sizeof *ring);
    s->frames = ring;
    s->frame_capacity = capacity;
    return NEAP_OK;
}

int neap_sent_reserve(struct sent *s, struct pool *pool, size_t frames)
{
    int error = NEAP_OK;

    if (!s->lost && !(s->lost = neap_pool_alloc(pool, sizeof *s->lost)))
        return NEAP_ERR_NO_MEMORY;
    if (s->packet_count == s->packet_capacity)
        error = grow_packets(s, pool);
    if (!error && s->frame_count + frames > s->frame_capacity)
        error = grow_frames(s, pool, s->frame_count + frames);
    return error;
}

/* Nobody owes us an acknowledgement for what elicits none, so that a long row of such packets, as a mere receiver
 * sends them, must not grow: the newest takes the place of the one before. Whether it did. */
static bool make_non_eliciting_room(struct sent *s, const struct sent_packet *packet)
{
    bool is_replaced = false;

    if (!is_non_eliciting(packet)) {
        s->non_eliciting = 0;
        return false;
    }
    if (s->non_eliciting == LIMIT_SENT_NON_ELICITING && s->packet_count > 0) {
        const struct sent_packet *newest = slot(s, s->packet_head + s->packet_count - 1);

        if (newest->fate == FATE_IN_FLIGHT) {
            s->frame_count -= newest->frame_count;
            s->packet_count--;
            s->non_eliciting--;
            is_replaced = true;
        }
    }
    if (s->non_eliciting < LIMIT_SENT_NON_ELICITING)
        s->non_eliciting++;
    return is_replaced;
}

bool neap_sent_add(struct sent *s, const struct sent_packet *packet, const struct sent_frame *frames,
                   size_t count)
{
    bool is_replaced = make_non_eliciting_room(s, packet);

    assert(s->packet_count < s->packet_capacity && s->frame_count + count <= s->frame_capacity);
    assert(s->largest_sent == UINT64_MAX || packet->number > s->largest_sent);
    struct sent_packet *p = slot(s, s->packet_head + s->packet_count);
    uint32_t first = s->frame_head + s->frame_count;

    /* One by one: a copy of the whole waits for the small stores that made it. */
    p->number = packet->number;
    p->at = packet->at;
    p->first_frame = first;
    p->frame_count = (uint16_t)count;
    p->size = packet->size;
    p->fate = p->outcome = FATE_IN_FLIGHT;
    p->path = packet->path;
    p->ack_eliciting = packet->ack_eliciting;
    p->in_flight = packet->in_flight;
    p->has_moved = false;
    p->is_size_probe = packet->is_size_probe;
    p->is_marked = packet->is_marked;
    p->is_early = packet->is_early;
    for (uint32_t i = 0; i < count; i++)
        s->frames[(first + i) & (s->frame_capacity - 1)] = frames[i];
    s->packet_count++;
    s->frame_count += (uint32_t)count;
    s->largest_sent = packet->number;
    if (packet->ack_eliciting && !packet->is_size_probe)
        s->eliciting_in_flight++;
    return is_replaced;
}

/* Lost numbers that are older than what is remembered of those left out are no evidence. */
static void forget_lost_before(struct sent *s, uint64_t number)
{
    uint8_t gone = 0;

    while (gone < s->lost_count && s->lost->ranges[gone].start < number)
        gone++;
    s->lost_count -= gone;
    memmove(s->lost->ranges, s->lost->ranges + gone, s->lost_count * sizeof s->lost->ranges[0]);
    memmove(s->lost->paths, s->lost->paths + gone, s->lost_count);
}

void neap_sent_skip(struct sent *s, uint64_t number)
{
    if (s->lost && s->skipped != UINT64_MAX) {
        uint64_t *place = &s->lost->skipped[s->skipped_next];

        if (s->skipped_count == LIMIT_SENT_SKIPPED)
            forget_lost_before(s, *place);
        else
            s->skipped_count++;
        *place = s->skipped;
        s->skipped_next = (uint8_t)((s->skipped_next + 1u) % LIMIT_SENT_SKIPPED);
    }
    s->skipped = number;
}

bool neap_sent_has_skipped(const struct sent *s, uint64_t start, uint64_t end)
{
    /* The others are older. */
    if (s->skipped < start || s->skipped < end)
        return s->skipped >= start;
    for (uint8_t i = 0; i < s->skipped_count; i++)
        if (s->lost->skipped[i] >= start && s->lost->skipped[i] < end)
            return true;
    return false;
}

struct sent_packet *neap_sent_at(struct sent *s, uint32_t index)
{
    return index < s->packet_count ? slot(s, s->packet_head + index) : NULL;
}

struct cc_record *neap_sent_record(const struct sent *s, const struct sent_packet *p)
{
    return s->records ? &s->records[p - s->packets] : NULL;
}

struct cc_record *neap_sent_newest_record(const struct sent *s)
{
    return s->records ? &s->records[(s->packet_head + s->packet_count - 1) & (s->packet_capacity - 1)] : NULL;
}

uint32_t neap_sent_lower_bound(const struct sent *s, uint64_t number)
{
    uint32_t low = 0, high = s->packet_count;

    while (low < high) {
        uint32_t middle = low + (high - low) / 2;

        if (slot(s, s->packet_head + middle)->number < number)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

const struct sent_frame *neap_sent_frame(const struct sent *s, const struct sent_packet *p, size_t i)
{
    assert(i < p->frame_count);
    return &s->frames[(p->first_frame + (uint32_t)i) & (s->frame_capacity - 1)];
}

static void remember_lost(struct sent *s, uint64_t number, uint8_t path)
{
    uint8_t last = (uint8_t)(s->lost_count - 1);

    if (s->lost_count && s->lost->ranges[last].end == number && s->lost->paths[last] == path) {
        s->lost->ranges[last].end++;
        return;
    }
    if (s->lost_count == LIMIT_SENT_LOST_RANGES) {
        s->lost_count--;
        memmove(s->lost->ranges, s->lost->ranges + 1, s->lost_count * sizeof s->lost->ranges[0]);
        memmove(s->lost->paths, s->lost->paths + 1, s->lost_count);
    }
    s->lost->paths[s->lost_count] = path;
    s->lost->ranges[s->lost_count++] = (struct range){number, number + 1};
}

static void free_oldest(struct sent *s)
{
    while (s->packet_count && slot(s, s->packet_head)->fate == FATE_TAKEN) {
        const struct sent_packet *p = slot(s, s->packet_head);

        s->frame_head += p->frame_count;
        s->frame_count -= p->frame_count;
        s->packet_head++;
        s->packet_count--;
    }
    /* Running indices wrap, so that "before" is a signed difference. */
    if ((int32_t)(s->scan - s->packet_head) < 0)
        s->scan = s->packet_head;
}

void neap_sent_decide(struct sent *s, uint32_t index, enum sent_fate fate)
{
    uint32_t running = s->packet_head + index;
    struct sent_packet *p = slot(s, running);

    assert(index < s->packet_count && p->fate == FATE_IN_FLIGHT && fate != FATE_IN_FLIGHT);
    p->fate = p->outcome = (uint8_t)fate;
    if (p->ack_eliciting && !p->is_size_probe)
        s->eliciting_in_flight--;
    if (fate == FATE_LOST && p->in_flight)
        remember_lost(s, p->number, p->path);
    if (fate == FATE_TAKEN)
        return; /* its place is freed with the next fate that is taken, so that indices keep their meaning */
    s->undecided++;
    if ((int32_t)(running - s->scan) < 0)
        s->scan = running;
}

struct sent_packet *neap_sent_next_fate(struct sent *s, enum sent_fate *fate)
{
    if (s->is_taking) {
        slot(s, s->taking)->fate = FATE_TAKEN;
        s->is_taking = false;
    }
    free_oldest(s);
    if (s->undecided == 0)
        return NULL;
    for (; s->scan != s->packet_head + s->packet_count; s->scan++) {
        struct sent_packet *p = slot(s, s->scan);

        if (p->fate != FATE_ACKED && p->fate != FATE_LOST)
            continue;
        *fate = (enum sent_fate)p->fate;
        s->taking = s->scan++;
        s->is_taking = true;
        s->undecided--;
        return p;
    }
    return NULL;
}

static void add_spurious(struct sent_spurious *sum, uint64_t from, uint64_t to)
{
    uint64_t late = from > sum->floor ? from : sum->floor;

    if (sum->count == 0 || from < sum->least)
        sum->least = from;
    sum->count += (uint32_t)(to - from);
    sum->late += late < to ? (uint32_t)(to - late) : 0;
}

void neap_sent_count_spurious(struct sent *s, uint64_t start, uint64_t end,
                              struct sent_spurious spurious[LIMIT_PATHS + 1])
{
    uint8_t kept = 0;

    for (uint8_t i = 0; i < s->lost_count; i++) {
        struct range r = s->lost->ranges[i];
        uint64_t from = r.start > start ? r.start : start, to = r.end < end ? r.end : end;

        if (from < to) {
            add_spurious(&spurious[s->lost->paths[i]], from, to);
            /* Of a range that is hit in its middle the lower part is kept. */
            r = from > r.start ? (struct range){r.start, from} : (struct range){to, r.end};
        }
        if (r.start < r.end) {
            s->lost->paths[kept] = s->lost->paths[i];
            s->lost->ranges[kept++] = r;
        }
    }
    s->lost_count = kept;
}

void neap_sent_move_lost(struct sent *s, uint8_t from, uint8_t to)
{
    for (uint8_t i = 0; i < s->lost_count; i++)
        if (s->lost->paths[i] == from)
            s->lost->paths[i] = to;
}

void neap_sent_forget_lost(struct sent *s)
{
    s->lost_count = 0;
}

void neap_sent_forget_path(struct sent *s, uint8_t path)
{
    for (uint32_t i = 0; i < s->packet_count; i++)
        if (slot(s, s->packet_head + i)->path == path)
            slot(s, s->packet_head + i)->path = PATH_NONE;
    neap_sent_move_lost(s, path, PATH_NONE);
}

static void free_rings(struct sent *s, struct pool *pool)
{
    free_records(s, pool);
    neap_pool_free(pool, s->packets, s->packet_capacity * sizeof *s->packets);
    neap_pool_free(pool, s->frames, s->frame_capacity * sizeof *s->frames);
    neap_pool_free(pool, s->lost, sizeof *s->lost);
    s->packets = NULL;
    s->frames = NULL;
    s->lost = NULL;
    s->lost_count = s->skipped_count = s->skipped_next = 0;
    s->packet_capacity = s->packet_count = s->frame_capacity = s->frame_count = 0;
    s->non_eliciting = 0;
    s->scan = s->packet_head;
}

void neap_sent_trim(struct sent *s, struct pool *pool)
{
    if (s->undecided || s->is_taking)
        return;
    for (uint32_t i = 0; i < s->packet_count; i++) {
        const struct sent_packet *p = slot(s, s->packet_head + i);

        if (p->fate == FATE_IN_FLIGHT && p->in_flight)
            return;
    }
    free_rings(s, pool);
}

void neap_sent_free(struct sent *s, struct pool *pool)
{
    free_rings(s, pool);
    neap_sent_init(s, s->keeps_records);
}
