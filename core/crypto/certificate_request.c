/* Certification requests (PKCS #10, RFC 2986): made for a key of ours, and read from whoever wants a certificate. */
#include "base/limits.h"
#include "base/pool.h"
#include "crypto/der.h"
#include "crypto/issue.h"
#include "neap.h"

#ifndef NEAP_NO_ISSUING

#define OID_EXTENSION_REQUEST "\x2a\x86\x48\x86\xf7\x0d\x01\x09\x0e" /* RFC 2985 §5.4.2 */
#define OID_ALTERNATIVE_NAME "\x55\x1d\x11"
#define ID_ALTERNATIVE_NAME 17u
#define OID(bytes) span_of(bytes, sizeof(bytes) - 1)
#define ATTRIBUTES DER_CONTEXT_CONSTRUCTED(0)

static void parse_extension(struct reader *list, struct certificate_request *request)
{
    struct reader extension = reader_of(neap_der_expect(list, DER_SEQUENCE));
    struct span oid = neap_der_expect(&extension, DER_OID);

    if (neap_der_is_next(&extension, DER_BOOLEAN))
        neap_der_expect(&extension, DER_BOOLEAN);
    struct reader value = reader_of(neap_der_expect(&extension, DER_OCTET_STRING));
    if (extension.bad || reader_left(&extension) > 0)
        list->bad = true;
    if (list->bad || !span_equal(oid, OID(OID_ALTERNATIVE_NAME)))
        return;
    if (request->names.data) /* no extension twice */
        list->bad = true;
    request->names = neap_der_expect(&value, DER_SEQUENCE);
    if (value.bad || reader_left(&value) > 0)
        list->bad = true;
}

/* Attributes other than the extensions that are asked for are nothing to us. */
static void parse_attribute(struct reader *attributes, struct certificate_request *request)
{
    struct reader attribute = reader_of(neap_der_expect(attributes, DER_SEQUENCE));
    struct span oid = neap_der_expect(&attribute, DER_OID);
    struct reader values = reader_of(neap_der_expect(&attribute, DER_SET));

    if (attribute.bad || reader_left(&attribute) > 0)
        attributes->bad = true;
    if (attributes->bad || !span_equal(oid, OID(OID_EXTENSION_REQUEST)))
        return;
    struct reader list = reader_of(neap_der_expect(&values, DER_SEQUENCE));
    while (!list.bad && reader_left(&list) > 0)
        parse_extension(&list, request);
    if (list.bad || values.bad || reader_left(&values) > 0)
        attributes->bad = true;
}

static bool parse_info(struct span info, struct certificate_request *request, int *key_error)
{
    struct reader outer = reader_of(info);
    struct reader r = reader_of(neap_der_expect(&outer, DER_SEQUENCE));
    struct span version = neap_der_integer(&r);

    request->subject = neap_der_expect_whole(&r, DER_SEQUENCE);
    *key_error = neap_key_info(neap_der_expect_whole(&r, DER_SEQUENCE), &request->key);
    if (neap_der_is_next(&r, ATTRIBUTES)) {
        struct reader attributes = reader_of(neap_der_expect(&r, ATTRIBUTES));

        while (!attributes.bad && reader_left(&attributes) > 0)
            parse_attribute(&attributes, request);
        if (attributes.bad)
            r.bad = true;
    }
    return !outer.bad && !r.bad && reader_left(&r) == 0 && version.size == 1 && version.data[0] == 0;
}

int neap_request_parse(struct crypto *crypto, struct span der, struct certificate_request *out,
                       struct failure *why)
{
    struct certificate_request request = {0};
    struct reader outer = reader_of(der);
    struct reader r = reader_of(neap_der_expect(&outer, DER_SEQUENCE));
    struct span info = neap_der_expect_whole(&r, DER_SEQUENCE);
    struct span algorithm = neap_der_expect_whole(&r, DER_SEQUENCE);
    struct span signature = neap_der_bits(&r);
    int key_error;

    request.info = info;
    if (outer.bad || r.bad || reader_left(&outer) > 0 || reader_left(&r) > 0 ||
        !parse_info(info, &request, &key_error))
        return neap_fail(why, NEAP_ERR_CERTIFICATE, "the certificate request cannot be parsed");
    int error = neap_key_check(&request.key, key_error, why);
    if (error)
        return error;
    if (neap_signature_verify(crypto, &request.key, neap_signature_algorithm(algorithm), info, signature))
        return neap_fail(why, NEAP_ERR_CERTIFICATE, "the certificate request's signature is not its key's");
    *out = request;
    return 0;
}

static bool label_is_request(struct span label)
{
    return span_equal(label, span_of_string("CERTIFICATE REQUEST")) ||
           span_equal(label, span_of_string("NEW CERTIFICATE REQUEST"));
}

