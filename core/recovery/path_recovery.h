/* What recovery knows of one network path: RTT, congestion controller, pacer, what is in flight there (RFC 9002 §5, §7).
 * Another path begins anew (RFC 9000 §9.4). Packets say by an index whose path they took. */
#ifndef NEAP_RECOVERY_PATH_RECOVERY_H
#define NEAP_RECOVERY_PATH_RECOVERY_H

#include "recovery/cc.h"
#include "recovery/ecn.h"
#include "recovery/pacer.h"
#include "recovery/pmtu.h"
#include "recovery/sent.h"

struct rtt {
    neap_time latest, smoothed, var, min, max, first_sample_at;
    bool has_sample;
};

struct path_counters {
    uint64_t packets_lost, bytes_lost, bytes_acked, spurious_losses, pto_total;
    neap_time in_flight_time; /* when something was in flight, up to the last time that nothing was */
    uint64_t ecn_marked;      /* packets that left with ECT(0) */
    uint64_t ecn_ce;          /* reported with CE, where that was believed */
    uint32_t congestion_events, congestion_undone, congestion_undo_refused, congestion_persistent;
};

/* How late packets may be before they count as lost: more where that was a mistake (RFC 9002 §6.1.1, §6.1.2). */
struct reordering {
    uint8_t packets; /* sent later and acknowledged */
    uint8_t eighths; /* of a round trip */
    uint8_t events;  /* congestion events since the last mistake */
    bool has_grown;  /* the time, since the last congestion event */
};

struct path_recovery {
    struct rtt rtt;
    struct cc cc;
    struct pacer pacer;
    struct pmtu pmtu; /* the one place that knows the size of datagrams */
    uint64_t bytes_in_flight;
    uint64_t delivered;         /* bytes */
    neap_time delivered_at;     /* when the last of them was acknowledged */
    neap_time first_sent_at;    /* begin of the flight whose delivery is measured */
    uint64_t app_limited_until; /* `delivered` at which what was sent without enough data is behind; 0 none */
    neap_time window_full_at;   /* when sending last filled the window */
    neap_time flight_began_at;  /* when something was sent while nothing was in flight */
    uint64_t burst_left; /* bytes that may leave before the next acknowledgement where there is no pacer */
    uint32_t pto_count;
    neap_time pto_at;       /* of the last of them */
    uint64_t delivery_rate; /* the latest sample, bytes a second; 0 none */
    struct reordering reordering;
    bool app_limited; /* data ran out before window and pacer */
    struct path_ecn ecn;
    bool amplification_limited; /* likewise: nothing may be sent, so that no probe is due (RFC 9002 A.8) */
    struct path_counters counters;
};

struct path_settings { /* what a path begins with */
    neap_time initial_rtt;
    uint16_t most_udp_payload_size;
    bool pacing, ecn;
    const struct cc_ops *cc;
    struct pool *pool;     /* of the controller's state */
    struct random *random; /* seeds controllers that draw; NULL: all alike */
};

/** 0 or NEAP_ERR_NO_MEMORY. */
int neap_path_recovery_init(struct path_recovery *p, const struct path_settings *settings);
void neap_path_recovery_free(struct path_recovery *p, struct pool *pool);
/** After each sending pass: whether what may be sent ran out before window and pacer did (RFC 9002 §7.8), and whether more
 * than that waits for the peer's flow control: delivery rates say then what the way to that peer carries, unless little is in
 * flight, as when one stream of several is held up. */
void neap_path_recovery_set_app_limited(struct path_recovery *p, bool app_limited, bool has_unsent);
/** The same way under another name (RFC 9000 §9.4): a new path goes on where another is, and has what was in flight there. */
void neap_path_recovery_continue(struct path_recovery *p, const struct path_recovery *from);
/** A Retry came (RFC 9002 §6.3): the controller and the pacer begin anew. */
void neap_path_recovery_restart(struct path_recovery *p);

/** What an earlier connection knew of the round trip, while there is no sample: used from 1 ms up to what the path has been
 * told to begin with. 0: nothing. A guess that is too short costs probes, ever fewer of them (RFC 9002 §6.2.1). */
