/* Units of core/recovery: loss detection over three spaces of sent packets, driven by a script in virtual time. */
#include "units_recovery.h"

#include "recovery/loss.h"

int neap_units_recovery(lua_State *L);

#define RECOVERY "neap.units.recovery"
#define MAX_FRAMES 32

struct unit_recovery {
    struct pool *pool;
    struct pool *states; /* of controllers */
    struct space_recovery spaces[SPACES];
    struct path_recovery paths[LIMIT_PATHS];
    struct path_settings settings;
    struct recovery r;
    struct path_counters former;
};

static const char *const space_names[] = {"initial", "handshake", "application", NULL};

/* ---- helpers of this room */

static void *plain_realloc(void *context, void *pointer, size_t size)
{
    (void)context;
    if (size == 0) {
        free(pointer);
        return NULL;
    }
    return realloc(pointer, size);
}

struct pool *units_recovery_pool(lua_State *L, size_t limit)
{
    struct pool *pool = neap_pool_new(plain_realloc, NULL, limit);

    if (!pool)
        luaL_error(L, "no memory");
    return pool;
}

void *units_recovery_object(lua_State *L, const char *name, size_t size)
{
    void *object = memset(lua_newuserdata(L, size), 0, size);

    luaL_getmetatable(L, name);
    lua_setmetatable(L, -2);
    return object;
}

static void set_functions(lua_State *L, const luaL_Reg *functions)
{
    for (; functions->name; functions++) {
        lua_pushcfunction(L, functions->func);
        lua_setfield(L, -2, functions->name);
    }
}

void units_recovery_type(lua_State *L, const char *name, const luaL_Reg *methods, lua_CFunction gc)
{
    luaL_newmetatable(L, name);
    if (gc) {
        lua_pushcfunction(L, gc);
        lua_setfield(L, -2, "__gc");
    }
    lua_newtable(L);
    set_functions(L, methods);
    lua_setfield(L, -2, "__index");
    lua_pop(L, 1);
}

static struct unit_recovery *check_recovery(lua_State *L)
{
    return luaL_checkudata(L, 1, RECOVERY);
}

static enum space check_space(lua_State *L, int index)
{
    return (enum space)luaL_checkoption(L, index, NULL, space_names);
}

static bool field_flag(lua_State *L, int index, const char *name, bool otherwise)
{
    lua_getfield(L, index, name);
    bool value = lua_isnil(L, -1) ? otherwise : lua_toboolean(L, -1);
    lua_pop(L, 1);
    return value;
}

/* ---- a controller that is NewReno and remembers what it was told */

struct told {
    struct cc_ack ack;
    struct cc_loss loss;
    struct cc_packet acked, lost;
    struct cc_record acked_record, lost_record;
    uint64_t sent, packets_acked, packets_lost, losses, spurious;
};

static void telling_init(struct cc *cc)
{
    neap_cc_newreno.init(cc);
}

static void telling_on_sent(struct cc *cc, const struct cc_packet *packet, uint64_t in_flight)
{
    (void)packet, (void)in_flight;
    ((struct told *)cc->state)->sent++;
}

static void telling_on_packet_acked(struct cc *cc, const struct cc_packet *packet)
{
    struct told *told = cc->state;

    told->packets_acked++;
    told->acked = *packet;
    told->acked_record = *packet->record;
}

static void telling_on_packet_lost(struct cc *cc, const struct cc_packet *packet)
{
    struct told *told = cc->state;

    told->packets_lost++;
    told->lost = *packet;
    told->lost_record = *packet->record;
}

static void telling_on_ack(struct cc *cc, const struct cc_ack *ack)
{
    ((struct told *)cc->state)->ack = *ack;
    neap_cc_newreno.on_ack(cc, ack);
}

static void telling_on_loss(struct cc *cc, const struct cc_loss *loss)
{
    struct told *told = cc->state;

    told->losses++;
    told->loss = *loss;
    neap_cc_newreno.on_loss(cc, loss);
}

