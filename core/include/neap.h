/* neap: QUIC and HTTP/3 without sockets, clocks or threads. Bytes, addresses and `now` go in, bytes and the next wake
 * time come out. Connection level: the nouns of the RFCs. Endpoint level: many connections behind one socket. A config
 * and everything made with it belong to one thread. Times are nanoseconds of any monotonic clock of the caller's, and
 * `now` never goes back.
 *
 * Results. 0 or a count is fine; negative is a NEAP_ERR_* of ours or the caller's, each function names all that it
 * gives, and what it should have filled means nothing then. What returns nothing cannot fail.
 * Pointers are not NULL unless a comment says that they may be; but bytes, texts in a list and fields may be when their
 * size or count is 0, and `why` may be everywhere: it gets a static reason when the call fails. What goes in is copied
 * or only looked at, unless it is said to be kept. What comes out is the library's, and lives as long as is said.
 *
 * Versions. Structs that take the caller's sizeof, and enums, grow at their end: a program goes on working with a
 * library of another age. Every other struct, value and function is as it is for as long as the library is libneap.so.0
 * and its symbols are of NEAP_0; what changes one of them changes both numbers. */
#ifndef NEAP_H
#define NEAP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#if defined(__GNUC__)
#define NEAP_API __attribute__((visibility("default")))
#else
#define NEAP_API
#endif

#define NEAP_VERSION "0.1.0"

typedef uint64_t neap_time;
#define NEAP_NEVER UINT64_MAX
#define NEAP_SECOND UINT64_C(1000000000)
#define NEAP_MILLISECOND UINT64_C(1000000)

#define NEAP_QUIC_V1 0x00000001u /* RFC 9000 */
#define NEAP_QUIC_V2 0x6b3343cfu /* RFC 9369 */
#define NEAP_MAX_CONNECTION_ID 20
#define NEAP_MIN_UDP_PAYLOAD 1200

typedef struct neap_config neap_config;
typedef struct neap_conn neap_conn;
typedef struct neap_endpoint neap_endpoint;
typedef struct neap_h3 neap_h3;

/* ---------------------------------------------------------------- errors */

enum neap_error {
    NEAP_OK = 0,
    NEAP_ERR_AGAIN = -1,     /* nothing to do now; for sending: blocked by flow control or a full buffer */
    NEAP_ERR_NO_MEMORY = -2, /* the environment or the memory limit refused */
    NEAP_ERR_ARGUMENT = -3,  /* a value out of range or an unknown name */
    NEAP_ERR_CLOSED = -4,    /* the connection is closing, draining or closed */
    NEAP_ERR_BUFFER_TOO_SHORT = -5, /* the caller's room is too small */
    NEAP_ERR_UNKNOWN_VERSION = -6,  /* a packet of a version we do not speak */
    NEAP_ERR_INVALID_PACKET = -7,   /* cannot be a QUIC packet, or not one for us */
    NEAP_ERR_STREAM_STATE = -8,     /* no such stream, or the wrong direction, or it is finished */
    NEAP_ERR_STREAM_LIMIT = -9,     /* the peer's stream limit is reached */
    NEAP_ERR_STREAM_RESET = -10,    /* the peer reset its sending side */
    NEAP_ERR_STREAM_STOPPED = -11,  /* the peer asked us to stop sending */
    NEAP_ERR_CRYPTO = -12,          /* a cryptographic operation failed */
    NEAP_ERR_CERTIFICATE = -13,     /* a certificate or key cannot be used */
    NEAP_ERR_UNSUPPORTED = -14,     /* not in this build, or the peer did not negotiate it */
    NEAP_ERR_LIMIT = -15,           /* a bound of limits.h or the config is reached */
    NEAP_ERR_SYSTEM = -16,          /* a system call failed, see errno */
    NEAP_ERR_RANDOM = -17,          /* no randomness */
    NEAP_ERR_TOKEN = -18, /* an address validation token that is not ours, expired or of another address */
    NEAP_ERR_STATE = -19, /* not now: a config that connections or endpoints are made with */
    NEAP_ERR_MIGRATION = -20, /* the peer does not let us use other addresses (RFC 9000 §9) */
    NEAP_ERR_CONNECTION_IDS =
        -21, /* the peer has given no connection ID that is unused: another comes soon */
};

/* Transport error codes on the wire (RFC 9000 §20.1). */
enum neap_transport_error {
    NEAP_NO_ERROR = 0x00,
    NEAP_INTERNAL_ERROR = 0x01,
    NEAP_CONNECTION_REFUSED = 0x02,
    NEAP_FLOW_CONTROL_ERROR = 0x03,
    NEAP_STREAM_LIMIT_ERROR = 0x04,
    NEAP_STREAM_STATE_ERROR = 0x05,
    NEAP_FINAL_SIZE_ERROR = 0x06,
    NEAP_FRAME_ENCODING_ERROR = 0x07,
    NEAP_TRANSPORT_PARAMETER_ERROR = 0x08,
    NEAP_CONNECTION_ID_LIMIT_ERROR = 0x09,
    NEAP_PROTOCOL_VIOLATION = 0x0a,
    NEAP_INVALID_TOKEN = 0x0b,
    NEAP_APPLICATION_ERROR = 0x0c,
    NEAP_CRYPTO_BUFFER_EXCEEDED = 0x0d,
    NEAP_KEY_UPDATE_ERROR = 0x0e,
    NEAP_AEAD_LIMIT_REACHED = 0x0f,
    NEAP_NO_VIABLE_PATH = 0x10,
    NEAP_VERSION_NEGOTIATION_ERROR = 0x11, /* RFC 9368 §4 */
    NEAP_CRYPTO_ERROR = 0x0100,            /* + the TLS alert */
};

/* Why a path is abandoned (draft-ietf-quic-multipath §4.2.1, by the codes that it suggests); also NEAP_NO_ERROR. */
enum neap_path_error {
    NEAP_APPLICATION_ABANDON_PATH = 0x3e,
    NEAP_PATH_RESOURCE_LIMIT_REACHED = 0x3e75,
    NEAP_PATH_UNSTABLE_OR_POOR = 0x3e76,
    NEAP_NO_CID_AVAILABLE_FOR_PATH = 0x3e77,
};

/* Application error codes of HTTP/3 and QPACK (RFC 9114 §8.1, RFC 9204 §6). */
enum neap_h3_error {
    NEAP_H3_DATAGRAM_ERROR = 0x33,
    NEAP_H3_NO_ERROR = 0x0100,
    NEAP_H3_GENERAL_PROTOCOL_ERROR = 0x0101,
    NEAP_H3_INTERNAL_ERROR = 0x0102,
    NEAP_H3_STREAM_CREATION_ERROR = 0x0103,
    NEAP_H3_CLOSED_CRITICAL_STREAM = 0x0104,
    NEAP_H3_FRAME_UNEXPECTED = 0x0105,
    NEAP_H3_FRAME_ERROR = 0x0106,
    NEAP_H3_EXCESSIVE_LOAD = 0x0107,
    NEAP_H3_ID_ERROR = 0x0108,
    NEAP_H3_SETTINGS_ERROR = 0x0109,
    NEAP_H3_MISSING_SETTINGS = 0x010a,
    NEAP_H3_REQUEST_REJECTED = 0x010b,
    NEAP_H3_REQUEST_CANCELLED = 0x010c,
    NEAP_H3_REQUEST_INCOMPLETE = 0x010d,
    NEAP_H3_MESSAGE_ERROR = 0x010e,
    NEAP_H3_CONNECT_ERROR = 0x010f,
    NEAP_H3_VERSION_FALLBACK = 0x0110,
    NEAP_QPACK_DECOMPRESSION_FAILED = 0x0200,
    NEAP_QPACK_ENCODER_STREAM_ERROR = 0x0201,
    NEAP_QPACK_DECODER_STREAM_ERROR = 0x0202,
};

/** One line of English for a NEAP_ERR_*; "no error" from 0 on, "unknown error" for others; static. */
NEAP_API const char *neap_strerror(int64_t error);

/** The RFC's name of a wire code ("FLOW_CONTROL_ERROR", "H3_NO_ERROR", "handshake_failure"), or "unknown"; static. */
NEAP_API const char *neap_wire_error_name(uint64_t code, bool is_application);

/** NEAP_VERSION of the library that is linked; static. */
NEAP_API const char *neap_version(void);

/** The cryptography inside, with its version: "Mbed TLS 2.28.3, libsodium 1.0.18, libcrypto 3.0.19"; "own P-256" among them: neap computes what
 * needs this curve itself. Static. */
NEAP_API const char *neap_backend(void);

/* ---------------------------------------------------------------- environment and configuration */

/** What the library takes from outside. Members left NULL get the default in brackets. */
typedef struct neap_env {
    void *(*realloc)(void *context, void *pointer, size_t size); /* size 0 frees [realloc and free] */
    int (*random)(void *context, uint8_t *out, size_t size);     /* 0 when filled [getrandom] */
    /* Seconds since 1970 UTC; negative: it is not known what time it is [time]. While it is not (also: less than the option
     * clock_floor), certificates, lists and responses are checked but for dates; sessions are neither made nor used, and
     * Retry tokens do not age by a clock that is negative. A second after it is known such connections end with
     * certificate_expired, if the peer's certificates are not valid then. */
    int64_t (*wall_clock)(void *context);
    /* Another number in each process that has this memory, so that a fork is seen and `random` is asked again, as it is
     * at intervals [a page that the kernel empties for the child; the process ID on a Linux before 4.14] */
    uint64_t (*generation)(void *context);
    void *context;
    /* Bytes for all connections of a config; SIZE_MAX: no bound. [0: a quarter of the machine's memory, or of the limit
     * of the process's cgroup] neap_config_memory tells. A server accepts a connection when what is left carries its
     * handshake to the end; others get a Retry, which costs nothing, or are not heard until they come again, and
     * CONNECTION_REFUSED when no connection went for handshake_timeout. */
    size_t memory_limit;
} neap_env;

/** A new config with defaults, or NULL without memory or randomness. `env` may be NULL; it is copied, its context and
 * functions are kept until the last connection is gone. Connections and endpoints keep a config alive: it may be freed
 * before them. While there are any, options and protocols do not change (NEAP_ERR_STATE); certificates, roots, pins and
 * the key log do, for handshakes that are not that far yet. Behind a fork each process may go on with its copy for new
 * connections and endpoints; those that were there before belong to one of the two, which share their keys. */
NEAP_API neap_config *neap_config_new(const neap_env *env);
/** The caller's hold on it ends. NULL is fine. */
NEAP_API void neap_config_free(neap_config *config);
/** Whether connections or endpoints keep it alive beside the caller, also connections that were released and still drain. */
NEAP_API bool neap_config_is_in_use(const neap_config *config);

/** What the number of an option counts. A boolean is 0 or 1. */
enum neap_unit {
    NEAP_UNIT_COUNT,
    NEAP_UNIT_BYTES,
    NEAP_UNIT_MILLISECONDS,
    NEAP_UNIT_BOOLEAN,
    NEAP_UNIT_CHOICE /* of the option's words: the value is an index of them */
};

/** An option of neap_config_set: a row of the one table that all lists of options come from. */
typedef struct neap_option {
    const char *name;
    enum neap_unit unit;
    uint64_t default_value, least, greatest;
    const char *text;         /* what it does, for people; "" in builds without reasons */
    const char *const *words; /* of a choice: a word for each value from 0 to the greatest; else NULL */
} neap_option;

/** Set an option by name. docs/options.md lists names, units, ranges and defaults; neap_config_option gives them.
 * Returns 0, NEAP_ERR_ARGUMENT for an unknown name (NULL too) or a value out of its range, NEAP_ERR_UNSUPPORTED for a
 * congestion_control that this build lacks (NEAP_WITH_BBR), or NEAP_ERR_STATE while connections or endpoints made with the
 * config are alive. */
NEAP_API int neap_config_set(neap_config *config, const char *name, uint64_t value);

/** The options, from index 0; NULL past the end. Static: never freed. */
NEAP_API const neap_option *neap_config_option(size_t index);

/** Protocols offered (client) or accepted (server) in order of preference, in place of those before: 1..16 strings of
 * 1..255 bytes (RFC 7301, RFC 9001 §8.1). 0; NEAP_ERR_ARGUMENT (more or none, a string of another size or NULL),
 * NEAP_ERR_LIMIT (with a byte for each more than 1024 bytes), NEAP_ERR_STATE as above. */
NEAP_API int neap_config_set_alpn(neap_config *config, const char *const *names, size_t count);

/** The QUIC versions that are spoken, in order of preference and each once, in place of those before: what a client
 * offers and takes from a Version Negotiation packet, what a server accepts. A server that was told goes over to the first of
 * these that a client offers, within the same handshake (compatible version negotiation, RFC 9368 §2.3); one that was not
 * speaks NEAP_QUIC_V1 and NEAP_QUIC_V2 as the client begins. With which a client begins is the option original_version.
 * 0; NEAP_ERR_ARGUMENT (none or NULL, one that is not spoken, one twice), NEAP_ERR_STATE as above. */
NEAP_API int neap_config_set_versions(neap_config *config, const uint32_t *versions, size_t count);

/** The OCSP response in DER (RFC 6960) that a server shows with the certificate that was added last, to clients that ask for
 * it: copied, in place of the one before; 0 bytes: none. It is shown until its next update is due: give a new one in time. At
 * any time. 0; NEAP_ERR_CERTIFICATE (none of success about this certificate; its signature is not looked at),
 * NEAP_ERR_LIMIT (more than 16384 bytes), NEAP_ERR_STATE (there is no certificate), NEAP_ERR_NO_MEMORY. */
NEAP_API int neap_config_set_ocsp_response(neap_config *config, const void *response, size_t size,
                                           const char **why);

/** Groups of the key exchange in order of preference, 1..4 of X25519MLKEM768, x25519, secp256r1, secp384r1 (whatever the case
 * of their letters), none twice. Without this they are all, in this order, for a server, and all but the first for a client:
 * X25519MLKEM768 (draft-ietf-tls-ecdhe-mlkem), which quantum computers do not break, makes its first flight two packets. 0;
 * NEAP_ERR_ARGUMENT, NEAP_ERR_UNSUPPORTED (X25519MLKEM768 needs OpenSSL 3.5), NEAP_ERR_STATE as above. */
NEAP_API int neap_config_set_groups(neap_config *config, const char *const *names, size_t count);
/** Cipher suites of TLS in order of preference, 1..3 of TLS_AES_128_GCM_SHA256, TLS_AES_256_GCM_SHA384 and
 * TLS_CHACHA20_POLY1305_SHA256 (whatever the case of their letters), none twice: a client offers no others, a server takes no
 * others. Without this they are all, ChaCha20 last where the CPU has instructions for AES, else first. Initial packets are not
 * concerned (RFC 9001 §5.2). 0; NEAP_ERR_ARGUMENT, NEAP_ERR_STATE as above. */
NEAP_API int neap_config_set_cipher_suites(neap_config *config, const char *const *names, size_t count);

/** Add a certificate chain (leaf first) and its private key, PEM or DER. A server may add up to 4096: the
 * name that a client asks for picks the one that has it, else one with a wildcard over it, else the first; who asks for no
 * name gets the one with the address that it talks to. Of several for one name ECDSA and Ed25519 come before RSA, which
 * those get who know nothing else. A client shows a server that asks the first that it can sign with as the server wishes and
 * that an authority which it names has issued, if it names any, else none; an only one whoever has issued it. 0;
 * NEAP_ERR_CERTIFICATE (one of the two cannot be read, or they do not belong together), NEAP_ERR_UNSUPPORTED (an encrypted
 * key, a kind or size of key that this build does not sign with), NEAP_ERR_LIMIT (one more), NEAP_ERR_NO_MEMORY. Where
 * nobody has set handshake_rate, it becomes what is usual for the dearest of the keys. */
NEAP_API int neap_config_add_certificate(neap_config *config, const void *chain, size_t chain_size,
                                         const void *key, size_t key_size, const char **why);
/** The same from two files of 16 MiB at most: NEAP_ERR_SYSTEM as well, when one cannot be read, and NEAP_ERR_ARGUMENT
 * when one is NULL. */
NEAP_API int neap_config_add_certificate_files(neap_config *config, const char *chain_file,
                                               const char *key_file, const char **why);

/** Trust these roots (PEM bundle or one DER), in addition to those added before; what is no certificate is passed over.
 * 0; NEAP_ERR_CERTIFICATE (there is none), NEAP_ERR_LIMIT (more than 4096) or NEAP_ERR_NO_MEMORY: those before the
 * failure are trusted then. */
NEAP_API int neap_config_add_ca(neap_config *config, const void *roots, size_t size, const char **why);
/** Trust the roots in a file, or in every file of a folder, of which one has to have some. As neap_config_add_ca;
 * NEAP_ERR_SYSTEM when it cannot be read, NEAP_ERR_ARGUMENT for NULL. */
