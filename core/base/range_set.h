/* A bounded, sorted set of half-open ranges [start, end) of 62-bit numbers: packet numbers received, bytes received,
 * bytes acknowledged. Memory is one array from the pool that grows by doubling up to `limit` ranges. */
#ifndef NEAP_BASE_RANGE_SET_H
#define NEAP_BASE_RANGE_SET_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct pool;

struct range {
    uint64_t start, end;
};

struct range_set {
    struct range *ranges; /* ascending, never touching each other */
    uint16_t count, capacity, limit;
};

/** Zero-initialised plus a limit is an empty set; ranges are allocated at the first insert. */
static inline struct range_set range_set_of(uint32_t limit)
{
    return (struct range_set){.limit = limit < UINT16_MAX ? (uint16_t)limit : UINT16_MAX};
}

/** Add [start, end). Returns 0, NEAP_ERR_LIMIT when it would take more than `limit` ranges (the set is unchanged), or
 * NEAP_ERR_NO_MEMORY. O(log n) search plus a move. */
int neap_range_set_insert(struct range_set *s, struct pool *pool, uint64_t start, uint64_t end);

/** Take [start, end) out; may split a range (then it can fail as insert does). */
int neap_range_set_remove(struct range_set *s, struct pool *pool, uint64_t start, uint64_t end);

/** Insert by the one range that [start, end) lies right behind, where that is the last: false, and nothing changed, where it
 * is not. What comes in order does. */
static inline bool range_set_extend(struct range_set *s, uint64_t start, uint64_t end)
{
    if (s->count == 0 || s->ranges[s->count - 1].end != start)
        return false;
    s->ranges[s->count - 1].end = end;
    return true;
}

/** Whether the last range alone has all of [start, end). */
static inline bool range_set_last_covers(const struct range_set *s, uint64_t start, uint64_t end)
{
    return s->count > 0 && s->ranges[s->count - 1].start <= start && end <= s->ranges[s->count - 1].end;
}

/** Forget everything below `start`. */
void neap_range_set_drop_below(struct range_set *s, uint64_t start);

bool neap_range_set_contains(const struct range_set *s, uint64_t value);

/** Whether the whole of [start, end) is in the set. */
bool neap_range_set_covers(const struct range_set *s, uint64_t start, uint64_t end);

/** The first gap at or after `from` and below `limit`: returns false when [from, limit) is covered. */
bool neap_range_set_first_gap(const struct range_set *s, uint64_t from, uint64_t limit, struct range *gap);

void neap_range_set_free(struct range_set *s, struct pool *pool);

#endif
