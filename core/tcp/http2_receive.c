/* What the peer sends, as nghttp2 calls back: field sections are gathered and checked, bodies are kept, resets and what is in
 * vain are counted. */
#include "base/pool.h"
#include "tcp/http2_session.h"

#define FIRST_FIELDS 16u
#define FIRST_TEXT 512u
#define FRAME_HEAD 9u
#define LINE_OVERHEAD 32u /* RFC 9113 §6.5.2 */

/* Any stream that we still have, also one that the application gave up. */
static struct http2_stream *known(const struct http2 *h2, int32_t id)
{
    struct map_node *node = id > 0 ? neap_map_find(&h2->streams, (uint64_t)id) : NULL;

    return node ? LIST_OWNER(node, struct http2_stream, node) : NULL;
}

/* A frame that is of no message costs little, but something: so many are excused by the messages that there are. */
static void count_aside(struct http2 *h2)
{
    uint64_t excused = LIMIT_HTTP2_ASIDES + 4 * h2->requests + h2->body_bytes / LIMIT_HTTP2_ASIDE_BYTES;

    if (++h2->asides > excused)
        neap_http2_glitch(h2);
}

void neap_http2_note_reset(struct http2 *h2, int32_t id)
{
    h2->reset[h2->reset_next++ % LIMIT_HTTP2_STREAMS_KEPT] = id;
}

/* The peer knows that a stream is over, for it ended or reset it, or never opened it (RFC 9113 §5.1, §5.1.1). nghttp2 passes over
 * frames of streams that it has forgotten; so do we where we have reset more than we remember. */
static bool is_over_for_peer(const struct http2 *h2, int32_t id)
{
    const struct http2_stream *s = known(h2, id);
    int32_t highest =
        h2->config.is_server ? h2->highest : (int32_t)(nghttp2_session_get_next_stream_id(h2->session) - 1);

    if ((s && !s->is_closed) || id % 2 == 0 || id > highest || h2->reset_next > LIMIT_HTTP2_STREAMS_KEPT)
        return false;
    for (size_t i = 0; i < LIMIT_HTTP2_STREAMS_KEPT; i++) {
        if (h2->reset[i] == id)
            return false;
    }
    return true;
}

/* Of every frame, also of those that nghttp2 passes over; it has not seen this one yet. */
static void on_frame_head(struct http2 *h2, const uint8_t head[9])
{
    int32_t id = (int32_t)((uint32_t)(head[5] & 0x7f) << 24 | (uint32_t)head[6] << 16 |
                           (uint32_t)head[7] << 8 | head[8]);

    switch (head[3]) {
    case NGHTTP2_DATA:
    case NGHTTP2_HEADERS:
        if (is_over_for_peer(h2, id))
            h2->fault = NGHTTP2_STREAM_CLOSED;
        else if (head[3] == NGHTTP2_DATA && !known(h2, id))
            neap_http2_glitch(h2);
        break;
    case NGHTTP2_CONTINUATION: neap_http2_glitch(h2); break;
    case NGHTTP2_RST_STREAM:
        if (!known(h2, id))
            count_aside(h2);
        break;
    default: count_aside(h2);
    }
}

/* PRIORITY, which counts for nothing any more, and which nghttp2 passes over: what was forbidden still is (RFC 9113 §6.3,
 * RFC 7540 §5.3.1). */
static void check_priority_frame(struct http2 *h2, const uint8_t head[13])
{
    bool is_connection = ((head[5] & 0x7f) | head[6] | head[7] | head[8]) == 0;
    bool depends_on_itself = ((head[5] ^ head[9]) & 0x7f) == 0 && memcmp(head + 6, head + 10, 3) == 0;

    if (is_connection || depends_on_itself)
        h2->fault = NGHTTP2_PROTOCOL_ERROR;
}

