/* Units of core/recovery that stand alone: received numbers, NewReno, the pacer, the search for the datagram size. */
#include "units_recovery.h"

#include "recovery/ack.h"
#include "recovery/cc_cubic.h"
#include "recovery/loss.h"
#include "recovery/pacer.h"
#include "recovery/pmtu.h"

static neap_time check_time(lua_State *L, int index)
{
    return lua_isnoneornil(L, index) ? 0 : to_u64(L, index);
}

/* Nothing for never and none. */
static void set_some(lua_State *L, const char *name, uint64_t value)
{
    if (value != UINT64_MAX)
        set_u64(L, name, value);
}

/* ---- ack([memory limit]) */

#define ACK "neap.units.ack"

struct unit_ack {
    struct pool *pool;
    struct ack_state a;
};

static struct unit_ack *check_ack(lua_State *L)
{
    return luaL_checkudata(L, 1, ACK);
}

static int ack_new(lua_State *L)
{
    size_t limit = (size_t)luaL_optnumber(L, 1, 0);
    struct unit_ack *u = units_recovery_object(L, ACK, sizeof(*u));

    neap_ack_init(&u->a);
    u->pool = units_recovery_pool(L, limit);
    return 1;
}

static int ack_gc(lua_State *L)
{
    struct unit_ack *u = check_ack(L);

    if (u->pool) {
        neap_ack_free(&u->a, u->pool);
        neap_pool_release(u->pool);
        u->pool = NULL;
    }
    return 0;
}

static bool option_flag(lua_State *L, int index, const char *name, bool otherwise)
{
    bool value = otherwise;

    if (lua_istable(L, index)) {
        lua_getfield(L, index, name);
        value = lua_isnil(L, -1) ? otherwise : lua_toboolean(L, -1);
        lua_pop(L, 1);
    }
    return value;
}

static uint64_t option_u64(lua_State *L, int index, const char *name, uint64_t otherwise)
{
    uint64_t value = otherwise;

    if (lua_istable(L, index)) {
        lua_getfield(L, index, name);
        value = lua_isnil(L, -1) ? otherwise : to_u64(L, -1);
        lua_pop(L, 1);
    }
    return value;
}

/* note(number, now [, {eliciting = true, immediate = false, ecn = 0, max_ack_delay = 25 ms}]) -> code */
static int ack_note(lua_State *L)
{
    struct unit_ack *u = check_ack(L);

    lua_pushnumber(L,
                   neap_ack_note(&u->a, u->pool, to_u64(L, 2), option_flag(L, 4, "eliciting", true),
                                 option_flag(L, 4, "immediate", false), (uint8_t)option_u64(L, 4, "ecn", 0),
                                 option_u64(L, 4, "max_ack_delay", 25 * NEAP_MILLISECOND), check_time(L, 3)));
    return 1;
}

/* policy({every = 2, reordering = 1, max_delay = 0}) */
static int ack_policy(lua_State *L)
{
    check_ack(L)->a.policy = (struct ack_policy){.every = (uint32_t)option_u64(L, 2, "every", 2),
                                                 .reordering = (uint32_t)option_u64(L, 2, "reordering", 1),
                                                 .max_delay = option_u64(L, 2, "max_delay", 0)};
    return 0;
}

static int ack_is_duplicate(lua_State *L)
{
    lua_pushboolean(L, neap_ack_is_duplicate(&check_ack(L)->a, to_u64(L, 2)));
    return 1;
}

static int ack_is_due(lua_State *L)
{
    lua_pushboolean(L, neap_ack_is_due(&check_ack(L)->a, check_time(L, 2)));
    return 1;
}

static int ack_delay(lua_State *L)
{
    push_u64(L, neap_ack_delay(&check_ack(L)->a, (unsigned)luaL_checknumber(L, 2), check_time(L, 3)));
    return 1;
}

static int ack_sent(lua_State *L)
{
    neap_ack_sent(&check_ack(L)->a);
    return 0;
}

static int ack_confirmed(lua_State *L)
{
    neap_ack_confirmed(&check_ack(L)->a, to_u64(L, 2));
    return 0;
}

static int ack_trim(lua_State *L)
{
    struct unit_ack *u = check_ack(L);

    neap_ack_trim(&u->a, u->pool);
    return 0;
}

