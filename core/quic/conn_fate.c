/* What became of packets: one switch for acknowledged, one for lost. */
#include "quic/conn.h"

static struct written_frame as_written(const struct sent_frame *f, uint64_t type)
{
    return (struct written_frame){
        .type = type, .id = f->id, .offset = f->offset, .size = f->size, .fin = f->fin};
}

/* The frame type of what streams/ wrote; 0 for what others did. */
static uint64_t stream_frame_type(enum sent_frame_kind kind)
{
    switch (kind) {
    case SENT_STREAM: return FRAME_STREAM;
    case SENT_RESET_STREAM: return FRAME_RESET_STREAM;
    case SENT_STOP_SENDING: return FRAME_STOP_SENDING;
    case SENT_MAX_DATA: return FRAME_MAX_DATA;
    case SENT_MAX_STREAM_DATA: return FRAME_MAX_STREAM_DATA;
    case SENT_MAX_STREAMS_BIDI: return FRAME_MAX_STREAMS_BIDI;
    case SENT_MAX_STREAMS_UNI: return FRAME_MAX_STREAMS_UNI;
    case SENT_DATA_BLOCKED: return FRAME_DATA_BLOCKED;
    case SENT_STREAM_DATA_BLOCKED: return FRAME_STREAM_DATA_BLOCKED;
    case SENT_STREAMS_BLOCKED_BIDI: return FRAME_STREAMS_BLOCKED_BIDI;
    case SENT_STREAMS_BLOCKED_UNI: return FRAME_STREAMS_BLOCKED_UNI;
    case SENT_ACK:
    case SENT_CRYPTO:
    case SENT_NEW_CONNECTION_ID:
    case SENT_RETIRE_CONNECTION_ID:
    case SENT_HANDSHAKE_DONE:
    case SENT_NEW_TOKEN:
    case SENT_PATH_CHALLENGE:
    case SENT_PING: return 0;
    }
    return 0;
}

static void on_acked(neap_conn *c, struct packet_space *s, const struct sent_frame *f)
{
    enum sent_frame_kind kind = (enum sent_frame_kind)f->kind;
    uint64_t type = stream_frame_type(kind);

    if (type != 0) {
        struct written_frame w = as_written(f, type);

        neap_streams_on_acked(&c->streams, &w);
    } else if (kind == SENT_ACK) {
        neap_ack_confirmed(&s->ack, f->id);
    } else if (kind == SENT_CRYPTO) {
        neap_send_buffer_acked(&s->crypto.send, c->pool, f->offset, f->size);
    } else if (kind == SENT_RETIRE_CONNECTION_ID) {
        neap_peer_cids_retire_acked(&c->peer_cids, f->id);
    }
}

static void on_lost(neap_conn *c, struct packet_space *s, const struct sent_frame *f)
{
    enum sent_frame_kind kind = (enum sent_frame_kind)f->kind;
    uint64_t type = stream_frame_type(kind);

    if (type != 0) {
        struct written_frame w = as_written(f, type);

        neap_streams_on_lost(&c->streams, &w);
    } else if (kind == SENT_ACK) {
        s->ack_again = true;
    } else if (kind == SENT_CRYPTO) {
        neap_send_buffer_lost(&s->crypto.send, c->pool, f->offset, f->size);
    } else if (kind == SENT_HANDSHAKE_DONE) {
        c->owes_handshake_done = true;
    } else if (kind == SENT_NEW_CONNECTION_ID) {
        neap_local_cids_on_lost(&c->local_cids, f->id);
    } else if (kind == SENT_RETIRE_CONNECTION_ID) {
        neap_peer_cids_retire_lost(&c->peer_cids, f->id);
    }
}

static bool lose_frames(neap_conn *c, struct packet_space *s, const struct sent_packet *p)
{
    bool again = false;

    for (size_t i = 0; i < p->frame_count; i++) {
        const struct sent_frame *f = neap_sent_frame(&s->sent, p, i);

        again |= f->kind != SENT_ACK && f->kind != SENT_PING;
        on_lost(c, s, f);
    }
    return again;
}

static void trace_metrics(neap_conn *c)
{
    const struct recovery *r = &c->recovery;

    TRACE(c->tracer, .kind = NEAP_TRACE_METRICS, .now = c->now,
          .values = {r->cc.window, r->bytes_in_flight, r->rtt.smoothed, r->pto_count});
}

void neap_conn_take_fates(neap_conn *c, enum space space)
{
    struct packet_space *s = conn_space(c, space);
    const struct sent_packet *p;
    enum sent_fate fate;

    if (!s)
        return;
    while ((p = neap_sent_next_fate(&s->sent, &fate)) != NULL) {
        if (fate == FATE_ACKED) {
            for (size_t i = 0; i < p->frame_count; i++)
                on_acked(c, s, neap_sent_frame(&s->sent, p, i));
            continue;
        }
        c->counters.packets_retransmitted += lose_frames(c, s, p);
        TRACE(c->tracer, .kind = NEAP_TRACE_PACKET_LOST, .now = c->now, .number = p->number, .size = p->size,
              .packet_type = space == SPACE_INITIAL     ? NEAP_PACKET_INITIAL
                             : space == SPACE_HANDSHAKE ? NEAP_PACKET_HANDSHAKE
                                                        : NEAP_PACKET_SHORT);
    }
    trace_metrics(c);
}

void neap_conn_requeue_oldest(neap_conn *c, enum space space, uint32_t packets)
{
    struct packet_space *s = conn_space(c, space);
    const struct sent_packet *p;

    for (uint32_t i = 0; packets > 0 && (p = neap_sent_at(&s->sent, i)) != NULL; i++) {
        if (p->fate != FATE_IN_FLIGHT || !p->ack_eliciting)
            continue;
        c->counters.packets_retransmitted += lose_frames(c, s, p);
        packets--;
    }
}
