/* A peer's certificate chain: parsed, the leaf checked (RFC 5280 §4.1, RFC 9525), the path to a root asked for, pins, and
 * the signature in CertificateVerify. Signatures are the back end's. */
#include "crypto/path_search.h"

#include "base/limits.h"
#include "base/pool.h"
#include "crypto/explain.h"
#include "crypto/ocsp.h"
#include "crypto/provider.h"

struct peer_chain {
    struct crypto *crypto;
    size_t count, capacity;
    bool has_unreadable; /* a certificate was left out */
    struct chain_cost cost;
    bool is_unchecked;                 /* the last check knew no time, */
    struct validity validity;          /* so that it holds only then */
    struct staple staple;              /* its bytes are somebody else's */
    struct certificate certificates[]; /* leaf first; each owns its DER */
};

static size_t chain_size(size_t capacity)
{
    return sizeof(struct peer_chain) + capacity * sizeof(struct certificate);
}

/* The leaf must be readable. Of the others nobody knows yet whether they are needed. */
static int add_certificate(struct peer_chain *chain, struct span der, struct failure *why)
{
    uint8_t *room = neap_pool_alloc(chain->crypto->pool, der.size);

    if (!room)
        return neap_fail(why, NEAP_ERR_NO_MEMORY, "no memory for the peer's certificates");
    if (der.size)
        memcpy(room, der.data, der.size);
    if (neap_certificate_parse(span_of(room, der.size), &chain->certificates[chain->count]) == 0) {
        chain->count++;
        return 0;
    }
    neap_pool_free(chain->crypto->pool, room, der.size);
    if (chain->count == 0)
        return certificate_fail(why, BAD_CERTIFICATE, "the peer's certificate cannot be parsed");
    chain->has_unreadable = true;
    return 0;
}

struct peer_chain *neap_peer_chain_new(struct crypto *crypto, const struct span *ders, size_t count,
                                       struct failure *why)
{
    if (count == 0 || count > LIMIT_TLS_CHAIN) {
        certificate_fail(why, BAD_CERTIFICATE,
                         count ? "the peer's certificate chain is too long" : "no certificate");
        return NULL;
    }
    struct peer_chain *chain = neap_pool_alloc(crypto->pool, chain_size(count));
    if (!chain) {
        neap_fail(why, NEAP_ERR_NO_MEMORY, "no memory for the peer's certificates");
        return NULL;
    }
    chain->crypto = crypto;
    chain->capacity = count;
    chain->validity = (struct validity){INT64_MIN, INT64_MAX};
    int error = 0;
    for (size_t i = 0; i < count && !error; i++)
        error = add_certificate(chain, ders[i], why);
    if (!error)
        error = neap_peer_key_check(crypto, &chain->certificates[0], why);
    if (!error && chain->certificates[0].key.kind == KEY_P521)
        error = certificate_fail(why, UNSUPPORTED_CERTIFICATE,
                                 "the leaf's key is on a curve that was not offered");
    if (!error)
        return chain;
    neap_peer_chain_free(chain);
    return NULL;
}

void neap_peer_chain_free(struct peer_chain *chain)
{
    if (!chain)
        return;
    for (size_t i = 0; i < chain->count; i++)
        neap_certificate_release(chain->crypto->pool, chain->certificates[i].der);
    neap_pool_free(chain->crypto->pool, chain, chain_size(chain->capacity));
}

static int check_dates(struct peer_chain *chain, int64_t wall_clock, struct failure *why)
{
    const struct certificate *leaf = &chain->certificates[0];
    char limit[EXPLAIN_TIME], now[EXPLAIN_TIME];

    if (!time_is_known(wall_clock))
        return 0;
    if (wall_clock < leaf->not_before)
        return neap_certificate_explain(
            chain->crypto, why, CERTIFICATE_EXPIRED,
            "the certificate is not valid yet: it begins on %s, and the clock here says "
            "%s",
            neap_explain_time(leaf->not_before, limit), neap_explain_time(wall_clock, now));
    if (wall_clock > leaf->not_after)
        return neap_certificate_explain(
            chain->crypto, why, CERTIFICATE_EXPIRED,
            "the certificate has expired: it ended on %s, and the clock here says %s",
            neap_explain_time(leaf->not_after, limit), neap_explain_time(wall_clock, now));
    return 0;
}

static int refuse_name(struct peer_chain *chain, const char *name, struct failure *why)
{
    const struct certificate *leaf = &chain->certificates[0];
    char hosts[EXPLAIN_NAMES], wanted[EXPLAIN_NAME];

    neap_explain_text(span_of_string(name), wanted);
    if (leaf->has_names)
        return neap_certificate_explain(chain->crypto, why, BAD_CERTIFICATE,
                                        "the certificate is for another name: for %s, not for %s",
                                        neap_explain_hosts(leaf, hosts), wanted);
    return neap_certificate_explain(
        chain->crypto, why, BAD_CERTIFICATE,
        "the certificate is for another name: it has no subjectAltName, without which "
        "it is for no host, and not for %s",
        wanted);
}

/* What the leaf says about itself: dates, purpose, name. */
static int check_leaf(struct peer_chain *chain, const char *name, unsigned extended_usage, int64_t wall_clock,
                      struct failure *why)
{
    const struct certificate *leaf = &chain->certificates[0];
    int error = check_dates(chain, wall_clock, why);

