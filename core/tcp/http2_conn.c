/* The connection: nghttp2's session, bytes in and out, what may be done in vain, how it ends. */
#include "tcp/http2_session.h"

#include "base/pool.h"

#define HEADER_TIMEOUT (10 * NEAP_SECOND)
#define IDLE_TIMEOUT (60 * NEAP_SECOND)
#define MERIT_EXCHANGE 2u /* glitches that an exchange which came to its end makes good */
#define FORGIVEN_EVERY (NEAP_SECOND / LIMIT_GLITCH_RATE)

/* ---- nghttp2's memory: the pool's, which wants to be told sizes. What it holds is on a list, since not every way out of it is
 * sound when there was no memory: such a session is not asked again, not even to free itself. */

struct allocation {
    _Alignas(max_align_t) struct list_link link; /* http2->allocations */
    size_t size;
};

static void *allocate(size_t size, void *user)
{
    struct http2 *h2 = user;
    struct allocation *a = neap_pool_alloc_unset(h2->pool, sizeof(*a) + size);

    if (!a)
        return NULL;
    a->size = size;
    list_append(&h2->allocations, &a->link);
    return a + 1;
}

static void release(void *pointer, void *user)
{
    struct http2 *h2 = user;
    struct allocation *a = pointer;

    if (!a)
        return;
    a--;
    list_remove(&a->link);
    neap_pool_free(h2->pool, a, sizeof(*a) + a->size);
}

static void *allocate_zeroed(size_t count, size_t size, void *user)
{
    if (size > 0 && count > (SIZE_MAX - sizeof(struct allocation)) / size)
        return NULL;
    void *pointer = allocate(count * size, user);
    return pointer ? memset(pointer, 0, count * size) : NULL;
}

static void *reallocate(void *pointer, size_t size, void *user)
{
    const struct allocation *old = pointer;
    void *moved = allocate(size, user);

    if (!old || !moved)
        return moved;
    memcpy(moved, old, old[-1].size < size ? old[-1].size : size);
    release(pointer, user);
    return moved;
}

static void free_session(struct http2 *h2)
{
    if (!h2->is_broken)
        nghttp2_session_del(h2->session);
    while (!list_empty(&h2->allocations))
        release(LIST_OWNER(h2->allocations.next, struct allocation, link) + 1, h2);
}

/* ---- codes (RFC 9114 §A.4) */

static const uint16_t codes[] = {
    [NGHTTP2_NO_ERROR] = NEAP_H3_NO_ERROR,
    [NGHTTP2_PROTOCOL_ERROR] = NEAP_H3_GENERAL_PROTOCOL_ERROR,
    [NGHTTP2_INTERNAL_ERROR] = NEAP_H3_INTERNAL_ERROR,
    [NGHTTP2_FLOW_CONTROL_ERROR] = NEAP_H3_GENERAL_PROTOCOL_ERROR,
    [NGHTTP2_SETTINGS_TIMEOUT] = NEAP_H3_GENERAL_PROTOCOL_ERROR,
    [NGHTTP2_STREAM_CLOSED] = NEAP_H3_GENERAL_PROTOCOL_ERROR,
    [NGHTTP2_FRAME_SIZE_ERROR] = NEAP_H3_FRAME_ERROR,
    [NGHTTP2_REFUSED_STREAM] = NEAP_H3_REQUEST_REJECTED,
    [NGHTTP2_CANCEL] = NEAP_H3_REQUEST_CANCELLED,
    [NGHTTP2_COMPRESSION_ERROR] = NEAP_QPACK_DECOMPRESSION_FAILED,
    [NGHTTP2_CONNECT_ERROR] = NEAP_H3_CONNECT_ERROR,
    [NGHTTP2_ENHANCE_YOUR_CALM] = NEAP_H3_EXCESSIVE_LOAD,
    [NGHTTP2_INADEQUATE_SECURITY] = NEAP_H3_GENERAL_PROTOCOL_ERROR,
    [NGHTTP2_HTTP_1_1_REQUIRED] = NEAP_H3_VERSION_FALLBACK,
};

uint64_t neap_http2_code_from(uint32_t code)
{
    return code < sizeof(codes) / sizeof(codes[0]) ? codes[code] : NEAP_H3_GENERAL_PROTOCOL_ERROR;
}

