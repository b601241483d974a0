/* Units of core/quic/conn_early.c, and HTTP/3 on such connections (core/http/h3_early.c). */
#include "quic_unit.h"
#include "tls/state.h"

static int conn_stream_is_early(lua_State *L)
{
    lua_pushboolean(L, neap_conn_stream_is_early(check_conn(L, 1), (uint64_t)luaL_checknumber(L, 2)));
    return 1;
}

/* conn:lower_parameter(name): a server tells one less than its config has, and less than it holds tickets against. */
static int conn_lower_parameter(lua_State *L)
{
    neap_conn *c = check_conn(L, 1);
    const char *name = luaL_checkstring(L, 2);
    struct tls *tls = c->handshake->tls;
    struct transport_params p;
    struct failure why = {0};
    uint8_t room[LIMIT_TLS_PARAMETERS];
    struct writer w = writer_of(room, sizeof room);
    const struct {
        const char *name;
        uint64_t *value;
    } limits[] = {
        {"initial_max_data", &p.max_data},
        {"initial_max_stream_data_bidi_local", &p.max_stream_data_bidi_local},
        {"initial_max_stream_data_bidi_remote", &p.max_stream_data_bidi_remote},
        {"initial_max_stream_data_uni", &p.max_stream_data_uni},
        {"initial_max_streams_bidi", &p.max_streams_bidi},
        {"initial_max_streams_uni", &p.max_streams_uni},
        {"max_datagram_frame_size", &p.max_datagram_frame_size},
        {"active_connection_id_limit", &p.active_connection_id_limit},
    };

    if (neap_params_parse(tls->params, true, &p, &why))
        return luaL_error(L, "parameters: %s", why.reason);
    if (strcmp(name, "reset_stream_at") == 0)
        p.present &= ~(UINT64_C(1) << PARAM_reset_stream_at);
    for (size_t i = 0; i < sizeof limits / sizeof limits[0]; i++)
        *limits[i].value -= strcmp(limits[i].name, name) == 0;
    neap_params_write(&w, &p, true, 0);
    neap_tls_drop(tls, &tls->params);
    tls->params = neap_tls_copy(tls, span_of(room, writer_size(&w)));
    return 0;
}

static int conn_begin_again(lua_State *L)
{
    lua_pushinteger(L, neap_conn_begin_again(check_conn(L, 1)));
    return 1;
}

/* conn:session_data([bytes]) -> what is there; with bytes 0 or a code */
static int conn_session_data(lua_State *L)
{
    neap_conn *c = check_conn(L, 1);
    size_t size;

    if (!lua_isnoneornil(L, 2)) {
        const char *given = luaL_checklstring(L, 2, &size);

        lua_pushinteger(L, neap_conn_set_session_data(c, given, size));
        return 1;
    }
    const char *data = neap_conn_session_data(c, &size);
    lua_pushlstring(L, data ? data : "", size);
    return 1;
}

/* ---- HTTP/3, with the memory of the connection's config */

#define H3 "unit.quic.h3"

static neap_h3 **check_h3(lua_State *L)
{
    neap_h3 **u = luaL_checkudata(L, 1, H3);

    luaL_argcheck(L, *u != NULL, 1, "freed");
    return u;
}

/* h3:free(): before its connection */
static int h3_free(lua_State *L)
{
    neap_h3 **u = check_h3(L);

    neap_h3_free(*u);
    *u = NULL;
    return 0;
}

/* h3:get() -> stream of a request without a body, or a code */
static int h3_get(lua_State *L)
{
#define FIELD(name, value)                                    \
    {                                                         \
        name, value, sizeof name - 1, sizeof value - 1, false \
    }
    static const neap_field fields[] = {FIELD(":method", "GET"), FIELD(":scheme", "https"),
                                        FIELD(":authority", "localhost"), FIELD(":path", "/")};

    lua_pushnumber(L, (lua_Number)neap_h3_send_request(*check_h3(L), fields, 4, true));
    return 1;
}

/* h3:poll([answers]): a server answers 200 to every request -> how many field sections came, how many streams were reset */
static int h3_poll(lua_State *L)
{
    static const neap_field ok[] = {FIELD(":status", "200")};
    neap_h3 *h3 = *check_h3(L);
    neap_h3_event event;
    lua_Integer sections = 0, resets = 0;

    while (neap_h3_poll(h3, &event) == 0) {
        resets += event.type == NEAP_H3_RESET;
        if (event.type != NEAP_H3_HEADERS)
            continue;
        sections++;
        if (lua_toboolean(L, 2))
            neap_h3_send_response(h3, event.stream, ok, 1, true);
    }
    lua_pushinteger(L, sections);
    lua_pushinteger(L, resets);
    return 2;
}

static int h3_gc(lua_State *L)
{
    (void)L; /* specs free what they make, in order */
    return 0;
}

/* conn:h3() -> HTTP/3 on it, which is freed before it; nil without memory */
static int conn_h3(lua_State *L)
{
    static const luaL_Reg methods[] = {{"free", h3_free}, {"get", h3_get}, {"poll", h3_poll}, {NULL, NULL}};
    neap_h3 *h3 = neap_h3_new(check_conn(L, 1), NULL);

    if (!h3)
        return 0;
    new_type(L, H3, methods, h3_gc);
    *(neap_h3 **)new_object(L, H3, sizeof h3) = h3;
    return 1;
}

const luaL_Reg unit_early_methods[] = {
    {"h3", conn_h3},
    {"stream_is_early", conn_stream_is_early},
    {"begin_again", conn_begin_again},
    {"session_data", conn_session_data},
    {"lower_parameter", conn_lower_parameter},
    {NULL, NULL},
};
