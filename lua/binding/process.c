/* Child processes in Lua: started without a copy of this one's memory, told of by a descriptor that can be waited for. */
#include "descriptor.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <spawn.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#define WORDS_MOST 4096 /* of a command, or of an environment */

/* The standard descriptors of a child: ours of a pipe, and the child's. */
struct stream {
    int ours, theirs; /* -1: none; theirs is to be closed behind the start when ours is not -1 */
};

/* A list of strings at `index` as an array, which is a userdata on top; they live as long as the list. */
static char **check_words(lua_State *L, int index, const char *what)
{
    size_t count = lua_rawlen(L, index);

    luaL_argcheck(L, count <= WORDS_MOST, index, "too many strings");
    char **words = lua_newuserdata(L, (count + 1) * sizeof *words);
    for (size_t i = 0; i < count; i++) {
        size_t size;
        lua_rawgeti(L, index, (int)i + 1);
        if (lua_type(L, -1) != LUA_TSTRING)
            luaL_error(L, "%s is a list of strings", what);
        words[i] = (char *)(uintptr_t)lua_tolstring(L, -1, &size);
        if (strlen(words[i]) != size)
            luaL_error(L, "%s has a NUL byte", what);
        lua_pop(L, 1);
    }
    words[count] = NULL;
    return words;
}

static int open_stream(int number, const char *how, struct stream *out, posix_spawn_file_actions_t *actions)
{
    int fds[2];

    *out = (struct stream){-1, -1};
    if (strcmp(how, "inherit") == 0)
        return 0;
    if (strcmp(how, "null") == 0)
        return posix_spawn_file_actions_addopen(actions, number, "/dev/null", O_RDWR, 0);
    if (pipe2(fds, O_CLOEXEC) != 0)
        return errno;
    *out = number == 0 ? (struct stream){fds[1], fds[0]} : (struct stream){fds[0], fds[1]};
    if (fcntl(out->ours, F_SETFL, O_NONBLOCK) != 0)
        return errno;
    return posix_spawn_file_actions_adddup2(actions, out->theirs, number);
}

/* No signal is blocked or ignored in a child for what this process does with it. */
static int set_signals(posix_spawnattr_t *attributes)
{
    sigset_t none, all;

    sigemptyset(&none);
    sigfillset(&all);
    int error = posix_spawnattr_setsigmask(attributes, &none);
    if (!error)
        error = posix_spawnattr_setsigdefault(attributes, &all);
    if (!error)
        error = posix_spawnattr_setflags(attributes, POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF);
    return error;
}

static void close_all(struct stream streams[3], bool with_ours)
{
    for (int i = 0; i < 3; i++) {
        if (streams[i].theirs >= 0)
            close(streams[i].theirs);
        if (with_ours && streams[i].ours >= 0)
            close(streams[i].ours);
    }
}

static int spawn(pid_t *pid, char **words, char **environment, const char *folder, const char *const how[3],
                 struct stream streams[3])
{
    posix_spawn_file_actions_t actions;
    posix_spawnattr_t attributes;
    int error = posix_spawn_file_actions_init(&actions);

    if (error)
        return error;
    error = posix_spawnattr_init(&attributes);
    if (error) {
        posix_spawn_file_actions_destroy(&actions);
        return error;
    }
    error = set_signals(&attributes);
    for (int i = 0; i < 3 && !error; i++)
        error = open_stream(i, how[i], &streams[i], &actions);
    if (!error && folder)
        error = posix_spawn_file_actions_addchdir_np(&actions, folder);
    if (!error)
        error = posix_spawnp(pid, words[0], &actions, &attributes, words, environment);
    posix_spawnattr_destroy(&attributes);
    posix_spawn_file_actions_destroy(&actions);
    return error;
}

static void push_descriptor(lua_State *L, int fd)
{
    if (fd < 0)
        lua_pushnil(L);
    else
        neap_lua_new_descriptor(L)->fd = fd;
}

/* core.spawn({ words }, { how of the three }[, { "NAME=value" }[, folder]]) -> pid, descriptor that can be read at the end, and
 * those of the pipes; how: "pipe", "null" or "inherit" */
static int core_spawn(lua_State *L)
{
    struct stream streams[3] = {{-1, -1}, {-1, -1}, {-1, -1}};
    const char *how[3];
    pid_t pid;

    luaL_checktype(L, 1, LUA_TTABLE);
    luaL_checktype(L, 2, LUA_TTABLE);
    const char *folder = luaL_optstring(L, 4, NULL);
    lua_settop(L, 4);
    char **words = check_words(L, 1, "a command"), **environment = environ;
    luaL_argcheck(L, words[0] != NULL, 1, "a command of one word at least expected");
    if (!lua_isnil(L, 3)) {
        luaL_checktype(L, 3, LUA_TTABLE);
        environment = check_words(L, 3, "an environment");
    }
    for (int i = 0; i < 3; i++) {
        lua_rawgeti(L, 2, i + 1);
        how[i] = luaL_checkstring(L, -1);
    }
    int error = spawn(&pid, words, environment, folder, how, streams);
    close_all(streams, error != 0);
    if (error)
        return neap_lua_system_error(L, words[0], error);
    int fd = (int)syscall(SYS_pidfd_open, pid, 0);
    if (fd < 0) {
        int number = errno;
        close_all(streams, true);
        kill(pid, SIGKILL);
        waitpid(pid, NULL, 0);
        return neap_lua_system_error(L, "pidfd_open", number);
    }
    fcntl(fd, F_SETFD, FD_CLOEXEC);
    lua_pushinteger(L, pid);
    push_descriptor(L, fd);
    for (int i = 0; i < 3; i++)
        push_descriptor(L, streams[i].ours);
    return 5;
}

/* core.reap(pid) -> exit code | nil, signal | nil while it runs: once; a child of this process that was not reaped yet */
static int core_reap(lua_State *L)
{
    int status;
    pid_t pid = (pid_t)luaL_checkinteger(L, 1);

    luaL_argcheck(L, pid > 0, 1, "a process expected");
    if (waitpid(pid, &status, WNOHANG) != pid) {
        lua_pushnil(L);
        return 1;
    }
    if (WIFEXITED(status)) {
        lua_pushinteger(L, WEXITSTATUS(status));
        return 1;
    }
    lua_pushnil(L);
    lua_pushinteger(L, WIFSIGNALED(status) ? WTERMSIG(status) : 0);
    return 2;
}

/* descriptor:signal(number) -> true, of a process that has not been reaped */
int neap_lua_signal_process(lua_State *L)
{
    struct descriptor *d = neap_lua_check_descriptor(L);
    int number = (int)luaL_checkinteger(L, 2);

    if (d == NULL)
        return neap_lua_error(L, NEAP_ERR_CLOSED);
    if (syscall(SYS_pidfd_send_signal, d->fd, number, NULL, 0) != 0)
        return neap_lua_system_error(L, "signal", errno);
    lua_pushboolean(L, 1);
    return 1;
}

/* core.environment() -> list of "NAME=value" */
static int core_environment(lua_State *L)
{
    lua_newtable(L);
    for (int i = 0; environ[i] != NULL; i++) {
        lua_pushstring(L, environ[i]);
        lua_rawseti(L, -2, i + 1);
    }
    return 1;
}

void neap_lua_open_process(lua_State *L)
{
    static const luaL_Reg functions[] = {
        {"spawn", core_spawn}, {"reap", core_reap}, {"environment", core_environment}, {NULL, NULL}};

    neap_lua_set_functions(L, functions);
}
