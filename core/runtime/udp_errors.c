/* What the kernel tells of datagrams that did not get through (IP_RECVERR): too large for a link of ours, or for one
 * further on, or taken by nobody, as ICMP says. */
#include "runtime/runtime.h"
#include "runtime/sockaddr.h"

#include <errno.h>
#include <linux/errqueue.h>
#include <netinet/in.h>
#include <string.h>

#define QUOTED_MOST 1280u /* bytes of an ICMP message, of which a part quotes the datagram */

static size_t headers_size(unsigned family)
{
    return family == 4 ? 20 + 8 : 40 + 8;
}

static bool find_error(struct msghdr *message, struct sock_extended_err *error)
{
    for (struct cmsghdr *header = CMSG_FIRSTHDR(message); header != NULL;
         header = CMSG_NXTHDR(message, header)) {
        bool is_error = (header->cmsg_level == IPPROTO_IP && header->cmsg_type == IP_RECVERR) ||
                        (header->cmsg_level == IPPROTO_IPV6 && header->cmsg_type == IPV6_RECVERR);
        if (is_error && header->cmsg_len >= CMSG_LEN(sizeof *error)) {
            memcpy(error, CMSG_DATA(header), sizeof *error);
            return true;
        }
    }
    return false;
}

static bool is_too_big(const struct sock_extended_err *error)
{
    return error->ee_errno == EMSGSIZE && error->ee_info <= UINT16_MAX + headers_size(6);
}

static bool is_unreachable(const struct sock_extended_err *error)
{
    bool is_icmp = error->ee_origin == SO_EE_ORIGIN_ICMP || error->ee_origin == SO_EE_ORIGIN_ICMP6;

    return is_icmp && (error->ee_errno == ECONNREFUSED || error->ee_errno == EHOSTUNREACH ||
                       error->ee_errno == ENETUNREACH || error->ee_errno == EACCES);
}

size_t neap_udp_read_errors(struct udp_socket *udp)
{
    struct sockaddr_storage to;
    uint8_t quoted[QUOTED_MOST];
    _Alignas(struct cmsghdr) uint8_t control[256]; /* the error, who told it, packet info */
    struct iovec bytes = {quoted, sizeof quoted};
    size_t own = 0;
    int left;
    socklen_t left_size = sizeof left;

    for (unsigned i = 0; i < LIMIT_LOOP_ERRORS; i++) {
        struct msghdr message = {.msg_name = &to,
                                 .msg_namelen = sizeof to,
                                 .msg_iov = &bytes,
                                 .msg_iovlen = 1,
                                 .msg_control = control,
                                 .msg_controllen = sizeof control};
        struct sock_extended_err error;
        ssize_t size = recvmsg(udp->fd, &message, MSG_ERRQUEUE | MSG_DONTWAIT);

        if (size < 0)
            break;
        if (!find_error(&message, &error))
            continue;
        if (is_unreachable(&error)) {
            neap_address address = neap_sockaddr_parse(&to);

            neap_endpoint_unreachable(udp->attachment->endpoint, &address, quoted, (size_t)size);
            continue;
        }
        if (!is_too_big(&error) || error.ee_info <= headers_size(udp->bound.family))
            continue;
        size_t passes = error.ee_info - headers_size(udp->bound.family);
        if (error.ee_origin == SO_EE_ORIGIN_LOCAL) {
            own = passes;
        } else {
            neap_address address = neap_sockaddr_parse(&to);

            neap_endpoint_too_big(udp->attachment->endpoint, &address, passes, quoted, (size_t)size);
        }
    }
    /* Each that is taken leaves the next one's errno behind for the call after it, until that asks for it. */
    getsockopt(udp->fd, SOL_SOCKET, SO_ERROR, &left, &left_size);
    return own;
}
