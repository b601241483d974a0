/* A connection of HTTP/1.1: its life, its exchanges one after the other, its clock. */
#include "base/pool.h"
#include "tcp/http1_inner.h"

#define HEADER_TIMEOUT (10 * NEAP_SECOND)
#define IDLE_TIMEOUT (60 * NEAP_SECOND)

struct http1_exchange *neap_http1_open(struct http1 *h)
{
    h->exchange = (struct http1_exchange){.id = h->next_id, .is_open = true};
    h->next_id += 4;
    h->stats->requests++;
    return &h->exchange;
}

void neap_http1_give_up(struct http1 *h, uint64_t code)
{
    struct http1_exchange *x = &h->exchange;
    bool is_left = x->is_unwanted && x->sending == SENDING_ENDED; /* by the application */
    bool is_whole = x->reading == READING_ENDED && x->sending == SENDING_ENDED;

    h->is_over = true;
    h->keeps = false;
    h->in.at = h->in.end;
    if (x->is_open && !is_whole) {
        x->reading = READING_ENDED;
        x->sending = SENDING_ENDED;
        x->reset_code = code;
        x->marks = is_left ? 0 : HTTP1_RESET;
    }
    neap_http1_watch(h);
}

void neap_http1_malformed(struct http1 *h, const char *reason)
{
    h->stats->malformed++;
    h->stats->reason = reason;
}

void neap_http1_refuse(struct http1 *h, int status, const char *reason)
{
    struct http1_exchange *x = &h->exchange;
    uint64_t code = NEAP_H3_MESSAGE_ERROR;

    switch (status) {
    case 408: code = NEAP_H3_EXCESSIVE_LOAD; break;
    case 414:
    case 431:
        code = NEAP_H3_EXCESSIVE_LOAD;
        h->stats->too_large++;
        break;
    case 503: code = NEAP_H3_INTERNAL_ERROR; break;
    default: neap_http1_malformed(h, reason);
    }
    if (h->is_server && (!x->is_open || x->sending == SENDING_HEAD))
        neap_http1_send_status(h, status);
    neap_http1_give_up(h, code);
}

void neap_http1_settle(struct http1 *h)
{
    struct http1_exchange *x = &h->exchange;

    if (x->is_open && x->reading == READING_ENDED && x->sending == SENDING_ENDED && x->marks == 0) {
        x->is_open = false;
        if (!h->keeps) {
            neap_http1_give_up(h, NEAP_H3_NO_ERROR);
        } else if (!h->is_server && queue_size(&h->in) > 0) {
            neap_http1_malformed(h, REASON_TEXT("response that nobody asked for"));
            neap_http1_give_up(h, NEAP_H3_NO_ERROR);
        }
    }
    neap_http1_watch(h);
}

/* ---- the clock */

bool neap_http1_holds_back(const struct http1 *h)
{
    return h->is_server && !h->exchange.is_open && queue_size(&h->out) >= LIMIT_HTTP1_OUTPUT;
}

static bool is_draining(const struct http1_exchange *x)
{
    return x->is_unwanted && x->sending == SENDING_ENDED && x->reading != READING_ENDED;
}

static enum http1_wait wait_of(const struct http1 *h)
{
    const struct http1_exchange *x = &h->exchange;

    if (!h->is_server)
        return WAIT_NOTHING;
    if (h->is_over && queue_size(&h->out) == 0)
        return WAIT_NOTHING;
    if (h->is_over || neap_http1_holds_back(h))
        return WAIT_OUTPUT;
    if (x->is_open && is_draining(x))
        return WAIT_DRAIN;
    if (x->is_open)
        return x->reading == READING_TRAILERS ? WAIT_SECTION : WAIT_NOTHING;
    return queue_size(&h->in) > 0 || h->skipped_line ? WAIT_SECTION : WAIT_REQUEST;
}

void neap_http1_watch(struct http1 *h)
{
    enum http1_wait wait = wait_of(h);

    if (wait == h->wait)
        return;
    h->wait = (uint8_t)wait;
    h->since = h->now;
    h->is_since_sure = false;
}

static neap_time patience(const struct http1 *h)
{
    return h->wait == WAIT_NOTHING   ? NEAP_NEVER
           : h->wait == WAIT_REQUEST ? h->idle_timeout
                                     : h->header_timeout;
}

static neap_time deadline(const struct transport *t)
{
    const struct http1 *h = http1_of_const(t);
    neap_time wait = patience(h);

    return wait == NEAP_NEVER || h->since > NEAP_NEVER - wait ? NEAP_NEVER : h->since + wait;
}

