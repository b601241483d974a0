/* Links, addresses and routes of the machine change (rtnetlink): connections of endpoints that follow go where the kernel would
 * send now. What the messages say is not read: they say that something changed, as does a datagram that found no way; the kernel
 * is asked what its routes are, a while later, so that many changes are one, and a flood of them costs no more. */
#include "runtime/runtime.h"
#include "runtime/sockaddr.h"

#include <errno.h>
#include <linux/netlink.h>
#include <linux/rtnetlink.h>
#include <net/if.h>
#include <string.h>
#include <sys/epoll.h>
#include <unistd.h>

#define NETLINK_BUFFER 32768 /* more need not wait: that there was too much says as much */
#define NETLINK_READS 64u    /* of what waits, before the kernel is asked */
#define ROUTES_KNOWN 8u      /* peers whose way was asked for in this turn */

static int open_netlink(void)
{
    struct sockaddr_nl name = {.nl_family = AF_NETLINK,
                               .nl_groups = RTMGRP_LINK | RTMGRP_IPV4_IFADDR | RTMGRP_IPV6_IFADDR |
                                            RTMGRP_IPV4_ROUTE | RTMGRP_IPV6_ROUTE};
    int fd = socket(AF_NETLINK, SOCK_RAW | SOCK_NONBLOCK | SOCK_CLOEXEC, NETLINK_ROUTE),
        size = NETLINK_BUFFER;

    if (fd < 0)
        return -1;
    setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &size, sizeof size);
    if (bind(fd, (struct sockaddr *)&name, sizeof name) == 0)
        return fd;
    int number = errno;
    close(fd);
    errno = number;
    return -1;
}

int neap_loop_follow_routes(neap_loop *loop, neap_endpoint *endpoint)
{
    struct attachment *attachment = neap_loop_find(loop, endpoint);
    struct epoll_event event = {.events = EPOLLIN, .data.ptr = &loop->network_fd};

    if (attachment == NULL)
        return neap_loop_fail(loop, NEAP_ERR_ARGUMENT, 0, "the endpoint has no sockets");
    if (loop->network_fd < 0) {
        loop->network_fd = open_netlink();
        if (loop->network_fd < 0)
            return neap_loop_fail(loop, NEAP_ERR_SYSTEM, errno, "rtnetlink");
        if (epoll_ctl(loop->epoll_fd, EPOLL_CTL_ADD, loop->network_fd, &event) != 0) {
            int number = errno;
            close(loop->network_fd);
            loop->network_fd = -1;
            return neap_loop_fail(loop, NEAP_ERR_SYSTEM, number, "rtnetlink");
        }
    }
    attachment->follows = true;
    return NEAP_OK;
}

/* Nobody is woken by more of them until the kernel is asked. */
static void listen_again(neap_loop *loop, bool listen)
{
    struct epoll_event event = {.events = listen ? EPOLLIN : 0, .data.ptr = &loop->network_fd};

    epoll_ctl(loop->epoll_fd, EPOLL_CTL_MOD, loop->network_fd, &event);
}

void neap_network_changed(neap_loop *loop)
{
    if (loop->network_fd < 0 || loop->network_at != NEAP_NEVER)
        return;
    neap_time at = neap_loop_now() + LIMIT_LOOP_NETWORK_SETTLES;
    neap_time next = loop->network_asked + LIMIT_LOOP_NETWORK_EVERY;

    loop->stats.network_changes++;
    loop->network_at = loop->network_asked != 0 && next > at ? next : at;
    listen_again(loop, false);
}

static void drain(neap_loop *loop)
{
    uint8_t bytes[256]; /* the rest of a message is cut off */

    for (unsigned i = 0; i < NETLINK_READS; i++) {
        if (recv(loop->network_fd, bytes, sizeof bytes, MSG_DONTWAIT) < 0 && errno != ENOBUFS &&
            errno != EINTR)
            return;
    }
}

/* What the kernel would choose for a peer: most connections have one of few. */
struct route {
    neap_address peer, local; /* local of family 0: there is no way */
    unsigned interface;       /* by which alone it leads there; 0: the kernel's choice */
};

struct routes {
    struct route known[ROUTES_KNOWN];
    size_t count;
    struct ifaddrs *interfaces;
};

static const struct route *route_to(struct routes *routes, const neap_address *peer)
{
    for (size_t i = 0; i < routes->count && i < ROUTES_KNOWN; i++) {
        if (neap_address_equal(&routes->known[i].peer, peer))
            return &routes->known[i];
    }
    struct route *route = &routes->known[routes->count++ % ROUTES_KNOWN];
    neap_address around;

    *route = (struct route){.peer = *peer};
    if (neap_udp_route(peer, NULL, &route->local) != NEAP_OK)
        route->local = (neap_address){0};
    else if (neap_udp_has_lost_carrier(routes->interfaces, &route->local) &&
             neap_udp_route_around(routes->interfaces, peer, &around, &route->interface))
        route->local = around;
    return route;
}

/* What cannot be now may be soon: the handshake goes on, the peer gives connection IDs, paths end. */
static bool is_worth_again(int result)
{
    return result == NEAP_ERR_STATE || result == NEAP_ERR_CONNECTION_IDS || result == NEAP_ERR_LIMIT ||
           result == NEAP_ERR_NO_MEMORY;
}

/* Whether it is to be tried again. */
static bool follow(neap_loop *loop, struct attachment *attachment, neap_conn *conn, struct routes *routes)
{
    neap_path_info now;
    size_t paths = neap_conn_paths(conn, 0, &now, sizeof now);

    if (paths == 0 || neap_address_is_wildcard(&now.local))
        return false;
    const struct route *route = route_to(routes, &now.peer);
    const neap_address *local = &route->local;
    char name[IF_NAMESIZE];
    if (local->family == 0)
        return false;
    if (memcmp(local->ip, now.local.ip, sizeof local->ip) == 0) {
        if (paths > 1) /* it may have been on its way elsewhere */
            neap_conn_migrate(conn, &now.local, NULL, 0);
        return false;
    }
    struct udp_socket *old = neap_loop_socket_at(attachment, &now.local);
    bool is_gone = old == NULL || !neap_udp_is_usable(old, &now.peer);
    int result = neap_loop_migrate(loop, attachment->endpoint, conn, local,
                                   route->interface ? if_indextoname(route->interface, name) : NULL, NULL,
                                   is_gone ? NEAP_MIGRATE_ADDRESS_GONE : 0);
    if (result == NEAP_OK)
        loop->stats.migrations++;
    else
        loop->stats.migration_errors++;
    return is_worth_again(result);
}

void neap_network_turn(neap_loop *loop)
{
    struct routes routes = {.count = 0};
    bool again = false;

    if (neap_loop_now() < loop->network_at)
        return;
    loop->network_at = NEAP_NEVER;
    loop->network_asked = neap_loop_now();
    drain(loop);
    listen_again(loop, true);
    if (getifaddrs(&routes.interfaces) != 0)
        routes.interfaces = NULL;
    for (struct attachment *a = loop->attachments; a != NULL; a = a->next) {
        for (neap_conn *conn = a->follows ? neap_endpoint_each(a->endpoint, NULL) : NULL; conn != NULL;
             conn = neap_endpoint_each(a->endpoint, conn))
            again = follow(loop, a, conn, &routes) || again;
    }
    if (routes.interfaces != NULL)
        freeifaddrs(routes.interfaces);
    if (again && loop->network_at == NEAP_NEVER) {
        loop->network_at = loop->network_asked + LIMIT_LOOP_NETWORK_EVERY;
        listen_again(loop, false);
    }
}
