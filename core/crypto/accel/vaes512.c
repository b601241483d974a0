/* VAES and VPCLMULQDQ on the 512 bits of AVX-512. */
#include "crypto/accel/accel.h"

#ifdef ACCEL_VAES

#define LANES 4u
#define GROUP 4u
#define EACH(M) M(0) M(1) M(2) M(3)
#define TARGET __attribute__((target("aes,pclmul,avx512f,avx512bw,avx512vl,vaes,vpclmulqdq")))
#define INLINE    \
    static inline \
        __attribute__((always_inline, target("aes,pclmul,avx512f,avx512bw,avx512vl,vaes,vpclmulqdq")))
#include "crypto/accel/x86.inc"

typedef __m512i vector;

INLINE vector vector_load(const uint8_t *bytes)
{
    return _mm512_loadu_si512(bytes);
}

INLINE void vector_store(uint8_t *bytes, vector x)
{
    _mm512_storeu_si512(bytes, x);
}

INLINE vector vector_all(const uint8_t *bytes)
{
    return _mm512_broadcast_i32x4(block_load(bytes));
}

INLINE vector vector_of(block x)
{
    return _mm512_zextsi128_si512(x);
}

INLINE vector vector_xor(vector a, vector b)
{
    return _mm512_xor_si512(a, b);
}

INLINE vector vector_turn(vector x)
{
    return _mm512_shuffle_epi8(
        x, _mm512_broadcast_i32x4(_mm_set_epi8(0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15)));
}

INLINE vector vector_start(vector x, vector k)
{
    return _mm512_xor_si512(x, k);
}

INLINE vector vector_round(vector x, vector k)
{
    return _mm512_aesenc_epi128(x, k);
}

INLINE vector vector_last(vector x, vector k, vector k_last)
{
    (void)k;
    return _mm512_aesenclast_epi128(x, k_last);
}

INLINE vector vector_counters(block first)
{
    return _mm512_add_epi32(_mm512_broadcast_i32x4(first),
                            _mm512_set_epi32(0, 0, 0, 4, 0, 0, 0, 3, 0, 0, 0, 2, 0, 0, 0, 1));
}

INLINE vector vector_count(vector counters)
{
    return _mm512_add_epi32(counters, _mm512_broadcast_i32x4(_mm_set_epi32(0, 0, 0, 4)));
}

struct product {
    vector low, middle, high;
};

#define XOR3 0x96 /* of vpternlog */

INLINE void product_add(struct product *p, vector a, vector b)
{
    p->low = _mm512_xor_si512(p->low, _mm512_clmulepi64_epi128(a, b, 0x00));
    p->middle = _mm512_ternarylogic_epi64(p->middle, _mm512_clmulepi64_epi128(a, b, 0x01),
                                          _mm512_clmulepi64_epi128(a, b, 0x10), XOR3);
    p->high = _mm512_xor_si512(p->high, _mm512_clmulepi64_epi128(a, b, 0x11));
    KEEP_SUMS(p, "v");
}

INLINE block fold(vector x)
{
    __m256i half = _mm256_xor_si256(_mm512_castsi512_si256(x), _mm512_extracti64x4_epi64(x, 1));

    return _mm_xor_si128(_mm256_castsi256_si128(half), _mm256_extracti128_si256(half, 1));
}

INLINE block product_reduce(const struct product *p)
{
    return block_reduce(fold(p->low), fold(p->middle), fold(p->high));
}

#include "crypto/accel/gcm.inc"

const struct engine neap_engine_vaes512 = GCM_ENGINE("vaes512", neap_cpu_has_vaes512);

#endif
