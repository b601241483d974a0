/* A cursor over room for bytes. When the room ends `full` stays set and nothing more is written, so a builder writes
 * a whole message and checks once, or rewinds to where the message began. */
#ifndef NEAP_BASE_WRITER_H
#define NEAP_BASE_WRITER_H

#include "base/span.h"

#define VARINT_MAX ((UINT64_C(1) << 62) - 1)

struct writer {
    uint8_t *start, *at, *end;
    bool full;
};

static inline struct writer writer_of(uint8_t *room, size_t size)
{
    return (struct writer){.start = room, .at = room, .end = room + size, .full = false};
}

static inline size_t writer_left(const struct writer *w)
{
    return w->full ? 0 : (size_t)(w->end - w->at);
}

static inline size_t writer_size(const struct writer *w)
{
    return (size_t)(w->at - w->start);
}

/* Room for `size` bytes that the caller fills, or NULL. */
static inline uint8_t *write_room(struct writer *w, size_t size)
{
    if (w->full || size > (size_t)(w->end - w->at)) {
        w->full = true;
        return NULL;
    }
    uint8_t *room = w->at;
    w->at += size;
    return room;
}

static inline void write_bytes(struct writer *w, const void *data, size_t size)
{
    uint8_t *room = write_room(w, size);

    if (room && size)
        memcpy(room, data, size);
}

static inline void write_span(struct writer *w, struct span s)
{
    write_bytes(w, s.data, s.size);
}

/* A big-endian integer of 1 to 8 bytes. */
static inline void write_uint(struct writer *w, uint64_t value, size_t size)
{
    uint8_t *room = write_room(w, size);

    for (size_t i = 0; room && i < size; i++)
        room[i] = (uint8_t)(value >> (8 * (size - 1 - i)));
}

static inline void write_u8(struct writer *w, uint8_t value)
{
    write_uint(w, value, 1);
}

static inline void write_u16(struct writer *w, uint16_t value)
{
    write_uint(w, value, 2);
}

static inline void write_u24(struct writer *w, uint32_t value)
{
    write_uint(w, value, 3);
}

static inline void write_u32(struct writer *w, uint32_t value)
{
    write_uint(w, value, 4);
}

/* Bytes that a variable-length integer takes (RFC 9000 §16); `value` is at most VARINT_MAX. */
static inline size_t varint_size(uint64_t value)
{
    return value < 64 ? 1 : value < 16384 ? 2 : value < 1073741824 ? 4 : 8;
}

static inline uint32_t big_endian_32(uint32_t value)
{
    return __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__ ? __builtin_bswap32(value) : value;
}

static inline uint64_t big_endian_64(uint64_t value)
{
    return __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__ ? __builtin_bswap64(value) : value;
}

/* A variable-length integer in `size` bytes (1, 2, 4 or 8), which may be more than it needs. */
static inline void write_varint_sized(struct writer *w, uint64_t value, size_t size)
{
    uint64_t prefix = size == 1 ? 0 : size == 2 ? 1 : size == 4 ? 2 : 3;

    write_uint(w, value | prefix << (8 * size - 2), size);
}

/* As write_varint_sized, for the size that it needs: each length is one store. */
static inline void write_varint(struct writer *w, uint64_t value)
{
    size_t size = varint_size(value);
    uint8_t *room = write_room(w, size);

    if (!room)
        return;
    if (size == 1) {
        room[0] = (uint8_t)value;
    } else if (size == 2) {
        room[0] = (uint8_t)(0x40 | value >> 8);
        room[1] = (uint8_t)value;
    } else if (size == 4) {
        uint32_t bytes = big_endian_32((uint32_t)value | UINT32_C(0x80000000));
        memcpy(room, &bytes, sizeof bytes);
    } else {
        uint64_t bytes = big_endian_64(value | UINT64_C(0xc000000000000000));
        memcpy(room, &bytes, sizeof bytes);
    }
}

#endif
