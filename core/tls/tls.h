/* TLS 1.3 for QUIC (RFC 8446, RFC 9001 §4, §8): handshake messages in and out, secrets out, no records.
 * The engine never calls back: after each neap_tls_receive the owner takes outgoing bytes, secrets and state. */
#ifndef NEAP_TLS_TLS_H
#define NEAP_TLS_TLS_H

#include "crypto/identity_set.h"
#include "neap.h"
#include "tls/assembly.h"
#include "tls/psk.h"
#include "tls/session.h"

/* Encryption levels, which are also the packet number spaces' keys (RFC 9001 §4). */
enum tls_level { TLS_INITIAL, TLS_EARLY, TLS_HANDSHAKE, TLS_APPLICATION, TLS_LEVELS };

enum tls_direction { TLS_READ, TLS_WRITE };

/* Alerts that we raise ourselves; the wire code is NEAP_CRYPTO_ERROR + alert (RFC 9001 §4.8). */
enum tls_alert {
    ALERT_UNEXPECTED_MESSAGE = 10,
    ALERT_HANDSHAKE_FAILURE = 40,
    ALERT_BAD_CERTIFICATE = 42,
    ALERT_UNSUPPORTED_CERTIFICATE = 43,
    ALERT_CERTIFICATE_EXPIRED = 45,
    ALERT_CERTIFICATE_UNKNOWN = 46,
    ALERT_ILLEGAL_PARAMETER = 47,
    ALERT_UNKNOWN_CA = 48,
    ALERT_DECODE_ERROR = 50,
    ALERT_DECRYPT_ERROR = 51,
    ALERT_PROTOCOL_VERSION = 70,
    ALERT_INTERNAL_ERROR = 80,
    ALERT_MISSING_EXTENSION = 109,
    ALERT_UNSUPPORTED_EXTENSION = 110,
    ALERT_UNRECOGNIZED_NAME = 112,
    ALERT_CERTIFICATE_REQUIRED = 116,
    ALERT_NO_APPLICATION_PROTOCOL = 120,
};

#define TLS_MAX_ALPN 16u
#define TLS_MAX_GROUPS 4u

/* Whether a server asks its clients for certificates (RFC 8446 §4.3.2), and whether it does without. */
enum certificate_demand { DEMAND_NONE, DEMAND_REQUEST, DEMAND_REQUIRE };

/* What both roles are set up with; owned by the config, outlives every handshake that uses it (the config is
 * reference counted by its connections). */
struct tls_config {
    struct crypto *crypto;
    struct pool *pool;
    /* A server's: the name that is asked for picks. A client's: the first that suits a server which asks. They may change
     * at any time. */
    struct identity_set *identities;
    uint32_t certificate_ttl; /* seconds that a certificate of the application's is good for its name */
    uint64_t reloads;         /* so far: what was asked for before the last is good for nobody else */
    struct trust *trust;
    bool verify_peer;
    enum certificate_demand client_certificate; /* a server's */
    struct trust *client_trust;                 /* a server's: whom it believes who its clients are */
    struct psk_store *psks;                     /* external keys; NULL: it has none */
    uint8_t alpn[256 * 4];                      /* wire form: length byte and name, in order of preference */
    size_t alpn_size;
    uint16_t suites[3]; /* in order of preference, 0 ends; all zero: the fastest here first */
    /* In order of preference, 0 ends; all zero: X25519, P-256, P-384, and before them, for servers, X25519MLKEM768. */
    uint16_t groups[TLS_MAX_GROUPS];
    void (*keylog)(void *context, const char *line);
    void *keylog_context;
    /* Specs alone set it, to meet programs that speak TLS over TCP and cannot send transport parameters: none are sent,
     * none are asked for. QUIC is not safe so (RFC 9001 §8.2); no option leads here. */
    bool without_params;
    unsigned
        asks; /* enum neap_question_kind: what the application is asked, beside signatures of keys that are
                        elsewhere */
    enum staple_demand staple; /* a client's: whether it asks for an OCSP response */
    bool grease;               /* a client sends reserved values beside its own (RFC 8701) */
    bool compression;          /* of certificates, where the build has zlib */
    bool resumption; /* a server gives tickets and takes them; a client keeps sessions and offers them */
    uint32_t ticket_lifetime;    /* seconds, of a server's; 0: it gives none */
    struct ticket_keys tickets;  /* a server's */
    struct session_store *store; /* a client's; NULL: it keeps none */
    bool early_data; /* a client offers it with a session that allows it, a server allows and takes it */
    /* A server's: whether a ClientHello was never seen before (neap_config_set_strike); NULL: nobody can say. */
    int (*strike)(void *context, const uint8_t id[32], int64_t expires);
    void *strike_context;
    /* A server's: the version of the protocol around TLS in which it goes on, by the client's transport parameters, and says so in
     * ours, which stay as long. It knows no connection. NULL: in the one that the client began with. */
    uint32_t (*choose_version)(const void *context, uint32_t version, struct span theirs, uint8_t *ours,
                               size_t size);
    const void *version_context;
    uint16_t session_data_size; /* a server's: what a ticket must have in it for its early data to be taken */
    uint8_t session_data[LIMIT_SESSION_DATA];
};

