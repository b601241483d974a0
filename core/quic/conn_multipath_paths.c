/* The paths of path IDs (draft-ietf-quic-multipath §3): opened by a client, followed by a server, proved, abandoned. A path ID
 * that is abandoned is kept while packets of it may be under way (§3.4.1). */
#include "quic/migration.h"
#include "quic/multipath.h"
#include "quic/received.h"

#define LINGER_PTOS 3u /* §3.4 */

static struct path_id *path_id(const neap_conn *c, size_t slot)
{
    return &c->multipath->ids[slot];
}

static struct number_space *space_of(neap_conn *c, uint8_t slot)
{
    return conn_space(c, (enum space)(SPACE_APPLICATION + slot));
}

static void set_unproved(neap_conn *c, uint8_t slot, bool is_unproved)
{
    uint8_t bit = (uint8_t)(1u << slot);

    c->recovery.unproved = (uint8_t)(is_unproved ? c->recovery.unproved | bit : c->recovery.unproved & ~bit);
    neap_recovery_set_timer(&c->recovery, c->now);
}

/* ---- opening */

/* Its first path, with the first of the peer's connection IDs for it. */
static struct path *begin(neap_conn *c, struct path_id *id, const neap_address *local,
                          const neap_address *peer, bool is_proved)
{
    uint8_t slot = multipath_slot(c, id);
    struct path *path = neap_conn_add_path(c, local, peer, is_proved);

    if (!path)
        return NULL;
    path->slot = slot;
    path->peer_cid = id->numbers->peer_cids.active;
    path->heard_at = c->now;
    c->peer_cids_changed = true;
    id->stage = PATH_ID_OPENING;
    id->numbers->local_cids.is_sated = false; /* it wants more of them now */
    c->recovery.ways[slot] = path->index;
    set_unproved(c, slot, true);
    neap_conn_choose_skip(c, &id->numbers->space, &path->recovery);
    id->numbers->space.write_start = 0;
    neap_recovery_add_space(&c->recovery, path_space(path), &id->numbers->space.recovery);
    return path;
}

static void be_open(neap_conn *c, struct path_id *id, struct path *path)
{
    id->stage = PATH_ID_OPEN;
    set_unproved(c, path->slot, false);
    path->until = neap_validation_runs(&path->address) ? c->now + neap_conn_validation_time(c) : NEAP_NEVER;
    c->multipath->counters.opened++;
    neap_conn_note_path(c, path, NEAP_PATH_EVENT_OPENED);
}

/* §3.2.1: path IDs are used in their order. NULL: there is none that both let the other use. */
static struct path_id *next_unused(const neap_conn *c)
{
    struct path_id *first = NULL;

    for (size_t slot = 1; slot <= LIMIT_PATH_IDS; slot++) {
        struct path_id *id = path_id(c, slot);

        if (id->stage == PATH_ID_UNUSED && id->id <= c->multipath->theirs && (!first || id->id < first->id))
            first = id;
    }
    return first;
}

/* RFC 9000 §9, draft §2.2: where a client may go. */
static int check_open(const neap_conn *c, const neap_address *local, const neap_address *peer)
{
    bool is_preferred = c->migration && peer->family &&
                        (neap_address_equal(peer, &c->migration->preferred_v4) ||
                         neap_address_equal(peer, &c->migration->preferred_v6));

    if (!conn_is_alive(c))
        return NEAP_ERR_CLOSED;
    if (c->is_server || (local->family != 4 && local->family != 6) || local->family != peer->family ||
        (!is_preferred && !neap_address_equal(peer, &conn_path(c)->address.peer)))
        return NEAP_ERR_ARGUMENT;
    if (c->stage != STAGE_CONFIRMED)
        return NEAP_ERR_STATE;
    if (!c->multipath)
        return NEAP_ERR_UNSUPPORTED;
    return c->peer_disables_migration && !is_preferred ? NEAP_ERR_MIGRATION : 0;
}

/* The peer hears once what it lacks. */
static int say_blocked(neap_conn *c, struct path_id *id)
{
    struct multipath *m = c->multipath;

    if (id) {
        id->owes_cids_blocked = m->owes = true;
    } else if (m->theirs <= m->ours && m->blocked_at != (uint64_t)m->theirs + 1) {
        m->blocked_at = (uint64_t)m->theirs + 1;
        m->owes_paths_blocked = m->owes = true;
    }
    neap_conn_wake(c);
    return id ? NEAP_ERR_CONNECTION_IDS : NEAP_ERR_LIMIT;
}

