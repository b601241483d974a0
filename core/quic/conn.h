/* THE connection. Only the files of this folder see its inside; they are its directions, which README.md lists. */
#ifndef NEAP_QUIC_CONN_H
#define NEAP_QUIC_CONN_H

#include "base/fill.h"
#include "base/heap.h"
#include "base/list.h"
#include "base/trace.h"
#include "paths/cid.h"
#include "paths/validation.h"
#include "quic/admission.h"
#include "quic/config.h"
#include "quic/quic.h"
#include "quic/spaces.h"
#include "streams/datagrams.h"
#include "streams/streams.h"
#include "tls/tls.h"
#include "wire/frame.h"
#include "wire/header.h"

#define MICROSECOND (NEAP_MILLISECOND / 1000)
#define MIN_ROOM 64u                 /* a packet is not begun in less room */
#define TRIM_AFTER NEAP_SECOND       /* of silence */
#define DRAIN_PTOS 3u                /* RFC 9000 §10.2 */
#define DRAIN_DELAY_MOST NEAP_SECOND /* of the peer's max_ack_delay, in each */
#define SPIN_DISABLED_ONE_IN 16u     /* RFC 9000 §17.4: paths, at least */
#define CLOSE_HEARD_MOST (1u << 20)  /* bytes, of which three times as many may answer */
#define OLD_KEYS_PTOS 3u             /* RFC 9001 §6.5 */

/* The one life of a connection, in its order: it goes forward only, and may skip stages. What is not a stage of it is
 * not here: which side we are, a frame that is owed, what the peer knows of our address. */
enum conn_stage {
    STAGE_HANDSHAKE,   /* TLS runs */
    STAGE_ESTABLISHED, /* TLS is complete on our side (RFC 9001 §4.1.1) */
    STAGE_CONFIRMED,   /* RFC 9001 §4.1.2; the handshake block goes with the end of the turn */
    STAGE_CLOSING,     /* RFC 9000 §10.2.1; from here on there are no streams */
    STAGE_DRAINING,    /* RFC 9000 §10.2.2 */
    STAGE_CLOSED,
};

/* What the endpoint hands on to the application: something changed since it was asked last. */
enum conn_news {
    NEWS_STATE = 1 << 0,
    NEWS_READABLE = 1 << 1,
    NEWS_WRITABLE = 1 << 2,
    NEWS_CREDIT = 1 << 3,
    NEWS_QUESTION = 1 << 4,
    NEWS_DATAGRAM = 1 << 5,
    NEWS_TURN = 1 << 6, /* there is something for who steers its congestion control */
};

/* What went over a path, for people who look, once there was more than one: of one alone it is what the connection counts. Stream
 * data and datagrams leave on the active path alone, so that these need no
 * counting: `…_from` are the connection's counters when it became that, less what was sent on it before. */
struct path_traffic {
    uint64_t packets_sent, packets_received, bytes_sent, bytes_received;
    uint64_t packets_retransmitted, datagrams_received;
    uint64_t stream_bytes_resent, stream_bytes_resent_from;
    uint64_t datagrams_sent, datagrams_sent_from;
};

/* One network path: addresses and what is proved of them, and how packets fare there (RFC 9000 §9.4). Blocks of the
 * pool, so that a connection pays for those that it has. */
struct path {
    struct address_validation address;
    struct path_recovery recovery;
    uint8_t index;       /* in recovery.paths and of sent packets */
    uint8_t slot;        /* of its path ID: multipath.h; 0: path ID 0, of which all are without multipath */
    uint8_t peer_cid;    /* index of the peer's connection ID that goes there */
    bool is_followed;    /* the peer was followed there */
    bool is_repeated;    /* made for a packet that was here already */
    bool refuses_trains; /* what sends takes no trains of datagrams there */
    bool is_chosen;      /* by us, not by what the peer sends: conn_migrate.c */
    bool moves;          /* we go there once it is proved */
    bool is_probed;      /* the application waits to hear whether it answers */
    bool is_preferred;   /* the server's preferred address is its end */
    bool is_last;        /* its validation failed, and there is no other */
    bool is_begun; /* by the application, whose calls have no time: `until` counts from the next that has */
    bool spins;    /* the spin bit is used there (RFC 9000 §17.4); else it is one of the connection ID's */
    bool spin;     /* its value */
    uint64_t spin_sequence; /* of the peer's connection ID with which it is */
    uint64_t spin_from;     /* the peer's packet number that changes it next, or a larger one */
    uint64_t dcid_sequence; /* of the connection ID of ours that the peer used there last */
    neap_time until; /* the active one: when it must be proved; others: when they are forgotten; NEAP_NEVER */
    neap_time heard_at; /* when the last authentic packet came from there */
};

