/* What BBR hears and what it sets: window, pacing rate and send quantum (draft-ietf-ccwg-bbr, "Algorithm Organization" and
 * "Updating Control Parameters"). CE marks are congestion as losses are: the draft leaves open how much of one. */
#include "recovery/cc_bbr.h"

#include "base/limits.h"

#define PACING_MARGIN 99u                        /* hundredths of the bandwidth that are used */
#define QUANTUM_MOST 65536u                      /* bytes */
#define QUANTUM (NEAP_SECOND / NEAP_MILLISECOND) /* of the rate: a millisecond */
#define SILENCE 2u                               /* timeouts of the probe timer in a row */
#define FIRST_RTT NEAP_MILLISECOND               /* before there is one */

/* ---- the window of before */

void neap_bbr_save_window(struct cc *cc)
{
    struct bbr *b = cc->state;
    bool is_cut = b->in_recovery || b->state == BBR_PROBE_RTT;

    b->prior_window = is_cut ? bbr_most(b->prior_window, cc->window) : cc->window;
}

void neap_bbr_restore_window(struct cc *cc)
{
    const struct bbr *b = cc->state;

    cc->window = bbr_most(cc->window, b->prior_window);
}

/* ---- control parameters */

/* SetSendQuantum. */
static void set_quantum(struct cc *cc)
{
    const struct bbr *b = cc->state;
    uint64_t quantum = bbr_least(cc->pacing_rate / QUANTUM, QUANTUM_MOST);

    cc->send_quantum = (uint32_t)bbr_most(quantum, 2 * b->datagram_size);
}

/* InitPacingRate: the first window in a round-trip time. */
static void init_pacing_rate(struct cc *cc, neap_time rtt)
{
    const struct bbr *b = cc->state;
    uint64_t rate = b->initial_window * NEAP_SECOND / (rtt ? rtt : 1);

    cc->pacing_rate = bbr_most(bbr_least(rate, BBR_RATE_MOST) * neap_bbr_pacing_gain(b) / 100, 1);
}

void neap_bbr_set_pacing_rate(struct cc *cc, uint64_t gain)
{
    const struct bbr *b = cc->state;
    uint64_t rate = b->bw * gain * PACING_MARGIN / 10000;

    if (rate > 0 && (b->full_bw_reached || rate > cc->pacing_rate))
        cc->pacing_rate = rate;
}

/* BoundCwndForModel. */
static uint64_t bound_window(const struct bbr *b)
{
    uint64_t cap = BBR_INFINITE;

    if (b->state == BBR_PROBE_RTT || b->state == BBR_PROBE_CRUISE)
        cap = neap_bbr_inflight_with_headroom(b);
    else if (bbr_is_probing_bw(b))
        cap = b->inflight_longterm;
    return bbr_most(bbr_least(cap, b->inflight_shortterm), neap_bbr_min_pipe(b));
}

static void set_window(struct cc *cc, const struct bbr_sample *rs)
{
    struct bbr *b = cc->state;

    b->max_inflight = neap_bbr_quantize(cc, neap_bbr_bdp(b, b->bw, neap_bbr_window_gain(b)) + b->extra_acked);
    if (b->full_bw_reached)
        cc->window = bbr_least(cc->window + rs->newly_acked, b->max_inflight);
    else if (cc->window < b->max_inflight || b->delivered < b->initial_window)
        cc->window += rs->newly_acked;
    cc->window = bbr_most(cc->window, neap_bbr_min_pipe(b));
    if (b->state == BBR_PROBE_RTT)
        cc->window = bbr_least(cc->window, neap_bbr_probe_rtt_window(b));
    cc->window = bbr_least(cc->window, bound_window(b));
}

/* ---- events */

static void bbr_init(struct cc *cc)
{
    struct bbr *b = cc->state;

    b->initial_window = cc->window;
    b->datagram_size = cc->window / 10; /* until it is told */
    b->undo_state = BBR_NONE;
    b->probe_up_acked_per_inc = BBR_INFINITE;
    neap_bbr_model_init(b);
    neap_bbr_enter_startup(cc);
    init_pacing_rate(cc, FIRST_RTT);
    set_quantum(cc);
}

static void look(struct bbr *b, uint64_t delivered, uint64_t datagram_size, neap_time now)
{
    b->now = now;
    b->delivered = delivered;
    b->datagram_size = datagram_size;
    if (b->has_begun)
        return;
    b->has_begun = true;
    b->min_rtt_stamp = b->probe_rtt_min_stamp = b->extra_acked_interval_start = now;
}

