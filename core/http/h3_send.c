/* One request stream, the sending side: field sections whole, bodies as far as the stream takes them. */
#include "base/limits.h"
#include "base/pool.h"
#include "http/fields.h"
#include "http/h3.h"
#include "http/section_cache.h"
#include "quic/quic.h"

#define SECTION_ON_STACK 1024u

/* A HEADERS frame on its way into the stream. */
struct section {
    struct span frame;
    struct section_info info;
    const neap_field *fields; /* that it is of */
    size_t field_count;
    uint8_t *room; /* that it is in; NULL: it is the cache's */
    size_t size;
    uint8_t stack[SECTION_ON_STACK];
};

/* Encode: the section goes behind the room of the longest header, the header right before it. 0 or NEAP_ERR_NO_MEMORY. */
static int section_encode(struct section *s, struct pool *pool, const neap_field *fields, size_t count)
{
    s->fields = fields;
    s->field_count = count;
    s->size = H3_FRAME_HEAD_MAX + neap_qpack_encode_max(fields, count);
    s->room = s->size <= sizeof(s->stack) ? s->stack : neap_pool_alloc_unset(pool, s->size);
    if (!s->room)
        return NEAP_ERR_NO_MEMORY;
    struct writer section = writer_of(s->room + H3_FRAME_HEAD_MAX, s->size - H3_FRAME_HEAD_MAX);
    neap_qpack_encode(&section, fields, count);
    size_t head_size = h3_frame_head_size(H3_HEADERS, writer_size(&section));
    struct writer head = writer_of(section.start - head_size, head_size);
    write_h3_frame_head(&head, H3_HEADERS, writer_size(&section));
    s->frame = span_of(head.start, head_size + writer_size(&section));
    return NEAP_OK;
}

/* The stream has it. */
static void trace_section(const struct neap_h3 *h3, uint64_t id, const struct section *s)
{
    size_t head = 1 + ((size_t)1 << (s->frame.data[1] >> 6));

    H3_TRACE(h3, .kind = NEAP_TRACE_H3_FRAME, .number = id, .size = s->frame.size - head,
             .values = {H3_HEADERS, false}, .fields = s->fields, .field_count = s->field_count);
}

static void trace_data(const struct h3_request *r, size_t size)
{
    H3_TRACE(r->h3, .kind = NEAP_TRACE_H3_FRAME, .number = r->id, .size = size, .values = {H3_DATA, false});
}

static void section_free(struct section *s, struct pool *pool)
{
    if (s->room && s->room != s->stack)
        neap_pool_free(pool, s->room, s->size);
}

int neap_h3_send_section(struct h3_request *r, const neap_field *fields, size_t count, bool fin)
{
    struct section s;
    int err = section_encode(&s, r->h3->pool, fields, count);

    if (err)
        return err;
    err = neap_conn_held_queue(r->h3->conn, r->stream, &s.frame, 1, fin);
    if (!err)
        trace_section(r->h3, r->id, &s);
    section_free(&s, r->h3->pool);
    return err;
}

/* Whether fields may be sent at all, and what they say: 0, NEAP_ERR_ARGUMENT, NEAP_ERR_LIMIT. */
static int check_outgoing(const struct neap_h3 *h3, const neap_field *fields, size_t count,
                          enum section_kind kind, struct section_info *info)
{
    uint64_t size;

    if (count > LIMIT_FIELDS)
        return NEAP_ERR_LIMIT;
    size = neap_fields_size(fields, count);
    if (size > h3->peer_max_field_section_size || size > LIMIT_FIELD_SECTION)
        return NEAP_ERR_LIMIT;
    return neap_fields_check(fields, count, kind, false, info, NULL) ? NEAP_ERR_ARGUMENT : NEAP_OK;
}

/* Check and encode a message's fields, or find them in the cache. Errors as of both. */
static int open_section(struct section *s, const struct neap_h3 *h3, const neap_field *fields, size_t count,
                        enum section_kind kind)
{
    struct section_cache *cache = neap_conn_shared(h3->conn, sizeof(*cache));
    const struct section_slot *known = cache ? neap_section_cache_find(cache, kind, fields, count) : NULL;

    s->room = NULL;
    s->fields = fields;
    s->field_count = count;
    if (known && known->fields_size <= h3->peer_max_field_section_size) {
        s->frame = section_frame(known);
        s->info = known->info;
        return NEAP_OK;
    }
    int err = check_outgoing(h3, fields, count, kind, &s->info);
    if (!err)
        err = section_encode(s, h3->pool, fields, count);
    if (!err && cache && !known)
        neap_section_cache_note(cache, kind, fields, count, &s->info, s->frame);
    return err;
}

