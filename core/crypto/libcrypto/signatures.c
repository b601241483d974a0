/* ECDSA and RSA signatures: verified with the key in a SubjectPublicKeyInfo, made with a private key; and the table with
 * all that libcrypto gives. */
#include "crypto/libcrypto/library.h"

#include "base/pool.h"
#include "neap.h"

#include <openssl/core_names.h>
#include <openssl/rsa.h>
#include <openssl/x509.h>

struct message_digest {
    const EVP_MD *algorithm;
    uint8_t bytes[EVP_MAX_MD_SIZE];
    unsigned size;
};

static bool digest_message(struct crypto *crypto, enum digest digest, struct span message,
                           struct message_digest *out)
{
    static const char *const names[] = {
        [DIGEST_SHA256] = "SHA256", [DIGEST_SHA384] = "SHA384", [DIGEST_SHA512] = "SHA512"};
    struct libcrypto *library = libcrypto_of(crypto);

    if (!library->digests[digest])
        library->digests[digest] = EVP_MD_fetch(library->context, names[digest], NULL);
    out->algorithm = library->digests[digest];
    return out->algorithm &&
           EVP_Digest(message.data, message.size, out->bytes, &out->size, out->algorithm, NULL) == 1;
}

/* RSASSA-PSS with a salt as long as the hash, MGF1 over the same hash. */
static bool set_padding(EVP_PKEY_CTX *operation, enum signature_kind kind, const EVP_MD *digest)
{
    if (kind == SIGNATURE_ECDSA)
        return true;
    bool is_pss = kind == SIGNATURE_RSA_PSS;
    return EVP_PKEY_CTX_set_signature_md(operation, digest) == 1 &&
           EVP_PKEY_CTX_set_rsa_padding(operation, is_pss ? RSA_PKCS1_PSS_PADDING : RSA_PKCS1_PADDING) == 1 &&
           (!is_pss || (EVP_PKEY_CTX_set_rsa_mgf1_md(operation, digest) == 1 &&
                        EVP_PKEY_CTX_set_rsa_pss_saltlen(operation, RSA_PSS_SALTLEN_DIGEST) == 1));
}

/* ---- verification */

static EVP_PKEY *curve_key(struct crypto *crypto, const struct key_info *key)
{
    OSSL_PARAM parts[] = {OSSL_PARAM_construct_utf8_string(OSSL_PKEY_PARAM_GROUP_NAME,
                                                           (char *)(uintptr_t)neap_libcrypto_curve(key->kind),
                                                           0),
                          OSSL_PARAM_construct_octet_string(OSSL_PKEY_PARAM_PUB_KEY,
                                                            (void *)(uintptr_t)key->key.data, key->key.size),
                          OSSL_PARAM_construct_end()};

    return neap_libcrypto_key(crypto, "EC", EVP_PKEY_PUBLIC_KEY, parts);
}

static EVP_PKEY *rsa_key(struct crypto *crypto, const struct key_info *key)
{
    uint8_t room[CRYPTO_MAX_SIGNATURE]; /* no signature of a longer key comes here */
    uint32_t exponent = key->exponent;
    OSSL_PARAM parts[3];

    if (key->modulus.size > sizeof(room) || exponent == 0 ||
        !neap_libcrypto_number(&parts[0], OSSL_PKEY_PARAM_RSA_N, key->modulus, room))
        return NULL;
    parts[1] = OSSL_PARAM_construct_uint32(OSSL_PKEY_PARAM_RSA_E, &exponent);
    parts[2] = OSSL_PARAM_construct_end();
    return neap_libcrypto_key(crypto, "RSA", EVP_PKEY_PUBLIC_KEY, parts);
}

static int verify(struct crypto *crypto, const struct key_info *info, struct signature_algorithm algorithm,
                  struct span message, struct span signature)
{
    struct message_digest digest;

    neap_libcrypto_enter(crypto);
    EVP_PKEY *key = info->kind == KEY_RSA ? rsa_key(crypto, info) : curve_key(crypto, info);
    EVP_PKEY_CTX *operation =
        key ? EVP_PKEY_CTX_new_from_pkey(libcrypto_of(crypto)->context, key, NULL) : NULL;
    bool is_exhausted = key && !operation;
    bool ok = operation && digest_message(crypto, algorithm.digest, message, &digest) &&
              EVP_PKEY_verify_init(operation) == 1 &&
              set_padding(operation, algorithm.kind, digest.algorithm) &&
              EVP_PKEY_verify(operation, signature.data, signature.size, digest.bytes, digest.size) == 1;
    EVP_PKEY_CTX_free(operation);
    EVP_PKEY_free(key);
    int error = neap_libcrypto_leave(ok);
    return is_exhausted ? NEAP_ERR_NO_MEMORY : error;
}

