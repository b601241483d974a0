/* TCP connections in Lua: a listener is like an endpoint, and a link like a connection and its h3 in one, so that what serves
 * HTTP/3 serves HTTP/1.1 and HTTP/2 as well. */
#include "binding.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define RECV_MAX 65536
#define SAVE_MAX (1u << 18) /* bytes that one call writes, so that the loop has its turn */

struct listener_core {
    unsigned references;
    struct listener *listener; /* NULL: closed */
    struct config_core *config;
    struct loop_core *loop;
    struct link_box *links; /* that Lua has seen and that are alive */
};

/* The userdata of a link. */
struct link_box {
    struct link *link; /* NULL: over */
    struct listener_core *owner;
    struct link_box *next, **from;
    int anchor; /* reference in the registry while it is alive */
    neap_address peer;
    const char *protocol;
    char *why; /* a client's that has ended: the reason, malloc'd; NULL: none, or no memory for it */
    int64_t code;
    int error_number;
};

/* ---- listeners */

static void end_link(struct link_box *box)
{
    if (box->link == NULL)
        return;
    neap_link_release(box->link);
    box->link = NULL;
    *box->from = box->next;
    if (box->next != NULL)
        box->next->from = box->from;
}

static void end_listener(struct listener_core *core)
{
    while (core->links != NULL)
        end_link(core->links);
    /* With its loop its sockets went. */
    neap_listener_free(core->listener);
    core->listener = NULL;
}

static void release_listener(struct listener_core *core)
{
    if (core == NULL || --core->references > 0)
        return;
    end_listener(core);
    neap_lua_config_release(core->config);
    neap_lua_loop_release(core->loop);
    free(core);
}

static struct listener_core *check_listener(lua_State *L)
{
    struct listener_core **box = luaL_checkudata(L, 1, TYPE_LISTENER);

    if (*box == NULL)
        luaL_argerror(L, 1, "the listener was not made");
    return *box;
}

static void unanchor_all(lua_State *L, struct listener_core *core)
{
    for (struct link_box *box = core->links; box != NULL; box = box->next) {
        luaL_unref(L, LUA_REGISTRYINDEX, box->anchor);
        box->anchor = LUA_NOREF;
    }
}

static int listener_close(lua_State *L)
{
    struct listener_core *core = check_listener(L);

    unanchor_all(L, core);
    end_listener(core);
    return 0;
}

static int listener_gc(lua_State *L)
{
    struct listener_core **box = luaL_checkudata(L, 1, TYPE_LISTENER);

    if (*box != NULL) {
        unanchor_all(L, *box);
        end_listener(*box);
    }
    release_listener(*box);
    *box = NULL;
    return 0;
}

static neap_time time_field(lua_State *L, const char *name)
{
    lua_getfield(L, 4, name);
    neap_time time = lua_isnil(L, -1) ? 0 : neap_lua_check_time(L, -1);
    lua_pop(L, 1);
    return time;
}

static uint64_t number_field(lua_State *L, const char *name)
{
    lua_getfield(L, 4, name);
    uint64_t number = neap_lua_opt_u64(L, -1, 0);
    lua_pop(L, 1);
    return number;
}

/* With the arguments of:
 * loop:listen_tcp(config, address or descriptors, { plain =, max_field_section_size =, header_timeout =, idle_timeout =,
 * send_timeout =, connections =, connections_per_network =, alt_svc = }) -> listener */
