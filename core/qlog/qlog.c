/* A tracer that writes qlog (draft-ietf-quic-qlog-main-schema §5, -quic-events, -h3-events): what happened, and what changed of
 * what a connection says of itself, as JSON text sequences. Names and fields are the drafts'. */
#include "qlog/frames.h"
#include "qlog/trace.h"

#include <string.h>

#define RECORD_MOST 8192u /* bytes of one event */
#define RS "\x1e"         /* RFC 7464 §2.2 */

neap_qlog *neap_qlog_init(void *memory, size_t size, const neap_qlog_config *config)
{
    neap_qlog *q = memory;

    if (size < NEAP_QLOG_MEMORY)
        return NULL;
    *q = (neap_qlog){.tracer = {.context = q}, .config = *config};
    q->record.start = q->record.at = (char *)(q + 1);
    q->record.end = (char *)memory + size;
    return q;
}

_Static_assert(sizeof(neap_qlog) + RECORD_MOST <= NEAP_QLOG_MEMORY, "there is room for an event");

uint64_t neap_qlog_dropped(const neap_qlog *q)
{
    return q->dropped;
}

void neap_qlog_flush(neap_qlog *q)
{
    size_t size = (size_t)(q->record.at - q->record.start);

    if (size > 0)
        q->config.write(q->config.context, q->record.start, size);
    q->record.at = q->record.start;
}

/* ---- one record */

static struct record begin(neap_qlog *q)
{
    if ((size_t)(q->record.end - q->record.at) < RECORD_MOST)
        neap_qlog_flush(q);
    return (struct record){.start = q->record.at, .at = q->record.at, .end = q->record.at + RECORD_MOST};
}

static void finish(neap_qlog *q, struct record *r)
{
    neap_record_put(r, "\n");
    uint64_t size = (uint64_t)(r->at - r->start);
    bool is_too_much = q->config.max_bytes > 0 && q->written + size > q->config.max_bytes;

    if (r->full || is_too_much) {
        q->dropped += q->is_wanted;
        return;
    }
    q->written += size;
    q->record.at = r->at;
}

struct record neap_qlog_begin_event(neap_qlog *q, neap_time now, const char *name)
{
    struct record r = begin(q);

    q->is_wanted = !q->config.wants || q->config.wants(q->config.context, name);
    r.full = !q->is_wanted;
    neap_record_put(&r, RS "{");
    neap_record_ms(&r, "time", now > q->began_at ? now - q->began_at : 0);
    neap_record_string(&r, "name", name);
    neap_record_open(&r, "data", '{');
    return r;
}

void neap_qlog_end_event(neap_qlog *q, struct record *r)
{
    neap_record_put(r, "}}");
    finish(q, r);
}

/* ---- the beginning */

static void write_header(neap_qlog *q, const neap_conn *conn)
{
    struct record r = begin(q);
    bool is_server = neap_conn_is_server(conn);
    neap_cid source, destination, original;

    q->is_wanted = true;
    neap_conn_ids(conn, &source, &destination, &original);
    neap_record_put(&r, RS "{");
    neap_record_string(&r, "file_schema", "urn:ietf:params:qlog:file:sequential");
    neap_record_string(&r, "serialization_format", "application/qlog+json-seq");
    neap_record_string(&r, "title", is_server ? "neap server" : "neap client");
    neap_record_open(&r, "trace", '{');
    neap_record_open(&r, "common_fields", '{');
    neap_record_hex(&r, "group_id", original.bytes, original.size);
    neap_record_string(&r, "time_format", "relative_to_epoch");
    neap_record_open(&r, "reference_time", '{');
    neap_record_string(&r, "clock_type", "monotonic");
    neap_record_string(&r, "epoch", "unknown");
    neap_record_put(&r, "}}");
    neap_record_open(&r, "vantage_point", '{');
    neap_record_string(&r, "type", is_server ? "server" : "client");
    neap_record_close(&r, '{');
    neap_record_put(&r, ",\"event_schemas\":[\"urn:ietf:params:qlog:events:quic-13\","
                        "\"urn:ietf:params:qlog:events:http3-13\"]}}");
    finish(q, &r);
}

