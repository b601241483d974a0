/* Many connections of two endpoints in one process, in memory and in virtual time: what the server's side of them costs.
 *   bench_scale scale [--talk PERCENT] [CONNECTIONS...]   a packet with so many connections of which 1 % talk → a table
 *   bench_scale many CONNECTIONS STREAMS MEGABYTES   bulk on all streams at once → how fair, and in how much memory */
#include "base/heap.h"
#include "base/map.h"
#include "base/pool.h"
#include "neap.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define ROOM 65536u
#define TRAIN 65507u
#define ROUND (5 * NEAP_MILLISECOND)
#define MESSAGES 32u       /* that a loop takes before it answers: LIMIT_LOOP_RECEIVE_MESSAGES */
#define EXCHANGES 200000u /* measured for each row */
#define ENTRIES 1000000u  /* of the map and the heap that grow alone */
#define BULK_ROUND (10 * NEAP_MILLISECOND) /* half a round trip */
#define BULK_BYTES 12500000u               /* that the server's link carries in one: 10 Gbit/s */
#define BULK_BUFFER 16384u                 /* bytes a stream may hold */

/* Datagrams that are on their way. */
struct wire {
    neap_udp_datagram *datagrams;
    size_t count, room;
    uint8_t *bytes; /* of all of them, one behind the other */
    size_t size, bytes_room;
};

struct world {
    neap_config *config[2]; /* the client's, the server's */
    neap_endpoint *client, *server;
    struct wire up, down;
    neap_address client_address, server_address;
    neap_time now;
    neap_conn **conns; /* the client's */
    size_t count;
    uint64_t cpu, worst; /* ns of the server; of one call of it */
    uint64_t packets;    /* it took and gave */
    size_t percent;      /* of the connections talk */
    bool times_calls;
};

static void check(bool ok, const char *what)
{
    if (ok)
        return;
    fprintf(stderr, "scale: %s\n", what);
    exit(1);
}

static uint64_t cpu_now(void)
{
    struct timespec t;

    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
    return (uint64_t)t.tv_sec * NEAP_SECOND + (uint64_t)t.tv_nsec;
}

static void put(struct wire *wire, const neap_udp_datagram *from)
{
    if (wire->count == wire->room) {
        wire->room = wire->room ? 2 * wire->room : 64;
        wire->datagrams = realloc(wire->datagrams, wire->room * sizeof *wire->datagrams);
    }
    if (wire->bytes_room - wire->size < from->size) {
        wire->bytes_room = 2 * (wire->bytes_room + from->size);
        wire->bytes = realloc(wire->bytes, wire->bytes_room);
    }
    wire->datagrams[wire->count++] = *from;
    memcpy(wire->bytes + wire->size, from->bytes, from->size);
    wire->size += from->size;
}

static size_t packets_of(const neap_udp_datagram *d)
{
    return d->segment_size ? (d->size + d->segment_size - 1) / d->segment_size : 1;
}

/* ---- one side's turn */

/* The datagrams from `first` on, `most` of them. */
static void take_some(struct world *w, neap_endpoint *endpoint, struct wire *wire, size_t first, size_t most)
{
    for (size_t i = first; i < wire->count && i - first < most; i++)
        neap_endpoint_expect(endpoint, wire->datagrams[i].bytes, wire->datagrams[i].size);
    for (size_t i = first; i < wire->count && i - first < most; i++) {
        neap_udp_datagram *d = &wire->datagrams[i];
        uint64_t start = w->times_calls ? cpu_now() : 0;

        neap_endpoint_recv(endpoint, d, w->now);
        if (w->times_calls && endpoint == w->server) {
            uint64_t took = cpu_now() - start;
            w->worst = took > w->worst ? took : w->worst;
        }
    }
}

static void take(struct world *w, neap_endpoint *endpoint, struct wire *wire)
{
    take_some(w, endpoint, wire, 0, SIZE_MAX);
}