/* A frame that was queued in part cannot be taken back: the stream is lost. */
static int give_up(struct h3_request *r)
{
    neap_h3_request_abort(r, NEAP_H3_INTERNAL_ERROR, NEAP_H3_INTERNAL_ERROR);
    return NEAP_ERR_NO_MEMORY;
}

/* Our message is complete. */
static void close_sending(struct h3_request *r)
{
    r->sending = SEND_CLOSED;
    r->is_held = false;
    r->marks &= (uint8_t)~MARK_WRITABLE;
    if (r->h3->is_server)
        neap_h3_merit(r->h3, H3_MERIT_EXCHANGE);
    neap_h3_request_settle(r);
}

/* Body bytes that fit behind a frame header. */
static size_t body_room(int64_t capacity)
{
    size_t room = capacity > 0 ? (size_t)capacity : 0;
    size_t head = h3_frame_head_size(H3_DATA, room);

    return room > head ? room - head : 0;
}

/* Whether the body may go on with these bytes: 0 or a negative error. */
static int check_body(const struct neap_h3 *h3, const struct h3_request *r, size_t size, bool fin)
{
    if (neap_h3_is_closed(h3))
        return NEAP_ERR_CLOSED;
    if (!r)
        return NEAP_ERR_STREAM_STATE;
    if (r->is_stopped)
        return NEAP_ERR_STREAM_STOPPED;
    if (r->sending != SEND_BODY)
        return NEAP_ERR_STREAM_STATE;
    /* RFC 9114 §4.1.2: our own message would be malformed; one without content may end before its content-length. */
    if (r->send_left >= 0 && size > (uint64_t)r->send_left)
        return NEAP_ERR_ARGUMENT;
    if (r->send_left >= 0 && fin && !r->drops_body && size < (uint64_t)r->send_left)
        return NEAP_ERR_ARGUMENT;
    return NEAP_OK;
}

int64_t neap_h3_body_capacity(const neap_h3 *h3, uint64_t stream)
{
    const struct h3_request *r = neap_h3_find_request(h3, stream);
    int err = check_body(h3, r, 0, false);

    if (err)
        return err;
    int64_t capacity = neap_conn_held_capacity(h3->conn, r->stream);
    return capacity < 0 ? capacity : (int64_t)body_room(capacity);
}

/* Have QUIC tell when the stream takes bytes again, which it does after a send that came short: nothing of this one is
 * taken, for the stream is full. */
static void ask_for_room(struct h3_request *r)
{
    static const uint8_t unsent = 0;

    r->wants_room = true;
    int64_t taken = neap_conn_stream_write(r->h3->conn, r->id, &unsent, sizeof(unsent), false);
    if (taken > 0 || taken == NEAP_ERR_NO_MEMORY)
        give_up(r);
}

/* One DATA frame, and the end of the stream. */
static int send_data(struct h3_request *r, const void *data, size_t size, bool fin)
{
    uint8_t room[H3_FRAME_HEAD_MAX];
    struct writer head = writer_of(room, sizeof(room));
    neap_conn *conn = r->h3->conn;

    write_h3_frame_head(&head, H3_DATA, size);
    struct span parts[] = {span_of(room, writer_size(&head)), span_of(data, size)};
    int err = neap_conn_held_queue(conn, r->stream, parts, 2, fin);
    if (!err)
        trace_data(r, size);
    return err == NEAP_ERR_NO_MEMORY ? give_up(r) : err;
}

/* So many bytes of the body are the stream's now; `fin`: they are the last. */
static void note_sent(struct h3_request *r, size_t size, bool fin)
{
    if (r->send_left >= 0)
        r->send_left -= (int64_t)size;
    if (fin)
        close_sending(r);
}

/* No DATA frame: there are no bytes, or the response has no content (RFC 9110 §9.3.2, §15.3.5, §15.4.5). */
static int64_t send_nothing(struct h3_request *r, size_t size, bool fin)
{
    int err = fin ? neap_conn_held_queue(r->h3->conn, r->stream, NULL, 0, true) : NEAP_OK;

    if (err)
        return err;
    note_sent(r, size, fin);
    return (int64_t)size;
}

/* How much of `size` bytes goes into the next frame: all that fills the stream's room, or a little more rather than a
 * tiny frame. */
