/* What a connection and its paths have counted, for people who look. */
#include "quic/multipath.h"

/* ---- what leaves on the active path alone */

static uint64_t all_datagrams_sent(const neap_conn *c)
{
    return c->datagrams ? c->datagrams->counters.sent : 0;
}

struct path_traffic neap_conn_traffic(const neap_conn *c, const struct path *path)
{
    if (c->traffic)
        return c->traffic[path->index];
    return (struct path_traffic){.packets_sent = c->counters.packets_sent,
                                 .packets_received = c->counters.packets_received,
                                 .bytes_sent = c->counters.bytes_sent,
                                 .bytes_received = c->counters.bytes_received,
                                 .packets_retransmitted = c->counters.packets_retransmitted,
                                 .datagrams_received = c->datagrams ? c->datagrams->counters.received : 0};
}

static uint64_t stream_bytes_resent(const neap_conn *c, const struct path *path)
{
    const struct path_traffic t = neap_conn_traffic(c, path);
    uint64_t since = c->streams.counters.bytes_resent - t.stream_bytes_resent_from;

    return t.stream_bytes_resent + (path == conn_path(c) ? since : 0);
}

static uint64_t datagrams_sent(const neap_conn *c, const struct path *path)
{
    const struct path_traffic t = neap_conn_traffic(c, path);

    return t.datagrams_sent + (path == conn_path(c) ? all_datagrams_sent(c) - t.datagrams_sent_from : 0);
}

void neap_conn_move_traffic(const neap_conn *c, struct path *from, struct path *to)
{
    if (from == to)
        return;
    if (from) {
        c->traffic[from->index].stream_bytes_resent = stream_bytes_resent(c, from);
        c->traffic[from->index].datagrams_sent = datagrams_sent(c, from);
    }
    c->traffic[to->index].stream_bytes_resent_from = c->streams.counters.bytes_resent;
    c->traffic[to->index].datagrams_sent_from = all_datagrams_sent(c);
}

/* ---- all paths together */

static size_t path_count(const neap_conn *c)
{
    size_t count = 0;

    for (size_t i = 0; i < LIMIT_PATHS; i++)
        count += conn_path_at(c, i) != NULL;
    return count;
}

/* Also of those that are gone. */
static neap_time in_flight_time(const neap_conn *c)
{
    neap_time sum = c->recovery.former ? c->recovery.former->in_flight_time : 0;

    for (size_t i = 0; i < LIMIT_PATHS; i++)
        if (conn_path_at(c, i))
            sum += neap_path_recovery_in_flight_time(&conn_path_at(c, i)->recovery, c->now);
    return sum;
}

/* Of path IDs that are gone nobody counts. */
static uint64_t ecn_received(const neap_conn *c, size_t mark)
{
    uint64_t sum = c->application.ack.ecn[mark];

    for (uint8_t slot = 1; slot < conn_slots(c); slot++)
        if (c->multipath->ids[slot].numbers)
            sum += c->multipath->ids[slot].numbers->space.ack.ecn[mark];
    return sum;
}

static void tell_active_path(const neap_conn *c, neap_stats *out)
{
    const struct path_recovery *r = &conn_path(c)->recovery;

    out->congestion_window = r->cc.window;
    out->bytes_in_flight = r->bytes_in_flight;
    out->pacing_rate = r->pacer.rate;
    out->rtt_smoothed = r->rtt.smoothed;
    out->rtt_latest = r->rtt.latest;
    out->rtt_min = r->rtt.min;
    out->rtt_max = r->rtt.max;
    out->rtt_var = r->rtt.var;
    out->max_udp_payload_size = r->pmtu.size;
    out->size_probes_sent = r->pmtu.probes_sent;
    out->size_probes_lost = r->pmtu.probes_lost;
    out->black_holes = r->pmtu.black_holes;
    out->congestion_control = r->cc.ops->name;
    out->ecn = r->ecn.state;
}

