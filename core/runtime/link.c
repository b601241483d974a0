/* One TCP connection: bytes between its socket, TLS and the transport, none of which ever waits. What one has no room for is kept
 * in a block of its size, and nothing more is taken from whoever gave it, so that an idle link has no buffers. */
#include "runtime/link_inner.h"

#include "tcp/http1.h"
#include "tcp/http2.h"

#include <errno.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#define PIECE LIMIT_LINK_BUFFER

static void drop(struct link *link, struct kept *kept)
{
    neap_pool_free(link->listener->pool, kept->bytes, kept->size);
    *kept = (struct kept){0};
}

/* Keep a copy behind what is kept. False without memory: the link is broken then. */
static bool keep(struct link *link, struct kept *kept, const uint8_t *bytes, size_t size)
{
    if (size == 0)
        return true;
    size_t before = kept->size - kept->at;
    uint8_t *room = neap_pool_alloc_unset(link->listener->pool, before + size);
    if (room == NULL) {
        neap_link_break(link);
        return false;
    }
    if (before > 0)
        memcpy(room, kept->bytes + kept->at, before);
    memcpy(room + before, bytes, size);
    drop(link, kept);
    *kept = (struct kept){.bytes = room, .size = before + size};
    return true;
}

static void advance(struct link *link, struct kept *kept, size_t count)
{
    kept->at += count;
    if (kept->at == kept->size)
        drop(link, kept);
}

static void watch(struct link *link)
{
    bool reads =
        !link->is_connecting && !link->input_ended && link->received.size == 0 && link->plain_in.size == 0;
    bool writes = link->is_connecting || link->unsent.size > 0;

    if (link->has_hung && reads)
        neap_link_pump(link);
    if (link->watch == NULL || (reads == link->reads && writes == link->writes))
        return;
    link->reads = reads;
    link->writes = writes;
    neap_watch_for(link->watch, reads, writes);
}

static neap_time deadline_of(const struct link *link)
{
    neap_time at = link->deadline;

    if (link->state == LINK_OPEN && link->transport != NULL) {
        neap_time its = link->transport->ops->deadline(link->transport);
        at = its < at ? its : at;
    }
    if (link->stuck_since != NEAP_NEVER && link->stuck_since + link->listener->options.send_timeout < at)
        at = link->stuck_since + link->listener->options.send_timeout;
    return at;
}

static void set_timer(struct link *link)
{
    struct listener *listener = link->listener;
    neap_time at = deadline_of(link);

    if (at == NEAP_NEVER || link->state == LINK_CLOSED)
        neap_heap_remove(&listener->deadlines, listener->pool, &link->timer);
    else if (neap_heap_set(&listener->deadlines, listener->pool, &link->timer, at) != 0)
        neap_link_break(link); /* one that no timer ends might stay for ever */
}

void neap_link_break(struct link *link)
{
    if (link->state == LINK_CLOSED)
        return;
    link->state = LINK_CLOSED;
    neap_watch_free(link->watch);
    link->watch = NULL;
    close(link->fd);
    link->fd = -1;
    drop(link, &link->received);
    drop(link, &link->plain_in);
    drop(link, &link->plain_out);
    drop(link, &link->unsent);
    list_remove(&link->dirty);
    neap_heap_remove(&link->listener->deadlines, link->listener->pool, &link->timer);
    link_mark_ready(link);
}

static void break_by(struct link *link, int number)
{
    if (link->state != LINK_CLOSED)
        link->error_number = number;
    neap_link_break(link);
}

/* ---- in */

static void make_transport(struct link *link, neap_time now)
{
    const struct listener_options *options = &link->listener->options;
    struct transport_config config = {
        .is_server = !options->is_client,
        .is_secure = link->tls != NULL,
        .max_field_section_size = options->max_field_section_size,
        .header_timeout = options->header_timeout,
        .idle_timeout = options->idle_timeout,
        .stats = &link->listener->messages,
    };

#ifdef NEAP_HAVE_NGHTTP2
    if (link->tls != NULL && strcmp(neap_tls_stream_protocol(link->tls), "h2") == 0)
        link->transport = neap_http2_new(link->listener->pool, &config, now);
    else
#endif
        link->transport = neap_http1_new(link->listener->pool, &config, now);
    link->deadline = NEAP_NEVER;
    if (link->transport == NULL)
        neap_link_break(link);
    link_mark_ready(link);
}

