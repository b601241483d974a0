/* Units of core/quic: endpoints with hand-fed datagrams and time. */
#include "quic_unit.h"

int neap_units_quic_endpoint(lua_State *L);

static neap_endpoint *check_endpoint(lua_State *L, int index)
{
    struct unit_endpoint *u = luaL_checkudata(L, index, ENDPOINT);

    luaL_argcheck(L, u->endpoint != NULL, index, "freed");
    return u->endpoint;
}

static int endpoint_new(lua_State *L)
{
    struct unit_config *config = check_config(L, 1);
    bool is_server = lua_toboolean(L, 2);
    struct unit_endpoint *u = new_object(L, ENDPOINT, sizeof *u);

    u->endpoint = neap_endpoint_new(config->config, is_server, NULL);
    return u->endpoint ? 1 : push_error(L, NEAP_ERR_ARGUMENT);
}

static int endpoint_free(lua_State *L)
{
    struct unit_endpoint *u = luaL_checkudata(L, 1, ENDPOINT);

    neap_endpoint_free(u->endpoint);
    u->endpoint = NULL;
    return 0;
}

/* endpoint:recv(bytes, from, to, now [, segment]) */
static int endpoint_recv(lua_State *L)
{
    neap_endpoint *e = check_endpoint(L, 1);
    size_t size;
    const char *bytes = luaL_checklstring(L, 2, &size);
    uint8_t *copy = malloc(size ? size : 1);
    neap_udp_datagram d = {.bytes = copy,
                           .size = size,
                           .segment_size = (size_t)luaL_optnumber(L, 6, 0),
                           .from = check_address(L, 3),
                           .to = check_address(L, 4)};

    memcpy(copy, bytes, size);
    lua_pushnumber(L, neap_endpoint_recv(e, &d, check_time(L, 5)));
    free(copy);
    return 1;
}

/* endpoint:recv_told({bytes, …}, {from or false, …}, to, now): it is told of all of them, 400 at most, and is then given
 * those that come from anywhere */
static int endpoint_recv_told(lua_State *L)
{
    neap_endpoint *e = check_endpoint(L, 1);
    neap_udp_datagram told[400];
    int count = 0;

    for (; count < 400 && (lua_rawgeti(L, 2, count + 1), lua_isstring(L, -1)); count++) {
        size_t size;
        const char *bytes = lua_tolstring(L, -1, &size);

        told[count] =
            (neap_udp_datagram){.bytes = malloc(size ? size : 1), .size = size, .to = check_address(L, 4)};
        memcpy(told[count].bytes, bytes, size);
        neap_endpoint_expect(e, told[count].bytes, size);
        lua_pop(L, 1);
    }
    for (int i = 0; i < count; i++) {
        lua_rawgeti(L, 3, i + 1);
        if (lua_toboolean(L, -1)) {
            told[i].from = check_address(L, -1);
            neap_endpoint_recv(e, &told[i], check_time(L, 5));
        }
        free(told[i].bytes);
        lua_pop(L, 1);
    }
    return 0;
}

/* endpoint:send(now [, room]) -> bytes, segment size, to, from */
static int endpoint_send(lua_State *L)
{
    neap_endpoint *e = check_endpoint(L, 1);
    size_t room = (size_t)luaL_optnumber(L, 3, 1500);
    neap_udp_datagram d = {.bytes = malloc(room)};
    int64_t size = neap_endpoint_send(e, &d, room, check_time(L, 2));
    int count = push_packet(L, d.bytes, size);

    free(d.bytes);
    if (size < 0)
        return count;
    lua_pushnumber(L, (lua_Number)d.segment_size);
    push_address(L, &d.to);
    push_address(L, &d.from);
    return 4;
}

static int endpoint_timeout(lua_State *L)
{
    push_time(L, neap_endpoint_timeout(check_endpoint(L, 1)));
    return 1;
}

static int endpoint_next(lua_State *L)
{
    neap_conn *conn = neap_endpoint_next(check_endpoint(L, 1));

    if (!conn)
        return 0;
    push_conn(L, conn, false);
    return 1;
}

