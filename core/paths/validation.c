/* One path: what may be sent to an address that is not proved, and the challenges to answer. */
#include "paths/validation.h"

#include <string.h>

#define AMPLIFICATION 3u /* RFC 9000 §8.1 */

void neap_validation_init(struct address_validation *p, const neap_address *local, const neap_address *peer,
                          bool validated)
{
    *p = (struct address_validation){.local = *local, .peer = *peer, .validated = validated};
}

void neap_validation_on_udp_datagram(struct address_validation *p, size_t size)
{
    if (!p->validated)
        p->received += size;
}

uint64_t neap_validation_budget(const struct address_validation *p)
{
    uint64_t allowed = p->received * AMPLIFICATION;

    if (p->validated)
        return UINT64_MAX;
    return allowed > p->sent ? allowed - p->sent : 0;
}

void neap_validation_on_sent(struct address_validation *p, size_t size)
{
    if (!p->validated)
        p->sent += size;
}

void neap_validation_done(struct address_validation *p)
{
    p->validated = true;
}

static void drop_first_response(struct address_validation *p)
{
    p->response_count--;
    memmove(p->responses[0], p->responses[1], p->response_count * sizeof(p->responses[0]));
}

void neap_validation_on_challenge(struct address_validation *p, const uint8_t data[8])
{
    if (p->response_count == LIMIT_PATH_RESPONSES)
        drop_first_response(p);
    memcpy(p->responses[p->response_count++], data, sizeof(p->responses[0]));
}

bool neap_validation_next_response(struct address_validation *p, uint8_t data[8])
{
    if (p->response_count == 0)
        return false;
    memcpy(data, p->responses[0], sizeof(p->responses[0]));
    drop_first_response(p);
    return true;
}
