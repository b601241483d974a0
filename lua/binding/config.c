/* core.config{…}: the environment, and the options of neap_config_set in the units of Lua. */
#include "binding.h"

#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define VERSIONS_MAX 4u /* more than there are */

static const char *const other_options[] = {
    "alpn",
    "cert",
    "key",
    "certs",
    "certificate",
    "ca",
    "crl",
    "pins",
    "keylog",
    "qlog",
    "qlog_every",
    "qlog_limit",
    "qlog_files",
    "qlog_total",
    "seed",
    "wall_clock",
    "memory_limit",
    "static_secret",
    "connection_id_prefix",
    "quic_lb",
    "ticket_key_file",
    "token_key_file",
    "strike_file",
    "sign",
    "verify_server",
    "groups",
    "cipher_suites",
    "ocsp_file",
    "psk",
    "client_ca",
    "verify_client",
    "versions",
    "preferred_address",
    NULL,
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
    neap_lua_qlog_release(core->qlog);
    free(core);
}

struct config_core *neap_lua_check_config(lua_State *L, int index)
{
    struct config_core **box = luaL_checkudata(L, index, TYPE_CONFIG);

    if (*box == NULL)
        luaL_argerror(L, index, "the config was not made");
    return *box;
}

/* Also config:_release(), for those that know that nobody will use it again: a collection does not count its bytes. */
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

/* config:set_wall_clock(seconds since 1970): of one with the option `wall_clock`, for simulations, whose time goes on. Who has
 * a list of configs with weak keys finds there those, too, whose collection has begun. */
static int config_set_wall_clock(lua_State *L)
{
    struct config_core *const *box = luaL_checkudata(L, 1, TYPE_CONFIG);
    lua_Number seconds = luaL_checknumber(L, 2);

    luaL_argcheck(L, seconds > -0x1p53 && seconds < 0x1p53, 2, "seconds since 1970");
    if (*box == NULL)
        return 0;
    if (!(*box)->has_wall_clock)
        luaL_error(L, "set_wall_clock is for a config with the option 'wall_clock'");
    (*box)->wall_clock = (int64_t)seconds;
    return 0;
}

/* What set_clock said, of the process, as the system's clock is: how far the wall clock is ahead of one that only goes on. */
#define CLOCK_OF_SYSTEM INT64_MIN
#define CLOCK_OF_NOBODY INT64_MAX
static _Atomic(int64_t) clock_told = CLOCK_OF_SYSTEM;

static int64_t seconds_of(clockid_t clock)
{
    struct timespec at = {0};

    clock_gettime(clock, &at);
    return (int64_t)at.tv_sec;
}

static int64_t told_wall_clock(void *context)
{
    int64_t ahead = atomic_load(&clock_told);

    (void)context;
    if (ahead == CLOCK_OF_SYSTEM)
        return (int64_t)time(NULL);
    return ahead == CLOCK_OF_NOBODY ? -1 : seconds_of(CLOCK_BOOTTIME) + ahead;
}

/* core.set_clock(seconds since 1970, or false: unknown; none: the system's) */
static int set_clock(lua_State *L)
{
    if (lua_isnoneornil(L, 1)) {
        atomic_store(&clock_told, CLOCK_OF_SYSTEM);
        return 0;
    }
    if (lua_isboolean(L, 1) && !lua_toboolean(L, 1)) {
        atomic_store(&clock_told, CLOCK_OF_NOBODY);
        return 0;
    }
    lua_Number seconds = lua_type(L, 1) == LUA_TNUMBER ? lua_tonumber(L, 1) : -1;
    if (!(seconds >= 0 && seconds < 0x1p40))
        luaL_error(
            L, "set_clock: seconds since 1970, false where nobody knows, or nothing for the system's clock");
    atomic_store(&clock_told, (int64_t)seconds - seconds_of(CLOCK_BOOTTIME));
    return 0;
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
    neap_env env = {.context = core, .wall_clock = told_wall_clock};

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
        core->has_wall_clock = true;
        env.wall_clock = fixed_wall_clock;
    }
    lua_getfield(L, 1, "memory_limit");
    if (!lua_isnil(L, -1)) {
        lua_Number limit = lua_isnumber(L, -1) ? lua_tonumber(L, -1) : -1;
        if (!(limit >= 0 && limit < 0x1p53))
            luaL_error(L, "option 'memory_limit' must be a number of bytes from 0");
        env.memory_limit = limit > 0 ? (size_t)limit : SIZE_MAX;
    }
    lua_pop(L, 3);
    return env;
}

