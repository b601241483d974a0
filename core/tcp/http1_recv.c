/* Bytes that come: heads, bodies, trailers, as the application polls. */
#include "base/pool.h"
#include "tcp/http1_inner.h"

/* What may wait: a body's bytes, or the longest head. */
static size_t input_most(const struct http1 *h)
{
    uint64_t head = h->max_section + LIMIT_HTTP1_LINE + 2;

    return head > LIMIT_HTTP1_INPUT ? (size_t)head : LIMIT_HTTP1_INPUT;
}

int64_t neap_http1_receive(struct transport *t, const uint8_t *bytes, size_t size, neap_time now)
{
    struct http1 *h = http1_of(t);
    size_t held = queue_size(&h->in), most = input_most(h);

    h->now = now;
    if (h->is_over)
        return NEAP_ERR_CLOSED;
    if (!h->is_since_sure) {
        h->since = now;
        h->is_since_sure = true;
    }
    if (size > most - held)
        size = most - held;
    if (size > 0 && !h->is_server && !h->exchange.is_open) {
        neap_http1_malformed(h, REASON_TEXT("response that nobody asked for"));
        neap_http1_give_up(h, NEAP_H3_NO_ERROR);
        return NEAP_ERR_CLOSED;
    }
    if (!neap_queue_put(&h->in, h->pool, span_of(bytes, size))) {
        neap_http1_give_up(h, NEAP_H3_INTERNAL_ERROR);
        return NEAP_ERR_CLOSED;
    }
    neap_http1_watch(h);
    h->is_since_sure = true;
    return (int64_t)size;
}

/* ---- the body */

bool neap_http1_can_drain(const struct http1_exchange *x)
{
    uint64_t left = x->receive_framing == FRAMING_LENGTH ? x->receive_left : 0;

    return x->receive_framing != FRAMING_CLOSE && left <= LIMIT_HTTP1_DRAIN - x->dropped;
}

static void end_message(struct http1 *h)
{
    struct http1_exchange *x = &h->exchange;

    x->reading = READING_ENDED;
    if (!x->is_unwanted)
        x->marks |= HTTP1_FINISHED;
    /* A server that has answered and says that it closes reads no more of our request. */
    if (!h->is_server && x->sending != SENDING_ENDED && !h->keeps && !x->is_tunnel) {
        x->sending = SENDING_ENDED;
        x->marks = (uint8_t)((x->marks & ~HTTP1_WRITABLE) | HTTP1_STOPPED);
    }
}

/* The peer has ended where more was to come. */
static void on_cut(struct http1 *h)
{
    struct http1_exchange *x = &h->exchange;

    if (x->is_open && x->reading == READING_BODY && x->receive_framing == FRAMING_CLOSE)
        end_message(h);
    else
        neap_http1_give_up(h, NEAP_H3_REQUEST_INCOMPLETE);
}

/* Go over framing up to bytes of the body: how many of them there are now. When it ends, so does x->reading; what is wrong with it gives
 * the connection up. */
static size_t body_ready(struct http1 *h)
{
    struct http1_exchange *x = &h->exchange;
    size_t held = queue_size(&h->in);
    struct failure why = {0};

    switch ((enum http1_framing)x->receive_framing) {
    case FRAMING_LENGTH:
        if (x->receive_left == 0)
            end_message(h);
        return x->receive_left < held ? (size_t)x->receive_left : held;
    case FRAMING_CLOSE: return held;
    case FRAMING_CHUNKED: break;
    }
    int64_t used = neap_chunks_skip(&x->chunks, queue_view(&h->in), &why);
    if (used < 0) {
        neap_http1_refuse(h, 400, why.reason);
        return 0;
    }
    queue_consume(&h->in, (size_t)used);
    held -= (size_t)used;
    if (x->chunks.state == CHUNK_LAST)
        x->reading = READING_TRAILERS;
    if (x->chunks.state != CHUNK_DATA)
        return 0;
    return x->chunks.left < held ? (size_t)x->chunks.left : held;
}

/* So many of them were taken. */
static void take_body(struct http1 *h, size_t size)
{
    struct http1_exchange *x = &h->exchange;

    queue_consume(&h->in, size);
    if (x->receive_framing == FRAMING_CHUNKED)
        chunks_take(&x->chunks, size);
    else if (x->receive_framing == FRAMING_LENGTH)
        x->receive_left -= size;
}

/* Nobody wants what comes: it is dropped up to a bound, past which nothing is read and the connection ends with our message.
 * False: no more now. */
