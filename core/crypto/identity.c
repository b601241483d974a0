/* Our own certificate chain and its private key. */
#include "crypto/identity.h"

#include "base/limits.h"
#include "base/pool.h"
#include "base/reader.h"
#include "crypto/issue.h"
#include "crypto/ocsp.h"
#include "neap.h"

struct identity {
    struct crypto *crypto;
    unsigned references;
    struct signer *signer; /* NULL: the key is elsewhere */
    struct kept_key key; /* for TLS over streams, whose library signs itself; nothing in builds without it */
    struct certificate leaf;
    uint8_t digest[32]; /* of the leaf */
    struct span chain[LIMIT_TLS_CHAIN];
    struct span issuers[LIMIT_TLS_CHAIN]; /* their names, in the chain */
    uint16_t algorithms;                  /* of the signatures of issuers: signature_algorithm_bit */
    size_t count;
    struct span compressed[2]; /* see neap_identity_set_compressed */
    bool was_compressed[2];
    struct span staple;   /* an OCSP response; a room of the pool's of its size */
    int64_t staple_until; /* it is good for so long */
};

#define ED25519_COST 40u /* µs, as struct provider_costs */

static int load_chain(struct identity *identity, struct span chain, struct failure *why)
{
    struct pool *pool = identity->crypto->pool;
    bool is_pem = neap_pem_is(chain);
    struct certificate parsed;
    struct span der;
    int got;

    while ((got = neap_certificate_take(pool, &chain, is_pem, &der)) > 0) {
        bool fits = identity->count < LIMIT_TLS_CHAIN;

        if (!fits || neap_certificate_parse(der, &parsed)) {
            neap_certificate_release(pool, der);
            return fits ? neap_fail(why, NEAP_ERR_CERTIFICATE, "a certificate of the chain cannot be parsed")
                        : neap_fail(why, NEAP_ERR_CERTIFICATE, "the certificate chain is too long");
        }
        if (identity->count == 0) {
            identity->leaf = parsed;
            neap_hash(HASH_SHA256, der, identity->digest);
        }
        if (!span_equal(parsed.issuer, parsed.subject))
            identity->algorithms |= signature_algorithm_bit(parsed.algorithm);
        identity->issuers[identity->count] = parsed.issuer;
        identity->chain[identity->count++] = der;
    }
    if (got == NEAP_ERR_NO_MEMORY)
        return neap_fail(why, NEAP_ERR_NO_MEMORY, "no memory for the certificate chain");
    if (got < 0)
        return neap_fail(why, NEAP_ERR_CERTIFICATE, "a certificate of the chain cannot be decoded");
    return identity->count ? 0 : neap_fail(why, NEAP_ERR_CERTIFICATE, "there is no certificate in the chain");
}

int neap_key_sign(struct crypto *crypto, struct span key, uint16_t scheme, struct span message,
                  struct signature *out, struct failure *why)
{
    struct signature_algorithm algorithm;
    struct signer *signer = NULL;
    enum key_kind kind;

    *out = (struct signature){0};
    if (!neap_scheme_info(scheme, &algorithm, &kind))
        return neap_fail(why, NEAP_ERR_UNSUPPORTED, "no signature scheme that this build has");
    int error = neap_signer_load(crypto, key, &signer, why);
    if (!error && signer->methods->sign(signer, algorithm, message, out))
        error = neap_fail(why, NEAP_ERR_CRYPTO, "the key does not sign so");
    neap_signer_free(signer);
    return error;
}

/* What the key signs must verify with the leaf's key: by that they fit, wherever either comes from. */
static int check_pair(struct identity *identity, struct failure *why)
{
    static const struct signature_algorithm algorithms[] = {
        [KEY_RSA] = {SIGNATURE_RSA_PSS, DIGEST_SHA256},
        [KEY_P256] = {SIGNATURE_ECDSA, DIGEST_SHA256},
        [KEY_P384] = {SIGNATURE_ECDSA, DIGEST_SHA384},
        [KEY_ED25519] = {SIGNATURE_ED25519, DIGEST_SHA256}};
    struct signature_algorithm algorithm = algorithms[identity->leaf.key.kind];
    struct span message = span_of_string("this key signs for this certificate");
    struct signer *signer = identity->signer;
    struct signature made = {0};

    if (signer->methods->sign(signer, algorithm, message, &made) ||
        neap_signature_verify(identity->crypto, &identity->leaf.key, algorithm, message,
                              span_of(made.bytes, made.size)))
        return neap_fail(why, NEAP_ERR_CERTIFICATE, "the private key does not fit the certificate");
    return 0;
}