/* A packet that came before its keys: a copy, still protected. */
struct kept_packet {
    uint8_t *bytes;
    neap_time at;
    uint16_t size;
    uint8_t ecn;
};

/* What connections hold for peers that have not proved their address: one sum for all of an endpoint. */
struct early_budget {
    size_t used;
    const uint64_t *half_open; /* of the endpoint */
};

/* Whether the memory that is left carries so many more handshakes, beside those that have begun, and `size` bytes. */
static inline bool conn_has_memory_for(const struct pool *pool, uint64_t handshakes, uint64_t half_open,
                                       uint64_t size)
{
    struct pool_stats stats = neap_pool_stats(pool);
    uint64_t needed = handshakes * LIMIT_HANDSHAKE_MEMORY + half_open * LIMIT_HANDSHAKE_REST + size;

    return stats.limit == 0 || stats.used + needed <= stats.limit;
}

/* The session with which a client offers early data. */
struct early_offer {
    uint64_t limits[SESSION_LIMITS]; /* of the server's, which hold until it answers */
    uint16_t size;
    uint8_t data[LIMIT_SESSION_DATA]; /* the layer above's */
};

/* What is needed until the handshake is confirmed: one block, freed then. */
struct handshake {
    struct tls *tls;
    struct number_space spaces[2]; /* SPACE_INITIAL, SPACE_HANDSHAKE */
    struct crypto_stream crypto[2];
    neap_time deadline;
    neap_cid source_cid; /* ours in long headers */
    neap_cid
        peer_cid; /* the peer's in long headers, once peer_cid_known: it does not change (RFC 9000 §7.2) */
    neap_cid retry_scid; /* client: of the Retry it took; server: what it told in one */
    bool retried, took_params, peer_cid_known;
    bool version_settled;  /* client: the server goes over to no other version than c->version */
    bool is_second_flight; /* client: it began anew after a Version Negotiation packet */
    const struct version *other_version; /* NULL: none. Server: which the client began with; client: tried */
    struct packet_key other_read;        /* of Initials of that version */
    bool sends_early; /* client: the write key of the application space is the one of 0-RTT packets */
    struct early_offer *offer;    /* client: NULL without */
    struct packet_key early_read; /* server: of 0-RTT packets, where they are accepted */
    uint64_t question_told;       /* its id; the owner has heard of it */
    uint8_t *token;               /* client: of the Retry, for its Initials */
    size_t token_size;
    struct span
        shown_token; /* client: the record of one of a NEW_TOKEN frame, for as long as there is no Retry */
    bool token_was_shown; /* by another attempt, that nobody answered */
    struct kept_packet kept[LIMIT_UNDECRYPTABLE_PACKETS];
    uint8_t kept_count;
    struct early_budget *early;     /* a server's endpoint's; NULL: none */
    size_t early_held;              /* our part of it */
    struct admission_charge charge; /* a server's: what its endpoint keeps account of */
    uint64_t work_before;           /* that an answer leads to: neap_crypto_work when it came */
};

/* How often we ask the peer to acknowledge. */
struct ack_request {
    uint64_t next_sequence;
    neap_time max_delay; /* asked for last, or what the peer told */
    neap_time least_delay,
        most_delay; /* what may be asked for; NEAP_NEVER: nothing, the peer knows no requests */
    uint16_t every; /* packets, asked for last, or 2 */
    bool owed, in_flight;
};

struct conn_close {
    uint8_t by;       /* enum neap_close_by */
    uint8_t ended_at; /* enum conn_stage: how far it had come */
    bool is_application : 1, owed : 1;
    bool is_put_off : 1; /* the period was over before the first word of it */
    uint16_t reason_size, reason_room;
    const char *reason; /* static, or a copy of reason_room bytes */
    uint64_t code, frame_type;
    uint32_t received;  /* datagrams that came since we closed, from where it is */
    uint32_t heard;     /* bytes of them, at most CLOSE_HEARD_MOST; */
    uint32_t said;      /* bytes of what answered them */
    uint32_t answer_at; /* the count of packets that came since we closed at which we say it again */
    neap_time until;    /* when closing or draining ends */
};

