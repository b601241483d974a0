/* Descriptors in Lua, which never wait: lua/neap/descriptor.lua lets tasks wait for them. */
#include "descriptor.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define TYPE_DESCRIPTOR "neap.descriptor"
#define READ_MOST 65536

static struct descriptor *check_any(lua_State *L)
{
    return luaL_checkudata(L, 1, TYPE_DESCRIPTOR);
}

struct descriptor *neap_lua_check_descriptor(lua_State *L)
{
    struct descriptor *d = check_any(L);

    return d->fd >= 0 ? d : NULL;
}

static void unwatch(struct descriptor *d)
{
    if (d->loop == NULL)
        return;
    neap_watch_free(d->watch);
    neap_lua_loop_release(d->loop);
    d->watch = NULL;
    d->loop = NULL;
}

static int close_descriptor(lua_State *L)
{
    struct descriptor *d = check_any(L);

    unwatch(d);
    if (d->fd >= 0 && !d->is_borrowed)
        close(d->fd);
    d->fd = -1;
    return 0;
}

struct descriptor *neap_lua_new_descriptor(lua_State *L)
{
    struct descriptor *d = lua_newuserdata(L, sizeof *d);

    *d = (struct descriptor){.fd = -1};
    luaL_getmetatable(L, TYPE_DESCRIPTOR);
    lua_setmetatable(L, -2);
    return d;
}

int neap_lua_descriptor_error(lua_State *L, const char *what)
{
    if (errno == EAGAIN || errno == EINPROGRESS || errno == EINTR)
        return neap_lua_error(L, NEAP_ERR_AGAIN);
    return neap_lua_system_error(L, what, errno);
}

static int check_number(lua_State *L, int index)
{
    uint64_t number = neap_lua_check_u64(L, index);

    luaL_argcheck(L, number <= INT32_MAX, index, "the number of a descriptor expected");
    return (int)number;
}

/* A new descriptor on top for a number that is open. */
static struct descriptor *wrap(lua_State *L, int fd)
{
    int kind;
    socklen_t size = sizeof kind;
    struct descriptor *d = neap_lua_new_descriptor(L);

    d->is_socket = getsockopt(fd, SOL_SOCKET, SO_TYPE, &kind, &size) == 0;
    d->fd = fd;
    return d;
}

/* core.fd(number[, is_borrowed]) -> descriptor, which does not block from now on; a borrowed one stays as it is, and is closed by
 * somebody else */
static int core_fd(lua_State *L)
{
    int fd = check_number(L, 1);
    bool is_borrowed = lua_toboolean(L, 2);
    int flags = fcntl(fd, F_GETFL);

    if (flags < 0 || (!is_borrowed && fcntl(fd, F_SETFL, flags | O_NONBLOCK) != 0))
        return neap_lua_system_error(L, "descriptor", errno);
    wrap(L, fd)->is_borrowed = is_borrowed;
    return 1;
}

/* core.pipe() -> reading end, writing end */
static int core_pipe(lua_State *L)
{
    struct descriptor *reader = neap_lua_new_descriptor(L), *writer = neap_lua_new_descriptor(L);
    int fds[2];

    if (pipe2(fds, O_CLOEXEC | O_NONBLOCK) != 0)
        return neap_lua_system_error(L, "pipe", errno);
    reader->fd = fds[0];
    writer->fd = fds[1];
    return 2;
}

/* descriptor:read([most = 65536]) -> bytes, "" at the end */
static int read_bytes(lua_State *L)
{
    struct descriptor *d = neap_lua_check_descriptor(L);
    uint64_t most = neap_lua_opt_u64(L, 2, READ_MOST);
    char bytes[READ_MOST];

    if (d == NULL)
        return neap_lua_error(L, NEAP_ERR_CLOSED);
    ssize_t got = read(d->fd, bytes, most < sizeof bytes ? (size_t)most : sizeof bytes);
    if (got < 0)
        return neap_lua_descriptor_error(L, "read");
    lua_pushlstring(L, bytes, (size_t)got);
    explicit_bzero(bytes, (size_t)got);
    return 1;
}

/* A pipe that nobody reads raises SIGPIPE, which would end a program that has not said otherwise. */
static ssize_t write_quietly(int fd, const char *bytes, size_t size)
{
    sigset_t pipe_signal, before, pending;
    struct timespec none = {0};

    sigemptyset(&pipe_signal);
    sigaddset(&pipe_signal, SIGPIPE);
    sigpending(&pending);
    pthread_sigmask(SIG_BLOCK, &pipe_signal, &before);
    ssize_t written = write(fd, bytes, size);
    int number = errno;
    if (written < 0 && number == EPIPE && !sigismember(&pending, SIGPIPE))
        sigtimedwait(&pipe_signal, NULL, &none);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    errno = number;
    return written;
}

