/* Points of P-256: see point.h. Sums are those of Renes, Costello and Batina ("Complete addition formulas for prime order elliptic
 * curves", for a = -3), which have no exceptions: equal points, opposite ones and infinity need no way of their own. */
#include "crypto/p256/point.h"

#ifdef HAVE_P256

#include "crypto/p256/table.h"

/* The curve is y^2 = x^3 - 3 x + b. */
static const struct number curve_b = {{UINT64_C(0xd89cdf6229c4bddf), UINT64_C(0xacf005cd78843090),
                                       UINT64_C(0xe5a220abf7212ed6), UINT64_C(0xdc30061d04874834)}};

/* Not inline: they would be half of this file, for a fiftieth of the time. */
__attribute__((noinline)) static void add(struct number *out, const struct number *a, const struct number *b)
{
    number_add_modulo(out, a, b, &p256_p);
}

__attribute__((noinline)) static void subtract(struct number *out, const struct number *a,
                                               const struct number *b)
{
    number_subtract_modulo(out, a, b, &p256_p);
}

static void triple(struct number *out, const struct number *a)
{
    struct number two;

    add(&two, a, a);
    add(out, &two, a);
}

/* (a + b) (c + d) - ac - bd, which is ad + bc. */
static void cross(struct number *out, const struct number *a, const struct number *b, const struct number *c,
                  const struct number *d, const struct number *ac, const struct number *bd)
{
    struct number left, right;

    add(&left, a, b);
    add(&right, c, d);
    neap_p256_multiply(&left, &left, &right);
    subtract(&left, &left, ac);
    subtract(out, &left, bd);
}

/* What a sum, or a double, is made of: products of the coordinates. */
struct products {
    struct number xx, yy, zz, xy, yz, xz; /* the last three in both ways, added */
};

/* What sums and doubles have in common: up = yy + 3 (xz - b zz), down = yy - 3 (xz - b zz), across = 3 (b xz - 3 zz - xx) and
 * along = 3 (xx - zz). */
struct parts {
    struct number up, down, across, along;
};

static void make_parts(struct parts *out, const struct products *p)
{
    struct number t, zz3;

    neap_p256_multiply(&t, &curve_b, &p->zz);
    subtract(&t, &p->xz, &t);
    triple(&t, &t);
    add(&out->up, &p->yy, &t);
    subtract(&out->down, &p->yy, &t);
    triple(&zz3, &p->zz);
    neap_p256_multiply(&t, &curve_b, &p->xz);
    subtract(&t, &t, &zz3);
    subtract(&t, &t, &p->xx);
    triple(&out->across, &t);
    triple(&t, &p->xx);
    subtract(&out->along, &t, &zz3);
}

static void finish(struct point *out, const struct products *p)
{
    struct parts parts;
    struct number t;

    make_parts(&parts, p);
    neap_p256_multiply(&out->x, &p->xy, &parts.up);
    neap_p256_multiply(&t, &p->yz, &parts.across);
    subtract(&out->x, &out->x, &t);
    neap_p256_multiply(&out->y, &parts.up, &parts.down);
    neap_p256_multiply(&t, &parts.along, &parts.across);
    add(&out->y, &out->y, &t);
    neap_p256_multiply(&out->z, &p->yz, &parts.down);
    neap_p256_multiply(&t, &p->xy, &parts.along);
    add(&out->z, &out->z, &t);
}

void neap_point_add(struct point *out, const struct point *a, const struct point *b)
{
    struct products p;

    neap_p256_multiply(&p.xx, &a->x, &b->x);
    neap_p256_multiply(&p.yy, &a->y, &b->y);
    neap_p256_multiply(&p.zz, &a->z, &b->z);
    cross(&p.xy, &a->x, &a->y, &b->x, &b->y, &p.xx, &p.yy);
    cross(&p.yz, &a->y, &a->z, &b->y, &b->z, &p.yy, &p.zz);
    cross(&p.xz, &a->x, &a->z, &b->x, &b->z, &p.xx, &p.zz);
    finish(out, &p);
}

