/* A network path: addresses, anti-amplification (RFC 9000 §8.1), PATH_CHALLENGE answers (§8.2.2). Validation and
 * migration of our own initiative have their room here. */
#ifndef NEAP_PATHS_PATH_H
#define NEAP_PATHS_PATH_H

#include "base/limits.h"
#include "neap.h"

struct path {
    neap_address local, peer;
    bool validated;          /* the peer's address is proved: no amplification limit */
    uint64_t received, sent; /* bytes, UDP payload, counted once per datagram, while not validated */
    uint8_t responses[LIMIT_PATH_RESPONSES][8]; /* data of PATH_RESPONSE owed, oldest dropped at the bound */
    uint8_t response_count;
};

void neap_path_init(struct path *p, const neap_address *local, const neap_address *peer, bool validated);
/** A datagram came, whatever could be read of it. */
void neap_path_on_udp_datagram(struct path *p, size_t size);
/** Bytes that may be sent: 3 times received less sent, UINT64_MAX once validated. */
uint64_t neap_path_budget(const struct path *p);
void neap_path_on_sent(struct path *p, size_t size);
void neap_path_validated(struct path *p);
void neap_path_on_challenge(struct path *p, const uint8_t data[8]);
/** The next PATH_RESPONSE owed: false when none. */
bool neap_path_next_response(struct path *p, uint8_t data[8]);

#endif
