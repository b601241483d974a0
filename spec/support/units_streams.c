/* Units of core/streams: reassembly, the send buffer, crypto streams and the whole table. Every object has a pool of its
 * own, whose allocations are counted and can be made to fail. */
#include <lauxlib.h>
#include <lua.h>
#include <stdlib.h>

#include "base/limits.h"
#include "base/pool.h"
#include "streams/crypto_stream.h"
#include "streams/streams.h"

int neap_units_streams(lua_State *L);

struct memory {
    struct pool *pool;
    uint64_t allocations;
    uint64_t passing, failing; /* so many allocations from now on succeed, the so many after them fail */
};

static void *counting_realloc(void *context, void *pointer, size_t size)
{
    struct memory *memory = context;

    if (size == 0) {
        free(pointer);
        return NULL;
    }
    memory->allocations++;
    if (memory->passing > 0) {
        memory->passing--;
    } else if (memory->failing > 0) {
        memory->failing--;
        return NULL;
    }
    return realloc(pointer, size);
}

static void set_functions(lua_State *L, const luaL_Reg *functions)
{
    for (; functions->name; functions++) {
        lua_pushcfunction(L, functions->func);
        lua_setfield(L, -2, functions->name);
    }
}

static void new_type(lua_State *L, const char *name, const luaL_Reg *methods, lua_CFunction gc)
{
    luaL_newmetatable(L, name);
    lua_pushcfunction(L, gc);
    lua_setfield(L, -2, "__gc");
    lua_newtable(L);
    set_functions(L, methods);
    lua_setfield(L, -2, "__index");
    lua_pop(L, 1);
}

/* Zeroed, with its memory at the front. */
static void *new_object(lua_State *L, const char *name, size_t size)
{
    struct memory *memory = lua_newuserdata(L, size);

    memset(memory, 0, size);
    memory->pool = neap_pool_new(counting_realloc, memory, 0);
    luaL_getmetatable(L, name);
    lua_setmetatable(L, -2);
    return memory;
}

/* Numbers above 2^53 come and go as decimal strings. */
static uint64_t check_u64(lua_State *L, int index)
{
    if (lua_type(L, index) == LUA_TSTRING)
        return strtoull(lua_tostring(L, index), NULL, 10);
    return (uint64_t)luaL_checknumber(L, index);
}

static uint64_t opt_u64(lua_State *L, int index, uint64_t otherwise)
{
    return lua_isnoneornil(L, index) ? otherwise : check_u64(L, index);
}

static struct span check_span(lua_State *L, int index)
{
    size_t size;
    const char *bytes = luaL_checklstring(L, index, &size);

    return span_of(bytes, size);
}

static void push_u64(lua_State *L, uint64_t value)
{
    if (value < UINT64_C(1) << 53) {
        lua_pushnumber(L, (lua_Number)value);
        return;
    }
    char text[24], *at = text + sizeof(text);
    for (*--at = 0; value; value /= 10)
        *--at = (char)('0' + value % 10);
    lua_pushstring(L, at);
}

static void set_u64(lua_State *L, const char *name, uint64_t value)
{
    push_u64(L, value);
    lua_setfield(L, -2, name);
}

static void set_bool(lua_State *L, const char *name, bool value)
{
    lua_pushboolean(L, value);
    lua_setfield(L, -2, name);
}

/* code, reason */
static int push_result(lua_State *L, int code, const struct failure *why)
{
    lua_pushinteger(L, code);
    lua_pushstring(L, why->reason);
    return 2;
}

/* object:memory() -> bytes in use, allocations made so far */
static int object_memory(lua_State *L)
{
    const struct memory *memory = lua_touserdata(L, 1);

    push_u64(L, neap_pool_stats(memory->pool).used);
    push_u64(L, memory->allocations);
    return 2;
}

/* object:fail(count, after): after so many good ones `count` allocations fail */
static int object_fail(lua_State *L)
{
    struct memory *memory = lua_touserdata(L, 1);

    memory->failing = check_u64(L, 2);
    memory->passing = opt_u64(L, 3, 0);
    return 0;
}

