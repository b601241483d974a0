/* An HTTP/3 server in C with a poll loop of its own: neap does no I/O here, it takes and gives datagrams.
 *   cc embed.c $(pkg-config --cflags --libs neap) -o embed
 *   ./embed 127.0.0.1:4433 cert.pem key.pem */
#include <neap.h>
#include <neap_runtime.h> /* neap_udp_*, neap_loop_now: any socket and clock of yours will do as well */

#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define UDP_PAYLOAD 65536

/* What we keep of a connection: its HTTP/3, in a list of all. */
struct session {
    neap_conn *conn;
    neap_h3 *h3;
    struct session *next, **from;
};

static struct session *sessions;
static volatile sig_atomic_t stopped;

static void stop(int number)
{
    (void)number;
    stopped = 1;
}

static neap_field field(const char *name, const char *value)
{
    return (neap_field){.name = name, .name_size = strlen(name), .value = value, .value_size = strlen(value)};
}

/* Answer one request: GET gives a line of text, everything else 405. */
static void answer(neap_h3 *h3, const neap_h3_event *event)
{
    static const char hello[] = "hello from C over HTTP/3\n";
    char size[24];
    bool is_get = false;

    for (size_t i = 0; i < event->field_count; i++) {
        const neap_field *f = &event->fields[i];
        if (f->name_size == 7 && memcmp(f->name, ":method", 7) == 0)
            is_get = f->value_size == 3 && memcmp(f->value, "GET", 3) == 0;
    }
    snprintf(size, sizeof size, "%zu", is_get ? strlen(hello) : 0);
    neap_field fields[] = {field(":status", is_get ? "200" : "405"), field("content-type", "text/plain"),
                           field("content-length", size)};
    neap_h3_respond(h3, event->stream, fields, 3, hello,
                    is_get ? strlen(hello) : 0); /* it fits into the send buffer */
}

static struct session *new_session(neap_conn *conn)
{
    struct session *session = calloc(1, sizeof *session);

    if (session == NULL)
        return NULL;
    *session = (struct session){conn, neap_h3_new(conn, NULL), sessions, &sessions};
    if (sessions != NULL)
        sessions->from = &session->next;
    sessions = session;
    neap_conn_set_user(conn, session);
    return session;
}

static void end_session(struct session *session)
{
    *session->from = session->next;
    if (session->next != NULL)
        session->next->from = session->from;
    neap_h3_free(session->h3); /* before its connection */
    free(session);
}

/* Something is new on this connection: make its HTTP/3, take its requests, let go of it at the end. */
static void serve(neap_endpoint *endpoint, neap_conn *conn)
{
    struct session *session = neap_conn_user(conn);
    neap_h3_event event;

    if (session == NULL)
        session = new_session(conn);
    if (session == NULL || neap_conn_is_closed(conn)) {
        if (session != NULL)
            end_session(session);
        neap_endpoint_release(endpoint, conn);
        return;
    }
    while (session->h3 != NULL && neap_h3_poll(session->h3, &event) == NEAP_OK) {
        if (event.type == NEAP_H3_HEADERS)
            answer(session->h3, &event);
        else if (event.type == NEAP_H3_DATA)
            neap_h3_stop_body(session->h3, event.stream, NEAP_H3_NO_ERROR);
        else if (event.type == NEAP_H3_RESET || event.type == NEAP_H3_STOPPED)
            neap_h3_cancel(session->h3, event.stream, NEAP_H3_REQUEST_CANCELLED);
    }
    neap_endpoint_touch(endpoint, conn);
}

/* Send what the endpoint has; a train of datagrams goes out one by one here. */
static void send_all(neap_endpoint *endpoint, int fd)
{
    static uint8_t bytes[UDP_PAYLOAD];
    neap_udp_datagram out = {.bytes = bytes};
    int64_t size;

    while ((size = neap_endpoint_send(endpoint, &out, sizeof bytes, neap_loop_now())) > 0) {
        size_t segment = out.segment_size > 0 ? out.segment_size : (size_t)size;
        neap_send_info info = {.from = out.from, .to = out.to, .ecn = out.ecn};
        for (size_t at = 0; at < (size_t)size; at += segment) {
            size_t left = (size_t)size - at;
            neap_udp_send(fd, bytes + at, left < segment ? left : segment,
                          &info); /* a full socket: as if lost */
        }
    }
}

static void run(neap_endpoint *endpoint, int fd, const neap_address *local)
{
    static uint8_t bytes[UDP_PAYLOAD];

    while (!stopped) {
        neap_time now = neap_loop_now(), wake = neap_endpoint_timeout(endpoint);
        int timeout = wake == NEAP_NEVER ? -1 : wake <= now ? 0 : (int)((wake - now) / NEAP_MILLISECOND + 1);
        struct pollfd poll_fd = {.fd = fd, .events = POLLIN};
        neap_recv_info info;
        neap_conn *conn;
        int64_t size;

        poll(&poll_fd, 1, timeout);
        while ((size = neap_udp_recv(fd, local, bytes, sizeof bytes, &info)) >= 0) {
            neap_udp_datagram in = {
                .bytes = bytes, .size = (size_t)size, .from = info.from, .to = info.to, .ecn = info.ecn};
            neap_endpoint_recv(endpoint, &in, neap_loop_now());
        }
        while ((conn = neap_endpoint_next(endpoint)) != NULL)
            serve(endpoint, conn);
        send_all(endpoint, fd);
    }
}

int main(int argc, char **argv)
{
    static const char *const protocols[] = {"h3"};
    const char *why = "out of memory";
    char text[80];
    neap_address local;

    if (argc != 4) {
        fprintf(stderr, "usage: %s ADDRESS:PORT CERTIFICATE KEY\n", argv[0]);
        return 2;
    }
    neap_config *config = neap_config_new(NULL);
    if (config == NULL || neap_config_set_alpn(config, protocols, 1) != NEAP_OK ||
        neap_config_add_certificate_files(config, argv[2], argv[3], &why) != NEAP_OK) {
        fprintf(stderr, "%s: %s\n", argv[2], why);
        return 1;
    }
    int fd = neap_udp_bind(argv[1], &local);
    neap_endpoint *endpoint = neap_endpoint_new(config, true, NULL);
    if (fd < 0 || endpoint == NULL) {
        perror(argv[1]);
        return 1;
    }
    signal(SIGTERM, stop);
    signal(SIGINT, stop);
    neap_address_format(&local, text, sizeof text);
    printf("listening on %s\n", text);
    fflush(stdout);
    run(endpoint, fd, &local);
    for (struct session *session = sessions; session != NULL; session = session->next) {
        neap_conn_close(session->conn, true, NEAP_H3_NO_ERROR, "", 0);
        neap_endpoint_touch(endpoint, session->conn);
    }
    send_all(endpoint, fd);
    while (sessions != NULL)
        end_session(sessions);
    neap_endpoint_free(endpoint);
    neap_config_free(config);
    return 0;
}