NEAP_API int neap_config_add_ca_path(neap_config *config, const char *path, const char **why);
/** Trust the system's roots, or those of the file or folder that SSL_CERT_FILE names, which says nothing to a program
 * with more rights than its user has (secure_getenv). 0; NEAP_ERR_SYSTEM (none found), NEAP_ERR_CERTIFICATE (no
 * certificate where SSL_CERT_FILE points), NEAP_ERR_LIMIT, NEAP_ERR_NO_MEMORY. A client that verifies and was given
 * neither roots nor a pin does this by itself at its first connection. */
NEAP_API int neap_config_add_system_ca(neap_config *config, const char **why);
/** Refuse what these certificate revocation lists name (RFC 5280 §5), with the alert certificate_revoked, and what the
 * issuer of one issued when the list is not current (the option crl_grace) or not signed by a key of the issuer that may
 * do so. PEM text with one or more lists, or DER, up to 64 lists of 16 MiB; parts of lists (issuingDistributionPoint) are
 * taken. Issuers of whom there is no list are not asked. 0; NEAP_ERR_CERTIFICATE (none, or one that cannot be used: delta
 * and indirect lists, critical extensions that are not understood, no time of a next update, no number), NEAP_ERR_LIMIT,
 * NEAP_ERR_NO_MEMORY: those before the failure are in use then. They are looked at where a chain is verified up to a root. So
 * no connection and no server's endpoint is made with lists and without roots: those of clients for a server that asks for
 * certificates, also where NEAP_ASK_PEER decides; for a client not with pins or external keys alone, or without verify_peer. */
NEAP_API int neap_config_add_crl(neap_config *config, const void *lists, size_t size, const char **why);
/** The same from a file of 16 MiB at most: NEAP_ERR_SYSTEM as well. */
NEAP_API int neap_config_add_crl_file(neap_config *config, const char *file, const char **why);
/** Whether revocation list `index` of those that were added, in their order, is one for now by the config's wall clock: 1, and
 * while the time is unknown; 0 after the time of its next update, or before its own, and `why` (may be NULL) says so, until
 * something else fails with this config: its issuer's certificates are refused then, after crl_grace, unless another list of
 * the issuer is current. NEAP_ERR_ARGUMENT: there are not so many. */
NEAP_API int neap_config_crl_is_current(neap_config *config, size_t index, const char **why);
/** Accept only a leaf whose SubjectPublicKeyInfo has this SHA-256, or another that was added: up to 64. It holds with
 * and without verify_peer; name, dates and chain are checked as well only with verify_peer and when roots were given: a
 * pin alone is enough. To pin an authority's key, give its certificate as the only root. 0, NEAP_ERR_LIMIT or
 * NEAP_ERR_NO_MEMORY. */
NEAP_API int neap_config_add_pin(neap_config *config, const uint8_t sha256[32]);
/** The pin of a certificate (the first, of several): PEM text or DER. 0, NEAP_ERR_CERTIFICATE (it cannot be parsed) or
 * NEAP_ERR_NO_MEMORY. */
NEAP_API int neap_certificate_pin(const neap_config *config, const void *certificate, size_t size,
                                  uint8_t sha256[32]);

/** The option congestion_control. */
enum neap_congestion_control {
    NEAP_CONGESTION_CONTROL_NEWRENO, /* RFC 9002 §7 */
    NEAP_CONGESTION_CONTROL_CUBIC,   /* RFC 9438 */
    NEAP_CONGESTION_CONTROL_BBR,     /* BBRv3, draft-ietf-ccwg-bbr */
    NEAP_CONGESTION_CONTROL_STEERED  /* neap_conn_steer; CUBIC as long as nobody does */
};
/** The option path_scheduler. */
enum neap_path_scheduler { NEAP_PATH_SCHEDULER_MIN_RTT, NEAP_PATH_SCHEDULER_REDUNDANT };
/** A number of the application's that says who steers the connections of this config (neap_conn_policy). 0 in the
 * beginning. */
NEAP_API void neap_config_set_policy(neap_config *config, uint64_t policy);

/** The option client_certificate of a server. */
enum neap_client_certificate {
    NEAP_CLIENT_CERTIFICATE_NONE, /* clients are anyone */
    NEAP_CLIENT_CERTIFICATE_REQUEST, /* a client is asked who it is, and may have no certificate; one that is bad ends it */
    NEAP_CLIENT_CERTIFICATE_REQUIRE /* one without is refused: certificate_required */
};
/** Believe these roots (PEM bundle or one DER) who clients are, in addition to those added before: a server's, that asks for
 * certificates. Those of neap_config_add_ca, pins and the system's vouch for servers alone. A client's certificate has to
 * lead to one of them, be valid now and, where it has an extended key usage, allow clientAuth. Whatever the client sends before
 * that, and before its signature and its Finished are good, nobody can read; the server may send. Names are for the
 * application: neap_conn_peer_certificate. Sessions are good only for the same roots and the same option client_certificate.
 * Results as neap_config_add_ca's. */
NEAP_API int neap_config_add_client_ca(neap_config *config, const void *roots, size_t size, const char **why);
/** The same of a file, or of every file of a folder. Results as neap_config_add_ca_path's. */
NEAP_API int neap_config_add_client_ca_path(neap_config *config, const char *path, const char **why);
/** Read certificates and the like again while connections go on. From the first of these two on the config has no
 * certificates, roots, pins and revocation lists; give it all of them anew with the functions above, and ticket keys if
 * those change, then call the second: `take` true, and what was there before is freed; false, after a failure, and it is
 * back as if nothing had been. Between the two nothing else may be done with the config, its connections and endpoints.
 * Handshakes that have chosen a certificate go on with it, connections are not touched, and tickets of another certificate
 * lead to full handshakes. Clients whose roots are the system's call neap_config_add_system_ca as well: handshakes under way
 * would have none. 0; NEAP_ERR_STATE (one has begun), NEAP_ERR_NO_MEMORY. */
NEAP_API int neap_config_begin_reload(neap_config *config);
NEAP_API void neap_config_end_reload(neap_config *config, bool take);

/** Derive the keys of Retry tokens and stateless resets from this 32-byte secret, so that several processes or a
 * restart understand each other's (RFC 9000 §10.3.2); without it they are random. For processes alone that cannot be
 * reached with a connection ID of another: one that answers it would tell the token that ends the connection (§21.11). With
 * QUIC-LB (neap_config_set_quic_lb) the tokens are of one server each.
 * Before the first connection: what was given out under other keys is not known any more. */
NEAP_API void neap_config_set_static_secret(neap_config *config, const uint8_t secret[32]);

/** Keys of address validation tokens, of Retry packets and NEW_TOKEN frames (RFC 9000 §8.1), instead of one that is random or made
 * from the static secret: 1 to 4 secrets of 32 random bytes, the same in all processes and machines that are to take each other's
 * tokens. The first seals, all open; from each comes a key of its own for every hour (Retry) and every token_lifetime, by the wall
 * clock. A new one is first added behind, then put in front, and the old one goes after token_lifetime. Who has one can say that it
 * has any address: that is all. May be called at any time. Each process remembers which tokens of NEW_TOKEN frames it took itself, so
 * that one is good once for each, unless there is a register of all (neap_config_set_token_register). 0, NEAP_ERR_ARGUMENT. */
NEAP_API int neap_config_set_token_keys(neap_config *config, const uint8_t (*keys)[32], size_t count);
/** Who knows which tokens of NEW_TOKEN frames were used, in place of the config's own register (the option token_entries), for
 * processes that have the same keys: `use` gets the hash of one and the second until when it is good, and returns 1 when it was not
 * there before and is noted; anything else: the token proves nothing. It is called inside of neap_endpoint_recv and neap_use_token
 * and may not call the library. NULL: the own one. `context` (may be NULL) is kept. */
NEAP_API void neap_config_set_token_register(neap_config *config,
                                             int (*use)(void *context, const uint8_t id[32], int64_t expires),
                                             void *context);

/** Keys of session tickets, instead of a random one: 1 to 4 secrets of 32 random bytes, the same in all processes and
 * machines that are to take each other's tickets. They are as secret as the private key: who has one of them and sees a
 * ticket can be taken for the server by the client that resumes with it. The first seals, all open: a new one is first
 * added behind, then put in front, and the old one goes after the option ticket_lifetime. From each comes a key of its
 * own for every ticket_lifetime by the wall clock. May be called at any time. 0; NEAP_ERR_ARGUMENT; NEAP_ERR_STATE with
 * a register of early data in memory (neap_config_use_strikes), which knows nothing of what the others read. */
NEAP_API int neap_config_set_ticket_keys(neap_config *config, const uint8_t (*keys)[32], size_t count);

/* A client's sessions (RFC 8446 §2.2). With the option resumption a client's connections keep what their server gives
 * them in the config, up to 16 sessions of a server (name and port) and 256 in all, and neap_connect takes one for the
 * next connection to it: that needs no certificate and no signature. Each is used once; only if nobody answered it may be
 * offered again, one more time, once that connection is closed or freed. It is good for the same server name, roots,
 * pins and verify_peer, no longer than the server's certificate, and for a week at most from the last handshake that was
 * full, however many have resumed since. All of them take a sixteenth of the memory limit at most. A server without a
 * name has none. */

/** Write the sessions that the config has now, to be kept in a file: `size` bytes of room at `out`, or NULL to ask how
 * much it takes. The bytes written, or NEAP_ERR_BUFFER_TOO_SHORT. Who can read them can read what is sent in resumed
 * connections before the keys are exchanged anew, and can be taken for the client: they are a secret. */
NEAP_API int64_t neap_config_save_sessions(const neap_config *config, void *out, size_t size);
/** Add the sessions that neap_config_save_sessions wrote. 0, or NEAP_ERR_ARGUMENT for bytes that it did not write: what
 * could be read before them is kept. */
NEAP_API int neap_config_load_sessions(neap_config *config, const void *saved, size_t size);

/* 0-RTT (RFC 8446 §2.3, RFC 9001 §4.6), with the option early_data. A client that resumes may send on streams before the server
 * has answered; the server may read that, and answer, before the handshake is complete. Who has seen such packets can send them
 * again: what is read early may have been read by another server that the same ticket is good for, so that only what does no
 * harm twice may be done before the handshake is complete. */

/** What decides whether a server reads early data, once a client has shown that it has the key of a ticket: 1 when `id`,
 * which is that ClientHello's and no other's, was never seen and is now noted until `expires` (seconds of the config's wall
 * clock; a second later the ClientHello is too old to be read early), or 0 when it was seen, or nobody can say (RFC 8446
 * §8.2). All servers that have the same ticket keys must ask the same register, and one that began less than 21 seconds ago
 * may not know what another read before. It is called from neap_conn_recv and neap_endpoint_recv, and may not call the
 * library. `context` (may be NULL) is kept. NULL, the default: no early data is read, and no ticket says that it would be. */
NEAP_API void neap_config_set_strike(neap_config *config,
                                     int (*strike)(void *context, const uint8_t id[32], int64_t expires),
                                     void *context);

/** Have the library keep that register, a table of the option strike_entries, set before. In a file, which is made when there is
 * none: for all programs of one machine that have the same ticket keys, also one after the other. It is the owner's alone to
 * write; while anybody has it open it is neither removed (then nothing is read early any more) nor cut. One that is new, or
 * of before the machine's last start, has early data refused for 30 seconds. Or in memory (`path` NULL): for the ticket keys
 * that a config makes for itself, and for it and its copies behind a fork; with keys of the application's it is
 * NEAP_ERR_STATE. A table that is full has early data refused, and forgets nothing. 0; NEAP_ERR_SYSTEM (errno tells),
 * NEAP_ERR_ARGUMENT (the file is no such table, others may write it, or it has another number of entries),
 * NEAP_ERR_NO_MEMORY: what there was before stays. `why` as above. */
NEAP_API int neap_config_use_strikes(neap_config *config, const char *path, const char **why);

/** What a server's owner wants to be the same when early data is read as when the ticket was given, above what QUIC itself
 * looks after: HTTP/3's settings. It is in each ticket; a ticket with other bytes resumes, but its early data is refused.
 * At most 256 bytes; 0, NEAP_ERR_ARGUMENT for more, NEAP_ERR_STATE while connections or endpoints are made with the config.
 * The client never sees them. */
NEAP_API int neap_config_set_session_data(neap_config *config, const void *data, size_t size);

/** Called for each TLS secret with one line in NSS key log format, without line end, that is good during the call; it
 * may not call the library. NULL: off. `context` (may be NULL) is kept. */
NEAP_API void neap_config_set_keylog(neap_config *config, void (*log)(void *context, const char *line),
                                     void *context);

/** A certificate chain whose private key is elsewhere, in another process or a device: handshakes with it stand until
 * they get their signature (NEAP_ASK_SIGNATURE). Whether the key fits shows there. As neap_config_add_certificate. */
NEAP_API int neap_config_add_certificate_without_key(neap_config *config, const void *chain,
                                                     size_t chain_size, const char **why);

/** Add an external pre-shared key (RFC 8446 §2.2, RFC 9257): `identity` of 1..128 bytes, which is sent in the clear, and
 * `key` of 16..64 bytes, as random as a key is and shared by two alone. `hash`: 256 or 384, the SHA-2 that it was made for.
 * A server takes whoever has one of its 4096 keys, each with a key exchange of its own, and needs no certificate then; a
 * client offers the first, behind a session to be resumed, and needs no roots: a server that does not take it is refused
 * unless roots or pins were added that vouch for its certificate, also without verify_peer. One that takes it shows no
 * certificate: pins, ocsp_required and NEAP_ASK_PEER say nothing of it. Sessions of such a handshake are good while the key
 * is. A key of the same identity takes the place of the one before. At any time. 0, NEAP_ERR_ARGUMENT, NEAP_ERR_LIMIT,
 * NEAP_ERR_NO_MEMORY. */
NEAP_API int neap_config_add_psk(neap_config *config, const void *identity, size_t identity_size,
                                 const void *key, size_t key_size, unsigned hash);

/** Sign `message` with a private key, PEM or DER, under a signature scheme of RFC 8446 §4.2.3: for a process that keeps the
 * key and answers another's questions. Its size, 512 bytes at most, into `room` bytes at `out`; NEAP_ERR_CERTIFICATE (the
 * key cannot be read), NEAP_ERR_UNSUPPORTED (a scheme or key that this build does not sign with), NEAP_ERR_CRYPTO (a scheme
 * that is not the key's), NEAP_ERR_BUFFER_TOO_SHORT, NEAP_ERR_NO_MEMORY. The key is read anew each time. */
NEAP_API int64_t neap_sign(neap_config *config, const void *key, size_t key_size, uint16_t scheme,
                           const void *message, size_t size, void *out, size_t room, const char **why);

/* What a handshake may ask the application. */
enum neap_question_kind {
    NEAP_ASK_NOTHING = 0,
    NEAP_ASK_SIGNATURE = 1, /* by the key of a certificate that was added without it */
    NEAP_ASK_PSK = 2,       /* a server: for the external key of an identity that the config does not have */
    NEAP_ASK_CERTIFICATE = 4, /* a server: for the name that the client asks for */
    NEAP_ASK_PEER = 8,        /* whether the peer, whose certificate is its own, is who it should be */
};
/** Have handshakes ask: `kinds` is a sum of NEAP_ASK_PSK, NEAP_ASK_CERTIFICATE and NEAP_ASK_PEER, in place of those before; signatures
 * are asked for where the key is elsewhere. NEAP_ASK_PEER comes behind roots and pins; it decides alone of a client whose
 * `verify_peer` is 0, and of a server without roots for clients and revocation lists. 0, NEAP_ERR_ARGUMENT, or NEAP_ERR_STATE
 * as for options. */
NEAP_API int neap_config_ask(neap_config *config, unsigned kinds);

/** Make a self-signed ECDSA P-256 certificate and its key as PEM text (NUL-terminated): for development; the config is
 * not changed. 1..32 `names` are DNS names of hosts (or `*.` and one) or IP addresses for the SAN; it is valid from an hour
 * ago until `days` (1 at least) from now by the config's wall clock. 0; NEAP_ERR_ARGUMENT (names, or an end beyond the year
 * 9999), NEAP_ERR_BUFFER_TOO_SHORT (2048 and 1024 bytes do for a few names), NEAP_ERR_STATE (the time is not known),
 * NEAP_ERR_CRYPTO; the rooms are scratch then. */
NEAP_API int neap_make_certificate(neap_config *config, const char *const *names, size_t count, unsigned days,
                                   char *certificate, size_t certificate_size, char *key, size_t key_size);

/* ---- certificates for others: authorities, requests (PKCS #10, RFC 2986), and what is issued (RFC 5280).
 * NEAP_ERR_UNSUPPORTED in builds without it (NEAP_WITH_ISSUING). */

/* What a certificate is for. */
enum neap_certificate_use {
    NEAP_USE_SERVER = 1,
    NEAP_USE_CLIENT = 2,
    NEAP_USE_AUTHORITY = 4, /* it issues others; alone */
};
#define NEAP_SUBJECT_ROOM 65 /* 64 bytes and a NUL */

