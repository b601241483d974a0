/* Connection IDs (RFC 9000 §5.1, §19.15, §19.16). */
#include "paths/cid.h"

#include <string.h>

#define LOCAL_SLOTS LIMIT_LOCAL_CONNECTION_IDS_HELD
#define PEER_SLOTS (LIMIT_PEER_CONNECTION_IDS * 2)

static bool cid_equal(const neap_cid *a, const neap_cid *b)
{
    return a->size == b->size && memcmp(a->bytes, b->bytes, a->size) == 0;
}

/* ---- ours */

void neap_local_cids_init(struct local_cids *l, const neap_cid *first)
{
    /* Until the peer's limit is known only the first is there. */
    *l = (struct local_cids){.next_sequence = 1, .peer_limit = 1, .cid_size = first->size};
    l->ids[0] = (struct local_cid){.cid = *first, .in_use = true, .was_told = true};
}

void neap_local_cids_init_empty(struct local_cids *l, uint8_t cid_size, uint8_t peer_limit)
{
    *l = (struct local_cids){.peer_limit = peer_limit, .cid_size = cid_size};
}

/* In use, or found by its route still. */
static bool is_held(const struct local_cid *id)
{
    return id->in_use || id->route.owner;
}

/* In use, and not to be retired. */
static bool is_current(const struct local_cids *l, const struct local_cid *id)
{
    return id->in_use && id->sequence >= l->retire_prior_to;
}

bool neap_local_cids_has_current(const struct local_cids *l)
{
    for (size_t i = 0; i < LOCAL_SLOTS; i++)
        if (is_current(l, &l->ids[i]))
            return true;
    return false;
}

/* What the peer is to retire does not count against its limit (RFC 9000 §5.1.1), but takes a slot until it has. */
bool neap_local_cids_wants(const struct local_cids *l)
{
    uint64_t limit = l->peer_limit < LIMIT_LOCAL_CONNECTION_IDS ? l->peer_limit : LIMIT_LOCAL_CONNECTION_IDS;
    uint64_t held = 0, current = 0;

    for (size_t i = 0; i < LOCAL_SLOTS; i++) {
        const struct local_cid *id = &l->ids[i];

        held += is_held(id);
        current += is_current(l, id) || (is_held(id) && !id->in_use);
    }
    return l->cid_size > 0 && held < LOCAL_SLOTS && current < limit;
}

/* Whether the peer has all retired that it was told to. */
static bool is_rotated(const struct local_cids *l)
{
    for (size_t i = 0; i < LOCAL_SLOTS; i++)
        if (l->ids[i].in_use && !is_current(l, &l->ids[i]))
            return false;
    return true;
}

void neap_local_cids_rotate(struct local_cids *l)
{
    if (l->retire_prior_to == l->next_sequence) /* none came since */
        return;
    /* RFC 9000 §5.1.2: not before those are retired that the last value named. */
    l->wants_rotation = !is_rotated(l);
    if (!l->wants_rotation)
        l->retire_prior_to = l->next_sequence;
    l->is_sated = false;
}

uint64_t neap_local_cids_issue(struct local_cids *l, const neap_cid *cid)
{
    size_t at = 0;

    /* There are as many slots as may be held. */
    while (is_held(&l->ids[at]))
        at++;
    l->ids[at] =
        (struct local_cid){.cid = *cid, .sequence = l->next_sequence++, .in_use = true, .owes_send = true};
    l->owed++;
    l->changed = true;
    return l->ids[at].sequence;
}

/* The slot with the lowest sequence number, of all or of those that owe a frame; LOCAL_SLOTS when there is none. */
static size_t lowest_local(const struct local_cids *l, bool that_owe)
{
    size_t lowest = LOCAL_SLOTS;

    for (size_t i = 0; i < LOCAL_SLOTS; i++) {
        const struct local_cid *id = &l->ids[i];

        if (id->in_use && (id->owes_send || !that_owe) &&
            (lowest == LOCAL_SLOTS || id->sequence < l->ids[lowest].sequence))
            lowest = i;
    }
    return lowest;
}

bool neap_local_cids_has_owed(const struct local_cids *l)
{
    return l->owed > 0;
}

const neap_cid *neap_local_cids_first(const struct local_cids *l)
{
    size_t lowest = lowest_local(l, false);

    /* The one that carried a packet cannot be retired by it, so that one is always left. */
    return &l->ids[lowest < LOCAL_SLOTS ? lowest : 0].cid;
}

