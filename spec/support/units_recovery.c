/* Units of core/recovery: loss detection over three spaces of sent packets, driven by a script in virtual time. */
#include "units_recovery.h"

#include "recovery/loss.h"

int neap_units_recovery(lua_State *L);

#define RECOVERY "neap.units.recovery"
#define MAX_FRAMES 32

struct unit_recovery {
    struct pool *pool;
    struct space_recovery spaces[SPACES];
    struct path_recovery paths[LIMIT_PATHS];
    struct path_settings settings;
    struct recovery r;
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

static uint64_t field_u64(lua_State *L, int index, const char *name, uint64_t otherwise)
{
    lua_getfield(L, index, name);
    uint64_t value = lua_isnil(L, -1) ? otherwise : to_u64(L, -1);
    lua_pop(L, 1);
    return value;
}

/* ---- a controller that is NewReno and remembers what it was told in the state that NewReno leaves free */

enum { TOLD_BYTES = 1, TOLD_FRESH_BYTES, TOLD_IN_FLIGHT, TOLD_RATE };

static void telling_init(struct cc *cc)
{
    neap_cc_newreno.init(cc);
}

static void telling_on_sent(struct cc *cc, uint64_t bytes, uint64_t in_flight, neap_time now)
{
    neap_cc_newreno.on_sent(cc, bytes, in_flight, now);
}

static void telling_on_ack(struct cc *cc, const struct cc_ack *ack)
{
    cc->state[TOLD_BYTES] = ack->bytes;
    cc->state[TOLD_FRESH_BYTES] = ack->fresh_bytes;
    cc->state[TOLD_IN_FLIGHT] = ack->in_flight;
    cc->state[TOLD_RATE] = ack->delivery_rate;
    neap_cc_newreno.on_ack(cc, ack);
}

static void telling_on_loss(struct cc *cc, const struct cc_loss *loss)
{
    neap_cc_newreno.on_loss(cc, loss);
}

static const struct cc_ops telling = {
    .name = "telling",
    .init = telling_init,
    .on_sent = telling_on_sent,
    .on_ack = telling_on_ack,
    .on_loss = telling_on_loss,
};

static void set_last_ack(lua_State *L, const struct cc *cc)
{
    lua_newtable(L);
    set_u64(L, "bytes", cc->state[TOLD_BYTES]);
    set_u64(L, "fresh_bytes", cc->state[TOLD_FRESH_BYTES]);
    set_u64(L, "in_flight", cc->state[TOLD_IN_FLIGHT]);
    set_u64(L, "delivery_rate", cc->state[TOLD_RATE]);
    lua_setfield(L, -2, "last_ack");
}

/* ---- new{server, initial_rtt, datagram, pacing, memory_limit} */

static void add_path(struct unit_recovery *u, uint8_t index)
{
    neap_path_recovery_init(&u->paths[index], &u->settings);
    u->r.paths[index] = &u->paths[index];
}

static uint8_t check_path(lua_State *L, int index)
{
    lua_Number path = luaL_checknumber(L, index);

    luaL_argcheck(L, path >= 0 && path < LIMIT_PATHS, index, "not a path");
    return (uint8_t)path;
}

static int recovery_new(lua_State *L)
{
    luaL_checktype(L, 1, LUA_TTABLE);
    size_t limit = (size_t)field_u64(L, 1, "memory_limit", 0);
    struct unit_recovery *u = units_recovery_object(L, RECOVERY, sizeof(*u));

    u->settings = (struct path_settings){
        .initial_rtt = field_u64(L, 1, "initial_rtt", 333 * NEAP_MILLISECOND),
        .udp_payload_size = (uint16_t)field_u64(L, 1, "datagram", 1200),
        .pacing = field_flag(L, 1, "pacing", false),
        .cc = &telling,
    };
    neap_recovery_init(&u->r, field_flag(L, 1, "server", false));
    add_path(u, 0);
    for (enum space i = SPACE_INITIAL; i < SPACES; i++) {
        neap_space_recovery_init(&u->spaces[i]);
        neap_recovery_add_space(&u->r, i, i == SPACE_HANDSHAKE ? NULL : &u->spaces[i]);
    }
    u->pool = units_recovery_pool(L, limit);
    return 1;
}

static int recovery_gc(lua_State *L)
{
    struct unit_recovery *u = check_recovery(L);

    for (int i = 0; u->pool && i < SPACES; i++)
        neap_sent_free(&u->spaces[i].sent, u->pool);
    if (u->pool)
        neap_pool_release(u->pool);
    u->pool = NULL;
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

/* r:send(space, number, now [, {size = 1200, eliciting = true, in_flight = eliciting, frames}]) -> code */
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
        .delivered = recovery_active(&u->r)->delivered,
        .path = u->r.active,
        .size = (uint16_t)field_u64(L, 5, "size", 1200),
        .ack_eliciting = eliciting,
        .in_flight = field_flag(L, 5, "in_flight", eliciting),
    };
    begin_space(u, space);
    int error = neap_sent_reserve(&u->spaces[space].sent, u->pool, count);

    if (!error) {
        neap_sent_add(&u->spaces[space].sent, &p, frames, count);
        neap_recovery_on_sent(&u->r, space, &p, now);
    }
    lua_pushnumber(L, error);
    return 1;
}

/* r:ack(space, {{first, last}, …}, now [, delay]) -> code, reason */
static int recovery_ack(lua_State *L)
{
    struct unit_recovery *u = check_recovery(L);
    struct range ranges[512];
    struct ack_ranges ack = {.ranges = ranges, .delay = lua_isnoneornil(L, 5) ? 0 : to_u64(L, 5)};
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

/* r:set(now, {handshake_confirmed, has_handshake_keys, amplification_limited, app_limited, max_ack_delay}) */
static int recovery_set(lua_State *L)
{
    struct recovery *r = &check_recovery(L)->r;
    struct path_recovery *path = recovery_active(r);

    r->handshake_confirmed = field_flag(L, 3, "handshake_confirmed", r->handshake_confirmed);
    if (field_flag(L, 3, "has_handshake_keys", false))
        neap_recovery_add_space(r, SPACE_HANDSHAKE, &check_recovery(L)->spaces[SPACE_HANDSHAKE]);
    path->amplification_limited = field_flag(L, 3, "amplification_limited", path->amplification_limited);
    path->app_limited = field_flag(L, 3, "app_limited", path->app_limited);
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
        add_path(u, path);
    neap_recovery_set_active(&u->r, path, to_u64(L, 3));
    return 0;
}

static int recovery_drop_path(lua_State *L)
{
    neap_recovery_drop_path(&check_recovery(L)->r, check_path(L, 2));
    return 0;
}

static void set_rtt(lua_State *L, const struct rtt *rtt)
{
    set_u64(L, "latest", rtt->latest);
    set_u64(L, "smoothed", rtt->smoothed);
    set_u64(L, "var", rtt->var);
    set_u64(L, "min", rtt->min);
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
    set_u64(L, "window_left", neap_path_recovery_window_left(p));
    set_u64(L, "in_flight", p->bytes_in_flight);
    set_u64(L, "delivered", p->delivered);
    set_u64(L, "pto_count", p->pto_count);
    set_u64(L, "packets_lost", counters.packets_lost);
    set_u64(L, "bytes_lost", counters.bytes_lost);
    set_u64(L, "spurious", counters.spurious_losses);
    set_u64(L, "pacing_rate", p->pacer.rate);
    set_last_ack(L, &p->cc);
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
