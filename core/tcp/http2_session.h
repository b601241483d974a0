/* One HTTP/2 connection and its streams, for the files http2_*.c. nghttp2 calls back while bytes are taken and given; that
 * leaves marks and field sections on streams, which the application polls. */
#ifndef NEAP_TCP_HTTP2_SESSION_H
#define NEAP_TCP_HTTP2_SESSION_H

#include "base/limits.h"
#include "base/list.h"
#include "base/map.h"
#include "http/fields.h"
#include "tcp/chunk_queue.h"
#include "tcp/http2.h"

#include <nghttp2/nghttp2.h>

struct pool;

#define NO_CODE UINT64_MAX

enum http2_mark { /* what the application has not been told yet */
                  MARK_RESET = 1 << 0,
                  MARK_FINISHED = 1 << 1,
                  MARK_STOPPED = 1 << 2,
                  MARK_WRITABLE = 1 << 3,
};

enum http2_sending {
    SENDING_HEADERS, /* the final header section is still to be sent */
    SENDING_BODY,
    SENDING_OVER, /* its end is queued, or nothing is to follow */
};

/* A field section that came whole, or is coming. Names and values lie in list.text one behind the other. */
struct http2_section {
    struct http2_section *next;
    struct field_list list;
    size_t text_size;
    uint64_t size; /* as SETTINGS_MAX_HEADER_LIST_SIZE counts */
    bool is_trailers, is_informational, fin;
};

/* One exchange. It lives until nghttp2 has closed its stream, all was told and read, and a server's application has let go. */
struct http2_stream {
    struct map_node node;               /* http2->streams, by number */
    struct list_link link;              /* http2->all */
    struct list_link ready_link;        /* http2->ready while there may be something to tell */
    struct list_link waiting_link;      /* http2->waiting while neap_http2_send_body came short */
    struct http2_section *first, *last; /* that were not told */
    struct chunk_queue body, unsent;    /* that came and were not read; to be sent */
    nghttp2_nv *trailers;               /* ours, behind `unsent`, with their texts in one room */
    size_t trailer_count, trailers_size;
    int64_t send_left; /* bytes of our body that content-length still promises, -1 no promise */
    uint64_t reset_code, stop_code;
    uint32_t end_code; /* with which the peer is told to send no more, once our message is sent */
    int32_t id;
    uint8_t marks;      /* enum http2_mark */
    uint8_t sending;    /* enum http2_sending */
    bool has_headers;   /* the peer's final header section came */
    bool is_ended;      /* the peer's message is here to its end */
    bool is_cut;        /* it never will be: reset, by whomever */
    bool is_closed;     /* nghttp2 has closed the stream, or never opened it */
    bool is_gone;       /* the application gave it up: nothing is told */
    bool is_reported;   /* the application has seen HEADERS */
    bool data_reported; /* it knows that body bytes wait, and nothing came since */
    bool is_unwanted;   /* it wants no more of the peer's message */
    bool is_held;       /* a server's application has neither answered it nor given it up */
    bool is_stopped;    /* the peer does not want our message */
    bool is_end_queued; /* the last of `unsent` is the last of the body */
    bool is_deferred;   /* nghttp2 waits for more of our body */
    bool is_end_sent;
    bool ends_late; /* the peer is told to send no more with what is sent next */
    bool is_done;   /* not counted as open any more */
    bool is_head, is_connect;
    bool drops_body; /* our response has no content */
};

enum http2_connection_mark { HTTP2_SETTINGS = 1 << 0, HTTP2_GOAWAY = 1 << 1 };

/* Where in the peer's frames its bytes are. Zeroed: at the beginning of one. */
struct http2_scan {
    uint64_t left;    /* bytes of the payload, or of what is before the first frame */
    uint8_t head[13]; /* of a frame, and the first bytes of a PRIORITY */
    uint8_t size;
};

struct http2 {
    struct transport transport; /* first */
    struct pool *pool;
    nghttp2_session *session;
    struct transport_config config;
    struct transport_stats own_stats; /* where the config has none */
    struct transport_stats *stats;
    uint64_t requests;
    struct map streams;
    struct list_link all;
    struct list_link allocations;      /* nghttp2's */
    struct list_link *ready, *waiting; /* rings */
    struct http2_section *told;        /* of the last event */
    struct http2_section *spare;       /* its room serves the next one */
    uint32_t stream_count, open_requests;
    uint32_t late_count;    /* streams that end late */
    uint64_t sections_size; /* of those that were not told */
    uint64_t unsent_size;   /* of bodies */
    const uint8_t *out;     /* what nghttp2 gave and was not written yet */
    size_t out_size;

    struct http2_section *coming; /* the field section that is being received, NULL: none, or it is dropped */
    struct http2_stream *coming_to; /* of which stream, NULL: of none that we know */
    bool is_section_open;           /* its end has not come */
    bool coming_refused, coming_malformed, coming_failed;
    uint64_t coming_size;    /* as decoded, also of what is dropped */
    uint64_t coming_encoded; /* bytes that were taken meanwhile */
    neap_time coming_since;