/* Push what the reassembly gives of at most `size` bytes. */
static void push_read(lua_State *L, struct reassembly *a, struct pool *pool, uint64_t size)
{
    luaL_Buffer buffer;

    luaL_buffinit(L, &buffer);
    while (size) {
        struct span view = neap_reassembly_peek(a);
        size_t part = view.size < size ? view.size : (size_t)size;

        if (part == 0)
            break;
        luaL_addlstring(&buffer, (const char *)view.data, part);
        neap_reassembly_consume(a, pool, part);
        size -= part;
    }
    luaL_pushresult(&buffer);
}

/* ---- reassembly(max_gaps) */

#define REASSEMBLY "neap.units.reassembly"

struct unit_reassembly {
    struct memory memory;
    struct reassembly a;
};

static int reassembly_new(lua_State *L)
{
    uint32_t gaps = (uint32_t)luaL_optnumber(L, 1, LIMIT_STREAM_GAPS);
    struct unit_reassembly *u = new_object(L, REASSEMBLY, sizeof(*u));

    neap_reassembly_init(&u->a, gaps);
    return 1;
}

static int reassembly_gc(lua_State *L)
{
    struct unit_reassembly *u = luaL_checkudata(L, 1, REASSEMBLY);

    neap_reassembly_free(&u->a, u->memory.pool);
    neap_pool_release(u->memory.pool);
    return 0;
}

static int reassembly_insert(lua_State *L)
{
    struct unit_reassembly *u = luaL_checkudata(L, 1, REASSEMBLY);

    lua_pushinteger(L, neap_reassembly_insert(&u->a, u->memory.pool, check_u64(L, 2), check_span(L, 3)));
    return 1;
}

static int reassembly_read(lua_State *L)
{
    struct unit_reassembly *u = luaL_checkudata(L, 1, REASSEMBLY);

    push_read(L, &u->a, u->memory.pool, opt_u64(L, 2, UINT64_MAX));
    return 1;
}

static int reassembly_discard(lua_State *L)
{
    struct unit_reassembly *u = luaL_checkudata(L, 1, REASSEMBLY);

    neap_reassembly_discard(&u->a, u->memory.pool, check_u64(L, 2));
    return 0;
}

/* r:state() -> next offset, ready, ranges */
static int reassembly_state(lua_State *L)
{
    struct unit_reassembly *u = luaL_checkudata(L, 1, REASSEMBLY);

    push_u64(L, u->a.read);
    push_u64(L, neap_reassembly_ready(&u->a));
    push_u64(L, u->a.received.count);
    return 3;
}

static const luaL_Reg reassembly_methods[] = {{"insert", reassembly_insert},
                                              {"read", reassembly_read},
                                              {"discard", reassembly_discard},
                                              {"state", reassembly_state},
                                              {"memory", object_memory},
                                              {"fail", object_fail},
                                              {NULL, NULL}};

/* ---- send_buffer() */

#define SEND_BUFFER "neap.units.send_buffer"

struct unit_send_buffer {
    struct memory memory;
    struct send_buffer b;
};

static int send_buffer_new(lua_State *L)
{
    struct unit_send_buffer *u = new_object(L, SEND_BUFFER, sizeof(*u));

    neap_send_buffer_init(&u->b);
    return 1;
}

static int send_buffer_gc(lua_State *L)
{
    struct unit_send_buffer *u = luaL_checkudata(L, 1, SEND_BUFFER);

    neap_send_buffer_free(&u->b, u->memory.pool);
    neap_pool_release(u->memory.pool);
    return 0;
}

static int send_buffer_append(lua_State *L)
{
    struct unit_send_buffer *u = luaL_checkudata(L, 1, SEND_BUFFER);

    push_u64(L, neap_send_buffer_append(&u->b, u->memory.pool, check_span(L, 2)));
    return 1;
}

