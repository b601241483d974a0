/* Congestion control that a script decides: what a turn brought, and the window that follows. */
#include "binding.h"

#include <math.h>

/* A number that is none, or below 0, is an error; what is too large is the most, and a part of a byte is one: 0 has a
 * meaning of its own. */
static uint64_t check_amount(lua_State *L, int index)
{
    lua_Number number = luaL_checknumber(L, index);

    luaL_argcheck(L, number >= 0, index, "must be a number from 0");
    return number < 0x1p62 ? (uint64_t)ceil(number) : UINT64_C(1) << 62;
}

/* conn:steer(window [, pacing_rate = 0]) -> true | nil, message, code */
static int conn_steer(lua_State *L)
{
    struct conn_core *core = neap_lua_check_conn(L, 1);
    uint64_t window = check_amount(L, 2), rate = lua_isnoneornil(L, 3) ? 0 : check_amount(L, 3);

    if (core->conn == NULL)
        return neap_lua_error(L, NEAP_ERR_CLOSED);
    int rc = neap_conn_steer(core->conn, window, rate);
    neap_lua_conn_touch(core);
    return neap_lua_result(L, rc);
}

/* conn:steer_no_more() -> true | nil, message, code */
static int conn_steer_no_more(lua_State *L)
{
    struct conn_core *core = neap_lua_check_conn(L, 1);

    if (core->conn == NULL)
        return neap_lua_error(L, NEAP_ERR_CLOSED);
    int rc = neap_conn_steer_no_more(core->conn);
    neap_lua_conn_touch(core);
    return neap_lua_result(L, rc);
}

static void push_turn(lua_State *L, const neap_turn *turn)
{
    static const struct figure figures[] = {
        FIGURE(neap_turn, acked_bytes),       FIGURE(neap_turn, lost_bytes),
        FIGURE(neap_turn, lost_packets),      FIGURE(neap_turn, ce_packets),
        FIGURE(neap_turn, spurious_packets),  FIGURE(neap_turn, delivery_rate),
        FIGURE(neap_turn, bytes_in_flight),   FIGURE(neap_turn, congestion_window),
        FIGURE(neap_turn, pacing_rate),       FIGURE(neap_turn, max_udp_payload_size),
        FIGURE_TIME(neap_turn, rtt),          FIGURE_TIME(neap_turn, rtt_min),
        FIGURE_TIME(neap_turn, rtt_smoothed), FIGURE_TIME(neap_turn, now),
    };
    neap_lua_set_figures(L, turn, FIGURES(figures));
    lua_pushboolean(L, turn->is_app_limited);
    lua_setfield(L, -2, "is_app_limited");
    lua_pushboolean(L, turn->is_persistent);
    lua_setfield(L, -2, "is_persistent");
    lua_pushboolean(L, turn->is_new_path);
    lua_setfield(L, -2, "is_new_path");
}

/* conn:take_turn([into]) -> turn | nil, "done", "again" when nothing came or went | nil, message, code */
static int conn_take_turn(lua_State *L)
{
    struct conn_core *core = neap_lua_check_conn(L, 1);
    neap_turn turn;

    lua_settop(L, 2);
    if (core->conn == NULL)
        return neap_lua_error(L, NEAP_ERR_CLOSED);
    int rc = neap_conn_take_turn(core->conn, &turn, sizeof turn);
    if (rc <= 0)
        return neap_lua_error(L, rc ? rc : NEAP_ERR_AGAIN);
    if (!lua_istable(L, 2)) {
        lua_settop(L, 1);
        lua_createtable(L, 0, 18);
    }
    push_turn(L, &turn);
    return 1;
}

/* conn:policy() -> the number of who steers it | nil */
static int conn_policy(lua_State *L)
{
    struct conn_core *core = neap_lua_check_conn(L, 1);
    uint64_t policy = core->conn != NULL ? neap_conn_policy(core->conn) : 0;

    if (policy == 0)
        return 0;
    neap_lua_push_u64(L, policy);
    return 1;
}

const luaL_Reg neap_lua_steer_methods[] = {
    {"policy", conn_policy},
    {"take_turn", conn_take_turn},
    {"steer", conn_steer},
    {"steer_no_more", conn_steer_no_more},
    {NULL, NULL},
};
