/* Transport parameters (RFC 9000 §7.3, §7.4): what ours say, and what the peer's mean once they are checked. */
#include "quic/conn_trace.h"
#include "quic/migration.h"
#include "quic/multipath.h"

struct transport_params neap_conn_params(const neap_conn *c)
{
    const neap_config *config = c->config;
    struct transport_params p = neap_params_default();

    p.max_idle_timeout_ms = config_option(config, OPTION_max_idle_timeout);
    p.max_udp_payload_size = config_option(config, OPTION_max_udp_payload_size);
    p.max_data = config_option(config, OPTION_initial_max_data);
    p.max_stream_data_bidi_local = config_option(config, OPTION_initial_max_stream_data_bidi_local);
    p.max_stream_data_bidi_remote = config_option(config, OPTION_initial_max_stream_data_bidi_remote);
    p.max_stream_data_uni = config_option(config, OPTION_initial_max_stream_data_uni);
    p.max_streams_bidi = config_option(config, OPTION_initial_max_streams_bidi);
    p.max_streams_uni = config_option(config, OPTION_initial_max_streams_uni);
    p.ack_delay_exponent = config_option(config, OPTION_ack_delay_exponent);
    p.max_ack_delay_ms = config_option(config, OPTION_max_ack_delay);
    if (config_option(config, OPTION_reset_stream_at))
        params_add(&p, PARAM_reset_stream_at);
    p.max_datagram_frame_size = config_option(config, OPTION_max_datagram_frame_size);
    p.min_ack_delay_us = neap_conn_min_ack_delay(config);
    p.max_path_id = neap_multipath_offer(c);
    p.active_connection_id_limit = config_option(config, OPTION_active_connection_id_limit);
    if (config_option(config, OPTION_disable_active_migration) ||
        (c->is_server && neap_config_has_single_ids(config)))
        params_add(&p, PARAM_disable_active_migration);
    if (config_option(config, OPTION_grease))
        params_add(&p, PARAM_grease_quic_bit);
    params_add(&p, PARAM_initial_source_connection_id);
    p.initial_scid = c->handshake->source_cid;
    if (!c->is_server)
        return p;
    params_add(&p, PARAM_original_destination_connection_id);
    p.original_dcid = c->original_dcid;
    if (c->handshake->retried)
        params_add(&p, PARAM_retry_source_connection_id);
    p.retry_scid = c->handshake->retry_scid;
    params_add(&p, PARAM_stateless_reset_token);
    neap_config_reset_token(config, &c->handshake->source_cid, p.reset_token);
    neap_conn_announce_preferred(c, &p);
    return p;
}

struct transport_params neap_conn_our_params(const neap_conn *c, uint8_t versions[VERSION_LIST_ROOM])
{
    struct transport_params p = neap_conn_params(c);

    params_add(&p, PARAM_version_information);
    p.versions = (struct version_information){.chosen = c->version->number,
                                              .available = neap_conn_list_versions(c, versions)};
    return p;
}

/* RFC 9000 §7.3: the connection IDs of the handshake, which nothing else authenticates. */
static int check_connection_ids(const neap_conn *c, const struct transport_params *p, struct failure *why)
{
    const struct handshake *h = c->handshake;

    if (!params_has(p, PARAM_initial_source_connection_id))
        return neap_fail(why, NEAP_TRANSPORT_PARAMETER_ERROR, "initial_source_connection_id is missing");
    if (!cid_equal(&p->initial_scid, &h->peer_cid))
        return neap_fail(why, NEAP_TRANSPORT_PARAMETER_ERROR, "initial_source_connection_id is another one");
    if (c->is_server)
        return 0;
    if (!params_has(p, PARAM_original_destination_connection_id))
        return neap_fail(why, NEAP_TRANSPORT_PARAMETER_ERROR,
                         "original_destination_connection_id is missing");
    if (!cid_equal(&p->original_dcid, &c->original_dcid))
        return neap_fail(why, NEAP_TRANSPORT_PARAMETER_ERROR,
                         "original_destination_connection_id is another one");
    if (params_has(p, PARAM_retry_source_connection_id) != h->retried)
        return neap_fail(why, NEAP_TRANSPORT_PARAMETER_ERROR,
                         "retry_source_connection_id does not fit the Retry");
    if (h->retried && !cid_equal(&p->retry_scid, &h->retry_scid))
        return neap_fail(why, NEAP_TRANSPORT_PARAMETER_ERROR, "retry_source_connection_id is another one");
    return 0;
}

/* The connection ID of a server's preferred address is the one of sequence 1, whatever becomes of the address (RFC 9000
 * §5.1.1). */
