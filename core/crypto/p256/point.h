/* Points of P-256 and their multiples. No branch and no address depends on a scalar or a point, but on whether one that came from
 * elsewhere is on the curve. */
#ifndef NEAP_CRYPTO_P256_POINT_H
#define NEAP_CRYPTO_P256_POINT_H

#include "crypto/p256/number.h"

#ifdef HAVE_P256

#define POINT_SIZE (1 + 2 * NUMBER_SIZE) /* as bytes, uncompressed (SEC 1 §2.3.3) */

/* x / z and y / z are the coordinates, all in Montgomery form; z is 0 at infinity, where y is not. */
struct point {
    struct number x, y, z;
};

/** False for what is no point of the curve (SEC 1 §3.2.2.1). */
bool neap_point_load(struct point *out, const uint8_t bytes[POINT_SIZE]);
/** Of a point that is not at infinity. */
void neap_point_store(const struct point *a, uint8_t bytes[POINT_SIZE]);
/** The x coordinate of a point that is not at infinity, not in Montgomery form. */
void neap_point_x(const struct point *a, struct number *x);
/** out = a + b; any of them may be the same. */
void neap_point_add(struct point *out, const struct point *a, const struct point *b);
/** scalar G and scalar a; the scalar is below n. */
void neap_point_multiply_base(struct point *out, const struct number *scalar);
void neap_point_multiply(struct point *out, const struct number *scalar, const struct point *a);

#endif
#endif