static size_t frame_share(size_t size, int64_t capacity)
{
    size_t share = body_room(capacity);

    if (share < LIMIT_DATA_OVERSHOOT)
        share = LIMIT_DATA_OVERSHOOT;
    if (share >= size || h3_frame_head_size(H3_DATA, size) + size <= (size_t)capacity)
        return size;
    /* The length may need less room than was set aside for it; the stream must be full afterwards. */
    while (share < size && h3_frame_head_size(H3_DATA, share) + share < (size_t)capacity)
        share++;
    return share;
}

int64_t neap_h3_send_body(neap_h3 *h3, uint64_t stream, const void *data, size_t size, bool fin)
{
    struct h3_request *r = neap_h3_find_request(h3, stream);
    int err = check_body(h3, r, size, fin);

    if (err)
        return err;
    if (size == 0 || r->drops_body)
        return send_nothing(r, size, fin);
    int64_t capacity = neap_conn_held_capacity(h3->conn, r->stream);
    if (capacity == 0 || capacity == NEAP_ERR_AGAIN) {
        ask_for_room(r);
        return NEAP_ERR_AGAIN;
    }
    if (capacity < 0)
        return capacity;
    size_t share = frame_share(size, capacity);
    fin = fin && share == size;
    err = send_data(r, data, share, fin);
    if (err)
        return err;
    note_sent(r, share, fin);
    if (share < size)
        ask_for_room(r);
    return (int64_t)share;
}

/* What a response's fields say of the rest of the message. */
struct response {
    bool is_informational, is_tunnel, has_no_body;
    int64_t left; /* of its body, -1: they do not say */
    struct priority priority;
};

/* Whether a request may be answered now with these fields, which are checked and encoded: 0 or a negative error. */
static int open_response(struct section *s, struct response *out, const struct neap_h3 *h3,
                         const struct h3_request *r, const neap_field *fields, size_t count)
{
    if (neap_h3_is_closed(h3))
        return NEAP_ERR_CLOSED;
    if (r && r->is_stopped)
        return NEAP_ERR_STREAM_STOPPED;
    if (!r || !h3->is_server || r->sending != SEND_HEADERS || !r->is_reported)
        return NEAP_ERR_STREAM_STATE;
    int err = open_section(s, h3, fields, count, SECTION_RESPONSE);
    if (err)
        return err;
    unsigned status = s->info.status;
    out->is_informational = status < 200;
    out->is_tunnel = r->is_connect && status >= 200 && status < 300;
    out->has_no_body = r->is_head || status == 204 || status == 304;
    out->left = out->is_tunnel ? -1 : s->info.content_length;
    out->priority = s->info.priority;
    /* RFC 9110 §8.6: what cannot have content says nothing about its length. */
    return s->info.content_length >= 0 && (out->is_informational || status == 204 || out->is_tunnel)
               ? NEAP_ERR_ARGUMENT
               : NEAP_OK;
}

/* The final fields are the stream's now. */
static void note_response(struct h3_request *r, const struct response *response)
{
    r->sending = SEND_BODY;
    r->send_left = response->left;
    r->drops_body = response->has_no_body;
    r->is_tunnel = r->is_tunnel || response->is_tunnel;
    neap_h3_priority_answered(r, &response->priority);
}

int neap_h3_send_response(neap_h3 *h3, uint64_t stream, const neap_field *fields, size_t count, bool fin)
{
    struct h3_request *r = neap_h3_find_request(h3, stream);
    struct response response;
    struct section s;

    s.room = NULL;
    int err = open_response(&s, &response, h3, r, fields, count);
    if (!err && fin && (response.is_informational || (response.left > 0 && !response.has_no_body)))
        err = NEAP_ERR_ARGUMENT;
    else if (!err)
        err = neap_conn_held_queue(h3->conn, r->stream, &s.frame, 1, fin);
    if (!err)
        trace_section(h3, stream, &s);
    section_free(&s, h3->pool);
    if (err == NEAP_ERR_NO_MEMORY)
        return give_up(r);
    if (err || response.is_informational)
        return err;
    note_response(r, &response);
    if (fin)
        close_sending(r);
    return NEAP_OK;
}

/* Queue the fields, and as much of the body as there is room for behind them: how many of its bytes. The stream ends with
 * the last of them if `fin` is set. */
