/* ECDSA and ECDH over P-256: see p256.h. */
#include "crypto/p256/p256.h"

#ifdef HAVE_P256

#include "crypto/crypto.h"

/* What functions below this file left of their variables on the stack: those of this file wipe their own. With sanitizers all of it
 * is half of this; around an array they keep room that nothing would wipe. */
__attribute__((noinline, no_sanitize("address"))) static void wipe_stack(void)
{
    uint8_t below[8192];

    neap_wipe(below, sizeof(below));
}

__attribute__((noinline)) static bool check(const uint8_t key[NUMBER_SIZE])
{
    struct number d;

    neap_number_load(&d, key);
    bool is_key = neap_number_is_in_range(&d, &p256_n);
    neap_wipe(&d, sizeof(d));
    return is_key;
}

bool neap_p256_is_key(const uint8_t key[NUMBER_SIZE])
{
    bool is_key = check(key);

    wipe_stack();
    return is_key;
}

__attribute__((noinline)) static void make_public(const uint8_t key[NUMBER_SIZE], uint8_t out[POINT_SIZE])
{
    struct number d;
    struct point point;

    neap_number_load(&d, key);
    neap_point_multiply_base(&point, &d);
    neap_point_store(&point, out);
    neap_wipe(&d, sizeof(d));
    neap_wipe(&point, sizeof(point));
}

void neap_p256_public(const uint8_t key[NUMBER_SIZE], uint8_t out[POINT_SIZE])
{
    make_public(key, out);
    wipe_stack();
}

__attribute__((noinline)) static void make_shared(const uint8_t key[NUMBER_SIZE], const struct point *peer,
                                                  uint8_t secret[NUMBER_SIZE])
{
    struct number d;
    struct point point;

    neap_number_load(&d, key);
    neap_point_multiply(&point, &d, peer);
    neap_point_x(&point, &d);
    neap_number_store(&d, secret);
    neap_wipe(&d, sizeof(d));
    neap_wipe(&point, sizeof(point));
}

bool neap_p256_shared(const uint8_t key[NUMBER_SIZE], const uint8_t peer[POINT_SIZE],
                      uint8_t secret[NUMBER_SIZE])
{
    struct point point;

    if (!neap_point_load(&point, peer))
        return false;
    make_shared(key, &point, secret);
    wipe_stack();
    return true;
}

/* ---- ECDSA */

/* A digest, as a number modulo n. */
static void load_digest(struct number *out, const uint8_t digest[32])
{
    struct number z;

    neap_number_load(&z, digest);
    number_reduce(out, &z, 0, &p256_n);
}

/* RFC 6979 §3.2: K and V, and nonces of them. */
struct nonces {
    uint8_t k[32], v[32];
};

/* K = HMAC(K, V || separator || seed), V = HMAC(K, V). */
static void stir(struct nonces *n, uint8_t separator, const uint8_t *seed, size_t size)
{
    uint8_t data[32 + 1 + 2 * NUMBER_SIZE];

    memcpy(data, n->v, 32);
    data[32] = separator;
    if (size > 0)
        memcpy(data + 33, seed, size);
    neap_hmac(HASH_SHA256, span_of(n->k, 32), span_of(data, 33 + size), n->k);
    neap_hmac(HASH_SHA256, span_of(n->k, 32), span_of(n->v, 32), n->v);
    neap_wipe(data, sizeof(data));
}

static void start_nonces(struct nonces *n, const uint8_t key[NUMBER_SIZE], const struct number *z)
{
    uint8_t seed[2 * NUMBER_SIZE];

    memset(n->k, 0, sizeof(n->k));
    memset(n->v, 1, sizeof(n->v));
    memcpy(seed, key, NUMBER_SIZE);
    neap_number_store(z, seed + NUMBER_SIZE);
    stir(n, 0, seed, sizeof(seed));
    stir(n, 1, seed, sizeof(seed));
    neap_wipe(seed, sizeof(seed));
}

