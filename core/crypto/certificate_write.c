/* Parts of requests and certificates that are made here. Mbed TLS writes both too, but takes an issuer's name as text and
 * encodes it anew, while a chain is found by comparing names byte by byte; and it writes no Ed25519. */
#include "crypto/issue.h"

#include "base/limits.h"
#include "crypto/certificate.h"
#include "crypto/der.h"
#include "neap.h"

#include <arpa/inet.h>
#include <time.h>

#define SUBJECT_MAX 64u /* RFC 5280 appendix A.1: ub-common-name, ub-organization-name */
#define UTF8_STRING 0x0cu

/* The size of the UTF-8 sequence (RFC 3629 §4) at `s`, 0 when there is none, or a control character. */
static size_t sequence_size(const uint8_t *s)
{
    uint8_t first = s[0];

    if (first < 0x80)
        return first >= 0x20 && first != 0x7f;
    size_t size = first >= 0xf0 ? 4 : first >= 0xe0 ? 3 : 2;
    if (first < 0xc2 || first > 0xf4)
        return 0;
    for (size_t i = 1; i < size; i++)
        if ((s[i] & 0xc0) != 0x80)
            return 0;
    bool is_long = (first == 0xe0 && s[1] < 0xa0) || (first == 0xf0 && s[1] < 0x90);
    bool is_surrogate = first == 0xed && s[1] > 0x9f;
    bool is_beyond = first == 0xf4 && s[1] > 0x8f;
    bool is_control = first == 0xc2 && s[1] < 0xa0;
    return is_long || is_surrogate || is_beyond || is_control ? 0 : size;
}

bool neap_subject_is_text(const char *text)
{
    size_t at = 0;

    while (text[at] != 0) {
        size_t size = sequence_size((const uint8_t *)text + at);

        at += size;
        if (size == 0 || at > SUBJECT_MAX)
            return false;
    }
    return at > 0;
}

static void write_attribute(struct writer *w, uint8_t kind, const char *text)
{
    const uint8_t oid[] = {0x55, 0x04, kind};
    size_t set = neap_der_begin(w, DER_SET), pair = neap_der_begin(w, DER_SEQUENCE);

    neap_der_write(w, DER_OID, span_of(oid, sizeof(oid)));
    neap_der_write(w, UTF8_STRING, span_of_string(text));
    neap_der_end(w, pair);
    neap_der_end(w, set);
}

int neap_write_subject(struct writer *w, const char *common_name, const char *organization,
                       struct failure *why)
{
    if ((!common_name && !organization) || (common_name && !neap_subject_is_text(common_name)) ||
        (organization && !neap_subject_is_text(organization)))
        return neap_fail(why, NEAP_ERR_ARGUMENT,
                         "a subject is a common name, an organization or both: 1 to 64 bytes of UTF-8 each, "
                         "without control characters");
    size_t name = neap_der_begin(w, DER_SEQUENCE);
    if (organization)
        write_attribute(w, ATTRIBUTE_ORGANIZATION, organization);
    if (common_name)
        write_attribute(w, ATTRIBUTE_COMMON_NAME, common_name);
    neap_der_end(w, name);
    return 0;
}

bool neap_name_is_sane(struct span name)
{
    for (size_t i = 0; i < name.size; i++) {
        if (name.data[i] < 0x21 || name.data[i] > 0x7e)
            return false;
    }
    return name.size > 0 && name.size <= LIMIT_HOST_NAME;
}

/* False for what is neither an address nor the name of hosts. */
static bool write_name(struct writer *w, const char *name)
{
    uint8_t address[16];

    if (!name)
        return false;
    if (inet_pton(AF_INET, name, address) == 1)
        neap_der_write(w, NAME_ADDRESS, span_of(address, 4));
    else if (inet_pton(AF_INET6, name, address) == 1)
        neap_der_write(w, NAME_ADDRESS, span_of(address, 16));
    else if (neap_dns_is_presented(span_of_string(name)))
        neap_der_write(w, NAME_DNS, span_of_string(name));
    else
        return false;
    return true;
}

int neap_write_names(struct writer *w, const char *const *names, size_t count, struct failure *why)
{
    bool are_good = count > 0 && count <= LIMIT_CERTIFICATE_NAMES;
    size_t list = neap_der_begin(w, DER_SEQUENCE);

    for (size_t i = 0; are_good && i < count; i++)
        are_good = write_name(w, names[i]);
    neap_der_end(w, list);
    if (!are_good)
        return neap_fail(
            why, NEAP_ERR_ARGUMENT,
            "names of a certificate: 1 to 32 DNS names (*.example.org for every host of it) and IP "
            "addresses, without a scheme, a port or a prefix length");
    return 0;
}

