/* What became of packets: for each frame in them what its row of the frame table says. */
#include "quic/conn_trace.h"
#include "quic/multipath.h"

/* …_lost: whether what the frame said is said again. */
#define X(name, first, last, fields, handler, fate, rules)                                      \
    static void fate##_acked(neap_conn *c, struct number_space *s, const struct sent_frame *f); \
    static bool fate##_lost(neap_conn *c, struct number_space *s, const struct sent_frame *f);
FRAME_LIST(X)
#undef X

static void nothing_acked(neap_conn *c, struct number_space *s, const struct sent_frame *f)
{
    (void)c, (void)s, (void)f;
}

static bool nothing_lost(neap_conn *c, struct number_space *s, const struct sent_frame *f)
{
    (void)c, (void)s, (void)f;
    return false;
}

static void ack_acked(neap_conn *c, struct number_space *s, const struct sent_frame *f)
{
    (void)c;
    neap_ack_confirmed(&s->ack, f->id);
}

/* The next one says what there is then. */
static bool ack_lost(neap_conn *c, struct number_space *s, const struct sent_frame *f)
{
    (void)c, (void)f;
    s->ack_again = true;
    return false;
}

/* A server's tickets are all that it ever has to say at 1-RTT: their room is given back at once, lest it be between the
 * rooms of connections that stay. */
static void free_tickets(neap_conn *c, struct number_space *s)
{
    struct crypto_stream *crypto = s->crypto;

    if (s != &c->application || !c->is_server || crypto->send.base < crypto->send.end ||
        crypto->recv.received.count > 0)
        return;
    neap_crypto_stream_free(crypto, c->pool);
    neap_pool_free(c->pool, crypto, sizeof *crypto);
    s->crypto = NULL;
}

/* CRYPTO at 1-RTT is one stream, whatever path it took. */
static struct number_space *with_crypto(neap_conn *c, struct number_space *s)
{
    bool is_handshake = c->handshake && (s == &c->handshake->spaces[0] || s == &c->handshake->spaces[1]);

    return is_handshake ? s : &c->application;
}

static void crypto_acked(neap_conn *c, struct number_space *s, const struct sent_frame *f)
{
    s = with_crypto(c, s);
    if (!s->crypto) /* all of it was acknowledged before */
        return;
    neap_send_buffer_acked(&s->crypto->send, c->pool, f->offset, f->size);
    free_tickets(c, s);
}

static bool crypto_lost(neap_conn *c, struct number_space *s, const struct sent_frame *f)
{
    s = with_crypto(c, s);
    if (s->crypto)
        neap_send_buffer_lost(&s->crypto->send, c->pool, f->offset, f->size);
    return s->crypto;
}

static void streams_acked(neap_conn *c, struct number_space *s, const struct sent_frame *f)
{
    (void)s;
    neap_streams_on_acked(&c->streams, f);
}

static bool streams_lost(neap_conn *c, struct number_space *s, const struct sent_frame *f)
{
    (void)s;
    neap_streams_on_lost(&c->streams, f);
    return true;
}

static void new_connection_id_acked(neap_conn *c, struct number_space *s, const struct sent_frame *f)
{
    (void)c, (void)s, (void)f;
}

static bool new_connection_id_lost(neap_conn *c, struct number_space *s, const struct sent_frame *f)
{
    (void)s;
    neap_local_cids_on_lost(&c->local_cids, f->id);
    return true;
}

static void retire_connection_id_acked(neap_conn *c, struct number_space *s, const struct sent_frame *f)
{
    (void)s;
    neap_peer_cids_retire_acked(&c->peer_cids, f->id);
}

static bool retire_connection_id_lost(neap_conn *c, struct number_space *s, const struct sent_frame *f)
{
    (void)s;
    neap_peer_cids_retire_lost(&c->peer_cids, f->id);
    return true;
}

static void handshake_done_acked(neap_conn *c, struct number_space *s, const struct sent_frame *f)
{
    (void)c, (void)s, (void)f;
}

static bool handshake_done_lost(neap_conn *c, struct number_space *s, const struct sent_frame *f)
{
    (void)s, (void)f;
    c->owes_handshake_done = true;
    return true;
}