static inline bool neap_tls_has_certificates(const struct tls_config *config)
{
    return (config->identities && config->identities->count > 0) ||
           (config->asks & NEAP_ASK_CERTIFICATE) != 0;
}

/** Whether a server has external keys, or somebody who knows of them. */
static inline bool neap_tls_knows_psks(const struct tls_config *config)
{
    return neap_psks_first(config->psks) || (config->asks & NEAP_ASK_PSK) != 0;
}

/** Whether a server can show anybody who it is. */
static inline bool neap_tls_may_serve(const struct tls_config *config)
{
    return neap_tls_has_certificates(config) || neap_tls_knows_psks(config);
}

/** Whether a server that asks for certificates has something to verify them with, or somebody who looks at them. Revocation
 * lists need roots in either case: nobody else holds certificates against them. */
bool neap_tls_may_verify_clients(const struct tls_config *config);

struct tls;

/* What a handshake begins with. */
struct tls_start {
    const char
        *server_name; /* a client's: sent as SNI and checked against the certificate; NULL: neither. Copied */
    uint16_t port;    /* a client's: with the name, the server whose sessions may be resumed */
    uint32_t version; /* of the protocol around TLS, in which alone a session is good */
    bool without_early;     /* a client's: it offers no early data */
    struct span params;     /* our transport parameters, copied */
    const uint64_t *limits; /* a server's: SESSION_LIMITS of now, for its tickets; copied. NULL: all are 0 */
    int64_t
        wall_clock; /* seconds since 1970, or TIME_UNKNOWN: no dates are checked, no sessions made or used */
    struct span
        local_address; /* a server's, 4 or 16 bytes: who asks for no name gets its certificate. Copied */
};

/** A client handshake, which offers a session with the same server when the config's store has one. The ClientHello is
 * ready to be taken afterwards. NULL without memory or on failure of the crypto back end (*why). */
struct tls *neap_tls_client(const struct tls_config *config, const struct tls_start *start,
                            struct failure *why);
/** The connection of a client is over. When it offered a session and no ServerHello came: where nobody answered the
 * session goes back, unless that was its second offer; where the server refused, all that there are with it go, because
 * they may be why. */
void neap_tls_end_offer(struct tls *tls, bool was_answered);
/** A server handshake. Its transport parameters depend on the connection and are set before the first receive. */
struct tls *neap_tls_server(const struct tls_config *config, const struct tls_start *start,
                            struct failure *why);
void neap_tls_free(struct tls *tls);

/** The time, as tls_start.wall_clock: told before each neap_tls_receive and each answer, since a hello may come slowly, or wait,
 * and the age of what it offers counts when it is looked at. */
void neap_tls_set_clock(struct tls *tls, int64_t wall_clock);
/** Take handshake bytes that arrived at a level, in order, in any fragmentation: *bytes becomes what is left of them, to
 * be given again once a question about the peer is answered; nothing is left otherwise. 0; positive: NEAP_CRYPTO_ERROR +
 * alert with *why, or NEAP_PROTOCOL_VIOLATION (e.g. bytes at a level that is over, or left when the keys change,
 * RFC 9001 §4.1.3); negative: ours (NEAP_ERR_NO_MEMORY, a signature that could not be made). After a failure the
 * object may only be freed: the secrets are forgotten and every further call fails with the same code. */
int neap_tls_receive(struct tls *tls, enum tls_level level, struct span *bytes, struct failure *why);

/* ---- questions: a handshake stands still until the application has answered (question.c) */

/** The id of the question that is asked, from 1; 0: none is. */
uint64_t neap_tls_asking(const struct tls *tls);
/** What is asked now: false when nothing is, else *out, whose pointers are good until it is answered. */
bool neap_tls_question(const struct tls *tls, neap_question *out);
/** Whether a question of this kind and id is asked. */
bool neap_tls_asks(const struct tls *tls, enum neap_question_kind kind, uint64_t id);
/* The answers, to the question that is asked, which is of their kind: the handshake goes on. Results as
 * neap_tls_receive's. */
/** At most CRYPTO_MAX_SIGNATURE bytes, which are verified before anybody sees them. */
int neap_tls_answer_signature(struct tls *tls, struct span signature, struct failure *why);
/** The external key of the identity; NULL: there is none. */
int neap_tls_answer_psk(struct tls *tls, const struct psk_key *key, struct failure *why);
/** The certificate for the server name, from now on the handshake's, also on failure; NULL: one of the config's. */
int neap_tls_answer_certificate(struct tls *tls, struct identity *identity, struct failure *why);
/** The peer is who it should be. */
int neap_tls_answer_peer(struct tls *tls, struct failure *why);

/** Bytes to send at a level; valid until the next call on `tls`. Empty when none. */
struct span neap_tls_output(const struct tls *tls, enum tls_level level);
/** They were taken (copied into CRYPTO streams). */
void neap_tls_output_taken(struct tls *tls, enum tls_level level, size_t size);