int neap_conn_open_path(neap_conn *conn, const neap_address *local, const neap_address *peer, bool is_backup,
                        uint32_t *out)
{
    neap_conn *c = conn;
    neap_address to = peer ? *peer : conn_path(c)->address.peer;
    int rc = check_open(c, local, &to);

    if (rc)
        return rc;
    struct path_id *id = next_unused(c);
    if (!id)
        return say_blocked(c, NULL);
    if (!peer_cids_has_active(&id->numbers->peer_cids))
        return say_blocked(c, id);
    if (!neap_conn_need_migration(c))
        return NEAP_ERR_NO_MEMORY;
    c->compares_local = true;
    struct path *path = begin(c, id, local, &to, false);
    if (!path)
        return NEAP_ERR_LIMIT;
    path->is_chosen = path->address.is_chosen = true;
    id->is_backup = is_backup;
    id->owes_status = c->multipath->owes = true;
    neap_conn_begin_path(c, path);
    neap_conn_wake(c);
    *out = id->id;
    return 0;
}

/* ---- a server follows */

/* §3.1: an address that was proved on another path is proved. */
static bool is_proved_elsewhere(const neap_conn *c, const neap_address *local, const neap_address *peer)
{
    for (size_t i = 0; i < LIMIT_PATHS; i++) {
        const struct path *path = conn_path_at(c, i);

        if (path && path->address.validated && neap_address_equal(&path->address.local, local) &&
            neap_address_equal(&path->address.peer, peer))
            return true;
    }
    return false;
}

/* One address at a time is on trial, so that copies from ever new ones cost no more. */
static bool is_on_trial(const neap_conn *c, uint8_t slot)
{
    for (size_t i = 0; i < LIMIT_PATHS; i++)
        if (conn_path_at(c, i) && conn_path_at(c, i)->slot == slot &&
            conn_path_at(c, i) != multipath_way(c, slot))
            return true;
    return false;
}

/* Another address with the same path ID: the way it was on stays until this one is proved (RFC 9000 §9.3). */
static struct path *begin_trial(neap_conn *c, const struct received *p)
{
    struct path *way = multipath_way(c, p->slot);
    struct peer_cids *cids = neap_multipath_peer_cids(c, p->slot);
    bool is_same = p->dcid_sequence == way->dcid_sequence;
    int cid = is_on_trial(c, p->slot) ? -1 : is_same ? (int)way->peer_cid : neap_peer_cids_take_fresh(cids);
    const neap_recv_info *info = p->arrival->info;
    struct path *path = cid < 0 ? NULL : neap_conn_add_path(c, &info->to, &info->from, false);

    if (!path) {
        if (cid >= 0 && !is_same)
            neap_peer_cids_give_back(cids, (uint32_t)cid);
        return NULL;
    }
    path->slot = p->slot;
    path->peer_cid = (uint8_t)cid;
    path->heard_at = c->now;
    c->peer_cids_changed = true;
    return path;
}

struct path *neap_multipath_arrival_path(neap_conn *c, const struct received *p)
{
    struct path_id *id = path_id(c, p->slot);
    const neap_recv_info *info = p->arrival->info;
    struct path *path = NULL;

    if (!c->is_server)
        return NULL;
    if (path_id_is_used(id))
        path = begin_trial(c, p);
    else if (id->stage == PATH_ID_UNUSED && peer_cids_has_active(&id->numbers->peer_cids))
        path = begin(c, id, &info->to, &info->from, is_proved_elsewhere(c, &info->to, &info->from));
    if (!path)
        return NULL;
    path->dcid_sequence = p->dcid_sequence;
    path->until = c->now + neap_conn_validation_time(c);
    conn_on_udp_datagram(c, path, p->arrival->size);
    p->arrival->is_counted = true;
    c->traffic[path->index].packets_received++;
    p->arrival->path = path;
    if (path->address.validated && id->stage == PATH_ID_OPENING)
        be_open(c, id, path);
    else
        neap_validation_begin(&path->address);
    neap_conn_set_path_timer(c);
    return path;
}