/* b:take(limit, max) -> offset, bytes that are now sent; nothing when there are none */
static int send_buffer_take(lua_State *L)
{
    struct unit_send_buffer *u = luaL_checkudata(L, 1, SEND_BUFFER);
    uint64_t offset;
    size_t size;

    if (!neap_send_buffer_next(&u->b, opt_u64(L, 2, UINT64_MAX), (size_t)luaL_optnumber(L, 3, 1200), &offset,
                               &size))
        return 0;
    uint8_t *bytes = lua_newuserdata(L, size);
    neap_send_buffer_copy(&u->b, offset, bytes, size);
    neap_send_buffer_sent(&u->b, u->memory.pool, offset, size);
    push_u64(L, offset);
    lua_pushlstring(L, (const char *)bytes, size);
    return 2;
}

static int send_buffer_acked(lua_State *L)
{
    struct unit_send_buffer *u = luaL_checkudata(L, 1, SEND_BUFFER);

    neap_send_buffer_acked(&u->b, u->memory.pool, check_u64(L, 2), (size_t)luaL_checknumber(L, 3));
    return 0;
}

static int send_buffer_lost(lua_State *L)
{
    struct unit_send_buffer *u = luaL_checkudata(L, 1, SEND_BUFFER);

    neap_send_buffer_lost(&u->b, u->memory.pool, check_u64(L, 2), (size_t)luaL_checknumber(L, 3));
    return 0;
}

static int send_buffer_lose_all(lua_State *L)
{
    struct unit_send_buffer *u = luaL_checkudata(L, 1, SEND_BUFFER);

    neap_send_buffer_lose_all(&u->b, u->memory.pool);
    return 0;
}

/* b:state() -> base, next, highest, end */
static int send_buffer_state(lua_State *L)
{
    struct unit_send_buffer *u = luaL_checkudata(L, 1, SEND_BUFFER);

    push_u64(L, u->b.base);
    push_u64(L, u->b.next);
    push_u64(L, u->b.highest);
    push_u64(L, u->b.end);
    return 4;
}

static int send_buffer_has_data(lua_State *L)
{
    struct unit_send_buffer *u = luaL_checkudata(L, 1, SEND_BUFFER);

    lua_pushboolean(L, neap_send_buffer_has_data(&u->b, opt_u64(L, 2, UINT64_MAX)));
    return 1;
}

static const luaL_Reg send_buffer_methods[] = {{"append", send_buffer_append},
                                               {"take", send_buffer_take},
                                               {"acked", send_buffer_acked},
                                               {"lost", send_buffer_lost},
                                               {"lose_all", send_buffer_lose_all},
                                               {"state", send_buffer_state},
                                               {"has_data", send_buffer_has_data},
                                               {"memory", object_memory},
                                               {"fail", object_fail},
                                               {NULL, NULL}};

/* ---- frames: parsed again from the bytes that were written */

static void set_bytes(lua_State *L, const char *name, struct span bytes)
{
    lua_pushlstring(L, (const char *)bytes.data, bytes.size);
    lua_setfield(L, -2, name);
}

static void set_parsed(lua_State *L, const struct frame *f)
{
    if ((f->type & ~7ull) == FRAME_STREAM) {
        set_u64(L, "id", f->stream.id);
        set_u64(L, "offset", f->stream.offset);
        set_bytes(L, "data", f->stream.data);
        set_bool(L, "fin", f->stream.fin);
    } else if (f->type == FRAME_RESET_STREAM) {
        set_u64(L, "id", f->reset_stream.id);
        set_u64(L, "code", f->reset_stream.code);
        set_u64(L, "final_size", f->reset_stream.final_size);
    } else if (f->type == FRAME_STOP_SENDING) {
        set_u64(L, "id", f->stop_sending.id);
        set_u64(L, "code", f->stop_sending.code);
    } else if (f->type == FRAME_MAX_STREAM_DATA || f->type == FRAME_STREAM_DATA_BLOCKED) {
        set_u64(L, "id", f->stream_limit.id);
        set_u64(L, "limit", f->stream_limit.limit);
    } else if (f->type == FRAME_CRYPTO) {
        set_u64(L, "offset", f->crypto.offset);
        set_bytes(L, "data", f->crypto.data);
    } else {
        set_u64(L, "limit", f->limit);
    }
}

