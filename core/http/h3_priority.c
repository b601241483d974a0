/* Which response goes first (RFC 9218): what the client asks for, before or while it waits, and what the server knows better. */
#include "base/pool.h"
#include "http/h3.h"
#include "quic/quic.h"

#define ID_MAX 8u    /* bytes of a stream ID, */
#define FIELD_MAX 8u /* and of "u=7, i" */

/* What goes for a response. Those of which nobody said anything take turns, as all streams do: who does not know of priorities may
 * well ask for something small behind something large. */
static struct priority in_force(const struct h3_request *r)
{
    return (struct priority){
        .urgency = r->own.has_urgency ? r->own.urgency : r->asked.urgency,
        .incremental = r->own.has_incremental ? r->own.incremental
                       : r->asked.is_said     ? r->asked.incremental
                                              : true,
        .is_said = r->own.is_said || r->asked.is_said,
    };
}

static void trace(struct neap_h3 *h3, uint64_t id, const struct priority *before, const struct priority *now,
                  bool is_ours, bool is_merged)
{
    H3_TRACE(h3, .kind = NEAP_TRACE_H3_PRIORITY, .number = id,
             .values = {is_ours ? NEAP_TRACE_OURS : NEAP_TRACE_PEERS, now->urgency, now->incremental,
                        before->is_said ? before->urgency : UINT64_MAX, before->incremental, is_merged});
}

/* `said` takes the place of *of, which is r->asked or r->own. */
static int change(struct h3_request *r, struct priority *of, const struct priority *said, bool is_ours)
{
    const struct priority before = in_force(r);

    *of = *said;
    const struct priority now = in_force(r);
    trace(r->h3, r->id, &before, &now, is_ours, r->own.is_said && r->asked.is_said);
    return neap_conn_stream_set_priority(r->h3->conn, r->id, now.urgency, now.incremental);
}

void neap_h3_priority_begin(struct h3_request *r)
{
    struct priorities_ahead *ahead = r->h3->ahead;

    r->asked.urgency = PRIORITY_URGENCY;
    for (uint32_t i = 0; ahead && i < ahead->count; i++) {
        if (ahead->of[i].id != r->id)
            continue;
        change(r, &r->asked, &ahead->of[i].priority, false);
        ahead->of[i] = ahead->of[--ahead->count];
        if (ahead->count == 0) {
            neap_pool_free(r->h3->pool, ahead, sizeof(*ahead));
            r->h3->ahead = NULL;
        }
        return;
    }
}

void neap_h3_priority_asked(struct h3_request *r, const struct priority *said)
{
    if (!said->is_said || r->asked.is_said)
        return;
    change(r, &r->asked, said, !r->h3->is_server);
}

void neap_h3_priority_answered(struct h3_request *r, const struct priority *said)
{
    if (!said->has_urgency && !said->has_incremental)
        return;
    change(r, &r->own, said, true);
}

/* The newest are kept. Without memory there is one signal less. */
static void keep(struct neap_h3 *h3, uint64_t id, const struct priority *priority)
{
    struct priorities_ahead *ahead = h3->ahead;
    uint32_t at = 0;

    if (!ahead) {
        ahead = h3->ahead = neap_pool_alloc(h3->pool, sizeof(*ahead));
        if (!ahead)
            return;
    }
    while (at < ahead->count && ahead->of[at].id != id)
        at++;
    if (at == LIMIT_PRIORITIES_AHEAD)
        at = ahead->next++ % LIMIT_PRIORITIES_AHEAD;
    else if (at == ahead->count)
        ahead->count++;
    ahead->of[at].id = id;
    ahead->of[at].priority = *priority;
}

void neap_h3_priority_update(struct neap_h3 *h3, uint64_t id, struct span value)
{
    struct priority said = {.urgency = PRIORITY_URGENCY};
    struct h3_request *r = neap_h3_find_request(h3, id);

    if (!neap_priority_parse(value, &said)) {
        neap_h3_glitch(h3); /* RFC 9218 §7 lets it be an error, and nothing depends on it */
    } else if (r) {
        change(r, &r->asked, &said, false);
    } else if (!neap_conn_stream_finished(h3->conn, id)) {
        keep(h3, id, &said);
    } else {
        /* Of a response that is queued to its end the stream is left. */
        trace(h3, id, &(struct priority){0}, &said, false, false);
        neap_conn_stream_ask_priority(h3->conn, id, said.urgency, said.incremental);
    }
}

/* PRIORITY_UPDATE: 0, NEAP_ERR_AGAIN while our control stream has no room for it, and as neap_h3_control_lost. */
static int say(struct neap_h3 *h3, uint64_t id, const struct priority *priority)
{
    const uint8_t text[FIELD_MAX] = {'u', '=', (uint8_t)('0' + priority->urgency), ',', ' ', 'i'};
    size_t size = priority->incremental ? 6 : 3;
    uint8_t room[H3_FRAME_HEAD_MAX + ID_MAX + FIELD_MAX];
    struct writer w = writer_of(room, sizeof(room));

    write_h3_frame_head(&w, H3_PRIORITY_UPDATE_REQUEST, varint_size(id) + size);
    write_varint(&w, id);
    write_bytes(&w, text, size);
    if (h3->control_id == NO_STREAM ||
        neap_conn_held_capacity(h3->conn, h3->control) < (int64_t)writer_size(&w))
        return NEAP_ERR_AGAIN;
    struct span frame = span_of(room, writer_size(&w));
    int err = neap_conn_held_queue(h3->conn, h3->control, &frame, 1, false);
    return err ? neap_h3_control_lost(h3, err) : NEAP_OK;
}

int neap_h3_set_priority(neap_h3 *h3, uint64_t stream, unsigned urgency, bool incremental)
{
    struct h3_request *r = neap_h3_find_request(h3, stream);
    struct priority said = {(uint8_t)urgency, incremental, true, true, true};

    if (neap_h3_is_closed(h3))
        return NEAP_ERR_CLOSED;
    if (urgency > 7)
        return NEAP_ERR_ARGUMENT;
    if (!r)
        return NEAP_ERR_STREAM_STATE;
    if (h3->is_server)
        return change(r, &r->own, &said, true);
    if (r->asked.is_said && r->asked.urgency == urgency && r->asked.incremental == incremental)
        return NEAP_OK;
    int err = say(h3, stream, &said);
    if (err)
        return err;
    return change(r, &r->asked, &said, true);
}

int neap_h3_priority(const neap_h3 *h3, uint64_t stream, unsigned *urgency, bool *incremental)
{
    const struct h3_request *r = neap_h3_find_request(h3, stream);

    if (!r)
        return NEAP_ERR_STREAM_STATE;
    *urgency = r->asked.urgency;
    *incremental = r->asked.incremental;
    return NEAP_OK;
}
