/* SIGTERM, SIGINT and SIGHUP as data: a signalfd in the loop's epoll set. */
#include "runtime/runtime.h"

#include <errno.h>
#include <sys/epoll.h>
#include <sys/signalfd.h>
#include <unistd.h>

int neap_loop_take_signals(neap_loop *loop)
{
    sigset_t wanted;
    struct epoll_event event = {.events = EPOLLIN, .data.ptr = &loop->signal_fd};

    if (!loop->wants_signals || loop->signal_fd >= 0)
        return NEAP_OK;
    sigemptyset(&wanted);
    sigaddset(&wanted, SIGTERM);
    sigaddset(&wanted, SIGINT);
    sigaddset(&wanted, SIGHUP);
    int fd = signalfd(-1, &wanted, SFD_CLOEXEC | SFD_NONBLOCK);
    if (fd < 0)
        return neap_loop_fail(loop, NEAP_ERR_SYSTEM, errno, "signalfd");
    if (epoll_ctl(loop->epoll_fd, EPOLL_CTL_ADD, fd, &event) != 0) {
        int number = errno;
        close(fd);
        return neap_loop_fail(loop, NEAP_ERR_SYSTEM, number, "epoll_ctl");
    }
    pthread_sigmask(SIG_BLOCK, &wanted, &loop->signals_before);
    loop->signal_fd = fd;
    return NEAP_OK;
}

int neap_loop_catch_signals(neap_loop *loop)
{
    loop->wants_signals = true;
    return loop->attachments != NULL || loop->stats.turns > 0 ? neap_loop_take_signals(loop) : NEAP_OK;
}

int neap_loop_next_signal(neap_loop *loop)
{
    struct signalfd_siginfo info;

    if (!loop->has_signal)
        return 0;
    loop->has_signal = read(loop->signal_fd, &info, sizeof info) == (ssize_t)sizeof info;
    return loop->has_signal ? (int)info.ssi_signo : 0;
}
