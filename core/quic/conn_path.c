/* Paths: the table, and a peer whose address changes (RFC 9000 §8.2, §9.3). A server follows its client, proves the new
 * address, and goes back where that fails. Whoever copies the client's packets can make it follow too, so that following
 * before the proof is rare once it was in vain. What an honest client needs is being asked: it answers within a round
 * trip, while an address where nobody is never does. So asking is the rule and goes on for long; it costs a datagram now
 * and then, within what amplification allows, of no more paths than the table has. */
#include "quic/conn_token.h"
#include "quic/migration.h"
#include "quic/multipath.h"
#include "quic/received.h"

#define VALIDATION_PTOS 3u  /* RFC 9000 §8.2.4 */
#define ASKING 4u           /* validation times in which a path is asked that failed or was not followed */
#define INITIAL_PTO_RTTS 3u /* the PTO of a path without samples: RTT and four times half of it */

/* ---- the table */

static struct path_settings path_settings(const neap_conn *c, const neap_address *peer)
{
    return (struct path_settings){
        .initial_rtt = config_option(c->config, OPTION_initial_rtt) * NEAP_MILLISECOND,
        .most_udp_payload_size = neap_conn_most_udp_payload_size(c, peer),
        .pacing = config_option(c->config, OPTION_pacing) != 0,
        .ecn = config_option(c->config, OPTION_ecn) != 0,
        .cc = neap_cc_by_choice[config_option(c->config, OPTION_congestion_control)],
        .pool = c->pool,
        .random = neap_conn_random(c),
    };
}

/* RFC 9000 §17.4: not for one path in so many, so that those without are nothing unusual. */
static bool draws_spin(const neap_config *config)
{
    return config_option(config, OPTION_spin_bit) != 0 &&
           neap_random_below(neap_crypto_random(config->crypto), SPIN_DISABLED_ONE_IN) != 0;
}

static bool has_path(const neap_conn *c)
{
    for (size_t i = 0; i < LIMIT_PATHS; i++)
        if (conn_path_at(c, i))
            return true;
    return false;
}

struct path *neap_conn_add_path(neap_conn *c, const neap_address *local, const neap_address *peer,
                                bool validated)
{
    uint8_t index = 0;

    while (index < LIMIT_PATHS && conn_path_at(c, index))
        index++;
    bool has_room = index < LIMIT_PATHS && (!has_path(c) || neap_conn_need_migration(c));
    struct path *path = has_room ? neap_pool_alloc_lasting(c->pool, sizeof *path) : NULL;
    struct path_settings settings = path_settings(c, peer);
    if (path && neap_path_recovery_init(&path->recovery, &settings)) {
        neap_pool_free(c->pool, path, sizeof *path);
        path = NULL;
    }
    if (!path)
        return NULL;
    path->index = index;
    path->until = NEAP_NEVER;
    path->spins = draws_spin(c->config);
    neap_validation_init(&path->address, local, peer, validated);
    c->recovery.paths[index] = &path->recovery;
    if (c->traffic)
        c->traffic[index] = (struct path_traffic){0};
    return path;
}

void neap_conn_free_path(neap_conn *c, struct path *path)
{
    if (!path)
        return;
    neap_path_recovery_free(&path->recovery, c->pool);
    neap_pool_free(c->pool, path, sizeof *path);
}

/* Whether a path of this slot but this one, which may be NULL, uses the peer's connection ID. */
static bool is_cid_used(const neap_conn *c, uint8_t slot, uint32_t peer_cid, const struct path *but)
{
    for (size_t i = 0; i < LIMIT_PATHS; i++)
        if (conn_path_at(c, i) && conn_path_at(c, i) != but && conn_path_at(c, i)->slot == slot &&
            conn_path_at(c, i)->peer_cid == peer_cid)
            return true;
    return false;
}

void neap_conn_drop_path(neap_conn *c, struct path *path)
{
    if (!is_cid_used(c, path->slot, path->peer_cid, path)) {
        neap_peer_cids_leave(neap_multipath_peer_cids(c, path->slot), path->peer_cid);
        c->peer_cids_changed = true;
    }
    neap_conn_keep_pmtu_figures(c, path);
    path->recovery.counters.in_flight_time = neap_path_recovery_in_flight_time(&path->recovery, c->now);
    neap_recovery_drop_path(&c->recovery, path->index);
    c->wanted &= (uint8_t) ~(1u << path->index);
    neap_conn_free_path(c, path);
}

