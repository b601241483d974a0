/* The framing of a chunked body (RFC 9112 §7.1), byte by byte in any fragmentation. */
#ifndef NEAP_TCP_HTTP1_CHUNKS_H
#define NEAP_TCP_HTTP1_CHUNKS_H

#include "base/failure.h"
#include "base/span.h"

enum chunk_state {
    CHUNK_SIZE_FIRST, /* the first digit of a size */
    CHUNK_SIZE_MORE,
    CHUNK_BLANK, /* before an extension */
    CHUNK_EXTENSION,
    CHUNK_SIZE_END, /* the LF behind a size */
    CHUNK_DATA,
    CHUNK_DATA_CR,
    CHUNK_DATA_LF,
    CHUNK_LAST, /* the last chunk was read: trailers follow */
};

/* Zeroed: before the first chunk. */
struct chunks {
    uint64_t left; /* bytes of data in this chunk */
    uint32_t extension_bytes;
    uint8_t state; /* enum chunk_state */
    uint8_t digits;
};

/** Go over framing: how many bytes of it are in front of `bytes`. It stops at data (CHUNK_DATA) and behind the last chunk
 * (CHUNK_LAST). -1 and the reason when it is none. */
int64_t neap_chunks_skip(struct chunks *c, struct span bytes, struct failure *why);

/** So many bytes of data were taken, at most c->left. */
static inline void chunks_take(struct chunks *c, uint64_t size)
{
    c->left -= size;
    if (c->left == 0)
        c->state = CHUNK_DATA_CR;
}

#endif
