/* A leaky bucket that spreads packets over the round trip (RFC 9002 §7.7), with a burst allowance so that runs of
 * packets leave in one send. */
#ifndef NEAP_RECOVERY_PACER_H
#define NEAP_RECOVERY_PACER_H

#include "neap.h"

struct pacer {
    bool enabled;
    uint32_t tokens;   /* bytes that may leave now */
    uint32_t capacity; /* burst allowance in bytes */
    uint32_t quantum;  /* bytes worth waking up for: a millisecond of the rate */
    uint64_t rate;     /* bytes a second; 0: not known yet, no pacing */
    neap_time last;
};

void neap_pacer_init(struct pacer *p, bool enabled, uint64_t udp_payload_size);
/** Set the rate (5/4 window / smoothed RTT unless the controller chose one) and the burst: at least 10 datagrams, or
 * what the rate gives in two milliseconds, at most LIMIT_PACER_BURST: a timer that keeps milliseconds then still
 * reaches the rate. */
void neap_pacer_update(struct pacer *p, uint64_t rate, uint64_t udp_payload_size);
/** After an update: bytes that are to leave together, as a controller chose them. A burst after silence is no longer than
 * two of these, or two milliseconds. */
void neap_pacer_set_quantum(struct pacer *p, uint64_t quantum);
/** Bytes that may leave at `now`; UINT64_MAX when pacing is off. */
uint64_t neap_pacer_budget(struct pacer *p, neap_time now);
void neap_pacer_sent(struct pacer *p, uint64_t bytes);
/** When `bytes` may leave; `now` when they may already. Later than strictly needed where that saves wake-ups: it waits
 * for a millisecond's worth. */
neap_time neap_pacer_ready_at(const struct pacer *p, uint64_t bytes, neap_time now);

#endif
