/* Loss detection (RFC 9002 §6.1, appendix A), persistent congestion (§7.6). */
#include "recovery/loss.h"

#define PERSISTENT_PTOS 3u
#define DEFAULT_MAX_ACK_DELAY (25 * NEAP_MILLISECOND)

void neap_recovery_init(struct recovery *r, bool is_server)
{
    *r = (struct recovery){
        .max_ack_delay = DEFAULT_MAX_ACK_DELAY,
        .peer_validated = is_server,
        .timer = NEAP_NEVER,
    };
}

void neap_space_recovery_init(struct space_recovery *s, bool keeps_records)
{
    *s = (struct space_recovery){.largest_acked = UINT64_MAX, .loss_at = NEAP_NEVER};
    neap_sent_init(&s->sent, keeps_records);
}

void neap_recovery_add_space(struct recovery *r, enum space space, struct space_recovery *s)
{
    if (space < SPACES)
        r->spaces[space] = s;
    else
        r->more[space - SPACES] = s;
}

/* ---- paths */

void neap_recovery_set_active(struct recovery *r, uint8_t path, neap_time now)
{
    r->active = r->ways[0] = path;
    neap_recovery_set_timer(r, now);
}

void neap_recovery_set_way(struct recovery *r, enum space space, uint8_t path, neap_time now)
{
    r->ways[space - SPACE_APPLICATION] = path;
    neap_recovery_set_timer(r, now);
}

void neap_recovery_set_first(struct recovery *r, uint8_t path)
{
    r->active = path;
}

static void add_counters(struct path_counters *to, const struct path_counters *from)
{
    to->packets_lost += from->packets_lost;
    to->bytes_lost += from->bytes_lost;
    to->bytes_acked += from->bytes_acked;
    to->in_flight_time += from->in_flight_time;
    to->spurious_losses += from->spurious_losses;
    to->pto_total += from->pto_total;
    to->congestion_events += from->congestion_events;
    to->congestion_undone += from->congestion_undone;
    to->congestion_undo_refused += from->congestion_undo_refused;
    to->congestion_persistent += from->congestion_persistent;
    to->ecn_marked += from->ecn_marked;
    to->ecn_ce += from->ecn_ce;
}

struct path_counters neap_recovery_counters(const struct recovery *r)
{
    struct path_counters sum = r->former ? *r->former : (struct path_counters){0};

    for (size_t i = 0; i < LIMIT_PATHS; i++)
        if (r->paths[i])
            add_counters(&sum, &r->paths[i]->counters);
    return sum;
}

void neap_recovery_drop_path(struct recovery *r, uint8_t path)
{
    for (enum space i = SPACE_INITIAL; i < recovery_spaces_end(r); i++)
        if (recovery_space(r, i))
            neap_sent_forget_path(&recovery_space(r, i)->sent, path);
    if (r->former)
        add_counters(r->former, &r->paths[path]->counters);
    r->paths[path] = NULL;
}

/* ---- sending */

static void count_marked(struct space_recovery *s, struct path_recovery *path)
{
    s->ecn.marked++;
    path->counters.ecn_marked++;
    neap_ecn_on_sent(&path->ecn);
}

void neap_recovery_on_sent(struct recovery *r, enum space space, const struct sent_packet *p, neap_time now)
{
    if (p->is_marked)
        count_marked(recovery_space(r, space), r->paths[p->path]);
    if (!p->in_flight)
        return;
    struct space_recovery *s = recovery_space(r, space);
    /* The first of a burst has set it. */
    bool is_timed = s->last_eliciting_at == now && s->sent.eliciting_in_flight > 1;
    if (p->ack_eliciting && !p->is_size_probe)
        s->last_eliciting_at = now;
    neap_path_recovery_on_sent(r->paths[p->path], p->size, neap_sent_newest_record(&s->sent), now);
    if (!is_timed)
        neap_recovery_set_timer(r, now);
}

/* ---- acknowledgements */

neap_time neap_recovery_ack_delay(uint64_t wire, unsigned exponent)
{
    return wire > (UINT64_MAX >> exponent) / 1000 ? UINT64_MAX : (wire << exponent) * 1000;
}

