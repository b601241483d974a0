/* An HTTP/3 client in C with a poll loop of its own, one connection: the body goes to standard output.
 *   cc client.c $(pkg-config --cflags --libs neap) -o client
 *   ./client 127.0.0.1:4433 localhost /path [CA.pem] */
#include <neap.h>
#include <neap_runtime.h> /* neap_udp_*, neap_loop_now: any socket and clock of yours will do as well */

#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define UDP_PAYLOAD 65536

static neap_field field(const char *name, const char *value)
{
    return (neap_field){.name = name, .name_size = strlen(name), .value = value, .value_size = strlen(value)};
}

static void print_fields(const neap_h3_event *event)
{
    for (size_t i = 0; i < event->field_count; i++) {
        const neap_field *f = &event->fields[i];
        fprintf(stderr, "%.*s: %.*s\n", (int)f->name_size, f->name, (int)f->value_size, f->value);
    }
}

/* Ask once the handshake is done, then take what comes. True when the response is over. */
static bool talk(neap_h3 *h3, neap_conn *conn, int64_t *stream, const char *host, const char *path)
{
    static uint8_t body[UDP_PAYLOAD];
    neap_h3_event event;
    int64_t size;

    if (*stream < 0 && neap_conn_is_established(conn)) {
        neap_field fields[] = {field(":method", "GET"), field(":scheme", "https"), field(":authority", host),
                               field(":path", path)};
        *stream = neap_h3_send_request(h3, fields, 4, true);
    }
    while (neap_h3_poll(h3, &event) == NEAP_OK) {
        if (event.type == NEAP_H3_HEADERS)
            print_fields(&event);
        else if (event.type == NEAP_H3_DATA)
            while ((size = neap_h3_recv_body(h3, event.stream, body, sizeof body)) > 0)
                fwrite(body, 1, (size_t)size, stdout);
        else if (event.type == NEAP_H3_FINISHED || event.type == NEAP_H3_RESET)
            return true;
    }
    return false;
}

static void send_all(neap_conn *conn, int fd)
{
    static uint8_t bytes[UDP_PAYLOAD];
    neap_send_info info;
    int64_t size;

    while ((size = neap_conn_send(conn, bytes, sizeof bytes, &info, neap_loop_now())) > 0)
        neap_udp_send(fd, bytes, (size_t)size, &info); /* a full socket: as if lost */
}

static int run(neap_conn *conn, neap_h3 *h3, int fd, const neap_address *local, char **argv)
{
    static uint8_t bytes[UDP_PAYLOAD];
    int64_t stream = -1;
    bool done = false;

    while (!neap_conn_is_draining(conn) && !neap_conn_is_closed(conn)) {
        neap_time now = neap_loop_now(), wake = neap_conn_timeout(conn);
        int timeout = wake == NEAP_NEVER ? -1 : wake <= now ? 0 : (int)((wake - now) / NEAP_MILLISECOND + 1);
        struct pollfd poll_fd = {.fd = fd, .events = POLLIN};
        neap_recv_info info;
        int64_t size;

        send_all(conn, fd);
        poll(&poll_fd, 1, timeout);
        while ((size = neap_udp_recv(fd, local, bytes, sizeof bytes, &info)) >= 0)
            neap_conn_recv(conn, bytes, (size_t)size, &info, neap_loop_now());
        if (neap_conn_timeout(conn) <= neap_loop_now())
            neap_conn_on_timeout(conn, neap_loop_now());
        done = talk(h3, conn, &stream, argv[2], argv[3]);
        if (done)
            neap_conn_close(conn, true, NEAP_H3_NO_ERROR, "", 0);
    }
    send_all(conn, fd); /* the CONNECTION_CLOSE */
    neap_close_info why;
    neap_conn_close_info(conn, &why, sizeof why);
    if (!done)
        fprintf(stderr, "connection ended: %s %s\n", neap_wire_error_name(why.code, why.is_application),
                why.reason != NULL ? why.reason : "");
    return done ? 0 : 1;
}

int main(int argc, char **argv)
{
    static const char *const protocols[] = {"h3"};
    const char *why = "out of memory";
    neap_address peer, local;

    if (argc < 4 || argc > 5 || neap_address_parse(argv[1], 443, &peer) != NEAP_OK) {
        fprintf(stderr, "usage: %s ADDRESS:PORT HOST PATH [CA.pem]\n", argv[0]);
        return 2;
    }
    neap_config *config = neap_config_new(NULL);
    if (config == NULL || neap_config_set_alpn(config, protocols, 1) != NEAP_OK ||
        (argc == 5 && neap_config_add_ca_path(config, argv[4], &why) != NEAP_OK)) {
        fprintf(stderr, "%s: %s\n", argc == 5 ? argv[4] : "config", why);
        return 1;
    }
    int fd = neap_udp_bind(peer.family == 4 ? "0.0.0.0:0" : "[::]:0", &local);
    if (fd < 0) {
        perror("socket");
        return 1;
    }
    neap_conn *conn = neap_connect(config, argv[2], &local, &peer, neap_loop_now(), &why);
    neap_h3 *h3 = conn != NULL ? neap_h3_new(conn, NULL) : NULL;
    if (h3 == NULL) {
        fprintf(stderr, "connect: %s\n", why);
        return 1;
    }
    int status = run(conn, h3, fd, &local, argv);
    neap_h3_free(h3);
    neap_conn_free(conn);
    neap_config_free(config);
    return status;
}
