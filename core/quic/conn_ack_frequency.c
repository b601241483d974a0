/* How often acknowledgements come (draft-ietf-quic-ack-frequency-14): what we ask of the peer, which follows our congestion
 * window, and what the peer asks of us. */
#include "quic/multipath.h"

#define MIN_ACK_DELAY_US 1000u /* a turn of a busy loop takes about as long */
#define MAX_ACK_DELAY_US ((UINT64_C(1) << 14) * 1000)
#define DELAY_SHARE 4 /* of the round trip: a delayed ACK takes so much more at most */
#define FEW 12u       /* datagrams of a window */
#define REORDERING 3u /* how far behind loss detection takes a packet for lost (RFC 9002 §6.1.1) */

/* ---- we ask */

void neap_conn_may_ask_acks(neap_conn *c, uint64_t min_ack_delay_us)
{
    bool may = min_ack_delay_us != NO_MIN_ACK_DELAY && config_option(c->config, OPTION_ack_frequency);

    c->ack_request = (struct ack_request){.every = 2,
                                          .max_delay = c->recovery.max_ack_delay,
                                          .most_delay = c->recovery.max_ack_delay,
                                          .least_delay = may ? min_ack_delay_us * MICROSECOND : NEAP_NEVER};
}

bool neap_conn_may_hurry_acks(const neap_conn *c)
{
    return c->ack_request.least_delay != NEAP_NEVER;
}

/* A window that losses keep small grows with what is acknowledged, and waits for each second packet a good part of a round
 * trip: each is acknowledged then. One that was never reduced costs nobody a frame. Several paths have small windows each, which would
 * take more together than the one of a connection beside them. */
static bool wants_each(const neap_conn *c, const struct path_recovery *path, uint64_t datagrams)
{
    const struct ack_request *a = &c->ack_request;
    bool is_delayed = path->rtt.smoothed / DELAY_SHARE > a->least_delay;

    return !c->multipath && path->cc.ssthresh != UINT64_MAX && is_delayed &&
           datagrams < (a->every == 1 ? 2 * FEW : FEW);
}

/* Several ACKs a window keep the sender going and its bursts small; the last packets of a burst wait a part of a round
 * trip. */
static uint16_t wanted_every(const neap_conn *c, const struct path_recovery *path)
{
    uint64_t datagrams = path->cc.window / path_recovery_udp_payload_size(path);
    uint64_t every = datagrams / LIMIT_ACKS_A_WINDOW;

    if (wants_each(c, path, datagrams))
        return 1;
    return (uint16_t)(every < 2 ? 2 : every < LIMIT_ACK_EVERY ? every : LIMIT_ACK_EVERY);
}

static neap_time wanted_delay(const neap_conn *c, const struct path_recovery *path)
{
    neap_time delay = path->rtt.smoothed / DELAY_SHARE;

    if (delay > c->ack_request.most_delay)
        delay = c->ack_request.most_delay;
    return delay > c->ack_request.least_delay ? delay : c->ack_request.least_delay;
}

/* Half or twice of what it is: not every change is worth a frame. */
static bool differs(uint64_t wanted, uint64_t is)
{
    return wanted >= 2 * is || 2 * wanted <= is;
}

void neap_conn_choose_ack_request(neap_conn *c)
{
    struct ack_request *a = &c->ack_request;
    const struct path_recovery *path = &conn_path(c)->recovery;

    /* What is owed stays so: of a question that was lost the peer knows nothing, however near it was to this. */
    if (!neap_conn_may_hurry_acks(c) || a->owed || a->in_flight || !path->rtt.has_sample ||
        c->stage < STAGE_CONFIRMED)
        return;
    uint16_t every = wanted_every(c, path);
    /* Who never had a large window needs no frame. */
    bool has_asked = a->next_sequence > 0;
    a->owed = differs(every, a->every) || (has_asked && differs(wanted_delay(c, path), a->max_delay));
}

bool neap_conn_write_ack_request(neap_conn *c, struct writer *w, struct sent_frame *out)
{
    struct ack_request *a = &c->ack_request;
    const struct path_recovery *path = &conn_path(c)->recovery;
    struct writer before = *w;

    if (!a->owed)
        return false;
    uint16_t every = wanted_every(c, path);
    struct frame_ack_frequency f = {.sequence = a->next_sequence,
                                    .threshold = every - 1u,
                                    .max_delay_us = wanted_delay(c, path) / MICROSECOND,
                                    .reordering = REORDERING};

    neap_write_ack_frequency(w, &f);
    if (w->full) {
        *w = before;
        return false;
    }
    a->owed = false;
    a->in_flight = true;
    a->every = every;
    a->max_delay = f.max_delay_us * MICROSECOND;
    a->next_sequence++;
    /* Until the peer is known to have it, either delay may be what it keeps (§7). */
    if (c->recovery.max_ack_delay < a->max_delay)
        c->recovery.max_ack_delay = a->max_delay;
    *out = (struct sent_frame){.kind = KIND_ACK_FREQUENCY, .id = f.sequence};
    return true;
}

void neap_conn_ack_request_acked(neap_conn *c, const struct sent_frame *f)
{
    struct ack_request *a = &c->ack_request;

    if (f->id + 1 != a->next_sequence)
        return;
    /* A probe may have taken it for lost meanwhile. */
    a->owed = a->in_flight = false;
    c->recovery.max_ack_delay = a->max_delay;
}

/* Asked again, with what is right then. */
void neap_conn_ack_request_lost(neap_conn *c, const struct sent_frame *f)
{
    struct ack_request *a = &c->ack_request;

    if (f->id + 1 != a->next_sequence)
        return;
    a->in_flight = false;
    a->owed = true;
}

/* ---- the peer asks */

uint64_t neap_conn_min_ack_delay(const neap_config *config)
{
    uint64_t most = config_option(config, OPTION_max_ack_delay) * 1000;

    if (!config_option(config, OPTION_ack_frequency))
        return NO_MIN_ACK_DELAY;
    return most < MIN_ACK_DELAY_US ? most : MIN_ACK_DELAY_US;
}

int neap_conn_on_ack_frequency(neap_conn *c, const struct frame_ack_frequency *f, struct failure *why)
{
    struct ack_policy *policy = &c->application.ack.policy;
    uint64_t least = neap_conn_min_ack_delay(c->config);

    if (least == NO_MIN_ACK_DELAY)
        return neap_fail(why, NEAP_FRAME_ENCODING_ERROR, "ACK_FREQUENCY to us, who did not offer to take it");
    if (f->max_delay_us >= MAX_ACK_DELAY_US || f->max_delay_us < least)
        return neap_fail(why, NEAP_PROTOCOL_VIOLATION, "ACK_FREQUENCY with a delay that cannot be");
    if (f->sequence < policy->next_sequence)
        return 0;
    *policy = (struct ack_policy){
        .every = f->threshold < UINT32_MAX ? (uint32_t)f->threshold + 1 : UINT32_MAX,
        .reordering = f->reordering < UINT32_MAX ? (uint32_t)f->reordering : UINT32_MAX,
        .max_delay = f->max_delay_us * MICROSECOND,
        .next_sequence = f->sequence + 1,
    };
    for (uint8_t slot = 1; slot < conn_slots(c); slot++)
        if (c->multipath->ids[slot].numbers)
            c->multipath->ids[slot].numbers->space.ack.policy = *policy;
    return 0;
}