void neap_qlog_initiator(struct record *r, bool is_peer)
{
    neap_record_string(r, "initiator", is_peer ? "remote" : "local");
}

void neap_qlog_length(struct record *r, uint64_t size)
{
    neap_record_open(r, "raw", '{');
    neap_record_number(r, "length", size);
    neap_record_close(r, '{');
}

static void write_state(neap_qlog *q, neap_time now, const char *state)
{
    struct record r = neap_qlog_begin_event(q, now, "quic:connection_state_updated");

    neap_record_string(&r, "new", state);
    neap_qlog_end_event(q, &r);
}

static void write_start(neap_qlog *q, const neap_trace_event *e)
{
    neap_path_info path = {0};
    neap_cid source, destination, original;

    q->is_begun = true;
    q->began_at = e->now;
    q->timer_at = NEAP_NEVER;
    write_header(q, e->conn);
    neap_conn_paths(e->conn, 0, &path, sizeof path);
    neap_conn_ids(e->conn, &source, &destination, &original);
    q->cids[0] = destination;
    q->cids[1] = neap_conn_is_server(e->conn) && !neap_conn_is_established(e->conn) ? original : source;
    struct record r = neap_qlog_begin_event(q, e->now, "quic:connection_started");
    neap_record_address(&r, "local", &path.local, &source);
    neap_record_address(&r, "remote", &path.peer, &destination);
    neap_qlog_end_event(q, &r);
    write_state(q, e->now, "attempted");
    r = neap_qlog_begin_event(q, e->now, "quic:recovery_parameters_set");
    neap_record_number(&r, "reordering_threshold", 3);
    neap_record_put(&r, ",\"time_threshold\":1.125");
    neap_record_number(&r, "timer_granularity", 1);
    neap_record_number(&r, "max_datagram_size", path.max_udp_payload_size);
    neap_record_number(&r, "initial_congestion_window", path.congestion_window);
    neap_record_number(&r, "minimum_congestion_window", 2 * path.max_udp_payload_size);
    neap_record_number(&r, "persistent_congestion_threshold", 3);
    neap_record_string(&r, "congestion_control", path.congestion_control ? path.congestion_control : "");
    neap_qlog_end_event(q, &r);
}

/* ---- packets */

static const char *type_name(enum neap_packet_type type)
{
    switch (type) {
    case NEAP_PACKET_INITIAL: return "initial";
    case NEAP_PACKET_0RTT: return "0RTT";
    case NEAP_PACKET_HANDSHAKE: return "handshake";
    case NEAP_PACKET_RETRY: return "retry";
    case NEAP_PACKET_VERSION_NEGOTIATION: return "version_negotiation";
    case NEAP_PACKET_SHORT: return "1RTT";
    }
    return "unknown";
}

static void write_packet_header(struct record *r, const neap_trace_event *e, bool has_number)
{
    neap_record_open(r, "header", '{');
    neap_record_string(r, "packet_type", type_name(e->packet_type));
    if (has_number)
        neap_record_number(r, "packet_number", e->number);
    if (e->path_id)
        neap_record_number(r, "path_id", e->path_id);
    if (e->payload && e->packet_type == NEAP_PACKET_SHORT) {
        neap_record_bool(r, "spin_bit", e->values[4] != 0);
        neap_record_bool(r, "key_phase_bit", e->values[1] != 0);
    } else if (e->dcid) {
        neap_record_hex(r, "dcid", e->dcid->bytes, e->dcid->size);
    }
    neap_record_close(r, '{');
}