static void telling_on_spurious(struct cc *cc, uint64_t packets, uint64_t late, neap_time now)
{
    (void)late, (void)now;
    ((struct told *)cc->state)->spurious += packets;
}

static const struct cc_ops telling = {
    .name = "telling",
    .state_size = sizeof(struct told),
    .keeps_records = true,
    .init = telling_init,
    .on_sent = telling_on_sent,
    .on_packet_acked = telling_on_packet_acked,
    .on_packet_lost = telling_on_packet_lost,
    .on_ack = telling_on_ack,
    .on_loss = telling_on_loss,
    .on_spurious = telling_on_spurious,
};

static void set_last_ack(lua_State *L, const struct cc_ack *ack)
{
    lua_newtable(L);
    set_u64(L, "bytes", ack->bytes);
    set_u64(L, "fresh_bytes", ack->fresh_bytes);
    set_u64(L, "in_flight", ack->in_flight);
    set_u64(L, "delivery_rate", ack->delivery_rate);
    lua_setfield(L, -2, "last_ack");
}

static void set_packet(lua_State *L, const char *name, const struct cc_packet *packet,
                       const struct cc_record *record)
{
    lua_newtable(L);
    set_u64(L, "size", packet->size);
    set_u64(L, "sent_at", packet->sent_at);
    set_u64(L, "delivered", record->delivered);
    set_u64(L, "delivered_at", record->delivered_at);
    set_u64(L, "first_sent_at", record->first_sent_at);
    set_u64(L, "in_flight", record->in_flight);
    set_u64(L, "lost", record->lost);
    set_flag(L, "app_limited", record->app_limited);
    lua_setfield(L, -2, name);
}

/* ---- new{server, initial_rtt, most, pacing, memory_limit} */

static void add_path(lua_State *L, struct unit_recovery *u, uint8_t index)
{
    if (neap_path_recovery_init(&u->paths[index], &u->settings))
        luaL_error(L, "no memory");
    u->r.paths[index] = &u->paths[index];
}

static uint8_t check_path(lua_State *L, int index)
{
    lua_Number path = luaL_checknumber(L, index);

    luaL_argcheck(L, path >= 0 && path < LIMIT_PATHS, index, "not a path");
    return (uint8_t)path;
}

static const struct cc_ops *check_controller(lua_State *L)
{
    static const char *const names[] = {"telling", "newreno", "cubic", "steered", "bbr", NULL};
    static const struct cc_ops *const controllers[] = {&telling, &neap_cc_newreno, &neap_cc_cubic,
                                                       &neap_cc_steered, &neap_cc_bbr};

    lua_getfield(L, 1, "controller");
    int which = luaL_checkoption(L, -1, "telling", names);
    lua_pop(L, 1);
    return controllers[which];
}

static int recovery_new(lua_State *L)
{
    luaL_checktype(L, 1, LUA_TTABLE);
    size_t limit = (size_t)field_u64(L, 1, "memory_limit", 0);
    struct unit_recovery *u = units_recovery_object(L, RECOVERY, sizeof(*u));

    u->pool = units_recovery_pool(L, limit);
    u->states = units_recovery_pool(L, (size_t)field_u64(L, 1, "state_limit", 0));
    u->settings = (struct path_settings){
        .initial_rtt = field_u64(L, 1, "initial_rtt", 333 * NEAP_MILLISECOND),
        .most_udp_payload_size = (uint16_t)field_u64(L, 1, "most", 1200),
        .pacing = field_flag(L, 1, "pacing", false),
        .cc = check_controller(L),
        .pool = u->states,
    };
    neap_recovery_init(&u->r, field_flag(L, 1, "server", false));
    add_path(L, u, 0);
    u->paths[0].cc.random = field_u64(L, 1, "seed", 0);
    for (enum space i = SPACE_INITIAL; i < SPACES; i++) {
        neap_space_recovery_init(&u->spaces[i], u->settings.cc->keeps_records);
        neap_recovery_add_space(&u->r, i, i == SPACE_HANDSHAKE ? NULL : &u->spaces[i]);
    }
    return 1;
}

