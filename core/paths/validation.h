/* Address validation (RFC 9000 §8): the addresses of a path, what may be sent to one that is not proved (§8.1), and
 * path validation in both roles (§8.2). */
#ifndef NEAP_PATHS_VALIDATION_H
#define NEAP_PATHS_VALIDATION_H

#include "base/limits.h"
#include "neap.h"

struct address_validation {
    neap_address local, peer;
    uint64_t received, sent; /* bytes, UDP payload, counted once per datagram, while not validated */
    uint8_t responses[LIMIT_PATH_RESPONSES][8]; /* data of PATH_RESPONSE owed, oldest dropped at the bound */
    uint8_t response_count;
    /* Our own validation of the path. */
    uint8_t challenges[LIMIT_PATH_CHALLENGES][8]; /* data that was sent, newest last */
    uint8_t challenge_count;
    uint8_t challenges_sent; /* in this validation: for the backoff */
    bool validated;          /* the peer's address is proved: no amplification limit */
    bool is_chosen; /* by us: nobody had us believe in it, so that there is no such limit before either */
    bool owes_challenge;
    bool is_small;          /* the last one left in less than 1200 bytes */
    neap_time challenge_at; /* when to ask again; NEAP_NEVER: no validation runs */
};

void neap_validation_init(struct address_validation *p, const neap_address *local, const neap_address *peer,
                          bool validated);
/** A datagram came, whatever could be read of it. */
void neap_validation_on_udp_datagram(struct address_validation *p, size_t size);
/** Bytes that may be sent: 3 times received less sent, UINT64_MAX once validated, or chosen. */
uint64_t neap_validation_budget(const struct address_validation *p);
void neap_validation_on_sent(struct address_validation *p, size_t size);
void neap_validation_done(struct address_validation *p);
void neap_validation_on_challenge(struct address_validation *p, const uint8_t data[8]);
/** The next PATH_RESPONSE owed: false when none. */
bool neap_validation_next_response(struct address_validation *p, uint8_t data[8]);

/** Ask the peer on this path (RFC 9000 §8.2.1); nothing when it is being asked already. */
void neap_validation_begin(struct address_validation *v);
/** Whether a PATH_CHALLENGE or PATH_RESPONSE is to be sent on this path. */
bool neap_validation_owes(const struct address_validation *v);
bool neap_validation_runs(const struct address_validation *v);
/** A PATH_CHALLENGE with this unpredictable data leaves in a datagram that has 1200 bytes or is small: it is asked
 * again after `interval`, doubled each time. */
void neap_validation_challenged(struct address_validation *v, const uint8_t data[8], bool is_small,
                                neap_time interval, neap_time now);
/** It was not answered in time. */
void neap_validation_ask_again(struct address_validation *v);
/** Nobody waits for the answer any more. */
void neap_validation_abandon(struct address_validation *v);
/** A PATH_RESPONSE came, on whatever path (§8.2.3): true when it answers a challenge of this one, which is proved then.
 * When that was small another validation begins, for the size (§8.2.1). */
bool neap_validation_on_response(struct address_validation *v, const uint8_t data[8]);

#endif
