/* Paths: the table, and a peer whose address changes (RFC 9000 §8.2, §9.3). A server follows its client, proves the new
 * address, and goes back where that fails. Whoever copies the client's packets can make it follow too, so that following
 * before the proof is rare once it was in vain. What an honest client needs is being asked: it answers within a round
 * trip, while an address where nobody is never does. So asking is the rule and goes on for long; it costs a datagram now
 * and then, within what amplification allows, of no more paths than the table has. */
#include "quic/conn.h"

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
        .cc = neap_cc_by_choice[config_option(c->config, OPTION_congestion_control)],
        .pool = c->pool,
    };
}

struct path *neap_conn_add_path(neap_conn *c, const neap_address *local, const neap_address *peer,
                                bool validated)
{
    uint8_t index = 0;

    while (index < LIMIT_PATHS && c->paths[index])
        index++;
    struct path *path = index < LIMIT_PATHS ? neap_pool_alloc_lasting(c->pool, sizeof *path) : NULL;
    struct path_settings settings = path_settings(c, peer);
    if (path && neap_path_recovery_init(&path->recovery, &settings)) {
        neap_pool_free(c->pool, path, sizeof *path);
        path = NULL;
    }
    if (!path)
        return NULL;
    path->index = index;
    path->until = NEAP_NEVER;
    neap_validation_init(&path->address, local, peer, validated);
    c->paths[index] = path;
    c->recovery.paths[index] = &path->recovery;
    return path;
}

void neap_conn_free_path(neap_conn *c, struct path *path)
{
    if (!path)
        return;
    neap_path_recovery_free(&path->recovery, c->pool);
    neap_pool_free(c->pool, path, sizeof *path);
}

/* Whether a path but this one, which may be NULL, uses the peer's connection ID. */
static bool is_cid_used(const neap_conn *c, uint32_t peer_cid, const struct path *but)
{
    for (size_t i = 0; i < LIMIT_PATHS; i++)
        if (c->paths[i] && c->paths[i] != but && c->paths[i]->peer_cid == peer_cid)
            return true;
    return false;
}

static void drop_path(neap_conn *c, struct path *path)
{
    if (!is_cid_used(c, path->peer_cid, path)) {
        neap_peer_cids_leave(&c->peer_cids, path->peer_cid);
        c->peer_cids_changed = true;
    }
    neap_conn_keep_pmtu_figures(c, path);
    neap_recovery_drop_path(&c->recovery, path->index);
    c->wanted &= (uint8_t) ~(1u << path->index);
    c->paths[path->index] = NULL;
    neap_conn_free_path(c, path);
}

struct path *neap_conn_find_path(const neap_conn *c, const neap_address *peer)
{
    for (size_t i = 0; i < LIMIT_PATHS; i++)
        if (c->paths[i] && neap_address_equal(&c->paths[i]->address.peer, peer))
            return c->paths[i];
    return NULL;
}

const struct path *neap_conn_proved_path(const neap_conn *c)
{
    return conn_path(c)->address.validated ? conn_path(c) : c->paths[c->fallback];
}

struct path *neap_conn_next_path(const neap_conn *c)
{
    /* Whatever is there beside the active one has an end. */
    for (size_t i = 0; i < LIMIT_PATHS && c->path_timer != NEAP_NEVER; i++) {
        struct path *path = c->paths[i];

        if (path && path != conn_path(c) && neap_validation_owes(&path->address) &&
            neap_validation_budget(&path->address) >= MIN_ROOM)
            return path;
    }
    return conn_path(c);
}

static void set_path_timer(neap_conn *c)
{
    c->path_timer = NEAP_NEVER;
    for (size_t i = 0; i < LIMIT_PATHS; i++) {
        const struct path *path = c->paths[i];
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
        struct path *path = c->paths[i];

        if (!path)
            return;
        if (path != conn_path(c) && path->index != c->fallback && (!first || leaves_before(path, first)))
            first = path;
    }
    drop_path(c, first);
}

/* ---- following */

/* RFC 9000 §8.2.4: three times the larger PTO of the path in use and of one without samples. */
static neap_time validation_time(const neap_conn *c)
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

    return take_change(&c->path_additions_until, LIMIT_PATH_CHANGE_EVERY, most, c->now);
}

/* Whether the peer is followed at once. What was proved last is where an unproved path leads back to. Others are tried
 * once, ever more rarely while none is proved: whoever copies packets would have us send into the void (§9.3.2). */
