/* Sending: trains of datagrams, several messages a system call; one message a train where the kernel segments it
 * (UDP_SEGMENT), else one a datagram. */
#include "runtime/runtime.h"
#include "runtime/sockaddr.h"

#include <errno.h>
#include <netinet/in.h>
#include <netinet/udp.h>
#include <stdlib.h>
#include <string.h>

#ifndef UDP_SEGMENT
#define UDP_SEGMENT 103
#endif

struct send_slot {
    struct sockaddr_storage to;
    _Alignas(struct cmsghdr) uint8_t control[UDP_CONTROL_SIZE];
    struct iovec vector;
    size_t trains_at; /* which train it is of */
};

struct send_batch {
    struct mmsghdr messages[LIMIT_LOOP_SEND_MESSAGES];
    struct send_slot slots[LIMIT_LOOP_SEND_MESSAGES];
    struct train trains[ATTACHMENT_SOCKETS][LIMIT_LOOP_SEND_MESSAGES];
    size_t train_counts[ATTACHMENT_SOCKETS];
    uint8_t bytes[LIMIT_LOOP_SEND_BYTES];
};

struct send_batch *neap_send_batch_new(void)
{
    return calloc(1, sizeof(struct send_batch));
}

void neap_udp_drop_kept(struct udp_socket *udp)
{
    free(udp->kept);
    udp->kept = NULL;
    udp->kept_count = udp->kept_at = 0;
}

static void add_control(struct msghdr *message, int level, int type, const void *data, size_t size)
{
    struct cmsghdr *header = (struct cmsghdr *)((uint8_t *)message->msg_control + message->msg_controllen);

    header->cmsg_level = level;
    header->cmsg_type = type;
    header->cmsg_len = CMSG_LEN(size);
    memcpy(CMSG_DATA(header), data, size);
    message->msg_controllen += CMSG_SPACE(size);
}

static void add_source(struct msghdr *message, const neap_address *from)
{
    if (from->family == 4) {
        struct in_pktinfo info = {0};
        memcpy(&info.ipi_spec_dst, from->ip, sizeof info.ipi_spec_dst);
        add_control(message, IPPROTO_IP, IP_PKTINFO, &info, sizeof info);
    } else {
        struct in6_pktinfo info = {.ipi6_ifindex = from->scope};
        memcpy(&info.ipi6_addr, from->ip, sizeof info.ipi6_addr);
        add_control(message, IPPROTO_IPV6, IPV6_PKTINFO, &info, sizeof info);
    }
}

void neap_udp_write_message(struct msghdr *message, const struct train *train, bool choose_source,
                            size_t segment_size)
{
    message->msg_namelen = neap_sockaddr_write(&train->to, message->msg_name);
    message->msg_controllen = 0;
    memset(message->msg_control, 0, UDP_CONTROL_SIZE);
    if (segment_size > 0) {
        uint16_t segment = (uint16_t)segment_size;
        add_control(message, IPPROTO_UDP, UDP_SEGMENT, &segment, sizeof segment);
    }
    if (train->ecn != 0) {
        int tos = train->ecn & 3;
        add_control(message, train->to.family == 4 ? IPPROTO_IP : IPPROTO_IPV6,
                    train->to.family == 4 ? IP_TOS : IPV6_TCLASS, &tos, sizeof tos);
    }
    if (choose_source && train->from.family == train->to.family && !neap_address_is_wildcard(&train->from))
        add_source(message, &train->from);
    if (message->msg_controllen == 0)
        message->msg_control = NULL;
}

/* How much of a train one message may carry. */
static size_t message_size(const struct udp_socket *udp, const struct train *train)
{
    size_t segment = train->segment_size;
    size_t size = udp->segmentation && !train->is_split ? segment * LIMIT_UDP_SEGMENTS : segment;

    return size < train->size ? size : train->size;
}

/* Datagrams of another connection to the same place that lie right behind go in the same message: busy clients of one proxy or
 * one load generator have one address. Each train stays one by itself: where the message is refused each is tried, and told of. */
