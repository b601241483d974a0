/* One request stream, the receiving side: frames in order, field sections, the end (RFC 9114 §4.1). */
#include "base/limits.h"
#include "base/pool.h"
#include "http/fields.h"
#include "http/h3.h"
#include "quic/quic.h"

struct h3_request *neap_h3_find_request(const struct neap_h3 *h3, uint64_t id)
{
    return neap_stream_is_bidi(id) ? neap_conn_stream_user(h3->conn, id) : NULL;
}

struct h3_request *neap_h3_request_new(struct neap_h3 *h3, uint64_t id)
{
    struct h3_request *r = neap_pool_alloc_unset(h3->pool, sizeof(*r));

    if (!r)
        return NULL;
    struct stream *stream = neap_conn_hold(h3->conn, id, r);
    if (!stream) {
        neap_pool_free(h3->pool, r, sizeof(*r));
        return NULL;
    }
    *r = (struct h3_request){.h3 = h3, .id = id, .stream = stream, .recv_left = -1, .send_left = -1};
    neap_h3_priority_begin(r);
    list_append(&h3->requests, &r->link);
    h3->open_requests++;
    h3->requests_seen++;
    H3_TRACE(h3, .kind = NEAP_TRACE_H3_STREAM, .number = id,
             .values = {NEAP_TRACE_H3_REQUEST, h3->is_server});
    neap_h3_section_wait(r);
    return r;
}

void neap_h3_request_free(struct h3_request *r)
{
    struct neap_h3 *h3 = r->h3;

    list_remove(&r->link);
    ring_remove(&h3->ready, &r->ready_link);
    h3->open_requests -= !r->is_done;
    neap_h3_section_drop(r);
    if (r->own.has_urgency || r->own.has_incremental)
        neap_conn_held_keep_priority(h3->conn, r->stream);
    neap_conn_release(h3->conn, r->stream);
    neap_pool_free(h3->pool, r, sizeof(*r));
}

/* The application has answered and wants no more: for it the request is over. */
static bool is_left(const struct h3_request *r)
{
    return r->is_unwanted && r->sending == SEND_CLOSED && !r->marks;
}

bool neap_h3_request_settle(struct h3_request *r)
{
    bool is_over = r->message == MESSAGE_CLOSED && r->sending == SEND_CLOSED && !r->marks;

    if ((is_over || is_left(r)) && !r->is_done) {
        r->is_done = true;
        r->h3->open_requests--;
    }
    if (!is_over || r->is_held)
        return false;
    neap_h3_request_free(r);
    return true;
}

void neap_h3_request_ready(struct h3_request *r)
{
    if (!list_linked(&r->ready_link))
        ring_append(&r->h3->ready, &r->ready_link);
}

/* End what is still open of both directions, without telling anybody. */
static void shut_down(struct h3_request *r, uint64_t code)
{
    if (r->message != MESSAGE_CLOSED)
        neap_conn_stream_end(r->h3->conn, r->id, NEAP_SHUTDOWN_READ, code);
    if (r->sending != SEND_CLOSED)
        neap_conn_stream_end(r->h3->conn, r->id, NEAP_SHUTDOWN_WRITE, code);
    r->message = MESSAGE_CLOSED;
    r->sending = SEND_CLOSED;
    r->marks = 0;
    neap_h3_section_drop(r);
}

void neap_h3_request_abort(struct h3_request *r, uint64_t code, uint64_t reported_code)
{
    bool is_nobody_there = is_left(r);

    shut_down(r, code);
    r->reset_code = reported_code;
    r->marks = is_nobody_there ? 0 : MARK_RESET;
    neap_h3_request_ready(r);
}

/* A stream error (RFC 9114 §8): the message cannot be used, the connection goes on. An answer that was given too early
 * is taken back as far as it has not arrived. */
static void abort_message(struct h3_request *r, uint64_t code)
{
    if (r->sending == SEND_CLOSED && !r->is_stopped)
        neap_conn_stream_end(r->h3->conn, r->id, NEAP_SHUTDOWN_WRITE, code);
    neap_h3_request_abort(r, code, code);
    neap_h3_glitch(r->h3);
}

static void close_receiving(struct h3_request *r, uint8_t mark)
{
    r->message = MESSAGE_CLOSED;
    if (!r->is_unwanted)
        r->marks |= mark;
    neap_h3_section_drop(r);
}

