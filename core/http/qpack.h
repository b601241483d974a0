/* QPACK (RFC 9204) with the static table, Huffman and literals. The dynamic table is announced with capacity 0: whatever
 * of the peer's would need one is the error that RFC 9204 names. */
#ifndef NEAP_HTTP_QPACK_H
#define NEAP_HTTP_QPACK_H

#include "base/failure.h"
#include "base/span.h"
#include "base/writer.h"
#include "neap.h"

struct pool;

/* A decoded field section: names and values point into `text` or are static. The rooms stay for the next one. */
struct field_list {
    neap_field *fields;
    uint32_t count, capacity;
    uint8_t *text;
    size_t text_capacity;
    char *cookie; /* of several lines, made one */
    size_t cookie_size;
};

/** Decode a whole encoded field section into a list that is empty. `max_size` bounds the sum of name + value + 32
 * (RFC 9114 §4.2.2), checked while decoding. 0, NEAP_QPACK_DECOMPRESSION_FAILED, NEAP_ERR_LIMIT (too large or too many lines) or
 * NEAP_ERR_NO_MEMORY; on failure the list is empty and needs no free. */
int neap_qpack_decode(struct field_list *list, struct pool *pool, struct span section, uint64_t max_size,
                      struct failure *why);

/** Forget the section; rooms of ordinary size stay. */
void neap_field_list_clear(struct field_list *list, struct pool *pool);

/** Give back everything. */
void neap_field_list_free(struct field_list *list, struct pool *pool);

/** Room that neap_qpack_encode needs at most. */
size_t neap_qpack_encode_max(const neap_field *fields, size_t count);

/** Write an encoded field section; lines that are never_indexed stay literals. */
void neap_qpack_encode(struct writer *w, const neap_field *fields, size_t count);

/** Bytes of the peer's encoder stream, in any fragmentation: 0 or NEAP_QPACK_ENCODER_STREAM_ERROR. *count instructions
 * ended in them; without a dynamic table they say nothing, here and below. */
int neap_qpack_on_encoder_stream(struct span bytes, size_t *count, struct failure *why);

/* An instruction of the peer's decoder stream that has arrived in part. Zeroed: none. */
struct qpack_decoder_stream {
    uint64_t value;
    uint8_t bytes;
};

/** Bytes of the peer's decoder stream, in any fragmentation: 0 or NEAP_QPACK_DECODER_STREAM_ERROR. */
int neap_qpack_on_decoder_stream(struct qpack_decoder_stream *s, struct span bytes, size_t *count,
                                 struct failure *why);

#endif
