/* Which path the next packet takes, where several path IDs are open (draft-ietf-quic-multipath §5.4): one that answers before
 * one that does not, one that is available before one that either side calls a backup; and among these as the option
 * path_scheduler says. */
#include "quic/multipath.h"

/* Where a path stands: the least goes first. Paths of the best class alone have data. */
struct rank {
    unsigned class;
    uint64_t order;
};

static unsigned place_in_order(const struct multipath *m, uint32_t id)
{
    unsigned place = 0;

    while (place < m->order_count && m->order[place] != id)
        place++;
    return place;
}

static struct rank rank_of(const neap_conn *c, uint8_t slot)
{
    const struct multipath *m = c->multipath;
    const struct path_id *id = &m->ids[slot];
    const struct path *way = multipath_way(c, slot);
    const struct path_recovery *r = &way->recovery;
    /* An address that is followed before it is proved has shown as little as one that is silent. */
    bool answers = r->pto_count == 0 && neap_validation_budget(&way->address) >= NEAP_MIN_UDP_PAYLOAD;
    bool is_ordered = m->order_count > 0;
    unsigned place = is_ordered ? place_in_order(m, id->id) : 0;
    bool is_left_out = is_ordered && place == m->order_count;

    return (struct rank){.class = (answers ? 0u : 4u) + (id->is_backup || id->is_peer_backup ? 2u : 0u) +
                                  (is_left_out ? 1u : 0u),
                         .order = is_ordered ? place : r->rtt.smoothed};
}

static bool is_before(struct rank a, struct rank b)
{
    return a.class != b.class ? a.class < b.class : a.order < b.order;
}

bool neap_multipath_is_used(const neap_conn *c)
{
    for (size_t slot = 1; slot <= LIMIT_PATH_IDS; slot++)
        if (c->multipath->ids[slot].stage == PATH_ID_OPEN)
            return true;
    return false;
}

size_t neap_multipath_order(neap_conn *c, struct path *out[LIMIT_PATHS], size_t *with_data)
{
    struct rank ranks[LIMIT_PATHS];
    size_t count = 0;

    for (uint8_t slot = 0; slot <= LIMIT_PATH_IDS && count < LIMIT_PATHS; slot++) {
        if (c->multipath->ids[slot].stage != PATH_ID_OPEN)
            continue;
        struct rank rank = rank_of(c, slot);
        size_t at = count++;

        for (; at > 0 && is_before(rank, ranks[at - 1]); at--) {
            ranks[at] = ranks[at - 1];
            out[at] = out[at - 1];
        }
        ranks[at] = rank;
        out[at] = multipath_way(c, slot);
    }
    *with_data = 0;
    while (*with_data < count && ranks[*with_data].class == ranks[0].class)
        (*with_data)++;
    return count;
}

struct path *neap_multipath_best(neap_conn *c)
{
    struct path *order[LIMIT_PATHS];
    size_t with_data;

    return neap_multipath_order(c, order, &with_data) > 0 ? order[0] : conn_path(c);
}

uint64_t neap_multipath_window(const neap_conn *c)
{
    uint64_t sum = 0;

    for (uint8_t slot = 0; slot <= LIMIT_PATH_IDS; slot++)
        if (c->multipath->ids[slot].stage == PATH_ID_OPEN)
            sum += multipath_way(c, slot)->recovery.cc.window;
    return sum;
}

size_t neap_multipath_least_size(const neap_conn *c)
{
    size_t least = UINT16_MAX;

    for (uint8_t slot = 0; slot <= LIMIT_PATH_IDS; slot++) {
        if (c->multipath->ids[slot].stage != PATH_ID_OPEN)
            continue;
        size_t size = path_recovery_udp_payload_size(&multipath_way(c, slot)->recovery);
        if (size < least)
            least = size;
    }
    return least;
}

int neap_conn_order_paths(neap_conn *conn, const uint32_t *ids, size_t count)
{
    struct multipath *m = conn->multipath;

    if (!conn_is_alive(conn))
        return NEAP_ERR_CLOSED;
    if (!m)
        return NEAP_ERR_UNSUPPORTED;
    if (count > 1 + LIMIT_PATH_IDS)
        return NEAP_ERR_ARGUMENT;
    m->is_steered = true;
    m->order_count = (uint8_t)count;
    for (size_t i = 0; i < count; i++)
        m->order[i] = ids[i];
    neap_conn_wake(conn);
    return 0;
}

/* ---- the scheduler `redundant`: what is in flight on one path goes on the others, too */

static bool is_redundant(const neap_conn *c)
{
    return config_option(c->config, OPTION_path_scheduler) == NEAP_PATH_SCHEDULER_REDUNDANT;
}

/* The next frame that a path has not repeated of those on another: NULL when there is none. Where the next begins is noted. */
static const struct sent_frame *next_original(neap_conn *c, struct copies *at, uint8_t from)
{
    struct sent *s = &conn_space(c, (enum space)(SPACE_APPLICATION + from))->recovery.sent;
    const struct sent_packet *p;

    for (uint32_t i = neap_sent_lower_bound(s, at->number); (p = neap_sent_at(s, i)) != NULL; i++) {
        if (p->number > at->number)
            *at = (struct copies){.number = p->number};
        for (; p->fate == FATE_IN_FLIGHT && at->frame < p->frame_count; at->frame++, at->bytes = 0) {
            const struct sent_frame *f = neap_sent_frame(s, p, at->frame);

            if (f->kind == KIND_STREAM && !f->is_copy)
                return f;
        }
        *at = (struct copies){.number = p->number + 1};
    }
    return NULL;
}

static bool is_source(const neap_conn *c, uint8_t to, uint8_t from)
{
    return from != to && path_id_is_used(&c->multipath->ids[from]);
}

bool neap_multipath_has_copies(neap_conn *c, const struct path *path)
{
    if (!is_redundant(c))
        return false;
    for (uint8_t from = 0; from <= LIMIT_PATH_IDS; from++)
        if (is_source(c, path->slot, from) &&
            next_original(c, &c->multipath->ids[path->slot].copied[from], from))
            return true;
    return false;
}

bool neap_multipath_copy(neap_conn *c, const struct path *path, struct writer *w, struct sent_frame *out)
{
    if (!is_redundant(c))
        return false;
    for (uint8_t from = 0; from <= LIMIT_PATH_IDS; from++) {
        struct copies *at = &c->multipath->ids[path->slot].copied[from];
        const struct sent_frame *f;

        while (is_source(c, path->slot, from) && (f = next_original(c, at, from)) != NULL) {
            enum copy_result result = neap_streams_copy(&c->streams, w, f, at->bytes, out);

            if (result == COPY_NO_ROOM)
                return false;
            bool is_whole = result == COPY_NONE || out->offset + out->size == f->offset + f->size;
            if (is_whole)
                *at = (struct copies){.number = at->number, .frame = (uint16_t)(at->frame + 1)};
            else
                at->bytes = (uint16_t)(out->offset + out->size - f->offset);
            if (result == COPY_NONE)
                continue;
            c->multipath->counters.copies_sent++;
            return true;
        }
    }
    return false;
}
