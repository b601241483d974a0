/* Packet headers (RFC 8999, RFC 9000 §17): parsed without keys as far as they go, written whole. */
#ifndef NEAP_WIRE_HEADER_H
#define NEAP_WIRE_HEADER_H

#include "base/reader.h"
#include "base/writer.h"
#include "neap.h"
#include "wire/version.h"

/* A packet of a datagram, before its header protection is removed. Spans point into the datagram. */
struct packet_header {
    enum neap_packet_type type;
    uint32_t version;
    struct span dcid, scid, token;
    struct span versions;  /* version negotiation: the list, 4 bytes each */
    struct span retry_tag; /* Retry: the last 16 bytes; token is what stands before */
    size_t number_at;      /* offset of the packet number from the packet's first byte; 0 when it has none */
    size_t size;           /* the whole packet: by Length for long headers, to the datagram's end otherwise */
};

#define HEADER_FIXED_BIT 0x40u /* the QUIC Bit of RFC 9287 */
#define HEADER_SPIN_BIT 0x20u

/** Parse the first packet of `bytes`. 0, NEAP_ERR_UNKNOWN_VERSION (version, dcid, scid are set), or
 * NEAP_ERR_INVALID_PACKET (too short, connection ID > 20 in v1 and v2, Length past the end, Retry without a token…). With
 * an unknown version and in Version Negotiation connection IDs may be up to 255 bytes: look at their size before cid_of.
 * `short_dcid_size`: length of our own connection IDs. Who may clear the fixed bit the caller knows. */
int neap_packet_header_parse(struct span bytes, size_t short_dcid_size, struct packet_header *out);

/** Whether the fixed bit, HEADER_FIXED_BIT or 0 for one that is drawn, is clear in the first byte of a packet of a version that
 * has it: such a packet is not valid (RFC 9000 §17.2, §17.3.1). */
static inline bool header_lacks_fixed_bit(uint8_t first, unsigned fixed_bit)
{
    return (~(unsigned)first & fixed_bit) != 0;
}

/** The bytes a packet number takes so that the peer can tell it (RFC 9000 A.2): 1..4. `largest_acked` is
 * UINT64_MAX when none. */
size_t neap_packet_number_size(uint64_t number, uint64_t largest_acked);
/** The full number from its truncated form (RFC 9000 A.3); `expected` is largest received + 1. */
uint64_t neap_packet_number_expand(uint64_t truncated, size_t size, uint64_t expected);

/** Begin a long header packet: everything up to the packet number. Length is written as 2 bytes to be patched by
 * neap_long_header_finish. Returns the offset of Length from w->at before the call. */
size_t neap_long_header_write(struct writer *w, const struct version *version, enum neap_packet_type type,
                              const neap_cid *dcid, const neap_cid *scid, struct span token,
                              size_t number_size, uint64_t number);
/** Patch Length: `length_room` points at its 2 bytes, `length` counts packet number, payload and tag (< 16384). */
void neap_long_header_finish(uint8_t *length_room, size_t length);
/** A short header; `spin` and `key_phase` are single bits. */
void neap_short_header_write(struct writer *w, const neap_cid *dcid, bool spin, bool key_phase,
                             size_t number_size, uint64_t number);
/** A whole Retry packet without its integrity tag; `first_byte_random` fills the unused bits. */
void neap_retry_header_write(struct writer *w, const struct version *version, const neap_cid *dcid,
                             const neap_cid *scid, struct span token, uint8_t first_byte_random);
/** A whole Version Negotiation packet with these versions, and a reserved one of `random` before them (RFC 9000 §6.3);
 * its high half fills the unused bits. `dcid` and `scid` are the received scid and dcid, of any length up to 255. */
void neap_version_negotiation_write(struct writer *w, struct span dcid, struct span scid,
                                    const uint32_t *versions, size_t count, uint64_t random);

static inline bool cid_equal(const neap_cid *a, const neap_cid *b)
{
    return a->size == b->size && memcmp(a->bytes, b->bytes, a->size) == 0;
}

static inline struct span cid_span(const neap_cid *c)
{
    return span_of(c->bytes, c->size);
}

/* `s.size` is at most 20. */
static inline neap_cid cid_of(struct span s)
{
    neap_cid c = {.size = (uint8_t)s.size};
    if (s.size)
        memcpy(c.bytes, s.data, s.size);
    return c;
}

#endif
