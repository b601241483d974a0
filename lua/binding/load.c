/* What a load asks when: phases, pace, turns; and what it counts. */
#include "load.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>

#define HANDSHAKES 100               /* at a time, of connections that are kept: a server may refuse more */
#define SCAN (50 * NEAP_MILLISECOND) /* how often is looked for what takes too long */
#define DRAIN (NEAP_SECOND)          /* how long open requests are waited for at the end */
#define TRIES 3                      /* connections of each that fail in a row before all is given up */

/* ---- what is counted */

static void count_failure(struct load_failures *failures, const char *reason)
{
    size_t i = 0;

    while (i < failures->count && strcmp(failures->list[i].reason, reason) != 0)
        i++;
    if (i == failures->count) {
        bool is_last = i >= LOAD_FAILURES - 1;
        i = is_last ? LOAD_FAILURES - 1 : i;
        snprintf(failures->list[i].reason, LOAD_REASON, "%s", is_last ? "other reasons" : reason);
        failures->count = i + 1;
    }
    failures->list[i].count++;
}

void neap_load_count_unconnected(struct load *load, const char *reason, bool is_told)
{
    load->result.connections_failed++;
    if (!is_told)
        count_failure(&load->result.connection_failures, reason);
}

static void free_request(struct load *load, struct load_request *r)
{
    r->conn = NULL;
    r->is_measured = false;
    r->next = load->free;
    load->free = r;
}

/* A request that counts has ended. */
static void count_end(struct load *load, const struct load_request *r, neap_time now)
{
    load->measured_over++;
    load->last_over = now;
    neap_histogram_add(&load->result.latency, now - r->intended);
}

void neap_load_answered(struct load *load, struct load_request *r, neap_time now)
{
    load->result.finished += load->phase == LOAD_MEASURING;
    if (r->is_measured) {
        load->result.answered++;
        load->result.statuses[r->status < LOAD_STATUSES ? r->status : 0]++;
        count_end(load, r, now);
    }
    free_request(load, r);
}

void neap_load_failed(struct load *load, struct load_request *r, const char *reason, neap_time now)
{
    if (r->is_measured) {
        load->result.failed++;
        count_failure(&load->result.failures, reason);
        /* With a rate one that never came took at least so long; without, failing fast would look fast. */
        if (load->options.rate > 0) {
            count_end(load, r, now);
        } else {
            load->measured_over++;
            load->last_over = now;
        }
    }
    free_request(load, r);
}

void neap_load_rejected(struct load *load, struct load_request *r)
{
    load->result.rejected++;
    r->conn = NULL;
    r->next = load->again;
    load->again = r;
}

/* ---- what is asked */

static bool can_take(const struct load *load, const struct load_conn *c)
{
    if (load->phase == LOAD_OVER)
        return false;
    if (load->options.is_fresh)
        return c->conn == NULL && c->first == NULL;
    return c->is_established && !c->is_leaving && !c->is_blocked && c->open < load->options.streams;
}

void neap_load_ready(struct load *load, struct load_conn *c)
{
    if (c->is_ready || !can_take(load, c))
        return;
    c->is_ready = true;
    c->next_ready = NULL;
    if (load->ready_last != NULL)
        load->ready_last->next_ready = c;
    else
        load->ready_first = c;
    load->ready_last = c;
}

static struct load_conn *take_ready(struct load *load)
{
    struct load_conn *c = load->ready_first;

    load->ready_first = c->next_ready;
    if (load->ready_first == NULL)
        load->ready_last = NULL;
    c->is_ready = false;
    return c;
}

/* When the next request is to be sent at the asked rate; what no neap_time holds is never. */
static neap_time next_due(const struct load *load)
{
    double since = load->options.rate > 0 ? (double)load->next * 1e9 / load->options.rate : 0;

    return since < (double)(NEAP_NEVER / 2) ? load->paced_at + (neap_time)since : NEAP_NEVER;
}

/* When the measurement ends by its duration. */
static neap_time window_end(const struct load *load)
{
    neap_time duration = load->options.duration;

    return duration < NEAP_NEVER - load->phase_at ? load->phase_at + duration : NEAP_NEVER;
}