/* ranges() -> {{first, last}, …} ascending */
/* ack:ranges([most]) -> those that an ACK tells now */
static int ack_ranges(lua_State *L)
{
    struct range room[LIMIT_ACK_RANGES_KEPT];
    size_t count;
    const struct range *ranges =
        neap_ack_untold(&check_ack(L)->a, room, (size_t)luaL_optinteger(L, 2, LIMIT_ACK_RANGES_KEPT), &count);

    lua_newtable(L);
    for (size_t i = 0; i < count; i++) {
        lua_newtable(L);
        push_u64(L, ranges[i].start);
        lua_rawseti(L, -2, 1);
        push_u64(L, ranges[i].end - 1);
        lua_rawseti(L, -2, 2);
        lua_rawseti(L, -2, (int)i + 1);
    }
    return 1;
}

static int ack_state(lua_State *L)
{
    struct unit_ack *u = check_ack(L);

    lua_newtable(L);
    set_some(L, "largest", u->a.largest);
    set_u64(L, "floor", u->a.floor);
    set_some(L, "send_at", u->a.send_at);
    set_flag(L, "pending", u->a.pending);
    set_u64(L, "ect0", u->a.ecn[0]);
    set_u64(L, "ect1", u->a.ecn[1]);
    set_u64(L, "ce", u->a.ecn[2]);
    set_u64(L, "memory", neap_pool_stats(u->pool).used);
    return 1;
}

/* ---- cc(udp_payload_size [, name = "newreno"]) */

#define CC "neap.units.cc"

struct unit_cc {
    struct cc cc;
    struct pool *pool;
    uint64_t udp_payload_size;
};

static struct cc *check_cc(lua_State *L)
{
    return &((struct unit_cc *)luaL_checkudata(L, 1, CC))->cc;
}

static uint64_t check_udp_payload_size(lua_State *L)
{
    return ((struct unit_cc *)luaL_checkudata(L, 1, CC))->udp_payload_size;
}

static int cc_new(lua_State *L)
{
    uint64_t udp_payload_size = to_u64(L, 1);
    static const char *const names[] = {"newreno", "cubic", NULL};
    int which = luaL_checkoption(L, 2, "newreno", names);
    struct unit_cc *u = units_recovery_object(L, CC, sizeof *u);

    u->udp_payload_size = udp_payload_size;
    u->pool = units_recovery_pool(L, 0);
    neap_cc_new(&u->cc, neap_cc_by_choice[which], u->pool, udp_payload_size);
    return 1;
}

static int cc_gc(lua_State *L)
{
    struct unit_cc *u = luaL_checkudata(L, 1, CC);

    if (u->pool) {
        neap_cc_free(&u->cc, u->pool);
        neap_pool_release(u->pool);
    }
    u->pool = NULL;
    return 0;
}

/* ack(bytes [, {fresh = bytes, app_limited = false, unpaced = false, rtt = 0, smoothed = rtt, sent_at = 0,
 * flight_began_at = 0, now = 0, coupling = 0}]) -> window */
static int cc_ack(lua_State *L)
{
    struct cc *cc = check_cc(L);
    struct cc_ack ack = {
        .bytes = to_u64(L, 2),
        .fresh_bytes = option_u64(L, 3, "fresh", to_u64(L, 2)),
        .udp_payload_size = check_udp_payload_size(L),
        .app_limited = option_flag(L, 3, "app_limited", false),
        .is_unpaced = option_flag(L, 3, "unpaced", false),
        .rtt = option_u64(L, 3, "rtt", 0),
        .rtt_smoothed = option_u64(L, 3, "smoothed", option_u64(L, 3, "rtt", 0)),
        .flight_began_at = option_u64(L, 3, "flight_began_at", 0),
        .largest_sent_at = option_u64(L, 3, "sent_at", 0),
        .now = option_u64(L, 3, "now", 0),
    };

    cc->coupling = (uint16_t)option_u64(L, 3, "coupling", 0);
    cc->ops->on_ack(cc, &ack);
    push_u64(L, cc->window);
    return 1;
}

/* lose(sent_at, now [, {persistent = false, ce = 0}]) -> window */
static int cc_lose(lua_State *L)
{
    struct cc *cc = check_cc(L);
    struct cc_loss loss = {
        .bytes = check_udp_payload_size(L),
        .udp_payload_size = check_udp_payload_size(L),
        .largest_lost_sent_at = check_time(L, 2),
        .now = check_time(L, 3),
        .is_persistent = option_flag(L, 4, "persistent", false),
        .ce_count = option_u64(L, 4, "ce", 0),
    };

    cc->ops->on_loss(cc, &loss);
    push_u64(L, cc->window);
    return 1;
}

