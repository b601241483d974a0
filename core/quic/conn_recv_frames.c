/* Frames in: allowed by the frame table, then one handler each (RFC 9000 §12.4, §19). */
#include "quic/conn_token.h"
#include "quic/conn_trace.h"
#include "quic/multipath.h"
#include "quic/received.h"

#define X(name, first, last, fields, handler, fate, rules) \
    static int on_##handler(neap_conn *c, struct received *p, const struct frame *f, struct failure *why);
FRAME_LIST(X)
#undef X

/* PADDING, PING. */
static int on_nothing(neap_conn *c, struct received *p, const struct frame *f, struct failure *why)
{
    (void)c, (void)p, (void)f, (void)why;
    return 0;
}

/* The ranges of an ACK, newest first; those past the bound stay unacknowledged until they come again. */
static size_t collect_ranges(const struct frame_ack *ack, struct range *out, size_t max)
{
    struct ack_walk walk = neap_ack_walk(ack);
    uint64_t first, last;
    size_t count = 0;

    while (count < max && neap_ack_next(ack, &walk, &first, &last))
        out[count++] = (struct range){.start = first, .end = last + 1};
    return count;
}

/* An acknowledgement of packets of this space. */
static int take_ack(neap_conn *c, const struct received *p, enum space space, const struct frame *f,
                    struct failure *why)
{
    struct range ranges[LIMIT_ACK_RANGES_TAKEN];
    bool is_application = space >= SPACE_APPLICATION;
    struct ack_ranges ack = {
        .ranges = ranges,
        .count = collect_ranges(&f->ack, ranges, LIMIT_ACK_RANGES_TAKEN),
        .largest = f->ack.largest,
        .ecn = {.is_told = f->ack.has_ecn, .ect0 = f->ack.ect0, .ect1 = f->ack.ect1, .ce = f->ack.ce},
        .delay = is_application ? neap_recovery_ack_delay(f->ack.delay, c->peer_ack_delay_exponent) : 0,
    };

    /* RFC 9001 §6.2: who acknowledges new keys must use them. */
    if (is_application && p->phase != c->keys.write_phase &&
        f->ack.largest >= conn_space(c, space)->write_start && c->keys.updates > 0)
        return neap_fail(why, NEAP_KEY_UPDATE_ERROR, "new keys acknowledged under old ones");
    const struct space_recovery *sent = recovery_space(&c->recovery, space);
    uint64_t largest = sent ? sent->largest_acked : 0;
    uint32_t in_flight = sent ? sent->sent.eliciting_in_flight : 0;
    int rc = neap_recovery_on_ack(&c->recovery, space, &ack, c->now, why);
    if (rc)
        return rc;
    c->counters.ack_ranges_ignored += (uint32_t)(f->ack.range_count + 1 - ack.count);
    c->progress += sent && (sent->largest_acked != largest || sent->sent.eliciting_in_flight != in_flight);
    neap_conn_take_fates(c, space);
    if (is_application && c->keys.confirmed_at == NEAP_NEVER && sent &&
        sent->largest_acked >= conn_space(c, space)->write_start)
        c->keys.confirmed_at = c->now;
    if (is_application)
        neap_conn_choose_ack_request(c);
    neap_conn_mark_turn(c);
    if (is_application && !list_empty(&c->streams.writable))
        c->news |= NEWS_WRITABLE;
    return 0;
}

/* On paths of other path IDs it is of path ID 0 (draft-ietf-quic-multipath §2.3). */
static int on_ack(neap_conn *c, struct received *p, const struct frame *f, struct failure *why)
{
    return take_ack(c, p, p->space < SPACE_APPLICATION ? p->space : SPACE_APPLICATION, f, why);
}

static int on_new_token(neap_conn *c, struct received *p, const struct frame *f, struct failure *why)
{
    (void)p, (void)why;
    neap_conn_keep_token(c, f->token);
    return 0;
}