static int64_t queue_message(struct h3_request *r, const struct section *s, struct span body, bool fin)
{
    struct span frame = s->frame;
    neap_conn *conn = r->h3->conn;
    uint8_t room[H3_FRAME_HEAD_MAX];
    struct writer head = writer_of(room, sizeof(room));
    size_t share = 0;

    if (body.size > 0) {
        int64_t capacity = neap_conn_held_capacity(conn, r->stream);
        if (capacity < 0 && capacity != NEAP_ERR_AGAIN)
            return capacity;
        if (capacity > (int64_t)frame.size)
            share = frame_share(body.size, capacity - (int64_t)frame.size);
    }
    if (share > 0)
        write_h3_frame_head(&head, H3_DATA, share);
    struct span parts[] = {frame, span_of(room, writer_size(&head)), span_of(body.data, share)};
    int err = neap_conn_held_queue(conn, r->stream, parts, share > 0 ? 3 : 1, fin && share == body.size);
    if (err)
        return err;
    trace_section(r->h3, r->id, s);
    if (share > 0)
        trace_data(r, share);
    return (int64_t)share;
}

/* Its stream could not be had, or is of no use without the fields. */
static int64_t drop_request(struct neap_h3 *h3, struct h3_request *r, int64_t id, int64_t err)
{
    neap_conn_stream_end(h3->conn, (uint64_t)id, NEAP_SHUTDOWN_READ, NEAP_H3_REQUEST_CANCELLED);
    neap_conn_stream_end(h3->conn, (uint64_t)id, NEAP_SHUTDOWN_WRITE, NEAP_H3_REQUEST_CANCELLED);
    if (r)
        neap_h3_request_free(r);
    return err;
}

/* Open a stream for checked fields and `body`, of which *taken bytes go with them: the stream's ID or an error. */
static int64_t start_request(struct neap_h3 *h3, const struct section *s, struct span body, bool fin,
                             size_t *taken)
{
    neap_h3_open_control(h3);
    int64_t id = neap_conn_stream_open(h3->conn, true);
    if ((id == NEAP_ERR_STREAM_LIMIT && !neap_conn_is_established(h3->conn)) || id == NEAP_ERR_STATE)
        return NEAP_ERR_AGAIN; /* how many streams we get is told in the handshake; or they begin again */
    if (id < 0)
        return id;
    struct h3_request *r = neap_h3_request_new(h3, (uint64_t)id);
    int64_t share = r ? queue_message(r, s, body, fin) : NEAP_ERR_NO_MEMORY;
    if (share < 0)
        return drop_request(h3, r, id, share);
    *taken = (size_t)share;
    r->is_head = s->info.is_head;
    r->is_connect = s->info.is_connect;
    r->is_reported = true;
    neap_h3_priority_asked(r, &s->info.priority);
    r->send_left = s->info.is_connect ? -1 : s->info.content_length;
    if (r->send_left > 0)
        r->send_left -= share;
    r->sending = fin && *taken == body.size ? SEND_CLOSED : SEND_BODY;
    if (*taken < body.size)
        ask_for_room(r);
    return id;
}

/* Whether a request may be sent now with these fields, which are checked and encoded: 0 or a negative error. */
static int open_request(struct section *s, const struct neap_h3 *h3, const neap_field *fields, size_t count)
{
    if (neap_h3_is_closed(h3) || h3->goaway_received != NO_ID)
        return NEAP_ERR_CLOSED;
    return h3->is_server ? NEAP_ERR_ARGUMENT : open_section(s, h3, fields, count, SECTION_REQUEST);
}

int64_t neap_h3_send_request(neap_h3 *h3, const neap_field *fields, size_t count, bool fin)
{
    struct section s;
    size_t taken;

    s.room = NULL;
    int64_t id = open_request(&s, h3, fields, count);
    if (id == NEAP_OK)
        id = fin && s.info.content_length > 0 ? NEAP_ERR_ARGUMENT
                                              : start_request(h3, &s, span_of(NULL, 0), fin, &taken);
    section_free(&s, h3->pool);
    return id;
}

int64_t neap_h3_request(neap_h3 *h3, const neap_field *fields, size_t count, const void *body, size_t size,
                        size_t *taken)
{
    struct section s;

    *taken = 0;
    s.room = NULL;
    int64_t id = open_request(&s, h3, fields, count);
    if (id == NEAP_OK)
        id = s.info.content_length >= 0 && (uint64_t)s.info.content_length != size
                 ? NEAP_ERR_ARGUMENT
                 : start_request(h3, &s, span_of(body, size), true, taken);
    section_free(&s, h3->pool);
    return id;
}