/* At most `most` bytes and a train. */
static void give(struct world *w, neap_endpoint *endpoint, struct wire *wire, size_t most)
{
    static uint8_t bytes[ROOM];
    neap_udp_datagram d = {.bytes = bytes};

    for (size_t sum = 0; sum < most;) {
        uint64_t start = w->times_calls ? cpu_now() : 0;
        int64_t size = neap_endpoint_send(endpoint, &d, TRAIN, w->now);

        if (w->times_calls && endpoint == w->server) {
            uint64_t took = cpu_now() - start;
            w->worst = took > w->worst ? took : w->worst;
        }
        if (size < 0)
            return;
        if (size == 0)
            continue;
        d.size = (size_t)size;
        put(wire, &d);
        sum += d.size;
    }
}

/* Bytes lie still now. */
static void arrive(struct wire *wire)
{
    uint8_t *at = wire->bytes;

    for (size_t i = 0; i < wire->count; i++) {
        wire->datagrams[i].bytes = at;
        at += wire->datagrams[i].size;
    }
}

static void clear(struct wire *wire)
{
    wire->count = wire->size = 0;
}

/* Each side answers what came on a stream by as much. */
static void echo(neap_endpoint *endpoint)
{
    uint8_t bytes[2048];

    for (neap_conn *conn; (conn = neap_endpoint_next(endpoint)) != NULL;)
        for (int64_t id; (id = neap_conn_stream_readable_next(conn)) >= 0;) {
            bool fin;
            int64_t size = neap_conn_stream_recv(conn, (uint64_t)id, bytes, sizeof bytes, &fin);

            if (size > 0 && neap_conn_is_server(conn))
                neap_conn_stream_send(conn, (uint64_t)id, bytes, (size_t)size, false);
        }
}

/* As the loop does: what a system call brought is answered before the next. */
static void serve(struct world *w)
{
    arrive(&w->up);
    for (size_t first = 0; first < w->up.count; first += MESSAGES) {
        take_some(w, w->server, &w->up, first, MESSAGES);
        echo(w->server);
        give(w, w->server, &w->down, SIZE_MAX);
    }
    give(w, w->server, &w->down, SIZE_MAX);
}

static void exchange(struct world *w, bool is_measured)
{
    give(w, w->client, &w->up, SIZE_MAX);
    uint64_t start = cpu_now();
    serve(w);
    if (is_measured) {
        w->cpu += cpu_now() - start;
        for (size_t i = 0; i < w->up.count; i++)
            w->packets += packets_of(&w->up.datagrams[i]);
        for (size_t i = 0; i < w->down.count; i++)
            w->packets += packets_of(&w->down.datagrams[i]);
    }
    clear(&w->up);
    arrive(&w->down);
    take(w, w->client, &w->down);
    clear(&w->down);
    echo(w->client);
    w->now += ROUND;
}

/* ---- the world */

static void open_world(struct world *w, size_t memory_limit, size_t send_buffer)
{
    static char certificate[4096], key[4096];
    const char *alpn = "scale", *name = "localhost", *why = NULL;
    neap_env env = {.memory_limit = memory_limit};

    w->now = NEAP_SECOND;
    neap_address_parse("192.0.2.1:1000", 0, &w->client_address);
    neap_address_parse("192.0.2.2:443", 0, &w->server_address);
    for (size_t i = 0; i < 2; i++) {
        w->config[i] = neap_config_new(&env);
        neap_config_set_alpn(w->config[i], &alpn, 1);
        neap_config_set(w->config[i], "max_idle_timeout", 1000000000);
        neap_config_set(w->config[i], "max_connections", 10000000);
        neap_config_set(w->config[i], "handshake_rate", 0);
        neap_config_set(w->config[i], "verify_peer", 0);
        neap_config_set(w->config[i], "send_buffer", send_buffer);
    }
    check(neap_make_certificate(w->config[1], &name, 1, 2, certificate, sizeof certificate, key, sizeof key) == 0,
          "no certificate");
    check(neap_config_add_certificate(w->config[1], certificate, strlen(certificate), key, strlen(key), &why) == 0,
          "certificate refused");
    w->client = neap_endpoint_new(w->config[0], false, &why);
    w->server = neap_endpoint_new(w->config[1], true, &why);
    check(w->client && w->server, why);
}

