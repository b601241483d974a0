/* Encoding bit by bit buffer; decoding by the next 8 bits where the code is short, by length where it is longer. */
#include "http/huffman.h"

#include "http/huffman_table.h"

#define HUFFMAN_LONG_ROWS (sizeof(huffman_long) / sizeof(huffman_long[0]))

size_t neap_huffman_size(struct span text)
{
    uint64_t bits = 0;

    for (size_t i = 0; i < text.size; i++)
        bits += huffman_bits[text.data[i]];
    return (size_t)((bits + 7) / 8);
}

void neap_huffman_encode(struct writer *w, struct span text)
{
    uint64_t held = 0; /* bits not written yet are its lowest `count` */
    unsigned count = 0;

    for (size_t i = 0; i < text.size; i++) {
        held = held << huffman_bits[text.data[i]] | huffman_codes[text.data[i]];
        count += huffman_bits[text.data[i]];
        while (count >= 8) {
            count -= 8;
            write_u8(w, (uint8_t)(held >> count));
        }
    }
    if (count > 0)
        write_u8(w, (uint8_t)(held << (8 - count) | 0xffu >> count));
}

struct decoded {
    uint16_t symbol;
    uint8_t bits; /* 0: no such code */
};

/* The symbol at the front of `next`, 32 bits of input. */
static struct decoded decode_symbol(uint32_t next)
{
    uint32_t index = next >> (32 - HUFFMAN_FAST_BITS);

    if (huffman_fast[index].bits)
        return (struct decoded){huffman_fast[index].symbol, huffman_fast[index].bits};
    for (size_t i = 0; i < HUFFMAN_LONG_ROWS; i++) {
        if (next < huffman_long[i].limit) {
            uint32_t code = next >> (32 - huffman_long[i].bits);
            return (struct decoded){huffman_symbols[huffman_long[i].place + code - huffman_long[i].first],
                                    huffman_long[i].bits};
        }
    }
    return (struct decoded){0};
}

/* Symbols of short codes, while there are whole ones: how many bits are left. */
static unsigned decode_short(struct writer *out, uint64_t held, unsigned count)
{
    uint8_t *to = out->at;
    const uint8_t *end = to + writer_left(out);

    while (count >= HUFFMAN_FAST_BITS && to < end) {
        size_t index = (size_t)(held >> (count - HUFFMAN_FAST_BITS)) & ((1u << HUFFMAN_FAST_BITS) - 1);

        if (!huffman_fast[index].bits)
            break;
        *to++ = huffman_fast[index].symbol;
        count -= huffman_fast[index].bits;
    }
    out->at = to;
    return count;
}

/* RFC 7541 §5.2: what is left must be padding, less than a byte of the most significant bits of EOS; no symbol's code is a
 * part of that. */
static bool is_padding(uint64_t held, unsigned count)
{
    return count < 8 && (~held & ((1u << count) - 1)) == 0;
}

bool neap_huffman_decode(struct writer *out, struct span encoded)
{
    uint64_t held = 0; /* input bits not used yet are its lowest `count` */
    unsigned count = 0;
    size_t at = 0;

    for (;;) {
        if (count <= 32 && encoded.size - at >= 4) {
            const uint8_t *next = encoded.data + at;
            held = held << 32 | (uint32_t)next[0] << 24 | (uint32_t)next[1] << 16 | (uint32_t)next[2] << 8 |
                   next[3];
            count += 32;
            at += 4;
        }
        while (count <= 32 && at < encoded.size) {
            held = held << 8 | encoded.data[at++];
            count += 8;
        }
        count = decode_short(out, held, count);
        if (count <= 32 && at < encoded.size)
            continue;
        if (is_padding(held, count))
            return true;
        /* Past the end the input goes on with ones, as the padding does. */
        uint32_t front = count >= 32 ? (uint32_t)(held >> (count - 32))
                                     : (uint32_t)(held << (32 - count) | UINT32_MAX >> count);
        struct decoded d = decode_symbol(front);
        if (d.bits == 0 || d.bits > count || d.symbol == HUFFMAN_EOS)
            return false;
        uint8_t *room = write_room(out, 1);
        if (!room)
            return false;
        *room = (uint8_t)d.symbol;
        count -= d.bits;
    }
}