struct tls_secret {
    enum tls_level level;
    enum tls_direction direction;
    enum crypto_suite suite;
    uint8_t secret[CRYPTO_MAX_HASH];
    size_t size;
};
/** The version of the protocol around TLS: a server's may be another one once the ClientHello was read, and then its
 * transport parameters say so and sessions are of that one (RFC 9368 §2.3, RFC 9369 §5). */
uint32_t neap_tls_version(const struct tls *tls);
/** A client has learned that it is another one. */
void neap_tls_set_version(struct tls *tls, uint32_t version);

/** What became of early data: OFFERED with neap_tls_client, or at once NONE; a server's is NONE until the ClientHello was read. A
 * client's answer is there with EncryptedExtensions, or with what says that there will be none. */
enum neap_early neap_tls_early(const struct tls *tls);
/** The session with which a client has just offered early data: its spans are good until the next call. False: it did
 * not. */
bool neap_tls_offered(const struct tls *tls, struct session *out);
/** The `rtt` of the session that a client has just offered, or a server took; 0: there is none, or it does not know. */
uint32_t neap_tls_session_rtt(const struct tls *tls);
/** A server's, for its tickets. Until it is called they have that of the session which was taken. */
void neap_tls_set_rtt(struct tls *tls, uint32_t rtt);

/** The next traffic secret that became available: true and *out filled, once each, in the order in which they were
 * made. Call after each receive (and after neap_tls_client); write secrets come before the bytes that need them. Early
 * data has one for the direction from client to server. A
 * server's application WRITE secret comes with its first flight, its application READ secret only after the
 * client's Finished was verified. */
bool neap_tls_next_secret(struct tls *tls, struct tls_secret *out);

/** Bytes held of what the peer sent: of a message that is not whole yet, a ClientHello that waits for an answer, transport
 * parameters. */
size_t neap_tls_held(const struct tls *tls);
/** Finished was sent and the peer's verified (RFC 9001 §4.1.1). */
bool neap_tls_is_complete(const struct tls *tls);
/** The peer's transport parameters as they came (server: after ClientHello, client: after EncryptedExtensions); empty
 * before. They are authenticated only once the handshake is complete. */
struct span neap_tls_peer_params(const struct tls *tls);
/** They were read, and are not asked for again: the copy goes. */
void neap_tls_forget_peer_params(struct tls *tls);
/** The negotiated protocol, empty before. */
struct span neap_tls_alpn(const struct tls *tls);
/** SNI that the client sent (server) or was given (client); "" when none; NUL-terminated. */
const char *neap_tls_server_name(const struct tls *tls);
uint16_t neap_tls_suite(const struct tls *tls);
uint16_t neap_tls_group(const struct tls *tls);
/** Whether it goes on from an earlier session, so that nobody sent a certificate. */
bool neap_tls_is_resumed(const struct tls *tls);
/** Whether a pre-shared key authenticates, of an earlier session or an external one: nothing is signed. */
bool neap_tls_is_keyed(const struct tls *tls);
/** The identity of the external key that authenticates, or did in the handshake that the session goes back to; empty: none. */
struct span neap_tls_psk_identity(const struct tls *tls);
/** Whether the peer's certificates were verified but for dates, for want of a clock, and when they are valid: *out. */
bool neap_tls_has_unchecked_dates(const struct tls *tls, struct validity *out);
/** DER of a certificate that the peer showed, leaf first; empty behind the last, or when it showed none. Nobody may believe
 * them before the handshake is complete. Of a resumed handshake a server has the leaf that the session began with, and a
 * client too where its application is asked about servers; else it has none. */
struct span neap_tls_peer_certificate(const struct tls *tls, size_t index);

/* What is left of TLS when the handshake's memory is given back: CRYPTO data of the application level goes on to be
 * checked here. All zero: a server's. */
struct tls_tail {
    struct assembly assembly;
    struct ticket_taker *taker; /* of a client that keeps sessions: what its tickets belong to */
    bool is_client;
    uint32_t rtt; /* the caller's, for sessions that come; 0: not known */
};
/** Move the tail out of a complete handshake, with a message that is half there; then `tls` may be freed. */
struct tls_tail neap_tls_take_tail(struct tls *tls);
/** Sessions that come are to allow early data, where their tickets do, with these limits of the server's. Without memory they do
 * not. */
void neap_tls_tail_remember(struct tls_tail *tail, struct pool *pool, const uint64_t limits[SESSION_LIMITS]);
/** Data of the layer above for those that came and those that come. False: none of them allows early data. */
bool neap_tls_tail_set_data(struct tls_tail *tail, struct span data);
/** CRYPTO data after the handshake: a client takes NewSessionTicket (RFC 9001 §4.6.1 checked), which goes into the
 * config's store as a session that begins at `wall_clock`; a CertificateRequest is NEAP_PROTOCOL_VIOLATION (§4.4), all
 * else unexpected_message (§6). Results as neap_tls_receive's; but after NEAP_ERR_NO_MEMORY it may go on with what is
 * left in *bytes. */
int neap_tls_tail_receive(struct tls_tail *tail, struct pool *pool, struct span *bytes, int64_t wall_clock,
                          struct failure *why);
void neap_tls_tail_free(struct tls_tail *tail, struct pool *pool);

#endif
