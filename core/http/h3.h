/* One HTTP/3 connection and its request streams, for the files of this folder. Parsing happens when the application
 * polls: what it does not take stays in QUIC's flow control windows. */
#ifndef NEAP_HTTP_H3_H
#define NEAP_HTTP_H3_H

#include "base/limits.h"
#include "base/list.h"
#include "base/trace.h"
#include "http/h3_frame.h"
#include "http/priority.h"
#include "http/qpack.h"
#include "neap.h"
#include "quic/quic.h"

struct pool;
struct stream;

#define NO_STREAM UINT64_MAX
#define NO_ID UINT64_MAX

/* As TRACE, of an HTTP/3 connection. */
#define H3_TRACE(h3_, ...) \
    TRACE(neap_conn_tracer((h3_)->conn), .conn = (h3_)->conn, .now = neap_conn_now((h3_)->conn), __VA_ARGS__)

#define H3_MERIT_EXCHANGE 2u /* glitches that a message which came to its end makes good */

enum h3_stream_type { /* unidirectional streams (RFC 9114 §6.2, RFC 9204 §4.2) */
                      H3_STREAM_CONTROL = 0x00,
                      H3_STREAM_PUSH = 0x01,
                      H3_STREAM_QPACK_ENCODER = 0x02,
                      H3_STREAM_QPACK_DECODER = 0x03,
};

enum h3_setting_id {
    SETTING_QPACK_MAX_TABLE_CAPACITY = 0x01,
    SETTING_MAX_FIELD_SECTION_SIZE = 0x06,
    SETTING_QPACK_BLOCKED_STREAMS = 0x07,
    SETTING_ENABLE_CONNECT_PROTOCOL = 0x08,
    SETTING_H3_DATAGRAM = 0x33,
};

struct h3_setting {
    uint64_t id, value;
};

/* Where the peer's message on a request stream is (RFC 9114 §4.1). */
enum message_state {
    MESSAGE_HEADERS, /* nothing yet, or interim responses */
    MESSAGE_BODY,
    MESSAGE_TRAILED, /* trailers came: only the end may follow */
    MESSAGE_CLOSED,  /* ended, reset, malformed, or not wanted any more */
};

enum send_phase {
    SEND_HEADERS, /* the final header section is still to be sent */
    SEND_BODY,
    SEND_CLOSED, /* end queued, reset or stopped */
};

enum request_mark { /* what the application has not been told yet */
                    MARK_RESET = 1 << 0,
                    MARK_FINISHED = 1 << 1,
                    MARK_STOPPED = 1 << 2,
                    MARK_WRITABLE = 1 << 3,
};

/* One request and its response; lives from its first byte until both sides are closed, all marks were told, and a server's
 * application has let go of what it was told of. */
struct h3_request {
    struct neap_h3 *h3;
    uint64_t id;
    struct stream *stream;         /* held */
    struct list_link link;         /* h3->requests */
    struct list_link ready_link;   /* h3->ready while there may be something to tell */
    struct list_link partial_link; /* h3->partial while a field section has not arrived whole */
    neap_time partial_since;
    void *user; /* the application's */
    struct h3_frame_reader reader;
    struct h3_payload payload; /* of a HEADERS frame that has arrived in part */
    int64_t recv_left;         /* bytes of body that content-length still promises, -1 no promise */
    int64_t send_left;         /* ours */
    uint64_t reset_code, stop_code;
    struct priority asked; /* what the client wants of our answer, or we of the server's */
    struct priority own;   /* what a server says of its answer goes before that */
    uint8_t message;       /* enum message_state */
    uint8_t sending;       /* enum send_phase */
    uint8_t marks;         /* enum request_mark */
    bool is_head;          /* the response has no body whatever its content-length says */
    bool is_connect;       /* DATA frames are a tunnel once the response is 2xx */
    bool is_tunnel;        /* only DATA may come (RFC 9114 §4.4) */
    bool is_reported;      /* the application has seen HEADERS */
    bool data_reported;    /* it knows that body bytes wait, and nothing came since */
    bool drops_body;       /* our response has no content: what the application gives is taken and not sent */
    bool wants_room;       /* neap_h3_send_body came short */
    bool is_stopped;       /* the peer does not want our message */
    bool is_unwanted; /* the application wants no more of the peer's message: it is checked and dropped */
    bool is_done;     /* not counted as open any more: the application has nothing left to do with it */
    bool is_held;     /* a server's application was told of it, and has neither answered it nor given it up */
};