/* The peer's RESET_STREAM (RFC 9114 §4.1.1), which QUIC takes as seen once a peek has told it. */
static void on_reset(struct h3_request *r)
{
    struct neap_h3 *h3 = r->h3;

    r->reset_code = NEAP_H3_NO_ERROR;
    neap_conn_stream_error(h3->conn, r->id, NEAP_SHUTDOWN_READ, &r->reset_code);
    close_receiving(r, MARK_RESET);
    neap_h3_glitch(h3);
    /* A client's request without its response is pointless, unless it asked for this; a server answers what it has told
     * the application. */
    if (r->sending != SEND_CLOSED && !r->is_unwanted && !(h3->is_server && r->is_reported)) {
        uint64_t code = h3->is_server ? NEAP_H3_REQUEST_REJECTED : NEAP_H3_REQUEST_CANCELLED;
        neap_conn_stream_end(h3->conn, r->id, NEAP_SHUTDOWN_WRITE, code);
        r->sending = SEND_CLOSED;
        r->marks &= (uint8_t)~MARK_WRITABLE;
    }
}

/* What is wrong with a message that ends here, 0 when nothing is: its header section is missing, or there is less body
 * than content-length says (RFC 9114 §4.1, §4.1.2). */
static uint64_t wrong_end(const struct h3_request *r)
{
    if (r->message == MESSAGE_HEADERS)
        return r->h3->is_server ? NEAP_H3_REQUEST_INCOMPLETE : NEAP_H3_MESSAGE_ERROR;
    return r->recv_left > 0 ? NEAP_H3_MESSAGE_ERROR : 0;
}

static void on_end(struct h3_request *r)
{
    struct neap_h3 *h3 = r->h3;
    uint64_t wrong = wrong_end(r);

    if (h3_frame_is_cut(&r->reader)) {
        neap_h3_fail(h3, NEAP_H3_FRAME_ERROR, "stream ends inside a frame");
        return;
    }
    neap_conn_held_end_seen(h3->conn, r->stream);
    if (wrong) {
        abort_message(r, wrong);
    } else {
        close_receiving(r, MARK_FINISHED);
        if (!h3->is_server)
            neap_h3_merit(h3, H3_MERIT_EXCHANGE);
    }
}

/* Too large a request is answered (RFC 9114 §4.2.2, RFC 6585 §5); what else is too large is given up. */
static void refuse_section(struct h3_request *r)
{
    static const neap_field too_large = {.name = ":status", .value = "431", .name_size = 7, .value_size = 3};
    struct neap_h3 *h3 = r->h3;

    neap_conn_bounds(h3->conn)->h3_sections_refused++;
    neap_h3_glitch(h3);
    if (!h3->is_server || r->message != MESSAGE_HEADERS ||
        neap_h3_send_section(r, &too_large, 1, true) != 0) {
        neap_h3_request_abort(r, NEAP_H3_EXCESSIVE_LOAD, NEAP_H3_EXCESSIVE_LOAD);
        return;
    }
    r->sending = SEND_CLOSED;
    shut_down(r, NEAP_H3_NO_ERROR);
}

/* What a header section says about the rest of the message. */
static int take_header_section(struct h3_request *r, struct failure *why, bool *is_informational)
{
    struct neap_h3 *h3 = r->h3;
    struct section_info info;
    enum section_kind kind = h3->is_server ? SECTION_REQUEST : SECTION_RESPONSE;
    int err = neap_fields_check(h3->fields.fields, h3->fields.count, kind, true, &info, why);

    if (err)
        return err;
    *is_informational = !h3->is_server && info.status < 200;
    if (*is_informational)
        return NEAP_OK;
    if (h3->is_server) {
        r->is_head = info.is_head;
        r->is_connect = info.is_connect;
        r->is_tunnel = info.is_connect;
        r->recv_left = info.is_connect ? -1 : info.content_length;
        neap_h3_priority_asked(r, &info.priority);
    } else {
        /* RFC 9110 §6.4.1: these responses have no body, whatever their content-length. */
        bool has_no_body = r->is_head || info.status == 204 || info.status == 304;
        r->is_tunnel = r->is_connect && info.status < 300;
        r->recv_left = r->is_tunnel ? -1 : has_no_body ? 0 : info.content_length;
    }
    r->message = MESSAGE_BODY;
    return NEAP_OK;
}

