/* Units of http/ that need no connection: Huffman, QPACK, field rules, frames. Each call has a pool of its own, and what
 * it leaves there is an error. */
#include "base/pool.h"
#include "http/fields.h"
#include "http/h3_frame.h"
#include "http/huffman.h"
#include "http/priority.h"
#include "http/qpack.h"
#include "http/qpack_static.h"
#include "http/section_cache.h"

#include <lauxlib.h>
#include <lua.h>
#include <stdlib.h>

int neap_units_http(lua_State *L);

static void *plain_realloc(void *context, void *pointer, size_t size)
{
    (void)context;
    if (size > 0)
        return realloc(pointer, size);
    free(pointer);
    return NULL;
}

static struct span check_span(lua_State *L, int at)
{
    size_t size;
    const char *bytes = luaL_checklstring(L, at, &size);

    return span_of(bytes, size);
}

static void push_span(lua_State *L, struct span s)
{
    lua_pushlstring(L, s.data ? (const char *)s.data : "", s.size);
}

static int push_failure(lua_State *L, int code, const struct failure *why)
{
    lua_pushnil(L);
    lua_pushinteger(L, code);
    lua_pushstring(L, why->reason);
    return 3;
}

/* A room of exactly `size` bytes, so that the sanitizer sees one too many. */
static uint8_t *exact_room(lua_State *L, size_t size)
{
    uint8_t *room = malloc(size ? size : 1);

    if (!room)
        luaL_error(L, "no memory");
    return room;
}

/* priority(value, …) -> urgency, incremental, of a field with these lines | nil: one is no Dictionary */
static int priority(lua_State *L)
{
    struct priority p = {.urgency = PRIORITY_URGENCY};

    for (int i = 1; i <= lua_gettop(L); i++) {
        struct span text = check_span(L, i);
        uint8_t *copy = exact_room(L, text.size);
        memcpy(copy, text.data, text.size);
        bool is_dictionary = neap_priority_parse(span_of(copy, text.size), &p);
        free(copy);
        if (!is_dictionary)
            return 0;
    }
    lua_pushinteger(L, p.urgency);
    lua_pushboolean(L, p.incremental);
    return 2;
}

/* huffman_encode(text) -> bytes */
static int huffman_encode(lua_State *L)
{
    struct span text = check_span(L, 1);
    uint8_t *room = exact_room(L, text.size * 4); /* the longest code has 30 bits */
    struct writer w = writer_of(room, text.size * 4);

    neap_huffman_encode(&w, text);
    size_t size = writer_size(&w);
    bool is_right = !w.full;
    lua_pushlstring(L, (const char *)room, size);
    free(room);
    /* The same in a room of its size, and in one that is too small. */
    for (size_t less = 0; less <= 1 && less <= size; less++) {
        room = exact_room(L, size - less);
        w = writer_of(room, size - less);
        neap_huffman_encode(&w, text);
        is_right = is_right && w.full == (less > 0);
        free(room);
    }
    return is_right ? 1 : luaL_error(L, "neap_huffman_encode needs another room than its size");
}

/* huffman_decode(bytes [, room]) -> text | nil, "full" or "invalid" */
static int huffman_decode(lua_State *L)
{
    struct span encoded = check_span(L, 1);
    size_t size = (size_t)luaL_optinteger(L, 2, (lua_Integer)huffman_decoded_max(encoded.size));
    uint8_t *room = exact_room(L, size);
    uint8_t *copy = exact_room(L, encoded.size);
    struct writer w = writer_of(room, size);

    if (encoded.size)
        memcpy(copy, encoded.data, encoded.size);
    if (neap_huffman_decode(&w, span_of(copy, encoded.size))) {
        lua_pushlstring(L, (const char *)room, writer_size(&w));
        lua_pushnil(L);
    } else {
        lua_pushnil(L);
        lua_pushstring(L, w.full ? "full" : "invalid");
    }
    free(copy);
    free(room);
    return 2;
}