static int take_preferred_cid(neap_conn *c, const struct transport_params *p, struct failure *why)
{
    struct frame_new_connection_id f = {.sequence = 1, .cid = p->preferred_address.cid};

    if (!params_has(p, PARAM_preferred_address))
        return 0;
    if (neap_peer_cids_active(&c->peer_cids)->size == 0)
        return neap_fail(why, NEAP_TRANSPORT_PARAMETER_ERROR, "preferred_address without connection IDs");
    memcpy(f.token, p->preferred_address.token, sizeof f.token);
    neap_conn_take_preferred(c, &p->preferred_address);
    return neap_peer_cids_on_new(&c->peer_cids, c->pool, &f, why);
}

static neap_time agreed_idle_timeout(const neap_conn *c, uint64_t peer_ms)
{
    uint64_t ours = config_option(c->config, OPTION_max_idle_timeout);
    uint64_t least = peer_ms == 0 || (ours != 0 && ours < peer_ms) ? ours : peer_ms;

    /* A century is as good as more, and cannot overflow. */
    return (least < UINT32_MAX ? least : UINT32_MAX) * NEAP_MILLISECOND;
}

static int apply_params(neap_conn *c, const struct transport_params *p, struct failure *why)
{
    c->idle_timeout = agreed_idle_timeout(c, p->max_idle_timeout_ms);
    c->peer_ack_delay_exponent = (uint8_t)p->ack_delay_exponent;
    c->recovery.max_ack_delay = p->max_ack_delay_ms * NEAP_MILLISECOND;
    neap_conn_may_ask_acks(c, p->min_ack_delay_us);
    c->draws_fixed_bit = params_has(p, PARAM_grease_quic_bit) && config_option(c->config, OPTION_grease) != 0;
    c->peer_max_udp_payload_size =
        (uint16_t)(p->max_udp_payload_size < UINT16_MAX ? p->max_udp_payload_size : UINT16_MAX);
    neap_pmtu_set_most(&conn_path(c)->recovery.pmtu,
                       neap_conn_most_udp_payload_size(c, &conn_path(c)->address.peer));
    c->local_cids.peer_limit = p->active_connection_id_limit < LIMIT_LOCAL_CONNECTION_IDS
                                   ? (uint8_t)p->active_connection_id_limit
                                   : LIMIT_LOCAL_CONNECTION_IDS;
    if (params_has(p, PARAM_stateless_reset_token)) {
        neap_peer_cids_set_token(&c->peer_cids, p->reset_token);
        c->peer_cids_changed = true;
    }
    c->peer_disables_migration = params_has(p, PARAM_disable_active_migration);
    neap_streams_set_peer_params(&c->streams, p);
    int rc = neap_multipath_begin(c, p, why);
    if (rc)
        return rc;
    c->news |= NEWS_CREDIT | NEWS_WRITABLE;
    return neap_conn_open_datagrams(c, p->max_datagram_frame_size, why);
}

/* A client that sends early goes by what it remembers until it has 1-RTT keys (RFC 9000 §7.4.1). An empty extension looks
 * like none until the end. */
static bool is_too_soon(const neap_conn *c, struct span params)
{
    bool sends_early = !c->is_server && c->early == NEAP_EARLY_ACCEPTED;

    return (params.size == 0 || sends_early) && !neap_tls_is_complete(c->handshake->tls);
}

/* They have been read. A client's sessions look at them again. */
static void forget_params(neap_conn *c)
{
    if (c->is_server)
        neap_tls_forget_peer_params(c->handshake->tls);
}

int neap_conn_take_params(neap_conn *c, struct failure *why)
{
    struct span bytes = neap_tls_peer_params(c->handshake->tls);
    struct transport_params p;

    if (c->handshake->took_params) { /* what a second ClientHello brings is the same */
        forget_params(c);
        return 0;
    }
    if (is_too_soon(c, bytes))
        return 0;
    int rc = neap_params_parse(bytes, !c->is_server, &p, why);
    if (rc == 0)
        rc = neap_conn_check_versions(c, &p, why);
    if (rc == 0)
        rc = check_connection_ids(c, &p, why);
    if (rc == 0 && !c->is_server)
        rc = take_preferred_cid(c, &p, why);
    if (rc == 0)
        rc = neap_conn_check_early_limits(c, &p, why);
    if (rc)
        return rc;
    c->handshake->took_params = true;
    if (conn_is_traced(c) && c->is_server)
        neap_conn_trace_offer(c);
    TRACE(c->tracer, .conn = c, .kind = NEAP_TRACE_PARAMETERS, .now = c->now, .payload = bytes.data,
          .payload_size = bytes.size, .values = {NEAP_TRACE_PEERS});
    rc = apply_params(c, &p, why);
    if (c->is_server)
        neap_conn_guess_rtt(c);
    neap_conn_reject_first_early(c);
    forget_params(c);
    return rc;
}