static int on_crypto(neap_conn *c, struct received *p, const struct frame *f, struct failure *why)
{
    enum space space = p->space < SPACE_APPLICATION ? p->space : SPACE_APPLICATION;

    c->progress += space != SPACE_APPLICATION;
    return neap_conn_on_crypto(c, space, &f->crypto, why);
}

static int on_stream(neap_conn *c, struct received *p, const struct frame *f, struct failure *why)
{
    (void)p;
    c->news |= NEWS_READABLE;
    return neap_streams_on_stream(&c->streams, &f->stream, c->now, why);
}

static int on_reset_stream(neap_conn *c, struct received *p, const struct frame *f, struct failure *why)
{
    (void)p;
    c->news |= NEWS_READABLE;
    return neap_streams_on_reset_stream(&c->streams, &f->reset_stream, why);
}

static int on_reset_stream_at(neap_conn *c, struct received *p, const struct frame *f, struct failure *why)
{
    (void)p;
    c->news |= NEWS_READABLE;
    return neap_streams_on_reset_stream_at(&c->streams, &f->reset_stream, why);
}

static int on_stop_sending(neap_conn *c, struct received *p, const struct frame *f, struct failure *why)
{
    (void)p;
    c->news |= NEWS_WRITABLE;
    return neap_streams_on_stop_sending(&c->streams, &f->stop_sending, why);
}

static int on_max_data(neap_conn *c, struct received *p, const struct frame *f, struct failure *why)
{
    (void)p, (void)why;
    c->news |= NEWS_WRITABLE;
    neap_streams_on_max_data(&c->streams, f->limit);
    return 0;
}

static int on_max_stream_data(neap_conn *c, struct received *p, const struct frame *f, struct failure *why)
{
    (void)p;
    c->news |= NEWS_WRITABLE;
    return neap_streams_on_max_stream_data(&c->streams, f->stream_limit.id, f->stream_limit.limit, why);
}

static int on_max_streams(neap_conn *c, struct received *p, const struct frame *f, struct failure *why)
{
    (void)p;
    c->news |= NEWS_CREDIT;
    return neap_streams_on_max_streams(&c->streams, f->type == FRAME_MAX_STREAMS_BIDI, f->limit, why);
}

static int on_stream_data_blocked(neap_conn *c, struct received *p, const struct frame *f,
                                  struct failure *why)
{
    (void)p;
    return neap_streams_on_stream_data_blocked(&c->streams, f->stream_limit.id, why);
}

static int on_data_blocked(neap_conn *c, struct received *p, const struct frame *f, struct failure *why)
{
    (void)p, (void)f, (void)why;
    neap_streams_on_data_blocked(&c->streams);
    return 0;
}

static int on_streams_blocked(neap_conn *c, struct received *p, const struct frame *f, struct failure *why)
{
    (void)p;
    return neap_streams_on_streams_blocked(&c->streams, f->type == FRAME_STREAMS_BLOCKED_BIDI, f->limit, why);
}

static int on_new_connection_id(neap_conn *c, struct received *p, const struct frame *f, struct failure *why)
{
    (void)p;
    return neap_conn_on_new_connection_id(c, &f->new_connection_id, why);
}

static int on_retire_connection_id(neap_conn *c, struct received *p, const struct frame *f,
                                   struct failure *why)
{
    neap_cid dcid = cid_of(p->dcid);

    /* Each has us make another, which congestion control does not slow down. */
    if (neap_local_cids_may_keep(&c->local_cids, f->sequence))
        c->unproductive += LIMIT_RETIREMENT_COST;
    return neap_local_cids_on_retire(&c->local_cids, f->sequence, &dcid, why);
}

static int on_path_challenge(neap_conn *c, struct received *p, const struct frame *f, struct failure *why)
{
    (void)why;
    neap_conn_probed(c, p, f->path_data);
    return 0;
}

static int on_path_response(neap_conn *c, struct received *p, const struct frame *f, struct failure *why)
{
    (void)why;
    neap_conn_on_path_response(c, p, f->path_data);
    return 0;
}

