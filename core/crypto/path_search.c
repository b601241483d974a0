/* The search for a path from a leaf to a root: depth first, issuers whose key identifier fits before others, and among
 * those that fit alike roots before what the peer sent. Only a verified signature leads further, and signatures have a
 * budget, so the budget bounds the whole search: whoever wants work done has to pay for it with signatures that verify.
 * What is cheap is asked before a signature; the names of a path, which are not, when the path is whole. */
#include "crypto/path_search.h"

#include "base/limits.h"
#include "crypto/explain.h"
#include "crypto/ocsp.h"
#include "crypto/provider.h"
#include "crypto/revocation.h"
#include "crypto/verified.h"

#define RSA_BITS_MIN 2048u
#define RSA_BITS_MAX 4096u
#define RSA_EXPONENT_MIN 3u
#define RSA_EXPONENT_ORDINARY 65537u /* larger ones take longer to verify with */

struct search {
    const struct path_query *query;
    const struct certificate *path[LIMIT_TLS_CHAIN + 1]; /* leaf first; a root is the last */
    uint32_t visited;                 /* certificates of the chain that are on the path, by bit */
    unsigned work_left;               /* for signatures: see signature_work */
    unsigned names_left;              /* see neap_names_check */
    struct loaded_roots loaded;       /* of those that stay in a file */
    const char *spent;                /* which budget is spent: the search is over */
    const struct certificate *misfit; /* one that has the name of an issuer, and not its signature */
    struct chain_cost *cost;
    struct validity validity; /* of the path that was looked at last, and of the lists that speak of it */
    struct failure why;       /* the first issuer that fitted but could not be taken says why */
};

int neap_peer_key_check(struct crypto *crypto, const struct certificate *certificate, struct failure *why)
{
    const struct key_info *info = &certificate->key;
    int error = certificate->key_error;
    char name[EXPLAIN_NAME];
    const char *who = neap_explain_name(certificate->subject, name);

    if (error == NEAP_ERR_CERTIFICATE)
        return certificate_fail(why, BAD_CERTIFICATE, "a certificate's key cannot be parsed");
    if (error || (info->kind == KEY_ED25519 && !neap_ed25519_is_available()))
        return neap_certificate_explain(crypto, why, UNSUPPORTED_CERTIFICATE,
                                        "a certificate's key is of an unsupported kind: that of \"%s\"", who);
    if (info->kind != KEY_RSA)
        return 0;
    if (info->bits < RSA_BITS_MIN || info->bits > RSA_BITS_MAX)
        return neap_certificate_explain(
            crypto, why, BAD_CERTIFICATE,
            "a certificate's RSA key has less than 2048 or more than 4096 bits: that of "
            "\"%s\" has %zu",
            who, info->bits);
    if (info->exponent < RSA_EXPONENT_MIN || info->exponent % 2 == 0)
        return neap_certificate_explain(
            crypto, why, BAD_CERTIFICATE,
            "a certificate's RSA key has an exponent that is even, 1 or above 32 bits: "
            "that of \"%s\"",
            who);
    return 0;
}

static bool is_self_issued(const struct certificate *c)
{
    return span_equal(c->issuer, c->subject);
}

static int refuse_dates(struct search *s, const struct certificate *issuer)
{
    char name[EXPLAIN_NAME], since[EXPLAIN_TIME], until[EXPLAIN_TIME], now[EXPLAIN_TIME];

    return neap_certificate_explain(
        s->query->crypto, &s->why, CERTIFICATE_EXPIRED,
        "an issuer's certificate has expired or is not valid yet: \"%s\" is for %s to %s, and the clock here says %s",
        neap_explain_name(issuer->subject, name), neap_explain_time(issuer->not_before, since),
        neap_explain_time(issuer->not_after, until), neap_explain_time(s->query->wall_clock, now));
}

/* An issuer that cannot be taken, by its name. */
static int refuse_authority(struct search *s, const struct certificate *issuer, enum certificate_alert alert,
                            const char *reason)
{
    char name[EXPLAIN_NAME];

    return neap_certificate_explain(s->query->crypto, &s->why, (int)alert, "%s: \"%s\"", reason,
                                    neap_explain_name(issuer->subject, name));
}

