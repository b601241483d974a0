/* Trace events for Lua: those of qlog, kept in a ring until a script takes them. Nothing of Lua is called when they happen; when
 * the ring is full the oldest give way. */
#include "binding.h"

#include <stdlib.h>
#include <string.h>

#define RING_BYTES 65536u /* unless the script says otherwise */
#define RING_LEAST 4096u
#define RING_MOST (16u << 20)
#define NAMES_MOST 2048u /* bytes of the names that are wanted, with what ends them */
#define LIMIT_TRACE_RINGS \
    256u /* connections of a config that have one at a time: each takes 80 KiB or more beside memory_limit, */
#define LIMIT_TRACE_WAITING \
    32u /* and of these, clients without proof: anybody may begin connections in others' names */
#define RECORD_BEGINS '\x1e'

/* Of the connection, on top of what else sees it, and of its object in Lua: freed when both are gone. */
struct trace_ring {
    neap_tracer tracer;
    const neap_tracer *next;    /* sees the same; NULL: nobody */
    struct config_core *config; /* that counts it */
    unsigned references;
    bool is_deaf;    /* no object any more */
    bool is_waiting; /* of a client whose address is not proved */
    neap_qlog *qlog;
    uint64_t dropped;
    size_t first, used, room; /* of bytes: where the oldest record begins, how many there are */
    char *bytes;
    size_t names_size; /* 0: all events */
    char names[NAMES_MOST];
};

static void end_waiting(struct trace_ring *ring)
{
    ring->config->rings_waiting -= ring->is_waiting;
    ring->is_waiting = false;
}

static void release(struct trace_ring *ring)
{
    if (--ring->references > 0)
        return;
    end_waiting(ring);
    ring->config->rings--;
    neap_lua_config_release(ring->config);
    free(ring->qlog);
    free(ring->bytes);
    free(ring);
}

static char byte_at(const struct trace_ring *ring, size_t at)
{
    return ring->bytes[(ring->first + at) % ring->room];
}

/* Bytes of the oldest record. */
static size_t first_size(const struct trace_ring *ring)
{
    size_t size = 1;

    while (size < ring->used && byte_at(ring, size) != RECORD_BEGINS)
        size++;
    return size;
}

static void drop_first(struct trace_ring *ring)
{
    size_t size = first_size(ring);

    ring->first = (ring->first + size) % ring->room;
    ring->used -= size;
}

static void keep(struct trace_ring *ring, const char *record, size_t size)
{
    if (size > ring->room) {
        ring->dropped++;
        return;
    }
    for (; ring->room - ring->used < size; ring->dropped++)
        drop_first(ring);
    size_t at = (ring->first + ring->used) % ring->room;
    size_t part = size < ring->room - at ? size : ring->room - at;
    memcpy(ring->bytes + at, record, part);
    memcpy(ring->bytes, record + part, size - part);
    ring->used += size;
}

/* The head of a file is no event. */
static bool is_event(const char *record, size_t size)
{
    static const char head[] = "\x1e{\"file_schema\"";

    return size < sizeof head - 1 || memcmp(record, head, sizeof head - 1) != 0;
}

static void take_records(void *context, const char *bytes, size_t size)
{
    struct trace_ring *ring = context;

    while (size > 0) {
        const char *end = memchr(bytes + 1, RECORD_BEGINS, size - 1);
        size_t record = end != NULL ? (size_t)(end - bytes) : size;

        if (is_event(bytes, record))
            keep(ring, bytes, record);
        bytes += record;
        size -= record;
    }
}

static bool wants(void *context, const char *name)
{
    const struct trace_ring *ring = context;
    size_t at = 0;

    while (at < ring->names_size && strcmp(ring->names + at, name) != 0)
        at += strlen(ring->names + at) + 1;
    return ring->names_size == 0 || at < ring->names_size;
}

static void on_event(void *context, const neap_trace_event *event)
{
    struct trace_ring *ring = context;
    const neap_tracer *next = ring->next;

    if (ring->is_waiting && event->kind != NEAP_TRACE_GONE && neap_lua_is_proved(event->conn))
        end_waiting(ring);
    if (!ring->is_deaf) {
        neap_qlog_event(ring->qlog, event);
        neap_qlog_flush(ring->qlog);
    }
    if (event->kind == NEAP_TRACE_GONE)
        release(ring);
    if (next != NULL)
        next->emit(next->context, event);
}

void neap_lua_set_tracer(neap_conn *conn, const neap_tracer *tracer)
{
    const neap_tracer *head = neap_conn_tracer(conn);

    if (head != NULL && head->emit == on_event)
        ((struct trace_ring *)head->context)->next = tracer;
    else
        neap_conn_set_tracer(conn, tracer);
}

void neap_lua_trace_release(struct trace_ring *ring)
{
    if (ring == NULL)
        return;
    ring->is_deaf = true;
    release(ring);
}

static void end_trace(struct conn_core *core)
{
    if (core->trace == NULL)
        return;
    if (core->conn != NULL) {
        neap_conn_set_tracer(core->conn, core->trace->next);
        release(core->trace);
    }
    neap_lua_trace_release(core->trace);
    core->trace = NULL;
}

