/* The CRYPTO stream of one encryption level (RFC 9000 §7.5, §19.6): both directions, bounded. */
#ifndef NEAP_STREAMS_CRYPTO_STREAM_H
#define NEAP_STREAMS_CRYPTO_STREAM_H

#include "streams/stream_recv.h"
#include "streams/stream_send.h"
#include "wire/frame.h"

struct crypto_stream {
    struct reassembly recv;
    struct send_buffer send;
};

void neap_crypto_stream_init(struct crypto_stream *c);
/** CRYPTO_BUFFER_EXCEEDED beyond LIMIT_CRYPTO_BUFFER ahead of what was read, or too many gaps. NEAP_ERR_NO_MEMORY: nothing
 * has changed, and the frame may come again. */
int neap_crypto_stream_on_crypto(struct crypto_stream *c, struct pool *pool, const struct frame_crypto *f,
                                 struct failure *why);
/** How many bytes of memory the frame takes, beside its own in a message; that many alone where it will be refused. */
size_t neap_crypto_stream_growth(const struct crypto_stream *c, const struct frame_crypto *f);
/** Write one CRYPTO frame into `w`; true when one was written (offset and size told). */
bool neap_crypto_stream_write(struct crypto_stream *c, struct pool *pool, struct writer *w, uint64_t *offset,
                              size_t *size);
void neap_crypto_stream_free(struct crypto_stream *c, struct pool *pool);

#endif