uint32_t neap_http2_code_to(uint64_t code)
{
    switch (code) {
    case NEAP_H3_GENERAL_PROTOCOL_ERROR:
    case NEAP_H3_MESSAGE_ERROR:
    case NEAP_H3_REQUEST_INCOMPLETE: return NGHTTP2_PROTOCOL_ERROR;
    default: break;
    }
    for (uint32_t i = 0; i < sizeof(codes) / sizeof(codes[0]); i++) {
        if (codes[i] == code)
            return i;
    }
    return NGHTTP2_CANCEL; /* an application's own */
}

/* ---- how it ends */

struct http2 *neap_http2_of(struct transport *t)
{
    return (struct http2 *)t;
}

void neap_http2_fail(struct http2 *h2, uint32_t code)
{
    if (h2->failed)
        return;
    h2->failed = true;
    if (h2->close_code == NO_CODE)
        h2->close_code = neap_http2_code_from(code);
    neap_http2_break(h2, nghttp2_session_terminate_session(h2->session, code));
}

void neap_http2_break(struct http2 *h2, int error)
{
    if (!nghttp2_is_fatal(error))
        return;
    h2->failed = h2->is_broken = true;
    h2->close_code = NEAP_H3_INTERNAL_ERROR;
}

bool neap_http2_is_over(const struct http2 *h2)
{
    return h2->failed || h2->input_ended || !nghttp2_session_want_read(h2->session);
}

static uint64_t forgiven_since(const struct http2 *h2)
{
    return (h2->now - h2->forgiven_at) / FORGIVEN_EVERY;
}

void neap_http2_glitch(struct http2 *h2)
{
    uint64_t forgiven = forgiven_since(h2);

    if (forgiven >= h2->glitches) {
        h2->glitches = 0;
        h2->forgiven_at = h2->now;
    } else {
        h2->glitches -= forgiven;
        h2->forgiven_at += forgiven * FORGIVEN_EVERY;
    }
    h2->stats->glitches++;
    if (++h2->glitches > LIMIT_GLITCHES)
        h2->fault = NGHTTP2_ENHANCE_YOUR_CALM;
}

void neap_http2_merit(struct http2 *h2)
{
    h2->glitches -= h2->glitches < MERIT_EXCHANGE ? h2->glitches : MERIT_EXCHANGE;
}

/* ---- bytes */

/* What callbacks found while a slice was taken. */
static void look_after_slice(struct http2 *h2)
{
    if (h2->is_section_open &&
        h2->coming_encoded > 2 * h2->config.max_field_section_size + LIMIT_FIELD_SECTION)
        h2->fault = NGHTTP2_ENHANCE_YOUR_CALM;
    if (h2->fault && !h2->failed) {
        h2->stats->overloads += h2->fault == NGHTTP2_ENHANCE_YOUR_CALM;
        neap_http2_fail(h2, h2->fault);
    }
}

static bool has_room(const struct http2 *h2)
{
    return h2->sections_size <= LIMIT_HTTP2_SECTIONS_WAITING &&
           nghttp2_session_get_outbound_queue_size(h2->session) <= LIMIT_HTTP2_FRAMES_WAITING;
}

static void note_settled(struct http2 *h2)
{
    if (h2->is_just_settled)
        h2->settled_since = h2->now;
    h2->is_just_settled = false;
}

