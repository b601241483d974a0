/* The search for the datagram size of a path, and black holes (RFC 8899 §4.3, §5). There are no timers: a path on which
 * nothing is sent needs no probe. */
#include "recovery/pmtu.h"

#define STEP 8u                         /* bytes: less is not worth a probe */
#define ORDINARY 1452u                  /* bytes: what nearly every path carries; tried in any window */
#define MAX_PROBES 3u                   /* lost in a row: the size does not pass (RFC 8899 §5.1.2) */
#define RAISE_AFTER (600 * NEAP_SECOND) /* PMTU_RAISE_TIMER: the path may take more by now */
#define BLACK_HOLE_LOSSES 6u            /* and so many datagrams, since a path may lose a part of all */
#define BLACK_HOLE_ROUNDS 3u /* of losses with nothing as large between them; one, with a PTB message */
#define BLACK_HOLE_WAIT (10 * NEAP_SECOND) /* … before larger ones are tried again, twice as long each time */
#define BLACK_HOLE_BACKOFF 6u              /* doublings */

void neap_pmtu_init(struct pmtu *p, uint16_t most)
{
    *p = (struct pmtu){.size = PMTU_BASE, .most = most, .too_large = (uint16_t)(most + 1)};
}

void neap_pmtu_set_most(struct pmtu *p, uint16_t most)
{
    p->most = most;
    p->too_large = (uint16_t)(most + 1);
}

void neap_pmtu_continue(struct pmtu *p, const struct pmtu *from)
{
    *p = *from;
    p->probes_sent = p->probes_lost = p->black_holes = 0;
    p->in_flight = p->waits = false;
}

/* ---- the search */

static bool is_found(const struct pmtu *p)
{
    return p->too_large <= p->size + STEP;
}

/* What to try first: what a PTB message says, and then, that a little more fails; the most, since most paths take it; where
 * that is a jumbo frame, what ordinary ones take; then the middle of what is left. */
static uint64_t next_size(const struct pmtu *p)
{
    if (p->failed)
        return p->probed;
    if (p->hint >= p->size && p->hint < p->too_large)
        return p->hint;
    if (p->too_large > p->most)
        return p->most;
    if (p->size < ORDINARY && p->too_large > ORDINARY + STEP)
        return ORDINARY;
    return p->size + (p->too_large - p->size) / 2u;
}

uint16_t neap_pmtu_next_probe(struct pmtu *p, uint64_t window, neap_time now)
{
    if (p->in_flight || p->size >= p->most || now < p->next_at)
        return 0;
    if (is_found(p)) {
        if (p->next_at == 0) {
            p->next_at = now + RAISE_AFTER;
            return 0;
        }
        p->too_large = (uint16_t)(p->most + 1);
        p->hint = 0;
    }
    p->next_at = 0;
    uint64_t least = p->size + STEP, size = next_size(p), room = window / 2;

    if (size < least)
        size = least;
    if (room < ORDINARY)
        room = ORDINARY;
    if (size > room)
        size = room;
    return size >= least && size <= p->most ? (uint16_t)size : 0;
}

void neap_pmtu_on_probe_sent(struct pmtu *p, uint16_t size)
{
    p->probed = size;
    p->in_flight = true;
    p->probes_sent++;
}

void neap_pmtu_on_probe_acked(struct pmtu *p, uint16_t size)
{
    if (size == p->probed)
        p->in_flight = false;
    if (size <= p->size || size > p->most)
        return;
    p->size = size;
    p->failed = p->rounds = p->losses = 0;
    p->suspect = 0;
    if (p->too_large <= size)
        p->too_large = (uint16_t)(p->most + 1);
    if (p->hint < size)
        p->hint = 0;
}

/* Of a size or one below it, since those that follow a lost one are no larger. */
static void fail(struct pmtu *p, uint16_t size)
{
    p->failed = 0;
    p->too_large = size;
}

/* Losses have many causes: one is believed where a PTB message told of it. */
void neap_pmtu_on_probe_lost(struct pmtu *p, uint16_t size)
{
    p->probes_lost++;
    if (!p->in_flight || size != p->probed)
        return;
    p->in_flight = false;
    if (size <= p->size) /* … as it is when a black hole was left meanwhile */
        return;
    if (++p->failed >= MAX_PROBES || (p->hint && p->hint < size))
        fail(p, size);
}

/* ---- black holes */

static void leave_black_hole(struct pmtu *p, neap_time now)
{
    unsigned doublings = p->black_holes < BLACK_HOLE_BACKOFF ? p->black_holes : BLACK_HOLE_BACKOFF;

    p->next_at = now + (BLACK_HOLE_WAIT << doublings);
    p->too_large = p->suspect;
    p->size = PMTU_BASE;
    p->suspect = 0;
    p->rounds = p->losses = p->failed = 0;
    p->black_holes++;
}

static bool is_black_hole(const struct pmtu *p)
{
    if (p->hint && p->hint < p->suspect)
        return true;
    return p->rounds >= BLACK_HOLE_ROUNDS && p->losses >= BLACK_HOLE_LOSSES;
}

void neap_pmtu_on_round(struct pmtu *p, uint16_t lost, uint64_t losses, uint16_t acked, neap_time now)
{
    if (p->hint && acked > p->hint)
        p->hint = 0;
    /* What is larger than the size left before it went down. */
    if (lost > acked && lost <= p->size) {
        p->rounds = (uint8_t)(p->rounds + (p->rounds < BLACK_HOLE_ROUNDS));
        p->losses =
            (uint8_t)(losses < BLACK_HOLE_LOSSES - p->losses ? p->losses + losses : BLACK_HOLE_LOSSES);
        if (!p->suspect || lost < p->suspect)
            p->suspect = lost;
    } else if (p->suspect && acked >= p->suspect) {
        p->rounds = p->losses = 0;
        p->suspect = 0;
    }
    if (is_black_hole(p))
        leave_black_hole(p, now);
}

/* ---- what others say */

void neap_pmtu_on_too_big(struct pmtu *p, uint16_t passes)
{
    /* RFC 8899 §3: what was sent is what was too big. */
    if (passes < PMTU_BASE || (passes >= p->size && passes >= p->probed) || passes >= p->too_large)
        return;
    p->hint = passes;
    if (p->failed && passes < p->probed)
        fail(p, p->probed);
}

/* Of a probe it is as good as its loss, and there is no second opinion. What is sent besides was small enough before: the
 * error may be one that an ICMP message left behind. */
void neap_pmtu_on_refused(struct pmtu *p, uint16_t size, uint16_t passes, neap_time now)
{
    neap_pmtu_on_too_big(p, passes);
    if (size <= p->size) {
        neap_pmtu_on_round(p, size > PMTU_BASE ? size : 0, BLACK_HOLE_LOSSES, 0, now);
    } else if (p->in_flight && size == p->probed) {
        p->in_flight = false;
        fail(p, size);
    }
}
