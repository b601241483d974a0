/* Unix stream sockets (unix(7)) in Lua, which never wait: lua/neap/unix.lua lets tasks wait for them. */
#include "descriptor.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/file.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#define WAITING_MOST 128 /* clients that no one has accepted yet */
#define LOCK_TRIES 500
#define LOCK_PAUSE 2000000 /* ns between them */

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

static int new_fd(void)
{
    return socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
}

/* core.unix_connect(path) -> socket; "again" when too many wait for the server */
static int unix_connect(lua_State *L)
{
    struct sockaddr_un address = check_path(L);
    struct descriptor *s = neap_lua_new_descriptor(L);

    s->fd = new_fd();
    s->is_socket = true;
    if (s->fd < 0 || connect(s->fd, (struct sockaddr *)&address, sizeof address) != 0)
        return neap_lua_descriptor_error(L, address.sun_path);
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
    struct descriptor *s = neap_lua_new_descriptor(L);
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
    s->is_socket = true;
    /* Nobody may connect before the mode is what it should be: that needs listen. */
    bool listens = s->fd >= 0 && bind(s->fd, (struct sockaddr *)&address, sizeof address) == 0 &&
                   chmod(address.sun_path, mode) == 0 && listen(s->fd, WAITING_MOST) == 0;
    int number = errno;
    if (folder >= 0)
        close(folder);
    errno = number;
    return listens ? 1 : neap_lua_descriptor_error(L, address.sun_path);
}

void neap_lua_open_unix(lua_State *L)
{
    static const luaL_Reg functions[] = {
        {"unix_connect", unix_connect}, {"unix_listen", unix_listen}, {NULL, NULL}};

    neap_lua_set_functions(L, functions);
}
