/* The Huffman code of QPACK strings (RFC 9204 §4.1.2, RFC 7541 §5.2). */
#ifndef NEAP_HTTP_HUFFMAN_H
#define NEAP_HTTP_HUFFMAN_H

#include "base/span.h"
#include "base/writer.h"

/** Write `text` encoded, padded with the first bits of EOS. Where the room is too small w->full says so. */
void neap_huffman_encode(struct writer *w, struct span text);

/** The most bytes that `size` encoded bytes can become: the shortest code has 5 bits. */
static inline size_t huffman_decoded_max(size_t size)
{
    return size * 8 / 5;
}

/** Decode into `out`. False when the code is invalid, holds EOS, has padding of 8 bits or more or of other bits than
 * ones; or when the room is full: then w->full says so. */
bool neap_huffman_decode(struct writer *out, struct span encoded);

#endif
