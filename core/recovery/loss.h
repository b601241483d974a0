/* Loss detection (RFC 9002 §6, A, B): packet and time thresholds, the probe timer, persistent congestion, over the
 * packet number spaces and the paths of one connection. A space has what its numbers have, a path what the network has;
 * a sent packet belongs to one of each. Not the connection. */
#ifndef NEAP_RECOVERY_LOSS_H
#define NEAP_RECOVERY_LOSS_H

#include "base/failure.h"
#include "recovery/path_recovery.h"
#include "recovery/sent.h"

enum space { SPACE_INITIAL, SPACE_HANDSHAKE, SPACE_APPLICATION, SPACES };
/* Behind these stand the spaces of 1-RTT packets of path IDs beyond 0 (draft-ietf-quic-multipath): SPACE_APPLICATION + 1 … */
#define SPACES_MOST (SPACES + LIMIT_PATH_IDS)

/* Lost ack-eliciting packets with nothing acknowledged between them (RFC 9002 §7.6.2). */
struct lost_run {
    bool is_open;
    uint8_t path; /* that the packets took: of the run that a space keeps */
    uint64_t first_number;
    neap_time first_sent_at;
};

/* What recovery knows of one packet number space. */
struct space_recovery {
    struct sent sent;
    uint64_t largest_acked;      /* UINT64_MAX: none */
    neap_time loss_at;           /* NEAP_NEVER: none */
    neap_time last_eliciting_at; /* 0: none */
    struct lost_run
        lost; /* before the oldest packet whose fate is open: its packets may be gone from the ring */
    struct ecn_counts ecn;
};

/* What ties the spaces and paths of a connection together: one timer runs for all of them. */
struct recovery {
    struct space_recovery *spaces[SPACES];        /* NULL: no keys yet, or none any more */
    struct space_recovery **more;                 /* likewise those of path IDs; NULL: there are none */
    struct path_recovery *paths[LIMIT_PATHS + 1]; /* by sent_packet.path; the last is NULL: PATH_NONE */
    neap_time max_ack_delay;                      /* the peer's */
    uint8_t active;                               /* the path that data and probes are sent on */
    uint8_t
        ways[1 + LIMIT_PATH_IDS]; /* the path of each space from SPACE_APPLICATION on; of the first, `active`
                                         as long as its path ID is not abandoned */
    uint8_t unproved;             /* bits of these: nothing probes there before the path is proved */
    bool is_coupled : 1;          /* paths grow as one connection (neap_recovery_coupling) */
    /* Set by quic/, followed by neap_recovery_set_timer. */
    bool
        peer_validated : 1; /* the peer holds our address for proved: always of a server's (RFC 9002 §6.2.2.1) */
    bool handshake_confirmed : 1;
    neap_time acked_sent_at[SPACES]; /* when the latest packet was sent that was acknowledged; 0: none */
    neap_time timer;                 /* the loss detection timer, NEAP_NEVER: none */
    struct path_counters *former;    /* of paths that are gone, the owner's; NULL: there was one only */
};

void neap_recovery_init(struct recovery *r, bool is_server);

/** The first number that is no space's. */
static inline enum space recovery_spaces_end(const struct recovery *r)
{
    return r->more ? (enum space)SPACES_MOST : SPACES;
}

/** A space below that, or NULL. */
static inline struct space_recovery *recovery_space(const struct recovery *r, enum space space)
{
    return space < SPACES ? r->spaces[space] : r->more[space - SPACES];
}

/** `keeps_records`: as the controller wants. */
void neap_space_recovery_init(struct space_recovery *s, bool keeps_records);

/** The path that data is sent on. */
static inline struct path_recovery *recovery_active(const struct recovery *r)
{
    return r->paths[r->active];
}

/** Whether the peer may have no keys yet for what is sent in a space now, and then drops it: Initial keys everybody
 * has, others are known from the first acknowledgement on, and all with the handshake. */
static inline bool recovery_is_early(const struct recovery *r, enum space space)
{
    return !r->handshake_confirmed && space != SPACE_INITIAL &&
           recovery_space(r, space)->largest_acked == UINT64_MAX;
}

/** The path that packets of a space are sent on. */
static inline struct path_recovery *recovery_way(const struct recovery *r, enum space space)
{
    return r->paths[space < SPACE_APPLICATION ? r->active : r->ways[space - SPACE_APPLICATION]];
}

