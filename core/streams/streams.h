/* All streams of a connection (RFC 9000 §2-4): table, limits, flow control in both directions, what to send in which
 * order. Knows nothing of packets or the connection: quic/ hands frames in and asks for frames to write. */
#ifndef NEAP_STREAMS_STREAMS_H
#define NEAP_STREAMS_STREAMS_H

#include "base/list.h"
#include "base/map.h"
#include "streams/stream_recv.h"
#include "streams/stream_send.h"
#include "wire/frame.h"
#include "wire/params.h"

enum stream_mark { /* what is owed on the wire for a stream */
                   OWES_DATA = 1 << 0,
                   OWES_RESET_STREAM = 1 << 1,
                   OWES_STOP_SENDING = 1 << 2,
                   OWES_MAX_STREAM_DATA = 1 << 3,
                   OWES_STREAM_DATA_BLOCKED = 1 << 4,
                   OWES_RESET_STREAM_AT = 1 << 5,
};

enum send_queue { QUEUE_NONE, QUEUE_FRESH, QUEUE_AGAIN }; /* which list a stream's send_link is on */

/* What connections of one config have for their peers: one for all of them. */
struct streams_budget {
    uint64_t receive_held; /* bytes of memory for what came and no one has read: rooms, and what finds them */
    uint64_t receive_most; /* above it STREAM data is refused, but see neap_streams_on_stream; 0: no bound */
    uint64_t send_held;    /* bytes that are queued and not acknowledged */
    uint64_t send_most;    /* each may queue as much as is left of it, or LIMIT_SEND_FLOOR; 0: no bound */
    /* how often streams began to wait for it, and for credit; and DATAGRAMs that it left no room for */
    uint64_t waits_for_budget, waits_for_credit, datagrams_refused;
};

/* The sides that it has lie behind it in its block, the receiving one first: a unidirectional stream pays for one. In place
 * of the other it has one that nothing ever happened to, which may be looked at and not be changed. */
struct stream {
    struct map_node node; /* in streams->table, under its id: stream_id */
    struct stream_recv *recv;
    struct stream_send *send;
    bool has_recv, has_send;
    bool app_done_recv, app_done_send; /* the application has seen the end, or asked for it */
    uint8_t owes;                      /* enum stream_mark */
    uint8_t urgency;                   /* 0..7, 3 by default; lower first: neap_streams_set_priority */
    bool incremental : 1;       /* takes turns inside its urgency (default), or goes on until it is done */
    bool is_first : 1;          /* before all others, and until it is done: neap_streams_put_first */
    bool keeps_priority : 1;    /* whatever the peer asks for: neap_conn_held_keep_priority */
    bool is_done : 1;           /* only acknowledgements are waited for: counted in stream_limits->done */
    uint8_t send_queue;         /* enum send_queue */
    struct list_link send_link; /* when it owes data: in streams->fresh[urgency] or streams->again[urgency] */
    struct list_link control_link; /* in streams->control when it owes anything else */
    /* A mark for the application, as recv->readable_link: in streams->writable, or, while send->blocked_app, in ->blocked. */
    struct list_link writable_link;
    struct list_link ended_link; /* in streams->ended: nothing can happen any more, freed at the next pass */
    void *user; /* the layer above: an HTTP/3 request; a stream stays until this is NULL: neap_streams_hold */
};

/* What a stream takes that has both sides, without its bytes. */
#define STREAM_MEMORY (sizeof(struct stream) + sizeof(struct stream_recv) + sizeof(struct stream_send))

static inline uint64_t stream_id(const struct stream *stream)
{
    return stream->node.key;
}

enum streams_mark {
    OWES_MAX_DATA = 1 << 0,
    OWES_MAX_STREAMS_BIDI = 1 << 1,
    OWES_MAX_STREAMS_UNI = 1 << 2,
    OWES_DATA_BLOCKED = 1 << 3,
    OWES_STREAMS_BLOCKED_BIDI = 1 << 4,
    OWES_STREAMS_BLOCKED_UNI = 1 << 5,
};

struct stream_limits { /* per kind: [0] bidirectional, [1] unidirectional */
    uint64_t next;     /* index of the next stream to open (ours) or one past the highest seen (peer's) */
    uint64_t
        limit; /* how many may be opened in all: the peer's MAX_STREAMS (ours), what we announced (peer's) */
    union {
        uint64_t blocked_at; /* ours: the limit for which STREAMS_BLOCKED was queued, + 1; 0 none */
        uint64_t done;       /* peer's: how many only wait for acknowledgements, or have ended */
    };
    uint64_t closed;         /* how many have ended (peer's), or are gone (ours) */
    uint64_t initial;        /* peer's: the configured number kept open at a time */
    struct range_set unseen; /* peer's: indexes below next that a higher one opened and no frame named yet */
};