typedef struct neap_certificate_plan {
    const char *common_name;  /* of the subject; NULL: none. Both NULL: those of the request */
    const char *organization; /* 1..64 bytes of UTF-8 without control characters, as the common name */
    /* 0..32 DNS names of hosts (or "*." and one) and IP addresses, of a server one at least: the subjectAltName */
    const char *const *names;
    size_t name_count;
    const void *request; /* PEM or DER: whose key and subject it is for; else `key` is given */
    size_t request_size;
    const void *key; /* the subject's private key, PEM or DER */
    size_t key_size;
    const void *authority; /* the certificate of who signs, PEM or DER; of size 0: it signs itself */
    size_t authority_size;
    const void *authority_key;
    size_t authority_key_size;
    unsigned days;   /* from 1 */
    unsigned uses;   /* a sum of enum neap_certificate_use */
    int path_length; /* of an authority: how many others may be below it, 0..127; below 0: no bound */
} neap_certificate_plan;

/** Make an ECDSA P-256 key as PEM text, NUL-terminated: 512 bytes of `room` do. 0, NEAP_ERR_BUFFER_TOO_SHORT,
 * NEAP_ERR_CRYPTO; the room is wiped then. */
NEAP_API int neap_make_key(neap_config *config, char *out, size_t room);
/** Make a request for `key`, `common_name`, `organization` and `names` of the plan, whose size is `plan_size`; its other members
 * are not looked at. Its size as PEM text, which is NUL-terminated: 8192 bytes of `room` do. NEAP_ERR_ARGUMENT,
 * NEAP_ERR_CERTIFICATE (the key cannot be read), NEAP_ERR_UNSUPPORTED (a key that TLS does not sign with), NEAP_ERR_LIMIT (more
 * than 4096 bytes), NEAP_ERR_BUFFER_TOO_SHORT, NEAP_ERR_CRYPTO, NEAP_ERR_NO_MEMORY. */
NEAP_API int64_t neap_make_request(neap_config *config, const neap_certificate_plan *plan, size_t plan_size,
                                   char *out, size_t room, const char **why);

typedef struct neap_request_info {
    char common_name[NEAP_SUBJECT_ROOM], organization[NEAP_SUBJECT_ROOM]; /* "": none */
    uint8_t public_key_sha256[32];                                        /* a pin */
    size_t name_count;
    char names[5120]; /* DNS names and IP addresses that are asked for, each with a NUL behind it */
} neap_request_info;
/** Read a request, PEM or DER, that anybody may have sent, and verify that its key signed it: one signature. 0;
 * NEAP_ERR_LIMIT (it has more than 4096 bytes, or 32 names), NEAP_ERR_CERTIFICATE, NEAP_ERR_UNSUPPORTED (a key that TLS does not sign
 * with), NEAP_ERR_NO_MEMORY. Whether the sender is who the request says is for the caller to know. */
NEAP_API int neap_read_request(neap_config *config, const void *request, size_t size, neap_request_info *out,
                               size_t out_size, const char **why);
/** Issue a certificate, whose serial number is random (126 bits), from an hour ago until `days` from now by the config's wall
 * clock, but not beyond the authority's end. Of a request, whose signature is verified, it takes the key, and the subject when
 * the plan has none; never names. An authority's path_length is below its issuer's. Its size as PEM text, which is
 * NUL-terminated: 18432 bytes of `room` do. As neap_make_request; NEAP_ERR_STATE when the time is not known;
 * NEAP_ERR_CERTIFICATE also when the authority is none, has ended, its path ends, or its key is another. */
NEAP_API int64_t neap_issue_certificate(neap_config *config, const neap_certificate_plan *plan,
                                        size_t plan_size, char *out, size_t room, const char **why);

typedef struct neap_memory_stats {
    size_t used, reserved; /* bytes that the library uses, and that it has of the environment */
    size_t limit;          /* 0: no bound */
    uint64_t refused;      /* how often the environment or the limit refused */
    /* Bytes of memory for data of streams that came and no one has read, of all connections; and how many may be: half of the
     * limit (0: no bound). Above a quarter of it windows do not grow. Above it STREAM data counts as not received and comes again,
     * unless its connection holds less than 64 KiB or it is what the reader of a stream waits for. */
    uint64_t receive_held, receive_most;
    size_t peak; /* the most bytes that the library has used at once */
    /* Bytes of streams that are queued and not acknowledged, of all connections; and how many may be: a third of the limit (0:
     * no bound). A connection may queue as much as is left, or 64 KiB. */
    uint64_t send_held, send_most;
} neap_memory_stats;
/** Seconds since 1970 by the wall clock of its environment; -1 where that is not known, or less than the option clock_floor. */
NEAP_API int64_t neap_config_wall_clock(const neap_config *config);
/** The memory of all that is made with the config, into `size` bytes at `out` (sizeof *out). */
NEAP_API void neap_config_memory(const neap_config *config, neap_memory_stats *out, size_t size);

/** How often bounds were met that most connections never meet, by all that is made with a config. The others are counted in
 * neap_stats, neap_endpoint_stats and neap_h3_stats. */
typedef struct neap_bound_stats {
    /* Streams that began to wait since as much is queued as send_most of neap_memory_stats leaves them, or as one connection may
     * queue; and since so much is queued that the peer gave no credit for (16384 bytes). */
    uint64_t send_budget, send_ahead;
    uint64_t datagrams_refused; /* DATAGRAMs that were not queued for send_most */
    uint64_t sent_forgotten;    /* packets that elicit nothing, of which others took the place (8 are kept) */
    uint64_t
        size_probes_forgotten; /* probes of the datagram size likewise, for which ICMP is heard no more */
    uint64_t closes_withheld;  /* datagrams of connections that we closed, that were not answered */
    uint64_t h3_overloads;     /* connections closed with H3_EXCESSIVE_LOAD for too much in vain */
    uint64_t h3_sections_late; /* requests given up since a field section took longer than header_timeout */
    uint64_t h3_sections_partial; /* … since too much had come in part of a connection's field sections */
    uint64_t
        h3_sections_refused; /* field sections larger than max_field_section_size, or of too many fields */
    uint64_t h3_priority_updates; /* PRIORITY_UPDATE frames past 100 and four a request */
} neap_bound_stats;
/** The counts so far, into `size` bytes at `out` (sizeof *out). */
NEAP_API void neap_config_bounds(const neap_config *config, neap_bound_stats *out, size_t size);

/** What computes AES-GCM: "vaes512", "vaes256", "aesni" or "armv8" in instructions of this CPU, or "mbedtls"; static.
 * It is the fastest that the CPU, the system and the build carry, or the one that the environment variable NEAP_CRYPTO
 * names, if that is among them. With all but "mbedtls", AES-128-GCM is the cipher suite that is wished for first, with
 * that ChaCha20-Poly1305. */
NEAP_API const char *neap_config_engine(const neap_config *config);
/** The index-th of those that can be chosen here, the fastest first; static. NULL behind the last, "mbedtls". */
NEAP_API const char *neap_engine_name(size_t index);

/* ---------------------------------------------------------------- addresses, packets before a connection */

/** An IP address and UDP port. All zero: none. */
typedef struct neap_address {
    uint8_t ip[16]; /* the first 4 for IPv4, network order */
    uint32_t scope; /* IPv6 scope (interface) id, 0 otherwise */
    uint16_t port;  /* host order */
    uint8_t family; /* 4, 6, or 0 none */
    uint8_t unused; /* zero */
} neap_address;

/** Family, IP address, port and scope are the same. */
NEAP_API bool neap_address_equal(const neap_address *a, const neap_address *b);
/** "192.0.2.1:443" or "[fe80::1%2]:443", "-" for none; returns the length without NUL, or NEAP_ERR_BUFFER_TOO_SHORT: 72
 * bytes hold every address. */
NEAP_API int neap_address_format(const neap_address *address, char *out, size_t size);
/** Parse what format writes but "-"; without a port `default_port` is used. No names. 0 or NEAP_ERR_ARGUMENT (`text`
 * NULL too). */
NEAP_API int neap_address_parse(const char *text, uint16_t default_port, neap_address *out);
/** The addresses at which servers would rather be (RFC 9000 §9.6): clients go there once they are connected, if they can
 * and want to; the server serves both. For one address that many share, such as an anycast address, and another that is
 * this server's own. Either may be NULL: none of that family. The endpoint must be given what arrives there, with that
 * address as `to`, and what it sends from there has to leave from there (neap_loop_listen_also does both). 0;
 * NEAP_ERR_ARGUMENT (another family, no port, a wildcard or scoped address), NEAP_ERR_STATE as neap_config_set. */
NEAP_API int neap_config_set_preferred_address(neap_config *config, const neap_address *v4,
                                               const neap_address *v6);

enum neap_packet_type {
    NEAP_PACKET_INITIAL,
    NEAP_PACKET_0RTT,
    NEAP_PACKET_HANDSHAKE,
    NEAP_PACKET_RETRY,
    NEAP_PACKET_VERSION_NEGOTIATION,
    NEAP_PACKET_SHORT,
};

/** A connection ID (RFC 9000 §5.1). */
typedef struct neap_cid {
    uint8_t bytes[NEAP_MAX_CONNECTION_ID];
    uint8_t size; /* 0..20 */
} neap_cid;

/** What can be read of a datagram's first packet without keys (RFC 8999). */
typedef struct neap_header {
    enum neap_packet_type type;
    uint32_t version; /* 0 for version negotiation and short headers */
    neap_cid dcid, scid;
    const uint8_t *token; /* Initial and Retry: points into the datagram; NULL or any when there is none */
    size_t token_size;
} neap_header;

/** Parse a header. `short_dcid_size` is how long our own connection IDs are, 0..20. 0; NEAP_ERR_INVALID_PACKET (no QUIC
 * packet, or connection IDs above 20 bytes), NEAP_ERR_UNKNOWN_VERSION (then version, dcid and scid are filled: answer
 * with version negotiation, RFC 9000 §6.1), NEAP_ERR_ARGUMENT (short_dcid_size). The second bit of the first byte is not
 * looked at: peers may draw it (RFC 9287), and connections see to it that only those do that may. */
NEAP_API int neap_header_info(const uint8_t *bytes, size_t size, size_t short_dcid_size, neap_header *out);

/** Whether this version can be spoken; whether a config does says neap_config_set_versions. */
NEAP_API bool neap_version_is_supported(uint32_t version);

/** Write a Version Negotiation packet that answers `header` with the config's versions and a reserved one (RFC 9000
 * §17.2.1, §6.3): for datagrams of 1200 bytes and more. Returns its size or NEAP_ERR_BUFFER_TOO_SHORT; 64 bytes do. */
NEAP_API int64_t neap_negotiate_version(neap_config *config, const neap_header *header, uint8_t *out,
                                        size_t size);

/** Write a Retry packet that answers the Initial in `header`: `new_scid` becomes the DCID of the client's next
 * Initial and must be another than the header's, the token is bound to the client's address, both connection IDs, the
 * version and the config's wall clock (RFC 9000 §8.1.2, §17.2.5). Returns its size; NEAP_ERR_UNKNOWN_VERSION,
 * NEAP_ERR_BUFFER_TOO_SHORT (256 bytes do), NEAP_ERR_CRYPTO. */
NEAP_API int64_t neap_retry(neap_config *config, const neap_header *header, const neap_cid *new_scid,
                            const neap_address *peer, uint8_t *out, size_t size);

/** Check the token of an Initial: 0 and the original destination connection ID, or NEAP_ERR_TOKEN (no Initial, no
 * token, not one of a Retry of ours, another address, version or connection ID, too old; RFC 9000 §8.1.3-8.1.4). A
 * token lives for 10 seconds; servers that share a static secret understand each other's while their wall clocks are
 * less than 5 seconds apart. */
NEAP_API int neap_validate_token(neap_config *config, const neap_header *header, const neap_address *peer,
                                 neap_cid *original_dcid);

/** What the token of a first packet says of the address that it came from (RFC 9000 §8.1). */
enum neap_token {
    NEAP_TOKEN_NONE, /* nothing: there is none, or it is of somebody else, of another address or over: go on as without
                           (§8.1.3) */
    NEAP_TOKEN_RETRY, /* of a Retry of ours: *original_dcid is for neap_accept */
    NEAP_TOKEN_ADDRESS, /* of a NEW_TOKEN frame: the client has been at this address; once, see neap_use_token */
    NEAP_TOKEN_INVALID, /* of a Retry, but old, changed or of another address: refuse with INVALID_TOKEN (§8.1.2) */
};
/** Look at the token of an Initial; `original_dcid` is filled for NEAP_TOKEN_RETRY alone. Nothing changes. */
NEAP_API enum neap_token neap_check_token(neap_config *config, const neap_header *header,
                                          const neap_address *peer, neap_cid *original_dcid);
/** A token that was NEAP_TOKEN_ADDRESS is taken as the proof, now that the connection is accepted: true the first time, and then
 * neap_conn_set_validated says it to the connection; false when it was used before, or when that is not known (the register of
 * used ones has no room): go on as without. An endpoint does all of this by itself. */
NEAP_API bool neap_use_token(neap_config *config, const neap_header *header);
/** The address of a server's connection that neap_accept gave, and that has received nothing yet, was proved otherwise: it may be
 * sent more than three times what came from there (RFC 9000 §8.1). */
NEAP_API void neap_conn_set_validated(neap_conn *conn);

/** Write a stateless reset for a packet of `trigger_size` bytes with this DCID (RFC 9000 §10.3). Returns its size, 0
 * when none may be sent because the trigger was too small, or NEAP_ERR_BUFFER_TOO_SHORT; 43 bytes do. */
NEAP_API int64_t neap_stateless_reset(neap_config *config, const neap_cid *dcid, size_t trigger_size,
                                      uint8_t *out, size_t size);

/** `size` random bytes as a connection ID; 20 for more. */
NEAP_API void neap_random_cid(neap_config *config, size_t size, neap_cid *out);
/** A connection ID as the config says how they are made (source_connection_id_size, generator, prefix, QUIC-LB): for callers
 * of neap_accept and neap_retry. 0, NEAP_ERR_LIMIT (the generator gave none in 16 tries) or NEAP_ERR_CRYPTO. */
NEAP_API int neap_new_cid(neap_config *config, neap_cid *out);

/* ---- what connection IDs of ours look like: without any of these they are random (RFC 9000 §5.1) */

/** Connection IDs of ours come from `generate`: it fills id->bytes, id->size bytes, and returns 0. Called from where they
 * are made (accept, Retry, NEW_CONNECTION_ID, connect); it may not call the library. An ID of another size, one that another
 * connection of the endpoint has, or a result other than 0 is refused, and counted; 16 tries in a row, then there is none:
 * the connection is not accepted, or has one ID less. Whoever sees two IDs must not be able to tell that they are of one
 * connection (RFC 9000 §5.1). NULL: off. `context` (may be NULL) is kept. 0, or NEAP_ERR_STATE while connections or endpoints
 * made with the config are alive. */
NEAP_API int neap_config_set_cid_generator(neap_config *config, int (*generate)(void *context, neap_cid *id),
                                           void *context);
/** Connection IDs of ours begin with these bytes, and are random behind them: 4 bytes at least (source_connection_id_size
 * counts both). Something before the server routes by them, to a process or a machine. They are seen by everybody: what an
 * observer learns by them is which of the processes a client talks to. 0 bytes: off. 0; NEAP_ERR_ARGUMENT (too long);
 * NEAP_ERR_STATE as above, or with a generator or QUIC-LB. */
NEAP_API int neap_config_set_cid_prefix(neap_config *config, const void *prefix, size_t size);

/** A configuration of QUIC-LB (draft-ietf-quic-load-balancers-22 §5), a server's or one that a load balancer knows. */
typedef struct neap_quic_lb {
    uint8_t
        config_id; /* 0..6: the three config rotation bits; NEAP_QUIC_LB_UNROUTABLE: there is no configuration */
    uint8_t server_id_length; /* 1..15, and 19 at most together with: */
    uint8_t nonce_length;     /* 4..18 */
    bool length_encoding;     /* the first octet tells how long the connection ID is */
    bool has_key;             /* without one everybody can read the server ID */
    uint8_t key[16];          /* AES-128: single-pass where both lengths make 16, else four passes */
    uint8_t server_id[15];    /* a server's; a balancer's config needs none */
} neap_quic_lb;
#define NEAP_QUIC_LB_UNROUTABLE 7 /* connection IDs that no balancer can route (draft §3.2) */

/** Connection IDs of ours from now on are those of this configuration, of `size` bytes (sizeof *lb); NULL: off. What
 * source_connection_id_size has above both lengths and the first octet is random; it becomes at least so large. Other
 * configurations may follow while connections are alive, with a config_id of their own: call neap_conn_rotate_ids then
 * (neap_endpoint_rotate_ids for all), and keep the balancers' old one until all have. Nonces under a key are counted from a
 * random start, in this process, and on when one of the 8 configurations before comes back: each process, and each start where nonces are short, needs a server ID or a configuration of
 * its own. A connection takes a nonce, one more with a preferred address, and one for each further ID; a Retry takes one, since its
 * ID becomes the connection's. So does a flood of first packets from addresses that are not the sender's: at a million a second 4
 * octets last for an hour, 5 for twelve days, 6 for nine years. Take 6 at least; after the last one connection IDs are
 * unroutable. What neap_accept was called for is taken, a first packet that an endpoint cannot open takes none. Without a
 * key, and for NEAP_QUIC_LB_UNROUTABLE, a connection has one ID at a time, and clients are told not to migrate, as the draft
 * wants it. Stateless reset tokens depend on the server ID of the configuration that the connection ID names, so that servers
 * with one static secret cannot be asked for each other's (RFC 9000 §21.11). 0;
 * NEAP_ERR_ARGUMENT (lengths); NEAP_ERR_STATE: with a generator or a prefix, or, while the config is in use, above
 * source_connection_id_size, or another configuration with the config_id of the one before. */