size_t neap_http2_scan(struct http2 *h2, struct span bytes)
{
    struct http2_scan *scan = &h2->scan;
    size_t at = 0;

    while (at < bytes.size) {
        bool is_in_head = scan->left == 0 && scan->size < FRAME_HEAD;
        bool is_looked_at =
            scan->size >= FRAME_HEAD && scan->size < sizeof(scan->head) && scan->head[3] == NGHTTP2_PRIORITY;
        if (is_in_head || is_looked_at) {
            scan->head[scan->size++] = bytes.data[at++];
            scan->left -= is_looked_at;
        } else {
            size_t part = scan->left < bytes.size - at ? (size_t)scan->left : bytes.size - at;
            at += part;
            scan->left -= part;
        }
        if (is_in_head && scan->size == FRAME_HEAD) {
            scan->left = (uint64_t)scan->head[0] << 16 | (uint64_t)scan->head[1] << 8 | scan->head[2];
            on_frame_head(h2, scan->head);
        }
        if (is_looked_at && scan->size == sizeof(scan->head))
            check_priority_frame(h2, scan->head);
        if (scan->left == 0 && (scan->size == 0 || scan->size >= FRAME_HEAD)) {
            scan->size = 0;
            break;
        }
    }
    return at;
}

/* ---- field sections */

static void drop_coming(struct http2 *h2)
{
    neap_http2_section_free(h2, h2->coming);
    h2->coming = NULL;
}

static void begin_section(struct http2 *h2, struct http2_stream *s)
{
    drop_coming(h2);
    h2->coming_to = s;
    h2->is_section_open = true;
    h2->coming_refused = h2->coming_malformed = false;
    h2->coming_size = h2->coming_encoded = 0;
    h2->coming_since = h2->now;
    h2->coming = s && !s->is_unwanted && !s->is_gone && !s->is_cut ? neap_http2_section_new(h2) : NULL;
    h2->coming_failed = !h2->coming;
}

/* A client's request, unless the application works on as many as it is to. */
static struct http2_stream *new_request(struct http2 *h2, int32_t id)
{
    uint32_t code = NGHTTP2_INTERNAL_ERROR;
    struct http2_stream *s = NULL;

    h2->highest = id;
    if (h2->stream_count < LIMIT_HTTP2_STREAMS_KEPT) {
        s = neap_http2_stream_new(h2, id);
    } else {
        code = NGHTTP2_REFUSED_STREAM;
        h2->stats->streams_refused++;
        neap_http2_glitch(h2);
    }
    if (s)
        return s;
    neap_http2_note_reset(h2, id);
    neap_http2_break(h2, nghttp2_submit_rst_stream(h2->session, NGHTTP2_FLAG_NONE, id, code));
    return NULL;
}

static int on_begin_headers(nghttp2_session *session, const nghttp2_frame *frame, void *user)
{
    struct http2 *h2 = user;
    bool is_request = frame->hd.type == NGHTTP2_HEADERS && frame->headers.cat == NGHTTP2_HCAT_REQUEST;

    (void)session;
    begin_section(h2, is_request ? new_request(h2, frame->hd.stream_id) : known(h2, frame->hd.stream_id));
    return 0;
}

static bool reserve_field(struct http2 *h2, struct field_list *list)
{
    uint32_t capacity = list->capacity ? 2 * list->capacity : FIRST_FIELDS;
    neap_field *fields;

    if (list->count < list->capacity)
        return true;
    fields = list->fields ? neap_pool_resize(h2->pool, list->fields, list->capacity * sizeof(*fields),
                                             capacity * sizeof(*fields))
                          : neap_pool_alloc_unset(h2->pool, capacity * sizeof(*fields));
    if (!fields)
        return false;
    list->fields = fields;
    list->capacity = capacity;
    return true;
}

static bool reserve_text(struct http2 *h2, struct field_list *list, size_t wanted)
{
    size_t capacity = list->text_capacity ? list->text_capacity : FIRST_TEXT;
    uint8_t *text;

    if (list->text && wanted <= list->text_capacity)
        return true;
    while (capacity < wanted)
        capacity *= 2;
    text = list->text ? neap_pool_resize(h2->pool, list->text, list->text_capacity, capacity)
                      : neap_pool_alloc_unset(h2->pool, capacity);
    if (!text)
        return false;
    list->text = text;
    list->text_capacity = capacity;
    return true;
}

