/* What HTTP/1.1 and HTTP/2 have alike for those above: the messages of one connection that is a stream of bytes. A stream
 * number names an exchange, as in HTTP/3; HTTP/1.1 counts its requests: 0, 4, 8 … as the streams of requests in QUIC. Events,
 * results and codes are those of neap.h's neap_h3_*: what is said there of a call holds here. */
#ifndef NEAP_TCP_TRANSPORT_H
#define NEAP_TCP_TRANSPORT_H

#include "neap.h"

struct transport;

struct transport_ops {
    const char *protocol; /* as ALPN names it: "http/1.1", "h2" */

    void (*free)(struct transport *t);

    /* ---- bytes */

    /** Takes bytes that came, in order: how many. Fewer than `size`: it has no room until events are polled and bodies read;
     * the rest is offered again. NEAP_ERR_CLOSED when it is over. The peer's faults are not told here: what is owed to it
     * is written by `send`, then is_over says true. */
    int64_t (*receive)(struct transport *t, const uint8_t *bytes, size_t size, neap_time now);
    /** The peer sends no more bytes (what it began is cut off); it may still read. */
    void (*end_of_input)(struct transport *t, neap_time now);
    /** Writes what is to be sent into `out`: how many bytes, 0 when there is nothing. */
    size_t (*send)(struct transport *t, uint8_t *out, size_t size);
    /** Nothing more is to be received: when `send` gives nothing either, the connection is to be closed. In two steps, lest
     * what was sent be lost with what the peer sends meanwhile (RFC 9112 §9.6): the sending side first, then all when the
     * peer has ended too, or after a time. */
    bool (*is_over)(const struct transport *t);
    /** When `send` gives nothing, the sending side is to be shut down, while more is received: a tunnel whose end we said.
     * NULL: not before is_over. */
    bool (*sends_no_more)(const struct transport *t);
    /** When on_timeout wants to be called; NEAP_NEVER. */
    neap_time (*deadline)(const struct transport *t);
    void (*on_timeout)(struct transport *t, neap_time now);

    /* ---- messages: see the neap_h3_* of the same name */

    int (*poll)(struct transport *t, neap_h3_event *out);
    int64_t (*send_request)(struct transport *t, const neap_field *fields, size_t count, bool fin);
    int (*send_response)(struct transport *t, uint64_t stream, const neap_field *fields, size_t count,
                         bool fin);
    int64_t (*send_body)(struct transport *t, uint64_t stream, const void *bytes, size_t size, bool fin);
    int64_t (*body_capacity)(const struct transport *t, uint64_t stream);
    int64_t (*recv_body)(struct transport *t, uint64_t stream, void *out, size_t size);
    int (*send_trailers)(struct transport *t, uint64_t stream, const neap_field *fields, size_t count);
    int (*cancel)(struct transport *t, uint64_t stream, uint64_t code);
    int (*stop_body)(struct transport *t, uint64_t stream, uint64_t code);
    int (*goaway)(struct transport *t);
    uint64_t (*open_requests)(const struct transport *t);
};

/* What all transports that share one have met. */
struct transport_stats {
    uint64_t requests;  /* that came, or that were sent */
    uint64_t malformed; /* messages that break the rules, or that nobody asked for */
    uint64_t too_large; /* messages beyond a bound */
    uint64_t timeouts;  /* of those below */
    const char *reason; /* why the last malformed one is, static text; NULL: none was, or it is not known */
    /* HTTP/2's */
    uint64_t glitches;        /* what peers did in vain */
    uint64_t resets_received; /* of these: streams that they reset before they were over, */
    uint64_t resets_provoked; /* or had us reset by what they sent (CVE-2025-8671) */
    uint64_t streams_refused; /* requests while the application works on as many as it is to */
    uint64_t overloads;       /* connections that were closed for too much in vain */
    uint64_t waits;           /* bytes were not taken since too much waits to be sent, or to be polled */
};

/* The first member of each. */
struct transport {
    const struct transport_ops *ops;
};

struct transport_config {
    bool is_server;
    bool is_secure; /* over TLS: the scheme of requests, which HTTP/1.1 does not say */
    bool to_proxy;  /* a client's of HTTP/1.1: its peer is a proxy, which requests tell all of their URI */
    uint64_t max_field_section_size;
    neap_time
        header_timeout; /* a server's, as in neap_h3_config, also for the time between two requests' bytes */
    neap_time idle_timeout; /* a server's: without an open request; 0: a minute, NEAP_NEVER: no bound */
    struct transport_stats *stats; /* counted into; NULL: nowhere. It outlives the transport */
};

#endif