static void datagram_acked(neap_conn *c, struct number_space *s, const struct sent_frame *f)
{
    (void)s;
    neap_datagrams_on_acked(c->datagrams, f->id);
    c->news |= f->id ? NEWS_DATAGRAM : 0;
}

/* RFC 9221 §5.2: never sent again. */
static bool datagram_lost(neap_conn *c, struct number_space *s, const struct sent_frame *f)
{
    (void)s;
    neap_datagrams_on_lost(c->datagrams, f->id);
    c->news |= f->id ? NEWS_DATAGRAM : 0;
    return false;
}

static void new_token_acked(neap_conn *c, struct number_space *s, const struct sent_frame *f)
{
    (void)c, (void)s, (void)f;
}

/* Another one goes in its place: which of the two arrives is the same. */
static bool new_token_lost(neap_conn *c, struct number_space *s, const struct sent_frame *f)
{
    (void)s, (void)f;
    c->owes_token = true;
    return true;
}

static void ack_frequency_acked(neap_conn *c, struct number_space *s, const struct sent_frame *f)
{
    (void)s;
    neap_conn_ack_request_acked(c, f);
}

static bool ack_frequency_lost(neap_conn *c, struct number_space *s, const struct sent_frame *f)
{
    (void)s;
    neap_conn_ack_request_lost(c, f);
    return true;
}

static void path_acked(neap_conn *c, struct number_space *s, const struct sent_frame *f)
{
    (void)s;
    neap_multipath_acked(c, f);
}

static bool path_lost(neap_conn *c, struct number_space *s, const struct sent_frame *f)
{
    (void)s;
    return neap_multipath_lost(c, f);
}

static void on_acked(neap_conn *c, struct number_space *s, const struct sent_frame *f)
{
    switch ((enum frame_kind)f->kind) {
#define X(name, first, last, fields, handler, fate, rules) \
    case KIND_##name: fate##_acked(c, s, f); return;
        FRAME_LIST(X)
#undef X
    case FRAME_KINDS: return;
    }
}

static bool on_lost(neap_conn *c, struct number_space *s, const struct sent_frame *f)
{
    switch ((enum frame_kind)f->kind) {
#define X(name, first, last, fields, handler, fate, rules) \
    case KIND_##name: return fate##_lost(c, s, f);
        FRAME_LIST(X)
#undef X
    case FRAME_KINDS: break;
    }
    return false;
}

/* Whether anything in the packet is sent again. Of a packet that is still in flight, which a probe repeats, a datagram is
 * not lost yet. */
static bool lose_frames(neap_conn *c, struct number_space *s, const struct sent_packet *p)
{
    bool again = false;

    for (size_t i = 0; i < p->frame_count; i++) {
        const struct sent_frame *f = neap_sent_frame(&s->recovery.sent, p, i);

        if ((p->fate != FATE_IN_FLIGHT || f->kind != KIND_DATAGRAM) && !f->is_copy)
            again |= on_lost(c, s, f);
    }
    return again;
}

static enum neap_packet_type type_of(enum space space)
{
    return space == SPACE_INITIAL     ? NEAP_PACKET_INITIAL
           : space == SPACE_HANDSHAKE ? NEAP_PACKET_HANDSHAKE
                                      : NEAP_PACKET_SHORT;
}

static void count_again(neap_conn *c, const struct sent_packet *p, bool again)
{
    c->counters.packets_retransmitted += again;
    if (c->traffic && p->path != PATH_NONE && conn_path_at(c, p->path))
        c->traffic[p->path].packets_retransmitted += again;
}

static void trace_metrics(neap_conn *c)
{
    const struct path_recovery *r = &conn_path(c)->recovery;

    TRACE(c->tracer, .conn = c, .kind = NEAP_TRACE_METRICS, .now = c->now,
          .values = {r->cc.window, r->bytes_in_flight, r->rtt.smoothed, r->pto_count});
}

/* Frames of one stream that were acknowledged and follow each other, as those of a bulk transfer do: they are told as one. */
struct acked_run {
    uint64_t id, offset;
    size_t size;
    bool fin, is_open;
};

static bool is_sent(const neap_conn *c, uint64_t id)
{
    const struct stream *stream = neap_streams_find(&c->streams, id);

    return !stream || neap_stream_send_is_over(stream->send);
}