static int64_t receive(struct transport *t, const uint8_t *bytes, size_t size, neap_time now)
{
    struct http2 *h2 = neap_http2_of(t);
    size_t taken = 0;

    h2->now = now;
    note_settled(h2);
    if (neap_http2_is_over(h2))
        return NEAP_ERR_CLOSED;
    while (taken < size && !neap_http2_is_over(h2)) {
        size_t slice = size - taken < LIMIT_HTTP2_SLICE ? size - taken : LIMIT_HTTP2_SLICE;

        if (!has_room(h2)) {
            h2->stats->waits++;
            break;
        }
        if (h2->scanned == 0)
            h2->scanned = neap_http2_scan(h2, span_of(bytes + taken, slice));
        slice = slice < h2->scanned ? slice : h2->scanned;
        ssize_t used = nghttp2_session_mem_recv(h2->session, bytes + taken, slice);
        if (used == NGHTTP2_ERR_BAD_CLIENT_MAGIC) {
            neap_http2_fail(h2, NGHTTP2_PROTOCOL_ERROR);
            break;
        }
        if (used <= NGHTTP2_ERR_FLOODED) { /* and later ones of its kind, which not all versions have */
            h2->fault = NGHTTP2_ENHANCE_YOUR_CALM;
            used = 0;
        }
        if (used < 0) {
            neap_http2_break(h2, (int)used);
            break;
        }
        h2->scanned -= (size_t)used;
        taken += (size_t)used;
        h2->coming_encoded += (size_t)used;
        look_after_slice(h2);
    }
    /* What comes behind the end is read by nobody. */
    return neap_http2_is_over(h2) ? (int64_t)size : (int64_t)taken;
}

static void end_of_input(struct transport *t, neap_time now)
{
    struct http2 *h2 = neap_http2_of(t);

    h2->now = now;
    if (neap_http2_is_over(h2))
        return;
    h2->input_ended = true;
    for (struct list_link *l = h2->all.next; l != &h2->all; l = l->next) {
        struct http2_stream *s = LIST_OWNER(l, struct http2_stream, link);

        if (!s->is_ended)
            neap_http2_stream_cut(h2, s, NEAP_H3_REQUEST_INCOMPLETE);
    }
}

static size_t send(struct transport *t, uint8_t *out, size_t size)
{
    struct http2 *h2 = neap_http2_of(t);
    size_t written = 0;

    neap_http2_end_late(h2);
    while (written < size && !h2->is_broken) {
        if (h2->out_size == 0) {
            ssize_t got = nghttp2_session_mem_send(h2->session, &h2->out);
            if (got < 0)
                neap_http2_break(h2, (int)got);
            if (got <= 0)
                break;
            h2->out_size = (size_t)got;
        }
        size_t part = h2->out_size < size - written ? h2->out_size : size - written;
        memcpy(out + written, h2->out, part);
        h2->out += part;
        h2->out_size -= part;
        written += part;
    }
    if (h2->waiting && !h2->failed)
        neap_http2_wake_waiting(h2);
    return written;
}

static void on_goaway_sent(struct http2 *h2, uint32_t code)
{
    if (code == NGHTTP2_NO_ERROR) {
        /* Once this PING is answered, the client has read the first GOAWAY before it. */
        if (h2->goaway_begun && !h2->goaway_done)
            neap_http2_break(h2, nghttp2_submit_ping(h2->session, NGHTTP2_FLAG_NONE, NULL));
        return;
    }
    h2->failed = true; /* nothing of its streams counts any more */
    if (h2->close_code == NO_CODE)
        h2->close_code = neap_http2_code_from(code);
}

static int on_frame_sent(nghttp2_session *session, const nghttp2_frame *frame, void *user)
{
    struct http2 *h2 = user;

    (void)session;
    if (frame->hd.type == NGHTTP2_RST_STREAM)
        neap_http2_note_reset(h2, frame->hd.stream_id);
    if (frame->hd.type == NGHTTP2_GOAWAY)
        on_goaway_sent(h2, frame->goaway.error_code);
    bool is_of_message = frame->hd.type == NGHTTP2_DATA || frame->hd.type == NGHTTP2_HEADERS;
    if (is_of_message && (frame->hd.flags & NGHTTP2_FLAG_END_STREAM)) {
        struct map_node *node = neap_map_find(&h2->streams, (uint64_t)frame->hd.stream_id);
        if (node)
            neap_http2_stream_end_sent(h2, LIST_OWNER(node, struct http2_stream, node));
    }
    return 0;
}