bool neap_write_time(struct writer *w, int64_t seconds)
{
    time_t at = (time_t)seconds;
    struct tm parts;
    char text[16];

    if (at != seconds || seconds < 0 || !gmtime_r(&at, &parts) || parts.tm_year > 9999 - 1900)
        return false;
    bool is_short = parts.tm_year < 2050 - 1900;
    size_t size = strftime(text, sizeof(text), "%Y%m%d%H%M%SZ", &parts);
    struct span digits = span_of(text, size);
    neap_der_write(w, is_short ? DER_UTC_TIME : DER_GENERALIZED_TIME,
                   is_short ? span_after(digits, 2) : digits);
    return size == 15;
}

void neap_write_extension(struct writer *w, uint8_t id, bool is_critical, struct span value)
{
    static const uint8_t yes = 0xff;
    const uint8_t oid[] = {0x55, 0x1d, id};
    size_t extension = neap_der_begin(w, DER_SEQUENCE);

    neap_der_write(w, DER_OID, span_of(oid, sizeof(oid)));
    if (is_critical)
        neap_der_write(w, DER_BOOLEAN, span_of(&yes, 1));
    neap_der_write(w, DER_OCTET_STRING, value);
    neap_der_end(w, extension);
}

struct span neap_signature_identifier(enum key_kind kind, struct signature_algorithm *algorithm)
{
    static const uint8_t ecdsa_sha256[] = {0x30, 0x0a, 0x06, 0x08, 0x2a, 0x86,
                                           0x48, 0xce, 0x3d, 0x04, 0x03, 0x02};
    static const uint8_t ecdsa_sha384[] = {0x30, 0x0a, 0x06, 0x08, 0x2a, 0x86,
                                           0x48, 0xce, 0x3d, 0x04, 0x03, 0x03};
    static const uint8_t ed25519[] = {0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70};
    /* RSASSA-PSS with SHA-256 for the message and the mask, and a salt of 32 bytes (RFC 4055 §3.1). */
    static const uint8_t pss_sha256[] = {
        0x30, 0x41, 0x06, 0x09, 0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x01, 0x0a, 0x30, 0x34, 0xa0, 0x0f,
        0x30, 0x0d, 0x06, 0x09, 0x60, 0x86, 0x48, 0x01, 0x65, 0x03, 0x04, 0x02, 0x01, 0x05, 0x00, 0xa1, 0x1c,
        0x30, 0x1a, 0x06, 0x09, 0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x01, 0x08, 0x30, 0x0d, 0x06, 0x09,
        0x60, 0x86, 0x48, 0x01, 0x65, 0x03, 0x04, 0x02, 0x01, 0x05, 0x00, 0xa2, 0x03, 0x02, 0x01, 0x20};

    switch (kind) {
    case KEY_P256:
        *algorithm = (struct signature_algorithm){SIGNATURE_ECDSA, DIGEST_SHA256};
        return span_of(ecdsa_sha256, sizeof(ecdsa_sha256));
    case KEY_P384:
        *algorithm = (struct signature_algorithm){SIGNATURE_ECDSA, DIGEST_SHA384};
        return span_of(ecdsa_sha384, sizeof(ecdsa_sha384));
    case KEY_RSA:
        *algorithm = (struct signature_algorithm){SIGNATURE_RSA_PSS, DIGEST_SHA256};
        return span_of(pss_sha256, sizeof(pss_sha256));
    case KEY_ED25519:
        *algorithm = (struct signature_algorithm){SIGNATURE_ED25519, DIGEST_SHA256};
        return span_of(ed25519, sizeof(ed25519));
    case KEY_P521: break; /* not opened */
    }
    *algorithm = (struct signature_algorithm){0};
    return (struct span){0};
}

int neap_write_signature(struct crypto *crypto, struct writer *w, size_t start, const struct private_key *key,
                         struct failure *why)
{
    struct signature_algorithm algorithm;
    struct signature made = {0};
    struct span identifier = neap_signature_identifier(key->public.kind, &algorithm);
    struct span message = span_of(w->start + start, writer_size(w) - start);

    if (w->full)
        return neap_fail(why, NEAP_ERR_LIMIT, "more than a certificate holds");
    if (key->signer->methods->sign(key->signer, algorithm, message, &made))
        return neap_fail(why, NEAP_ERR_CRYPTO, "the private key does not sign");
    if (neap_signature_verify(crypto, &key->public, algorithm, message, span_of(made.bytes, made.size)))
        return neap_fail(why, NEAP_ERR_CERTIFICATE, "the public half of the private key does not fit it");
    write_span(w, identifier);
    size_t bits = neap_der_begin(w, DER_BIT_STRING);
    write_u8(w, 0);
    write_bytes(w, made.bytes, made.size);
    neap_der_end(w, bits);
    return w->full ? neap_fail(why, NEAP_ERR_LIMIT, "more than a certificate holds") : 0;
}
