/* RTT (RFC 9002 §5), the controller and the pacer of one path. */
#include "recovery/path_recovery.h"

#include "base/limits.h"
#include "base/random.h"
#include "recovery/reduction.h"

#define GRANULARITY NEAP_MILLISECOND
#define PEER_LIMITED_SHARE \
    4u /* of the window: BBR's is twice of what is in flight where a peer takes no more */
#define PACKET_THRESHOLD 3u /* RFC 9002 §6.1.1 */
#define TIME_THRESHOLD 1u   /* eighths beyond the round trip (RFC 9002 §6.1.2) */

static const struct reordering initial_reordering = {.packets = PACKET_THRESHOLD, .eighths = TIME_THRESHOLD};

int neap_path_recovery_init(struct path_recovery *p, const struct path_settings *settings)
{
    *p = (struct path_recovery){
        .rtt = {.smoothed = settings->initial_rtt, .var = settings->initial_rtt / 2},
        .reordering = initial_reordering,
    };
    neap_pmtu_init(&p->pmtu, settings->most_udp_payload_size);
    neap_pacer_init(&p->pacer, settings->pacing || settings->cc->paces, p->pmtu.size);
    neap_ecn_init(&p->ecn, settings->ecn);
    p->burst_left = neap_cc_initial_window(p->pmtu.size);
    int error = neap_cc_new(&p->cc, settings->cc, settings->pool, p->pmtu.size);
    if (!error && settings->cc->draws && settings->random)
        p->cc.random = neap_random_u64(settings->random);
    return error;
}

void neap_path_recovery_free(struct path_recovery *p, struct pool *pool)
{
    neap_cc_free(&p->cc, pool);
}

void neap_path_recovery_restart(struct path_recovery *p)
{
    p->pto_count = 0;
    neap_cc_restart(&p->cc, p->pmtu.size);
    neap_pacer_init(&p->pacer, p->pacer.enabled, p->pmtu.size);
    p->burst_left = neap_cc_initial_window(p->pmtu.size);
}

/* The mark that the next byte delivered is behind. */
static uint64_t least_mark(const struct path_recovery *p)
{
    uint64_t mark = p->delivered + p->bytes_in_flight;

    return mark ? mark : 1; /* 0: none */
}

void neap_path_recovery_continue(struct path_recovery *p, const struct path_recovery *from)
{
    p->rtt = from->rtt;
    neap_cc_copy(&p->cc, &from->cc);
    p->pacer = from->pacer;
    p->delivered = from->delivered;
    p->delivered_at = from->delivered_at;
    p->first_sent_at = from->first_sent_at;
    p->app_limited_until = from->app_limited_until;
    p->window_full_at = from->window_full_at;
    p->burst_left = from->burst_left;
    p->delivery_rate = from->delivery_rate;
    p->app_limited = from->app_limited;
    p->reordering = from->reordering;
    neap_pmtu_continue(&p->pmtu, &from->pmtu);
}

/* ---- times */

neap_time neap_path_recovery_pto(const struct path_recovery *p)
{
    neap_time var = 4 * p->rtt.var;

    return p->rtt.smoothed + (var > GRANULARITY ? var : GRANULARITY);
}

/* A way that was gone for minutes is found soon after it is there again: without a bound on the time the next probe may be
 * as far away as the silence was long. */
neap_time neap_path_recovery_backed_off(const struct path_recovery *p, neap_time duration)
{
    neap_time most = duration > LIMIT_PTO ? duration : LIMIT_PTO;
    neap_time longer = duration << (p->pto_count < LIMIT_PTO_BACKOFF ? p->pto_count : LIMIT_PTO_BACKOFF);

    return longer < most ? longer : most;
}

neap_time neap_path_recovery_loss_delay(const struct path_recovery *p)
{
    neap_time rtt = p->rtt.latest > p->rtt.smoothed ? p->rtt.latest : p->rtt.smoothed;
    neap_time delay = rtt + rtt * p->reordering.eighths / 8;

    return delay > GRANULARITY ? delay : GRANULARITY;
}

