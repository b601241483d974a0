/* Paths of our own choice: a client that looks whether another way leads to its server, and that goes there (RFC 9000 §9.1,
 * §9.2), the server's preferred address in both roles (§9.6), and what the application hears of paths. */
#include "quic/migration.h"
#include "quic/multipath.h"

#define PREFERRED_SEQUENCE 1u /* RFC 9000 §5.1.1 */

/* ---- the block */

struct migration *neap_conn_need_migration(neap_conn *c)
{
    struct migration *m = c->migration;

    /* A path that is dropped leaves its connection ID. */
    if (m || !neap_peer_cids_need_queue(&c->peer_cids, c->pool) ||
        !(m = neap_pool_alloc_lasting(c->pool, sizeof *m)))
        return m;
    m->conn = c;
    m->traffic[conn_path(c)->index] = neap_conn_traffic(c, conn_path(c));
    c->traffic = m->traffic;
    c->recovery.former = &m->former;
    c->migration = m;
    return m;
}

void neap_conn_free_migration(neap_conn *c)
{
    neap_pool_free(c->pool, c->migration, sizeof *c->migration);
    c->migration = NULL;
    c->traffic = NULL;
    c->recovery.former = NULL;
}

static struct path_event *event_at(struct migration *m, unsigned at)
{
    return &m->events[(m->first_event + at) % LIMIT_PATH_EVENTS];
}

/* The oldest gives way, but the end of a path ID last: the application has to know what it has no more. */
static void drop_event(struct migration *m)
{
    unsigned at = 0;

    while (at < LIMIT_PATH_EVENTS && event_at(m, at)->kind == NEAP_PATH_EVENT_CLOSED)
        at++;
    for (at %= LIMIT_PATH_EVENTS; at > 0; at--)
        *event_at(m, at) = *event_at(m, at - 1);
    m->first_event = (uint8_t)((m->first_event + 1) % LIMIT_PATH_EVENTS);
    m->event_count--;
    m->events_lost++;
}

static void note_path(neap_conn *c, const struct path *path, enum neap_path_event_kind kind, uint64_t code)
{
    struct migration *m = neap_conn_need_migration(c);

    c->news |= NEWS_STATE;
    TRACE(c->tracer, .conn = c, .kind = NEAP_TRACE_PATH, .now = c->now, .number = path->index,
          .values = {kind, path == conn_path(c)}, .local = &path->address.local, .peer = &path->address.peer,
          .path_id = neap_multipath_id(c, path->slot));
    if (!m)
        return;
    if (m->event_count == LIMIT_PATH_EVENTS)
        drop_event(m);
    *event_at(m, m->event_count++) = (struct path_event){.local = path->address.local,
                                                         .peer = path->address.peer,
                                                         .code = code,
                                                         .path_id = neap_multipath_id(c, path->slot),
                                                         .kind = (uint8_t)kind};
}

void neap_conn_note_path(neap_conn *c, const struct path *path, enum neap_path_event_kind kind)
{
    note_path(c, path, kind, 0);
}

void neap_conn_note_closed(neap_conn *c, const struct path *path, uint64_t code)
{
    note_path(c, path, NEAP_PATH_EVENT_CLOSED, code);
}

bool neap_conn_next_path_event(neap_conn *conn, neap_path_event *out, size_t size)
{
    struct migration *m = conn->migration;

    if (!m || m->event_count == 0)
        return false;
    const struct path_event *e = &m->events[m->first_event];
    const neap_path_event known = {.kind = (enum neap_path_event_kind)e->kind,
                                   .local = e->local,
                                   .peer = e->peer,
                                   .lost = m->events_lost,
                                   .code = e->code,
                                   .path_id = e->path_id};

    m->first_event = (uint8_t)((m->first_event + 1) % LIMIT_PATH_EVENTS);
    m->event_count--;
    fill_sized(out, size, &known, sizeof known);
    return true;
}