/* Texts may move until the section is whole: names and values are found by their sizes then. */
static bool append_field(struct http2 *h2, struct http2_section *section, struct span name, struct span value,
                         uint8_t flags)
{
    struct field_list *list = &section->list;

    if (!reserve_field(h2, list) || !reserve_text(h2, list, section->text_size + name.size + value.size))
        return false;
    memcpy(list->text + section->text_size, name.data, name.size);
    if (value.size > 0)
        memcpy(list->text + section->text_size + name.size, value.data, value.size);
    section->text_size += name.size + value.size;
    list->fields[list->count++] = (neap_field){.name_size = name.size,
                                               .value_size = value.size,
                                               .never_indexed = (flags & NGHTTP2_NV_FLAG_NO_INDEX) != 0};
    return true;
}

static int on_header(nghttp2_session *session, const nghttp2_frame *frame, const uint8_t *name,
                     size_t name_size, const uint8_t *value, size_t value_size, uint8_t flags, void *user)
{
    struct http2 *h2 = user;
    bool is_first = h2->coming_size == 0;

    (void)session;
    (void)frame;
    h2->coming_size += name_size + value_size + LINE_OVERHEAD;
    if (h2->coming_size > LIMIT_HTTP2_SECTION_GROWTH * h2->config.max_field_section_size)
        h2->fault = NGHTTP2_ENHANCE_YOUR_CALM;
    if (!h2->coming)
        return 0;
    if (h2->coming_size > h2->config.max_field_section_size || h2->coming->list.count == LIMIT_FIELDS) {
        h2->coming_refused = true;
        drop_coming(h2);
    } else if (!append_field(h2, h2->coming, span_of(name, name_size), span_of(value, value_size), flags)) {
        h2->coming_failed = true;
        drop_coming(h2);
    }
    /* So that a slice of small sections that are large when decoded is not read to its end. */
    return is_first && h2->sections_size > LIMIT_HTTP2_SECTIONS_WAITING ? NGHTTP2_ERR_PAUSE : 0;
}

/* nghttp2 would pass over a field that is not valid. */
static int on_invalid_header(nghttp2_session *session, const nghttp2_frame *frame, const uint8_t *name,
                             size_t name_size, const uint8_t *value, size_t value_size, uint8_t flags,
                             void *user)
{
    struct http2 *h2 = user;

    (void)session, (void)frame, (void)name, (void)value, (void)flags;
    h2->coming_size += name_size + value_size + LINE_OVERHEAD;
    h2->coming_malformed = true;
    return 0;
}

static void set_texts(struct field_list *list)
{
    char *text = (char *)list->text;

    for (uint32_t i = 0; i < list->count; i++) {
        list->fields[i].name = text;
        list->fields[i].value = text + list->fields[i].name_size;
        text += list->fields[i].name_size + list->fields[i].value_size;
    }
}

/* Too large a request is answered (RFC 6585 §5), what else is too large is given up. */
static void refuse_section(struct http2 *h2, struct http2_stream *s)
{
    static uint8_t name[] = ":status", value[] = "431";
    const nghttp2_nv too_large = {.name = name, .value = value, .namelen = 7, .valuelen = 3};

    h2->stats->too_large++;
    neap_http2_glitch(h2);
    if (!h2->config.is_server || s->has_headers) {
        neap_http2_stream_abort(h2, s, NGHTTP2_ENHANCE_YOUR_CALM);
        return;
    }
    neap_http2_break(h2, nghttp2_submit_response(h2->session, s->id, &too_large, 1, NULL));
    s->sending = SENDING_OVER;
    s->is_gone = true;
}

/* What a header section says about the rest of the message: 0 or an error. */
static int check_section(struct http2 *h2, struct http2_stream *s, struct http2_section *section)
{
    struct section_info info;
    enum section_kind kind = s->has_headers         ? SECTION_TRAILERS
                             : h2->config.is_server ? SECTION_REQUEST
                                                    : SECTION_RESPONSE;
    int err = neap_fields_check(section->list.fields, section->list.count, kind, false, &info, NULL);

    if (err)
        return err;
    section->is_trailers = kind == SECTION_TRAILERS;
    section->is_informational = kind == SECTION_RESPONSE && info.status < 200;
    if (kind == SECTION_REQUEST) {
        s->is_head = info.is_head;
        s->is_connect = info.is_connect;
        err = neap_fields_join_cookies(&section->list, h2->pool);
    }
    if (section->is_informational)
        neap_http2_glitch(h2);
    else
        s->has_headers = true;
    return err;
}

