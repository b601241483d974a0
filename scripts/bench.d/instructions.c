/* A client and a server in one process, in memory and in virtual time, which do one thing so often: scripts/bench
 * instructions counts what they execute.
 *   bench_instructions handshake|exchange|request|bulk TIMES */
#include "neap.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define TRAIN 65507u
#define HALF_ROUND_TRIP (5 * NEAP_MILLISECOND)
#define FIELDS(list) (list), sizeof(list) / sizeof *(list)
#define FIELD(a, b)                                                                        \
    {                                                                                      \
        .name = (a), .value = (b), .name_size = sizeof(a) - 1, .value_size = sizeof(b) - 1 \
    }

struct side {
    neap_config *config;
    neap_endpoint *endpoint;
    neap_address address;
    neap_conn *conn;
    neap_h3 *h3;
    bool speaks_h3;
};

struct world {
    struct side client, server;
    neap_time now;
    uint64_t answers, bytes; /* that the client has */
    uint64_t asked;          /* bytes that the server shall send on `bulk` */
    int64_t bulk;            /* its stream, or -1 */
};

static void check(bool ok, const char *what)
{
    if (ok)
        return;
    fprintf(stderr, "instructions: %s\n", what ? what : "something failed");
    exit(1);
}

/* ---- what the applications do */

static void answer_requests(struct side *server)
{
    static const neap_field fields[] = {FIELD(":status", "200"), FIELD("content-type", "text/plain"),
                                        FIELD("server", "neap")};

    for (neap_h3_event event; neap_h3_poll(server->h3, &event) == 0;)
        if (event.type == NEAP_H3_HEADERS)
            check(neap_h3_respond(server->h3, event.stream, FIELDS(fields), "hello, world", 12) == 12,
                  "no response");
}

static void read_responses(struct world *w)
{
    uint8_t bytes[64];

    for (neap_h3_event event; neap_h3_poll(w->client.h3, &event) == 0;) {
        if (event.type == NEAP_H3_DATA)
            while (neap_h3_recv_body(w->client.h3, event.stream, bytes, sizeof bytes) > 0)
                ;
        w->answers += event.type == NEAP_H3_FINISHED;
    }
}

static void use_streams(struct world *w, neap_conn *conn)
{
    static uint8_t bytes[65536];
    bool fin;

    for (int64_t id, size; (id = neap_conn_stream_readable_next(conn)) >= 0;)
        while ((size = neap_conn_stream_recv(conn, (uint64_t)id, bytes, sizeof bytes, &fin)) > 0) {
            if (!neap_conn_is_server(conn))
                w->answers++, w->bytes += (uint64_t)size;
            else if (w->asked)
                w->bulk = id;
            else
                neap_conn_stream_send(conn, (uint64_t)id, bytes, (size_t)size, false);
        }
    if (!neap_conn_is_server(conn))
        return;
    while (neap_conn_stream_writable_next(conn) >= 0)
        ;
    while (w->bulk >= 0 && w->asked) {
        size_t part = w->asked < sizeof bytes ? (size_t)w->asked : sizeof bytes;
        int64_t size = neap_conn_stream_send(conn, (uint64_t)w->bulk, bytes, part, false);

        if (size <= 0)
            break;
        w->asked -= (uint64_t)size;
    }
}

/* ---- turns */

static void applications(struct world *w, struct side *side)
{
    for (neap_conn *conn; (conn = neap_endpoint_next(side->endpoint)) != NULL;) {
        if (side->speaks_h3 && neap_conn_is_server(conn) && conn != side->conn)
            side->conn = conn, side->h3 = neap_h3_new(conn, NULL);
        if (side->h3 && side == &w->server)
            answer_requests(side);
        else if (side->h3)
            read_responses(w);
        else
            use_streams(w, conn);
    }
}

/* All that `from` has to send reaches `to`, which looks at it once. */
static void move(struct world *w, struct side *from, struct side *to)
{
    static uint8_t bytes[65536];
    neap_udp_datagram d = {.bytes = bytes};

    for (int64_t size; (size = neap_endpoint_send(from->endpoint, &d, TRAIN, w->now)) >= 0;) {
        if (size == 0)
            continue;
        d.size = (size_t)size;
        neap_endpoint_recv(to->endpoint, &d, w->now);
        d = (neap_udp_datagram){.bytes = bytes};
    }
    applications(w, to);
}

static void turn(struct world *w)
{
    w->now += HALF_ROUND_TRIP;
    move(w, &w->client, &w->server);
    w->now += HALF_ROUND_TRIP;
    move(w, &w->server, &w->client);
}

