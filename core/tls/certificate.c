/* Certificate and CertificateVerify, of both roles (RFC 8446 §4.4.2, §4.4.3). */
#include "base/pool.h"
#include "base/reader.h"
#include "tls/choice.h"
#include "tls/extensions.h"
#include "tls/state.h"

static const char server_context[SIGNED_CONTEXT] = "TLS 1.3, server CertificateVerify";
static const char client_context[SIGNED_CONTEXT] = "TLS 1.3, client CertificateVerify";

static struct span signed_content(const struct tls *tls, bool by_client, uint8_t out[SIGNED_MOST])
{
    memset(out, ' ', SIGNED_SPACES);
    memcpy(out + SIGNED_SPACES, by_client ? client_context : server_context, sizeof server_context);
    neap_schedule_peek(&tls->schedule, out + SIGNED_SPACES + sizeof server_context);
    return span_of(out, SIGNED_SPACES + sizeof server_context + crypto_hash_size(tls->schedule.hash));
}

#define STAPLE_FIELDS 8u /* extension's number and size, status_type, length of the response */

struct span neap_tls_staple(const struct tls *tls)
{
    return tls->peer_takes_staple && tls->identity ? neap_identity_staple(tls->identity, tls->wall_clock)
                                                   : (struct span){0};
}

size_t neap_tls_certificate_size(const struct tls *tls)
{
    size_t count = tls->identity ? neap_identity_chain_count(tls->identity) : 0, size = MESSAGE_HEADER + 4;
    struct span staple = neap_tls_staple(tls);

    for (size_t i = 0; i < count; i++)
        size += 3 + neap_identity_chain(tls->identity, i).size + 2;
    return staple.size ? size + STAPLE_FIELDS + staple.size : size;
}

/* RFC 8446 §4.4.2.1. */
static void write_staple(struct span staple, struct writer *w)
{
    write_u16(w, NUMBER_STATUS_REQUEST);
    write_u16(w, (uint16_t)(4 + staple.size));
    write_u8(w, STATUS_OCSP);
    write_u24(w, (uint32_t)staple.size);
    write_span(w, staple);
}

void neap_tls_write_certificate_body(const struct tls *tls, struct writer *w)
{
    size_t count = tls->identity ? neap_identity_chain_count(tls->identity) : 0;
    struct span staple = neap_tls_staple(tls);

    write_u8(w, 0); /* no request context in the handshake */
    uint8_t *length = vector_open(w, 3);
    for (size_t i = 0; i < count; i++) {
        struct span der = neap_identity_chain(tls->identity, i);
        write_u24(w, (uint32_t)der.size);
        write_span(w, der);
        uint8_t *extensions = vector_open(w, 2);
        if (i == 0 && staple.size)
            write_staple(staple, w);
        vector_close(w, extensions, 2);
    }
    vector_close(w, length, 3);
}

int neap_tls_write_certificate(struct tls *tls, struct failure *why)
{
    struct span compressed = neap_tls_compressed_certificate(tls);
    size_t room = neap_tls_certificate_size(tls) - MESSAGE_HEADER;
    struct writer w;

    int rc = compressed.size ? neap_tls_begin_message(tls, TLS_HANDSHAKE, COMPRESSED_CERTIFICATE,
                                                      compressed.size, &w, why)
                             : neap_tls_begin_message(tls, TLS_HANDSHAKE, CERTIFICATE, room, &w, why);
    if (rc)
        return rc;
    if (compressed.size)
        write_span(&w, compressed);
    else
        neap_tls_write_certificate_body(tls, &w);
    return neap_tls_end_message(tls, TLS_HANDSHAKE, &w, why);
}

/* A signature of somebody else's is verified before it leaves: a wrong one would be told by the client alone, to nobody
 * here, and one of RSA with a fault in it gives the private key away. It costs less than signing here would. Whoever
 * answered is told; the peer need not read what is wrong in here. */
static int take_answered(struct tls *tls, struct span content, struct signature *out, struct failure *why)
{
    *out = tls->asking->signature;
    tls->asking->signature.size = 0;
    if (neap_identity_verify(tls->identity, tls->scheme, content, span_of(out->bytes, out->size)))
        return neap_tls_alert(why, ALERT_INTERNAL_ERROR, "");
    return 0;
}

static int sign(struct tls *tls, tls_step step, struct signature *out, struct failure *why)
{
    uint8_t room[SIGNED_MOST];
    struct span content = signed_content(tls, tls->is_client, room);

    if (neap_identity_has_key(tls->identity)) {
        int rc = neap_identity_sign(tls->identity, tls->scheme, content, out);
        return rc ? neap_fail(why, rc, "the handshake could not be signed") : 0;
    }
    if (tls->asking && tls->asking->signature.size > 0)
        return take_answered(tls, content, out, why);
    int rc = neap_tls_ask(tls, NEAP_ASK_SIGNATURE, step, why);
    if (rc == TLS_ASKED) {
        memcpy(tls->asking->content, content.data, content.size);
        tls->asking->content_size = content.size;
    }
    return rc;
}