static int recovery_gc(lua_State *L)
{
    struct unit_recovery *u = check_recovery(L);

    for (unsigned i = 0; u->states && i < LIMIT_PATHS; i++)
        if (u->paths[i].cc.ops)
            neap_path_recovery_free(&u->paths[i], u->states);
    for (int i = 0; u->pool && i < SPACES; i++)
        neap_sent_free(&u->spaces[i].sent, u->pool);
    if (u->pool)
        neap_pool_release(u->pool);
    if (u->states)
        neap_pool_release(u->states);
    u->pool = u->states = NULL;
    return 0;
}

/* frames: {{kind =, id =, offset =, size =, fin =}, …}; the table of options is at index 5 */
static size_t get_frames(lua_State *L, struct sent_frame frames[MAX_FRAMES])
{
    size_t count = 0;

    lua_getfield(L, 5, "frames");
    for (; lua_istable(L, -1) && count < MAX_FRAMES; count++) {
        lua_rawgeti(L, -1, (int)count + 1);
        int at = lua_gettop(L);
        if (lua_isnil(L, at)) {
            lua_pop(L, 1);
            break;
        }
        frames[count] = (struct sent_frame){
            .kind = (uint8_t)field_u64(L, at, "kind", KIND_PING),
            .fin = field_flag(L, at, "fin", false),
            .size = (uint16_t)field_u64(L, at, "size", 0),
            .id = field_u64(L, at, "id", 0),
            .offset = field_u64(L, at, "offset", 0),
        };
        lua_pop(L, 1);
    }
    lua_pop(L, 1);
    return count;
}

/* The keys of a space came at the latest with its first packet. */
static void begin_space(struct unit_recovery *u, enum space space)
{
    if (u->spaces[space].sent.largest_sent == UINT64_MAX)
        neap_recovery_add_space(&u->r, space, &u->spaces[space]);
}

/* r:send(space, number, now [, {size = 1200, eliciting = true, in_flight = eliciting, size_probe, frames}]) -> code */
static int recovery_send(lua_State *L)
{
    struct unit_recovery *u = check_recovery(L);
    enum space space = check_space(L, 2);
    neap_time now = to_u64(L, 4);
    struct sent_frame frames[MAX_FRAMES];

    lua_settop(L, 5);
    if (lua_isnil(L, 5)) {
        lua_newtable(L);
        lua_replace(L, 5);
    }
    size_t count = get_frames(L, frames);
    bool eliciting = field_flag(L, 5, "eliciting", true);
    struct sent_packet p = {
        .number = to_u64(L, 3),
        .at = now,
        .path = u->r.active,
        .size = (uint16_t)field_u64(L, 5, "size", 1200),
        .ack_eliciting = eliciting,
        .in_flight = field_flag(L, 5, "in_flight", eliciting),
        .is_size_probe = field_flag(L, 5, "size_probe", false),
        .is_marked = field_flag(L, 5, "marked", path_recovery_marks(recovery_active(&u->r))),
    };
    begin_space(u, space);
    p.is_early = recovery_is_early(&u->r, space);
    int error = neap_sent_reserve(&u->spaces[space].sent, u->pool, count);

    if (!error) {
        neap_sent_add(&u->spaces[space].sent, &p, frames, count);
        neap_recovery_on_sent(&u->r, space, &p, now);
        if (p.is_size_probe)
            neap_pmtu_on_probe_sent(&recovery_active(&u->r)->pmtu, p.size);
    }
    lua_pushnumber(L, error);
    return 1;
}

