/* Public keys of X25519 by the Edwards form of its curve, where multiples of the base point come from a table: libsodium has
 * that for Ed25519, in half of the ladder's time. What comes out is a point's y, and u = (1 + y) / (1 - y) (RFC 7748 §4.1).
 * Nothing here depends on a secret: y says what the public key says. */
#include "crypto/backend.h"

#include "neap.h"

#include <sodium.h>

/* libsodium may be built without it, and the arithmetic below wants products of 128 bits. */
#if defined(crypto_scalarmult_ed25519_BYTES) && defined(__SIZEOF_INT128__)

#define LIMB_BITS 51u
#define LIMB_MASK ((UINT64_C(1) << LIMB_BITS) - 1)

__extension__ typedef unsigned __int128 wide;

/* A number modulo 2^255 - 19, in limbs of 51 bits and a little more. */
struct field {
    uint64_t x0, x1, x2, x3, x4;
};

static uint64_t load_le64(const uint8_t *from)
{
    uint64_t value = 0;

    for (unsigned i = 0; i < 8; i++)
        value |= (uint64_t)from[i] << (8 * i);
    return value;
}

/* The highest bit, a sign, is left out. */
static struct field field_load(const uint8_t bytes[32])
{
    return (struct field){load_le64(bytes) & LIMB_MASK, (load_le64(bytes + 6) >> 3) & LIMB_MASK,
                          (load_le64(bytes + 12) >> 6) & LIMB_MASK, (load_le64(bytes + 19) >> 1) & LIMB_MASK,
                          (load_le64(bytes + 24) >> 12) & LIMB_MASK};
}

/* Once around, as reduce. */
static struct field carry(struct field a)
{
    a.x1 += a.x0 >> LIMB_BITS;
    a.x2 += a.x1 >> LIMB_BITS;
    a.x3 += a.x2 >> LIMB_BITS;
    a.x4 += a.x3 >> LIMB_BITS;
    return (struct field){(a.x0 & LIMB_MASK) + 19 * (a.x4 >> LIMB_BITS), a.x1 & LIMB_MASK, a.x2 & LIMB_MASK,
                          a.x3 & LIMB_MASK, a.x4 & LIMB_MASK};
}

static void field_store(struct field a, uint8_t bytes[32])
{
    /* Below 2^255 then, and 19 more reach it where the number is not below p: those 19 are what is left above p. */
    a = carry(carry(a));
    uint64_t x0 = a.x0 + 19, x1 = a.x1 + (x0 >> LIMB_BITS), x2 = a.x2 + (x1 >> LIMB_BITS),
             x3 = a.x3 + (x2 >> LIMB_BITS), x4 = a.x4 + (x3 >> LIMB_BITS);
    a = x4 >> LIMB_BITS
            ? (struct field){x0 & LIMB_MASK, x1 & LIMB_MASK, x2 & LIMB_MASK, x3 & LIMB_MASK, x4 & LIMB_MASK}
            : a;
    uint64_t words[4] = {a.x0 | a.x1 << 51, a.x1 >> 13 | a.x2 << 38, a.x2 >> 26 | a.x3 << 25,
                         a.x3 >> 39 | a.x4 << 12};
    for (unsigned i = 0; i < 32; i++)
        bytes[i] = (uint8_t)(words[i / 8] >> (8 * (i % 8)));
}

/* What is above 51 bits goes a place up. In single variables: compilers make vectors of arrays here, which is slower. */
static struct field reduce(wide p0, wide p1, wide p2, wide p3, wide p4)
{
    p1 += (uint64_t)(p0 >> LIMB_BITS);
    p2 += (uint64_t)(p1 >> LIMB_BITS);
    p3 += (uint64_t)(p2 >> LIMB_BITS);
    p4 += (uint64_t)(p3 >> LIMB_BITS);
    uint64_t x0 = ((uint64_t)p0 & LIMB_MASK) + 19 * (uint64_t)(p4 >> LIMB_BITS);
    return (struct field){x0 & LIMB_MASK, ((uint64_t)p1 & LIMB_MASK) + (x0 >> LIMB_BITS),
                          (uint64_t)p2 & LIMB_MASK, (uint64_t)p3 & LIMB_MASK, (uint64_t)p4 & LIMB_MASK};
}

