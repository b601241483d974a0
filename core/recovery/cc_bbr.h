/* BBRv3 (draft-ietf-ccwg-bbr), in parts: cc_bbr.c hears of events and sets window and pacing rate, cc_bbr_model.c keeps what
 * is known of the path, cc_bbr_states.c goes from one state to the next. Names are the draft's. Whole numbers only, so
 * that every CPU decides alike: gains in hundredths, rates in bytes a second, times in nanoseconds. */
#ifndef NEAP_RECOVERY_CC_BBR_H
#define NEAP_RECOVERY_CC_BBR_H

#include "recovery/cc.h"

#define BBR_INFINITE UINT64_MAX

/* What bounds products: a rate times less than a second in nanoseconds fits into 64 bits (144 Gbit/s) … */
#define BBR_RATE_MOST UINT64_C(18000000000)
/* … and the volume of so long a time, times any gain. */
#define BBR_TIME_MOST (3600 * NEAP_SECOND)

#define BBR_EXTRA_ACKED_ROUNDS 10u /* ExtraAckedFilterLen */

enum bbr_state {
    BBR_STARTUP,
    BBR_DRAIN,
    BBR_PROBE_DOWN,
    BBR_PROBE_CRUISE,
    BBR_PROBE_REFILL,
    BBR_PROBE_UP,
    BBR_PROBE_RTT,
    BBR_NONE /* of undo_state */
};

/* What the acknowledgements that come now say about the last probe for bandwidth. */
enum bbr_ack_phase {
    ACKS_INIT,
    ACKS_REFILLING,
    ACKS_PROBE_STARTING,
    ACKS_PROBE_FEEDBACK,
    ACKS_PROBE_STOPPING
};

struct bbr {
    /* Of the event that is looked at: C.delivered, C.inflight, what that was before the ACK, C.SMSS. */
    neap_time now;
    uint64_t delivered, in_flight, in_flight_before, datagram_size;

    uint64_t bw, max_bw, bw_shortterm, bw_latest;
    uint64_t inflight_longterm, inflight_shortterm, inflight_latest;
    uint64_t max_inflight, extra_acked, initial_window, prior_window;

    uint64_t max_bw_filter[2]; /* of the cycle before, and of the one that `max_bw_cycle` is */
    uint32_t max_bw_cycle, cycle_count;

    neap_time min_rtt, min_rtt_stamp; /* BBR_INFINITE: none yet */
    neap_time probe_rtt_min_delay, probe_rtt_min_stamp, probe_rtt_done_stamp;

    uint64_t extra_acked_filter[BBR_EXTRA_ACKED_ROUNDS + 1]; /* the most of each round, by its count */
    uint64_t extra_acked_delivered;
    neap_time extra_acked_interval_start;
    uint32_t extra_acked_round; /* the newest in the filter */

    uint32_t round_count, rounds_since_probe_up, drain_start_round;
    uint64_t next_round_delivered, loss_round_delivered;

    uint64_t full_bw;
    uint64_t bw_probe_up_acked, probe_up_acked_per_inc;
    neap_time cycle_stamp, bw_probe_wait;
    neap_time recovery_started; /* 0: never */

    uint64_t undo_bw_shortterm, undo_inflight_shortterm, undo_inflight_longterm;
    uint64_t undo_packets;     /* declared lost since these were saved, that did not come yet; */
    uint64_t undo_first;       /* the number of the first one, BBR_INFINITE: none */
    uint64_t last_lost_number; /* BBR_INFINITE: none */
    uint64_t ce_pending;       /* packets reported with CE by the ACK that is coming */
    uint64_t ce_in_round;      /* bytes of them in this loss round, roughly */

    uint8_t state, undo_state; /* enum bbr_state */
    uint8_t ack_phase;         /* enum bbr_ack_phase */
    uint8_t undo_space;        /* that it is of */
    uint8_t undone;            /* recoveries that were undone, less those that were none to undo */
    uint8_t full_bw_count, bw_probe_up_rounds;
    uint8_t loss_events_in_round; /* rows of lost packets, and reports of CE */
    bool round_start, loss_round_start, is_loss_in_round;
    bool full_bw_reached, full_bw_now;
    bool idle_restart, is_bw_probe_sample, prev_probe_too_high, prev_probe_precautionary;
    bool probe_rtt_round_done, probe_rtt_expired;
    bool has_begun, has_rtt, in_recovery;
    bool is_disowned;                     /* all that was lost since the last save came */
    bool is_window_full, was_window_full; /* in this round, in the one before (C.is_cwnd_limited) */
};

