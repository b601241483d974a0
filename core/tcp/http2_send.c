/* What the application sends: field sections at once, bodies as far as the stream's window and our bounds take them. */
#include "base/pool.h"
#include "tcp/http2_session.h"

#define FIELDS_ON_STACK 48u
#define WRITABLE_AT 16384u /* bytes of room: fewer are told of when nothing waits to be sent */

/* Fields as nghttp2 wants them; it copies them. */
struct lines {
    nghttp2_nv *of, *room;
    size_t size;
    nghttp2_nv stack[FIELDS_ON_STACK];
};

static void set_line(nghttp2_nv *line, const neap_field *field)
{
    static uint8_t nothing[1];

    *line = (nghttp2_nv){
        .name = (uint8_t *)(uintptr_t)field->name,
        .value = field->value ? (uint8_t *)(uintptr_t)field->value : nothing,
        .namelen = field->name_size,
        .valuelen = field->value_size,
        .flags = field->never_indexed ? NGHTTP2_NV_FLAG_NO_INDEX : NGHTTP2_NV_FLAG_NONE,
    };
}

static int lines_open(struct lines *lines, struct http2 *h2, const neap_field *fields, size_t count)
{
    lines->room = NULL;
    lines->size = count * sizeof(nghttp2_nv);
    if (count > FIELDS_ON_STACK && !(lines->room = neap_pool_alloc_unset(h2->pool, lines->size)))
        return NEAP_ERR_NO_MEMORY;
    lines->of = lines->room ? lines->room : lines->stack;
    for (size_t i = 0; i < count; i++)
        set_line(&lines->of[i], &fields[i]);
    return NEAP_OK;
}

static void lines_close(struct lines *lines, struct http2 *h2)
{
    neap_pool_free(h2->pool, lines->room, lines->size);
}

/* Whether fields may be sent at all, and what they say: 0, NEAP_ERR_ARGUMENT, NEAP_ERR_LIMIT. */
static int check_outgoing(const struct http2 *h2, const neap_field *fields, size_t count,
                          enum section_kind kind, struct section_info *info)
{
    if (count > LIMIT_FIELDS)
        return NEAP_ERR_LIMIT;
    uint64_t size = neap_fields_size(fields, count);
    uint64_t theirs = nghttp2_session_get_remote_settings(h2->session, NGHTTP2_SETTINGS_MAX_HEADER_LIST_SIZE);
    if (size > LIMIT_FIELD_SECTION || size > theirs)
        return NEAP_ERR_LIMIT;
    return neap_fields_check(fields, count, kind, false, info, NULL) ? NEAP_ERR_ARGUMENT : NEAP_OK;
}

static bool is_silent(const struct http2 *h2)
{
    return h2->failed || h2->closed_reported || neap_http2_is_over(h2);
}

/* An error of nghttp2 when something was submitted, as ours. */
static int refused(struct http2 *h2, int error)
{
    if (error >= 0)
        return NEAP_OK;
    neap_http2_break(h2, error);
    return error == NGHTTP2_ERR_NOMEM ? NEAP_ERR_NO_MEMORY : NEAP_ERR_CLOSED;
}

/* ---- bodies */

/* nghttp2 makes a DATA frame: up to `size` bytes of it, and whether it is the last. */
static ssize_t read_body(nghttp2_session *session, int32_t id, uint8_t *out, size_t size, uint32_t *flags,
                         nghttp2_data_source *source, void *user)
{
    struct http2 *h2 = user;
    struct http2_stream *s = source->ptr;
    if (s->is_cut) /* what was left of it is dropped: its end is no end of a message */
        return NGHTTP2_ERR_TEMPORAL_CALLBACK_FAILURE;
    size_t taken = neap_chunk_queue_take(&s->unsent, h2->pool, out, size);

    h2->unsent_size -= taken;
    h2->body_bytes += taken;
    if (s->unsent.size == 0 && s->is_end_queued) {
        *flags |= NGHTTP2_DATA_FLAG_EOF;
        if (s->trailers) {
            *flags |= NGHTTP2_DATA_FLAG_NO_END_STREAM;
            if (nghttp2_submit_trailer(session, id, s->trailers, s->trailer_count) != 0)
                return NGHTTP2_ERR_CALLBACK_FAILURE;
        }
    } else if (taken == 0) {
        s->is_deferred = true;
        return NGHTTP2_ERR_DEFERRED;
    }
    return (ssize_t)taken;
}