/* --- numbers */

static const neap_option *find_option(const char *name)
{
    const neap_option *option = NULL;

    for (size_t i = 0; (option = neap_config_option(i)) != NULL && strcmp(option->name, name) != 0; i++)
        ;
    return option;
}

/* Times are seconds in Lua. */
static lua_Number in_lua(const neap_option *option, uint64_t value)
{
    return option->unit == NEAP_UNIT_MILLISECONDS ? (lua_Number)value / 1000 : (lua_Number)value;
}

/* Past 2^60 a bound is only what a varint holds: nothing is said of it then. */
static void push_range(lua_State *L, const neap_option *option)
{
    const char *noun = option->unit == NEAP_UNIT_MILLISECONDS ? "seconds" : "a whole number";
    char range[96];
    int size;

    if (option->unit == NEAP_UNIT_BOOLEAN) {
        lua_pushliteral(L, "true or false");
        return;
    }
    if (option->unit == NEAP_UNIT_CHOICE) {
        size = snprintf(range, sizeof range, "%s", option->words[0]);
        for (uint64_t i = 1; i <= option->greatest; i++)
            size += snprintf(range + size, sizeof range - (size_t)size, "%s%s",
                             i < option->greatest ? ", " : " or ", option->words[i]);
        lua_pushstring(L, range);
        return;
    }
    size = snprintf(range, sizeof range, "%s from %.14g", noun, in_lua(option, option->least));
    if (option->greatest == UINT64_C(1) << 60)
        snprintf(range + size, sizeof range - (size_t)size, " to 2^60");
    else if (option->greatest < UINT64_C(1) << 60)
        snprintf(range + size, sizeof range - (size_t)size, " to %.14g", in_lua(option, option->greatest));
    lua_pushstring(L, range);
}

/* The names that neap.cc has registered, with their numbers, and these with their names. */
#define POLICIES "neap.policies"

/* On the string on top, what else than the option's words is allowed. */
static void push_policies(lua_State *L)
{
    lua_getfield(L, LUA_REGISTRYINDEX, POLICIES);
    size_t count = lua_istable(L, -1) ? lua_rawlen(L, -1) : 0;

    for (size_t i = 1; i <= count; i++) {
        lua_pushvalue(L, -2);
        lua_pushstring(L, i == 1 ? ", or of neap.cc.register: " : ", ");
        lua_rawgeti(L, -3, (int)i);
        lua_concat(L, 3);
        lua_replace(L, -3);
    }
    lua_pop(L, 1);
}

static void bad_value(lua_State *L, const neap_option *option)
{
    push_range(L, option);
    if (strcmp(option->name, "congestion_control") == 0)
        push_policies(L);
    luaL_error(L, "option '%s' must be %s", option->name, lua_tostring(L, -1));
}

/* core.set_policies({ name = number, … ; name, … }) */
static int core_set_policies(lua_State *L)
{
    luaL_checktype(L, 1, LUA_TTABLE);
    lua_settop(L, 1);
    lua_setfield(L, LUA_REGISTRYINDEX, POLICIES);
    return 0;
}

/* Whether the word on top is one of them: connections of the config are steered then, by that one. */
static bool set_policy(lua_State *L, struct config_core *core, const neap_option *option)
{
    lua_Number number = 0;

    if (strcmp(option->name, "congestion_control") != 0 || lua_type(L, -1) != LUA_TSTRING)
        return false;
    lua_getfield(L, LUA_REGISTRYINDEX, POLICIES);
    if (lua_istable(L, -1)) {
        lua_pushvalue(L, -2);
        lua_rawget(L, -2);
        number = lua_tonumber(L, -1);
        lua_pop(L, 1);
    }
    lua_pop(L, 1);
    if (number < 1)
        return false;
    neap_config_set_policy(core->config, (uint64_t)number);
    return neap_config_set(core->config, option->name, NEAP_CONGESTION_CONTROL_STEERED) == NEAP_OK;
}

