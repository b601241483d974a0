/* RTT, loss detection and the probe timer (RFC 9002 §5, §6, appendix A), persistent congestion (§7.6). */
#include "recovery/loss.h"

#define PACKET_THRESHOLD 3u
#define GRANULARITY NEAP_MILLISECOND
#define PERSISTENT_PTOS 3u
#define DEFAULT_MAX_ACK_DELAY (25 * NEAP_MILLISECOND)

static bool completed_address_validation(const struct recovery *r)
{
    return r->peer_validated;
}

void neap_recovery_init(struct recovery *r, bool is_server, neap_time initial_rtt, uint64_t udp_payload_size,
                        bool pacing, const struct cc_ops *cc)
{
    *r = (struct recovery){
        .rtt = {.smoothed = initial_rtt, .var = initial_rtt / 2},
        .initial_rtt = initial_rtt,
        .max_ack_delay = DEFAULT_MAX_ACK_DELAY,
        .peer_validated = is_server,
        .timer = NEAP_NEVER,
    };
    for (int i = 0; i < SPACES; i++) {
        r->largest_acked[i] = UINT64_MAX;
        r->loss_at[i] = NEAP_NEVER;
    }
    neap_cc_init(&r->cc, cc, udp_payload_size);
    neap_pacer_init(&r->pacer, pacing, udp_payload_size);
}

/* ---- timer */

/* PTO without backoff and without the peer's delay. */
static neap_time base_pto(const struct recovery *r)
{
    neap_time var = 4 * r->rtt.var;

    return r->rtt.smoothed + (var > GRANULARITY ? var : GRANULARITY);
}

neap_time neap_recovery_pto(const struct recovery *r, enum space space)
{
    return base_pto(r) + (space == SPACE_APPLICATION ? r->max_ack_delay : 0);
}

static neap_time backed_off(const struct recovery *r, neap_time duration)
{
    return duration << (r->pto_count < LIMIT_PTO_BACKOFF ? r->pto_count : LIMIT_PTO_BACKOFF);
}

/* Ack-eliciting packets are in flight for which a probe may be sent: none in the application space before the
 * handshake is confirmed (RFC 9002 §6.2.1). */
static bool is_probed(const struct recovery *r, enum space space)
{
    const struct sent *s = r->sent[space];

    return s && s->eliciting_in_flight && (space != SPACE_APPLICATION || r->handshake_confirmed);
}

static neap_time earliest_loss(const struct recovery *r, enum space *space)
{
    neap_time at = NEAP_NEVER;

    for (enum space i = SPACE_INITIAL; i < SPACES; i++) {
        if (r->loss_at[i] < at) {
            at = r->loss_at[i];
            *space = i;
        }
    }
    return at;
}

/* When and where to probe; NEAP_NEVER when there is nothing to probe for. A client whose address may not be validated
 * goes on without anything in flight: the server could be at its amplification limit (RFC 9002 §6.2.2.1). */
static neap_time earliest_probe(const struct recovery *r, enum space *space, neap_time now)
{
    neap_time at = NEAP_NEVER;

    for (enum space i = SPACE_INITIAL; i < SPACES; i++) {
        if (!is_probed(r, i))
            continue;
        neap_time probe_at = r->last_eliciting_at[i] + backed_off(r, neap_recovery_pto(r, i));

        if (probe_at < at) {
            at = probe_at;
            *space = i;
        }
    }
    if (at == NEAP_NEVER && !completed_address_validation(r)) {
        at = now + backed_off(r, base_pto(r));
        *space = r->sent[SPACE_HANDSHAKE] ? SPACE_HANDSHAKE : SPACE_INITIAL;
    }
    return at;
}

void neap_recovery_set_timer(struct recovery *r, neap_time now)
{
    enum space space;

    r->timer = earliest_loss(r, &space);
    if (r->timer == NEAP_NEVER && !r->amplification_limited)
        r->timer = earliest_probe(r, &space, now);
}

/* ---- sending */

static void update_pacer(struct recovery *r)
{
    uint64_t rate = r->cc.pacing_rate;

    if (rate == 0 && r->rtt.has_sample && r->rtt.smoothed) {
        /* 5/4 of a window a round trip (RFC 9002 §7.7); seconds come last where the product would not fit. */
        uint64_t bytes = r->cc.window / 4 * 5;

        rate = bytes < UINT64_MAX / NEAP_SECOND ? bytes * NEAP_SECOND / r->rtt.smoothed
                                                : bytes / r->rtt.smoothed * NEAP_SECOND;
    }
    neap_pacer_update(&r->pacer, rate, r->cc.udp_payload_size);
}

