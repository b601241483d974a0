/* The parser of certificates. Everything is a view into the DER; what cannot be read is refused as a whole. */
#include "crypto/certificate.h"

#include "base/limits.h"
#include "crypto/der.h"
#include "neap.h"

/* An object identifier written as a string literal. */
#define OID(bytes) span_of(bytes, sizeof(bytes) - 1)

#define OID_PSS "\x2a\x86\x48\x86\xf7\x0d\x01\x01\x0a"
#define OID_TLS_FEATURE "\x2b\x06\x01\x05\x05\x07\x01\x18"
#define FEATURE_STATUS_REQUEST 5 /* RFC 6066 §8 */
#define OID_MGF1 "\x2a\x86\x48\x86\xf7\x0d\x01\x01\x08"

struct known_signature {
    const char *oid;
    size_t oid_size;
    struct signature_algorithm algorithm;
};

#define KNOWN(bytes, kind_, digest_)         \
    {                                        \
        bytes, sizeof(bytes) - 1,            \
        {                                    \
            .kind = kind_, .digest = digest_ \
        }                                    \
    }

static const struct known_signature known_signatures[] = {
    KNOWN("\x2a\x86\x48\x86\xf7\x0d\x01\x01\x0b", SIGNATURE_RSA_PKCS1, DIGEST_SHA256),
    KNOWN("\x2a\x86\x48\x86\xf7\x0d\x01\x01\x0c", SIGNATURE_RSA_PKCS1, DIGEST_SHA384),
    KNOWN("\x2a\x86\x48\x86\xf7\x0d\x01\x01\x0d", SIGNATURE_RSA_PKCS1, DIGEST_SHA512),
    KNOWN("\x2a\x86\x48\xce\x3d\x04\x03\x02", SIGNATURE_ECDSA, DIGEST_SHA256),
    KNOWN("\x2a\x86\x48\xce\x3d\x04\x03\x03", SIGNATURE_ECDSA, DIGEST_SHA384),
    KNOWN("\x2a\x86\x48\xce\x3d\x04\x03\x04", SIGNATURE_ECDSA, DIGEST_SHA512),
    KNOWN("\x2b\x65\x70", SIGNATURE_ED25519, DIGEST_SHA256),
};

/* AlgorithmIdentifier of a hash. False when we do not know it. */
static bool parse_digest(struct reader *r, enum digest *digest)
{
    static const char sha2[] = "\x60\x86\x48\x01\x65\x03\x04\x02";
    struct reader algorithm = reader_of(neap_der_expect(r, DER_SEQUENCE));
    struct span oid = neap_der_expect(&algorithm, DER_OID);

    if (r->bad || algorithm.bad || oid.size != sizeof(sha2) || memcmp(oid.data, sha2, sizeof(sha2) - 1) != 0)
        return false;
    uint8_t last = oid.data[oid.size - 1];
    if (last < 1 || last > 3)
        return false;
    *digest = last == 1 ? DIGEST_SHA256 : last == 2 ? DIGEST_SHA384 : DIGEST_SHA512;
    return true;
}

/* RSASSA-PSS-params (RFC 4055 §3.1), of which we take one hash for all and a salt of its size. */
static struct signature_algorithm parse_pss(struct reader *r)
{
    struct signature_algorithm unknown = {0};
    enum digest digest, mask_digest;
    struct reader params = reader_of(neap_der_expect(r, DER_SEQUENCE));
    struct reader hash = reader_of(neap_der_expect(&params, DER_CONTEXT_CONSTRUCTED(0)));
    struct reader mask = reader_of(neap_der_expect(&params, DER_CONTEXT_CONSTRUCTED(1)));
    struct reader salt = reader_of(neap_der_expect(&params, DER_CONTEXT_CONSTRUCTED(2)));
    struct reader mask_algorithm = reader_of(neap_der_expect(&mask, DER_SEQUENCE));

    if (r->bad || params.bad || !parse_digest(&hash, &digest))
        return unknown;
    if (!span_equal(neap_der_expect(&mask_algorithm, DER_OID), OID(OID_MGF1)) ||
        !parse_digest(&mask_algorithm, &mask_digest) || mask_digest != digest)
        return unknown;
    struct span size = neap_der_integer(&salt);
    uint8_t wanted = digest == DIGEST_SHA256 ? 32 : digest == DIGEST_SHA384 ? 48 : 64;
    if (size.size != 1 || size.data[0] != wanted)
        return unknown;
    return (struct signature_algorithm){.kind = SIGNATURE_RSA_PSS, .digest = digest};
}

struct signature_algorithm neap_signature_algorithm(struct span identifier)
{
    struct reader outer = reader_of(identifier);
    struct reader r = reader_of(neap_der_expect(&outer, DER_SEQUENCE));
    struct span oid = neap_der_expect(&r, DER_OID);

