/* Congestion control that somebody outside of the core decides, at the ends of his turns (the option congestion_control). */
#include "quic/multipath.h"

#include "base/fill.h"

static struct path_recovery *steered_path(const neap_conn *c)
{
    struct path_recovery *path = conn_is_alive(c) ? &conn_path(c)->recovery : NULL;

    return path && path->cc.ops == &neap_cc_steered ? path : NULL;
}

void neap_conn_mark_turn(neap_conn *c)
{
    bool is_steered = c->multipath && c->multipath->is_steered && conn_is_alive(c);

    if (c->stage >= STAGE_ESTABLISHED && (is_steered || steered_path(c)))
        c->news |= NEWS_TURN;
}

int neap_conn_take_turn(neap_conn *conn, neap_turn *out, size_t size)
{
    struct path_recovery *path = steered_path(conn);

    if (!path)
        return conn_is_alive(conn) ? NEAP_ERR_STATE : NEAP_ERR_CLOSED;
    struct cc_turn turn = neap_cc_take_turn(&path->cc);
    neap_turn known = {
        .acked_bytes = turn.acked_bytes,
        .lost_bytes = turn.lost_bytes,
        .lost_packets = turn.lost_packets,
        .ce_packets = turn.ce_count,
        .spurious_packets = turn.spurious_packets,
        .delivery_rate = turn.delivery_rate,
        .bytes_in_flight = path->bytes_in_flight,
        .congestion_window = path->cc.window,
        .pacing_rate = path->pacer.rate,
        .max_udp_payload_size = path->pmtu.size,
        .rtt = turn.rtt,
        .rtt_min = turn.rtt_min,
        .rtt_smoothed = path->rtt.smoothed,
        .now = conn->now,
        .is_app_limited = turn.app_limited,
        .is_persistent = turn.is_persistent,
        .is_new_path = turn.is_new_path,
    };

    fill_sized(out, size, &known, sizeof known);
    return cc_turn_has_news(&turn);
}

int neap_conn_steer(neap_conn *conn, uint64_t window, uint64_t pacing_rate)
{
    struct path_recovery *path = steered_path(conn);

    if (!path)
        return conn_is_alive(conn) ? NEAP_ERR_STATE : NEAP_ERR_CLOSED;
    neap_cc_steer(&path->cc, window, pacing_rate, path->pmtu.size);
    neap_path_recovery_update_pacer(path);
    return NEAP_OK;
}

int neap_conn_steer_no_more(neap_conn *conn)
{
    struct path_recovery *path = steered_path(conn);

    if (!path)
        return conn_is_alive(conn) ? NEAP_ERR_STATE : NEAP_ERR_CLOSED;
    neap_cc_steer_no_more(&path->cc, path->pmtu.size);
    neap_path_recovery_update_pacer(path);
    return NEAP_OK;
}

void neap_config_set_policy(neap_config *config, uint64_t policy)
{
    config->policy = policy;
}

uint64_t neap_conn_policy(const neap_conn *conn)
{
    bool is_steered =
        config_option(conn->config, OPTION_congestion_control) == NEAP_CONGESTION_CONTROL_STEERED;

    return is_steered ? conn->config->policy : 0;
}
