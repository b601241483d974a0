/* The inside of a handshake, shared by the files of this folder: the state, and what a message is written with. */
#ifndef NEAP_TLS_STATE_H
#define NEAP_TLS_STATE_H

#include <limits.h>

#include "base/limits.h"
#include "base/writer.h"
#include "neap.h"
#include "tls/schedule.h"
#include "tls/tls.h"

enum handshake_type {
    CLIENT_HELLO = 1,
    SERVER_HELLO = 2,
    NEW_SESSION_TICKET = 4,
    ENCRYPTED_EXTENSIONS = 8,
    CERTIFICATE = 11,
    CERTIFICATE_REQUEST = 13,
    CERTIFICATE_VERIFY = 15,
    FINISHED = 20,
    COMPRESSED_CERTIFICATE = 25,
};

#define STATUS_OCSP 1u /* CertificateStatusType (RFC 6066 §8) */

/* What is waited for (RFC 8446 appendix A). */
enum tls_state {
    WAIT_SERVER_HELLO,
    WAIT_ENCRYPTED_EXTENSIONS,
    WAIT_CERTIFICATE_OR_REQUEST,
    WAIT_CERTIFICATE,
    WAIT_CERTIFICATE_VERIFY,
    WAIT_SERVER_FINISHED,
    WAIT_CLIENT_HELLO,
    WAIT_SECOND_CLIENT_HELLO,
    WAIT_CLIENT_CERTIFICATE,
    WAIT_CLIENT_CERTIFICATE_VERIFY,
    WAIT_CLIENT_FINISHED,
    WAIT_ANSWER, /* of the application to a question */
    CONNECTED,
};

/* What a signature is made over: 64 spaces, who signs and a zero byte, the transcript's hash (RFC 8446 §4.4.3). */
#define SIGNED_SPACES 64u
#define SIGNED_CONTEXT (sizeof "TLS 1.3, server CertificateVerify")
#define SIGNED_MOST (SIGNED_SPACES + SIGNED_CONTEXT + CRYPTO_MAX_HASH)

/* Bytes that wait to be taken at one level. */
struct output {
    uint8_t *data;
    size_t taken, size, room;
};

#define SECRETS_QUEUED 5u /* two levels in two directions, and early data in one */

/* What the handshake does next, or does again when it has the answer that it lacked. */
typedef int (*tls_step)(struct tls *tls, struct failure *why);

/* Questions of one handshake, one at a time, and the answers. A step that needs an answer looks for it here; where there
 * is none it asks, says TLS_ASKED before it has changed anything, and is done again with the answer. */
struct asking {
    enum neap_question_kind kind; /* NEAP_ASK_NOTHING: no question is open */
    uint64_t id;                  /* of the last one */
    uint64_t reloads;             /* of the config, when it was asked */
    tls_step step;                /* that asked */
    struct span hello;            /* server: a copy of the ClientHello that is looked at again */
    struct span schemes;          /* in it: signature schemes of the client */
    size_t content_size;
    uint8_t content[SIGNED_MOST]; /* what is to be signed */
    struct signature signature;   /* the answer; size 0: none */
    struct identity *identity;    /* the answer, ours */
    uint8_t psk_count;            /* answers about external keys: of identities, size 0 of the key for none */
    struct psk psks[LIMIT_PSKS_ASKED];
    bool has_identity; /* also when it is NULL */
    bool has_peer;
};

/* The result of a step that has asked: no failure, and no code of anything. */
#define TLS_ASKED INT_MIN

