/* Unix stream sockets (unix(7)) in Lua, which never wait: lua/neap/unix.lua lets tasks wait for them. */
#include "binding.h"

#include <errno.h>
#include <fcntl.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#define TYPE_UNIX "neap.unix"
#define WAITING_MOST 128 /* clients that no one has accepted yet */
#define READ_MOST 65536
#define LOCK_TRIES 500
#define LOCK_PAUSE 2000000 /* ns between them */

struct unix_socket {
    int fd; /* -1: closed */
    struct loop_core *loop;
    neap_watch *watch;
};

static struct unix_socket *check_socket(lua_State *L)
{
    return luaL_checkudata(L, 1, TYPE_UNIX);
}

static void unwatch(struct unix_socket *s)
{
    if (s->loop == NULL)
        return;
    neap_watch_free(s->watch);
    neap_lua_loop_release(s->loop);
    s->watch = NULL;
    s->loop = NULL;
}

static int close_socket(lua_State *L)
{
    struct unix_socket *s = check_socket(L);

    unwatch(s);
    if (s->fd >= 0)
        close(s->fd);
    s->fd = -1;
    return 0;
}

/* A new socket on top; its descriptor is still to come. */
static struct unix_socket *new_socket(lua_State *L)
{
    struct unix_socket *s = lua_newuserdata(L, sizeof *s);

    *s = (struct unix_socket){.fd = -1};
    luaL_getmetatable(L, TYPE_UNIX);
    lua_setmetatable(L, -2);
    return s;
}

static struct sockaddr_un check_path(lua_State *L)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    size_t size;
    const char *path = luaL_checklstring(L, 1, &size);

    luaL_argcheck(L, size > 0 && size < sizeof address.sun_path && strlen(path) == size, 1,
                  "a path of 1 to 107 bytes expected");
    memcpy(address.sun_path, path, size);
    return address;
}

static int failed(lua_State *L, const char *what)
{
    if (errno == EAGAIN || errno == EINPROGRESS)
        return neap_lua_error(L, NEAP_ERR_AGAIN);
    return neap_lua_system_error(L, what, errno);
}

static int new_fd(void)
{
    return socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
}

/* core.unix_connect(path) -> socket; "again" when too many wait for the server */
static int unix_connect(lua_State *L)
{
    struct sockaddr_un address = check_path(L);
    struct unix_socket *s = new_socket(L);

    s->fd = new_fd();
    if (s->fd < 0 || connect(s->fd, (struct sockaddr *)&address, sizeof address) != 0)
        return failed(L, address.sun_path);
    return 1;
}

/* Who has bound and does not listen yet looks like a file that was left behind: of programs that start at once, one looks at a
 * time. -1 where the folder cannot be locked; who holds it for longer is none of them. The lock goes with the descriptor. */
static int lock_folder(const char *path)
{
    const char *name = strrchr(path, '/');
    char folder[sizeof((struct sockaddr_un *)0)->sun_path] = ".";
    struct timespec pause = {.tv_nsec = LOCK_PAUSE};

    if (name != NULL) {
        size_t size = name == path ? 1 : (size_t)(name - path);
        memcpy(folder, path, size);
        folder[size] = '\0';
    }
    int fd = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    for (int i = 0; fd >= 0 && i < LOCK_TRIES; i++) {
        if (flock(fd, LOCK_EX | LOCK_NB) == 0)
            return fd;
        nanosleep(&pause, NULL);
    }
    if (fd >= 0)
        close(fd);
    return -1;
}

/* core.unix_listen(path[, mode = 384]) -> socket; a socket file that no one listens at any more gives way */
static int unix_listen(lua_State *L)
{
    struct sockaddr_un address = check_path(L);
    mode_t mode = (mode_t)(neap_lua_opt_u64(L, 2, 0600) & 0777);
    struct unix_socket *s = new_socket(L);
    struct stat info;

    int folder = lock_folder(address.sun_path);
    int probe = new_fd();
    bool is_left = probe >= 0 && lstat(address.sun_path, &info) == 0 && S_ISSOCK(info.st_mode) &&
                   connect(probe, (struct sockaddr *)&address, sizeof address) != 0 && errno == ECONNREFUSED;
    if (probe >= 0)
        close(probe);
    if (is_left)
        unlink(address.sun_path);
    s->fd = new_fd();
    /* Nobody may connect before the mode is what it should be: that needs listen. */
    bool listens = s->fd >= 0 && bind(s->fd, (struct sockaddr *)&address, sizeof address) == 0 &&
                   chmod(address.sun_path, mode) == 0 && listen(s->fd, WAITING_MOST) == 0;
    int number = errno;
    if (folder >= 0)
        close(folder);
    errno = number;
    return listens ? 1 : failed(L, address.sun_path);
}