/* What one ACK newly acknowledges, by path; the last is of packets whose path is gone. Nothing is set of paths that `seen` has
 * no bit of: nearly always there is one, and ACKs are many. */
struct acked_paths {
    struct newly_acked of[LIMIT_PATHS + 1];
    unsigned seen;
    bool any, eliciting;
    uint64_t largest;
    neap_time largest_sent_at;
    neap_time recovery[LIMIT_PATHS]; /* cc.recovery_started before it */
    uint8_t largest_path;
};

/* As the controller of its path, which may be NULL, sees it; `lost`: bytes that the path's counter lacks so far. */
static struct cc_packet as_packet(const struct path_recovery *path, const struct sent *s, enum space space,
                                  const struct sent_packet *p, uint64_t lost, neap_time now)
{
    return (struct cc_packet){
        .number = p->number,
        .space = (uint8_t)space,
        .size = p->size,
        .sent_at = p->at,
        .record = neap_sent_record(s, p),
        .delivered = path ? path->delivered : 0,
        .lost = path ? path->counters.bytes_lost + lost : 0,
        .udp_payload_size = path ? path->pmtu.size : 0,
        .now = now,
        .is_size_probe = p->is_size_probe,
    };
}

static bool is_seen(unsigned seen, size_t path)
{
    return (seen >> path & 1) != 0;
}

static void note_acked(const struct recovery *r, enum space space, const struct sent_packet *p,
                       struct acked_paths *all, neap_time now)
{
    struct path_recovery *path = r->paths[p->path];
    struct newly_acked *acked = &all->of[p->path];
    const struct sent *s = &recovery_space(r, space)->sent;

    if (!is_seen(all->seen, p->path)) {
        *acked = (struct newly_acked){.any = true};
        all->seen |= 1u << p->path;
    }
    if (!all->any || p->number > all->largest) {
        all->largest = p->number;
        all->largest_sent_at = p->at;
        all->largest_path = p->path;
    }
    all->any = true;
    all->eliciting |= p->ack_eliciting;
    acked->marked += p->is_marked;
    acked->unmarked += !p->is_marked & p->ack_eliciting;
    if (!p->in_flight || !path)
        return;
    if (acked->bytes == 0 || p->number > acked->largest) {
        acked->largest = p->number;
        acked->largest_sent_at = p->at;
        acked->record = neap_sent_record(s, p);
    }
    path->delivered += p->size;
    if (path->cc.ops->on_packet_acked) {
        struct cc_packet packet = as_packet(path, s, space, p, 0, now);
        neap_path_recovery_on_packet(path, true, &packet);
    }
    acked->bytes += p->size;
    if (p->is_size_probe)
        neap_pmtu_on_probe_acked(&path->pmtu, p->size);
    if (p->size > PMTU_BASE && p->size > acked->most_size)
        acked->most_size = p->size;
    if (path->cc.recovery_started == 0 || p->at > path->cc.recovery_started)
        acked->fresh_bytes += p->size;
}

static void count_spurious(struct recovery *r, enum space space, const struct range *range, neap_time now)
{
    struct space_recovery *s = recovery_space(r, space);
    struct sent_spurious spurious[LIMIT_PATHS + 1] = {0};

    for (size_t i = 0; i < LIMIT_PATHS; i++)
        if (r->paths[i])
            spurious[i].floor = neap_path_recovery_undo_floor(r->paths[i], (uint8_t)space);
    neap_sent_count_spurious(&s->sent, range->start, range->end, spurious);
    for (size_t i = 0; i < LIMIT_PATHS; i++)
        if (spurious[i].count && r->paths[i])
            neap_path_recovery_on_spurious(r->paths[i], &spurious[i], s->largest_acked, now);
}

static void mark_acked(struct recovery *r, enum space space, const struct ack_ranges *ack,
                       struct acked_paths *acked, neap_time now)
{
    struct sent *s = &recovery_space(r, space)->sent;

    for (size_t i = 0; i < ack->count; i++) {
        const struct range *range = &ack->ranges[i];
        uint32_t index = neap_sent_lower_bound(s, range->start);
        struct sent_packet *p;

        for (; (p = neap_sent_at(s, index)) && p->number < range->end; index++) {
            if (p->fate != FATE_IN_FLIGHT)
                continue;
            note_acked(r, space, p, acked, now);
            neap_sent_decide(s, index, FATE_ACKED);
        }
        if (s->lost_count)
            count_spurious(r, space, range, now);
    }
}