/* {{name, value, never_indexed}, ...} at `at`; the strings live as long as the table. Freed by the caller. */
static neap_field *check_fields(lua_State *L, int at, size_t *count)
{
    luaL_checktype(L, at, LUA_TTABLE);
#if LUA_VERSION_NUM >= 502
    *count = lua_rawlen(L, at);
#else
    *count = lua_objlen(L, at);
#endif
    neap_field *fields = calloc(*count + 1, sizeof(*fields));
    for (size_t i = 0; fields && i < *count; i++) {
        lua_rawgeti(L, at, (int)i + 1);
        lua_rawgeti(L, -1, 1);
        lua_rawgeti(L, -2, 2);
        lua_rawgeti(L, -3, 3);
        fields[i].name = lua_tolstring(L, -3, &fields[i].name_size);
        fields[i].value = lua_tolstring(L, -2, &fields[i].value_size);
        fields[i].never_indexed = lua_toboolean(L, -1);
        lua_pop(L, 4);
    }
    return fields;
}

static void push_fields(lua_State *L, const neap_field *fields, size_t count)
{
    lua_createtable(L, (int)count, 0);
    for (size_t i = 0; i < count; i++) {
        lua_createtable(L, 3, 0);
        lua_pushlstring(L, fields[i].name, fields[i].name_size);
        lua_rawseti(L, -2, 1);
        lua_pushlstring(L, fields[i].value, fields[i].value_size);
        lua_rawseti(L, -2, 2);
        lua_pushboolean(L, fields[i].never_indexed);
        lua_rawseti(L, -2, 3);
        lua_rawseti(L, -2, (int)i + 1);
    }
}

/* qpack_encode(fields) -> section */
static int qpack_encode(lua_State *L)
{
    size_t count;
    neap_field *fields = check_fields(L, 1, &count);
    size_t size = neap_qpack_encode_max(fields, count);
    uint8_t *room = exact_room(L, size);
    struct writer w = writer_of(room, size);

    neap_qpack_encode(&w, fields, count);
    lua_pushlstring(L, (const char *)room, writer_size(&w));
    free(room);
    free(fields);
    return w.full ? luaL_error(L, "neap_qpack_encode_max is too small") : 1;
}

/* qpack_decode(section [, max_size [, memory]]) -> fields | nil, code, reason */
static int qpack_decode(lua_State *L)
{
    struct span section = check_span(L, 1);
    uint64_t max_size = (uint64_t)luaL_optnumber(L, 2, 65536);
    struct pool *pool = neap_pool_new(plain_realloc, NULL, (size_t)luaL_optnumber(L, 3, 0));
    uint8_t *copy = exact_room(L, section.size);
    struct field_list list = {0};
    struct failure why = {0};

    if (section.size)
        memcpy(copy, section.data, section.size);
    int err = neap_qpack_decode(&list, pool, span_of(copy, section.size), max_size, &why);
    free(copy);
    if (err)
        push_failure(L, err, &why);
    else
        push_fields(L, list.fields, list.count);
    neap_field_list_free(&list, pool);
    size_t left = neap_pool_stats(pool).used;
    neap_pool_release(pool);
    if (left)
        return luaL_error(L, "%d bytes left in the pool", (int)left);
    return err ? 3 : 1;
}

/* static_get(index) -> name, value | nil */
static int static_get(lua_State *L)
{
    struct span name, value;

    if (!neap_qpack_static_get((uint64_t)luaL_checknumber(L, 1), &name, &value))
        return 0;
    push_span(L, name);
    push_span(L, value);
    return 2;
}

/* static_find(name, value) -> index of both, index of the name (-1 none) */
static int static_find(lua_State *L)
{
    struct static_match match = neap_qpack_static_find(check_span(L, 1), check_span(L, 2));

    lua_pushinteger(L, match.exact);
    lua_pushinteger(L, match.name);
    return 2;
}

