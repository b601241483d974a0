/* OCSP responses: parsed, and held against the certificate that they are for. */
#include "crypto/ocsp.h"

#include "crypto/der.h"
#include "crypto/path_search.h"
#include "crypto/provider.h"

#define OID(bytes) span_of(bytes, sizeof(bytes) - 1)
#define OID_BASIC OID("\x2b\x06\x01\x05\x05\x07\x30\x01\x01")
#define OID_SHA1 OID("\x2b\x0e\x03\x02\x1a")
#define OID_SHA256 OID("\x60\x86\x48\x01\x65\x03\x04\x02\x01")

#define CLOCK_SKEW 300           /* seconds by which clocks may differ */
#define WITHOUT_NEXT (24 * 3600) /* seconds that an answer is good for which does not say how long it is */

/* ---- parsing */

static void parse_responder(struct reader *data, struct ocsp_response *out)
{
    if (neap_der_is_next(data, DER_CONTEXT_CONSTRUCTED(1))) {
        struct reader name = reader_of(neap_der_expect(data, DER_CONTEXT_CONSTRUCTED(1)));
        out->name = neap_der_expect_whole(&name, DER_SEQUENCE);
        if (name.bad || reader_left(&name) > 0)
            data->bad = true;
        return;
    }
    struct reader key = reader_of(neap_der_expect(data, DER_CONTEXT_CONSTRUCTED(2)));
    out->key_hash = neap_der_expect(&key, DER_OCTET_STRING);
    if (key.bad || reader_left(&key) > 0 || out->key_hash.size == 0)
        data->bad = true;
}

/* ResponseData. Extensions of it, a nonce for instance, say nothing about the certificate. */
static bool parse_data(struct span whole, struct ocsp_response *out)
{
    struct reader outer = reader_of(whole);
    struct reader data = reader_of(neap_der_expect(&outer, DER_SEQUENCE));

    if (neap_der_is_next(&data, DER_CONTEXT_CONSTRUCTED(0)))
        neap_der_expect(&data, DER_CONTEXT_CONSTRUCTED(0)); /* a version, which is 1 */
    parse_responder(&data, out);
    neap_der_time(&data); /* when it was made: the times of the answers say how long they are good */
    out->responses = neap_der_expect(&data, DER_SEQUENCE);
    if (neap_der_is_next(&data, DER_CONTEXT_CONSTRUCTED(1)))
        neap_der_expect(&data, DER_CONTEXT_CONSTRUCTED(1));
    return !data.bad && !outer.bad && reader_left(&data) == 0;
}

static bool parse_basic(struct span basic, struct ocsp_response *out)
{
    struct reader outer = reader_of(basic);
    struct reader r = reader_of(neap_der_expect(&outer, DER_SEQUENCE));

    if (outer.bad || reader_left(&outer) > 0)
        return false;
    out->tbs = neap_der_expect_whole(&r, DER_SEQUENCE);
    struct span algorithm = neap_der_expect_whole(&r, DER_SEQUENCE);
    out->signature = neap_der_bits(&r);
    if (neap_der_is_next(&r, DER_CONTEXT_CONSTRUCTED(0))) {
        struct reader wrapper = reader_of(neap_der_expect(&r, DER_CONTEXT_CONSTRUCTED(0)));
        out->certificates = neap_der_expect(&wrapper, DER_SEQUENCE);
        if (wrapper.bad || reader_left(&wrapper) > 0)
            r.bad = true;
    }
    if (r.bad || reader_left(&r) > 0)
        return false;
    out->algorithm = neap_signature_algorithm(algorithm);
    return parse_data(out->tbs, out);
}

int neap_ocsp_parse(struct span der, struct ocsp_response *out)
{
    struct reader outer = reader_of(der);
    struct reader r = reader_of(neap_der_expect(&outer, DER_SEQUENCE));
    struct span status = neap_der_expect(&r, DER_ENUMERATED);

    *out = (struct ocsp_response){0};
    if (outer.bad || reader_left(&outer) > 0 || status.size != 1 || status.data[0] != 0)
        return NEAP_ERR_CERTIFICATE; /* the responder had no answer */
    struct reader wrapper = reader_of(neap_der_expect(&r, DER_CONTEXT_CONSTRUCTED(0)));
    struct reader bytes = reader_of(neap_der_expect(&wrapper, DER_SEQUENCE));
    struct span type = neap_der_expect(&bytes, DER_OID);
    struct span basic = neap_der_expect(&bytes, DER_OCTET_STRING);
    if (r.bad || reader_left(&r) > 0 || wrapper.bad || reader_left(&wrapper) > 0 || bytes.bad ||
        reader_left(&bytes) > 0 || !span_equal(type, OID_BASIC) || !parse_basic(basic, out))
        return NEAP_ERR_CERTIFICATE;
    return 0;
}