/* The sample belongs to the path that the packet took (RFC 9000 §9.4). */
static void update_rtt(struct recovery *r, const struct acked_paths *acked, neap_time ack_delay,
                       neap_time now)
{
    struct path_recovery *path = r->paths[acked->largest_path];
    neap_time latest = now > acked->largest_sent_at ? now - acked->largest_sent_at : 0;

    if (r->handshake_confirmed && ack_delay > r->max_ack_delay)
        ack_delay = r->max_ack_delay;
    if (path)
        neap_path_recovery_update_rtt(path, latest, ack_delay, now);
}

/* ---- losses */

/* What is newly lost, by path; the last is of packets whose path is gone. `of` is set of paths that `seen` has. */
struct lost_paths {
    struct newly_lost of[LIMIT_PATHS + 1];
    unsigned seen;
    struct lost_run runs[LIMIT_PATHS + 1];
};

static bool is_acked(const struct sent_packet *p)
{
    return p->outcome == FATE_ACKED;
}

/* When the latest packet of another space was sent that took this path between these times and was acknowledged; 0: none. */
static neap_time acked_elsewhere(const struct recovery *r, enum space space, uint8_t path, neap_time from,
                                 neap_time to)
{
    neap_time latest = 0;

    /* Those of path IDs are apart, as their paths are. */
    for (enum space i = SPACE_INITIAL; i < SPACES && space < SPACES; i++) {
        struct sent *s = r->spaces[i] ? &r->spaces[i]->sent : NULL;
        const struct sent_packet *p;

        if (i == space)
            continue;
        if (r->acked_sent_at[i] >= from && r->acked_sent_at[i] <= to && r->acked_sent_at[i] > latest)
            latest = r->acked_sent_at[i];
        for (uint32_t at = 0; s && (p = neap_sent_at(s, at)); at++)
            if (is_acked(p) && p->path == path && p->at >= from && p->at <= to && p->at > latest)
                latest = p->at;
    }
    return latest;
}

/* Whether this lost packet makes the run long enough. Only packets sent after the first RTT sample count. */
static bool extend_run(const struct recovery *r, enum space space, struct lost_run *run,
                       const struct sent_packet *p)
{
    const struct path_recovery *path = r->paths[p->path];

    if (!path || !p->ack_eliciting || p->is_size_probe || !path->rtt.has_sample ||
        p->at <= path->rtt.first_sample_at)
        return false;
    if (!run->is_open) {
        *run = (struct lost_run){.is_open = true, .first_sent_at = p->at, .first_number = p->number};
        return false;
    }
    neap_time least = (neap_path_recovery_pto(path) + r->max_ack_delay) * PERSISTENT_PTOS;
    if (p->at - run->first_sent_at <= least)
        return false;
    /* What was acknowledged in another space ends the run as well. */
    neap_time acked_at = acked_elsewhere(r, space, p->path, run->first_sent_at, p->at);
    if (acked_at == 0)
        return true;
    run->first_sent_at = p->at;
    run->first_number = p->number;
    return false;
}

/* What left before the test of its path began is none of it. */
static bool is_tested(const struct recovery *r, const struct sent_packet *p)
{
    return p->is_marked && r->paths[p->path] && p->at >= r->paths[p->path]->ecn.since;
}

static void note_lost(const struct recovery *r, enum space space, const struct sent_packet *p,
                      struct lost_paths *all, neap_time now)
{
    struct newly_lost *lost = &all->of[p->path];
    struct path_recovery *path = r->paths[p->path];

