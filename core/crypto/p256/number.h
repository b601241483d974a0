/* Numbers of 256 bits, and modulo the two primes of P-256 (SP 800-186 §3.2.1.3): p, of the coordinates, and n, of the scalars.
 * No branch and no address depends on what they are. What is said to be modulo a prime is below it, before and after. */
#ifndef NEAP_CRYPTO_P256_NUMBER_H
#define NEAP_CRYPTO_P256_NUMBER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Products of 128 bits are what all of this is made of; where the compiler has none, the library does it. */
#if defined(NEAP_P256) && defined(__SIZEOF_INT128__)
#define HAVE_P256 1

__extension__ typedef unsigned __int128 wide;

#define NUMBER_SIZE 32u /* as bytes, big-endian */

struct number {
    uint64_t limbs[4]; /* the lowest first */
};

static const struct number p256_p = {
    {UINT64_C(0xffffffffffffffff), UINT64_C(0xffffffff), 0, UINT64_C(0xffffffff00000001)}};
static const struct number p256_n = {{UINT64_C(0xf3b9cac2fc632551), UINT64_C(0xbce6faada7179e84),
                                      UINT64_C(0xffffffffffffffff), UINT64_C(0xffffffff00000000)}};

/* a + b + *carry; what is above 64 bits is the next carry. */
static inline uint64_t add_carry(uint64_t a, uint64_t b, uint64_t *carry)
{
    wide sum = (wide)a + b + *carry;

    *carry = (uint64_t)(sum >> 64);
    return (uint64_t)sum;
}

/* a - b - *borrow, and the next borrow. */
static inline uint64_t subtract_borrow(uint64_t a, uint64_t b, uint64_t *borrow)
{
    wide difference = (wide)a - b - *borrow;

    *borrow = (uint64_t)(difference >> 64) & 1;
    return (uint64_t)difference;
}

/* All that follows is written out: in loops GCC keeps the limbs in memory, which takes twice as long. */

/* out = a + b; the carry. */
static inline uint64_t number_add(struct number *out, const struct number *a, const struct number *b)
{
    uint64_t carry = 0;

    out->limbs[0] = add_carry(a->limbs[0], b->limbs[0], &carry);
    out->limbs[1] = add_carry(a->limbs[1], b->limbs[1], &carry);
    out->limbs[2] = add_carry(a->limbs[2], b->limbs[2], &carry);
    out->limbs[3] = add_carry(a->limbs[3], b->limbs[3], &carry);
    return carry;
}

/* out = a - b; the borrow. */
static inline uint64_t number_subtract(struct number *out, const struct number *a, const struct number *b)
{
    uint64_t borrow = 0;

    out->limbs[0] = subtract_borrow(a->limbs[0], b->limbs[0], &borrow);
    out->limbs[1] = subtract_borrow(a->limbs[1], b->limbs[1], &borrow);
    out->limbs[2] = subtract_borrow(a->limbs[2], b->limbs[2], &borrow);
    out->limbs[3] = subtract_borrow(a->limbs[3], b->limbs[3], &borrow);
    return borrow;
}

static inline bool number_is_below(const struct number *a, const struct number *m)
{
    struct number difference;

    return number_subtract(&difference, a, m) != 0;
}

/* All bits set for 1, none for 0, and the compiler does not know which: it would make branches of it. */
static inline uint64_t mask_of(uint64_t bit)
{
    uint64_t mask = 0 - bit;

    __asm__("" : "+r"(mask));
    return mask;
}

/* out = a where all bits of the mask are set, b where none is. */
static inline void number_choose(struct number *out, const struct number *a, const struct number *b,
                                 uint64_t mask)
{
    out->limbs[0] = b->limbs[0] ^ ((a->limbs[0] ^ b->limbs[0]) & mask);
    out->limbs[1] = b->limbs[1] ^ ((a->limbs[1] ^ b->limbs[1]) & mask);
    out->limbs[2] = b->limbs[2] ^ ((a->limbs[2] ^ b->limbs[2]) & mask);
    out->limbs[3] = b->limbs[3] ^ ((a->limbs[3] ^ b->limbs[3]) & mask);
}

/* a - m where a, with `above` as its next limb, is not below m. */
static inline void number_reduce(struct number *out, const struct number *a, uint64_t above,
                                 const struct number *m)
{
    struct number less;
    uint64_t borrow = number_subtract(&less, a, m);

    number_choose(out, &less, a, mask_of(above | (borrow ^ 1)));
}

/* Modulo m. */
static inline void number_add_modulo(struct number *out, const struct number *a, const struct number *b,
                                     const struct number *m)
{
    struct number sum;
    uint64_t carry = number_add(&sum, a, b);

    number_reduce(out, &sum, carry, m);
}

static inline void number_subtract_modulo(struct number *out, const struct number *a, const struct number *b,
                                          const struct number *m)
{
    struct number difference, back = *m;
    uint64_t mask = mask_of(number_subtract(&difference, a, b));

    back.limbs[0] &= mask;
    back.limbs[1] &= mask;
    back.limbs[2] &= mask;
    back.limbs[3] &= mask;
    number_add(out, &difference, &back);
}

void neap_number_load(struct number *out, const uint8_t bytes[NUMBER_SIZE]);
void neap_number_store(const struct number *a, uint8_t bytes[NUMBER_SIZE]);
/** Whether 0 < a < m. What is known of a number in secret is this alone. */
bool neap_number_is_in_range(const struct number *a, const struct number *m);
bool neap_numbers_equal(const struct number *a, const struct number *b);

/* Montgomery's product, a b / 2^256. Numbers that were multiplied by 2^256 are in Montgomery form: so are products of two. */

extern const struct number neap_p256_one; /* in this form, modulo p */
extern const struct number neap_p256_square,
    neap_p256_square_n; /* 2^512: times them a number comes into the form */
/** Modulo p. */
void neap_p256_multiply(struct number *out, const struct number *a, const struct number *b);
/** a^(2^times), modulo p. */
void neap_p256_square_times(struct number *out, const struct number *a, unsigned times);
void neap_p256_multiply_n(struct number *out, const struct number *a, const struct number *b);
/** The inverse of a number in this form, in this form, modulo p; that of 0 is 0. */
void neap_p256_invert(struct number *out, const struct number *a);
void neap_p256_invert_n(struct number *out, const struct number *a);

#endif
#endif
