/* Messages that leave: heads, bodies, trailers, into the bytes that wait to be sent. */
#include "base/pool.h"
#include "base/writer.h"
#include "tcp/http1_inner.h"
#include "tcp/messages.h"

#include <string.h>

#define ADDED_MOST 128u     /* bytes of a head beside the fields of the application */
#define CHUNK_HEAD_MOST 18u /* sixteen digits and the end of the line */

/* ---- what waits */

size_t neap_http1_send(struct transport *t, uint8_t *out, size_t size)
{
    struct http1 *h = http1_of(t);
    struct span waiting = queue_view(&h->out);
    struct http1_exchange *x = &h->exchange;

    if (size > waiting.size)
        size = waiting.size;
    if (size == 0)
        return 0;
    memcpy(out, waiting.data, size);
    queue_consume(&h->out, size);
    neap_queue_tidy(&h->out, h->pool);
    if (x->is_open && x->wants_room && queue_size(&h->out) <= LIMIT_HTTP1_OUTPUT / 2) {
        x->wants_room = false;
        x->marks |= HTTP1_WRITABLE;
    }
    if (h->wait == WAIT_OUTPUT) /* it takes some: it gets its time for the rest */
        h->is_since_sure = false;
    neap_http1_watch(h);
    return size;
}

/* Our message is complete. */
static void end_sending(struct http1 *h)
{
    struct http1_exchange *x = &h->exchange;

    x->sending = SENDING_ENDED;
    x->wants_room = false;
    x->marks &= (uint8_t)~HTTP1_WRITABLE;
}

/* Without memory the message is lost, and what follows it. */
static int lose(struct http1 *h)
{
    neap_http1_give_up(h, NEAP_H3_INTERNAL_ERROR);
    return NEAP_ERR_NO_MEMORY;
}

/* ---- heads */

struct head {
    struct section_info info;
    bool upgrades; /* it has a field `upgrade` */
    bool has_te;
};

static bool is_named(const neap_field *f, const char *name)
{
    return span_equal(span_of(f->name, f->name_size), span_of_string(name));
}

static struct span value_of(const neap_field *f)
{
    return span_of(f->value, f->value_size);
}

/* The first field of a name, or NULL. */
static const neap_field *find_field(const neap_field *fields, size_t count, const char *name)
{
    for (size_t i = 0; i < count; i++) {
        if (is_named(&fields[i], name))
            return &fields[i];
    }
    return NULL;
}

/* The rules are those of HTTP/3, which has neither `upgrade` nor 101: fields that have them are looked at without. */
static int check_upgrade(struct http1 *h, struct head *head, const neap_field *fields, size_t count,
                         enum section_kind kind)
{
    static const neap_field ok = {.name = ":status", .name_size = 7, .value = "200", .value_size = 3};
    neap_field *others = neap_pool_alloc_unset(h->pool, count * sizeof *others);
    bool is_switch = false, is_right = true;
    size_t kept = 0;

    if (!others)
        return NEAP_ERR_NO_MEMORY;
    for (size_t i = 0; i < count; i++) {
        struct span value = value_of(&fields[i]);
        bool is_101 = is_named(&fields[i], ":status") && span_equal(value, span_of_string("101"));

        is_switch = is_switch || is_101;
        if (is_named(&fields[i], "upgrade"))
            is_right = is_right && value.size > 0 && neap_fields_is_value(value);
        else
            others[kept++] = is_101 ? ok : fields[i];
    }
    is_right = is_right && neap_fields_check(others, kept, kind, false, &head->info, NULL) == 0;
    neap_pool_free(h->pool, others, count * sizeof *others);
    if (is_switch)
        head->info.status = 101;
    return is_right ? NEAP_OK : NEAP_ERR_ARGUMENT;
}

static int check_head(struct http1 *h, struct head *head, const neap_field *fields, size_t count,
                      enum section_kind kind)
{
    *head = (struct head){.upgrades = find_field(fields, count, "upgrade") != NULL,
                          .has_te = find_field(fields, count, "te") != NULL};
    if (count > LIMIT_FIELDS || neap_fields_size(fields, count) > LIMIT_FIELD_SECTION)
        return NEAP_ERR_LIMIT;
    if (head->upgrades)
        return check_upgrade(h, head, fields, count, kind);
    return neap_fields_check(fields, count, kind, false, &head->info, NULL) ? NEAP_ERR_ARGUMENT : NEAP_OK;
}

static void write_text(struct writer *w, const char *text)
{
    write_span(w, span_of_string(text));
}

