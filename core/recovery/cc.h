/* Congestion control (RFC 9002 §7): a table of functions over a state. A controller hears of every packet that left and
 * of what became of it, one by one where it wants that, and of each ACK and each congestion event as a whole; it sets
 * window and pacing rate. One that decides outside of C, at the ends of turns, is `neap_cc_steered`. Sizes in bytes. */
#ifndef NEAP_RECOVERY_CC_H
#define NEAP_RECOVERY_CC_H

#include "recovery/hystart.h"

#define CC_CHOICES 4u /* controllers that a path may begin with */
#define CC_WHOLE_BITS 15u
#define CC_WHOLE (1u << CC_WHOLE_BITS) /* cc.coupling of a path that grows as if it were alone */

struct cc;
struct pool;

/* What was known when a packet left: its ACK makes a sample of the delivery rate of it
 * (draft-cheng-iccrg-delivery-rate-estimation). Kept for controllers that want it. */
struct cc_record {
    uint64_t delivered, lost; /* bytes so far */
    uint64_t in_flight;       /* bytes, this packet included */
    neap_time delivered_at;   /* when `delivered` was reached */
    neap_time first_sent_at;  /* of the packets whose delivery is measured with it */
    bool app_limited;         /* nothing but the application's lack of data bounded what was in flight */
};

struct cc_packet {   /* one packet that was in flight */
    uint64_t number; /* of its space; when it is sent: not known */
    uint8_t space;   /* likewise */
    uint64_t size;
    neap_time sent_at;
    const struct cc_record *record; /* NULL unless ops->keeps_records; valid for the call */
    uint64_t delivered, lost;       /* bytes of the path so far, this packet's included */
    uint64_t udp_payload_size;      /* of the path now */
    neap_time now;
    bool is_size_probe; /* its loss is no congestion, and no loss among others (RFC 9000 §14.4) */
};

struct cc_ack {     /* one ACK frame's worth */
    uint64_t bytes; /* newly acknowledged bytes that were in flight */
    uint64_t
        fresh_bytes; /* of these, in packets sent after cc.recovery_started: only they may widen the window */
    neap_time largest_sent_at; /* when the largest of them was sent */
    neap_time rtt, rtt_min;    /* latest and minimum */
    neap_time rtt_smoothed;
    neap_time flight_began_at;      /* when last something was sent while nothing was in flight */
    uint64_t in_flight;             /* before this ACK, */
    uint64_t in_flight_left;        /* and now */
    uint64_t delivered, lost;       /* bytes of the path so far */
    const struct cc_record *record; /* of the newest of them; NULL unless ops->keeps_records; for the call */
    uint64_t delivery_rate;         /* bytes a second, 0 unknown: without records always */
    uint64_t udp_payload_size;      /* of the path now */
    uint32_t timeouts;              /* that the probe timer fired since something was acknowledged */
    bool app_limited;               /* the window was not the limit when these were sent (RFC 9002 §7.8) */
    bool is_unpaced;                /* packets leave in bursts: the pacer is off */
    bool rate_app_limited; /* delivery_rate says how much there was to send, not what the path carries */
    neap_time now;
};

struct cc_loss { /* one congestion event at most a call */
    uint64_t bytes;
    neap_time
        largest_lost_sent_at; /* of a CE count: when the largest acknowledged was sent (RFC 9002 §7.1) */
    uint64_t udp_payload_size;
    uint64_t ce_count;  /* packets newly reported with CE; then nothing was lost */
    bool is_persistent; /* RFC 9002 §7.6 */
    neap_time now;
};

enum cc_exit_reason {
    CC_EXIT_NONE, /* it lasts */
    CC_EXIT_LOSS,
    CC_EXIT_HYSTART,    /* the round-trip time grew (RFC 9406) */
    CC_EXIT_ECN,        /* packets came marked CE */
    CC_EXIT_PERSISTENT, /* persistent congestion */
    CC_EXIT_BANDWIDTH,  /* the delivery rate grew no more */
};

/* How the first slow start (of BBR: Startup) ended. */
struct cc_exit {
    uint64_t window;    /* then, bytes */
    uint64_t bandwidth; /* bytes a second; of controllers without records the window a round trip */
    enum cc_exit_reason reason;
};

/* What may be told of a controller. */
struct cc_figures {
    uint64_t delivery_rate; /* the latest sample, bytes a second; 0: none, or records are not kept */
    uint64_t max_bandwidth; /* that the controller reckons with; 0: it does not */
    struct cc_exit startup_exit;
    const char *state; /* static text, of controllers that have several; else NULL */
};

/* All but init, on_ack and on_loss may be NULL. Within one ACK: packets one by one, then the losses as a whole, then the
 * ACK. */
struct cc_ops {
    const char *name;
    size_t state_size; /* of cc.state, zeroed */
    bool keeps_records;
    bool
        reduces; /* the window at losses: its state begins with struct reduction, which path_recovery.c keeps */
    bool draws; /* it takes from cc.random */
    bool paces; /* its window bounds nothing without a pacer: there is one whatever the config says */
    void (*init)(struct cc *cc); /* also when it begins anew, with its state zeroed */
    void (*on_sent)(struct cc *cc, const struct cc_packet *packet, uint64_t in_flight);
    void (*on_packet_acked)(struct cc *cc, const struct cc_packet *packet);
    void (*on_packet_lost)(struct cc *cc, const struct cc_packet *packet);
    void (*on_ack)(struct cc *cc, const struct cc_ack *ack);
    void (*on_loss)(struct cc *cc, const struct cc_loss *loss);
    /* Packets were declared lost and came; `late` of them have numbers from undo_floor on. */
    void (*on_spurious)(struct cc *cc, uint64_t packets, uint64_t late, neap_time now);
    /* Of controllers that undo by themselves: neap_path_recovery_undo_floor. */
    uint64_t (*undo_floor)(const struct cc *cc, uint8_t space);
    /* The last congestion event was none; window and ssthresh are what they were before it. */
    void (*undo)(struct cc *cc);
    void (*tell)(const struct cc *cc, struct cc_figures *out); /* max_bandwidth and state */
};

