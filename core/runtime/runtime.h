/* What the files of the loop share. An attachment is an endpoint with its sockets in a loop. */
#ifndef NEAP_RUNTIME_RUNTIME_H
#define NEAP_RUNTIME_RUNTIME_H

#include "base/limits.h"
#include "base/list.h"
#include "neap_runtime.h"

#include <ifaddrs.h>
#include <signal.h>
#include <sys/socket.h>

#define ATTACHMENT_SOCKETS 6 /* one a family, and more where connections or servers have several addresses */

struct resolver;
struct receive_batch;
struct send_batch;

/* What neap_endpoint_send gave and has not left yet: datagrams of one size, the last perhaps shorter. */
struct train {
    const uint8_t *bytes;
    size_t size, segment_size;
    neap_address from, to;
    neap_time at;
    uint8_t ecn;
    bool is_split;   /* goes datagram by datagram: trains to there are refused … */
    bool is_refused; /* … as this one was just now, … */
    bool was_shared; /* … in one message with others */
    neap_cid sender;
};

/* watch.c: a descriptor beside those of the endpoints. */
struct neap_watch {
    struct list_link ready; /* on loop->ready_watches */
    struct list_link all;   /* on loop->watches */
    neap_loop *loop;        /* NULL: it is freed */
    int fd;
    void *user;
    void (*call)(void *user, unsigned events); /* NULL: the application's */
};

struct udp_socket {
    int fd; /* -1: none */
    neap_address bound;
    bool wildcard;      /* bound to all addresses: packet info says and chooses which */
    bool segmentation;  /* the kernel knows UDP_SEGMENT */
    bool keeps_apart;   /* what shared a message was refused, and then taken one by one: no device for that */
    bool full;          /* took no more: wait until it is writable */
    bool is_extra;      /* roam.c: goes when no path begins there, unless it */
    bool serves;        /* is another address of a server's */
    unsigned interface; /* that it is bound to; 0: none */
    struct attachment *attachment;
    /* Kept for later, in one block with their bytes: the socket was full, or they are not to be sent before their time.
     * While there are any, the endpoint is not asked for more of this address family. */
    struct train *kept;
    size_t kept_count, kept_at;
};

struct attachment {
    struct attachment *next;
    neap_endpoint *endpoint;
    bool follows; /* the kernel's routes */
    struct udp_socket sockets[ATTACHMENT_SOCKETS];
};

struct neap_loop {
    int epoll_fd, wake_fd, signal_fd;
    int watches_fd; /* epoll of the application's descriptors; -1: it has none */
    struct list_link watches, ready_watches;
    struct list_link listeners;        /* link.h */
    unsigned link_handshakes;          /* that went on in this turn */
    uint8_t *link_buffer, *link_plain; /* scratch of all links: what a call moves; NULL without listeners */
    int network_fd;                    /* rtnetlink; -1: nobody follows */
    neap_time network_at,
        network_asked;  /* when the kernel is asked for its routes (NEAP_NEVER: not), and was; 0: never */
    neap_time sweep_at; /* when sockets that are not used any more are looked for */
    bool running, stopped, is_freed, no_epoll_pwait2, wants_signals;
    neap_time busy_poll, last_wait; /* what a wait may poll for; how long the last one took */
    unsigned polls_missed,
        polls_to_skip; /* waits in a row that polled in vain; so many do not, because of them */
    bool has_signal;   /* signal_fd was readable: it is asked only then, not every turn */
    struct attachment *attachments;
    struct attachment *visited, *next_visited; /* by the walk that calls handlers, which may detach any */
    struct receive_batch *receive;
    struct send_batch *send;
    struct resolver *resolver;
    sigset_t signals_before;
    neap_loop_stats stats;
    int error_number;
    char error_text[160];
};

/** Remember what failed and its errno for neap_loop_error. Returns `code`. */
int neap_loop_fail(neap_loop *loop, int code, int error_number, const char *what);

/** Have the signalfd that was asked for. 0 or NEAP_ERR_SYSTEM. */
int neap_loop_take_signals(neap_loop *loop);

/** A bound UDP socket set up as the loop wants it, but for neap_udp_want_errors, or -1 and errno. `out->bound` has the
 * port that was given. */
int neap_udp_open(const neap_address *address, bool packet_info, struct udp_socket *out);

/** The same of a socket that somebody else has bound. -1 and errno: it is no UDP socket with an address. */
int neap_udp_adopt(int fd, struct udp_socket *out);
/** A socket of somebody else's becomes as ours are: its address in *bound, or -1 and errno when it is of another kind. */
int neap_fd_prepare(int fd, int kind, neap_address *bound);