/* A whole encoded field section: true when *out is its event. */
static bool on_section(struct h3_request *r, struct span section, neap_h3_event *out)
{
    struct neap_h3 *h3 = r->h3;
    struct failure why = {0};
    struct section_info trailers;
    bool is_trailers = r->message == MESSAGE_BODY;
    bool is_informational = false;
    int err = neap_qpack_decode(&h3->fields, h3->pool, section, h3->max_field_section_size, &why);

    if (err == NEAP_QPACK_DECOMPRESSION_FAILED) {
        neap_h3_fail(h3, NEAP_QPACK_DECOMPRESSION_FAILED, why.reason);
        return false;
    }
    if (err == NEAP_ERR_LIMIT) {
        refuse_section(r);
        return false;
    }
    if (err) {
        neap_h3_request_abort(r, NEAP_H3_INTERNAL_ERROR, NEAP_H3_INTERNAL_ERROR);
        return false;
    }
    H3_TRACE(h3, .kind = NEAP_TRACE_H3_FRAME, .number = r->id, .size = section.size,
             .values = {H3_HEADERS, true}, .fields = h3->fields.fields, .field_count = h3->fields.count);
    if (is_trailers)
        err = neap_fields_check(h3->fields.fields, h3->fields.count, SECTION_TRAILERS, true, &trailers, &why);
    else
        err = take_header_section(r, &why, &is_informational);
    if (!err && is_trailers && r->recv_left > 0)
        err = NEAP_H3_MESSAGE_ERROR;
    if (err) {
        neap_field_list_clear(&h3->fields, h3->pool);
        abort_message(r, NEAP_H3_MESSAGE_ERROR);
        return false;
    }
    if (is_trailers)
        r->message = MESSAGE_TRAILED;
    if (is_informational)
        neap_h3_glitch(h3);
    if (r->is_unwanted) {
        neap_field_list_clear(&h3->fields, h3->pool);
        return false;
    }
    if (h3->is_server && !is_trailers && neap_fields_join_cookies(&h3->fields, h3->pool) != 0) {
        neap_field_list_clear(&h3->fields, h3->pool);
        neap_h3_request_abort(r, NEAP_H3_INTERNAL_ERROR, NEAP_H3_INTERNAL_ERROR);
        return false;
    }
    r->is_reported = true;
    *out = (neap_h3_event){
        .type = is_trailers ? NEAP_H3_TRAILERS : NEAP_H3_HEADERS,
        .stream = r->id,
        .fields = h3->fields.fields,
        .field_count = h3->fields.count,
        .is_informational = is_informational,
    };
    return true;
}

static void trace_frame_head(const struct h3_request *r)
{
    H3_TRACE(r->h3, .kind = NEAP_TRACE_H3_FRAME, .number = r->id, .size = r->reader.left,
             .values = {r->reader.type, true});
}

/* A DATA frame begins: its length is held against content-length at once (RFC 9114 §4.1.2). */
static void on_data_head(struct h3_request *r)
{
    if (r->recv_left >= 0 && r->reader.left > (uint64_t)r->recv_left) {
        abort_message(r, NEAP_H3_MESSAGE_ERROR);
        return;
    }
    trace_frame_head(r);
    if (r->recv_left >= 0)
        r->recv_left -= (int64_t)r->reader.left;
    if (r->reader.left == 0)
        neap_h3_glitch(r->h3);
}

