/* QUIC versions: what differs in packet headers, and how one is chosen. Labels and salts are in crypto/. */
#ifndef NEAP_WIRE_VERSION_H
#define NEAP_WIRE_VERSION_H

#include "base/span.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define VERSION_SIZE 4u /* bytes of one in packets and lists */

struct version {
    uint32_t number;
    uint8_t type_bits[4]; /* the two long packet type bits of Initial, 0-RTT, Handshake, Retry */
};

/** What we can speak: NULL for an unknown version. */
const struct version *neap_version_find(uint32_t number);
/** From the oldest on; static. */
const struct version *neap_versions(size_t *count);

/** Whether `list`, VERSION_SIZE bytes each, has it. */
bool neap_version_is_listed(struct span list, uint32_t number);
/** The first of ours, in our order of preference, that `list` has; 0: none. */
uint32_t neap_version_choose(const uint32_t *ours, size_t count, struct span list);
/** Whether a first flight of one is understood as one of the other (RFC 9368 §2.2): what no document says is not so.
 * Those that we speak are compatible both ways (RFC 9369 §4). */
bool neap_version_is_compatible(uint32_t from, uint32_t to);

/** A reserved version (RFC 9000 §15) out of 32 random bits. */
static inline uint32_t version_reserved(uint32_t random)
{
    return (random & 0xf0f0f0f0u) | 0x0a0a0a0au;
}

#endif
