/* The frames of draft-ietf-quic-multipath §4: what comes, what is owed, and what became of it. PATH_ACK is read with ACK in
 * conn_recv_frames.c. */
#include "quic/migration.h"
#include "quic/multipath.h"
#include "quic/received.h"

#define FRAME_MOST (4u + 8u + 8u) /* bytes of a frame with two numbers */
#define NEW_ID_MOST (FRAME_MOST + 8u + 1u + LIMIT_CONNECTION_ID + RESET_TOKEN_SIZE)

/* ---- in */

static struct path *path_of(const neap_conn *c, const struct path_id *id)
{
    return path_id_is_used(id) ? multipath_way(c, multipath_slot(c, id)) : NULL;
}

/* §4.3: only what is newer counts. */
static void on_status(neap_conn *c, struct path_id *id, const struct frame *f)
{
    bool is_backup = f->kind == KIND_PATH_STATUS_BACKUP;

    if (f->sequence < id->least_status)
        return;
    id->least_status = f->sequence + 1;
    if (is_backup == id->is_peer_backup)
        return;
    id->is_peer_backup = is_backup;
    if (path_of(c, id))
        neap_conn_note_path(c, path_of(c, id), NEAP_PATH_EVENT_STATUS);
}

/* One that takes the place of what the path ID's path used. */
static void renew_ids(neap_conn *c, const struct path_id *id)
{
    uint8_t slot = multipath_slot(c, id);
    struct peer_cids *p = neap_multipath_peer_cids(c, slot);

    c->peer_cids_changed = true;
    c->multipath->owes = true; /* some may be retired */
    if (!path_id_is_used(id)) {
        c->news |= NEWS_STATE; /* it may be opened */
        return;
    }
    for (size_t i = 0; i < LIMIT_PATHS; i++) {
        struct path *path = conn_path_at(c, i);

        /* A trial ends with its connection ID: the next packet begins another. */
        if (path && path->slot == slot && path != multipath_way(c, slot) && !p->ids[path->peer_cid].is_active)
            path->until = c->now;
    }
    multipath_way(c, slot)->peer_cid = p->active;
    neap_conn_set_path_timer(c);
}

static int on_new_connection_id(neap_conn *c, struct path_id *id, const struct frame_new_connection_id *f,
                                struct failure *why)
{
    if (multipath_slot(c, id) == 0)
        return neap_conn_on_new_connection_id(c, f, why);
    int rc = neap_peer_cids_on_new(&id->numbers->peer_cids, c->pool, f, why);
    if (rc == 0)
        renew_ids(c, id);
    return rc;
}

static int on_retire_connection_id(neap_conn *c, struct path_id *id, const struct received *p,
                                   uint64_t sequence, struct failure *why)
{
    struct local_cids *l = neap_multipath_local_cids(c, multipath_slot(c, id));
    neap_cid dcid = cid_of(p->dcid);

    if (neap_local_cids_may_keep(l, sequence))
        c->unproductive += LIMIT_RETIREMENT_COST;
    int rc = neap_local_cids_on_retire(l, sequence, &dcid, why);
    c->local_cids.changed = true;
    return rc;
}

/* §4.6. Nothing lowers it. */
static int on_max_path_id(neap_conn *c, uint64_t most, struct failure *why)
{
    struct multipath *m = c->multipath;

    if (most > UINT32_MAX || most < m->first_theirs)
        return neap_fail(why, NEAP_PROTOCOL_VIOLATION, "MAX_PATH_ID of a value that cannot be");
    if (most <= m->theirs)
        return 0;
    /* More than we let the peer use are of no use: what brings nothing may not be said without end. */
    c->progress += m->theirs < m->ours;
    m->theirs = (uint32_t)most;
    for (uint8_t slot = 1; slot <= LIMIT_PATH_IDS; slot++)
        if (m->ids[slot].numbers)
            m->ids[slot].numbers->local_cids.is_sated = false;
    return 0;
}