/* A frame header on a request stream: may this frame come now (RFC 9114 §4.1, §7.2). */
static void on_frame_head(struct h3_request *r)
{
    struct neap_h3 *h3 = r->h3;

    switch (r->reader.type) {
    case H3_DATA:
        if (r->message == MESSAGE_BODY)
            on_data_head(r);
        else
            neap_h3_fail(h3, NEAP_H3_FRAME_UNEXPECTED, "DATA outside of a body");
        return;
    case H3_HEADERS:
        if (r->message == MESSAGE_TRAILED || (r->message == MESSAGE_BODY && r->is_tunnel))
            neap_h3_fail(h3, NEAP_H3_FRAME_UNEXPECTED, "HEADERS after the message");
        else if (r->reader.left > h3->max_field_section_size)
            refuse_section(r);
        else
            neap_h3_section_wait(r);
        return;
    case H3_PUSH_PROMISE:
        if (h3->is_server)
            neap_h3_fail(h3, NEAP_H3_FRAME_UNEXPECTED, "PUSH_PROMISE of a client");
        else
            neap_h3_fail(h3, NEAP_H3_ID_ERROR, "push was not allowed");
        return;
    case H3_CANCEL_PUSH:
    case H3_SETTINGS:
    case H3_GOAWAY:
    case H3_MAX_PUSH_ID:
    case H3_PRIORITY_UPDATE_REQUEST:
    case H3_PRIORITY_UPDATE_PUSH:
        neap_h3_fail(h3, NEAP_H3_FRAME_UNEXPECTED, "frame of the control stream on a request stream");
        return;
    default:
        if (h3_frame_is_reserved(r->reader.type))
            neap_h3_fail(h3, NEAP_H3_FRAME_UNEXPECTED, "frame of HTTP/2");
        else
            trace_frame_head(r);
        if (!h3->failed)
            neap_h3_glitch(h3);
    }
}

struct parsed {
    size_t used;
    bool is_event;   /* *out is filled */
    bool is_waiting; /* body bytes are next, and they are the application's */
};

static struct parsed parse_section(struct h3_request *r, struct span view, neap_h3_event *out)
{
    struct neap_h3 *h3 = r->h3;
    struct parsed p = {0};
    struct span whole;

    size_t before = r->payload.size;

    if (view.size < r->reader.left && !neap_h3_section_fits(h3, view.size)) {
        neap_h3_section_give_up(r);
        return p;
    }
    enum h3_collected collected =
        neap_h3_payload_collect(&r->payload, h3->pool, &r->reader, view, &p.used, &whole);
    h3->partial_size += r->payload.size - before;
    switch (collected) {
    case H3_COLLECTED_PART: neap_h3_section_wait(r); break;
    case H3_COLLECTED_NO_MEMORY:
        neap_h3_request_abort(r, NEAP_H3_INTERNAL_ERROR, NEAP_H3_INTERNAL_ERROR);
        break;
    case H3_COLLECTED_ALL:
        r->reader.in_payload = false;
        p.is_event = on_section(r, whole, out);
        neap_h3_section_drop(r);
        break;
    }
    return p;
}

/* One step: a part of a frame header, of a field section or of an unknown frame. */
static struct parsed parse_step(struct h3_request *r, struct span view, neap_h3_event *out)
{
    struct parsed p = {0};

    if (!r->reader.in_payload) {
        p.used = neap_h3_frame_read_head(&r->reader, view);
        if (!r->reader.in_payload)
            return p;
        on_frame_head(r);
        if (r->reader.left == 0 && r->reader.type != H3_HEADERS)
            r->reader.in_payload = false;
        return p;
    }
    if (r->reader.type == H3_HEADERS)
        return parse_section(r, view, out);
    if (r->reader.type == H3_DATA && !r->is_unwanted) {
        p.is_waiting = true;
        return p;
    }
    p.used = r->reader.left < view.size ? (size_t)r->reader.left : view.size;
    r->reader.left -= p.used;
    r->reader.in_payload = r->reader.left > 0;
    return p;
}

/* Whether there is something to parse in `view`: an empty HEADERS frame needs no byte. */
static bool has_step(const struct h3_request *r, struct span view)
{
    return view.size > 0 || (r->reader.in_payload && r->reader.left == 0);
}

/* A section was told, and the stream has ended with it. False when the message is broken by that: then nothing of it is
 * told, so that nobody acts on a request that is not whole (RFC 9114 §4.1.2). */
static bool ends_well(struct h3_request *r)
{
    bool is_wrong = wrong_end(r) != 0;

    if (is_wrong)
        neap_field_list_clear(&r->h3->fields, r->h3->pool);
    on_end(r);
    return !is_wrong;
}

/* Parse what a view holds, up to an event or to body bytes. */
static struct parsed parse_view(struct h3_request *r, struct span view, neap_h3_event *out)
{
    struct parsed all = {0};

    do {
        struct parsed p = parse_step(r, span_after(view, all.used), out);
        all.used += p.used;
        all.is_event = p.is_event;
        all.is_waiting = p.is_waiting;
    } while (!all.is_event && !all.is_waiting && r->message != MESSAGE_CLOSED && !r->h3->failed &&
             has_step(r, span_after(view, all.used)));
    return all;
}