size_t neap_conn_paths(const neap_conn *conn, size_t at, neap_path_info *out, size_t size)
{
    size_t count = 0;

    for (size_t i = 0; i < LIMIT_PATHS; i++) {
        /* The one in use comes first. */
        size_t index = (conn->recovery.active + i) % LIMIT_PATHS;

        if (conn_path_at(conn, index) && count++ == at)
            neap_conn_describe_path(conn, conn_path_at(conn, index), out, size);
    }
    return count;
}

/* ---- where a client may go */

static bool is_preferred_address(const struct migration *m, const neap_address *peer)
{
    return m && peer->family &&
           (neap_address_equal(peer, &m->preferred_v4) || neap_address_equal(peer, &m->preferred_v6));
}

/* RFC 9000 §9: what is refused here would break a MUST, or lead nowhere. */
static int check_way(const neap_conn *c, const neap_address *local, const neap_address *peer)
{
    const struct path *active = conn_path(c);
    bool is_preferred = is_preferred_address(c->migration, peer);

    if (!conn_is_alive(c))
        return NEAP_ERR_CLOSED;
    if (c->is_server || (local->family != 4 && local->family != 6) || local->family != peer->family ||
        (!is_preferred && !neap_address_equal(peer, &active->address.peer)))
        return NEAP_ERR_ARGUMENT;
    if (c->stage != STAGE_CONFIRMED || active->slot > 0)
        return NEAP_ERR_STATE; /* also where path ID 0 is abandoned: other path IDs do not move */
    if (neap_peer_cids_active(&c->peer_cids)->size == 0 ||
        (c->peer_disables_migration && !is_preferred && !(c->migration && c->migration->uses_preferred) &&
         !neap_address_equal(local, &active->address.local)))
        return NEAP_ERR_MIGRATION;
    return 0;
}

static size_t count_paths(const neap_conn *c)
{
    size_t count = 0;

    for (size_t i = 0; i < LIMIT_PATHS; i++)
        count += conn_path_at(c, i) != NULL;
    return count;
}

/* A path that we only looked at gives way to one that is asked for now; not one that is being asked, or gone back to. */
static bool make_room(neap_conn *c)
{
    struct path *first = NULL;

    if (count_paths(c) < LIMIT_PATHS)
        return true;
    for (size_t i = 0; i < LIMIT_PATHS; i++) {
        struct path *path = conn_path_at(c, i);

        if (path != conn_path(c) && path != neap_conn_proved_path(c) && path->address.validated &&
            !path->moves && path->slot == 0 && (!first || path->until < first->until))
            first = path;
    }
    if (first)
        neap_conn_drop_path(c, first);
    return first != NULL;
}

/* The path there, begun if there is none. */
static int choose_path(neap_conn *c, const neap_address *local, const neap_address *peer, struct path **out)
{
    bool is_preferred = is_preferred_address(c->migration, peer);

    if (!neap_conn_need_migration(c))
        return NEAP_ERR_NO_MEMORY;
    c->compares_local = true;
    struct path *path = neap_conn_find_path(c, 0, local, peer);
    *out = path;
    if (path && path != conn_path(c)) /* it may be the one that the handshake was on */
        path->is_chosen = path->address.is_chosen = true;
    if (path)
        return 0;
    if (!make_room(c))
        return NEAP_ERR_LIMIT;
    int cid = is_preferred ? neap_peer_cids_take(&c->peer_cids, PREFERRED_SEQUENCE)
                           : neap_peer_cids_take_fresh(&c->peer_cids);
    if (cid < 0)
        return NEAP_ERR_CONNECTION_IDS;
    path = neap_conn_add_path(c, local, peer, false);
    if (!path) {
        neap_peer_cids_give_back(&c->peer_cids, (uint32_t)cid);
        return NEAP_ERR_NO_MEMORY;
    }
    c->peer_cids_changed = true;
    path->peer_cid = (uint8_t)cid;
    path->dcid_sequence = conn_path(c)->dcid_sequence;
    path->heard_at = c->now;
    path->is_chosen = path->address.is_chosen = true;
    path->is_preferred = is_preferred;
    *out = path;
    return 0;
}

/* The connection's time is the one of its last call, which may be long ago. */
static void count_from_next_call(neap_conn *c, struct path *path)
{
    struct migration *m = c->migration;

    /* What was begun before with another time is late at most. */
    if (!c->has_begun_paths)
        m->begun_at = c->now;
    path->is_begun = c->has_begun_paths = true;
}

