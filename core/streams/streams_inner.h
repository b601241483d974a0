/* What the files of the stream table share with each other and with nobody else. */
#ifndef NEAP_STREAMS_STREAMS_INNER_H
#define NEAP_STREAMS_STREAMS_INNER_H

#include "streams/streams.h"

#define MAX_STREAM_COUNT (UINT64_C(1) << 60) /* RFC 9000 §4.6 */

static inline bool stream_is_ours(const struct streams *s, uint64_t id)
{
    return neap_stream_is_server_initiated(id) == s->is_server;
}

/* The index into struct streams' pairs. */
static inline size_t stream_kind(uint64_t id)
{
    return neap_stream_is_bidi(id) ? 0 : 1;
}

static inline uint64_t streams_least(uint64_t a, uint64_t b)
{
    return a < b ? a : b;
}

/* So many bytes that were queued are not any more, of a stream that `left` are left of. */
static inline void streams_uncount_queued(struct streams *s, uint64_t size, uint64_t left)
{
    s->send_holders -= size > 0 && left == 0;
    s->send_held -= size;
    s->budget->send_held -= size;
}

enum stream_place {
    PLACE_LIVE,   /* in the table */
    PLACE_CLOSED, /* it was there and has ended */
    PLACE_UNSEEN, /* the peer's, opened by a higher id, not named yet */
    PLACE_NEW,    /* the peer's, not opened yet; its limit is not looked at here */
    PLACE_FUTURE, /* ours, not opened yet */
};
/** All live ones, as neap_map_walk. */
struct stream *neap_streams_walk(const struct streams *s, struct map_walk *walk);
enum stream_place neap_streams_place(const struct streams *s, uint64_t id, struct stream **out);
/** Whether LIMIT_STREAMS_KEPT of a side are there, those apart that have ended: they go. */
bool neap_streams_is_full(struct streams *s, bool of_ours);
/** Put a stream into the table and count it as opened. NULL without memory or when it is full; nothing changed. */
struct stream *neap_streams_create(struct streams *s, uint64_t id);

/** The stream of a call, made when a higher id of the peer's opened it and nothing has named it yet. 0, STREAM_STATE or no memory. */
int neap_streams_call(struct streams *s, uint64_t id, struct stream **out);

/** A frame other than data is owed for the stream. */
void neap_streams_owe(struct streams *s, struct stream *stream, enum stream_mark mark);
/** It has nothing to send any more. */
void neap_streams_unqueue(struct streams *s, struct stream *stream);
/** Put the stream's send_link where its state wants it, and note what blocks it. */
void neap_streams_schedule(struct streams *s, struct stream *stream);
/** The stream of a receiving side, which lies right behind it. */
static inline struct stream *stream_of_recv(struct stream_recv *recv)
{
    return (struct stream *)(void *)recv - 1;
}
/** Put it on the application's list. */
static inline void streams_mark_readable(struct streams *s, struct stream *stream)
{
    if (!list_linked(&stream->recv->readable_link))
        list_append(&s->readable, &stream->recv->readable_link);
}
void neap_streams_mark_writable(struct streams *s, struct stream *stream);
/** See whether all of the stream was said, or it has ended: then MAX_STREAMS may grow, and the object of one that has
 * ended goes at the next pass. */
void neap_streams_settle(struct streams *s, struct stream *stream);
/** The stream's receiving part has other bytes than before: count them, for the connection and its budget. */
void neap_streams_count_held(struct streams *s, struct stream *stream);
/** What the stream has queued is about to be dropped, and counts no longer. */
void neap_streams_drop_queued(struct streams *s, const struct stream *stream);
/** The limits that a stream of this id begins with. */
uint64_t neap_streams_initial_recv(const struct streams *s, uint64_t id);
uint64_t neap_streams_initial_send(const struct streams *s, uint64_t id);
/** Tell the application of a stream that it found full, when it may queue a good deal again. Else it stays blocked. */
void neap_streams_unblock_full(struct streams *s, struct stream *stream);
/** `size` received bytes were read or dropped: give connection credit back when half of the window is used. */
void neap_streams_credit(struct streams *s, uint64_t size, neap_time now, neap_time rtt);
/** How many streams the peer may have opened by now. One of which all was sent and read is over for the peer when that
 * arrives (RFC 9000 §3.2): it counts no longer, lest the next one waits for an acknowledgement and for MAX_STREAMS behind
 * that. But a peer that acknowledges nothing has us keep only as many of these as may be open, and as there is room for beside
 * those: what is announced is kept. */
uint64_t neap_streams_allowed(const struct streams *s, size_t kind);
/** The peer may open more streams when a quarter of them are used and some are done. */
void neap_streams_grow(struct streams *s, size_t kind);

static inline void streams_unblock(struct streams *s, struct stream *stream)
{
    if (stream->send->blocked_app)
        neap_streams_unblock_full(s, stream);
}

#endif
