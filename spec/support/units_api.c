/* neap.units.api: neap.h as a program in C uses it, with two endpoints and a wire of memory. */
#include "neap.h"
#include "neap_runtime.h"
#include "units.h"

#include <lauxlib.h>
#include <lua.h>
#include <stdlib.h>
#include <string.h>

int neap_units_api(lua_State *L);

static const neap_address CLIENT_AT = {.ip = {192, 0, 2, 1}, .port = 1000, .family = 4};
static const neap_address SERVER_AT = {.ip = {192, 0, 2, 2}, .port = 443, .family = 4};

struct wire {
    neap_config *server_config, *client_config;
    neap_endpoint *server, *client;
    neap_conn *conn, *accepted;
    neap_time now;
    char certificate[2048], key[1024];
};

static void open_wire(lua_State *L, struct wire *w, const neap_env *server_env)
{
    static const char *const names[] = {"localhost"}, *const protocols[] = {"h3"};

    *w = (struct wire){.now = NEAP_SECOND};
    w->server_config = neap_config_new(server_env);
    w->client_config = neap_config_new(NULL);
    neap_config_set(w->client_config, "max_datagram_frame_size", 65535);
    int rc = neap_make_certificate(w->client_config, names, 1, 1, w->certificate, sizeof w->certificate,
                                   w->key, sizeof w->key);
    rc = rc ? rc
            : neap_config_add_certificate(w->server_config, w->certificate, strlen(w->certificate), w->key,
                                          strlen(w->key), NULL);
    rc = rc ? rc : neap_config_add_ca(w->client_config, w->certificate, strlen(w->certificate), NULL);
    neap_config_set_alpn(w->server_config, protocols, 1);
    neap_config_set_alpn(w->client_config, protocols, 1);
    w->server = neap_endpoint_new(w->server_config, true, NULL);
    w->client = neap_endpoint_new(w->client_config, false, NULL);
    if (rc || !w->server || !w->client)
        luaL_error(L, "no endpoints");
}

static void close_wire(struct wire *w)
{
    neap_endpoint_free(w->client);
    neap_endpoint_free(w->server);
    neap_config_free(w->client_config);
    neap_config_free(w->server_config);
}

static void carry(struct wire *w, neap_endpoint *from, neap_endpoint *to)
{
    static uint8_t bytes[65536];
    neap_udp_datagram d = {.bytes = bytes};
    int64_t size;

    while ((size = neap_endpoint_send(from, &d, sizeof bytes, w->now)) >= 0) {
        neap_udp_datagram in = {.bytes = bytes,
                                .size = (size_t)size,
                                .segment_size = d.segment_size,
                                .from = from == w->client ? CLIENT_AT : SERVER_AT,
                                .to = from == w->client ? SERVER_AT : CLIENT_AT};
        neap_endpoint_recv(to, &in, w->now);
    }
}

/* Some round trips, after which nothing is on its way and everything new was looked at. */
static void settle(struct wire *w)
{
    neap_conn *conn;

    for (int i = 0; i < 10; i++) {
        carry(w, w->client, w->server);
        while ((conn = neap_endpoint_next(w->server)) != NULL)
            w->accepted = conn;
        w->now += NEAP_MILLISECOND;
        carry(w, w->server, w->client);
        while (neap_endpoint_next(w->client) != NULL) {
        }
        w->now += 30 * NEAP_MILLISECOND;
    }
}

static void establish(lua_State *L, struct wire *w)
{
    open_wire(L, w, NULL);
    w->conn = neap_endpoint_connect(w->client, NULL, "localhost", &CLIENT_AT, &SERVER_AT, w->now, NULL);
    settle(w);
    if (!w->accepted || !neap_conn_is_confirmed(w->conn))
        luaL_error(L, "no handshake");
}

/* Time passes as the server's endpoint wants to be called. */
static void pass(struct wire *w, neap_time until)
{
    for (neap_time at; (at = neap_endpoint_timeout(w->server)) < until;) {
        w->now = at > w->now ? at : w->now;
        carry(w, w->server, w->client);
    }
}

