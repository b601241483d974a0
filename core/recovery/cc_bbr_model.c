/* What BBR knows of the path: rounds, bandwidth, round-trip time, aggregation, and how losses bound it for a while
 * (draft-ietf-ccwg-bbr, "Updating Network Path Model Parameters"). */
#include "recovery/cc_bbr.h"

#include <string.h>

#define BETA 70u                             /* hundredths that a round with losses leaves at least */
#define HEADROOM 15u                         /* hundredths of inflight_longterm that are left to others */
#define MIN_PIPE 4u                          /* datagrams */
#define MIN_RTT_FILTER (10 * NEAP_SECOND)    /* MinRTTFilterLen */
#define PROBE_RTT_INTERVAL (5 * NEAP_SECOND) /* the same of all flows, so that they meet */
#define FILTER_SLOTS (BBR_EXTRA_ACKED_ROUNDS + 1)

void neap_bbr_model_init(struct bbr *b)
{
    b->min_rtt = b->probe_rtt_min_delay = BBR_INFINITE;
    b->inflight_longterm = BBR_INFINITE;
    b->last_lost_number = BBR_INFINITE;
    neap_bbr_reset_short_term(b);
}

/* ---- volumes */

uint64_t neap_bbr_volume(uint64_t rate, neap_time time)
{
    if (rate > BBR_RATE_MOST)
        rate = BBR_RATE_MOST;
    if (time > BBR_TIME_MOST)
        time = BBR_TIME_MOST;
    return rate * (time / NEAP_SECOND) + rate * (time % NEAP_SECOND) / NEAP_SECOND;
}

uint64_t neap_bbr_bdp(const struct bbr *b, uint64_t bw, uint64_t gain)
{
    if (b->min_rtt == BBR_INFINITE)
        return b->initial_window;
    return neap_bbr_volume(bw, b->min_rtt) * gain / 100;
}

uint64_t neap_bbr_min_pipe(const struct bbr *b)
{
    return MIN_PIPE * b->datagram_size;
}

/* The offload budget of QUIC is the send quantum. */
uint64_t neap_bbr_quantize(const struct cc *cc, uint64_t inflight)
{
    const struct bbr *b = cc->state;

    inflight = bbr_most(inflight, cc->send_quantum);
    inflight = bbr_most(inflight, neap_bbr_min_pipe(b));
    return b->state == BBR_PROBE_UP ? inflight + 2 * b->datagram_size : inflight;
}

uint64_t neap_bbr_inflight(const struct cc *cc, uint64_t bw)
{
    return neap_bbr_quantize(cc, neap_bbr_bdp(cc->state, bw, 100));
}

uint64_t neap_bbr_inflight_with_headroom(const struct bbr *b)
{
    if (b->inflight_longterm == BBR_INFINITE)
        return BBR_INFINITE;
    uint64_t headroom = bbr_most(b->datagram_size, b->inflight_longterm * HEADROOM / 100);

    return bbr_most(b->inflight_longterm - bbr_least(headroom, b->inflight_longterm), neap_bbr_min_pipe(b));
}

uint64_t neap_bbr_target_inflight(const struct cc *cc)
{
    const struct bbr *b = cc->state;

    return bbr_least(neap_bbr_bdp(b, b->bw, 100), cc->window);
}

/* ---- rounds and bandwidth */

void neap_bbr_start_round(struct bbr *b)
{
    b->next_round_delivered = b->delivered;
}

static void update_round(struct bbr *b, const struct bbr_sample *rs)
{
    b->round_start = rs->prior_delivered >= b->next_round_delivered;
    if (!b->round_start)
        return;
    neap_bbr_start_round(b);
    b->round_count++;
    b->rounds_since_probe_up++;
    b->was_window_full = b->is_window_full;
    b->is_window_full = false;
}

/* The most of this cycle and of the one before. What they were stands until something newer is measured: cycles in which
 * the application was the limit teach nothing. */
static void update_max_bw(struct bbr *b, const struct bbr_sample *rs)
{
    update_round(b, rs);
    if (rs->rate == 0 || (rs->rate < b->max_bw && rs->app_limited))
        return;
    if (b->cycle_count != b->max_bw_cycle) {
        b->max_bw_filter[0] = b->cycle_count - b->max_bw_cycle == 1 ? b->max_bw_filter[1] : 0;
        b->max_bw_filter[1] = 0;
        b->max_bw_cycle = b->cycle_count;
    }
    b->max_bw_filter[1] = bbr_most(b->max_bw_filter[1], rs->rate);
    b->max_bw = bbr_most(b->max_bw_filter[0], b->max_bw_filter[1]);
}

/* ---- aggregation */