int neap_request_take(struct pool *pool, struct span text, struct span *der, struct failure *why)
{
    /* PEM takes four bytes for three, line ends, and what openssl writes as text before it. */
    if (text.size > 4 * LIMIT_CERTIFICATE_REQUEST)
        return neap_fail(why, NEAP_ERR_LIMIT, "the certificate request is too large");
    bool is_pem = neap_pem_is(text);
    int result = neap_pem_take(pool, &text, label_is_request, der);
    if (result == NEAP_ERR_NO_MEMORY)
        return neap_fail(why, result, "no memory for the certificate request");
    if (result <= 0)
        return neap_fail(why, NEAP_ERR_CERTIFICATE, "there is no certificate request");
    int error = 0;
    if (der->size > LIMIT_CERTIFICATE_REQUEST)
        error = neap_fail(why, NEAP_ERR_LIMIT, "the certificate request is too large");
    else if (!is_pem && text.size > 0)
        error = neap_fail(why, NEAP_ERR_CERTIFICATE, "there is more than a certificate request");
    if (error)
        neap_certificate_release(pool, *der);
    return error;
}

/* The last attribute of a Name as text that ends; "" when there is none. False for what does not fit. */
static bool attribute_text(struct span name, uint8_t kind, char out[NEAP_SUBJECT_ROOM])
{
    int64_t size = neap_name_attribute_text(name, kind, out, NEAP_SUBJECT_ROOM - 1);

    if (size < 0 || (size > 0 && memchr(out, 0, (size_t)size)))
        return false;
    out[size] = 0;
    return size == 0 || neap_subject_is_text(out);
}

bool neap_request_subject(const struct certificate_request *request, char common_name[NEAP_SUBJECT_ROOM],
                          char organization[NEAP_SUBJECT_ROOM])
{
    return attribute_text(request->subject, ATTRIBUTE_COMMON_NAME, common_name) &&
           attribute_text(request->subject, ATTRIBUTE_ORGANIZATION, organization);
}

static int write_attributes(struct writer *w, const neap_certificate_plan *plan, struct failure *why)
{
    uint8_t room[LIMIT_CERTIFICATE_REQUEST];
    struct writer names = writer_of(room, sizeof(room));
    size_t attributes = neap_der_begin(w, ATTRIBUTES);

    if (plan->name_count > 0) {
        int error = neap_write_names(&names, plan->names, plan->name_count, why);
        if (error)
            return error;
        size_t attribute = neap_der_begin(w, DER_SEQUENCE);
        neap_der_write(w, DER_OID, OID(OID_EXTENSION_REQUEST));
        size_t values = neap_der_begin(w, DER_SET), list = neap_der_begin(w, DER_SEQUENCE);
        neap_write_extension(w, ID_ALTERNATIVE_NAME, false, span_of(room, writer_size(&names)));
        neap_der_end(w, list);
        neap_der_end(w, values);
        neap_der_end(w, attribute);
    }
    neap_der_end(w, attributes);
    return names.full ? neap_fail(why, NEAP_ERR_LIMIT, "more names than a certificate request holds") : 0;
}

static int write_request(struct crypto *crypto, struct writer *w, const neap_certificate_plan *plan,
                         const struct private_key *key, struct failure *why)
{
    static const uint8_t version = 0;
    size_t request = neap_der_begin(w, DER_SEQUENCE), info = neap_der_begin(w, DER_SEQUENCE);

    neap_der_write(w, DER_INTEGER, span_of(&version, 1));
    int error = neap_write_subject(w, plan->common_name, plan->organization, why);
    write_span(w, key->public.spki);
    if (!error)
        error = write_attributes(w, plan, why);
    neap_der_end(w, info);
    if (!error)
        error = neap_write_signature(crypto, w, request, key, why);
    neap_der_end(w, request);
    return error || !w->full ? error
                             : neap_fail(why, NEAP_ERR_LIMIT, "more than a certificate request holds");
}

int64_t neap_request_make(struct crypto *crypto, const neap_certificate_plan *plan, char *out, size_t room,
                          struct failure *why)
{
    uint8_t der[LIMIT_CERTIFICATE_REQUEST];
    struct writer w = writer_of(der, sizeof(der));
    struct private_key key;
    int error = neap_private_key_open(crypto, span_of(plan->key, plan->key_size), &key, why);

    if (error)
        return error;
    error = write_request(crypto, &w, plan, &key, why);
    neap_private_key_close(&key);
    if (error)
        return error;
    return neap_pem_write("-----BEGIN CERTIFICATE REQUEST-----\n", "-----END CERTIFICATE REQUEST-----\n",
                          span_of(der, writer_size(&w)), out, room);
}

#endif