/* The identity without its key. */
static struct identity *new_identity(struct crypto *crypto, struct span chain, struct failure *why)
{
    struct failure reason = {0};
    struct identity *identity = neap_pool_alloc_lasting(crypto->pool, sizeof(*identity));

    if (!identity) {
        neap_fail(why, NEAP_ERR_NO_MEMORY, "no memory for an identity");
        return NULL;
    }
    identity->crypto = crypto;
    identity->references = 1;
    int error = load_chain(identity, chain, &reason);
    if (!error)
        error = neap_key_check(&identity->leaf.key, identity->leaf.key_error, &reason);
    if (!error)
        return identity;
    neap_fail(why, reason.code, reason.reason);
    neap_identity_free(identity);
    return NULL;
}

struct identity *neap_identity_new(struct crypto *crypto, struct span chain, struct span key,
                                   struct failure *why)
{
    struct failure reason = {0};
    struct identity *identity = new_identity(crypto, chain, why);

    if (!identity)
        return NULL;
    int error = neap_signer_load(crypto, key, &identity->signer, &reason);
    if (!error)
        error = check_pair(identity, &reason);
#ifdef NEAP_HAVE_TLS_STREAMS
    if (!error && identity->leaf.key.kind != KEY_ED25519)
        error = neap_private_key_keep(crypto, key, &identity->key, &reason);
#endif
    if (!error)
        return identity;
    neap_fail(why, reason.code, reason.reason);
    neap_identity_free(identity);
    return NULL;
}

struct identity *neap_identity_new_without_key(struct crypto *crypto, struct span chain, struct failure *why)
{
    return new_identity(crypto, chain, why);
}

bool neap_identity_has_key(const struct identity *identity)
{
    return identity->signer != NULL;
}

struct span neap_identity_key(const struct identity *identity)
{
    return span_of(identity->key.room, identity->key.size);
}

static void drop(struct identity *identity, struct span *bytes)
{
    if (bytes->data)
        neap_pool_free(identity->crypto->pool, (void *)(uintptr_t)bytes->data, bytes->size);
    *bytes = (struct span){0};
}

struct identity *neap_identity_retain(struct identity *identity)
{
    if (identity)
        identity->references++;
    return identity;
}

void neap_identity_free(struct identity *identity)
{
    if (!identity || --identity->references > 0)
        return;
    struct pool *pool = identity->crypto->pool;
    neap_signer_free(identity->signer);
    neap_private_key_forget(identity->crypto, &identity->key);
    for (size_t i = 0; i < identity->count; i++)
        neap_certificate_release(pool, identity->chain[i]);
    drop(identity, &identity->compressed[false]);
    drop(identity, &identity->compressed[true]);
    drop(identity, &identity->staple);
    neap_pool_free(pool, identity, sizeof(*identity));
}

bool neap_identity_compressed(const struct identity *identity, bool with_staple, struct span *bytes)
{
    *bytes = identity->compressed[with_staple];
    return identity->was_compressed[with_staple];
}

void neap_identity_set_compressed(struct identity *identity, bool with_staple, struct span bytes)
{
    drop(identity, &identity->compressed[with_staple]);
    identity->compressed[with_staple] = bytes;
    identity->was_compressed[with_staple] = true;
}

/* The answer about the leaf; who signed it is the clients' to check. */
static bool find_answer(const struct identity *identity, struct span bytes, struct ocsp_single *out)
{
    struct ocsp_response response;

    if (neap_ocsp_parse(bytes, &response))
        return false;
    struct reader r = reader_of(response.responses);
    while (neap_ocsp_next(&r, out))
        if (span_equal(out->serial, identity->leaf.serial))
            return true;
    return false;
}

