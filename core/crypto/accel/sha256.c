/* SHA-256 (FIPS 180-4 §6.2) in instructions of x86-64, for builds whose back end has none. A handshake hashes 130 blocks. */
#include "crypto/accel/accel.h"

#ifdef ACCEL_SHA256
#include "crypto/accel/sha256.h"

#include <immintrin.h>
#include <stdatomic.h>
#include <string.h>

#define TARGET __attribute__((target("sha,sse4.1")))
#define ROUNDS_AT_ONCE 4u

static const uint32_t constants[64] = {
    0x428a2f98, 0x71374491, 0xb5c0fbcf, 0xe9b5dba5, 0x3956c25b, 0x59f111f1, 0x923f82a4, 0xab1c5ed5,
    0xd807aa98, 0x12835b01, 0x243185be, 0x550c7dc3, 0x72be5d74, 0x80deb1fe, 0x9bdc06a7, 0xc19bf174,
    0xe49b69c1, 0xefbe4786, 0x0fc19dc6, 0x240ca1cc, 0x2de92c6f, 0x4a7484aa, 0x5cb0a9dc, 0x76f988da,
    0x983e5152, 0xa831c66d, 0xb00327c8, 0xbf597fc7, 0xc6e00bf3, 0xd5a79147, 0x06ca6351, 0x14292967,
    0x27b70a85, 0x2e1b2138, 0x4d2c6dfc, 0x53380d13, 0x650a7354, 0x766a0abb, 0x81c2c92e, 0x92722c85,
    0xa2bfe8a1, 0xa81a664b, 0xc24b8b70, 0xc76c51a3, 0xd192e819, 0xd6990624, 0xf40e3585, 0x106aa070,
    0x19a4c116, 0x1e376c08, 0x2748774c, 0x34b0bcb5, 0x391c0cb3, 0x4ed8aa4a, 0x5b9cca4f, 0x682e6ff3,
    0x748f82ee, 0x78a5636f, 0x84c87814, 0x8cc70208, 0x90befffa, 0xa4506ceb, 0xbef9a3f7, 0xc67178f2};

static const uint32_t start[8] = {0x6a09e667, 0xbb67ae85, 0x3c6ef372, 0xa54ff53a,
                                  0x510e527f, 0x9b05688c, 0x1f83d9ab, 0x5be0cd19};

/* The next four words of the schedule from the sixteen before, oldest first. */
TARGET static inline __m128i next_words(__m128i w0, __m128i w1, __m128i w2, __m128i w3)
{
    __m128i sum = _mm_add_epi32(_mm_sha256msg1_epu32(w0, w1), _mm_alignr_epi8(w3, w2, 4));

    return _mm_sha256msg2_epu32(sum, w3);
}

/* The instructions have the eight words as a, b, e, f and c, d, g, h, the first in the highest place. */
TARGET static void hash_blocks(uint32_t state[8], const uint8_t *data, size_t blocks)
{
    const __m128i big_endian = _mm_set_epi64x(0x0c0d0e0f08090a0b, 0x0405060700010203);
    __m128i badc = _mm_shuffle_epi32(_mm_loadu_si128((const __m128i *)(const void *)state), 0xb1);
    __m128i hgfe = _mm_shuffle_epi32(_mm_loadu_si128((const __m128i *)(const void *)(state + 4)), 0x1b);
    __m128i abef = _mm_alignr_epi8(badc, hgfe, 8), cdgh = _mm_blend_epi16(hgfe, badc, 0xf0);

    for (; blocks > 0; blocks--, data += SHA256_BLOCK) {
        __m128i words[4], abef_before = abef, cdgh_before = cdgh;

#pragma GCC unroll 16
        for (unsigned i = 0; i < 64 / ROUNDS_AT_ONCE; i++) {
            __m128i *word = &words[i % 4];

            *word = i < 4 ? _mm_shuffle_epi8(
                                _mm_loadu_si128((const __m128i *)(const void *)(data + sizeof(__m128i) * i)),
                                big_endian)
                          : next_words(*word, words[(i + 1) % 4], words[(i + 2) % 4], words[(i + 3) % 4]);
            __m128i sum = _mm_add_epi32(
                *word, _mm_loadu_si128((const __m128i *)(const void *)(constants + ROUNDS_AT_ONCE * i)));
            cdgh = _mm_sha256rnds2_epu32(cdgh, abef, sum);
            abef = _mm_sha256rnds2_epu32(abef, cdgh, _mm_shuffle_epi32(sum, 0x0e));
        }
        abef = _mm_add_epi32(abef, abef_before);
        cdgh = _mm_add_epi32(cdgh, cdgh_before);
    }
    __m128i feba = _mm_shuffle_epi32(abef, 0x1b), dchg = _mm_shuffle_epi32(cdgh, 0xb1);
    _mm_storeu_si128((__m128i *)(void *)state, _mm_blend_epi16(feba, dchg, 0xf0));
    _mm_storeu_si128((__m128i *)(void *)(state + 4), _mm_alignr_epi8(dchg, feba, 8));
}

