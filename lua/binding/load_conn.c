/* The connections of a load, and what happens on them. */
#include "load.h"

#include <stdio.h>
#include <string.h>

#define VIEWS 32
#define AGAIN_AFTER (100 * NEAP_MILLISECOND)

/* ---- the beginning and the end of a connection */

bool neap_load_connect(struct load *load, struct load_conn *c, neap_time now)
{
    const char *why = NULL;
    neap_conn *conn = neap_endpoint_connect(load->endpoint, load->options.config, load->options.server_name,
                                            &load->local, &load->options.peer, now, &why);

    c->begun = now;
    if (conn == NULL) {
        neap_load_count_unconnected(load, why != NULL ? why : neap_strerror(NEAP_ERR_NO_MEMORY), false);
        load->is_refused = true;
        return false;
    }
    c->h3 = neap_h3_new(conn, NULL);
    if (c->h3 == NULL) {
        neap_conn_free(conn);
        neap_load_count_unconnected(load, neap_strerror(NEAP_ERR_NO_MEMORY), false);
        load->is_refused = true;
        return false;
    }
    c->conn = conn;
    c->is_established = c->is_leaving = c->is_blocked = false;
    neap_conn_set_user(conn, c);
    load->handshaking++;
    load->missing--;
    load->opened++;
    c->is_counted = load->phase == LOAD_MEASURING || load->options.warm_up == 0;
    load->result.connections_opened += load->phase == LOAD_MEASURING;
    return true;
}

/* It is given back; what is closing goes on to the end of that by itself. */
static void drop(struct load_conn *c)
{
    struct load *load = c->load;

    if (!c->is_established)
        load->handshaking--;
    neap_h3_free(c->h3);
    neap_endpoint_release(load->endpoint, c->conn);
    load->missing++;
    c->h3 = NULL;
    c->conn = NULL;
    c->open = 0;
    c->is_established = false;
}

void neap_load_leave(struct load_conn *c)
{
    if (c->conn == NULL)
        return;
    neap_conn_close(c->conn, true, NEAP_H3_NO_ERROR, NULL, 0);
    drop(c);
}

/* Why a connection ended, in a few words. */
static void explain(const struct load_conn *c, char *out, size_t size)
{
    neap_close_info info;

    neap_conn_close_info(c->conn, &info, sizeof info);
    const char *name = neap_wire_error_name(info.code, info.is_application);
    switch (info.by) {
    case NEAP_CLOSE_IDLE: snprintf(out, size, "connection was idle for too long"); return;
    case NEAP_CLOSE_HANDSHAKE_TIMEOUT: snprintf(out, size, "connection: no answer"); return;
    case NEAP_CLOSE_RESET: snprintf(out, size, "connection: stateless reset"); return;
    case NEAP_CLOSE_VERSION: snprintf(out, size, "connection: no common version"); return;
    case NEAP_CLOSE_PEER: snprintf(out, size, "connection closed by the server: %s", name); return;
    case NEAP_CLOSE_LOCAL:
        snprintf(out, size, "connection closed: %s%s%s", name, info.reason_size > 0 ? ": " : "", info.reason);
        return;
    case NEAP_CLOSE_NONE: break;
    }
    snprintf(out, size, "connection lost");
}

/* All requests of a connection end with it. Those that the server has not begun with are sent again. */
static void end_requests(struct load_conn *c, const char *reason, neap_time now)
{
    struct load *load = c->load;
    size_t slots = load->options.connections * load->options.streams;

    if (c->first != NULL) {
        neap_load_failed(load, c->first, reason, now);
        c->first = NULL;
    }
    for (size_t i = 0; i < slots && c->open > 0; i++) {
        if (load->requests[i].conn == c) {
            c->open--;
            neap_load_failed(load, &load->requests[i], reason, now);
        }
    }
}

/* It is over and not by us; a handshake that failed is begun again a little later. */
static void lose(struct load_conn *c, const char *reason, neap_time now)
{
    struct load *load = c->load;
    bool had_requests = c->open > 0 || c->first != NULL;

    load->result.connections_lost += load->phase == LOAD_MEASURING;
    if (!c->is_established) {
        load->failed_in_row++;
        c->again_at = now + AGAIN_AFTER;
        neap_load_count_unconnected(load, reason, had_requests);
    }
    end_requests(c, reason, now);
    neap_load_leave(c);
    neap_load_ready(load, c);
}