/* What PRIORITY_UPDATE frames said of requests that have not come. */
struct priorities_ahead {
    uint32_t count, next;
    struct {
        uint64_t id;
        struct priority priority;
    } of[LIMIT_PRIORITIES_AHEAD];
};

enum h3_mark { H3_MARK_SETTINGS = 1 << 0, H3_MARK_GOAWAY = 1 << 1 };

struct neap_h3 {
    neap_conn *conn;
    struct pool *pool;
    bool is_server : 1, failed : 1;
    bool settings_received : 1;
    bool established_reported : 1, closed_reported : 1;
    bool
        may_be_rejected : 1; /* a client's streams were opened by 0-RTT, and nobody said whether it is read */
    bool is_starting_again : 1; /* it is not, and requests are still to be told so */
    bool has_remembered : 1;    /* `settings` are those of an earlier connection */
    uint8_t marks;              /* enum h3_mark */
    uint16_t glitches;      /* what a peer did in vain, ahead of what it did for good; time makes it less */
    uint32_t glitches_seen; /* in all */
    neap_time forgiven_at;  /* until then it has */
    uint32_t open_requests;
    uint32_t setting_count;
    uint64_t priority_updates;      /* that came, and the requests that excuse them */
    struct priorities_ahead *ahead; /* NULL: none */
    uint64_t requests_seen;
    uint64_t partial_size; /* bytes of field sections that have arrived in part */
    neap_time header_timeout;
    struct list_link requests;
    struct list_link *ready, *partial; /* rings; of partial the oldest first */
    struct field_list fields;          /* of the last event */

    uint64_t control_id; /* our control stream, held */
    struct stream *control;
    uint64_t max_field_section_size;
    uint64_t goaway_sent;     /* NO_ID none */
    uint64_t next_request_id; /* server: above every request that was seen */

    /* the peer's critical streams, NO_STREAM until they come */
    uint64_t peer_control_id, peer_encoder_id, peer_decoder_id;
    struct h3_frame_reader control_reader;
    struct h3_payload control_payload;
    struct qpack_decoder_stream decoder_stream;
    struct h3_setting *settings; /* the peer's: what it sent, or before that what is remembered */
    uint64_t peer_max_field_section_size;
    uint64_t goaway_received;  /* NO_ID none */
    uint64_t peer_max_push_id; /* NO_ID none; remembered, we never push */
};

/* ---- h3_conn.c */

/** Close the connection for the peer's fault, once. Returns `code`. */
int neap_h3_fail(struct neap_h3 *h3, uint64_t code, const char *reason);

/** Our control stream can say nothing any more, for this error of it: the connection is closed. NEAP_ERR_NO_MEMORY or NEAP_ERR_CLOSED. */
int neap_h3_control_lost(struct neap_h3 *h3, int err);

/** Nothing is said or read any more: the connection is closing, draining or closed. */
bool neap_h3_is_closed(const struct neap_h3 *h3);

/** The peer did something that costs and brings nothing; too much of it at a time closes the connection (RFC 9114
 * §10.5). */
void neap_h3_glitch(struct neap_h3 *h3);

/** The peer did something useful. */
void neap_h3_merit(struct neap_h3 *h3, uint32_t merit);

/** What a config says of the field sections that we take, in bytes; NULL: nothing. */
uint64_t neap_h3_field_section_size(const neap_h3_config *config);

/* ---- h3_early.c */

/** A client whose streams may be opened before the server has answered does with the settings that it remembers. */
void neap_h3_begin_early(struct neap_h3 *h3);