static void parse_id(struct reader *single, struct ocsp_single *out)
{
    struct reader id = reader_of(neap_der_expect(single, DER_SEQUENCE));
    struct reader algorithm = reader_of(neap_der_expect(&id, DER_SEQUENCE));

    out->hash_algorithm = neap_der_expect(&algorithm, DER_OID);
    out->name_hash = neap_der_expect(&id, DER_OCTET_STRING);
    out->key_hash = neap_der_expect(&id, DER_OCTET_STRING);
    out->serial = neap_der_integer(&id);
    if (id.bad || algorithm.bad || reader_left(&id) > 0)
        single->bad = true;
}

bool neap_ocsp_next(struct reader *r, struct ocsp_single *out)
{
    static const uint8_t statuses[] = {DER_CONTEXT(0), DER_CONTEXT_CONSTRUCTED(1), DER_CONTEXT(2)};
    struct span content;

    *out = (struct ocsp_single){0};
    if (r->bad || reader_left(r) == 0)
        return false;
    struct reader single = reader_of(neap_der_expect(r, DER_SEQUENCE));
    parse_id(&single, out);
    uint8_t tag = neap_der_next(&single, &content, NULL);
    size_t status = 0;
    while (status < sizeof(statuses) && statuses[status] != tag)
        status++;
    out->status = (enum ocsp_status)status;
    out->this_update = neap_der_time(&single);
    if (neap_der_is_next(&single, DER_CONTEXT_CONSTRUCTED(0))) {
        struct reader next = reader_of(neap_der_expect(&single, DER_CONTEXT_CONSTRUCTED(0)));
        out->next_update = neap_der_time(&next);
        if (next.bad || reader_left(&next) > 0)
            single.bad = true;
    }
    if (neap_der_is_next(&single, DER_CONTEXT_CONSTRUCTED(1)))
        neap_der_expect(&single, DER_CONTEXT_CONSTRUCTED(1)); /* extensions: none that changes what it says */
    if (single.bad || reader_left(&single) > 0 || status == sizeof(statuses))
        r->bad = true;
    return !r->bad;
}

int64_t neap_ocsp_end(const struct ocsp_single *single)
{
    return single->next_update ? single->next_update : single->this_update + WITHOUT_NEXT;
}

/* ---- checking */

static int refuse(struct failure *why, const char *reason)
{
    return certificate_fail(why, BAD_STATUS_RESPONSE, reason);
}

/* The issuer's name and key by the hash that an answer uses. */
struct issuer_id {
    struct span algorithm;
    uint8_t name[32], key[32];
    size_t size; /* 0: it is none that we know */
};

static void hash_issuer(struct span algorithm, const struct certificate *issuer, struct issuer_id *out)
{
    out->algorithm = algorithm;
    out->size = 0;
    if (span_equal(algorithm, OID_SHA1)) {
        if (neap_sha1(issuer->subject, out->name) == 0 && neap_sha1(issuer->key.key, out->key) == 0)
            out->size = 20;
    } else if (span_equal(algorithm, OID_SHA256)) {
        neap_hash(HASH_SHA256, issuer->subject, out->name);
        neap_hash(HASH_SHA256, issuer->key.key, out->key);
        out->size = 32;
    }
}

/* The answer about this certificate (RFC 6960 §4.1.1). */
static bool find_answer(const struct ocsp_response *response, const struct certificate *certificate,
                        const struct certificate *issuer, struct ocsp_single *out)
{
    struct reader r = reader_of(response->responses);
    struct issuer_id id = {0};

    while (neap_ocsp_next(&r, out)) {
        if (!span_equal(out->serial, certificate->serial))
            continue;
        if (!span_equal(id.algorithm, out->hash_algorithm))
            hash_issuer(out->hash_algorithm, issuer, &id);
        if (id.size > 0 && span_equal(out->name_hash, span_of(id.name, id.size)) &&
            span_equal(out->key_hash, span_of(id.key, id.size)))
            return true;
    }
    return false;
}

static bool is_responder(const struct ocsp_response *response, const struct certificate *c)
{
    uint8_t hash[20];

    if (response->name.size > 0)
        return span_equal(response->name, c->subject);
    return neap_sha1(c->key.key, hash) == 0 && span_equal(response->key_hash, span_of(hash, sizeof(hash)));
}

