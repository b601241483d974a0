/* What we received in a packet number space and when to say so (RFC 9000 §13.2). */
#ifndef NEAP_RECOVERY_ACK_H
#define NEAP_RECOVERY_ACK_H

#include "base/range_set.h"
#include "neap.h"

struct pool;

/* When an acknowledgement is due, as the peer asked with ACK_FREQUENCY (draft-ietf-quic-ack-frequency-14 §4). */
struct ack_policy {
    uint32_t every;         /* ack-eliciting packets: 2 by RFC 9000 §13.2.2 */
    uint32_t reordering;    /* so far behind a missing packet; 1 by §13.2.1; 0: never for that */
    neap_time max_delay;    /* 0: ours; the peer cannot ask for it */
    uint64_t next_sequence; /* the least that the peer's next request may have */
};

struct ack_state {
    struct range_set received; /* at most LIMIT_ACK_RANGES_KEPT; the lowest is dropped at the bound */
    uint64_t floor; /* numbers below are treated as seen: dropped ranges must not be accepted again */
    uint64_t
        confirmed; /* the peer knows what came below: it is kept so that what is late there can be told from repetitions */
    uint64_t largest;           /* UINT64_MAX: none */
    uint64_t largest_eliciting; /* UINT64_MAX: none */
    uint64_t lowest_untold;     /* lowest number since the last ACK was sent, UINT64_MAX: none */
    neap_time largest_at;       /* when the largest came */
    neap_time send_at;          /* NEAP_NEVER: nothing to acknowledge; else an ACK is due then */
    uint32_t eliciting_unacked; /* ack-eliciting packets since the last ACK was sent */
    bool pending;               /* something new that an ACK would tell, even if none is due */
    bool was_ce;                /* the packet before had a CE mark */
    uint64_t ecn[3];            /* ECT(0), ECT(1), CE counts, as an ACK frame has them */
    struct ack_policy policy;
    uint64_t told; /* the largest that an ACK told, UINT64_MAX: none */
};

void neap_ack_init(struct ack_state *a);
/** Whether this number was received already or is too old to know (then treat it as a duplicate). */
bool neap_ack_is_duplicate(const struct ack_state *a, uint64_t number);
/** Note an authenticated packet. `immediate`: Initial, Handshake (RFC 9000 §13.2.1), or the peer asks for it. The last
 * ack-eliciting packet of those that the policy lets pass, one out of order, or CE make an ACK due at once, else it is due
 * after max_ack_delay, or what the policy has in its place. `ecn`: the two bits of the IP header. 0, or
 * NEAP_ERR_NO_MEMORY: then the packet must be treated as not received. */
int neap_ack_note(struct ack_state *a, struct pool *pool, uint64_t number, bool ack_eliciting, bool immediate,
                  uint8_t ecn, neap_time max_ack_delay, neap_time now);
bool neap_ack_is_due(const struct ack_state *a, neap_time now);
/** The wire delay: time since the largest came, in units of 2^exponent µs. */
uint64_t neap_ack_delay(const struct ack_state *a, unsigned exponent, neap_time now);
/** An ACK frame was put into a packet. */
void neap_ack_sent(struct ack_state *a);
/** A packet of ours that carried an ACK up to `largest` was acknowledged: what is below need not be told again
 * (RFC 9000 §13.2.4). Packets that went a slower way may still come: what is missing there is no repetition. */
void neap_ack_confirmed(struct ack_state *a, uint64_t largest);
/** The ranges that the peer does not know yet, `most` at most, ascending; there is one where anything came. Where there are
 * more it is the newest, and a quarter from the lowest on that no ACK has told: what came late by a slower way would stay
 * behind the newest ones and be sent again. They are in `room`, which takes `most`, or where they are kept. */
const struct range *neap_ack_untold(const struct ack_state *a, struct range *room, size_t most,
                                    size_t *count);
/** Shrink the memory to what the ranges need, none where they are one that was told, and put it where rooms last: for a
 * connection that is idle. */
void neap_ack_trim(struct ack_state *a, struct pool *pool);
void neap_ack_free(struct ack_state *a, struct pool *pool);

#endif