static bool joins(const struct udp_socket *udp, const struct train *last, const struct train *next)
{
    size_t size = last->size + next->size;

    return udp->segmentation && !udp->keeps_apart && !last->is_split && !next->is_split &&
           last->bytes + last->size == next->bytes && last->segment_size == next->segment_size &&
           last->size % last->segment_size == 0 && size <= LIMIT_UDP_TRAIN &&
           size <= last->segment_size * LIMIT_UDP_SEGMENTS && last->ecn == next->ecn &&
           neap_address_equal(&last->to, &next->to) && neap_address_equal(&last->from, &next->from);
}

/* The next messages of trains[at..count), all of them due; returns how many. */
static unsigned fill_messages(struct send_batch *batch, const struct udp_socket *udp,
                              const struct train *trains, size_t at, size_t count)
{
    unsigned filled = 0;
    size_t offset = 0;

    while (at < count && filled < LIMIT_LOOP_SEND_MESSAGES) {
        struct train part = trains[at];
        struct send_slot *slot = &batch->slots[filled];
        struct msghdr *message = &batch->messages[filled].msg_hdr;

        slot->trains_at = at;
        part.bytes += offset;
        part.size -= offset;
        part.size = message_size(udp, &part);
        offset += part.size;
        if (offset == trains[at].size) {
            offset = 0;
            for (at++; at < count && joins(udp, &part, &trains[at]); at++)
                part.size += trains[at].size;
        }
        slot->vector = (struct iovec){(void *)(uintptr_t)part.bytes, part.size};
        *message = (struct msghdr){
            .msg_name = &slot->to, .msg_iov = &slot->vector, .msg_iovlen = 1, .msg_control = slot->control};
        neap_udp_write_message(message, &part, udp->wildcard,
                               part.size > part.segment_size ? part.segment_size : 0);
        filled++;
    }
    return filled;
}

/* A message of segments was not taken as one: they are too large for the route (EINVAL, EMSGSIZE), or the device there has no
 * checksum offload (EIO). Whether it is the one or the other shows in what becomes of its trains datagram by datagram. */
static bool stop_segments(const struct send_slot *slot, struct train *trains, int number)
{
    size_t left = slot->vector.iov_len;
    bool is_shared = left > trains[slot->trains_at].size;

    if (number != EINVAL && number != EMSGSIZE && number != EIO && number != EOPNOTSUPP)
        return false;
    for (struct train *train = &trains[slot->trains_at]; left > 0; train++) {
        train->is_split = train->is_refused = true;
        train->was_shared = is_shared;
        left -= train->size < left ? train->size : left;
    }
    return true;
}

static neap_udp_datagram as_datagram(const struct train *train)
{
    return (neap_udp_datagram){.from = train->from,
                               .size = train->size,
                               .segment_size = train->segment_size,
                               .to = train->to,
                               .sender = train->sender};
}

/* The rest is as large, but for the last. */
static void refuse(struct udp_socket *udp, struct train *train, size_t passes)
{
    neap_udp_datagram refused = as_datagram(train);

    neap_endpoint_refused(udp->attachment->endpoint, &refused, passes);
    train->size = 0;
}

/* Trains were refused as one, and this one is taken now. */
static void note_taken(struct udp_socket *udp, struct train *train)
{
    neap_udp_datagram refused = as_datagram(train);

    neap_endpoint_refused_train(udp->attachment->endpoint, &refused);
    train->is_refused = false;
    udp->keeps_apart = udp->keeps_apart || train->was_shared;
}

/* A slot has left, or is given up: its trains shrink by it. Returns the place of the first train not done. */
static size_t consume(const struct send_slot *slot, struct train *trains)
{
    size_t left = slot->vector.iov_len, at = slot->trains_at;

    while (left > 0) {
        struct train *train = &trains[at];
        size_t size = train->size < left ? train->size : left;

        train->bytes += size;
        train->size -= size;
        left -= size;
        at += train->size == 0;
    }
    return at;
}

