/* Certificate compression (RFC 8879) by zlib, where the build has it. All memory is the pool's, and what a peer can make it
 * cost is bounded: what comes out has the size that was declared, which is one handshake message of that peer's at most. */
#ifndef NEAP_TLS_COMPRESSION_H
#define NEAP_TLS_COMPRESSION_H

#include "base/span.h"

struct pool;

#define COMPRESSION_ZLIB 1u /* the algorithm's number (RFC 8879 §7.3) */

bool neap_compression_is_available(void);
/** Compress `in` into `size` bytes of room: how many were taken; 0 when they are too few, without memory, and without
 * zlib. */
size_t neap_compress(struct pool *pool, struct span in, uint8_t *out, size_t size);
/** Decompress into exactly `size` bytes. 0; NEAP_ERR_ARGUMENT when it is no zlib stream of so many, with nothing behind it;
 * NEAP_ERR_NO_MEMORY; NEAP_ERR_UNSUPPORTED without zlib. */
int neap_decompress(struct pool *pool, struct span in, uint8_t *out, size_t size);

#endif
