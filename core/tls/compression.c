#include "tls/compression.h"

#include "neap.h"

#ifdef NEAP_HAVE_ZLIB

#include "base/pool.h"

#include <zlib.h>

/* Before each block its size, which the pool wants to hear again. */
#define BLOCK_HEADER 16u

static voidpf take(voidpf pool, uInt items, uInt size)
{
    size_t whole = BLOCK_HEADER + (size_t)items * size;
    uint8_t *block = neap_pool_alloc_unset(pool, whole);

    if (!block)
        return Z_NULL;
    memcpy(block, &whole, sizeof whole);
    return block + BLOCK_HEADER;
}

static void give_back(voidpf pool, voidpf pointer)
{
    uint8_t *block = (uint8_t *)pointer - BLOCK_HEADER;
    size_t whole;

    memcpy(&whole, block, sizeof whole);
    neap_pool_free(pool, block, whole);
}

static z_stream stream_of(struct pool *pool, struct span in, uint8_t *out, size_t size)
{
    return (z_stream){.zalloc = take,
                      .zfree = give_back,
                      .opaque = pool,
                      .next_in = (Bytef *)(uintptr_t)in.data,
                      .avail_in = (uInt)in.size,
                      .next_out = out,
                      .avail_out = (uInt)size};
}

/* A window as large as the message. */
static int window_bits(size_t size)
{
    int bits = 9;

    while (bits < MAX_WBITS && ((size_t)1 << bits) < size)
        bits++;
    return bits;
}

#define TABLE_LEVEL 1 /* 1 KiB of tables: chains have 1 to 8 KiB, and larger tables make them no smaller */

bool neap_compression_is_available(void)
{
    return true;
}

size_t neap_compress(struct pool *pool, struct span in, uint8_t *out, size_t size)
{
    z_stream z = stream_of(pool, in, out, size);

    if (deflateInit2(&z, Z_BEST_COMPRESSION, Z_DEFLATED, window_bits(in.size), TABLE_LEVEL,
                     Z_DEFAULT_STRATEGY) != Z_OK)
        return 0;
    bool is_whole = deflate(&z, Z_FINISH) == Z_STREAM_END;
    size_t taken = size - z.avail_out;
    deflateEnd(&z);
    return is_whole ? taken : 0;
}

int neap_decompress(struct pool *pool, struct span in, uint8_t *out, size_t size)
{
    z_stream z = stream_of(pool, in, out, size);
    int rc = inflateInit2(&z, MAX_WBITS);

    if (rc != Z_OK)
        return NEAP_ERR_NO_MEMORY;
    /* In one call, so that what came out already is the window. */
    rc = inflate(&z, Z_FINISH);
    bool is_exact = rc == Z_STREAM_END && z.avail_in == 0 && z.avail_out == 0;
    inflateEnd(&z);
    return rc == Z_MEM_ERROR ? NEAP_ERR_NO_MEMORY : is_exact ? 0 : NEAP_ERR_ARGUMENT;
}

#else

bool neap_compression_is_available(void)
{
    return false;
}

size_t neap_compress(struct pool *pool, struct span in, uint8_t *out, size_t size)
{
    (void)pool;
    (void)in;
    (void)out;
    (void)size;
    return 0;
}

int neap_decompress(struct pool *pool, struct span in, uint8_t *out, size_t size)
{
    (void)pool;
    (void)in;
    (void)out;
    (void)size;
    return NEAP_ERR_UNSUPPORTED;
}

#endif