    if (!p->in_flight)
        return;
    if (!is_seen(all->seen, p->path)) {
        *lost = (struct newly_lost){0};
        all->seen |= 1u << p->path;
    }
    struct cc_packet packet = as_packet(path, &recovery_space(r, space)->sent, space, p,
                                        lost->bytes + (p->is_size_probe ? 0 : p->size), now);
    if (p->is_size_probe || p->is_early)
        neap_recovery_forget_mark(r, p); /* it may be lost for another reason */
    else
        lost->marked += is_tested(r, p);
    if (p->is_size_probe) {
        if (path)
            neap_path_recovery_on_size_probe_lost(path, &packet);
        return;
    }
    if (path)
        neap_path_recovery_on_packet(path, false, &packet);
    if (p->size > PMTU_BASE && !p->has_moved) {
        lost->large++;
        if (!lost->least_size || p->size < lost->least_size)
            lost->least_size = p->size;
    }
    if (lost->packets++ == 0) {
        lost->first_number = p->number;
        lost->space = (uint8_t)space;
    }
    lost->bytes += p->size;
    if (p->at > lost->largest_sent_at)
        lost->largest_sent_at = p->at;
    lost->is_persistent = lost->is_persistent || extend_run(r, space, &all->runs[p->path], p);
}

/* A marked packet that nobody will tell of. */
void neap_recovery_forget_mark(const struct recovery *r, const struct sent_packet *p)
{
    if (is_tested(r, p))
        neap_ecn_forget(&r->paths[p->path]->ecn);
}

/* RFC 9002 A.10. What elicits no acknowledgement is forgotten here once something newer was acknowledged. */
static void mark_lost(struct recovery *r, enum space space, struct lost_paths *lost, neap_time now)
{
    struct space_recovery *s = recovery_space(r, space);
    uint64_t largest = s->largest_acked;
    struct sent_packet *p;
    const struct path_recovery *path = NULL;
    neap_time delay = 0; /* of that path */

    if (s->lost.is_open)
        lost->runs[s->lost.path] = s->lost;
    s->lost.is_open = false;
    uint8_t way = space < SPACE_APPLICATION ? r->active : r->ways[space - SPACE_APPLICATION];
    s->loss_at = NEAP_NEVER;
    bool is_kept = false;
    for (uint32_t i = 0; (p = neap_sent_at(&s->sent, i)) && p->number <= largest; i++) {
        if (is_acked(p)) {
            if (p->number > lost->runs[p->path].first_number)
                lost->runs[p->path].is_open = false;
            continue;
        }
        if (p->fate != FATE_IN_FLIGHT) {
            if (p->outcome == FATE_LOST)
                extend_run(r, space, &lost->runs[p->path], p);
            continue;
        }
        if (!p->in_flight && !p->ack_eliciting) {
            if (is_tested(r, p))
                neap_ecn_on_passed(&r->paths[p->path]->ecn);
            neap_sent_decide(&s->sent, i, FATE_TAKEN);
            continue;
        }
        const struct path_recovery *its = r->paths[p->path] ? r->paths[p->path] : r->paths[way];
        if (its != path) {
            path = its;
            delay = neap_path_recovery_loss_delay(path);
        }
        neap_time lost_at = p->at + delay;
        if (largest - p->number >= path->reordering.packets || lost_at <= now) {
            note_lost(r, space, p, lost, now);
            neap_sent_decide(&s->sent, i, FATE_LOST);
        } else {
            if (lost_at < s->loss_at)
                s->loss_at = lost_at;
            /* What is before it leaves the ring; it may be lost yet. */
            if (!is_kept)
                s->lost = lost->runs[way];
            is_kept = true;
        }
    }
    if (!is_kept)
        s->lost = lost->runs[way];
    s->lost.path = way;
}

/* `acked`: by the ACK that tells of them; NULL: it is time that does. */
static void detect_losses(struct recovery *r, enum space space, struct acked_paths *acked, neap_time now)
{
    static const struct newly_lost nothing_lost;
    static const struct newly_acked nothing_acked;
    struct lost_paths lost;

    lost.seen = 0;
    memset(lost.runs, 0, sizeof lost.runs);
    mark_lost(r, space, &lost, now);
    unsigned seen = lost.seen | (acked ? acked->seen : 0);
    for (size_t i = 0; i < LIMIT_PATHS && seen >> i; i++) {
        bool is_acked_there = acked && is_seen(acked->seen, i);
        const struct newly_lost *went = is_seen(lost.seen, i) ? &lost.of[i] : &nothing_lost;
        const struct newly_acked *came = is_acked_there ? &acked->of[i] : &nothing_acked;

        if (is_acked_there)
            acked->of[i].has_losses = went->packets > 0;
        if (went->packets)
            neap_path_recovery_on_lost(r->paths[i], went, now);
        if (r->paths[i] && (came->most_size || went->least_size))
            neap_pmtu_on_round(&r->paths[i]->pmtu, went->least_size, went->large, came->most_size, now);
        if (r->paths[i] && (came->marked | came->unmarked | went->marked))
            neap_ecn_on_round(&r->paths[i]->ecn, came->marked, came->unmarked, went->marked, now);
    }
}