static int on_close(neap_conn *c, struct received *p, const struct frame *f, struct failure *why)
{
    (void)p, (void)why;
    neap_conn_drain(c, &f->close);
    return 0;
}

static int on_handshake_done(neap_conn *c, struct received *p, const struct frame *f, struct failure *why)
{
    (void)p, (void)f, (void)why;
    neap_conn_confirm(c);
    return 0;
}

static int on_datagram(neap_conn *c, struct received *p, const struct frame *f, struct failure *why)
{
    return neap_conn_on_datagram(c, p, &f->datagram, why);
}

static int on_ack_frequency(neap_conn *c, struct received *p, const struct frame *f, struct failure *why)
{
    (void)p;
    return neap_conn_on_ack_frequency(c, &f->ack_frequency, why);
}

static int on_immediate_ack(neap_conn *c, struct received *p, const struct frame *f, struct failure *why)
{
    (void)f;
    if (neap_conn_min_ack_delay(c->config) == NO_MIN_ACK_DELAY)
        return neap_fail(why, NEAP_FRAME_ENCODING_ERROR, "IMMEDIATE_ACK to us, who did not offer to take it");
    p->asks_ack = true;
    return 0;
}

/* draft-ietf-quic-multipath §2: nobody uses its frames who was not told of path IDs. */
static int on_path_frame(neap_conn *c, struct received *p, const struct frame *f, struct failure *why)
{
    struct arrival *a = p->arrival;
    uint8_t index = a->path ? a->path->index : 0;

    if (!c->multipath)
        return neap_fail(why, NEAP_FRAME_ENCODING_ERROR,
                         "a frame with a path ID, of which there were none agreed on");
    int rc = neap_multipath_on_frame(c, p, f, why);
    /* What comes next in the packet came from nowhere, where its path went with the path ID. */
    if (a->path != conn_path_at(c, index))
        a->path = NULL;
    return rc;
}

static int on_path_ack(neap_conn *c, struct received *p, const struct frame *f, struct failure *why)
{
    struct path_id *id;

    if (!c->multipath)
        return on_path_frame(c, p, f, why);
    int rc = neap_multipath_find(c, f->path_id, &id, why);
    if (rc || !id)
        return rc;
    if (id->stage == PATH_ID_UNUSED)
        return neap_fail(why, NEAP_PROTOCOL_VIOLATION, "PATH_ACK of a path ID on which nothing was sent");
    return take_ack(c, p, (enum space)(SPACE_APPLICATION + multipath_slot(c, id)), f, why);
}

static int handle(neap_conn *c, struct received *p, const struct frame *f, struct failure *why)
{
    switch (f->kind) {
#define X(name, first, last, fields, handler, fate, rules) \
    case KIND_##name: return on_##handler(c, p, f, why);
        FRAME_LIST(X)
#undef X
    case FRAME_KINDS: break; /* refused by the parser */
    }
    return 0;
}

/* The ID of the stream that a frame is about; UINT64_MAX: none. */
static uint64_t stream_of(const struct frame *f)
{
    if (f->kind == KIND_STREAM)
        return f->stream.id;
    if (f->kind == KIND_RESET_STREAM || f->kind == KIND_RESET_STREAM_AT)
        return f->reset_stream.id;
    if (f->kind == KIND_STOP_SENDING)
        return f->stop_sending.id;
    return f->kind == KIND_MAX_STREAM_DATA || f->kind == KIND_STREAM_DATA_BLOCKED ? f->stream_limit.id
                                                                                  : UINT64_MAX;
}