/* A request that never left: it was given up, or the server goes away. */
static int on_frame_not_sent(nghttp2_session *session, const nghttp2_frame *frame, int error, void *user)
{
    struct http2 *h2 = user;
    struct map_node *node = neap_map_find(&h2->streams, (uint64_t)frame->hd.stream_id);

    (void)session;
    if (frame->hd.type != NGHTTP2_HEADERS || !node)
        return 0;
    struct http2_stream *s = LIST_OWNER(node, struct http2_stream, node);
    if (frame->headers.cat == NGHTTP2_HCAT_REQUEST) {
        s->is_closed = true;
        neap_http2_stream_cut(h2, s,
                              error == NGHTTP2_ERR_START_STREAM_NOT_ALLOWED ? NEAP_H3_REQUEST_REJECTED
                                                                            : NEAP_H3_INTERNAL_ERROR);
    } else {
        neap_http2_stream_abort(h2, s, NGHTTP2_INTERNAL_ERROR);
    }
    neap_http2_stream_settle(h2, s);
    return 0;
}

static bool is_over(const struct transport *t)
{
    return neap_http2_is_over((const struct http2 *)t);
}

/* ---- time */

static neap_time sooner(neap_time a, neap_time b)
{
    return a < b ? a : b;
}

static neap_time after(neap_time since, neap_time span)
{
    return span < NEAP_NEVER / 2 ? since + span : NEAP_NEVER;
}

static neap_time section_due(const struct http2 *h2)
{
    return h2->is_section_open && h2->config.is_server ? after(h2->coming_since, h2->config.header_timeout)
                                                       : NEAP_NEVER;
}

static neap_time idle_due(const struct http2 *h2)
{
    return h2->config.is_server && h2->open_requests == 0 ? after(h2->settled_since, h2->config.idle_timeout)
                                                          : NEAP_NEVER;
}

static neap_time deadline(const struct transport *t)
{
    const struct http2 *h2 = (const struct http2 *)t;

    if (neap_http2_is_over(h2))
        return NEAP_NEVER;
    return sooner(sooner(section_due(h2), idle_due(h2)), sooner(h2->settings_due, h2->goaway_due));
}

/* The second GOAWAY: with the last request that came, since what the client sent before it knew of the first is here. */
static void finish_goaway(struct http2 *h2)
{
    h2->goaway_due = NEAP_NEVER;
    h2->goaway_done = true;
    neap_http2_break(h2, nghttp2_submit_goaway(h2->session, NGHTTP2_FLAG_NONE,
                                               nghttp2_session_get_last_proc_stream_id(h2->session),
                                               NGHTTP2_NO_ERROR, NULL, 0));
}

static void on_timeout(struct transport *t, neap_time now)
{
    struct http2 *h2 = neap_http2_of(t);

    h2->now = now;
    if (neap_http2_is_over(h2))
        return;
    if (section_due(h2) <= now) {
        h2->stats->timeouts++;
        neap_http2_fail(h2, NGHTTP2_ENHANCE_YOUR_CALM);
    } else if (h2->settings_due <= now) {
        h2->stats->timeouts++;
        neap_http2_fail(h2, NGHTTP2_SETTINGS_TIMEOUT);
    } else if (idle_due(h2) <= now && h2->is_just_settled) {
        note_settled(h2);
    } else if (idle_due(h2) <= now) {
        h2->stats->timeouts++;
        neap_http2_fail(h2, NGHTTP2_NO_ERROR);
    } else if (h2->goaway_due <= now && !h2->is_goaway_timed) {
        h2->is_goaway_timed = true;
        h2->goaway_due = now + LIMIT_HTTP2_GOAWAY_NS;
    } else if (h2->goaway_due <= now) {
        finish_goaway(h2);
    }
}

static int send_goaway(struct transport *t)
{
    struct http2 *h2 = neap_http2_of(t);

    if (neap_http2_is_over(h2))
        return NEAP_ERR_CLOSED;
    if (h2->goaway_begun)
        return NEAP_OK;
    h2->goaway_begun = true;
    if (!h2->config.is_server) {
        finish_goaway(h2);
        return h2->is_broken ? NEAP_ERR_NO_MEMORY : NEAP_OK;
    }
    /* RFC 9113 §6.8: requests that are on their way are served. */
    h2->goaway_due = h2->now;
    neap_http2_break(h2, nghttp2_submit_shutdown_notice(h2->session));
    return h2->is_broken ? NEAP_ERR_NO_MEMORY : NEAP_OK;
}

/* ---- events */

