/* What the sides offer each other: versions, protocols, transport parameters. */
#include "qlog/trace.h"
#include "wire/params.h"

#include <string.h>

/* ---- transport parameters */

/* What only the side that says it has. */
static void write_identity(struct record *r, const struct transport_params *p)
{
    if (params_has(p, PARAM_original_destination_connection_id))
        neap_record_hex(r, "original_destination_connection_id", p->original_dcid.bytes,
                        p->original_dcid.size);
    if (params_has(p, PARAM_initial_source_connection_id))
        neap_record_hex(r, "initial_source_connection_id", p->initial_scid.bytes, p->initial_scid.size);
    if (params_has(p, PARAM_retry_source_connection_id))
        neap_record_hex(r, "retry_source_connection_id", p->retry_scid.bytes, p->retry_scid.size);
    neap_record_number(r, "ack_delay_exponent", p->ack_delay_exponent);
    neap_record_number(r, "max_ack_delay", p->max_ack_delay_ms);
    neap_record_bool(r, "grease_quic_bit", params_has(p, PARAM_grease_quic_bit));
    neap_record_bool(r, "reset_stream_at", params_has(p, PARAM_reset_stream_at));
    if (p->max_path_id != NO_PATH_IDS)
        neap_record_number(r, "initial_max_path_id", p->max_path_id);
}

static void write_limits(struct record *r, const struct transport_params *p)
{
    neap_record_bool(r, "disable_active_migration", params_has(p, PARAM_disable_active_migration));
    neap_record_number(r, "max_idle_timeout", p->max_idle_timeout_ms);
    neap_record_number(r, "max_udp_payload_size", p->max_udp_payload_size);
    neap_record_number(r, "active_connection_id_limit", p->active_connection_id_limit);
    neap_record_number(r, "initial_max_data", p->max_data);
    neap_record_number(r, "initial_max_stream_data_bidi_local", p->max_stream_data_bidi_local);
    neap_record_number(r, "initial_max_stream_data_bidi_remote", p->max_stream_data_bidi_remote);
    neap_record_number(r, "initial_max_stream_data_uni", p->max_stream_data_uni);
    neap_record_number(r, "initial_max_streams_bidi", p->max_streams_bidi);
    neap_record_number(r, "initial_max_streams_uni", p->max_streams_uni);
    neap_record_number(r, "max_datagram_frame_size", p->max_datagram_frame_size);
}

void neap_qlog_parameters(neap_qlog *q, const neap_trace_event *e)
{
    bool is_ours = e->values[0] == NEAP_TRACE_OURS, is_remembered = e->values[0] == NEAP_TRACE_REMEMBERED;
    struct transport_params p;
    struct failure ignored = {0};

    if (neap_params_parse(span_of(e->payload, e->payload_size), neap_conn_is_server(e->conn) == is_ours, &p,
                          &ignored))
        return;
    struct record r =
        neap_qlog_begin_event(q, e->now, is_remembered ? "quic:parameters_restored" : "quic:parameters_set");
    if (!is_remembered) {
        neap_qlog_initiator(&r, !is_ours);
        write_identity(&r, &p);
    }
    write_limits(&r, &p);
    neap_qlog_end_event(q, &r);
}

/* ---- versions */

static bool is_listed(const neap_trace_event *e, const uint8_t version[4])
{
    for (size_t at = 0; at + 4 <= e->payload_size; at += 4)
        if (memcmp(e->payload + at, version, 4) == 0)
            return true;
    return false;
}

static void put_version(uint8_t out[4], uint32_t version)
{
    for (unsigned i = 0; i < 4; i++)
        out[i] = (uint8_t)(version >> (24 - 8 * i));
}

void neap_qlog_versions(neap_qlog *q, const neap_trace_event *e)
{
    bool is_servers = (e->values[0] == NEAP_TRACE_OURS) == neap_conn_is_server(e->conn);
    uint8_t chosen[4];
    struct record r = neap_qlog_begin_event(q, e->now, "quic:version_information");

    neap_record_open(&r, is_servers ? "server_versions" : "client_versions", '[');
    for (size_t at = 0; at + 4 <= e->payload_size; at += 4)
        neap_record_hex(&r, NULL, e->payload + at, 4);
    neap_record_close(&r, '[');
    put_version(chosen, neap_conn_version(e->conn));
    if (is_listed(e, chosen))
        neap_record_hex(&r, "chosen_version", chosen, sizeof chosen);
    neap_qlog_end_event(q, &r);
}

/* ---- protocols */

static void write_protocol(struct record *r, const char *name, const void *protocol, size_t size)
{
    neap_record_open(r, name, '{');
    neap_record_text(r, "string_value", protocol, size);
    neap_record_close(r, '{');
}

void neap_qlog_alpns(neap_qlog *q, const neap_trace_event *e)
{
    struct record r = neap_qlog_begin_event(q, e->now, "quic:alpn_information");

    neap_record_open(&r, neap_conn_is_server(e->conn) ? "server_alpns" : "client_alpns", '[');
    for (size_t at = 0; at < e->payload_size; at += 1u + e->payload[at])
        write_protocol(&r, NULL, e->payload + at + 1, e->payload[at]);
    neap_record_close(&r, '[');
    neap_qlog_end_event(q, &r);
}

void neap_qlog_agreed(neap_qlog *q, const neap_trace_event *e)
{
    size_t size = 0;
    uint8_t version[4];
    const char *alpn = neap_conn_alpn(e->conn, &size);
    struct record r = neap_qlog_begin_event(q, e->now, "quic:alpn_information");

    write_protocol(&r, "chosen_alpn", alpn ? alpn : "", size);
    neap_qlog_end_event(q, &r);
    r = neap_qlog_begin_event(q, e->now, "quic:version_information");
    put_version(version, neap_conn_version(e->conn));
    neap_record_hex(&r, "chosen_version", version, sizeof version);
    neap_qlog_end_event(q, &r);
}