/* Push a table of the one frame that `w` holds; `size` says how many bytes it took. */
static void push_frame(lua_State *L, const struct writer *w, const struct written_frame *told)
{
    struct reader r = reader_of(span_of(w->start, writer_size(w)));
    struct failure why = {0};
    struct frame f;

    if (neap_frame_parse(&r, &f, &why) || reader_left(&r))
        luaL_error(L, "what was written is not one frame: %s", why.reason ? why.reason : "bytes are left");
    lua_newtable(L);
    set_parsed(L, &f);
    set_u64(L, "type", (f.type & ~7ull) == FRAME_STREAM ? FRAME_STREAM : f.type);
    set_u64(L, "size", writer_size(w));
    if (told) {
        struct written_frame *copy = lua_newuserdata(L, sizeof(*copy));

        *copy = *told;
        lua_setfield(L, -2, "told");
    }
}

static struct writer new_room(lua_State *L, int index)
{
    size_t room = (size_t)luaL_optnumber(L, index, 1200);

    return writer_of(lua_newuserdata(L, room + 1), room);
}

/* ---- crypto_stream() */

#define CRYPTO_STREAM "neap.units.crypto_stream"

struct unit_crypto_stream {
    struct memory memory;
    struct crypto_stream c;
};

static int crypto_stream_new(lua_State *L)
{
    struct unit_crypto_stream *u = new_object(L, CRYPTO_STREAM, sizeof(*u));

    neap_crypto_stream_init(&u->c);
    return 1;
}

static int crypto_stream_gc(lua_State *L)
{
    struct unit_crypto_stream *u = luaL_checkudata(L, 1, CRYPTO_STREAM);

    neap_crypto_stream_free(&u->c, u->memory.pool);
    neap_pool_release(u->memory.pool);
    return 0;
}

static int crypto_stream_on_crypto(lua_State *L)
{
    struct unit_crypto_stream *u = luaL_checkudata(L, 1, CRYPTO_STREAM);
    struct frame_crypto f = {.offset = check_u64(L, 2), .data = check_span(L, 3)};
    struct failure why = {0};

    return push_result(L, neap_crypto_stream_on_crypto(&u->c, u->memory.pool, &f, &why), &why);
}

static int crypto_stream_read(lua_State *L)
{
    struct unit_crypto_stream *u = luaL_checkudata(L, 1, CRYPTO_STREAM);

    push_read(L, &u->c.recv, u->memory.pool, opt_u64(L, 2, UINT64_MAX));
    return 1;
}

static int crypto_stream_append(lua_State *L)
{
    struct unit_crypto_stream *u = luaL_checkudata(L, 1, CRYPTO_STREAM);

    push_u64(L, neap_send_buffer_append(&u->c.send, u->memory.pool, check_span(L, 2)));
    return 1;
}

/* c:write(room) -> frame or nil */
static int crypto_stream_write(lua_State *L)
{
    struct unit_crypto_stream *u = luaL_checkudata(L, 1, CRYPTO_STREAM);
    struct writer w = new_room(L, 2);
    uint64_t offset;
    size_t size;

    if (!neap_crypto_stream_write(&u->c, u->memory.pool, &w, &offset, &size)) {
        if (writer_size(&w) > 0)
            luaL_error(L, "bytes were written without a frame");
        return 0;
    }
    push_frame(L, &w, NULL);
    return 1;
}

static int crypto_stream_lose_all(lua_State *L)
{
    struct unit_crypto_stream *u = luaL_checkudata(L, 1, CRYPTO_STREAM);

    neap_send_buffer_lose_all(&u->c.send, u->memory.pool);
    return 0;
}

