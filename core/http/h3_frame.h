/* HTTP/3 frames (RFC 9114 §7): a header of two varints, then a payload, in any fragmentation. */
#ifndef NEAP_HTTP_H3_FRAME_H
#define NEAP_HTTP_H3_FRAME_H

#include "base/span.h"
#include "base/writer.h"

struct pool;

enum h3_frame_type {
    H3_DATA = 0x00,
    H3_HEADERS = 0x01,
    H3_CANCEL_PUSH = 0x03,
    H3_SETTINGS = 0x04,
    H3_PUSH_PROMISE = 0x05,
    H3_GOAWAY = 0x07,
    H3_MAX_PUSH_ID = 0x0d,
    H3_PRIORITY_UPDATE_REQUEST = 0xf0700, /* RFC 9218 §7.2 */
    H3_PRIORITY_UPDATE_PUSH = 0xf0701,
};

#define H3_FRAME_HEAD_MAX 16u /* two varints of 8 bytes */
#define H3_DATA_HEAD 5u       /* of a DATA frame whose length is known after its bytes: it has 4 bytes, */
#define H3_DATA_HEAD_LENGTH_MAX ((1u << 30) - 1) /* which hold so much */

/** Types of HTTP/2 frames that HTTP/3 does not have (RFC 9114 §7.2.8): their receipt is an error. */
static inline bool h3_frame_is_reserved(uint64_t type)
{
    return type == 0x02 || type == 0x06 || type == 0x08 || type == 0x09;
}

/* Where in its frames a stream is. */
struct h3_frame_reader {
    union {
        struct { /* in_payload: of the frame, of which `left` bytes are to come */
            uint64_t type, left;
        };
        uint8_t head[H3_FRAME_HEAD_MAX]; /* else: head_size bytes of a header that has arrived in part */
    };
    uint8_t head_size;
    bool in_payload;
};

/** Take bytes of a frame header: how many. r->in_payload tells that it is complete. */
size_t neap_h3_frame_read_head(struct h3_frame_reader *r, struct span bytes);

/** Whether the stream may not end here: inside a frame (RFC 9114 §7.1). */
static inline bool h3_frame_is_cut(const struct h3_frame_reader *r)
{
    return r->in_payload || r->head_size > 0;
}

static inline size_t h3_frame_head_size(uint64_t type, uint64_t size)
{
    return varint_size(type) + varint_size(size);
}

static inline void write_h3_frame_head(struct writer *w, uint64_t type, uint64_t size)
{
    write_varint(w, type);
    write_varint(w, size);
}

/* A payload that is needed in one piece, as much of it as has arrived. Memory grows with what arrived, not with the
 * length that the header declares. */
struct h3_payload {
    uint8_t *bytes;
    size_t size, capacity;
};

enum h3_collected { H3_COLLECTED_PART, H3_COLLECTED_ALL, H3_COLLECTED_NO_MEMORY };

/** Take payload bytes from `view`: *used of them. H3_COLLECTED_ALL: the payload is complete in *whole, which points into
 * the view or the payload's memory. The caller has bounded reader->left. */
enum h3_collected neap_h3_payload_collect(struct h3_payload *p, struct pool *pool,
                                          struct h3_frame_reader *reader, struct span view, size_t *used,
                                          struct span *whole);

void neap_h3_payload_free(struct h3_payload *p, struct pool *pool);

#endif
