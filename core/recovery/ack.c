/* Received packet numbers and when to acknowledge them (RFC 9000 §13.2). */
#include "recovery/ack.h"

#include "base/limits.h"
#include "base/pool.h"

#include <string.h>

#define LEAST_CAPACITY 4u

enum { ECT1 = 1, ECT0 = 2, CE = 3 }; /* the bits in the IP header (RFC 3168) */

void neap_ack_init(struct ack_state *a)
{
    *a = (struct ack_state){
        .received = range_set_of(LIMIT_ACK_RANGES_KEPT),
        .largest = UINT64_MAX,
        .largest_eliciting = UINT64_MAX,
        .lowest_untold = UINT64_MAX,
        .send_at = NEAP_NEVER,
        .policy = {.every = 2, .reordering = 1},
        .told = UINT64_MAX,
    };
}

bool neap_ack_is_duplicate(const struct ack_state *a, uint64_t number)
{
    if (a->largest == UINT64_MAX || number > a->largest)
        return false;
    return number < a->floor || neap_range_set_contains(&a->received, number);
}

static void drop_below(struct ack_state *a, uint64_t floor)
{
    if (floor <= a->floor)
        return;
    a->floor = floor;
    neap_range_set_drop_below(&a->received, floor);
}

/* At the bound the lowest range makes room; a number below all of them is given up itself. */
static int insert(struct ack_state *a, struct pool *pool, uint64_t number)
{
    if (range_set_extend(&a->received, number, number + 1))
        return NEAP_OK;
    int error = neap_range_set_insert(&a->received, pool, number, number + 1);

    if (error != NEAP_ERR_LIMIT)
        return error;
    if (number < a->received.ranges[0].start) {
        drop_below(a, number + 1);
        return NEAP_OK;
    }
    drop_below(a, a->received.ranges[0].end);
    return neap_range_set_insert(&a->received, pool, number, number + 1);
}

/* draft-ietf-quic-ack-frequency-14 §6.2: a missing packet, which no ACK has shown to be so far behind, is so far behind
 * now that the peer can take it for lost; or one came that the peer took for lost. */
static bool is_beyond_reordering(const struct ack_state *a, uint64_t number)
{
    uint64_t most = a->policy.reordering, from = a->confirmed > a->floor ? a->confirmed : a->floor;
    uint64_t largest =
        a->largest_eliciting != UINT64_MAX && a->largest_eliciting > number ? a->largest_eliciting : number;
    struct range gap;

    if (a->told != UINT64_MAX && a->told >= most) {
        if (number <= a->told - most)
            return true;
        if (a->told - most >= from)
            from = a->told - most + 1;
    }
    return !range_set_last_covers(&a->received, from, largest) &&
           neap_range_set_first_gap(&a->received, from, largest, &gap) && largest - gap.start >= most;
}

/* RFC 9000 §13.2.1: below another ack-eliciting packet, or with missing ones between it and the highest of them. */
static bool is_out_of_order(const struct ack_state *a, uint64_t number)
{
    if (a->policy.reordering != 1)
        return a->policy.reordering > 0 && is_beyond_reordering(a, number);
    if (a->largest_eliciting == UINT64_MAX)
        return false;
    if (number < a->largest_eliciting)
        return true;
    uint64_t from = a->largest_eliciting > a->floor ? a->largest_eliciting : a->floor;
    return !neap_range_set_covers(&a->received, from, number);
}

/* RFC 9000 §13.2.1; where more than two packets share an ACK, the first mark of several is told at once
 * (draft-ietf-quic-ack-frequency-14 §6.3). */
static bool is_ce_news(struct ack_state *a, uint8_t ecn)
{
    bool is_ce = (ecn & 3) == CE, is_first = is_ce && !a->was_ce;

    a->was_ce = is_ce;
    return a->policy.every > 2 ? is_first : is_ce;
}

static void count_ecn(struct ack_state *a, uint8_t ecn)
{
    switch (ecn & 3) {
    case ECT0: a->ecn[0]++; break;
    case ECT1: a->ecn[1]++; break;
    case CE: a->ecn[2]++; break;
    }
}

