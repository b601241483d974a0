/* A plain UDP socket for scripts that have no loop but their own. */
#include "binding.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <time.h>
#include <unistd.h>

#define WAIT_MAX (1000000 * NEAP_SECOND) /* longer is for ever */

struct udp {
    int fd; /* -1: not bound */
    neap_address bound;
};

static int udp_gc(lua_State *L)
{
    struct udp *udp = luaL_checkudata(L, 1, TYPE_UDP);

    if (udp->fd >= 0)
        close(udp->fd);
    udp->fd = -1;
    return 0;
}

static struct udp *check_bound(lua_State *L)
{
    struct udp *udp = luaL_checkudata(L, 1, TYPE_UDP);

    if (udp->fd < 0)
        luaL_error(L, "the socket is not bound");
    return udp;
}

/* core.udp() -> socket */
static int core_udp(lua_State *L)
{
    struct udp *udp = lua_newuserdata(L, sizeof *udp);

    *udp = (struct udp){.fd = -1};
    luaL_getmetatable(L, TYPE_UDP);
    lua_setmetatable(L, -2);
    return 1;
}

/* udp:bind(address) -> address it got */
static int udp_bind(lua_State *L)
{
    struct udp *udp = luaL_checkudata(L, 1, TYPE_UDP);
    const char *address = luaL_checkstring(L, 2);

    if (udp->fd >= 0)
        luaL_error(L, "the socket is bound already");
    int fd = neap_udp_bind(address, &udp->bound);
    if (fd == NEAP_ERR_SYSTEM)
        return neap_lua_system_error(L, address, errno);
    if (fd < 0)
        luaL_argerror(L, 2, "an address like \"127.0.0.1:0\" or \"[::]:4433\" expected");
    udp->fd = fd;
    neap_lua_push_address(L, &udp->bound);
    return 1;
}

/* udp:sendto(bytes, address[, ecn]) -> true */
static int udp_sendto(lua_State *L)
{
    struct udp *udp = check_bound(L);
    size_t size;
    const char *bytes = luaL_checklstring(L, 2, &size);
    neap_send_info info = {.ecn = (uint8_t)(neap_lua_opt_u64(L, 4, 0) & 3)};

    neap_lua_check_address(L, 3, &info.to);
    int64_t sent = neap_udp_send(udp->fd, (const uint8_t *)bytes, size, &info);
    if (sent == NEAP_ERR_SYSTEM)
        return neap_lua_system_error(L, "send", errno);
    return neap_lua_result(L, sent);
}

/* Wait until the socket is readable. The signals that a loop of this thread may have taken for itself work as usual
 * meanwhile: who waits here is not in the loop, and Ctrl-C has to end it. */
static bool wait_readable(int fd, neap_time timeout)
{
    struct pollfd fds = {.fd = fd, .events = POLLIN};
    struct timespec time = {.tv_sec = (time_t)(timeout / NEAP_SECOND),
                            .tv_nsec = (long)(timeout % NEAP_SECOND)};
    sigset_t mask;

    pthread_sigmask(SIG_SETMASK, NULL, &mask);
    sigdelset(&mask, SIGTERM);
    sigdelset(&mask, SIGINT);
    return ppoll(&fds, 1, timeout < WAIT_MAX ? &time : NULL, &mask) > 0;
}

/* udp:recvfrom([timeout]) -> bytes, address, ecn */
static int udp_recvfrom(lua_State *L)
{
    struct udp *udp = check_bound(L);
    neap_time timeout = lua_isnoneornil(L, 2) ? NEAP_NEVER : neap_lua_check_time(L, 2);
    uint8_t bytes[UDP_PAYLOAD_ROOM];
    neap_recv_info info;

    int64_t got = neap_udp_recv(udp->fd, &udp->bound, bytes, sizeof bytes, &info);
    if (got == NEAP_ERR_AGAIN && timeout > 0 && wait_readable(udp->fd, timeout))
        got = neap_udp_recv(udp->fd, &udp->bound, bytes, sizeof bytes, &info);
    if (got == NEAP_ERR_AGAIN)
        return neap_lua_error_text(L, got, "timeout");
    if (got < 0)
        return neap_lua_system_error(L, "receive", errno);
    lua_pushlstring(L, (const char *)bytes, (size_t)got);
    neap_lua_push_address(L, &info.from);
    lua_pushinteger(L, info.ecn);
    return 3;
}

static int udp_address(lua_State *L)
{
    neap_lua_push_address(L, &check_bound(L)->bound);
    return 1;
}

static int udp_fd(lua_State *L)
{
    lua_pushinteger(L, check_bound(L)->fd);
    return 1;
}

void neap_lua_open_udp(lua_State *L)
{
    static const luaL_Reg methods[] = {
        {"bind", udp_bind},
        {"sendto", udp_sendto},
        {"recvfrom", udp_recvfrom},
        {"address", udp_address},
        {"fd", udp_fd},
        {"close", udp_gc},
        {NULL, NULL},
    };

    neap_lua_new_type(L, TYPE_UDP, methods, udp_gc, NULL);
    lua_pushcfunction(L, core_udp);
    lua_setfield(L, -2, "udp");
}
