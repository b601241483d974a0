/* neap.units.runtime: what of the loop cannot be reached through neap.core: its C interface with callbacks, sends
 * without segmentation, what is kept for later. */
#include "runtime/runtime.h"
#include "runtime/sockaddr.h"
#include "units.h"

#include <lauxlib.h>
#include <lua.h>
#include <netinet/in.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

int neap_units_runtime(lua_State *L);

/* sockaddr(text) -> the address after it went through the kernel's form, and that form's size */
static int sockaddr(lua_State *L)
{
    neap_address address;
    struct sockaddr_storage storage;
    char text[80];

    if (neap_address_parse(luaL_checkstring(L, 1), 0, &address) != NEAP_OK)
        return luaL_error(L, "not an address");
    lua_Integer size = (lua_Integer)neap_sockaddr_write(&address, &storage);
    address = neap_sockaddr_parse(&storage);
    neap_address_format(&address, text, sizeof text);
    lua_pushstring(L, text);
    lua_pushinteger(L, size);
    return 2;
}

struct echo {
    neap_loop *loop;
    neap_conn *client;
    int64_t stream;
    size_t size, sent, received;
    unsigned resolved, turns;
};

static void fill(neap_conn *conn, int64_t stream, size_t *sent, size_t size)
{
    static const uint8_t bytes[16384] = {1};

    while (*sent < size) {
        size_t part = size - *sent < sizeof bytes ? size - *sent : sizeof bytes;
        int64_t taken = neap_conn_stream_send(conn, (uint64_t)stream, bytes, part, *sent + part == size);
        if (taken <= 0)
            return;
        *sent += (size_t)taken;
    }
}

static void on_connection(void *context, neap_endpoint *endpoint, neap_conn *conn)
{
    struct echo *echo = context;
    static uint8_t bytes[16384];
    int64_t id, size;
    bool fin;

    if (conn == echo->client && echo->stream < 0 && neap_conn_is_established(conn))
        echo->stream = neap_conn_stream_open(conn, true);
    if (conn == echo->client && echo->stream >= 0)
        fill(conn, echo->stream, &echo->sent, echo->size);
    while ((id = neap_conn_stream_readable_next(conn)) >= 0) {
        while ((size = neap_conn_stream_recv(conn, (uint64_t)id, bytes, sizeof bytes, &fin)) >= 0) {
            if (conn != echo->client)
                echo->received += (size_t)size;
            if (fin)
                break;
        }
    }
    neap_endpoint_touch(endpoint, conn);
}

static void on_resolved(void *context, const neap_resolved *resolved)
{
    struct echo *echo = context;

    echo->resolved += (unsigned)resolved->count;
}

static neap_time on_turn(void *context, neap_time now)
{
    struct echo *echo = context;

    (void)now;
    echo->turns++;
    if (echo->received == echo->size && echo->resolved > 0)
        neap_loop_stop(echo->loop);
    return NEAP_SECOND / 10;
}

static void set_segmentation(neap_loop *loop, bool segmentation)
{
    for (struct attachment *a = loop->attachments; a != NULL; a = a->next) {
        for (size_t i = 0; i < ATTACHMENT_SOCKETS; i++)
            a->sockets[i].segmentation = segmentation;
    }
}

/* run(certificate, key, size, segmentation) -> bytes received, messages sent, turns: neap_loop_run carries `size` bytes
 * from a client to a server in one loop, and resolves a name. */
static int run(lua_State *L)
{
    static const char *const protocols[] = {"test"};
    size_t chain_size, key_size;
    const char *chain = luaL_checklstring(L, 1, &chain_size), *key = luaL_checklstring(L, 2, &key_size);
    neap_config *config = neap_config_new(NULL);
    struct echo echo = {.loop = neap_loop_new(), .stream = -1, .size = (size_t)luaL_checkinteger(L, 3)};
    neap_loop_handler handler = {
        .on_connection = on_connection, .on_resolved = on_resolved, .on_turn = on_turn, .context = &echo};
    neap_address local, peer;
    neap_loop_stats stats;

    neap_config_set(config, "verify_peer", 0);
    neap_config_set_alpn(config, protocols, 1);
    neap_config_add_certificate(config, chain, chain_size, key, key_size, NULL);
    neap_endpoint *server = neap_endpoint_new(config, true, NULL),
                  *client = neap_endpoint_new(config, false, NULL);
    if (neap_loop_listen(echo.loop, server, "127.0.0.1:0") != NEAP_OK ||
        neap_loop_open(echo.loop, client) != NEAP_OK)
        return luaL_error(L, "%s", neap_loop_error(echo.loop));
    if (!lua_toboolean(L, 4))
        set_segmentation(echo.loop, false);
    neap_loop_address(echo.loop, server, 0, &peer);
    neap_loop_address(echo.loop, client, 4, &local);
    echo.client = neap_endpoint_connect(client, NULL, "localhost", &local, &peer, neap_loop_now(), NULL);
    neap_loop_resolve(echo.loop, "127.0.0.1", 1);
    int result = neap_loop_run(echo.loop, &handler);
    neap_loop_get_stats(echo.loop, &stats, sizeof stats);
    neap_loop_free(echo.loop);
    neap_endpoint_free(client);
    neap_endpoint_free(server);
    neap_config_free(config);
    if (result != NEAP_OK)
        return luaL_error(L, "neap_loop_run gave %d", result);
    lua_pushinteger(L, (lua_Integer)echo.received);
    lua_pushinteger(L, (lua_Integer)stats.messages_sent);
    lua_pushinteger(L, (lua_Integer)echo.turns);
    return 3;
}

