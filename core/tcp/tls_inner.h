/* Inside of TLS over streams: what its files share, and where Mbed TLS 2.28, 3.6 and 4 differ. */
#ifndef NEAP_TCP_TLS_INNER_H
#define NEAP_TCP_TLS_INNER_H

#include "base/limits.h"
#include "quic/config.h"
#include "tcp/tls.h"

#include <mbedtls/ssl.h>
#include <mbedtls/version.h>

#define MBED_IS_3 (MBEDTLS_VERSION_NUMBER >= 0x03000000)
#define MBED_IS_4 (MBEDTLS_VERSION_NUMBER >= 0x04000000)

/* A certificate chain of ours with its key, as Mbed TLS wants them. Counted: by the side, and by streams. */
struct tls_credentials {
    struct tls_credentials *next; /* of the side's */
    struct pool *pool;
    struct identity *identity; /* what it was made of; held, so that no other is taken for it */
    unsigned references;
    mbedtls_x509_crt chain;
    mbedtls_pk_context key;
};

struct tls_side {
    neap_config *config;
    unsigned references;
    bool is_server;
    struct tls_credentials *credentials; /* used last first */
    size_t count;
    uint64_t reloads; /* of the config when they were made */
    const char *protocols[LIMIT_TLS_STREAM_PROTOCOLS + 1];
    char names[LIMIT_TLS_STREAM_PROTOCOLS][LIMIT_ALPN + 1];
};

/* For a name one with an ECDSA key and one with RSA, before and after the name is known. */
#define TLS_STREAM_CREDENTIALS 4u

struct tls_stream {
    struct tls_side *side;
    enum tls_stream_state state;
    bool sends_no_more;    /* close_notify is said, or */
    bool is_closing;       /* owed */
    bool is_at_end;        /* no more bytes come */
    struct span in;        /* what `receive` was given and Mbed TLS has not read */
    size_t handshake_size; /* bytes read for the handshake */
    uint8_t *out;          /* LIMIT_TLS_STREAM_SEND bytes, while something is to be sent */
    size_t out_begin, out_end;
    int alert; /* the last that left in the clear; 0: none */
    struct failure failure;
    struct peer_chain *peer;
    struct tls_credentials *credentials[TLS_STREAM_CREDENTIALS];
    size_t credentials_count;
    char server_name[LIMIT_SERVER_NAME + 1];
    char reason[LIMIT_CLOSE_REASON]; /* of the failure, when its text belongs to somebody else */
    mbedtls_ssl_context ssl;
    mbedtls_ssl_config config;
};

#if !MBED_IS_4
/* The config's generator in the form in which Mbed TLS calls it; 4 has one of its own. */
static inline int tls_stream_draw(void *crypto, unsigned char *out, size_t size)
{
    neap_random_bytes(neap_crypto_random(crypto), out, size);
    return 0;
}
#endif

static inline void neap_tls_side_retain(struct tls_side *side)
{
    side->references++;
}

/** Have the stream show certificates for a name (a client's: ""), by `add`: at most one with an ECDSA key and one with RSA. How
 * many; 0 also without memory. */
unsigned neap_tls_side_offer(struct tls_stream *stream, const char *name,
                             int (*add)(struct tls_stream *stream, mbedtls_x509_crt *chain,
                                        mbedtls_pk_context *key));
void neap_tls_credentials_free(struct tls_credentials *credentials);

/** What Mbed TLS calls for each certificate of the peer's chain: the leaf comes last, and is verified by the config. */
int neap_tls_stream_verify(void *context, mbedtls_x509_crt *certificate, int depth, uint32_t *flags);

/** The stream is over: the first reason counts, and its text is copied. The code. */
int neap_tls_stream_fail(struct tls_stream *stream, int code, const char *reason);

#endif
