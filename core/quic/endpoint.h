/* Many connections behind one socket: routing by connection ID, acceptance, timers, turns. The files: endpoint.c
 * (its connections, their life), endpoint_recv.c (datagrams in), endpoint_expect.c (memory of those that come next),
 * endpoint_answers.c (answers without a connection), endpoint_arrivals.c (what waits for the application to decide),
 * endpoint_send.c (timers and datagrams out). */
#ifndef NEAP_QUIC_ENDPOINT_H
#define NEAP_QUIC_ENDPOINT_H

#include "base/map.h"
#include "quic/admission.h"
#include "quic/conn.h"

/* A datagram that no connection sends. */
struct answer {
    struct list_link link;
    neap_address from, to;
    size_t size;
    uint8_t bytes[];
};

/* Who sent a probe of a path's size: an ICMP message has the address, not our connection ID. */
struct size_probe {
    neap_address to;
    neap_cid sender;
};

/* A datagram that comes soon: what its connection has in memory is fetched meanwhile, in steps. */
struct expected {
    const uint8_t *bytes; /* where it lies; not read afterwards, since a datagram may be gone */
    neap_cid dcid;        /* empty: nothing is fetched, it is the same as before, or no short header */
    uint64_t key;         /* in `routes` */
    const struct map_node
        *node;    /* there, how far it is looked for: its route once it has that key; NULL: none */
    uint8_t step; /* how much of it is fetched */
};

struct neap_endpoint {
    neap_config *config;
    struct pool *pool;
    bool is_server, refuses;
    struct admission *admission; /* a server's */
    struct early_budget early;
    struct map routes; /* cid_route of our connection IDs, by their hash */
    struct map resets; /* by the hash of the tokens that peers gave: endpoint_entry.reset, migration.resets */
    uint64_t route_key[2], reset_key[2];
    struct endpoint_entry *recent; /* whom the last datagram was for, NULL nobody, */
    neap_cid recent_cid; /* by this ID: the next is most often, and is not looked up in routes then */
    struct expected expected[LIMIT_EXPECTED]; /* a ring */
    uint8_t expected_first, expected_count;
    bool has_begun; /* what is needed of the first ones is being fetched */
    neap_cid last_expected;
    struct expected current; /* of the datagram that is being taken */
    struct endpoint_entry
        *nameless; /* the client connection with a zero-length connection ID: there is one at most */
    struct heap timers;
    struct list_link all, ready, news, answers;
    struct list_link held; /* what would be ready but for its address family, see neap_endpoint_hold */
    bool holds_ipv4, holds_ipv6;
    size_t answer_count;
    neap_time now;
    neap_time memory_short_at; /* since when somebody was put off for it, and nobody left; 0: nobody was */
    struct size_probe probes[LIMIT_PROBES_KNOWN]; /* the newest take the place of the oldest */
    uint8_t probes_at;
    enum neap_admit (*admit)(void *context, const neap_arrival *arrival); /* NULL: by the options */
    void *admit_context;
    struct list_link arrivals; /* oldest first: those that were shown, then the others */
    size_t arrival_count, arrival_bytes;
    uint64_t arrival_id;       /* of the newest */
    uint64_t arrivals_new;     /* clients that were not shown */
    const neap_tracer *tracer; /* of accepted connections; NULL nobody */
    neap_endpoint_stats stats;
};

static inline neap_conn *entry_conn(struct endpoint_entry *entry)
{
    return LIST_OWNER(entry, neap_conn, entry);
}

/* ---- endpoint.c */

/** Take a new connection in; on failure it is freed. */
struct endpoint_entry *neap_endpoint_add(neap_endpoint *e, neap_conn *conn);
/** After anything happened to a connection: routes, news, readiness. It may be freed by this when it was released. */
void neap_endpoint_settle(neap_endpoint *e, struct endpoint_entry *entry);
void neap_endpoint_remove(neap_endpoint *e, struct endpoint_entry *entry);
struct endpoint_entry *neap_endpoint_find(neap_endpoint *e, struct span dcid);
/** The connection that the peer's reset token at the end of a datagram ends, or NULL (RFC 9000 §10.3.1). */
struct endpoint_entry *neap_endpoint_find_reset(neap_endpoint *e, const uint8_t token[RESET_TOKEN_SIZE]);

/** A connection ID that nobody else behind this endpoint has, of the size that its config says. False when none was
 * found: nearly all of that size are in use. */
bool neap_endpoint_new_cid(neap_endpoint *e, neap_cid *out);
/** Give the peer the connection IDs that it wants to hold. */
void neap_endpoint_issue_ids(neap_endpoint *e, struct endpoint_entry *entry);

/* ---- endpoint_expect.c */

/** The datagram in these bytes comes now: those that were told of behind it are a step nearer. */
void neap_endpoint_approach(neap_endpoint *e, const uint8_t *bytes);
/** A route is about to go. */
void neap_endpoint_forget_nodes(neap_endpoint *e);

/* ---- endpoint_recv.c */

/** What the application is shown of a first packet. */
neap_arrival neap_endpoint_arrival(const neap_endpoint *e, const neap_udp_datagram *d, const neap_header *h);
/** Take a datagram that was kept. `says`: about the client whose first it is, NULL: it is none. */
void neap_endpoint_retake(neap_endpoint *e, neap_udp_datagram *d, const enum neap_admit *says);

static inline neap_header public_header(const struct packet_header *h)
{
    return (neap_header){
        .type = h->type,
        .version = h->version,
        .dcid = cid_of(h->dcid),
        .scid = cid_of(h->scid),
        .token = h->token.data,
        .token_size = h->token.size,
    };
}

/* ---- endpoint_arrivals.c */

/** Keep a client's first datagram until the application decides. False: there is no memory, or it is too large. */
bool neap_endpoint_keep_first(neap_endpoint *e, const neap_udp_datagram *d, const neap_header *h);
/** Keep another datagram of a client that waits. False: none of this address and connection ID does. */
bool neap_endpoint_keep_more(neap_endpoint *e, const neap_udp_datagram *d, struct span dcid);
/** Drop what has waited for too long. */
void neap_endpoint_drop_late(neap_endpoint *e);
void neap_endpoint_drop_arrivals(neap_endpoint *e);
/** When neap_endpoint_drop_late has something to do; 0: the application has; NEAP_NEVER: nobody. */
neap_time neap_endpoint_arrivals_timeout(const neap_endpoint *e);

/* ---- endpoint_answers.c */

/** Queue an answer to the datagram; what has no room is not said. */
void neap_endpoint_answer_version(neap_endpoint *e, const neap_udp_datagram *d,
                                  const struct packet_header *h);
void neap_endpoint_answer_retry(neap_endpoint *e, const neap_udp_datagram *d, const neap_header *h);
void neap_endpoint_answer_refusal(neap_endpoint *e, const neap_udp_datagram *d, const neap_header *h,
                                  uint64_t code);
void neap_endpoint_answer_reset(neap_endpoint *e, const neap_udp_datagram *d, struct span dcid);
/** Whether nothing may be sent to this address now. */
static inline bool neap_endpoint_is_held(const neap_endpoint *e, const neap_address *to)
{
    return to->family == 4 ? e->holds_ipv4 : e->holds_ipv6;
}

/** The oldest answer: its size, 0 when none waits, or NEAP_ERR_BUFFER_TOO_SHORT. What may not leave now is not said. */
int64_t neap_endpoint_take_answer(neap_endpoint *e, neap_udp_datagram *out, size_t room);
void neap_endpoint_drop_answers(neap_endpoint *e);

#endif