static const luaL_Reg crypto_stream_methods[] = {{"on_crypto", crypto_stream_on_crypto},
                                                 {"read", crypto_stream_read},
                                                 {"append", crypto_stream_append},
                                                 {"write", crypto_stream_write},
                                                 {"lose_all", crypto_stream_lose_all},
                                                 {"memory", object_memory},
                                                 {"fail", object_fail},
                                                 {NULL, NULL}};

/* ---- new{ is_server =, ours... }: the table */

#define STREAMS "neap.units.streams"

struct unit_streams {
    struct memory memory;
    struct streams s;
};

static struct streams *check_streams(lua_State *L)
{
    struct unit_streams *u = luaL_checkudata(L, 1, STREAMS);

    return &u->s;
}

static uint64_t field(lua_State *L, const char *name, uint64_t otherwise)
{
    lua_getfield(L, 1, name);
    uint64_t value = opt_u64(L, -1, otherwise);
    lua_pop(L, 1);
    return value;
}

static struct transport_params check_params(lua_State *L, const char *name, uint64_t otherwise)
{
    struct transport_params p = {0};

    lua_getfield(L, 1, name);
    if (lua_istable(L, -1)) {
        lua_insert(L, 1);
        p.max_data = field(L, "max_data", otherwise);
        p.max_stream_data_bidi_local = field(L, "bidi_local", otherwise);
        p.max_stream_data_bidi_remote = field(L, "bidi_remote", otherwise);
        p.max_stream_data_uni = field(L, "uni", otherwise);
        p.max_streams_bidi = field(L, "streams_bidi", 100);
        p.max_streams_uni = field(L, "streams_uni", 100);
        lua_remove(L, 1);
        return p;
    }
    lua_pop(L, 1);
    p.max_data = p.max_stream_data_bidi_local = p.max_stream_data_bidi_remote = p.max_stream_data_uni =
        otherwise;
    p.max_streams_bidi = p.max_streams_uni = 100;
    return p;
}

static int streams_new(lua_State *L)
{
    if (lua_isnoneornil(L, 1)) {
        lua_settop(L, 0);
        lua_newtable(L);
    }
    struct transport_params ours = check_params(L, "ours", 65536), peer = check_params(L, "peer", 65536);
    struct streams_config config = {.ours = &ours,
                                    .max_connection_window = field(L, "max_connection_window", 1 << 20),
                                    .max_stream_window = field(L, "max_stream_window", 1 << 20),
                                    .send_buffer = field(L, "send_buffer", 1 << 20)};
    lua_getfield(L, 1, "is_server");
    config.is_server = lua_toboolean(L, -1);
    lua_getfield(L, 1, "without_peer");
    bool without_peer = lua_toboolean(L, -1);
    struct unit_streams *u = new_object(L, STREAMS, sizeof(*u));

    neap_streams_init(&u->s, u->memory.pool, &config);
    if (!without_peer)
        neap_streams_set_peer_params(&u->s, &peer);
    return 1;
}

static int streams_gc(lua_State *L)
{
    struct unit_streams *u = luaL_checkudata(L, 1, STREAMS);

    neap_streams_free(&u->s);
    neap_pool_release(u->memory.pool);
    return 0;
}

static int on_stream(lua_State *L)
{
    struct frame_stream f = {.id = check_u64(L, 2),
                             .offset = check_u64(L, 3),
                             .data = check_span(L, 4),
                             .fin = lua_toboolean(L, 5)};
    struct failure why = {0};

    return push_result(L, neap_streams_on_stream(check_streams(L), &f, opt_u64(L, 6, 1), &why), &why);
}

static int on_reset_stream(lua_State *L)
{
    struct frame_reset_stream f = {
        .id = check_u64(L, 2), .code = check_u64(L, 3), .final_size = check_u64(L, 4)};
    struct failure why = {0};

    return push_result(L, neap_streams_on_reset_stream(check_streams(L), &f, &why), &why);
}

static int on_stop_sending(lua_State *L)
{
    struct frame_stop_sending f = {.id = check_u64(L, 2), .code = check_u64(L, 3)};
    struct failure why = {0};

    return push_result(L, neap_streams_on_stop_sending(check_streams(L), &f, &why), &why);
}

