/* The search for a path from a leaf to a root (RFC 5280 §6, RFC 4158). */
#ifndef NEAP_CRYPTO_PATH_SEARCH_H
#define NEAP_CRYPTO_PATH_SEARCH_H

#include "crypto/trust.h"
#include "neap.h"

struct staple;

/* What is asked: whether one of these roots stands behind a leaf. */
struct path_query {
    struct crypto *crypto;
    const struct certificate *chain; /* leaf first, then whatever its sender found useful */
    size_t count;                    /* <= LIMIT_TLS_CHAIN */
    const struct trust *trust;
    unsigned extended_usage; /* that intermediates must allow */
    int64_t wall_clock;      /* or TIME_UNKNOWN: dates are not checked */
    struct staple *staple;   /* an OCSP response to check with the path; NULL: none */
};

/** 0, or NEAP_CRYPTO_ERROR + alert with *why filled. `cost` is what the search took of its budgets, `validity` when all is
 * valid that was found: the path, the lists that its issuers have, the response. */
int neap_path_find(const struct path_query *query, struct chain_cost *cost, struct validity *validity,
                   struct failure *why);

/** What keys may be in certificates of peers: strong enough, cheap enough, and of a kind that we can verify with. 0, or
 * NEAP_CRYPTO_ERROR + alert with *why filled. */
int neap_peer_key_check(struct crypto *crypto, const struct certificate *certificate, struct failure *why);

enum certificate_alert { /* RFC 8446 §6.2 */
                         BAD_CERTIFICATE = 42,
                         UNSUPPORTED_CERTIFICATE = 43,
                         CERTIFICATE_REVOKED = 44,
                         CERTIFICATE_EXPIRED = 45,
                         CERTIFICATE_UNKNOWN = 46,
                         UNKNOWN_CA = 48,
                         BAD_STATUS_RESPONSE = 113,
};

static inline int certificate_fail(struct failure *why, enum certificate_alert alert, const char *reason)
{
    return neap_fail(why, NEAP_CRYPTO_ERROR + (int)alert, reason);
}

#endif