struct conn_counters {
    uint64_t packets_sent, packets_received, packets_dropped, packets_retransmitted;
    uint64_t bytes_sent, bytes_received, undecryptable_kept;
    uint32_t path_changes, path_challenges_received, amplification_limited;
    /* what a bound or the lack of memory refused */
    uint32_t packets_refused, undecryptable_refused, paths_refused, path_responses_dropped, memory_stalls,
        ack_ranges_ignored;
    uint32_t unproductive; /* packets that brought nothing, none of them forgiven */
};

/* A connection as its endpoint sees it. */
struct endpoint_entry {
    neap_endpoint *endpoint; /* NULL: the connection is the script's own */
    struct list_link all;
    struct list_link ready; /* on endpoint->ready or ->held: it may have something to send */
    struct list_link news;  /* on endpoint->news: the application is to look at it */
    struct heap_node timer;
    bool is_half_open, is_released;
    bool was_held;      /* its timers have rested: they are looked at in its next turn */
    uint8_t has_resets; /* bits of the paths whose node is in the map: this one, or in migration->resets */
    struct cid_route
        original; /* a server's: by the destination of the first Initial, or that come late would begin anew */
    struct map_node reset; /* by the hash of the peer's reset token for the first path */
    uint64_t first;        /* a server's: hash of the destination of the first Initial */
};

/* The peer's certificates were verified without a clock: when they are valid, and when it is asked next what time it is. */
struct unchecked_dates {
    struct validity validity;
    neap_time look_at;
};

/* What each packet touches comes first, and what is for other times last: of thousands that are busy little stays in the
 * caches, and each line that a packet need not fetch is a tenth of a microsecond. */
struct neap_conn {
    /* where it lives */
    neap_config *config;
    struct pool *pool;
    struct crypto *crypto;
    const struct version *version;
    const neap_tracer *tracer;
    struct handshake *handshake;
    void *user;  /* the application's */
    void *owner; /* the layer above that speaks on it */
    struct endpoint_entry entry;

    /* how far it is */
    uint8_t stage;    /* enum conn_stage */
    uint8_t news;     /* enum conn_news */
    uint8_t fallback; /* index of the path that was proved last */
    uint8_t
        wanted; /* bits of paths that the peer's newest packets but for probes came on, beside the active one */
    uint16_t peer_max_udp_payload_size; /* its transport parameter, at most what UDP carries */
    uint16_t group;                     /* of the key exchange; 0 before the handshake is complete */
    uint16_t server_port;               /* client: where the server was asked for first */
    uint8_t peer_ack_delay_exponent;
    bool is_resumed : 1; /* TLS went on from an earlier session */
    bool peer_cids_changed : 1;
    bool is_unreachable : 1;    /* client: ICMP says that nobody is there */
    bool newest_is_probing : 1; /* the 1-RTT packet with the largest number */
    bool draws_fixed_bit : 1;   /* the peer takes either (RFC 9287) */
    bool compares_local : 1;    /* paths differ by our address, too */
    bool peer_disables_migration : 1;
    bool has_begun_paths : 1; /* is_begun of some */
    unsigned early : 2;       /* enum neap_early */
    bool
        awaits_again : 1; /* client: streams were opened early in vain, and somebody may still believe in them */
    bool previous_is_early : 1;    /* server: keys.previous_read is the one of 0-RTT packets */
    bool eliciting_since_recv : 1; /* RFC 9000 §10.1: only the first one sent restarts the idle timer */
    bool owes_handshake_done : 1, owes_token : 1, owes_ping : 1;
    uint8_t fixed_bit;  /* what packets to us must have of HEADER_FIXED_BIT */
    uint8_t drawn_left; /* bits of drawn */
    bool is_server;
    uint64_t drawn;       /* for the fixed bit of our packets */
    neap_time keep_until; /* somebody asked for it: neap_conn_keep_alive; 0 nobody */
    neap_time now;        /* of the call that runs, or the last one */

    /* times */
    neap_time idle_timeout; /* that was agreed on; 0: none */
    neap_time idle_from;
    neap_time silent_since;  /* the last packet came, or the last PING against the silence left */
    neap_time trim_at;       /* when memory that bursts needed is given back; NEAP_NEVER: there is none */
    neap_time wake_at;       /* what the layer above asked for */
    neap_time pacer_at;      /* the pacer lets the next packet go; NEAP_NEVER: it is not waited for */
    neap_time stalled_until; /* no memory for a packet's record: not tried before */
    uint32_t stalled_for;    /* ns, at most STALL_MOST: the last wait for memory; 0: there was some */

