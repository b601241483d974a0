/* Sockets that take TCP connections, and what the loop does for all links: their timers, and sending. */
#include "runtime/link_inner.h"

#include "quic/config.h"
#include "runtime/sockaddr.h"

#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#define WAITING_MOST 511 /* connections that the kernel holds for us */

static void close_socket(struct listener_socket *s)
{
    neap_watch_free(s->watch);
    s->watch = NULL;
    if (s->fd >= 0)
        close(s->fd);
    s->fd = -1;
}

/* ---- accept */

static void await_clients(struct listener *listener, bool waits)
{
    for (size_t i = 0; i < LISTENER_SOCKETS; i++) {
        if (listener->sockets[i].watch != NULL)
            neap_watch_for(listener->sockets[i].watch, waits, false);
    }
}

/* Descriptors or memory are short: what is there to be accepted stays readable, so it is looked at after a pause. */
static void pause_accept(struct listener *listener)
{
    listener->stats.accept_failures++;
    listener->accept_at = neap_loop_now() + LIMIT_LISTENER_PAUSE;
    await_clients(listener, false);
}

void neap_listener_make_room(struct listener *listener)
{
    if (!listener->is_full || listener->stats.connections >= listener->options.connections)
        return;
    listener->is_full = false;
    if (listener->accept_at == NEAP_NEVER)
        await_clients(listener, true);
}

/* What has become of one that is not ours to fix: its client is gone, its network lost (accept(2)). */
static bool is_of_client(int number)
{
    return number != EMFILE && number != ENFILE && number != ENOBUFS && number != ENOMEM;
}

/* Of a socket for both families an address of IPv4 comes as one of IPv6 (RFC 4291 §2.5.5.2). */
static neap_address plain_address(neap_address address)
{
    static const uint8_t mapped[12] = {[10] = 0xff, [11] = 0xff};
    neap_address plain = {.family = 4, .port = address.port};

    if (address.family != 6 || memcmp(address.ip, mapped, sizeof mapped) != 0)
        return address;
    memcpy(plain.ip, address.ip + sizeof mapped, 4);
    return plain;
}

/* Who has it all to send writes it in one piece; and a client that went without a word, or said that it sends no more, does not keep
 * its place for as long as a handler waits. */
void neap_link_set_up(int fd)
{
    static const struct {
        int level, name, value;
    } options[] = {
        {IPPROTO_TCP, TCP_NODELAY, 1},
        {SOL_SOCKET, SO_KEEPALIVE, 1},
        {IPPROTO_TCP, TCP_KEEPIDLE, LIMIT_LINK_ALIVE},
        {IPPROTO_TCP, TCP_KEEPINTVL, LIMIT_LINK_ALIVE_AGAIN},
        {IPPROTO_TCP, TCP_KEEPCNT, LIMIT_LINK_ALIVE_TRIES},
    };

    for (size_t i = 0; i < sizeof options / sizeof options[0]; i++)
        setsockopt(fd, options[i].level, options[i].name, &options[i].value, sizeof options[i].value);
}

/* False without memory. The descriptor is the link's, or closed. */
static bool take_client(struct listener *listener, int fd, const neap_address *peer)
{
    struct link_origin *origin;
    enum link_origin_says says = neap_link_origin_join(listener, peer, &origin);

    if (says != LINK_ORIGIN_JOINED) {
        close(fd);
        listener->stats.refused += says == LINK_ORIGIN_FULL;
        return says == LINK_ORIGIN_FULL;
    }
    neap_link_set_up(fd);
    struct link *link = neap_link_new(listener, fd, peer);
    if (link == NULL) {
        neap_link_origin_leave(listener, origin);
        return false;
    }
    link->origin = origin;
    listener->stats.accepted++;
    return true;
}

static void on_clients(void *user, unsigned events)
{
    struct listener_socket *s = user;
    struct listener *listener = s->listener;

    (void)events;
    for (unsigned i = 0; i < LIMIT_LISTENER_ACCEPTS; i++) {
        struct sockaddr_storage name = {0};
        socklen_t size = sizeof name;
        if (listener->stats.connections >= listener->options.connections) {
            listener->is_full = true;
            await_clients(listener, false);
            return;
        }
        int fd = accept4(s->fd, (struct sockaddr *)&name, &size, SOCK_CLOEXEC | SOCK_NONBLOCK);
        if (fd < 0 && (errno == EAGAIN || errno == EWOULDBLOCK))
            return;
        if (fd < 0 && is_of_client(errno))
            continue;
        neap_address peer = plain_address(neap_sockaddr_parse(&name));
        if (fd < 0 || !take_client(listener, fd, &peer)) {
            pause_accept(listener);
            return;
        }
    }
}

/* ---- listen */