/* Products of limbs whose places add up to 5 or more are 2^255 too high, which is 19. */
static struct field multiply(const struct field *a, const struct field *b)
{
    uint64_t x0 = a->x0, x1 = a->x1, x2 = a->x2, x3 = a->x3, x4 = a->x4;
    uint64_t y0 = b->x0, y1 = b->x1, y2 = b->x2, y3 = b->x3, y4 = b->x4;
    uint64_t z1 = 19 * y1, z2 = 19 * y2, z3 = 19 * y3, z4 = 19 * y4;

    return reduce((wide)x0 * y0 + (wide)x1 * z4 + (wide)x2 * z3 + (wide)x3 * z2 + (wide)x4 * z1,
                  (wide)x0 * y1 + (wide)x1 * y0 + (wide)x2 * z4 + (wide)x3 * z3 + (wide)x4 * z2,
                  (wide)x0 * y2 + (wide)x1 * y1 + (wide)x2 * y0 + (wide)x3 * z4 + (wide)x4 * z3,
                  (wide)x0 * y3 + (wide)x1 * y2 + (wide)x2 * y1 + (wide)x3 * y0 + (wide)x4 * z4,
                  (wide)x0 * y4 + (wide)x1 * y3 + (wide)x2 * y2 + (wide)x3 * y1 + (wide)x4 * y0);
}

static struct field square_times(struct field a, unsigned times)
{
    while (times-- > 0) {
        uint64_t d0 = 2 * a.x0, d1 = 2 * a.x1, d2 = 2 * a.x2, d3 = 2 * a.x3, z3 = 19 * a.x3, z4 = 19 * a.x4;

        a = reduce((wide)a.x0 * a.x0 + (wide)d1 * z4 + (wide)d2 * z3,
                   (wide)d0 * a.x1 + (wide)d2 * z4 + (wide)a.x3 * z3,
                   (wide)d0 * a.x2 + (wide)a.x1 * a.x1 + (wide)d3 * z4,
                   (wide)d0 * a.x3 + (wide)d1 * a.x2 + (wide)a.x4 * z4,
                   (wide)d0 * a.x4 + (wide)d1 * a.x3 + (wide)a.x2 * a.x2);
    }
    return a;
}

/* a to the power of p - 2 = 2^255 - 21; e(n) is a to the power of 2^n - 1. */
static struct field invert(const struct field *a)
{
    struct field t = square_times(*a, 1), a9 = square_times(t, 2);
    a9 = multiply(&a9, a);
    struct field a11 = multiply(&a9, &t);
    t = square_times(a11, 1);
    struct field e5 = multiply(&t, &a9);
    t = square_times(e5, 5);
    struct field e10 = multiply(&t, &e5);
    t = square_times(e10, 10);
    struct field e20 = multiply(&t, &e10);
    t = square_times(e20, 20);
    t = multiply(&t, &e20);
    t = square_times(t, 10);
    struct field e50 = multiply(&t, &e10);
    t = square_times(e50, 50);
    struct field e100 = multiply(&t, &e50);
    t = square_times(e100, 100);
    t = multiply(&t, &e100);
    t = square_times(t, 50);
    t = multiply(&t, &e50);
    t = square_times(t, 5);
    return multiply(&t, &a11);
}

static void to_montgomery(const uint8_t y_bytes[32], uint8_t out[32])
{
    struct field y = field_load(y_bytes), above = {y.x0 + 1, y.x1, y.x2, y.x3, y.x4};
    /* 1 - y, with 2 p on top so that no limb is negative. */
    struct field below = {2 * (LIMB_MASK - 18) + 1 - y.x0, 2 * LIMB_MASK - y.x1, 2 * LIMB_MASK - y.x2,
                          2 * LIMB_MASK - y.x3, 2 * LIMB_MASK - y.x4};

    below = invert(&below);
    field_store(multiply(&above, &below), out);
}

int neap_x25519_public(struct crypto *crypto, const uint8_t private_key[32], uint8_t out[32])
{
    uint8_t y[32];

    (void)crypto;
    /* It clamps the scalar as X25519 does, but takes no key of zeros. */
    if (crypto_scalarmult_ed25519_base(y, private_key))
        return crypto_scalarmult_base(out, private_key) ? NEAP_ERR_CRYPTO : 0;
    to_montgomery(y, out);
    return 0;
}

#else

int neap_x25519_public(struct crypto *crypto, const uint8_t private_key[32], uint8_t out[32])
{
    (void)crypto;
    return crypto_scalarmult_base(out, private_key) ? NEAP_ERR_CRYPTO : 0;
}

#endif
