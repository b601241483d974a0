/* The states of BBR: Startup and Drain, the four of ProbeBW, ProbeRTT, and the way back from what was no loss
 * (draft-ietf-ccwg-bbr, "State Machine Operation"). */
#include "recovery/cc_bbr.h"

#define FULL_BW_GROWTH 125u /* hundredths: less in a round is a plateau … */
#define FULL_BW_ROUNDS 3u   /* … after so many */
#define STARTUP_LOSS_EVENTS 6u
#define DRAIN_ROUNDS 3u
#define BETA 70u
#define RENO_ROUNDS 63u
#define PROBE_WAIT (2 * NEAP_SECOND)
#define PROBE_WAIT_SPREAD NEAP_SECOND
#define PROBE_RTT_DURATION (200 * NEAP_MILLISECOND)
#define PROBE_UP_ROUNDS 30u /* doublings of how fast inflight_longterm grows */

/* In hundredths. */
static const struct {
    const char *name;
    uint16_t pacing, window;
} modes[] = {
    [BBR_STARTUP] = {"startup", 277, 200},     [BBR_DRAIN] = {"drain", 50, 200},
    [BBR_PROBE_DOWN] = {"down", 90, 200},      [BBR_PROBE_CRUISE] = {"cruise", 100, 200},
    [BBR_PROBE_REFILL] = {"refill", 100, 200}, [BBR_PROBE_UP] = {"up", 125, 225},
    [BBR_PROBE_RTT] = {"probe_rtt", 100, 50},
};

uint64_t neap_bbr_pacing_gain(const struct bbr *b)
{
    return modes[b->state].pacing;
}

uint64_t neap_bbr_window_gain(const struct bbr *b)
{
    return modes[b->state].window;
}

const char *neap_bbr_state_name(const struct bbr *b)
{
    return modes[b->state].name;
}

static void enter(struct cc *cc, enum bbr_state state)
{
    struct bbr *b = cc->state;

    b->state = (uint8_t)state;
}

/* ---- Startup and Drain */

static void reset_full_bw(struct bbr *b)
{
    b->full_bw = 0;
    b->full_bw_count = 0;
    b->full_bw_now = false;
}

void neap_bbr_enter_startup(struct cc *cc)
{
    enter(cc, BBR_STARTUP);
}

static void enter_drain(struct cc *cc, enum cc_exit_reason reason)
{
    struct bbr *b = cc->state;

    cc->startup_exit = (struct cc_exit){.window = cc->window, .bandwidth = b->max_bw, .reason = reason};
    enter(cc, BBR_DRAIN);
    b->drain_start_round = b->round_count;
}

static void check_full_bw(struct bbr *b, const struct bbr_sample *rs)
{
    /* A round without a sample is no plateau. */
    if (b->full_bw_now || !b->round_start || rs->app_limited || rs->rate == 0)
        return;
    if (rs->rate >= b->full_bw * FULL_BW_GROWTH / 100) {
        reset_full_bw(b);
        b->full_bw = rs->rate;
        return;
    }
    b->full_bw_now = ++b->full_bw_count >= FULL_BW_ROUNDS;
    b->full_bw_reached |= b->full_bw_now;
}

/* CheckStartupHighLoss: a recovery that lasts a round, in which more than 2 % were lost in more than a burst or two. Marks of
 * CE count as if the packets had been lost. */
static void check_startup_loss(struct cc *cc, const struct bbr_sample *rs)
{
    struct bbr *b = cc->state;

    if (b->full_bw_reached || !b->loss_round_start || (!b->in_recovery && b->ce_in_round == 0) ||
        b->loss_events_in_round < STARTUP_LOSS_EVENTS ||
        !bbr_is_inflight_too_high(rs->lost + b->ce_in_round, rs->tx_in_flight))
        return;
    b->undo_state = BBR_STARTUP;
    b->full_bw_reached = b->full_bw_now = true;
    b->inflight_longterm = bbr_most(neap_bbr_bdp(b, b->bw, 100), b->inflight_latest);
    enter_drain(cc, b->ce_in_round > rs->lost ? CC_EXIT_ECN : CC_EXIT_LOSS);
}