static nghttp2_data_provider body_of(struct http2_stream *s)
{
    return (nghttp2_data_provider){.source = {.ptr = s}, .read_callback = read_body};
}

static int resume(struct http2 *h2, struct http2_stream *s)
{
    if (!s->is_deferred)
        return NEAP_OK;
    s->is_deferred = false;
    return refused(h2, nghttp2_session_resume_data(h2->session, s->id));
}

/* How many more bytes are taken: what waits is never more than the stream's window lets leave, so that streams whose peer
 * does not read them hold nothing that others need. */
static size_t room_of(const struct http2 *h2, const struct http2_stream *s)
{
    int32_t left = nghttp2_session_get_stream_remote_window_size(h2->session, s->id);
    uint64_t window =
        left >= 0 ? (uint64_t)left /* else its HEADERS have not left */
                  : nghttp2_session_get_remote_settings(h2->session, NGHTTP2_SETTINGS_INITIAL_WINDOW_SIZE);
    uint64_t most = window < LIMIT_HTTP2_SEND_STREAM ? window : LIMIT_HTTP2_SEND_STREAM;

    if (most <= s->unsent.size || h2->unsent_size >= LIMIT_HTTP2_SEND)
        return 0;
    most -= s->unsent.size;
    return (size_t)(most < LIMIT_HTTP2_SEND - h2->unsent_size ? most : LIMIT_HTTP2_SEND - h2->unsent_size);
}

static void ask_for_room(struct http2 *h2, struct http2_stream *s)
{
    if (!list_linked(&s->waiting_link))
        ring_append(&h2->waiting, &s->waiting_link);
}

void neap_http2_wake_waiting(struct http2 *h2)
{
    struct list_link *waiting = h2->waiting;

    h2->waiting = NULL;
    while (waiting) {
        struct http2_stream *s = LIST_OWNER(waiting, struct http2_stream, waiting_link);
        size_t room = room_of(h2, s);

        ring_remove(&waiting, &s->waiting_link);
        if (room >= WRITABLE_AT || (room > 0 && s->unsent.size == 0)) {
            s->marks |= MARK_WRITABLE;
            neap_http2_stream_ready(h2, s);
        } else {
            ring_append(&h2->waiting, &s->waiting_link);
        }
    }
}

/* Whether the body may go on with these bytes: 0 or a negative error. */
static int check_body(const struct http2 *h2, const struct http2_stream *s, size_t size, bool fin)
{
    if (is_silent(h2))
        return NEAP_ERR_CLOSED;
    if (!s)
        return NEAP_ERR_STREAM_STATE;
    if (s->is_stopped)
        return NEAP_ERR_STREAM_STOPPED;
    if (s->sending != SENDING_BODY)
        return NEAP_ERR_STREAM_STATE;
    if (s->send_left >= 0 && size > (uint64_t)s->send_left)
        return NEAP_ERR_ARGUMENT;
    if (s->send_left >= 0 && fin && !s->drops_body && size < (uint64_t)s->send_left)
        return NEAP_ERR_ARGUMENT;
    return NEAP_OK;
}

/* Our message is queued to its end. */
static void close_sending(struct http2 *h2, struct http2_stream *s)
{
    s->sending = SENDING_OVER;
    s->is_end_queued = true;
    s->is_held = false;
    ring_remove(&h2->waiting, &s->waiting_link);
    s->marks &= (uint8_t)~MARK_WRITABLE;
}

int64_t neap_http2_body_capacity(const struct transport *t, uint64_t stream)
{
    const struct http2 *h2 = (const struct http2 *)t;
    const struct http2_stream *s = neap_http2_stream_find(h2, stream);
    int err = check_body(h2, s, 0, false);

    return err ? err : (int64_t)room_of(h2, s);
}