/* Parse up to an event or to body bytes. True when *out is filled, or *is_waiting when body bytes are next. */
static bool parse(struct h3_request *r, neap_h3_event *out, bool *is_waiting)
{
    struct neap_h3 *h3 = r->h3;

    while (r->message != MESSAGE_CLOSED && !h3->failed) {
        struct span view = {0};
        bool fin = false;
        int64_t left = neap_conn_held_peek(h3->conn, r->stream, &view, &fin);
        if (left == NEAP_ERR_STREAM_RESET)
            on_reset(r);
        if (left < 0)
            return false;
        if (!has_step(r, view)) {
            if (fin)
                on_end(r);
            return false;
        }
        struct parsed p = parse_view(r, view, out);
        if (h3->failed)
            return false;
        *is_waiting = p.is_waiting;
        if (r->message != MESSAGE_CLOSED && p.used > 0)
            neap_conn_held_consume(h3->conn, r->stream, p.used);
        if (p.is_event) {
            out->fin = fin && p.used == view.size;
            return !out->fin || ends_well(r);
        }
        if (p.is_waiting)
            return false;
    }
    return false;
}

/* A mark that the application is to be told, in this order: why it was stopped before the end of the stream. */
static bool take_mark(struct h3_request *r, neap_h3_event *out)
{
    static const struct {
        enum request_mark mark;
        enum neap_h3_event_type type;
    } order[] = {
        {MARK_STOPPED, NEAP_H3_STOPPED},
        {MARK_WRITABLE, NEAP_H3_WRITABLE},
        {MARK_RESET, NEAP_H3_RESET},
        {MARK_FINISHED, NEAP_H3_FINISHED},
    };

    for (size_t i = 0; i < sizeof(order) / sizeof(order[0]); i++) {
        bool is_early = order[i].mark == MARK_STOPPED && !r->is_reported && r->message != MESSAGE_CLOSED;
        if (!(r->marks & order[i].mark) || is_early)
            continue;
        r->marks &= (uint8_t)~order[i].mark;
        *out = (neap_h3_event){.type = order[i].type, .stream = r->id};
        if (order[i].mark == MARK_STOPPED)
            out->code = r->stop_code;
        else if (order[i].mark == MARK_RESET)
            out->code = r->reset_code;
        return true;
    }
    return false;
}

bool neap_h3_request_advance(struct h3_request *r, neap_h3_event *out)
{
    bool is_waiting = false;

    if (parse(r, out, &is_waiting)) {
        if (r->h3->is_server && out->type == NEAP_H3_HEADERS)
            r->is_held = true;
        return true;
    }
    if (r->h3->failed)
        return false;
    if (is_waiting && !r->data_reported) {
        r->data_reported = true;
        *out = (neap_h3_event){.type = NEAP_H3_DATA, .stream = r->id};
        return true;
    }
    return take_mark(r, out);
}

/* Body bytes were consumed. */
static void took_body(struct h3_request *r, size_t size)
{
    r->reader.left -= size;
    r->reader.in_payload = r->reader.left > 0;
}

/* Copy body bytes that the first chunk of the stream holds: how many, 0 when none are next. */
static size_t copy_body(struct h3_request *r, uint8_t *out, size_t size)
{
    struct span view = {0};
    bool fin = false;

    if (!r->reader.in_payload || r->reader.type != H3_DATA || size == 0)
        return 0;
    if (neap_conn_held_peek(r->h3->conn, r->stream, &view, &fin) <= 0)
        return 0;
    size_t take = view.size < size ? view.size : size;
    if (take > r->reader.left)
        take = (size_t)r->reader.left;
    memcpy(out, view.data, take);
    neap_conn_held_consume(r->h3->conn, r->stream, take);
    took_body(r, take);
    return take;
}

/* Go over frame headers and unknown frames up to the next body byte: whether there is one. Field sections and the end
 * are left to neap_h3_poll. */
static bool skip_to_body(struct h3_request *r)
{
    struct neap_h3 *h3 = r->h3;

    while (r->message == MESSAGE_BODY && !h3->failed) {
        struct span view = {0};
        bool fin = false;
        if (r->reader.in_payload && r->reader.type == H3_HEADERS)
            break;
        if (neap_conn_held_peek(h3->conn, r->stream, &view, &fin) <= 0 || view.size == 0)
            break;
        struct parsed p = parse_step(r, view, NULL);
        if (p.is_waiting)
            return true;
        if (!h3->failed && r->message == MESSAGE_BODY)
            neap_conn_held_consume(h3->conn, r->stream, p.used);
    }
    return false;
}

