/* CertificateRequest: a server asks its client for a certificate, and the client chooses one (RFC 8446 §4.3.2, §4.4.2.3). */
#include "base/reader.h"
#include "tls/extensions.h"
#include "tls/state.h"

/* rsa_pkcs1_*: for the signatures in certificates only, a CertificateVerify with one is refused (RFC 8446 §4.2.3). */
static const uint16_t only_in_certificates[] = {0x0401, 0x0501, 0x0601};

void neap_tls_write_schemes(struct writer *w, uint16_t reserved)
{
    size_t count;
    const uint16_t *schemes = neap_schemes(&count);

    write_u16(w, NUMBER_SIGNATURE_ALGORITHMS);
    uint8_t *outer = vector_open(w, 2), *inner = vector_open(w, 2);
    if (reserved)
        write_u16(w, reserved);
    for (size_t i = 0; i < count; i++)
        write_u16(w, schemes[i]);
    for (size_t i = 0; i < sizeof only_in_certificates / sizeof only_in_certificates[0]; i++)
        write_u16(w, only_in_certificates[i]);
    vector_close(w, inner, 2);
    vector_close(w, outer, 2);
}

/* ---- the server's */

#define FIXED_ROOM 64u /* header, context, lengths, the signature schemes and compress_certificate */

/* The bytes of the names of our roots for clients. 0: they are too many to be told, and a part of them would keep clients
 * from showing certificates of the others. */
static size_t authorities_size(const struct trust *trust)
{
    size_t count = trust ? neap_trust_count(trust) : 0, size = 0;

    for (size_t i = 0; i < count && size <= LIMIT_CERTIFICATE_AUTHORITIES; i++)
        size += 2 + neap_trust_subject(trust, i).size;
    return size <= LIMIT_CERTIFICATE_AUTHORITIES ? size : 0;
}

size_t neap_tls_request_size(const struct tls *tls)
{
    const struct tls_config *config = tls->config;

    return config->client_certificate == DEMAND_NONE ? 0
                                                     : FIXED_ROOM + authorities_size(config->client_trust);
}

static void write_authorities(const struct trust *trust, struct writer *w)
{
    size_t count = authorities_size(trust) ? neap_trust_count(trust) : 0;

    if (count == 0)
        return;
    write_u16(w, NUMBER_CERTIFICATE_AUTHORITIES);
    uint8_t *outer = vector_open(w, 2), *inner = vector_open(w, 2);
    for (size_t i = 0; i < count; i++) {
        struct span name = neap_trust_subject(trust, i);

        write_u16(w, (uint16_t)name.size);
        write_span(w, name);
    }
    vector_close(w, inner, 2);
    vector_close(w, outer, 2);
}

int neap_tls_write_request(struct tls *tls, struct failure *why)
{
    struct writer w;

    int rc = neap_tls_begin_message(tls, TLS_HANDSHAKE, CERTIFICATE_REQUEST,
                                    neap_tls_request_size(tls) - MESSAGE_HEADER, &w, why);
    if (rc)
        return rc;
    write_u8(&w, 0); /* no context in the handshake */
    uint8_t *length = vector_open(&w, 2);
    neap_tls_write_schemes(&w, 0);
    neap_tls_write_compression(tls->config, &w);
    write_authorities(tls->config->client_trust, &w);
    vector_close(&w, length, 2);
    tls->certificate_requested = true;
    return neap_tls_end_message(tls, TLS_HANDSHAKE, &w, why);
}

/* ---- the client's */

/* One or more names (RFC 8446 §4.2.4). */
static bool are_authorities(struct span data, struct span *names)
{
    struct reader r = reader_of(data);

    *names = read_vector(&r, 2);
    if (r.bad || reader_left(&r) > 0 || names->size == 0)
        return false;
    r = reader_of(*names);
    while (reader_left(&r) > 0)
        if (read_vector(&r, 2).size == 0)
            return false;
    return !r.bad;
}

