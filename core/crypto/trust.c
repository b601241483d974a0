/* Roots and pins. A root is kept as its DER and the views into it; its key is parsed only when it is asked for. */
#include "crypto/trust.h"

#include "base/limits.h"
#include "base/pool.h"
#include "base/writer.h"
#include "neap.h"

#define FIRST_ROOTS 8u
#define FIRST_PINS 4u

struct trust *neap_trust_new(struct crypto *crypto)
{
    struct trust *trust = neap_pool_alloc_lasting(crypto->pool, sizeof(*trust));

    if (trust)
        trust->pool = crypto->pool;
    return trust;
}

void neap_trust_free(struct trust *trust)
{
    if (!trust)
        return;
    struct pool *pool = trust->pool;
    for (size_t i = 0; i < trust->count; i++)
        neap_certificate_release(pool, trust->roots[i].der);
    neap_bundle_free(pool, &trust->bundle);
    neap_pool_free(pool, trust->roots, trust->capacity * sizeof(*trust->roots));
    neap_pool_free(pool, trust->pins, trust->pin_capacity * sizeof(*trust->pins));
    neap_pool_free(pool, trust, sizeof(*trust));
}

static bool has_root(const struct trust *trust, struct span der)
{
    for (size_t i = 0; i < trust->count; i++) {
        if (span_equal(trust->roots[i].der, der))
            return true;
    }
    return false;
}

static int add_root(struct trust *trust, const struct certificate *root)
{
    if (trust->count >= LIMIT_TRUSTED_ROOTS)
        return NEAP_ERR_LIMIT;
    struct certificate *roots = neap_pool_grow(trust->pool, trust->roots, &trust->capacity, trust->count + 1,
                                               sizeof(*roots), FIRST_ROOTS);
    if (!roots)
        return NEAP_ERR_NO_MEMORY;
    trust->roots = roots;
    trust->roots[trust->count++] = *root;
    return 0;
}

/* Take the DER over, or release it when it is no certificate or there already. */
static int add_certificate(struct trust *trust, struct span der, size_t *good)
{
    struct certificate root;
    int error = 0;

    if (neap_certificate_parse(der, &root)) {
        neap_certificate_release(trust->pool, der);
        return 0;
    }
    (*good)++;
    bool is_there = has_root(trust, der);
    if (!is_there)
        error = add_root(trust, &root);
    if (is_there || error)
        neap_certificate_release(trust->pool, der);
    return error;
}

int neap_trust_add(struct trust *trust, struct span roots, struct failure *why)
{
    bool is_pem = neap_pem_is(roots);
    size_t good = 0;
    struct span der;
    int got;

    while ((got = neap_certificate_take(trust->pool, &roots, is_pem, &der)) != 0) {
        int error = got > 0 ? add_certificate(trust, der, &good) : got == NEAP_ERR_NO_MEMORY ? got : 0;

        if (error == NEAP_ERR_LIMIT)
            return neap_fail(why, error, "too many root certificates");
        if (error)
            return neap_fail(why, error, "no memory for root certificates");
    }
    return good ? 0 : neap_fail(why, NEAP_ERR_CERTIFICATE, "there is no certificate that can be parsed");
}

int neap_trust_add_source(struct trust *trust, struct span text, const struct root_source *source,
                          struct failure *why)
{
    struct root_bundle bundle = {0};

    if (trust->bundle.count > 0)
        return neap_fail(why, NEAP_ERR_STATE, "there is a file of roots already");
    int rc = neap_bundle_index(trust->pool, &bundle, text, why);
    if (rc) {
        neap_bundle_free(trust->pool, &bundle);
        return rc;
    }
    trust->bundle = bundle;
    trust->bundle.source = *source;
    return 0;
}

int neap_trust_add_pin(struct trust *trust, const uint8_t sha256[32])
{
    if (trust->pin_count >= LIMIT_PINS)
        return NEAP_ERR_LIMIT;
    uint8_t(*pins)[32] = neap_pool_grow(trust->pool, trust->pins, &trust->pin_capacity, trust->pin_count + 1,
                                        sizeof(*pins), FIRST_PINS);
    if (!pins)
        return NEAP_ERR_NO_MEMORY;
    trust->pins = pins;
    memcpy(trust->pins[trust->pin_count++], sha256, 32);
    return 0;
}

int neap_certificate_digest_key(struct crypto *crypto, struct span certificate, uint8_t sha256[32])
{
    struct certificate parsed;
    struct span der;
    int got = neap_certificate_take(crypto->pool, &certificate, neap_pem_is(certificate), &der);

    if (got <= 0)
        return got == NEAP_ERR_NO_MEMORY ? got : NEAP_ERR_CERTIFICATE;
    int error = neap_certificate_parse(der, &parsed);
    if (!error)
        neap_hash(HASH_SHA256, parsed.key.spki, sha256);
    neap_certificate_release(crypto->pool, der);
    return error;
}

size_t neap_trust_count(const struct trust *trust)
{
    return trust->count + trust->bundle.count;
}

size_t neap_trust_pin_count(const struct trust *trust)
{
    return trust->pin_count;
}

bool neap_trust_is_empty(const struct trust *trust)
{
    return !trust || (neap_trust_count(trust) == 0 && trust->pin_count == 0);
}

void neap_trust_set_revocations(struct trust *trust, struct revocations *revocations)
{
    trust->revocations = revocations;
}

bool neap_trust_has_revocations(const struct trust *trust)
{
    return trust && trust->revocations && trust->revocations->count > 0;
}

struct span neap_trust_subject(const struct trust *trust, size_t index)
{
    return trust->roots[index].subject;
}

/* All of these only grow. */
static const uint8_t *digest_of(struct trust *trust)
{
    struct hash_state state;
    size_t count =
        neap_trust_count(trust) + trust->pin_count + (trust->revocations ? trust->revocations->count : 0);

    if (trust->digested == count && trust->digested > 0)
        return trust->digest;
    neap_hash_start(&state, HASH_SHA256);
    for (size_t i = 0; i < trust->count; i++)
        neap_hash_update(&state, trust->roots[i].der);
    for (size_t i = 0; i < trust->bundle.count; i++)
        neap_hash_update(&state, span_of(trust->bundle.entries[i].digest, 32));
    for (size_t i = 0; i < trust->pin_count; i++)
        neap_hash_update(&state, span_of(trust->pins[i], sizeof trust->pins[i]));
    neap_revocations_hash(trust->revocations, &state);
    neap_hash_peek(&state, trust->digest);
    neap_hash_free(&state);
    trust->digested = count;
    return trust->digest;
}

void neap_trust_fingerprint(struct trust *trust, bool verifies, enum staple_demand demand, uint8_t out[32])
{
    uint8_t all[1 + 32 + 8];
    struct writer w = writer_of(all, sizeof all);

    write_u8(&w, (uint8_t)(verifies | demand << 1));
    if (trust)
        write_bytes(&w, digest_of(trust), 32);
    if (trust && trust->revocations)
        write_uint(&w, (uint64_t)trust->revocations->grace, 8);
    neap_hash(HASH_SHA256, span_of(all, writer_size(&w)), out);
}