    /* what the peer is good for (RFC 9000 §21.9) */
    uint32_t unproductive; /* its packets that brought nothing, ahead of those that did; time makes it less */
    uint64_t progress;     /* its frames that brought anything, besides those that streams counts */
    neap_time forgiven_at; /* until when time has */
    uint64_t overtaken;    /* its packets that brought nothing because a newer one came first */
    struct conn_counters counters;

    /* packets */
    struct number_space application;
    struct recovery recovery;
    struct path_traffic *traffic; /* of each, in the block `migration`; NULL: there was one path only */
    struct multipath *multipath;  /* multipath.h; NULL: it was not agreed on */
    struct unchecked_dates *unchecked_dates; /* NULL: there are none */
    neap_time path_timer;                    /* the first of their times */
    struct key_phases keys;
    struct ack_request ack_request;
    struct datagrams *datagrams; /* NULL: neither side takes any */
    struct streams streams;

    /* whom it talks to */
    struct local_cids local_cids;
    struct peer_cids peer_cids;
    neap_cid original_dcid;
    uint8_t alpn_size, psk_identity_size; /* of what is below */
    uint8_t tokens_taken;                 /* a client: of NEW_TOKEN frames */
    const struct version_labels *labels;
    const struct version *first_version; /* of the client's first flight, and of 0-RTT packets */
    struct tls_tail tail;                /* CRYPTO at 1-RTT */
    struct conn_close close;
    char *server_name;   /* a copy, once TLS is gone, and behind it psk_identity_size bytes */
    const uint8_t *alpn; /* in the config: what was agreed on */
    struct kept_certificates *peer_certificates; /* what the peer showed; NULL: nothing, or it is not kept */
    struct migration *migration;                 /* migration.h; NULL: there was one way only */
};

static inline bool conn_is_alive(const neap_conn *c)
{
    return c->stage < STAGE_CLOSING;
}

/** How far it is, or had come when it ended. */
static inline enum conn_stage conn_reached(const neap_conn *c)
{
    return (enum conn_stage)(conn_is_alive(c) ? c->stage : c->close.ended_at);
}

/** A path by its index, below LIMIT_PATHS; NULL: there is none. Recovery has the table. */
static inline struct path *conn_path_at(const neap_conn *c, size_t index)
{
    struct path_recovery *recovery = c->recovery.paths[index];

    return recovery ? LIST_OWNER(recovery, struct path, recovery) : NULL;
}

/** The path that is sent on. */
static inline struct path *conn_path(const neap_conn *c)
{
    return LIST_OWNER(c->recovery.paths[c->recovery.active], struct path, recovery);
}

/** A datagram came there. */
static inline void conn_on_udp_datagram(neap_conn *c, struct path *path, size_t size)
{
    neap_validation_on_udp_datagram(&path->address, size);
    if (c->traffic)
        c->traffic[path->index].bytes_received += size;
}

/** A datagram leaves there. */
static inline void conn_on_sent(neap_conn *c, struct path *path, size_t size)
{
    neap_validation_on_sent(&path->address, size);
    if (c->traffic)
        c->traffic[path->index].bytes_sent += size;
}

/** The space of a path ID beyond 0, or NULL: conn_multipath.c. */
struct number_space *neap_multipath_space(const neap_conn *c, enum space space);
/** The space, or NULL when it is gone with the handshake or its path ID. */
static inline struct number_space *conn_space(neap_conn *c, enum space space)
{
    if (space == SPACE_APPLICATION)
        return &c->application;
    if (space > SPACE_APPLICATION)
        return neap_multipath_space(c, space);
    return c->handshake ? &c->handshake->spaces[space] : NULL;
}

/** The space of the 1-RTT packets on a path. */
static inline enum space path_space(const struct path *path)
{
    return (enum space)(SPACE_APPLICATION + path->slot);
}

static inline bool space_can_send(const struct number_space *s)
{
    return s && packet_key_is_set(&s->write);
}

/* ---- conn.c */