/* A certificate for this purpose alone, of the same issuer (RFC 6960 §4.2.2.2). */
static bool is_authorised(struct crypto *crypto, const struct certificate *responder,
                          const struct certificate *issuer, int64_t wall_clock)
{
    struct failure unused = {0};
    struct validity dates = {responder->not_before, responder->not_after};

    return span_equal(responder->issuer, issuer->subject) && responder->extended_usage & EXTENDED_OCSP &&
           (!responder->has_usage || responder->usage & USAGE_DIGITAL_SIGNATURE) &&
           !responder->has_unknown_critical &&
           (!time_is_known(wall_clock) || validity_has(&dates, wall_clock)) &&
           !neap_peer_key_check(crypto, responder, &unused) &&
           responder->algorithm.kind != SIGNATURE_UNKNOWN &&
           !neap_signature_verify(crypto, &issuer->key, responder->algorithm, responder->tbs,
                                  responder->signature);
}

/* The first of the certificates in the response that its responder's name or key fits: no other is tried. */
static bool find_delegate(const struct ocsp_response *response, struct certificate *out)
{
    struct reader r = reader_of(response->certificates);

    while (!r.bad && reader_left(&r) > 0) {
        struct span der = neap_der_expect_whole(&r, DER_SEQUENCE);
        if (!r.bad && neap_certificate_parse(der, out) == 0 && !out->key_error && is_responder(response, out))
            return true;
    }
    return false;
}

static int check_signature(struct crypto *crypto, const struct ocsp_response *response,
                           const struct certificate *issuer, int64_t wall_clock, struct validity *validity,
                           struct failure *why)
{
    struct certificate delegate;
    const struct certificate *signer = issuer;

    if (response->algorithm.kind == SIGNATURE_UNKNOWN)
        return refuse(why, "the OCSP response is signed with an algorithm that is not accepted");
    if (!is_responder(response, issuer)) {
        if (!find_delegate(response, &delegate) || !is_authorised(crypto, &delegate, issuer, wall_clock))
            return refuse(why, "the OCSP response is of nobody whom the certificate's issuer authorised");
        signer = &delegate;
        validity_narrow(validity, &(struct validity){delegate.not_before, delegate.not_after});
    }
    if (neap_signature_verify(crypto, &signer->key, response->algorithm, response->tbs, response->signature))
        return refuse(why, "the signature of the OCSP response is wrong");
    return 0;
}

int neap_ocsp_check(struct crypto *crypto, struct span bytes, const struct certificate *certificate,
                    const struct certificate *issuer, int64_t wall_clock, struct validity *validity,
                    struct failure *why)
{
    struct ocsp_response response;
    struct ocsp_single answer;

    if (neap_ocsp_parse(bytes, &response))
        return refuse(why, "the OCSP response cannot be parsed, or is none of success");
    if (!find_answer(&response, certificate, issuer, &answer))
        return refuse(why, "the OCSP response is about other certificates");
    if (time_is_known(wall_clock) && wall_clock < answer.this_update - CLOCK_SKEW)
        return refuse(why, "the OCSP response is of the future");
    if (time_is_known(wall_clock) && wall_clock > neap_ocsp_end(&answer) + CLOCK_SKEW)
        return refuse(why, "the OCSP response is too old");
    *validity = (struct validity){answer.this_update - CLOCK_SKEW, neap_ocsp_end(&answer) + CLOCK_SKEW};
    int error = check_signature(crypto, &response, issuer, wall_clock, validity, why);
    if (error)
        return error;
    switch (answer.status) {
    case OCSP_GOOD: return 0;
    case OCSP_REVOKED:
        return certificate_fail(why, CERTIFICATE_REVOKED,
                                "the certificate is revoked, says its OCSP response");
    case OCSP_UNKNOWN: break;
    }
    return refuse(why, "the OCSP response does not know the certificate");
}

int neap_ocsp_check_staple(struct crypto *crypto, struct staple *staple,
                           const struct certificate *certificate, const struct certificate *issuer,
                           int64_t wall_clock, struct failure *why)
{
    staple->validity = (struct validity){INT64_MIN, INT64_MAX};
    if (staple->demand == STAPLE_IGNORED || (staple->response.size == 0 && staple->demand != STAPLE_REQUIRED))
        return 0;
    if (staple->response.size == 0)
        return refuse(why,
                      certificate->must_staple
                          ? "the server shows no OCSP response, and its certificate says that there is one"
                          : "the server shows no OCSP response");
    if (!issuer)
        return refuse(why,
                      "the certificate is trusted itself, and has no issuer whose OCSP response to check");
    return neap_ocsp_check(crypto, staple->response, certificate, issuer, wall_clock, &staple->validity, why);
}