/* Packets of the path ID take this path from now on. */
static void move(neap_conn *c, struct path_id *id, struct path *path)
{
    struct path *old = multipath_way(c, path->slot);

    if (neap_conn_is_rebound(old, path))
        neap_recovery_continue(&c->recovery, path->index, old->index);
    path->moves = false;
    path->until = NEAP_NEVER;
    id->numbers->peer_cids.active = path->peer_cid;
    c->counters.path_changes++;
    if (conn_path(c) == old) {
        neap_conn_move_traffic(c, old, path);
        neap_recovery_set_first(&c->recovery, path->index);
    }
    neap_recovery_set_way(&c->recovery, path_space(path), path->index, c->now);
    neap_conn_drop_path(c, old);
    neap_conn_note_path(c, path, NEAP_PATH_EVENT_PEER_MIGRATED);
}

void neap_multipath_follow(neap_conn *c, const struct received *p)
{
    struct path_id *id = path_id(c, p->slot);
    struct path *path = p->arrival->path;

    if (!path && c->is_server)
        path = neap_conn_arrival_path(c, p);
    if (!path || !path_id_is_used(id) || path == multipath_way(c, p->slot) || !p->is_newest ||
        p->is_probing || !p->is_noted)
        return;
    path->moves = true;
    if (path->address.validated)
        move(c, id, path);
    else
        neap_validation_begin(&path->address);
    neap_conn_set_path_timer(c);
}

void neap_multipath_proved(neap_conn *c, struct path *path)
{
    struct path_id *id = path_id(c, path->slot);

    if (id->stage == PATH_ID_OPENING)
        be_open(c, id, path);
    else if (id->stage == PATH_ID_OPEN && path != multipath_way(c, path->slot) && path->moves)
        move(c, id, path);
    else if (path == multipath_way(c, path->slot))
        path->until = neap_validation_runs(&path->address) ? path->until : NEAP_NEVER;
}

void neap_multipath_end_path(neap_conn *c, struct path *path)
{
    const struct path_id *id = path_id(c, path->slot);

    if (path != multipath_way(c, path->slot)) {
        neap_conn_drop_path(c, path);
        return;
    }
    neap_validation_abandon(&path->address);
    path->until = NEAP_NEVER;
    if (id->stage != PATH_ID_OPENING)
        return;
    neap_conn_note_path(c, path, NEAP_PATH_EVENT_FAILED);
    neap_multipath_abandon(c, path->slot, NEAP_PATH_UNSTABLE_OR_POOR);
}

/* ---- abandoning */

/* A path that is open, in another slot; NULL: there is none. */
static struct path *other_open(const neap_conn *c, uint8_t but)
{
    for (uint8_t slot = 0; slot <= LIMIT_PATH_IDS; slot++)
        if (slot != but && path_id(c, slot)->stage == PATH_ID_OPEN)
            return multipath_way(c, slot);
    return NULL;
}

static void drop_paths(neap_conn *c, uint8_t slot, const struct path *but)
{
    for (size_t i = 0; i < LIMIT_PATHS; i++)
        if (conn_path_at(c, i) && conn_path_at(c, i)->slot == slot && conn_path_at(c, i) != but)
            neap_conn_drop_path(c, conn_path_at(c, i));
}

/* §3.4: the peer's connection IDs are as if they were retired. */
static void leave_peer_ids(neap_conn *c, uint8_t slot)
{
    struct peer_cids *p = neap_multipath_peer_cids(c, slot);

    for (size_t i = 0; i < sizeof p->ids / sizeof p->ids[0]; i++)
        p->ids[i].is_active = false;
    p->retire_count = p->retire_unacked = 0;
    c->peer_cids_changed = true;
}

static void stop_sending(neap_conn *c, uint8_t slot, struct path *other, uint64_t code)
{
    struct path *way = multipath_way(c, slot);

    neap_conn_note_closed(c, way, code);
    if (slot == 0 || conn_path(c) == way) {
        neap_conn_move_traffic(c, conn_path(c), other);
        neap_recovery_set_first(&c->recovery, other->index);
        c->fallback = other->index;
        c->wanted = 0;
    }
    drop_paths(c, slot, way);
    neap_validation_abandon(&way->address);
    way->address.response_count = 0;
    way->until = NEAP_NEVER;
    space_of(c, slot)->probes = 0;
    set_unproved(c, slot, false); /* its timer tells when to send elsewhere what is in flight */
    neap_conn_set_path_timer(c);
}