int neap_tls_write_certificate_verify(struct tls *tls, tls_step step, struct failure *why)
{
    struct signature made;
    struct writer w;

    int rc = sign(tls, step, &made, why);
    if (rc)
        return rc;
    rc = neap_tls_begin_message(tls, TLS_HANDSHAKE, CERTIFICATE_VERIFY, 4 + made.size, &w, why);
    if (rc)
        return rc;
    write_u16(&w, tls->scheme);
    write_u16(&w, (uint16_t)made.size);
    write_bytes(&w, made.bytes, made.size);
    return neap_tls_end_message(tls, TLS_HANDSHAKE, &w, why);
}

/* ---- the peer's */

static int malformed(struct failure *why)
{
    return neap_tls_alert(why, ALERT_DECODE_ERROR, "Certificate of a wrong form");
}

/* CertificateStatus (RFC 6066 §8). */
static int read_staple(const struct extensions *ext, struct span *staple, struct failure *why)
{
    struct reader r = reader_of(ext->data[EXT_STATUS_REQUEST]);

    if (!extension_present(ext, EXT_STATUS_REQUEST))
        return 0;
    uint8_t type = read_u8(&r);
    struct span response = read_vector(&r, 3);
    if (r.bad || reader_left(&r) > 0 || response.size == 0)
        return neap_tls_alert(why, ALERT_DECODE_ERROR, "certificate status of a wrong form");
    if (type != STATUS_OCSP)
        return neap_tls_alert(why, ALERT_ILLEGAL_PARAMETER,
                              "certificate status of a kind that was not asked for");
    *staple = response;
    return 0;
}

/* What a Certificate has. */
struct shown {
    struct span ders[LIMIT_TLS_CHAIN];
    size_t count;
    struct span staple; /* of the leaf; empty: none */
};

/* The entries of certificate_list; their extensions may only answer what was `asked`. */
static int read_chain(struct span body, uint32_t asked, struct shown *out, struct failure *why)
{
    size_t *count = &out->count;
    struct reader r = reader_of(body);
    struct extensions ext;

    struct span context = read_vector(&r, 1);
    struct span list = read_vector(&r, 3);
    if (r.bad || reader_left(&r) > 0)
        return malformed(why);
    if (context.size > 0)
        return neap_tls_alert(why, ALERT_ILLEGAL_PARAMETER,
                              "Certificate with a request context in the handshake");
    r = reader_of(list);
    for (*count = 0; reader_left(&r) > 0; ++*count) {
        struct span der = read_vector(&r, 3);
        struct span block = read_vector(&r, 2);
        if (r.bad || der.size == 0)
            return malformed(why);
        if (*count == LIMIT_TLS_CHAIN)
            return neap_tls_alert(why, ALERT_BAD_CERTIFICATE, "certificate chain too long");
        int rc = neap_extensions_parse(block, IN_CERTIFICATE, asked, &ext, why);
        if (!rc && *count == 0) /* what it says of authorities is passed over: lists are for those */
            rc = read_staple(&ext, &out->staple, why);
        if (rc)
            return rc;
        out->ders[*count] = der;
    }
    return 0;
}

/* RFC 8446 §4.4.2.4. */
static int on_no_certificate(struct tls *tls, struct span message, struct failure *why)
{
    if (tls->is_client)
        return neap_tls_alert(why, ALERT_DECODE_ERROR, "server sent no certificate");
    if (tls->config->client_certificate == DEMAND_REQUIRE)
        return neap_tls_alert(why, ALERT_CERTIFICATE_REQUIRED, "client sent no certificate");
    neap_schedule_add(&tls->schedule, message);
    tls->state = WAIT_CLIENT_FINISHED;
    return 0;
}

bool neap_tls_has_means(const struct tls *tls)
{
    const struct tls_config *config = tls->config;

    if (!tls->is_client)
        return !neap_trust_is_empty(config->client_trust);
    return config->trust && ((config->verify_peer && neap_trust_count(config->trust) > 0) ||
                             neap_trust_pin_count(config->trust) > 0);
}

/* Whether roots are there is looked at when they are needed: a reload may have taken them away meanwhile. A client that is to
 * verify does not go on without, whoever else is asked; a server has its application alone where it was given no roots, and no
 * revocation lists that would need them. */
