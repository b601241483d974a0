/* What every controller begins with (RFC 9002 §7.2), and the slow start of those that have HyStart++'s. */
#include "recovery/cc.h"

#include "base/pool.h"

#include <string.h>

#define INITIAL_UDP_DATAGRAMS 10u
#define INITIAL_BYTES 14720u

const struct cc_ops *const neap_cc_by_choice[CC_CHOICES] = {
    [NEAP_CONGESTION_CONTROL_NEWRENO] = &neap_cc_newreno,
    [NEAP_CONGESTION_CONTROL_CUBIC] = &neap_cc_cubic,
#ifndef NEAP_NO_BBR
    [NEAP_CONGESTION_CONTROL_BBR] = &neap_cc_bbr,
#endif
    [NEAP_CONGESTION_CONTROL_STEERED] = &neap_cc_steered,
};

uint64_t neap_cc_initial_window(uint64_t udp_payload_size)
{
    uint64_t most = INITIAL_UDP_DATAGRAMS * udp_payload_size, least = cc_least_window(udp_payload_size);

    if (least < INITIAL_BYTES)
        least = INITIAL_BYTES;
    return most < least ? most : least;
}

void neap_cc_restart(struct cc *cc, uint64_t udp_payload_size)
{
    *cc = (struct cc){
        .ops = cc->ops,
        .state = cc->state,
        .random = cc->random,
        .window = neap_cc_initial_window(udp_payload_size),
        .ssthresh = UINT64_MAX,
    };
    if (cc->state)
        memset(cc->state, 0, cc->ops->state_size);
    cc->ops->init(cc);
}

int neap_cc_new(struct cc *cc, const struct cc_ops *ops, struct pool *pool, uint64_t udp_payload_size)
{
    *cc = (struct cc){.ops = ops};
    if (ops->state_size > 0 && !(cc->state = neap_pool_alloc_lasting(pool, ops->state_size)))
        return NEAP_ERR_NO_MEMORY;
    neap_cc_restart(cc, udp_payload_size);
    return 0;
}

void neap_cc_copy(struct cc *cc, const struct cc *from)
{
    void *state = cc->state;

    *cc = *from;
    cc->state = state;
    if (state)
        memcpy(state, from->state, cc->ops->state_size);
}

void neap_cc_free(struct cc *cc, struct pool *pool)
{
    neap_pool_free(pool, cc->state, cc->ops->state_size);
    cc->state = NULL;
}

uint64_t neap_cc_start_slowly(struct cc *cc, const struct cc_ack *ack, uint64_t bytes)
{
    bool is_first = cc->ssthresh == UINT64_MAX;
    uint64_t most =
        is_first ? neap_hystart_growth(&cc->hystart, bytes, ack->is_unpaced, ack->udp_payload_size) : bytes;
    uint64_t room = cc->ssthresh - cc->window, grown = most < room ? most : room;

    cc->window += grown;
    if (!is_first)
        return bytes - grown;
    if (neap_hystart_on_ack(&cc->hystart, ack->rtt, ack->largest_sent_at, ack->now))
        cc->ssthresh = cc->window;
    return 0;
}

uint64_t neap_cc_share(uint64_t factor, uint64_t bytes, uint64_t whole, uint64_t *part)
{
    unsigned shift = 0;

    if (whole == 0)
        return 0;
    if (bytes > whole)
        bytes = whole;
    while (bytes >> shift >> 18) /* that the product fits */
        shift++;
    if (shift)
        return factor * (bytes >> shift) / (whole >> shift);
    uint64_t product = factor * bytes + (part && *part < whole ? *part : 0);
    if (part)
        *part = product % whole;
    return product / whole;
}