static lua_Number read_word(lua_State *L, const neap_option *option)
{
    const char *word = lua_type(L, -1) == LUA_TSTRING ? lua_tostring(L, -1) : "";
    uint64_t value = 0;

    while (value <= option->greatest && strcmp(option->words[value], word) != 0)
        value++;
    return value <= option->greatest ? (lua_Number)value : -1;
}

/* The value on top, in the unit of neap_config_set; -1 when it is none. A time above 0 stays above 0. */
static lua_Number read_number(lua_State *L, const neap_option *option)
{
    lua_Number number;

    if (option->unit == NEAP_UNIT_BOOLEAN)
        return lua_isboolean(L, -1) ? lua_toboolean(L, -1) : -1;
    if (option->unit == NEAP_UNIT_CHOICE && lua_isboolean(L, -1) && strcmp(option->name, "retry") == 0)
        return lua_toboolean(L, -1);
    if (option->unit == NEAP_UNIT_CHOICE)
        return read_word(L, option);
    if (lua_type(L, -1) != LUA_TNUMBER)
        return -1;
    number = lua_tonumber(L, -1);
    if (option->unit == NEAP_UNIT_MILLISECONDS && number > 0 && number < 0x1p50)
        number = number < 0.001 ? 1 : (lua_Number)(uint64_t)(number * 1000 + 0.5);
    return number;
}

/* The option, whose value is on top. */
static void set_number(lua_State *L, struct config_core *core, const neap_option *option)
{
    if (set_policy(L, core, option))
        return;
    if (strcmp(option->name, "retry") == 0 && lua_type(L, -1) == LUA_TNUMBER)
        option = find_option("retry_above");
    lua_Number number = read_number(L, option);

    if (!(number >= 0 && number < 0x1p62) || number != (lua_Number)(uint64_t)number ||
        neap_config_set(core->config, option->name, (uint64_t)number) != NEAP_OK)
        bad_value(L, option);
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
        const neap_option *option = find_option(name);
        if (option != NULL)
            set_number(L, core, option);
        else if (!is_other_option(name))
            luaL_error(L, "unknown option '%s'", name);
        lua_pop(L, 1);
    }
}

/* "v1" and "v2", or the number of a version; 0: neither. */
static uint32_t read_version(lua_State *L)
{
    static const struct {
        const char *name;
        uint32_t number;
    } known[] = {{"v1", NEAP_QUIC_V1}, {"v2", NEAP_QUIC_V2}};

    if (lua_type(L, -1) == LUA_TNUMBER) {
        lua_Number number = lua_tonumber(L, -1);
        return number >= 1 && number <= UINT32_MAX && number == (lua_Number)(uint32_t)number
                   ? (uint32_t)number
                   : 0;
    }
    for (size_t i = 0; lua_type(L, -1) == LUA_TSTRING && i < sizeof known / sizeof known[0]; i++)
        if (strcmp(lua_tostring(L, -1), known[i].name) == 0)
            return known[i].number;
    return 0;
}

/* One, or a list in order of preference. */
static void set_versions(lua_State *L, struct config_core *core)
{
    uint32_t versions[VERSIONS_MAX];
    size_t count = 0;

    lua_getfield(L, 1, "versions");
    if (lua_istable(L, -1)) {
        for (size_t size = lua_rawlen(L, -1); count < size && count < VERSIONS_MAX; count++) {
            lua_rawgeti(L, -1, (int)count + 1);
            versions[count] = read_version(L);
            lua_pop(L, 1);
        }
    } else {
        versions[count++] = read_version(L);
    }
    if (!lua_isnil(L, -1) && (neap_config_set_versions(core->config, versions, count) != NEAP_OK ||
                              (lua_istable(L, -1) && lua_rawlen(L, -1) != count)))
        luaL_error(L, "option 'versions' has v1 or v2 or their numbers, each once, best first");
    lua_pop(L, 1);
}