void neap_conn_begin_paths(neap_conn *c)
{
    neap_time late = c->now - c->migration->begun_at;

    c->has_begun_paths = false;
    for (size_t i = 0; i < LIMIT_PATHS; i++) {
        struct path *path = conn_path_at(c, i);

        if (!path || !path->is_begun)
            continue;
        path->is_begun = false;
        if (path->until != NEAP_NEVER)
            path->until += late;
    }
    neap_conn_set_path_timer(c);
}

void neap_conn_begin_path(neap_conn *c, struct path *path)
{
    count_from_next_call(c, path);
    neap_validation_begin(&path->address);
    path->until = c->now + neap_conn_validation_time(c);
    neap_conn_set_path_timer(c);
}

/* ---- going there */

/* The server follows the first packet that is more than a probe (§9.2), also where we have nothing to say. */
static void move(neap_conn *c, struct path *path)
{
    struct path *old = conn_path(c);

    if (neap_conn_is_rebound(old, path))
        neap_recovery_continue(&c->recovery, path->index, old->index);
    path->moves = false;
    c->counters.path_changes++;
    old->until = c->now + neap_conn_validation_time(c);
    neap_validation_abandon(&old->address);
    neap_conn_activate(c, path);
    count_from_next_call(c, old);
    count_from_next_call(c, path);
    if (!path->address.validated)
        neap_validation_begin(&path->address);
    neap_conn_set_path_timer(c);
    c->owes_ping = true;
    if (path->is_preferred && c->migration)
        c->migration->uses_preferred = true;
    neap_conn_note_path(c, path, NEAP_PATH_EVENT_MIGRATED);
}

/* One of several at which we might go on is proved: the others are not waited for (RFC 9000 §9.6.3), unless it is the
 * address that is less preferred. */
static void abandon_others(neap_conn *c, const struct path *chosen)
{
    for (size_t i = 0; i < LIMIT_PATHS; i++) {
        struct path *path = conn_path_at(c, i);

        if (path && path != chosen && path != conn_path(c) && path->moves && path != neap_conn_proved_path(c))
            neap_conn_drop_path(c, path);
    }
}

/* Whether the preferred address is still being asked, from where `path` is. */
static bool awaits_preferred(const neap_conn *c, const struct path *path)
{
    for (size_t i = 0; i < LIMIT_PATHS; i++) {
        const struct path *other = conn_path_at(c, i);

        if (other && other != path && other->is_preferred && other->moves && !other->address.validated &&
            neap_address_equal(&other->address.local, &path->address.local))
            return true;
    }
    return false;
}

void neap_conn_chosen_is_proved(neap_conn *c, struct path *path)
{
    neap_conn_note_path(c, path, NEAP_PATH_EVENT_VALIDATED);
    path->is_probed = false;
    if (path == conn_path(c))
        return;
    path->until = c->now + LIMIT_PATH_KEPT;
    if (path->moves && (path->is_preferred || !awaits_preferred(c, path))) {
        move(c, path);
        abandon_others(c, path);
    }
}

/* The other of two that were asked may have been waiting for this one. */
static void go_on_without(neap_conn *c)
{
    for (size_t i = 0; i < LIMIT_PATHS; i++) {
        struct path *path = conn_path_at(c, i);

        if (path && path != conn_path(c) && path->moves && path->address.validated &&
            !awaits_preferred(c, path)) {
            move(c, path);
            return;
        }
    }
}

void neap_conn_chosen_failed(neap_conn *c, struct path *path)
{
    neap_conn_note_path(c, path, NEAP_PATH_EVENT_FAILED);
    neap_conn_drop_path(c, path);
    go_on_without(c);
}

