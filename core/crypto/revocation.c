/* Revocation lists (RFC 5280 §5, §6.3). Complete lists and parts of them (issuingDistributionPoint) are taken; delta and
 * indirect ones are refused, critical or not, as is what has a critical extension that is not understood: nothing of it may
 * be used. */
#include "crypto/revocation.h"

#include "base/limits.h"
#include "base/pool.h"
#include "crypto/der.h"
#include "crypto/explain.h"
#include "crypto/name.h"
#include "crypto/path_search.h"
#include "crypto/provider.h"
#include "neap.h"

#include <stdlib.h>

#define FIRST_LISTS 2u

enum list_extension { /* 2.5.29.x */
                      LIST_NUMBER = 20,
                      LIST_DELTA = 27,
                      LIST_DISTRIBUTION_POINT = 28,
                      LIST_AUTHORITY_KEY_ID = 35,
};

struct revocations *neap_revocations_new(struct crypto *crypto)
{
    struct revocations *revocations = neap_pool_alloc_lasting(crypto->pool, sizeof *revocations);

    if (revocations)
        revocations->pool = crypto->pool;
    return revocations;
}

static void free_list(struct pool *pool, struct revocation_list *list)
{
    neap_pool_free(pool, list->serials, list->count * sizeof *list->serials);
    neap_certificate_release(pool, list->der);
}

void neap_revocations_free(struct revocations *revocations)
{
    if (!revocations)
        return;
    struct pool *pool = revocations->pool;
    for (size_t i = 0; i < revocations->count; i++)
        free_list(pool, &revocations->lists[i]);
    neap_pool_free(pool, revocations->lists, revocations->capacity * sizeof *revocations->lists);
    neap_pool_free(pool, revocations, sizeof *revocations);
}

void neap_revocations_set_grace(struct revocations *revocations, int64_t seconds)
{
    revocations->grace = seconds;
}

/* ---- reading */

/* What is noticed while a list is read. */
struct list_notes {
    bool has_number;
    const char *fault; /* why it cannot be used, where there is more to say than that; NULL */
};

/* IssuingDistributionPoint (RFC 5280 §5.2.5). Which certificates the list is about is no matter: it is asked only whether
 * it names one. Not so when others' certificates are in it, or such as are for no keys. */
static bool parse_distribution_point(struct span value, struct list_notes *notes)
{
    struct reader outer = reader_of(value);
    struct reader r = reader_of(neap_der_expect(&outer, DER_SEQUENCE));

    while (!r.bad && reader_left(&r) > 0) {
        struct span content;
        uint8_t tag = neap_der_next(&r, &content, NULL);
        bool is_true = content.size != 1 || content.data[0] != 0;

        if (tag == DER_CONTEXT(4) && is_true)
            notes->fault = "it is a list for other issuers (an indirect CRL)";
        if (tag == DER_CONTEXT(5) && is_true)
            notes->fault = "it is a list of attribute certificates";
    }
    return !notes->fault && !r.bad && !outer.bad && reader_left(&outer) == 0;
}

static bool parse_list_extension(uint8_t id, bool is_critical, struct span value,
                                 struct revocation_list *list, struct list_notes *notes)
{
    struct reader r = reader_of(value), fields;

    switch (id) {
    case LIST_NUMBER: /* RFC 5280 §5.2.3: always there, and never critical */
        notes->has_number = true;
        return !is_critical && neap_der_integer(&r).size > 0 && !r.bad;
    case LIST_DELTA: notes->fault = "it is what has changed since another list (a delta CRL)"; return false;
    case LIST_DISTRIBUTION_POINT: list->is_partial = true; return parse_distribution_point(value, notes);
    case LIST_AUTHORITY_KEY_ID:
        fields = reader_of(neap_der_expect(&r, DER_SEQUENCE));
        if (neap_der_is_next(&fields, DER_CONTEXT(0)))
            list->authority_key_id = neap_der_expect(&fields, DER_CONTEXT(0));
        return !r.bad && !fields.bad;
    default: return !is_critical;
    }
}