struct path *neap_conn_find_path(const neap_conn *c, uint8_t slot, const neap_address *local,
                                 const neap_address *peer)
{
    for (size_t i = 0; i < LIMIT_PATHS; i++) {
        struct path *path = conn_path_at(c, (c->recovery.active + i) % LIMIT_PATHS);

        if (path && (slot == ANY_SLOT || path->slot == slot) &&
            (local ? conn_is_on(c, path, local, peer) : neap_address_equal(peer, &path->address.peer)))
            return path;
    }
    return NULL;
}

const struct path *neap_conn_proved_path(const neap_conn *c)
{
    return conn_path(c)->address.validated ? conn_path(c) : conn_path_at(c, c->fallback);
}

/* The peer answers from a connection ID that it has not used yet: who has just been given some hears of these first. */
static bool waits_for_ids(const neap_conn *c, const struct path *path)
{
    const struct local_cids *own = conn_local_cids(c, path->slot);

    return path->is_chosen && path->address.challenges_sent == 0 &&
           (neap_local_cids_has_owed(own) || !neap_local_cids_has_current(own)) &&
           neap_path_recovery_window_left(&conn_path(c)->recovery) >= NEAP_MIN_UDP_PAYLOAD;
}

struct path *neap_conn_next_path(const neap_conn *c)
{
    /* Whatever is there beside the active one has an end. */
    for (size_t i = 0; i < LIMIT_PATHS && (c->path_timer != NEAP_NEVER || c->multipath); i++) {
        struct path *path = conn_path_at(c, i);

        if (path && path != conn_path(c) && neap_validation_owes(&path->address) &&
            neap_validation_budget(&path->address) >= MIN_ROOM && !waits_for_ids(c, path))
            return path;
    }
    return conn_path(c);
}

void neap_conn_set_path_timer(neap_conn *c)
{
    c->path_timer = NEAP_NEVER;
    for (size_t i = 0; i < LIMIT_PATHS; i++) {
        const struct path *path = conn_path_at(c, i);
        neap_time at = path ? path->until : NEAP_NEVER;

        if (path && path->address.challenge_at < at)
            at = path->address.challenge_at;
        if (at < c->path_timer)
            c->path_timer = at;
    }
}

static bool leaves_before(const struct path *a, const struct path *b)
{
    return a->is_repeated != b->is_repeated ? b->is_repeated : a->until < b->until;
}

/* The active one, or the one that is gone back to, stays. One of a repetition is left until the next of these, however
 * many copies come: it takes a round trip to answer. */
static void make_room(neap_conn *c)
{
    struct path *first = NULL;

    for (size_t i = 0; i < LIMIT_PATHS; i++) {
        struct path *path = conn_path_at(c, i);

        if (!path)
            return;
        if (path != conn_path(c) && path->index != c->fallback && path->slot == 0 &&
            (!first || leaves_before(path, first)))
            first = path;
    }
    if (first)
        neap_conn_drop_path(c, first);
}

/* ---- following */

/* RFC 9000 §8.2.4: three times the larger PTO of the path in use and of one without samples. */
neap_time neap_conn_validation_time(const neap_conn *c)
{
    neap_time fresh = INITIAL_PTO_RTTS * config_option(c->config, OPTION_initial_rtt) * NEAP_MILLISECOND +
                      c->recovery.max_ack_delay;
    neap_time now = neap_conn_pto(c);

    return VALIDATION_PTOS * (now > fresh ? now : fresh);
}

/* One more of what may come `most` times in a burst, paid for with `price`. */
static bool take_change(neap_time *until, neap_time price, uint64_t most, neap_time now)
{
    const neap_time burst = (most - 1) * LIMIT_PATH_CHANGE_EVERY;
    neap_time from = *until > now ? *until : now;

    if (from - now > burst)
        return false;
    *until = from + price;
    return true;
}

/* Who sends copies of a peer's packets from ever new addresses costs us no more than so many paths (§9.3). The last of
 * them are kept while the peer is heard where it was: when it moves there is one for it. */
static bool may_add(neap_conn *c)
{
    bool is_silent = c->now - conn_path(c)->heard_at >= neap_conn_pto(c);
    uint64_t most = is_silent ? LIMIT_PATH_CHANGES : LIMIT_PATH_CHANGES - LIMIT_PATH_CHANGES_KEPT;

    struct migration *m = neap_conn_need_migration(c);

    return m && take_change(&m->additions_until, LIMIT_PATH_CHANGE_EVERY, most, c->now);
}

