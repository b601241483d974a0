/* Listeners in Lua: like endpoints, they name the links that have something new. Those of clients make them. */
#include "link.h"

#include <stdlib.h>
#include <string.h>

void neap_lua_end_link(struct link_box *box)
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
        neap_lua_end_link(core->links);
    /* With its loop its sockets went. */
    neap_listener_free(core->listener);
    core->listener = NULL;
}

void neap_lua_release_listener(struct listener_core *core)
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
    neap_lua_release_listener(*box);
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
                    neap_lua_end_link(box);
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

void neap_lua_open_listener(lua_State *L)
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

    neap_lua_new_type(L, TYPE_LISTENER, listener_methods, listener_gc, NULL);
}
