/* Signatures, whichever library makes and verifies them: what all refuse alike, and Ed25519, which is a library's of its
 * own. */
#include "crypto/provider.h"

#include "base/pool.h"
#include "crypto/der.h"
#include "neap.h"

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

static bool fits_key(enum signature_kind kind, enum key_kind key)
{
    switch (key) {
    case KEY_RSA: return kind == SIGNATURE_RSA_PKCS1 || kind == SIGNATURE_RSA_PSS;
    case KEY_P256:
    case KEY_P384:
    case KEY_P521: return kind == SIGNATURE_ECDSA;
    case KEY_ED25519: return kind == SIGNATURE_ED25519;
    }
    return false;
}

size_t neap_scheme_digest(uint16_t scheme, struct span message, uint8_t out[CRYPTO_MAX_DIGEST])
{
    struct signature_algorithm algorithm;
    enum key_kind key;

    if (!neap_scheme_info(scheme, &algorithm, &key) || algorithm.kind == SIGNATURE_ED25519)
        return 0;
    return neap_digest_message(algorithm.digest, message, out);
}

#define ED25519_VERIFY_COST 50u /* µs, as struct provider_costs */

static uint64_t verify_cost(const struct provider_costs *costs, const struct key_info *key)
{
    switch (key->kind) {
    case KEY_P256: return costs->verify_p256;
    case KEY_P384: return costs->verify_p384;
    case KEY_P521: return costs->verify_p521;
    case KEY_RSA: return (uint64_t)costs->verify_rsa_2048 * key->bits * key->bits / (UINT64_C(2048) * 2048);
    case KEY_ED25519: break;
    }
    return ED25519_VERIFY_COST;
}

int neap_signature_verify(struct crypto *crypto, const struct key_info *key,
                          struct signature_algorithm algorithm, struct span message, struct span signature)
{
    if (!fits_key(algorithm.kind, key->kind))
        return NEAP_ERR_CRYPTO;
    if (signature.size == 0 || signature.size > CRYPTO_MAX_SIGNATURE)
        return NEAP_ERR_CRYPTO;
    crypto->work += verify_cost(&crypto->costs, key);
    if (algorithm.kind == SIGNATURE_ED25519)
        return signature.size == 64 ? neap_ed25519_verify(key->key.data, message, signature.data)
                                    : NEAP_ERR_CRYPTO;
    /* RFC 5480 §2.2: only uncompressed points must be taken, and not every library takes others. */
    if (algorithm.kind == SIGNATURE_ECDSA &&
        (key->key.size == 0 || key->key.data[0] != 0x04 || !is_ecdsa_der(signature)))
        return NEAP_ERR_CRYPTO;
    return crypto->provider->verify(crypto, key, algorithm, message, signature);
}

struct ed25519_signer {
    struct signer signer;
    struct pool *pool;
    uint8_t secret[64]; /* seed and public key */
};

static int ed25519_sign_message(struct signer *signer, struct signature_algorithm algorithm,
                                struct span message, struct signature *out)
{
    const struct ed25519_signer *key = (struct ed25519_signer *)signer;

    if (algorithm.kind != SIGNATURE_ED25519)
        return NEAP_ERR_CRYPTO;
    out->size = 64;
    return neap_ed25519_sign(key->secret, message, out->bytes);
}

static void ed25519_free(struct signer *signer)
{
    struct ed25519_signer *key = (struct ed25519_signer *)signer;

    neap_pool_free_secret(key->pool, key, sizeof(*key));
}

static const struct signer_methods ed25519_methods = {.sign = ed25519_sign_message, .free = ed25519_free};

static struct signer *ed25519_signer_new(struct crypto *crypto, struct span seed, struct failure *why)
{
    if (!neap_ed25519_is_available()) {
        neap_fail(why, NEAP_ERR_UNSUPPORTED, "an Ed25519 key needs a build with libsodium");
        return NULL;
    }
    struct ed25519_signer *key = neap_pool_alloc(crypto->pool, sizeof(*key));
    if (!key) {
        neap_fail(why, NEAP_ERR_NO_MEMORY, "no memory for the private key");
        return NULL;
    }
    key->signer.methods = &ed25519_methods;
    key->pool = crypto->pool;
    if (!neap_ed25519_expand(seed.data, key->secret))
        return &key->signer;
    neap_fail(why, NEAP_ERR_CERTIFICATE, "the Ed25519 key cannot be used");
    ed25519_free(&key->signer);
    return NULL;
}

struct signer *neap_signer_new(struct crypto *crypto, struct span der, struct failure *why)
{
    struct span seed;

    return neap_ed25519_seed(der, &seed) ? ed25519_signer_new(crypto, seed, why)
                                         : crypto->provider->signer_new(crypto, der, why);
}

void neap_signer_free(struct signer *signer)
{
    if (signer)
        signer->methods->free(signer);
}
