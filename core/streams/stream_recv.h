/* The receiving side of one stream (RFC 9000 §3.2): reassembly in chunks of 4 KB, final size, reset, read position. Also
 * the reassembly of CRYPTO data. */
#ifndef NEAP_STREAMS_STREAM_RECV_H
#define NEAP_STREAMS_STREAM_RECV_H

#include "base/failure.h"
#include "base/list.h"
#include "base/range_set.h"
#include "base/span.h"
#include "neap.h"
#include "streams/chunks.h"
#include "wire/frame.h"

struct pool;

enum recv_state { RECV_OPEN, RECV_SIZE_KNOWN, RECV_COMPLETE, RECV_RESET, RECV_READ, RECV_RESET_READ };

/* Bytes at offsets, delivered in order. Memory follows what arrived, never a declared offset; nothing is held when all
 * that arrived was read. */
struct reassembly {
    struct chunks chunks;
    uint64_t read;             /* next offset to deliver */
    uint64_t ready;            /* one past the last byte that can be: what comes in order moves this alone */
    struct range_set received; /* above `ready`, behind gaps; bounded */
};

void neap_reassembly_init(struct reassembly *a, uint32_t max_gaps);
/** Insert bytes; what was read or received before is ignored. 0, NEAP_ERR_LIMIT (too many gaps; nothing changed) or
 * NEAP_ERR_NO_MEMORY. The caller has checked the offset against its window. */
int neap_reassembly_insert(struct reassembly *a, struct pool *pool, uint64_t offset, struct span data);
/** Bytes that can be read now, up to the end of the chunk: a view valid until consume. Empty when none. */
struct span neap_reassembly_peek(const struct reassembly *a);
/** The same, as views of several chunks: how many bytes the *count views hold, `size` at most. */
size_t neap_reassembly_views(const struct reassembly *a, size_t size, neap_view *views, size_t *count);
/** Bytes readable in order now. */
uint64_t neap_reassembly_ready(const struct reassembly *a);
/** Whether a reader that waits gets on by this: nothing is ready, and it begins with, or contains, what is next. */
bool neap_reassembly_is_next(const struct reassembly *a, uint64_t offset, size_t size);
/** Whether any of it was not received before. */
bool neap_reassembly_is_news(const struct reassembly *a, uint64_t offset, size_t size);
/** `size` of the ready bytes were taken. */
void neap_reassembly_consume(struct reassembly *a, struct pool *pool, size_t size);
/** How many bytes of memory it has. */
size_t neap_reassembly_memory(const struct reassembly *a);
/** How many more that are when [offset, offset + size), which is in the window, is inserted; but for a few of ranges. */
size_t neap_reassembly_growth(const struct reassembly *a, uint64_t offset, size_t size);
/** Drop what is held and go on reading at `offset`. */
void neap_reassembly_discard(struct reassembly *a, struct pool *pool, uint64_t offset);
/** Give back all memory. */
void neap_reassembly_free(struct reassembly *a, struct pool *pool);

struct stream_recv {
    struct reassembly data; /* data.read counts what was read or discarded: flow control credit given back */
    uint8_t state;          /* enum recv_state */
    bool stop_sent;         /* the application does not want more, and looks at nothing: STOP_SENDING */
    bool resets;            /* RESET_STREAM_AT came: after reliable_size bytes it is over, with reset_code */
    bool stop_asked;        /* it asked the peer to stop, and looks at what comes until then */
    uint32_t counted;       /* memory of data as the connection and its budget have counted it */
    struct list_link readable_link; /* a mark for the application: in streams->readable */
    uint64_t highest; /* one past the largest offset received; unless RECV_OPEN the final size */
    uint64_t reset_code, stop_code;
    uint64_t window; /* flow control: how far ahead of `read` the peer may send */
    uint64_t limit;  /* the MAX_STREAM_DATA that we announced last */
    neap_time window_grown_at;
    uint64_t reliable_size;
};

/** A side that nothing was received on, with its first window. */
struct stream_recv neap_stream_recv_of(uint64_t window);
/** Whether data, or a final size, up to `end` may come (RFC 9000 §4.1, §4.5): 0, FINAL_SIZE_ERROR or
 * FLOW_CONTROL_ERROR. */
int neap_stream_recv_check(const struct stream_recv *r, uint64_t end, bool is_final, struct failure *why);
/** Take checked STREAM data. *news: the application has something new to read. 0, NEAP_ERR_LIMIT or
 * NEAP_ERR_NO_MEMORY, and then nothing changed. */
int neap_stream_recv_insert(struct stream_recv *r, struct pool *pool, uint64_t offset, struct span data,
                            bool fin, bool *news);
/** Take a checked RESET_STREAM; false when the state makes it meaningless (all was received, or reset before). */
bool neap_stream_recv_reset(struct stream_recv *r, struct pool *pool, uint64_t code, uint64_t final_size);
/** Take a checked RESET_STREAM_AT. *news: the application has something new to look at. 0; STREAM_STATE_ERROR when the code is
 * another than before. One that does not lower the reliable size changes nothing. */
int neap_stream_recv_reset_at(struct stream_recv *r, struct pool *pool, const struct frame_reset_stream *f,
                              bool *news, struct failure *why);
/** `size` of the ready bytes were taken: whether the stream is over by that, since no more of it is reliable. */
bool neap_stream_recv_consume(struct stream_recv *r, struct pool *pool, size_t size);
/** Copy what can be read; *end when that was all and the end was reached. */
size_t neap_stream_recv_read(struct stream_recv *r, struct pool *pool, uint8_t *out, size_t size, bool *end);
/** The application has learnt of the reset. */
void neap_stream_recv_reset_read(struct stream_recv *r);
/** The application wants no more: drop what is held, and what will come. */
void neap_stream_recv_stop(struct stream_recv *r, struct pool *pool, uint64_t code);
/** Whether the application waits for something that is there: bytes, the end, a reset. */
bool neap_stream_recv_is_readable(const struct stream_recv *r);
/** Whether nothing can happen any more on this side. */
bool neap_stream_recv_is_over(const struct stream_recv *r);

#endif