/* descriptor:write(bytes[, from = 1[, to]]) -> count taken */
static int write_bytes(lua_State *L)
{
    struct descriptor *d = neap_lua_check_descriptor(L);
    size_t size;
    const char *bytes = luaL_checklstring(L, 2, &size);
    uint64_t from = neap_lua_opt_u64(L, 3, 1), to = neap_lua_opt_u64(L, 4, size);

    luaL_argcheck(L, from >= 1 && from <= size + 1, 3, "not a place in the bytes");
    luaL_argcheck(L, to + 1 >= from && to <= size, 4, "not a place in the bytes");
    if (d == NULL)
        return neap_lua_error(L, NEAP_ERR_CLOSED);
    size_t count = (size_t)(to + 1 - from);
    ssize_t sent = d->is_socket ? send(d->fd, bytes + from - 1, count, MSG_NOSIGNAL)
                                : write_quietly(d->fd, bytes + from - 1, count);
    if (sent < 0)
        return neap_lua_descriptor_error(L, "write");
    lua_pushinteger(L, (lua_Integer)sent);
    return 1;
}

/* descriptor:ready() -> whether it can be read, whether it can be written, at this moment */
static int is_ready(lua_State *L)
{
    struct descriptor *d = neap_lua_check_descriptor(L);
    struct pollfd p = {.events = POLLIN | POLLOUT};

    if (d == NULL)
        return neap_lua_error(L, NEAP_ERR_CLOSED);
    p.fd = d->fd;
    if (poll(&p, 1, 0) < 0)
        return neap_lua_descriptor_error(L, "poll");
    bool has_failed = (p.revents & (POLLERR | POLLHUP | POLLNVAL)) != 0;
    lua_pushboolean(L, has_failed || (p.revents & POLLIN) != 0);
    lua_pushboolean(L, has_failed || (p.revents & POLLOUT) != 0);
    return 2;
}

/* 0, or what is to be returned. */
static int watch(lua_State *L, struct descriptor *d, struct loop_core *loop, bool reads, bool writes)
{
    if (d == NULL || loop->loop == NULL)
        return neap_lua_error(L, NEAP_ERR_CLOSED);
    if (d->watch == NULL) {
        d->watch = neap_loop_watch(loop->loop, d->fd, d);
        if (d->watch == NULL)
            return neap_lua_system_error(L, "watch", errno);
        d->loop = loop;
        loop->references++;
    }
    neap_watch_for(d->watch, reads, writes);
    return 0;
}

/* descriptor:watch(loop, reads, writes) -> true: loop:next_watch() gives descriptor:fd() once it can be read or written */
static int watch_descriptor(lua_State *L)
{
    struct descriptor *d = neap_lua_check_descriptor(L);
    int failed = watch(L, d, neap_lua_check_loop(L, 2), lua_toboolean(L, 3), lua_toboolean(L, 4));

    if (failed)
        return failed;
    lua_pushboolean(L, 1);
    return 1;
}

/* descriptor:unwatch(): nobody waits for it any more; the loop does not know it until it is watched again */
static int unwatch_descriptor(lua_State *L)
{
    unwatch(check_any(L));
    return 0;
}

/* loop:watch(number, "r", "w" or "rw") -> descriptor, borrowed */
int neap_lua_loop_watch(lua_State *L)
{
    struct loop_core *loop = neap_lua_check_loop(L, 1);
    int fd = check_number(L, 2);
    const char *what = luaL_checkstring(L, 3);

    luaL_argcheck(L, what[0] != '\0' && strspn(what, "rw") == strlen(what), 3,
                  "\"r\", \"w\" or \"rw\" expected");
    struct descriptor *d = wrap(L, fd);
    d->is_borrowed = true;
    int failed = watch(L, d, loop, strchr(what, 'r') != NULL, strchr(what, 'w') != NULL);
    return failed ? failed : 1;
}

int neap_lua_next_watch(lua_State *L, neap_loop *loop)
{
    const struct descriptor *d = neap_loop_next_watch(loop);

    if (d == NULL)
        lua_pushnil(L);
    else
        lua_pushinteger(L, d->fd);
    return 1;
}

/* descriptor:fd() -> number, nil when it is closed */
static int push_fd(lua_State *L)
{
    struct descriptor *d = neap_lua_check_descriptor(L);

    if (d == NULL)
        lua_pushnil(L);
    else
        lua_pushinteger(L, d->fd);
    return 1;
}

/* descriptor:release() -> number, which is the caller's to close from now on */
static int release(lua_State *L)
{
    struct descriptor *d = neap_lua_check_descriptor(L);

    if (d == NULL)
        return neap_lua_error(L, NEAP_ERR_CLOSED);
    unwatch(d);
    lua_pushinteger(L, d->fd);
    d->fd = -1;
    return 1;
}

void neap_lua_open_descriptor(lua_State *L)
{
    static const luaL_Reg functions[] = {{"fd", core_fd}, {"pipe", core_pipe}, {NULL, NULL}};
    static const luaL_Reg methods[] = {
        {"read", read_bytes},
        {"write", write_bytes},
        {"ready", is_ready},
        {"watch", watch_descriptor},
        {"fd", push_fd},
        {"release", release},
        {"signal", neap_lua_signal_process},
        {"unwatch", unwatch_descriptor},
        {"close", close_descriptor},
        {NULL, NULL},
    };

    neap_lua_new_type(L, TYPE_DESCRIPTOR, methods, close_descriptor, NULL);
    luaL_getmetatable(L, TYPE_DESCRIPTOR);
    lua_getfield(L, -1, "__index");
    neap_lua_set_functions(L, neap_lua_socket_methods);
    lua_pop(L, 2);
    neap_lua_set_functions(L, functions);
}