    if (error)
        return error;
    if (leaf->has_unknown_critical)
        return certificate_fail(why, UNSUPPORTED_CERTIFICATE,
                                "the certificate has a critical extension that is not understood");
    /* RFC 8446 §4.4.2.2: the key must allow signing. */
    if (leaf->has_usage && !(leaf->usage & USAGE_DIGITAL_SIGNATURE))
        return certificate_fail(
            why, UNSUPPORTED_CERTIFICATE,
            "the certificate's key is not for signatures: keyUsage lacks digitalSignature");
    if (leaf->has_extended_usage && !(leaf->extended_usage & (extended_usage | EXTENDED_ANY)))
        return certificate_fail(
            why, UNSUPPORTED_CERTIFICATE,
            extended_usage == EXTENDED_SERVER
                ? "the certificate is not for this side of TLS: it may not stand for a server"
                : "the certificate is not for this side of TLS: it may not stand for a client");
    if (name && !neap_certificate_has_host(leaf, name))
        return refuse_name(chain, name, why);
    return 0;
}

int neap_peer_chain_verify_pins(const struct peer_chain *chain, const struct trust *trust,
                                struct failure *why)
{
    const struct certificate *leaf = &chain->certificates[0];
    uint8_t digest[32];

    if (!trust || trust->pin_count == 0)
        return 0;
    neap_hash(HASH_SHA256, leaf->key.spki, digest);
    for (size_t i = 0; i < trust->pin_count; i++) {
        if (neap_equal_constant_time(trust->pins[i], digest, sizeof(digest)))
            return 0;
    }
    return certificate_fail(why, CERTIFICATE_UNKNOWN, "the certificate's key is not one that was pinned");
}

void neap_peer_chain_set_staple(struct peer_chain *chain, struct span response, enum staple_demand demand)
{
    chain->staple.response = response;
    chain->staple.demand =
        demand == STAPLE_IF_PRESENT && chain->certificates[0].must_staple ? STAPLE_REQUIRED : demand;
}

static int check_path(struct peer_chain *chain, const struct trust *trust, unsigned extended_usage,
                      int64_t wall_clock, struct failure *why)
{
    struct failure found = {0};
    struct path_query query = {.crypto = chain->crypto,
                               .chain = chain->certificates,
                               .count = chain->count,
                               .trust = trust,
                               .extended_usage = extended_usage,
                               .wall_clock = wall_clock,
                               .staple = &chain->staple};
    int error = neap_path_find(&query, &chain->cost, &chain->validity, &found);

    chain->is_unchecked = !error && !time_is_known(wall_clock);
    if (error == NEAP_CRYPTO_ERROR + UNKNOWN_CA && chain->has_unreadable)
        return certificate_fail(why, BAD_CERTIFICATE,
                                "no path to an authority, and a certificate of the peer cannot be parsed");
    return error ? neap_fail(why, found.code, found.reason) : 0;
}

int neap_peer_chain_verify(struct peer_chain *chain, const struct trust *trust, const char *name,
                           bool peer_is_server, int64_t wall_clock, struct failure *why)
{
    unsigned extended_usage = peer_is_server ? EXTENDED_SERVER : EXTENDED_CLIENT;

    chain->cost = (struct chain_cost){0};
    chain->is_unchecked = false;
    if (chain->staple.demand == STAPLE_REQUIRED && (!trust || neap_trust_count(trust) == 0))
        return certificate_fail(why, BAD_STATUS_RESPONSE,
                                "an OCSP response is required, and there are no roots to check it by");
    if (neap_trust_is_empty(trust))
        return certificate_fail(why, UNKNOWN_CA, "nothing is trusted: no root certificates and no pins");
    if (neap_trust_count(trust) > 0) {
        /* What costs nothing first. */
        int error = check_leaf(chain, name, extended_usage, wall_clock, why);
        if (!error)
            error = check_path(chain, trust, extended_usage, wall_clock, why);
        if (error)
            return error;
    }
    /* A pin says exactly which key is meant, so it is enough alone. */
    return neap_peer_chain_verify_pins(chain, trust, why);
}

struct chain_cost neap_peer_chain_cost(const struct peer_chain *chain)
{
    return chain->cost;
}

int neap_peer_chain_verify_signature(struct peer_chain *chain, uint16_t scheme, struct span message,
                                     struct span signature)
{
    struct signature_algorithm algorithm;
    enum key_kind key;

    if (!neap_scheme_info(scheme, &algorithm, &key) || key != chain->certificates[0].key.kind)
        return NEAP_ERR_CRYPTO;
    return neap_signature_verify(chain->crypto, &chain->certificates[0].key, algorithm, message, signature);
}

bool neap_peer_chain_is_unchecked(const struct peer_chain *chain, struct validity *out)
{
    *out = chain->validity;
    return chain->is_unchecked;
}

int64_t neap_peer_chain_not_after(const struct peer_chain *chain)
{
    int64_t end = chain->certificates[0].not_after;

    return chain->validity.until < end ? chain->validity.until : end;
}

struct span neap_peer_chain_at(const struct peer_chain *chain, size_t index)
{
    return index < chain->count ? chain->certificates[index].der : (struct span){0};
}