/* Whether the peer is followed at once. What was proved last is where an unproved path leads back to. Others are tried
 * once, ever more rarely while none is proved: whoever copies packets would have us send into the void (§9.3.2). */
static bool may_follow(neap_conn *c, const struct path *path)
{
    const struct path *active = conn_path(c);

    if (path->index == c->fallback)
        return true;
    /* A connection ID that was not used before is the peer's own doing, and the answer to our question was its. */
    if (path->address.validated && path->dcid_sequence != active->dcid_sequence)
        return true;
    /* RFC 9000 §9.6.2: from our preferred address nothing but probes until the client is proved to hear them. */
    if (c->compares_local && !neap_address_equal(&path->address.local, &active->address.local))
        return false;
    if (path->is_followed || path->address.validated ||
        !take_change(&c->migration->changes_until, LIMIT_PATH_CHANGE_EVERY << c->migration->unproved_changes,
                     LIMIT_PATH_CHANGES, c->now))
        return false;
    if (c->migration->unproved_changes < LIMIT_PATH_CHANGE_BACKOFF)
        c->migration->unproved_changes++;
    return true;
}

/* The peer may have moved there: it has when it answers (§8.2). One that heard nothing since it moved sends ever more
 * rarely, and may answer only with its next packet. */
static void ask(neap_conn *c, struct path *path)
{
    neap_time until = c->now + ASKING * neap_conn_validation_time(c);

    c->wanted |= (uint8_t)(1u << path->index);
    if (path->until < until)
        path->until = until;
    neap_validation_begin(&path->address);
    neap_conn_set_path_timer(c);
}

/* RFC 9000 §9.5: a peer that changed its connection ID moved on purpose and gets another one of its own, as does whoever is
 * answered from another address of ours; a NAT changed the address alone. */
static int cid_for(neap_conn *c, const struct received *p)
{
    const struct path *active = conn_path(c);

    bool is_same = p->dcid_sequence == active->dcid_sequence &&
                   (!c->compares_local || neap_address_equal(&p->arrival->info->to, &active->address.local));

    return is_same ? (int)active->peer_cid : neap_peer_cids_take_fresh(&c->peer_cids);
}

/* What brings the second path was counted for the only one: its datagram, and so many of its packets. */
static struct path *add_arrival_path(neap_conn *c, const struct received *p, bool is_second, uint64_t counted)
{
    struct arrival *a = p->arrival;
    int cid = cid_for(c, p);

    make_room(c); /* its connection ID is replaced, if there is none now: the peer asks again */
    if (cid < 0)
        return NULL;
    a->path = neap_conn_add_path(c, &a->info->to, &a->info->from, false);
    if (!a->path) {
        if (!is_cid_used(c, 0, (uint32_t)cid, NULL))
            neap_peer_cids_give_back(&c->peer_cids, (uint32_t)cid);
        return NULL;
    }
    a->path->peer_cid = (uint8_t)cid;
    c->peer_cids_changed = true;
    a->path->dcid_sequence = p->dcid_sequence;
    a->path->heard_at = c->now;
    a->path->until = c->now + neap_conn_validation_time(c);
    conn_on_udp_datagram(c, a->path, a->size);
    c->traffic[a->path->index].packets_received++;
    if (is_second) {
        c->traffic[c->recovery.active].bytes_received -= a->size;
        c->traffic[c->recovery.active].packets_received -= counted;
    }
    neap_conn_set_path_timer(c);
    return a->path;
}

struct path *neap_conn_arrival_path(neap_conn *c, const struct received *p)
{
    struct path *path = p->arrival->path;
    bool is_second = !c->traffic;

    if (!path && p->slot > 0)
        path = neap_multipath_arrival_path(c, p);
    /* RFC 9000 §9: servers have the addresses that they said, and a client's ways are of its own choice. */
    else if (!path && c->is_server)
        path = may_add(c) ? add_arrival_path(c, p, is_second, 1) : NULL;
    c->counters.paths_refused += !path;
    return path;
}