static bool knows_answer(void)
{
    static const uint8_t answer[32] = {0xba, 0x78, 0x16, 0xbf, 0x8f, 0x01, 0xcf, 0xea, 0x41, 0x41, 0x40,
                                       0xde, 0x5d, 0xae, 0x22, 0x23, 0xb0, 0x03, 0x61, 0xa3, 0x96, 0x17,
                                       0x7a, 0x9c, 0xb4, 0x10, 0xff, 0x61, 0xf2, 0x00, 0x15, 0xad};
    struct sha256 s;
    uint8_t digest[32];

    neap_sha256_start(&s);
    neap_sha256_update(&s, (const uint8_t *)"abc", 3);
    neap_sha256_end(&s, digest);
    return memcmp(digest, answer, sizeof(answer)) == 0;
}

bool neap_sha256_is_here(void)
{
    enum { UNKNOWN, HERE, MISSING };
    static atomic_int found = UNKNOWN;
    int known = atomic_load_explicit(&found, memory_order_relaxed);

    if (known == UNKNOWN) {
        known = neap_cpu_has_sha() && knows_answer() ? HERE : MISSING;
        atomic_store_explicit(&found, known, memory_order_relaxed);
    }
    return known == HERE;
}

void neap_sha256_start(struct sha256 *s)
{
    memcpy(s->state, start, sizeof(start));
    s->size = 0;
}

void neap_sha256_update(struct sha256 *s, const uint8_t *data, size_t size)
{
    size_t filled = s->size % SHA256_BLOCK, room = SHA256_BLOCK - filled;

    s->size += size;
    if (filled > 0 && size >= room) {
        memcpy(s->block + filled, data, room);
        hash_blocks(s->state, s->block, 1);
        data += room;
        size -= room;
        filled = 0;
    }
    if (filled == 0 && size >= SHA256_BLOCK) {
        hash_blocks(s->state, data, size / SHA256_BLOCK);
        data += size - size % SHA256_BLOCK;
        size %= SHA256_BLOCK;
    }
    if (size > 0)
        memcpy(s->block + filled, data, size);
}

void neap_sha256_end(struct sha256 *s, uint8_t out[32])
{
    size_t filled = s->size % SHA256_BLOCK;
    uint64_t bits = 8 * s->size;

    s->block[filled++] = 0x80;
    if (filled > SHA256_BLOCK - sizeof(bits)) {
        memset(s->block + filled, 0, SHA256_BLOCK - filled);
        hash_blocks(s->state, s->block, 1);
        filled = 0;
    }
    memset(s->block + filled, 0, SHA256_BLOCK - filled);
    for (unsigned i = 0; i < sizeof(bits); i++)
        s->block[SHA256_BLOCK - 1 - i] = (uint8_t)(bits >> (8 * i));
    hash_blocks(s->state, s->block, 1);
    for (unsigned i = 0; i < 32; i++)
        out[i] = (uint8_t)(s->state[i / 4] >> (24 - 8 * (i % 4)));
}

#endif