static void update_pacers(struct recovery *r)
{
    for (size_t i = 0; i < LIMIT_PATHS; i++)
        if (r->paths[i])
            neap_path_recovery_update_pacer(r->paths[i]);
}

void neap_recovery_on_loss_time(struct recovery *r, enum space space, neap_time now)
{
    detect_losses(r, space, NULL, now);
    update_pacers(r);
}

/* ---- what quic/ calls */

static int check_sent(const struct sent *s, const struct ack_ranges *ack, struct failure *why)
{
    if (s->largest_sent == UINT64_MAX || ack->largest > s->largest_sent)
        return neap_fail(why, NEAP_PROTOCOL_VIOLATION, "ACK of a packet that was never sent");
    for (size_t i = 0; s->skipped != UINT64_MAX && i < ack->count; i++)
        if (neap_sent_has_skipped(s, ack->ranges[i].start, ack->ranges[i].end))
            return neap_fail(why, NEAP_PROTOCOL_VIOLATION, "ACK of a packet number that was left out");
    return NEAP_OK;
}

/* What an ACK does to the paths of the packets that it acknowledges. Losses come first (RFC 9002 A.7). */
static void apply_ack(struct recovery *r, enum space space, struct acked_paths *acked, neap_time now)
{
    uint64_t in_flight[LIMIT_PATHS];

    for (size_t i = 0; i < LIMIT_PATHS && acked->seen >> i; i++)
        in_flight[i] = r->paths[i] ? r->paths[i]->bytes_in_flight : 0;
    detect_losses(r, space, acked, now);
    for (size_t i = 0; i < LIMIT_PATHS && acked->seen >> i; i++) {
        struct path_recovery *path = r->paths[i];

        if (!path || !is_seen(acked->seen, i))
            continue;
        if (r->is_coupled)
            path->cc.coupling = neap_recovery_coupling(r, path);
        neap_path_recovery_on_acked(path, &acked->of[i], in_flight[i], acked->recovery[i], now);
        if (r->peer_validated)
            path->pto_count = 0;
    }
    update_pacers(r);
}

/* RFC 9000 §13.4.2.1, of an ACK that is newer than all before. RFC 9002 §7.1: more packets with CE are a congestion event
 * of the path that the acknowledged ones took. */
static void check_marks(struct recovery *r, struct space_recovery *s, const struct ecn_report *told,
                        const struct acked_paths *acked, neap_time now)
{
    struct path_recovery *path = r->paths[acked->largest_path];
    uint64_t newly = 0, ect0, ce;

    for (size_t i = 0; acked->seen >> i; i++)
        newly += is_seen(acked->seen, i) ? acked->of[i].marked : 0;
    bool is_valid = neap_ecn_check(&s->ecn, told, newly, &ect0, &ce);
    for (size_t i = 0; i < LIMIT_PATHS && acked->seen >> i; i++) {
        if (!r->paths[i] || !is_seen(acked->seen, i) || !acked->of[i].marked)
            continue;
        if (is_valid)
            neap_ecn_on_valid(&r->paths[i]->ecn, ect0);
        else
            neap_ecn_on_invalid(&r->paths[i]->ecn);
    }
    if (!path)
        return;
    if (!is_valid)
        neap_ecn_on_invalid(&path->ecn);
    else if (ce > 0 && path->ecn.state != NEAP_ECN_FAILED)
        neap_path_recovery_on_ce(path, ce, acked->largest_sent_at, now);
}

int neap_recovery_on_ack(struct recovery *r, enum space space, const struct ack_ranges *ack, neap_time now,
                         struct failure *why)
{
    struct space_recovery *s = recovery_space(r, space);
    struct acked_paths acked;

