/* TCP on the loopback address, for specs that meet programs which have no QUIC. Every call has an end in time. */
#include <arpa/inet.h>
#include <lauxlib.h>
#include <lua.h>
#include <netinet/in.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

int neap_units_tcp(lua_State *L);

#define SOCKET_TYPE "neap.units.tcp.socket"
#define RECEIVED_MOST 65536u

static int *new_socket(lua_State *L)
{
    int *fd = lua_newuserdata(L, sizeof *fd);

    *fd = -1;
    luaL_getmetatable(L, SOCKET_TYPE);
    lua_setmetatable(L, -2);
    return fd;
}

static int check_socket(lua_State *L)
{
    int *fd = luaL_checkudata(L, 1, SOCKET_TYPE);

    luaL_argcheck(L, *fd >= 0, 1, "the socket is closed");
    return *fd;
}

static int close_socket(lua_State *L)
{
    int *fd = luaL_checkudata(L, 1, SOCKET_TYPE);

    if (*fd >= 0)
        close(*fd);
    *fd = -1;
    return 0;
}

static struct sockaddr_in loopback(int port)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port)};

    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    return address;
}

/* listen() → socket, port */
static int listen_anywhere(lua_State *L)
{
    struct sockaddr_in address = loopback(0);
    socklen_t size = sizeof address;
    int *fd = new_socket(L);

    *fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (*fd < 0 || bind(*fd, (struct sockaddr *)&address, size) || listen(*fd, 8) ||
        getsockname(*fd, (struct sockaddr *)&address, &size))
        return luaL_error(L, "no listening socket");
    lua_pushinteger(L, ntohs(address.sin_port));
    return 2;
}

static int is_ready(int fd, short events, int milliseconds)
{
    struct pollfd p = {.fd = fd, .events = events};

    return poll(&p, 1, milliseconds) == 1;
}

/* socket:accept(milliseconds) → socket or nil */
static int accept_one(lua_State *L)
{
    int listener = check_socket(L), milliseconds = (int)luaL_checkinteger(L, 2);
    int *fd = new_socket(L);

    if (is_ready(listener, POLLIN, milliseconds))
        *fd = accept(listener, NULL, NULL);
    if (*fd < 0)
        lua_pushnil(L);
    return 1;
}

/* connect(port) → socket or nil */
static int connect_to(lua_State *L)
{
    struct sockaddr_in address = loopback((int)luaL_checkinteger(L, 1));
    int *fd = new_socket(L);

    *fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (*fd < 0 || connect(*fd, (struct sockaddr *)&address, sizeof address))
        lua_pushnil(L);
    return 1;
}

/* socket:send(bytes) → whether all of them were taken */
static int send_all(lua_State *L)
{
    int fd = check_socket(L);
    size_t size;
    const char *bytes = luaL_checklstring(L, 2, &size);

    while (size > 0) {
        ssize_t taken = send(fd, bytes, size, MSG_NOSIGNAL);
        if (taken < 0)
            break;
        bytes += taken;
        size -= (size_t)taken;
    }
    lua_pushboolean(L, size == 0);
    return 1;
}

/* socket:receive(milliseconds) → some bytes; "" at the end; nil when none came in time */
static int receive_some(lua_State *L)
{
    char bytes[RECEIVED_MOST];
    int fd = check_socket(L);

    if (!is_ready(fd, POLLIN, (int)luaL_checkinteger(L, 2))) {
        lua_pushnil(L);
        return 1;
    }
    ssize_t size = recv(fd, bytes, sizeof bytes, 0);
    lua_pushlstring(L, bytes, size > 0 ? (size_t)size : 0);
    return 1;
}

int neap_units_tcp(lua_State *L)
{
    static const luaL_Reg methods[] = {{"__gc", close_socket},
                                       {"close", close_socket},
                                       {"accept", accept_one},
                                       {"send", send_all},
                                       {"receive", receive_some}},
                          functions[] = {{"listen", listen_anywhere}, {"connect", connect_to}};

    luaL_newmetatable(L, SOCKET_TYPE);
    lua_pushvalue(L, -1);
    lua_setfield(L, -2, "__index");
    for (size_t i = 0; i < sizeof methods / sizeof methods[0]; i++) {
        lua_pushcfunction(L, methods[i].func);
        lua_setfield(L, -2, methods[i].name);
    }
    lua_pop(L, 1);
    lua_newtable(L);
    for (size_t i = 0; i < sizeof functions / sizeof functions[0]; i++) {
        lua_pushcfunction(L, functions[i].func);
        lua_setfield(L, -2, functions[i].name);
    }
    return 1;
}