/* HTTP/3 at both ends, and a request whose body is not at its end. */
struct http {
    neap_h3 *ours, *theirs;
    uint64_t request;
};

#define FIELD(n, v)                                                                        \
    {                                                                                      \
        .name = (n), .value = (v), .name_size = sizeof(n) - 1, .value_size = sizeof(v) - 1 \
    }

static void poll_all(neap_h3 *h3)
{
    neap_h3_event event;

    while (neap_h3_poll(h3, &event) == 0) {
    }
}

static void open_http(lua_State *L, struct wire *w, struct http *http)
{
    static const neap_field request[] = {FIELD(":method", "POST"), FIELD(":scheme", "https"),
                                         FIELD(":authority", "localhost"), FIELD(":path", "/")};

    *http = (struct http){.ours = neap_h3_new(w->conn, NULL), .theirs = neap_h3_new(w->accepted, NULL)};
    poll_all(http->ours);
    poll_all(http->theirs);
    settle(w);
    poll_all(http->ours);
    poll_all(http->theirs);
    int64_t id = neap_h3_send_request(http->ours, request, 4, false);
    settle(w);
    poll_all(http->theirs);
    settle(w);
    if (id < 0)
        luaL_error(L, "no request: %d", (int)id);
    http->request = (uint64_t)id;
}

static void close_http(struct http *http)
{
    neap_h3_free(http->ours);
    neap_h3_free(http->theirs);
}

/* connect_without(name|nil, verify) -> whether a connection was made, why not */
static int connect_without(lua_State *L)
{
    struct wire w;
    const char *why = NULL;

    open_wire(L, &w, NULL);
    neap_endpoint_free(w.client); /* it keeps the config as it is */
    w.client = NULL;
    neap_config_set(w.client_config, "verify_peer", lua_toboolean(L, 2) ? 1 : 0);
    neap_conn *conn = neap_connect(w.client_config, lua_tostring(L, 1), &CLIENT_AT, &SERVER_AT, w.now, &why);
    lua_pushboolean(L, conn != NULL);
    lua_pushstring(L, why);
    neap_conn_free(conn);
    close_wire(&w);
    return 2;
}

/* server_lacking(what) -> whether an endpoint was made, why not */
static int server_lacking(lua_State *L)
{
    const char *what = luaL_checkstring(L, 1), *why = NULL;
    static const char *const protocols[] = {"h3"};
    struct wire w;

    open_wire(L, &w, NULL);
    neap_config *config = strcmp(what, "config") == 0 ? NULL : neap_config_new(NULL);
    if (config && strcmp(what, "certificate") != 0)
        neap_config_add_certificate(config, w.certificate, strlen(w.certificate), w.key, strlen(w.key), NULL);
    if (config && strcmp(what, "alpn") != 0)
        neap_config_set_alpn(config, protocols, 1);
    if (config && strcmp(what, "ids") == 0)
        neap_config_set(config, "source_connection_id_size", 3);
    neap_endpoint *endpoint = neap_endpoint_new(config, true, &why);
    lua_pushboolean(L, endpoint != NULL);
    lua_pushstring(L, why);
    neap_endpoint_free(endpoint);
    neap_config_free(config);
    close_wire(&w);
    return 2;
}

/* changed() -> what neap_config_set and _set_alpn say while a connection lives, while an endpoint does, and after */
static int changed(lua_State *L)
{
    static const char *const protocols[] = {"h3"};
    neap_config *config = neap_config_new(NULL);

    neap_config_set(config, "verify_peer", 0);
    neap_config_set_alpn(config, protocols, 1);
    neap_conn *conn = neap_connect(config, "localhost", &CLIENT_AT, &SERVER_AT, NEAP_SECOND, NULL);
    lua_pushinteger(L, neap_config_set(config, "initial_max_data", 1));
    lua_pushinteger(L, neap_config_set_alpn(config, protocols, 1));
    lua_pushinteger(L, neap_config_set(config, "no_such_option", 1));
    neap_conn_free(conn);
    neap_endpoint *endpoint = neap_endpoint_new(config, false, NULL);
    lua_pushinteger(L, neap_config_set(config, "initial_max_data", 1));
    neap_endpoint_free(endpoint);
    lua_pushinteger(L, neap_config_set(config, "initial_max_data", 1));
    lua_pushinteger(L, neap_config_set_alpn(config, protocols, 1));
    neap_config_free(config);
    return 6;
}

