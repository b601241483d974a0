/* ChaCha20 (RFC 8439 §2.3) and the generator on top of it, wiping, comparison in constant time. */
#include "base/random.h"

#include "base/limits.h"

#include <string.h>

#define KEY_SIZE 32u

static uint32_t load_le32(const uint8_t *p)
{
    return (uint32_t)p[0] | (uint32_t)p[1] << 8 | (uint32_t)p[2] << 16 | (uint32_t)p[3] << 24;
}

static void store_le32(uint8_t *p, uint32_t value)
{
    for (int i = 0; i < 4; i++)
        p[i] = (uint8_t)(value >> (8 * i));
}

static uint32_t rotate_left(uint32_t value, unsigned bits)
{
    return value << bits | value >> (32 - bits);
}

/* A macro, as compilers do not inline eight calls: then the sixteen words would be in memory. */
#define QUARTER_ROUND(x, a, b, c, d)               \
    do {                                           \
        (x)[a] += (x)[b];                          \
        (x)[d] = rotate_left((x)[d] ^ (x)[a], 16); \
        (x)[c] += (x)[d];                          \
        (x)[b] = rotate_left((x)[b] ^ (x)[c], 12); \
        (x)[a] += (x)[b];                          \
        (x)[d] = rotate_left((x)[d] ^ (x)[a], 8);  \
        (x)[c] += (x)[d];                          \
        (x)[b] = rotate_left((x)[b] ^ (x)[c], 7);  \
    } while (0)

void neap_chacha20_block(const uint8_t key[32], uint32_t counter, const uint8_t nonce[12], uint8_t out[64])
{
    uint32_t start[16] = {0x61707865, 0x3320646e, 0x79622d32, 0x6b206574};
    uint32_t x[16];

    for (int i = 0; i < 8; i++)
        start[4 + i] = load_le32(key + 4 * i);
    start[12] = counter;
    for (int i = 0; i < 3; i++)
        start[13 + i] = load_le32(nonce + 4 * i);
    memcpy(x, start, sizeof(x));
    for (int round = 0; round < 10; round++) {
        QUARTER_ROUND(x, 0, 4, 8, 12);
        QUARTER_ROUND(x, 1, 5, 9, 13);
        QUARTER_ROUND(x, 2, 6, 10, 14);
        QUARTER_ROUND(x, 3, 7, 11, 15);
        QUARTER_ROUND(x, 0, 5, 10, 15);
        QUARTER_ROUND(x, 1, 6, 11, 12);
        QUARTER_ROUND(x, 2, 7, 8, 13);
        QUARTER_ROUND(x, 3, 4, 9, 14);
    }
    for (int i = 0; i < 16; i++)
        store_le32(out + 4 * i, x[i] + start[i]);
    neap_wipe(start, sizeof(start));
    neap_wipe(x, sizeof(x));
}

void neap_random_seed(struct random *r, const uint8_t seed[32])
{
    *r = (struct random){0};
    memcpy(r->key, seed, KEY_SIZE);
}

void neap_random_set_source(struct random *r, const struct random_source *source, int64_t wall_clock)
{
    r->source = *source;
    r->generation = source->generation(source->context);
    r->seeded_at = wall_clock;
}

/* Should the source fail, the old key goes on; the generation still keeps processes apart. What was buffered is not given
 * out: another process may have it too. */
static void seed_again(struct random *r, uint64_t generation)
{
    uint8_t fresh[KEY_SIZE];

    if (r->source.random(r->source.context, fresh, sizeof(fresh)))
        memset(fresh, 0, sizeof(fresh));
    for (size_t i = 0; i < sizeof(generation); i++)
        fresh[i] ^= (uint8_t)(generation >> (8 * i));
    for (size_t i = 0; i < sizeof(fresh); i++)
        r->key[i] ^= fresh[i];
    neap_wipe(fresh, sizeof(fresh));
    neap_wipe(r->buffer, sizeof(r->buffer));
    r->left = 0;
    r->drawn = 0;
    r->generation = generation;
}

void neap_random_refresh(struct random *r, int64_t wall_clock)
{
    if (!r->source.random ||
        (wall_clock >= 0 && wall_clock >= r->seeded_at && wall_clock - r->seeded_at < LIMIT_RANDOM_SECONDS))
        return;
    seed_again(r, r->source.generation(r->source.context));
    r->seeded_at = wall_clock;
}

/* The first half of a block is the next key, the second half is output. */
static void refill(struct random *r)
{
    static const uint8_t nonce[12];

    neap_chacha20_block(r->key, 0, nonce, r->buffer);
    memcpy(r->key, r->buffer, KEY_SIZE);
    neap_wipe(r->buffer, KEY_SIZE);
    r->left = sizeof(r->buffer) - KEY_SIZE;
}

void neap_random_bytes(struct random *r, uint8_t *out, size_t size)
{
    if (r->source.random) {
        uint64_t generation = r->source.generation(r->source.context);

        if (generation != r->generation || r->drawn >= LIMIT_RANDOM_BYTES)
            seed_again(r, generation);
        r->drawn += (uint32_t)(size < LIMIT_RANDOM_BYTES ? size : LIMIT_RANDOM_BYTES);
    }
    while (size > 0) {
        if (r->left == 0)
            refill(r);
        size_t count = size < r->left ? size : r->left;
        uint8_t *from = r->buffer + sizeof(r->buffer) - r->left;

        memcpy(out, from, count);
        neap_wipe(from, count);
        r->left -= (uint32_t)count;
        out += count;
        size -= count;
    }
}

uint64_t neap_random_u64(struct random *r)
{
    uint8_t bytes[8];
    uint64_t value = 0;

    neap_random_bytes(r, bytes, sizeof(bytes));
    for (size_t i = 0; i < sizeof(bytes); i++)
        value = value << 8 | bytes[i];
    return value;
}

uint64_t neap_random_below(struct random *r, uint64_t bound)
{
    /* Values below 2^64 mod bound would make some remainders likelier than others. */
    uint64_t skip = (UINT64_MAX - bound + 1) % bound;
    uint64_t value;

    do
        value = neap_random_u64(r);
    while (value < skip);
    return value % bound;
}

void neap_wipe(void *data, size_t size)
{
    if (size == 0)
        return;
    memset(data, 0, size);
    /* The compiler must believe that somebody reads the zeros. */
    __asm__ __volatile__("" : : "r"(data) : "memory");
}

int neap_equal_constant_time(const void *a, const void *b, size_t size)
{
    const uint8_t *x = a, *y = b;
    volatile uint64_t difference = 0; /* volatile: no way out before the end */
    size_t at = 0;

    for (; size - at >= sizeof(uint64_t); at += sizeof(uint64_t)) {
        uint64_t left, right;

        memcpy(&left, x + at, sizeof(left));
        memcpy(&right, y + at, sizeof(right));
        difference |= left ^ right;
    }
    for (; at < size; at++)
        difference |= (uint64_t)(x[at] ^ y[at]);
    return difference == 0;
}