    acked.seen = 0;
    acked.any = acked.eliciting = false;
    acked.largest = acked.largest_sent_at = 0;
    acked.largest_path = 0;
    if (!s)
        return NEAP_OK;
    int error = check_sent(&s->sent, ack, why);
    if (error)
        return error;
    if (space == SPACE_HANDSHAKE && !r->peer_validated) {
        r->peer_validated = true; /* RFC 9002 §6.2.2.1 */
        neap_recovery_set_timer(r, now);
    }
    bool is_newer = s->largest_acked == UINT64_MAX || ack->largest > s->largest_acked;
    mark_acked(r, space, ack, &acked, now); /* what is late in it is so by what was acknowledged before */
    if (is_newer)
        s->largest_acked = ack->largest;
    if (!acked.any)
        return NEAP_OK;
    if (space < SPACES && acked.largest_sent_at > r->acked_sent_at[space])
        r->acked_sent_at[space] = acked.largest_sent_at;
    if (acked.largest == ack->largest && acked.eliciting)
        update_rtt(r, &acked, ack->delay, now);
    for (size_t i = 0; i < LIMIT_PATHS && acked.seen >> i; i++)
        acked.recovery[i] = r->paths[i] ? r->paths[i]->cc.recovery_started : 0;
    if (is_newer && s->ecn.marked > 0)
        check_marks(r, s, &ack->ecn, &acked, now);
    apply_ack(r, space, &acked, now);
    neap_recovery_set_timer(r, now);
    return NEAP_OK;
}

static void expire_size_probes(struct recovery *r, enum space space, bool all, neap_time now)
{
    struct space_recovery *s = recovery_space(r, space);
    const struct sent_packet *p;

    for (uint32_t i = 0; s && (p = neap_sent_at(&s->sent, i)); i++) {
        struct path_recovery *path = r->paths[p->path];
        struct cc_packet packet = as_packet(path, &s->sent, space, p, 0, now);

        if (p->fate != FATE_IN_FLIGHT || !p->is_size_probe || !path ||
            (!all && now < p->at + neap_path_recovery_pto(path) + r->max_ack_delay))
            continue;
        neap_path_recovery_on_size_probe_lost(path, &packet);
        neap_recovery_forget_mark(r, p);
        neap_sent_decide(&s->sent, i, FATE_LOST);
    }
}

void neap_recovery_expire_size_probes(struct recovery *r, bool all, neap_time now)
{
    for (enum space space = SPACE_APPLICATION; space < recovery_spaces_end(r); space++)
        expire_size_probes(r, space, all, now);
}

/* Takes what is in flight in a space out of what its paths have in flight. */
static void leave_flight(struct recovery *r, const struct sent_packet *p, neap_time now)
{
    if (p->in_flight && r->paths[p->path])
        neap_path_recovery_land(r->paths[p->path], p->size, now);
}

void neap_recovery_discard(struct recovery *r, enum space space, neap_time now)
{
    struct space_recovery *s = recovery_space(r, space);
    const struct sent_packet *p;

    for (uint32_t i = 0; s && (p = neap_sent_at(&s->sent, i)); i++)
        if (p->fate == FATE_IN_FLIGHT) {
            leave_flight(r, p, now);
            neap_recovery_forget_mark(r, p);
        }
    neap_recovery_add_space(r, space, NULL);
    if (space < SPACES)
        recovery_active(r)->pto_count = 0;
    neap_recovery_set_timer(r, now);
}

void neap_recovery_on_retry(struct recovery *r, neap_time now)
{
    for (enum space space = SPACE_INITIAL; space < SPACES; space++) {
        struct space_recovery *s = recovery_space(r, space);
        const struct sent_packet *p;

        for (uint32_t i = 0; s && (p = neap_sent_at(&s->sent, i)); i++) {
            if (p->fate != FATE_IN_FLIGHT)
                continue;
            leave_flight(r, p, now);
            neap_recovery_forget_mark(r, p);
            neap_sent_decide(&s->sent, i, FATE_LOST);
        }
        if (s) {
            neap_sent_forget_lost(&s->sent); /* nothing was late */
            s->loss_at = NEAP_NEVER;
            s->last_eliciting_at = 0;
        }
    }
    neap_path_recovery_restart(recovery_active(r));
    neap_recovery_set_timer(r, now);
}
