/* neap with sockets: one epoll loop a thread that moves datagrams between UDP sockets and endpoints of neap.h, keeps
 * their timers, and brings signals, resolved names and wake-ups from other threads. Linux. What neap.h says of results,
 * pointers and versions holds here. */
#ifndef NEAP_RUNTIME_H
#define NEAP_RUNTIME_H

#include "neap.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef struct neap_loop neap_loop;

/** CLOCK_MONOTONIC: the `now` of everything that runs in a loop. */
NEAP_API neap_time neap_loop_now(void);

/** A new loop, the caller's, or NULL: errno says why. All calls but
 * neap_loop_wake belong to the thread that made it. */
NEAP_API neap_loop *neap_loop_new(void);
/** Closes its sockets; endpoints are not freed and may be attached to another loop. NULL is fine. In a handler of
 * neap_loop_run it ends that: the rest goes when neap_loop_run returns. */
NEAP_API void neap_loop_free(neap_loop *loop);

/** One line about the last error that a call on this loop returned ("127.0.0.1:443: Address already in use"; "" before
 * the first), good until the next, and the errno of it (0: none). neap_loop_address and neap_udp_* leave none. */
NEAP_API const char *neap_loop_error(const neap_loop *loop);
NEAP_API int neap_loop_errno(const neap_loop *loop);

/** Serve an endpoint at "192.0.2.1:443", "[2001:db8::1]:443", "localhost:443" (both loopback addresses), ":443" or
 * "[::]:443" (IPv4 and IPv6), "0.0.0.0:443" (IPv4). Port 0: any free one. The endpoint stays the caller's, who detaches
 * it before he frees it. 0; NEAP_ERR_ARGUMENT (no such address, the endpoint has sockets already, one of the two is
 * NULL), NEAP_ERR_SYSTEM (the address is in use or not ours, descriptors), NEAP_ERR_NO_MEMORY. */
NEAP_API int neap_loop_listen(neap_loop *loop, neap_endpoint *endpoint, const char *address);
/** Serve an endpoint at UDP sockets that are bound already, one to six: of somebody who has opened them for us (systemd's socket
 * activation), or of a process before. They are the loop's from now on, also where this fails, and closed with the endpoint's. One
 * for both families gives addresses of IPv4 as those of IPv6 ("[::ffff:192.0.2.1]:443"), without ECN for them. As
 * neap_loop_listen; NEAP_ERR_SYSTEM also for what is no UDP socket with a port. */
NEAP_API int neap_loop_listen_fd(neap_loop *loop, neap_endpoint *endpoint, const int *fds, size_t count);
/** Give an endpoint one unconnected socket per address family that the system has, for client connections. As
 * neap_loop_listen: 0; NEAP_ERR_ARGUMENT (it has sockets already, or is NULL), NEAP_ERR_SYSTEM, NEAP_ERR_NO_MEMORY. */
NEAP_API int neap_loop_open(neap_loop *loop, neap_endpoint *endpoint);
/** Serve the endpoint at one more address of this machine, such as the preferred address of its config: with a port, and no
 * wildcard. Nothing is to be done where a socket for all addresses has that port. 0; NEAP_ERR_ARGUMENT, NEAP_ERR_SYSTEM, or
 * NEAP_ERR_LIMIT: an endpoint has six sockets at most. */
NEAP_API int neap_loop_listen_also(neap_loop *loop, neap_endpoint *endpoint, const neap_address *address);

/* Clients that change their address (RFC 9000 §9): sockets beside those of neap_loop_open, bound to one address each. They
 * are closed when no path of the endpoint's connections begins there any more. */

/** neap_conn_migrate from `local` (a port of 0: any), or where that is NULL from the address that the kernel would choose for
 * the peer, by the interface of this name if it is not NULL ("wlan0"; the socket is bound to it where that is allowed). `peer`
 * and `flags` as there. Of several connections that go to one address each goes by the same socket. As neap_conn_migrate;
 * NEAP_ERR_SYSTEM also when there is no route, no such interface or address; NEAP_ERR_LIMIT also for a seventh socket. */
NEAP_API int neap_loop_migrate(neap_loop *loop, neap_endpoint *endpoint, neap_conn *conn,
                               const neap_address *local, const char *interface, const neap_address *peer,
                               unsigned flags);
