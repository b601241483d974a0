/* Packet headers (RFC 8999 §5, RFC 9000 §17) and packet number compression (RFC 9000 §17.1, A.2, A.3). */
#include "wire/header.h"

#include "base/limits.h"

#include <assert.h>

#define FORM_LONG 0x80u
#define UNUSED_BITS 0x7fu
#define KEY_PHASE_BIT 0x04u
#define TYPE_SHIFT 4
#define RETRY_TAG 16u
#define LENGTH_SIZE 2u

static enum neap_packet_type type_of(const struct version *version, uint8_t first)
{
    uint8_t bits = first >> TYPE_SHIFT & 3;
    enum neap_packet_type type = NEAP_PACKET_INITIAL;

    while (type < NEAP_PACKET_RETRY && version->type_bits[type] != bits)
        type++;
    return type;
}

/* The token of a Retry is what stands before its tag; one without a token is to be discarded (RFC 9000 §17.2.5.2). */
static int parse_retry(struct reader *r, struct packet_header *h)
{
    size_t left = reader_left(r);

    if (left <= RETRY_TAG)
        return NEAP_ERR_INVALID_PACKET;
    h->token = read_bytes(r, left - RETRY_TAG);
    h->retry_tag = read_bytes(r, RETRY_TAG);
    return NEAP_OK;
}

static int parse_numbered(struct reader *r, const uint8_t *start, struct packet_header *h)
{
    if (h->type == NEAP_PACKET_INITIAL)
        h->token = read_bytes(r, read_varint(r));
    uint64_t length = read_varint(r);

    if (r->bad || length > reader_left(r))
        return NEAP_ERR_INVALID_PACKET;
    h->number_at = (size_t)(r->at - start);
    h->size = h->number_at + (size_t)length;
    return NEAP_OK;
}

/* What a version other than ours means by the rest of its header is unknown: only the invariants are read. */
static int parse_long(struct span bytes, struct reader *r, struct packet_header *h)
{
    h->version = read_u32(r);
    h->dcid = read_vector(r, 1);
    h->scid = read_vector(r, 1);
    if (r->bad)
        return NEAP_ERR_INVALID_PACKET;
    if (h->version == 0) {
        h->type = NEAP_PACKET_VERSION_NEGOTIATION;
        h->versions = read_rest(r);
        /* RFC 8999 §6: none or a truncated one is to be ignored. */
        return h->versions.size == 0 || h->versions.size % 4 ? NEAP_ERR_INVALID_PACKET : NEAP_OK;
    }
    const struct version *version = neap_version_find(h->version);
    if (!version)
        return NEAP_ERR_UNKNOWN_VERSION;
    if (h->dcid.size > LIMIT_CONNECTION_ID || h->scid.size > LIMIT_CONNECTION_ID)
        return NEAP_ERR_INVALID_PACKET;
    h->type = type_of(version, bytes.data[0]);
    return h->type == NEAP_PACKET_RETRY ? parse_retry(r, h) : parse_numbered(r, bytes.data, h);
}

int neap_packet_header_parse(struct span bytes, size_t short_dcid_size, struct packet_header *out)
{
    struct reader r = reader_of(bytes);
    struct packet_header h = {.size = bytes.size};
    uint8_t first = read_u8(&r);
    int error;

    if (r.bad)
        return NEAP_ERR_INVALID_PACKET;
    if (first & FORM_LONG) {
        error = parse_long(bytes, &r, &h);
        if (error && error != NEAP_ERR_UNKNOWN_VERSION)
            return error;
        *out = h;
        return error;
    }
    h.type = NEAP_PACKET_SHORT;
    h.dcid = read_bytes(&r, short_dcid_size);
    if (r.bad)
        return NEAP_ERR_INVALID_PACKET;
    h.number_at = 1 + short_dcid_size;
    *out = h;
    return NEAP_OK;
}

/* RFC 9000 A.2: the range of the encoding has to be more than twice the distance to what was acknowledged. */
size_t neap_packet_number_size(uint64_t number, uint64_t largest_acked)
{
    uint64_t distance = largest_acked == UINT64_MAX ? number + 1 : number - largest_acked;

    /* Without a branch, as all that is done with numbers (RFC 9001 §9.5). */
    return (size_t)1 + (distance > 0x80) + (distance > 0x8000) + (distance > 0x800000);
}

