/* The datagram size of one path: DPLPMTUD (RFC 8899, RFC 9000 §14.3). It begins with 1200 bytes, goes up with probes that
 * were acknowledged, and back where larger datagrams vanish and small ones pass. Sizes are of UDP payloads. Nobody else
 * keeps the size: who counts in datagrams is told it, or asks here. */
#ifndef NEAP_RECOVERY_PMTU_H
#define NEAP_RECOVERY_PMTU_H

#include "neap.h"

#define PMTU_BASE NEAP_MIN_UDP_PAYLOAD /* BASE_PLPMTU and MIN_PLPMTU (RFC 9000 §14.3) */

struct pmtu {
    neap_time next_at;  /* no probe before; 0: at once */
    uint16_t size;      /* PLPMTU: the largest that is sent, but for probes */
    uint16_t most;      /* MAX_PLPMTU: where the search ends */
    uint16_t too_large; /* the least that did not pass; above `most`: none so far */
    uint16_t probed;    /* PROBED_SIZE: of the last probe */
    uint16_t hint;      /* what passes, as a PTB message says; 0: none did, or it is refuted */
    uint16_t suspect;   /* the least that was lost since something as large came; 0: none */
    uint16_t probes_sent, probes_lost, black_holes; /* figures */
    uint8_t failed;                                 /* PROBE_COUNT: probes lost in a row */
    uint8_t rounds, losses;                         /* that `suspect` is of */
    bool in_flight;                                 /* a probe is */
    bool waits; /* a probe has no room in the window: data does not go before it, or it never had */
};

/** Begin with 1200 bytes. */
void neap_pmtu_init(struct pmtu *p, uint16_t most);
/** What the peer takes is known now. */
void neap_pmtu_set_most(struct pmtu *p, uint16_t most);
/** The same way under another name: what was found there holds; a probe on it tells nothing any more. */
void neap_pmtu_continue(struct pmtu *p, const struct pmtu *from);
/** The size of the probe to send next; 0: none now. Above 1452 bytes it is half of the window at most, so that the least
 * window of a size that was found (RFC 9002 §7.2) is not above the one that there is. */
uint16_t neap_pmtu_next_probe(struct pmtu *p, uint64_t window, neap_time now);
void neap_pmtu_on_probe_sent(struct pmtu *p, uint16_t size);
void neap_pmtu_on_probe_acked(struct pmtu *p, uint16_t size);
void neap_pmtu_on_probe_lost(struct pmtu *p, uint16_t size);
/** What one ACK or timer says of datagrams above 1200 bytes: the least that was lost and the largest that came (0: none), and
 * how many were lost, without probes. Where larger ones vanish again and again the path begins anew. */
void neap_pmtu_on_round(struct pmtu *p, uint16_t lost, uint64_t losses, uint16_t acked, neap_time now);
/** The link does not take datagrams of this size (EMSGSIZE). `passes`: what it takes, as a hint; 0: not known. */
void neap_pmtu_on_refused(struct pmtu *p, uint16_t size, uint16_t passes, neap_time now);
/** A PTB message that belongs to the path says that `passes` bytes would pass. It changes nothing but what is tried next,
 * and how many losses are believed (RFC 9000 §14.2.1). */
void neap_pmtu_on_too_big(struct pmtu *p, uint16_t passes);

#endif