static void write_line(struct writer *w, const neap_field *f)
{
    write_bytes(w, f->name, f->name_size);
    write_text(w, ": ");
    write_span(w, value_of(f));
    write_text(w, "\r\n");
}

/* Room for a head of these fields, of which that with the authority may come twice; NULL without memory. */
static uint8_t *head_room(struct http1 *h, const neap_field *fields, size_t count, struct writer *w)
{
    const neap_field *authority = find_field(fields, count, ":authority");
    size_t size =
        (size_t)neap_fields_size(fields, count) + (authority ? authority->value_size : 0) + ADDED_MOST;
    uint8_t *room = neap_queue_reserve(&h->out, h->pool, size);

    if (room)
        *w = writer_of(room, size);
    return room;
}

/* The fields but the pseudo-header fields, and `left_out`. */
static void write_fields(struct writer *w, const neap_field *fields, size_t count, const char *left_out)
{
    for (size_t i = 0; i < count; i++) {
        if (fields[i].name[0] != ':' && !(left_out && is_named(&fields[i], left_out)))
            write_line(w, &fields[i]);
    }
}

/* What is the connection's, and the end of the head. */
static void finish_head(struct http1 *h, struct writer *w, enum http1_framing framing, const char *options)
{
    if (framing == FRAMING_CHUNKED)
        write_text(w, "transfer-encoding: chunked\r\n");
    if (options) {
        write_text(w, "connection: ");
        write_text(w, options);
        write_text(w, "\r\n");
    }
    write_text(w, "\r\n");
    queue_commit(&h->out, writer_size(w));
}

/* Those that people meet; a reason may be empty (RFC 9112 §4). */
static const char *reason_of(unsigned status)
{
    switch (status) {
    case 100: return "Continue";
    case 101: return "Switching Protocols";
    case 103: return "Early Hints";
    case 200: return "OK";
    case 201: return "Created";
    case 202: return "Accepted";
    case 204: return "No Content";
    case 206: return "Partial Content";
    case 301: return "Moved Permanently";
    case 302: return "Found";
    case 303: return "See Other";
    case 304: return "Not Modified";
    case 307: return "Temporary Redirect";
    case 308: return "Permanent Redirect";
    case 400: return "Bad Request";
    case 401: return "Unauthorized";
    case 403: return "Forbidden";
    case 404: return "Not Found";
    case 405: return "Method Not Allowed";
    case 408: return "Request Timeout";
    case 413: return "Content Too Large";
    case 414: return "URI Too Long";
    case 416: return "Range Not Satisfiable";
    case 421: return "Misdirected Request";
    case 426: return "Upgrade Required";
    case 429: return "Too Many Requests";
    case 431: return "Request Header Fields Too Large";
    case 500: return "Internal Server Error";
    case 501: return "Not Implemented";
    case 502: return "Bad Gateway";
    case 503: return "Service Unavailable";
    case 504: return "Gateway Timeout";
    case 505: return "HTTP Version Not Supported";
    default: return "";
    }
}

static void write_status_line(struct writer *w, unsigned status)
{
    const uint8_t digits[] = {(uint8_t)('0' + status / 100), (uint8_t)('0' + status / 10 % 10),
                              (uint8_t)('0' + status % 10)};

    write_text(w, "HTTP/1.1 ");
    write_bytes(w, digits, sizeof digits);
    write_text(w, " ");
    write_text(w, reason_of(status));
    write_text(w, "\r\n");
}

void neap_http1_send_status(struct http1 *h, int status)
{
    struct writer w;

    if (!head_room(h, NULL, 0, &w)) {
        neap_http1_give_up(h, NEAP_H3_INTERNAL_ERROR);
        return;
    }
    write_status_line(&w, (unsigned)status);
    if (status >= 200)
        write_text(&w, "content-length: 0\r\n");
    finish_head(h, &w, FRAMING_LENGTH, status >= 200 ? "close" : NULL);
}

/* ---- a response */

/* How the body of a response ends, and what its fields say of that. */
static enum http1_framing frame_response(struct http1 *h, const struct head *head, bool has_no_body, bool fin,
                                         bool *adds_length)
{
    struct http1_exchange *x = &h->exchange;

    *adds_length = false;
    if (has_no_body || head->info.content_length >= 0)
        return FRAMING_LENGTH;
    if (fin) {
        *adds_length = true;
        return FRAMING_LENGTH;
    }
    if (!x->is_old)
        return FRAMING_CHUNKED;
    h->keeps = false;
    return FRAMING_CLOSE;
}