/** Make a space empty, without keys. */
void neap_conn_init_space(struct number_space *s, bool keeps_records);
/** A client invents the destination of its first packets (RFC 9000 §7.2). */
void neap_conn_invent_destination(neap_conn *c);
/** End the connection for a reason of ours: CONNECTION_CLOSE is owed. `reason` is static. Nothing when it ended. */
void neap_conn_end(neap_conn *c, bool is_application, uint64_t code, uint64_t frame_type, const char *reason);
/** End it by a failure: positive codes are the peer's fault, negative ones are INTERNAL_ERROR. */
void neap_conn_end_by(neap_conn *c, const struct failure *why, uint64_t frame_type);
/** The peer closed: drain (RFC 9000 §10.2.2). */
void neap_conn_drain(neap_conn *c, const struct frame_close *f);
/** A stateless reset came: drain (RFC 9000 §10.3.1). */
void neap_conn_reset(neap_conn *c);
/** Over at once, without a word on the wire. */
void neap_conn_vanish(neap_conn *c, enum neap_close_by by, const char *reason);
/** Closing or draining is over, or never was needed: everything but what can be asked afterwards is freed. */
void neap_conn_finish(neap_conn *c);

/* ---- conn_handshake.c, conn_params.c */

#define VERSION_LIST_ROOM ((LIMIT_VERSIONS + 1) * VERSION_SIZE)

/** Take what TLS has ready: secrets, bytes to send, the peer's parameters, completion. */
int neap_conn_take_tls(neap_conn *c, struct failure *why);
/** CRYPTO arrived: hand it to TLS as far as it is in order. */
int neap_conn_on_crypto(neap_conn *c, enum space space, const struct frame_crypto *f, struct failure *why);
/** TLS has an answer: take what it has ready, and give it what had to wait of the peer's flight. */
int neap_conn_continue_tls(neap_conn *c, struct failure *why);
/** RFC 9001 §4.1.2. */
void neap_conn_confirm(neap_conn *c);
/** Initial keys of both sides from the client's DCID. */
void neap_conn_set_initial_keys(neap_conn *c, const neap_cid *dcid);
/** Keys of a space are not needed any more (RFC 9001 §4.9). */
void neap_conn_discard_space(neap_conn *c, enum space space);
/** Count anew what is held for a peer that has not proved its address. */
void neap_conn_count_early(neap_conn *c);
/** Whether so much more may be: each connection has LIMIT_EARLY_LEAST, all together LIMIT_EARLY_BYTES, and memory for others
 * to begin is left. */
bool neap_conn_may_hold(neap_conn *c, size_t size);
/** The same of streams, of which each connection has LIMIT_EARLY_STREAMS at most. */
bool neap_conn_may_hold_stream(neap_conn *c, size_t size);
/** What a session remembers of the round trip begins the first path's. */
void neap_conn_guess_rtt(neap_conn *c);
/** Free the block of the handshake with everything in it. */
void neap_conn_free_handshake(neap_conn *c);
/** What of our transport parameters is sent: `versions` is room for what they point to. */
struct transport_params neap_conn_our_params(const neap_conn *c, uint8_t versions[VERSION_LIST_ROOM]);
/** The peer's, once TLS has them: checked, and what follows from them. */
int neap_conn_take_params(neap_conn *c, struct failure *why);
/** Start TLS with our transport parameters. */
int neap_conn_start_tls(neap_conn *c, const char *server_name, struct failure *why);
/** A client's TLS from the start, for the version that the connection has now, to the same server: NULL without memory. */
struct tls *neap_conn_renew_tls(const neap_conn *c, struct failure *why);

/* ---- conn_version.c: RFC 9368 */

void neap_conn_set_version(neap_conn *c, uint32_t number);
/** With which version a client begins. */
uint32_t neap_conn_first_version(const neap_config *config, const char *server_name, uint16_t port);
/** Our Available Versions, written into `room`. */
struct span neap_conn_list_versions(const neap_conn *c, uint8_t room[VERSION_LIST_ROOM]);
/** What is wrong with the version of a long header; NULL: nothing. */
const char *neap_conn_refuse_version(const neap_conn *c, const struct packet_header *h);
/** The key that opens Initials of a version that is not the connection's, and not refused. */
struct packet_key *neap_conn_other_key(neap_conn *c, uint32_t version);
/** An Initial of another version opened: a client learns that the server went over to that (RFC 9369 §4.1). */
void neap_conn_learn_version(neap_conn *c, uint32_t version);
/** A server goes over to the version that its TLS has chosen. */
void neap_conn_follow_version(neap_conn *c);
/** The peer's Version Information against what happened (RFC 9368 §4): VERSION_NEGOTIATION_ERROR with *why. */
int neap_conn_check_versions(const neap_conn *c, const struct transport_params *p, struct failure *why);
/** A client begins anew with the first of its versions that this list of a Version Negotiation packet has, once (RFC 9368
 * §2.1). Without memory nothing changes, and *wrong says so. */
