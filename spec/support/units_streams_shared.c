/* What the files of units of core/streams share. */
#include "units_streams.h"

#include <stdlib.h>

#include "base/reader.h"

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

void units_set_functions(lua_State *L, const luaL_Reg *functions)
{
    for (; functions->name; functions++) {
        lua_pushcfunction(L, functions->func);
        lua_setfield(L, -2, functions->name);
    }
}

void units_new_type(lua_State *L, const char *name, const luaL_Reg *methods, lua_CFunction gc)
{
    luaL_newmetatable(L, name);
    lua_pushcfunction(L, gc);
    lua_setfield(L, -2, "__gc");
    lua_newtable(L);
    units_set_functions(L, methods);
    lua_setfield(L, -2, "__index");
    lua_pop(L, 1);
}

/* Zeroed, with its memory at the front. */
void *units_new_object(lua_State *L, const char *name, size_t size)
{
    struct memory *memory = lua_newuserdata(L, size);

    memset(memory, 0, size);
    memory->pool = neap_pool_new(counting_realloc, memory, 0);
    luaL_getmetatable(L, name);
    lua_setmetatable(L, -2);
    return memory;
}

/* Numbers above 2^53 come and go as decimal strings. */
uint64_t units_check_u64(lua_State *L, int index)
{
    if (lua_type(L, index) == LUA_TSTRING)
        return strtoull(lua_tostring(L, index), NULL, 10);
    return (uint64_t)luaL_checknumber(L, index);
}

uint64_t units_opt_u64(lua_State *L, int index, uint64_t otherwise)
{
    return lua_isnoneornil(L, index) ? otherwise : units_check_u64(L, index);
}

struct span units_check_span(lua_State *L, int index)
{
    size_t size;
    const char *bytes = luaL_checklstring(L, index, &size);

    return span_of(bytes, size);
}

void units_split_span(struct span data, struct span parts[3])
{
    parts[0] = span_of(data.data, data.size / 3);
    parts[1] = span_of(NULL, 0);
    parts[2] = span_after(data, data.size / 3);
}

void units_push_u64(lua_State *L, uint64_t value)
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

void units_set_u64(lua_State *L, const char *name, uint64_t value)
{
    units_push_u64(L, value);
    lua_setfield(L, -2, name);
}

static void set_bool(lua_State *L, const char *name, bool value)
{
    lua_pushboolean(L, value);
    lua_setfield(L, -2, name);
}

/* code, reason */
int units_push_result(lua_State *L, int code, const struct failure *why)
{
    lua_pushinteger(L, code);
    lua_pushstring(L, why->reason);
    return 2;
}

/* object:memory() -> bytes in use, allocations made so far */
int units_object_memory(lua_State *L)
{
    const struct memory *memory = lua_touserdata(L, 1);

    units_push_u64(L, neap_pool_stats(memory->pool).used);
    units_push_u64(L, memory->allocations);
    return 2;
}

/* object:fail(count, after): after so many good ones `count` allocations fail */
int units_object_fail(lua_State *L)
{
    struct memory *memory = lua_touserdata(L, 1);

    memory->failing = units_check_u64(L, 2);
    memory->passing = units_opt_u64(L, 3, 0);
    return 0;
}

/* ---- frames: parsed again from the bytes that were written */

static void set_bytes(lua_State *L, const char *name, struct span bytes)
{
    lua_pushlstring(L, (const char *)bytes.data, bytes.size);
    lua_setfield(L, -2, name);
}

static void set_parsed(lua_State *L, const struct frame *f)
{
    if ((f->type & ~7ull) == FRAME_STREAM) {
        units_set_u64(L, "id", f->stream.id);
        units_set_u64(L, "offset", f->stream.offset);
        set_bytes(L, "data", f->stream.data);
        set_bool(L, "fin", f->stream.fin);
    } else if (f->type == FRAME_RESET_STREAM) {
        units_set_u64(L, "id", f->reset_stream.id);
        units_set_u64(L, "code", f->reset_stream.code);
        units_set_u64(L, "final_size", f->reset_stream.final_size);
    } else if (f->type == FRAME_RESET_STREAM_AT) {
        units_set_u64(L, "id", f->reset_stream.id);
        units_set_u64(L, "code", f->reset_stream.code);
        units_set_u64(L, "final_size", f->reset_stream.final_size);
        units_set_u64(L, "reliable_size", f->reset_stream.reliable_size);
    } else if (f->type == FRAME_STOP_SENDING) {
        units_set_u64(L, "id", f->stop_sending.id);
        units_set_u64(L, "code", f->stop_sending.code);
    } else if (f->type == FRAME_MAX_STREAM_DATA || f->type == FRAME_STREAM_DATA_BLOCKED) {
        units_set_u64(L, "id", f->stream_limit.id);
        units_set_u64(L, "limit", f->stream_limit.limit);
    } else if (f->type == FRAME_CRYPTO) {
        units_set_u64(L, "offset", f->crypto.offset);
        set_bytes(L, "data", f->crypto.data);
    } else {
        units_set_u64(L, "limit", f->limit);
    }
}

/* Push a table of the one frame that `w` holds; `size` says how many bytes it took. */
void units_push_frame(lua_State *L, const struct writer *w, const struct sent_frame *told)
{
    struct reader r = reader_of(span_of(w->start, writer_size(w)));
    struct failure why = {0};
    struct frame f;

    if (neap_frame_parse(&r, &f, &why) || reader_left(&r))
        luaL_error(L, "what was written is not one frame: %s", why.reason ? why.reason : "bytes are left");
    lua_newtable(L);
    set_parsed(L, &f);
    units_set_u64(L, "type", (f.type & ~7ull) == FRAME_STREAM ? FRAME_STREAM : f.type);
    units_set_u64(L, "size", writer_size(w));
    if (told) {
        struct sent_frame *copy = lua_newuserdata(L, sizeof(*copy));

        *copy = *told;
        lua_setfield(L, -2, "told");
    }
}

struct writer units_new_room(lua_State *L, int index)
{
    size_t room = (size_t)luaL_optnumber(L, index, 1200);

    return writer_of(lua_newuserdata(L, room + 1), room);
}