/* A 1xx, or the answer that makes a tunnel: fields and nothing of a body. */
static int send_bare(struct http1 *h, const struct head *head, const neap_field *fields, size_t count)
{
    struct writer w;

    if (!head_room(h, fields, count, &w))
        return lose(h);
    write_status_line(&w, head->info.status);
    write_fields(&w, fields, count, NULL);
    finish_head(h, &w, FRAMING_LENGTH, head->upgrades ? "upgrade" : NULL);
    return NEAP_OK;
}

static int send_informational(struct http1 *h, const struct head *head, const neap_field *fields,
                              size_t count)
{
    struct http1_exchange *x = &h->exchange;

    if (x->is_old)
        return NEAP_OK;
    if (queue_size(&h->out) >= LIMIT_HTTP1_OUTPUT)
        return NEAP_ERR_LIMIT;
    if (head->info.status == 100)
        x->expects_100 = false;
    return send_bare(h, head, fields, count);
}

/* Both bodies begin, as bytes (RFC 9110 §7.8, §9.3.6). */
static int open_tunnel(struct http1 *h, const struct head *head, const neap_field *fields, size_t count,
                       bool fin)
{
    struct http1_exchange *x = &h->exchange;
    int err = send_bare(h, head, fields, count);

    if (err)
        return err;
    h->keeps = false;
    x->is_tunnel = true;
    x->reading = READING_BODY;
    x->receive_framing = x->send_framing = FRAMING_CLOSE;
    x->data_reported = false;
    x->sending = SENDING_BODY;
    if (fin)
        end_sending(h);
    neap_http1_settle(h);
    return NEAP_OK;
}

static int check_response(struct http1 *h, const struct http1_exchange *x, struct head *head,
                          const neap_field *fields, size_t count, bool fin)
{
    if (h->is_over && !x)
        return NEAP_ERR_CLOSED;
    if (!x || !h->is_server || x->sending != SENDING_HEAD)
        return NEAP_ERR_STREAM_STATE;
    int err = check_head(h, head, fields, count, SECTION_RESPONSE);
    if (err)
        return err;
    unsigned status = head->info.status;
    bool is_switch = status == 101;
    bool is_tunnel = is_switch || (x->is_connect && status >= 200 && status < 300);
    bool has_length = head->info.content_length >= 0;
    if (is_switch && (!x->may_upgrade || !head->upgrades))
        return NEAP_ERR_ARGUMENT;
    if (has_length && (status < 200 || status == 204 || is_tunnel))
        return NEAP_ERR_ARGUMENT;
    if (fin && status < 200 && !is_switch)
        return NEAP_ERR_ARGUMENT;
    bool has_no_body = x->is_head || status == 304;
    return fin && head->info.content_length > 0 && !has_no_body ? NEAP_ERR_ARGUMENT : NEAP_OK;
}

int neap_http1_send_response(struct transport *t, uint64_t stream, const neap_field *fields, size_t count,
                             bool fin)
{
    struct http1 *h = http1_of(t);
    struct http1_exchange *x = http1_find(h, stream);
    bool adds_length;
    struct head head;
    struct writer w;
    int err = check_response(h, x, &head, fields, count, fin);

    if (err)
        return err;
    unsigned status = head.info.status;
    if (status == 101 || (x->is_connect && status >= 200 && status < 300))
        return open_tunnel(h, &head, fields, count, fin);
    if (status < 200)
        return send_informational(h, &head, fields, count);

    /* A client that waits for a 100 may send its body or not, and a long one is not waited for. */
    if (x->reading != READING_ENDED && (x->expects_100 || x->is_connect || (fin && !neap_http1_can_drain(x))))
        h->keeps = false;
    bool has_no_body = x->is_head || status == 204 || status == 304;
    enum http1_framing framing = frame_response(h, &head, has_no_body, fin, &adds_length);
    if (!head_room(h, fields, count, &w))
        return lose(h);
    write_status_line(&w, status);
    write_fields(&w, fields, count, NULL);
    if (adds_length)
        write_text(&w, "content-length: 0\r\n");
    bool keeps_old = h->keeps && x->is_old;
    finish_head(h, &w, framing,
                head.upgrades ? (h->keeps ? "upgrade" : "upgrade, close")
                : !h->keeps   ? "close"
                : keeps_old   ? "keep-alive"
                              : NULL);
    x->sending = SENDING_BODY;
    x->send_framing = (uint8_t)framing;
    x->send_left = head.info.content_length > 0 ? (uint64_t)head.info.content_length : 0;
    x->drops_body = has_no_body;
    if (x->is_connect) { /* no tunnel: what the client sends into it is not read */
        x->reading = READING_ENDED;
        x->marks |= HTTP1_FINISHED;
    }
    if (fin)
        end_sending(h);
    neap_http1_settle(h);
    return NEAP_OK;
}