/* §4.7: it says nothing of what we ought to do. */
static int on_cids_blocked(neap_conn *c, struct path_id *id, uint64_t next, struct failure *why)
{
    if (next > conn_local_cids(c, multipath_slot(c, id))->next_sequence)
        return neap_fail(why, NEAP_PROTOCOL_VIOLATION, "PATH_CIDS_BLOCKED past the next connection ID");
    return 0;
}

static int on_frame_of(neap_conn *c, struct path_id *id, const struct received *p, const struct frame *f,
                       struct failure *why)
{
    if (f->kind == KIND_PATH_ABANDON) {
        neap_multipath_on_abandon(c, id, f->code);
        return 0;
    }
    if (f->kind == KIND_PATH_RETIRE_CONNECTION_ID)
        return on_retire_connection_id(c, id, p, f->sequence, why);
    if (f->kind == KIND_PATH_CIDS_BLOCKED)
        return on_cids_blocked(c, id, f->sequence, why);
    if (f->kind == KIND_PATH_STATUS_BACKUP || f->kind == KIND_PATH_STATUS_AVAILABLE) {
        on_status(c, id, f);
        return 0;
    }
    /* What is given for a path ID that we abandoned is of no use any more. */
    return id->stage == PATH_ID_ABANDONED ? 0 : on_new_connection_id(c, id, &f->new_connection_id, why);
}

int neap_multipath_on_frame(neap_conn *c, const struct received *p, const struct frame *f,
                            struct failure *why)
{
    struct path_id *id;

    if (f->kind == KIND_MAX_PATH_ID)
        return on_max_path_id(c, f->path_id, why);
    if (f->kind == KIND_PATHS_BLOCKED)
        return f->path_id <= c->multipath->ours
                   ? 0
                   : neap_fail(why, NEAP_PROTOCOL_VIOLATION, "PATHS_BLOCKED past our limit");
    int rc = neap_multipath_find(c, f->path_id, &id, why);
    return rc || !id ? rc : on_frame_of(c, id, p, f, why);
}

/* ---- out */

static void keep(struct sent_frame *out, enum frame_kind kind, uint64_t path_id, uint64_t number)
{
    *out = (struct sent_frame){.kind = (uint8_t)kind, .id = number, .offset = path_id};
}

static bool write_abandon(struct path_id *id, struct writer *w, struct sent_frame *out)
{
    if (!id->owes_abandon)
        return false;
    neap_write_stream_number(w, FRAME_PATH_ABANDON, id->id, id->code);
    keep(out, KIND_PATH_ABANDON, id->id, id->code);
    id->owes_abandon = false;
    return true;
}

static bool write_status(struct path_id *id, struct writer *w, struct sent_frame *out)
{
    if (!id->owes_status || !path_id_is_used(id))
        return false;
    neap_write_stream_number(w, id->is_backup ? FRAME_PATH_STATUS_BACKUP : FRAME_PATH_STATUS_AVAILABLE,
                             id->id, id->next_status);
    keep(out, id->is_backup ? KIND_PATH_STATUS_BACKUP : KIND_PATH_STATUS_AVAILABLE, id->id,
         id->next_status++);
    id->owes_status = false;
    return true;
}

/* §4.7: the next that it may give. */
static bool write_cids_blocked(struct path_id *id, struct writer *w, struct sent_frame *out)
{
    if (!id->owes_cids_blocked)
        return false;
    const struct peer_cids *p = &id->numbers->peer_cids;
    uint64_t next = p->seen ? p->newest + 1 : 0;

    neap_write_stream_number(w, FRAME_PATH_CIDS_BLOCKED, id->id, next);
    keep(out, KIND_PATH_CIDS_BLOCKED, id->id, next);
    id->owes_cids_blocked = false;
    return true;
}

static bool write_connection_id(neap_conn *c, struct path_id *id, struct writer *w, struct sent_frame *out)
{
    struct frame_new_connection_id f;

    if (!id->numbers || id->stage > PATH_ID_OPEN)
        return false;
    if (neap_local_cids_next_owed(&id->numbers->local_cids, &f)) {
        neap_config_reset_token(c->config, &f.cid, f.token);
        neap_write_path_new_connection_id(w, id->id, &f);
        keep(out, KIND_PATH_NEW_CONNECTION_ID, id->id, f.sequence);
        return true;
    }
    if (!neap_peer_cids_next_retire(&id->numbers->peer_cids, &f.sequence))
        return false;
    neap_write_stream_number(w, FRAME_PATH_RETIRE_CONNECTION_ID, id->id, f.sequence);
    keep(out, KIND_PATH_RETIRE_CONNECTION_ID, id->id, f.sequence);
    return true;
}

