/* What follows a reduction of the window by a controller that reduces it at losses: sending goes on in step with what is
 * delivered (proportional rate reduction, RFC 6937 as its successor has it), and where all that was declared lost came
 * after all, the reduction is undone (RFC 9438 §4.9, as Eifel's and F-RTO's answers do). */
#ifndef NEAP_RECOVERY_REDUCTION_H
#define NEAP_RECOVERY_REDUCTION_H

#include "recovery/cc.h"

/* At the head of the state of controllers with ops->reduces. */
struct reduction {
    uint64_t window, ssthresh; /* before the last congestion event */
    uint64_t first_lost;       /* the number of the first packet that was lost in it */
    uint32_t lost;             /* packets of it that were declared lost and did not come since */
    uint8_t space;             /* that all of them are of */
    bool can_undo;
    bool is_disowned; /* all that was lost came: it was undone, or would have been */
    uint8_t undone;   /* reductions that were, less those that were none to undo */
    /* While cc.is_recovering, in bytes: */
    uint64_t flight;    /* in flight when it began, with what was lost and acknowledged then */
    uint64_t delivered; /* since */
    uint64_t sent;      /* since */
    uint64_t quota;     /* may leave until the next acknowledgement */
};

/* What a congestion event is of. */
struct reduction_cause {
    uint64_t first_lost, packets; /* none of a CE count */
    uint64_t in_flight;           /* before it */
    uint64_t udp_payload_size;
    uint8_t space;
};

/** Called with what the controller is before a congestion event begins, and after each loss of one. */
void neap_reduction_begin(struct cc *cc, const struct reduction_cause *cause);
void neap_reduction_add(struct cc *cc, const struct reduction_cause *cause);
/** CE was reported: what follows is no mistake. */
void neap_reduction_confirm(struct cc *cc);

/** Bytes were acknowledged in recovery; `in_flight` is what remains. */
void neap_reduction_on_acked(struct cc *cc, uint64_t bytes, uint64_t in_flight, bool has_losses,
                             uint64_t udp_payload_size);
void neap_reduction_on_sent(struct cc *cc, uint64_t size);
uint64_t neap_reduction_quota(const struct cc *cc);

/** The number from which on lost packets belong to the last congestion event; UINT64_MAX: it cannot be undone. */
uint64_t neap_reduction_floor(const struct cc *cc, uint8_t space);
/* What becomes of a reduction of which lost packets came after all. */
enum reduction_fate {
    REDUCTION_STAYS,
    REDUCTION_REFUSED, /* all of them came; as many as may be were undone before */
    REDUCTION_UNDONE
};

/** Packets of it came after all: undone it is when those were the last ones. */
enum reduction_fate neap_reduction_on_spurious(struct cc *cc, uint32_t packets);

#endif