static bool may_follow(neap_conn *c, const struct path *path)
{
    if (path->index == c->fallback)
        return true;
    if (path->is_followed || path->address.validated ||
        !take_change(&c->path_changes_until, LIMIT_PATH_CHANGE_EVERY << c->unproved_changes,
                     LIMIT_PATH_CHANGES, c->now))
        return false;
    if (c->unproved_changes < LIMIT_PATH_CHANGE_BACKOFF)
        c->unproved_changes++;
    return true;
}

/* The peer may have moved there: it has when it answers (§8.2). One that heard nothing since it moved sends ever more
 * rarely, and may answer only with its next packet. */
static void ask(neap_conn *c, struct path *path)
{
    neap_time until = c->now + ASKING * validation_time(c);

    c->wanted |= (uint8_t)(1u << path->index);
    if (path->until < until)
        path->until = until;
    neap_validation_begin(&path->address);
    set_path_timer(c);
}

/* RFC 9000 §9.5: a peer that changed its connection ID moved on purpose and gets another one of its own; a NAT changed
 * the address alone. */
static int cid_for(neap_conn *c, const struct received *p)
{
    const struct path *active = conn_path(c);

    return p->dcid_sequence == active->dcid_sequence ? (int)active->peer_cid
                                                     : neap_peer_cids_take_fresh(&c->peer_cids);
}

static struct path *add_arrival_path(neap_conn *c, const struct received *p)
{
    struct arrival *a = p->arrival;
    int cid = cid_for(c, p);

    if (cid < 0)
        return NULL;
    make_room(c);
    a->path = neap_conn_add_path(c, &a->info->to, &a->info->from, false);
    if (!a->path) {
        if (!is_cid_used(c, (uint32_t)cid, NULL))
            neap_peer_cids_give_back(&c->peer_cids, (uint32_t)cid);
        return NULL;
    }
    a->path->peer_cid = (uint8_t)cid;
    c->peer_cids_changed = true;
    a->path->dcid_sequence = p->dcid_sequence;
    a->path->heard_at = c->now;
    a->path->until = c->now + validation_time(c);
    neap_validation_on_udp_datagram(&a->path->address, a->size);
    set_path_timer(c);
    return a->path;
}

struct path *neap_conn_arrival_path(neap_conn *c, const struct received *p)
{
    struct path *path = p->arrival->path;

    return path || !may_add(c) ? path : add_arrival_path(c, p);
}

static bool differ_in_port_only(const neap_address *a, const neap_address *b)
{
    neap_address same = *a;

    same.port = b->port;
    return neap_address_equal(&same, b);
}

static void activate(neap_conn *c, struct path *path)
{
    if (path->address.validated)
        c->fallback = path->index;
    path->until = path->address.validated ? NEAP_NEVER : c->now + validation_time(c);
    c->peer_cids.active = path->peer_cid;
    c->peer_cids_changed = true;
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
    if (is_new && differ_in_port_only(&old->address.peer, &path->address.peer))
        neap_path_recovery_continue(&path->recovery, &old->recovery);
    c->counters.path_changes++;
    path->is_followed = true;
    c->wanted = (uint8_t)(1u << path->index);
    old->until = c->now + validation_time(c);
    activate(c, path);
    if (!path->address.validated) {
        struct path *proved = c->paths[c->fallback];

        neap_validation_begin(&path->address);
        /* RFC 9000 §9.3.3: who is still there answers, with packets that lead back. */
        neap_validation_begin(&proved->address);
        proved->until = c->now + validation_time(c);
    }
    set_path_timer(c);
}

/* One repetition a second begins a path. Which one is drawn from as many as came since it was drawn last: among copies and
 * the peer's own packets the first has no better chance than the last. */
static bool is_drawn(neap_conn *c)
{
    bool is_due = c->now >= c->path_repetitions_until;

    if (is_due && !c->has_drawn_repetition) {
        c->repetitions_to_skip = (uint8_t)neap_random_below(neap_conn_random(c), 1u + c->repetitions_passed);
        c->repetitions_passed = 0;
        c->has_drawn_repetition = true;
    }
    if (is_due && c->repetitions_to_skip == 0) {
        c->path_repetitions_until = c->now + LIMIT_PATH_CHANGE_EVERY;
        c->has_drawn_repetition = false;
        return true;
    }
    if (is_due)
        c->repetitions_to_skip--;
    if (c->repetitions_passed < LIMIT_PATH_REPETITIONS - 1)
        c->repetitions_passed++;
    return false;
}