/* An entry of the base point's tables: its z is 1. */
struct entry {
    struct number x, y;
};

static void add_entry(struct point *a, const struct entry *b)
{
    struct products p;

    neap_p256_multiply(&p.xx, &a->x, &b->x);
    neap_p256_multiply(&p.yy, &a->y, &b->y);
    p.zz = a->z;
    cross(&p.xy, &a->x, &a->y, &b->x, &b->y, &p.xx, &p.yy);
    neap_p256_multiply(&p.yz, &a->z, &b->y);
    add(&p.yz, &p.yz, &a->y);
    neap_p256_multiply(&p.xz, &a->z, &b->x);
    add(&p.xz, &p.xz, &a->x);
    finish(a, &p);
}

static void double_point(struct point *a)
{
    struct products p;

    neap_p256_square_times(&p.xx, &a->x, 1);
    neap_p256_square_times(&p.yy, &a->y, 1);
    neap_p256_square_times(&p.zz, &a->z, 1);
    neap_p256_multiply(&p.xy, &a->x, &a->y);
    neap_p256_multiply(&p.yz, &a->y, &a->z);
    neap_p256_multiply(&p.xz, &a->x, &a->z);
    add(&p.xy, &p.xy, &p.xy);
    add(&p.yz, &p.yz, &p.yz);
    add(&p.xz, &p.xz, &p.xz);
    finish(a, &p);
}

/* ---- scalar G */

/* All bits set where both are the same. */
static uint64_t mask_of_same(uint64_t a, uint64_t b)
{
    return mask_of(((a ^ b) - 1) >> 63);
}

/* All of a table is read, whichever entry it is. */
static void choose_entry(struct entry *out, const uint64_t table[BASE_ENTRIES][8], uint64_t index)
{
    uint64_t limbs[8] = {0};

    for (uint64_t i = 0; i < BASE_ENTRIES; i++) {
        uint64_t mask = mask_of_same(i, index);

        for (size_t j = 0; j < 8; j++)
            limbs[j] |= table[i][j] & mask;
    }
    for (size_t j = 0; j < 4; j++) {
        out->x.limbs[j] = limbs[j];
        out->y.limbs[j] = limbs[4 + j];
    }
}

static void negate_if(struct number *y, uint64_t mask, const struct number *m)
{
    struct number negative;

    number_subtract(&negative, m, y);
    number_choose(y, &negative, y, mask);
}

/* The digit of a table: bits a whole comb apart. With the highest tooth clear it is the opposite of an entry. */
static void add_digit(struct point *sum, const uint64_t bits[5], unsigned table, unsigned place)
{
    struct entry entry;
    uint64_t index = 0;

    for (unsigned tooth = 0; tooth < BASE_TEETH; tooth++) {
        unsigned bit = (tooth * BASE_TABLES + table) * BASE_STEPS + place;

        index |= (bits[bit / 64] >> bit % 64 & 1) << tooth;
    }
    uint64_t opposite = mask_of(index >> (BASE_TEETH - 1) ^ 1);
    choose_entry(&entry, base_tables[table], (index ^ opposite) & (BASE_ENTRIES - 1));
    negate_if(&entry.y, opposite, &p256_p);
    add_entry(sum, &entry);
}

/* An odd number is a sum of powers of two, each with a sign: + where this bit of half of it is set, and at the highest. Of an even
 * one the opposite is odd. */
