/* HyStart++ (RFC 9406 §4.2), with its recommended constants (§4.3). Rounds are told apart by when packets left: numbers
 * would belong to a space, and a controller to a path. */
#include "recovery/hystart.h"

#define MIN_RTT_THRESH (4 * NEAP_MILLISECOND / HYSTART_UNIT)
#define MAX_RTT_THRESH (16 * NEAP_MILLISECOND / HYSTART_UNIT)
#define MIN_RTT_DIVISOR 8u
#define N_RTT_SAMPLE 8u
#define CSS_GROWTH_DIVISOR 4u
#define CSS_ROUNDS 5u
#define L 8u /* datagrams that an ACK lets the window grow by, where packets are not paced */

uint64_t neap_hystart_growth(const struct hystart *h, uint64_t bytes, bool is_unpaced,
                             uint64_t udp_payload_size)
{
    if (is_unpaced && bytes > L * udp_payload_size)
        bytes = L * udp_payload_size;
    return h->rounds ? bytes / CSS_GROWTH_DIVISOR : bytes;
}

static uint64_t threshold(uint64_t last)
{
    uint64_t part = last / MIN_RTT_DIVISOR;

    return part < MIN_RTT_THRESH ? MIN_RTT_THRESH : part < MAX_RTT_THRESH ? part : MAX_RTT_THRESH;
}

static void take_sample(struct hystart *h, neap_time rtt)
{
    uint64_t units = rtt / HYSTART_UNIT + 1;
    uint16_t sample = units < UINT16_MAX ? (uint16_t)units : UINT16_MAX;

    if (h->least == 0 || sample < h->least)
        h->least = sample;
    if (h->samples < UINT8_MAX)
        h->samples++;
}

/* The time grew: growth becomes conservative. It shrank again: that was jitter, and growth is the standard one. */
static void choose_growth(struct hystart *h)
{
    if (h->samples < N_RTT_SAMPLE || h->last == 0)
        return;
    if (h->rounds == 0 && h->least >= h->last + threshold(h->last)) {
        h->baseline = h->least;
        h->rounds = CSS_ROUNDS;
    } else if (h->rounds > 0 && h->least < h->baseline) {
        h->rounds = 0;
    }
}

bool neap_hystart_on_ack(struct hystart *h, neap_time rtt, neap_time sent_at, neap_time now)
{
    take_sample(h, rtt);
    choose_growth(h);
    if (sent_at < h->round_at)
        return false;
    h->round_at = now;
    h->last = h->least;
    h->least = 0;
    h->samples = 0;
    return h->rounds > 0 && --h->rounds == 0;
}
