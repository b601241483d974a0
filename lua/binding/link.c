/* A TCP connection in Lua: like a connection and its h3 in one, so that what serves HTTP/3 serves HTTP/1.1 and HTTP/2 as
 * well. */
#include "link.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define RECV_MAX 65536
#define SAVE_MAX (1u << 18) /* bytes that one call writes, so that the loop has its turn */

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

    neap_lua_end_link(box);
    neap_lua_release_listener(box->owner);
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

    neap_lua_end_link(box);
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

    neap_lua_new_type(L, TYPE_LINK, methods, link_gc, NULL);
    neap_lua_add_events(L, TYPE_LINK, link_events);
#ifdef NEAP_HAVE_NGHTTP2
    lua_pushboolean(L, true);
    lua_setfield(L, -2, "has_http2");
#endif
}