int64_t neap_h3_respond(neap_h3 *h3, uint64_t stream, const neap_field *fields, size_t count,
                        const void *body, size_t size)
{
    struct h3_request *r = neap_h3_find_request(h3, stream);
    struct response response;
    struct section s;

    s.room = NULL;
    int64_t taken = open_response(&s, &response, h3, r, fields, count);
    if (!taken && (response.is_informational ||
                   (response.left >= 0 && (uint64_t)response.left != size && !response.has_no_body)))
        taken = NEAP_ERR_ARGUMENT;
    else if (!taken)
        taken = queue_message(r, &s, span_of(body, response.has_no_body ? 0 : size), true);
    section_free(&s, h3->pool);
    if (taken == NEAP_ERR_NO_MEMORY)
        return give_up(r);
    if (taken < 0)
        return taken;
    if (response.has_no_body)
        taken = (int64_t)size;
    note_response(r, &response);
    bool is_whole = (size_t)taken == size;
    note_sent(r, (size_t)taken, is_whole);
    if (!is_whole)
        ask_for_room(r);
    return taken;
}

int64_t neap_h3_reserve_body(neap_h3 *h3, uint64_t stream, size_t size, neap_part *parts, size_t *count)
{
    struct h3_request *r = neap_h3_find_request(h3, stream);
    int err = check_body(h3, r, size, false);

    if (err)
        return err;
    if (r->drops_body)
        return NEAP_ERR_STREAM_STATE;
    int64_t capacity = neap_conn_held_capacity(h3->conn, r->stream);
    if (capacity == 0) {
        ask_for_room(r);
        return NEAP_ERR_AGAIN;
    }
    if (capacity < 0)
        return capacity;
    size_t share = frame_share(size, capacity);
    share = share < H3_DATA_HEAD_LENGTH_MAX ? share : H3_DATA_HEAD_LENGTH_MAX;
    int64_t held = neap_conn_stream_reserve(h3->conn, stream, H3_DATA_HEAD, share, parts, count);
    return held == NEAP_ERR_NO_MEMORY ? give_up(r) : held;
}

int neap_h3_commit_body(neap_h3 *h3, uint64_t stream, size_t size, bool fin)
{
    struct h3_request *r = neap_h3_find_request(h3, stream);
    uint8_t room[H3_DATA_HEAD];
    struct writer head = writer_of(room, sizeof(room));
    int err = check_body(h3, r, size, fin);

    if (err)
        return err;
    if (size == 0)
        return (int)send_nothing(r, 0, fin);
    if (size > H3_DATA_HEAD_LENGTH_MAX)
        return NEAP_ERR_ARGUMENT;
    write_varint(&head, H3_DATA);
    write_varint_sized(&head, size, sizeof(room) - writer_size(&head));
    err = neap_conn_stream_commit(h3->conn, stream, span_of(room, sizeof(room)), size, fin);
    if (err)
        return err;
    trace_data(r, size);
    note_sent(r, size, fin);
    return NEAP_OK;
}

int neap_h3_send_trailers(neap_h3 *h3, uint64_t stream, const neap_field *fields, size_t count)
{
    struct h3_request *r = neap_h3_find_request(h3, stream);
    struct section_info info;
    int err = check_body(h3, r, 0, true);

    if (err)
        return err;
    if (r->is_connect)
        return NEAP_ERR_ARGUMENT;
    err = check_outgoing(h3, fields, count, SECTION_TRAILERS, &info);
    if (err)
        return err;
    err = neap_h3_send_section(r, fields, count, true);
    if (err)
        return err == NEAP_ERR_NO_MEMORY ? give_up(r) : err;
    close_sending(r);
    return NEAP_OK;
}

void neap_h3_request_on_writable(struct h3_request *r)
{
    if (r->sending == SEND_CLOSED)
        return;
    if (neap_conn_stream_error(r->h3->conn, r->id, NEAP_SHUTDOWN_WRITE, &r->stop_code) == 0) {
        r->sending = SEND_CLOSED; /* QUIC answers STOP_SENDING with RESET_STREAM by itself */
        r->is_stopped = true;
        r->marks = (uint8_t)((r->marks & ~MARK_WRITABLE) | MARK_STOPPED);
        neap_h3_glitch(r->h3);
    } else if (r->wants_room) {
        r->wants_room = false;
        r->marks |= MARK_WRITABLE;
    }
    neap_h3_request_ready(r);
}