static int cc_state(lua_State *L)
{
    struct cc *cc = check_cc(L);

    lua_newtable(L);
    lua_pushstring(L, cc->ops->name);
    lua_setfield(L, -2, "name");
    set_u64(L, "window", cc->window);
    set_some(L, "ssthresh", cc->ssthresh);
    set_u64(L, "recovery_started", cc->recovery_started);
    return 1;
}

/* cubic_curve(ticks, udp_payload_size) -> bytes; cubic_root(bytes, udp_payload_size) -> ticks */
static int cubic_curve(lua_State *L)
{
    push_u64(L, neap_cubic_curve(to_u64(L, 1), to_u64(L, 2)));
    return 1;
}

static int cubic_root(lua_State *L)
{
    push_u64(L, neap_cubic_root(to_u64(L, 1), to_u64(L, 2)));
    return 1;
}

/* coupling({ {window, smoothed RTT in ns, bytes in flight}, … }) -> of each path */
static int coupling(lua_State *L)
{
    static struct space_recovery space;
    struct path_recovery paths[1 + LIMIT_PATH_IDS] = {0};
    struct space_recovery *more[LIMIT_PATH_IDS] = {0};
    struct recovery r = {.more = more};
    size_t count = 0;

    for (; count <= LIMIT_PATH_IDS; count++) {
        struct path_recovery *path = &paths[count];

        lua_rawgeti(L, 1, (int)count + 1);
        if (lua_isnil(L, -1))
            break;
        for (int field = 1; field <= 3; field++)
            lua_rawgeti(L, -field, field);
        path->cc.window = to_u64(L, -3);
        path->rtt.smoothed = to_u64(L, -2);
        path->bytes_in_flight = to_u64(L, -1);
        r.paths[count] = path;
        neap_recovery_add_space(&r, (enum space)(SPACE_APPLICATION + count), &space);
        r.ways[count] = (uint8_t)count;
    }
    for (size_t i = 0; i < count; i++)
        lua_pushinteger(L, neap_recovery_coupling(&r, &paths[i]));
    return (int)count;
}

/* ---- pacer(udp_payload_size [, enabled = true]) */

#define PACER "neap.units.pacer"

static struct pacer *check_pacer(lua_State *L)
{
    return luaL_checkudata(L, 1, PACER);
}

static int pacer_new(lua_State *L)
{
    uint64_t udp_payload_size = to_u64(L, 1);
    bool enabled = lua_isnoneornil(L, 2) || lua_toboolean(L, 2);

    neap_pacer_init(units_recovery_object(L, PACER, sizeof(struct pacer)), enabled, udp_payload_size);
    return 1;
}

static int pacer_update(lua_State *L)
{
    struct pacer *p = check_pacer(L);

    neap_pacer_update(p, to_u64(L, 2), to_u64(L, 3));
    push_u64(L, p->capacity);
    return 1;
}

/* set_quantum(bytes) -> capacity, quantum */
static int pacer_set_quantum(lua_State *L)
{
    struct pacer *p = check_pacer(L);

    neap_pacer_set_quantum(p, to_u64(L, 2));
    push_u64(L, p->capacity);
    push_u64(L, p->quantum);
    return 2;
}

/* budget(now) -> bytes | nil without a bound */
static int pacer_budget(lua_State *L)
{
    uint64_t budget = neap_pacer_budget(check_pacer(L), check_time(L, 2));

    if (budget == UINT64_MAX)
        lua_pushnil(L);
    else
        push_u64(L, budget);
    return 1;
}

static int pacer_sent(lua_State *L)
{
    neap_pacer_sent(check_pacer(L), to_u64(L, 2));
    return 0;
}

static int pacer_ready_at(lua_State *L)
{
    push_u64(L, neap_pacer_ready_at(check_pacer(L), to_u64(L, 2), check_time(L, 3)));
    return 1;
}

/* ---- pmtu(most) */

#define PMTU "neap.units.pmtu"

static struct pmtu *check_pmtu(lua_State *L)
{
    return luaL_checkudata(L, 1, PMTU);
}

static uint16_t check_size(lua_State *L, int index)
{
    return lua_isnoneornil(L, index) ? 0 : (uint16_t)to_u64(L, index);
}