/* Extensions of the list, or with `list` NULL of an entry, of which no critical one is understood. */
static bool parse_extensions(struct reader *r, struct revocation_list *list, struct list_notes *notes)
{
    struct reader extensions = reader_of(neap_der_expect(r, DER_SEQUENCE));

    while (!extensions.bad && reader_left(&extensions) > 0) {
        struct reader e = reader_of(neap_der_expect(&extensions, DER_SEQUENCE));
        struct span oid = neap_der_expect(&e, DER_OID);
        bool is_critical = false;

        if (neap_der_is_next(&e, DER_BOOLEAN)) {
            struct span flag = neap_der_expect(&e, DER_BOOLEAN);
            is_critical = flag.size != 1 || flag.data[0] != 0;
        }
        struct span value = neap_der_expect(&e, DER_OCTET_STRING);
        bool is_ours = oid.size == 3 && oid.data[0] == 0x55 && oid.data[1] == 0x1d;
        if (e.bad || reader_left(&e) > 0)
            return false;
        if (list && is_ours ? !parse_list_extension(oid.data[2], is_critical, value, list, notes)
                            : is_critical)
            return false;
    }
    return !extensions.bad && !r->bad;
}

/* The serial number of the next entry. */
static struct span next_serial(struct reader *entries)
{
    struct reader entry = reader_of(neap_der_expect(entries, DER_SEQUENCE));
    struct span serial = neap_der_integer(&entry);

    neap_der_time(&entry);
    if (reader_left(&entry) > 0 && !parse_extensions(&entry, NULL, NULL))
        entries->bad = true;
    if (entry.bad || reader_left(&entry) > 0)
        entries->bad = true;
    return entries->bad ? (struct span){0} : serial;
}

static int compare(struct span a, struct span b)
{
    if (a.size != b.size)
        return a.size < b.size ? -1 : 1;
    return a.size ? memcmp(a.data, b.data, a.size) : 0;
}

static int compare_serials(const void *a, const void *b)
{
    return compare(*(const struct span *)a, *(const struct span *)b);
}

/* Twice over the entries: to count them, and to keep them. */
static int keep_serials(struct pool *pool, struct span entries, struct revocation_list *list)
{
    struct reader r = reader_of(entries);
    size_t count = 0;

    for (; !r.bad && reader_left(&r) > 0; count++)
        next_serial(&r);
    if (r.bad)
        return NEAP_ERR_CERTIFICATE;
    if (count == 0)
        return 0;
    list->serials = neap_pool_alloc_lasting(pool, count * sizeof *list->serials);
    if (!list->serials)
        return NEAP_ERR_NO_MEMORY;
    list->count = count;
    r = reader_of(entries);
    for (size_t i = 0; i < count; i++)
        list->serials[i] = next_serial(&r);
    qsort(list->serials, count, sizeof *list->serials, compare_serials);
    return 0;
}

static bool is_time_next(const struct reader *r)
{
    return neap_der_is_next(r, DER_UTC_TIME) || neap_der_is_next(r, DER_GENERALIZED_TIME);
}

/* TBSCertList (RFC 5280 §5.1.2). Gives the inner algorithm and the content of the entries. */
static bool parse_tbs(struct reader *tbs, struct revocation_list *list, struct span *algorithm,
                      struct span *entries, struct list_notes *notes)
{
    bool is_version_2 = neap_der_is_next(tbs, DER_INTEGER);

    if (is_version_2) {
        struct span version = neap_der_integer(tbs);
        if (version.size != 1 || version.data[0] != 1)
            return false;
    }
    *algorithm = neap_der_expect_whole(tbs, DER_SEQUENCE);
    list->issuer = neap_der_expect_whole(tbs, DER_SEQUENCE);
    list->this_update = neap_der_time(tbs);
    if (!is_time_next(tbs)) /* §5.1.2.5: without it nobody knows when the list is old */
        return false;
    list->next_update = neap_der_time(tbs);
    if (neap_der_is_next(tbs, DER_SEQUENCE))
        *entries = neap_der_expect(tbs, DER_SEQUENCE);
    if (neap_der_is_next(tbs, DER_CONTEXT_CONSTRUCTED(0))) {
        struct reader wrapper = reader_of(neap_der_expect(tbs, DER_CONTEXT_CONSTRUCTED(0)));
        if (!is_version_2 || !parse_extensions(&wrapper, list, notes) || reader_left(&wrapper) > 0)
            return false;
    }
    return !tbs->bad && reader_left(tbs) == 0 && (notes->has_number || !is_version_2);
}