static void write_packet(neap_qlog *q, const neap_trace_event *e, const char *name)
{
    neap_qlog_header_changes(q, e);
    struct record r = neap_qlog_begin_event(q, e->now, name);
    write_packet_header(&r, e, true);
    neap_qlog_length(&r, e->size);
    if (e->values[0])
        neap_record_bool(&r, "is_mtu_probe_packet", true);
    if (e->values[2])
        neap_record_string(&r, "trigger", "pto_probe");
    if (e->values[5])
        neap_record_string(&r, "trigger", "keys_available");
    neap_qlog_frames(&r, span_of(e->payload, e->payload_size), (unsigned)e->values[3], q->is_h3);
    neap_qlog_end_event(q, &r);
}

/* Why a packet was dropped, as the draft sorts it; what is not here is "general". */
static const struct {
    const char *why, *trigger;
} drops[] = {
    {"a duplicate", "duplicate"},
    {"it does not open", "decryption_failure"},
    {"no keys", "key_unavailable"},
    {"not one of our connection IDs", "connection_unknown"},
    {"another destination in one datagram", "connection_unknown"},
    {"no packet of a known version", "unsupported"},
    {"no room for what is in it", "internal_error"},
    {"too short", "invalid"},
    {"empty", "invalid"},
    {"the fixed bit is clear", "invalid"},
    {"an Initial in a datagram below 1200 bytes", "invalid"},
    {"an Initial with a token from a server", "invalid"},
    {"from another address", "rejected"},
};

static void write_drop(neap_qlog *q, const neap_trace_event *e)
{
    struct record r = neap_qlog_begin_event(q, e->now, "quic:packet_dropped");
    const char *why = e->why ? e->why : "", *trigger = "general";

    for (size_t i = 0; i < sizeof drops / sizeof drops[0]; i++)
        if (strcmp(why, drops[i].why) == 0)
            trigger = drops[i].trigger;
    write_packet_header(&r, e, false);
    neap_qlog_length(&r, e->size);
    neap_record_open(&r, "details", '{');
    neap_record_string(&r, "why", why);
    neap_record_close(&r, '{');
    neap_record_string(&r, "trigger", trigger);
    neap_qlog_end_event(q, &r);
}

static void write_kept(neap_qlog *q, const neap_trace_event *e)
{
    struct record r = neap_qlog_begin_event(q, e->now, "quic:packet_buffered");

    write_packet_header(&r, e, false);
    neap_qlog_length(&r, e->size);
    neap_record_string(&r, "trigger", "keys_unavailable");
    neap_qlog_end_event(q, &r);
}

static void write_lost(neap_qlog *q, const neap_trace_event *e)
{
    struct record r = neap_qlog_begin_event(q, e->now, "quic:packet_lost");

    write_packet_header(&r, e, true);
    if (e->values[0])
        neap_record_bool(&r, "is_mtu_probe_packet", true);
    neap_record_string(&r, "trigger", e->values[1] ? "reordering_threshold" : "time_threshold");
    neap_qlog_end_event(q, &r);
}

/* ---- acknowledged packets, gathered */

static void write_acked(neap_qlog *q)
{
    if (q->acked_count == 0)
        return;
    struct record r = neap_qlog_begin_event(q, q->acked_at, "quic:packets_acked");
    neap_record_string(&r, "packet_number_space",
                       q->acked_type == NEAP_PACKET_INITIAL     ? "initial"
                       : q->acked_type == NEAP_PACKET_HANDSHAKE ? "handshake"
                                                                : "application_data");
    neap_record_open(&r, "packet_numbers", '[');
    for (size_t i = 0; i < q->acked_count; i++)
        neap_record_number(&r, NULL, q->acked[i]);
    neap_record_close(&r, '[');
    neap_qlog_end_event(q, &r);
    q->acked_count = 0;
}

static void gather_acked(neap_qlog *q, const neap_trace_event *e)
{
    if (q->acked_count == ACKED_MOST ||
        (q->acked_count > 0 && (q->acked_type != e->packet_type || q->acked_at != e->now)))
        write_acked(q);
    q->acked_type = (uint8_t)e->packet_type;
    q->acked_at = e->now;
    q->acked[q->acked_count++] = e->number;
}

/* ---- stages */

