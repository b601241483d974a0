/* core.config{…}: names, units and ranges of neap_config_set, and what is text: certificates, roots, pins. */
#include "binding.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define ALPN_MAX 16
#define FILE_SIZE_MAX (1u << 20) /* of a certificate chain, a key, a bundle of roots */

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

/* --- text: what is not PEM or DER is the path of a file that holds it */

static bool is_material(const char *text, size_t size)
{
    static const char mark[] = "-----BEGIN";

    if (size > 0 && text[0] == 0x30) /* a DER SEQUENCE; no path begins with "0" and control characters */
        return size > 32;
    for (size_t i = 0; i + sizeof mark - 1 <= size; i++) {
        if (text[i] == '-' && memcmp(text + i, mark, sizeof mark - 1) == 0)
            return true;
    }
    return false;
}

/* Pushes the bytes of a file; 0, or an errno. */
static int push_file(lua_State *L, const char *path)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    int number = 0;
    struct stat info;
    luaL_Buffer buffer;
    size_t total = 0;

    if (fd < 0)
        return errno;
    if (fstat(fd, &info) == 0 && S_ISDIR(info.st_mode)) {
        close(fd);
        return EISDIR;
    }
    luaL_buffinit(L, &buffer);
    for (;;) {
        char chunk[4096];
        ssize_t got = read(fd, chunk, sizeof chunk);
        if (got < 0 && errno == EINTR)
            continue;
        if (got <= 0) {
            number = got < 0 ? errno : 0;
            break;
        }
        total += (size_t)got;
        if (total > FILE_SIZE_MAX) {
            number = EFBIG;
            break;
        }
        luaL_addlstring(&buffer, chunk, (size_t)got);
    }
    close(fd);
    luaL_pushresult(&buffer);
    if (number != 0)
        lua_pop(L, 1);
    return number;
}

/* Replace the path on top of the stack by what is in the file. 0, or the count of results of a failure. */
static int load_material(lua_State *L, const char *name)
{
    size_t size;
    const char *text = lua_tolstring(L, -1, &size);

    if (text == NULL)
        luaL_error(L, "'%s' must be a path or the text of a PEM file", name);
    if (is_material(text, size))
        return 0;
    int number = push_file(L, text);
    if (number != 0)
        return neap_lua_system_error(L, text, number);
    lua_remove(L, -2);
    return 0;
}

static int material_error(lua_State *L, int result, const char *name, const char *why)
{
    char message[200];

    snprintf(message, sizeof message, "%s: %s", name, why != NULL ? why : neap_strerror(result));
    return neap_lua_error_text(L, result, message);
}

/* cert and key of the table at `index`; nothing when it has none. 0, or the count of results of a failure. */
static int add_certificate(lua_State *L, struct config_core *core, int index)
{
    const char *why = NULL;
    size_t chain_size, key_size;
    int failed;

    lua_getfield(L, index, "cert");
    lua_getfield(L, index, "key");
    bool has_cert = !lua_isnil(L, -2);
    if (has_cert != !lua_isnil(L, -1))
        luaL_error(L, "'%s' needs '%s'", has_cert ? "cert" : "key", has_cert ? "key" : "cert");
    if (!has_cert) {
        lua_pop(L, 2);
        return 0;
    }
    char where[120];
    const char *cert = lua_tostring(L, -2);
    snprintf(where, sizeof where, "%.100s",
             cert != NULL && !is_material(cert, strlen(cert)) ? cert : "certificate");
    if ((failed = load_material(L, "key")) != 0)
        return failed;
    lua_insert(L, -2);
    if ((failed = load_material(L, "cert")) != 0)
        return failed;
    const char *chain = lua_tolstring(L, -1, &chain_size);
    const char *key = lua_tolstring(L, -2, &key_size);
    int result = neap_config_add_certificate(core->config, chain, chain_size, key, key_size, &why);
    lua_pop(L, 2);
    return result == NEAP_OK ? 0 : material_error(L, result, where, why);
}

static int add_certificates(lua_State *L, struct config_core *core)
{
    int failed = add_certificate(L, core, 1);

    if (failed != 0)
        return failed;
    lua_getfield(L, 1, "certs");
    if (!lua_isnil(L, -1) && !lua_istable(L, -1))
        luaL_error(L, "option 'certs' must be a list of { cert =, key = }");
    for (int i = 1; lua_istable(L, -1) && i <= (int)lua_rawlen(L, -1); i++) {
        lua_rawgeti(L, -1, i);
        if (!lua_istable(L, -1))
            luaL_error(L, "option 'certs' must be a list of { cert =, key = }");
        failed = add_certificate(L, core, lua_gettop(L));
        if (failed != 0)
            return failed;
        lua_pop(L, 1);
    }
    lua_pop(L, 1);
    return 0;
}

/* The roots on top of the stack: a path or PEM. */
static int add_ca(lua_State *L, struct config_core *core)
{
    size_t size;
    const char *text = lua_tolstring(L, -1, &size);
    const char *why = NULL;
    int result;

    if (text == NULL)
        luaL_error(L, "option 'ca' must be a path, the text of a PEM file or a list of these");
    if (is_material(text, size)) {
        result = neap_config_add_ca(core->config, text, size, &why);
        return result == NEAP_OK ? 0 : material_error(L, result, "ca", why);
    }
    if (access(text, R_OK) != 0)
        return neap_lua_system_error(L, text, errno);
    result = neap_config_add_ca_path(core->config, text, &why);
    return result == NEAP_OK ? 0 : material_error(L, result, text, why);
}

