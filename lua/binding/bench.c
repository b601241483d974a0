/* core.load: the load generator in Lua, which says what is asked and prints what came of it. */
#include "binding.h"
#include "load.h"

#include <stdlib.h>
#include <string.h>

#define TYPE_LOAD "neap.load"
#define TARGETS_MAX 1024

struct load_box {
    struct load *load;
    struct config_core *config;
    struct load_target *targets;
};

static int load_gc(lua_State *L)
{
    struct load_box *box = luaL_checkudata(L, 1, TYPE_LOAD);

    neap_load_free(box->load);
    neap_lua_config_release(box->config);
    for (size_t i = 0; box->targets != NULL && i < TARGETS_MAX; i++)
        free((void *)(uintptr_t)box->targets[i].fields);
    free(box->targets);
    *box = (struct load_box){0};
    return 0;
}

static struct load *check_load(lua_State *L)
{
    struct load_box *box = luaL_checkudata(L, 1, TYPE_LOAD);

    if (box->load == NULL)
        luaL_argerror(L, 1, "the load was not made");
    return box->load;
}

/* A field of the options at index 2, and whether it is there. */
static bool get(lua_State *L, const char *name)
{
    lua_getfield(L, 2, name);
    return !lua_isnil(L, -1);
}

static uint64_t number_of(lua_State *L, const char *name, uint64_t otherwise)
{
    uint64_t value = get(L, name) ? neap_lua_check_u64(L, -1) : otherwise;

    lua_pop(L, 1);
    return value;
}

static neap_time time_of(lua_State *L, const char *name, neap_time otherwise)
{
    neap_time value = get(L, name) ? neap_lua_to_time(L, luaL_checknumber(L, -1)) : otherwise;

    lua_pop(L, 1);
    return value;
}

/* The field sections of `targets`, kept in the box; the strings live as long as the options, which the box keeps. */
static void read_targets(lua_State *L, struct load_box *box, struct load_options *options)
{
    neap_field fields[FIELDS_MAX];

    get(L, "targets");
    luaL_checktype(L, -1, LUA_TTABLE);
    int list = lua_gettop(L);
    size_t count = lua_rawlen(L, list);
    luaL_argcheck(L, count > 0 && count <= TARGETS_MAX, 2, "1 to 1024 targets");
    box->targets = calloc(TARGETS_MAX, sizeof *box->targets);
    if (box->targets == NULL)
        luaL_error(L, "not enough memory");
    for (size_t i = 0; i < count; i++) {
        lua_rawgeti(L, list, (int)i + 1);
        size_t lines = neap_lua_check_fields(L, list + 1, fields, 0);
        luaL_argcheck(L, lua_gettop(L) == list + 1, 2, "values of fields are strings here");
        lua_settop(L, list);
        neap_field *own = malloc(lines * sizeof *own + 1);
        if (own == NULL)
            luaL_error(L, "not enough memory");
        memcpy(own, fields, lines * sizeof *own);
        box->targets[i] = (struct load_target){.fields = own, .count = lines};
    }
    options->targets = box->targets;
    options->target_count = count;
}

static void read_options(lua_State *L, struct load_options *options)
{
    get(L, "server_name");
    options->server_name = luaL_checkstring(L, -1);
    get(L, "body");
    options->body = (const uint8_t *)luaL_optlstring(L, -1, "", &options->body_size);
    options->connections = (size_t)number_of(L, "connections", 1);
    options->streams = (size_t)number_of(L, "streams", 1);
    options->count = number_of(L, "count", 0);
    get(L, "rate");
    options->rate = luaL_optnumber(L, -1, 0);
    options->warm_up = time_of(L, "warm_up", 0);
    options->duration = time_of(L, "duration", NEAP_NEVER);
    options->timeout = time_of(L, "timeout", 10 * NEAP_SECOND);
    get(L, "is_fresh");
    options->is_fresh = lua_toboolean(L, -1);
    luaL_argcheck(L, options->connections > 0 && options->streams > 0, 2,
                  "connections and streams are at least 1");
    luaL_argcheck(L, options->streams <= LOAD_SLOTS / options->connections, 2, "too many requests at a time");
    luaL_argcheck(L, options->count > 0 || options->duration != NEAP_NEVER, 2,
                  "a count or a duration is needed");
    luaL_argcheck(L,
                  options->rate == 0 || (options->rate >= LOAD_RATE_LEAST && options->rate <= LOAD_RATE_MOST),
                  2, "a rate is 0.0001 to 10000000 requests a second");
}

