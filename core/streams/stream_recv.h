/* The receiving side of one stream (RFC 9000 §3.2): reassembly in 2 KB chunks, final size, reset, read position. Also
 * the reassembly of CRYPTO data. */
#ifndef NEAP_STREAMS_STREAM_RECV_H
#define NEAP_STREAMS_STREAM_RECV_H

#include "base/failure.h"
#include "base/range_set.h"
#include "base/span.h"
#include "neap.h"

struct pool;

enum recv_state { RECV_OPEN, RECV_SIZE_KNOWN, RECV_COMPLETE, RECV_RESET, RECV_READ, RECV_RESET_READ };

/* Bytes at offsets, delivered in order: a directory of chunks over a sliding window. Memory follows what arrived, never
 * a declared offset: at most the chunks that hold received bytes, plus 8 bytes a chunk of window. */
struct reassembly {
    uint8_t **chunks;      /* ring of pointers, NULL where nothing arrived; grown as needed */
    uint32_t capacity, head; /* capacity in chunks; head: index of the chunk that holds `read` */
    struct range_set received; /* above `read`; bounded gaps */
    uint64_t read;         /* next offset to deliver */
};

void neap_reassembly_init(struct reassembly *a, uint32_t max_gaps);
/** Insert bytes; what was read or received before is ignored. 0, NEAP_ERR_LIMIT (too many gaps; nothing changed) or
 * NEAP_ERR_NO_MEMORY. The caller has checked the offset against its window. */
int neap_reassembly_insert(struct reassembly *a, struct pool *pool, uint64_t offset, struct span data);
/** Bytes that can be read now, up to the end of the chunk: a view valid until consume. Empty when none. */
struct span neap_reassembly_peek(const struct reassembly *a);
/** Bytes readable in order now. */
uint64_t neap_reassembly_ready(const struct reassembly *a);
void neap_reassembly_consume(struct reassembly *a, struct pool *pool, size_t size);
void neap_reassembly_free(struct reassembly *a, struct pool *pool);

struct stream_recv {
    struct reassembly data;
    uint8_t state;        /* enum recv_state */
    bool stop_sent;       /* the application does not want more: STOP_SENDING */
    uint64_t highest;     /* one past the largest offset received */
    uint64_t final_size;  /* valid unless RECV_OPEN */
    uint64_t reset_code;
    uint64_t window;      /* flow control: how far ahead of `read` the peer may send */
    uint64_t limit;       /* the MAX_STREAM_DATA that we announced last */
    neap_time window_grown_at;
};

#endif
