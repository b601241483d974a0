/* ECDSA and RSA signatures: verified with the key in a SubjectPublicKeyInfo, made with a private key; and the table with
 * all that Mbed TLS gives. */
#include "crypto/provider.h"

#include "base/pool.h"
#include "crypto/mbedtls/compat.h"
#include "crypto/mbedtls/exchange.h"
#include "crypto/mbedtls/random.h"
#include "neap.h"

#include <mbedtls/asn1.h>
#include <mbedtls/md.h>

static mbedtls_md_type_t md_of(enum digest digest)
{
    return digest == DIGEST_SHA256   ? MBEDTLS_MD_SHA256
           : digest == DIGEST_SHA384 ? MBEDTLS_MD_SHA384
                                     : MBEDTLS_MD_SHA512;
}

size_t neap_digest_message(enum digest digest, struct span message, uint8_t out[CRYPTO_MAX_DIGEST])
{
    const mbedtls_md_info_t *info = mbedtls_md_info_from_type(md_of(digest));

    return info && !mbedtls_md(info, message.data, message.size, out) ? mbedtls_md_get_size(info) : 0;
}

/* What the library says: NEAP_ERR_NO_MEMORY for what ended for want of it. The lower seven bits of an error are of the
 * module below. */
static int error_of(int error)
{
    int low = -error & 0x7f, high = -error - low;
    bool is_exhausted = low == -MBEDTLS_ERR_MPI_ALLOC_FAILED || low == -MBEDTLS_ERR_ASN1_ALLOC_FAILED ||
                        high == -MBEDTLS_ERR_PK_ALLOC_FAILED || high == -MBEDTLS_ERR_ECP_ALLOC_FAILED;

    return error == 0 ? 0 : is_exhausted ? NEAP_ERR_NO_MEMORY : NEAP_ERR_CRYPTO;
}

static int verify_digest(mbedtls_pk_context *pk, struct signature_algorithm algorithm, const uint8_t *digest,
                         size_t digest_size, struct span signature)
{
    mbedtls_md_type_t md = md_of(algorithm.digest);
    mbedtls_pk_rsassa_pss_options pss = {.mgf1_hash_id = md, .expected_salt_len = (int)digest_size};
    mbedtls_pk_type_t type = algorithm.kind == SIGNATURE_ECDSA ? MBEDTLS_PK_ECDSA : MBEDTLS_PK_RSA;

    if (!mbedtls_pk_can_do(pk, type))
        return NEAP_ERR_CRYPTO;
    int error = algorithm.kind == SIGNATURE_RSA_PSS
                    ? mbedtls_pk_verify_ext(MBEDTLS_PK_RSASSA_PSS, &pss, pk, md, digest, digest_size,
                                            signature.data, signature.size)
                    : mbedtls_pk_verify(pk, md, digest, digest_size, signature.data, signature.size);
    return error_of(error);
}

static int mbed_verify(struct crypto *crypto, const struct key_info *key,
                       struct signature_algorithm algorithm, struct span message, struct span signature)
{
    uint8_t digest[CRYPTO_MAX_DIGEST];
    size_t digest_size = neap_digest_message(algorithm.digest, message, digest);
    struct span spki = key->spki;
    unsigned char *at = (unsigned char *)(uintptr_t)spki.data; /* only read */
    mbedtls_pk_context pk;

    (void)crypto;
    if (digest_size == 0)
        return NEAP_ERR_CRYPTO;
    mbedtls_pk_init(&pk);
    int error = error_of(mbedtls_pk_parse_subpubkey(&at, spki.data + spki.size, &pk));
    if (!error)
        error = verify_digest(&pk, algorithm, digest, digest_size, signature);
    mbedtls_pk_free(&pk);
    return error;
}

struct mbed_signer {
    struct signer signer;
    struct crypto *crypto;
    mbedtls_pk_context pk;
};

static int signer_sign(struct signer *signer, struct signature_algorithm algorithm, struct span message,
                       struct signature *out)
{
    struct mbed_signer *key = (struct mbed_signer *)signer;
    mbedtls_md_type_t md = md_of(algorithm.digest);
    uint8_t digest[CRYPTO_MAX_DIGEST];
    size_t digest_size = neap_digest_message(algorithm.digest, message, digest);

    if (digest_size == 0)
        return NEAP_ERR_CRYPTO;
    if (algorithm.kind == SIGNATURE_ECDSA && mbedtls_pk_can_do(&key->pk, MBEDTLS_PK_ECDSA))
        return mbed_pk_sign(&key->pk, md, digest, digest_size, out->bytes, sizeof(out->bytes), &out->size,
                            mbed_random, key->crypto)
                   ? NEAP_ERR_CRYPTO
                   : 0;
    if (algorithm.kind != SIGNATURE_RSA_PSS || !mbedtls_pk_can_do(&key->pk, MBEDTLS_PK_RSA))
        return NEAP_ERR_CRYPTO;
    out->size = mbedtls_pk_get_len(&key->pk);
    if (out->size > sizeof(out->bytes))
        return NEAP_ERR_CRYPTO;
    return mbed_pss_sign(mbedtls_pk_rsa(key->pk), md, digest, digest_size, out->bytes, mbed_random,
                         key->crypto)
               ? NEAP_ERR_CRYPTO
               : 0;
}

static void signer_free(struct signer *signer)
{
    struct mbed_signer *key = (struct mbed_signer *)signer;

    mbedtls_pk_free(&key->pk);
    neap_pool_free(key->crypto->pool, key, sizeof(*key));
}

static const struct signer_methods signer_methods = {.sign = signer_sign, .free = signer_free};

static struct signer *mbed_signer_new(struct crypto *crypto, struct span der, struct failure *why)
{
    struct mbed_signer *key = neap_pool_alloc(crypto->pool, sizeof(*key));

    if (!key) {
        neap_fail(why, NEAP_ERR_NO_MEMORY, "no memory for the private key");
        return NULL;
    }
    key->signer.methods = &signer_methods;
    key->crypto = crypto;
    mbedtls_pk_init(&key->pk);
    int error = mbed_parse_key(&key->pk, der.data, der.size, mbed_random, crypto);
    if (!error)
        return &key->signer;
    if (error == MBEDTLS_ERR_PK_ALLOC_FAILED)
        neap_fail(why, NEAP_ERR_NO_MEMORY, "no memory for the private key");
    else
        neap_fail(why, NEAP_ERR_CERTIFICATE,
                  "the private key cannot be parsed (PKCS#8, SEC 1 or PKCS#1 wanted)");
    signer_free(&key->signer);
    return NULL;
}

#ifdef NEAP_HAVE_SODIUM
#define X25519_COST 0
#define SHARE_COSTS .share_p256 = 1350, .share_p384 = 2200
#else
#define X25519_COST 1500
#define SHARE_COSTS .share_p256 = 0, .share_p384 = 700
#endif
#if MBED_IS_3
#define CURVE_COSTS .p256 = 350, .p384 = 550
#else
#define CURVE_COSTS .p256 = 1000, .p384 = 1500
#endif

const struct provider neap_provider_mbedtls = {
    .name = "Mbed TLS",
    .costs = {.handshake = 250 + X25519_COST,
              CURVE_COSTS,
              .rsa_2048 = 2500,
              SHARE_COSTS,
              .verify_p256 = 1450,
              .verify_p384 = 2500,
              .verify_p521 = 4000,
              .verify_rsa_2048 = 60},
    .share_generate = neap_mbed_share_generate,
    .share_combine = neap_mbed_share_combine,
    .verify = mbed_verify,
    .signer_new = mbed_signer_new,
};
