/* Verifying a peer of TLS over streams by our own check of its path, from inside of Mbed TLS's handshake. */
#include "base/pool.h"
#include "tcp/tls_inner.h"

/* What Mbed TLS makes an alert of. */
static uint32_t flag_of(int code)
{
    switch (code - NEAP_CRYPTO_ERROR) {
    case ALERT_CERTIFICATE_EXPIRED: return MBEDTLS_X509_BADCERT_EXPIRED;
    case 44: /* certificate_revoked */ return MBEDTLS_X509_BADCERT_REVOKED;
    case ALERT_UNKNOWN_CA: return MBEDTLS_X509_BADCERT_NOT_TRUSTED;
    case ALERT_UNSUPPORTED_CERTIFICATE: return MBEDTLS_X509_BADCERT_KEY_USAGE;
    case ALERT_CERTIFICATE_UNKNOWN:
        return MBEDTLS_X509_BADCERT_BAD_MD;           /* one of those without an alert of their own */
    default: return MBEDTLS_X509_BADCERT_CN_MISMATCH; /* bad_certificate */
    }
}

static int keep_chain(struct tls_stream *stream, const mbedtls_x509_crt *leaf, struct failure *why)
{
    struct span ders[LIMIT_TLS_CHAIN];
    size_t count = 0;

    for (const mbedtls_x509_crt *at = leaf; at; at = at->next) {
        if (count == LIMIT_TLS_CHAIN)
            return neap_fail(why, NEAP_CRYPTO_ERROR + ALERT_BAD_CERTIFICATE, "certificate chain too long");
        ders[count++] = span_of(at->raw.p, at->raw.len);
    }
    neap_peer_chain_free(stream->peer);
    stream->peer = neap_peer_chain_new(stream->side->config->crypto, ders, count, why);
    return stream->peer ? 0 : why->code;
}

/* As core/tls does for QUIC. */
static int check(struct tls_stream *stream, struct failure *why)
{
    const neap_config *config = stream->side->config;
    const struct tls_config *tls = &config->tls;
    int64_t now = neap_config_wall_clock(config);

    if (stream->side->is_server)
        return neap_peer_chain_verify(stream->peer, tls->client_trust, NULL, false, now, why);
    if (!tls->verify_peer) /* a pin holds even so: it was set, and says which key is meant */
        return neap_peer_chain_verify_pins(stream->peer, tls->trust, why);
    neap_peer_chain_set_staple(stream->peer, (struct span){0}, tls->staple);
    return neap_peer_chain_verify(stream->peer, tls->trust, stream->server_name, true, now, why);
}

/* What Mbed TLS thinks of the chain, by no roots at all, is put aside. */
int neap_tls_stream_verify(void *context, mbedtls_x509_crt *certificate, int depth, uint32_t *flags)
{
    struct tls_stream *stream = context;
    struct failure why = {0};

    *flags = 0;
    if (depth > 0)
        return 0;
    int rc = keep_chain(stream, certificate, &why);
    if (!rc)
        rc = check(stream, &why);
    if (!rc)
        return 0;
    neap_tls_stream_fail(stream, rc, why.reason);
    *flags = flag_of(rc);
    /* Where a client may show none, flags would let it in with one that is not good. */
    return stream->side->is_server && stream->side->config->tls.client_certificate == DEMAND_REQUEST
               ? MBEDTLS_ERR_X509_FATAL_ERROR
               : 0;
}
