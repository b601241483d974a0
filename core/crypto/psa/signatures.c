/* ECDSA and RSA signatures: verified with the key in a SubjectPublicKeyInfo, made with a private key; and the table with
 * all that Mbed TLS gives. */
#include "crypto/provider.h"

#include "base/pool.h"
#include "crypto/der.h"
#include "crypto/psa/exchange.h"
#include "crypto/psa/psa.h"
#include "neap.h"

#include <mbedtls/pk.h>
#include <mbedtls/psa_util.h>

static psa_algorithm_t hash_of(enum digest digest)
{
    return digest == DIGEST_SHA256   ? PSA_ALG_SHA_256
           : digest == DIGEST_SHA384 ? PSA_ALG_SHA_384
                                     : PSA_ALG_SHA_512;
}

/* RFC 6979 where the library has it: what is signed twice is signed alike. */
#ifdef PSA_WANT_ALG_DETERMINISTIC_ECDSA
#define ECDSA_TO_SIGN(hash) PSA_ALG_DETERMINISTIC_ECDSA(hash)
#else
#define ECDSA_TO_SIGN(hash) PSA_ALG_ECDSA(hash)
#endif

size_t neap_digest_message(enum digest digest, struct span message, uint8_t out[CRYPTO_MAX_DIGEST])
{
    size_t size;

    return psa_crypto_init() == PSA_SUCCESS && psa_hash_compute(hash_of(digest), message.data, message.size,
                                                                out, CRYPTO_MAX_DIGEST, &size) == PSA_SUCCESS
               ? size
               : 0;
}

/* ---- verification */

#define ECDSA_ROOM PSA_ECDSA_SIGNATURE_SIZE(521)

static psa_status_t verify_message(psa_key_type_t type, psa_algorithm_t algorithm, struct span key,
                                   struct span message, struct span signature)
{
    psa_key_id_t imported;
    psa_status_t status = neap_psa_import(type, algorithm, PSA_KEY_USAGE_VERIFY_MESSAGE, key, &imported);

    if (status == PSA_SUCCESS)
        status = psa_verify_message(imported, algorithm, message.data, message.size, signature.data,
                                    signature.size);
    psa_destroy_key(imported);
    return status;
}

static int psa_verify(struct crypto *crypto, const struct key_info *key, struct signature_algorithm algorithm,
                      struct span message, struct span signature)
{
    psa_algorithm_t hash = hash_of(algorithm.digest);
    size_t bits = key->kind == KEY_P256 ? 256 : key->kind == KEY_P384 ? 384 : 521, size;
    uint8_t raw[ECDSA_ROOM];

    (void)crypto;
    if (algorithm.kind != SIGNATURE_ECDSA)
        return neap_psa_error(verify_message(
            PSA_KEY_TYPE_RSA_PUBLIC_KEY,
            algorithm.kind == SIGNATURE_RSA_PSS ? PSA_ALG_RSA_PSS(hash) : PSA_ALG_RSA_PKCS1V15_SIGN(hash),
            key->key, message, signature));
    if (mbedtls_ecdsa_der_to_raw(bits, signature.data, signature.size, raw, sizeof(raw), &size))
        return NEAP_ERR_CRYPTO;
    return neap_psa_error(verify_message(PSA_KEY_TYPE_ECC_PUBLIC_KEY(PSA_ECC_FAMILY_SECP_R1),
                                         PSA_ALG_ECDSA(hash), key->key, message, span_of(raw, size)));
}

/* ---- our keys */

/* A key as the library imports it for each signature: of a curve its scalar, of RSA its RSAPrivateKey (RFC 8017 §A.1.2). */
struct psa_signer {
    struct signer signer;
    struct crypto *crypto;
    psa_key_type_t type;
    size_t bits, size;
    uint8_t key[];
};

static int signer_sign(struct signer *signer, struct signature_algorithm algorithm, struct span message,
                       struct signature *out)
{
    const struct psa_signer *own = (struct psa_signer *)signer;
    bool is_rsa = own->type == PSA_KEY_TYPE_RSA_KEY_PAIR;
    psa_algorithm_t hash = hash_of(algorithm.digest);
    psa_algorithm_t how = is_rsa ? PSA_ALG_RSA_PSS(hash) : ECDSA_TO_SIGN(hash);
    psa_key_id_t key;