/* section_cache(sections) -> for each of them, in one cache, whether it was found. Raises when what was found is wrong. */
static int section_cache(lua_State *L)
{
    struct section_cache *cache = calloc(1, sizeof *cache);
    uint8_t room[4096];
    int sections;
    const char *wrong = NULL;

    luaL_checktype(L, 1, LUA_TTABLE);
    lua_newtable(L);
    for (sections = 1; !wrong; sections++) {
        lua_rawgeti(L, 1, sections);
        if (lua_isnil(L, -1))
            break;
        size_t count;
        neap_field *fields = check_fields(L, lua_gettop(L), &count);
        struct section_info info;
        struct writer w = writer_of(room, sizeof room);
        enum section_kind kind =
            count > 0 && strcmp(fields[0].name, ":method") == 0 ? SECTION_REQUEST : SECTION_RESPONSE;
        const struct section_slot *slot = neap_section_cache_find(cache, kind, fields, count);

        neap_qpack_encode(&w, fields, count);
        struct span frame = span_of(room, writer_size(&w));
        int err = neap_fields_check(fields, count, kind, false, &info, NULL);
        if (slot && (err || !span_equal(frame, section_frame(slot)) || info.status != slot->info.status ||
                     info.content_length != slot->info.content_length ||
                     slot->fields_size != neap_fields_size(fields, count)))
            wrong = "another section was found";
        if (!slot && !err)
            neap_section_cache_note(cache, kind, fields, count, &info, frame);
        free(fields);
        lua_pop(L, 1);
        lua_pushboolean(L, slot != NULL);
        lua_rawseti(L, 2, sections);
    }
    free(cache);
    lua_settop(L, 2);
    return wrong ? luaL_error(L, "%s", wrong) : 1;
}

/* encoder_stream(bytes) -> 0 | nil, code, reason */
static int encoder_stream(lua_State *L)
{
    struct failure why = {0};
    size_t count;
    int err = neap_qpack_on_encoder_stream(check_span(L, 1), &count, &why);

    if (err)
        return push_failure(L, err, &why);
    lua_pushinteger(L, 0);
    return 1;
}

/* decoder_stream(bytes, step) -> how many bytes were taken without error | nil, code, reason, how many before it */
static int decoder_stream(lua_State *L)
{
    struct span bytes = check_span(L, 1);
    size_t step = (size_t)luaL_optinteger(L, 2, 1);
    struct qpack_decoder_stream stream = {0};

    for (size_t at = 0; at < bytes.size; at += step) {
        struct failure why = {0};
        size_t left = bytes.size - at, count;
        int err = neap_qpack_on_decoder_stream(&stream, span_of(bytes.data + at, left < step ? left : step),
                                               &count, &why);
        if (err) {
            push_failure(L, err, &why);
            lua_pushinteger(L, (lua_Integer)at);
            return 4;
        }
    }
    lua_pushinteger(L, (lua_Integer)bytes.size);
    return 1;
}

/* What neap_fields_check says of the fields when they have been encoded and decoded. */
static int check_decoded(const neap_field *fields, size_t count, enum section_kind kind,
                         struct section_info *info, struct failure *why)
{
    size_t size = neap_qpack_encode_max(fields, count);
    uint8_t *room = malloc(size);
    struct writer w = writer_of(room, size);
    struct pool *pool = neap_pool_new(plain_realloc, NULL, 0);
    struct field_list list = {0};

    neap_qpack_encode(&w, fields, count);
    int err = neap_qpack_decode(&list, pool, span_of(room, writer_size(&w)), UINT64_MAX, why);
    if (!err)
        err = neap_fields_check(list.fields, list.count, kind, true, info, why);
    neap_field_list_free(&list, pool);
    neap_pool_release(pool);
    free(room);
    return err;
}

/* fields_check("request" | "response" | "trailers", fields[, decoded]) -> info | nil, code, reason */
static int fields_check(lua_State *L)
{
    static const char *const kinds[] = {"request", "response", "trailers", NULL};
    enum section_kind kind = (enum section_kind)luaL_checkoption(L, 1, NULL, kinds);
    size_t count;
    neap_field *fields = check_fields(L, 2, &count);
    struct section_info info = {0};
    struct failure why = {0};
    int err = lua_toboolean(L, 3) ? check_decoded(fields, count, kind, &info, &why)
                                  : neap_fields_check(fields, count, kind, false, &info, &why);

    free(fields);
    if (err)
        return push_failure(L, err, &why);
    lua_createtable(L, 0, 4);
    lua_pushnumber(L, (lua_Number)info.content_length);
    lua_setfield(L, -2, "content_length");
    lua_pushinteger(L, info.status);
    lua_setfield(L, -2, "status");
    lua_pushboolean(L, info.is_head);
    lua_setfield(L, -2, "is_head");
    lua_pushboolean(L, info.is_connect);
    lua_setfield(L, -2, "is_connect");
    return 1;
}