/* The same, and a tracer hears of the stream. */
static int trace_handle(neap_conn *c, struct received *p, const struct frame *f, struct failure *why)
{
    uint64_t id = stream_of(f), accepted = c->streams.accepted;
    int rc = handle(c, p, f, why);

    if (rc || id == UINT64_MAX)
        return rc;
    if (c->streams.accepted != accepted) {
        neap_conn_trace_stream(c, id, NEAP_TRACE_STREAM_OPEN, false);
        if (neap_stream_is_bidi(id))
            neap_conn_trace_stream(c, id, NEAP_TRACE_STREAM_OPEN, true);
    }
    if (f->kind == KIND_RESET_STREAM || f->kind == KIND_RESET_STREAM_AT)
        neap_conn_trace_stream(c, id, NEAP_TRACE_STREAM_RESET, false);
    return 0;
}

static unsigned place_of(enum neap_packet_type type)
{
    return type == NEAP_PACKET_INITIAL     ? IN_INITIAL
           : type == NEAP_PACKET_0RTT      ? IN_EARLY
           : type == NEAP_PACKET_HANDSHAKE ? IN_HANDSHAKE
                                           : IN_ONE_RTT;
}

/* How much memory a frame of a 0-RTT packet takes for streams. */
static size_t early_growth(const neap_conn *c, const struct frame *f)
{
    bool opens = f->kind == KIND_RESET_STREAM || f->kind == KIND_RESET_STREAM_AT ||
                 f->kind == KIND_STOP_SENDING || f->kind == KIND_MAX_STREAM_DATA ||
                 f->kind == KIND_STREAM_DATA_BLOCKED;

    return f->kind == KIND_STREAM ? neap_streams_growth(&c->streams, &f->stream) : opens ? STREAM_MEMORY : 0;
}

/* Before a client has proved its address, which 0-RTT packets do not. */
static bool may_take(neap_conn *c, const struct received *p, const struct frame *f)
{
    size_t growth = p->type == NEAP_PACKET_0RTT ? early_growth(c, f) : 0;

    return growth == 0 || neap_conn_may_hold_stream(c, growth);
}

static int take_frame(neap_conn *c, struct received *p, const struct frame *f, struct failure *why)
{
    unsigned rules = neap_frame_rules(f->kind);

    if (!(rules & place_of(p->type)))
        return neap_fail(why, NEAP_PROTOCOL_VIOLATION, "a frame that this packet type does not allow");
    if (c->is_server && (rules & ONLY_TO_CLIENT))
        return neap_fail(why, NEAP_PROTOCOL_VIOLATION, "a frame that only servers send");
    p->ack_eliciting |= (rules & ELICITS) != 0;
    p->is_probing &= (rules & PROBING) != 0;
    if (p->is_noted == ((rules & TWICE) != 0)) {
        p->has_once |= !p->is_noted;
        return 0;
    }
    uint64_t progress = c->progress + c->streams.progress;
    int rc = !may_take(c, p, f)  ? NEAP_ERR_LIMIT
             : conn_is_traced(c) ? trace_handle(c, p, f, why)
                                 : handle(c, p, f, why);

    if (c->progress + c->streams.progress != progress)
        p->is_productive = true;
    else
        p->unproductive_frames += f->kind != KIND_PADDING;
    /* What we lack is no fault of the peer's: it says the same again later (RFC 9000 §21.7 of too many gaps). What else
     * is in the packet is used, acknowledgements above all. */
    if (rc >= 0)
        return rc;
    p->is_refused = true;
    *why = (struct failure){0};
    return 0;
}

int neap_conn_recv_frames(neap_conn *c, struct received *p, struct span payload, uint64_t *frame_type,
                          struct failure *why)
{
    struct reader r = reader_of(payload);
    struct frame f;

    /* RFC 9000 §12.4. */
    if (payload.size == 0)
        return neap_fail(why, NEAP_PROTOCOL_VIOLATION, "a packet without frames");
    while (reader_left(&r) > 0 && conn_is_alive(c)) {
        f.type = 0;
        int rc = neap_frame_parse(&r, &f, why);

        if (rc == 0)
            rc = take_frame(c, p, &f, why);
        if (rc) {
            *frame_type = f.type;
            return rc;
        }
    }
    return 0;
}