void neap_conn_begin_anew(neap_conn *c, struct span versions, const char **wrong);

/* ---- conn_certificates.c */

/** Keep what the peer showed, as far as the config says, when TLS goes. 0, or NEAP_ERR_NO_MEMORY with *why. */
int neap_conn_keep_certificates(neap_conn *c, struct failure *why);
/** Give them back. */
void neap_conn_drop_certificates(neap_conn *c);

/* ---- conn_early.c */

/** The numbers that a session remembers of a server's transport parameters (RFC 9000 §7.4.1). */
void neap_conn_early_limits(const struct transport_params *p, uint64_t out[SESSION_LIMITS]);
/** A client offers early data: streams begin with what the session remembers. */
int neap_conn_offer_early(neap_conn *c, const struct session *session, struct failure *why);
/** The secret of 0-RTT packets came. */
void neap_conn_install_early(neap_conn *c, const struct tls_secret *secret);
/** Nobody took what was sent early. */
void neap_conn_take_back_early(neap_conn *c);
/** The server's parameters are there: what an attempt before this one offered was rejected, if it offered any. */
void neap_conn_reject_first_early(neap_conn *c);
/** TLS may know the answer to early data: before its secrets are taken. */
void neap_conn_follow_early(neap_conn *c);
/** PROTOCOL_VIOLATION when a server that accepted early data has lowered what it is held to. */
int neap_conn_check_early_limits(const neap_conn *c, const struct transport_params *p, struct failure *why);
/** The key that opens 0-RTT packets, or NULL. */
struct packet_key *neap_conn_early_key(neap_conn *c);
/** Whether there may be one when the ClientHello is there. */
bool neap_conn_may_get_early_key(const neap_conn *c);
/** The handshake of a server is complete: packets that come late are still read for a while (RFC 9001 §4.9.3). */
void neap_conn_keep_early_key(neap_conn *c);

/* ---- conn_path.c */

/** A new path in the table: NULL when that is full, or without memory. */
struct path *neap_conn_add_path(neap_conn *c, const neap_address *local, const neap_address *peer,
                                bool validated);
/** Free the block of a path, or NULL. */
void neap_conn_free_path(neap_conn *c, struct path *path);
#define ANY_SLOT UINT8_MAX
/** The path of a slot with these addresses, or NULL; `local` NULL: any, the active one before others. */
struct path *neap_conn_find_path(const neap_conn *c, uint8_t slot, const neap_address *local,
                                 const neap_address *peer);
/** Whether a datagram between these is of the path. */
static inline bool conn_is_on(const neap_conn *c, const struct path *path, const neap_address *local,
                              const neap_address *peer)
{
    return neap_address_equal(peer, &path->address.peer) &&
           (!c->compares_local || neap_address_equal(local, &path->address.local));
}
/** One that is not sent on is forgotten, with its connection ID. */
void neap_conn_drop_path(neap_conn *c, struct path *path);
/** Send there from now on. */
void neap_conn_activate(neap_conn *c, struct path *path);
/** Whether the two differ in one port only: a NAT's doing, and the way the same (RFC 9000 §9.4). */
bool neap_conn_is_rebound(const struct path *a, const struct path *b);
/** RFC 9000 §8.2.4. */
neap_time neap_conn_validation_time(const neap_conn *c);
/** After the times of a path changed. */
void neap_conn_set_path_timer(neap_conn *c);
/** The last path whose address is proved, for the application: the active one, unless that is new. */
const struct path *neap_conn_proved_path(const neap_conn *c);
/** The path to send on now: one beside the active one that has a PATH_CHALLENGE or PATH_RESPONSE to send and may, or
 * the active one. */
struct path *neap_conn_next_path(const neap_conn *c);
struct received;
/** The path that a packet came on, a new one for an address that is not known. NULL: none is begun now. */
struct path *neap_conn_arrival_path(neap_conn *c, const struct received *p);
/** A PATH_CHALLENGE came. */
void neap_conn_probed(neap_conn *c, const struct received *p, const uint8_t data[8]);
/** The newest packet is more than a probe and came from another address: send there from now on (RFC 9000 §9.3), or,
 * where that was tried already or too often, once the address is proved. */