static void open_side(struct side *side, bool is_server, bool speaks_h3)
{
    static char certificate[4096], key[4096];
    const char *alpn = speaks_h3 ? "h3" : "instructions", *name = "localhost", *why = NULL;

    side->speaks_h3 = speaks_h3;
    side->config = neap_config_new(NULL);
    neap_config_set_alpn(side->config, &alpn, 1);
    neap_config_set(side->config, "handshake_rate", 0);
    neap_config_set(side->config, "verify_peer", 0);
    neap_address_parse(is_server ? "192.0.2.2:443" : "192.0.2.1:1000", 0, &side->address);
    if (is_server) {
        check(neap_make_certificate(side->config, &name, 1, 2, certificate, sizeof certificate, key,
                                    sizeof key) == 0,
              "no certificate");
        check(neap_config_add_certificate(side->config, certificate, strlen(certificate), key, strlen(key),
                                          &why) == 0,
              why);
    }
    side->endpoint = neap_endpoint_new(side->config, is_server, &why);
    check(side->endpoint != NULL, why);
}

static void connect_client(struct world *w)
{
    const char *why = NULL;
    neap_conn *conn = neap_endpoint_connect(w->client.endpoint, NULL, "localhost", &w->client.address,
                                            &w->server.address, w->now, &why);

    check(conn != NULL, why);
    w->client.conn = conn;
    if (w->client.speaks_h3)
        w->client.h3 = neap_h3_new(conn, NULL);
    for (size_t i = 0; i < 50 && !neap_conn_is_confirmed(conn); i++)
        turn(w);
    check(neap_conn_is_confirmed(conn), "the handshake did not end");
}

/* ---- what is counted */

static void handshakes(struct world *w, uint64_t times)
{
    for (uint64_t i = 0; i < times; i++) {
        connect_client(w);
        neap_conn_close(w->client.conn, true, 0, NULL, 0);
        turn(w);
        neap_endpoint_release(w->client.endpoint, w->client.conn);
    }
}

static void until(struct world *w, const uint64_t *figure, uint64_t value)
{
    for (size_t i = 0; i < 1000000 && *figure < value; i++)
        turn(w);
    check(*figure >= value, "no answer");
}

static void exchanges(struct world *w, uint64_t times)
{
    static const uint8_t bytes[100];
    int64_t id = neap_conn_stream_open(w->client.conn, true);

    for (uint64_t i = 0; i < times; i++) {
        check(neap_conn_stream_send(w->client.conn, (uint64_t)id, bytes, sizeof bytes, false) == sizeof bytes,
              "no room");
        until(w, &w->answers, i + 1);
    }
}

static void requests(struct world *w, uint64_t times)
{
    static const neap_field fields[] = {FIELD(":method", "GET"), FIELD(":scheme", "https"),
                                        FIELD(":path", "/hello"), FIELD(":authority", "localhost"),
                                        FIELD("user-agent", "bench")};

    for (uint64_t i = 0; i < times; i++) {
        check(neap_h3_send_request(w->client.h3, FIELDS(fields), true) >= 0, "no request");
        until(w, &w->answers, i + 1);
    }
}

static void bulk(struct world *w, uint64_t times)
{
    int64_t id = neap_conn_stream_open(w->client.conn, true);

    w->asked = times * 1048576;
    neap_conn_stream_send(w->client.conn, (uint64_t)id, "x", 1, false);
    until(w, &w->bytes, times * 1048576);
}

int main(int count, char **arguments)
{
    static const struct {
        const char *name;
        void (*run)(struct world *w, uint64_t times);
        bool speaks_h3, connects;
    } all[] = {{"handshake", handshakes, false, false},
               {"exchange", exchanges, false, true},
               {"request", requests, true, true},
               {"bulk", bulk, false, true}};
    struct world w = {.now = NEAP_SECOND, .bulk = -1};

    for (size_t i = 0; count == 3 && i < sizeof all / sizeof *all; i++) {
        if (strcmp(arguments[1], all[i].name) != 0)
            continue;
        open_side(&w.client, false, all[i].speaks_h3);
        open_side(&w.server, true, all[i].speaks_h3);
        if (all[i].connects)
            connect_client(&w);
        all[i].run(&w, strtoull(arguments[2], NULL, 10));
        return 0;
    }
    fprintf(stderr, "usage: bench_instructions handshake|exchange|request|bulk TIMES\n");
    return 2;
}
