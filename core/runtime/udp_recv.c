/* Receiving: a batch of messages a system call, each perhaps a train of datagrams that the kernel put together (GRO),
 * with the address they came to and their ECN bits. */
#include "runtime/runtime.h"
#include "runtime/sockaddr.h"

#include <errno.h>
#include <netinet/in.h>
#include <netinet/udp.h>
#include <stdlib.h>
#include <string.h>

#ifndef UDP_GRO
#define UDP_GRO 104
#endif

#define MESSAGE_SIZE 65536u /* the largest train */

struct receive_slot {
    struct sockaddr_storage from;
    _Alignas(struct cmsghdr) uint8_t control[UDP_CONTROL_SIZE];
    struct iovec vector;
};

struct receive_batch {
    struct mmsghdr messages[LIMIT_LOOP_RECEIVE_MESSAGES];
    struct receive_slot slots[LIMIT_LOOP_RECEIVE_MESSAGES];
    uint8_t bytes[LIMIT_LOOP_RECEIVE_MESSAGES]
                 [MESSAGE_SIZE]; /* pages that are never written take no memory */
};

/* What the kernel reads and writes of a message, as it is before one came. */
static void prepare(struct receive_batch *batch, unsigned i)
{
    struct receive_slot *slot = &batch->slots[i];

    slot->vector = (struct iovec){batch->bytes[i], MESSAGE_SIZE};
    batch->messages[i].msg_hdr = (struct msghdr){.msg_name = &slot->from,
                                                 .msg_namelen = sizeof slot->from,
                                                 .msg_iov = &slot->vector,
                                                 .msg_iovlen = 1,
                                                 .msg_control = slot->control,
                                                 .msg_controllen = sizeof slot->control};
}

struct receive_batch *neap_receive_batch_new(void)
{
    struct receive_batch *batch = calloc(1, sizeof *batch);

    for (unsigned i = 0; batch != NULL && i < LIMIT_LOOP_RECEIVE_MESSAGES; i++)
        prepare(batch, i);
    return batch;
}

static int control_int(const struct cmsghdr *header)
{
    int value = 0;

    /* IP_TOS comes as a byte, the others as an int. */
    if (header->cmsg_len == CMSG_LEN(1))
        return *CMSG_DATA(header);
    if (header->cmsg_len >= CMSG_LEN(sizeof value))
        memcpy(&value, CMSG_DATA(header), sizeof value);
    return value;
}

static bool is_link_local(const uint8_t ip[16])
{
    return ip[0] == 0xfe && (ip[1] & 0xc0) == 0x80;
}

static void read_control(const struct cmsghdr *header, neap_udp_datagram *out)
{
    if (header->cmsg_level == IPPROTO_UDP && header->cmsg_type == UDP_GRO) {
        int size = control_int(header);
        out->segment_size = size > 0 ? (size_t)size : 0;
    } else if ((header->cmsg_level == IPPROTO_IP && header->cmsg_type == IP_TOS) ||
               (header->cmsg_level == IPPROTO_IPV6 && header->cmsg_type == IPV6_TCLASS)) {
        out->ecn = (uint8_t)(control_int(header) & 3);
    } else if (header->cmsg_level == IPPROTO_IP && header->cmsg_type == IP_PKTINFO) {
        struct in_pktinfo info;
        memcpy(&info, CMSG_DATA(header), sizeof info);
        memcpy(out->to.ip, &info.ipi_addr, sizeof info.ipi_addr);
    } else if (header->cmsg_level == IPPROTO_IPV6 && header->cmsg_type == IPV6_PKTINFO) {
        struct in6_pktinfo info;
        memcpy(&info, CMSG_DATA(header), sizeof info);
        memcpy(out->to.ip, &info.ipi6_addr, sizeof info.ipi6_addr);
        if (is_link_local(out->to.ip))
            out->to.scope = (uint32_t)info.ipi6_ifindex;
    }
}

void neap_udp_read_message(struct msghdr *message, const neap_address *bound, neap_udp_datagram *out)
{
    out->from = neap_sockaddr_parse(message->msg_name);
    out->to = *bound;
    out->ecn = 0;
    out->segment_size = 0;
    for (struct cmsghdr *header = CMSG_FIRSTHDR(message); header != NULL;
         header = CMSG_NXTHDR(message, header))
        read_control(header, out);
}

/* Each datagram of a train may be a first packet that is answered: the endpoint keeps LIMIT_STATELESS_ANSWERS of them,
 * those that wait leave before. */
static void make_room(neap_loop *loop, struct udp_socket *udp, const neap_udp_datagram *datagram)
{
    size_t segment = datagram->segment_size > 0 ? datagram->segment_size : datagram->size;
    size_t count = (datagram->size + segment - 1) / segment;
    neap_endpoint_stats stats;

    neap_endpoint_get_stats(udp->attachment->endpoint, &stats, sizeof stats);
    if (stats.answers_waiting > 0 && stats.answers_waiting + count > LIMIT_STATELESS_ANSWERS)
        neap_udp_flush(loop, udp->attachment);
}

static void deliver(neap_loop *loop, struct udp_socket *udp, struct mmsghdr *message, neap_time now)
{
    neap_udp_datagram datagram = {.bytes = message->msg_hdr.msg_iov->iov_base, .size = message->msg_len};

    loop->stats.messages_received++;
    loop->stats.bytes_received += message->msg_len;
    /* An empty datagram cannot be a packet; it has used up its place in the budget. */
    if (message->msg_len == 0 || (message->msg_hdr.msg_flags & MSG_TRUNC) != 0)
        return;
    neap_udp_read_message(&message->msg_hdr, &udp->bound, &datagram);
    make_room(loop, udp, &datagram);
    if (neap_endpoint_recv(udp->attachment->endpoint, &datagram, now) != NEAP_OK)
        loop->stats.receive_errors++;
}

void neap_udp_receive(neap_loop *loop, struct udp_socket *udp)
{
    struct receive_batch *batch = loop->receive;
    neap_time now = neap_loop_now();
    int count = recvmmsg(udp->fd, batch->messages, LIMIT_LOOP_RECEIVE_MESSAGES, MSG_DONTWAIT, NULL);
    size_t unanswered = 0;

    loop->stats.receive_calls++;
    /* An error of the socket is taken off it by this call; datagrams behind it come with the next turn. */
    if (count < 0 && errno != EAGAIN && errno != EINTR)
        loop->stats.receive_errors++;
    for (int i = 0; i < count; i++)
        neap_endpoint_expect(udp->attachment->endpoint, batch->bytes[i], batch->messages[i].msg_len);
    for (int i = 0; i < count; i++) {
        if (unanswered >= LIMIT_LOOP_ANSWER_BYTES) {
            neap_udp_flush(loop, udp->attachment);
            now = neap_loop_now();
            unanswered = 0;
        }
        unanswered += batch->messages[i].msg_len;
        deliver(loop, udp, &batch->messages[i], now);
        prepare(batch, (unsigned)i);
    }
}
