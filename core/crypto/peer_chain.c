/* A peer's certificate chain: parsed, checked against roots and pins (RFC 5280 §6, RFC 9525), and the signature in
 * CertificateVerify. The path is searched here; signatures are the back end's. */
#include "crypto/trust.h"

#include "base/limits.h"
#include "base/pool.h"
#include "neap.h"

#define RSA_BITS_MIN 2048u
#define RSA_BITS_MAX 8192u

enum { /* alerts (RFC 8446 §6.2) */
       BAD_CERTIFICATE = 42,
       UNSUPPORTED_CERTIFICATE = 43,
       CERTIFICATE_EXPIRED = 45,
       CERTIFICATE_UNKNOWN = 46,
       UNKNOWN_CA = 48,
};

struct peer_chain {
    struct pool *pool;
    size_t count;
    struct key_info leaf_key;
    struct certificate certificates[]; /* leaf first; each owns its DER */
};

static size_t chain_size(size_t count)
{
    return sizeof(struct peer_chain) + count * sizeof(struct certificate);
}

static int alert(struct failure *why, int code, const char *reason)
{
    return neap_fail(why, NEAP_CRYPTO_ERROR + code, reason);
}

/* Whether a key is strong enough and of a kind that we can verify with. */
static int check_key(struct span spki, struct key_info *info, struct failure *why)
{
    int error = neap_key_info(spki, info);

    if (error == NEAP_ERR_CERTIFICATE)
        return alert(why, BAD_CERTIFICATE, "a certificate's key cannot be parsed");
    if (error || (info->kind == KEY_ED25519 && !neap_ed25519_is_available()))
        return alert(why, UNSUPPORTED_CERTIFICATE, "a certificate's key is of an unsupported kind");
    if (info->kind == KEY_RSA && (info->bits < RSA_BITS_MIN || info->bits > RSA_BITS_MAX))
        return alert(why, BAD_CERTIFICATE,
                     "a certificate's RSA key has less than 2048 or more than 8192 bits");
    return 0;
}

static int add_certificate(struct peer_chain *chain, struct span der, struct failure *why)
{
    uint8_t *room = neap_pool_alloc(chain->pool, der.size);

    if (!room)
        return neap_fail(why, NEAP_ERR_NO_MEMORY, "no memory for the peer's certificates");
    if (der.size)
        memcpy(room, der.data, der.size);
    struct certificate *certificate = &chain->certificates[chain->count];
    if (neap_certificate_parse(span_of(room, der.size), certificate)) {
        neap_pool_free(chain->pool, room, der.size);
        return alert(why, BAD_CERTIFICATE, "a certificate of the peer cannot be parsed");
    }
    chain->count++;
    return 0;
}

struct peer_chain *neap_peer_chain_new(struct crypto *crypto, const struct span *ders, size_t count,
                                       struct failure *why)
{
    if (count == 0 || count > LIMIT_TLS_CHAIN) {
        alert(why, BAD_CERTIFICATE, count ? "the peer's certificate chain is too long" : "no certificate");
        return NULL;
    }
    struct peer_chain *chain = neap_pool_alloc(crypto->pool, chain_size(count));
    if (!chain) {
        neap_fail(why, NEAP_ERR_NO_MEMORY, "no memory for the peer's certificates");
        return NULL;
    }
    chain->pool = crypto->pool;
    int error = 0;
    for (size_t i = 0; i < count && !error; i++)
        error = add_certificate(chain, ders[i], why);
    if (!error)
        error = check_key(chain->certificates[0].spki, &chain->leaf_key, why);
    if (!error && chain->leaf_key.kind == KEY_P521)
        error = alert(why, UNSUPPORTED_CERTIFICATE, "the leaf's key is on a curve that was not offered");
    if (!error)
        return chain;
    /* Sized by what was asked for, so that freeing gives the same size back. */
    for (size_t i = 0; i < chain->count; i++)
        neap_certificate_give(chain->pool, chain->certificates[i].der);
    neap_pool_free(chain->pool, chain, chain_size(count));
    return NULL;
}

void neap_peer_chain_free(struct peer_chain *chain)
{
    if (!chain)
        return;
    for (size_t i = 0; i < chain->count; i++)
        neap_certificate_give(chain->pool, chain->certificates[i].der);
    neap_pool_free(chain->pool, chain, chain_size(chain->count));
}

