/* The sending side of one stream (RFC 9000 §3.1): bytes kept in 2 KB chunks until acknowledged, what is lost is sent
 * again first. */
#ifndef NEAP_STREAMS_STREAM_SEND_H
#define NEAP_STREAMS_STREAM_SEND_H

#include "base/range_set.h"
#include "base/span.h"
#include "neap.h"

struct pool;

enum send_state { SEND_READY, SEND_SEND, SEND_DATA_SENT, SEND_DATA_RECVD, SEND_RESET_SENT, SEND_RESET_RECVD };

/* Bytes queued from `base` to `end`; a ring of chunk pointers. Also the sending side of CRYPTO data. */
struct send_buffer {
    uint8_t **chunks;
    uint32_t capacity, head;
    uint64_t base;           /* everything below is acknowledged and freed */
    uint64_t end;            /* one past the last byte queued */
    uint64_t next;           /* next byte that was never sent */
    struct range_set acked;  /* acknowledged above base */
    struct range_set lost;   /* to be sent again */
};

void neap_send_buffer_init(struct send_buffer *b);
/** Queue bytes: how many were taken (less than all when the pool says no). */
size_t neap_send_buffer_append(struct send_buffer *b, struct pool *pool, struct span data);
/** What to send next, lost bytes first: offset and size up to `max` (fresh bytes not beyond `limit`). False: nothing.
 */
bool neap_send_buffer_next(const struct send_buffer *b, uint64_t limit, size_t max, uint64_t *offset, size_t *size);
/** Copy [offset, offset+size) out of the chunks. */
void neap_send_buffer_copy(const struct send_buffer *b, uint64_t offset, uint8_t *out, size_t size);
/** They were put into a packet. */
void neap_send_buffer_sent(struct send_buffer *b, struct pool *pool, uint64_t offset, size_t size);
void neap_send_buffer_acked(struct send_buffer *b, struct pool *pool, uint64_t offset, size_t size);
void neap_send_buffer_lost(struct send_buffer *b, struct pool *pool, uint64_t offset, size_t size);
/** Everything that was sent and not acknowledged becomes lost (Retry, 0-RTT rejected, probes). */
void neap_send_buffer_lose_all(struct send_buffer *b, struct pool *pool);
bool neap_send_buffer_has_data(const struct send_buffer *b, uint64_t limit);
void neap_send_buffer_free(struct send_buffer *b, struct pool *pool);

struct stream_send {
    struct send_buffer data;
    uint8_t state;       /* enum send_state */
    bool fin_queued, fin_sent, fin_acked, fin_lost;
    bool stopped;        /* the peer sent STOP_SENDING */
    bool blocked_app;    /* a send came short: report writable when there is room */
    uint64_t limit;      /* the peer's MAX_STREAM_DATA */
    uint64_t blocked_at; /* the limit for which STREAM_DATA_BLOCKED was queued, + 1; 0 none */
    uint64_t stop_code, reset_code;
};

#endif
