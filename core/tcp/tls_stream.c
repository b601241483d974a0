/* One connection of TLS over a stream of bytes: Mbed TLS reads what `receive` was given and writes into a buffer for `send`. */
#include "base/pool.h"
#include "tcp/tls_inner.h"

#include <mbedtls/error.h>

#define ALERT_ROOM 512u      /* bytes of the buffer that are kept for alerts */
#define RECORD_OVERHEAD 64u  /* header, nonce, tag and the type inside, and some */
#define ALERT_BAD_RECORD 20u /* RFC 8446 §6.2 */

/* With authenticated encryption and fresh keys of an elliptic curve, as HTTP/2 wants them (RFC 9113 §9.2.2). */
static const struct {
    int number;
    const char *name;
} suites[] = {
#if MBED_IS_3 /* a server of 2.28 fails where it knows a suite of its list not */
    {0x1301, "TLS_AES_128_GCM_SHA256"},
    {0x1302, "TLS_AES_256_GCM_SHA384"},
    {0x1303, "TLS_CHACHA20_POLY1305_SHA256"},
#endif
    {0xc02b, "TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256"},
    {0xc02f, "TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256"},
    {0xcca9, "TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256"},
    {0xcca8, "TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256"},
    {0xc02c, "TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384"},
    {0xc030, "TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384"},
};
#define SUITES (sizeof suites / sizeof *suites)

/* ---- failures */

int neap_tls_stream_fail(struct tls_stream *stream, int code, const char *reason)
{
    if (stream->failure.code)
        return stream->failure.code;
    snprintf(stream->reason, sizeof stream->reason, "%s", reason);
    stream->failure = (struct failure){.code = code, .reason = stream->reason};
    return code;
}

static int alert_of(int error)
{
    switch (error) {
    case MBEDTLS_ERR_SSL_INVALID_MAC: return (int)ALERT_BAD_RECORD;
    case MBEDTLS_ERR_SSL_UNEXPECTED_MESSAGE: return ALERT_UNEXPECTED_MESSAGE;
#if MBED_IS_3
    case MBEDTLS_ERR_SSL_BAD_PROTOCOL_VERSION: return ALERT_PROTOCOL_VERSION;
    case MBEDTLS_ERR_SSL_NO_APPLICATION_PROTOCOL: return ALERT_NO_APPLICATION_PROTOCOL;
    case MBEDTLS_ERR_SSL_UNRECOGNIZED_NAME: return ALERT_UNRECOGNIZED_NAME;
#else
    case MBEDTLS_ERR_SSL_BAD_HS_PROTOCOL_VERSION: return ALERT_PROTOCOL_VERSION;
    case MBEDTLS_ERR_SSL_BAD_HS_SERVER_HELLO:
    case MBEDTLS_ERR_SSL_BAD_HS_CLIENT_HELLO: return ALERT_DECODE_ERROR;
#endif
    default: return ALERT_HANDSHAKE_FAILURE;
    }
}

/* What Mbed TLS returned is the end of it. */
static void fail(struct tls_stream *stream, int error)
{
    char text[LIMIT_CLOSE_REASON] = "";

    stream->state = TLS_STREAM_FAILED;
    if (error == MBEDTLS_ERR_SSL_ALLOC_FAILED) {
        neap_tls_stream_fail(stream, NEAP_ERR_NO_MEMORY, "no memory for TLS");
    } else if (error == MBEDTLS_ERR_SSL_CONN_EOF) {
        neap_tls_stream_fail(stream, NEAP_ERR_CLOSED, "the connection ended without close_notify");
    } else if (error == MBEDTLS_ERR_SSL_FATAL_ALERT_MESSAGE) {
#if MBED_IS_3
        int alert = stream->ssl.MBEDTLS_PRIVATE(in_msg)[1];
#else
        int alert = stream->ssl.in_msg[1];
#endif
        snprintf(text, sizeof text, "the peer ended it by alert %d", alert);
        neap_tls_stream_fail(stream, NEAP_CRYPTO_ERROR + alert, text);
    } else {
#if !defined NEAP_NO_REASONS && defined MBEDTLS_ERROR_C
        mbedtls_strerror(error, text, sizeof text);
#endif
        neap_tls_stream_fail(stream, NEAP_CRYPTO_ERROR + (stream->alert ? stream->alert : alert_of(error)),
                             text);
    }
}