/* Offer bytes to the transport; how many it took. */
static size_t offer(struct link *link, const uint8_t *bytes, size_t size, neap_time now)
{
    if (link->transport == NULL)
        return 0;
    int64_t taken = link->transport->ops->receive(link->transport, bytes, size, now);
    if (taken < 0) /* it is over: what comes is nobody's */
        return size;
    return (size_t)taken;
}

/* Move plaintext from TLS to the transport, as far as it has room. */
static void take_plaintext(struct link *link, uint8_t *buffer, neap_time now)
{
    while (link->state != LINK_CLOSED && link->plain_in.size == 0) {
        if (link->transport == NULL && neap_tls_stream_state(link->tls) == TLS_STREAM_OPEN)
            make_transport(link, now);
        if (link->transport == NULL)
            return;
        size_t size = neap_tls_stream_read(link->tls, buffer, PIECE);
        if (size == 0)
            return;
        size_t taken = offer(link, buffer, size, now);
        keep(link, &link->plain_in, buffer + taken, size - taken);
    }
}

/* Bytes from the socket. What is not taken is the caller's to keep. */
static size_t take(struct link *link, const uint8_t *bytes, size_t size, neap_time now)
{
    size_t taken = 0;

    if (link->state != LINK_OPEN)
        return size;
    if (link->tls == NULL)
        return link->plain_in.size > 0 ? 0 : offer(link, bytes, size, now);
    while (link->state == LINK_OPEN && taken < size && link->plain_in.size == 0) {
        size_t count = neap_tls_stream_receive(link->tls, bytes + taken, size - taken);
        taken += count;
        take_plaintext(link, link->listener->loop->link_plain, now);
        if (count == 0)
            break;
    }
    return taken;
}

/* The end of what the peer sends is told behind the last byte of it. */
static void tell_end(struct link *link, neap_time now)
{
    bool has_ended = link->input_ended;

    if (link->tls != NULL && link->state == LINK_OPEN) {
        enum tls_stream_state state = neap_tls_stream_state(link->tls);
        if (has_ended && link->received.size == 0 && state != TLS_STREAM_ENDED)
            neap_tls_stream_end_of_input(link->tls);
        has_ended = has_ended || state == TLS_STREAM_ENDED || state == TLS_STREAM_FAILED;
    }
    if (!has_ended || link->end_was_told || link->plain_in.size > 0 || link->received.size > 0)
        return;
    link->end_was_told = true;
    if (link->transport != NULL)
        link->transport->ops->end_of_input(link->transport, now);
    link_mark_ready(link);
}

/* Offer again what was kept. */
static void take_kept(struct link *link, neap_time now)
{
    if (link->plain_in.size > 0) {
        size_t taken = offer(link, link->plain_in.bytes + link->plain_in.at,
                             link->plain_in.size - link->plain_in.at, now);
        if (taken > 0)
            link_mark_ready(link);
        advance(link, &link->plain_in, taken);
    }
    if (link->tls != NULL && link->plain_in.size == 0 && link->state == LINK_OPEN) {
        take_plaintext(link, link->listener->loop->link_plain, now);
        if (link->received.size > 0 && link->state == LINK_OPEN) {
            size_t taken = take(link, link->received.bytes + link->received.at,
                                link->received.size - link->received.at, now);
            if (taken > 0)
                link_mark_ready(link);
            if (link->state != LINK_CLOSED)
                advance(link, &link->received, taken);
        }
    }
    if (link->state != LINK_CLOSED)
        tell_end(link, now);
}

/* What the peer still sends while we wait for its end. */
static void linger(struct link *link, size_t size)
{
    link->lingered += size;
    if (link->lingered > LIMIT_LINK_LINGER_BYTES)
        neap_link_break(link);
}

