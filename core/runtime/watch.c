/* Descriptors of the caller's in the loop: pipes and stream sockets beside the endpoints. */
#include "runtime/runtime.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <unistd.h>

/* They have an epoll descriptor of their own, so that datagrams are not slower for them. */
static int open_watches(neap_loop *loop)
{
    struct epoll_event event = {.events = EPOLLIN, .data.ptr = &loop->watches_fd};

    if (loop->watches_fd >= 0)
        return 0;
    loop->watches_fd = epoll_create1(EPOLL_CLOEXEC);
    if (loop->watches_fd < 0)
        return -1;
    if (epoll_ctl(loop->epoll_fd, EPOLL_CTL_ADD, loop->watches_fd, &event) == 0)
        return 0;
    int number = errno;
    close(loop->watches_fd);
    loop->watches_fd = -1;
    errno = number;
    return -1;
}

neap_watch *neap_loop_watch(neap_loop *loop, int fd, void *user)
{
    struct epoll_event event = {.events = EPOLLONESHOT};

    neap_watch *watch = open_watches(loop) == 0 ? calloc(1, sizeof *watch) : NULL;
    if (watch == NULL)
        return NULL;
    *watch = (neap_watch){.loop = loop, .fd = fd, .user = user};
    event.data.ptr = watch;
    if (epoll_ctl(loop->watches_fd, EPOLL_CTL_ADD, fd, &event) != 0) {
        int number = errno;
        free(watch);
        errno = number;
        return NULL;
    }
    list_append(&loop->watches, &watch->all);
    return watch;
}

void neap_watch_for(neap_watch *watch, bool readable, bool writable)
{
    struct epoll_event event = {.events = watch->call == NULL ? EPOLLONESHOT : 0, .data.ptr = watch};

    if (readable)
        event.events |= EPOLLIN;
    if (writable)
        event.events |= EPOLLOUT;
    if (watch->loop != NULL)
        epoll_ctl(watch->loop->watches_fd, EPOLL_CTL_MOD, watch->fd, &event);
}

void neap_watch_call(neap_watch *watch, void (*call)(void *user, unsigned events))
{
    watch->call = call;
}

void neap_watch_free(neap_watch *watch)
{
    if (watch == NULL)
        return;
    list_remove(&watch->ready);
    list_remove(&watch->all);
    if (watch->loop != NULL)
        epoll_ctl(watch->loop->watches_fd, EPOLL_CTL_DEL, watch->fd, NULL);
    free(watch);
}

void neap_watches_end(neap_loop *loop)
{
    struct list_link *link;

    while ((link = list_take_first(&loop->watches)) != NULL) {
        neap_watch *watch = LIST_OWNER(link, neap_watch, all);

        list_remove(&watch->ready);
        watch->loop = NULL;
    }
    if (loop->watches_fd >= 0)
        close(loop->watches_fd);
}

void neap_watches_take(neap_loop *loop)
{
    struct epoll_event events[LIMIT_LOOP_EVENTS];
    int count = epoll_wait(loop->watches_fd, events, LIMIT_LOOP_EVENTS, 0);

    for (int i = 0; i < count; i++) {
        neap_watch *watch = events[i].data.ptr;

        if (watch->call != NULL)
            watch->call(watch->user, events[i].events);
        else if (!list_linked(&watch->ready))
            list_append(&loop->ready_watches, &watch->ready);
    }
}

void *neap_loop_next_watch(neap_loop *loop)
{
    struct list_link *first = list_take_first(&loop->ready_watches);

    return first != NULL ? LIST_OWNER(first, neap_watch, ready)->user : NULL;
}
