/* TLS 1.2 and 1.3 (RFC 5246, RFC 8446) over a stream of bytes, without its socket: Mbed TLS's own, set up by a config of neap.h.
 * Certificates, roots, pins and client certificates are those of QUIC, and peers are verified by the same check of the path. */
#ifndef NEAP_TCP_TLS_H
#define NEAP_TCP_TLS_H

#include "base/failure.h"
#include "base/span.h"
#include "neap.h"

/* What the streams of one config and one side share. */
struct tls_side;
/* One connection. */
struct tls_stream;

/** Whether this build has TLS over streams. */
bool neap_tls_stream_is_available(void);

/** One side of TLS by `config`, of which it holds a reference. `protocols` (ALPN, in order of preference, NULL ends; NULL: none
 * are spoken of) are copied: four at most. Certificates, trust and client certificates are the config's at the time of each
 * handshake, so that a reload counts from the next one on. NULL with *why: NEAP_ERR_NO_MEMORY; NEAP_ERR_UNSUPPORTED for a build
 * without TLS, and for what a config asks that is of QUIC's handshakes alone (questions to the application, a required OCSP
 * response); NEAP_ERR_ARGUMENT for protocols of more than LIMIT_ALPN bytes; NEAP_ERR_CERTIFICATE for a server without
 * certificates, or that asks for certificates of clients and has nothing to verify them with. */
struct tls_side *neap_tls_side_new(neap_config *config, bool is_server, const char *const *protocols,
                                   struct failure *why);
/** Its streams live on. NULL is fine. */
void neap_tls_side_free(struct tls_side *side);

/** A new connection. `name` is the server's, for a client: a host name (also its SNI) or an IP address, verified in the
 * certificate; a server's is NULL. A client has its hello to send at once. NULL with *why: NEAP_ERR_NO_MEMORY, _ARGUMENT,
 * NEAP_ERR_CERTIFICATE (a client that verifies and trusts nobody). */
struct tls_stream *neap_tls_stream_new(struct tls_side *side, const char *name, struct failure *why);
/** Nothing is sent: close first. NULL is fine. */
void neap_tls_stream_free(struct tls_stream *stream);

enum tls_stream_state {
    TLS_STREAM_HANDSHAKE,
    TLS_STREAM_OPEN,   /* the peer is who it should be: plaintext goes both ways */
    TLS_STREAM_ENDED,  /* the peer has said that it sends no more (close_notify); writing may go on */
    TLS_STREAM_CLOSED, /* we have said so: what is left of `send` is sent, then it is over */
    TLS_STREAM_FAILED  /* neap_tls_stream_failure says why; an alert may be left to send */
};
enum tls_stream_state neap_tls_stream_state(const struct tls_stream *stream);
/** Why it has failed: a code above 0 is NEAP_CRYPTO_ERROR + the alert, ours or the peer's; below 0 it is ours, and
 * NEAP_ERR_CLOSED where the stream of bytes ended without close_notify. The code is 0 while it has not; good until it is freed. */
const struct failure *neap_tls_stream_failure(const struct tls_stream *stream);

/** Takes bytes of the connection, in order: how many. The rest is offered again once plaintext was read (a record at most is
 * held) or what is to be sent was. Never negative: of a stream that is over all is taken, and nothing comes of it. */
size_t neap_tls_stream_receive(struct tls_stream *stream, const uint8_t *bytes, size_t size);
/** No more bytes come, and all that did were taken. Without close_notify before it the stream has failed: what was read may lack its end. */
void neap_tls_stream_end_of_input(struct tls_stream *stream);
/** Bytes for the connection: how many, 0 when there are none. Also after it has failed: the alert. */
size_t neap_tls_stream_send(struct tls_stream *stream, uint8_t *out, size_t size);

/** Plaintext that came: how many bytes, 0 when there is none now (see the state whether more may come). */
size_t neap_tls_stream_read(struct tls_stream *stream, uint8_t *out, size_t size);
/** Plaintext for the peer: how many bytes were taken, 0 before the handshake is done, after close or end_output, or while
 * LIMIT_TLS_STREAM_SEND bytes wait for neap_tls_stream_send. */
size_t neap_tls_stream_write(struct tls_stream *stream, const uint8_t *bytes, size_t size);
/** About how much neap_tls_stream_write would take. */
size_t neap_tls_stream_capacity(const struct tls_stream *stream);
/** Says that we send no more (close_notify), behind what was written. A handshake is given up. */
void neap_tls_stream_close(struct tls_stream *stream);
/** The same, while what the peer sends is still read: the state stays until it has ended too, or close is called. */
void neap_tls_stream_end_output(struct tls_stream *stream);

/** The protocol that was agreed upon; "" before, or when none was. */
const char *neap_tls_stream_protocol(const struct tls_stream *stream);
/** A server's: the name that the client asked for, in lower case; a client's: the one it was given. "" for none. */
const char *neap_tls_stream_server_name(const struct tls_stream *stream);
/** "TLSv1.2", "TLSv1.3"; "" during the handshake. */
const char *neap_tls_stream_version(const struct tls_stream *stream);
/** The name of the cipher suite in IANA's registry; "" during the handshake. */
const char *neap_tls_stream_suite(const struct tls_stream *stream);
/** DER of a certificate that the peer showed, leaf first, verified unless the config says otherwise; empty behind the last, when
 * it showed none, and before the handshake is done. The stream's. */
struct span neap_tls_stream_peer_certificate(const struct tls_stream *stream, size_t index);

#endif