/* freed() -> connections that the server's endpoint has after neap_conn_free of its only one */
static int freed(lua_State *L)
{
    struct wire w;
    neap_endpoint_stats stats;

    establish(L, &w);
    neap_conn_free(w.accepted);
    neap_endpoint_get_stats(w.server, &stats, sizeof stats);
    lua_pushinteger(L, (lua_Integer)stats.connections);
    settle(&w);
    lua_pushboolean(L, neap_endpoint_next(w.server) == NULL);
    close_wire(&w);
    return 2;
}

/* answered(how) -> whether what the server does outside of neap_endpoint_next, touching nothing, reaches the client */
static int answered(lua_State *L)
{
    const char *how = luaL_checkstring(L, 1);
    struct wire w;
    bool arrived = false;

    establish(L, &w);
    if (strcmp(how, "send") == 0) {
        int64_t id = neap_conn_stream_open(w.accepted, false);
        neap_conn_stream_send(w.accepted, (uint64_t)id, "tide", 4, true);
        carry(&w, w.server, w.client);
        arrived = neap_conn_stream_readable_next(w.conn) == id;
    } else if (strcmp(how, "close") == 0) {
        neap_conn_close(w.accepted, true, 7, "", 0);
        carry(&w, w.server, w.client);
        arrived = neap_conn_is_draining(w.conn);
    } else if (strcmp(how, "stop") == 0) {
        int64_t id = neap_conn_stream_open(w.conn, true);
        uint64_t code = 0;
        neap_conn_stream_send(w.conn, (uint64_t)id, "tide", 4, false);
        settle(&w);
        neap_conn_stream_shutdown(w.accepted, (uint64_t)id, NEAP_SHUTDOWN_READ, 9);
        carry(&w, w.server, w.client);
        arrived = neap_conn_stream_error(w.conn, (uint64_t)id, NEAP_SHUTDOWN_WRITE, &code) == 0 && code == 9;
    } else if (strcmp(how, "datagram") == 0) {
        char got[8];
        neap_conn_datagram_send(w.accepted, "tide", 4, NULL, 0);
        carry(&w, w.server, w.client);
        arrived = neap_endpoint_next(w.client) == w.conn && neap_conn_datagram_size(w.conn) == 4 &&
                  neap_conn_datagram_recv(w.conn, got, sizeof got) == 4 && memcmp(got, "tide", 4) == 0;
    } else if (strcmp(how, "ping") == 0 || strcmp(how, "keep_alive") == 0) {
        neap_stats before, after;
        neap_conn_stats(w.conn, &before, sizeof before);
        if (how[0] == 'p') {
            neap_conn_ping(w.accepted);
        } else { /* a PING after half of the idle timeout, for one who goes by neap_endpoint_timeout */
            neap_time asked = w.now + 10 * NEAP_SECOND;
            pass(&w, asked);
            neap_conn_keep_alive(w.accepted, NEAP_NEVER);
            pass(&w, asked + 10 * NEAP_SECOND);
        }
        carry(&w, w.server, w.client);
        neap_conn_stats(w.conn, &after, sizeof after);
        arrived = after.packets_received > before.packets_received;
    } else if (strcmp(how, "cancel") == 0 || strcmp(how, "stop_body") == 0) {
        struct http http;
        neap_h3_event event;
        open_http(L, &w, &http);
        if (how[0] == 'c')
            neap_h3_cancel(http.theirs, http.request, NEAP_H3_INTERNAL_ERROR);
        else
            neap_h3_stop_body(http.theirs, http.request, NEAP_H3_NO_ERROR);
        carry(&w, w.server, w.client);
        while (neap_h3_poll(http.ours, &event) == 0)
            arrived = arrived || event.type == NEAP_H3_STOPPED || event.type == NEAP_H3_RESET;
        close_http(&http);
    } else { /* HTTP/3: its SETTINGS */
        neap_h3 *ours = neap_h3_new(w.conn, NULL), *theirs = neap_h3_new(w.accepted, NULL);
        neap_h3_event event;
        uint64_t value;
        neap_h3_poll(theirs, &event);
        carry(&w, w.server, w.client);
        neap_h3_poll(ours, &event);
        arrived = neap_h3_peer_setting(ours, 6, &value) == 0;
        neap_h3_free(ours);
        neap_h3_free(theirs);
    }
    close_wire(&w);
    lua_pushboolean(L, arrived);
    return 1;
}

