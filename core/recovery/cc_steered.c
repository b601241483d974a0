/* A controller whose decisions come from outside: it sums up what a turn brought. CUBIC decides until somebody steers, and
 * again when nobody does any more; in between the window is the one that was given. Only persistent congestion is answered here
 * (RFC 9002 §7.6.2): whoever steers may be late. */
#include "recovery/cc_cubic.h"

#include "base/limits.h"

struct steered {
    struct cubic cubic; /* first: it is CUBIC's state */
    struct cc_turn turn;
    uint64_t most_in_flight, most_before; /* in this turn, and in the one before */
};

static struct cc_turn *turn_of(const struct cc *cc)
{
    return &((struct steered *)cc->state)->turn;
}

static void steered_init(struct cc *cc)
{
    neap_cc_cubic.init(cc); /* the zeroed rest is an empty turn */
    turn_of(cc)->is_new_path = true;
}

static void steered_on_sent(struct cc *cc, const struct cc_packet *packet, uint64_t in_flight)
{
    struct steered *s = cc->state;

    (void)packet;
    if (in_flight > s->most_in_flight)
        s->most_in_flight = in_flight;
}

static void steered_on_packet_lost(struct cc *cc, const struct cc_packet *packet)
{
    struct cc_turn *turn = turn_of(cc);

    if (packet->is_size_probe)
        return;
    turn->lost_packets++;
    turn->lost_bytes += packet->size;
}

static void steered_on_ack(struct cc *cc, const struct cc_ack *ack)
{
    struct cc_turn *turn = turn_of(cc);

    turn->acked_bytes += ack->bytes;
    turn->rtt = ack->rtt;
    turn->rtt_min = ack->rtt_min;
    if (ack->delivery_rate > turn->delivery_rate) {
        turn->delivery_rate = ack->delivery_rate;
        turn->app_limited = ack->rate_app_limited;
    }
    if (!cc->is_steered)
        neap_cc_cubic.on_ack(cc, ack);
}

static void steered_on_loss(struct cc *cc, const struct cc_loss *loss)
{
    struct cc_turn *turn = turn_of(cc);

    turn->ce_count += loss->ce_count;
    turn->is_persistent |= loss->is_persistent;
    if (!cc->is_steered) {
        neap_cc_cubic.on_loss(cc, loss);
        return;
    }
    if (cc_is_new_event(cc, loss->largest_lost_sent_at))
        cc->recovery_started = loss->now ? loss->now : 1;
    if (loss->is_persistent)
        cc->window = cc_least_window(loss->udp_payload_size);
}

static void steered_on_spurious(struct cc *cc, uint64_t packets, uint64_t late, neap_time now)
{
    (void)late, (void)now;
    turn_of(cc)->spurious_packets += packets;
}

static void steered_undo(struct cc *cc)
{
    neap_cc_cubic.undo(cc);
}

const struct cc_ops neap_cc_steered = {
    .name = "steered",
    .state_size = sizeof(struct steered),
    .keeps_records = true,
    .reduces = true,
    .init = steered_init,
    .on_sent = steered_on_sent,
    .on_packet_lost = steered_on_packet_lost,
    .on_ack = steered_on_ack,
    .on_loss = steered_on_loss,
    .on_spurious = steered_on_spurious,
    .undo = steered_undo,
};

struct cc_turn neap_cc_take_turn(struct cc *cc)
{
    struct steered *s = cc->state;
    struct cc_turn taken = s->turn;

    s->turn = (struct cc_turn){.rtt = taken.rtt, .rtt_min = taken.rtt_min};
    s->turn.is_new_path = taken.is_new_path && !cc_turn_has_news(&taken); /* who steers has not heard of it */
    s->most_before = s->most_in_flight;
    s->most_in_flight = 0;
    return taken;
}

void neap_cc_leave_path(struct cc *cc)
{
    if (cc->ops == &neap_cc_steered)
        turn_of(cc)->is_new_path = true;
}

void neap_cc_steer(struct cc *cc, uint64_t window, uint64_t pacing_rate, uint64_t udp_payload_size)
{
    uint64_t least = cc_least_window(udp_payload_size);

    if (window > LIMIT_CONGESTION_WINDOW)
        window = LIMIT_CONGESTION_WINDOW;
    cc->window = window > least ? window : least;
    cc->pacing_rate = pacing_rate < LIMIT_PACING_RATE ? pacing_rate : LIMIT_PACING_RATE;
    cc->is_steered = true;
    cc->is_recovering = false;
}

void neap_cc_steer_no_more(struct cc *cc, uint64_t udp_payload_size)
{
    struct steered *s = cc->state;
    uint64_t used = s->most_in_flight > s->most_before ? s->most_in_flight : s->most_before;
    uint64_t initial = neap_cc_initial_window(udp_payload_size);

    if (!cc->is_steered)
        return;
    if (used < initial)
        used = initial;
    if (cc->window > used)
        cc->window = used;
    cc->is_steered = false;
    cc->pacing_rate = 0;
    cc->ssthresh = cc->window;
    s->cubic = (struct cubic){.has_flat_start = true};
}
