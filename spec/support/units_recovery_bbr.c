/* What BBR knows, for specs. */
#include "recovery/cc_bbr.h"

#include "units_recovery.h"

static void set_finite(lua_State *L, const char *name, uint64_t value)
{
    if (value != BBR_INFINITE)
        set_u64(L, name, value);
}

static void set_model(lua_State *L, const struct bbr *b)
{
    set_u64(L, "bw", b->bw);
    set_u64(L, "max_bw", b->max_bw);
    set_u64(L, "bw_latest", b->bw_latest);
    set_u64(L, "inflight_latest", b->inflight_latest);
    set_finite(L, "bw_shortterm", b->bw_shortterm);
    set_finite(L, "inflight_shortterm", b->inflight_shortterm);
    set_finite(L, "inflight_longterm", b->inflight_longterm);
    set_finite(L, "min_rtt", b->min_rtt);
    set_finite(L, "probe_rtt_min_delay", b->probe_rtt_min_delay);
    set_u64(L, "probe_rtt_min_stamp", b->probe_rtt_min_stamp);
    set_u64(L, "max_inflight", b->max_inflight);
    set_u64(L, "extra_acked", b->extra_acked);
    set_u64(L, "prior_window", b->prior_window);
    set_u64(L, "full_bw", b->full_bw);
    set_u64(L, "undo_packets", b->undo_packets);
    set_u64(L, "undone", b->undone);
}

void units_recovery_push_bbr(lua_State *L, const struct cc *cc)
{
    static const char *const phases[] = {"init", "refilling", "starting", "feedback", "stopping"};
    const struct bbr *b = cc->state;

    lua_newtable(L);
    lua_pushstring(L, neap_bbr_state_name(b));
    lua_setfield(L, -2, "state");
    lua_pushstring(L, phases[b->ack_phase]);
    lua_setfield(L, -2, "ack_phase");
    set_model(L, b);
    set_u64(L, "window", cc->window);
    set_u64(L, "pacing_rate", cc->pacing_rate);
    set_u64(L, "send_quantum", cc->send_quantum);
    set_u64(L, "round_count", b->round_count);
    set_u64(L, "rounds_since_probe_up", b->rounds_since_probe_up);
    set_u64(L, "cycle_count", b->cycle_count);
    set_u64(L, "full_bw_count", b->full_bw_count);
    set_u64(L, "bw_probe_wait", b->bw_probe_wait);
    set_u64(L, "bw_probe_up_rounds", b->bw_probe_up_rounds);
    set_u64(L, "cycle_stamp", b->cycle_stamp);
    set_flag(L, "full_bw_now", b->full_bw_now);
    set_flag(L, "full_bw_reached", b->full_bw_reached);
    set_flag(L, "round_start", b->round_start);
    set_flag(L, "is_loss_in_round", b->is_loss_in_round);
    set_flag(L, "in_recovery", b->in_recovery);
    set_flag(L, "idle_restart", b->idle_restart);
    set_flag(L, "prev_probe_too_high", b->prev_probe_too_high);
    set_flag(L, "prev_probe_precautionary", b->prev_probe_precautionary);
}