void neap_point_multiply_base(struct point *out, const struct number *scalar)
{
    struct number odd = *scalar;
    uint64_t is_even = mask_of((scalar->limbs[0] & 1) ^ 1);

    negate_if(&odd, is_even, &p256_n);
    uint64_t bits[5] = {0};
    for (size_t i = 0; i < 4; i++)
        bits[i] = odd.limbs[i] >> 1 | (i < 3 ? odd.limbs[i + 1] << 63 : 0);
    bits[4] = UINT64_C(1) << (BASE_TABLES * BASE_STEPS * BASE_TEETH - 1 - 256);
    *out = (struct point){.y = neap_p256_one};
    for (unsigned place = BASE_STEPS; place-- > 0;) {
        if (place < BASE_STEPS - 1)
            double_point(out);
        for (unsigned table = 0; table < BASE_TABLES; table++)
            add_digit(out, bits, table, place);
    }
    negate_if(&out->y, is_even, &p256_p);
}

/* ---- scalar a, by digits of 4 bits */

#define DIGITS 64u
#define DIGIT_VALUES 16u

static void choose_point(struct point *out, const struct point multiples[DIGIT_VALUES], uint64_t digit)
{
    *out = multiples[0];
    for (uint64_t i = 1; i < DIGIT_VALUES; i++) {
        uint64_t mask = mask_of_same(i, digit);

        number_choose(&out->x, &multiples[i].x, &out->x, mask);
        number_choose(&out->y, &multiples[i].y, &out->y, mask);
        number_choose(&out->z, &multiples[i].z, &out->z, mask);
    }
}

void neap_point_multiply(struct point *out, const struct number *scalar, const struct point *a)
{
    struct point multiples[DIGIT_VALUES] = {{.y = neap_p256_one}, *a}, chosen;

    for (size_t i = 2; i < DIGIT_VALUES; i++)
        neap_point_add(&multiples[i], &multiples[i - 1], a);
    *out = multiples[0];
    for (unsigned digit = DIGITS; digit-- > 0;) {
        for (unsigned bit = 0; bit < 4 && digit < DIGITS - 1; bit++)
            double_point(out);
        choose_point(&chosen, multiples, scalar->limbs[digit / 16] >> 4 * (digit % 16) & 15);
        neap_point_add(out, out, &chosen);
    }
}

/* ---- bytes */

/* False for what is not below p. */
static bool load_coordinate(struct number *out, const uint8_t bytes[NUMBER_SIZE])
{
    neap_number_load(out, bytes);
    bool is_below = number_is_below(out, &p256_p);
    neap_p256_multiply(out, out, &neap_p256_square);
    return is_below;
}

bool neap_point_load(struct point *out, const uint8_t bytes[POINT_SIZE])
{
    struct number left, right, t;

    if (bytes[0] != 0x04 || !load_coordinate(&out->x, bytes + 1) ||
        !load_coordinate(&out->y, bytes + 1 + NUMBER_SIZE))
        return false;
    out->z = neap_p256_one;
    neap_p256_square_times(&left, &out->y, 1);
    neap_p256_square_times(&right, &out->x, 1);
    neap_p256_multiply(&right, &right, &out->x);
    triple(&t, &out->x);
    subtract(&right, &right, &t);
    add(&right, &right, &curve_b);
    return neap_numbers_equal(&left, &right);
}

/* Out of Montgomery form: once more divided by 2^256. */
static void leave_form(struct number *a)
{
    static const struct number one = {{1, 0, 0, 0}};

    neap_p256_multiply(a, a, &one);
}

void neap_point_x(const struct point *a, struct number *x)
{
    struct number inverse;

    neap_p256_invert(&inverse, &a->z);
    neap_p256_multiply(x, &a->x, &inverse);
    leave_form(x);
}

void neap_point_store(const struct point *a, uint8_t bytes[POINT_SIZE])
{
    struct number inverse, coordinate;

    bytes[0] = 0x04;
    neap_p256_invert(&inverse, &a->z);
    neap_p256_multiply(&coordinate, &a->x, &inverse);
    leave_form(&coordinate);
    neap_number_store(&coordinate, bytes + 1);
    neap_p256_multiply(&coordinate, &a->y, &inverse);
    leave_form(&coordinate);
    neap_number_store(&coordinate, bytes + 1 + NUMBER_SIZE);
}

#endif