struct tls {
    const struct tls_config *config;
    enum tls_state state;
    enum tls_level read_level;
    int failed; /* the code of the failure after which nothing is taken any more */
    bool is_client, retried, name_matched;
    bool certificate_requested; /* of the client */
    bool group_asked;           /* client: by HelloRetryRequest, so that it alone is shared */
    bool was_offered;           /* client: the session of the offer, once before */
    bool resumed;               /* the pre-shared key of a session was taken */
    bool keyed;                 /* any pre-shared key was */
    bool is_vouched_for;        /* the peer: roots or pins stood behind it when it, or its session, was new */
    bool takes_tickets;         /* server: the client can make use of them */
    bool without_early;         /* client: it is not offered */
    bool peer_takes_staple;     /* server: the client asks for an OCSP response */
    bool peer_decompresses;     /* the peer takes a CompressedCertificate */
    uint8_t psk_size;           /* of psk; 0: none is offered, or none was taken */
    uint16_t port;              /* client */
    uint32_t version, original_version; /* that was negotiated, and that the client began with */
    int64_t wall_clock;                 /* of what is being taken */
    uint16_t suite, group;              /* 0 until negotiated; the group also after HelloRetryRequest */
    uint16_t scheme;                    /* of our CertificateVerify */
    uint16_t psk_index;                 /* server: which of the client's keys it took */
    enum neap_early early;
    uint16_t early_suite;            /* client: of the session with which it is offered */
    uint64_t limits[SESSION_LIMITS]; /* server: for its tickets */
    struct identity *identity;
    uint8_t local_address[16], local_size; /* server */
    struct asking *asking;                 /* NULL: nothing was asked yet */
    struct peer_chain *peer;
    struct key_share *share; /* client: until ServerHello */
    struct span first_hello; /* client: a copy, until the suite gives the transcript its hash */
    struct span offer;       /* client: the session whose ticket is offered, until ServerHello */
    uint8_t binding[32];     /* of sessions that come of it: what vouched for those who were authenticated */
    const struct psk *external; /* client: the external key that is offered, until ServerHello */
    struct span psk_identity;   /* a copy */
    int64_t good_until;         /* of sessions that come of this handshake */
    uint8_t psk[LIMIT_PSK_KEY];
    uint8_t hello_digest[32]; /* server: of the first ClientHello, what the second must repeat */
    struct span cookie;       /* client: while the second ClientHello is written */
    struct span params;       /* ours, a copy */
    struct span peer_params;  /* a copy */
    struct tls_tail
        tail; /* the assembly of messages; after the handshake the rules for what may still come */
    struct output output[TLS_LEVELS];
    struct schedule schedule;
    struct tls_secret secrets[SECRETS_QUEUED];
    uint8_t secrets_count, secrets_taken;
    uint8_t client_random[32];
    uint8_t alpn_size;
    uint8_t alpn[LIMIT_ALPN];
    char server_name[LIMIT_SERVER_NAME + 1];
};

/* Our alert: the error is the peer's fault and the code is the wire's (RFC 9001 §4.8). */
static inline int neap_tls_alert(struct failure *why, enum tls_alert alert, const char *reason)
{
    return neap_fail(why, NEAP_CRYPTO_ERROR + (int)alert, reason);
}

static inline int neap_tls_no_memory(struct failure *why)
{
    return neap_fail(why, NEAP_ERR_NO_MEMORY, "no memory for the handshake");
}

/* ---- tls.c */

/** A copy of `bytes` from the config's pool; data NULL without memory (an empty copy has size 0 and data). */
struct span neap_tls_copy(struct tls *tls, struct span bytes);
void neap_tls_drop(struct tls *tls, struct span *copy);
/** Keep a copy of the peer's transport parameters, in place of those of an earlier hello. */
int neap_tls_keep_params(struct tls *tls, struct span params, struct failure *why);

/** Room for so many bytes of output at a level, ahead of the messages that they make. NEAP_ERR_NO_MEMORY changes nothing. */
int neap_tls_reserve(struct tls *tls, enum tls_level level, size_t size, struct failure *why);
/** Start a message with at most `room` bytes of body at a level. On NEAP_ERR_NO_MEMORY nothing changed. */
int neap_tls_begin_message(struct tls *tls, enum tls_level level, enum handshake_type type, size_t room,
                           struct writer *w, struct failure *why);
/** Set the length, add the message to the transcript and leave it to be taken. One of the application's level is no part of
 * the handshake. */
int neap_tls_end_message(struct tls *tls, enum tls_level level, struct writer *w, struct failure *why);

/* A vector whose length of `length_size` bytes is set when it is closed. */
static inline uint8_t *vector_open(struct writer *w, size_t length_size)
{
    return write_room(w, length_size);
}