static void connect_up_to(struct world *w, size_t count)
{
    const char *why = NULL;

    w->conns = realloc(w->conns, count * sizeof *w->conns);
    while (w->count < count) {
        size_t first = w->count;

        for (; w->count < count && w->count < first + 20; w->count++) {
            w->conns[w->count] = neap_endpoint_connect(w->client, NULL, "localhost", &w->client_address,
                                                       &w->server_address, w->now, &why);
            check(w->conns[w->count] != NULL, why);
        }
        for (size_t i = 0; i < 8; i++)
            exchange(w, false);
        for (size_t i = first; i < w->count; i++)
            check(neap_conn_is_confirmed(w->conns[i]), "a handshake did not end");
    }
    /* What bursts needed is given back after a second of silence. */
    for (size_t i = 0; i < 400; i++)
        exchange(w, false);
}

static size_t server_memory(const struct world *w)
{
    neap_memory_stats memory = {0};

    neap_config_memory(w->config[1], &memory, sizeof memory);
    return memory.reserved;
}

/* ---- scale */

static size_t talkers(const struct world *w)
{
    size_t count = w->count * w->percent / 100;

    return count ? count : 1;
}

static void talk(struct world *w, const uint64_t *streams, size_t talking, size_t rounds, bool is_measured)
{
    static const uint8_t bytes[100];

    for (size_t round = 0; round < rounds; round++) {
        for (size_t i = 0; i < talking; i++)
            neap_conn_stream_send(w->conns[i * (w->count / talking)], streams[i], bytes, sizeof bytes, false);
        exchange(w, is_measured);
    }
}

static int compare(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;

    return (x > y) - (x < y);
}

/* µs a packet: the median of five. */
static double measure(struct world *w)
{
    size_t talking = talkers(w), rounds = EXCHANGES / 5 / talking;
    uint64_t *streams = malloc(talking * sizeof *streams);
    double rows[5];

    for (size_t i = 0; i < talking; i++)
        streams[i] = (uint64_t)neap_conn_stream_open(w->conns[i * (w->count / talking)], true);
    talk(w, streams, talking, 20, false);
    w->worst = 0;
    w->times_calls = true;
    talk(w, streams, talking, rounds / 10 + 1, false);
    w->times_calls = false;
    for (size_t i = 0; i < 5; i++) {
        w->cpu = w->packets = 0;
        talk(w, streams, talking, rounds, true);
        uint64_t start = cpu_now();
        for (size_t j = 0; j < rounds; j++)
            cpu_now();
        rows[i] = ((double)w->cpu - (double)(cpu_now() - start)) / 1000 / (double)w->packets;
    }
    free(streams);
    qsort(rows, 5, sizeof rows[0], compare);
    return rows[2];
}

static void *plain_realloc(void *context, void *pointer, size_t size)
{
    (void)context;
    if (size)
        return realloc(pointer, size);
    free(pointer);
    return NULL;
}

