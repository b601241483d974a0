/* CompressedCertificate (RFC 8879): a Certificate that is smaller on its way, in both directions. */
#include "base/pool.h"
#include "base/reader.h"
#include "tls/compression.h"
#include "tls/hello.h"
#include "tls/state.h"

#define FIELDS 8u /* algorithm, uncompressed_length, length of what follows */

bool neap_tls_compresses(const struct tls_config *config)
{
    return config->compression && neap_compression_is_available();
}

void neap_tls_write_compression(const struct tls_config *config, struct writer *w)
{
    if (!neap_tls_compresses(config))
        return;
    write_u16(w, NUMBER_COMPRESS_CERTIFICATE);
    write_u16(w, 3);
    write_u8(w, 2);
    write_u16(w, COMPRESSION_ZLIB);
}

int neap_tls_read_compression(const struct extensions *ext, bool *takes_zlib, struct failure *why)
{
    struct reader r = reader_of(ext->data[EXT_COMPRESS_CERTIFICATE]);

    *takes_zlib = false;
    if (!extension_present(ext, EXT_COMPRESS_CERTIFICATE))
        return 0;
    struct span algorithms = read_vector(&r, 1);
    if (r.bad || reader_left(&r) > 0 || algorithms.size < 2 || algorithms.size % 2)
        return neap_tls_alert(why, ALERT_DECODE_ERROR, "compress_certificate of a wrong form");
    *takes_zlib = neap_hello_lists(algorithms, COMPRESSION_ZLIB);
    return 0;
}

/* ---- ours */

/* The body of the message, in a room of the pool's of exactly its size; empty when it would not be smaller. */
static struct span compress(const struct tls *tls)
{
    struct pool *pool = tls->config->pool;
    size_t size = neap_tls_certificate_size(tls) - MESSAGE_HEADER;
    struct span made = {0};

    if (size <= FIELDS)
        return made;
    uint8_t *plain = neap_pool_alloc(pool, size), *packed = neap_pool_alloc(pool, size);
    if (plain && packed) {
        struct writer w = writer_of(plain, size);
        neap_tls_write_certificate_body(tls, &w);
        size_t taken = neap_compress(pool, span_of(plain, size), packed + FIELDS, size - FIELDS);
        uint8_t *kept = taken ? neap_pool_alloc_lasting(pool, FIELDS + taken) : NULL;
        if (kept) {
            w = writer_of(kept, FIELDS + taken);
            write_u16(&w, COMPRESSION_ZLIB);
            write_u24(&w, (uint32_t)size);
            write_u24(&w, (uint32_t)taken);
            write_bytes(&w, packed + FIELDS, taken);
            made = span_of(kept, FIELDS + taken);
        }
    }
    neap_pool_free(pool, plain, size);
    neap_pool_free(pool, packed, size);
    return made;
}

struct span neap_tls_compressed_certificate(const struct tls *tls)
{
    struct span made;
    bool with_staple = neap_tls_staple(tls).size > 0;

    if (!tls->peer_decompresses || !tls->identity || !neap_tls_compresses(tls->config))
        return (struct span){0};
    /* Once for all handshakes. What failed for lack of memory is not tried again: it is as good without. */
    if (!neap_identity_compressed(tls->identity, with_staple, &made)) {
        made = compress(tls);
        neap_identity_set_compressed(tls->identity, with_staple, made);
    }
    return made;
}

/* ---- the peer's */

static int bad_certificate(struct failure *why, const char *reason)
{
    return neap_tls_alert(why, ALERT_BAD_CERTIFICATE, reason);
}

int neap_tls_on_compressed_certificate(struct tls *tls, struct span message, struct failure *why)
{
    struct reader r = reader_of(span_of(message.data + MESSAGE_HEADER, message.size - MESSAGE_HEADER));
    struct pool *pool = tls->config->pool;
    size_t most = tls->is_client ? LIMIT_TLS_MESSAGE : LIMIT_CLIENT_CERTIFICATES;

    uint16_t algorithm = read_u16(&r);
    size_t size = read_u24(&r);
    struct span packed = read_vector(&r, 3);
    if (r.bad || reader_left(&r) > 0 || packed.size == 0)
        return neap_tls_alert(why, ALERT_DECODE_ERROR, "CompressedCertificate of a wrong form");
    if (!neap_tls_compresses(tls->config))
        return neap_tls_alert(why, ALERT_UNEXPECTED_MESSAGE, "CompressedCertificate that was not asked for");
    if (algorithm != COMPRESSION_ZLIB)
        return neap_tls_alert(why, ALERT_ILLEGAL_PARAMETER, "compression that was not offered");
    if (size == 0 || size > most - MESSAGE_HEADER)
        return bad_certificate(why, "compressed Certificate above the limit");
    uint8_t *body = neap_pool_alloc_unset(pool, size);
    if (!body)
        return neap_tls_no_memory(why);
    int rc = neap_decompress(pool, packed, body, size);
    if (rc == 0)
        rc = neap_tls_take_certificate(tls, span_of(body, size), message, why);
    else if (rc == NEAP_ERR_NO_MEMORY)
        rc = neap_tls_no_memory(why);
    else
        rc = bad_certificate(why, "compressed Certificate that is none of the length it says");
    neap_pool_free(pool, body, size);
    return rc;
}
