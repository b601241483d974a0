/* Making UDP sockets: the options that the loop wants of the kernel. */
#include "runtime/runtime.h"
#include "runtime/sockaddr.h"

#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/udp.h>
#include <string.h>
#include <unistd.h>

#ifndef UDP_SEGMENT
#define UDP_SEGMENT 103
#endif
#ifndef UDP_GRO
#define UDP_GRO 104
#endif

#define SOCKET_BUFFER (4 << 20) /* a burst of a fast connection, some milliseconds long */

static int set(int fd, int level, int name, int value)
{
    return setsockopt(fd, level, name, &value, sizeof value);
}

static void set_buffer(int fd, int name, int force_name)
{
    int value = 0;
    socklen_t size = sizeof value;

    set(fd, SOL_SOCKET, name, SOCKET_BUFFER);
    /* The kernel reports twice what it grants. Above its limit only a privileged process goes. */
    if (getsockopt(fd, SOL_SOCKET, name, &value, &size) != 0 || value < 2 * SOCKET_BUFFER)
        set(fd, SOL_SOCKET, force_name, SOCKET_BUFFER);
}

/* RFC 9000 §14: datagrams must not be fragmented, and the kernel's idea of the path MTU must not stop our probes. */
static void set_ip_options(int fd, unsigned family, bool packet_info)
{
    if (family == 4) {
        set(fd, IPPROTO_IP, IP_MTU_DISCOVER, IP_PMTUDISC_PROBE);
        set(fd, IPPROTO_IP, IP_RECVTOS, 1);
        if (packet_info)
            set(fd, IPPROTO_IP, IP_PKTINFO, 1);
    } else {
        set(fd, IPPROTO_IPV6, IPV6_MTU_DISCOVER, IPV6_PMTUDISC_PROBE);
        set(fd, IPPROTO_IPV6, IPV6_RECVTCLASS, 1);
        if (packet_info)
            set(fd, IPPROTO_IPV6, IPV6_RECVPKTINFO, 1);
    }
}

void neap_udp_want_errors(const struct udp_socket *udp)
{
    if (udp->bound.family == 4)
        set(udp->fd, IPPROTO_IP, IP_RECVERR, 1);
    else
        set(udp->fd, IPPROTO_IPV6, IPV6_RECVERR, 1);
}

static int bind_socket(int fd, const neap_address *address, neap_address *bound)
{
    struct sockaddr_storage name;
    socklen_t size = neap_sockaddr_write(address, &name);

    /* Each family has its socket, so that addresses are what they look like. */
    if (address->family == 6 && set(fd, IPPROTO_IPV6, IPV6_V6ONLY, 1) != 0)
        return -1;
    if (bind(fd, (struct sockaddr *)&name, size) != 0)
        return -1;
    size = sizeof name;
    if (getsockname(fd, (struct sockaddr *)&name, &size) != 0)
        return -1;
    *bound = neap_sockaddr_parse(&name);
    return 0;
}

/* What is set of a bound socket. */
static void set_up(int fd, const neap_address *bound, bool packet_info, struct udp_socket *out)
{
    int segment = 0;
    socklen_t size = sizeof segment;

    set_buffer(fd, SO_RCVBUF, SO_RCVBUFFORCE);
    set_buffer(fd, SO_SNDBUF, SO_SNDBUFFORCE);
    set_ip_options(fd, bound->family, packet_info);
    set(fd, IPPROTO_UDP, UDP_GRO, 1);
    *out =
        (struct udp_socket){.fd = fd,
                            .bound = *bound,
                            .wildcard = packet_info && neap_address_is_wildcard(bound),
                            .segmentation = getsockopt(fd, IPPROTO_UDP, UDP_SEGMENT, &segment, &size) == 0};
}

int neap_fd_prepare(int fd, int kind, neap_address *bound)
{
    struct sockaddr_storage name = {0};
    int its = 0, flags = fcntl(fd, F_GETFL);
    socklen_t size = sizeof name, its_size = sizeof its;

    if (flags < 0 || fcntl(fd, F_SETFL, flags | O_NONBLOCK) != 0 || fcntl(fd, F_SETFD, FD_CLOEXEC) != 0 ||
        getsockopt(fd, SOL_SOCKET, SO_TYPE, &its, &its_size) != 0 ||
        getsockname(fd, (struct sockaddr *)&name, &size) != 0)
        return -1;
    *bound = neap_sockaddr_parse(&name);
    errno = EINVAL;
    return its == kind ? 0 : -1;
}