static bool write_limit(struct multipath *m, struct writer *w, struct sent_frame *out)
{
    if (m->owes_max_path_id) {
        neap_write_number(w, FRAME_MAX_PATH_ID, m->ours);
        keep(out, KIND_MAX_PATH_ID, m->ours, 0);
        m->owes_max_path_id = false;
        return true;
    }
    if (m->owes_paths_blocked) {
        neap_write_number(w, FRAME_PATHS_BLOCKED, m->theirs);
        keep(out, KIND_PATHS_BLOCKED, m->theirs, 0);
        m->owes_paths_blocked = false;
        return true;
    }
    return false;
}

bool neap_multipath_write(neap_conn *c, struct writer *w, struct sent_frame *out)
{
    struct multipath *m = c->multipath;

    if (!m->owes || writer_left(w) < NEW_ID_MOST)
        return false;
    if (write_limit(m, w, out))
        return true;
    for (size_t slot = 0; slot <= LIMIT_PATH_IDS; slot++) {
        struct path_id *id = &m->ids[slot];

        if (write_abandon(id, w, out) || write_status(id, w, out) || write_cids_blocked(id, w, out) ||
            write_connection_id(c, id, w, out))
            return true;
    }
    m->owes = false;
    return false;
}

/* ---- fates */

static struct ack_state *ack_of(neap_conn *c, const struct path_id *id)
{
    return &conn_space(c, (enum space)(SPACE_APPLICATION + multipath_slot(c, id)))->ack;
}

void neap_multipath_acked(neap_conn *c, const struct sent_frame *f)
{
    struct path_id *id = neap_multipath_known(c, f->offset);

    if (!id || f->kind == KIND_MAX_PATH_ID)
        return;
    if (f->kind == KIND_PATH_ACK) {
        neap_ack_confirmed(ack_of(c, id), f->id);
    } else if (f->kind == KIND_PATH_RETIRE_CONNECTION_ID) {
        neap_peer_cids_retire_acked(neap_multipath_peer_cids(c, multipath_slot(c, id)), f->id);
    } else if (f->kind == KIND_PATH_ABANDON) {
        id->is_abandon_acked = true;
        if (id->until == NEAP_NEVER && id->is_peer_gone)
            id->until = c->now;
    }
}

/* The last status alone is said again, and the last limit. */
bool neap_multipath_lost(neap_conn *c, const struct sent_frame *f)
{
    struct multipath *m = c->multipath;
    struct path_id *id = f->kind == KIND_MAX_PATH_ID ? NULL : neap_multipath_known(c, f->offset);
    bool is_kept = id && id->stage <= PATH_ID_OPEN;

    if (f->kind == KIND_MAX_PATH_ID)
        return m->owes = m->owes_max_path_id = m->owes_max_path_id || f->offset == m->ours;
    if (!id)
        return false;
    uint8_t slot = multipath_slot(c, id);
    if (f->kind == KIND_PATH_ACK) {
        conn_space(c, (enum space)(SPACE_APPLICATION + slot))->ack_again = true;
        return false;
    }
    if (f->kind == KIND_PATH_ABANDON)
        id->owes_abandon = !id->is_abandon_acked;
    else if (f->kind == KIND_PATH_NEW_CONNECTION_ID && is_kept)
        neap_local_cids_on_lost(neap_multipath_local_cids(c, slot), f->id);
    else if (f->kind == KIND_PATH_RETIRE_CONNECTION_ID && is_kept)
        neap_peer_cids_retire_lost(neap_multipath_peer_cids(c, slot), f->id);
    else if (is_kept && f->id + 1 == id->next_status)
        id->owes_status = true;
    m->owes = true;
    return true;
}
