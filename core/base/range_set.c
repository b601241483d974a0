/* Sorted ranges in one array: binary search, then a move of what lies behind. */
#include "base/range_set.h"

#include "base/pool.h"
#include "neap.h"

#include <string.h>

#define FIRST_CAPACITY 4u

/* The first range whose end is at or past `value`: the one that holds `value`, touches it, or lies behind it. What comes
 * in order is at or behind the last one, which is looked at first. */
static uint32_t find(const struct range_set *s, uint64_t value)
{
    uint32_t low = 0, high = s->count;

    if (high == 0 || s->ranges[high - 1].end < value)
        return high;
    if (s->ranges[high - 1].start <= value)
        return high - 1;
    high--;
    while (low < high) {
        uint32_t middle = low + (high - low) / 2;

        if (s->ranges[middle].end < value)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

static void erase(struct range_set *s, uint32_t at, uint32_t count)
{
    if (count == 0)
        return;
    memmove(s->ranges + at, s->ranges + at + count, (s->count - at - count) * sizeof(struct range));
    s->count = (uint16_t)(s->count - count);
}

/* Room for one more range at `at`. */
static int make_room(struct range_set *s, struct pool *pool, uint32_t at)
{
    if (s->count >= s->limit)
        return NEAP_ERR_LIMIT;
    if (s->count == s->capacity) {
        uint32_t capacity = s->capacity ? s->capacity * 2u : FIRST_CAPACITY;

        if (capacity > s->limit)
            capacity = s->limit;
        struct range *ranges = neap_pool_resize(pool, s->ranges, s->capacity * sizeof(struct range),
                                                capacity * sizeof(struct range));
        if (!ranges)
            return NEAP_ERR_NO_MEMORY;
        s->ranges = ranges;
        s->capacity = (uint16_t)capacity;
    }
    memmove(s->ranges + at + 1, s->ranges + at, (s->count - at) * sizeof(struct range));
    s->count++;
    return 0;
}

int neap_range_set_insert(struct range_set *s, struct pool *pool, uint64_t start, uint64_t end)
{
    if (start >= end)
        return 0;
    uint32_t first = find(s, start), last = first;
    /* Everything in [first, last) overlaps or touches [start, end) and melts into one. */
    while (last < s->count && s->ranges[last].start <= end)
        last++;
    if (first == last) {
        int error = make_room(s, pool, first);
        if (error)
            return error;
        s->ranges[first] = (struct range){start, end};
        return 0;
    }
    struct range *merged = &s->ranges[first];
    if (start < merged->start)
        merged->start = start;
    if (s->ranges[last - 1].end > end)
        end = s->ranges[last - 1].end;
    merged->end = end;
    erase(s, first + 1, last - first - 1);
    return 0;
}

int neap_range_set_remove(struct range_set *s, struct pool *pool, uint64_t start, uint64_t end)
{
    if (start >= end)
        return 0;
    uint32_t at = find(s, start);
    if (at < s->count && s->ranges[at].end == start)
        at++; /* only touches */
    if (at < s->count && s->ranges[at].start < start && s->ranges[at].end > end) {
        struct range whole = s->ranges[at];
        int error = make_room(s, pool, at);
        if (error)
            return error;
        s->ranges[at] = (struct range){whole.start, start};
        s->ranges[at + 1] = (struct range){end, whole.end};
        return 0;
    }
    if (at < s->count && s->ranges[at].start < start)
        s->ranges[at++].end = start;
    uint32_t last = at;
    while (last < s->count && s->ranges[last].end <= end)
        last++;
    if (last < s->count && s->ranges[last].start < end)
        s->ranges[last].start = end;
    erase(s, at, last - at);
    return 0;
}

void neap_range_set_drop_below(struct range_set *s, uint64_t start)
{
    uint32_t first = 0;

    while (first < s->count && s->ranges[first].end <= start)
        first++;
    erase(s, 0, first);
    if (s->count && s->ranges[0].start < start)
        s->ranges[0].start = start;
}

bool neap_range_set_contains(const struct range_set *s, uint64_t value)
{
    return neap_range_set_covers(s, value, value + 1);
}

bool neap_range_set_covers(const struct range_set *s, uint64_t start, uint64_t end)
{
    if (start >= end)
        return true;
    uint32_t at = find(s, end);
    return at < s->count && s->ranges[at].start <= start;
}

bool neap_range_set_first_gap(const struct range_set *s, uint64_t from, uint64_t limit, struct range *gap)
{
    uint32_t at = find(s, from);

    if (at < s->count && s->ranges[at].start <= from) {
        from = s->ranges[at].end;
        at++;
    }
    if (from >= limit)
        return false;
    uint64_t end = at < s->count && s->ranges[at].start < limit ? s->ranges[at].start : limit;
    *gap = (struct range){from, end};
    return true;
}

void neap_range_set_free(struct range_set *s, struct pool *pool)
{
    neap_pool_free(pool, s->ranges, s->capacity * sizeof(struct range));
    *s = range_set_of(s->limit);
}
