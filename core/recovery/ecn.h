/* Explicit congestion notification of a path (RFC 9000 §13.4, appendix A.4): whether packets leave with ECT(0), and
 * whether what the peer tells of their marks can be believed. Counts are of packet number spaces, verdicts of paths. */
#ifndef NEAP_RECOVERY_ECN_H
#define NEAP_RECOVERY_ECN_H

#include "neap.h"

#define ECN_ECT0 2u /* the bits in the IP header (RFC 3168 §5) */

/* What the peer's ACK frames told of one space. */
struct ecn_counts {
    uint64_t ect0, ce;
    uint64_t marked; /* packets that we sent so: it cannot have received more */
};

struct path_ecn {
    neap_time since; /* the test began then: what left before says nothing in it when it is lost */
    uint8_t state;   /* enum neap_ecn */
    uint8_t
        tested; /* packets marked while nothing is known, LIMIT_ECN_TEST and what shares a datagram with them */
    uint8_t settled; /* of these, acknowledged, lost or passed */
    uint8_t lost;    /* marked packets lost since one was acknowledged */
};

/* What an ACK frame says of marks. */
struct ecn_report {
    bool is_told; /* ACK_ECN; without, the counts are 0 */
    uint64_t ect0, ect1, ce;
};

/** `is_wanted`: the option. */
void neap_ecn_init(struct path_ecn *e, bool is_wanted);

/** Whether packets may leave marked there now, but for probes. */
static inline bool path_ecn_marks(const struct path_ecn *e)
{
    return e->state == NEAP_ECN_TESTING || e->state == NEAP_ECN_CAPABLE;
}

/** How many packets of a burst may: those of a test are few. */
size_t neap_ecn_burst(const struct path_ecn *e, size_t most);
/** A packet left marked. */
void neap_ecn_on_sent(struct path_ecn *e);
/** Nobody will tell what became of one. */
void neap_ecn_forget(struct path_ecn *e);
/** One that elicits nothing was passed by what came behind it. It keeps its place in the test: where a path drops marks and
 * only ACKs leave, a test that such packets prolong would never end. */
void neap_ecn_on_passed(struct path_ecn *e);
/** An ACK frame that is newer than all before: whether its counts fit to the `newly` marked packets that it acknowledges
 * first (§13.4.2.1). They are remembered; *ect0 and *ce are by how much they rose. */
bool neap_ecn_check(struct ecn_counts *known, const struct ecn_report *told, uint64_t newly, uint64_t *ect0,
                    uint64_t *ce);
/** Marked packets of the path were acknowledged with counts that fit, of which `ect0` came as they left. */
void neap_ecn_on_valid(struct path_ecn *e, uint64_t ect0);
/** They do not fit. */
void neap_ecn_on_invalid(struct path_ecn *e);
/** What one ACK, or time, decided of the path's packets; `marked_lost` left since the test began. */
void neap_ecn_on_round(struct path_ecn *e, uint64_t marked_acked, uint64_t unmarked_acked,
                       uint64_t marked_lost, neap_time now);

#endif