/* HandleRestartFromIdle. */
static void restart_from_idle(struct cc *cc)
{
    struct bbr *b = cc->state;

    b->idle_restart = true;
    b->extra_acked_interval_start = b->now;
    if (bbr_is_probing_bw(b))
        neap_bbr_set_pacing_rate(cc, 100);
    else if (b->state == BBR_PROBE_RTT)
        neap_bbr_check_probe_rtt_done(cc);
}

static void bbr_on_sent(struct cc *cc, const struct cc_packet *packet, uint64_t in_flight)
{
    struct bbr *b = cc->state;

    look(b, packet->delivered, packet->udp_payload_size, packet->now);
    if (in_flight == packet->size && packet->record->app_limited)
        restart_from_idle(cc);
    if (in_flight + packet->udp_payload_size > cc->window)
        b->is_window_full = true;
}

/* SaveStateUponLoss: once a recovery. The draft has it with the first loss of each round too, and a probe that losses end
 * begins one: the next packet of the same loss would overwrite what is to be restored. */
static void save_state(struct cc *cc)
{
    struct bbr *b = cc->state;

    neap_bbr_save_window(cc);
    /* As in recovery/reduction.c: what lasts allows another one to be undone. */
    if (b->undone > 0 && b->recovery_started && !b->is_disowned)
        b->undone--;
    b->is_disowned = false;
    b->undo_first = BBR_INFINITE;
    b->undo_state = BBR_NONE;
    b->undo_bw_shortterm = b->bw_shortterm;
    b->undo_inflight_shortterm = b->inflight_shortterm;
    b->undo_inflight_longterm = b->inflight_longterm;
    b->undo_packets = 0;
}

static void enter_recovery(struct cc *cc)
{
    struct bbr *b = cc->state;

    save_state(cc);
    b->in_recovery = true;
    b->recovery_started = b->now ? b->now : 1; /* 0 stands for never */
}

/* InflightAtLoss: how much of what was in flight the path took before losses reached 2 % of it. */
static uint64_t inflight_at_loss(uint64_t tx_in_flight, uint64_t lost, uint64_t size)
{
    uint64_t before = tx_in_flight - bbr_least(size, tx_in_flight),
             lost_before = lost - bbr_least(size, lost);

    /* (0.02 · before - lost_before) / 0.98 */
    return lost_before * 50 < before ? before + (before - lost_before * 50) / 49 : before;
}

static void note_loss_event(struct bbr *b)
{
    if (b->loss_events_in_round < UINT8_MAX)
        b->loss_events_in_round++;
}

static void bbr_on_packet_lost(struct cc *cc, const struct cc_packet *packet)
{
    struct bbr *b = cc->state;

    if (packet->is_size_probe)
        return;
    look(b, packet->delivered, packet->udp_payload_size, packet->now);
    if (!b->in_recovery && (b->recovery_started == 0 || packet->sent_at > b->recovery_started))
        enter_recovery(cc);
    if (b->undo_packets++ == 0 && b->undo_first == BBR_INFINITE) {
        b->undo_first = packet->number;
        b->undo_space = packet->space;
    }
    neap_bbr_note_loss(b);
    if (b->last_lost_number == BBR_INFINITE || packet->number != b->last_lost_number + 1)
        note_loss_event(b);
    b->last_lost_number = packet->number;
    if (!b->is_bw_probe_sample)
        return;
    uint64_t tx_in_flight = packet->record->in_flight, lost = packet->lost - packet->record->lost;
    if (bbr_is_inflight_too_high(lost, tx_in_flight))
        neap_bbr_on_inflight_too_high(cc, inflight_at_loss(tx_in_flight, lost, packet->size),
                                      packet->record->app_limited);
}

/* One congestion event a round trip, for those who count. Persistent congestion is QUIC's retransmission timeout (RFC
 * 9002 §7.6.2). */
static void bbr_on_loss(struct cc *cc, const struct cc_loss *loss)
{
    struct bbr *b = cc->state;

    if (cc_is_new_event(cc, loss->largest_lost_sent_at))
        cc->recovery_started = loss->now ? loss->now : 1;
    b->ce_pending = bbr_most(b->ce_pending, loss->ce_count); /* of the ACK that follows at once */
    if (!loss->is_persistent)
        return;
    if (!b->in_recovery)
        enter_recovery(cc);
    cc->window = neap_bbr_min_pipe(b);
}