/* The worst call while the map of routes and the heap of timers grow, without anything else. */
static void measure_growth(void)
{
    struct pool *pool = neap_pool_new(plain_realloc, NULL, 0);
    struct map map = neap_map_of(0x9e3779b97f4a7c15);
    struct heap heap = {0};
    struct map_node *nodes = calloc(ENTRIES, sizeof *nodes);
    struct heap_node *timers = calloc(ENTRIES, sizeof *timers);
    uint64_t worst_map = 0, worst_heap = 0;

    for (size_t i = 0; i < ENTRIES; i++) {
        uint64_t start = cpu_now();
        neap_map_add(&map, pool, &nodes[i], i * 0x2545f4914f6cdd1d);
        uint64_t middle = cpu_now();
        neap_heap_set(&heap, pool, &timers[i], ENTRIES - i);
        uint64_t end = cpu_now();

        worst_map = middle - start > worst_map ? middle - start : worst_map;
        worst_heap = end - middle > worst_heap ? end - middle : worst_heap;
    }
    printf("\nGrown to %u entries alone, the worst call took %.0f µs in a map, %.0f µs in a heap.\n", ENTRIES,
           (double)worst_map / 1000, (double)worst_heap / 1000);
    neap_map_free(&map, pool);
    neap_heap_free(&heap, pool);
    neap_pool_release(pool);
    free(nodes);
    free(timers);
}

static void scale(const size_t *counts, size_t rows, size_t percent)
{
    struct world w = {.percent = percent};
    double first = 0;

    open_world(&w, SIZE_MAX, 262144);
    size_t before = server_memory(&w);
    printf("| connections | that talk | server: µs of CPU a packet | of one connection's | worst call, µs | pool bytes a "
           "connection |\n|---|---|---|---|---|---|\n");
    for (size_t i = 0; i < rows; i++) {
        connect_up_to(&w, counts[i]);
        size_t memory = server_memory(&w) - before;
        double cost = measure(&w);

        first = first > 0 ? first : cost;
        printf("| %zu | %zu | %.2f | %.2f | %.0f | %zu |\n", w.count, talkers(&w), cost,
               cost / first, (double)w.worst / 1000, memory / w.count);
        fflush(stdout);
    }
    measure_growth();
    neap_endpoint_free(w.client);
    neap_endpoint_free(w.server);
}

/* ---- many */

/* What a client's connection got. */
struct share {
    uint64_t bytes, *streams;
};

static void fill(neap_conn *conn, uint64_t id)
{
    static const uint8_t bytes[BULK_BUFFER];

    while (neap_conn_stream_send(conn, id, bytes, sizeof bytes, false) == sizeof bytes)
        ;
}

/* A server's streams are full from the first byte of a request on. */
static void serve_bulk(struct world *w)
{
    uint8_t bytes[16];
    bool fin;

    for (neap_conn *conn; (conn = neap_endpoint_next(w->server)) != NULL;) {
        for (int64_t id; (id = neap_conn_stream_readable_next(conn)) >= 0;) {
            neap_conn_stream_recv(conn, (uint64_t)id, bytes, sizeof bytes, &fin);
            fill(conn, (uint64_t)id);
        }
        for (int64_t id; (id = neap_conn_stream_writable_next(conn)) >= 0;)
            fill(conn, (uint64_t)id);
    }
}

static uint64_t read_bulk(struct world *w)
{
    static uint8_t bytes[65536];
    uint64_t sum = 0;
    bool fin;

    for (neap_conn *conn; (conn = neap_endpoint_next(w->client)) != NULL;) {
        struct share *share = neap_conn_user(conn);

        for (int64_t id, size; (id = neap_conn_stream_readable_next(conn)) >= 0;)
            while ((size = neap_conn_stream_recv(conn, (uint64_t)id, bytes, sizeof bytes, &fin)) > 0) {
                share->bytes += (uint64_t)size;
                share->streams[id / 4] += (uint64_t)size;
                sum += (uint64_t)size;
            }
    }
    return sum;
}

static uint64_t bulk_round(struct world *w)
{
    uint64_t start = cpu_now();

    arrive(&w->up);
    take(w, w->server, &w->up);
    serve_bulk(w);
    give(w, w->server, &w->down, BULK_BYTES);
    w->cpu += cpu_now() - start;
    clear(&w->up);
    w->now += BULK_ROUND;
    arrive(&w->down);
    take(w, w->client, &w->down);
    clear(&w->down);
    uint64_t sum = read_bulk(w);
    give(w, w->client, &w->up, SIZE_MAX);
    w->now += BULK_ROUND;
    return sum;
}