/* What happened, for people who look. Streams that were reset and stopped count once, other frames as often as they came. */
struct streams_counters {
    uint64_t bytes_resent;
    uint32_t resets_sent, resets_received, stops_sent, stops_received;
    uint32_t data_blocked_sent, stream_data_blocked_sent, streams_blocked_sent;
    uint32_t data_blocked_received, stream_data_blocked_received, streams_blocked_received;
};

struct streams {
    struct pool *pool;
    struct map table; /* by id, live ones; what a higher id opened is made when it is first named */
    struct stream
        *recent; /* named last, by a frame or by the application: most often the next one too; NULL none */

    /* What packets touch, side by side: connection flow control, */
    uint64_t send_limit, send_used; /* the peer's MAX_DATA; sum of new stream bytes sent */
    uint64_t recv_limit, recv_used,
        recv_read; /* what we announced; highest offsets sum; what the application took */
    uint64_t recv_window, max_recv_window;
    struct streams_budget *budget;
    uint64_t held;              /* this connection's part of budget->receive_held */
    uint64_t send_held, unsent; /* of budget->send_held; bytes of that which were never sent */
    uint32_t send_holders;      /* streams that it is of */
    uint32_t send_buffer;       /* bytes a stream may hold */
    uint32_t send_buffer_least, send_buffer_most; /* equal: it stays as it is */
    uint64_t bytes_sent;
    uint64_t progress; /* frames of the peer that brought anything */
    /* and what is to be sent, or told to the application. */
    struct list_link control;
    struct list_link readable, writable;
    struct list_link blocked; /* would be writable if the connection had credit */
    struct list_link ended;
    struct list_link *fresh[8]; /* rings by urgency: new bytes inside the stream's limit */
    struct list_link *again[8]; /* likewise: lost bytes, or only the end: needs no connection credit */
    uint8_t again_queues, fresh_queues; /* a bit for each of these that is not empty */
    uint8_t owes;                       /* enum streams_mark */
    bool is_server;
    bool takes_reset_at : 1, peer_takes_reset_at : 1; /* RESET_STREAM_AT */
    bool is_data_blocked : 1;                         /* DATA_BLOCKED was queued at this send_limit */
    bool credit_came;    /* for the whole connection: those in `blocked` are to be looked at */
    uint16_t send_ahead; /* bytes a stream may hold that the peer gave no credit for; 0: no bound */

    struct stream_limits ours[2], theirs[2];
    uint64_t max_stream_window;
    uint64_t stream_blocked; /* the last stream for which STREAM_DATA_BLOCKED was queued */
    neap_time window_grown_at;
    /* the peer's initial limits for streams by kind */
    uint64_t peer_bidi_local, peer_bidi_remote, peer_uni;
    uint64_t our_bidi_local, our_bidi_remote, our_uni;
    uint64_t opened, accepted;
    uint64_t send_most; /* bytes that all streams may hold; 0: no bound */
    struct streams_counters counters;
};

struct streams_config {
    bool is_server;
    const struct transport_params *ours; /* limits that we announce */
    uint64_t max_connection_window, max_stream_window;
    uint32_t send_buffer, send_buffer_most; /* bytes a stream may hold; in sum, while the window sizes it */
    uint16_t send_ahead;                    /* of what a stream holds: without credit; 0: no bound */
    uint64_t send_most;                     /* bytes that all streams may hold; 0: no bound */
    struct streams_budget *budget;          /* outlives the streams */
    uint64_t map_secret;                    /* random */
};

void neap_streams_init(struct streams *s, struct pool *pool, const struct streams_config *config);
void neap_streams_free(struct streams *s);
/** Free what has ended, as each turn of sending does. Streams that callers hold across calls must not have. */
void neap_streams_reap(struct streams *s);
/** How many bytes of memory streams take with what was received on them, at most; */
size_t neap_streams_memory(const struct streams *s);
/** and how many more when that frame is taken, but for a few of ranges. */
size_t neap_streams_growth(const struct streams *s, const struct frame_stream *f);
/** The peer's transport parameters came. */
void neap_streams_set_peer_params(struct streams *s, const struct transport_params *peer);
/** The peer never saw any of ours: they are gone, whoever holds one, and the next one is the first again. */
void neap_streams_drop_ours(struct streams *s);

