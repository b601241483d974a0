/* Sessions: what a handshake leaves for a later one between the same two (RFC 8446 §2.2, §4.6.1). A server's is sealed in
 * the ticket that it gives away, so that it keeps nothing; a client keeps the ticket and what belongs to it. */
#ifndef NEAP_TLS_SESSION_H
#define NEAP_TLS_SESSION_H

#include "base/limits.h"
#include "base/writer.h"
#include "crypto/crypto.h"

/* Numbers below 2^62 to which a server was held by who sent early: they may grow, and not become less while sessions are good
 * (RFC 9000 §7.4.1). What they count is their owner's matter. */
#define SESSION_LIMITS 12u

struct session {
    uint16_t suite;
    uint32_t
        version; /* of the protocol around TLS: in another one the session is worth nothing (RFC 9369 §5) */
    int64_t issued;    /* seconds since 1970, by the clock of who holds it */
    uint32_t lifetime; /* seconds */
    int64_t
        good_until; /* what it goes back to was authenticated once: a week after that, or with the certificate */
    uint32_t age_add;
    /* What the caller said of the round trip when the ticket was given: a client's in microseconds, a server's in a form of the
     * caller's; 0: not known. */
    uint32_t rtt;
    /* By what the two were known: neap_session_binding, neap_client_binding or neap_psk_binding. */
    uint8_t binding[32];
    struct span psk; /* as long as the suite's hash */
    struct span alpn, server_name;
    struct span psk_identity; /* of the external key that it goes back to; empty: of a certificate */
    struct span ticket;       /* a client's; empty inside of a ticket */
    /* The peer's leaf. A server's: empty when the client showed none. A client's: empty unless the application is asked about
     * servers. At most LIMIT_TICKET_CERTIFICATE. */
    struct span peer_certificate;
    bool allows_early; /* 0-RTT may be sent with it; without this there is none of the two below */
    uint64_t limits[SESSION_LIMITS]; /* of the server's when it gave the ticket */
    struct span data;                /* of the layer above, at most LIMIT_SESSION_DATA */
};

#define SESSION_AGE_MOST \
    604800 /* seconds, RFC 8446 §4.6.1: of a ticket, and of all that follow it without a certificate */
#define SESSION_FIXED                                        \
    (1u + 2u + 4u + 8u + 4u + 8u + 4u + 4u + 32u + 4u + 2u + \
     2u) /* the fields, and the lengths of the spans */
#define SESSION_EARLY_MOST (SESSION_LIMITS * 8u + 2u + LIMIT_SESSION_DATA)
/* It goes back to a client's certificate or to an external key, of which the certificate is the larger. */
#define SESSION_IN_TICKET                                                                          \
    (SESSION_FIXED + CRYPTO_MAX_HASH + LIMIT_ALPN + LIMIT_SERVER_NAME + LIMIT_TICKET_CERTIFICATE + \
     SESSION_EARLY_MOST)

/** Write a session; neap_session_size of room. */
void neap_session_write(struct writer *w, const struct session *s);
size_t neap_session_size(const struct session *s);
/** Read one: its spans point into `bytes`. False for anything but what neap_session_write made. */
bool neap_session_read(struct span bytes, struct session *out);
/** Whether it is good at `now`, which none is when that is TIME_UNKNOWN. `tolerance`: seconds that the clock which said
 * `issued` may be ahead. */
bool neap_session_is_fresh(const struct session *s, int64_t now, int64_t tolerance);
/** Whether it will never be good again. */
bool neap_session_is_over(const struct session *s, int64_t now);

/* ---- tickets: sessions sealed by a server's keys */

#define TICKET_KEYS_MOST 4u
#define TICKET_HEADER (4u + 4u + CRYPTO_IV) /* key, epoch, nonce */
#define TICKET_MOST (TICKET_HEADER + SESSION_IN_TICKET + CRYPTO_TAG)
_Static_assert(LIMIT_PSK_IDENTITY <= LIMIT_TICKET_CERTIFICATE, "room for either");
_Static_assert(TICKET_MOST <= LIMIT_TICKET, "our clients keep every ticket of our servers");

/* The first seals, all open. From each comes a key of its own for every epoch, which is as long as a ticket's lifetime:
 * that of now and the one before open, so that who steals the key of one has no older tickets. */
struct ticket_keys {
    uint8_t secrets[TICKET_KEYS_MOST][32];
    uint8_t names[TICKET_KEYS_MOST][4];
    size_t count;
};

