/* Units of core/streams: reassembly, the send buffer, crypto streams and (units_streams_table.c) the whole table. Every
 * object has a pool of its own, whose allocations are counted and can be made to fail. */
#include "units_streams.h"

#include "base/limits.h"
#include "streams/crypto_stream.h"

int neap_units_streams(lua_State *L);

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
    struct unit_reassembly *u = units_new_object(L, REASSEMBLY, sizeof(*u));

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

    lua_pushinteger(
        L, neap_reassembly_insert(&u->a, u->memory.pool, units_check_u64(L, 2), units_check_span(L, 3)));
    return 1;
}

static int reassembly_read(lua_State *L)
{
    struct unit_reassembly *u = luaL_checkudata(L, 1, REASSEMBLY);

    push_read(L, &u->a, u->memory.pool, units_opt_u64(L, 2, UINT64_MAX));
    return 1;
}

static int reassembly_discard(lua_State *L)
{
    struct unit_reassembly *u = luaL_checkudata(L, 1, REASSEMBLY);

    neap_reassembly_discard(&u->a, u->memory.pool, units_check_u64(L, 2));
    return 0;
}

/* r:state() -> next offset, ready, ranges */
static int reassembly_state(lua_State *L)
{
    struct unit_reassembly *u = luaL_checkudata(L, 1, REASSEMBLY);

    units_push_u64(L, u->a.read);
    units_push_u64(L, neap_reassembly_ready(&u->a));
    units_push_u64(L, (uint64_t)u->a.received.count + (u->a.ready > u->a.read));
    return 3;
}

static const luaL_Reg reassembly_methods[] = {{"insert", reassembly_insert},
                                              {"read", reassembly_read},
                                              {"discard", reassembly_discard},
                                              {"state", reassembly_state},
                                              {"memory", units_object_memory},
                                              {"fail", units_object_fail},
                                              {NULL, NULL}};

/* ---- send_buffer() */

#define SEND_BUFFER "neap.units.send_buffer"

struct unit_send_buffer {
    struct memory memory;
    struct send_buffer b;
};

static int send_buffer_new(lua_State *L)
{
    struct unit_send_buffer *u = units_new_object(L, SEND_BUFFER, sizeof(*u));

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
    struct span parts[3];

    units_split_span(units_check_span(L, 2), parts);
    units_push_u64(L, neap_send_buffer_gather(&u->b, u->memory.pool, parts, 3));
    return 1;
}

/* b:take(limit, max) -> offset, bytes that are now sent; nothing when there are none */
static int send_buffer_take(lua_State *L)
{
    struct unit_send_buffer *u = luaL_checkudata(L, 1, SEND_BUFFER);
    uint64_t offset;
    size_t size;

    if (!neap_send_buffer_next(&u->b, units_opt_u64(L, 2, UINT64_MAX), (size_t)luaL_optnumber(L, 3, 1200),
                               &offset, &size))
        return 0;
    uint8_t *bytes = lua_newuserdata(L, size);
    neap_send_buffer_copy(&u->b, offset, bytes, size);
    neap_send_buffer_sent(&u->b, u->memory.pool, offset, size);
    units_push_u64(L, offset);
    lua_pushlstring(L, (const char *)bytes, size);
    return 2;
}

static int send_buffer_acked(lua_State *L)
{
    struct unit_send_buffer *u = luaL_checkudata(L, 1, SEND_BUFFER);

    neap_send_buffer_acked(&u->b, u->memory.pool, units_check_u64(L, 2), (size_t)luaL_checknumber(L, 3));
    return 0;
}

static int send_buffer_lost(lua_State *L)
{
    struct unit_send_buffer *u = luaL_checkudata(L, 1, SEND_BUFFER);

    neap_send_buffer_lost(&u->b, u->memory.pool, units_check_u64(L, 2), (size_t)luaL_checknumber(L, 3));
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

    units_push_u64(L, u->b.base);
    units_push_u64(L, u->b.next);
    units_push_u64(L, u->b.highest);
    units_push_u64(L, u->b.end);
    return 4;
}

static int buffer_has_data(lua_State *L)
{
    struct unit_send_buffer *u = luaL_checkudata(L, 1, SEND_BUFFER);

    lua_pushboolean(L, send_buffer_has_data(&u->b, units_opt_u64(L, 2, UINT64_MAX)));
    return 1;
}

static const luaL_Reg send_buffer_methods[] = {
    {"append", send_buffer_append},     {"take", send_buffer_take},
    {"acked", send_buffer_acked},       {"lost", send_buffer_lost},
    {"lose_all", send_buffer_lose_all}, {"state", send_buffer_state},
    {"has_data", buffer_has_data},      {"memory", units_object_memory},
    {"fail", units_object_fail},        {NULL, NULL}};

/* ---- crypto_stream() */

#define CRYPTO_STREAM "neap.units.crypto_stream"

struct unit_crypto_stream {
    struct memory memory;
    struct crypto_stream c;
};

static int crypto_stream_new(lua_State *L)
{
    struct unit_crypto_stream *u = units_new_object(L, CRYPTO_STREAM, sizeof(*u));

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
    struct frame_crypto f = {.offset = units_check_u64(L, 2), .data = units_check_span(L, 3)};
    struct failure why = {0};

    return units_push_result(L, neap_crypto_stream_on_crypto(&u->c, u->memory.pool, &f, &why), &why);
}

static int crypto_stream_read(lua_State *L)
{
    struct unit_crypto_stream *u = luaL_checkudata(L, 1, CRYPTO_STREAM);

    push_read(L, &u->c.recv, u->memory.pool, units_opt_u64(L, 2, UINT64_MAX));
    return 1;
}

static int crypto_stream_append(lua_State *L)
{
    struct unit_crypto_stream *u = luaL_checkudata(L, 1, CRYPTO_STREAM);

    units_push_u64(L, neap_send_buffer_append(&u->c.send, u->memory.pool, units_check_span(L, 2)));
    return 1;
}

/* c:write(room) -> frame or nil */
static int crypto_stream_write(lua_State *L)
{
    struct unit_crypto_stream *u = luaL_checkudata(L, 1, CRYPTO_STREAM);
    struct writer w = units_new_room(L, 2);
    uint64_t offset;
    size_t size;

    if (!neap_crypto_stream_write(&u->c, u->memory.pool, &w, &offset, &size)) {
        if (writer_size(&w) > 0)
            luaL_error(L, "bytes were written without a frame");
        return 0;
    }
    units_push_frame(L, &w, NULL);
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
                                                 {"memory", units_object_memory},
                                                 {"fail", units_object_fail},
                                                 {NULL, NULL}};

int neap_units_streams(lua_State *L)
{
    units_new_type(L, REASSEMBLY, reassembly_methods, reassembly_gc);
    units_new_type(L, SEND_BUFFER, send_buffer_methods, send_buffer_gc);
    units_new_type(L, CRYPTO_STREAM, crypto_stream_methods, crypto_stream_gc);
    lua_newtable(L);
    units_set_functions(L, (const luaL_Reg[]){{"reassembly", reassembly_new},
                                              {"send_buffer", send_buffer_new},
                                              {"crypto_stream", crypto_stream_new},
                                              {NULL, NULL}});
    units_streams_table(L);
    units_set_u64(L, "stream_size", sizeof(struct stream));
    units_set_u64(L, "STREAM_GAPS", LIMIT_STREAM_GAPS);
    units_set_u64(L, "CRYPTO_BUFFER", LIMIT_CRYPTO_BUFFER);
    units_set_u64(L, "CRYPTO_GAPS", LIMIT_CRYPTO_GAPS);
    return 1;
}