static void on_trace(void *context, const neap_trace_event *event)
{
    const char **why = context;

    if (event->kind == NEAP_TRACE_ACCEPT_FAILED)
        *why = event->why;
}

/* An environment that has no more memory once it was told so. */
static void *refusing_realloc(void *context, void *pointer, size_t size)
{
    const bool *refuses = context;

    if (size > 0)
        return *refuses ? NULL : realloc(pointer, size);
    free(pointer);
    return NULL;
}

/* accept_fails() -> failures that the statistics have, what a tracer was told: a server without memory */
static int accept_fails(lua_State *L)
{
    struct wire w;
    bool refuses = false;
    const neap_env env = {.realloc = refusing_realloc, .context = &refuses};
    neap_endpoint_stats stats;
    const char *why = NULL;
    const neap_tracer tracer = {on_trace, &why};

    open_wire(L, &w, &env);
    neap_endpoint_set_tracer(w.server, &tracer);
    refuses = true;
    w.conn = neap_endpoint_connect(w.client, NULL, "localhost", &CLIENT_AT, &SERVER_AT, w.now, NULL);
    settle(&w);
    neap_endpoint_get_stats(w.server, &stats, sizeof stats);
    lua_pushinteger(L, (lua_Integer)stats.accept_failures);
    lua_pushstring(L, why);
    lua_pushinteger(L, (lua_Integer)stats.accepted);
    close_wire(&w);
    return 3;
}

/* sized() -> whether a caller of an older neap.h gets what he knows and no more, and one of a newer zeros */
static int sized(lua_State *L)
{
    struct wire w;
    neap_endpoint_stats all;
    struct {
        uint64_t connections, guard;
    } older = {0, 77};
    struct {
        neap_endpoint_stats known;
        uint64_t unknown;
    } newer = {.unknown = 77};

    establish(L, &w);
    neap_endpoint_get_stats(w.server, &all, sizeof all);
    neap_endpoint_get_stats(w.server, (neap_endpoint_stats *)(void *)&older, sizeof older.connections);
    neap_endpoint_get_stats(w.server, &newer.known, sizeof newer);
    lua_pushboolean(L, older.connections == 1 && older.guard == 77);
    lua_pushboolean(L, newer.unknown == 0 && memcmp(&newer.known, &all, sizeof all) == 0);
    close_wire(&w);
    return 2;
}

/* refusals() -> what calls say that get nothing where something is needed */
static int refusals(lua_State *L)
{
    static const char *const nothing[] = {NULL};
    const neap_address none = {0};
    neap_address address;
    struct wire w;
    const char *why[6] = {NULL};

    open_wire(L, &w, NULL);
    lua_newtable(L);
#define SAY(name, value) (lua_pushinteger(L, (value)), lua_setfield(L, -2, (name)))
    SAY("certificate file", neap_config_add_certificate_files(w.server_config, NULL, "key.pem", &why[0]));
    SAY("key file", neap_config_add_certificate_files(w.server_config, "cert.pem", NULL, &why[1]));
    SAY("roots", neap_config_add_ca_path(w.client_config, NULL, &why[2]));
    SAY("name", neap_make_certificate(w.client_config, nothing, 1, 1, w.certificate, sizeof w.certificate,
                                      w.key, sizeof w.key));
    SAY("address", neap_address_parse(NULL, 0, &address));
    SAY("bound address", neap_udp_bind(NULL, &address));
    SAY("connect without a config",
        neap_connect(NULL, "localhost", &CLIENT_AT, &SERVER_AT, w.now, &why[3]) != NULL);
    SAY("connect without an endpoint",
        neap_endpoint_connect(NULL, NULL, "localhost", &CLIENT_AT, &SERVER_AT, w.now, &why[4]) != NULL);
    SAY("connect to no address",
        neap_endpoint_connect(w.client, NULL, "localhost", &CLIENT_AT, &none, w.now, &why[5]) != NULL);
    neap_loop *loop = neap_loop_new();
    SAY("host", neap_loop_resolve(loop, NULL, 443));
    neap_loop_free(loop);
    for (int i = 0; i < 6; i++) {
        lua_pushstring(L, why[i]);
        lua_rawseti(L, -2, i + 1);
    }
    close_wire(&w);
    return 1;
}

