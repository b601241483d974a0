/* Signatures: verified with the key in a SubjectPublicKeyInfo, made with a private key. ECDSA and RSA come from
 * Mbed TLS; Ed25519 keys are recognised here, their arithmetic comes from libsodium. */
#include "crypto/backend.h"

#include "base/pool.h"
#include "crypto/certificate.h"
#include "crypto/der.h"
#include "crypto/mbedtls/compat.h"
#include "crypto/mbedtls/random.h"
#include "neap.h"

#include <mbedtls/md.h>

#define MAX_DIGEST 64u

static mbedtls_md_type_t md_of(enum digest digest)
{
    return digest == DIGEST_SHA256   ? MBEDTLS_MD_SHA256
           : digest == DIGEST_SHA384 ? MBEDTLS_MD_SHA384
                                     : MBEDTLS_MD_SHA512;
}

static int digest_message(enum digest digest, struct span message, uint8_t *out, size_t *size)
{
    const mbedtls_md_info_t *info = mbedtls_md_info_from_type(md_of(digest));

    if (!info)
        return NEAP_ERR_CRYPTO;
    *size = mbedtls_md_get_size(info);
    return mbedtls_md(info, message.data, message.size, out) ? NEAP_ERR_CRYPTO : 0;
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
    return error ? NEAP_ERR_CRYPTO : 0;
}

/* A positive INTEGER in its shortest form. */
static bool is_scalar(struct span s)
{
    return s.data[0] != 0 ? !(s.data[0] & 0x80) : s.size > 1;
}

/* Whether a signature is the DER of an ECDSA-Sig-Value: Mbed TLS takes other encodings of the same numbers too. */
static bool is_ecdsa_der(struct span signature)
{
    struct reader outer = reader_of(signature);
    struct reader r = reader_of(neap_der_expect(&outer, DER_SEQUENCE));
    struct span first = neap_der_integer(&r), second = neap_der_integer(&r);

    return !outer.bad && !r.bad && reader_left(&outer) == 0 && reader_left(&r) == 0 && is_scalar(first) &&
           is_scalar(second);
}

int neap_signature_verify(struct span spki, struct signature_algorithm algorithm, struct span message,
                          struct span signature)
{
    struct key_info info;
    uint8_t digest[MAX_DIGEST];
    size_t digest_size;
    mbedtls_pk_context pk;

    if (algorithm.kind == SIGNATURE_UNKNOWN || neap_key_info(spki, &info))
        return NEAP_ERR_CRYPTO;
    if (signature.size == 0 || signature.size > CRYPTO_MAX_SIGNATURE)
        return NEAP_ERR_CRYPTO;
    if ((algorithm.kind == SIGNATURE_ED25519) != (info.kind == KEY_ED25519))
        return NEAP_ERR_CRYPTO;
    if (algorithm.kind == SIGNATURE_ED25519)
        return signature.size == 64 ? neap_ed25519_verify(info.key.data, message, signature.data)
                                    : NEAP_ERR_CRYPTO;
    if (algorithm.kind == SIGNATURE_ECDSA && !is_ecdsa_der(signature))
        return NEAP_ERR_CRYPTO;
    int error = digest_message(algorithm.digest, message, digest, &digest_size);
    if (error)
        return error;
    unsigned char *at = (unsigned char *)(uintptr_t)spki.data; /* only read */
    mbedtls_pk_init(&pk);
    error = mbedtls_pk_parse_subpubkey(&at, spki.data + spki.size, &pk)
                ? NEAP_ERR_CRYPTO
                : verify_digest(&pk, algorithm, digest, digest_size, signature);
    mbedtls_pk_free(&pk);
    return error;
}

struct private_key {
    struct crypto *crypto;
    bool is_ed25519;
    uint8_t ed25519[64]; /* seed and public key */
    mbedtls_pk_context pk;
};

static bool load_ed25519(struct private_key *key, struct span seed, struct failure *why)
{
    key->is_ed25519 = true;
    if (!neap_ed25519_is_available()) {
        neap_fail(why, NEAP_ERR_UNSUPPORTED, "an Ed25519 key needs a build with libsodium");
        return false;
    }
    if (neap_ed25519_expand(seed.data, key->ed25519)) {
        neap_fail(why, NEAP_ERR_CERTIFICATE, "the Ed25519 key cannot be used");
        return false;
    }
    return true;
}