/* The greatest of the last `length` rounds and this one. */
static uint64_t filter_extra_acked(struct bbr *b, uint64_t extra, uint32_t length)
{
    uint32_t passed = b->round_count - b->extra_acked_round;
    uint64_t most = 0;

    for (uint32_t i = 1; i <= passed && i <= FILTER_SLOTS; i++)
        b->extra_acked_filter[(b->extra_acked_round + i) % FILTER_SLOTS] = 0;
    b->extra_acked_round = b->round_count;
    uint64_t *slot = &b->extra_acked_filter[b->round_count % FILTER_SLOTS];
    *slot = bbr_most(*slot, extra);
    for (uint32_t i = 0; i <= length; i++)
        most = bbr_most(most, b->extra_acked_filter[(b->round_count - i) % FILTER_SLOTS]);
    return most;
}

/* How much more was acknowledged than the bandwidth explains: window that is needed while nothing comes. */
static void update_ack_aggregation(struct cc *cc, const struct bbr_sample *rs)
{
    struct bbr *b = cc->state;
    neap_time began = b->extra_acked_interval_start;
    uint64_t expected = neap_bbr_volume(b->bw, b->now > began ? b->now - began : 0);

    if (b->extra_acked_delivered <= expected) {
        b->extra_acked_delivered = 0;
        b->extra_acked_interval_start = b->now;
        expected = 0;
    }
    b->extra_acked_delivered += rs->newly_acked;
    uint64_t extra = bbr_least(b->extra_acked_delivered - expected, cc->window);
    b->extra_acked = filter_extra_acked(b, extra, b->full_bw_reached ? BBR_EXTRA_ACKED_ROUNDS : 1);
}

/* ---- losses */

void neap_bbr_reset_congestion_signals(struct bbr *b)
{
    b->is_loss_in_round = false;
    b->bw_latest = b->inflight_latest = 0;
}

void neap_bbr_reset_short_term(struct bbr *b)
{
    b->bw_shortterm = b->inflight_shortterm = BBR_INFINITE;
}

void neap_bbr_note_loss(struct bbr *b)
{
    if (!b->is_loss_in_round)
        b->loss_round_delivered = b->delivered;
    b->is_loss_in_round = true;
}

static void update_latest_delivery_signals(struct bbr *b, const struct bbr_sample *rs)
{
    b->bw_latest = bbr_most(b->bw_latest, rs->rate);
    b->inflight_latest = bbr_most(b->inflight_latest, rs->delivered);
    b->loss_round_start = rs->prior_delivered >= b->loss_round_delivered;
    if (b->loss_round_start)
        b->loss_round_delivered = b->delivered;
}

/* AdaptLowerBoundsFromCongestion: once a round with losses, unless these are what is asked for. */
static void adapt_short_term(struct cc *cc)
{
    struct bbr *b = cc->state;

    if (!b->is_loss_in_round || b->state == BBR_STARTUP || b->state == BBR_PROBE_REFILL ||
        b->state == BBR_PROBE_UP)
        return;
    if (b->bw_shortterm == BBR_INFINITE)
        b->bw_shortterm = b->max_bw;
    if (b->inflight_shortterm == BBR_INFINITE)
        b->inflight_shortterm = cc->window;
    b->bw_shortterm = bbr_most(b->bw_latest, b->bw_shortterm * BETA / 100);
    b->inflight_shortterm = bbr_most(b->inflight_latest, b->inflight_shortterm * BETA / 100);
}

void neap_bbr_update_model(struct cc *cc, const struct bbr_sample *rs)
{
    struct bbr *b = cc->state;

    update_latest_delivery_signals(b, rs);
    update_max_bw(b, rs);
    if (b->loss_round_start) {
        adapt_short_term(cc);
        b->is_loss_in_round = false;
    }
    update_ack_aggregation(cc, rs);
}

void neap_bbr_finish_model(struct bbr *b, const struct bbr_sample *rs)
{
    if (b->loss_round_start) {
        b->bw_latest = rs->rate;
        b->inflight_latest = rs->delivered;
        b->loss_events_in_round = 0;
        b->ce_in_round = 0;
    }
    b->bw = bbr_least(b->max_bw, b->bw_shortterm);
}

/* ---- round-trip time */

void neap_bbr_update_min_rtt(struct bbr *b, const struct bbr_sample *rs)
{
    b->probe_rtt_expired = b->now > b->probe_rtt_min_stamp + PROBE_RTT_INTERVAL;
    if (rs->rtt < b->probe_rtt_min_delay || b->probe_rtt_expired) {
        b->probe_rtt_min_delay = rs->rtt;
        b->probe_rtt_min_stamp = b->now;
    }
    if (b->probe_rtt_min_delay < b->min_rtt || b->now > b->min_rtt_stamp + MIN_RTT_FILTER) {
        b->min_rtt = b->probe_rtt_min_delay;
        b->min_rtt_stamp = b->probe_rtt_min_stamp;
    }
}