bool neap_local_cids_next_owed(struct local_cids *l, struct frame_new_connection_id *out)
{
    if (l->owed == 0)
        return false;
    struct local_cid *first = &l->ids[lowest_local(l, true)];
    first->owes_send = false;
    first->was_told = true;
    l->owed--;
    /* One that is to be retired itself is still told, if it was lost: the peer answers by retiring it. */
    *out = (struct frame_new_connection_id){
        .sequence = first->sequence,
        .retire_prior_to = first->sequence < l->retire_prior_to ? first->sequence : l->retire_prior_to,
        .cid = first->cid};
    return true;
}

void neap_local_cids_on_lost(struct local_cids *l, uint64_t sequence)
{
    for (size_t i = 0; i < LOCAL_SLOTS; i++)
        if (l->ids[i].in_use && l->ids[i].sequence == sequence && !l->ids[i].owes_send) {
            l->ids[i].owes_send = true;
            l->owed++;
        }
}

bool neap_local_cids_may_keep(const struct local_cids *l, uint64_t sequence)
{
    for (size_t i = 0; i < LOCAL_SLOTS; i++)
        if (l->ids[i].sequence == sequence && is_current(l, &l->ids[i]))
            return true;
    return false;
}

int neap_local_cids_on_retire(struct local_cids *l, uint64_t sequence, const neap_cid *dcid,
                              struct failure *why)
{
    if (l->cid_size == 0)
        return neap_fail(why, NEAP_PROTOCOL_VIOLATION,
                         "RETIRE_CONNECTION_ID for a zero-length connection ID");
    if (sequence >= l->next_sequence)
        return neap_fail(why, NEAP_PROTOCOL_VIOLATION, "RETIRE_CONNECTION_ID for one that was not issued");
    for (size_t i = 0; i < LOCAL_SLOTS; i++) {
        struct local_cid *id = &l->ids[i];

        if (!id->in_use || id->sequence != sequence)
            continue;
        if (cid_equal(&id->cid, dcid))
            return neap_fail(why, NEAP_PROTOCOL_VIOLATION, "RETIRE_CONNECTION_ID for the packet's own");
        if (!id->was_told)
            return neap_fail(why, NEAP_PROTOCOL_VIOLATION, "RETIRE_CONNECTION_ID for one that was not sent");
        l->owed = (uint8_t)(l->owed - id->owes_send);
        *id = (struct local_cid){.route = id->route};
        l->changed = true;
        l->is_sated = false;
    }
    if (l->wants_rotation)
        neap_local_cids_rotate(l);
    return 0;
}

const struct local_cid *neap_local_cids_find(const struct local_cids *l, struct span cid)
{
    for (size_t i = 0; i < LOCAL_SLOTS; i++)
        if (l->ids[i].in_use && span_equal(cid, span_of(l->ids[i].cid.bytes, l->ids[i].cid.size)))
            return &l->ids[i];
    return NULL;
}

/* ---- the peer's */

void neap_peer_cids_init(struct peer_cids *p, const neap_cid *first, uint64_t limit)
{
    *p = (struct peer_cids){.limit = (uint8_t)(limit < PEER_SLOTS ? limit : PEER_SLOTS), .seen = 1};
    p->ids[0] = (struct peer_cid){.cid = *first, .in_use = true, .is_active = true};
}

void neap_peer_cids_init_empty(struct peer_cids *p, uint64_t limit)
{
    *p = (struct peer_cids){.limit = (uint8_t)(limit < PEER_SLOTS ? limit : PEER_SLOTS),
                            .is_of_path_id = true};
}

bool neap_peer_cids_need_queue(struct peer_cids *p, struct pool *pool)
{
    if (!p->retire_queue)
        p->retire_queue = neap_pool_alloc_lasting(pool, LIMIT_RETIRE_QUEUE * sizeof *p->retire_queue);
    return p->retire_queue != NULL;
}

void neap_peer_cids_free(struct peer_cids *p, struct pool *pool)
{
    neap_pool_free(pool, p->retire_queue, LIMIT_RETIRE_QUEUE * sizeof *p->retire_queue);
    p->retire_queue = NULL;
    p->retire_count = p->retire_unacked = 0;
}

void neap_peer_cids_replace_first(struct peer_cids *p, const neap_cid *cid)
{
    p->ids[0].cid = *cid;
}

void neap_peer_cids_set_token(struct peer_cids *p, const uint8_t token[16])
{
    for (size_t i = 0; i < PEER_SLOTS; i++) {
        if (!p->ids[i].in_use || p->ids[i].sequence != 0)
            continue;
        memcpy(p->ids[i].token, token, sizeof(p->ids[i].token));
        p->ids[i].has_token = true;
    }
}

const neap_cid *neap_peer_cids_active(const struct peer_cids *p)
{
    return &p->ids[p->active].cid;
}

/* The same sequence number with the same content is a repetition; any other match is a conflict (RFC 9000 §19.15,
 * §10.3.2). */