/* nothings() -> what calls say to NULL with a size or count of 0 */
static int nothings(lua_State *L)
{
    static const neap_field request[] = {FIELD(":method", "GET"),
                                         FIELD(":scheme", "https"),
                                         FIELD(":authority", "localhost"),
                                         FIELD(":path", "/"),
                                         {.name = "empty", .name_size = 5}};
    neap_header header;
    struct wire w;
    struct http http;
    bool fin;

    establish(L, &w);
    lua_newtable(L);
    int64_t id = neap_conn_stream_open(w.conn, false);
    SAY("send", neap_conn_stream_send(w.conn, (uint64_t)id, NULL, 0, true));
    settle(&w);
    SAY("recv", neap_conn_stream_recv(w.accepted, (uint64_t)id, NULL, 0, &fin));
    open_http(L, &w, &http);
    SAY("header", neap_header_info(NULL, 0, 8, &header));
    SAY("alpn", neap_config_set_alpn(w.client_config, NULL, 0));
    SAY("versions", neap_config_set_versions(w.client_config, NULL, 0));
    SAY("roots", neap_config_add_ca(w.client_config, NULL, 0, NULL));
    SAY("certificate", neap_config_add_certificate(w.client_config, NULL, 0, NULL, 0, NULL));
    SAY("source ids", (lua_Integer)(neap_conn_source_ids(w.conn, NULL, 0) > 0));
    SAY("readable", (lua_Integer)neap_conn_readable(w.conn, NULL, 0));
    SAY("fields", neap_h3_send_request(http.ours, NULL, 0, true));
    SAY("an empty value", neap_h3_send_request(http.ours, request, 5, true) >= 0);
    SAY("body", neap_h3_send_body(http.ours, http.request, NULL, 0, false));
    size_t taken;
    SAY("request", neap_h3_request(http.ours, NULL, 0, NULL, 0, &taken));
    SAY("respond", neap_h3_respond(http.ours, http.request, NULL, 0, NULL, 0));
    SAY("receiving a body", neap_h3_recv_body(http.theirs, http.request, NULL, 0));
    SAY("trailers", neap_h3_send_trailers(http.ours, http.request, NULL, 0));
    SAY("close", neap_conn_close(w.conn, true, 0, NULL, 0));
    close_http(&http);
    close_wire(&w);
    return 1;
}

/* struct_sizes() -> bytes of the structs that have one size for a SONAME, and of a pointer */
static int struct_sizes(lua_State *L)
{
    lua_newtable(L);
#define SIZE(name) SAY(#name, (lua_Integer)sizeof(name))
    SIZE(neap_env);
    SIZE(neap_option);
    SIZE(neap_address);
    SIZE(neap_cid);
    SIZE(neap_header);
    SIZE(neap_recv_info);
    SIZE(neap_send_info);
    SIZE(neap_trace_event);
    SIZE(neap_tracer);
    SIZE(neap_qlog_config);
    SIZE(neap_udp_datagram);
    SIZE(neap_datagram_fate);
    SIZE(neap_part);
    SIZE(neap_view);
    SIZE(neap_field);
    SIZE(neap_h3_config);
    SIZE(neap_h3_event);
    SIZE(neap_resolved);
    SIZE(neap_loop_handler);
    lua_pushinteger(L, (lua_Integer)sizeof(void *));
    return 2;
}