/* core.config(options [, "client" or "server"]) -> config[, texts] | nil, message, code. Without a role it serves both. */
static int config_new(lua_State *L)
{
    static const char *const roles[] = {
        [ROLE_ANY] = "any", [ROLE_CLIENT] = "client", [ROLE_SERVER] = "server", NULL};
    enum config_role role = (enum config_role)luaL_checkoption(L, 2, roles[ROLE_ANY], roles);

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
    set_versions(L, core);
    neap_lua_set_preferred_address(L, core);
    int failed = neap_lua_set_material(L, core, role);
    if (failed != 0)
        return failed;
    lua_settop(L, 3);
    lua_pushvalue(L, 2);
    return 1 + neap_lua_stale(L, 3);
}

static void push_value(lua_State *L, const neap_option *option, uint64_t value)
{
    if (option->unit == NEAP_UNIT_BOOLEAN)
        lua_pushboolean(L, value != 0);
    else if (option->unit == NEAP_UNIT_CHOICE)
        lua_pushstring(L, option->words[value]);
    else if (option->unit == NEAP_UNIT_MILLISECONDS)
        lua_pushnumber(L, in_lua(option, value));
    else
        neap_lua_push_u64(L, value);
}

/* core.options() -> list of { name =, unit =, default =, least =, greatest =, range =, text = } in the units of Lua */
static int options(lua_State *L)
{
    static const char *const units[] = {[NEAP_UNIT_COUNT] = "count",
                                        [NEAP_UNIT_BYTES] = "bytes",
                                        [NEAP_UNIT_MILLISECONDS] = "seconds",
                                        [NEAP_UNIT_BOOLEAN] = "boolean",
                                        [NEAP_UNIT_CHOICE] = "choice"};
    const neap_option *option;

    lua_newtable(L);
    for (size_t i = 0; (option = neap_config_option(i)) != NULL; i++) {
        lua_createtable(L, 0, 7);
        lua_pushstring(L, option->name);
        lua_setfield(L, -2, "name");
        lua_pushstring(L, units[option->unit]);
        lua_setfield(L, -2, "unit");
        push_value(L, option, option->default_value);
        lua_setfield(L, -2, "default");
        push_value(L, option, option->least);
        lua_setfield(L, -2, "least");
        push_value(L, option, option->greatest);
        lua_setfield(L, -2, "greatest");
        push_range(L, option);
        lua_setfield(L, -2, "range");
        lua_pushstring(L, option->text);
        lua_setfield(L, -2, "text");
        lua_rawseti(L, -2, (int)i + 1);
    }
    return 1;
}

/* core.engines() → list of what can compute AES-GCM here, the fastest first */
static int engines(lua_State *L)
{
    const char *name;

    lua_newtable(L);
    for (size_t i = 0; (name = neap_engine_name(i)) != NULL; i++) {
        lua_pushstring(L, name);
        lua_rawseti(L, -2, (int)i + 1);
    }
    return 1;
}

/* config:engine() → name of what computes AES-GCM */
static int config_engine(lua_State *L)
{
    lua_pushstring(L, neap_config_engine(neap_lua_check_config(L, 1)->config));
    return 1;
}

/* config:save_sessions() → a client's sessions, to be kept in a file */
static int config_save_sessions(lua_State *L)
{
    const neap_config *config = neap_lua_check_config(L, 1)->config;
    size_t size = (size_t)neap_config_save_sessions(config, NULL, 0);
    char *room = lua_newuserdata(L, size);

    neap_config_save_sessions(config, room, size);
    lua_pushlstring(L, room, size);
    memset(room, 0, size);
    return 1;
}

