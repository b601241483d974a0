/* QUIC versions: what differs in packet headers. Labels and salts are in crypto/. */
#ifndef NEAP_WIRE_VERSION_H
#define NEAP_WIRE_VERSION_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct version {
    uint32_t number;
    uint8_t type_bits[4]; /* the two long packet type bits of Initial, 0-RTT, Handshake, Retry */
};

/** What we can speak: NULL for an unknown version. */
const struct version *neap_version_find(uint32_t number);
/** In order of preference; static. */
const struct version *neap_versions(size_t *count);

#endif
