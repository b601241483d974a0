/* Congestion control (RFC 9002 §7). The seam is a table of functions over one small state, so that other controllers,
 * also scripted ones, find their place. Sizes in bytes. */
#ifndef NEAP_RECOVERY_CC_H
#define NEAP_RECOVERY_CC_H

#include "neap.h"

struct cc;

struct cc_ack {     /* one ACK frame's worth */
    uint64_t bytes; /* newly acknowledged bytes that were in flight */
    uint64_t
        fresh_bytes; /* of these, in packets sent after cc.recovery_started: only they may widen the window */
    neap_time largest_sent_at; /* when the largest newly acknowledged packet was sent */
    neap_time rtt, rtt_min;    /* latest and minimum */
    uint64_t in_flight;        /* before this ACK */
    uint64_t delivery_rate;    /* bytes a second, 0 unknown */
    uint64_t udp_payload_size; /* of the path now */
    bool app_limited;          /* the window was not the limit when these were sent (RFC 9002 §7.8) */
    neap_time now;
};

struct cc_loss { /* one congestion event at most a call */
    uint64_t bytes;
    neap_time largest_lost_sent_at;
    uint64_t udp_payload_size;
    bool is_persistent; /* RFC 9002 §7.6 */
    bool is_ecn;
    neap_time now;
};

struct cc_ops {
    const char *name;
    void (*init)(struct cc *cc);
    void (*on_sent)(struct cc *cc, uint64_t bytes, uint64_t in_flight, neap_time now);
    void (*on_ack)(struct cc *cc, const struct cc_ack *ack);
    void (*on_loss)(struct cc *cc, const struct cc_loss *loss);
};

struct cc {
    const struct cc_ops *ops;
    uint64_t window, ssthresh;
    uint64_t pacing_rate;       /* bytes a second chosen by the controller; 0: derive from window and RTT */
    neap_time recovery_started; /* 0: never */
    uint64_t state[8];          /* the controller's own */
};

extern const struct cc_ops neap_cc_newreno;

/** The least window: two datagrams (RFC 9002 §7.2). */
static inline uint64_t cc_least_window(uint64_t udp_payload_size)
{
    return 2 * udp_payload_size;
}

/** Initial window min(10 * size, max(2 * size, 14720)) (RFC 9002 §7.2). */
void neap_cc_init(struct cc *cc, const struct cc_ops *ops, uint64_t udp_payload_size);

#endif