static int check_conflicts(const struct peer_cids *p, const struct frame_new_connection_id *f,
                           struct failure *why)
{
    for (size_t i = 0; i < PEER_SLOTS; i++) {
        const struct peer_cid *id = &p->ids[i];

        if (!id->in_use)
            continue;
        bool same_cid = cid_equal(&id->cid, &f->cid);
        bool same_token = id->has_token && memcmp(id->token, f->token, sizeof(f->token)) == 0;
        if (id->sequence == f->sequence && same_cid && (same_token || !id->has_token))
            continue;
        if (id->sequence == f->sequence || same_cid)
            return neap_fail(why, NEAP_PROTOCOL_VIOLATION, "NEW_CONNECTION_ID contradicts an earlier one");
        if (same_token)
            return neap_fail(why, NEAP_PROTOCOL_VIOLATION, "stateless reset token used twice");
    }
    return 0;
}

/* Of those that are further behind nothing is known: an honest peer gives a few at a time. */
static bool is_remembered(const struct peer_cids *p, uint64_t sequence)
{
    return sequence <= p->newest && p->newest - sequence < 64;
}

static bool was_seen(const struct peer_cids *p, uint64_t sequence)
{
    for (size_t i = 0; i < PEER_SLOTS; i++)
        if (p->ids[i].in_use && p->ids[i].sequence == sequence)
            return true;
    return is_remembered(p, sequence) && (p->seen >> (p->newest - sequence) & 1) != 0;
}

static void note_seen(struct peer_cids *p, uint64_t sequence)
{
    if (sequence > p->newest) {
        p->seen = sequence - p->newest < 64 ? p->seen << (sequence - p->newest) : 0;
        p->newest = sequence;
    }
    if (is_remembered(p, sequence))
        p->seen |= UINT64_C(1) << (p->newest - sequence);
}

static uint32_t retirements(const struct peer_cids *p)
{
    return (uint32_t)p->retire_count + p->retire_unacked;
}

/* Owe RETIRE_CONNECTION_ID, once until it is acknowledged. */
static int push_retirement(struct peer_cids *p, uint64_t sequence, struct failure *why)
{
    for (uint32_t i = 0; i < retirements(p); i++)
        if (p->retire_queue[i].sequence == sequence)
            return 0;
    if (retirements(p) == LIMIT_RETIRE_QUEUE)
        return neap_fail(why, NEAP_CONNECTION_ID_LIMIT_ERROR, "too many connection IDs to retire");
    p->retire_queue[retirements(p)] = (struct retirement){.sequence = sequence & VARINT_MAX};
    p->retire_count++;
    return 0;
}

/* Retire everything below retire_prior_to. */
static int retire_old(struct peer_cids *p, struct failure *why)
{
    for (size_t i = 0; i < PEER_SLOTS; i++) {
        struct peer_cid *id = &p->ids[i];

        if (!id->in_use || id->sequence >= p->retire_prior_to)
            continue;
        int error = push_retirement(p, id->sequence, why);
        if (error)
            return error;
        *id = (struct peer_cid){0};
    }
    return 0;
}

static int add(struct peer_cids *p, const struct frame_new_connection_id *f, struct failure *why)
{
    struct peer_cid *vacant = NULL;
    uint64_t in_use = 0;

    for (size_t i = 0; i < PEER_SLOTS; i++) {
        if (p->ids[i].in_use)
            in_use++;
        else if (!vacant)
            vacant = &p->ids[i];
    }
    if (in_use >= p->limit || !vacant)
        return neap_fail(why, NEAP_CONNECTION_ID_LIMIT_ERROR, "more than active_connection_id_limit");
    *vacant = (struct peer_cid){.cid = f->cid, .sequence = f->sequence, .in_use = true, .has_token = true};
    memcpy(vacant->token, f->token, sizeof(vacant->token));
    return 0;
}

/* When the active one was retired the lowest that is left takes its place, one that no other path uses where there is one:
 * one that retires others is itself left. Its slot may have been given to a new one meanwhile, so that the mark counts and
 * not the slot. */
static void choose_active(struct peer_cids *p)
{
    const struct peer_cid *best = NULL;

    if (p->ids[p->active].is_active)
        return;
    for (uint32_t i = 0; i < PEER_SLOTS; i++) {
        const struct peer_cid *id = &p->ids[i];

        if (id->in_use &&
            (!best || (id->is_active == best->is_active ? id->sequence < best->sequence : best->is_active)))
            best = id;
    }
    if (!best)
        return;
    p->active = (uint8_t)(best - p->ids);
    p->ids[p->active].is_active = true;
    p->ids[p->active].is_left = false;
}