int neap_identity_set_staple(struct identity *identity, struct span bytes, struct failure *why)
{
    struct ocsp_single answer = {0};
    uint8_t *room = NULL;

    if (bytes.size > LIMIT_OCSP_RESPONSE)
        return neap_fail(why, NEAP_ERR_LIMIT, "the OCSP response is too long");
    if (bytes.size > 0 && !find_answer(identity, bytes, &answer))
        return neap_fail(why, NEAP_ERR_CERTIFICATE, "the OCSP response is none for this certificate");
    if (bytes.size > 0) {
        room = neap_pool_alloc_lasting(identity->crypto->pool, bytes.size);
        if (!room)
            return neap_fail(why, NEAP_ERR_NO_MEMORY, "no memory for the OCSP response");
        memcpy(room, bytes.data, bytes.size);
    }
    drop(identity, &identity->staple);
    drop(identity, &identity->compressed[true]);
    identity->was_compressed[true] = false;
    identity->staple = span_of(room, bytes.size);
    identity->staple_until = room ? neap_ocsp_end(&answer) : 0;
    return 0;
}

struct span neap_identity_staple(const struct identity *identity, int64_t wall_clock)
{
    return identity->staple_until >= wall_clock ? identity->staple : (struct span){0};
}

int64_t neap_identity_end(const struct identity *identity)
{
    int64_t end = identity->leaf.not_after;

    return (identity->staple.size > 0 && identity->staple_until < end ? identity->staple_until : end) + 1;
}

/* Signing by RSA takes eight times as long with twice the bits. */
static uint64_t rsa_cost(uint64_t cost_2048, uint64_t bits)
{
    return cost_2048 * bits * bits * bits / (UINT64_C(2048) * 2048 * 2048);
}

unsigned neap_identity_handshake_rate(const struct identity *identity)
{
    const struct provider_costs *costs = &identity->crypto->costs;
    const struct key_info *key = &identity->leaf.key;
    uint64_t signature = key->kind == KEY_P256      ? costs->p256
                         : key->kind == KEY_P384    ? costs->p384
                         : key->kind == KEY_ED25519 ? ED25519_COST
                                                    : rsa_cost(costs->rsa_2048, key->bits);

    return identity->signer ? (unsigned)(1000000 / (costs->handshake + signature)) : 0;
}

size_t neap_identity_chain_count(const struct identity *identity)
{
    return identity->count;
}

struct span neap_identity_chain(const struct identity *identity, size_t index)
{
    return index < identity->count ? identity->chain[index] : (struct span){0};
}

const uint8_t *neap_identity_digest(const struct identity *identity)
{
    return identity->digest;
}

const struct certificate *neap_identity_leaf(const struct identity *identity)
{
    return &identity->leaf;
}

bool neap_identity_is_rsa(const struct identity *identity)
{
    return identity->leaf.key.kind == KEY_RSA;
}

uint16_t neap_identity_scheme(const struct identity *identity, struct span schemes)
{
    struct reader r = reader_of(schemes);

    while (reader_left(&r) >= 2) {
        uint16_t scheme = read_u16(&r);
        struct signature_algorithm algorithm;
        enum key_kind key;

        if (neap_scheme_info(scheme, &algorithm, &key) && key == identity->leaf.key.kind)
            return scheme;
    }
    return 0;
}

bool neap_identity_suits(const struct identity *identity, struct span schemes)
{
    return (identity->algorithms & ~neap_schemes_algorithms(schemes)) == 0;
}

bool neap_identity_is_issued_by(const struct identity *identity, struct span name)
{
    for (size_t i = 0; i < identity->count; i++)
        if (span_equal(identity->issuers[i], name))
            return true;
    return false;
}

/* How the leaf's key signs under a scheme; false when it does not. */
static bool find_algorithm(const struct identity *identity, uint16_t scheme, struct signature_algorithm *out)
{
    enum key_kind key;

    return neap_scheme_info(scheme, out, &key) && key == identity->leaf.key.kind;
}

int neap_identity_sign(struct identity *identity, uint16_t scheme, struct span message, struct signature *out)
{
    struct signature_algorithm algorithm;

    *out = (struct signature){0};
    if (!identity->signer || !find_algorithm(identity, scheme, &algorithm))
        return NEAP_ERR_UNSUPPORTED;
    return identity->signer->methods->sign(identity->signer, algorithm, message, out);
}

int neap_identity_verify(const struct identity *identity, uint16_t scheme, struct span message,
                         struct span signature)
{
    struct signature_algorithm algorithm;

    if (!find_algorithm(identity, scheme, &algorithm))
        return NEAP_ERR_CRYPTO;
    return neap_signature_verify(identity->crypto, &identity->leaf.key, algorithm, message, signature);
}