/* The next request, with the time at which it was to be sent; NULL: none is due. */
static struct load_request *next_request(struct load *load, neap_time now)
{
    struct load_request *r = load->again;
    bool is_measured = load->phase == LOAD_MEASURING;
    neap_time intended = now;

    if (r != NULL) {
        load->again = r->next;
        return r;
    }
    if ((load->phase != LOAD_WARMING && !is_measured) || load->free == NULL)
        return NULL;
    if (is_measured && load->options.count > 0 && load->measured >= load->options.count)
        return NULL;
    if (load->options.rate > 0) {
        intended = next_due(load);
        if (intended > now)
            return NULL;
        load->next++;
        is_measured = is_measured && intended >= load->phase_at && intended < window_end(load);
    }
    r = load->free;
    load->free = r->next;
    *r = (struct load_request){.intended = intended, .target = load->target, .is_measured = is_measured};
    load->target = (load->target + 1) % load->options.target_count;
    load->measured += is_measured;
    return r;
}

void neap_load_dispatch(struct load *load, neap_time now)
{
    while (load->ready_first != NULL && !load->is_refused) {
        struct load_conn *c = load->ready_first;
        struct load_request *r = can_take(load, c) ? next_request(load, now) : NULL;
        if (r == NULL && can_take(load, c))
            return;
        take_ready(load);
        if (r == NULL)
            continue;
        r->sent = now;
        if (!load->options.is_fresh) {
            if (!neap_load_send(c, r, now)) {
                r->next = load->again;
                load->again = r;
                if (c->is_leaving && c->open == 0)
                    neap_load_leave(c);
            }
        } else if (neap_load_connect(load, c, now)) {
            c->first = r;
        } else {
            neap_load_failed(load, r, "no connection", now);
        }
        neap_load_ready(load, c);
    }
}

/* ---- phases */

static void read_cpu(double *user, double *system)
{
    struct rusage usage;

    getrusage(RUSAGE_SELF, &usage);
    *user = (double)usage.ru_utime.tv_sec + (double)usage.ru_utime.tv_usec / 1e6;
    *system = (double)usage.ru_stime.tv_sec + (double)usage.ru_stime.tv_usec / 1e6;
}

static void begin_measuring(struct load *load, neap_time now)
{
    load->phase = LOAD_MEASURING;
    load->phase_at = load->last_over = now;
    if (load->options.warm_up == 0)
        load->result.connections_opened = load->opened;
    read_cpu(&load->user_before, &load->system_before);
    neap_loop_get_stats(load->loop, &load->stats_before, sizeof load->stats_before);
}

static void end_measuring(struct load *load, neap_time now)
{
    struct load_result *result = &load->result;
    neap_loop_stats stats;
    double user, system;

    /* So many requests are over with the last of them. */
    neap_time end =
        load->options.count > 0 && load->measured_over >= load->options.count ? load->last_over : now;
    result->seconds = (double)(end - load->phase_at) / 1e9;
    read_cpu(&user, &system);
    result->user_seconds = user - load->user_before;
    result->system_seconds = system - load->system_before;
    neap_loop_get_stats(load->loop, &stats, sizeof stats);
    result->udp_received = stats.bytes_received - load->stats_before.bytes_received;
    result->udp_sent = stats.bytes_sent - load->stats_before.bytes_sent;
    /* What was to be sent and was not has waited at least until now: left out, a server that stalls would look fast. */
    neap_time last = window_end(load) < now ? window_end(load) : now;
    uint64_t more = load->options.count > 0 ? load->options.count - load->measured : UINT64_MAX;
    if (load->options.rate <= 0)
        more = 0;
    for (neap_time due = next_due(load); result->late < more && due < last; due = next_due(load)) {
        neap_histogram_add(&result->latency, now - due);
        result->late++;
        load->next++;
    }
    load->phase = LOAD_DRAINING;
    load->phase_at = now;
}

static size_t count_open(const struct load *load)
{
    return load->options.connections - load->missing - load->handshaking;
}

/* Whether a connection is wanted and there is none: the server has left, or is between two of them. */
static bool is_alone(const struct load *load)
{
    const struct load_options *o = &load->options;
    bool is_complete = o->count > 0 && load->measured_over >= o->count;

    return !o->is_fresh && !is_complete && count_open(load) == 0;
}