static struct unix_socket *check_open(lua_State *L)
{
    struct unix_socket *s = check_socket(L);

    return s->fd >= 0 ? s : NULL;
}

/* socket:accept() -> socket */
static int unix_accept(lua_State *L)
{
    struct unix_socket *listener = check_open(L);

    if (listener == NULL)
        return neap_lua_error(L, NEAP_ERR_CLOSED);
    struct unix_socket *s = new_socket(L);
    s->fd = accept4(listener->fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
    return s->fd >= 0 ? 1 : failed(L, "accept");
}

/* socket:read([most = 65536]) -> bytes, "" at the end */
static int unix_read(lua_State *L)
{
    struct unix_socket *s = check_open(L);
    uint64_t most = neap_lua_opt_u64(L, 2, READ_MOST);
    char bytes[READ_MOST];

    if (s == NULL)
        return neap_lua_error(L, NEAP_ERR_CLOSED);
    ssize_t got = recv(s->fd, bytes, most < sizeof bytes ? (size_t)most : sizeof bytes, 0);
    if (got < 0)
        return failed(L, "read");
    lua_pushlstring(L, bytes, (size_t)got);
    explicit_bzero(bytes, (size_t)got);
    return 1;
}

/* socket:write(bytes[, from = 1]) -> count taken */
static int unix_write(lua_State *L)
{
    struct unix_socket *s = check_open(L);
    size_t size;
    const char *bytes = luaL_checklstring(L, 2, &size);
    uint64_t from = neap_lua_opt_u64(L, 3, 1);

    luaL_argcheck(L, from >= 1 && from <= size + 1, 3, "not a place in the bytes");
    if (s == NULL)
        return neap_lua_error(L, NEAP_ERR_CLOSED);
    ssize_t sent = send(s->fd, bytes + from - 1, size - (size_t)from + 1, MSG_NOSIGNAL);
    if (sent < 0)
        return failed(L, "write");
    lua_pushinteger(L, (lua_Integer)sent);
    return 1;
}

/* socket:watch(loop, reads, writes) -> true: loop:next_watch() gives socket:fd() once it can be read or written */
static int unix_watch(lua_State *L)
{
    struct unix_socket *s = check_open(L);
    struct loop_core *loop = neap_lua_check_loop(L, 2);

    if (s == NULL || loop->loop == NULL)
        return neap_lua_error(L, NEAP_ERR_CLOSED);
    if (s->watch == NULL) {
        s->watch = neap_loop_watch(loop->loop, s->fd, s);
        if (s->watch == NULL)
            return neap_lua_system_error(L, "watch", errno);
        s->loop = loop;
        loop->references++;
    }
    neap_watch_for(s->watch, lua_toboolean(L, 3), lua_toboolean(L, 4));
    lua_pushboolean(L, 1);
    return 1;
}

/* socket:unwatch(): nobody waits for it any more; the loop does not know it until it is watched again */
static int unix_unwatch(lua_State *L)
{
    unwatch(check_socket(L));
    return 0;
}

int neap_lua_next_watch(lua_State *L, neap_loop *loop)
{
    const struct unix_socket *s = neap_loop_next_watch(loop);

    if (s == NULL)
        lua_pushnil(L);
    else
        lua_pushinteger(L, s->fd);
    return 1;
}

/* socket:fd() -> number, nil when it is closed */
static int unix_fd(lua_State *L)
{
    struct unix_socket *s = check_open(L);

    if (s == NULL)
        lua_pushnil(L);
    else
        lua_pushinteger(L, s->fd);
    return 1;
}

void neap_lua_open_unix(lua_State *L)
{
    static const luaL_Reg functions[] = {
        {"unix_connect", unix_connect}, {"unix_listen", unix_listen}, {NULL, NULL}};
    static const luaL_Reg methods[] = {
        {"accept", unix_accept},   {"read", unix_read}, {"write", unix_write},   {"watch", unix_watch},
        {"unwatch", unix_unwatch}, {"fd", unix_fd},     {"close", close_socket}, {NULL, NULL},
    };

    neap_lua_new_type(L, TYPE_UNIX, methods, close_socket, NULL);
    neap_lua_set_functions(L, functions);
}