static int parse_list(struct pool *pool, struct span der, struct revocation_list *list, struct failure *why)
{
    struct reader outer = reader_of(der);
    struct reader r = reader_of(neap_der_expect(&outer, DER_SEQUENCE));
    struct span inner = {0}, entries = {0};
    struct list_notes notes = {0};

    list->der = der;
    list->tbs = neap_der_expect_whole(&r, DER_SEQUENCE);
    struct span algorithm = neap_der_expect_whole(&r, DER_SEQUENCE);
    list->signature = neap_der_bits(&r);
    if (outer.bad || reader_left(&outer) > 0 || r.bad || reader_left(&r) > 0)
        return NEAP_ERR_CERTIFICATE;
    struct reader tbs_outer = reader_of(list->tbs);
    struct reader tbs = reader_of(neap_der_expect(&tbs_outer, DER_SEQUENCE));
    list->algorithm = neap_signature_algorithm(algorithm);
    bool is_good = parse_tbs(&tbs, list, &inner, &entries, &notes);
    if (notes.fault)
        return neap_fail(why, NEAP_ERR_CERTIFICATE, notes.fault);
    if (!is_good || !span_equal(algorithm, inner) || list->algorithm.kind == SIGNATURE_UNKNOWN)
        return NEAP_ERR_CERTIFICATE;
    return keep_serials(pool, entries, list);
}

/* ---- keeping */

static int add_list(struct revocations *revocations, const struct revocation_list *list)
{
    if (revocations->count >= LIMIT_REVOCATION_LISTS)
        return NEAP_ERR_LIMIT;
    struct revocation_list *lists =
        neap_pool_grow(revocations->pool, revocations->lists, &revocations->capacity, revocations->count + 1,
                       sizeof *lists, FIRST_LISTS);
    if (!lists)
        return NEAP_ERR_NO_MEMORY;
    revocations->lists = lists;
    revocations->lists[revocations->count++] = *list;
    return 0;
}

/* The DER is the list's from here on. */
static int take_list(struct revocations *revocations, struct span der, struct failure *why)
{
    struct revocation_list list = {0};
    int error =
        der.size > LIMIT_REVOCATION_BYTES ? NEAP_ERR_LIMIT : parse_list(revocations->pool, der, &list, why);

    list.der = der;
    if (!error)
        error = add_list(revocations, &list);
    if (error)
        free_list(revocations->pool, &list);
    return error;
}

int neap_revocations_add(struct revocations *revocations, struct span lists, struct failure *why)
{
    bool is_pem = neap_pem_is(lists);
    size_t added = 0;
    struct span der;
    int got;

    while ((got = neap_revocation_list_take(revocations->pool, &lists, is_pem, &der)) != 0) {
        int error = got > 0 ? take_list(revocations, der, why) : got;

        if (error == NEAP_ERR_LIMIT)
            return neap_fail(why, error, "too many revocation lists, or one that is too long");
        if (error == NEAP_ERR_NO_MEMORY)
            return neap_fail(why, error, "no memory for revocation lists");
        if (error)
            return neap_fail(
                why, error,
                "it is no revocation list that can be used: complete, signed as certificates are, "
                "with its number and the time of its next update");
        added++;
    }
    return added ? 0 : neap_fail(why, NEAP_ERR_CERTIFICATE, "there is no revocation list in it");
}

void neap_revocations_hash(const struct revocations *revocations, struct hash_state *state)
{
    for (size_t i = 0; revocations && i < revocations->count; i++)
        neap_hash_update(state, revocations->lists[i].der);
}

/* ---- looking up */

static bool has_serial(const struct revocation_list *list, struct span serial)
{
    size_t low = 0, high = list->count;

    while (low < high) {
        size_t middle = low + (high - low) / 2;
        int order = compare(list->serials[middle], serial);

        if (order == 0)
            return true;
        if (order < 0)
            low = middle + 1;
        else
            high = middle;
    }
    return false;
}

/* Whether the issuer's key signed the list. */
enum signed_by {
    SIGNED_BY_ISSUER,
    SIGNED_BY_ANOTHER,
    SIGNED_BY_UNKNOWN /* there was no budget, or no memory, to find out */
};