void neap_recovery_on_sent(struct recovery *r, enum space space, const struct sent_packet *p, neap_time now)
{
    if (!p->in_flight)
        return;
    if (p->ack_eliciting)
        r->last_eliciting_at[space] = now;
    r->bytes_in_flight += p->size;
    if (r->bytes_in_flight + r->cc.udp_payload_size > r->cc.window)
        r->window_full_at = now;
    r->cc.ops->on_sent(&r->cc, p->size, r->bytes_in_flight, now);
    neap_pacer_sent(&r->pacer, p->size);
    neap_recovery_set_timer(r, now);
}

uint64_t neap_recovery_window_left(const struct recovery *r)
{
    return r->cc.window > r->bytes_in_flight ? r->cc.window - r->bytes_in_flight : 0;
}

/* ---- acknowledgements */

neap_time neap_recovery_ack_delay(uint64_t wire, unsigned exponent)
{
    return wire > (UINT64_MAX >> exponent) / 1000 ? UINT64_MAX : (wire << exponent) * 1000;
}

/* RFC 9002 §5.3. */
static void update_rtt(struct recovery *r, neap_time latest, neap_time ack_delay, neap_time now)
{
    struct rtt *rtt = &r->rtt;

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
    if (r->handshake_confirmed && ack_delay > r->max_ack_delay)
        ack_delay = r->max_ack_delay;
    neap_time adjusted = latest - rtt->min >= ack_delay ? latest - ack_delay : latest;
    neap_time off = rtt->smoothed > adjusted ? rtt->smoothed - adjusted : adjusted - rtt->smoothed;
    rtt->var = (3 * rtt->var + off) / 4;
    rtt->smoothed = (7 * rtt->smoothed + adjusted) / 8;
}

/* The packets that one ACK newly acknowledges. */
struct newly_acked {
    bool any, eliciting;
    uint64_t largest;
    neap_time largest_sent_at;
    uint64_t largest_delivered; /* what had been delivered when it was sent */
    uint64_t bytes, fresh_bytes;
};

static void note_acked(const struct recovery *r, const struct sent_packet *p, struct newly_acked *acked)
{
    if (!acked->any || p->number > acked->largest) {
        acked->largest = p->number;
        acked->largest_sent_at = p->at;
        acked->largest_delivered = p->delivered;
    }
    acked->any = true;
    acked->eliciting |= p->ack_eliciting;
    if (!p->in_flight)
        return;
    acked->bytes += p->size;
    if (r->cc.recovery_started == 0 || p->at > r->cc.recovery_started)
        acked->fresh_bytes += p->size;
}

static struct newly_acked mark_acked(struct recovery *r, struct sent *s, const struct ack_ranges *ack)
{
    struct newly_acked acked = {0};

    for (size_t i = 0; i < ack->count; i++) {
        const struct range *range = &ack->ranges[i];
        uint32_t index = neap_sent_lower_bound(s, range->start);
        struct sent_packet *p;

        for (; (p = neap_sent_at(s, index)) && p->number < range->end; index++) {
            if (p->fate != FATE_IN_FLIGHT)
                continue;
            note_acked(r, p, &acked);
            neap_sent_decide(s, index, FATE_ACKED);
        }
        if (s->lost_count)
            r->spurious_losses += neap_sent_count_spurious(s, range->start, range->end);
    }
    return acked;
}

/* ---- losses */

struct newly_lost {
    uint64_t packets, bytes; /* in flight */
    neap_time largest_sent_at;
    bool is_persistent;
};

/* Lost ack-eliciting packets with nothing acknowledged between them (RFC 9002 §7.6.2). */
struct lost_run {
    bool is_open;
    neap_time first_sent_at;
};

static bool is_acked(const struct sent_packet *p)
{
    return p->outcome == FATE_ACKED;
}

/* Whether this lost packet makes the run long enough. Only packets sent after the first RTT sample count. */
static bool extend_run(const struct recovery *r, struct lost_run *run, const struct sent_packet *p)
{
    neap_time least = (base_pto(r) + r->max_ack_delay) * PERSISTENT_PTOS;

    if (!p->ack_eliciting || !r->rtt.has_sample || p->at <= r->rtt.first_sample_at)
        return false;
    if (!run->is_open) {
        *run = (struct lost_run){.is_open = true, .first_sent_at = p->at};
        return false;
    }
    return p->at - run->first_sent_at > least;
}