NEAP_API int neap_config_set_quic_lb(neap_config *config, const neap_quic_lb *lb, size_t size);

/** The load balancer's side: the server ID in a connection ID, by the one of `count` configurations, each of `config_size`
 * bytes (sizeof *configs), that its first octet names. `cid` of a short header is what follows the first byte, as much as there
 * is; `is_whole`: it is of a long header, exactly so long. Returns how long the server ID is, and which configuration it was in
 * *index (may be NULL). NEAP_ERR_UNSUPPORTED: it is unroutable (no such configuration, too short, its own length does not fit),
 * and the fallback by addresses is to decide (draft §4); NEAP_ERR_ARGUMENT (a configuration); NEAP_ERR_CRYPTO. A server ID that
 * nobody has is for the caller to find: it is unroutable as well. */
NEAP_API int64_t neap_quic_lb_decode(const neap_quic_lb *configs, size_t config_size, size_t count,
                                     const uint8_t *cid, size_t cid_size, bool is_whole,
                                     uint8_t server_id[15], size_t *index);

typedef struct neap_cid_stats {
    uint64_t made;        /* connection IDs of ours */
    uint64_t refused;     /* of a generator: of a wrong size, or it failed */
    uint64_t collisions;  /* another connection of the endpoint had it */
    uint64_t unroutable;  /* of QUIC-LB, made without a configuration or a nonce */
    uint64_t nonces_left; /* of QUIC-LB with a key; UINT64_MAX where they are not counted */
} neap_cid_stats;
/** The counters so far, into `size` bytes at `out` (sizeof *out). */
NEAP_API void neap_config_cid_stats(const neap_config *config, neap_cid_stats *out, size_t size);

/* ---------------------------------------------------------------- connections */

/** Start a client connection, the caller's. `server_name` is the DNS name or IP address that the certificate must have
 * (and SNI unless an IP), 255 bytes at most; NULL or "" only without verify_peer, or with pins alone. `local` may be
 * all zero when the socket chooses. NULL without memory, roots, an address in `peer` or a config (NULL too) that can
 * work: `*why` says. */
NEAP_API neap_conn *neap_connect(neap_config *config, const char *server_name, const neap_address *local,
                                 const neap_address *peer, neap_time now, const char **why);

/** Start a server connection for the Initial in `header`. `scid` is our connection ID for the peer to use; after a
 * Retry it is the header's DCID and `original_dcid` the one that neap_validate_token gave; NULL without Retry. The
 * connection is the caller's, who hands the datagram to neap_conn_recv next. NULL without memory, for what is no
 * Initial of a version that we speak, for a DCID below 8 bytes (RFC 9000 §7.2) and with a config that cannot work:
 * `*why` says. */
NEAP_API neap_conn *neap_accept(neap_config *config, const neap_header *header, const neap_cid *scid,
                                const neap_cid *original_dcid, const neap_address *local,
                                const neap_address *peer, neap_time now, const char **why);

/** Free a connection at once, without a word to the peer: neap_conn_close first for a clean end. One of an endpoint is
 * taken out of it (neap_endpoint_release would let it close and drain). Its neap_h3 must be gone. NULL is fine. */
NEAP_API void neap_conn_free(neap_conn *conn);

/** Anything of the caller's, or NULL; forgotten by neap_endpoint_release. */
NEAP_API void neap_conn_set_user(neap_conn *conn, void *user);
NEAP_API void *neap_conn_user(const neap_conn *conn);

typedef struct neap_recv_info {
    neap_address from, to;
    uint8_t ecn; /* the two ECN bits of the IP header */
} neap_recv_info;

/** Take one datagram, decrypted in place: `bytes` is scratch afterwards. What happened is learnt by asking; a packet
 * that cannot be read is not an error. 0, or NEAP_ERR_CLOSED when the connection is closed; it takes packets while it
 * is draining. A peer's fault closes the connection and is seen in neap_conn_close_info. */
NEAP_API int neap_conn_recv(neap_conn *conn, uint8_t *bytes, size_t size, const neap_recv_info *info,
                            neap_time now);

typedef struct neap_send_info {
    neap_address from, to;
    neap_time at;        /* when to send it: pacing; not after `now` for what may leave at once */
    size_t segment_size; /* neap_conn_send_burst: all datagrams but the last have this size */
    uint8_t ecn;
} neap_send_info;

/** Write one datagram, not larger than `size`: 65507 bytes hold every one (the option max_send_udp_payload_size), and with
 * less no larger size of the path is searched. Returns its size, NEAP_ERR_AGAIN when there is nothing to send now (also of a closed
 * connection), or NEAP_ERR_BUFFER_TOO_SHORT when `size` is below 1200. `info` may be NULL. Ask until AGAIN, then wait
 * for neap_conn_timeout. */
NEAP_API int64_t neap_conn_send(neap_conn *conn, uint8_t *out, size_t size, neap_send_info *info,
                                neap_time now);

/** Write as many datagrams as are allowed now, 64 at most, one behind the other, all of info->segment_size but the
 * last, for one GSO send. Returns the bytes written, or as neap_conn_send. */
NEAP_API int64_t neap_conn_send_burst(neap_conn *conn, uint8_t *out, size_t size, neap_send_info *info,
                                      neap_time now);

/** When neap_conn_on_timeout must be called, NEAP_NEVER when no timer runs; also when the pacer allows the next
 * packet: call neap_conn_send then too. */
NEAP_API neap_time neap_conn_timeout(const neap_conn *conn);
/** Run the timers that are due; then send. */
NEAP_API void neap_conn_on_timeout(neap_conn *conn, neap_time now);

/** Whether neap_accept or an endpoint's accepting made it. */
NEAP_API bool neap_conn_is_server(const neap_conn *conn);
/** The TLS handshake is complete on our side: application data may be sent. */
NEAP_API bool neap_conn_is_established(const neap_conn *conn);
/** The handshake is confirmed (RFC 9001 §4.1.2). */
NEAP_API bool neap_conn_is_confirmed(const neap_conn *conn);
/** A client's: ICMP says that nobody is there (neap_endpoint_unreachable), and nothing came from there so far, neither a packet
 * nor a Retry or Version Negotiation that is valid. It goes on trying: such messages are no proof (RFC 9000 §21.4), and a
 * server may be about to start. Who knows another address tries it. */
NEAP_API bool neap_conn_is_unreachable(const neap_conn *conn);
/** Closing or draining (RFC 9000 §10.2): streams are gone with all that was not read, packets are still answered. */
NEAP_API bool neap_conn_is_draining(const neap_conn *conn);
/** All over: nothing will be sent or taken; free it. */
NEAP_API bool neap_conn_is_closed(const neap_conn *conn);
/** Its TLS handshake went on from an earlier session: no certificate was sent (RFC 8446 §2.2). A server
 * knows that when the client has proved that it has the session's key, before it reads early data; a client when it is
 * established, and until then it is false. */
NEAP_API bool neap_conn_is_resumed(const neap_conn *conn);
/** The peer's certificates were verified but for dates, since the time was not known, and still is not. False before it is
 * established. */
NEAP_API bool neap_conn_has_unchecked_dates(const neap_conn *conn);
/** DER of a certificate that the peer showed, leaf first, which lives as long as the connection; NULL behind the last, when
 * it showed none, and before the handshake is complete, but while NEAP_ASK_PEER is open, and of a client
 * whose session is resumed, so that its early data has a sender. A server has those of its clients; of a client whose session was
 * resumed the leaf alone, which its ticket brought. A client has its server's only with the option keep_certificates, and
 * none in a resumed session, but the leaf where it asks NEAP_ASK_PEER. */
NEAP_API const uint8_t *neap_conn_peer_certificate(const neap_conn *conn, size_t index, size_t *size);

enum neap_early {
    NEAP_EARLY_NONE,     /* there is no early data; of a server also before it has read the ClientHello */
    NEAP_EARLY_OFFERED,  /* a client's: it may be sent, and the server has not answered */
    NEAP_EARLY_ACCEPTED, /* the server reads it */
    NEAP_EARLY_REJECTED, /* the client offered it, and the server passes it over */
};
/** What became of the connection's 0-RTT. It is OFFERED as soon as neap_connect returns, or never; a change leaves the mark that
 * neap_endpoint_next tells of. */
NEAP_API enum neap_early neap_conn_early(const neap_conn *conn);
/** A client's: streams may be opened and sent on although the handshake is not complete. Limits are those that the server had
 * when it gave the ticket. Who does so takes care that it may be done twice, and can do it once more: see
 * neap_conn_begin_again. */
NEAP_API bool neap_conn_is_early(const neap_conn *conn);
/** A server's: this stream is the client's, something of it came, and the handshake is not complete: it came in 0-RTT packets,
 * and another may have sent them again. False from the moment at which neap_conn_is_established: then the client itself
 * has proved that it is there, and it was no repetition. */
NEAP_API bool neap_conn_stream_is_early(const neap_conn *conn, uint64_t id);
/** A client's whose early data was rejected while it had opened streams: whoever opened them lets go of them, and says so by
 * this. All its streams are gone then, and the next ones begin with the first id; the peer's are as they were. Until then none
 * can be opened (NEAP_ERR_STATE), and nothing is sent on those that there are. Where no stream was opened early
 * there is nothing to say. 0; NEAP_ERR_STATE when this is not so (also a second time) or HTTP/3 speaks here, which does it itself; NEAP_ERR_CLOSED. */
NEAP_API int neap_conn_begin_again(neap_conn *conn);
/** What a client wants to know when a session of this connection lets it send early: HTTP/3's settings of the server. It is kept
 * with the sessions that came and those that come. At most 256 bytes, copied. 0; NEAP_ERR_ARGUMENT; NEAP_ERR_STATE of a server, of
 * a client before it is established, and where no sessions are kept that allow early data. */
NEAP_API int neap_conn_set_session_data(neap_conn *conn, const void *data, size_t size);
/** What was kept so with the session that a client offered early data with; NULL and 0 without, and once the handshake is
 * confirmed. Lives until then. */
NEAP_API const void *neap_conn_session_data(const neap_conn *conn, size_t *size);
/** The group of its key exchange, by the name that neap_config_set_groups takes; NULL before it is established. */
NEAP_API const char *neap_conn_group(const neap_conn *conn);
/** Its cipher suite, by the name that neap_config_set_cipher_suites takes; NULL before it is established. */
NEAP_API const char *neap_conn_cipher_suite(const neap_conn *conn);
/** The identity of the external pre-shared key by which the two know each other, of the handshake itself or of the one that
 * its session goes back to: `*size` bytes, which live as long as the connection, of one that is not established
 * yet until the next call that takes it. NULL and 0: certificates, or not known yet: a server knows it when the client has
 * proved that it has the key, before it reads early data, a client when it is established. */
NEAP_API const uint8_t *neap_conn_psk_identity(const neap_conn *conn, size_t *size);
/** The QUIC version in use, such as NEAP_QUIC_V1: it may become another one until the connection is established. */
NEAP_API uint32_t neap_conn_version(const neap_conn *conn);

/* Handshakes that ask. One that lacks something of the application's stands still: what comes of the peer is received and
 * acknowledged within the bounds of every handshake, the option handshake_timeout runs on, and the question is there until
 * it is answered or the connection ends. neap_endpoint_next names the connection when there is a question, before and
 * after it is established to anybody; with sockets of your own ask after neap_conn_recv. It is answered whenever the
 * application likes, from where it likes, by the thread of the config. */

/** A question. Its pointers are good until it is answered or the connection ends. */
typedef struct neap_question {
    enum neap_question_kind kind;
    uint64_t id;             /* names it in its answer, so that one that comes late is none to the next */
    const char *server_name; /* that the client asks for, or that we ask for; NUL-terminated, "" none */
    /* SIGNATURE: what is to be signed, the message and no hash of it: 64 spaces, the context string of RFC 8446 §4.4.3, a
     * zero byte and the transcript's hash. PSK: the identity. CERTIFICATE: the client's signature schemes, big-endian pairs. */
    const uint8_t *bytes;
    size_t size;
    const uint8_t *certificate; /* DER: SIGNATURE: of whose key; PEER: the peer's */
    size_t certificate_size;
    uint16_t scheme; /* SIGNATURE: the signature scheme (RFC 8446 §4.2.3) */
    uint8_t
        digest[64]; /* SIGNATURE: the hash of `bytes` that the scheme signs, for devices that take no more */
    size_t digest_size; /* 0: the scheme is Ed25519, which signs the bytes themselves */
    bool
        is_verified; /* PEER: it has stood against roots or pins; else nothing is known but that it has its key */
    bool is_resumed; /* PEER: of a client that showed it in an earlier handshake */
} neap_question;

/** The open question of a connection into `size` bytes at `out` (sizeof *out); false when there is none. */
NEAP_API bool neap_conn_question(const neap_conn *conn, neap_question *out, size_t size);

/* Answers, each to a question of its kind with this id. The handshake goes on in the call, and may ask again. 0;
 * NEAP_ERR_STATE (no such question is open: nothing happens), NEAP_ERR_ARGUMENT (nothing happens either), NEAP_ERR_CRYPTO
 * (the handshake could not go on with it: the connection ends, neap_conn_close_info tells). */

/** The signature, of 1 to 512 bytes: of ECDSA the DER of both numbers. One that the certificate's key did not make is not
 * sent: NEAP_ERR_CRYPTO. */
NEAP_API int neap_conn_answer_signature(neap_conn *conn, uint64_t id, const void *signature, size_t size);
/** The external key of the identity, as neap_config_add_psk takes it; `key` NULL: there is none. A server without
 * certificates refuses such a client as it does one with a wrong key. The key is not kept: the next handshake, also one
 * that resumes a session of this one, asks again. */
NEAP_API int neap_conn_answer_psk(neap_conn *conn, uint64_t id, const void *key, size_t size, unsigned hash);
/** A chain and its key, as neap_config_add_certificate takes them; `key` NULL: the key is elsewhere, and a question for a
 * signature follows. `response` is an OCSP response for it, as neap_config_set_ocsp_response takes it, with 0 bytes none.
 * `chain` NULL: there is none for this name, and one of the config's is taken. Besides the above: what these two give; the
 * question is open still then. */
NEAP_API int neap_conn_answer_certificate(neap_conn *conn, uint64_t id, const void *chain, size_t chain_size,
                                          const void *key, size_t key_size, const void *response,
                                          size_t response_size, const char **why);
/** The peer is who it should be. */
NEAP_API int neap_conn_answer_peer(neap_conn *conn, uint64_t id);
/** No answer, to a question of any kind: the connection ends with this TLS alert (RFC 8446 §6.2; 80 is internal_error, 49
 * access_denied, 46 certificate_unknown). `reason` is told to the peer and copied, 256 bytes of it at most; NULL: none. */
NEAP_API int neap_conn_refuse_question(neap_conn *conn, uint64_t id, uint8_t alert, const char *reason);

/** Update the 1-RTT keys now (RFC 9001 §6), both directions: the peer follows with its next packet. They are updated without
 * being told to after as many packets and bytes as the options key_update_packets and key_update_bytes say. 0;
 * NEAP_ERR_AGAIN: not before the handshake is confirmed, nor within three probe timeouts of the last update's first acknowledgement;
 * NEAP_ERR_CLOSED. */
NEAP_API int neap_conn_update_keys(neap_conn *conn);
/** Send a PING with the next packet: whether the peer is there shows in what comes back. 0, or NEAP_ERR_CLOSED. */
NEAP_API int neap_conn_ping(neap_conn *conn);
/** For the next `span` from the last call with a `now` (0: no more, NEAP_NEVER: until told otherwise), a PING leaves
 * when nothing came for half the idle timeout (or for the option keep_alive, which asks for it always), so that the
 * connection outlives a silence: for as long as something is open on it whose answer may take long. A peer that is gone
 * still ends it (RFC 9000 §10.1.2). */
NEAP_API void neap_conn_keep_alive(neap_conn *conn, neap_time span);

/** Close with an application code (or a transport code), below 2^62. `reason` is cut at 256 bytes. What was not
 * acknowledged and what was not read is gone (neap_conn_is_flushed). 0; NEAP_ERR_CLOSED (closing already),
 * NEAP_ERR_ARGUMENT (code). */
NEAP_API int neap_conn_close(neap_conn *conn, bool is_application, uint64_t code, const void *reason,
                             size_t size);