static bool is_over(const struct tls_stream *stream)
{
    return stream->state == TLS_STREAM_FAILED || stream->state == TLS_STREAM_CLOSED;
}

static bool is_done(const struct tls_stream *stream)
{
    return stream->state == TLS_STREAM_OPEN || stream->state == TLS_STREAM_ENDED;
}

static bool waits(int result)
{
    return result == MBEDTLS_ERR_SSL_WANT_READ || result == MBEDTLS_ERR_SSL_WANT_WRITE;
}

/* ---- bytes, as Mbed TLS asks for them */

static int give_bytes(void *context, unsigned char *out, size_t size)
{
    struct tls_stream *stream = context;
    size_t count = size < stream->in.size ? size : stream->in.size;

    if (count == 0)
        return stream->is_at_end ? MBEDTLS_ERR_SSL_CONN_EOF : MBEDTLS_ERR_SSL_WANT_READ;
    if (stream->state == TLS_STREAM_HANDSHAKE) {
        stream->handshake_size += count;
        if (stream->handshake_size >
            (stream->side->is_server ? LIMIT_TLS_STREAM_HELLOS : LIMIT_TLS_STREAM_FLIGHT)) {
            neap_tls_stream_fail(stream, NEAP_ERR_LIMIT, "the peer's handshake is too long");
            return MBEDTLS_ERR_SSL_INTERNAL_ERROR;
        }
    }
    memcpy(out, stream->in.data, count);
    stream->in = span_after(stream->in, count);
    return (int)count;
}

/* Mbed TLS does not tell which alert it sends. */
static int read_alert(const unsigned char *record, size_t size)
{
    bool is_alert = size == 7 && record[0] == MBEDTLS_SSL_MSG_ALERT && record[4] == 2;

    return is_alert && record[5] == MBEDTLS_SSL_ALERT_LEVEL_FATAL ? record[6] : 0;
}

static int take_bytes(void *context, const unsigned char *bytes, size_t size)
{
    struct tls_stream *stream = context;
    int alert = read_alert(bytes, size);

    if (alert)
        stream->alert = alert;
    if (!stream->out) {
        stream->out = neap_pool_alloc_unset(stream->side->config->pool, LIMIT_TLS_STREAM_SEND);
        stream->out_begin = stream->out_end = 0;
    }
    if (!stream->out)
        return MBEDTLS_ERR_SSL_ALLOC_FAILED;
    size_t room = LIMIT_TLS_STREAM_SEND - stream->out_end;
    size_t count = size < room ? size : room;
    if (count == 0)
        return MBEDTLS_ERR_SSL_WANT_WRITE;
    memcpy(stream->out + stream->out_end, bytes, count);
    stream->out_end += count;
    return (int)count;
}

/* ---- setting up */

static int add_to_config(struct tls_stream *stream, mbedtls_x509_crt *chain, mbedtls_pk_context *key)
{
    return mbedtls_ssl_conf_own_cert(&stream->config, chain, key);
}

static int add_to_handshake(struct tls_stream *stream, mbedtls_x509_crt *chain, mbedtls_pk_context *key)
{
    return mbedtls_ssl_set_hs_own_cert(&stream->ssl, chain, key);
}

static char lower(char c)
{
    return (char)(c >= 'A' && c <= 'Z' ? c + ('a' - 'A') : c);
}

static void keep_name(struct tls_stream *stream, const char *name, size_t size)
{
    for (size_t i = 0; i < size; i++)
        stream->server_name[i] = lower(name[i]);
    stream->server_name[size] = '\0';
}

