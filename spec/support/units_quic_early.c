/* Units of core/quic/conn_early.c. */
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
        {"active_connection_id_limit", &p.active_connection_id_limit},
    };

    if (neap_params_parse(tls->params, true, &p, &why))
        return luaL_error(L, "parameters: %s", why.reason);
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

const luaL_Reg unit_early_methods[] = {
    {"stream_is_early", conn_stream_is_early},
    {"begin_again", conn_begin_again},
    {"session_data", conn_session_data},
    {"lower_parameter", conn_lower_parameter},
    {NULL, NULL},
};
