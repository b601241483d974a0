/* Proportional rate reduction, and reductions undone. */
#include "recovery/reduction.h"

#include "base/limits.h"

static struct reduction *reduction_of(const struct cc *cc)
{
    return cc->state;
}

/* ---- congestion events */

void neap_reduction_begin(struct cc *cc, const struct reduction_cause *cause)
{
    const struct reduction *before = reduction_of(cc);
    /* A peer that acknowledges late whatever is lost would have no reduction last: each that lasts allows another one. */
    uint8_t undone = (uint8_t)(before->undone - (before->undone > 0 && !before->is_disowned));

    *reduction_of(cc) = (struct reduction){
        .undone = undone,
        .window = cc->window,
        .ssthresh = cc->ssthresh,
        .first_lost = cause->first_lost,
        .space = cause->space,
        .can_undo = cause->packets > 0,
        .flight = cause->in_flight,
        .quota = cause->udp_payload_size, /* the first packet does not wait (RFC 9002 §7.3.2) */
    };
}

void neap_reduction_add(struct cc *cc, const struct reduction_cause *cause)
{
    struct reduction *r = reduction_of(cc);

    r->can_undo = r->can_undo && cause->space == r->space && cause->packets <= UINT32_MAX - r->lost;
    r->lost += (uint32_t)cause->packets;
}

void neap_reduction_confirm(struct cc *cc)
{
    reduction_of(cc)->can_undo = false;
}

/* ---- sending in step with deliveries */

void neap_reduction_on_acked(struct cc *cc, uint64_t bytes, uint64_t in_flight, bool has_losses,
                             uint64_t udp_payload_size)
{
    struct reduction *r = reduction_of(cc);
    uint64_t allowed;

    r->delivered += bytes;
    if (r->delivered > r->flight)
        r->flight = r->delivered;
    if (in_flight > cc->window) {
        allowed = neap_cc_share(cc->window, r->delivered, r->flight, NULL) + 1;
        allowed = allowed > r->sent ? allowed - r->sent : 0;
    } else {
        allowed = r->delivered > r->sent + bytes ? r->delivered - r->sent : bytes;
        /* A datagram more for each two that came, which is an ACK's where each two have one. */
        if (!has_losses)
            allowed += bytes > 2 * udp_payload_size ? bytes / 2 : udp_payload_size;
        if (allowed > cc->window - in_flight)
            allowed = cc->window - in_flight;
    }
    if (r->sent == 0 && allowed < udp_payload_size)
        allowed = udp_payload_size;
    r->quota = allowed;
}

void neap_reduction_on_sent(struct cc *cc, uint64_t size)
{
    struct reduction *r = reduction_of(cc);

    r->sent += size;
    r->quota -= size < r->quota ? size : r->quota;
}

uint64_t neap_reduction_quota(const struct cc *cc)
{
    return reduction_of(cc)->quota;
}

/* ---- what came after all */

uint64_t neap_reduction_floor(const struct cc *cc, uint8_t space)
{
    const struct reduction *r = reduction_of(cc);

    return r->can_undo && r->space == space ? r->first_lost : UINT64_MAX;
}

enum reduction_fate neap_reduction_on_spurious(struct cc *cc, uint32_t packets)
{
    struct reduction *r = reduction_of(cc);

    if (!r->can_undo)
        return REDUCTION_STAYS;
    r->lost -= packets < r->lost ? packets : r->lost;
    if (r->lost > 0)
        return REDUCTION_STAYS;
    r->can_undo = false;
    r->is_disowned = true;
    if (r->undone == LIMIT_UNDOS)
        return REDUCTION_REFUSED;
    r->undone++;
    /* Long after it the window may have become larger than it was. */
    if (cc->window < r->window) {
        cc->window = r->window;
        cc->ssthresh = r->ssthresh;
        cc->acked_in_avoidance = 0;
        if (cc->ops->undo)
            cc->ops->undo(cc);
    }
    cc->recovery_started = 0;
    cc->is_recovering = false;
    return REDUCTION_UNDONE;
}