static void on_closed(struct load_conn *c, neap_time now)
{
    char reason[LOAD_REASON];

    explain(c, reason, sizeof reason);
    lose(c, reason, now);
}

void neap_load_give_up(struct load_conn *c, neap_time now)
{
    lose(c, "connection: no answer in time", now);
}

/* ---- requests */

/* Body bytes as far as they go; what is left waits for WRITABLE. */
static void send_body(struct load_request *r)
{
    struct load *load = r->conn->load;
    size_t size = load->options.body_size;

    while (r->body_at < size) {
        int64_t taken = neap_h3_send_body(r->conn->h3, r->stream, load->options.body + r->body_at,
                                          size - r->body_at, true);
        if (taken <= 0)
            return; /* a stream that is over tells it by itself */
        r->body_at += (size_t)taken;
        if (load->phase == LOAD_MEASURING)
            load->result.body_sent += (uint64_t)taken;
    }
}

bool neap_load_send(struct load_conn *c, struct load_request *r, neap_time now)
{
    struct load *load = c->load;
    const struct load_target *target = &load->options.targets[r->target];
    size_t taken;
    int64_t id = neap_h3_request(c->h3, target->fields, target->count, load->options.body,
                                 load->options.body_size, &taken);
    if (id == NEAP_ERR_STREAM_LIMIT || id == NEAP_ERR_AGAIN) {
        c->is_blocked = true;
        return false;
    }
    if (id == NEAP_ERR_CLOSED) {
        c->is_leaving = true;
        return false;
    }
    if (id < 0) {
        load->is_refused = true;
        neap_load_failed(load, r, neap_strerror(id), now);
        return true;
    }
    r->conn = c;
    r->stream = (uint64_t)id;
    r->body_at = taken;
    r->status = 0;
    r->has_answer = false;
    c->open++;
    neap_h3_set_user(c->h3, r->stream, r);
    if (load->phase == LOAD_MEASURING)
        load->result.body_sent += taken;
    return true;
}

/* It is not the connection's any more. With `is_fresh` the connection ends with it. */
static void let_go(struct load_request *r)
{
    struct load_conn *c = r->conn;

    r->conn = NULL;
    c->open--;
    if (c->load->options.is_fresh || (c->is_leaving && c->open == 0))
        neap_load_leave(c);
    neap_load_ready(c->load, c);
}

static void fail(struct load_request *r, const char *reason, neap_time now)
{
    struct load *load = r->conn->load;

    let_go(r);
    neap_load_failed(load, r, reason, now);
}

void neap_load_time_out(struct load_conn *c, struct load_request *r, neap_time now)
{
    neap_h3_cancel(c->h3, r->stream, NEAP_H3_REQUEST_CANCELLED);
    fail(r, r->has_answer ? "timeout: no end of the response" : "timeout: no response", now);
}

/* ---- events */

/* The bytes are looked at by nobody, so that they are not copied either. */
static void skip_body(struct load_conn *c, uint64_t stream)
{
    neap_view views[VIEWS];
    size_t count = VIEWS;
    int64_t size;

    while ((size = neap_h3_peek_body(c->h3, stream, views, &count)) > 0) {
        if (neap_h3_consume_body(c->h3, stream, (size_t)size) != NEAP_OK)
            return;
        if (c->load->phase == LOAD_MEASURING)
            c->load->result.body_received += (uint64_t)size;
        count = VIEWS;
    }
}

static void on_headers(struct load_request *r, const neap_h3_event *event, neap_time now)
{
    const neap_field *status = &event->fields[0];
    unsigned number = 0;

    if (event->is_informational)
        return;
    for (size_t i = 0; i < status->value_size && i < 3; i++)
        number = number * 10 + (unsigned)(status->value[i] - '0');
    r->status = (uint16_t)number;
    r->has_answer = true;
    if (r->is_measured)
        neap_histogram_add(&r->conn->load->result.first, now - r->intended);
}