/* What is known of the right key stays, whatever others of its name are asked about; of those the last is remembered, so
 * that a list is not read through in every handshake with an authority of the same name. The first time is free: that is
 * the price of the lists that were given, and no peer can ask it again. */
static enum signed_by signed_by(struct revocation_list *list, struct revocation_query *query)
{
    const struct key_info *key = &query->issuer->key;
    uint8_t signer[32];

    neap_hash(HASH_SHA256, key->spki, signer);
    if (list->is_verified)
        return memcmp(signer, list->signer, sizeof signer) == 0 ? SIGNED_BY_ISSUER : SIGNED_BY_ANOTHER;
    if (list->has_stranger && memcmp(signer, list->stranger, sizeof signer) == 0)
        return SIGNED_BY_ANOTHER;
    unsigned work = list->has_stranger ? query->work : 0;
    if (*query->work_left < work) {
        query->is_spent = true;
        return SIGNED_BY_UNKNOWN;
    }
    *query->work_left -= work;
    int error = neap_signature_verify(query->crypto, key, list->algorithm, list->tbs, list->signature);
    if (error && error != NEAP_ERR_CRYPTO)
        return SIGNED_BY_UNKNOWN;
    memcpy(error ? list->stranger : list->signer, signer, sizeof signer);
    list->has_stranger = error != 0;
    list->is_verified = !error;
    return error ? SIGNED_BY_ANOTHER : SIGNED_BY_ISSUER;
}

/* Whether the identifiers of keys (RFC 5280 §4.2.1.1, §5.2.1) say that a list is another's of the same name. They prove
 * nothing: an authority whose certificate was renewed may write its key's in another way. */
static bool names_another_key(const struct revocation_list *list, const struct certificate *issuer)
{
    return list->authority_key_id.size > 0 && issuer->subject_key_id.size > 0 &&
           !span_equal(list->authority_key_id, issuer->subject_key_id);
}

/* Whether a list is the issuer's by its name. */
enum list_claim {
    CLAIM_NONE,
    CLAIM_DOUBTFUL, /* the signature alone says whose it is: names or identifiers of keys differ, or may do so */
    CLAIM_CLEAR
};

static enum list_claim list_claim(const struct revocation_list *list, const struct certificate *issuer)
{
    switch (neap_name_match(list->issuer, issuer->subject)) {
    case MATCH_NO: return CLAIM_NONE;
    case MATCH_YES: return names_another_key(list, issuer) ? CLAIM_DOUBTFUL : CLAIM_CLEAR;
    case MATCH_UNCLEAR: break;
    }
    return list->authority_key_id.size > 0 && span_equal(list->authority_key_id, issuer->subject_key_id)
               ? CLAIM_CLEAR
               : CLAIM_DOUBTFUL;
}

static struct validity list_validity(const struct revocation_list *list, int64_t grace)
{
    return (struct validity){list->this_update, list->next_update + grace};
}

static bool is_current(const struct revocation_list *list, int64_t grace, int64_t now)
{
    struct validity validity = list_validity(list, grace);

    return !time_is_known(now) || validity_has(&validity, now);
}

int neap_revocation_explain(const struct revocation_list *list, struct crypto *crypto, int64_t wall_clock,
                            struct failure *why)
{
    char name[EXPLAIN_NAME], since[EXPLAIN_TIME], until[EXPLAIN_TIME], now[EXPLAIN_TIME];

    return neap_certificate_explain(
        crypto, why, CERTIFICATE_UNKNOWN,
        "the revocation list of \"%s\" is not current: it is for %s to %s, and the clock here says %s",
        neap_explain_name(list->issuer, name), neap_explain_time(list->this_update, since),
        neap_explain_time(list->next_update, until), neap_explain_time(wall_clock, now));
}

int neap_revocations_is_current(const struct revocations *revocations, struct crypto *crypto, size_t index,
                                int64_t wall_clock, struct failure *why)
{
    if (!revocations || index >= revocations->count)
        return -1;
    const struct revocation_list *list = &revocations->lists[index];
    if (is_current(list, 0, wall_clock))
        return 1;
    neap_revocation_explain(list, crypto, wall_clock, why);
    return 0;
}

/* What the lists that were looked at have said. */
struct outcome {
    enum revocation_verdict verdict;
    bool has_stale_part, has_unknown;
    uint64_t wholes;       /* current lists that are no parts, by bit */
    struct validity parts; /* when all parts are current */
};