static int pmtu_new(lua_State *L)
{
    uint16_t most = check_size(L, 1);

    neap_pmtu_init(units_recovery_object(L, PMTU, sizeof(struct pmtu)), most);
    return 1;
}

/* probe(now [, window = 65535]) -> its size, nothing when none is due; it has left then */
static int pmtu_probe(lua_State *L)
{
    struct pmtu *p = check_pmtu(L);
    uint64_t window = lua_isnoneornil(L, 3) ? 131070 : to_u64(L, 3);
    uint16_t size = neap_pmtu_next_probe(p, window, check_time(L, 2));

    if (size == 0)
        return 0;
    neap_pmtu_on_probe_sent(p, size);
    push_u64(L, size);
    return 1;
}

static int pmtu_acked(lua_State *L)
{
    neap_pmtu_on_probe_acked(check_pmtu(L), check_size(L, 2));
    return 0;
}

static int pmtu_lost(lua_State *L)
{
    neap_pmtu_on_probe_lost(check_pmtu(L), check_size(L, 2));
    return 0;
}

/* round(lost, acked, now [, losses = 2]) */
static int pmtu_round(lua_State *L)
{
    uint64_t losses = lua_isnoneornil(L, 5) ? 2 : to_u64(L, 5);

    neap_pmtu_on_round(check_pmtu(L), check_size(L, 2), losses, check_size(L, 3), check_time(L, 4));
    return 0;
}

static int pmtu_refused(lua_State *L)
{
    neap_pmtu_on_refused(check_pmtu(L), check_size(L, 2), check_size(L, 3), check_time(L, 4));
    return 0;
}

static int pmtu_too_big(lua_State *L)
{
    neap_pmtu_on_too_big(check_pmtu(L), check_size(L, 2));
    return 0;
}

static int pmtu_state(lua_State *L)
{
    const struct pmtu *p = check_pmtu(L);

    lua_newtable(L);
    set_u64(L, "size", p->size);
    set_u64(L, "probes_sent", p->probes_sent);
    set_u64(L, "probes_lost", p->probes_lost);
    set_u64(L, "black_holes", p->black_holes);
    return 1;
}

void units_recovery_parts(lua_State *L)
{
    static const luaL_Reg ack_methods[] = {
        {"note", ack_note},
        {"is_duplicate", ack_is_duplicate},
        {"policy", ack_policy},
        {"sent", ack_sent},
        {"is_due", ack_is_due},
        {"delay", ack_delay},
        {"confirmed", ack_confirmed},
        {"trim", ack_trim},
        {"ranges", ack_ranges},
        {"state", ack_state},
        {NULL, NULL},
    };
    static const luaL_Reg cc_methods[] = {
        {"ack", cc_ack}, {"lose", cc_lose}, {"state", cc_state}, {NULL, NULL}};
    static const luaL_Reg pacer_methods[] = {{"update", pacer_update},     {"set_quantum", pacer_set_quantum},
                                             {"budget", pacer_budget},     {"sent", pacer_sent},
                                             {"ready_at", pacer_ready_at}, {NULL, NULL}};

    static const luaL_Reg pmtu_methods[] = {
        {"probe", pmtu_probe},     {"acked", pmtu_acked},     {"lost", pmtu_lost},   {"round", pmtu_round},
        {"refused", pmtu_refused}, {"too_big", pmtu_too_big}, {"state", pmtu_state}, {NULL, NULL}};

    units_recovery_type(L, PMTU, pmtu_methods, NULL);
    lua_pushcfunction(L, pmtu_new);
    lua_setfield(L, -2, "pmtu");
    units_recovery_type(L, ACK, ack_methods, ack_gc);
    units_recovery_type(L, CC, cc_methods, cc_gc);
    units_recovery_type(L, PACER, pacer_methods, NULL);
    lua_pushcfunction(L, ack_new);
    lua_setfield(L, -2, "ack");
    lua_pushcfunction(L, cc_new);
    lua_setfield(L, -2, "cc");
    lua_pushcfunction(L, cubic_curve);
    lua_setfield(L, -2, "cubic_curve");
    lua_pushcfunction(L, cubic_root);
    lua_setfield(L, -2, "cubic_root");
    lua_pushcfunction(L, coupling);
    lua_setfield(L, -2, "coupling");
    lua_pushcfunction(L, pacer_new);
    lua_setfield(L, -2, "pacer");
}