/* ---- a request */

static bool has_content_usually(struct span method)
{
    return span_equal(method, span_of_string("POST")) || span_equal(method, span_of_string("PUT")) ||
           span_equal(method, span_of_string("PATCH"));
}

/* The target is a path, or all of the URI where a proxy is asked; CONNECT names an authority alone (RFC 9112 §3.2). */
static void write_target(const struct http1 *h, struct writer *w, const neap_field *fields, size_t count,
                         struct span authority, bool is_connect)
{
    const neap_field *path = find_field(fields, count, ":path");
    bool is_asterisk = path && span_equal(value_of(path), span_of_string("*"));

    if (h->to_proxy && !is_connect) {
        write_span(w, value_of(find_field(fields, count, ":scheme")));
        write_text(w, "://");
        write_span(w, authority);
    }
    if (is_connect)
        write_span(w, authority);
    else if (!(h->to_proxy && is_asterisk))
        write_span(w, value_of(path));
}

static void write_request_line(const struct http1 *h, struct writer *w, const neap_field *fields,
                               size_t count, bool is_connect)
{
    const neap_field *named = find_field(fields, count, ":authority");
    const neap_field *host = named ? named : find_field(fields, count, "host");
    struct span authority = host ? value_of(host) : span_of(NULL, 0);

    write_span(w, value_of(find_field(fields, count, ":method")));
    write_text(w, " ");
    write_target(h, w, fields, count, authority, is_connect);
    write_text(w, " HTTP/1.1\r\nhost: ");
    write_span(w, authority);
    write_text(w, "\r\n");
}

/* What the field connection says of a request. */
static const char *request_options(const struct head *head)
{
    return head->upgrades ? (head->has_te ? "upgrade, te" : "upgrade") : head->has_te ? "te" : NULL;
}

static int check_request(struct http1 *h, struct head *head, const neap_field *fields, size_t count, bool fin)
{
    if (h->is_over || !h->keeps)
        return NEAP_ERR_CLOSED;
    if (h->is_server)
        return NEAP_ERR_ARGUMENT;
    int err = check_head(h, head, fields, count, SECTION_REQUEST);
    if (err)
        return err;
    if ((fin || head->upgrades || head->info.is_connect) && head->info.content_length > 0)
        return NEAP_ERR_ARGUMENT;
    return h->exchange.is_open ? NEAP_ERR_STREAM_LIMIT : NEAP_OK;
}

int64_t neap_http1_send_request(struct transport *t, const neap_field *fields, size_t count, bool fin)
{
    struct http1 *h = http1_of(t);
    struct head head;
    struct writer w;
    int err = check_request(h, &head, fields, count, fin);

    if (err)
        return err;
    /* Two bodies that begin when the server has agreed. */
    bool waits = head.upgrades || head.info.is_connect;
    bool has_length = head.info.content_length >= 0;
    enum http1_framing framing = waits || fin || has_length ? FRAMING_LENGTH : FRAMING_CHUNKED;
    if (!head_room(h, fields, count, &w))
        return lose(h);
    write_request_line(h, &w, fields, count, head.info.is_connect);
    write_fields(&w, fields, count, "host");
    if (fin && !has_length && !waits && has_content_usually(value_of(find_field(fields, count, ":method"))))
        write_text(&w, "content-length: 0\r\n");
    finish_head(h, &w, framing, request_options(&head));

    struct http1_exchange *x = neap_http1_open(h);
    x->is_head = head.info.is_head;
    x->is_connect = head.info.is_connect;
    x->may_upgrade = head.upgrades;
    x->send_framing = (uint8_t)framing;
    x->send_left = has_length ? (uint64_t)head.info.content_length : 0;
    x->sending = waits ? SENDING_HEAD : fin ? SENDING_ENDED : SENDING_BODY;
    neap_http1_watch(h);
    return (int64_t)x->id;
}

/* ---- bodies */

/* Whether a body may go on: 0 or a negative error. */
static int check_body(const struct http1 *h, uint64_t stream)
{
    const struct http1_exchange *x = &h->exchange;

    if (!x->is_open || x->id != stream)
        return h->is_over ? NEAP_ERR_CLOSED : NEAP_ERR_STREAM_STATE;
    if (x->marks & HTTP1_STOPPED)
        return NEAP_ERR_STREAM_STOPPED;
    if (x->sending == SENDING_BODY)
        return NEAP_OK;
    /* A client's tunnel that the server has not agreed to. */
    return !h->is_server && x->sending == SENDING_HEAD ? NEAP_ERR_AGAIN : NEAP_ERR_STREAM_STATE;
}

