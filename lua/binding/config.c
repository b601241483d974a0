/* core.config{…}: the environment, and names, units and ranges of neap_config_set. */
#include "binding.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* Times of neap_config_set are milliseconds, seconds in Lua. The range is for people. */
static const struct {
    const char *name;
    bool is_time;
    const char *range;
} known_options[] = {
    {"max_idle_timeout", true, "seconds from 0 (none)"},
    {"max_udp_payload_size", false, "1200 to 65527"},
    {"max_send_udp_payload_size", false, "1200 to 65527"},
    {"ack_delay_exponent", false, "0 to 20"},
    {"max_ack_delay", true, "seconds below 16.384"},
    {"active_connection_id_limit", false, "2 to 8"},
    {"initial_max_streams_bidi", false, "0 to 2^60"},
    {"initial_max_streams_uni", false, "0 to 2^60"},
    {"handshake_timeout", true, "seconds above 0"},
    {"initial_rtt", true, "seconds above 0"},
    {"source_connection_id_size", false, "0 to 20"},
    {"disable_active_migration", false, "true or false"},
    {"retry", false, "true or false"},
    {"verify_peer", false, "true or false"},
    {"pacing", false, "true or false"},
    {"grease", false, "true or false"},
};

static const char *const other_options[] = {
    "alpn",   "cert",   "key",  "certs",      "ca",           "pin",           "pins",
    "verify", "keylog", "seed", "wall_clock", "memory_limit", "static_secret", NULL,
};

struct config_core *neap_lua_config_retain(struct config_core *core)
{
    core->references++;
    return core;
}

void neap_lua_config_release(struct config_core *core)
{
    if (core == NULL || --core->references > 0)
        return;
    neap_config_free(core->config);
    if (core->keylog_fd >= 0)
        close(core->keylog_fd);
    free(core);
}

struct config_core *neap_lua_check_config(lua_State *L, int index)
{
    struct config_core **box = luaL_checkudata(L, index, TYPE_CONFIG);

    if (*box == NULL)
        luaL_argerror(L, index, "the config was not made");
    return *box;
}

static int config_gc(lua_State *L)
{
    struct config_core **box = luaL_checkudata(L, 1, TYPE_CONFIG);

    neap_lua_config_release(*box);
    *box = NULL;
    return 0;
}

/* --- the environment of a config that has `seed` or `wall_clock` */