static bool is_kept(const struct tls_stream *stream, const char *name, size_t size)
{
    for (size_t i = 0; i < size; i++) {
        if (lower(name[i]) != stream->server_name[i])
            return false;
    }
    return stream->server_name[size] == '\0';
}

/* A client asks for a name, and for the same when it was asked for another key share (RFC 8446 §4.1.2): it has its certificates
 * then. Not 0: it is refused by unrecognized_name. */
static int on_name(void *context, mbedtls_ssl_context *ssl, const unsigned char *name, size_t size)
{
    struct tls_stream *stream = context;

    (void)ssl;
    if (size == 0 || size > LIMIT_SERVER_NAME || memchr(name, '\0', size))
        return -1;
    if (stream->server_name[0])
        return is_kept(stream, (const char *)name, size) ? 0 : -1;
    keep_name(stream, (const char *)name, size);
    return neap_tls_side_offer(stream, stream->server_name, add_to_handshake) ? 0 : -1;
}

static void set_parameters(mbedtls_ssl_config *config)
{
    static int numbers[SUITES + 1];
#if MBED_IS_3
    static const uint16_t groups[] = {MBEDTLS_SSL_IANA_TLS_GROUP_X25519, MBEDTLS_SSL_IANA_TLS_GROUP_SECP256R1,
                                      MBEDTLS_SSL_IANA_TLS_GROUP_SECP384R1, 0};

    mbedtls_ssl_conf_groups(config, groups);
    mbedtls_ssl_conf_min_tls_version(config, MBEDTLS_SSL_VERSION_TLS1_2);
#else
    static const mbedtls_ecp_group_id groups[] = {MBEDTLS_ECP_DP_CURVE25519, MBEDTLS_ECP_DP_SECP256R1,
                                                  MBEDTLS_ECP_DP_SECP384R1, MBEDTLS_ECP_DP_NONE};
    static const int hashes[] = {MBEDTLS_MD_SHA256, MBEDTLS_MD_SHA384, MBEDTLS_MD_SHA512, MBEDTLS_MD_NONE};

    mbedtls_ssl_conf_curves(config, groups);
    mbedtls_ssl_conf_sig_hashes(config, hashes);
    mbedtls_ssl_conf_min_version(config, MBEDTLS_SSL_MAJOR_VERSION_3, MBEDTLS_SSL_MINOR_VERSION_3);
#endif
    for (size_t i = 0; i < SUITES; i++)
        numbers[i] = suites[i].number;
    mbedtls_ssl_conf_ciphersuites(config, numbers);
#ifdef MBEDTLS_SSL_RENEGOTIATION
    mbedtls_ssl_conf_renegotiation(config, MBEDTLS_SSL_RENEGOTIATION_DISABLED);
#endif
#ifdef MBEDTLS_SSL_SESSION_TICKETS
    mbedtls_ssl_conf_session_tickets(config, MBEDTLS_SSL_SESSION_TICKETS_DISABLED);
#endif
}

/* With a list of roots that is empty nothing is looked for in vain; the verdict is neap_tls_stream_verify's. */
static void set_verification(struct tls_stream *stream)
{
    static mbedtls_x509_crt no_roots;
    enum certificate_demand demand = stream->side->config->tls.client_certificate;
    int mode = MBEDTLS_SSL_VERIFY_REQUIRED;

    if (stream->side->is_server && demand != DEMAND_REQUIRE)
        mode = demand == DEMAND_NONE ? MBEDTLS_SSL_VERIFY_NONE : MBEDTLS_SSL_VERIFY_OPTIONAL;
    mbedtls_ssl_conf_authmode(&stream->config, mode);
    mbedtls_ssl_conf_ca_chain(&stream->config, &no_roots, NULL);
    mbedtls_ssl_conf_verify(&stream->config, neap_tls_stream_verify, stream);
}