static neap_time loss_delay(const struct recovery *r)
{
    neap_time rtt = r->rtt.latest > r->rtt.smoothed ? r->rtt.latest : r->rtt.smoothed;
    neap_time delay = rtt + rtt / 8;

    return delay > GRANULARITY ? delay : GRANULARITY;
}

static void note_lost(const struct recovery *r, const struct sent_packet *p, struct lost_run *run,
                      struct newly_lost *lost)
{
    if (!p->in_flight)
        return;
    lost->packets++;
    lost->bytes += p->size;
    if (p->at > lost->largest_sent_at)
        lost->largest_sent_at = p->at;
    lost->is_persistent |= extend_run(r, run, p);
}

/* RFC 9002 A.10. What elicits no acknowledgement is forgotten here once something newer was acknowledged. */
static struct newly_lost mark_lost(struct recovery *r, enum space space, neap_time now)
{
    struct sent *s = r->sent[space];
    struct newly_lost lost = {0};
    struct lost_run run = {0};
    uint64_t largest = r->largest_acked[space];
    neap_time delay = loss_delay(r);
    struct sent_packet *p;

    r->loss_at[space] = NEAP_NEVER;
    for (uint32_t i = 0; (p = neap_sent_at(s, i)) && p->number <= largest; i++) {
        if (is_acked(p)) {
            run.is_open = false;
        } else if (p->fate != FATE_IN_FLIGHT) {
            if (p->outcome == FATE_LOST)
                extend_run(r, &run, p);
        } else if (!p->in_flight && !p->ack_eliciting) {
            neap_sent_decide(s, i, FATE_TAKEN);
        } else if (largest - p->number >= PACKET_THRESHOLD || p->at + delay <= now) {
            note_lost(r, p, &run, &lost);
            neap_sent_decide(s, i, FATE_LOST);
        } else if (p->at + delay < r->loss_at[space]) {
            r->loss_at[space] = p->at + delay;
        }
    }
    return lost;
}

static void apply_lost(struct recovery *r, const struct newly_lost *lost, neap_time now)
{
    if (lost->packets == 0)
        return;
    r->packets_lost += lost->packets;
    r->bytes_lost += lost->bytes;
    r->bytes_in_flight -= lost->bytes;
    struct cc_loss loss = {
        .bytes = lost->bytes,
        .largest_lost_sent_at = lost->largest_sent_at,
        .is_persistent = lost->is_persistent,
        .now = now,
    };
    r->cc.ops->on_loss(&r->cc, &loss);
    /* RFC 9002 §5.2: the path may be another one now, so that the old minimum says nothing. */
    if (lost->is_persistent)
        r->rtt.min = r->rtt.latest;
}

/* `fresh_bytes` was counted before the losses of the same ACK were known: a recovery that began with them holds all
 * that it acknowledges, persistent congestion ended any. */
static void correct_fresh_bytes(const struct recovery *r, struct newly_acked *acked,
                                neap_time recovery_before)
{
    if (r->cc.recovery_started == 0)
        acked->fresh_bytes = acked->bytes;
    else if (r->cc.recovery_started != recovery_before)
        acked->fresh_bytes = 0;
}

static uint64_t delivery_rate(const struct recovery *r, const struct newly_acked *acked, neap_time now)
{
    uint64_t delivered = r->delivered - acked->largest_delivered;

    if (now <= acked->largest_sent_at || delivered >= UINT64_MAX / NEAP_SECOND)
        return 0;
    return delivered * NEAP_SECOND / (now - acked->largest_sent_at);
}

static void apply_acked(struct recovery *r, const struct newly_acked *acked, uint64_t in_flight,
                        neap_time now)
{
    if (acked->bytes == 0)
        return;
    r->bytes_in_flight -= acked->bytes;
    r->delivered += acked->bytes;
    struct cc_ack ack = {
        .bytes = acked->bytes,
        .fresh_bytes = acked->fresh_bytes,
        .largest_sent_at = acked->largest_sent_at,
        .rtt = r->rtt.latest,
        .rtt_min = r->rtt.min,
        .in_flight = in_flight,
        .delivery_rate = delivery_rate(r, acked, now),
        .app_limited = r->app_limited && acked->largest_sent_at > r->window_full_at,
        .now = now,
    };
    r->cc.ops->on_ack(&r->cc, &ack);
}

