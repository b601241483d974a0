/* CUBIC (RFC 9438), whose first slow start is HyStart++'s (RFC 9406). The window is in bytes and what RFC 9438 counts in
 * segments is multiplied by the datagram size; time is in ticks, so that a cube fits in 64 bits. */
#include "recovery/cc_cubic.h"

#include "base/limits.h"

#define BETA(bytes) ((bytes) / 10 * 7 + (bytes) % 10 * 7 / 10)               /* 0.7 (RFC 9438 §4.6) */
#define FAST_CONVERGENCE(bytes) ((bytes) / 20 * 17 + (bytes) % 20 * 17 / 20) /* (1 + 0.7) / 2 */
#define ALPHA_PARTS 9u /* 3 * (1 - 0.7) / (1 + 0.7) … */
#define ALPHA_WHOLE 17u
#define TICK_BITS 20u

/* ---- the curve */

/* In 2^-20 s^3. A time has 31 bits: of more than two seconds the square is cut to 2^-10 s^2. */
static uint64_t cube_of(uint64_t ticks)
{
    if (ticks <= 2 * CUBIC_TICKS)
        return ticks * ticks * ticks >> (2 * TICK_BITS);
    return (ticks * ticks >> (3 * TICK_BITS / 2)) * ticks >> (TICK_BITS / 2);
}

/* C is 2/5 of a segment a second^3. */
uint64_t neap_cubic_curve(uint64_t ticks, uint64_t udp_payload_size)
{
    uint64_t cube = cube_of(ticks);
    /* The whole seconds^3 apart from the rest: the product would not fit. */
    uint64_t twice = 2 * udp_payload_size, whole = cube >> TICK_BITS, rest = cube & (CUBIC_TICKS - 1);

    return (whole * twice + (rest * twice >> TICK_BITS)) / 5;
}

uint64_t neap_cubic_root(uint64_t bytes, uint64_t udp_payload_size)
{
    uint64_t root = 0;

    for (uint64_t bit = UINT64_C(1) << 30; bit; bit >>= 1)
        if (root + bit <= CUBIC_TICKS_MOST && neap_cubic_curve(root + bit, udp_payload_size) <= bytes)
            root += bit;
    return root;
}

static uint64_t ticks_of(neap_time time)
{
    const neap_time most = 2 * CUBIC_TICKS_MOST / CUBIC_TICKS * NEAP_SECOND;

    return (time < most ? time : most) * CUBIC_TICKS / NEAP_SECOND;
}

/* ---- beside other paths of the connection
 *
 * A Reno flow that grows f times as fast has sqrt(f) of the window; for the same of CUBIC, whose window goes with the fourth
 * root of C (RFC 9438 §5.1), C is multiplied by f^2. */

static uint64_t coupled_curve(const struct cubic_stage *s, uint64_t bytes)
{
    return cc_coupled(s->coupling, cc_coupled(s->coupling, bytes));
}

/* What the curve has to be for so much to be left of it. */
static uint64_t uncoupled(const struct cubic_stage *s, uint64_t bytes)
{
    for (int i = 0; s->coupling && i < 2; i++) {
        bytes = (bytes << CC_WHOLE_BITS) / s->coupling;
        if (bytes > LIMIT_CONGESTION_WINDOW)
            bytes = LIMIT_CONGESTION_WINDOW;
    }
    return bytes;
}

/* A stage has one curve; it is another where other paths come, go, or are another share. */
static bool is_coupled_otherwise(const struct cc *cc, const struct cubic_stage *s)
{
    uint32_t was = s->coupling ? s->coupling : CC_WHOLE, is = cc->coupling ? cc->coupling : CC_WHOLE;
    uint32_t least = was / 4 + CC_WHOLE / 1024;

    return is > was + least || is + least < was;
}

/* ---- the window */

/* W_cubic, at least 0 and at most a little more than the greatest window. */
static uint64_t w_cubic(const struct cubic_stage *s, neap_time time, uint64_t udp_payload_size)
{
    uint64_t ticks = ticks_of(time);

    if (ticks >= s->k + CUBIC_TICKS_MOST)
        ticks = s->k + CUBIC_TICKS_MOST;
    if (ticks >= s->k)
        return s->w_max + coupled_curve(s, neap_cubic_curve(ticks - s->k, udp_payload_size));
    uint64_t below = coupled_curve(s, neap_cubic_curve(s->k - ticks, udp_payload_size));
    return below < s->w_max ? s->w_max - below : 0;
}

/* ---- growth */