/* Whether a certificate may issue others, with `below` intermediates between it and the leaf. */
static int check_issuer(struct search *s, const struct certificate *issuer, bool is_root, unsigned below)
{
    /* Version 1 has no way to say that it is an authority; as a root it was chosen by the user. */
    bool may_issue = issuer->is_authority || (is_root && issuer->version < 3);

    if (issuer->subject.size <= 2) /* RFC 5280 §4.1.2.6: an empty name is nobody's */
        return certificate_fail(&s->why, UNKNOWN_CA, "an issuer has no name");
    if (!may_issue || (issuer->has_usage && !(issuer->usage & USAGE_CERTIFICATE_SIGN)))
        return refuse_authority(s, issuer, UNKNOWN_CA, "an issuer is not a certificate authority");
    if (issuer->path_length >= 0 && below > (unsigned)issuer->path_length)
        return refuse_authority(s, issuer, UNKNOWN_CA, "more intermediates than an issuer allows");
    if (!is_root && issuer->has_extended_usage &&
        !(issuer->extended_usage & (s->query->extended_usage | EXTENDED_ANY)))
        return refuse_authority(s, issuer, UNSUPPORTED_CERTIFICATE, "an issuer is not for this use");
    if (issuer->has_unknown_critical)
        return refuse_authority(s, issuer, UNSUPPORTED_CERTIFICATE,
                                "an issuer has a critical extension that is not understood");
    struct validity dates = {issuer->not_before, issuer->not_after};
    if (time_is_known(s->query->wall_clock) && !validity_has(&dates, s->query->wall_clock))
        return refuse_dates(s, issuer);
    return neap_peer_key_check(s->query->crypto, issuer, &s->why);
}

/* What verifying a signature by such a key takes, in quarters of one by P-256 (about 1.5 ms of Mbed TLS 2.28); rounded up.
 * RSA keys have 4096 bits and exponents of 32 at most, see neap_peer_key_check. */
static unsigned signature_work(const struct key_info *key)
{
    switch (key->kind) {
    case KEY_P256: return 4;
    case KEY_P384: return 8;
    case KEY_P521: return 12;
    case KEY_RSA: return key->exponent > RSA_EXPONENT_ORDINARY ? 2 : 1;
    case KEY_ED25519: return 1;
    }
    return LIMIT_CHAIN_WORK;
}

static bool has_signed(struct search *s, const struct certificate *issuer, const struct certificate *c)
{
    unsigned work = signature_work(&issuer->key);

    if (c->algorithm.kind == SIGNATURE_UNKNOWN) {
        refuse_authority(s, c, BAD_CERTIFICATE,
                         "a certificate is signed with an algorithm that is not accepted, such as SHA-1");
        return false;
    }
    if (s->work_left < work) {
        s->spent = "the certificates have too many signatures to verify";
        return false;
    }
    /* The budget is charged for what is remembered too: what is refused the first time is refused every time. */
    s->work_left -= work;
    s->cost->signatures++;
    struct crypto *crypto = s->query->crypto;
    struct verified_pair pair = neap_verified_pair(&issuer->key, c);
    if (neap_verified_has(crypto, &pair)) {
        s->cost->remembered++;
        return true;
    }
    if (neap_signature_verify(crypto, &issuer->key, c->algorithm, c->tbs, c->signature)) {
        s->misfit = c;
        return false;
    }
    neap_verified_add(crypto, &pair);
    return true;
}

/* The names of every certificate but the root against what the authorities above it allow (RFC 5280 §6.1.3 (b), (c)):
 * those that an authority issues to itself are free, the leaf never. */
static bool names_are_allowed(struct search *s, size_t count)
{
    enum names_verdict verdict = NAMES_ALLOWED;
    const struct certificate *issuer = NULL;

    for (size_t i = 1; i < count && verdict == NAMES_ALLOWED; i++) {
        issuer = s->path[i];
        for (size_t below = 0; below < i && verdict == NAMES_ALLOWED; below++) {
            if (below == 0 || !is_self_issued(s->path[below]))
                verdict = neap_names_check(issuer, s->path[below], &s->names_left);
        }
    }
    s->cost->names = LIMIT_CHAIN_NAMES - s->names_left;
    if (verdict == NAMES_FORBIDDEN)
        refuse_authority(s, issuer, BAD_CERTIFICATE,
                         "the certificate has a name that an issuer may not vouch for");
    if (verdict == NAMES_UNCLEAR)
        refuse_authority(s, issuer, UNSUPPORTED_CERTIFICATE,
                         "an issuer constrains names in a way that is not understood");
    if (verdict == NAMES_TOO_MANY)
        s->spent = "the certificates have too many names under too many constraints";
    return verdict == NAMES_ALLOWED;
}