void neap_conn_probed(neap_conn *c, const struct received *p, const uint8_t data[8])
{
    /* RFC 9000 §8.2.2: the answer goes where the challenge came from. */
    struct path *path = neap_conn_arrival_path(c, p);

    c->counters.path_challenges_received++;
    if (!path)
        return;
    c->counters.path_responses_dropped += path->address.response_count == LIMIT_PATH_RESPONSES;
    neap_validation_on_challenge(&path->address, data);
    /* Who comes with a connection ID of its own for that way means to use it: it is asked at once (§9.6.3), so that it is
     * followed at once when it moves. */
    if (c->is_server && path != conn_path(c) && !path->address.validated &&
        (path->slot > 0 || path->dcid_sequence != conn_path(c)->dcid_sequence)) {
        neap_validation_begin(&path->address);
        neap_conn_set_path_timer(c);
    }
}

static bool differ_in_port_only(const neap_address *a, const neap_address *b)
{
    neap_address same = *a;

    same.port = b->port;
    return neap_address_equal(&same, b);
}

bool neap_conn_is_rebound(const struct path *a, const struct path *b)
{
    return differ_in_port_only(&a->address.peer, &b->address.peer) &&
           differ_in_port_only(&a->address.local, &b->address.local);
}

void neap_conn_activate(neap_conn *c, struct path *path)
{
    if (path->address.validated)
        c->fallback = path->index;
    path->until = path->address.validated ? NEAP_NEVER : c->now + neap_conn_validation_time(c);
    c->peer_cids.active = path->peer_cid;
    c->peer_cids_changed = true;
    neap_cc_leave_path(&conn_path(c)->recovery.cc);
    neap_conn_move_traffic(c, conn_path(c), path);
    neap_recovery_set_active(&c->recovery, path->index, c->now);
    neap_conn_set_timers(c);
}

void neap_conn_follow(neap_conn *c, const struct received *p)
{
    struct path *old = conn_path(c);
    bool is_new = !p->arrival->path;
    struct path *path = neap_conn_arrival_path(c, p);

    if (!path || path == old)
        return;
    if (!may_follow(c, path)) {
        ask(c, path);
        return;
    }
    /* RFC 9000 §9.4: a port alone is a NAT's doing, and the way the same. */
    if (is_new && neap_conn_is_rebound(old, path))
        neap_recovery_continue(&c->recovery, path->index, old->index);
    c->counters.path_changes++;
    path->is_followed = true;
    c->wanted = (uint8_t)(1u << path->index);
    old->until = c->now + neap_conn_validation_time(c);
    struct path *proved = conn_path_at(c, c->fallback);
    neap_conn_activate(c, path);
    if (!path->address.validated)
        neap_validation_begin(&path->address);
    /* RFC 9000 §9.3.3: who is still there answers, with packets that lead back; to our preferred address nothing leads
     * anybody whom the client did not send (§9.6.2). */
    if (proved != path &&
        (!c->compares_local || neap_address_equal(&old->address.local, &path->address.local))) {
        neap_validation_begin(&proved->address);
        proved->until = c->now + neap_conn_validation_time(c);
    }
    if (path->address.validated)
        neap_conn_note_path(c, path, NEAP_PATH_EVENT_PEER_MIGRATED);
    neap_conn_set_path_timer(c);
}

/* One repetition a second begins a path. Which one is drawn from as many as came since it was drawn last: among copies and
 * the peer's own packets the first has no better chance than the last. */
static bool is_drawn(neap_conn *c)
{
    struct migration *m = neap_conn_need_migration(c);
    if (!m)
        return false;
    bool is_due = c->now >= m->repetitions_until;
    if (is_due && !m->has_drawn_repetition) {
        m->repetitions_to_skip = (uint8_t)neap_random_below(neap_conn_random(c), 1u + m->repetitions_passed);
        m->repetitions_passed = 0;
        m->has_drawn_repetition = true;
    }
    if (is_due && m->repetitions_to_skip == 0) {
        m->repetitions_until = c->now + LIMIT_PATH_CHANGE_EVERY;
        m->has_drawn_repetition = false;
        return true;
    }
    if (is_due)
        m->repetitions_to_skip--;
    if (m->repetitions_passed < LIMIT_PATH_REPETITIONS - 1)
        m->repetitions_passed++;
    return false;
}

/* Copies that are faster than the peer's own packets make these the repetitions, which alone show where it is. A copy that
 * is slower looks the same: the address is asked and never followed at once. Its path is paid for here and not with
 * may_add, whose bound the first copies use up. */
