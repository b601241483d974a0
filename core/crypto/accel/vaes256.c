/* VAES and VPCLMULQDQ on the 256 bits of AVX2. */
#include "crypto/accel/accel.h"

#ifdef ACCEL_VAES

#define LANES 2u
#define GROUP 8u
#define HAS_FOLDS 1
#define EACH(M) M(0) M(1) M(2) M(3) M(4) M(5) M(6) M(7)
#define TARGET __attribute__((target("aes,pclmul,avx2,vaes,vpclmulqdq")))
#define INLINE static inline __attribute__((always_inline, target("aes,pclmul,avx2,vaes,vpclmulqdq")))
#include "crypto/accel/x86.inc"

typedef __m256i vector;

INLINE vector vector_load(const uint8_t *bytes)
{
    return _mm256_loadu_si256((const __m256i *)(const void *)bytes);
}

INLINE void vector_store(uint8_t *bytes, vector x)
{
    _mm256_storeu_si256((__m256i *)(void *)bytes, x);
}

INLINE vector vector_all(const uint8_t *bytes)
{
    return _mm256_broadcastsi128_si256(block_load(bytes));
}

INLINE vector vector_of(block x)
{
    return _mm256_zextsi128_si256(x);
}

INLINE vector vector_xor(vector a, vector b)
{
    return _mm256_xor_si256(a, b);
}

INLINE vector vector_turn(vector x)
{
    return _mm256_shuffle_epi8(
        x, _mm256_broadcastsi128_si256(_mm_set_epi8(0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15)));
}

INLINE vector vector_start(vector x, vector k)
{
    return _mm256_xor_si256(x, k);
}

INLINE vector vector_round(vector x, vector k)
{
    return _mm256_aesenc_epi128(x, k);
}

INLINE vector vector_last(vector x, vector k, vector k_last)
{
    (void)k;
    return _mm256_aesenclast_epi128(x, k_last);
}

INLINE vector vector_counters(block first)
{
    return _mm256_add_epi32(_mm256_broadcastsi128_si256(first), _mm256_set_epi32(0, 0, 0, 2, 0, 0, 0, 1));
}

INLINE vector vector_count(vector counters)
{
    return _mm256_add_epi32(counters, _mm256_set_epi32(0, 0, 0, 2, 0, 0, 0, 2));
}

struct product {
    vector low, middle, high;
};

INLINE void product_add(struct product *p, vector a, vector b)
{
    p->low = _mm256_xor_si256(p->low, _mm256_clmulepi64_epi128(a, b, 0x00));
    p->middle = _mm256_xor_si256(p->middle, _mm256_xor_si256(_mm256_clmulepi64_epi128(a, b, 0x01),
                                                             _mm256_clmulepi64_epi128(a, b, 0x10)));
    p->high = _mm256_xor_si256(p->high, _mm256_clmulepi64_epi128(a, b, 0x11));
    KEEP_SUMS(p, "x");
}

INLINE void product_add_folded(struct product *p, vector a, vector b, vector folds, bool is_odd)
{
    vector fold = _mm256_xor_si256(a, _mm256_shuffle_epi32(a, 0x4e));

    p->low = _mm256_xor_si256(p->low, _mm256_clmulepi64_epi128(a, b, 0x00));
    p->middle = _mm256_xor_si256(p->middle, is_odd ? _mm256_clmulepi64_epi128(fold, folds, 0x10)
                                                   : _mm256_clmulepi64_epi128(fold, folds, 0x00));
    p->high = _mm256_xor_si256(p->high, _mm256_clmulepi64_epi128(a, b, 0x11));
    KEEP_SUMS(p, "x");
}

INLINE void product_unfold(struct product *p)
{
    p->middle = _mm256_xor_si256(p->middle, _mm256_xor_si256(p->low, p->high));
}

INLINE block fold(vector x)
{
    return _mm_xor_si128(_mm256_castsi256_si128(x), _mm256_extracti128_si256(x, 1));
}

INLINE block product_reduce(const struct product *p)
{
    return block_reduce(fold(p->low), fold(p->middle), fold(p->high));
}

#include "crypto/accel/gcm.inc"

const struct engine neap_engine_vaes256 = GCM_ENGINE("vaes256", neap_cpu_has_vaes256);

#endif
