/* One path: what may be sent to an address that is not proved, and the challenges to answer. */
#include "paths/path.h"

#include <string.h>

#define AMPLIFICATION 3u /* RFC 9000 §8.1 */

void neap_path_init(struct path *p, const neap_address *local, const neap_address *peer, bool validated)
{
    *p = (struct path){.local = *local, .peer = *peer, .validated = validated};
}

void neap_path_on_udp_datagram(struct path *p, size_t size)
{
    if (!p->validated)
        p->received += size;
}

uint64_t neap_path_budget(const struct path *p)
{
    uint64_t allowed = p->received * AMPLIFICATION;

    if (p->validated)
        return UINT64_MAX;
    return allowed > p->sent ? allowed - p->sent : 0;
}

void neap_path_on_sent(struct path *p, size_t size)
{
    if (!p->validated)
        p->sent += size;
}

void neap_path_validated(struct path *p)
{
    p->validated = true;
}

static void drop_first_response(struct path *p)
{
    p->response_count--;
    memmove(p->responses[0], p->responses[1], p->response_count * sizeof(p->responses[0]));
}

void neap_path_on_challenge(struct path *p, const uint8_t data[8])
{
    if (p->response_count == LIMIT_PATH_RESPONSES)
        drop_first_response(p);
    memcpy(p->responses[p->response_count++], data, sizeof(p->responses[0]));
}

bool neap_path_next_response(struct path *p, uint8_t data[8])
{
    if (p->response_count == 0)
        return false;
    memcpy(data, p->responses[0], sizeof(p->responses[0]));
    drop_first_response(p);
    return true;
}