void neap_conn_follow(neap_conn *c, const struct received *p);
/** The newest packet, which is more than a probe, came again, from another address than the active one. */
void neap_conn_on_repetition(neap_conn *c, const struct received *p);
/** A PATH_CHALLENGE was written. */
void neap_conn_challenged(neap_conn *c, struct path *path, const uint8_t data[8], bool is_small);
void neap_conn_on_path_response(neap_conn *c, const struct received *p, const uint8_t data[8]);
void neap_conn_on_path_timer(neap_conn *c);
/** NEW_CONNECTION_ID: afterwards no path uses one that is gone. */
int neap_conn_on_new_connection_id(neap_conn *c, const struct frame_new_connection_id *f,
                                   struct failure *why);

/* ---- conn_stats.c */

/** What went over a path. */
struct path_traffic neap_conn_traffic(const neap_conn *c, const struct path *path);
/** What leaves on the active path alone counts for another one from now on. */
void neap_conn_move_traffic(const neap_conn *c, struct path *from, struct path *to);
/** A path for the application. */
void neap_conn_describe_path(const neap_conn *c, const struct path *path, neap_path_info *out, size_t size);

/* ---- conn_pmtu.c */

/** The size that the search on the way to this address may reach: of the option, the peer and UDP. */
uint16_t neap_conn_most_udp_payload_size(const neap_conn *c, const neap_address *peer);
/** The size of the probe that is to be sent on a path now, into a buffer of `size` bytes; 0: none. */
size_t neap_conn_size_probe(neap_conn *c, struct path *path, size_t size);
/** A path is dropped: its figures are the active one's. */
void neap_conn_keep_pmtu_figures(neap_conn *c, const struct path *path);
/** A datagram of `size` bytes was not taken on the way between these (`from` of no family: any); `passes`: as
 * neap_endpoint_refused. */
void neap_conn_refused(neap_conn *c, const neap_address *from, const neap_address *to, size_t size,
                       size_t passes);
/** Trains of datagrams on this way are not taken. */
void neap_conn_refuses_trains(neap_conn *c, const neap_address *from, const neap_address *to);
/** A PTB message: `quoted` is what it has of the datagram. */
void neap_conn_too_big(neap_conn *c, const neap_address *to, size_t passes, struct span quoted);

/* ---- conn_keys.c */

/** Secrets of 1-RTT came. */
void neap_conn_install_application(neap_conn *c, const struct tls_secret *secret);
/** The read key for an unmasked 1-RTT packet; one that does not open it when its phase has none any more. */
struct packet_key *neap_conn_read_key(neap_conn *c, const struct number_space *s, bool phase,
                                      uint64_t number);
/** A packet of this phase and number opened: follow the peer's update (RFC 9001 §6.2). */
int neap_conn_opened(neap_conn *c, struct number_space *s, const struct packet_key *key, bool phase,
                     uint64_t number, struct failure *why);
/** A packet did not open with this key: count it against the integrity limit (RFC 9001 §6.6). */
void neap_conn_forged(neap_conn *c, const struct packet_key *key);
/** Before a burst: update keys when it is time. False when nothing more may be sealed. */
bool neap_conn_check_seal_limit(neap_conn *c);
/** Update the write keys now: false when the last update is not acknowledged yet (RFC 9001 §6.1). */
bool neap_conn_begin_phase(neap_conn *c);
void neap_conn_drop_previous_keys(neap_conn *c);
/** Read packets that come late with this key, which is moved and wiped. False without memory: they are lost. */
bool neap_conn_keep_previous_key(neap_conn *c, struct packet_key *key);

/* ---- conn_send.c */

/** Whether a connection of one path, whose handshake is over and that has just sent, has nothing more to send now. */
bool neap_conn_is_spent(neap_conn *c);

/* ---- conn_packet.c */

/** Choose the next 1-RTT packet number to leave out: about one a window, so that who acknowledges what it did not
 * receive is found out within two (RFC 9000 §21.4). */
void neap_conn_choose_skip(neap_conn *c, struct number_space *s, const struct path_recovery *path);
/** Whether a space has ack-eliciting frames to send on its path. */
bool neap_conn_wants(neap_conn *c, enum space space, const struct path *path);

/* ---- conn_streams.c */

/** What happened to streams so far, also after the connection ended. */
const struct streams_counters *neap_conn_streams_counters(const neap_conn *conn);

