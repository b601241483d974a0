/* CRYPTO data of one level (RFC 9000 §7.5): no flow control, so the bound is ours. */
#include "streams/crypto_stream.h"

#include "base/limits.h"
#include "base/pool.h"

void neap_crypto_stream_init(struct crypto_stream *c)
{
    neap_reassembly_init(&c->recv, LIMIT_CRYPTO_GAPS);
    neap_send_buffer_init(&c->send);
}

/* Sums of it do not overflow: nothing of a packet is larger. */
static bool is_too_far(const struct crypto_stream *c, const struct frame_crypto *f)
{
    return f->offset > VARINT_MAX || f->offset + f->data.size > c->recv.read + LIMIT_CRYPTO_BUFFER;
}

size_t neap_crypto_stream_growth(const struct crypto_stream *c, const struct frame_crypto *f)
{
    size_t growth = is_too_far(c, f) ? 0 : neap_reassembly_growth(&c->recv, f->offset, f->data.size);

    return growth > f->data.size ? growth : f->data.size;
}

int neap_crypto_stream_on_crypto(struct crypto_stream *c, struct pool *pool, const struct frame_crypto *f,
                                 struct failure *why)
{
    if (f->offset > VARINT_MAX || f->data.size > VARINT_MAX - f->offset)
        return neap_fail(why, NEAP_FRAME_ENCODING_ERROR, "CRYPTO past 2^62-1");
    if (is_too_far(c, f))
        return neap_fail(why, NEAP_CRYPTO_BUFFER_EXCEEDED, "CRYPTO too far ahead");
    int error = neap_reassembly_insert(&c->recv, pool, f->offset, f->data);
    if (error == NEAP_ERR_LIMIT)
        return neap_fail(why, NEAP_CRYPTO_BUFFER_EXCEEDED, "too many gaps in CRYPTO data");
    return error;
}

bool neap_crypto_stream_write(struct crypto_stream *c, struct pool *pool, struct writer *w, uint64_t *offset,
                              size_t *size)
{
    size_t left = writer_left(w);

    if (!neap_send_buffer_next(&c->send, UINT64_MAX, left, offset, size))
        return false;
    size_t header = neap_crypto_header_size(*offset, *size);
    if (left <= header)
        return false;
    if (*size > left - header)
        *size = left - header;
    neap_write_crypto_header(w, *offset, *size);
    neap_send_buffer_copy(&c->send, *offset, write_room(w, *size), *size);
    neap_send_buffer_sent(&c->send, pool, *offset, *size);
    return true;
}

void neap_crypto_stream_free(struct crypto_stream *c, struct pool *pool)
{
    neap_reassembly_free(&c->recv, pool);
    neap_send_buffer_free(&c->send, pool);
}