/* endpoint:connect(name, local, peer, now) */
static int endpoint_connect(lua_State *L)
{
    neap_endpoint *e = check_endpoint(L, 1);
    neap_address local = check_address(L, 3), peer = check_address(L, 4);
    const char *why = "";
    neap_conn *conn =
        neap_endpoint_connect(e, NULL, luaL_checkstring(L, 2), &local, &peer, check_time(L, 5), &why);

    if (!conn) {
        lua_pushnil(L);
        lua_pushstring(L, why);
        return 2;
    }
    push_conn(L, conn, false);
    return 1;
}

static int endpoint_touch(lua_State *L)
{
    neap_endpoint_touch(check_endpoint(L, 1), check_conn(L, 2));
    return 0;
}

static int endpoint_release(lua_State *L)
{
    neap_endpoint_release(check_endpoint(L, 1), check_conn(L, 2));
    ((struct unit_conn *)lua_touserdata(L, 2))->conn = NULL;
    return 0;
}

static int endpoint_refuse(lua_State *L)
{
    neap_endpoint_refuse(check_endpoint(L, 1), lua_toboolean(L, 2));
    return 0;
}

/* endpoint:hold(family, hold) */
static int endpoint_hold(lua_State *L)
{
    neap_endpoint_hold(check_endpoint(L, 1), (unsigned)luaL_checkinteger(L, 2), lua_toboolean(L, 3));
    return 0;
}

/* endpoint:route(conn, cid): the connection is found by this one too */
static int endpoint_route(lua_State *L)
{
    neap_endpoint *e = check_endpoint(L, 1);
    struct unit_endpoint *u = lua_touserdata(L, 1);
    neap_cid cid = check_cid(L, 3);

    luaL_argcheck(L, u->route_count < UNIT_ROUTES, 1, "too many routes");
    struct cid_route *route = &u->routes[u->route_count++];
    route->owner = &check_conn(L, 2)->entry;
    neap_map_add(&e->routes, e->pool, &route->node, neap_siphash(e->route_key, cid_span(&cid)));
    return 0;
}

static uint32_t longest_chain(const struct map *m)
{
    struct map_walk walk = {0};
    uint32_t longest = 0, length = 0, chain = 0;

    while (neap_map_walk(m, &walk)) {
        length = walk.chain == chain ? length + 1 : 1;
        chain = walk.chain;
        longest = length > longest ? length : longest;
    }
    return longest;
}

static int endpoint_stats(lua_State *L)
{
    neap_endpoint *e = check_endpoint(L, 1);
    neap_endpoint_stats s;

    neap_endpoint_get_stats(e, &s, sizeof s);
    lua_newtable(L);
    set_number(L, "connections", s.connections);
    set_number(L, "half_open", s.half_open);
    set_number(L, "accepted", s.accepted);
    set_number(L, "refused", s.refused);
    set_number(L, "retries_sent", s.retries_sent);
    set_number(L, "version_negotiations_sent", s.version_negotiations_sent);
    set_number(L, "resets_sent", s.resets_sent);
    set_number(L, "udp_datagrams_received", s.udp_datagrams_received);
    set_number(L, "udp_datagrams_dropped", s.udp_datagrams_dropped);
    set_number(L, "handshakes_delayed", s.handshakes_delayed);
    set_number(L, "accept_failures", s.accept_failures);
    set_number(L, "answers_waiting", s.answers_waiting);
    set_number(L, "answers_dropped", s.answers_dropped);
    set_number(L, "answers_most", s.answers_most);
    set_number(L, "tokens_accepted", s.tokens_accepted);
    set_number(L, "tokens_refused", s.tokens_refused);
    set_number(L, "arrivals_waiting", s.arrivals_waiting);
    set_number(L, "arrivals_overflowed", s.arrivals_overflowed);
    set_number(L, "arrivals_dropped", s.arrivals_dropped);
    set_number(L, "resets_withheld", s.resets_withheld);
    set_number(L, "first_packets_repeated", s.first_packets_repeated);
    set_number(L, "early_bytes", e->early.used);
    if (e->admission) /* ns that handshakes owe which have a token */
        set_number(L, "owed", e->admission->all_paid_at > e->now ? e->admission->all_paid_at - e->now : 0);
    set_number(L, "routes", e->routes.count);
    set_number(L, "longest_chain", longest_chain(&e->routes));
    set_number(L, "reset_routes", e->resets.count);
    return 1;
}
static const luaL_Reg endpoint_methods[] = {
    {"free", endpoint_free},           {"recv", endpoint_recv},
    {"recv_told", endpoint_recv_told}, {"send", endpoint_send},
    {"timeout", endpoint_timeout},     {"next", endpoint_next},
    {"connect", endpoint_connect},     {"touch", endpoint_touch},
    {"release", endpoint_release},     {"refuse", endpoint_refuse},
    {"hold", endpoint_hold},           {"route", endpoint_route},
    {"stats", endpoint_stats},         {NULL, NULL},
};