/** From now on the endpoint's client connections go where the kernel's routes lead, by themselves: when links, addresses or
 * routes change (one rtnetlink socket for the loop), or a datagram finds no way, the kernel is asked a tenth of a second
 * later, and not more often than each second, which address it would choose for each of their peers. Where that is another
 * than the connection's, it is probed and then used; at once where the old one is gone. An interface that has lost its carrier
 * is not chosen while another with a route has one. For connections that were made with the `local` of neap_loop_local: others have no address of their own. 0; NEAP_ERR_ARGUMENT (it has no sockets), NEAP_ERR_SYSTEM. */
NEAP_API int neap_loop_follow_routes(neap_loop *loop, neap_endpoint *endpoint);
/** The `local` for a connection to this peer: neap_loop_address of its family, and with neap_loop_follow_routes a socket at
 * the address that the kernel chooses, which is kept from now on. 0; NEAP_ERR_ARGUMENT, NEAP_ERR_SYSTEM (no route),
 * NEAP_ERR_LIMIT. */
NEAP_API int neap_loop_local(neap_loop *loop, neap_endpoint *endpoint, const neap_address *peer,
                             neap_address *out);
/** Close an endpoint's sockets; call before neap_endpoint_free. Also in a handler of neap_loop_run, which then hears no
 * more of this endpoint's connections. Does nothing for an endpoint that has none, or NULL. */
NEAP_API void neap_loop_detach(neap_loop *loop, neap_endpoint *endpoint);
/** The bound address of an endpoint's socket of this family (4, 6, or 0 for the first): for `local` of
 * neap_endpoint_connect. 0, or NEAP_ERR_ARGUMENT when there is none (`endpoint` NULL too). */
NEAP_API int neap_loop_address(const neap_loop *loop, const neap_endpoint *endpoint, unsigned family,
                               neap_address *out);

/** Wait until there is something to do, at most `timeout` nanoseconds (NEAP_NEVER: no bound), and hand received
 * datagrams to their endpoints. Afterwards: neap_endpoint_next of each endpoint, then neap_loop_flush.
 * 0 or NEAP_ERR_SYSTEM. */
NEAP_API int neap_loop_wait(neap_loop *loop, neap_time timeout);
/** Before it sleeps, neap_loop_wait asks the kernel again and again for up to `duration` nanoseconds, where that may pay: the
 * wait before took less than twice that, and not too many polled in vain (each such doubles the waits that then sleep at
 * once, to 63). 0, the preset: it sleeps at once. What comes meanwhile is answered without a wake-up of the process, at the
 * price of the core until then. On a machine with one processor it does nothing. */
NEAP_API void neap_loop_set_busy_poll(neap_loop *loop, neap_time duration);
/** Run the endpoints' timers that are due and send what they have. What a full socket does not take is kept and goes
 * out first when it has room; the other address family goes on. Each endpoint sends a share in one call, so that
 * receiving has its turn: true when some have more to send at once. Then neap_loop_wait does not wait; before an
 * endpoint is detached for good, call until false. */
NEAP_API bool neap_loop_flush(neap_loop *loop);

/** When neap_loop_flush wants to be called though nothing arrives; NEAP_NEVER when it need not. With neap_loop_fd
 * (readable when neap_loop_wait(loop, 0) has work; the loop's, never closed by others) this puts a loop into
 * another. */
NEAP_API neap_time neap_loop_timeout(const neap_loop *loop);
NEAP_API int neap_loop_fd(const neap_loop *loop);

/** From any thread or a signal handler, while the loop lives: make neap_loop_wait return, or the next one. */
NEAP_API void neap_loop_wake(neap_loop *loop);

/** Take SIGTERM, SIGINT and SIGHUP through a signalfd, until the loop is freed. Takes effect when the loop has a socket or
 * waits: before, there is nothing to end well, and Ctrl-C ends a program that computes. From then on they are blocked in this
 * thread, and in threads and children it starts later. A thread that was started before then, also behind this call, has to
 * block them itself, or one that the kernel gives to it ends the process: start threads behind neap_loop_listen or
 * neap_loop_open. 0 or NEAP_ERR_SYSTEM. */
NEAP_API int neap_loop_catch_signals(neap_loop *loop);
/** The number of the next signal that arrived, 0 when none: of those that a neap_loop_wait has seen, so that without one it
 * is always 0. */
NEAP_API int neap_loop_next_signal(neap_loop *loop);

#define NEAP_RESOLVED_ADDRESSES 8
typedef struct neap_resolved {
    uint64_t id;
    size_t count;                                    /* 0: `error` says why */
    neap_address addresses[NEAP_RESOLVED_ADDRESSES]; /* in the order of RFC 6724 */
    char error[96];
} neap_resolved;