enum neap_close_by {
    NEAP_CLOSE_NONE,
    NEAP_CLOSE_LOCAL,
    NEAP_CLOSE_PEER,
    NEAP_CLOSE_IDLE,
    NEAP_CLOSE_RESET,
    NEAP_CLOSE_VERSION,
    NEAP_CLOSE_HANDSHAKE_TIMEOUT
};
typedef struct neap_close_info {
    enum neap_close_by by;
    bool is_application;
    uint64_t code;
    uint64_t frame_type; /* transport errors of ours or the peer's, 0 unknown */
    const char
        *reason; /* NUL-terminated, may hold any bytes of the peer's otherwise; lives as long as conn */
    size_t reason_size;
} neap_close_info;
/** Why the connection ended or is ending, into `size` bytes at `out` (sizeof *out); by == NEAP_CLOSE_NONE while it is
 * alive. `reason` is never NULL. */
NEAP_API void neap_conn_close_info(const neap_conn *conn, neap_close_info *out, size_t size);

/** The negotiated protocol and its size; NULL and 0 before the handshake tells; of a client that offers early data the
 * session's. Not NUL-terminated; lives as long as conn. */
NEAP_API const char *neap_conn_alpn(const neap_conn *conn, size_t *size);
/** The name the client asked for (SNI) or connected to; "" when none; NUL-terminated. Until the handshake is complete
 * the text is good until the next call on the connection, then it lives as long as conn. */
NEAP_API const char *neap_conn_server_name(const neap_conn *conn);
/** The connection IDs of ours that the peer may use now: for callers that route datagrams by themselves. Ask again
 * after neap_conn_recv and neap_conn_send. Returns how many there are, at most `max` are written. */
NEAP_API size_t neap_conn_source_ids(const neap_conn *conn, neap_cid *out, size_t max);
/** Have the peer use other connection IDs of ours, and retire all that it has (RFC 9000 §5.1.2, Retire Prior To): after
 * neap_config_set_quic_lb, or from time to time. Those it has are good until it has retired them. One of a handshake that is
 * not confirmed does so then; one whose peer has not finished the last time, behind that. 0; NEAP_ERR_STATE: ours have no bytes;
 * NEAP_ERR_CLOSED. */
NEAP_API int neap_conn_rotate_ids(neap_conn *conn);
/** Our current first connection ID, the peer's current one, and the DCID of the client's very first Initial. */
NEAP_API void neap_conn_ids(const neap_conn *conn, neap_cid *source, neap_cid *destination,
                            neap_cid *original);
/** Our address and the peer's last one that is proved: a server follows its client to another address (a NAT's doing,
 * or its own), but tells of it only when a round trip showed that the client is there (RFC 9000 §8.2, §9.3). Until
 * then the figures already count it as a path change. */
NEAP_API void neap_conn_addresses(const neap_conn *conn, neap_address *local, neap_address *peer);

/* Paths: the ways through the network that a connection knows, each with addresses, proof, RTT and congestion window of its
 * own. One is active: what is sent goes there (RFC 9000 §9). A connection has four at most. */
enum neap_path_state {
    NEAP_PATH_UNPROVED,   /* no answer came from there, and none is waited for */
    NEAP_PATH_VALIDATING, /* the peer is being asked (PATH_CHALLENGE, §8.2) */
    NEAP_PATH_VALIDATED,
};
enum neap_startup_exit {
    NEAP_STARTUP_LASTS,
    NEAP_STARTUP_LOSS,
    NEAP_STARTUP_HYSTART,    /* the round-trip time grew (RFC 9406) */
    NEAP_STARTUP_ECN,        /* packets came marked CE */
    NEAP_STARTUP_PERSISTENT, /* persistent congestion (RFC 9002 §7.6) */
    NEAP_STARTUP_BANDWIDTH,  /* the delivery rate grew no more */
};
typedef struct neap_path_info {
    neap_address local, peer;
    enum neap_path_state state;
    bool is_active;
    bool is_preferred;               /* a client's, to the server's preferred address */
    neap_time rtt_smoothed, rtt_min; /* 0: nothing was measured yet */
    uint64_t congestion_window, bytes_in_flight, max_udp_payload_size;
    neap_time rtt_latest, rtt_max, rtt_var; /* 0 likewise */
    /* Since the path is known; where the peer's packets came from, as far as they could be opened. packets_retransmitted: of those
     * sent there, whose frames were sent again; pto_count: probe timeouts. Bytes are those of UDP payloads but for
     * stream_bytes_resent, and lost and acknowledged ones of what counts as in flight (RFC 9002 §2). */
    uint64_t packets_sent, packets_received, packets_lost, packets_retransmitted, spurious_losses, pto_count;
    uint64_t bytes_sent, bytes_received, bytes_lost, bytes_acked, stream_bytes_resent;
    uint64_t datagrams_sent, datagrams_received; /* DATAGRAM frames (RFC 9221) */
    neap_time in_flight_time;                    /* how long something was in flight there, in all */
    uint64_t pacing_rate;                        /* bytes a second, 0: none */
    uint64_t delivery_rate;                      /* bytes a second, the latest sample; 0: of BBR alone */
    uint64_t max_bandwidth; /* bytes a second that the controller reckons with; 0: it does not */
    /* How the first slow start (of BBR: Startup) ended: the window in bytes, and bytes a second; 0 while it lasts. */
    uint64_t startup_exit_window, startup_exit_bandwidth;
    enum neap_startup_exit startup_exit;
    const char *congestion_control; /* the controller's name in the option; static text */
    const char *congestion_state;   /* of controllers that have several; static text, or NULL */
    uint32_t path_id;               /* 0 without multipath */
    bool is_open;                   /* packets are sent there: with several path IDs on more than one */
    bool is_backup, is_peer_backup; /* neap_conn_set_path_backup of ours, and of the peer's */
} neap_path_info;
/** How many paths there are, the active one first; the one at this place, from 0 on, is described in `size` bytes at `out`
 * (sizeof *out), which is left alone when there is none. */
NEAP_API size_t neap_conn_paths(const neap_conn *conn, size_t at, neap_path_info *out, size_t size);

/** Ask the peer whether the way from this address of ours leads to it, without going there: a client's, with an established
 * connection whose handshake is confirmed (§9.1). `local` has the port; what arrives there is given to neap_conn_recv with
 * it as `to`, and neap_conn_send names it in `from`. `peer` NULL: the address in use; else that, or a preferred address of
 * the server's. What comes of it neap_conn_next_path_event tells; one that is proved is kept for a minute, so that
 * neap_conn_migrate goes there without another round trip. The path in use may be asked, too: it is told as proved again, or as
 * failed, and stays the one in use. 0; NEAP_ERR_STATE (the handshake is not confirmed);
 * NEAP_ERR_MIGRATION (the peer's disable_active_migration, or it has no connection IDs, §9.5); NEAP_ERR_CONNECTION_IDS
 * (each of the peer's is used: ask again in a round trip); NEAP_ERR_LIMIT (four paths, none of which may go);
 * NEAP_ERR_ARGUMENT (a server; addresses of two families; another peer); NEAP_ERR_CLOSED; NEAP_ERR_NO_MEMORY. */
NEAP_API int neap_conn_probe_path(neap_conn *conn, const neap_address *local, const neap_address *peer);

enum neap_migrate_flags {
    NEAP_MIGRATE_AT_ONCE = 1, /* go before it is proved, but not to a preferred address: the old way is bad */
    NEAP_MIGRATE_ADDRESS_GONE =
        2, /* our old address is no more: likewise, what is under way there is sent anew, and there is
                                      no way back to it */
    NEAP_MIGRATE_PROBE = 4,   /* only look, as neap_conn_probe_path */
    NEAP_MIGRATE_OPEN = 8,    /* stay, and open another path, as neap_conn_open_path, */
    NEAP_MIGRATE_BACKUP = 16, /* which is a backup */
};
/** Go on from another address of ours (§9.2): once the way from there is proved, as neap_conn_probe_path asks, or at once
 * (`flags`: enum neap_migrate_flags or 0). Where that fails the connection stays, or goes back to the last path that was
 * proved; where there is none any more it is asked for five times as long, and then the connection ends with
 * NEAP_NO_VIABLE_PATH. RTT, congestion window and datagram size begin anew, unless a port alone is another. Addresses,
 * results and errors as neap_conn_probe_path; 0 also where the connection is there already: then it goes nowhere else. */
NEAP_API int neap_conn_migrate(neap_conn *conn, const neap_address *local, const neap_address *peer,
                               unsigned flags);

/* Several paths at a time (draft-ietf-quic-multipath): where both sides have the option initial_max_path_id. Each path has an
 * ID, that of the handshake 0; RTT, congestion window, packet numbers and connection IDs are its own, streams and credit are the
 * connection's. An ID is used once. */
/** Whether both sides know path IDs: once the peer's transport parameters are there. */
NEAP_API bool neap_conn_is_multipath(const neap_conn *conn);
/** Open another path, from this address of ours: a client's, as neap_conn_probe_path asks, and with results and errors as
 * there. *path_id is its ID; neap_conn_next_path_event tells when it is open, or that it failed: then the ID is used up. A backup
 * is sent on while no other path answers alone. NEAP_ERR_UNSUPPORTED (one side knows no path IDs); NEAP_ERR_LIMIT (there are as
 * many as either side lets the other have, or as there is room for); NEAP_ERR_CONNECTION_IDS (the peer gave none for the next ID
 * yet: it is told). */
NEAP_API int neap_conn_open_path(neap_conn *conn, const neap_address *local, const neap_address *peer,
                                 bool is_backup, uint32_t *path_id);
/** Send nothing more on this path, and have the peer do so: `code` is one of enum neap_path_error, or another up to 2^62-1. What
 * is in flight there is sent on others. 0; NEAP_ERR_ARGUMENT (there is no such path); NEAP_ERR_STATE (it is the only one: close
 * the connection); NEAP_ERR_UNSUPPORTED; NEAP_ERR_CLOSED. */
NEAP_API int neap_conn_abandon_path(neap_conn *conn, uint32_t path_id, uint64_t code);
/** A path is a backup from now on, or no more: for what we send, and for what the peer does, which is told so. Errors as
 * neap_conn_abandon_path. */
NEAP_API int neap_conn_set_path_backup(neap_conn *conn, uint32_t path_id, bool is_backup);
/** Paths are filled in this order from now on, the first before the others; what is left out is sent on while none of these
 * answers alone. `count` 0: as the option path_scheduler has it. From the first call on the connection is one that
 * neap_endpoint_next gives whenever something was acknowledged or lost. IDs that there are not are ignored. 0; NEAP_ERR_ARGUMENT (more
 * than five); NEAP_ERR_UNSUPPORTED; NEAP_ERR_CLOSED. */
NEAP_API int neap_conn_order_paths(neap_conn *conn, const uint32_t *path_ids, size_t count);

enum neap_path_event_kind {
    NEAP_PATH_EVENT_VALIDATED,     /* the peer answers there */
    NEAP_PATH_EVENT_FAILED,        /* it did not, in time; of a path that is not active nothing is left */
    NEAP_PATH_EVENT_MIGRATED,      /* we went there, or back there */
    NEAP_PATH_EVENT_PEER_MIGRATED, /* the peer did, and that is proved */
    /* Of a path ID (draft-ietf-quic-multipath): */
    NEAP_PATH_EVENT_OPENED, /* it is proved, and used from now on */
    NEAP_PATH_EVENT_CLOSED, /* it is abandoned, by either side: code says why (enum neap_path_error) */
    NEAP_PATH_EVENT_STATUS, /* the peer calls it a backup from now on, or no more */
};
typedef struct neap_path_event {
    enum neap_path_event_kind kind;
    neap_address local, peer;
    uint64_t lost;    /* events so far that nobody took in time: eight are kept */
    uint64_t code;    /* of NEAP_PATH_EVENT_CLOSED */
    uint32_t path_id; /* 0 without multipath */
} neap_path_event;
/** What became of paths since: true and the oldest event in `size` bytes at `event` (sizeof *event), false when there is
 * none. A new one makes the connection one that neap_endpoint_next gives. */
NEAP_API bool neap_conn_next_path_event(neap_conn *conn, neap_path_event *event, size_t size);
/** The address of this family (4 or 6) that a client's server prefers, once its parameters are known; false: none, or the
 * option use_preferred_address is 0. That of the family in use is gone to without a word (§9.6). */
NEAP_API bool neap_conn_preferred_address(const neap_conn *conn, unsigned family, neap_address *out);

enum neap_ecn {
    NEAP_ECN_OFF,     /* the option ecn is 0 */
    NEAP_ECN_TESTING, /* the first ten packets of a path leave with ECT(0) */
    NEAP_ECN_UNKNOWN, /* they did, and nothing was heard of them yet: others leave without */
    NEAP_ECN_CAPABLE, /* all packets leave with ECT(0), but for probes after a silence */
    NEAP_ECN_FAILED, /* the peer does not tell of marks, or the path changes them or drops what has one: packets leave without */
};

typedef struct neap_stats {
    uint64_t packets_sent, packets_received, packets_lost, packets_dropped, packets_retransmitted;
    uint64_t bytes_sent, bytes_received, bytes_lost, stream_bytes_sent, stream_bytes_received;
    uint64_t spurious_losses, pto_count, congestion_window, bytes_in_flight,
        pacing_rate; /* rate: bytes a second */
    neap_time rtt_smoothed, rtt_latest, rtt_min, rtt_var;
    uint64_t streams_opened, streams_accepted, max_udp_payload_size, key_updates, undecryptable_kept;
    /* bytes of all streams that the peer may still send (RFC 9000 §4.1); that it used and no one has read */
    uint64_t receive_credit, receive_unread;
    uint64_t path_changes; /* how often the peer was followed to another address, or we went (RFC 9000 §9) */
    uint64_t
        receive_held; /* bytes of memory for streams' data that came and no one has read, without the gaps */
    /* The search for max_udp_payload_size, the largest datagram that is sent (RFC 9000 §14.3): datagrams that tried a larger
     * size, those of them that were lost, and how often what was found did not pass any more. */
    uint64_t size_probes_sent, size_probes_lost, black_holes;
    const char
        *congestion_control; /* the controller of the path in use, by its name in the option; static text */
    /* Congestion events that reduced the window; those of them that were undone, since all that seemed lost came; and how
     * often nothing came for so long that the window fell to the least (RFC 9002 §7.6). */
    uint64_t congestion_events, congestion_undone, congestion_persistent;
    /* Explicit congestion notification (RFC 9000 §13.4): enum neap_ecn of the path in use; packets that left with ECT(0), those
     * that the peer reported with CE where it could be believed; and 1-RTT packets of the peer's that came with ECT(0) and with
     * CE. */
    uint64_t ecn, ecn_sent, ecn_ce_told, ecn_received, ecn_ce_received;
    uint64_t bytes_acked;         /* of UDP payloads in flight (RFC 9002 §2), on all paths */
    uint64_t stream_bytes_resent; /* bytes of streams that were sent again */
    uint64_t datagrams_sent,
        datagrams_received; /* DATAGRAM frames (RFC 9221): neap_conn_datagram_stats has more */
    uint64_t paths;         /* there are now: neap_conn_paths tells of each */
    uint64_t resets_sent, resets_received, stops_sent, stops_received; /* streams, each once a direction */
    /* Frames that say that credit is missing (RFC 9000 §4.1, §4.6): the connection's, a stream's, for another stream. */
    uint64_t data_blocked_sent, stream_data_blocked_sent, streams_blocked_sent;
    uint64_t data_blocked_received, stream_data_blocked_received, streams_blocked_received;
    uint64_t path_challenges_received;
    uint64_t
        amplification_limited; /* how often too little was left to send to an address without proof (RFC 9000 §8.1) */
    neap_time in_flight_time; /* how long something was in flight, summed over all paths */
    neap_time rtt_max;        /* of the path in use, as the other three */
    /* What bounds and the lack of memory refused: packets with frames that found no room, and come again; packets before their keys
     * that found none; 1-RTT packets that did not open (RFC 9001 §6.6); packets that brought nothing (RFC 9000 §21.9); times that no
     * path was begun for a packet from another address; PATH_RESPONSEs that others took the place of; times that nothing was sent
     * without memory for what was; datagrams, both ways, that others took the place of. */
    uint64_t packets_refused, undecryptable_refused, packets_forged, packets_unproductive;
    uint64_t paths_refused, path_responses_dropped, memory_stalls, datagrams_dropped;
    uint64_t ack_ranges_ignored; /* of ACK frames, that were past those that are looked at */
    /* Reductions of congestion_events that stay, though all that seemed lost came: too many were undone before. Of CUBIC and
     * NewReno. */
    uint64_t congestion_undo_refused;
    /* With several path IDs: how many were opened beside the first, and abandoned; frames of such as are gone already; STREAM
     * frames that repeat others' data on another path; and the IDs that the peer may use by now, of which 0 is one. */
    uint64_t path_ids_opened, path_ids_abandoned, path_frames_ignored, stream_frames_copied, path_ids_allowed;
} neap_stats;
/** The counters and estimates so far (RFC 9002), bytes and nanoseconds, into `size` bytes at `out` (sizeof *out). */
NEAP_API void neap_conn_stats(const neap_conn *conn, neap_stats *out, size_t size);

