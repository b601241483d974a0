/* More sockets for an endpoint than one a family: connections that go to another address of this machine, servers at a second
 * one. A socket goes when no path of the endpoint's connections begins there any more. */
#include "runtime/runtime.h"
#include "runtime/sockaddr.h"

#include <errno.h>
#include <net/if.h>
#include <net/route.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <unistd.h>

static bool is_same_ip(const neap_address *a, const neap_address *b)
{
    return a->family == b->family && memcmp(a->ip, b->ip, a->family == 4 ? 4 : 16) == 0;
}

/* ---- which address the kernel would choose */

static bool is_of_family(const struct ifaddrs *entry, unsigned family)
{
    return entry->ifa_addr != NULL && entry->ifa_addr->sa_family == (family == 4 ? AF_INET : AF_INET6);
}

static neap_address address_of(const struct ifaddrs *entry)
{
    struct sockaddr_storage name = {0};

    memcpy(&name, entry->ifa_addr,
           entry->ifa_addr->sa_family == AF_INET ? sizeof(struct sockaddr_in) : sizeof(struct sockaddr_in6));
    return neap_sockaddr_parse(&name);
}

/* The first address of the interface, where nobody but the kernel may choose (SO_BINDTODEVICE is not allowed). */
static int first_address(const char *interface, unsigned family, neap_address *out)
{
    struct ifaddrs *all;
    int result = -1;

    if (getifaddrs(&all) != 0)
        return -1;
    for (const struct ifaddrs *entry = all; entry != NULL && result != 0; entry = entry->ifa_next) {
        if (strcmp(entry->ifa_name, interface) == 0 && is_of_family(entry, family)) {
            *out = address_of(entry);
            result = 0;
        }
    }
    freeifaddrs(all);
    if (result != 0)
        errno = ENETUNREACH;
    return result;
}

/* The entry of an address, NULL for none. */
static const struct ifaddrs *find_entry(const struct ifaddrs *all, const neap_address *local)
{
    for (const struct ifaddrs *entry = all; entry != NULL; entry = entry->ifa_next) {
        if (is_of_family(entry, local->family)) {
            neap_address address = address_of(entry);

            if (is_same_ip(&address, local))
                return entry;
        }
    }
    return NULL;
}

/* The interface that has this address: its index, 0 for none. */
static unsigned interface_of(const struct ifaddrs *all, const neap_address *local)
{
    const struct ifaddrs *entry = find_entry(all, local);

    return entry != NULL ? if_nametoindex(entry->ifa_name) : 0;
}

/* The same, of the addresses that there are now. */
static unsigned interface_now(const neap_address *local)
{
    struct ifaddrs *all;

    if (getifaddrs(&all) != 0)
        return 0;
    unsigned index = interface_of(all, local);
    freeifaddrs(all);
    return index;
}

static int bind_to_device(int fd, const char *interface)
{
    return setsockopt(fd, SOL_SOCKET, SO_BINDTODEVICE, interface, (socklen_t)(strlen(interface) + 1));
}