static void take_ce(struct cc *cc, const struct bbr_sample *rs)
{
    struct bbr *b = cc->state;

    /* Whatever a peer counts, no more came than it acknowledges. */
    bool are_all = b->ce_pending >= rs->newly_acked / b->datagram_size;

    b->ce_in_round += are_all ? rs->newly_acked : b->ce_pending * b->datagram_size;
    b->ce_pending = 0;
    neap_bbr_note_loss(b);
    note_loss_event(b);
    if (b->is_bw_probe_sample)
        neap_bbr_on_inflight_too_high(cc, rs->tx_in_flight, rs->app_limited);
}

static struct bbr_sample sample_of(const struct cc_ack *ack)
{
    const struct cc_record *record = ack->record;
    neap_time rtt = ack->now > ack->largest_sent_at ? ack->now - ack->largest_sent_at : 0;

    return (struct bbr_sample){
        .rate = bbr_least(ack->delivery_rate, BBR_RATE_MOST),
        .delivered = ack->delivered - record->delivered,
        .prior_delivered = record->delivered,
        .newly_acked = ack->bytes,
        .tx_in_flight = record->in_flight,
        .lost = ack->lost - record->lost,
        .rtt = rtt,
        .app_limited = record->app_limited,
    };
}

static void bbr_on_ack(struct cc *cc, const struct cc_ack *ack)
{
    struct bbr *b = cc->state;
    struct bbr_sample rs = sample_of(ack);

    look(b, ack->delivered, ack->udp_payload_size, ack->now);
    b->in_flight = ack->in_flight_left;
    b->in_flight_before = ack->in_flight;
    if (!b->has_rtt) {
        b->has_rtt = true;
        init_pacing_rate(cc, rs.rtt);
    }
    if (b->ce_pending)
        take_ce(cc, &rs);
    /* Where nothing came through for so long there is no queue, and ProbeRTT would hold back behind what is still in flight
     * of before until the timer fires again, which now thinks the way long. */
    if (ack->timeouts >= SILENCE)
        b->idle_restart = true;
    neap_bbr_update_model(cc, &rs);
    neap_bbr_update_state(cc, &rs);
    neap_bbr_update_min_rtt(b, &rs);
    neap_bbr_check_probe_rtt(cc, &rs);
    neap_bbr_finish_model(b, &rs);
    if (b->in_recovery && ack->largest_sent_at > b->recovery_started) {
        b->in_recovery = false;
        neap_bbr_restore_window(cc);
    }
    neap_bbr_set_pacing_rate(cc, neap_bbr_pacing_gain(b));
    set_quantum(cc);
    set_window(cc, &rs);
}

/* What was lost before the recovery, or is of another space, says nothing of it. */
static uint64_t bbr_undo_floor(const struct cc *cc, uint8_t space)
{
    const struct bbr *b = cc->state;

    return b->undo_packets > 0 && b->undo_space == space ? b->undo_first : BBR_INFINITE;
}

/* The recovery was for nothing once all came of what it took for lost. */
static void bbr_on_spurious(struct cc *cc, uint64_t packets, uint64_t late, neap_time now)
{
    struct bbr *b = cc->state;

    (void)packets;
    if (b->undo_packets == 0)
        return;
    b->now = now;
    b->undo_packets -= bbr_least(late, b->undo_packets);
    if (b->undo_packets > 0)
        return;
    b->is_disowned = true;
    if (b->undone == LIMIT_UNDOS)
        return;
    b->undone++;
    neap_bbr_undo(cc);
}

static void bbr_tell(const struct cc *cc, struct cc_figures *out)
{
    const struct bbr *b = cc->state;

    out->max_bandwidth = b->max_bw;
    out->state = neap_bbr_state_name(b);
}

const struct cc_ops neap_cc_bbr = {
    .name = "bbr",
    .state_size = sizeof(struct bbr),
    .keeps_records = true,
    .draws = true,
    .paces = true,
    .init = bbr_init,
    .on_sent = bbr_on_sent,
    .on_packet_lost = bbr_on_packet_lost,
    .on_ack = bbr_on_ack,
    .on_loss = bbr_on_loss,
    .on_spurious = bbr_on_spurious,
    .undo_floor = bbr_undo_floor,
    .tell = bbr_tell,
};