/* frames(bytes, step) -> {{type, payload}, ...}, "cut" when the bytes end inside a frame. Feeds `step` bytes at a time. */
static int frames(lua_State *L)
{
    struct span bytes = check_span(L, 1);
    size_t step = (size_t)luaL_optinteger(L, 2, 1);
    struct pool *pool = neap_pool_new(plain_realloc, NULL, 0);
    struct h3_frame_reader reader = {0};
    struct h3_payload payload = {0};
    int count = 0;

    lua_newtable(L);
    for (size_t at = 0, end; at < bytes.size || (reader.in_payload && reader.left == 0);) {
        struct span view, whole;
        size_t used;
        end = at + step - at % step;
        view = span_of(bytes.data + at, (end < bytes.size ? end : bytes.size) - at);
        if (!reader.in_payload) {
            at += neap_h3_frame_read_head(&reader, view);
            continue;
        }
        enum h3_collected got = neap_h3_payload_collect(&payload, pool, &reader, view, &used, &whole);
        at += used;
        if (got != H3_COLLECTED_ALL)
            continue;
        lua_createtable(L, 2, 0);
        lua_pushnumber(L, (lua_Number)reader.type);
        lua_rawseti(L, -2, 1);
        push_span(L, whole);
        lua_rawseti(L, -2, 2);
        lua_rawseti(L, -2, ++count);
        reader.in_payload = false;
        neap_h3_payload_free(&payload, pool);
    }
    lua_pushstring(L, h3_frame_is_cut(&reader) ? "cut" : NULL);
    neap_h3_payload_free(&payload, pool);
    neap_pool_release(pool);
    return 2;
}

static void set_count(lua_State *L, const char *name, uint64_t count)
{
    lua_pushnumber(L, (lua_Number)count);
    lua_setfield(L, -2, name);
}

int neap_units_h3_counts(lua_State *L, const neap_config *config, const neap_h3 *h3)
{
    neap_bound_stats bounds;
    neap_h3_stats stats;

    neap_config_bounds(config, &bounds, sizeof bounds);
    neap_h3_get_stats(h3, &stats, sizeof stats);
    lua_newtable(L);
    set_count(L, "overloads", bounds.h3_overloads);
    set_count(L, "sections_late", bounds.h3_sections_late);
    set_count(L, "sections_partial", bounds.h3_sections_partial);
    set_count(L, "sections_refused", bounds.h3_sections_refused);
    set_count(L, "priority_updates", bounds.h3_priority_updates);
    lua_newtable(L);
    set_count(L, "requests", stats.requests);
    set_count(L, "open_requests", stats.open_requests);
    set_count(L, "glitches", stats.glitches);
    set_count(L, "glitches_held", stats.glitches_held);
    set_count(L, "priority_updates", stats.priority_updates);
    set_count(L, "partial_bytes", stats.partial_bytes);
    return 2;
}

int neap_units_http(lua_State *L)
{
    static const struct {
        const char *name;
        lua_CFunction function;
    } functions[] = {
        {"huffman_encode", huffman_encode},
        {"huffman_decode", huffman_decode},
        {"priority", priority},
        {"qpack_encode", qpack_encode},
        {"qpack_decode", qpack_decode},
        {"static_get", static_get},
        {"static_find", static_find},
        {"section_cache", section_cache},
        {"encoder_stream", encoder_stream},
        {"decoder_stream", decoder_stream},
        {"fields_check", fields_check},
        {"frames", frames},
    };

    lua_newtable(L);
    for (size_t i = 0; i < sizeof(functions) / sizeof(functions[0]); i++) {
        lua_pushcfunction(L, functions[i].function);
        lua_setfield(L, -2, functions[i].name);
    }
    return 1;
}