static void finish(struct load *load, neap_time now)
{
    size_t slots = load->options.connections * load->options.streams;

    if (load->phase == LOAD_MEASURING)
        end_measuring(load, now);
    load->result.open = load->measured - load->measured_over;
    load->result.begun = load->measured + load->result.late;
    for (size_t i = 0; i < slots && load->options.rate > 0; i++) {
        const struct load_request *r = &load->requests[i];
        if (r->is_measured)
            neap_histogram_add(&load->result.latency, now - r->intended);
    }
    load->phase = LOAD_OVER;
    load->result.connections_open = count_open(load);
    for (size_t i = 0; i < load->options.connections; i++)
        neap_load_leave(&load->conns[i]);
    neap_loop_stop(load->loop);
}

/* Whether it makes no sense to go on. */
static bool is_hopeless(const struct load *load)
{
    return load->is_refused || load->failed_in_row >= TRIES * load->options.connections;
}

static void advance(struct load *load, neap_time now)
{
    const struct load_options *o = &load->options;

    if (load->phase == LOAD_STARTING && (load->is_reached || o->is_fresh)) {
        load->phase = LOAD_WARMING;
        load->phase_at = load->paced_at = now;
    }
    if (load->phase == LOAD_WARMING && now - load->phase_at >= o->warm_up)
        begin_measuring(load, now);
    if (load->phase == LOAD_MEASURING && now >= window_end(load))
        end_measuring(load, now);
    if (load->phase == LOAD_MEASURING && o->count > 0 && load->measured_over >= o->count)
        end_measuring(load, now);
    if (load->phase == LOAD_DRAINING &&
        ((load->measured_over >= load->measured && !is_alone(load)) || now - load->phase_at >= DRAIN))
        finish(load, now);
    if (load->phase != LOAD_OVER && is_hopeless(load))
        finish(load, now);
}

/* ---- a turn */

/* Connections that are kept: those that are missing are begun, some at a time; at the end only to see whether the server
 * is still there. */
static void connect_missing(struct load *load, neap_time now)
{
    if (load->options.is_fresh || load->phase == LOAD_OVER ||
        (load->phase == LOAD_DRAINING && !is_alone(load)))
        return;
    for (size_t i = 0; i < load->options.connections && load->missing > 0; i++) {
        struct load_conn *c = &load->conns[i];
        if (load->handshaking >= HANDSHAKES)
            return;
        if (c->conn == NULL && c->again_at <= now && !neap_load_connect(load, c, now))
            return;
    }
}

static void scan(struct load *load, neap_time now)
{
    size_t slots = load->options.connections * load->options.streams;
    neap_time timeout = load->options.timeout;

    if (now - load->scanned_at < SCAN)
        return;
    load->scanned_at = now;
    for (size_t i = 0; i < slots; i++) {
        struct load_request *r = &load->requests[i];
        if (r->conn != NULL && now - r->sent >= timeout)
            neap_load_time_out(r->conn, r, now);
    }
    for (size_t i = 0; i < load->options.connections; i++) {
        struct load_conn *c = &load->conns[i];
        if (c->conn != NULL && !c->is_established && now - c->begun >= timeout)
            neap_load_give_up(c, now);
    }
}

static neap_time earlier(neap_time a, neap_time b)
{
    return a < b ? a : b;
}

static neap_time on_turn(void *context, neap_time now)
{
    struct load *load = context;
    const struct load_options *o = &load->options;

    if (load->phase == LOAD_OVER)
        return 0;
    scan(load, now);
    advance(load, now);
    connect_missing(load, now);
    neap_load_dispatch(load, now);
    if (load->is_refused && load->phase != LOAD_OVER)
        finish(load, now);
    if (load->phase == LOAD_OVER || now >= load->step_until) {
        neap_loop_stop(load->loop);
        return 0;
    }
    neap_time until = earlier(load->step_until, load->scanned_at + SCAN);
    if (load->phase == LOAD_WARMING)
        until = earlier(until, load->phase_at + o->warm_up);
    else if (load->phase == LOAD_MEASURING)
        until = earlier(until, window_end(load));
    if (o->rate > 0 && load->ready_first != NULL && load->phase >= LOAD_WARMING &&
        load->phase <= LOAD_MEASURING)
        until = earlier(until, next_due(load));
    return until > now ? until - now : 0;
}