/* The request whose body a call may read now, or why there is none. */
static int find_body(const struct neap_h3 *h3, uint64_t stream, struct h3_request **out)
{
    struct h3_request *r = *out = neap_h3_find_request(h3, stream);

    if (neap_h3_is_closed(h3))
        return NEAP_ERR_CLOSED;
    if (!r || r->is_unwanted)
        return NEAP_ERR_STREAM_STATE;
    if (r->message != MESSAGE_BODY)
        return r->message == MESSAGE_CLOSED && !r->marks ? NEAP_ERR_STREAM_STATE : NEAP_ERR_AGAIN;
    return NEAP_OK;
}

int64_t neap_h3_recv_body(neap_h3 *h3, uint64_t stream, void *out, size_t size)
{
    struct h3_request *r;
    uint8_t *at = out;
    size_t left = size;
    int err = find_body(h3, stream, &r);

    if (err)
        return err;
    while (left > 0 && skip_to_body(r)) {
        size_t got = copy_body(r, at, left);
        if (got == 0)
            break;
        at += got;
        left -= got;
    }
    if (h3->failed)
        return NEAP_ERR_CLOSED;
    /* The end or trailers may be next: poll finds them, or tells when more bytes come. */
    if (left > 0)
        r->data_reported = false;
    neap_h3_request_ready(r);
    return size > left || size == 0 ? (int64_t)(size - left) : NEAP_ERR_AGAIN;
}

int64_t neap_h3_peek_body(neap_h3 *h3, uint64_t stream, neap_view *views, size_t *count)
{
    struct h3_request *r;
    int err = find_body(h3, stream, &r);

    if (err)
        return err;
    if (skip_to_body(r)) {
        size_t most = r->reader.left < SIZE_MAX ? (size_t)r->reader.left : SIZE_MAX;
        return neap_conn_stream_views(h3->conn, stream, most, views, count);
    }
    if (h3->failed)
        return NEAP_ERR_CLOSED;
    r->data_reported = false;
    neap_h3_request_ready(r);
    return NEAP_ERR_AGAIN;
}

int neap_h3_consume_body(neap_h3 *h3, uint64_t stream, size_t size)
{
    struct h3_request *r;
    int err = find_body(h3, stream, &r);

    if (err)
        return err;
    bool is_body = r->reader.in_payload && r->reader.type == H3_DATA && size <= r->reader.left;
    if (!is_body || !neap_conn_held_consume(h3->conn, r->stream, size))
        return NEAP_ERR_ARGUMENT;
    took_body(r, size);
    neap_h3_request_ready(r);
    return NEAP_OK;
}

int neap_h3_cancel(neap_h3 *h3, uint64_t stream, uint64_t code)
{
    struct h3_request *r = neap_h3_find_request(h3, stream);

    if (code > VARINT_MAX)
        return NEAP_ERR_ARGUMENT;
    if (!r)
        return NEAP_ERR_STREAM_STATE;
    shut_down(r, code);
    neap_h3_request_free(r);
    return NEAP_OK;
}

int neap_h3_stop_body(neap_h3 *h3, uint64_t stream, uint64_t code)
{
    struct h3_request *r = neap_h3_find_request(h3, stream);

    if (code > VARINT_MAX)
        return NEAP_ERR_ARGUMENT;
    if (!r || r->is_unwanted || !r->is_reported)
        return NEAP_ERR_STREAM_STATE;
    if (r->message == MESSAGE_CLOSED && !(r->marks & MARK_FINISHED))
        return NEAP_ERR_STREAM_STATE;
    r->is_unwanted = true;
    r->marks &= (uint8_t)~MARK_FINISHED;
    neap_conn_stream_stop(h3->conn, stream, code);
    /* What is here already; the rest when it comes. */
    neap_h3_event none;
    bool is_waiting;

    neap_field_list_clear(&h3->fields, h3->pool);
    parse(r, &none, &is_waiting);
    if (!neap_h3_request_settle(r) && r->marks)
        neap_h3_request_ready(r);
    return NEAP_OK;
}