static size_t room_of(const struct http1 *h)
{
    size_t waiting = queue_size(&h->out);

    return waiting < LIMIT_HTTP1_OUTPUT ? LIMIT_HTTP1_OUTPUT - waiting : 0;
}

int64_t neap_http1_body_capacity(const struct transport *t, uint64_t stream)
{
    const struct http1 *h = http1_of_const(t);
    int err = check_body(h, stream);

    return err == NEAP_ERR_AGAIN ? 0 : err ? err : (int64_t)room_of(h);
}

static void write_hex(struct writer *w, size_t value)
{
    unsigned shift = 0;

    while (value >> shift > 15)
        shift += 4;
    for (;; shift -= 4) {
        write_u8(w, (uint8_t) "0123456789abcdef"[value >> shift & 15]);
        if (shift == 0)
            return;
    }
}

/* Queue body bytes in their framing: false without memory. */
static bool queue_body(struct http1 *h, const void *bytes, size_t size, bool fin)
{
    struct http1_exchange *x = &h->exchange;

    if (x->send_framing != FRAMING_CHUNKED)
        return neap_queue_put(&h->out, h->pool, span_of(bytes, size));
    size_t most = CHUNK_HEAD_MOST + size + sizeof "\r\n0\r\n\r\n";
    uint8_t *room = neap_queue_reserve(&h->out, h->pool, most);
    if (!room)
        return false;
    struct writer w = writer_of(room, most);
    if (size > 0) {
        write_hex(&w, size);
        write_text(&w, "\r\n");
        write_bytes(&w, bytes, size);
        write_text(&w, "\r\n");
    }
    if (fin)
        write_text(&w, "0\r\n\r\n");
    queue_commit(&h->out, writer_size(&w));
    return true;
}

int64_t neap_http1_send_body(struct transport *t, uint64_t stream, const void *bytes, size_t size, bool fin)
{
    struct http1 *h = http1_of(t);
    struct http1_exchange *x = &h->exchange;
    int err = check_body(h, stream);

    if (err)
        return err;
    bool is_counted = x->send_framing == FRAMING_LENGTH && !x->drops_body;
    if (is_counted && (size > x->send_left || (fin && size < x->send_left)))
        return NEAP_ERR_ARGUMENT;
    size_t room = room_of(h);
    /* A little more rather than a tiny chunk. */
    size_t share = x->drops_body || size <= room ? size : room < LIMIT_DATA_OVERSHOOT ? 0 : room;
    x->wants_room = share < size;
    if (share == 0 && size > 0)
        return NEAP_ERR_AGAIN;
    fin = fin && share == size;
    if (!x->drops_body && !queue_body(h, bytes, share, fin))
        return lose(h);
    if (is_counted)
        x->send_left -= share;
    if (fin)
        end_sending(h);
    neap_http1_settle(h);
    return (int64_t)share;
}

int neap_http1_send_trailers(struct transport *t, uint64_t stream, const neap_field *fields, size_t count)
{
    struct http1 *h = http1_of(t);
    struct http1_exchange *x = &h->exchange;
    struct section_info info;
    struct writer w;
    int err = check_body(h, stream);

    if (err)
        return err == NEAP_ERR_AGAIN ? NEAP_ERR_ARGUMENT : err;
    bool is_short = x->send_framing == FRAMING_LENGTH && !x->drops_body && x->send_left > 0;
    if (x->is_tunnel || is_short)
        return NEAP_ERR_ARGUMENT;
    if (count > LIMIT_FIELDS || neap_fields_size(fields, count) > LIMIT_FIELD_SECTION)
        return NEAP_ERR_LIMIT;
    if (neap_fields_check(fields, count, SECTION_TRAILERS, false, &info, NULL) ||
        !neap_trailers_allowed(fields, count))
        return NEAP_ERR_ARGUMENT;
    if (x->send_framing == FRAMING_CHUNKED && !x->drops_body) {
        if (!head_room(h, fields, count, &w))
            return lose(h);
        write_text(&w, "0\r\n");
        write_fields(&w, fields, count, NULL);
        finish_head(h, &w, FRAMING_LENGTH, NULL);
    }
    end_sending(h);
    neap_http1_settle(h);
    return NEAP_OK;
}
