/* The loop: one epoll_wait a turn, timers as its timeout, and neap_loop_run for C programs. */
#include "runtime/runtime.h"

#include "base/fill.h"
#include "runtime/link.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

neap_time neap_loop_now(void)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return (neap_time)now.tv_sec * NEAP_SECOND + (neap_time)now.tv_nsec;
}

int neap_loop_fail(neap_loop *loop, int code, int error_number, const char *what)
{
    loop->error_number = error_number;
    if (error_number != 0)
        snprintf(loop->error_text, sizeof loop->error_text, "%.90s: %s", what, strerror(error_number));
    else
        snprintf(loop->error_text, sizeof loop->error_text, "%s", what);
    return code;
}

static int watch(neap_loop *loop, int *fd)
{
    struct epoll_event event = {.events = EPOLLIN, .data.ptr = fd};

    return epoll_ctl(loop->epoll_fd, EPOLL_CTL_ADD, *fd, &event);
}

neap_loop *neap_loop_new(void)
{
    neap_loop *loop = calloc(1, sizeof *loop);

    if (loop == NULL)
        return NULL;
    loop->signal_fd = loop->watches_fd = loop->network_fd = -1;
    loop->network_at = loop->sweep_at = NEAP_NEVER;
    list_init(&loop->watches);
    list_init(&loop->ready_watches);
    list_init(&loop->listeners);
    loop->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
    loop->wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    loop->receive = neap_receive_batch_new();
    loop->send = neap_send_batch_new();
    loop->resolver = neap_resolver_new(loop->wake_fd);
    if (loop->epoll_fd >= 0 && loop->wake_fd >= 0 && loop->receive != NULL && loop->send != NULL &&
        loop->resolver != NULL && watch(loop, &loop->wake_fd) == 0)
        return loop;
    int number = errno;
    neap_loop_free(loop);
    errno = number;
    return NULL;
}

void neap_loop_free(neap_loop *loop)
{
    if (loop == NULL)
        return;
    while (loop->attachments != NULL)
        neap_loop_detach(loop, loop->attachments->endpoint);
    if (loop->running) { /* by a handler of its own: neap_loop_run sees to the rest */
        loop->is_freed = loop->stopped = true;
        return;
    }
    if (loop->resolver != NULL)
        neap_resolver_free(loop->resolver);
    if (loop->signal_fd >= 0) {
        close(loop->signal_fd);
        pthread_sigmask(SIG_SETMASK, &loop->signals_before, NULL);
    }
    neap_listeners_end(loop);
    neap_watches_end(loop);
    if (loop->network_fd >= 0)
        close(loop->network_fd);
    if (loop->wake_fd >= 0)
        close(loop->wake_fd);
    if (loop->epoll_fd >= 0)
        close(loop->epoll_fd);
    free(loop->receive);
    free(loop->send);
    free(loop);
}

const char *neap_loop_error(const neap_loop *loop)
{
    return loop->error_text;
}

int neap_loop_errno(const neap_loop *loop)
{
    return loop->error_number;
}

int neap_loop_fd(const neap_loop *loop)
{
    return loop->epoll_fd;
}

void neap_loop_get_stats(const neap_loop *loop, neap_loop_stats *out, size_t size)
{
    neap_loop_stats known = loop->stats;

    known.segmentation = true;
    for (const struct attachment *a = loop->attachments; a != NULL; a = a->next) {
        for (size_t i = 0; i < ATTACHMENT_SOCKETS; i++)
            known.segmentation = known.segmentation && (a->sockets[i].fd < 0 || a->sockets[i].segmentation);
    }
    fill_sized(out, size, &known, sizeof known);
}

void neap_loop_wake(neap_loop *loop)
{
    uint64_t one = 1;
    int number = errno;

    /* A full counter means that it is readable already. */
    if (write(loop->wake_fd, &one, sizeof one) < 0)
        errno = number;
}

neap_time neap_loop_timeout(const neap_loop *loop)
{
    neap_time first = loop->network_at < loop->sweep_at ? loop->network_at : loop->sweep_at;
    neap_time links_at = neap_listeners_timeout(loop);

    first = links_at < first ? links_at : first;
    for (const struct attachment *a = loop->attachments; a != NULL; a = a->next) {
        neap_time at;
        at = neap_endpoint_timeout(a->endpoint);
        first = at < first ? at : first;
        for (size_t i = 0; i < ATTACHMENT_SOCKETS; i++) {
            const struct udp_socket *udp = &a->sockets[i];
            if (udp->full || udp->kept == NULL)
                continue; /* EPOLLOUT comes first, or nothing is kept */
            at = udp->kept[udp->kept_at].at;
            first = at < first ? at : first;
        }
    }
    return first;
}