/* ---- frames that arrived: 0; or the wire error with *why, and nothing has changed; or, where we lack something,
 * NEAP_ERR_NO_MEMORY, and NEAP_ERR_LIMIT for STREAM data that would make more than LIMIT_STREAM_GAPS gaps: the packet counts
 * as not received then, and the frame may come again.
 * NEAP_ERR_LIMIT is also the answer to STREAM data while the budget is used up, with two exceptions, so that whoever reads
 * gets on whatever others hold: a connection that holds less than LIMIT_RECEIVE_FLOOR, and what the reader of a stream waits
 * for. */
int neap_streams_on_stream(struct streams *s, const struct frame_stream *f, neap_time now,
                           struct failure *why);
int neap_streams_on_reset_stream(struct streams *s, const struct frame_reset_stream *f, struct failure *why);
int neap_streams_on_reset_stream_at(struct streams *s, const struct frame_reset_stream *f,
                                    struct failure *why);
int neap_streams_on_stop_sending(struct streams *s, const struct frame_stop_sending *f, struct failure *why);
void neap_streams_on_max_data(struct streams *s, uint64_t limit);
int neap_streams_on_max_stream_data(struct streams *s, uint64_t id, uint64_t limit, struct failure *why);
int neap_streams_on_max_streams(struct streams *s, bool bidi, uint64_t limit, struct failure *why);
int neap_streams_on_stream_data_blocked(struct streams *s, uint64_t id, struct failure *why);
int neap_streams_on_streams_blocked(struct streams *s, bool bidi, uint64_t limit, struct failure *why);
/** Credit is given by what is read, not by who asks. */
void neap_streams_on_data_blocked(struct streams *s);

/* ---- the application's side: results as neap_conn_stream_* in neap.h */
/** The object of a live stream; NULL also for one of the peer's that no frame has named yet. */
struct stream *neap_streams_find(const struct streams *s, uint64_t id);
int64_t neap_streams_open(struct streams *s, bool bidi);
int64_t neap_streams_send(struct streams *s, uint64_t id, struct span data, bool fin);
/** Queue all of `parts`, one behind the other, whatever the send buffer's bound says: frames that must not be cut, whose
 * size the caller bounds. 0, NEAP_ERR_STREAM_STATE, NEAP_ERR_STREAM_STOPPED, or NEAP_ERR_NO_MEMORY: then a part may be
 * queued. */
int neap_streams_queue(struct streams *s, uint64_t id, const struct span *parts, size_t count, bool fin);
/** Memory of the stream's own for what is queued next, behind `ahead` bytes: as neap_send_buffer_reserve, whatever the
 * send buffer's bound says. NEAP_ERR_NO_MEMORY when there is none, else as neap_streams_queue. */
int64_t neap_streams_reserve(struct streams *s, uint64_t id, size_t ahead, size_t size, neap_part *parts,
                             size_t *count);
/** Queue `head`, and `size` bytes that lie in that memory. 0, NEAP_ERR_ARGUMENT when so many were not reserved (nothing
 * is queued), else as neap_streams_queue. */
int neap_streams_commit(struct streams *s, uint64_t id, struct span head, size_t size, bool fin);
int64_t neap_streams_capacity(const struct streams *s, uint64_t id);
int64_t neap_streams_recv(struct streams *s, uint64_t id, uint8_t *out, size_t size, bool *fin, neap_time now,
                          neap_time rtt);
/** A view of what can be read, up to the end of its chunk, valid until the next call; *fin when it ends the stream
 * (also with an empty view). Errors as neap_streams_recv. */
int64_t neap_streams_peek(struct streams *s, uint64_t id, struct span *view, bool *fin);
/** The same as views of several chunks, `size` bytes at most, without the end: the count of bytes or an error. */
int64_t neap_streams_views(struct streams *s, uint64_t id, size_t size, neap_view *views, size_t *count);
/** `size` bytes of the view were used: credit goes back. False, and nothing happens, when so many are not there. */
bool neap_streams_consume(struct streams *s, uint64_t id, size_t size, neap_time now, neap_time rtt);
/** The fin was peeked and everything before it consumed: the receiving side is over. */
void neap_streams_end_seen(struct streams *s, uint64_t id);
/** Give a stream to the layer above: it stays in the table, at its address, until neap_stream_release. `user` is the layer's
 * object, not NULL. NULL without such a stream or memory for it. */