static int watch_socket(struct listener_socket *s)
{
    s->watch = neap_loop_watch(s->listener->loop, s->fd, s);
    if (s->watch == NULL)
        return -1;
    neap_watch_call(s->watch, on_clients);
    neap_watch_for(s->watch, true, false);
    return 0;
}

static int open_socket(struct listener_socket *s, const neap_address *address)
{
    struct sockaddr_storage name;
    socklen_t size = neap_sockaddr_write(address, &name);
    int one = 1;

    s->fd = socket(address->family == 4 ? AF_INET : AF_INET6, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    /* Connections of before that wait for their end keep nobody from the address. */
    if (s->fd < 0 || setsockopt(s->fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one) != 0 ||
        (address->family == 6 && setsockopt(s->fd, IPPROTO_IPV6, IPV6_V6ONLY, &one, sizeof one) != 0) ||
        bind(s->fd, (struct sockaddr *)&name, size) != 0 || listen(s->fd, WAITING_MOST) != 0)
        return -1;
    size = sizeof name;
    if (getsockname(s->fd, (struct sockaddr *)&name, &size) != 0)
        return -1;
    s->bound = neap_sockaddr_parse(&name);
    return watch_socket(s);
}

static int open_sockets(struct listener *listener, neap_address *wanted, size_t count, neap_address *failed)
{
    size_t opened = 0;
    int number = 0;

    for (size_t i = 0; i < count && number == 0; i++) {
        struct listener_socket *s = &listener->sockets[opened];
        if (opened > 0)
            wanted[i].port = listener->sockets[0].bound.port;
        if (open_socket(s, &wanted[i]) == 0) {
            opened++;
            continue;
        }
        number = errno;
        *failed = wanted[i];
        close_socket(s);
        if (count > 1 && neap_family_is_missing(number))
            number = 0;
    }
    if (opened > 0 && number == 0)
        return 0;
    for (size_t i = 0; i < LISTENER_SOCKETS; i++)
        close_socket(&listener->sockets[i]);
    errno = number != 0 ? number : EAFNOSUPPORT;
    return -1;
}

static void complete(struct listener_options *options)
{
    if (options->max_field_section_size == 0)
        options->max_field_section_size = LIMIT_FIELD_SECTION;
    if (options->header_timeout == 0)
        options->header_timeout = LIMIT_LINK_HEADERS;
    if (options->idle_timeout == 0)
        options->idle_timeout = LIMIT_LINK_IDLE;
    if (options->send_timeout == 0)
        options->send_timeout = LIMIT_LINK_IDLE;
    if (options->connections == 0)
        options->connections = LIMIT_LINKS;
}

/* Without sockets. */
static int make(neap_loop *loop, neap_config *config, const struct listener_options *options,
                struct listener **out)
{
    static const char *const protocols[] = {
#ifdef NEAP_HAVE_NGHTTP2
#define HTTP1 1
        "h2",
#else
#define HTTP1 0
#endif
        "http/1.1", NULL};
    struct failure why = {0};
    struct listener *listener = calloc(1, sizeof *listener);

    *out = NULL;
    if (listener == NULL)
        return neap_loop_fail(loop, NEAP_ERR_NO_MEMORY, 0, neap_strerror(NEAP_ERR_NO_MEMORY));
    *listener = (struct listener){.loop = loop,
                                  .config = neap_config_retain(config),
                                  .pool = neap_pool_retain(config->pool),
                                  .accept_at = NEAP_NEVER,
                                  .origins = neap_map_of(neap_random_u64(neap_crypto_random(config->crypto))),
                                  .options = *options};
    complete(&listener->options);
    list_init(&listener->links);
    list_init(&listener->ready);
    list_init(&listener->dirty);
    for (size_t i = 0; i < LISTENER_SOCKETS; i++)
        listener->sockets[i] = (struct listener_socket){.fd = -1, .listener = listener};
    list_append(&loop->listeners, &listener->among);
    if (options->alt_svc != NULL)
        listener->options.alt_svc = strdup(options->alt_svc);
    if (loop->link_buffer == NULL)
        loop->link_buffer = malloc(2 * LIMIT_LINK_BUFFER);
    bool has_memory =
        loop->link_buffer != NULL && (options->alt_svc != NULL) == (listener->options.alt_svc != NULL);
    if (has_memory && !options->is_plain)
        listener->tls = neap_tls_side_new(config, !options->is_client,
                                          options->has_no_http2 ? protocols + HTTP1 : protocols, &why);
    if (has_memory && (options->is_plain || listener->tls != NULL)) {
        loop->link_plain = loop->link_buffer + LIMIT_LINK_BUFFER;
        *out = listener;
        return NEAP_OK;
    }
    neap_listener_free(listener);
    int code = why.code != 0 ? why.code : NEAP_ERR_NO_MEMORY;
    return neap_loop_fail(loop, code, 0,
                          why.reason != NULL && why.reason[0] != '\0' ? why.reason : neap_strerror(code));
}

int neap_listener_new(neap_loop *loop, neap_config *config, const char *address,
                      const struct listener_options *options, struct listener **out)
{
    neap_address wanted[2], failed = {0};
    size_t count = neap_loop_parse_listen(loop, address, wanted);
    int result = count > 0 ? make(loop, config, options, out) : NEAP_ERR_ARGUMENT;
    char text[64] = "";

    if (result != NEAP_OK || open_sockets(*out, wanted, count, &failed) == 0)
        return result;
    int number = errno;
    neap_address_format(&failed, text, sizeof text);
    neap_listener_free(*out);
    *out = NULL;
    return neap_loop_fail(loop, NEAP_ERR_SYSTEM, number, text);
}

int neap_listener_new_client(neap_loop *loop, neap_config *config, const struct listener_options *options,
                             struct listener **out)
{
    struct listener_options own = *options;

    own.is_client = true;
    return make(loop, config, &own, out);
}

/* A socket on its way to a server; -1 and errno. */
static int begin_connecting(const neap_address *address, const char *path, bool *is_connecting)
{
    union {
        struct sockaddr_storage any;
        struct sockaddr_un local;
    } name = {0};
    socklen_t size = sizeof name.local;

    if (address != NULL) {
        size = neap_sockaddr_write(address, &name.any);
    } else {
        name.local.sun_family = AF_UNIX;
        memcpy(name.local.sun_path, path, strlen(path));
    }
    int fd = socket(name.any.ss_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return -1;
    if (address != NULL)
        neap_link_set_up(fd);
    if (connect(fd, (struct sockaddr *)&name, size) == 0)
        return fd;
    /* A call that was interrupted goes on by itself (connect(2)). */
    *is_connecting = errno == EINPROGRESS || errno == EINTR;
    if (*is_connecting)
        return fd;
    int number = errno;
    close(fd);
    errno = number;
    return -1;
}

int neap_listener_connect(struct listener *listener, const neap_address *address, const char *path,
                          const char *name, struct link **out)
{
    static const neap_address nowhere;
    struct failure why = {0};
    bool is_connecting = false;
    char text[sizeof((struct sockaddr_un *)NULL)->sun_path];
    neap_loop *loop = listener->loop;

    *out = NULL;
    if (loop == NULL)
        return NEAP_ERR_CLOSED;
    if (listener->stats.connections >= listener->options.connections)
        return neap_loop_fail(loop, NEAP_ERR_LIMIT, 0, "as many connections as may be are open");
    if (address == NULL && (path[0] == '\0' || strlen(path) >= sizeof text))
        return neap_loop_fail(loop, NEAP_ERR_ARGUMENT, 0, "the path of a Unix socket has 1 to 107 bytes");
    int fd = begin_connecting(address, path, &is_connecting);
    if (fd < 0) {
        int number = errno;
        if (address != NULL)
            neap_address_format(address, text, sizeof text);
        else
            snprintf(text, sizeof text, "%s", path);
        return neap_loop_fail(loop, NEAP_ERR_SYSTEM, number, text);
    }
    *out =
        neap_link_new_client(listener, fd, is_connecting, address != NULL ? address : &nowhere, name, &why);
    return *out != NULL ? NEAP_OK : neap_loop_fail(loop, why.code, 0, why.reason);
}

static int adopt(struct listener_socket *s)
{
    int listens = 0;
    socklen_t size = sizeof listens;

    if (neap_fd_prepare(s->fd, SOCK_STREAM, &s->bound) != 0 ||
        getsockopt(s->fd, SOL_SOCKET, SO_ACCEPTCONN, &listens, &size) != 0)
        return -1;
    errno = EINVAL;
    return listens ? watch_socket(s) : -1;
}

int neap_listener_take(neap_loop *loop, neap_config *config, const int *fds, size_t count,
                       const struct listener_options *options, struct listener **out)
{
    int result = count > 0 && count <= LISTENER_SOCKETS
                     ? make(loop, config, options, out)
                     : neap_loop_fail(loop, NEAP_ERR_ARGUMENT, 0, "one or two descriptors are listened at");

    if (result != NEAP_OK) {
        for (size_t i = 0; i < count; i++)
            close(fds[i]);
        return result;
    }
    for (size_t i = 0; i < count; i++)
        (*out)->sockets[i].fd = fds[i];
    for (size_t i = 0; i < count && result == 0; i++)
        result = adopt(&(*out)->sockets[i]);
    if (result == 0)
        return NEAP_OK;
    int number = errno;
    neap_listener_free(*out);
    *out = NULL;
    return neap_loop_fail(loop, NEAP_ERR_SYSTEM, number, "a descriptor to listen at");
}

void neap_listener_refuse(struct listener *listener)
{
    for (size_t i = 0; i < LISTENER_SOCKETS; i++)
        close_socket(&listener->sockets[i]);
    listener->accept_at = NEAP_NEVER;
}

void neap_listener_free(struct listener *listener)
{
    if (listener == NULL)
        return;
    neap_listener_refuse(listener);
    while (!list_empty(&listener->links))
        neap_link_release(LIST_OWNER(listener->links.next, struct link, among));
    list_remove(&listener->among);
    neap_heap_free(&listener->deadlines, listener->pool);
    neap_map_free(&listener->origins, listener->pool);
    neap_tls_side_free(listener->tls);
    neap_pool_release(listener->pool);
    neap_config_free(listener->config);
    free((char *)(uintptr_t)listener->options.alt_svc);
    free(listener);
}

neap_address neap_listener_address(const struct listener *listener)
{
    return listener->sockets[0].bound;
}

struct link *neap_listener_next(struct listener *listener)
{
    struct list_link *first = list_take_first(&listener->ready);

    return first != NULL ? LIST_OWNER(first, struct link, ready) : NULL;
}

bool neap_listener_is_client(const struct listener *listener)
{
    return listener->options.is_client;
}

void neap_listener_get_stats(const struct listener *listener, struct listener_stats *out)
{
    *out = listener->stats;
    out->timeouts += listener->messages.timeouts;
    out->requests = listener->messages.requests;
    out->malformed = listener->messages.malformed;
    out->too_large = listener->messages.too_large;
    out->glitches = listener->messages.glitches;
    out->resets_received = listener->messages.resets_received;
    out->resets_provoked = listener->messages.resets_provoked;
    out->streams_refused = listener->messages.streams_refused;
    out->overloads = listener->messages.overloads;
    out->waits = listener->messages.waits;
}

/* ---- the loop's */

#define FOR_EACH(listener, loop)                                                                          \
    for (struct list_link *entry_ = (loop)->listeners.next;                                               \
         entry_ != &(loop)->listeners && ((listener) = LIST_OWNER(entry_, struct listener, among), true); \
         entry_ = entry_->next)

neap_time neap_listeners_timeout(const neap_loop *loop)
{
    neap_time first = NEAP_NEVER;
    const struct listener *listener;

    FOR_EACH(listener, loop)
    {
        const struct heap_entry *entry = neap_heap_first(&listener->deadlines);
        neap_time at = entry != NULL ? entry->at : NEAP_NEVER;
        at = listener->accept_at < at ? listener->accept_at : at;
        at = list_empty(&listener->dirty) ? at : 0;
        first = at < first ? at : first;
    }
    return first;
}

bool neap_listeners_have_news(const neap_loop *loop)
{
    const struct listener *listener;

    FOR_EACH(listener, loop)
    {
        if (!list_empty(&listener->ready))
            return true;
    }
    return false;
}

void neap_listeners_turn(neap_loop *loop)
{
    neap_time now = list_empty(&loop->listeners) ? 0 : neap_loop_now();
    struct listener *listener;

    loop->link_handshakes = 0;
    FOR_EACH(listener, loop)
    {
        if (now >= listener->accept_at) {
            listener->accept_at = NEAP_NEVER;
            await_clients(listener, !listener->is_full);
        }
        for (;;) {
            const struct heap_entry *entry = neap_heap_first(&listener->deadlines);
            if (entry == NULL || entry->at > now)
                break;
            struct link *link = LIST_OWNER(entry->node, struct link, timer);
            /* Set anew when it is flushed. */
            neap_heap_remove(&listener->deadlines, listener->pool, &link->timer);
            neap_link_on_timeout(link, now);
        }
    }
}

bool neap_listeners_flush(neap_loop *loop)
{
    neap_time now = list_empty(&loop->listeners) ? 0 : neap_loop_now();
    struct listener *listener;
    bool has_more = false;

    FOR_EACH(listener, loop)
    {
        struct list_link *last = listener->dirty.prev, *link;
        bool is_last = list_empty(&listener->dirty);
        while (!is_last && (link = list_take_first(&listener->dirty)) != NULL) {
            is_last = link == last;
            has_more = neap_link_flush(LIST_OWNER(link, struct link, dirty), now) || has_more;
        }
    }
    return has_more;
}

void neap_listeners_end(neap_loop *loop)
{
    while (!list_empty(&loop->listeners)) {
        struct listener *listener = LIST_OWNER(loop->listeners.next, struct listener, among);
        struct list_link *next;

        neap_listener_refuse(listener);
        for (struct list_link *at = listener->links.next; at != &listener->links; at = next) {
            next = at->next;
            neap_link_break(LIST_OWNER(at, struct link, among));
        }
        list_remove(&listener->among);
        listener->loop = NULL;
    }
    free(loop->link_buffer);
    loop->link_buffer = NULL;
}