static int set_up(struct tls_stream *stream)
{
    struct tls_side *side = stream->side;
    mbedtls_ssl_config *config = &stream->config;
    int error =
        mbedtls_ssl_config_defaults(config, side->is_server ? MBEDTLS_SSL_IS_SERVER : MBEDTLS_SSL_IS_CLIENT,
                                    MBEDTLS_SSL_TRANSPORT_STREAM, MBEDTLS_SSL_PRESET_DEFAULT);

    if (error)
        return error;
#if !MBED_IS_4
    mbedtls_ssl_conf_rng(config, tls_stream_draw, side->config->crypto);
#endif
    set_parameters(config);
    set_verification(stream);
    if (side->protocols[0])
        error = mbedtls_ssl_conf_alpn_protocols(config, side->protocols);
    if (side->is_server)
        mbedtls_ssl_conf_sni(config, on_name, stream);
    neap_tls_side_offer(stream, "", add_to_config);
    if (!error)
        error = mbedtls_ssl_setup(&stream->ssl, config);
    if (error)
        return error;
    mbedtls_ssl_set_bio(&stream->ssl, stream, take_bytes, give_bytes, NULL);
    return 0;
}

/* An IP address is checked against the certificate but is not a name to send (RFC 6066 §3). */
static bool is_address(const char *name)
{
    return strchr(name, ':') || strspn(name, "0123456789.") == strlen(name);
}

static int set_name(struct tls_stream *stream, const char *name, struct failure *why)
{
    const neap_config *config = stream->side->config;
    size_t size = name ? strlen(name) : 0;

    if (stream->side->is_server)
        return 0;
    if (neap_config_lacks_trust(config))
        return neap_fail(why, NEAP_ERR_CERTIFICATE, "nothing is trusted: no root certificates and no pins");
    if (size > 1 && name[size - 1] == '.')
        size--; /* the root's dot is no part of SNI nor of a certificate (RFC 6066 §3) */
    if (size > LIMIT_SERVER_NAME)
        return neap_fail(why, NEAP_ERR_ARGUMENT, "server name too long");
    if (size == 0 && config->tls.verify_peer && neap_trust_count(config->tls.trust) > 0)
        return neap_fail(why, NEAP_ERR_ARGUMENT, "a server name is needed to check the certificate against");
    keep_name(stream, name ? name : "", size);
    bool is_sent = size > 0 && !is_address(stream->server_name);
    if (mbedtls_ssl_set_hostname(&stream->ssl, is_sent ? stream->server_name : NULL))
        return neap_fail(why, NEAP_ERR_NO_MEMORY, "no memory for TLS");
    return 0;
}

/* ---- driving it */

static void step_handshake(struct tls_stream *stream)
{
    int result = mbedtls_ssl_handshake(&stream->ssl);

    if (result == 0)
        stream->state = TLS_STREAM_OPEN;
    else if (!waits(result))
        fail(stream, result);
}

/* Until there is plaintext, or nothing left to make some of. Each turn takes a record. */
static void step_reading(struct tls_stream *stream)
{
    unsigned char nothing;

    while (mbedtls_ssl_get_bytes_avail(&stream->ssl) == 0) {
        size_t before = stream->in.size;
        int result = mbedtls_ssl_read(&stream->ssl, &nothing, 0);

        if (result == MBEDTLS_ERR_SSL_PEER_CLOSE_NOTIFY) {
            stream->state = TLS_STREAM_ENDED;
            return;
        }
        if (result == 0 && stream->is_at_end && stream->in.size == 0 &&
            mbedtls_ssl_get_bytes_avail(&stream->ssl) == 0) {
            fail(stream, MBEDTLS_ERR_SSL_CONN_EOF);
            return;
        }
#if MBED_IS_3
        if (result == MBEDTLS_ERR_SSL_RECEIVED_NEW_SESSION_TICKET)
            continue;
#endif
        if (result < 0 && !waits(result)) {
            fail(stream, result);
            return;
        }
        if (result == MBEDTLS_ERR_SSL_WANT_WRITE) { /* room for alerts is kept: it was used up by answers */
            neap_tls_stream_fail(stream, NEAP_ERR_LIMIT, "the peer has us answer, and does not read");
            stream->state = TLS_STREAM_FAILED;
            return;
        }
        if (stream->in.size == before && waits(result))
            return;
    }
}

