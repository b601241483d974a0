/* The table of public-key functions with P-256 computed here, and all else by Mbed TLS. */
#include "crypto/p256/p256.h"

#ifdef HAVE_P256

#include "base/pool.h"
#include "crypto/der.h"
#include "crypto/provider.h"
#include "neap.h"

#ifdef NEAP_HAVE_SODIUM
#define SHARE_COST 130u /* more than X25519, which is many times dearer by Mbed TLS */
#else
#define SHARE_COST 0u
#endif

/* As the library's, but for P-256. */
static int start(struct crypto *crypto)
{
    crypto->costs = neap_provider_mbedtls.costs;
    crypto->costs.p256 = 45;
    crypto->costs.share_p256 = SHARE_COST;
    crypto->costs.verify_p256 = 170;
    return 0;
}

static int share_generate(struct crypto *crypto, struct key_share *out)
{
    if (out->group != GROUP_SECP256R1)
        return neap_provider_mbedtls.share_generate(crypto, out);
    do {
        neap_random_bytes(&crypto->random, out->private_key, NUMBER_SIZE);
    } while (!neap_p256_is_key(out->private_key)); /* twice in 2^32 times */
    neap_p256_public(out->private_key, out->public_key);
    return 0;
}

static int share_combine(struct crypto *crypto, const struct key_share *ours, struct span peer,
                         uint8_t *secret)
{
    if (ours->group != GROUP_SECP256R1)
        return neap_provider_mbedtls.share_combine(crypto, ours, peer, secret);
    return neap_p256_is_key(ours->private_key) && neap_p256_shared(ours->private_key, peer.data, secret)
               ? 0
               : NEAP_ERR_CRYPTO;
}

/* An INTEGER that is not negative, of NUMBER_SIZE bytes at most. */
static bool read_number(struct reader *r, uint8_t out[NUMBER_SIZE])
{
    struct span bytes = neap_der_integer(r);

    while (bytes.size > 0 && bytes.data[0] == 0)
        bytes = span_after(bytes, 1);
    if (r->bad || bytes.size > NUMBER_SIZE)
        return false;
    memset(out, 0, NUMBER_SIZE - bytes.size);
    if (bytes.size > 0)
        memcpy(out + NUMBER_SIZE - bytes.size, bytes.data, bytes.size);
    return true;
}

static int verify(struct crypto *crypto, const struct key_info *key, struct signature_algorithm algorithm,
                  struct span message, struct span signature)
{
    uint8_t digest[CRYPTO_MAX_DIGEST], numbers[2 * NUMBER_SIZE];

    if (key->kind != KEY_P256)
        return neap_provider_mbedtls.verify(crypto, key, algorithm, message, signature);
    struct reader outer = reader_of(signature);
    struct reader r = reader_of(neap_der_expect(&outer, DER_SEQUENCE));
    if (key->key.size != POINT_SIZE || !read_number(&r, numbers) || !read_number(&r, numbers + NUMBER_SIZE) ||
        neap_digest_message(algorithm.digest, message, digest) == 0)
        return NEAP_ERR_CRYPTO;
    return neap_p256_verify(key->key.data, digest, numbers) ? 0 : NEAP_ERR_CRYPTO;
}

/* ---- our keys */

struct p256_signer {
    struct signer signer;
    struct pool *pool;
    uint8_t key[NUMBER_SIZE];
};

/* Positive, without zeros in front. */
static void write_number(struct writer *w, const uint8_t bytes[NUMBER_SIZE])
{
    uint8_t content[1 + NUMBER_SIZE] = {0};
    size_t skipped = 0;

    memcpy(content + 1, bytes, NUMBER_SIZE);
    while (skipped < NUMBER_SIZE && content[skipped] == 0 && !(content[skipped + 1] & 0x80))
        skipped++;
    neap_der_write(w, DER_INTEGER, span_of(content + skipped, sizeof(content) - skipped));
}

static int signer_sign(struct signer *signer, struct signature_algorithm algorithm, struct span message,
                       struct signature *out)
{
    const struct p256_signer *own = (struct p256_signer *)signer;
    struct writer w = writer_of(out->bytes, sizeof(out->bytes));
    uint8_t digest[CRYPTO_MAX_DIGEST], numbers[2 * NUMBER_SIZE];