static bool drop_body(struct http1 *h, size_t ready)
{
    struct http1_exchange *x = &h->exchange;

    if (!neap_http1_can_drain(x) || ready > LIMIT_HTTP1_DRAIN - x->dropped) {
        h->keeps = false;
        x->reading = READING_ENDED;
        return false;
    }
    x->dropped += ready;
    take_body(h, ready);
    return ready > 0;
}

/* True when *out is the event that body bytes wait; false when nothing is to be told, and *goes_on: there may be after all. */
static bool advance_body(struct http1 *h, neap_h3_event *out, bool *goes_on)
{
    struct http1_exchange *x = &h->exchange;
    size_t ready = body_ready(h);

    if (x->reading != READING_BODY || h->is_over) {
        *goes_on = true;
        return false;
    }
    if (x->is_unwanted) {
        *goes_on = drop_body(h, ready);
        if (!*goes_on && ready == 0 && h->input_ended)
            on_cut(h);
        return false;
    }
    if (ready == 0 && h->input_ended) {
        on_cut(h);
        *goes_on = true;
    }
    if (ready == 0 || x->data_reported)
        return false;
    x->data_reported = true;
    *out = (neap_h3_event){.type = NEAP_H3_DATA, .stream = x->id};
    return true;
}

/* The client waits for a 100 before it sends what is asked for now (RFC 9110 §10.1.1). */
static void allow_body(struct http1 *h)
{
    struct http1_exchange *x = &h->exchange;

    if (!x->expects_100)
        return;
    x->expects_100 = false;
    if (x->sending == SENDING_HEAD && queue_size(&h->in) == 0)
        neap_http1_send_status(h, 100);
}

int64_t neap_http1_recv_body(struct transport *t, uint64_t stream, void *out, size_t size)
{
    struct http1 *h = http1_of(t);
    struct http1_exchange *x = http1_find(h, stream);
    uint8_t *at = out;
    size_t left = size, ready;

    if (!x)
        return h->is_over ? NEAP_ERR_CLOSED : NEAP_ERR_STREAM_STATE;
    if (x->is_unwanted)
        return NEAP_ERR_STREAM_STATE;
    if (x->reading != READING_BODY)
        return x->reading == READING_ENDED && !x->marks ? NEAP_ERR_STREAM_STATE : NEAP_ERR_AGAIN;
    allow_body(h);
    while (left > 0 && x->reading == READING_BODY && (ready = body_ready(h)) > 0) {
        size_t take = ready < left ? ready : left;
        memcpy(at, queue_view(&h->in).data, take);
        take_body(h, take);
        at += take;
        left -= take;
    }
    /* What is behind it, or that more comes, is told by poll. */
    if (left > 0)
        x->data_reported = false;
    neap_http1_watch(h);
    return size > left || size == 0 ? (int64_t)(size - left) : NEAP_ERR_AGAIN;
}

int neap_http1_stop_body(struct transport *t, uint64_t stream, uint64_t code)
{
    struct http1 *h = http1_of(t);
    struct http1_exchange *x = http1_find(h, stream);

    if (code > VARINT_MAX)
        return NEAP_ERR_ARGUMENT;
    if (!x || x->is_unwanted || x->reading == READING_HEAD || x->reading == READING_ENDED)
        return NEAP_ERR_STREAM_STATE;
    x->is_unwanted = true;
    if (x->reading == READING_LATER || x->expects_100 || !neap_http1_can_drain(x)) {
        h->keeps = false;
        x->reading = READING_ENDED;
    }
    neap_http1_settle(h);
    return NEAP_OK;
}

/* ---- sections */

/* What the peer's head says of its body. */
static void begin_body(struct http1_exchange *x, const struct http1_head *head, bool is_until_close)
{
    int64_t length = head->info.content_length;

    x->reading = READING_BODY;
    x->chunks = (struct chunks){0};
    x->receive_left = 0;
    if (head->is_chunked) {
        x->receive_framing = FRAMING_CHUNKED;
    } else if (length >= 0 || !is_until_close) {
        x->receive_framing = FRAMING_LENGTH;
        x->receive_left = length > 0 ? (uint64_t)length : 0;
    } else {
        x->receive_framing = FRAMING_CLOSE;
    }
}

static void tell_section(struct http1 *h, enum neap_h3_event_type type, neap_h3_event *out)
{
    struct http1_exchange *x = &h->exchange;

    *out = (neap_h3_event){
        .type = type,
        .stream = x->id,
        .fields = h->fields.fields,
        .field_count = h->fields.count,
        .fin = x->reading == READING_ENDED,
    };
}

