/* HTTP/1.1 and HTTP/2 beside HTTP/3. A listener takes TCP connections at an address, or makes them, as a client; a link is one of them: its socket, TLS unless it
 * is plain, and the transport that carries its messages (tcp/transport.h). As an endpoint, a listener names the links that have
 * something new; what is said to them leaves with neap_loop_flush. */
#ifndef NEAP_RUNTIME_LINK_H
#define NEAP_RUNTIME_LINK_H

#include "base/failure.h"
#include "base/span.h"
#include "neap_runtime.h"
#include "tcp/transport.h"

struct listener;
struct link;

struct listener_options {
    bool is_plain;                   /* no TLS, HTTP/1.1 */
    uint64_t max_field_section_size; /* 0, as in the next two: as HTTP/3 has it */
    neap_time header_timeout;        /* also for a TLS handshake; of a client, for that and connecting */
    neap_time idle_timeout;
    neap_time send_timeout; /* how long a client may take none of what waits for it; 0: a minute */
    uint64_t connections;   /* at a time; 0: LIMIT_LINKS */
    uint64_t
        connections_per_network; /* of these from one IPv4 address or IPv6 /64; 0: a quarter, loopback has no bound */
    bool is_client;              /* it makes connections, and listens nowhere */
    bool has_no_http2;           /* a client's: http/1.1 is all that it offers */
    const char *alt_svc; /* a field of every final response that has none (RFC 7838), copied; NULL: none */
};

struct listener_stats {
    uint64_t connections, accepted, refused, accept_failures, handshakes_failed, bytes_received, bytes_sent;
    uint64_t timeouts;                       /* of clients that were silent, or took nothing */
    uint64_t requests, malformed, too_large; /* as in transport_stats, these and the others */
    uint64_t glitches, resets_received, resets_provoked, streams_refused, overloads, waits;
};

/** Listen at an address as neap_loop_listen has it, with the certificates of `config`, of which it holds a reference: 0
 * and *out, or a negative code, of which neap_loop_error says more. With its loop its sockets go. */
int neap_listener_new(neap_loop *loop, neap_config *config, const char *address,
                      const struct listener_options *options, struct listener **out);
/** The same with one or two stream sockets that listen already, the listener's from now on; also where this fails. */
int neap_listener_take(neap_loop *loop, neap_config *config, const int *fds, size_t count,
                       const struct listener_options *options, struct listener **out);
/** One for connections that it makes: TLS with the trust and the client certificates of `config`. As neap_listener_new. */
int neap_listener_new_client(neap_loop *loop, neap_config *config, const struct listener_options *options,
                             struct listener **out);
/** A link to a server, under way: it has a protocol when requests may be sent, or is closed, and neap_link_failure says why.
 * `address`, or where that is NULL the Unix socket at `path`. `name` is whom the certificate is to be of (neap_tls_stream_new);
 * not read without TLS. NEAP_ERR_LIMIT: as many links as may be are open. As neap_listener_new otherwise. */
int neap_listener_connect(struct listener *listener, const neap_address *address, const char *path,
                          const char *name, struct link **out);
/** With all its links, at once. NULL is fine. */
void neap_listener_free(struct listener *listener);
/** Whether it is of neap_listener_new_client: what came over its links before they were closed is read afterwards too. */
bool neap_listener_is_client(const struct listener *listener);
/** The address of the first socket. */
neap_address neap_listener_address(const struct listener *listener);
/** No new connections from now on: its sockets are closed, its links go on. */
void neap_listener_refuse(struct listener *listener);
/** The next link that has something new, NULL when there is none. One that is closed comes once, and is the caller's to
 * release. */
struct link *neap_listener_next(struct listener *listener);
void neap_listener_get_stats(const struct listener *listener, struct listener_stats *out);

void neap_link_set_user(struct link *link, void *user);
void *neap_link_user(const struct link *link);
/** Frees it, also one that is alive. */
void neap_link_release(struct link *link);
neap_address neap_link_peer(const struct link *link);
/** "h2", "http/1.1"; "" before it is known. */
const char *neap_link_protocol(const struct link *link);
/** See neap_tls_stream_peer_certificate; empty without TLS. */
struct span neap_link_peer_certificate(const struct link *link, size_t index);
/** Why it is closed: a code above 0 is NEAP_CRYPTO_ERROR + the TLS alert; NEAP_ERR_SYSTEM with an errno in *number
 * (ETIMEDOUT: by a bound of ours); NEAP_ERR_CLOSED: the peer, or we, ended it. The reason is the link's, or static. */
struct failure neap_link_failure(const struct link *link, int *number);
/** Nothing goes over it any more. */
bool neap_link_is_closed(const struct link *link);
/** What was said has left for the kernel. */
bool neap_link_is_flushed(const struct link *link);
/** What was said leaves, then it ends; requests that are open are cut off. */
void neap_link_close(struct link *link);

/* What transport_ops have of the same name, for a link at any time: NEAP_ERR_CLOSED for one that is closed. */

int neap_link_poll(struct link *link, neap_h3_event *out);
/** A client's: the number of its exchange. NEAP_ERR_STATE while it has no protocol yet. */
int64_t neap_link_send_request(struct link *link, const neap_field *fields, size_t count, bool fin);
int neap_link_send_response(struct link *link, uint64_t stream, const neap_field *fields, size_t count,
                            bool fin);
/** As neap_h3_respond. */
int64_t neap_link_respond(struct link *link, uint64_t stream, const neap_field *fields, size_t count,
                          const void *body, size_t size);
int64_t neap_link_send_body(struct link *link, uint64_t stream, const void *bytes, size_t size, bool fin);
int64_t neap_link_body_capacity(const struct link *link, uint64_t stream);
int64_t neap_link_recv_body(struct link *link, uint64_t stream, void *out, size_t size);
int neap_link_send_trailers(struct link *link, uint64_t stream, const neap_field *fields, size_t count);
int neap_link_cancel(struct link *link, uint64_t stream, uint64_t code);
int neap_link_stop_body(struct link *link, uint64_t stream, uint64_t code);
int neap_link_goaway(struct link *link);
uint64_t neap_link_open_requests(const struct link *link);

/* --- for loop.c */

/** When a link wants to be called. */
neap_time neap_listeners_timeout(const neap_loop *loop);
/** Whether the application has links to look at. */
bool neap_listeners_have_news(const neap_loop *loop);
/** Timers that are due. */
void neap_listeners_turn(neap_loop *loop);
/** Send: true when some have more to send at once. */
bool neap_listeners_flush(neap_loop *loop);
/** The loop ends: those that are left have none. */
void neap_listeners_end(neap_loop *loop);

#endif
