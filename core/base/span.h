/* A view of bytes that somebody else owns. */
#ifndef NEAP_BASE_SPAN_H
#define NEAP_BASE_SPAN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

struct span {
    const uint8_t *data;
    size_t size;
};

static inline struct span span_of(const void *data, size_t size)
{
    return (struct span){.data = data, .size = size};
}

static inline struct span span_of_string(const char *text)
{
    return span_of(text, strlen(text));
}

static inline bool span_equal(struct span a, struct span b)
{
    return a.size == b.size && (a.size == 0 || memcmp(a.data, b.data, a.size) == 0);
}

/* All but the first `count` bytes; count <= s.size. */
static inline struct span span_after(struct span s, size_t count)
{
    return span_of(s.data + count, s.size - count);
}

#endif