/* ---- conn_datagrams.c */

/** The peer takes DATAGRAM frames of so many bytes, 0 none: have queues where either side takes any. 0 or no memory. */
int neap_conn_open_datagrams(neap_conn *c, uint64_t peer_most, struct failure *why);
int neap_conn_on_datagram(neap_conn *c, const struct received *p, const struct frame_datagram *f,
                          struct failure *why);
/** How many bytes of payload one may have that has a packet for itself, whatever the peer takes. */
size_t neap_conn_datagram_room(const neap_conn *c);
/** Some may be over their deadline. */
void neap_conn_expire_datagrams(neap_conn *c);
/** Packets are forgotten without a word of their fates: what is in them is lost. */
void neap_conn_lose_datagrams(neap_conn *c, struct number_space *s);

/* ---- conn_fate.c */

/** Take the fates that recovery decided in a space, and tell the parts. */
void neap_conn_take_fates(neap_conn *c, enum space space);
/** Have what is in the oldest packets of a space sent again (RFC 9002 §6.2.4). */
void neap_conn_requeue_oldest(neap_conn *c, enum space space, uint32_t packets);

/* ---- conn_ack_frequency.c: draft-ietf-quic-ack-frequency-14 */

/** What we tell in min_ack_delay; NO_MIN_ACK_DELAY when the peer is not to ask. */
uint64_t neap_conn_min_ack_delay(const neap_config *config);
/** The peer told its own. */
void neap_conn_may_ask_acks(neap_conn *c, uint64_t min_ack_delay_us);
/** Packets were acknowledged: what is to be asked for may have changed. */
/** Something was acknowledged or lost: who steers congestion control is to look, if somebody does. */
void neap_conn_mark_turn(neap_conn *c);
void neap_conn_choose_ack_request(neap_conn *c);
/** Write an ACK_FREQUENCY that is owed: false when none was written. */
bool neap_conn_write_ack_request(neap_conn *c, struct writer *w, struct sent_frame *out);
void neap_conn_ack_request_acked(neap_conn *c, const struct sent_frame *f);
void neap_conn_ack_request_lost(neap_conn *c, const struct sent_frame *f);
/** Whether the peer takes IMMEDIATE_ACK. */
bool neap_conn_may_hurry_acks(const neap_conn *c);
/** The peer asks us. */
int neap_conn_on_ack_frequency(neap_conn *c, const struct frame_ack_frequency *f, struct failure *why);

/* ---- conn_timers.c */

/** Restart the idle timer (RFC 9000 §10.1). */
void neap_conn_touch_idle(neap_conn *c);
/** The probe timeout that closing, idle and key timers are counted in. */
neap_time neap_conn_pto(const neap_conn *c);
/* How long what is over answers (RFC 9000 §10.2). The peer's delay counts for what honest peers have: it is not to say how
 * long we keep that. */
neap_time neap_conn_draining_time(const neap_conn *c);
/** After packets came or left: what recovery has to know of the address validation. */
void neap_conn_set_timers(neap_conn *c);

/* ---- conn_dates.c */

/** The handshake is complete: keep what it did not check for want of a clock. 0 or no memory. */
int neap_conn_note_dates(neap_conn *c, struct failure *why);
/** Check it, if the time is known now: false when the connection ends for it. */
bool neap_conn_check_dates(neap_conn *c);
void neap_conn_forget_dates(neap_conn *c);

/* ---- for the endpoint */

/** ICMP says that nobody takes what was sent to this address and destination connection ID. */
void neap_conn_unreachable(neap_conn *c, const neap_address *to, struct span dcid);

bool neap_multipath_wants_id(neap_conn *c);
/** Whether the peer may hold one more of our connection IDs, now that the handshake is over (RFC 9000 §5.1.1). */
bool neap_conn_looks_for_id(neap_conn *c);
static inline bool conn_wants_id(neap_conn *c)
{
    return c->stage == STAGE_CONFIRMED && ((!c->local_cids.is_sated && neap_conn_looks_for_id(c)) ||
                                           (c->multipath && neap_multipath_wants_id(c)));
}
/** Give it that one: a NEW_CONNECTION_ID frame is owed. */
void neap_conn_issue_id(neap_conn *c, const neap_cid *cid);

/** What is new for the application since the last call: enum conn_news. */
unsigned neap_conn_take_news(neap_conn *c);

#endif