void neap_link_pump(struct link *link)
{
    uint8_t *buffer = link->listener->loop->link_buffer;
    neap_time now = neap_loop_now();

    for (unsigned i = 0; i < LIMIT_LINK_TURN / PIECE && link->state != LINK_CLOSED; i++) {
        if (link->input_ended || link->plain_in.size > 0 || link->received.size > 0)
            break;
        ssize_t got = recv(link->fd, buffer, PIECE, 0);
        if (got < 0 && errno == EINTR)
            continue;
        if (got < 0 && errno != EAGAIN)
            break_by(link, errno);
        if (got < 0)
            break;
        link->input_ended = got == 0;
        if (got == 0)
            break;
        link->listener->stats.bytes_received += (uint64_t)got;
        if (link->state == LINK_OPEN) {
            size_t taken = take(link, buffer, (size_t)got, now);
            struct kept *rest = link->tls != NULL ? &link->received : &link->plain_in;
            if (link->state != LINK_CLOSED)
                keep(link, rest, buffer + taken, (size_t)got - taken);
        } else {
            linger(link, (size_t)got);
        }
        if ((size_t)got < PIECE)
            break;
    }
    if (link->state == LINK_CLOSED)
        return;
    if (link->state == LINK_LINGERING && link->input_ended) {
        neap_link_break(link);
        return;
    }
    tell_end(link, now);
    link_mark_ready(link);
    link_touch(link);
}

/* ---- out */

/* Move bytes of the transport into TLS, as far as it has room. */
static void give_plaintext(struct link *link)
{
    uint8_t *buffer = link->listener->loop->link_plain;

    for (;;) {
        if (link->plain_out.size > 0) {
            size_t taken = neap_tls_stream_write(link->tls, link->plain_out.bytes + link->plain_out.at,
                                                 link->plain_out.size - link->plain_out.at);
            advance(link, &link->plain_out, taken);
            if (link->plain_out.size > 0)
                return;
        }
        size_t room = neap_tls_stream_capacity(link->tls);
        if (room == 0 || link->transport == NULL)
            return;
        size_t size = link->transport->ops->send(link->transport, buffer, room < PIECE ? room : PIECE);
        if (size == 0)
            return;
        size_t taken = neap_tls_stream_write(link->tls, buffer, size);
        if (taken < size) {
            keep(link, &link->plain_out, buffer + taken, size - taken);
            return;
        }
    }
}

/* What goes to the socket next. */
static size_t produce(struct link *link, uint8_t *out)
{
    if (link->tls == NULL)
        return link->transport != NULL ? link->transport->ops->send(link->transport, out, PIECE) : 0;
    give_plaintext(link);
    return link->state != LINK_CLOSED ? neap_tls_stream_send(link->tls, out, PIECE) : 0;
}

/* How many bytes the socket took; less: it is full, or the link broken. */
static size_t send_bytes(struct link *link, const uint8_t *bytes, size_t size, neap_time now)
{
    ssize_t sent;

    do
        sent = send(link->fd, bytes, size, MSG_NOSIGNAL);
    while (sent < 0 && errno == EINTR);
    if (sent < 0 && errno != EAGAIN) {
        break_by(link, errno);
        return 0;
    }
    size_t count = sent > 0 ? (size_t)sent : 0;
    link->listener->stats.bytes_sent += count;
    link->stuck_since =
        count < size ? (count > 0 || link->stuck_since == NEAP_NEVER ? now : link->stuck_since) : NEAP_NEVER;
    return count;
}

/* Send what there is: true when all has left. *budget goes down. */
static bool send_all(struct link *link, int64_t *budget, neap_time now)
{
    uint8_t *buffer = link->listener->loop->link_buffer;

    if (link->unsent.size > 0) {
        size_t size = link->unsent.size - link->unsent.at;
        size_t sent = send_bytes(link, link->unsent.bytes + link->unsent.at, size, now);
        if (link->state == LINK_CLOSED)
            return false;
        advance(link, &link->unsent, sent);
        if (sent < size)
            return false;
    }
    while (*budget > 0) {
        size_t size = produce(link, buffer);
        if (size == 0)
            return link->state != LINK_CLOSED;
        *budget -= (int64_t)size;
        size_t sent = send_bytes(link, buffer, size, now);
        if (link->state == LINK_CLOSED)
            return false;
        if (sent < size) {
            keep(link, &link->unsent, buffer + sent, size - sent);
            return false;
        }
    }
    return false;
}

static bool is_over(const struct link *link)
{
    if (link->state == LINK_ENDING)
        return true;
    if (link->tls != NULL && neap_tls_stream_state(link->tls) == TLS_STREAM_FAILED)
        return true;
    if (link->transport == NULL)
        return link->input_ended;
    return link->transport->ops->is_over(link->transport);
}

