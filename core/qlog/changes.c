/* What changed of what a connection says of itself: told once. */
#include "qlog/trace.h"

#include <string.h>

static void write_changes(neap_qlog *q, const neap_stats *now, neap_time at)
{
    const neap_stats *old = &q->last;
    bool all = !q->has_metrics;
    struct record r = neap_qlog_begin_event(q, at, "quic:recovery_metrics_updated");
    char *before = r.at;

#define MS(name, field)                  \
    if (all || now->field != old->field) \
        neap_record_ms(&r, name, now->field);
#define NUMBER(name, field)              \
    if (all || now->field != old->field) \
        neap_record_number(&r, name, now->field);
    MS("min_rtt", rtt_min)
    MS("smoothed_rtt", rtt_smoothed)
    MS("latest_rtt", rtt_latest)
    MS("rtt_variance", rtt_var)
    NUMBER("congestion_window", congestion_window)
    NUMBER("bytes_in_flight", bytes_in_flight)
#undef MS
#undef NUMBER
    if (all || now->pacing_rate != old->pacing_rate) /* bits a second */
        neap_record_number(&r, "pacing_rate",
                           now->pacing_rate < UINT64_MAX / 8 ? now->pacing_rate * 8 : UINT64_MAX);
    if (r.at != before)
        neap_qlog_end_event(q, &r);
}

static void write_mtu(neap_qlog *q, const neap_stats *now, neap_time at)
{
    if (q->has_metrics && now->max_udp_payload_size == q->last.max_udp_payload_size)
        return;
    struct record r = neap_qlog_begin_event(q, at, "quic:mtu_updated");
    if (q->has_metrics)
        neap_record_number(&r, "old", q->last.max_udp_payload_size);
    neap_record_number(&r, "new", now->max_udp_payload_size);
    neap_qlog_end_event(q, &r);
}

static void write_ecn(neap_qlog *q, const neap_stats *now, neap_time at)
{
    static const char *const names[] = {NULL, "testing", "unknown", "capable", "failed"};
    uint64_t old = q->has_metrics ? q->last.ecn : NEAP_ECN_OFF;

    if (now->ecn == old || !names[now->ecn])
        return;
    struct record r = neap_qlog_begin_event(q, at, "quic:ecn_state_updated");
    if (names[old])
        neap_record_string(&r, "old", names[old]);
    neap_record_string(&r, "new", names[now->ecn]);
    neap_qlog_end_event(q, &r);
}

/* Controllers without states of their own are in slow start until that ended, and in recovery or avoidance then. */
static void write_congestion(neap_qlog *q, const neap_conn *conn, const neap_stats *now, neap_time at)
{
    neap_path_info path = {0};

    neap_conn_paths(conn, 0, &path, sizeof path);
    const char *state = path.congestion_state                     ? path.congestion_state
                        : path.startup_exit == NEAP_STARTUP_LASTS ? "slow_start"
                        : q->has_metrics && now->congestion_events > q->last.congestion_events
                            ? "recovery"
                            : "congestion_avoidance";
    if (q->congestion_state == state)
        return;
    struct record r = neap_qlog_begin_event(q, at, "quic:congestion_state_updated");
    if (q->congestion_state)
        neap_record_string(&r, "old", q->congestion_state);
    neap_record_string(&r, "new", state);
    neap_qlog_end_event(q, &r);
    q->congestion_state = state;
}

void neap_qlog_metrics(neap_qlog *q, const neap_trace_event *e)
{
    neap_stats now;

    neap_conn_stats(e->conn, &now, sizeof now);
    write_changes(q, &now, e->now);
    write_mtu(q, &now, e->now);
    write_ecn(q, &now, e->now);
    write_congestion(q, e->conn, &now, e->now);
    q->last = now;
    q->has_metrics = true;
}

/* ---- the loss timer */

void neap_qlog_timer(neap_qlog *q, const neap_trace_event *e)
{
    bool has_expired = e->values[0] != 0;
    neap_time at = has_expired ? NEAP_NEVER : e->number;

    if (at == q->timer_at && !has_expired)
        return;
    struct record r = neap_qlog_begin_event(q, e->now, "quic:timer_updated");
    neap_record_string(&r, "timer_type", "loss_timeout");
    neap_record_string(&r, "event_type", has_expired ? "expired" : at == NEAP_NEVER ? "cancelled" : "set");
    if (at != NEAP_NEVER)
        neap_record_ms(&r, "delta", at > e->now ? at - e->now : 0);
    neap_qlog_end_event(q, &r);
    q->timer_at = at;
}

/* ---- what keeps data back */

void neap_qlog_blocked(neap_qlog *q, const neap_trace_event *e)
{
    static const char *const reasons[] = {NULL,
                                          [NEAP_TRACE_BLOCKED_AMPLIFICATION] = "amplification_protection",
                                          [NEAP_TRACE_BLOCKED_CONGESTION] = "congestion_control",
                                          [NEAP_TRACE_BLOCKED_PACING] = "pacing",
                                          [NEAP_TRACE_BLOCKED_CONNECTION] = "connection_flow_control",
                                          [NEAP_TRACE_BLOCKED_STREAM] = "stream_flow_control"};
    uint64_t now = e->values[0];

    if (now == q->blocked)
        return;
    struct record r = neap_qlog_begin_event(q, e->now, "quic:connection_data_blocked_updated");
    neap_record_string(&r, "old", q->blocked ? "blocked" : "unblocked");
    neap_record_string(&r, "new", now ? "blocked" : "unblocked");
    if (reasons[now])
        neap_record_string(&r, "reason", reasons[now]);
    neap_qlog_end_event(q, &r);
    q->blocked = (uint8_t)now;
}

/* ---- headers */

/* The peer's connection ID is in use with the first packet to it, ours with the first that names it. */
static void write_cid(neap_qlog *q, const neap_trace_event *e, bool is_ours)
{
    neap_cid *old = &q->cids[is_ours];

    if (old->size == e->dcid->size && memcmp(old->bytes, e->dcid->bytes, old->size) == 0)
        return;
    struct record r = neap_qlog_begin_event(q, e->now, "quic:connection_id_updated");
    neap_qlog_initiator(&r, !is_ours);
    neap_record_hex(&r, "old", old->bytes, old->size);
    neap_record_hex(&r, "new", e->dcid->bytes, e->dcid->size);
    neap_qlog_end_event(q, &r);
    *old = *e->dcid;
}

void neap_qlog_header_changes(neap_qlog *q, const neap_trace_event *e)
{
    bool is_sent = e->kind == NEAP_TRACE_PACKET_SENT, spin = e->values[4] != 0;

    if (e->dcid)
        write_cid(q, e, !is_sent);
    if (!is_sent || e->packet_type != NEAP_PACKET_SHORT || spin == q->spin)
        return;
    struct record r = neap_qlog_begin_event(q, e->now, "quic:spin_bit_updated");
    neap_record_bool(&r, "state", spin);
    neap_qlog_end_event(q, &r);
    q->spin = spin;
}