static int on_max_data(lua_State *L)
{
    lua_pushinteger(L, neap_streams_on_max_data(check_streams(L), check_u64(L, 2)));
    return 1;
}

static int on_max_stream_data(lua_State *L)
{
    struct failure why = {0};

    return push_result(
        L, neap_streams_on_max_stream_data(check_streams(L), check_u64(L, 2), check_u64(L, 3), &why), &why);
}

static int on_max_streams(lua_State *L)
{
    struct failure why = {0};

    return push_result(
        L, neap_streams_on_max_streams(check_streams(L), lua_toboolean(L, 2), check_u64(L, 3), &why), &why);
}

static int on_stream_data_blocked(lua_State *L)
{
    struct failure why = {0};

    return push_result(L, neap_streams_on_stream_data_blocked(check_streams(L), check_u64(L, 2), &why), &why);
}

static int on_streams_blocked(lua_State *L)
{
    struct failure why = {0};

    return push_result(
        L, neap_streams_on_streams_blocked(check_streams(L), lua_toboolean(L, 2), check_u64(L, 3), &why),
        &why);
}

static int streams_open(lua_State *L)
{
    lua_pushnumber(
        L, (lua_Number)neap_streams_open(check_streams(L), lua_isnoneornil(L, 2) || lua_toboolean(L, 2)));
    return 1;
}

static int streams_send(lua_State *L)
{
    lua_pushnumber(L, (lua_Number)neap_streams_send(check_streams(L), check_u64(L, 2), check_span(L, 3),
                                                    lua_toboolean(L, 4)));
    return 1;
}

static int streams_queue(lua_State *L)
{
    lua_pushinteger(
        L, neap_streams_queue(check_streams(L), check_u64(L, 2), check_span(L, 3), lua_toboolean(L, 4)));
    return 1;
}

static int streams_capacity(lua_State *L)
{
    lua_pushnumber(L, (lua_Number)neap_streams_capacity(check_streams(L), check_u64(L, 2)));
    return 1;
}

/* s:recv(id, size, now, rtt) -> bytes or error, fin */
static int streams_recv(lua_State *L)
{
    size_t size = (size_t)luaL_optnumber(L, 3, 65536);
    neap_time now = opt_u64(L, 4, 1), rtt = opt_u64(L, 5, 0);
    uint8_t *room = lua_newuserdata(L, size + 1);
    bool fin;
    int64_t taken = neap_streams_recv(check_streams(L), check_u64(L, 2), room, size, &fin, now, rtt);

    if (taken < 0)
        lua_pushnumber(L, (lua_Number)taken);
    else
        lua_pushlstring(L, (const char *)room, (size_t)taken);
    lua_pushboolean(L, fin);
    return 2;
}

/* s:peek(id) -> bytes or error, fin */
static int streams_peek(lua_State *L)
{
    struct span view;
    bool fin;
    int64_t size = neap_streams_peek(check_streams(L), check_u64(L, 2), &view, &fin);

    if (size < 0)
        lua_pushnumber(L, (lua_Number)size);
    else
        lua_pushlstring(L, (const char *)view.data, view.size);
    lua_pushboolean(L, fin);
    return 2;
}

static int streams_consume(lua_State *L)
{
    neap_streams_consume(check_streams(L), check_u64(L, 2), (size_t)luaL_checknumber(L, 3), opt_u64(L, 4, 1),
                         opt_u64(L, 5, 0));
    return 0;
}

static int streams_end_seen(lua_State *L)
{
    neap_streams_end_seen(check_streams(L), check_u64(L, 2));
    return 0;
}

/* s:shutdown(id, "read" | "write", code) */
static int streams_shutdown(lua_State *L)
{
    static const char *const names[] = {"read", "write", NULL};
    enum neap_shutdown direction =
        luaL_checkoption(L, 3, NULL, names) == 0 ? NEAP_SHUTDOWN_READ : NEAP_SHUTDOWN_WRITE;

    lua_pushinteger(L, neap_streams_shutdown(check_streams(L), check_u64(L, 2), direction, check_u64(L, 4)));
    return 1;
}