static void step_closing(struct tls_stream *stream)
{
    if (mbedtls_ssl_close_notify(&stream->ssl) != MBEDTLS_ERR_SSL_WANT_WRITE)
        stream->is_closing = false;
}

static void drive(struct tls_stream *stream)
{
    if (stream->state == TLS_STREAM_HANDSHAKE)
        step_handshake(stream);
    if (stream->state == TLS_STREAM_OPEN)
        step_reading(stream);
    if (stream->is_closing)
        step_closing(stream);
}

/* ---- its life */

struct tls_stream *neap_tls_stream_new(struct tls_side *side, const char *name, struct failure *why)
{
    struct tls_stream *stream = neap_pool_alloc(side->config->pool, sizeof *stream);

    if (!stream) {
        neap_fail(why, NEAP_ERR_NO_MEMORY, "no memory for TLS");
        return NULL;
    }
    neap_random_refresh(neap_crypto_random(side->config->crypto), neap_config_wall_clock(side->config));
    stream->side = side;
    neap_tls_side_retain(side);
    mbedtls_ssl_init(&stream->ssl);
    mbedtls_ssl_config_init(&stream->config);
    int error = set_up(stream);
    if (error)
        neap_fail(why, error == MBEDTLS_ERR_SSL_ALLOC_FAILED ? NEAP_ERR_NO_MEMORY : NEAP_ERR_CRYPTO,
                  "TLS could not be set up");
    if (!error)
        error = set_name(stream, name, why);
    if (error) {
        neap_tls_stream_free(stream);
        return NULL;
    }
    if (!side->is_server)
        drive(stream);
    return stream;
}

static void drop_out(struct tls_stream *stream)
{
    neap_pool_free(stream->side->config->pool, stream->out, LIMIT_TLS_STREAM_SEND);
    stream->out = NULL;
    stream->out_begin = stream->out_end = 0;
}

void neap_tls_stream_free(struct tls_stream *stream)
{
    if (!stream)
        return;
    struct tls_side *side = stream->side;
    mbedtls_ssl_free(&stream->ssl);
    mbedtls_ssl_config_free(&stream->config);
    for (size_t i = 0; i < stream->credentials_count; i++)
        neap_tls_credentials_free(stream->credentials[i]);
    neap_peer_chain_free(stream->peer);
    drop_out(stream);
    neap_pool_free_secret(side->config->pool, stream, sizeof *stream);
    neap_tls_side_free(side);
}

enum tls_stream_state neap_tls_stream_state(const struct tls_stream *stream)
{
    return stream->state;
}

const struct failure *neap_tls_stream_failure(const struct tls_stream *stream)
{
    return &stream->failure;
}

/* ---- bytes of the connection */

size_t neap_tls_stream_receive(struct tls_stream *stream, const uint8_t *bytes, size_t size)
{
    if (is_over(stream) || stream->state == TLS_STREAM_ENDED)
        return size;
    stream->in = span_of(bytes, size);
    drive(stream);
    size_t left = is_over(stream) || stream->state == TLS_STREAM_ENDED ? 0 : stream->in.size;
    stream->in = (struct span){0};
    return size - left;
}

void neap_tls_stream_end_of_input(struct tls_stream *stream)
{
    if (stream->is_at_end)
        return;
    stream->is_at_end = true;
    drive(stream);
}

static size_t give_out(struct tls_stream *stream, uint8_t *out, size_t size)
{
    size_t left = stream->out_end - stream->out_begin;
    size_t count = size < left ? size : left;

    if (count)
        memcpy(out, stream->out + stream->out_begin, count);
    stream->out_begin += count;
    if (stream->out && stream->out_begin == stream->out_end)
        drop_out(stream);
    return count;
}