/** The server has answered: where it reads no early data, the client's requests are told to be rejected and then its
 * streams begin again. Before each look at the connection. */
void neap_h3_settle_early(struct neap_h3 *h3);

/** SETTINGS came: where they are lower than early data relied on, the connection is closed and the result not 0. */
int neap_h3_check_early_settings(struct neap_h3 *h3, const struct h3_setting *settings, size_t count);

/** Keep the server's settings with the sessions of this connection. */
void neap_h3_remember_settings(struct neap_h3 *h3);

/** Forget the settings that there are of the peer's: the defaults hold. */
void neap_h3_drop_settings(struct neap_h3 *h3);

/* ---- h3_control.c */

/** Open our control stream and send SETTINGS (and a GOAWAY that waits), as soon as the connection allows it. */
void neap_h3_open_control(struct neap_h3 *h3);

/** Send GOAWAY with h3->goaway_sent if the control stream is open; else it follows SETTINGS. 0 or a NEAP_ERR_*. */
int neap_h3_write_goaway(struct neap_h3 *h3);

/** A unidirectional stream of the peer's has something to read. */
void neap_h3_on_uni_readable(struct neap_h3 *h3, uint64_t id);

/* ---- h3_priority.c */

/** A new request: what came ahead of it holds. */
void neap_h3_priority_begin(struct h3_request *r);

/** What the fields of a request say, which a PRIORITY_UPDATE that came already goes before (RFC 9218 §7). */
void neap_h3_priority_asked(struct h3_request *r, const struct priority *said);

/** What the fields of a response say. */
void neap_h3_priority_answered(struct h3_request *r, const struct priority *said);

/** The value of a PRIORITY_UPDATE for a request, which may not have come yet. */
void neap_h3_priority_update(struct neap_h3 *h3, uint64_t id, struct span value);

/* ---- h3_sections.c */

/** A field section of the peer's is awaited: a server waits for header_timeout. */
void neap_h3_section_wait(struct h3_request *r);

/** It is whole, or nobody wants it any more. */
void neap_h3_section_drop(struct h3_request *r);

/** Whether `size` more bytes may be kept of sections that are not whole. */
bool neap_h3_section_fits(const struct neap_h3 *h3, size_t size);

/** There was no place for it: the request is given up. */
void neap_h3_section_give_up(struct h3_request *r);

/** Give up what waits for a field section for longer than header_timeout, and have the connection wake us for the next
 * one. */
void neap_h3_expire_sections(struct neap_h3 *h3);

/* ---- h3_request.c */

/** The request of a stream, or NULL when there is none any more. */
struct h3_request *neap_h3_find_request(const struct neap_h3 *h3, uint64_t id);

/** A new request for a stream; NULL without memory. */
struct h3_request *neap_h3_request_new(struct neap_h3 *h3, uint64_t id);

/** Free it. QUIC keeps the stream, and the credit for a next one, until then. */
void neap_h3_request_free(struct h3_request *r);

/** Free it if both sides are closed, nothing is left to be told and the application does not hold it. True when it was
 * freed. */
bool neap_h3_request_settle(struct h3_request *r);

/** Have neap_h3_poll look at it. */
void neap_h3_request_ready(struct h3_request *r);

/** Parse what has arrived until there is an event: true and *out, false when nothing can be told now. */
bool neap_h3_request_advance(struct h3_request *r, neap_h3_event *out);

/** End both directions with `code` and tell the application RESET with `reported_code`. */
void neap_h3_request_abort(struct h3_request *r, uint64_t code, uint64_t reported_code);

/* ---- h3_send.c */

/** The stream takes bytes again, or the peer stopped it. */
void neap_h3_request_on_writable(struct h3_request *r);

/** Send a HEADERS frame, whole. 0, NEAP_ERR_NO_MEMORY or an error of the stream. */
int neap_h3_send_section(struct h3_request *r, const neap_field *fields, size_t count, bool fin);

#endif
