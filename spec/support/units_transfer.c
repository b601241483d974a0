/* Reads and writes of files that come short or are interrupted, which a disk does not do on request. */
#include <errno.h>
#include <lauxlib.h>
#include <lua.h>
#include <stdbool.h>
#include <sys/uio.h>

int neap_units_transfer(lua_State *L);
ssize_t __real_preadv(int fd, const struct iovec *vectors, int count, off_t offset);
ssize_t __wrap_preadv(int fd, const struct iovec *vectors, int count, off_t offset);
ssize_t __real_writev(int fd, const struct iovec *vectors, int count);
ssize_t __wrap_writev(int fd, const struct iovec *vectors, int count);

static size_t most;              /* bytes of one call; 0: as the system does it */
static unsigned calls, attempts; /* every second attempt is interrupted */

/* Whether this attempt fails; else as many of the vectors as are allowed, the last one cut, in `cut`. */
static bool is_interrupted(const struct iovec *vectors, int *count, struct iovec *cut)
{
    calls++;
    if (attempts++ % 2 == 0) {
        errno = EINTR;
        return true;
    }
    size_t left = most;
    int used = 0;
    while (used < *count && left > 0) {
        cut[used] = vectors[used];
        if (cut[used].iov_len > left)
            cut[used].iov_len = left;
        left -= cut[used++].iov_len;
    }
    *count = used;
    return false;
}

ssize_t __wrap_preadv(int fd, const struct iovec *vectors, int count, off_t offset)
{
    struct iovec cut[1024];

    if (most == 0)
        return __real_preadv(fd, vectors, count, offset);
    return is_interrupted(vectors, &count, cut) ? -1 : __real_preadv(fd, cut, count, offset);
}

ssize_t __wrap_writev(int fd, const struct iovec *vectors, int count)
{
    struct iovec cut[1024];

    if (most == 0)
        return __real_writev(fd, vectors, count);
    return is_interrupted(vectors, &count, cut) ? -1 : __real_writev(fd, cut, count);
}

/* shorten(most) -> calls so far: from now on a call takes so many bytes at most, 0: as many as it wants */
static int shorten(lua_State *L)
{
    most = (size_t)luaL_checkinteger(L, 1);
    lua_pushinteger(L, (lua_Integer)calls);
    calls = 0;
    return 1;
}

int neap_units_transfer(lua_State *L)
{
    lua_newtable(L);
    lua_pushcfunction(L, shorten);
    lua_setfield(L, -2, "shorten");
    return 1;
}