/** At most TICKET_KEYS_MOST secrets. */
void neap_ticket_keys_set(struct ticket_keys *keys, const uint8_t (*secrets)[32], size_t count);
/** Seal a session, whose `lifetime` is the length of an epoch: the ticket's size, or negative. `out` has TICKET_MOST
 * bytes. */
int64_t neap_ticket_seal(struct crypto *crypto, const struct ticket_keys *keys, const struct session *s,
                         uint8_t *out);
/** Open a ticket into `room` of SESSION_IN_TICKET bytes, where the session's spans point to. False for one that is not
 * ours, or too old. It costs one key and one opening at most, and neither when the names do not fit. */
bool neap_ticket_open(struct crypto *crypto, const struct ticket_keys *keys, struct span ticket,
                      uint32_t lifetime, int64_t now, uint8_t *room, struct session *out);

/* ---- a client's store, of one config */

struct session_store {
    struct pool *pool;
    struct stored_session *newest;
    size_t count, size; /* size: bytes of all */
    uint64_t takers;    /* how many connections took sessions so far */
};

/** Keep a session, as neap_session_write wrote it, with the server of this name at this port. Above
 * LIMIT_SESSIONS_SERVER of a server, LIMIT_SESSIONS in all, or a part of the pool's limit (LIMIT_SESSIONS_SHARE), the
 * oldest goes. Without memory nothing happens: then the next handshake is a full one. `was_offered`: it was before. `taker`: a
 * number of the connection that took it, 0 none. */
void neap_sessions_put(struct session_store *store, struct span name, uint16_t port, struct span session,
                       bool was_offered, uint64_t taker);
/** Give all that are still there of a connection, and allow early data, this data of the layer above. Those for which there is no
 * memory stay as they are. */
void neap_sessions_set_data(struct session_store *store, uint64_t taker, struct span data);
/** The version of the newest that this server gave; 0: there is none. */
uint32_t neap_sessions_version(const struct session_store *store, struct span name, uint16_t port,
                               int64_t now);
/** Take the newest out that is good for a handshake of this version, with this binding, now; those that are over go. The
 * bytes are the caller's, who gives them back with neap_session_drop. Empty: there is none. */
struct span neap_sessions_take(struct session_store *store, struct span name, uint16_t port, uint32_t version,
                               const uint8_t binding[32], int64_t now, bool *was_offered);
void neap_session_drop(struct pool *pool, struct span *session);

/* Address validation tokens (RFC 9000 §8.1.3) are kept among the sessions: each shows a server once who comes again. */

/** Keep a token of a NEW_TOKEN frame, of 1 to LIMIT_TOKEN bytes; one that is there already is left alone. Above
 * LIMIT_TOKENS_SERVER of a server its oldest token goes; otherwise as neap_sessions_put. `local_ip`: our address that the server
 * saw, or a translation of; empty or all zero where it is not known. False: it was not kept. */
bool neap_sessions_put_token(struct session_store *store, struct span name, uint16_t port, uint32_t version,
                             struct span local_ip, int64_t now, struct span token);
/** Take the newest out that the server of this name at this port gave for this version: its record, which is the caller's as that
 * of neap_sessions_take is; empty: there is none. One that came while we had another address is not shown from this one, which
 * would tell that both are ours. */
struct span neap_sessions_take_token(struct session_store *store, struct span name, uint16_t port,
                                     uint32_t version, struct span local_ip, int64_t now, bool *was_offered);
/** Keep a record again that was taken, because nobody answered: once, as `was_offered` says from then on. It stays the caller's. */
void neap_sessions_put_token_back(struct session_store *store, struct span name, uint16_t port,
                                  struct span record);
/** The token of a record; empty for an empty one. */
struct span neap_session_token(struct span record);
/** Drop all sessions with a server. */
void neap_sessions_forget(struct session_store *store, struct span name, uint16_t port);
void neap_sessions_free(struct session_store *store);
/** All of them in a form that can be kept in a file: the size, or NEAP_ERR_BUFFER_TOO_SHORT. `out` NULL: only the size. */
int64_t neap_sessions_save(const struct session_store *store, uint8_t *out, size_t size);
/** Add what neap_sessions_save wrote. NEAP_ERR_ARGUMENT for what is not that; what came before the fault is there. */
int neap_sessions_load(struct session_store *store, struct span saved);

#endif