void neap_path_recovery_update_rtt(struct path_recovery *p, neap_time latest, neap_time ack_delay,
                                   neap_time now)
{
    struct rtt *rtt = &p->rtt;

    rtt->latest = latest;
    if (!rtt->has_sample) {
        *rtt = (struct rtt){.latest = latest,
                            .smoothed = latest,
                            .var = latest / 2,
                            .min = latest,
                            .max = latest,
                            .first_sample_at = now,
                            .has_sample = true};
        return;
    }
    if (latest < rtt->min)
        rtt->min = latest;
    if (latest > rtt->max)
        rtt->max = latest;
    neap_time adjusted = latest - rtt->min >= ack_delay ? latest - ack_delay : latest;
    neap_time off = rtt->smoothed > adjusted ? rtt->smoothed - adjusted : adjusted - rtt->smoothed;
    rtt->var = (3 * rtt->var + off) / 4;
    rtt->smoothed = (7 * rtt->smoothed + adjusted) / 8;
}

void neap_path_recovery_guess_rtt(struct path_recovery *p, neap_time guess)
{
    struct rtt *rtt = &p->rtt;

    if (guess == 0 || rtt->has_sample || guess >= rtt->smoothed)
        return;
    rtt->smoothed = guess > GRANULARITY ? guess : GRANULARITY;
    rtt->var = rtt->smoothed / 2;
}

/* ---- sending */

void neap_path_recovery_update_pacer(struct path_recovery *p)
{
    uint64_t rate = p->cc.pacing_rate;

    if (rate == 0 && p->rtt.has_sample && p->rtt.smoothed) {
        /* 5/4 of a window a round trip (RFC 9002 §7.7); seconds come last where the product would not fit. */
        uint64_t bytes = p->cc.window / 4 * 5;

        rate = bytes < UINT64_MAX / NEAP_SECOND ? bytes * NEAP_SECOND / p->rtt.smoothed
                                                : bytes / p->rtt.smoothed * NEAP_SECOND;
    }
    neap_pacer_update(&p->pacer, rate, p->pmtu.size);
    if (p->cc.send_quantum)
        neap_pacer_set_quantum(&p->pacer, p->cc.send_quantum);
}

static void fill_record(struct path_recovery *p, struct cc_record *record, uint64_t size, neap_time now)
{
    /* What begins out of silence is measured from here. */
    if (p->bytes_in_flight == 0)
        p->first_sent_at = p->delivered_at = now;
    *record = (struct cc_record){
        .delivered = p->delivered,
        .lost = p->counters.bytes_lost,
        .in_flight = p->bytes_in_flight + size,
        .delivered_at = p->delivered_at,
        .first_sent_at = p->first_sent_at,
        .app_limited = p->app_limited_until != 0,
    };
}

/* A burst begins anew out of silence: without a pacer that is an initial window. */
static bool is_silent(const struct path_recovery *p, neap_time now)
{
    return p->bytes_in_flight == 0 && now > p->delivered_at;
}

uint64_t neap_path_recovery_burst_left(const struct path_recovery *p, neap_time now)
{
    if (p->pacer.enabled)
        return UINT64_MAX;
    return is_silent(p, now) ? neap_cc_initial_window(p->pmtu.size) : p->burst_left;
}

static void take_from_burst(struct path_recovery *p, uint64_t size, neap_time now)
{
    uint64_t left = neap_path_recovery_burst_left(p, now);

    p->burst_left = left > size ? left - size : 0;
}

