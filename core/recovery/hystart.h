/* HyStart++ (RFC 9406): the first slow start ends when the round-trip time tells of a queue, before the queue overflows. For
 * controllers that grow by what is acknowledged. All zero: before the first ACK. */
#ifndef NEAP_RECOVERY_HYSTART_H
#define NEAP_RECOVERY_HYSTART_H

#include "neap.h"

#define HYSTART_UNIT (NEAP_MILLISECOND / 20) /* so that times up to 3.2 s fit */

struct hystart {
    neap_time round_at; /* the round ends when what was sent since then is acknowledged */
    /* The least RTT of the round before, of this one, and when growth became conservative, in HYSTART_UNIT; 0: none. */
    uint16_t last, least, baseline;
    uint8_t samples; /* of this round */
    uint8_t rounds;  /* of conservative slow start that are left; 0: growth is the standard one */
};

/** How much of `bytes` that were acknowledged the window grows by. Packets that are not paced leave in bursts as large as one
 * ACK makes it grow, which has a bound then. */
uint64_t neap_hystart_growth(const struct hystart *h, uint64_t bytes, bool is_unpaced,
                             uint64_t udp_payload_size);
/** An ACK came, whose largest packet left at `sent_at`, with this RTT. Returns whether slow start is over. */
bool neap_hystart_on_ack(struct hystart *h, neap_time rtt, neap_time sent_at, neap_time now);

#endif