/* r:ack(space, {{first, last}, …}, now [, delay, {ect0 =, ect1 =, ce =}]) -> code, reason */
static int recovery_ack(lua_State *L)
{
    struct unit_recovery *u = check_recovery(L);
    struct range ranges[512];
    struct ack_ranges ack = {.ranges = ranges,
                             .delay = lua_isnoneornil(L, 5) ? 0 : to_u64(L, 5),
                             .ecn = units_recovery_report(L, 6)};
    struct failure why = {0};

    begin_space(u, check_space(L, 2));
    for (; ack.count < 512; ack.count++) {
        lua_rawgeti(L, 3, (int)ack.count + 1);
        if (lua_isnil(L, -1))
            break;
        lua_rawgeti(L, -1, 1);
        lua_rawgeti(L, -2, 2);
        ranges[ack.count] = (struct range){to_u64(L, -2), to_u64(L, -1) + 1};
        if (ranges[ack.count].end - 1 > ack.largest)
            ack.largest = ranges[ack.count].end - 1;
        lua_pop(L, 3);
    }
    lua_pushnumber(L, neap_recovery_on_ack(&u->r, check_space(L, 2), &ack, to_u64(L, 4), &why));
    lua_pushstring(L, why.reason);
    return 2;
}

static void push_frames(lua_State *L, const struct sent *s, const struct sent_packet *p)
{
    lua_newtable(L);
    for (size_t i = 0; i < p->frame_count; i++) {
        const struct sent_frame *f = neap_sent_frame(s, p, i);

        lua_newtable(L);
        set_u64(L, "kind", f->kind);
        set_u64(L, "id", f->id);
        set_u64(L, "offset", f->offset);
        set_u64(L, "size", f->size);
        set_flag(L, "fin", f->fin);
        lua_rawseti(L, -2, (int)i + 1);
    }
    lua_setfield(L, -2, "frames");
}

/* r:fate(space) -> {number, fate, frames} | nil */
static int recovery_fate(lua_State *L)
{
    struct unit_recovery *u = check_recovery(L);
    struct sent *s = &u->spaces[check_space(L, 2)].sent;
    enum sent_fate fate;
    const struct sent_packet *p = neap_sent_next_fate(s, &fate);

    if (!p)
        return 0;
    lua_newtable(L);
    set_u64(L, "number", p->number);
    lua_pushstring(L, fate == FATE_ACKED ? "acked" : fate == FATE_LOST ? "lost" : "?");
    lua_setfield(L, -2, "fate");
    push_frames(L, s, p);
    return 1;
}

/* r:timeout(now) -> "nothing" | "loss" | "probe", space */
static int recovery_timeout(lua_State *L)
{
    static const char *const actions[] = {"nothing", "loss", "probe"};
    enum space space = SPACE_INITIAL;
    enum timeout_action action = neap_recovery_on_timeout(&check_recovery(L)->r, &space, to_u64(L, 2));

    lua_pushstring(L, actions[action]);
    if (action == TIMEOUT_NOTHING)
        lua_pushnil(L);
    else
        lua_pushstring(L, space_names[space]);
    return 2;
}

static int recovery_discard(lua_State *L)
{
    neap_recovery_discard(&check_recovery(L)->r, check_space(L, 2), to_u64(L, 3));
    return 0;
}

static int recovery_retry(lua_State *L)
{
    neap_recovery_on_retry(&check_recovery(L)->r, to_u64(L, 2));
    return 0;
}

/* r:set(now, {handshake_confirmed, has_handshake_keys, amplification_limited, app_limited, has_unsent,
 * ecn, max_ack_delay}) */
static int recovery_set(lua_State *L)
{
    struct recovery *r = &check_recovery(L)->r;
    struct path_recovery *path = recovery_active(r);

    r->handshake_confirmed = field_flag(L, 3, "handshake_confirmed", r->handshake_confirmed);
    if (field_flag(L, 3, "has_handshake_keys", false))
        neap_recovery_add_space(r, SPACE_HANDSHAKE, &check_recovery(L)->spaces[SPACE_HANDSHAKE]);
    path->amplification_limited = field_flag(L, 3, "amplification_limited", path->amplification_limited);
    neap_path_recovery_set_app_limited(path, field_flag(L, 3, "app_limited", path->app_limited),
                                       field_flag(L, 3, "has_unsent", false));
    if (field_flag(L, 3, "ecn", false))
        neap_ecn_init(&path->ecn, true);
    r->max_ack_delay = field_u64(L, 3, "max_ack_delay", r->max_ack_delay);
    neap_recovery_set_timer(r, to_u64(L, 2));
    return 0;
}