static void on_section(struct http2 *h2, struct http2_stream *s, bool fin)
{
    struct http2_section *section = h2->coming;

    h2->coming = NULL;
    set_texts(&section->list);
    int err = h2->coming_malformed ? NEAP_H3_MESSAGE_ERROR : check_section(h2, s, section);
    if (err) {
        neap_http2_section_free(h2, section);
        h2->stats->malformed += err == NEAP_H3_MESSAGE_ERROR;
        h2->stats->resets_provoked++;
        neap_http2_glitch(h2);
        neap_http2_stream_abort(h2, s,
                                err == NEAP_ERR_NO_MEMORY ? NGHTTP2_INTERNAL_ERROR : NGHTTP2_PROTOCOL_ERROR);
        if (err == NEAP_H3_MESSAGE_ERROR)
            s->reset_code = NEAP_H3_MESSAGE_ERROR;
        return;
    }
    section->fin = fin;
    section->size = h2->coming_size;
    h2->sections_size += section->size;
    if (s->last)
        s->last->next = section;
    else
        s->first = section;
    s->last = section;
    neap_http2_stream_ready(h2, s);
}

/* ---- frames that are whole */

static void on_message_end(struct http2 *h2, struct http2_stream *s)
{
    if (s->is_cut)
        return;
    s->is_ended = true;
    if (!s->is_unwanted && !s->is_gone)
        s->marks |= MARK_FINISHED;
    if (!h2->config.is_server)
        neap_http2_merit(h2);
    neap_http2_stream_ready(h2, s);
}

static void on_headers(struct http2 *h2, const nghttp2_frame *frame)
{
    struct http2_stream *s = h2->coming_to;
    bool fin = frame->hd.flags & NGHTTP2_FLAG_END_STREAM;

    h2->is_section_open = false;
    if (s && h2->coming_refused)
        refuse_section(h2, s);
    else if (s && !h2->coming && h2->coming_failed && !s->is_unwanted && !s->is_gone)
        neap_http2_stream_abort(h2, s, NGHTTP2_INTERNAL_ERROR);
    else if (s && h2->coming)
        on_section(h2, s, fin);
    if (s && fin)
        on_message_end(h2, s);
    drop_coming(h2);
    h2->coming_to = NULL;
}

static void on_data(struct http2 *h2, const nghttp2_frame *frame)
{
    struct http2_stream *s = known(h2, frame->hd.stream_id);
    bool fin = frame->hd.flags & NGHTTP2_FLAG_END_STREAM;

    if (frame->hd.length <= frame->data.padlen && !fin)
        neap_http2_glitch(h2);
    if (s && fin)
        on_message_end(h2, s);
}

static void on_reset(struct http2 *h2, const nghttp2_frame *frame)
{
    struct http2_stream *s = known(h2, frame->hd.stream_id);
    uint32_t code = frame->rst_stream.error_code;

    if (!s)
        return;
    bool is_late = s->is_ended && s->sending == SENDING_OVER && s->unsent.size == 0;
    if (!is_late && !s->is_cut) {
        h2->stats->resets_received++;
        neap_http2_glitch(h2);
    }
    neap_http2_stream_cut(h2, s, neap_http2_code_from(code));
}

static void on_settings(struct http2 *h2, const nghttp2_frame *frame)
{
    if (frame->hd.flags & NGHTTP2_FLAG_ACK) {
        h2->settings_due = NEAP_NEVER;
        return;
    }
    h2->marks |= HTTP2_SETTINGS;
    neap_http2_wake_waiting(h2);
}

static void on_goaway(struct http2 *h2, const nghttp2_frame *frame)
{
    h2->has_goaway = true;
    h2->marks |= HTTP2_GOAWAY;
    h2->goaway_received = (uint64_t)frame->goaway.last_stream_id + 1;
    if (frame->goaway.error_code != NGHTTP2_NO_ERROR)
        h2->close_code = neap_http2_code_from(frame->goaway.error_code);
}

