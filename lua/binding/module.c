/* The module neap.core: its table, and what every file needs: errors, times, numbers, types. */
#include "binding.h"

#include <string.h>
#include <unistd.h>

#define SECONDS_MAX 1.8e10 /* about what nanoseconds in 64 bits hold */

/* The third result: a stable word for each NEAP_ERR_*. */
static const char *error_word(int64_t error)
{
    static const char *const words[] = {
        "",       "again",  "memory", "argument", "closed",    "short",          "version",     "invalid",
        "state",  "limit",  "reset",  "stopped",  "crypto",    "certificate",    "unsupported", "limit",
        "system", "random", "token",  "in use",   "migration", "connection ids",
    };

    return error < 0 && -error < (int64_t)(sizeof words / sizeof words[0]) ? words[-error] : "unknown";
}

int neap_lua_error_text(lua_State *L, int64_t error, const char *message)
{
    lua_pushnil(L);
    lua_pushstring(L, message);
    lua_pushstring(L, error_word(error));
    return 3;
}

int neap_lua_error(lua_State *L, int64_t error)
{
    return neap_lua_error_text(L, error, error == NEAP_ERR_AGAIN ? "done" : neap_strerror(error));
}

int neap_lua_system_error(lua_State *L, const char *what, int error_number)
{
    lua_pushnil(L);
    lua_pushfstring(L, "%s: %s", what, strerror(error_number));
    lua_pushliteral(L, "system");
    lua_pushinteger(L, error_number);
    return 4;
}

int neap_lua_result(lua_State *L, int64_t result)
{
    if (result < 0)
        return neap_lua_error(L, result);
    lua_pushboolean(L, 1);
    return 1;
}

int neap_lua_count(lua_State *L, int64_t count)
{
    if (count < 0)
        return neap_lua_error(L, count);
    neap_lua_push_u64(L, (uint64_t)count);
    return 1;
}

neap_time neap_lua_to_time(lua_State *L, lua_Number seconds)
{
    if (!(seconds >= 0))
        luaL_error(L, "a time is a number of seconds from 0, got %f", seconds);
    if (seconds >= SECONDS_MAX)
        return NEAP_NEVER;
    return (neap_time)(seconds * 1e9 + 0.5);
}

neap_time neap_lua_check_time(lua_State *L, int index)
{
    lua_Number seconds = luaL_checknumber(L, index);

    luaL_argcheck(L, seconds >= 0, index, "a time is a number of seconds from 0");
    return neap_lua_to_time(L, seconds);
}

void neap_lua_push_time(lua_State *L, neap_time time)
{
    lua_pushnumber(L, (lua_Number)time / 1e9);
}

void neap_lua_push_timeout(lua_State *L, neap_time time, neap_time now)
{
    if (time == NEAP_NEVER)
        lua_pushnil(L);
    else
        neap_lua_push_time(L, time > now ? time - now : 0);
}

uint64_t neap_lua_check_u64(lua_State *L, int index)
{
    lua_Number value = luaL_checknumber(L, index);

    luaL_argcheck(L, value >= 0 && value < 0x1p63 && (lua_Number)(uint64_t)value == value, index,
                  "a whole number from 0 expected");
#if LUA_VERSION_NUM >= 503
    if (lua_isinteger(L, index))
        return (uint64_t)lua_tointeger(L, index);
#endif
    return (uint64_t)value;
}

uint64_t neap_lua_opt_u64(lua_State *L, int index, uint64_t otherwise)
{
    return lua_isnoneornil(L, index) ? otherwise : neap_lua_check_u64(L, index);
}

void neap_lua_set_u64(lua_State *L, const char *name, uint64_t value)
{
    neap_lua_push_u64(L, value);
    lua_setfield(L, -2, name);
}

void neap_lua_new_type(lua_State *L, const char *type, const luaL_Reg *methods, lua_CFunction gc,
                       lua_CFunction to_string)
{
    luaL_newmetatable(L, type);
    lua_newtable(L);
    neap_lua_set_functions(L, methods);
    lua_setfield(L, -2, "__index");
    lua_pushcfunction(L, gc);
    lua_setfield(L, -2, "__gc");
    lua_pushcfunction(L, gc);
    lua_setfield(L, -2, "__close");
    if (to_string != NULL) {
        lua_pushcfunction(L, to_string);
        lua_setfield(L, -2, "__tostring");
    }
    lua_pushliteral(L, "locked");
    lua_setfield(L, -2, "__metatable");
    lua_pop(L, 1);
}

static int core_now(lua_State *L)
{
    neap_lua_push_time(L, neap_loop_now());
    return 1;
}

/* core.error_name(code, is_application) -> the RFC's name */
static int core_error_name(lua_State *L)
{
    lua_pushstring(L, neap_wire_error_name(neap_lua_check_u64(L, 1), lua_toboolean(L, 2)));
    return 1;
}

/* core.hash(bytes[, state]) -> 52 bits: FNV-1a, folded so that a Lua number holds it. */
static int core_hash(lua_State *L)
{
    size_t size;
    const char *bytes = luaL_checklstring(L, 1, &size);
    uint64_t hash = UINT64_C(0xcbf29ce484222325) ^ neap_lua_opt_u64(L, 2, 0) * UINT64_C(0x9e3779b97f4a7c15);

    for (size_t i = 0; i < size; i++)
        hash = (hash ^ (uint8_t)bytes[i]) * UINT64_C(0x100000001b3);
    hash ^= hash >> 29;
    neap_lua_push_u64(L, (hash * UINT64_C(0xbf58476d1ce4e5b9)) >> 12);
    return 1;
}

/* core.process_id() -> number */
static int core_process_id(lua_State *L)
{
    lua_pushinteger(L, (lua_Integer)getpid());
    return 1;
}

NEAP_API int luaopen_neap_core(lua_State *L)
{
    static const luaL_Reg functions[] = {
        {"now", core_now},   {"error_name", core_error_name},
        {"hash", core_hash}, {"process_id", core_process_id},
        {NULL, NULL},
    };

    lua_newtable(L);
    neap_lua_set_functions(L, functions);
    lua_pushstring(L, neap_version());
    lua_setfield(L, -2, "version");
    lua_pushstring(L, neap_backend());
    lua_setfield(L, -2, "backend");
#ifdef NEAP_NO_QLOG
    lua_pushboolean(L, true);
    lua_setfield(L, -2, "without_qlog");
#endif
    neap_lua_open_config(L);
    neap_lua_open_certificate(L);
    neap_lua_open_address(L);
    neap_lua_open_ids(L);
    neap_lua_open_conn(L);
    neap_lua_open_h3(L);
    neap_lua_open_events(L);
    neap_lua_open_answers(L);
    neap_lua_open_listener(L);
    neap_lua_open_link(L);
    neap_lua_open_endpoint(L);
    neap_lua_open_loop(L);
    neap_lua_open_udp(L);
    neap_lua_open_descriptor(L);
    neap_lua_open_socket(L);
    neap_lua_open_unix(L);
    neap_lua_open_process(L);
    neap_lua_open_tls(L);
    neap_lua_open_files(L);
    neap_lua_open_json(L);
    neap_lua_open_secret(L);
    neap_lua_open_encoder(L);
    neap_lua_open_service(L);
    neap_lua_open_turns(L);
    neap_lua_open_dns(L);
    neap_lua_open_load(L);
    return 1;
}