/* added_without_memory(path) -> what neap_config_add_ca_path says when the memory limit is reached, the reason */
static int added_without_memory(lua_State *L)
{
    const char *why = NULL;
    neap_memory_stats stats;
    neap_config *config = neap_config_new(NULL);

    neap_config_memory(config, &stats, sizeof stats);
    neap_config_free(config);
    const neap_env env = {.memory_limit = stats.used + 64};
    config = neap_config_new(&env);
    lua_pushinteger(L, neap_config_add_ca_path(config, luaL_checkstring(L, 1), &why));
    lua_pushstring(L, why);
    neap_config_free(config);
    return 2;
}

/* engine(name or nil) -> what a config computes AES-GCM with when NEAP_CRYPTO is so */
static int engine(lua_State *L)
{
    const char *before = getenv("NEAP_CRYPTO"), *name = luaL_optstring(L, 1, NULL);

    lua_pushstring(L, before);
    if (name)
        setenv("NEAP_CRYPTO", name, 1);
    else
        unsetenv("NEAP_CRYPTO");
    neap_config *config = neap_config_new(NULL);
    if (lua_isnil(L, -1))
        unsetenv("NEAP_CRYPTO");
    else
        setenv("NEAP_CRYPTO", lua_tostring(L, -1), 1);
    lua_pushstring(L, neap_config_engine(config));
    neap_config_free(config);
    return 1;
}

/* certificate() -> one for localhost, PEM */
static int certificate(lua_State *L)
{
    struct wire w;

    open_wire(L, &w, NULL);
    lua_pushstring(L, w.certificate);
    close_wire(&w);
    return 1;
}

/* codes() -> what HTTP/3 says to codes that no varint holds, whether the request goes on */
static int codes(lua_State *L)
{
    struct wire w;
    struct http http;

    establish(L, &w);
    open_http(L, &w, &http);
    lua_pushinteger(L, neap_h3_cancel(http.theirs, http.request, UINT64_MAX));
    lua_pushinteger(L, neap_h3_stop_body(http.theirs, http.request, UINT64_C(1) << 62));
    lua_pushinteger(L, (lua_Integer)neap_h3_open_requests(http.theirs));
    close_http(&http);
    close_wire(&w);
    return 3;
}

/* stopped() -> what neap_h3_body_capacity and _send_body say of a response that the client does not want any more */
static int stopped(lua_State *L)
{
    static const neap_field response[] = {FIELD(":status", "200")};
    struct wire w;
    struct http http;

    establish(L, &w);
    open_http(L, &w, &http);
    neap_h3_send_response(http.theirs, http.request, response, 1, false);
    settle(&w);
    poll_all(http.ours);
    neap_h3_stop_body(http.ours, http.request, NEAP_H3_NO_ERROR);
    settle(&w);
    poll_all(http.theirs);
    lua_pushinteger(L, (lua_Integer)neap_h3_body_capacity(http.theirs, http.request));
    lua_pushinteger(L, (lua_Integer)neap_h3_send_body(http.theirs, http.request, "x", 1, false));
    close_http(&http);
    close_wire(&w);
    return 2;
}

/* cut_off() -> what neap_h3_recv_body says of a body whose connection the peer has closed */
static int cut_off(lua_State *L)
{
    struct wire w;
    struct http http;
    uint8_t out[8];

    establish(L, &w);
    open_http(L, &w, &http);
    neap_conn_close(w.conn, true, NEAP_H3_NO_ERROR, NULL, 0);
    settle(&w);
    lua_pushinteger(L, (lua_Integer)neap_h3_recv_body(http.theirs, http.request, out, sizeof out));
    close_http(&http);
    close_wire(&w);
    return 1;
}

/* goaway_stopped() -> what neap_h3_goaway says when the peer stopped our control stream, the code of the close */
static int goaway_stopped(lua_State *L)
{
    struct wire w;
    neap_close_info info;

    establish(L, &w);
    neap_h3 *h3 = neap_h3_new(w.accepted, NULL);
    settle(&w);
    neap_conn_stream_shutdown(w.conn, 3, NEAP_SHUTDOWN_READ, 0);
    settle(&w);
    lua_pushinteger(L, neap_h3_goaway(h3));
    neap_conn_close_info(w.accepted, &info, sizeof info);
    lua_pushinteger(L, (lua_Integer)info.code);
    neap_h3_free(h3);
    close_wire(&w);
    return 2;
}