/* s:error(id, "read" | "write") -> result, code */
static int streams_error(lua_State *L)
{
    static const char *const names[] = {"read", "write", NULL};
    enum neap_shutdown direction =
        luaL_checkoption(L, 3, NULL, names) == 0 ? NEAP_SHUTDOWN_READ : NEAP_SHUTDOWN_WRITE;
    uint64_t code = 0;

    lua_pushinteger(L, neap_streams_error(check_streams(L), check_u64(L, 2), direction, &code));
    push_u64(L, code);
    return 2;
}

static int streams_finished(lua_State *L)
{
    lua_pushboolean(L, neap_streams_finished(check_streams(L), check_u64(L, 2)));
    return 1;
}

static int streams_set_user(lua_State *L)
{
    static int something;

    lua_pushinteger(
        L, neap_streams_set_user(check_streams(L), check_u64(L, 2), lua_toboolean(L, 3) ? &something : NULL));
    return 1;
}

static int streams_set_priority(lua_State *L)
{
    lua_pushinteger(L, neap_streams_set_priority(check_streams(L), check_u64(L, 2),
                                                 (uint8_t)luaL_checknumber(L, 3), lua_toboolean(L, 4)));
    return 1;
}

static int streams_readable_next(lua_State *L)
{
    lua_pushnumber(L, (lua_Number)neap_streams_readable_next(check_streams(L)));
    return 1;
}

static int streams_writable_next(lua_State *L)
{
    lua_pushnumber(L, (lua_Number)neap_streams_writable_next(check_streams(L)));
    return 1;
}

/* s:list(readable, max) -> ids, in ascending order */
static int streams_list(lua_State *L)
{
    uint64_t ids[256];
    size_t max = (size_t)luaL_optnumber(L, 3, 256);
    size_t count = neap_streams_list(check_streams(L), lua_toboolean(L, 2), ids, max);

    lua_newtable(L);
    for (size_t i = 0; i < count; i++) {
        push_u64(L, ids[i]);
        lua_rawseti(L, -2, (int)i + 1);
    }
    return 1;
}

static int push_written(lua_State *L, bool written, const struct writer *w, const struct written_frame *told)
{
    if (!written && writer_size(w) > 0)
        luaL_error(L, "bytes were written without a frame");
    if (!written)
        return 0;
    push_frame(L, w, told);
    return 1;
}

static int streams_write_control(lua_State *L)
{
    struct writer w = new_room(L, 2);
    struct written_frame told;
    bool written = neap_streams_write_control(check_streams(L), &w, &told);

    return push_written(L, written, &w, &told);
}

static int streams_write_data(lua_State *L)
{
    struct writer w = new_room(L, 2);
    struct written_frame told;
    bool written = neap_streams_write_data(check_streams(L), &w, &told);

    return push_written(L, written, &w, &told);
}

static int streams_has_to_send(lua_State *L)
{
    lua_pushboolean(L, neap_streams_has_to_send(check_streams(L)));
    return 1;
}

static const struct written_frame *check_told(lua_State *L)
{
    lua_getfield(L, 2, "told");
    luaL_checktype(L, -1, LUA_TUSERDATA);
    return lua_touserdata(L, -1);
}

static int streams_acked(lua_State *L)
{
    neap_streams_on_acked(check_streams(L), check_told(L));
    return 0;
}

static int streams_lost(lua_State *L)
{
    neap_streams_on_lost(check_streams(L), check_told(L));
    return 0;
}

