/* What the layers above (http/, host/) may see of a connection besides the public neap_conn_* of neap.h. */
#ifndef NEAP_QUIC_QUIC_H
#define NEAP_QUIC_QUIC_H

#include "base/pool.h"
#include "base/random.h"
#include "base/span.h"
#include "neap.h"

struct stream;

/** 127.0.0.0/8 or ::1. */
bool neap_address_is_loopback(const neap_address *a);

/** The pool of the connection's config. */
struct pool *neap_conn_pool(const neap_conn *conn);
/** A zeroed block of `size` bytes, always the same size, that the layer above has for all connections of the config and that
 * goes with it; made when it is first asked for. NULL without memory. */
void *neap_conn_shared(const neap_conn *conn, size_t size);
struct random *neap_conn_random(const neap_conn *conn);
/** Where the connection's config counts what was held to a bound. */
neap_bound_stats *neap_conn_bounds(const neap_conn *conn);

/** The layer above that speaks on this connection, at most one; NULL none. */
void *neap_conn_owner(const neap_conn *conn);
void neap_conn_set_owner(neap_conn *conn, void *owner);

/** The `now` of the call on the connection that runs, or of the last one. */
neap_time neap_conn_now(const neap_conn *conn);
/** Have the connection wake up at this time and name itself to the application; NEAP_NEVER: not for us. One time, the last
 * one set. */
void neap_conn_wake_at(neap_conn *conn, neap_time at);

/** Close because the peer broke a rule of the layer above: `code` is an application error code, `reason` static. */
void neap_conn_fail(neap_conn *conn, uint64_t code, const char *reason);

/** Bytes that can be read now without copying: a view into the stream's first chunk, valid until the next call on the
 * connection; *fin when it ends the stream (also with an empty view). Same errors as neap_conn_stream_recv. */
int64_t neap_conn_stream_peek(neap_conn *conn, uint64_t id, struct span *view, bool *fin);
/** The same as views of several chunks, `size` bytes at most, without the end: the count of bytes or an error. */
int64_t neap_conn_stream_views(neap_conn *conn, uint64_t id, size_t size, neap_view *views, size_t *count);
/** They were used: gives credit back. False when so many are not there. */
bool neap_conn_stream_consume(neap_conn *conn, uint64_t id, size_t size);
/** As neap_conn_stream_send and neap_conn_stream_shutdown, on a stream that the layer above holds: the application is
 * refused there. */
int64_t neap_conn_stream_write(neap_conn *conn, uint64_t id, const void *data, size_t size, bool fin);
/** As neap_conn_begin_again, which the application is refused beside a layer that has streams. */
int neap_conn_streams_begin_again(neap_conn *conn);
int neap_conn_stream_end(neap_conn *conn, uint64_t id, enum neap_shutdown direction, uint64_t code);
/** As neap_conn_stream_reset_at, likewise. */
int neap_conn_stream_end_at(neap_conn *conn, uint64_t id, uint64_t code, uint64_t reliable_size);
/** Whether the peer may open this stream of its own, or did already. */
bool neap_conn_may_open(const neap_conn *conn, uint64_t id);
/** Ask the peer to stop sending with `code`; what it sends until then is still to be read. 0, NEAP_ERR_STREAM_STATE,
 * NEAP_ERR_CLOSED. */
int neap_conn_stream_stop(neap_conn *conn, uint64_t id, uint64_t code);
/** The application has seen the end of the receiving side (fin was peeked and everything consumed). */
void neap_conn_stream_end_seen(neap_conn *conn, uint64_t id);

/** Memory of the stream's own for the next bytes, behind `ahead` others: fill it and commit it, with no other call on the
 * connection between. As neap_conn_held_queue. */
int64_t neap_conn_stream_reserve(neap_conn *conn, uint64_t id, size_t ahead, size_t size, neap_part *parts,
                                 size_t *count);
/** Queue `head` and `size` bytes of it: 0, NEAP_ERR_ARGUMENT when so many were not reserved, and as
 * neap_conn_held_queue. */
int neap_conn_stream_commit(neap_conn *conn, uint64_t id, struct span head, size_t size, bool fin);

/** The layer above's object of a live stream; NULL when none was set or the stream is gone. */
void *neap_conn_stream_user(const neap_conn *conn, uint64_t id);
/** Give a live stream to the layer above with an object of its own, not NULL: it keeps its credit until it is released.
 * NULL when there is none or the connection is closed. */
struct stream *neap_conn_hold(neap_conn *conn, uint64_t id, void *user);
void neap_conn_release(neap_conn *conn, struct stream *held);

/* The functions above of like names on a stream that is held, without looking for it. Its streams end with a connection:
 * then nothing is looked at, and the answer is NEAP_ERR_CLOSED. */
int64_t neap_conn_held_peek(neap_conn *conn, struct stream *held, struct span *view, bool *fin);
bool neap_conn_held_consume(neap_conn *conn, struct stream *held, size_t size);
void neap_conn_held_end_seen(neap_conn *conn, struct stream *held);
/** Queue all of `parts`, one behind the other, whatever flow control and the send buffer's bound say: for frames that must
 * not be cut, whose size the caller bounds. 0, NEAP_ERR_STREAM_STATE, NEAP_ERR_STREAM_STOPPED, NEAP_ERR_NO_MEMORY. */
int neap_conn_held_queue(neap_conn *conn, struct stream *held, const struct span *parts, size_t count,
                         bool fin);
int64_t neap_conn_held_capacity(const neap_conn *conn, const struct stream *held);
/** What is queued on it goes before all other streams' bytes, whatever their urgency. */
void neap_conn_held_put_first(neap_conn *conn, struct stream *held);
/** Its priority is our own choice, also when the layer above holds it no more. */
void neap_conn_held_keep_priority(neap_conn *conn, struct stream *held);
/** As neap_conn_stream_set_priority, as the peer wants it: where it is not our own choice, and the stream is there. */
void neap_conn_stream_ask_priority(neap_conn *conn, uint64_t id, unsigned urgency, bool incremental);

/* DATAGRAM frames for the layer above: beside it the application is refused. */

/** As neap_conn_datagram_max; as _send, of several parts that are one payload; `options` may be NULL. */
int64_t neap_conn_datagrams_max(const neap_conn *conn);
int64_t neap_conn_datagrams_queue(neap_conn *conn, const struct span *parts, size_t count,
                                  const neap_datagram_options *options);
/** The next one that came, where it lies, until the next call: its size, NEAP_ERR_AGAIN or NEAP_ERR_CLOSED. */
int64_t neap_conn_datagrams_peek(const neap_conn *conn, struct span *view);
/** It was used. */
void neap_conn_datagrams_consume(neap_conn *conn);

#endif