/* RS: what one ACK measured. */
struct bbr_sample {
    uint64_t rate; /* 0: none that can be relied on */
    uint64_t delivered, prior_delivered, newly_acked;
    uint64_t tx_in_flight; /* when the newest packet left, itself included */
    uint64_t lost;         /* since then */
    neap_time rtt;
    bool app_limited;
};

static inline uint64_t bbr_least(uint64_t a, uint64_t b)
{
    return a < b ? a : b;
}

static inline uint64_t bbr_most(uint64_t a, uint64_t b)
{
    return a > b ? a : b;
}

static inline bool bbr_is_probing_bw(const struct bbr *b) /* IsInAProbeBWState */
{
    return b->state >= BBR_PROBE_DOWN && b->state <= BBR_PROBE_UP;
}

/* LossThresh: more than 2 % of what was in flight. */
static inline bool bbr_is_inflight_too_high(uint64_t lost, uint64_t tx_in_flight)
{
    return lost > tx_in_flight / 50;
}

/* ---- cc_bbr.c */

/** SaveCwnd, RestoreCwnd: the last window that neither a recovery nor ProbeRTT had cut. */
void neap_bbr_save_window(struct cc *cc);
void neap_bbr_restore_window(struct cc *cc);
/** SetPacingRateWithGain. */
void neap_bbr_set_pacing_rate(struct cc *cc, uint64_t gain);

/* ---- cc_bbr_model.c */

void neap_bbr_model_init(struct bbr *b);
uint64_t neap_bbr_volume(uint64_t rate, neap_time time);
/** BDPMultiple; the gain in hundredths. */
uint64_t neap_bbr_bdp(const struct bbr *b, uint64_t bw, uint64_t gain);
/** MinPipeCwnd. */
uint64_t neap_bbr_min_pipe(const struct bbr *b);
/** QuantizationBudget. */
uint64_t neap_bbr_quantize(const struct cc *cc, uint64_t inflight);
/** Inflight(1.0) of a bandwidth. */
uint64_t neap_bbr_inflight(const struct cc *cc, uint64_t bw);
/** InflightWithHeadroom. */
uint64_t neap_bbr_inflight_with_headroom(const struct bbr *b);
/** TargetInflight. */
uint64_t neap_bbr_target_inflight(const struct cc *cc);

void neap_bbr_start_round(struct bbr *b);
void neap_bbr_reset_congestion_signals(struct bbr *b);
void neap_bbr_reset_short_term(struct bbr *b);
/** NoteLoss, but for what is saved: that is done where a recovery begins. */
void neap_bbr_note_loss(struct bbr *b);
/** UpdateLatestDeliverySignals, UpdateCongestionSignals, UpdateACKAggregation. */
void neap_bbr_update_model(struct cc *cc, const struct bbr_sample *rs);
/** UpdateMinRTT. */
void neap_bbr_update_min_rtt(struct bbr *b, const struct bbr_sample *rs);
/** AdvanceLatestDeliverySignals, BoundBWForModel. */
void neap_bbr_finish_model(struct bbr *b, const struct bbr_sample *rs);

/* ---- cc_bbr_states.c */

void neap_bbr_enter_startup(struct cc *cc);
uint64_t neap_bbr_pacing_gain(const struct bbr *b);
uint64_t neap_bbr_window_gain(const struct bbr *b);
const char *neap_bbr_state_name(const struct bbr *b);
/** CheckFullBWReached … UpdateProbeBWCyclePhase; between UpdateACKAggregation and UpdateMinRTT. */
void neap_bbr_update_state(struct cc *cc, const struct bbr_sample *rs);
/** CheckProbeRTT. */
void neap_bbr_check_probe_rtt(struct cc *cc, const struct bbr_sample *rs);
/** CheckProbeRTTDone. */
void neap_bbr_check_probe_rtt_done(struct cc *cc);
uint64_t neap_bbr_probe_rtt_window(const struct bbr *b);
/** HandleInflightTooHigh. */
void neap_bbr_on_inflight_too_high(struct cc *cc, uint64_t tx_in_flight, bool app_limited);
/** HandleSpuriousLossDetection. */
void neap_bbr_undo(struct cc *cc);

#endif