struct stream *neap_streams_hold(struct streams *s, uint64_t id, void *user);
void neap_stream_release(struct streams *s, struct stream *stream);
/** The functions above of the same names for a stream that is held, without looking for it. The receiving part of
 * neap_stream_end_seen must be there. */
int neap_stream_queue(struct streams *s, struct stream *stream, const struct span *parts, size_t count,
                      bool fin);
int64_t neap_stream_capacity(const struct streams *s, const struct stream *stream);
int64_t neap_stream_peek(struct streams *s, struct stream *stream, struct span *view, bool *fin);
bool neap_stream_consume(struct streams *s, struct stream *stream, size_t size, neap_time now, neap_time rtt);
void neap_stream_end_seen(struct streams *s, struct stream *stream);
/** Urgency 0..7, lower first; incremental streams of one urgency take turns, the others go in the order of their IDs, each
 * until it is done. 0, NEAP_ERR_ARGUMENT or _STREAM_STATE. */
int neap_streams_set_priority(struct streams *s, uint64_t id, uint8_t urgency, bool incremental);
/** Before all others, whatever their urgency: for the little that the layer above has to say of all of them. */
void neap_streams_put_first(struct streams *s, struct stream *stream);
/** The stream is told as writable when so much is free, or when it holds nothing and anything is; 0: as before. Where less is
 * free now it will be told. 0, NEAP_ERR_STREAM_STATE or _STOPPED. */
int neap_streams_set_low_water(struct streams *s, uint64_t id, uint32_t size);
/** As neap_conn_stream_reset_at. */
int neap_streams_reset_at(struct streams *s, uint64_t id, uint64_t code, uint64_t reliable_size);
int neap_streams_shutdown(struct streams *s, uint64_t id, enum neap_shutdown direction, uint64_t code);
/** Ask the peer to stop (STOP_SENDING), and go on reading what comes until it does: in the window that it has, which
 * does not grow any more. 0 or NEAP_ERR_STREAM_STATE. */
int neap_streams_stop(struct streams *s, uint64_t id, uint64_t code);
int neap_streams_error(const struct streams *s, uint64_t id, enum neap_shutdown direction, uint64_t *code);
bool neap_streams_finished(const struct streams *s, uint64_t id);
/** Whether no stream has a queued end or reset that is not acknowledged. */
bool neap_streams_is_flushed(const struct streams *s);
int64_t neap_streams_readable_next(struct streams *s);
int64_t neap_streams_writable_next(struct streams *s);
/** All that can be read (or written) now; nothing changes. */
size_t neap_streams_list(const struct streams *s, bool readable, uint64_t *ids, size_t max);

/* ---- writing: frames that are owed go into `w`; each frame written is told through the return value so that quic/ can
 * record it. Repeated calls until 0. */
/** Write one owed control frame (connection- or stream-level). True when one was written to *out. */
bool neap_streams_write_control(struct streams *s, struct writer *w, struct sent_frame *out);
/** Data waits for credit, and the peer was told long ago: it is told again (RFC 9000 §4.1), of the connection's limit or of the one
 * stream that ran into its own last. False where neither holds anything up any more. */
bool neap_streams_repeat_blocked(struct streams *s);
/** Write one STREAM frame by priority and round robin; new bytes are bounded by both flow control limits. */
bool neap_streams_write_data(struct streams *s, struct writer *w, struct sent_frame *out);
/** The urgency of what write_data would write; 7 when that is nothing. */
unsigned neap_streams_urgency(const struct streams *s);
enum copy_result { COPY_WRITTEN, COPY_NONE, COPY_NO_ROOM };
/** Repeat what a STREAM frame that was sent has from its byte `from` on, as far as there is room and the peer is not known to have
 * it: NONE: there is nothing of it that is worth it. Nothing counts on the copy but that it may be acknowledged. */
enum copy_result neap_streams_copy(const struct streams *s, struct writer *w, const struct sent_frame *f,
                                   size_t from, struct sent_frame *out);
/** Whether write_control or write_data would write something given room. */
bool neap_streams_has_to_send(const struct streams *s);

/* ---- what became of them (`f` as it was told by write) */
void neap_streams_on_acked(struct streams *s, const struct sent_frame *f);
/** STREAM frames of one stream whose bytes follow each other were acknowledged. */
void neap_streams_on_data_acked(struct streams *s, uint64_t id, uint64_t offset, size_t size, bool fin);
/** The congestion window is another: each stream may hold its part of twice that, so that no round trip waits for the
 * application. */
void neap_streams_follow_window(struct streams *s, uint64_t window);
void neap_streams_on_lost(struct streams *s, const struct sent_frame *f);

#endif