static int new_listener(lua_State *L, struct loop_core *loop)
{
    struct config_core *config = neap_lua_check_config(L, 2);
    struct listener_options options = {0};

    if (lua_isnoneornil(L, 4)) {
        lua_settop(L, 3);
        lua_newtable(L);
    }
    luaL_checktype(L, 4, LUA_TTABLE);
    options.max_field_section_size = number_field(L, "max_field_section_size");
    options.header_timeout = time_field(L, "header_timeout");
    options.idle_timeout = time_field(L, "idle_timeout");
    options.send_timeout = time_field(L, "send_timeout");
    options.connections = number_field(L, "connections");
    options.connections_per_network = number_field(L, "connections_per_network");
    lua_getfield(L, 4, "plain");
    options.is_plain = lua_toboolean(L, -1);
    lua_getfield(L, 4, "alt_svc");
    options.alt_svc = lua_tostring(L, -1);
    lua_getfield(L, 4, "http1");
    options.has_no_http2 = lua_toboolean(L, -1);
    bool is_client = lua_isboolean(L, 3), is_address = lua_type(L, 3) == LUA_TSTRING;
    int fds[FDS_MAX];
    size_t count = is_client || is_address ? 0 : neap_lua_check_fds(L, 3, fds);
    if (loop->loop == NULL)
        return neap_lua_error(L, NEAP_ERR_CLOSED);

    struct listener_core **box = lua_newuserdata(L, sizeof *box);
    *box = NULL;
    luaL_getmetatable(L, TYPE_LISTENER);
    lua_setmetatable(L, -2);
    struct listener_core *core = calloc(1, sizeof *core);
    if (core == NULL)
        return neap_lua_error(L, NEAP_ERR_NO_MEMORY);
    *core = (struct listener_core){.references = 1, .config = neap_lua_config_retain(config), .loop = loop};
    loop->references++;
    *box = core;
    int result;
    if (is_client)
        result = neap_listener_new_client(loop->loop, config->config, &options, &core->listener);
    else if (is_address)
        result = neap_listener_new(loop->loop, config->config, lua_tostring(L, 3), &options, &core->listener);
    else
        result = neap_listener_take(loop->loop, config->config, fds, count, &options, &core->listener);
    return result == NEAP_OK ? 1 : neap_lua_loop_error(L, loop->loop, result);
}

int neap_lua_loop_listen_tcp(lua_State *L)
{
    struct loop_core *loop = neap_lua_check_loop(L, 1);

    luaL_argcheck(L, !lua_isboolean(L, 3), 3, "an address or descriptors");
    return new_listener(L, loop);
}

/* loop:connect_tcp(config, { plain =, http1 =, connections =, max_field_section_size =, header_timeout =, send_timeout = })
 * -> a listener that makes connections */
int neap_lua_loop_connect_tcp(lua_State *L)
{
    struct loop_core *loop = neap_lua_check_loop(L, 1);

    lua_settop(L, 3);
    lua_pushboolean(L, 0); /* in the place of an address */
    lua_insert(L, 3);
    return new_listener(L, loop);
}

static void push_link(lua_State *L, struct listener_core *core, struct link *link)
{
    struct link_box *box = lua_newuserdata(L, sizeof *box);

    *box = (struct link_box){.owner = core,
                             .next = core->links,
                             .from = &core->links,
                             .anchor = LUA_NOREF,
                             .peer = neap_link_peer(link),
                             .protocol = neap_link_protocol(link)};
    core->references++;
    luaL_getmetatable(L, TYPE_LINK);
    lua_setmetatable(L, -2);
    lua_pushvalue(L, -1);
    box->anchor = luaL_ref(L, LUA_REGISTRYINDEX);
    box->link = link;
    if (box->next != NULL)
        box->next->from = &box->next;
    core->links = box;
    neap_link_set_user(link, box);
}

/* What link:failure() says. */
static void note_failure(struct link_box *box)
{
    struct failure why = neap_link_failure(box->link, &box->error_number);

    free(box->why);
    box->code = why.code;
    box->why = strdup(why.reason != NULL ? why.reason : "");
}

/* listener:connect(address or path of a Unix socket[, name]) -> link; of an address: "192.0.2.1:443" */
static int listener_connect(lua_State *L)
{
    struct listener_core *core = check_listener(L);
    const char *where = luaL_checkstring(L, 2);
    const char *name = luaL_optstring(L, 3, NULL);
    bool is_path = where[0] == '/';
    neap_address address = {0};
    struct link *link;

    if (!is_path)
        neap_lua_check_address(L, 2, &address);
    if (core->listener == NULL || core->loop->loop == NULL)
        return neap_lua_error(L, NEAP_ERR_CLOSED);
    int result =
        neap_listener_connect(core->listener, is_path ? NULL : &address, is_path ? where : NULL, name, &link);
    if (result != NEAP_OK)
        return neap_lua_loop_error(L, core->loop->loop, result);
    push_link(L, core, link);
    return 1;
}