/* core.load(config, { server_name =, peer =, targets = { fields, … }, … }) -> load */
static int core_load(lua_State *L)
{
    struct config_core *config = neap_lua_check_config(L, 1);
    struct load_options options = {0};
    const char *why = NULL;

    luaL_checktype(L, 2, LUA_TTABLE);
    luaL_checkstack(L, FIELDS_MAX + 32, "fields");
    struct load_box *box = lua_newuserdata(L, sizeof *box);
    *box = (struct load_box){0};
    luaL_getmetatable(L, TYPE_LOAD);
    lua_setmetatable(L, -2);
    int at = lua_gettop(L);
    lua_pushvalue(L, 2);
    neap_lua_keep(L, at);
    neap_lua_address_field(L, 2, "peer", &options.peer);
    luaL_argcheck(L, options.peer.family != 0, 2, "'peer' is an address");
    read_options(L, &options);
    read_targets(L, box, &options);
    box->config = neap_lua_config_retain(config);
    options.config = config->config;
    box->load = neap_load_new(&options, &why);
    if (box->load == NULL)
        return neap_lua_error_text(L, NEAP_ERR_ARGUMENT, why);
    lua_pushvalue(L, at);
    return 1;
}

/* load:run([seconds]) -> whether it is over */
static int load_run(lua_State *L)
{
    struct load *load = check_load(L);
    neap_time most = lua_isnoneornil(L, 2) ? NEAP_NEVER : neap_lua_check_time(L, 2);
    int result = neap_load_run(load, most);

    if (result != NEAP_OK)
        return neap_lua_error(L, result);
    lua_pushboolean(L, neap_load_phase(load) == LOAD_OVER);
    return 1;
}

static int load_stop(lua_State *L)
{
    neap_load_stop(check_load(L));
    return 0;
}

static void set_seconds(lua_State *L, const char *name, double seconds)
{
    lua_pushnumber(L, seconds);
    lua_setfield(L, -2, name);
}

static void set_histogram(lua_State *L, const char *name, const struct histogram *h)
{
    static const struct {
        const char *name;
        double share;
    } shares[] = {{"p50", 0.5}, {"p75", 0.75}, {"p90", 0.9}, {"p95", 0.95}, {"p99", 0.99}, {"p999", 0.999}};

    lua_createtable(L, 0, 10);
    neap_lua_set_u64(L, "count", h->count);
    set_seconds(L, "min", (double)h->least / 1e9);
    set_seconds(L, "mean", neap_histogram_mean(h) / 1e9);
    for (size_t i = 0; i < sizeof shares / sizeof shares[0]; i++)
        set_seconds(L, shares[i].name, (double)neap_histogram_at(h, shares[i].share) / 1e9);
    set_seconds(L, "max", (double)h->most / 1e9);
    lua_setfield(L, -2, name);
}

static void set_failures(lua_State *L, const char *name, const struct load_failures *failures)
{
    lua_newtable(L);
    for (size_t i = 0; i < failures->count; i++) {
        lua_createtable(L, 0, 2);
        lua_pushstring(L, failures->list[i].reason);
        lua_setfield(L, -2, "reason");
        neap_lua_set_u64(L, "count", failures->list[i].count);
        lua_rawseti(L, -2, (int)i + 1);
    }
    lua_setfield(L, -2, name);
}

static void set_statuses(lua_State *L, const struct load_result *result)
{
    lua_newtable(L);
    for (int i = 0; i < (int)LOAD_STATUSES; i++) {
        if (result->statuses[i] > 0) {
            neap_lua_push_u64(L, result->statuses[i]);
            lua_rawseti(L, -2, i);
        }
    }
    lua_setfield(L, -2, "statuses");
}

/* load:result() -> table; see the README */
static int load_result(lua_State *L)
{
    static const char *const phases[] = {"starting", "warming", "measuring", "draining", "over"};
    struct load *load = check_load(L);
    const struct load_result *result = neap_load_result(load);

    lua_createtable(L, 0, 24);
    lua_pushstring(L, phases[neap_load_phase(load)]);
    lua_setfield(L, -2, "phase");
    lua_pushboolean(L, neap_load_was_interrupted(load));
    lua_setfield(L, -2, "interrupted");
#define COUNTER(name) neap_lua_set_u64(L, #name, result->name);
    COUNTER(begun)
    COUNTER(answered)
    COUNTER(failed)
    COUNTER(open)
    COUNTER(late)
    COUNTER(finished)
    COUNTER(rejected)
    COUNTER(connections_opened)
    COUNTER(connections_lost)
    COUNTER(connections_failed)
    COUNTER(connections_open)
    COUNTER(resumed)
    COUNTER(body_received)
    COUNTER(body_sent)
    COUNTER(udp_received)
    COUNTER(udp_sent)
#undef COUNTER
    set_seconds(L, "seconds", result->seconds);
    set_seconds(L, "user_seconds", result->user_seconds);
    set_seconds(L, "system_seconds", result->system_seconds);
    set_histogram(L, "latency", &result->latency);
    set_histogram(L, "first_byte", &result->first);
    set_histogram(L, "connect", &result->connect);
    set_statuses(L, result);
    set_failures(L, "failures", &result->failures);
    set_failures(L, "connection_failures", &result->connection_failures);
    return 1;
}

void neap_lua_open_load(lua_State *L)
{
    static const luaL_Reg methods[] = {
        {"run", load_run},
        {"stop", load_stop},
        {"result", load_result},
        {NULL, NULL},
    };

    neap_lua_new_type(L, TYPE_LOAD, methods, load_gc, NULL);
    lua_pushcfunction(L, core_load);
    lua_setfield(L, -2, "load");
}