/* The socket took the first `sent` slots. Returns the place of the first train not done. */
static size_t consume_sent(neap_loop *loop, struct udp_socket *udp, struct train *trains, size_t at, int sent)
{
    for (int i = 0; i < sent; i++) {
        const struct send_slot *slot = &loop->send->slots[i];

        if (trains[slot->trains_at].is_refused)
            note_taken(udp, &trains[slot->trains_at]);
        loop->stats.messages_sent++;
        loop->stats.bytes_sent += slot->vector.iov_len;
        at = consume(slot, trains);
    }
    return at;
}

/* Nothing was taken, for a reason of the first message's. What an ICMP message of an earlier datagram left behind looks the
 * same and is gone when the call is made again. Returns whether it is to be. */
static bool is_worth_again(neap_loop *loop, struct udp_socket *udp, struct train *trains, bool *is_second)
{
    const struct send_slot *slot = &loop->send->slots[0];
    struct train *train = &trains[slot->trains_at];
    int number = errno;
    size_t passes = neap_udp_read_errors(udp);

    if (!*is_second)
        return *is_second = true;
    *is_second = false;
    if (slot->vector.iov_len > train->segment_size && stop_segments(slot, trains, number))
        return true;
    /* No route, filtered: the network lost it; the connection knows what to do. */
    loop->stats.send_errors++;
    if (number == EMSGSIZE)
        refuse(udp, train, passes);
    else
        neap_network_changed(loop);
    return false;
}

/* Send trains[at..count), which are due; returns the place of the first one not (wholly) sent. */
static size_t send_trains(neap_loop *loop, struct udp_socket *udp, struct train *trains, size_t at,
                          size_t count)
{
    struct send_batch *batch = loop->send;
    bool is_second = false;

    while (at < count) {
        unsigned filled = fill_messages(batch, udp, trains, at, count);
        int sent = sendmmsg(udp->fd, batch->messages, filled, MSG_DONTWAIT);
        loop->stats.send_calls++;
        if (sent > 0) {
            at = consume_sent(loop, udp, trains, at, sent);
            is_second = false;
            continue;
        }
        if (errno == EINTR)
            continue;
        if (errno == EAGAIN) {
            udp->full = true;
            neap_loop_watch_writable(loop, udp, true);
            return at;
        }
        if (!is_worth_again(loop, udp, trains, &is_second))
            at = trains[at].size == 0 ? at + 1 : consume(&batch->slots[0], trains);
    }
    return at;
}

/* How many of trains[at..count) may leave now. */
static size_t count_due(const struct train *trains, size_t at, size_t count, neap_time now)
{
    while (at < count && trains[at].at <= now)
        at++;
    return at;
}

/* Copy what is left of a batch, so that the batch can be used again. Nothing is kept for this socket: the endpoint was
 * not asked otherwise. */
static void keep(neap_loop *loop, struct udp_socket *udp, const struct train *trains, size_t count)
{
    size_t bytes = 0;

    for (size_t i = 0; i < count; i++)
        bytes += trains[i].size;
    struct train *kept = malloc(count * sizeof *kept + bytes);
    if (kept == NULL) { /* lost, as a network may lose them */
        loop->stats.send_errors++;
        return;
    }
    uint8_t *at = (uint8_t *)(kept + count);
    for (size_t i = 0; i < count; i++) {
        kept[i] = trains[i];
        kept[i].bytes = at;
        memcpy(at, trains[i].bytes, trains[i].size);
        at += trains[i].size;
    }
    udp->kept = kept;
    udp->kept_count = count;
    udp->kept_at = 0;
}

/* The number of the socket that sends from this address to that one, the first of the family where none is bound to it;
 * ATTACHMENT_SOCKETS when there is none, or it takes nothing now. */
static size_t socket_for(const struct attachment *attachment, const neap_address *from,
                         const neap_address *to)
{
    size_t first = ATTACHMENT_SOCKETS;

    for (size_t i = 0; i < ATTACHMENT_SOCKETS; i++) {
        const struct udp_socket *udp = &attachment->sockets[i];
        if (udp->fd < 0 || udp->bound.family != to->family)
            continue;
        if (first == ATTACHMENT_SOCKETS)
            first = i;
        if (udp->bound.port == from->port && (udp->wildcard || neap_address_equal(&udp->bound, from))) {
            first = i;
            break;
        }
    }
    return first < ATTACHMENT_SOCKETS && attachment->sockets[first].kept == NULL ? first : ATTACHMENT_SOCKETS;
}