void neap_path_recovery_guess_rtt(struct path_recovery *p, neap_time rtt);
/** PTO without backoff and without the peer's delay. */
neap_time neap_path_recovery_pto(const struct path_recovery *p);
/** A duration with the backoff of the probes that were not answered, LIMIT_PTO at most where that is not shorter. */
neap_time neap_path_recovery_backed_off(const struct path_recovery *p, neap_time duration);
/** The time after which an unacknowledged packet is lost once a later one was acknowledged (RFC 9002 §6.1.2). */
neap_time neap_path_recovery_loss_delay(const struct path_recovery *p);
/** An RTT sample; ack_delay is already bounded by the peer's max_ack_delay (RFC 9002 §5.3). */
void neap_path_recovery_update_rtt(struct path_recovery *p, neap_time latest, neap_time ack_delay,
                                   neap_time now);

/** So many bytes are in flight no more. */
void neap_path_recovery_land(struct path_recovery *p, uint64_t bytes, neap_time now);
/** How long something was in flight, up to now. */
neap_time neap_path_recovery_in_flight_time(const struct path_recovery *p, neap_time now);

/** A packet in flight left; `record` is filled when there is one. */
void neap_path_recovery_on_sent(struct path_recovery *p, uint64_t size, struct cc_record *record,
                                neap_time now);
/** A probe of the size is lost: no congestion (RFC 9000 §14.4). */
void neap_path_recovery_on_size_probe_lost(struct path_recovery *p, const struct cc_packet *packet);
/** Tell the controller of one packet, where it wants that. */
void neap_path_recovery_on_packet(struct path_recovery *p, bool is_acked, const struct cc_packet *packet);
/** Packets were reported with CE, up to one sent at that time (RFC 9002 §7.1). */
void neap_path_recovery_on_ce(struct path_recovery *p, uint64_t count, neap_time sent_at, neap_time now);
/** From which number on lost packets of a space are those of the last congestion event; UINT64_MAX: it cannot be undone. */
uint64_t neap_path_recovery_undo_floor(const struct path_recovery *p, uint8_t space);
/** Packets that were declared lost came after all; `largest` is the largest number that was acknowledged before. */
void neap_path_recovery_on_spurious(struct path_recovery *p, const struct sent_spurious *spurious,
                                    uint64_t largest, neap_time now);
/** Bytes that congestion control allows now. */
uint64_t neap_path_recovery_window_left(const struct path_recovery *p);
/** Bytes that may leave at once where the pacer is off: after silence the initial window (RFC 9002 §7.7), and with each
 * acknowledgement that much and twice what it was of. UINT64_MAX: the pacer is on. */
uint64_t neap_path_recovery_burst_left(const struct path_recovery *p, neap_time now);
/** The largest UDP payload to send now. While probes of the PTO are unanswered they may be what is too large. */
static inline uint16_t path_recovery_udp_payload_size(const struct path_recovery *p)
{
    return p->pto_count ? PMTU_BASE : p->pmtu.size;
}
/** What may be told of the controller. */
struct cc_figures neap_path_recovery_figures(const struct path_recovery *p);
/** Whether what leaves now is marked: probes of the PTO are not, since marks may be what is dropped. */
static inline bool path_recovery_marks(const struct path_recovery *p)
{
    return path_ecn_marks(&p->ecn) && p->pto_count == 0;
}
/** Give the pacer the rate that window and RTT make. */
void neap_path_recovery_update_pacer(struct path_recovery *p);

/* The packets of this path that one ACK newly acknowledges. */
struct newly_acked {
    bool any, eliciting;
    /* Of those that were in flight: what elicits nothing may be larger, and measures nothing. */
    uint64_t largest;
    neap_time largest_sent_at;
    const struct cc_record *record; /* NULL: none is kept */
    uint64_t bytes, fresh_bytes;
    uint16_t most_size;        /* above 1200 bytes, 0: none */
    bool has_losses;           /* it tells of losses as well */
    uint32_t marked, unmarked; /* packets that left with ECT(0), and others that ask for acknowledgements */
};

/* The packets of this path that are declared lost together. */
struct newly_lost {
    uint64_t packets, bytes; /* in flight, without probes of the size */
    uint64_t large;          /* packets of them above 1200 bytes … */
    uint32_t marked;         /* packets of them that left with ECT(0) since the path is tested */
    uint16_t least_size;     /* … the least of these, 0: none */
    neap_time largest_sent_at;
    uint64_t first_number;
    uint8_t space;
    bool is_persistent;
};

void neap_path_recovery_on_lost(struct path_recovery *p, const struct newly_lost *lost, neap_time now);
/** `in_flight` and `recovery_before` are of before the ACK: its losses come first. */
void neap_path_recovery_on_acked(struct path_recovery *p, struct newly_acked *acked, uint64_t in_flight,
                                 neap_time recovery_before, neap_time now);

#endif