/* listener:next() -> the next link that has something new, nil; one that is over comes once */
static int listener_next(lua_State *L)
{
    struct listener_core *core = check_listener(L);
    struct link *link;

    while (core->listener != NULL && (link = neap_listener_next(core->listener)) != NULL) {
        struct link_box *box = neap_link_user(link);
        if (box != NULL) {
            lua_rawgeti(L, LUA_REGISTRYINDEX, box->anchor);
            box->protocol = neap_link_protocol(link);
            if (neap_link_is_closed(link)) {
                /* Of a response what came before the end is still to be read. */
                if (neap_listener_is_client(core->listener))
                    note_failure(box);
                else
                    end_link(box);
                luaL_unref(L, LUA_REGISTRYINDEX, box->anchor);
                box->anchor = LUA_NOREF;
            }
            return 1;
        }
        /* Lua hears nothing of one that is in its handshake, or has not got further. */
        if (neap_link_is_closed(link)) {
            neap_link_release(link);
        } else if (neap_link_protocol(link)[0] != '\0') {
            push_link(L, core, link);
            return 1;
        }
    }
    lua_pushnil(L);
    return 1;
}

/* listener:refuse(): no new connections, for good */
static int listener_refuse(lua_State *L)
{
    struct listener_core *core = check_listener(L);

    if (core->listener != NULL)
        neap_listener_refuse(core->listener);
    return 0;
}

static int listener_address(lua_State *L)
{
    struct listener_core *core = check_listener(L);
    neap_address bound = core->listener != NULL ? neap_listener_address(core->listener) : (neap_address){0};

    neap_lua_push_address(L, &bound);
    return 1;
}

static int listener_stats(lua_State *L)
{
#define COUNT(name) FIGURE(struct listener_stats, name)
    static const struct figure figures[] = {
        COUNT(connections),       COUNT(accepted),  COUNT(refused),         COUNT(accept_failures),
        COUNT(handshakes_failed), COUNT(timeouts),  COUNT(requests),        COUNT(malformed),
        COUNT(too_large),         COUNT(glitches),  COUNT(resets_received), COUNT(resets_provoked),
        COUNT(streams_refused),   COUNT(overloads), COUNT(waits),           COUNT(bytes_received),
        COUNT(bytes_sent),
    };
    struct listener_core *core = check_listener(L);
    struct listener_stats stats;

    if (core->listener == NULL)
        return neap_lua_error(L, NEAP_ERR_CLOSED);
    neap_listener_get_stats(core->listener, &stats);
    lua_createtable(L, 0, sizeof figures / sizeof figures[0]);
    neap_lua_set_figures(L, &stats, FIGURES(figures));
    return 1;
}

/* ---- links */

static struct link_box *check_box(lua_State *L)
{
    return luaL_checkudata(L, 1, TYPE_LINK);
}

bool neap_lua_to_link(lua_State *L, int index, struct link **out, struct config_core **config)
{
    const struct link_box *box = lua_touserdata(L, index);

    if (box == NULL || !lua_getmetatable(L, index))
        return false;
    luaL_getmetatable(L, TYPE_LINK);
    bool is_link = lua_rawequal(L, -1, -2);
    lua_pop(L, 2);
    if (is_link) {
        *out = box->link;
        *config = box->owner->config;
    }
    return is_link;
}

static int link_gc(lua_State *L)
{
    struct link_box *box = check_box(L);

    end_link(box);
    release_listener(box->owner);
    box->owner = NULL;
    free(box->why);
    box->why = NULL;
    return 0;
}

static int poll_link(void *from, neap_h3_event *out)
{
    return neap_link_poll(from, out);
}

/* link:events(list): as h3:events */
static int link_events(lua_State *L)
{
    struct link_box *box = check_box(L);

    luaL_checktype(L, 2, LUA_TTABLE);
    if (box->link == NULL) {
        lua_pushinteger(L, 0);
        return 1;
    }
    neap_lua_take_events(L, poll_link, box->link, !neap_listener_is_client(box->owner->listener));
    lua_pushboolean(L, 0);
    return 3;
}