/* The sending side is over with the acknowledgement of all of it (RFC 9000 §3.1). */
static void trace_acked(neap_conn *c, const struct acked_run *run)
{
    bool was_sent = is_sent(c, run->id);

    neap_streams_on_data_acked(&c->streams, run->id, run->offset, run->size, run->fin);
    if (!was_sent && is_sent(c, run->id))
        neap_conn_trace_stream(c, run->id, NEAP_TRACE_STREAM_CLOSED, true);
}

static void end_run(neap_conn *c, struct acked_run *run)
{
    if (run->is_open && conn_is_traced(c))
        trace_acked(c, run);
    else if (run->is_open)
        neap_streams_on_data_acked(&c->streams, run->id, run->offset, run->size, run->fin);
    run->is_open = false;
}

static void take_acked(neap_conn *c, struct number_space *s, const struct sent_frame *f,
                       struct acked_run *run)
{
    if (f->kind != KIND_STREAM) {
        on_acked(c, s, f);
        if (conn_is_traced(c) && (f->kind == KIND_RESET_STREAM || f->kind == KIND_RESET_STREAM_AT))
            neap_conn_trace_stream(c, f->id, NEAP_TRACE_STREAM_CLOSED, true);
        return;
    }
    if (run->is_open && !run->fin && f->id == run->id && f->offset == run->offset + run->size) {
        run->size += f->size;
        run->fin = f->fin;
        return;
    }
    end_run(c, run);
    *run =
        (struct acked_run){.id = f->id, .offset = f->offset, .size = f->size, .fin = f->fin, .is_open = true};
}

/* Lost by number and not by time (RFC 9002 §6.1.1). */
static bool is_overtaken(const neap_conn *c, const struct number_space *s, const struct sent_packet *p)
{
    uint64_t largest = s->recovery.largest_acked;
    const struct path *path =
        p->path != PATH_NONE && conn_path_at(c, p->path) ? conn_path_at(c, p->path) : conn_path(c);

    return largest != UINT64_MAX && largest >= p->number &&
           largest - p->number >= path->recovery.reordering.packets;
}

void neap_conn_take_fates(neap_conn *c, enum space space)
{
    struct number_space *s = conn_space(c, space);
    struct acked_run run = {0};
    const struct sent_packet *p;
    enum sent_fate fate;

    if (!s)
        return;
    if (space >= SPACE_APPLICATION)
        neap_streams_follow_window(&c->streams, c->multipath ? neap_multipath_window(c)
                                                             : conn_path(c)->recovery.cc.window);
    while ((p = neap_sent_next_fate(&s->recovery.sent, &fate)) != NULL) {
        if (fate == FATE_ACKED) {
            TRACE(c->tracer, .conn = c, .kind = NEAP_TRACE_PACKET_ACKED, .now = c->now, .number = p->number,
                  .size = p->size, .packet_type = type_of(space), .path_id = neap_multipath_id_of(c, space));
            for (size_t i = 0; i < p->frame_count; i++)
                take_acked(c, s, neap_sent_frame(&s->recovery.sent, p, i), &run);
            continue;
        }
        count_again(c, p, lose_frames(c, s, p));
        TRACE(c->tracer, .conn = c, .kind = NEAP_TRACE_PACKET_LOST, .now = c->now, .number = p->number,
              .size = p->size, .packet_type = type_of(space), .path_id = neap_multipath_id_of(c, space),
              .values = {p->is_size_probe, is_overtaken(c, s, p)});
    }
    end_run(c, &run);
    trace_metrics(c);
    if (conn_is_traced(c))
        neap_conn_trace_timer(c, false);
}

void neap_conn_requeue_oldest(neap_conn *c, enum space space, uint32_t packets)
{
    struct number_space *s = conn_space(c, space);
    const struct sent_packet *p;

    for (uint32_t i = 0; packets > 0 && (p = neap_sent_at(&s->recovery.sent, i)) != NULL; i++) {
        if (p->fate != FATE_IN_FLIGHT || !p->ack_eliciting || p->is_size_probe)
            continue;
        count_again(c, p, lose_frames(c, s, p));
        packets--;
    }
}
