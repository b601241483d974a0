/* A cursor over received bytes. After the first short read `bad` stays set and every read gives zero, so a parser
 * reads all its fields and its caller checks once. */
#ifndef NEAP_BASE_READER_H
#define NEAP_BASE_READER_H

#include "base/span.h"

struct reader {
    const uint8_t *at, *end;
    bool bad;
};

static inline struct reader reader_of(struct span s)
{
    return (struct reader){.at = s.data, .end = s.data ? s.data + s.size : s.data, .bad = false};
}

static inline size_t reader_left(const struct reader *r)
{
    return r->bad ? 0 : (size_t)(r->end - r->at);
}

static inline struct span read_bytes(struct reader *r, uint64_t size)
{
    if (r->bad || size > (size_t)(r->end - r->at)) {
        r->bad = true;
        return (struct span){0};
    }
    struct span s = {r->at, (size_t)size};
    if (size)
        r->at += size;
    return s;
}

static inline struct span read_rest(struct reader *r)
{
    return read_bytes(r, reader_left(r));
}

/* A big-endian integer of 1 to 8 bytes. */
static inline uint64_t read_uint(struct reader *r, size_t size)
{
    struct span s = read_bytes(r, size);
    uint64_t value = 0;

    for (size_t i = 0; i < s.size; i++)
        value = value << 8 | s.data[i];
    return value;
}

static inline uint8_t read_u8(struct reader *r)
{
    return (uint8_t)read_uint(r, 1);
}

static inline uint16_t read_u16(struct reader *r)
{
    return (uint16_t)read_uint(r, 2);
}

static inline uint32_t read_u24(struct reader *r)
{
    return (uint32_t)read_uint(r, 3);
}

static inline uint32_t read_u32(struct reader *r)
{
    return (uint32_t)read_uint(r, 4);
}

/* A variable-length integer (RFC 9000 §16). */
static inline uint64_t read_varint(struct reader *r)
{
    if (r->bad || r->at == r->end) {
        r->bad = true;
        return 0;
    }
    const uint8_t *at = r->at;
    size_t size = (size_t)1 << (*at >> 6);
    uint64_t first = *at & 0x3fu;

    if (size > (size_t)(r->end - at)) {
        r->bad = true;
        return 0;
    }
    r->at += size;
    switch (size) {
    case 1: return first;
    case 2: return first << 8 | at[1];
    case 4: return first << 24 | (uint64_t)at[1] << 16 | (uint64_t)at[2] << 8 | at[3];
    }
    for (size_t i = 1; i < 8; i++)
        first = first << 8 | at[i];
    return first;
}

/* Bytes behind a length of `length_size` bytes (TLS vectors, RFC 8446 §3.4). */
static inline struct span read_vector(struct reader *r, size_t length_size)
{
    return read_bytes(r, read_uint(r, length_size));
}

#endif