static int recovery_skip(lua_State *L)
{
    neap_sent_skip(&check_recovery(L)->spaces[check_space(L, 2)].sent, to_u64(L, 3));
    return 0;
}

static int recovery_trim(lua_State *L)
{
    struct unit_recovery *u = check_recovery(L);

    neap_sent_trim(&u->spaces[check_space(L, 2)].sent, u->pool);
    return 0;
}

static int recovery_pto(lua_State *L)
{
    push_u64(L, neap_recovery_pto(&check_recovery(L)->r, check_space(L, 2)));
    return 1;
}

/* r:move(path, now): to a path of its own, or back to one that is there */
static int recovery_move(lua_State *L)
{
    struct unit_recovery *u = check_recovery(L);
    uint8_t path = check_path(L, 2);

    if (!u->r.paths[path])
        add_path(L, u, path);
    neap_recovery_set_active(&u->r, path, to_u64(L, 3));
    return 0;
}

static int recovery_drop_path(lua_State *L)
{
    struct unit_recovery *u = check_recovery(L);
    uint8_t path = check_path(L, 2);

    u->r.former = &u->former;
    neap_recovery_drop_path(&u->r, path);
    neap_path_recovery_free(&u->paths[path], u->states);
    return 0;
}

/* r:told() -> what the controller heard last */
static int recovery_told(lua_State *L)
{
    const struct told *told = recovery_active(&check_recovery(L)->r)->cc.state;

    lua_newtable(L);
    set_u64(L, "sent", told->sent);
    set_u64(L, "packets_acked", told->packets_acked);
    set_u64(L, "packets_lost", told->packets_lost);
    set_u64(L, "losses", told->losses);
    set_u64(L, "spurious", told->spurious);
    set_u64(L, "ce_count", told->loss.ce_count);
    set_flag(L, "is_persistent", told->loss.is_persistent);
    set_flag(L, "rate_app_limited", told->ack.rate_app_limited);
    set_packet(L, "acked", &told->acked, &told->acked_record);
    set_packet(L, "lost", &told->lost, &told->lost_record);
    set_u64(L, "in_flight_left", told->ack.in_flight_left);
    set_u64(L, "delivered", told->ack.delivered);
    set_u64(L, "lost_bytes", told->ack.lost);
    set_u64(L, "lost_number", told->lost.number);
    set_u64(L, "delivered_at_loss", told->lost.delivered);
    set_u64(L, "lost_at_loss", told->lost.lost);
    return 1;
}

/* r:take_turn() -> the sums of a steered controller */
static int recovery_take_turn(lua_State *L)
{
    struct cc_turn turn = neap_cc_take_turn(&recovery_active(&check_recovery(L)->r)->cc);

    lua_newtable(L);
    set_u64(L, "acked_bytes", turn.acked_bytes);
    set_u64(L, "lost_bytes", turn.lost_bytes);
    set_u64(L, "lost_packets", turn.lost_packets);
    set_u64(L, "ce_count", turn.ce_count);
    set_u64(L, "spurious_packets", turn.spurious_packets);
    set_u64(L, "delivery_rate", turn.delivery_rate);
    set_u64(L, "rtt", turn.rtt);
    set_u64(L, "rtt_min", turn.rtt_min);
    set_u64(L, "in_flight", recovery_active(&check_recovery(L)->r)->bytes_in_flight);
    set_flag(L, "app_limited", turn.app_limited);
    set_flag(L, "is_persistent", turn.is_persistent);
    return 1;
}

