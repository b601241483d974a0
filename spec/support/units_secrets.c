/* For the spec that looks for secrets in the memory of a process: what they are leaves it without being kept there. */
#include "quic_unit.h"

#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <sys/uio.h>
#include <unistd.h>

int neap_units_secrets(lua_State *L);

static int open_file(lua_State *L, int index)
{
    int fd = open(luaL_checkstring(L, index), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);

    return fd >= 0 ? fd : luaL_error(L, "no file");
}

static void write_line(void *context, const char *line)
{
    struct iovec parts[] = {{(void *)(uintptr_t)line, strlen(line)}, {(void *)(uintptr_t) "\n", 1}};

    if (writev((int)(intptr_t)context, parts, 2) < 0)
        abort();
}

/* log_keys(config, path): the key log, which the kernel takes from where it is made */
static int log_keys(lua_State *L)
{
    struct unit_config *u = luaL_checkudata(L, 1, CONFIG);

    neap_config_set_keylog(u->config, write_line, (void *)(intptr_t)open_file(L, 2));
    return 0;
}

/* save_sessions(config, path) */
static int save_sessions(lua_State *L)
{
    struct unit_config *u = luaL_checkudata(L, 1, CONFIG);
    int fd = open_file(L, 2);
    size_t size = (size_t)neap_config_save_sessions(u->config, NULL, 0);
    uint8_t *room = malloc(size);

    if (!room || neap_config_save_sessions(u->config, room, size) < 0 || write(fd, room, size) < 0)
        abort();
    neap_wipe(room, size);
    free(room);
    close(fd);
    return 0;
}

/* use_suite(config, number): alone */
static int use_suite(lua_State *L)
{
    struct unit_config *u = luaL_checkudata(L, 1, CONFIG);

    memset(u->config->tls.suites, 0, sizeof u->config->tls.suites);
    u->config->tls.suites[0] = (uint16_t)luaL_checkinteger(L, 2);
    return 0;
}

/* stop(): until somebody sends SIGCONT */
static int stop(lua_State *L)
{
    (void)L;
    raise(SIGSTOP);
    return 0;
}

int neap_units_secrets(lua_State *L)
{
    lua_newtable(L);
    lua_pushcfunction(L, log_keys);
    lua_setfield(L, -2, "log_keys");
    lua_pushcfunction(L, save_sessions);
    lua_setfield(L, -2, "save_sessions");
    lua_pushcfunction(L, use_suite);
    lua_setfield(L, -2, "use_suite");
    lua_pushcfunction(L, stop);
    lua_setfield(L, -2, "stop");
    return 1;
}