    if (algorithm.kind != SIGNATURE_ECDSA || neap_digest_message(algorithm.digest, message, digest) == 0)
        return NEAP_ERR_CRYPTO;
    neap_p256_sign(own->key, digest, numbers);
    size_t sequence = neap_der_begin(&w, DER_SEQUENCE);
    write_number(&w, numbers);
    write_number(&w, numbers + NUMBER_SIZE);
    neap_der_end(&w, sequence);
    out->size = writer_size(&w);
    return 0;
}

static void signer_free(struct signer *signer)
{
    struct p256_signer *own = (struct p256_signer *)signer;

    neap_pool_free_secret(own->pool, own, sizeof(*own));
}

static const struct signer_methods signer_methods = {.sign = signer_sign, .free = signer_free};

/* OIDs of keys of elliptic curves and of this one. */
static const uint8_t ids[] = {0x06, 0x07, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x02, 0x01, 0x06,
                              0x08, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x03, 0x01, 0x07};
#define CURVE_AT 9u

static bool is_version(struct reader *r, uint8_t version)
{
    struct span number = neap_der_integer(r);

    return !r->bad && number.size == 1 && number.data[0] == version;
}

/* ECPrivateKey (RFC 5915 §3). The curve is named in it, or around it; the public key is not looked at, as it follows. */
static bool read_key(struct reader *outer, bool has_curve, struct span *key)
{
    struct reader r = reader_of(neap_der_expect(outer, DER_SEQUENCE));

    if (reader_left(outer) > 0 || !is_version(&r, 1))
        return false;
    *key = neap_der_expect(&r, DER_OCTET_STRING);
    if (neap_der_is_next(&r, DER_CONTEXT_CONSTRUCTED(0))) {
        struct span curve = neap_der_expect(&r, DER_CONTEXT_CONSTRUCTED(0));

        if (!span_equal(curve, span_of(ids + CURVE_AT, sizeof(ids) - CURVE_AT)))
            return false;
        has_curve = true;
    }
    if (neap_der_is_next(&r, DER_CONTEXT_CONSTRUCTED(1)))
        neap_der_expect(&r, DER_CONTEXT_CONSTRUCTED(1));
    return !outer->bad && !r.bad && reader_left(&r) == 0 && has_curve && key->size == NUMBER_SIZE &&
           neap_p256_is_key(key->data);
}

/* Whether the DER is a private key of P-256, by itself or in PKCS#8 (RFC 5208 §5), in the form that tools write. All others are
 * the library's to take or to refuse. */
static bool find_key(struct span der, struct span *key)
{
    struct reader outer = reader_of(der), r = reader_of(neap_der_expect(&outer, DER_SEQUENCE));

    if (outer.bad || reader_left(&outer) > 0)
        return false;
    if (!is_version(&r, 0)) {
        outer = reader_of(der);
        return read_key(&outer, false, key);
    }
    struct span algorithm = neap_der_expect(&r, DER_SEQUENCE);
    struct reader inner = reader_of(neap_der_expect(&r, DER_OCTET_STRING));
    return !r.bad && reader_left(&r) == 0 && span_equal(algorithm, span_of(ids, sizeof(ids))) &&
           read_key(&inner, true, key);
}

static struct signer *signer_new(struct crypto *crypto, struct span der, struct failure *why)
{
    struct span key;

    if (!find_key(der, &key))
        return neap_provider_mbedtls.signer_new(crypto, der, why);
    struct p256_signer *own = neap_pool_alloc(crypto->pool, sizeof(*own));
    if (!own) {
        neap_fail(why, NEAP_ERR_NO_MEMORY, "no memory for the private key");
        return NULL;
    }
    own->signer.methods = &signer_methods;
    own->pool = crypto->pool;
    memcpy(own->key, key.data, NUMBER_SIZE);
    return &own->signer;
}

const struct provider neap_provider_p256 = {
    .name = "P-256 and Mbed TLS",
    .start = start,
    .share_generate = share_generate,
    .share_combine = share_combine,
    .verify = verify,
    .signer_new = signer_new,
};

#endif
