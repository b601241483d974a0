/* CUBIC (RFC 9438) in whole numbers: what it computes is the same on every machine. */
#ifndef NEAP_RECOVERY_CC_CUBIC_H
#define NEAP_RECOVERY_CC_CUBIC_H

#include "recovery/reduction.h"

/* One stage of congestion avoidance, sizes in bytes (RFC 9438 §4.1.2). */
struct cubic_stage {
    uint64_t w_max;    /* the window that the cubic curve is flat at */
    uint64_t w_est;    /* what Reno would have by now */
    uint64_t prior;    /* the window when the threshold was set last */
    uint64_t est_part; /* of the next byte of w_est, in parts of the window */
    uint64_t window_part;
    neap_time epoch;   /* when it began; moved forward by the time in which the window could not grow */
    uint32_t k;        /* ticks from its begin until the curve is there, at most CUBIC_TICKS_MOST */
    uint16_t coupling; /* cc.coupling, when it began */
    bool has_begun;
};

struct cubic {
    struct reduction reduction;
    struct cubic_stage stage;
    neap_time last_at;   /* of the last acknowledgement */
    bool has_flat_start; /* the next stage begins on the curve's flat part: K is 0 (RFC 9438 §4.8, §4.10) */
    struct cubic_stage before; /* the last congestion event */
};

/** Ticks of the cubic curve; times above TICKS_MOST count as that. */
#define CUBIC_TICKS (UINT64_C(1) << 20) /* a second */
#define CUBIC_TICKS_MOST (UINT64_C(1400) * CUBIC_TICKS)

/** C * t^3 in bytes, for datagrams of this size: of times up to CUBIC_TICKS_MOST, which exceeds every window. */
uint64_t neap_cubic_curve(uint64_t ticks, uint64_t udp_payload_size);
/** The inverse: the most ticks for which the curve is at most `bytes`. */
uint64_t neap_cubic_root(uint64_t bytes, uint64_t udp_payload_size);

#endif
