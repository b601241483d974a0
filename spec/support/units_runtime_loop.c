/* neap.units.runtime_loop: full sockets, shares of a turn, and what handlers of neap_loop_run may do. */
#include "runtime/runtime.h"
#include "units.h"

#include <errno.h>
#include <lauxlib.h>
#include <lua.h>
#include <netinet/in.h>
#include <netinet/udp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#ifndef UDP_SEGMENT
#define UDP_SEGMENT 103
#endif

int neap_units_runtime_loop(lua_State *L);

/* ---- a socket that takes nothing, as the kernel says it */

static int full_fd = -1;

int __real_sendmmsg(int fd, struct mmsghdr *messages, unsigned count, int flags);
int __wrap_sendmmsg(int fd, struct mmsghdr *messages, unsigned count, int flags);

int __wrap_sendmmsg(int fd, struct mmsghdr *messages, unsigned count, int flags)
{
    if (fd != full_fd)
        return __real_sendmmsg(fd, messages, count, flags);
    errno = EAGAIN;
    return -1;
}

/* Whether the loop waits for this descriptor to be writable, as the kernel knows it. */
static bool waits_for_room(const neap_loop *loop, int fd)
{
    char path[64], line[160];
    unsigned events = 0;
    int watched;

    snprintf(path, sizeof path, "/proc/self/fdinfo/%d", loop->epoll_fd);
    FILE *info = fopen(path, "r");
    while (info != NULL && fgets(line, sizeof line, info) != NULL) {
        unsigned found;
        if (sscanf(line, "tfd: %d events: %x", &watched, &found) == 2 && watched == fd)
            events = found;
    }
    if (info != NULL)
        fclose(info);
    return (events & 4) != 0; /* EPOLLOUT */
}

/* A client endpoint with sockets of both families, and a socket of each family to send to. */
struct scene {
    neap_loop *loop;
    neap_config *config;
    neap_endpoint *endpoint;
    int sinks[2];
    neap_address bound[2];
};

static void open_scene(lua_State *L, struct scene *s)
{
    static const char *const protocols[] = {"test"};

    *s = (struct scene){.loop = neap_loop_new(), .config = neap_config_new(NULL)};
    neap_config_set(s->config, "verify_peer", 0);
    neap_config_set_alpn(s->config, protocols, 1);
    s->endpoint = neap_endpoint_new(s->config, false, NULL);
    s->sinks[0] = neap_udp_bind("127.0.0.1:0", &s->bound[0]);
    s->sinks[1] = neap_udp_bind("[::1]:0", &s->bound[1]);
    if (s->sinks[0] < 0 || s->sinks[1] < 0 || neap_loop_open(s->loop, s->endpoint) != NEAP_OK)
        luaL_error(L, "no sockets");
}

static void close_scene(struct scene *s)
{
    close(s->sinks[0]);
    close(s->sinks[1]);
    neap_loop_free(s->loop);
    neap_endpoint_free(s->endpoint);
    neap_config_free(s->config);
}

static neap_conn *connect_to(struct scene *s, size_t family)
{
    neap_address local;

    neap_loop_address(s->loop, s->endpoint, family == 0 ? 4 : 6, &local);
    return neap_endpoint_connect(s->endpoint, NULL, "localhost", &local, &s->bound[family], neap_loop_now(),
                                 NULL);
}

static lua_Integer count_at(struct scene *s, size_t family)
{
    uint8_t bytes[2048];
    neap_recv_info info;
    lua_Integer count = 0;

    while (neap_udp_recv(s->sinks[family], &s->bound[family], bytes, sizeof bytes, &info) >= 0)
        count++;
    return count;
}

static void set_integer(lua_State *L, const char *name, lua_Integer value)
{
    lua_pushinteger(L, value);
    lua_setfield(L, -2, name);
}

static void set_boolean(lua_State *L, const char *name, bool value)
{
    lua_pushboolean(L, value);
    lua_setfield(L, -2, name);
}