static void write_stage(neap_qlog *q, const neap_trace_event *e)
{
    const char *why = e->why ? e->why : "";

    if (strcmp(why, "established") == 0) {
        write_state(q, e->now, "handshake_complete");
        neap_qlog_agreed(q, e);
    } else {
        write_state(q, e->now, strcmp(why, "confirmed") == 0 ? "handshake_confirmed" : why);
    }
}

static void write_key(neap_qlog *q, const neap_trace_event *e, const char *name, const char *key)
{
    struct record r = neap_qlog_begin_event(q, e->now, name);

    neap_record_string(&r, "key_type", key);
    if (e->kind == NEAP_TRACE_KEYS_UPDATED)
        neap_record_number(&r, "key_phase", e->number);
    else
        neap_record_string(&r, "trigger", "tls");
    neap_qlog_end_event(q, &r);
}

static void write_keys(neap_qlog *q, const neap_trace_event *e)
{
    bool is_initial = e->packet_type == NEAP_PACKET_INITIAL;

    if (e->kind == NEAP_TRACE_KEYS_UPDATED) {
        write_key(q, e, "quic:key_updated",
                  neap_conn_is_server(e->conn) ? "server_1rtt_secret" : "client_1rtt_secret");
        return;
    }
    write_key(q, e, "quic:key_discarded", is_initial ? "client_initial_secret" : "client_handshake_secret");
    write_key(q, e, "quic:key_discarded", is_initial ? "server_initial_secret" : "server_handshake_secret");
}

static void write_closed(neap_qlog *q, const neap_trace_event *e)
{
    static const char *const triggers[] = {"unspecified",  "application",     "unspecified",
                                           "idle_timeout", "stateless_reset", "version_mismatch",
                                           "aborted"};
    struct record r = neap_qlog_begin_event(q, e->now, "quic:connection_closed");
    neap_close_info info;
    uint64_t by = e->values[0];

    neap_conn_close_info(e->conn, &info, sizeof info);
    neap_qlog_initiator(&r, by == NEAP_CLOSE_PEER || by == NEAP_CLOSE_RESET);
    if (by == NEAP_CLOSE_LOCAL || by == NEAP_CLOSE_PEER) {
        if (info.is_application)
            neap_qlog_application_error(&r, "application_error", e->values[1], q->is_h3);
        else
            neap_qlog_transport_error(&r, "connection_error", e->values[1]);
    }
    if (e->why)
        neap_record_string(&r, "reason", e->why);
    bool is_error = by == NEAP_CLOSE_LOCAL && !info.is_application && e->values[1] != 0;
    neap_record_string(&r, "trigger", is_error ? "error" : triggers[by]);
    neap_qlog_end_event(q, &r);
    write_state(q, e->now,
                by == NEAP_CLOSE_LOCAL                            ? "closing"
                : by == NEAP_CLOSE_PEER || by == NEAP_CLOSE_RESET ? "draining"
                                                                  : "closed");
    neap_qlog_flush(q);
}

/* ---- paths */

static void write_path(neap_qlog *q, const neap_trace_event *e)
{
    static const char *const states[] = {[NEAP_PATH_EVENT_VALIDATED] = "probing_successful",
                                         [NEAP_PATH_EVENT_FAILED] = "probing_abandoned",
                                         [NEAP_PATH_EVENT_MIGRATED] = "migration_complete",
                                         [NEAP_PATH_EVENT_PEER_MIGRATED] = "migration_complete",
                                         [NEAP_PATH_EVENT_OPENED] = "path_opened",
                                         [NEAP_PATH_EVENT_CLOSED] = "path_closed",
                                         [NEAP_PATH_EVENT_STATUS] = "path_status"};
    char id[] = {(char)('0' + e->number % 10), 0};
    struct record r = neap_qlog_begin_event(q, e->now, "quic:migration_state_updated");

    neap_record_string(&r, "new", states[e->values[0]]);
    neap_record_string(&r, "tuple_id", id);
    neap_record_address(&r, "tuple_remote", e->peer, NULL);
    neap_record_address(&r, "tuple_local", e->local, NULL);
    neap_qlog_end_event(q, &r);
    r = neap_qlog_begin_event(q, e->now, "quic:tuple_assigned");
    neap_record_string(&r, "tuple_id", id);
    if (e->values[0] != NEAP_PATH_EVENT_FAILED) {
        neap_record_address(&r, "tuple_remote", e->peer, NULL);
        neap_record_address(&r, "tuple_local", e->local, NULL);
    }
    neap_qlog_end_event(q, &r);
}