int64_t neap_http2_send_body(struct transport *t, uint64_t stream, const void *bytes, size_t size, bool fin)
{
    struct http2 *h2 = neap_http2_of(t);
    struct http2_stream *s = neap_http2_stream_find(h2, stream);
    int err = check_body(h2, s, size, fin);

    if (err)
        return err;
    size_t room = s->drops_body || size == 0 ? size : room_of(h2, s);
    size_t share = room < size ? room : size;
    if (share < size)
        ask_for_room(h2, s);
    if (share == 0 && size > 0)
        return NEAP_ERR_AGAIN;
    if (!s->drops_body && share > 0) {
        if (!neap_chunk_queue_put(&s->unsent, h2->pool, span_of(bytes, share))) {
            neap_http2_stream_abort(h2, s, NGHTTP2_INTERNAL_ERROR);
            return NEAP_ERR_NO_MEMORY;
        }
        h2->unsent_size += share;
    }
    if (s->send_left >= 0)
        s->send_left -= (int64_t)share;
    if (fin && share == size)
        close_sending(h2, s);
    err = s->drops_body ? NEAP_OK : resume(h2, s);
    if (err)
        return err;
    neap_http2_stream_settle(h2, s);
    return (int64_t)share;
}

/* One room for lines and their texts, kept until the body before them is sent. */
static int keep_trailers(struct http2 *h2, struct http2_stream *s, const neap_field *fields, size_t count)
{
    size_t size = count * sizeof(nghttp2_nv);

    for (size_t i = 0; i < count; i++)
        size += fields[i].name_size + fields[i].value_size;
    if (count == 0)
        return NEAP_OK;
    s->trailers = neap_pool_alloc(h2->pool, size);
    if (!s->trailers)
        return NEAP_ERR_NO_MEMORY;
    s->trailers_size = size;
    s->trailer_count = count;
    uint8_t *text = (uint8_t *)(s->trailers + count);
    for (size_t i = 0; i < count; i++) {
        set_line(&s->trailers[i], &fields[i]);
        s->trailers[i].name = memcpy(text, fields[i].name, fields[i].name_size);
        text += fields[i].name_size;
        if (fields[i].value_size > 0)
            memcpy(text, fields[i].value, fields[i].value_size);
        s->trailers[i].value = text;
        text += fields[i].value_size;
    }
    return NEAP_OK;
}

int neap_http2_send_trailers(struct transport *t, uint64_t stream, const neap_field *fields, size_t count)
{
    struct http2 *h2 = neap_http2_of(t);
    struct http2_stream *s = neap_http2_stream_find(h2, stream);
    struct section_info info;
    int err = check_body(h2, s, 0, true);

    if (!err && s->is_connect)
        err = NEAP_ERR_ARGUMENT;
    if (!err)
        err = check_outgoing(h2, fields, count, SECTION_TRAILERS, &info);
    if (err)
        return err;
    if (!s->drops_body && keep_trailers(h2, s, fields, count) != 0) {
        neap_http2_stream_abort(h2, s, NGHTTP2_INTERNAL_ERROR);
        return NEAP_ERR_NO_MEMORY;
    }
    close_sending(h2, s);
    err = s->drops_body ? NEAP_OK : resume(h2, s);
    if (!err)
        neap_http2_stream_settle(h2, s);
    return err;
}

/* ---- field sections */

/* What RFC 9218 has of a response goes before what the client asked for. */
static void set_priority(struct http2 *h2, const struct http2_stream *s, const struct priority *said)
{
    if (!said->has_urgency && !said->has_incremental)
        return;
    const nghttp2_extpri priority = {.urgency = said->urgency, .inc = said->incremental};
    neap_http2_break(h2, nghttp2_session_change_extpri_stream_priority(h2->session, s->id, &priority, 1));
}

/* Whether a request may be answered now with these fields: 0 or a negative error. */
static int check_response(const struct http2 *h2, const struct http2_stream *s, const neap_field *fields,
                          size_t count, bool fin, struct section_info *info)
{
    if (is_silent(h2))
        return NEAP_ERR_CLOSED;
    if (s && s->is_stopped)
        return NEAP_ERR_STREAM_STOPPED;
    if (!s || !h2->config.is_server || s->sending != SENDING_HEADERS || !s->is_reported)
        return NEAP_ERR_STREAM_STATE;
    int err = check_outgoing(h2, fields, count, SECTION_RESPONSE, info);
    if (err)
        return err;
    bool is_informational = info->status < 200;
    bool is_tunnel = s->is_connect && info->status >= 200 && info->status < 300;
    bool has_no_body = s->is_head || info->status == 204 || info->status == 304;
    /* RFC 9110 §8.6: what cannot have content says nothing about its length. */
    if (info->content_length >= 0 && (is_informational || info->status == 204 || is_tunnel))
        return NEAP_ERR_ARGUMENT;
    if (fin && (is_informational || (info->content_length > 0 && !has_no_body)))
        return NEAP_ERR_ARGUMENT;
    return NEAP_OK;
}