void neap_path_recovery_on_sent(struct path_recovery *p, uint64_t size, struct cc_record *record,
                                neap_time now)
{
    if (!p->pacer.enabled)
        take_from_burst(p, size, now);
    if (record)
        fill_record(p, record, size, now);
    if (p->bytes_in_flight == 0)
        p->flight_began_at = now;
    p->bytes_in_flight += size;
    if (p->bytes_in_flight + p->pmtu.size > p->cc.window)
        p->window_full_at = now;
    if (p->cc.ops->on_sent) {
        struct cc_packet packet = {
            .size = size,
            .sent_at = now,
            .record = record,
            .delivered = p->delivered,
            .lost = p->counters.bytes_lost,
            .udp_payload_size = p->pmtu.size,
            .now = now,
        };
        uint64_t rate = p->cc.pacing_rate;

        p->cc.ops->on_sent(&p->cc, &packet, p->bytes_in_flight);
        if (p->cc.pacing_rate != rate)
            neap_path_recovery_update_pacer(p);
    }
    if (p->cc.is_recovering)
        neap_reduction_on_sent(&p->cc, size);
    neap_pacer_sent(&p->pacer, size);
}

uint64_t neap_path_recovery_window_left(const struct path_recovery *p)
{
    if (p->cc.is_recovering)
        return neap_reduction_quota(&p->cc);
    return p->cc.window > p->bytes_in_flight ? p->cc.window - p->bytes_in_flight : 0;
}

void neap_path_recovery_set_app_limited(struct path_recovery *p, bool app_limited, bool has_unsent)
{
    bool is_peer_limited = has_unsent && p->bytes_in_flight >= p->cc.window / PEER_LIMITED_SHARE;

    p->app_limited = app_limited;
    if (app_limited && !is_peer_limited)
        p->app_limited_until = least_mark(p);
}

/* ---- how slow start ended: that ssthresh is known from now on tells it of all that have one */

static bool is_first_slow_start(const struct cc *cc)
{
    return cc->ssthresh == UINT64_MAX;
}

static void note_exit(struct path_recovery *p, uint64_t window, enum cc_exit_reason reason)
{
    neap_time microseconds = p->rtt.smoothed / 1000 + 1;

    if (is_first_slow_start(&p->cc))
        return;
    p->cc.startup_exit = (struct cc_exit){
        .window = window,
        .bandwidth = p->delivery_rate ? p->delivery_rate : window * (NEAP_SECOND / 1000) / microseconds,
        .reason = reason,
    };
}

struct cc_figures neap_path_recovery_figures(const struct path_recovery *p)
{
    struct cc_figures figures = {.delivery_rate = p->delivery_rate, .startup_exit = p->cc.startup_exit};

    if (p->cc.ops->tell)
        p->cc.ops->tell(&p->cc, &figures);
    return figures;
}

static enum cc_exit_reason reason_of(const struct cc_loss *loss)
{
    return loss->is_persistent ? CC_EXIT_PERSISTENT : loss->ce_count ? CC_EXIT_ECN : CC_EXIT_LOSS;
}

/* ---- what became of it */

void neap_path_recovery_land(struct path_recovery *p, uint64_t bytes, neap_time now)
{
    p->bytes_in_flight -= bytes;
    if (p->bytes_in_flight == 0)
        p->counters.in_flight_time += now - p->flight_began_at;
}

neap_time neap_path_recovery_in_flight_time(const struct path_recovery *p, neap_time now)
{
    neap_time since = p->bytes_in_flight > 0 && now > p->flight_began_at ? now - p->flight_began_at : 0;

    return p->counters.in_flight_time + since;
}

void neap_path_recovery_on_packet(struct path_recovery *p, bool is_acked, const struct cc_packet *packet)
{
    const struct cc_ops *ops = p->cc.ops;

    if (is_acked && ops->on_packet_acked)
        ops->on_packet_acked(&p->cc, packet);
    else if (!is_acked && ops->on_packet_lost)
        ops->on_packet_lost(&p->cc, packet);
}

void neap_path_recovery_on_size_probe_lost(struct path_recovery *p, const struct cc_packet *packet)
{
    neap_path_recovery_land(p, packet->size, packet->now);
    neap_path_recovery_on_packet(p, false, packet);
    neap_pmtu_on_probe_lost(&p->pmtu, (uint16_t)packet->size);
}

/* ---- congestion events */