/* full(family 1|2) -> what a full socket of IPv4 (1) or IPv6 (2) does to both families */
static int full(lua_State *L)
{
    size_t blocked = (size_t)luaL_checkinteger(L, 1) - 1, other = 1 - blocked;
    struct scene s;

    open_scene(L, &s);
    int fd = s.loop->attachments->sockets[blocked].fd, other_fd = s.loop->attachments->sockets[other].fd;
    lua_newtable(L);
    full_fd = fd;
    connect_to(&s, blocked);
    connect_to(&s, other);
    neap_loop_flush(s.loop);
    set_integer(L, "other_first", count_at(&s, other));
    set_boolean(L, "waits", waits_for_room(s.loop, fd));
    set_boolean(L, "other_waits", waits_for_room(s.loop, other_fd));
    connect_to(&s, blocked);
    connect_to(&s, other);
    neap_loop_flush(s.loop);
    set_integer(L, "other_second", count_at(&s, other));
    set_integer(L, "blocked", count_at(&s, blocked));
    set_boolean(L, "rests", neap_loop_timeout(s.loop) > neap_loop_now());
    full_fd = -1;
    neap_loop_wait(s.loop, 0);
    neap_loop_flush(s.loop);
    set_integer(L, "after", count_at(&s, blocked));
    set_boolean(L, "waits_after", waits_for_room(s.loop, fd));
    close_scene(&s);
    return 1;
}

/* shares(count) -> how many of `count` first packets the first flush sends, all flushes together, and how many flushes
 * that took */
static int shares(lua_State *L)
{
    lua_Integer count = luaL_checkinteger(L, 1), first = 0, all = 0, flushes = 0;
    struct scene s;

    open_scene(L, &s);
    for (lua_Integer i = 0; i < count; i++)
        connect_to(&s, 0);
    neap_loop_stats stats;
    do {
        neap_loop_flush(s.loop);
        neap_loop_get_stats(s.loop, &stats, sizeof stats);
        all = (lua_Integer)(stats.bytes_sent / NEAP_MIN_UDP_PAYLOAD); /* they share trains */
        first = flushes++ == 0 ? all : first;
    } while (neap_loop_timeout(s.loop) == 0 && flushes < 1000);
    close_scene(&s);
    lua_pushinteger(L, first);
    lua_pushinteger(L, all);
    lua_pushinteger(L, flushes);
    return 3;
}

/* ---- what a handler may do */

struct ends {
    struct scene *scene;
    neap_endpoint *other;
    const char *what;
    unsigned calls;
};

static void on_connection(void *context, neap_endpoint *endpoint, neap_conn *conn)
{
    struct ends *ends = context;
    neap_loop *loop = ends->scene->loop;

    ends->calls++;
    if (strcmp(ends->what, "release") == 0) {
        neap_conn_close(conn, true, 0, "", 0);
        neap_endpoint_release(endpoint, conn);
    } else if (strcmp(ends->what, "detach") == 0) {
        neap_loop_detach(loop, endpoint);
    } else if (strcmp(ends->what, "free") == 0) {
        neap_loop_detach(loop, endpoint);
        neap_endpoint_free(endpoint);
        *(endpoint == ends->other ? &ends->other : &ends->scene->endpoint) = NULL;
    } else if (strcmp(ends->what, "free all") == 0) {
        neap_loop_detach(loop, ends->scene->endpoint);
        neap_loop_detach(loop, ends->other);
        neap_endpoint_free(ends->scene->endpoint);
        neap_endpoint_free(ends->other);
        ends->scene->endpoint = ends->other = NULL;
    } else if (strcmp(ends->what, "free loop") == 0) {
        neap_loop_free(loop);
        ends->scene->loop = NULL;
        return;
    }
    neap_loop_stop(loop);
}