/* ---- our keys */

struct libcrypto_signer {
    struct signer signer;
    struct crypto *crypto;
    enum signature_kind kind; /* that the key is for */
    EVP_PKEY *key;
    EVP_PKEY_CTX *operation; /* ready to sign, over and over */
};

static int signer_sign(struct signer *signer, struct signature_algorithm algorithm, struct span message,
                       struct signature *out)
{
    struct libcrypto_signer *own = (struct libcrypto_signer *)signer;
    struct message_digest digest;

    if (algorithm.kind != own->kind)
        return NEAP_ERR_CRYPTO;
    neap_libcrypto_enter(own->crypto);
    out->size = sizeof(out->bytes);
    return neap_libcrypto_leave(
        digest_message(own->crypto, algorithm.digest, message, &digest) &&
        set_padding(own->operation, algorithm.kind, digest.algorithm) &&
        EVP_PKEY_sign(own->operation, out->bytes, &out->size, digest.bytes, digest.size) == 1);
}

static void signer_free(struct signer *signer)
{
    struct libcrypto_signer *own = (struct libcrypto_signer *)signer;

    EVP_PKEY_CTX_free(own->operation);
    EVP_PKEY_free(own->key);
    neap_pool_free(own->crypto->pool, own, sizeof(*own));
}

static const struct signer_methods signer_methods = {.sign = signer_sign, .free = signer_free};

/* The key of a DER and nothing behind it, ready to sign. */
static bool load_key(struct libcrypto_signer *own, struct span der)
{
    OSSL_LIB_CTX *context = libcrypto_of(own->crypto)->context;
    const unsigned char *at = der.data;

    own->key = d2i_AutoPrivateKey_ex(NULL, &at, (long)der.size, context, NULL);
    if (!own->key || at != der.data + der.size)
        return false;
    if (EVP_PKEY_is_a(own->key, "RSA"))
        own->kind = SIGNATURE_RSA_PSS;
    else if (EVP_PKEY_is_a(own->key, "EC"))
        own->kind = SIGNATURE_ECDSA;
    else
        return false;
    own->operation = EVP_PKEY_CTX_new_from_pkey(context, own->key, NULL);
    return own->operation && EVP_PKEY_sign_init(own->operation) == 1 &&
           EVP_PKEY_get_size(own->key) <= (int)CRYPTO_MAX_SIGNATURE;
}

static struct signer *signer_new(struct crypto *crypto, struct span der, struct failure *why)
{
    struct libcrypto_signer *own = neap_pool_alloc(crypto->pool, sizeof(*own));

    if (!own) {
        neap_fail(why, NEAP_ERR_NO_MEMORY, "no memory for the private key");
        return NULL;
    }
    own->signer.methods = &signer_methods;
    own->crypto = crypto;
    neap_libcrypto_enter(crypto);
    if (neap_libcrypto_leave(load_key(own, der)) == 0)
        return &own->signer;
    neap_fail(why, NEAP_ERR_CERTIFICATE, "the private key cannot be parsed (PKCS#8, SEC 1 or PKCS#1 wanted)");
    signer_free(&own->signer);
    return NULL;
}

#define SIGNATURES \
    .start = neap_libcrypto_start, .stop = neap_libcrypto_stop, .verify = verify, .signer_new = signer_new

#define COSTS                                                                                          \
    .p256 = 25, .p384 = 900, .rsa_2048 = 650, .share_p256 = 65, .share_p384 = 1500, .verify_p256 = 75, \
    .verify_p384 = 750, .verify_p521 = 600, .verify_rsa_2048 = 30

const struct provider neap_provider_libcrypto = {
    .name = "libcrypto",
    .costs = {.handshake = 260, COSTS},
    SIGNATURES,
    .share_generate = neap_libcrypto_share_generate,
    .share_combine = neap_libcrypto_share_combine,
};

static int generate(struct crypto *crypto, struct key_share *out)
{
    return out->group == GROUP_X25519 ? neap_x25519_generate(crypto, out)
                                      : neap_libcrypto_share_generate(crypto, out);
}

static int combine(struct crypto *crypto, const struct key_share *ours, struct span peer, uint8_t *secret)
{
    return ours->group == GROUP_X25519 ? neap_x25519_shared(crypto, ours->private_key, peer.data, secret)
                                       : neap_libcrypto_share_combine(crypto, ours, peer, secret);
}

const struct provider neap_provider_libcrypto_and_sodium = {
    .name = "libcrypto and libsodium",
    .costs = {.handshake = 225, COSTS},
    SIGNATURES,
    .share_generate = generate,
    .share_combine = combine,
};
