/* Encoding four bytes at a time; decoding by the next 8 bits where the code is short, by length where it is longer. */
#include "http/huffman.h"

#include "http/huffman_table.h"

#define HUFFMAN_LONG_ROWS (sizeof(huffman_long) / sizeof(huffman_long[0]))

static inline uint64_t load_be64(const uint8_t *b)
{
    return (uint64_t)b[0] << 56 | (uint64_t)b[1] << 48 | (uint64_t)b[2] << 40 | (uint64_t)b[3] << 32 |
           (uint64_t)b[4] << 24 | (uint64_t)b[5] << 16 | (uint64_t)b[6] << 8 | b[7];
}

static inline uint32_t load_be32(const uint8_t *b)
{
    return (uint32_t)b[0] << 24 | (uint32_t)b[1] << 16 | (uint32_t)b[2] << 8 | b[3];
}

static inline void store_be32(uint8_t *b, uint32_t value)
{
    b[0] = (uint8_t)(value >> 24);
    b[1] = (uint8_t)(value >> 16);
    b[2] = (uint8_t)(value >> 8);
    b[3] = (uint8_t)value;
}

void neap_huffman_encode(struct writer *w, struct span text)
{
    uint64_t held = 0; /* bits not written yet are its lowest `count` */
    unsigned count = 0;

    for (size_t i = 0; i < text.size; i++) {
        held = held << huffman_bits[text.data[i]] | huffman_codes[text.data[i]];
        count += huffman_bits[text.data[i]];
        if (count < 32)
            continue;
        uint8_t *room = write_room(w, 4);
        if (!room)
            return;
        count -= 32;
        store_be32(room, (uint32_t)(held >> count));
    }
    /* The rest, and ones up to a whole byte. */
    unsigned padding = -count & 7;
    held = held << padding | 0xffu >> (8 - padding);
    for (count += padding; count >= 8; count -= 8)
        write_u8(w, (uint8_t)(held >> (count - 8)));
}

struct decoded {
    uint16_t symbol;
    uint8_t bits; /* 0: no such code */
};

/* The symbol at the front of `next`, 32 bits of input. */
static struct decoded decode_symbol(uint32_t next)
{
    uint32_t index = next >> (32 - HUFFMAN_FAST_BITS);

    if (huffman_fast[index])
        return (struct decoded){(uint16_t)(huffman_fast[index] >> 8), (uint8_t)huffman_fast[index]};
    for (size_t i = 0; i < HUFFMAN_LONG_ROWS; i++) {
        if (next < huffman_long[i].limit) {
            uint32_t code = next >> (32 - huffman_long[i].bits);
            return (struct decoded){huffman_symbols[huffman_long[i].place + code - huffman_long[i].first],
                                    huffman_long[i].bits};
        }
    }
    return (struct decoded){0};
}

/* Input that is not used yet: the highest `count` bits of `held`. Below them are bits of the next bytes, or zeros. */
struct input {
    uint64_t held;
    unsigned count;
    const uint8_t *at, *end;
    bool is_long; /* eight bytes or more in all */
};

/* 1 to 7 bytes at the front of a word, the others zero. */
static inline uint64_t load_short(const uint8_t *b, size_t size)
{
    if (size >= 4)
        return (uint64_t)load_be32(b) << 32 | (uint64_t)load_be32(b + size - 4) << (64 - 8 * size);
    return (uint64_t)b[0] << 56 | (uint64_t)b[size / 2] << (56 - 8 * (size / 2)) |
           (uint64_t)b[size - 1] << (64 - 8 * size);
}

/* The next bytes that there are, as a word. */
static inline uint64_t load_next(const struct input *in, size_t left)
{
    if (left >= 8)
        return load_be64(in->at);
    return in->is_long ? load_be64(in->end - 8) << (64 - 8 * left) : load_short(in->at, left);
}

/* Have 56 bits or more, or all there are. */
static inline void refill(struct input *in)
{
    size_t left = (size_t)(in->end - in->at);

    if (left == 0)
        return;
    size_t fit = (63 - in->count) / 8, taken = fit < left ? fit : left;
    in->held |= load_next(in, left) >> in->count;
    in->at += taken;
    in->count += (unsigned)taken * 8;
}

/* Symbols of short codes, while there are whole ones: what is below the input's bits does not make another code of them. */
static inline void decode_short(struct writer *out, struct input *in)
{
    uint8_t *to = out->at;
    const uint8_t *end = to + writer_left(out);
    uint64_t held = in->held;
    unsigned count = in->count;

    while (to < end) {
        unsigned entry = huffman_fast[held >> (64 - HUFFMAN_FAST_BITS)], bits = entry & 0xff;

        if (entry == 0 || bits > count)
            break;
        *to++ = (uint8_t)(entry >> 8);
        held <<= bits & 63;
        count -= bits;
    }
    out->at = to;
    in->held = held;
    in->count = count;
}

/* RFC 7541 §5.2: what is left must be padding, less than a byte of the most significant bits of EOS; no symbol's code is a
 * part of that. */
static bool is_padding(const struct input *in)
{
    return in->count == 0 || (in->count < 8 && ~in->held >> (64 - in->count) == 0);
}

bool neap_huffman_decode(struct writer *out, struct span encoded)
{
    struct input in = {.at = encoded.data, .end = encoded.data + encoded.size, .is_long = encoded.size >= 8};

    for (;;) {
        refill(&in);
        decode_short(out, &in);
        if (in.count < 32 && in.at < in.end)
            continue;
        if (is_padding(&in))
            return true;
        /* Past the end the input goes on with ones, as the padding does. */
        uint32_t front = (uint32_t)(in.held >> 32);
        if (in.count < 32)
            front |= UINT32_MAX >> in.count;
        struct decoded d = decode_symbol(front);
        if (d.bits == 0 || d.bits > in.count || d.symbol == HUFFMAN_EOS)
            return false;
        uint8_t *room = write_room(out, 1);
        if (!room)
            return false;
        *room = (uint8_t)d.symbol;
        in.held <<= d.bits;
        in.count -= d.bits;
    }
}