/* Count the datagrams that wait at a socket. */
static lua_Integer count_waiting(int fd, const neap_address *bound)
{
    uint8_t bytes[2048];
    neap_recv_info info;
    lua_Integer count = 0;

    while (neap_udp_recv(fd, bound, bytes, sizeof bytes, &info) >= 0)
        count++;
    return count;
}

/* Trains as neap_udp_flush keeps them: one for now, one for `later`, three datagrams each, the last one shorter. */
static struct train *make_kept(const neap_address *to, neap_time later)
{
    static const uint8_t bytes[2500] = {7};
    struct train *kept = calloc(1, 2 * sizeof *kept + 2 * sizeof bytes);

    if (kept == NULL)
        abort();
    for (size_t i = 0; i < 2; i++) {
        uint8_t *copy = (uint8_t *)(kept + 2) + i * sizeof bytes;
        memcpy(copy, bytes, sizeof bytes);
        kept[i] = (struct train){.bytes = copy,
                                 .size = sizeof bytes,
                                 .segment_size = 1000,
                                 .to = *to,
                                 .at = i == 0 ? 0 : later,
                                 .ecn = 2};
    }
    return kept;
}

/* kept() -> datagrams that left at first, after the second train's time, whether timeout said so, and how many left
 * while the socket was said to be full */
static int kept(lua_State *L)
{
    neap_loop *loop = neap_loop_new();
    neap_config *config = neap_config_new(NULL);
    neap_endpoint *endpoint = neap_endpoint_new(config, false, NULL);
    neap_address bound;
    int fd = neap_udp_bind("127.0.0.1:0", &bound);
    neap_time later = neap_loop_now() + 20 * NEAP_MILLISECOND;

    if (fd < 0 || neap_loop_open(loop, endpoint) != NEAP_OK)
        return luaL_error(L, "no sockets");
    struct udp_socket *udp = &loop->attachments->sockets[0];
    udp->kept = make_kept(&bound, later);
    udp->kept_count = 2;
    udp->full = true;
    neap_loop_flush(loop);
    lua_Integer while_full = count_waiting(fd, &bound);
    udp->full = false;
    neap_loop_flush(loop);
    lua_pushinteger(L, count_waiting(fd, &bound));
    bool said = neap_loop_timeout(loop) == later;
    neap_loop_wait(loop, NEAP_NEVER);
    bool in_time = neap_loop_now() >= later;
    neap_loop_flush(loop);
    lua_pushinteger(L, count_waiting(fd, &bound));
    lua_pushboolean(L, said && in_time && udp->kept == NULL);
    lua_pushinteger(L, while_full);
    close(fd);
    neap_loop_free(loop);
    neap_endpoint_free(endpoint);
    neap_config_free(config);
    return 4;
}

/* Single datagrams of several connections, as neap_udp_flush keeps them. */
static struct train *make_singles(const neap_address *to, size_t count, size_t size)
{
    struct train *kept = calloc(1, count * (sizeof *kept + size));

    if (kept == NULL)
        abort();
    for (size_t i = 0; i < count; i++)
        kept[i] = (struct train){
            .bytes = (uint8_t *)(kept + count) + i * size, .size = size, .segment_size = size, .to = *to};
    return kept;
}

/* shared(refused) -> list of {datagrams that came, messages, calls} for each of three times that eight datagrams of several
 * connections leave: by a socket that refuses segments if `refused`, as one without checksums does */
