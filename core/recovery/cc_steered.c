/* A controller whose decisions come from outside: it sums up what a turn brought, and keeps the window that it was given.
 * Only persistent congestion it answers itself (RFC 9002 §7.6.2): whoever steers may be late. */
#include "recovery/cc.h"

static void steered_init(struct cc *cc)
{
    (void)cc; /* the zeroed state is an empty turn */
}

static void steered_on_sent(struct cc *cc, const struct cc_packet *packet, uint64_t in_flight)
{
    struct cc_turn *turn = cc->state;

    (void)packet;
    turn->in_flight = in_flight;
}

static void steered_on_packet_lost(struct cc *cc, const struct cc_packet *packet)
{
    struct cc_turn *turn = cc->state;

    turn->in_flight -= packet->size;
    if (packet->is_size_probe)
        return;
    turn->lost_packets++;
    turn->lost_bytes += packet->size;
}

static void steered_on_ack(struct cc *cc, const struct cc_ack *ack)
{
    struct cc_turn *turn = cc->state;

    turn->acked_bytes += ack->bytes;
    turn->in_flight -= ack->bytes;
    turn->rtt = ack->rtt;
    turn->rtt_min = ack->rtt_min;
    if (ack->delivery_rate <= turn->delivery_rate)
        return;
    turn->delivery_rate = ack->delivery_rate;
    turn->app_limited = ack->rate_app_limited;
}

static void steered_on_loss(struct cc *cc, const struct cc_loss *loss)
{
    struct cc_turn *turn = cc->state;

    turn->ce_count += loss->ce_count;
    if (!loss->is_persistent)
        return;
    turn->is_persistent = true;
    cc->window = cc_least_window(loss->udp_payload_size);
}

static void steered_on_spurious(struct cc *cc, uint64_t packets, neap_time now)
{
    struct cc_turn *turn = cc->state;

    (void)now;
    turn->spurious_packets += packets;
}

const struct cc_ops neap_cc_steered = {
    .name = "steered",
    .state_size = sizeof(struct cc_turn),
    .keeps_records = true,
    .init = steered_init,
    .on_sent = steered_on_sent,
    .on_packet_lost = steered_on_packet_lost,
    .on_ack = steered_on_ack,
    .on_loss = steered_on_loss,
    .on_spurious = steered_on_spurious,
};

struct cc_turn neap_cc_take_turn(struct cc *cc)
{
    struct cc_turn *turn = cc->state, taken = *turn;

    *turn = (struct cc_turn){.rtt = taken.rtt, .rtt_min = taken.rtt_min, .in_flight = taken.in_flight};
    return taken;
}

void neap_cc_steer(struct cc *cc, uint64_t window, uint64_t pacing_rate, uint64_t udp_payload_size)
{
    uint64_t least = cc_least_window(udp_payload_size);

    cc->window = window > least ? window : least;
    cc->pacing_rate = pacing_rate;
}
