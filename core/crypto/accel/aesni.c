/* AES-NI and PCLMULQDQ: x86-64 since about 2010. */
#include "crypto/accel/accel.h"

#ifdef ACCEL_X86

#define LANES 1u
#define GROUP 8u
#define HAS_FOLDS 1
#define EACH(M) M(0) M(1) M(2) M(3) M(4) M(5) M(6) M(7)
#define TARGET __attribute__((target("aes,pclmul,sse4.1")))
#define INLINE static inline __attribute__((always_inline, target("aes,pclmul,sse4.1")))
#include "crypto/accel/x86.inc"

typedef block vector;

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

INLINE vector vector_counters(block first)
{
    return _mm_add_epi32(first, _mm_set_epi32(0, 0, 0, 1));
}

INLINE vector vector_count(vector counters)
{
    return _mm_add_epi32(counters, _mm_set_epi32(0, 0, 0, 1));
}

struct product {
    vector low, middle, high;
};

INLINE void product_add(struct product *p, vector a, vector b)
{
    p->low = _mm_xor_si128(p->low, _mm_clmulepi64_si128(a, b, 0x00));
    p->middle = _mm_xor_si128(
        p->middle, _mm_xor_si128(_mm_clmulepi64_si128(a, b, 0x01), _mm_clmulepi64_si128(a, b, 0x10)));
    p->high = _mm_xor_si128(p->high, _mm_clmulepi64_si128(a, b, 0x11));
    KEEP_SUMS(p, "x");
}

INLINE void product_add_folded(struct product *p, vector a, vector b, vector folds, bool is_odd)
{
    vector fold = _mm_xor_si128(a, _mm_shuffle_epi32(a, 0x4e));

    p->low = _mm_xor_si128(p->low, _mm_clmulepi64_si128(a, b, 0x00));
    p->middle = _mm_xor_si128(p->middle, is_odd ? _mm_clmulepi64_si128(fold, folds, 0x10)
                                                : _mm_clmulepi64_si128(fold, folds, 0x00));
    p->high = _mm_xor_si128(p->high, _mm_clmulepi64_si128(a, b, 0x11));
    KEEP_SUMS(p, "x");
}

INLINE void product_unfold(struct product *p)
{
    p->middle = _mm_xor_si128(p->middle, _mm_xor_si128(p->low, p->high));
}

INLINE block product_reduce(const struct product *p)
{
    return block_reduce(p->low, p->middle, p->high);
}

#include "crypto/accel/gcm.inc"

const struct engine neap_engine_aesni = GCM_ENGINE("aesni", neap_cpu_has_aesni);

#endif