    if (algorithm.kind != (is_rsa ? SIGNATURE_RSA_PSS : SIGNATURE_ECDSA))
        return NEAP_ERR_CRYPTO;
    psa_status_t status =
        neap_psa_import(own->type, how, PSA_KEY_USAGE_SIGN_MESSAGE, span_of(own->key, own->size), &key);
    if (status == PSA_SUCCESS)
        status = psa_sign_message(key, how, message.data, message.size, out->bytes, sizeof(out->bytes),
                                  &out->size);
    psa_destroy_key(key);
    if (status != PSA_SUCCESS)
        return NEAP_ERR_CRYPTO;
    return !is_rsa && mbedtls_ecdsa_raw_to_der(own->bits, out->bytes, out->size, out->bytes,
                                               sizeof(out->bytes), &out->size)
               ? NEAP_ERR_CRYPTO
               : 0;
}

static void signer_free(struct signer *signer)
{
    struct psa_signer *own = (struct psa_signer *)signer;

    neap_pool_free_secret(own->crypto->pool, own, sizeof(*own) + own->size);
}

static const struct signer_methods signer_methods = {.sign = signer_sign, .free = signer_free};

#define KEY_ROOM PSA_KEY_EXPORT_RSA_KEY_PAIR_MAX_SIZE(8 * CRYPTO_MAX_SIGNATURE)

/* What the library imports, in `der`, which it wrote: SEC 1 for a curve (RFC 5915 §3). */
static bool find_key(psa_key_type_t type, struct span der, struct span *out)
{
    struct reader outer = reader_of(der), r = reader_of(neap_der_expect(&outer, DER_SEQUENCE));

    *out = der;
    if (type == PSA_KEY_TYPE_RSA_KEY_PAIR)
        return true;
    neap_der_integer(&r);
    *out = neap_der_expect(&r, DER_OCTET_STRING);
    return !outer.bad && !r.bad && PSA_KEY_TYPE_IS_ECC_KEY_PAIR(type);
}

static struct signer *new_signer(struct crypto *crypto, const mbedtls_pk_context *pk, struct span key,
                                 struct failure *why)
{
    struct psa_signer *own = neap_pool_alloc(crypto->pool, sizeof(*own) + key.size);

    if (!own) {
        neap_fail(why, NEAP_ERR_NO_MEMORY, "no memory for the private key");
        return NULL;
    }
    own->signer.methods = &signer_methods;
    own->crypto = crypto;
    own->type = mbedtls_pk_get_key_type(pk);
    own->bits = mbedtls_pk_get_bitlen(pk);
    own->size = key.size;
    memcpy(own->key, key.data, key.size);
    return &own->signer;
}

static struct signer *psa_signer_new(struct crypto *crypto, struct span der, struct failure *why)
{
    uint8_t room[KEY_ROOM];
    struct signer *signer = NULL;
    struct span key;
    mbedtls_pk_context pk;

    mbedtls_pk_init(&pk);
    int written = psa_crypto_init();
    if (!written)
        written = mbedtls_pk_parse_key(&pk, der.data, der.size, NULL, 0);
    if (!written)
        written = mbedtls_pk_write_key_der(&pk, room, sizeof(room)); /* to the end of the room */
    if (written > 0 &&
        find_key(mbedtls_pk_get_key_type(&pk), span_of(room + sizeof(room) - written, (size_t)written), &key))
        signer = new_signer(crypto, &pk, key, why);
    else if (written == PSA_ERROR_INSUFFICIENT_MEMORY)
        neap_fail(why, NEAP_ERR_NO_MEMORY, "no memory for the private key");
    else
        neap_fail(why, NEAP_ERR_CERTIFICATE,
                  "the private key cannot be parsed (PKCS#8, SEC 1 or PKCS#1 wanted)");
    mbedtls_pk_free(&pk);
    neap_wipe(room, sizeof(room));
    return signer;
}

#ifdef NEAP_HAVE_SODIUM
#define X25519_COST 0
#define SHARE_COSTS .share_p256 = 600, .share_p384 = 1050
#else
#define X25519_COST 1050
#define SHARE_COSTS .share_p256 = 0, .share_p384 = 50
#endif

const struct provider neap_provider_mbedtls = {
    .name = "Mbed TLS",
    .costs = {.handshake = 250 + X25519_COST,
              .p256 = 200,
              .p384 = 350,
              .rsa_2048 = 2600,
              SHARE_COSTS,
              .verify_p256 = 700,
              .verify_p384 = 1200,
              .verify_p521 = 2000,
              .verify_rsa_2048 = 60},
    .share_generate = neap_psa_share_generate,
    .share_combine = neap_psa_share_combine,
    .verify = psa_verify,
    .signer_new = psa_signer_new,
};