/* The client sends, until what it gives is a datagram of this size and alone, which is lost then; 0: as it is. False when
 * none comes. */
static bool send_until(struct wire *w, size_t wanted, neap_udp_datagram *out)
{
    static uint8_t bytes[65536], body[4000];
    neap_conn *conn;

    for (int turn = 0; turn < 100; turn++) {
        *out = (neap_udp_datagram){.bytes = bytes};
        for (int64_t id; (id = neap_conn_stream_open(w->conn, false)) >= 0;)
            neap_conn_stream_send(w->conn, (uint64_t)id, body, sizeof body, true);
        int64_t size = neap_endpoint_send(w->client, out, sizeof bytes, w->now);
        if (size > 0 && (wanted == 0 || (size_t)size == wanted))
            return true;
        if (size > 0) {
            neap_udp_datagram in = {.bytes = bytes,
                                    .size = (size_t)size,
                                    .segment_size = out->segment_size,
                                    .from = CLIENT_AT,
                                    .to = SERVER_AT};
            neap_endpoint_recv(w->server, &in, w->now);
            continue;
        }
        w->now += 30 * NEAP_MILLISECOND;
        while ((conn = neap_endpoint_next(w->server)) != NULL) {
            for (int64_t id; (id = neap_conn_stream_readable_next(conn)) >= 0;) {
                bool fin;
                while (neap_conn_stream_recv(conn, (uint64_t)id, body, sizeof body, &fin) > 0) {
                }
            }
        }
        carry(w, w->server, w->client);
        while (neap_endpoint_next(w->client) != NULL) {
        }
    }
    return false;
}

/* path_told(how) -> what the path made of it: the size of the next probe, or whether datagrams are split */
static int path_told(lua_State *L)
{
    const char *how = luaL_checkstring(L, 1);
    neap_udp_datagram d;
    struct wire w;

    establish(L, &w);
    if (strcmp(how, "train") == 0) {
        bool is_split = !send_until(&w, 0, &d) || d.is_split;

        neap_endpoint_refused_train(w.client, &d);
        lua_pushboolean(L, !is_split && send_until(&w, 0, &d) && d.is_split);
        close_wire(&w);
        return 1;
    }
    bool is_right = send_until(&w, 1452, &d);
    neap_udp_datagram of_nobody = d;
    of_nobody.sender.bytes[0] ^= 1;
    neap_address elsewhere = SERVER_AT;
    elsewhere.port++;
    neap_endpoint_refused(w.client, &of_nobody, 1250);
    neap_endpoint_refused_train(w.client, &of_nobody);
    neap_endpoint_too_big(w.client, &elsewhere, 1250, d.bytes, 528);
    neap_endpoint_too_big(w.client, &SERVER_AT, 1250, NULL, 0);
    if (strcmp(how, "refused") == 0)
        neap_endpoint_refused(w.client, &d, 1300);
    else
        neap_endpoint_too_big(w.client, &SERVER_AT, 1300, d.bytes, 528);
    lua_pushboolean(L, is_right && send_until(&w, 1300, &d));
    close_wire(&w);
    return 1;
}

int neap_units_api(lua_State *L)
{
    static const luaL_Reg functions[] = {
        {"connect_without", connect_without},
        {"server_lacking", server_lacking},
        {"changed", changed},
        {"freed", freed},
        {"answered", answered},
        {"accept_fails", accept_fails},
        {"sized", sized},
        {"refusals", refusals},
        {"nothings", nothings},
        {"struct_sizes", struct_sizes},
        {"added_without_memory", added_without_memory},
        {"engine", engine},
        {"certificate", certificate},
        {"codes", codes},
        {"stopped", stopped},
        {"cut_off", cut_off},
        {"goaway_stopped", goaway_stopped},
        {"path_told", path_told},
        {NULL, NULL},
    };

    lua_newtable(L);
    for (const luaL_Reg *f = functions; f->name != NULL; f++) {
        lua_pushcfunction(L, f->func);
        lua_setfield(L, -2, f->name);
    }
    return 1;
}