void neap_conn_on_repetition(neap_conn *c, const struct received *p)
{
    struct path *path = p->arrival->path;
    bool is_second = !c->traffic;

    if (!path && is_drawn(c)) {
        path = add_arrival_path(c, p, is_second, 0);
        if (path)
            path->is_repeated = true;
    }
    if (path && path != conn_path(c))
        ask(c, path);
}

/* ---- validation */

void neap_conn_challenged(neap_conn *c, struct path *path, const uint8_t data[8], bool is_small)
{
    neap_time interval = neap_path_recovery_pto(&path->recovery) + c->recovery.max_ack_delay;

    neap_validation_challenged(&path->address, data, is_small, interval, c->now);
    neap_conn_set_path_timer(c);
}

/* The path in use is proved, and was not, or another was the last that is. */
static void tell_proved(neap_conn *c, struct path *path, bool has_moved, bool was_validated)
{
    path->is_last = false;
    if (path->is_chosen)
        neap_conn_chosen_is_proved(c, path);
    else if (has_moved)
        neap_conn_note_path(c, path, NEAP_PATH_EVENT_PEER_MIGRATED);
    else if (!was_validated || path->is_probed)
        neap_conn_note_path(c, path, NEAP_PATH_EVENT_VALIDATED);
    path->is_probed = false;
}

static void take_response(neap_conn *c, const uint8_t data[8])
{
    for (size_t i = 0; i < LIMIT_PATHS; i++) {
        struct path *path = conn_path_at(c, i);
        bool was_validated = path && path->address.validated;
        uint8_t fallback = c->fallback;

        if (!path || !neap_validation_on_response(&path->address, data))
            continue;
        c->progress++;
        if (path->slot > 0) {
            neap_multipath_proved(c, path);
            neap_conn_set_path_timer(c);
            return;
        }
        if (!was_validated && c->migration)
            c->migration->unproved_changes = 0;
        if (path->is_chosen && path != conn_path(c)) {
            neap_conn_chosen_is_proved(c, path);
            neap_conn_set_path_timer(c);
            return;
        }
        if (path != conn_path(c) && (c->wanted & 1u << path->index)) {
            /* Who went back from there and follows after all follows no second time. */
            c->counters.path_changes += was_validated || !path->is_followed;
            path->is_followed = true;
            c->wanted = (uint8_t)(1u << path->index);
            conn_path(c)->until = c->now + neap_conn_validation_time(c);
            neap_conn_activate(c, path);
        }
        if (path == conn_path(c)) {
            tell_proved(c, path, fallback != path->index, was_validated);
            if (fallback != path->index) /* RFC 9000 §8.1.3: what the client has is of its old address */
                neap_conn_owe_token(c);
            c->fallback = path->index;
            path->until =
                neap_validation_runs(&path->address) ? c->now + neap_conn_validation_time(c) : NEAP_NEVER;
            c->news |= NEWS_STATE;
            neap_conn_set_timers(c);
        }
        neap_conn_set_path_timer(c);
        return;
    }
}

void neap_conn_on_path_response(neap_conn *c, const struct received *p, const uint8_t data[8])
{
    struct arrival *a = p->arrival;
    uint8_t index = a->path ? a->path->index : 0;

    take_response(c, data);
    /* What comes next in the packet came from nowhere, where another path's proof was the end of this one. */
    if (a->path != conn_path_at(c, index))
        a->path = NULL;
}

/* Where we went leads nowhere so far, and there is no way back: it is asked for a while longer, unless something comes from
 * there all the same. */
static void cling_to(neap_conn *c, struct path *path)
{
    neap_time since = c->now - path->heard_at;

    if (since < neap_conn_validation_time(c))
        return;
    if (path->is_last) {
        neap_conn_end(c, false, NEAP_NO_VIABLE_PATH, 0, "no path leads to the server");
        return;
    }
    path->is_last = true;
    neap_conn_note_path(c, path, NEAP_PATH_EVENT_FAILED);
    neap_validation_begin(&path->address);
    path->until = c->now + ASKING * neap_conn_validation_time(c);
}

/* Who asked about a path that stays hears that it does not answer, too. */
static void tell_probed(neap_conn *c, struct path *path)
{
    if (path->is_probed)
        neap_conn_note_path(c, path, NEAP_PATH_EVENT_FAILED);
    path->is_probed = false;
}