/* RFC 9000 A.3. */
uint64_t neap_packet_number_expand(uint64_t truncated, size_t size, uint64_t expected)
{
    uint64_t window = UINT64_C(1) << (8 * size), half = window / 2;
    uint64_t candidate = (expected & ~(window - 1)) | truncated;
    uint64_t is_low = (candidate + half <= expected) & (candidate < VARINT_MAX + 1 - window);
    uint64_t is_high = (candidate > expected + half) & (candidate >= window);

    return candidate + window * is_low - window * is_high;
}

static void write_cid(struct writer *w, struct span cid)
{
    write_u8(w, (uint8_t)cid.size);
    write_span(w, cid);
}

static void write_invariants(struct writer *w, uint8_t first, uint32_t version, struct span dcid,
                             struct span scid)
{
    write_u8(w, first);
    write_u32(w, version);
    write_cid(w, dcid);
    write_cid(w, scid);
}

static uint8_t long_first_byte(const struct version *version, enum neap_packet_type type, size_t low_bits)
{
    assert(type <= NEAP_PACKET_RETRY);
    return (uint8_t)(FORM_LONG | HEADER_FIXED_BIT | (unsigned)version->type_bits[type] << TYPE_SHIFT |
                     low_bits);
}

static uint64_t low_bytes(uint64_t number, size_t size)
{
    return number & ((UINT64_C(1) << (8 * size)) - 1);
}

size_t neap_long_header_write(struct writer *w, const struct version *version, enum neap_packet_type type,
                              const neap_cid *dcid, const neap_cid *scid, struct span token,
                              size_t number_size, uint64_t number)
{
    const uint8_t *start = w->at;

    write_invariants(w, long_first_byte(version, type, number_size - 1), version->number, cid_span(dcid),
                     cid_span(scid));
    if (type == NEAP_PACKET_INITIAL) {
        write_varint(w, token.size);
        write_span(w, token);
    }
    size_t length_at = (size_t)(w->at - start);
    write_varint_sized(w, 0, LENGTH_SIZE);
    write_uint(w, low_bytes(number, number_size), number_size);
    return length_at;
}

void neap_long_header_finish(uint8_t *length_room, size_t length)
{
    struct writer w = writer_of(length_room, LENGTH_SIZE);

    assert(length < 16384);
    write_varint_sized(&w, length, LENGTH_SIZE);
}

void neap_short_header_write(struct writer *w, const neap_cid *dcid, bool spin, bool key_phase,
                             size_t number_size, uint64_t number)
{
    unsigned first = HEADER_FIXED_BIT | (spin ? HEADER_SPIN_BIT : 0) | (key_phase ? KEY_PHASE_BIT : 0);

    uint8_t *room = write_room(w, 1 + dcid->size + number_size);

    if (!room)
        return;
    *room++ = (uint8_t)(first | (unsigned)(number_size - 1));
    if (dcid->size == 8) /* as ours are unless told: a copy of known size */
        memcpy(room, dcid->bytes, 8);
    else
        memcpy(room, dcid->bytes, dcid->size);
    room += dcid->size;
    uint32_t bytes = big_endian_32((uint32_t)number << 8 * (4 - number_size));
    /* All four where they fit: a number of another size is no other work. */
    memcpy(room, &bytes, (size_t)(w->end - room) < sizeof bytes ? number_size : sizeof bytes);
}

void neap_retry_header_write(struct writer *w, const struct version *version, const neap_cid *dcid,
                             const neap_cid *scid, struct span token, uint8_t first_byte_random)
{
    write_invariants(w, long_first_byte(version, NEAP_PACKET_RETRY, first_byte_random & 0x0fu),
                     version->number, cid_span(dcid), cid_span(scid));
    write_span(w, token);
}

/* RFC 9000 §17.2.1: the bit that QUIC v1 fixes is set, for those who tell protocols apart by it. */
void neap_version_negotiation_write(struct writer *w, struct span dcid, struct span scid,
                                    const uint32_t *versions, size_t count, uint64_t random)
{
    unsigned unused = (unsigned)(random >> 32) & UNUSED_BITS;

    write_invariants(w, (uint8_t)(FORM_LONG | HEADER_FIXED_BIT | unused), 0, dcid, scid);
    write_u32(w, version_reserved((uint32_t)random));
    for (size_t i = 0; i < count; i++)
        write_u32(w, versions[i]);
}