size_t neap_tls_stream_send(struct tls_stream *stream, uint8_t *out, size_t size)
{
    size_t count = give_out(stream, out, size);

    /* What found no room goes on where there is some again. */
    while (count < size && !stream->out) {
        drive(stream);
        size_t more = give_out(stream, out + count, size - count);
        if (more == 0)
            break;
        count += more;
    }
    return count;
}

/* ---- plaintext */

size_t neap_tls_stream_read(struct tls_stream *stream, uint8_t *out, size_t size)
{
    size_t count = mbedtls_ssl_get_bytes_avail(&stream->ssl);

    if (count == 0 || size == 0 || stream->state == TLS_STREAM_HANDSHAKE)
        return 0;
    int result = mbedtls_ssl_read(&stream->ssl, out, count < size ? count : size);
    /* The end may have been behind it. */
    if (stream->is_at_end)
        drive(stream);
    return result > 0 ? (size_t)result : 0;
}

size_t neap_tls_stream_capacity(const struct tls_stream *stream)
{
    size_t taken = stream->out_end + ALERT_ROOM + RECORD_OVERHEAD;

    if (!is_done(stream) || stream->sends_no_more)
        return 0;
    return taken < LIMIT_TLS_STREAM_SEND ? LIMIT_TLS_STREAM_SEND - taken : 0;
}

/* Moves what waits to the begin of the buffer, for more behind it. */
static void make_room(struct tls_stream *stream)
{
    if (stream->out_begin == 0)
        return;
    memmove(stream->out, stream->out + stream->out_begin, stream->out_end - stream->out_begin);
    stream->out_end -= stream->out_begin;
    stream->out_begin = 0;
}

size_t neap_tls_stream_write(struct tls_stream *stream, const uint8_t *bytes, size_t size)
{
    size_t count = 0;

    make_room(stream);
    while (count < size && neap_tls_stream_capacity(stream) > 0) {
        size_t room = neap_tls_stream_capacity(stream), rest = size - count;
        int result = mbedtls_ssl_write(&stream->ssl, bytes + count, rest < room ? rest : room);

        if (result < 0 && !waits(result))
            fail(stream, result);
        if (result <= 0)
            break;
        count += (size_t)result;
    }
    return count;
}

void neap_tls_stream_end_output(struct tls_stream *stream)
{
    if (!is_done(stream) || stream->sends_no_more)
        return;
    stream->sends_no_more = stream->is_closing = true;
    drive(stream);
}

void neap_tls_stream_close(struct tls_stream *stream)
{
    if (is_over(stream))
        return;
    neap_tls_stream_end_output(stream);
    if (is_over(stream))
        return;
    stream->state = TLS_STREAM_CLOSED;
    drive(stream);
}

/* ---- what was agreed upon */

const char *neap_tls_stream_protocol(const struct tls_stream *stream)
{
    const char *protocol = is_done(stream) ? mbedtls_ssl_get_alpn_protocol(&stream->ssl) : NULL;

    return protocol ? protocol : "";
}

const char *neap_tls_stream_server_name(const struct tls_stream *stream)
{
    return stream->server_name;
}

const char *neap_tls_stream_version(const struct tls_stream *stream)
{
    return is_done(stream) ? mbedtls_ssl_get_version(&stream->ssl) : "";
}

const char *neap_tls_stream_suite(const struct tls_stream *stream)
{
    int number =
        is_done(stream) ? mbedtls_ssl_get_ciphersuite_id(mbedtls_ssl_get_ciphersuite(&stream->ssl)) : 0;

    for (size_t i = 0; i < SUITES; i++)
        if (suites[i].number == number)
            return suites[i].name;
    return "";
}

struct span neap_tls_stream_peer_certificate(const struct tls_stream *stream, size_t index)
{
    return stream->peer && is_done(stream) ? neap_peer_chain_at(stream->peer, index) : (struct span){0};
}
