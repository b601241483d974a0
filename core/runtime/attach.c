/* Endpoints get their sockets: addresses to listen at, sockets for clients, all in one epoll set. */
#include "runtime/runtime.h"
#include "runtime/sockaddr.h"

#include <errno.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <unistd.h>

#define PORT_ATTEMPTS 16 /* a free port of one family may be taken in the other */

struct attachment *neap_loop_find(const neap_loop *loop, const neap_endpoint *endpoint)
{
    for (struct attachment *a = loop->attachments; a != NULL; a = a->next) {
        if (a->endpoint == endpoint)
            return a;
    }
    return NULL;
}

static void close_sockets(struct attachment *attachment)
{
    for (size_t i = 0; i < ATTACHMENT_SOCKETS; i++) {
        if (attachment->sockets[i].fd >= 0)
            close(attachment->sockets[i].fd);
        neap_udp_drop_kept(&attachment->sockets[i]);
        attachment->sockets[i].fd = -1;
    }
}

static neap_address any_address(unsigned family, uint16_t port)
{
    return (neap_address){.family = (uint8_t)family, .port = port};
}

static neap_address loopback_address(unsigned family, uint16_t port)
{
    neap_address address = any_address(family, port);

    if (family == 4) {
        address.ip[0] = 127;
        address.ip[3] = 1;
    } else {
        address.ip[15] = 1;
    }
    return address;
}

/* A system without IPv6 (or without IPv4) still serves the other. */
bool neap_family_is_missing(int number)
{
    return number == EAFNOSUPPORT || number == EADDRNOTAVAIL || number == EPROTONOSUPPORT;
}

/* Bind each of `wanted` that the system has, at one port. 0, or -1 with errno and *failed. */
static int open_sockets(struct attachment *attachment, neap_address *wanted, size_t count, bool packet_info,
                        neap_address *failed)
{
    size_t opened = 0;
    int number = 0;

    for (size_t i = 0; i < count; i++) {
        struct udp_socket *udp = &attachment->sockets[opened];
        if (opened > 0)
            wanted[i].port = attachment->sockets[0].bound.port;
        if (neap_udp_open(&wanted[i], packet_info, udp) == 0) {
            udp->attachment = attachment;
            neap_udp_want_errors(udp);
            opened++;
            continue;
        }
        number = errno;
        *failed = wanted[i];
        if (count == 1 || !neap_family_is_missing(number))
            break;
        number = 0;
    }
    if (opened > 0 && number == 0)
        return 0;
    close_sockets(attachment);
    errno = number != 0 ? number : EAFNOSUPPORT;
    return -1;
}

static int watch(neap_loop *loop, struct attachment *attachment)
{
    for (size_t i = 0; i < ATTACHMENT_SOCKETS; i++) {
        struct udp_socket *udp = &attachment->sockets[i];
        struct epoll_event event = {.events = EPOLLIN, .data.ptr = udp};
        if (udp->fd >= 0 && epoll_ctl(loop->epoll_fd, EPOLL_CTL_ADD, udp->fd, &event) != 0)
            return -1;
    }
    return 0;
}

static int new_attachment(neap_loop *loop, neap_endpoint *endpoint, struct attachment **out)
{
    if (neap_loop_find(loop, endpoint) != NULL)
        return neap_loop_fail(loop, NEAP_ERR_ARGUMENT, 0, "the endpoint has sockets already");
    struct attachment *attachment = calloc(1, sizeof *attachment);
    if (attachment == NULL)
        return neap_loop_fail(loop, NEAP_ERR_NO_MEMORY, ENOMEM, "sockets of an endpoint");
    attachment->endpoint = endpoint;
    for (size_t i = 0; i < ATTACHMENT_SOCKETS; i++)
        attachment->sockets[i].fd = -1;
    *out = attachment;
    return NEAP_OK;
}

/* Its sockets are open. */
static int attach_sockets(neap_loop *loop, struct attachment *attachment)
{
    attachment->next = loop->attachments;
    loop->attachments = attachment;
    for (unsigned family = 4; family <= 6; family += 2) /* the sockets it had before may have been full */
        neap_endpoint_hold(attachment->endpoint, family, false);
    return neap_loop_take_signals(loop);
}

/* Of an attachment that comes to nothing. */
static int fail_sockets(neap_loop *loop, struct attachment *attachment, const char *what)
{
    int number = errno;

    close_sockets(attachment);
    free(attachment);
    return neap_loop_fail(loop, NEAP_ERR_SYSTEM, number, what);
}

static int attach(neap_loop *loop, neap_endpoint *endpoint, neap_address *wanted, size_t count,
                  bool packet_info, const char *name)
{
    struct attachment *attachment;
    neap_address failed = wanted[0];
    uint16_t port = wanted[0].port;
    int opened = -1;

    int result = new_attachment(loop, endpoint, &attachment);
    if (result != NEAP_OK)
        return result;
    for (unsigned attempt = 0; attempt < PORT_ATTEMPTS && opened != 0; attempt++) {
        for (size_t i = 0; i < count; i++)
            wanted[i].port = port;
        opened = open_sockets(attachment, wanted, count, packet_info, &failed);
        if (opened != 0 && (port != 0 || errno != EADDRINUSE))
            break;
    }
    if (opened != 0 || watch(loop, attachment) != 0) {
        char text[64] = "";
        int number = errno;
        neap_address_format(&failed, text, sizeof text);
        errno = number;
        return fail_sockets(loop, attachment, name != NULL && name[0] != ':' ? name : text);
    }
    return attach_sockets(loop, attachment);
}