int neap_peer_cids_on_new(struct peer_cids *p, struct pool *pool, const struct frame_new_connection_id *f,
                          struct failure *why)
{
    if (neap_peer_cids_active(p)->size == 0 && !p->is_of_path_id)
        return neap_fail(why, NEAP_PROTOCOL_VIOLATION,
                         "NEW_CONNECTION_ID beside a zero-length connection ID");
    if (f->retire_prior_to > f->sequence || f->cid.size == 0 || f->cid.size > NEAP_MAX_CONNECTION_ID)
        return neap_fail(why, NEAP_FRAME_ENCODING_ERROR, "NEW_CONNECTION_ID");
    int error = check_conflicts(p, f, why);
    if (error)
        return error;
    bool may_retire = f->retire_prior_to > p->retire_prior_to || f->sequence < p->retire_prior_to;
    if (may_retire && !neap_peer_cids_need_queue(p, pool))
        return neap_fail(why, NEAP_ERR_NO_MEMORY, "no memory to retire connection IDs");
    struct peer_cids next = *p;
    if (f->retire_prior_to > next.retire_prior_to)
        next.retire_prior_to = f->retire_prior_to;
    error = retire_old(&next, why);
    /* One that came before and is not there any more was retired; the peer may have forgotten it (RFC 9000 §5.1.2). */
    if (error == 0 && !was_seen(&next, f->sequence)) {
        note_seen(&next, f->sequence);
        if (f->sequence < next.retire_prior_to)
            error = push_retirement(&next, f->sequence, why); /* it came late, RFC 9000 §19.15 */
        else
            error = add(&next, f, why);
    }
    if (error)
        return error;
    choose_active(&next);
    *p = next;
    return 0;
}

int neap_peer_cids_take_fresh(struct peer_cids *p)
{
    if (neap_peer_cids_active(p)->size == 0 && !p->is_of_path_id)
        return (int)p->active;
    for (uint32_t i = 0; i < PEER_SLOTS; i++) {
        if (!p->ids[i].in_use || p->ids[i].is_active)
            continue;
        p->ids[i].is_active = true;
        return (int)i;
    }
    return -1;
}

int neap_peer_cids_take(struct peer_cids *p, uint64_t sequence)
{
    for (uint32_t i = 0; i < PEER_SLOTS; i++) {
        if (!p->ids[i].in_use || p->ids[i].is_active || p->ids[i].sequence != sequence)
            continue;
        p->ids[i].is_active = true;
        return (int)i;
    }
    return neap_peer_cids_take_fresh(p);
}

void neap_peer_cids_give_back(struct peer_cids *p, uint32_t index)
{
    if (index != p->active)
        p->ids[index].is_active = false;
}

void neap_peer_cids_leave(struct peer_cids *p, uint32_t index)
{
    struct failure ignored = {0};

    if (index == p->active || !p->ids[index].in_use)
        return;
    p->ids[index].is_left = true;
    if (retirements(p) == LIMIT_RETIRE_QUEUE)
        return;
    push_retirement(p, p->ids[index].sequence, &ignored);
    p->ids[index] = (struct peer_cid){0};
}

bool neap_peer_cids_next_retire(struct peer_cids *p, uint64_t *sequence)
{
    for (uint32_t i = 0; i < retirements(p); i++) {
        if (p->retire_queue[i].sent)
            continue;
        p->retire_queue[i].sent = true;
        p->retire_count--;
        p->retire_unacked++;
        *sequence = p->retire_queue[i].sequence;
        return true;
    }
    return false;
}

void neap_peer_cids_retire_lost(struct peer_cids *p, uint64_t sequence)
{
    for (uint32_t i = 0; i < retirements(p); i++) {
        if (p->retire_queue[i].sequence != sequence || !p->retire_queue[i].sent)
            continue;
        p->retire_queue[i].sent = false;
        p->retire_count++;
        p->retire_unacked--;
    }
}

void neap_peer_cids_retire_acked(struct peer_cids *p, uint64_t sequence)
{
    uint32_t all = retirements(p), kept = 0;

    for (uint32_t i = 0; i < all; i++) {
        struct retirement retirement = p->retire_queue[i];

        if (retirement.sequence != sequence)
            p->retire_queue[kept++] = retirement;
        else if (retirement.sent)
            p->retire_unacked--;
        else
            p->retire_count--; /* it was taken for lost, and came after all */
    }
    for (uint32_t i = 0; i < PEER_SLOTS; i++)
        if (p->ids[i].is_left)
            neap_peer_cids_leave(p, i);
}

bool neap_peer_cids_is_reset(const struct peer_cids *p, const uint8_t token[16])
{
    int found = 0;

    for (size_t i = 0; i < PEER_SLOTS; i++) {
        const struct peer_cid *id = &p->ids[i];
        int counts = id->in_use & id->is_active & id->has_token;

        found |= counts & neap_equal_constant_time(id->token, token, sizeof(id->token));
    }
    return found != 0;
}