/* Tells the controller, and what goes on beside it. */
static void on_congestion(struct path_recovery *p, const struct cc_loss *loss,
                          const struct reduction_cause *cause)
{
    struct cc *cc = &p->cc;
    bool is_new = cc_is_new_event(cc, loss->largest_lost_sent_at);

    if (is_new && cc_reduces(cc))
        neap_reduction_begin(cc, cause);
    if (cc_reduces(cc) && cause->packets)
        neap_reduction_add(cc, cause);
    else if (cc_reduces(cc))
        neap_reduction_confirm(cc);
    bool is_first = is_first_slow_start(cc);
    uint64_t window = cc->window;

    cc->ops->on_loss(cc, loss);
    if (is_first)
        note_exit(p, window, reason_of(loss));
    if (is_new)
        p->counters.congestion_events++;
    if (is_new || loss->is_persistent)
        cc->is_recovering = cc_reduces(cc) && cc->recovery_started != 0;
    if (is_new) {
        p->reordering.has_grown = false;
        if (++p->reordering.events > LIMIT_REORDERING_EVENTS)
            p->reordering = initial_reordering;
    }
}

void neap_path_recovery_on_ce(struct path_recovery *p, uint64_t count, neap_time sent_at, neap_time now)
{
    struct reduction_cause cause = {.in_flight = p->bytes_in_flight, .udp_payload_size = p->pmtu.size};
    struct cc_loss loss = {
        .largest_lost_sent_at = sent_at,
        .udp_payload_size = p->pmtu.size,
        .ce_count = count,
        .now = now,
    };

    p->counters.ecn_ce += count;
    on_congestion(p, &loss, &cause);
}

void neap_path_recovery_on_lost(struct path_recovery *p, const struct newly_lost *lost, neap_time now)
{
    if (lost->packets == 0)
        return;
    struct reduction_cause cause = {
        .first_lost = lost->first_number,
        .packets = lost->packets,
        .in_flight = p->bytes_in_flight,
        .udp_payload_size = p->pmtu.size,
        .space = lost->space,
    };
    struct cc_loss loss = {
        .bytes = lost->bytes,
        .largest_lost_sent_at = lost->largest_sent_at,
        .udp_payload_size = p->pmtu.size,
        .is_persistent = lost->is_persistent,
        .now = now,
    };

    p->counters.packets_lost += lost->packets;
    p->counters.bytes_lost += lost->bytes;
    neap_path_recovery_land(p, lost->bytes, now);
    on_congestion(p, &loss, &cause);
    if (!lost->is_persistent)
        return;
    /* RFC 9002 §5.2: the way may be another one now, so that the old minimum says nothing, nor does how late packets were. */
    p->counters.congestion_persistent++;
    p->rtt.min = p->rtt.latest;
    p->reordering = initial_reordering;
}

/* ---- packets that were late, not lost */

uint64_t neap_path_recovery_undo_floor(const struct path_recovery *p, uint8_t space)
{
    if (p->cc.ops->undo_floor)
        return p->cc.ops->undo_floor(&p->cc, space);
    return cc_reduces(&p->cc) ? neap_reduction_floor(&p->cc, space) : UINT64_MAX;
}

/* Where packets sent later came so much earlier, more of them have to; where fewer did, it was the time. */
static void tolerate(struct reordering *r, uint64_t distance)
{
    r->events = 0;
    if (distance >= r->packets) {
        r->packets = distance < LIMIT_REORDERING_PACKETS ? (uint8_t)(distance + 1) : LIMIT_REORDERING_PACKETS;
    } else if (!r->has_grown && r->eighths < LIMIT_REORDERING_EIGHTHS) {
        r->eighths++;
        r->has_grown = true;
    }
}

void neap_path_recovery_on_spurious(struct path_recovery *p, const struct sent_spurious *spurious,
                                    uint64_t largest, neap_time now)
{
    p->counters.spurious_losses += spurious->count;
    tolerate(&p->reordering, largest - spurious->least);
    if (p->cc.ops->on_spurious)
        p->cc.ops->on_spurious(&p->cc, spurious->count, spurious->late, now);
    if (spurious->late && cc_reduces(&p->cc)) {
        enum reduction_fate fate = neap_reduction_on_spurious(&p->cc, spurious->late);

        p->counters.congestion_undone += fate == REDUCTION_UNDONE;
        p->counters.congestion_undo_refused += fate == REDUCTION_REFUSED;
    }
    /* An ACK that has nothing else comes no further than here. */
    if (spurious->late)
        neap_path_recovery_update_pacer(p);
}