static void print_range(const char *what, uint64_t least, uint64_t most, double mean)
{
    printf("| %s, of the mean: the least, the most | %.2f, %.2f |\n", what, (double)least / mean, (double)most / mean);
}

static void many(size_t connections, size_t streams, uint64_t bytes)
{
    struct world w = {0};
    struct share *shares = calloc(connections, sizeof *shares);
    size_t limit = connections * (65536 + streams * 2 * BULK_BUFFER), used = 0;
    uint64_t sum = 0, least[2] = {UINT64_MAX, UINT64_MAX}, most[2] = {0};
    neap_memory_stats memory;

    open_world(&w, limit, BULK_BUFFER);
    connect_up_to(&w, connections);
    for (size_t i = 0; i < connections; i++) {
        shares[i].streams = calloc(streams, sizeof *shares[i].streams);
        neap_conn_set_user(w.conns[i], &shares[i]);
        for (size_t j = 0; j < streams; j++)
            neap_conn_stream_send(w.conns[i], (uint64_t)neap_conn_stream_open(w.conns[i], true), "x", 1, true);
    }
    give(&w, w.client, &w.up, SIZE_MAX);
    while (sum < bytes) {
        sum += bulk_round(&w);
        neap_config_memory(w.config[1], &memory, sizeof memory);
        used = memory.reserved > used ? memory.reserved : used;
    }
    for (size_t i = 0; i < connections; i++) {
        least[0] = shares[i].bytes < least[0] ? shares[i].bytes : least[0];
        most[0] = shares[i].bytes > most[0] ? shares[i].bytes : most[0];
        for (size_t j = 0; j < streams; j++) {
            least[1] = shares[i].streams[j] < least[1] ? shares[i].streams[j] : least[1];
            most[1] = shares[i].streams[j] > most[1] ? shares[i].streams[j] : most[1];
        }
        free(shares[i].streams);
    }
    printf("| %zu connections × %zu streams of bulk, %.0f MB in all | |\n|---|---|\n", connections, streams,
           (double)sum / 1e6);
    print_range("bytes of a connection", least[0], most[0], (double)sum / (double)connections);
    print_range("bytes of a stream", least[1], most[1], (double)sum / (double)(connections * streams));
    printf("| the server's memory at its highest, and its limit, MB | %.0f, %.0f |\n", (double)used / 1e6,
           (double)limit / 1e6);
    printf("| what was refused for want of it | %llu |\n", (unsigned long long)memory.refused);
    printf("| the server's CPU, s a GB | %.2f |\n", (double)w.cpu / (double)sum);
    neap_endpoint_free(w.client);
    neap_endpoint_free(w.server);
    free(shares);
}

int main(int count, char **arguments)
{
    size_t numbers[16] = {1, 100, 10000, 100000}, given = 0, percent = 1;
    int first = 2;

    if (count > 3 && strcmp(arguments[2], "--talk") == 0) {
        percent = strtoul(arguments[3], NULL, 10);
        first = 4;
    }
    for (int i = first; i < count && i < first + 16; i++)
        numbers[given++] = strtoul(arguments[i], NULL, 10);
    if (count > 1 && strcmp(arguments[1], "scale") == 0 && percent <= 100)
        scale(numbers, given ? given : 4, percent);
    else if (count > 1 && strcmp(arguments[1], "many") == 0 && given == 3)
        many(numbers[0], numbers[1], numbers[2] * 1000000);
    else {
        fprintf(stderr, "usage: bench_scale scale [--talk PERCENT] [CONNECTIONS...] | many CONNECTIONS STREAMS MEGABYTES\n");
        return 2;
    }
    return 0;
}
