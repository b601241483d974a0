/* Sizes, extensions and line ends of chunks. */
#include "tcp/http1_chunks.h"

#include "base/limits.h"
#include "neap.h"

#define SIZE_DIGITS 15u /* of 16: what is not below 2^60 is no body */

static int hex_digit(uint8_t byte)
{
    if (byte >= '0' && byte <= '9')
        return byte - '0';
    byte |= 0x20;
    return byte >= 'a' && byte <= 'f' ? byte - 'a' + 10 : -1;
}

/* What a size is followed by. */
static enum chunk_state after_size(uint8_t byte)
{
    switch (byte) {
    case '\r': return CHUNK_SIZE_END;
    case ';': return CHUNK_EXTENSION;
    case ' ':
    case '\t': return CHUNK_BLANK;
    default: return CHUNK_SIZE_FIRST; /* nothing that may be there */
    }
}

/* The next state for a byte of an extension; CHUNK_SIZE_FIRST: it has no place there. */
static enum chunk_state in_extension(struct chunks *c, uint8_t byte)
{
    if (byte == '\r' && c->state == CHUNK_EXTENSION)
        return CHUNK_SIZE_END;
    if (++c->extension_bytes > LIMIT_HTTP1_EXTENSIONS)
        return CHUNK_SIZE_FIRST;
    if (c->state == CHUNK_BLANK)
        return byte == ';' ? CHUNK_EXTENSION : byte == ' ' || byte == '\t' ? CHUNK_BLANK : CHUNK_SIZE_FIRST;
    return (byte >= ' ' && byte != 0x7f) || byte == '\t' ? CHUNK_EXTENSION : CHUNK_SIZE_FIRST;
}

static int fail(struct failure *why, const char *reason)
{
    return neap_fail(why, NEAP_H3_MESSAGE_ERROR, reason);
}

static int on_size(struct chunks *c, uint8_t byte, struct failure *why)
{
    int digit = hex_digit(byte);

    if (digit >= 0) {
        if (++c->digits > SIZE_DIGITS)
            return fail(why, "chunk too large");
        c->left = c->left << 4 | (unsigned)digit;
        c->state = CHUNK_SIZE_MORE;
        return NEAP_OK;
    }
    if (c->state == CHUNK_SIZE_FIRST || (c->state = (uint8_t)after_size(byte)) == CHUNK_SIZE_FIRST)
        return fail(why, "chunk size is no number");
    return NEAP_OK;
}

static int on_byte(struct chunks *c, uint8_t byte, struct failure *why)
{
    switch ((enum chunk_state)c->state) {
    case CHUNK_SIZE_FIRST:
    case CHUNK_SIZE_MORE: return on_size(c, byte, why);
    case CHUNK_BLANK:
    case CHUNK_EXTENSION:
        c->state = (uint8_t)in_extension(c, byte);
        return c->state == CHUNK_SIZE_FIRST ? fail(why, "invalid chunk extension") : NEAP_OK;
    case CHUNK_SIZE_END:
        c->state = c->left > 0 ? CHUNK_DATA : CHUNK_LAST;
        return byte == '\n' ? NEAP_OK : fail(why, "chunk size without its end of line");
    case CHUNK_DATA_CR:
        c->state = CHUNK_DATA_LF;
        return byte == '\r' ? NEAP_OK : fail(why, "chunk longer than its size");
    case CHUNK_DATA_LF:
        c->state = CHUNK_SIZE_FIRST;
        c->digits = 0;
        return byte == '\n' ? NEAP_OK : fail(why, "chunk without its end of line");
    case CHUNK_DATA:
    case CHUNK_LAST: break;
    }
    return NEAP_OK;
}

int64_t neap_chunks_skip(struct chunks *c, struct span bytes, struct failure *why)
{
    size_t at = 0;

    while (at < bytes.size && c->state != CHUNK_DATA && c->state != CHUNK_LAST) {
        if (on_byte(c, bytes.data[at++], why))
            return -1;
    }
    return (int64_t)at;
}