static bool is_of_one(const struct identity *identity, struct span authorities)
{
    struct reader r = reader_of(authorities);

    while (reader_left(&r) > 0)
        if (neap_identity_is_issued_by(identity, read_vector(&r, 2)))
            return true;
    return authorities.size == 0;
}

/* The first of our chains that suits the server and is signed as it can verify, else the first that suits it; none: it gets
 * an empty Certificate, and says what it thinks of that. An only one suits whatever authorities are named: the server may
 * know the intermediates that it lacks, and says what is wrong with it else. */
static void choose_identity(struct tls *tls, struct span schemes, struct span certificate_schemes,
                            struct span authorities)
{
    const struct identity_set *ours = tls->config->identities;
    size_t count = ours ? ours->count : 0;
    struct identity *chosen = NULL;
    bool is_verifiable = false;

    for (size_t i = 0; i < count && !is_verifiable; i++) {
        struct identity *identity = ours->list[i];
        uint16_t scheme = neap_identity_scheme(identity, schemes);

        if (!scheme || (count > 1 && !is_of_one(identity, authorities)))
            continue;
        is_verifiable = neap_identity_suits(identity, certificate_schemes);
        if (chosen && !is_verifiable)
            continue;
        chosen = identity;
        tls->scheme = scheme;
    }
    tls->identity = neap_identity_retain(chosen);
}

/* A list of schemes in this extension. */
static bool read_schemes(const struct extensions *ext, enum extension which, struct span *out)
{
    struct reader r = reader_of(ext->data[which]);

    *out = read_vector(&r, 2);
    return !r.bad && reader_left(&r) == 0 && out->size > 0 && out->size % 2 == 0;
}

int neap_client_on_certificate_request(struct tls *tls, struct span message, struct failure *why)
{
    struct reader r = reader_of(span_of(message.data + MESSAGE_HEADER, message.size - MESSAGE_HEADER));
    struct span schemes, certificate_schemes, authorities = {0};
    struct extensions ext;
    bool takes_zlib;

    struct span context = read_vector(&r, 1);
    struct span block = read_vector(&r, 2);
    if (r.bad || reader_left(&r) > 0)
        return neap_tls_alert(why, ALERT_DECODE_ERROR, "CertificateRequest of a wrong form");
    if (context.size > 0)
        return neap_tls_alert(why, ALERT_ILLEGAL_PARAMETER,
                              "CertificateRequest with a context in the handshake");
    int rc = neap_extensions_parse(block, IN_CERTIFICATE_REQUEST, 0, &ext, why);
    if (rc)
        return rc;
    if (!extension_present(&ext, EXT_SIGNATURE_ALGORITHMS))
        return neap_tls_alert(why, ALERT_MISSING_EXTENSION,
                              "CertificateRequest without signature algorithms");
    if (!read_schemes(&ext, EXT_SIGNATURE_ALGORITHMS, &schemes))
        return neap_tls_alert(why, ALERT_DECODE_ERROR, "signature_algorithms of a wrong form");
    certificate_schemes = schemes;
    if (extension_present(&ext, EXT_SIGNATURE_ALGORITHMS_CERT) &&
        !read_schemes(&ext, EXT_SIGNATURE_ALGORITHMS_CERT, &certificate_schemes))
        return neap_tls_alert(why, ALERT_DECODE_ERROR, "signature_algorithms_cert of a wrong form");
    if (extension_present(&ext, EXT_CERTIFICATE_AUTHORITIES) &&
        !are_authorities(ext.data[EXT_CERTIFICATE_AUTHORITIES], &authorities))
        return neap_tls_alert(why, ALERT_DECODE_ERROR, "certificate_authorities of a wrong form");
    rc = neap_tls_read_compression(&ext, &takes_zlib, why);
    if (rc)
        return rc;
    tls->peer_decompresses = takes_zlib;
    choose_identity(tls, schemes, certificate_schemes, authorities);
    neap_client_hold_binding(tls);
    neap_schedule_add(&tls->schedule, message);
    tls->certificate_requested = true;
    tls->state = WAIT_CERTIFICATE;
    return 0;
}
