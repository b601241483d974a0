/* Paths of a connection that may share a bottleneck take of it what one connection takes, not what several do: each grows the
 * more slowly the more the others carry (RFC 6356, the linked increases algorithm; draft-ietf-quic-multipath §5.3). */
#include "recovery/loss.h"

#define MICROSECONDS UINT64_C(1000000) /* a second */
#define RTT_MOST (UINT64_C(1) << 30)   /* that products fit */

static uint64_t rtt_of(const struct path_recovery *p)
{
    uint64_t rtt = p->rtt.smoothed / (NEAP_SECOND / MICROSECONDS);

    return rtt == 0 ? 1 : rtt < RTT_MOST ? rtt : RTT_MOST;
}

/* With alpha as in RFC 6356 §3 what is left of a path's own growth is alpha * window / all windows, 1 at most; that is
 * its share of all rates * the greatest of (a path's share * own RTT / its RTT). */
uint16_t neap_recovery_coupling(const struct recovery *r, const struct path_recovery *path)
{
    const struct path_recovery *ways[1 + LIMIT_PATH_IDS];
    uint64_t rates[1 + LIMIT_PATH_IDS], sum = 0, own = 0, greatest = 0;
    size_t count = 0;

    for (enum space space = SPACE_APPLICATION; space < recovery_spaces_end(r); space++) {
        const struct path_recovery *way = recovery_way(r, space);

        if (!recovery_space(r, space) || (way != path && way->bytes_in_flight == 0))
            continue;
        ways[count] = way;
        rates[count] = way->cc.window * MICROSECONDS / rtt_of(way);
        sum += rates[count++];
    }
    unsigned shift = 0;
    while (sum >> shift >> (63 - CC_WHOLE_BITS))
        shift++;
    for (size_t i = 0; i < count; i++) {
        uint64_t share = (rates[i] >> shift << CC_WHOLE_BITS) / ((sum >> shift) + 1);
        uint64_t product = share * rtt_of(path) / rtt_of(ways[i]);

        own = ways[i] == path ? share : own;
        greatest = product > greatest ? product : greatest;
    }
    uint64_t left = own * greatest >> CC_WHOLE_BITS;
    return (uint16_t)(left == 0 ? 1 : left < CC_WHOLE ? left : CC_WHOLE);
}