static bool next_of_connection(struct http2 *h2, neap_h3_event *out)
{
    if (h2->marks & HTTP2_SETTINGS) {
        h2->marks &= (uint8_t)~HTTP2_SETTINGS;
        out->type = NEAP_H3_SETTINGS;
        return true;
    }
    if (h2->marks & HTTP2_GOAWAY) {
        h2->marks &= (uint8_t)~HTTP2_GOAWAY;
        out->type = NEAP_H3_GOAWAY;
        out->stream = h2->goaway_received;
        return true;
    }
    return false;
}

/* An event of a stream; the one that had its turn goes to the end of the line. */
static bool next_of_streams(struct http2 *h2, neap_h3_event *out)
{
    while (h2->ready) {
        struct http2_stream *s = LIST_OWNER(h2->ready, struct http2_stream, ready_link);

        ring_remove(&h2->ready, &s->ready_link);
        bool has_event = neap_http2_stream_event(h2, s, out);
        if (!neap_http2_stream_settle(h2, s) && has_event)
            neap_http2_stream_ready(h2, s);
        if (has_event)
            return true;
    }
    return false;
}

/* Whether a client has messages that came whole and were not read: they outlive the connection. */
static bool is_read_from(const struct http2 *h2)
{
    if (h2->failed || h2->config.is_server)
        return false;
    for (const struct list_link *l = h2->all.next; l != &h2->all; l = l->next) {
        const struct http2_stream *s = LIST_OWNER(l, const struct http2_stream, link);

        if (!s->is_gone && !s->is_unwanted && s->body.size > 0)
            return true;
    }
    return false;
}

static int poll(struct transport *t, neap_h3_event *out)
{
    struct http2 *h2 = neap_http2_of(t);

    *out = (neap_h3_event){0};
    neap_http2_section_free(h2, h2->told);
    h2->told = NULL;
    if (h2->closed_reported)
        return NEAP_ERR_CLOSED;
    if (!h2->failed && (next_of_connection(h2, out) || next_of_streams(h2, out)))
        return NEAP_OK;
    /* The room serves one batch of messages. */
    if (h2->spare) {
        neap_field_list_free(&h2->spare->list, h2->pool);
        neap_pool_free(h2->pool, h2->spare, sizeof(*h2->spare));
        h2->spare = NULL;
    }
    if (!neap_http2_is_over(h2) || is_read_from(h2))
        return NEAP_ERR_AGAIN;
    h2->closed_reported = true;
    out->type = NEAP_H3_CLOSED;
    out->code = h2->close_code == NO_CODE ? NEAP_H3_NO_ERROR : h2->close_code;
    return NEAP_OK;
}

static uint64_t open_requests(const struct transport *t)
{
    return ((const struct http2 *)t)->open_requests;
}

/* ---- created and freed */

static void free_transport(struct transport *t)
{
    struct http2 *h2 = neap_http2_of(t);
    struct pool *pool = h2->pool;

    free_session(h2);
    while (!list_empty(&h2->all))
        neap_http2_stream_free(h2, LIST_OWNER(h2->all.next, struct http2_stream, link));
    struct http2_section *sections[] = {h2->told, h2->coming, h2->spare};
    for (size_t i = 0; i < sizeof(sections) / sizeof(sections[0]); i++) {
        if (!sections[i])
            continue;
        neap_field_list_free(&sections[i]->list, pool);
        neap_pool_free(pool, sections[i], sizeof(*sections[i]));
    }
    neap_map_free(&h2->streams, pool);
    neap_pool_free(pool, h2, sizeof(*h2));
    neap_pool_release(pool);
}

static int submit_settings(struct http2 *h2)
{
    bool is_server = h2->config.is_server;
    uint64_t list_size = h2->config.max_field_section_size;
    const nghttp2_settings_entry settings[] = {
        {is_server ? NGHTTP2_SETTINGS_MAX_CONCURRENT_STREAMS : NGHTTP2_SETTINGS_ENABLE_PUSH,
         is_server ? LIMIT_HTTP2_STREAMS : 0},
        {NGHTTP2_SETTINGS_INITIAL_WINDOW_SIZE, LIMIT_HTTP2_STREAM_WINDOW},
        {NGHTTP2_SETTINGS_MAX_HEADER_LIST_SIZE, list_size < UINT32_MAX ? (uint32_t)list_size : UINT32_MAX},
        {NGHTTP2_SETTINGS_NO_RFC7540_PRIORITIES, 1},
    };
    int error = nghttp2_submit_settings(h2->session, NGHTTP2_FLAG_NONE, settings,
                                        sizeof(settings) / sizeof(settings[0]));

    if (error == 0)
        error = nghttp2_session_set_local_window_size(h2->session, NGHTTP2_FLAG_NONE, 0,
                                                      (int32_t)LIMIT_HTTP2_WINDOW);
    return error;
}

