/* What every controller begins with (RFC 9002 §7.2). */
#include "recovery/cc.h"

#define INITIAL_UDP_DATAGRAMS 10u
#define INITIAL_BYTES 14720u

void neap_cc_init(struct cc *cc, const struct cc_ops *ops, uint64_t udp_payload_size)
{
    uint64_t most = INITIAL_UDP_DATAGRAMS * udp_payload_size, least = 2 * udp_payload_size;

    if (least < INITIAL_BYTES)
        least = INITIAL_BYTES;
    *cc = (struct cc){
        .ops = ops,
        .window = most < least ? most : least,
        .ssthresh = UINT64_MAX,
    };
    ops->init(cc);
}