int neap_udp_adopt(int fd, struct udp_socket *out)
{
    neap_address bound;

    if (neap_fd_prepare(fd, SOCK_DGRAM, &bound) != 0)
        return -1;
    if (bound.family == 0 || bound.port == 0) {
        errno = EINVAL;
        return -1;
    }
    set_up(fd, &bound, true, out);
    if (bound.family == 6) /* it may be one for both families */
        set(fd, IPPROTO_IP, IP_MTU_DISCOVER, IP_PMTUDISC_PROBE);
    return 0;
}

int neap_udp_open(const neap_address *address, bool packet_info, struct udp_socket *out)
{
    return neap_udp_open_at(address, NULL, packet_info, out);
}

int neap_udp_open_at(const neap_address *address, const char *interface, bool packet_info,
                     struct udp_socket *out)
{
    int fd = socket(address->family == 4 ? AF_INET : AF_INET6, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    neap_address bound;

    if (fd < 0)
        return -1;
    /* Without the right to it the address says as much, but for routes by which datagrams leave elsewhere. */
    bool is_bound =
        interface == NULL ||
        setsockopt(fd, SOL_SOCKET, SO_BINDTODEVICE, interface, (socklen_t)(strlen(interface) + 1)) == 0 ||
        errno == EPERM;
    if (!is_bound || bind_socket(fd, address, &bound) != 0) {
        int number = errno;
        close(fd);
        errno = number;
        return -1;
    }
    set_up(fd, &bound, packet_info, out);
    return 0;
}

int neap_udp_bind(const char *address, neap_address *bound)
{
    neap_address local;
    struct udp_socket udp;

    if (neap_address_parse(address, 0, &local) != NEAP_OK)
        return NEAP_ERR_ARGUMENT;
    if (neap_udp_open(&local, false, &udp) != 0)
        return NEAP_ERR_SYSTEM;
    /* A train would have to be split by a caller who takes one datagram at a time. */
    set(udp.fd, IPPROTO_UDP, UDP_GRO, 0);
    if (bound != NULL)
        *bound = udp.bound;
    return udp.fd;
}

int64_t neap_udp_recv(int fd, const neap_address *local, uint8_t *out, size_t size, neap_recv_info *info)
{
    struct sockaddr_storage name;
    _Alignas(struct cmsghdr) uint8_t control[UDP_CONTROL_SIZE];
    struct iovec bytes = {out, size};
    struct msghdr message = {.msg_name = &name,
                             .msg_namelen = sizeof name,
                             .msg_iov = &bytes,
                             .msg_iovlen = 1,
                             .msg_control = control,
                             .msg_controllen = sizeof control};
    neap_udp_datagram datagram = {0};
    ssize_t got;

    do
        got = recvmsg(fd, &message, 0);
    while (got < 0 && errno == EINTR);
    if (got < 0)
        return errno == EAGAIN ? NEAP_ERR_AGAIN : NEAP_ERR_SYSTEM;
    neap_udp_read_message(&message, local, &datagram);
    *info = (neap_recv_info){.from = datagram.from, .to = datagram.to, .ecn = datagram.ecn};
    return got;
}

int64_t neap_udp_send(int fd, const uint8_t *bytes, size_t size, const neap_send_info *info)
{
    struct sockaddr_storage name;
    _Alignas(struct cmsghdr) uint8_t control[UDP_CONTROL_SIZE];
    struct iovec vector = {(void *)(uintptr_t)bytes, size};
    struct train train = {.bytes = bytes, .size = size, .to = info->to, .ecn = info->ecn};
    struct msghdr message = {.msg_name = &name, .msg_iov = &vector, .msg_iovlen = 1, .msg_control = control};
    ssize_t sent;

    neap_udp_write_message(&message, &train, false, 0);
    do
        sent = sendmsg(fd, &message, 0);
    while (sent < 0 && errno == EINTR);
    if (sent < 0)
        return errno == EAGAIN ? NEAP_ERR_AGAIN : NEAP_ERR_SYSTEM;
    return sent;
}