static int verify_chain(struct tls *tls, struct failure *why)
{
    const struct tls_config *config = tls->config;

    if (tls->is_client && neap_tls_needs_psk(config)) /* also without verify_peer: it was set, as a pin is */
        return neap_tls_alert(why, ALERT_UNKNOWN_CA,
                              "the server did not take the pre-shared key, and nothing else vouches for it");
    if (!tls->is_client && !neap_tls_has_means(tls) && neap_tls_may_verify_clients(config))
        return 0;        /* somebody looks at it who has means of their own */
    if (!tls->is_client) /* whatever it is called: names are for the application */
        return neap_peer_chain_verify(tls->peer, config->client_trust, NULL, false, tls->wall_clock, why);
    if (!config->verify_peer) /* a pin holds even so: it was set, and says which key is meant */
        return neap_peer_chain_verify_pins(tls->peer, config->trust, why);
    if (!config->trust)
        return neap_tls_alert(why, ALERT_UNKNOWN_CA, "there are no roots to check the certificate against");
    return neap_peer_chain_verify(tls->peer, config->trust, tls->server_name, true, tls->wall_clock, why);
}

int neap_tls_on_certificate(struct tls *tls, struct span message, struct failure *why)
{
    struct span body = span_of(message.data + MESSAGE_HEADER, message.size - MESSAGE_HEADER);

    return neap_tls_take_certificate(tls, body, message, why);
}

int neap_tls_take_certificate(struct tls *tls, struct span body, struct span message, struct failure *why)
{
    enum staple_demand demand = tls->is_client ? tls->config->staple : STAPLE_IGNORED;
    uint32_t asked = demand != STAPLE_IGNORED ? extension_bit(EXT_STATUS_REQUEST) : 0;
    struct shown shown = {0};

    int rc = read_chain(body, asked, &shown, why);
    if (rc)
        return rc;
    if (shown.count == 0)
        return on_no_certificate(tls, message, why);
    rc = neap_tls_keep_peer(tls, shown.ders, shown.count, why);
    if (rc)
        return rc;
    neap_peer_chain_set_staple(tls->peer, shown.staple, demand);
    rc = verify_chain(tls, why);
    neap_peer_chain_set_staple(tls->peer, (struct span){0}, STAPLE_IGNORED);
    if (rc)
        return rc;
    tls->is_vouched_for = neap_tls_has_means(tls);
    int64_t not_after = neap_peer_chain_not_after(tls->peer);
    if ((!tls->is_client || tls->config->verify_peer) && not_after < tls->good_until)
        tls->good_until = not_after;
    /* Roots and lists may have changed since the hello, and these are those that vouched for it. */
    if (tls->is_client)
        neap_client_hold_binding(tls);
    else
        neap_session_binding(tls->config, tls->identity, tls->binding);
    neap_schedule_add(&tls->schedule, message);
    tls->state = tls->is_client ? WAIT_CERTIFICATE_VERIFY : WAIT_CLIENT_CERTIFICATE_VERIFY;
    return 0;
}

static bool offered_scheme(uint16_t scheme)
{
    size_t count;
    const uint16_t *schemes = neap_schemes(&count);

    for (size_t i = 0; i < count; i++)
        if (schemes[i] == scheme)
            return true;
    return false;
}

/* The peer has shown that the certificate is its own: only now it is worth a question. */
static int take_peer(struct tls *tls, struct failure *why)
{
    int rc = neap_tls_ask_peer(tls, take_peer, why);

    if (rc)
        return rc;
    tls->state = tls->is_client ? WAIT_SERVER_FINISHED : WAIT_CLIENT_FINISHED;
    return 0;
}

int neap_tls_on_certificate_verify(struct tls *tls, struct span message, struct failure *why)
{
    struct reader r = reader_of(span_of(message.data + MESSAGE_HEADER, message.size - MESSAGE_HEADER));
    uint8_t content[SIGNED_MOST];

    uint16_t scheme = read_u16(&r);
    struct span signature = read_vector(&r, 2);
    if (r.bad || reader_left(&r) > 0)
        return neap_tls_alert(why, ALERT_DECODE_ERROR, "CertificateVerify of a wrong form");
    if (!offered_scheme(scheme))
        return neap_tls_alert(why, ALERT_ILLEGAL_PARAMETER, "signature scheme that was not offered");
    int rc = neap_peer_chain_verify_signature(tls->peer, scheme,
                                              signed_content(tls, !tls->is_client, content), signature);
    if (rc == NEAP_ERR_CRYPTO)
        return neap_tls_alert(why, ALERT_DECRYPT_ERROR, "signature does not fit the handshake");
    if (rc)
        return neap_fail(why, rc, "signature could not be checked");
    neap_schedule_add(&tls->schedule, message);
    return take_peer(tls, why);
}
