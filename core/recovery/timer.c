/* The loss detection timer (RFC 9002 §6.1.2, §6.2, A.8, A.9): when time declares losses, and when a probe is due. */
#include "recovery/loss.h"

neap_time neap_recovery_pto(const struct recovery *r, enum space space)
{
    return neap_path_recovery_pto(recovery_way(r, space)) +
           (space >= SPACE_APPLICATION ? r->max_ack_delay : 0);
}

/* Ack-eliciting packets are in flight for which a probe may be sent: none in the application space before the
 * handshake is confirmed (RFC 9002 §6.2.1). */
static bool is_probed(const struct recovery *r, enum space space)
{
    const struct space_recovery *s = recovery_space(r, space);

    return s && s->sent.eliciting_in_flight && (space < SPACE_APPLICATION || r->handshake_confirmed);
}

/* RFC 9002 A.8: where nothing may be sent no probe is due. */
static bool is_resting(const struct recovery *r, enum space space)
{
    return recovery_way(r, space)->amplification_limited ||
           (space > SPACE_APPLICATION && (r->unproved >> (space - SPACE_APPLICATION) & 1) != 0);
}

/* The first with packets: those of the handshake are gone with it. */
static enum space first_space(const struct recovery *r)
{
    if (r->spaces[SPACE_INITIAL])
        return SPACE_INITIAL;
    return r->spaces[SPACE_HANDSHAKE] ? SPACE_HANDSHAKE : SPACE_APPLICATION;
}

static neap_time earliest_loss(const struct recovery *r, enum space *space)
{
    neap_time at = NEAP_NEVER;

    for (enum space i = first_space(r); i < recovery_spaces_end(r); i++) {
        const struct space_recovery *s = recovery_space(r, i);

        if (s && s->loss_at < at) {
            at = s->loss_at;
            *space = i;
        }
    }
    return at;
}

bool neap_recovery_awaits(const struct recovery *r, enum space space)
{
    if (space > SPACE_APPLICATION)
        return recovery_space(r, space) && recovery_space(r, space)->sent.eliciting_in_flight;
    for (enum space i = SPACE_INITIAL; i < SPACES; i++)
        if (r->spaces[i] && r->spaces[i]->sent.eliciting_in_flight)
            return true;
    return false;
}

/* When and where to probe; NEAP_NEVER when there is nothing to probe for. A client whose address may not be validated
 * goes on without anything in flight: the server could be at its amplification limit (RFC 9002 §6.2.2.1). */
static neap_time earliest_probe(const struct recovery *r, enum space *space, neap_time now)
{
    const struct path_recovery *path = recovery_active(r);
    neap_time at = NEAP_NEVER;

    for (enum space i = first_space(r); i < recovery_spaces_end(r); i++) {
        if (!is_probed(r, i) || is_resting(r, i))
            continue;
        const struct path_recovery *way = recovery_way(r, i);
        neap_time wait = neap_path_recovery_backed_off(way, neap_recovery_pto(r, i));
        neap_time probe_at = recovery_space(r, i)->last_eliciting_at + wait;

        /* A probe that could not leave is no reason to be due again at once. */
        if (way->pto_count && probe_at <= way->pto_at)
            probe_at = way->pto_at + wait;
        if (probe_at < at) {
            at = probe_at;
            *space = i;
        }
    }
    if (at == NEAP_NEVER && !r->peer_validated && !path->amplification_limited) {
        at = now + neap_path_recovery_backed_off(path, neap_path_recovery_pto(path));
        *space = r->spaces[SPACE_HANDSHAKE] ? SPACE_HANDSHAKE : SPACE_INITIAL;
    }
    return at;
}

void neap_recovery_set_timer(struct recovery *r, neap_time now)
{
    enum space space;

    r->timer = earliest_loss(r, &space);
    if (r->timer == NEAP_NEVER)
        r->timer = earliest_probe(r, &space, now);
}

enum timeout_action neap_recovery_on_timeout(struct recovery *r, enum space *space, neap_time now)
{
    if (now < r->timer)
        return TIMEOUT_NOTHING;
    if (earliest_loss(r, space) != NEAP_NEVER) {
        neap_recovery_on_loss_time(r, *space, now);
        neap_recovery_set_timer(r, now);
        return TIMEOUT_LOSS;
    }
    if (earliest_probe(r, space, now) == NEAP_NEVER) {
        r->timer = NEAP_NEVER;
        return TIMEOUT_NOTHING;
    }
    struct path_recovery *path = recovery_way(r, *space);
    path->pto_count++;
    path->pto_at = now;
    path->counters.pto_total++;
    neap_recovery_set_timer(r, now);
    return TIMEOUT_PROBE;
}