static int shared(lua_State *L)
{
    neap_loop *loop = neap_loop_new();
    neap_config *config = neap_config_new(NULL);
    neap_endpoint *endpoint = neap_endpoint_new(config, false, NULL);
    neap_address bound;
    int fd = neap_udp_bind("127.0.0.1:0", &bound), refused = lua_toboolean(L, 1);

    if (fd < 0 || neap_loop_open(loop, endpoint) != NEAP_OK)
        return luaL_error(L, "no sockets");
    struct udp_socket *udp = &loop->attachments->sockets[0];
    setsockopt(udp->fd, SOL_SOCKET, SO_NO_CHECK, &refused, sizeof refused);
    lua_newtable(L);
    for (int i = 1; i <= 3; i++) {
        neap_loop_stats before = loop->stats;

        udp->kept = make_singles(&bound, 8, 1000);
        udp->kept_count = 8;
        udp->kept_at = 0;
        neap_loop_flush(loop);
        lua_newtable(L);
        lua_pushinteger(L, count_waiting(fd, &bound));
        lua_rawseti(L, -2, 1);
        lua_pushinteger(L, (lua_Integer)(loop->stats.messages_sent - before.messages_sent));
        lua_rawseti(L, -2, 2);
        lua_pushinteger(L, (lua_Integer)(loop->stats.send_calls - before.send_calls));
        lua_rawseti(L, -2, 3);
        lua_rawseti(L, -2, i);
    }
    lua_pushboolean(L, udp->segmentation);
    close(fd);
    neap_loop_free(loop);
    neap_endpoint_free(endpoint);
    neap_config_free(config);
    return 2;
}

static void *wake(void *loop)
{
    neap_loop_wake(loop);
    return NULL;
}

/* wake() -> whether a wait without bound ended because another thread said so */
static int woken(lua_State *L)
{
    neap_loop *loop = neap_loop_new();
    pthread_t thread;

    if (pthread_create(&thread, NULL, wake, loop) != 0)
        return luaL_error(L, "no thread");
    int result = neap_loop_wait(loop, NEAP_NEVER);
    pthread_join(thread, NULL);
    neap_loop_free(loop);
    lua_pushboolean(L, result == NEAP_OK);
    return 1;
}

/* old_kernel() -> nanoseconds that a wait of 1.5 ms takes without epoll_pwait2 */
static int old_kernel(lua_State *L)
{
    neap_loop *loop = neap_loop_new();
    neap_time before = neap_loop_now();

    loop->no_epoll_pwait2 = true;
    neap_loop_wait(loop, 3 * NEAP_MILLISECOND / 2);
    lua_pushnumber(L, (lua_Number)(neap_loop_now() - before));
    neap_loop_free(loop);
    return 1;
}

/* busy_poll(text) -> list of whether each wait polled in vain, list of nanoseconds that each took. The text has a letter for
 * each: "w" something is there at once, "s" nothing comes for 1.5 times busy_poll, "l" nor for 4 times. */
static int busy_poll(lua_State *L)
{
    const neap_time duration = 20 * NEAP_MILLISECOND; /* long beside what a busy machine adds */
    const char *text = luaL_checkstring(L, 1);
    neap_loop *loop = neap_loop_new();

    neap_loop_set_busy_poll(loop, duration);
    loop->busy_poll = duration; /* with any number of processors */
    lua_newtable(L);
    lua_newtable(L);
    for (int i = 1; *text != '\0'; i++, text++) {
        neap_loop_stats before, after;
        neap_time begin = neap_loop_now();

        if (*text == 'w')
            neap_loop_wake(loop);
        neap_loop_get_stats(loop, &before, sizeof before);
        neap_loop_wait(loop, *text == 'l' ? 4 * duration : 3 * duration / 2);
        neap_loop_get_stats(loop, &after, sizeof after);
        lua_pushboolean(L, after.polls > before.polls);
        lua_rawseti(L, -3, i);
        lua_pushnumber(L, (lua_Number)(neap_loop_now() - begin));
        lua_rawseti(L, -2, i);
    }
    neap_loop_free(loop);
    return 2;
}

/* path_mtu() -> whether sockets of IPv4 and of IPv6 neither fragment nor learn a path MTU */
static int path_mtu(lua_State *L)
{
    static const char *const addresses[] = {"127.0.0.1:0", "[::1]:0"};

    for (int i = 0; i < 2; i++) {
        int fd = neap_udp_bind(addresses[i], NULL), value = -1;
        socklen_t size = sizeof value;
        if (i == 0)
            getsockopt(fd, IPPROTO_IP, IP_MTU_DISCOVER, &value, &size);
        else
            getsockopt(fd, IPPROTO_IPV6, IPV6_MTU_DISCOVER, &value, &size);
        lua_pushboolean(L, fd < 0 || value == (i == 0 ? IP_PMTUDISC_PROBE : IPV6_PMTUDISC_PROBE));
        if (fd >= 0)
            close(fd);
    }
    return 2;
}

int neap_units_runtime(lua_State *L)
{
    static const luaL_Reg functions[] = {
        {"sockaddr", sockaddr}, {"run", run},     {"path_mtu", path_mtu},     {"kept", kept},
        {"shared", shared},     {"woken", woken}, {"old_kernel", old_kernel}, {"busy_poll", busy_poll},
        {NULL, NULL},
    };

    lua_newtable(L);
    for (const luaL_Reg *f = functions; f->name != NULL; f++) {
        lua_pushcfunction(L, f->func);
        lua_setfield(L, -2, f->name);
    }
    return 1;
}
