/* The sizes of a path's datagrams: how far the search goes and when, and what is heard of it from outside (RFC 9000
 * §14.2, §14.3). */
#include "quic/multipath.h"

#define IPV6_EXTRA 20u /* bytes: its header is so much larger than that of IPv4 */

uint16_t neap_conn_most_udp_payload_size(const neap_conn *c, const neap_address *peer)
{
    uint64_t size = config_option(c->config, OPTION_max_send_udp_payload_size);

    if (size > LIMIT_UDP_TRAIN)
        size = LIMIT_UDP_TRAIN;
    if (peer->family == 6)
        size -= IPV6_EXTRA;
    if (size > c->peer_max_udp_payload_size)
        size = c->peer_max_udp_payload_size;
    return (uint16_t)(size > PMTU_BASE ? size : PMTU_BASE);
}

size_t neap_conn_size_probe(neap_conn *c, struct path *on, size_t size)
{
    struct path_recovery *path = &on->recovery;

    if (c->stage != STAGE_CONFIRMED || !on->address.validated || path->pto_count > 0 ||
        c->counters.packets_sent + c->counters.packets_received < LIMIT_PACKETS_UNPROBED ||
        c->now - c->silent_since >= TRIM_AFTER) /* what is silent is left so */
        return 0;
    uint16_t probe = neap_pmtu_next_probe(&path->pmtu, path->cc.window, c->now);
    return probe <= size ? probe : 0;
}

void neap_conn_keep_pmtu_figures(neap_conn *c, const struct path *path)
{
    struct pmtu *to = &conn_path(c)->recovery.pmtu;
    const struct pmtu *from = &path->recovery.pmtu;

    to->probes_sent = (uint16_t)(to->probes_sent + from->probes_sent);
    to->probes_lost = (uint16_t)(to->probes_lost + from->probes_lost);
    to->black_holes = (uint16_t)(to->black_holes + from->black_holes);
}

void neap_conn_refused(neap_conn *c, const neap_address *from, const neap_address *to, size_t size,
                       size_t passes)
{
    struct path *path = neap_conn_find_path(c, ANY_SLOT, from->family ? from : NULL, to);

    if (!conn_is_alive(c) || !path || size > UINT16_MAX || passes > UINT16_MAX)
        return;
    bool was_probe = size > path->recovery.pmtu.size;
    neap_pmtu_on_refused(&path->recovery.pmtu, (uint16_t)size, (uint16_t)passes, c->now);
    if (!was_probe)
        return;
    /* It takes no room in the window from the next one, which data waits for. */
    neap_recovery_expire_size_probes(&c->recovery, true, c->now);
    for (enum space space = SPACE_APPLICATION; space < recovery_spaces_end(&c->recovery); space++)
        neap_conn_take_fates(c, space);
}

void neap_conn_refuses_trains(neap_conn *c, const neap_address *from, const neap_address *to)
{
    struct path *path = neap_conn_find_path(c, ANY_SLOT, from->family ? from : NULL, to);

    if (path)
        path->refuses_trains = true;
}

/* RFC 9000 §14.2.1: addresses and connection ID are those of the path; what quotes too little proves nothing, nor does any
 * message where the peer has no ID that its sender would have to know. */
void neap_conn_too_big(neap_conn *c, const neap_address *to, size_t passes, struct span quoted)
{
    struct path *path = neap_conn_find_path(c, ANY_SLOT, NULL, to);
    const struct peer_cid *id = path ? conn_peer_cid(c, path) : NULL;

    if (!path || passes > UINT16_MAX || !id->is_active)
        return;
    struct span dcid = cid_span(&id->cid);
    bool is_short = quoted.size > dcid.size && (quoted.data[0] & 0x80) == 0;

    if (is_short && dcid.size > 0 && span_equal(span_of(quoted.data + 1, dcid.size), dcid))
        neap_pmtu_on_too_big(&path->recovery.pmtu, (uint16_t)passes);
}
