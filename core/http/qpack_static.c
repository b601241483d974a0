/* Looking entries up by index, and by name through a perfect hash. */
#include "http/qpack_static.h"

#include "http/qpack_static_table.h"

#define SHORTEST_NAME 3u /* "age" */

static struct span name_of(unsigned index)
{
    return span_of(static_text + static_entries[index].name, static_entries[index].name_size);
}

static struct span value_of(unsigned index)
{
    return span_of(static_text + static_entries[index].value, static_entries[index].value_size);
}

bool neap_qpack_static_get(uint64_t index, struct span *name, struct span *value)
{
    if (index >= STATIC_ENTRIES)
        return false;
    *name = name_of((unsigned)index);
    *value = value_of((unsigned)index);
    return true;
}

bool neap_qpack_static_holds(const void *text)
{
    return (uintptr_t)text - (uintptr_t)static_text < sizeof static_text;
}

struct static_match neap_qpack_static_find(struct span name, struct span value)
{
    struct static_match none = {.exact = -1, .name = -1};

    if (name.size < SHORTEST_NAME)
        return none;
    const uint8_t *end = name.data + name.size;
    size_t slot = STATIC_HASH(name.size, name.data[0], end[-3], end[-1]);
    if (static_slots[slot] == 0)
        return none;
    unsigned index = static_slots[slot] - 1u;
    if (!span_equal(name, name_of(index)))
        return none;
    struct static_match match = {.exact = -1, .name = (int)index};
    do {
        if (span_equal(value, value_of(index))) {
            match.exact = (int)index;
            break;
        }
        index = static_entries[index].next;
    } while (index != 0);
    return match;
}
