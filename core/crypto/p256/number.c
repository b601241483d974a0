/* Products and inverses modulo the primes of P-256: see number.h. */
#include "crypto/p256/number.h"

#ifdef HAVE_P256

const struct number neap_p256_one = {
    {1, UINT64_C(0xffffffff00000000), UINT64_C(0xffffffffffffffff), UINT64_C(0xfffffffe)}};
const struct number neap_p256_square = {
    {3, UINT64_C(0xfffffffbffffffff), UINT64_C(0xfffffffffffffffe), UINT64_C(0x4fffffffd)}};
const struct number neap_p256_square_n = {{UINT64_C(0x83244c95be79eea2), UINT64_C(0x4699799c49bd6fa6),
                                           UINT64_C(0x2845b2392b6bec59), UINT64_C(0x66e12d94f3d95620)}};

void neap_number_load(struct number *out, const uint8_t bytes[NUMBER_SIZE])
{
    for (size_t i = 0; i < 4; i++) {
        uint64_t limb = 0;

        for (size_t j = 0; j < 8; j++)
            limb = limb << 8 | bytes[8 * (3 - i) + j];
        out->limbs[i] = limb;
    }
}

void neap_number_store(const struct number *a, uint8_t bytes[NUMBER_SIZE])
{
    for (size_t i = 0; i < NUMBER_SIZE; i++)
        bytes[i] = (uint8_t)(a->limbs[3 - i / 8] >> 8 * (7 - i % 8));
}

bool neap_number_is_in_range(const struct number *a, const struct number *m)
{
    return number_is_below(a, m) & ((a->limbs[0] | a->limbs[1] | a->limbs[2] | a->limbs[3]) != 0);
}

bool neap_numbers_equal(const struct number *a, const struct number *b)
{
    uint64_t differs = 0;

    for (size_t i = 0; i < 4; i++)
        differs |= a->limbs[i] ^ b->limbs[i];
    return differs == 0;
}

/* ---- products */

/* to + a b + *carry; what is above 64 bits is the next carry. */
static inline uint64_t multiply_add(uint64_t to, uint64_t a, uint64_t b, uint64_t *carry)
{
    wide sum = (wide)a * b + to + *carry;

    *carry = (uint64_t)(sum >> 64);
    return (uint64_t)sum;
}

/* t[0] to t[4] += a by, of which t[4] is not set yet. Written out, here as below: in loops the limbs would stay in memory. */
static inline void add_row(uint64_t *t, const struct number *a, uint64_t by)
{
    uint64_t carry = 0;

    t[0] = multiply_add(t[0], a->limbs[0], by, &carry);
    t[1] = multiply_add(t[1], a->limbs[1], by, &carry);
    t[2] = multiply_add(t[2], a->limbs[2], by, &carry);
    t[3] = multiply_add(t[3], a->limbs[3], by, &carry);
    t[4] = carry;
}

static inline void multiply(uint64_t t[8], const struct number *a, const struct number *b)
{
    t[0] = t[1] = t[2] = t[3] = 0;
    add_row(t, a, b->limbs[0]);
    add_row(t + 1, a, b->limbs[1]);
    add_row(t + 2, a, b->limbs[2]);
    add_row(t + 3, a, b->limbs[3]);
}

/* ---- reductions: t / 2^256 modulo a prime. A multiple of it makes the lowest limb 0, four times. */

/* -1 / p has 1 as its lowest limb, so the limb is its own factor, and all of p but its highest limb is 2^96 - 1. */
static inline void reduce_limb_p(uint64_t *t, uint64_t *above)
{
    uint64_t m = t[0], carry = 0;

    t[1] = add_carry(t[1], m << 32, &carry);
    t[2] = add_carry(t[2], m >> 32, &carry);
    t[3] = multiply_add(t[3], m, p256_p.limbs[3], &carry);
    t[4] = add_carry(t[4], *above, &carry);
    *above = carry;
}

static inline void reduce_limb_n(uint64_t *t, uint64_t *above)
{
    uint64_t m = t[0] * UINT64_C(0xccd1c8aaee00bc4f), carry = 0;

    multiply_add(t[0], m, p256_n.limbs[0], &carry);
    t[1] = multiply_add(t[1], m, p256_n.limbs[1], &carry);
    t[2] = multiply_add(t[2], m, p256_n.limbs[2], &carry);
    t[3] = multiply_add(t[3], m, p256_n.limbs[3], &carry);
    t[4] = add_carry(t[4], *above, &carry);
    *above = carry;
}

static inline void reduce(struct number *out, uint64_t t[8], void (*limb)(uint64_t *t, uint64_t *above),
                          const struct number *prime)
{
    uint64_t above = 0;

    limb(t, &above);
    limb(t + 1, &above);
    limb(t + 2, &above);
    limb(t + 3, &above);
    struct number rest = {{t[4], t[5], t[6], t[7]}};
    number_reduce(out, &rest, above, prime);
}

void neap_p256_multiply(struct number *out, const struct number *a, const struct number *b)
{
    uint64_t t[8];

    multiply(t, a, b);
    reduce(out, t, reduce_limb_p, &p256_p);
}

void neap_p256_square_times(struct number *out, const struct number *a, unsigned times)
{
    *out = *a;
    while (times-- > 0)
        neap_p256_multiply(out, out, out);
}

void neap_p256_multiply_n(struct number *out, const struct number *a, const struct number *b)
{
    uint64_t t[8];

    multiply(t, a, b);
    reduce(out, t, reduce_limb_n, &p256_n);
}

static void square_times_n(struct number *r, unsigned times)
{
    while (times-- > 0)
        neap_p256_multiply_n(r, r, r);
}

/* ---- inverses: a to the power of the prime - 2; e(n) is a to the power of 2^n - 1 */

/* r = r^(2^times) by */
static void step(struct number *r, unsigned times, const struct number *by)
{
    neap_p256_square_times(r, r, times);
    neap_p256_multiply(r, r, by);
}

/* p - 2 is, in bits: 32 ones, 31 zeros, a one, 96 zeros, 94 ones, 0, 1. */
void neap_p256_invert(struct number *out, const struct number *a)
{
    struct number e2 = *a;
    step(&e2, 1, a);
    struct number e3 = e2;
    step(&e3, 1, a);
    struct number e6 = e3;
    step(&e6, 3, &e3);
    struct number e12 = e6;
    step(&e12, 6, &e6);
    struct number e15 = e12;
    step(&e15, 3, &e3);
    struct number e30 = e15;
    step(&e30, 15, &e15);
    struct number e32 = e30;
    step(&e32, 2, &e2);
    struct number r = e32;
    step(&r, 32, a);
    step(&r, 128, &e32);
    step(&r, 32, &e32);
    step(&r, 30, &e30);
    step(&r, 2, a);
    *out = r;
}

/* By digits of 4 bits of n - 2: that it is always the same is all that may be seen. */
void neap_p256_invert_n(struct number *out, const struct number *a)
{
    struct number powers[15], r;

    powers[0] = *a;
    for (size_t i = 1; i < 15; i++)
        neap_p256_multiply_n(&powers[i], &powers[i - 1], a);
    r = powers[14]; /* n begins with 15 */
    for (unsigned digit = 63; digit-- > 0;) {
        uint64_t limb = p256_n.limbs[digit / 16] - (digit < 16 ? 2 : 0);
        unsigned power = (unsigned)(limb >> 4 * (digit % 16)) & 15;

        square_times_n(&r, 4);
        if (power > 0)
            neap_p256_multiply_n(&r, &r, &powers[power - 1]);
    }
    *out = r;
}

#endif