void neap_multipath_abandon(neap_conn *c, uint8_t slot, uint64_t code)
{
    struct path_id *id = path_id(c, slot);
    struct path *other = other_open(c, slot);

    if (id->stage < PATH_ID_UNUSED || id->stage > PATH_ID_OPEN)
        return;
    if (!other) {
        neap_conn_end(c, false, NEAP_NO_VIABLE_PATH, 0, "the last path was abandoned");
        return;
    }
    id->has_sent = path_id_is_used(id);
    id->code = code;
    id->owes_abandon = c->multipath->owes = true;
    id->owes_status = id->owes_cids_blocked = false;
    id->until = c->now + LINGER_PTOS * neap_conn_pto(c);
    id->stage = PATH_ID_ABANDONED;
    c->multipath->counters.abandoned++;
    if (id->has_sent)
        stop_sending(c, slot, other, code);
    leave_peer_ids(c, slot);
    neap_conn_wake(c);
}

void neap_multipath_on_abandon(neap_conn *c, struct path_id *id, uint64_t code)
{
    if (id->is_peer_gone)
        return;
    id->is_peer_gone = true;
    c->progress++;
    c->unproductive += LIMIT_ABANDON_COST; /* another path ID is made for it */
    if (id->stage == PATH_ID_ABANDONED)
        id->until = c->now + LINGER_PTOS * neap_conn_pto(c);
    else
        neap_multipath_abandon(c, multipath_slot(c, id), code);
}

/* What was sent and not acknowledged is lost (§3.4.3). */
static void drop_sent(neap_conn *c, uint8_t slot)
{
    enum space space = (enum space)(SPACE_APPLICATION + slot);
    struct number_space *s = conn_space(c, space);

    path_id(c, slot)->has_sent = false;
    neap_conn_requeue_oldest(c, space, UINT32_MAX);
    neap_conn_lose_datagrams(c, s);
    neap_recovery_discard(&c->recovery, space, c->now);
    neap_sent_free(&s->recovery.sent, c->pool);
    drop_paths(c, slot, NULL);
    c->recovery.ways[slot] = c->recovery.active;
    neap_conn_set_path_timer(c);
}

static void be_gone(neap_conn *c, uint8_t slot)
{
    struct path_id *id = path_id(c, slot);
    struct local_cids *l = neap_multipath_local_cids(c, slot);

    id->stage = PATH_ID_GONE;
    id->until = NEAP_NEVER;
    for (size_t i = 0; i < sizeof l->ids / sizeof l->ids[0]; i++)
        l->ids[i].in_use = false;
    l->owed = 0;
    l->peer_limit = 0; /* none is given any more */
    c->local_cids.changed = true;
    if (!c->entry.endpoint)
        neap_multipath_reap(c);
}

neap_time neap_multipath_timeout(const neap_conn *c)
{
    neap_time at = NEAP_NEVER;

    for (size_t slot = 0; slot <= LIMIT_PATH_IDS; slot++)
        if (path_id(c, slot)->stage == PATH_ID_ABANDONED && path_id(c, slot)->until < at)
            at = path_id(c, slot)->until;
    return at;
}

void neap_multipath_on_timeout(neap_conn *c)
{
    for (uint8_t slot = 0; slot <= LIMIT_PATH_IDS; slot++) {
        struct path_id *id = path_id(c, slot);

        if (id->stage != PATH_ID_ABANDONED || c->now < id->until)
            continue;
        if (id->has_sent)
            drop_sent(c, slot);
        if (id->is_peer_gone && id->is_abandon_acked)
            be_gone(c, slot);
        else
            id->until = NEAP_NEVER;
    }
}

/* ---- what the application wants */

static struct path_id *find_used(const neap_conn *c, uint32_t id)
{
    struct path_id *known = c->multipath ? neap_multipath_known(c, id) : NULL;

    return known && path_id_is_used(known) ? known : NULL;
}

int neap_conn_abandon_path(neap_conn *conn, uint32_t id, uint64_t code)
{
    struct path_id *found = find_used(conn, id);

    if (!conn_is_alive(conn))
        return NEAP_ERR_CLOSED;
    if (!conn->multipath)
        return NEAP_ERR_UNSUPPORTED;
    if (!found || code > VARINT_MAX)
        return NEAP_ERR_ARGUMENT;
    if (!other_open(conn, multipath_slot(conn, found)))
        return NEAP_ERR_STATE;
    neap_multipath_abandon(conn, multipath_slot(conn, found), code);
    return 0;
}

