/* TCP and UDP sockets in Lua, which never wait: descriptors with names and options. */
#include "descriptor.h"

#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stddef.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#include "runtime/sockaddr.h"

/* core.socket(type, family) -> descriptor; type "tcp" or "udp", family 4 or 6 */
static int new_socket(lua_State *L)
{
    static const char *const kinds[] = {"tcp", "udp", NULL};
    static const int numbers[] = {SOCK_STREAM, SOCK_DGRAM};
    int kind = luaL_checkoption(L, 1, NULL, kinds);
    uint64_t family = neap_lua_check_u64(L, 2);

    luaL_argcheck(L, family == 4 || family == 6, 2, "4 or 6 expected");
    struct descriptor *d = neap_lua_new_descriptor(L);
    d->fd = socket(family == 4 ? AF_INET : AF_INET6, numbers[kind] | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (d->fd < 0)
        return neap_lua_system_error(L, "socket", errno);
    d->is_socket = true;
    return 1;
}

static socklen_t check_address(lua_State *L, int index, struct sockaddr_storage *out)
{
    neap_address address;

    neap_lua_check_address(L, index, &address);
    return neap_sockaddr_write(&address, out);
}

/* True, or as neap_lua_descriptor_error, when `result` is not 0. */
static int done(lua_State *L, int result, const char *what)
{
    if (result != 0)
        return neap_lua_descriptor_error(L, what);
    lua_pushboolean(L, 1);
    return 1;
}

/* descriptor:bind(address) -> true */
static int bind_to(lua_State *L)
{
    struct descriptor *d = neap_lua_check_descriptor(L);
    struct sockaddr_storage address;
    socklen_t size = check_address(L, 2, &address);

    if (d == NULL)
        return neap_lua_error(L, NEAP_ERR_CLOSED);
    return done(L, bind(d->fd, (struct sockaddr *)&address, size), "bind");
}

/* descriptor:connect([address]) -> true, or "again" while it is under way; a datagram socket without an address has no peer any
 * more */
static int connect_to(lua_State *L)
{
    struct descriptor *d = neap_lua_check_descriptor(L);
    struct sockaddr_storage address = {.ss_family = AF_UNSPEC};
    socklen_t size = lua_isnoneornil(L, 2) ? sizeof(struct sockaddr) : check_address(L, 2, &address);

    if (d == NULL)
        return neap_lua_error(L, NEAP_ERR_CLOSED);
    return done(L, connect(d->fd, (struct sockaddr *)&address, size), "connect");
}

/* descriptor:connected() -> true once it can be written and nothing went wrong */
static int is_connected(lua_State *L)
{
    struct descriptor *d = neap_lua_check_descriptor(L);
    int number = 0;
    socklen_t size = sizeof number;

    if (d == NULL)
        return neap_lua_error(L, NEAP_ERR_CLOSED);
    if (getsockopt(d->fd, SOL_SOCKET, SO_ERROR, &number, &size) == 0 && number != 0)
        errno = number;
    else
        number = 0;
    return done(L, number, "connect");
}

/* descriptor:listen(backlog) -> true */
static int start_listening(lua_State *L)
{
    struct descriptor *d = neap_lua_check_descriptor(L);
    uint64_t backlog = neap_lua_check_u64(L, 2);

    if (d == NULL)
        return neap_lua_error(L, NEAP_ERR_CLOSED);
    return done(L, listen(d->fd, backlog < INT32_MAX ? (int)backlog : INT32_MAX), "listen");
}

/* descriptor:accept() -> descriptor */
static int accept_one(lua_State *L)
{
    struct descriptor *listener = neap_lua_check_descriptor(L);

    if (listener == NULL)
        return neap_lua_error(L, NEAP_ERR_CLOSED);
    struct descriptor *d = neap_lua_new_descriptor(L);
    d->fd = accept4(listener->fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
    d->is_socket = true;
    return d->fd >= 0 ? 1 : neap_lua_descriptor_error(L, "accept");
}

/* descriptor:shutdown(how) -> true; how "send", "receive" or "both" */
static int shut_down(lua_State *L)
{
    static const char *const words[] = {"receive", "send", "both", NULL}; /* by the numbers of shutdown(2) */
    struct descriptor *d = neap_lua_check_descriptor(L);
    int how = luaL_checkoption(L, 2, "both", words);

    if (d == NULL)
        return neap_lua_error(L, NEAP_ERR_CLOSED);
    return done(L, shutdown(d->fd, how), "shutdown");
}

static int push_name(lua_State *L, const struct sockaddr_storage *address, socklen_t size)
{
    if (address->ss_family == AF_UNIX) {
        const struct sockaddr_un *un = (const struct sockaddr_un *)address;
        size_t most = size - offsetof(struct sockaddr_un, sun_path);
        lua_pushlstring(L, un->sun_path,
                        size > offsetof(struct sockaddr_un, sun_path) ? strnlen(un->sun_path, most) : 0);
        return 1;
    }
    neap_address parsed = neap_sockaddr_parse(address);
    neap_lua_push_address(L, &parsed);
    return 1;
}

static int push_name_by(lua_State *L, int (*get)(int, struct sockaddr *, socklen_t *), const char *what)
{
    struct descriptor *d = neap_lua_check_descriptor(L);
    struct sockaddr_storage address = {0};
    socklen_t size = sizeof address;

    if (d == NULL)
        return neap_lua_error(L, NEAP_ERR_CLOSED);
    if (get(d->fd, (struct sockaddr *)&address, &size) != 0)
        return neap_lua_descriptor_error(L, what);
    return push_name(L, &address, size);
}

/* descriptor:name() -> address, or the path of a Unix socket */
static int own_name(lua_State *L)
{
    return push_name_by(L, getsockname, "getsockname");
}

static int peer_name(lua_State *L)
{
    return push_name_by(L, getpeername, "getpeername");
}

/* descriptor:sendto(bytes, address) -> true */
static int send_datagram(lua_State *L)
{
    struct descriptor *d = neap_lua_check_descriptor(L);
    struct sockaddr_storage address;
    size_t size;
    const char *bytes = luaL_checklstring(L, 2, &size);
    socklen_t address_size = check_address(L, 3, &address);

    if (d == NULL)
        return neap_lua_error(L, NEAP_ERR_CLOSED);
    ssize_t sent = sendto(d->fd, bytes, size, MSG_NOSIGNAL, (struct sockaddr *)&address, address_size);
    return done(L, sent < 0, "sendto");
}

/* descriptor:recvfrom([most = 65536]) -> datagram, cut to `most`, and the address that it is from */
static int receive_datagram(lua_State *L)
{
    struct descriptor *d = neap_lua_check_descriptor(L);
    uint64_t most = neap_lua_opt_u64(L, 2, UDP_PAYLOAD_ROOM);
    struct sockaddr_storage address = {0};
    socklen_t address_size = sizeof address;
    char bytes[UDP_PAYLOAD_ROOM];

    if (d == NULL)
        return neap_lua_error(L, NEAP_ERR_CLOSED);
    ssize_t got = recvfrom(d->fd, bytes, most < sizeof bytes ? (size_t)most : sizeof bytes, 0,
                           (struct sockaddr *)&address, &address_size);
    if (got < 0)
        return neap_lua_descriptor_error(L, "recvfrom");
    lua_pushlstring(L, bytes, (size_t)got);
    return 1 + push_name(L, &address, address_size);
}

/* ---- options, by the names of LuaSocket */

static const struct socket_option {
    const char *name;
    int level, number;
    bool is_number;
} options[] = {
    {"reuseaddr", SOL_SOCKET, SO_REUSEADDR, false},
    {"reuseport", SOL_SOCKET, SO_REUSEPORT, false},
    {"keepalive", SOL_SOCKET, SO_KEEPALIVE, false},
    {"dontroute", SOL_SOCKET, SO_DONTROUTE, false},
    {"broadcast", SOL_SOCKET, SO_BROADCAST, false},
    {"send-buffer-size", SOL_SOCKET, SO_SNDBUF, true},
    {"recv-buffer-size", SOL_SOCKET, SO_RCVBUF, true},
    {"tcp-nodelay", IPPROTO_TCP, TCP_NODELAY, false},
    {"tcp-keepidle", IPPROTO_TCP, TCP_KEEPIDLE, true},
    {"tcp-keepcnt", IPPROTO_TCP, TCP_KEEPCNT, true},
    {"tcp-keepintvl", IPPROTO_TCP, TCP_KEEPINTVL, true},
    {"ipv6-v6only", IPPROTO_IPV6, IPV6_V6ONLY, false},
    {"ip-multicast-ttl", IPPROTO_IP, IP_MULTICAST_TTL, true},
    {"ip-multicast-loop", IPPROTO_IP, IP_MULTICAST_LOOP, false},
    {"ipv6-multicast-hops", IPPROTO_IPV6, IPV6_MULTICAST_HOPS, true},
    {"ipv6-multicast-loop", IPPROTO_IPV6, IPV6_MULTICAST_LOOP, false},
    {"ipv6-unicast-hops", IPPROTO_IPV6, IPV6_UNICAST_HOPS, true},
    {"error", SOL_SOCKET, SO_ERROR, true},
};

static const struct socket_option *find_option(lua_State *L)
{
    const char *name = luaL_checkstring(L, 2);

    for (size_t i = 0; i < sizeof options / sizeof *options; i++)
        if (strcmp(options[i].name, name) == 0)
            return &options[i];
    luaL_argerror(L, 2, "a socket has no such option");
    return NULL;
}

/* descriptor:set_option(name, value) -> true */
static int set_option(lua_State *L)
{
    struct descriptor *d = neap_lua_check_descriptor(L);
    const struct socket_option *option = find_option(L);
    int value = option->is_number ? (int)luaL_checkinteger(L, 3) : lua_toboolean(L, 3);

    if (d == NULL)
        return neap_lua_error(L, NEAP_ERR_CLOSED);
    return done(L, setsockopt(d->fd, option->level, option->number, &value, sizeof value), option->name);
}

/* descriptor:option(name) -> value */
static int get_option(lua_State *L)
{
    struct descriptor *d = neap_lua_check_descriptor(L);
    const struct socket_option *option = find_option(L);
    int value = 0;
    socklen_t size = sizeof value;

    if (d == NULL)
        return neap_lua_error(L, NEAP_ERR_CLOSED);
    if (getsockopt(d->fd, option->level, option->number, &value, &size) != 0)
        return neap_lua_descriptor_error(L, option->name);
    if (option->is_number)
        lua_pushinteger(L, value);
    else
        lua_pushboolean(L, value);
    return 1;
}

/* descriptor:linger([seconds]) -> true: how long closing waits in the background for what is not sent; nil: as the system does */
static int set_linger(lua_State *L)
{
    struct descriptor *d = neap_lua_check_descriptor(L);
    struct linger value = {.l_onoff = !lua_isnoneornil(L, 2)};

    if (value.l_onoff)
        value.l_linger = (int)luaL_checkinteger(L, 2);
    if (d == NULL)
        return neap_lua_error(L, NEAP_ERR_CLOSED);
    return done(L, setsockopt(d->fd, SOL_SOCKET, SO_LINGER, &value, sizeof value), "linger");
}

/* descriptor:membership(is_joined, group, interface) -> true: of an IPv4 group; interface is an address, its port counts for nothing */
static int set_membership(lua_State *L)
{
    struct descriptor *d = neap_lua_check_descriptor(L);
    bool is_joined = lua_toboolean(L, 2);
    struct sockaddr_storage group, interface;

    check_address(L, 3, &group);
    check_address(L, 4, &interface);
    luaL_argcheck(L, group.ss_family == AF_INET && interface.ss_family == AF_INET, 3,
                  "IPv4 addresses expected");
    struct ip_mreq value = {.imr_multiaddr = ((struct sockaddr_in *)&group)->sin_addr,
                            .imr_interface = ((struct sockaddr_in *)&interface)->sin_addr};
    if (d == NULL)
        return neap_lua_error(L, NEAP_ERR_CLOSED);
    return done(L,
                setsockopt(d->fd, IPPROTO_IP, is_joined ? IP_ADD_MEMBERSHIP : IP_DROP_MEMBERSHIP, &value,
                           sizeof value),
                "membership");
}

/* core.time() -> seconds since 1970, with what is behind the whole ones */
static int wall_clock(lua_State *L)
{
    struct timespec now;

    clock_gettime(CLOCK_REALTIME, &now);
    lua_pushnumber(L, (lua_Number)now.tv_sec + (lua_Number)now.tv_nsec / 1e9);
    return 1;
}

/* core.host_name() -> what this machine is called */
static int host_name(lua_State *L)
{
    char name[256] = "";

    if (gethostname(name, sizeof name - 1) != 0)
        return neap_lua_system_error(L, "gethostname", errno);
    lua_pushstring(L, name);
    return 1;
}

const luaL_Reg neap_lua_socket_methods[] = {
    {"bind", bind_to},
    {"connect", connect_to},
    {"connected", is_connected},
    {"listen", start_listening},
    {"accept", accept_one},
    {"shutdown", shut_down},
    {"name", own_name},
    {"peer", peer_name},
    {"sendto", send_datagram},
    {"recvfrom", receive_datagram},
    {"set_option", set_option},
    {"option", get_option},
    {"linger", set_linger},
    {"membership", set_membership},
    {NULL, NULL},
};

void neap_lua_open_socket(lua_State *L)
{
    static const luaL_Reg functions[] = {
        {"socket", new_socket}, {"time", wall_clock}, {"host_name", host_name}, {NULL, NULL}};

    neap_lua_set_functions(L, functions);
}
