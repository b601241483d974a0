/* Writing field sections (RFC 9204 §4.5) and the peer's decoder stream (§4.4). */
#include "http/huffman.h"
#include "http/qpack.h"
#include "http/qpack_static.h"

#define PREFIX_SIZE 2u
#define INTEGER_MAX 10u /* bytes of a prefixed integer of 62 bits */
#define INTEGER_CONTINUATION 9u

/* An integer behind the `bits` prefix bits of a byte whose other bits are `high` (RFC 9204 §4.1.1). */
static void write_integer(struct writer *w, uint8_t high, unsigned bits, uint64_t value)
{
    uint64_t mask = (1u << bits) - 1;

    if (value < mask) {
        write_u8(w, (uint8_t)(high | value));
        return;
    }
    write_u8(w, (uint8_t)(high | mask));
    for (value -= mask; value >= 0x80; value >>= 7)
        write_u8(w, (uint8_t)(value | 0x80));
    write_u8(w, (uint8_t)value);
}

/* Bytes that write_integer needs. */
static size_t integer_size(unsigned bits, uint64_t value)
{
    uint64_t mask = (1u << bits) - 1;
    size_t size = 1;

    if (value < mask)
        return size;
    for (value -= mask; value >= 0x80; value >>= 7)
        size++;
    return size + 1;
}

/* A string with the Huffman bit just above its length's prefix; the shorter form wins. It is encoded behind the room for
 * its length, as if that were the text's. */
static void write_string(struct writer *w, uint8_t high, unsigned bits, struct span text)
{
    size_t ahead = integer_size(bits, text.size);
    struct writer encoded = *w;
    uint8_t *room = write_room(&encoded, ahead + text.size);

    if (room && text.size) {
        encoded = writer_of(room + ahead, text.size - 1);
        neap_huffman_encode(&encoded, text);
    }
    if (!room || !text.size || encoded.full) {
        write_integer(w, high, bits, text.size);
        write_span(w, text);
        return;
    }
    size_t size = writer_size(&encoded);
    write_integer(w, (uint8_t)(high | 1u << bits), bits, size);
    uint8_t *to = write_room(w, size);
    if (to != room + ahead)
        memmove(to, room + ahead, size);
}

static void write_line(struct writer *w, const neap_field *field)
{
    struct span name = span_of(field->name, field->name_size);
    struct span value = span_of(field->value, field->value_size);
    struct static_match match = neap_qpack_static_find(name, value);

    if (match.exact >= 0 && !field->never_indexed) {
        write_integer(w, 0xc0, 6, (uint64_t)match.exact);
        return;
    }
    if (match.name >= 0)
        write_integer(w, field->never_indexed ? 0x70 : 0x50, 4, (uint64_t)match.name);
    else
        write_string(w, field->never_indexed ? 0x30 : 0x20, 3, name);
    write_string(w, 0, 7, value);
}

size_t neap_qpack_encode_max(const neap_field *fields, size_t count)
{
    size_t size = PREFIX_SIZE;

    for (size_t i = 0; i < count; i++)
        size += fields[i].name_size + fields[i].value_size + 2 * INTEGER_MAX;
    return size;
}

void neap_qpack_encode(struct writer *w, const neap_field *fields, size_t count)
{
    write_u16(w, 0); /* Required Insert Count 0, Base 0 */
    for (size_t i = 0; i < count; i++)
        write_line(w, &fields[i]);
}

int neap_qpack_on_decoder_stream(struct qpack_decoder_stream *s, struct span bytes, size_t *count,
                                 struct failure *why)
{
    *count = 0;
    for (size_t i = 0; i < bytes.size; i++) {
        uint8_t byte = bytes.data[i];
        if (s->bytes == 0) {
            if (byte & 0x80)
                return neap_fail(why, NEAP_QPACK_DECODER_STREAM_ERROR,
                                 "acknowledged a section without references");
            if (!(byte & 0x40))
                return neap_fail(why, NEAP_QPACK_DECODER_STREAM_ERROR, "insert count that was never sent");
            /* Stream Cancellation: any stream may be named, there is nothing to forget for it. */
            s->value = byte & 0x3f;
            s->bytes = s->value == 0x3f;
            *count += s->bytes == 0;
            continue;
        }
        s->value += (uint64_t)(byte & 0x7f) << (7 * (s->bytes - 1));
        if (s->value > VARINT_MAX || (byte & 0x80 && s->bytes == INTEGER_CONTINUATION))
            return neap_fail(why, NEAP_QPACK_DECODER_STREAM_ERROR, "integer too large");
        s->bytes = byte & 0x80 ? (uint8_t)(s->bytes + 1) : 0;
        *count += s->bytes == 0;
    }
    return NEAP_OK;
}