/* splitmix64: good enough for simulations, which is all that a seed is for. */
static int seeded_random(void *context, uint8_t *out, size_t size)
{
    struct config_core *core = context;

    for (size_t i = 0; i < size; i++) {
        uint64_t z = core->random_state += UINT64_C(0x9e3779b97f4a7c15);
        z = (z ^ (z >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
        z = (z ^ (z >> 27)) * UINT64_C(0x94d049bb133111eb);
        out[i] = (uint8_t)(z >> 56);
    }
    return 0;
}

static int64_t fixed_wall_clock(void *context)
{
    const struct config_core *core = context;

    return core->wall_clock;
}

static uint64_t hash_seed(const char *bytes, size_t size)
{
    uint64_t hash = UINT64_C(0xcbf29ce484222325);

    for (size_t i = 0; i < size; i++)
        hash = (hash ^ (uint8_t)bytes[i]) * UINT64_C(0x100000001b3);
    return hash;
}

static neap_env read_env(lua_State *L, struct config_core *core)
{
    neap_env env = {.context = core};

    lua_getfield(L, 1, "seed");
    if (!lua_isnil(L, -1)) {
        size_t size;
        const char *seed = lua_tolstring(L, -1, &size);
        if (seed == NULL)
            luaL_error(L, "option 'seed' must be a string or a number");
        core->random_state = hash_seed(seed, size);
        env.random = seeded_random;
    }
    lua_getfield(L, 1, "wall_clock");
    if (!lua_isnil(L, -1)) {
        if (!lua_isnumber(L, -1))
            luaL_error(L, "option 'wall_clock' must be seconds since 1970");
        core->wall_clock = (int64_t)lua_tonumber(L, -1);
        env.wall_clock = fixed_wall_clock;
    }
    lua_getfield(L, 1, "memory_limit");
    if (!lua_isnil(L, -1)) {
        lua_Number limit = lua_isnumber(L, -1) ? lua_tonumber(L, -1) : -1;
        if (!(limit >= 0 && limit < 0x1p53))
            luaL_error(L, "option 'memory_limit' must be a number of bytes from 0");
        env.memory_limit = (size_t)limit;
    }
    lua_pop(L, 3);
    return env;
}

/* --- numbers */

static void bad_value(lua_State *L, const char *name)
{
    for (size_t i = 0; i < sizeof known_options / sizeof known_options[0]; i++) {
        if (strcmp(known_options[i].name, name) == 0)
            luaL_error(L, "option '%s' must be %s", name, known_options[i].range);
    }
    luaL_error(L, "option '%s' must be a whole number from 0", name);
}

static bool is_time(const char *name)
{
    for (size_t i = 0; i < sizeof known_options / sizeof known_options[0]; i++) {
        if (strcmp(known_options[i].name, name) == 0)
            return known_options[i].is_time;
    }
    return false;
}

/* The option `name` of the table, whose value is on top. */
static void set_number(lua_State *L, struct config_core *core, const char *name)
{
    lua_Number number;

    if (lua_isboolean(L, -1))
        number = lua_toboolean(L, -1);
    else if (lua_type(L, -1) == LUA_TNUMBER)
        number = lua_tonumber(L, -1);
    else
        number = -1;
    if (is_time(name) && number >= 0 && number < 0x1p50)
        number = (lua_Number)(uint64_t)(number * 1000 + 0.5);
    if (!(number >= 0 && number < 0x1p62) || number != (lua_Number)(uint64_t)number ||
        neap_config_set(core->config, name, (uint64_t)number) != NEAP_OK)
        bad_value(L, name);
}

static bool is_number_option(const char *name)
{
    for (size_t i = 0; neap_config_option(i) != NULL; i++) {
        if (strcmp(neap_config_option(i), name) == 0)
            return true;
    }
    return false;
}

static bool is_other_option(const char *name)
{
    for (size_t i = 0; other_options[i] != NULL; i++) {
        if (strcmp(other_options[i], name) == 0)
            return true;
    }
    return false;
}

/* Numbers are set here; unknown names raise. */
static void set_numbers(lua_State *L, struct config_core *core)
{
    lua_pushnil(L);
    while (lua_next(L, 1) != 0) {
        if (lua_type(L, -2) != LUA_TSTRING)
            luaL_error(L, "options have names, found a %s", luaL_typename(L, -2));
        const char *name = lua_tostring(L, -2);
        if (strcmp(name, "verify") == 0)
            set_number(L, core, "verify_peer");
        else if (is_number_option(name))
            set_number(L, core, name);
        else if (!is_other_option(name))
            luaL_error(L, "unknown option '%s'", name);
        lua_pop(L, 1);
    }
}

/* core.config(options) -> config | nil, message, code */
static int config_new(lua_State *L)
{
    if (lua_isnoneornil(L, 1)) {
        lua_settop(L, 0);
        lua_newtable(L);
    }
    luaL_checktype(L, 1, LUA_TTABLE);
    lua_settop(L, 1);
    struct config_core **box = lua_newuserdata(L, sizeof *box);
    *box = NULL;
    luaL_getmetatable(L, TYPE_CONFIG);
    lua_setmetatable(L, -2);
    struct config_core *core = calloc(1, sizeof *core);
    if (core == NULL)
        return neap_lua_error(L, NEAP_ERR_NO_MEMORY);
    core->references = 1;
    core->keylog_fd = -1;
    *box = core;
    neap_env env = read_env(L, core);
    core->config = neap_config_new(&env);
    if (core->config == NULL)
        return neap_lua_error(L, NEAP_ERR_NO_MEMORY);
    set_numbers(L, core);
    int failed = neap_lua_set_material(L, core);
    if (failed != 0)
        return failed;
    lua_settop(L, 2);
    return 1;
}

static int config_memory(lua_State *L)
{
    neap_memory_stats stats;

    neap_config_memory(neap_lua_check_config(L, 1)->config, &stats);
    lua_createtable(L, 0, 4);
    neap_lua_set_u64(L, "used", stats.used);
    neap_lua_set_u64(L, "reserved", stats.reserved);
    neap_lua_set_u64(L, "limit", stats.limit);
    neap_lua_set_u64(L, "refused", stats.refused);
    return 1;
}

/* core.make_certificate{ names =, days =, seed = } -> certificate, key */
static int make_certificate(lua_State *L)
{
    static const size_t room = 4096;
    const char *names[16] = {"localhost"};
    size_t count = 1;
    lua_Number days = 365;

    luaL_checktype(L, 1, LUA_TTABLE);
    lua_settop(L, 1);
    lua_getfield(L, 1, "names");
    if (lua_istable(L, 2)) {
        count = lua_rawlen(L, 2);
        luaL_argcheck(L, count >= 1 && count <= 16, 1, "'names' has 1 to 16 names");
        for (size_t i = 0; i < count; i++) {
            lua_rawgeti(L, 2, (int)i + 1);
            luaL_argcheck(L, lua_type(L, -1) == LUA_TSTRING, 1, "'names' must be strings");
            names[i] = lua_tostring(L, -1);
            lua_pop(L, 1);
        }
    }
    lua_getfield(L, 1, "days");
    if (!lua_isnil(L, 3))
        days = lua_tonumber(L, 3);
    luaL_argcheck(L, days >= 1 && days <= 36500, 1, "'days' must be 1 to 36500");
    lua_pushcfunction(L, config_new);
    lua_newtable(L);
    static const char *const passed[] = {"seed", "wall_clock"};
    for (size_t i = 0; i < 2; i++) {
        lua_getfield(L, 1, passed[i]);
        lua_setfield(L, -2, passed[i]);
    }
    lua_call(L, 1, 1);
    struct config_core *core = neap_lua_check_config(L, 4);
    char *certificate = lua_newuserdata(L, room);
    char *key = lua_newuserdata(L, room);
    int result =
        neap_make_certificate(core->config, names, count, (unsigned)days, certificate, room, key, room);
    if (result != NEAP_OK)
        return neap_lua_error(L, result);
    lua_pushstring(L, certificate);
    lua_pushstring(L, key);
    return 2;
}

void neap_lua_open_config(lua_State *L)
{
    static const luaL_Reg functions[] = {
        {"config", config_new},
        {"make_certificate", make_certificate},
        {NULL, NULL},
    };
    static const luaL_Reg methods[] = {
        {"memory", config_memory},
        {NULL, NULL},
    };

    neap_lua_new_type(L, TYPE_CONFIG, methods, config_gc, NULL);
    neap_lua_set_functions(L, functions);
}