/* ---- what quic/ calls */

static int check_sent(const struct sent *s, const struct ack_ranges *ack, struct failure *why)
{
    if (s->largest_sent == UINT64_MAX || ack->largest > s->largest_sent)
        return neap_fail(why, NEAP_PROTOCOL_VIOLATION, "ACK of a packet that was never sent");
    for (size_t i = 0; s->skipped != UINT64_MAX && i < ack->count; i++)
        if (s->skipped >= ack->ranges[i].start && s->skipped < ack->ranges[i].end)
            return neap_fail(why, NEAP_PROTOCOL_VIOLATION, "ACK of a packet number that was left out");
    return NEAP_OK;
}

int neap_recovery_on_ack(struct recovery *r, enum space space, const struct ack_ranges *ack, neap_time now,
                         struct failure *why)
{
    struct sent *s = r->sent[space];
    uint64_t in_flight = r->bytes_in_flight;
    neap_time recovery = r->cc.recovery_started;

    if (!s)
        return NEAP_OK;
    int error = check_sent(s, ack, why);
    if (error)
        return error;
    if (space == SPACE_HANDSHAKE && !r->peer_validated) {
        r->peer_validated = true; /* RFC 9002 §6.2.2.1 */
        neap_recovery_set_timer(r, now);
    }
    if (r->largest_acked[space] == UINT64_MAX || ack->largest > r->largest_acked[space])
        r->largest_acked[space] = ack->largest;
    struct newly_acked acked = mark_acked(r, s, ack);
    if (!acked.any)
        return NEAP_OK;
    if (acked.largest == ack->largest && acked.eliciting)
        update_rtt(r, now > acked.largest_sent_at ? now - acked.largest_sent_at : 0, ack->delay, now);
    struct newly_lost lost = mark_lost(r, space, now);
    apply_lost(r, &lost, now);
    correct_fresh_bytes(r, &acked, recovery);
    apply_acked(r, &acked, in_flight, now);
    if (completed_address_validation(r))
        r->pto_count = 0;
    update_pacer(r);
    neap_recovery_set_timer(r, now);
    return NEAP_OK;
}

enum timeout_action neap_recovery_on_timeout(struct recovery *r, enum space *space, neap_time now)
{
    if (now < r->timer)
        return TIMEOUT_NOTHING;
    if (earliest_loss(r, space) != NEAP_NEVER) {
        struct newly_lost lost = mark_lost(r, *space, now);

        apply_lost(r, &lost, now);
        update_pacer(r);
        neap_recovery_set_timer(r, now);
        return TIMEOUT_LOSS;
    }
    if (earliest_probe(r, space, now) == NEAP_NEVER) {
        r->timer = NEAP_NEVER;
        return TIMEOUT_NOTHING;
    }
    r->pto_count++;
    r->pto_total++;
    neap_recovery_set_timer(r, now);
    return TIMEOUT_PROBE;
}

void neap_recovery_discard(struct recovery *r, enum space space, neap_time now)
{
    struct sent *s = r->sent[space];
    const struct sent_packet *p;

    for (uint32_t i = 0; s && (p = neap_sent_at(s, i)); i++)
        if (p->fate == FATE_IN_FLIGHT && p->in_flight)
            r->bytes_in_flight -= p->size;
    r->sent[space] = NULL;
    r->last_eliciting_at[space] = 0;
    r->loss_at[space] = NEAP_NEVER;
    r->pto_count = 0;
    neap_recovery_set_timer(r, now);
}

void neap_recovery_on_retry(struct recovery *r, neap_time now)
{
    for (int space = 0; space < SPACES; space++) {
        struct sent *s = r->sent[space];
        const struct sent_packet *p;

        for (uint32_t i = 0; s && (p = neap_sent_at(s, i)); i++) {
            if (p->fate != FATE_IN_FLIGHT)
                continue;
            r->bytes_in_flight -= p->in_flight ? p->size : 0;
            neap_sent_decide(s, i, FATE_LOST);
        }
        r->loss_at[space] = NEAP_NEVER;
        r->last_eliciting_at[space] = 0;
    }
    r->pto_count = 0;
    neap_cc_init(&r->cc, r->cc.ops, r->cc.udp_payload_size);
    neap_pacer_init(&r->pacer, r->pacer.enabled, r->cc.udp_payload_size);
    neap_recovery_set_timer(r, now);
}