/* link:send_request(fields[, fin]) -> stream */
static int send_request(lua_State *L)
{
    struct link_box *box = check_box(L);
    neap_field fields[FIELDS_MAX];
    bool fin = lua_toboolean(L, 3);
    size_t count = neap_lua_check_fields(L, 2, fields, 0);

    if (box->link == NULL)
        return neap_lua_error(L, NEAP_ERR_CLOSED);
    return neap_lua_count(L, neap_link_send_request(box->link, fields, count, fin));
}

/* link:failure() -> why it has ended: message, code, number: an errno of "system", 0x100 + the TLS alert of "certificate", whose
 * names are those of the peer's certificate, and of "tls" */
static int failure(lua_State *L)
{
    struct link_box *box = check_box(L);

    if (box->code == 0) {
        lua_pushnil(L);
        return 1;
    }
    int64_t alert = box->code - NEAP_CRYPTO_ERROR;
    const char *name = alert >= 42 && alert <= 48 && alert != 47 ? "certificate" : "tls";
    if (box->code == NEAP_ERR_SYSTEM)
        name = box->error_number == ECONNREFUSED ? "refused"
               : box->error_number == ETIMEDOUT  ? "timeout"
                                                 : "system";
    else if (box->code == NEAP_ERR_CLOSED)
        name = "closed";
    lua_pushstring(L, box->why != NULL ? box->why : "");
    lua_pushstring(L, name);
    lua_pushinteger(L, (lua_Integer)(box->code > 0 ? box->code : box->error_number));
    return 3;
}

static int send_response(lua_State *L)
{
    struct link_box *box = check_box(L);
    uint64_t stream = neap_lua_check_u64(L, 2);
    neap_field fields[FIELDS_MAX];
    bool fin = lua_toboolean(L, 4);
    size_t count = neap_lua_add_date(box->owner->config, fields, neap_lua_check_fields(L, 3, fields, 0));
    if (box->link == NULL)
        return neap_lua_error(L, NEAP_ERR_CLOSED);
    return neap_lua_result(L, neap_link_send_response(box->link, stream, fields, count, fin));
}

static int send_body(lua_State *L)
{
    struct link_box *box = check_box(L);
    uint64_t stream = neap_lua_check_u64(L, 2);
    size_t size;
    const char *bytes = luaL_checklstring(L, 3, &size);

    if (box->link == NULL)
        return neap_lua_error(L, NEAP_ERR_CLOSED);
    return neap_lua_count(L, neap_link_send_body(box->link, stream, bytes, size, lua_toboolean(L, 4)));
}

static int body_capacity(lua_State *L)
{
    struct link_box *box = check_box(L);
    uint64_t stream = neap_lua_check_u64(L, 2);

    return neap_lua_count(L,
                          box->link != NULL ? neap_link_body_capacity(box->link, stream) : NEAP_ERR_CLOSED);
}

static int recv_body(lua_State *L)
{
    struct link_box *box = check_box(L);
    uint64_t stream = neap_lua_check_u64(L, 2);
    uint64_t max = neap_lua_opt_u64(L, 3, RECV_MAX);
    uint8_t out[RECV_MAX];

    luaL_argcheck(L, max > 0, 3, "at least one byte");
    if (box->link == NULL)
        return neap_lua_error(L, NEAP_ERR_CLOSED);
    int64_t got = neap_link_recv_body(box->link, stream, out, max < sizeof out ? (size_t)max : sizeof out);
    if (got < 0)
        return neap_lua_error(L, got);
    lua_pushlstring(L, (const char *)out, (size_t)got);
    return 1;
}