    if (r.bad)
        return (struct signature_algorithm){0};
    if (span_equal(oid, OID(OID_PSS)))
        return parse_pss(&r);
    for (size_t i = 0; i < sizeof(known_signatures) / sizeof(known_signatures[0]); i++) {
        if (span_equal(oid, span_of(known_signatures[i].oid, known_signatures[i].oid_size)))
            return known_signatures[i].algorithm;
    }
    return (struct signature_algorithm){0};
}

static void parse_basic_constraints(struct reader *r, struct certificate *c)
{
    struct reader fields = reader_of(neap_der_expect(r, DER_SEQUENCE));

    if (neap_der_is_next(&fields, DER_BOOLEAN)) {
        struct span flag = neap_der_expect(&fields, DER_BOOLEAN);

        if (flag.size != 1)
            r->bad = true;
        else
            c->is_authority = flag.data[0] != 0;
    }
    if (neap_der_is_next(&fields, DER_INTEGER)) {
        struct span length = neap_der_integer(&fields);

        /* Longer chains than 127 are refused by our own bound anyway. */
        if (fields.bad || length.data[0] & 0x80)
            r->bad = true;
        else
            c->path_length = length.size == 1 ? length.data[0] : 127;
    }
    if (fields.bad || reader_left(&fields) > 0)
        r->bad = true;
}

/* The bits of the first byte are all that we ask for; bit 0 of the standard is the highest one. */
static void parse_key_usage(struct reader *r, struct certificate *c)
{
    struct span bits = neap_der_expect(r, DER_BIT_STRING);

    if (bits.size < 1 || bits.data[0] > 7) {
        r->bad = true;
        return;
    }
    c->has_usage = true;
    for (unsigned i = 0; bits.size > 1 && i < 8; i++) {
        if (bits.data[1] & (0x80u >> i))
            c->usage |= 1u << i;
    }
}

static void parse_extended_usage(struct reader *r, struct certificate *c)
{
    struct reader list = reader_of(neap_der_expect(r, DER_SEQUENCE));

    c->has_extended_usage = true;
    while (!list.bad && reader_left(&list) > 0) {
        struct span oid = neap_der_expect(&list, DER_OID);

        if (span_equal(oid, OID("\x2b\x06\x01\x05\x05\x07\x03\x01")))
            c->extended_usage |= EXTENDED_SERVER;
        else if (span_equal(oid, OID("\x2b\x06\x01\x05\x05\x07\x03\x02")))
            c->extended_usage |= EXTENDED_CLIENT;
        else if (span_equal(oid, OID("\x2b\x06\x01\x05\x05\x07\x03\x09")))
            c->extended_usage |= EXTENDED_OCSP;
        else if (span_equal(oid, OID("\x55\x1d\x25\x00")))
            c->extended_usage |= EXTENDED_ANY;
    }
    if (list.bad)
        r->bad = true;
}

/* Each GeneralName must at least be an element, so that the walk over names later cannot fail. */
static void parse_names(struct reader *r, struct certificate *c)
{
    c->names = neap_der_expect(r, DER_SEQUENCE);
    c->has_names = true;
    struct reader names = reader_of(c->names);
    while (!names.bad && reader_left(&names) > 0) {
        struct span content;
        neap_der_next(&names, &content, NULL);
    }
    if (names.bad)
        r->bad = true;
}

/* AuthorityKeyIdentifier (RFC 5280 §4.2.1.1), of which only the key's identifier is read. */
static void parse_authority_key_id(struct reader *r, struct certificate *c)
{
    struct reader fields = reader_of(neap_der_expect(r, DER_SEQUENCE));

    if (neap_der_is_next(&fields, DER_CONTEXT(0)))
        c->authority_key_id = neap_der_expect(&fields, DER_CONTEXT(0));
    if (fields.bad)
        r->bad = true;
}

/* One or more subtrees. */
static bool are_subtrees(struct span subtrees, struct certificate *c)
{
    struct reader list = reader_of(subtrees);

    while (!list.bad && reader_left(&list) > 0) {
        struct span base;
        struct reader fields = reader_of(neap_der_expect(&list, DER_SEQUENCE));
        uint8_t kind = neap_der_next(&fields, &base, NULL);

        if (fields.bad || reader_left(&fields) > 0) /* minimum and maximum are not used (RFC 5280) */
            list.bad = true;
        if (kind == NAME_ADDRESS && base.size != 8 && base.size != 32)
            list.bad = true;
        c->constrained_kinds |= name_kind_bit(kind);
        if (!neap_constraint_is_known(kind, base))
            c->odd_constraints |= name_kind_bit(kind);
    }
    return !list.bad && subtrees.size > 0;
}