/* ---- acknowledgements */

/* `fresh_bytes` was counted before the losses of the same ACK were known: a recovery that began with them holds all
 * that it acknowledges, persistent congestion ended any. */
static void correct_fresh_bytes(const struct path_recovery *p, struct newly_acked *acked,
                                neap_time recovery_before)
{
    if (p->cc.recovery_started == 0)
        acked->fresh_bytes = acked->bytes;
    else if (p->cc.recovery_started != recovery_before)
        acked->fresh_bytes = 0;
}

/* The slower of how it was sent and how it was acknowledged; samples shorter than the least RTT are compressed ACKs. */
static uint64_t delivery_rate(const struct path_recovery *p, const struct newly_acked *acked, neap_time now)
{
    const struct cc_record *record = acked->record;

    if (!record)
        return 0;
    uint64_t delivered = p->delivered - record->delivered;
    neap_time sending = acked->largest_sent_at - record->first_sent_at;
    neap_time acking = now > record->delivered_at ? now - record->delivered_at : 0;
    neap_time interval = sending > acking ? sending : acking;

    if (interval == 0 || interval < p->rtt.min || delivered >= UINT64_MAX / NEAP_SECOND)
        return 0;
    return delivered * NEAP_SECOND / interval;
}

void neap_path_recovery_on_acked(struct path_recovery *p, struct newly_acked *acked, uint64_t in_flight,
                                 neap_time recovery_before, neap_time now)
{
    if (acked->bytes == 0)
        return;
    correct_fresh_bytes(p, acked, recovery_before);
    neap_path_recovery_land(p, acked->bytes, now);
    p->counters.bytes_acked += acked->bytes;
    /* No faster than slow start, which leaves twice what came. */
    p->burst_left = 2 * acked->bytes + neap_cc_initial_window(p->pmtu.size);
    p->delivered_at = now;
    if (p->app_limited_until && p->delivered > p->app_limited_until)
        p->app_limited_until = 0;
    struct cc_ack ack = {
        .bytes = acked->bytes,
        .fresh_bytes = acked->fresh_bytes,
        .largest_sent_at = acked->largest_sent_at,
        .rtt = p->rtt.latest,
        .rtt_min = p->rtt.min,
        .rtt_smoothed = p->rtt.smoothed,
        .flight_began_at = p->flight_began_at,
        .in_flight = in_flight,
        .in_flight_left = p->bytes_in_flight,
        .delivered = p->delivered,
        .lost = p->counters.bytes_lost,
        .record = acked->record,
        .delivery_rate = delivery_rate(p, acked, now),
        .udp_payload_size = p->pmtu.size,
        .timeouts = p->pto_count,
        .app_limited = p->app_limited && acked->largest_sent_at > p->window_full_at,
        .is_unpaced = !p->pacer.enabled,
        .rate_app_limited = acked->record && acked->record->app_limited,
        .now = now,
    };
    bool is_first = is_first_slow_start(&p->cc);
    uint64_t window = p->cc.window;

    p->first_sent_at = acked->largest_sent_at;
    if (ack.delivery_rate)
        p->delivery_rate = ack.delivery_rate;
    p->cc.ops->on_ack(&p->cc, &ack);
    /* Recovery ends with what was sent in it (RFC 9002 §7.3.2). */
    if (p->cc.is_recovering && acked->fresh_bytes)
        p->cc.is_recovering = false;
    else if (p->cc.is_recovering)
        neap_reduction_on_acked(&p->cc, acked->bytes, p->bytes_in_flight, acked->has_losses, p->pmtu.size);
    if (is_first)
        note_exit(p, window, CC_EXIT_HYSTART);
    if (p->cc.holds_back) {
        p->cc.holds_back = false;
        p->app_limited_until = least_mark(p);
    }
}