/* link:send_file(stream, file, offset, count[, fin]) -> count taken; less: "writable" comes */
static int send_file(lua_State *L)
{
    struct link_box *box = check_box(L);
    uint64_t stream = neap_lua_check_u64(L, 2);
    int fd = neap_lua_check_file(L, 3);
    uint64_t offset = neap_lua_check_u64(L, 4);
    uint64_t left = neap_lua_check_u64(L, 5), taken = 0;
    bool fin = lua_toboolean(L, 6);
    int64_t result = NEAP_OK;
    uint8_t bytes[RECV_MAX];

    if (box->link == NULL)
        return neap_lua_error(L, NEAP_ERR_CLOSED);
    if (left == 0)
        result = neap_link_send_body(box->link, stream, "", 0, fin);
    while (left > 0 && taken < SAVE_MAX) {
        size_t most = left < sizeof bytes ? (size_t)left : sizeof bytes;
        result = neap_link_body_capacity(box->link, stream);
        if (result < 0)
            break;
        if ((uint64_t)result < most) /* one that has no room tells when it has if it was tried */
            most = result > 0 ? (size_t)result : 1;
        ssize_t got = pread(fd, bytes, most, (off_t)(offset + taken));
        if (got < 0)
            return neap_lua_system_error(L, "reading a file", errno);
        if (got == 0) {
            lua_pushnil(L);
            lua_pushliteral(L, "the file became shorter while it was sent");
            lua_pushliteral(L, "truncated");
            return 3;
        }
        result = neap_link_send_body(box->link, stream, bytes, (size_t)got, fin && (uint64_t)got == left);
        if (result < 0)
            break;
        taken += (uint64_t)result;
        left -= (uint64_t)result;
        if (result < got)
            break;
    }
    if (result < 0 && (result != NEAP_ERR_AGAIN || taken == 0))
        return neap_lua_error(L, result);
    neap_lua_push_u64(L, taken);
    return 1;
}

/* link:save_body(stream, file) -> count written */
static int save_body(lua_State *L)
{
    struct link_box *box = check_box(L);
    uint64_t stream = neap_lua_check_u64(L, 2);
    int fd = neap_lua_check_file(L, 3);
    uint64_t saved = 0;
    int64_t got = 0;
    uint8_t bytes[RECV_MAX];

    if (box->link == NULL)
        return neap_lua_error(L, NEAP_ERR_CLOSED);
    while (saved < SAVE_MAX && (got = neap_link_recv_body(box->link, stream, bytes, sizeof bytes)) > 0) {
        int number = neap_lua_write_all(fd, bytes, (size_t)got);
        if (number != 0)
            return neap_lua_system_error(L, "write", number);
        saved += (uint64_t)got;
    }
    if (saved == 0)
        return neap_lua_error(L, got < 0 ? got : NEAP_ERR_AGAIN);
    neap_lua_push_u64(L, saved);
    return 1;
}

static int send_trailers(lua_State *L)
{
    struct link_box *box = check_box(L);
    uint64_t stream = neap_lua_check_u64(L, 2);
    neap_field fields[FIELDS_MAX];
    size_t count = neap_lua_check_fields(L, 3, fields, 0);

    if (box->link == NULL)
        return neap_lua_error(L, NEAP_ERR_CLOSED);
    return neap_lua_result(L, neap_link_send_trailers(box->link, stream, fields, count));
}

static int give_up(lua_State *L, int (*how)(struct link *, uint64_t, uint64_t))
{
    struct link_box *box = check_box(L);
    uint64_t stream = neap_lua_check_u64(L, 2);
    uint64_t code = neap_lua_check_code(L, 3);

    return neap_lua_result(L, box->link != NULL ? how(box->link, stream, code) : NEAP_ERR_CLOSED);
}

static int cancel(lua_State *L)
{
    return give_up(L, neap_link_cancel);
}

static int stop_body(lua_State *L)
{
    return give_up(L, neap_link_stop_body);
}

static int goaway(lua_State *L)
{
    struct link_box *box = check_box(L);

    return neap_lua_result(L, box->link != NULL ? neap_link_goaway(box->link) : NEAP_ERR_CLOSED);
}

static int open_requests(lua_State *L)
{
    struct link_box *box = check_box(L);

    neap_lua_push_u64(L, box->link != NULL ? neap_link_open_requests(box->link) : 0);
    return 1;
}

