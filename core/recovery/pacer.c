/* A leaky bucket (RFC 9002 §7.7). Tokens are whole bytes; the time that made a part of one stays on the clock. */
#include "recovery/pacer.h"

#include "base/limits.h"

#define BURST_UDP_DATAGRAMS 10u
#define QUANTUM (NEAP_SECOND / NEAP_MILLISECOND)     /* of the rate: a millisecond */
#define BURST (NEAP_SECOND / (2 * NEAP_MILLISECOND)) /* two of them */

void neap_pacer_init(struct pacer *p, bool enabled, uint64_t udp_payload_size)
{
    uint32_t burst = BURST_UDP_DATAGRAMS * (uint32_t)udp_payload_size;

    *p = (struct pacer){.enabled = enabled, .tokens = burst, .capacity = burst};
}

void neap_pacer_update(struct pacer *p, uint64_t rate, uint64_t udp_payload_size)
{
    uint64_t capacity = BURST_UDP_DATAGRAMS * udp_payload_size, earned;

    p->rate = rate < LIMIT_PACING_RATE ? rate : LIMIT_PACING_RATE;
    earned = p->rate / BURST < LIMIT_PACER_BURST ? p->rate / BURST : LIMIT_PACER_BURST;
    p->capacity = (uint32_t)(capacity > earned ? capacity : earned);
    if (p->tokens > p->capacity)
        p->tokens = p->capacity;
    p->quantum = (uint32_t)(p->rate / QUANTUM < p->capacity ? p->rate / QUANTUM : p->capacity);
}

void neap_pacer_set_quantum(struct pacer *p, uint64_t quantum)
{
    uint64_t earned = p->rate / BURST, capacity = 2 * quantum > earned ? 2 * quantum : earned;

    if (capacity < p->capacity)
        p->capacity = (uint32_t)capacity;
    if (p->tokens > p->capacity)
        p->tokens = p->capacity;
    p->quantum = quantum < p->capacity ? (uint32_t)quantum : p->capacity;
}

/* Time to earn `bytes` <= LIMIT_PACER_BURST, rounded up. */
static neap_time earning_time(const struct pacer *p, uint64_t bytes)
{
    return (bytes * NEAP_SECOND + p->rate - 1) / p->rate;
}

uint64_t neap_pacer_budget(struct pacer *p, neap_time now)
{
    if (!p->enabled || p->rate == 0)
        return UINT64_MAX;
    /* Not a byte since the last time: so it is within a burst. */
    if (now <= p->last || (now - p->last <= NEAP_MILLISECOND && (now - p->last) * p->rate < NEAP_SECOND))
        return p->tokens;
    if (now - p->last >= earning_time(p, p->capacity - p->tokens)) {
        p->tokens = p->capacity;
        p->last = now;
        return p->tokens;
    }
    uint64_t earned = (now - p->last) * p->rate / NEAP_SECOND;

    p->tokens += (uint32_t)earned;
    p->last += earned * NEAP_SECOND / p->rate;
    return p->tokens;
}

void neap_pacer_sent(struct pacer *p, uint64_t bytes)
{
    p->tokens -= bytes < p->tokens ? (uint32_t)bytes : p->tokens;
}

neap_time neap_pacer_ready_at(const struct pacer *p, uint64_t bytes, neap_time now)
{
    if (!p->enabled || p->rate == 0 || bytes <= p->tokens)
        return now;
    if (now > p->last &&
        now - p->last >= earning_time(p, bytes < p->capacity ? bytes - p->tokens : p->capacity - p->tokens))
        return now;
    uint64_t wanted = bytes > p->quantum ? bytes : p->quantum;

    if (wanted > p->capacity)
        wanted = p->capacity;
    neap_time at = p->last + earning_time(p, wanted - p->tokens);
    return at > now ? at : now;
}
