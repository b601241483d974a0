/* neap.units.strikes: the strike register of the host, also from several processes. */
#include <lauxlib.h>
#include <lua.h>

#include "host/strikes.h"
#include "units.h"

#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

int neap_units_strikes(lua_State *L);

#define TYPE "neap.units.strikes"
#define PROCESSES_MOST 8

static struct strikes *check(lua_State *L)
{
    struct strikes **box = luaL_checkudata(L, 1, TYPE);

    luaL_argcheck(L, *box, 1, "closed");
    return *box;
}

/* open(path|nil, entries, now) → register | nil, reason */
static int open_register(lua_State *L)
{
    const char *why = NULL;
    struct strikes **box = lua_newuserdata(L, sizeof(struct strikes *));

    *box = NULL;
    luaL_getmetatable(L, TYPE);
    lua_setmetatable(L, -2);
    if (neap_strikes_open(luaL_optstring(L, 1, NULL), (uint64_t)luaL_checknumber(L, 2),
                          (int64_t)luaL_checknumber(L, 3), box, &why) == 0)
        return 1;
    lua_pushnil(L);
    lua_pushstring(L, why);
    return 2;
}

static int close_register(lua_State *L)
{
    struct strikes **box = luaL_checkudata(L, 1, TYPE);

    neap_strikes_close(*box);
    *box = NULL;
    return 0;
}

/* register:note(id of 32 bytes, expires, now) → boolean */
static int note(lua_State *L)
{
    size_t size;
    const char *id = luaL_checklstring(L, 2, &size);

    luaL_argcheck(L, size == 32, 2, "32 bytes");
    lua_pushboolean(L, neap_strikes_note(check(L), (const uint8_t *)id, (int64_t)luaL_checknumber(L, 3),
                                         (int64_t)luaL_checknumber(L, 4)));
    return 1;
}

/* The n-th identifier of a row that every process goes through: splitmix64. */
static void make_id(uint32_t n, uint8_t id[32])
{
    for (unsigned i = 0; i < 32; i += 8) {
        uint64_t z = (UINT64_C(4) * n + i / 8 + 1) * UINT64_C(0x9e3779b97f4a7c15);

        z = (z ^ (z >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
        z = (z ^ (z >> 27)) * UINT64_C(0x94d049bb133111eb);
        z ^= z >> 31;
        memcpy(id + i, &z, sizeof z);
    }
}

static void race(struct strikes *s, const char *path, uint32_t count, int64_t now, unsigned char *taken)
{
    uint8_t id[32];

    if (path && neap_strikes_open(path, 262144, now, &s, NULL))
        _exit(1);
    for (uint32_t n = 0; n < count; n++) {
        make_id(n, id);
        if (neap_strikes_note(s, id, now + 20, now))
            __atomic_add_fetch(&taken[n], 1, __ATOMIC_SEQ_CST);
    }
    _exit(0);
}

/* race(register|nil, path|nil, processes, count, now, killed): each process notes the same identifiers, with the register
 * or with its own of the file; the first is killed when `killed`. → how many were taken, and the most that one was */
static int race_all(lua_State *L)
{
    struct strikes *s = lua_isnil(L, 1) ? NULL : check(L);
    const char *path = luaL_optstring(L, 2, NULL);
    int processes = (int)luaL_checkinteger(L, 3), status;
    uint32_t count = (uint32_t)luaL_checkinteger(L, 4), sum = 0, most = 0;
    pid_t children[PROCESSES_MOST];
    unsigned char *taken = mmap(NULL, count, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);

    luaL_argcheck(L, processes <= PROCESSES_MOST, 3, "too many");
    if (taken == MAP_FAILED)
        return luaL_error(L, "no memory");
    for (int i = 0; i < processes; i++) {
        children[i] = fork();
        if (children[i] == 0)
            race(s, path, count, (int64_t)luaL_checknumber(L, 5), taken);
    }
    if (lua_toboolean(L, 6))
        kill(children[0], SIGKILL);
    for (int i = 0; i < processes; i++)
        if (waitpid(children[i], &status, 0) != children[i] || (status && !(i == 0 && WIFSIGNALED(status))))
            return luaL_error(L, "a child failed");
    for (uint32_t n = 0; n < count; n++) {
        sum += taken[n];
        most = taken[n] > most ? taken[n] : most;
    }
    munmap(taken, count);
    lua_pushinteger(L, (lua_Integer)sum);
    lua_pushinteger(L, (lua_Integer)most);
    return 2;
}

/* config(path) → the results of what a config is told, one after the other, as numbers in one text */
static int config(lua_State *L)
{
    const char *path = luaL_checkstring(L, 1), *why = "";
    static const uint8_t keys[1][32] = {{1}};
    neap_config *c = neap_config_new(NULL);
    char text[200];

    int memory = neap_config_use_strikes(c, NULL, &why);
    int keys_beside = neap_config_set_ticket_keys(c, keys, 1);
    int file = neap_config_use_strikes(c, path, &why);
    int keys_then = neap_config_set_ticket_keys(c, keys, 1);
    int memory_then = neap_config_use_strikes(c, NULL, &why);
    int nowhere = neap_config_use_strikes(c, "/nowhere/strikes", NULL);
    snprintf(text, sizeof text, "%d %d %d %d %d %d: %s", memory, keys_beside, file, keys_then, memory_then,
             nowhere, why);
    neap_config_set_strike(c, NULL, NULL);
    neap_config_free(c);
    lua_pushstring(L, text);
    return 1;
}

int neap_units_strikes(lua_State *L)
{
    static const luaL_Reg functions[] = {
        {"open", open_register}, {"race", race_all}, {"config", config}, {NULL, NULL}};

    luaL_newmetatable(L, TYPE);
    lua_pushvalue(L, -1);
    lua_setfield(L, -2, "__index");
    lua_pushcfunction(L, note);
    lua_setfield(L, -2, "note");
    lua_pushcfunction(L, close_register);
    lua_setfield(L, -2, "close");
    lua_pushcfunction(L, close_register);
    lua_setfield(L, -2, "__gc");
    lua_newtable(L);
    for (const luaL_Reg *f = functions; f->name; f++) {
        lua_pushcfunction(L, f->func);
        lua_setfield(L, -2, f->name);
    }
    return 1;
}