/** Keys came: packets of this space may be sent from now on. `s` stays the caller's. */
void neap_recovery_add_space(struct recovery *r, enum space space, struct space_recovery *s);

/** Packets go another way from now on: the probe timer is its own. */
void neap_recovery_set_active(struct recovery *r, uint8_t path, neap_time now);
/** The same of one space of 1-RTT packets, which is none of path ID 0. */
void neap_recovery_set_way(struct recovery *r, enum space space, uint8_t path, neap_time now);
/** Another path ID is the first to be thought of: what it has. The spaces stay on their paths. */
void neap_recovery_set_first(struct recovery *r, uint8_t path);
/** A packet is decided, or goes another way: its mark says nothing of the path it took. */
void neap_recovery_forget_mark(const struct recovery *r, const struct sent_packet *p);
/** The same way under another name (RFC 9000 §9.4): the path `to`, on which no more than probes were sent, goes on where
 * `from` is, and what is in flight there is its own from now on, but for probes of the size. */
void neap_recovery_continue(struct recovery *r, uint8_t to, uint8_t from);
/** A path is gone. What is still in flight there counts for no path any more; it is acknowledged or lost as before. */
void neap_recovery_drop_path(struct recovery *r, uint8_t path);

/** What of its growth is left to a path beside those of other path IDs that have something in flight: cc.coupling. */
uint16_t neap_recovery_coupling(const struct recovery *r, const struct path_recovery *path);

/** A packet was added to spaces[space]->sent. */
void neap_recovery_on_sent(struct recovery *r, enum space space, const struct sent_packet *p, neap_time now);

struct ack_ranges {             /* the peer's ACK, as an iterator that recovery calls down on plain data */
    const struct range *ranges; /* descending or ascending half-open ranges, checked */
    size_t count;
    uint64_t largest;
    neap_time delay; /* already scaled; 0 in Initial and Handshake */
    struct ecn_report ecn;
};

/** The delay of an ACK frame in time, from its wire value and the peer's ack_delay_exponent (<= 20). */
neap_time neap_recovery_ack_delay(uint64_t wire, unsigned exponent);

/** Apply an ACK: marks packets ACKED or LOST in the space (take them with neap_sent_next_fate), updates RTT,
 * controller and pacer of their paths, and the timer. PROTOCOL_VIOLATION when it acknowledges what was never sent. An
 * ACK in a space whose packets are gone does nothing. */
int neap_recovery_on_ack(struct recovery *r, enum space space, const struct ack_ranges *ack, neap_time now,
                         struct failure *why);

enum timeout_action { TIMEOUT_NOTHING, TIMEOUT_LOSS, TIMEOUT_PROBE };
/** The loss detection timer fired: LOSS: packets were marked lost in *space; PROBE: send one or two ack-eliciting
 * probes in *space (the pto_count of its path was raised). */
enum timeout_action neap_recovery_on_timeout(struct recovery *r, enum space *space, neap_time now);

/** Time declares losses in a space: for neap_recovery_on_timeout. */
void neap_recovery_on_loss_time(struct recovery *r, enum space space, neap_time now);

/** Probes of the size that no later packet may tell of are lost: those that a PTO has passed over, or `all`, since they never
 * left. Take the fates. */
void neap_recovery_expire_size_probes(struct recovery *r, bool all, neap_time now);

/** Keys of a space are gone: forget its packets (RFC 9002 §6.4, A.11). There is no such space then. */
void neap_recovery_discard(struct recovery *r, enum space space, neap_time now);

/** Set the timer anew (after the peer's address was validated, keys came, a packet was sent). */
void neap_recovery_set_timer(struct recovery *r, neap_time now);

/** Whether an acknowledgement or the timer will tell what became of anything in flight that goes the way of this space. Probes
 * of the size are not waited for: one that is lost stays in flight until something later is acknowledged. */
bool neap_recovery_awaits(const struct recovery *r, enum space space);

/** The PTO of a space on its path without backoff: idle, closing and path timers use it. */
neap_time neap_recovery_pto(const struct recovery *r, enum space space);

/** What all paths counted together, those that are gone included. */
struct path_counters neap_recovery_counters(const struct recovery *r);

/** A Retry came (RFC 9002 §6.3): the controller and the timer begin anew, what was sent is marked LOST without
 * counting as a loss: take the fates to send it again. */
void neap_recovery_on_retry(struct recovery *r, neap_time now);

#endif
