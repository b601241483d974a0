/* What a connection counts and estimates. */
#include "binding.h"

static void set_seconds(lua_State *L, const char *name, neap_time time)
{
    neap_lua_push_time(L, time);
    lua_setfield(L, -2, name);
}

static int conn_stats(lua_State *L)
{
    static const char *const ecn[] = {"off", "testing", "unknown", "capable", "failed"};
    struct conn_core *core = neap_lua_check_conn(L, 1);
    neap_stats stats;

    if (core->conn == NULL)
        return neap_lua_error(L, NEAP_ERR_CLOSED);
    neap_conn_stats(core->conn, &stats, sizeof stats);
    lua_createtable(L, 0, 76);
#define COUNTER(name) neap_lua_set_u64(L, #name, stats.name);
    COUNTER(packets_sent)
    COUNTER(packets_received)
    COUNTER(packets_lost)
    COUNTER(packets_dropped)
    COUNTER(packets_retransmitted)
    COUNTER(bytes_sent)
    COUNTER(bytes_received)
    COUNTER(bytes_lost)
    COUNTER(stream_bytes_sent)
    COUNTER(stream_bytes_received)
    COUNTER(spurious_losses)
    COUNTER(pto_count)
    COUNTER(congestion_window)
    COUNTER(bytes_in_flight)
    COUNTER(pacing_rate)
    COUNTER(streams_opened)
    COUNTER(streams_accepted)
    COUNTER(max_udp_payload_size)
    COUNTER(key_updates)
    COUNTER(undecryptable_kept)
    COUNTER(path_changes)
    COUNTER(receive_credit)
    COUNTER(receive_unread)
    COUNTER(receive_held)
    COUNTER(size_probes_sent)
    COUNTER(size_probes_lost)
    COUNTER(black_holes)
    COUNTER(congestion_events)
    COUNTER(congestion_undone)
    COUNTER(congestion_undo_refused)
    COUNTER(congestion_persistent)
    COUNTER(ecn_sent)
    COUNTER(ecn_ce_told)
    COUNTER(ecn_received)
    COUNTER(ecn_ce_received)
    COUNTER(bytes_acked)
    COUNTER(stream_bytes_resent)
    COUNTER(datagrams_sent)
    COUNTER(datagrams_received)
    COUNTER(paths)
    COUNTER(resets_sent)
    COUNTER(resets_received)
    COUNTER(stops_sent)
    COUNTER(stops_received)
    COUNTER(data_blocked_sent)
    COUNTER(stream_data_blocked_sent)
    COUNTER(streams_blocked_sent)
    COUNTER(data_blocked_received)
    COUNTER(stream_data_blocked_received)
    COUNTER(streams_blocked_received)
    COUNTER(path_challenges_received)
    COUNTER(amplification_limited)
    COUNTER(packets_refused)
    COUNTER(undecryptable_refused)
    COUNTER(packets_forged)
    COUNTER(packets_unproductive)
    COUNTER(paths_refused)
    COUNTER(path_responses_dropped)
    COUNTER(memory_stalls)
    COUNTER(path_ids_opened)
    COUNTER(path_ids_abandoned)
    COUNTER(path_frames_ignored)
    COUNTER(stream_frames_copied)
    COUNTER(path_ids_allowed)
    COUNTER(ack_ranges_ignored)
    COUNTER(datagrams_dropped)
#undef COUNTER
    lua_pushstring(L, stats.congestion_control);
    lua_setfield(L, -2, "congestion_control");
    lua_pushstring(L, ecn[stats.ecn]);
    lua_setfield(L, -2, "ecn");
    set_seconds(L, "rtt_smoothed", stats.rtt_smoothed);
    set_seconds(L, "rtt_latest", stats.rtt_latest);
    set_seconds(L, "rtt_min", stats.rtt_min);
    set_seconds(L, "rtt_max", stats.rtt_max);
    set_seconds(L, "rtt_var", stats.rtt_var);
    set_seconds(L, "in_flight_time", stats.in_flight_time);
    return 1;
}

const luaL_Reg neap_lua_figure_methods[] = {
    {"stats", conn_stats},
    {NULL, NULL},
};