/* "localhost:443", "[::]:443" and ":443" are two addresses. Returns how many, 0 for what is none. */
static size_t parse_listen(const char *text, neap_address out[2])
{
    static const char both[] = "localhost";
    neap_address address;
    char buffer[32];

    if (strncmp(text, both, sizeof both - 1) == 0 && text[sizeof both - 1] == ':') {
        if (snprintf(buffer, sizeof buffer, "127.0.0.1%s", text + sizeof both - 1) >= (int)sizeof buffer ||
            neap_address_parse(buffer, 0, &address) != NEAP_OK)
            return 0;
        out[0] = loopback_address(4, address.port);
        out[1] = loopback_address(6, address.port);
        return 2;
    }
    if (text[0] == ':' && text[1] != ':') {
        if (snprintf(buffer, sizeof buffer, "0.0.0.0%s", text) >= (int)sizeof buffer)
            return 0;
        if (neap_address_parse(buffer, 0, &address) != NEAP_OK)
            return 0;
    } else if (neap_address_parse(text, 0, &address) != NEAP_OK) {
        return 0;
    } else if (address.family == 4 || !neap_address_is_wildcard(&address)) {
        out[0] = address;
        return 1;
    }
    out[0] = any_address(4, address.port);
    out[1] = any_address(6, address.port);
    return 2;
}

static int refuse_nothing(neap_loop *loop, const char *what)
{
    return neap_loop_fail(loop, NEAP_ERR_ARGUMENT, 0, what);
}

size_t neap_loop_parse_listen(neap_loop *loop, const char *text, neap_address out[2])
{
    size_t count = text != NULL ? parse_listen(text, out) : 0;
    char why[160];

    if (text == NULL)
        refuse_nothing(loop, "no address");
    if (text == NULL || count > 0)
        return count;
    snprintf(why, sizeof why, "%.60s: not an address like \"192.0.2.1:443\", \"[::1]:443\" or \":443\"",
             text);
    neap_loop_fail(loop, NEAP_ERR_ARGUMENT, 0, why);
    return 0;
}

int neap_loop_listen(neap_loop *loop, neap_endpoint *endpoint, const char *address)
{
    neap_address wanted[2];

    if (endpoint == NULL)
        return refuse_nothing(loop, "no endpoint (neap_endpoint_new said why)");
    size_t count = neap_loop_parse_listen(loop, address, wanted);
    if (count == 0)
        return NEAP_ERR_ARGUMENT;
    return attach(loop, endpoint, wanted, count, true, count == 1 ? address : NULL);
}

/* Sockets of somebody else's; they are in the attachment, whatever they are. */
static int adopt_sockets(struct attachment *attachment, const int *fds, size_t count)
{
    int number = 0;

    for (size_t i = 0; i < count; i++) {
        struct udp_socket *udp = &attachment->sockets[i];
        if (neap_udp_adopt(fds[i], udp) == 0)
            neap_udp_want_errors(udp);
        else
            number = errno;
        udp->fd = fds[i];
        udp->attachment = attachment;
    }
    errno = number;
    return number != 0 ? -1 : 0;
}

int neap_loop_listen_fd(neap_loop *loop, neap_endpoint *endpoint, const int *fds, size_t count)
{
    struct attachment *attachment = NULL;
    int result;

    if (endpoint == NULL)
        result = refuse_nothing(loop, "no endpoint (neap_endpoint_new said why)");
    else if (fds == NULL || count == 0 || count > ATTACHMENT_SOCKETS)
        result = refuse_nothing(loop, "one to six descriptors are listened at");
    else
        result = new_attachment(loop, endpoint, &attachment);
    if (result == NEAP_OK && adopt_sockets(attachment, fds, count) == 0 && watch(loop, attachment) == 0)
        return attach_sockets(loop, attachment);
    if (result == NEAP_OK)
        return fail_sockets(loop, attachment, "a descriptor to listen at");
    for (size_t i = 0; fds != NULL && i < count; i++)
        close(fds[i]);
    return result;
}

int neap_loop_open(neap_loop *loop, neap_endpoint *endpoint)
{
    neap_address wanted[2] = {any_address(4, 0), any_address(6, 0)};

    if (endpoint == NULL)
        return refuse_nothing(loop, "no endpoint (neap_endpoint_new said why)");
    return attach(loop, endpoint, wanted, 2, false, NULL);
}

void neap_loop_detach(neap_loop *loop, neap_endpoint *endpoint)
{
    for (struct attachment **at = &loop->attachments; *at != NULL; at = &(*at)->next) {
        struct attachment *attachment = *at;
        if (attachment->endpoint != endpoint)
            continue;
        *at = attachment->next;
        if (loop->visited == attachment)
            loop->visited = NULL;
        if (loop->next_visited == attachment)
            loop->next_visited = attachment->next;
        close_sockets(attachment);
        free(attachment);
        return;
    }
}

int neap_loop_address(const neap_loop *loop, const neap_endpoint *endpoint, unsigned family,
                      neap_address *out)
{
    const struct attachment *attachment = neap_loop_find(loop, endpoint);

    for (size_t i = 0; attachment != NULL && i < ATTACHMENT_SOCKETS; i++) {
        const struct udp_socket *udp = &attachment->sockets[i];
        if (udp->fd >= 0 && (family == 0 || udp->bound.family == family)) {
            *out = udp->bound;
            return NEAP_OK;
        }
    }
    return NEAP_ERR_ARGUMENT;
}