/* What happened on the path in use since it was asked last, for who steers its congestion control. */
typedef struct neap_turn {
    uint64_t acked_bytes, lost_bytes, lost_packets, ce_packets, spurious_packets;
    uint64_t delivery_rate; /* bytes a second: the highest sample of the turn; 0: none */
    uint64_t bytes_in_flight, congestion_window, pacing_rate, max_udp_payload_size; /* now */
    neap_time rtt, rtt_min, rtt_smoothed;                                           /* 0: none yet */
    neap_time now; /* of the connection's last call */

    int is_app_limited; /* delivery_rate says how much there was to send, not what the path carries */
    int is_persistent;  /* nothing came for long: the window fell to two datagrams (RFC 9002 §7.6) */

    /* The first turn since the path is in use, where it is no other port alone: what was learnt of another one says nothing
     * of it (RFC 9000 §9.4). */
    int is_new_path;
} neap_turn;
/** The turn of a connection with the option congestion_control `steered`, into `size` bytes at `out` (sizeof *out); its sums
 * begin anew. neap_endpoint_next names the connection when there is something. 1; 0 when nothing was acknowledged or lost;
 * NEAP_ERR_STATE (its congestion control is another), NEAP_ERR_CLOSED. */
NEAP_API int neap_conn_take_turn(neap_conn *conn, neap_turn *out, size_t size);
/** The number that neap_config_set_policy gave its config; 0 also where its congestion control is no steered one. */
NEAP_API uint64_t neap_conn_policy(const neap_conn *conn);
/** From now on so many bytes may be in flight on the path in use, and `pacing_rate` bytes a second leave (0: 5/4 of a window
 * in a round trip). Windows below two datagrams are two datagrams (RFC 9002 §7.2), those above 2^40 are that, rates above
 * 10^12 likewise. Who steers answers losses as well: RFC 8085 §3.1 says what others on the path may expect. Another path, when
 * the peer moves or we do, begins with CUBIC until this is called: neap_turn.is_new_path has who steers begin anew as well,
 * which RFC 9000 §9.4 demands. 0; NEAP_ERR_STATE, NEAP_ERR_CLOSED as above. */
NEAP_API int neap_conn_steer(neap_conn *conn, uint64_t window, uint64_t pacing_rate);
/** Nobody steers any more: CUBIC goes on from the window that was given last, or from what was in flight of it in this turn or
 * the one before, at least an initial window (RFC 9002 §7.2). 0; NEAP_ERR_STATE, NEAP_ERR_CLOSED. */
NEAP_API int neap_conn_steer_no_more(neap_conn *conn);

enum neap_trace_kind {
    NEAP_TRACE_PACKET_SENT,
    NEAP_TRACE_PACKET_RECEIVED,
    NEAP_TRACE_PACKET_DROPPED, /* number: unknown unless it was a duplicate; why */
    NEAP_TRACE_PACKET_LOST,
    NEAP_TRACE_METRICS,         /* values: congestion window, bytes in flight, smoothed RTT, PTO count */
    NEAP_TRACE_KEYS_DISCARDED,  /* packet_type: NEAP_PACKET_INITIAL or _HANDSHAKE */
    NEAP_TRACE_KEYS_UPDATED,    /* number: how many updates so far */
    NEAP_TRACE_HANDSHAKE_STATE, /* why: "established", "confirmed" */
    NEAP_TRACE_ACCEPT_FAILED,   /* of an endpoint: why */
    NEAP_TRACE_CLOSED,          /* values: enum neap_close_by, code; why */
    NEAP_TRACE_PACKET_ACKED,
    NEAP_TRACE_PACKET_KEPT, /* until its keys come: then it is received, or dropped */
    NEAP_TRACE_PARAMETERS,  /* payload: transport parameters (RFC 9000 §18); values: enum neap_trace_whose */
    NEAP_TRACE_PATH, /* local, peer; number: the path's index; values: enum neap_path_event_kind, whether it is active */
    NEAP_TRACE_VERSIONS, /* payload: versions, four bytes each; values: enum neap_trace_whose */
    NEAP_TRACE_ALPNS,    /* payload: protocols of ours, each behind its length (RFC 7301 §3.1) */
    NEAP_TRACE_TIMER, /* number: when the loss timer is due, or NEAP_NEVER; values: whether it has expired */
    NEAP_TRACE_UDP_SENT,     /* size: of all; number: of each but the last; values: the ECN bits */
    NEAP_TRACE_UDP_RECEIVED, /* size; values: the ECN bits */
    NEAP_TRACE_BLOCKED,      /* values: enum neap_trace_blocked; told after each turn of sending */
    NEAP_TRACE_STREAM, /* number: its ID; values: enum neap_trace_stream, whether it is the sending side */
    NEAP_TRACE_STREAM_DATA, /* number: its ID; size; values: whether the application got it, or gave it; whether it is the end */
    NEAP_TRACE_DATAGRAM_DATA, /* size; values: whether the application got it, or gave it */
    NEAP_TRACE_H3_SETTINGS, /* payload: identifiers and values (RFC 9114 §7.2.4.1); values: enum neap_trace_whose */
    NEAP_TRACE_H3_STREAM, /* number: its ID; values: its type, NEAP_TRACE_H3_REQUEST of a request; whether it is the peer's */
    NEAP_TRACE_H3_FRAME, /* number: the stream's ID; size: of the payload; values: type, whether it came; payload or fields: what it says */
    /* Number: the stream's ID; values: enum neap_trace_whose of who changed it; its urgency, whether it is incremental; both before
     * that, the urgency UINT64_MAX: nobody had said any; whether a server put its own and the client's together (RFC 9218). */
    NEAP_TRACE_H3_PRIORITY,
    NEAP_TRACE_GONE, /* the last: the connection is about to be freed, and may not be asked any more */
};

enum neap_trace_whose {
    NEAP_TRACE_PEERS,
    NEAP_TRACE_OURS,
    NEAP_TRACE_REMEMBERED /* the peer's, of another connection */
};
enum neap_trace_stream { NEAP_TRACE_STREAM_OPEN, NEAP_TRACE_STREAM_RESET, NEAP_TRACE_STREAM_CLOSED };
/* What holds back what is to be sent. */
enum neap_trace_blocked {
    NEAP_TRACE_BLOCKED_NOT,
    NEAP_TRACE_BLOCKED_AMPLIFICATION, /* the address is not proved (RFC 9000 §8.1) */
    NEAP_TRACE_BLOCKED_CONGESTION,
    NEAP_TRACE_BLOCKED_PACING,
    NEAP_TRACE_BLOCKED_CONNECTION, /* MAX_DATA */
    NEAP_TRACE_BLOCKED_STREAM,     /* MAX_STREAM_DATA, of all that have something */
};
#define NEAP_TRACE_H3_REQUEST UINT64_MAX

typedef struct neap_trace_event {
    enum neap_trace_kind kind;
    enum neap_packet_type packet_type;
    neap_time now;
    uint64_t number, size;
    uint64_t values[6];
    const char *why; /* static text, or NULL */
    neap_conn *conn; /* whose it is; NULL: an endpoint's */
    /* Of packets that are sent or received: frames in the clear, for the call. values: whether it is a probe of the datagram size;
     * the key phase; whether it is a probe of the timer; the exponent of ACK Delay in it; the spin bit; whether it waited for its
     * keys. Of lost ones: whether it was a probe of the size; whether too many later ones were acknowledged, or time. */
    const uint8_t *payload;
    size_t payload_size;
    const neap_address *local, *peer; /* NULL where the kind does not say so */
    const neap_cid *dcid;             /* of packets that are sent or received: their destination */
    const struct neap_field *fields;  /* of HEADERS: what they say, for the call */
    size_t field_count;
    uint32_t path_id; /* of the packet (draft-ietf-quic-multipath), whose number is one of that; else 0 */
} neap_trace_event;

/** Sees what a connection does. It only looks: it may call what takes a const neap_conn, and neap_conn_set_tracer. */
typedef struct neap_tracer {
    void (*emit)(void *context, const neap_trace_event *event);
    void *context;
} neap_tracer;

/** Have `tracer` (kept: it must outlive its use, or the connection) see what happens from now on; NULL: nobody. */
NEAP_API void neap_conn_set_tracer(neap_conn *conn, const neap_tracer *tracer);
/** The one that is set, so that another can pass on to it what it sees; NULL: nobody. */
NEAP_API const neap_tracer *neap_conn_tracer(const neap_conn *conn);

/* qlog (draft-ietf-quic-qlog-main-schema, -quic-events, -h3-events): a tracer that writes what a connection does as JSON text sequences (RFC
 * 7464), which tools for QUIC read. It holds addresses, connection IDs and the lengths of everything, but no contents of streams
 * and no keys. */
typedef struct neap_qlog neap_qlog;
#define NEAP_QLOG_MEMORY 16384u /* bytes that are enough; with more it writes more seldom */
typedef struct neap_qlog_config {
    /* Takes whole records, one or several. Called from within functions of the connection, which it may not call. */
    void (*write)(void *context, const char *bytes, size_t size);
    /* The connection is about to be freed, and all is written; may free the memory. NULL: nobody asks. */
    void (*end)(void *context);
    void *context;
    uint64_t max_bytes; /* of the whole trace: events beyond are counted only; 0: no bound */
    /* Whether this event, as "quic:packet_sent", is written; NULL: all. */
    bool (*wants)(void *context, const char *name);
} neap_qlog_config;
/** A trace of one connection, in `size` bytes of the caller's at `memory`, aligned as malloc does, which have to stay until
 * config->end is called, or neap_conn_set_tracer(conn, NULL). NULL: fewer than NEAP_QLOG_MEMORY, or built without qlog
 * (NEAP_WITH_QLOG). */
NEAP_API neap_qlog *neap_qlog_init(void *memory, size_t size, const neap_qlog_config *config);
/** Have it see the connection from now on: at once after neap_connect, so that nothing is missing. Another tracer of the
 * connection sees nothing more. */
NEAP_API void neap_conn_set_qlog(neap_conn *conn, neap_qlog *qlog);
/** One event: for tracers that have it see what they see, as that of an endpoint, whose connections have one each. */
NEAP_API void neap_qlog_event(neap_qlog *qlog, const neap_trace_event *event);
/** Write what is gathered. */
NEAP_API void neap_qlog_flush(neap_qlog *qlog);
/** Events that were not written so far: beyond max_bytes, or longer than 8 KiB. */
NEAP_API uint64_t neap_qlog_dropped(const neap_qlog *qlog);

/* ---------------------------------------------------------------- streams */

static inline bool neap_stream_is_bidi(uint64_t id)
{
    return (id & 2) == 0;
}

static inline bool neap_stream_is_server_initiated(uint64_t id)
{
    return (id & 1) != 0;
}

/** The next stream of ours: its id; NEAP_ERR_STREAM_LIMIT (the peer's MAX_STREAMS, RFC 9000 §4.6; nothing before the
 * handshake is complete, but for neap_conn_is_early), NEAP_ERR_STATE (neap_conn_begin_again is waited for),
 * NEAP_ERR_CLOSED, NEAP_ERR_LIMIT (65536 streams are kept), NEAP_ERR_NO_MEMORY. */
NEAP_API int64_t neap_conn_stream_open(neap_conn *conn, bool bidirectional);

/** Queue bytes (copied) and perhaps the end of a stream. Returns how many were taken: fewer than `size` when flow
 * control or the send buffer is full (then `fin` was not taken either and the stream becomes writable later);
 * NEAP_ERR_AGAIN when none; NEAP_ERR_STREAM_STATE (not open or not ours to send on, ended, HTTP/3's),
 * NEAP_ERR_STREAM_STOPPED (code in neap_conn_stream_error), NEAP_ERR_CLOSED, NEAP_ERR_NO_MEMORY (nothing was taken, and
 * the stream does not become writable for it). */
NEAP_API int64_t neap_conn_stream_send(neap_conn *conn, uint64_t id, const void *data, size_t size, bool fin);

/** How many bytes neap_conn_stream_send would take now, 0 when the buffer is full; NEAP_ERR_STREAM_STATE,
 * NEAP_ERR_STREAM_STOPPED or NEAP_ERR_CLOSED as there. */
NEAP_API int64_t neap_conn_stream_capacity(const neap_conn *conn, uint64_t id);

/** Take received bytes in order, and give their flow control credit back. Returns the count (0 with *fin when only the
 * end was left); NEAP_ERR_AGAIN, NEAP_ERR_STREAM_RESET (code in neap_conn_stream_error), NEAP_ERR_STREAM_STATE (not
 * open, not ours to read, read to its end, shut down, HTTP/3's), NEAP_ERR_CLOSED, NEAP_ERR_NO_MEMORY. *fin is false
 * with all of these. */
NEAP_API int64_t neap_conn_stream_recv(neap_conn *conn, uint64_t id, void *out, size_t size, bool *fin);

enum neap_shutdown { NEAP_SHUTDOWN_READ, NEAP_SHUTDOWN_WRITE };
/** READ: STOP_SENDING with `code`, drop what was received. WRITE: RESET_STREAM with `code`, drop what was queued (RFC
 * 9000 §2.4). 0, also a second time; NEAP_ERR_ARGUMENT (code above 2^62-1), NEAP_ERR_STREAM_STATE (no such stream, the
 * wrong direction, HTTP/3's), NEAP_ERR_CLOSED, NEAP_ERR_NO_MEMORY. */
NEAP_API int neap_conn_stream_shutdown(neap_conn *conn, uint64_t id, enum neap_shutdown direction,
                                       uint64_t code);

#define NEAP_RESET_AT_ALL UINT64_MAX
/** Reset our side with `code`, and deliver the first `reliable_size` bytes of it nonetheless (RESET_STREAM_AT,
 * draft-ietf-quic-reliable-stream-reset), at most what was queued; NEAP_RESET_AT_ALL: all of that. What is queued behind them is
 * dropped. The peer reads these bytes, and then of the reset. It may be called again with a smaller size, or followed by
 * neap_conn_stream_shutdown; the code stays the first one. 0, also when it is over or was reset already; NEAP_ERR_UNSUPPORTED (the
 * peer does not take it), NEAP_ERR_ARGUMENT (more than was queued, or than before; code above 2^62-1), NEAP_ERR_STREAM_STATE
 * (no such stream, the wrong direction, HTTP/3's), NEAP_ERR_CLOSED, NEAP_ERR_NO_MEMORY. */
NEAP_API int neap_conn_stream_reset_at(neap_conn *conn, uint64_t id, uint64_t code, uint64_t reliable_size);

/** What of a stream goes before what (the nouns of RFC 9218). Urgency 0 to 7: streams of a lower one are sent first, and those
 * of a higher one when these have nothing to send or no credit. Of one urgency those that are incremental take turns; the
 * others go in the order of their IDs, each to the end of what it has. 3 and incremental unless it is told; HTTP/3's control
 * stream goes before all of them. At any time, also of HTTP/3's streams. 0, NEAP_ERR_ARGUMENT, NEAP_ERR_STREAM_STATE (no such stream), NEAP_ERR_CLOSED. */
NEAP_API int neap_conn_stream_set_priority(neap_conn *conn, uint64_t id, unsigned urgency, bool incremental);

/** When a stream that was full is told as writable: once `size` bytes can be queued, or the send buffer is empty, or nothing
 * is queued any more and anything can be. 0, the default: once a quarter of the send buffer is free. Where there is less room
 * now than that it will be told when there is, as if a send had come short. 0, NEAP_ERR_STREAM_STATE, NEAP_ERR_STREAM_STOPPED,
 * NEAP_ERR_CLOSED, NEAP_ERR_NO_MEMORY. */
NEAP_API int neap_conn_stream_set_low_water(neap_conn *conn, uint64_t id, size_t size);

/** The peer's application code: of RESET_STREAM (READ) or STOP_SENDING (WRITE): 0; NEAP_ERR_AGAIN (none came),
 * NEAP_ERR_STREAM_STATE (no such stream, or it is gone: ask at once), NEAP_ERR_CLOSED. */
NEAP_API int neap_conn_stream_error(const neap_conn *conn, uint64_t id, enum neap_shutdown direction,
                                    uint64_t *code);

/** Whether everything of the peer's sending side was read, or it was reset and that was seen, or id is gone. */
NEAP_API bool neap_conn_stream_finished(const neap_conn *conn, uint64_t id);

/** Whether the peer has acknowledged all streams whose end or reset was queued, or the connection is over: closing it
 * then cuts nothing off that was finished. */
NEAP_API bool neap_conn_is_flushed(const neap_conn *conn);

/** The next stream with something new to read (bytes, end, reset), once per change; -1 when none. Streams appear
 * here again when more arrives, not because bytes were left unread. */
NEAP_API int64_t neap_conn_stream_readable_next(neap_conn *conn);
/** The next stream that takes bytes again after a send came short, or was stopped by the peer; -1 when none. */
NEAP_API int64_t neap_conn_stream_writable_next(neap_conn *conn);
/** All streams that can be read (or written) now, at most `max`; returns how many. Nothing changes. */
NEAP_API size_t neap_conn_readable(const neap_conn *conn, uint64_t *ids, size_t max);
NEAP_API size_t neap_conn_writable(const neap_conn *conn, uint64_t *ids, size_t max);
/** How many streams of ours the peer's limit still allows. */
NEAP_API uint64_t neap_conn_streams_left(const neap_conn *conn, bool bidirectional);