int neap_ack_note(struct ack_state *a, struct pool *pool, uint64_t number, bool ack_eliciting, bool immediate,
                  uint8_t ecn, neap_time max_ack_delay, neap_time now)
{
    int error = insert(a, pool, number);

    if (error)
        return error;
    if (a->largest == UINT64_MAX || number > a->largest) {
        a->largest = number;
        a->largest_at = now;
    }
    if (number < a->lowest_untold)
        a->lowest_untold = number;
    if (number < a->confirmed)
        a->confirmed = number;
    bool is_marked = is_ce_news(a, ecn);
    count_ecn(a, ecn);
    a->pending = true;
    if (!ack_eliciting)
        return NEAP_OK;
    bool due = immediate || is_out_of_order(a, number) || is_marked;

    a->eliciting_unacked++;
    if (due || a->eliciting_unacked >= a->policy.every)
        max_ack_delay = 0;
    else if (a->policy.max_delay)
        max_ack_delay = a->policy.max_delay;
    if (a->send_at > now + max_ack_delay)
        a->send_at = now + max_ack_delay;
    if (a->largest_eliciting == UINT64_MAX || number > a->largest_eliciting)
        a->largest_eliciting = number;
    return NEAP_OK;
}

bool neap_ack_is_due(const struct ack_state *a, neap_time now)
{
    return a->send_at <= now;
}

uint64_t neap_ack_delay(const struct ack_state *a, unsigned exponent, neap_time now)
{
    return now > a->largest_at ? (now - a->largest_at) / 1000 >> exponent : 0;
}

void neap_ack_sent(struct ack_state *a)
{
    a->told = a->largest;
    a->send_at = NEAP_NEVER;
    a->eliciting_unacked = 0;
    a->lowest_untold = UINT64_MAX;
    a->pending = false;
}

/* The largest itself stays, and so does what no ACK has told yet. */
void neap_ack_confirmed(struct ack_state *a, uint64_t largest)
{
    if (a->largest == UINT64_MAX || largest > a->largest)
        return;
    uint64_t below = largest < a->lowest_untold ? largest : a->lowest_untold;

    if (below > a->confirmed)
        a->confirmed = below;
}

const struct range *neap_ack_untold(const struct ack_state *a, struct range *room, size_t most, size_t *count)
{
    const struct range *ranges = a->received.ranges, *end = ranges + a->received.count, *low = end;

    while (low > ranges && low[-1].end > a->confirmed)
        low--;
    *count = (size_t)(end - low);
    if (*count <= most)
        return low;
    *count = most;
    size_t few = most / 4;
    const struct range *newest = end - (most - few);
    while (a->lowest_untold != UINT64_MAX && low < newest && low->end <= a->lowest_untold)
        low++;
    if ((size_t)(newest - low) <= few)
        return end - most;
    memcpy(room, low, few * sizeof *room);
    memcpy(room + few, newest, (most - few) * sizeof *room);
    return room;
}

/* One range that was told: the floor says as much. */
static void forget_told(struct ack_state *a, struct pool *pool)
{
    if (a->received.count != 1 || a->pending || a->send_at != NEAP_NEVER)
        return;
    drop_below(a, a->received.ranges[0].end);
    neap_range_set_free(&a->received, pool);
}

void neap_ack_trim(struct ack_state *a, struct pool *pool)
{
    drop_below(a, a->confirmed); /* after a silence nothing is on its way */
    forget_told(a, pool);

    uint32_t capacity = LEAST_CAPACITY;

    while (capacity < a->received.count)
        capacity *= 2;
    struct range *ranges =
        a->received.count > 0 ? neap_pool_alloc_lasting(pool, capacity * sizeof *ranges) : NULL;
    if (!ranges)
        return;
    memcpy(ranges, a->received.ranges, a->received.count * sizeof *ranges);
    neap_pool_free(pool, a->received.ranges, a->received.capacity * sizeof *ranges);
    a->received.ranges = ranges;
    a->received.capacity = (uint16_t)capacity;
}

void neap_ack_free(struct ack_state *a, struct pool *pool)
{
    uint64_t ecn[3] = {a->ecn[0], a->ecn[1], a->ecn[2]}; /* may still be asked for */

    neap_range_set_free(&a->received, pool);
    neap_ack_init(a);
    memcpy(a->ecn, ecn, sizeof ecn);
}