/* ---- events in */

static void write_end(neap_qlog *q)
{
    neap_qlog_flush(q);
    if (q->config.end)
        q->config.end(q->config.context); /* it may be gone now */
}

void neap_qlog_event(neap_qlog *q, const neap_trace_event *e)
{
    if (e->kind == NEAP_TRACE_GONE) {
        write_acked(q);
        write_end(q);
        return;
    }
    if (!e->conn)
        return;
    if (!q->is_begun)
        write_start(q, e);
    if (e->kind == NEAP_TRACE_PACKET_ACKED) {
        gather_acked(q, e);
        return;
    }
    write_acked(q);
    switch (e->kind) {
    case NEAP_TRACE_PACKET_SENT: write_packet(q, e, "quic:packet_sent"); break;
    case NEAP_TRACE_PACKET_RECEIVED: write_packet(q, e, "quic:packet_received"); break;
    case NEAP_TRACE_PACKET_DROPPED: write_drop(q, e); break;
    case NEAP_TRACE_PACKET_KEPT: write_kept(q, e); break;
    case NEAP_TRACE_PACKET_LOST: write_lost(q, e); break;
    case NEAP_TRACE_METRICS: neap_qlog_metrics(q, e); break;
    case NEAP_TRACE_KEYS_DISCARDED:
    case NEAP_TRACE_KEYS_UPDATED: write_keys(q, e); break;
    case NEAP_TRACE_HANDSHAKE_STATE: write_stage(q, e); break;
    case NEAP_TRACE_CLOSED: write_closed(q, e); break;
    case NEAP_TRACE_PARAMETERS: neap_qlog_parameters(q, e); break;
    case NEAP_TRACE_PATH: write_path(q, e); break;
    case NEAP_TRACE_VERSIONS: neap_qlog_versions(q, e); break;
    case NEAP_TRACE_ALPNS: neap_qlog_alpns(q, e); break;
    case NEAP_TRACE_TIMER: neap_qlog_timer(q, e); break;
    case NEAP_TRACE_UDP_SENT:
    case NEAP_TRACE_UDP_RECEIVED: neap_qlog_udp(q, e); break;
    case NEAP_TRACE_BLOCKED: neap_qlog_blocked(q, e); break;
    case NEAP_TRACE_STREAM: neap_qlog_stream(q, e); break;
    case NEAP_TRACE_STREAM_DATA: neap_qlog_stream_data(q, e); break;
    case NEAP_TRACE_DATAGRAM_DATA: neap_qlog_datagram_data(q, e); break;
    case NEAP_TRACE_H3_SETTINGS: neap_qlog_h3_settings(q, e); break;
    case NEAP_TRACE_H3_STREAM: neap_qlog_h3_stream(q, e); break;
    case NEAP_TRACE_H3_FRAME: neap_qlog_h3_frame(q, e); break;
    case NEAP_TRACE_H3_PRIORITY: neap_qlog_h3_priority(q, e); break;
    case NEAP_TRACE_ACCEPT_FAILED:
    case NEAP_TRACE_PACKET_ACKED:
    case NEAP_TRACE_GONE: break;
    }
}

static void emit(void *context, const neap_trace_event *event)
{
    neap_qlog_event(context, event);
}

void neap_conn_set_qlog(neap_conn *conn, neap_qlog *q)
{
    q->tracer.emit = emit;
    neap_conn_set_tracer(conn, &q->tracer);
}