/* ---- admission(): who may begin a handshake */

#define ADMISSION "neap.units.quic.admission"

struct admission_unit {
    struct admission a; /* comes first: it is what the others take */
    struct admission_charge last;
};

static int admission_new(lua_State *L)
{
    uint64_t key = (uint64_t)luaL_optnumber(L, 1, 1);
    struct admission_unit *u = new_object(L, ADMISSION, sizeof *u);

    u->a.key[0] = key;
    return 1;
}

/* a:ask(address, validated, rate, half_open, now) -> "begin", "retry", "later" or "refuse" */
static int admission_ask(lua_State *L)
{
    static const char *const says[] = {"begin", "retry", "later", "refuse"};
    neap_address peer = check_address(L, 2);

    lua_pushstring(L, says[neap_admission_ask(luaL_checkudata(L, 1, ADMISSION), &peer, lua_toboolean(L, 3),
                                              (uint64_t)luaL_checknumber(L, 4),
                                              (uint64_t)luaL_checknumber(L, 5), check_time(L, 6))]);
    return 1;
}

/* a:begun(address, rate, now) */
static int admission_begun(lua_State *L)
{
    neap_address peer = check_address(L, 2);

    struct admission_unit *u = luaL_checkudata(L, 1, ADMISSION);

    u->last = neap_admission_begun(&u->a, &peer, (uint64_t)luaL_checknumber(L, 3), check_time(L, 4));
    return 0;
}

/* a:resumed(address, least, now): the one that began last */
static int admission_resumed(lua_State *L)
{
    neap_address peer = check_address(L, 2);
    struct admission_unit *u = luaL_checkudata(L, 1, ADMISSION);

    neap_admission_resumed(&u->a, &peer, &u->last, check_time(L, 3), check_time(L, 4));
    return 0;
}

/* a:worked(address, rate, cost, now) */
static int admission_worked(lua_State *L)
{
    neap_address peer = check_address(L, 2);
    struct admission_unit *u = luaL_checkudata(L, 1, ADMISSION);

    neap_admission_worked(&u->a, &peer, (uint64_t)luaL_checknumber(L, 3), check_time(L, 4), check_time(L, 5));
    return 0;
}

/* a:spend(dcid, now) */
static int admission_spend(lua_State *L)
{
    struct admission *a = luaL_checkudata(L, 1, ADMISSION);
    neap_cid cid = check_cid(L, 2);

    neap_admission_spend(a, neap_admission_hash(a, cid_span(&cid)), check_time(L, 3));
    return 0;
}

/* a:is_spent(dcid, now) */
static int admission_is_spent(lua_State *L)
{
    struct admission *a = luaL_checkudata(L, 1, ADMISSION);
    neap_cid cid = check_cid(L, 2);

    lua_pushboolean(L, neap_admission_is_spent(a, neap_admission_hash(a, cid_span(&cid)), check_time(L, 3)));
    return 1;
}

static int admission_gc(lua_State *L)
{
    (void)L;
    return 0;
}

static const luaL_Reg admission_methods[] = {
    {"ask", admission_ask},
    {"begun", admission_begun},
    {"resumed", admission_resumed},
    {"worked", admission_worked},
    {"spend", admission_spend},
    {"is_spent", admission_is_spent},
    {NULL, NULL},
};

static const luaL_Reg functions[] = {
    {"admission", admission_new},
    {"endpoint", endpoint_new},
    {NULL, NULL},
};

int neap_units_quic_endpoint(lua_State *L)
{
    new_type(L, ENDPOINT, endpoint_methods, endpoint_free);
    new_type(L, ADMISSION, admission_methods, admission_gc);
    push_functions(L, functions);
    return 1;
}