/* A socket that says by connect() which way datagrams would go; nothing is sent. */
static int look(const neap_address *from, const char *interface, const neap_address *peer, neap_address *out)
{
    struct sockaddr_storage name;
    socklen_t size = neap_sockaddr_write(peer, &name);
    int fd = socket(peer->family == 4 ? AF_INET : AF_INET6, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    int result = -1, number;

    if (fd < 0)
        return -1;
    if (interface != NULL && bind_to_device(fd, interface) != 0 && errno != EPERM)
        goto done;
    if (from != NULL) {
        struct sockaddr_storage own;
        neap_address any_port = *from;

        any_port.port = 0;
        socklen_t own_size = neap_sockaddr_write(&any_port, &own);
        if (bind(fd, (struct sockaddr *)&own, own_size) != 0)
            goto done;
    }
    if (connect(fd, (struct sockaddr *)&name, size) != 0)
        goto done;
    size = sizeof name;
    if (out != NULL && getsockname(fd, (struct sockaddr *)&name, &size) == 0)
        *out = neap_sockaddr_parse(&name);
    result = 0;
done:
    number = errno;
    close(fd);
    errno = number;
    return result;
}

int neap_udp_route(const neap_address *peer, const char *interface, neap_address *out)
{
    if (interface != NULL && interface[0] == '\0')
        interface = NULL;
    if (look(NULL, interface, peer, out) != 0)
        return NEAP_ERR_SYSTEM;
    /* Where binding to the interface is not allowed the kernel chose among all. */
    if (interface != NULL && interface_now(out) != if_nametoindex(interface) &&
        first_address(interface, peer->family, out) != 0)
        return NEAP_ERR_SYSTEM;
    out->port = 0;
    return NEAP_OK;
}

bool neap_udp_is_usable(const struct udp_socket *udp, const neap_address *peer)
{
    char name[IF_NAMESIZE];
    bool is_known = udp->interface != 0 && if_indextoname(udp->interface, name) != NULL;

    return (udp->interface == 0 || is_known) && look(&udp->bound, is_known ? name : NULL, peer, NULL) == 0;
}

/* Whether the main table leads to an IPv4 address by this interface: to a socket that is bound to one the kernel says yes without. */
static bool has_route(const char *interface, const neap_address *peer)
{
    FILE *table = fopen("/proc/net/route", "re");
    char line[256], name[IF_NAMESIZE];
    unsigned to, flags, mask; /* addresses as they lie in memory */
    bool found = false;
    uint32_t ip;

    if (table == NULL)
        return false;
    memcpy(&ip, peer->ip, sizeof ip);
    while (!found && fgets(line, sizeof line, table) != NULL) {
        found = sscanf(line, "%15s %x %*x %x %*d %*d %*d %x", name, &to, &flags, &mask) == 4 &&
                strcmp(name, interface) == 0 && (flags & RTF_UP) && !(flags & RTF_REJECT) &&
                (ip & mask) == to;
    }
    fclose(table);
    return found;
}

bool neap_udp_has_lost_carrier(const struct ifaddrs *all, const neap_address *local)
{
    const struct ifaddrs *entry = find_entry(all, local);

    return entry != NULL && !(entry->ifa_flags & IFF_RUNNING);
}

bool neap_udp_route_around(const struct ifaddrs *all, const neap_address *peer, neap_address *out,
                           unsigned *interface)
{
    for (const struct ifaddrs *entry = all; entry != NULL; entry = entry->ifa_next) {
        if (!is_of_family(entry, peer->family) || !(entry->ifa_flags & IFF_UP) ||
            !(entry->ifa_flags & IFF_RUNNING) || (entry->ifa_flags & IFF_LOOPBACK))
            continue;
        if (peer->family == 4 && !has_route(entry->ifa_name, peer))
            continue;
        unsigned index = if_nametoindex(entry->ifa_name);
        if (look(NULL, entry->ifa_name, peer, out) != 0 || interface_of(all, out) != index)
            continue;
        out->port = 0;
        *interface = index;
        return true;
    }
    return false;
}

/* ---- sockets beside the first ones */

static bool is_extra(const struct udp_socket *udp)
{
    return udp->fd >= 0 && udp->is_extra;
}

static void close_socket(neap_loop *loop, struct udp_socket *udp)
{
    epoll_ctl(loop->epoll_fd, EPOLL_CTL_DEL, udp->fd, NULL);
    close(udp->fd);
    bool was_kept = udp->kept != NULL;
    neap_udp_drop_kept(udp);
    udp->fd = -1;
    if (was_kept)
        neap_udp_release_family(udp);
}

/* Extra sockets that no path begins at, but `keep`, are closed. Returns how many are left. */
static size_t sweep(neap_loop *loop, struct attachment *attachment, const struct udp_socket *keep)
{
    size_t left = 0;

    for (size_t i = 0; i < ATTACHMENT_SOCKETS; i++) {
        struct udp_socket *udp = &attachment->sockets[i];

        if (!is_extra(udp))
            continue;
        if (udp == keep || udp->serves || neap_endpoint_uses(attachment->endpoint, &udp->bound))
            left++;
        else
            close_socket(loop, udp);
    }
    return left;
}

/* One extra socket is what a connection stays at; while there are more, some may go soon. */
static void sweep_later(neap_loop *loop)
{
    neap_time at = neap_loop_now() + LIMIT_LOOP_SWEEP_AFTER;

    if (at < loop->sweep_at)
        loop->sweep_at = at;
}

void neap_loop_sweep(neap_loop *loop)
{
    loop->sweep_at = NEAP_NEVER;
    for (struct attachment *a = loop->attachments; a != NULL; a = a->next) {
        if (sweep(loop, a, NULL) > 1)
            sweep_later(loop);
    }
}

static struct udp_socket *free_slot(struct attachment *attachment)
{
    for (size_t i = 0; i < ATTACHMENT_SOCKETS; i++) {
        if (attachment->sockets[i].fd < 0)
            return &attachment->sockets[i];
    }
    return NULL;
}

/* Open one more, into a free place. */
static int open_extra(neap_loop *loop, struct attachment *attachment, const neap_address *local,
                      const char *interface, bool serves, struct udp_socket **out)
{
    char text[80] = "";

    neap_address_format(local, text, sizeof text);
    sweep(loop, attachment, NULL);
    struct udp_socket *udp = free_slot(attachment);
    if (udp == NULL)
        return neap_loop_fail(loop, NEAP_ERR_LIMIT, 0, "an endpoint has no more than 6 sockets");
    if (neap_udp_open_at(local, interface, serves, udp) != 0)
        return neap_loop_fail(loop, NEAP_ERR_SYSTEM, errno, interface != NULL ? interface : text);
    udp->attachment = attachment;
    udp->is_extra = true;
    udp->serves = serves;
    udp->interface = interface != NULL ? if_nametoindex(interface) : 0;
    neap_udp_want_errors(udp);
    struct epoll_event event = {.events = EPOLLIN, .data.ptr = udp};
    if (epoll_ctl(loop->epoll_fd, EPOLL_CTL_ADD, udp->fd, &event) != 0) {
        int number = errno;

        close(udp->fd);
        udp->fd = -1;
        return neap_loop_fail(loop, NEAP_ERR_SYSTEM, number, text);
    }
    sweep_later(loop);
    *out = udp;
    return NEAP_OK;
}

static struct udp_socket *find_extra(struct attachment *attachment, const neap_address *ip,
                                     const neap_address *but)
{
    for (size_t i = 0; i < ATTACHMENT_SOCKETS; i++) {
        struct udp_socket *udp = &attachment->sockets[i];

        if (is_extra(udp) && !udp->serves && is_same_ip(&udp->bound, ip) &&
            (but == NULL || !neap_address_equal(&udp->bound, but)))
            return udp;
    }
    return NULL;
}

static bool is_covered(const struct attachment *attachment, const neap_address *address)
{
    for (size_t i = 0; i < ATTACHMENT_SOCKETS; i++) {
        const struct udp_socket *udp = &attachment->sockets[i];

        if (udp->fd >= 0 && udp->bound.family == address->family && udp->bound.port == address->port &&
            (udp->wildcard || is_same_ip(&udp->bound, address)))
            return true;
    }
    return false;
}

int neap_loop_listen_also(neap_loop *loop, neap_endpoint *endpoint, const neap_address *address)
{
    struct attachment *attachment = neap_loop_find(loop, endpoint);
    struct udp_socket *udp;

    if (attachment == NULL || address == NULL || address->port == 0 || neap_address_is_wildcard(address))
        return neap_loop_fail(loop, NEAP_ERR_ARGUMENT, 0,
                              "an endpoint that listens, and an address with a port");
    return is_covered(attachment, address) ? NEAP_OK
                                           : open_extra(loop, attachment, address, NULL, true, &udp);
}

/* ---- connections */

int neap_loop_local(neap_loop *loop, neap_endpoint *endpoint, const neap_address *peer, neap_address *out)
{
    struct attachment *attachment = neap_loop_find(loop, endpoint);
    neap_address local;
    char name[IF_NAMESIZE];

    if (attachment == NULL || peer == NULL)
        return neap_loop_fail(loop, NEAP_ERR_ARGUMENT, 0, "an endpoint with sockets, and an address");
    if (!attachment->follows)
        return neap_loop_address(loop, endpoint, peer->family, out);
    if (neap_udp_route(peer, NULL, &local) != NEAP_OK)
        return neap_loop_fail(loop, NEAP_ERR_SYSTEM, errno, "no route");
    struct udp_socket *udp = find_extra(attachment, &local, NULL);
    unsigned index = udp == NULL ? interface_now(&local) : 0;
    const char *interface = index != 0 ? if_indextoname(index, name) : NULL;
    int result = udp != NULL ? NEAP_OK : open_extra(loop, attachment, &local, interface, false, &udp);
    if (result == NEAP_OK)
        *out = udp->bound;
    return result;
}

int neap_loop_migrate(neap_loop *loop, neap_endpoint *endpoint, neap_conn *conn, const neap_address *local,
                      const char *interface, const neap_address *peer, unsigned flags)
{
    struct attachment *attachment = neap_loop_find(loop, endpoint);
    neap_path_info now;
    neap_address to, from;
    struct udp_socket *udp = NULL;

    if (attachment == NULL || neap_conn_paths(conn, 0, &now, sizeof now) == 0)
        return neap_loop_fail(loop, NEAP_ERR_ARGUMENT, 0,
                              "an endpoint with sockets, and a connection of its");
    to = peer != NULL ? *peer : now.peer;
    if (local != NULL)
        from = *local;
    else if (neap_udp_route(&to, interface, &from) != NEAP_OK)
        return neap_loop_fail(loop, NEAP_ERR_SYSTEM, errno, interface != NULL ? interface : "no route");
    if (from.port == 0)
        udp = find_extra(attachment, &from, &now.local);
    int result = udp != NULL ? NEAP_OK : open_extra(loop, attachment, &from, interface, false, &udp);
    if (result != NEAP_OK)
        return result;
    result = neap_conn_migrate(conn, &udp->bound, peer, flags);
    sweep(loop, attachment, NULL); /* nobody took it, or the old one is gone */
    sweep_later(loop);
    return result == NEAP_OK ? result : neap_loop_fail(loop, result, 0, neap_strerror(result));
}

struct udp_socket *neap_loop_socket_at(struct attachment *attachment, const neap_address *bound)
{
    for (size_t i = 0; i < ATTACHMENT_SOCKETS; i++) {
        if (attachment->sockets[i].fd >= 0 && neap_address_equal(&attachment->sockets[i].bound, bound))
            return &attachment->sockets[i];
    }
    return NULL;
}