/* What a revocation list says decides, whatever was wrong with other paths. */
static bool is_revoked(struct search *s, const struct revocation_query *query,
                       enum revocation_verdict verdict)
{
    char name[EXPLAIN_NAME], issuer[EXPLAIN_NAME];
    const struct certificate *c = query->certificate;
    const char *who = neap_explain_name(query->issuer->subject, issuer);

    if (verdict == REVOCATION_NONE)
        return false;
    s->why = (struct failure){0};
    if (query->is_spent)
        s->spent = "the certificates have too many signatures to verify";
    else if (verdict == REVOCATION_REVOKED)
        neap_certificate_explain(s->query->crypto, &s->why, CERTIFICATE_REVOKED,
                                 "the certificate of \"%s\" has been revoked by its issuer \"%s\"",
                                 neap_explain_name(c->subject, name), who);
    else if (verdict == REVOCATION_STALE)
        neap_revocation_explain(query->list, s->query->crypto, query->wall_clock, &s->why);
    else
        neap_certificate_explain(s->query->crypto, &s->why, CERTIFICATE_UNKNOWN,
                                 "the revocation list of \"%s\" is not signed by a key that may do so", who);
    return true;
}

static bool has_revoked(struct search *s, size_t count)
{
    for (size_t i = 0; i + 1 < count; i++) {
        struct revocation_query query = {.crypto = s->query->crypto,
                                         .certificate = s->path[i],
                                         .issuer = s->path[i + 1],
                                         .wall_clock = s->query->wall_clock,
                                         .work = signature_work(&s->path[i + 1]->key),
                                         .work_left = &s->work_left};

        if (is_revoked(s, &query, neap_revocation_check(s->query->trust->revocations, &query)))
            return true;
        validity_narrow(&s->validity, &query.validity);
    }
    return false;
}

static bool is_good_path(struct search *s, size_t count)
{
    s->validity = (struct validity){INT64_MIN, INT64_MAX};
    for (size_t i = 0; i < count; i++)
        validity_narrow(&s->validity, &(struct validity){s->path[i]->not_before, s->path[i]->not_after});
    return names_are_allowed(s, count) && !has_revoked(s, count);
}

static bool is_root(const struct trust *trust, const struct certificate *c)
{
    for (size_t i = 0; i < trust->count; i++) {
        if (span_equal(trust->roots[i].der, c->der))
            return true;
    }
    return neap_bundle_has(&trust->bundle, c);
}

/* How well an issuer fits by the identifiers of keys (RFC 5280 §4.2.1.1, §4.2.1.2). They prove nothing and forbid
 * nothing: they say whose signature to verify first, so that the budget is not spent on others of the same name. */
enum key_fit { KEY_IS_NAMED, KEY_IS_UNKNOWN, KEY_IS_ANOTHER };

static enum key_fit key_fit(const struct certificate *issuer, const struct certificate *c)
{
    if (issuer->subject_key_id.size == 0 || c->authority_key_id.size == 0)
        return KEY_IS_UNKNOWN;
    return span_equal(issuer->subject_key_id, c->authority_key_id) ? KEY_IS_NAMED : KEY_IS_ANOTHER;
}

/* Whether `issuer` can be the next on a path that has `depth` certificates. */
static bool add_to_path(struct search *s, size_t depth, const struct certificate *issuer, bool is_root,
                        unsigned below, enum key_fit fit)
{
    const struct certificate *c = s->path[depth - 1];

    if (s->spent || !span_equal(issuer->subject, c->issuer) || key_fit(issuer, c) != fit ||
        check_issuer(s, issuer, is_root, below) || !has_signed(s, issuer, c))
        return false;
    s->path[depth] = issuer;
    return true;
}

static bool find_path(struct search *s, size_t depth, unsigned below);