/* The active path was not proved in time: back to the last one that was (RFC 9000 §9.3.2). Answers may have been lost,
 * and a peer that only listens says nothing from there again: it is asked for a while longer. A path that is proved, but
 * not for 1200 bytes, and the only one, is kept: it is all there is. */
static void give_up(neap_conn *c)
{
    struct path *failed = conn_path(c), *path = conn_path_at(c, c->fallback);

    neap_validation_abandon(&failed->address);
    failed->until = NEAP_NEVER;
    if (path == failed) {
        if (failed->is_chosen && !failed->address.validated)
            cling_to(c, failed);
        else
            tell_probed(c, failed);
        return;
    }
    neap_conn_activate(c, path);
    if (failed->is_chosen) {
        c->owes_ping = true; /* so that the server comes back, too */
        neap_conn_chosen_failed(c, failed);
        neap_conn_note_path(c, path, NEAP_PATH_EVENT_MIGRATED);
        return;
    }
    neap_validation_begin(&failed->address);
    failed->until = c->now + ASKING * neap_conn_validation_time(c);
}

/* The time of a path that is not sent on is over. The last one that was proved is kept until another is. */
static void end_path(neap_conn *c, struct path *path)
{
    if (path != neap_conn_proved_path(c)) {
        if (path->is_chosen && (!path->address.validated || path->is_probed))
            neap_conn_chosen_failed(c, path);
        else
            neap_conn_drop_path(c, path);
        return;
    }
    tell_probed(c, path);
    neap_validation_abandon(&path->address);
    path->until = conn_path(c)->until;
}

void neap_conn_on_path_timer(neap_conn *c)
{
    if (c->has_begun_paths)
        neap_conn_begin_paths(c);
    if (c->now >= conn_path(c)->until && conn_path(c)->slot == 0)
        give_up(c);
    for (size_t i = 0; i < LIMIT_PATHS; i++) {
        struct path *path = conn_path_at(c, i);

        if (path && path->slot > 0 && c->now >= path->until)
            neap_multipath_end_path(c, path);
        else if (path && path != conn_path(c) && c->now >= path->until)
            end_path(c, path);
        else if (path && c->now >= path->address.challenge_at)
            neap_validation_ask_again(&path->address);
    }
    neap_conn_set_path_timer(c);
}

/* ---- the peer's connection IDs */

/* RFC 9000 §9.5: the peer moved on purpose, and both addresses are sent the same connection ID. */
static bool shares_cid(const neap_conn *c, const struct path *path)
{
    const struct path *active = conn_path(c);

    return path->peer_cid == active->peer_cid && path->dcid_sequence != active->dcid_sequence;
}

static void renew_cid(neap_conn *c, struct path *path)
{
    int cid = neap_peer_cids_take_fresh(&c->peer_cids);

    path->peer_cid = (uint8_t)(cid >= 0 ? (uint32_t)cid : c->peer_cids.active);
    if (cid >= 0)
        return;
    /* Without one of its own nothing is sent there (§9.5); the packet that is read may have come on it. */
    if (path->is_chosen || conn_path(c)->is_chosen)
        c->fallback = path->index == c->fallback ? conn_path(c)->index : c->fallback;
    else if (path == neap_conn_proved_path(c))
        return;
    neap_validation_abandon(&path->address);
    path->address.response_count = 0;
    path->until = c->now;
    neap_conn_set_path_timer(c);
}

int neap_conn_on_new_connection_id(neap_conn *c, const struct frame_new_connection_id *f, struct failure *why)
{
    /* What is retired may be gone without a trace: its slot is the new one's. */
    uint64_t sequences[LIMIT_PATHS] = {0};

    for (size_t i = 0; i < LIMIT_PATHS; i++)
        if (conn_path_at(c, i) && conn_path_at(c, i)->slot == 0)
            sequences[i] = c->peer_cids.ids[conn_path_at(c, i)->peer_cid].sequence;
    int error = neap_peer_cids_on_new(&c->peer_cids, c->pool, f, why);
    if (error)
        return error;
    c->peer_cids_changed = true;
    if (conn_path(c)->slot == 0)
        conn_path(c)->peer_cid = (uint8_t)c->peer_cids.active;
    for (size_t i = 0; i < LIMIT_PATHS; i++) {
        struct path *path = conn_path_at(c, i);

        if (path && path != conn_path(c) && path->slot == 0 &&
            (sequences[i] < c->peer_cids.retire_prior_to || shares_cid(c, path)))
            renew_cid(c, path);
    }
    return 0;
}