static void on_connection(void *context, neap_endpoint *endpoint, neap_conn *conn)
{
    struct load *load = context;
    struct load_conn *c = neap_conn_user(conn);
    neap_time now = neap_loop_now();

    (void)endpoint;
    if (c == NULL)
        return;
    neap_load_on_connection(load, c, now);
    /* One after the other, so that the answer to what came here does not wait for what came on the others. */
    if (load->options.rate <= 0)
        neap_load_dispatch(load, now);
}

static void on_signal(void *context, int number)
{
    struct load *load = context;

    (void)number;
    load->is_interrupted = true;
    neap_load_stop(load);
}

/* ---- the load as a whole */

static bool prepare(struct load *load, const char **why)
{
    size_t slots = load->options.connections * load->options.streams;

    load->conns = calloc(load->options.connections, sizeof *load->conns);
    load->requests = calloc(slots, sizeof *load->requests);
    load->loop = neap_loop_new();
    load->endpoint = neap_endpoint_new(load->options.config, false, why);
    if (load->conns == NULL || load->requests == NULL || load->loop == NULL || load->endpoint == NULL)
        return false;
    if (neap_loop_open(load->loop, load->endpoint) != NEAP_OK ||
        neap_loop_address(load->loop, load->endpoint, load->options.peer.family, &load->local) != NEAP_OK) {
        *why = "no socket of this address family";
        return false;
    }
    neap_loop_catch_signals(load->loop);
    for (size_t i = 0; i < slots; i++)
        free_request(load, &load->requests[i]);
    for (size_t i = 0; i < load->options.connections; i++) {
        load->conns[i].load = load;
        neap_load_ready(load, &load->conns[i]);
    }
    load->missing = load->options.connections;
    return true;
}

struct load *neap_load_new(const struct load_options *options, const char **why)
{
    struct load *load = calloc(1, sizeof *load);

    *why = neap_strerror(NEAP_ERR_NO_MEMORY);
    if (load == NULL)
        return NULL;
    load->options = *options;
    if (prepare(load, why))
        return load;
    neap_load_free(load);
    return NULL;
}

void neap_load_free(struct load *load)
{
    if (load == NULL)
        return;
    for (size_t i = 0; load->conns != NULL && i < load->options.connections; i++)
        neap_load_leave(&load->conns[i]);
    if (load->loop != NULL && load->endpoint != NULL)
        neap_loop_detach(load->loop, load->endpoint);
    neap_endpoint_free(load->endpoint);
    neap_loop_free(load->loop);
    free(load->conns);
    free(load->requests);
    free(load);
}

int neap_load_run(struct load *load, neap_time most)
{
    const neap_loop_handler handler = {
        .on_connection = on_connection, .on_signal = on_signal, .on_turn = on_turn, .context = load};
    neap_time now = neap_loop_now();
    int slack = prctl(PR_GET_TIMERSLACK, 0, 0, 0, 0);

    if (load->phase == LOAD_OVER)
        return NEAP_OK;
    load->step_until = most < NEAP_NEVER - now ? now + most : NEAP_NEVER;
    /* A request that leaves 50 µs after its time would be 50 µs slower. */
    prctl(PR_SET_TIMERSLACK, 1UL, 0, 0, 0);
    int result = neap_loop_run(load->loop, &handler);
    if (slack > 0)
        prctl(PR_SET_TIMERSLACK, (unsigned long)slack, 0, 0, 0);
    return result;
}

enum load_phase neap_load_phase(const struct load *load)
{
    return load->phase;
}

void neap_load_stop(struct load *load)
{
    if (load->phase != LOAD_OVER)
        finish(load, neap_loop_now());
}

const struct load_result *neap_load_result(const struct load *load)
{
    return &load->result;
}

bool neap_load_was_interrupted(const struct load *load)
{
    return load->is_interrupted;
}