/* s:stream(id) -> states and numbers of a live stream, or nil */
static int streams_stream(lua_State *L)
{
    static const char *const recv_names[] = {"open", "size_known", "complete", "reset", "read", "reset_read"};
    static const char *const send_names[] = {"ready",      "send",       "data_sent",
                                             "data_recvd", "reset_sent", "reset_recvd"};
    const struct stream *stream = neap_streams_find(check_streams(L), check_u64(L, 2));

    if (!stream)
        return 0;
    lua_newtable(L);
    lua_pushstring(L, recv_names[stream->recv.state]);
    lua_setfield(L, -2, "recv");
    lua_pushstring(L, send_names[stream->send.state]);
    lua_setfield(L, -2, "send");
    set_u64(L, "window", stream->recv.window);
    set_u64(L, "recv_limit", stream->recv.limit);
    set_u64(L, "send_limit", stream->send.limit);
    set_u64(L, "highest", stream->recv.highest);
    set_u64(L, "sent", stream->send.data.highest);
    return 1;
}

/* s:state() -> numbers of the table */
static int streams_state(lua_State *L)
{
    const struct streams *s = check_streams(L);

    lua_newtable(L);
    set_u64(L, "live", s->table.count);
    set_u64(L, "recv_limit", s->recv_limit);
    set_u64(L, "recv_used", s->recv_used);
    set_u64(L, "recv_read", s->recv_read);
    set_u64(L, "recv_window", s->recv_window);
    set_u64(L, "send_used", s->send_used);
    set_u64(L, "send_limit", s->send_limit);
    set_u64(L, "opened", s->opened);
    set_u64(L, "accepted", s->accepted);
    set_u64(L, "unseen_ranges", s->theirs[0].unseen.count);
    return 1;
}

static const luaL_Reg streams_methods[] = {{"on_stream", on_stream},
                                           {"on_reset_stream", on_reset_stream},
                                           {"on_stop_sending", on_stop_sending},
                                           {"on_max_data", on_max_data},
                                           {"on_max_stream_data", on_max_stream_data},
                                           {"on_max_streams", on_max_streams},
                                           {"on_stream_data_blocked", on_stream_data_blocked},
                                           {"on_streams_blocked", on_streams_blocked},
                                           {"open", streams_open},
                                           {"send", streams_send},
                                           {"queue", streams_queue},
                                           {"capacity", streams_capacity},
                                           {"recv", streams_recv},
                                           {"peek", streams_peek},
                                           {"consume", streams_consume},
                                           {"end_seen", streams_end_seen},
                                           {"shutdown", streams_shutdown},
                                           {"error", streams_error},
                                           {"finished", streams_finished},
                                           {"set_user", streams_set_user},
                                           {"set_priority", streams_set_priority},
                                           {"readable_next", streams_readable_next},
                                           {"writable_next", streams_writable_next},
                                           {"list", streams_list},
                                           {"write_control", streams_write_control},
                                           {"write_data", streams_write_data},
                                           {"has_to_send", streams_has_to_send},
                                           {"acked", streams_acked},
                                           {"lost", streams_lost},
                                           {"stream", streams_stream},
                                           {"state", streams_state},
                                           {"memory", object_memory},
                                           {"fail", object_fail},
                                           {NULL, NULL}};

int neap_units_streams(lua_State *L)
{
    new_type(L, REASSEMBLY, reassembly_methods, reassembly_gc);
    new_type(L, SEND_BUFFER, send_buffer_methods, send_buffer_gc);
    new_type(L, CRYPTO_STREAM, crypto_stream_methods, crypto_stream_gc);
    new_type(L, STREAMS, streams_methods, streams_gc);
    lua_newtable(L);
    set_functions(L, (const luaL_Reg[]){{"reassembly", reassembly_new},
                                        {"send_buffer", send_buffer_new},
                                        {"crypto_stream", crypto_stream_new},
                                        {"new", streams_new},
                                        {NULL, NULL}});
    set_u64(L, "stream_size", sizeof(struct stream));
    set_u64(L, "STREAM_GAPS", LIMIT_STREAM_GAPS);
    set_u64(L, "CRYPTO_BUFFER", LIMIT_CRYPTO_BUFFER);
    set_u64(L, "CRYPTO_GAPS", LIMIT_CRYPTO_GAPS);
    return 1;
}
