/* What the files of links share. */
#ifndef NEAP_RUNTIME_LINK_INNER_H
#define NEAP_RUNTIME_LINK_INNER_H

#include "base/heap.h"
#include "base/map.h"
#include "base/pool.h"
#include "runtime/link.h"
#include "runtime/runtime.h"
#include "tcp/tls.h"

#define LISTENER_SOCKETS 2 /* one a family */

struct listener_socket {
    int fd; /* -1: none */
    neap_watch *watch;
    neap_address bound;
    struct listener *listener;
};

struct listener {
    struct list_link among;          /* of loop->listeners */
    neap_loop *loop;                 /* NULL: it has ended */
    neap_config *config;             /* with a reference */
    struct pool *pool;               /* the config's */
    struct tls_side *tls;            /* NULL: plain */
    struct listener_options options; /* complete; alt_svc is its own */
    struct list_link links, ready,
        dirty; /* all; those with something new; those with something to do before the loop waits */
    struct heap deadlines; /* of links */
    struct map origins;    /* how many links a network has */
    neap_time accept_at;   /* when it tries again, after descriptors were short; NEAP_NEVER: it need not */
    bool is_full;          /* as many links as may be */
    struct listener_socket sockets[LISTENER_SOCKETS];
    struct listener_stats stats;
    struct transport_stats messages;
};

struct link_origin {
    struct map_node node; /* first; under the network */
    uint64_t links;
};

/* Bytes that had no room where they were to go, in the order of their coming. */
struct kept {
    uint8_t *bytes;
    size_t at, size;
};

enum link_state {
    LINK_OPEN,
    LINK_ENDING, /* what there is to send leaves, nothing is received for the application */
    LINK_LINGERING, /* all has left and we said so: what the peer still sends is dropped, lest it loses our last words */
    LINK_CLOSED
};

struct link {
    struct list_link among, ready, dirty; /* of its listener's lists */
    struct heap_node timer;
    struct listener *listener;
    struct link_origin *origin; /* NULL: not counted */
    int fd;                     /* -1: closed */
    neap_watch *watch;
    struct tls_stream *tls;      /* NULL: plain */
    struct transport *transport; /* NULL: not chosen yet */
    struct kept received;        /* from the socket, that TLS had no room for */
    struct kept plain_in;        /* that the transport had no room for */
    struct kept plain_out;       /* of the transport, that TLS had no room for */
    struct kept unsent;          /* that the socket had no room for */
    neap_time deadline;          /* of the handshake, of lingering; NEAP_NEVER */
    neap_time stuck_since;       /* when the peer began to take nothing; NEAP_NEVER: it takes */
    neap_address peer;
    void *user;
    uint64_t lingered; /* bytes dropped */
    enum link_state state;
    int error_number; /* errno of what ended it; 0: nothing of the system's */
    bool is_connecting, has_hung /* the peer is gone, and some that it sent is in the socket */, input_ended,
        end_was_told, has_shut, wants_look, reads, writes;
};

/** Take what the socket has, within a bound: for its watch. */
void neap_link_pump(struct link *link);
/** Send what there is, within a bound: whether there is more. */
bool neap_link_flush(struct link *link, neap_time now);
void neap_link_on_timeout(struct link *link, neap_time now);
/** At once, with no more words. The link stays. */
void neap_link_break(struct link *link);
/** It has something new. */
static inline void link_mark_ready(struct link *link)
{
    if (!list_linked(&link->ready))
        list_append(&link->listener->ready, &link->ready);
}
/** Something may be to be sent, or there may be room again. */
static inline void link_touch(struct link *link)
{
    if (!list_linked(&link->dirty) && link->state != LINK_CLOSED)
        list_append(&link->listener->dirty, &link->dirty);
}
/** A new link of a listener; the descriptor is its own, also on failure. NULL without memory. */
struct link *neap_link_new(struct listener *listener, int fd, const neap_address *peer);
/** One of a client's, whose descriptor is connected, or not yet; `name` as in neap_tls_stream_new. NULL with *why. */
struct link *neap_link_new_client(struct listener *listener, int fd, bool is_connecting,
                                  const neap_address *peer, const char *name, struct failure *why);
/** What every socket of a link is set to. */
void neap_link_set_up(int fd);
enum link_origin_says { LINK_ORIGIN_JOINED, LINK_ORIGIN_FULL, LINK_ORIGIN_NO_MEMORY };
/** One link more from a client's network: *out is to be left again, NULL for one that is not counted. */
enum link_origin_says neap_link_origin_join(struct listener *listener, const neap_address *peer,
                                            struct link_origin **out);
/** NULL is fine. */
void neap_link_origin_leave(struct listener *listener, struct link_origin *origin);
/** One link less: a listener that was full accepts again. */
void neap_listener_make_room(struct listener *listener);

#endif