/* The search for a path from the leaf to a root. */
struct search {
    const struct peer_chain *chain;
    const struct trust *trust;
    unsigned extended_usage; /* that intermediates must allow */
    int64_t wall_clock;
    unsigned signatures_left;
    uint32_t visited;    /* certificates of the chain that are on the path, by bit */
    struct failure *why; /* the first issuer that fitted but could not be taken says why */
};

static bool is_current(const struct certificate *c, int64_t wall_clock)
{
    return c->not_before <= wall_clock && wall_clock <= c->not_after;
}

static bool is_self_issued(const struct certificate *c)
{
    return span_equal(c->issuer, c->subject);
}

/* Whether a certificate may issue others, with `below` intermediates between it and the leaf. */
static int check_issuer(const struct search *s, const struct certificate *issuer, bool is_root,
                        unsigned below)
{
    struct key_info key;
    /* Version 1 has no way to say that it is an authority; as a root it was chosen by the user. */
    bool may_issue = issuer->is_authority || (is_root && issuer->version < 3);

    if (!may_issue || (issuer->has_usage && !(issuer->usage & USAGE_CERTIFICATE_SIGN)))
        return alert(s->why, UNKNOWN_CA, "an issuer is not a certificate authority");
    if (issuer->path_length >= 0 && below > (unsigned)issuer->path_length)
        return alert(s->why, UNKNOWN_CA, "more intermediates than an issuer allows");
    if (!is_root && issuer->has_extended_usage &&
        !(issuer->extended_usage & (s->extended_usage | EXTENDED_ANY)))
        return alert(s->why, UNSUPPORTED_CERTIFICATE, "an issuer is not for this use");
    if (issuer->has_unknown_critical)
        return alert(s->why, UNSUPPORTED_CERTIFICATE,
                     "an issuer has a critical extension that is not understood");
    if (!neap_name_constraints_allow(issuer->constraints, &s->chain->certificates[0]))
        return alert(s->why, BAD_CERTIFICATE, "the certificate has a name that an issuer may not vouch for");
    if (!is_current(issuer, s->wall_clock))
        return alert(s->why, CERTIFICATE_EXPIRED, "an issuer's certificate has expired or is not valid yet");
    return check_key(issuer->spki, &key, s->why);
}

static bool has_signed(struct search *s, const struct certificate *issuer, const struct certificate *c)
{
    if (c->algorithm.kind == SIGNATURE_UNKNOWN) {
        alert(s->why, BAD_CERTIFICATE, "a certificate is signed with an algorithm that is not accepted");
        return false;
    }
    if (s->signatures_left == 0) {
        alert(s->why, BAD_CERTIFICATE, "too many signatures to verify");
        return false;
    }
    s->signatures_left--;
    return neap_signature_verify(issuer->spki, c->algorithm, c->tbs, c->signature) == 0;
}

static bool is_root(const struct search *s, const struct certificate *c)
{
    for (size_t i = 0; i < s->trust->count; i++) {
        if (span_equal(s->trust->roots[i].der, c->der))
            return true;
    }
    return false;
}

static bool issued_by_root(struct search *s, const struct certificate *c, unsigned below)
{
    for (size_t i = 0; i < s->trust->count; i++) {
        const struct certificate *root = &s->trust->roots[i];

        if (span_equal(root->subject, c->issuer) && check_issuer(s, root, true, below) == 0 &&
            has_signed(s, root, c))
            return true;
    }
    return false;
}

/* Depth first, roots before what the peer sent. No certificate is twice on a path, so the depth is bounded by the
 * chain's length, and the work by the signatures left. */
static bool find_path(struct search *s, const struct certificate *c, unsigned below)
{
    if (is_root(s, c) || issued_by_root(s, c, below))
        return true;
    for (size_t i = 1; i < s->chain->count; i++) {
        const struct certificate *issuer = &s->chain->certificates[i];

        if (s->visited & (1u << i) || !span_equal(issuer->subject, c->issuer))
            continue;
        if (check_issuer(s, issuer, false, below) || !has_signed(s, issuer, c))
            continue;
        s->visited |= 1u << i;
        if (find_path(s, issuer, below + !is_self_issued(issuer)))
            return true;
        s->visited &= ~(1u << i);
    }
    return false;
}

