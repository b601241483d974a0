/* Answers that need no connection: bounded in number, and in rate where they could be turned against others. */
#include "quic/endpoint.h"

#define ANSWER_ROOM 640u /* a Version Negotiation packet with two connection IDs of 255 bytes, or a Retry */

/* What has no room is not even computed. */
static bool has_room(neap_endpoint *e)
{
    if (e->answer_count < LIMIT_STATELESS_ANSWERS)
        return true;
    e->stats.answers_dropped++;
    return false;
}

static void queue(neap_endpoint *e, const neap_udp_datagram *d, const uint8_t *bytes, int64_t size,
                  uint64_t *counter)
{
    if (size <= 0)
        return;
    struct answer *a = neap_pool_alloc(e->pool, sizeof *a + (size_t)size);
    if (!a) {
        e->stats.answers_dropped++;
        return;
    }
    a->from = d->to;
    a->to = d->from;
    a->size = (size_t)size;
    memcpy(a->bytes, bytes, (size_t)size);
    list_append(&e->answers, &a->link);
    e->answer_count++;
    ++*counter;
}

void neap_endpoint_answer_version(neap_endpoint *e, const neap_udp_datagram *d, const struct packet_header *h)
{
    uint8_t room[ANSWER_ROOM];
    struct writer w = writer_of(room, sizeof room);

    if (!has_room(e))
        return;
    neap_version_negotiation_write(&w, h->scid, h->dcid, e->config->versions, e->config->version_count,
                                   neap_random_u64(neap_crypto_random(e->config->crypto)));
    if (!w.full)
        queue(e, d, room, (int64_t)writer_size(&w), &e->stats.version_negotiations_sent);
}

void neap_endpoint_answer_retry(neap_endpoint *e, const neap_udp_datagram *d, const neap_header *h)
{
    uint8_t room[ANSWER_ROOM];
    neap_cid scid;

    /* RFC 9000 §17.2.5.1: it must differ from the client's choice, or the client drops the Retry; who tries again does
     * not meet it twice. */
    if (!has_room(e) || !neap_endpoint_new_cid(e, &scid) || cid_equal(&scid, &h->dcid))
        return;
    queue(e, d, room, neap_retry(e->config, h, &scid, &d->from, room, sizeof room), &e->stats.retries_sent);
}

void neap_endpoint_answer_refusal(neap_endpoint *e, const neap_udp_datagram *d, const neap_header *h,
                                  uint64_t code)
{
    uint8_t room[ANSWER_ROOM];

    if (has_room(e))
        queue(e, d, room, neap_refuse(e->config, h, code, room, sizeof room), &e->stats.refused);
}

void neap_endpoint_answer_reset(neap_endpoint *e, const neap_udp_datagram *d, struct span dcid)
{
    uint8_t room[ANSWER_ROOM];
    neap_cid cid = cid_of(dcid);

    /* Only what can be answered counts. */
    if (d->size <= RESET_LEAST || !has_room(e))
        return;
    if (neap_admission_reset(e->admission, &d->from, e->now))
        queue(e, d, room, neap_stateless_reset(e->config, &cid, d->size, room, sizeof room),
              &e->stats.resets_sent);
    else
        e->stats.resets_withheld++;
}

static void drop_first(neap_endpoint *e)
{
    struct answer *a = LIST_OWNER(list_take_first(&e->answers), struct answer, link);

    e->answer_count--;
    neap_pool_free(e->pool, a, sizeof *a + a->size);
}

int64_t neap_endpoint_take_answer(neap_endpoint *e, neap_udp_datagram *out, size_t room)
{
    struct answer *a;

    for (;;) {
        if (list_empty(&e->answers))
            return 0;
        a = LIST_OWNER(e->answers.next, struct answer, link);
        if (!neap_endpoint_is_held(e, &a->to))
            break;
        e->stats.answers_dropped++;
        drop_first(e);
    }
    size_t size = a->size;

    if (size > room)
        return NEAP_ERR_BUFFER_TOO_SHORT;
    memcpy(out->bytes, a->bytes, size);
    out->size = out->segment_size = size;
    out->from = a->from;
    out->to = a->to;
    out->at = e->now;
    out->ecn = 0;
    drop_first(e);
    return (int64_t)size;
}

void neap_endpoint_drop_answers(neap_endpoint *e)
{
    while (!list_empty(&e->answers))
        drop_first(e);
}