/* A message without a body ends with its head. */
static void end_if_empty(struct http1 *h)
{
    const struct http1_exchange *x = &h->exchange;

    if (x->receive_framing == FRAMING_LENGTH && x->receive_left == 0)
        end_message(h);
}

static void on_request(struct http1 *h, const struct http1_head *head, neap_h3_event *out)
{
    struct http1_exchange *x = neap_http1_open(h);

    h->keeps = h->keeps && head->keeps;
    h->skipped_line = false;
    x->is_head = head->info.is_head;
    x->is_connect = head->info.is_connect;
    x->is_old = head->is_old;
    x->may_upgrade = head->upgrades;
    begin_body(x, head, false);
    if (x->is_connect)
        x->reading = READING_LATER;
    else
        end_if_empty(h);
    x->expects_100 = head->expects_100 && x->reading == READING_BODY;
    tell_section(h, NEAP_H3_HEADERS, out);
}

/* True when *out is its event. */
static bool on_response(struct http1 *h, const struct http1_head *head, neap_h3_event *out)
{
    struct http1_exchange *x = &h->exchange;
    unsigned status = head->info.status;
    bool is_tunnel = status == 101 || (x->is_connect && status >= 200 && status < 300);

    if (status == 101 && !x->may_upgrade) {
        neap_http1_refuse(h, 502, REASON_TEXT("101 that was not asked for"));
        return false;
    }
    if (status < 200 && status != 101) {
        if (++x->informational > LIMIT_HTTP1_INFORMATIONAL) {
            neap_http1_refuse(h, 431, NULL);
            return false;
        }
        tell_section(h, NEAP_H3_HEADERS, out);
        out->is_informational = true;
        return !x->is_unwanted;
    }
    h->keeps = h->keeps && head->keeps && !is_tunnel && !x->is_connect;
    if (is_tunnel) {
        x->is_tunnel = true;
        x->reading = READING_BODY;
        x->receive_framing = x->send_framing = FRAMING_CLOSE;
        x->sending = SENDING_BODY;
        x->marks |= HTTP1_WRITABLE;
    } else {
        if (x->may_upgrade || x->is_connect) /* there is none: the request had no body */
            x->sending = SENDING_ENDED;
        bool has_no_body = x->is_head || status == 204 || status == 304;
        begin_body(x, has_no_body ? &(struct http1_head){.info.content_length = 0} : head, true);
        if (x->receive_framing == FRAMING_CLOSE)
            h->keeps = false;
        end_if_empty(h);
    }
    tell_section(h, NEAP_H3_HEADERS, out);
    return true;
}

/* A request may start with an empty line, which some clients of old send behind a body (RFC 9112 §2.2). False: it may be one, and its
 * second byte is not here. */
static bool skip_line(struct http1 *h)
{
    struct span in = queue_view(&h->in);

    if (!h->is_server || h->skipped_line || h->scan.seen > 0 || in.size == 0 || in.data[0] != '\r')
        return true;
    if (in.size == 1)
        return h->input_ended;
    if (in.data[1] == '\n') {
        h->skipped_line = true;
        queue_consume(&h->in, 2);
    }
    return true;
}

/* A section that is whole: its bytes, which are consumed, or NULL. What is wrong with it is refused. */
static uint8_t *whole_section(struct http1 *h, bool has_first_line, size_t *size)
{
    if (has_first_line && !skip_line(h))
        return NULL;
    int64_t found = neap_head_find_end(&h->scan, queue_view(&h->in), has_first_line, h->max_section);

    if (found < 0)
        neap_http1_refuse(h, (int)-found, REASON_TEXT("line without its end"));
    else if (found == 0 && h->input_ended)
        on_cut(h);
    if (found <= 0)
        return NULL;
    uint8_t *bytes = h->in.room + h->in.at;
    *size = (size_t)found;
    queue_consume(&h->in, *size);
    h->scan = (struct head_scan){0};
    return bytes;
}

/* A section was not read, for this: true if so. */
static bool is_refused(struct http1 *h, int err, const struct failure *why)
{
    if (err == NEAP_ERR_NO_MEMORY)
        neap_http1_refuse(h, 503, NULL);
    else if (err)
        neap_http1_refuse(h, err, why->reason);
    return err != 0;
}