/* The names in the field `events` of the table at `index`. */
static void read_names(lua_State *L, int index, struct trace_ring *ring)
{
    lua_getfield(L, index, "events");
    if (lua_isnil(L, -1))
        return;
    size_t count = lua_istable(L, -1) ? lua_rawlen(L, -1) : 0;
    if (count == 0)
        luaL_error(L, "option 'events' must be a list of names of events, as \"quic:packet_lost\"");
    for (size_t i = 1; i <= count; i++) {
        size_t size = 0;

        lua_rawgeti(L, -1, (int)i);
        const char *name = lua_type(L, -1) == LUA_TSTRING ? lua_tolstring(L, -1, &size) : NULL;
        if (name == NULL || strchr(name, ':') == NULL || strlen(name) != size)
            luaL_error(L, "option 'events' must be a list of names of events, as \"quic:packet_lost\"");
        if (ring->names_size + size + 1 > NAMES_MOST)
            luaL_error(L, "option 'events' has too many names");
        memcpy(ring->names + ring->names_size, name, size + 1);
        ring->names_size += size + 1;
        lua_pop(L, 1);
    }
}

static size_t read_room(lua_State *L, int index)
{
    lua_getfield(L, index, "bytes");
    if (lua_isnil(L, -1))
        return RING_BYTES;
    lua_Number number = lua_type(L, -1) == LUA_TNUMBER ? lua_tonumber(L, -1) : 0;
    if (!(number >= RING_LEAST && number <= RING_MOST))
        luaL_error(L, "option 'bytes' must be a number from %d to %d", (int)RING_LEAST, (int)RING_MOST);
    return (size_t)number;
}

/* What is to be returned where there may be no more; 0: there may. */
static int refuse_ring(lua_State *L, const struct config_core *config, bool is_waiting)
{
    bool is_full = config->rings >= LIMIT_TRACE_RINGS;

    if (!is_full && (!is_waiting || config->rings_waiting < LIMIT_TRACE_WAITING))
        return 0;
    lua_pushfstring(L, is_full ? "%d connections are traced" : "%d clients without proof are traced",
                    (int)(is_full ? LIMIT_TRACE_RINGS : LIMIT_TRACE_WAITING));
    return neap_lua_error_text(L, NEAP_ERR_LIMIT, lua_tostring(L, -1));
}

/* conn:trace([{ events =, bytes = }]) -> true; conn:trace(false): no more */
static int conn_trace(lua_State *L)
{
    struct conn_core *core = neap_lua_check_conn(L, 1);
    struct config_core *config = neap_lua_conn_config(core);
    struct trace_ring given = {.room = RING_BYTES, .references = 2};

    if (lua_isboolean(L, 2) && !lua_toboolean(L, 2)) {
        end_trace(core);
        lua_pushboolean(L, 1);
        return 1;
    }
    if (!lua_isnoneornil(L, 2)) {
        luaL_checktype(L, 2, LUA_TTABLE);
        read_names(L, 2, &given);
        given.room = read_room(L, 2);
    }
    if (core->conn == NULL)
        return neap_lua_error(L, NEAP_ERR_CLOSED);
#ifdef NEAP_NO_QLOG
    return neap_lua_error_text(L, NEAP_ERR_UNSUPPORTED, "built without qlog");
#endif
    given.is_waiting = !neap_lua_is_proved(core->conn);
    int refused = core->trace == NULL ? refuse_ring(L, config, given.is_waiting) : 0;
    if (refused > 0)
        return refused;
    struct trace_ring *ring = malloc(sizeof *ring);
    void *memory = malloc(NEAP_QLOG_MEMORY);
    given.bytes = malloc(given.room);
    if (ring == NULL || memory == NULL || given.bytes == NULL) {
        free(ring);
        free(memory);
        free(given.bytes);
        return neap_lua_error(L, NEAP_ERR_NO_MEMORY);
    }
    const neap_qlog_config into = {.write = take_records, .wants = wants, .context = ring};
    end_trace(core);
    *ring = given;
    ring->config = neap_lua_config_retain(config);
    config->rings++;
    config->rings_waiting += ring->is_waiting;
    ring->tracer = (neap_tracer){on_event, ring};
    ring->next = neap_conn_tracer(core->conn);
    ring->qlog = neap_qlog_init(memory, NEAP_QLOG_MEMORY, &into);
    core->trace = ring;
    neap_conn_set_tracer(core->conn, &ring->tracer);
    lua_pushboolean(L, 1);
    return 1;
}

/* conn:trace_next() -> the oldest event as JSON, or nil; and how many had to give way so far */
static int conn_trace_next(lua_State *L)
{
    struct trace_ring *ring = neap_lua_check_conn(L, 1)->trace;
    luaL_Buffer text;

    if (ring == NULL || ring->used == 0) {
        lua_pushnil(L);
        lua_pushnumber(L, ring != NULL ? (lua_Number)ring->dropped : 0);
        return 2;
    }
    size_t size = first_size(ring);
    luaL_buffinit(L, &text);
    for (size_t i = 1; i < size; i++)
        luaL_addchar(&text, byte_at(ring, i));
    luaL_pushresult(&text);
    drop_first(ring);
    lua_pushnumber(L, (lua_Number)ring->dropped);
    return 2;
}

/* conn:trace_pending() -> whether there is an event */
static int conn_trace_pending(lua_State *L)
{
    const struct trace_ring *ring = neap_lua_check_conn(L, 1)->trace;

    lua_pushboolean(L, ring != NULL && ring->used > 0);
    return 1;
}

const luaL_Reg neap_lua_trace_methods[] = {
    {"trace", conn_trace},
    {"trace_next", conn_trace_next},
    {"trace_pending", conn_trace_pending},
    {NULL, NULL},
};