/* Calls `add` for the value of option `name`, or for each of its list. */
static int for_each(lua_State *L, struct config_core *core, const char *name,
                    int (*add)(lua_State *, struct config_core *))
{
    int failed = 0;

    lua_getfield(L, 1, name);
    if (lua_istable(L, -1)) {
        for (int i = 1; failed == 0 && i <= (int)lua_rawlen(L, -1); i++) {
            lua_rawgeti(L, -1, i);
            failed = add(L, core);
            if (failed == 0)
                lua_pop(L, 1);
        }
    } else if (!lua_isnil(L, -1)) {
        failed = add(L, core);
    }
    if (failed == 0)
        lua_pop(L, 1);
    return failed;
}

/* 32 bytes, or 64 hex digits, on top of the stack. */
static void read_32(lua_State *L, const char *name, uint8_t out[32])
{
    size_t size = 0;
    const char *text = lua_isstring(L, -1) ? lua_tolstring(L, -1, &size) : NULL;

    if (text != NULL && size == 32) {
        memcpy(out, text, 32);
        return;
    }
    bool good = text != NULL && size == 64;
    for (size_t i = 0; good && i < 32; i++) {
        unsigned value;
        char pair[3] = {text[2 * i], text[2 * i + 1], '\0'};
        good = strspn(pair, "0123456789abcdefABCDEF") == 2 && sscanf(pair, "%2x", &value) == 1;
        if (good)
            out[i] = (uint8_t)value;
    }
    if (!good)
        luaL_error(L, "option '%s' must be 32 bytes or 64 hex digits", name);
}

static int add_pin(lua_State *L, struct config_core *core)
{
    uint8_t pin[32];

    read_32(L, "pin", pin);
    int result = neap_config_add_pin(core->config, pin);
    return result == NEAP_OK ? 0 : neap_lua_error(L, result);
}

static void set_static_secret(lua_State *L, struct config_core *core)
{
    uint8_t secret[32];

    lua_getfield(L, 1, "static_secret");
    if (!lua_isnil(L, -1)) {
        read_32(L, "static_secret", secret);
        neap_config_set_static_secret(core->config, secret);
    }
    lua_pop(L, 1);
}

static void set_alpn(lua_State *L, struct config_core *core)
{
    const char *names[ALPN_MAX];
    size_t count = 0;

    lua_getfield(L, 1, "alpn");
    if (lua_type(L, -1) == LUA_TSTRING) {
        names[count++] = lua_tostring(L, -1);
    } else if (lua_istable(L, -1)) {
        size_t size = lua_rawlen(L, -1);
        if (size > ALPN_MAX)
            luaL_error(L, "option 'alpn' has more than %d names", ALPN_MAX);
        for (; count < size; count++) {
            lua_rawgeti(L, -1, (int)count + 1);
            if (lua_type(L, -1) != LUA_TSTRING)
                luaL_error(L, "option 'alpn' must be a string or a list of strings");
            names[count] = lua_tostring(L, -1); /* the list keeps it alive */
            lua_pop(L, 1);
        }
    } else if (!lua_isnil(L, -1)) {
        luaL_error(L, "option 'alpn' must be a string or a list of strings");
    }
    if (count > 0 && neap_config_set_alpn(core->config, names, count) != NEAP_OK)
        luaL_error(L, "option 'alpn': names have 1 to 255 bytes");
    lua_pop(L, 1);
}

/* One write a line, so that processes may share the file. */
static void write_keylog(void *context, const char *line)
{
    const struct config_core *core = context;
    char buffer[512];
    int size = snprintf(buffer, sizeof buffer, "%s\n", line);

    /* A full disk must not end a connection. */
    if (size > 0 && (size_t)size < sizeof buffer && write(core->keylog_fd, buffer, (size_t)size) < 0)
        return;
}

static int set_keylog(lua_State *L, struct config_core *core)
{
    lua_getfield(L, 1, "keylog");
    if (!lua_isnil(L, -1)) {
        const char *path = lua_tostring(L, -1);
        if (path == NULL)
            luaL_error(L, "option 'keylog' must be a path");
        core->keylog_fd = open(path, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0600);
        if (core->keylog_fd < 0)
            return neap_lua_system_error(L, path, errno);
        neap_config_set_keylog(core->config, write_keylog, core);
    }
    lua_pop(L, 1);
    return 0;
}

/* Results of the first step that failed, 0 when all went well. */
static int set_material(lua_State *L, struct config_core *core)
{
    int failed = add_certificates(L, core);

    if (failed == 0)
        failed = for_each(L, core, "ca", add_ca);
    if (failed == 0)
        failed = for_each(L, core, "pin", add_pin);
    if (failed == 0)
        failed = for_each(L, core, "pins", add_pin);
    if (failed == 0)
        failed = set_keylog(L, core);
    return failed;
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
    set_alpn(L, core);
    set_static_secret(L, core);
    int failed = set_material(L, core);
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