static void on_timeout(struct transport *t, neap_time now)
{
    struct http1 *h = http1_of(t);

    h->now = now;
    if (now < deadline(t))
        return;
    if (!h->is_since_sure) {
        h->since = now;
        h->is_since_sure = true;
        return;
    }
    h->stats->timeouts += h->wait != WAIT_REQUEST;
    if (h->wait == WAIT_SECTION) {
        neap_http1_refuse(h, 408, NULL);
    } else {
        if (h->wait == WAIT_OUTPUT)
            neap_queue_free(&h->out, h->pool);
        neap_http1_give_up(h, NEAP_H3_NO_ERROR);
    }
    neap_http1_watch(h);
}

/* ---- its end */

static void end_of_input(struct transport *t, neap_time now)
{
    struct http1 *h = http1_of(t);

    h->now = now;
    h->input_ended = true;
    h->keeps = false;
}

static bool is_over(const struct transport *t)
{
    return http1_of_const(t)->is_over;
}

static bool sends_no_more(const struct transport *t)
{
    const struct http1 *h = http1_of_const(t);

    return h->is_over ||
           (h->exchange.is_open && h->exchange.is_tunnel && h->exchange.sending == SENDING_ENDED);
}

static int cancel(struct transport *t, uint64_t stream, uint64_t code)
{
    struct http1 *h = http1_of(t);
    struct http1_exchange *x = http1_find(h, stream);

    if (!x)
        return NEAP_ERR_STREAM_STATE;
    if (code > VARINT_MAX)
        return NEAP_ERR_ARGUMENT;
    bool is_whole = x->reading == READING_ENDED && x->sending == SENDING_ENDED;
    x->marks = 0;
    x->reading = READING_ENDED;
    x->sending = SENDING_ENDED;
    if (!is_whole) {
        h->keeps = false;
        if (!h->is_server) /* nobody waits for the rest of a request */
            neap_queue_free(&h->out, h->pool);
    }
    neap_http1_settle(h);
    return NEAP_OK;
}

static int goaway(struct transport *t)
{
    struct http1 *h = http1_of(t);

    h->keeps = false;
    if (!h->exchange.is_open && queue_size(&h->in) == 0)
        neap_http1_give_up(h, NEAP_H3_NO_ERROR);
    return NEAP_OK;
}

static uint64_t open_requests(const struct transport *t)
{
    const struct http1_exchange *x = &http1_of_const(t)->exchange;

    return x->is_open && (x->reading != READING_ENDED || x->sending != SENDING_ENDED);
}

static void free_all(struct transport *t)
{
    struct http1 *h = http1_of(t);
    struct pool *pool = h->pool;

    neap_queue_free(&h->in, pool);
    neap_queue_free(&h->out, pool);
    neap_field_list_free(&h->fields, pool);
    neap_pool_free(pool, h, sizeof *h);
    neap_pool_release(pool);
}

static const struct transport_ops operations = {
    .protocol = "http/1.1",
    .free = free_all,
    .receive = neap_http1_receive,
    .end_of_input = end_of_input,
    .send = neap_http1_send,
    .is_over = is_over,
    .sends_no_more = sends_no_more,
    .deadline = deadline,
    .on_timeout = on_timeout,
    .poll = neap_http1_poll,
    .send_request = neap_http1_send_request,
    .send_response = neap_http1_send_response,
    .send_body = neap_http1_send_body,
    .body_capacity = neap_http1_body_capacity,
    .recv_body = neap_http1_recv_body,
    .send_trailers = neap_http1_send_trailers,
    .cancel = cancel,
    .stop_body = neap_http1_stop_body,
    .goaway = goaway,
    .open_requests = open_requests,
};

struct transport *neap_http1_new(struct pool *pool, const struct transport_config *config, neap_time now)
{
    struct http1 *h = neap_pool_alloc_lasting(pool, sizeof *h);

    if (!h)
        return NULL;
    h->transport.ops = &operations;
    h->pool = neap_pool_retain(pool);
    h->stats = config->stats ? config->stats : &h->own_stats;
    h->max_section = config->max_field_section_size ? config->max_field_section_size : LIMIT_FIELD_SECTION;
    h->header_timeout = config->header_timeout ? config->header_timeout : HEADER_TIMEOUT;
    h->idle_timeout = config->idle_timeout ? config->idle_timeout : IDLE_TIMEOUT;
    h->is_server = config->is_server;
    h->is_secure = config->is_secure;
    h->to_proxy = config->to_proxy;
    h->keeps = true;
    h->now = now;
    neap_http1_watch(h);
    h->is_since_sure = true;
    return &h->transport;
}