/** Look a name up in a helper thread: an id above 0; NEAP_ERR_LIMIT (32 whose answers were not taken),
 * NEAP_ERR_ARGUMENT (not of 1..253 bytes, or NULL), NEAP_ERR_NO_MEMORY, NEAP_ERR_SYSTEM (no thread). IP addresses are
 * answered without a thread. `port` is put into the addresses. */
NEAP_API int64_t neap_loop_resolve(neap_loop *loop, const char *host, uint16_t port);
/** The next answer: true and *out filled; false when none is there. */
NEAP_API bool neap_loop_resolved(neap_loop *loop, neap_resolved *out);

/* Descriptors of the caller's beside the endpoints: pipes, stream sockets; each once, so that how many the process may have
 * open is the bound. */
typedef struct neap_watch neap_watch;
/** Have the loop know a descriptor, which stays the caller's and open until neap_watch_free; `user` is not NULL and comes
 * back from neap_loop_next_watch. It is waited for nothing yet. NULL with errno. */
NEAP_API neap_watch *neap_loop_watch(neap_loop *loop, int fd, void *user);
/** Wait once until it can be read or written (as it is told; also when it has failed), in place of what was waited for. */
NEAP_API void neap_watch_for(neap_watch *watch, bool readable, bool writable);
/** Before the descriptor is closed; it may be later than the loop is freed. NULL is fine. */
NEAP_API void neap_watch_free(neap_watch *watch);
/** The `user` of the next that is ready, after neap_loop_wait; NULL when none is. While one is not taken the loop does not
 * sleep. */
NEAP_API void *neap_loop_next_watch(neap_loop *loop);

typedef struct neap_loop_stats {
    uint64_t turns, receive_calls, send_calls, messages_received, messages_sent, bytes_received, bytes_sent,
        send_errors, receive_errors;
    bool segmentation; /* the kernel knows trains (UDP_SEGMENT): a destination may refuse them */
    uint64_t polls;    /* of busy polling, that found nothing */
    /* Of neap_loop_follow_routes: how often the kernel was asked for its routes because something changed; connections that
     * went elsewhere for that; those that could not. */
    uint64_t network_changes, migrations, migration_errors;
} neap_loop_stats;
/** The counters so far, into `size` bytes at `out` (sizeof *out). */
NEAP_API void neap_loop_get_stats(const neap_loop *loop, neap_loop_stats *out, size_t size);

/** What neap_loop_run calls; members may be NULL. */
typedef struct neap_loop_handler {
    /* For each connection that neap_endpoint_next gives; release it when it is closed. */
    void (*on_connection)(void *context, neap_endpoint *endpoint, neap_conn *conn);
    void (*on_resolved)(void *context, const neap_resolved *resolved); /* good during the call */
    void (*on_signal)(void *context, int signal_number);
    /* At the end of each turn, before sending: returns how many nanoseconds the next wait may take at most, NEAP_NEVER:
     * no bound. */
    neap_time (*on_turn)(void *context, neap_time now);
    void *context;
} neap_loop_handler;

/** Turn until neap_loop_stop: wait, call the handler (kept during the call), flush; at the end until nothing is left to
 * send now. Not from a handler. 0 or NEAP_ERR_SYSTEM. */
NEAP_API int neap_loop_run(neap_loop *loop, const neap_loop_handler *handler);
/** End neap_loop_run after this turn: from a handler; a run that begins later does not know of it. */
NEAP_API void neap_loop_stop(neap_loop *loop);

/** A bound, non-blocking UDP socket for callers with a loop of their own: "[::1]:0" and the like; the kernel neither
 * fragments nor learns a path MTU (RFC 9000 §14). The descriptor, the caller's to close, and its address in *bound
 * (which may be NULL); NEAP_ERR_ARGUMENT (no such address, or NULL), NEAP_ERR_SYSTEM with errno. */
NEAP_API int neap_udp_bind(const char *address, neap_address *bound);
/** One datagram: its size, cut to `size`, which may be 0; NEAP_ERR_AGAIN, or NEAP_ERR_SYSTEM with errno. `local` is the
 * bound address and becomes info->to. */
NEAP_API int64_t neap_udp_recv(int fd, const neap_address *local, uint8_t *out, size_t size,
                               neap_recv_info *info);
/** Sends one datagram to info->to with info->ecn; the other members are not read. The size, NEAP_ERR_AGAIN, or
 * NEAP_ERR_SYSTEM with errno (a message that is too large, or what ICMP told of an earlier one, too: go on). */
NEAP_API int64_t neap_udp_send(int fd, const uint8_t *bytes, size_t size, const neap_send_info *info);

#ifdef __cplusplus
}
#endif

#endif