static void check_startup_done(struct cc *cc, const struct bbr_sample *rs)
{
    struct bbr *b = cc->state;

    if (b->state != BBR_STARTUP)
        return;
    check_startup_loss(cc, rs);
    if (b->state == BBR_STARTUP && b->full_bw_reached)
        enter_drain(cc, CC_EXIT_BANDWIDTH);
}

/* ---- ProbeBW: into each state */

/* Uniform in [0, bound), from the connection's randomness: a counter, mixed well. */
static uint64_t draw(struct cc *cc, uint64_t bound)
{
    uint64_t x = cc->random += UINT64_C(0x9e3779b97f4a7c15);

    x = (x ^ (x >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
    x = (x ^ (x >> 27)) * UINT64_C(0x94d049bb133111eb);
    return (x ^ (x >> 31)) % bound;
}

static void start_down(struct cc *cc)
{
    struct bbr *b = cc->state;

    neap_bbr_reset_congestion_signals(b);
    b->probe_up_acked_per_inc = BBR_INFINITE;
    b->rounds_since_probe_up = (uint32_t)draw(cc, 2);
    b->bw_probe_wait = PROBE_WAIT + draw(cc, PROBE_WAIT_SPREAD);
    b->cycle_stamp = b->now;
    b->ack_phase = ACKS_PROBE_STOPPING;
    neap_bbr_start_round(b);
    enter(cc, BBR_PROBE_DOWN);
}

static void start_refill(struct cc *cc)
{
    struct bbr *b = cc->state;

    neap_bbr_reset_short_term(b);
    b->bw_probe_up_rounds = 0;
    b->bw_probe_up_acked = 0;
    b->prev_probe_precautionary = false;
    b->ack_phase = ACKS_REFILLING;
    neap_bbr_start_round(b);
    enter(cc, BBR_PROBE_REFILL);
}

/* RaiseInflightLongtermSlope: it grows by 1, 2, 4 … datagrams a round. */
static void raise_slope(struct cc *cc)
{
    struct bbr *b = cc->state;
    uint64_t growth = UINT64_C(1) << b->bw_probe_up_rounds;

    if (b->bw_probe_up_rounds < PROBE_UP_ROUNDS)
        b->bw_probe_up_rounds++;
    b->probe_up_acked_per_inc = bbr_most(cc->window / growth, b->datagram_size);
}

static void start_up(struct cc *cc, const struct bbr_sample *rs)
{
    struct bbr *b = cc->state;

    b->ack_phase = ACKS_PROBE_STARTING;
    neap_bbr_start_round(b);
    reset_full_bw(b);
    b->full_bw = rs->rate;
    enter(cc, BBR_PROBE_UP);
    raise_slope(cc);
}

/* ---- ProbeBW: out of each state */

/* A flow of Reno that had this window would have grown it by as much again: who probes more often takes its share. */
static bool is_reno_coexistence_time(const struct cc *cc)
{
    const struct bbr *b = cc->state;
    uint64_t rounds = neap_bbr_target_inflight(cc) / b->datagram_size;

    return b->rounds_since_probe_up >= bbr_least(rounds, RENO_ROUNDS);
}

static bool is_time_to_probe(const struct cc *cc)
{
    const struct bbr *b = cc->state;

    return b->now > b->cycle_stamp + b->bw_probe_wait || is_reno_coexistence_time(cc);
}

static bool is_time_to_cruise(const struct cc *cc)
{
    const struct bbr *b = cc->state;

    return b->in_flight <= neap_bbr_inflight_with_headroom(b) &&
           b->in_flight <= neap_bbr_inflight(cc, b->max_bw);
}

/* C.is_cwnd_limited, where the window is what inflight_longterm allows. */
static bool is_limited_by_longterm(const struct cc *cc)
{
    const struct bbr *b = cc->state;

    return (b->is_window_full || b->was_window_full) && cc->window >= b->inflight_longterm;
}

static bool is_time_to_go_down(struct cc *cc, const struct bbr_sample *rs)
{
    struct bbr *b = cc->state;

    /* What is in flight reaches the bound where not one datagram more goes under it, before an ACK makes it less. */
    if (b->prev_probe_too_high && b->inflight_longterm < b->in_flight_before + b->datagram_size) {
        b->prev_probe_precautionary = true;
        return true;
    }
    if (!is_limited_by_longterm(cc))
        return b->full_bw_now;
    reset_full_bw(b);
    b->full_bw = rs->rate;
    return false;
}

/* ---- ProbeBW: the volume that the path takes */

static void probe_longterm_upward(struct cc *cc, const struct bbr_sample *rs)
{
    struct bbr *b = cc->state;

    if (!is_limited_by_longterm(cc))
        return;
    b->bw_probe_up_acked += rs->newly_acked;
    if (b->bw_probe_up_acked >= b->probe_up_acked_per_inc) {
        uint64_t steps = b->bw_probe_up_acked / b->probe_up_acked_per_inc;

        b->bw_probe_up_acked -= steps * b->probe_up_acked_per_inc;
        b->inflight_longterm += steps * b->datagram_size;
    }
    if (b->round_start)
        raise_slope(cc);
}

/* The acknowledgements of what a probe sent have come. Returns whether the next one begins at once. */
static bool finish_probe(struct cc *cc, const struct bbr_sample *rs)
{
    struct bbr *b = cc->state;

    b->is_bw_probe_sample = false;
    b->ack_phase = ACKS_INIT;
    if (!bbr_is_probing_bw(b))
        return false;
    if (!rs->app_limited)
        b->cycle_count++;
    if (!b->prev_probe_precautionary || b->prev_probe_too_high)
        return false;
    start_refill(cc);
    return true;
}

/* AdaptLongTermModel: whether it chose the state. */
static bool adapt_long_term(struct cc *cc, const struct bbr_sample *rs)
{
    struct bbr *b = cc->state;

    if (b->ack_phase == ACKS_PROBE_STARTING && b->round_start)
        b->ack_phase = ACKS_PROBE_FEEDBACK;
    if (b->ack_phase == ACKS_PROBE_STOPPING && b->round_start && finish_probe(cc, rs))
        return true;
    if (bbr_is_inflight_too_high(rs->lost, rs->tx_in_flight) || b->inflight_longterm == BBR_INFINITE)
        return false;
    b->inflight_longterm = bbr_most(b->inflight_longterm, rs->tx_in_flight);
    if (b->state == BBR_PROBE_UP)
        probe_longterm_upward(cc, rs);
    return false;
}

static void update_probe_bw(struct cc *cc, const struct bbr_sample *rs)
{
    struct bbr *b = cc->state;

    if (!b->full_bw_reached || adapt_long_term(cc, rs) || !bbr_is_probing_bw(b))
        return;
    if (b->state == BBR_PROBE_REFILL) {
        if (!b->round_start)
            return;
        b->is_bw_probe_sample = true;
        start_up(cc, rs);
    } else if (b->state == BBR_PROBE_UP) {
        if (!is_time_to_go_down(cc, rs))
            return;
        b->prev_probe_too_high = false;
        start_down(cc);
    } else if (is_time_to_probe(cc)) {
        start_refill(cc);
    } else if (b->state == BBR_PROBE_DOWN && is_time_to_cruise(cc)) {
        enter(cc, BBR_PROBE_CRUISE);
    }
}

void neap_bbr_update_state(struct cc *cc, const struct bbr_sample *rs)
{
    struct bbr *b = cc->state;

    check_full_bw(b, rs);
    check_startup_done(cc, rs);
    if (b->state == BBR_DRAIN && (b->in_flight <= neap_bbr_inflight(cc, b->bw) ||
                                  b->round_count > b->drain_start_round + DRAIN_ROUNDS))
        start_down(cc);
    update_probe_bw(cc, rs);
}

void neap_bbr_on_inflight_too_high(struct cc *cc, uint64_t tx_in_flight, bool app_limited)
{
    struct bbr *b = cc->state;

    b->prev_probe_too_high = true;
    b->is_bw_probe_sample = false; /* once a probe */
    if (!app_limited)
        b->inflight_longterm = bbr_most(tx_in_flight, neap_bbr_target_inflight(cc) * BETA / 100);
    if (b->state == BBR_PROBE_UP) {
        b->undo_state = BBR_PROBE_UP;
        start_down(cc);
    }
}

/* ---- ProbeRTT */

uint64_t neap_bbr_probe_rtt_window(const struct bbr *b)
{
    return bbr_most(neap_bbr_bdp(b, b->bw, modes[BBR_PROBE_RTT].window), neap_bbr_min_pipe(b));
}

static void exit_probe_rtt(struct cc *cc)
{
    struct bbr *b = cc->state;

    neap_bbr_reset_short_term(b);
    if (!b->full_bw_reached) {
        neap_bbr_enter_startup(cc);
        return;
    }
    start_down(cc);
    enter(cc, BBR_PROBE_CRUISE); /* what is in flight is below the BDP already */
}

void neap_bbr_check_probe_rtt_done(struct cc *cc)
{
    struct bbr *b = cc->state;

    if (b->probe_rtt_done_stamp == 0 || b->now <= b->probe_rtt_done_stamp)
        return;
    b->probe_rtt_min_stamp = b->now;
    neap_bbr_restore_window(cc);
    exit_probe_rtt(cc);
}

static void handle_probe_rtt(struct cc *cc)
{
    struct bbr *b = cc->state;

    cc->holds_back = true;
    if (b->probe_rtt_done_stamp == 0) {
        if (b->in_flight > neap_bbr_probe_rtt_window(b))
            return;
        b->probe_rtt_done_stamp = b->now + PROBE_RTT_DURATION;
        b->probe_rtt_round_done = false;
        neap_bbr_start_round(b);
        return;
    }
    b->probe_rtt_round_done |= b->round_start;
    if (b->probe_rtt_round_done)
        neap_bbr_check_probe_rtt_done(cc);
}

void neap_bbr_check_probe_rtt(struct cc *cc, const struct bbr_sample *rs)
{
    struct bbr *b = cc->state;

    if (b->state != BBR_PROBE_RTT && b->probe_rtt_expired && !b->idle_restart) {
        neap_bbr_save_window(cc);
        enter(cc, BBR_PROBE_RTT);
        b->probe_rtt_done_stamp = 0;
        b->ack_phase = ACKS_PROBE_STOPPING;
        neap_bbr_start_round(b);
    }
    if (b->state == BBR_PROBE_RTT)
        handle_probe_rtt(cc);
    if (rs->delivered > 0)
        b->idle_restart = false;
}

/* ---- what was no loss */

void neap_bbr_undo(struct cc *cc)
{
    struct bbr *b = cc->state;

    neap_bbr_restore_window(cc);
    b->is_loss_in_round = false;
    reset_full_bw(b);
    b->bw_shortterm = bbr_most(b->bw_shortterm, b->undo_bw_shortterm);
    b->inflight_shortterm = bbr_most(b->inflight_shortterm, b->undo_inflight_shortterm);
    b->inflight_longterm = bbr_most(b->inflight_longterm, b->undo_inflight_longterm);
    if (b->undo_state == BBR_STARTUP && b->state != BBR_STARTUP) {
        b->full_bw_reached = false;
        cc->startup_exit = (struct cc_exit){0};
        if (b->state != BBR_PROBE_RTT)
            neap_bbr_enter_startup(cc);
    } else if (b->undo_state == BBR_PROBE_UP && b->state != BBR_PROBE_UP && b->state != BBR_PROBE_RTT) {
        start_refill(cc);
    }
    b->undo_state = BBR_NONE;
}