static int submit_response(struct http2 *h2, struct http2_stream *s, const struct lines *lines, size_t count,
                           bool is_informational, bool has_body)
{
    nghttp2_data_provider body = body_of(s);

    if (is_informational)
        return nghttp2_submit_headers(h2->session, NGHTTP2_FLAG_NONE, s->id, NULL, lines->of, count, NULL);
    return nghttp2_submit_response(h2->session, s->id, lines->of, count, has_body ? &body : NULL);
}

int neap_http2_send_response(struct transport *t, uint64_t stream, const neap_field *fields, size_t count,
                             bool fin)
{
    struct http2 *h2 = neap_http2_of(t);
    struct http2_stream *s = neap_http2_stream_find(h2, stream);
    struct section_info info;
    struct lines lines;
    int err = check_response(h2, s, fields, count, fin, &info);

    if (err)
        return err;
    bool is_informational = info.status < 200;
    bool drops_body = s->is_head || info.status == 204 || info.status == 304;
    err = lines_open(&lines, h2, fields, count);
    if (!err) {
        err = refused(h2, submit_response(h2, s, &lines, count, is_informational, !fin && !drops_body));
        lines_close(&lines, h2);
    }
    if (err == NEAP_ERR_NO_MEMORY)
        neap_http2_stream_abort(h2, s, NGHTTP2_INTERNAL_ERROR);
    if (err || is_informational)
        return err;
    s->sending = SENDING_BODY;
    s->drops_body = drops_body;
    s->send_left = s->is_connect && info.status < 300 ? -1 : info.content_length;
    set_priority(h2, s, &info.priority);
    if (fin) {
        close_sending(h2, s);
        neap_http2_stream_settle(h2, s);
    }
    return NEAP_OK;
}

/* Requests of ours that the peer has not answered to the end. */
static bool may_open(const struct http2 *h2)
{
    uint64_t theirs =
        nghttp2_session_get_remote_settings(h2->session, NGHTTP2_SETTINGS_MAX_CONCURRENT_STREAMS);
    uint64_t most = theirs < LIMIT_HTTP2_STREAMS ? theirs : LIMIT_HTTP2_STREAMS;

    return h2->stream_count < most;
}

int64_t neap_http2_send_request(struct transport *t, const neap_field *fields, size_t count, bool fin)
{
    struct http2 *h2 = neap_http2_of(t);
    struct section_info info;
    struct lines lines;

    if (is_silent(h2) || h2->has_goaway || h2->goaway_begun)
        return NEAP_ERR_CLOSED;
    if (h2->config.is_server)
        return NEAP_ERR_ARGUMENT;
    int err = check_outgoing(h2, fields, count, SECTION_REQUEST, &info);
    if (err)
        return err;
    if (fin && info.content_length > 0)
        return NEAP_ERR_ARGUMENT;
    if (!may_open(h2))
        return NEAP_ERR_STREAM_LIMIT;
    uint32_t next = nghttp2_session_get_next_stream_id(h2->session);
    if (next > INT32_MAX)
        return NEAP_ERR_LIMIT;
    struct http2_stream *s = neap_http2_stream_new(h2, (int32_t)next);
    if (!s)
        return NEAP_ERR_NO_MEMORY;
    err = lines_open(&lines, h2, fields, count);
    if (!err) {
        nghttp2_data_provider body = body_of(s);
        int32_t id = nghttp2_submit_request(h2->session, NULL, lines.of, count, fin ? NULL : &body, NULL);
        err = refused(h2, id < 0 ? id : 0);
        lines_close(&lines, h2);
    }
    if (err) {
        neap_http2_stream_free(h2, s);
        return err;
    }
    s->is_reported = true;
    s->is_head = info.is_head;
    s->is_connect = info.is_connect;
    s->send_left = info.is_connect ? -1 : info.content_length;
    s->sending = SENDING_BODY;
    if (fin)
        close_sending(h2, s);
    return s->id;
}
