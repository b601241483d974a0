/* Path IDs (draft-ietf-quic-multipath): what was agreed on, their slots, and the connection IDs of each. At a time there are
 * as many beyond 0 as the option says; for each that is gone the peer is let have another. */
#include "quic/migration.h"
#include "quic/multipath.h"

_Static_assert(LIMIT_PATH_IDS < LIMIT_PATHS,
               "an address of the peer on trial has room beside all that are open");

#define UNUSED_IDS 1u /* connection IDs that the peer is given of a path ID before it is used, */
#define USED_IDS 2u   /* and then: one more for a NAT that gives it another address (§3.2.1) */

static struct path_id *path_id(const neap_conn *c, size_t slot)
{
    return &c->multipath->ids[slot];
}

struct number_space *neap_multipath_space(const neap_conn *c, enum space space)
{
    struct path_numbers *n = path_id(c, space - SPACE_APPLICATION)->numbers;

    return n ? &n->space : NULL;
}

struct local_cids *neap_multipath_local_cids(neap_conn *c, uint8_t slot)
{
    struct path_numbers *n = slot ? path_id(c, slot)->numbers : NULL;

    return slot == 0 ? &c->local_cids : n ? &n->local_cids : NULL;
}

struct peer_cids *neap_multipath_peer_cids(neap_conn *c, uint8_t slot)
{
    return slot == 0 ? &c->peer_cids : &path_id(c, slot)->numbers->peer_cids;
}

/* ---- agreeing */

uint64_t neap_multipath_offer(const neap_conn *c)
{
    uint64_t most = config_option(c->config, OPTION_initial_max_path_id);
    /* §2.1: nobody tells it in a packet without a connection ID. */
    bool has_ids = c->local_cids.cid_size > 0 && (!c->is_server || c->handshake->peer_cid.size > 0);

    return most > 0 && has_ids ? most : NO_PATH_IDS;
}

int neap_multipath_begin(neap_conn *c, const struct transport_params *p, struct failure *why)
{
    uint64_t ours = neap_multipath_offer(c);

    if (p->max_path_id == NO_PATH_IDS || config_option(c->config, OPTION_initial_max_path_id) == 0)
        return 0;
    if (c->handshake->peer_cid.size == 0)
        return neap_fail(why, NEAP_PROTOCOL_VIOLATION, "initial_max_path_id beside an empty connection ID");
    if (ours == NO_PATH_IDS || c->multipath)
        return 0;
    struct multipath *m = neap_conn_need_migration(c) ? neap_pool_alloc_lasting(c->pool, sizeof *m) : NULL;
    if (!m)
        return neap_fail(why, NEAP_ERR_NO_MEMORY, "no memory for path IDs");
    m->ours = (uint32_t)ours;
    m->theirs = m->first_theirs = (uint32_t)p->max_path_id;
    m->next_id = 1;
    m->ids[0].stage = PATH_ID_OPEN;
    m->ids[0].until = NEAP_NEVER;
    c->multipath = m;
    c->recovery.more = m->spaces;
    c->recovery.is_coupled = config_option(c->config, OPTION_couple_paths) != 0;
    return 0;
}

bool neap_conn_is_multipath(const neap_conn *conn)
{
    return conn->multipath != NULL;
}

/* ---- slots */

/* There are as many as may be in use: a new path ID is allowed only when one is free. */
static int add_slot(neap_conn *c)
{
    struct multipath *m = c->multipath;
    size_t slot = 1;

    while (slot <= LIMIT_PATH_IDS && m->ids[slot].stage != PATH_ID_VACANT)
        slot++;
    if (slot > LIMIT_PATH_IDS)
        return NEAP_ERR_LIMIT;
    struct path_numbers *n = neap_pool_alloc_lasting(c->pool, sizeof *n);
    if (n)
        neap_peer_cids_init_empty(&n->peer_cids, config_option(c->config, OPTION_active_connection_id_limit));
    if (!n || !neap_peer_cids_need_queue(&n->peer_cids, c->pool)) {
        neap_pool_free(c->pool, n, sizeof *n);
        return NEAP_ERR_NO_MEMORY;
    }
    neap_conn_init_space(&n->space, conn_path(c)->recovery.cc.ops->keeps_records);
    n->space.skip_at = UINT64_MAX;
    n->space.ack.policy = c->application.ack.policy;
    neap_local_cids_init_empty(&n->local_cids, c->local_cids.cid_size, UNUSED_IDS);
    m->ids[slot] =
        (struct path_id){.id = m->next_id++, .stage = PATH_ID_UNUSED, .until = NEAP_NEVER, .numbers = n};
    for (size_t i = 0; i <= LIMIT_PATH_IDS; i++) /* its numbers begin at 0 again */
        m->ids[i].copied[slot] = (struct copies){0};
    return 0;
}

static int add_slots_to(neap_conn *c, uint64_t id)
{
    int rc = 0;

    while (rc == 0 && c->multipath->next_id <= id)
        rc = add_slot(c);
    return rc;
}

static void free_space(neap_conn *c, struct path_numbers *n)
{
    neap_ack_free(&n->space.ack, c->pool);
    neap_sent_free(&n->space.recovery.sent, c->pool);
}

static void free_numbers(neap_conn *c, struct path_numbers *n)
{
    if (!n)
        return;
    free_space(c, n);
    neap_peer_cids_free(&n->peer_cids, c->pool);
    neap_pool_free(c->pool, n, sizeof *n);
}

