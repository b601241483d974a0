/* One connection of HTTP/1.1 and the exchange on it, for the files of this folder. */
#ifndef NEAP_TCP_HTTP1_INNER_H
#define NEAP_TCP_HTTP1_INNER_H

#include "base/limits.h"
#include "tcp/http1.h"
#include "tcp/http1_chunks.h"
#include "tcp/http1_head.h"
#include "tcp/queue.h"

/* Where the peer's message is. */
enum http1_reading {
    READING_HEAD,  /* a response to come; a server has no exchange then */
    READING_LATER, /* what is for a tunnel that a server has not agreed to */
    READING_BODY,
    READING_TRAILERS,
    READING_ENDED,
};

enum http1_sending {
    SENDING_HEAD, /* the final response is still to be sent */
    SENDING_BODY,
    SENDING_ENDED,
};

/* How a body's end is told. */
enum http1_framing {
    FRAMING_LENGTH, /* 0 too: there is none */
    FRAMING_CHUNKED,
    FRAMING_CLOSE, /* by the end of the connection; tunnels too */
};

/* What the application has not been told yet. */
enum http1_mark {
    HTTP1_STOPPED = 1 << 0,
    HTTP1_WRITABLE = 1 << 1,
    HTTP1_RESET = 1 << 2,
    HTTP1_FINISHED = 1 << 3,
};

/* A request and its response; open until both have ended and all was told. */
struct http1_exchange {
    uint64_t id;
    uint64_t reset_code;
    uint64_t receive_left; /* FRAMING_LENGTH */
    uint64_t send_left;    /* FRAMING_LENGTH */
    uint64_t dropped;      /* bytes of a body that nobody wants */
    struct chunks chunks;  /* FRAMING_CHUNKED, of what is received */
    uint8_t reading;       /* enum http1_reading */
    uint8_t sending;       /* enum http1_sending */
    uint8_t receive_framing, send_framing;
    uint8_t marks; /* enum http1_mark */
    uint8_t informational;
    bool is_open;
    bool is_head, is_connect; /* what the request is */
    bool is_old;              /* a request of HTTP/1.0 */
    bool may_upgrade;         /* the request asks for it */
    bool is_tunnel;
    bool expects_100; /* the client waits for it, as far as we know */
    bool data_reported;
    bool is_unwanted; /* the application wants no more of the peer's message */
    bool drops_body;  /* our response has no content: what the application gives is not sent */
    bool wants_room;  /* a body came short */
};

/* What the clock is looked at for. */
enum http1_wait { WAIT_NOTHING, WAIT_REQUEST, WAIT_SECTION, WAIT_DRAIN, WAIT_OUTPUT };

struct http1 {
    struct transport transport;
    struct pool *pool;
    struct transport_stats *stats, own_stats;
    uint64_t max_section;
    neap_time header_timeout, idle_timeout;
    neap_time now;      /* as last told */
    neap_time since;    /* the wait began, */
    bool is_since_sure; /* or before the next time that we are told */
    uint8_t wait;       /* enum http1_wait */
    bool is_server, is_secure, to_proxy;
    bool keeps;        /* the connection stays behind this exchange */
    bool is_over;      /* nothing more is received, nothing new is sent */
    bool input_ended;  /* the peer's */
    bool skipped_line; /* an empty one before a request line */
    bool closed_reported;
    struct byte_queue in, out;
    struct head_scan scan;    /* of the section that is awaited, from the front of `in` */
    struct field_list fields; /* of the last event, in what was consumed of `in` */
    uint64_t next_id;
    struct http1_exchange exchange;
};

static inline struct http1 *http1_of(struct transport *t)
{
    return (struct http1 *)(void *)t;
}

static inline const struct http1 *http1_of_const(const struct transport *t)
{
    return (const struct http1 *)(const void *)t;
}

/* The exchange of a number, or NULL. */
static inline struct http1_exchange *http1_find(struct http1 *h, uint64_t stream)
{
    return h->exchange.is_open && h->exchange.id == stream ? &h->exchange : NULL;
}

/* ---- http1_conn.c */

/** Begin the next exchange. */
struct http1_exchange *neap_http1_open(struct http1 *h);

/** The connection is over: an exchange that is open is told as RESET with `code`; what waits to be sent still is. */
void neap_http1_give_up(struct http1 *h, uint64_t code);

/** Count a message that breaks the rules. */
void neap_http1_malformed(struct http1 *h, const char *reason);

/** The peer's message is refused for this reason: a server says so by `status` if its answer has not begun, and all is over. */
void neap_http1_refuse(struct http1 *h, int status, const char *reason);

/** End the exchange if nothing is left to do or to tell; with the last one the connection is over. */
void neap_http1_settle(struct http1 *h);

/** Whether a server reads no next request: a client that does not take what it is answered gets no further. */
bool neap_http1_holds_back(const struct http1 *h);

/** After anything has changed: what is waited for now. */
void neap_http1_watch(struct http1 *h);

/* ---- http1_recv.c */

int64_t neap_http1_receive(struct transport *t, const uint8_t *bytes, size_t size, neap_time now);
int neap_http1_poll(struct transport *t, neap_h3_event *out);
int64_t neap_http1_recv_body(struct transport *t, uint64_t stream, void *out, size_t size);
int neap_http1_stop_body(struct transport *t, uint64_t stream, uint64_t code);

/** Whether what is left of the peer's body, as far as it is known, is less than is read in vain. */
bool neap_http1_can_drain(const struct http1_exchange *x);

/* ---- http1_send.c */

size_t neap_http1_send(struct transport *t, uint8_t *out, size_t size);
int64_t neap_http1_send_request(struct transport *t, const neap_field *fields, size_t count, bool fin);
int neap_http1_send_response(struct transport *t, uint64_t stream, const neap_field *fields, size_t count,
                             bool fin);
int64_t neap_http1_send_body(struct transport *t, uint64_t stream, const void *bytes, size_t size, bool fin);
int64_t neap_http1_body_capacity(const struct transport *t, uint64_t stream);
int neap_http1_send_trailers(struct transport *t, uint64_t stream, const neap_field *fields, size_t count);

/** Queue a response of a status alone; without memory the connection is given up. */
void neap_http1_send_status(struct http1 *h, int status);

#endif
