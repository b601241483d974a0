/* AES and PMULL of the ARMv8 Cryptographic Extension. */
#include "crypto/accel/accel.h"

#ifdef ACCEL_ARMV8
#include <arm_neon.h>
#include <stdint.h>

#define LANES 1u
#define GROUP 8u
#define EACH(M) M(0) M(1) M(2) M(3) M(4) M(5) M(6) M(7)
#define TARGET __attribute__((target("+crypto")))
#define INLINE static inline __attribute__((always_inline, target("+crypto")))

typedef uint8x16_t block;
typedef block vector;

/* AESE adds the key first, so that each round takes the key of the one before, and the last one two. */
#define ROUND_KEY(r) ((r)-1)

INLINE block block_load(const uint8_t *bytes)
{
    return vld1q_u8(bytes);
}

INLINE void block_store(uint8_t *bytes, block x)
{
    vst1q_u8(bytes, x);
}

INLINE block block_zero(void)
{
    return vdupq_n_u8(0);
}

INLINE block block_pair(uint64_t low, uint64_t high)
{
    return vreinterpretq_u8_u64(vcombine_u64(vcreate_u64(low), vcreate_u64(high)));
}

INLINE block block_xor(block a, block b)
{
    return veorq_u8(a, b);
}

INLINE block block_turn(block x)
{
    x = vrev64q_u8(x);
    return vextq_u8(x, x, 8);
}

INLINE block block_start(block x, block k)
{
    (void)k;
    return x;
}

INLINE block block_round(block x, block k)
{
    return vaesmcq_u8(vaeseq_u8(x, k));
}

INLINE block block_last(block x, block k, block k_last)
{
    return veorq_u8(vaeseq_u8(x, k), k_last);
}

/* All four columns are the word, so that ShiftRows moves nothing that differs. */
INLINE uint32_t sub_word(uint32_t word)
{
    return vgetq_lane_u32(
        vreinterpretq_u32_u8(vaeseq_u8(vreinterpretq_u8_u32(vdupq_n_u32(word)), vdupq_n_u8(0))), 0);
}

#define vector_load block_load
#define vector_store block_store
#define vector_all block_load
#define vector_xor block_xor
#define vector_turn block_turn
#define vector_start block_start
#define vector_round block_round
#define vector_last block_last

INLINE vector vector_of(block x)
{
    return x;
}

INLINE vector vector_count(vector counters)
{
    return vreinterpretq_u8_u32(vaddq_u32(vreinterpretq_u32_u8(counters), (uint32x4_t){1, 0, 0, 0}));
}

INLINE vector vector_counters(block first)
{
    return vector_count(first);
}

struct product {
    vector low, middle, high;
};

INLINE block multiply_low(block a, block b)
{
    return vreinterpretq_u8_p128(vmull_p64((poly64_t)vgetq_lane_u64(vreinterpretq_u64_u8(a), 0),
                                           (poly64_t)vgetq_lane_u64(vreinterpretq_u64_u8(b), 0)));
}

INLINE block multiply_high(block a, block b)
{
    return vreinterpretq_u8_p128(vmull_high_p64(vreinterpretq_p64_u8(a), vreinterpretq_p64_u8(b)));
}

INLINE block swap_halves(block x)
{
    return vextq_u8(x, x, 8);
}

INLINE void product_add(struct product *p, vector a, vector b)
{
    block crossed = swap_halves(b);

    p->low = veorq_u8(p->low, multiply_low(a, b));
    p->middle = veorq_u8(p->middle, veorq_u8(multiply_low(a, crossed), multiply_high(a, crossed)));
    p->high = veorq_u8(p->high, multiply_high(a, b));
    KEEP_SUMS(p, "w");
}

/* A product of 256 bits in three parts, the middle one overlapping both others, made 128 bits again. */
INLINE block product_reduce(const struct product *p)
{
    const block poly = vreinterpretq_u8_u64((uint64x2_t){UINT64_C(0xc200000000000000), 0});
    block middle = veorq_u8(p->middle, veorq_u8(swap_halves(p->low), multiply_low(p->low, poly)));

    return veorq_u8(p->high, veorq_u8(swap_halves(middle), multiply_low(middle, poly)));
}

#include "crypto/accel/gcm.inc"

const struct engine neap_engine_armv8 = GCM_ENGINE("armv8", neap_cpu_has_armv8);

#endif