static void on_finished(struct load_request *r, neap_time now)
{
    struct load_conn *c = r->conn;
    struct load *load = c->load;

    if (r->body_at < load->options.body_size)
        neap_h3_cancel(c->h3, r->stream, NEAP_H3_NO_ERROR); /* it answered before it had heard all */
    let_go(r);
    neap_load_answered(load, r, now);
}

static void on_reset(struct load_request *r, uint64_t code, neap_time now)
{
    struct load *load = r->conn->load;
    char reason[LOAD_REASON];

    if (code == NEAP_H3_REQUEST_REJECTED) {
        let_go(r);
        neap_load_rejected(load, r);
        return;
    }
    snprintf(reason, sizeof reason, "reset: %s", neap_wire_error_name(code, true));
    fail(r, reason, now);
}

/* Requests from `id` on were not looked at (RFC 9114 §5.2), and no other is. */
static void on_goaway(struct load_conn *c, uint64_t id, neap_time now)
{
    struct load *load = c->load;
    size_t slots = load->options.connections * load->options.streams;

    c->is_leaving = true;
    for (size_t i = 0; i < slots && c->conn != NULL && c->open > 0; i++) {
        struct load_request *r = &load->requests[i];
        if (r->conn == c && r->stream >= id) {
            neap_h3_cancel(c->h3, r->stream, NEAP_H3_REQUEST_CANCELLED);
            on_reset(r, NEAP_H3_REQUEST_REJECTED, now);
        }
    }
    if (c->conn != NULL && c->open == 0) {
        neap_load_leave(c);
        neap_load_ready(load, c);
    }
}

static void on_established(struct load_conn *c, neap_time now)
{
    struct load *load = c->load;

    c->is_established = true;
    load->handshaking--;
    load->failed_in_row = 0;
    load->is_reached = true;
    load->result.resumed += c->is_counted && neap_conn_is_resumed(c->conn);
    if (!load->options.is_fresh || load->phase == LOAD_MEASURING)
        neap_histogram_add(&load->result.connect, now - c->begun);
    if (c->first != NULL) {
        struct load_request *r = c->first;
        c->first = NULL;
        if (!neap_load_send(c, r, now))
            neap_load_failed(load, r, "the server allows no request", now);
    }
    neap_load_ready(load, c);
}

static void on_event(struct load_conn *c, const neap_h3_event *event, neap_time now)
{
    struct load_request *r = event->user;

    switch (event->type) {
    case NEAP_H3_ESTABLISHED: on_established(c, now); return;
    case NEAP_H3_GOAWAY: on_goaway(c, event->stream, now); return;
    case NEAP_H3_SETTINGS:
    case NEAP_H3_CLOSED: return;
    case NEAP_H3_HEADERS:
    case NEAP_H3_TRAILERS:
    case NEAP_H3_DATA:
    case NEAP_H3_FINISHED:
    case NEAP_H3_RESET:
    case NEAP_H3_STOPPED:
    case NEAP_H3_WRITABLE: break;
    }
    if (r == NULL)
        return;
    if (event->type == NEAP_H3_HEADERS)
        on_headers(r, event, now);
    else if (event->type == NEAP_H3_DATA)
        skip_body(c, event->stream);
    else if (event->type == NEAP_H3_FINISHED)
        on_finished(r, now);
    else if (event->type == NEAP_H3_RESET)
        on_reset(r, event->code, now);
    else if (event->type == NEAP_H3_STOPPED)
        r->body_at = c->load->options.body_size;
    else if (event->type == NEAP_H3_WRITABLE)
        send_body(r);
}

void neap_load_on_connection(struct load *load, struct load_conn *c, neap_time now)
{
    neap_h3_event event;

    c->is_blocked = false;
    /* A connection that is left inside of an event has no more of them. */
    while (c->conn != NULL && neap_h3_poll(c->h3, &event) == NEAP_OK)
        on_event(c, &event, now);
    if (c->conn != NULL && neap_conn_is_draining(c->conn))
        on_closed(c, now);
    else
        neap_load_ready(load, c);
}