/* r:steer(window, pacing_rate); r:steer(): no more */
static int recovery_steer(lua_State *L)
{
    struct path_recovery *path = recovery_active(&check_recovery(L)->r);

    if (lua_isnoneornil(L, 2))
        neap_cc_steer_no_more(&path->cc, path->pmtu.size);
    else
        neap_cc_steer(&path->cc, to_u64(L, 2), to_u64(L, 3), path->pmtu.size);
    neap_path_recovery_update_pacer(path);
    return 0;
}

/* r:bbr() -> what BBR knows of the active path */
static int recovery_bbr(lua_State *L)
{
    units_recovery_push_bbr(L, &recovery_active(&check_recovery(L)->r)->cc);
    return 1;
}

/* r:figures() -> what may be told of the controller */
static int recovery_figures(lua_State *L)
{
    static const char *const reasons[] = {NULL, "loss", "hystart", "ecn", "persistent", "bandwidth"};
    struct cc_figures f = neap_path_recovery_figures(recovery_active(&check_recovery(L)->r));

    lua_newtable(L);
    set_u64(L, "delivery_rate", f.delivery_rate);
    set_u64(L, "max_bandwidth", f.max_bandwidth);
    set_u64(L, "exit_window", f.startup_exit.window);
    set_u64(L, "exit_bandwidth", f.startup_exit.bandwidth);
    lua_pushstring(L, reasons[f.startup_exit.reason]);
    lua_setfield(L, -2, "exit_reason");
    lua_pushstring(L, f.state);
    lua_setfield(L, -2, "state");
    return 1;
}

/* r:pacer_ready_at(bytes, now) -> when so much may leave, how much where there is no pacer */
static int recovery_pacer_ready_at(lua_State *L)
{
    struct pacer *pacer = &recovery_active(&check_recovery(L)->r)->pacer;
    uint64_t bytes = to_u64(L, 2);
    neap_time now = to_u64(L, 3);

    push_u64(L, neap_pacer_budget(pacer, now) >= bytes ? now : neap_pacer_ready_at(pacer, bytes, now));
    push_u64(L, neap_path_recovery_burst_left(recovery_active(&check_recovery(L)->r), now));
    return 2;
}

/* r:continue(path, now): the same way under another name */
static int recovery_continue(lua_State *L)
{
    struct unit_recovery *u = check_recovery(L);
    uint8_t path = check_path(L, 2);

    if (!u->r.paths[path])
        add_path(L, u, path);
    neap_recovery_continue(&u->r, path, u->r.active);
    neap_recovery_set_active(&u->r, path, to_u64(L, 3));
    return 0;
}

static void set_rtt(lua_State *L, const struct rtt *rtt)
{
    set_u64(L, "latest", rtt->latest);
    set_u64(L, "smoothed", rtt->smoothed);
    set_u64(L, "var", rtt->var);
    set_u64(L, "min", rtt->min);
}

/* r:expire(now [, all]): probes of the size that nothing tells of any more */
static int recovery_expire(lua_State *L)
{
    neap_recovery_expire_size_probes(&check_recovery(L)->r, lua_toboolean(L, 3), to_u64(L, 2));
    return 0;
}