static int on_frame(nghttp2_session *session, const nghttp2_frame *frame, void *user)
{
    struct http2 *h2 = user;

    (void)session;
    switch (frame->hd.type) {
    case NGHTTP2_HEADERS: on_headers(h2, frame); break;
    case NGHTTP2_DATA: on_data(h2, frame); break;
    case NGHTTP2_RST_STREAM: on_reset(h2, frame); break;
    case NGHTTP2_SETTINGS: on_settings(h2, frame); break;
    case NGHTTP2_GOAWAY: on_goaway(h2, frame); break;
    case NGHTTP2_WINDOW_UPDATE: neap_http2_wake_waiting(h2); break;
    case NGHTTP2_PING:
        if ((frame->hd.flags & NGHTTP2_FLAG_ACK) && h2->goaway_begun && !h2->goaway_done) {
            h2->goaway_due = h2->now;
            h2->is_goaway_timed = true;
        }
        break;
    default: break;
    }
    return 0;
}

/* The peer broke a rule of a stream, which nghttp2 resets; or of the connection, which it ends. */
static int on_invalid_frame(nghttp2_session *session, const nghttp2_frame *frame, int error, void *user)
{
    struct http2 *h2 = user;
    struct http2_stream *s = known(h2, frame->hd.stream_id);
    bool is_message = error == NGHTTP2_ERR_HTTP_HEADER || error == NGHTTP2_ERR_HTTP_MESSAGING;

    (void)session;
    if (frame->hd.type == NGHTTP2_HEADERS) {
        h2->is_section_open = false;
        drop_coming(h2);
        h2->coming_to = NULL;
    }
    if (!s || s->is_cut)
        return 0;
    h2->stats->malformed += is_message;
    h2->stats->resets_provoked++;
    neap_http2_glitch(h2);
    neap_http2_stream_cut(h2, s, is_message ? NEAP_H3_MESSAGE_ERROR : NEAP_H3_GENERAL_PROTOCOL_ERROR);
    return 0;
}

/* ---- bodies */

static int on_body(nghttp2_session *session, uint8_t flags, int32_t id, const uint8_t *bytes, size_t size,
                   void *user)
{
    struct http2 *h2 = user;
    struct http2_stream *s = known(h2, id);

    (void)flags;
    h2->body_bytes += size;
    if (s && !s->is_unwanted && !s->is_gone && !s->is_cut) {
        if (neap_chunk_queue_put(&s->body, h2->pool, span_of(bytes, size))) {
            s->data_reported = false;
            neap_http2_stream_ready(h2, s);
            return 0;
        }
        neap_http2_stream_abort(h2, s, NGHTTP2_INTERNAL_ERROR);
    }
    /* The stream's credit does not come back: the peer stops. */
    return nghttp2_session_consume_connection(session, size) == 0 ? 0 : NGHTTP2_ERR_CALLBACK_FAILURE;
}

static int on_stream_close(nghttp2_session *session, int32_t id, uint32_t code, void *user)
{
    struct http2 *h2 = user;
    struct http2_stream *s = known(h2, id);

    (void)session;
    if (!s)
        return 0;
    s->is_closed = true;
    bool is_whole = s->is_ended && s->is_end_sent;
    /* By nghttp2, for what the peer sent; or by a GOAWAY that does not take a client's request. */
    if (!is_whole && !s->is_cut) {
        h2->stats->resets_provoked += h2->config.is_server;
        neap_http2_glitch(h2);
        neap_http2_stream_cut(h2, s, neap_http2_code_from(code));
    } else if (is_whole && h2->config.is_server) {
        neap_http2_merit(h2);
    }
    neap_http2_stream_settle(h2, s);
    return 0;
}

void neap_http2_receive_callbacks(nghttp2_session_callbacks *callbacks)
{
    nghttp2_session_callbacks_set_on_begin_headers_callback(callbacks, on_begin_headers);
    nghttp2_session_callbacks_set_on_header_callback(callbacks, on_header);
    nghttp2_session_callbacks_set_on_invalid_header_callback(callbacks, on_invalid_header);
    nghttp2_session_callbacks_set_on_frame_recv_callback(callbacks, on_frame);
    nghttp2_session_callbacks_set_on_invalid_frame_recv_callback(callbacks, on_invalid_frame);
    nghttp2_session_callbacks_set_on_data_chunk_recv_callback(callbacks, on_body);
    nghttp2_session_callbacks_set_on_stream_close_callback(callbacks, on_stream_close);
}
