/* The sending side of one stream (RFC 9000 §3.1): bytes kept in chunks of 4 KB until acknowledged, what is lost is sent
 * again first. */
#ifndef NEAP_STREAMS_STREAM_SEND_H
#define NEAP_STREAMS_STREAM_SEND_H

#include "base/range_set.h"
#include "base/span.h"
#include "neap.h"
#include "streams/chunks.h"

struct pool;

enum send_state { SEND_READY, SEND_SEND, SEND_DATA_SENT, SEND_DATA_RECVD, SEND_RESET_SENT, SEND_RESET_RECVD };

/* Bytes queued from `base` to `end`. Also the sending side of CRYPTO data. base <= next <= highest <= end. */
struct send_buffer {
    struct chunks chunks;
    uint64_t base;          /* everything below is acknowledged and freed */
    uint64_t end;           /* one past the last byte queued */
    uint64_t next;          /* from here on everything not in `acked` is to be sent */
    uint64_t highest;       /* one past the last byte ever sent: what counts for flow control */
    struct range_set acked; /* acknowledged above base */
    struct range_set lost;  /* below next, to be sent again */
};

void neap_send_buffer_init(struct send_buffer *b);
/** Queue the bytes of `parts`, one behind the other: how many were taken (less than all when the pool says no). */
size_t neap_send_buffer_gather(struct send_buffer *b, struct pool *pool, const struct span *parts,
                               size_t count);
/** The same of one part. */
size_t neap_send_buffer_append(struct send_buffer *b, struct pool *pool, struct span data);
/** Memory for what is queued next, behind `ahead` bytes: how many bytes the *count parts hold, `size` at most. Nothing
 * happens to the buffer before neap_send_buffer_commit. */
size_t neap_send_buffer_reserve(struct send_buffer *b, struct pool *pool, size_t ahead, size_t size,
                                neap_part *parts, size_t *count);
/** Queue `head` and the `size` bytes behind it, which lie in that memory. False, and nothing is queued, when so many
 * were not reserved. */
bool neap_send_buffer_commit(struct send_buffer *b, struct pool *pool, struct span head, size_t size);
/** What to send next, lost bytes first: offset and size up to `max` (not beyond `limit`). False: nothing. */
bool neap_send_buffer_next(const struct send_buffer *b, uint64_t limit, size_t max, uint64_t *offset,
                           size_t *size);
/** Copy [offset, offset+size) out of the chunks: bytes that are queued and not below base. */
void neap_send_buffer_copy(const struct send_buffer *b, uint64_t offset, uint8_t *out, size_t size);
/** They were put into a packet. */
void neap_send_buffer_sent(struct send_buffer *b, struct pool *pool, uint64_t offset, size_t size);
void neap_send_buffer_acked(struct send_buffer *b, struct pool *pool, uint64_t offset, size_t size);
void neap_send_buffer_lost(struct send_buffer *b, struct pool *pool, uint64_t offset, size_t size);
/** Everything that was sent and not acknowledged is to be sent again (Retry, 0-RTT rejected, probes). Never fails. */
void neap_send_buffer_lose_all(struct send_buffer *b, struct pool *pool);
/** Whether bytes that were never sent, nor acknowledged, lie below `limit`. */
bool neap_send_buffer_has_gap(const struct send_buffer *b, uint64_t limit);
/** Whether bytes below `limit` are to be sent. */
static inline bool send_buffer_has_data(const struct send_buffer *b, uint64_t limit)
{
    if (b->lost.count > 0)
        return true;
    if (b->next >= b->end || b->next >= limit)
        return false;
    return b->acked.count == 0 || neap_send_buffer_has_gap(b, limit);
}
/** Drop what is queued; the positions stay. */
void neap_send_buffer_free(struct send_buffer *b, struct pool *pool);

struct stream_send {
    struct send_buffer data;
    uint8_t state; /* enum send_state */
    bool fin_queued, fin_sent, fin_acked, fin_lost;
    bool stopped; /* the peer sent STOP_SENDING */
    bool resets;  /* RESET_STREAM_AT: bytes below reliable_size alone are delivered; final size: data.end */
    bool reset_said, reset_acked; /* that frame, with this size */
    bool is_blocked;              /* STREAM_DATA_BLOCKED was queued for `limit` */
    bool blocked_app;             /* a send came short: report writable when there is room, */
    uint32_t low_water;           /* so many bytes of it; 0: as the send buffer is large */
    uint64_t limit;               /* the peer's MAX_STREAM_DATA */
    uint64_t stop_code, reset_code;
    uint64_t reliable_size;
};

/** A side that nothing was sent on, with the peer's first limit. */
struct stream_send neap_stream_send_of(uint64_t limit);
/** The peer's limit is a higher one. */
static inline void stream_send_raise(struct stream_send *s, uint64_t limit)
{
    s->limit = limit;
    s->is_blocked = false;
}
/** Whether the states allow STREAM frames: before a reset and before everything is acknowledged. */
static inline bool stream_send_is_live(const struct stream_send *s)
{
    return s->state == SEND_READY || s->state == SEND_SEND || s->state == SEND_DATA_SENT;
}
/** Whether the end of the stream is to be sent (again). */
bool neap_stream_send_owes_fin(const struct stream_send *s);
/** The next STREAM frame: at most `max` bytes, none at or above `limit`; may be only the end. False: nothing. */
bool neap_stream_send_next(const struct stream_send *s, uint64_t limit, size_t max, uint64_t *offset,
                           size_t *size, bool *fin);
/** That frame was written. Returns how many of its bytes were never sent before. */
uint64_t neap_stream_send_on_sent(struct stream_send *s, struct pool *pool, uint64_t offset, size_t size,
                                  bool fin);
void neap_stream_send_on_acked(struct stream_send *s, struct pool *pool, uint64_t offset, size_t size,
                               bool fin);
void neap_stream_send_on_lost(struct stream_send *s, struct pool *pool, uint64_t offset, size_t size,
                              bool fin);
/** Drop what is queued and go to SEND_RESET_SENT; false when it is too late for that. */
bool neap_stream_send_reset(struct stream_send *s, struct pool *pool, uint64_t code);
/** Drop what is queued at or above `reliable_size`, which is at most data.end and what it was before, and go on with what is
 * below. False when it is too late for that. */
bool neap_stream_send_reset_at(struct stream_send *s, struct pool *pool, uint64_t code,
                               uint64_t reliable_size);
/** Whether RESET_STREAM_AT can be written: its final size takes no credit then. */
bool neap_stream_send_may_reset_at(const struct stream_send *s);
void neap_stream_send_on_reset_at_sent(struct stream_send *s);
void neap_stream_send_on_reset_at_acked(struct stream_send *s, struct pool *pool, uint64_t reliable_size);
/** What of the bytes below `limit` is still delivered. */
static inline uint64_t stream_send_delivered(const struct stream_send *s, uint64_t limit)
{
    return s->resets && s->reliable_size < limit ? s->reliable_size : limit;
}
/** Whether bytes are to be sent that lie below `limit`. */
static inline bool stream_send_has_data(const struct stream_send *s, uint64_t limit)
{
    return send_buffer_has_data(&s->data, stream_send_delivered(s, limit));
}
/** RESET_STREAM was acknowledged. */
void neap_stream_send_on_reset_acked(struct stream_send *s);
/** Whether all was sent, or a reset (§3.1: from Data Sent and Reset Sent on); the peer may not have it yet. */
bool neap_stream_send_is_said(const struct stream_send *s);
/** Whether nothing can happen any more on this side. */
bool neap_stream_send_is_over(const struct stream_send *s);

#endif