_Static_assert(LIMIT_REVOCATION_LISTS <= 64, "a bit for each list");

static void note_current(struct outcome *outcome, const struct revocations *revocations,
                         const struct revocation_list *list)
{
    struct validity validity = list_validity(list, revocations->grace);

    if (list->is_partial)
        validity_narrow(&outcome->parts, &validity);
    else
        outcome->wholes |= UINT64_C(1) << (list - revocations->lists);
}

static bool has_list(uint64_t lists, size_t index)
{
    return (lists >> index & 1) != 0;
}

/* When one or another of these lists is current: up to the end of the last, and as long before as there is no gap. */
static struct validity last_stretch(const struct revocations *revocations, uint64_t lists)
{
    struct validity stretch = {INT64_MIN, INT64_MIN};

    for (size_t i = 0; i < revocations->count; i++) {
        struct validity validity = list_validity(&revocations->lists[i], revocations->grace);

        if (has_list(lists, i) && validity.until > stretch.until)
            stretch = validity;
    }
    for (bool has_grown = true; has_grown;) {
        has_grown = false;
        for (size_t i = 0; i < revocations->count; i++) {
            struct validity validity = list_validity(&revocations->lists[i], revocations->grace);

            if (!has_list(lists, i) || validity.until < stretch.since || validity.since >= stretch.since)
                continue;
            stretch.since = validity.since;
            has_grown = true;
        }
    }
    return stretch;
}

/* One list that may be the issuer's; true when the certificate is on it. */
static bool look_at(const struct revocations *revocations, size_t index, enum list_claim claim,
                    struct revocation_query *query, struct outcome *outcome)
{
    struct revocation_list *list = &revocations->lists[index];
    const struct certificate *issuer = query->issuer;
    bool may_sign = !issuer->has_usage || (issuer->usage & USAGE_CRL_SIGN);
    enum signed_by by = may_sign || claim == CLAIM_DOUBTFUL ? signed_by(list, query) : SIGNED_BY_ANOTHER;

    outcome->has_unknown = outcome->has_unknown || by == SIGNED_BY_UNKNOWN;
    if (by == SIGNED_BY_ANOTHER && claim == CLAIM_DOUBTFUL)
        return false;
    if (by != SIGNED_BY_ISSUER || !may_sign) {
        if (outcome->verdict == REVOCATION_NONE)
            outcome->verdict = REVOCATION_UNPROVED;
        return false;
    }
    if (has_serial(list, query->certificate->serial)) {
        query->list = list;
        return true;
    }
    if (is_current(list, revocations->grace, query->wall_clock)) {
        note_current(outcome, revocations, list);
        return false;
    }
    query->list = list;
    outcome->verdict = REVOCATION_STALE;
    outcome->has_stale_part = outcome->has_stale_part || list->is_partial;
    return false;
}

enum revocation_verdict neap_revocation_check(struct revocations *revocations, struct revocation_query *query)
{
    struct outcome outcome = {.verdict = REVOCATION_NONE, .parts = {INT64_MIN, INT64_MAX}};
    size_t count = revocations ? revocations->count : 0;
    uint64_t doubtful = 0;

    for (size_t i = 0; i < count; i++) {
        enum list_claim claim = list_claim(&revocations->lists[i], query->issuer);

        if (claim == CLAIM_DOUBTFUL)
            doubtful |= UINT64_C(1) << i;
        if (claim == CLAIM_CLEAR && look_at(revocations, i, claim, query, &outcome))
            return REVOCATION_REVOKED;
    }
    for (size_t i = 0; i < count; i++) /* behind the others: the budget is for them */
        if (has_list(doubtful, i) && look_at(revocations, i, CLAIM_DOUBTFUL, query, &outcome))
            return REVOCATION_REVOKED;
    query->validity = outcome.parts;
    if (outcome.wholes) {
        struct validity wholes = last_stretch(revocations, outcome.wholes);
        validity_narrow(&query->validity, &wholes);
    }
    /* A newer list beside an old one of the same issuer is enough; not a part, nor any beside an old part, nor beside one
     * that nobody could look into. */
    return outcome.wholes && !outcome.has_stale_part && !outcome.has_unknown ? REVOCATION_NONE
                                                                             : outcome.verdict;
}