/* All of ours has left. A socket that is closed with bytes unread resets the connection, which may take our last words from the
 * peer (RFC 9112 §9.6): it has a moment to close first. */
static void begin_linger(struct link *link, neap_time now)
{
    if (link->state == LINK_LINGERING)
        return;
    if (link->input_ended || (!link->has_shut && shutdown(link->fd, SHUT_WR) != 0)) {
        neap_link_break(link);
        return;
    }
    link->state = LINK_LINGERING;
    link->deadline = now + LIMIT_LINK_LINGER;
    drop(link, &link->received);
    drop(link, &link->plain_in);
    link_mark_ready(link);
}

/* What we send is over while more is received. */
static bool end_sending(struct link *link, int64_t *budget, neap_time now)
{
    const struct transport *transport = link->transport;

    if (link->has_shut || transport == NULL || transport->ops->sends_no_more == NULL ||
        !transport->ops->sends_no_more(transport))
        return true;
    if (link->tls != NULL)
        neap_tls_stream_end_output(link->tls);
    if (!send_all(link, budget, now))
        return false;
    link->has_shut = shutdown(link->fd, SHUT_WR) == 0;
    return true;
}

bool neap_link_flush(struct link *link, neap_time now)
{
    int64_t budget = LIMIT_LINK_TURN;

    if (link->is_connecting && link->state == LINK_ENDING)
        neap_link_break(link);
    if (link->is_connecting) {
        watch(link);
        set_timer(link);
        return false;
    }
    if (link->state == LINK_OPEN)
        take_kept(link, now);
    if (link->state == LINK_CLOSED)
        return false;
    bool has_left = link->state == LINK_LINGERING || send_all(link, &budget, now);
    if (has_left && link->state == LINK_OPEN)
        has_left = end_sending(link, &budget, now);
    if (has_left && link->state != LINK_LINGERING && is_over(link)) {
        if (link->tls != NULL)
            neap_tls_stream_close(link->tls);
        has_left = link->tls == NULL || send_all(link, &budget, now);
        if (has_left)
            begin_linger(link, now);
    }
    if (link->state == LINK_CLOSED)
        return false;
    /* Who waits for room hears of it when there may be some, the others at once. */
    if (link->wants_look && link->unsent.size == 0) {
        link->wants_look = false;
        link_mark_ready(link);
    }
    /* Where something has left there may be room for what was kept. */
    if (link->state == LINK_OPEN && budget < LIMIT_LINK_TURN &&
        (link->plain_in.size > 0 || link->received.size > 0))
        link_touch(link);
    watch(link);
    set_timer(link);
    if (!has_left && link->state != LINK_CLOSED && link->unsent.size == 0)
        link_touch(link);
    return !has_left && link->state != LINK_CLOSED && link->unsent.size == 0;
}

void neap_link_on_timeout(struct link *link, neap_time now)
{
    if (link->stuck_since != NEAP_NEVER && now >= link->stuck_since + link->listener->options.send_timeout) {
        link->listener->stats.timeouts++;
        break_by(link, ETIMEDOUT);
    } else if (now >= link->deadline) { /* of the handshake, or lingering */
        bool is_late = link->state != LINK_LINGERING;
        link->listener->stats.timeouts += is_late;
        break_by(link, is_late ? ETIMEDOUT : 0);
    } else if (link->transport != NULL) {
        link->transport->ops->on_timeout(link->transport, now);
        link_mark_ready(link);
        link_touch(link);
    }
}

/* ---- begin and end */

/* Of those in a handshake few have a turn, lest all else waits for their signatures. The others stay readable. */
static bool has_turn(struct link *link)
{
    bool is_in_handshake = link->state == LINK_OPEN && link->tls != NULL && link->transport == NULL;

    return !is_in_handshake || link->listener->loop->link_handshakes++ < LIMIT_LINK_HANDSHAKES;
}

/* It can be written to: it is connected, or will not be. */
static void finish_connecting(struct link *link)
{
    int number = 0;
    socklen_t size = sizeof number;

    if (getsockopt(link->fd, SOL_SOCKET, SO_ERROR, &number, &size) != 0)
        number = errno;
    if (number != 0) {
        break_by(link, number);
        return;
    }
    link->is_connecting = false;
    if (link->tls == NULL)
        make_transport(link, neap_loop_now());
    link_touch(link);
}