static void tell_losses(const neap_conn *c, neap_stats *out)
{
    const struct path_counters lost = neap_recovery_counters(&c->recovery);

    out->packets_lost = lost.packets_lost;
    out->bytes_lost = lost.bytes_lost;
    out->spurious_losses = lost.spurious_losses;
    out->pto_count = lost.pto_total;
    out->congestion_events = lost.congestion_events;
    out->congestion_undone = lost.congestion_undone;
    out->congestion_undo_refused = lost.congestion_undo_refused;
    out->congestion_persistent = lost.congestion_persistent;
    out->ecn_sent = lost.ecn_marked;
    out->ecn_ce_told = lost.ecn_ce;
    out->bytes_acked = lost.bytes_acked;
}

static void tell_streams(const neap_conn *c, neap_stats *out)
{
    const struct streams_counters *s = &c->streams.counters;
    neap_datagram_stats datagrams;

    neap_conn_datagram_stats(c, &datagrams, sizeof datagrams);
    out->stream_bytes_sent = c->streams.bytes_sent;
    out->stream_bytes_received = c->streams.recv_used;
    out->streams_opened = c->streams.opened;
    out->streams_accepted = c->streams.accepted;
    out->receive_credit = c->streams.recv_limit - c->streams.recv_used;
    out->receive_unread = c->streams.recv_used - c->streams.recv_read;
    out->receive_held = c->streams.held;
    out->stream_bytes_resent = s->bytes_resent;
    out->resets_sent = s->resets_sent;
    out->resets_received = s->resets_received;
    out->stops_sent = s->stops_sent;
    out->stops_received = s->stops_received;
    out->data_blocked_sent = s->data_blocked_sent;
    out->stream_data_blocked_sent = s->stream_data_blocked_sent;
    out->streams_blocked_sent = s->streams_blocked_sent;
    out->data_blocked_received = s->data_blocked_received;
    out->stream_data_blocked_received = s->stream_data_blocked_received;
    out->streams_blocked_received = s->streams_blocked_received;
    out->datagrams_sent = datagrams.sent;
    out->datagrams_received = datagrams.received;
    out->datagrams_dropped = datagrams.dropped + datagrams.received_dropped;
}

/* What peers had refused, dropped or done in vain. */
static void tell_bounds(const neap_conn *c, neap_stats *out)
{
    const struct conn_counters *n = &c->counters;

    out->packets_dropped = n->packets_dropped;
    out->undecryptable_kept = n->undecryptable_kept;
    out->path_challenges_received = n->path_challenges_received;
    out->amplification_limited = n->amplification_limited;
    out->packets_refused = n->packets_refused;
    out->undecryptable_refused = n->undecryptable_refused;
    out->packets_forged = c->keys.forged;
    out->packets_unproductive = n->unproductive;
    out->paths_refused = n->paths_refused;
    out->path_responses_dropped = n->path_responses_dropped;
    out->memory_stalls = n->memory_stalls;
    out->ack_ranges_ignored = n->ack_ranges_ignored;
}

static void tell_path_ids(const struct multipath *m, neap_stats *out)
{
    out->path_ids_opened = m->counters.opened;
    out->path_ids_abandoned = m->counters.abandoned;
    out->path_frames_ignored = m->counters.frames_ignored;
    out->stream_frames_copied = m->counters.copies_sent;
    out->path_ids_allowed = (uint64_t)m->ours + 1;
}

void neap_conn_stats(const neap_conn *conn, neap_stats *out, size_t size)
{
    const struct conn_counters *n = &conn->counters;
    neap_stats known = {
        .packets_sent = n->packets_sent,
        .packets_received = n->packets_received,
        .packets_retransmitted = n->packets_retransmitted,
        .bytes_sent = n->bytes_sent,
        .bytes_received = n->bytes_received,
        .key_updates = conn->keys.updates,
        .path_changes = n->path_changes,
        .ecn_received = ecn_received(conn, 0),
        .ecn_ce_received = ecn_received(conn, 2),
        .paths = path_count(conn),
        .in_flight_time = in_flight_time(conn),
    };

    tell_active_path(conn, &known);
    tell_losses(conn, &known);
    tell_streams(conn, &known);
    tell_bounds(conn, &known);
    if (conn->multipath)
        tell_path_ids(conn->multipath, &known);
    fill_sized(out, size, &known, sizeof known);
}