static int open_session(struct http2 *h2)
{
    nghttp2_mem memory = {h2, allocate, release, allocate_zeroed, reallocate};
    nghttp2_session_callbacks *callbacks = NULL;
    nghttp2_option *option = NULL;
    int error = nghttp2_session_callbacks_new(&callbacks);

    if (error == 0)
        error = nghttp2_option_new(&option);
    if (error == 0) {
        neap_http2_receive_callbacks(callbacks);
        nghttp2_session_callbacks_set_on_frame_send_callback(callbacks, on_frame_sent);
        nghttp2_session_callbacks_set_on_frame_not_send_callback(callbacks, on_frame_not_sent);
        nghttp2_option_set_no_auto_window_update(option, 1);
        nghttp2_option_set_peer_max_concurrent_streams(option, LIMIT_HTTP2_STREAMS);
        nghttp2_option_set_builtin_recv_extension_type(option, NGHTTP2_PRIORITY_UPDATE);
#ifdef NEAP_NGHTTP2_RESET_RATE
        /* It goes by the system's clock, and does not know which resets are late: we count them. */
        nghttp2_option_set_stream_reset_rate_limit(option, UINT32_MAX, UINT32_MAX);
#endif
        error = (h2->config.is_server ? nghttp2_session_server_new3 : nghttp2_session_client_new3)(
            &h2->session, callbacks, h2, option, &memory);
    }
    nghttp2_option_del(option);
    nghttp2_session_callbacks_del(callbacks);
    return error ? error : submit_settings(h2);
}

static const struct transport_ops operations = {
    .protocol = "h2",
    .free = free_transport,
    .receive = receive,
    .end_of_input = end_of_input,
    .send = send,
    .is_over = is_over,
    .sends_no_more = NULL,
    .deadline = deadline,
    .on_timeout = on_timeout,
    .poll = poll,
    .send_request = neap_http2_send_request,
    .send_response = neap_http2_send_response,
    .send_body = neap_http2_send_body,
    .body_capacity = neap_http2_body_capacity,
    .recv_body = neap_http2_recv_body,
    .send_trailers = neap_http2_send_trailers,
    .cancel = neap_http2_cancel,
    .stop_body = neap_http2_stop_body,
    .goaway = send_goaway,
    .open_requests = open_requests,
};

struct transport *neap_http2_new(struct pool *pool, const struct transport_config *config, neap_time now)
{
    struct http2 *h2 = neap_pool_alloc_lasting(pool, sizeof(*h2));

    if (!h2)
        return NULL;
    *h2 = (struct http2){
        .transport = {&operations},
        .pool = neap_pool_retain(pool),
        .config = *config,
        .streams = neap_map_of(1), /* few, and their numbers rise */
        .now = now,
        .settled_since = now,
        .forgiven_at = now,
        .goaway_due = NEAP_NEVER,
        .close_code = NO_CODE,
        .scan = {.left = config->is_server ? NGHTTP2_CLIENT_MAGIC_LEN : 0},
    };
    h2->stats = config->stats ? config->stats : &h2->own_stats;
    if (h2->config.max_field_section_size == 0)
        h2->config.max_field_section_size = LIMIT_FIELD_SECTION;
    if (h2->config.header_timeout == 0)
        h2->config.header_timeout = HEADER_TIMEOUT;
    if (h2->config.idle_timeout == 0)
        h2->config.idle_timeout = IDLE_TIMEOUT;
    h2->settings_due = after(now, h2->config.header_timeout);
    list_init(&h2->all);
    list_init(&h2->allocations);
    neap_http2_break(h2, open_session(h2));
    if (h2->is_broken) {
        free_transport(&h2->transport);
        return NULL;
    }
    return &h2->transport;
}