/* True when *out is an event; *goes_on: if not, look again. */
static bool advance_head(struct http1 *h, neap_h3_event *out, bool *goes_on)
{
    struct http1_head head;
    struct failure why = {0};
    size_t size;

    if (neap_http1_holds_back(h))
        return false;
    uint8_t *bytes = whole_section(h, true, &size);
    if (!bytes)
        return false;
    int err = h->is_server
                  ? neap_head_read_request(&head, &h->fields, h->pool, bytes, size, h->is_secure,
                                           h->max_section, &why)
                  : neap_head_read_response(&head, &h->fields, h->pool, bytes, size, h->max_section, &why);
    if (is_refused(h, err, &why))
        return false;
    if (h->is_server) {
        on_request(h, &head, out);
        return true;
    }
    *goes_on = !on_response(h, &head, out);
    return !*goes_on;
}

static bool advance_trailers(struct http1 *h, neap_h3_event *out)
{
    struct http1_exchange *x = &h->exchange;
    struct failure why = {0};
    size_t size;
    uint8_t *bytes = whole_section(h, false, &size);

    if (!bytes)
        return false;
    int err = neap_head_read_trailers(&h->fields, h->pool, bytes, size, h->max_section, &why);
    if (is_refused(h, err, &why))
        return false;
    end_message(h);
    if (h->fields.count == 0 || x->is_unwanted)
        return false;
    tell_section(h, NEAP_H3_TRAILERS, out);
    return true;
}

/* Read what came, up to an event. */
static bool advance(struct http1 *h, neap_h3_event *out)
{
    bool goes_on = true;

    while (goes_on && !h->is_over) {
        struct http1_exchange *x = &h->exchange;
        goes_on = false;
        if (!x->is_open) {
            if (!h->is_server) {
                if (h->input_ended)
                    neap_http1_give_up(h, NEAP_H3_NO_ERROR);
                return false;
            }
            return advance_head(h, out, &goes_on);
        }
        switch ((enum http1_reading)x->reading) {
        case READING_HEAD:
            if (advance_head(h, out, &goes_on))
                return true;
            break;
        case READING_BODY:
            if (advance_body(h, out, &goes_on))
                return true;
            break;
        case READING_TRAILERS: return advance_trailers(h, out);
        case READING_LATER:
        case READING_ENDED: return false;
        }
    }
    return false;
}

/* What the application is to be told, in this order. */
static bool take_mark(struct http1 *h, neap_h3_event *out)
{
    static const struct {
        enum http1_mark mark;
        enum neap_h3_event_type type;
    } order[] = {
        {HTTP1_STOPPED, NEAP_H3_STOPPED},
        {HTTP1_WRITABLE, NEAP_H3_WRITABLE},
        {HTTP1_RESET, NEAP_H3_RESET},
        {HTTP1_FINISHED, NEAP_H3_FINISHED},
    };
    struct http1_exchange *x = &h->exchange;

    for (size_t i = 0; x->is_open && i < sizeof order / sizeof order[0]; i++) {
        if (!(x->marks & order[i].mark))
            continue;
        x->marks &= (uint8_t)~order[i].mark;
        *out = (neap_h3_event){.type = order[i].type, .stream = x->id};
        out->code = order[i].mark == HTTP1_RESET     ? x->reset_code
                    : order[i].mark == HTTP1_STOPPED ? NEAP_H3_NO_ERROR
                                                     : 0;
        return true;
    }
    return false;
}

/* The fields of the last event are gone, and the bytes that they were in. */
static void forget_fields(struct http1 *h)
{
    if (queue_size(&h->in) == 0)
        neap_field_list_free(&h->fields, h->pool);
    else
        neap_field_list_clear(&h->fields, h->pool);
    neap_queue_tidy(&h->in, h->pool);
}

int neap_http1_poll(struct transport *t, neap_h3_event *out)
{
    struct http1 *h = http1_of(t);

    forget_fields(h);
    bool was_open;
    do { /* once more where an exchange has ended that nobody is told of */
        was_open = h->exchange.is_open;
        bool has_event = advance(h, out) || take_mark(h, out);
        neap_http1_settle(h);
        if (has_event)
            return NEAP_OK;
    } while (was_open && !h->exchange.is_open);
    if (!h->is_over || queue_size(&h->out) > 0)
        return NEAP_ERR_AGAIN;
    if (h->closed_reported)
        return NEAP_ERR_CLOSED;
    h->closed_reported = true;
    *out = (neap_h3_event){.type = NEAP_H3_CLOSED, .code = NEAP_H3_NO_ERROR};
    return NEAP_OK;
}