static void begin_stage(struct cc *cc, struct cubic *c, const struct cc_ack *ack)
{
    struct cubic_stage *s = &c->stage;

    if (c->has_flat_start || s->w_max < cc->window)
        s->w_max = cc->window;
    s->coupling = cc->coupling;
    s->k = (uint32_t)neap_cubic_root(uncoupled(s, s->w_max - cc->window), ack->udp_payload_size);
    s->w_est = cc->window;
    s->est_part = s->window_part = 0;
    s->epoch = ack->now;
    s->has_begun = true;
    c->has_flat_start = false;
}

/* What an AIMD flow like Reno would have (RFC 9438 §4.3). */
static void estimate_reno(const struct cc *cc, struct cubic_stage *s, const struct cc_ack *ack)
{
    uint64_t parts = s->w_est < s->prior ? ALPHA_PARTS : ALPHA_WHOLE;

    s->w_est += neap_cc_share(parts * ack->udp_payload_size, cc_coupled(cc->coupling, ack->fresh_bytes),
                              cc->window * ALPHA_WHOLE, &s->est_part);
}

static void avoid_congestion(struct cc *cc, struct cubic *c, const struct cc_ack *ack, uint64_t bytes)
{
    struct cubic_stage *s = &c->stage;

    if (!s->has_begun || is_coupled_otherwise(cc, s))
        begin_stage(cc, c, ack);
    uint64_t size = ack->udp_payload_size, window = cc->window;
    neap_time elapsed = ack->now - s->epoch;
    uint64_t target = w_cubic(s, elapsed + ack->rtt_smoothed, size);

    estimate_reno(cc, s, ack);
    if (w_cubic(s, elapsed, size) < s->w_est) {
        if (s->w_est > window)
            window = s->w_est;
    } else if (target > window) {
        if (target > window + window / 2)
            target = window + window / 2;
        window += neap_cc_share(target - window, bytes, window, &s->window_part);
    }
    cc->window = window < LIMIT_CONGESTION_WINDOW ? window : LIMIT_CONGESTION_WINDOW;
}

/* Time in which the window was not used does not count (RFC 9438 §5.8): up to an acknowledgement of what was sent while it
 * was not, and while nothing was in flight. */
static void stop_clock(struct cubic *c, const struct cc_ack *ack)
{
    neap_time used = ack->app_limited ? ack->now : ack->flight_began_at;

    if (c->stage.has_begun && used > c->last_at)
        c->stage.epoch += used - (c->last_at > c->stage.epoch ? c->last_at : c->stage.epoch);
    c->last_at = ack->now;
}

static void cubic_on_ack(struct cc *cc, const struct cc_ack *ack)
{
    struct cubic *c = cc->state;
    uint64_t bytes = ack->fresh_bytes;

    stop_clock(c, ack);
    if (ack->app_limited || bytes == 0)
        return;
    if (cc->window < cc->ssthresh) {
        bytes = neap_cc_start_slowly(cc, ack, bytes);
        /* It ended without a loss: the curve begins here. */
        c->has_flat_start |= cc->window >= cc->ssthresh;
        c->stage.has_begun = false;
    }
    if (bytes)
        avoid_congestion(cc, c, ack, bytes);
}

/* ---- congestion */

static void reduce(struct cc *cc, struct cubic *c, const struct cc_loss *loss)
{
    uint64_t least = cc_least_window(loss->udp_payload_size);
    struct cubic_stage *s = &c->stage;

    c->before = *s;
    s->w_max = cc->window < s->w_max ? FAST_CONVERGENCE(cc->window) : cc->window;
    s->prior = cc->window;
    s->has_begun = false;
    c->has_flat_start = false;
    cc->recovery_started = loss->now ? loss->now : 1; /* 0 stands for never */
    cc->ssthresh = BETA(cc->window) > least ? BETA(cc->window) : least;
    cc->window = cc->ssthresh;
}

static void cubic_on_loss(struct cc *cc, const struct cc_loss *loss)
{
    struct cubic *c = cc->state;

    if (cc_is_new_event(cc, loss->largest_lost_sent_at))
        reduce(cc, c, loss);
    if (!loss->is_persistent)
        return;
    cc->window = cc_least_window(loss->udp_payload_size);
    cc->recovery_started = 0;
    c->stage.has_begun = false;
    c->has_flat_start = true;
}

/* RFC 9438 §4.9.2. The time since the event counts: the window is asked for again at the acknowledgements to come. */
static void cubic_undo(struct cc *cc)
{
    struct cubic *c = cc->state;

    c->stage = c->before;
    c->has_flat_start = false;
}

static void cubic_init(struct cc *cc)
{
    (void)cc; /* the zeroed state is that of the first slow start */
}

const struct cc_ops neap_cc_cubic = {
    .name = "cubic",
    .state_size = sizeof(struct cubic),
    .reduces = true,
    .init = cubic_init,
    .on_ack = cubic_on_ack,
    .on_loss = cubic_on_loss,
    .undo = cubic_undo,
};
