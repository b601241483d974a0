/* A network path: addresses, anti-amplification (RFC 9000 §8.1), PATH_CHALLENGE answers (§8.2.2). Validation and
 * migration of our own initiative have their room here. */
#ifndef NEAP_PATHS_VALIDATION_H
#define NEAP_PATHS_VALIDATION_H

#include "base/limits.h"
#include "neap.h"

struct address_validation {
    neap_address local, peer;
    bool validated;          /* the peer's address is proved: no amplification limit */
    uint64_t received, sent; /* bytes, UDP payload, counted once per datagram, while not validated */
    uint8_t responses[LIMIT_PATH_RESPONSES][8]; /* data of PATH_RESPONSE owed, oldest dropped at the bound */
    uint8_t response_count;
};

void neap_validation_init(struct address_validation *p, const neap_address *local, const neap_address *peer,
                          bool validated);
/** A datagram came, whatever could be read of it. */
void neap_validation_on_udp_datagram(struct address_validation *p, size_t size);
/** Bytes that may be sent: 3 times received less sent, UINT64_MAX once validated. */
uint64_t neap_validation_budget(const struct address_validation *p);
void neap_validation_on_sent(struct address_validation *p, size_t size);
void neap_validation_done(struct address_validation *p);
void neap_validation_on_challenge(struct address_validation *p, const uint8_t data[8]);
/** The next PATH_RESPONSE owed: false when none. */
bool neap_validation_next_response(struct address_validation *p, uint8_t data[8]);

#endif