void neap_multipath_finish(neap_conn *c)
{
    for (size_t slot = 1; c->multipath && slot <= LIMIT_PATH_IDS; slot++) {
        c->multipath->spaces[slot - 1] = NULL;
        if (path_id(c, slot)->numbers)
            free_space(c, path_id(c, slot)->numbers);
    }
}

void neap_multipath_free(neap_conn *c)
{
    for (size_t slot = 1; c->multipath && slot <= LIMIT_PATH_IDS; slot++)
        free_numbers(c, path_id(c, slot)->numbers);
    neap_pool_free(c->pool, c->multipath, sizeof *c->multipath);
    c->multipath = NULL;
}

static bool is_routed(const struct local_cids *l)
{
    for (size_t i = 0; i < sizeof l->ids / sizeof l->ids[0]; i++)
        if (l->ids[i].route.owner)
            return true;
    return false;
}

/* Each is followed by another: of path ID 0 the slot stays, but there are more than the option says. */
static void allow_another(struct multipath *m)
{
    if (m->ours == UINT32_MAX)
        return;
    m->ours++;
    m->owes_max_path_id = m->owes = true;
}

void neap_multipath_reap(neap_conn *c)
{
    struct multipath *m = c->multipath;

    for (size_t slot = 0; slot <= LIMIT_PATH_IDS; slot++) {
        struct path_id *id = &m->ids[slot];

        if (id->stage != PATH_ID_GONE || id->is_reaped || is_routed(conn_local_cids(c, (uint8_t)slot)))
            continue;
        allow_another(m);
        if (slot == 0) {
            id->is_reaped = true;
            continue;
        }
        free_numbers(c, id->numbers);
        *id = (struct path_id){.stage = PATH_ID_VACANT};
    }
}

struct path_id *neap_multipath_known(const neap_conn *c, uint64_t id)
{
    for (size_t slot = 0; slot <= LIMIT_PATH_IDS; slot++) {
        struct path_id *candidate = path_id(c, slot);

        if (candidate->stage != PATH_ID_VACANT && candidate->stage != PATH_ID_GONE && candidate->id == id)
            return candidate;
    }
    return NULL;
}

int neap_multipath_find(neap_conn *c, uint64_t id, struct path_id **out, struct failure *why)
{
    struct multipath *m = c->multipath;

    *out = NULL;
    if (id > m->ours)
        return neap_fail(why, NEAP_PROTOCOL_VIOLATION, "a path ID past our limit");
    if (add_slots_to(c, id))
        return NEAP_ERR_NO_MEMORY;
    *out = neap_multipath_known(c, id);
    m->counters.frames_ignored += !*out;
    return 0;
}

/* ---- connection IDs */

const struct local_cid *neap_multipath_find_cid(const neap_conn *c, struct span cid, uint8_t *out)
{
    for (uint8_t slot = 1; slot <= LIMIT_PATH_IDS; slot++) {
        const struct local_cids *l = conn_local_cids(c, slot);
        const struct local_cid *found = l ? neap_local_cids_find(l, cid) : NULL;

        if (found) {
            *out = slot;
            return found;
        }
    }
    return NULL;
}

bool neap_multipath_is_reset(const neap_conn *c, const uint8_t token[RESET_TOKEN_SIZE])
{
    bool is_reset =
        (!c->multipath || path_id_is_used(path_id(c, 0))) && neap_peer_cids_is_reset(&c->peer_cids, token);

    for (size_t slot = 1; c->multipath && slot <= LIMIT_PATH_IDS; slot++)
        if (path_id_is_used(path_id(c, slot)))
            is_reset |= neap_peer_cids_is_reset(&path_id(c, slot)->numbers->peer_cids, token);
    return is_reset;
}

const neap_cid *neap_multipath_sender(const neap_conn *c)
{
    return neap_local_cids_first(conn_local_cids(c, conn_path(c)->slot));
}

/* Whether it is for us to give it connection IDs: the peer lets us use it, too. */
static bool is_told_of(const neap_conn *c, const struct path_id *id)
{
    return id->stage >= PATH_ID_UNUSED && id->stage <= PATH_ID_OPEN && id->id <= c->multipath->theirs;
}

static struct path_id *that_wants_id(neap_conn *c)
{
    struct multipath *m = c->multipath;

    /* Without memory there are fewer. */
    (void)add_slots_to(c, m->ours < m->theirs ? m->ours : m->theirs);
    for (size_t slot = 1; slot <= LIMIT_PATH_IDS; slot++) {
        struct path_id *id = &m->ids[slot];

        if (!is_told_of(c, id) || id->numbers->local_cids.is_sated)
            continue;
        struct local_cids *l = &id->numbers->local_cids;
        l->peer_limit = id->stage == PATH_ID_UNUSED ? UNUSED_IDS : USED_IDS;
        l->is_sated = !neap_local_cids_wants(l);
        if (!l->is_sated)
            return id;
    }
    return NULL;
}

bool neap_multipath_wants_id(neap_conn *c)
{
    return that_wants_id(c) != NULL;
}

void neap_multipath_issue_id(neap_conn *c, const neap_cid *cid)
{
    struct path_id *id = c->multipath ? that_wants_id(c) : NULL;

    if (!id)
        return;
    neap_local_cids_issue(&id->numbers->local_cids, cid);
    c->local_cids.changed = true;
    c->multipath->owes = true;
}