/* ---- one path */

static enum neap_path_state state_of(const struct path *path)
{
    return path->address.validated                ? NEAP_PATH_VALIDATED
           : neap_validation_runs(&path->address) ? NEAP_PATH_VALIDATING
                                                  : NEAP_PATH_UNPROVED;
}

_Static_assert((int)NEAP_STARTUP_LASTS == CC_EXIT_NONE && (int)NEAP_STARTUP_LOSS == CC_EXIT_LOSS &&
                   (int)NEAP_STARTUP_HYSTART == CC_EXIT_HYSTART && (int)NEAP_STARTUP_ECN == CC_EXIT_ECN &&
                   (int)NEAP_STARTUP_PERSISTENT == CC_EXIT_PERSISTENT &&
                   (int)NEAP_STARTUP_BANDWIDTH == CC_EXIT_BANDWIDTH,
               "reasons are the controllers'");

void neap_conn_describe_path(const neap_conn *c, const struct path *path, neap_path_info *out, size_t size)
{
    const struct path_recovery *r = &path->recovery;
    const struct cc_figures figures = neap_path_recovery_figures(r);
    const struct path_traffic traffic = neap_conn_traffic(c, path), *t = &traffic;
    bool measured = r->rtt.has_sample;
    const neap_path_info known = {
        .local = path->address.local,
        .peer = path->address.peer,
        .state = state_of(path),
        .is_active = path == conn_path(c),
        .is_preferred = path->is_preferred,
        .rtt_smoothed = measured ? r->rtt.smoothed : 0,
        .rtt_min = measured ? r->rtt.min : 0,
        .congestion_window = r->cc.window,
        .bytes_in_flight = r->bytes_in_flight,
        .max_udp_payload_size = r->pmtu.size,
        .rtt_latest = measured ? r->rtt.latest : 0,
        .rtt_max = measured ? r->rtt.max : 0,
        .rtt_var = measured ? r->rtt.var : 0,
        .packets_sent = t->packets_sent,
        .packets_received = t->packets_received,
        .packets_lost = r->counters.packets_lost,
        .packets_retransmitted = t->packets_retransmitted,
        .spurious_losses = r->counters.spurious_losses,
        .pto_count = r->counters.pto_total,
        .bytes_sent = t->bytes_sent,
        .bytes_received = t->bytes_received,
        .bytes_lost = r->counters.bytes_lost,
        .bytes_acked = r->counters.bytes_acked,
        .stream_bytes_resent = stream_bytes_resent(c, path),
        .datagrams_sent = datagrams_sent(c, path),
        .datagrams_received = t->datagrams_received,
        .in_flight_time = neap_path_recovery_in_flight_time(r, c->now),
        .pacing_rate = r->pacer.rate,
        .delivery_rate = figures.delivery_rate,
        .max_bandwidth = figures.max_bandwidth,
        .startup_exit_window = figures.startup_exit.window,
        .startup_exit_bandwidth = figures.startup_exit.bandwidth,
        .startup_exit = (enum neap_startup_exit)figures.startup_exit.reason,
        .congestion_control = r->cc.ops->name,
        .congestion_state = figures.state,
        .path_id = neap_multipath_id(c, path->slot),
        .is_open = c->multipath ? c->multipath->ids[path->slot].stage == PATH_ID_OPEN &&
                                      path == multipath_way(c, path->slot)
                                : path == conn_path(c),
        .is_backup = c->multipath && c->multipath->ids[path->slot].is_backup,
        .is_peer_backup = c->multipath && c->multipath->ids[path->slot].is_peer_backup,
    };

    fill_sized(out, size, &known, sizeof known);
}