/* r:state([path]): of the active one; the counters are of all */
static int recovery_state(lua_State *L)
{
    struct unit_recovery *u = check_recovery(L);
    const struct recovery *r = &u->r;
    const struct path_recovery *p = lua_isnoneornil(L, 2) ? recovery_active(r) : r->paths[check_path(L, 2)];
    struct path_counters counters = neap_recovery_counters(r);

    if (!p)
        return 0;

    lua_newtable(L);
    set_rtt(L, &p->rtt);
    set_u64(L, "window", p->cc.window);
    if (p->cc.ssthresh != UINT64_MAX)
        set_u64(L, "ssthresh", p->cc.ssthresh);
    set_flag(L, "recovering", p->cc.is_recovering);
    set_u64(L, "packet_threshold", p->reordering.packets);
    set_u64(L, "time_threshold", p->reordering.eighths);
    set_u64(L, "congestion_events", counters.congestion_events);
    set_u64(L, "congestion_undone", counters.congestion_undone);
    set_u64(L, "congestion_undo_refused", counters.congestion_undo_refused);
    set_u64(L, "congestion_persistent", counters.congestion_persistent);
    set_u64(L, "window_left", neap_path_recovery_window_left(p));
    set_u64(L, "in_flight", p->bytes_in_flight);
    set_u64(L, "delivered", p->delivered);
    set_u64(L, "pto_count", p->pto_count);
    set_u64(L, "packets_lost", counters.packets_lost);
    set_u64(L, "bytes_lost", counters.bytes_lost);
    set_u64(L, "spurious", counters.spurious_losses);
    set_u64(L, "pacing_rate", p->pacer.rate);
    set_u64(L, "udp_payload_size", path_recovery_udp_payload_size(p));
    set_u64(L, "size_probes_lost", p->pmtu.probes_lost);
    set_u64(L, "black_holes", p->pmtu.black_holes);
    units_recovery_set_ecn(L, p);
    if (p->cc.ops == &telling)
        set_last_ack(L, &((struct told *)p->cc.state)->ack);
    if (r->timer != NEAP_NEVER)
        set_u64(L, "timer", r->timer);
    set_u64(L, "memory", neap_pool_stats(u->pool).used);
    return 1;
}

/* r:sent(space) -> {packets, packet_room, frames, frame_room, eliciting} */
static int recovery_sent(lua_State *L)
{
    const struct sent *s = &check_recovery(L)->spaces[check_space(L, 2)].sent;

    lua_newtable(L);
    set_u64(L, "packets", s->packet_count);
    set_u64(L, "packet_room", s->packet_capacity);
    set_u64(L, "frames", s->frame_count);
    set_u64(L, "frame_room", s->frame_capacity);
    set_u64(L, "eliciting", s->eliciting_in_flight);
    return 1;
}

/* r:find(space, number) -> index from the oldest, counted from 0 | nil */
static int recovery_find(lua_State *L)
{
    struct sent *sent = &check_recovery(L)->spaces[check_space(L, 2)].sent;
    uint32_t index = neap_sent_lower_bound(sent, to_u64(L, 3));
    const struct sent_packet *packet = neap_sent_at(sent, index);

    if (!packet || packet->number != to_u64(L, 3))
        return 0;
    push_u64(L, index);
    return 1;
}

static int recovery_ack_delay(lua_State *L)
{
    push_u64(L, neap_recovery_ack_delay(to_u64(L, 1), (unsigned)luaL_checknumber(L, 2)));
    return 1;
}

int neap_units_recovery(lua_State *L)
{
    static const luaL_Reg methods[] = {
        {"send", recovery_send},
        {"ack", recovery_ack},
        {"fate", recovery_fate},
        {"timeout", recovery_timeout},
        {"set", recovery_set},
        {"discard", recovery_discard},
        {"skip", recovery_skip},
        {"retry", recovery_retry},
        {"trim", recovery_trim},
        {"pto", recovery_pto},
        {"sent", recovery_sent},
        {"state", recovery_state},
        {"find", recovery_find},
        {"move", recovery_move},
        {"drop_path", recovery_drop_path},
        {"told", recovery_told},
        {"take_turn", recovery_take_turn},
        {"steer", recovery_steer},
        {"bbr", recovery_bbr},
        {"figures", recovery_figures},
        {"pacer_ready_at", recovery_pacer_ready_at},
        {"continue", recovery_continue},
        {"expire", recovery_expire},
        {NULL, NULL},
    };
    static const luaL_Reg functions[] = {
        {"new", recovery_new}, {"ack_delay", recovery_ack_delay}, {NULL, NULL}};

    units_recovery_type(L, RECOVERY, methods, recovery_gc);
    lua_newtable(L);
    set_functions(L, functions);
    units_recovery_parts(L);
    return 1;
}