static void on_socket(void *user, unsigned events)
{
    struct link *link = user;

    if (link->is_connecting) {
        finish_connecting(link);
        return;
    }
    /* Both directions are over, or an error: a level that stays would turn for ever. */
    if ((events & (EPOLLERR | EPOLLHUP)) == EPOLLHUP && link->state == LINK_OPEN && !link->input_ended &&
        !link->reads) {
        /* A Unix socket says so although bytes are left, for which there is no room now. */
        link->has_hung = true;
        neap_watch_free(link->watch);
        link->watch = NULL;
        return;
    }
    if ((events & (EPOLLERR | EPOLLHUP)) != 0 && !link->reads) {
        neap_link_break(link);
        return;
    }
    if ((events & (EPOLLIN | EPOLLERR | EPOLLHUP)) != 0 && has_turn(link))
        neap_link_pump(link);
    if ((events & EPOLLOUT) != 0)
        link_touch(link);
}

static struct link *make(struct listener *listener, int fd, bool is_connecting, const neap_address *peer,
                         const char *name, struct failure *why)
{
    struct link *link = neap_pool_alloc_lasting(listener->pool, sizeof *link);
    neap_time now = neap_loop_now();

    if (link == NULL) {
        close(fd);
        return NULL;
    }
    *link = (struct link){.listener = listener,
                          .fd = fd,
                          .is_connecting = is_connecting,
                          .peer = *peer,
                          .deadline = NEAP_NEVER,
                          .stuck_since = NEAP_NEVER};
    list_append(&listener->links, &link->among);
    listener->stats.connections++;
    link->watch = neap_loop_watch(listener->loop, fd, link);
    if (link->watch != NULL)
        neap_watch_call(link->watch, on_socket);
    if (listener->tls != NULL)
        link->tls = neap_tls_stream_new(listener->tls, name, why);
    if (link->watch == NULL || (listener->tls != NULL && link->tls == NULL)) {
        neap_link_break(link);
        neap_link_release(link);
        return NULL;
    }
    if (link->tls == NULL && !is_connecting)
        make_transport(link, now);
    else
        link->deadline = now + listener->options.header_timeout;
    if (link->state == LINK_CLOSED) {
        neap_link_release(link);
        return NULL;
    }
    link_touch(link);
    return link;
}

struct link *neap_link_new(struct listener *listener, int fd, const neap_address *peer)
{
    struct failure why = {0};

    return make(listener, fd, false, peer, NULL, &why);
}

struct link *neap_link_new_client(struct listener *listener, int fd, bool is_connecting,
                                  const neap_address *peer, const char *name, struct failure *why)
{
    struct link *link = make(listener, fd, is_connecting, peer, name, why);

    if (link == NULL)
        neap_fail(why, NEAP_ERR_NO_MEMORY, neap_strerror(NEAP_ERR_NO_MEMORY));
    return link;
}

struct failure neap_link_failure(const struct link *link, int *number)
{
    *number = 0;
    if (link->tls != NULL && neap_tls_stream_state(link->tls) == TLS_STREAM_FAILED &&
        neap_tls_stream_failure(link->tls)->code != NEAP_ERR_CLOSED)
        return *neap_tls_stream_failure(link->tls);
    *number = link->error_number;
    if (link->error_number != 0)
        return (struct failure){.code = NEAP_ERR_SYSTEM, .reason = strerror(link->error_number)};
    return (struct failure){.code = NEAP_ERR_CLOSED, .reason = "the connection was closed"};
}

void neap_link_release(struct link *link)
{
    struct listener *listener = link->listener;

    neap_link_break(link);
    if (link->transport == NULL)
        listener->stats.handshakes_failed++;
    else
        link->transport->ops->free(link->transport);
    neap_tls_stream_free(link->tls);
    list_remove(&link->ready);
    list_remove(&link->among);
    neap_link_origin_leave(listener, link->origin);
    listener->stats.connections--;
    neap_pool_free(listener->pool, link, sizeof *link);
    neap_listener_make_room(listener);
}
