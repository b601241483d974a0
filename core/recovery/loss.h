/* Loss detection (RFC 9002 §5, §6, A, B): RTT, packet and time thresholds, probe timeout, persistent congestion.
 * Knows sent packets, the controller and the pacer; not the connection. */
#ifndef NEAP_RECOVERY_LOSS_H
#define NEAP_RECOVERY_LOSS_H

#include "base/failure.h"
#include "recovery/cc.h"
#include "recovery/pacer.h"
#include "recovery/sent.h"

enum space { SPACE_INITIAL, SPACE_HANDSHAKE, SPACE_APPLICATION, SPACES };

struct rtt {
    neap_time latest, smoothed, var, min, first_sample_at;
    bool has_sample;
};

/* Per connection (path), over all three spaces. */
struct recovery {
    struct rtt rtt;
    neap_time initial_rtt;
    neap_time max_ack_delay; /* the peer's */
    struct cc cc;
    struct pacer pacer;
    uint64_t bytes_in_flight;
    uint64_t delivered;
    uint32_t pto_count;
    bool app_limited;         /* quic/ says after each sending pass: data ran out before window and pacer */
    neap_time window_full_at; /* when sending last filled the window */
    /* Set by quic/, followed by neap_recovery_set_timer. */
    bool peer_validated; /* the peer holds our address for proved: always of a server's (RFC 9002 §6.2.2.1) */
    bool handshake_confirmed;
    bool amplification_limited; /* likewise: nothing may be sent, so that no probe is due (RFC 9002 A.8) */
    neap_time timer;            /* the loss detection timer, NEAP_NEVER: none */
    uint64_t largest_acked[SPACES];      /* UINT64_MAX: none */
    neap_time loss_at[SPACES];           /* NEAP_NEVER: none */
    neap_time last_eliciting_at[SPACES]; /* 0: none */
    struct sent *sent[SPACES];           /* NULL once a space's keys are gone */
    uint64_t packets_lost, bytes_lost, spurious_losses, pto_total;
};

void neap_recovery_init(struct recovery *r, bool is_server, neap_time initial_rtt, uint64_t udp_payload_size,
                        bool pacing, const struct cc_ops *cc);

/** A packet was added to sent[space]. */
void neap_recovery_on_sent(struct recovery *r, enum space space, const struct sent_packet *p, neap_time now);

struct ack_ranges {             /* the peer's ACK, as an iterator that recovery calls down on plain data */
    const struct range *ranges; /* descending or ascending half-open ranges, checked */
    size_t count;
    uint64_t largest;
    neap_time delay; /* already scaled; 0 in Initial and Handshake */
};

/** The delay of an ACK frame in time, from its wire value and the peer's ack_delay_exponent (<= 20). */
neap_time neap_recovery_ack_delay(uint64_t wire, unsigned exponent);

/** Apply an ACK: marks packets ACKED or LOST in sent[space] (take them with neap_sent_next_fate), updates RTT,
 * controller, pacer, timer. PROTOCOL_VIOLATION when it acknowledges what was never sent. An ACK in a
 * space whose packets are gone does nothing. */
int neap_recovery_on_ack(struct recovery *r, enum space space, const struct ack_ranges *ack, neap_time now,
                         struct failure *why);

enum timeout_action { TIMEOUT_NOTHING, TIMEOUT_LOSS, TIMEOUT_PROBE };
/** The loss detection timer fired: LOSS: packets were marked lost in *space; PROBE: send one or two ack-eliciting
 * probes in *space (pto_count was raised). */
enum timeout_action neap_recovery_on_timeout(struct recovery *r, enum space *space, neap_time now);

/** Keys of a space are gone: forget its packets (RFC 9002 §6.4, A.11). sent[space] is NULL then; the caller frees it. */
void neap_recovery_discard(struct recovery *r, enum space space, neap_time now);

/** Set the timer anew (after the peer's address was validated, keys came, a packet was sent). */
void neap_recovery_set_timer(struct recovery *r, neap_time now);

/** The PTO of the application space without backoff: idle, closing and path timers use it. */
neap_time neap_recovery_pto(const struct recovery *r, enum space space);

/** Bytes that congestion control allows now. */
uint64_t neap_recovery_window_left(const struct recovery *r);

/** A Retry came (RFC 9002 §6.3): the controller and the timer begin anew, what was sent is marked LOST without
 * counting as a loss: take the fates to send it again. */
void neap_recovery_on_retry(struct recovery *r, neap_time now);

#endif
