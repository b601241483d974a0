/* A load generator over HTTP/3, without Lua: connections to one server that ask for the same again and again, and what
 * became of it. load.c decides what is asked when and counts; load_conn.c has the connections and what happens on them. */
#ifndef NEAP_BINDING_LOAD_H
#define NEAP_BINDING_LOAD_H

#include "histogram.h"
#include "neap.h"
#include "neap_runtime.h"

#define LOAD_FAILURES 16    /* different reasons that are told apart */
#define LOAD_REASON 96      /* bytes of one */
#define LOAD_SLOTS 1000000u /* requests that may be open at a time */
#define LOAD_STATUSES 1000u
#define LOAD_RATE_LEAST 0.0001 /* requests a second; below, two of them are hours apart */
#define LOAD_RATE_MOST 1e7

/* One of the requests that are sent in turn; the fields and what they point to are the caller's. */
struct load_target {
    const neap_field *fields;
    size_t count;
};

struct load_options {
    neap_config *config; /* the caller's, kept */
    const char *server_name;
    neap_address peer;
    const struct load_target *targets;
    size_t target_count;
    const uint8_t *body; /* of every request */
    size_t body_size;
    size_t connections, streams; /* how many, and requests open at a time on each */
    uint64_t count;              /* requests that are measured; 0: as many as the duration gives */
    double rate;                 /* requests a second; 0: each as soon as one has ended */
    neap_time warm_up;           /* before anything is measured */
    neap_time duration;          /* of the measurement; NEAP_NEVER: until `count` */
    neap_time timeout;           /* of a request, and of a connection's beginning */
    bool is_fresh;               /* a new connection for each request */
};

enum load_phase { LOAD_STARTING, LOAD_WARMING, LOAD_MEASURING, LOAD_DRAINING, LOAD_OVER };

struct load_failure {
    char reason[LOAD_REASON];
    uint64_t count;
};

/* Why something failed, the reasons in the order in which they came. */
struct load_failures {
    struct load_failure list[LOAD_FAILURES];
    size_t count;
};

/* What a measurement gave. Requests are those that were to begin in it. */
struct load_result {
    uint64_t begun, answered, failed;
    uint64_t open;     /* not answered when it ended */
    uint64_t late;     /* that a rate asked for, and that had not begun by then */
    uint64_t finished; /* answers that came while it lasted, to earlier requests too */
    uint64_t rejected; /* sent again, since the server had not begun with them */
    uint64_t connections_opened, connections_lost;
    uint64_t resumed;            /* of those opened: from an earlier TLS session */
    uint64_t connections_failed; /* handshakes that did not end well, whenever */
    uint64_t connections_open;   /* when it ended */
    uint64_t body_received, body_sent, udp_received, udp_sent; /* bytes, while it lasted */
    double seconds, user_seconds, system_seconds;
    uint64_t statuses[LOAD_STATUSES];
    struct load_failures failures;            /* of requests */
    struct load_failures connection_failures; /* of connections that no request waited for */
    struct histogram latency; /* from when a request was to be sent, to the end of its answer */
    struct histogram first;   /* … to the first byte of it */
    struct histogram connect; /* from the first packet to a complete handshake */
};

struct load;

/** NULL: *why says. The load owns its endpoint and loop. */
struct load *neap_load_new(const struct load_options *options, const char **why);
void neap_load_free(struct load *load);
/** Go on for at most so long: 0, or NEAP_ERR_SYSTEM. neap_load_phase tells whether it is over. */
int neap_load_run(struct load *load, neap_time most);
enum load_phase neap_load_phase(const struct load *load);
/** No more requests; what is open is not waited for. */
void neap_load_stop(struct load *load);
/** What there is so far; whole when it is over. */
const struct load_result *neap_load_result(const struct load *load);
/** Whether a signal has ended it. */
bool neap_load_was_interrupted(const struct load *load);

/* ---- what the two files share */

struct load_conn;

struct load_request {
    struct load_request *next; /* free, or to be sent again */
    struct load_conn *conn;    /* NULL: it has none now */
    uint64_t stream;
    neap_time intended, sent;
    size_t target, body_at;
    uint16_t status;
    bool is_measured, has_answer;
};

struct load_conn {
    struct load *load;
    neap_conn *conn; /* NULL: there is none */
    neap_h3 *h3;
    struct load_conn *next_ready;
    struct load_request *first; /* `is_fresh`: the one that waits for the handshake */
    neap_time begun, again_at;
    size_t open;
    bool is_established, is_leaving, is_blocked, is_ready;
    bool is_counted; /* among those opened while it was measured */
};

struct load {
    struct load_options options;
    struct load_result result;
    neap_endpoint *endpoint;
    neap_loop *loop;
    neap_address local;
    struct load_conn *conns;
    struct load_request *requests, *free, *again;
    struct load_conn *ready_first, *ready_last; /* that take a request now, in turn */
    enum load_phase phase;
    uint64_t next;     /* the number of the next request since `paced_at` */
    uint64_t measured; /* of those that count: begun, and ended */
    uint64_t measured_over;
    neap_time paced_at, phase_at, scanned_at, step_until, last_over;
    size_t handshaking, failed_in_row, target;
    size_t missing, opened; /* connections: that are kept and not there, and begun so far */
    double user_before, system_before;
    neap_loop_stats stats_before;
    bool is_interrupted;
    bool is_refused; /* what would be sent cannot be */
    bool is_reached; /* a handshake is complete */
};

/** It takes a request when it can. */
void neap_load_ready(struct load *load, struct load_conn *c);
/** Send what is due to those that are ready. */
void neap_load_dispatch(struct load *load, neap_time now);
/** The request is over: its answer came whole, it failed for a reason, or it is to be sent again. */
void neap_load_answered(struct load *load, struct load_request *r, neap_time now);
void neap_load_failed(struct load *load, struct load_request *r, const char *reason, neap_time now);
void neap_load_rejected(struct load *load, struct load_request *r);
/** Count a connection that failed; `is_told`: its request says why. */
void neap_load_count_unconnected(struct load *load, const char *reason, bool is_told);

/** Begin a connection; false when none can be made. */
bool neap_load_connect(struct load *load, struct load_conn *c, neap_time now);
/** Send a request: false when the connection takes none now. */
bool neap_load_send(struct load_conn *c, struct load_request *r, neap_time now);
/** Something has happened on a connection. */
void neap_load_on_connection(struct load *load, struct load_conn *c, neap_time now);
/** Give up a request that takes too long. */
void neap_load_time_out(struct load_conn *c, struct load_request *r, neap_time now);
/** Give up a connection whose handshake takes too long. */
void neap_load_give_up(struct load_conn *c, neap_time now);
/** Close a connection, without a failure. */
void neap_load_leave(struct load_conn *c);

#endif
