/* Units of core/quic: traces of connections, in memory. */
#include "quic_unit.h"

#define TRACE_TYPE "neap.units.quic.qlog"

struct unit_qlog {
    neap_qlog *qlog;
    char *text;
    size_t size;
    void *memory;
};

static void keep(void *context, const char *bytes, size_t size)
{
    struct unit_qlog *u = context;
    char *grown = realloc(u->text, u->size + size);

    if (!grown)
        abort();
    memcpy(grown + u->size, bytes, size);
    u->text = grown;
    u->size += size;
}

static int qlog_text(lua_State *L)
{
    struct unit_qlog *u = luaL_checkudata(L, 1, TRACE_TYPE);

    neap_qlog_flush(u->qlog);
    lua_pushlstring(L, u->text, u->size);
    return 1;
}

static int qlog_gc(lua_State *L)
{
    struct unit_qlog *u = luaL_checkudata(L, 1, TRACE_TYPE);

    free(u->text);
    free(u->memory);
    u->text = u->memory = NULL;
    return 0;
}

/* conn:qlog() -> trace, which is to be kept as long as the connection: trace:text(); nil: built without */
static int conn_qlog(lua_State *L)
{
    static const luaL_Reg methods[] = {{"text", qlog_text}, {NULL, NULL}};
    neap_conn *c = check_conn(L, 1);

    new_type(L, TRACE_TYPE, methods, qlog_gc);
    struct unit_qlog *u = new_object(L, TRACE_TYPE, sizeof *u);
    const neap_qlog_config config = {.write = keep, .context = u};
    u->memory = malloc(NEAP_QLOG_MEMORY);
    u->qlog = u->memory ? neap_qlog_init(u->memory, NEAP_QLOG_MEMORY, &config) : NULL;
    if (!u->qlog)
        return 0;
    neap_conn_set_qlog(c, u->qlog);
    return 1;
}

const luaL_Reg unit_qlog_methods[] = {{"qlog", conn_qlog}, {NULL, NULL}};