    neap_time now;
    neap_time settled_since; /* a server's: for so long there is no open request */
    neap_time settings_due;  /* when the peer must have sent its preface, then: acknowledged ours */
    neap_time goaway_due;    /* when the second GOAWAY follows */
    uint32_t fault;          /* of nghttp2_error_code, found where the session cannot be ended; 0 none */
    int32_t highest;         /* number that a server has seen */
    int32_t
        reset[LIMIT_HTTP2_STREAMS_KEPT]; /* streams that we reset last: a ring, in which the next goes to */
    uint32_t reset_next;
    struct http2_scan scan;
    size_t scanned;        /* bytes of the next slice that were looked at, since nghttp2 paused before them */
    uint64_t glitches;     /* ahead of what it did for good; time makes it less */
    neap_time forgiven_at; /* until then it has */
    uint64_t asides;       /* frames beside messages, */
    uint64_t body_bytes;   /* and what excuses them, with requests */
    uint64_t goaway_received;       /* the first number that is not served */
    uint64_t close_code;            /* NO_CODE until it is known */
    uint8_t marks;                  /* enum http2_connection_mark */
    bool failed;                    /* no stream counts any more */
    bool has_goaway;                /* the peer's came */
    bool goaway_begun, goaway_done; /* ours */
    bool is_goaway_timed;           /* goaway_due is a second after the first was sent, not at once */
    bool is_just_settled; /* settled_since is older than that: what answers a request is not told the time */
    bool is_broken;       /* nghttp2 does not work any more */
    bool input_ended, closed_reported;
};

/* ---- http2_conn.c */

struct http2 *neap_http2_of(struct transport *t);

/** End the connection with GOAWAY and one of nghttp2_error_code. */
void neap_http2_fail(struct http2 *h2, uint32_t code);

/** What nghttp2 said: where that is fatal, it had no memory, and nothing can be said any more. */
void neap_http2_break(struct http2 *h2, int error);

/** Nothing more is to be received. */
bool neap_http2_is_over(const struct http2 *h2);

/** The peer did something that costs and brings nothing; too much of it ends the connection (RFC 9113 §10.5). */
void neap_http2_glitch(struct http2 *h2);

/** An exchange came to its end. */
void neap_http2_merit(struct http2 *h2);

/** HTTP/3's code for one of HTTP/2, and HTTP/2's for one of HTTP/3 (RFC 9114 §A.4). */
uint64_t neap_http2_code_from(uint32_t code);
uint32_t neap_http2_code_to(uint64_t code);

/* ---- http2_stream.c */

struct http2_stream *neap_http2_stream_new(struct http2 *h2, int32_t id);
void neap_http2_stream_free(struct http2 *h2, struct http2_stream *s);

/** The stream with a number, unless the application gave it up; NULL. */
struct http2_stream *neap_http2_stream_find(const struct http2 *h2, uint64_t id);

/** Free it if nothing is left of it. True when it was freed. */
bool neap_http2_stream_settle(struct http2 *h2, struct http2_stream *s);

/** Have poll look at it. */
void neap_http2_stream_ready(struct http2 *h2, struct http2_stream *s);

/** The next event of it: true and *out. */
bool neap_http2_stream_event(struct http2 *h2, struct http2_stream *s, neap_h3_event *out);

/** Forget what came of the peer's message and was not told. */
void neap_http2_stream_drop_received(struct http2 *h2, struct http2_stream *s);

/** Nothing is sent or received any more. The application is told RESET with `code` of HTTP/3 where the message was not whole, and
 * STOPPED where ours was not. */
void neap_http2_stream_cut(struct http2 *h2, struct http2_stream *s, uint64_t code);

/** The same by RST_STREAM with `code` of HTTP/2: for what fails here. */
void neap_http2_stream_abort(struct http2 *h2, struct http2_stream *s, uint32_t code);

/** Our message is sent to its end: what the peer still sends of one that is not wanted is ended. */
void neap_http2_stream_end_sent(struct http2 *h2, struct http2_stream *s);
/** What was put off until the end of a message had left: the peers of such streams send no more. */
void neap_http2_end_late(struct http2 *h2);

struct http2_section *neap_http2_section_new(struct http2 *h2);
void neap_http2_section_free(struct http2 *h2, struct http2_section *section);

int64_t neap_http2_recv_body(struct transport *t, uint64_t stream, void *out, size_t size);
int neap_http2_cancel(struct transport *t, uint64_t stream, uint64_t code);
int neap_http2_stop_body(struct transport *t, uint64_t stream, uint64_t code);

/* ---- http2_receive.c */

/** Look at bytes before nghttp2 does, whose frames it passes over are held against the rules: how many there are up to the end of
 * a frame, at most. */
size_t neap_http2_scan(struct http2 *h2, struct span bytes);

/** What the peer still sends on a stream is not its fault: it has not heard yet that we reset it. */
void neap_http2_note_reset(struct http2 *h2, int32_t id);

/** nghttp2's callbacks for what comes. */
void neap_http2_receive_callbacks(nghttp2_session_callbacks *callbacks);

/* ---- http2_send.c */

/** Those that can go on are told so. */
void neap_http2_wake_waiting(struct http2 *h2);

int64_t neap_http2_send_request(struct transport *t, const neap_field *fields, size_t count, bool fin);
int neap_http2_send_response(struct transport *t, uint64_t stream, const neap_field *fields, size_t count,
                             bool fin);
int64_t neap_http2_send_body(struct transport *t, uint64_t stream, const void *bytes, size_t size, bool fin);
int64_t neap_http2_body_capacity(const struct transport *t, uint64_t stream);
int neap_http2_send_trailers(struct transport *t, uint64_t stream, const neap_field *fields, size_t count);

#endif