/* The form only, so that walks over them later cannot fail: permitted subtrees, excluded ones, or both. */
static void parse_constraints(struct reader *r, struct certificate *c)
{
    c->constraints = neap_der_expect(r, DER_SEQUENCE);
    struct reader lists = reader_of(c->constraints);
    for (unsigned tag = 0; tag <= 1; tag++) {
        if (neap_der_is_next(&lists, (uint8_t)DER_CONTEXT_CONSTRUCTED(tag)) &&
            !are_subtrees(neap_der_expect(&lists, (uint8_t)DER_CONTEXT_CONSTRUCTED(tag)), c))
            lists.bad = true;
    }
    if (lists.bad || reader_left(&lists) > 0 || c->constraints.size == 0)
        r->bad = true;
}

enum extension_id { /* 2.5.29.x */
                    EXTENSION_SUBJECT_KEY_ID = 14,
                    EXTENSION_KEY_USAGE = 15,
                    EXTENSION_SUBJECT_ALT_NAME = 17,
                    EXTENSION_BASIC_CONSTRAINTS = 19,
                    EXTENSION_NAME_CONSTRAINTS = 30,
                    EXTENSION_POLICIES = 32,
                    EXTENSION_AUTHORITY_KEY_ID = 35,
                    EXTENSION_EXTENDED_USAGE = 37,
};

/* Returns whether the extension is one that we understand. */
static bool parse_known_extension(uint8_t id, struct reader *value, struct certificate *c)
{
    switch (id) {
    case EXTENSION_KEY_USAGE: parse_key_usage(value, c); break;
    case EXTENSION_SUBJECT_ALT_NAME: parse_names(value, c); break;
    case EXTENSION_BASIC_CONSTRAINTS: parse_basic_constraints(value, c); break;
    case EXTENSION_EXTENDED_USAGE: parse_extended_usage(value, c); break;
    case EXTENSION_NAME_CONSTRAINTS: parse_constraints(value, c); break;
    case EXTENSION_SUBJECT_KEY_ID: c->subject_key_id = neap_der_expect(value, DER_OCTET_STRING); break;
    case EXTENSION_AUTHORITY_KEY_ID: parse_authority_key_id(value, c); break;
    case EXTENSION_POLICIES: /* no policy is asked for, so any is fine */ read_rest(value); break;
    default: return false;
    }
    if (reader_left(value) > 0)
        value->bad = true;
    return true;
}

/* TLS features (RFC 7633 §4.1): numbers of TLS extensions that its servers answer; once. */
static void parse_features(struct reader *value, struct certificate *c)
{
    struct reader features = reader_of(neap_der_expect(value, DER_SEQUENCE));

    if (c->has_features)
        value->bad = true;
    c->has_features = true;
    while (!features.bad && reader_left(&features) > 0) {
        struct span feature = neap_der_integer(&features);

        if (!features.bad && feature.size == 1 && feature.data[0] == FEATURE_STATUS_REQUEST)
            c->must_staple = true;
    }
    if (features.bad || reader_left(value) > 0)
        value->bad = true;
}

static void parse_extension(struct reader *list, struct certificate *c, uint64_t *seen)
{
    struct reader extension = reader_of(neap_der_expect(list, DER_SEQUENCE));
    struct span oid = neap_der_expect(&extension, DER_OID);
    bool is_critical = false, is_known = false;

    if (neap_der_is_next(&extension, DER_BOOLEAN)) {
        struct span flag = neap_der_expect(&extension, DER_BOOLEAN);
        is_critical = flag.size != 1 || flag.data[0] != 0;
    }
    struct reader value = reader_of(neap_der_expect(&extension, DER_OCTET_STRING));
    if (list->bad || extension.bad || reader_left(&extension) > 0) {
        list->bad = true;
        return;
    }
    if (oid.size == 3 && oid.data[0] == 0x55 && oid.data[1] == 0x1d && oid.data[2] < 64) {
        uint64_t bit = UINT64_C(1) << oid.data[2];

        /* RFC 5280 §4.2: no extension twice. */
        if (*seen & bit)
            list->bad = true;
        *seen |= bit;
        is_known = parse_known_extension(oid.data[2], &value, c);
    } else if (span_equal(oid, OID(OID_TLS_FEATURE))) {
        parse_features(&value, c);
        is_known = true;
    }
    if (value.bad)
        list->bad = true;
    if (is_critical && !is_known)
        c->has_unknown_critical = true;
}

static void parse_extensions(struct reader *tbs, struct certificate *c)
{
    struct reader wrapper = reader_of(neap_der_expect(tbs, DER_CONTEXT_CONSTRUCTED(3)));
    struct reader list = reader_of(neap_der_expect(&wrapper, DER_SEQUENCE));
    uint64_t seen = 0;

    if (c->version != 3 || reader_left(&wrapper) > 0 || wrapper.bad)
        tbs->bad = true;
    while (!list.bad && reader_left(&list) > 0)
        parse_extension(&list, c, &seen);
    if (list.bad)
        tbs->bad = true;
}