static int check_path(const struct peer_chain *chain, const struct trust *trust, unsigned extended_usage,
                      int64_t wall_clock, struct failure *why)
{
    struct failure found = {0};
    struct search s = {.chain = chain,
                       .trust = trust,
                       .extended_usage = extended_usage,
                       .wall_clock = wall_clock,
                       .signatures_left = LIMIT_CHAIN_SIGNATURES,
                       .why = &found};

    _Static_assert(LIMIT_TLS_CHAIN <= 32, "a bit for each certificate of a chain");
    if (find_path(&s, &chain->certificates[0], 0))
        return 0;
    if (found.code)
        return neap_fail(why, found.code, found.reason);
    return alert(why, UNKNOWN_CA, "the certificate was not issued by an authority that is trusted");
}

/* What the leaf says about itself: dates, purpose, name. */
static int check_leaf(const struct certificate *leaf, const char *name, unsigned extended_usage,
                      int64_t wall_clock, struct failure *why)
{
    if (wall_clock < leaf->not_before)
        return alert(why, CERTIFICATE_EXPIRED, "the certificate is not valid yet");
    if (wall_clock > leaf->not_after)
        return alert(why, CERTIFICATE_EXPIRED, "the certificate has expired");
    if (leaf->has_unknown_critical)
        return alert(why, UNSUPPORTED_CERTIFICATE,
                     "the certificate has a critical extension that is not understood");
    /* RFC 8446 §4.4.2.2: the key must allow signing. */
    if (leaf->has_usage && !(leaf->usage & USAGE_DIGITAL_SIGNATURE))
        return alert(why, UNSUPPORTED_CERTIFICATE, "the certificate's key is not for signatures");
    if (leaf->has_extended_usage && !(leaf->extended_usage & (extended_usage | EXTENDED_ANY)))
        return alert(why, UNSUPPORTED_CERTIFICATE, "the certificate is not for this side of TLS");
    if (name && !neap_certificate_has_host(leaf, name))
        return alert(why, BAD_CERTIFICATE, "the certificate is for another name");
    return 0;
}

static int check_pins(const struct certificate *leaf, const struct trust *trust, struct failure *why)
{
    uint8_t digest[32];

    neap_hash(HASH_SHA256, leaf->spki, digest);
    for (size_t i = 0; i < trust->pin_count; i++) {
        if (neap_equal_constant_time(trust->pins[i], digest, sizeof(digest)))
            return 0;
    }
    return alert(why, CERTIFICATE_UNKNOWN, "the certificate's key is not one that was pinned");
}

int neap_peer_chain_verify(struct peer_chain *chain, const struct trust *trust, const char *name,
                           bool peer_is_server, int64_t wall_clock, struct failure *why)
{
    const struct certificate *leaf = &chain->certificates[0];
    unsigned extended_usage = peer_is_server ? EXTENDED_SERVER : EXTENDED_CLIENT;

    if (!trust || (trust->count == 0 && trust->pin_count == 0))
        return alert(why, UNKNOWN_CA, "nothing is trusted: no root certificates and no pins");
    if (trust->count > 0) {
        int error = check_path(chain, trust, extended_usage, wall_clock, why);
        if (!error)
            error = check_leaf(leaf, name, extended_usage, wall_clock, why);
        if (error)
            return error;
    }
    /* A pin says exactly which key is meant, so it is enough alone. */
    return trust->pin_count > 0 ? check_pins(leaf, trust, why) : 0;
}

int neap_peer_chain_verify_signature(struct peer_chain *chain, uint16_t scheme, struct span message,
                                     struct span signature)
{
    struct signature_algorithm algorithm;
    enum key_kind key;

    if (!neap_scheme_info(scheme, &algorithm, &key) || key != chain->leaf_key.kind)
        return NEAP_ERR_CRYPTO;
    return neap_signature_verify(chain->certificates[0].spki, algorithm, message, signature);
}

struct span neap_peer_chain_leaf(const struct peer_chain *chain)
{
    return chain->certificates[0].der;
}
