/* RTT (RFC 9002 §5), the controller and the pacer of one path. */
#include "recovery/path_recovery.h"

#include "base/limits.h"

#define GRANULARITY NEAP_MILLISECOND

int neap_path_recovery_init(struct path_recovery *p, const struct path_settings *settings)
{
    *p = (struct path_recovery){
        .rtt = {.smoothed = settings->initial_rtt, .var = settings->initial_rtt / 2},
    };
    neap_pmtu_init(&p->pmtu, settings->most_udp_payload_size);
    neap_pacer_init(&p->pacer, settings->pacing, p->pmtu.size);
    return neap_cc_new(&p->cc, settings->cc, settings->pool, p->pmtu.size);
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
    /* What is in flight there is not delivered here: what is sent from now on is measured against what was. */
    p->delivered = from->delivered;
    p->app_limited_until = from->app_limited_until ? least_mark(p) : 0;
    neap_pmtu_continue(&p->pmtu, &from->pmtu);
}

/* ---- times */

neap_time neap_path_recovery_pto(const struct path_recovery *p)
{
    neap_time var = 4 * p->rtt.var;

    return p->rtt.smoothed + (var > GRANULARITY ? var : GRANULARITY);
}

neap_time neap_path_recovery_backed_off(const struct path_recovery *p, neap_time duration)
{
    return duration << (p->pto_count < LIMIT_PTO_BACKOFF ? p->pto_count : LIMIT_PTO_BACKOFF);
}

neap_time neap_path_recovery_loss_delay(const struct path_recovery *p)
{
    neap_time rtt = p->rtt.latest > p->rtt.smoothed ? p->rtt.latest : p->rtt.smoothed;
    neap_time delay = rtt + rtt / 8;

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
                            .first_sample_at = now,
                            .has_sample = true};
        return;
    }
    if (latest < rtt->min)
        rtt->min = latest;
    neap_time adjusted = latest - rtt->min >= ack_delay ? latest - ack_delay : latest;
    neap_time off = rtt->smoothed > adjusted ? rtt->smoothed - adjusted : adjusted - rtt->smoothed;
    rtt->var = (3 * rtt->var + off) / 4;
    rtt->smoothed = (7 * rtt->smoothed + adjusted) / 8;
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

void neap_path_recovery_on_sent(struct path_recovery *p, uint64_t size, struct cc_record *record,
                                neap_time now)
{
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
        p->cc.ops->on_sent(&p->cc, &packet, p->bytes_in_flight);
    }
    neap_pacer_sent(&p->pacer, size);
}

uint64_t neap_path_recovery_window_left(const struct path_recovery *p)
{
    return p->cc.window > p->bytes_in_flight ? p->cc.window - p->bytes_in_flight : 0;
}

void neap_path_recovery_set_app_limited(struct path_recovery *p, bool app_limited, bool has_unsent)
{
    p->app_limited = app_limited;
    if (app_limited && !has_unsent)
        p->app_limited_until = least_mark(p);
}

/* ---- what became of it */

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
    p->bytes_in_flight -= packet->size;
    neap_path_recovery_on_packet(p, false, packet);
    neap_pmtu_on_probe_lost(&p->pmtu, (uint16_t)packet->size);
}

void neap_path_recovery_on_ce(struct path_recovery *p, uint64_t count, neap_time sent_at, neap_time now)
{
    struct cc_loss loss = {
        .largest_lost_sent_at = sent_at,
        .udp_payload_size = p->pmtu.size,
        .ce_count = count,
        .now = now,
    };

    p->cc.ops->on_loss(&p->cc, &loss);
}

void neap_path_recovery_on_spurious(struct path_recovery *p, uint64_t count, neap_time now)
{
    p->counters.spurious_losses += count;
    if (p->cc.ops->on_spurious)
        p->cc.ops->on_spurious(&p->cc, count, now);
}

void neap_path_recovery_on_lost(struct path_recovery *p, const struct newly_lost *lost, neap_time now)
{
    if (lost->packets == 0)
        return;
    p->counters.packets_lost += lost->packets;
    p->counters.bytes_lost += lost->bytes;
    p->bytes_in_flight -= lost->bytes;
    struct cc_loss loss = {
        .bytes = lost->bytes,
        .largest_lost_sent_at = lost->largest_sent_at,
        .udp_payload_size = p->pmtu.size,
        .is_persistent = lost->is_persistent,
        .now = now,
    };
    p->cc.ops->on_loss(&p->cc, &loss);
    /* RFC 9002 §5.2: the way may be another one now, so that the old minimum says nothing. */
    if (lost->is_persistent)
        p->rtt.min = p->rtt.latest;
}

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
    p->bytes_in_flight -= acked->bytes;
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
        .app_limited = p->app_limited && acked->largest_sent_at > p->window_full_at,
        .is_unpaced = !p->pacer.enabled,
        .rate_app_limited = acked->record && acked->record->app_limited,
        .now = now,
    };
    p->first_sent_at = acked->largest_sent_at;
    p->cc.ops->on_ack(&p->cc, &ack);
}