/* epoll_pwait2 (Linux 5.11) takes nanoseconds: pacing and short loss timers need them. Before it, milliseconds
 * rounded up, so that a timer is never early and nothing spins. */
static int wait_events(neap_loop *loop, struct epoll_event *events, neap_time timeout)
{
#ifdef SYS_epoll_pwait2
    /* The kernel's own layout on every architecture. */
    struct {
        int64_t seconds, nanoseconds;
    } time = {(int64_t)(timeout / NEAP_SECOND), (int64_t)(timeout % NEAP_SECOND)};

    if (!loop->no_epoll_pwait2) {
        long count = syscall(SYS_epoll_pwait2, loop->epoll_fd, events, (long)LIMIT_LOOP_EVENTS,
                             timeout == NEAP_NEVER ? NULL : &time, NULL, (size_t)0);
        if (count >= 0 || errno != ENOSYS)
            return (int)count;
        loop->no_epoll_pwait2 = true;
    }
#endif
    int milliseconds = -1;
    if (timeout < (neap_time)INT32_MAX * NEAP_MILLISECOND)
        milliseconds = (int)((timeout + NEAP_MILLISECOND - 1) / NEAP_MILLISECOND);
    return epoll_wait(loop->epoll_fd, events, LIMIT_LOOP_EVENTS, milliseconds);
}

void neap_loop_set_busy_poll(neap_loop *loop, neap_time duration)
{
    /* Where there is one processor, who would answer cannot run meanwhile. */
    loop->busy_poll = sysconf(_SC_NPROCESSORS_ONLN) > 1 ? duration : 0;
    loop->last_wait = NEAP_NEVER;
    loop->polls_missed = loop->polls_to_skip = 0;
}

/* A wait that was short, also one that slept, says that the next may be. */
static bool may_poll(neap_loop *loop)
{
    if (loop->last_wait / 2 >= loop->busy_poll)
        return false;
    if (loop->polls_to_skip == 0)
        return true;
    loop->polls_to_skip--;
    return false;
}

static void note_miss(neap_loop *loop)
{
    if (loop->polls_missed < LIMIT_LOOP_POLLS_SKIPPED)
        loop->polls_missed = 2 * loop->polls_missed + 1;
    loop->polls_to_skip = loop->polls_missed;
}

/* The answer to what was sent may come sooner than a process that sleeps is woken. */
static int poll_events(neap_loop *loop, struct epoll_event *events, neap_time timeout)
{
    neap_time begin = neap_loop_now(), passed = 0;
    neap_time most = timeout < loop->busy_poll ? timeout : loop->busy_poll;

    while (passed < most) {
        int count = wait_events(loop, events, 0);
        if (count > 0)
            loop->polls_missed = 0;
        if (count != 0)
            return count;
        loop->stats.polls++;
        passed = neap_loop_now() - begin;
    }
    if (most == loop->busy_poll)
        note_miss(loop);
    if (timeout != NEAP_NEVER)
        timeout = passed < timeout ? timeout - passed : 0;
    return wait_events(loop, events, timeout);
}

static int wait_or_poll(neap_loop *loop, struct epoll_event *events, neap_time timeout)
{
    if (loop->busy_poll == 0)
        return wait_events(loop, events, timeout);
    neap_time begin = neap_loop_now();
    int count = timeout > 0 && may_poll(loop) ? poll_events(loop, events, timeout)
                                              : wait_events(loop, events, timeout);
    loop->last_wait = neap_loop_now() - begin;
    return count;
}

void neap_loop_watch_writable(neap_loop *loop, struct udp_socket *udp, bool writable)
{
    struct epoll_event event = {.events = writable ? EPOLLIN | EPOLLOUT : EPOLLIN, .data.ptr = udp};

    epoll_ctl(loop->epoll_fd, EPOLL_CTL_MOD, udp->fd, &event);
}

