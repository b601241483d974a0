/* What is counted and estimated: how it comes to Lua, and that of a connection. */
#include "binding.h"

#include <string.h>

void neap_lua_set_figures(lua_State *L, const void *from, const struct figure *figures, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        uint64_t value;

        memcpy(&value, (const char *)from + figures[i].offset, sizeof value);
        if (figures[i].is_time)
            neap_lua_push_time(L, value);
        else
            neap_lua_push_u64(L, value);
        lua_setfield(L, -2, figures[i].name);
    }
}

static const struct figure figures[] = {
    FIGURE(neap_stats, packets_sent),
    FIGURE(neap_stats, packets_received),
    FIGURE(neap_stats, packets_lost),
    FIGURE(neap_stats, packets_dropped),
    FIGURE(neap_stats, packets_retransmitted),
    FIGURE(neap_stats, bytes_sent),
    FIGURE(neap_stats, bytes_received),
    FIGURE(neap_stats, bytes_lost),
    FIGURE(neap_stats, stream_bytes_sent),
    FIGURE(neap_stats, stream_bytes_received),
    FIGURE(neap_stats, spurious_losses),
    FIGURE(neap_stats, pto_count),
    FIGURE(neap_stats, congestion_window),
    FIGURE(neap_stats, bytes_in_flight),
    FIGURE(neap_stats, pacing_rate),
    FIGURE(neap_stats, streams_opened),
    FIGURE(neap_stats, streams_accepted),
    FIGURE(neap_stats, max_udp_payload_size),
    FIGURE(neap_stats, key_updates),
    FIGURE(neap_stats, undecryptable_kept),
    FIGURE(neap_stats, path_changes),
    FIGURE(neap_stats, receive_credit),
    FIGURE(neap_stats, receive_unread),
    FIGURE(neap_stats, receive_held),
    FIGURE(neap_stats, size_probes_sent),
    FIGURE(neap_stats, size_probes_lost),
    FIGURE(neap_stats, black_holes),
    FIGURE(neap_stats, congestion_events),
    FIGURE(neap_stats, congestion_undone),
    FIGURE(neap_stats, congestion_undo_refused),
    FIGURE(neap_stats, congestion_persistent),
    FIGURE(neap_stats, ecn_sent),
    FIGURE(neap_stats, ecn_ce_told),
    FIGURE(neap_stats, ecn_received),
    FIGURE(neap_stats, ecn_ce_received),
    FIGURE(neap_stats, bytes_acked),
    FIGURE(neap_stats, stream_bytes_resent),
    FIGURE(neap_stats, datagrams_sent),
    FIGURE(neap_stats, datagrams_received),
    FIGURE(neap_stats, paths),
    FIGURE(neap_stats, resets_sent),
    FIGURE(neap_stats, resets_received),
    FIGURE(neap_stats, stops_sent),
    FIGURE(neap_stats, stops_received),
    FIGURE(neap_stats, data_blocked_sent),
    FIGURE(neap_stats, stream_data_blocked_sent),
    FIGURE(neap_stats, streams_blocked_sent),
    FIGURE(neap_stats, data_blocked_received),
    FIGURE(neap_stats, stream_data_blocked_received),
    FIGURE(neap_stats, streams_blocked_received),
    FIGURE(neap_stats, path_challenges_received),
    FIGURE(neap_stats, amplification_limited),
    FIGURE(neap_stats, packets_refused),
    FIGURE(neap_stats, undecryptable_refused),
    FIGURE(neap_stats, packets_forged),
    FIGURE(neap_stats, packets_unproductive),
    FIGURE(neap_stats, paths_refused),
    FIGURE(neap_stats, path_responses_dropped),
    FIGURE(neap_stats, memory_stalls),
    FIGURE(neap_stats, path_ids_opened),
    FIGURE(neap_stats, path_ids_abandoned),
    FIGURE(neap_stats, path_frames_ignored),
    FIGURE(neap_stats, stream_frames_copied),
    FIGURE(neap_stats, path_ids_allowed),
    FIGURE(neap_stats, ack_ranges_ignored),
    FIGURE(neap_stats, datagrams_dropped),
    FIGURE_TIME(neap_stats, rtt_smoothed),
    FIGURE_TIME(neap_stats, rtt_latest),
    FIGURE_TIME(neap_stats, rtt_min),
    FIGURE_TIME(neap_stats, rtt_max),
    FIGURE_TIME(neap_stats, rtt_var),
    FIGURE_TIME(neap_stats, in_flight_time),
};

static int conn_stats(lua_State *L)
{
    static const char *const ecn[] = {"off", "testing", "unknown", "capable", "failed"};
    struct conn_core *core = neap_lua_check_conn(L, 1);
    neap_stats stats;

    if (core->conn == NULL)
        return neap_lua_error(L, NEAP_ERR_CLOSED);
    neap_conn_stats(core->conn, &stats, sizeof stats);
    lua_createtable(L, 0, 76);
    neap_lua_set_figures(L, &stats, FIGURES(figures));
    lua_pushstring(L, stats.congestion_control);
    lua_setfield(L, -2, "congestion_control");
    lua_pushstring(L, ecn[stats.ecn]);
    lua_setfield(L, -2, "ecn");
    return 1;
}

/* conn:figures(name, …) -> the numbers of these names of conn:stats(), without a table */
static int conn_figures(lua_State *L)
{
    struct conn_core *core = neap_lua_check_conn(L, 1);
    int count = lua_gettop(L) - 1;
    neap_stats stats;

    if (core->conn == NULL)
        return neap_lua_error(L, NEAP_ERR_CLOSED);
    luaL_checkstack(L, count, "too many names");
    neap_conn_stats(core->conn, &stats, sizeof stats);
    for (int i = 0; i < count; i++) {
        const char *name = luaL_checkstring(L, i + 2);
        const struct figure *figure = figures, *last = figures + sizeof figures / sizeof *figures;
        uint64_t value;

        while (figure < last && strcmp(figure->name, name) != 0)
            figure++;
        luaL_argcheck(L, figure < last, i + 2, "not the name of a figure");
        memcpy(&value, (const char *)&stats + figure->offset, sizeof value);
        if (figure->is_time)
            neap_lua_push_time(L, value);
        else
            neap_lua_push_u64(L, value);
    }
    return count;
}

const luaL_Reg neap_lua_figure_methods[] = {
    {"figures", conn_figures},
    {"stats", conn_stats},
    {NULL, NULL},
};
