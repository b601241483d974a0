/* How many links each network has, so that one client does not take the places of all. */
#include "quic/quic.h"
#include "runtime/link_inner.h"

#define NETWORK_BYTES 8u /* /64: what a subscriber has of IPv6 addresses, at least (RFC 6177) */

/* An IPv4 address is its own network. No /64 that is routed is a number as small as they are. */
static uint64_t network(const neap_address *a)
{
    uint64_t key = 0;

    for (size_t i = 0; i < (a->family == 4 ? 4 : NETWORK_BYTES); i++)
        key = key << 8 | a->ip[i];
    return key;
}

enum link_origin_says neap_link_origin_join(struct listener *listener, const neap_address *peer,
                                            struct link_origin **out)
{
    bool is_chosen = listener->options.connections_per_network != 0;
    uint64_t most = is_chosen ? listener->options.connections_per_network
                              : 1 + listener->options.connections / LIMIT_LINKS_SHARE;

    *out = NULL;
    if (!is_chosen && neap_address_is_loopback(peer))
        return LINK_ORIGIN_JOINED;
    struct map_node *node = neap_map_find(&listener->origins, network(peer));
    struct link_origin *origin = (struct link_origin *)node;
    if (origin != NULL && origin->links >= most)
        return LINK_ORIGIN_FULL;
    if (origin == NULL) {
        origin = neap_pool_alloc_lasting(listener->pool, sizeof *origin);
        if (origin == NULL)
            return LINK_ORIGIN_NO_MEMORY;
        neap_map_add(&listener->origins, listener->pool, &origin->node, network(peer));
    }
    origin->links++;
    *out = origin;
    return LINK_ORIGIN_JOINED;
}

void neap_link_origin_leave(struct listener *listener, struct link_origin *origin)
{
    if (origin == NULL || --origin->links > 0)
        return;
    neap_map_remove(&listener->origins, listener->pool, &origin->node);
    neap_pool_free(listener->pool, origin, sizeof *origin);
}