static void handle_event(neap_loop *loop, const struct epoll_event *event)
{
    if (event->data.ptr == &loop->wake_fd) {
        uint64_t count;
        if (read(loop->wake_fd, &count, sizeof count) < 0)
            return;
    } else if (event->data.ptr == &loop->signal_fd) {
        loop->has_signal = true; /* it stays until it is asked for */
    } else if (event->data.ptr == &loop->network_fd) {
        neap_network_changed(loop);
    } else if (event->data.ptr == &loop->watches_fd) {
        neap_watches_take(loop);
    } else {
        struct udp_socket *udp = event->data.ptr;
        if ((event->events & EPOLLOUT) != 0) {
            udp->full = false;
            neap_loop_watch_writable(loop, udp, false);
        }
        if ((event->events & EPOLLERR) != 0)
            neap_udp_read_errors(udp);
        if ((event->events & (EPOLLIN | EPOLLERR)) != 0)
            neap_udp_receive(loop, udp);
    }
}

int neap_loop_wait(neap_loop *loop, neap_time timeout)
{
    struct epoll_event events[LIMIT_LOOP_EVENTS];
    neap_time first = neap_loop_timeout(loop);

    if (neap_loop_take_signals(loop) != NEAP_OK)
        return NEAP_ERR_SYSTEM;
    if (neap_resolver_has_answer(loop->resolver))
        timeout = 0;
    if (timeout > 0 && first != NEAP_NEVER) {
        neap_time now = neap_loop_now();
        neap_time until = first > now ? first - now : 0;
        timeout = until < timeout ? until : timeout;
    }
    if (!list_empty(&loop->ready_watches) || neap_listeners_have_news(loop))
        timeout = 0;
    loop->stats.turns++;
    int count = wait_or_poll(loop, events, timeout);
    if (count < 0)
        return errno == EINTR ? NEAP_OK : neap_loop_fail(loop, NEAP_ERR_SYSTEM, errno, "epoll_wait");
    for (int i = 0; i < count; i++)
        handle_event(loop, &events[i]);
    neap_listeners_turn(loop);
    return NEAP_OK;
}

bool neap_loop_flush(neap_loop *loop)
{
    bool has_more = false;

    if (loop->network_at != NEAP_NEVER)
        neap_network_turn(loop);
    if (loop->sweep_at != NEAP_NEVER && neap_loop_now() >= loop->sweep_at)
        neap_loop_sweep(loop);
    for (struct attachment *a = loop->attachments; a != NULL; a = a->next)
        has_more = neap_udp_flush(loop, a) || has_more;
    return neap_listeners_flush(loop) || has_more;
}

/* A handler may detach this endpoint or any other, and free them: neap_loop_detach moves the two marks. */
static void call_on_connection(neap_loop *loop, const neap_loop_handler *handler)
{
    loop->next_visited = loop->attachments;
    while ((loop->visited = loop->next_visited) != NULL) {
        neap_conn *conn;
        loop->next_visited = loop->visited->next;
        while (loop->visited != NULL && (conn = neap_endpoint_next(loop->visited->endpoint)) != NULL) {
            if (handler->on_connection != NULL)
                handler->on_connection(handler->context, loop->visited->endpoint, conn);
        }
    }
}

static void call_handler(neap_loop *loop, const neap_loop_handler *handler)
{
    neap_resolved resolved;
    int number;

    while ((number = neap_loop_next_signal(loop)) != 0) {
        if (handler->on_signal != NULL)
            handler->on_signal(handler->context, number);
    }
    while (neap_loop_resolved(loop, &resolved)) {
        if (handler->on_resolved != NULL)
            handler->on_resolved(handler->context, &resolved);
    }
    call_on_connection(loop, handler);
}

static int run(neap_loop *loop, const neap_loop_handler *handler)
{
    neap_time timeout = 0;

    while (!loop->stopped) {
        int result = neap_loop_wait(loop, timeout);
        if (result != NEAP_OK)
            return result;
        call_handler(loop, handler);
        timeout = handler->on_turn != NULL ? handler->on_turn(handler->context, neap_loop_now()) : NEAP_NEVER;
        neap_loop_flush(loop);
    }
    /* What a turn had no room for, so that the last words are said. */
    while (neap_loop_flush(loop)) {
    }
    return NEAP_OK;
}

int neap_loop_run(neap_loop *loop, const neap_loop_handler *handler)
{
    loop->running = true;
    loop->stopped = false;
    int result = run(loop, handler);
    loop->running = false;
    if (loop->is_freed)
        neap_loop_free(loop);
    return result;
}

void neap_loop_stop(neap_loop *loop)
{
    loop->stopped = true;
}