/* ---------------------------------------------------------------- datagrams (RFC 9221)
 *
 * What may be lost, and is never sent again: with the option max_datagram_frame_size we take them, and where the peer said the
 * same they can be sent. Both queues are bounded (the options datagram_*): the oldest that waits gives way. What the
 * connection has of them goes with it, and nothing is told of it. HTTP/3 has its own use for them: beside it these functions
 * say NEAP_ERR_STATE. */

typedef struct neap_datagram_options {
    neap_time deadline; /* by the clock of `now`: not sent by then it is dropped; 0: none */
    /* 0 to 7 (RFC 9218): of a lower one they are sent first, and before the streams of the same. 3 without options. */
    uint8_t urgency;
    bool notify; /* neap_conn_datagram_next_fate is to tell what became of it */
} neap_datagram_options;

/** How large a payload may be for neap_conn_datagram_send now, on the path in use, whose size may change. NEAP_ERR_UNSUPPORTED
 * (the peer takes none, or only such as hold nothing), NEAP_ERR_AGAIN (before the handshake tells), NEAP_ERR_STATE, NEAP_ERR_CLOSED. */
NEAP_API int64_t neap_conn_datagram_max(const neap_conn *conn);

/** Queue one (copied), `options_size` is sizeof *options, which may be NULL. It leaves as soon as congestion control lets it; the
 * size of the path may have become less by then, and it is dropped. Where the queue is full the oldest of the least urgent is
 * dropped for it. Returns its number, from 1. NEAP_ERR_BUFFER_TOO_SHORT (larger than neap_conn_datagram_max), NEAP_ERR_LIMIT (the
 * queue is full of more urgent ones, the fates of 1024 are waited for or were not asked for, or all connections have queued
 * too much), NEAP_ERR_ARGUMENT (urgency), NEAP_ERR_NO_MEMORY, and as neap_conn_datagram_max. */
NEAP_API int64_t neap_conn_datagram_send(neap_conn *conn, const void *data, size_t size,
                                         const neap_datagram_options *options, size_t options_size);

/** How large the next one is that came; NEAP_ERR_AGAIN (none), NEAP_ERR_STATE, NEAP_ERR_CLOSED. neap_endpoint_next names the
 * connection when one comes. */
NEAP_API int64_t neap_conn_datagram_size(const neap_conn *conn);

/** Take it, in the order in which they came: its size. NEAP_ERR_BUFFER_TOO_SHORT (it stays; 65535 bytes hold every one), and as
 * neap_conn_datagram_size. Before neap_conn_is_established of a server it came in 0-RTT packets, as in
 * neap_conn_stream_is_early. */
NEAP_API int64_t neap_conn_datagram_recv(neap_conn *conn, void *out, size_t size);

enum neap_datagram_end {
    NEAP_DATAGRAM_ACKED, /* the peer's QUIC has it; whether its application read it nobody knows */
    NEAP_DATAGRAM_LOST,  /* it is believed to be lost; it may still have come */
    NEAP_DATAGRAM_DROPPED /* it was never sent: its deadline was over, others took its place, or it is too large now */
};

typedef struct neap_datagram_fate {
    uint64_t id; /* that neap_conn_datagram_send gave */
    enum neap_datagram_end end;
} neap_datagram_fate;

/** What became of the next one that was sent with `notify`, each is told once; false when there is nothing to tell, also once the
 * connection is over. neap_endpoint_next names the connection when there is. */
NEAP_API bool neap_conn_datagram_next_fate(neap_conn *conn, neap_datagram_fate *out);

typedef struct neap_datagram_stats {
    uint64_t sent, received, bytes_sent, bytes_received; /* payload */
    uint64_t acked, lost;
    uint64_t dropped, expired, too_large; /* never sent: others took the place; deadline; size of the path */
    uint64_t received_dropped;            /* of those received: never read, since there was no room */
} neap_datagram_stats;
/** The counters so far, of a connection that ended too, into `size` bytes at `out` (sizeof *out). */
NEAP_API void neap_conn_datagram_stats(const neap_conn *conn, neap_datagram_stats *out, size_t size);

/* ---------------------------------------------------------------- endpoint: many connections behind one socket */

typedef struct neap_udp_datagram {
    uint8_t *bytes;
    size_t size; /* all bytes */
    size_t
        segment_size; /* 0 or size: one datagram; else a GRO/GSO train of datagrams of this size, the last shorter */
    neap_address from, to;
    neap_time at; /* sending: not before this time */
    uint8_t ecn;
    bool is_split;   /* sending: trains to there were refused, each datagram is to be sent by itself */
    neap_cid sender; /* sending: a connection ID of the connection's, for neap_endpoint_refused */
} neap_udp_datagram;

/** A new endpoint. `config` serves for accepted connections (when `is_server`) and is the default of
 * neap_endpoint_connect; the endpoint keeps it alive, and owns its connections. NULL without memory, without a config,
 * or for a server that could not complete any handshake (no certificate, no ALPN protocol, connection IDs below 4
 * bytes): `*why` (may be NULL) gets a static reason. */
NEAP_API neap_endpoint *neap_endpoint_new(neap_config *config, bool is_server, const char **why);
/** Frees the endpoint and all its connections, at once: close them first for a clean end. NULL is fine. */
NEAP_API void neap_endpoint_free(neap_endpoint *endpoint);

/** Take one received datagram or GRO train: route it by connection ID, accept, or queue a stateless answer (Retry,
 * version negotiation, stateless reset; RFC 9000 §5.2). Decrypts in place: the bytes are scratch afterwards; `at` is
 * not read. 0, or why a connection could not be accepted, which accept_failures counts and a tracer is told:
 * NEAP_ERR_NO_MEMORY (memory, or a config that cannot work) or NEAP_ERR_LIMIT (no connection ID is free); the rest of
 * the train was taken. 64 stateless answers wait at most: call neap_endpoint_send before a datagram for which that may
 * be too few (`answers_waiting` in its figures says how many there are). */
NEAP_API int neap_endpoint_recv(neap_endpoint *endpoint, neap_udp_datagram *datagram, neap_time now);

/** A hint: this datagram (or train) is going to be given to neap_endpoint_recv, behind those of earlier calls. The memory of
 * its connection is fetched while those before it are taken, which hides most of what waiting for it costs a server of many
 * busy connections. Tell them in the order in which they are given, the same pointers; 32 are noted, the newest. The bytes
 * are read in this call only. A hint that is wrong costs time, and nothing else. */
NEAP_API void neap_endpoint_expect(neap_endpoint *endpoint, const uint8_t *bytes, size_t size);

/** Run due timers and fill the next datagram or train: out->bytes is the caller's, of `room` bytes, all other members
 * are filled. Call it after the application has had its turn, with a fresh `now` each time. Returns the size; 0 when
 * many timers or connections were looked at and there are more of them: call again, now or after other work;
 * NEAP_ERR_AGAIN when nothing is to be sent now; NEAP_ERR_BUFFER_TOO_SHORT when `room` is below 1200. 65507 bytes hold
 * a whole train. Connections take turns, so that one with much to send does not keep the others waiting. */
NEAP_API int64_t neap_endpoint_send(neap_endpoint *endpoint, neap_udp_datagram *out, size_t room,
                                    neap_time now);

/** The socket of this address family (4 or 6) takes nothing now (`hold`), or takes datagrams again. While it is held,
 * neap_endpoint_send gives nothing for peers of that family: their connections keep what they have to say, and their
 * timers rest; answers without a connection are dropped. */
NEAP_API void neap_endpoint_hold(neap_endpoint *endpoint, unsigned family, bool hold);

/** What neap_endpoint_send gave was not sent because its datagrams (each of segment_size, or `size`) are too large for the
 * link, as EMSGSIZE says. `passes`: the UDP payload that the link takes, as a hint; 0: not known. The connection needs not
 * be told: it finds out by losses, later. Of the datagram to, sizes and sender are read. Does nothing for connections that
 * are gone, or of another endpoint. */
NEAP_API void neap_endpoint_refused(neap_endpoint *endpoint, const neap_udp_datagram *datagram,
                                    size_t passes);
/** The same datagrams, refused as a train, were taken one by one: what goes there has is_split from now on. */
NEAP_API void neap_endpoint_refused_train(neap_endpoint *endpoint, const neap_udp_datagram *datagram);
/** A Packet Too Big or Fragmentation Needed message of ICMP came for a datagram to this address: `passes` is what its MTU
 * leaves for the UDP payload, `quoted` what it has of the payload of that datagram. It is believed to be true when it
 * quotes a connection ID that is used there, of a peer without one never, and then only a hint (RFC 9000 §14.2.1): which size
 * to try next, and that larger ones which are lost may be too large. Found are the connections that searched last, 32 of an
 * endpoint. */
NEAP_API void neap_endpoint_too_big(neap_endpoint *endpoint, const neap_address *to, size_t passes,
                                    const uint8_t *quoted, size_t size);

/** ICMP said of a datagram to this address that nobody takes it there (Destination Unreachable); `quoted` is what the message
 * has of its payload. A client's connection, of which that is the first packet and that has heard nothing of its server, is
 * marked: neap_conn_is_unreachable. */
NEAP_API void neap_endpoint_unreachable(neap_endpoint *endpoint, const neap_address *to,
                                        const uint8_t *quoted, size_t size);

/** When neap_endpoint_send wants to be called next; NEAP_NEVER when it need not. 0 also while neap_endpoint_next has
 * something: what ended in a sending turn is not slept over. */
NEAP_API neap_time neap_endpoint_timeout(const neap_endpoint *endpoint);

/** A connection that is new (server: its first packet was accepted), or has something new for the application: a
 * handshake done, a question of its handshake, streams readable or writable, credit for streams, a turn of one whose
 * congestion control is steered, closed. Once per
 * change; NULL when none. It is the endpoint's: give it back with neap_endpoint_release when it is closed, or before. */
NEAP_API neap_conn *neap_endpoint_next(neap_endpoint *endpoint);

/** Start a client connection that sends through this endpoint, which owns it. `config` NULL: the endpoint's; one of its
 * own has the same source_connection_id_size. Otherwise as neap_connect; NULL also for an endpoint that is NULL, and
 * for a second connection with connection IDs of no bytes. */
NEAP_API neap_conn *neap_endpoint_connect(neap_endpoint *endpoint, neap_config *config,
                                          const char *server_name, const neap_address *local,
                                          const neap_address *peer, neap_time now, const char **why);

/** Have neap_endpoint_send look at this connection; one that is not the endpoint's is left alone, as by
 * neap_endpoint_release. The functions of this header that leave something to send (streams,
 * closing, ping, keep alive, HTTP/3) do it by themselves. */
NEAP_API void neap_endpoint_touch(neap_endpoint *endpoint, neap_conn *conn);

/** The endpoint's connections, one after the other: the one behind `after`, or the first when that is NULL; NULL at the end. */
NEAP_API neap_conn *neap_endpoint_each(const neap_endpoint *endpoint, const neap_conn *after);
/** Whether a path of any of its connections begins at this address of ours: for who has a socket there. */
NEAP_API bool neap_endpoint_uses(const neap_endpoint *endpoint, const neap_address *local);

/** Give a connection back: it is freed now when closed, else when it has closed and drained (call neap_conn_close
 * first, or the peer or a timeout has to). It must not be used afterwards, and its neap_h3 must be gone. */
NEAP_API void neap_endpoint_release(neap_endpoint *endpoint, neap_conn *conn);

/** A first packet of a client that has not proved its address. */
typedef struct neap_arrival {
    neap_address from, to;
    neap_cid dcid, scid;
    uint32_t version;
    bool has_token;                  /* one that proves nothing */
    size_t size;                     /* of the datagram */
    uint64_t half_open, connections; /* of the endpoint, as in its figures */
} neap_arrival;
enum neap_admit {
    NEAP_ADMIT_BY_OPTIONS, /* as the options retry and retry_above say */
    NEAP_ADMIT_ACCEPT,     /* without Retry, unless handshake_rate or memory ask for one */
    NEAP_ADMIT_RETRY,      /* the address is to be proved first */
    NEAP_ADMIT_REFUSE,     /* CONNECTION_REFUSED */
    NEAP_ADMIT_WAIT,       /* neap_endpoint_next_arrival shows it, and neap_endpoint_admit decides */
};
/** Have `admit` decide about every such packet that the bounds of the endpoint do not refuse by themselves. It is called inside of
 * neap_endpoint_recv and may not call the library; nothing of the packet is authenticated, and anybody can send as many as it likes.
 * NULL: nobody. `context` (may be NULL) is kept. */
NEAP_API void neap_endpoint_set_admit(neap_endpoint *endpoint,
                                      enum neap_admit (*admit)(void *context, const neap_arrival *arrival),
                                      void *context);

/** The oldest arrival that `admit` let wait and that was not shown yet, into `size` bytes at `out` (sizeof *out), and what
 * neap_endpoint_admit calls it into `id`; false: none. 64 datagrams wait, and 128 KiB, with those of a client that follow its first;
 * where there is no more room the oldest client is asked by Retry (arrivals_overflowed), and what waits for longer than a second is
 * dropped (arrivals_dropped). While one was not shown neap_endpoint_timeout is 0. */
NEAP_API bool neap_endpoint_next_arrival(neap_endpoint *endpoint, uint64_t *id, neap_arrival *out,
                                         size_t size);
/** Decide about one. The bounds of the endpoint are asked again. 0, NEAP_ERR_STATE when it waits no more, NEAP_ERR_ARGUMENT. */
NEAP_API int neap_endpoint_admit(neap_endpoint *endpoint, uint64_t id, enum neap_admit says, neap_time now);

/** neap_conn_rotate_ids for all connections of the endpoint: each of them sends a packet. */
NEAP_API void neap_endpoint_rotate_ids(neap_endpoint *endpoint);

/** Have `tracer` (kept: it must outlive its use and those connections) see every connection accepted from now on from
 * its first packet, and failures of accept (NEAP_TRACE_ACCEPT_FAILED); NULL: nobody. */
NEAP_API void neap_endpoint_set_tracer(neap_endpoint *endpoint, const neap_tracer *tracer);

/** Stop accepting: new Initials are refused with CONNECTION_REFUSED (true), or accepted again (false). */
NEAP_API void neap_endpoint_refuse(neap_endpoint *endpoint, bool refuse);

typedef struct neap_endpoint_stats {
    uint64_t connections, half_open; /* there are now: all, and those whose handshake is not complete */
    uint64_t accepted;
    uint64_t refused; /* first packets answered with CONNECTION_REFUSED or INVALID_TOKEN */
    uint64_t retries_sent, version_negotiations_sent, resets_sent, udp_datagrams_received,
        udp_datagrams_dropped;
    uint64_t
        handshakes_delayed; /* with the token of a Retry, or where `retry` is never, but dropped: too many began lately, of their
                               prefix or of all, or memory is short */
    uint64_t
        accept_failures;   /* first packets that found no memory, no connection ID or no usable certificate */
    uint64_t receive_held; /* as neap_config_memory says of the endpoint's config */
    uint64_t answers_waiting; /* there are now: stateless answers that neap_endpoint_send has not given yet */
    uint64_t answers_dropped; /* of them, that found no room, no memory or no way */
    uint64_t answers_most;    /* may wait: their bound */
    uint64_t
        tokens_accepted; /* of NEW_TOKEN frames: they proved the address of a connection that was accepted */
    uint64_t
        tokens_refused; /* that look like ours: of another address or key, over, used before, or there was no room to note it */
    uint64_t arrivals_waiting; /* there are now: datagrams that NEAP_ADMIT_WAIT keeps */
    uint64_t
        arrivals_overflowed; /* clients that got a Retry since the application had not decided when others came */
    uint64_t
        arrivals_dropped; /* datagrams about whose client it had not after a second, or of whose client too many came */
    uint64_t
        resets_withheld; /* stateless resets that were too many in a second, of their network or of all */
    uint64_t
        first_packets_repeated; /* whose connection is gone, or whose Retry token was used: dropped, they begin nothing again */
} neap_endpoint_stats;
/** The counters so far, into `size` bytes at `out` (sizeof *out). */
NEAP_API void neap_endpoint_get_stats(const neap_endpoint *endpoint, neap_endpoint_stats *out, size_t size);

/* ---------------------------------------------------------------- HTTP/3 */

/** Memory to be filled, and bytes to be looked at: as struct iovec has them. */
typedef struct neap_part {
    void *bytes;
    size_t size;
} neap_part;
typedef struct neap_view {
    const void *bytes;
    size_t size;
} neap_view;

/** A field line. Names are lower case; pseudo-header fields begin with a colon and come first (RFC 9114 §4.3). */
typedef struct neap_field {
    const char *name, *value; /* not NUL-terminated; value may be NULL when it is empty */
    size_t name_size, value_size;
    bool never_indexed; /* RFC 9204 §7.1.3: for secrets */
} neap_field;

typedef struct neap_h3_config {
    uint64_t max_field_section_size; /* bytes that we take, told in SETTINGS (RFC 9114 §4.2.2); 0: 65536 */
    /* A server's: how long a field section may take to arrive whole, and a request until its header section has.
     * 0: 10 seconds, NEAP_NEVER: no bound. */
    neap_time header_timeout;
} neap_h3_config;