static inline void vector_close(struct writer *w, uint8_t *length, size_t length_size)
{
    if (w->full)
        return;
    size_t size = (size_t)(w->at - length) - length_size;
    for (size_t i = 0; i < length_size; i++)
        length[i] = (uint8_t)(size >> (8 * (length_size - 1 - i)));
}

/** Queue a traffic secret for the owner: 0, or NEAP_INTERNAL_ERROR behind the SECRETS_QUEUED of a handshake. */
int neap_tls_put_secret(struct tls *tls, enum tls_level level, enum tls_direction direction,
                        const uint8_t *secret, struct failure *why);
/** The pre-shared key of the session, as far as one is offered or was taken. */
static inline struct span tls_psk(const struct tls *tls)
{
    return span_of(tls->psk, tls->psk_size);
}
void neap_tls_forget_psk(struct tls *tls);
/** Keep the external key that authenticates, and what its sessions are bound to. 0 or no memory. */
int neap_tls_take_psk(struct tls *tls, const struct psk_key *key, struct span identity, struct failure *why);
/** Whether a client can know its server by an external key alone. */
static inline bool neap_tls_needs_psk(const struct tls_config *config)
{
    return neap_psks_first(config->psks) && neap_trust_is_empty(config->trust);
}
/** The key of `session` authenticates: keep what it says of the peer, the leaf of its certificates and its external key. 0, or
 * what the certificate is refused for, or no memory. */
int neap_tls_take_session(struct tls *tls, const struct session *session, struct failure *why);
/** The peer's certificates, leaf first, as neap_peer_chain_new. 0 or its failure. */
int neap_tls_keep_peer(struct tls *tls, const struct span *ders, size_t count, struct failure *why);
/** The secret of early data, behind the first ClientHello: derive, log and queue it. */
int neap_tls_early_keys(struct tls *tls, enum crypto_suite suite, struct span hello, struct failure *why);
/** Handshake secrets after ServerHello: derive, log and queue them, write before read for a server. */
int neap_tls_handshake_keys(struct tls *tls, struct span shared, struct failure *why);
/** Application secrets after the server's Finished: derive and log. The roles queue them. */
void neap_tls_application_keys(struct tls *tls);

/** Our Finished under `traffic_secret`. */
int neap_tls_write_finished(struct tls *tls, const uint8_t *traffic_secret, struct failure *why);
/** Check the peer's Finished: decrypt_error when it does not fit. Then it joins the transcript. */
int neap_tls_check_finished(struct tls *tls, struct span message, const uint8_t *traffic_secret,
                            struct failure *why);

/** Suites and groups of the config, or the defaults, that this build has; `index` from 0, 0 at the end. */
uint16_t neap_tls_preferred_suite(const struct tls_config *config, size_t index);
uint16_t neap_tls_preferred_group(const struct tls_config *config, bool is_client, size_t index);
bool neap_tls_wants_suite(const struct tls_config *config, uint16_t suite);
/** A client's. */
bool neap_tls_offers_group(const struct tls_config *config, uint16_t group);

/* ---- certificate.c: the authentication messages (RFC 8446 §4.4) */

/** What our Certificate takes, with its header. */
size_t neap_tls_certificate_size(const struct tls *tls);
/** The OCSP response that goes with our Certificate; empty: none. */
struct span neap_tls_staple(const struct tls *tls);
/** The body of our Certificate: our chain, or an empty one when tls->identity is NULL. */
void neap_tls_write_certificate_body(const struct tls *tls, struct writer *w);
/** The message, compressed where the peer takes that and it is smaller. */
int neap_tls_write_certificate(struct tls *tls, struct failure *why);
/** TLS_ASKED when nothing is written yet because somebody else signs: `step` is done again then. */
int neap_tls_write_certificate_verify(struct tls *tls, tls_step step, struct failure *why);
int neap_tls_on_certificate(struct tls *tls, struct span message, struct failure *why);
/** The peer's Certificate, which came as `message`. */
int neap_tls_take_certificate(struct tls *tls, struct span body, struct span message, struct failure *why);
/** Whether there is anything now to hold the peer's certificate against: roots, as far as it is held against them, or pins. */
bool neap_tls_has_means(const struct tls *tls);
int neap_tls_on_certificate_verify(struct tls *tls, struct span message, struct failure *why);