static bool load_mbed(struct private_key *key, struct span der, struct failure *why)
{
    int error = mbed_parse_key(&key->pk, der.data, der.size, mbed_random, key->crypto);

    if (error == MBEDTLS_ERR_PK_ALLOC_FAILED)
        neap_fail(why, NEAP_ERR_NO_MEMORY, "no memory for the private key");
    else if (error)
        neap_fail(why, NEAP_ERR_CERTIFICATE,
                  "the private key cannot be parsed (PKCS#8, SEC 1 or PKCS#1 wanted)");
    return error == 0;
}

struct private_key *neap_private_key_new(struct crypto *crypto, struct span der, struct failure *why)
{
    struct private_key *key = neap_pool_alloc(crypto->pool, sizeof(*key));
    struct span seed;

    if (!key) {
        neap_fail(why, NEAP_ERR_NO_MEMORY, "no memory for the private key");
        return NULL;
    }
    key->crypto = crypto;
    mbedtls_pk_init(&key->pk);
    bool ok = neap_ed25519_seed(der, &seed) ? load_ed25519(key, seed, why) : load_mbed(key, der, why);
    if (!ok) {
        neap_private_key_free(key);
        return NULL;
    }
    return key;
}

void neap_private_key_free(struct private_key *key)
{
    if (!key)
        return;
    mbedtls_pk_free(&key->pk);
    neap_pool_free_secret(key->crypto->pool, key, sizeof(*key));
}

bool neap_private_key_fits(struct private_key *key, struct span spki)
{
    struct key_info info;
    mbedtls_pk_context public_key;

    if (neap_key_info(spki, &info) || (info.kind == KEY_ED25519) != key->is_ed25519)
        return false;
    if (key->is_ed25519)
        return memcmp(info.key.data, key->ed25519 + 32, 32) == 0;
    unsigned char *at = (unsigned char *)(uintptr_t)spki.data; /* only read */
    mbedtls_pk_init(&public_key);
    bool fits = mbedtls_pk_parse_subpubkey(&at, spki.data + spki.size, &public_key) == 0 &&
                mbed_check_pair(&public_key, &key->pk, mbed_random, key->crypto) == 0;
    mbedtls_pk_free(&public_key);
    return fits;
}

int neap_private_key_sign(struct private_key *key, struct signature_algorithm algorithm, struct span message,
                          uint8_t *out, size_t *size)
{
    uint8_t digest[MAX_DIGEST];
    size_t digest_size;

    if (key->is_ed25519) {
        *size = 64;
        return algorithm.kind == SIGNATURE_ED25519 ? neap_ed25519_sign(key->ed25519, message, out)
                                                   : NEAP_ERR_CRYPTO;
    }
    if (digest_message(algorithm.digest, message, digest, &digest_size))
        return NEAP_ERR_CRYPTO;
    mbedtls_md_type_t md = md_of(algorithm.digest);
    if (algorithm.kind == SIGNATURE_ECDSA && mbedtls_pk_can_do(&key->pk, MBEDTLS_PK_ECDSA))
        return mbed_pk_sign(&key->pk, md, digest, digest_size, out, CRYPTO_MAX_SIGNATURE, size, mbed_random,
                            key->crypto)
                   ? NEAP_ERR_CRYPTO
                   : 0;
    if (algorithm.kind != SIGNATURE_RSA_PSS || !mbedtls_pk_can_do(&key->pk, MBEDTLS_PK_RSA))
        return NEAP_ERR_CRYPTO;
    *size = mbedtls_pk_get_len(&key->pk);
    if (*size > CRYPTO_MAX_SIGNATURE)
        return NEAP_ERR_CRYPTO;
    return mbed_pss_sign(mbedtls_pk_rsa(key->pk), md, digest, digest_size, out, mbed_random, key->crypto)
               ? NEAP_ERR_CRYPTO
               : 0;
}