struct cc {
    const struct cc_ops *ops;
    void *state; /* the controller's own; NULL when it has none */
    uint64_t window, ssthresh;
    uint64_t acked_in_avoidance; /* bytes toward the next datagram of window (RFC 9002 §7.3.3) */
    uint64_t pacing_rate;        /* bytes a second chosen by the controller; 0: derive from window and RTT */
    neap_time recovery_started;  /* 0: never */
    uint64_t random;             /* of controllers that draw: seeded once, theirs from then on */
    uint32_t send_quantum; /* bytes that leave together, chosen by the controller; 0: the pacer chooses */
    bool holds_back;       /* a mark: less is sent than could be, so that delivery rates of it say little */
    struct cc_exit startup_exit; /* set by those whose ssthresh does not tell it */
    struct hystart hystart;      /* of controllers that use it */
    bool is_steered;             /* somebody outside gave the window */
    bool is_recovering; /* the window was reduced: sending follows deliveries (recovery/reduction.h) */
    uint16_t coupling;  /* how fast it grows beside other paths of its connection (recovery/coupling.c), at
                           most CC_WHOLE; 0: that is not looked at */
};

extern const struct cc_ops neap_cc_newreno, neap_cc_cubic, neap_cc_bbr;

/** The controllers by the values of the option congestion_control (enum neap_congestion_control); NULL: not in this build. */
extern const struct cc_ops *const neap_cc_by_choice[CC_CHOICES];

/** Whether losses up to a packet sent then begin a congestion event: one a round trip (RFC 9002 §7.3.2). */
static inline bool cc_is_new_event(const struct cc *cc, neap_time largest_lost_sent_at)
{
    return cc->recovery_started == 0 || largest_lost_sent_at > cc->recovery_started;
}

/** What of so much growth is left to this path. */
static inline uint64_t cc_coupled(uint16_t coupling, uint64_t bytes)
{
    return coupling ? bytes * coupling >> CC_WHOLE_BITS : bytes;
}

/** factor * bytes / whole, factor and whole below 2^45; bytes above whole are taken for that. What the division leaves over
 * is kept in *part (NULL: nowhere) for the next time. */
uint64_t neap_cc_share(uint64_t factor, uint64_t bytes, uint64_t whole, uint64_t *part);
/** Grow up to the threshold by HyStart++; returns the bytes that are left over for congestion avoidance. */
uint64_t neap_cc_start_slowly(struct cc *cc, const struct cc_ack *ack, uint64_t bytes);

/** The least window: two datagrams (RFC 9002 §7.2). */
static inline uint64_t cc_least_window(uint64_t udp_payload_size)
{
    return 2 * udp_payload_size;
}

/** min(10 * size, max(2 * size, 14720)) (RFC 9002 §7.2). */
uint64_t neap_cc_initial_window(uint64_t udp_payload_size);
/** A controller with its state from the pool and the initial window. 0 or NEAP_ERR_NO_MEMORY. */
int neap_cc_new(struct cc *cc, const struct cc_ops *ops, struct pool *pool, uint64_t udp_payload_size);
/** Begin anew. */
void neap_cc_restart(struct cc *cc, uint64_t udp_payload_size);
/** Go on where another controller of the same kind is. */
void neap_cc_copy(struct cc *cc, const struct cc *from);
void neap_cc_free(struct cc *cc, struct pool *pool);

/** Whether the window is one that losses reduce. */
static inline bool cc_reduces(const struct cc *cc)
{
    return cc->ops->reduces && !cc->is_steered;
}

/* ---- a controller that is steered from outside: C sums up, who steers looks at the ends of its turns */

struct cc_turn { /* what happened since it was taken last */
    uint64_t acked_bytes, lost_bytes, lost_packets, ce_count, spurious_packets;
    uint64_t delivery_rate; /* the highest sample, bytes a second; 0 none */
    neap_time rtt, rtt_min; /* the latest ones, 0 none */
    bool app_limited;       /* of the sample */
    bool is_persistent;
    bool is_new_path; /* the first turn since the path is in use */
};

extern const struct cc_ops neap_cc_steered;

static inline bool cc_turn_has_news(const struct cc_turn *turn)
{
    return turn->acked_bytes || turn->lost_packets || turn->ce_count || turn->spurious_packets ||
           turn->is_persistent;
}

/** The sums of a steered controller; they begin anew. */
struct cc_turn neap_cc_take_turn(struct cc *cc);
/** Its path is in use no more: should it be again, it is as good as new to who steers. Nothing of other controllers. */
void neap_cc_leave_path(struct cc *cc);
/** Window and pacing rate until the next turn. A window below the least is the least, one above LIMIT_CONGESTION_WINDOW is
 * that; rate 0: from window and RTT. CUBIC decides before the first call, */
void neap_cc_steer(struct cc *cc, uint64_t window, uint64_t pacing_rate, uint64_t udp_payload_size);
/** and from here on: of the window there remains what was in flight in this turn or the one before, at least the initial
 * window. */
void neap_cc_steer_no_more(struct cc *cc, uint64_t udp_payload_size);

#endif