/* within(what) -> how often on_connection was called: two endpoints with news on two connections each, one turn */
static int within(lua_State *L)
{
    struct scene s;
    struct ends ends = {.scene = &s, .what = luaL_checkstring(L, 1)};
    neap_loop_handler handler = {.on_connection = on_connection, .context = &ends};

    open_scene(L, &s);
    ends.other = neap_endpoint_new(s.config, false, NULL);
    if (neap_loop_open(s.loop, ends.other) != NEAP_OK)
        return luaL_error(L, "no sockets");
    for (int i = 0; i < 2; i++) {
        neap_address local = {.family = 4};
        neap_conn *one = connect_to(&s, 0),
                  *two = neap_endpoint_connect(ends.other, NULL, "localhost", &local, &s.bound[0],
                                               neap_loop_now(), NULL);
        neap_conn_close(one, true, 0, "", 0); /* that is news */
        neap_conn_close(two, true, 0, "", 0);
    }
    while (neap_loop_flush(s.loop)) {
    }
    int result = neap_loop_run(s.loop, &handler);
    neap_endpoint_free(ends.other);
    close_scene(&s);
    lua_pushinteger(L, (lua_Integer)ends.calls);
    lua_pushinteger(L, result);
    return 2;
}

/* refused() -> what listen and open say about nothing */
static int refused(lua_State *L)
{
    struct scene s;

    open_scene(L, &s);
    lua_pushinteger(L, neap_loop_listen(s.loop, NULL, "127.0.0.1:0"));
    lua_pushstring(L, neap_loop_error(s.loop));
    lua_pushinteger(L, neap_loop_open(s.loop, NULL));
    lua_pushinteger(L, neap_loop_listen(s.loop, s.endpoint, NULL));
    close_scene(&s);
    return 4;
}

/* flood(certificate, key, trains) -> Retry packets sent and answers dropped when one turn of a loop receives so many
 * trains of 48 first packets */
static int flood(lua_State *L)
{
    static const char *const protocols[] = {"test"};
    size_t chain_size, key_size;
    const char *chain = luaL_checklstring(L, 1, &chain_size), *key = luaL_checklstring(L, 2, &key_size);
    static uint8_t train[48 * 1200];
    neap_config *config = neap_config_new(NULL);
    neap_loop *loop = neap_loop_new();
    neap_endpoint_stats stats;
    neap_address from, to;

    neap_config_set_alpn(config, protocols, 1);
    neap_config_add_certificate(config, chain, chain_size, key, key_size, NULL);
    neap_config_set(config, "retry", 1);
    neap_endpoint *server = neap_endpoint_new(config, true, NULL);
    int fd = neap_udp_bind("127.0.0.1:0", &from);
    if (fd < 0 || neap_loop_listen(loop, server, "127.0.0.1:0") != NEAP_OK)
        return luaL_error(L, "no sockets");
    neap_loop_address(loop, server, 4, &to);
    setsockopt(fd, IPPROTO_UDP, UDP_SEGMENT, &(int){1200}, sizeof(int));
    for (size_t i = 0; i < sizeof train;
         i += 1200) /* Initial, version 1, connection IDs of 8 bytes, 1174 bytes */
        memcpy(train + i, "\300\0\0\0\1\10destined\10sourced.\0\104\226", 26);
    for (lua_Integer i = luaL_checkinteger(L, 3); i > 0; i--)
        neap_udp_send(fd, train, sizeof train, &(neap_send_info){.from = from, .to = to});
    neap_loop_wait(loop, 0);
    neap_loop_flush(loop);
    neap_endpoint_get_stats(server, &stats, sizeof stats);
    lua_pushinteger(L, (lua_Integer)stats.retries_sent);
    lua_pushinteger(L, (lua_Integer)stats.answers_dropped);
    close(fd);
    neap_loop_free(loop);
    neap_endpoint_free(server);
    neap_config_free(config);
    return 2;
}

int neap_units_runtime_loop(lua_State *L)
{
    static const luaL_Reg functions[] = {
        {"full", full},       {"shares", shares}, {"within", within},
        {"refused", refused}, {"flood", flood},   {NULL, NULL},
    };

    lua_newtable(L);
    for (const luaL_Reg *f = functions; f->name != NULL; f++) {
        lua_pushcfunction(L, f->func);
        lua_setfield(L, -2, f->name);
    }
    return 1;
}
