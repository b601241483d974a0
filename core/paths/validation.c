/* What may be sent to an address that is not proved, the challenges to answer, and our own. */
#include "paths/validation.h"

#include <string.h>

#define AMPLIFICATION 3u /* RFC 9000 §8.1 */

void neap_validation_init(struct address_validation *p, const neap_address *local, const neap_address *peer,
                          bool validated)
{
    *p = (struct address_validation){
        .local = *local, .peer = *peer, .validated = validated, .challenge_at = NEAP_NEVER};
}

void neap_validation_on_udp_datagram(struct address_validation *p, size_t size)
{
    if (!p->validated)
        p->received += size;
}

uint64_t neap_validation_budget(const struct address_validation *p)
{
    uint64_t allowed = p->received * AMPLIFICATION;

    if (p->validated || p->is_chosen)
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

/* ---- our own */

bool neap_validation_runs(const struct address_validation *v)
{
    return v->owes_challenge || v->challenge_at != NEAP_NEVER;
}

void neap_validation_begin(struct address_validation *v)
{
    if (neap_validation_runs(v))
        return;
    v->owes_challenge = true;
    v->challenges_sent = 0;
}

void neap_validation_challenged(struct address_validation *v, const uint8_t data[8], bool is_small,
                                neap_time interval, neap_time now)
{
    if (v->challenge_count == LIMIT_PATH_CHALLENGES) {
        v->challenge_count--;
        memmove(v->challenges[0], v->challenges[1], v->challenge_count * sizeof v->challenges[0]);
    }
    memcpy(v->challenges[v->challenge_count++], data, sizeof v->challenges[0]);
    v->owes_challenge = false;
    v->is_small = is_small;
    v->challenge_at = now + (interval << v->challenges_sent);
    if (v->challenges_sent < LIMIT_PTO_BACKOFF)
        v->challenges_sent++;
}

bool neap_validation_owes(const struct address_validation *v)
{
    return v->owes_challenge || v->response_count > 0;
}

void neap_validation_ask_again(struct address_validation *v)
{
    v->owes_challenge = true;
    v->challenge_at = NEAP_NEVER;
}

void neap_validation_abandon(struct address_validation *v)
{
    v->owes_challenge = false;
    v->challenge_at = NEAP_NEVER;
    v->challenge_count = 0;
}

bool neap_validation_on_response(struct address_validation *v, const uint8_t data[8])
{
    for (uint8_t i = 0; i < v->challenge_count; i++) {
        if (memcmp(v->challenges[i], data, sizeof v->challenges[i]) != 0)
            continue;
        v->validated = true;
        neap_validation_abandon(v);
        if (v->is_small)
            neap_validation_begin(v);
        return true;
    }
    return false;
}