static void parse_version(struct reader *tbs, struct certificate *c)
{
    c->version = 1;
    if (!neap_der_is_next(tbs, DER_CONTEXT_CONSTRUCTED(0)))
        return;
    struct reader wrapper = reader_of(neap_der_expect(tbs, DER_CONTEXT_CONSTRUCTED(0)));
    struct span version = neap_der_integer(&wrapper);
    if (wrapper.bad || reader_left(&wrapper) > 0 || version.size != 1 || version.data[0] > 2)
        tbs->bad = true;
    else
        c->version = version.data[0] + 1u;
}

/* TBSCertificate (RFC 5280 §4.1). Gives the inner signature algorithm. */
static struct span parse_tbs(struct reader *tbs, struct certificate *c)
{
    parse_version(tbs, c);
    struct span serial = neap_der_integer(tbs);
    /* RFC 5280 §4.1.2.2: 20 bytes at most. The highest bit is the sign's, so there may be a zero before them. */
    if (tbs->bad || serial.size > LIMIT_CERTIFICATE_SERIAL + (serial.data[0] == 0))
        tbs->bad = true;
    c->serial = serial;
    struct span algorithm = neap_der_expect_whole(tbs, DER_SEQUENCE);
    c->issuer = neap_der_expect_whole(tbs, DER_SEQUENCE);
    struct reader validity = reader_of(neap_der_expect(tbs, DER_SEQUENCE));
    c->not_before = neap_der_time(&validity);
    c->not_after = neap_der_time(&validity);
    if (validity.bad || reader_left(&validity) > 0)
        tbs->bad = true;
    c->subject = neap_der_expect_whole(tbs, DER_SEQUENCE);
    c->key_error = neap_key_info(neap_der_expect_whole(tbs, DER_SEQUENCE), &c->key);
    for (unsigned id = 1; id <= 2; id++) { /* issuerUniqueID, subjectUniqueID */
        if (neap_der_is_next(tbs, (uint8_t)DER_CONTEXT(id)))
            neap_der_expect(tbs, (uint8_t)DER_CONTEXT(id));
    }
    if (neap_der_is_next(tbs, DER_CONTEXT_CONSTRUCTED(3)))
        parse_extensions(tbs, c);
    if (reader_left(tbs) > 0)
        tbs->bad = true;
    return algorithm;
}

int neap_certificate_parse(struct span der, struct certificate *out)
{
    struct certificate c = {.der = der, .path_length = -1};
    struct reader outer = reader_of(der);
    struct reader r = reader_of(neap_der_expect(&outer, DER_SEQUENCE));

    if (outer.bad || reader_left(&outer) > 0)
        return NEAP_ERR_CERTIFICATE;
    c.tbs = neap_der_expect_whole(&r, DER_SEQUENCE);
    struct span algorithm = neap_der_expect_whole(&r, DER_SEQUENCE);
    c.signature = neap_der_bits(&r);
    if (r.bad || reader_left(&r) > 0)
        return NEAP_ERR_CERTIFICATE;
    struct reader tbs_outer = reader_of(c.tbs);
    struct reader tbs = reader_of(neap_der_expect(&tbs_outer, DER_SEQUENCE));
    struct span inner_algorithm = parse_tbs(&tbs, &c);
    /* RFC 5280 §4.1.1.2: both must be the same. */
    if (tbs.bad || !span_equal(algorithm, inner_algorithm))
        return NEAP_ERR_CERTIFICATE;
    c.algorithm = neap_signature_algorithm(algorithm);
    *out = c;
    return 0;
}

struct span neap_name_attribute(struct span name, uint8_t kind)
{
    const uint8_t wanted[] = {0x55, 0x04, kind};
    struct reader outer = reader_of(name);
    struct reader sets = reader_of(neap_der_expect(&outer, DER_SEQUENCE));
    struct span found = {0};

    while (!sets.bad && reader_left(&sets) > 0) {
        struct reader set = reader_of(neap_der_expect(&sets, DER_SET));
        struct reader pair = reader_of(neap_der_expect(&set, DER_SEQUENCE));
        struct span oid = neap_der_expect(&pair, DER_OID), value;

        neap_der_next(&pair, &value, NULL);
        if (!pair.bad && span_equal(oid, span_of(wanted, sizeof wanted)))
            found = value;
    }
    return found;
}

struct span neap_certificate_common_name(const struct certificate *certificate)
{
    return neap_name_attribute(certificate->subject, 3);
}
