/* Handshake messages put together from bytes in any fragmentation (RFC 8446 §4). Only what arrived is stored, never
 * what a length promises, and a message that arrived whole is not copied. */
#ifndef NEAP_TLS_ASSEMBLY_H
#define NEAP_TLS_ASSEMBLY_H

#include "base/failure.h"
#include "base/span.h"

struct pool;

#define MESSAGE_HEADER 4u /* type and 24-bit length */

/* The beginning of a message that is not whole yet. All zero: nothing. */
struct assembly {
    uint8_t *data;
    uint32_t size, room; /* at most twice what a message may have */
};

/** Move bytes from the front of *in until a message is whole: then 1 and *message is header and body, valid until
 * neap_assembly_done. 0: *in is empty and more is needed. NEAP_ERR_NO_MEMORY, or illegal_parameter for a message
 * of more than `most` bytes with its header. */
int neap_assembly_next(struct assembly *a, struct pool *pool, size_t most, struct span *in,
                       struct span *message, struct failure *why);
/** The message was read: its room is given back. */
void neap_assembly_done(struct assembly *a, struct pool *pool);

#endif