/* link:priority(stream), link:set_priority(stream, urgency, incremental): there is none here */
static int priority(lua_State *L)
{
    check_box(L);
    return neap_lua_error(L, NEAP_ERR_UNSUPPORTED);
}

/* ---- what conn has */

static int peer(lua_State *L)
{
    neap_lua_push_address(L, &check_box(L)->peer);
    return 1;
}

static int protocol(lua_State *L)
{
    lua_pushstring(L, check_box(L)->protocol);
    return 1;
}

static int peer_certificates(lua_State *L)
{
    struct link_box *box = check_box(L);
    struct span der = box->link != NULL ? neap_link_peer_certificate(box->link, 0) : (struct span){0};

    if (der.size == 0) {
        lua_pushnil(L);
        return 1;
    }
    lua_newtable(L);
    for (size_t i = 0; (der = neap_link_peer_certificate(box->link, i)).size > 0; i++) {
        lua_pushlstring(L, (const char *)der.data, der.size);
        lua_rawseti(L, -2, (int)i + 1);
    }
    return 1;
}

/* link:is_resumed(): it has no sessions; link:psk_identity(): nor keys of before */
static int is_never(lua_State *L)
{
    check_box(L);
    lua_pushboolean(L, 0);
    return 1;
}

/* link:keep_alive(…) -> true: TCP keeps it by itself */
static int keep_alive(lua_State *L)
{
    check_box(L);
    lua_pushboolean(L, 1);
    return 1;
}

static int is_closed(lua_State *L)
{
    struct link_box *box = check_box(L);

    lua_pushboolean(L, box->link == NULL || neap_link_is_closed(box->link));
    return 1;
}

static int is_flushed(lua_State *L)
{
    struct link_box *box = check_box(L);

    lua_pushboolean(L, box->link == NULL || neap_link_is_flushed(box->link));
    return 1;
}

/* link:release(): a client's that is closed, of which no more is to be read; an open one ends at once */
static int release(lua_State *L)
{
    struct link_box *box = check_box(L);

    end_link(box);
    luaL_unref(L, LUA_REGISTRYINDEX, box->anchor);
    box->anchor = LUA_NOREF;
    return 0;
}

/* link:close() -> true: what was said leaves first */
static int link_close(lua_State *L)
{
    struct link_box *box = check_box(L);

    if (box->link == NULL)
        return neap_lua_error(L, NEAP_ERR_CLOSED);
    neap_link_close(box->link);
    lua_pushboolean(L, 1);
    return 1;
}

void neap_lua_open_link(lua_State *L)
{
    static const luaL_Reg listener_methods[] = {
        {"next", listener_next},
        {"refuse", listener_refuse},
        {"address", listener_address},
        {"stats", listener_stats},
        {"close", listener_close},
        {"connect", listener_connect},
        {NULL, NULL},
    };
    static const luaL_Reg methods[] = {
        {"respond", neap_lua_respond},
        {"send_request", send_request},
        {"failure", failure},
        {"send_response", send_response},
        {"send_body", send_body},
        {"body_capacity", body_capacity},
        {"recv_body", recv_body},
        {"send_file", send_file},
        {"save_body", save_body},
        {"send_trailers", send_trailers},
        {"cancel", cancel},
        {"stop_body", stop_body},
        {"goaway", goaway},
        {"open_requests", open_requests},
        {"priority", priority},
        {"set_priority", priority},
        {"peer", peer},
        {"protocol", protocol},
        {"peer_certificates", peer_certificates},
        {"is_resumed", is_never},
        {"psk_identity", is_never},
        {"keep_alive", keep_alive},
        {"is_closed", is_closed},
        {"is_draining", is_closed},
        {"is_flushed", is_flushed},
        {"close", link_close},
        {"release", release},
        {NULL, NULL},
    };

    neap_lua_new_type(L, TYPE_LISTENER, listener_methods, listener_gc, NULL);
    neap_lua_new_type(L, TYPE_LINK, methods, link_gc, NULL);
    neap_lua_add_events(L, TYPE_LINK, link_events);
#ifdef NEAP_HAVE_NGHTTP2
    lua_pushboolean(L, true);
    lua_setfield(L, -2, "has_http2");
#endif
}