static void next_nonce(struct nonces *n, struct number *out)
{
    neap_hmac(HASH_SHA256, span_of(n->k, 32), span_of(n->v, 32), n->v);
    neap_number_load(out, n->v);
}

/* r = x of k G, s = (z + r d) / k, modulo n. False where one of them is 0. */
static bool sign_with(const struct number *nonce, const struct number *d, const struct number *z,
                      uint8_t signature[2 * NUMBER_SIZE])
{
    struct point point;
    struct number r, s, t;

    neap_point_multiply_base(&point, nonce);
    neap_point_x(&point, &t);
    number_reduce(&r, &t, 0, &p256_n);
    neap_p256_multiply_n(&t, &r, &neap_p256_square_n);
    neap_p256_multiply_n(&t, &t, d); /* one of both in Montgomery form: the product is not */
    number_add_modulo(&s, &t, z, &p256_n);
    neap_p256_multiply_n(&t, nonce, &neap_p256_square_n);
    neap_p256_invert_n(&t, &t);
    neap_p256_multiply_n(&s, &s, &t);
    neap_number_store(&r, signature);
    neap_number_store(&s, signature + NUMBER_SIZE);
    neap_wipe(&point, sizeof(point));
    neap_wipe(&t, sizeof(t));
    return neap_number_is_in_range(&r, &p256_n) && neap_number_is_in_range(&s, &p256_n);
}

__attribute__((noinline)) static void sign(const uint8_t key[NUMBER_SIZE], const uint8_t digest[32],
                                           uint8_t signature[2 * NUMBER_SIZE])
{
    struct nonces nonces;
    struct number d, z, nonce;

    neap_number_load(&d, key);
    load_digest(&z, digest);
    start_nonces(&nonces, key, &z);
    next_nonce(&nonces, &nonce);
    while (!neap_number_is_in_range(&nonce, &p256_n) || !sign_with(&nonce, &d, &z, signature)) {
        stir(&nonces, 0, NULL, 0); /* once in 2^32 signatures */
        next_nonce(&nonces, &nonce);
    }
    neap_wipe(&nonces, sizeof(nonces));
    neap_wipe(&d, sizeof(d));
    neap_wipe(&nonce, sizeof(nonce));
}

void neap_p256_sign(const uint8_t key[NUMBER_SIZE], const uint8_t digest[32],
                    uint8_t signature[2 * NUMBER_SIZE])
{
    sign(key, digest, signature);
    wipe_stack();
}

/* Whether r is x / z modulo n: x, which is below p, may be n and more. */
static bool is_x(const struct number *r, const struct point *point)
{
    struct number candidate = *r, product;

    for (unsigned i = 0; i < 2; i++) {
        neap_p256_multiply(&product, &candidate, &neap_p256_square);
        neap_p256_multiply(&product, &product, &point->z);
        if (neap_numbers_equal(&product, &point->x))
            return true;
        if (number_add(&candidate, r, &p256_n) || !number_is_below(&candidate, &p256_p))
            return false;
    }
    return false;
}

bool neap_p256_verify(const uint8_t point[POINT_SIZE], const uint8_t digest[32],
                      const uint8_t signature[2 * NUMBER_SIZE])
{
    static const struct number zero;
    struct number r, s, z, inverse;
    struct point key, sum, other;

    neap_number_load(&r, signature);
    neap_number_load(&s, signature + NUMBER_SIZE);
    if (!neap_number_is_in_range(&r, &p256_n) || !neap_number_is_in_range(&s, &p256_n) ||
        !neap_point_load(&key, point))
        return false;
    load_digest(&z, digest);
    neap_p256_multiply_n(&inverse, &s, &neap_p256_square_n);
    neap_p256_invert_n(&inverse, &inverse);
    neap_p256_multiply_n(&z, &z, &inverse);
    neap_point_multiply_base(&sum, &z);
    neap_p256_multiply_n(&s, &r, &inverse);
    neap_point_multiply(&other, &s, &key);
    neap_point_add(&sum, &sum, &other);
    return !neap_numbers_equal(&sum.z, &zero) && is_x(&r, &sum);
}

#endif