/* ---- question.c */

/** Ask: TLS_ASKED, or NEAP_ERR_NO_MEMORY. `step` is done again with the answer. */
int neap_tls_ask(struct tls *tls, enum neap_question_kind kind, tls_step step, struct failure *why);
/** The external key of an identity of at most LIMIT_PSK_IDENTITY bytes, as the application has answered: 0 and *out (NULL:
 * none, or there were too many), or as neap_tls_ask. */
int neap_tls_ask_psk(struct tls *tls, struct span identity, tls_step step, const struct psk **out,
                     struct failure *why);
/** Have the application say whether the peer is who it should be: 0 when it has, or is asked no such things; else as
 * neap_tls_ask. */
int neap_tls_ask_peer(struct tls *tls, tls_step step, struct failure *why);
/** Ask it again about a peer whose session it believed: it may think otherwise by now. As neap_tls_ask_peer. */
int neap_tls_ask_resumed(struct tls *tls, tls_step step, struct failure *why);
/** Whether the application is asked such things. */
static inline bool tls_may_ask(const struct tls *tls, enum neap_question_kind kind)
{
    return (tls->config->asks & kind) != 0;
}
/** Forget what was asked and answered. */
void neap_tls_end_asking(struct tls *tls);
/** Do the step that asked. Results as neap_tls_receive's (tls.c). */
int neap_tls_go_on(struct tls *tls, struct failure *why);

/* ---- compressed_certificate.c (RFC 8879) */

struct extensions;
/** Whether certificates are compressed and decompressed: the config has it so, and the build can. */
bool neap_tls_compresses(const struct tls_config *config);
/** The extension compress_certificate, if so: 7 bytes. */
void neap_tls_write_compression(const struct tls_config *config, struct writer *w);
/** The peer's: whether it takes what we can make. 0, or decode_error. */
int neap_tls_read_compression(const struct extensions *ext, bool *takes_zlib, struct failure *why);
/** The body of our CompressedCertificate; empty when a Certificate is to be sent. */
struct span neap_tls_compressed_certificate(const struct tls *tls);
int neap_tls_on_compressed_certificate(struct tls *tls, struct span message, struct failure *why);

/* ---- certificate_request.c (RFC 8446 §4.3.2) */

/** The extension signature_algorithms: what we verify, behind a value that means nothing (RFC 8701) unless it is 0. */
void neap_tls_write_schemes(struct writer *w, uint16_t reserved);
/** What our CertificateRequest takes, with its header; 0: the config has us ask for none. */
size_t neap_tls_request_size(const struct tls *tls);
int neap_tls_write_request(struct tls *tls, struct failure *why);
int neap_client_on_certificate_request(struct tls *tls, struct span message, struct failure *why);

/* ---- tail.c */

/** What tickets of this handshake will belong to, if the client keeps sessions; after its Finished was written. Without
 * memory it keeps none. */
void neap_tls_begin_taking(struct tls *tls);

/* ---- client.c */

/** What a client's sessions are bound to beside the server: by what it believes servers, whether the application is asked about
 * them, and its own certificates, since the server may know it by one (tls.c). */
void neap_client_binding(const struct tls_config *config, uint8_t out[32]);
/** What a client uses of that now has to be what it began with: else its binding is of nothing, and no session comes of it. */
void neap_client_hold_binding(struct tls *tls);

int neap_client_write_hello(struct tls *tls, struct failure *why);
int neap_client_on_server_hello(struct tls *tls, struct span message, struct failure *why);
int neap_client_on_encrypted_extensions(struct tls *tls, struct span message, struct failure *why);
int neap_client_on_finished(struct tls *tls, struct span message, struct failure *why);

/* ---- server.c */

int neap_server_on_client_hello(struct tls *tls, struct span message, struct failure *why);
int neap_server_on_finished(struct tls *tls, struct span message, struct failure *why);

#endif