/* What was sent from there is not waited for: nothing comes back to an address that is gone. */
static void leave_address(neap_conn *c, const neap_address *gone)
{
    for (size_t i = 0; i < LIMIT_PATHS; i++) {
        struct path *path = conn_path_at(c, i);

        if (!path || path == conn_path(c) || !neap_address_equal(&path->address.local, gone))
            continue;
        if (path->slot > 0) {
            neap_multipath_abandon(c, path->slot, NEAP_PATH_UNSTABLE_OR_POOR);
            continue;
        }
        if (c->fallback == path->index)
            c->fallback = conn_path(c)->index;
        neap_conn_drop_path(c, path);
    }
    neap_conn_requeue_oldest(c, SPACE_APPLICATION, UINT32_MAX);
    neap_conn_set_path_timer(c);
}

/* The same from this address to the server's preferred one, which counts more if it answers. */
static void ask_preferred_too(neap_conn *c, const neap_address *local)
{
    struct migration *m = c->migration;
    const neap_address *preferred = local->family == 4 ? &m->preferred_v4 : &m->preferred_v6;
    struct path *path;

    if (m->uses_preferred || preferred->family == 0 || choose_path(c, local, preferred, &path))
        return;
    path->moves = true;
    neap_conn_begin_path(c, path);
}

static struct path *preferred_on_trial(const neap_conn *c)
{
    for (size_t i = 0; i < LIMIT_PATHS; i++) {
        struct path *path = conn_path_at(c, i);

        if (path && path != conn_path(c) && path->is_preferred && path->moves && !path->address.validated)
            return path;
    }
    return NULL;
}

/* What was proved a while ago need not lead anywhere now. */
static bool is_fresh(const neap_conn *c, const struct path *path)
{
    return path->address.validated && c->now - path->heard_at <= neap_conn_validation_time(c);
}

int neap_conn_migrate(neap_conn *conn, const neap_address *local, const neap_address *peer, unsigned flags)
{
    neap_conn *c = conn;
    neap_address before = conn_path(c)->address.local, to = peer ? *peer : conn_path(c)->address.peer;
    if (flags & NEAP_MIGRATE_PROBE)
        return neap_conn_probe_path(conn, local, peer);
    if (flags & NEAP_MIGRATE_OPEN) {
        uint32_t path_id;

        return neap_conn_open_path(conn, local, peer, (flags & NEAP_MIGRATE_BACKUP) != 0, &path_id);
    }
    bool at_once = (flags & (NEAP_MIGRATE_AT_ONCE | NEAP_MIGRATE_ADDRESS_GONE)) != 0;
    struct path *path, *on_trial = peer ? NULL : preferred_on_trial(c);
    int rc = check_way(c, local, &to);

    if (rc == 0)
        rc = choose_path(c, local, &to, &path);
    if (rc)
        return rc;
    bool asks_both = on_trial && !neap_address_equal(local, &on_trial->address.local);
    if (asks_both)
        neap_conn_drop_path(c, on_trial);
    /* RFC 9000 §9.6.2: nobody goes to a preferred address that is not proved. */
    if (path != conn_path(c) && (is_fresh(c, path) || (at_once && !path->is_preferred))) {
        path->address.validated = is_fresh(c, path);
        move(c, path);
        abandon_others(c, path);
    } else if (path != conn_path(c)) {
        path->address.validated = false;
        path->moves = true;
        neap_conn_begin_path(c, path);
    } else {
        abandon_others(c, path); /* somebody has thought better of it */
    }
    if (asks_both)
        ask_preferred_too(c, local);
    if ((flags & NEAP_MIGRATE_ADDRESS_GONE) && !neap_address_equal(&before, &conn_path(c)->address.local))
        leave_address(c, &before);
    neap_conn_wake(c);
    return 0;
}

int neap_conn_probe_path(neap_conn *conn, const neap_address *local, const neap_address *peer)
{
    neap_conn *c = conn;
    neap_address to = peer ? *peer : conn_path(c)->address.peer;
    struct path *path;
    int rc = check_way(c, local, &to);

    if (rc == 0)
        rc = choose_path(c, local, &to, &path);
    if (rc)
        return rc;
    path->is_probed = true;
    if (path == conn_path(c)) {
        neap_validation_begin(&path->address);
        if (path->until == NEAP_NEVER) {
            path->until = c->now + neap_conn_validation_time(c);
            count_from_next_call(c, path);
        }
        neap_conn_set_path_timer(c);
    } else {
        neap_conn_begin_path(c, path);
    }
    neap_conn_wake(c);
    return 0;
}

