/* NewReno (RFC 9002 §7.3, appendix B), whose first slow start is HyStart++'s (RFC 9406). */
#include "recovery/reduction.h"

static void newreno_init(struct cc *cc)
{
    (void)cc; /* it begins as every controller does */
}

/* One datagram more for each window that was acknowledged (RFC 9002 §7.3.3), counted in bytes. */
static void avoid_congestion(struct cc *cc, uint64_t bytes, uint64_t udp_payload_size)
{
    uint64_t *acked = &cc->acked_in_avoidance;

    *acked += cc_coupled(cc->coupling, bytes);
    while (*acked >= cc->window) {
        *acked -= cc->window;
        cc->window += udp_payload_size;
    }
}

static void newreno_on_ack(struct cc *cc, const struct cc_ack *ack)
{
    uint64_t bytes = ack->fresh_bytes;

    if (ack->app_limited || bytes == 0)
        return;
    if (cc->window < cc->ssthresh)
        bytes = neap_cc_start_slowly(cc, ack, bytes);
    if (bytes)
        avoid_congestion(cc, bytes, ack->udp_payload_size);
}

static void newreno_on_loss(struct cc *cc, const struct cc_loss *loss)
{
    uint64_t least = cc_least_window(loss->udp_payload_size);

    if (cc_is_new_event(cc, loss->largest_lost_sent_at)) {
        cc->recovery_started = loss->now ? loss->now : 1; /* 0 stands for never */
        cc->ssthresh = cc->window / 2;
        cc->window = cc->ssthresh > least ? cc->ssthresh : least;
        cc->acked_in_avoidance = 0;
    }
    if (loss->is_persistent) {
        cc->window = least;
        cc->recovery_started = 0;
        cc->acked_in_avoidance = 0;
    }
}

const struct cc_ops neap_cc_newreno = {
    .name = "newreno",
    .state_size = sizeof(struct reduction),
    .reduces = true,
    .init = newreno_init,
    .on_ack = newreno_on_ack,
    .on_loss = newreno_on_loss,
};