/* Fill the batch from the endpoint, each socket's trains in a row, with `most` bytes. Returns what neap_endpoint_send said at
 * last: above 0 when the batch is full. The time is asked for each train: sealing one takes long enough to spoil a sample of RTT. */
static int64_t gather(neap_loop *loop, struct attachment *attachment, size_t most)
{
    struct send_batch *batch = loop->send;
    size_t used = 0;
    int64_t size = 1;

    memset(batch->train_counts, 0, sizeof batch->train_counts);
    for (size_t count = 0; count < LIMIT_LOOP_SEND_MESSAGES && most - used >= LIMIT_UDP_TRAIN; count++) {
        neap_udp_datagram datagram = {.bytes = batch->bytes + used};
        size = neap_endpoint_send(attachment->endpoint, &datagram, LIMIT_UDP_TRAIN, neap_loop_now());
        if (size <= 0)
            break;
        size_t segment = datagram.segment_size, socket = socket_for(attachment, &datagram.from, &datagram.to);
        if (socket == ATTACHMENT_SOCKETS) { /* as if the network lost it */
            loop->stats.send_errors++;
            continue;
        }
        batch->trains[socket][batch->train_counts[socket]++] = (struct train){
            .bytes = datagram.bytes,
            .size = (size_t)size,
            .segment_size = segment > 0 && segment < (size_t)size ? segment : (size_t)size,
            .from = datagram.from,
            .to = datagram.to,
            .at = datagram.at,
            .ecn = datagram.ecn,
            .is_split = datagram.is_split,
            .sender = datagram.sender,
        };
        used += (size_t)size;
    }
    return size;
}

/* Its family may send again, unless another socket of it has something kept. */
void neap_udp_release_family(const struct udp_socket *udp)
{
    for (size_t i = 0; i < ATTACHMENT_SOCKETS; i++) {
        const struct udp_socket *other = &udp->attachment->sockets[i];

        if (other->fd >= 0 && other->kept != NULL && other->bound.family == udp->bound.family)
            return;
    }
    neap_endpoint_hold(udp->attachment->endpoint, udp->bound.family, false);
}

/* What was kept goes first. Afterwards the endpoint is asked for this family if nothing is left. */
static void flush_kept(neap_loop *loop, struct udp_socket *udp)
{
    size_t due = count_due(udp->kept, udp->kept_at, udp->kept_count, neap_loop_now());

    udp->kept_at = send_trains(loop, udp, udp->kept, udp->kept_at, due);
    if (udp->kept_at < udp->kept_count)
        return;
    neap_udp_drop_kept(udp);
    neap_udp_release_family(udp);
}

static void send_batch(neap_loop *loop, struct udp_socket *udp, struct train *trains, size_t count)
{
    if (count == 0)
        return;
    size_t due = count_due(trains, 0, count, neap_loop_now());
    size_t at = send_trains(loop, udp, trains, 0, due);

    if (at < count)
        keep(loop, udp, trains + at, count - at);
    if (udp->kept != NULL)
        neap_endpoint_hold(udp->attachment->endpoint, udp->bound.family, true);
}

bool neap_udp_flush(neap_loop *loop, struct attachment *attachment)
{
    struct send_batch *batch = loop->send;
    int64_t more = 1;

    for (size_t i = 0; i < ATTACHMENT_SOCKETS; i++) {
        struct udp_socket *udp = &attachment->sockets[i];
        if (udp->kept != NULL && !udp->full)
            flush_kept(loop, udp);
    }
    for (unsigned i = 0; i < LIMIT_LOOP_SEND_BATCHES && more >= 0; i++) {
        more = gather(loop, attachment, i == 0 ? LIMIT_LOOP_SEND_FIRST : LIMIT_LOOP_SEND_BYTES);
        for (size_t socket = 0; socket < ATTACHMENT_SOCKETS; socket++)
            send_batch(loop, &attachment->sockets[socket], batch->trains[socket],
                       batch->train_counts[socket]);
    }
    return more >= 0;
}