/* Copies that are faster than the peer's own packets make these the repetitions, which alone show where it is. A copy that
 * is slower looks the same: the address is asked and never followed at once. Its path is paid for here and not with
 * may_add, whose bound the first copies use up. */
void neap_conn_on_repetition(neap_conn *c, const struct received *p)
{
    struct path *path = p->arrival->path;

    if (!path && is_drawn(c)) {
        path = add_arrival_path(c, p);
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
    set_path_timer(c);
}

void neap_conn_on_path_response(neap_conn *c, const uint8_t data[8])
{
    for (size_t i = 0; i < LIMIT_PATHS; i++) {
        struct path *path = c->paths[i];
        bool was_validated = path && path->address.validated;

        if (!path || !neap_validation_on_response(&path->address, data))
            continue;
        c->progress++;
        if (!was_validated)
            c->unproved_changes = 0;
        if (path != conn_path(c) && (c->wanted & 1u << path->index)) {
            /* Who went back from there and follows after all follows no second time. */
            c->counters.path_changes += was_validated || !path->is_followed;
            path->is_followed = true;
            c->wanted = (uint8_t)(1u << path->index);
            conn_path(c)->until = c->now + validation_time(c);
            activate(c, path);
        }
        if (path == conn_path(c)) {
            c->fallback = path->index;
            path->until = neap_validation_runs(&path->address) ? c->now + validation_time(c) : NEAP_NEVER;
            c->news |= NEWS_STATE;
            neap_conn_set_timers(c);
        }
        set_path_timer(c);
        return;
    }
}

/* The active path was not proved in time: back to the last one that was (RFC 9000 §9.3.2). Answers may have been lost,
 * and a peer that only listens says nothing from there again: it is asked for a while longer. A path that is proved, but
 * not for 1200 bytes, and the only one, is kept: it is all there is. */
static void give_up(neap_conn *c)
{
    struct path *failed = conn_path(c), *path = c->paths[c->fallback];

    neap_validation_abandon(&failed->address);
    failed->until = NEAP_NEVER;
    if (path == failed)
        return;
    activate(c, path);
    neap_validation_begin(&failed->address);
    failed->until = c->now + ASKING * validation_time(c);
}

/* The time of a path that is not sent on is over. The last one that was proved is kept until another is. */
static void end_path(neap_conn *c, struct path *path)
{
    if (path != neap_conn_proved_path(c)) {
        drop_path(c, path);
        return;
    }
    neap_validation_abandon(&path->address);
    path->until = conn_path(c)->until;
}

void neap_conn_on_path_timer(neap_conn *c)
{
    if (c->now >= conn_path(c)->until)
        give_up(c);
    for (size_t i = 0; i < LIMIT_PATHS; i++) {
        struct path *path = c->paths[i];

        if (path && path != conn_path(c) && c->now >= path->until)
            end_path(c, path);
        else if (path && c->now >= path->address.challenge_at)
            neap_validation_ask_again(&path->address);
    }
    set_path_timer(c);
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
    /* Without one of its own nothing is sent there (§9.5); the packet that is read may have come on it. */
    if (cid >= 0 || path == neap_conn_proved_path(c))
        return;
    neap_validation_abandon(&path->address);
    path->address.response_count = 0;
    path->until = c->now;
    set_path_timer(c);
}

int neap_conn_on_new_connection_id(neap_conn *c, const struct frame_new_connection_id *f, struct failure *why)
{
    /* What is retired may be gone without a trace: its slot is the new one's. */
    uint64_t sequences[LIMIT_PATHS] = {0};

    for (size_t i = 0; i < LIMIT_PATHS; i++)
        if (c->paths[i])
            sequences[i] = c->peer_cids.ids[c->paths[i]->peer_cid].sequence;
    int error = neap_peer_cids_on_new(&c->peer_cids, f, why);
    if (error)
        return error;
    c->peer_cids_changed = true;
    conn_path(c)->peer_cid = (uint8_t)c->peer_cids.active;
    for (size_t i = 0; i < LIMIT_PATHS; i++) {
        struct path *path = c->paths[i];

        if (path && path != conn_path(c) &&
            (sequences[i] < c->peer_cids.retire_prior_to || shares_cid(c, path)))
            renew_cid(c, path);
    }
    return 0;
}