int neap_conn_set_path_backup(neap_conn *conn, uint32_t id, bool is_backup)
{
    struct path_id *found = find_used(conn, id);

    if (!conn_is_alive(conn))
        return NEAP_ERR_CLOSED;
    if (!conn->multipath)
        return NEAP_ERR_UNSUPPORTED;
    if (!found)
        return NEAP_ERR_ARGUMENT;
    if (found->is_backup == is_backup)
        return 0;
    found->is_backup = is_backup;
    found->owes_status = conn->multipath->owes = true;
    neap_conn_wake(conn);
    return 0;
}

/* ---- times */

struct ack_state *neap_multipath_abandoned_ack(neap_conn *c, uint8_t slot)
{
    return path_id(c, slot)->stage == PATH_ID_ABANDONED ? &space_of(c, slot)->ack : NULL;
}

static neap_time ack_at(const neap_conn *c, uint8_t slot)
{
    return slot == 0 ? c->application.ack.send_at : path_id(c, slot)->numbers->space.ack.send_at;
}

neap_time neap_multipath_other_ack_at(const neap_conn *c)
{
    neap_time at = NEAP_NEVER;

    for (uint8_t slot = 0; slot <= LIMIT_PATH_IDS; slot++)
        if (path_id(c, slot)->stage == PATH_ID_ABANDONED && ack_at(c, slot) < at)
            at = ack_at(c, slot);
    return at;
}

neap_time neap_multipath_ack_at(const neap_conn *c)
{
    neap_time at = neap_multipath_other_ack_at(c);

    for (uint8_t slot = 1; slot <= LIMIT_PATH_IDS; slot++)
        if (path_id(c, slot)->stage == PATH_ID_OPEN && ack_at(c, slot) < at)
            at = ack_at(c, slot);
    return at;
}

neap_time neap_multipath_pto(const neap_conn *c)
{
    neap_time most = 0;

    for (uint8_t slot = 0; slot <= LIMIT_PATH_IDS; slot++) {
        neap_time pto = path_id(c, slot)->stage == PATH_ID_OPEN
                            ? neap_recovery_pto(&c->recovery, (enum space)(SPACE_APPLICATION + slot))
                            : 0;

        if (pto > most)
            most = pto;
    }
    return most;
}

static bool has_sound_other(const neap_conn *c, uint8_t but)
{
    for (uint8_t slot = 0; slot <= LIMIT_PATH_IDS; slot++)
        if (slot != but && path_id(c, slot)->stage == PATH_ID_OPEN &&
            multipath_way(c, slot)->recovery.pto_count == 0)
            return true;
    return false;
}

/* §5.5: what is in flight on a path that does not answer goes by another one. Here it is asked whether it answers again, ever
 * more rarely. While none answers none is given up. */
bool neap_multipath_on_pto(neap_conn *c, enum space space)
{
    uint8_t slot = (uint8_t)(space - SPACE_APPLICATION);
    struct number_space *s = conn_space(c, space);
    uint32_t ptos = multipath_way(c, slot)->recovery.pto_count;
    bool is_open = path_id(c, slot)->stage == PATH_ID_OPEN;

    if (is_open && slot == 0 && !has_sound_other(c, slot))
        return false;
    if (is_open)
        s->probes = 2;
    s->ack_again = true;
    if (!is_open || (ptos == 1 && has_sound_other(c, slot)))
        neap_conn_requeue_oldest(c, space, UINT32_MAX);
    else if (!has_sound_other(c, slot)) {
        if (!neap_streams_has_to_send(&c->streams))
            neap_conn_requeue_oldest(c, space, s->probes);
    } else if (ptos >= LIMIT_PATH_PTOS)
        neap_multipath_abandon(c, slot, NEAP_PATH_UNSTABLE_OR_POOR);
    return true;
}

bool neap_multipath_trim(neap_conn *c)
{
    for (size_t i = 0; i < LIMIT_PATHS; i++)
        if (conn_path_at(c, i) && conn_path_at(c, i)->recovery.bytes_in_flight > 0)
            return false;
    for (uint8_t slot = 1; slot <= LIMIT_PATH_IDS; slot++) {
        struct path_numbers *n = path_id(c, slot)->numbers;

        if (!n)
            continue;
        neap_sent_trim(&n->space.recovery.sent, c->pool);
        neap_ack_trim(&n->space.ack, c->pool);
    }
    return true;
}