/* config:load_sessions(saved) → true | nil, message, code */
static int config_load_sessions(lua_State *L)
{
    size_t size;
    const char *saved = luaL_checklstring(L, 2, &size);

    if (neap_config_load_sessions(neap_lua_check_config(L, 1)->config, saved, size) != NEAP_OK)
        return neap_lua_error_text(L, NEAP_ERR_ARGUMENT, "these are no saved sessions");
    lua_pushboolean(L, 1);
    return 1;
}

/* config:set_h3({ max_field_section_size = }) → true | nil, message, code: what core.h3 will be told on its connections */
static int config_set_h3(lua_State *L)
{
    neap_config *config = neap_lua_check_config(L, 1)->config;
    neap_h3_config h3;

    neap_lua_check_h3_config(L, 2, &h3);
    return neap_lua_result(L, neap_config_set_h3(config, &h3));
}

static int config_memory(lua_State *L)
{
    neap_memory_stats stats;

    neap_config_memory(neap_lua_check_config(L, 1)->config, &stats, sizeof stats);
    lua_createtable(L, 0, 7);
    neap_lua_set_u64(L, "used", stats.used);
    neap_lua_set_u64(L, "peak", stats.peak);
    neap_lua_set_u64(L, "reserved", stats.reserved);
    neap_lua_set_u64(L, "limit", stats.limit);
    neap_lua_set_u64(L, "refused", stats.refused);
    neap_lua_set_u64(L, "receive_held", stats.receive_held);
    neap_lua_set_u64(L, "receive_most", stats.receive_most);
    neap_lua_set_u64(L, "send_held", stats.send_held);
    neap_lua_set_u64(L, "send_most", stats.send_most);
    return 1;
}

static int config_bounds(lua_State *L)
{
    static const struct figure figures[] = {
        FIGURE(neap_bound_stats, send_budget),           FIGURE(neap_bound_stats, send_ahead),
        FIGURE(neap_bound_stats, datagrams_refused),     FIGURE(neap_bound_stats, sent_forgotten),
        FIGURE(neap_bound_stats, size_probes_forgotten), FIGURE(neap_bound_stats, closes_withheld),
        FIGURE(neap_bound_stats, h3_overloads),          FIGURE(neap_bound_stats, h3_sections_late),
        FIGURE(neap_bound_stats, h3_sections_partial),   FIGURE(neap_bound_stats, h3_sections_refused),
        FIGURE(neap_bound_stats, h3_priority_updates),
    };
    neap_bound_stats stats;

    neap_config_bounds(neap_lua_check_config(L, 1)->config, &stats, sizeof stats);
    lua_createtable(L, 0, 11);
    neap_lua_set_figures(L, &stats, FIGURES(figures));
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
        {"set_policies", core_set_policies},
        {"config", config_new},
        {"options", options},
        {"engines", engines},
        {"make_certificate", make_certificate},
        {"set_clock", set_clock},
        {NULL, NULL},
    };
    static const luaL_Reg methods[] = {
        {"memory", config_memory},
        {"bounds", config_bounds},
        {"qlog_stats", neap_lua_qlog_stats},
        {"sign", neap_lua_sign},
        {"engine", config_engine},
        {"set_wall_clock", config_set_wall_clock},
        {"set_dates", neap_lua_config_set_dates},
        {"save_sessions", config_save_sessions},
        {"load_sessions", config_load_sessions},
        {"reload", neap_lua_config_reload},
        {"_release", config_gc},
        {"set_h3", config_set_h3},
        {"certificate_pin", neap_lua_certificate_pin},
        {"make_key", neap_lua_make_key},
        {"make_request", neap_lua_make_request},
        {"read_request", neap_lua_read_request},
        {"issue_certificate", neap_lua_issue_certificate},
        {NULL, NULL},
    };

    neap_lua_new_type(L, TYPE_CONFIG, methods, config_gc, NULL);
    luaL_getmetatable(L, TYPE_CONFIG);
    lua_getfield(L, -1, "__index");
    neap_lua_set_functions(L, neap_lua_config_id_methods);
    lua_pop(L, 2);
    neap_lua_set_functions(L, functions);
}