/* ---- the server's preferred address: a client */

/* This network, which some systems take for this machine; multicast, reserved and broadcast. */
static bool is_no_host_4(const uint8_t ip[4])
{
    return ip[0] == 0 || ip[0] >= 224;
}

/* IPv4 in the clothes of IPv6 is nothing that a server has to say here: the parameter has a field for it. */
static bool is_no_host_6(const uint8_t ip[16])
{
    static const uint8_t none[16] = {0}, mapped[12] = {[10] = 0xff, [11] = 0xff};

    return ip[0] == 0xff || memcmp(ip, none, sizeof none) == 0 || memcmp(ip, mapped, sizeof mapped) == 0;
}

static bool is_no_host(const neap_address *a)
{
    return a->family == 4 ? is_no_host_4(a->ip) : is_no_host_6(a->ip);
}

/* RFC 9000 §21.5.6: a server that is not on this machine has no business in having us send to it, and none in having us
 * send to many. */
static bool is_sound(const neap_conn *c, const neap_address *a)
{
    return a->family != 0 && a->port != 0 && !is_no_host(a) &&
           (!neap_address_is_loopback(a) || neap_address_is_loopback(&conn_path(c)->address.peer));
}

void neap_conn_take_preferred(neap_conn *c, const struct preferred_address *preferred)
{
    struct migration *m;

    if (!config_option(c->config, OPTION_use_preferred_address) || !(m = neap_conn_need_migration(c)))
        return;
    if (is_sound(c, &preferred->v4))
        m->preferred_v4 = preferred->v4;
    if (is_sound(c, &preferred->v6))
        m->preferred_v6 = preferred->v6;
}

/* From the same address, so that it is the one of its family (§9.6.3). When that is no success, all stays as it is. */
void neap_conn_try_preferred(neap_conn *c)
{
    const struct path *active = conn_path(c);
    struct migration *m = c->migration;
    const neap_address *to = !m                                 ? NULL
                             : active->address.peer.family == 4 ? &m->preferred_v4
                                                                : &m->preferred_v6;
    struct path *path;

    if (c->is_server || !to || to->family == 0 || neap_address_equal(to, &active->address.peer) ||
        choose_path(c, &active->address.local, to, &path))
        return;
    path->moves = true;
    neap_conn_begin_path(c, path);
}

bool neap_conn_preferred_address(const neap_conn *conn, unsigned family, neap_address *out)
{
    const struct migration *m = conn->migration;

    if (!m || (family != 4 && family != 6))
        return false;
    *out = family == 4 ? m->preferred_v4 : m->preferred_v6;
    return out->family != 0;
}

/* ---- the server's preferred address: a server */

void neap_conn_issue_preferred_id(neap_conn *c, const neap_cid *cid)
{
    struct frame_new_connection_id told;

    if (!config_has_preferred(c->config) || c->local_cids.cid_size == 0)
        return;
    c->compares_local = true;
    neap_local_cids_issue(&c->local_cids, cid);
    neap_local_cids_next_owed(&c->local_cids, &told); /* the parameter says it */
}

void neap_conn_announce_preferred(const neap_conn *c, struct transport_params *p)
{
    const struct local_cid *id = &c->local_cids.ids[PREFERRED_SEQUENCE];

    if (!config_has_preferred(c->config) || !id->in_use)
        return;
    params_add(p, PARAM_preferred_address);
    p->preferred_address = (struct preferred_address){
        .v4 = c->config->preferred_v4, .v6 = c->config->preferred_v6, .cid = id->cid};
    neap_config_reset_token(c->config, &id->cid, p->preferred_address.token);
}

bool neap_conn_is_left(const neap_conn *c, const neap_address *local)
{
    const struct path *active = conn_path(c);
    const neap_config *config = c->config;

    return c->is_server && c->compares_local && !neap_address_equal(local, &active->address.local) &&
           (neap_address_equal(&active->address.local, &config->preferred_v4) ||
            neap_address_equal(&active->address.local, &config->preferred_v6));
}