/** From now on ICMP messages wait for neap_udp_read_errors, and make other calls fail once. */
void neap_udp_want_errors(const struct udp_socket *udp);

/** The same bound to an interface as well, if there is one and that is allowed. */
int neap_udp_open_at(const neap_address *address, const char *interface, bool packet_info,
                     struct udp_socket *out);

/** From now on `call` is told of what it is waited for (events of epoll), each time: it stays waited for. */
void neap_watch_call(neap_watch *watch, void (*call)(void *user, unsigned events));

/** The addresses of a text that neap_loop_listen takes: how many, or 0 and the loop's error. */
size_t neap_loop_parse_listen(neap_loop *loop, const char *text, neap_address out[2]);
/** Whether an errno of making a socket says that the system has no such addresses. */
bool neap_family_is_missing(int number);

/** The attachment of an endpoint, or NULL. */
struct attachment *neap_loop_find(const neap_loop *loop, const neap_endpoint *endpoint);

/* --- roam.c */

/** From which address the kernel would send to `peer` now, by this interface (NULL: any); *out has port 0. 0, or
 * NEAP_ERR_SYSTEM with errno: there is no way. */
int neap_udp_route(const neap_address *peer, const char *interface, neap_address *out);
/** Whether the interface with this address, of `all` that there are, has lost its carrier: routes by it stay, unless who manages it takes
 * them away. */
bool neap_udp_has_lost_carrier(const struct ifaddrs *all, const neap_address *local);
/** The first interface with carrier by which there is a route to `peer`, and the address there, with port 0. */
bool neap_udp_route_around(const struct ifaddrs *all, const neap_address *peer, neap_address *out,
                           unsigned *interface);
/** Whether the kernel would send to `peer` from there. */
bool neap_udp_is_usable(const struct udp_socket *udp, const neap_address *peer);
struct udp_socket *neap_loop_socket_at(struct attachment *attachment, const neap_address *bound);
/** Close extra sockets that are not used any more. */
void neap_loop_sweep(neap_loop *loop);

/* --- network.c */

/** Something is different: the kernel is asked for its routes, soon. */
void neap_network_changed(neap_loop *loop);
/** Ask it if it is time, and have connections follow. */
void neap_network_turn(neap_loop *loop);

/** The loop ends: watches that are left belong to none. */
void neap_watches_end(neap_loop *loop);
/** Note which of the application's descriptors are ready. */
void neap_watches_take(neap_loop *loop);

struct receive_batch *neap_receive_batch_new(void);
/** Take what waits at this socket, within the bounds of a turn, into its endpoint. */
void neap_udp_receive(neap_loop *loop, struct udp_socket *udp);
/** Address, ECN, segment size and destination of one received message. */
void neap_udp_read_message(struct msghdr *message, const neap_address *bound, neap_udp_datagram *out);

/** Take what the kernel tells of datagrams that did not get through, within a bound; PTB messages go to the endpoint.
 * Returns what a link of ours takes of a UDP payload when it is told so, else 0. */
size_t neap_udp_read_errors(struct udp_socket *udp);

struct send_batch *neap_send_batch_new(void);
/** Send what was kept, then what the endpoint has, until it has nothing, its sockets are full, or its share of this turn
 * is used up: true then. */
bool neap_udp_flush(neap_loop *loop, struct attachment *attachment);
/** Have the loop told when the socket is writable, or not any more. */
void neap_loop_watch_writable(neap_loop *loop, struct udp_socket *udp, bool writable);
void neap_udp_drop_kept(struct udp_socket *udp);
/** Afterwards: its endpoint may be asked for this family again. */
void neap_udp_release_family(const struct udp_socket *udp);
/** Put address, source and ECN of one datagram (or train, segment_size > 0) into `message`. */
void neap_udp_write_message(struct msghdr *message, const struct train *train, bool choose_source,
                            size_t segment_size);
/** Room for what neap_udp_write_message puts into msg_control and msg_name. */
#define UDP_CONTROL_SIZE 128

/** NULL without memory or descriptors. `wake_fd` is written when an answer is ready. */
struct resolver *neap_resolver_new(int wake_fd);
/** Threads that still run free what is theirs when they end. */
void neap_resolver_free(struct resolver *resolver);
bool neap_resolver_has_answer(struct resolver *resolver);

#endif