/** What HTTP/3 will tell in SETTINGS on a server's connections of `config`, so that early data is read only when its ticket
 * promised the same (RFC 9114 §7.2.4.2): a server with the option early_data calls it before its endpoint is made, with what
 * neap_h3_new gets (NULL too). It is neap_config_set_session_data. 0, or NEAP_ERR_STATE as there. */
NEAP_API int neap_config_set_h3(neap_config *config, const neap_h3_config *h3);

/** Speak HTTP/3 on a connection (before or after it is established): opens the control stream when it can. `config`
 * may be NULL. NULL without memory, and when the connection has or had an HTTP/3: its control stream is one for ever.
 * The peer's streams and those of requests are HTTP/3's from then on: neap_conn_stream_send, _recv and _shutdown refuse
 * them with NEAP_ERR_STREAM_STATE. The caller's; free it before its connection. */
NEAP_API neap_h3 *neap_h3_new(neap_conn *conn, const neap_h3_config *config);
/** NULL is fine. Before its connection is freed or released. Requests that are open are not cancelled: close the
 * connection. */
NEAP_API void neap_h3_free(neap_h3 *h3);

enum neap_h3_event_type {
    NEAP_H3_HEADERS, /* a field section: request, response (1xx too: is_informational). Several cookie lines of a
                            request are one (RFC 9114 §4.2.1) */
    NEAP_H3_DATA,    /* body bytes wait: call neap_h3_recv_body until NEAP_ERR_AGAIN */
    NEAP_H3_TRAILERS, /* the field section after the body */
    NEAP_H3_FINISHED, /* the peer's side of the stream ended, all was delivered and is as long as it said */
    NEAP_H3_RESET, /* the peer reset its side, or the message was malformed or came too slowly and we reset it:
                            code; a server is told so even of requests whose HEADERS it was never told */
    NEAP_H3_STOPPED, /* the peer does not want our body any more: code. After this and RESET a server's stream is kept,
                            once its HEADERS were told, until neap_h3_cancel: call it when nothing is done for the
                            request any more, for until then the client may make no other in its place */
    NEAP_H3_WRITABLE,    /* a body that was cut short can go on */
    NEAP_H3_GOAWAY,      /* stream is the id in the frame */
    NEAP_H3_SETTINGS,    /* the peer's SETTINGS arrived */
    NEAP_H3_ESTABLISHED, /* the handshake is complete: once, before everything else but what came by 0-RTT */
    NEAP_H3_CLOSED, /* the connection is over: once, and last; code as in neap_conn_close_info. What came and was not
                       polled for goes with the connection (RFC 9000 §10.2) */
};

typedef struct neap_h3_event {
    enum neap_h3_event_type type;
    uint64_t stream;
    uint64_t code;
    const neap_field *fields; /* HEADERS and TRAILERS: until the next call on this neap_h3 */
    size_t field_count;
    bool is_informational; /* HEADERS of a 1xx response */
    bool fin;   /* HEADERS, TRAILERS: nothing follows, and nothing is missing (FINISHED comes as well) */
    void *user; /* of the request (neap_h3_set_user), also when this is its last event */
} neap_h3_event;

/** The next event: 0 and *out filled, NEAP_ERR_AGAIN when none, NEAP_ERR_CLOSED when the connection is over and
 * NEAP_H3_CLOSED was told. Body bytes are not read before the application asks: back pressure reaches the peer. Call it
 * whenever neap_endpoint_next names the connection; with sockets of your own after neap_conn_recv and
 * neap_conn_on_timeout. What there is no memory for is told as NEAP_H3_RESET of its stream (H3_INTERNAL_ERROR). Neither
 * `h3` nor `out` may be NULL, here and below; `fields` may when `count` is 0. A request whose connection ends gets no
 * event of its own behind NEAP_H3_CLOSED. */
NEAP_API int neap_h3_poll(neap_h3 *h3, neap_h3_event *out);

/** Send a request: its stream id; NEAP_ERR_AGAIN (before the handshake is complete, unless neap_conn_is_early),
 * NEAP_ERR_STREAM_LIMIT (the peer allows no more now), NEAP_ERR_ARGUMENT (fields that RFC 9114 §4.2-4.3 forbid; `fin`
 * with a content-length above 0; not a client), NEAP_ERR_CLOSED (also after GOAWAY), NEAP_ERR_LIMIT (more fields than
 * 256, larger than 65536 bytes or than the peer takes, or 65536 streams are kept), NEAP_ERR_NO_MEMORY. Fields are
 * copied. */
NEAP_API int64_t neap_h3_send_request(neap_h3 *h3, const neap_field *fields, size_t count, bool fin);
/** Send a request and all of its body at once: its stream id, and *taken of the `size` bytes. Where they are all of them our
 * side has ended; else neap_h3_send_body goes on with the rest, and NEAP_H3_WRITABLE comes. Errors as neap_h3_send_request;
 * NEAP_ERR_ARGUMENT also for a content-length that is not `size`. `body` may be NULL when `size` is 0. */
NEAP_API int64_t neap_h3_request(neap_h3 *h3, const neap_field *fields, size_t count, const void *body,
                                 size_t size, size_t *taken);
/** Send a response field section; a :status of 1xx may be followed by others. 0; NEAP_ERR_ARGUMENT (fields that are
 * forbidden, `fin` with 1xx or with a content-length above 0, a content-length with 1xx, 204 or the 2xx of a CONNECT),
 * NEAP_ERR_STREAM_STATE (no such request, not told yet, answered already, not a server), NEAP_ERR_STREAM_STOPPED,
 * NEAP_ERR_CLOSED, NEAP_ERR_LIMIT as above, NEAP_ERR_NO_MEMORY (the stream was reset). */
NEAP_API int neap_h3_send_response(neap_h3 *h3, uint64_t stream, const neap_field *fields, size_t count,
                                   bool fin);
/** Send a response and all of its body at once: how many bytes of the body were taken. Where they are all of them the stream
 * has ended; else (the stream is full) neap_h3_send_body goes on with the rest, and NEAP_H3_WRITABLE comes. Cheaper than the
 * two calls. Errors as neap_h3_send_response, and nothing was sent: NEAP_ERR_ARGUMENT also for a 1xx response and for a
 * content-length that is not `size`. `body` may be NULL when `size` is 0. */
NEAP_API int64_t neap_h3_respond(neap_h3 *h3, uint64_t stream, const neap_field *fields, size_t count,
                                 const void *body, size_t size);
/** Send body bytes, DATA framing included: how many were taken, NEAP_ERR_AGAIN when none now (NEAP_H3_WRITABLE comes).
 * A response that has no content (to HEAD, or a 204 or 304) may be sent as any other: its bytes are taken and dropped,
 * `fin` ends the stream, before content-length is reached as well. NEAP_ERR_ARGUMENT: more than content-length promises,
 * or `fin` before it is reached; nothing is sent then. NEAP_ERR_STREAM_STATE (before the field section, after the end),
 * NEAP_ERR_STREAM_STOPPED, NEAP_ERR_CLOSED, NEAP_ERR_NO_MEMORY (the stream was reset). `data` may be NULL when `size` is
 * 0. */
NEAP_API int64_t neap_h3_send_body(neap_h3 *h3, uint64_t stream, const void *data, size_t size, bool fin);
/** Memory of the stream's own for the next body bytes, to be read into from a file without a copy: how many bytes the
 * parts hold, at most `size`; *count is how many parts there may be (of 4 KiB each), and then how many there are. Fill them
 * from the first on and call neap_h3_commit_body, with no other call on the connection between; who does not has done
 * nothing. Errors as neap_h3_send_body; NEAP_ERR_STREAM_STATE also for a response that has no content. */
NEAP_API int64_t neap_h3_reserve_body(neap_h3 *h3, uint64_t stream, size_t size, neap_part *parts,
                                      size_t *count);
/** The first `size` bytes of that memory are the body's, fewer than were reserved when the file was shorter. 0; errors as
 * neap_h3_send_body but for NEAP_ERR_AGAIN; NEAP_ERR_ARGUMENT also for more than was reserved. */
NEAP_API int neap_h3_commit_body(neap_h3 *h3, uint64_t stream, size_t size, bool fin);
/** How many body bytes neap_h3_send_body would take now, 0 when the stream is full (it takes a little more rather than
 * a tiny frame); NEAP_ERR_STREAM_STATE, NEAP_ERR_STREAM_STOPPED, NEAP_ERR_CLOSED as there. */
NEAP_API int64_t neap_h3_body_capacity(const neap_h3 *h3, uint64_t stream);
/** Send trailers; ends the stream. 0; NEAP_ERR_ARGUMENT (pseudo-header fields, fields that are forbidden, a body
 * shorter than content-length, a CONNECT), NEAP_ERR_LIMIT, and as neap_h3_send_body but for NEAP_ERR_AGAIN. */
NEAP_API int neap_h3_send_trailers(neap_h3 *h3, uint64_t stream, const neap_field *fields, size_t count);
/** Take body bytes: the count, NEAP_ERR_AGAIN when none wait, NEAP_ERR_STREAM_STATE (no such request, its end was told,
 * or neap_h3_stop_body), NEAP_ERR_CLOSED (what was not read is gone). What follows the body may have been reached by
 * this: call neap_h3_poll before waiting for packets. */
NEAP_API int64_t neap_h3_recv_body(neap_h3 *h3, uint64_t stream, void *out, size_t size);
/** Look at body bytes where they lie: how many the views hold; *count is how many views there may be, and then how many
 * there are. They are good until the next call on the connection, which neap_h3_consume_body may be. Until NEAP_ERR_AGAIN;
 * errors, and what follows, as neap_h3_recv_body. */
NEAP_API int64_t neap_h3_peek_body(neap_h3 *h3, uint64_t stream, neap_view *views, size_t *count);
/** The first `size` bytes of them were used, and their credit goes back. 0; NEAP_ERR_ARGUMENT (more than were looked at),
 * and as neap_h3_recv_body. */
NEAP_API int neap_h3_consume_body(neap_h3 *h3, uint64_t stream, size_t size);
/** How urgent the response to a request is, 0 to 7, lower is sent first, and whether it is of use in parts, so that it takes turns
 * with others of its urgency (RFC 9218; neap_conn_stream_set_priority). Of a server's connection it is the server's word, which
 * goes before the client's: as a field `priority` of the response, which need not be sent for that. A client tells the server
 * (PRIORITY_UPDATE), also before the response; what it wants from the beginning it says by a field `priority` of the request.
 * 0; NEAP_ERR_ARGUMENT, NEAP_ERR_STREAM_STATE (no such request), NEAP_ERR_CLOSED; a client's: NEAP_ERR_AGAIN (the server takes no
 * more of them now), NEAP_ERR_NO_MEMORY (the connection was closed with H3_INTERNAL_ERROR). */
NEAP_API int neap_h3_set_priority(neap_h3 *h3, uint64_t stream, unsigned urgency, bool incremental);
/** What a client wants of a response: its field `priority`, or what it said since; 3 and false where it said nothing (RFC 9218 §4).
 * 0 or NEAP_ERR_STREAM_STATE (no such request). */
NEAP_API int neap_h3_priority(const neap_h3 *h3, uint64_t stream, unsigned *urgency, bool *incremental);
/** Give a request up: RESET_STREAM and STOP_SENDING with `code` (H3_REQUEST_CANCELLED and the like; RFC 9114 §4.1.1), in the
 * directions that have not ended. Nothing is told of it any more. 0; NEAP_ERR_ARGUMENT (code above 2^62-1),
 * NEAP_ERR_STREAM_STATE (no such request, or the connection is over). */
NEAP_API int neap_h3_cancel(neap_h3 *h3, uint64_t stream, uint64_t code);
/** The rest of the peer's message is not wanted (a server that has answered already: code H3_NO_ERROR): STOP_SENDING.
 * What comes until the peer obeys is held against the rules and dropped; when it breaks them, an answer that has not
 * arrived is reset (RFC 9114 §4.1.2). 0; NEAP_ERR_ARGUMENT (code above 2^62-1), NEAP_ERR_STREAM_STATE (as
 * neap_h3_cancel, its end is here, or it was not told yet). */
NEAP_API int neap_h3_stop_body(neap_h3 *h3, uint64_t stream, uint64_t code);
/** Send GOAWAY: a server takes no request above those it has seen, a client no push (RFC 9114 §5.2). 0, also before the
 * control stream is open and when it was said already; NEAP_ERR_CLOSED, NEAP_ERR_NO_MEMORY (the connection was closed
 * with H3_INTERNAL_ERROR). */
NEAP_API int neap_h3_goaway(neap_h3 *h3);
/** How many requests are still open: their message is read, or ours not sent to its end. */
NEAP_API size_t neap_h3_open_requests(const neap_h3 *h3);

typedef struct neap_h3_stats {
    uint64_t requests, open_requests; /* in all, and as neap_h3_open_requests */
    uint64_t glitches;                /* what the peer did in vain */
    uint64_t glitches_held; /* of these, ahead of what it did for good and of time: past 1000 it is closed */
    uint64_t priority_updates; /* PRIORITY_UPDATE frames of the peer */
    uint64_t partial_bytes;    /* of field sections that have come in part */
} neap_h3_stats;
/** The counters so far, into `size` bytes at `out` (sizeof *out). */
NEAP_API void neap_h3_get_stats(const neap_h3 *h3, neap_h3_stats *out, size_t size);
/** A pointer of the application's for a request (NULL too), from its first event or neap_h3_send_request until its last
 * event, which has it too: 0 or NEAP_ERR_STREAM_STATE (no such request, or the connection is over). */
NEAP_API int neap_h3_set_user(neap_h3 *h3, uint64_t stream, void *user);
/** It, kept as it is; NULL when none was set or the request is over. Requests that were open when the connection ended
 * keep it from NEAP_H3_CLOSED until neap_h3_free. */
NEAP_API void *neap_h3_user(const neap_h3 *h3, uint64_t stream);
/** A setting of the peer's by identifier: 0 and *value, which is the default of the RFC where the peer did not send it
 * (0 for one that is not known), or NEAP_ERR_AGAIN before SETTINGS came. */
NEAP_API int neap_h3_peer_setting(const neap_h3 *h3, uint64_t id, uint64_t *value);

/* ---------------------------------------------------------------- words of an application's */

/** HMAC-SHA256 (RFC 2104) of `size` bytes under a key of any size: for cookies and other words that are given out and come
 * back. Compare such with a function whose time tells nothing. */
NEAP_API void neap_hmac_sha256(const void *key, size_t key_size, const void *data, size_t size,
                               uint8_t out[32]);

/* ---------------------------------------------------------------- certificates, read */

/** What a certificate says (RFC 5280). The views point into its DER. */
typedef struct neap_certificate {
    neap_view serial;              /* big-endian bytes, as in the certificate */
    neap_view subject, issuer;     /* distinguished names: neap_name_text */
    neap_view names;               /* subject alternative names: neap_certificate_name; empty without any */
    neap_view public_key;          /* SubjectPublicKeyInfo */
    int64_t not_before, not_after; /* seconds since 1970, both inside */
    bool is_authority;
    uint8_t sha256[32], public_key_sha256[32]; /* of the whole; of public_key, which pins are made of */
} neap_certificate;

/** Read one. Nothing is verified but its form: believe what neap_conn_peer_certificate gives. 0 or NEAP_ERR_CERTIFICATE.
 * `out_size` is sizeof *out. */
NEAP_API int neap_certificate_read(const void *der, size_t size, neap_certificate *out, size_t out_size);

enum neap_name_kind {
    NEAP_NAME_OTHER,  /* DER content of a kind that is none of these */
    NEAP_NAME_DNS,    /* text */
    NEAP_NAME_EMAIL,  /* text */
    NEAP_NAME_URI,    /* text */
    NEAP_NAME_ADDRESS /* 4 or 16 bytes of an IP address */
};
/** The index-th alternative name: false behind the last. The bytes are as the certificate has them: of texts nobody has
 * said that they are printable. */
NEAP_API bool neap_certificate_name(const neap_certificate *certificate, size_t index,
                                    enum neap_name_kind *kind, neap_view *name);
/** A distinguished name as text (RFC 4514), NUL-terminated: "CN=pump 7,O=Works"; controls are escaped as well (`\0a`), and
 * a value that is no text is `#` and hex. The size without the NUL, NEAP_ERR_BUFFER_TOO_SHORT, NEAP_ERR_CERTIFICATE for what is
 * no name, or NEAP_ERR_LIMIT for one of more than 64 parts: never a part of a name, which would be somebody else's. */
NEAP_API int64_t neap_name_text(neap_view name, char *out, size_t size);
/** The index-th part of a distinguished name, from its front: `type` is "CN", "O" or an identifier with dots, NUL-terminated;
 * the value, as UTF-8 and without escapes, goes to `out`, not terminated. Its size; NEAP_ERR_UNSUPPORTED for a value that is no
 * text, `type` is filled then; NEAP_ERR_ARGUMENT behind the last; or as neap_name_text. */
NEAP_API int64_t neap_name_part(neap_view name, size_t index, char *type, size_t type_size, char *out,
                                size_t size);

#ifdef __cplusplus
}
#endif

#endif