/* Try every issuer whose key fits so well: roots, then what the peer sent. */
static bool find_issuer(struct search *s, size_t depth, unsigned below, enum key_fit fit)
{
    const struct path_query *query = s->query;

    for (size_t i = 0; i < query->trust->count; i++) {
        if (add_to_path(s, depth, &query->trust->roots[i], true, below, fit) && is_good_path(s, depth + 1))
            return true;
    }
    neap_bundle_load(query->crypto->pool, &query->trust->bundle, s->path[depth - 1]->issuer, &s->loaded);
    for (size_t i = 0; i < s->loaded.count; i++) {
        if (add_to_path(s, depth, &s->loaded.certificates[i], true, below, fit) && is_good_path(s, depth + 1))
            return true;
    }
    for (size_t i = 1; i < query->count; i++) {
        const struct certificate *issuer = &query->chain[i];

        if (s->visited & (1u << i) || !add_to_path(s, depth, issuer, false, below, fit))
            continue;
        s->visited |= 1u << i;
        if (find_path(s, depth + 1, below + !is_self_issued(issuer)))
            return true;
        s->visited &= ~(1u << i);
    }
    return false;
}

/* `depth` certificates are on the path. No certificate is twice on it, so the chain bounds the depth. */
static bool find_path(struct search *s, size_t depth, unsigned below)
{
    if (is_root(s->query->trust, s->path[depth - 1]))
        return is_good_path(s, depth);
    return find_issuer(s, depth, below, KEY_IS_NAMED) || find_issuer(s, depth, below, KEY_IS_UNKNOWN) ||
           find_issuer(s, depth, below, KEY_IS_ANOTHER);
}

/* No path, and no issuer on the way that was refused for another reason: the authority is not known. */
static int refuse_issuer(const struct search *s, struct failure *why)
{
    const struct path_query *query = s->query;
    char issuer[EXPLAIN_NAME], name[EXPLAIN_NAME];
    const struct certificate *c = &query->chain[0];

    if (s->misfit)
        return neap_certificate_explain(
            query->crypto, why, UNKNOWN_CA,
            "the certificate was not issued by an authority that is trusted: under "
            "\"%s\" is not the signature of the \"%s\" that is known",
            neap_explain_name(s->misfit->subject, name), neap_explain_name(s->misfit->issuer, issuer));
    if (is_self_issued(c))
        return neap_certificate_explain(
            query->crypto, why, UNKNOWN_CA,
            "the certificate was not issued by an authority that is trusted: \"%s\" "
            "signed it for itself",
            neap_explain_name(c->subject, issuer));
    for (size_t i = 1; i < query->count; i++) /* the end of the chain, if the certificates are in order */
        if (span_equal(query->chain[i].subject, c->issuer) && !is_self_issued(&query->chain[i]))
            c = &query->chain[i];
    return neap_certificate_explain(
        query->crypto, why, UNKNOWN_CA,
        "the certificate was not issued by an authority that is trusted: its issuer "
        "\"%s\" is not among them%s",
        neap_explain_name(c->issuer, issuer),
        query->count == 1 ? ", and no other certificate came with it" : "");
}

/* What came of a search. */
static int conclude(const struct search *s, bool is_found, struct failure *why)
{
    if (is_found)
        return 0;
    if (s->spent)
        return certificate_fail(why, BAD_CERTIFICATE, s->spent);
    if (s->why.code)
        return neap_fail(why, s->why.code, s->why.reason);
    return refuse_issuer(s, why);
}

int neap_path_find(const struct path_query *query, struct chain_cost *cost, struct validity *validity,
                   struct failure *why)
{
    struct search s = {.query = query,
                       .path = {&query->chain[0]},
                       .work_left = LIMIT_CHAIN_WORK,
                       .names_left = LIMIT_CHAIN_NAMES,
                       .cost = cost};

    _Static_assert(LIMIT_TLS_CHAIN <= 32, "a bit for each certificate of a chain");
    int rc = conclude(&s, find_path(&s, 1, 0), why);
    if (!rc && query->staple) /* while the issuer is there */
        rc = neap_ocsp_check_staple(query->crypto, query->staple, s.path[0], s.path[1], query->wall_clock,
                                    why);
    if (!rc && query->staple)
        validity_narrow(&s.validity, &query->staple->validity);
    *validity = s.validity;
    neap_loaded_roots_free(query->crypto->pool, &s.loaded);
    return rc;
}
